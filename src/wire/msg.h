/* Every message between processes, as structs, and the frame that carries it.
 *
 * Frame (little-endian), 48 bytes of header, then body, then bulk:
 *
 *     0  u32 magic "RGKV"     4  u8 version   5  u8 kind   6  u16 flags (0)
 *     8  u64 request id: a reply echoes its request's; 0 where no reply is expected
 *    16  u64 cluster id: 0 only between strangers (HELLO, FOUND_*, a client's first messages)
 *    24  u32 body bytes      28  u32 bulk bytes
 *    32  u64 checksum                                             40  u64 reserved (0)
 *
 * The checksum is XXH3 of body and bulk, seeded with XXH3 of bytes 0..31 and 40..47: every other byte is under it.
 *
 * The body is one tpl image of fixed-width numbers whose format is the kind's; strings and values are the bulk, with
 * their lengths in the body, so that nothing is copied through tpl. Lengths are compared with limits.h before anything
 * else. The guard of tpl (magic, flags byte, announced length, exact format) is in guard.h.
 *
 * Decoding borrows from the frame and takes arrays from an arena: a decoded message is valid until either ends. */
#ifndef RGKV_WIRE_MSG_H
#define RGKV_WIRE_MSG_H

#include "ctrl/plan.h"
#include "kv/kv.h"
#include "raft/raft.h"

#define FRAME_HEADER_BYTES 48u
#define WIRE_VERSION 1

/* Bounds of what travels that limits.h does not know. */
#define VIEW_TOMBSTONES_MAX 2048u           /* a view carries the first so many: the others come when those are buried */
#define REPORT_SHARDS_MAX (3 * NSHARDS_MAX) /* of all replicas of a report; see codec_view.c for what happens beyond */

enum msg_kind {
    MSG_HELLO = 1,      /* first on every connection, both ways: who I am */
    MSG_RAFT,           /* replica -> replica */
    MSG_SNAPSHOT_CHUNK, /* leader's replica -> follower's: raft header and rows */
    MSG_SNAPSHOT_ACK,
    MSG_KV_REQUEST,     /* client -> group's leader */
    MSG_KV_REPLY,
    MSG_ADMIN_REQUEST,  /* client -> controller's leader: Join, Leave, Move, members */
    MSG_ADMIN_REPLY,
    MSG_CTRL_READ,      /* client -> controller's leader: a linearizable read of the controller, answered as text or config */
    MSG_CTRL_TEXT,
    MSG_POLL,           /* node or client -> controller's leader: long poll for a view newer than `version`, with a report */
    MSG_VIEW,           /* its answer */
    MSG_PULL,           /* leader of a move's destination -> leader of its source */
    MSG_PULL_REPLY,
    MSG_FOUND_ASK,      /* blank controller -> every address of its list (P2) */
    MSG_FOUND_STATE,
    MSG_FOUND,          /* lowest address -> all: the founding record */
    MSG_FOUND_ACK,
    MSG_REFUSED,        /* any request: why it was not even looked at */
    MSG_TRANSFER,       /* controller's leader -> node of a group's leader: hand leadership over; no answer, the next report tells */
    MSG_KIND_COUNT
};

struct msg_hello {
    uint64_t node;                /* node id; 0: a client */
    uint64_t client;
    char addr[ADDR_BYTES_MAX];    /* where it listens; "" for clients */
    char version[32];
};

struct msg_envelope {             /* P1, P3: all compared, a mismatch is dropped */
    uint64_t gid, incarnation, from, to; /* member ids */
};

struct msg_raft {
    struct msg_envelope envelope;
    struct raft_message message;
};

/* One chunk of a replica's table (every row, `applied` included), rows as {u16 key length, u32 value length, key, value}. */
struct msg_snapshot_chunk {
    struct msg_envelope envelope;
    struct raft_message header;   /* RAFT_SNAPSHOT: term, log_index, log_term; no entries */
    uint64_t snapshot_id, boot;   /* a transfer resumes only with the same (P23) */
    uint64_t number;              /* from 0, consecutive */
    bool done;
    uint64_t rows_total, hash;    /* with done: of all rows in order */
    struct bytes rows;
};
struct msg_snapshot_ack {
    struct msg_envelope envelope;
    uint64_t term, snapshot_id;
    uint64_t next;                /* the chunk that is wanted */
    bool installed, refused;      /* refused: start over or give up; at once if `next` is less than what was asked for before */
    uint64_t log_index;           /* the snapshot's; of another one, or of another term, it is nobody's */
};

struct msg_kv_request {
    uint64_t gid;
    struct kv_request request;
};
/* MSG_KV_REPLY is a struct kv_reply. */

struct msg_admin_request {
    struct ctrl_command command;  /* ctrl_op_admin */
};
struct msg_admin_reply {
    struct ctrl_result result;    /* err NOT_LEADER: leader_addr */
    char leader_addr[ADDR_BYTES_MAX];
};

enum ctrl_read {
    CTRL_READ_CONFIG = 1,         /* number = config number, UINT64_MAX = newest */
    CTRL_READ_SHARDS, CTRL_READ_MOVES, CTRL_READ_SETTLED, CTRL_READ_STATUS, CTRL_READ_NODES,
    CTRL_READ_MEMBERS,            /* number = gid */
    CTRL_READ_LEADER,             /* number = gid */
    CTRL_READ_GROUP_SHARDS, CTRL_READ_GROUP_KEYS, CTRL_READ_GROUP_BYTES, /* number = gid */
    CTRL_READ_METRICS,            /* Prometheus text of all nodes */
    CTRL_READ_COUNT
};
struct msg_ctrl_read {
    enum ctrl_read what;
    uint64_t number;
};
struct msg_ctrl_text {
    enum rgkv_err err;            /* NOT_FOUND; MOVING for SETTLED that is not; NOT_LEADER */
    char leader_addr[ADDR_BYTES_MAX];
    struct bytes text;
};

struct msg_poll {
    uint64_t version;             /* of the view I have; 0: none. Answered at once if there is a newer one, else within hold_us */
    uint64_t hold_us;             /* at most 5 s (P30); 0: answer at once */
    bool has_report;
    struct ctrl_report report;
};
struct msg_view {
    enum rgkv_err err;            /* NOT_LEADER */
    char leader_addr[ADDR_BYTES_MAX];
    uint64_t time_us;             /* group 0's logged time: what an administrator's command is born with */
    bool changed;                 /* false: the held version is still the newest, `view` is empty */
    struct ctrl_view view;        /* arrays from the arena */
};

struct msg_pull {
    uint64_t gid, incarnation;    /* of the source */
    uint32_t shard;
    uint64_t epoch, round;
    struct bytes after;
};
struct msg_pull_reply {
    enum rgkv_err err;            /* NOT_LEADER, MOVING: not yet (pulled.count: something that grows while it is prepared), WRONG_GROUP: never */
    char leader_addr[ADDR_BYTES_MAX];
    uint32_t shard;
    uint64_t epoch, round;
    struct kv_pulled pulled;
    struct bytes after;           /* echoed */
    struct bytes rows;
};

/* Founding (P2). The record is what every founding member syncs before it may vote. */
struct founding {
    uint64_t cluster;             /* 0: none */
    uint32_t nshards;
    unsigned n;
    struct raft_member members[MEMBERS_MAX]; /* ids 1 … n in the order of the addresses, sorted */
};
struct msg_found_ask {
    uint64_t node;
    char addr[ADDR_BYTES_MAX];
    uint64_t list_hash;           /* of the sorted controllers list and nshards */
};
struct msg_found_state {
    uint64_t node;
    char addr[ADDR_BYTES_MAX];
    uint64_t list_hash;
    struct founding record;       /* cluster 0: blank */
};
struct msg_found {
    struct founding record;
};
struct msg_found_ack {
    uint64_t node;
    bool accepted;
};

struct msg_refused {
    enum rgkv_err err;
    char why[160];
};

struct msg_transfer {
    uint64_t gid, incarnation, member;
};

struct msg {
    enum msg_kind kind;
    uint64_t id, cluster;
    union {
        struct msg_hello hello;
        struct msg_raft raft;
        struct msg_snapshot_chunk snapshot_chunk;
        struct msg_snapshot_ack snapshot_ack;
        struct msg_kv_request kv_request;
        struct kv_reply kv_reply;
        struct msg_admin_request admin_request;
        struct msg_admin_reply admin_reply;
        struct msg_ctrl_read ctrl_read;
        struct msg_ctrl_text ctrl_text;
        struct msg_poll poll;
        struct msg_view view;
        struct msg_pull pull;
        struct msg_pull_reply pull_reply;
        struct msg_found_ask found_ask;
        struct msg_found_state found_state;
        struct msg_found found;
        struct msg_found_ack found_ack;
        struct msg_refused refused;
        struct msg_transfer transfer;
    };
};
const char *msg_kind_name(enum msg_kind kind);

/* ---- frames ---- */

/* Memory for decoded arrays: reset after each message, keeps its block. Allocation is bounded by what a legal frame can hold. */
struct arena {
    uint8_t *block;
    size_t used, cap;
    struct arena_extra *extra;
};
void arena_reset(struct arena *a);
void arena_release(struct arena *a);
void *arena_alloc(struct arena *a, size_t bytes); /* zeroed, 16-byte aligned */

/* The size of the frame that begins here, from its first FRAME_HEADER_BYTES. PROTOCOL: not ours, or over a limit. */
MUST_USE enum rgkv_err frame_size(const uint8_t header[FRAME_HEADER_BYTES], size_t *ret_bytes);
/* Appends one whole frame. The message must be legal (ASSERTed: we made it). */
void msg_encode(const struct msg *m, struct buf *out);
/* `frame` is one whole frame. PROTOCOL: checksum, kind, guard, counts, lengths, enum values, NULs in strings, anything.
 * Numbers are in range for their C type and enums known; whether they make sense is the receiver's business. */
MUST_USE enum rgkv_err msg_decode(struct bytes frame, struct arena *a, struct msg *ret_m);
/* Drops the references that a decoded message holds: a RAFT message's entries have payloads of their own (blobs), so
 * that the log can keep them. For every other kind there is nothing to do, and twice is as good as once. */
void msg_release(struct msg *m);

/* ---- log entries' payloads ---- */

struct blob *kv_command_encode(const struct kv_command *c);
MUST_USE enum rgkv_err kv_command_decode(struct bytes payload, struct arena *a, struct kv_command *ret_c); /* DAMAGED */
struct blob *ctrl_command_encode(const struct ctrl_command *c);
MUST_USE enum rgkv_err ctrl_command_decode(struct bytes payload, struct arena *a, struct ctrl_command *ret_c);

/* ---- small files ---- */

struct manifest_replica {
    uint64_t gid, incarnation, member;
    uint32_t nshards;
    bool blank;                   /* created, its first sync not yet done: may be made anew */
    struct raft_config founding;  /* n = 0: an empty learner */
};
struct manifest {
    uint64_t node;                /* made with the data directory */
    uint64_t cluster;             /* 0: blank */
    char addr[ADDR_BYTES_MAX];    /* where it listened last */
    struct founding founding;     /* of a controller; cluster 0: none */
    unsigned n_controllers;       /* the newest list that it saw (P30) */
    char controllers[MEMBERS_MAX][ADDR_BYTES_MAX];
    uint64_t view;                /* placement version by which a replica was deleted here last: an older view is not obeyed, it
                                     might still give us that member (P4) */
    unsigned n_replicas;
    struct manifest_replica replicas[REPLICAS_MAX];
};
void manifest_encode(const struct manifest *m, struct buf *out);
MUST_USE enum rgkv_err manifest_decode(struct bytes in, struct manifest *ret_m); /* DAMAGED */

#endif
