#include "tests/unit/unit.h"

#include "tests/bench/hist.h"

static struct hist h;

static int clear(void **state)
{
    h = (struct hist){0};
    return 0;
}

static void a_quantile_is_within_one_percent(void **state)
{
    for (uint64_t v = 1; v <= 100000; v++)
        hist_add(&h, v);
    const double shares[] = {0.01, 0.5, 0.9, 0.99, 0.999};
    for (unsigned i = 0; i < ARRAY_LEN(shares); i++) {
        double want = shares[i] * 100000, got = (double)hist_quantile(&h, shares[i]);
        assert_true(got >= want * 0.99 && got <= want * 1.01 + 1);
    }
    assert_int_equal(hist_quantile(&h, 1), 100000);
}

static void the_largest_number_has_a_slot(void **state)
{
    hist_add(&h, UINT64_MAX);
    hist_add(&h, 0);
    assert_true(hist_quantile(&h, 1) == UINT64_MAX);
    assert_true(hist_quantile(&h, 0) == 0);
}

static void what_is_merged_counts_as_if_it_were_added(void **state)
{
    static struct hist other;
    hist_add(&h, 10);
    hist_add(&other, 1000000);
    hist_merge(&h, &other);
    assert_true(h.n == 2 && h.max == 1000000);
    assert_true(hist_quantile(&h, 0) == 10 && hist_quantile(&h, 1) == 1000000);
}

static void an_empty_histogram_says_nothing(void **state) { assert_int_equal(hist_quantile(&h, 0.5), 0); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_quantile_is_within_one_percent, clear),
        cmocka_unit_test_setup(the_largest_number_has_a_slot, clear),
        cmocka_unit_test_setup(what_is_merged_counts_as_if_it_were_added, clear),
        cmocka_unit_test_setup(an_empty_histogram_says_nothing, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
