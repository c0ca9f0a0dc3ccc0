/* `metrics`: what all nodes reported last, in Prometheus' text format (0.0.4): all samples of one name together, below its HELP and TYPE.
 * A silent node's samples are left out: an old number would pass for a new one. */
#include "ctrl/plan_state.h"
#include "ctrl/text.h"

#include <stdio.h>

#define LABEL_BYTES 96u

struct metric_row {
    const char *name, *type, *help;
    enum ctrl_metric_label label;
};
static const struct metric_row rows[CTRL_METRIC_COUNT] = {
#define X(id, type, label, name, help) [CTRL_METRIC_##id] = {name, #type, help, CTRL_LABEL_##label},
    CTRL_METRICS(X)
#undef X
};

static void head(const char *name, const char *type, const char *help, struct buf *out)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* ---- labels ---- */

static const char *const reasons[CTRL_REASON_COUNT] = {
    [CTRL_REASON_TOO_MANY] = "too_many", [CTRL_REASON_BAD_FRAME] = "bad_frame", [CTRL_REASON_STRANGER] = "no_hello",
    [CTRL_REASON_SLOW] = "slow", [CTRL_REASON_UNREAD] = "unread", [CTRL_REASON_GREEDY] = "greedy",
};
static const char *const memories[CTRL_MEMORY_COUNT] = {
    [CTRL_MEMORY_BUFFERS] = "buffers", [CTRL_MEMORY_CACHE] = "cache", [CTRL_MEMORY_INDEXES] = "indexes",
};
static const char *const replies[CTRL_REPLY_COUNT] = {
    [CTRL_REPLY_KV] = "kv", [CTRL_REPLY_ADMIN] = "admin", [CTRL_REPLY_TEXT] = "text", [CTRL_REPLY_VIEW] = "view",
};

static bool one_of(const char *label, const char *const *names, uint64_t n, uint64_t value, char text[LABEL_BYTES])
{
    if (value >= n || !names[value])
        return false;
    snprintf(text, LABEL_BYTES, ",%s=\"%s\"", label, names[value]);
    return true;
}

static bool reply_label(uint64_t label, char text[LABEL_BYTES])
{
    uint64_t kind = label >> 32, err = (uint32_t)label;
    if (kind >= CTRL_REPLY_COUNT || err >= RGKV_ERR_COUNT)
        return false;
    snprintf(text, LABEL_BYTES, ",kind=\"%s\",result=\"%s\"", replies[kind], rgkv_err_name((enum rgkv_err)err));
    return true;
}

/* ",label=…"; false: a newer release's, that has no name here. */
static bool label_text(enum ctrl_metric_label of, uint64_t label, char text[LABEL_BYTES])
{
    text[0] = 0;
    switch (of) {
    case CTRL_LABEL_NONE: return true;
    case CTRL_LABEL_OP: {
        const char *op = label <= UINT32_MAX ? kv_op_name((uint32_t)label) : NULL;
        return one_of("op", &op, 1, 0, text);
    }
    case CTRL_LABEL_REPLY: return reply_label(label, text);
    case CTRL_LABEL_REASON: return one_of("reason", reasons, CTRL_REASON_COUNT, label, text);
    case CTRL_LABEL_MEMORY: return one_of("use", memories, CTRL_MEMORY_COUNT, label, text);
    }
    return false;
}

/* ---- samples that nodes counted ---- */

static void print_value(uint64_t value, bool micro, struct buf *out)
{
    if (micro)
        buf_printf(out, "%lu.%06lu\n", value / 1000000u, value % 1000000u);
    else
        buf_printf(out, "%lu\n", value);
}

static void print_scope(const struct ctrl_report *r, uint32_t scope, struct buf *out)
{
    buf_printf(out, "{node=\"%s\"", r->addr);
    if (!scope)
        return;
    const struct ctrl_report_replica *replica = &r->replicas[scope - 1];
    buf_printf(out, ",group=\"%lu\",member=\"%lu\"", replica->gid, replica->member);
}

static bool print_sample(const struct ctrl_report *r, const struct ctrl_report_metric *m, bool first, struct buf *out)
{
    const struct metric_row *row = &rows[m->id];
    char label[LABEL_BYTES];
    if (m->scope > r->n_replicas || !label_text(row->label, m->label, label))
        return false;
    if (first)
        head(row->name, row->type, row->help, out);
    buf_printf(out, "%s", row->name);
    print_scope(r, m->scope, out);
    buf_printf(out, "%s} ", label);
    print_value(m->value, m->id == CTRL_METRIC_LOOP_WORK, out);
    return true;
}

static void print_metric(const struct ctrl_plan *p, enum ctrl_metric id, uint64_t now_us, struct buf *out)
{
    bool any = false;
    for (unsigned i = 0; i < p->n_nodes; i++) {
        const struct ctrl_report *r = &p->nodes[i].report;
        for (unsigned k = 0; plan_fresh(&p->nodes[i], now_us) && k < r->n_metrics; k++)
            if (r->metrics[k].id == id)
                any |= print_sample(r, &r->metrics[k], !any, out);
    }
}

/* ---- samples from the rest of the reports ---- */

static void print_up(const struct ctrl_plan *p, uint64_t now_us, struct buf *out)
{
    head("rgkv_node_up", "gauge", "1: the node reported within the last 3 s.", out);
    for (unsigned i = 0; i < p->n_nodes; i++)
        buf_printf(out, "rgkv_node_up{node=\"%s\"} %d\n", p->nodes[i].report.addr, plan_fresh(&p->nodes[i], now_us));
}

struct node_field {
    const char *name, *help;
    size_t at;
    bool micro;                /* kept in microseconds and shown in seconds, the unit of this format */
};
static const struct node_field node_fields[] = {
    {"rgkv_node_uptime_seconds", "Time since the node was started.", offsetof(struct ctrl_report, boot_us), true},
    {"rgkv_node_loop_lag_seconds", "Longest that the node's loop stood still lately.", offsetof(struct ctrl_report, stall_us), true},
    {"rgkv_node_memory_bytes", "Memory of the process.", offsetof(struct ctrl_report, memory_bytes)},
    {"rgkv_node_disk_free_bytes", "Free space of the file system of the data directory.", offsetof(struct ctrl_report, disk_free)},
    {"rgkv_node_disk_total_bytes", "Size of the file system of the data directory.", offsetof(struct ctrl_report, disk_total)},
};
static const struct node_field replica_fields[] = {
    {"rgkv_raft_applied_index", "Newest entry that is applied.", offsetof(struct ctrl_report_replica, applied)},
    {"rgkv_raft_leader_member", "The member that leads, as this one knows; 0: nobody.", offsetof(struct ctrl_report_replica, leader_member)},
    {"rgkv_raft_log_bytes", "Payload bytes in the raft log.", offsetof(struct ctrl_report_replica, log_bytes)},
    {"rgkv_replica_disk_bytes", "Disk space of the replica's log.", offsetof(struct ctrl_report_replica, disk_bytes)},
};

static uint64_t field(const void *of, size_t at)
{
    uint64_t v;
    memcpy(&v, (const char *)of + at, sizeof(v));
    return v;
}

static void print_node_field(const struct ctrl_plan *p, const struct node_field *f, uint64_t now_us, struct buf *out)
{
    head(f->name, "gauge", f->help, out);
    for (unsigned i = 0; i < p->n_nodes; i++)
        if (plan_fresh(&p->nodes[i], now_us)) {
            buf_printf(out, "%s{node=\"%s\"} ", f->name, p->nodes[i].report.addr);
            print_value(field(&p->nodes[i].report, f->at), f->micro, out);
        }
}

static void print_replica_field(const struct ctrl_plan *p, const struct node_field *f, uint64_t now_us, struct buf *out)
{
    head(f->name, "gauge", f->help, out);
    for (unsigned i = 0; i < p->n_nodes; i++) {
        const struct ctrl_report *r = &p->nodes[i].report;
        for (uint32_t k = 0; plan_fresh(&p->nodes[i], now_us) && k < r->n_replicas; k++) {
            buf_printf(out, "%s", f->name);
            print_scope(r, k + 1, out);
            buf_printf(out, "} %lu\n", field(&r->replicas[k], f->at));
        }
    }
}

static void print_placement(const struct ctrl_view *v, struct buf *out)
{
    unsigned served = 0, moving = 0;
    for (uint32_t s = 0; s < v->nshards; s++) {
        served += v->shards[s].holder && v->shards[s].active;
        moving += v->shards[s].target != 0;
    }
    head("rgkv_config_number", "gauge", "Number of the newest config.", out);
    buf_printf(out, "rgkv_config_number %lu\n", v->config_num);
    head("rgkv_shards", "gauge", "Shards of the cluster, by state.", out);
    buf_printf(out, "rgkv_shards{state=\"all\"} %u\nrgkv_shards{state=\"served\"} %u\nrgkv_shards{state=\"moving\"} %u\n", v->nshards, served,
               moving);
    head("rgkv_settled", "gauge", "1: the placement is what the config says.", out);
    buf_printf(out, "rgkv_settled %d\n", ctrl_settled(v));
}

void ctrl_print_metrics(const struct ctrl_view *v, const struct ctrl_plan *p, uint64_t now_us, struct buf *out)
{
    print_placement(v, out);
    if (!p)
        return;
    print_up(p, now_us, out);
    for (unsigned i = 0; i < ARRAY_LEN(node_fields); i++)
        print_node_field(p, &node_fields[i], now_us, out);
    for (unsigned i = 0; i < ARRAY_LEN(replica_fields); i++)
        print_replica_field(p, &replica_fields[i], now_us, out);
    for (int id = 1; id < CTRL_METRIC_COUNT; id++)
        print_metric(p, (enum ctrl_metric)id, now_us, out);
}
