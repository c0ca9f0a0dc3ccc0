#include "fuse/interrupt.h"

#include <utlist.h>

#include "fuse/call.h"
#include "fuse/proc.h"

#define LOOK_AGAIN_MS 50u

struct interrupts {
    struct mount *m;
    uv_timer_t timer;
    bool watching;
};

/* A caller that cannot be seen (another pid namespace, or gone) is believed: it must not hang. */
static bool should_end(const struct call *c)
{
    struct buf text = {0};
    int tid = fuse_req_ctx(c->req)->pid;
    bool ends = tid <= 0 || !proc_read(tid, "status", &text) || proc_acts((const char *)text.data);
    buf_release(&text);
    return ends;
}

/* Cancelling may end this call and others, so start over after each one. */
static struct call *next_to_end(struct mount *m)
{
    struct call *c;
    DL_FOREACH(m->calls, c)
        if (c->interrupted && c->req && (c->ticket || c->cancel) && should_end(c))
            return c;
    return NULL;
}

static bool any_waiting(struct mount *m)
{
    struct call *c;
    DL_FOREACH(m->calls, c)
        if (c->interrupted)
            return true;
    return false;
}

static void look(uv_timer_t *timer)
{
    struct interrupts *i = timer->data;
    struct call *c;
    while ((c = next_to_end(i->m))) {
        c->interrupted = false; /* once is enough: its answer is on the way */
        i->m->stats.interrupted++;
        call_cancel(c);
    }
    i->watching = any_waiting(i->m);
    if (!i->watching)
        uv_timer_stop(timer);
}

void interrupt_watch(struct interrupts *i)
{
    if (!i->watching)
        uv_timer_start(&i->timer, look, 0, LOOK_AGAIN_MS);
    i->watching = true;
}

struct interrupts *interrupts_new(struct mount *m)
{
    struct interrupts *i = mem_zalloc(sizeof *i);
    i->m = m;
    i->timer.data = i;
    uv_timer_init(m->loop, &i->timer);
    return i;
}

static void closed(uv_handle_t *h) { mem_free(h->data); }
void interrupts_close(struct interrupts *i) { uv_close((uv_handle_t *)&i->timer, closed); }
