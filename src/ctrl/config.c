/* Configs as values: copied, released, searched, and the next one made from the newest. */
#include "ctrl/state.h"

#include "ctrl/array.h"
#include "ctrl/balance.h"

void ctrl_config_release(struct ctrl_config *c)
{
    mem_free(c->shards);
    mem_free(c->groups);
    *c = (struct ctrl_config){0};
}

void ctrl_config_copy(const struct ctrl_config *from, struct ctrl_config *ret_to)
{
    *ret_to = *from;
    ret_to->shards = array_copy(from->shards, from->nshards, sizeof(*from->shards));
    ret_to->groups = array_copy(from->groups, from->n_groups, sizeof(*from->groups));
}

unsigned ctrl_config_group_at(const struct ctrl_config *c, uint64_t gid)
{
    unsigned low = 0, high = c->n_groups;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (c->groups[middle].gid < gid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool ctrl_config_has(const struct ctrl_config *c, uint64_t gid)
{
    unsigned at = ctrl_config_group_at(c, gid);
    return at < c->n_groups && c->groups[at].gid == gid;
}

void ctrl_config_add(struct ctrl_config *c, const struct ctrl_join_group *g, uint64_t incarnation)
{
    unsigned at = ctrl_config_group_at(c, g->gid);
    c->groups = array_insert(c->groups, &c->n_groups, sizeof(*c->groups), at);
    struct ctrl_config_group *added = &c->groups[at];
    added->gid = g->gid;
    added->incarnation = incarnation;
    added->n = g->n;
    for (unsigned i = 0; i < g->n; i++)
        addr_copy(added->addrs[i], g->addrs[i]);
}

void ctrl_config_remove(struct ctrl_config *c, uint64_t gid)
{
    ASSERT(ctrl_config_has(c, gid));
    array_remove(c->groups, &c->n_groups, sizeof(*c->groups), ctrl_config_group_at(c, gid));
}

void ctrl_config_rebalance(struct ctrl_config *c)
{
    uint64_t *gids = mem_alloc(c->n_groups * sizeof(*gids));
    for (unsigned i = 0; i < c->n_groups; i++)
        gids[i] = c->groups[i].gid;
    ctrl_balance(c->shards, c->nshards, gids, c->n_groups);
    mem_free(gids);
}
