#include "tests/bench/client_load.h"

#include "ctrl/text.h"
#include "net/clock.h"

#define STEPS_MAX 3u

struct logical {
    struct client_load *c;
    unsigned number, step;
    uint64_t i, begun_ns;
};

struct client_load {
    uv_loop_t loop;
    struct net_client *client;
    const struct load *load;
    struct load_result *result;
    uint64_t end_ns;
    unsigned running;
    uint8_t *data;
    struct logical logicals[LOAD_THREADS_MAX];
};

/* What the mount asks for each operation (FILESYSTEM section 3): the lookup first. */
struct step {
    enum kv_op op;             /* 0: none */
    uint32_t flags;
    bool empty;                /* a put of nothing */
};
static const struct step steps[LOAD_OPS][STEPS_MAX] = {
    [LOAD_CREATE] = {{KV_STAT, 0, false}, {KV_PUT, KV_CREATE_ONLY, true}, {KV_PUT, 0, false}},
    [LOAD_OVERWRITE] = {{KV_STAT, 0, false}, {KV_PUT, 0, false}},
    [LOAD_READ] = {{KV_STAT, 0, false}, {KV_GET, 0, false}},
    [LOAD_STAT] = {{KV_STAT, 0, false}},
    [LOAD_APPEND] = {{KV_STAT, 0, false}, {KV_APPEND, 0, false}},
};

static void ask(struct logical *g);

static void operation_over(struct logical *g, bool ok)
{
    struct client_load *c = g->c;
    uint64_t now = load_now_ns();
    if (ok)
        hist_add(&c->result->ns, now - g->begun_ns);
    else
        c->result->errors++;
    g->i++;
    g->step = 0;
    g->begun_ns = now;
    if (now < c->end_ns)
        ask(g);
    else if (--c->running == 0)
        uv_stop(&c->loop);
}

static void answered(void *arg, const struct client_effect *e)
{
    struct logical *g = arg;
    const struct step *row = steps[g->c->load->op];
    bool absent = g->c->load->op == LOAD_CREATE && g->step == 0 && e->err == RGKV_NOT_FOUND;
    if (e->err && !absent)
        operation_over(g, false);
    else if (++g->step < STEPS_MAX && row[g->step].op)
        ask(g);
    else
        operation_over(g, true);
}

static void ask(struct logical *g)
{
    struct client_load *c = g->c;
    const struct step *s = &steps[c->load->op][g->step];
    char name[LOAD_NAME_BYTES];
    load_name(c->load, g->number, g->i, name);
    struct kv_request q = {.op = s->op, .flags = s->flags, .key = bytes_str(name), .mode = 0644};
    if (s->op == KV_GET)
        q.length = LOAD_HEAD_BYTES;
    else if (s->op != KV_STAT && !s->empty)
        q.data = bytes_of(c->data, c->load->bytes);
    net_client_submit(c->client, &(struct client_request){.kind = CLIENT_KV, .kv = &q}, LOAD_TIMEOUT_US, answered, g);
}

void client_load_run(struct client_load *c, const struct load *l, struct load_result *r)
{
    uint64_t begin = load_now_ns();
    c->load = l;
    c->result = r;
    c->end_ns = begin + (uint64_t)(l->seconds * 1e9);
    c->running = l->threads;
    c->data = mem_zalloc(l->bytes);
    for (unsigned i = 0; i < l->threads; i++) {
        c->logicals[i] = (struct logical){.c = c, .number = i, .begun_ns = begin};
        ask(&c->logicals[i]);
    }
    uv_run(&c->loop, UV_RUN_DEFAULT);
    r->seconds += (double)(load_now_ns() - begin) / 1e9;
    mem_free(c->data);
}

struct net_client *load_client(uv_loop_t *loop, const char *controllers)
{
    struct net_client_options o = {0};
    struct buf why = {0};
    struct net_client *client = NULL;
    bool good = !ctrl_parse_addrs(bytes_str(controllers), o.controllers, MEMBERS_MAX, &o.n_controllers, &why);
    buf_release(&why);
    return good && !net_client_new(loop, &o, &client) ? client : NULL;
}

struct client_load *client_load_new(const char *controllers)
{
    struct client_load *c = mem_zalloc(sizeof *c);
    uv_loop_init(&c->loop);
    c->client = load_client(&c->loop, controllers);
    if (c->client)
        return c;
    uv_loop_close(&c->loop);
    mem_free(c);
    return NULL;
}

static void closed(void *loop) { uv_stop(loop); }

void client_load_free(struct client_load *c)
{
    net_client_close(c->client, closed, &c->loop);
    uv_run(&c->loop, UV_RUN_DEFAULT);
    uv_loop_close(&c->loop);
    mem_free(c);
}
