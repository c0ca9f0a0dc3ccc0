/* What the files of the consensus core share; nobody outside of src/raft includes this.
 *
 *     raft.c        raft_new, raft_step, raft_collect, status: who is called when
 *     receive.c     a message from outside: does it make sense, what does its term mean
 *     election.c    pre-vote, vote, timeouts, becoming leader, stepping down
 *     follower.c    entries, heartbeats and snapshots from the leader
 *     replication.c the leader: appends, acknowledgements, commit, heartbeats
 *     fetch.c       the leader: entries that left the memory and a peer needs
 *     transfer.c    handing leadership over
 *     read.c        linearizable reads
 *     members.c     the configuration in force, the peers it gives, quorums
 *     config.c      a configuration as bytes
 *     log.c         the entries in memory
 *     outbox.c      messages on their way out
 *
 * How the pieces hang together: a step changes state and queues answers; everything a leader sends of its own
 * accord (appends, heartbeats, read rounds) is made in raft_collect from the state as it is then. So whatever
 * was stepped in between travels together, and nothing queued can point at entries that are gone. */
#ifndef RGKV_RAFT_INTERNAL_H
#define RGKV_RAFT_INTERNAL_H

#include "base/prng.h"
#include "raft/raft.h"

#define NUMBER_MAX (UINT64_C(1) << 62)     /* no honest term or index comes near: beyond is nonsense */
#define TERMS_AHEAD_MAX (UINT64_C(1) << 32) /* no honest term is so far ahead of ours: one believed could be the last there is */
#define PROBE_BYTES_MAX (64u << 10)        /* a probe may be refused: it carries little */
#define PROPOSALS_MAX (PROPOSALS_BYTES_MAX / 64u)
#define READS_WAITING_MAX 65536u
#define LOST_HEARTBEATS 2u                 /* entries unseen for so long are sent again */
#define SLOW_HEARTBEATS 16u                /* entries seen but not acknowledged for so long, too */

/* log.c: entries base_index + 1 … as one array with a gap in front, so that any run of them is a pointer.
 * The gap is closed when it is half of the array: amortised O(1). */
struct raft_log {
    uint64_t base_index, base_term; /* the compacted entry just before the first one kept */
    uint64_t base_bytes;            /* as `ends`, at base_index */
    struct raft_entry *slots;
    uint64_t *ends;                 /* payload bytes ever appended up to and with this entry */
    size_t head, n, cap;
};

void raft_log_init(struct raft_log *log, uint64_t base_index, uint64_t base_term);
void raft_log_release(struct raft_log *log);
void raft_log_append(struct raft_log *log, const struct raft_entry *e); /* references the payload */
void raft_log_truncate(struct raft_log *log, uint64_t from);            /* drops `from` and all after it */
void raft_log_compact(struct raft_log *log, uint64_t index);            /* drops all up to `index` */
void raft_log_reset(struct raft_log *log, uint64_t base_index, uint64_t base_term);
uint64_t raft_log_last(const struct raft_log *log);
uint64_t raft_log_last_term(const struct raft_log *log);
uint64_t raft_log_term(const struct raft_log *log, uint64_t index);     /* 0: not known here */
const struct raft_entry *raft_log_at(const struct raft_log *log, uint64_t index); /* or NULL */
uint64_t raft_log_bytes(const struct raft_log *log, uint64_t after, uint64_t last); /* of (after, last] */
/* The largest index <= max whose term is <= term; base_index - 1 if that would lie in the compacted part. */
uint64_t raft_log_find(const struct raft_log *log, uint64_t max, uint64_t term);

/* What a leader knows of a member, and a candidate of a voter.
 *
 *            refused, or lost                 behind the log's start
 *     PROBE <----------------- REPLICATE           PROBE ---------> SNAPSHOT
 *       \-----------------------^                    ^--------------/ failed, sent
 *              acknowledged      <----- acknowledged ------------- SNAPSHOT
 *
 * PROBE: one message at a time until one fits; REPLICATE: a pipeline; SNAPSHOT: the outside sends one. */
enum raft_peer_state { PEER_PROBE, PEER_REPLICATE, PEER_SNAPSHOT };

struct raft_peer {
    uint64_t id;
    bool voter;
    bool granted;                /* its (pre-)vote in the campaign that runs */
    enum raft_peer_state state;
    uint64_t match;              /* last index known to be equal and durable there */
    uint64_t next;               /* first index not sent yet; PROBE: of the probe */
    uint64_t applied;            /* there, as it told last */
    uint64_t sent;               /* last index sent: the probe's end, or next - 1 */
    bool probe_sent;             /* wait for an answer, or for a sign of life */
    bool snapshot_named;
    bool fetches;                /* entries were asked for from the outside, or are here */
    uint64_t contact_us;         /* last word from it in this term, or when this leader began */
    bool heard;                  /* there was one */
    uint64_t progress_us;        /* last time match moved, or sending began */
    uint64_t round;              /* newest read round it has answered */
    unsigned inflight_head, inflight_n;
    uint64_t inflight[INFLIGHT_MESSAGES_MAX]; /* last index of each message not acknowledged */
};

/* Entries read from the outside's disk for one peer. They stay until the next ones come, as messages may point at them. */
struct raft_fetched {
    uint64_t peer;               /* 0: unused */
    uint64_t asked;              /* first index of the fetch that is not answered yet; 0: none is */
    uint64_t before_term;        /* of the entry before entries[0] */
    struct raft_entry *entries;
    unsigned n;
};

struct raft_outbox {
    struct raft_message *items;
    unsigned n, cap;
};

struct raft_waiting_read {
    uint64_t id, round, index;
};

/* Reads in order of arrival; the first `assigned` of them have a round whose heartbeats are out. */
struct raft_reads {
    struct raft_waiting_read *items;
    size_t head, n, cap, assigned;
    uint64_t round;              /* newest round sent */
    struct raft_read_result *results;
    unsigned n_results, results_cap;
};

struct raft {
    struct raft_options options;
    struct prng prng;
    uint64_t now_us;

    struct raft_hard_state hard, hard_given;
    struct raft_log log;
    uint64_t kept_index;         /* the outside can read the entries from here to log.base_index */
    struct raft_fetched fetched[MEMBERS_MAX];
    struct raft_fetch fetches[MEMBERS_MAX];
    unsigned n_fetches;
    uint64_t append_from;        /* first index not yet handed out to be written */
    uint64_t handed;             /* last committed index handed out */
    uint64_t persisted, applied;

    enum raft_role role, role_given;
    uint64_t leader, leader_given;
    uint64_t leader_contact_us;
    uint64_t election_deadline_us;
    uint64_t ask_again_us;     /* a candidate asks for missing votes once more */
    bool campaign_transfer;
    uint64_t verified;           /* follower: last index known to equal this term's leader's */
    uint64_t sure;               /* last durable entry of this very term: cannot be a truncated namesake */

    struct raft_config config, base_config; /* in force; in force at log.base_index */
    uint64_t config_index, base_config_index;
    uint64_t *config_indexes;    /* of the configurations in the log, ascending */
    size_t n_config_indexes, config_indexes_cap;
    struct raft_peer peers[MEMBERS_MAX];    /* as config.members, this member too */
    unsigned n_peers;

    uint64_t heartbeat_deadline_us;
    bool heartbeat_due;
    uint64_t transfer_to, transfer_deadline_us; /* 0: none */
    bool transfer_sent;
    struct raft_reads reads;

    struct raft_outbox out, out_after_sync;
    bool sync_wanted;            /* out_after_sync holds a promise not known to be durable */
    bool snapshot_accepted;
    uint64_t snapshot_peers[MEMBERS_MAX];
    bool given;                  /* the lists above were handed out: forget them before the next step */
    uint64_t ignored;
};

/* outbox.c */
struct raft_message raft_message_new(const struct raft *r, enum raft_message_kind kind, uint64_t to);
void raft_send(struct raft *r, const struct raft_message *m);
void raft_send_after_sync(struct raft *r, const struct raft_message *m, bool promises);
void raft_acknowledge(struct raft *r, uint64_t to, uint64_t index); /* after the sync: durable up to index */
void raft_outbox_clear(struct raft *r);

/* config.c */
bool raft_config_valid(const struct raft_config *c); /* ids are unique and not 0, there is a voter */
unsigned raft_config_voters_changed(const struct raft_config *a, const struct raft_config *b);

/* members.c */
void raft_members_append(struct raft *r, const struct raft_entry *e); /* to the log, minding configurations */
void raft_members_truncate(struct raft *r, uint64_t from);
void raft_members_compact(struct raft *r, uint64_t index);
void raft_members_reset(struct raft *r, uint64_t index, uint64_t term, const struct raft_config *c);
void raft_members_refresh(struct raft *r);
struct raft_peer *raft_peer(struct raft *r, uint64_t id); /* or NULL */
bool raft_is_voter(const struct raft *r, uint64_t id);
bool raft_may_campaign(const struct raft *r);
bool raft_asks_for_votes(const struct raft *r);
bool raft_is_only_voter(const struct raft *r);
/* The largest value that a quorum of the voters has reached. */
uint64_t raft_quorum(const struct raft *r, uint64_t (*value)(const struct raft *, const struct raft_peer *));

/* election.c */
void raft_election_timer_reset(struct raft *r);
void raft_election_tick(struct raft *r);
void raft_campaign(struct raft *r, bool transfer);
void raft_become_follower(struct raft *r, uint64_t term, uint64_t leader);
void raft_follow(struct raft *r, uint64_t leader); /* heard of the leader of this term */
void raft_vote_persisted(struct raft *r, uint64_t term);
bool raft_is_sticky(const struct raft *r);
void raft_receive_pre_vote(struct raft *r, const struct raft_message *m);
void raft_receive_pre_vote_reply(struct raft *r, const struct raft_message *m);
void raft_receive_vote(struct raft *r, const struct raft_message *m);
void raft_receive_vote_reply(struct raft *r, const struct raft_message *m);

/* receive.c */
void raft_receive(struct raft *r, const struct raft_message *m);

/* follower.c */
void raft_receive_append(struct raft *r, const struct raft_message *m);
void raft_receive_heartbeat(struct raft *r, const struct raft_message *m);
void raft_receive_snapshot(struct raft *r, const struct raft_message *m);
void raft_snapshot_installed(struct raft *r, const struct raft_input *input);
void raft_commit_to(struct raft *r, uint64_t index);

/* replication.c */
void raft_lead_begin(struct raft *r);
void raft_lead_tick(struct raft *r);
void raft_lead_collect(struct raft *r);
void raft_peer_init(struct raft *r, struct raft_peer *p);
uint64_t raft_peer_inflight_bytes(const struct raft *r, const struct raft_peer *p);
uint64_t raft_quorum_contact_us(const struct raft *r);
bool raft_peer_recent(const struct raft *r, const struct raft_peer *p);
void raft_commit_count(struct raft *r);
void raft_append_own(struct raft *r, enum raft_entry_kind kind, struct blob *payload);
void raft_receive_append_reply(struct raft *r, const struct raft_message *m);
void raft_receive_heartbeat_reply(struct raft *r, const struct raft_message *m);
void raft_snapshot_sent(struct raft *r, uint64_t peer, uint64_t index);
void raft_snapshot_failed(struct raft *r, uint64_t peer);

/* fetch.c */
void raft_fetch(struct raft *r, struct raft_peer *p); /* from p->next on, unless that is asked for already */
const struct raft_fetched *raft_fetched_for(const struct raft *r, const struct raft_peer *p); /* from p->next on, or NULL */
void raft_fetch_answered(struct raft *r, const struct raft_input *input);
void raft_fetch_done(struct raft *r, struct raft_peer *p); /* what it needs now is in memory */
void raft_fetch_forget(struct raft *r); /* all that is here, and what was asked for */

/* transfer.c */
enum rgkv_err raft_transfer(struct raft *r, uint64_t peer);
void raft_transfer_tick(struct raft *r);
void raft_transfer_collect(struct raft *r);
void raft_transfer_away(struct raft *r); /* this leader was removed: name a successor */
void raft_receive_timeout_now(struct raft *r, const struct raft_message *m);

/* read.c */
enum rgkv_err raft_read(struct raft *r, uint64_t id);
bool raft_reads_begin_round(struct raft *r); /* true: its heartbeats must go out now */
void raft_reads_confirm(struct raft *r);
void raft_reads_fail(struct raft *r);
void raft_reads_release(struct raft_reads *reads);

#endif
