/* A load through one client engine: as many requests in flight as there are clients, all in one session per shard. */
#include <stdlib.h>

#include "ctrl/text.h"
#include "net/net_client.h"
#include "tests/cluster/history_load.h"

struct engine {
    struct net_client *client;
    uv_loop_t loop;
    unsigned running;
    bool closed, reads_last; /* reads_last: all clients are at their ends, and one reads each key once more */
};
struct worker {
    struct engine *engine;
    uv_timer_t pause;
    struct load_client client;
};

static void next(struct worker *w);

static enum history_outcome outcome_of(enum rgkv_err err, bool read)
{
    if (err == RGKV_OK || (read && err == RGKV_NOT_FOUND))
        return HISTORY_DONE;
    return err == RGKV_UNREACHABLE || err == RGKV_NO_GROUP ? HISTORY_NOT_DONE : HISTORY_UNKNOWN;
}

static void on_pause_over(uv_timer_t *timer) { next(timer->data); }

static void pause_then_next(struct worker *w)
{
    uint64_t pause_us = w->client.load->o.pause_us;
    if (!pause_us)
        next(w);
    else
        uv_timer_start(&w->pause, on_pause_over, pause_us / 1000, 0);
}

static void on_answer(void *arg, const struct client_effect *e)
{
    struct worker *w = arg;
    struct buf read = {0};
    bool reads = w->client.op.kind == HISTORY_GET;
    if (e->reply && e->err == RGKV_OK && reads)
        buf_put(&read, e->reply->data);
    buf_put_u8(&read, 0);
    load_record(&w->client, outcome_of(e->err, reads), (const char *)read.data);
    buf_release(&read);
    pause_then_next(w);
}

static void next(struct worker *w)
{
    static const enum kv_op ops[] = {[HISTORY_GET] = KV_GET, [HISTORY_PUT] = KV_PUT, [HISTORY_APPEND] = KV_APPEND};
    struct load_client *c = &w->client;
    if (!(w->engine->reads_last ? load_next_read(c) : load_next(c))) {
        if (--w->engine->running == 0)
            uv_stop(&w->engine->loop);
        return;
    }
    struct kv_request q = {.op = ops[c->op.kind], .key = bytes_str(c->op.key), .mode = 0644};
    if (c->op.kind == HISTORY_GET)
        q.length = DATA_BYTES_MAX;
    else
        q.data = bytes_str(c->value);
    net_client_submit(w->engine->client, &(struct client_request){.kind = CLIENT_KV, .kv = &q}, 0, on_answer, w);
}

static void on_closed(void *arg)
{
    struct engine *e = arg;
    e->closed = true;
}

static void engine_init(struct engine *e, const char *controllers)
{
    struct net_client_options o = {0};
    struct buf why = {0};
    *e = (struct engine){0};
    uv_loop_init(&e->loop);
    if (ctrl_parse_addrs(bytes_str(controllers), o.controllers, MEMBERS_MAX, &o.n_controllers, &why) ||
        net_client_new(&e->loop, &o, &e->client)) {
        fprintf(stderr, "history-load: --controllers is malformed\n");
        exit(2);
    }
}

static void engine_release(struct engine *e)
{
    net_client_close(e->client, on_closed, e);
    while (!e->closed)
        uv_run(&e->loop, UV_RUN_ONCE);
    uv_loop_close(&e->loop);
}

static void run(struct engine *e)
{
    while (e->running > 0)
        uv_run(&e->loop, UV_RUN_DEFAULT);
}

void load_by_engine(struct load *l)
{
    struct engine e;
    struct worker *workers = mem_alloc(l->o.clients * sizeof(*workers));
    engine_init(&e, l->o.controllers);
    e.running = l->o.clients;
    for (unsigned i = 0; i < l->o.clients; i++) {
        workers[i].engine = &e;
        uv_timer_init(&e.loop, &workers[i].pause);
        workers[i].pause.data = &workers[i];
        load_client_init(&workers[i].client, l, i);
    }
    for (unsigned i = 0; i < l->o.clients; i++)
        next(&workers[i]);
    run(&e);
    e.reads_last = true;
    e.running = 1;
    next(&workers[0]);
    run(&e);
    for (unsigned i = 0; i < l->o.clients; i++)
        uv_close((uv_handle_t *)&workers[i].pause, NULL);
    engine_release(&e);
    mem_free(workers);
}
