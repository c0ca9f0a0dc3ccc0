/* What can be said of a command without state. */
#include "ctrl/state.h"

bool ctrl_op_admin(enum ctrl_op op)
{
    return op == CTRL_JOIN || op == CTRL_LEAVE || op == CTRL_MOVE || op == CTRL_ADD_MEMBER || op == CTRL_REMOVE_MEMBER ||
           op == CTRL_KEEP_MEMBER || op == CTRL_ABANDON;
}

#define SAY(why, ...) ((why) ? buf_printf((why), __VA_ARGS__) : (void)0)

/* Only what config texts need: something printable without blanks. What people write is looked at by ctrl_addr_valid. */
static bool addr_stored_whole(const char *addr)
{
    size_t len = strnlen(addr, ADDR_BYTES_MAX);
    if (len == 0 || len == ADDR_BYTES_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (addr[i] <= ' ' || addr[i] > '~' || addr[i] == ',')
            return false;
    return true;
}

static bool addr_repeated(const struct ctrl_join_group *g, unsigned at)
{
    for (unsigned i = 0; i < at; i++)
        if (strcmp(g->addrs[i], g->addrs[at]) == 0)
            return true;
    return false;
}

static enum rgkv_err check_addrs(const struct ctrl_join_group *g, struct buf *why)
{
    for (unsigned i = 0; i < g->n; i++) {
        if (!addr_stored_whole(g->addrs[i])) {
            SAY(why, "group %lu: address %u is not a host:port", g->gid, i + 1);
            return RGKV_INVALID;
        }
        if (addr_repeated(g, i)) {
            SAY(why, "group %lu names %s twice", g->gid, g->addrs[i]);
            return RGKV_INVALID;
        }
    }
    return RGKV_OK;
}

static enum rgkv_err check_join_group(const struct ctrl_join_group *g, struct buf *why)
{
    if (g->gid == 0)
        SAY(why, "0 is the controller: group ids begin with 1");
    else if (g->n == 0)
        SAY(why, "group %lu has no addresses", g->gid);
    else if (g->n > MEMBERS_MAX)
        SAY(why, "group %lu has more than %u members", g->gid, MEMBERS_MAX);
    else
        return check_addrs(g, why);
    return RGKV_INVALID;
}

static enum rgkv_err check_join(const struct ctrl_command *c, struct buf *why)
{
    if (c->n_groups == 0 || c->n_groups > GROUPS_MAX) {
        SAY(why, "name between 1 and %u groups", GROUPS_MAX);
        return RGKV_INVALID;
    }
    for (unsigned i = 0; i < c->n_groups; i++) {
        enum rgkv_err err = check_join_group(&c->groups[i], why);
        if (err)
            return err;
        for (unsigned j = 0; j < i; j++)
            if (c->groups[j].gid == c->groups[i].gid) {
                SAY(why, "group %lu is named twice", c->groups[i].gid);
                return RGKV_INVALID;
            }
    }
    return RGKV_OK;
}

static enum rgkv_err check_leave(const struct ctrl_command *c, struct buf *why)
{
    if (c->n_gids == 0 || c->n_gids > GROUPS_MAX) {
        SAY(why, "name between 1 and %u groups", GROUPS_MAX);
        return RGKV_INVALID;
    }
    for (unsigned i = 0; i < c->n_gids; i++)
        for (unsigned j = 0; j < i; j++)
            if (c->gids[j] == c->gids[i]) {
                SAY(why, "group %lu is named twice", c->gids[i]);
                return RGKV_INVALID;
            }
    return RGKV_OK;
}

static enum rgkv_err check_controllers(const struct ctrl_command *c, struct buf *why)
{
    const struct ctrl_join_group *g = c->n_groups ? &c->groups[0] : NULL;
    if (!g)
        return RGKV_OK;
    if (c->n_groups == 1 && g->gid == 0 && g->n <= MEMBERS_MAX && c->n_gids == g->n)
        return check_addrs(g, why);
    SAY(why, "the founding controllers are one list of addresses and node ids");
    return RGKV_INVALID;
}

static enum rgkv_err check_init(const struct ctrl_command *c, struct buf *why)
{
    if (c->cluster == 0) {
        SAY(why, "a cluster id is not 0");
        return RGKV_INVALID;
    }
    if (c->nshards == 0 || c->nshards > NSHARDS_MAX) {
        SAY(why, "a cluster has between 1 and %u shards", NSHARDS_MAX);
        return RGKV_RANGE;
    }
    return check_controllers(c, why);
}

static enum rgkv_err check_add_member(const struct ctrl_command *c, struct buf *why)
{
    if (addr_stored_whole(c->addr))
        return RGKV_OK;
    SAY(why, "a member needs an address: write host:port");
    return RGKV_INVALID;
}

static enum rgkv_err check_node(const struct ctrl_command *c, struct buf *why)
{
    if (c->node && addr_stored_whole(c->addr))
        return RGKV_OK;
    SAY(why, "a node needs an id and an address");
    return RGKV_INVALID;
}

static enum rgkv_err check_op(const struct ctrl_command *c, struct buf *why)
{
    switch (c->op) {
    case CTRL_INIT: return check_init(c, why);
    case CTRL_JOIN: return check_join(c, why);
    case CTRL_LEAVE: return check_leave(c, why);
    case CTRL_BIND:
    case CTRL_ADDR: return check_node(c, why);
    case CTRL_ADD_MEMBER: return check_add_member(c, why);
    case CTRL_REMOVE_MEMBER:
    case CTRL_KEEP_MEMBER:
    case CTRL_ABANDON:
    case CTRL_TRANSFER:
    case CTRL_PROMOTED:
    case CTRL_REMOVED:
    case CTRL_MOVE:
    case CTRL_PREPARE:
    case CTRL_COMMIT:
    case CTRL_ACTIVE:
    case CTRL_ABORT:
    case CTRL_DROPPED:
    case CTRL_RETIRE:
    case CTRL_BURIED: return RGKV_OK;
    }
    SAY(why, "there is no such command");
    return RGKV_INVALID;
}

enum rgkv_err ctrl_command_check(const struct ctrl_command *c, struct buf *why)
{
    if (ctrl_op_admin(c->op) && c->client == 0) {
        SAY(why, "the command has no client id");
        return RGKV_INVALID;
    }
    return check_op(c, why);
}
