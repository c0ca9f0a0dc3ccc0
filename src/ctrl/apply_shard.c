/* The phases of one shard's move, each compare-and-set on (shard, epoch, phase): the epoch is the only fence (P17). The
 * drawing is at the head of ctrl.h. */
#include "base/mutant.h"
#include "ctrl/state.h"

static struct ctrl_shard *shard_named(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    if (k->shard >= c->view.nshards) {
        ctrl_refuse(r, RGKV_RANGE, "shard %u is not between 0 and %u", k->shard, c->view.nshards - 1);
        return NULL;
    }
    struct ctrl_shard *s = &c->view.shards[k->shard];
    if (s->epoch == k->epoch)
        return s;
    ctrl_refuse(r, RGKV_STALE, "shard %u is at epoch %lu, not %lu", k->shard, s->epoch, k->epoch);
    return NULL;
}

static struct ctrl_shard *shard_moving(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct ctrl_shard *s = shard_named(c, k, r);
    if (!s || s->target)
        return s;
    ctrl_refuse(r, RGKV_STALE, "shard %u is not moving", k->shard);
    return NULL;
}

static struct ctrl_shard *shard_resting(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct ctrl_shard *s = shard_named(c, k, r);
    if (!s || !s->target)
        return s;
    ctrl_refuse(r, RGKV_STALE, "shard %u is moving", k->shard);
    return NULL;
}

static void shard_changed(struct ctrl *c, uint32_t shard)
{
    ctrl_rows_put_shard(c, shard);
    c->view_changed = true;
}

/* The next move starts only after the last one ended in active (P15); a shard without holder may always go (P13). */
void ctrl_apply_prepare(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct ctrl_shard *s = shard_resting(c, k, r);
    if (!s)
        return;
    const struct ctrl_group *target = ctrl_view_group(&c->view, k->gid);
    if (s->holder && !s->active) {
        ctrl_refuse(r, RGKV_BUSY, "group %lu does not serve shard %u yet", s->holder, k->shard);
    } else if (!target || !target->in_config) {
        ctrl_refuse(r, RGKV_NOT_FOUND, "group %lu is not in the cluster", k->gid);
    } else if (s->holder == k->gid) {
        ctrl_refuse(r, RGKV_EXISTS, "group %lu holds shard %u", k->gid, k->shard);
    } else {
        s->epoch++;
        s->target = k->gid;
        ctrl_drops_remove(c, k->gid, k->shard);
        shard_changed(c, k->shard);
    }
}

void ctrl_apply_commit(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct ctrl_shard *s = shard_moving(c, k, r);
    if (!s)
        return;
    if (s->holder)
        ctrl_drops_add(c, s->holder, k->shard, s->epoch);
    s->holder = s->target;
    s->target = 0;
    s->active = MUTANT(active_unreported);
    shard_changed(c, k->shard);
}

void ctrl_apply_active(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct ctrl_shard *s = shard_resting(c, k, r);
    if (!s || s->active)
        return;
    if (!s->holder) {
        ctrl_refuse(r, RGKV_STALE, "shard %u has no holder", k->shard);
        return;
    }
    s->active = true;
    shard_changed(c, k->shard);
}

/* The holder must report that it serves the new epoch before anything else happens to the shard (P14, P15). What the
 * destination has imported so far is older than the new epoch and is to be dropped. */
void ctrl_apply_abort(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct ctrl_shard *s = shard_moving(c, k, r);
    if (!s)
        return;
    s->epoch += !MUTANT(abort_same_epoch);
    ctrl_drops_add(c, s->target, k->shard, s->epoch);
    s->target = 0;
    s->active = false;
    shard_changed(c, k->shard);
}

void ctrl_apply_dropped(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    const struct ctrl_drop *d = ctrl_drops_find(c, k->gid, k->shard);
    if (!d || d->epoch != k->epoch)
        ctrl_refuse(r, RGKV_STALE, "group %lu has nothing of shard %u to drop at epoch %lu", k->gid, k->shard, k->epoch);
    else
        ctrl_drops_remove(c, k->gid, k->shard);
}
