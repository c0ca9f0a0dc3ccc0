#include "fuse/spill.h"

#include <stdio.h>
#include <utlist.h>

/* One piece: first in `queue` with its bytes, then in `flying`, where the client has them. A piece that overlaps one that is under way, or that
 * changes the size, waits: two requests in flight may be applied in any order. */
struct piece {
    struct call call;              /* nobody's: counts as background work of the mount */
    struct spill *s;
    struct kv_request q;
    struct kv_range *ranges;
    struct buf data;
    size_t bytes;
    uint64_t from, to;             /* what it touches */
    struct piece *prev, *next;
};

struct spill_waiter {
    struct spill *s;
    struct call *call;
    bool all;
    spill_then *then;
    struct spill_waiter *prev, *next;
};

struct spill {
    struct mount *m;
    struct inode *node;            /* a reference: for paths in messages */
    struct key key;
    struct kv_staged staged;       /* id 0: not open yet */
    uint64_t size;
    struct piece *queue, *flying;
    unsigned n;                    /* of both */
    unsigned asked;                /* calls under way, the opening too */
    enum rgkv_err err;
    char why[160];
    bool over, dropped;            /* committed or given up: freed when nothing is under way */
    struct spill_waiter *waiters;
};

static void collect(struct spill *s)
{
    if (!s->over || s->asked)
        return;
    ASSERT(!s->waiters && !s->n);
    inode_unref(&s->m->inodes, s->node);
    mem_free(s);
}

/* ---- waiting ---- */

static bool answers(const struct spill *s, const struct spill_waiter *w)
{
    if (s->err)
        return !w->all || !s->flying;
    return w->all ? !s->n && s->staged.id : spill_has_room(s);
}

static void waiter_end(struct spill_waiter *w, enum rgkv_err err, const char *why)
{
    struct call *c = w->call;
    spill_then *then = w->then;
    DL_DELETE(w->s->waiters, w);
    c->cancel = NULL;
    c->waits = NULL;
    mem_free(w);
    then(c, err, why);
}

/* One is told at a time, for what it does may change everything. */
static void tell_waiters(struct spill *s)
{
    struct spill_waiter *w, *next;
    s->asked++; /* stays meanwhile */
    for (w = s->waiters; w; w = next) {
        next = w->next;
        if (!answers(s, w))
            continue;
        waiter_end(w, s->err, s->err ? s->why : "");
        next = s->waiters;
    }
    s->asked--;
}

static void wait_cancel(struct call *c) { waiter_end(c->waits, RGKV_CANCELLED, rgkv_err_sentence(RGKV_CANCELLED)); }

void spill_wait(struct spill *s, bool all, struct call *c, spill_then *then)
{
    struct spill_waiter *w = mem_zalloc(sizeof *w);
    *w = (struct spill_waiter){.s = s, .call = c, .all = all, .then = then};
    if (answers(s, w)) {
        mem_free(w);
        then(c, s->err, s->err ? s->why : "");
        return;
    }
    ASSERT(!c->cancel);
    c->cancel = wait_cancel;
    c->waits = w;
    DL_APPEND(s->waiters, w);
}

/* ---- pieces ---- */

static void piece_release(struct call *c)
{
    struct piece *p = (struct piece *)c;
    buf_release(&p->data);
    mem_free(p->ranges);
}

static void piece_gone(struct spill *s, struct piece **list, struct piece *p)
{
    DL_DELETE(*list, p);
    s->n--;
    s->m->spilled_bytes -= p->bytes;
    s->m->background--;
    call_end(&p->call);
}

static void forget_queue(struct spill *s)
{
    while (s->queue)
        piece_gone(s, &s->queue, s->queue);
}

/* What was not committed was not done, whatever became of a piece. */
static void fail(struct spill *s, enum rgkv_err err, const char *why)
{
    if (!s->err) {
        s->err = err == RGKV_UNKNOWN || err == RGKV_CANCELLED ? RGKV_UNREACHABLE : err; /* who comes later was not interrupted */
        snprintf(s->why, sizeof s->why, "a piece of the value could not be stored, so the value is as it was: %s", why);
    }
    forget_queue(s);
}

static bool conflicts(const struct piece *p, const struct piece *with)
{
    return (p->q.flags | with->q.flags) & KV_TRUNCATE || (p->from < with->to && with->from < p->to);
}

static bool may_go(const struct spill *s, const struct piece *p)
{
    const struct piece *with;
    DL_FOREACH(s->flying, with)
        if (conflicts(p, with))
            return false;
    return true;
}

static void piece_done(struct call *c, const struct client_effect *e);

static void pump(struct spill *s)
{
    struct piece *p;
    while ((p = s->queue) && s->staged.id && !s->err && may_go(s, p)) {
        DL_DELETE(s->queue, p);
        DL_APPEND(s->flying, p);
        s->asked++;
        p->q.version = s->staged.id;
        p->q.key = key_bytes_of(&s->key);
        call_ask(&p->call, &p->q, piece_done);
        buf_release(&p->data); /* the client has its copy */
    }
}

static void piece_done(struct call *c, const struct client_effect *e)
{
    struct piece *p = (struct piece *)c;
    struct spill *s = p->s;
    if (e->err)
        fail(s, e->err, e->why);
    piece_gone(s, &s->flying, p);
    pump(s);
    tell_waiters(s);
    s->asked--;
    collect(s);
}

static void span(struct piece *p)
{
    p->from = UINT64_MAX;
    for (unsigned i = 0; i < p->q.n_ranges; i++) {
        p->from = MIN(p->from, p->ranges[i].offset);
        p->to = MAX(p->to, p->ranges[i].offset + p->ranges[i].len);
    }
}

static struct piece *piece_new(struct spill *s, struct stage *pending)
{
    struct piece *p = call_begin(s->m, NULL, "piece", sizeof *p);
    p->s = s;
    p->call.release = piece_release;
    call_node(&p->call, s->node);
    stage_take(pending, &p->q, &p->ranges, &p->data);
    p->q.op = KV_STAGE_WRITE;
    p->bytes = p->data.len;
    span(p);
    return p;
}

void spill_add(struct spill *s, struct stage *pending)
{
    struct piece *p = piece_new(s, pending);
    if (!p->q.n_ranges && !(p->q.flags & KV_TRUNCATE)) {
        call_end(&p->call);
        return;
    }
    s->staged.pieces++;
    s->staged.hash += kv_piece_hash(&p->q);
    if (p->q.flags & KV_TRUNCATE)
        s->size = p->q.length;
    s->size = MAX(s->size, p->to);
    s->n++;
    s->m->spilled_bytes += p->bytes;
    s->m->background++;
    DL_APPEND(s->queue, p);
    if (s->err)
        forget_queue(s);
    pump(s);
}

bool spill_has_room(const struct spill *s)
{
    return s->n < (s->m->spilled_bytes < SPILL_BYTES_MAX ? SPILL_PIECES_MAX : 1);
}

bool spill_busy(const struct spill *s) { return s->n && !s->err; }
uint64_t spill_size(const struct spill *s) { return s->size; }
enum rgkv_err spill_failed(const struct spill *s) { return s->err; }

/* ---- begin and end ---- */

static void opened(struct call *c, const struct client_effect *e)
{
    struct spill *s = ((struct piece *)c)->s;
    if (e->err)
        fail(s, e->err, e->why);
    else
        s->staged.id = e->reply->attr.version;
    pump(s);
    tell_waiters(s);
    call_end(c);
    s->asked--;
    if (s->over && s->dropped && !s->err)
        spill_abandon(s);
    else
        collect(s);
}

struct spill *spill_new(struct mount *m, struct inode *n, const struct key *k)
{
    struct spill *s = mem_zalloc(sizeof *s);
    *s = (struct spill){.m = m, .node = inode_ref(n), .key = *k, .asked = 1};
    struct piece *opening = call_begin(m, NULL, "piece", sizeof *opening);
    opening->s = s;
    call_node(&opening->call, n);
    call_ask(&opening->call, &(struct kv_request){.op = KV_STAGE_OPEN, .key = key_bytes_of(&s->key)}, opened);
    return s;
}

void spill_request(const struct spill *s, struct kv_request *q, uint8_t said[KV_STAGED_BYTES])
{
    struct kv_staged staged = s->staged;
    staged.length = s->size;
    kv_staged_encode(&staged, said);
    q->op = KV_PUT;
    q->flags |= KV_STAGED;
    q->data = bytes_of(said, KV_STAGED_BYTES);
}

void spill_free(struct spill *s)
{
    s->over = true;
    collect(s);
}

static void drop_done(struct call *c, const struct client_effect *e)
{
    struct spill *s = ((struct piece *)c)->s;
    call_end(c); /* lost: it goes by time */
    s->asked--;
    collect(s);
}

static void drop(struct spill *s)
{
    struct piece *c = call_begin(s->m, NULL, "piece", sizeof *c);
    c->s = s;
    call_node(&c->call, s->node);
    s->asked++;
    call_ask(&c->call, &(struct kv_request){.op = KV_STAGE_DROP, .key = key_bytes_of(&s->key), .version = s->staged.id}, drop_done);
}

void spill_abandon(struct spill *s)
{
    if (!s)
        return;
    forget_queue(s);
    while (s->waiters)
        waiter_end(s->waiters, RGKV_OK, ""); /* who waits for room looks again at what is staged now */
    s->over = s->dropped = true;
    if (s->staged.id && !s->m->stopping) /* a mount that ends asks for nothing new: what is left goes by time */
        drop(s);
    else
        collect(s); /* opened() comes back here */
}
