/* The rows of a shard group's table: their keys and their values, as bytes and back.
 *
 * Key format. Integers in keys are big-endian, so that rows sort by number; `~r` is the complement of r, so that the
 * newest comes first. Every row of a shard begins with the shard's number, so that a shard is one range (P10).
 *
 *   be16 shard 'm' directory 00 name                    meta: one key. A directory's children are one range, and so are its
 *                                                       deeper descendants ("directory/" …)
 *   be16 shard 'd' be64 generation be32 chunk be64 ~rev data: bytes of one chunk as changed by revision rev
 *   be16 shard 'h' key 00 be64 version                  history: the meta row that this key had up to `version`
 *   be16 shard 'i' be64 number                          intent: a rename to another shard that is open (intent.c)
 *   be16 shard 'l' be16 source be64 number              landing: what has come of a file that is renamed to here (land.c)
 *   be16 shard 'o' be16 source [be64 number]            outcome of such a rename; without a number: the lowest still open
 *   be16 shard 'q' be64 due kind …                      queue: what to collect when the shard's time reaches `due`, in this
 *                                                       order: a history row goes before the data it speaks of
 *        'a' be64 version key                             a history row
 *        'c' be64 generation be32 chunk be64 rev          rows of this chunk that are older than rev
 *        'g' be64 generation be32 high                    all rows of a generation; high: as of its value, 0: not known
 *        's' be64 client                                  a session, if it was not used since; else queued again
 *        't' be64 generation                              a staged value, if nobody added to it since; else queued again
 *        'v' be64 generation be32 high                    all rows of a generation that one Put made, and nothing else: one a chunk
 *        'x' be64 generation be32 chunk be64 rev          rows older than rev of this chunk and all after it
 *   be16 shard 's' be64 client                          session
 *   be16 shard 't' be64 generation                      stage: a value that is being put piece by piece (staged.c)
 *   be16 shard 'x' be64 ino                             extended attributes of a file (xattr.c); only if its meta row says so
 *   TABLE_APPLIED_KEY                                   applied: bytes of the owner of the log
 *   ffff 'k'                                            machine: nshards, logged time of the group
 *   ffff 'c' be16 shard be64 round rowkey               changed: this row of the shard was, while it is being copied (copy.c)
 *   ffff 's' be16 shard                                 shard: state, epoch, clock, revision, counts, copy, cursor of an import
 *
 * Value formats (little-endian):
 *
 *   meta, history  u8 type (| 0x80: it has extended attributes), le16 mode, le32 uid, le32 gid, le64 size, version, ino, atime, mtime, ctime, generation, base, le32 high,
 *                  then the tail: the last bytes of the value (all of it if it is small), at most VALUE_INLINE_BYTES
 *   data           le32 from, then bytes: the chunk now is its content before [0, from), then these bytes, then zeros.
 *                  With DATA_KEEPS_REST set in `from`: what was behind these bytes stays
 *   stage          le64 client, last used, pieces, sum of their hashes, then as meta
 *   xattr          per attribute, by name: u8 name length, le32 value length, name, value
 *   intent         le64 client, seq, floor, now, le32 target shard, flags, le16 key length, key, key2
 *   landing        as meta. outcome: u8 error; without a number le64 floor
 *   session        le64 since, last, floor, then per result: le64 seq, u8 err, le64 version, size, ino
 *   machine        le32 nshards, le64 time
 *   changed        empty
 *   shard          u8 state, le64 epoch, from, clock, offset, revision, keys, bytes, sessions, import round, rows, hash,
 *                  copy epoch, round, summed, count, hash, then the cursor
 *
 * A value's bytes are its chunk rows followed by its tail. `generation` names its rows: the revision that began them,
 * never used again in the shard. `base` is the version since which the value only grew (Append) or changed nothing
 * but attributes. `high` is one more than the highest chunk that ever had a row. */
#ifndef RGKV_KV_ROWS_H
#define RGKV_KV_ROWS_H

#include "kv/kv.h"

enum { ROW_DATA = 'd', ROW_HISTORY = 'h', ROW_META = 'm', ROW_QUEUE = 'q', ROW_SESSION = 's', ROW_STAGE = 't', ROW_XATTR = 'x',
       ROW_INTENT = 'i', ROW_LANDING = 'l', ROW_OUTCOME = 'o' };
enum { QUEUE_CHUNK = 'c', QUEUE_GENERATION = 'g', QUEUE_HISTORY = 'a', QUEUE_SESSION = 's', QUEUE_STAGE = 't', QUEUE_VALUE = 'v', QUEUE_CUT = 'x' };
#define DATA_KEEPS_REST 0x80000000u
#define DATA_HEAD_BYTES 4u
#define ROW_GONE UINT32_MAX /* in a piece of a shard on its way: this row was deleted */

/* ---- keys ---- */

#define ROW_KEY_BYTES_MAX (KEY_BYTES_MAX + 32)
#define CHANGED_HEAD_BYTES 13u /* of a changed row's key: what comes before the key of the row that it speaks of */
struct rowkey {
    size_t len;
    uint8_t data[ROW_KEY_BYTES_MAX + CHANGED_HEAD_BYTES + 1];
};
static inline struct bytes rowkey_bytes(const struct rowkey *k) { return bytes_of(k->data, k->len); }

struct rowkey row_meta(uint32_t shard, struct bytes key);
struct rowkey row_children(uint32_t shard, struct bytes dir);    /* what the children's meta keys begin with; dir may be empty */
struct rowkey row_descendants(uint32_t shard, struct bytes dir); /* … and the meta keys of all below the children */
struct rowkey row_data(uint32_t shard, uint64_t generation, uint64_t chunk, uint64_t revision);
struct rowkey row_generation(uint32_t shard, uint64_t generation);
struct rowkey row_history(uint32_t shard, struct bytes key, uint64_t version);
struct rowkey row_session(uint32_t shard, uint64_t client);
struct rowkey row_stage(uint32_t shard, uint64_t generation);
struct rowkey row_xattr(uint32_t shard, uint64_t ino);
struct rowkey row_intent(uint32_t shard, uint64_t number);
struct rowkey row_intents(uint32_t shard);                       /* what they begin with */
struct rowkey row_landing(uint32_t shard, uint32_t source, uint64_t number);
struct rowkey row_outcome(uint32_t shard, uint32_t source, uint64_t number);
struct rowkey row_outcome_floor(uint32_t shard, uint32_t source);
struct rowkey row_shard_range(uint32_t shard);                   /* what all rows of the shard begin with */
struct rowkey row_machine(void);
struct rowkey row_shard(uint32_t shard);
struct rowkey row_changed(uint32_t shard, uint64_t round, struct bytes rowkey); /* empty: all of the round; round 0 too: of the shard */
struct rowkey rowkey_end(struct rowkey prefix);                  /* the end of the range of keys that begin with prefix */
/* The path that a meta key stands for, appended to out. False if it is none. */
bool row_meta_key(struct bytes rowkey, struct buf *out);

struct queue_item {
    uint64_t due_us;
    uint8_t kind;
    uint64_t generation;       /* or client, or version */
    uint32_t chunk;            /* or high */
    uint64_t revision;
    struct bytes key;
};
struct rowkey row_queue(uint32_t shard, const struct queue_item *i);
struct rowkey row_queue_at(uint32_t shard, uint64_t due_us);     /* before all that is due then */
bool row_queue_item(struct bytes rowkey, struct queue_item *ret_i);

struct data_id {
    uint64_t generation, revision;
    uint32_t chunk;
};
bool row_data_id(struct bytes rowkey, struct data_id *ret_d);

/* ---- values ---- */

struct meta {
    struct kv_attr attr;
    uint64_t generation;       /* `base` is among the attributes */
    uint32_t high;
    uint32_t tail_len;
    uint8_t tail[VALUE_INLINE_BYTES];
};
static inline struct bytes meta_tail(const struct meta *m) { return bytes_of(m->tail, m->tail_len); }
static inline uint64_t meta_rows_end(const struct meta *m) { return m->attr.size - m->tail_len; }

#define META_HEAD_BYTES 79u
size_t meta_size(const struct meta *m);
void meta_encode(const struct meta *m, uint8_t *to);             /* meta_size bytes */
bool meta_decode(struct bytes in, struct meta *ret_m);           /* false: malformed */

#define ATTR_BYTES 59u
void attr_encode(const struct kv_attr *a, uint8_t *to);
bool attr_decode(struct bytes in, struct kv_attr *ret_a);

struct stage_row {
    uint64_t client, last_us;
    uint64_t pieces, hash;
    struct meta meta;                                            /* of the value so far; never a tail */
};
#define STAGE_BYTES (32u + META_HEAD_BYTES)
void stage_row_encode(const struct stage_row *s, uint8_t *to);   /* STAGE_BYTES */
bool stage_row_decode(struct bytes in, struct stage_row *ret_s); /* false: malformed */

struct xattr {
    struct bytes name, value;
};
/* Names and values count together, and five bytes of each attribute's head. */
#define XATTR_ROW_BYTES_MAX XATTR_BYTES_MAX
bool xattr_next(struct reader *r, struct xattr *ret_x);          /* false: at the end, or r->ok is false */
void xattr_append(struct buf *out, const struct xattr *x);
bool xattr_row_shaped(struct bytes in);

struct session_result {
    uint64_t seq;
    enum rgkv_err err;
    uint64_t version, size, ino;
};
struct session_row {
    uint64_t since_us, last_us, floor;
    uint32_t n, cap;                                             /* results: sorted, seq >= floor; mem_alloc'ed */
    struct session_result *results;
};
size_t session_row_size(const struct session_row *s);
void session_row_encode(const struct session_row *s, uint8_t *to);
/* Takes the place of what is in ret_s (its memory is used again). False: malformed, ret_s is unchanged. */
bool session_row_decode(struct bytes in, struct session_row *ret_s);

bool intent_row_shaped(uint32_t shard, uint32_t nshards, struct bytes in);

/* Is this a row that a shard may hold? What another group's holder sent is believed only then. */
bool row_valid(uint32_t shard, uint32_t nshards, struct bytes key, struct bytes value, struct meta *scratch);

#endif
