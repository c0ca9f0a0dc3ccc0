/* Renaming a file to another shard (P6): the target's side.
 *
 * A file lands under (source shard, number of the intent there), piece after piece; the last one replaces the target, or finds why not.
 * Either is written down as the outcome, and told to everyone who asks again, until the source says (`floor`) that it knows. So whoever
 * carries the rename out may be anybody, several at once, or begin again: it is done once. What comes late for a number below the floor is
 * refused. These rows never expire; there are no more of them than open intents, and the last ones of each pair of shards.
 *
 *   landing row  l source number   what has come so far, as a meta row: the bytes are its tail and the rows of its generation
 *   outcome row  o source number   u8 error
 *   floor row    o source          le64 floor */
#include "base/mutant.h"
#include "kv/machine.h"

struct landing {
    struct op op;
    uint32_t source;
    uint64_t number;
    struct meta file;          /* so far */
    bool begun;
};

/* ---- outcomes ---- */

static bool outcome_find(struct landing *l, enum rgkv_err *ret_err)
{
    struct rowkey key = row_outcome(l->op.q->shard, l->source, l->number);
    struct buf *row = &l->op.k->row;
    if (!overlay_get(l->op.rows, rowkey_bytes(&key), row))
        return false;
    *ret_err = row->len == 1 && row->data[0] < RGKV_ERR_COUNT ? (enum rgkv_err)row->data[0] : RGKV_DAMAGED;
    return true;
}

static uint64_t floor_of(struct landing *l)
{
    struct rowkey key = row_outcome_floor(l->op.q->shard, l->source);
    if (!overlay_get(l->op.rows, rowkey_bytes(&key), &l->op.k->row))
        return 0;
    struct reader r = reader_of(buf_bytes(&l->op.k->row));
    return read_le64(&r);
}

/* Their source was given up for ever in mid-way (P19): nobody sends the rest. */
static void landings_forget(struct landing *l, uint64_t since, uint64_t floor)
{
    struct rowkey from = row_landing(l->op.q->shard, l->source, since), to = row_landing(l->op.q->shard, l->source, floor);
    struct scan s;
    struct meta file;
    scan_open(&s, l->op.rows, rowkey_bytes(&from), rowkey_bytes(&to));
    while (scan_next(&s)) {
        if (!meta_decode(s.value, &file))
            l->op.rows->err = RGKV_DAMAGED;
        else if (file.high)
            expiry_value(l->op.k, l->op.q->shard, &file);
        overlay_delete(l->op.rows, s.key);
    }
    scan_close(&s);
}

static void outcomes_forget(struct landing *l, uint64_t since, uint64_t floor)
{
    struct rowkey from = row_outcome(l->op.q->shard, l->source, since), to = row_outcome(l->op.q->shard, l->source, floor);
    struct scan s;
    scan_open(&s, l->op.rows, rowkey_bytes(&from), rowkey_bytes(&to));
    while (scan_next(&s))
        overlay_delete(l->op.rows, s.key);
    scan_close(&s);
}

static void floor_raise(struct landing *l)
{
    struct rowkey key = row_outcome_floor(l->op.q->shard, l->source);
    uint64_t floor = l->op.q->floor, before = floor_of(l);
    if (floor <= before)
        return;
    struct buf b = {.data = overlay_put(l->op.rows, rowkey_bytes(&key), 8), .cap = 8};
    buf_put_le64(&b, floor);
    outcomes_forget(l, before, floor); /* below that all went before, and lies there as deletions: a table walks over them one by one */
    landings_forget(l, before, floor);
}

static void outcome_write(struct landing *l, enum rgkv_err err)
{
    struct rowkey key = row_outcome(l->op.q->shard, l->source, l->number);
    *overlay_put(l->op.rows, rowkey_bytes(&key), 1) = (uint8_t)err;
}

/* ---- what has come ---- */

static struct rowkey landing_key(const struct landing *l) { return row_landing(l->op.q->shard, l->source, l->number); }

static void landing_find(struct landing *l)
{
    struct rowkey key = landing_key(l);
    l->begun = overlay_get(l->op.rows, rowkey_bytes(&key), &l->op.k->row);
    if (!l->begun)
        l->file = (struct meta){.generation = l->op.revision, .attr = {.type = KV_FILE}};
    else if (!meta_decode(buf_bytes(&l->op.k->row), &l->file))
        l->op.rows->err = RGKV_DAMAGED;
}

static void landing_store(struct landing *l)
{
    struct rowkey key = landing_key(l);
    meta_encode(&l->file, overlay_put(l->op.rows, rowkey_bytes(&key), meta_size(&l->file)));
}

static void landing_end(struct landing *l)
{
    struct rowkey key = landing_key(l);
    if (l->begun)
        overlay_delete(l->op.rows, rowkey_bytes(&key));
}

static struct bytes piece_data(const struct kv_request *q) { return bytes_first(q->data, q->ranges[0].len); }
static struct bytes piece_xattrs(const struct kv_request *q) { return bytes_from(q->data, q->ranges[0].len); }

static void landing_add(struct landing *l)
{
    struct value v = op_value(&l->op, &l->file);
    value_append(&v, piece_data(l->op.q));
}

/* ---- the end ---- */

static enum rgkv_err may_replace(struct op *o, struct meta *ret_old, bool *ret_found)
{
    *ret_found = op_find(o, o->q->key, ret_old);
    if (intent_locks(o->k, o->q->shard, o->q->key))
        return RGKV_CONFLICT;
    if (!*ret_found)
        return op_parent_is_dir(o, o->q->key);
    if (o->q->flags & KV_CREATE_ONLY)
        return RGKV_EXISTS;
    return ret_old->attr.type == KV_DIR ? RGKV_IS_DIR : RGKV_OK;
}

static void land_xattrs(struct op *o, struct meta *m)
{
    struct bytes all = piece_xattrs(o->q);
    struct rowkey key = row_xattr(o->q->shard, m->attr.ino);
    m->attr.xattrs = all.len && xattr_row_shaped(all);
    if (m->attr.xattrs)
        memcpy(overlay_put(o->rows, rowkey_bytes(&key), all.len), all.data, all.len);
}

static void land_attrs(struct op *o, struct meta *m)
{
    const struct kv_request *q = o->q;
    m->attr = (struct kv_attr){
        .type = (enum kv_type)q->offset, .mode = q->mode, .uid = q->uid, .gid = q->gid, .size = m->attr.size,
        .version = o->revision, .base = o->revision, .ino = q->version,
        .atime_ns = q->atime_ns, .mtime_ns = q->mtime_ns, .ctime_ns = q->now_ns,
    };
}

static void replace(struct landing *l, struct meta *old, bool found)
{
    struct op *o = &l->op;
    if (found)
        op_drop(o, o->q->key, old);
    land_attrs(o, &l->file);
    land_xattrs(o, &l->file);
    op_store(o, o->q->key, &l->file);
    op_touch_parent(o, o->q->key);
    o->shard->keys++;
    o->shard->bytes += l->file.attr.size;
    o->attr = l->file.attr;
}

static enum rgkv_err land_over(struct landing *l, enum rgkv_err err)
{
    if (err && l->file.high)
        expiry_value(l->op.k, l->op.q->shard, &l->file);
    landing_end(l);
    outcome_write(l, err);
    return err;
}

/* Told by `more`: it is not over, and this many bytes are here. */
static enum rgkv_err land_goes_on(struct landing *l, struct kv_result *r)
{
    r->reply.more = true;
    r->reply.attr = (struct kv_attr){.type = KV_FILE, .version = l->op.revision, .size = l->file.attr.size};
    r->reply.has_attr = true;
    return RGKV_OK;
}

static enum rgkv_err land_piece(struct landing *l, struct kv_result *r)
{
    const struct kv_request *q = l->op.q;
    struct meta old;
    bool found;
    enum rgkv_err err = may_replace(&l->op, &old, &found);
    landing_find(l);
    if (err)
        return land_over(l, err);
    if (q->ranges[0].offset != l->file.attr.size)
        return land_goes_on(l, r);
    landing_add(l);
    if (l->file.attr.size < q->length) {
        landing_store(l);
        return land_goes_on(l, r);
    }
    replace(l, &old, found);
    return land_over(l, RGKV_OK);
}

/* The source gives up, for a reason: unless it is done, it is not done. */
static enum rgkv_err land_cancelled(struct landing *l)
{
    landing_find(l);
    return land_over(l, l->op.q->version && l->op.q->version < RGKV_ERR_COUNT ? (enum rgkv_err)l->op.q->version : RGKV_CONFLICT);
}

enum rgkv_err land(struct kv *k, const struct kv_request *q, struct kv_result *r)
{
    struct shard *s = &k->shards[q->shard];
    struct landing l = {.op = {.k = k, .rows = &k->rows, .shard = s, .q = q, .revision = s->revision + 1},
                        .source = (uint32_t)(q->client - 1), .number = q->seq};
    enum rgkv_err err;
    if (l.number < floor_of(&l))
        return RGKV_STALE;
    if (outcome_find(&l, &err) && !MUTANT(land_twice))
        return err;
    floor_raise(&l);
    err = q->n_ranges ? land_piece(&l, r) : land_cancelled(&l);
    s->revision = l.op.revision;
    kv_shard_changed(k, q->shard);
    return err;
}

enum rgkv_err land_check(const struct kv_request *q, uint32_t nshards)
{
    if (q->client == 0 || q->client > nshards || q->n_ranges > 1 || q->length > VALUE_BYTES_MAX)
        return RGKV_INVALID;
    if (q->n_ranges == 0)
        return RGKV_OK;
    if (q->ranges[0].len > q->data.len || (q->offset != KV_FILE && q->offset != KV_LINK))
        return RGKV_INVALID;
    uint64_t offset = q->ranges[0].offset, len = q->ranges[0].len;
    return offset > q->length || len > q->length - offset || (len == 0 && offset < q->length) ? RGKV_INVALID : RGKV_OK;
}
