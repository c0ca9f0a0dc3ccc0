/* The files of one replica: its log, its table, the table that a snapshot is received into. Every call blocks.
 *
 *     DIR/wal/        the write-ahead log
 *         table.N/    the table: RocksDB
 *         current     small file: N, le64; absent: 1
 *
 * A snapshot is received into table.(N+1), flushed, and becomes the table when `current` is replaced (atomically,
 * durably); then the log is reset (P23). A crash before leaves a stray directory, which the next open removes; a crash
 * between the two leaves a log that lacks the table's position: the node sees that at open and asks for
 * NODE_RESET_LOG. No directory is ever renamed below an open database. A deleted replica's directory is renamed to
 * DIR.dead first, so that half of it is never opened again.
 *
 * On an error `why` has a sentence. */
#ifndef RGKV_NET_REPLICA_FILES_H
#define RGKV_NET_REPLICA_FILES_H

#include "store/table_rocks.h"
#include "store/wal.h"

#define REPLICA_PATH_BYTES 4096u
#define REPLICA_DEAD ".dead"

struct replica_files {
    struct vfs *vfs;
    struct table_rocks_shared *shared;
    struct wal_identity identity;
    char dir[REPLICA_PATH_BYTES];
    uint64_t segment_bytes;         /* of the log; 0: its default */
    bool blank;                     /* it has promised nothing yet: a missing log is a new one */
    struct wal *wal;                /* these: NULL or 0 until opened */
    struct table *table;
    struct table *incoming;         /* a snapshot's, at number + 1 */
    struct table *old;              /* the one before, at number - 1, until it is retired */
    bool switched;                  /* the table is a snapshot's, and the log does not begin after it yet */
    uint64_t number;                /* table.N */
};

/* The set's directory: made if need be, and what deletions left there is cleared away. */
MUST_USE enum rgkv_err replica_files_prepare(struct vfs *v, const char *dir, struct buf *why);
/* A log that is missing and was not blank is told as created, and nothing is opened or made in its place: else the next start would take
 * what was made for the log that was lost (P1). */
MUST_USE enum rgkv_err replica_files_open(struct replica_files *f, struct wal_recovered *ret_recovered, struct buf *why);
void replica_files_close(struct replica_files *f);
/* Closes, and removes all. One that is gone already is OK. */
MUST_USE enum rgkv_err replica_files_delete(struct replica_files *f, struct buf *why);

/* A blank table beside the real one; an older such is discarded. */
MUST_USE enum rgkv_err replica_files_incoming(struct replica_files *f, struct buf *why);
MUST_USE enum rgkv_err replica_files_discard(struct replica_files *f, struct buf *why);
/* The incoming table is the table now. Nobody uses the old one meanwhile. It stays open, for whoever has yet to hear of the new one, until
 * replica_files_retire; but where the log finds no space it is retired here, for the space that it holds.
 * After an error: if f->switched, the new table is in place and only the log failed. After NO_SPACE it may be called again, and goes on. */
MUST_USE enum rgkv_err replica_files_install(struct replica_files *f, uint64_t index, uint64_t term, struct buf *why);
/* Closes and removes the old table; OK if there is none. */
MUST_USE enum rgkv_err replica_files_retire(struct replica_files *f, struct buf *why);

#endif
