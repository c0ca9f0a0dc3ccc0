/* `status`: one page for people. What needs doing stands at the end, in sentences. */
#include "ctrl/plan_state.h"
#include "ctrl/text.h"

#include <stdio.h>

struct totals {
    unsigned shards, moving;
    uint64_t keys, bytes;
    bool known; /* keys and bytes: a leader told them */
};

static void number_text(uint64_t v, char to[32])
{
    char plain[24];
    int len = snprintf(plain, sizeof(plain), "%lu", v), at = 0;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            to[at++] = ',';
        to[at++] = plain[i];
    }
    to[at] = 0;
}

static void bytes_text(uint64_t v, char to[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    double scaled = (double)v;
    while (scaled >= 1024 && unit + 1 < ARRAY_LEN(units)) {
        scaled /= 1024;
        unit++;
    }
    snprintf(to, 32, unit && scaled < 100 ? "%.1f %s" : "%.0f %s", scaled, units[unit]);
}

/* ---- the head ---- */

static struct totals totals_of_view(const struct ctrl_view *v)
{
    struct totals t = {0};
    for (uint32_t s = 0; s < v->nshards; s++) {
        const struct ctrl_shard *shard = &v->shards[s];
        t.shards += shard->holder && shard->active;
        t.moving += shard->target || (shard->holder && !shard->active) || (shard->wanted && shard->wanted != shard->holder);
    }
    return t;
}

static void print_head(const struct ctrl_view *v, struct buf *out)
{
    struct totals t = totals_of_view(v);
    buf_printf(out, "cluster %016lx   config %lu   placement %lu\n", v->cluster, v->config_num, v->version);
    buf_printf(out, "shards  %u of %u served", t.shards, v->nshards);
    if (t.moving)
        buf_printf(out, ", %u on the way (see moves)\n", t.moving);
    else
        buf_printf(out, ctrl_settled(v) ? ", settled\n" : "\n");
}

/* ---- the table of groups ---- */

static const char *member_mark(const struct ctrl_member *m, const struct plan_leader *l, const struct ctrl_plan *p, uint64_t now_us)
{
    if (!m->node)
        return "?";
    if (p && !plan_node_fresh(p, m->node, now_us))
        return ctrl_plan_settled_in(p, now_us) ? "!" : "";
    return l->replica && l->replica->member == m->id ? "*" : "";
}

static struct totals totals_of_group(const struct ctrl_view *v, uint64_t gid, const struct plan_leader *l)
{
    struct totals t = {.known = l->replica != NULL};
    for (uint32_t s = 0; s < v->nshards; s++) {
        const struct ctrl_report_shard *told = v->shards[s].holder == gid ? plan_shard(l, s) : NULL;
        t.shards += v->shards[s].holder == gid;
        t.moving += v->shards[s].target == gid;
        t.keys += told ? told->keys : 0;
        t.bytes += told ? told->bytes : 0;
    }
    return t;
}

static const char *group_word(const struct ctrl_group *g, const struct plan_leader *l, const struct ctrl_plan *p, uint64_t now_us)
{
    if (!g->founded)
        return "forming";
    if (p && !l->replica)
        return ctrl_plan_settled_in(p, now_us) ? "down" : "-";
    if (!g->in_config)
        return "leaving";
    return p ? "up" : "-";
}

static void print_members_of(const struct ctrl_member *members, unsigned n, const struct plan_leader *l, const struct ctrl_plan *p,
                             uint64_t now_us, struct buf *out)
{
    for (unsigned i = 0; i < n; i++)
        buf_printf(out, " %s%s", members[i].addr, member_mark(&members[i], l, p, now_us));
    buf_printf(out, "\n");
}

static void print_group(const struct ctrl_view *v, const struct ctrl_group *g, const struct ctrl_plan *p, uint64_t now_us, struct buf *out)
{
    struct plan_leader l = p ? plan_leader(p, g, now_us) : (struct plan_leader){0};
    struct totals t = totals_of_group(v, g->gid, &l);
    char shards[32], keys[32] = "-", bytes[32] = "-";
    snprintf(shards, sizeof(shards), t.moving ? "%u+%u" : "%u", t.shards, t.moving);
    if (t.known) {
        number_text(t.keys, keys);
        bytes_text(t.bytes, bytes);
    }
    buf_printf(out, "%-8lu %-8s %8s %12s %10s ", g->gid, group_word(g, &l, p, now_us), shards, keys, bytes);
    print_members_of(g->members, g->n, &l, p, now_us, out);
}

static void print_groups(const struct ctrl_view *v, const struct ctrl_plan *p, uint64_t now_us, struct buf *out)
{
    struct ctrl_group ctl;
    ctrl_view_controllers(v, &ctl);
    struct plan_leader l = p ? plan_leader(p, &ctl, now_us) : (struct plan_leader){0};
    buf_printf(out, "\n%-8s %-8s %8s %12s %10s  %s\n", "group", "state", "shards", "keys", "bytes",
               "members (* leads, ! silent, ? not there yet)");
    if (v->n_controllers) {
        buf_printf(out, "%-8s %-8s %8s %12s %10s ", "ctl", "up", "-", "-", "-");
        print_members_of(ctl.members, ctl.n, &l, p, now_us, out);
    }
    for (unsigned i = 0; i < v->n_groups; i++)
        print_group(v, &v->groups[i], p, now_us, out);
}

/* ---- what needs doing ---- */

static unsigned members_silent(const struct ctrl_group *g, const struct ctrl_plan *p, uint64_t now_us)
{
    unsigned silent = 0;
    for (unsigned i = 0; i < g->n; i++)
        silent += g->members[i].node && !plan_node_fresh(p, g->members[i].node, now_us);
    return silent;
}

static void alarm_group(const struct ctrl_group *g, const struct ctrl_plan *p, uint64_t now_us, struct buf *out)
{
    unsigned silent = members_silent(g, p, now_us);
    if (!g->founded)
        for (unsigned i = 0; i < g->n; i++) {
            if (!g->members[i].node)
                buf_printf(out, "- group %lu waits for a node at %s\n", g->gid, g->members[i].addr);
        }
    else if (!ctrl_plan_settled_in(p, now_us))
        return;
    else if (!plan_leader(p, g, now_us).replica)
        buf_printf(out, "- group %lu has no leader: %u of %u members are silent, its shards wait\n", g->gid, silent, g->n);
    else if (silent)
        buf_printf(out, "- group %lu: %u of %u members are silent\n", g->gid, silent, g->n);
}

/* Who comes or goes, and what for it waits. */
static void progress_group(const struct ctrl_group *g, const struct ctrl_plan *p, uint64_t now_us, struct buf *out)
{
    struct plan_leader l = plan_leader(p, g, now_us);
    for (unsigned i = 0; i < g->n; i++) {
        const struct ctrl_member *m = &g->members[i];
        if (m->state == CTRL_MEMBER_IN)
            continue;
        if (g->gid)
            buf_printf(out, "- group %lu: ", g->gid);
        else
            buf_printf(out, "- the controller: ");
        buf_printf(out, "member %lu at %s is %s: it ", m->id, m->addr, m->state == CTRL_MEMBER_JOINING ? "joining" : "leaving");
        ctrl_print_progress(m, plan_member(&l, m->id), l.replica != NULL, out);
        buf_printf(out, "\n");
    }
}

static void alarm_nodes(const struct ctrl_plan *p, uint64_t now_us, struct buf *out)
{
    for (unsigned i = 0; i < p->n_nodes; i++) {
        const struct ctrl_report *r = &p->nodes[i].report;
        if (plan_fresh(&p->nodes[i], now_us) && r->disk_total && r->disk_free < r->disk_total / 20)
            buf_printf(out, "- %s: the disk is nearly full (%lu of %lu bytes free)\n", r->addr, r->disk_free, r->disk_total);
    }
}

static void print_alarms(const struct ctrl_view *v, const struct ctrl_plan *p, uint64_t now_us, struct buf *out)
{
    struct buf alarms = {0};
    unsigned in_config = 0;
    if (p && !ctrl_plan_settled_in(p, now_us))
        buf_printf(&alarms, "- the controller has had a new leader for some moments: who is silent is known in a few seconds\n");
    for (unsigned i = 0; i < v->n_groups; i++) {
        in_config += v->groups[i].in_config;
        if (p) {
            alarm_group(&v->groups[i], p, now_us, &alarms);
            progress_group(&v->groups[i], p, now_us, &alarms);
        }
    }
    struct ctrl_group ctl;
    ctrl_view_controllers(v, &ctl);
    if (p)
        progress_group(&ctl, p, now_us, &alarms);
    if (in_config == 0)
        buf_printf(&alarms, "- no group is in the cluster: join one (echo \"1 host:port host:port host:port\" > join)\n");
    if (p)
        alarm_nodes(p, now_us, &alarms);
    if (alarms.len) {
        buf_printf(out, "\nneeds attention\n");
        buf_put(out, buf_bytes(&alarms));
    }
    buf_release(&alarms);
}

void ctrl_print_status(const struct ctrl_view *v, const struct ctrl_plan *p, uint64_t now_us, struct buf *out)
{
    print_head(v, out);
    print_groups(v, p, now_us, out);
    print_alarms(v, p, now_us, out);
}
