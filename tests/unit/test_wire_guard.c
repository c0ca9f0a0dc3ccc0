/* What stands between foreign bytes and tpl: each way in which an image can lie, by name. Images lie in blocks of
 * exactly their size, so that a sanitizer sees the first byte too many that is read. */
#include "tests/unit/unit.h"
#include "tests/unit/wire_frame.h"
#include "wire/body.h"

#include <stdlib.h>

static const struct shape shape = {
    .numbers = 3, .n_tables = 2, .tables = {{.columns = 2, .rows_max = 10}, {.columns = 1, .rows_max = 4}}};

#define LENGTH_AT 4u
#define FORMAT_AT 8u
#define FORMAT_BYTES sizeof("U#A(U#)A(U#)")
#define COUNTS_AT (FORMAT_AT + FORMAT_BYTES)
#define NUMBERS_AT (COUNTS_AT + 3 * 4)
#define FIRST_TABLE_AT (NUMBERS_AT + 3 * 8)

static struct buf image_make(unsigned rows_first, unsigned rows_second)
{
    struct buf buf = {0};
    struct body_out o;
    body_out_begin(&o, &shape, (unsigned[SHAPE_TABLES_MAX]){rows_first, rows_second}, &buf);
    for (unsigned i = 0; i < 3; i++)
        put_number(&o, 100 + i);
    for (unsigned i = 0; i < rows_first; i++)
        put_row(&o, 0, (uint64_t[]){i, 2 * i});
    for (unsigned i = 0; i < rows_second; i++)
        put_row(&o, 1, (uint64_t[]){i});
    assert_int_equal(body_out_end(&o), buf.len);
    return buf;
}

static bool guard_exact(struct bytes image)
{
    unsigned rows[SHAPE_TABLES_MAX];
    uint8_t *copy = exact_copy(image);
    bool ok = guard_image(bytes_of(copy, image.len), &shape, rows);
    free(copy);
    return ok;
}

/* Is an otherwise right image with `v` at `at` (4 bytes) let in? */
static bool accepts_u32(size_t at, uint32_t v)
{
    struct buf image = image_make(2, 1);
    le32_set(image.data + at, v);
    bool ok = guard_exact(buf_bytes(&image));
    buf_release(&image);
    return ok;
}

static void what_tpl_writes_is_let_in(void **state)
{
    for (unsigned rows = 0; rows <= 4; rows++) {
        struct buf image = image_make(2 * rows, rows);
        unsigned got[SHAPE_TABLES_MAX] = {0};
        assert_true(guard_image(buf_bytes(&image), &shape, got));
        assert_int_equal(got[0], 2 * rows);
        assert_int_equal(got[1], rows);
        buf_release(&image);
    }
}

static void the_size_follows_from_the_shape(void **state)
{
    struct buf image = image_make(2, 1);
    assert_int_equal(image.len, shape_bytes(&shape, (unsigned[SHAPE_TABLES_MAX]){2, 1}));
    assert_int_equal(shape_bytes_max(&shape), image.len + 8 * 8 * 2 + 3 * 8);
    buf_release(&image);
}

static void any_other_magic_is_refused(void **state)
{
    struct buf image = image_make(2, 1);
    for (unsigned bit = 0; bit < 24; bit++) {
        image.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(guard_exact(buf_bytes(&image)));
        image.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    buf_release(&image);
}

/* tpl reads an image differently from how it checked it if this byte is not what tpl_dump writes. */
static void any_other_flags_byte_is_refused(void **state)
{
    struct buf image = image_make(2, 1);
    uint8_t ours = image.data[3];
    for (unsigned flags = 0; flags < 256; flags++) {
        image.data[3] = (uint8_t)flags;
        assert_int_equal(guard_exact(buf_bytes(&image)), flags == ours);
    }
    buf_release(&image);
}

static void any_other_announced_length_is_refused(void **state)
{
    struct buf image = image_make(2, 1);
    uint32_t len = (uint32_t)image.len;
    const uint32_t lies[] = {0, 1, 7, 8, len - 1, len + 1, INT32_MAX, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(lies); i++)
        assert_false(accepts_u32(LENGTH_AT, lies[i]));
    assert_true(accepts_u32(LENGTH_AT, len));
    buf_release(&image);
}

static void any_other_format_is_refused(void **state)
{
    static const char *const formats[] = {"U#A(U#)A(u#)", "U#A(U#)A(s#)", "B#A(U#)A(U#)", "U#A(U#)A(B)", "U#A(U#A(U#))",
                                          "A(A(A(A(A(U)", "", "U", "############"};
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        struct buf image = image_make(2, 1);
        size_t len = strlen(formats[i]) + 1;
        assert_true(len <= FORMAT_BYTES);
        memcpy(image.data + FORMAT_AT, formats[i], len);
        assert_false(guard_exact(buf_bytes(&image)));
        buf_release(&image);
    }
}

static void a_format_that_never_ends_is_refused(void **state)
{
    struct buf image = image_make(2, 1);
    memset(image.data + FORMAT_AT, 'U', image.len - FORMAT_AT);
    assert_false(guard_exact(buf_bytes(&image)));
    buf_release(&image);
}

static void any_other_count_behind_the_format_is_refused(void **state)
{
    static const uint32_t lies[] = {0, 4, 5, 255, INT32_MAX, 1u << 31, UINT32_MAX, 0x20000000u, 0x20000001u};
    for (size_t i = 0; i < ARRAY_LEN(lies); i++)
        for (unsigned count = 0; count < 3; count++)
            assert_false(accepts_u32(COUNTS_AT + 4 * count, lies[i]));
}

/* 0x10000002 rows of 16 bytes are 32 bytes in 32-bit arithmetic, as much as the two rows that are there. */
static void row_counts_that_overflow_are_refused(void **state)
{
    static const uint32_t lies[] = {0, 1, 3, 10, 11, 0x10000002u, 0x80000002u, INT32_MAX, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(lies); i++)
        assert_false(accepts_u32(FIRST_TABLE_AT, lies[i]));
    assert_true(accepts_u32(FIRST_TABLE_AT, 2));
}

static void one_row_more_than_the_limit_is_refused(void **state)
{
    static const struct shape wider = {
        .numbers = 3, .n_tables = 2, .tables = {{.columns = 2, .rows_max = 11}, {.columns = 1, .rows_max = 4}}};
    struct buf buf = {0};
    struct body_out o;
    body_out_begin(&o, &wider, (unsigned[SHAPE_TABLES_MAX]){11, 0}, &buf);
    for (unsigned i = 0; i < 3; i++)
        put_number(&o, i);
    for (unsigned i = 0; i < 11; i++)
        put_row(&o, 0, (uint64_t[]){i, i});
    body_out_end(&o);
    unsigned rows[SHAPE_TABLES_MAX];
    assert_true(guard_image(buf_bytes(&buf), &wider, rows));
    assert_false(guard_image(buf_bytes(&buf), &shape, rows));
    buf_release(&buf);
}

static void truncated_and_lengthened_images_are_refused(void **state)
{
    struct buf image = image_make(2, 1);
    for (size_t len = 0; len < image.len; len++) {
        assert_false(guard_exact(bytes_first(buf_bytes(&image), len)));
        uint8_t *copy = exact_copy(bytes_first(buf_bytes(&image), len));
        if (len >= FORMAT_AT)
            le32_set(copy + LENGTH_AT, (uint32_t)len); /* and says so */
        assert_false(guard_exact(bytes_of(copy, len)));
        free(copy);
    }
    buf_put_u8(&image, 0);
    assert_false(guard_exact(buf_bytes(&image)));
    le32_set(image.data + LENGTH_AT, (uint32_t)image.len);
    assert_false(guard_exact(buf_bytes(&image)));
    buf_release(&image);
}

/* ---- what is read out of an image that was let in ---- */

static void numbers_and_rows_come_in_their_order(void **state)
{
    struct buf image = image_make(3, 2);
    struct body_in in;
    assert_true(body_in_begin(&in, &shape, buf_bytes(&image), BYTES_EMPTY, NULL));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(take_number(&in), 100 + i);
    assert_int_equal(take_row(&in, 1)[0], 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(take_row(&in, 0)[1], 2 * i);
    assert_int_equal(take_row(&in, 1)[0], 1);
    assert_true(body_in_end(&in));
    buf_release(&image);
}

static void a_row_that_is_left_over_is_refused(void **state)
{
    struct buf image = image_make(1, 0);
    struct body_in in;
    assert_true(body_in_begin(&in, &shape, buf_bytes(&image), BYTES_EMPTY, NULL));
    for (unsigned i = 0; i < 3; i++)
        take_number(&in);
    assert_false(body_in_end(&in));
    buf_release(&image);
}

static void a_row_too_many_reads_as_zeros_and_is_refused(void **state)
{
    struct buf image = image_make(1, 0);
    struct body_in in;
    assert_true(body_in_begin(&in, &shape, buf_bytes(&image), BYTES_EMPTY, NULL));
    take_row(&in, 0);
    assert_int_equal(take_row(&in, 0)[0], 0);
    assert_false(in.ok);
    assert_int_equal(take_number(&in), 0);
    assert_false(body_in_end(&in));
    buf_release(&image);
}

static void bulk_that_is_left_over_or_missing_is_refused(void **state)
{
    static const size_t taken[] = {0, 4, 6};
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        struct buf image = image_make(0, 0);
        struct body_in in;
        assert_true(body_in_begin(&in, &shape, buf_bytes(&image), bytes_str("bytes"), NULL));
        for (unsigned n = 0; n < 3; n++)
            take_number(&in);
        take_bulk(&in, taken[i], 100);
        assert_false(body_in_end(&in));
        buf_release(&image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_tpl_writes_is_let_in),
        cmocka_unit_test(the_size_follows_from_the_shape),
        cmocka_unit_test(any_other_magic_is_refused),
        cmocka_unit_test(any_other_flags_byte_is_refused),
        cmocka_unit_test(any_other_announced_length_is_refused),
        cmocka_unit_test(any_other_format_is_refused),
        cmocka_unit_test(a_format_that_never_ends_is_refused),
        cmocka_unit_test(any_other_count_behind_the_format_is_refused),
        cmocka_unit_test(row_counts_that_overflow_are_refused),
        cmocka_unit_test(one_row_more_than_the_limit_is_refused),
        cmocka_unit_test(truncated_and_lengthened_images_are_refused),
        cmocka_unit_test(numbers_and_rows_come_in_their_order),
        cmocka_unit_test(a_row_that_is_left_over_is_refused),
        cmocka_unit_test(a_row_too_many_reads_as_zeros_and_is_refused),
        cmocka_unit_test(bulk_that_is_left_over_or_missing_is_refused),
    };
    return cmocka_run_group_tests_name("tpl guard", tests, NULL, NULL);
}
