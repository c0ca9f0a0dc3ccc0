/* One replica: raft, its log on disk and its machine, as one pipeline (drawn in internal.h).
 *
 * The row `applied` of the table: u64 index, u64 term, then the raft configuration in force at that index (P8, P23). */
#include "base/mutant.h"
#include "node/internal.h"

/* ---- the row `applied` ---- */

void applied_row_encode(struct buf *out, uint64_t index, uint64_t term, const struct raft_config *config)
{
    buf_put_le64(out, index);
    buf_put_le64(out, term);
    raft_config_encode(config, out);
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

/* ---- lifecycle ---- */

struct replica *replica_create(struct node *n, const struct manifest_replica *desc)
{
    struct replica *r = mem_zalloc(sizeof(*r));
    r->id = n->next_replica++;
    r->desc = *desc;
    n->replicas = mem_realloc(n->replicas, (n->n_replicas + 1) * sizeof(*n->replicas));
    n->replicas[n->n_replicas++] = r;
    return r;
}

static void batch_release(struct batch *b)
{
    wal_batch_release(&b->wal);
    buf_release(&b->frames);
    mem_free(b->held);
}

static void queue_clear(struct apply_queue *q)
{
    for (unsigned i = 0; i < q->n; i++)
        blob_unref(q->entries[i].payload);
    q->n = 0;
}

void replica_close_machine(struct replica *r)
{
    kv_free(r->kv);
    ctrl_free(r->ctrl);
    r->kv = NULL;
    r->ctrl = NULL;
}

void replica_drop_waiters(struct replica *r)
{
    r->waiters_head = r->waiters_n = 0;
}

void replica_free(struct replica *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < r->n_reads; i++)
        mem_free(r->reads[i].request);
    replica_close_machine(r);
    if (r->plan)
        ctrl_plan_free(r->plan);
    if (r->raft)
        raft_free(r->raft);
    batch_release(&r->batches[0]);
    batch_release(&r->batches[1]);
    buf_release(&r->applied_row);
    queue_clear(&r->to_apply);
    mem_free(r->to_apply.entries);
    mem_free(r->waiters);
    mem_free(r->reads);
    mem_free(r->nudges);
    mem_free(r->pulls);
    mem_free(r);
}

static void founding_config(const struct replica *r, struct raft_config *ret_c) { *ret_c = r->desc.founding; }

enum rgkv_err replica_open_machine(struct node *n, struct replica *r)
{
    buf_clear(&r->applied_row);
    enum rgkv_err err = kv_applied_row(r->table, &r->applied_row);
    if (err == RGKV_NOT_FOUND) {
        r->applied = r->applied_term = 0;
        founding_config(r, &r->applied_config);
        applied_row_encode(&r->applied_row, 0, 0, &r->applied_config);
    } else if (err || (err = applied_row_decode(buf_bytes(&r->applied_row), &r->applied, &r->applied_term, &r->applied_config))) {
        return err;
    }
    return r->desc.gid == 0 ? ctrl_open(r->table, &r->ctrl) : kv_open(r->table, r->desc.gid, r->desc.nshards, &r->kv);
}

static void refuse_replica(struct node *n, struct replica *r, const char *why)
{
    r->state = REPLICA_REFUSED;
    node_fail(n, "group %llu, member %llu: %s", (unsigned long long)r->desc.gid, (unsigned long long)r->desc.member, why);
}

/* A log that is gone took promises with it: such a member never votes again. It stays, silent, until the controller
 * has it deleted (P1). A blank one has promised nothing yet. */
static bool log_was_lost(struct node *n, struct replica *r, const struct wal_recovered *w)
{
    if (!w->created || r->desc.blank)
        return false;
    r->state = REPLICA_REFUSED;
    node_event(n, "group %llu: the log of member %llu is missing: it will not vote again, another member must take its place",
               (unsigned long long)r->desc.gid, (unsigned long long)r->desc.member);
    return true;
}

static bool log_fits_table(const struct replica *r, const struct wal_recovered *w)
{
    uint64_t last = w->compacted_index + w->n_entries;
    if (r->applied > last)
        return false;
    uint64_t term = r->applied == w->compacted_index ? w->compacted_term
                                                     : w->entries[r->applied - w->compacted_index - 1].term;
    return term == r->applied_term;
}

static void start_raft(struct node *n, struct replica *r, const struct wal_recovered *w)
{
    struct raft_restored restored = {
        .hard_state = w->hard_state, .compacted_index = w->compacted_index, .compacted_term = w->compacted_term,
        .config = r->applied_config, .applied = r->applied, .n_entries = w->n_entries, .entries = w->entries,
    };
    /* A table may be ahead of its own log: others had made the entries durable. Then the table is the truth (P23). */
    if (!log_fits_table(r, w)) {
        r->resetting = true;
        restored.compacted_index = r->applied;
        restored.compacted_term = r->applied_term;
        restored.n_entries = 0;
        out_effect(&n->out, &(struct node_effect){.kind = NODE_RESET_LOG, .replica = r->id,
                                                  .index = r->applied, .term = r->applied_term});
    }
    restored.hard_state.commit = MAX(restored.hard_state.commit, r->applied);
    restored.hard_state.term = MAX(restored.hard_state.term, r->applied_term);
    struct raft_options options = {
        .id = r->desc.member, .seed = prng_next(&n->prng), .election_us = n->options.election_us,
        .heartbeat_us = n->options.heartbeat_us, .now_us = n->now_us,
        .append_entries_max = n->options.append_entries_max,
    };
    r->raft = raft_new(&options, &restored);
    r->state = REPLICA_RUNNING;
    r->dirty = true;
}

/* From here on a missing log means a lost disk, never a new member (P1). */
static void not_blank(struct node *n, struct replica *r)
{
    r->desc.blank = false;
    for (unsigned k = 0; k < n->manifest.n_replicas; k++)
        if (n->manifest.replicas[k].member == r->desc.member && n->manifest.replicas[k].gid == r->desc.gid)
            n->manifest.replicas[k].blank = false;
    node_save_manifest(n);
}

static bool log_is_empty(const struct wal_recovered *w)
{
    return w->n_entries == 0 && w->compacted_index == 0 && w->hard_state.term == 0;
}

void replica_opened(struct node *n, struct replica *r, const struct node_input *i)
{
    if (i->err) {
        refuse_replica(n, r, i->why && i->why[0] ? i->why : rgkv_err_sentence(i->err));
        return;
    }
    const struct wal_recovered *w = i->recovered;
    r->table = i->table;
    r->disk_bytes = i->disk_bytes;
    if (log_was_lost(n, r, w))
        return;
    enum rgkv_err err = replica_open_machine(n, r);
    if (err) {
        refuse_replica(n, r, "its table cannot be read, it is damaged: see FAILURES in rgkvd(8)");
        return;
    }
    if (w->compacted_index > r->applied) {
        refuse_replica(n, r, "its table is older than its log begins, files are missing: see FAILURES in rgkvd(8)");
        return;
    }
    if (w->torn_bytes)
        node_event(n, "group %llu: cut %llu bytes of an unfinished write off the log", (unsigned long long)r->desc.gid,
                   (unsigned long long)w->torn_bytes);
    if (r->desc.blank)
        not_blank(n, r);
    /* A new member says nothing before that is durable: whoever voted is never taken for new again. */
    if (n->manifest_saving && log_is_empty(w)) {
        r->state = REPLICA_SAVING;
        return;
    }
    start_raft(n, r, w);
    poll_changed(n);
}

void replica_saved(struct node *n, struct replica *r)
{
    static const struct wal_recovered empty;
    if (r->state != REPLICA_SAVING)
        return;
    start_raft(n, r, &empty);
    poll_changed(n);
}

/* ---- who and where ---- */

const char *replica_member_addr(const struct node *n, const struct replica *r, uint64_t member)
{
    const struct ctrl_group *g = r->desc.gid ? ctrl_view_group(&n->view, r->desc.gid) : NULL;
    if (g && g->incarnation == r->desc.incarnation)
        for (unsigned i = 0; i < g->n; i++)
            if (g->members[i].id == member && g->members[i].addr[0])
                return g->members[i].addr;
    const struct raft_member *m = raft_config_member(raft_config(r->raft), member);
    return m && m->addr[0] ? m->addr : NULL;
}

const char *replica_leader_addr(const struct node *n, const struct replica *r, uint64_t *ret_member)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    if (ret_member)
        *ret_member = s.leader;
    const char *addr = s.leader ? replica_member_addr(n, r, s.leader) : NULL;
    return addr ? addr : "";
}

bool replica_is_leader(const struct replica *r) { return r->role == RAFT_LEADER; }

bool replica_leads(const struct node *n, const struct replica *r)
{
    struct raft_status s;
    if (!replica_is_leader(r))
        return false;
    raft_status(r->raft, &s);
    return raft_config_voters(raft_config(r->raft)) == 1 || s.lease_contact_us + n->options.election_us >= n->now_us;
}

uint64_t replica_time_us(const struct node *n, const struct replica *r)
{
    return r->time_base_us + (n->now_us - r->mono_base_us);
}

/* ---- into the core ---- */

enum rgkv_err replica_step(struct node *n, struct replica *r, struct raft_input *in)
{
    in->now_us = n->now_us;
    r->dirty = true;
    return raft_step(r->raft, in);
}

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
static void waiter_add(struct replica *r, struct waiter w)
{
    if (r->waiters_n == r->waiters_cap)
        waiters_grow(r);
    unsigned place = r->waiters_n++;
    for (; place > 0 && waiter_in(r, place - 1)->index > w.index; place--)
        *waiter_in(r, place) = *waiter_in(r, place - 1);
    *waiter_in(r, place) = w;
}

enum rgkv_err replica_propose(struct node *n, struct replica *r, struct blob *payload, uint64_t conn, uint64_t request_id)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    struct raft_input in = {.kind = RAFT_PROPOSED, .n_payloads = 1, .payloads = &payload};
    enum rgkv_err err = replica_step(n, r, &in);
    if (!err && conn)
        waiter_add(r, (struct waiter){s.last_index + 1, s.term, conn, request_id});
    blob_unref(payload);
    return err;
}

/* ---- out of the core: messages ---- */

static bool encode_message(struct node *n, struct replica *r, const struct raft_message *m, struct buf *to)
{
    struct msg wire = {
        .kind = MSG_RAFT, .cluster = n->manifest.cluster,
        .raft = {.envelope = {r->desc.gid, r->desc.incarnation, r->desc.member, m->to}, .message = *m},
    };
    msg_encode(&wire, to);
    return true;
}

static void send_now(struct node *n, struct replica *r, const struct raft_message *messages, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const char *addr = replica_member_addr(n, r, messages[i].to);
        if (addr)
            encode_message(n, r, &messages[i], out_to_addr(&n->out, addr));
    }
}

static void hold(struct node *n, struct replica *r, struct batch *b, const struct raft_message *m)
{
    const char *addr = replica_member_addr(n, r, m->to);
    if (!addr)
        return;
    if (b->n_held == b->held_cap) {
        b->held_cap = MAX(8u, b->held_cap * 2);
        b->held = mem_realloc(b->held, b->held_cap * sizeof(*b->held));
    }
    struct held_frame *h = &b->held[b->n_held++];
    memset(h, 0, sizeof(*h));
    strncpy(h->addr, addr, sizeof(h->addr) - 1);
    h->offset = b->frames.len;
    encode_message(n, r, m, &b->frames);
    h->len = b->frames.len - h->offset;
}

static void release_held(struct node *n, struct batch *b)
{
    for (unsigned i = 0; i < b->n_held; i++)
        buf_put(out_to_addr(&n->out, b->held[i].addr),
                bytes_of(b->frames.data + b->held[i].offset, b->held[i].len));
    b->n_held = 0;
    buf_clear(&b->frames);
}

/* ---- out of the core: the log's batches, one commit at a time ---- */

static struct batch *filling(struct replica *r) { return &r->batches[r->filling]; }
static struct batch *committing(struct replica *r) { return &r->batches[!r->filling]; }

bool replica_idle_on_disk(const struct replica *r)
{
    const struct batch *b = &r->batches[r->filling];
    return !r->committing && !b->wal.must_sync && b->n_held == 0; /* a moved commit index alone waits, maybe for ever */
}

static void commit_next(struct node *n, struct replica *r)
{
    struct batch *b = filling(r);
    if (MUTANT(held_at_once))
        release_held(n, b);
    if (r->committing)
        return;
    if (!b->wal.must_sync) {
        release_held(n, b); /* nothing in it needs the disk; a moved commit index is written with the next batch */
        return;
    }
    if (b->wal.bytes.len == 0) {
        release_held(n, b); /* what had to be durable first was an earlier batch, and it is */
        b->wal.must_sync = false;
        return;
    }
    r->committing = true;
    r->filling = !r->filling;
    struct batch *c = committing(r);
    struct node_effect e = {.kind = NODE_COMMIT, .replica = r->id, .batch = c->wal};
    /* The bytes are the outside's now; the numbers stay for RAFT_PERSISTED. */
    c->wal.bytes = (struct buf){0};
    out_effect(&n->out, &e);
}

static void persisted(struct node *n, struct replica *r, struct batch *b)
{
    release_held(n, b);
    uint64_t index = b->wal.last_index, term = b->wal.last_term;
    b->wal = (struct wal_batch){0};
    if (index == 0)
        return;
    struct raft_input in = {.kind = RAFT_PERSISTED, .log_index = index, .log_term = term};
    enum rgkv_err err = replica_step(n, r, &in);
    ASSERT(err == RGKV_OK);
}

static void give_leadership_away(struct node *n, struct replica *r)
{
    struct raft_input in = {.kind = RAFT_TRANSFER};
    enum rgkv_err err = replica_step(n, r, &in);
    (void)err; /* a follower, or alone: it goes on refusing writes */
}

void replica_committed(struct node *n, struct replica *r, const struct node_input *i)
{
    if (i->err == RGKV_NO_SPACE) {
        if (!r->disk_full)
            node_event(n, "group %llu: the disk is full: writes are refused until there is space",
                       (unsigned long long)r->desc.gid);
        r->disk_full = true;
        if (r->raft)
            give_leadership_away(n, r);
        return;
    }
    if (i->err) {
        node_fail(n, "group %llu: the log cannot be written: %s", (unsigned long long)r->desc.gid,
                  i->why ? i->why : rgkv_err_sentence(i->err));
        return;
    }
    ASSERT(r->committing);
    r->disk_full = false;
    r->committing = false;
    r->disk_bytes = i->disk_bytes;
    persisted(n, r, committing(r));
    commit_next(n, r);
    if (r->incoming)
        transfer_try_install(n, r);
}

/* ---- out of the core: committed entries ---- */

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

static enum rgkv_err apply_command(struct node *n, struct replica *r, const struct raft_entry *e, struct answer *a)
{
    enum rgkv_err err;
    arena_reset(&n->arena);
    if (r->kv) {
        struct kv_command c;
        err = kv_command_decode(blob_bytes(e->payload), &n->arena, &c);
        if (!err && c.kind != KV_REQUEST && c.kind != KV_CLOCK && replica_is_leader(r))
            poll_changed(n); /* a step of a move: the controller waits to hear of it */
        return err ? err : kv_apply(r->kv, &c, buf_bytes(&r->applied_row), &a->kv);
    }
    struct ctrl_command c;
    err = ctrl_command_decode(blob_bytes(e->payload), &n->arena, &c);
    return err ? err : ctrl_apply(r->ctrl, &c, &a->ctrl);
}

static enum rgkv_err apply_entry(struct node *n, struct replica *r, const struct raft_entry *e, struct answer *a)
{
    switch (e->kind) {
    case RAFT_NOOP: break;
    case RAFT_COMMAND: {
        enum rgkv_err err = apply_command(n, r, e, a);
        if (err)
            return err;
        break;
    }
    case RAFT_CONFIG: {
        enum rgkv_err err = raft_config_decode(blob_bytes(e->payload), &r->applied_config);
        if (err)
            return err;
        break;
    }
    }
    r->applied = e->index;
    r->applied_term = e->term;
    buf_clear(&r->applied_row);
    applied_row_encode(&r->applied_row, e->index + MUTANT(applied_ahead), e->term, &r->applied_config);
    return RGKV_OK;
}

static enum rgkv_err finish(struct replica *r)
{
    return r->kv ? kv_finish(r->kv, buf_bytes(&r->applied_row)) : ctrl_finish(r->ctrl, buf_bytes(&r->applied_row));
}

/* A run of entries is one write of the table; whoever waits is answered after it. */
static void apply_run(struct node *n, struct replica *r, const struct raft_entry *entries, unsigned count)
{
    struct answer *answers = mem_alloc(waiters_up_to(r, entries[count - 1].index) * sizeof(*answers));
    unsigned n_answers = 0;
    enum rgkv_err err = RGKV_OK;
    for (unsigned i = 0; i < count && !err; i++) {
        struct answer outcome = {0};
        err = apply_entry(n, r, &entries[i], &outcome);
        for (const struct waiter *w; (w = waiter_at(r, entries[i].index));) {
            outcome.waiter = *w;
            /* Another leader's entry stands where ours would be: ours can never be committed. */
            outcome.lost = w->term != entries[i].term && !MUTANT(answer_any_term);
            answers[n_answers++] = outcome;
        }
    }
    if (!err)
        err = finish(r);
    if (err)
        node_fail(n, "group %llu: the table cannot be written: %s", (unsigned long long)r->desc.gid, rgkv_err_sentence(err));
    for (unsigned i = 0; i < n_answers && !err; i++)
        tell(n, r, &answers[i]);
    mem_free(answers);
}

#define APPLY_RUN_MAX 512u

/* What is committed waits here until the effects of the collect are out: a follower's disk and the network work
 * while its table does. */
static void queue_committed(struct replica *r, const struct raft_ready *ready)
{
    struct apply_queue *q = &r->to_apply;
    if (q->n + ready->n_committed > q->cap) {
        q->cap = MAX(MAX(64u, q->cap * 2), q->n + ready->n_committed);
        q->entries = mem_realloc(q->entries, q->cap * sizeof(*q->entries));
    }
    for (unsigned i = 0; i < ready->n_committed; i++) {
        q->entries[q->n] = ready->committed[i];
        blob_ref(q->entries[q->n++].payload);
    }
}

static void apply_queued(struct node *n, struct replica *r)
{
    struct apply_queue *q = &r->to_apply;
    for (unsigned at = 0; at < q->n && !n->failed; at += APPLY_RUN_MAX)
        apply_run(n, r, q->entries + at, MIN(APPLY_RUN_MAX, q->n - at));
    queue_clear(q);
}

/* ---- compaction ---- */

#define FLUSH_RETRY_US 1000000u

static bool flush_due(const struct node *n, const struct replica *r, const struct raft_status *s)
{
    uint64_t bytes = (uint64_t)n->options.snapshot_bytes;
    return s->log_bytes > (s->role == RAFT_LEADER ? MAX(bytes, r->flush_at_bytes) : bytes) && n->now_us >= r->flush_not_before_us;
}

/* Rows are durable only after a flush; the index noted before it is what the log may forget (P23). */
static void maybe_flush(struct node *n, struct replica *r)
{
    struct raft_status s;
    if (r->flushing || n->options.snapshot_bytes < 0 || r->state != REPLICA_RUNNING)
        return;
    raft_status(r->raft, &s);
    if (!flush_due(n, r, &s) || r->applied < s.first_index || s.persisted < r->applied)
        return;
    r->flushing = true;
    r->flush_index = r->applied;
    r->flush_term = r->applied_term;
    out_effect(&n->out, &(struct node_effect){.kind = NODE_FLUSH, .replica = r->id});
}

/* Entries that a live follower still lacks are kept, within four times the bound: sending entries is cheaper than a table. */
static uint64_t compaction_index(const struct node *n, const struct replica *r, const struct raft_status *s)
{
    uint64_t index = MUTANT(flush_noted_after) ? MIN(r->applied, s->persisted) : r->flush_index;
    if (s->role != RAFT_LEADER || s->log_bytes > 4 * (uint64_t)n->options.snapshot_bytes)
        return index;
    const struct raft_config *c = raft_config(r->raft);
    for (unsigned i = 0; i < c->n; i++) {
        struct raft_peer_status peer;
        if (c->members[i].id != s->id && raft_peer_status(r->raft, c->members[i].id, &peer) && peer.recent)
            index = MIN(index, peer.match);
    }
    return index;
}

/* A follower that lacks entries keeps them here: not a flush after each other until it has them. */
static void flush_later(const struct node *n, struct replica *r)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    r->flush_at_bytes = s.log_bytes + (uint64_t)n->options.snapshot_bytes / 4;
}

static void compact(struct node *n, struct replica *r)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    uint64_t index = compaction_index(n, r, &s), term = raft_term_at(r->raft, index);
    if (index < s.first_index || term == 0)
        return;
    struct raft_input in = {.kind = RAFT_COMPACTED, .log_index = index, .log_term = term};
    if (replica_step(n, r, &in) == RGKV_OK)
        out_effect(&n->out, &(struct node_effect){.kind = NODE_COMPACT, .replica = r->id, .index = index, .term = term});
}

void replica_flushed(struct node *n, struct replica *r, enum rgkv_err err)
{
    r->flushing = false;
    if (err) {
        r->flush_not_before_us = n->now_us + FLUSH_RETRY_US;
        node_event(n, "group %llu: the table cannot be flushed: %s", (unsigned long long)r->desc.gid, rgkv_err_sentence(err));
        return;
    }
    if (r->state != REPLICA_RUNNING)
        return;
    compact(n, r);
    flush_later(n, r);
}

/* ---- the ready ---- */

static void role_changed(struct node *n, struct replica *r)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    bool led = r->role == RAFT_LEADER, leads = s.role == RAFT_LEADER;
    bool again = led && leads && r->role_term != s.term;
    r->role = s.role;
    r->role_term = s.term;
    if (leads && (!led || again)) {
        r->time_base_us = r->kv ? kv_time_us(r->kv) : ctrl_time_us(r->ctrl);
        r->mono_base_us = n->now_us;
        node_event(n, "group %llu: member %llu leads in term %llu", (unsigned long long)r->desc.gid,
                   (unsigned long long)r->desc.member, (unsigned long long)s.term);
    }
    if (led && !leads)
        serve_drop_reads(n, r, true);
    if (r->ctrl)
        admin_role_changed(n, r);
    poll_changed(n);
}

static void take_append(struct replica *r, const struct raft_ready *ready)
{
    if (!ready->n_append && !ready->hard_state_changed)
        return;
    wal_batch_add(&filling(r)->wal, ready->append, ready->n_append,
                  ready->hard_state_changed ? &ready->hard_state : NULL, ready->must_sync);
}

void replica_collect(struct node *n, struct replica *r)
{
    struct raft_ready ready;
    r->dirty = false;
    raft_collect(r->raft, &ready);
    r->snapshot_accepted = ready.snapshot_accepted;
    send_now(n, r, ready.messages, ready.n_messages);
    take_append(r, &ready);
    for (unsigned i = 0; i < ready.n_messages_after_sync; i++)
        hold(n, r, filling(r), &ready.messages_after_sync[i]);
    queue_committed(r, &ready);
    for (unsigned i = 0; i < ready.n_reads; i++)
        serve_read_result(n, r, &ready.reads[i]);
    uint64_t peers[MEMBERS_MAX];
    unsigned n_peers = ready.n_snapshot_peers;
    ASSERT(n_peers <= MEMBERS_MAX);
    memcpy(peers, ready.snapshot_peers, n_peers * sizeof(*peers));
    /* Nothing of the ready is used from here on: the steps below end it. */
    if (ready.role_changed)
        role_changed(n, r);
    commit_next(n, r);
    serve_reads(n, r);
    for (unsigned i = 0; i < n_peers; i++)
        transfer_start(n, r, peers[i]);
    maybe_flush(n, r);
}

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
    else
        moves_tick(n, r);
    if (r->incoming)
        transfer_try_install(n, r);
}
