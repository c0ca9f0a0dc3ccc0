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

static bool may_be_trimmed(const struct shard *s) { return s->littered && s->state != KV_IMPORTING && s->state != KV_PREPARED; }

bool kv_littered(const struct kv *k)
{
    for (uint32_t i = 0; i < k->nshards; i++)
        if (may_be_trimmed(&k->shards[i]))
            return true;
    return false;
}

/* As much garbage as rows: then writing the rows once more is worth it. What the disk has of it is asked there. */
static uint64_t worth_it_beyond(const struct shard *s)
{
    uint64_t live = s->state == KV_NONE ? 0 : s->bytes;
    return s->litter_bytes > LITTER_BYTES + live ? 0 : TRIM_SLACK_BYTES + 2 * live;
}

bool kv_trim_next(struct kv *k, struct kv_trim *ret_t)
{
    while (k->trim_at < k->nshards && !may_be_trimmed(&k->shards[k->trim_at]))
        k->trim_at++;
    if (k->trim_at == k->nshards) {
        k->trim_at = 0;
        return false;
    }
    uint32_t shard = k->trim_at++;
    struct rowkey from = row_shard_range(shard), to = rowkey_end(from);
    *ret_t = (struct kv_trim){.shard = shard, .more_than = worth_it_beyond(&k->shards[shard])};
    buf_put(&ret_t->from, rowkey_bytes(&from));
    buf_put(&ret_t->to, rowkey_bytes(&to));
    k->shards[shard].litter_bytes = 0;
    k->shards[shard].littered = false;
    return true;
}

/* More may have gone meanwhile. */
void kv_trimmed(struct kv *k, uint32_t shard, bool took_more) { k->shards[shard].littered |= took_more; }
