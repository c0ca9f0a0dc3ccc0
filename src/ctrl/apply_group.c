/* Groups from founding to burial: slots are bound to nodes once (P1), a group that left is retired when it holds nothing
 * (P3), its replicas are deleted by tombstones only (P4). */
#include "ctrl/state.h"

bool ctrl_group_idle(const struct ctrl *c, uint64_t gid)
{
    return !ctrl_view_group_holds(&c->view, gid) && !ctrl_drops_of(c, gid);
}

void ctrl_group_found(struct ctrl *c, const struct ctrl_join_group *join, uint64_t incarnation)
{
    struct ctrl_group *g = ctrl_view_group_add(&c->view, join->gid);
    g->incarnation = incarnation;
    g->n = join->n;
    for (unsigned i = 0; i < join->n; i++) {
        struct ctrl_member *m = &g->members[i];
        m->id = c->member_next++;
        m->founding = true;
        addr_copy(m->addr, join->addrs[i]);
    }
    ctrl_rows_put_group(c, g);
}

static void bury_later(struct ctrl *c, const struct ctrl_group *g, const struct ctrl_member *m)
{
    struct ctrl_tombstone t = {g->gid, g->incarnation, m->id, m->node};
    ctrl_view_tombstone_add(&c->view, &t);
    ctrl_rows_put_tombstone(c, &t);
}

void ctrl_group_retire(struct ctrl *c, uint64_t gid)
{
    const struct ctrl_group *g = ctrl_view_group(&c->view, gid);
    ASSERT(g && ctrl_group_idle(c, gid));
    for (unsigned i = 0; i < g->n; i++)
        if (g->members[i].node)
            bury_later(c, g, &g->members[i]);
    ctrl_rows_delete_group(c, gid);
    ctrl_view_group_remove(&c->view, gid);
    c->view_changed = true;
}

void ctrl_view_follow_config(struct ctrl *c)
{
    c->view.config_num = c->config.num;
    for (uint32_t s = 0; s < c->view.nshards; s++)
        c->view.shards[s].wanted = c->config.shards[s];
    for (unsigned i = 0; i < c->view.n_groups; i++)
        c->view.groups[i].in_config = ctrl_config_has(&c->config, c->view.groups[i].gid);
}

static struct ctrl_group *group_named(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct ctrl_group *g = ctrl_view_group_mut(&c->view, k->gid);
    if (!g)
        ctrl_refuse(r, RGKV_NOT_FOUND, "group %lu is not known", k->gid);
    else if (g->incarnation != k->incarnation)
        ctrl_refuse(r, RGKV_STALE, "group %lu is of config %lu, not %lu", k->gid, g->incarnation, k->incarnation);
    return r->err ? NULL : g;
}

static bool group_all_bound(const struct ctrl_group *g)
{
    for (unsigned i = 0; i < g->n; i++)
        if (g->members[i].founding && !g->members[i].node)
            return false;
    return true;
}

void ctrl_apply_bind(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct ctrl_group *g = group_named(c, k, r);
    if (!g)
        return;
    struct ctrl_member *m = ctrl_group_member(g, k->member);
    if (!m) {
        ctrl_refuse(r, RGKV_NOT_FOUND, "group %lu has no member %lu", k->gid, k->member);
    } else if (m->node) {
        ctrl_refuse(r, RGKV_CONFLICT, "member %lu is taken by node %016lx", m->id, m->node);
    } else if (ctrl_group_has_node(g, k->node)) {
        ctrl_refuse(r, RGKV_CONFLICT, "node %016lx is a member of group %lu already", k->node, g->gid);
    } else if (strcmp(m->addr, k->addr) != 0) {
        ctrl_refuse(r, RGKV_STALE, "member %lu is at %s, not at %s", m->id, m->addr, k->addr);
    } else {
        m->node = k->node;
        g->founded = group_all_bound(g);
        ctrl_rows_put_group(c, g);
        c->view_changed = true;
    }
}

static bool group_move_node(struct ctrl_group *g, uint64_t node, const char *addr)
{
    bool changed = false;
    for (unsigned i = 0; i < g->n; i++) {
        struct ctrl_member *m = &g->members[i];
        if (m->node == node && strcmp(m->addr, addr) != 0) {
            addr_copy(m->addr, addr);
            changed = true;
        }
    }
    return changed;
}

void ctrl_apply_addr(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    for (unsigned i = 0; i < c->view.n_groups; i++)
        if (group_move_node(&c->view.groups[i], k->node, k->addr)) {
            ctrl_rows_put_group(c, &c->view.groups[i]);
            c->view_changed = true;
        }
}

void ctrl_apply_retire(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    const struct ctrl_group *g = group_named(c, k, r);
    if (!g)
        return;
    if (g->in_config)
        ctrl_refuse(r, RGKV_BUSY, "group %lu is in the cluster", k->gid);
    else if (!ctrl_group_idle(c, k->gid))
        ctrl_refuse(r, RGKV_BUSY, "group %lu still holds or has to drop shards", k->gid);
    else
        ctrl_group_retire(c, k->gid);
}

void ctrl_apply_buried(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct ctrl_tombstone t = {.gid = k->gid, .incarnation = k->incarnation, .member = k->member};
    if (!ctrl_view_tombstone_remove(&c->view, &t)) {
        ctrl_refuse(r, RGKV_NOT_FOUND, "no tombstone for member %lu of group %lu", k->member, k->gid);
        return;
    }
    ctrl_rows_delete_tombstone(c, &t);
    c->view_changed = true;
}
