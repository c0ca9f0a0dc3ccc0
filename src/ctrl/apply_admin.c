/* Admin commands. JOIN, LEAVE, MOVE: each that succeeds makes exactly one new config, each that fails changes nothing but its recorded
 * result. None of them needs a group to be reachable: what is (placement) follows what is wanted later. */
#include "base/mutant.h"
#include "ctrl/state.h"

#include <stdarg.h>
#include <stdio.h>

void ctrl_refuse(struct ctrl_result *r, enum rgkv_err err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->why, sizeof(r->why), format, args);
    va_end(args);
    r->err = err;
}

void ctrl_config_next(const struct ctrl *c, struct ctrl_config *ret_next)
{
    ctrl_config_copy(&c->config, ret_next);
    ret_next->num++;
}

void ctrl_config_install(struct ctrl *c, struct ctrl_config *next, struct ctrl_result *r)
{
    ctrl_config_release(&c->config);
    c->config = *next;
    ctrl_view_follow_config(c);
    ctrl_rows_put_config(c);
    c->view_changed = true;
    r->config_num = c->config.num;
}

/* ---- join ---- */

static bool group_at_addr(const struct ctrl_group *g, const char *addr)
{
    for (unsigned i = 0; i < g->n; i++)
        if (strcmp(g->members[i].addr, addr) == 0)
            return true;
    return false;
}

static bool members_equal(const struct ctrl_group *g, const struct ctrl_join_group *join)
{
    if (g->n != join->n)
        return false;
    for (unsigned i = 0; i < join->n; i++)
        if (!group_at_addr(g, join->addrs[i]))
            return false;
    return true;
}

static void join_check(const struct ctrl *c, const struct ctrl_join_group *join, struct ctrl_result *r)
{
    const struct ctrl_group *known = ctrl_view_group(&c->view, join->gid);
    if (ctrl_config_has(&c->config, join->gid))
        ctrl_refuse(r, RGKV_EXISTS, "group %lu is in the cluster already: leave it first", join->gid);
    else if (known && !ctrl_group_idle(c, join->gid) && !members_equal(known, join))
        ctrl_refuse(r, RGKV_BUSY, "group %lu left but still holds shards: join it with its old addresses, or wait",
               join->gid);
}

/* The incarnation that the group gets (P3): its old one if it still holds something, else the new config's number. */
static uint64_t join_group(struct ctrl *c, const struct ctrl_join_group *join, uint64_t config_num)
{
    const struct ctrl_group *known = ctrl_view_group(&c->view, join->gid);
    if (known && !ctrl_group_idle(c, join->gid) && !MUTANT(rejoin_anew))
        return known->incarnation;
    if (known)
        ctrl_group_retire(c, join->gid);
    ctrl_group_found(c, join, config_num);
    return config_num;
}

/* Parked shards (P21) are best wanted where they are: the first join after the last leave then moves the fewest. */
static void unpark(const struct ctrl *c, struct ctrl_config *next)
{
    for (uint32_t s = 0; s < next->nshards; s++)
        if (next->shards[s] == 0)
            next->shards[s] = c->view.shards[s].holder;
}

static void apply_join(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    for (unsigned i = 0; !r->err && i < k->n_groups; i++)
        join_check(c, &k->groups[i], r);
    if (!r->err && c->view.n_groups + k->n_groups > GROUPS_MAX)
        ctrl_refuse(r, RGKV_RANGE, "a cluster has at most %u groups", GROUPS_MAX);
    if (r->err)
        return;
    struct ctrl_config next;
    ctrl_config_next(c, &next);
    for (unsigned i = 0; i < k->n_groups; i++)
        ctrl_config_add(&next, &k->groups[i], join_group(c, &k->groups[i], next.num));
    unpark(c, &next);
    ctrl_config_rebalance(&next);
    ctrl_config_install(c, &next, r);
}

/* ---- leave, move ---- */

static void apply_leave(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    for (unsigned i = 0; i < k->n_gids; i++)
        if (!ctrl_config_has(&c->config, k->gids[i])) {
            ctrl_refuse(r, RGKV_NOT_FOUND, "group %lu is not in the cluster", k->gids[i]);
            return;
        }
    struct ctrl_config next;
    ctrl_config_next(c, &next);
    for (unsigned i = 0; i < k->n_gids; i++)
        ctrl_config_remove(&next, k->gids[i]);
    ctrl_config_rebalance(&next);
    ctrl_config_install(c, &next, r);
}

static void apply_move(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    if (k->shard >= c->config.nshards) {
        ctrl_refuse(r, RGKV_RANGE, "shard %u is not between 0 and %u", k->shard, c->config.nshards - 1);
        return;
    }
    if (!ctrl_config_has(&c->config, k->gid)) {
        ctrl_refuse(r, RGKV_NOT_FOUND, "group %lu is not in the cluster", k->gid);
        return;
    }
    struct ctrl_config next;
    ctrl_config_next(c, &next);
    next.shards[k->shard] = k->gid;
    ctrl_config_install(c, &next, r);
}

/* ---- exactly once ---- */

static void admin_execute(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct buf why = {0};
    enum rgkv_err err = ctrl_command_check(k, &why);
    if (err)
        ctrl_refuse(r, err, "%.*s", (int)why.len, (const char *)why.data);
    else if (k->op == CTRL_JOIN)
        apply_join(c, k, r);
    else if (k->op == CTRL_LEAVE)
        apply_leave(c, k, r);
    else if (k->op == CTRL_MOVE)
        apply_move(c, k, r);
    else if (k->op == CTRL_ADD_MEMBER)
        ctrl_apply_add_member(c, k, r);
    else if (k->op == CTRL_REMOVE_MEMBER)
        ctrl_apply_remove_member(c, k, r);
    else if (k->op == CTRL_ABANDON)
        ctrl_apply_abandon(c, k, r);
    else
        ctrl_apply_keep_member(c, k, r);
    buf_release(&why);
}

void ctrl_apply_admin(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    if (ctrl_results_find(&c->results, k, r))
        return;
    if (ctrl_results_expired(&c->results, k)) {
        ctrl_refuse(r, RGKV_SESSION_EXPIRED, "too old: whether it was done before is not known any more");
        return;
    }
    admin_execute(c, k, r);
    ctrl_results_record(c, k, r);
}
