/* What this node counts, and how it travels: as rows of the report that a poll carries (ctrl/metric.h). */
#include "node/internal.h"

static_assert(KV_TIME < METRICS_OPS, "every operation has a counter");

void metrics_asked(struct node *n, enum kv_op op)
{
    if (kv_op_known(op))
        n->metrics.asked[op]++;
}

void metrics_replied(struct node *n, const struct msg *m)
{
    uint64_t(*replied)[RGKV_ERR_COUNT] = n->metrics.replied;
    if (m->kind == MSG_KV_REPLY)
        replied[CTRL_REPLY_KV][m->kv_reply.err]++;
    else if (m->kind == MSG_ADMIN_REPLY)
        replied[CTRL_REPLY_ADMIN][m->admin_reply.result.err]++;
    else if (m->kind == MSG_CTRL_TEXT)
        replied[CTRL_REPLY_TEXT][m->ctrl_text.err]++;
    else if (m->kind == MSG_VIEW)
        replied[CTRL_REPLY_VIEW][m->view.err]++;
}

void metrics_outside(struct node *n, const struct ctrl_report_metric *rows, unsigned count)
{
    ASSERT(count <= NODE_METRICS_MAX);
    n->metrics.n_outside = count;
    memcpy(n->metrics.outside, rows, count * sizeof(*rows));
}

/* ---- rows ---- */

struct rows {
    struct ctrl_report_metric *rows;
    unsigned n;
};

static void put(struct rows *to, uint32_t scope, enum ctrl_metric id, uint64_t label, uint64_t value)
{
    if (to->n < METRICS_PER_REPORT_MAX)
        to->rows[to->n++] = (struct ctrl_report_metric){scope, id, label, value};
}

/* A counter that is still 0 is left out: most pairs of kind and error never come. */
static void put_counted(struct rows *to, enum ctrl_metric id, uint64_t label, uint64_t value)
{
    if (value)
        put(to, 0, id, label, value);
}

static void put_node(const struct node *n, struct rows *to)
{
    const struct metrics *m = &n->metrics;
    put(to, 0, CTRL_METRIC_DROPPED, 0, n->dropped);
    for (unsigned i = 0; i < m->n_outside; i++)
        put(to, 0, m->outside[i].id, m->outside[i].label, m->outside[i].value);
    for (unsigned op = 0; op < METRICS_OPS; op++)
        put_counted(to, CTRL_METRIC_REQUESTS, op, m->asked[op]);
    for (int kind = 0; kind < CTRL_REPLY_COUNT; kind++)
        for (int err = 0; err < RGKV_ERR_COUNT; err++)
            put_counted(to, CTRL_METRIC_REPLIES, ctrl_reply_label(kind, err), m->replied[kind][err]);
}

static void put_replica(const struct replica *r, uint32_t scope, struct rows *to)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    put(to, scope, CTRL_METRIC_TERM, 0, s.term);
    put(to, scope, CTRL_METRIC_COMMIT, 0, s.commit);
    put(to, scope, CTRL_METRIC_LAST, 0, s.last_index);
    put(to, scope, CTRL_METRIC_SNAPSHOT, 0, s.first_index ? s.first_index - 1 : 0);
    put(to, scope, CTRL_METRIC_PERSISTED, 0, s.persisted);
    put(to, scope, CTRL_METRIC_ELECTIONS, 0, r->elections);
}

void metrics_report(const struct node *n, struct replica *const *replicas, unsigned n_replicas, struct arena *a, struct ctrl_report *to)
{
    struct rows rows = {.rows = arena_alloc(a, METRICS_PER_REPORT_MAX * sizeof(*rows.rows))};
    for (uint32_t i = 0; i < n_replicas; i++)
        if (replicas[i]->state == REPLICA_RUNNING)
            put_replica(replicas[i], i + 1, &rows);
    put_node(n, &rows);
    to->metrics = rows.rows;
    to->n_metrics = rows.n;
}
