/* A tick and a socket that can be read, in one loop: which of them comes first, and that neither keeps the other waiting for ever. */
#include "tests/unit/unit.h"

#include "net/clock.h"

#include <sys/socket.h>
#include <unistd.h>

struct world {
    uv_loop_t loop;
    uv_poll_t poll;
    struct ticker ticker;
    uv_timer_t other;
    int ends[2];
    unsigned reads, reads_before_tick;
    bool ticked;
};

/* Nothing is taken from it: it can be read in each turn. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct world *w = poll->data;
    w->reads++;
}

static void on_tick(void *arg)
{
    struct world *w = arg;
    w->ticked = true;
    w->reads_before_tick = w->reads;
}

/* Two milliseconds of work, and then a look at the clock, as arming any timer does. */
static void on_other(uv_timer_t *timer)
{
    for (uint64_t end_us = clock_now_us() + 2000; clock_now_us() < end_us;)
        ;
    uv_update_time(timer->loop);
}

/* A tick that was due at this distance from now, and another timer behind it; what is to be read is there already. */
static unsigned reads_before_a_tick(int64_t due_us)
{
    struct world w = {0};
    uv_loop_init(&w.loop);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, w.ends), 0);
    assert_int_equal(write(w.ends[1], "x", 1), 1);
    uv_poll_init(&w.loop, &w.poll, w.ends[0]);
    w.poll.data = &w;
    uv_poll_start(&w.poll, UV_READABLE, on_readable);
    ticker_init(&w.ticker, &w.loop, on_tick, &w);
    ticker_set(&w.ticker, clock_now_us() + (uint64_t)due_us);
    uv_timer_init(&w.loop, &w.other);
    clock_arm(&w.other, on_other, 0);
    while (!w.ticked)
        uv_run(&w.loop, UV_RUN_ONCE);
    ticker_close(&w.ticker, NULL);
    uv_close((uv_handle_t *)&w.poll, NULL);
    uv_close((uv_handle_t *)&w.other, NULL);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    uv_loop_close(&w.loop);
    close(w.ends[0]);
    close(w.ends[1]);
    return w.reads_before_tick;
}

static void a_tick_that_is_late_comes_after_what_waits_to_be_read(void **state)
{
    assert_true(reads_before_a_tick(-1000000) > 0); /* and it comes, however much there is */
}

static void a_tick_in_time_waits_for_nobody(void **state)
{
    unsigned reads = 1;
    for (unsigned i = 0; i < 50 && reads; i++) /* a busy machine may make any of them late */
        reads = reads_before_a_tick(0);
    assert_int_equal(reads, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tick_that_is_late_comes_after_what_waits_to_be_read),
        cmocka_unit_test(a_tick_in_time_waits_for_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
