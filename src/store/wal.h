/* The write-ahead log of one replica: raft entries and hard state, in segments. See wal_format.h for the format.
 *
 * One batch = one collect of the core: entries (truncating from the first one's index), hard state. A batch is
 * written after the previous one's sync has returned (P22). It is filled and released on the loop, and only has references to the
 * payloads; wal_commit encodes, writes and syncs it, and may run on a pool thread, one at a time, which only reads it.
 *
 * Recovery (wal_open) reads all segments: hard state, and the entries that are wanted, in memory as blobs. wal_read reads older ones.
 * A torn last batch is cut off; any other damage: DAMAGED with a sentence (file, offset, what to do) in `ret_why`.
 * All that is recovered is durable when wal_open returns. The log may begin before the point it was last compacted to.
 * P7: each segment begins with the hard state and the term of (first index - 1).
 *
 * A failed sync is final: after IO or NO_SPACE from a commit whose sync failed, the log refuses everything. A write that failed for
 * want of space before any sync is undone (the file is cut back) and reported as NO_SPACE; the log stays usable. */
#ifndef RGKV_STORE_WAL_H
#define RGKV_STORE_WAL_H

#include "raft/raft.h"
#include "store/vfs.h"

struct wal;

struct wal_identity {          /* in every segment's header; a mismatch is CONFLICT with a sentence */
    uint64_t cluster, group, incarnation, member;
};

struct wal_recovered {
    struct raft_hard_state hard_state;
    uint64_t compacted_index, compacted_term; /* `entries` begin after this one */
    uint64_t n_kept;               /* so many before them are in the log, too */
    struct raft_entry *entries;    /* owned: wal_recovered_release */
    unsigned n_entries;
    uint64_t torn_bytes;           /* cut off at the end */
    bool created;                  /* there was no log: this is a new one */
};

struct wal_options {
    uint64_t segment_bytes;        /* start a new segment beyond this; default 16 MiB if 0 */
    bool must_exist;               /* there was a log here: none is founded in its place */
    uint64_t wanted_after;         /* entries up to here are checked, and not given: a table has them */
};

/* `dir` exists or is created. An empty directory is a new log; NOT_FOUND if it must exist. */
MUST_USE enum rgkv_err wal_open(struct vfs *v, const char *dir, const struct wal_identity *id, const struct wal_options *options,
                                struct wal **ret_wal, struct wal_recovered *ret_recovered, struct buf *ret_why);
void wal_close(struct wal *w);
void wal_recovered_release(struct wal_recovered *r);
bool wal_exists(struct vfs *v, const char *dir); /* false, too, if that cannot be seen: wal_open will say why */

/* {0} is an empty batch. */
struct wal_batch {
    struct raft_entry *entries;    /* without gaps; each with a reference to its payload */
    unsigned n_entries, cap_entries;
    uint64_t last_index, last_term;/* of the entries in it, 0 if none */
    struct raft_hard_state hard_state;
    bool has_hard_state;
    bool must_sync;
};
static inline bool wal_batch_is_empty(const struct wal_batch *b) { return !b->n_entries && !b->has_hard_state; }

/* Adds entries and/or hard state to a batch that is being filled. hard_state NULL: unchanged. Several adds make
 * one batch; entries that are added replace those in it from their index on. */
void wal_batch_add(struct wal_batch *b, const struct raft_entry *entries, unsigned n, const struct raft_hard_state *hard_state, bool must_sync);
void wal_batch_clear(struct wal_batch *b);   /* empty again; keeps the memory */
void wal_batch_release(struct wal_batch *b);
/* Writes the batch and syncs it. Blocks.
 *
 * A batch that need not sync (nothing but `commit` moved) is not written: it is remembered and goes out with the next
 * one that is. (Written without a sync, a crash could tear it while the batch after it survives, and P22 could not tell
 * that from damage.) A recorded commit never exceeds the last entry.
 *
 * NO_SPACE: nothing was written, the log stays usable. Each segment keeps a reserve for hard state (P29): a batch
 * without entries still succeeds for a while. IO: final. */
MUST_USE enum rgkv_err wal_commit(struct wal *w, const struct wal_batch *b);
/* Consecutive entries of the log, and the term of the one before them. */
struct wal_range {
    uint64_t before_term;
    struct raft_entry *entries;    /* owned: wal_range_release */
    unsigned n;
};
void wal_range_release(struct wal_range *range);
/* Reads what a peer needs: from what->first on, at least one entry. They must be committed: nothing
 * in the log replaces them any more. Reading on where the last call ended is cheap; anywhere else costs one segment. NOT_FOUND: the log begins
 * later. DAMAGED, IO: wal_error says what; the log goes on being written, since what is old is no more than that. Blocks; same thread rule
 * as wal_commit. */
MUST_USE enum rgkv_err wal_read(struct wal *w, const struct raft_fetch *what, struct wal_range *ret_range);
/* The log up to `index` is in a durable table: delete whole segments that are not needed (P7: starts a new segment,
 * synced, first). Does nothing if no segment could go. Blocks; same thread rule as wal_commit. Who wants to keep entries for slow
 * followers passes a lower index. NO_SPACE: nothing was deleted.
 *
 * ret_names: unlinking large files takes tens of milliseconds, for which no commit should wait. The caller has them unlinked, any time and on any
 * thread; what a crash leaves the next wal_open deletes. NULL: done here. */
MUST_USE enum rgkv_err wal_compact(struct wal *w, uint64_t index, struct buf *ret_names);
void wal_unlink(struct vfs *v, struct bytes names);
/* After a snapshot was installed, or when table and log disagree at start: forget all entries, begin after (index, term),
 * keep term and vote; commit becomes index. Blocks. */
MUST_USE enum rgkv_err wal_reset(struct wal *w, uint64_t index, uint64_t term);
uint64_t wal_bytes(const struct wal *w);       /* on disk, without what is reserved; any thread */
const char *wal_error(const struct wal *w);    /* a sentence about the last failure */

#endif
