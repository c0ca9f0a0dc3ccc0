/* The time that the loop's engines are given: monotonic, in microseconds. */
#ifndef RGKV_NET_CLOCK_H
#define RGKV_NET_CLOCK_H

#include <uv.h>

#include "base/base.h"

static inline uint64_t clock_now_us(void) { return uv_hrtime() / 1000u; }
/* Starts or restarts a timer that fires once at `due_us` (never early; now if that is past). */
void clock_arm(uv_timer_t *timer, uv_timer_cb fired, uint64_t due_us);
/* Random numbers from the system: identities and seeds. Never 0. */
uint64_t clock_random(void);

/* Calls an engine's tick no more often than every millisecond (a loop's timers know no less), and not at all while nothing is
 * due. A loop runs its timers before it reads its sockets: after it stood still, a tick would find everybody silent whose words wait there, and
 * a leader would step down for it. Who is late lets the sockets go first, once. */
#define TICKER_GAP_US 1000u
#define TICKER_LATE_US 20000u
struct ticker {
    uv_timer_t timer;
    uv_prepare_t turn;   /* active while it is put off and the sockets were not looked at */
    uint64_t armed_us;   /* when it fires; UINT64_MAX: it does not */
    uint64_t ticked_us;  /* the last time it fired */
    bool put_off;        /* it was late */
    uv_close_cb closed;
    void (*tick)(void *arg);
    void *arg;
};
void ticker_init(struct ticker *t, uv_loop_t *loop, void (*tick)(void *arg), void *arg);
/* The engine's next deadline is now this (UINT64_MAX: none). */
void ticker_set(struct ticker *t, uint64_t deadline_us);
/* closed: NULL, or called with the timer's handle when the loop knows nothing of the ticker any more. */
void ticker_close(struct ticker *t, uv_close_cb closed);

#endif
