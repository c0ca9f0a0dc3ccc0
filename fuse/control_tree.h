/* The control tree `/.ctrl` as a table: which files there are, what may be done with them, and their node numbers. Pure.
 *
 * A node number says everything: bit 62, then the kind, then for configs/N and groups/G the number. So nothing is remembered for
 * the kernel. */
#ifndef RGKV_FUSE_CONTROL_TREE_H
#define RGKV_FUSE_CONTROL_TREE_H

#include "base/bytes.h"

enum control_kind {
    CONTROL_TOP = 1, CONTROL_CONFIG, CONTROL_CONFIGS, CONTROL_CONFIG_N, CONTROL_QUERY, CONTROL_JOINS, CONTROL_LEAVES, CONTROL_MOVE_TO, CONTROL_ABANDONS, CONTROL_SHARDS, CONTROL_MOVES,
    CONTROL_SETTLED, CONTROL_STATUS, CONTROL_HEALTH, CONTROL_GROUPS, CONTROL_GROUP, CONTROL_GROUP_MEMBERS, CONTROL_GROUP_LEADER, CONTROL_GROUP_SHARDS,
    CONTROL_GROUP_KEYS, CONTROL_GROUP_BYTES, CONTROL_NODES, CONTROL_METRICS, CONTROL_EVENTS,
    CONTROL_ERROR, CONTROL_VERSION, CONTROL_MOUNT, CONTROL_MOUNT_OPTIONS, CONTROL_MOUNT_STATS, CONTROL_MOUNT_INFLIGHT, CONTROL_MOUNT_ABORT,
    CONTROL_KIND_COUNT
};
struct control_row {
    enum control_kind kind, parent;
    const char *name;              /* NULL: the name is the number */
    bool directory;
    unsigned mode;                 /* permission bits */
    bool local;                    /* works with the cluster dead */
};

#define CONTROL_NUMBER_MAX ((1ull << 48) - 1)
bool control_is(uint64_t id);
uint64_t control_id(enum control_kind kind, uint64_t number);
uint64_t control_number(uint64_t id);
const struct control_row *control_row(uint64_t id);                  /* NULL: there is no such kind */
/* A name in a directory; 0: none. Whether a configs/N or groups/G exists is another question. */
uint64_t control_child(uint64_t directory, const char *name);
/* The i-th fixed child; 0: no more. */
uint64_t control_fixed_child(uint64_t directory, unsigned i);
/* A number as it is written there: digits without a leading zero; `ctl` for group 0. */
void control_print_name(uint64_t id, char name[32]);
#define CONTROL_PATH_BYTES_MAX 96u
void control_print_path(uint64_t id, char path[CONTROL_PATH_BYTES_MAX]); /* ".ctrl/groups/101/leader" */

#endif
