/* A node's disk effects, done to its replicas' files off the loop; each comes back as a node's input.
 *
 * The files are DATA/replicas/GID-INCARNATION-MEMBER (replica_files.h says what is in there). */
#ifndef RGKV_NET_REPLICA_STORE_H
#define RGKV_NET_REPLICA_STORE_H

#include "net/pool.h"
#include "node/node.h"
#include "store/table_rocks.h"
#include "store/vfs.h"

#define REPLICA_STORE_RETRY_US 500000u  /* a write that found the disk full is tried again */

struct replica_stores;

struct replica_stores_options {
    struct pool *pool;
    struct vfs *vfs;
    const char *dir;                    /* DATA/replicas; copied */
    uint64_t table_budget_bytes;        /* cache and write buffers of all tables */
    int compaction_nice;                /* table_rocks.h */
    uint64_t segment_bytes;             /* of the logs */
    void (*step)(void *arg, struct node_input *i); /* an effect's outcome; its time is to be filled in */
    void (*line)(void *arg, const char *text);     /* for the program's log */
    void *arg;
};
/* Makes the directory if need be and clears away what deletions left. IO, NO_SPACE with a sentence. Blocks. */
MUST_USE enum rgkv_err replica_stores_new(const struct replica_stores_options *o, struct replica_stores **ret_s, struct buf *why);
/* Is it one of those that this module does? Takes a commit's batch. */
bool replica_stores_effect(struct replica_stores *s, struct node_effect *e);
void replica_stores_sweep(struct replica_stores *s, uint64_t now_us); /* now and then: what waits for space, what is gone */
void replica_stores_memory(const struct replica_stores *s, struct table_rocks_memory *ret_m); /* blocks; on any thread */
bool replica_stores_idle(const struct replica_stores *s);
/* Nothing is stepped any more; what runs is finished in the background (uv_run waits for it). */
void replica_stores_close(struct replica_stores *s);
void replica_stores_free(struct replica_stores *s); /* idle; closes logs and tables; after node_free */

#endif
