/* Rebalancing: balanced, minimal, the same everywhere. The minimum is computed here in other ways than balance.c does. */
#include "tests/unit/unit.h"

#include "base/prng.h"
#include "ctrl/balance.h"

#include <stdlib.h>

#define N_MAX 64u

static uint32_t counts_of(const uint64_t *shards, uint32_t n, uint64_t gid)
{
    uint32_t count = 0;
    for (uint32_t s = 0; s < n; s++)
        count += shards[s] == gid;
    return count;
}

static uint32_t moves_between(const uint64_t *a, const uint64_t *b, uint32_t n)
{
    uint32_t moves = 0;
    for (uint32_t s = 0; s < n; s++)
        moves += a[s] != b[s];
    return moves;
}

/* The most shards that can stay, over all ways to give each group floor or floor + 1: best[k] = the most kept so far
 * with k shards given out. */
static uint32_t minimum_by_table(const uint64_t *shards, uint32_t n, const uint64_t *gids, unsigned g)
{
    if (g == 0)
        return n - counts_of(shards, n, 0);
    int best[N_MAX + 2], next[N_MAX + 2];
    uint32_t base = n / g;
    for (uint32_t k = 0; k <= n; k++)
        best[k] = k ? -1 : 0;
    for (unsigned i = 0; i < g; i++) {
        int count = (int)counts_of(shards, n, gids[i]);
        for (uint32_t k = 0; k <= n; k++) {
            next[k] = -1;
            for (uint32_t quota = base; quota <= base + 1; quota++)
                if (k >= quota && best[k - quota] >= 0)
                    next[k] = MAX(next[k], best[k - quota] + MIN(count, (int)quota));
        }
        memcpy(best, next, sizeof(best));
    }
    assert_true(best[n] >= 0);
    return n - (uint32_t)best[n];
}

static bool balanced(const uint64_t *shards, uint32_t n, const uint64_t *gids, unsigned g)
{
    uint32_t low = n, high = 0, sum = 0;
    for (unsigned i = 0; i < g; i++) {
        uint32_t count = counts_of(shards, n, gids[i]);
        low = MIN(low, count);
        high = MAX(high, count);
        sum += count;
    }
    return g == 0 ? counts_of(shards, n, 0) == n : sum == n && high - low <= 1;
}

/* Every assignment there is, for tiny cases. */
static uint32_t minimum_by_trying_all(const uint64_t *shards, uint32_t n, const uint64_t *gids, unsigned g)
{
    uint32_t least = UINT32_MAX, all = 1;
    for (uint32_t s = 0; s < n; s++)
        all *= g;
    for (uint32_t code = 0; code < all; code++) {
        uint64_t tried[8] = {0};
        uint32_t rest = code;
        for (uint32_t s = 0; s < n; s++, rest /= g)
            tried[s] = gids[rest % g];
        if (balanced(tried, n, gids, g))
            least = MIN(least, moves_between(shards, tried, n));
    }
    return least;
}

static void check_once(uint64_t *shards, uint32_t n, const uint64_t *gids, unsigned g)
{
    uint64_t before[N_MAX], again[N_MAX];
    memcpy(before, shards, n * sizeof(*before));
    memcpy(again, shards, n * sizeof(*again));
    ctrl_balance(shards, n, gids, g);
    ctrl_balance(again, n, gids, g);
    assert_memory_equal(shards, again, n * sizeof(*again));
    assert_true(balanced(shards, n, gids, g));
    assert_int_equal(moves_between(before, shards, n), minimum_by_table(before, n, gids, g));
    if (g > 0 && g <= 3 && n <= 6)
        assert_int_equal(moves_between(before, shards, n), minimum_by_trying_all(before, n, gids, g));
}

static void moves_are_the_minimum_over_random_joins_leaves_and_moves(void **state)
{
    struct prng p;
    prng_init(&p, 824);
    for (unsigned run = 0; run < 300; run++) {
        uint32_t n = (uint32_t)prng_between(&p, 1, 20);
        uint64_t shards[N_MAX] = {0}, gids[N_MAX], next_gid = 1;
        unsigned g = 0;
        for (unsigned step = 0; step < 30; step++) {
            unsigned what = (unsigned)prng_below(&p, 5);
            if (what <= 1 && g < n + 3) {
                gids[g++] = next_gid;
                next_gid += prng_between(&p, 1, 3);
            } else if (what == 2 && g > 0) {
                unsigned at = (unsigned)prng_below(&p, g--);
                memmove(&gids[at], &gids[at + 1], (g - at) * sizeof(*gids));
            } else if (g > 0) {
                shards[prng_below(&p, n)] = gids[prng_below(&p, g)];
                continue;
            }
            check_once(shards, n, gids, g);
        }
    }
}

static void any_old_assignment_is_balanced_with_the_fewest_moves(void **state)
{
    struct prng p;
    prng_init(&p, 6);
    for (unsigned run = 0; run < 3000; run++) {
        uint32_t n = (uint32_t)prng_between(&p, 1, run % 2 ? 6 : 40);
        unsigned g = (unsigned)prng_between(&p, 0, run % 2 ? 3 : n + 3);
        uint64_t shards[N_MAX], gids[N_MAX];
        for (unsigned i = 0; i < g; i++)
            gids[i] = 2 * i + 1;
        for (uint32_t s = 0; s < n; s++) /* even numbers are groups that are gone */
            shards[s] = prng_below(&p, 2 * g + 2);
        check_once(shards, n, gids, g);
    }
}

static void c12_the_third_group_takes_at_most_a_third_and_its_leaving_moves_as_few(void **state)
{
    uint64_t shards[10] = {0}, before[10], gids[3] = {1, 2, 3};
    ctrl_balance(shards, 10, gids, 1);
    ctrl_balance(shards, 10, gids, 2);
    memcpy(before, shards, sizeof(before));
    ctrl_balance(shards, 10, gids, 3);
    assert_true(moves_between(before, shards, 10) <= 4);
    for (unsigned s = 0; s < 10; s++)
        assert_true(shards[s] == before[s] || shards[s] == 3);
    memcpy(before, shards, sizeof(before));
    ctrl_balance(shards, 10, gids + 1, 2);
    assert_true(moves_between(before, shards, 10) <= 4);
    for (unsigned s = 0; s < 10; s++)
        assert_true(shards[s] == before[s] || before[s] == 1);
}

static void ten_shards_are_balanced_over_any_number_of_groups(void **state)
{
    uint64_t shards[10] = {0}, gids[13];
    for (unsigned g = 1; g <= 13; g++) {
        gids[g - 1] = g * 100;
        check_once(shards, 10, gids, g);
    }
}

static void without_a_group_every_shard_is_on_none(void **state)
{
    uint64_t shards[3] = {4, 0, 9};
    ctrl_balance(shards, 3, NULL, 0);
    assert_true(shards[0] == 0 && shards[1] == 0 && shards[2] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_are_the_minimum_over_random_joins_leaves_and_moves),
        cmocka_unit_test(any_old_assignment_is_balanced_with_the_fewest_moves),
        cmocka_unit_test(c12_the_third_group_takes_at_most_a_third_and_its_leaving_moves_as_few),
        cmocka_unit_test(ten_shards_are_balanced_over_any_number_of_groups),
        cmocka_unit_test(without_a_group_every_shard_is_on_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
