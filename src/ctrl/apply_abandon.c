/* A group whose machines are gone for ever is given up (P19): never by itself, only when an administrator says so.
 *
 * Each shard that it held has no holder from here on, at one epoch more: it is assigned as a shard that never had one, and
 * begins empty. Who was copying it drops what it has (its epoch is older); revisions begin above any old one, since the epoch is
 * in their high bits. Shards on their way to the group stay where they are. The group holds nothing then, so it is retired, and
 * its members' replicas, should the machines come back after all, are deleted. */
#include "ctrl/state.h"

static void give_up(struct ctrl *c, uint32_t shard)
{
    struct ctrl_shard *s = &c->view.shards[shard];
    s->epoch++;
    if (s->target)
        ctrl_drops_add(c, s->target, shard, s->epoch);
    s->holder = s->target = 0;
    s->active = false;
    ctrl_rows_put_shard(c, shard);
}

static void call_off(struct ctrl *c, uint32_t shard)
{
    struct ctrl_shard *s = &c->view.shards[shard];
    s->epoch++;
    s->target = 0;
    s->active = false;
    ctrl_rows_put_shard(c, shard);
}

static void drops_forget(struct ctrl *c, uint64_t gid)
{
    for (uint32_t s = 0; s < c->view.nshards; s++)
        ctrl_drops_remove(c, gid, s);
}

static void leave_config(struct ctrl *c, uint64_t gid, struct ctrl_result *r)
{
    struct ctrl_config next;
    ctrl_config_next(c, &next);
    ctrl_config_remove(&next, gid);
    ctrl_config_rebalance(&next);
    ctrl_config_install(c, &next, r);
}

void ctrl_apply_abandon(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    if (!ctrl_view_group(&c->view, k->gid)) {
        ctrl_refuse(r, RGKV_NOT_FOUND, "there is no group %lu", k->gid);
        return;
    }
    for (uint32_t s = 0; s < c->view.nshards; s++) {
        if (c->view.shards[s].holder == k->gid)
            give_up(c, s);
        else if (c->view.shards[s].target == k->gid)
            call_off(c, s);
    }
    drops_forget(c, k->gid);
    c->view_changed = true;
    r->config_num = c->config.num;
    if (ctrl_config_has(&c->config, k->gid))
        leave_config(c, k->gid, r);
}
