/* The controller's scenarios: three controllers, groups at addresses where nobody listens (admin commands need no group that can be
 * reached). */
#include "tests/sim/scenario.h"

#include <limits.h>

static uint64_t config_num(struct sim *s)
{
    struct bed_config c;
    config_read(s, NEWEST, &c);
    config_release(&c);
    return c.num;
}

static void C1(struct sim *s)
{
    config_is_balanced(s, GIDS(0));
    join(s, GIDS(1));
    config_is_balanced(s, GIDS(1));
    join(s, GIDS(2));
    config_is_balanced(s, GIDS(1, 2));
    check(s, text_has(s, CTRL_READ_STATUS, "x1:1"), "the members of 1 are there");
    leave(s, GIDS(1));
    config_is_balanced(s, GIDS(2));
    leave(s, GIDS(2));
    config_is_balanced(s, GIDS(0));
    check(s, config_num(s) == 4, "one config for each command");
}

#define C2_CONFIGS 6u
static void same_configs(struct sim *s, const struct bed_config *saved)
{
    for (unsigned i = 0; i < C2_CONFIGS; i++) {
        struct bed_config now;
        config_read(s, i, &now);
        check(s, bytes_eq(buf_bytes(&now.text), buf_bytes(&saved[i].text)), "an old config is as it was");
        config_release(&now);
    }
}
static void C2(struct sim *s)
{
    struct bed_config saved[C2_CONFIGS];
    join(s, GIDS(1));
    join(s, GIDS(2));
    leave(s, GIDS(1));
    join(s, GIDS(3));
    leave(s, GIDS(2));
    for (unsigned i = 0; i < C2_CONFIGS; i++) {
        config_read(s, i, &saved[i]);
        check(s, saved[i].num == i, "a config has its number");
    }
    for (unsigned i = 0; i < s->n_controllers; i++) {
        machine_down(s, i);
        same_configs(s, saved);
        machine_up(s, i);
    }
    for (unsigned i = 0; i < s->n_controllers; i++)
        machine_down(s, i);
    for (unsigned i = 0; i < s->n_controllers; i++)
        machine_up(s, i);
    same_configs(s, saved);
    for (unsigned i = 0; i < C2_CONFIGS; i++)
        config_release(&saved[i]);
}

static void C3(struct sim *s)
{
    struct bed_config c;
    join(s, GIDS(503));
    join(s, GIDS(504));
    for (uint32_t shard = 0; shard < s->nshards; shard++) {
        uint64_t gid = shard < 5 ? 503 : 504, before, was;
        config_read(s, NEWEST, &c);
        before = c.num;
        was = c.shards[shard];
        config_release(&c);
        move(s, shard, gid);
        config_read(s, NEWEST, &c);
        check(s, was == gid || c.num == before + 1, "the number rises by one");
        check(s, c.shards[shard] == gid, "the shard is where it was moved");
        config_release(&c);
    }
    config_read(s, NEWEST, &c);
    for (uint32_t shard = 0; shard < s->nshards; shard++)
        check(s, c.shards[shard] == (shard < 5 ? 503 : 504), "all are where they were moved");
    config_release(&c);
    move(s, 0, 504);
    config_read(s, NEWEST, &c);
    check(s, c.shards[0] == 504, "it sticks against the balance");
    config_release(&c);
    join(s, GIDS(505));
    config_is_balanced(s, GIDS(503, 504, 505));
    leave(s, GIDS(505, 503));
    config_is_balanced(s, GIDS(504));
}

/* ---- ten administrators at once, three or two commands each ---- */

#define GID_OF(admin) (100u + (admin))

static bool nobody_busy(struct sim *s)
{
    for (unsigned i = 0; i < BED_ADMINS; i++)
        if (admin_busy(s, i))
            return false;
    return true;
}

/* Each step of each administrator goes out when its last one is done; all mix. */
static void ten(struct sim *s, unsigned steps, void (*step)(struct sim *s, unsigned admin, unsigned number))
{
    unsigned at[BED_ADMINS] = {0}, left = BED_ADMINS * steps;
    while (left && !s->failed) {
        unsigned admin = draw(s, BED_ADMINS);
        if (at[admin] < steps && !admin_busy(s, admin)) {
            step(s, admin, at[admin]++);
            left--;
        } else {
            sim_until(s, s->now_us + 500, NULL);
        }
    }
    within(s, 20000, nobody_busy, "ten administrators are answered");
}

static void C4_step(struct sim *s, unsigned admin, unsigned number)
{
    if (number == 0)
        join_begin(s, admin, GIDS(GID_OF(admin) + 1000));
    else if (number == 1)
        join_begin(s, admin, GIDS(GID_OF(admin)));
    else
        leave_begin(s, admin, GIDS(GID_OF(admin) + 1000));
}
static void C4(struct sim *s)
{
    ten(s, 3, C4_step);
    config_is_balanced(s, GIDS(100, 101, 102, 103, 104, 105, 106, 107, 108, 109));
    check(s, config_num(s) == 30, "one config for each of thirty commands");
}

static void C8_step(struct sim *s, unsigned admin, unsigned number)
{
    if (number == 0)
        join_begin(s, admin, GIDS(GID_OF(admin), GID_OF(admin) + 1000, GID_OF(admin) + 2000));
    else
        leave_begin(s, admin, GIDS(GID_OF(admin) + 1000, GID_OF(admin) + 2000));
}
static void C8(struct sim *s)
{
    ten(s, 2, C8_step);
    config_is_balanced(s, GIDS(100, 101, 102, 103, 104, 105, 106, 107, 108, 109));
    check(s, config_num(s) == 20, "one config for each of twenty commands");
}

/* P28: the same, while commands and their answers are lost: each is asked again, and executed once. */
static void P28(struct sim *s)
{
    unreliable(s);
    C8(s);
}

/* ---- few moves ---- */

static bool is_named(uint64_t gid, const uint64_t *named)
{
    while (*named && *named != gid)
        named++;
    return *named != 0;
}

/* Since `before`, which is released, shards moved only to or from the groups named. How many did. */
static unsigned only_these_moved(struct sim *s, struct bed_config *before, const uint64_t *named)
{
    struct bed_config now;
    unsigned moved = 0;
    config_read(s, NEWEST, &now);
    for (uint32_t i = 0; i < s->nshards; i++) {
        moved += now.shards[i] != before->shards[i];
        check(s, now.shards[i] == before->shards[i] || is_named(now.shards[i], named) || is_named(before->shards[i], named),
              "no shard moves between groups that stay");
    }
    config_release(before);
    config_release(&now);
    return moved;
}
static unsigned join_step(struct sim *s, const uint64_t *gids)
{
    struct bed_config before;
    config_read(s, NEWEST, &before);
    join(s, gids);
    return only_these_moved(s, &before, gids);
}
static unsigned leave_step(struct sim *s, const uint64_t *gids)
{
    struct bed_config before;
    config_read(s, NEWEST, &before);
    leave(s, gids);
    return only_these_moved(s, &before, gids);
}
static void join_ten(struct sim *s) { join(s, GIDS(100, 101, 102, 103, 104, 105, 106, 107, 108, 109)); }

static void C5(struct sim *s)
{
    join_ten(s);
    for (uint64_t gid = 110; gid < 115; gid++)
        join_step(s, GIDS(gid));
    check(s, config_num(s) == 6, "one config for each");
}

static void C6(struct sim *s)
{
    join_ten(s);
    for (uint64_t gid = 109; gid > 100; gid--)
        leave_step(s, GIDS(gid));
    config_is_balanced(s, GIDS(100));
}

static void C7(struct sim *s)
{
    join(s, GIDS(1, 2));
    config_is_balanced(s, GIDS(1, 2));
    check(s, config_num(s) == 1, "one config for both");
    join(s, GIDS(3));
    config_is_balanced(s, GIDS(1, 2, 3));
    leave(s, GIDS(1, 3));
    config_is_balanced(s, GIDS(2));
    check(s, config_num(s) == 3, "one config for both to leave");
    check(s, text_has(s, CTRL_READ_STATUS, "x2:1"), "the members of 2 stay");
    leave(s, GIDS(2));
    config_is_balanced(s, GIDS(0));
}

static void C9(struct sim *s)
{
    join(s, GIDS(100, 101));
    join_step(s, GIDS(102, 103, 104));
    config_is_balanced(s, GIDS(100, 101, 102, 103, 104));
    join_step(s, GIDS(105, 106, 107, 108, 109, 110));
}

static void C10(struct sim *s)
{
    join_ten(s);
    leave_step(s, GIDS(101, 103, 105, 107, 109));
    config_is_balanced(s, GIDS(100, 102, 104, 106, 108));
    leave_step(s, GIDS(100, 108));
    config_is_balanced(s, GIDS(102, 104, 106));
}

static void C11(struct sim *s)
{
    struct bed_config before, now;
    join(s, GIDS(1, 2, 3));
    join(s, GIDS(4, 5, 6, 7));
    leave(s, GIDS(2, 5));
    config_read(s, NEWEST, &before);
    for (unsigned round = 0; round < 3 && !s->failed; round++) {
        unsigned leader = leader_machine(s, 0);
        check(s, leader != UINT_MAX, "somebody leads");
        if (s->failed)
            break;
        machine_down(s, leader);
        config_read(s, NEWEST, &now);
        check(s, bytes_eq(buf_bytes(&now.text), buf_bytes(&before.text)), "the next leader has the same config");
        check(s, leader_machine(s, 0) != leader, "another one leads");
        config_release(&now);
        machine_up(s, leader);
    }
    config_release(&before);
    join(s, GIDS(8));
    config_is_balanced(s, GIDS(1, 3, 4, 6, 7, 8));
}

static void C12(struct sim *s)
{
    join(s, GIDS(1));
    join(s, GIDS(2));
    check(s, join_step(s, GIDS(3)) <= s->nshards / 3 + 1, "at most 4 of 10 go to the third");
    config_is_balanced(s, GIDS(1, 2, 3));
    check(s, leave_step(s, GIDS(1)) <= s->nshards / 3 + 1, "at most 4 of 10 leave the first");
    config_is_balanced(s, GIDS(2, 3));
}

const struct scenario scenarios_ctrl[] = {
    {"C1", "Basic leave/join", 3, 4000, C1},
    {"C2", "Historical queries", 3, 4000, C2},
    {"C3", "Move", 3, 4000, C3},
    {"C4", "Concurrent leave/join", 3, 4000, C4},
    {"C5", "Minimal transfers after joins", 3, 4000, C5},
    {"C6", "Minimal transfers after leaves", 3, 4000, C6},
    {"C7", "Multi-group join/leave", 3, 4000, C7},
    {"C8", "Concurrent multi leave/join", 3, 4000, C8},
    {"C9", "Minimal transfers after multi-join", 3, 4000, C9},
    {"C10", "Minimal transfers after multi-leave", 3, 4000, C10},
    {"C11", "Same config on servers", 3, 4000, C11},
    {"C12", "Minimal transfers, truly", 3, 4000, C12},
    {"P28", "Commands that are not answered", 3, 4000, P28},
    {0},
};
