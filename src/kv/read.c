/* Reads: between runs of commands, in one go, so that what is seen together was true together (P24). */
#include "kv/machine.h"

#define DIRENT_HEAD_BYTES (2u + ATTR_BYTES)

/* ---- pages of names: {le16 name length, attributes, name} each ---- */

void kv_dirent_append(struct buf *out, const struct kv_dirent *d)
{
    ASSERT(d->name.len <= KEY_COMPONENT_BYTES_MAX);
    buf_put_le16(out, (uint16_t)d->name.len);
    attr_encode(&d->attr, buf_grow(out, ATTR_BYTES));
    buf_put(out, d->name);
}

bool kv_dirent_next(struct reader *r, struct kv_dirent *ret_d)
{
    struct kv_dirent d = {0};
    if (!r->ok || r->rest.len == 0)
        return false;
    uint16_t len = read_le16(r);
    struct bytes attr = read_bytes(r, ATTR_BYTES);
    d.name = read_bytes(r, len);
    if (!r->ok || len > KEY_COMPONENT_BYTES_MAX || !attr_decode(attr, &d.attr)) {
        r->ok = false;
        return false;
    }
    *ret_d = d;
    return true;
}

static enum rgkv_err list_dir_check(struct op *o)
{
    struct meta m;
    if (o->q->key.len == 0)
        return RGKV_OK;
    if (!op_find(o, o->q->key, &m))
        return op_missing(o, o->q->key);
    return m.attr.type == KV_DIR ? RGKV_OK : RGKV_NOT_DIR;
}

/* The first key behind the name: names hold no NUL. */
static struct rowkey list_start(const struct op *o)
{
    struct rowkey from = row_children(o->q->shard, o->q->key);
    struct bytes after = o->q->key2;
    if (after.len == 0)
        return from;
    memcpy(from.data + from.len, after.data, after.len);
    from.len += after.len;
    from.data[from.len++] = 0;
    return from;
}

/* False: the page is full. */
static bool list_add(struct op *o, const struct scan *s, size_t name_at, struct buf *out)
{
    struct kv_dirent d = {.name = bytes_from(s->key, name_at)};
    if (out->len + DIRENT_HEAD_BYTES + d.name.len > LIST_BYTES_MAX)
        return false;
    if (attr_decode(s->value, &d.attr))
        kv_dirent_append(out, &d);
    else
        o->rows->err = RGKV_DAMAGED;
    return true;
}

static enum rgkv_err read_list(struct op *o, struct buf *out, struct kv_reply *r)
{
    enum rgkv_err err = list_dir_check(o);
    if (err)
        return err;
    struct rowkey prefix = row_children(o->q->shard, o->q->key), from = list_start(o), to = rowkey_end(prefix);
    uint64_t max = o->q->length && o->q->length < LIST_ENTRIES_MAX ? o->q->length : LIST_ENTRIES_MAX, n = 0;
    struct scan s;
    scan_open(&s, o->rows, rowkey_bytes(&from), rowkey_bytes(&to));
    while (!r->more && scan_next(&s)) {
        r->more = n == max || !list_add(o, &s, prefix.len, out);
        n++;
    }
    scan_close(&s);
    return RGKV_OK;
}

/* ---- get ---- */

/* Is it the value of the version that is asked for, perhaps grown since? A file that came by a rename grew from another one's version:
 * only who says which file is meant is given what has grown. */
static bool is_version(const struct meta *m, const struct kv_request *q)
{
    if (!(q->flags & KV_IF_INO))
        return q->version == m->attr.version;
    return q->ino == m->attr.ino && m->attr.base <= q->version && q->version <= m->attr.version;
}

/* The history row that held at `version`: the first that ended at or after it, if it had begun by then. Another file that had the name
 * before this one came by a rename may have ended later than that. */
static bool find_in_history(struct op *o, struct meta *ret_m)
{
    struct rowkey from = row_history(o->q->shard, o->q->key, o->q->version);
    struct rowkey to = row_history(o->q->shard, o->q->key, UINT64_MAX);
    struct scan s;
    scan_open(&s, o->rows, rowkey_bytes(&from), rowkey_bytes(&to));
    bool found, sound = true;
    do {
        found = scan_next(&s);
        sound = !found || meta_decode(s.value, ret_m);
    } while (found && sound && op_means_another(o->q, ret_m));
    if (!sound)
        o->rows->err = RGKV_DAMAGED;
    found = found && sound;
    scan_close(&s);
    return found && is_version(ret_m, o->q);
}

static enum rgkv_err find_version(struct op *o, struct meta *ret_m)
{
    bool found = op_find(o, o->q->key, ret_m);
    if (!(o->q->flags & KV_IF_VERSION))
        return found ? RGKV_OK : op_missing(o, o->q->key);
    if (found && is_version(ret_m, o->q))
        return RGKV_OK;
    if (find_in_history(o, ret_m))
        return RGKV_OK;
    return found ? RGKV_STALE : op_missing(o, o->q->key);
}

static enum rgkv_err read_get(struct op *o, struct buf *out, struct kv_reply *r)
{
    struct meta m;
    enum rgkv_err err = find_version(o, &m);
    if (err)
        return err;
    if (m.attr.type == KV_DIR)
        return RGKV_IS_DIR;
    uint64_t offset = MIN(o->q->offset, m.attr.size), len = MIN(o->q->length, DATA_BYTES_MAX);
    len = MIN(len, m.attr.size - offset);
    value_read(o->rows, o->q->shard, &m, m.attr.version, offset, len, out);
    r->attr = m.attr;
    r->has_attr = true;
    r->more = offset + len < m.attr.size;
    return RGKV_OK;
}

static enum rgkv_err read_stat(struct op *o, struct kv_reply *r)
{
    struct meta m;
    if (!op_find(o, o->q->key, &m))
        return op_missing(o, o->q->key);
    r->attr = m.attr;
    r->has_attr = true;
    return RGKV_OK;
}

/* ---- */

static enum rgkv_err read_execute(struct op *o, struct buf *out, struct kv_reply *r)
{
    switch (o->q->op) {
    case KV_STAT:
        return read_stat(o, r);
    case KV_GET:
        return read_get(o, out, r);
    case KV_LIST:
        return read_list(o, out, r);
    case KV_TIME:
        return RGKV_OK;
    case KV_XATTR_GET:
    case KV_XATTR_LIST:
        return read_xattr(o, out);
    case KV_STAGE_OPEN:
    case KV_STAGE_WRITE:
    case KV_STAGE_DROP:
    case KV_XATTR_SET:
    case KV_XATTR_REMOVE:
    case KV_LAND:
    case KV_SETTLE:
    case KV_PUT:
    case KV_APPEND:
    case KV_PATCH:
    case KV_DELETE:
    case KV_SETATTR:
    case KV_MKDIR:
    case KV_RMDIR:
    case KV_SYMLINK:
    case KV_RENAME:
    case KV_EXCHANGE:
        break;
    }
    return RGKV_INVALID;
}

static enum rgkv_err read_request(struct kv *k, const struct kv_request *q, struct buf *out, struct kv_reply *r)
{
    enum rgkv_err err = kv_request_check(q, k->nshards);
    if (err)
        return err;
    const struct shard *s = &k->shards[q->shard];
    r->shard_time_us = kv_shard_time(k, s);
    err = kv_serving(s);
    if (err)
        return err;
    struct op o = {.k = k, .rows = &k->rows, .q = q};
    return read_execute(&o, out, r);
}

enum rgkv_err kv_read(struct kv *k, const struct kv_request *q, struct buf *out, struct kv_reply *ret_r)
{
    struct kv_reply r = {0};
    size_t before = out->len;
    ASSERT(k->finished);
    r.err = read_request(k, q, out, &r);
    enum rgkv_err err = kv_take_read_error(k);
    if (err) {
        out->len = before;
        return err;
    }
    r.data = bytes_from(buf_bytes(out), before);
    *ret_r = r;
    return RGKV_OK;
}
