/* Copy first, freeze last: a shard is served while its rows are copied, and frozen for the last piece only (P16). */
#include "tests/unit/kv_move_help.h"

static void P16_a_shard_is_served_while_it_is_copied_and_frozen_only_for_a_piece(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    unsigned served = 0, frozen = 0;
    uint64_t came = 0;
    fill(a);
    rig_shard(b, KV_IMPORT, 0, 2, 1);
    for (unsigned i = 0; status(b).state == KV_IMPORTING; i++) {
        bool serving = status(a).state == KV_SERVING;
        served += serving;
        frozen += !serving;
        char name[16];
        snprintf(name, sizeof(name), "n%u", i);
        if (i % 3 == 0)
            assert_int_equal(put(a, name, "1"), serving ? RGKV_OK : RGKV_MOVING);
        copy_piece(a, b, 2);
        assert_true(status(b).import_bytes >= came && status(b).import_bytes > 0);
        came = status(b).import_bytes;
    }
    assert_true(served > 5 && frozen <= 2);
    assert_true(rows_hash(a) == rows_hash(b));
    rig_free(a);
    rig_free(b);
}

static void P16_what_changes_and_what_goes_during_the_copy_arrives(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    fill(a);
    rig_shard(b, KV_IMPORT, 0, 2, 1);
    while (status(b).import_round == 0)
        copy_piece(a, b, 2);
    put(a, "e/f", "changed");
    put(a, "late", "new");
    on(a, KV_DELETE, "big");
    copy_rows(a, b, 2);
    rig_shard(b, KV_ACTIVATE, 0, 2, 0);
    assert_value(b, "e/f", "changed");
    assert_value(b, "late", "new");
    assert_int_equal(get(b, "big"), RGKV_NOT_FOUND);
    assert_true(status(b).keys == status(a).keys && status(b).bytes == status(a).bytes);
    rig_free(a);
    rig_free(b);
}

static void P16_a_copy_goes_on_where_it_was_when_either_side_restarts(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    unsigned pieces = 0, quiet;
    fill(a);
    rig_shard(b, KV_IMPORT, 0, 2, 1);
    copy_rows(a, b, 2);
    quiet = (unsigned)status(b).import_steps;
    rig_shard(a, KV_THAW, 0, 3, 0);
    rig_shard(b, KV_IMPORT, 0, 4, 1);
    while (status(b).state == KV_IMPORTING) {
        copy_piece(a, b, 4);
        pieces += status(b).import_steps > 0;
        rig_reopen(a);
        rig_reopen(b);
    }
    assert_true(rows_hash(a) == rows_hash(b));
    assert_true(pieces <= quiet + 2); /* nothing was copied twice */
    rig_free(a);
    rig_free(b);
}

/* A change that nobody recorded (here: made behind the machine's back) is seen in the totals. */
static void P16_a_destination_that_differs_is_never_prepared(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    struct buf after = {0}, rows = {0};
    struct kv_pulled p = {0};
    fill(a);
    rig_shard(b, KV_IMPORT, 0, 2, 1);
    while (status(b).import_round == 0)
        copy_piece(a, b, 2);
    put(a, "e/f", "changed");
    while (status(a).state != KV_FROZEN)
        advance(a, 2, status(b).import_round, cursor_copy(b, &after));
    uint64_t round = status(b).import_round;
    assert_int_equal(pull(a, 2, round, BYTES_EMPTY, 100 << 20, &rows, &p), RGKV_OK);
    assert_true(p.last && rows.len > 0);
    assert_int_equal(import_piece(b, 2, round, BYTES_EMPTY, BYTES_EMPTY, true), RGKV_OK); /* its rows are lost */
    assert_int_equal(import_end_of(b, 2, round + 1, &p), RGKV_DAMAGED);
    assert_int_equal(status(b).state, KV_IMPORTING);
    buf_release(&after);
    buf_release(&rows);
    rig_free(a);
    rig_free(b);
}

static void P16_a_record_that_began_again_is_not_taken_for_the_first(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    struct buf rows = {0};
    struct kv_pulled p;
    fill(a);
    rig_shard(b, KV_IMPORT, 0, 4, 1);
    copy_piece(a, b, 4);
    copy_piece(a, b, 4);
    rig_shard(a, KV_THAW, 0, 3, 0); /* late: of an abort before this move */
    assert_true(status(a).copy_epoch == 4);
    rig_shard(a, KV_THAW, 0, 5, 0);
    assert_true(status(a).copy_epoch == 0);
    assert_int_equal(rows_of_table(a, "\xff\xff" "c", 3), 0);
    advance(a, 6, 1, BYTES_EMPTY); /* asked by one who has something of another record */
    assert_true(status(a).copy_epoch == 0);
    assert_int_equal(pull(a, 6, 1, BYTES_EMPTY, PIECE, &rows, &p), RGKV_MOVING);
    buf_release(&rows);
    rig_free(a);
    rig_free(b);
}

static void P16_what_is_recorded_does_not_depend_on_where_batches_end(void **state)
{
    struct rig *one = rig_new(1), *many = rig_new(1);
    many->batch = 7;
    for (unsigned i = 0; i < 2; i++) {
        struct rig *r = i ? many : one;
        struct kv_command c = {.kind = KV_COPY, .epoch = 2, .round = 1};
        fill(r);
        rig_apply(r, &c);
        put(r, "x", "1");
        on(r, KV_DELETE, "e/f");
        c.round = 2;
        rig_apply(r, &c);
        on(r, KV_DELETE, "x");
        append(r, "y", bytes_str("2"));
        rig_shard(r, KV_FREEZE, 0, 2, 0);
    }
    assert_true(checksum(one) == checksum(many));
    rig_free(one);
    rig_free(many);
}

static void P16_nothing_is_collected_while_a_shard_is_copied(void **state)
{
    static uint8_t big[200000];
    struct rig *a = rig_new(1);
    append(a, "f", bytes_of(big, sizeof(big)));
    put(a, "f", "new");
    uint64_t rows = rows_of_table(a, "\0\0d", 3);
    struct kv_command c = {.kind = KV_COPY, .epoch = 2, .round = 1};
    rig_apply(a, &c);
    a->time_us += 2 * OLD_VERSION_TTL_US;
    assert_false(kv_clock_due(a->kv, a->time_us));
    clock_to(a, a->time_us);
    assert_int_equal(rows_of_table(a, "\0\0d", 3), rows);
    rig_shard(a, KV_THAW, 0, 3, 0);
    clock_to(a, a->time_us);
    assert_int_equal(rows_of_table(a, "\0\0d", 3), 0);
    rig_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P16_a_shard_is_served_while_it_is_copied_and_frozen_only_for_a_piece),
        cmocka_unit_test(P16_what_changes_and_what_goes_during_the_copy_arrives),
        cmocka_unit_test(P16_a_copy_goes_on_where_it_was_when_either_side_restarts),
        cmocka_unit_test(P16_a_destination_that_differs_is_never_prepared),
        cmocka_unit_test(P16_a_record_that_began_again_is_not_taken_for_the_first),
        cmocka_unit_test(P16_what_is_recorded_does_not_depend_on_where_batches_end),
        cmocka_unit_test(P16_nothing_is_collected_while_a_shard_is_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
