/* The consensus core: one member of one raft group, as a pure state machine (Ongaro's dissertation; section
 * numbers below are its).
 *
 *     raft_step(r, input)       takes one input, changes state; sends nothing, writes nothing
 *     raft_collect(r, ready)    what the outside must do now, as data; the next steps' effects come next time
 *
 * No clock, no randomness of its own (time comes with inputs, timeouts from the seed), no I/O, no callback.
 * Many inputs may be stepped before one collect: proposals then travel in one message and one sync.
 *
 * Order is data. Of one ready, in this order:
 *   1. `messages` may be sent at once;
 *   2. `append` (truncating the log from append[0].index on) and `hard_state` are written as one batch;
 *      if `must_sync`, that batch is made durable (with nothing to write, too: then it is an earlier batch,
 *      still on its way, that must be durable before 3);
 *   3. only then `messages_after_sync` may be sent (votes, acknowledgements), and RAFT_PERSISTED is stepped
 *      with the last appended (index, term). Batches are synced in the order of their collects; a later ready
 *      may be collected while an earlier one's sync is still running, as often as the outside likes;
 *   4. `committed` entries are applied in order, any time after the collect (they may not be durable on this
 *      member yet: a quorum has them), then RAFT_APPLIED is stepped;
 *   5. reads confirmed may be answered once applied >= their index.
 *
 * The newest part of the log is kept in memory, shared with the outside as counted blobs; the outside bounds it
 * (RAFT_EVICTED). What it still has on its disk of the entries before (RAFT_COMPACTED says where that begins) is asked for
 * by `fetches` when a peer needs it: sending entries is cheaper than sending a table, and ends (B42).
 *
 * Ownership: everything that an input points to is borrowed for the call; entries' payloads are referenced
 * (blob_ref), messages copied. What a ready points to is valid until the next raft_step, raft_collect or
 * raft_free; who wants to keep a payload takes a reference.
 *
 * A member that is not a voter of the configuration in force never campaigns. Learners replicate and are never
 * asked for a vote; who is asked answers (its own log may not say yet that it was promoted).
 * The configuration in force is the newest in the log, committed or not (P8). */
#ifndef RGKV_RAFT_RAFT_H
#define RGKV_RAFT_RAFT_H

#include "base/bytes.h"

struct raft_member {
    uint64_t id;    /* member id: never reused, never an address (P1); not 0 */
    uint64_t node;  /* node id of the machine that may be this member */
    bool voter;     /* false: learner */
    char addr[ADDR_BYTES_MAX]; /* where that node listened when this was written: a hint */
};

struct raft_config {
    unsigned n;
    uint64_t wish; /* number of the wish that it follows: never falls from one configuration to the next, so that who
                      knows an older wish only cannot undo a newer one (P20) */
    struct raft_member members[MEMBERS_MAX];
};

const struct raft_member *raft_config_member(const struct raft_config *c, uint64_t id); /* or NULL */
unsigned raft_config_voters(const struct raft_config *c);
/* The payload of a RAFT_CONFIG entry; also kept in the table's applied row and in snapshots. */
void raft_config_encode(const struct raft_config *c, struct buf *out);
MUST_USE enum rgkv_err raft_config_decode(struct bytes in, struct raft_config *ret_c); /* DAMAGED */

enum raft_entry_kind { RAFT_NOOP = 1, RAFT_COMMAND, RAFT_CONFIG };

struct raft_entry {
    uint64_t index, term;
    enum raft_entry_kind kind;
    struct blob *payload; /* NULL for a no-op */
};

struct raft_hard_state {
    uint64_t term, vote, commit;
};

enum raft_role { RAFT_FOLLOWER, RAFT_PRE_CANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };
const char *raft_role_name(enum raft_role role);

enum raft_message_kind {
    RAFT_PRE_VOTE = 1,     /* 9.6; term = the term it would campaign in */
    RAFT_PRE_VOTE_REPLY,
    RAFT_VOTE,             /* 3.4; `transfer` passes stickiness (P31) */
    RAFT_VOTE_REPLY,
    RAFT_APPEND,           /* 3.5; log_index/log_term = the entry before entries[0] */
    RAFT_APPEND_REPLY,     /* accepted: log_index/log_term = last entry known to match, durable; commit = what is applied;
                              rejected: log_index = the rejected previous index, hint_index/hint_term = where
                              to back up to, commit = up to where it surely agrees */
    RAFT_HEARTBEAT,        /* commit = log_index = min(match, commit), log_term = its term; round = newest read
                              round (6.4) */
    RAFT_HEARTBEAT_REPLY,  /* echoes round; log_index/log_term = last durable entry of this term (or 0);
                              hint_index = last entry known to match, durable or not; commit = what is applied */
    RAFT_SNAPSHOT,         /* the header of one chunk of a snapshot at (log_index, log_term): the data part is
                              the outside's, see RAFT_SNAPSHOT_* inputs */
    RAFT_TIMEOUT_NOW,      /* 3.10 */
};

struct raft_message {
    enum raft_message_kind kind;
    uint64_t from, to; /* member ids */
    uint64_t term;
    uint64_t log_index, log_term;
    uint64_t commit;
    uint64_t round;
    uint64_t hint_index, hint_term;
    bool rejected, transfer;
    unsigned n_entries;
    const struct raft_entry *entries; /* consecutive indexes from log_index + 1 */
};

enum raft_input_kind {
    RAFT_TICK,              /* only `now_us`; every input carries the time, it never goes back */
    RAFT_RECEIVED,          /* message: already checked to be for this cluster, group, incarnation, member */
    RAFT_PROPOSED,          /* n_payloads commands; see raft_step's errors */
    RAFT_CONFIG_PROPOSED,   /* config: at most one voter more or less than now (4.1) */
    RAFT_READ,              /* read_id: a linearizable read (6.4); confirmed or failed in a ready */
    RAFT_PERSISTED,         /* log_index, log_term: everything up to here is durable */
    RAFT_APPLIED,           /* log_index: everything up to here is applied */
    RAFT_EVICTED,           /* log_index, log_term: entries up to here (they are in a durable table) leave the memory; the
                               outside can read them again. The configuration in force there is known here, `config` is not
                               read */
    RAFT_COMPACTED,         /* log_index, log_term: entries up to here are forgotten, outside too. Evicts as far as need be,
                               and only for that log_term is read */
    RAFT_FETCHED,           /* peer, log_index: what a raft_fetch asked for: entries (n_entries, borrowed) from log_index on, log_term
                               is the term of the one before. None: they cannot be read, take them for compacted. Each
                               fetch is answered once; one that nobody waits for any more is ignored */
    RAFT_SNAPSHOT_SENT,     /* peer, log_index: the peer has installed the snapshot at log_index (its node said so) */
    RAFT_SNAPSHOT_FAILED,   /* peer: given up, probe again */
    RAFT_SNAPSHOT_INSTALLED,/* log_index, log_term, config: the table now is that snapshot, durably; the log is
                               reset to start after it. If the log holds that very entry by now, what follows
                               stays, since it may have been acknowledged (then raft_status.last_index >
                               log_index): the outside must not drop it either; it is in the next `append` once
                               more. Ask raft_wants_snapshot before replacing the table */
    RAFT_TRANSFER,          /* peer: hand leadership to it, 0 = the best follower */
};

struct raft_input {
    enum raft_input_kind kind;
    uint64_t now_us;
    uint64_t log_index, log_term;
    uint64_t peer;
    uint64_t read_id;
    const struct raft_message *message;
    const struct raft_config *config;
    unsigned n_payloads;
    struct blob *const *payloads;
    unsigned n_entries;
    const struct raft_entry *entries;
};

struct raft_read_result {
    uint64_t read_id;
    uint64_t index; /* answer once this is applied; 0: failed, this member does not lead (any more) */
};

/* Entries that a peer needs and only the outside has: as many of [first, last] as fit, at least one. Answered by RAFT_FETCHED. */
struct raft_fetch {
    uint64_t peer, first, last;
    uint64_t bytes_max;      /* of payloads */
    unsigned entries_max;
};

struct raft_ready {
    unsigned n_messages;
    const struct raft_message *messages;
    unsigned n_append;
    const struct raft_entry *append;
    bool hard_state_changed;
    struct raft_hard_state hard_state;      /* always the current one */
    bool must_sync;                         /* false if only `commit` of the hard state moved */
    unsigned n_messages_after_sync;
    const struct raft_message *messages_after_sync;
    unsigned n_committed;                   /* in order, each index handed out exactly once */
    const struct raft_entry *committed;
    unsigned n_reads;
    const struct raft_read_result *reads;
    bool role_changed;                      /* role, term or known leader */
    unsigned n_snapshot_peers;              /* peers that need a snapshot from now on, each named once */
    const uint64_t *snapshot_peers;
    unsigned n_fetches;
    const struct raft_fetch *fetches;
    bool snapshot_accepted;                 /* the RAFT_SNAPSHOT message stepped last is of the current leader and
                                               newer than what is committed here: store its chunk */
};

struct raft_options {
    uint64_t id;
    uint64_t seed;
    uint64_t election_us;   /* timeouts are random in [election_us, 2 * election_us) */
    uint64_t heartbeat_us;
    unsigned append_entries_max; /* in one message; 0: as limits.h says */
    bool no_noop;           /* tests that count indexes: a leader appends no entry of its own (a single voter
                               does all the same: it leads once that entry, hence its vote, is durable) */
    uint64_t now_us;
};

/* What a member remembers over a restart: as recovered from the write-ahead log and the table. */
struct raft_restored {
    struct raft_hard_state hard_state;
    uint64_t compacted_index, compacted_term; /* `entries` start after this one; 0, 0: at the beginning */
    uint64_t n_kept;                          /* so many before them the outside can read (raft_fetch) */
    struct raft_config config;                /* in force at compacted_index, or the founding one */
    uint64_t applied;                         /* >= compacted_index: `committed` starts after this */
    unsigned n_entries;                       /* consecutive from compacted_index + 1, all durable */
    const struct raft_entry *entries;
};

struct raft *raft_new(const struct raft_options *options, const struct raft_restored *restored);
void raft_free(struct raft *r);

/* On any error nothing has changed. RAFT_PROPOSED, RAFT_CONFIG_PROPOSED, RAFT_READ: NOT_LEADER; BUSY when
 * too much is in flight, a transfer runs (not RAFT_READ), or (config) another change is unfinished or no entry of
 * this term is committed (P8); RAFT_PROPOSED: TOO_LARGE; RAFT_CONFIG_PROPOSED: INVALID (no voter, more than one
 * voter changed, ids not unique), STALE (it follows an older wish than the one in force); RAFT_TRANSFER: NOT_LEADER, BUSY (another runs; 0: no follower was heard of
 * lately), INVALID (not another voter).
 * RAFT_RECEIVED never fails: nonsense is ignored and counted (raft_status.ignored).
 * The indexes that RAFT_PROPOSED was given are last_index + 1 … of raft_status before the call. */
MUST_USE enum rgkv_err raft_step(struct raft *r, const struct raft_input *input);
void raft_collect(struct raft *r, struct raft_ready *ret_ready);

struct raft_status {
    uint64_t id, term, vote, leader; /* leader 0: unknown */
    enum raft_role role;
    uint64_t first_index, last_index, last_term, commit, applied, persisted; /* first_index: in memory */
    uint64_t kept_index;     /* the outside has the entries after this one; <= first_index - 1 */
    uint64_t log_bytes;      /* payload bytes kept in memory */
    uint64_t lease_contact_us; /* leader: the newest time at which a quorum was heard of */
    bool transferring;
    uint64_t ignored;        /* messages that made no sense */
};
void raft_status(const struct raft *r, struct raft_status *ret_s);
const struct raft_config *raft_config(const struct raft *r); /* in force; until the next step */
uint64_t raft_config_index(const struct raft *r);            /* its log index */
/* Is this leader's leaving felt as little as it will be? False while one that was heard of lately is still behind, in its log or in what
 * it has applied (it was restarted just now), and could soon lead, or is needed for commits when this one is gone. */
bool raft_may_leave(const struct raft *r);
/* Term of the entry at `index` if it is in the log (or is the compacted one), else 0. */
uint64_t raft_term_at(const struct raft *r, uint64_t index);
/* Is a snapshot at (index, term) news? False if it is committed here, or the log holds that entry. */
bool raft_wants_snapshot(const struct raft *r, uint64_t index, uint64_t term);
/* The entry itself, or NULL. Until the next step. */
const struct raft_entry *raft_entry_at(const struct raft *r, uint64_t index);
/* Leader: what it knows of a peer. */
struct raft_peer_status {
    uint64_t match, next, inflight_bytes;
    bool recent, snapshotting;
    bool answers; /* recent, and not only because this member has just begun to lead */
};
bool raft_peer_status(const struct raft *r, uint64_t id, struct raft_peer_status *ret_s);
/* The next time at which a tick would do something: ticks before it may be left out. */
uint64_t raft_deadline_us(const struct raft *r);

#endif
