/* The rows of values: how many there are, how they are read, what only a disk has, and what is collected when nobody may read
 * an old one any more. */
#include "kv/cold.h"
#include "kv/rows.h"
#include "tests/unit/kv_help.h"

static const struct table_ops *ops_below;

static void appends_and_cuts_in_turn_leave_a_bounded_number_of_rows(void **state)
{
    static uint8_t line[5000];
    struct rig *r = rig_new(1);
    memset(line, 'x', sizeof line);
    append(r, "log", bytes_of(line, sizeof line));
    for (unsigned i = 0; i < 300; i++) {
        memset(line, 'a' + i % 26, sizeof line);
        assert_int_equal(append(r, "log", bytes_of(line, sizeof line)), RGKV_OK);
        assert_int_equal(get(r, "log"), RGKV_OK);
        assert_true(r->reply.data.len == 10000 && r->reply.data.data[4999] == 'x' && r->reply.data.data[5000] == 'a' + i % 26);
        assert_int_equal(truncate_to(r, "log", 5000), RGKV_OK);
    }
    clock_to(r, r->time_us + OLD_VERSION_TTL_US + SECOND);
    assert_true(rows_of_table(r, "\0\0d", 3) <= 64);
    assert_int_equal(get(r, "log"), RGKV_OK);
    assert_true(r->reply.data.len == 5000 && r->reply.data.data[0] == 'x' && r->reply.data.data[4999] == 'x');
    rig_free(r);
}

static void put_chunk(struct rig *r, const char *key)
{
    static uint8_t value[VALUE_CHUNK_BYTES];
    struct kv_request q = ask(KV_PUT, key);
    q.data = bytes_of(value, sizeof value);
    assert_int_equal(rig_do(r, q), RGKV_OK);
}

/* Each row of a value that was changed since its Put is read before it goes, maybe from a disk. */
static void one_command_collects_a_bounded_amount_of_what_was_replaced(void **state)
{
    struct rig *r = rig_new(1);
    for (unsigned i = 0; i < 51; i++) {
        put_chunk(r, "f");
        assert_int_equal(on(r, KV_SETATTR, "f"), RGKV_OK);
    }
    assert_int_equal(rows_of_table(r, "\0\0d", 3), 51);
    r->time_us += OLD_VERSION_TTL_US + SECOND;
    assert_int_equal(rig_apply(r, &(struct kv_command){.kind = KV_CLOCK}), RGKV_OK);
    assert_in_range(rows_of_table(r, "\0\0d", 3), 51 - 8, 51 - 1);
    assert_true(kv_clock_due(r->kv, r->time_us));
    clock_to(r, r->time_us);
    assert_int_equal(rows_of_table(r, "\0\0d", 3), 1);
    rig_free(r);
}

/* A table that hands out no data row. */
static struct table_iter *no_data_iter(struct table *t, const struct table_snapshot *s, struct bytes from, struct bytes to)
{
    assert_true(from.len < 3 || from.data[2] != 'd');
    return ops_below->iter(t, s, from, to);
}

static void of_what_is_collected_a_value_that_one_put_made_is_not_read(void **state)
{
    struct rig *r = rig_new(1);
    put_chunk(r, "f");
    put_chunk(r, "f");
    rig_save(r);
    ops_below = r->table->ops;
    struct table_ops watching = *ops_below;
    watching.iter = no_data_iter;
    r->table->ops = &watching;
    clock_to(r, r->time_us + OLD_VERSION_TTL_US + SECOND);
    rig_save(r);
    r->table->ops = ops_below;
    assert_int_equal(rows_of_table(r, "\0\0d", 3), 1);
    rig_free(r);
}

static unsigned rows_passed;
static bool count_next(struct table_iter *i)
{
    rows_passed++;
    return ops_below->iter_next(i);
}

static struct table_ops counting;
static void count_rows_passed(struct rig *r)
{
    rig_save(r);
    ops_below = r->table->ops;
    counting = *ops_below;
    counting.iter_next = count_next;
    r->table->ops = &counting;
}

static unsigned rows_passed_to_get(struct rig *r, struct bytes content)
{
    rows_passed = 0;
    assert_int_equal(get(r, "f"), RGKV_OK);
    assert_true(bytes_eq(r->reply.data, content));
    return rows_passed;
}

/* Reading a row of its chunk before a byte is changed, as a look for what a disk has does. */
static unsigned rows_passed_to_patch(struct rig *r)
{
    struct buf cold = {0};
    struct kv_range range = {7, 1};
    struct kv_command c = {.kind = KV_REQUEST, .request = ask(KV_PATCH, "f")};
    c.request.data = bytes_str("x");
    c.request.n_ranges = 1;
    c.request.ranges = &range;
    rows_passed = 0;
    assert_true(kv_at_hand(r->kv, &c, 0, &cold));
    buf_release(&cold);
    return rows_passed;
}

/* A database writes its first page again and again; for a minute all of that is there. */
static void what_is_behind_a_whole_chunk_is_not_walked_over(void **state)
{
    static uint8_t page[5000];
    struct rig *r = rig_new(1);
    put(r, "f", "");
    for (unsigned i = 0; i < 1000; i++) {
        memset(page, (int)i, sizeof(page));
        assert_int_equal(patch(r, "f", 0, bytes_of(page, sizeof(page))), RGKV_OK);
    }
    count_rows_passed(r);
    assert_true(rows_passed_to_get(r, bytes_of(page, sizeof(page))) <= 16);
    assert_true(rows_passed_to_patch(r) <= 16);
    r->table->ops = ops_below;
    assert_true(rows_of_table(r, "\0\0d", 3) >= 1000);
    rig_free(r);
}

/* As it writes several. */
static void so_is_it_in_every_chunk_that_is_read(void **state)
{
    static uint8_t data[3 * VALUE_CHUNK_BYTES];
    struct rig *r = rig_new(1);
    put(r, "f", "");
    assert_int_equal(patch(r, "f", 0, bytes_of(data, sizeof(data))), RGKV_OK);
    for (unsigned i = 0; i < 3 * 40; i++) {
        uint64_t offset = i % 3 * VALUE_CHUNK_BYTES;
        memset(data + offset, (int)i, VALUE_CHUNK_BYTES);
        assert_int_equal(patch(r, "f", offset, bytes_of(data + offset, VALUE_CHUNK_BYTES)), RGKV_OK);
    }
    count_rows_passed(r);
    assert_true(rows_passed_to_get(r, bytes_of(data, sizeof(data))) <= 32);
    r->table->ops = ops_below;
    rig_free(r);
}

static void a_value_that_one_put_made_is_read_by_the_keys_of_its_rows(void **state)
{
    struct rig *r = rig_new(1);
    static uint8_t value[3 * VALUE_CHUNK_BYTES - 5];
    for (unsigned i = 0; i < sizeof value; i++)
        value[i] = (uint8_t)(i % 251);
    struct kv_request q = ask(KV_PUT, "f"), get = ask(KV_GET, "f");
    q.data = bytes_of(value, sizeof value);
    assert_int_equal(rig_do(r, q), RGKV_OK);
    rig_reopen(r);
    ops_below = r->table->ops;
    struct table_ops watching = *ops_below;
    watching.iter = no_data_iter;
    r->table->ops = &watching;
    get.offset = VALUE_CHUNK_BYTES - 10;
    get.length = VALUE_CHUNK_BYTES + 20;
    assert_int_equal(rig_read(r, get), RGKV_OK);
    assert_true(bytes_eq(r->reply.data, bytes_of(value + get.offset, get.length)));
    get.offset = 2 * VALUE_CHUNK_BYTES;
    assert_int_equal(rig_read(r, get), RGKV_OK);
    assert_true(bytes_eq(r->reply.data, bytes_of(value + get.offset, sizeof value - get.offset)));
    r->table->ops = ops_below;
    rig_free(r);
}

static bool clock_at_hand(struct rig *r, unsigned asked, struct buf *cold)
{
    return kv_at_hand(r->kv, &(struct kv_command){.kind = KV_CLOCK, .time_us = r->time_us}, asked, cold);
}

static void of_what_is_collected_only_a_value_that_was_changed_is_named(void **state)
{
    struct rig *r = rig_new(1);
    struct buf cold = {0};
    put_chunk(r, "f");
    put_chunk(r, "f");
    rig_save(r);
    r->time_us += OLD_VERSION_TTL_US + SECOND;
    assert_true(clock_at_hand(r, 0, &cold));
    append(r, "f", bytes_str("x"));
    put_chunk(r, "f");
    r->time_us += OLD_VERSION_TTL_US + SECOND;
    assert_false(clock_at_hand(r, 0, &cold));
    struct reader in = reader_of(buf_bytes(&cold));
    struct bytes from, to;
    assert_true(cold_next(&in, &from, &to) && from.data[2] == 'd' && to.len);
    assert_false(cold_next(&in, &from, &to));
    assert_true(clock_at_hand(r, 1, &cold)); /* and who had that read is not told again */
    clock_to(r, r->time_us);
    assert_int_equal(rows_of_table(r, "\0\0d", 3), 1);
    buf_release(&cold);
    rig_free(r);
}

static void a_chunk_far_behind_is_named_like_the_first(void **state)
{
    struct rig *r = rig_new(1);
    struct buf cold = {0};
    put(r, "f", "");
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(patch(r, "f", 100ull * VALUE_CHUNK_BYTES, bytes_str("x")), RGKV_OK);
    truncate_to(r, "f", 101ull * VALUE_CHUNK_BYTES);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(patch(r, "f", 100ull * VALUE_CHUNK_BYTES, bytes_str("x")), RGKV_OK);
    rig_save(r);
    r->time_us += OLD_VERSION_TTL_US + SECOND;
    assert_false(clock_at_hand(r, 0, &cold));
    buf_release(&cold);
    rig_free(r);
}

/* Once a queue row of a generation said nothing of its chunks. */
static void an_older_queue_row_is_collected(void **state)
{
    struct rig *r = rig_new(1);
    put_chunk(r, "f");
    rig_save(r);
    struct rowkey k = row_queue(0, &(struct queue_item){.due_us = r->time_us, .kind = QUEUE_SESSION, .generation = 1 << 20});
    uint8_t *kind = memrchr(k.data, QUEUE_SESSION, k.len);
    *kind = QUEUE_GENERATION;
    assert_int_equal(table_write(r->table, &(struct table_change){TABLE_PUT, .key = rowkey_bytes(&k)}, 1), RGKV_OK);
    rig_reopen(r);
    clock_to(r, r->time_us + SECOND);
    rig_save(r);
    struct buf none = {0};
    assert_int_equal(table_get(r->table, NULL, rowkey_bytes(&k), &none), RGKV_NOT_FOUND);
    assert_int_equal(rows_of_table(r, "\0\0d", 3), 1);
    buf_release(&none);
    rig_free(r);
}

/* A disk that fails at one place, and the next place can be read. */
static bool fails;
static bool failing_next(struct table_iter *i) { return !fails && ops_below->iter_next(i); }
static enum rgkv_err failing_error(const struct table_iter *i) { return fails ? RGKV_IO : ops_below->iter_error(i); }
static void failing_seek(struct table_iter *i, struct bytes from)
{
    fails = false;
    ops_below->iter_seek(i, from);
}

static void an_error_is_not_forgotten_by_a_scan_that_goes_on_elsewhere(void **state)
{
    struct rig *r = rig_new(4);
    rig_save(r);
    kv_free(r->kv);
    r->kv = NULL;
    ops_below = r->table->ops;
    struct table_ops failing = *ops_below;
    failing.iter_next = failing_next;
    failing.iter_error = failing_error;
    failing.iter_seek = failing_seek;
    r->table->ops = &failing;
    fails = true;
    assert_int_equal(kv_open(r->table, 1, 4, &r->kv), RGKV_IO);
    assert_false(fails);
    r->table->ops = ops_below;
    rig_open(r);
    rig_free(r);
}

static void what_only_a_disk_has_is_named_and_nothing_is_changed(void **state)
{
    struct rig *r = rig_new(1);
    struct buf cold = {0}, out = {0};
    struct kv_reply reply;
    put(r, "f", "value");
    rig_save(r);
    rig_reopen(r);
    uint64_t before = checksum(r);
    rig_reopen(r);
    table_mem_cold(r->table, 1);
    struct kv_request get = ask(KV_GET, "f");
    get.length = 5;
    assert_int_equal(kv_read_now(r->kv, &get, &out, &reply, &cold), RGKV_PENDING);
    assert_true(cold.len && out.len == 0);
    buf_clear(&cold);
    struct kv_command c = {.kind = KV_REQUEST, .request = ask(KV_PUT, "f")};
    assert_false(kv_at_hand(r->kv, &c, 0, &cold));
    assert_true(cold.len);
    kv_warm(r->table, buf_bytes(&cold));
    table_mem_cold(r->table, 0);
    assert_true(kv_at_hand(r->kv, &c, 1, &cold));
    assert_int_equal(kv_read_now(r->kv, &get, &out, &reply, &cold), RGKV_OK);
    assert_true(bytes_eq(reply.data, bytes_str("value")));
    assert_true(before == checksum(r));
    buf_release(&cold);
    buf_release(&out);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_and_cuts_in_turn_leave_a_bounded_number_of_rows),
        cmocka_unit_test(one_command_collects_a_bounded_amount_of_what_was_replaced),
        cmocka_unit_test(of_what_is_collected_a_value_that_one_put_made_is_not_read),
        cmocka_unit_test(so_is_it_in_every_chunk_that_is_read),
        cmocka_unit_test(what_is_behind_a_whole_chunk_is_not_walked_over),
        cmocka_unit_test(a_value_that_one_put_made_is_read_by_the_keys_of_its_rows),
        cmocka_unit_test(of_what_is_collected_only_a_value_that_was_changed_is_named),
        cmocka_unit_test(a_chunk_far_behind_is_named_like_the_first),
        cmocka_unit_test(an_older_queue_row_is_collected),
        cmocka_unit_test(an_error_is_not_forgotten_by_a_scan_that_goes_on_elsewhere),
        cmocka_unit_test(what_only_a_disk_has_is_named_and_nothing_is_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
