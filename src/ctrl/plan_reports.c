/* What the nodes said last, and whom of them to believe. */
#include "ctrl/array.h"
#include "ctrl/plan_state.h"

#include <stdlib.h>

#define FORGET_US 60000000u /* a node silent that long makes room when the table is full */

static int by_shard(const void *a, const void *b)
{
    uint32_t x = ((const struct ctrl_report_shard *)a)->shard, y = ((const struct ctrl_report_shard *)b)->shard;
    return x < y ? -1 : x > y;
}

static void report_release(struct ctrl_report *r)
{
    for (unsigned i = 0; i < r->n_replicas; i++)
        mem_free((void *)r->replicas[i].shards);
    mem_free((void *)r->replicas);
    mem_free((void *)r->metrics);
}

static void replica_copy(struct ctrl_report_replica *to)
{
    struct ctrl_report_shard *shards = array_copy(to->shards, to->n_shards, sizeof(*shards));
    qsort(shards, to->n_shards, sizeof(*shards), by_shard);
    to->shards = shards;
}

static void report_copy(const struct ctrl_report *from, struct ctrl_report *ret_to)
{
    *ret_to = *from;
    ret_to->addr[sizeof(ret_to->addr) - 1] = 0;
    ret_to->version[sizeof(ret_to->version) - 1] = 0;
    struct ctrl_report_replica *replicas = array_copy(from->replicas, from->n_replicas, sizeof(*replicas));
    for (unsigned i = 0; i < from->n_replicas; i++)
        replica_copy(&replicas[i]);
    ret_to->replicas = replicas;
    ret_to->metrics = array_copy(from->metrics, from->n_metrics, sizeof(*from->metrics));
}

/* In the texts that it is printed in, a blank, a quote or an end of a line means something. */
static bool is_word(const char *text, size_t room)
{
    for (size_t i = 0; i < room && text[i]; i++)
        if (text[i] <= ' ' || text[i] > '~' || strchr("\"\\,", text[i]))
            return false;
    return true;
}

static bool report_within_limits(const struct ctrl_report *r)
{
    if (r->node == 0 || r->n_replicas > REPLICAS_MAX || r->n_metrics > METRICS_PER_REPORT_MAX)
        return false;
    if (!is_word(r->addr, sizeof(r->addr)) || !is_word(r->version, sizeof(r->version)))
        return false;
    for (unsigned i = 0; i < r->n_replicas; i++)
        if (r->replicas[i].n_shards > NSHARDS_MAX || r->replicas[i].n_members > MEMBERS_MAX)
            return false;
    return true;
}

static unsigned node_at(const struct ctrl_plan *p, uint64_t id)
{
    unsigned low = 0, high = p->n_nodes;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (p->nodes[middle].report.node < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void make_room(struct ctrl_plan *p, uint64_t now_us)
{
    unsigned oldest = 0;
    for (unsigned i = 1; i < p->n_nodes; i++)
        if (p->nodes[i].received_us < p->nodes[oldest].received_us)
            oldest = i;
    if (now_us - p->nodes[oldest].received_us < FORGET_US)
        return;
    report_release(&p->nodes[oldest].report);
    array_remove(p->nodes, &p->n_nodes, sizeof(*p->nodes), oldest);
}

static struct plan_node *node_for(struct ctrl_plan *p, uint64_t id, uint64_t now_us)
{
    unsigned at = node_at(p, id);
    if (at < p->n_nodes && p->nodes[at].report.node == id)
        return &p->nodes[at];
    if (p->n_nodes == NODES_MAX)
        make_room(p, now_us);
    if (p->n_nodes == NODES_MAX)
        return NULL;
    at = node_at(p, id);
    p->nodes = array_insert(p->nodes, &p->n_nodes, sizeof(*p->nodes), at);
    return &p->nodes[at];
}

void ctrl_plan_report(struct ctrl_plan *p, const struct ctrl_report *r, uint64_t now_us)
{
    struct plan_node *n = report_within_limits(r) ? node_for(p, r->node, now_us) : NULL;
    if (!n)
        return;
    report_release(&n->report);
    report_copy(r, &n->report);
    n->received_us = now_us;
}

const struct ctrl_report *ctrl_plan_node(const struct ctrl_plan *p, unsigned i, uint64_t now_us, uint64_t *ret_age_us)
{
    if (i >= p->n_nodes)
        return NULL;
    *ret_age_us = now_us - MIN(now_us, p->nodes[i].received_us);
    return &p->nodes[i].report;
}

struct ctrl_plan *ctrl_plan_new(uint64_t now_us)
{
    struct ctrl_plan *p = mem_zalloc(sizeof(*p));
    p->began_us = now_us;
    return p;
}

void ctrl_plan_free(struct ctrl_plan *p)
{
    if (!p)
        return;
    for (unsigned i = 0; i < p->n_nodes; i++)
        report_release(&p->nodes[i].report);
    mem_free(p->nodes);
    mem_free(p->tracks);
    plan_memory_release(p);
    mem_free(p);
}

/* ---- whom to believe ---- */

bool plan_fresh(const struct plan_node *n, uint64_t now_us) { return n->received_us + REPORT_FRESH_US >= now_us; }

const struct plan_node *plan_node(const struct ctrl_plan *p, uint64_t id)
{
    unsigned at = node_at(p, id);
    return id && at < p->n_nodes && p->nodes[at].report.node == id ? &p->nodes[at] : NULL;
}

const struct plan_node *plan_node_fresh(const struct ctrl_plan *p, uint64_t id, uint64_t now_us)
{
    const struct plan_node *n = plan_node(p, id);
    return n && plan_fresh(n, now_us) ? n : NULL;
}

const struct ctrl_report_replica *plan_replica(const struct plan_node *n, uint64_t gid, uint64_t incarnation, uint64_t member)
{
    for (unsigned i = 0; i < n->report.n_replicas; i++) {
        const struct ctrl_report_replica *r = &n->report.replicas[i];
        if (r->gid == gid && r->incarnation == incarnation && r->member == member)
            return r;
    }
    return NULL;
}

/* Of several that say so (one was deposed and does not know yet) the one of the highest term. */
struct plan_leader plan_leader(const struct ctrl_plan *p, const struct ctrl_group *g, uint64_t now_us)
{
    struct plan_leader best = {0};
    for (unsigned i = 0; i < g->n; i++) {
        const struct plan_node *n = plan_node_fresh(p, g->members[i].node, now_us);
        const struct ctrl_report_replica *r = n ? plan_replica(n, g->gid, g->incarnation, g->members[i].id) : NULL;
        if (r && r->leader && (!best.replica || r->term > best.replica->term))
            best = (struct plan_leader){r, n};
    }
    return best;
}

bool plan_disk_full(const struct plan_leader *l)
{
    const struct ctrl_report *r = l->node ? &l->node->report : NULL;
    return r && r->disk_total && r->disk_free < DISK_LOW_WATER_BYTES;
}

const struct ctrl_report_shard *plan_shard(const struct plan_leader *l, uint32_t shard)
{
    struct ctrl_report_shard wanted = {.shard = shard};
    if (!l->replica)
        return NULL;
    return bsearch(&wanted, l->replica->shards, l->replica->n_shards, sizeof(wanted), by_shard);
}

bool ctrl_plan_settled_in(const struct ctrl_plan *p, uint64_t now_us) { return now_us - p->began_us > REPORT_FRESH_US; }

bool ctrl_plan_led(const struct ctrl_plan *p, const struct ctrl *c, uint64_t gid, uint64_t now_us)
{
    const struct ctrl_group *g = ctrl_view_group(ctrl_view(c), gid);
    return g && plan_leader(p, g, now_us).replica;
}
