/* A histogram of times with a relative error under 1 %: each power of two is cut into 128 equal parts. */
#ifndef RGKV_TESTS_BENCH_HIST_H
#define RGKV_TESTS_BENCH_HIST_H

#include "base/base.h"

#define HIST_SUB_BITS 7u
#define HIST_SLOTS ((64u - HIST_SUB_BITS + 1u) << HIST_SUB_BITS)

struct hist {
    uint64_t n, max;
    uint64_t slots[HIST_SLOTS];
};
void hist_add(struct hist *h, uint64_t value);
void hist_merge(struct hist *to, const struct hist *from);
/* The smallest value that at least this share (0 to 1) of all values do not exceed, within the error. 0 if empty. */
uint64_t hist_quantile(const struct hist *h, double share);

#endif
