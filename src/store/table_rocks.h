/* The table on disk: RocksDB with its own log off (durability is the raft log's until a flush has ended).
 *
 * One database per replica; all of one process share a block cache and a write-buffer budget.
 *
 * Reads, snapshots, iterators and flushes may run on any threads; table_write on one at a time. A full disk makes writes
 * and flushes fail with NO_SPACE, without waiting, and they succeed again by themselves a few seconds after there is
 * space (RocksDB looks again every five). Freeing keeps everything that was written, if the disk lets it. */
#ifndef RGKV_STORE_TABLE_ROCKS_H
#define RGKV_STORE_TABLE_ROCKS_H

#include "kv/table.h"
#include "store/patience.h"

struct table_rocks_shared;  /* cache, write buffer manager, background threads */

/* The threads that compact have the caller's nice value and `compaction_nice` more (of the first call: a process has them once). */
struct table_rocks_shared *table_rocks_shared_new(uint64_t budget_bytes, int compaction_nice);
void table_rocks_shared_free(struct table_rocks_shared *s);
/* How long whoever asks for what can be had now may still wait: until then a file is read for him. */
struct patience *table_rocks_patience(struct table_rocks_shared *s);
/* Opens or creates; whoever names `dir` syncs the directory that it is in. `why` gets RocksDB's own words on failure (DAMAGED, IO, CONFLICT, NO_SPACE). */
MUST_USE enum rgkv_err table_rocks_open(const char *dir, struct table_rocks_shared *shared, struct table **ret_t, struct buf *why);
/* Makes everything written before the call durable. Blocks; may run on a pool thread while the loop reads and writes. */
MUST_USE enum rgkv_err table_rocks_flush(struct table *t);
/* Flushes, and writes what lives in [from, to) once more, so that the disk has back what does not. Blocks for as long as reading the
 * range takes; may run on a pool thread as a flush may. */
MUST_USE enum rgkv_err table_rocks_trim(struct table *t, struct bytes from, struct bytes to);
/* No trim goes on, nor begins: for who is to end soon. What was rewritten so far stays so. Any thread; waits until those that run have noticed
 * (RocksDB 7.8: one that waits for an ordinary compaction notices when that has ended). */
void table_rocks_trims_end(struct table_rocks_shared *s);

/* Of all open tables together, for people. Any thread. */
struct table_rocks_memory {
    uint64_t buffers;          /* written and not flushed yet */
    uint64_t cache;
    uint64_t indexes;          /* of readers, outside the cache */
};
void table_rocks_memory(struct table_rocks_shared *s, struct table_rocks_memory *ret_m);

#endif
