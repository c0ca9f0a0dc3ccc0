/* Control files for programs: one thing a line, numbers as they are. */
#include "ctrl/plan_state.h"
#include "ctrl/text.h"

void ctrl_print_config(const struct ctrl_config *c, struct buf *out)
{
    buf_printf(out, "num %lu\n", c->num);
    for (uint32_t s = 0; s < c->nshards; s++)
        buf_printf(out, "shard %u %lu\n", s, c->shards[s]);
    for (unsigned i = 0; i < c->n_groups; i++) {
        buf_printf(out, "group %lu", c->groups[i].gid);
        for (unsigned k = 0; k < c->groups[i].n; k++)
            buf_printf(out, " %s", c->groups[i].addrs[k]);
        buf_printf(out, "\n");
    }
}

static const char *shard_word(const struct ctrl_shard *s)
{
    if (s->target)
        return "moving";
    if (!s->holder)
        return "virgin";
    if (!s->active)
        return "activating";
    return s->wanted ? "serving" : "parked";
}

void ctrl_print_shards(const struct ctrl_view *v, struct buf *out)
{
    for (uint32_t s = 0; s < v->nshards; s++)
        buf_printf(out, "%u %lu %s %lu\n", s, v->shards[s].holder, shard_word(&v->shards[s]), v->shards[s].epoch);
}

static bool shard_settled(const struct ctrl_shard *s)
{
    if (s->target)
        return false;
    if (s->holder && !s->active)
        return false;
    return s->wanted == 0 || s->wanted == s->holder;
}

bool ctrl_settled(const struct ctrl_view *v)
{
    for (uint32_t s = 0; s < v->nshards; s++)
        if (!shard_settled(&v->shards[s]))
            return false;
    return true;
}

/* ---- moves: what is on its way and what it waits for ---- */

static struct plan_leader leader_of(const struct ctrl_view *v, const struct ctrl_plan *p, uint64_t gid, uint64_t now_us)
{
    const struct ctrl_group *g = ctrl_view_group(v, gid);
    return g && p ? plan_leader(p, g, now_us) : (struct plan_leader){0};
}

static unsigned slots_taken(const struct ctrl_group *g)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < g->n; i++)
        taken += g->members[i].node != 0;
    return taken;
}

/* Not begun: the same questions, in the same order, as the planner asks. */
static void say_waiting(const struct ctrl_view *v, const struct ctrl_plan *p, uint32_t shard, uint64_t now_us, struct buf *why)
{
    const struct ctrl_shard *s = &v->shards[shard];
    const struct ctrl_group *to = ctrl_view_group(v, s->wanted);
    const struct plan_track *t = p && shard < p->n_tracks ? &p->tracks[shard] : NULL;
    struct plan_leader leader = leader_of(v, p, s->wanted, now_us);
    if (to && !to->founded)
        buf_printf(why, "group %lu waits for its nodes: %u of %u are there", to->gid, slots_taken(to), to->n);
    else if (p && !leader.replica)
        buf_printf(why, "waiting for group %lu's leader", s->wanted);
    else if (p && s->holder && !leader_of(v, p, s->holder, now_us).replica)
        buf_printf(why, "group %lu does not answer: its shards wait", s->holder);
    else if (s->holder && plan_disk_full(&leader))
        buf_printf(why, "the disk of group %lu's leader is full", s->wanted);
    else if (t && t->retry_us > now_us)
        buf_printf(why, "given up %u times: the next try is in %lu s", t->aborts, (t->retry_us - now_us + 999999) / 1000000);
    else
        buf_printf(why, "group %lu takes %u shards at a time: it waits its turn", s->wanted, MOVES_PER_GROUP_MAX);
}

static const char *say_moving(const struct ctrl_view *v, const struct ctrl_plan *p, uint32_t shard, uint64_t now_us, struct buf *why)
{
    const struct ctrl_shard *s = &v->shards[shard];
    struct plan_leader to = leader_of(v, p, s->target, now_us);
    const struct ctrl_report_shard *told = plan_shard(&to, shard);
    bool copying = told && told->epoch == s->epoch;
    if (s->wanted != s->target)
        buf_printf(why, "group %lu is not to have it any more: it stays for now", s->target);
    else if (p && !to.replica)
        buf_printf(why, "group %lu does not answer", s->target);
    else if (p && s->holder && !leader_of(v, p, s->holder, now_us).replica)
        buf_printf(why, "group %lu does not answer: its shards wait", s->holder);
    else if (s->holder && plan_disk_full(&to) && !(copying && told->state == KV_PREPARED))
        buf_printf(why, "the disk of group %lu's leader is full: nothing can be copied there", s->target);
    else if (copying && told->state == KV_PREPARED)
        buf_printf(why, "copied: group %lu is about to take over", s->target);
    else if (s->holder)
        buf_printf(why, "group %lu copies it from group %lu", s->target, s->holder);
    else
        buf_printf(why, "group %lu begins with it empty", s->target);
    return copying && told->state == KV_PREPARED ? "prepared" : "copying";
}

static void say_activating(const struct ctrl_view *v, const struct ctrl_plan *p, uint32_t shard, uint64_t now_us, struct buf *why)
{
    const struct ctrl_shard *s = &v->shards[shard];
    if (p && !leader_of(v, p, s->holder, now_us).replica)
        buf_printf(why, "group %lu does not answer: its shards wait", s->holder);
    else
        buf_printf(why, "group %lu is to say that it serves epoch %lu", s->holder, s->epoch);
}

static void print_move(const struct ctrl_view *v, const struct ctrl_plan *p, uint32_t shard, uint64_t now_us, struct buf *out)
{
    const struct ctrl_shard *s = &v->shards[shard];
    const struct plan_track *t = p && shard < p->n_tracks ? &p->tracks[shard] : NULL;
    struct buf why = {0};
    const char *state = "waiting";
    if (s->target) {
        state = say_moving(v, p, shard, now_us, &why);
    } else if (s->holder && !s->active) {
        state = "activating";
        say_activating(v, p, shard, now_us, &why);
    } else {
        say_waiting(v, p, shard, now_us, &why);
    }
    bool tracked = t && t->epoch == s->epoch && t->target == s->target;
    buf_printf(out, "%u from=%lu to=%lu state=%s bytes=%lu age_us=%lu why=\"%.*s\"\n", shard, s->holder,
               s->target ? s->target : s->wanted, state, tracked ? t->bytes : 0,
               tracked ? now_us - MIN(now_us, t->since_us) : 0, (int)why.len, (const char *)why.data);
    buf_release(&why);
}

void ctrl_print_moves(const struct ctrl_view *v, const struct ctrl_plan *p, uint64_t now_us, struct buf *out)
{
    for (uint32_t s = 0; s < v->nshards; s++)
        if (!shard_settled(&v->shards[s]))
            print_move(v, p, s, now_us, out);
}

/* ---- members and nodes ---- */

static const char *member_word(const struct ctrl_member *m, const struct plan_node *n, const struct ctrl_report_replica *r, uint64_t now_us)
{
    if (!m->node)
        return "unbound";
    if (!n)
        return "unheard";
    if (!plan_fresh(n, now_us))
        return "silent";
    if (!r || r->lost)
        return "absent";
    return r->leader ? "leader" : "follower";
}

void ctrl_print_progress(const struct ctrl_member *m, const struct ctrl_report_member *told, bool led, struct buf *out)
{
    if (!m->node)
        buf_printf(out, "waits for a node at %s%s", m->addr, m->replaces ? " that is no member yet" : "");
    else if (!led)
        buf_printf(out, "waits for a leader of the group");
    else if (m->state == CTRL_MEMBER_LEAVING)
        buf_printf(out, told ? "leaves as soon as a majority of the others is there" : "has left");
    else if (!told)
        buf_printf(out, "waits to be let in by the leader");
    else if (!told->recent)
        buf_printf(out, "waits for the node at %s, which is silent", m->addr);
    else if (!told->voter)
        buf_printf(out, "catches up: %lu entries behind", told->behind);
    else
        buf_printf(out, "votes now");
}

static void print_member(const struct ctrl_group *g, const struct ctrl_member *m, const struct plan_leader *l, const struct ctrl_plan *p, uint64_t now_us,
                         struct buf *out)
{
    const struct plan_node *n = p ? plan_node(p, m->node) : NULL;
    const struct ctrl_report_replica *r = n ? plan_replica(n, g->gid, g->incarnation, m->id) : NULL;
    const struct ctrl_report_member *told = plan_member(l, m->id);
    buf_printf(out, "%lu addr=%s node=%016lx state=%s", m->id, m->addr, m->node, member_word(m, n, r, now_us));
    if (r)
        buf_printf(out, " term=%lu applied=%lu log_bytes=%lu disk_bytes=%lu", r->term, r->applied, r->log_bytes, r->disk_bytes);
    if (told)
        buf_printf(out, " role=%s behind=%lu", told->voter ? "voter" : "learner", told->behind);
    if (m->replaces)
        buf_printf(out, " replaces=%lu", m->replaces);
    if (m->state != CTRL_MEMBER_IN) {
        buf_printf(out, " change=%s why=\"", m->state == CTRL_MEMBER_JOINING ? "joining" : "leaving");
        ctrl_print_progress(m, told, l->replica != NULL, out);
        buf_printf(out, "\"");
    }
    buf_printf(out, "\n");
}

void ctrl_print_members(const struct ctrl_view *v, uint64_t gid, const struct ctrl_plan *p, uint64_t now_us, struct buf *out)
{
    struct ctrl_group ctl;
    ctrl_view_controllers(v, &ctl);
    const struct ctrl_group *g = gid ? ctrl_view_group(v, gid) : &ctl;
    struct plan_leader l = g && p ? plan_leader(p, g, now_us) : (struct plan_leader){0};
    for (unsigned i = 0; g && i < g->n; i++)
        print_member(g, &g->members[i], &l, p, now_us, out);
}

static void print_groups_of(const struct ctrl_report *r, struct buf *out)
{
    for (unsigned i = 0; i < r->n_replicas; i++)
        buf_printf(out, "%s%lu", i ? "," : "", r->replicas[i].gid);
    if (r->n_replicas == 0)
        buf_printf(out, "-");
}

static void print_reporting_node(const struct plan_node *n, uint64_t now_us, struct buf *out)
{
    const struct ctrl_report *r = &n->report;
    uint64_t disk_used = 0;
    for (unsigned i = 0; i < r->n_replicas; i++)
        disk_used += r->replicas[i].disk_bytes + r->replicas[i].log_bytes;
    buf_printf(out, "%s node=%016lx state=%s version=%s uptime_us=%lu groups=", r->addr, r->node,
               plan_fresh(n, now_us) ? "up" : "silent", r->version[0] ? r->version : "-", r->boot_us);
    print_groups_of(r, out);
    buf_printf(out, " disk_used=%lu disk_free=%lu disk_total=%lu memory=%lu stall_us=%lu age_us=%lu\n", disk_used,
               r->disk_free, r->disk_total, r->memory_bytes, r->stall_us, now_us - MIN(now_us, n->received_us));
}

/* Nodes that took a slot but said nothing to this leader; each once. */
static bool bound_before(const struct ctrl_view *v, unsigned group, unsigned member)
{
    uint64_t node = v->groups[group].members[member].node;
    for (unsigned i = 0; i <= group; i++)
        for (unsigned k = 0; k < (i == group ? member : v->groups[i].n); k++)
            if (v->groups[i].members[k].node == node)
                return true;
    return false;
}

void ctrl_print_nodes(const struct ctrl_view *v, const struct ctrl_plan *p, uint64_t now_us, struct buf *out)
{
    for (unsigned i = 0; p && i < p->n_nodes; i++)
        print_reporting_node(&p->nodes[i], now_us, out);
    for (unsigned i = 0; i < v->n_groups; i++)
        for (unsigned k = 0; k < v->groups[i].n; k++) {
            const struct ctrl_member *m = &v->groups[i].members[k];
            if (m->node && !(p && plan_node(p, m->node)) && !bound_before(v, i, k))
                buf_printf(out, "%s node=%016lx state=unheard\n", m->addr, m->node);
        }
}
