/* Which address a group is asked at now, and the links to get there.
 *
 * A group has one target: its leader as far as is known, else a member. It moves on when the target's link fails, when
 * the target is silent, or when it says that it does not lead; a hint about the leader is followed if its link
 * is not known to fail. A link that failed is not chosen again until the outside says that it is up: it keeps trying
 * as long as the engine has not let go of it.
 *
 * While a group has no leader that answers, one request (the probe) goes from member to member and the others are parked: ten thousand
 * requests in flight must not become ten thousand questions per round of an election. */
#include "client/engine.h"

#include <stdio.h>

/* ---- links ---- */

static void link_effect(struct client *c, enum client_effect_kind kind, const char *addr)
{
    if (c->n_link_effects == c->link_effects_cap) {
        c->link_effects_cap = MAX(c->link_effects_cap * 2, 16);
        c->link_effects = mem_realloc(c->link_effects, c->link_effects_cap * sizeof(c->link_effects[0]));
    }
    struct link_effect *e = &c->link_effects[c->n_link_effects++];
    e->kind = kind;
    snprintf(e->addr, sizeof(e->addr), "%s", addr);
}

struct link *link_find(const struct client *c, const char *addr)
{
    struct link *l;
    HASH_FIND_STR(c->links, addr, l);
    return l;
}

static struct link *link_of(struct client *c, const char *addr)
{
    struct link *l = link_find(c, addr);
    if (l)
        return l;
    l = mem_zalloc(sizeof(*l));
    snprintf(l->addr, sizeof(l->addr), "%s", addr);
    l->idle.owner = TIMER_LINK;
    HASH_ADD_STR(c->links, addr, l);
    return l;
}

static void link_use(struct client *c, struct link *l)
{
    l->used_us = c->now_us;
    if (l->state == LINK_NEW) {
        l->state = LINK_CONNECTING;
        link_effect(c, CLIENT_CONNECT, l->addr);
    }
    if (!l->idle.place)
        timer_set(&c->timers, &l->idle, c->now_us + CLIENT_LINK_IDLE_US);
}

static bool group_has(const struct group *g, const char *addr)
{
    for (unsigned i = 0; i < g->n; i++)
        if (!strcmp(g->addrs[i], addr))
            return true;
    return false;
}

static bool link_is_wanted(const struct client *c, const struct link *l)
{
    for (struct group *g = c->groups; g; g = g->hh.next)
        if (g->target == l || (g->parked && group_has(g, l->addr)))
            return true;
    return false;
}

static void link_let_go(struct client *c, struct link *l)
{
    if (l->state != LINK_NEW)
        link_effect(c, CLIENT_DISCONNECT, l->addr);
    timer_clear(&c->timers, &l->idle);
    HASH_DEL(c->links, l);
    mem_free(l);
}

/* Leaders stay connected, the next operation should not wait for that; so does whoever could end somebody's waiting. */
void link_idle(struct client *c, struct link *l)
{
    bool idle = !l->sent && c->now_us - l->used_us >= CLIENT_LINK_IDLE_US && !link_is_wanted(c, l);
    if (idle)
        link_let_go(c, l);
    else
        timer_set(&c->timers, &l->idle, c->now_us + CLIENT_LINK_IDLE_US);
}

static void group_aim(struct group *g, struct link *l)
{
    if (g->target != l)
        g->led = false;
    g->target = l;
}

void link_up(struct client *c, const char *addr)
{
    struct link *l = link_find(c, addr);
    if (!l)
        return;
    l->state = LINK_UP;
    for (struct group *g = c->groups; g; g = g->hh.next) {
        bool stuck = g->parked && (!g->target || g->target->state == LINK_FAILED);
        if (stuck && group_has(g, addr))
            group_aim(g, l);
        if (g->target == l)
            request_ready_all(c, &g->parked);
    }
}

static void link_failed(struct client *c, struct link *l)
{
    if (l->state == LINK_FAILED)
        return;
    l->state = LINK_FAILED;
    for (struct group *g = c->groups; g; g = g->hh.next)
        if (g->target == l) {
            g->led = false;
            request_ready_all(c, &g->parked);
        }
}

/* What was sent over it may have arrived: those copies stay open. */
void link_down(struct client *c, const char *addr)
{
    struct link *l = link_find(c, addr);
    if (!l)
        return;
    request_ready_all(c, &l->sent);
    link_failed(c, l);
}

/* ---- groups ---- */

struct group *group_known(const struct client *c, uint64_t gid)
{
    struct group *g;
    HASH_FIND(hh, c->groups, &gid, sizeof(gid), g);
    return g;
}

static void group_add(struct group *g, const char *addr)
{
    if (addr[0] && g->n < ARRAY_LEN(g->addrs) && !group_has(g, addr))
        snprintf(g->addrs[g->n++], ADDR_BYTES_MAX, "%s", addr);
}

static void group_add_members(struct group *g, const struct ctrl_member *members, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        group_add(g, members[i].addr);
}

/* The hints of the command line stay at the end: a list from a view may be all wrong one day. */
static void group_read_controllers(struct client *c, struct group *g)
{
    if (c->has_view)
        group_add_members(g, c->view.controllers, c->view.n_controllers);
    for (unsigned i = 0; i < c->n_hints; i++)
        group_add(g, c->hints[i]);
}

void group_members(struct client *c, struct group *g)
{
    g->n = 0;
    const struct ctrl_group *known = g->gid && c->has_view ? ctrl_view_group(&c->view, g->gid) : NULL;
    if (!g->gid)
        group_read_controllers(c, g);
    else if (known)
        group_add_members(g, known->members, known->n);
}

struct group *group_of(struct client *c, uint64_t gid)
{
    struct group *g = group_known(c, gid);
    if (g || (gid && (!c->has_view || !ctrl_view_group(&c->view, gid))))
        return g;
    g = mem_zalloc(sizeof(*g));
    g->gid = gid;
    g->connect.owner = TIMER_GROUP;
    group_members(c, g);
    HASH_ADD(hh, c->groups, gid, sizeof(g->gid), g);
    return g;
}

void group_free(struct client *c, struct group *g)
{
    timer_clear(&c->timers, &g->connect);
    HASH_DELETE(hh, c->groups, g);
    mem_free(g);
}

static bool members_changed(const struct group *g, unsigned n, char before[][ADDR_BYTES_MAX])
{
    return n != g->n || memcmp(before, g->addrs, n * ADDR_BYTES_MAX) != 0;
}

static void group_update(struct client *c, struct group *g)
{
    char before[MEMBERS_MAX * 2][ADDR_BYTES_MAX];
    unsigned n = g->n;
    memcpy(before, g->addrs, n * ADDR_BYTES_MAX);
    group_members(c, g);
    if (!members_changed(g, n, before))
        return;
    if (g->target && !group_has(g, g->target->addr))
        group_aim(g, NULL);
    request_ready_all(c, &g->parked);
}

void groups_update(struct client *c)
{
    struct group *g, *next;
    HASH_ITER(hh, c->groups, g, next)
    {
        group_update(c, g);
        if (!g->n && g->gid && !g->parked)
            group_free(c, g);
    }
}

static unsigned group_place(const struct client *c, const struct group *g, const struct link *l)
{
    for (unsigned i = 0; l && i < g->n; i++)
        if (!strcmp(g->addrs[i], l->addr))
            return i;
    return g->n;
}

/* The next member after `at` whose link is not known to fail, or NULL. */
static struct link *group_next(struct client *c, struct group *g, unsigned at)
{
    for (unsigned i = 1; i <= g->n; i++) {
        struct link *l = link_of(c, g->addrs[(at + i) % g->n]);
        if (l->state != LINK_FAILED)
            return l;
        link_use(c, l);
    }
    return NULL;
}

/* Nobody is known to lead: clients should not all begin with the same member. */
static void group_choose(struct client *c, struct group *g)
{
    if (!g->n)
        return;
    unsigned at = g->target ? group_place(c, g, g->target) : (unsigned)prng_below(&c->prng, g->n);
    struct link *l = group_next(c, g, at);
    if (l)
        group_aim(g, l);
}

struct link *group_link(struct client *c, struct group *g)
{
    if (!g->asked_us)
        g->asked_us = MAX(c->now_us, 1);
    if (!g->target || g->target->state == LINK_FAILED)
        group_choose(c, g);
    if (!g->target)
        return NULL;
    link_use(c, g->target);
    return g->target->state == LINK_UP ? g->target : NULL;
}

void group_park(struct client *c, struct group *g, struct request *r)
{
    request_move(c, r, REQUEST_PARKED, &g->parked);
    request_wake_at(c, r, UINT64_MAX);
    bool connecting = g->target && g->target->state == LINK_CONNECTING;
    if (connecting && !g->connect.place)
        timer_set(&c->timers, &g->connect, c->now_us + CLIENT_CONNECT_US);
}

/* A network that swallows packets tells nothing: another member is tried meanwhile. */
void group_connect_late(struct client *c, struct group *g)
{
    timer_clear(&c->timers, &g->connect);
    if (g->parked && g->target && g->target->state == LINK_CONNECTING)
        link_failed(c, g->target);
}

void group_reached(struct client *c, struct group *g, struct link *l)
{
    g->target = l;
    g->reached_us = MAX(c->now_us, 1);
    g->asked_us = 0;
    if (g->led)
        return;
    g->led = true;
    g->probe = 0;
    request_ready_all(c, &g->parked);
}

bool group_may_ask(struct group *g, const struct request *r)
{
    if (!g->led && !g->probe)
        g->probe = r->id;
    return g->led || g->probe == r->id;
}

void group_probe_over(struct client *c, const struct request *r)
{
    struct group *g = group_known(c, r->gid);
    if (!g || g->probe != r->id)
        return;
    g->probe = 0;
    request_ready_all(c, &g->parked);
}

void group_rotate(struct client *c, struct group *g, const struct link *away_from)
{
    if (!g->n || (g->target && g->target != away_from))
        return; /* somebody else moved it already */
    g->led = false;
    struct link *l = group_next(c, g, group_place(c, g, away_from));
    if (l)
        group_aim(g, l);
}

static struct link *hinted_link(struct client *c, const char *addr)
{
    struct link *l = link_find(c, addr);
    if (!l && HASH_COUNT(c->links) < CLIENT_LINKS_MAX)
        l = link_of(c, addr);
    return l && l->state != LINK_FAILED ? l : NULL;
}

bool group_hint(struct client *c, struct group *g, const struct link *from, const char *addr)
{
    if (g->target && g->target != from)
        return true; /* an answer to an older question; the group has a new target since */
    struct link *l = addr[0] ? hinted_link(c, addr) : NULL;
    if (!l || l == from) {
        group_rotate(c, g, from);
        return false;
    }
    group_aim(g, l);
    return true;
}
