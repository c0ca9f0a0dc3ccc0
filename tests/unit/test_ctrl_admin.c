/* What administrators may ask for, what they are answered, and that it happens once. */
#include "tests/unit/unit.h"

#include "tests/unit/ctrl_world.h"

#include <stdio.h>

static void shards_are_balanced_over(const struct world *w, unsigned n, const uint64_t *gids)
{
    const struct ctrl_view *v = ctrl_view(w->c);
    unsigned low = v->nshards, high = 0, sum = 0;
    for (unsigned i = 0; i < n; i++) {
        unsigned count = 0;
        for (uint32_t s = 0; s < v->nshards; s++)
            count += v->shards[s].wanted == gids[i];
        low = MIN(low, count);
        high = MAX(high, count);
        sum += count;
    }
    assert_int_equal(sum, n ? v->nshards : 0);
    assert_true(n == 0 || high - low <= 1);
}

static void groups_are(struct world *w, unsigned n, const uint64_t *gids)
{
    struct ctrl_config c;
    assert_int_equal(ctrl_query(w->c, UINT64_MAX, &c), RGKV_OK);
    assert_int_equal(c.n_groups, n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(c.groups[i].gid, gids[i]);
    ctrl_config_release(&c);
    shards_are_balanced_over(w, n, gids);
}

static void refused(struct ctrl_result r, enum rgkv_err err, const char *why)
{
    assert_int_equal(r.err, err);
    assert_string_equal(r.why, why);
    assert_int_equal(r.config_num, 0);
}

static void c1_join_and_leave_keep_addresses_verbatim_and_in_order(void **state)
{
    struct world w;
    world_init(&w, 10);
    assert_int_equal(world_join(&w, 1, "x y z").config_num, 1);
    groups_are(&w, 1, (uint64_t[]){1});
    assert_int_equal(world_join(&w, 2, "c a b").config_num, 2);
    groups_are(&w, 2, (uint64_t[]){1, 2});
    struct ctrl_config c;
    assert_int_equal(ctrl_query(w.c, 2, &c), RGKV_OK);
    assert_string_equal(c.groups[0].addrs[0], "x");
    assert_string_equal(c.groups[0].addrs[2], "z");
    assert_string_equal(c.groups[1].addrs[0], "c");
    assert_string_equal(c.groups[1].addrs[2], "b");
    ctrl_config_release(&c);
    assert_int_equal(world_leave(&w, 1).config_num, 3);
    groups_are(&w, 1, (uint64_t[]){2});
    assert_int_equal(world_leave(&w, 2).config_num, 4);
    groups_are(&w, 0, NULL);
    world_release(&w);
}

static void c2_every_old_config_can_be_asked_for_after_a_restart(void **state)
{
    struct world w;
    struct ctrl_config saved[6], c;
    world_init(&w, 10);
    for (uint64_t i = 0; i < 6; i++) {
        assert_int_equal(ctrl_query(w.c, UINT64_MAX, &saved[i]), RGKV_OK);
        assert_int_equal(saved[i].num, i);
        assert_int_equal(world_join(&w, 10 + i, "x y z").err, RGKV_OK);
    }
    world_restart(&w);
    for (uint64_t i = 0; i < 6; i++) {
        assert_int_equal(ctrl_query(w.c, i, &c), RGKV_OK);
        assert_int_equal(c.n_groups, saved[i].n_groups);
        assert_memory_equal(c.shards, saved[i].shards, 10 * sizeof(*c.shards));
        if (c.n_groups)
            assert_memory_equal(c.groups, saved[i].groups, c.n_groups * sizeof(*c.groups));
        ctrl_config_release(&c);
        ctrl_config_release(&saved[i]);
    }
    assert_int_equal(ctrl_query(w.c, 7, &c), RGKV_NOT_FOUND);
    world_release(&w);
}

static void c3_a_moved_shard_stays_until_the_next_rebalance_and_raises_the_number(void **state)
{
    struct world w;
    world_init(&w, 10);
    world_join(&w, 503, "x");
    world_join(&w, 504, "y");
    for (uint32_t s = 0; s < 10; s++)
        assert_int_equal(world_move(&w, s, s < 5 ? 503 : 504).config_num, 3 + s);
    for (uint32_t s = 0; s < 10; s++)
        assert_int_equal(world_at(&w, s)->wanted, s < 5 ? 503 : 504);
    assert_int_equal(world_move(&w, 9, 503).err, RGKV_OK);
    assert_int_equal(world_move(&w, 8, 503).config_num, 14);
    assert_int_equal(world_at(&w, 9)->wanted, 503);
    world_join(&w, 505, "z");
    groups_are(&w, 3, (uint64_t[]){503, 504, 505});
    world_release(&w);
}

static void a_move_to_where_the_shard_is_makes_a_config_as_well(void **state)
{
    struct world w;
    world_init(&w, 4);
    world_join(&w, 1, "x");
    assert_int_equal(world_move(&w, 2, 1).config_num, 2);
    world_release(&w);
}

static void c4_c8_ten_clients_joining_and_leaving_end_with_ten_groups(void **state)
{
    struct world w;
    world_init(&w, 10);
    uint64_t gids[10];
    for (unsigned phase = 0; phase < 3; phase++)
        for (uint64_t i = 0; i < 10; i++) {
            gids[i] = 100 + i;
            struct ctrl_result r = phase == 0   ? world_join(&w, 1100 + i, "a b")
                                   : phase == 1 ? world_join(&w, 100 + i, "c d")
                                                : world_leave(&w, 1100 + i);
            assert_int_equal(r.err, RGKV_OK);
        }
    groups_are(&w, 10, gids);
    assert_int_equal(ctrl_view(w.c)->config_num, 30);
    world_release(&w);
}

static void c7_several_groups_in_one_command_are_one_config(void **state)
{
    struct world w;
    world_init(&w, 10);
    struct ctrl_join_group g[2];
    join_group(&g[0], 2, "a b c");
    join_group(&g[1], 1, "x y z");
    struct ctrl_command k = {.op = CTRL_JOIN, .n_groups = 2, .groups = g};
    assert_int_equal(world_do(&w, k).config_num, 1);
    groups_are(&w, 2, (uint64_t[]){1, 2});
    world_join(&w, 3, "j k l");
    k = (struct ctrl_command){.op = CTRL_LEAVE, .n_gids = 2, .gids = (uint64_t[]){1, 3}};
    assert_int_equal(world_do(&w, k).config_num, 3);
    groups_are(&w, 1, (uint64_t[]){2});
    world_release(&w);
}

static void c5_c6_c9_c10_groups_that_stay_give_and_take_no_shard_from_each_other(void **state)
{
    struct world w;
    world_init(&w, 10);
    for (uint64_t gid = 1; gid <= 13; gid++) {
        uint64_t before[10];
        for (uint32_t s = 0; s < 10; s++)
            before[s] = world_at(&w, s)->wanted;
        world_join(&w, gid, "a");
        for (uint32_t s = 0; s < 10; s++)
            assert_true(world_at(&w, s)->wanted == before[s] || world_at(&w, s)->wanted == gid);
    }
    for (uint64_t gid = 1; gid <= 12; gid++) {
        uint64_t before[10];
        for (uint32_t s = 0; s < 10; s++)
            before[s] = world_at(&w, s)->wanted;
        world_leave(&w, gid);
        for (uint32_t s = 0; s < 10; s++)
            assert_true(world_at(&w, s)->wanted == before[s] || before[s] == gid);
    }
    world_release(&w);
}

static void a_join_is_refused_whole_if_one_group_is_there_already(void **state)
{
    struct world w;
    world_init(&w, 10);
    world_join(&w, 101, "a b");
    uint64_t version = ctrl_view(w.c)->version;
    struct ctrl_join_group g[2];
    join_group(&g[0], 102, "c d");
    join_group(&g[1], 101, "a b");
    struct ctrl_command k = {.op = CTRL_JOIN, .n_groups = 2, .groups = g};
    refused(world_do(&w, k), RGKV_EXISTS, "group 101 is in the cluster already: leave it first");
    groups_are(&w, 1, (uint64_t[]){101});
    assert_int_equal(ctrl_view(w.c)->config_num, 1);
    assert_int_equal(ctrl_view(w.c)->version, version);
    world_release(&w);
}

static void a_leave_is_refused_whole_if_one_group_is_unknown(void **state)
{
    struct world w;
    world_init(&w, 10);
    world_join(&w, 101, "a b");
    struct ctrl_command k = {.op = CTRL_LEAVE, .n_gids = 2, .gids = (uint64_t[]){101, 7}};
    refused(world_do(&w, k), RGKV_NOT_FOUND, "group 7 is not in the cluster");
    groups_are(&w, 1, (uint64_t[]){101});
    world_release(&w);
}

static void malformed_joins_are_invalid_and_say_why(void **state)
{
    struct world w;
    world_init(&w, 10);
    refused(world_join(&w, 0, "a b"), RGKV_INVALID, "0 is the controller: group ids begin with 1");
    refused(world_join(&w, 5, "a b a"), RGKV_INVALID, "group 5 names a twice");
    refused(world_join(&w, 5, "a  b"), RGKV_INVALID, "group 5: address 2 is not a host:port");
    struct ctrl_join_group g[2] = {{.gid = 5}, {.gid = 5}};
    struct ctrl_command k = {.op = CTRL_JOIN, .n_groups = 1, .groups = g};
    refused(world_do(&w, k), RGKV_INVALID, "group 5 has no addresses");
    g[0].n = MEMBERS_MAX + 1;
    refused(world_do(&w, k), RGKV_INVALID, "group 5 has more than 9 members");
    join_group(&g[0], 5, "a");
    join_group(&g[1], 5, "b");
    k.n_groups = 2;
    refused(world_do(&w, k), RGKV_INVALID, "group 5 is named twice");
    k.n_groups = 0;
    refused(world_do(&w, k), RGKV_INVALID, "name between 1 and 1024 groups");
    memset(g[0].addrs[0], 'a', ADDR_BYTES_MAX);
    k.n_groups = 1;
    refused(world_do(&w, k), RGKV_INVALID, "group 5: address 1 is not a host:port");
    assert_int_equal(ctrl_view(w.c)->config_num, 0);
    world_release(&w);
}

static void malformed_leaves_and_moves_are_refused_and_say_why(void **state)
{
    struct world w;
    world_init(&w, 10);
    world_join(&w, 1, "a");
    struct ctrl_command k = {.op = CTRL_LEAVE};
    refused(world_do(&w, k), RGKV_INVALID, "name between 1 and 1024 groups");
    k = (struct ctrl_command){.op = CTRL_LEAVE, .n_gids = 2, .gids = (uint64_t[]){1, 1}};
    refused(world_do(&w, k), RGKV_INVALID, "group 1 is named twice");
    refused(world_move(&w, 10, 1), RGKV_RANGE, "shard 10 is not between 0 and 9");
    refused(world_move(&w, 3, 2), RGKV_NOT_FOUND, "group 2 is not in the cluster");
    refused(world_move(&w, 3, 0), RGKV_NOT_FOUND, "group 0 is not in the cluster");
    k = (struct ctrl_command){.op = (enum ctrl_op)99};
    assert_int_equal(world_do(&w, k).err, RGKV_INVALID);
    k = (struct ctrl_command){.op = CTRL_MOVE, .gid = 1};
    assert_int_equal(world_apply(&w, k).err, RGKV_INVALID); /* no client */
    assert_int_equal(ctrl_view(w.c)->config_num, 1);
    world_release(&w);
}

static void one_node_may_serve_in_several_groups(void **state)
{
    struct world w;
    world_init(&w, 10);
    assert_int_equal(world_join(&w, 1, "a b c").err, RGKV_OK);
    assert_int_equal(world_join(&w, 2, "a b c").err, RGKV_OK);
    world_bind(&w, 1, 50);
    world_bind(&w, 2, 50);
    assert_true(ctrl_view_group(ctrl_view(w.c), 2)->founded);
    world_release(&w);
}

static void only_the_first_init_counts(void **state)
{
    struct world w;
    world_init(&w, 10);
    struct ctrl_command k = {.op = CTRL_INIT, .cluster = 0xbad, .nshards = 20};
    assert_int_equal(world_do(&w, k).err, RGKV_EXISTS);
    assert_int_equal(ctrl_view(w.c)->nshards, 10);
    assert_int_equal(ctrl_view(w.c)->cluster, 0xc1);
    world_release(&w);
}

static void nothing_is_done_before_init(void **state)
{
    struct world w = {.table = array_table_new()};
    struct ctrl_config c;
    assert_int_equal(ctrl_open(w.table, &w.c), RGKV_OK);
    assert_false(ctrl_initialised(w.c));
    assert_int_equal(ctrl_query(w.c, UINT64_MAX, &c), RGKV_NOT_FOUND);
    assert_int_equal(world_join(&w, 1, "a").err, RGKV_BUSY);
    assert_int_equal(world_do(&w, (struct ctrl_command){.op = CTRL_INIT, .cluster = 1}).err, RGKV_RANGE);
    assert_int_equal(world_do(&w, (struct ctrl_command){.op = CTRL_INIT, .nshards = 1}).err, RGKV_INVALID);
    world_restart(&w);
    assert_false(ctrl_initialised(w.c));
    assert_null(ctrl_view(w.c)->shards);
    assert_int_equal(world_do(&w, (struct ctrl_command){.op = CTRL_INIT, .cluster = 1, .nshards = 4}).err, RGKV_OK);
    assert_int_equal(ctrl_view(w.c)->nshards, 4);
    world_release(&w);
}

/* ---- exactly once (P28) ---- */

static struct ctrl_command join_from(const struct ctrl_join_group *g, uint64_t client, uint64_t seq, uint64_t born)
{
    return (struct ctrl_command){.op = CTRL_JOIN, .n_groups = 1, .groups = g, .client = client, .seq = seq,
                                 .born_us = born};
}

static void a_retry_is_answered_as_the_first_copy_was(void **state)
{
    struct world w;
    world_init(&w, 10);
    struct ctrl_join_group g;
    join_group(&g, 1, "a b c");
    assert_int_equal(world_do(&w, join_from(&g, 5, 1, 0)).config_num, 1);
    world_leave(&w, 1);
    world_restart(&w);
    struct ctrl_result r = world_do(&w, join_from(&g, 5, 1, 0));
    assert_true(r.duplicate);
    assert_int_equal(r.err, RGKV_OK);
    assert_int_equal(r.config_num, 1);
    assert_int_equal(ctrl_view(w.c)->config_num, 2);
    r = world_do(&w, join_from(&g, 5, 2, 0));
    assert_false(r.duplicate);
    assert_int_equal(r.config_num, 3);
    world_release(&w);
}

static void p28_a_failure_is_recorded_too(void **state)
{
    struct world w;
    world_init(&w, 10);
    uint64_t gid = 9;
    struct ctrl_command k = {.op = CTRL_LEAVE, .n_gids = 1, .gids = &gid, .client = 5, .seq = 1};
    refused(world_do(&w, k), RGKV_NOT_FOUND, "group 9 is not in the cluster");
    world_join(&w, 9, "a");
    world_restart(&w);
    struct ctrl_result r = world_do(&w, k);
    assert_true(r.duplicate);
    refused(r, RGKV_NOT_FOUND, "group 9 is not in the cluster");
    assert_int_equal(ctrl_view(w.c)->config_num, 1);
    world_release(&w);
}

static void p28_a_retry_whose_result_may_be_gone_is_refused_and_not_executed(void **state)
{
    struct world w;
    world_init(&w, 2);
    struct ctrl_join_group g;
    join_group(&g, 1, "a");
    uint64_t born = ctrl_time_us(w.c);
    assert_int_equal(world_do(&w, join_from(&g, 5, 1, born)).err, RGKV_OK);
    uint64_t executed_us = ctrl_time_us(w.c);
    for (unsigned i = 0; i < 4095; i++)
        world_move(&w, 0, 1);
    assert_true(world_do(&w, join_from(&g, 5, 1, born)).duplicate);
    world_move(&w, 0, 1);
    world_leave(&w, 1);
    world_restart(&w);
    assert_int_equal(array_table_rows(w.table, 'r'), 4096);
    assert_int_equal(world_do(&w, join_from(&g, 5, 1, born)).err, RGKV_SESSION_EXPIRED);
    assert_int_equal(world_do(&w, join_from(&g, 5, 1, executed_us)).err, RGKV_SESSION_EXPIRED);
    assert_int_equal(ctrl_view(w.c)->n_groups, 1);
    assert_int_equal(world_do(&w, join_from(&g, 5, 9, ctrl_time_us(w.c))).err, RGKV_OK);
    world_release(&w);
}

static void every_success_raises_the_number_by_one_and_every_failure_by_none(void **state)
{
    struct world w;
    struct prng p;
    prng_init(&p, 3);
    world_init(&w, 10);
    uint64_t num = 0;
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t gid = prng_between(&p, 0, 14);
        struct ctrl_result r;
        switch (prng_below(&p, 3)) {
        case 0: r = world_join(&w, gid, prng_chance(&p, 1, 8) ? "a a" : "a b c"); break;
        case 1: r = world_leave(&w, gid); break;
        default: r = world_move(&w, (uint32_t)prng_below(&p, 12), gid); break;
        }
        num += r.err == RGKV_OK;
        assert_int_equal(ctrl_view(w.c)->config_num, num);
        assert_int_equal(r.config_num, r.err ? 0 : num);
        if (prng_chance(&p, 1, 50))
            world_restart(&w);
    }
    assert_int_equal(array_table_rows(w.table, 'c'), num + 1);
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c1_join_and_leave_keep_addresses_verbatim_and_in_order),
        cmocka_unit_test(c2_every_old_config_can_be_asked_for_after_a_restart),
        cmocka_unit_test(c3_a_moved_shard_stays_until_the_next_rebalance_and_raises_the_number),
        cmocka_unit_test(a_move_to_where_the_shard_is_makes_a_config_as_well),
        cmocka_unit_test(c4_c8_ten_clients_joining_and_leaving_end_with_ten_groups),
        cmocka_unit_test(c7_several_groups_in_one_command_are_one_config),
        cmocka_unit_test(c5_c6_c9_c10_groups_that_stay_give_and_take_no_shard_from_each_other),
        cmocka_unit_test(a_join_is_refused_whole_if_one_group_is_there_already),
        cmocka_unit_test(a_leave_is_refused_whole_if_one_group_is_unknown),
        cmocka_unit_test(malformed_joins_are_invalid_and_say_why),
        cmocka_unit_test(malformed_leaves_and_moves_are_refused_and_say_why),
        cmocka_unit_test(one_node_may_serve_in_several_groups),
        cmocka_unit_test(only_the_first_init_counts),
        cmocka_unit_test(nothing_is_done_before_init),
        cmocka_unit_test(a_retry_is_answered_as_the_first_copy_was),
        cmocka_unit_test(p28_a_failure_is_recorded_too),
        cmocka_unit_test(p28_a_retry_whose_result_may_be_gone_is_refused_and_not_executed),
        cmocka_unit_test(every_success_raises_the_number_by_one_and_every_failure_by_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
