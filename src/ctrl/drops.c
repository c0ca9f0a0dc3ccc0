/* What groups still have to throw away: an old holder its frozen copy, an aborted destination what it had imported. A list of
 * its own that blocks no move (P15); it only keeps a group that left known until it is clean (P3). A new import of the same
 * shard clears the range anyway, so prepare removes the entry (P10). */
#include "ctrl/state.h"

#include "ctrl/array.h"

static unsigned drops_at(const struct ctrl *c, uint64_t gid, uint32_t shard)
{
    unsigned low = 0, high = c->n_drops;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        const struct ctrl_drop *d = &c->drops[middle];
        if (d->gid < gid || (d->gid == gid && d->shard < shard))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct ctrl_drop *ctrl_drops_find(const struct ctrl *c, uint64_t gid, uint32_t shard)
{
    unsigned at = drops_at(c, gid, shard);
    bool found = at < c->n_drops && c->drops[at].gid == gid && c->drops[at].shard == shard;
    return found ? &c->drops[at] : NULL;
}

bool ctrl_drops_of(const struct ctrl *c, uint64_t gid)
{
    unsigned at = drops_at(c, gid, 0);
    return at < c->n_drops && c->drops[at].gid == gid;
}

void ctrl_drops_restore(struct ctrl *c, const struct ctrl_drop *d)
{
    unsigned at = drops_at(c, d->gid, d->shard);
    if (!ctrl_drops_find(c, d->gid, d->shard))
        c->drops = array_insert(c->drops, &c->n_drops, sizeof(*c->drops), at);
    c->drops[at] = *d;
}

void ctrl_drops_add(struct ctrl *c, uint64_t gid, uint32_t shard, uint64_t epoch)
{
    struct ctrl_drop d = {.gid = gid, .epoch = epoch, .shard = shard};
    ctrl_drops_restore(c, &d);
    ctrl_rows_put_drop(c, &d);
}

void ctrl_drops_remove(struct ctrl *c, uint64_t gid, uint32_t shard)
{
    if (!ctrl_drops_find(c, gid, shard))
        return;
    array_remove(c->drops, &c->n_drops, sizeof(*c->drops), drops_at(c, gid, shard));
    ctrl_rows_delete_drop(c, gid, shard);
}

const struct ctrl_drop *ctrl_drops(const struct ctrl *c, unsigned *ret_n)
{
    *ret_n = c->n_drops;
    return c->drops;
}
