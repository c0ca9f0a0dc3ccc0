/* Whoever can connect may say anything, and as often as it likes: what makes no sense is not obeyed and ends nothing, and what one
 * connection asks for takes nothing from the others. */
#include "tests/unit/node_outside.h"

/* ---- founding ---- */

static struct msg founding_of(struct raft_member me, uint32_t nshards)
{
    struct msg m = {.kind = MSG_FOUND, .id = 1, .found = {.record = {.cluster = CLUSTER, .nshards = nshards, .n = 2}}};
    m.found.record.members[0] = me;
    m.found.record.members[1] = (struct raft_member){.id = 2, .node = 6, .voter = true, .addr = OTHER};
    return m;
}

static bool founds_with(const struct msg *m)
{
    struct outside w = blank_controller();
    start(&w);
    receive(&w, m);
    bool founded = node_cluster(w.n) != 0;
    stop(&w);
    return founded;
}

static void a_founding_record_that_makes_no_sense_is_not_adopted(void **state)
{
    struct raft_member bad = me();
    struct msg m = founding_of(me(), 4);
    assert_true(founds_with(&m));
    m = founding_of(me(), 0);
    assert_false(founds_with(&m));
    m = founding_of(me(), NSHARDS_MAX + 1);
    assert_false(founds_with(&m));
    bad.id = 0;
    m = founding_of(bad, 4);
    assert_false(founds_with(&m));
    bad = me();
    bad.id = 2;
    m = founding_of(bad, 4);
    assert_false(founds_with(&m));
    bad = me();
    bad.id = 7; /* ids are 1 … n: the first leader would fail an assertion, at each start */
    m = founding_of(bad, 4);
    assert_false(founds_with(&m));
    bad = me();
    bad.addr[0] = 0;
    m = founding_of(bad, 4);
    assert_false(founds_with(&m));
    bad = me();
    bad.node = 6;
    m = founding_of(bad, 4);
    assert_false(founds_with(&m));
    bad = me();
    bad.voter = false;
    m = founding_of(bad, 4);
    assert_false(founds_with(&m));
    m = founding_of(me(), 4);
    m.found.record.cluster = 0;
    assert_false(founds_with(&m));
}

/* Pins what a client then hears: the answer of a node that knows no cluster carries none. */
static void a_blank_node_answers_a_change_with_no_leader(void **state)
{
    struct outside w = blank_controller();
    start(&w);
    const struct bytes key = bytes_str("k");
    struct msg put = {.kind = MSG_KV_REQUEST, .id = 1, .cluster = CLUSTER, .kv_request = {.gid = 3, .request = {
        .op = KV_PUT, .client = 1, .seq = 1, .floor = 1, .shard = kv_key_shard(key, 4), .key = key, .mode = 0644}}};
    receive(&w, &put);
    assert_int_equal(w.n_answers[1], 1);
    assert_int_equal(w.answers[1], RGKV_NOT_LEADER);
    assert_int_equal(node_cluster(w.n), 0);
    stop(&w);
}

/* ---- what a controller says ---- */

static void a_view_that_makes_no_sense_is_not_obeyed(void **state)
{
    struct outside w = member();
    struct ctrl_shard shards[4] = {{0}};
    struct ctrl_group group = group_here(4, 2, 9);
    const struct ctrl_view good = {.cluster = CLUSTER, .version = 2, .nshards = 4, .shards = shards, .n_groups = 1, .groups = &group};
    start(&w);
    struct ctrl_view bad = good;
    bad.n_controllers = 1; /* at "" */
    answer_poll(&w, bad);
    assert_string_equal(w.n->manifest.controllers[0], OTHER);
    bad = good;
    bad.nshards = 0;
    answer_poll(&w, bad);
    bad = good;
    group.members[0].id = 0;
    answer_poll(&w, bad);
    group.members[0].id = 9;
    group.gid = 0;
    answer_poll(&w, bad);
    group.gid = 4;
    group.n = 2;
    group.members[1] = group.members[0];
    answer_poll(&w, bad);
    group.n = 1;
    assert_int_equal(w.n->manifest.n_replicas, 1);
    answer_poll(&w, good);
    assert_int_equal(w.n->manifest.n_replicas, 2);
    assert_false(w.failed);
    stop(&w);
}

/* ---- what is said to a controller ---- */

/* Whoever can connect may send a report in the name of a node. */
static void a_leader_that_names_no_address_is_not_told_to_hand_over(void **state)
{
    struct outside w = lone_controller();
    struct ctrl_join_group g = {.gid = 101, .n = 2, .addrs = {OTHER, THIRD}};
    start(&w);
    ticks_for(&w, 1000000);
    assert_int_equal(admin(&w, 1, (struct ctrl_command){.op = CTRL_JOIN, .n_groups = 1, .groups = &g}), RGKV_OK);
    group_says(&w, KV_NONE); /* the slot is bound */
    const struct ctrl_view *v = ctrl_view(w.n->replicas[0]->ctrl);
    const struct ctrl_group *known = ctrl_view_group(v, 101);
    assert_int_equal(known->members[0].node, 6);
    struct ctrl_report_replica r = {.gid = 101, .incarnation = known->incarnation, .member = known->members[0].id, .leader = true, .term = 1};
    struct msg m = {.kind = MSG_POLL, .id = 7, .cluster = CLUSTER, .poll = {.version = v->version, .hold_us = 1000000, .has_report = true,
                    .report = {.node = 6, .n_replicas = 1, .replicas = &r}}};
    receive(&w, &m);
    admin(&w, 2, (struct ctrl_command){.op = CTRL_TRANSFER, .gid = 101, .member = known->members[1].id});
    ticks_for(&w, 3000000);
    assert_int_equal(w.answers[2], RGKV_BUSY);
    stop(&w);
}

/* ---- what other groups ask ---- */

static void pull_at(struct outside *w, uint64_t epoch, uint64_t round)
{
    struct msg m = {.kind = MSG_PULL, .id = 1, .cluster = CLUSTER,
                    .pull = {.gid = 3, .incarnation = 1, .shard = 0, .epoch = epoch, .round = round}};
    receive(w, &m);
}

static void a_shard_is_copied_and_frozen_only_for_a_move_that_the_controller_ordered(void **state)
{
    struct outside w = member();
    struct ctrl_shard shards[4] = {{.target = 3, .epoch = 1}};
    struct ctrl_group group = group_here(3, 1, 1);
    struct ctrl_view v = {.cluster = CLUSTER, .version = 2, .nshards = 4, .shards = shards, .n_groups = 1, .groups = &group};
    w.manifest.replicas[0].founding.n = 1; /* alone, hence the leader */
    start(&w);
    answer_poll(&w, v);
    shards[0] = (struct ctrl_shard){.holder = 3, .epoch = 1};
    v.version = 3;
    answer_poll(&w, v);
    assert_int_equal(status_of(&w, 0).state, KV_SERVING);
    pull_at(&w, 99, 0);
    pull_at(&w, UINT64_MAX, 0);
    assert_true(status_of(&w, 0).state == KV_SERVING && status_of(&w, 0).copy_epoch == 0);
    shards[0] = (struct ctrl_shard){.holder = 3, .epoch = 2, .target = 4};
    v.version = 4;
    answer_poll(&w, v);
    pull_at(&w, 3, 0);
    assert_int_equal(status_of(&w, 0).copy_epoch, 0);
    pull_at(&w, 2, 0);
    assert_true(status_of(&w, 0).state == KV_SERVING && status_of(&w, 0).copy_epoch == 2);
    pull_at(&w, 2, 0); /* the rows, and the sum */
    pull_at(&w, 3, 1);
    assert_int_equal(status_of(&w, 0).state, KV_SERVING);
    pull_at(&w, 2, 1);
    assert_int_equal(status_of(&w, 0).state, KV_FROZEN);
    stop(&w);
}

/* ---- who asks for too much: reads ---- */

/* Before the node is collected once. */
static void read_large(struct outside *w, uint64_t conn, unsigned times)
{
    const struct bytes key = bytes_str("k");
    struct msg get = {.kind = MSG_KV_REQUEST, .id = 99, .cluster = CLUSTER, .kv_request = {.gid = 3, .request = {
        .op = KV_GET, .shard = kv_key_shard(key, 4), .key = key, .length = DATA_BYTES_MAX}}};
    for (unsigned i = 0; i < times; i++)
        step(w, (struct node_input){.kind = NODE_RECEIVED, .conn = conn, .message = &get});
}

static void a_pipeline_of_large_reads_is_answered_piece_by_piece(void **state)
{
    struct outside w = with_large_value();
    read_large(&w, 9, 100);
    collect(&w);
    assert_true(w.replies_bytes >= 100ull * DATA_BYTES_MAX);
    assert_true(w.reply_bytes_most < 8u << 20);
    stop(&w);
}

static void a_full_connection_gets_no_large_answers_and_the_others_do(void **state)
{
    struct outside w = with_large_value();
    step(&w, (struct node_input){.kind = NODE_CONN_FULL, .conn = 9, .full = true});
    read_large(&w, 9, 10);
    collect(&w);
    assert_int_equal(w.replies_bytes, 0);
    read_large(&w, 8, 1);
    collect(&w);
    assert_in_range(w.replies_bytes, DATA_BYTES_MAX, DATA_BYTES_MAX + 1000);
    step(&w, (struct node_input){.kind = NODE_CONN_FULL, .conn = 9, .full = false});
    collect(&w);
    assert_true(w.replies_bytes >= 11ull * DATA_BYTES_MAX);
    stop(&w);
}

static void what_a_closed_connection_asked_for_is_not_read(void **state)
{
    struct outside w = with_large_value();
    read_large(&w, 9, 10);
    step(&w, (struct node_input){.kind = NODE_CONN_CLOSED, .conn = 9});
    collect(&w);
    assert_int_equal(w.replies_bytes, 0);
    assert_int_equal(w.n->replicas[0]->n_reads, 0);
    stop(&w);
}

static void one_connection_does_not_take_the_places_of_all_reads(void **state)
{
    struct outside w = with_large_value();
    step(&w, (struct node_input){.kind = NODE_CONN_FULL, .conn = 9, .full = true});
    read_large(&w, 9, 70000);
    collect(&w);
    w.replies_bytes = 0;
    read_large(&w, 8, 1);
    collect(&w);
    assert_true(w.replies_bytes >= DATA_BYTES_MAX);
    stop(&w);
}

/* ---- who asks for too much: polls ---- */

static void one_connection_does_not_hold_the_polls_of_all(void **state)
{
    struct outside w = lone_controller();
    struct msg poll = {.kind = MSG_POLL, .cluster = CLUSTER, .poll = {.hold_us = 5000000}};
    start(&w);
    for (unsigned i = 0; i < 10; i++)
        tick(&w, 100000);
    assert_true(ctrl_initialised(w.n->replicas[0]->ctrl));
    poll.poll.version = ctrl_view(w.n->replicas[0]->ctrl)->version;
    for (poll.id = 1; poll.id <= 10000; poll.id++)
        receive(&w, &poll);
    assert_int_equal(w.n->n_polls, 1);
    w.replies_bytes = 0;
    step(&w, (struct node_input){.kind = NODE_RECEIVED, .conn = 8, .message = &poll});
    collect(&w);
    assert_int_equal(w.replies_bytes, 0); /* held: who is answered at once asks again at once */
    assert_int_equal(w.n->n_polls, 2);
    stop(&w);
}

#define POLLERS 300u
#define TURN_BYTES_MOST (1u << 20) /* what a turn may answer, and one view more */

static struct msg poll_with(uint64_t version, bool report)
{
    struct msg m = {.kind = MSG_POLL, .id = 5, .cluster = CLUSTER, .poll = {.version = version, .hold_us = 5000000, .has_report = report,
                    .report = {.node = 6, .addr = OTHER}}};
    return m;
}

static void poll_from(struct outside *w, uint64_t conn, const struct msg *m)
{
    step(w, (struct node_input){.kind = NODE_RECEIVED, .conn = conn, .message = m});
}

static struct outside controller_of_many_shards(void)
{
    struct outside w = lone_controller();
    w.manifest.founding.nshards = w.manifest.replicas[0].nshards = NSHARDS_MAX;
    start(&w);
    ticks_for(&w, 1000000);
    assert_true(ctrl_initialised(w.n->replicas[0]->ctrl));
    return w;
}

/* How many bytes a view has. */
static uint64_t view_bytes(struct outside *w)
{
    struct msg m = poll_with(0, false);
    w->replies_bytes = 0;
    poll_from(w, 8, &m);
    collect(w);
    return w->replies_bytes;
}

static void views_for_many_are_answered_piece_by_piece(void **state)
{
    struct outside w = controller_of_many_shards();
    uint64_t bytes = view_bytes(&w);
    assert_true(bytes * POLLERS > 2 * TURN_BYTES_MOST);
    struct msg old = poll_with(0, false), news = poll_with(ctrl_view(w.n->replicas[0]->ctrl)->version, false);
    w.replies_bytes = w.turn_bytes_most = 0;
    for (unsigned i = 0; i < POLLERS; i++)
        poll_from(&w, 100 + i, &old);
    collect(&w);
    assert_true(w.turn_bytes_most < TURN_BYTES_MOST);
    assert_true(w.replies_bytes == bytes * POLLERS && w.n->n_polls == 0); /* without any time that had to pass */
    for (unsigned i = 0; i < POLLERS; i++)
        poll_from(&w, 100 + i, &news);
    collect(&w);
    assert_int_equal(w.n->n_polls, POLLERS);
    w.replies_bytes = w.turn_bytes_most = 0;
    struct ctrl_join_group g = {.gid = 101, .n = 1, .addrs = {OTHER}};
    assert_int_equal(admin(&w, 1, (struct ctrl_command){.op = CTRL_JOIN, .n_groups = 1, .groups = &g}), RGKV_OK);
    assert_true(w.turn_bytes_most < TURN_BYTES_MOST);
    assert_true(w.replies_bytes >= bytes * POLLERS && w.n->n_polls == 0);
    stop(&w);
}

static void one_that_polls_again_and_again_gets_one_view(void **state)
{
    struct outside w = controller_of_many_shards();
    uint64_t bytes = view_bytes(&w);
    struct msg old = poll_with(0, false);
    for (unsigned i = 0; i < 100; i++) /* the turn has no place any more */
        poll_from(&w, 100 + i, &old);
    w.turn_bytes_most = w.reply_bytes_most = 0;
    for (unsigned i = 0; i < 1000; i++)
        poll_from(&w, 9, &old);
    collect(&w);
    assert_true(w.reply_bytes_most < bytes + 1000 * 200);
    assert_true(w.turn_bytes_most < TURN_BYTES_MOST);
    stop(&w);
}

static void a_full_connection_gets_its_view_when_there_is_room_and_its_report_counts(void **state)
{
    struct outside w = controller_of_many_shards();
    uint64_t bytes = view_bytes(&w);
    struct ctrl_join_group g = {.gid = 101, .n = 1, .addrs = {OTHER}};
    assert_int_equal(admin(&w, 1, (struct ctrl_command){.op = CTRL_JOIN, .n_groups = 1, .groups = &g}), RGKV_OK);
    struct msg report = poll_with(0, true);
    step(&w, (struct node_input){.kind = NODE_CONN_FULL, .conn = 50, .full = true});
    w.replies_bytes = 0;
    poll_from(&w, 50, &report);
    ticks_for(&w, 6000000);
    assert_int_equal(w.replies_bytes, 0);
    assert_int_equal(ctrl_view_group(ctrl_view(w.n->replicas[0]->ctrl), 101)->members[0].node, 6);
    assert_true(node_deadline_us(w.n) > w.now_us); /* nobody turns for it */
    step(&w, (struct node_input){.kind = NODE_CONN_FULL, .conn = 50, .full = false});
    collect(&w);
    assert_true(w.replies_bytes >= bytes);
    stop(&w);
}

/* ---- who asks for too much: pulls ---- */

static void pulls_are_answered_no_faster_than_they_are_written(void **state)
{
    struct outside w = with_large_value();
    struct ctrl_shard shards[4];
    struct ctrl_group group = group_here(3, 1, 1);
    uint32_t s = kv_key_shard(bytes_str("k"), 4);
    for (unsigned i = 0; i < 4; i++)
        shards[i] = (struct ctrl_shard){.holder = 3, .epoch = i == s ? 2 : 1, .target = i == s ? 4 : 0};
    answer_poll(&w, (struct ctrl_view){.cluster = CLUSTER, .version = 4, .nshards = 4, .shards = shards, .n_groups = 1, .groups = &group});
    struct msg m = {.kind = MSG_PULL, .id = 1, .cluster = CLUSTER, .pull = {.gid = 3, .incarnation = 1, .shard = s, .epoch = 2}};
    for (unsigned i = 0; i < 10 && w.replies_bytes < PULL_CHUNK_BYTES / 2; i++)
        receive(&w, &m);
    assert_true(w.replies_bytes >= PULL_CHUNK_BYTES / 2);
    w.reply_bytes_most = w.replies_bytes = 0;
    for (unsigned i = 0; i < 100; i++)
        poll_from(&w, 9, &m);
    collect(&w);
    assert_in_range(w.reply_bytes_most, PULL_CHUNK_BYTES / 2, 8 * PULL_CHUNK_BYTES);
    w.replies_bytes = 0;
    receive(&w, &m); /* it asks again */
    assert_true(w.replies_bytes >= PULL_CHUNK_BYTES / 2);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_founding_record_that_makes_no_sense_is_not_adopted),
        cmocka_unit_test(a_blank_node_answers_a_change_with_no_leader),
        cmocka_unit_test(a_view_that_makes_no_sense_is_not_obeyed),
        cmocka_unit_test(a_leader_that_names_no_address_is_not_told_to_hand_over),
        cmocka_unit_test(a_shard_is_copied_and_frozen_only_for_a_move_that_the_controller_ordered),
        cmocka_unit_test(a_pipeline_of_large_reads_is_answered_piece_by_piece),
        cmocka_unit_test(a_full_connection_gets_no_large_answers_and_the_others_do),
        cmocka_unit_test(what_a_closed_connection_asked_for_is_not_read),
        cmocka_unit_test(one_connection_does_not_take_the_places_of_all_reads),
        cmocka_unit_test(one_connection_does_not_hold_the_polls_of_all),
        cmocka_unit_test(views_for_many_are_answered_piece_by_piece),
        cmocka_unit_test(one_that_polls_again_and_again_gets_one_view),
        cmocka_unit_test(a_full_connection_gets_its_view_when_there_is_room_and_its_report_counts),
        cmocka_unit_test(pulls_are_answered_no_faster_than_they_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
