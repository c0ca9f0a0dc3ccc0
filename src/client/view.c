/* The placement: one request of the engine's own polls the controllers for ever, so the view is at most a moment old; a
 * group that says WRONG_GROUP knows better at once, and the poll is repeated without being held. */
#include "client/engine.h"

void view_poll_start(struct client *c)
{
    struct client_request q = {.kind = CLIENT_VIEW};
    c->poll = request_new(c, &q);
    c->poll->purpose = PURPOSE_POLL;
    c->poll->started = true;
    request_ready(c, c->poll);
}

void view_want(struct client *c)
{
    bool held = c->poll->state == REQUEST_SENT && c->poll->hold_us;
    if (!held || c->now_us - c->polled_us < CLIENT_POLL_GAP_US)
        return;
    c->poll->hold_us = 0;
    request_ready(c, c->poll);
}

void view_poll_again(struct client *c)
{
    c->poll->hold_us = CLIENT_POLL_HOLD_US;
    c->poll->refusals = c->poll->silences = c->poll->hops = 0;
    request_move(c, c->poll, REQUEST_WAITING, NULL);
    request_wake_at(c, c->poll, MAX(c->now_us, c->polled_us + CLIENT_POLL_GAP_US));
}

const struct ctrl_shard *view_shard(const struct client *c, uint32_t shard)
{
    return c->has_view && shard < c->view.nshards ? &c->view.shards[shard] : NULL;
}

static bool placement_same(const struct ctrl_shard *a, const struct ctrl_shard *b)
{
    return a->holder == b->holder && a->epoch == b->epoch && a->active == b->active;
}

void view_wait(struct client *c, struct request *r, uint64_t wake_us)
{
    const struct ctrl_shard *s = r->kind == CLIENT_KV ? view_shard(c, r->kv.shard) : NULL;
    if (s)
        r->seen = *s;
    request_move(c, r, REQUEST_WAITING, &c->waiting);
    request_wake_at(c, r, wake_us);
}

static void view_wake_one(struct client *c, struct request *r, struct request **woken)
{
    if (!r->started) {
        retry_start(c, r);
        return;
    }
    const struct ctrl_shard *s = r->kind == CLIENT_KV ? view_shard(c, r->kv.shard) : NULL;
    if (s && !placement_same(s, &r->seen))
        request_move(c, r, REQUEST_READY, woken);
}

/* Who waits for a group to be reached may do so for ever: its shard may be elsewhere meanwhile. */
static void view_wake_parked(struct client *c, struct group *g, struct request **woken)
{
    struct request *r, *next;
    DL_FOREACH_SAFE(g->parked, r, next) {
        const struct ctrl_shard *s = r->kind == CLIENT_KV ? view_shard(c, r->kv.shard) : NULL;
        if (s && s->holder != g->gid)
            request_move(c, r, REQUEST_READY, woken);
    }
}

static void view_wake(struct client *c)
{
    struct request *r, *next, *woken = NULL;
    DL_FOREACH_SAFE(c->waiting, r, next)
        view_wake_one(c, r, &woken);
    for (struct group *g = c->groups; g; g = g->hh.next)
        view_wake_parked(c, g, &woken);
    request_ready_all(c, &woken);
}

static bool view_makes_sense(const struct client *c, const struct ctrl_view *v)
{
    bool same_size = !c->has_view || v->nshards == c->view.nshards;
    return v->cluster && v->nshards && v->nshards <= NSHARDS_MAX && same_size;
}

static void view_replace(struct client *c, const struct ctrl_view *v)
{
    if (c->has_view)
        ctrl_view_release(&c->view);
    else
        c->sessions = mem_zalloc(v->nshards * sizeof(c->sessions[0]));
    ctrl_view_copy(v, &c->view);
    c->has_view = true;
    c->cluster = v->cluster;
    groups_update(c);
    view_wake(c);
}

enum rgkv_err view_take(struct client *c, const struct msg *m)
{
    const struct ctrl_view *v = &m->view.view;
    c->controller_time_us = MAX(c->controller_time_us, m->view.time_us);
    if (!m->view.changed)
        return !c->has_view ? RGKV_BUSY : m->cluster == c->cluster ? RGKV_OK : RGKV_WRONG_CLUSTER;
    if (c->cluster && v->cluster != c->cluster)
        return RGKV_WRONG_CLUSTER;
    if (!view_makes_sense(c, v))
        return RGKV_PROTOCOL;
    if (!c->has_view || v->version > c->view.version)
        view_replace(c, v);
    return RGKV_OK;
}
