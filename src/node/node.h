/* All replicas of one process: a pure engine, inputs in, effects out. The daemon and the simulator drive the same one.
 *
 *     node_step(n, input)      takes one input
 *     node_collect(n)          after a batch of inputs: lets every touched replica say what it wants done; true: again
 *                              please, once the effects are carried out (entries are applied while others work)
 *     node_next(n, &effect)    the effects, until it returns false; all of them, before the next step or collect
 *
 * The node decides; the outside owns files, tables, sockets and time. For each replica (a small number, never used twice
 * in one run) the outside keeps a write-ahead log and a table; the node works on the table directly (it is memory or a local
 * database) and says by effects when log and table must be written, flushed, replaced. Disk effects of one replica are done in the
 * order they were given, except NODE_SAVE, NODE_FLUSH, NODE_TRIM, NODE_WARM and NODE_SNAPSHOT_READ, which may run beside the others.
 *
 * Frames: NODE_SEND and NODE_REPLY carry whole encoded frames, one after the other. Sending is best effort: a frame to an
 * address that cannot be reached is dropped by the outside (which reconnects with back-off). Replies to NODE_SEND's
 * requests come back as NODE_RECEIVED.
 *
 * Layout of the folder: node.c (dispatch), replica.c (a replica's life), pipeline.c (its log's batches), apply.c (committed
 * entries into the machine), save.c (the machine into the table), warm.c (what only a disk has), compact.c, serve.c (clients' requests), founding.c (P2), poll.c (the controller's view and our
 * report), moves.c (what a view makes a group do; pulls), transfer.c and install.c (raft snapshots, sent and received; chunk.c), members.c (who is in a
 * group), admin.c (the controller's leader), handover.c (who leads), out.c (frames by destination). */
#ifndef RGKV_NODE_NODE_H
#define RGKV_NODE_NODE_H

#include "node/chunk.h"
#include "store/wal.h"
#include "wire/msg.h"

struct node;

struct node_options {
    uint64_t seed;
    uint64_t now_us;
    uint64_t boot;                 /* random, of this run */
    char addr[ADDR_BYTES_MAX];     /* where this node listens, as others name it */
    char version[32];
    unsigned n_controllers;        /* the command line's list; may be empty if the manifest knows some */
    char controllers[MEMBERS_MAX][ADDR_BYTES_MAX];
    uint32_t nshards;              /* for a founding controller */
    int64_t snapshot_bytes;        /* compact a log beyond this; -1 never */
    uint64_t election_us, heartbeat_us; /* 0: defaults */
    uint32_t chunk_bytes;          /* of a snapshot or a shard on its way, and of what is applied in one turn; 0: defaults */
    uint64_t save_bytes;           /* enough for a save; 0: default */
    unsigned append_entries_max;   /* raft.h */
    const struct manifest *manifest; /* as recovered, or with only a new node id. Copied */
};

/* CONFLICT with a sentence in `why`: the options contradict the data directory. */
MUST_USE enum rgkv_err node_new(const struct node_options *o, struct node **ret_n, struct buf *why);
void node_free(struct node *n);    /* frees machines; tables and logs are the outside's */

#define NODE_METRICS_MAX 64u

enum node_input_kind {
    NODE_TICK = 1,
    NODE_RECEIVED,            /* conn, message (borrowed). conn: an accepted or an own connection; replies go there */
    NODE_CONN_CLOSED,         /* conn: pending replies are forgotten */
    NODE_CONN_FULL,           /* conn, full: much waits on it to be written: reads of it are served when it is not full any more */
    NODE_MANIFEST_SAVED,      /* err */
    NODE_REPLICA_OPENED,      /* replica, err, why, recovered (borrowed), table, kv */
    NODE_COMMITTED,           /* replica, err, disk_bytes: the oldest NODE_COMMIT is done. err NO_SPACE: it is not done, the
                                 outside keeps it and tries again by itself (told once for each such batch) */
    NODE_SAVED,               /* replica, err */
    NODE_FLUSHED,             /* replica, err */
    NODE_TRIMMED,             /* replica, err, took_more: it was more than `number` */
    NODE_WARMED,              /* replica, number */
    NODE_COMPACTED,           /* replica, err, disk_bytes */
    NODE_LOG_READ,            /* replica, err, why, fetch, range (borrowed) */
    NODE_SNAPSHOT_READ_DONE,  /* replica, number */
    NODE_SNAPSHOT_OPENED,     /* replica, err, table: a blank one beside the real one */
    NODE_SNAPSHOT_WRITTEN,    /* replica, err, number, sink (borrowed) */
    NODE_SNAPSHOT_INSTALLED,  /* replica, err, table: now the replica's, log reset after it; kv */
    NODE_REPLICA_DELETED,     /* replica, err */
    NODE_DISK_SPACE,          /* disk_free, disk_total: now and then */
    NODE_VITALS,              /* memory_bytes, stall_us: now and then; only told on */
    NODE_METRICS,             /* metrics: what the outside counts (scope 0), for the report; copied. Now and then */
    NODE_STOP,                /* hand over leaderships; NODE_STOPPED follows, within an election timeout */
};

struct node_input {
    enum node_input_kind kind;
    uint64_t now_us;          /* monotonic */
    uint64_t conn;
    bool full;
    const struct msg *message;
    uint32_t replica;
    enum rgkv_err err;
    const char *why;
    const struct wal_recovered *recovered;
    const struct raft_fetch *fetch;
    const struct wal_range *range;
    const struct chunk_sink *sink;
    struct table *table;
    struct kv *kv;            /* over the table, of a shard group: the node's from here on. NULL: the node opens it, and reads a lot */
    uint64_t number;
    bool took_more;
    uint64_t disk_bytes, disk_free, disk_total, memory_bytes, stall_us;
    const struct ctrl_report_metric *metrics;
    unsigned n_metrics;       /* at most NODE_METRICS_MAX */
};

enum node_effect_kind {
    NODE_SEND = 1,            /* addr, frames */
    NODE_REPLY,               /* conn, frames */
    NODE_SAVE_MANIFEST,       /* manifest: replace it atomically and durably */
    NODE_OPEN_REPLICA,        /* replica, descriptor, cluster: open or create its log and table */
    NODE_COMMIT,              /* replica, batch: taken, wal_batch_release it after wal_commit */
    NODE_SAVE,                /* replica, saving: kv_saving_write it. What it borrows is there until NODE_SAVED */
    NODE_FLUSH,               /* replica: make the table durable */
    NODE_TRIM,                /* replica, from, to (taken), number: give the space of rows back that are gone from this range of the table, if it
                                 takes more than so many bytes */
    NODE_WARM,                /* replica, number, from (taken): kv_warm of this list. That it takes long holds up only who waits for it */
    NODE_COMPACT,             /* replica, index: wal_compact */
    NODE_READ_LOG,            /* replica, fetch: wal_read */
    NODE_RESET_LOG,           /* replica, index, term: wal_reset; answered by NODE_COMPACTED (P23, at start) */
    NODE_SNAPSHOT_READ,       /* replica, number, source: chunk_read it. It is there until NODE_SNAPSHOT_READ_DONE */
    NODE_SNAPSHOT_OPEN,       /* replica: make a blank table in a temporary place (discarding an older such) */
    NODE_SNAPSHOT_WRITE,      /* replica, number, sink (taken): chunk_write it */
    NODE_SNAPSHOT_INSTALL,    /* replica, index, term: flush that table, put it in place of the real one, wal_reset (P23) */
    NODE_SNAPSHOT_DISCARD,    /* replica */
    NODE_DELETE_REPLICA,      /* replica: table, log, directory; durably gone */
    NODE_EVENT,               /* why: a line for the log of the program */
    NODE_FAILED,              /* why: the process must end with this sentence (a failed sync, damage) */
    NODE_STOPPED,
};

struct node_effect {
    enum node_effect_kind kind;
    const char *addr;
    uint64_t conn;
    struct bytes frames;      /* until the next step */
    uint32_t replica;
    const struct manifest *manifest;
    const struct manifest_replica *descriptor;
    uint64_t cluster;
    struct wal_batch batch;   /* COMMIT: the outside's from here on */
    struct raft_fetch fetch;
    struct kv_saving saving;
    struct chunk_source *source;
    struct chunk_sink sink;
    uint64_t index, term;
    uint64_t number;          /* WARM, SNAPSHOT_READ, SNAPSHOT_WRITE: comes back. TRIM */
    struct buf from, to;      /* TRIM, WARM: the outside's from here on */
    const char *why;
};

void node_step(struct node *n, const struct node_input *i);
MUST_USE bool node_collect(struct node *n);
bool node_next(struct node *n, struct node_effect *ret_e);
uint64_t node_deadline_us(const struct node *n); /* the next tick that would do something */

/* What a replica's table has applied, by its row `applied`; 0 if there is none, or it cannot be read. Its log's entries up to there need not be
 * given to NODE_REPLICA_OPENED (wal_options.wanted_after). */
uint64_t node_applied_in(struct table *t);

/* For status texts, tests and the simulator's invariants. */
struct raft;
struct kv;
struct ctrl;
struct node_replica_info {
    uint32_t replica;
    uint64_t gid, incarnation, member;
    const struct raft *raft;  /* NULL: not open yet */
    struct kv *kv;            /* of a shard group */
    struct ctrl *ctrl;        /* of group 0 */
};
bool node_replica_info(const struct node *n, unsigned i, struct node_replica_info *ret_i); /* false: no more */
uint64_t node_cluster(const struct node *n);
uint64_t node_id(const struct node *n);

#endif
