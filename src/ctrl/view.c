/* Views as values, and the groups and tombstones in them. The machine's own view is its state: what nodes are told
 * cannot differ from what is decided on. */
#include "ctrl/state.h"

#include "ctrl/array.h"

void ctrl_view_release(struct ctrl_view *v)
{
    mem_free(v->shards);
    mem_free(v->groups);
    mem_free(v->tombstones);
    *v = (struct ctrl_view){0};
}

void ctrl_view_copy(const struct ctrl_view *from, struct ctrl_view *ret_to)
{
    *ret_to = *from;
    ret_to->shards = array_copy(from->shards, from->nshards, sizeof(*from->shards));
    ret_to->groups = array_copy(from->groups, from->n_groups, sizeof(*from->groups));
    ret_to->tombstones = array_copy(from->tombstones, from->n_tombstones, sizeof(*from->tombstones));
}

static unsigned group_at(const struct ctrl_view *v, uint64_t gid)
{
    unsigned low = 0, high = v->n_groups;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (v->groups[middle].gid < gid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct ctrl_group *ctrl_view_group(const struct ctrl_view *v, uint64_t gid)
{
    unsigned at = group_at(v, gid);
    return at < v->n_groups && v->groups[at].gid == gid ? &v->groups[at] : NULL;
}

struct ctrl_group *ctrl_view_group_mut(struct ctrl_view *v, uint64_t gid)
{
    const struct ctrl_group *found = ctrl_view_group(v, gid);
    return found ? &v->groups[found - v->groups] : NULL;
}

struct ctrl_group *ctrl_view_group_add(struct ctrl_view *v, uint64_t gid)
{
    ASSERT(!ctrl_view_group(v, gid));
    unsigned at = group_at(v, gid);
    v->groups = array_insert(v->groups, &v->n_groups, sizeof(*v->groups), at);
    v->groups[at].gid = gid;
    return &v->groups[at];
}

void ctrl_view_group_remove(struct ctrl_view *v, uint64_t gid)
{
    ASSERT(ctrl_view_group(v, gid));
    array_remove(v->groups, &v->n_groups, sizeof(*v->groups), group_at(v, gid));
}

void ctrl_view_controllers(const struct ctrl_view *v, struct ctrl_group *ret_g)
{
    *ret_g = (struct ctrl_group){.founded = true, .n = v->n_controllers};
    memcpy(ret_g->members, v->controllers, sizeof(ret_g->members));
}

bool ctrl_group_has_node(const struct ctrl_group *g, uint64_t node)
{
    for (unsigned i = 0; i < g->n; i++)
        if (g->members[i].node == node)
            return true;
    return false;
}

/* A group may be forgotten only when no shard names it. */
bool ctrl_view_group_holds(const struct ctrl_view *v, uint64_t gid)
{
    for (uint32_t s = 0; s < v->nshards; s++)
        if (v->shards[s].holder == gid || v->shards[s].target == gid)
            return true;
    return false;
}

static int tombstone_cmp(const struct ctrl_tombstone *a, const struct ctrl_tombstone *b)
{
    if (a->gid != b->gid)
        return a->gid < b->gid ? -1 : 1;
    if (a->incarnation != b->incarnation)
        return a->incarnation < b->incarnation ? -1 : 1;
    return a->member < b->member ? -1 : a->member > b->member;
}

static unsigned tombstone_at(const struct ctrl_view *v, const struct ctrl_tombstone *t)
{
    unsigned at = 0;
    while (at < v->n_tombstones && tombstone_cmp(&v->tombstones[at], t) < 0)
        at++;
    return at;
}

void ctrl_view_tombstone_add(struct ctrl_view *v, const struct ctrl_tombstone *t)
{
    unsigned at = tombstone_at(v, t);
    v->tombstones = array_insert(v->tombstones, &v->n_tombstones, sizeof(*v->tombstones), at);
    v->tombstones[at] = *t;
}

bool ctrl_view_tombstone_remove(struct ctrl_view *v, const struct ctrl_tombstone *t)
{
    unsigned at = tombstone_at(v, t);
    if (at == v->n_tombstones || tombstone_cmp(&v->tombstones[at], t) != 0)
        return false;
    array_remove(v->tombstones, &v->n_tombstones, sizeof(*v->tombstones), at);
    return true;
}
