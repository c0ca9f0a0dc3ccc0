/* Groups from founding to burial: slots are bound to nodes once (P1), a group that left is retired when it holds nothing
 * (P3), its replicas are deleted by tombstones only (P4). */
#include "base/mutant.h"
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

void ctrl_bury_later(struct ctrl *c, const struct ctrl_tombstone *t)
{
    ctrl_view_tombstone_add(&c->view, t);
    ctrl_rows_put_tombstone(c, t);
}

void ctrl_group_retire(struct ctrl *c, uint64_t gid)
{
    const struct ctrl_group *g = ctrl_view_group(&c->view, gid);
    ASSERT(g && ctrl_group_idle(c, gid));
    for (unsigned i = 0; i < g->n; i++)
        if (g->members[i].node)
            ctrl_bury_later(c, &(struct ctrl_tombstone){g->gid, g->incarnation, g->members[i].id, g->members[i].node});
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

/* What is left of an earlier member there must be gone first: one node is never two members of a group. */
static bool node_to_bury(const struct ctrl *c, const struct ctrl_command *k)
{
    for (unsigned i = 0; i < c->view.n_tombstones; i++) {
        const struct ctrl_tombstone *t = &c->view.tombstones[i];
        if (t->gid == k->gid && t->incarnation == k->incarnation && t->node == k->node)
            return true;
    }
    return false;
}

static void bind_check(const struct ctrl *c, const struct ctrl_command *k, const struct ctrl_members *all, const struct ctrl_member *m,
                       struct ctrl_result *r)
{
    if (!m)
        ctrl_refuse(r, RGKV_NOT_FOUND, "group %lu has no member %lu", k->gid, k->member);
    else if (m->node && !MUTANT(bound_again))
        ctrl_refuse(r, RGKV_CONFLICT, "member %lu is taken by node %016lx", m->id, m->node);
    else if (ctrl_members_have_node(all, k->node))
        ctrl_refuse(r, RGKV_CONFLICT, "node %016lx is a member of group %lu already", k->node, k->gid);
    else if (node_to_bury(c, k))
        ctrl_refuse(r, RGKV_BUSY, "node %016lx has not deleted yet what it held as an earlier member of group %lu", k->node, k->gid);
    else if (m->state == CTRL_MEMBER_LEAVING)
        ctrl_refuse(r, RGKV_STALE, "member %lu is leaving", m->id);
    else if (strcmp(m->addr, k->addr) != 0)
        ctrl_refuse(r, RGKV_STALE, "member %lu is at %s, not at %s", m->id, m->addr, k->addr);
}

void ctrl_apply_bind(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct ctrl_members all;
    if (!ctrl_members_named(c, k, &all, r))
        return;
    struct ctrl_member *m = ctrl_members_find(&all, k->member);
    bind_check(c, k, &all, m, r);
    if (r->err)
        return;
    m->node = k->node;
    if (all.group)
        all.group->founded = group_all_bound(all.group);
    ctrl_members_store(c, &all);
}

static void members_move_node(struct ctrl *c, const struct ctrl_members *all, const struct ctrl_command *k)
{
    bool changed = false;
    for (unsigned i = 0; i < *all->n; i++) {
        struct ctrl_member *m = &all->all[i];
        if (m->node == k->node && strcmp(m->addr, k->addr) != 0) {
            addr_copy(m->addr, k->addr);
            changed = true;
        }
    }
    if (changed)
        ctrl_members_store(c, all);
}

void ctrl_apply_addr(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct ctrl_members all;
    if (ctrl_members_of(c, 0, &all))
        members_move_node(c, &all, k);
    for (unsigned i = 0; i < c->view.n_groups; i++)
        if (ctrl_members_of(c, c->view.groups[i].gid, &all))
            members_move_node(c, &all, k);
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
