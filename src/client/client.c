/* The calls of client.h: inputs come in and change state, effects are handed out one by one, in the order connect,
 * done, send. A copy of a request is made into a message only when it is handed out, so no message is ever stale. */
#include "client/engine.h"

#include <stdio.h>

static void client_advance(struct client *c, uint64_t now_us)
{
    request_free(c->handed);
    c->handed = NULL;
    c->now_us = MAX(c->now_us, now_us);
}

struct client *client_new(const struct client_options *o)
{
    ASSERT(o->client && o->n_controllers <= MEMBERS_MAX);
    struct client *c = mem_zalloc(sizeof(*c));
    c->client = o->client;
    c->now_us = o->now_us;
    prng_init(&c->prng, o->seed);
    c->n_hints = o->n_controllers;
    for (unsigned i = 0; i < o->n_controllers; i++)
        snprintf(c->hints[i], ADDR_BYTES_MAX, "%s", o->controllers[i]);
    c->admin.window = 1; /* the controller keeps one result per client */
    c->admin.next_seq = 1;
    view_poll_start(c);
    return c;
}

static void requests_free(struct client *c)
{
    struct request *r, *next;
    HASH_ITER(hh, c->requests, r, next)
    {
        HASH_DELETE(hh, c->requests, r);
        request_free(r);
    }
    DL_FOREACH_SAFE(c->done, r, next)
        request_free(r);
    request_free(c->handed);
}

static void placement_free(struct client *c)
{
    if (!c->has_view)
        return;
    for (uint32_t i = 0; i < c->view.nshards; i++)
        session_free(c->sessions[i]);
    mem_free(c->sessions);
    ctrl_view_release(&c->view);
}

static void routes_free(struct client *c)
{
    struct group *g, *next_group;
    HASH_ITER(hh, c->groups, g, next_group)
        group_free(c, g);
    struct link *l, *next_link;
    HASH_ITER(hh, c->links, l, next_link)
    {
        HASH_DEL(c->links, l);
        mem_free(l);
    }
}

void client_free(struct client *c)
{
    if (!c)
        return;
    routes_free(c); /* clears its timers, so the requests' are still there */
    placement_free(c);
    requests_free(c);
    timers_release(&c->timers);
    mem_free(c->link_effects);
    mem_free(c);
}

/* ---- inputs ---- */

uint64_t client_submit(struct client *c, const struct client_request *q, uint64_t now_us)
{
    client_advance(c, now_us);
    struct request *r = request_new(c, q);
    uint64_t id = r->id;
    c->stats.submitted++;
    c->stats.inflight++;
    request_wake_at(c, r, UINT64_MAX);
    retry_start(c, r);
    return id;
}

void client_cancel(struct client *c, uint64_t id, uint64_t now_us)
{
    client_advance(c, now_us);
    struct request *r;
    HASH_FIND(hh, c->requests, &id, sizeof(id), r);
    if (r && r->purpose == PURPOSE_CALLER)
        outcome_cancel(c, r);
}

#define OWNER_OF(t, type, field) ((struct type *)(void *)((char *)(t) - offsetof(struct type, field)))

static void timer_fired(struct client *c, struct timer *t)
{
    timer_clear(&c->timers, t);
    switch (t->owner) {
    case TIMER_REQUEST:
        retry_timer(c, OWNER_OF(t, request, timer));
        break;
    case TIMER_GROUP:
        group_connect_late(c, OWNER_OF(t, group, connect));
        break;
    case TIMER_LINK:
        link_idle(c, OWNER_OF(t, link, idle));
        break;
    }
}

/* Each timer that fires is cleared or set to a later time: this ends. */
static void client_tick(struct client *c)
{
    for (struct timer *t; (t = timers_first(&c->timers)) && t->due_us <= c->now_us;)
        timer_fired(c, t);
}

static void client_received(struct client *c, const struct client_input *i)
{
    struct link *l = link_find(c, i->addr);
    if (l)
        retry_received(c, l, i->message);
}

void client_step(struct client *c, const struct client_input *i)
{
    client_advance(c, i->now_us);
    switch (i->kind) {
    case CLIENT_TICK:
        break;
    case CLIENT_LINK_UP:
        link_up(c, i->addr);
        break;
    case CLIENT_LINK_DOWN:
        link_down(c, i->addr);
        break;
    case CLIENT_RECEIVED:
        client_received(c, i);
        break;
    }
    client_tick(c);
}

uint64_t client_deadline_us(const struct client *c)
{
    const struct timer *t = timers_first(&c->timers);
    return t ? t->due_us : UINT64_MAX;
}

/* ---- effects ---- */

static bool next_link(struct client *c, struct client_effect *ret_e)
{
    if (c->link_effects_given == c->n_link_effects) {
        c->link_effects_given = c->n_link_effects = 0;
        return false;
    }
    const struct link_effect *l = &c->link_effects[c->link_effects_given++];
    *ret_e = (struct client_effect){.kind = l->kind, .addr = l->addr, .why = ""};
    return true;
}

static bool next_done(struct client *c, struct client_effect *ret_e)
{
    struct request *r = c->done;
    if (!r)
        return false;
    DL_DELETE(c->done, r);
    c->handed = r;
    *ret_e = (struct client_effect){.kind = CLIENT_DONE, .id = r->id, .tag = r->tag, .err = r->err};
    ret_e->why = r->why ? r->why : rgkv_err_sentence(r->err);
    ret_e->text = r->kind == CLIENT_READ ? bytes_of(r->data, r->data_len) : BYTES_EMPTY;
    ret_e->reply = r->answered && r->kind == CLIENT_KV ? &r->reply : NULL;
    ret_e->result = r->answered && r->kind == CLIENT_ADMIN ? &r->result : NULL;
    ret_e->view = r->answered && r->kind == CLIENT_VIEW ? &c->view : NULL;
    return true;
}

bool client_next(struct client *c, struct client_effect *ret_e)
{
    client_advance(c, c->now_us);
    for (;;) {
        if (next_link(c, ret_e) || next_done(c, ret_e))
            return true;
        if (!c->ready)
            return false;
        if (retry_send(c, c->ready, ret_e))
            return true;
    }
}

/* ---- what is known ---- */

const struct ctrl_view *client_view(const struct client *c) { return c->has_view ? &c->view : NULL; }

static bool group_is_reached(const struct client *c, const struct group *g)
{
    return g && g->reached_us && c->now_us - g->reached_us < CLIENT_REACHED_US;
}

void client_stats(const struct client *c, struct client_stats *ret_s)
{
    *ret_s = c->stats;
    ret_s->controller_reached = group_is_reached(c, group_known(c, 0));
}

enum client_group_health client_group_health(const struct client *c, uint64_t gid)
{
    const struct group *g = group_known(c, gid);
    if (group_is_reached(c, g))
        return CLIENT_GROUP_OK;
    bool tried_long = g && g->asked_us && c->now_us - g->asked_us >= CLIENT_REACHED_US;
    return tried_long ? CLIENT_GROUP_DOWN : CLIENT_GROUP_UNKNOWN;
}
