#include "net/lag.h"

#include <time.h>

void lag_init(struct lag *l, uv_loop_t *loop)
{
    int rc = uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
    ASSERT(rc == 0);
    *l = (struct lag){.loop = loop};
}

static uint64_t thread_cpu_ns(void)
{
    struct timespec t;
    int rc = clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    ASSERT(rc == 0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct lag_time most(struct lag_time a, struct lag_time b)
{
    return (struct lag_time){.stood_us = MAX(a.stood_us, b.stood_us), .worked_us = MAX(a.worked_us, b.worked_us)};
}

static void window_turn(struct lag *l, uint64_t now_us)
{
    if (now_us - l->window_us < LAG_WINDOW_US)
        return;
    l->before = now_us - l->window_us < 2 * LAG_WINDOW_US ? l->longest : (struct lag_time){0};
    l->longest = (struct lag_time){0};
    l->window_us = now_us;
}

/* The first turn began when nobody looked. */
struct lag_time lag_turn(struct lag *l)
{
    uint64_t now_ns = uv_hrtime(), idle_ns = uv_metrics_idle_time(l->loop), cpu_ns = thread_cpu_ns();
    struct lag_time turn = {0};
    if (l->turn_ns) {
        uint64_t waited = idle_ns - l->idle_ns, passed = now_ns - l->turn_ns;
        turn.stood_us = passed > waited ? (passed - waited) / 1000 : 0;
        turn.worked_us = (cpu_ns - l->cpu_ns) / 1000;
    }
    l->turn_ns = now_ns;
    l->idle_ns = idle_ns;
    l->cpu_ns = cpu_ns;
    window_turn(l, now_ns / 1000);
    l->longest = most(l->longest, turn);
    return turn;
}

struct lag_time lag_longest(const struct lag *l) { return most(l->longest, l->before); }
