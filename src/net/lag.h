/* How long the loop stood still: everything of one turn but the wait for events, seen by whoever waits for the loop. That is
 * work, blocking calls, and time without a processor.
 *
 * How much of that the thread computed is told beside it: a long turn with little work had no processor (a machine with too
 * much to do, or the guest of one), or waited in a call that blocks (a defect).
 *
 * lag_turn is called at the end of a prepare callback, just before the loop waits; the loop must have been configured with
 * UV_METRICS_IDLE_TIME (lag_init does it, before the first uv_run). */
#ifndef RGKV_NET_LAG_H
#define RGKV_NET_LAG_H

#include <uv.h>

#include "base/base.h"

#define LAG_WINDOW_US 10000000u

/* In microseconds. */
struct lag_time {
    uint64_t stood_us;
    uint64_t worked_us;            /* processor time of the thread (CLOCK_THREAD_CPUTIME_ID), the call that waits included */
};

struct lag {
    uv_loop_t *loop;
    uint64_t turn_ns, idle_ns, cpu_ns; /* at the end of the last turn */
    uint64_t window_us;                /* when the current window began */
    struct lag_time longest, before;   /* of it and of the one before; each number is a maximum of its own */
};

void lag_init(struct lag *l, uv_loop_t *loop);
struct lag_time lag_turn(struct lag *l); /* of the turn that ended */
/* The longest turn and the most work of one turn of the last one to two windows. */
struct lag_time lag_longest(const struct lag *l);

#endif
