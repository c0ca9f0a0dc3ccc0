/* What the controller's leader proposes, from reports that the tests make up. */
#include "tests/unit/unit.h"

#include "ctrl/plan.h"
#include "tests/unit/ctrl_world.h"

#define S 1000000u
#define MAX_OUT 64u

struct stage {
    struct world w;
    struct ctrl_plan *p;
    uint64_t now_us;
    struct ctrl_command out[MAX_OUT];
    unsigned n;
};

static void stage_init(struct stage *st, uint32_t nshards)
{
    memset(st, 0, sizeof(*st));
    world_init(&st->w, nshards);
    st->now_us = 100 * S;
    st->p = ctrl_plan_new(st->now_us);
}

static void stage_release(struct stage *st)
{
    ctrl_plan_free(st->p);
    world_release(&st->w);
}

static unsigned stage_next(struct stage *st)
{
    st->n = ctrl_plan_next(st->p, st->w.c, st->now_us, st->out, MAX_OUT);
    return st->n;
}

static unsigned stage_count(const struct stage *st, enum ctrl_op op)
{
    unsigned count = 0;
    for (unsigned i = 0; i < st->n; i++)
        count += st->out[i].op == op;
    return count;
}

static void stage_do_all(struct stage *st)
{
    for (unsigned i = 0; i < st->n; i++)
        world_do(&st->w, st->out[i]);
}

static const struct ctrl_group *group(const struct stage *st, uint64_t gid) { return ctrl_view_group(ctrl_view(st->w.c), gid); }

static void heard_blank(struct stage *st, uint64_t node, const char *addr)
{
    struct ctrl_report r = {.node = node};
    strncpy(r.addr, addr, sizeof(r.addr) - 1);
    ctrl_plan_report(st->p, &r, st->now_us);
}

/* The first member of the group reports as its leader; it has these shards. */
static void heard_leader(struct stage *st, uint64_t gid, unsigned n, const struct ctrl_report_shard *shards)
{
    const struct ctrl_group *g = group(st, gid);
    struct ctrl_report_replica replica = {.gid = gid, .incarnation = g->incarnation, .member = g->members[0].id,
                                          .leader = true, .term = 1, .n_shards = n, .shards = shards};
    struct ctrl_report r = {.node = g->members[0].node, .view = ctrl_view(st->w.c)->version, .n_replicas = 1, .replicas = &replica};
    memcpy(r.addr, g->members[0].addr, sizeof(r.addr));
    ctrl_plan_report(st->p, &r, st->now_us);
}

static void heard_shard(struct stage *st, uint64_t gid, uint32_t shard, enum kv_shard_state state, uint64_t epoch)
{
    struct ctrl_report_shard s = {.shard = shard, .state = state, .epoch = epoch};
    heard_leader(st, gid, 1, &s);
}

/* A founded group of one node. */
static void group_up(struct stage *st, uint64_t gid, const char *addr)
{
    assert_int_equal(world_join(&st->w, gid, addr).err, RGKV_OK);
    world_bind(&st->w, gid, gid * 16);
}

static void slots_are_bound_to_the_nodes_that_listen_at_their_addresses(void **state)
{
    struct stage st;
    stage_init(&st, 4);
    world_join(&st.w, 1, "a:1 b:1");
    assert_int_equal(stage_next(&st), 0);
    heard_blank(&st, 70, "b:1");
    heard_blank(&st, 71, "c:1");
    assert_int_equal(stage_next(&st), 1);
    assert_int_equal(st.out[0].op, CTRL_BIND);
    assert_int_equal(st.out[0].node, 70);
    assert_int_equal(st.out[0].member, group(&st, 1)->members[1].id);
    stage_do_all(&st);
    assert_int_equal(group(&st, 1)->members[1].node, 70);
    assert_int_equal(stage_next(&st), 0);
    stage_release(&st);
}

static void p1_a_node_never_takes_two_slots_of_a_group_nor_a_taken_one(void **state)
{
    struct stage st;
    stage_init(&st, 4);
    world_join(&st.w, 1, "a:1 b:1");
    heard_blank(&st, 70, "a:1");
    stage_next(&st);
    stage_do_all(&st);
    heard_blank(&st, 70, "b:1");          /* the node moved to the other slot's address */
    heard_blank(&st, 71, "a:1");          /* another node came to the taken slot's address */
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_BIND), 0);
    stage_release(&st);
}

static void of_two_nodes_at_one_address_the_one_heard_last_is_bound(void **state)
{
    struct stage st;
    stage_init(&st, 4);
    world_join(&st.w, 1, "a:1");
    heard_blank(&st, 71, "a:1");
    st.now_us += 1;
    heard_blank(&st, 70, "a:1");
    assert_int_equal(stage_next(&st), 1);
    assert_int_equal(st.out[0].node, 70);
    stage_release(&st);
}

static void a_node_silent_for_3_s_is_not_bound(void **state)
{
    struct stage st;
    stage_init(&st, 4);
    world_join(&st.w, 1, "a:1");
    heard_blank(&st, 70, "a:1");
    st.now_us += 3 * S + 1;
    assert_int_equal(stage_next(&st), 0);
    stage_release(&st);
}

static void a_known_node_at_a_new_address_is_followed_in_all_its_groups(void **state)
{
    struct stage st;
    stage_init(&st, 4);
    world_join(&st.w, 1, "a:1");
    world_join(&st.w, 2, "a:1");
    world_bind(&st.w, 1, 70);
    world_bind(&st.w, 2, 70);
    heard_blank(&st, 70, "z:9");
    assert_int_equal(stage_next(&st), 1);
    assert_int_equal(st.out[0].op, CTRL_ADDR);
    stage_do_all(&st);
    assert_string_equal(group(&st, 1)->members[0].addr, "z:9");
    assert_string_equal(group(&st, 2)->members[0].addr, "z:9");
    assert_int_equal(stage_next(&st), 0);
    stage_release(&st);
}

static void p13_first_assignments_are_prepared_all_at_once_for_there_is_nothing_to_copy(void **state)
{
    struct stage st;
    stage_init(&st, 10);
    group_up(&st, 1, "a:1");
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_PREPARE), 0); /* no leader reported */
    heard_leader(&st, 1, 0, NULL);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_PREPARE), 10);
    struct ctrl_command more[4];
    assert_int_equal(ctrl_plan_next(st.p, st.w.c, st.now_us, more, 4), 0); /* asked for already */
    stage_do_all(&st);
    assert_int_equal(stage_next(&st), 0);
    heard_shard(&st, 1, 0, KV_PREPARED, 1);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_COMMIT), 1);
    stage_release(&st);
}

static void commit_wants_prepared_at_exactly_the_epoch(void **state)
{
    struct stage st;
    stage_init(&st, 1);
    group_up(&st, 1, "a:1");
    world_shard(&st.w, CTRL_PREPARE, 0, 0, 1);
    world_shard(&st.w, CTRL_ABORT, 0, 1, 0);
    world_shard(&st.w, CTRL_PREPARE, 0, 2, 1);
    heard_shard(&st, 1, 0, KV_PREPARED, 1);
    assert_int_equal(stage_next(&st), 0);
    heard_shard(&st, 1, 0, KV_IMPORTING, 3);
    assert_int_equal(stage_next(&st), 0);
    heard_shard(&st, 1, 0, KV_PREPARED, 3);
    assert_int_equal(stage_next(&st), 1);
    assert_int_equal(st.out[0].op, CTRL_COMMIT);
    assert_int_equal(st.out[0].epoch, 3);
    stage_release(&st);
}

static void p15_active_wants_serving_at_exactly_the_epoch_by_the_holder(void **state)
{
    struct stage st;
    stage_init(&st, 1);
    group_up(&st, 1, "a:1");
    group_up(&st, 2, "b:1");
    world_give(&st.w, 0, 1);
    world_move(&st.w, 0, 2);
    world_shard(&st.w, CTRL_PREPARE, 0, 1, 2);
    world_move(&st.w, 0, 1);
    world_shard(&st.w, CTRL_ABORT, 0, 2, 0); /* epoch 3, holder 1, not active */
    world_move(&st.w, 0, 2);
    heard_leader(&st, 2, 0, NULL);
    heard_shard(&st, 1, 0, KV_SERVING, 1);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_ACTIVE) + stage_count(&st, CTRL_PREPARE), 0);
    heard_shard(&st, 1, 0, KV_FROZEN, 3);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_ACTIVE) + stage_count(&st, CTRL_PREPARE), 0);
    heard_shard(&st, 1, 0, KV_SERVING, 3);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_ACTIVE), 1);
    stage_do_all(&st);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_PREPARE), 1);
    stage_release(&st);
}

static void only_a_leader_of_the_same_incarnation_is_believed_and_the_highest_term(void **state)
{
    struct stage st;
    stage_init(&st, 1);
    world_join(&st.w, 1, "a:1 b:1");
    world_bind(&st.w, 1, 50);
    world_shard(&st.w, CTRL_PREPARE, 0, 0, 1);
    const struct ctrl_group *g = group(&st, 1);
    struct ctrl_report_shard prepared = {.shard = 0, .state = KV_PREPARED, .epoch = 1};
    struct ctrl_report_replica replica = {.gid = 1, .incarnation = 99, .member = g->members[0].id, .leader = true,
                                          .term = 5, .n_shards = 1, .shards = &prepared};
    struct ctrl_report r = {.node = 50, .addr = "a:1", .n_replicas = 1, .replicas = &replica};
    ctrl_plan_report(st.p, &r, st.now_us);
    assert_int_equal(stage_next(&st), 0);
    replica.incarnation = g->incarnation;
    replica.leader = false;
    ctrl_plan_report(st.p, &r, st.now_us);
    assert_int_equal(stage_next(&st), 0);
    replica.member = g->members[1].id; /* the node speaks of a member that is not its own */
    replica.leader = true;
    ctrl_plan_report(st.p, &r, st.now_us);
    assert_int_equal(stage_next(&st), 0);
    replica.member = g->members[0].id;
    ctrl_plan_report(st.p, &r, st.now_us);
    struct ctrl_report_replica newer = {.gid = 1, .incarnation = g->incarnation, .member = g->members[1].id, .leader = true,
                                        .term = 6};
    struct ctrl_report r2 = {.node = 51, .addr = "b:1", .n_replicas = 1, .replicas = &newer};
    ctrl_plan_report(st.p, &r2, st.now_us);
    assert_int_equal(stage_next(&st), 0); /* the leader of term 6 has nothing */
    newer.term = 4;
    ctrl_plan_report(st.p, &r2, st.now_us);
    assert_int_equal(stage_next(&st), 1);
    stage_release(&st);
}

/* One shard on its way from 1 to 2. */
static void stage_moving(struct stage *st)
{
    stage_init(st, 1);
    group_up(st, 1, "a:1");
    world_give(&st->w, 0, 1);
    group_up(st, 2, "b:1");
    world_move(&st->w, 0, 2);
    heard_shard(st, 1, 0, KV_SERVING, 1);
    heard_leader(st, 2, 0, NULL);
    stage_next(st);
    assert_int_equal(stage_count(st, CTRL_PREPARE), 1);
    stage_do_all(st);
    assert_int_equal(stage_next(st), 0);
}

static void p17_a_target_that_is_still_wanted_lives_through_new_configs(void **state)
{
    struct stage st;
    stage_moving(&st);
    world_move(&st.w, 0, 2);
    assert_int_equal(stage_next(&st), 0);
    world_move(&st.w, 0, 1);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_ABORT), 1);
    stage_release(&st);
}

/* P16, P19: whose source is dead waits, and nobody waits behind it. */
static void moves_from_a_silent_source_take_no_turn_of_others(void **state)
{
    struct stage st;
    stage_init(&st, 12);
    group_up(&st, 1, "a:1");
    for (uint32_t s = 0; s < 6; s++)
        world_give(&st.w, s, 1);
    group_up(&st, 2, "b:1");
    for (uint32_t s = 6; s < 12; s++)
        world_give(&st.w, s, 2);
    group_up(&st, 3, "c:1");
    for (uint32_t s = 0; s < 12; s++)
        world_move(&st.w, s, 3);
    heard_leader(&st, 1, 0, NULL);
    heard_leader(&st, 3, 0, NULL);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_PREPARE), 4); /* of group 1, the only one that answers */
    stage_do_all(&st);
    st.now_us += 2 * S;
    heard_leader(&st, 2, 0, NULL);
    heard_leader(&st, 3, 0, NULL);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_PREPARE), 4);
    for (unsigned i = 0; i < st.n; i++)
        if (st.out[i].op == CTRL_PREPARE)
            assert_true(st.out[i].shard >= 6);
    stage_release(&st);
}

static void P29_nothing_is_moved_to_a_full_disk(void **state)
{
    struct stage st;
    stage_init(&st, 2);
    group_up(&st, 1, "a:1");
    world_give(&st.w, 0, 1);
    world_give(&st.w, 1, 1);
    group_up(&st, 2, "b:1");
    world_move(&st.w, 0, 2);
    heard_leader(&st, 1, 0, NULL);
    const struct ctrl_group *g = group(&st, 2);
    struct ctrl_report_replica replica = {.gid = 2, .incarnation = g->incarnation, .member = g->members[0].id, .leader = true, .term = 1};
    struct ctrl_report r = {.node = g->members[0].node, .n_replicas = 1, .replicas = &replica, .disk_total = 1ull << 40, .disk_free = 1 << 20};
    memcpy(r.addr, g->members[0].addr, sizeof(r.addr));
    ctrl_plan_report(st.p, &r, st.now_us);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_PREPARE), 0);
    r.disk_free = 1ull << 30;
    ctrl_plan_report(st.p, &r, st.now_us);
    stage_next(&st);
    assert_true(stage_count(&st, CTRL_PREPARE) > 0);
    stage_release(&st);
}

static void p17_an_unwanted_target_is_aborted_though_it_is_prepared(void **state)
{
    struct stage st;
    stage_moving(&st);
    world_move(&st.w, 0, 1);
    heard_shard(&st, 2, 0, KV_PREPARED, 2);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_COMMIT), 0);
    assert_int_equal(stage_count(&st, CTRL_ABORT), 1);
    stage_release(&st);
}

static void p16_a_move_is_aborted_after_3_s_without_its_destination(void **state)
{
    struct stage st;
    stage_moving(&st);
    st.now_us += 3 * S;
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_ABORT), 0);
    st.now_us += 1;
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_ABORT), 1);
    stage_release(&st);
}

static void a_new_controller_leader_waits_3_s_before_it_aborts(void **state)
{
    struct stage st;
    stage_moving(&st);
    ctrl_plan_free(st.p);
    st.now_us += 60 * S;
    st.p = ctrl_plan_new(st.now_us);
    assert_int_equal(stage_next(&st), 0);
    st.now_us += 3 * S;
    assert_int_equal(stage_next(&st), 0);
    st.now_us += 1;
    assert_int_equal(stage_next(&st), 1);
    assert_int_equal(st.out[0].op, CTRL_ABORT);
    stage_release(&st);
}

static void p16_a_copy_without_progress_is_aborted_after_10_s_and_tried_later(void **state)
{
    struct stage st;
    stage_moving(&st);
    struct ctrl_report_shard copy = {.shard = 0, .state = KV_IMPORTING, .epoch = 2};
    for (unsigned i = 0; i < 20; i++) { /* slow, but going on */
        st.now_us += S;
        copy.keys += i % 5 == 0;
        heard_leader(&st, 2, 1, &copy);
        heard_shard(&st, 1, 0, KV_SERVING, 1);
        assert_int_equal(stage_next(&st), 0);
    }
    unsigned waited = 0;
    for (; stage_next(&st) == 0; waited++) {
        st.now_us += S;
        heard_leader(&st, 2, 1, &copy);
        heard_shard(&st, 1, 0, KV_SERVING, 1);
    }
    assert_int_equal(st.out[0].op, CTRL_ABORT);
    assert_int_equal(waited, 7);
    stage_do_all(&st);
    heard_shard(&st, 1, 0, KV_SERVING, 3);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_ACTIVE), 1);
    stage_do_all(&st);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_PREPARE), 0); /* backs off */
    st.now_us += 2 * S;
    heard_shard(&st, 1, 0, KV_SERVING, 3);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_PREPARE), 1);
    stage_release(&st);
}

static void nothing_is_prepared_from_a_holder_that_does_not_answer(void **state)
{
    struct stage st;
    stage_init(&st, 1);
    group_up(&st, 1, "a:1");
    world_give(&st.w, 0, 1);
    group_up(&st, 2, "b:1");
    world_move(&st.w, 0, 2);
    heard_leader(&st, 2, 0, NULL);
    assert_int_equal(stage_next(&st), 0);
    heard_shard(&st, 1, 0, KV_SERVING, 1);
    assert_int_equal(stage_next(&st), 1);
    stage_release(&st);
}

static void p21_a_parked_shard_is_not_moved_and_one_on_the_way_is_called_back(void **state)
{
    struct stage st;
    stage_moving(&st);
    uint64_t both[2] = {1, 2};
    world_do(&st.w, (struct ctrl_command){.op = CTRL_LEAVE, .n_gids = 2, .gids = both});
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_ABORT), 1);
    stage_do_all(&st);
    heard_shard(&st, 1, 0, KV_SERVING, 3);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_ACTIVE), 1);
    stage_do_all(&st);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_PREPARE), 0);
    assert_int_equal(world_at(&st.w, 0)->holder, 1);
    assert_true(world_at(&st.w, 0)->active);
    stage_release(&st);
}

static void a_command_is_not_repeated_within_a_second_but_after_it(void **state)
{
    struct stage st;
    stage_init(&st, 1);
    world_join(&st.w, 1, "a:1");
    heard_blank(&st, 70, "a:1");
    assert_int_equal(stage_next(&st), 1);
    st.now_us += S - 1;
    assert_int_equal(stage_next(&st), 0);
    st.now_us += 1;
    assert_int_equal(stage_next(&st), 1);
    stage_release(&st);
}

static void what_does_not_fit_into_max_comes_with_the_next_call(void **state)
{
    struct stage st;
    stage_init(&st, 4);
    group_up(&st, 1, "a:1");
    heard_leader(&st, 1, 0, NULL);
    unsigned got = 0;
    for (unsigned i = 0; i < 4; i++)
        got += ctrl_plan_next(st.p, st.w.c, st.now_us, st.out, 1);
    assert_int_equal(got, 4);
    assert_int_equal(stage_next(&st), 0);
    stage_release(&st);
}

static void dropped_wants_a_later_report_without_the_shard(void **state)
{
    struct stage st;
    stage_moving(&st);
    world_shard(&st.w, CTRL_COMMIT, 0, 2, 0);
    world_shard(&st.w, CTRL_ACTIVE, 0, 2, 0);
    heard_leader(&st, 1, 0, NULL);
    assert_int_equal(stage_next(&st), 0); /* may have been made before the drop was there */
    st.now_us += 1;
    heard_shard(&st, 1, 0, KV_FROZEN, 2);
    assert_int_equal(stage_next(&st), 0);
    st.now_us += 1;
    heard_leader(&st, 1, 0, NULL);
    assert_int_equal(stage_next(&st), 1);
    assert_int_equal(st.out[0].op, CTRL_DROPPED);
    stage_do_all(&st);
    unsigned n;
    ctrl_drops(st.w.c, &n);
    assert_int_equal(n, 0);
    stage_release(&st);
}

static void a_report_made_under_an_older_view_or_none_proves_no_burial(void **state)
{
    struct stage st;
    stage_init(&st, 1);
    group_up(&st, 1, "a:1");
    world_leave(&st.w, 1);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_RETIRE), 1);
    stage_do_all(&st);
    assert_null(group(&st, 1));
    assert_int_equal(ctrl_view(st.w.c)->n_tombstones, 1);
    stage_next(&st);
    struct ctrl_report r = {.node = 16, .addr = "a:1", .view = ctrl_view(st.w.c)->version - 1};
    st.now_us += 1;
    ctrl_plan_report(st.p, &r, st.now_us);
    assert_int_equal(stage_next(&st), 0);
    r.view = 0; /* it had just started, and the message was long on its way: it has made a replica since */
    ctrl_plan_report(st.p, &r, st.now_us);
    assert_int_equal(stage_next(&st), 0);
    r.view = ctrl_view(st.w.c)->version;
    struct ctrl_report_replica still = {.gid = 1, .incarnation = 1, .member = ctrl_view(st.w.c)->tombstones[0].member};
    r.n_replicas = 1;
    r.replicas = &still;
    ctrl_plan_report(st.p, &r, st.now_us);
    assert_int_equal(stage_next(&st), 0);
    r.n_replicas = 0;
    ctrl_plan_report(st.p, &r, st.now_us);
    assert_int_equal(stage_next(&st), 1);
    assert_int_equal(st.out[0].op, CTRL_BURIED);
    stage_do_all(&st);
    assert_int_equal(ctrl_view(st.w.c)->n_tombstones, 0);
    stage_release(&st);
}

static void a_group_that_left_is_not_retired_while_it_holds_or_drops(void **state)
{
    struct stage st;
    stage_moving(&st);
    world_leave(&st.w, 1);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_RETIRE), 0);
    world_shard(&st.w, CTRL_COMMIT, 0, 2, 0);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_RETIRE), 0);
    world_shard(&st.w, CTRL_DROPPED, 0, 2, 1);
    stage_next(&st);
    assert_int_equal(stage_count(&st, CTRL_RETIRE), 1);
    stage_release(&st);
}

static void reports_beyond_the_limits_are_ignored(void **state)
{
    struct stage st;
    uint64_t age;
    stage_init(&st, 1);
    struct ctrl_report_replica *replicas = mem_zalloc((REPLICAS_MAX + 1) * sizeof(*replicas));
    struct ctrl_report r = {.node = 5, .n_replicas = REPLICAS_MAX + 1, .replicas = replicas};
    ctrl_plan_report(st.p, &r, st.now_us);
    r.n_replicas = 0;
    r.node = 0;
    ctrl_plan_report(st.p, &r, st.now_us);
    assert_null(ctrl_plan_node(st.p, 0, st.now_us, &age));
    r.node = 5;
    strcpy(r.version, "1\nrgkv_node_up{node=\"x\"} 1"); /* would be a line of the metrics */
    ctrl_plan_report(st.p, &r, st.now_us);
    strcpy(r.version, "1.0~rc1+x");
    strcpy(r.addr, "h\":1");
    ctrl_plan_report(st.p, &r, st.now_us);
    assert_null(ctrl_plan_node(st.p, 0, st.now_us, &age));
    memset(r.addr, 'x', sizeof(r.addr));
    for (r.node = 1; r.node <= NODES_MAX + 5; r.node++)
        ctrl_plan_report(st.p, &r, st.now_us);
    assert_non_null(ctrl_plan_node(st.p, NODES_MAX - 1, st.now_us, &age));
    assert_null(ctrl_plan_node(st.p, NODES_MAX, st.now_us, &age));
    st.now_us += 61 * S;
    r.node = 5000;
    ctrl_plan_report(st.p, &r, st.now_us);
    assert_int_equal(ctrl_plan_node(st.p, NODES_MAX - 1, st.now_us, &age)->node, 5000);
    assert_int_equal(age, 0);
    mem_free(replicas);
    stage_release(&st);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_bound_to_the_nodes_that_listen_at_their_addresses),
        cmocka_unit_test(p1_a_node_never_takes_two_slots_of_a_group_nor_a_taken_one),
        cmocka_unit_test(of_two_nodes_at_one_address_the_one_heard_last_is_bound),
        cmocka_unit_test(a_node_silent_for_3_s_is_not_bound),
        cmocka_unit_test(a_known_node_at_a_new_address_is_followed_in_all_its_groups),
        cmocka_unit_test(p13_first_assignments_are_prepared_all_at_once_for_there_is_nothing_to_copy),
        cmocka_unit_test(commit_wants_prepared_at_exactly_the_epoch),
        cmocka_unit_test(p15_active_wants_serving_at_exactly_the_epoch_by_the_holder),
        cmocka_unit_test(only_a_leader_of_the_same_incarnation_is_believed_and_the_highest_term),
        cmocka_unit_test(p17_a_target_that_is_still_wanted_lives_through_new_configs),
        cmocka_unit_test(moves_from_a_silent_source_take_no_turn_of_others),
        cmocka_unit_test(P29_nothing_is_moved_to_a_full_disk),
        cmocka_unit_test(p17_an_unwanted_target_is_aborted_though_it_is_prepared),
        cmocka_unit_test(p16_a_move_is_aborted_after_3_s_without_its_destination),
        cmocka_unit_test(a_new_controller_leader_waits_3_s_before_it_aborts),
        cmocka_unit_test(p16_a_copy_without_progress_is_aborted_after_10_s_and_tried_later),
        cmocka_unit_test(nothing_is_prepared_from_a_holder_that_does_not_answer),
        cmocka_unit_test(p21_a_parked_shard_is_not_moved_and_one_on_the_way_is_called_back),
        cmocka_unit_test(a_command_is_not_repeated_within_a_second_but_after_it),
        cmocka_unit_test(what_does_not_fit_into_max_comes_with_the_next_call),
        cmocka_unit_test(dropped_wants_a_later_report_without_the_shard),
        cmocka_unit_test(a_report_made_under_an_older_view_or_none_proves_no_burial),
        cmocka_unit_test(a_group_that_left_is_not_retired_while_it_holds_or_drops),
        cmocka_unit_test(reports_beyond_the_limits_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
