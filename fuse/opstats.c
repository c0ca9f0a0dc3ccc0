#include "fuse/opstats.h"

static const uint64_t bounds_us[] = {50,    100,    200,    500,    1000,    2000,    5000,     10000,
                                     20000, 50000, 100000, 200000, 500000, 1000000, 10000000, 30000000};
static_assert(ARRAY_LEN(bounds_us) == OPSTATS_BOUNDS, "one count each");

/* The same literal may have several addresses. */
static struct opstat *opstat_of(struct opstats *s, const char *op)
{
    for (unsigned i = 0; i < s->n; i++)
        if (s->ops[i].op == op || !strcmp(s->ops[i].op, op))
            return &s->ops[i];
    if (s->n == OPSTATS_OPS_MAX)
        return NULL;
    s->ops[s->n].op = op;
    return &s->ops[s->n++];
}

void opstats_answered(struct opstats *s, const char *op, uint64_t took_us, bool failed)
{
    struct opstat *o = opstat_of(s, op);
    if (!o)
        return;
    o->answered++;
    o->failed += failed;
    o->total_us += took_us;
    for (unsigned i = 0; i < OPSTATS_BOUNDS; i++)
        if (took_us <= bounds_us[i]) {
            o->within[i]++;
            break;
        }
}

static void print_histogram(const struct opstat *o, struct buf *out)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < OPSTATS_BOUNDS; i++) {
        sum += o->within[i];
        buf_printf(out, "rgkv_mount_operation_seconds_bucket{op=\"%s\",le=\"%g\"} %lu\n", o->op, (double)bounds_us[i] / 1e6, sum);
    }
    buf_printf(out, "rgkv_mount_operation_seconds_bucket{op=\"%s\",le=\"+Inf\"} %lu\n", o->op, o->answered);
    buf_printf(out, "rgkv_mount_operation_seconds_sum{op=\"%s\"} %lu.%06lu\n", o->op, o->total_us / 1000000u, o->total_us % 1000000u);
    buf_printf(out, "rgkv_mount_operation_seconds_count{op=\"%s\"} %lu\n", o->op, o->answered);
}

void opstats_print(const struct opstats *s, struct buf *out)
{
    buf_printf(out, "# HELP rgkv_mount_operation_seconds Time from an operation to its answer.\n"
                    "# TYPE rgkv_mount_operation_seconds histogram\n");
    for (unsigned i = 0; i < s->n; i++)
        print_histogram(&s->ops[i], out);
    buf_printf(out, "# HELP rgkv_mount_operation_failures_total Operations that were answered with an errno.\n"
                    "# TYPE rgkv_mount_operation_failures_total counter\n");
    for (unsigned i = 0; i < s->n; i++)
        buf_printf(out, "rgkv_mount_operation_failures_total{op=\"%s\"} %lu\n", s->ops[i].op, s->ops[i].failed);
}
