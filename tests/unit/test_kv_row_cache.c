/* The cache of rows: what it says is what it was told last, and it keeps most of what fits. */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "kv/row_cache.h"

static struct bytes key_of(unsigned i, char text[16])
{
    snprintf(text, 16, "key-%u", i);
    return bytes_str(text);
}

static enum row_cached get(const struct row_cache *c, const char *key, struct buf *out)
{
    buf_clear(out);
    return row_cache_get(c, bytes_str(key), out);
}

static void the_newest_is_told(void **state)
{
    struct row_cache *c = row_cache_new();
    struct buf out = {0};
    assert_int_equal(get(c, "a", &out), ROW_NOT_CACHED);
    row_cache_put(c, bytes_str("a"), bytes_str("one"));
    row_cache_put(c, bytes_str("a"), bytes_str("three"));
    assert_int_equal(get(c, "a", &out), ROW_CACHED);
    assert_true(bytes_eq(buf_bytes(&out), bytes_str("three")));
    row_cache_put_absent(c, bytes_str("a"));
    assert_int_equal(get(c, "a", &out), ROW_CACHED_ABSENT);
    row_cache_put(c, bytes_str("a"), bytes_str(""));
    assert_int_equal(get(c, "a", &out), ROW_CACHED);
    row_cache_clear(c);
    assert_int_equal(get(c, "a", &out), ROW_NOT_CACHED);
    buf_release(&out);
    row_cache_free(c);
}

static void a_row_that_grew_too_large_is_forgotten(void **state)
{
    static const uint8_t large[4096];
    struct row_cache *c = row_cache_new();
    struct buf out = {0};
    row_cache_put(c, bytes_str("a"), bytes_str("small"));
    row_cache_put(c, bytes_str("a"), bytes_of(large, sizeof(large)));
    assert_int_equal(get(c, "a", &out), ROW_NOT_CACHED);
    buf_release(&out);
    row_cache_free(c);
}

/* As many rows as half the places: with one place per key a fifth of them would be gone. */
static void rows_hardly_drive_each_other_out(void **state)
{
    enum { ROWS = 8192 };
    struct row_cache *c = row_cache_new();
    struct buf out = {0};
    char text[16];
    unsigned kept = 0;
    for (unsigned i = 0; i < ROWS; i++)
        row_cache_put(c, key_of(i, text), bytes_of(&i, sizeof(i)));
    for (unsigned i = 0; i < ROWS; i++) {
        if (get(c, (const char *)key_of(i, text).data, &out) == ROW_NOT_CACHED)
            continue;
        assert_true(bytes_eq(buf_bytes(&out), bytes_of(&i, sizeof(i))));
        kept++;
    }
    assert_true(kept > ROWS * 95 / 100);
    buf_release(&out);
    row_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_is_told),
        cmocka_unit_test(a_row_that_grew_too_large_is_forgotten),
        cmocka_unit_test(rows_hardly_drive_each_other_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
