/* Rules of shards and of the controller, by their numbers, that no scenario of the originals meets: groups that die for ever, that leave and come
 * back, that are the last; and a controller that is alone. */
#include "tests/sim/scenario.h"

#include <limits.h>

#define ALL_SHARDS 0x3ffu
#define FIRST_HALF 0x01fu
#define SECOND_HALF 0x3e0u
#define KEY_BYTES 30u

static void two_groups(struct sim *s)
{
    join(s, GIDS(100));
    join(s, GIDS(101));
    settled(s);
    check(s, shards_at(s, 100) == FIRST_HALF && shards_at(s, 101) == SECOND_HALF, "half of the shards each");
    keys_choose(s, 1);
    keys_put(s, KEY_BYTES);
}

/* A group that left while it could hand nothing over is still known, and is the same when it joins again. */
static void P3(struct sim *s)
{
    two_groups(s);
    group_crash(s, GIDS(101));
    leave(s, GIDS(100));
    pass(s, draw(s, 3000));
    for (unsigned key = 0; key < 5; key++) {
        key_check(s, key);
        key_append(s, key);
    }
    join(s, GIDS(100));
    pass(s, draw(s, 3000));
    check(s, replicas_of(s, 100) == 3, "its members are what they were");
    for (unsigned key = 0; key < 5; key++) {
        key_check(s, key);
        key_append(s, key);
    }
    group_start(s, GIDS(101));
    settled(s);
    keys_check_append(s);
}

/* A destination that dies for ever in the middle of a move: the move is given up, and another destination is chosen by a new config. */
static bool one_is_moving(struct sim *s)
{
    const struct ctrl_view *v = caller_newest_view(s);
    for (uint32_t i = 0; v && i < v->nshards; i++)
        if (v->shards[i].target && v->shards[i].holder)
            return true;
    return false;
}
static bool all_at_100(struct sim *s) { return shards_at(s, 100) == ALL_SHARDS; }
/* So that no move is over before it is seen. */
static void copied_in_small_pieces(struct sim *s)
{
    s->chunk_bytes = 200;
    group_crash(s, GIDS(100, 101, 102));
    group_start(s, GIDS(100, 101, 102));
}
static void P16(struct sim *s)
{
    copied_in_small_pieces(s);
    join(s, GIDS(100));
    settled(s);
    keys_choose(s, 1);
    keys_put(s, 6000);
    appenders_start(s, 5000);
    appenders_progress(s, 50);
    join(s, GIDS(101));
    within(s, 20000, one_is_moving, "a move begins");
    group_crash(s, GIDS(101));
    within(s, 20000, all_at_100, "moves to the dead are given up, and the source has what it had");
    check(s, text_has(s, CTRL_READ_MOVES, "why=\"waiting for group 101's leader\""), "moves says why");
    appenders_progress(s, 50);
    join(s, GIDS(102));
    leave(s, GIDS(101));
    settled(s);
    appenders_progress(s, 50);
    appenders_stop(s);
    check(s, shards_at(s, 101) == 0, "nothing is with the dead");
}

/* A destination that is prepared for a move that was given up, and says so while the same move is made again: that counts for nothing. */
#define SHARD 0u
static bool is_at_101(struct sim *s, enum kv_shard_state state)
{
    struct node_replica_info r;
    struct kv_shard_status status;
    bool is = false;
    for (unsigned m = 6; m < 9; m++)
        for (unsigned i = 0; s->machines[m].node && node_replica_info(s->machines[m].node, i, &r); i++)
            if (r.gid == 101 && r.kv) {
                kv_shard_status(r.kv, SHARD, &status);
                is |= status.state == state;
            }
    return is;
}
static bool is_being_copied(struct sim *s) { return is_at_101(s, KV_IMPORTING); }
static bool is_prepared(struct sim *s) { return is_at_101(s, KV_PREPARED); }
static bool is_back(struct sim *s) { return shards_at(s, 100) & 1u << SHARD; }
static void B30(struct sim *s)
{
    copied_in_small_pieces(s);
    two_groups(s);
    keys_put(s, 6000);
    move(s, SHARD, 101);
    within(s, 20000, is_being_copied, "the move begins");
    for (unsigned c = 0; c < s->n_controllers; c++)
        for (unsigned m = 6; m < 9; m++)
            s->network.cut[c][m] = s->network.cut[m][c] = true;
    within(s, 20000, is_prepared, "the destination, which no controller hears, is prepared");
    move(s, SHARD, 100);
    within(s, 20000, is_back, "the move is given up, and the source goes on");
    key_append(s, SHARD);
    move(s, SHARD, 101);
    within(s, 20000, one_is_moving, "it is made again");
    check(s, is_prepared(s), "the destination has not heard of that");
    memset(s->network.cut, 0, sizeof(s->network.cut));
    settled(s);
    keys_check_append(s);
}

/* A source that is dead for ever: its shards wait until it is given up; then they begin empty, at revisions above the old ones. */
static bool none_of_100(struct sim *s) { return replicas_of(s, 100) == 0; }
static void P19(struct sim *s)
{
    two_groups(s);
    check(s, abandon(s, 100) == RGKV_BUSY, "a group that answers is not given up");
    group_crash(s, GIDS(100));
    leave(s, GIDS(100));
    pass(s, 5000);
    check(s, shards_at(s, 101) == SECOND_HALF, "a dead group's shards wait");
    for (unsigned key = 5; key < 10; key++) {
        key_check(s, key);
        key_append(s, key);
    }
    check(s, abandon(s, 100) == RGKV_OK, "a dead group is given up");
    for (unsigned key = 0; key < 5; key++)
        key_lost(s, key);
    settled(s);
    check(s, shards_at(s, 101) == ALL_SHARDS, "its shards begin elsewhere");
    for (unsigned key = 0; key < 5; key++)
        key_append(s, key);
    keys_check_append(s);
    group_start(s, GIDS(100));
    within(s, 20000, none_of_100, "machines that come back after all delete what they had");
    keys_check_append(s);
}

/* The last group that leaves keeps the data and goes on serving them. */
static void P21(struct sim *s)
{
    join(s, GIDS(100));
    settled(s);
    keys_choose(s, 1);
    keys_put(s, KEY_BYTES);
    leave(s, GIDS(100));
    settled(s);
    keys_check_append(s);
    group_crash(s, GIDS(100));
    group_start(s, GIDS(100));
    keys_check_append(s);
    join(s, GIDS(101));
    keys_check_append(s);
    settled(s);
    check(s, shards_at(s, 101) == ALL_SHARDS, "the first group that joins has all");
    within(s, 20000, none_of_100, "the group that left is collected");
    keys_check_append(s);
}

/* A controller that leads without a quorum is left by those who poll it, though it answers. */
static void P30(struct sim *s)
{
    join(s, GIDS(100));
    settled(s);
    keys_choose(s, 1);
    keys_put(s, KEY_BYTES);
    unsigned alone = leader_machine(s, 0);
    check(s, alone < s->n_controllers, "somebody leads");
    for (unsigned i = 0; !s->failed && i < s->n_controllers; i++)
        if (i != alone)
            s->network.cut[alone][i] = s->network.cut[i][alone] = true;
    uint64_t began_us = s->now_us;
    join(s, GIDS(101));
    settled(s);
    check(s, s->now_us - began_us < 12000000, "a command and its moves take no longer than 12 s");
    check(s, shards_at(s, 101) == SECOND_HALF, "half of the shards each");
    keys_check_append(s);
}

const struct scenario scenarios_rule[] = {
    {"P3", "A group that comes back before it is gone", 9, 4000, P3},
    {"P16", "A destination that dies for ever", 12, 4000, P16},
    {"B30", "A destination that is prepared for an earlier move", 12, 4000, B30},
    {"P19", "A group that is given up", 9, 4000, P19},
    {"P21", "The last group leaves", 9, 4000, P21},
    {"P30", "A controller that is alone", 9, 4000, P30},
    {0},
};
