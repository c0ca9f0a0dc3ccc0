/* How long the loop stood still: everything of one turn but the wait for events, seen by whoever waits for the loop. That is
 * work, blocking calls, and time without a processor.
 *
 * lag_turn is called at the end of a prepare callback, just before the loop waits; the loop must have been configured with
 * UV_METRICS_IDLE_TIME (lag_init does it, before the first uv_run). */
#ifndef RGKV_NET_LAG_H
#define RGKV_NET_LAG_H

#include <uv.h>

#include "base/base.h"

#define LAG_WINDOW_US 10000000u

struct lag {
    uv_loop_t *loop;
    uint64_t turn_ns, idle_ns;     /* at the end of the last turn */
    uint64_t window_us;            /* when the current window began */
    uint64_t longest_us, before_us;/* of it and of the one before */
};

void lag_init(struct lag *l, uv_loop_t *loop);
uint64_t lag_turn(struct lag *l);  /* of the turn that ended: microseconds */
/* The longest turn of the last one to two windows. */
uint64_t lag_longest_us(const struct lag *l);

#endif
