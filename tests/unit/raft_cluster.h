/* A raft group in memory, in virtual time, from a seed: nodes with disks that forget what was not synced, a
 * network that loses, doubles, delays and cuts, and an oracle that looks at everything that happens:
 *
 *   one leader in a term; an entry (index, term) has one content and one predecessor wherever it appears (log
 *   matching); a committed entry never changes, and each node hands each index out once and in order; a new leader
 *   has every committed entry; commit and term of a node never go back, not over a crash either; applied states
 *   agree; a read is never older than what was committed anywhere when it began.
 *
 * A check that fails ends the test and names the seed. Nodes are 1 … n. */
#ifndef RGKV_TESTS_RAFT_CLUSTER_H
#define RGKV_TESTS_RAFT_CLUSTER_H

#include "tests/unit/unit.h"

#include "base/prng.h"
#include "raft/raft.h"

#define NODES 9u
#define MS 1000ull
#define ELECTION_US (150 * MS)
#define HEARTBEAT_US (30 * MS)

struct cluster_options {
    unsigned nodes;
    unsigned voters;         /* founding members 1 … voters; the others start blank */
    uint64_t seed;
    bool no_noop;
    uint64_t election_us, heartbeat_us; /* 0: ELECTION_US, HEARTBEAT_US */
    bool lazy_collect;       /* collect some time after a step, not at once */
    unsigned drop_percent, dup_percent;
    uint64_t delay_us_max;   /* of a message */
    uint64_t sync_us_max;    /* of a write */
    unsigned compact_every;  /* applied entries; 0: never */
};

struct cluster;
struct cluster *cluster_new(const struct cluster_options *options);
void cluster_free(struct cluster *c);
struct cluster_options *cluster_settings(struct cluster *c); /* the network may change while it runs */
struct prng *cluster_prng(struct cluster *c);
uint64_t cluster_now(const struct cluster *c);

void cluster_run(struct cluster *c, uint64_t us);
void cluster_crash(struct cluster *c, unsigned node);   /* a prefix of what was not synced may survive */
void cluster_restart(struct cluster *c, unsigned node);
void cluster_pause(struct cluster *c, unsigned node, bool paused); /* SIGSTOP: messages queue up */
void cluster_cut(struct cluster *c, unsigned from, unsigned to, bool cut); /* one way */
void cluster_isolate(struct cluster *c, unsigned node);
void cluster_connect(struct cluster *c, unsigned node);
void cluster_heal(struct cluster *c);                   /* reconnects, restarts and resumes everybody; a fair network */

unsigned cluster_unsynced(const struct cluster *c, unsigned node); /* writes on their way to its disk */
bool cluster_up(const struct cluster *c, unsigned node);
struct raft *cluster_raft(struct cluster *c, unsigned node);
struct raft_status cluster_status(struct cluster *c, unsigned node);
/* Any input; then what follows from it. */
enum rgkv_err cluster_step(struct cluster *c, unsigned node, struct raft_input input);
uint64_t cluster_propose(struct cluster *c, unsigned node, const char *text); /* its index, or 0 */
bool cluster_propose_config(struct cluster *c, unsigned node, const struct raft_config *config);
bool cluster_read(struct cluster *c, unsigned node);    /* checked when it is confirmed */

unsigned cluster_leader(struct cluster *c);             /* of the highest term, connected; 0: none */
unsigned cluster_wait_leader(struct cluster *c);        /* fails after 5 s */
uint64_t cluster_committed(const struct cluster *c);    /* highest index known as committed by anyone */
bool cluster_committed_is(const struct cluster *c, uint64_t index, const char *text);
unsigned cluster_applied_by(const struct cluster *c, uint64_t index); /* how many nodes that are up */
/* Propose at whoever leads until applied by `nodes` nodes; fails after 10 s. The index. */
uint64_t cluster_agree(struct cluster *c, const char *text, unsigned nodes);

struct cluster_counts {
    uint64_t messages, message_bytes, elections, crashes, snapshots, reads, reads_failed, syncs, truncations;
};
const struct cluster_counts *cluster_counts(const struct cluster *c);
void cluster_check(struct cluster *c, bool condition, const char *what); /* names the seed */
bool cluster_voter_is(struct cluster *c, unsigned node, unsigned member);
struct raft_config cluster_config(unsigned voters, unsigned learners); /* 1 … voters, then the learners */

#endif
