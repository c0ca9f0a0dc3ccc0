/* Exactly once (P5, P12, P28): who asked what, and what was answered.
 *
 * A request is looked at in this order:
 *
 *     its result is kept                        → the same answer again, nothing is executed
 *     its number is below the session's floor   → SESSION_OLD: its client gave it up
 *     neither since ≤ born nor born + TTL > now → SESSION_EXPIRED: it may have been executed in a session that went
 *     number ≥ floor + window                   → BUSY, nothing is recorded
 *     else it is executed and its outcome, an error too, is recorded
 *
 * `since ≤ born`: the session is at least as old as the request, so it would know. `born + TTL > now`: a session that
 * had known it, used at or after `born`, could not have expired yet. */
#include "base/mutant.h"
#include "kv/machine.h"

#define SESSIONS_CACHED_MAX 8192u

static struct session *session_cached(const struct kv *k, uint32_t shard, uint64_t client)
{
    struct session_id id = {client, shard};
    struct session *s;
    HASH_FIND(hh, k->sessions, &id, sizeof(id), s);
    return s;
}

static struct session *session_add(struct kv *k, uint32_t shard, uint64_t client)
{
    struct session *s = mem_zalloc(sizeof(*s));
    s->id = (struct session_id){client, shard};
    HASH_ADD(hh, k->sessions, id, sizeof(s->id), s);
    return s;
}

static void session_remove(struct kv *k, struct session *s)
{
    HASH_DELETE(hh, k->sessions, s);
    mem_free(s->row.results);
    mem_free(s);
}

/* From the cache, or from its row; NULL: there is none. A row that is not readable is the disk's damage. */
static struct session *session_of(struct kv *k, uint32_t shard, uint64_t client)
{
    struct session *s = session_cached(k, shard, client);
    if (s)
        return s;
    struct rowkey key = row_session(shard, client);
    if (!overlay_get(&k->rows, rowkey_bytes(&key), &k->row))
        return NULL;
    s = session_add(k, shard, client);
    if (!session_row_decode(buf_bytes(&k->row), &s->row))
        k->rows.err = RGKV_DAMAGED;
    return s;
}

void dedup_look(struct kv *k, const struct kv_request *q)
{
    struct rowkey key = row_session(q->shard, q->client);
    if (!session_cached(k, q->shard, q->client))
        overlay_get(&k->rows, rowkey_bytes(&key), &k->row);
}

static void session_changed(struct kv *k, struct session *s)
{
    if (s->dirty)
        return;
    s->dirty = true;
    if (k->n_dirty_sessions == k->dirty_sessions_room) {
        k->dirty_sessions_room = MAX(k->dirty_sessions_room * 2, 64);
        k->dirty_sessions = mem_realloc(k->dirty_sessions, k->dirty_sessions_room * sizeof(*k->dirty_sessions));
    }
    k->dirty_sessions[k->n_dirty_sessions++] = s;
}

/* Index of the first result at or above seq. */
static uint32_t result_at(const struct session_row *r, uint64_t seq)
{
    uint32_t at = r->n;
    while (at > 0 && r->results[at - 1].seq >= seq)
        at--;
    return at;
}

static void results_forget_below(struct session_row *r, uint64_t floor)
{
    uint32_t gone = result_at(r, floor);
    if (gone && r->n > gone)
        memmove(r->results, r->results + gone, (r->n - gone) * sizeof(*r->results));
    r->n -= gone;
}

static void result_insert(struct session_row *r, const struct session_result *result)
{
    if (r->n == r->cap) {
        r->cap = MAX(r->cap * 2, 4);
        r->results = mem_realloc(r->results, r->cap * sizeof(*r->results));
    }
    uint32_t at = result_at(r, result->seq);
    ASSERT(at == r->n || r->results[at].seq != result->seq);
    if (at < r->n)
        memmove(r->results + at + 1, r->results + at, (r->n - at) * sizeof(*r->results));
    r->results[at] = *result;
    r->n++;
}

static void session_use(struct kv *k, struct session *s, const struct kv_request *q)
{
    s->row.last_us = kv_shard_time(k, &k->shards[q->shard]);
    s->row.floor = MAX(s->row.floor, q->floor);
    results_forget_below(&s->row, s->row.floor);
    session_changed(k, s);
}

static bool born_recently(const struct kv_request *q, uint64_t now_us)
{
    return now_us < q->born_us || now_us - q->born_us < SESSION_TTL_US;
}

static enum rgkv_err admit_new(const struct kv *k, const struct session *s, const struct kv_request *q)
{
    const struct shard *shard = &k->shards[q->shard];
    if (s && q->seq < s->row.floor && !MUTANT(below_floor))
        return RGKV_SESSION_OLD;
    bool known = s && s->row.since_us <= q->born_us;
    if (!known && !born_recently(q, kv_shard_time(k, shard)))
        return RGKV_SESSION_EXPIRED;
    uint64_t floor = MAX(q->floor, s ? s->row.floor : 0);
    if (q->seq - floor >= SESSION_WINDOW && !MUTANT(below_floor))
        return RGKV_BUSY;
    return !s && shard->sessions >= SESSIONS_PER_SHARD_MAX ? RGKV_BUSY : RGKV_OK;
}

uint64_t dedup_floor(struct kv *k, const struct kv_request *q)
{
    const struct session *s = session_of(k, q->shard, q->client);
    return MAX(q->floor, s ? s->row.floor : 0);
}

static bool result_kept(const struct session *s, uint64_t seq, struct session_result *ret_done)
{
    uint32_t at = s ? result_at(&s->row, seq) : 0;
    if (!s || at == s->row.n || s->row.results[at].seq != seq || MUTANT(dedup_off))
        return false;
    *ret_done = s->row.results[at];
    return true;
}

enum rgkv_err dedup_admit(struct kv *k, const struct kv_request *q, struct session_result *ret_done)
{
    struct session *s = session_of(k, q->shard, q->client);
    if (!result_kept(s, q->seq, ret_done))
        return admit_new(k, s, q);
    session_use(k, s, q);
    return RGKV_OK;
}

static struct session *session_begin(struct kv *k, const struct kv_request *q)
{
    struct shard *shard = &k->shards[q->shard];
    struct session *s = session_add(k, q->shard, q->client);
    s->row.since_us = kv_shard_time(k, shard);
    shard->sessions++;
    kv_shard_changed(k, q->shard);
    expiry_session(k, q->shard, s->row.since_us + SESSION_TTL_US, q->client);
    return s;
}

void dedup_record(struct kv *k, const struct kv_request *q, enum rgkv_err err, const struct kv_attr *a)
{
    struct session *s = session_of(k, q->shard, q->client);
    if (!s)
        s = session_begin(k, q);
    session_use(k, s, q);
    struct session_result result = {q->seq, err, a->version, a->size, a->ino};
    result_insert(&s->row, &result);
    if (MUTANT(results_evicted))
        results_forget_below(&s->row, q->seq);
}

/* Its client may have given it up: then nobody will ask. */
void dedup_record_late(struct kv *k, const struct kv_request *q, enum rgkv_err err)
{
    struct session *s = session_of(k, q->shard, q->client);
    const struct kv_attr none = {0};
    if (!s || q->seq >= s->row.floor)
        dedup_record(k, q, err, &none);
}

static void session_forget(struct kv *k, struct session *s)
{
    for (unsigned i = 0; s->dirty && i < k->n_dirty_sessions; i++)
        if (k->dirty_sessions[i] == s)
            k->dirty_sessions[i] = NULL;
    session_remove(k, s);
}

bool dedup_expire(struct kv *k, uint32_t shard, uint64_t client, uint64_t *ret_due_us)
{
    struct session *s = session_of(k, shard, client);
    if (!s)
        return true;
    uint64_t due = s->row.last_us + SESSION_TTL_US;
    if (due > kv_shard_time(k, &k->shards[shard])) {
        *ret_due_us = due;
        return false;
    }
    struct rowkey key = row_session(shard, client);
    overlay_delete(&k->rows, rowkey_bytes(&key));
    k->shards[shard].sessions--;
    kv_shard_changed(k, shard);
    session_forget(k, s);
    return true;
}

static void session_write(struct kv *k, struct session *s)
{
    struct rowkey key = row_session((uint32_t)s->id.shard, s->id.client);
    session_row_encode(&s->row, overlay_put(&k->rows, rowkey_bytes(&key), session_row_size(&s->row)));
    s->dirty = false;
}

void dedup_write(struct kv *k)
{
    for (unsigned i = 0; i < k->n_dirty_sessions; i++)
        if (k->dirty_sessions[i] && !MUTANT(dedup_in_memory))
            session_write(k, k->dirty_sessions[i]);
    k->n_dirty_sessions = 0;
}

/* Oldest in the cache first: who is busy comes back with one read. All of them are rows now. */
void dedup_trim(struct kv *k)
{
    unsigned n = HASH_COUNT(k->sessions);
    if (n <= SESSIONS_CACHED_MAX)
        return;
    struct session *s, *next;
    HASH_ITER(hh, k->sessions, s, next) {
        if (n-- <= SESSIONS_CACHED_MAX / 2)
            return;
        ASSERT(!s->dirty || MUTANT(dedup_in_memory));
        session_remove(k, s);
    }
}

void dedup_forget_shard(struct kv *k, uint32_t shard)
{
    struct session *s, *next;
    HASH_ITER(hh, k->sessions, s, next)
        if (s->id.shard == shard)
            session_forget(k, s);
}

void dedup_release(struct kv *k)
{
    struct session *s, *next;
    HASH_ITER(hh, k->sessions, s, next)
        session_remove(k, s);
    mem_free(k->dirty_sessions);
}

enum rgkv_err dedup_may_propose(const struct kv *k, const struct kv_request *q)
{
    const struct session *s = session_cached(k, q->shard, q->client);
    uint64_t floor = MAX(q->floor, s ? s->row.floor : 0);
    return q->seq >= floor && q->seq - floor >= SESSION_WINDOW ? RGKV_BUSY : RGKV_OK;
}
