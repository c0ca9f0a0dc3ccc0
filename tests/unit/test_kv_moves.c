/* Shards come and go: the epoch is the only fence, a shard's rows travel whole and once, nothing comes back (P4, P9, P10,
 * P13, P14, P18, P19, B10, B34). */
#include "tests/unit/kv_move_help.h"

static void a_moved_shard_holds_the_same_rows_revision_and_counts(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    fill(a);
    uint64_t hash = rows_hash(a);
    struct kv_shard_status before = status(a);
    move(a, b, 2);
    struct kv_shard_status after = status(b);
    assert_true(rows_hash(b) == hash);
    assert_true(after.revision == before.revision && after.keys == before.keys && after.bytes == before.bytes);
    assert_int_equal(after.state, KV_SERVING);
    assert_true(after.epoch == 2);
    assert_value(b, "e/f", "small");
    assert_int_equal(status(a).state, KV_NONE);
    assert_int_equal(rows_of_table(a, "\0\0", 2), 0);
    assert_int_equal(get(a, "e/f"), RGKV_WRONG_GROUP);
    rig_free(a);
    rig_free(b);
}

static void B10_sessions_move_with_their_shard(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    append(a, "f", bytes_str("once"));
    move(a, b, 2);
    b->seq = a->seq - 1; /* the same client asks again, at the new group */
    assert_int_equal(append(b, "f", bytes_str("once")), RGKV_OK);
    assert_true(b->last.duplicate);
    assert_value(b, "f", "once");
    rig_free(a);
    rig_free(b);
}

/* The first group remembers the client from before: what it remembers is not the shard's session any more. */
static void B10_sessions_come_back_as_they_left_the_other_group(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    append(a, "f", bytes_str("one "));
    move(a, b, 2);
    b->seq = a->seq;
    append(b, "f", bytes_str("two"));
    assert_false(b->last.duplicate);
    move(b, a, 3);
    assert_int_equal(append(a, "f", bytes_str("two")), RGKV_OK);
    assert_true(a->last.duplicate);
    assert_value(a, "f", "one two");
    rig_free(a);
    rig_free(b);
}

static void B34_a_deleted_key_does_not_come_back_with_the_shard(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    put(a, "f", "1");
    assert_int_equal(rig_shard(b, KV_IMPORT, 0, 2, 1), RGKV_OK);
    assert_int_equal(rig_shard(a, KV_FREEZE, 0, 2, 0), RGKV_OK);
    copy_rows(a, b, 2); /* prepared at b, but given up */
    assert_int_equal(rig_shard(a, KV_THAW, 0, 3, 0), RGKV_OK);
    assert_int_equal(on(a, KV_DELETE, "f"), RGKV_OK);
    move(a, b, 4);
    assert_int_equal(get(b, "f"), RGKV_NOT_FOUND);
    rig_free(a);
    rig_free(b);
}

static void P18_a_shards_time_goes_on_where_it_froze(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    a->time_us = 5000 * SECOND;
    put(a, "f", "1");
    uint64_t frozen = status(a).time_us;
    assert_true(frozen > 1000 * SECOND);
    rig_shard(a, KV_FREEZE, 0, 2, 0);
    assert_true(status(a).time_us == frozen);
    a->time_us += 100 * SECOND;
    rig_shard(a, KV_CLOCK, 0, 0, 0);
    assert_true(status(a).time_us == frozen);
    b->time_us = 3 * SECOND;
    assert_int_equal(rig_shard(b, KV_IMPORT, 0, 2, 1), RGKV_OK);
    copy_rows(a, b, 2);
    b->time_us = 9 * SECOND;
    assert_int_equal(rig_shard(b, KV_ACTIVATE, 0, 2, 0), RGKV_OK);
    assert_true(status(b).time_us == frozen);
    b->time_us = 10 * SECOND;
    put(b, "f", "2");
    assert_true(status(b).time_us == frozen + SECOND);
    assert_true(b->last.reply.shard_time_us == frozen + SECOND);
    rig_shard(a, KV_THAW, 0, 3, 0);
    assert_true(status(a).time_us == frozen);
    rig_free(a);
    rig_free(b);
}

static void P9_a_frozen_shard_takes_nothing_and_collects_nothing(void **state)
{
    struct rig *a = rig_new(1);
    fill(a);
    rig_shard(a, KV_FREEZE, 0, 2, 0);
    uint64_t hash = rows_hash(a);
    a->time_us += 10 * SESSION_TTL_US;
    assert_false(kv_clock_due(a->kv, a->time_us));
    rig_shard(a, KV_CLOCK, 0, 0, 0);
    assert_int_equal(put(a, "x", "y"), RGKV_MOVING);
    assert_int_equal(get(a, "e/f"), RGKV_MOVING);
    assert_true(rows_hash(a) == hash);
    rig_free(a);
}

static void P9_rows_are_given_only_when_frozen_at_that_epoch(void **state)
{
    struct rig *a = rig_new(1);
    struct buf out = {0};
    struct kv_pulled p;
    fill(a);
    assert_int_equal(pull(a, 2, 0, BYTES_EMPTY, PIECE, &out, &p), RGKV_MOVING);
    rig_shard(a, KV_FREEZE, 0, 3, 0);
    assert_int_equal(pull(a, 2, 0, BYTES_EMPTY, PIECE, &out, &p), RGKV_WRONG_GROUP);
    assert_int_equal(pull(a, 4, 0, BYTES_EMPTY, PIECE, &out, &p), RGKV_MOVING);
    assert_int_equal(kv_pull(a->kv, &(struct kv_pull){.shard = 1, .epoch = 3, .bytes_max = PIECE}, &out, &p), RGKV_INVALID);
    assert_int_equal(pull(a, 3, 0, bytes_str("not a row"), PIECE, &out, &p), RGKV_INVALID);
    assert_int_equal(out.len, 0);
    assert_int_equal(pull(a, 3, 0, BYTES_EMPTY, PIECE, &out, &p), RGKV_OK);
    assert_true(out.len > 0 && !p.done);
    buf_release(&out);
    rig_free(a);
}

static void P9_totals_are_right_whoever_counted_the_beginning(void **state)
{
    struct rig *a = rig_new(1);
    struct buf rows = {0};
    struct kv_pulled whole, p = {0};
    fill(a);
    rig_shard(a, KV_FREEZE, 0, 2, 0);
    pull_all(a, 2, &rows, &whole);
    rig_shard(a, KV_THAW, 0, 3, 0);
    struct kv_shard_status before = status(a);
    advance(a, 4, 0, BYTES_EMPTY);
    assert_true(status(a).copy_epoch == 4);
    put(a, "more", "rows");
    advance(a, 4, 0, BYTES_EMPTY); /* counts, and the sum is not logged: its leader is gone */
    rig_reopen(a);
    on(a, KV_DELETE, "more");
    put(a, "e/f", "other");
    rig_shard(a, KV_FREEZE, 0, 4, 0);
    buf_clear(&rows);
    pull_all(a, 4, &rows, &p);
    assert_true(before.revision < p.revision);
    struct rig *b = rig_new_blank(1);
    assert_int_equal(rig_shard(b, KV_IMPORT, 0, 4, 1), RGKV_OK);
    assert_int_equal(import_rows(b, 4, BYTES_EMPTY, buf_bytes(&rows)), RGKV_OK);
    assert_true(status(b).import_rows == p.count && status(b).import_hash == p.hash);
    assert_true(p.hash != whole.hash);
    buf_release(&rows);
    rig_free(a);
    rig_free(b);
}

static void P9_a_piece_applies_only_at_its_place_and_epoch(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    struct buf rows = {0}, more = {0}, after = {0};
    struct kv_pulled p;
    fill(a);
    rig_shard(a, KV_FREEZE, 0, 2, 0);
    rig_shard(b, KV_IMPORT, 0, 2, 1);
    assert_int_equal(pull(a, 2, 0, BYTES_EMPTY, PIECE, &rows, &p), RGKV_OK);
    assert_int_equal(import_rows(b, 3, BYTES_EMPTY, buf_bytes(&rows)), RGKV_STALE);
    assert_int_equal(import_rows(b, 1, BYTES_EMPTY, buf_bytes(&rows)), RGKV_STALE);
    assert_int_equal(import_rows(b, 2, bytes_str("elsewhere"), buf_bytes(&rows)), RGKV_STALE);
    assert_int_equal(import_rows(b, 2, BYTES_EMPTY, buf_bytes(&rows)), RGKV_OK);
    uint64_t count = status(b).import_rows;
    assert_int_equal(import_rows(b, 2, BYTES_EMPTY, buf_bytes(&rows)), RGKV_STALE); /* the same again */
    assert_true(status(b).import_rows == count);
    rig_reopen(b); /* the cursor is in the table */
    assert_true(status(b).import_rows == count);
    assert_int_equal(pull(a, 2, 0, cursor_copy(b, &after), PIECE, &more, &p), RGKV_OK);
    assert_int_equal(import_rows(b, 2, buf_bytes(&after), buf_bytes(&more)), RGKV_OK);
    copy_rows(a, b, 2);
    buf_release(&rows);
    buf_release(&more);
    buf_release(&after);
    rig_free(a);
    rig_free(b);
}

static void P9_an_end_whose_count_or_hash_differs_is_damage(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    struct buf rows = {0};
    struct kv_pulled p;
    fill(a);
    rig_shard(a, KV_FREEZE, 0, 2, 0);
    rig_shard(b, KV_IMPORT, 0, 2, 1);
    pull_all(a, 2, &rows, &p);
    assert_int_equal(import_end_of(b, 2, 0, &p), RGKV_DAMAGED); /* rows are missing */
    assert_int_equal(import_rows(b, 2, BYTES_EMPTY, buf_bytes(&rows)), RGKV_OK);
    struct kv_pulled other = p;
    other.hash++;
    assert_int_equal(import_end(b, 2, &other), RGKV_DAMAGED);
    other = p;
    other.count++;
    assert_int_equal(import_end(b, 2, &other), RGKV_DAMAGED);
    assert_int_equal(import_end(b, 3, &p), RGKV_STALE);
    assert_int_equal(status(b).state, KV_IMPORTING);
    assert_int_equal(import_end(b, 2, &p), RGKV_OK);
    assert_int_equal(status(b).state, KV_PREPARED);
    assert_int_equal(import_end(b, 2, &p), RGKV_STALE);
    buf_release(&rows);
    rig_free(a);
    rig_free(b);
}

static void rows_that_are_malformed_or_another_shards_change_nothing(void **state)
{
    struct rig *a = rig_new(2), *b = rig_new_blank(2);
    struct buf rows = {0};
    struct kv_pulled p;
    char name[2] = "a";
    while (kv_key_shard(bytes_str(name), 2) != 0)
        name[0]++;
    put(a, name, "value");
    rig_shard(a, KV_FREEZE, 0, 2, 0);
    rig_shard(a, KV_FREEZE, 1, 2, 0);
    rig_shard(b, KV_IMPORT, 0, 2, 1);
    rig_shard(b, KV_IMPORT, 1, 2, 1);
    pull_all(a, 2, &rows, &p);
    uint64_t before = checksum(b);
    struct kv_command foreign = {.kind = KV_CHUNK, .shard = 1, .epoch = 2, .rows = buf_bytes(&rows)};
    assert_int_equal(rig_apply(b, &foreign), RGKV_INVALID);
    assert_true(before == checksum(b));
    unsigned taken = 0;
    for (size_t len = 1; len < rows.len; len++) {
        assert_int_equal(rig_shard(b, KV_IMPORT, 0, 2 + len, 1), RGKV_OK);
        before = checksum(b);
        enum rgkv_err err = import_rows(b, 2 + len, BYTES_EMPTY, bytes_first(buf_bytes(&rows), len));
        assert_true(err == RGKV_OK || (err == RGKV_INVALID && before == checksum(b)));
        taken += err == RGKV_OK;
    }
    assert_int_equal(taken, p.count - 1); /* the cuts between two rows */
    rig_free(a);
    rig_free(b);
    buf_release(&rows);
}

static void a_byte_changed_on_the_way_is_refused_or_found_at_the_end(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    struct buf rows = {0};
    struct kv_pulled p;
    put(a, "f", "value");
    rig_shard(a, KV_FREEZE, 0, 2, 0);
    pull_all(a, 2, &rows, &p);
    for (size_t i = 0; i < rows.len; i++) {
        assert_int_equal(rig_shard(b, KV_IMPORT, 0, 2 + i, 1), RGKV_OK);
        rows.data[i] ^= 0x41;
        enum rgkv_err err = import_rows(b, 2 + i, BYTES_EMPTY, buf_bytes(&rows));
        assert_true(err == RGKV_INVALID || (err == RGKV_OK && import_end(b, 2 + i, &p) == RGKV_DAMAGED));
        rows.data[i] ^= 0x41;
    }
    buf_release(&rows);
    rig_free(a);
    rig_free(b);
}

static void P4_activate_takes_exactly_the_imports_epoch(void **state)
{
    struct rig *b = rig_new_blank(1);
    assert_int_equal(rig_shard(b, KV_ACTIVATE, 0, 1, 0), RGKV_STALE);
    assert_int_equal(rig_shard(b, KV_IMPORT, 0, 5, 0), RGKV_OK);
    assert_int_equal(rig_shard(b, KV_ACTIVATE, 0, 4, 0), RGKV_STALE);
    assert_int_equal(rig_shard(b, KV_ACTIVATE, 0, 6, 0), RGKV_STALE);
    assert_int_equal(rig_shard(b, KV_ACTIVATE, 0, 5, 0), RGKV_OK);
    rig_free(b);
}

static void P4_an_import_is_dropped_only_on_a_higher_epoch_and_a_frozen_shard_at_its_own(void **state)
{
    struct rig *b = rig_new_blank(1);
    rig_shard(b, KV_IMPORT, 0, 5, 0);
    assert_int_equal(rig_shard(b, KV_DROP, 0, 5, 0), RGKV_STALE);
    assert_int_equal(rig_shard(b, KV_DROP, 0, 6, 0), RGKV_OK);
    assert_true(status(b).state == KV_NONE && status(b).epoch == 6);
    assert_int_equal(rig_shard(b, KV_IMPORT, 0, 6, 0), RGKV_STALE);
    assert_int_equal(rig_shard(b, KV_IMPORT, 0, 7, 0), RGKV_OK);
    assert_int_equal(rig_shard(b, KV_ACTIVATE, 0, 7, 0), RGKV_OK);
    assert_int_equal(rig_shard(b, KV_DROP, 0, 9, 0), RGKV_STALE); /* serving: never */
    assert_int_equal(rig_shard(b, KV_FREEZE, 0, 8, 0), RGKV_OK);
    assert_int_equal(rig_shard(b, KV_DROP, 0, 7, 0), RGKV_STALE);
    assert_int_equal(rig_shard(b, KV_DROP, 0, 8, 0), RGKV_OK);
    rig_free(b);
}

static void P14_thaw_raises_the_epoch_even_of_a_serving_shard(void **state)
{
    struct rig *a = rig_new(1);
    assert_int_equal(rig_shard(a, KV_THAW, 0, 3, 0), RGKV_OK);
    assert_int_equal(rig_shard(a, KV_FREEZE, 0, 2, 0), RGKV_STALE); /* the late freeze of an aborted move */
    assert_int_equal(rig_shard(a, KV_FREEZE, 0, 3, 0), RGKV_STALE);
    assert_int_equal(status(a).state, KV_SERVING);
    assert_int_equal(rig_shard(a, KV_FREEZE, 0, 4, 0), RGKV_OK);
    assert_int_equal(rig_shard(a, KV_THAW, 0, 4, 0), RGKV_STALE);
    assert_int_equal(rig_shard(a, KV_FREEZE, 0, 6, 0), RGKV_OK); /* frozen again, for another move */
    assert_int_equal(rig_shard(a, KV_THAW, 0, 7, 0), RGKV_OK);
    assert_int_equal(put(a, "f", "1"), RGKV_OK);
    rig_free(a);
}

/* Rows that say what a shard is are state like any other: the simulator compares replicas by this. */
static void a_checksum_covers_what_a_shard_says_of_itself(void **state)
{
    struct rig *a = rig_new(1);
    uint64_t before = checksum(a);
    assert_int_equal(rig_shard(a, KV_THAW, 0, 5, 0), RGKV_OK);
    assert_true(checksum(a) != before);
    before = checksum(a);
    rig_save(a);
    rig_reopen(a);
    assert_true(checksum(a) == before);
    rig_free(a);
}

static void P10_an_import_clears_what_a_pending_drop_left(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    put(a, "old", "1");
    rig_shard(b, KV_IMPORT, 0, 2, 1);
    rig_shard(a, KV_FREEZE, 0, 2, 0);
    copy_rows(a, b, 2);
    rig_shard(b, KV_ACTIVATE, 0, 2, 0); /* a was not told to drop yet */
    b->client = 8;
    assert_int_equal(on(b, KV_DELETE, "old"), RGKV_OK);
    rig_shard(a, KV_IMPORT, 0, 3, 2);
    assert_int_equal(rows_of_table(a, "\0\0", 2), 0);
    assert_int_equal(rig_shard(a, KV_DROP, 0, 2, 0), RGKV_STALE); /* and now it is late */
    assert_int_equal(status(a).state, KV_IMPORTING);
    rig_shard(b, KV_FREEZE, 0, 3, 0);
    copy_rows(b, a, 3);
    rig_shard(a, KV_ACTIVATE, 0, 3, 0);
    assert_int_equal(get(a, "old"), RGKV_NOT_FOUND);
    rig_free(a);
    rig_free(b);
}

static void P10_clearing_and_filling_in_one_batch_keeps_only_the_new(void **state)
{
    struct rig *b = rig_new(1);
    put(b, "old", "1");
    on(b, KV_MKDIR, "d");
    put(b, "d/old", "1");
    rig_shard(b, KV_FREEZE, 0, 2, 0);
    b->batch = 100;
    rig_shard(b, KV_IMPORT, 0, 3, 0);
    rig_shard(b, KV_ACTIVATE, 0, 3, 0);
    assert_int_equal(on(b, KV_DELETE, "old"), RGKV_NOT_FOUND);
    on(b, KV_MKDIR, "d");
    assert_int_equal(on(b, KV_RMDIR, "d"), RGKV_OK);
    on(b, KV_MKDIR, "e");
    assert_int_equal(rows_of_table(b, "\0\0m", 3), 1);
    assert_int_equal(get(b, "old"), RGKV_NOT_FOUND);
    rig_free(b);
}

static void P13_a_shard_that_was_given_up_begins_above_its_old_revisions(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    put(a, "f", "1");
    assert_true(status(a).revision == 1);
    rig_shard(b, KV_IMPORT, 0, 5, 0);
    rig_shard(b, KV_ACTIVATE, 0, 5, 0);
    put(b, "f", "1");
    assert_true(status(b).revision > 1000000);
    rig_free(a);
    rig_free(b);
}

static void P19_a_retry_from_before_a_shard_was_given_up_is_not_executed_again(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    clock_to(a, a->time_us + 10 * SESSION_TTL_US); /* an old group, and one that is new */
    assert_int_equal(append(a, "log", bytes_str("line")), RGKV_OK);
    rig_shard(b, KV_IMPORT, 0, 5, 0);
    rig_shard(b, KV_ACTIVATE, 0, 5, 0);
    struct kv_command retry = {.kind = KV_REQUEST, .request = ask(KV_APPEND, "log")};
    retry.request.client = a->client;
    retry.request.seq = retry.request.floor = a->seq;
    retry.request.born_us = a->time_us;
    retry.request.data = bytes_str("line");
    assert_int_equal(rig_apply(b, &retry), RGKV_SESSION_EXPIRED);
    assert_int_equal(get(b, "log"), RGKV_NOT_FOUND);
    rig_free(a);
    rig_free(b);
}

static void pinned_readers_go_on_at_the_new_group(void **state)
{
    static uint8_t big[100000];
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    memset(big, 'x', sizeof(big));
    append(a, "f", bytes_of(big, sizeof(big)));
    uint64_t version = version_of(a, "f");
    put(a, "f", "new");
    move(a, b, 2);
    assert_int_equal(get_at(b, "f", version, 50000, 10), RGKV_OK);
    assert_true(bytes_eq(b->reply.data, bytes_str("xxxxxxxxxx")));
    clock_to(b, b->time_us + OLD_VERSION_TTL_US);
    assert_int_equal(get_at(b, "f", version, 50000, 10), RGKV_STALE);
    assert_int_equal(rows_of_table(b, "\0\0d", 3), 0);
    rig_free(a);
    rig_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_moved_shard_holds_the_same_rows_revision_and_counts),
        cmocka_unit_test(B10_sessions_move_with_their_shard),
        cmocka_unit_test(B10_sessions_come_back_as_they_left_the_other_group),
        cmocka_unit_test(B34_a_deleted_key_does_not_come_back_with_the_shard),
        cmocka_unit_test(P18_a_shards_time_goes_on_where_it_froze),
        cmocka_unit_test(P9_a_frozen_shard_takes_nothing_and_collects_nothing),
        cmocka_unit_test(P9_rows_are_given_only_when_frozen_at_that_epoch),
        cmocka_unit_test(P9_totals_are_right_whoever_counted_the_beginning),
        cmocka_unit_test(P9_a_piece_applies_only_at_its_place_and_epoch),
        cmocka_unit_test(P9_an_end_whose_count_or_hash_differs_is_damage),
        cmocka_unit_test(rows_that_are_malformed_or_another_shards_change_nothing),
        cmocka_unit_test(a_byte_changed_on_the_way_is_refused_or_found_at_the_end),
        cmocka_unit_test(P4_activate_takes_exactly_the_imports_epoch),
        cmocka_unit_test(P4_an_import_is_dropped_only_on_a_higher_epoch_and_a_frozen_shard_at_its_own),
        cmocka_unit_test(P14_thaw_raises_the_epoch_even_of_a_serving_shard),
        cmocka_unit_test(a_checksum_covers_what_a_shard_says_of_itself),
        cmocka_unit_test(P10_an_import_clears_what_a_pending_drop_left),
        cmocka_unit_test(P10_clearing_and_filling_in_one_batch_keeps_only_the_new),
        cmocka_unit_test(P13_a_shard_that_was_given_up_begins_above_its_old_revisions),
        cmocka_unit_test(P19_a_retry_from_before_a_shard_was_given_up_is_not_executed_again),
        cmocka_unit_test(pinned_readers_go_on_at_the_new_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
