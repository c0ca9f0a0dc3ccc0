/* Committed entries into the machine, a run of them at a time, and the answers to those who waited.
 *
 * The row `applied` of the table: u64 index, u64 term, then the raft configuration in force at that index (P8, P23). */
#include <endian.h>

#include "base/mutant.h"
#include "node/internal.h"

/* ---- the row `applied` ---- */

void applied_row_encode(struct buf *out, uint64_t index, uint64_t term, const struct raft_config *config)
{
    buf_put_le64(out, index);
    buf_put_le64(out, term);
    raft_config_encode(config, out);
}

/* Every entry moves it; the configuration, all the rest of the row, is only encoded when there is a new one. */
static void applied_row_move(struct buf *row, uint64_t index, uint64_t term)
{
    const uint64_t head[] = {htole64(index), htole64(term)};
    ASSERT(row->len > sizeof(head));
    memcpy(row->data, head, sizeof(head));
}

enum rgkv_err applied_row_decode(struct bytes row, uint64_t *ret_index, uint64_t *ret_term, struct raft_config *ret_config)
{
    struct reader r = reader_of(row);
    uint64_t index = read_le64(&r), term = read_le64(&r);
    if (!r.ok)
        return RGKV_DAMAGED;
    enum rgkv_err err = raft_config_decode(r.rest, ret_config);
    if (err)
        return err;
    *ret_index = index;
    *ret_term = term;
    return RGKV_OK;
}

uint64_t node_applied_in(struct table *t)
{
    struct buf row = {0};
    struct raft_config config;
    uint64_t index = 0, term;
    enum rgkv_err err = kv_applied_row(t, &row);
    if (!err)
        err = applied_row_decode(buf_bytes(&row), &index, &term, &config);
    buf_release(&row);
    return err ? 0 : index;
}

enum rgkv_err replica_open_machine(const struct node *n, struct replica *r, struct kv *opened)
{
    r->kv = opened;
    buf_clear(&r->applied_row);
    enum rgkv_err err = kv_applied_row(r->table, &r->applied_row);
    if (err == RGKV_NOT_FOUND) {
        r->applied = r->applied_term = 0;
        r->applied_config = r->desc.founding;
        applied_row_encode(&r->applied_row, 0, 0, &r->applied_config);
    } else if (err || (err = applied_row_decode(buf_bytes(&r->applied_row), &r->applied, &r->applied_term, &r->applied_config))) {
        return err;
    }
    err = RGKV_OK;
    if (r->desc.gid == 0)
        err = ctrl_open(r->table, &r->ctrl);
    else if (!opened)
        err = kv_open(r->table, r->desc.gid, r->desc.nshards, &r->kv);
    if (r->kv)
        kv_full_at(r->kv, n->options.save_bytes);
    return err;
}

/* ---- who waits ---- */

static void waiters_grow(struct replica *r)
{
    unsigned cap = MAX(64u, r->waiters_cap * 2);
    struct waiter *ring = mem_alloc(cap * sizeof(*ring));
    for (unsigned i = 0; i < r->waiters_n; i++)
        ring[i] = r->waiters[(r->waiters_head + i) % r->waiters_cap];
    mem_free(r->waiters);
    r->waiters = ring;
    r->waiters_cap = cap;
    r->waiters_head = 0;
}

static struct waiter *waiter_in(struct replica *r, unsigned place) { return &r->waiters[(r->waiters_head + place) % r->waiters_cap]; }

/* Who leads again after its entries were truncated has waiters of then at the same indexes and beyond. */
void apply_wait(struct replica *r, struct waiter w)
{
    if (r->waiters_n == r->waiters_cap)
        waiters_grow(r);
    unsigned place = r->waiters_n++;
    for (; place > 0 && waiter_in(r, place - 1)->index > w.index; place--)
        *waiter_in(r, place) = *waiter_in(r, place - 1);
    *waiter_in(r, place) = w;
}

static struct waiter *waiter_at(struct replica *r, uint64_t index)
{
    while (r->waiters_n) {
        struct waiter *w = &r->waiters[r->waiters_head];
        if (w->index > index)
            return NULL;
        r->waiters_head = (r->waiters_head + 1) % r->waiters_cap;
        r->waiters_n--;
        if (w->index == index)
            return w;
    }
    return NULL;
}

static unsigned waiters_up_to(struct replica *r, uint64_t index)
{
    unsigned n = 0;
    while (n < r->waiters_n && waiter_in(r, n)->index <= index)
        n++;
    return n;
}

/* ---- entries ---- */

struct answer {                /* an outcome that may be told once the batch is in the table */
    struct waiter waiter;
    bool lost;
    union {
        struct kv_result kv;
        struct ctrl_result ctrl;
    };
};

static void tell(struct node *n, struct replica *r, const struct answer *a)
{
    if (r->kv && a->lost)
        serve_kv_lost(n, r, &a->waiter);
    else if (r->kv)
        serve_kv_applied(n, r, &a->waiter, &a->kv);
    else if (a->lost)
        admin_lost(n, r, &a->waiter);
    else
        admin_applied(n, r, &a->waiter, &a->ctrl);
}

bool apply_must_go_on(const struct replica *r) { return r->to_apply.bytes >= APPLY_QUEUE_BYTES_MAX; }

/* PENDING: what it needs must be read or saved first; it is not applied. `behind`: how many come after it. *ret_long: it may have taken as long as
 * hundreds of others. */
static enum rgkv_err apply_command(struct node *n, struct replica *r, const struct raft_entry *e, unsigned behind, struct answer *a, bool *ret_long)
{
    enum rgkv_err err;
    arena_reset(&n->arena);
    if (r->kv) {
        struct kv_command c;
        err = kv_command_decode(blob_bytes(e->payload), &n->arena, &c);
        if (!err && !apply_must_go_on(r) && warm_entry(n, r, &c, e, behind))
            return MUTANT(entry_passed_over) ? RGKV_OK : RGKV_PENDING;
        r->entry_waits_for_save = !err && kv_waits(r->kv, &c);
        if (r->entry_waits_for_save)
            return RGKV_PENDING;
        *ret_long = !err && c.kind == KV_CLOCK;
        if (!err && moves_step(&c) && replica_is_leader(r))
            poll_changed(n); /* the controller waits to hear of it */
        return err ? err : kv_apply(r->kv, &c, buf_bytes(&r->applied_row), &a->kv);
    }
    struct ctrl_command c;
    err = ctrl_command_decode(blob_bytes(e->payload), &n->arena, &c);
    return err ? err : ctrl_apply(r->ctrl, &c, &a->ctrl);
}

static enum rgkv_err apply_entry(struct node *n, struct replica *r, const struct raft_entry *e, unsigned behind, struct answer *a, bool *ret_long)
{
    switch (e->kind) {
    case RAFT_NOOP: break;
    case RAFT_COMMAND: {
        enum rgkv_err err = apply_command(n, r, e, behind, a, ret_long);
        if (err)
            return err;
        break;
    }
    case RAFT_CONFIG: {
        enum rgkv_err err = raft_config_decode(blob_bytes(e->payload), &r->applied_config);
        if (err)
            return err;
        buf_clear(&r->applied_row);
        applied_row_encode(&r->applied_row, e->index, e->term, &r->applied_config);
        if (replica_is_leader(r))
            poll_changed(n); /* the controller waits to hear of it */
        break;
    }
    }
    r->applied = e->index;
    r->applied_term = e->term;
    applied_row_move(&r->applied_row, e->index + MUTANT(applied_ahead), e->term);
    return RGKV_OK;
}

static enum rgkv_err finish(struct replica *r)
{
    return r->kv ? kv_finish(r->kv, buf_bytes(&r->applied_row)) : ctrl_finish(r->ctrl, buf_bytes(&r->applied_row));
}

/* Whoever waits for an entry of the run is answered after its end. Returns how many were applied: less than all when the table
 * is full, the next one must wait (its rows are to be read first, or what was applied to be saved), one took long (the loop looks at the clock), or the node has failed. `behind`: how many more come after the run. */
static unsigned apply_run(struct node *n, struct replica *r, const struct raft_entry *entries, unsigned count, unsigned behind)
{
    struct answer *answers = mem_alloc(waiters_up_to(r, entries[count - 1].index) * sizeof(*answers));
    unsigned n_answers = 0, done = 0;
    enum rgkv_err err = RGKV_OK;
    bool took_long = false;
    for (unsigned i = 0; i < count && !took_long; i++) {
        struct answer outcome = {0};
        err = apply_entry(n, r, &entries[i], count - i - 1 + behind, &outcome, &took_long);
        if (err)
            break;
        done++;
        for (const struct waiter *w; (w = waiter_at(r, entries[i].index));) {
            outcome.waiter = *w;
            /* Another leader's entry stands where ours would be: ours can never be committed. */
            outcome.lost = w->term != entries[i].term && !MUTANT(answer_any_term);
            answers[n_answers++] = outcome;
        }
    }
    r->apply_held = err == RGKV_NO_SPACE;
    if (!err || err == RGKV_PENDING || r->apply_held)
        err = finish(r);
    if (err)
        save_failed(n, r, err);
    for (unsigned i = 0; i < n_answers && !n->failed; i++)
        tell(n, r, &answers[i]);
    mem_free(answers);
    return done;
}

#define APPLY_RUN_MAX 64u /* of rows that nobody read lately each may cost a millisecond of disk */

static void queue_room(struct apply_queue *q, unsigned n)
{
    if (q->head + q->n + n > q->cap && q->head) {
        memmove(q->entries, q->entries + q->head, q->n * sizeof(*q->entries));
        q->head = 0;
    }
    if (q->n + n > q->cap) {
        q->cap = MAX(MAX(64u, q->cap * 2), q->n + n);
        q->entries = mem_realloc(q->entries, q->cap * sizeof(*q->entries));
    }
}

static void queue_drop(struct apply_queue *q, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        q->bytes -= blob_bytes(q->entries[q->head + i].payload).len;
        blob_unref(q->entries[q->head + i].payload);
    }
    q->head += n;
    q->n -= n;
    if (q->n == 0)
        q->head = 0;
}

/* What is committed waits here until the effects of the collect are out: a follower's disk and the network work
 * while its table does. */
void apply_queue(struct replica *r, const struct raft_ready *ready)
{
    struct apply_queue *q = &r->to_apply;
    queue_room(q, ready->n_committed);
    for (unsigned i = 0; i < ready->n_committed; i++) {
        struct raft_entry *e = &q->entries[q->head + q->n++];
        *e = ready->committed[i];
        q->bytes += blob_bytes(e->payload).len;
        blob_ref(e->payload);
    }
}

/* How many entries one turn takes: after a restart there may be the whole log, and nobody would hear of this node meanwhile. */
static unsigned turn_length(const struct apply_queue *q, uint64_t bytes_max)
{
    uint64_t bytes = 0;
    unsigned n = 0;
    while (n < MIN(q->n, APPLY_RUN_MAX) && (n == 0 || bytes < bytes_max))
        bytes += blob_bytes(q->entries[q->head + n++].payload).len;
    return n;
}

static void apply_queued(struct node *n, struct replica *r)
{
    struct apply_queue *q = &r->to_apply;
    unsigned count = turn_length(q, n->options.chunk_bytes ? n->options.chunk_bytes : APPLY_BYTES_MAX);
    if (count)
        queue_drop(q, apply_run(n, r, q->entries + q->head, count, q->n - count));
}

/* Nobody stands still for a table whose disk is behind: heartbeats go out, votes and reads are answered. */
static bool has_room(const struct replica *r)
{
    if (r->kv && !kv_saves_runs(r->kv))
        return !kv_full(r->kv);
    return apply_must_go_on(r) || !table_waits(r->table);
}

static bool entry_waits(const struct replica *r) { return r->entry_waits_for_save || (r->entry_waits && !apply_must_go_on(r)); }

static bool could_apply(const struct replica *r) { return r->state == REPLICA_RUNNING && r->to_apply.n && !r->apply_held && !entry_waits(r); }
bool apply_ready(const struct replica *r) { return could_apply(r) && has_room(r); }
bool apply_overflows(const struct replica *r) { return r->to_apply.bytes >= 2 * APPLY_QUEUE_BYTES_MAX; }
bool apply_is_held_up(const struct replica *r) { return could_apply(r) && !has_room(r); }
uint64_t apply_deadline_us(const struct node *n, const struct replica *r) { return could_apply(r) ? n->now_us + TABLE_AGAIN_US : UINT64_MAX; }

void replica_apply(struct node *n, struct replica *r)
{
    apply_queued(n, r);
    if (n->failed)
        return;
    struct raft_input in = {.kind = RAFT_APPLIED, .log_index = r->applied};
    enum rgkv_err err = replica_step(n, r, &in);
    ASSERT(err == RGKV_OK);
    serve_reads(n, r);
    if (r->ctrl)
        admin_view_changed(n, r);
    else {
        moves_tick(n, r);
        intents_tick(n, r);
    }
    if (r->incoming)
        install_try(n, r);
}

void replica_drop_waiters(struct replica *r)
{
    r->waiters_head = r->waiters_n = 0;
}

void apply_release(struct replica *r)
{
    buf_release(&r->applied_row);
    queue_drop(&r->to_apply, r->to_apply.n);
    mem_free(r->to_apply.entries);
    mem_free(r->waiters);
    warm_release(r);
}
