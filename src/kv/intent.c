/* Renaming a file to another shard (P6): the source's side.
 *
 *     RENAME ──▶ intent row: the source is locked, the caller is told PENDING until it is over (and asks again)
 *                  │  the leader of the source's group sends the file to the target's shard (land.c), again and again
 *                  ▼
 *     SETTLE ──▶ the outcome there, as one entry here: the source goes (or stays), the lock goes, the caller's session
 *                has its result
 *
 * Reads of a locked key pass; whatever would change it, or the path to it, waits (MOVING). The target is replaced by one entry of its
 * own shard, so it is never missing or torn; for a moment both names are seen. An intent is a row of its shard: it survives every leader
 * and moves along, and only a serving shard's is worked on (P9).
 *
 * Intent row, named by the revision of its command: le64 client, seq, floor, now, le32 target shard, le32 flags, le16 key length, key, key2.
 * All open intents are in memory, too, for every change must look whether it is locked out: kv->intents, from the rows. */
#include "base/mutant.h"
#include "kv/machine.h"

#define INTENTS_PER_SHARD_MAX 64u
#define INTENT_HEAD_BYTES 42u

/* ---- in memory ---- */

static struct intent *intent_add(struct kv *k, uint32_t shard, uint64_t number, uint32_t target)
{
    if (k->n_intents == k->intents_room) {
        k->intents_room = MAX(k->intents_room * 2, 8);
        k->intents = mem_realloc(k->intents, k->intents_room * sizeof(*k->intents));
    }
    struct intent *i = &k->intents[k->n_intents++];
    *i = (struct intent){.head = {.shard = shard, .number = number, .target = target}};
    return i;
}

static void intent_keys(struct intent *i, struct bytes key, struct bytes key2)
{
    buf_put(&i->keys, key);
    buf_put(&i->keys, key2);
    i->head.key = bytes_first(buf_bytes(&i->keys), key.len);
    i->head.key2 = bytes_from(buf_bytes(&i->keys), key.len);
}

static void intent_forget(struct kv *k, unsigned at)
{
    buf_release(&k->intents[at].keys);
    k->intents[at] = k->intents[--k->n_intents];
}

void intents_forget_shard(struct kv *k, uint32_t shard)
{
    for (unsigned i = 0; i < k->n_intents;)
        if (k->intents[i].head.shard == shard)
            intent_forget(k, i);
        else
            i++;
}

void intents_release(struct kv *k)
{
    while (k->n_intents)
        intent_forget(k, 0);
    mem_free(k->intents);
}

/* ---- rows ---- */

bool intent_row_shaped(uint32_t shard, uint32_t nshards, struct bytes in)
{
    struct reader r = reader_of(in);
    read_bytes(&r, 32);
    uint32_t target = read_le32(&r);
    read_le32(&r);
    struct bytes key = read_bytes(&r, read_le16(&r));
    return r.ok && kv_key_check(key) == RGKV_OK && kv_key_check(r.rest) == RGKV_OK && kv_key_shard(key, nshards) == shard &&
           kv_key_shard(r.rest, nshards) == target;
}

static void intent_store(struct kv *k, const struct kv_intent *i)
{
    struct rowkey row = row_intent(i->shard, i->number);
    size_t len = INTENT_HEAD_BYTES + i->key.len + i->key2.len;
    struct buf b = {.data = overlay_put(&k->rows, rowkey_bytes(&row), len), .cap = len}; /* never grows */
    if (MUTANT(intent_unlogged))
        overlay_delete(&k->rows, rowkey_bytes(&row));
    if (MUTANT(intent_unlogged))
        return;
    buf_put_le64(&b, i->client);
    buf_put_le64(&b, i->seq);
    buf_put_le64(&b, i->floor);
    buf_put_le64(&b, (uint64_t)i->now_ns);
    buf_put_le32(&b, i->target);
    buf_put_le32(&b, i->flags);
    buf_put_le16(&b, (uint16_t)i->key.len);
    buf_put(&b, i->key);
    buf_put(&b, i->key2);
}

static void intent_load(struct kv *k, uint32_t shard, uint64_t number, struct bytes in)
{
    struct reader r = reader_of(in);
    struct kv_intent h;
    h.client = read_le64(&r);
    h.seq = read_le64(&r);
    h.floor = read_le64(&r);
    h.now_ns = (int64_t)read_le64(&r);
    h.target = read_le32(&r);
    h.flags = read_le32(&r);
    struct bytes key = read_bytes(&r, read_le16(&r));
    struct intent *i = intent_add(k, shard, number, h.target);
    i->head.client = h.client;
    i->head.seq = h.seq;
    i->head.floor = h.floor;
    i->head.now_ns = h.now_ns;
    i->head.flags = h.flags;
    intent_keys(i, key, r.rest);
}

void intents_find(struct kv *k, uint32_t shard, struct scan *s)
{
    struct rowkey from = row_intents(shard), to = rowkey_end(from);
    intents_forget_shard(k, shard);
    scan_seek(s, rowkey_bytes(&from), rowkey_bytes(&to));
    while (scan_next(s)) {
        struct reader r = reader_of(bytes_from(s->key, 3));
        uint64_t number = read_be64(&r);
        if (r.ok && intent_row_shaped(shard, k->nshards, s->value))
            intent_load(k, shard, number, s->value);
        else
            k->rows.err = RGKV_DAMAGED;
    }
}

/* ---- locks ---- */

static bool changes_path(enum kv_op op) { return op == KV_RENAME || op == KV_EXCHANGE; }

static bool locks_out(const struct kv_intent *i, const struct kv_request *q)
{
    if (bytes_eq(i->key, q->key))
        return true;
    if (!changes_path(q->op))
        return false;
    return bytes_eq(i->key, q->key2) || key_below(i->key, q->key) || key_below(i->key, q->key2);
}

static bool sessionless(enum kv_op op) { return op == KV_LAND || op == KV_SETTLE; }
static bool beside_files(enum kv_op op) { return op == KV_STAGE_OPEN || op == KV_STAGE_WRITE || op == KV_STAGE_DROP || sessionless(op); }

enum rgkv_err intent_admit(const struct kv *k, const struct kv_request *q)
{
    enum rgkv_err err = RGKV_OK;
    for (unsigned n = 0; n < k->n_intents; n++) {
        const struct kv_intent *i = &k->intents[n].head;
        if (i->shard != q->shard || sessionless(q->op))
            continue;
        if (i->client == q->client && i->seq == q->seq) /* whatever it asks for: its outcome is recorded once */
            return RGKV_PENDING;
        if (!beside_files(q->op) && locks_out(i, q) && !MUTANT(intent_unlocked))
            err = RGKV_MOVING;
    }
    return err;
}

bool intent_locks(const struct kv *k, uint32_t shard, struct bytes key)
{
    for (unsigned n = 0; n < k->n_intents; n++)
        if (k->intents[n].head.shard == shard && bytes_eq(k->intents[n].head.key, key))
            return true;
    return false;
}

/* ---- open ---- */

bool intent_wanted(const struct kv *k, const struct kv_request *q)
{
    return q->op == KV_RENAME && kv_key_shard(q->key2, k->nshards) != q->shard;
}

static unsigned intents_of(const struct kv *k, uint32_t shard)
{
    unsigned n = 0;
    for (unsigned i = 0; i < k->n_intents; i++)
        n += k->intents[i].head.shard == shard;
    return n;
}

enum rgkv_err intent_open(struct op *o)
{
    struct kv *k = o->k;
    const struct kv_request *q = o->q;
    struct meta m;
    bool found = op_find(o, q->key, &m);
    enum rgkv_err err = op_conditions(o, found, &m);
    if (err)
        return err;
    if (!found)
        return op_missing(o, q->key);
    if (m.attr.type == KV_DIR)
        return RGKV_CROSS_SHARD;
    if (intents_of(k, q->shard) >= INTENTS_PER_SHARD_MAX)
        return RGKV_BUSY;
    struct intent *i = intent_add(k, q->shard, o->revision, kv_key_shard(q->key2, k->nshards));
    intent_keys(i, q->key, q->key2);
    i->head.client = q->client;
    i->head.seq = q->seq;
    i->head.floor = dedup_floor(k, q); /* the session may be gone when the outcome is recorded: its number must fit the window then, too */
    i->head.now_ns = q->now_ns;
    i->head.flags = q->flags & KV_CREATE_ONLY;
    intent_store(k, &i->head);
    return RGKV_PENDING;
}

/* ---- settle ---- */

static struct intent *intent_find(struct kv *k, uint32_t shard, uint64_t number)
{
    for (unsigned n = 0; n < k->n_intents; n++)
        if (k->intents[n].head.shard == shard && k->intents[n].head.number == number)
            return &k->intents[n];
    return NULL;
}

static void source_goes(struct op *o, const struct kv_intent *i)
{
    struct meta m;
    if (!op_find(o, i->key, &m))
        return; /* cannot be: it was locked */
    op_drop(o, i->key, &m);
    op_touch_parent(o, i->key);
}

/* `settle` names an intent and says what became of it at its target; without such an intent it is old news. */
void intent_settle(struct kv *k, const struct kv_request *settle)
{
    struct intent *i = intent_find(k, settle->shard, settle->seq);
    if (!i)
        return;
    struct shard *s = &k->shards[settle->shard];
    const struct kv_intent *h = &i->head;
    enum rgkv_err err = settle->version < RGKV_ERR_COUNT ? (enum rgkv_err)settle->version : RGKV_DAMAGED;
    struct kv_request rename = {.op = KV_RENAME, .client = h->client, .seq = h->seq, .floor = h->floor, .shard = h->shard, .key = h->key, .key2 = h->key2,
                                .now_ns = h->now_ns};
    struct op o = {.k = k, .rows = &k->rows, .shard = s, .q = &rename, .revision = s->revision + 1};
    struct rowkey row = row_intent(h->shard, h->number);
    overlay_delete(&k->rows, rowkey_bytes(&row));
    if (!err)
        source_goes(&o, h);
    s->revision = o.revision;
    kv_shard_changed(k, settle->shard);
    dedup_record_late(k, &rename, err);
    intent_forget(k, (unsigned)(i - k->intents));
}

/* ---- what the leader needs to carry them out ---- */

const struct kv_intent *kv_intent_at(const struct kv *k, unsigned i) { return i < k->n_intents ? &k->intents[i].head : NULL; }

static uint64_t lowest_open(const struct kv *k, uint32_t shard, uint32_t target)
{
    uint64_t lowest = UINT64_MAX;
    for (unsigned n = 0; n < k->n_intents; n++)
        if (k->intents[n].head.shard == shard && k->intents[n].head.target == target)
            lowest = MIN(lowest, k->intents[n].head.number);
    return lowest;
}

static void land_attrs(const struct kv_attr *a, struct kv_request *q)
{
    q->mode = a->mode;
    q->uid = a->uid;
    q->gid = a->gid;
    q->atime_ns = a->atime_ns;
    q->mtime_ns = a->mtime_ns;
    q->version = a->ino;
    q->offset = a->type;
    q->length = a->size;
}

enum rgkv_err kv_land_request(struct kv *k, const struct kv_intent *i, uint64_t offset, uint32_t bytes_max, struct buf *out,
                              struct kv_range *ret_range, struct kv_request *ret_q)
{
    struct kv_request q = {.op = KV_LAND, .client = (uint64_t)i->shard + 1, .seq = i->number, .shard = i->target, .key = i->key2,
                           .flags = i->flags, .now_ns = i->now_ns, .n_ranges = 1, .ranges = ret_range};
    const struct kv_request at = {.shard = i->shard, .key = i->key};
    struct op o = {.k = k, .rows = &k->rows, .q = &at};
    struct meta m;
    ASSERT(k->finished);
    q.floor = lowest_open(k, i->shard, i->target);
    buf_clear(out);
    if (!op_find(&o, i->key, &m)) {
        enum rgkv_err err = kv_take_read_error(k);
        return err ? err : RGKV_NOT_FOUND;
    }
    land_attrs(&m.attr, &q);
    *ret_range = (struct kv_range){offset, (uint32_t)MIN(m.attr.size - MIN(offset, m.attr.size), bytes_max)};
    value_read(&k->rows, i->shard, &m, m.attr.version, offset, ret_range->len, out);
    if (offset + ret_range->len == m.attr.size && m.attr.xattrs) {
        struct rowkey row = row_xattr(i->shard, m.attr.ino);
        if (overlay_get(&k->rows, rowkey_bytes(&row), &k->row))
            buf_put(out, buf_bytes(&k->row));
    }
    q.data = buf_bytes(out);
    enum rgkv_err err = kv_take_read_error(k);
    if (!err)
        *ret_q = q;
    return err;
}
