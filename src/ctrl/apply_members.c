/* Members of a group, or of the controller, come and go (P20). What is written here is the wish; the group's own log decides
 * (one change at a time), and what it has committed comes back as PROMOTED and REMOVED. Only after REMOVED is there a
 * tombstone: until the group has done without it, a member that leaves keeps what it holds.
 *
 * One wish at a time: with an even number of members, or with two that come and go at once, the loss of one machine more would
 * stop the group. A member that joins may always be given up: it may be a machine that never comes. One that leaves may be
 * kept: it may turn out that the group cannot do without it. */
#include "base/mutant.h"
#include "ctrl/state.h"

#include "ctrl/array.h"

#include <stdio.h>

/* ---- the list ---- */

bool ctrl_members_of(struct ctrl *c, uint64_t gid, struct ctrl_members *ret_m)
{
    struct ctrl_group *g = gid ? ctrl_view_group_mut(&c->view, gid) : NULL;
    if (gid && !g)
        return false;
    *ret_m = gid ? (struct ctrl_members){gid, g->incarnation, g->members, &g->n, g}
                 : (struct ctrl_members){0, 0, c->view.controllers, &c->view.n_controllers, NULL};
    return true;
}

bool ctrl_members_named(struct ctrl *c, const struct ctrl_command *k, struct ctrl_members *ret_m, struct ctrl_result *r)
{
    if (!ctrl_members_of(c, k->gid, ret_m))
        ctrl_refuse(r, RGKV_NOT_FOUND, "group %lu is not known", k->gid);
    else if (ret_m->incarnation != k->incarnation)
        ctrl_refuse(r, RGKV_STALE, "group %lu is of config %lu, not %lu", k->gid, ret_m->incarnation, k->incarnation);
    return !r->err;
}

struct ctrl_member *ctrl_members_find(const struct ctrl_members *m, uint64_t id)
{
    for (unsigned i = 0; i < *m->n; i++)
        if (m->all[i].id == id)
            return &m->all[i];
    return NULL;
}

bool ctrl_members_have_node(const struct ctrl_members *m, uint64_t node)
{
    for (unsigned i = 0; i < *m->n; i++)
        if (m->all[i].node == node)
            return true;
    return false;
}

void ctrl_members_store(struct ctrl *c, const struct ctrl_members *m)
{
    if (m->group)
        ctrl_rows_put_group(c, m->group);
    else
        ctrl_rows_put_controllers(c);
    c->view_changed = true;
}

/* ---- what is wanted ---- */

/* A member that is being replaced counts as gone, the one that comes as there. */
static bool wanted(const struct ctrl_members *all, const struct ctrl_member *m)
{
    for (unsigned i = 0; i < *all->n; i++)
        if (all->all[i].replaces == m->id)
            return false;
    return m->state != CTRL_MEMBER_LEAVING;
}

static void config_list(const struct ctrl_members *all, struct ctrl_config_group *g)
{
    g->n = 0;
    for (unsigned i = 0; i < *all->n; i++)
        if (wanted(all, &all->all[i]))
            addr_copy(g->addrs[g->n++], all->all[i].addr);
}

/* The wish of a group that is in the cluster is a new config; the controller is in none, nor is a group that left. */
static void wish_recorded(struct ctrl *c, const struct ctrl_members *all, struct ctrl_result *r)
{
    struct ctrl_config next;
    ctrl_members_store(c, all);
    r->config_num = c->config.num;
    if (!all->group || !ctrl_config_has(&c->config, all->gid))
        return;
    ctrl_config_next(c, &next);
    config_list(all, &next.groups[ctrl_config_group_at(&next, all->gid)]);
    ctrl_config_install(c, &next, r);
}

/* ---- refusals: sentences for a person ---- */

/* "group 101", or "the controller". */
static const char *name_of(uint64_t gid, char to[32])
{
    if (gid)
        snprintf(to, 32, "group %lu", gid);
    else
        snprintf(to, 32, "the controller");
    return to;
}

static const struct ctrl_member *under_way(const struct ctrl_members *all)
{
    for (unsigned i = 0; i < *all->n; i++)
        if (all->all[i].state != CTRL_MEMBER_IN)
            return &all->all[i];
    return NULL;
}

static void refuse_under_way(const struct ctrl_members *all, const struct ctrl_member *busy, struct ctrl_result *r)
{
    char name[32];
    if (busy->state == CTRL_MEMBER_LEAVING)
        ctrl_refuse(r, RGKV_BUSY, "%s: member %lu is still leaving: wait, or keep %lu", name_of(all->gid, name), busy->id, busy->id);
    else
        ctrl_refuse(r, RGKV_BUSY, "%s: member %lu at %s is still joining: wait, or remove %lu to give it up",
                    name_of(all->gid, name), busy->id, busy->addr, busy->id);
}

/* Nobody leaves or comes while it is not even known who there is, or while somebody else does. */
static bool may_change(const struct ctrl_members *all, struct ctrl_result *r)
{
    const struct ctrl_member *busy = under_way(all);
    if (all->group && !all->group->founded)
        ctrl_refuse(r, RGKV_BUSY, "group %lu is still forming: leave it and join it with other addresses", all->gid);
    else if (*all->n == 0)
        ctrl_refuse(r, RGKV_BUSY, "the controllers are not known yet");
    else if (busy)
        refuse_under_way(all, busy, r);
    return !r->err;
}

static uint64_t group_of_member(struct ctrl *c, uint64_t id)
{
    struct ctrl_members all;
    for (unsigned i = 0; i < c->view.n_groups; i++)
        if (ctrl_members_of(c, c->view.groups[i].gid, &all) && ctrl_members_find(&all, id))
            return all.gid;
    return 0;
}

static void refuse_unknown(struct ctrl *c, const struct ctrl_members *all, uint64_t id, struct ctrl_result *r)
{
    uint64_t other = group_of_member(c, id);
    char name[32];
    if (other)
        ctrl_refuse(r, RGKV_NOT_FOUND, "%s has no member %lu: it is one of group %lu", name_of(all->gid, name), id, other);
    else
        ctrl_refuse(r, RGKV_NOT_FOUND, "%s has no member %lu", name_of(all->gid, name), id);
}

static const struct ctrl_member *member_at(const struct ctrl_members *all, const char *addr)
{
    for (unsigned i = 0; i < *all->n; i++)
        if (strcmp(all->all[i].addr, addr) == 0)
            return &all->all[i];
    return NULL;
}

/* ---- the administrator's commands ---- */

static void add_check(struct ctrl *c, const struct ctrl_members *all, const struct ctrl_command *k, struct ctrl_result *r)
{
    const struct ctrl_member *there = member_at(all, k->addr);
    char name[32];
    if (!may_change(all, r))
        return;
    if (k->member && !ctrl_members_find(all, k->member))
        refuse_unknown(c, all, k->member, r);
    else if (there && there->id != k->member)
        ctrl_refuse(r, RGKV_EXISTS, "%s is member %lu of %s already", k->addr, there->id, name_of(all->gid, name));
    else if (*all->n == MEMBERS_MAX)
        ctrl_refuse(r, RGKV_RANGE, "%s has %u members, and there may be no more: remove one first", name_of(all->gid, name), MEMBERS_MAX);
}

void ctrl_apply_add_member(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct ctrl_members all;
    if (!ctrl_members_of(c, k->gid, &all)) {
        ctrl_refuse(r, RGKV_NOT_FOUND, "group %lu is not known", k->gid);
        return;
    }
    add_check(c, &all, k, r);
    if (r->err)
        return;
    struct ctrl_member *m = &all.all[(*all.n)++];
    *m = (struct ctrl_member){.id = c->member_next++, .state = CTRL_MEMBER_JOINING, .replaces = k->member};
    addr_copy(m->addr, k->addr);
    wish_recorded(c, &all, r);
}

static void member_drop(const struct ctrl_members *all, struct ctrl_member *m)
{
    array_remove(all->all, all->n, sizeof(*all->all), (unsigned)(m - all->all));
    memset(&all->all[*all->n], 0, sizeof(*all->all));
}

static void remove_check(struct ctrl *c, const struct ctrl_members *all, const struct ctrl_member *m, uint64_t id, struct ctrl_result *r)
{
    char name[32];
    if (!m)
        refuse_unknown(c, all, id, r);
    else if (m->state == CTRL_MEMBER_LEAVING)
        ctrl_refuse(r, RGKV_BUSY, "%s: member %lu is leaving already", name_of(all->gid, name), id);
    else if (m->state == CTRL_MEMBER_JOINING || !may_change(all, r))
        return;
    else if (*all->n == 1)
        ctrl_refuse(r, RGKV_INVALID, all->gid ? "member %lu is the last one of %s: let the group leave instead" :
                    "member %lu is the last one of %s: without it there is no cluster", id, name_of(all->gid, name));
}

void ctrl_apply_remove_member(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct ctrl_members all;
    if (!ctrl_members_of(c, k->gid, &all)) {
        ctrl_refuse(r, RGKV_NOT_FOUND, "group %lu is not known", k->gid);
        return;
    }
    struct ctrl_member *m = ctrl_members_find(&all, k->member);
    remove_check(c, &all, m, k->member, r);
    if (r->err)
        return;
    m->replaces = 0;
    m->state = CTRL_MEMBER_LEAVING;
    if (m->node == 0)
        member_drop(&all, m); /* no node was ever told of it */
    else if (MUTANT(buried_early))
        ctrl_bury_later(c, &(struct ctrl_tombstone){all.gid, all.incarnation, m->id, m->node});
    wish_recorded(c, &all, r);
}

/* Perhaps the group has done without it already: then it comes back as it is, for nothing of it was deleted yet. */
void ctrl_apply_keep_member(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct ctrl_members all;
    char name[32];
    if (!ctrl_members_of(c, k->gid, &all)) {
        ctrl_refuse(r, RGKV_NOT_FOUND, "group %lu is not known", k->gid);
        return;
    }
    struct ctrl_member *m = ctrl_members_find(&all, k->member);
    if (!m)
        refuse_unknown(c, &all, k->member, r);
    else if (m->state != CTRL_MEMBER_LEAVING)
        ctrl_refuse(r, RGKV_INVALID, "%s: member %lu is not leaving", name_of(k->gid, name), k->member);
    if (r->err)
        return;
    m->state = CTRL_MEMBER_JOINING;
    wish_recorded(c, &all, r);
}

/* ---- what the group has committed ---- */

void ctrl_apply_promoted(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct ctrl_members all;
    if (!ctrl_members_named(c, k, &all, r))
        return;
    struct ctrl_member *m = ctrl_members_find(&all, k->member);
    if (!m || m->state != CTRL_MEMBER_JOINING) {
        ctrl_refuse(r, RGKV_STALE, "member %lu of group %lu is not joining", k->member, k->gid);
        return;
    }
    struct ctrl_member *old = m->replaces ? ctrl_members_find(&all, m->replaces) : NULL;
    if (old)
        old->state = CTRL_MEMBER_LEAVING;
    m->state = CTRL_MEMBER_IN;
    m->replaces = 0;
    ctrl_members_store(c, &all);
}

/* What is left without a founder is no founding list any more. A majority of the founders made their replicas, or they could not have
 * committed this; one that has not yet begins as an empty one and learns from that entry who the members are. (When another member goes, the
 * group may have logged nothing: it may never have let that one in.) */
static void founder_removed(const struct ctrl_members *all)
{
    for (unsigned i = 0; i < *all->n; i++)
        all->all[i].founding = false;
}

void ctrl_apply_removed(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct ctrl_members all;
    if (!ctrl_members_named(c, k, &all, r))
        return;
    struct ctrl_member *m = ctrl_members_find(&all, k->member);
    if (!m || m->state != CTRL_MEMBER_LEAVING) {
        ctrl_refuse(r, RGKV_STALE, "member %lu of group %lu is not leaving", k->member, k->gid);
        return;
    }
    if (m->node && !MUTANT(buried_early))
        ctrl_bury_later(c, &(struct ctrl_tombstone){all.gid, all.incarnation, m->id, m->node});
    bool founder = m->founding;
    member_drop(&all, m);
    if (founder)
        founder_removed(&all);
    ctrl_members_store(c, &all);
}
