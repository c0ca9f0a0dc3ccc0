/* A value that is larger than one log entry comes in pieces (P27).
 *
 *     KV_STAGE_OPEN ──▶ stage row, and a generation that no file has yet
 *     KV_STAGE_WRITE ─▶ data rows of that generation, as a patch writes them; the row counts the pieces
 *     KV_PUT, STAGED ─▶ the file's meta row takes the generation over, and the stage row goes: one entry, whatever the size
 *
 * So nothing is copied by the commit, and nobody can see a piece before it. The id of a stage is the revision of the command that
 * opened it, which is its generation too: unique in the shard for ever. Pieces are requests of a session like all others, so each counts
 * once; the commit names their number, the sum of their hashes and the length, and fails if it means another value than the one
 * that is there. A stage that nobody adds to for STAGE_TTL_US is collected (expiry.c). Its rows are the shard's, and move with it.
 *
 * Stage row: le64 client, last used (shard's time), pieces, sum of hashes, then a meta row's format without a tail. */
#include "base/mutant.h"
#include "kv/machine.h"

/* ---- what both sides compute ---- */

void kv_staged_encode(const struct kv_staged *s, uint8_t to[KV_STAGED_BYTES])
{
    struct buf b = {.data = to, .cap = KV_STAGED_BYTES}; /* never grows */
    buf_put_le64(&b, s->id);
    buf_put_le64(&b, s->pieces);
    buf_put_le64(&b, s->length);
    buf_put_le64(&b, s->hash);
}

bool kv_staged_decode(struct bytes in, struct kv_staged *ret_s)
{
    struct reader r = reader_of(in);
    struct kv_staged s;
    s.id = read_le64(&r);
    s.pieces = read_le64(&r);
    s.length = read_le64(&r);
    s.hash = read_le64(&r);
    if (!r.ok || r.rest.len)
        return false;
    *ret_s = s;
    return true;
}

uint64_t kv_piece_hash(const struct kv_request *piece)
{
    uint64_t hash = piece->flags & KV_TRUNCATE ? piece->length + 1 : 0;
    struct bytes data = piece->data;
    for (unsigned i = 0; i < piece->n_ranges; i++) {
        hash = hash64_seeded(bytes_first(data, piece->ranges[i].len), hash + piece->ranges[i].offset);
        data = bytes_from(data, piece->ranges[i].len);
    }
    return hash;
}

/* ---- the row ---- */

static bool stage_find(struct op *o, uint64_t id, struct stage_row *ret_s)
{
    struct rowkey key = row_stage(o->q->shard, id);
    if (!overlay_get(o->rows, rowkey_bytes(&key), &o->k->row))
        return false;
    if (stage_row_decode(buf_bytes(&o->k->row), ret_s))
        return true;
    o->rows->err = RGKV_DAMAGED;
    return false;
}

static bool stage_of_client(struct op *o, uint64_t id, struct stage_row *ret_s)
{
    return stage_find(o, id, ret_s) && ret_s->client == o->q->client;
}

static void stage_store(struct op *o, uint64_t id, const struct stage_row *s)
{
    struct rowkey key = row_stage(o->q->shard, id);
    stage_row_encode(s, overlay_put(o->rows, rowkey_bytes(&key), STAGE_BYTES));
}

static void stage_close(struct op *o, uint64_t id)
{
    struct rowkey key = row_stage(o->q->shard, id);
    overlay_delete(o->rows, rowkey_bytes(&key));
}

/* ---- requests ---- */

static enum rgkv_err stage_open(struct op *o)
{
    uint64_t now_us = kv_shard_time(o->k, o->shard);
    struct stage_row s = {.client = o->q->client, .last_us = now_us, .meta.generation = o->revision};
    s.meta.attr = (struct kv_attr){.type = KV_FILE, .version = o->revision, .base = o->revision};
    stage_store(o, o->revision, &s);
    expiry_stage(o->k, o->q->shard, now_us + STAGE_TTL_US, o->revision);
    o->attr = s.meta.attr;
    return RGKV_OK;
}

static enum rgkv_err stage_write(struct op *o)
{
    struct stage_row s;
    if (!stage_of_client(o, o->q->version, &s))
        return RGKV_STALE;
    struct value v = op_value(o, &s.meta);
    value_write_ranges(&v, o->q);
    s.meta.attr.version = o->revision;
    s.last_us = kv_shard_time(o->k, o->shard);
    s.pieces++;
    s.hash += kv_piece_hash(o->q);
    stage_store(o, o->q->version, &s);
    o->attr = s.meta.attr;
    return RGKV_OK;
}

/* Its rows go later, as those of a value that was replaced: at once would be a command of any size. */
static enum rgkv_err stage_drop(struct op *o)
{
    struct stage_row s;
    if (!stage_of_client(o, o->q->version, &s))
        return RGKV_OK;
    stage_close(o, o->q->version);
    expiry_value(o->k, o->q->shard, &s.meta);
    return RGKV_OK;
}

enum rgkv_err op_stage(struct op *o)
{
    switch (o->q->op) {
    case KV_STAGE_OPEN:
        return stage_open(o);
    case KV_STAGE_WRITE:
        return stage_write(o);
    default:
        return stage_drop(o);
    }
}

enum rgkv_err staged_find(struct op *o, struct stage_row *ret_s)
{
    struct kv_staged want;
    if (!kv_staged_decode(o->q->data, &want) || !stage_of_client(o, want.id, ret_s))
        return RGKV_STALE;
    bool same = ret_s->pieces == want.pieces && ret_s->hash == want.hash && ret_s->meta.attr.size <= want.length;
    return same || MUTANT(stage_unchecked) ? RGKV_OK : RGKV_STALE;
}

void staged_become(struct op *o, const struct stage_row *s, struct meta *m)
{
    struct kv_staged want;
    bool sound = kv_staged_decode(o->q->data, &want);
    ASSERT(sound); /* staged_find */
    m->generation = s->meta.generation;
    m->high = s->meta.high;
    m->tail_len = 0;
    m->attr.base = o->revision;
    m->attr.size = s->meta.attr.size;
    struct value v = op_value(o, m);
    if (want.length > m->attr.size)
        value_lengthen(&v, want.length);
    stage_close(o, want.id);
}

bool stage_expired(struct kv *k, uint32_t shard, uint64_t id, uint64_t *ret_due_us)
{
    struct rowkey key = row_stage(shard, id);
    struct stage_row s;
    *ret_due_us = 0;
    if (!overlay_get(&k->rows, rowkey_bytes(&key), &k->row))
        return false; /* it became a value */
    if (!stage_row_decode(buf_bytes(&k->row), &s)) {
        k->rows.err = RGKV_DAMAGED;
        return false;
    }
    if (s.last_us + STAGE_TTL_US > kv_shard_time(k, &k->shards[shard])) {
        *ret_due_us = s.last_us + STAGE_TTL_US;
        return false;
    }
    overlay_delete(&k->rows, rowkey_bytes(&key));
    return true;
}
