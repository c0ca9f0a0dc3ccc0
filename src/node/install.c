/* Raft snapshots, the follower's side (transfer.c sends them): what arrives is written into a second table, and that is put in the place of the
 * replica's own at the end (P23).
 *
 *     first chunk ─▶ NODE_SNAPSHOT_OPEN ─▶ asked for again ─▶ chunk ─▶ NODE_SNAPSHOT_WRITE ─▶ the next one is asked for ─▶ … the last one
 *                                                                                      NODE_SNAPSHOT_INSTALL ◀─ nothing is under way ◀─┘
 */
#include "base/mutant.h"
#include "node/chunk.h"
#include "node/internal.h"

struct incoming {
    uint64_t id, boot, from;
    struct table *table;               /* NULL: being opened */
    uint64_t number, rows, hash;       /* next chunk; totals so far */
    uint64_t writing;                  /* the number of the job that writes it; 0: none does */
    bool last;                         /* that is the last one, with … */
    uint64_t rows_total, hash_total;   /* … what its sender counted */
    bool complete, installing;
    bool owes_ack;                     /* for the last chunk: the table is behind with what it has */
    uint64_t index, term;
    uint64_t heard_us;                 /* when the last chunk came, or the table was there */
    struct raft_config config;
};

static void ack(struct node *n, struct replica *r, const struct incoming *in, bool installed, bool refused)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    struct msg m = {.kind = MSG_SNAPSHOT_ACK, .snapshot_ack = {
        .envelope = {r->desc.gid, r->desc.incarnation, r->desc.member, in->from}, .term = s.term, .snapshot_id = in->id,
        .next = in->number, .installed = installed, .refused = refused, .log_index = in->index}};
    struct buf *to = replica_out_to(n, r, in->from);
    if (to) {
        m.cluster = n->manifest.cluster;
        msg_encode(&m, to);
    }
}

/* What is being written then is written before the table goes: the disk does one after the other. */
static void drop(struct node *n, struct replica *r)
{
    mem_free(r->incoming);
    r->incoming = NULL;
    out_effect(&n->out, &(struct node_effect){.kind = NODE_SNAPSHOT_DISCARD, .replica = r->id});
}

static void refuse(struct node *n, struct replica *r, const char *what, enum rgkv_err err)
{
    node_event(n, "group %llu: %s from member %llu: %s", (unsigned long long)r->desc.gid, what, (unsigned long long)r->incoming->from,
               rgkv_err_sentence(err));
    ack(n, r, r->incoming, false, true);
    drop(n, r);
}

static void begin(struct node *n, struct replica *r, const struct msg_snapshot_chunk *c)
{
    if (!r->incoming)
        r->incoming = mem_zalloc(sizeof(*r->incoming));
    struct incoming *in = r->incoming;
    *in = (struct incoming){.id = c->snapshot_id, .boot = c->boot, .from = c->envelope.from,
                            .index = c->header.log_index, .term = c->header.log_term};
    r->snapshot_opens++;
    out_effect(&n->out, &(struct node_effect){.kind = NODE_SNAPSHOT_OPEN, .replica = r->id});
}

/* Only the table of the last opening stays: each opening discards the one before, which therefore is nobody's. */
void install_opened(struct node *n, struct replica *r, const struct node_input *i)
{
    struct incoming *in = r->incoming;
    bool superseded = --r->snapshot_opens > 0;
    if (!in || superseded)
        return;
    if (i->err) {
        refuse(n, r, "no place for a snapshot", i->err);
        return;
    }
    in->table = i->table;
    in->heard_us = n->now_us;
    ack(n, r, in, false, false);
}

/* ---- chunks ---- */

/* The next chunk is asked for when the table can take it: nobody waits for a disk here. */
static void ack_when_it_can_go_on(struct node *n, struct replica *r)
{
    struct incoming *in = r->incoming;
    if (!in->owes_ack || table_waits(in->table))
        return;
    in->owes_ack = false;
    ack(n, r, in, false, false);
}

static void go_on(struct node *n, struct replica *r)
{
    if (r->incoming->complete)
        install_try(n, r);
    else
        ack_when_it_can_go_on(n, r);
}

static void write_chunk(struct node *n, struct replica *r, const struct msg_snapshot_chunk *c)
{
    struct incoming *in = r->incoming;
    bool lost = MUTANT(snapshot_rows_lost) && in->number == 1 && !c->done;
    in->heard_us = n->now_us;
    in->owes_ack = false;
    in->writing = ++n->next_job;
    in->last = c->done;
    in->rows_total = c->rows_total;
    in->hash_total = c->hash;
    struct node_effect e = {.kind = NODE_SNAPSHOT_WRITE, .replica = r->id, .number = in->writing, .sink = {
        .table = in->table, .n_rows = in->rows, .hash = in->hash, .last = c->done, .group = r->desc.gid, .nshards = r->desc.nshards}};
    if (!lost)
        buf_put(&e.sink.rows, c->rows);
    out_effect(&n->out, &e);
}

/* What arrived must be what was sent, and its row `applied` what the header says. */
static enum rgkv_err check_complete(struct node *n, struct incoming *in)
{
    uint64_t index, term;
    if ((in->rows != in->rows_total || in->hash != in->hash_total) && !MUTANT(snapshot_rows_lost))
        return RGKV_DAMAGED;
    buf_clear(&n->scratch);
    enum rgkv_err err = kv_applied_row(in->table, &n->scratch);
    if (!err)
        err = applied_row_decode(buf_bytes(&n->scratch), &index, &term, &in->config);
    if (!err && (index != in->index || term != in->term || !raft_config_voters(&in->config)))
        err = RGKV_DAMAGED;
    return err;
}

void install_written(struct node *n, struct replica *r, const struct node_input *i)
{
    struct incoming *in = r->incoming;
    if (!in || in->writing != i->number)
        return; /* of one that was dropped */
    in->writing = 0;
    in->rows = i->sink->n_rows;
    in->hash = i->sink->hash;
    in->number++;
    enum rgkv_err err = i->err || !in->last ? i->err : check_complete(n, in);
    if (err) {
        refuse(n, r, "refused a snapshot", err);
        return;
    }
    in->complete = in->last;
    in->owes_ack = !in->last;
    go_on(n, r);
}

static bool is_accepted(struct node *n, struct replica *r, const struct msg_snapshot_chunk *c)
{
    if (c->header.kind != RAFT_SNAPSHOT || c->header.from != c->envelope.from || c->header.to != c->envelope.to)
        return false;
    struct raft_input in = {.kind = RAFT_RECEIVED, .message = &c->header};
    enum rgkv_err err = replica_step(n, r, &in);
    ASSERT(err == RGKV_OK);
    replica_collect(n, r);
    return !n->failed && r->snapshot_accepted;
}

/* This node was started again in the middle of it, or it is one that was dropped. */
static void refuse_rest(struct node *n, struct replica *r, const struct msg_snapshot_chunk *c)
{
    struct incoming lost = {.id = c->snapshot_id, .from = c->envelope.from, .index = c->header.log_index};
    ack(n, r, &lost, false, true);
}

void install_chunk(struct node *n, struct replica *r, const struct msg_snapshot_chunk *c)
{
    if (!is_accepted(n, r, c))
        return;
    struct incoming *in = r->incoming;
    bool known = in && in->id == c->snapshot_id && in->boot == c->boot;
    if (!known && c->number)
        refuse_rest(n, r, c);
    else if (!known)
        begin(n, r, c);
    else if (!in->table || in->complete || in->writing)
        return;
    else if (c->number == in->number)
        write_chunk(n, r, c);
    else if (!in->owes_ack)
        ack(n, r, in, false, false);
}

/* ---- in place ---- */

/* Nothing of before may be written after the log was reset. And a replica that is INSTALLING hears nobody, so it is not to wait for the disk
 * then. */
static bool is_idle(const struct replica *r)
{
    return !r->saving && !r->flushing && !r->trimming && !r->committing && !transfer_reads(r) && (!r->to_apply.n || MUTANT(install_under_queue));
}

void install_try(struct node *n, struct replica *r)
{
    struct incoming *in = r->incoming;
    if (!in->complete || in->installing || !is_idle(r))
        return;
    if (!raft_wants_snapshot(r->raft, in->index, in->term)) {
        ack(n, r, in, true, false); /* the log overtook it */
        drop(n, r);
        return;
    }
    transfer_free(r); /* they read the table that goes away */
    r->state = REPLICA_INSTALLING;
    in->installing = true;
    serve_drop_reads(n, r, true);
    replica_drop_waiters(r); /* without an answer: their writes may be in the snapshot, and that they are refused would say that they never are */
    replica_close_machine(r);
    out_effect(&n->out, &(struct node_effect){.kind = NODE_SNAPSHOT_INSTALL, .replica = r->id, .index = in->index, .term = in->term});
}

void install_done(struct node *n, struct replica *r, const struct node_input *i)
{
    struct incoming *in = r->incoming;
    if (r->state == REPLICA_DELETING) { /* it waited for space */
        kv_free(i->kv);
        return;
    }
    ASSERT(in && in->installing);
    r->table = i->table;
    if (i->err || replica_open_machine(n, r, i->kv)) {
        node_fail(n, "group %llu: a received snapshot could not be put in place: %s", (unsigned long long)r->desc.gid,
                  i->why ? i->why : rgkv_err_sentence(i->err));
        return;
    }
    r->state = REPLICA_RUNNING;
    struct raft_input step = {.kind = RAFT_SNAPSHOT_INSTALLED, .log_index = in->index, .log_term = in->term, .config = &in->config};
    enum rgkv_err err = replica_step(n, r, &step);
    ASSERT(err == RGKV_OK);
    node_event(n, "group %llu: installed a snapshot at %llu", (unsigned long long)r->desc.gid, (unsigned long long)in->index);
    ack(n, r, in, true, false);
    install_free(r);
    poll_changed(n);
}

/* ---- its end ---- */

/* Its sender gave it up, died, or leads no more, and whoever leads now has the entries. */
static bool is_abandoned(const struct node *n, const struct incoming *in)
{
    return in->table && !in->complete && !in->owes_ack && !in->writing && n->now_us >= in->heard_us + 2 * TRANSFER_GIVE_UP_US;
}

void install_tick(struct node *n, struct replica *r)
{
    if (r->incoming && is_abandoned(n, r->incoming))
        drop(n, r);
    else if (r->incoming)
        go_on(n, r);
}

uint64_t install_deadline_us(const struct node *n, const struct replica *r)
{
    return r->incoming && r->incoming->owes_ack ? n->now_us + TABLE_AGAIN_US : UINT64_MAX;
}

void install_free(struct replica *r)
{
    mem_free(r->incoming);
    r->incoming = NULL;
}
