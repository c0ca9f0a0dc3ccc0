#include "client/timers.h"

void timers_release(struct timers *ts)
{
    mem_free(ts->heap);
    *ts = (struct timers){0};
}

static void place(struct timers *ts, size_t at, struct timer *t)
{
    ts->heap[at] = t;
    t->place = at + 1;
}

static void rise(struct timers *ts, size_t at, struct timer *t)
{
    while (at > 0) {
        size_t up = (at - 1) / 2;
        if (ts->heap[up]->due_us <= t->due_us)
            break;
        place(ts, at, ts->heap[up]);
        at = up;
    }
    place(ts, at, t);
}

static void sink(struct timers *ts, size_t at, struct timer *t)
{
    for (;;) {
        size_t down = at * 2 + 1;
        if (down >= ts->n)
            break;
        if (down + 1 < ts->n && ts->heap[down + 1]->due_us < ts->heap[down]->due_us)
            down++;
        if (t->due_us <= ts->heap[down]->due_us)
            break;
        place(ts, at, ts->heap[down]);
        at = down;
    }
    place(ts, at, t);
}

static void settle(struct timers *ts, size_t at, struct timer *t)
{
    if (at > 0 && t->due_us < ts->heap[(at - 1) / 2]->due_us)
        rise(ts, at, t);
    else
        sink(ts, at, t);
}

static void add(struct timers *ts, struct timer *t)
{
    if (ts->n == ts->cap) {
        ts->cap = MAX(ts->cap * 2, 64);
        ts->heap = mem_realloc(ts->heap, ts->cap * sizeof(ts->heap[0]));
    }
    ts->n++;
    rise(ts, ts->n - 1, t);
}

void timer_clear(struct timers *ts, struct timer *t)
{
    if (!t->place)
        return;
    size_t at = t->place - 1;
    ASSERT(at < ts->n && ts->heap[at] == t);
    t->place = 0;
    struct timer *last = ts->heap[--ts->n];
    if (last != t)
        settle(ts, at, last);
}

void timer_set(struct timers *ts, struct timer *t, uint64_t due_us)
{
    if (due_us == UINT64_MAX) {
        timer_clear(ts, t);
        return;
    }
    t->due_us = due_us;
    if (t->place)
        settle(ts, t->place - 1, t);
    else
        add(ts, t);
}

struct timer *timers_first(const struct timers *ts) { return ts->n ? ts->heap[0] : NULL; }
