/* Raft snapshots on the wire: the whole table of a replica, chunk by chunk, one chunk under way at a time.
 *
 * The leader reads a table snapshot (nothing stops meanwhile); the follower writes the rows into a second table and, at
 * the end, puts it in place of its own (P23). A chunk that is lost is asked for again; a transfer resumes only with the
 * same (snapshot id, boot). */
#include "base/mutant.h"
#include "node/internal.h"
#include "wire/snapshot_rows.h"

#define CHUNK_TIMEOUT_US 500000u
#define GIVE_UP_US 30000000u
#define FAST_RETRY_US 20000u
#define REFUSED_US 2000000u /* who has no place for a snapshot (a full disk) is not sent another one before */

struct outgoing {
    struct outgoing *next;
    uint64_t peer, id;
    struct table_snapshot *snapshot;
    struct table_iter *iter;
    uint64_t index, term;
    struct raft_config config;
    uint64_t number, rows, hash;       /* of the chunk under way; totals up to its end */
    bool done, broken;                 /* broken: our table cannot be read; nothing is sent until it is given up */
    struct buf chunk;
    uint64_t sent_us, progress_us;
    uint64_t refused_us;               /* when it was refused; 0: it was not. It stays until then, so that no other one begins */
};

struct incoming {
    uint64_t id, boot, from;
    struct table *table;               /* NULL: being opened */
    uint64_t number, rows, hash;       /* next chunk; totals so far */
    bool complete, installing;
    bool owes_ack;                     /* for the last chunk: the table is behind with what it has */
    uint64_t index, term;
    uint64_t heard_us;                 /* when the last chunk came, or the table was there */
    struct raft_config config;
    struct raft_message header;        /* of the last chunk */
    char addr[ADDR_BYTES_MAX];
};

/* ---- rows ---- */

static uint64_t rows_hash(uint64_t hash, struct bytes rows) { return hash64_seeded(rows, hash); }

static void go_on(struct node *n, struct replica *r);

/* ---- leader ---- */

static void outgoing_free(struct replica *r, struct outgoing *o)
{
    struct outgoing **at = &r->outgoing;
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    r->table->ops->iter_free(o->iter);
    table_snapshot_free(r->table, o->snapshot);
    buf_release(&o->chunk);
    mem_free(o);
}

static void tell_broken(struct node *n, struct replica *r, struct outgoing *o)
{
    o->broken = true;
    node_event(n, "group %llu: no snapshot for member %llu: the table here cannot be read: %s", (unsigned long long)r->desc.gid,
               (unsigned long long)o->peer, rgkv_err_sentence(r->table->ops->iter_error(o->iter)));
}

static void chunk_fill(struct node *n, struct replica *r, struct outgoing *o)
{
    size_t bytes_max = n->options.chunk_bytes ? n->options.chunk_bytes : SNAPSHOT_CHUNK_BYTES;
    buf_clear(&o->chunk);
    while (o->chunk.len < bytes_max) {
        if (!r->table->ops->iter_next(o->iter)) {
            o->done = r->table->ops->iter_error(o->iter) == RGKV_OK;
            if (!o->done)
                tell_broken(n, r, o);
            break;
        }
        struct bytes key = r->table->ops->iter_key(o->iter);
        if (MUTANT(snapshot_no_sessions) && r->kv && key.len > 2 && key.data[0] != 0xff && key.data[2] == 's')
            continue;
        snapshot_row_put(&o->chunk, key, r->table->ops->iter_value(o->iter));
        o->rows++;
    }
    o->hash = rows_hash(o->hash, buf_bytes(&o->chunk));
}

static void chunk_send(struct node *n, struct replica *r, struct outgoing *o)
{
    struct raft_status s;
    const char *addr = replica_member_addr(n, r, o->peer);
    raft_status(r->raft, &s);
    o->sent_us = n->now_us;
    if (!addr || o->broken)
        return;
    struct msg m = {.kind = MSG_SNAPSHOT_CHUNK, .snapshot_chunk = {
        .envelope = {r->desc.gid, r->desc.incarnation, r->desc.member, o->peer},
        .header = {.kind = RAFT_SNAPSHOT, .from = r->desc.member, .to = o->peer, .term = s.term,
                   .log_index = o->index, .log_term = o->term, .commit = o->index},
        .snapshot_id = o->id, .boot = n->options.boot, .number = o->number, .done = o->done,
        .rows_total = o->rows, .hash = o->hash, .rows = buf_bytes(&o->chunk)}};
    node_send(n, addr, &m);
}

static struct outgoing *outgoing_to(struct replica *r, uint64_t peer)
{
    struct outgoing *o = r->outgoing;
    while (o && o->peer != peer)
        o = o->next;
    return o;
}

uint64_t transfer_index(const struct replica *r)
{
    uint64_t index = UINT64_MAX;
    for (const struct outgoing *o = r->outgoing; o; o = o->next)
        index = MIN(index, o->index);
    return index;
}

static void give_up(struct node *n, struct replica *r, uint64_t peer)
{
    struct raft_input in = {.kind = RAFT_SNAPSHOT_FAILED, .peer = peer};
    struct outgoing *o = outgoing_to(r, peer);
    if (o)
        outgoing_free(r, o);
    enum rgkv_err err = replica_step(n, r, &in);
    (void)err; /* not leading any more */
}

/* Where in the log the table was at that moment: what was applied and is not saved comes as entries. */
static bool position_of(struct node *n, struct replica *r, struct outgoing *o)
{
    buf_clear(&n->scratch);
    enum rgkv_err err = table_get(r->table, o->snapshot, bytes_str(TABLE_APPLIED_KEY), &n->scratch);
    return !err && !applied_row_decode(buf_bytes(&n->scratch), &o->index, &o->term, &o->config);
}

void transfer_start(struct node *n, struct replica *r, uint64_t peer)
{
    struct outgoing *o = outgoing_to(r, peer);
    if (o)
        outgoing_free(r, o);
    o = mem_zalloc(sizeof(*o));
    o->next = r->outgoing;
    r->outgoing = o;
    o->peer = peer;
    o->id = prng_next(&n->prng) | 1;
    o->snapshot = table_snapshot(r->table);
    o->iter = table_iter(r->table, o->snapshot, BYTES_EMPTY, BYTES_EMPTY);
    o->progress_us = n->now_us;
    if (!position_of(n, r, o)) {
        node_event(n, "group %llu: no snapshot for member %llu: the table here cannot be read", (unsigned long long)r->desc.gid, (unsigned long long)peer);
        give_up(n, r, peer);
        return;
    }
    node_event(n, "group %llu: sending member %llu a snapshot at %llu", (unsigned long long)r->desc.gid,
               (unsigned long long)peer, (unsigned long long)o->index);
    chunk_fill(n, r, o);
    chunk_send(n, r, o);
}

void transfer_ack(struct node *n, struct replica *r, const struct msg *m)
{
    const struct msg_snapshot_ack *a = &m->snapshot_ack;
    struct outgoing *o = outgoing_to(r, a->envelope.from);
    if (!o || o->id != a->snapshot_id || !replica_is_leader(r))
        return;
    if (a->installed) {
        struct raft_input in = {.kind = RAFT_SNAPSHOT_SENT, .peer = o->peer, .log_index = o->index};
        outgoing_free(r, o);
        enum rgkv_err err = replica_step(n, r, &in);
        (void)err;
    } else if (a->refused) {
        o->refused_us = o->refused_us ? o->refused_us : n->now_us;
    } else if (o->refused_us) {
        return;
    } else if (a->next == o->number + 1 && !o->done) {
        o->number++;
        o->progress_us = n->now_us;
        chunk_fill(n, r, o);
        chunk_send(n, r, o);
    } else if (a->next == o->number && n->now_us >= o->sent_us + FAST_RETRY_US / 4) {
        chunk_send(n, r, o);
    }
}

static void tick_outgoing(struct node *n, struct replica *r, struct outgoing *o)
{
    if (!replica_is_leader(r))
        outgoing_free(r, o);
    else if (n->now_us >= o->progress_us + GIVE_UP_US || (o->refused_us && n->now_us >= o->refused_us + REFUSED_US))
        give_up(n, r, o->peer);
    else if (!o->refused_us && n->now_us >= o->sent_us + CHUNK_TIMEOUT_US)
        chunk_send(n, r, o);
}

/* Its sender gave it up, died, or leads no more, and whoever leads now has the entries. */
static bool abandoned(const struct node *n, const struct incoming *in)
{
    return in->table && !in->complete && !in->owes_ack && n->now_us >= in->heard_us + 2 * GIVE_UP_US;
}

static void incoming_drop(struct node *n, struct replica *r);

void transfer_tick(struct node *n, struct replica *r)
{
    for (struct outgoing *o = r->outgoing, *next; o; o = next) {
        next = o->next;
        tick_outgoing(n, r, o);
    }
    if (r->incoming && abandoned(n, r->incoming))
        incoming_drop(n, r);
    else if (r->incoming)
        go_on(n, r);
}

uint64_t transfer_deadline_us(const struct node *n, const struct replica *r)
{
    uint64_t at = UINT64_MAX;
    for (const struct outgoing *o = r->outgoing; o; o = o->next)
        at = MIN(at, o->refused_us ? o->refused_us + REFUSED_US : o->sent_us + CHUNK_TIMEOUT_US);
    return r->incoming && r->incoming->owes_ack ? MIN(at, n->now_us + TABLE_AGAIN_US) : at;
}

/* ---- follower ---- */

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

static void incoming_drop(struct node *n, struct replica *r)
{
    mem_free(r->incoming);
    r->incoming = NULL;
    out_effect(&n->out, &(struct node_effect){.kind = NODE_SNAPSHOT_DISCARD, .replica = r->id});
}

static void incoming_begin(struct node *n, struct replica *r, const struct msg_snapshot_chunk *c)
{
    if (!r->incoming)
        r->incoming = mem_zalloc(sizeof(*r->incoming));
    struct incoming *in = r->incoming;
    *in = (struct incoming){.id = c->snapshot_id, .boot = c->boot, .from = c->envelope.from,
                            .index = c->header.log_index, .term = c->header.log_term};
    r->snapshot_opens++;
    out_effect(&n->out, &(struct node_effect){.kind = NODE_SNAPSHOT_OPEN, .replica = r->id});
}

static enum rgkv_err write_rows(struct incoming *in, struct bytes rows)
{
    struct table_change changes[256];
    struct reader reader = reader_of(rows);
    struct bytes key, value;
    unsigned count = 0;
    enum rgkv_err err = RGKV_OK;
    while (!err && snapshot_row_next(&reader, &key, &value)) {
        changes[count++] = (struct table_change){.kind = TABLE_PUT, .key = key, .value = value};
        in->rows++;
        if (count == ARRAY_LEN(changes) || reader.rest.len == 0) {
            err = table_write(in->table, changes, count);
            count = 0;
        }
    }
    return err ? err : reader.ok ? RGKV_OK : RGKV_DAMAGED;
}

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
        transfer_try_install(n, r);
    else
        ack_when_it_can_go_on(n, r);
}

/* Once it is in place there is no way back. */
static enum rgkv_err check_opens(const struct replica *r, struct table *t)
{
    struct ctrl *ctrl = NULL;
    struct kv *kv = NULL;
    enum rgkv_err err = r->desc.gid == 0 ? ctrl_open(t, &ctrl) : kv_open(t, r->desc.gid, r->desc.nshards, &kv);
    ctrl_free(ctrl);
    kv_free(kv);
    return err;
}

/* What arrived must be what was sent, its row `applied` what the header says, and all of it a table of ours. */
static enum rgkv_err check_complete(struct node *n, struct replica *r, struct incoming *in, const struct msg_snapshot_chunk *c)
{
    uint64_t index, term;
    if ((in->rows != c->rows_total || in->hash != c->hash) && !MUTANT(snapshot_rows_lost))
        return RGKV_DAMAGED;
    buf_clear(&n->scratch);
    enum rgkv_err err = kv_applied_row(in->table, &n->scratch);
    if (!err)
        err = applied_row_decode(buf_bytes(&n->scratch), &index, &term, &in->config);
    if (!err && (index != in->index || term != in->term || !raft_config_voters(&in->config)))
        err = RGKV_DAMAGED;
    return err ? err : check_opens(r, in->table);
}

static void take_chunk(struct node *n, struct replica *r, const struct msg_snapshot_chunk *c)
{
    struct incoming *in = r->incoming;
    in->heard_us = n->now_us;
    bool lost = MUTANT(snapshot_rows_lost) && in->number == 1 && !c->done;
    enum rgkv_err err = lost ? RGKV_OK : write_rows(in, c->rows);
    in->hash = rows_hash(in->hash, c->rows);
    in->number++;
    if (!err && c->done)
        err = check_complete(n, r, in, c);
    if (err) {
        node_event(n, "group %llu: a snapshot from member %llu is refused: %s", (unsigned long long)r->desc.gid,
                   (unsigned long long)in->from, rgkv_err_sentence(err));
        ack(n, r, in, false, true);
        incoming_drop(n, r);
        return;
    }
    in->complete = c->done;
    in->owes_ack = !c->done;
    go_on(n, r);
}

void transfer_chunk(struct node *n, struct replica *r, uint64_t conn, const struct msg *m)
{
    const struct msg_snapshot_chunk *c = &m->snapshot_chunk;
    if (c->header.kind != RAFT_SNAPSHOT || c->header.from != c->envelope.from || c->header.to != c->envelope.to)
        return;
    struct raft_input in = {.kind = RAFT_RECEIVED, .message = &c->header};
    enum rgkv_err err = replica_step(n, r, &in);
    ASSERT(err == RGKV_OK);
    replica_collect(n, r);
    if (n->failed || !r->snapshot_accepted)
        return;
    struct incoming *now = r->incoming;
    if (!now || now->id != c->snapshot_id || now->boot != c->boot) {
        incoming_begin(n, r, c);
        return;
    }
    if (!now->table || now->complete)
        return;
    if (c->number == now->number)
        take_chunk(n, r, c);
    else if (!now->owes_ack)
        ack(n, r, now, false, false);
}

/* Only the table of the last opening stays: each opening discards the one before, which therefore is nobody's. */
void transfer_opened(struct node *n, struct replica *r, const struct node_input *i)
{
    struct incoming *in = r->incoming;
    bool superseded = --r->snapshot_opens > 0;
    if (!in || superseded)
        return;
    if (i->err) {
        node_event(n, "group %llu: no place for a snapshot: %s", (unsigned long long)r->desc.gid, rgkv_err_sentence(i->err));
        ack(n, r, in, false, true);
        incoming_drop(n, r);
        return;
    }
    in->table = i->table;
    in->heard_us = n->now_us;
    ack(n, r, in, false, false);
}

/* The log's pipeline must be empty: nothing of before may be written after the log was reset. And what the disk does with the table must be
 * over: a replica that is INSTALLING hears nobody, so it is not to wait for that then. */
void transfer_try_install(struct node *n, struct replica *r)
{
    struct incoming *in = r->incoming;
    if (!in->complete || in->installing || r->saving || r->flushing || r->trimming || r->committing || (r->to_apply.n && !MUTANT(install_under_queue)))
        return;
    if (!raft_wants_snapshot(r->raft, in->index, in->term)) {
        ack(n, r, in, true, false); /* the log overtook it */
        incoming_drop(n, r);
        return;
    }
    while (r->outgoing)
        outgoing_free(r, r->outgoing); /* they read the table that goes away */
    r->state = REPLICA_INSTALLING;
    in->installing = true;
    serve_drop_reads(n, r, true);
    replica_drop_waiters(r);
    replica_close_machine(r);
    out_effect(&n->out, &(struct node_effect){.kind = NODE_SNAPSHOT_INSTALL, .replica = r->id, .index = in->index, .term = in->term});
}

void transfer_installed(struct node *n, struct replica *r, const struct node_input *i)
{
    struct incoming *in = r->incoming;
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
    mem_free(in);
    r->incoming = NULL;
    poll_changed(n);
}

void transfer_free(struct node *n, struct replica *r)
{
    while (r->outgoing)
        outgoing_free(r, r->outgoing);
    mem_free(r->incoming);
    r->incoming = NULL;
}
