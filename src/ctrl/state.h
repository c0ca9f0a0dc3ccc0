/* The inside of the controller's machine, for the files of this folder only.
 *
 *   ctrl.c          open, apply, finish, query
 *   apply_admin.c   JOIN, LEAVE, MOVE: a new config, or a sentence why not
 *   apply_abandon.c a group that is gone for ever
 *   apply_group.c   slots, addresses, retired groups
 *   apply_members.c members of a group, or of the controller, come and go
 *   apply_shard.c   the phases of a shard's move
 *   results.c       exactly once: what admin commands were answered
 *   drops.c         what groups still have to throw away
 *   rows.c          all of it as rows of the table; batch.c: the unfinished batch
 *   config.c, view.c, check.c   values
 *
 * Nothing here may depend on an address, on the order of a hash table or on where a batch ends: every replica computes
 * the same rows from the same log. What can be derived is not stored: a shard's `wanted` and a group's `in_config` come from
 * the newest config. */
#ifndef RGKV_CTRL_STATE_H
#define RGKV_CTRL_STATE_H

#include "ctrl/ctrl.h"

#define RESULTS_MAX 4096u  /* admin results kept, in log order */
#define MEMBER_FIRST 1000u /* raft member ids below are the controllers', given at founding */

struct batch_row {
    bool put; /* false: delete */
    size_t key_at, key_len, value_at, value_len;
};
struct batch {
    struct buf bytes;
    struct batch_row *rows;
    size_t n, cap;
};

struct outcome {
    uint64_t client, seq, time_us, config_num;
    enum rgkv_err err;
    char why[160];
};
struct results {
    struct outcome *ring;   /* ordinal % RESULTS_MAX; NULL until the first */
    uint64_t first, next;   /* ordinals that are kept: [first, next) */
    uint64_t evicted_us;    /* time of the newest that was evicted, if first > 0 */
};

struct ctrl {
    struct table *table;
    uint64_t time_us;
    uint64_t member_next;
    struct ctrl_config config; /* the newest; older ones are rows only */
    struct ctrl_view view;
    struct ctrl_drop *drops;   /* sorted by gid, shard: at most one each, the newest epoch */
    unsigned n_drops;
    struct results results;
    struct batch batch;
    bool view_changed;         /* by the command that is being applied */
};

/* Says no. `format` makes result.why; longer sentences are cut. */
void ctrl_refuse(struct ctrl_result *r, enum rgkv_err err, const char *format, ...) PRINTF(3, 4);

void ctrl_apply_admin(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r);
void ctrl_apply_abandon(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r);
void ctrl_apply_bind(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r);
void ctrl_apply_addr(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r);
void ctrl_apply_add_member(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r);
void ctrl_apply_remove_member(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r);
void ctrl_apply_keep_member(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r);
void ctrl_apply_promoted(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r);
void ctrl_apply_removed(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r);
void ctrl_apply_retire(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r);
void ctrl_apply_buried(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r);
void ctrl_apply_prepare(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r);
void ctrl_apply_commit(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r);
void ctrl_apply_active(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r);
void ctrl_apply_abort(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r);
void ctrl_apply_dropped(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r);

/* The members of a group, or of the controller (gid 0). */
struct ctrl_members {
    uint64_t gid, incarnation;
    struct ctrl_member *all;
    unsigned *n;
    struct ctrl_group *group;  /* NULL: the controller */
};
bool ctrl_members_of(struct ctrl *c, uint64_t gid, struct ctrl_members *ret_m); /* false: no such group */
/* As ctrl_members_of, of the command's incarnation; or refuses. */
bool ctrl_members_named(struct ctrl *c, const struct ctrl_command *k, struct ctrl_members *ret_m, struct ctrl_result *r);
struct ctrl_member *ctrl_members_find(const struct ctrl_members *m, uint64_t id); /* or NULL */
bool ctrl_members_have_node(const struct ctrl_members *m, uint64_t node);
void ctrl_members_store(struct ctrl *c, const struct ctrl_members *m); /* their row; the view has changed */
void ctrl_bury_later(struct ctrl *c, const struct ctrl_tombstone *t);

/* A new config after the newest, and it in force: one for each admin command that changes what is wanted. */
void ctrl_config_next(const struct ctrl *c, struct ctrl_config *ret_next);
void ctrl_config_install(struct ctrl *c, struct ctrl_config *next, struct ctrl_result *r); /* takes it */

/* A group that left but still holds, imports or must drop something is not idle (P3). */
bool ctrl_group_idle(const struct ctrl *c, uint64_t gid);
void ctrl_group_found(struct ctrl *c, const struct ctrl_join_group *join, uint64_t incarnation);
void ctrl_group_retire(struct ctrl *c, uint64_t gid);

/* true: this command was answered before; its result is in r. */
bool ctrl_results_find(const struct results *all, const struct ctrl_command *k, struct ctrl_result *r);
/* true: its result, if there was one, may have been evicted (never execute it). */
bool ctrl_results_expired(const struct results *all, const struct ctrl_command *k);
void ctrl_results_record(struct ctrl *c, const struct ctrl_command *k, const struct ctrl_result *r);
void ctrl_results_restore(struct results *all, uint64_t ordinal, const struct outcome *o);

const struct ctrl_drop *ctrl_drops_find(const struct ctrl *c, uint64_t gid, uint32_t shard);
bool ctrl_drops_of(const struct ctrl *c, uint64_t gid);
void ctrl_drops_add(struct ctrl *c, uint64_t gid, uint32_t shard, uint64_t epoch); /* with its row */
void ctrl_drops_remove(struct ctrl *c, uint64_t gid, uint32_t shard);              /* with its row; need not exist */
void ctrl_drops_restore(struct ctrl *c, const struct ctrl_drop *d);

unsigned ctrl_config_group_at(const struct ctrl_config *c, uint64_t gid); /* index, or where it would be */
bool ctrl_config_has(const struct ctrl_config *c, uint64_t gid);
void ctrl_config_add(struct ctrl_config *c, const struct ctrl_join_group *g, uint64_t incarnation);
void ctrl_config_remove(struct ctrl_config *c, uint64_t gid);
void ctrl_config_rebalance(struct ctrl_config *c);

struct ctrl_group *ctrl_view_group_mut(struct ctrl_view *v, uint64_t gid);
struct ctrl_group *ctrl_view_group_add(struct ctrl_view *v, uint64_t gid);
void ctrl_view_group_remove(struct ctrl_view *v, uint64_t gid);
bool ctrl_view_group_holds(const struct ctrl_view *v, uint64_t gid);
void ctrl_view_tombstone_add(struct ctrl_view *v, const struct ctrl_tombstone *t);
bool ctrl_view_tombstone_remove(struct ctrl_view *v, const struct ctrl_tombstone *t);
/* wanted and in_config, anew from the newest config. */
void ctrl_view_follow_config(struct ctrl *c);

static inline void addr_copy(char *to, const char *from)
{
    size_t len = strnlen(from, ADDR_BYTES_MAX - 1);
    memset(to, 0, ADDR_BYTES_MAX);
    memcpy(to, from, len);
}

void ctrl_batch_put(struct batch *b, struct bytes key, struct bytes value);
void ctrl_batch_delete(struct batch *b, struct bytes key);
MUST_USE enum rgkv_err ctrl_batch_write(struct batch *b, struct table *t); /* empties it if that went well */
void ctrl_batch_release(struct batch *b);

void ctrl_rows_put_config(struct ctrl *c);
void ctrl_rows_put_shard(struct ctrl *c, uint32_t shard);
void ctrl_rows_put_group(struct ctrl *c, const struct ctrl_group *g);
void ctrl_rows_put_controllers(struct ctrl *c);
void ctrl_rows_delete_group(struct ctrl *c, uint64_t gid);
void ctrl_rows_put_tombstone(struct ctrl *c, const struct ctrl_tombstone *t);
void ctrl_rows_delete_tombstone(struct ctrl *c, const struct ctrl_tombstone *t);
void ctrl_rows_put_drop(struct ctrl *c, const struct ctrl_drop *d);
void ctrl_rows_delete_drop(struct ctrl *c, uint64_t gid, uint32_t shard);
void ctrl_rows_put_result(struct ctrl *c, uint64_t ordinal, const struct outcome *o);
void ctrl_rows_delete_result(struct ctrl *c, uint64_t ordinal);
void ctrl_rows_put_meta(struct ctrl *c);
MUST_USE enum rgkv_err ctrl_rows_load(struct ctrl *c); /* a blank table: the machine before CTRL_INIT */
MUST_USE enum rgkv_err ctrl_rows_load_config(struct ctrl *c, uint64_t num, struct ctrl_config *ret_config);

#endif
