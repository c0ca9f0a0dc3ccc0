/* Which replicas a node has: how a cluster (P2), a controller or a member (P20) is joined, and that what was buried is reported until no
 * crash can bring it back, and never given again (P4). And when a controller gives up a whole group (P19). */
#include "tests/unit/node_outside.h"

/* ---- who joins ---- */

static void P2_who_would_found_hears_of_the_cluster_from_any_node_that_knows_one(void **state)
{
    struct outside w = member();
    start(&w);
    const struct msg ask = {.kind = MSG_FOUND_ASK, .id = 1, .found_ask = {.node = 99, .addr = "127.0.0.1:7009", .list_hash = 1}};
    receive(&w, &ask);
    assert_int_equal(w.founded, CLUSTER); /* though it has no founding record */
    stop(&w);
}

/* The other one was blank, too, and then it died, or lost its disk before it had the record: nobody acknowledges that any more. */
static void P2_who_made_the_record_joins_in_though_another_founder_never_acknowledges_it(void **state)
{
    struct outside w = blank_controller();
    struct msg blank = {.kind = MSG_FOUND_STATE, .found_state = {.node = 6, .addr = OTHER}};
    start(&w);
    tick(&w, 0);
    blank.found_state.list_hash = w.list_hash;
    receive(&w, &blank);
    ticks_for(&w, 500000);
    assert_int_not_equal(node_cluster(w.n), 0);
    assert_true(w.records > 1);
    ticks_for(&w, 2000000);
    unsigned records = w.records;
    assert_true(w.reports > 0);
    ticks_for(&w, 2000000);
    assert_int_equal(w.records, records);
    /* It was only slow. */
    const struct msg ask = {.kind = MSG_FOUND_ASK, .id = 1, .found_ask = {.node = 6, .addr = OTHER, .list_hash = w.list_hash}};
    receive(&w, &ask);
    assert_int_equal(w.founded, node_cluster(w.n));
    stop(&w);
}

static unsigned replicas_with_controller(struct ctrl_member m)
{
    struct outside w = member();
    struct ctrl_shard shards[4] = {{0}};
    struct ctrl_view view = {.cluster = CLUSTER, .version = 9, .nshards = 4, .shards = shards, .n_controllers = 2,
                             .controllers = {{.id = 1, .node = 6, .founding = true, .addr = OTHER}, m}};
    start(&w);
    answer_poll(&w, view);
    unsigned n = w.n->manifest.n_replicas;
    if (n == 2)
        assert_int_equal(w.n->manifest.replicas[1].founding.n, 0); /* it learns who else there is */
    stop(&w);
    return n;
}

static void P20_a_controller_that_was_added_begins_blank_and_a_founder_never_by_a_view(void **state)
{
    struct ctrl_member m = {.id = 1004, .node = NODE, .state = CTRL_MEMBER_JOINING, .addr = ME};
    assert_int_equal(replicas_with_controller(m), 2);
    m.state = CTRL_MEMBER_LEAVING;
    assert_int_equal(replicas_with_controller(m), 1);
    m.state = CTRL_MEMBER_IN;
    m.founding = true;
    assert_int_equal(replicas_with_controller(m), 1);
    m.founding = false;
    m.node = NODE + 1;
    assert_int_equal(replicas_with_controller(m), 1);
}

static void P20_a_learner_that_never_answers_keeps_no_other_one_out(void **state)
{
    struct outside w = member();
    struct ctrl_shard shards[4] = {{0}};
    struct ctrl_group group = {.gid = 3, .incarnation = 1, .founded = true, .n = 3, .members = {
        {.id = 1, .node = NODE, .founding = true, .addr = ME}, {.id = 2, .node = 6, .state = CTRL_MEMBER_JOINING, .addr = OTHER},
        {.id = 4, .node = 7, .state = CTRL_MEMBER_JOINING, .addr = THIRD}}};
    struct ctrl_view v = {.cluster = CLUSTER, .version = 2, .nshards = 4, .shards = shards, .n_groups = 1, .groups = &group};
    w.manifest.replicas[0].founding.n = 1;
    start(&w);
    answer_poll(&w, v);
    for (unsigned i = 0; i < 30; i++)
        tick(&w, 100000);
    assert_non_null(raft_config_member(raft_config(w.n->replicas[0]->raft), 4));
    assert_int_equal(raft_config_voters(raft_config(w.n->replicas[0]->raft)), 1);
    stop(&w);
}

/* ---- burials ---- */

static void P4_a_view_from_before_a_burial_gives_nobody_a_replica(void **state)
{
    struct outside w = member();
    struct ctrl_shard shards[4] = {{0}};
    struct ctrl_group group = group_here(4, 2, 9);
    struct ctrl_view view = {.cluster = CLUSTER, .version = 9, .nshards = 4, .shards = shards, .n_groups = 1, .groups = &group};
    w.manifest.view = 10;
    start(&w);
    answer_poll(&w, view);
    assert_int_equal(w.n->manifest.n_replicas, 1);
    view.version = 10;
    answer_poll(&w, view);
    assert_int_equal(w.n->manifest.n_replicas, 2);
    stop(&w);
}

static unsigned reported(struct outside *w)
{
    struct msg m = {.kind = MSG_VIEW, .id = w->n->poll_id, .cluster = CLUSTER};
    receive(w, &m);
    tick(w, 100000);
    return w->reported;
}

static void P4_a_replica_is_reported_until_no_crash_can_bring_it_back(void **state)
{
    struct outside w = member();
    start(&w);
    buried(&w);
    assert_int_equal(reported(&w), 1);
    w.saves_hang = true;
    step(&w, (struct node_input){.kind = NODE_REPLICA_DELETED, .replica = 1});
    assert_int_equal(reported(&w), 1);
    assert_int_equal(w.lost, 0);
    step(&w, (struct node_input){.kind = NODE_MANIFEST_SAVED});
    assert_int_equal(reported(&w), 0);
    assert_int_equal(w.n->manifest.n_replicas, 0);
    stop(&w);
}

/* It was cut off all the while that the replica was wanted. What the controller forgets when it hears that, no view of before may bring back. */
static void P4_who_never_had_a_replica_says_so_when_no_older_view_can_give_it_one(void **state)
{
    struct outside w = member();
    struct ctrl_shard shards[4] = {{0}};
    struct ctrl_tombstone tombstone = {.node = NODE, .gid = 4, .incarnation = 2, .member = 9};
    start(&w);
    w.saves_hang = true;
    answer_poll(&w, (struct ctrl_view){.cluster = CLUSTER, .version = 9, .nshards = 4, .shards = shards, .n_tombstones = 1, .tombstones = &tombstone});
    unsigned reports = w.reports;
    for (unsigned i = 0; i < 10; i++)
        reported(&w);
    assert_int_equal(w.reports, reports);
    step(&w, (struct node_input){.kind = NODE_MANIFEST_SAVED});
    assert_int_equal(w.n->manifest.view, 9);
    assert_int_equal(reported(&w), 1);
    assert_int_equal(w.reports, reports + 1);
    stop(&w);
}

/* The entry that waits for space is of a replica whose end would give space. */
static void P29_a_replica_on_a_full_disk_is_deleted_though_its_commit_waits(void **state)
{
    struct outside w = member();
    start(&w);
    w.hangs = true;
    const struct raft_entry entry = {.index = 1, .term = 1, .kind = RAFT_NOOP};
    struct msg m = {.kind = MSG_RAFT, .cluster = CLUSTER, .raft = {.envelope = {3, 1, 2, 1}, .message = {.kind = RAFT_APPEND, .from = 2, .to = 1,
                    .term = 1, .n_entries = 1, .entries = &entry}}};
    receive(&w, &m);
    assert_int_equal(w.asked[NODE_COMMIT], 1);
    step(&w, (struct node_input){.kind = NODE_COMMITTED, .replica = 1, .err = RGKV_NO_SPACE}); /* told once, the outside goes on trying */
    collect(&w);
    buried(&w);
    step(&w, (struct node_input){.kind = NODE_COMMITTED, .replica = 1, .err = RGKV_NO_SPACE}); /* it does not try any more */
    step(&w, (struct node_input){.kind = NODE_REPLICA_DELETED, .replica = 1});
    assert_int_equal(w.n->manifest.n_replicas, 0);
    stop(&w);
}

static void deleted(struct outside *w)
{
    step(w, (struct node_input){.kind = NODE_REPLICA_DELETED, .replica = 1});
    collect(w);
    assert_int_equal(w->n->manifest.n_replicas, 0);
    assert_false(w->failed);
}

static void P29_one_that_waits_for_space_to_be_opened_is_deleted(void **state)
{
    struct outside w = member();
    w.opens_hang = true;
    start(&w);
    buried(&w);
    step(&w, (struct node_input){.kind = NODE_REPLICA_OPENED, .replica = 1, .err = RGKV_NO_SPACE});
    deleted(&w);
    stop(&w);
}

static void P29_one_whose_manifest_waits_for_space_is_deleted(void **state)
{
    struct outside w = member();
    struct wal_recovered blank = {.created = true};
    struct table *t = table_mem_new();
    w.opens_hang = true;
    start(&w);
    w.saves_hang = true;
    step(&w, (struct node_input){.kind = NODE_REPLICA_OPENED, .replica = 1, .recovered = &blank, .table = t}); /* it must never be taken for blank again */
    collect(&w);
    buried(&w);
    step(&w, (struct node_input){.kind = NODE_MANIFEST_SAVED});
    w.saves_hang = false;
    deleted(&w);
    table_free(t);
    stop(&w);
}

/* Its table is ahead of its log, which is to begin anew; a newer term waits behind that. */
static void P29_one_is_deleted_though_its_log_waits_to_begin_anew(void **state)
{
    struct outside w = member();
    struct wal_recovered kept = {.hard_state = {.term = 7}};
    struct raft_config config = {.n = 2, .members = {me(), {.id = 2, .node = 6, .voter = true, .addr = OTHER}}};
    struct buf row = {0};
    applied_row_encode(&row, 50, 7, &config);
    w.tables[w.n_tables++] = table_mem_new();
    const struct table_change applied = {.kind = TABLE_PUT, .key = bytes_str(TABLE_APPLIED_KEY), .value = buf_bytes(&row)};
    assert_int_equal(table_write(w.tables[0], &applied, 1), RGKV_OK);
    w.manifest.replicas[0].blank = false;
    w.kept = &kept;
    w.hangs = true;
    start(&w);
    assert_int_equal(w.asked[NODE_RESET_LOG], 1);
    other_says(&w, (struct raft_message){.kind = RAFT_HEARTBEAT, .term = 8});
    assert_int_equal(w.asked[NODE_COMMIT], 1);
    buried(&w);
    step(&w, (struct node_input){.kind = NODE_COMPACTED, .replica = 1, .err = RGKV_NO_SPACE});
    step(&w, (struct node_input){.kind = NODE_COMMITTED, .replica = 1, .err = RGKV_NO_SPACE});
    deleted(&w);
    buf_release(&row);
    stop(&w);
}

static void P4_one_whose_log_was_lost_is_reported_until_it_is_deleted(void **state)
{
    struct outside w = member();
    w.manifest.replicas[0].blank = false;
    start(&w);
    assert_int_equal(reported(&w), 1);
    assert_int_equal(w.lost, 1);
    buried(&w);
    step(&w, (struct node_input){.kind = NODE_REPLICA_DELETED, .replica = 1});
    assert_int_equal(reported(&w), 0);
    stop(&w);
}

/* A node that holds as many replicas as it may, and is asked to hold one more. */
static void a_place_is_taken_again_only_when_it_is_free_for_good(void **state)
{
    struct outside w = member();
    struct ctrl_shard shards[4] = {{0}};
    struct ctrl_group group = group_here(4, 2, 9);
    struct ctrl_tombstone tombstone = {.node = NODE, .gid = 3, .incarnation = 1, .member = 1};
    for (w.manifest.n_replicas = 1; w.manifest.n_replicas < REPLICAS_MAX; w.manifest.n_replicas++)
        w.manifest.replicas[w.manifest.n_replicas] = (struct manifest_replica){.gid = 100 + w.manifest.n_replicas, .incarnation = 1,
                                                                               .member = 100 + w.manifest.n_replicas, .nshards = 4};
    start(&w);
    answer_poll(&w, (struct ctrl_view){.cluster = CLUSTER, .version = 9, .nshards = 4, .shards = shards, .n_groups = 1, .groups = &group,
                                       .n_tombstones = 1, .tombstones = &tombstone});
    assert_int_equal(w.asked[NODE_DELETE_REPLICA], 1);
    assert_int_equal(reported(&w), REPLICAS_MAX);
    w.saves_hang = true;
    step(&w, (struct node_input){.kind = NODE_REPLICA_DELETED, .replica = 1});
    collect(&w);
    assert_int_equal(reported(&w), REPLICAS_MAX); /* it is still among them, so nobody may be told of one more */
    w.saves_hang = false;
    step(&w, (struct node_input){.kind = NODE_MANIFEST_SAVED});
    collect(&w);
    assert_int_equal(reported(&w), REPLICAS_MAX);
    assert_int_equal(w.n->manifest.n_replicas, REPLICAS_MAX);
    stop(&w);
}

/* ---- a group that is given up ---- */

static struct outside controller_with_a_group(void)
{
    struct outside w = lone_controller();
    struct ctrl_join_group g = {.gid = 101, .n = 1, .addrs = {OTHER}};
    start(&w);
    ticks_for(&w, 1000000);
    assert_int_equal(admin(&w, 1, (struct ctrl_command){.op = CTRL_JOIN, .n_groups = 1, .groups = &g}), RGKV_OK);
    group_says(&w, KV_NONE); /* the slot is bound */
    group_says(&w, KV_NONE); /* and led: its shards are prepared */
    group_says(&w, KV_PREPARED);
    group_says(&w, KV_SERVING);
    ticks_for(&w, 4000000); /* whoever did not report by now is silent */
    const struct ctrl_view *v = ctrl_view(w.n->replicas[0]->ctrl);
    assert_true(v->shards[0].holder == 101 && v->shards[0].active);
    return w;
}

/* The controller starts anew (or another one begins to lead), and the group's nodes have not reported to it yet. */
static void start_anew(struct outside *w)
{
    struct raft_status s;
    raft_status(w->n->replicas[0]->raft, &s);
    struct wal_recovered kept = {.hard_state = {s.term, s.vote, s.commit}, .compacted_index = s.applied, .compacted_term = s.last_term};
    assert_int_equal(s.applied, s.last_index);
    w->manifest = w->n->manifest;
    w->kept = &kept;
    node_free(w->n);
    start(w);
    w->kept = NULL;
    ticks_for(w, 100000);
    assert_true(replica_is_leader(w->n->replicas[0]));
}

static enum rgkv_err abandon(struct outside *w, uint64_t id) { return admin(w, id, (struct ctrl_command){.op = CTRL_ABANDON, .gid = 101}); }

static void P19_no_group_that_answers_is_given_up_by_a_controller_that_leads_since_a_moment_ago(void **state)
{
    struct outside w = controller_with_a_group();
    group_says(&w, KV_SERVING);
    assert_int_equal(abandon(&w, 2), RGKV_BUSY);
    assert_true(w.reasoned);
    start_anew(&w);
    assert_int_equal(abandon(&w, 3), RGKV_BUSY);
    assert_false(w.reasoned); /* so it is asked again */
    assert_int_equal(ctrl_view(w.n->replicas[0]->ctrl)->shards[0].holder, 101); /* what it holds is not lost */
    ticks_for(&w, 4000000); /* now it is known to be silent */
    assert_int_equal(abandon(&w, 4), RGKV_OK);
    stop(&w);
}

/* The answer was lost. A refusal with a sentence would end the request: "not done". */
static void P28_who_asks_again_whether_a_group_was_given_up_hears_that_it_was(void **state)
{
    struct outside w = controller_with_a_group();
    assert_int_equal(abandon(&w, 2), RGKV_OK);
    assert_int_equal(abandon(&w, 2), RGKV_OK);
    start_anew(&w);
    assert_int_equal(abandon(&w, 2), RGKV_OK);
    stop(&w);
}

/* The group answers again when the first copy is in the log already, or when it is done. */
static void P28_who_asks_again_while_a_group_is_given_up_is_not_told_that_it_answers(void **state)
{
    struct outside w = controller_with_a_group();
    w.hangs = true;
    assert_int_equal(abandon(&w, 2), RGKV_ERR_COUNT);
    group_says(&w, KV_SERVING);
    assert_int_equal(abandon(&w, 2), RGKV_BUSY);
    assert_false(w.reasoned);
    w.hangs = false;
    step(&w, (struct node_input){.kind = NODE_COMMITTED, .replica = 1});
    collect(&w);
    assert_int_equal(w.answers[2], RGKV_OK);
    assert_int_equal(abandon(&w, 2), RGKV_OK);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P2_who_would_found_hears_of_the_cluster_from_any_node_that_knows_one),
        cmocka_unit_test(P2_who_made_the_record_joins_in_though_another_founder_never_acknowledges_it),
        cmocka_unit_test(P20_a_controller_that_was_added_begins_blank_and_a_founder_never_by_a_view),
        cmocka_unit_test(P20_a_learner_that_never_answers_keeps_no_other_one_out),
        cmocka_unit_test(P4_a_view_from_before_a_burial_gives_nobody_a_replica),
        cmocka_unit_test(P4_a_replica_is_reported_until_no_crash_can_bring_it_back),
        cmocka_unit_test(P4_who_never_had_a_replica_says_so_when_no_older_view_can_give_it_one),
        cmocka_unit_test(P29_a_replica_on_a_full_disk_is_deleted_though_its_commit_waits),
        cmocka_unit_test(P29_one_that_waits_for_space_to_be_opened_is_deleted),
        cmocka_unit_test(P29_one_whose_manifest_waits_for_space_is_deleted),
        cmocka_unit_test(P29_one_is_deleted_though_its_log_waits_to_begin_anew),
        cmocka_unit_test(P4_one_whose_log_was_lost_is_reported_until_it_is_deleted),
        cmocka_unit_test(a_place_is_taken_again_only_when_it_is_free_for_good),
        cmocka_unit_test(P19_no_group_that_answers_is_given_up_by_a_controller_that_leads_since_a_moment_ago),
        cmocka_unit_test(P28_who_asks_again_whether_a_group_was_given_up_hears_that_it_was),
        cmocka_unit_test(P28_who_asks_again_while_a_group_is_given_up_is_not_told_that_it_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
