/* Inside the machine: what its files share.
 *
 *   kv.c       open, apply, finish; what others ask
 *   key.c      names; request.c what can be said of a request alone
 *   overlay.c  rows that are not in the table yet; row_cache.c rows used lately; rows.c keys and values of rows as bytes
 *   dedup.c    sessions: exactly once
 *   op.c       one request is executed: put … symlink; rename.c two names at once
 *   value.c    a value's bytes in rows; staged.c a value that comes in pieces
 *   xattr.c    extended attributes
 *   intent.c   a rename to another shard: the source's side; land.c the target's
 *   expiry.c   what is collected by logged time
 *   shard.c    shards come and go; copy.c the record of what changes meanwhile; pull.c the holder's answers
 *   read.c     stat, get, list; cold.c which rows a command or a read would have to wait for */
#ifndef RGKV_KV_MACHINE_H
#define RGKV_KV_MACHINE_H

#define uthash_malloc(bytes) mem_alloc(bytes)
#define uthash_free(p, bytes) mem_free(p)
#define uthash_fatal(why) base_fail(__FILE__, __LINE__, __func__, why)
#include <uthash.h>

#include "kv/overlay.h"
#include "kv/rows.h"

/* A shard that is being copied by the destination of its move: see copy.c. */
struct copying {
    uint64_t epoch, round;     /* 0: it is not */
    bool summed;               /* count and hash are those of all rows; else only what changed of them since the copy began */
    uint64_t count, hash;
    uint64_t saved_count, saved_hash; /* not in the row: what a save that fails goes back to */
};
struct copy_scan;

struct shard {
    enum kv_shard_state state;
    uint64_t epoch, from;
    uint64_t clock_us;         /* where its time stands, unless serving */
    uint64_t offset_us;        /* serving: its time = the group's + this, modulo 2^64 */
    uint64_t revision, keys, bytes, sessions;
    uint64_t import_round, import_rows, import_hash;
    struct copying copying;
    struct buf cursor;         /* importing: the place of the last row applied in its round */
    /* not in the row */
    bool dirty;
    uint64_t due_us;           /* of the first row in the queue; UINT64_MAX: none. Right while serving or frozen */
    struct copy_scan *scan;    /* the holder counts its rows; or NULL */
    uint64_t import_steps, import_bytes;
    bool littered;             /* rows went as a range; trim.c */
    uint64_t litter_bytes;
    bool trims;                /* in this round, because of what had gone when it began: trim_bytes, if it is known */
    uint64_t trim_bytes;
};

struct intent {
    struct kv_intent head;
    struct buf keys;           /* what head.key and head.key2 are in */
};

struct session_id {
    uint64_t client, shard;
};
struct session {
    struct session_id id;
    struct session_row row;
    bool dirty;
    UT_hash_handle hh;
};

struct kv {
    uint64_t gid;
    uint32_t nshards;
    uint64_t time_us;
    bool time_dirty;
    struct row_cache *cache;   /* of the table */
    struct overlay rows;       /* what changed and is not saved, over the table */
    bool finished;             /* no command was applied since kv_finish */
    bool unsaved;              /* something was finished since the last save, or since the one under way began */
    bool saving;               /* one is under way beside: what is frozen of `rows` is being written */
    uint64_t full_bytes;       /* 0: the overlay's bounds alone count */
    bool held;                 /* the table had no space for the last save */
    struct buf applied;        /* the row of that name as last finished */
    struct shard *shards;
    unsigned n_copying;
    uint32_t trim_at;
    unsigned n_dirty;          /* shards whose row is to be written */
    uint32_t *dirty;
    struct session *sessions;  /* cache: any may be forgotten when a save begins */
    struct session **dirty_sessions;
    unsigned n_dirty_sessions, dirty_sessions_room;
    struct intent *intents;    /* open, of all shards that serve or are frozen: intent.c */
    unsigned n_intents, intents_room;
    struct buf row, data, chunk; /* scratch: a row just read; bytes of a value; bytes of a chunk */
    struct meta import_scratch;
};

/* ---- kv.c ---- */
void kv_find(struct kv *k, uint32_t shard);            /* what of its rows is kept in memory while it serves or is frozen */
void kv_shard_changed(struct kv *k, uint32_t shard);   /* its row will be written */
enum rgkv_err kv_serving(const struct shard *s);      /* OK, WRONG_GROUP, MOVING */
uint64_t kv_shard_time(const struct kv *k, const struct shard *s);
enum rgkv_err kv_take_read_error(struct kv *k);        /* it is then forgotten */

/* ---- dedup.c: P5, P12, P28 ---- */
/* May this be executed? OK; SESSION_OLD, SESSION_EXPIRED, BUSY. OK with ret_done filled in (it is untouched otherwise):
 * it was executed, and this is the recorded outcome. */
enum rgkv_err dedup_admit(struct kv *k, const struct kv_request *q, struct session_result *ret_done);
void dedup_look(struct kv *k, const struct kv_request *q); /* for the row that dedup_admit will read */
uint64_t dedup_floor(struct kv *k, const struct kv_request *q); /* in force once the request is recorded */
void dedup_record(struct kv *k, const struct kv_request *q, enum rgkv_err err, const struct kv_attr *a);
void dedup_record_late(struct kv *k, const struct kv_request *q, enum rgkv_err err); /* of a request that may be given up since */
/* Goes unless it was used since: then false, and when to look again. */
bool dedup_expire(struct kv *k, uint32_t shard, uint64_t client, uint64_t *ret_due_us);
void dedup_write(struct kv *k);                        /* changed sessions into rows */
void dedup_trim(struct kv *k);                         /* after dedup_write: bounds the cache */
void dedup_forget_shard(struct kv *k, uint32_t shard); /* its rows are gone */
void dedup_release(struct kv *k);
enum rgkv_err dedup_may_propose(const struct kv *k, const struct kv_request *q);

/* ---- expiry.c ---- */
void expiry_session(struct kv *k, uint32_t shard, uint64_t due_us, uint64_t client);
void expiry_value(struct kv *k, uint32_t shard, const struct meta *m);           /* all its rows, when old versions go */
void expiry_chunk(struct kv *k, uint32_t shard, uint64_t generation, uint32_t chunk, uint64_t revision);
void expiry_cut(struct kv *k, uint32_t shard, uint64_t generation, uint32_t chunk, uint64_t revision);
void expiry_stage(struct kv *k, uint32_t shard, uint64_t due_us, uint64_t generation);
void expiry_history(struct kv *k, uint32_t shard, struct bytes key, uint64_t version);
void expiry_run(struct kv *k);                         /* collects what is due, boundedly */
/* What that will read at the time `time_us` is looked for (k->rows.cold). `values`: rows that are collected are named, wherever they are. */
void expiry_look(struct kv *k, uint64_t time_us, bool values);
void expiry_find_due(struct kv *k, uint32_t shard, struct scan *s); /* sets due_us from the rows; s: any of this shard */

/* ---- value.c ---- */
struct value {             /* a file's value in the hands of a command */
    struct kv *k;
    uint32_t shard;
    uint64_t revision;     /* the command's */
    struct meta *meta;
};
bool value_is_one_put(const struct meta *m);           /* and never changed: its rows are known without looking */
void value_put(struct value *v, struct bytes data);    /* a new generation */
void value_append(struct value *v, struct bytes data);
void value_patch(struct value *v, struct bytes key, const struct kv_request *q);
void value_write_ranges(struct value *v, const struct kv_request *q); /* a patch of what nobody reads yet */
void value_lengthen(struct value *v, uint64_t size);   /* with zeros */
/* The key's old value stays readable at its version for a while. If it is `gone`, its rows go then. */
void value_keep_old(struct value *v, struct bytes key, bool gone);
/* Appends bytes [offset, offset + len) to out; less at the end. Only rows up to revision `at` count. */
void value_read(struct overlay *o, uint32_t shard, const struct meta *m, uint64_t at, uint64_t offset, uint64_t len, struct buf *out);

/* ---- op.c, rename.c ---- */
struct op {                /* one request that is being executed */
    struct kv *k;
    struct overlay *rows;  /* k->rows */
    struct shard *shard;
    const struct kv_request *q;
    uint64_t revision;     /* the shard's, if this changes anything */
    struct kv_attr attr;   /* of the key after the change; type 0: none */
};
enum rgkv_err op_execute(struct op *o);
bool op_find(struct op *o, struct bytes key, struct meta *ret_m);
void op_store(struct op *o, struct bytes key, const struct meta *m);
void op_remove(struct op *o, struct bytes key);
enum rgkv_err op_missing(struct op *o, struct bytes key);    /* NOT_FOUND or NOT_DIR: why it cannot be there */
enum rgkv_err op_parent_is_dir(struct op *o, struct bytes key);
void op_touch_parent(struct op *o, struct bytes key);
bool op_means_another(const struct kv_request *q, const struct meta *m); /* the request is for the file of a number, and this is not it */
enum rgkv_err op_conditions(const struct op *o, bool found, const struct meta *m);
bool op_dir_empty(struct op *o, struct bytes key);
void op_drop(struct op *o, struct bytes key, struct meta *m);       /* key goes with its value; counts too */
struct value op_value(struct op *o, struct meta *m);
enum rgkv_err op_rename(struct op *o);
enum rgkv_err op_exchange(struct op *o);

/* ---- staged.c ---- */
enum rgkv_err op_stage(struct op *o);                  /* open, write, drop */
enum rgkv_err staged_find(struct op *o, struct stage_row *ret_s);    /* OK; STALE: not what the commit means */
void staged_become(struct op *o, const struct stage_row *s, struct meta *m); /* the value of m; the stage is closed */
/* Nobody added to it for long: its row goes, and its data should. False: it stays, and is due again at *ret_due_us (0: it is gone). */
bool stage_expired(struct kv *k, uint32_t shard, uint64_t id, uint64_t *ret_due_us);

/* ---- xattr.c ---- */
enum rgkv_err op_xattr(struct op *o);                  /* set, remove */
enum rgkv_err read_xattr(struct op *o, struct buf *out);
void xattrs_drop(struct op *o, struct meta *m);        /* with their file */

/* ---- intent.c, land.c: a rename to another shard ---- */
/* May this be executed now? OK; PENDING: it is that rename; MOVING: a rename has locked what it changes. */
enum rgkv_err intent_admit(const struct kv *k, const struct kv_request *q);
bool intent_wanted(const struct kv *k, const struct kv_request *q);  /* a rename to another shard */
enum rgkv_err intent_open(struct op *o);               /* PENDING: it is begun. Others: it cannot be */
bool intent_locks(const struct kv *k, uint32_t shard, struct bytes key);
void intent_settle(struct kv *k, const struct kv_request *settle);
void intents_find(struct kv *k, uint32_t shard, struct scan *s); /* from the rows; s: any of this shard */
void intents_forget_shard(struct kv *k, uint32_t shard);
void intents_release(struct kv *k);
enum rgkv_err land(struct kv *k, const struct kv_request *q, struct kv_result *r);
enum rgkv_err land_check(const struct kv_request *q, uint32_t nshards);

/* ---- key.c ---- */
struct bytes key_parent(struct bytes key);             /* empty: the root */
bool key_below(struct bytes key, struct bytes dir);

/* ---- shard.c ---- */
enum rgkv_err shard_command(struct kv *k, const struct kv_command *c);

/* ---- trim.c ---- */
void trim_note(struct kv *k, uint32_t shard, uint64_t bytes); /* so many bytes of its values went as a range */

/* ---- copy.c: P16 ---- */
enum rgkv_err copy_command(struct kv *k, const struct kv_command *c); /* KV_COPY, KV_COPY_SUM */
void copy_begin(struct kv *k, uint32_t shard, uint64_t epoch);
void copy_end(struct kv *k, uint32_t shard);           /* thawed, dropped: what was recorded is forgotten */
void copy_record(struct kv *k);                        /* what is about to be saved of shards that are being copied */
void copy_unrecord(struct kv *k);                      /* … and was not saved */
uint64_t copy_row_hash(struct bytes key, struct bytes value); /* an image's hash is the sum over its rows */
/* Counts some rows of the shard as it was at a moment since the copy began. True: done, and ret_c says it to the log. */
bool copy_sum(struct kv *k, uint32_t shard, struct kv_command *ret_c);
uint64_t copy_sum_steps(const struct shard *s);
void copy_scan_free(struct kv *k, struct shard *s);
void copy_release(struct kv *k);                       /* before the table goes */

#endif
