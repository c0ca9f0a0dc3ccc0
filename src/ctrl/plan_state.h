/* The inside of the planner, for plan*.c and the status texts.
 *
 *   plan.c           one round: state and reports in, commands out
 *   plan_moves.c     the rules of shards on the way
 *   plan_members.c   members that come and go
 *   plan_reports.c   what nodes said, and whom to believe
 *   plan_memory.c    what was asked lately, and since when something is seen */
#ifndef RGKV_CTRL_PLAN_STATE_H
#define RGKV_CTRL_PLAN_STATE_H

#include "ctrl/plan.h"

#define uthash_malloc(bytes) mem_alloc(bytes)
#define uthash_free(p, bytes) mem_free(p)
#include <uthash.h>

#define REPORT_FRESH_US 3000000u      /* a leader or node that said nothing for longer does not answer */
#define SOURCE_SILENT_US 1500000u     /* a move whose source said nothing for longer takes no other's turn */
#define MOVE_STALLED_US 10000000u     /* a copy without progress is given up after that */
#define ASK_AGAIN_US 1000000u
#define BACKOFF_US_MAX 30000000u
#define MOVES_PER_GROUP_MAX 4u
#define ASKED_MAX 8192u               /* commands of the last second */

struct plan_node {
    struct ctrl_report report;        /* arrays are ours; shards sorted */
    uint64_t received_us;
};

/* What the planner saw of a shard: state of this leader only, begun anew by the next. */
struct plan_track {
    uint64_t holder, epoch, target;   /* as seen in the last round; a change begins a new track */
    uint64_t since_us;
    uint64_t heard_us;                /* newest report of the destination's leader */
    uint64_t progress_us;
    uint64_t keys, bytes, progress;
    enum kv_shard_state state;
    unsigned aborts;                  /* in a row */
    uint64_t aborted_epoch;
    uint64_t retry_us;                /* no prepare before */
};

struct plan_key {                     /* all 64 bits: compared as bytes */
    uint64_t op, gid, incarnation, member, node, shard, epoch, addr_hash;
};
struct plan_asked {
    struct plan_key key;
    uint64_t at_us;
    UT_hash_handle hh;
};
struct plan_since {                   /* a drop or a tombstone, since when it is there */
    struct plan_key key;
    uint64_t us, version, round;
    UT_hash_handle hh;
};

struct ctrl_plan {
    struct plan_node *nodes;          /* sorted by id */
    unsigned n_nodes;
    struct plan_asked *asked;
    struct plan_since *since;
    struct plan_track *tracks;
    uint32_t n_tracks;
    uint64_t round;
    uint64_t began_us;                /* before, nobody reported to this leader */
};

/* A group's leader as reported: NULL replica if none is known to answer. */
struct plan_leader {
    const struct ctrl_report_replica *replica;
    const struct plan_node *node;
};

const struct plan_node *plan_node(const struct ctrl_plan *p, uint64_t id);               /* or NULL */
const struct plan_node *plan_node_fresh(const struct ctrl_plan *p, uint64_t id, uint64_t now_us);
bool plan_fresh(const struct plan_node *n, uint64_t now_us);
const struct ctrl_report_replica *plan_replica(const struct plan_node *n, uint64_t gid, uint64_t incarnation, uint64_t member);
struct plan_leader plan_leader(const struct ctrl_plan *p, const struct ctrl_group *g, uint64_t now_us);
bool plan_disk_full(const struct plan_leader *l); /* nothing can be copied to it (P29) */
/* NULL: the leader has nothing of the shard, or there is no leader. */
const struct ctrl_report_shard *plan_shard(const struct plan_leader *l, uint32_t shard);

/* One call of ctrl_plan_next. */
struct plan_group {
    struct plan_leader leader;
    unsigned moves;                   /* towards it, with those just asked for */
    bool busy;                        /* holds, imports or must drop something */
    uint64_t progress_us;             /* newest of the moves towards it */
};
struct plan_round {
    struct ctrl_plan *p;
    const struct ctrl_view *v;
    const struct ctrl_drop *drops;
    unsigned n_drops;
    uint64_t now_us;
    struct plan_group *groups;        /* as v->groups */
    struct ctrl_command *out;
    unsigned n, max;
};
struct plan_group *plan_round_group(const struct plan_round *r, uint64_t gid); /* NULL: unknown */
/* Puts the command out unless it was asked within the last second; true if it went out. */
bool plan_ask(struct plan_round *r, const struct ctrl_command *k);
void plan_forget_asked(struct ctrl_plan *p, uint64_t now_us);
bool plan_source_answers(const struct plan_round *r, uint64_t holder); /* false, too, if there is none */
/* Prepares on the way count against their destination. */
void plan_count_asked(struct plan_round *r);
const struct plan_since *plan_since(struct plan_round *r, const struct ctrl_command *thing);
void plan_forget_since(struct ctrl_plan *p);
void plan_memory_release(struct ctrl_plan *p);

void plan_bind(struct plan_round *r, const struct ctrl_group *g);
void plan_follow_addrs(struct plan_round *r, const struct ctrl_group *g);
void plan_members(struct plan_round *r);      /* promoted, removed; and all of the controller's own */
/* Was this said by somebody who could know that the thing is there? */
bool plan_said_after(const struct plan_node *n, const struct plan_since *since);
/* What the group's leader says of a member of its configuration, or NULL. */
const struct ctrl_report_member *plan_member(const struct plan_leader *l, uint64_t id);

void plan_tracks_follow(struct plan_round *r);
void plan_moves_end(struct plan_round *r);    /* commit, abort, active */
void plan_moves_begin(struct plan_round *r);  /* prepare */

#endif
