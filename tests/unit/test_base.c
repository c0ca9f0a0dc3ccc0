/* Bytes, readers, errors: the bottom of everything. */
#include "tests/unit/unit.h"

#include "base/bytes.h"
#include "base/prng.h"

static void numbers_survive_a_round_trip_in_both_byte_orders(void **state)
{
    struct buf b = {0};
    buf_put_u8(&b, 0xab);
    buf_put_le16(&b, 0x1234);
    buf_put_be16(&b, 0x1234);
    buf_put_le32(&b, 0xdeadbeef);
    buf_put_be32(&b, 0xdeadbeef);
    buf_put_le64(&b, UINT64_MAX - 1);
    buf_put_be64(&b, UINT64_MAX - 1);
    struct reader r = reader_of(buf_bytes(&b));
    assert_int_equal(read_u8(&r), 0xab);
    assert_int_equal(read_le16(&r), 0x1234);
    assert_int_equal(read_be16(&r), 0x1234);
    assert_int_equal(read_le32(&r), 0xdeadbeef);
    assert_int_equal(read_be32(&r), 0xdeadbeef);
    assert_true(read_le64(&r) == UINT64_MAX - 1);
    assert_true(read_be64(&r) == UINT64_MAX - 1);
    assert_true(r.ok);
    assert_int_equal(r.rest.len, 0);
    buf_release(&b);
}

static void a_reader_that_ran_dry_stays_false(void **state)
{
    struct reader r = reader_of(bytes_str("abc"));
    assert_int_equal(read_le64(&r), 0);
    assert_false(r.ok);
    assert_int_equal(read_u8(&r), 0);
    assert_false(r.ok);
}

static void a_prefix_sorts_before_what_it_begins(void **state)
{
    assert_true(bytes_cmp(bytes_str("ab"), bytes_str("abc")) < 0);
    assert_true(bytes_cmp(bytes_str("b"), bytes_str("abc")) > 0);
    assert_true(bytes_cmp(BYTES_EMPTY, BYTES_EMPTY) == 0);
    assert_true(bytes_starts(bytes_str("abc"), bytes_str("ab")));
    assert_false(bytes_starts(bytes_str("ab"), bytes_str("abc")));
}

static void text_is_appended_without_its_nul(void **state)
{
    struct buf b = {0};
    buf_printf(&b, "%d-%s", 42, "x");
    buf_printf(&b, "!");
    assert_true(bytes_eq(buf_bytes(&b), bytes_str("42-x!")));
    buf_release(&b);
}

static void every_error_has_a_name_and_a_sentence(void **state)
{
    for (int e = 0; e < RGKV_ERR_COUNT; e++) {
        assert_true(strlen(rgkv_err_name(e)) > 0);
        assert_true(strlen(rgkv_err_sentence(e)) > 0);
        assert_true((rgkv_err_errno(e) == 0) == (e == RGKV_OK));
    }
}

static void the_same_seed_gives_the_same_numbers(void **state)
{
    struct prng a, b;
    prng_init(&a, 7);
    prng_init(&b, 7);
    for (int i = 0; i < 1000; i++) {
        uint64_t x = prng_between(&a, 10, 20);
        assert_true(x >= 10 && x <= 20);
        assert_true(x == prng_between(&b, 10, 20));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_survive_a_round_trip_in_both_byte_orders),
        cmocka_unit_test(a_reader_that_ran_dry_stays_false),
        cmocka_unit_test(a_prefix_sorts_before_what_it_begins),
        cmocka_unit_test(text_is_appended_without_its_nul),
        cmocka_unit_test(every_error_has_a_name_and_a_sentence),
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
