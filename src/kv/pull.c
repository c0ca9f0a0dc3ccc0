/* The holder's side of a move, question by question. Any member may answer any of them, also one that comes late or
 * twice: whoever asks says the round and the last row that it has. Which rows are in a round, and why that is all: copy.c.
 *
 * Format of a piece: per row le32 length and key, le32 length and value; ROW_GONE for a length: there is no such row. */
#include "base/mutant.h"
#include "kv/machine.h"

#define COPY_ROUNDS_CALM 16u   /* then it is not waited any longer for a better moment */
#define COPY_ROUNDS_MAX 32u    /* then the last difference is what it is */

/* ---- one row ---- */

struct piece {
    struct buf *out;
    size_t before, bytes_max;
};

/* False: it does not fit any more; the first one always does. */
static bool piece_add(struct piece *p, struct bytes key, const struct bytes *value)
{
    size_t have = p->out->len - p->before, row = 8 + key.len + (value ? value->len : 0);
    if (have && have + row > p->bytes_max)
        return false;
    buf_put_le32(p->out, (uint32_t)key.len);
    buf_put(p->out, key);
    buf_put_le32(p->out, value ? (uint32_t)value->len : ROW_GONE);
    if (value)
        buf_put(p->out, *value);
    return true;
}

/* ---- the rows of a round ---- */

static struct rowkey round_range(const struct kv_pull *q)
{
    return q->round ? row_changed(q->shard, q->round, BYTES_EMPTY) : row_shard_range(q->shard);
}

static struct rowkey round_from(const struct kv_pull *q)
{
    struct rowkey from = round_range(q);
    if (q->after.len == 0)
        return from;
    if (q->round)
        from = row_changed(q->shard, q->round, q->after);
    else
        memcpy(from.data, q->after.data, from.len = q->after.len);
    from.data[from.len++] = 0; /* the first key behind it */
    return from;
}

static bool add_changed(struct kv *k, struct piece *p, struct bytes changed)
{
    struct bytes key = bytes_from(changed, CHANGED_HEAD_BYTES);
    bool there = overlay_get(&k->rows, key, &k->row);
    struct bytes value = buf_bytes(&k->row);
    return piece_add(p, key, there ? &value : NULL);
}

/* Rows behind the cursor until bytes_max, at least one. True: there are no more. */
static bool rows_take(struct kv *k, const struct kv_pull *q, struct buf *out)
{
    struct piece p = {out, out->len, q->bytes_max};
    struct rowkey from = round_from(q), to = rowkey_end(round_range(q));
    struct scan s;
    bool fits = true;
    scan_open(&s, &k->rows, rowkey_bytes(&from), rowkey_bytes(&to));
    while (fits && scan_next(&s))
        fits = q->round ? add_changed(k, &p, s.key) : piece_add(&p, s.key, &s.value);
    scan_close(&s);
    return fits;
}

/* ---- may it be read ---- */

static bool cursor_sound(const struct kv_pull *q)
{
    struct rowkey range = row_shard_range(q->shard);
    return q->after.len == 0 || (q->after.len < ROW_KEY_BYTES_MAX && bytes_starts(q->after, rowkey_bytes(&range)));
}

static bool is_frozen(const struct shard *s, uint64_t epoch)
{
    bool never = MUTANT(pull_unfrozen) && s->state == KV_SERVING && s->copying.epoch == epoch;
    return (s->state == KV_FROZEN && s->epoch == epoch) || never;
}

/* Of a frozen shard one round more than there are: it says again that the one before was the last. */
static enum rgkv_err round_is_over(const struct shard *s, const struct kv_pull *q)
{
    const struct copying *g = &s->copying;
    if (q->round == 0)
        return RGKV_OK;
    if (q->round + 1 < g->round || q->round > g->round + 1)
        return RGKV_WRONG_GROUP;
    if (is_frozen(s, q->epoch))
        return g->summed ? RGKV_OK : RGKV_MOVING;
    return q->round < g->round ? RGKV_OK : RGKV_MOVING;
}

static enum rgkv_err may_pull(struct kv *k, const struct kv_pull *q)
{
    const struct shard *s = &k->shards[q->shard];
    if (!cursor_sound(q))
        return RGKV_INVALID;
    if (s->epoch > q->epoch)
        return RGKV_WRONG_GROUP;
    bool copied = s->state == KV_SERVING && s->copying.epoch == q->epoch;
    return copied || is_frozen(s, q->epoch) ? round_is_over(s, q) : RGKV_MOVING;
}

static struct kv_pulled totals(const struct kv *k, const struct shard *s)
{
    return (struct kv_pulled){.count = s->copying.count, .hash = s->copying.hash, .revision = s->revision,
                              .clock_us = kv_shard_time(k, s)};
}

enum rgkv_err kv_pull(struct kv *k, const struct kv_pull *q, struct buf *out, struct kv_pulled *ret_p)
{
    ASSERT(k->finished);
    if (q->shard >= k->nshards)
        return RGKV_INVALID;
    enum rgkv_err err = may_pull(k, q);
    if (err)
        return err;
    const struct shard *s = &k->shards[q->shard];
    bool last_round = is_frozen(s, q->epoch) && q->round >= s->copying.round;
    struct kv_pulled p = totals(k, s);
    size_t before = out->len;
    p.done = (last_round && MUTANT(last_difference_skipped)) || rows_take(k, q, out);
    p.last = p.done && last_round;
    err = kv_take_read_error(k);
    if (err) {
        out->len = before;
        return err;
    }
    *ret_p = p;
    return RGKV_OK;
}

/* ---- what comes next ---- */

static bool fits_one_piece(struct kv *k, const struct kv_pull *q)
{
    struct kv_pull all = {.shard = q->shard, .round = q->round, .bytes_max = q->bytes_max};
    buf_clear(&k->data);
    bool fits = rows_take(k, &all, &k->data);
    return fits && kv_take_read_error(k) == RGKV_OK;
}

/* The round under way is asked for: it ends, with the shard frozen if little is left. */
static struct kv_command round_end(struct kv *k, const struct kv_pull *q)
{
    struct kv_command c = {.kind = KV_COPY, .shard = q->shard, .epoch = q->epoch, .round = q->round + 1};
    bool calm = q->calm || q->round >= COPY_ROUNDS_CALM;
    if (q->round >= COPY_ROUNDS_MAX || (calm && fits_one_piece(k, q)))
        c = (struct kv_command){.kind = KV_FREEZE, .shard = q->shard, .epoch = q->epoch};
    return c;
}

bool kv_copy_next(struct kv *k, const struct kv_pull *q, struct kv_command *ret_c, uint64_t *ret_steps)
{
    const struct shard *s = &k->shards[q->shard];
    bool frozen = s->state == KV_FROZEN && s->epoch == q->epoch;
    bool serving = s->state == KV_SERVING && s->epoch < q->epoch && s->copying.epoch <= q->epoch;
    bool begins = serving && s->copying.epoch < q->epoch, next = serving && q->round == s->copying.round;
    bool sums = (frozen || serving) && !begins && !s->copying.summed;
    if (begins && (q->round || q->after.len))
        return false; /* what it has was not recorded here: never */
    if (begins) {
        *ret_c = (struct kv_command){.kind = KV_COPY, .shard = q->shard, .epoch = q->epoch, .round = 1};
        return true;
    }
    if (sums) {
        bool known = copy_sum(k, q->shard, ret_c);
        *ret_steps = copy_sum_steps(&k->shards[q->shard]);
        return known;
    }
    if (next && !MUTANT(pull_unfrozen))
        *ret_c = round_end(k, q);
    return next && !MUTANT(pull_unfrozen);
}
