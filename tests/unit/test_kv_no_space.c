/* A table whose disk is full takes no writes: what is applied stays in memory, boundedly, and goes in when there is space (P29). */
#include "tests/unit/kv_help.h"

#define PIECE 300u

static enum rgkv_err save(struct rig *r)
{
    rig_settle(r);
    return kv_save(r->kv);
}

static void fill(struct rig *r, unsigned from, unsigned to)
{
    char name[16];
    for (unsigned i = from; i < to; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        assert_int_equal(put(r, name, name), RGKV_OK);
    }
}

static void assert_filled(struct rig *r, unsigned to)
{
    char name[16];
    for (unsigned i = 0; i < to; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        assert_value(r, name, name);
    }
}

static void what_is_applied_to_a_full_table_is_read_and_is_saved_when_there_is_space(void **state)
{
    struct rig *r = rig_new(4);
    rig_save(r);
    rig_full(r, true);
    fill(r, 0, 3000);
    assert_int_equal(save(r), RGKV_NO_SPACE);
    assert_filled(r, 3000);
    rig_full(r, false);
    rig_reopen(r);
    assert_filled(r, 3000);
    rig_free(r);
}

static void a_restart_finds_the_state_of_the_last_save_that_succeeded(void **state)
{
    struct rig *r = rig_new(1);
    struct buf row = {0};
    put(r, "before", "1");
    rig_save(r);
    uint64_t applied = r->applied;
    rig_full(r, true);
    fill(r, 0, 3000);
    kv_free(r->kv);
    rig_open(r);
    assert_value(r, "before", "1");
    assert_int_equal(get(r, "f0"), RGKV_NOT_FOUND);
    assert_int_equal(kv_applied_row(r->table, &row), RGKV_OK);
    assert_true(bytes_eq(buf_bytes(&row), rig_applied(r, applied)));
    buf_release(&row);
    rig_free(r);
}

/* Applies puts until no more are taken. Returns how many were. */
static unsigned fill_to_the_brim(struct rig *r)
{
    char name[16];
    for (unsigned i = 0;; i++) {
        assert_true(i < 1000000);
        snprintf(name, sizeof(name), "f%u", i);
        struct kv_request q = ask(KV_PUT, name);
        q.data = bytes_str(name);
        q.client = r->client;
        q.seq = q.floor = ++r->seq;
        q.born_us = r->time_us;
        struct kv_command c = {.kind = KV_REQUEST, .time_us = r->time_us, .request = q};
        if (kv_waits(r->kv, &c))
            rig_settle(r);
        enum rgkv_err err = kv_apply(r->kv, &c, rig_applied(r, r->applied), &r->last);
        if (err == RGKV_NO_SPACE)
            return i;
        assert_int_equal(err, RGKV_OK);
        r->applied++;
        rig_finish(r);
    }
}

static void memory_is_bounded_and_the_refused_command_is_applied_once_later(void **state)
{
    struct rig *r = rig_new(1);
    rig_full(r, true);
    unsigned n = fill_to_the_brim(r);
    assert_true(n > 2000 && n < 100000);
    assert_filled(r, n);
    rig_full(r, false);
    assert_int_equal(save(r), RGKV_OK);
    fill(r, n, n + 10);
    rig_reopen(r);
    assert_filled(r, n + 10);
    assert_true(r->applied == 2 + n + 10);
    rig_free(r);
}

static struct kv_shard_status status(struct rig *r)
{
    struct kv_shard_status s;
    kv_shard_status(r->kv, 0, &s);
    return s;
}

/* Each save records what changed of a shard that is being copied: one that fails must not count it twice. */
static void a_copy_whose_source_was_full_for_a_while_arrives_whole(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    fill(a, 0, 100);
    rig_shard(b, KV_IMPORT, 0, 2, 1);
    while (status(b).import_round == 0)
        rig_copy_piece(a, b, 2, PIECE);
    rig_full(a, true);
    fill(a, 50, 150);
    assert_int_equal(on(a, KV_DELETE, "f3"), RGKV_OK);
    assert_int_equal(save(a), RGKV_NO_SPACE);
    assert_int_equal(save(a), RGKV_NO_SPACE);
    rig_full(a, false);
    assert_int_equal(save(a), RGKV_OK);
    rig_copy(a, b, 2, PIECE);
    assert_int_equal(status(b).state, KV_PREPARED);
    assert_int_equal(rig_shard(b, KV_ACTIVATE, 0, 2, 0), RGKV_OK);
    assert_int_equal(get(b, "f3"), RGKV_NOT_FOUND);
    assert_value(b, "f149", "f149");
    assert_true(status(b).keys == status(a).keys && status(b).bytes == status(a).bytes);
    rig_free(a);
    rig_free(b);
}

/* The rows of one round must not be saved with the next one's. */
static void no_round_of_a_copy_begins_at_a_table_that_is_full(void **state)
{
    struct rig *a = rig_new(1);
    fill(a, 0, 10);
    rig_full(a, true);
    assert_int_equal(on(a, KV_DELETE, "f1"), RGKV_OK);
    struct kv_command copy = {.kind = KV_COPY, .time_us = a->time_us, .epoch = 2, .round = 1};
    assert_int_equal(kv_apply(a->kv, &copy, rig_applied(a, a->applied), &a->last), RGKV_NO_SPACE);
    assert_true(status(a).copy_epoch == 0);
    rig_full(a, false);
    assert_int_equal(rig_apply(a, &copy), RGKV_OK);
    assert_true(status(a).copy_epoch == 2);
    rig_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_applied_to_a_full_table_is_read_and_is_saved_when_there_is_space),
        cmocka_unit_test(a_restart_finds_the_state_of_the_last_save_that_succeeded),
        cmocka_unit_test(memory_is_bounded_and_the_refused_command_is_applied_once_later),
        cmocka_unit_test(a_copy_whose_source_was_full_for_a_while_arrives_whole),
        cmocka_unit_test(no_round_of_a_copy_begins_at_a_table_that_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
