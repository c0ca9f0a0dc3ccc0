/* Extended attributes: all of a file in one row, named by its inode number, so that they follow it through Put, rename and exchange.
 * The file's meta row says whether there is such a row; without it nothing is looked for. Names are the user's (the mount lets only
 * user.* through); sorted, so that equal attributes are equal bytes. Together at most XATTR_ROW_BYTES_MAX: FULL beyond, as
 * setxattr(2) has it. */
#include "kv/machine.h"

static enum rgkv_err xattrs_file(struct op *o, struct meta *ret_m)
{
    if (!op_find(o, o->q->key, ret_m))
        return op_missing(o, o->q->key);
    return op_means_another(o->q, ret_m) ? RGKV_NOT_FOUND : RGKV_OK;
}

static bool xattrs_read(struct op *o, const struct meta *m, struct buf *out)
{
    struct rowkey key = row_xattr(o->q->shard, m->attr.ino);
    buf_clear(out);
    return m->attr.xattrs && overlay_get(o->rows, rowkey_bytes(&key), out);
}

static bool xattrs_find(struct bytes all, struct bytes name, struct xattr *ret_x)
{
    struct reader r = reader_of(all);
    while (xattr_next(&r, ret_x))
        if (bytes_eq(ret_x->name, name))
            return true;
    return false;
}

/* All but `name`, and `name` with the new value if there is one, in order. */
static void xattrs_with(struct bytes all, struct bytes name, const struct bytes *value, struct buf *out)
{
    struct reader r = reader_of(all);
    struct xattr x;
    bool put = value == NULL;
    while (xattr_next(&r, &x)) {
        int order = bytes_cmp(name, x.name);
        if (!put && order <= 0) {
            xattr_append(out, &(struct xattr){name, *value});
            put = true;
        }
        if (order != 0)
            xattr_append(out, &x);
    }
    if (!put)
        xattr_append(out, &(struct xattr){name, *value});
}

static void xattrs_store(struct op *o, struct meta *m, struct bytes all)
{
    struct rowkey key = row_xattr(o->q->shard, m->attr.ino);
    if (all.len)
        memcpy(overlay_put(o->rows, rowkey_bytes(&key), all.len), all.data, all.len);
    else
        overlay_delete(o->rows, rowkey_bytes(&key));
    m->attr.xattrs = all.len > 0;
    m->attr.ctime_ns = o->q->now_ns;
    m->attr.version = o->revision;
    op_store(o, o->q->key, m);
    o->attr = m->attr;
}

static enum rgkv_err xattr_may(const struct op *o, bool found)
{
    if (found)
        return o->q->flags & KV_CREATE_ONLY ? RGKV_EXISTS : RGKV_OK;
    return o->q->op == KV_XATTR_REMOVE || o->q->flags & KV_MUST_EXIST ? RGKV_NO_DATA : RGKV_OK;
}

enum rgkv_err op_xattr(struct op *o)
{
    const struct kv_request *q = o->q;
    struct buf *all = &o->k->data, *changed = &o->k->chunk;
    struct meta m;
    struct xattr x;
    enum rgkv_err err = xattrs_file(o, &m);
    if (err)
        return err;
    xattrs_read(o, &m, all);
    err = xattr_may(o, xattrs_find(buf_bytes(all), q->key2, &x));
    if (err)
        return err;
    if (q->data.len > XATTR_BYTES_MAX)
        return RGKV_FULL;
    buf_clear(changed);
    xattrs_with(buf_bytes(all), q->key2, q->op == KV_XATTR_SET ? &q->data : NULL, changed);
    if (changed->len > XATTR_ROW_BYTES_MAX)
        return RGKV_FULL;
    xattrs_store(o, &m, buf_bytes(changed));
    return RGKV_OK;
}

void xattrs_drop(struct op *o, struct meta *m)
{
    struct rowkey key = row_xattr(o->q->shard, m->attr.ino);
    if (m->attr.xattrs)
        overlay_delete(o->rows, rowkey_bytes(&key));
    m->attr.xattrs = false;
}

/* ---- reads ---- */

static void list_names(struct bytes all, struct buf *out)
{
    struct reader r = reader_of(all);
    struct xattr x;
    while (xattr_next(&r, &x)) {
        buf_put(out, x.name);
        buf_put_u8(out, 0);
    }
}

enum rgkv_err read_xattr(struct op *o, struct buf *out)
{
    struct meta m;
    struct xattr x;
    enum rgkv_err err = xattrs_file(o, &m);
    if (err)
        return err;
    struct buf *all = &o->k->data;
    xattrs_read(o, &m, all);
    if (o->q->op == KV_XATTR_LIST) {
        list_names(buf_bytes(all), out);
        return RGKV_OK;
    }
    if (!xattrs_find(buf_bytes(all), o->q->key2, &x))
        return RGKV_NO_DATA;
    buf_put(out, x.value);
    return RGKV_OK;
}
