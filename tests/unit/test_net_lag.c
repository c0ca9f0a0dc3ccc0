#include "tests/unit/unit.h"

#include "net/lag.h"

#include <unistd.h>

/* One loop with a timer whose callback burns time or does not; a turn is measured where the server measures it. */
struct world {
    uv_loop_t loop;
    uv_timer_t timer;
    uv_prepare_t prepare;
    struct lag lag;
    uint64_t burn_ns, sleep_us;
    unsigned left;
};

static void burn(uint64_t ns)
{
    for (uint64_t end = uv_hrtime() + ns; uv_hrtime() < end;)
        ;
}

static void on_timer(uv_timer_t *timer)
{
    struct world *w = timer->data;
    burn(w->burn_ns);
    if (w->sleep_us)
        usleep((useconds_t)w->sleep_us);
    if (--w->left == 0) {
        uv_timer_stop(&w->timer);
        uv_prepare_stop(&w->prepare);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct world *w = prepare->data;
    lag_turn(&w->lag);
}

static void run(struct world *w, unsigned turns, uint64_t wait_ms, uint64_t burn_ns, uint64_t sleep_us)
{
    *w = (struct world){.burn_ns = burn_ns, .sleep_us = sleep_us, .left = turns};
    uv_loop_init(&w->loop);
    lag_init(&w->lag, &w->loop);
    uv_timer_init(&w->loop, &w->timer);
    uv_prepare_init(&w->loop, &w->prepare);
    w->timer.data = w->prepare.data = w;
    uv_prepare_start(&w->prepare, on_prepare);
    uv_timer_start(&w->timer, on_timer, 1, wait_ms);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    lag_turn(&w->lag);
    uv_close((uv_handle_t *)&w->timer, NULL);
    uv_close((uv_handle_t *)&w->prepare, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    uv_loop_close(&w->loop);
}

static void a_turn_that_works_is_as_long_as_its_work(void **state)
{
    struct world w;
    run(&w, 2, 1, 30000000, 0);
    assert_true(lag_longest(&w.lag).stood_us >= 30000);
    /* The call that waits is work too, and each number is a maximum of its own. */
    assert_in_range(lag_longest(&w.lag).worked_us, 1, lag_longest(&w.lag).stood_us + 10000);
}

static void a_turn_that_blocks_is_long_and_works_little(void **state)
{
    struct world w;
    run(&w, 2, 1, 0, 60000);
    assert_true(lag_longest(&w.lag).stood_us >= 60000);
    assert_true(lag_longest(&w.lag).worked_us < 30000);
}

/* Were waiting counted, every turn had 60 ms. On a machine that is busy with others one turn may be slow, hardly all of them. */
static void waiting_for_events_is_no_stall(void **state)
{
    struct world w;
    uint64_t shortest = UINT64_MAX;
    for (unsigned i = 0; i < 5; i++) {
        run(&w, 2, 60, 0, 0);
        shortest = MIN(shortest, lag_longest(&w.lag).stood_us);
    }
    assert_true(shortest < 60000);
}

static void a_stall_is_forgotten_after_two_windows(void **state)
{
    struct lag l = {.longest.stood_us = 500, .before.stood_us = 400, .window_us = uv_hrtime() / 1000, .loop = uv_default_loop()};
    assert_int_equal(lag_longest(&l).stood_us, 500);
    l.window_us -= LAG_WINDOW_US;
    lag_turn(&l);
    assert_int_equal(lag_longest(&l).stood_us, 500);
    l.window_us -= LAG_WINDOW_US;
    l.longest.stood_us = 300;
    lag_turn(&l);
    assert_int_equal(lag_longest(&l).stood_us, 300);
    l.window_us -= 3 * LAG_WINDOW_US;
    lag_turn(&l);
    assert_true(lag_longest(&l).stood_us < 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_that_works_is_as_long_as_its_work),
        cmocka_unit_test(a_turn_that_blocks_is_long_and_works_little),
        cmocka_unit_test(waiting_for_events_is_no_stall),
        cmocka_unit_test(a_stall_is_forgotten_after_two_windows),
    };
    return cmocka_run_group_tests_name("net_lag", tests, NULL, NULL);
}
