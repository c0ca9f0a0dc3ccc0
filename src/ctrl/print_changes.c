/* `events`: two placements compared, a line for each difference: NAME KEY=VALUE … */
#include "ctrl/text.h"

static void print_members(const struct ctrl_group *g, struct buf *out)
{
    for (unsigned i = 0; i < g->n; i++)
        buf_printf(out, "%s%s", i ? "," : "", g->members[i].addr);
}

static bool same_group(const struct ctrl_group *a, const struct ctrl_group *b) { return b && a->incarnation == b->incarnation; }

static void compare_members(const struct ctrl_group *before, const struct ctrl_group *after, struct buf *out)
{
    for (unsigned i = 0; i < after->n; i++) {
        const struct ctrl_member *now = &after->members[i], *was = NULL;
        for (unsigned k = 0; before && k < before->n; k++)
            if (before->members[k].id == now->id)
                was = &before->members[k];
        if (now->node && (!was || was->node != now->node))
            buf_printf(out, "member group=%lu id=%lu state=bound addr=%s\n", after->gid, now->id, now->addr);
    }
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
