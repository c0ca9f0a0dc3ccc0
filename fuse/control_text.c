#include "fuse/control.h"
#include "fuse/health.h"

static void put_count(struct buf *out, const char *name, uint64_t n) { buf_printf(out, "%s %llu\n", name, (unsigned long long)n); }

static void print_stats(const struct mount *m, struct buf *out)
{
    struct client_stats c;
    client_stats(net_client_engine(m->client), &c);
    put_count(out, "requests", m->stats.requests);
    put_count(out, "replies", m->stats.replies);
    put_count(out, "errors", m->stats.errors);
    put_count(out, "interrupted", m->stats.interrupted);
    put_count(out, "round_trips", m->stats.round_trips);
    put_count(out, "reads", m->stats.reads);
    put_count(out, "read_bytes", m->stats.read_bytes);
    put_count(out, "writes", m->stats.writes);
    put_count(out, "write_bytes", m->stats.write_bytes);
    put_count(out, "commits", m->stats.commits);
    put_count(out, "commit_failures", m->stats.commit_failures);
    put_count(out, "failures_recorded", m->errors.total);
    put_count(out, "uptime_us", mount_now_us(m) - m->started_us);
    put_count(out, "health_probes", health_probes(m->health));
    put_count(out, "client_submitted", c.submitted);
    put_count(out, "client_done", c.done);
    put_count(out, "client_refused", c.refused);
    put_count(out, "client_unknown", c.unknown);
    put_count(out, "client_retries", c.retries);
    put_count(out, "client_sends", c.sends);
    put_count(out, "client_inflight", c.inflight);
}

static enum ctrl_read what_to_read(enum control_kind kind)
{
    switch ((int)kind) {
    case CONTROL_CONFIG: case CONTROL_CONFIG_N: case CONTROL_QUERY: return CTRL_READ_CONFIG;
    case CONTROL_SHARDS: return CTRL_READ_SHARDS;
    case CONTROL_MOVES: return CTRL_READ_MOVES;
    case CONTROL_SETTLED: return CTRL_READ_SETTLED;
    case CONTROL_STATUS: return CTRL_READ_STATUS;
    case CONTROL_NODES: return CTRL_READ_NODES;
    case CONTROL_METRICS: return CTRL_READ_METRICS;
    case CONTROL_GROUP_MEMBERS: return CTRL_READ_MEMBERS;
    case CONTROL_GROUP_LEADER: return CTRL_READ_LEADER;
    case CONTROL_GROUP_SHARDS: return CTRL_READ_GROUP_SHARDS;
    case CONTROL_GROUP_KEYS: return CTRL_READ_GROUP_KEYS;
    case CONTROL_GROUP_BYTES: return CTRL_READ_GROUP_BYTES;
    }
    return 0;
}

struct client_request control_question(uint64_t id)
{
    const struct control_row *r = control_row(id);
    bool numbered = r->kind == CONTROL_CONFIG_N || r->parent == CONTROL_GROUP;
    return (struct client_request){.kind = CLIENT_READ, .read = what_to_read(r->kind), .number = numbered ? control_number(id) : UINT64_MAX};
}

bool control_local_text(const struct mount *m, enum control_kind kind, struct buf *out)
{
    if (kind == CONTROL_HEALTH)
        health_print(m->health, out);
    else if (kind == CONTROL_ERROR)
        errlog_print(&m->errors, out);
    else if (kind == CONTROL_VERSION)
        buf_printf(out, "rgkvfs %s\n", PACKAGE_VERSION);
    else if (kind == CONTROL_MOUNT_OPTIONS)
        options_print(m->options, out);
    else if (kind == CONTROL_MOUNT_STATS)
        print_stats(m, out);
    else if (kind == CONTROL_MOUNT_INFLIGHT)
        call_print(m, out);
    else
        return false;
    return true;
}
