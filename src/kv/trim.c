/* Rows that went as a range are out of reach at once, but the disk has them back only when it is told to look: a shard that
 * was dropped, or a large value. Which shards that may be is only remembered until the next start; then all that
 * hold nothing are looked at once. */
#include "kv/machine.h"

#define LITTER_BYTES (1u << 20)       /* known to have gone */
#define TRIM_SLACK_BYTES (256u << 10) /* on disk without being known of */

void trim_note(struct kv *k, uint32_t shard, uint64_t bytes)
{
    k->shards[shard].littered = true;
    k->shards[shard].litter_bytes += bytes;
}

/* As much garbage as rows: then writing the rows once more is worth it. */
static bool worth_it(struct kv *k, uint32_t shard, struct bytes from, struct bytes to)
{
    const struct shard *s = &k->shards[shard];
    uint64_t live = s->state == KV_NONE ? 0 : s->bytes;
    if (s->litter_bytes > LITTER_BYTES + live)
        return true;
    return k->rows.table->ops->range_bytes(k->rows.table, from, to) > TRIM_SLACK_BYTES + 2 * live;
}

bool kv_trim_next(struct kv *k, struct buf *ret_from, struct buf *ret_to)
{
    for (; k->trim_at < k->nshards; k->trim_at++) {
        struct shard *s = &k->shards[k->trim_at];
        struct rowkey from = row_shard_range(k->trim_at), to = rowkey_end(from);
        if (!s->littered || s->state == KV_IMPORTING || s->state == KV_PREPARED)
            continue;
        s->littered = worth_it(k, k->trim_at, rowkey_bytes(&from), rowkey_bytes(&to));
        s->litter_bytes = 0;
        if (!s->littered)
            continue;
        k->trim_at++;
        buf_put(ret_from, rowkey_bytes(&from));
        buf_put(ret_to, rowkey_bytes(&to));
        return true;
    }
    k->trim_at = 0;
    return false;
}
