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

static bool may_be_trimmed(const struct shard *s) { return s->state != KV_IMPORTING && s->state != KV_PREPARED; }

/* What goes from here on belongs to the next round: it is not gone from the table when this one looks there. */
bool kv_trim_begin(struct kv *k)
{
    bool any = false;
    k->trim_at = 0;
    for (uint32_t i = 0; i < k->nshards; i++) {
        struct shard *s = &k->shards[i];
        s->trims = s->littered && may_be_trimmed(s);
        if (!s->trims)
            continue;
        s->trim_bytes = s->litter_bytes;
        s->litter_bytes = 0;
        s->littered = false;
        any = true;
    }
    return any;
}

/* As much garbage as rows: then writing the rows once more is worth it. What the disk has of it is asked there. */
static uint64_t worth_it_beyond(const struct shard *s)
{
    uint64_t live = s->state == KV_NONE ? 0 : s->bytes;
    return s->trim_bytes > LITTER_BYTES + live ? 0 : TRIM_SLACK_BYTES + 2 * live;
}

bool kv_trim_next(struct kv *k, struct kv_trim *ret_t)
{
    while (k->trim_at < k->nshards && !k->shards[k->trim_at].trims)
        k->trim_at++;
    if (k->trim_at == k->nshards)
        return false;
    uint32_t shard = k->trim_at++;
    struct rowkey from = row_shard_range(shard), to = rowkey_end(from);
    *ret_t = (struct kv_trim){.shard = shard, .more_than = worth_it_beyond(&k->shards[shard])};
    buf_put(&ret_t->from, rowkey_bytes(&from));
    buf_put(&ret_t->to, rowkey_bytes(&to));
    return true;
}

void kv_trimmed(struct kv *k, uint32_t shard, bool took_more, bool done)
{
    struct shard *s = &k->shards[shard];
    s->trims = false;
    s->littered |= took_more || !done;
    if (!done)
        s->litter_bytes += s->trim_bytes;
}
