/* What was applied goes into the table beside the loop: what goes on meanwhile, and what waits for it. */
#include "tests/unit/node_outside.h"

static struct replica *replica(struct outside *w) { return w->n->replicas[0]; }

/* A member that others lead, and whose table is written for as long as the test wants. All saves are small ones. */
static struct outside member_whose_table_hangs(void)
{
    struct outside w = member_of_three();
    start(&w);
    w.tables_hang = true;
    save_is_due(&w);
    collect(&w);
    assert_int_equal(w.asked[NODE_SAVE], 1);
    return w;
}

/* An entry with a value of so many bytes, for a shard that is not here. All before it are committed. */
static void append_of(struct outside *w, uint64_t index, size_t bytes)
{
    static uint8_t data[DATA_BYTES_MAX];
    const struct kv_request put = {.op = KV_PUT, .client = 1, .seq = index, .key = bytes_str("k"), .data = bytes_of(data, bytes)};
    struct blob *payload = kv_command_encode(&(struct kv_command){.kind = KV_REQUEST, .request = put});
    const struct raft_entry e = {.index = index, .term = 1, .kind = RAFT_COMMAND, .payload = payload};
    other_says(w, (struct raft_message){.kind = RAFT_APPEND, .term = 1, .log_index = index - 1, .log_term = index > 1, .commit = index - 1,
                                        .n_entries = 1, .entries = &e});
    blob_unref(payload);
}

static void entries_are_applied_while_what_was_applied_is_written(void **state)
{
    struct outside w = member_whose_table_hangs();
    for (uint64_t i = 1; i <= 10; i++)
        append_of(&w, i, 0);
    assert_int_equal(replica(&w)->applied, 9);
    save_is_due(&w); /* as much has come together again */
    append_of(&w, 11, 0);
    assert_int_equal(replica(&w)->applied, 9);
    assert_int_equal(w.asked[NODE_SAVE], 1);
    save_ends(&w);
    collect(&w);
    assert_int_equal(replica(&w)->applied, 10);
    assert_int_equal(w.asked[NODE_SAVE], 2);
    stop(&w);
}

/* With a bound of 0 for the logs any entry is a reason for a flush. */
static void a_flush_waits_for_the_save_of_what_the_log_may_forget_then(void **state)
{
    struct outside w = member_of_three();
    start(&w);
    w.tables_hang = true;
    for (uint64_t i = 1; i <= 3; i++)
        append_of(&w, i, 0);
    assert_int_equal(w.asked[NODE_SAVE], 1);
    tick(&w, 50000);
    assert_int_equal(w.asked[NODE_FLUSH], 0);
    save_ends(&w);
    collect(&w);
    assert_int_equal(w.asked[NODE_FLUSH], 1);
    assert_true(replica(&w)->flush_index >= 1 && replica(&w)->flush_index <= replica(&w)->saved_index);
    stop(&w);
}

static uint64_t last_index(struct outside *w)
{
    struct raft_status s;
    raft_status(replica(w)->raft, &s);
    return s.last_index;
}

/* Its log's disk is fast and its table's is not: who sends it entries is not to fill its memory. But it votes. */
static void no_more_entries_are_taken_when_too_many_wait_for_a_table_that_hangs(void **state)
{
    struct outside w = member_whose_table_hangs();
    unsigned n = 3 * APPLY_QUEUE_BYTES_MAX >> 20;
    save_is_due(&w);
    for (uint64_t i = 1; i <= n; i++)
        append_of(&w, i, 1u << 20);
    assert_in_range(replica(&w)->to_apply.bytes, 2 * APPLY_QUEUE_BYTES_MAX, (2 * APPLY_QUEUE_BYTES_MAX) + (2u << 20));
    uint64_t last = last_index(&w);
    assert_true(last < n);
    unsigned committed = w.asked[NODE_COMMIT];
    w.now_us += 1000000;
    other_says(&w, (struct raft_message){.kind = RAFT_VOTE, .term = 2, .log_index = last, .log_term = 1});
    assert_int_equal(w.asked[NODE_COMMIT], committed + 1);
    save_ends(&w);
    collect(&w);
    append_of(&w, last + 1, 1);
    assert_int_equal(last_index(&w), last); /* of an older term */
    stop(&w);
}

/* Leads, and what it has applied is to be saved before the entry that it has committed. */
static struct outside leader_that_waits_for(void (*hold_up)(struct outside *w))
{
    struct outside w = member();
    start(&w);
    other_says(&w, (struct raft_message){.kind = RAFT_APPEND, .term = 1});
    lead_after(&w, 1);
    hold_up(&w);
    save_is_due(&w);
    collect(&w);
    save_is_due(&w);
    propose(&w, 1);
    other_says(&w, (struct raft_message){.kind = RAFT_APPEND_REPLY, .term = 2, .log_index = 2, .log_term = 2});
    return w;
}

static bool hands_over_within(struct outside *w, uint64_t us)
{
    struct raft_status s = {0};
    for (uint64_t end_us = w->now_us + us; w->now_us < end_us && !s.transferring;) {
        other_says(w, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .term = 2});
        tick(w, 50000);
        raft_status(replica(w)->raft, &s);
    }
    return s.transferring;
}

static void save_hangs(struct outside *w) { w->tables_hang = true; }
static void table_is_behind(struct outside *w) { table_falls_behind(w->tables[0]); }

/* Heartbeats go out, and nothing is answered: somebody else may be better off. */
static void B39_a_leader_whose_table_hangs_hands_over(void **state)
{
    void (*const why[])(struct outside *w) = {save_hangs, table_is_behind};
    for (unsigned i = 0; i < ARRAY_LEN(why); i++) {
        struct outside w = leader_that_waits_for(why[i]);
        assert_false(hands_over_within(&w, 1000000));
        assert_true(hands_over_within(&w, 1200000));
        stop(&w);
    }
}

static void a_table_that_was_full_is_written_again(void **state)
{
    struct outside w = member_whose_table_hangs();
    table_mem_refuse(w.tables[0], true);
    save_ends(&w);
    collect(&w);
    assert_true(replica(&w)->table_full);
    append_of(&w, 1, 0);
    append_of(&w, 2, 0);
    assert_int_equal(replica(&w)->applied, 1);
    tick(&w, 50000);
    assert_int_equal(w.asked[NODE_SAVE], 2);
    save_ends(&w);
    tick(&w, 50000);
    assert_true(replica(&w)->table_full);
    assert_int_equal(w.asked[NODE_SAVE], 2); /* not all the time */
    table_mem_refuse(w.tables[0], false);
    tick(&w, 500000);
    assert_int_equal(w.asked[NODE_SAVE], 3);
    save_ends(&w);
    assert_false(replica(&w)->table_full);
    assert_int_equal(save_index(replica(&w)), 0); /* what was applied since is not in it */
    assert_false(w.failed);
    stop(&w);
}

static void a_save_that_fails_ends_the_node(void **state)
{
    struct outside w = member_whose_table_hangs();
    step(&w, (struct node_input){.kind = NODE_SAVED, .replica = 1, .err = RGKV_IO});
    collect(&w);
    assert_true(w.failed);
    stop(&w);
}

/* What is written is the machine's. */
static void a_replica_is_deleted_when_its_save_has_ended(void **state)
{
    struct outside w = member_whose_table_hangs();
    struct ctrl_shard shards[4] = {{0}};
    struct ctrl_tombstone tombstone = {.node = NODE, .gid = 3, .incarnation = 1, .member = 1};
    struct ctrl_view view = {.cluster = CLUSTER, .version = 9, .nshards = 4, .shards = shards, .n_tombstones = 1, .tombstones = &tombstone};
    answer_poll(&w, view);
    assert_int_equal(w.asked[NODE_DELETE_REPLICA], 0);
    save_ends(&w);
    view.version++;
    answer_poll(&w, view);
    assert_int_equal(w.asked[NODE_DELETE_REPLICA], 1);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_applied_while_what_was_applied_is_written),
        cmocka_unit_test(a_flush_waits_for_the_save_of_what_the_log_may_forget_then),
        cmocka_unit_test(no_more_entries_are_taken_when_too_many_wait_for_a_table_that_hangs),
        cmocka_unit_test(B39_a_leader_whose_table_hangs_hands_over),
        cmocka_unit_test(a_table_that_was_full_is_written_again),
        cmocka_unit_test(a_save_that_fails_ends_the_node),
        cmocka_unit_test(a_replica_is_deleted_when_its_save_has_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
