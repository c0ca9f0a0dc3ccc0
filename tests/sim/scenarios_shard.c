/* The scenarios of shards: three controllers, three groups of three. What the originals do by the clock is done here by progress. */
#include "tests/sim/scenario.h"

#define FIRST_HALF 0x01fu
#define SECOND_HALF 0x3e0u
#define ALL_SHARDS 0x3ffu
#define KEY_BYTES 30u

static bool five_answered(struct sim *s) { return keys_answered(s) >= 5; }
static bool ten_answered(struct sim *s) { return keys_answered(s) >= 10; }
static void halves(struct sim *s)
{
    settled(s);
    check(s, shards_at(s, 100) == FIRST_HALF && shards_at(s, 101) == SECOND_HALF, "half of the shards each");
}

static void S1(struct sim *s)
{
    join(s, GIDS(100));
    join(s, GIDS(101));
    halves(s);
    keys_choose(s, 1);
    keys_put(s, KEY_BYTES);
    keys_check(s);
    group_crash(s, GIDS(101));
    keys_ask(s, caller_new(s, LIE_NONE));
    within(s, 5000, five_answered, "the living group's keys are read");
    pass(s, 2000);
    check(s, keys_answered(s) == 5 && !keys_failed(s), "no key of the dead group is answered");
    group_start(s, GIDS(101));
    within(s, 10000, ten_answered, "the others are read when it is back");
}

static void S2(struct sim *s)
{
    join(s, GIDS(100));
    keys_choose(s, 1);
    keys_put(s, KEY_BYTES);
    keys_check(s);
    join(s, GIDS(101));
    keys_check_append(s);
    leave(s, GIDS(100));
    keys_check_append(s);
    settled(s);
    group_crash(s, GIDS(100));
    keys_check(s);
    keys_check_append(s);
    check(s, shards_at(s, 101) == ALL_SHARDS, "all is on 101");
}

static void S3(struct sim *s)
{
    join(s, GIDS(100));
    keys_choose(s, 3);
    keys_put(s, 500);
    keys_check(s);
    join(s, GIDS(101));
    join(s, GIDS(102));
    leave(s, GIDS(100));
    keys_check_append(s);
    leave(s, GIDS(101));
    join(s, GIDS(100));
    keys_check_append(s);
    settled(s);
    keys_check(s);
    group_crash(s, GIDS(100, 101, 102));
    group_start(s, GIDS(100, 101, 102));
    keys_check_append(s);
}

/* One member of each group: the one that is `i`th. */
static void each_down(struct sim *s, unsigned i) { for (unsigned g = 0; g < 3; g++) machine_down(s, 3 + 3 * g + i); }
static void each_up(struct sim *s, unsigned i) { for (unsigned g = 0; g < 3; g++) machine_up(s, 3 + 3 * g + i); }

static void S4(struct sim *s)
{
    join(s, GIDS(100));
    keys_choose(s, 1);
    keys_put(s, KEY_BYTES);
    join(s, GIDS(101));
    each_down(s, 0);
    join(s, GIDS(102));
    leave(s, GIDS(101));
    leave(s, GIDS(100));
    keys_check_append(s);
    join(s, GIDS(101));
    keys_check_append(s);
    each_up(s, 0);
    keys_check_append(s);
    settled(s);
    each_down(s, 1);
    join(s, GIDS(100));
    leave(s, GIDS(102));
    keys_check_append(s);
    each_up(s, 1);
    keys_check_append(s);
    settled(s);
}

static void S5(struct sim *s)
{
    join(s, GIDS(100));
    keys_choose(s, 1);
    appenders_start(s, 10000);
    appenders_progress(s, 50);
    join(s, GIDS(101));
    appenders_progress(s, draw(s, 200));
    join(s, GIDS(102));
    appenders_progress(s, draw(s, 200));
    leave(s, GIDS(100));
    for (uint64_t gid = 100; gid < 103; gid++) {
        group_crash(s, GIDS(gid));
        pass(s, 100);
    }
    leave(s, GIDS(102));
    group_start(s, GIDS(100, 101, 102));
    join(s, GIDS(100));
    leave(s, GIDS(101));
    appenders_progress(s, 200);
    join(s, GIDS(101));
    appenders_progress(s, 200);
    settled(s);
    appenders_progress(s, 20);
    appenders_stop(s);
}

static void S6(struct sim *s)
{
    join(s, GIDS(101));
    join(s, GIDS(100));
    join(s, GIDS(102));
    keys_choose(s, 1);
    appenders_start(s, 50000);
    leave(s, GIDS(100));
    leave(s, GIDS(102));
    pass(s, 3000);
    join(s, GIDS(100));
    join(s, GIDS(102));
    leave(s, GIDS(101));
    pass(s, 3000);
    join(s, GIDS(101));
    leave(s, GIDS(100));
    leave(s, GIDS(102));
    pass(s, 3000);
    group_crash(s, GIDS(101, 102));
    pass(s, 1000);
    group_start(s, GIDS(101, 102));
    appenders_progress(s, 50);
    appenders_stop(s);
    settled(s);
    check(s, shards_at(s, 101) == ALL_SHARDS, "all is on 101");
}

static void S7(struct sim *s)
{
    join(s, GIDS(100));
    keys_choose(s, 1);
    appenders_start(s, 2000);
    for (unsigned round = 0; round < 6 && !s->failed; round++) {
        join(s, GIDS(102));
        join(s, GIDS(101));
        pass(s, draw(s, 900));
        group_crash(s, GIDS(100, 101, 102));
        group_start(s, GIDS(100, 101, 102));
        pass(s, draw(s, 900));
        leave(s, GIDS(101));
        leave(s, GIDS(102));
        pass(s, draw(s, 900));
    }
    settled(s);
    appenders_progress(s, 20);
    appenders_stop(s);
    check(s, shards_at(s, 100) == ALL_SHARDS, "all is on 100");
}

static void S8(struct sim *s)
{
    join(s, GIDS(100));
    keys_choose(s, 1);
    unreliable(s);
    keys_put(s, KEY_BYTES);
    join(s, GIDS(101));
    join(s, GIDS(102));
    leave(s, GIDS(100));
    keys_check_append(s);
    keys_check_append(s);
    join(s, GIDS(100));
    leave(s, GIDS(101));
    keys_check(s);
    keys_check(s);
}

static void changes(struct sim *s, void (*progress)(struct sim *s, unsigned n))
{
    progress(s, 20);
    join(s, GIDS(101));
    progress(s, draw(s, 60));
    join(s, GIDS(102));
    progress(s, draw(s, 60));
    leave(s, GIDS(100));
    progress(s, draw(s, 60));
    leave(s, GIDS(101));
    progress(s, draw(s, 60));
    join(s, GIDS(101, 100));
    progress(s, 100);
}

static void S9(struct sim *s)
{
    join(s, GIDS(100));
    keys_choose(s, 1);
    unreliable(s);
    appenders_start(s, 0);
    changes(s, appenders_progress);
    reliable(s);
    settled(s);
    appenders_progress(s, 50);
    appenders_stop(s);
}

static void S10(struct sim *s)
{
    join(s, GIDS(100));
    keys_choose(s, 1);
    unreliable(s);
    clients_start(s);
    changes(s, clients_progress);
    clients_stop(s);
    reliable(s);
}

static bool only_101_and_102(struct sim *s) { return !replicas_of(s, 100) && replicas_of(s, 101) == 3 && replicas_of(s, 102) == 3; }
static bool only_100(struct sim *s) { return replicas_of(s, 100) == 3 && !replicas_of(s, 101) && !replicas_of(s, 102); }
static void S11_is_small(struct sim *s)
{
    pass(s, 3000);
    uint64_t bytes = table_bytes(s);
    if (bytes > 117000)
        sim_fail(s, "%llu bytes are kept of 30 values of 1,000 bytes in three copies", (unsigned long long)bytes);
}
static void S11(struct sim *s)
{
    join(s, GIDS(100));
    keys_choose(s, 3);
    keys_put(s, 1000);
    for (unsigned round = 0; round < 2 && !s->failed; round++) {
        join(s, GIDS(101));
        leave(s, GIDS(100));
        join(s, GIDS(102));
        settled(s);
        keys_check(s);
        within(s, 20000, only_101_and_102, "100 is collected on every machine");
        S11_is_small(s);
        leave(s, GIDS(101));
        join(s, GIDS(100));
        leave(s, GIDS(102));
        settled(s);
        keys_check(s);
        within(s, 20000, only_100, "101 and 102 are collected on every machine");
        S11_is_small(s);
    }
    join(s, GIDS(101, 102));
    settled(s);
    keys_check(s);
    S11_is_small(s);
}

static void S12(struct sim *s)
{
    join(s, GIDS(100));
    keys_choose(s, 1);
    keys_put(s, KEY_BYTES);
    join(s, GIDS(101));
    halves(s);
    for (unsigned key = 5; key < 10; key++)
        key_put(s, key, KEY_BYTES);
    group_crash(s, GIDS(100));
    leave(s, GIDS(100));
    for (unsigned key = 5; key < 10; key++) {
        key_check(s, key);
        key_put(s, key, KEY_BYTES);
        key_check(s, key);
    }
    pass(s, 5000);
    check(s, text_has(s, CTRL_READ_MOVES, "why=\"group 100 does not answer: its shards wait\""), "moves says why");
    check(s, shards_at(s, 101) == SECOND_HALF, "the dead group's shards wait");
    group_start(s, GIDS(100));
    settled(s);
    check(s, shards_at(s, 101) == ALL_SHARDS, "they arrive when it is back");
}

static bool living_arrived(struct sim *s) { return shards_at(s, 101) == 0x3f0; }
static void S13(struct sim *s)
{
    join(s, GIDS(100, 101, 102));
    settled(s);
    keys_choose(s, 1);
    keys_put(s, KEY_BYTES);
    check(s, shards_at(s, 100) == 0x00f && shards_at(s, 101) == 0x070 && shards_at(s, 102) == 0x380, "a third of the shards each");
    group_crash(s, GIDS(100));
    leave(s, GIDS(100, 102));
    for (unsigned key = 7; key < 10; key++) {
        key_check(s, key);
        key_put(s, key, KEY_BYTES);
        key_check(s, key);
    }
    within(s, 20000, living_arrived, "shards of the living arrive while the dead one's wait");
    group_crash(s, GIDS(102));
    for (unsigned key = 4; key < 10; key++) {
        key_check(s, key);
        key_put(s, key, KEY_BYTES);
        key_check(s, key);
    }
    group_start(s, GIDS(100, 102));
    settled(s);
    check(s, shards_at(s, 101) == ALL_SHARDS, "they arrive when it is back");
}

/* The truth with a new version, so that it, or a lie about it, is told again. */
static void tell_again(struct sim *s, uint64_t holder_of_9)
{
    move(s, 9, holder_of_9);
    pass(s, 1000);
}

/* P32: of those who are led to a controller of this cluster that lies, five of ten are answered, and only by who owns the key; even if a whole group
 * believes the liar. */
static void S14(struct sim *s)
{
    join(s, GIDS(100));
    settled(s);
    keys_choose(s, 1);
    keys_put(s, KEY_BYTES);
    lie_about_now(s);
    unsigned misled = caller_new(s, LIE_PLACEMENT);
    join(s, GIDS(101));
    halves(s);
    keys_ask(s, misled);
    within(s, 5000, five_answered, "what 100 owns is read");
    pass(s, 2000);
    check(s, keys_answered(s) == 5 && !keys_failed(s), "what it does not own is not");
    lie_to_group(s, 100, draw(s, 2) ? LIE_PLACEMENT : LIE_HIGHER);
    tell_again(s, 101);
    pass(s, 3000);
    check(s, keys_answered(s) == 5, "nor when its members believe the liar");
    check(s, shards_at(s, 101) == SECOND_HALF, "101 has what it had");
    lie_to_group(s, 100, LIE_NONE);
    tell_again(s, 101);
}

/* … and of those who are led to another cluster's, none. */
static void S14F(struct sim *s)
{
    join(s, GIDS(100));
    settled(s);
    keys_choose(s, 1);
    keys_put(s, KEY_BYTES);
    keys_ask(s, caller_new(s, LIE_CLUSTER));
    pass(s, 5000);
    check(s, keys_answered(s) == 0, "nobody from another cluster is served");
    lie_to_group(s, 100, LIE_CLUSTER);
    tell_again(s, 100);
    check(s, replicas_of(s, 100) == 3, "nothing is deleted because another cluster says so");
    keys_check_append(s);
    lie_to_group(s, 100, LIE_NONE);
}

const struct scenario scenarios_shard[] = {
    {"S1", "StaticShards", 9, -1, S1},
    {"S2", "JoinLeave", 9, -1, S2},
    {"S3", "Snapshot", 12, 1000, S3},
    {"S4", "MissChange", 12, 1000, S4},
    {"S5", "Concurrent1", 12, 100, S5},
    {"S6", "Concurrent2", 12, -1, S6},
    {"S7", "Concurrent3", 12, 300, S7},
    {"S8", "Unreliable1", 12, 100, S8},
    {"S9", "Unreliable2", 12, 100, S9},
    {"S10", "Unreliable3", 12, 100, S10},
    {"S11", "Challenge1Delete", 12, 1, S11},
    {"S12", "Challenge2Unaffected", 9, 100, S12},
    {"S13", "Challenge2Partial", 12, 100, S13},
    {"S14", "Rejection: a controller that lies", 9, -1, S14},
    {"S14F", "Rejection: another cluster", 9, -1, S14F},
    {0},
};
