/* What is printed for those who watch: events from two placements, metrics from reports, what a group holds. */
#include "tests/unit/unit.h"

#include "ctrl/text.h"
#include "tests/unit/ctrl_world.h"

static struct buf out;

static const char *printed(void)
{
    buf_put_u8(&out, 0);
    out.len = 0;
    return (const char *)out.data;
}

/* ---- events ---- */

struct watch {
    struct world w;
    struct ctrl_view seen;
};

static void watch_init(struct watch *t, uint32_t nshards)
{
    world_init(&t->w, nshards);
    ctrl_view_copy(ctrl_view(t->w.c), &t->seen);
}

static const char *since_last(struct watch *t)
{
    out.len = 0;
    ctrl_print_changes(&t->seen, ctrl_view(t->w.c), &out);
    ctrl_view_release(&t->seen);
    ctrl_view_copy(ctrl_view(t->w.c), &t->seen);
    return printed();
}

static void watch_release(struct watch *t)
{
    ctrl_view_release(&t->seen);
    world_release(&t->w);
}

static void what_did_not_change_is_no_event(void **state)
{
    struct watch t;
    watch_init(&t, 2);
    assert_string_equal(since_last(&t), "");
    world_join(&t.w, 7, "a:1");
    since_last(&t);
    assert_string_equal(since_last(&t), "");
    watch_release(&t);
}

static void a_join_is_told_with_its_members_and_when_they_are_there(void **state)
{
    struct watch t;
    watch_init(&t, 1);
    world_join(&t.w, 7, "a:1 b:1");
    assert_string_equal(since_last(&t), "config num=1\ngroup id=7 state=joined members=a:1,b:1\n");
    world_bind(&t.w, 7, 50);
    const char *text = since_last(&t);
    assert_non_null(strstr(text, "member group=7 id="));
    assert_non_null(strstr(text, " state=bound addr=b:1\n"));
    assert_non_null(strstr(text, "group id=7 state=founded\n"));
    watch_release(&t);
}

static void every_step_of_a_move_is_told_and_the_end_of_all_moves(void **state)
{
    struct watch t;
    watch_init(&t, 1);
    world_join(&t.w, 7, "a:1");
    world_bind(&t.w, 7, 50);
    since_last(&t);
    world_shard(&t.w, CTRL_PREPARE, 0, 0, 7);
    assert_string_equal(since_last(&t), "shard id=0 state=moving from=0 to=7 epoch=1\n");
    world_shard(&t.w, CTRL_COMMIT, 0, 1, 0);
    assert_string_equal(since_last(&t), "shard id=0 state=handed-over from=0 to=7 epoch=1\n");
    world_shard(&t.w, CTRL_ACTIVE, 0, 1, 0);
    assert_string_equal(since_last(&t), "shard id=0 state=serving group=7 epoch=1\nsettled config=1\n");
    watch_release(&t);
}

static void steps_that_came_together_are_told_by_their_sum(void **state)
{
    struct watch t;
    watch_init(&t, 1);
    world_join(&t.w, 7, "a:1");
    world_bind(&t.w, 7, 50);
    since_last(&t);
    world_give(&t.w, 0, 7);
    assert_string_equal(since_last(&t), "shard id=0 state=handed-over from=0 to=7 epoch=1\nshard id=0 state=serving group=7 epoch=1\n"
                                        "settled config=1\n");
    watch_release(&t);
}

static void a_move_that_is_given_up_says_who_keeps_the_shard(void **state)
{
    struct watch t;
    watch_init(&t, 1);
    world_join(&t.w, 7, "a:1");
    world_bind(&t.w, 7, 50);
    world_give(&t.w, 0, 7);
    world_join(&t.w, 8, "b:1");
    world_bind(&t.w, 8, 60);
    world_shard(&t.w, CTRL_PREPARE, 0, 1, 8);
    since_last(&t);
    world_shard(&t.w, CTRL_ABORT, 0, 2, 0);
    assert_string_equal(since_last(&t), "shard id=0 state=given-up group=7 epoch=3\n");
    watch_release(&t);
}

static void a_group_that_leaves_is_told_twice(void **state)
{
    struct watch t;
    watch_init(&t, 1);
    world_join(&t.w, 7, "a:1");
    world_bind(&t.w, 7, 50);
    world_give(&t.w, 0, 7);
    since_last(&t);
    world_leave(&t.w, 7);
    const char *text = since_last(&t);
    assert_non_null(strstr(text, "config num=2\n"));
    assert_non_null(strstr(text, "group id=7 state=leaving\n"));
    watch_release(&t);
}

/* ---- metrics ---- */

struct reported {
    struct world w;
    struct ctrl_plan *p;
    struct ctrl_report_shard shard;
    struct ctrl_report_replica replica;
    struct ctrl_report report;
};

static void reported_init(struct reported *t)
{
    *t = (struct reported){.p = ctrl_plan_new(0)};
    world_init(&t->w, 1);
    world_join(&t->w, 7, "a:1");
    world_bind(&t->w, 7, 50);
    world_give(&t->w, 0, 7);
    t->shard = (struct ctrl_report_shard){.shard = 0, .state = KV_SERVING, .epoch = 1, .keys = 12, .bytes = 3456};
    t->replica = (struct ctrl_report_replica){.gid = 7, .incarnation = 1, .member = ctrl_view_group(ctrl_view(t->w.c), 7)->members[0].id,
                                              .leader = true, .term = 3, .applied = 9, .n_shards = 1, .shards = &t->shard};
    t->report = (struct ctrl_report){.node = 50, .addr = "a:1", .n_replicas = 1, .replicas = &t->replica};
}

static void reported_release(struct reported *t)
{
    ctrl_plan_free(t->p);
    world_release(&t->w);
}

static void rows_of_a_report_become_samples_with_their_labels(void **state)
{
    struct reported t;
    reported_init(&t);
    const struct ctrl_report_metric rows[] = {
        {0, CTRL_METRIC_REQUESTS, KV_PUT, 5},
        {0, CTRL_METRIC_REPLIES, ctrl_reply_label(CTRL_REPLY_KV, RGKV_NO_SPACE), 2},
        {0, CTRL_METRIC_REFUSED, CTRL_REASON_BAD_FRAME, 4},
        {1, CTRL_METRIC_TERM, 0, 3},
        {0, CTRL_METRIC_LOOP_WORK, 0, 1020003},
    };
    t.report.metrics = rows;
    t.report.n_metrics = ARRAY_LEN(rows);
    ctrl_plan_report(t.p, &t.report, 10);
    ctrl_print_metrics(ctrl_view(t.w.c), t.p, 11, &out);
    const char *text = printed();
    assert_non_null(strstr(text, "# TYPE rgkv_node_requests_total counter\nrgkv_node_requests_total{node=\"a:1\",op=\"put\"} 5\n"));
    assert_non_null(strstr(text, "rgkv_node_replies_total{node=\"a:1\",kind=\"kv\",result=\"NO_SPACE\"} 2\n"));
    assert_non_null(strstr(text, "rgkv_node_refused_total{node=\"a:1\",reason=\"bad_frame\"} 4\n"));
    assert_non_null(strstr(text, "rgkv_raft_term{node=\"a:1\",group=\"7\",member=\""));
    assert_non_null(strstr(text, "rgkv_node_loop_work_seconds{node=\"a:1\"} 1.020003\n"));
    reported_release(&t);
}

/* Numbers from outside: a newer release's, or nonsense. */
static void rows_that_mean_nothing_here_are_not_printed(void **state)
{
    struct reported t;
    reported_init(&t);
    const struct ctrl_report_metric rows[] = {
        {0, 9999, 0, 111111}, {0, CTRL_METRIC_NONE, 0, 111111}, {5, CTRL_METRIC_TERM, 0, 111111}, {UINT32_MAX, CTRL_METRIC_TERM, 0, 111111},
        {0, CTRL_METRIC_REQUESTS, 31, 111111}, {0, CTRL_METRIC_REQUESTS, UINT64_MAX, 111111},
        {0, CTRL_METRIC_REPLIES, UINT64_MAX, 111111}, {0, CTRL_METRIC_REPLIES, (uint64_t)CTRL_REPLY_COUNT << 32, 111111},
        {0, CTRL_METRIC_REFUSED, CTRL_REASON_COUNT, 111111}, {0, CTRL_METRIC_MEMORY, CTRL_MEMORY_COUNT, 111111},
    };
    t.report.metrics = rows;
    t.report.n_metrics = ARRAY_LEN(rows);
    ctrl_plan_report(t.p, &t.report, 10);
    ctrl_print_metrics(ctrl_view(t.w.c), t.p, 11, &out);
    const char *text = printed();
    assert_null(strstr(text, "111111"));
    assert_null(strstr(text, "rgkv_node_requests_total"));
    reported_release(&t);
}

static void a_report_with_more_rows_than_the_limit_is_ignored(void **state)
{
    struct reported t;
    reported_init(&t);
    uint64_t age;
    t.report.n_metrics = METRICS_PER_REPORT_MAX + 1; /* that there are no rows must not be looked at */
    ctrl_plan_report(t.p, &t.report, 10);
    assert_null(ctrl_plan_node(t.p, 0, 11, &age));
    reported_release(&t);
}

static void a_silent_nodes_numbers_are_left_out(void **state)
{
    struct reported t;
    reported_init(&t);
    const struct ctrl_report_metric row = {1, CTRL_METRIC_TERM, 0, 3};
    t.report.metrics = &row;
    t.report.n_metrics = 1;
    ctrl_plan_report(t.p, &t.report, 10);
    ctrl_print_metrics(ctrl_view(t.w.c), t.p, 10 + 4000000, &out);
    const char *text = printed();
    assert_non_null(strstr(text, "rgkv_node_up{node=\"a:1\"} 0\n"));
    assert_null(strstr(text, "rgkv_raft_term{"));
    assert_null(strstr(text, "rgkv_node_uptime_seconds{"));
    reported_release(&t);
}

/* ---- what a group holds ---- */

static void keys_are_what_the_leader_told_or_unknown(void **state)
{
    struct reported t;
    reported_init(&t);
    const struct ctrl_view *v = ctrl_view(t.w.c);
    ctrl_print_group_keys(v, 7, t.p, 1, &out);
    assert_string_equal(printed(), "unknown\n");
    ctrl_plan_report(t.p, &t.report, 10);
    ctrl_print_group_keys(v, 7, t.p, 11, &out);
    assert_string_equal(printed(), "12\n");
    ctrl_print_group_bytes(v, 7, t.p, 11, &out);
    assert_string_equal(printed(), "3456\n");
    ctrl_print_group_shards(v, 7, &out);
    assert_string_equal(printed(), "0\n");
    ctrl_print_group_bytes(v, 7, t.p, 10 + 4000000, &out);
    assert_string_equal(printed(), "unknown\n");
    ctrl_print_group_keys(v, 0, t.p, 11, &out);
    assert_string_equal(printed(), "0\n");
    reported_release(&t);
}

static int teardown(void **state)
{
    buf_release(&out);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_did_not_change_is_no_event),
        cmocka_unit_test(a_join_is_told_with_its_members_and_when_they_are_there),
        cmocka_unit_test(every_step_of_a_move_is_told_and_the_end_of_all_moves),
        cmocka_unit_test(steps_that_came_together_are_told_by_their_sum),
        cmocka_unit_test(a_move_that_is_given_up_says_who_keeps_the_shard),
        cmocka_unit_test(a_group_that_leaves_is_told_twice),
        cmocka_unit_test(rows_of_a_report_become_samples_with_their_labels),
        cmocka_unit_test(rows_that_mean_nothing_here_are_not_printed),
        cmocka_unit_test(a_report_with_more_rows_than_the_limit_is_ignored),
        cmocka_unit_test(a_silent_nodes_numbers_are_left_out),
        cmocka_unit_test(keys_are_what_the_leader_told_or_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
