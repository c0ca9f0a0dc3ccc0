/* How often each operation was answered, how long that took, and how often with an error: for /.ctrl/metrics. Pure. */
#ifndef RGKV_FUSE_OPSTATS_H
#define RGKV_FUSE_OPSTATS_H

#include "base/bytes.h"

#define OPSTATS_OPS_MAX 48u
#define OPSTATS_BOUNDS 16u

struct opstat {
    const char *op;                /* a literal */
    uint64_t answered, failed, total_us;
    uint64_t within[OPSTATS_BOUNDS]; /* answered within the bound and not within the one before */
};
struct opstats {
    unsigned n;
    struct opstat ops[OPSTATS_OPS_MAX];
};
void opstats_answered(struct opstats *s, const char *op, uint64_t took_us, bool failed);
/* A histogram and a counter of failures, in Prometheus' text format. */
void opstats_print(const struct opstats *s, struct buf *out);

#endif
