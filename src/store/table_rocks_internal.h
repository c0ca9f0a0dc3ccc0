/* What table_rocks.c (opening and writing), table_rocks_read.c and table_rocks_shared.c share. */
#ifndef RGKV_STORE_TABLE_ROCKS_INTERNAL_H
#define RGKV_STORE_TABLE_ROCKS_INTERNAL_H

#include "store/table_rocks.h"

#include <pthread.h>
#include <rocksdb/c.h>
#include <semaphore.h>
#include <stdatomic.h>

#define WRITE_BUFFERS_MAX 5       /* RocksDB slows writers down when all but one wait to be flushed … */
#define WRITE_BUFFERS_WAITING 2   /* … and they wait for this many */
#define FIRST_FILES_MAX 40        /* the same for files that are not compacted yet */
#define FIRST_FILES_WAITING 32
#define BACKGROUND_JOBS 2
#define TABLE_ROCKS_FROM_CACHE 1 /* ReadTier::kBlockCacheTier of rocksdb/options.h; the C API has no name for it */

struct table_rocks_shared {
    rocksdb_cache_t *cache;
    rocksdb_env_t *env;
    int compaction_nice;
    uint64_t write_buffer_bytes;
    struct patience patience;    /* of the one thread that asks for what it can have now; the disk is the same for all */
    pthread_mutex_t lock;        /* tables are opened and closed on any threads */
    struct table_rocks *tables;  /* open ones */
    bool trims_end;              /* the lock's, as the tables are */
    pthread_t asker;             /* asks RocksDB whether a table is behind: who asks may wait for threads that hold its locks */
    sem_t asked;                 /* by somebody, or to end */
    atomic_bool asker_ends;
};

struct table_rocks {
    struct table table;
    struct table_rocks_shared *shared;
    struct table_rocks *prev, *next;
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_readoptions_t *read, *read_now;
    rocksdb_writeoptions_t *write;
    rocksdb_writebatch_t *batch; /* reused: write is called by one thread at a time */
    atomic_bool waits;           /* as was answered last */
    atomic_bool asked;           /* and not answered yet */
    atomic_size_t unasked_bytes; /* written since it was asked */
    atomic_bool in_trouble;      /* there was an error in the background, and no write has succeeded since */
    atomic_uint_fast64_t errors; /* in the background, before that */
};

struct table_snapshot {
    const rocksdb_snapshot_t *snapshot;
    rocksdb_readoptions_t *read;
};

static inline struct table_rocks *table_rocks_of(struct table *t) { return (struct table_rocks *)t; }

/* What RocksDB said as an error; OK when it said nothing. Takes the text, and appends it to `why`, which may be NULL. */
enum rgkv_err table_rocks_failed(char *text, struct buf *why);

/* ---- table_rocks_read.c: of table_ops ---- */

enum rgkv_err table_rocks_get(struct table *t, const struct table_snapshot *s, struct bytes key, struct buf *out);
enum rgkv_err table_rocks_get_now(struct table *t, struct bytes key, enum table_wait wait, struct buf *out);
struct table_iter *table_rocks_iter(struct table *t, const struct table_snapshot *s, struct bytes from, struct bytes to);
struct table_iter *table_rocks_iter_now(struct table *t, struct bytes from, struct bytes to, enum table_wait wait);
bool table_rocks_iter_next(struct table_iter *i);
void table_rocks_iter_seek(struct table_iter *i, struct bytes from);
struct bytes table_rocks_iter_key(const struct table_iter *i);
struct bytes table_rocks_iter_value(const struct table_iter *i);
enum rgkv_err table_rocks_iter_error(const struct table_iter *i);
void table_rocks_iter_free(struct table_iter *i);

/* ---- table_rocks_shared.c ---- */

/* From when the database is open until it is closed. */
void table_rocks_shared_add(struct table_rocks *t);
void table_rocks_shared_remove(struct table_rocks *t);
bool table_rocks_waits(struct table *t); /* of table_ops */
/* So much was written; if `trouble_ends`, by a write that succeeded and had begun in trouble. */
void table_rocks_wrote(struct table_rocks *t, size_t bytes, bool trouble_ends);

#endif
