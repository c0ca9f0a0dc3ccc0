/* What is written but not sent. A model holds the value as a plain array; stage and model must agree. */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "base/prng.h"
#include "fuse/stage.h"

static struct bytes text(const char *s) { return bytes_str(s); }

static void put(struct stage *s, uint64_t offset, const char *t) { assert_int_equal(stage_write(s, offset, text(t)), RGKV_OK); }

static struct kv_request request(struct stage *s)
{
    struct kv_request q = {0};
    stage_request(s, &q);
    return q;
}

static void only_short_writes_that_end_off_a_block_commit_at_once(void **state)
{
    assert_true(stage_commits(0, 6));
    assert_true(stage_commits(4090, 7));
    assert_false(stage_commits(4090, 6));  /* ends at 4096 */
    assert_false(stage_commits(0, 4096));
    assert_false(stage_commits(1, 4096));
    assert_false(stage_commits(0, 1 << 20));
    assert_true(stage_commits(4096, 4095));
}

static void a_truncated_file_is_sent_as_one_put(void **state)
{
    struct stage s = {0};
    stage_clear(&s);
    assert_false(s.written);
    put(&s, 0, "hello ");
    put(&s, 6, "world");
    struct kv_request q = request(&s);
    assert_int_equal(q.op, KV_PUT);
    assert_int_equal(q.flags, 0);
    assert_true(bytes_eq(q.data, text("hello world")));
    assert_true(s.written);
    stage_release(&s);
    assert_true(stage_empty(&s));
}

static void holes_of_a_put_are_zeros(void **state)
{
    struct stage s = {0};
    stage_clear(&s);
    put(&s, 3, "x");
    struct kv_request q = request(&s);
    assert_true(bytes_eq(q.data, bytes_of("\0\0\0x", 4)));
    stage_release(&s);
}

static void a_creation_without_truncation_is_put_only_if_there_is_nothing(void **state)
{
    struct stage s = {0};
    stage_create(&s, false);
    put(&s, 0, "ab");
    struct kv_request q = request(&s);
    assert_int_equal(q.op, KV_PUT);
    assert_int_equal(q.flags, KV_IF_EMPTY);
    assert_int_equal(stage_size(&s, 0), 2);
    assert_int_equal(stage_size(&s, 10), 10); /* somebody was faster */
    stage_lost_race(&s);
    assert_int_equal(stage_size(&s, 10), 10);
    q = request(&s);
    assert_int_equal(q.op, KV_PATCH);
    assert_int_equal(q.n_ranges, 1);
    assert_int_equal(q.flags, 0);
    stage_release(&s);
}

static void a_lost_race_without_data_leaves_nothing_to_send(void **state)
{
    struct stage s = {0};
    stage_create(&s, false);
    stage_lost_race(&s);
    assert_true(stage_empty(&s));
    stage_release(&s);
}

static void writes_into_a_value_travel_as_ranges(void **state)
{
    struct stage s = {0};
    put(&s, 100, "ab");
    put(&s, 102, "cd"); /* goes on: one range */
    put(&s, 7, "z");
    struct kv_request q = request(&s);
    assert_int_equal(q.op, KV_PATCH);
    assert_int_equal(q.n_ranges, 2);
    assert_int_equal(q.ranges[0].offset, 100);
    assert_int_equal(q.ranges[0].len, 4);
    assert_true(bytes_eq(q.data, text("abcdz")));
    assert_int_equal(q.flags & KV_TRUNCATE, 0);
    assert_int_equal(stage_size(&s, 50), 104);
    assert_int_equal(stage_size(&s, 500), 500);
    stage_release(&s);
}

static void a_put_over_the_limit_asks_to_be_taken_first_and_nothing_is_kept_beyond_the_largest_value(void **state)
{
    struct stage s = {0};
    stage_clear(&s);
    put(&s, 0, "abc");
    assert_int_equal(stage_write(&s, DATA_BYTES_MAX - 1, text("xy")), RGKV_BUSY);
    assert_int_equal(s.length, 3);
    assert_int_equal(stage_write(&s, DATA_BYTES_MAX - 1, text("x")), RGKV_OK);
    assert_int_equal(stage_write(&s, UINT64_MAX - 1, text("x")), RGKV_TOO_LARGE);
    assert_int_equal(stage_resize(&s, DATA_BYTES_MAX + 1), RGKV_BUSY);
    assert_int_equal(stage_resize(&s, VALUE_BYTES_MAX + 1), RGKV_TOO_LARGE);
    stage_release(&s);
}

static void what_was_taken_goes_on_as_ranges_on_top_of_it(void **state)
{
    struct stage s = {0};
    struct kv_request q = {0};
    struct kv_range *ranges;
    struct buf data;
    stage_clear(&s);
    put(&s, 2, "cd");
    put(&s, 0, "ab");
    stage_take(&s, &q, &ranges, &data);
    assert_int_equal(q.n_ranges, 1);
    assert_true(bytes_eq(q.data, text("abcd")));
    assert_int_equal(q.flags, 0);
    mem_free(ranges);
    buf_release(&data);
    assert_true(s.spilled && !stage_empty(&s) && s.written);
    put(&s, 6, "x");
    assert_int_equal(stage_resize(&s, 5), RGKV_OK);
    assert_int_equal(stage_size(&s, 4), 5);
    assert_int_equal(stage_write(&s, 4, text("e")), RGKV_OK);
    q = (struct kv_request){0};
    stage_take(&s, &q, &ranges, &data);
    assert_int_equal(q.flags, KV_TRUNCATE);
    assert_int_equal(q.length, 5);
    assert_true(bytes_eq(q.data, text("e")));
    mem_free(ranges);
    buf_release(&data);
    assert_int_equal(stage_resize(&s, 0), RGKV_OK);
    assert_true(s.whole && !s.spilled);
    stage_release(&s);
}

static void a_full_patch_asks_to_be_committed_first(void **state)
{
    struct stage s = {0};
    char *big = mem_zalloc(DATA_BYTES_MAX);
    assert_int_equal(stage_write(&s, 0, bytes_of(big, DATA_BYTES_MAX)), RGKV_OK);
    assert_int_equal(stage_write(&s, DATA_BYTES_MAX, text("x")), RGKV_BUSY);
    stage_release(&s);
    for (unsigned i = 0; i < PATCH_RANGES_MAX; i++)
        put(&s, i * 10, "x");
    assert_int_equal(stage_write(&s, 1 << 20, text("x")), RGKV_BUSY);
    stage_release(&s);
    mem_free(big);
}

static void a_value_written_over_and_over_stays_bounded(void **state)
{
    struct stage s = {0};
    char *big = mem_zalloc(DATA_BYTES_MAX);
    stage_clear(&s);
    for (int i = 0; i < 20; i++) {
        big[0] = (char)i;
        assert_int_equal(stage_write(&s, 0, bytes_of(big, DATA_BYTES_MAX)), RGKV_OK);
        assert_true(s.data.len <= 4u * DATA_BYTES_MAX);
    }
    assert_int_equal(request(&s).data.len, DATA_BYTES_MAX);
    assert_int_equal(request(&s).data.data[0], 19);
    stage_release(&s);
    mem_free(big);
}

static void a_failed_write_is_taken_back(void **state)
{
    struct stage s = {0};
    stage_clear(&s);
    put(&s, 0, "kept");
    struct stage_mark mark = stage_mark(&s);
    put(&s, 4, "failed");
    put(&s, 100, "x");
    stage_undo(&s, &mark);
    assert_true(bytes_eq(request(&s).data, text("kept")));
    stage_release(&s);
}

static void an_undone_first_write_leaves_a_truncation_without_data(void **state)
{
    struct stage s = {0};
    stage_clear(&s);
    struct stage_mark mark = stage_mark(&s);
    put(&s, 0, "x");
    stage_undo(&s, &mark);
    assert_false(s.written);
    assert_int_equal(s.length, 0);
    stage_release(&s);
}

static void what_could_not_be_sent_goes_under_what_was_written_since(void **state)
{
    struct stage earlier = {0}, s = {0};
    stage_clear(&earlier);
    put(&earlier, 0, "aaaa");
    put(&s, 2, "bb");
    assert_int_equal(stage_put_under(&s, &earlier), RGKV_OK);
    assert_true(s.whole);
    assert_true(bytes_eq(request(&s).data, text("aabb")));
    assert_true(stage_empty(&earlier));
    stage_release(&s);
}

static void a_later_truncation_buries_what_could_not_be_sent(void **state)
{
    struct stage earlier = {0}, s = {0};
    put(&earlier, 0, "aaaa");
    stage_clear(&s);
    put(&s, 0, "b");
    assert_int_equal(stage_put_under(&s, &earlier), RGKV_OK);
    assert_true(bytes_eq(request(&s).data, text("b")));
    stage_release(&s);
    stage_release(&earlier);
}

/* ---- against a model ---- */

#define MODEL_BYTES 300u

static void model_write(uint8_t *v, uint64_t *size, uint64_t offset, uint32_t len, uint8_t fill)
{
    memset(v + offset, fill, len);
    *size = MAX(*size, offset + len);
}

static void model_resize(uint8_t *v, uint64_t *size, uint64_t length)
{
    memset(v + MIN(*size, length), 0, MODEL_BYTES - MIN(*size, length));
    *size = length;
}

static void step(struct prng *p, struct stage *s, uint8_t *v, uint64_t *size)
{
    uint64_t offset = prng_below(p, 200);
    uint32_t len = (uint32_t)prng_between(p, 1, 60);
    if (prng_chance(p, 1, 8)) {
        assert_int_equal(stage_resize(s, offset), RGKV_OK);
        model_resize(v, size, offset);
        return;
    }
    uint8_t fill[60];
    memset(fill, (int)prng_between(p, 1, 255), sizeof fill);
    assert_int_equal(stage_write(s, offset, bytes_of(fill, len)), RGKV_OK);
    model_write(v, size, offset, len, fill[0]);
}

/* A Patch as the store does it: the size first, then the ranges. */
static void apply_patch(const struct kv_request *q, struct buf *value)
{
    const uint8_t *data = q->data.data;
    if (q->flags & KV_TRUNCATE) {
        if (q->length > value->len)
            memset(buf_grow(value, q->length - value->len), 0, q->length - value->len);
        value->len = q->length;
    }
    for (unsigned i = 0; i < q->n_ranges; i++) {
        uint64_t end = q->ranges[i].offset + q->ranges[i].len;
        if (end > value->len)
            memset(buf_grow(value, end - value->len), 0, end - value->len);
        memcpy(value->data + q->ranges[i].offset, data, q->ranges[i].len);
        data += q->ranges[i].len;
    }
}

static void commit(struct stage *s, struct buf *value)
{
    struct kv_request q = request(s);
    if (q.op == KV_PUT) {
        buf_clear(value);
        buf_put(value, q.data);
    } else
        apply_patch(&q, value);
}

static void any_sequence_of_writes_and_truncations_sends_the_value_that_was_written(void **state)
{
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct prng p;
        struct stage s = {0};
        struct buf value = {0}, applied = {0};
        uint8_t model[MODEL_BYTES] = {0};
        prng_init(&p, seed);
        uint64_t size = prng_below(&p, 100);
        memset(model, 'o', size);
        buf_put(&value, bytes_of(model, size));
        buf_put(&applied, bytes_of(model, size));
        for (int i = 0; i < 12; i++)
            step(&p, &s, model, &size);
        assert_int_equal(stage_size(&s, value.len), size);
        stage_apply(&s, &applied);
        commit(&s, &value);
        assert_int_equal(value.len, size);
        assert_memory_equal(value.data ? value.data : model, model, size);
        assert_int_equal(applied.len, size);
        assert_memory_equal(applied.data ? applied.data : model, model, size);
        stage_release(&s);
        buf_release(&value);
        buf_release(&applied);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_short_writes_that_end_off_a_block_commit_at_once),
        cmocka_unit_test(a_truncated_file_is_sent_as_one_put),
        cmocka_unit_test(holes_of_a_put_are_zeros),
        cmocka_unit_test(a_creation_without_truncation_is_put_only_if_there_is_nothing),
        cmocka_unit_test(a_lost_race_without_data_leaves_nothing_to_send),
        cmocka_unit_test(writes_into_a_value_travel_as_ranges),
        cmocka_unit_test(a_put_over_the_limit_asks_to_be_taken_first_and_nothing_is_kept_beyond_the_largest_value),
        cmocka_unit_test(what_was_taken_goes_on_as_ranges_on_top_of_it),
        cmocka_unit_test(a_full_patch_asks_to_be_committed_first),
        cmocka_unit_test(a_value_written_over_and_over_stays_bounded),
        cmocka_unit_test(a_failed_write_is_taken_back),
        cmocka_unit_test(an_undone_first_write_leaves_a_truncation_without_data),
        cmocka_unit_test(what_could_not_be_sent_goes_under_what_was_written_since),
        cmocka_unit_test(a_later_truncation_buries_what_could_not_be_sent),
        cmocka_unit_test(any_sequence_of_writes_and_truncations_sends_the_value_that_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
