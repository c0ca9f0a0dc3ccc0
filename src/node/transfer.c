/* Raft snapshots, the leader's side: the whole table of a replica, chunk by chunk, one chunk under way at a time (install.c is who gets it).
 *
 *     asked for ─▶ NODE_SNAPSHOT_READ ─▶ NODE_SNAPSHOT_READ_DONE: the chunk goes out ─▶ the next one is asked for ─▶ NODE_SNAPSHOT_READ …
 *
 * What is read is the table as it was when it began: nothing stops meanwhile. A chunk that is lost is asked for again; a transfer resumes only
 * with the same (snapshot id, boot). Who has lost its beginning refuses the rest, and is sent another one. An acknowledgement that only asks for
 * the first chunk says no such thing: it is what a transfer begins with, and may be late. */
#include "base/mutant.h"
#include "node/chunk.h"
#include "node/internal.h"

#define CHUNK_TIMEOUT_US 500000u
#define GIVE_UP_US TRANSFER_GIVE_UP_US
#define FAST_RETRY_US 20000u
#define REFUSED_US 2000000u /* who has no place for a snapshot (a full disk) is not sent another one before */

struct outgoing {
    struct outgoing *next;
    uint64_t peer, id;
    struct chunk_source source;
    uint64_t reading;                  /* the number of the job that reads the chunk; 0: it is here */
    bool dropped;                      /* nobody wants it any more, but that job: freed when it ends */
    bool told, broken;                 /* told: begun. broken: our table cannot be read; nothing is sent until it is given up */
    uint64_t index, term;              /* until the first chunk is here, index: the table has at least that */
    uint64_t number;                   /* of the chunk under way */
    uint64_t sent_us, progress_us;
    uint64_t refused_us;               /* when it was refused; 0: it was not. It stays until then, so that no other one begins */
};

static void unlink_and_free(struct replica *r, struct outgoing *o)
{
    struct outgoing **at = &r->outgoing;
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    chunk_source_close(&o->source);
    mem_free(o);
}

static void drop(struct replica *r, struct outgoing *o)
{
    o->dropped = true;
    if (!o->reading)
        unlink_and_free(r, o);
}

bool transfer_reads(const struct replica *r)
{
    const struct outgoing *o = r->outgoing;
    while (o && !o->reading)
        o = o->next;
    return o != NULL;
}

static struct outgoing *outgoing_to(struct replica *r, uint64_t peer)
{
    struct outgoing *o = r->outgoing;
    while (o && (o->dropped || o->peer != peer))
        o = o->next;
    return o;
}

uint64_t transfer_index(const struct replica *r)
{
    uint64_t index = UINT64_MAX;
    for (const struct outgoing *o = r->outgoing; o; o = o->next)
        if (!o->dropped)
            index = MIN(index, o->index);
    return index;
}

/* ---- chunks ---- */

static void read_next(struct node *n, struct replica *r, struct outgoing *o)
{
    o->reading = ++n->next_job;
    out_effect(&n->out, &(struct node_effect){.kind = NODE_SNAPSHOT_READ, .replica = r->id, .number = o->reading, .source = &o->source});
}

/* Who is no leader any more may know the term of the next one: a chunk in that term would take its receiver's ear from that one. */
static void send(struct node *n, struct replica *r, struct outgoing *o)
{
    struct raft_status s;
    const char *addr = replica_member_addr(n, r, o->peer);
    raft_status(r->raft, &s);
    o->sent_us = n->now_us;
    if (!addr || o->broken || o->refused_us || (s.role != RAFT_LEADER && !MUTANT(snapshot_in_next_term)))
        return;
    struct msg m = {.kind = MSG_SNAPSHOT_CHUNK, .snapshot_chunk = {
        .envelope = {r->desc.gid, r->desc.incarnation, r->desc.member, o->peer},
        .header = {.kind = RAFT_SNAPSHOT, .from = r->desc.member, .to = o->peer, .term = s.term,
                   .log_index = o->index, .log_term = o->term},
        .snapshot_id = o->id, .boot = n->options.boot, .number = o->number, .done = o->source.done,
        .rows_total = o->source.n_rows, .hash = o->source.hash, .rows = buf_bytes(&o->source.rows)}};
    node_send(n, addr, &m);
}

static void tell_broken(struct node *n, struct replica *r, struct outgoing *o, enum rgkv_err err)
{
    o->broken = true;
    node_event(n, "group %llu: no snapshot for member %llu: the table here cannot be read: %s", (unsigned long long)r->desc.gid,
               (unsigned long long)o->peer, rgkv_err_sentence(err));
}

/* Where in the log the table was at that moment: what was applied and is not saved comes as entries. */
static enum rgkv_err learn_position(struct node *n, struct replica *r, struct outgoing *o)
{
    struct raft_config config; /* the receiver reads it in the table itself */
    enum rgkv_err err = applied_row_decode(buf_bytes(&o->source.applied), &o->index, &o->term, &config);
    o->told = true;
    if (!err)
        node_event(n, "group %llu: sending member %llu a snapshot at %llu", (unsigned long long)r->desc.gid,
                   (unsigned long long)o->peer, (unsigned long long)o->index);
    return err;
}

void transfer_read(struct node *n, struct replica *r, uint64_t number)
{
    struct outgoing *o = r->outgoing;
    while (o && o->reading != number)
        o = o->next;
    ASSERT(o);
    o->reading = 0;
    o->progress_us = n->now_us;
    if (o->dropped) {
        unlink_and_free(r, o);
        if (r->incoming)
            install_try(n, r);
        return;
    }
    enum rgkv_err err = o->source.err;
    if (!err && !o->told)
        err = learn_position(n, r, o);
    if (err)
        tell_broken(n, r, o, err);
    send(n, r, o);
}

/* ---- its life ---- */

static void give_up(struct node *n, struct replica *r, struct outgoing *o)
{
    struct raft_input in = {.kind = RAFT_SNAPSHOT_FAILED, .peer = o->peer};
    drop(r, o);
    enum rgkv_err err = replica_step(n, r, &in);
    (void)err; /* not leading any more */
}

void transfer_start(struct node *n, struct replica *r, uint64_t peer)
{
    struct outgoing *o = outgoing_to(r, peer);
    if (o)
        drop(r, o);
    o = mem_zalloc(sizeof(*o));
    o->next = r->outgoing;
    r->outgoing = o;
    o->peer = peer;
    o->id = prng_next(&n->prng) | 1;
    o->index = save_index(r);
    o->progress_us = n->now_us;
    chunk_source_open(&o->source, r->table, r->desc.gid, n->options.chunk_bytes ? n->options.chunk_bytes : SNAPSHOT_CHUNK_BYTES);
    read_next(n, r, o);
}

static void arrived(struct node *n, struct replica *r, struct outgoing *o)
{
    struct raft_input in = {.kind = RAFT_SNAPSHOT_SENT, .peer = o->peer, .log_index = o->index};
    drop(r, o);
    enum rgkv_err err = replica_step(n, r, &in);
    (void)err;
}

static bool acknowledges(const struct replica *r, const struct outgoing *o, const struct msg_snapshot_ack *a)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    return s.role == RAFT_LEADER && a->term == s.term && a->snapshot_id == o->id && a->log_index == o->index;
}

void transfer_ack(struct node *n, struct replica *r, const struct msg *m)
{
    const struct msg_snapshot_ack *a = &m->snapshot_ack;
    struct outgoing *o = outgoing_to(r, a->envelope.from);
    if (!o || !acknowledges(r, o, a))
        return;
    if (a->installed) {
        arrived(n, r, o);
    } else if (a->refused && !o->refused_us && a->next < o->number) {
        give_up(n, r, o); /* it was started again in the middle of it, and is not in want of space */
    } else if (a->refused) {
        o->refused_us = o->refused_us ? o->refused_us : n->now_us;
    } else if (o->refused_us || o->reading || o->broken) {
        return;
    } else if (a->next == o->number + 1 && !o->source.done) {
        o->number++;
        o->progress_us = n->now_us;
        read_next(n, r, o);
    } else if (a->next == o->number && n->now_us >= o->sent_us + FAST_RETRY_US / 4) {
        send(n, r, o);
    }
}

/* Not before a read of our own has ended: the next one would wait for the same disk, and take one more thread of the pool. */
static bool is_hopeless(const struct node *n, const struct outgoing *o)
{
    return !o->reading && (n->now_us >= o->progress_us + GIVE_UP_US || (o->refused_us && n->now_us >= o->refused_us + REFUSED_US));
}

static void tick_one(struct node *n, struct replica *r, struct outgoing *o)
{
    if (o->dropped)
        return;
    if (!replica_is_leader(r))
        drop(r, o);
    else if (is_hopeless(n, o))
        give_up(n, r, o);
    else if (!o->refused_us && !o->reading && n->now_us >= o->sent_us + CHUNK_TIMEOUT_US)
        send(n, r, o);
}

void transfer_tick(struct node *n, struct replica *r)
{
    for (struct outgoing *o = r->outgoing, *next; o; o = next) {
        next = o->next;
        tick_one(n, r, o);
    }
}

static uint64_t deadline_us(const struct outgoing *o)
{
    if (o->dropped || o->reading)
        return UINT64_MAX;
    return o->refused_us ? o->refused_us + REFUSED_US : o->sent_us + CHUNK_TIMEOUT_US;
}

uint64_t transfer_deadline_us(const struct replica *r)
{
    uint64_t at = UINT64_MAX;
    for (const struct outgoing *o = r->outgoing; o; o = o->next)
        at = MIN(at, deadline_us(o));
    return at;
}

void transfer_free(struct replica *r)
{
    while (r->outgoing)
        unlink_and_free(r, r->outgoing);
}
