/* Members that come and go (P20): what a group's leader says that its log has committed becomes PROMOTED and REMOVED.
 *
 * Only a report made with a view that had the wish counts: an older one may speak of a configuration from before it. */
#include "ctrl/plan_state.h"

const struct ctrl_report_member *plan_member(const struct plan_leader *l, uint64_t id)
{
    for (unsigned i = 0; l->replica && i < l->replica->n_members; i++)
        if (l->replica->members[i].id == id)
            return &l->replica->members[i];
    return NULL;
}

static bool done(const struct plan_leader *l, const struct ctrl_member *m)
{
    const struct ctrl_report_member *told = plan_member(l, m->id);
    return m->state == CTRL_MEMBER_JOINING ? told && told->voter : !told;
}

static void settle(struct plan_round *r, const struct ctrl_group *g, const struct ctrl_member *m, const struct plan_leader *l)
{
    struct ctrl_command k = {.op = m->state == CTRL_MEMBER_JOINING ? CTRL_PROMOTED : CTRL_REMOVED, .gid = g->gid,
                             .incarnation = g->incarnation, .member = m->id};
    const struct plan_since *since = plan_since(r, &k);
    if (l->replica && l->replica->configured && plan_said_after(l->node, since) && done(l, m))
        plan_ask(r, &k);
}

static void settle_group(struct plan_round *r, const struct ctrl_group *g, const struct plan_leader *l)
{
    for (unsigned i = 0; i < g->n; i++)
        if (g->members[i].state != CTRL_MEMBER_IN && g->members[i].node)
            settle(r, g, &g->members[i], l);
}

void plan_members(struct plan_round *r)
{
    struct ctrl_group ctl;
    ctrl_view_controllers(r->v, &ctl);
    struct plan_leader leader = plan_leader(r->p, &ctl, r->now_us);
    plan_bind(r, &ctl);
    plan_follow_addrs(r, &ctl);
    settle_group(r, &ctl, &leader);
    for (unsigned i = 0; i < r->v->n_groups; i++)
        settle_group(r, &r->v->groups[i], &r->groups[i].leader);
}

/* ---- for those who ask ---- */

static struct plan_leader leader_of(const struct ctrl_plan *p, const struct ctrl_view *v, uint64_t gid, uint64_t now_us)
{
    struct ctrl_group ctl;
    ctrl_view_controllers(v, &ctl);
    const struct ctrl_group *g = gid ? ctrl_view_group(v, gid) : &ctl;
    return g ? plan_leader(p, g, now_us) : (struct plan_leader){0};
}

uint64_t ctrl_plan_leader(const struct ctrl_plan *p, const struct ctrl_view *v, uint64_t gid, uint64_t now_us, char ret_addr[ADDR_BYTES_MAX])
{
    struct plan_leader l = leader_of(p, v, gid, now_us);
    if (!l.replica)
        return 0;
    memcpy(ret_addr, l.node->report.addr, ADDR_BYTES_MAX);
    return l.replica->member;
}

bool ctrl_plan_member(const struct ctrl_plan *p, const struct ctrl_view *v, uint64_t gid, uint64_t member, uint64_t now_us,
                      struct ctrl_report_member *ret_m)
{
    struct plan_leader l = leader_of(p, v, gid, now_us);
    const struct ctrl_report_member *told = plan_member(&l, member);
    if (told)
        *ret_m = *told;
    return told != NULL;
}
