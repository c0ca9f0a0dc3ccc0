/* A shard is copied while it is served (P16): copy first, freeze last.
 *
 *     KV_COPY e, round 1     from here on each row that changes leaves a row `changed` of round 1
 *       destination          reads all rows, as each is when it is read: round 0
 *     KV_COPY e, round 2     changes are recorded in round 2; round 1 is over and what it names is read: again as it is now
 *       …                    each round is shorter than the one before, until one fits into a single piece and the
 *                            one before took little time (else nobody knows how long the next thing takes):
 *     KV_FREEZE e            the round under way is the last; nothing changes any more
 *       destination          reads it, compares totals, is prepared
 *
 * Why that is enough: a row that differs at the destination from what it is here changed after it was read, so a round
 * that is still to be read names it. When the shard is frozen and the last round was read there is no such round. No
 * snapshot is needed for that, and nothing of it is only in memory: any leader, here or there, goes on where the last one was.
 * Round r and what it names stay until r + 2 begins.
 *
 * What is recorded is found where rows are saved and not where rows are changed, so no operation can forget it.
 * Nothing is collected meanwhile (expiry.c): so no range of rows ever goes.
 *
 * Totals: count and sum of hashes over all rows. A change subtracts what the row was and adds what it is now, so what is
 * needed besides is the sum at any one moment: the leader counts a snapshot of the table in pieces, takes off what had changed
 * until then, and logs the rest (KV_COPY_SUM). A freeze without a copy before it begins one: then all is read while frozen. */
#include "base/mutant.h"
#include "kv/machine.h"

#define SUM_BYTES_PER_CALL (1u << 20)

/* ---- the record ---- */

static void changed_forget(struct kv *k, struct rowkey range)
{
    struct rowkey to = rowkey_end(range);
    overlay_delete_range(&k->rows, rowkey_bytes(&range), rowkey_bytes(&to));
}

void copy_end(struct kv *k, uint32_t shard)
{
    struct shard *s = &k->shards[shard];
    if (!s->copying.epoch)
        return;
    changed_forget(k, row_changed(shard, 0, BYTES_EMPTY));
    copy_scan_free(k, s);
    s->copying = (struct copying){0};
    k->n_copying--;
    kv_shard_changed(k, shard);
}

void copy_begin(struct kv *k, uint32_t shard, uint64_t epoch)
{
    copy_end(k, shard);
    k->shards[shard].copying = (struct copying){.epoch = epoch, .round = 1};
    k->n_copying++;
    kv_shard_changed(k, shard);
}

static enum rgkv_err next_round(struct kv *k, const struct kv_command *c)
{
    struct copying *g = &k->shards[c->shard].copying;
    if (c->epoch != g->epoch || c->round != g->round + 1)
        return RGKV_STALE;
    if (g->round > 1)
        changed_forget(k, row_changed(c->shard, g->round - 1, BYTES_EMPTY));
    g->round++;
    kv_shard_changed(k, c->shard);
    return RGKV_OK;
}

static enum rgkv_err summed(struct kv *k, const struct kv_command *c)
{
    struct shard *s = &k->shards[c->shard];
    if (c->epoch != s->copying.epoch || s->copying.summed)
        return RGKV_STALE;
    s->copying.summed = true;
    s->copying.count += c->count;
    s->copying.hash += c->hash;
    copy_scan_free(k, s);
    kv_shard_changed(k, c->shard);
    return RGKV_OK;
}

enum rgkv_err copy_command(struct kv *k, const struct kv_command *c)
{
    struct shard *s = &k->shards[c->shard];
    if (c->kind == KV_COPY_SUM)
        return summed(k, c);
    if (s->state != KV_SERVING || c->epoch <= s->epoch || c->epoch < s->copying.epoch)
        return RGKV_STALE;
    if (c->epoch == s->copying.epoch || c->round != 1)
        return next_round(k, c);
    copy_begin(k, c->shard, c->epoch);
    return RGKV_OK;
}

uint64_t copy_row_hash(struct bytes key, struct bytes value) { return hash64_seeded(value, hash64(key)); }

static void record_row(struct kv *k, uint32_t shard, const struct overlay_row *r)
{
    struct copying *g = &k->shards[shard].copying;
    struct rowkey changed = row_changed(shard, g->round, r->key);
    if (overlay_below(&k->rows, r->key, &k->row)) {
        g->count--;
        g->hash -= copy_row_hash(r->key, buf_bytes(&k->row));
    }
    if (r->value) {
        g->count++;
        g->hash += copy_row_hash(r->key, bytes_of(r->value, r->len));
    }
    if (!MUTANT(change_unrecorded) && (r->value || !MUTANT(deletion_unrecorded)))
        overlay_put(&k->rows, rowkey_bytes(&changed), 0);
}

/* The rows that this adds sort behind those of every shard, so they move none that is still to be looked at. */
static void record_shard(struct kv *k, uint32_t shard)
{
    struct rowkey range = row_shard_range(shard);
    const struct overlay_layer *changed = &k->rows.top;
    unsigned i = overlay_place(changed, rowkey_bytes(&range));
    for (; i < changed->n_rows && bytes_starts(changed->rows[i]->key, rowkey_bytes(&range)); i++) {
        struct overlay_row row = *changed->rows[i];
        record_row(k, shard, &row);
        kv_shard_changed(k, shard);
    }
}

void copy_record(struct kv *k)
{
    for (uint32_t s = 0; k->n_copying && s < k->nshards; s++) {
        struct copying *g = &k->shards[s].copying;
        g->saved_count = g->count;
        g->saved_hash = g->hash;
        if (g->epoch)
            record_shard(k, s);
    }
}

/* The names stay: the next save records the same rows once more. */
void copy_unrecord(struct kv *k)
{
    for (uint32_t s = 0; k->n_copying && s < k->nshards; s++) {
        struct copying *g = &k->shards[s].copying;
        g->count = g->saved_count;
        g->hash = g->saved_hash;
    }
}

/* ---- the sum ---- */

struct copy_scan {
    struct table_snapshot *snapshot;
    struct table_iter *iter;
    uint64_t epoch, count, hash;
    uint64_t steps;
    bool done;
};

void copy_scan_free(struct kv *k, struct shard *s)
{
    if (!s->scan)
        return;
    k->rows.table->ops->iter_free(s->scan->iter);
    table_snapshot_free(k->rows.table, s->scan->snapshot);
    mem_free(s->scan);
    s->scan = NULL;
}

void copy_release(struct kv *k)
{
    for (uint32_t s = 0; s < k->nshards; s++)
        copy_scan_free(k, &k->shards[s]);
}

/* `g` is the copy as of the table: what changed until this snapshot. */
static void scan_begin(struct kv *k, uint32_t shard, const struct copying *g)
{
    struct rowkey from = row_shard_range(shard), to = rowkey_end(from);
    struct copy_scan *scan = mem_zalloc(sizeof(*scan));
    *scan = (struct copy_scan){.epoch = g->epoch, .count = -g->count, .hash = -g->hash};
    scan->snapshot = table_snapshot(k->rows.table);
    scan->iter = table_iter(k->rows.table, scan->snapshot, rowkey_bytes(&from), rowkey_bytes(&to));
    k->shards[shard].scan = scan;
}

static void scan_piece(struct kv *k, struct copy_scan *scan)
{
    const struct table_ops *ops = k->rows.table->ops;
    for (size_t bytes = 0; !scan->done && bytes < SUM_BYTES_PER_CALL;) {
        scan->done = !ops->iter_next(scan->iter);
        if (scan->done)
            return;
        struct bytes key = ops->iter_key(scan->iter), value = ops->iter_value(scan->iter);
        scan->count++;
        scan->hash += copy_row_hash(key, value);
        scan->steps++;
        bytes += key.len + value.len;
    }
}

bool copy_sum(struct kv *k, uint32_t shard, struct kv_command *ret_c)
{
    struct copying g = k->shards[shard].copying;
    struct shard *s = &k->shards[shard];
    if (s->scan && s->scan->epoch != g.epoch)
        copy_scan_free(k, s);
    if (!s->scan)
        scan_begin(k, shard, &g);
    scan_piece(k, s->scan);
    if (!s->scan->done)
        return false;
    if (k->rows.table->ops->iter_error(s->scan->iter)) {
        copy_scan_free(k, s); /* and once more from the beginning */
        return false;
    }
    *ret_c = (struct kv_command){.kind = KV_COPY_SUM, .shard = shard, .epoch = g.epoch, .count = s->scan->count, .hash = s->scan->hash};
    return true;
}

uint64_t copy_sum_steps(const struct shard *s) { return s->scan ? s->scan->steps : 0; }
