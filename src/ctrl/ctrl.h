/* The controller: what the administrator wants (config) and what is (placement), as the state machine of group 0,
 * and the pure decisions around it.
 *
 * Split by idea:
 *   balance.h   config × change -> shards to groups (pure, deterministic, minimal)
 *   ctrl.h      the replicated machine: commands in, state over a table, views out
 *   plan.h      what the leader should propose next, from state, nodes' reports and the time
 *   text.h      control-file texts: parsing what people write, printing what they read
 *
 * Group ids are numbers > 0 that the administrator chose; 0 is the controller. An incarnation is the number of the
 * config that a group joined with (P3). Epochs come only from here: + 1 on each prepare and each abort (P14).
 *
 * One shard's placement:
 *
 *     holder H active ──prepare(T)──▶ moving H→T, epoch e+1 ──commit──▶ holder T, epoch e+1, not active yet
 *            ▲                              │ abort: epoch e+2                       │ T reported serving(e+1)
 *            └──────────────────────────────┘◀───────────────────────────────────────┘ active
 */
#ifndef RGKV_CTRL_CTRL_H
#define RGKV_CTRL_CTRL_H

#include "base/bytes.h"
#include "kv/table.h"

/* ---- config: numbered, immutable ---- */

struct ctrl_config_group {
    uint64_t gid, incarnation;
    unsigned n;
    char addrs[MEMBERS_MAX][ADDR_BYTES_MAX]; /* as joined, in order */
};
struct ctrl_config {
    uint64_t num;
    uint32_t nshards;
    uint64_t *shards;              /* gid per shard, 0 = none */
    unsigned n_groups;             /* sorted by gid */
    struct ctrl_config_group *groups;
};
void ctrl_config_release(struct ctrl_config *c);
void ctrl_config_copy(const struct ctrl_config *from, struct ctrl_config *ret_to);

/* ---- view: what nodes and clients are told ---- */

/* What is wanted of a member and not yet done (P20); the group's own log does it:
 *
 *     add ──▶ JOINING ──promoted──▶ IN ──remove──▶ LEAVING ──removed──▶ a tombstone
 *                ├───────────────remove──────────────▲ │
 *                ▲─────────────────────────keep────────┴─┘
 */
enum ctrl_member_state { CTRL_MEMBER_IN, CTRL_MEMBER_JOINING, CTRL_MEMBER_LEAVING };
struct ctrl_member {
    uint64_t id;                   /* raft member id: unique in the cluster, never reused */
    uint64_t node;                 /* 0: no node has taken the slot yet */
    bool founding;                 /* may start with the founding list (P1, P20) */
    enum ctrl_member_state state;
    uint64_t replaces;             /* JOINING: the member that leaves once this one votes; 0: none. Not told to nodes */
    char addr[ADDR_BYTES_MAX];
};
struct ctrl_group {
    uint64_t gid, incarnation;
    bool in_config;                /* false: it left, but still holds something */
    bool founded;                  /* all founding slots were bound: members may create their replicas */
    unsigned n;
    struct ctrl_member members[MEMBERS_MAX];
};
struct ctrl_shard {
    uint64_t holder;               /* gid, 0: never assigned */
    uint64_t epoch;
    uint64_t target;               /* gid, 0: not moving */
    bool active;                   /* the holder reported serving(epoch) */
    uint64_t wanted;               /* what the newest config says */
};
struct ctrl_tombstone {            /* a replica that is to be deleted (P4): by committed decision only */
    uint64_t gid, incarnation, member, node;
};
struct ctrl_view {
    uint64_t cluster;
    uint64_t version;              /* placement version: grows with every change of anything here */
    uint64_t config_num;
    uint32_t nshards;
    struct ctrl_shard *shards;
    unsigned n_groups;             /* sorted by gid */
    struct ctrl_group *groups;
    unsigned n_controllers;
    struct ctrl_member controllers[MEMBERS_MAX];
    unsigned n_tombstones;
    struct ctrl_tombstone *tombstones;
};
void ctrl_view_release(struct ctrl_view *v);
void ctrl_view_copy(const struct ctrl_view *from, struct ctrl_view *ret_to);
const struct ctrl_group *ctrl_view_group(const struct ctrl_view *v, uint64_t gid); /* or NULL */
/* The controllers as a group (gid 0, founded), for what looks at groups. */
void ctrl_view_controllers(const struct ctrl_view *v, struct ctrl_group *ret_g);
bool ctrl_group_has_node(const struct ctrl_group *g, uint64_t node);

/* ---- commands: what the log of group 0 holds ---- */

enum ctrl_op {
    CTRL_INIT = 1,   /* cluster, nshards, groups[0] and gids: the founding controllers' addresses and node ids, in
                        the order of their member ids 1, 2, …; only the first one counts */
    CTRL_JOIN,       /* groups */
    CTRL_LEAVE,      /* gids */
    CTRL_MOVE,       /* shard -> gid */
    /* proposed by the controller's leader (plan.h), compare-and-set at apply (P17) */
    CTRL_BIND,       /* gid, incarnation, member takes node, addr: only if the slot is free (P1) */
    CTRL_ADDR,       /* node now listens at addr */
    CTRL_PREPARE,    /* shard, epoch (the current one), gid = target */
    CTRL_COMMIT,     /* shard, epoch */
    CTRL_ACTIVE,     /* shard, epoch */
    CTRL_ABORT,      /* shard, epoch */
    CTRL_DROPPED,    /* gid, shard, epoch: the old holder reported that it holds nothing of the shard */
    CTRL_RETIRE,     /* gid, incarnation: left, holds nothing, nothing to drop -> tombstones */
    CTRL_BURIED,     /* gid, incarnation, member: the node reported the replica deleted */
    CTRL_ADD_MEMBER, /* admin: gid (0: the controller) gets a member at addr; member: the one that it replaces, or 0 */
    CTRL_REMOVE_MEMBER, /* admin: gid, member */
    CTRL_PROMOTED,   /* gid, incarnation, member: the group has committed that it votes */
    CTRL_REMOVED,    /* gid, incarnation, member: the group has committed that it is no member -> tombstone */
    CTRL_TRANSFER,   /* admin, never logged: gid's member shall lead (the node's handover.c) */
    CTRL_KEEP_MEMBER, /* admin: gid, member: it leaves no more */
    CTRL_ABANDON,    /* admin: gid is gone for ever: its shards begin empty (P19) */
    CTRL_OP_LAST = CTRL_ABANDON
};
bool ctrl_op_admin(enum ctrl_op op); /* JOIN, LEAVE, MOVE, ABANDON and those of members: logged, exactly once */

struct ctrl_join_group {
    uint64_t gid;
    unsigned n;
    char addrs[MEMBERS_MAX][ADDR_BYTES_MAX];
};
struct ctrl_command {
    enum ctrl_op op;
    uint64_t time_us;              /* logged time of group 0 */
    uint64_t client, seq, born_us; /* admin commands: exactly once */
    unsigned n_groups;
    const struct ctrl_join_group *groups;
    unsigned n_gids;
    const uint64_t *gids;
    uint64_t gid, incarnation, member, node, epoch, cluster;
    uint32_t shard, nshards;
    char addr[ADDR_BYTES_MAX];
};
/* What can be said without state. INVALID, RANGE; the sentence goes into `why` (may be NULL). */
MUST_USE enum rgkv_err ctrl_command_check(const struct ctrl_command *c, struct buf *why);

struct ctrl_result {
    enum rgkv_err err;
    uint64_t config_num;           /* admin commands: the new config's number */
    char why[160];                 /* a sentence for a person, "" if OK */
    bool duplicate;
};

/* ---- the machine ---- */

struct ctrl;
MUST_USE enum rgkv_err ctrl_open(struct table *t, struct ctrl **ret_c); /* reads its state from the table */
void ctrl_free(struct ctrl *c);
/* As kv_apply / kv_finish: an error is the disk's. What the command was answered is in the result: commands of the
 * controller itself that do not fit the state (any more) change nothing and give STALE, BUSY, NOT_FOUND or CONFLICT. */
MUST_USE enum rgkv_err ctrl_apply(struct ctrl *c, const struct ctrl_command *command, struct ctrl_result *ret_r);
MUST_USE enum rgkv_err ctrl_finish(struct ctrl *c, struct bytes applied); /* again with the same row: tries again after NO_SPACE */

bool ctrl_has_result(const struct ctrl *c, const struct ctrl_command *command); /* of an admin command: a copy of it is answered so */
bool ctrl_initialised(const struct ctrl *c);
uint64_t ctrl_time_us(const struct ctrl *c);
/* Of the state as applied (finished or not: call after ctrl_finish). Borrowed until the next apply. */
const struct ctrl_view *ctrl_view(const struct ctrl *c);
/* num UINT64_MAX = newest. NOT_FOUND; NO_SPACE: it may be among what the table does not take. Given to the caller. */
MUST_USE enum rgkv_err ctrl_query(struct ctrl *c, uint64_t num, struct ctrl_config *ret_config);
/* Pending drops: (gid, shard, epoch). */
struct ctrl_drop {
    uint64_t gid, epoch;
    uint32_t shard;
};
const struct ctrl_drop *ctrl_drops(const struct ctrl *c, unsigned *ret_n);

#endif
