/* The ordered table that a state machine lives in: keys and values are bytes, keys sort by memcmp.
 *
 * An interface with two implementations (store/table_rocks.h on disk, store/table_mem.h in memory), chosen by
 * whoever puts a replica together; the state machines (kv, ctrl) see only this.
 *
 * A write batch is atomic and visible at once, but durable only after a flush: nothing here syncs by itself. After a
 * crash the table is exactly as after some earlier batch, no older than the last flush that ended. Every batch
 * carries the row `applied`, so table and log position always agree (P23).
 *
 * Reads (get, iter) may come from any thread, also while another writes. What comes with _now, and `waits`, from one thread only; writes from any,
 * but one after the other.
 *
 * Errors: IO or DAMAGED from the disk; NO_SPACE when it is full. A failed read or write changes nothing. */
#ifndef RGKV_KV_TABLE_H
#define RGKV_KV_TABLE_H

#include "base/bytes.h"

/* The row `applied` of every machine's table (kv_applied_row reads it): sorts after the rows of all shards. */
#define TABLE_APPLIED_KEY "\xff" "applied"

struct table;
struct table_snapshot; /* the table at one moment: stays readable while the table goes on */
struct table_iter;

/* One change of a batch. */
struct table_change {
    enum { TABLE_PUT, TABLE_DELETE, TABLE_DELETE_RANGE } kind;
    struct bytes key;
    struct bytes value;   /* TABLE_PUT */
    struct bytes end;     /* TABLE_DELETE_RANGE: [key, end) */
};

enum table_wait { TABLE_WAIT_NEVER, TABLE_WAIT_SHORT };

struct table_ops {
    void (*free)(struct table *t);
    /* snapshot NULL = newest. Appends the value to `out` (which is not cleared). NOT_FOUND. */
    enum rgkv_err (*get)(struct table *t, const struct table_snapshot *s, struct bytes key, struct buf *out);
    /* All changes, in order, or none. */
    enum rgkv_err (*write)(struct table *t, const struct table_change *changes, size_t n);
    /* Would a write have to wait for earlier ones, which are not on the disk yet? Then it had better come later: who writes
     * has other things to do. A table in trouble does not wait, for the write will tell. It may be what the question before found: whoever was
     * told to wait asks again. */
    bool (*waits)(struct table *t);
    struct table_snapshot *(*snapshot)(struct table *t);
    void (*snapshot_free)(struct table *t, struct table_snapshot *s);
    /* Positioned before the first key; bounds: [from, to), to.len 0 = no upper bound. s NULL = newest, now. */
    struct table_iter *(*iter)(struct table *t, const struct table_snapshot *s, struct bytes from, struct bytes to);
    bool (*iter_next)(struct table_iter *i);              /* false: at the end, or an error */
    void (*iter_seek)(struct table_iter *i, struct bytes from); /* before the first key from there on, within its bounds */
    struct bytes (*iter_key)(const struct table_iter *i); /* until iter_next */
    struct bytes (*iter_value)(const struct table_iter *i);
    enum rgkv_err (*iter_error)(const struct table_iter *i);
    void (*iter_free)(struct table_iter *i);
    /* As get and iter of what is newest, but who asks must not wait for a disk, or not for long: PENDING (the iterator ends, with that error)
     * where that could be so. Rows are those of get and iter; but of an iterator with TABLE_WAIT_NEVER, which is for who
     * wants to know what there is to read, some are among them that a range deletion took. */
    enum rgkv_err (*get_now)(struct table *t, struct bytes key, enum table_wait wait, struct buf *out);
    struct table_iter *(*iter_now)(struct table *t, struct bytes from, struct bytes to, enum table_wait wait);
    uint64_t (*range_bytes)(struct table *t, struct bytes from, struct bytes to); /* about what [from, to) takes on disk, gone rows too */
};

struct table {
    const struct table_ops *ops;
};

static inline void table_free(struct table *t) { if (t) t->ops->free(t); }
MUST_USE static inline enum rgkv_err table_get(struct table *t, const struct table_snapshot *s, struct bytes key, struct buf *out)
{
    return t->ops->get(t, s, key, out);
}
MUST_USE static inline enum rgkv_err table_write(struct table *t, const struct table_change *changes, size_t n)
{
    return t->ops->write(t, changes, n);
}
static inline bool table_waits(struct table *t) { return t->ops->waits(t); }
static inline struct table_snapshot *table_snapshot(struct table *t) { return t->ops->snapshot(t); }
static inline void table_snapshot_free(struct table *t, struct table_snapshot *s) { t->ops->snapshot_free(t, s); }
static inline struct table_iter *table_iter(struct table *t, const struct table_snapshot *s, struct bytes from, struct bytes to)
{
    return t->ops->iter(t, s, from, to);
}

#endif
