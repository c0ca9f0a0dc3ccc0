#include "base/mutant.h"
#include "kv/machine.h"

/* ---- rows of the machine ---- */

static void machine_write(struct kv *k)
{
    struct rowkey key = row_machine();
    struct buf row = {0};
    if (!k->time_dirty)
        return;
    buf_put_le32(&row, k->nshards);
    buf_put_le64(&row, k->time_us);
    memcpy(overlay_put(&k->batch, rowkey_bytes(&key), row.len), row.data, row.len);
    buf_release(&row);
    k->time_dirty = false;
}

/* A blank table gets its row with the first batch. */
static enum rgkv_err machine_read(struct kv *k)
{
    struct rowkey key = row_machine();
    if (!overlay_get(&k->finished, rowkey_bytes(&key), &k->row)) {
        k->time_dirty = true;
        return k->finished.err;
    }
    struct reader r = reader_of(buf_bytes(&k->row));
    uint32_t nshards = read_le32(&r);
    k->time_us = read_le64(&r);
    if (!r.ok || r.rest.len)
        return RGKV_DAMAGED;
    return nshards == k->nshards ? RGKV_OK : RGKV_CONFLICT;
}

static void shard_encode(const struct shard *s, struct buf *out)
{
    buf_put_u8(out, (uint8_t)s->state);
    const uint64_t numbers[] = {s->epoch, s->from, s->clock_us, s->offset_us, s->revision,
                                s->keys, s->bytes, s->sessions, s->import_round, s->import_rows, s->import_hash,
                                s->copying.epoch, s->copying.round, s->copying.summed, s->copying.count, s->copying.hash};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        buf_put_le64(out, numbers[i]);
    buf_put(out, buf_bytes(&s->cursor));
}

static bool shard_decode(struct bytes in, struct shard *s)
{
    struct reader r = reader_of(in);
    uint64_t summed;
    uint64_t *numbers[] = {&s->epoch, &s->from, &s->clock_us, &s->offset_us, &s->revision,
                           &s->keys, &s->bytes, &s->sessions, &s->import_round, &s->import_rows, &s->import_hash,
                           &s->copying.epoch, &s->copying.round, &summed, &s->copying.count, &s->copying.hash};
    uint8_t state = read_u8(&r);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        *numbers[i] = read_le64(&r);
    if (!r.ok || state > KV_FROZEN || summed > 1)
        return false;
    s->state = state;
    s->copying.summed = summed;
    buf_clear(&s->cursor);
    buf_put(&s->cursor, r.rest);
    return true;
}

static void shard_write(struct kv *k, uint32_t shard)
{
    struct rowkey key = row_shard(shard);
    buf_clear(&k->row);
    shard_encode(&k->shards[shard], &k->row);
    memcpy(overlay_put(&k->batch, rowkey_bytes(&key), k->row.len), k->row.data, k->row.len);
    k->shards[shard].dirty = false;
}

/* As a shard that the group never heard of, unless there is a row. */
static void shard_read(struct kv *k, uint32_t shard, struct shard *s)
{
    struct rowkey key = row_shard(shard);
    struct buf cursor = s->cursor;
    *s = (struct shard){.cursor = cursor, .due_us = UINT64_MAX};
    buf_clear(&s->cursor);
    if (overlay_get(&k->finished, rowkey_bytes(&key), &k->row) && !shard_decode(buf_bytes(&k->row), s))
        k->finished.err = RGKV_DAMAGED;
}

/* ---- open, free ---- */

static void shards_read(struct kv *k)
{
    for (uint32_t i = 0; i < k->nshards; i++) {
        struct shard *s = &k->shards[i];
        shard_read(k, i, s);
        k->n_copying += s->copying.epoch != 0;
        if (s->state == KV_SERVING || s->state == KV_FROZEN)
            expiry_find_due(k, i);
    }
}

enum rgkv_err kv_open(struct table *t, uint64_t gid, uint32_t nshards, struct kv **ret_kv)
{
    if (nshards == 0 || nshards > NSHARDS_MAX)
        return RGKV_INVALID;
    struct kv *k = mem_zalloc(sizeof(*k));
    k->gid = gid;
    k->nshards = nshards;
    k->shards = mem_zalloc(nshards * sizeof(*k->shards));
    k->dirty = mem_zalloc(nshards * sizeof(*k->dirty));
    k->cache = row_cache_new();
    overlay_init(&k->batch, t, k->cache);
    overlay_init(&k->finished, t, k->cache);
    enum rgkv_err err = machine_read(k);
    if (!err)
        shards_read(k);
    if (!err)
        err = k->finished.err ? k->finished.err : k->batch.err;
    if (err) {
        kv_free(k);
        return err;
    }
    *ret_kv = k;
    return RGKV_OK;
}

void kv_free(struct kv *k)
{
    if (!k)
        return;
    dedup_release(k);
    copy_release(k);
    overlay_release(&k->batch);
    overlay_release(&k->finished);
    row_cache_free(k->cache);
    for (uint32_t i = 0; i < k->nshards; i++)
        buf_release(&k->shards[i].cursor);
    buf_release(&k->before.cursor);
    buf_release(&k->row);
    buf_release(&k->data);
    buf_release(&k->chunk);
    mem_free(k->shards);
    mem_free(k->dirty);
    mem_free(k);
}

/* ---- what the files of the machine share ---- */

void kv_shard_changed(struct kv *k, uint32_t shard)
{
    if (k->shards[shard].dirty)
        return;
    k->shards[shard].dirty = true;
    k->dirty[k->n_dirty++] = shard;
}

uint64_t kv_shard_time(const struct kv *k, const struct shard *s)
{
    return s->state == KV_SERVING ? k->time_us + s->offset_us : s->clock_us;
}

const struct shard *kv_finished_shard(struct kv *k, uint32_t shard)
{
    if (!k->shards[shard].dirty)
        return &k->shards[shard];
    shard_read(k, shard, &k->before);
    return &k->before;
}

enum rgkv_err kv_take_read_error(struct kv *k)
{
    enum rgkv_err err = k->finished.err;
    k->finished.err = RGKV_OK;
    return err;
}

/* A shard that is on its way here is MOVING too: who asks should wait and not look elsewhere. */
enum rgkv_err kv_serving(const struct shard *s)
{
    if (MUTANT(frozen_writes) && s->state == KV_FROZEN)
        return RGKV_OK;
    switch (s->state) {
    case KV_NONE:
        return RGKV_WRONG_GROUP;
    case KV_IMPORTING:
    case KV_PREPARED:
    case KV_FROZEN:
        return RGKV_MOVING;
    case KV_SERVING:
        break;
    }
    return RGKV_OK;
}

/* ---- apply ---- */

static bool kv_unfinished(const struct kv *k)
{
    return !overlay_empty(&k->batch) || k->n_dirty || k->n_dirty_sessions || k->time_dirty;
}

static void time_advance(struct kv *k, uint64_t time_us)
{
    if (time_us <= k->time_us)
        return;
    k->time_us = time_us;
    k->time_dirty = true;
}

static void reply_recorded(struct kv_result *r, const struct session_result *done)
{
    r->duplicate = true;
    r->reply.attr = (struct kv_attr){.version = done->version, .size = done->size, .ino = done->ino};
    r->reply.has_attr = done->version != 0;
}

static enum rgkv_err request_execute(struct kv *k, const struct kv_request *q, struct kv_result *r)
{
    struct shard *s = &k->shards[q->shard];
    struct op o = {.k = k, .rows = &k->batch, .shard = s, .q = q, .revision = s->revision + 1};
    enum rgkv_err err = op_execute(&o);
    if (!err) {
        s->revision = o.revision;
        kv_shard_changed(k, q->shard);
    }
    dedup_record(k, q, err, &o.attr);
    r->reply.attr = o.attr;
    r->reply.has_attr = o.attr.type != 0;
    return err;
}

static enum rgkv_err request_apply(struct kv *k, const struct kv_request *q, struct kv_result *r)
{
    enum rgkv_err err = kv_request_check(q, k->nshards);
    if (!err && kv_op_reads(q->op))
        err = RGKV_INVALID;
    if (err)
        return err;
    const struct shard *s = &k->shards[q->shard];
    r->reply.shard_time_us = kv_shard_time(k, s);
    err = kv_serving(s);
    if (err)
        return err;
    struct session_result done = {0};
    err = dedup_admit(k, q, &done);
    if (err)
        return err;
    if (done.seq == 0)
        return request_execute(k, q, r);
    reply_recorded(r, &done);
    return done.err;
}

static enum rgkv_err command_apply(struct kv *k, const struct kv_command *c, struct kv_result *r)
{
    switch (c->kind) {
    case KV_REQUEST:
        return request_apply(k, &c->request, r);
    case KV_CLOCK:
        expiry_run(k);
        return RGKV_OK;
    case KV_IMPORT:
    case KV_CHUNK:
    case KV_IMPORT_END:
    case KV_FREEZE:
    case KV_ACTIVATE:
    case KV_THAW:
    case KV_DROP:
    case KV_COPY:
    case KV_COPY_SUM:
        return shard_command(k, c);
    }
    return RGKV_INVALID;
}

/* What a batch records belongs to one round, wherever batches end: a round's first command begins a new one. */
static bool begins_batch(const struct kv_command *c) { return c->kind == KV_COPY || c->kind == KV_FREEZE; }

enum rgkv_err kv_apply(struct kv *k, const struct kv_command *c, struct bytes applied_before, struct kv_result *ret_r)
{
    bool full = overlay_full(&k->batch) || (begins_batch(c) && kv_unfinished(k));
    enum rgkv_err err = full ? kv_finish(k, applied_before) : k->batch.err;
    if (err)
        return err;
    struct kv_result r = {0};
    time_advance(k, c->time_us);
    r.err = r.reply.err = command_apply(k, c, &r);
    if (!k->batch.err)
        *ret_r = r;
    return k->batch.err;
}

static void shards_write(struct kv *k)
{
    for (unsigned i = 0; i < k->n_dirty; i++)
        shard_write(k, k->dirty[i]);
    k->n_dirty = 0;
}

enum rgkv_err kv_finish(struct kv *k, struct bytes applied)
{
    dedup_write(k);
    copy_record(k);
    shards_write(k);
    machine_write(k);
    uint8_t *to = overlay_put(&k->batch, bytes_str(TABLE_APPLIED_KEY), applied.len);
    if (applied.len)
        memcpy(to, applied.data, applied.len);
    enum rgkv_err err = overlay_write(&k->batch);
    if (!err)
        dedup_trim(k);
    return err;
}

enum rgkv_err kv_applied_row(struct table *t, struct buf *out)
{
    return table_get(t, NULL, bytes_str(TABLE_APPLIED_KEY), out);
}

/* ---- what others ask ---- */

enum rgkv_err kv_may_propose(const struct kv *k, const struct kv_request *q)
{
    if (q->shard >= k->nshards)
        return RGKV_INVALID;
    enum rgkv_err err = kv_serving(&k->shards[q->shard]);
    return err ? err : dedup_may_propose(k, q);
}

uint64_t kv_time_us(const struct kv *k) { return k->time_us; }
uint32_t kv_nshards(const struct kv *k) { return k->nshards; }

bool kv_clock_due(const struct kv *k, uint64_t time_us)
{
    time_us = MAX(time_us, k->time_us);
    for (uint32_t i = 0; i < k->nshards; i++) {
        const struct shard *s = &k->shards[i];
        if (s->state == KV_SERVING && !s->copying.epoch && time_us + s->offset_us >= s->due_us)
            return true;
    }
    return false;
}

void kv_shard_status(const struct kv *k, uint32_t shard, struct kv_shard_status *ret_s)
{
    ASSERT(shard < k->nshards);
    const struct shard *s = &k->shards[shard];
    *ret_s = (struct kv_shard_status){
        .state = s->state, .epoch = s->epoch, .from = s->from, .revision = s->revision, .time_us = kv_shard_time(k, s),
        .keys = s->keys, .bytes = s->bytes, .import_round = s->import_round, .import_rows = s->import_rows,
        .import_hash = s->import_hash, .import_steps = s->import_steps, .copy_epoch = s->copying.epoch, .copy_round = s->copying.round,
    };
}

struct bytes kv_import_cursor(const struct kv *k, uint32_t shard)
{
    ASSERT(shard < k->nshards);
    return buf_bytes(&k->shards[shard].cursor);
}

enum rgkv_err kv_checksum(struct kv *k, uint64_t *ret_hash)
{
    struct scan s;
    uint64_t hash = 0;
    scan_open(&s, &k->finished, BYTES_EMPTY, bytes_str(TABLE_APPLIED_KEY));
    while (scan_next(&s))
        hash = hash64_seeded(s.value, hash64_seeded(s.key, hash));
    scan_close(&s);
    enum rgkv_err err = kv_take_read_error(k);
    if (!err)
        *ret_hash = hash;
    return err;
}
