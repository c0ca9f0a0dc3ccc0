#include "tests/bench/hist.h"

/* Values below 2^SUB_BITS have slots of their own; above, the exponent selects a row and the next SUB_BITS bits a slot. */
static unsigned slot_of(uint64_t value)
{
    if (value < 1u << HIST_SUB_BITS)
        return (unsigned)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HIST_SUB_BITS;
    return ((shift + 1) << HIST_SUB_BITS) + (unsigned)((value >> shift) - (1u << HIST_SUB_BITS));
}

static uint64_t slot_top(unsigned slot)
{
    unsigned row = slot >> HIST_SUB_BITS, part = slot & ((1u << HIST_SUB_BITS) - 1);
    if (row == 0)
        return part;
    uint64_t lowest = (uint64_t)(part + (1u << HIST_SUB_BITS)) << (row - 1);
    return lowest + ((1ull << (row - 1)) - 1);
}

void hist_add(struct hist *h, uint64_t value)
{
    h->slots[slot_of(value)]++;
    h->n++;
    h->max = MAX(h->max, value);
}

void hist_merge(struct hist *to, const struct hist *from)
{
    for (unsigned i = 0; i < HIST_SLOTS; i++)
        to->slots[i] += from->slots[i];
    to->n += from->n;
    to->max = MAX(to->max, from->max);
}

uint64_t hist_quantile(const struct hist *h, double share)
{
    uint64_t seen = 0, want = (uint64_t)(share * (double)h->n);
    for (unsigned i = 0; i < HIST_SLOTS; i++) {
        seen += h->slots[i];
        if (seen > want || (seen && seen == h->n))
            return MIN(slot_top(i), h->max);
    }
    return 0;
}
