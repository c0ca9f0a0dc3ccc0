/* The log's batches: what a turn of the core wrote is one batch, committed one at a time while the next one fills behind it.
 * A message that promises something is held with the batch that makes it durable. */
#include "base/mutant.h"
#include "node/internal.h"

/* ---- messages ---- */

static void encode_message(struct node *n, struct replica *r, const struct raft_message *m, struct buf *to)
{
    struct msg wire = {
        .kind = MSG_RAFT, .cluster = n->manifest.cluster,
        .raft = {.envelope = {r->desc.gid, r->desc.incarnation, r->desc.member, m->to}, .message = *m},
    };
    msg_encode(&wire, to);
}

void pipeline_send(struct node *n, struct replica *r, const struct raft_message *messages, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct buf *to = replica_out_to(n, r, messages[i].to);
        if (to)
            encode_message(n, r, &messages[i], to);
    }
}

/* A newer one of its kind takes the place of an older one, as if that had been lost: a disk may hang for hours, and every answer and
 * question of that time would wait for it. */
static bool replaces_older(struct batch *b, const struct raft_message *m, struct bytes frame)
{
    for (unsigned i = 0; i < b->n_held; i++) {
        const struct held_frame *h = &b->held[i];
        if (h->member != m->to || h->kind != m->kind || h->len != frame.len)
            continue;
        memcpy(b->frames.data + h->offset, frame.data, frame.len);
        return true;
    }
    return false;
}

static void hold(struct node *n, struct replica *r, struct batch *b, const struct raft_message *m)
{
    size_t at = b->frames.len;
    encode_message(n, r, m, &b->frames);
    size_t len = b->frames.len - at;
    if (replaces_older(b, m, bytes_of(b->frames.data + at, len))) {
        b->frames.len = at;
        return;
    }
    if (b->n_held == b->held_cap) {
        b->held_cap = MAX(8u, b->held_cap * 2);
        b->held = mem_realloc(b->held, b->held_cap * sizeof(*b->held));
    }
    b->held[b->n_held++] = (struct held_frame){.member = m->to, .kind = m->kind, .offset = at, .len = len};
}

static void release_held(struct node *n, struct replica *r, struct batch *b)
{
    for (unsigned i = 0; i < b->n_held; i++) {
        struct buf *to = replica_out_to(n, r, b->held[i].member);
        if (to)
            buf_put(to, bytes_of(b->frames.data + b->held[i].offset, b->held[i].len));
    }
    b->n_held = 0;
    buf_clear(&b->frames);
}

/* ---- batches ---- */

static struct batch *filling(struct replica *r) { return &r->batches[r->filling]; }
static struct batch *committing(struct replica *r) { return &r->batches[!r->filling]; }

bool replica_idle_on_disk(const struct replica *r)
{
    const struct batch *b = &r->batches[r->filling];
    return !r->committing && !b->wal.must_sync && b->n_held == 0; /* a moved commit index alone waits, maybe for ever */
}

static void take_append(struct replica *r, const struct raft_ready *ready)
{
    if (!ready->n_append && !ready->hard_state_changed)
        return;
    wal_batch_add(&filling(r)->wal, ready->append, ready->n_append,
                  ready->hard_state_changed ? &ready->hard_state : NULL, ready->must_sync);
}

void pipeline_take(struct node *n, struct replica *r, const struct raft_ready *ready)
{
    take_append(r, ready);
    for (unsigned i = 0; i < ready->n_messages_after_sync; i++)
        hold(n, r, filling(r), &ready->messages_after_sync[i]);
}

void pipeline_commit(struct node *n, struct replica *r)
{
    struct batch *b = filling(r);
    if (MUTANT(held_at_once))
        release_held(n, r, b);
    if (r->committing)
        return; /* what is held may promise what that batch makes durable, with nothing to write itself */
    if (!b->wal.must_sync) {
        release_held(n, r, b); /* every earlier batch is durable, and this one holds at most a moved commit index: that is written with the next */
        return;
    }
    r->committing = true;
    r->committing_us = n->now_us;
    r->filling = !r->filling;
    struct batch *c = committing(r);
    struct node_effect e = {.kind = NODE_COMMIT, .replica = r->id, .batch = c->wal};
    /* The entries are the outside's now; the numbers stay for RAFT_PERSISTED. */
    c->wal.entries = NULL;
    c->wal.n_entries = c->wal.cap_entries = 0;
    out_effect(&n->out, &e);
}

static void persisted(struct node *n, struct replica *r, struct batch *b)
{
    release_held(n, r, b);
    uint64_t index = b->wal.last_index, term = b->wal.last_term;
    b->wal = (struct wal_batch){0};
    if (index == 0)
        return;
    struct raft_input in = {.kind = RAFT_PERSISTED, .log_index = index, .log_term = term};
    enum rgkv_err err = replica_step(n, r, &in);
    ASSERT(err == RGKV_OK);
}

#define YIELD_GAP_US 5000000u /* where no disk has space the lead would go round and round */
#define LOW_GAP_US 30000000u  /* the same, where that lasts: reads go on meanwhile */
#define HANGS_US 2000000u

static void yield_lead(struct node *n, struct replica *r, uint64_t gap_us)
{
    struct raft_input in = {.kind = RAFT_TRANSFER};
    if (!replica_is_leader(r) || n->now_us < r->yield_next_us)
        return;
    r->yield_next_us = n->now_us + gap_us;
    enum rgkv_err err = replica_step(n, r, &in);
    (void)err; /* alone, or nobody is there: it goes on refusing writes */
}

void pipeline_yield(struct node *n, struct replica *r) { yield_lead(n, r, YIELD_GAP_US); }

/* Nothing was applied for so long, because the table must be written before. */
static bool table_hangs(const struct node *n, struct replica *r)
{
    if (!apply_is_held_up(r) || r->held_up_at != r->applied)
        r->held_up_us = 0;
    else if (!r->held_up_us)
        r->held_up_us = n->now_us;
    r->held_up_at = r->applied;
    return r->held_up_us && n->now_us >= r->held_up_us + HANGS_US;
}

/* Heartbeats go out although the disk hangs, or takes no more, so nobody else would ever lead; the others' disks may be well (B39, P29).
 * Writes are refused before the disk is full to the last byte, so that its log may never meet the error. */
void pipeline_tick(struct node *n, struct replica *r)
{
    if (table_hangs(n, r) || (r->committing && n->now_us >= r->committing_us + HANGS_US))
        pipeline_yield(n, r);
    else if (serve_disk_full(n, r))
        yield_lead(n, r, LOW_GAP_US);
}

void replica_committed(struct node *n, struct replica *r, const struct node_input *i)
{
    if (r->state == REPLICA_DELETING) /* it waited for space */
        return;
    if (i->err == RGKV_NO_SPACE) {
        if (!r->disk_full)
            node_event(n, "group %llu: the disk is full: writes are refused until there is space",
                       (unsigned long long)r->desc.gid);
        r->disk_full = true;
        if (r->raft)
            pipeline_yield(n, r);
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
    pipeline_commit(n, r);
    if (r->incoming)
        install_try(n, r);
}

static void batch_release(struct batch *b)
{
    wal_batch_release(&b->wal);
    buf_release(&b->frames);
    mem_free(b->held);
}

void pipeline_release(struct replica *r)
{
    batch_release(&r->batches[0]);
    batch_release(&r->batches[1]);
}
