/* One round of planning: bind slots, follow addresses, end moves, begin moves, forget what is over. */
#include "base/mutant.h"
#include "ctrl/plan_state.h"

struct plan_group *plan_round_group(const struct plan_round *r, uint64_t gid)
{
    const struct ctrl_group *g = ctrl_view_group(r->v, gid);
    return g ? &r->groups[g - r->v->groups] : NULL;
}

/* ---- slots and addresses ---- */

/* Who listens there now: of two that said so (a machine was wiped and has a new id) the one that said it last. */
static const struct plan_node *node_listening_at(const struct plan_round *r, const struct ctrl_group *g, const char *addr)
{
    const struct plan_node *best = NULL;
    for (unsigned i = 0; i < r->p->n_nodes; i++) {
        const struct plan_node *n = &r->p->nodes[i];
        if (plan_fresh(n, r->now_us) && strcmp(n->report.addr, addr) == 0 && !ctrl_group_has_node(g, n->report.node) &&
            (!best || n->received_us > best->received_us))
            best = n;
    }
    return best;
}

static void bind_member(struct plan_round *r, const struct ctrl_group *g, const struct ctrl_member *m)
{
    const struct plan_node *n = m->node && !MUTANT(bound_again) ? NULL : node_listening_at(r, g, m->addr);
    if (!n)
        return;
    struct ctrl_command k = {.op = CTRL_BIND, .gid = g->gid, .incarnation = g->incarnation, .member = m->id, .node = n->report.node};
    memcpy(k.addr, m->addr, sizeof(k.addr));
    plan_ask(r, &k);
}

/* A group that left still takes the members that were added to it: it may hold shards for long (P21). */
void plan_bind(struct plan_round *r, const struct ctrl_group *g)
{
    for (unsigned i = 0; i < g->n; i++)
        if (g->in_config || g->members[i].state == CTRL_MEMBER_JOINING)
            bind_member(r, g, &g->members[i]);
}

void plan_follow_addrs(struct plan_round *r, const struct ctrl_group *g)
{
    for (unsigned i = 0; i < g->n; i++) {
        const struct ctrl_member *m = &g->members[i];
        const struct plan_node *n = plan_node_fresh(r->p, m->node, r->now_us);
        if (!n || n->report.addr[0] == 0 || strcmp(n->report.addr, m->addr) == 0)
            continue;
        struct ctrl_command k = {.op = CTRL_ADDR, .node = m->node};
        memcpy(k.addr, n->report.addr, sizeof(k.addr));
        plan_ask(r, &k);
    }
}

static void plan_slots(struct plan_round *r)
{
    for (unsigned i = 0; i < r->v->n_groups; i++) {
        plan_bind(r, &r->v->groups[i]);
        plan_follow_addrs(r, &r->v->groups[i]);
    }
}

/* ---- what is over ---- */

/* Was this said by somebody who knew that the thing is there? A node that has just started has no view yet, and what it said then may come
 * late: after it has made the very replica that it did not have. */
bool plan_said_after(const struct plan_node *n, const struct plan_since *since)
{
    return n->received_us > since->us && n->report.view >= since->version;
}

static void plan_drops(struct plan_round *r)
{
    for (unsigned i = 0; i < r->n_drops; i++) {
        const struct ctrl_drop *d = &r->drops[i];
        struct ctrl_command k = {.op = CTRL_DROPPED, .gid = d->gid, .shard = d->shard, .epoch = d->epoch};
        const struct plan_since *since = plan_since(r, &k);
        const struct plan_group *g = plan_round_group(r, d->gid);
        if (!g || !g->leader.replica || !plan_said_after(g->leader.node, since))
            continue;
        const struct ctrl_report_shard *told = plan_shard(&g->leader, d->shard);
        if (!told || told->state == KV_NONE)
            plan_ask(r, &k);
    }
}

static void plan_retire(struct plan_round *r)
{
    for (unsigned i = 0; i < r->v->n_groups; i++) {
        const struct ctrl_group *g = &r->v->groups[i];
        if (!g->in_config && !r->groups[i].busy)
            plan_ask(r, &(struct ctrl_command){.op = CTRL_RETIRE, .gid = g->gid, .incarnation = g->incarnation});
    }
}

static void plan_buried(struct plan_round *r)
{
    for (unsigned i = 0; i < r->v->n_tombstones; i++) {
        const struct ctrl_tombstone *t = &r->v->tombstones[i];
        struct ctrl_command k = {.op = CTRL_BURIED, .gid = t->gid, .incarnation = t->incarnation, .member = t->member};
        const struct plan_since *since = plan_since(r, &k);
        const struct plan_node *n = plan_node_fresh(r->p, t->node, r->now_us);
        if (n && plan_said_after(n, since) && !plan_replica(n, t->gid, t->incarnation, t->member))
            plan_ask(r, &k);
    }
}

/* ---- the round ---- */

static void mark_busy(struct plan_round *r, uint64_t gid)
{
    struct plan_group *g = plan_round_group(r, gid);
    if (g)
        g->busy = true;
}

/* Such a move has something to copy and gets on: it is one of the MOVES_PER_GROUP_MAX. */
bool plan_source_answers(const struct plan_round *r, uint64_t holder)
{
    const struct plan_group *from = plan_round_group(r, holder);
    return from && from->leader.replica && from->leader.node->received_us + SOURCE_SILENT_US >= r->now_us;
}

static void round_begin(struct plan_round *r)
{
    r->groups = mem_zalloc(r->v->n_groups * sizeof(*r->groups));
    for (unsigned i = 0; i < r->v->n_groups; i++)
        r->groups[i].leader = plan_leader(r->p, &r->v->groups[i], r->now_us);
    for (uint32_t s = 0; s < r->v->nshards; s++) {
        mark_busy(r, r->v->shards[s].holder);
        mark_busy(r, r->v->shards[s].target);
        if (r->v->shards[s].target)
            plan_round_group(r, r->v->shards[s].target)->moves += plan_source_answers(r, r->v->shards[s].holder);
    }
    for (unsigned i = 0; i < r->n_drops; i++)
        mark_busy(r, r->drops[i].gid);
    plan_forget_asked(r->p, r->now_us);
    plan_count_asked(r);
    plan_tracks_follow(r);
    r->p->round++;
}

unsigned ctrl_plan_next(struct ctrl_plan *p, const struct ctrl *c, uint64_t now_us, struct ctrl_command *ret_commands, unsigned max)
{
    if (!ctrl_initialised(c))
        return 0;
    struct plan_round r = {.p = p, .v = ctrl_view(c), .now_us = now_us, .out = ret_commands, .max = max};
    r.drops = ctrl_drops(c, &r.n_drops);
    round_begin(&r);
    plan_slots(&r);
    plan_moves_end(&r);
    plan_moves_begin(&r);
    plan_drops(&r);
    plan_retire(&r);
    plan_buried(&r);
    plan_members(&r);
    plan_forget_since(p);
    mem_free(r.groups);
    return r.n;
}
