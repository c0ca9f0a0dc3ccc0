#include "net/lag.h"

void lag_init(struct lag *l, uv_loop_t *loop)
{
    int rc = uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
    ASSERT(rc == 0);
    *l = (struct lag){.loop = loop};
}

static void window_turn(struct lag *l, uint64_t now_us)
{
    if (now_us - l->window_us < LAG_WINDOW_US)
        return;
    l->before_us = now_us - l->window_us < 2 * LAG_WINDOW_US ? l->longest_us : 0;
    l->longest_us = 0;
    l->window_us = now_us;
}

/* The first turn began when nobody looked. */
uint64_t lag_turn(struct lag *l)
{
    uint64_t now_ns = uv_hrtime(), idle_ns = uv_metrics_idle_time(l->loop);
    uint64_t waited = idle_ns - l->idle_ns, passed = l->turn_ns ? now_ns - l->turn_ns : 0;
    uint64_t busy_us = passed > waited ? (passed - waited) / 1000 : 0;
    l->turn_ns = now_ns;
    l->idle_ns = idle_ns;
    window_turn(l, now_ns / 1000);
    l->longest_us = MAX(l->longest_us, busy_us);
    return busy_us;
}

uint64_t lag_longest_us(const struct lag *l) { return MAX(l->longest_us, l->before_us); }
