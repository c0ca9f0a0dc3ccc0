#include "net/net_client.h"

#include <utlist.h>

#include "net/clock.h"
#include "net/link.h"

#define SWEEP_MS 1000u
#define WAIT_MS 2u
#define CANCEL_TURNS_MAX 100u

struct pending {
    uint64_t id;
    net_client_done *done;
    void *arg;
    struct pending *prev, *next;
};

struct net_client {
    struct client *engine;
    uint64_t id;
    struct conns *conns;
    struct links *links;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t sweep;
    struct ticker ticker;
    struct pending *pending;      /* given out, not answered yet */
    bool closing;
    unsigned n_handles;           /* of the three that close before `sweep` */
    void (*closed)(void *arg);
    void *closed_arg;
};

/* ---- inputs ---- */

static void step(struct net_client *c, struct client_input in)
{
    if (c->closing)
        return;
    in.now_us = clock_now_us();
    client_step(c->engine, &in);
}

static void on_tick(void *arg) { step(arg, (struct client_input){.kind = CLIENT_TICK}); }
static void on_up(void *arg, const char *addr) { step(arg, (struct client_input){.kind = CLIENT_LINK_UP, .addr = addr}); }
static void on_down(void *arg, const char *addr) { step(arg, (struct client_input){.kind = CLIENT_LINK_DOWN, .addr = addr}); }

static void on_message(void *arg, const char *addr, struct conn *conn, const struct msg *m)
{
    if (m->kind != MSG_HELLO)
        step(arg, (struct client_input){.kind = CLIENT_RECEIVED, .addr = addr, .message = m});
}

static void fill_hello(void *arg, struct msg *m)
{
    const struct net_client *c = arg;
    m->kind = MSG_HELLO;
    m->hello.client = c->id;
}

static const struct links_events links_events = {.hello = fill_hello, .up = on_up, .down = on_down, .message = on_message};

/* ---- effects ---- */

static void finish(struct net_client *c, const struct client_effect *e)
{
    struct pending *p = e->tag;
    DL_DELETE(c->pending, p);
    net_client_done *done = p->done;
    void *arg = p->arg;
    mem_free(p);
    done(arg, e);
}

static void send_to(struct net_client *c, const struct client_effect *e)
{
    struct conn *conn = links_conn(c->links, e->addr);
    if (conn)
        conn_send_msg(conn, e->message);
}

static void carry_out(struct net_client *c, const struct client_effect *e)
{
    switch (e->kind) {
    case CLIENT_CONNECT: links_want(c->links, e->addr); break;
    case CLIENT_DISCONNECT: links_drop(c->links, e->addr); break;
    case CLIENT_SEND: send_to(c, e); break;
    case CLIENT_DONE: finish(c, e); break;
    }
}

static void drain(struct net_client *c)
{
    struct client_effect e;
    while (client_next(c->engine, &e))
        carry_out(c, &e);
}

/* After the poll, for what came from it; before it, for what was submitted elsewhere: nothing waits through a sleep. */
static void round_end(struct net_client *c)
{
    if (c->closing)
        return;
    drain(c);
    ticker_set(&c->ticker, client_deadline_us(c->engine));
    conns_flush(c->conns);
}

static void on_check(uv_check_t *handle) { round_end(handle->data); }
static void on_prepare(uv_prepare_t *handle) { round_end(handle->data); }

static void on_sweep(uv_timer_t *timer)
{
    struct net_client *c = timer->data;
    conns_sweep(c->conns, clock_now_us());
    links_sweep(c->links, clock_now_us());
}

/* ---- what the caller calls ---- */

enum rgkv_err net_client_new(uv_loop_t *loop, const struct net_client_options *o, struct net_client **ret_c)
{
    struct client_options options = {.client = clock_random(), .seed = clock_random(), .now_us = clock_now_us(),
                                     .n_controllers = o->n_controllers};
    if (o->n_controllers == 0 || o->n_controllers > MEMBERS_MAX)
        return RGKV_INVALID;
    memcpy(options.controllers, o->controllers, sizeof(options.controllers));
    struct net_client *c = mem_zalloc(sizeof(*c));
    c->id = options.client;
    c->engine = client_new(&options);
    c->conns = conns_new(loop);
    c->links = links_new(loop, c->conns, &links_events, c);
    uv_prepare_init(loop, &c->prepare);
    uv_check_init(loop, &c->check);
    uv_timer_init(loop, &c->sweep);
    ticker_init(&c->ticker, loop, on_tick, c);
    c->prepare.data = c->check.data = c->sweep.data = c;
    uv_prepare_start(&c->prepare, on_prepare);
    uv_check_start(&c->check, on_check);
    uv_timer_start(&c->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    *ret_c = c;
    return RGKV_OK;
}

uint64_t net_client_submit(struct net_client *c, const struct client_request *q, uint64_t timeout_us, net_client_done *done, void *arg)
{
    ASSERT(!c->closing);
    uint64_t now = clock_now_us();
    struct pending *p = mem_alloc(sizeof(*p));
    *p = (struct pending){.done = done, .arg = arg};
    DL_APPEND(c->pending, p);
    struct client_request mine = *q;
    mine.tag = p;
    mine.deadline_us = timeout_us ? now + timeout_us : 0;
    return p->id = client_submit(c->engine, &mine, now);
}

void net_client_cancel(struct net_client *c, uint64_t id)
{
    if (!c->closing)
        client_cancel(c->engine, id, clock_now_us());
}

const struct client *net_client_engine(const struct net_client *c) { return c->engine; }

/* ---- the end ---- */

static void on_gone(uv_handle_t *handle)
{
    struct net_client *c = handle->data;
    links_free(c->links);
    conns_free(c->conns);
    client_free(c->engine);
    void (*closed)(void *arg) = c->closed;
    void *arg = c->closed_arg;
    mem_free(c);
    if (closed)
        closed(arg);
}

static bool all_gone(const struct net_client *c)
{
    return c->n_handles == 0 && links_closed(c->links) && conns_count(c->conns) == 0;
}

/* Looked at again and again instead of counted at each handle's end: it takes a round or two, once (a name that is
 * being resolved takes longer). */
static void on_wait(uv_timer_t *timer)
{
    struct net_client *c = timer->data;
    if (all_gone(c))
        uv_close((uv_handle_t *)timer, on_gone);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct net_client *c = handle->data;
    c->n_handles--;
}

static void on_ticker_closed(uv_handle_t *handle)
{
    struct ticker *t = handle->data;
    struct net_client *c = t->arg;
    c->n_handles--;
}

/* Who hears of it may ask once more before it gives up. */
static void cancel_all(struct net_client *c)
{
    uint64_t now = clock_now_us();
    for (unsigned turn = 0; c->pending; turn++) {
        ASSERT(turn < CANCEL_TURNS_MAX);
        for (struct pending *p = c->pending; p; p = p->next)
            client_cancel(c->engine, p->id, now);
        drain(c);
    }
}

void net_client_close(struct net_client *c, void (*closed)(void *arg), void *arg)
{
    c->closed = closed;
    c->closed_arg = arg;
    cancel_all(c);
    c->closing = true;
    conns_flush(c->conns);
    c->n_handles = 3;
    uv_close((uv_handle_t *)&c->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&c->check, on_handle_closed);
    ticker_close(&c->ticker, on_ticker_closed);
    links_close(c->links);
    conns_close_all(c->conns);
    uv_timer_start(&c->sweep, on_wait, 0, WAIT_MS);
}
