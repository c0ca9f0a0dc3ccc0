/* The checker of histories must reject what is wrong: it is only worth what it refuses. */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "tests/sim/history.h"

static void add(struct history *h, enum history_kind kind, enum history_outcome outcome, const char *key, const char *value,
                uint64_t begin, uint64_t end)
{
    unsigned row = history_begin(h, kind, key, kind == HISTORY_GET ? NULL : value, begin);
    if (outcome != HISTORY_RUNNING)
        history_end(h, row, outcome, value, end);
}

#define APPEND(h, v, b, e) add(h, HISTORY_APPEND, HISTORY_DONE, "l", v, b, e)
#define READ(h, v, b, e) add(h, HISTORY_GET, HISTORY_DONE, "l", v, b, e)
#define PUT(h, v, b, e) add(h, HISTORY_PUT, HISTORY_DONE, "r", v, b, e)
#define GET(h, v, b, e) add(h, HISTORY_GET, HISTORY_DONE, "r", v, b, e)

static void check(struct history *h, bool fine)
{
    struct buf why = {0};
    bool is = history_check(h, &why);
    assert_int_equal(is, fine);
    assert_int_equal(why.len == 0, fine);
    buf_release(&why);
    history_release(h);
}

static void appends_in_order_are_linearizable(void **state)
{
    struct history h = {0};
    APPEND(&h, "a,", 1, 2);
    READ(&h, "a,", 3, 4);
    APPEND(&h, "b,", 5, 6);
    READ(&h, "a,b,", 7, 8);
    check(&h, true);
}

static void overlapping_appends_may_take_either_order(void **state)
{
    struct history h = {0};
    APPEND(&h, "a,", 1, 10);
    APPEND(&h, "b,", 2, 9);
    READ(&h, "b,a,", 11, 12);
    check(&h, true);
}

static void an_append_that_is_there_twice_is_refused(void **state)
{
    struct history h = {0};
    APPEND(&h, "a,", 1, 2);
    READ(&h, "a,a,", 3, 4);
    check(&h, false);
}

static void a_lost_append_is_refused(void **state)
{
    struct history h = {0};
    APPEND(&h, "a,", 1, 2);
    READ(&h, "", 3, 4);
    check(&h, false);
}

static void a_lost_append_is_refused_even_if_a_longer_read_began_before_it(void **state)
{
    struct history h = {0};
    APPEND(&h, "a,", 1, 2);
    READ(&h, "a,", 3, 20);
    APPEND(&h, "b,", 4, 5);
    READ(&h, "a,", 6, 7);
    check(&h, false);
}

static void a_stale_read_is_refused(void **state)
{
    struct history h = {0};
    APPEND(&h, "a,", 1, 2);
    APPEND(&h, "b,", 3, 4);
    READ(&h, "a,b,", 5, 6);
    READ(&h, "a,", 7, 8);
    check(&h, false);
}

static void reads_of_two_orders_are_refused(void **state)
{
    struct history h = {0};
    APPEND(&h, "a,", 1, 10);
    APPEND(&h, "b,", 1, 10);
    READ(&h, "a,", 1, 10);
    READ(&h, "b,a,", 11, 12);
    check(&h, false);
}

static void appends_out_of_their_real_order_are_refused(void **state)
{
    struct history h = {0};
    APPEND(&h, "a,", 1, 2);
    APPEND(&h, "b,", 3, 4);
    READ(&h, "b,a,", 5, 6);
    check(&h, false);
}

static void B6_an_append_said_not_to_be_done_must_not_be_seen(void **state)
{
    struct history h = {0};
    add(&h, HISTORY_APPEND, HISTORY_NOT_DONE, "l", "a,", 1, 2);
    READ(&h, "a,", 3, 4);
    check(&h, false);
}

static void an_unknown_append_may_be_seen_or_not(void **state)
{
    struct history h = {0};
    add(&h, HISTORY_APPEND, HISTORY_UNKNOWN, "l", "a,", 1, 2);
    add(&h, HISTORY_APPEND, HISTORY_UNKNOWN, "l", "b,", 1, 2);
    READ(&h, "", 3, 4);
    READ(&h, "b,", 5, 6);
    check(&h, true);
}

static void a_value_from_nowhere_is_refused(void **state)
{
    struct history h = {0};
    APPEND(&h, "a,", 1, 2);
    READ(&h, "a,x,", 3, 4);
    check(&h, false);
}

static void a_register_reads_the_last_put(void **state)
{
    struct history h = {0};
    GET(&h, "", 0, 1);
    PUT(&h, "1", 2, 3);
    PUT(&h, "2", 4, 10);
    GET(&h, "1", 5, 6);
    GET(&h, "2", 7, 8);
    check(&h, true);
}

static void a_register_that_goes_back_is_refused(void **state)
{
    struct history h = {0};
    PUT(&h, "1", 2, 3);
    PUT(&h, "2", 4, 10);
    GET(&h, "2", 5, 6);
    GET(&h, "1", 7, 8);
    check(&h, false);
}

static void a_put_that_ended_must_be_read(void **state)
{
    struct history h = {0};
    PUT(&h, "1", 2, 3);
    GET(&h, "", 4, 5);
    check(&h, false);
}

static void an_unknown_put_may_take_effect_later(void **state)
{
    struct history h = {0};
    add(&h, HISTORY_PUT, HISTORY_UNKNOWN, "r", "1", 1, 2);
    PUT(&h, "2", 3, 4);
    GET(&h, "2", 5, 6);
    GET(&h, "1", 7, 8);
    check(&h, true);
}

static void appends_to_a_value_that_is_put_are_decided_too(void **state)
{
    struct history h = {0};
    PUT(&h, "1,", 2, 3);
    add(&h, HISTORY_APPEND, HISTORY_DONE, "r", "a,", 4, 5);
    GET(&h, "1,a,", 6, 7);
    PUT(&h, "2,", 8, 20);
    add(&h, HISTORY_APPEND, HISTORY_DONE, "r", "b,", 9, 10);
    GET(&h, "2,b,", 11, 12);
    check(&h, true);
}

static void an_append_that_a_later_put_does_not_explain_away_is_missed(void **state)
{
    struct history h = {0};
    PUT(&h, "1,", 2, 3);
    add(&h, HISTORY_APPEND, HISTORY_DONE, "r", "a,", 4, 5);
    PUT(&h, "2,", 6, 20);
    GET(&h, "1,", 7, 8);
    check(&h, false);
}

static void an_append_that_is_executed_twice_around_a_put_is_refused(void **state)
{
    struct history h = {0};
    PUT(&h, "1,", 2, 3);
    add(&h, HISTORY_APPEND, HISTORY_DONE, "r", "a,", 4, 30);
    GET(&h, "1,a,", 6, 7);
    PUT(&h, "2,", 8, 9);
    GET(&h, "2,a,", 10, 11);
    check(&h, false);
}

static void a_long_history_of_many_clients_is_decided(void **state)
{
    struct history h = {0};
    char value[32];
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(value, sizeof(value), "%u,", i);
        PUT(&h, value, 10 * i, 10 * i + 95);
        GET(&h, value, 10 * i + 9, 10 * i + 19);
    }
    check(&h, true);
}

static void one_stale_read_in_a_long_history_is_found(void **state)
{
    struct history h = {0};
    char value[32];
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(value, sizeof(value), "%u,", i);
        PUT(&h, value, 10 * i, 10 * i + 5);
        snprintf(value, sizeof(value), "%u,", i == 4321 ? i - 1 : i);
        GET(&h, value, 10 * i + 6, 10 * i + 9);
    }
    check(&h, false);
}

static void what_cannot_be_decided_in_bounds_fails(void **state)
{
    struct history h = {0};
    char value[32];
    for (unsigned i = 0; i < 40; i++) {
        snprintf(value, sizeof(value), "%u,", i);
        add(&h, HISTORY_APPEND, HISTORY_UNKNOWN, "r", value, 1, 2);
    }
    add(&h, HISTORY_PUT, HISTORY_UNKNOWN, "r", "x", 1, 2);
    GET(&h, "y", 3, 4);
    struct buf why = {0};
    assert_false(history_check(&h, &why));
    assert_true(bytes_eq(buf_bytes(&why), bytes_str("r: could not be decided (42 operations)")));
    buf_release(&why);
    history_release(&h);
}

/* ---- sets, slots, renames ---- */

#define ADD(h, v, b, e) add(h, HISTORY_ADD, HISTORY_DONE, "d", v, b, e)

static void list(struct history *h, const char *names, uint64_t begin, uint64_t end)
{
    history_end(h, history_begin(h, HISTORY_LIST, "d", NULL, begin), HISTORY_DONE, names, end);
}

static void lists_that_grow_are_linearizable(void **state)
{
    struct history h = {0};
    ADD(&h, "a", 1, 10);
    list(&h, "a,", 2, 3);
    ADD(&h, "b", 4, 5);
    list(&h, "a,b,", 6, 7);
    check(&h, true);
}

static void a_list_without_what_was_added_before_is_refused(void **state)
{
    struct history h = {0};
    ADD(&h, "a", 1, 2);
    list(&h, "", 3, 4);
    check(&h, false);
}

static void two_lists_that_see_different_orders_are_refused(void **state)
{
    struct history h = {0};
    ADD(&h, "a", 1, 20);
    ADD(&h, "b", 1, 20);
    list(&h, "a,", 2, 10);
    list(&h, "b,", 3, 11);
    check(&h, false);
}

static void a_list_that_shrinks_is_refused(void **state)
{
    struct history h = {0};
    ADD(&h, "a", 1, 20);
    list(&h, "a,", 2, 3);
    list(&h, "", 4, 5);
    check(&h, false);
}

static void a_list_without_what_was_added_before_what_it_holds_is_refused(void **state)
{
    struct history h = {0};
    ADD(&h, "a", 2, 3);
    ADD(&h, "b", 4, 9);
    list(&h, "b,", 1, 10);
    check(&h, false);
}

static void rename_once(struct history *h, const char *from, const char *to, bool missed, uint64_t begin, uint64_t end)
{
    unsigned row = history_begin(h, HISTORY_MOVE, "m", to, begin);
    history_expect(h, row, from);
    if (missed)
        history_missed(h, row);
    history_end(h, row, HISTORY_DONE, NULL, end);
}

static void renames_follow_the_name(void **state)
{
    struct history h = {0};
    add(&h, HISTORY_PUT, HISTORY_DONE, "m", "x", 1, 2);
    rename_once(&h, "x", "y", false, 3, 10);
    rename_once(&h, "x", "z", true, 4, 11);
    add(&h, HISTORY_GET, HISTORY_DONE, "m", "y", 12, 13);
    check(&h, true);
}

static void two_renames_of_one_name_are_refused(void **state)
{
    struct history h = {0};
    add(&h, HISTORY_PUT, HISTORY_DONE, "m", "x", 1, 2);
    rename_once(&h, "x", "y", false, 3, 10);
    rename_once(&h, "x", "z", false, 4, 11);
    check(&h, false);
}

static void a_rename_that_missed_what_was_there_is_refused(void **state)
{
    struct history h = {0};
    add(&h, HISTORY_PUT, HISTORY_DONE, "m", "x", 1, 2);
    rename_once(&h, "x", "y", true, 3, 4);
    check(&h, false);
}

#define PATCH(h, v, b, e) add(h, HISTORY_PATCH, HISTORY_DONE, "p", v, b, e)
#define READ_SLOTS(h, v, b, e) add(h, HISTORY_GET, HISTORY_DONE, "p", v, b, e)

static void patches_of_all_places_are_comparable(void **state)
{
    struct history h = {0};
    PATCH(&h, "0:1", 1, 10);
    PATCH(&h, "1:1", 1, 10);
    READ_SLOTS(&h, "0000001,0000000,", 2, 3);
    READ_SLOTS(&h, "0000001,0000001,", 4, 5);
    check(&h, true);
}

static void reads_that_see_two_patches_in_different_orders_are_refused(void **state)
{
    struct history h = {0};
    PATCH(&h, "0:1", 1, 10);
    PATCH(&h, "1:1", 1, 10);
    READ_SLOTS(&h, "0000001,0000000,", 2, 9);
    READ_SLOTS(&h, "0000000,0000001,", 3, 8);
    check(&h, false);
}

static void a_lost_patch_and_one_that_nobody_wrote_are_refused(void **state)
{
    struct history h = {0};
    PATCH(&h, "0:1", 1, 2);
    READ_SLOTS(&h, "0000000,", 3, 4);
    check(&h, false);
    h = (struct history){0};
    PATCH(&h, "0:1", 1, 2);
    READ_SLOTS(&h, "0000002,", 3, 4);
    check(&h, false);
}

static void a_read_that_lacks_the_place_of_a_patch_is_refused(void **state)
{
    struct history h = {0};
    PATCH(&h, "0:0", 1, 2);
    READ_SLOTS(&h, "", 3, 4);
    check(&h, false);
    h = (struct history){0};
    PATCH(&h, "1:1", 1, 2);
    READ_SLOTS(&h, "0000000,", 3, 4);
    check(&h, false);
}

static void a_read_of_fewer_places_than_an_earlier_one_saw_is_refused(void **state)
{
    struct history h = {0};
    PATCH(&h, "0:0", 1, 2);
    READ_SLOTS(&h, "0000000,0000000,", 3, 4);
    READ_SLOTS(&h, "0000000,", 5, 6);
    check(&h, false);
}

static void places_that_come_while_a_read_runs_may_be_in_it_or_not(void **state)
{
    struct history h = {0};
    PATCH(&h, "0:1", 1, 10);
    READ_SLOTS(&h, "", 2, 3);
    READ_SLOTS(&h, "0000001,", 4, 5);
    check(&h, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_in_order_are_linearizable),
        cmocka_unit_test(overlapping_appends_may_take_either_order),
        cmocka_unit_test(an_append_that_is_there_twice_is_refused),
        cmocka_unit_test(a_lost_append_is_refused),
        cmocka_unit_test(a_lost_append_is_refused_even_if_a_longer_read_began_before_it),
        cmocka_unit_test(a_stale_read_is_refused),
        cmocka_unit_test(reads_of_two_orders_are_refused),
        cmocka_unit_test(appends_out_of_their_real_order_are_refused),
        cmocka_unit_test(B6_an_append_said_not_to_be_done_must_not_be_seen),
        cmocka_unit_test(an_unknown_append_may_be_seen_or_not),
        cmocka_unit_test(a_value_from_nowhere_is_refused),
        cmocka_unit_test(a_register_reads_the_last_put),
        cmocka_unit_test(a_register_that_goes_back_is_refused),
        cmocka_unit_test(a_put_that_ended_must_be_read),
        cmocka_unit_test(an_unknown_put_may_take_effect_later),
        cmocka_unit_test(appends_to_a_value_that_is_put_are_decided_too),
        cmocka_unit_test(an_append_that_a_later_put_does_not_explain_away_is_missed),
        cmocka_unit_test(an_append_that_is_executed_twice_around_a_put_is_refused),
        cmocka_unit_test(a_long_history_of_many_clients_is_decided),
        cmocka_unit_test(one_stale_read_in_a_long_history_is_found),
        cmocka_unit_test(what_cannot_be_decided_in_bounds_fails),
        cmocka_unit_test(lists_that_grow_are_linearizable),
        cmocka_unit_test(a_list_without_what_was_added_before_is_refused),
        cmocka_unit_test(two_lists_that_see_different_orders_are_refused),
        cmocka_unit_test(a_list_that_shrinks_is_refused),
        cmocka_unit_test(a_list_without_what_was_added_before_what_it_holds_is_refused),
        cmocka_unit_test(renames_follow_the_name),
        cmocka_unit_test(two_renames_of_one_name_are_refused),
        cmocka_unit_test(a_rename_that_missed_what_was_there_is_refused),
        cmocka_unit_test(patches_of_all_places_are_comparable),
        cmocka_unit_test(reads_that_see_two_patches_in_different_orders_are_refused),
        cmocka_unit_test(a_lost_patch_and_one_that_nobody_wrote_are_refused),
        cmocka_unit_test(a_read_that_lacks_the_place_of_a_patch_is_refused),
        cmocka_unit_test(a_read_of_fewer_places_than_an_earlier_one_saw_is_refused),
        cmocka_unit_test(places_that_come_while_a_read_runs_may_be_in_it_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
