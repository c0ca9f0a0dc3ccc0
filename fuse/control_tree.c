#include "fuse/control_tree.h"

#include <stdio.h>
#include <stdlib.h>

#define CONTROL_BIT (1ull << 62)
#define KIND_SHIFT 48

static const struct control_row rows[] = {
    /* kind               parent        name        directory mode  local */
    {CONTROL_TOP,            CONTROL_TOP,     ".ctrl",    true,  0555, true},
    {CONTROL_CONFIG,         CONTROL_TOP,     "config",   false, 0444, false},
    {CONTROL_CONFIGS,        CONTROL_TOP,     "configs",  true,  0555, false},
    {CONTROL_CONFIG_N,       CONTROL_CONFIGS, NULL,       false, 0444, false},
    {CONTROL_QUERY,          CONTROL_TOP,     "query",    false, 0644, false},
    {CONTROL_JOINS,          CONTROL_TOP,     "join",     false, 0200, false},
    {CONTROL_LEAVES,         CONTROL_TOP,     "leave",    false, 0200, false},
    {CONTROL_MOVE_TO,        CONTROL_TOP,     "move",     false, 0200, false},
    {CONTROL_ABANDONS,       CONTROL_TOP,     "abandon",  false, 0200, false},
    {CONTROL_SHARDS,         CONTROL_TOP,     "shards",   false, 0444, false},
    {CONTROL_MOVES,          CONTROL_TOP,     "moves",    false, 0444, false},
    {CONTROL_SETTLED,        CONTROL_TOP,     "settled",  false, 0444, false},
    {CONTROL_STATUS,         CONTROL_TOP,     "status",   false, 0444, false},
    {CONTROL_HEALTH,         CONTROL_TOP,     "health",   false, 0444, true},
    {CONTROL_GROUPS,         CONTROL_TOP,     "groups",   true,  0555, false},
    {CONTROL_GROUP,          CONTROL_GROUPS,  NULL,       true,  0555, false},
    {CONTROL_GROUP_MEMBERS,  CONTROL_GROUP,   "members",  false, 0644, false},
    {CONTROL_GROUP_LEADER,   CONTROL_GROUP,   "leader",   false, 0644, false},
    {CONTROL_GROUP_SHARDS,   CONTROL_GROUP,   "shards",   false, 0444, false},
    {CONTROL_GROUP_KEYS,     CONTROL_GROUP,   "keys",     false, 0444, false},
    {CONTROL_GROUP_BYTES,    CONTROL_GROUP,   "bytes",    false, 0444, false},
    {CONTROL_NODES,          CONTROL_TOP,     "nodes",    false, 0444, false},
    {CONTROL_METRICS,        CONTROL_TOP,     "metrics",  false, 0444, false},
    {CONTROL_EVENTS,         CONTROL_TOP,     "events",   false, 0444, true},
    {CONTROL_ERROR,          CONTROL_TOP,     "error",    false, 0644, true},
    {CONTROL_VERSION,        CONTROL_TOP,     "version",  false, 0444, true},
    {CONTROL_MOUNT,          CONTROL_TOP,     "mount",    true,  0555, true},
    {CONTROL_MOUNT_OPTIONS,  CONTROL_MOUNT,   "options",  false, 0444, true},
    {CONTROL_MOUNT_STATS,    CONTROL_MOUNT,   "stats",    false, 0444, true},
    {CONTROL_MOUNT_INFLIGHT, CONTROL_MOUNT,   "inflight", false, 0444, true},
    {CONTROL_MOUNT_ABORT,    CONTROL_MOUNT,   "abort",    false, 0200, true},
};

bool control_is(uint64_t id) { return (id & CONTROL_BIT) != 0; }

uint64_t control_id(enum control_kind kind, uint64_t number)
{
    ASSERT(number <= CONTROL_NUMBER_MAX);
    return CONTROL_BIT | (uint64_t)kind << KIND_SHIFT | number;
}

uint64_t control_number(uint64_t id) { return id & CONTROL_NUMBER_MAX; }

static enum control_kind kind_of(uint64_t id) { return (enum control_kind)((id & ~CONTROL_BIT) >> KIND_SHIFT); }

const struct control_row *control_row(uint64_t id)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].kind == kind_of(id))
            return &rows[i];
    return NULL;
}

static bool parse_number(const char *name, enum control_kind kind, uint64_t *ret_number)
{
    if (kind == CONTROL_GROUP && !strcmp(name, "ctl")) {
        *ret_number = 0;
        return true;
    }
    size_t digits = strspn(name, "0123456789");
    if (!digits || name[digits] || digits > 15 || (name[0] == '0' && digits > 1) || (kind == CONTROL_GROUP && name[0] == '0'))
        return false;
    *ret_number = strtoull(name, NULL, 10);
    return *ret_number <= CONTROL_NUMBER_MAX;
}

uint64_t control_child(uint64_t directory, const char *name)
{
    uint64_t number;
    for (size_t i = 1; i < ARRAY_LEN(rows); i++) {
        if (rows[i].parent != kind_of(directory))
            continue;
        if (rows[i].name && !strcmp(rows[i].name, name))
            return control_id(rows[i].kind, control_number(directory));
        if (!rows[i].name && parse_number(name, rows[i].kind, &number))
            return control_id(rows[i].kind, number);
    }
    return 0;
}

uint64_t control_fixed_child(uint64_t directory, unsigned n)
{
    for (size_t i = 1; i < ARRAY_LEN(rows); i++)
        if (rows[i].parent == kind_of(directory) && rows[i].name && !n--)
            return control_id(rows[i].kind, control_number(directory));
    return 0;
}

void control_print_name(uint64_t id, char name[32])
{
    const struct control_row *r = control_row(id);
    if (r->name)
        snprintf(name, 32, "%s", r->name);
    else if (r->kind == CONTROL_GROUP && !control_number(id))
        snprintf(name, 32, "ctl");
    else
        snprintf(name, 32, "%llu", (unsigned long long)control_number(id));
}

void control_print_path(uint64_t id, char path[CONTROL_PATH_BYTES_MAX])
{
    const struct control_row *r = control_row(id);
    char name[32];
    size_t used = 0;
    control_print_name(id, name);
    if (r->kind != CONTROL_TOP) {
        control_print_path(control_id(r->parent, control_number(id)), path);
        used = strlen(path);
    }
    snprintf(path + used, CONTROL_PATH_BYTES_MAX - used, "%s%s", used ? "/" : "", name);
}
