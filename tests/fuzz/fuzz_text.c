/* Input: u8 {which parser}, then what somebody wrote to a control file or gave as --controllers. What is let in is within its
 * bounds, and whoever is refused hears why. */
#include "ctrl/text.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/wire_frame.h"

#include <stdlib.h>

#define GROUPS 64u

static void told(enum rgkv_err err, struct buf *why)
{
    ASSERT(!err == !why->len);
    buf_release(why);
}

static void join(struct bytes text)
{
    static struct ctrl_join_group groups[GROUPS];
    struct buf why = {0};
    unsigned n = 0;
    enum rgkv_err err = ctrl_parse_join(text, groups, GROUPS, &n, &why);
    struct ctrl_command c = {.op = CTRL_JOIN, .client = 1, .n_groups = n, .groups = groups};
    if (!err)
        err = ctrl_command_check(&c, &why); /* what cannot be said without a state */
    for (unsigned i = 0; !err && i < n; i++) {
        ASSERT(groups[i].gid && groups[i].n && groups[i].n <= MEMBERS_MAX);
        for (unsigned k = 0; k < groups[i].n; k++)
            ASSERT(ctrl_addr_valid(bytes_str(groups[i].addrs[k])));
    }
    ASSERT(err || (n && n <= GROUPS));
    told(err, &why);
}

static void leave(struct bytes text)
{
    uint64_t gids[GROUPS];
    struct buf why = {0};
    unsigned n = 0;
    enum rgkv_err err = ctrl_parse_leave(text, gids, GROUPS, &n, &why);
    ASSERT(err || (n && n <= GROUPS));
    told(err, &why);
}

static void move(struct bytes text)
{
    uint32_t shard;
    uint64_t gid;
    struct buf why = {0};
    told(ctrl_parse_move(text, &shard, &gid, &why), &why);
}

static void abandon(struct bytes text)
{
    uint64_t gid = 0;
    struct buf why = {0};
    told(ctrl_parse_abandon(text, &gid, &why), &why);
}

static void member(struct bytes text)
{
    struct ctrl_command c;
    struct buf why = {0};
    enum rgkv_err err = ctrl_parse_member(text, &c, &why);
    ASSERT(err || c.op != CTRL_ADD_MEMBER || ctrl_addr_valid(bytes_str(c.addr)));
    told(err, &why);
}

static void leader(struct bytes text)
{
    uint64_t id = 0;
    struct buf why = {0};
    told(ctrl_parse_leader(text, &id, &why), &why);
}

static void query(struct bytes text)
{
    int64_t num = 0;
    struct buf why = {0};
    enum rgkv_err err = ctrl_parse_query(text, &num, &why);
    ASSERT(err || num >= -1);
    told(err, &why);
}

static void addrs(struct bytes text)
{
    char list[MEMBERS_MAX][ADDR_BYTES_MAX];
    struct buf why = {0};
    unsigned n = 0;
    enum rgkv_err err = ctrl_parse_addrs(text, list, MEMBERS_MAX, &n, &why);
    ASSERT(err || (n && n <= MEMBERS_MAX));
    for (unsigned i = 0; !err && i < n; i++)
        ASSERT(ctrl_addr_valid(bytes_str(list[i])));
    told(err, &why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parsers[])(struct bytes) = {join, leave, move, query, addrs, abandon, member, leader};
    if (size == 0)
        return 0;
    struct bytes input = bytes_of(data + 1, size - 1);
    uint8_t *copy = exact_copy(input);
    parsers[data[0] % ARRAY_LEN(parsers)](bytes_of(copy, input.len));
    free(copy);
    return 0;
}
