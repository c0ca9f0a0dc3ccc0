/* A controller's machine on a table that tests can copy and break, and short words for its commands. */
#ifndef RGKV_TESTS_CTRL_WORLD_H
#define RGKV_TESTS_CTRL_WORLD_H

#include "base/prng.h"
#include "ctrl/ctrl.h"

/* The table: a sorted array, all of it durable. */
struct table *array_table_new(void);
struct table *array_table_copy(const struct table *from);
bool array_table_eq(const struct table *a, const struct table *b);
void array_table_fail_writes(struct table *t, unsigned n);       /* the next n writes fail with IO */
unsigned array_table_rows(const struct table *t, char first);    /* how many keys begin so */
void array_table_put(struct table *t, struct bytes key, struct bytes value);
/* Row i of the table; false: there is none. */
bool array_table_row(const struct table *t, unsigned i, struct bytes *ret_key, struct bytes *ret_value);

struct world {
    struct table *table;
    struct ctrl *c;
    uint64_t index, seq;
};

void world_init(struct world *w, uint32_t nshards);
void world_release(struct world *w);
void world_restart(struct world *w);                             /* everything from the table */
struct ctrl_result world_apply(struct world *w, struct ctrl_command k);   /* without finish */
void world_finish(struct world *w);
struct ctrl_result world_do(struct world *w, struct ctrl_command k);      /* admin: gets the next sequence number */

void join_group(struct ctrl_join_group *g, uint64_t gid, const char *addrs); /* "a b c" */
struct ctrl_result world_join(struct world *w, uint64_t gid, const char *addrs);
struct ctrl_result world_leave(struct world *w, uint64_t gid);
struct ctrl_result world_move(struct world *w, uint32_t shard, uint64_t gid);
/* Binds every slot of the group to node (index of the slot + first). */
void world_bind(struct world *w, uint64_t gid, uint64_t first);
struct ctrl_result world_shard(struct world *w, enum ctrl_op op, uint32_t shard, uint64_t epoch, uint64_t gid);
/* prepare, commit, active: the shard is then served by gid. */
void world_give(struct world *w, uint32_t shard, uint64_t gid);
void world_give_wanted(struct world *w);

const struct ctrl_shard *world_at(const struct world *w, uint32_t shard);
void view_dump(const struct ctrl_view *v, struct buf *out);
void world_dump(const struct world *w, struct buf *out);

#endif
