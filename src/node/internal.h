/* What the files of this folder share: the node, its replicas, and who does what.
 *
 * One replica's pipeline, from a client's request to its answer:
 *
 *     serve/admin ──propose──▶ raft ──collect──▶ NODE_COMMIT (one batch at a time; the next fills behind it)
 *                                │                    │ NODE_COMMITTED: held frames go out, RAFT_PERSISTED
 *                                └──committed──▶ (once the effects are out) machine (kv or ctrl) ──finish──▶ waiters are answered, reads are served
 */
#ifndef RGKV_NODE_INTERNAL_H
#define RGKV_NODE_INTERNAL_H

#include "base/prng.h"
#include "node/node.h"

/* ---- out.c: frames by destination, and the queue of effects ---- */

struct out_buf {
    char addr[ADDR_BYTES_MAX]; /* "" : a connection */
    uint64_t conn;
    struct buf frames;
};
struct out {
    struct out_buf *bufs;      /* in the order of first use in this turn */
    unsigned n, cap, given;    /* given: how many of them node_next has handed out */
    uint64_t *slots;           /* open-addressed index: hash -> position + 1 */
    unsigned slots_cap;
    struct node_effect *effects;
    unsigned n_effects, effects_cap, effects_given;
    char **texts;              /* sentences that effects point to, freed with the turn */
    unsigned n_texts, texts_cap;
};
void out_release(struct out *o);
void out_turn(struct out *o);  /* forget what was handed out */
struct buf *out_to_addr(struct out *o, const char *addr);
struct buf *out_to_conn(struct out *o, uint64_t conn);
void out_effect(struct out *o, const struct node_effect *e); /* `why` is copied */
bool out_next(struct out *o, struct node_effect *ret_e);

#define METRICS_OPS 64u        /* an enum kv_op is below */

/* ---- replica.c ---- */

struct waiter {                /* somebody waits for the outcome of a proposed entry */
    uint64_t index, term;
    uint64_t conn, request_id;
};
#define WARM_ANY UINT64_MAX    /* whichever job ends next */
struct read_wait {             /* a linearizable read: first its round, then its index (P24) */
    uint64_t read_id, index;   /* index 0: the round is not confirmed yet */
    uint64_t waits;            /* for this job (warm.c); 0: for none */
    unsigned asked;            /* so often it needed one */
    uint64_t conn, request_id;
    struct msg *request;       /* own copy */
};
enum warm_kind { WARM_ENTRIES, WARM_READS, WARM_KINDS };
struct warming {
    struct buf rows;           /* list for the next job, and its number: 0: nothing is in it */
    uint64_t number;
    unsigned under_way;        /* jobs */
};
struct held_frame {
    uint64_t member;
    enum raft_message_kind kind;
    size_t offset, len;
};
struct batch {                 /* one write of the log and what may be sent once it is durable */
    struct wal_batch wal;
    struct buf frames;
    struct held_frame *held;
    unsigned n_held, held_cap;
};

struct apply_queue {           /* committed entries that are not applied yet; payloads referenced */
    struct raft_entry *entries;
    unsigned head, n, cap;     /* n of them from `head` on */
    uint64_t bytes;            /* of their payloads */
};

struct pulling {               /* one shard that this group imports */
    uint32_t shard;
    uint64_t epoch, request_id, sent_us, deadline_us;
    uint64_t place;            /* of the import when the question was asked: round and cursor */
    unsigned silences;         /* questions in a row without an answer */
    bool logged;               /* what was answered is on its way into the log */
    uint64_t steps, source_steps; /* grows while the source prepares the next round */
    unsigned member;           /* which member of the source to ask */
    char addr[ADDR_BYTES_MAX]; /* or this one: a hint */
    bool waiting;              /* an answer is due */
};
struct nudge {                 /* the last command proposed for a shard: not again before `until_us` */
    uint64_t epoch, until_us;
    enum kv_command_kind kind;
    uint64_t place;            /* KV_CHUNK, KV_IMPORT_END, KV_COPY: in the copy */
    uint64_t round_us;         /* when the last round of a copy began here */
};

struct crossing {              /* a rename to another shard that this leader carries out (intents.c) */
    uint32_t shard, target;
    uint64_t number;           /* of the intent */
    uint64_t offset;           /* how much the target has */
    uint64_t request_id, deadline_us, nudge_us;
    unsigned member, refusals; /* of the target's group: whom to ask */
    char addr[ADDR_BYTES_MAX]; /* or this one: a hint */
    bool waiting;              /* an answer is due */
    bool give_up;              /* the target has no space: it is to say that it will not be */
    bool over;                 /* the target said how it ended: `outcome` is to be logged here */
    enum rgkv_err outcome;
};

struct catching_up {           /* a learner's round (members.c) */
    uint64_t member, target, since_us;
};

struct outgoing;               /* transfer.c: a snapshot on its way to a peer */
struct incoming;               /* … and from the leader */

enum replica_state { REPLICA_OPENING, REPLICA_SAVING, REPLICA_RUNNING, REPLICA_INSTALLING, REPLICA_DELETING, REPLICA_DELETED, REPLICA_REFUSED };

struct replica {
    uint32_t id;
    enum replica_state state;
    struct { uint64_t member, conn; } stranger; /* who spoke last of those whose address is not known */
    uint64_t delete_again_us;          /* DELETING: its files could not be removed; 0: they are being */
    struct manifest_replica desc;
    struct raft *raft;
    struct table *table;
    struct kv *kv;             /* exactly one of the two */
    struct ctrl *ctrl;
    bool dirty, snapshot_accepted;

    struct batch batches[2];
    unsigned filling;          /* the other one is being committed if `committing` */
    bool committing, disk_full;
    uint64_t committing_us;    /* since when */
    uint64_t yield_next_us;    /* another leader is not asked for before */

    struct buf applied_row;    /* as last finished */
    uint64_t applied, applied_term;
    struct raft_config applied_config;
    bool saving;               /* NODE_SAVE is under way, of what was applied up to … */
    uint64_t saving_index, saved_index; /* … and the last one that ended */
    uint64_t held_up_us, held_up_at; /* since when the table has been in the way of what comes after this entry; 0: it is not */
    bool entry_waits_for_save;  /* the first one to be applied, for that */
    bool table_full, apply_held; /* the table's disk has no space; nothing can be applied until it has */
    uint64_t table_retry_us;
    bool trimming, trim_round; /* in a round: all that had gone when it began is gone from the table */
    uint32_t trim_shard;       /* that one */
    uint64_t trim_next_us, trim_wants; /* trim_wants, flush_wants: what is applied up to here is to be saved before; 0: nothing is to be done */
    bool flushing, resetting;  /* resetting: NODE_RESET_LOG is under way */
    uint64_t flush_index, flush_wants, disk_bytes;
    uint64_t flush_at_bytes, flush_not_before_us; /* of the log: after one that freed little, or failed */
    bool compact_again;        /* the disk had no space to delete anything */
    uint64_t let_go_next_us;   /* not before then is looked at whether the old entries on the disk are still of use */

    struct apply_queue to_apply;
    struct warming warm[WARM_KINDS];
    uint64_t entry_waits;      /* the first one to be applied, for this job; 0: for none */
    uint64_t asked_index;      /* of the entry that needed one last, … */
    unsigned asked;            /* … so often */
    struct waiter *waiters;    /* ring, indexes ascending */
    unsigned waiters_head, waiters_n, waiters_cap;
    struct read_wait *reads;
    unsigned n_reads, reads_cap;
    bool reads_left;           /* some could be served, but not in that turn */
    uint64_t next_read_id;

    enum raft_role role;
    uint64_t role_term, elections; /* elections: won in this run */
    uint64_t time_base_us, mono_base_us; /* leader: logged time goes on from here (P18) */
    uint64_t clock_index, clock_term;    /* where its last KV_CLOCK is: not another one before that is applied */

    uint64_t members_next_us;            /* leader: no look at the members before */
    struct catching_up catching_up;

    struct ctrl_plan *plan;    /* group 0, leader only */
    struct nudge *nudges;      /* per shard */
    struct pulling *pulls;
    unsigned n_pulls, pulls_cap;
    struct crossing *crossings;
    unsigned n_crossings, crossings_cap;
    struct outgoing *outgoing; /* list */
    struct incoming *incoming; /* or NULL */
    unsigned snapshot_opens;   /* NODE_SNAPSHOT_OPEN that are not answered yet */
};

struct handover {              /* an administrator waits for a member to lead */
    uint64_t conn, request_id, gid, member, deadline_us;
};

struct metrics {               /* of this run; metrics.c */
    uint64_t asked[METRICS_OPS], replied[CTRL_REPLY_COUNT][RGKV_ERR_COUNT];
    struct ctrl_report_metric outside[NODE_METRICS_MAX];
    unsigned n_outside;
};

struct held_poll {
    uint64_t conn, request_id, version, deadline_us;
};

/* ---- node.c ---- */

struct node {
    struct node_options options; /* manifest pointer: NULL */
    struct manifest manifest;
    bool manifest_saving, manifest_dirty; /* saved one at a time */
    bool view_saving;            /* …: that views older than ours are never taken; no report before */
    struct prng prng;
    uint64_t now_us;
    struct out out;
    struct arena arena;          /* for decoding log entries */
    struct buf scratch;
    bool failed;

    struct replica **replicas;
    unsigned n_replicas;
    uint32_t next_replica;
    uint64_t next_request;       /* ids of our own requests */
    uint64_t next_job;           /* their numbers */
    unsigned warm_turn;

    struct founder *founder;     /* founding.c, while blank */
    /* poll.c */
    struct ctrl_view view;       /* the newest; version 0: none */
    uint64_t poll_id, poll_deadline_us, poll_next_us, report_next_us;
    unsigned poll_member;
    char poll_addr[ADDR_BYTES_MAX];
    bool report_due;
    uint64_t disk_free, disk_total, memory_bytes, stall_us;
    /* admin.c */
    struct held_poll *polls;
    unsigned n_polls, polls_cap;
    bool polls_left;             /* some are owed a view that this turn had no place for */
    uint64_t plan_next_us;
    struct handover *handovers;  /* handover.c */
    unsigned n_handovers;

    bool said_no_room;           /* for one replica more */
    bool stopping;
    uint64_t stop_us, stop_deadline_us;
    uint64_t tick_next_us;       /* housekeeping that is not raft's */
    uint64_t dropped;            /* messages for somebody else */
    struct metrics metrics;
    uint64_t replied_bytes;      /* in this turn */
    uint64_t *full;              /* connections that take nothing large now */
    unsigned n_full, full_cap;
};

void node_event(struct node *n, const char *format, ...) PRINTF(2, 3);
void node_fail(struct node *n, const char *format, ...) PRINTF(2, 3);
void node_save_manifest(struct node *n);       /* asks for it; coalesced */
unsigned node_long_jobs(const struct node *n);  /* of the disk, now: flushes and trims */
struct replica *node_replica(struct node *n, uint32_t id);
struct replica *node_group(struct node *n, uint64_t gid);  /* the running replica of a group, newest incarnation; or NULL */
void node_send(struct node *n, const char *addr, struct msg *m);   /* fills in the cluster */
void node_reply(struct node *n, uint64_t conn, uint64_t request_id, struct msg *m);
void node_refuse(struct node *n, uint64_t conn, uint64_t request_id, enum rgkv_err err, const char *why);

/* replica.c */
struct replica *replica_create(struct node *n, const struct manifest_replica *desc);
void replica_free(struct replica *r);
void replica_opened(struct node *n, struct replica *r, const struct node_input *i);
void replica_saved(struct node *n, struct replica *r);   /* the manifest is durable: a new member may begin */
void replica_collect(struct node *n, struct replica *r);
enum rgkv_err replica_step(struct node *n, struct replica *r, struct raft_input *in); /* marks it dirty */
/* Proposes one command; on OK the waiter (conn may be 0: nobody) is answered when it is applied. */
enum rgkv_err replica_propose(struct node *n, struct replica *r, struct blob *payload, uint64_t conn, uint64_t request_id);
uint64_t replica_time_us(const struct node *n, const struct replica *r); /* the leader's logged time now */
bool replica_leads(const struct node *n, const struct replica *r);       /* and heard of a quorum lately */
bool replica_is_leader(const struct replica *r);
bool replica_serves(const struct node *n, const struct replica *r);      /* it leads, and is not handing over because the node ends */
const char *replica_leader_addr(const struct node *n, const struct replica *r, uint64_t *ret_member);
struct buf *replica_out_to(struct node *n, const struct replica *r, uint64_t member); /* for frames; NULL: it is not known where that is */
const char *replica_member_addr(const struct node *n, const struct replica *r, uint64_t member); /* NULL: unknown */
void replica_close_machine(struct replica *r);

/* pipeline.c */
void pipeline_send(struct node *n, struct replica *r, const struct raft_message *messages, unsigned count); /* at once */
void pipeline_take(struct node *n, struct replica *r, const struct raft_ready *ready); /* entries, and what waits for them */
void pipeline_commit(struct node *n, struct replica *r);  /* the filling batch, unless another one is under way */
void replica_committed(struct node *n, struct replica *r, const struct node_input *i);
bool replica_idle_on_disk(const struct replica *r);      /* nothing written or about to be */
void pipeline_yield(struct node *n, struct replica *r);   /* somebody else should lead: this disk is full, or hangs */
void pipeline_tick(struct node *n, struct replica *r);
void pipeline_release(struct replica *r);

/* apply.c */
enum rgkv_err replica_open_machine(const struct node *n, struct replica *r, struct kv *opened); /* table -> kv (unless it is opened) or ctrl, applied row */
void apply_wait(struct replica *r, struct waiter w);     /* is answered when its index is applied */
void apply_queue(struct replica *r, const struct raft_ready *ready);
bool apply_ready(const struct replica *r);               /* there is something to apply, and it can be */
uint64_t apply_deadline_us(const struct node *n, const struct replica *r);
void replica_apply(struct node *n, struct replica *r);   /* what the collects left to be applied */
bool apply_must_go_on(const struct replica *r);          /* so much waits that rows are not read ahead any more */
bool apply_overflows(const struct replica *r);           /* so much waits that no more is taken */
bool apply_is_held_up(const struct replica *r);          /* by the table, which has to be written before */
void replica_drop_waiters(struct replica *r);
void apply_release(struct replica *r);
void applied_row_encode(struct buf *out, uint64_t index, uint64_t term, const struct raft_config *config);
enum rgkv_err applied_row_decode(struct bytes row, uint64_t *ret_index, uint64_t *ret_term, struct raft_config *ret_config);

/* save.c: what was applied into the table */
/* Is all in the table that was applied when *index was 0, for then it is noted there? Else that is on its way: ask again. */
bool save_reaches(struct node *n, struct replica *r, uint64_t *index);
uint64_t save_index(const struct replica *r);            /* up to here the table has what was applied, at least */
void save_due(struct node *n, struct replica *r);        /* there may be enough of it */
void save_ended(struct node *n, struct replica *r, enum rgkv_err err);
void save_failed(struct node *n, struct replica *r, enum rgkv_err err); /* the table's disk is full, or the node has failed */
void save_tick(struct node *n, struct replica *r);       /* a table that was full is tried again */

/* compact.c */
void compact_tick(struct node *n, struct replica *r);    /* asks for a flush when the log has grown enough */
void replica_flushed(struct node *n, struct replica *r, enum rgkv_err err);
void compact_log_read(struct node *n, struct replica *r, const struct node_input *i); /* older entries, for a member that is behind */

/* serve.c */
bool serve_disk_full(const struct node *n, const struct replica *r); /* what grows is refused (P29) */
void serve_kv(struct node *n, uint64_t conn, const struct msg *m);
void serve_kv_applied(struct node *n, struct replica *r, const struct waiter *w, const struct kv_result *result);
void serve_kv_lost(struct node *n, struct replica *r, const struct waiter *w);
enum rgkv_err serve_read_begin(struct node *n, struct replica *r, uint64_t conn, const struct msg *m);
void serve_reads(struct node *n, struct replica *r);     /* those whose index is applied */
void serve_read_result(struct node *n, struct replica *r, const struct raft_read_result *result);
void serve_drop_reads(struct node *n, struct replica *r, bool answer);
void serve_conn_closed(struct node *n, uint64_t conn);
void serve_conn_full(struct node *n, uint64_t conn, bool full);
bool serve_full(const struct node *n, uint64_t conn);
bool serve_later(const struct node *n, uint64_t conn);     /* enough was answered in this turn, or waits on the connection: nothing large now */
void serve_left(struct node *n);                         /* reads that the last turn left */

/* founding.c */
void founding_start(struct node *n);           /* a blank controller */
void founding_free(struct founder *f);
void founding_tick(struct node *n);
void founding_receive(struct node *n, uint64_t conn, const struct msg *m);
void founding_manifest_saved(struct node *n);
uint64_t founding_deadline_us(const struct node *n);

/* poll.c */
void poll_tick(struct node *n);
void poll_view(struct node *n, const struct msg *m);
const char *poll_controller(const struct node *n); /* whom this node asks */
void poll_changed(struct node *n);             /* something the controller wants to know */
uint64_t poll_deadline_us(const struct node *n);

/* moves.c */
void moves_tick(struct node *n, struct replica *r);
void moves_pull_request(struct node *n, uint64_t conn, const struct msg *m);
void moves_pull_reply(struct node *n, const struct msg *m);
uint64_t moves_steps(const struct replica *r, uint32_t shard);
/* True: nothing was logged for long, so the time is logged now (P5, P18); who would be told what it was until then should ask again. */
bool moves_renew_time(struct node *n, struct replica *r);
bool moves_step(const struct kv_command *c); /* does it end a phase of a move? */
uint64_t moves_deadline_us(const struct node *n, const struct replica *r);

/* members.c */
void members_tick(struct node *n, struct replica *r);
void members_look(struct replica *r);          /* there is a new wish, or a new role: at the next tick */
uint64_t members_deadline_us(const struct replica *r);
void members_report(const struct replica *r, struct ctrl_report_replica *to);

/* handover.c */
void handover_request(struct node *n, struct replica *r, uint64_t conn, const struct msg *m);
void handover_tick(struct node *n, struct replica *r);
void handover_drop(struct node *n, struct replica *r);         /* group 0 is led elsewhere: ask there */
void handover_receive(struct node *n, const struct msg_transfer *t);

/* intents.c */
void intents_tick(struct node *n, struct replica *r);
void intents_reply(struct node *n, const struct msg *m);
uint64_t intents_deadline_us(const struct node *n, const struct replica *r);

/* trim.c */
void trim_tick(struct node *n, struct replica *r);
void trim_done(struct node *n, struct replica *r, const struct node_input *i);

/* warm.c: rows that only a disk has */
/* Must the entry, its command decoded, wait to be applied? Then those of them that are known are read; of the `behind` ones after it too. */
bool warm_entry(struct node *n, struct replica *r, const struct kv_command *c, const struct raft_entry *e, unsigned behind);
/* As kv_read, into n->scratch. PENDING: rows are being read, and then it is the read's turn again. */
enum rgkv_err warm_read(struct node *n, struct replica *r, struct read_wait *q, struct kv_reply *ret_reply);
void warm_start(struct node *n);               /* what was asked for since, as far as there may be more jobs */
void warm_done(struct node *n, struct replica *r, uint64_t number);
void warm_release(struct replica *r);

#define TRANSFER_GIVE_UP_US 30000000u          /* of a snapshot, without a chunk that arrives */

/* transfer.c: snapshots for others */
void transfer_start(struct node *n, struct replica *r, uint64_t peer);
uint64_t transfer_index(const struct replica *r);         /* after this entry somebody who is sent a table goes on; UINT64_MAX: nobody is */
bool transfer_reads(const struct replica *r);             /* the table is being read for one: it must stay */
void transfer_read(struct node *n, struct replica *r, uint64_t number);
void transfer_ack(struct node *n, struct replica *r, const struct msg *m);
void transfer_tick(struct node *n, struct replica *r);
uint64_t transfer_deadline_us(const struct replica *r);
void transfer_free(struct replica *r);                    /* of none is being read */

/* install.c: one from another member */
void install_chunk(struct node *n, struct replica *r, const struct msg_snapshot_chunk *c);
void install_opened(struct node *n, struct replica *r, const struct node_input *i);
void install_written(struct node *n, struct replica *r, const struct node_input *i);
void install_try(struct node *n, struct replica *r);      /* what is complete, once nothing else is under way */
void install_done(struct node *n, struct replica *r, const struct node_input *i);
void install_tick(struct node *n, struct replica *r);
uint64_t install_deadline_us(const struct node *n, const struct replica *r);
void install_free(struct replica *r);

/* metrics.c: what is counted, and the rows of a report */
void metrics_asked(struct node *n, enum kv_op op);
void metrics_replied(struct node *n, const struct msg *m);
void metrics_outside(struct node *n, const struct ctrl_report_metric *rows, unsigned count);
/* `replicas`: which of ours are in the report, in its order. Rows from the arena. */
void metrics_report(const struct node *n, struct replica *const *replicas, unsigned n_replicas, struct arena *a, struct ctrl_report *to);

/* admin.c */
void admin_reply(struct node *n, struct replica *r, uint64_t conn, uint64_t request_id, const struct ctrl_result *result);
void admin_request(struct node *n, uint64_t conn, const struct msg *m);
void admin_applied(struct node *n, struct replica *r, const struct waiter *w, const struct ctrl_result *result);
void admin_lost(struct node *n, struct replica *r, const struct waiter *w);
void admin_poll(struct node *n, uint64_t conn, const struct msg *m);
void admin_read(struct node *n, uint64_t conn, const struct msg *m);
void admin_serve_read(struct node *n, struct replica *r, const struct read_wait *w);
void admin_role_changed(struct node *n, struct replica *r);
void admin_close(struct node *n, struct replica *r);   /* whoever waits for it is sent elsewhere */
void admin_left(struct node *n);                           /* views that are owed */
void admin_tick(struct node *n, struct replica *r);
void admin_view_changed(struct node *n, struct replica *r);  /* after a finish */
uint64_t admin_deadline_us(const struct node *n, const struct replica *r);

#endif
