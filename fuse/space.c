#include "fuse/space.h"

#include <stdlib.h>

/* The text behind ` NAME=` of a line, or NULL. */
static const char *field(const char *line, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = strchr(line, ' '); at; at = strchr(at + 1, ' '))
        if (!strncmp(at + 1, name, len) && at[1 + len] == '=')
            return at + 2 + len;
    return NULL;
}

/* More than the controller: "groups=0,101", not "groups=0" or "groups=-". */
static bool holds_data(const char *line)
{
    const char *groups = field(line, "groups");
    return groups && *groups != '-' && (groups[0] != '0' || groups[1] == ',');
}

static void add_line(const char *line, struct space *s)
{
    const char *free_bytes = field(line, "disk_free"), *total = field(line, "disk_total");
    if (!holds_data(line) || !free_bytes || !total)
        return;
    s->free += strtoull(free_bytes, NULL, 10);
    s->total += strtoull(total, NULL, 10);
}

bool space_parse(struct bytes nodes, unsigned copies, struct space *ret_s)
{
    struct space s = {0};
    char line[512];
    while (nodes.len) {
        const uint8_t *end = memchr(nodes.data, '\n', nodes.len);
        size_t len = end ? (size_t)(end - nodes.data) : nodes.len, kept = MIN(len, sizeof line - 1);
        memcpy(line, nodes.data, kept);
        line[kept] = '\0';
        add_line(line, &s);
        nodes = bytes_from(nodes, len + (end != NULL));
    }
    if (!s.total)
        return false;
    ret_s->total = s.total / copies;
    ret_s->free = MIN(s.free, s.total) / copies;
    return true;
}
