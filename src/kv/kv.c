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
    memcpy(overlay_put(&k->rows, rowkey_bytes(&key), row.len), row.data, row.len);
    buf_release(&row);
    k->time_dirty = false;
}

/* A blank table gets its row with the first save. */
static enum rgkv_err machine_read(struct kv *k)
{
    struct rowkey key = row_machine();
    if (!overlay_get(&k->rows, rowkey_bytes(&key), &k->row)) {
        k->time_dirty = true;
        return k->rows.err;
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
    memcpy(overlay_put(&k->rows, rowkey_bytes(&key), k->row.len), k->row.data, k->row.len);
    k->shards[shard].dirty = false;
}

/* As a shard that the group never heard of, unless there is a row. */
static void shard_read(struct kv *k, uint32_t shard, struct shard *s)
{
    struct rowkey key = row_shard(shard);
    s->due_us = UINT64_MAX;
    if (overlay_get(&k->rows, rowkey_bytes(&key), &k->row) && !shard_decode(buf_bytes(&k->row), s))
        k->rows.err = RGKV_DAMAGED;
}

/* ---- open, free ---- */

static void find(struct kv *k, uint32_t shard, struct scan *s)
{
    expiry_find_due(k, shard, s);
    intents_find(k, shard, s);
}

void kv_find(struct kv *k, uint32_t shard)
{
    struct rowkey from = row_shard_range(shard), to = rowkey_end(from);
    struct scan s;
    scan_open(&s, &k->rows, rowkey_bytes(&from), rowkey_bytes(&to));
    find(k, shard, &s);
    scan_close(&s);
}

/* One scan for all: there may be thousands of them, and to begin one costs more than to find a row. */
static void shards_read(struct kv *k)
{
    struct rowkey from = row_shard_range(0);
    struct scan s;
    scan_open(&s, &k->rows, rowkey_bytes(&from), bytes_str(TABLE_APPLIED_KEY));
    for (uint32_t i = 0; i < k->nshards; i++) {
        struct shard *shard = &k->shards[i];
        shard_read(k, i, shard);
        k->n_copying += shard->copying.epoch != 0;
        shard->littered = shard->state == KV_NONE;
        if (shard->state == KV_SERVING || shard->state == KV_FROZEN)
            find(k, i, &s);
    }
    scan_close(&s);
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
    k->finished = true;
    overlay_init(&k->rows, t, k->cache);
    enum rgkv_err err = machine_read(k);
    if (!err)
        shards_read(k);
    if (!err)
        err = k->rows.err;
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
    intents_release(k);
    overlay_release(&k->rows);
    row_cache_free(k->cache);
    for (uint32_t i = 0; i < k->nshards; i++)
        buf_release(&k->shards[i].cursor);
    buf_release(&k->applied);
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

enum rgkv_err kv_take_read_error(struct kv *k)
{
    enum rgkv_err err = k->rows.err;
    k->rows.err = RGKV_OK;
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
    struct op o = {.k = k, .rows = &k->rows, .shard = s, .q = q, .revision = s->revision + 1};
    bool to_another_shard = intent_wanted(k, q);
    enum rgkv_err err = to_another_shard ? intent_open(&o) : op_execute(&o);
    if (err == RGKV_PENDING) {
        s->revision = o.revision;
        kv_shard_changed(k, q->shard);
    }
    if (to_another_shard && (err == RGKV_PENDING || err == RGKV_BUSY))
        return err; /* the outcome is not known yet: it is recorded then */
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
    if (q->op == KV_LAND)
        return land(k, q, r);
    if (q->op == KV_SETTLE) {
        intent_settle(k, q);
        return RGKV_OK;
    }
    enum rgkv_err locked = intent_admit(k, q);
    if (locked == RGKV_PENDING)
        return locked;
    struct session_result done = {0};
    err = dedup_admit(k, q, &done);
    if (err)
        return err;
    if (done.seq == 0)
        return locked ? locked : request_execute(k, q, r);
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

/* ---- into the table ---- */

#define DIRTY_FULL 1024u

void kv_full_at(struct kv *k, uint64_t bytes) { k->full_bytes = bytes; }

bool kv_full(const struct kv *k)
{
    bool enough = k->full_bytes && k->rows.top.bytes >= k->full_bytes;
    return !k->held && (enough || overlay_full(&k->rows) || k->n_dirty + k->n_dirty_sessions >= DIRTY_FULL);
}

bool kv_saves_runs(const struct kv *k) { return k->n_copying > 0; }
bool kv_unsaved(const struct kv *k) { return k->unsaved || k->rows.frozen; }

static void shards_write(struct kv *k)
{
    for (unsigned i = 0; i < k->n_dirty; i++)
        shard_write(k, k->dirty[i]);
    k->n_dirty = 0;
}

static void applied_note(struct kv *k, struct bytes applied)
{
    k->finished = k->unsaved = true;
    buf_clear(&k->applied);
    buf_put(&k->applied, applied);
}

/* What is kept in another form becomes rows. */
static void rows_complete(struct kv *k)
{
    dedup_write(k);
    copy_record(k);
    shards_write(k);
    machine_write(k);
    uint8_t *to = overlay_put(&k->rows, bytes_str(TABLE_APPLIED_KEY), k->applied.len);
    if (k->applied.len)
        memcpy(to, k->applied.data, k->applied.len);
}

enum rgkv_err kv_save(struct kv *k)
{
    ASSERT(k->finished && !k->saving);
    if (!kv_unsaved(k))
        return k->rows.err;
    rows_complete(k);
    enum rgkv_err err = overlay_write(&k->rows);
    k->held = err == RGKV_NO_SPACE;
    if (k->held)
        copy_unrecord(k);
    if (err)
        return err;
    k->unsaved = false;
    dedup_trim(k);
    return RGKV_OK;
}

/* One that found no space is tried again as it was. */
bool kv_save_begin(struct kv *k, struct kv_saving *ret_s)
{
    ASSERT(k->finished && !k->saving);
    if (!kv_unsaved(k) || k->n_copying || k->rows.err)
        return false;
    *ret_s = (struct kv_saving){.table = k->rows.table, .rows = &k->rows.under, .again = k->rows.frozen};
    if (!k->rows.frozen) {
        rows_complete(k);
        dedup_trim(k);
        overlay_freeze(&k->rows);
        k->unsaved = false;
    }
    k->saving = true;
    return true;
}

enum rgkv_err kv_saving_write(const struct kv_saving *s) { return overlay_layer_write(s->rows, s->table); }

enum rgkv_err kv_save_end(struct kv *k, enum rgkv_err err)
{
    ASSERT(k->saving);
    k->saving = false;
    overlay_written(&k->rows, err);
    k->held = err == RGKV_NO_SPACE;
    return err;
}

/* A shard that is being copied records what changes with each save, and is read by the other group: not later, then. */
enum rgkv_err kv_finish(struct kv *k, struct bytes applied)
{
    applied_note(k, applied);
    if (k->held && !k->rows.err)
        return RGKV_NO_SPACE;
    return k->n_copying ? kv_save(k) : k->rows.err;
}

/* What a save records belongs to one round, wherever runs end: before a round's first command all is saved. */
static bool begins_round(const struct kv_command *c) { return c->kind == KV_COPY || c->kind == KV_FREEZE; }
static bool must_save_before(const struct kv *k, const struct kv_command *c) { return begins_round(c) || overlay_swollen(&k->rows); }

bool kv_waits(const struct kv *k, const struct kv_command *c) { return k->saving && must_save_before(k, c); }

static enum rgkv_err save_before(struct kv *k, const struct kv_command *c, struct bytes applied_before)
{
    if (!must_save_before(k, c))
        return k->rows.err;
    if (!k->finished)
        applied_note(k, applied_before);
    return kv_save(k);
}

enum rgkv_err kv_apply(struct kv *k, const struct kv_command *c, struct bytes applied_before, struct kv_result *ret_r)
{
    enum rgkv_err err = save_before(k, c, applied_before);
    if (err)
        return err;
    struct kv_result r = {0};
    k->finished = false;
    time_advance(k, c->time_us);
    r.err = r.reply.err = command_apply(k, c, &r);
    if (!k->rows.err)
        *ret_r = r;
    return k->rows.err;
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
    if (err || q->op == KV_LAND || q->op == KV_SETTLE)
        return err;
    return intent_admit(k, q) == RGKV_PENDING ? RGKV_PENDING : dedup_may_propose(k, q);
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
        .import_hash = s->import_hash, .import_steps = s->import_steps, .import_bytes = s->import_bytes, .copy_epoch = s->copying.epoch, .copy_round = s->copying.round,
    };
}

struct bytes kv_import_cursor(const struct kv *k, uint32_t shard)
{
    ASSERT(shard < k->nshards);
    return buf_bytes(&k->shards[shard].cursor);
}

static uint64_t hash_of(struct kv *k, struct bytes from, struct bytes to)
{
    struct scan s;
    uint64_t hash = 1;
    scan_open(&s, &k->rows, from, to);
    while (scan_next(&s))
        if (!bytes_eq(s.key, bytes_str(TABLE_APPLIED_KEY)))
            hash = hash64_seeded(s.value, hash64_seeded(s.key, hash));
    scan_close(&s);
    return hash;
}

enum rgkv_err kv_checksum(struct kv *k, struct kv_checksum *ret_c)
{
    ASSERT(k->finished);
    dedup_write(k);
    shards_write(k);
    machine_write(k);
    ret_c->rows = hash_of(k, BYTES_EMPTY, bytes_str(TABLE_APPLIED_KEY));
    ret_c->machine = k->held ? 0 : hash_of(k, bytes_str(TABLE_APPLIED_KEY), bytes_str("\xff\xff\xff"));
    return kv_take_read_error(k);
}
