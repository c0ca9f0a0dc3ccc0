#include "fuse/health.h"

#include <stdio.h>

#define LOOK_MS 500u
#define PROBE_US 2500000u      /* shorter than a group may be unheard of before it counts as down, so another one is under way then */
#define FIRST_LOOK_MS 300u

enum word { WORD_UNKNOWN, WORD_OK, WORD_DOWN, WORD_EMPTY };
static const char *const words[] = {"unknown", "ok", "down", "empty"};

struct group {
    uint64_t gid;
    enum word word;            /* as told last */
    bool asked;                /* a probe is under way */
    struct health *health;
};

struct health {
    struct mount *m;
    uv_timer_t timer;
    void (*changed)(struct mount *m, const char *line);
    struct group *groups[GROUPS_MAX];
    unsigned n, asked;
    bool reached, closing, closed;
    uint64_t probes;
};

static const struct client *engine(const struct health *h) { return net_client_engine(h->m->client); }

static bool controller_reached(const struct health *h)
{
    struct client_stats s;
    client_stats(engine(h), &s);
    return s.controller_reached;
}

/* ---- what is known ---- */

/* A shard that the group holds now; false: none, nothing can be asked of it and nothing depends on it. */
static bool shard_of(const struct ctrl_view *v, uint64_t gid, uint32_t *ret_shard)
{
    for (uint32_t s = 0; s < v->nshards; s++)
        if (v->shards[s].holder == gid) {
            *ret_shard = s;
            return true;
        }
    return false;
}

static enum word word_of(const struct health *h, const struct ctrl_view *v, uint64_t gid)
{
    uint32_t shard;
    if (!shard_of(v, gid, &shard))
        return WORD_EMPTY;
    switch (client_group_health(engine(h), gid)) {
    case CLIENT_GROUP_OK: return WORD_OK;
    case CLIENT_GROUP_DOWN: return WORD_DOWN;
    case CLIENT_GROUP_UNKNOWN: break;
    }
    return WORD_UNKNOWN;
}

static bool all_well(const struct health *h, const struct ctrl_view *v)
{
    for (unsigned i = 0; v && i < v->n_groups; i++) {
        enum word w = word_of(h, v, v->groups[i].gid);
        if (w != WORD_OK && w != WORD_EMPTY)
            return false;
    }
    return true;
}

void health_print(const struct health *h, struct buf *out)
{
    const struct ctrl_view *v = client_view(engine(h));
    bool reached = controller_reached(h);
    buf_printf(out, "%s\nctl %s\n", !reached ? "down" : all_well(h, v) ? "ok" : "degraded", reached ? "ok" : "down");
    for (unsigned i = 0; v && i < v->n_groups; i++)
        buf_printf(out, "%lu %s\n", v->groups[i].gid, words[word_of(h, v, v->groups[i].gid)]);
}

uint64_t health_probes(const struct health *h) { return h->probes; }

/* ---- asking ---- */

static struct group *group_of(struct health *h, uint64_t gid)
{
    for (unsigned i = 0; i < h->n; i++)
        if (h->groups[i]->gid == gid)
            return h->groups[i];
    if (h->n == GROUPS_MAX)
        return NULL;
    struct group *g = h->groups[h->n++] = mem_zalloc(sizeof *g);
    g->gid = gid;
    g->health = h;
    return g;
}

static void free_if_done(struct health *h)
{
    if (!h->closed || h->asked)
        return;
    for (unsigned i = 0; i < h->n; i++)
        mem_free(h->groups[i]);
    mem_free(h);
}

static void say(struct health *h, const char *line)
{
    if (!h->closing)
        h->changed(h->m, line);
}

static void follow(struct health *h, const struct ctrl_view *v, struct group *g)
{
    enum word now = word_of(h, v, g->gid), before = g->word;
    char line[96];
    g->word = now;
    if (now == before || now == WORD_UNKNOWN || now == WORD_EMPTY || (now == WORD_OK && before != WORD_DOWN))
        return;
    snprintf(line, sizeof line, "health group=%lu state=%s", g->gid, words[now]);
    say(h, line);
}

static void answered(void *arg, const struct client_effect *e)
{
    struct group *g = arg;
    struct health *h = g->health;
    g->asked = false;
    h->asked--;
    const struct ctrl_view *v = client_view(engine(h));
    if (v && !h->closing)
        follow(h, v, g);
    free_if_done(h);
}

static void ask(struct health *h, struct group *g, uint32_t shard)
{
    struct kv_request q = {.op = KV_TIME, .shard = shard};
    g->asked = true;
    h->asked++;
    h->probes++;
    net_client_submit(h->m->client, &(struct client_request){.kind = CLIENT_KV, .kv = &q}, PROBE_US, answered, g);
}

static void look_at(struct health *h, const struct ctrl_view *v, uint64_t gid)
{
    struct group *g = group_of(h, gid);
    uint32_t shard;
    if (!g)
        return;
    follow(h, v, g);
    if (!g->asked && shard_of(v, gid, &shard))
        ask(h, g, shard);
}

static void look_at_controller(struct health *h)
{
    bool reached = controller_reached(h);
    if (reached != h->reached)
        say(h, reached ? "health group=ctl state=ok" : "health group=ctl state=down");
    h->reached = reached;
}

void health_look(struct health *h)
{
    const struct ctrl_view *v = client_view(engine(h));
    if (h->closing)
        return;
    look_at_controller(h);
    for (unsigned i = 0; v && i < v->n_groups; i++)
        look_at(h, v, v->groups[i].gid);
}

static void on_timer(uv_timer_t *timer) { health_look(timer->data); }

/* ---- beginning and end ---- */

static void wake(uv_timer_t *timer) { (void)timer; }

static void first_look(struct health *h)
{
    uint64_t until = mount_now_us(h->m) + FIRST_LOOK_MS * 1000u;
    health_look(h);
    uv_timer_start(&h->timer, wake, FIRST_LOOK_MS, 0);
    while (h->asked && mount_now_us(h->m) < until)
        uv_run(h->m->loop, UV_RUN_ONCE);
}

struct health *health_new(struct mount *m, void (*changed)(struct mount *m, const char *line))
{
    struct health *h = mem_zalloc(sizeof *h);
    h->m = m;
    h->changed = changed;
    h->reached = true;
    uv_timer_init(m->loop, &h->timer);
    h->timer.data = h;
    first_look(h);
    uv_timer_start(&h->timer, on_timer, LOOK_MS, LOOK_MS);
    return h;
}

static void on_closed(uv_handle_t *handle)
{
    struct health *h = handle->data;
    h->closed = true;
    free_if_done(h);
}

void health_close(struct health *h)
{
    h->closing = true;
    uv_close((uv_handle_t *)&h->timer, on_closed);
}
