/* The shard state machine of one group: keys, values, directories, sessions and the shards themselves, over a
 * table. Pure: everything it decides follows from the log (commands with their logged time) and the table.
 *
 * Commands are applied in log order, a run of them ends with kv_finish. Nothing may be answered to anybody, and nothing
 * read, before that. What was finished is kept in memory, over the table, until there is enough of it: then all of it
 * goes to the table in one atomic write, together with the row `applied`, so that a row which changes often is written once.
 * The table is durable only after a flush, and whatever it lacks the log still has (P23): so this costs nothing but
 * the order: a save comes before a flush, and before anybody else looks at the table.
 *
 * Names (FILESYSTEM.md section 1 of the specification; README "Promises"): a key is a path without the leading slash: components of
 * 1–255 bytes, none "." or "..", no NUL, 1,024 bytes in all. Its shard is XXH3_64(first component) % nshards. A key's
 * parent must exist and be a directory (the root always does).
 *
 * Rows: see the head of rows.h. A data row is named by (shard, generation, chunk, revision) and not by key, so a
 * rename moves one meta row; the generation, the revision of the Put that made the value, is unique in its shard for ever. */
#ifndef RGKV_KV_KV_H
#define RGKV_KV_KV_H

#include "base/bytes.h"
#include "kv/table.h"

/* ---- keys ---- */

enum rgkv_err kv_key_check(struct bytes key);          /* OK, INVALID, NAME_TOO_LONG */
uint32_t kv_key_shard(struct bytes key, uint32_t nshards); /* by the first component */

/* ---- requests ---- */

enum kv_op {
    KV_PUT = 1,   /* whole value `data`; keeps mode/owner of an existing file, else takes them from the request */
    KV_APPEND,    /* `data` at the end; creates the file */
    KV_PATCH,     /* `ranges` of `data`, concatenated, and KV_TRUNCATE to `length` first; the file must exist */
    KV_DELETE,    /* a file or symlink */
    KV_SETATTR,   /* `set` says which of mode, uid, gid, atime, mtime */
    KV_MKDIR,
    KV_RMDIR,
    KV_SYMLINK,   /* `data` is the target */
    KV_RENAME,    /* key -> key2; replaces like rename(2); KV_CREATE_ONLY = NOREPLACE. To another shard: of a file or link; PENDING
                     until it is over, which the same request asked again learns; CONFLICT: the target is being renamed itself */
    KV_EXCHANGE,  /* RENAME_EXCHANGE, same shard */
    /* a value in pieces (P27): staged beside the file, seen by nobody until one KV_PUT with KV_STAGED makes it the value */
    KV_STAGE_OPEN,  /* begins an empty one; the stage's id is the version in the answer. `key`: any of the shard */
    KV_STAGE_WRITE, /* changes the stage `version` as KV_PATCH changes a file. STALE: it is not open, or another client's */
    KV_STAGE_DROP,  /* the stage `version` is given up; nothing if it is not there */
    KV_XATTR_SET,   /* the extended attribute `key2` of the key becomes `data`. KV_CREATE_ONLY: EXISTS; KV_MUST_EXIST: NO_DATA */
    KV_XATTR_REMOVE, /* NO_DATA: there is none of that name */
    /* between shards, of no session: a file that is renamed to another shard (intent.c, land.c; P6) */
    KV_LAND,      /* at the target: a piece of the file, from kv_land_request; without ranges: it is given up because of `version` */
    KV_SETTLE,    /* at the source: the intent `seq` of the key's shard is over with the error `version` */
    /* reads: never logged */
    KV_STAT = 32, /* attr */
    KV_GET,       /* attr and data [offset, offset + length); a link: its target. KV_IF_VERSION: of that version, or STALE; of a value
                     that only grew since `version` the bytes may go on beyond what that version held */
    KV_LIST,      /* children of `key` (empty: of the root, in this shard) after name `key2`; at most `length` */
    KV_TIME,      /* only the shard's logged time: a client's first contact (P5) */
    KV_XATTR_GET, /* data: the value of the extended attribute `key2`; NO_DATA */
    KV_XATTR_LIST, /* data: the names, each with its NUL, in byte order */
};
enum { KV_WRITE_LAST = KV_SETTLE, KV_READ_LAST = KV_XATTR_LIST };
static inline bool kv_op_reads(enum kv_op op) { return op >= KV_STAT; }
static inline bool kv_op_known(uint32_t op) { return (op >= KV_PUT && op <= KV_WRITE_LAST) || (op >= KV_STAT && op <= KV_READ_LAST); }
const char *kv_op_name(uint32_t op); /* "put"; NULL: no such operation */

enum { /* flags */
    KV_CREATE_ONLY = 1 << 0,   /* EXISTS if it is there */
    KV_IF_VERSION = 1 << 1,    /* VERSION unless the key's version is `version` (0: must not exist) */
    KV_MUST_EXIST = 1 << 2,    /* PUT, APPEND: NOT_FOUND instead of creating */
    KV_TRUNCATE = 1 << 3,      /* PATCH: set the size to `length` (before the ranges are written) */
    KV_CLEAR_SUID = 1 << 4,    /* a write by somebody but root: clears setuid, setgid */
    KV_STAGED = 1 << 5,        /* PUT: `data` is a struct kv_staged, and the value is what was staged under its id */
    KV_IF_EMPTY = 1 << 6,      /* PUT: VERSION if the file is there and holds anything */
    KV_IF_INO = 1 << 7,        /* PATCH, SETATTR, XATTR_…: NOT_FOUND unless the file of that name is number `ino` (of SETATTR: `of_ino`).
                                  GET with KV_IF_VERSION: of that file */
    KV_FLAGS_ALL = (1 << 8) - 1,
};
enum { KV_SET_MODE = 1, KV_SET_UID = 2, KV_SET_GID = 4, KV_SET_ATIME = 8, KV_SET_MTIME = 16, KV_SET_ALL = 31 };
enum kv_type { KV_FILE = 1, KV_DIR, KV_LINK };

struct kv_range {
    uint64_t offset;
    uint32_t len;
};

struct kv_request {
    uint64_t client, seq;      /* sequence per (client, shard), from 1; 0 for reads */
    uint64_t floor;            /* every lower sequence is answered or given up */
    uint64_t born_us;          /* the newest shard time the client knew when it first sent this (P5) */
    uint32_t shard;
    enum kv_op op;
    uint32_t flags, set;
    struct bytes key, key2, data;
    uint64_t version;
    uint64_t offset;
    union {
        uint64_t length;
        uint64_t of_ino;       /* SETATTR with KV_IF_INO: it may set atime_ns */
    };
    uint32_t mode, uid, gid;   /* mode: permission bits only (07777) */
    union {
        int64_t atime_ns;
        uint64_t ino;          /* the others with KV_IF_INO */
    };
    int64_t mtime_ns;
    int64_t now_ns;            /* the client's wall clock: ctime, and mtime of writes */
    unsigned n_ranges;
    const struct kv_range *ranges;
};

/* What the commit of a staged value says of it; anything else than what was staged is STALE, and nothing changes. */
struct kv_staged {
    uint64_t id;               /* the version that KV_STAGE_OPEN answered */
    uint64_t pieces;           /* how many KV_STAGE_WRITE */
    uint64_t length;           /* of the value; beyond what was written it is zeros */
    uint64_t hash;             /* sum of kv_piece_hash over the pieces, modulo 2^64 */
};
#define KV_STAGED_BYTES 32u
void kv_staged_encode(const struct kv_staged *s, uint8_t to[KV_STAGED_BYTES]);
bool kv_staged_decode(struct bytes in, struct kv_staged *ret_s);
uint64_t kv_piece_hash(const struct kv_request *piece);

/* Everything that can be said of a request without state: OK, INVALID, NAME_TOO_LONG, TOO_LARGE, CROSS_SHARD. */
MUST_USE enum rgkv_err kv_request_check(const struct kv_request *q, uint32_t nshards);

struct kv_attr {
    enum kv_type type;
    uint32_t mode, uid, gid;
    uint64_t size;
    uint64_t version;          /* revision of the last change: grows for ever, also over moves */
    uint64_t base;             /* since this version the value only grew: what was read of any version from here on goes on as
                                  it began. 0 in a directory's listing: not told */
    uint64_t ino;              /* given at creation, unique in the cluster: (shard + 1) << 51 ^ revision; stays over Put and renames */
    int64_t atime_ns, mtime_ns, ctime_ns;
    bool xattrs;               /* there are extended attributes. Not told to clients */
};

struct kv_reply {
    enum rgkv_err err;
    uint64_t shard_time_us;    /* logged time of the shard */
    struct kv_attr attr;       /* of the key after the change or at the read; type 0: none. A recorded result that is returned
                                  to a retry holds only version, size and ino */
    bool has_attr;
    bool more;                 /* LIST: there are more; GET: the value goes on */
    struct bytes data;         /* GET, LIST: see kv_dirent_next. Borrowed from the buffer given to kv_read */
    uint64_t leader_member;    /* filled by the node on NOT_LEADER: 0 unknown */
    char leader_addr[ADDR_BYTES_MAX];
};

/* LIST data: names with attributes, in byte order. */
struct kv_dirent {
    struct bytes name;
    struct kv_attr attr;
};
void kv_dirent_append(struct buf *out, const struct kv_dirent *d);
bool kv_dirent_next(struct reader *r, struct kv_dirent *ret_d); /* false: at the end, or r->ok is false */

/* ---- commands: what the log holds ---- */

enum kv_command_kind {
    KV_REQUEST = 1,
    KV_CLOCK,       /* time passes: expire what is due */
    /* shard commands; each does nothing unless its epoch fits (P4, P9, P10, P14, P17): then the result is STALE */
    KV_IMPORT,      /* epoch > ours and not serving: clear the range, then importing (from == 0: prepared at once, empty) */
    KV_CHUNK,       /* importing at exactly epoch, in `round`, and `after` equals the cursor: rows (malformed or foreign: INVALID).
                       done: the round ends with them */
    KV_IMPORT_END,  /* at the end of a round, count and hash equal ours: prepared, else DAMAGED. Carries revision and clock of the source */
    KV_FREEZE,      /* serving or frozen, epoch > ours: frozen at epoch */
    KV_ACTIVATE,    /* prepared at exactly epoch: serving */
    KV_THAW,        /* frozen or serving, epoch > ours: serving at epoch */
    KV_DROP,        /* frozen at <= epoch, or importing/prepared at < epoch: clear the range */
    KV_COPY,        /* serving, epoch > ours: what changes from here on is recorded, in `round`: 1, and then one more each time */
    KV_COPY_SUM,    /* being copied at exactly epoch: count and hash of the rows as they were when that began */
};

struct kv_command {
    enum kv_command_kind kind;
    uint64_t time_us;          /* group's logged time: never goes back (the machine takes the maximum) */
    struct kv_request request; /* KV_REQUEST */
    uint32_t shard;            /* shard commands */
    uint64_t epoch;
    uint64_t from;             /* KV_IMPORT: gid of the source or 0 */
    struct bytes after;        /* KV_CHUNK: the cursor before */
    struct bytes rows;         /* KV_CHUNK: as kv_pull wrote them */
    uint64_t round;            /* KV_CHUNK, KV_IMPORT_END, KV_COPY */
    bool done;                 /* KV_CHUNK */
    uint64_t count, hash;      /* KV_IMPORT_END, KV_COPY_SUM */
    uint64_t revision, clock_us; /* KV_IMPORT_END */
};

struct kv_result {
    enum rgkv_err err;         /* WRONG_GROUP and MOVING are not recorded in the session (P11) */
    struct kv_reply reply;     /* for KV_REQUEST */
    bool duplicate;            /* a recorded result was returned, nothing was executed */
};

/* ---- the machine ---- */

enum kv_shard_state { KV_NONE, KV_IMPORTING, KV_PREPARED, KV_SERVING, KV_FROZEN };
const char *kv_shard_state_name(enum kv_shard_state s);

struct kv_shard_status {
    enum kv_shard_state state;
    uint64_t epoch;
    uint64_t from;             /* KV_IMPORTING */
    uint64_t revision, time_us;
    uint64_t keys, bytes;      /* live keys and value bytes */
    uint64_t import_round, import_rows, import_hash; /* so far */
    uint64_t import_steps, import_bytes; /* pieces, and bytes of rows in them; only in memory: to see that it goes on */
    uint64_t copy_epoch, copy_round; /* 0: it is not being copied */
};

struct kv;

/* Takes over (not owns) the table. Reads the shard rows. nshards is fixed for the cluster and stored in the table when
 * first opened; another number later: CONFLICT. */
MUST_USE enum rgkv_err kv_open(struct table *t, uint64_t gid, uint32_t nshards, struct kv **ret_kv);
void kv_free(struct kv *k);

/* Applies one command. An error is the disk's (the result has the command's own): the machine must then be closed, nothing
 * since the last write counts. May write all up to this command with the previous `applied` row: `applied_before` is
 * that row's value. NO_SPACE: the command was not applied and nothing is lost; the same one again, once a save has succeeded. */
MUST_USE enum rgkv_err kv_apply(struct kv *k, const struct kv_command *c, struct bytes applied_before, struct kv_result *ret_r);
/* The run ends; the row `applied` goes with it (even if nothing else is in it). Writes what a copy under way is to see. NO_SPACE:
 * the run has ended and counts, but the table takes nothing: all stays in memory, boundedly, until a save succeeds. */
MUST_USE enum rgkv_err kv_finish(struct kv *k, struct bytes applied);

/* ---- saves ---- */

/* Puts all that was finished into the table. NO_SPACE: it is not there yet, nothing is lost, try again. Not while one is under way beside. */
MUST_USE enum rgkv_err kv_save(struct kv *k);
/* The same beside the machine, between runs: it goes on meanwhile, with all that is asked of it, and only kv_save has to wait.
 *
 *     kv_save_begin  ──▶  kv_saving_write, on any thread  ──▶  kv_save_end, with its outcome
 *
 * What the write borrows is the machine's, which must not be freed before. False: there is nothing to save, every run is
 * saved because of a copy, or something could not be read. */
struct overlay_layer;
struct kv_saving {
    struct table *table;
    const struct overlay_layer *rows;
    bool again;                /* it found no space before: nothing is in it that was finished since */
};
MUST_USE bool kv_save_begin(struct kv *k, struct kv_saving *ret_s);
MUST_USE enum rgkv_err kv_saving_write(const struct kv_saving *s);
MUST_USE enum rgkv_err kv_save_end(struct kv *k, enum rgkv_err err); /* as kv_save: NO_SPACE, or the machine must be closed */
void kv_full_at(struct kv *k, uint64_t bytes); /* enough is less than usual; 0: as usual */
bool kv_full(const struct kv *k);      /* there is enough to be saved; not while the table has no space */
bool kv_saves_runs(const struct kv *k); /* a shard is being copied: each run is saved as it ends */
bool kv_unsaved(const struct kv *k);   /* something that was finished is not in the table */
bool kv_waits(const struct kv *k, const struct kv_command *c); /* kv_apply would have to save, and one is under way beside: after that */
/* The row `applied` as last written (appended to out), NOT_FOUND on a blank table. Works on any table (ctrl's too). */
MUST_USE enum rgkv_err kv_applied_row(struct table *t, struct buf *out);

/* Serves a read, between runs. WRONG_GROUP, MOVING as reply->err. Data goes into `out`. The return value is the disk's. */
MUST_USE enum rgkv_err kv_read(struct kv *k, const struct kv_request *q, struct buf *out, struct kv_reply *ret_r);
/* Rows that only a disk has (cold.c). The first two read from memory alone. What they miss is added to `cold`, for kv_warm; then the same
 * again: there may be more to miss, since one row tells of others. Hints: kv_apply and kv_read find everything, and wait for it. `asked`:
 * how often rows were read for this command already. PENDING: *ret_r and out are as before. */
bool kv_at_hand(struct kv *k, const struct kv_command *c, unsigned asked, struct buf *cold);
MUST_USE enum rgkv_err kv_read_now(struct kv *k, const struct kv_request *q, struct buf *out, struct kv_reply *ret_r, struct buf *cold);
void kv_warm(struct table *t, struct bytes cold);  /* reads them into the table's cache; on any thread */

/* May this mutation be proposed? OK, WRONG_GROUP, MOVING, BUSY (outside the window, P12). Only an early answer: apply decides. */
enum rgkv_err kv_may_propose(const struct kv *k, const struct kv_request *q);

/* Renames to other shards that are open here. The pointer: until the next apply. NULL: no more. */
struct kv_intent {
    uint32_t shard, target;    /* source and target shard */
    uint64_t number;           /* with `shard` its name; grows */
    uint64_t client, seq, floor; /* who asked */
    uint32_t flags;            /* KV_CREATE_ONLY */
    int64_t now_ns;
    struct bytes key, key2;
};
const struct kv_intent *kv_intent_at(const struct kv *k, unsigned i);
/* The KV_LAND that carries [offset, offset + bytes_max) of the file, and its end if that is the end. Borrows from out, ret_range and
 * the intent. NOT_FOUND or the disk's error. */
MUST_USE enum rgkv_err kv_land_request(struct kv *k, const struct kv_intent *i, uint64_t offset, uint32_t bytes_max, struct buf *out,
                                       struct kv_range *ret_range, struct kv_request *ret_q);

uint64_t kv_time_us(const struct kv *k);           /* newest logged time of the group */
bool kv_clock_due(const struct kv *k, uint64_t time_us); /* would a KV_CLOCK at this time expire anything? */
void kv_shard_status(const struct kv *k, uint32_t shard, struct kv_shard_status *ret_s);
uint32_t kv_nshards(const struct kv *k);
/* The cursor of an importing shard: key of the last row applied; empty at the start. Until the next apply. */
struct bytes kv_import_cursor(const struct kv *k, uint32_t shard);

/* The holder's side of a move (copy.c): rows of a shard for KV_CHUNK. Round 0 is every row, as it is when it is read; round r
 * what changed since, as recorded in round r. Refused: MOVING unless the shard is being copied, or frozen, at exactly `epoch`
 * and the round is over (P9); WRONG_GROUP beyond that epoch. */
struct kv_pulled {
    bool done;                 /* the round has no more rows */
    bool last;                 /* nor is there another round: with the totals for KV_IMPORT_END */
    uint64_t count, hash, revision, clock_us;
};
struct kv_pull {
    uint32_t shard;
    uint64_t epoch, round;
    struct bytes after;        /* the cursor of the importing shard */
    size_t bytes_max;          /* of rows; at least one is given */
    bool calm;                 /* the round before took little time, so a freeze now would, too */
};
MUST_USE enum rgkv_err kv_pull(struct kv *k, const struct kv_pull *q, struct buf *out, struct kv_pulled *ret_p);
/* What the holder must log so that the copy gets on to what `q` asks for (KV_COPY, KV_COPY_SUM, KV_FREEZE); false: nothing now. Does a piece
 * of the counting at each call; *ret_steps grows with it. */
bool kv_copy_next(struct kv *k, const struct kv_pull *q, struct kv_command *ret_c, uint64_t *ret_steps);

/* Space of rows that are gone, in rounds: one begins (false: there is nothing to be done), what was applied by then is saved, and then
 * kv_trim_next tells range after range for which the table should give space back if it takes more than `more_than` bytes of disk (0: in any case). What
 * came of it is told before the next one: the same range comes again, in another round, until it was done and took no more. */
struct kv_trim {
    uint32_t shard;
    struct buf from, to;       /* the caller's to release */
    uint64_t more_than;
};
bool kv_trim_begin(struct kv *k);
bool kv_trim_next(struct kv *k, struct kv_trim *ret_t);
void kv_trimmed(struct kv *k, uint32_t shard, bool took_more, bool done);

/* Over the whole state of a machine: equal on all replicas at equal applied index. `machine` is of what machine and shards say of
 * themselves, copies included; 0: not known, for what a copy needs is recorded by saves, and the table refuses them. Slow: for tests. */
struct kv_checksum {
    uint64_t rows, machine;
};
MUST_USE enum rgkv_err kv_checksum(struct kv *k, struct kv_checksum *ret_c);

#endif
