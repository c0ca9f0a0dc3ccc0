#include "fuse/control.h"

static void put(struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    buf_printf(out, "# HELP rgkv_mount_%s %s\n# TYPE rgkv_mount_%s %s\nrgkv_mount_%s %lu\n", name, help, name, type, name, value);
}

static void put_counter(struct buf *out, const char *name, const char *help, uint64_t value) { put(out, name, "counter", help, value); }
static void put_gauge(struct buf *out, const char *name, const char *help, uint64_t value) { put(out, name, "gauge", help, value); }

static void put_uptime(struct buf *out, uint64_t us)
{
    buf_printf(out, "# HELP rgkv_mount_uptime_seconds Time since the mount was made.\n# TYPE rgkv_mount_uptime_seconds gauge\n"
                    "rgkv_mount_uptime_seconds %lu.%06lu\n", us / 1000000u, us % 1000000u);
}

static unsigned calls_waiting(const struct mount *m)
{
    unsigned n = 0;
    for (const struct call *c = m->calls; c; c = c->next)
        n += c->req != NULL;
    return n;
}

void control_print_metrics(const struct mount *m, bool reached, struct buf *out)
{
    struct client_stats c;
    client_stats(net_client_engine(m->client), &c);
    put_gauge(out, "cluster_reached", "1: the controller answered, and its metrics follow.", reached);
    put_uptime(out, mount_now_us(m) - m->started_us);
    put_gauge(out, "operations_waiting", "Operations that are under way.", calls_waiting(m));
    put_counter(out, "interrupted_total", "Operations that a signal ended.", m->stats.interrupted);
    put_counter(out, "read_bytes_total", "Bytes given to readers.", m->stats.read_bytes);
    put_counter(out, "write_bytes_total", "Bytes taken from writers.", m->stats.write_bytes);
    put_counter(out, "commits_total", "Commits of what was staged.", m->stats.commits);
    put_counter(out, "commit_failures_total", "Commits that failed.", m->stats.commit_failures);
    put_counter(out, "requests_total", "Requests to the cluster.", c.submitted);
    put_counter(out, "requests_refused_total", "Requests that were surely not applied.", c.refused);
    put_counter(out, "requests_unknown_total", "Requests whose outcome is unknown.", c.unknown);
    put_counter(out, "retries_total", "Copies of requests sent again.", c.retries);
    put_gauge(out, "requests_waiting", "Requests that are under way.", c.inflight);
    opstats_print(&m->opstats, out);
}
