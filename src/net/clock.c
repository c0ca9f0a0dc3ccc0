#include "net/clock.h"

void clock_arm(uv_timer_t *timer, uv_timer_cb fired, uint64_t due_us)
{
    uint64_t now = clock_now_us();
    uint64_t delay_ms = due_us > now ? (due_us - now + 999) / 1000 : 0;
    uv_update_time(timer->loop); /* uv_timer_start counts from the loop's own, older time */
    int rc = uv_timer_start(timer, fired, delay_ms, 0);
    ASSERT(rc == 0);
}

uint64_t clock_random(void)
{
    uint64_t value = 0;
    while (value == 0) {
        int rc = uv_random(NULL, NULL, &value, sizeof(value), 0, NULL);
        ASSERT(rc == 0);
    }
    return value;
}

static void on_ticker(uv_timer_t *timer);

/* The loop polls next. */
static void on_turn(uv_prepare_t *turn)
{
    int rc = uv_prepare_stop(turn);
    ASSERT(rc == 0);
}

static void put_off(struct ticker *t, uint64_t now_us)
{
    t->put_off = true;
    t->armed_us = now_us + TICKER_GAP_US;
    clock_arm(&t->timer, on_ticker, t->armed_us);
    int rc = uv_prepare_start(&t->turn, on_turn);
    ASSERT(rc == 0);
}

/* One pass over the timers may come here twice: another one may have taken so long. */
static void on_ticker(uv_timer_t *timer)
{
    struct ticker *t = timer->data;
    uint64_t now_us = clock_now_us();
    if (uv_is_active((uv_handle_t *)&t->turn) || (!t->put_off && now_us >= t->armed_us + TICKER_LATE_US)) {
        put_off(t, now_us);
        return;
    }
    t->put_off = false;
    t->armed_us = UINT64_MAX;
    t->ticked_us = now_us;
    t->tick(t->arg);
}

void ticker_init(struct ticker *t, uv_loop_t *loop, void (*tick)(void *arg), void *arg)
{
    *t = (struct ticker){.armed_us = UINT64_MAX, .tick = tick, .arg = arg};
    int rc = uv_timer_init(loop, &t->timer);
    ASSERT(rc == 0);
    rc = uv_prepare_init(loop, &t->turn);
    ASSERT(rc == 0);
    t->timer.data = t->turn.data = t;
}

/* A later deadline leaves the timer as it is: it fires, finds nothing due, and is armed again. That is one spare
 * tick now and then instead of a heap operation per batch. */
void ticker_set(struct ticker *t, uint64_t deadline_us)
{
    if (deadline_us == UINT64_MAX || uv_is_closing((uv_handle_t *)&t->turn))
        return;
    uint64_t due = MAX(deadline_us, t->ticked_us + TICKER_GAP_US);
    if (due >= t->armed_us)
        return;
    t->armed_us = due;
    clock_arm(&t->timer, on_ticker, due);
}

static void on_turn_closed(uv_handle_t *turn)
{
    struct ticker *t = turn->data;
    uv_close((uv_handle_t *)&t->timer, t->closed);
}

void ticker_close(struct ticker *t, uv_close_cb closed)
{
    if (uv_is_closing((uv_handle_t *)&t->turn))
        return;
    t->closed = closed;
    int rc = uv_timer_stop(&t->timer);
    ASSERT(rc == 0);
    uv_close((uv_handle_t *)&t->turn, on_turn_closed);
}
