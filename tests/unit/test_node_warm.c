/* A node whose disk has to be asked for rows: who wants them waits, and nobody else. */
#include "tests/unit/node_outside.h"

#include <stdio.h>

static struct msg request(enum kv_op op, uint64_t id, const char *name, uint64_t seq)
{
    const struct bytes key = bytes_str(name);
    return (struct msg){.kind = MSG_KV_REQUEST, .id = id, .cluster = CLUSTER, .kv_request = {.gid = 3, .request = {
        .op = op, .client = seq ? 1 : 0, .seq = seq, .floor = seq, .shard = kv_key_shard(key, 4), .key = key, .mode = 0644,
        .length = DATA_BYTES_MAX}}};
}

static void ask(struct outside *w, enum kv_op op, uint64_t id, const char *name, uint64_t seq)
{
    struct msg m = request(op, id, name, seq);
    if (!kv_op_reads(op))
        m.kv_request.request.length = 0;
    receive(w, &m);
}

/* Its value's rows are in the table, which has none of them at hand. */
static struct outside with_cold_value(void)
{
    struct outside w = with_large_value();
    assert_int_equal(kv_save(w.n->replicas[0]->kv), RGKV_OK);
    table_mem_cold(w.tables[0], 1);
    w.reads_hang = true;
    return w;
}

static void rows_are_there(struct outside *w)
{
    step(w, (struct node_input){.kind = NODE_WARMED, .replica = 1, .number = w->warm});
    collect(w);
}

static void a_read_of_cold_rows_waits_for_them_and_others_do_not(void **state)
{
    struct outside w = with_cold_value();
    ask(&w, KV_GET, 3, "k", 0);
    assert_int_equal(w.n_answers[3], 0);
    assert_int_equal(w.asked[NODE_WARM], 1);
    ask(&w, KV_STAT, 4, "k", 0); /* the row is in the machine's own cache */
    assert_int_equal(w.n_answers[4], 1);
    assert_int_equal(w.n_answers[3], 0);
    table_mem_cold(w.tables[0], 0);
    rows_are_there(&w);
    assert_true(w.n_answers[3] == 1 && w.answers[3] == RGKV_OK);
    assert_true(w.replies_bytes > DATA_BYTES_MAX);
    stop(&w);
}

static void rows_that_no_cache_keeps_are_read_all_the_same(void **state)
{
    struct outside w = with_cold_value();
    ask(&w, KV_GET, 3, "k", 0);
    unsigned rounds = 0;
    for (; w.n_answers[3] == 0 && rounds < 10; rounds++)
        rows_are_there(&w);
    assert_in_range(rounds, 1, 3);
    assert_int_equal(w.answers[3], RGKV_OK);
    stop(&w);
}

static void an_entry_waits_for_its_rows_and_those_behind_it_for_the_entry(void **state)
{
    struct outside w = with_cold_value();
    uint64_t applied = w.n->replicas[0]->applied;
    ask(&w, KV_PUT, 3, "new", 1);
    ask(&w, KV_SETATTR, 4, "k", 2); /* its row is at hand */
    assert_int_equal(w.n->replicas[0]->applied, applied);
    assert_int_equal(w.asked[NODE_WARM], 1);
    ask(&w, KV_STAT, 5, "k", 0); /* it must see what is committed */
    assert_true(w.n_answers[3] == 0 && w.n_answers[4] == 0 && w.n_answers[5] == 0);
    table_mem_cold(w.tables[0], 0);
    rows_are_there(&w);
    assert_int_equal(w.n->replicas[0]->applied, applied + 2);
    assert_true(w.n_answers[3] == 1 && w.n_answers[4] == 1 && w.n_answers[5] == 1);
    stop(&w);
}

static void too_much_that_waits_is_applied_whatever_the_disk_does(void **state)
{
    static uint8_t data[DATA_BYTES_MAX];
    struct outside w = with_cold_value();
    uint64_t applied = w.n->replicas[0]->applied;
    for (unsigned i = 0; i <= APPLY_QUEUE_BYTES_MAX / DATA_BYTES_MAX; i++) {
        struct msg m = request(KV_PUT, 3, "new", 2 + i);
        m.kv_request.request.length = 0;
        m.kv_request.request.data = bytes_of(data, sizeof(data));
        receive(&w, &m);
    }
    assert_true(w.n->replicas[0]->applied > applied);
    assert_true(w.n->replicas[0]->to_apply.bytes < APPLY_QUEUE_BYTES_MAX);
    stop(&w);
}

#define GROUPS 4u

/* It leads four groups alone, 3 to 6, each of which serves one shard. */
static struct outside with_four_groups(void)
{
    struct outside w = member();
    struct ctrl_shard shards[GROUPS];
    struct ctrl_group groups[GROUPS];
    for (uint32_t i = 0; i < GROUPS; i++) {
        groups[i] = group_here(3 + i, 1, 1);
        shards[i] = (struct ctrl_shard){.target = 3 + i, .epoch = 1};
        w.manifest.replicas[i] = w.manifest.replicas[0];
        w.manifest.replicas[i].gid = 3 + i;
        w.manifest.replicas[i].founding.n = 1;
    }
    w.manifest.n_replicas = GROUPS;
    start(&w);
    struct ctrl_view v = {.cluster = CLUSTER, .version = 2, .nshards = 4, .shards = shards, .n_groups = GROUPS, .groups = groups};
    answer_poll(&w, v);
    for (uint32_t i = 0; i < GROUPS; i++)
        shards[i] = (struct ctrl_shard){.holder = 3 + i, .epoch = 1};
    v.version = 3;
    answer_poll(&w, v);
    return w;
}

/* A key that is in shard i, where nothing is yet. */
static void ask_group(struct outside *w, uint32_t i, enum kv_op op, uint64_t id, uint64_t seq)
{
    char name[8];
    unsigned k = 0;
    do
        snprintf(name, sizeof name, "n%u", k++);
    while (kv_key_shard(bytes_str(name), 4) != i);
    struct msg m = request(op, id, name, seq);
    m.kv_request.gid = 3 + i;
    m.kv_request.request.length = seq ? 0 : 1;
    receive(w, &m);
}

static void entries_of_many_groups_leave_room_for_reads(void **state)
{
    struct outside w = with_four_groups();
    w.reads_hang = true;
    for (uint32_t i = 0; i < GROUPS; i++) {
        assert_int_equal(status_of(&w, 0).state, KV_SERVING);
        assert_int_equal(kv_save(w.n->replicas[i]->kv), RGKV_OK);
        table_mem_cold(w.tables[i], 1);
    }
    unsigned before = w.asked[NODE_WARM];
    for (uint32_t i = 0; i < GROUPS; i++)
        ask_group(&w, i, KV_PUT, 1 + i, 1);
    assert_int_equal(w.asked[NODE_WARM], before + GROUPS - 1);
    ask_group(&w, 0, KV_GET, 6, 0);
    for (uint32_t i = 0; i < GROUPS; i++)
        table_mem_cold(w.tables[i], 0);
    for (uint32_t i = 0; i < GROUPS; i++)
        assert_int_equal(w.n_answers[1 + i], 0);
    stop(&w);
}

static void who_is_gone_is_not_waited_for(void **state)
{
    struct outside w = with_cold_value();
    ask(&w, KV_GET, 3, "k", 0);
    step(&w, (struct node_input){.kind = NODE_CONN_CLOSED, .conn = 9});
    rows_are_there(&w);
    assert_int_equal(w.n->replicas[0]->n_reads, 0);
    assert_int_equal(w.asked[NODE_WARM], 1);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_of_cold_rows_waits_for_them_and_others_do_not),
        cmocka_unit_test(rows_that_no_cache_keeps_are_read_all_the_same),
        cmocka_unit_test(an_entry_waits_for_its_rows_and_those_behind_it_for_the_entry),
        cmocka_unit_test(too_much_that_waits_is_applied_whatever_the_disk_does),
        cmocka_unit_test(entries_of_many_groups_leave_room_for_reads),
        cmocka_unit_test(who_is_gone_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
