#include "tests/sim/sim.h"

/* A binary heap by (time, number): what was pushed first happens first. */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

void sim_heap_push(struct sim_heap *h, struct sim_event e)
{
    if (h->n == h->cap) {
        h->cap = MAX((size_t)1024, h->cap * 2);
        h->events = mem_realloc(h->events, h->cap * sizeof(*h->events));
    }
    e.number = h->next_number++;
    size_t at = h->n++;
    for (; at > 0 && before(&e, &h->events[(at - 1) / 2]); at = (at - 1) / 2)
        h->events[at] = h->events[(at - 1) / 2];
    h->events[at] = e;
}

bool sim_heap_pop(struct sim_heap *h, struct sim_event *ret_e)
{
    if (h->n == 0)
        return false;
    *ret_e = h->events[0];
    struct sim_event last = h->events[--h->n];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < h->n; at = child) {
        if (child + 1 < h->n && before(&h->events[child + 1], &h->events[child]))
            child++;
        if (!before(&h->events[child], &last))
            break;
        h->events[at] = h->events[child];
    }
    h->events[at] = last;
    return true;
}

void sim_heap_release(struct sim_heap *h)
{
    for (size_t i = 0; i < h->n; i++)
        sim_parcel_unref(h->events[i].parcel);
    mem_free(h->events);
    *h = (struct sim_heap){0};
}
