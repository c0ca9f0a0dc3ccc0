/* Shards come and go. The epoch is the only fence (P17): a command whose epoch does not fit does nothing, so it may come
 * late, twice, or out of order.
 *
 *              IMPORT e > ours (from a group)                    IMPORT_END, count and hash equal
 *     NONE ──────────────────────────────▶ IMPORTING ─────────────────────────────▶ PREPARED
 *      ▲ ▲                                  │    CHUNK: rows                      ▲ │     │ ACTIVATE e = ours
 *      │ └──────── DROP e > ours ───────────┴─────────── IMPORT e > ours, from 0 ─┘ │     ▼
 *      │                        (also from PREPARED) ◀──────────────────────────────┘  SERVING ◀┐ THAW e > ours
 *      │                                                                                │        │ (also SERVING)
 *      └──────────────── DROP e ≥ ours ──────────────── FROZEN ◀── FREEZE e > ours ─────┴────────┘
 *                                                        (also FROZEN)
 *
 * While SERVING, COPY e > ours begins the copy of a move to epoch e (copy.c); what it recorded stays while FROZEN.
 *
 * IMPORT with a higher epoch is taken in every state but SERVING. It and DROP clear the shard's whole range themselves
 * (P10). A frozen shard's clock stands (P9); ACTIVATE and THAW let it go on from there (P18). */
#include "base/mutant.h"
#include "kv/machine.h"

const char *kv_shard_state_name(enum kv_shard_state s)
{
    switch (s) {
    case KV_NONE:
        return "none";
    case KV_IMPORTING:
        return "importing";
    case KV_PREPARED:
        return "prepared";
    case KV_SERVING:
        return "serving";
    case KV_FROZEN:
        return "frozen";
    }
    return "?";
}

static void shard_clear(struct kv *k, uint32_t shard)
{
    struct shard *s = &k->shards[shard];
    struct rowkey from = row_shard_range(shard), to = rowkey_end(from);
    if (!MUTANT(import_uncleared))
        overlay_delete_range(&k->rows, rowkey_bytes(&from), rowkey_bytes(&to));
    dedup_forget_shard(k, shard);
    trim_note(k, shard, s->bytes);
    copy_end(k, shard);
    intents_forget_shard(k, shard);
    s->from = s->clock_us = s->offset_us = s->revision = s->keys = s->bytes = s->sessions = 0;
    s->import_round = s->import_rows = s->import_hash = s->import_bytes = 0;
    s->due_us = UINT64_MAX;
    buf_clear(&s->cursor);
}

static void shard_enter(struct kv *k, uint32_t shard, enum kv_shard_state state, uint64_t epoch)
{
    struct shard *s = &k->shards[shard];
    s->state = state;
    s->epoch = epoch;
    kv_shard_changed(k, shard);
}

/* A shard that begins empty once more was given up with its data (P19): its revisions begin above any old one. */
static uint64_t first_revision(uint64_t epoch) { return MUTANT(revision_reused) ? 0 : (epoch - 1) << 40; }
/* … and so does its time, by more than four years an epoch: a request that was born before is old and no newcomer's (P5). */
static uint64_t first_time_us(uint64_t epoch) { return (epoch - 1) << 47; }

static enum rgkv_err shard_import(struct kv *k, const struct kv_command *c)
{
    struct shard *s = &k->shards[c->shard];
    if (c->epoch <= s->epoch || s->state == KV_SERVING)
        return RGKV_STALE;
    shard_clear(k, c->shard);
    s->from = c->from;
    if (c->from == 0) {
        s->revision = first_revision(c->epoch);
        s->clock_us = first_time_us(c->epoch);
    }
    shard_enter(k, c->shard, c->from ? KV_IMPORTING : KV_PREPARED, c->epoch);
    return RGKV_OK;
}

/* ---- rows of an image ---- */

struct image_row {
    struct bytes key, value;
    bool gone;                 /* deleted since the last round */
};

static bool row_next(struct reader *r, struct image_row *ret_row)
{
    if (!r->ok || !r->rest.len)
        return false;
    struct image_row row = {0};
    row.key = read_bytes(r, read_le32(r));
    uint32_t len = read_le32(r);
    row.gone = len == ROW_GONE;
    row.value = read_bytes(r, row.gone ? 0 : len);
    *ret_row = row;
    return r->ok;
}

static bool image_row_valid(struct kv *k, uint32_t shard, uint64_t round, const struct image_row *row)
{
    struct rowkey range = row_shard_range(shard);
    if (!row->gone)
        return row_valid(shard, k->nshards, row->key, row->value, &k->import_scratch);
    return round && row->key.len <= ROW_KEY_BYTES_MAX && row->key.len > range.len && bytes_starts(row->key, rowkey_bytes(&range));
}

static bool rows_valid(struct kv *k, const struct kv_command *c)
{
    struct reader r = reader_of(c->rows);
    struct bytes last = c->after;
    struct image_row row;
    while (row_next(&r, &row)) {
        if (bytes_cmp(row.key, last) <= 0 || !image_row_valid(k, c->shard, c->round, &row))
            return false;
        last = row.key;
    }
    return r.ok;
}

/* One more row of the image, or with -1 one less. */
static void row_count(struct shard *s, struct bytes key, struct bytes value, uint64_t n)
{
    struct kv_attr a;
    s->import_rows += n;
    s->import_hash += n * copy_row_hash(key, value);
    if (key.data[2] == ROW_SESSION)
        s->sessions += n;
    if (key.data[2] != ROW_META || !attr_decode(value, &a))
        return;
    s->keys += n;
    s->bytes += n * a.size;
}

static void row_write(struct kv *k, const struct image_row *row)
{
    if (row->gone) {
        overlay_delete(&k->rows, row->key);
        return;
    }
    if (MUTANT(dedup_not_moved) && row->key.data[2] == ROW_SESSION)
        return;
    uint8_t *to = overlay_put(&k->rows, row->key, row->value.len);
    if (row->value.len)
        memcpy(to, row->value.data, row->value.len);
}

/* In round 0 every row is new. */
static void row_import(struct kv *k, struct shard *s, const struct image_row *row)
{
    if (s->import_round && overlay_get(&k->rows, row->key, &k->row))
        row_count(s, row->key, buf_bytes(&k->row), (uint64_t)-1);
    if (!row->gone)
        row_count(s, row->key, row->value, 1);
    row_write(k, row);
    buf_clear(&s->cursor);
    buf_put(&s->cursor, row->key);
}

static enum rgkv_err shard_chunk(struct kv *k, const struct kv_command *c)
{
    struct shard *s = &k->shards[c->shard];
    bool here = c->round == s->import_round && bytes_eq(c->after, buf_bytes(&s->cursor));
    if (s->state != KV_IMPORTING || c->epoch != s->epoch || !(here || MUTANT(chunk_twice)))
        return RGKV_STALE;
    if (!rows_valid(k, c))
        return RGKV_INVALID;
    struct reader r = reader_of(c->rows);
    struct image_row row;
    while (row_next(&r, &row))
        row_import(k, s, &row);
    if (c->done) {
        s->import_round++;
        buf_clear(&s->cursor);
    }
    s->import_steps++;
    s->import_bytes += c->rows.len;
    kv_shard_changed(k, c->shard);
    return RGKV_OK;
}

static bool totals_equal(const struct shard *s, const struct kv_command *c)
{
    bool unchecked = MUTANT(chunk_lost) || MUTANT(chunk_twice) || MUTANT(change_unrecorded) || MUTANT(deletion_unrecorded) ||
                     MUTANT(last_difference_skipped) || MUTANT(pull_unfrozen);
    return (c->count == s->import_rows && c->hash == s->import_hash) || unchecked;
}

static enum rgkv_err shard_import_end(struct kv *k, const struct kv_command *c)
{
    struct shard *s = &k->shards[c->shard];
    if (s->state != KV_IMPORTING || c->epoch != s->epoch || c->round != s->import_round || s->cursor.len)
        return RGKV_STALE;
    if (!totals_equal(s, c))
        return RGKV_DAMAGED;
    s->revision = MUTANT(revision_not_moved) ? 0 : c->revision;
    s->clock_us = c->clock_us;
    shard_enter(k, c->shard, KV_PREPARED, c->epoch);
    return RGKV_OK;
}

/* ---- serving and not ---- */

static void clock_start(struct kv *k, struct shard *s) { s->offset_us = MUTANT(clock_restarts) ? 0 : s->clock_us - k->time_us; }

static enum rgkv_err shard_freeze(struct kv *k, const struct kv_command *c)
{
    struct shard *s = &k->shards[c->shard];
    if ((s->state != KV_SERVING && s->state != KV_FROZEN) || c->epoch <= s->epoch || c->epoch < s->copying.epoch)
        return RGKV_STALE;
    s->clock_us = kv_shard_time(k, s);
    if (s->copying.epoch != c->epoch)
        copy_begin(k, c->shard, c->epoch);
    shard_enter(k, c->shard, KV_FROZEN, c->epoch);
    return RGKV_OK;
}

static enum rgkv_err shard_activate(struct kv *k, const struct kv_command *c)
{
    struct shard *s = &k->shards[c->shard];
    if (s->state != KV_PREPARED || c->epoch != s->epoch)
        return RGKV_STALE;
    clock_start(k, s);
    s->from = s->import_round = s->import_rows = s->import_hash = 0;
    kv_find(k, c->shard);
    shard_enter(k, c->shard, KV_SERVING, c->epoch);
    return RGKV_OK;
}

static enum rgkv_err shard_thaw(struct kv *k, const struct kv_command *c)
{
    struct shard *s = &k->shards[c->shard];
    if ((s->state != KV_SERVING && s->state != KV_FROZEN) || (c->epoch <= s->epoch && !MUTANT(thaw_stale)))
        return RGKV_STALE;
    if (s->state == KV_FROZEN)
        clock_start(k, s);
    if (s->copying.epoch <= c->epoch)
        copy_end(k, c->shard);
    shard_enter(k, c->shard, KV_SERVING, c->epoch);
    return RGKV_OK;
}

static bool may_drop(const struct shard *s, uint64_t epoch)
{
    switch (s->state) {
    case KV_FROZEN:
        return epoch >= s->epoch || MUTANT(drop_stale);
    case KV_IMPORTING:
    case KV_PREPARED:
        return epoch > s->epoch;
    case KV_SERVING:
        return MUTANT(drop_stale);
    case KV_NONE:
        break;
    }
    return false;
}

static enum rgkv_err shard_drop(struct kv *k, const struct kv_command *c)
{
    if (!may_drop(&k->shards[c->shard], c->epoch))
        return RGKV_STALE;
    shard_clear(k, c->shard);
    shard_enter(k, c->shard, KV_NONE, c->epoch);
    return RGKV_OK;
}

enum rgkv_err shard_command(struct kv *k, const struct kv_command *c)
{
    if (c->shard >= k->nshards || c->epoch == 0)
        return RGKV_INVALID;
    switch (c->kind) {
    case KV_IMPORT:
        return shard_import(k, c);
    case KV_CHUNK:
        return shard_chunk(k, c);
    case KV_IMPORT_END:
        return shard_import_end(k, c);
    case KV_FREEZE:
        return shard_freeze(k, c);
    case KV_ACTIVATE:
        return shard_activate(k, c);
    case KV_THAW:
        return shard_thaw(k, c);
    case KV_DROP:
        return shard_drop(k, c);
    case KV_COPY:
    case KV_COPY_SUM:
        return copy_command(k, c);
    case KV_REQUEST:
    case KV_CLOCK:
        break;
    }
    return RGKV_INVALID;
}
