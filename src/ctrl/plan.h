/* What the controller's leader should do next: nodes' reports and the time in, commands out.
 *
 * Reports are hints that live in memory of the leader only; every decision made from them is a logged command that compares and
 * sets (P17), so a report of yesterday does no harm. */
#ifndef RGKV_CTRL_PLAN_H
#define RGKV_CTRL_PLAN_H

#include "ctrl/ctrl.h"
#include "ctrl/metric.h"
#include "kv/kv.h"

struct ctrl_report_shard {
    uint32_t shard;
    enum kv_shard_state state;
    uint64_t epoch;
    uint64_t keys, bytes;
    uint64_t progress;             /* of an import: a change says that it goes on */
};
struct ctrl_report_member {        /* of the raft configuration in force, as its leader sees it */
    uint64_t id;
    bool voter;
    bool recent;                   /* was heard of lately */
    uint64_t behind;               /* entries that it lacks */
};
struct ctrl_report_replica {
    uint64_t gid, incarnation, member;
    bool leader;                   /* only a leader that heard of a quorum lately says so; its shards are believed */
    uint64_t term, applied, leader_member;
    uint64_t log_bytes, disk_bytes;
    bool lost;                     /* its log is gone: it takes no part, and is there to be deleted (P1) */
    bool configured;               /* only of leaders: `members` are committed, no change is under way */
    unsigned n_members;            /* only of leaders */
    struct ctrl_report_member members[MEMBERS_MAX];
    unsigned n_shards;             /* only of leaders; shards that are not KV_NONE */
    const struct ctrl_report_shard *shards;
};
struct ctrl_report {
    uint64_t node;                 /* node id */
    char addr[ADDR_BYTES_MAX];
    char version[32];
    uint64_t boot_us;              /* uptime */
    uint64_t view;                 /* placement version that the node had when it made this; 0: none yet */
    uint64_t disk_free, disk_total;
    uint64_t memory_bytes;         /* resident */
    uint64_t stall_us;             /* the longest that the node's loop stood still in the last 10 to 20 s */
    unsigned n_replicas;
    const struct ctrl_report_replica *replicas;
    unsigned n_metrics;            /* at most METRICS_PER_REPORT_MAX */
    const struct ctrl_report_metric *metrics;
};

struct ctrl_plan;
struct ctrl_plan *ctrl_plan_new(uint64_t now_us);
void ctrl_plan_free(struct ctrl_plan *p);
/* Copies what it keeps. A newer report of a node replaces the older. One without node id or beyond the limits is ignored. */
void ctrl_plan_report(struct ctrl_plan *p, const struct ctrl_report *r, uint64_t now_us);
/* The commands that are due now, at most `max`; none is repeated within 1 s unless the state changed. Called after reports, after applies
 * and at ticks. Rules: bind free slots to the nodes that listen at their addresses (never a node twice in a group); prepare what
 * the config wants, at most 4 moves per destination at once (first assignments have nothing to copy and are not
 * counted), only to a group whose leader reported within 3 s, holder
 * active (P15, P16), first assignments included (P13); commit on a fresh prepared(e) report, active on serving(e); abort after 3 s without a
 * report of the destination's leader or when the target is no longer wanted (P17: a target that is still wanted lives through new configs);
 * dropped, retire, buried, and members promoted and removed (P20), from reports. A move whose copy makes no progress for 10 s is aborted too, with back-off, and none is
 * prepared while its holder does not answer (P16): it would only wait. time_us of the commands is the proposer's to set. */
unsigned ctrl_plan_next(struct ctrl_plan *p, const struct ctrl *c, uint64_t now_us, struct ctrl_command *ret_commands, unsigned max);
/* The leader of a group (0: the controller) as reported within 3 s: its member id and where its node listens; 0: none is known. */
uint64_t ctrl_plan_leader(const struct ctrl_plan *p, const struct ctrl_view *v, uint64_t gid, uint64_t now_us, char ret_addr[ADDR_BYTES_MAX]);
/* What that leader says of a member of its configuration; false: it is none. */
bool ctrl_plan_member(const struct ctrl_plan *p, const struct ctrl_view *v, uint64_t gid, uint64_t member, uint64_t now_us,
                      struct ctrl_report_member *ret_m);
/* Has it been there for so long that who answers has reported? Before, silence says nothing. */
bool ctrl_plan_settled_in(const struct ctrl_plan *p, uint64_t now_us);
/* Does a leader of the group answer? */
bool ctrl_plan_led(const struct ctrl_plan *p, const struct ctrl *c, uint64_t gid, uint64_t now_us);
/* A node's newest report (NULL: none) and its age; for status texts. `i` from 0. */
const struct ctrl_report *ctrl_plan_node(const struct ctrl_plan *p, unsigned i, uint64_t now_us, uint64_t *ret_age_us);

#endif
