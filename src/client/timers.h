/* Timers of one engine: a binary heap of timers that live inside their owners. Setting, moving and clearing cost
 * O(log n); nothing ever walks over all of them. Order among equal times is deterministic. */
#ifndef RGKV_CLIENT_TIMERS_H
#define RGKV_CLIENT_TIMERS_H

#include "base/base.h"

enum timer_owner { TIMER_REQUEST = 1, TIMER_GROUP, TIMER_LINK };

struct timer {
    uint64_t due_us;
    size_t place;             /* in the heap + 1; 0: not set. So a zeroed timer is a cleared one */
    enum timer_owner owner;
};

struct timers {
    struct timer **heap;
    size_t n, cap;
};
void timers_release(struct timers *ts);
void timer_set(struct timers *ts, struct timer *t, uint64_t due_us); /* UINT64_MAX clears it */
void timer_clear(struct timers *ts, struct timer *t);
struct timer *timers_first(const struct timers *ts);                 /* the earliest, or NULL */

#endif
