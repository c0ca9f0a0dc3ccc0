/* What a command or a read will want, and where that is: nothing is decided here, and nothing changed. Whoever asks first and has the
 * rows read meanwhile goes on with other things; whoever does not ask waits for the disk. */
#include "kv/cold.h"

#include "base/mutant.h"
#include "kv/machine.h"

/* ---- lists ---- */

#define RANGE_ROWS_MAX 1024u      /* of one range, and bytes; who wants more asks again from there */
#define RANGE_BYTES_MAX (1u << 20)

void cold_add(struct buf *list, struct bytes from, struct bytes to)
{
    ASSERT(from.len <= UINT16_MAX && to.len <= UINT16_MAX);
    if (list->len + 4 + from.len + to.len > COLD_LIST_BYTES_MAX)
        return;
    buf_put_le16(list, (uint16_t)from.len);
    buf_put(list, from);
    buf_put_le16(list, (uint16_t)to.len);
    buf_put(list, to);
}

bool cold_next(struct reader *r, struct bytes *ret_from, struct bytes *ret_to)
{
    if (!r->ok || r->rest.len == 0)
        return false;
    *ret_from = read_bytes(r, read_le16(r));
    *ret_to = read_bytes(r, read_le16(r));
    return r->ok;
}

static void range_read(struct table *t, struct bytes from, struct bytes to)
{
    struct table_iter *i = table_iter(t, NULL, from, to);
    size_t rows = 0, bytes = 0;
    while (rows < RANGE_ROWS_MAX && bytes < RANGE_BYTES_MAX && t->ops->iter_next(i)) {
        rows++;
        bytes += t->ops->iter_value(i).len;
    }
    t->ops->iter_free(i);
}

/* An error is for who wants the row: it will find the same. */
void kv_warm(struct table *t, struct bytes cold)
{
    struct reader r = reader_of(cold);
    struct bytes from, to;
    struct buf row = {0};
    while (cold_next(&r, &from, &to)) {
        buf_clear(&row);
        if (to.len) {
            range_read(t, from, to);
        } else {
            enum rgkv_err err = table_get(t, NULL, from, &row);
            (void)err;
        }
    }
    buf_release(&row);
}

/* ---- what is wanted ---- */

static void look(struct kv *k, struct rowkey row) { overlay_get(&k->rows, rowkey_bytes(&row), &k->row); }

static void look_key(struct kv *k, uint32_t shard, struct bytes key)
{
    struct bytes parent = key_parent(key);
    look(k, row_meta(shard, key));
    if (parent.len)
        look(k, row_meta(shard, parent));
}

static bool is_whole_chunk(const struct scan *s)
{
    struct reader r = reader_of(s->value);
    return read_le32(&r) == 0;
}

/* What is older than the whole chunk nobody reads: on to the next one. False: there is none. */
static bool look_behind(uint32_t shard, const struct meta *m, struct scan *s, struct bytes to)
{
    struct data_id id = {0};
    bool sound = row_data_id(s->key, &id);
    struct rowkey from = row_data(shard, m->generation, (uint64_t)id.chunk + 1, UINT64_MAX);
    if (!sound || bytes_cmp(rowkey_bytes(&from), to) >= 0)
        return false;
    scan_seek(s, rowkey_bytes(&from), to);
    return true;
}

/* A range is written into chunks that may have rows already. */
static void look_ranges(struct kv *k, const struct kv_request *q, const struct meta *m)
{
    for (unsigned i = 0; i < q->n_ranges; i++) {
        uint64_t chunk = q->ranges[i].offset / VALUE_CHUNK_BYTES, end = (q->ranges[i].offset + q->ranges[i].len) / VALUE_CHUNK_BYTES + 1;
        struct rowkey from = row_data(q->shard, m->generation, chunk, UINT64_MAX);
        struct rowkey to = row_data(q->shard, m->generation, MIN(end, (uint64_t)m->high), UINT64_MAX);
        struct scan s;
        if (chunk >= m->high || k->rows.missed)
            continue;
        scan_open(&s, &k->rows, rowkey_bytes(&from), rowkey_bytes(&to));
        while (scan_next(&s) && (!is_whole_chunk(&s) || look_behind(q->shard, m, &s, rowkey_bytes(&to))))
            ;
        scan_close(&s);
    }
}

static void look_value(struct kv *k, const struct kv_request *q)
{
    struct rowkey row = row_meta(q->shard, q->key);
    struct meta *m = &k->import_scratch;
    if (overlay_get(&k->rows, rowkey_bytes(&row), &k->row) && meta_decode(buf_bytes(&k->row), m) && m->high)
        look_ranges(k, q, m);
}

static void look_xattrs(struct kv *k, const struct kv_request *q)
{
    struct rowkey row = row_meta(q->shard, q->key);
    struct meta *m = &k->import_scratch;
    if (overlay_get(&k->rows, rowkey_bytes(&row), &k->row) && meta_decode(buf_bytes(&k->row), m) && m->attr.xattrs)
        look(k, row_xattr(q->shard, m->attr.ino));
}

/* Not all of it: what is below a directory that gets another name, or of a hole that is closed, is not worth the walk. */
static void look_request(struct kv *k, const struct kv_request *q)
{
    struct kv_staged staged;
    if (q->shard >= k->nshards || kv_serving(&k->shards[q->shard]) || q->op == KV_LAND || q->op == KV_SETTLE)
        return;
    dedup_look(k, q);
    look_key(k, q->shard, q->key);
    switch (q->op) {
    case KV_RENAME:
    case KV_EXCHANGE:
        look_key(k, q->shard, q->key2);
        break;
    case KV_PATCH:
        look_value(k, q);
        break;
    case KV_STAGE_WRITE:
    case KV_STAGE_DROP:
        look(k, row_stage(q->shard, q->version));
        break;
    case KV_XATTR_SET:
    case KV_XATTR_REMOVE:
        look_xattrs(k, q);
        break;
    default:
        if (q->flags & KV_STAGED && kv_staged_decode(q->data, &staged))
            look(k, row_stage(q->shard, staged.id));
        break;
    }
}

/* Between these nothing waits for a disk. */
static void look_begin(struct kv *k, enum table_wait wait, struct buf *cold)
{
    k->rows.cold = cold;
    k->rows.wait = wait;
    k->rows.missed = false;
}

/* True: nothing was missed. */
static bool look_end(struct kv *k)
{
    k->rows.cold = NULL;
    return !k->rows.missed;
}

/* For a command nothing is waited for: they come in a row, whose rows are read together, and most of what they want is in memory. An
 * error that a look met is met again by whoever reads for good. */
bool kv_at_hand(struct kv *k, const struct kv_command *c, unsigned asked, struct buf *cold)
{
    enum rgkv_err before = k->rows.err;
    look_begin(k, TABLE_WAIT_NEVER, cold);
    if (c->kind == KV_REQUEST)
        look_request(k, &c->request);
    else if (c->kind == KV_CLOCK)
        expiry_look(k, c->time_us, asked == 0);
    k->rows.err = before;
    return look_end(k);
}

enum rgkv_err kv_read_now(struct kv *k, const struct kv_request *q, struct buf *out, struct kv_reply *ret_r, struct buf *cold)
{
    size_t before = out->len;
    look_begin(k, TABLE_WAIT_SHORT, cold);
    enum rgkv_err err = kv_read(k, q, out, ret_r);
    if (look_end(k) || MUTANT(read_what_is_at_hand))
        return err;
    out->len = before;
    return RGKV_PENDING;
}
