/* What a write waits for: who leads, the log, the table. A disk that is slow, full or hung holds up what needs it and nothing else,
 * and what waits for it is bounded. */
#include "tests/unit/node_outside.h"

#include <stdio.h>

/* ---- waiters ---- */

static void who_waits_is_answered_also_behind_waiters_of_an_earlier_lead(void **state)
{
    struct outside w = member();
    struct raft_entry other = {.index = 2, .term = 3, .kind = RAFT_NOOP};
    start(&w);
    other_says(&w, (struct raft_message){.kind = RAFT_APPEND, .term = 1});
    lead_after(&w, 1); /* index 1 is its own */
    for (uint64_t request = 1; request <= 4; request++)
        propose(&w, request); /* at 2 … 5 */
    other_says(&w, (struct raft_message){.kind = RAFT_APPEND, .term = 3, .log_index = 1, .log_term = 2, .n_entries = 1, .entries = &other});
    lead_after(&w, 3); /* index 3 */
    propose(&w, 5);    /* 4 */
    propose(&w, 6);    /* 5 */
    other_says(&w, (struct raft_message){.kind = RAFT_APPEND_REPLY, .term = 4, .log_index = 5, .log_term = 4});
    for (uint64_t request = 1; request <= 6; request++) {
        assert_int_equal(w.n_answers[request], 1);
        assert_int_equal(w.answers[request], request <= 4 ? RGKV_NOT_LEADER : RGKV_OK);
    }
    stop(&w);
}

/* ---- the table ---- */

/* What is committed is applied when the table can take it; the node is asked again soon, and is not held up meanwhile. */
static void a_table_that_is_behind_is_waited_for_without_standing_still(void **state)
{
    struct outside w = member();
    start(&w);
    save_is_due(&w);
    table_falls_behind(w.tables[0]);
    one_entry_is_committed(&w);
    assert_int_equal(w.n->replicas[0]->applied, 0);
    assert_true(node_deadline_us(w.n) <= w.now_us + TABLE_AGAIN_US);
    wait_a_while(&w);
    assert_int_equal(w.n->replicas[0]->applied, 0);
    table_mem_hold(w.tables[0], false);
    wait_a_while(&w);
    assert_int_equal(w.n->replicas[0]->applied, 1);
    stop(&w);
}

static void put_again(struct outside *w, uint64_t seq)
{
    static uint8_t data[5000];
    const struct bytes key = bytes_str("k");
    struct msg put = {.kind = MSG_KV_REQUEST, .id = 2, .cluster = CLUSTER, .kv_request = {.gid = 3, .request = {
        .op = KV_PUT, .client = 1, .seq = seq, .floor = seq, .born_us = w->now_us, .shard = kv_key_shard(key, 4), .key = key, .mode = 0644,
        .data = bytes_of(data, sizeof(data))}}};
    receive(w, &put);
}

/* Ten minutes in which there is always one entry under way: what was replaced goes after one. */
static void P26_what_is_due_is_collected_though_somebody_writes_all_the_time(void **state)
{
    struct outside w = with_large_value();
    unsigned committed = w.asked[NODE_COMMIT];
    w.hangs = true;
    put_again(&w, 2);
    for (uint64_t seq = 3; seq < 6003; seq++) {
        w.now_us += 100000;
        put_again(&w, seq);
        step(&w, (struct node_input){.kind = NODE_TICK});
        assert_true(w.asked[NODE_COMMIT] > committed);
        committed++;
        step(&w, (struct node_input){.kind = NODE_COMMITTED, .replica = 1});
        collect(&w);
    }
    assert_int_equal(w.answers[2], RGKV_OK);
    assert_int_equal(w.n_answers[2], 6000);
    assert_int_equal(kv_save(w.n->replicas[0]->kv), RGKV_OK);
    assert_in_range(rows_in(w.tables[0]), 2000, 5000); /* four for each of the last minute's 600; in all there were 24000 */
    stop(&w);
}

/* ---- a disk that is slower than the others' ---- */

static void append_of(struct outside *w, uint64_t index)
{
    struct blob *payload = kv_command_encode(&(struct kv_command){.kind = KV_CLOCK, .time_us = index});
    const struct raft_entry e = {.index = index, .term = 1, .kind = RAFT_COMMAND, .payload = payload};
    other_says(w, (struct raft_message){.kind = RAFT_APPEND, .term = 1, .log_index = index - 1, .log_term = index > 1, .commit = index - 1,
                                        .n_entries = 1, .entries = &e});
    blob_unref(payload);
}

/* The two others commit five entries while a batch is written here. */
static void a_log_is_compacted_though_what_is_applied_is_never_all_on_the_disk(void **state)
{
    struct outside w = member_of_three();
    start(&w); /* with a bound of 0 for the logs: any entry is a reason for a flush */
    w.hangs = true;
    unsigned committed = w.asked[NODE_COMMIT];
    uint64_t index = 0;
    for (unsigned batch = 0; batch < 1000; batch++) {
        for (unsigned i = 0; i < 5; i++)
            append_of(&w, ++index);
        assert_true(w.asked[NODE_COMMIT] > committed);
        committed++;
        step(&w, (struct node_input){.kind = NODE_COMMITTED, .replica = 1});
        collect(&w);
    }
    assert_int_equal(w.n->replicas[0]->applied, index - 1);
    assert_int_not_equal(w.asked[NODE_FLUSH], 0);
    stop(&w);
}

static void long_jobs_leave_threads_to_the_logs(void **state)
{
    struct outside w = member();
    w.manifest.n_replicas = 6;
    for (unsigned i = 0; i < 6; i++) {
        w.manifest.replicas[i] = w.manifest.replicas[0];
        w.manifest.replicas[i].gid = 3 + i;
        w.manifest.replicas[i].founding.n = 1;
    }
    start(&w); /* with a bound of 0 for the logs: any entry is a reason for a flush */
    for (unsigned i = 0; i < 6; i++) {
        struct blob *payload = kv_command_encode(&(struct kv_command){.kind = KV_CLOCK, .time_us = 1});
        assert_int_equal(replica_propose(w.n, w.n->replicas[i], payload, 0, 0), RGKV_OK);
    }
    collect(&w);
    assert_int_equal(w.asked[NODE_FLUSH], 4);
    step(&w, (struct node_input){.kind = NODE_FLUSHED, .replica = 1});
    step(&w, (struct node_input){.kind = NODE_TICK});
    for (unsigned i = 0; i < 6; i++)
        w.n->replicas[i]->dirty = true;
    collect(&w);
    assert_int_equal(w.asked[NODE_FLUSH], 5);
    stop(&w);
}

/* ---- a disk that hangs ---- */

/* Its log cannot be written (a full or hung disk) and nobody leads: votes that wait for the disk are of the newest term only. */
static void what_waits_for_a_hung_disk_does_not_grow_for_ever(void **state)
{
    struct outside w = member_of_three();
    start(&w);
    w.hangs = true;
    append_of(&w, 1);
    struct replica *r = w.n->replicas[0];
    for (unsigned i = 0; i < 3600u * 20; i++) { /* an hour */
        struct raft_status s;
        tick(&w, 50000);
        raft_status(r->raft, &s);
        if (s.role == RAFT_PRE_CANDIDATE) /* the other one would vote for it */
            other_says(&w, (struct raft_message){.kind = RAFT_PRE_VOTE_REPLY, .term = s.term + 1});
    }
    print_message("%zu bytes in %u messages wait\n", r->batches[r->filling].frames.len, r->batches[r->filling].n_held);
    assert_true(r->batches[r->filling].frames.len < 1u << 20);
    stop(&w);
}

static bool hands_over(struct outside *w)
{
    struct raft_status s;
    raft_status(w->n->replicas[0]->raft, &s);
    return s.transferring;
}

static void hear_for(struct outside *w, uint64_t us)
{
    for (uint64_t end_us = w->now_us + us; w->now_us < end_us && !hands_over(w);) {
        w->now_us += 50000;
        other_says(w, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .term = 2});
        tick(w, 0);
    }
}

static void B39_a_leader_whose_disk_hangs_hands_over_and_not_all_the_time(void **state)
{
    struct outside w = member();
    start(&w);
    other_says(&w, (struct raft_message){.kind = RAFT_APPEND, .term = 1});
    lead_after(&w, 1);
    hear_for(&w, 4000000);
    assert_false(hands_over(&w)); /* nothing is wrong */
    w.hangs = true;
    propose(&w, 1);
    hear_for(&w, 1500000);
    assert_false(hands_over(&w));
    hear_for(&w, 1000000);
    assert_true(hands_over(&w));
    w.now_us += 300000; /* the other one does not take it */
    other_says(&w, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .term = 2});
    step(&w, (struct node_input){.kind = NODE_TICK});
    assert_false(hands_over(&w));
    hear_for(&w, 3000000);
    assert_false(hands_over(&w));
    hear_for(&w, 3000000);
    assert_true(hands_over(&w));
    stop(&w);
}

/* Growing writes are refused long before the last byte is taken: no write of its log may ever fail. */
static void P29_a_leader_whose_disk_is_nearly_full_hands_over(void **state)
{
    struct outside w = member();
    start(&w);
    other_says(&w, (struct raft_message){.kind = RAFT_APPEND, .term = 1});
    lead_after(&w, 1);
    step(&w, (struct node_input){.kind = NODE_DISK_SPACE, .disk_free = DISK_LOW_WATER_BYTES, .disk_total = 1ull << 40});
    hear_for(&w, 1000000);
    assert_false(hands_over(&w));
    step(&w, (struct node_input){.kind = NODE_DISK_SPACE, .disk_free = DISK_LOW_WATER_BYTES - 1, .disk_total = 1ull << 40});
    hear_for(&w, 100000);
    assert_true(hands_over(&w));
    stop(&w);
}

/* ---- the end ---- */

/* It leads member 2 in term 2, and has proposed so many entries, which member 2 has not got. */
static struct outside leader_with_entries(unsigned n)
{
    struct outside w = member();
    start(&w);
    other_says(&w, (struct raft_message){.kind = RAFT_APPEND, .term = 1});
    lead_after(&w, 1);
    for (unsigned i = 0; i < n; i++)
        propose(&w, 1);
    return w;
}

/* Member 2 was restarted just now: it has the log and has to apply it. */
static void who_is_to_end_serves_on_until_another_member_can_answer(void **state)
{
    struct outside w = leader_with_entries(5000);
    other_says(&w, (struct raft_message){.kind = RAFT_APPEND_REPLY, .term = 2, .log_index = 5001, .log_term = 2, .commit = 1});
    step(&w, (struct node_input){.kind = NODE_STOP});
    hear_for(&w, 1000000); /* which tells each time that it has applied nothing */
    assert_false(hands_over(&w));
    assert_true(replica_serves(w.n, w.n->replicas[0]));
    other_says(&w, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .term = 2, .commit = 5001});
    tick(&w, 50000);
    assert_true(hands_over(&w));
    assert_false(replica_serves(w.n, w.n->replicas[0]));
    assert_int_equal(w.asked[NODE_STOPPED], 0);
    stop(&w);
}

static void who_is_to_end_does_not_wait_for_ever(void **state)
{
    struct outside w = leader_with_entries(5000);
    step(&w, (struct node_input){.kind = NODE_STOP});
    for (unsigned i = 0; i < 60; i++) { /* it is heard of, and does not come nearer */
        other_says(&w, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .term = 2});
        tick(&w, 50000);
    }
    assert_int_equal(w.asked[NODE_STOPPED], 1);
    stop(&w);
}

/* ---- a disk that is full ---- */

static void disk_has(struct outside *w, uint64_t free)
{
    step(w, (struct node_input){.kind = NODE_DISK_SPACE, .disk_free = free, .disk_total = 64ull << 30});
    collect(w);
}

static uint64_t last_index(struct outside *w)
{
    struct raft_status st;
    raft_status(w->n->replicas[0]->raft, &st);
    return st.last_index;
}

/* The import of shard 0, which is blank, asks; the source has nothing more. */
static void answer_pull(struct outside *w, uint64_t round, bool last)
{
    struct msg m = {.kind = MSG_PULL_REPLY, .cluster = CLUSTER, .pull_reply = {.epoch = 2, .round = round, .pulled = {.done = true, .last = last}}};
    tick(w, 2000000); /* also after an answer of which nothing came */
    assert_int_equal(w->n->replicas[0]->n_pulls, 1);
    m.id = w->n->replicas[0]->pulls[0].request_id;
    receive(w, &m);
}

static void the_end_of_an_import_is_logged_only_behind_its_last_rows(void **state)
{
    struct outside w = member();
    struct ctrl_shard shards[4] = {{.holder = 4, .epoch = 2, .target = 3}};
    struct ctrl_group groups[2] = {group_here(3, 1, 1),
                                   {.gid = 4, .incarnation = 2, .founded = true, .n = 1, .members = {{.id = 9, .node = 6, .founding = true, .addr = OTHER}}}};
    struct ctrl_view v = {.cluster = CLUSTER, .version = 2, .nshards = 4, .shards = shards, .n_groups = 2, .groups = groups};
    w.manifest.replicas[0].founding.n = 1; /* alone, hence the leader */
    start(&w);
    answer_poll(&w, v);
    answer_pull(&w, 0, false);
    assert_true(status_of(&w, 0).state == KV_IMPORTING && status_of(&w, 0).import_round == 1);
    disk_has(&w, 1);
    uint64_t before = last_index(&w);
    answer_pull(&w, 1, true);
    assert_int_equal(last_index(&w), before);
    disk_has(&w, 32ull << 30);
    answer_pull(&w, 1, true);
    assert_int_equal(last_index(&w), before + 2);
    assert_int_equal(status_of(&w, 0).state, KV_PREPARED);
    stop(&w);
}

/* ---- time ---- */

static enum rgkv_err says(struct outside *w, struct kv_request q)
{
    q.shard = kv_key_shard(bytes_str("k"), 4);
    struct msg m = {.kind = MSG_KV_REQUEST, .id = 2, .cluster = CLUSTER, .kv_request = {.gid = 3, .request = q}};
    receive(w, &m);
    return w->answers[2];
}

/* Nothing was due either, so the time that is logged stood still. */
static void P5_the_first_change_after_hours_without_one_is_done_at_once(void **state)
{
    struct outside w = with_large_value();
    const struct kv_request time = {.op = KV_TIME};
    for (unsigned i = 0; i < 5; i++)
        tick(&w, SESSION_TTL_US);
    assert_int_equal(says(&w, time), RGKV_BUSY);
    assert_int_equal(says(&w, time), RGKV_OK);
    assert_in_range(w.shard_time_us, w.now_us - SESSION_TTL_US / 4, w.now_us);
    tick(&w, SESSION_TTL_US / 8);
    assert_int_equal(says(&w, time), RGKV_OK); /* it is near enough */
    assert_int_equal(says(&w, (struct kv_request){.op = KV_PUT, .client = 2, .seq = 1, .floor = 1, .born_us = w.shard_time_us,
                                                  .key = bytes_str("k"), .mode = 0644}), RGKV_OK);
    stop(&w);
}

static void who_would_write_to_a_full_disk_hears_of_that_also_after_hours(void **state)
{
    struct outside w = with_large_value();
    for (unsigned i = 0; i < 5; i++)
        tick(&w, SESSION_TTL_US);
    w.n->replicas[0]->disk_full = true;
    assert_int_equal(says(&w, (struct kv_request){.op = KV_TIME}), RGKV_OK);
    assert_int_equal(says(&w, (struct kv_request){.op = KV_PUT, .client = 2, .seq = 1, .floor = 1, .born_us = w.shard_time_us,
                                                  .key = bytes_str("k"), .mode = 0644}), RGKV_NO_SPACE);
    stop(&w);
}

/* ---- renames to other shards ---- */

enum { SHARDS = 8, DEADS = 6, ALIVES = 7, INTENTS = 64 }; /* the shards of two other groups; how many intents a shard may have */

static struct bytes key_in(uint32_t shard, char at[16], unsigned n)
{
    for (unsigned i = 0;; i++) {
        snprintf(at, 16, "k%u", i);
        if (kv_key_shard(bytes_str(at), SHARDS) == shard && n-- == 0)
            return bytes_str(at);
    }
}

static void say(struct outside *w, struct kv_request q)
{
    q.shard = kv_key_shard(q.key, SHARDS);
    q.seq = q.floor = 1;
    q.born_us = w->now_us;
    struct msg m = {.kind = MSG_KV_REQUEST, .id = 1, .cluster = CLUSTER, .kv_request = {.gid = 3, .request = q}};
    receive(w, &m);
}

/* The n-th of the source's keys; each is a client's of its own. */
static void moves_away(struct outside *w, uint32_t source, uint32_t target, unsigned n)
{
    char from[16], to[16];
    struct bytes key = key_in(source, from, n), key2 = key_in(target, to, n);
    say(w, (struct kv_request){.op = KV_PUT, .client = 1 + 2 * n, .key = key, .mode = 0644});
    assert_int_equal(w->answers[1], RGKV_OK);
    w->answers[1] = RGKV_ERR_COUNT;
    say(w, (struct kv_request){.op = KV_RENAME, .client = 2 + 2 * n, .key = key, .key2 = key2});
}

/* It holds the first six of eight shards; groups 4 and 5 have one each. */
static struct outside holder_beside_others(void)
{
    struct outside w = member();
    struct ctrl_shard shards[SHARDS] = {[DEADS] = {.holder = 4, .epoch = 1}, [ALIVES] = {.holder = 5, .epoch = 1}};
    struct ctrl_group groups[3] = {group_here(3, 1, 1),
                                   {.gid = 4, .incarnation = 2, .founded = true, .n = 1, .members = {{.id = 9, .node = 6, .founding = true, .addr = OTHER}}},
                                   {.gid = 5, .incarnation = 3, .founded = true, .n = 1, .members = {{.id = 10, .node = 7, .founding = true, .addr = THIRD}}}};
    struct ctrl_view v = {.cluster = CLUSTER, .version = 2, .nshards = SHARDS, .shards = shards, .n_groups = 3, .groups = groups};
    w.manifest.replicas[0].founding.n = 1;
    w.manifest.replicas[0].nshards = SHARDS;
    for (unsigned s = 0; s < DEADS; s++)
        shards[s] = (struct ctrl_shard){.target = 3, .epoch = 1};
    start(&w);
    answer_poll(&w, v);
    for (unsigned s = 0; s < DEADS; s++)
        shards[s] = (struct ctrl_shard){.holder = 3, .epoch = 1};
    v.version = 3;
    answer_poll(&w, v);
    return w;
}

static void renames_to_a_dead_group_keep_none_to_another_group_waiting(void **state)
{
    struct outside w = holder_beside_others();
    for (uint32_t source = 0; source < DEADS; source++)
        for (unsigned n = 0; n < INTENTS - 1; n++)
            moves_away(&w, source, DEADS, n);
    ticks_for(&w, 5000000);
    assert_in_range(w.lands[4], 100, 5000);
    moves_away(&w, 0, ALIVES, INTENTS);
    ticks_for(&w, 100000);
    assert_int_equal(w.answers[1], RGKV_PENDING);
    assert_int_equal(w.lands[5], 1);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_is_answered_also_behind_waiters_of_an_earlier_lead),
        cmocka_unit_test(a_table_that_is_behind_is_waited_for_without_standing_still),
        cmocka_unit_test(P26_what_is_due_is_collected_though_somebody_writes_all_the_time),
        cmocka_unit_test(a_log_is_compacted_though_what_is_applied_is_never_all_on_the_disk),
        cmocka_unit_test(long_jobs_leave_threads_to_the_logs),
        cmocka_unit_test(what_waits_for_a_hung_disk_does_not_grow_for_ever),
        cmocka_unit_test(B39_a_leader_whose_disk_hangs_hands_over_and_not_all_the_time),
        cmocka_unit_test(P29_a_leader_whose_disk_is_nearly_full_hands_over),
        cmocka_unit_test(who_is_to_end_serves_on_until_another_member_can_answer),
        cmocka_unit_test(who_is_to_end_does_not_wait_for_ever),
        cmocka_unit_test(the_end_of_an_import_is_logged_only_behind_its_last_rows),
        cmocka_unit_test(P5_the_first_change_after_hours_without_one_is_done_at_once),
        cmocka_unit_test(who_would_write_to_a_full_disk_hears_of_that_also_after_hours),
        cmocka_unit_test(renames_to_a_dead_group_keep_none_to_another_group_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
