/* Two names at once: rename and exchange, with all that is below a directory. A data row is not named by its key, so only
 * meta rows move. Bounded: a directory with more below it is answered CROSS_SHARD, and mv copies it. */
#include "kv/machine.h"

#define RENAME_KEYS_MAX 4096u
#define RENAME_BYTES_MAX (8u << 20)

/* Meta rows below a directory: {le32 path length, le32 row length, path behind the directory's, row} each. */
struct moved {
    struct buf rows;
    unsigned n;
    size_t path_max;           /* longest path below */
    enum rgkv_err err;
};

static void moved_add(struct moved *t, struct bytes path, struct bytes value)
{
    if (t->n == RENAME_KEYS_MAX || t->rows.len > RENAME_BYTES_MAX) {
        t->err = RGKV_CROSS_SHARD;
        return;
    }
    t->n++;
    t->path_max = MAX(t->path_max, path.len);
    buf_put_le32(&t->rows, (uint32_t)path.len);
    buf_put_le32(&t->rows, (uint32_t)value.len);
    buf_put(&t->rows, path);
    buf_put(&t->rows, value);
}

static void moved_add_range(struct op *o, struct moved *t, struct rowkey from, struct bytes dir)
{
    struct rowkey to = rowkey_end(from);
    struct buf path = {0};
    struct scan s;
    scan_open(&s, o->rows, rowkey_bytes(&from), rowkey_bytes(&to));
    while (!t->err && scan_next(&s)) {
        buf_clear(&path);
        bool is_path = row_meta_key(s.key, &path);
        ASSERT(is_path); /* the range holds nothing else */
        moved_add(t, bytes_from(buf_bytes(&path), dir.len), s.value);
    }
    scan_close(&s);
    buf_release(&path);
}

/* What is below dir, as it is; nothing is changed. */
static void moved_collect(struct op *o, struct moved *t, struct bytes dir)
{
    moved_add_range(o, t, row_children(o->q->shard, dir), dir);
    if (!t->err)
        moved_add_range(o, t, row_descendants(o->q->shard, dir), dir);
}

static enum rgkv_err moved_fits(const struct moved *t, struct bytes to)
{
    if (t->err)
        return t->err;
    return t->n && to.len + t->path_max > KEY_BYTES_MAX ? RGKV_NAME_TOO_LONG : RGKV_OK;
}

/* Under the old name it stays readable for a while, for those who do not know the new one. */
static void name_leaves(struct op *o, struct bytes key, struct meta *m)
{
    struct value v = op_value(o, m);
    value_keep_old(&v, key, false);
    op_remove(o, key);
}

static void name_comes(struct op *o, struct bytes key, struct meta *m)
{
    m->attr.version = o->revision;
    op_store(o, key, m);
}

static void moved_each(struct op *o, const struct moved *t, struct bytes dir, void (*todo)(struct op *, struct bytes, struct meta *))
{
    struct reader r = reader_of(buf_bytes(&t->rows));
    struct meta m;
    uint8_t path[KEY_BYTES_MAX];
    memcpy(path, dir.data, dir.len);
    while (r.rest.len) {
        uint32_t path_len = read_le32(&r), row_len = read_le32(&r);
        struct bytes below = read_bytes(&r, path_len), row = read_bytes(&r, row_len);
        ASSERT(dir.len + below.len <= sizeof(path));
        memcpy(path + dir.len, below.data, below.len);
        if (meta_decode(row, &m))
            todo(o, bytes_of(path, dir.len + below.len), &m);
        else
            o->rows->err = RGKV_DAMAGED;
    }
}

/* ---- rename ---- */

static enum rgkv_err may_replace(struct op *o, const struct meta *from, const struct meta *to)
{
    bool from_dir = from->attr.type == KV_DIR, to_dir = to->attr.type == KV_DIR;
    if (o->q->flags & KV_CREATE_ONLY)
        return RGKV_EXISTS;
    if (from_dir != to_dir)
        return from_dir ? RGKV_NOT_DIR : RGKV_IS_DIR;
    return to_dir && !op_dir_empty(o, o->q->key2) ? RGKV_NOT_EMPTY : RGKV_OK;
}

static enum rgkv_err rename_check(struct op *o, struct meta *ret_from, struct meta *ret_to, bool *ret_replaces)
{
    const struct kv_request *q = o->q;
    bool found = op_find(o, q->key, ret_from);
    enum rgkv_err err = op_conditions(o, found, ret_from);
    if (err)
        return err;
    if (!found)
        return op_missing(o, q->key);
    if (bytes_eq(q->key, q->key2))
        return q->flags & KV_CREATE_ONLY ? RGKV_EXISTS : RGKV_OK;
    if (key_below(q->key2, q->key))
        return ret_from->attr.type == KV_DIR ? RGKV_LOOP : RGKV_NOT_DIR;
    *ret_replaces = op_find(o, q->key2, ret_to);
    return *ret_replaces ? may_replace(o, ret_from, ret_to) : op_parent_is_dir(o, q->key2);
}

static enum rgkv_err rename_do(struct op *o, struct meta *from, struct meta *to, bool replaces, struct moved *below)
{
    const struct kv_request *q = o->q;
    if (from->attr.type == KV_DIR)
        moved_collect(o, below, q->key);
    enum rgkv_err err = moved_fits(below, q->key2);
    if (err)
        return err;
    if (replaces)
        op_drop(o, q->key2, to);
    name_leaves(o, q->key, from);
    moved_each(o, below, q->key, name_leaves);
    moved_each(o, below, q->key2, name_comes);
    from->attr.ctime_ns = q->now_ns;
    name_comes(o, q->key2, from);
    op_touch_parent(o, q->key);
    op_touch_parent(o, q->key2);
    o->attr = from->attr;
    return RGKV_OK;
}

enum rgkv_err op_rename(struct op *o)
{
    struct meta from, to;
    bool replaces = false;
    enum rgkv_err err = rename_check(o, &from, &to, &replaces);
    if (err)
        return err;
    if (bytes_eq(o->q->key, o->q->key2)) {
        o->attr = from.attr;
        return RGKV_OK;
    }
    struct moved below = {0};
    err = rename_do(o, &from, &to, replaces, &below);
    buf_release(&below.rows);
    return err;
}

/* ---- exchange ---- */

static enum rgkv_err exchange_check(struct op *o, struct meta *ret_a, struct meta *ret_b)
{
    const struct kv_request *q = o->q;
    bool found = op_find(o, q->key, ret_a);
    enum rgkv_err err = op_conditions(o, found, ret_a);
    if (err)
        return err;
    if (!found)
        return op_missing(o, q->key);
    if (key_below(q->key, q->key2) || key_below(q->key2, q->key))
        return RGKV_LOOP;
    return op_find(o, q->key2, ret_b) ? RGKV_OK : op_missing(o, q->key2);
}

static enum rgkv_err exchange_do(struct op *o, struct meta *a, struct meta *b, struct moved *below_a, struct moved *below_b)
{
    struct bytes key_a = o->q->key, key_b = o->q->key2;
    if (a->attr.type == KV_DIR)
        moved_collect(o, below_a, key_a);
    if (b->attr.type == KV_DIR)
        moved_collect(o, below_b, key_b);
    enum rgkv_err err = moved_fits(below_a, key_b);
    if (!err)
        err = moved_fits(below_b, key_a);
    if (err)
        return err;
    name_leaves(o, key_a, a);
    name_leaves(o, key_b, b);
    moved_each(o, below_a, key_a, name_leaves);
    moved_each(o, below_b, key_b, name_leaves);
    moved_each(o, below_a, key_b, name_comes);
    moved_each(o, below_b, key_a, name_comes);
    a->attr.ctime_ns = b->attr.ctime_ns = o->q->now_ns;
    name_comes(o, key_b, a);
    name_comes(o, key_a, b);
    op_touch_parent(o, key_a);
    op_touch_parent(o, key_b);
    o->attr = b->attr;
    return RGKV_OK;
}

enum rgkv_err op_exchange(struct op *o)
{
    struct meta a, b;
    enum rgkv_err err = exchange_check(o, &a, &b);
    if (err)
        return err;
    if (bytes_eq(o->q->key, o->q->key2)) {
        o->attr = a.attr;
        return RGKV_OK;
    }
    struct moved below_a = {0}, below_b = {0};
    err = exchange_do(o, &a, &b, &below_a, &below_b);
    buf_release(&below_a.rows);
    buf_release(&below_b.rows);
    return err;
}
