/* `events`: two placements compared, a line for each difference: NAME KEY=VALUE … */
#include "ctrl/text.h"

static void print_members(const struct ctrl_group *g, struct buf *out)
{
    for (unsigned i = 0; i < g->n; i++)
        buf_printf(out, "%s%s", i ? "," : "", g->members[i].addr);
}

static bool same_group(const struct ctrl_group *a, const struct ctrl_group *b) { return b && a->incarnation == b->incarnation; }

static const struct ctrl_member *member_in(const struct ctrl_group *g, uint64_t id)
{
    for (unsigned i = 0; g && i < g->n; i++)
        if (g->members[i].id == id)
            return &g->members[i];
    return NULL;
}

static void print_member(const struct ctrl_group *g, const struct ctrl_member *m, const char *state, struct buf *out)
{
    buf_printf(out, "member group=");
    if (g->gid)
        buf_printf(out, "%lu", g->gid);
    else
        buf_printf(out, "ctl");
    buf_printf(out, " id=%lu state=%s addr=%s\n", m->id, state, m->addr);
}

static void compare_member(const struct ctrl_group *g, const struct ctrl_member *was, const struct ctrl_member *now, struct buf *out)
{
    static const char *const words[] = {[CTRL_MEMBER_IN] = "in", [CTRL_MEMBER_JOINING] = "joining", [CTRL_MEMBER_LEAVING] = "leaving"};
    enum ctrl_member_state before = was ? was->state : CTRL_MEMBER_IN;
    if (now->state != before)
        print_member(g, now, before == CTRL_MEMBER_LEAVING ? "kept" : words[now->state], out);
    if (now->node && (!was || was->node != now->node))
        print_member(g, now, "bound", out);
}

static void compare_members(const struct ctrl_group *before, const struct ctrl_group *after, struct buf *out)
{
    for (unsigned i = 0; i < after->n; i++)
        compare_member(after, member_in(before, after->members[i].id), &after->members[i], out);
    for (unsigned i = 0; before && i < before->n; i++)
        if (!member_in(after, before->members[i].id))
            print_member(before, &before->members[i], "gone", out);
}

static void compare_group(const struct ctrl_group *before, const struct ctrl_group *after, struct buf *out)
{
    if (!same_group(after, before)) {
        buf_printf(out, "group id=%lu state=joined members=", after->gid);
        print_members(after, out);
        buf_printf(out, "\n");
        before = NULL;
    }
    compare_members(before, after, out);
    if (after->founded && !(before && before->founded))
        buf_printf(out, "group id=%lu state=founded\n", after->gid);
    if (before && before->in_config && !after->in_config)
        buf_printf(out, "group id=%lu state=leaving\n", after->gid);
}

static void compare_groups(const struct ctrl_view *before, const struct ctrl_view *after, struct buf *out)
{
    struct ctrl_group ctl_before, ctl_after;
    ctrl_view_controllers(before, &ctl_before);
    ctrl_view_controllers(after, &ctl_after);
    compare_members(&ctl_before, &ctl_after, out);
    for (unsigned i = 0; i < after->n_groups; i++)
        compare_group(ctrl_view_group(before, after->groups[i].gid), &after->groups[i], out);
    for (unsigned i = 0; i < before->n_groups; i++)
        if (!same_group(&before->groups[i], ctrl_view_group(after, before->groups[i].gid)))
            buf_printf(out, "group id=%lu state=gone\n", before->groups[i].gid);
}

static void compare_shard(uint32_t shard, const struct ctrl_shard *was, const struct ctrl_shard *now, struct buf *out)
{
    if (now->target && (now->target != was->target || now->epoch != was->epoch))
        buf_printf(out, "shard id=%u state=moving from=%lu to=%lu epoch=%lu\n", shard, now->holder, now->target, now->epoch);
    else if (!now->target && was->target && now->holder == was->holder && now->epoch != was->epoch)
        buf_printf(out, "shard id=%u state=given-up group=%lu epoch=%lu\n", shard, now->holder, now->epoch);
    else if (now->holder != was->holder)
        buf_printf(out, "shard id=%u state=handed-over from=%lu to=%lu epoch=%lu\n", shard, was->holder, now->holder, now->epoch);
    if (now->active && !now->target && (!was->active || was->holder != now->holder))
        buf_printf(out, "shard id=%u state=serving group=%lu epoch=%lu\n", shard, now->holder, now->epoch);
}

void ctrl_print_changes(const struct ctrl_view *before, const struct ctrl_view *after, struct buf *out)
{
    if (after->config_num != before->config_num)
        buf_printf(out, "config num=%lu\n", after->config_num);
    compare_groups(before, after, out);
    for (uint32_t s = 0; s < MIN(before->nshards, after->nshards); s++)
        compare_shard(s, &before->shards[s], &after->shards[s], out);
    if (ctrl_settled(after) && (!ctrl_settled(before) || after->config_num != before->config_num))
        buf_printf(out, "settled config=%lu\n", after->config_num);
}
