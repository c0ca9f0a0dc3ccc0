/* The holder's side of a move: a frozen shard's rows, piece by piece, and the totals that the destination compares.
 *
 * Format of a piece: per row le32 length and key, le32 length and value.
 *
 * Whoever asks gives the key of the last row that it has, so any member may answer any question, also one that comes late or
 * twice. The totals need every row once: they are carried along while the questions come in order, and counted again from
 * the first row if they did not (another member answered the beginning). */
#include "base/mutant.h"
#include "kv/machine.h"

static struct bytes rows_from(struct rowkey *k, uint32_t shard, struct bytes after)
{
    *k = row_shard_range(shard);
    if (after.len == 0)
        return rowkey_bytes(k);
    memcpy(k->data, after.data, after.len);
    k->data[after.len] = 0; /* the first key behind it */
    k->len = after.len + 1;
    return rowkey_bytes(k);
}

static bool cursor_sound(uint32_t shard, struct bytes after)
{
    struct rowkey range = row_shard_range(shard);
    return after.len == 0 || (after.len < sizeof(range.data) && bytes_starts(after, rowkey_bytes(&range)));
}

static void totals_begin(struct pull_totals *t, uint64_t epoch)
{
    buf_clear(&t->cursor);
    t->epoch = epoch;
    t->done = false;
    t->count = t->hash = 0;
}

static void totals_add(struct pull_totals *t, struct bytes key, struct bytes value)
{
    t->count++;
    t->hash = shard_row_hash(t->hash, key, value);
    buf_clear(&t->cursor);
    buf_put(&t->cursor, key);
}

static size_t row_bytes(const struct scan *s) { return 8 + s->key.len + s->value.len; }

static void row_write(struct buf *out, const struct scan *s)
{
    buf_put_le32(out, (uint32_t)s->key.len);
    buf_put(out, s->key);
    buf_put_le32(out, (uint32_t)s->value.len);
    buf_put(out, s->value);
}

/* Rows behind the cursor until bytes_max, at least one. True: there are no more. Totals go on if they stand here. */
static bool rows_take(struct kv *k, uint32_t shard, struct bytes after, size_t bytes_max, struct buf *out)
{
    struct pull_totals *t = &k->shards[shard].totals;
    bool follow = !t->done && bytes_eq(buf_bytes(&t->cursor), after), end = true;
    struct rowkey from, to = rowkey_end(row_shard_range(shard));
    struct scan s;
    size_t before = out->len;
    scan_open(&s, &k->finished, rows_from(&from, shard, after), rowkey_bytes(&to));
    while (scan_next(&s)) {
        end = out->len == before || out->len - before + row_bytes(&s) <= bytes_max;
        if (!end)
            break;
        row_write(out, &s);
        if (follow)
            totals_add(t, s.key, s.value);
    }
    scan_close(&s);
    t->done = t->done || (follow && end);
    return end;
}

static void totals_from_rows(struct kv *k, uint32_t shard)
{
    struct pull_totals *t = &k->shards[shard].totals;
    struct rowkey from = row_shard_range(shard), to = rowkey_end(from);
    struct scan s;
    totals_begin(t, t->epoch);
    scan_open(&s, &k->finished, rowkey_bytes(&from), rowkey_bytes(&to));
    while (scan_next(&s))
        totals_add(t, s.key, s.value);
    scan_close(&s);
    t->done = true;
}

static enum rgkv_err may_pull(struct kv *k, uint32_t shard, uint64_t epoch, struct bytes after)
{
    const struct shard *s = kv_finished_shard(k, shard);
    if (!cursor_sound(shard, after))
        return RGKV_INVALID;
    if (s->epoch > epoch)
        return RGKV_WRONG_GROUP;
    if (MUTANT(pull_unfrozen) && s->state == KV_SERVING)
        return RGKV_OK;
    return s->state == KV_FROZEN && s->epoch == epoch ? RGKV_OK : RGKV_MOVING;
}

enum rgkv_err kv_pull(struct kv *k, uint32_t shard, uint64_t epoch, struct bytes after, size_t bytes_max, struct buf *out,
                      struct kv_pulled *ret_p)
{
    if (shard >= k->nshards)
        return RGKV_INVALID;
    enum rgkv_err err = may_pull(k, shard, epoch, after);
    if (err)
        return err;
    const struct shard *frozen = kv_finished_shard(k, shard);
    struct kv_pulled p = {.revision = frozen->revision, .clock_us = frozen->clock_us};
    struct pull_totals *t = &k->shards[shard].totals;
    size_t before = out->len;
    if (t->epoch != epoch || (after.len == 0 && !t->done))
        totals_begin(t, epoch);
    p.done = rows_take(k, shard, after, bytes_max, out);
    if (p.done && !t->done)
        totals_from_rows(k, shard);
    p.count = t->count;
    p.hash = t->hash;
    err = kv_take_read_error(k);
    if (err) {
        out->len = before;
        totals_begin(t, 0);
        return err;
    }
    *ret_p = p;
    return RGKV_OK;
}
