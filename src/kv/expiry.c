/* What goes by logged time: rows of values that were replaced, once nobody may be pinned to them, and sessions that
 * nobody used. What is due is collected by KV_CLOCK, a bounded amount per command; a queue row stays until its work
 * is done, so nothing is forgotten by a crash or a move. */
#include "kv/cold.h"
#include "kv/machine.h"

#define BUDGET 256u                /* of one command, some milliseconds if its rows come from a disk; what is left is the next one's */
#define BUDGET_BYTES 1024u         /* of a row cost as much as another row */
#define GENERATION_ROWS_SINGLY 64u /* more, as far as is known before they are read or when they are, are deleted as one range: a range costs every later read of its neighbours a little */

static void queue_add(struct kv *k, uint32_t shard, const struct queue_item *i)
{
    struct shard *s = &k->shards[shard];
    struct rowkey key = row_queue(shard, i);
    overlay_put(&k->rows, rowkey_bytes(&key), 0);
    s->due_us = MIN(s->due_us, i->due_us);
}

static uint64_t old_version_due(const struct kv *k, uint32_t shard)
{
    return kv_shard_time(k, &k->shards[shard]) + OLD_VERSION_TTL_US;
}

void expiry_session(struct kv *k, uint32_t shard, uint64_t due_us, uint64_t client)
{
    queue_add(k, shard, &(struct queue_item){.due_us = due_us, .kind = QUEUE_SESSION, .generation = client});
}

void expiry_value(struct kv *k, uint32_t shard, const struct meta *m)
{
    queue_add(k, shard, &(struct queue_item){.due_us = old_version_due(k, shard), .kind = value_is_one_put(m) ? QUEUE_VALUE : QUEUE_GENERATION,
                                             .generation = m->generation, .chunk = m->high});
}

void expiry_chunk(struct kv *k, uint32_t shard, uint64_t generation, uint32_t chunk, uint64_t revision)
{
    queue_add(k, shard, &(struct queue_item){.due_us = old_version_due(k, shard), .kind = QUEUE_CHUNK,
                                             .generation = generation, .chunk = chunk, .revision = revision});
}

void expiry_cut(struct kv *k, uint32_t shard, uint64_t generation, uint32_t chunk, uint64_t revision)
{
    queue_add(k, shard, &(struct queue_item){.due_us = old_version_due(k, shard), .kind = QUEUE_CUT,
                                             .generation = generation, .chunk = chunk, .revision = revision});
}

void expiry_stage(struct kv *k, uint32_t shard, uint64_t due_us, uint64_t generation)
{
    queue_add(k, shard, &(struct queue_item){.due_us = due_us, .kind = QUEUE_STAGE, .generation = generation});
}

void expiry_history(struct kv *k, uint32_t shard, struct bytes key, uint64_t version)
{
    queue_add(k, shard, &(struct queue_item){.due_us = old_version_due(k, shard), .kind = QUEUE_HISTORY,
                                             .generation = version, .key = key});
}

static bool is_large(const struct queue_item *i) { return i->chunk > GENERATION_ROWS_SINGLY; }

/* One run: how much may still be done. */
struct collector {
    struct kv *k;
    uint32_t shard;
    unsigned budget;
};

static bool spend(struct collector *c, struct bytes value)
{
    if (c->budget == 0)
        return false;
    c->budget -= MIN(c->budget, 1 + (unsigned)(value.len / BUDGET_BYTES));
    return true;
}

/* Deletes older rows from *chunk on, up to the first chunk that begins with a row that stays (*ret_more). False: the
 * budget ended. *chunk becomes where to go on. */
static bool collect_until_newer(struct collector *c, const struct queue_item *i, struct bytes to, uint32_t *chunk, bool *ret_more)
{
    struct rowkey from = row_data(c->shard, i->generation, *chunk, i->revision - 1);
    struct scan s;
    struct data_id id;
    bool may = true, newer = false;
    scan_open(&s, &c->k->rows, rowkey_bytes(&from), to);
    while (may && !newer && scan_next(&s) && row_data_id(s.key, &id)) {
        may = spend(c, s.value);
        newer = id.revision >= i->revision;
        *chunk = id.chunk;
        if (may && !newer)
            overlay_delete(&c->k->rows, s.key);
    }
    scan_close(&s);
    *ret_more = newer;
    return may;
}

/* Rows older than the item's revision in [chunk, end_chunk). Newer ones, of which there may be many, are jumped over. False: the
 * budget ended; *ret_chunk is where to go on. */
static bool collect_older(struct collector *c, const struct queue_item *i, uint64_t end_chunk, uint32_t *ret_chunk)
{
    struct rowkey to = row_data(c->shard, i->generation, end_chunk, UINT64_MAX);
    bool may = true, more = true;
    *ret_chunk = i->chunk;
    while (may && more)
        may = collect_until_newer(c, i, rowkey_bytes(&to), ret_chunk, &more);
    return may;
}

static void collect_range(struct collector *c, const struct queue_item *i)
{
    struct rowkey from = row_generation(c->shard, i->generation), to = rowkey_end(from);
    overlay_delete_range(&c->k->rows, rowkey_bytes(&from), rowkey_bytes(&to));
    trim_note(c->k, c->shard, GENERATION_ROWS_SINGLY * VALUE_CHUNK_BYTES);
}

/* A generation is begun with what is left and then ended: it has few rows, or goes as a range. */
static void collect_generation(struct collector *c, const struct queue_item *i)
{
    struct rowkey from = row_generation(c->shard, i->generation), to = rowkey_end(from);
    struct scan s;
    unsigned n = 0;
    if (is_large(i)) {
        collect_range(c, i);
        return;
    }
    scan_open(&s, &c->k->rows, rowkey_bytes(&from), rowkey_bytes(&to));
    while (n < GENERATION_ROWS_SINGLY && scan_next(&s)) {
        overlay_delete(&c->k->rows, s.key);
        spend(c, s.value);
        n++;
    }
    bool large = scan_next(&s);
    scan_close(&s);
    if (large)
        collect_range(c, i);
}

static void collect_value(struct collector *c, const struct queue_item *i)
{
    for (uint32_t chunk = 0; chunk < i->chunk; chunk++) {
        struct rowkey key = row_data(c->shard, i->generation, chunk, i->generation);
        overlay_delete(&c->k->rows, rowkey_bytes(&key));
        spend(c, BYTES_EMPTY);
    }
}

static void collect_history(struct collector *c, const struct queue_item *i)
{
    struct rowkey key = row_history(c->shard, i->key, i->generation);
    overlay_delete(&c->k->rows, rowkey_bytes(&key));
}

static void collect_session(struct collector *c, const struct queue_item *i)
{
    uint64_t due;
    if (!dedup_expire(c->k, c->shard, i->generation, &due))
        expiry_session(c->k, c->shard, due, i->generation);
}

static void collect_stage(struct collector *c, const struct queue_item *i)
{
    uint64_t due;
    if (stage_expired(c->k, c->shard, i->generation, &due))
        collect_generation(c, &(struct queue_item){.generation = i->generation});
    else if (due)
        expiry_stage(c->k, c->shard, due, i->generation);
}

/* What is left when the budget ends is queued again, from where it ended. */
static void collect_rows(struct collector *c, struct queue_item i)
{
    uint64_t end = i.kind == QUEUE_CHUNK ? (uint64_t)i.chunk + 1 : (uint64_t)UINT32_MAX + 1;
    uint32_t chunk;
    if (collect_older(c, &i, end, &chunk))
        return;
    i.chunk = chunk;
    queue_add(c->k, c->shard, &i);
}

static void collect(struct collector *c, const struct queue_item *i)
{
    switch (i->kind) {
    case QUEUE_CHUNK:
    case QUEUE_CUT:
        collect_rows(c, *i);
        break;
    case QUEUE_GENERATION:
        collect_generation(c, i);
        break;
    case QUEUE_VALUE:
        collect_value(c, i);
        break;
    case QUEUE_HISTORY:
        collect_history(c, i);
        break;
    case QUEUE_SESSION:
        collect_session(c, i);
        break;
    case QUEUE_STAGE:
        collect_stage(c, i);
        break;
    }
}

/* Nothing is due before from_us. */
static void find_due_from(struct kv *k, uint32_t shard, uint64_t from_us, struct scan *s)
{
    struct rowkey from = row_queue_at(shard, from_us), to = row_queue_at(shard, UINT64_MAX);
    struct queue_item i;
    k->shards[shard].due_us = UINT64_MAX;
    scan_seek(s, rowkey_bytes(&from), rowkey_bytes(&to));
    if (scan_next(s) && row_queue_item(s->key, &i))
        k->shards[shard].due_us = i.due_us;
}

static void collect_shard(struct collector *c)
{
    uint64_t now_us = kv_shard_time(c->k, &c->k->shards[c->shard]);
    /* Not from the beginning: what was collected before lies there as deletions, and a table walks over them one by one. */
    uint64_t from_us = c->k->shards[c->shard].due_us;
    struct rowkey from = row_queue_at(c->shard, from_us), to = row_queue_at(c->shard, now_us + 1), end = row_queue_at(c->shard, UINT64_MAX);
    struct scan s;
    struct queue_item i;
    scan_open(&s, &c->k->rows, rowkey_bytes(&from), rowkey_bytes(&end));
    scan_seek(&s, rowkey_bytes(&from), rowkey_bytes(&to));
    while (c->budget && scan_next(&s)) {
        if (!row_queue_item(s.key, &i)) {
            c->k->rows.err = RGKV_DAMAGED;
            break;
        }
        spend(c, s.value);
        overlay_delete(&c->k->rows, s.key);
        collect(c, &i);
    }
    find_due_from(c->k, c->shard, from_us, &s);
    scan_close(&s);
}

void expiry_find_due(struct kv *k, uint32_t shard, struct scan *s) { find_due_from(k, shard, 0, s); }

/* ---- beforehand ---- */

static void look_session(struct kv *k, uint32_t shard, uint64_t client)
{
    dedup_look(k, &(struct kv_request){.shard = shard, .client = client});
}

static void look_stage(struct kv *k, uint32_t shard, uint64_t generation)
{
    struct rowkey row = row_stage(shard, generation);
    overlay_get(&k->rows, rowkey_bytes(&row), &k->row);
}

/* Rows that are read before they go. To look for each of them first would take as long as to collect them: they are named. */
static void look_rows(struct kv *k, uint32_t shard, const struct queue_item *i)
{
    struct rowkey from = row_generation(shard, i->generation), to = rowkey_end(from);
    if (i->kind == QUEUE_CHUNK || i->kind == QUEUE_CUT)
        from = row_data(shard, i->generation, i->chunk, UINT64_MAX);
    if (i->kind == QUEUE_CHUNK)
        to = row_data(shard, i->generation, (uint64_t)i->chunk + 1, UINT64_MAX);
    k->rows.missed = true;
    cold_add(k->rows.cold, rowkey_bytes(&from), rowkey_bytes(&to));
}

static void look_item(struct kv *k, uint32_t shard, const struct queue_item *i, bool values)
{
    switch (i->kind) {
    case QUEUE_STAGE:
        look_stage(k, shard, i->generation);
        /* fall through */
    case QUEUE_CHUNK:
    case QUEUE_CUT:
    case QUEUE_GENERATION:
        if (values && !(i->kind == QUEUE_GENERATION && is_large(i))) /* that goes as a range, unread */
            look_rows(k, shard, i);
        break;
    case QUEUE_SESSION:
        look_session(k, shard, i->generation);
        break;
    case QUEUE_HISTORY:
    case QUEUE_VALUE:
        break; /* they go unread */
    }
}

/* And the first that is not due: how long nothing is to be done is seen by it. */
static void look_shard(struct kv *k, uint32_t shard, uint64_t now_us, unsigned *budget, bool values)
{
    struct rowkey from = row_queue_at(shard, k->shards[shard].due_us), to = row_queue_at(shard, UINT64_MAX);
    struct scan s;
    struct queue_item i;
    bool due = true;
    scan_open(&s, &k->rows, rowkey_bytes(&from), rowkey_bytes(&to));
    while (due && *budget && scan_next(&s) && row_queue_item(s.key, &i)) {
        due = i.due_us <= now_us;
        if (due)
            look_item(k, shard, &i, values);
        --*budget;
    }
    scan_close(&s);
}

void expiry_look(struct kv *k, uint64_t time_us, bool values)
{
    unsigned budget = BUDGET / 2; /* each costs two at least: its own row and what it speaks of */
    time_us = MAX(time_us, k->time_us);
    for (uint32_t i = 0; i < k->nshards && budget; i++) {
        const struct shard *s = &k->shards[i];
        if (s->state == KV_SERVING && !s->copying.epoch && time_us + s->offset_us >= s->due_us)
            look_shard(k, i, time_us + s->offset_us, &budget, values);
    }
}

/* ---- when it is time ---- */

/* Only serving shards: a frozen one's clock stands (P9). And not while one is copied: what goes then would have to go at the
 * destination, too, and can go there as well later. */
void expiry_run(struct kv *k)
{
    struct collector c = {.k = k, .budget = BUDGET};
    for (c.shard = 0; c.shard < k->nshards && c.budget; c.shard++) {
        const struct shard *s = &k->shards[c.shard];
        if (s->state == KV_SERVING && !s->copying.epoch && kv_shard_time(k, s) >= s->due_us)
            collect_shard(&c);
    }
}
