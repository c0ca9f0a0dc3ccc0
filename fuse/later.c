#include "fuse/later.h"

struct later {
    uv_timer_t timer;
    struct call *call;
    void (*then)(struct call *c);
};

static void closed(uv_handle_t *h) { mem_free(h->data); }

static void due(uv_timer_t *t)
{
    struct later *l = t->data;
    uv_close((uv_handle_t *)t, closed);
    l->then(l->call);
}

struct later *later(struct call *c, unsigned ms, void (*then)(struct call *c))
{
    struct later *l = mem_zalloc(sizeof *l);
    l->call = c;
    l->then = then;
    uv_timer_init(c->m->loop, &l->timer);
    l->timer.data = l;
    uv_timer_start(&l->timer, due, ms, 0);
    return l;
}

void later_forget(struct later *l)
{
    uv_timer_stop(&l->timer);
    uv_close((uv_handle_t *)&l->timer, closed);
}
