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
 * IMPORT with a higher epoch is taken in every state but SERVING. It and DROP clear the shard's whole range in their own batch
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
        overlay_delete_range(&k->batch, rowkey_bytes(&from), rowkey_bytes(&to));
    dedup_forget_shard(k, shard);
    s->from = s->clock_us = s->offset_us = s->revision = s->keys = s->bytes = s->sessions = 0;
    s->import_rows = s->import_hash = 0;
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
static uint64_t first_revision(uint64_t epoch) { return (epoch - 1) << 40; }

static enum rgkv_err shard_import(struct kv *k, const struct kv_command *c)
{
    struct shard *s = &k->shards[c->shard];
    if (c->epoch <= s->epoch || s->state == KV_SERVING)
        return RGKV_STALE;
    shard_clear(k, c->shard);
    s->from = c->from;
    if (c->from == 0)
        s->revision = first_revision(c->epoch);
    shard_enter(k, c->shard, c->from ? KV_IMPORTING : KV_PREPARED, c->epoch);
    return RGKV_OK;
}

/* ---- rows of an image ---- */

uint64_t shard_row_hash(uint64_t hash, struct bytes key, struct bytes value)
{
    return hash64_seeded(value, hash64_seeded(key, hash));
}

static struct bytes read_part(struct reader *r)
{
    uint32_t len = read_le32(r);
    return read_bytes(r, len);
}

static bool rows_valid(struct kv *k, const struct kv_command *c)
{
    struct reader r = reader_of(c->rows);
    struct bytes last = c->after;
    while (r.ok && r.rest.len) {
        struct bytes key = read_part(&r), value = read_part(&r);
        if (!r.ok || bytes_cmp(key, last) <= 0 || !row_valid(c->shard, k->nshards, key, value, &k->import_scratch))
            return false;
        last = key;
    }
    return r.ok;
}

static void row_count(struct shard *s, struct bytes key, struct bytes value)
{
    struct kv_attr a;
    if (key.data[2] == ROW_SESSION)
        s->sessions++;
    if (key.data[2] != ROW_META || !attr_decode(value, &a))
        return;
    s->keys++;
    s->bytes += a.size;
}

static void row_import(struct kv *k, struct shard *s, struct bytes key, struct bytes value)
{
    bool left_out = MUTANT(dedup_not_moved) && key.data[2] == ROW_SESSION;
    uint8_t *to = left_out ? NULL : overlay_put(&k->batch, key, value.len);
    if (value.len && !left_out)
        memcpy(to, value.data, value.len);
    row_count(s, key, value);
    s->import_rows++;
    s->import_hash = shard_row_hash(s->import_hash, key, value);
    buf_clear(&s->cursor);
    buf_put(&s->cursor, key);
}

static enum rgkv_err shard_chunk(struct kv *k, const struct kv_command *c)
{
    struct shard *s = &k->shards[c->shard];
    if (s->state != KV_IMPORTING || c->epoch != s->epoch ||
        (!bytes_eq(c->after, buf_bytes(&s->cursor)) && !MUTANT(chunk_twice)))
        return RGKV_STALE;
    if (!rows_valid(k, c))
        return RGKV_INVALID;
    struct reader r = reader_of(c->rows);
    while (r.rest.len) {
        struct bytes key = read_part(&r), value = read_part(&r);
        row_import(k, s, key, value);
    }
    kv_shard_changed(k, c->shard);
    return RGKV_OK;
}

static enum rgkv_err shard_import_end(struct kv *k, const struct kv_command *c)
{
    struct shard *s = &k->shards[c->shard];
    if (s->state != KV_IMPORTING || c->epoch != s->epoch)
        return RGKV_STALE;
    if ((c->count != s->import_rows || c->hash != s->import_hash) && !MUTANT(chunk_lost))
        return RGKV_DAMAGED;
    s->revision = MUTANT(revision_not_moved) ? 0 : c->revision;
    s->clock_us = c->clock_us;
    buf_clear(&s->cursor);
    shard_enter(k, c->shard, KV_PREPARED, c->epoch);
    return RGKV_OK;
}

/* ---- serving and not ---- */

static void clock_start(struct kv *k, struct shard *s) { s->offset_us = s->clock_us - k->time_us; }

static enum rgkv_err shard_freeze(struct kv *k, const struct kv_command *c)
{
    struct shard *s = &k->shards[c->shard];
    if ((s->state != KV_SERVING && s->state != KV_FROZEN) || c->epoch <= s->epoch)
        return RGKV_STALE;
    s->clock_us = kv_shard_time(k, s);
    shard_enter(k, c->shard, KV_FROZEN, c->epoch);
    return RGKV_OK;
}

static enum rgkv_err shard_activate(struct kv *k, const struct kv_command *c)
{
    struct shard *s = &k->shards[c->shard];
    if (s->state != KV_PREPARED || c->epoch != s->epoch)
        return RGKV_STALE;
    clock_start(k, s);
    s->from = s->import_rows = s->import_hash = 0;
    expiry_find_due(k, c->shard);
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
    case KV_NONE:
    case KV_SERVING:
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
    case KV_REQUEST:
    case KV_CLOCK:
        break;
    }
    return RGKV_INVALID;
}
