/* Members come and go while everything else goes wrong: added, removed, kept after all, replaced; and machines lose their
 * disks and come back blank at the same address. One machine at a time, and only where everybody else is in place: what is lost
 * with it must be no more than any group can bear. Then the administrator puts it right, as one would. */
#include <inttypes.h>

#include "tests/sim/sim.h"

#define GAP_US 2500000u
#define OLD_REPORT_US 4000000u   /* what a node said counts for 3 s */
#define MEMBERS_MANY 5u

void members_begin(struct sim *s)
{
    struct sim_members *c = &s->members;
    prng_init(&c->prng, s->seed ^ UINT64_C(0x6d656d62657273));
    c->on = prng_chance(&c->prng, 2, 3);
    c->wipes = prng_chance(&c->prng, 2, 3);
    if (c->on)
        sim_at(s, prng_below(&c->prng, GAP_US), (struct sim_event){.kind = SIM_MEMBERS});
}

/* ---- what is known ---- */

/* The newest view that any controller has applied; NULL: the newest that ever was cannot be seen now. */
static const struct ctrl_view *newest(const struct sim *s)
{
    const struct ctrl_view *v = NULL;
    struct node_replica_info i;
    for (unsigned m = 0; m < s->n_machines; m++)
        for (unsigned k = 0; s->machines[m].node && node_replica_info(s->machines[m].node, k, &i); k++)
            if (i.ctrl && (!v || ctrl_view(i.ctrl)->version > v->version))
                v = ctrl_view(i.ctrl);
    return v && v->version && v->version >= s->members.version_seen ? v : NULL;
}

/* Number i of them: the controller is 0. */
static bool group_number(const struct ctrl_view *v, unsigned i, struct ctrl_group *ret_g)
{
    if (i == 0)
        ctrl_view_controllers(v, ret_g);
    else if (i <= v->n_groups)
        *ret_g = v->groups[i - 1];
    return i <= v->n_groups;
}

static const struct ctrl_member *with_node(const struct ctrl_group *g, uint64_t node)
{
    for (unsigned i = 0; node && i < g->n; i++)
        if (g->members[i].node == node)
            return &g->members[i];
    return NULL;
}

static const struct ctrl_member *in_state(const struct ctrl_group *g, enum ctrl_member_state state)
{
    for (unsigned i = 0; i < g->n; i++)
        if (g->members[i].state == state)
            return &g->members[i];
    return NULL;
}

static bool quiet(const struct ctrl_group *g)
{
    return g->founded && !in_state(g, CTRL_MEMBER_JOINING) && !in_state(g, CTRL_MEMBER_LEAVING);
}

static bool node_alive(const struct sim *s, uint64_t node)
{
    for (unsigned m = 0; m < s->n_machines; m++)
        if (s->machines[m].node && node_id(s->machines[m].node) == node)
            return true;
    return false;
}

bool members_wiped(const struct sim *s, uint64_t node)
{
    for (unsigned i = 0; i < s->members.n_wiped; i++)
        if (s->members.wiped[i] == node)
            return true;
    return false;
}

bool members_told_apart(const struct sim *s) { return s->members.n_wiped == 0 || s->now_us > s->members.wiped_us + OLD_REPORT_US; }

static const struct ctrl_member *lost_in(const struct sim *s, const struct ctrl_group *g)
{
    for (unsigned i = 0; i < g->n; i++)
        if (members_wiped(s, g->members[i].node))
            return &g->members[i];
    return NULL;
}

/* ---- the administrator ---- */

static void say(struct sim *s, enum ctrl_op op, uint64_t gid, uint64_t member, const char *addr)
{
    struct ctrl_command k = {.op = op, .gid = gid, .member = member};
    if (addr)
        memcpy(k.addr, addr, sizeof(k.addr));
    if (caller_admin_command(s, &k)) {
        s->counts.member_changes++;
        sim_trace(s, "admin: member op %d of group %" PRIu64 ", member %" PRIu64 " %s", (int)op, gid, member, addr ? addr : "");
    }
}

/* A machine at whose address there is no member. */
static const char *elsewhere(struct sim *s, const struct ctrl_group *g)
{
    unsigned first = (unsigned)prng_below(&s->members.prng, s->n_machines);
    for (unsigned i = 0; i < s->n_machines; i++) {
        const char *addr = s->machines[(first + i) % s->n_machines].addr;
        bool free = true;
        for (unsigned k = 0; k < g->n; k++)
            free &= strcmp(g->members[k].addr, addr) != 0;
        if (free)
            return addr;
    }
    return NULL;
}

static const struct ctrl_member *any(struct sim *s, const struct ctrl_group *g) { return &g->members[prng_below(&s->members.prng, g->n)]; }

/* At its own address only if what was there is lost: a node is a member once. */
static void replace(struct sim *s, const struct ctrl_group *g, const struct ctrl_member *m)
{
    bool lost = members_wiped(s, m->node);
    const char *addr = lost && prng_chance(&s->members.prng, 1, 2) ? m->addr : elsewhere(s, g);
    if (addr || lost)
        say(s, CTRL_ADD_MEMBER, g->gid, m->id, addr ? addr : m->addr);
}

static void change(struct sim *s, const struct ctrl_view *v)
{
    struct ctrl_group g;
    group_number(v, (unsigned)prng_below(&s->members.prng, v->n_groups + 1), &g);
    const struct ctrl_member *joining = in_state(&g, CTRL_MEMBER_JOINING), *leaving = in_state(&g, CTRL_MEMBER_LEAVING);
    uint64_t dice = prng_below(&s->members.prng, 5);
    if (g.n == 0 || !g.founded)
        return;
    if (leaving && dice == 0)
        say(s, CTRL_KEEP_MEMBER, g.gid, leaving->id, NULL);
    else if (joining && dice == 0)
        say(s, CTRL_REMOVE_MEMBER, g.gid, joining->id, NULL);
    else if (g.n < MEMBERS_MANY && dice == 1 && elsewhere(s, &g))
        say(s, CTRL_ADD_MEMBER, g.gid, 0, elsewhere(s, &g));
    else if (g.n >= 3 && dice == 2)
        say(s, CTRL_REMOVE_MEMBER, g.gid, any(s, &g)->id, NULL);
    else if (dice == 3)
        replace(s, &g, any(s, &g));
    else if (dice == 4)
        say(s, CTRL_TRANSFER, g.gid, any(s, &g)->id, NULL);
}

/* ---- a machine loses its disk ---- */

/* Nobody else is missing anywhere, everybody has voters enough without this one, and it is not the whole list of those who
 * would found a cluster anew. Nor is a command under way that could make one leave whom a group needs then: its leader may have
 * heard just before from the one that is lost, and what it then writes cannot be taken back. */
static bool may_wipe(const struct sim *s, const struct ctrl_view *v, const struct sim_machine *m)
{
    struct ctrl_group g;
    if (!m->node || s->members.n_wiped == SIM_WIPES_MAX || !caller_quiet(&s->callers[0]) ||
        (m->index < s->n_controllers && s->n_controllers < 3))
        return false;
    for (unsigned i = 0; group_number(v, i, &g); i++)
        if (!quiet(&g) || lost_in(s, &g) || (with_node(&g, node_id(m->node)) && g.n < 3))
            return false;
    return true;
}

static void wipe(struct sim *s, const struct ctrl_view *v)
{
    struct sim_machine *m = &s->machines[prng_below(&s->members.prng, s->n_machines)];
    if (!may_wipe(s, v, m))
        return;
    s->members.wiped[s->members.n_wiped++] = node_id(m->node);
    s->members.wiped_us = s->now_us;
    s->members.version_seen = MAX(s->members.version_seen, v->version);
    s->counts.wipes++;
    machine_crash(s, m);
    machine_lose_disk(m);
    sim_trace(s, "%s has lost its disk", m->addr);
    sim_at(s, prng_between(&s->members.prng, 1000, 2500000), (struct sim_event){.kind = SIM_RESTART, .who = m->index});
}

/* True: there was something to do, or to wait for. */
static bool repair_group(struct sim *s, const struct ctrl_group *g)
{
    const struct ctrl_member *lost = lost_in(s, g);
    const struct ctrl_member *joining = in_state(g, CTRL_MEMBER_JOINING), *leaving = in_state(g, CTRL_MEMBER_LEAVING);
    if (!lost)
        return false;
    if (leaving && leaving != lost)
        say(s, CTRL_KEEP_MEMBER, g->gid, leaving->id, NULL);
    else if (joining && (joining == lost || prng_chance(&s->members.prng, 1, 8)))
        say(s, CTRL_REMOVE_MEMBER, g->gid, joining->id, NULL);
    else if (!joining && !leaving && g->n > 3 && prng_chance(&s->members.prng, 1, 4))
        say(s, CTRL_REMOVE_MEMBER, g->gid, lost->id, NULL);
    else if (!joining && !leaving)
        replace(s, g, lost);
    return true;
}

static bool repair(struct sim *s, const struct ctrl_view *v)
{
    struct ctrl_group g;
    bool busy = false;
    for (unsigned i = 0; !busy && group_number(v, i, &g); i++)
        busy = repair_group(s, &g);
    return busy;
}

void members_event(struct sim *s)
{
    const struct ctrl_view *v = newest(s);
    if (!s->faults_on)
        return;
    bool busy = v && repair(s, v);
    if (v && !busy && s->members.wipes && prng_chance(&s->members.prng, 1, 3))
        wipe(s, v);
    else if (v && !busy)
        change(s, v);
    sim_at(s, prng_below(&s->members.prng, busy ? GAP_US / 4 : GAP_US), (struct sim_event){.kind = SIM_MEMBERS});
}

/* ---- in the end: whoever could come or go has ---- */

static bool group_settled(const struct sim *s, const struct ctrl_group *g)
{
    return !g->founded || lost_in(s, g) || quiet(g);
}

/* Does the controller know of it, so that it is used or will be deleted? */
static bool known_to(const struct ctrl_view *v, const struct manifest_replica *r)
{
    struct ctrl_group g;
    for (unsigned i = 0; group_number(v, i, &g); i++)
        for (unsigned k = 0; g.gid == r->gid && g.incarnation == r->incarnation && k < g.n; k++)
            if (g.members[k].id == r->member)
                return true;
    for (unsigned i = 0; i < v->n_tombstones; i++)
        if (v->tombstones[i].gid == r->gid && v->tombstones[i].incarnation == r->incarnation && v->tombstones[i].member == r->member)
            return true;
    return false;
}

/* A replica in somebody's manifest that would stay there for ever. */
static const struct sim_machine *stray(const struct sim *s, const struct ctrl_view *v, struct manifest_replica *ret_r)
{
    struct manifest manifest;
    for (unsigned i = 0; i < s->n_machines; i++) {
        const struct sim_machine *m = &s->machines[i];
        if (!m->node || !m->has_manifest || manifest_decode(buf_bytes(&m->manifest), &manifest))
            continue;
        for (unsigned k = 0; k < manifest.n_replicas; k++)
            if (!known_to(v, &manifest.replicas[k])) {
                *ret_r = manifest.replicas[k];
                return m;
            }
    }
    return NULL;
}

bool members_settled(const struct sim *s)
{
    const struct ctrl_view *v = newest(s);
    struct ctrl_group g;
    struct manifest_replica r;
    for (unsigned i = 0; v && group_number(v, i, &g); i++)
        if (!group_settled(s, &g))
            return false;
    for (unsigned i = 0; v && i < v->n_tombstones; i++)
        if (node_alive(s, v->tombstones[i].node))
            return false;
    return v && !stray(s, v, &r);
}

static void tell_group(const struct sim *s, const struct ctrl_group *g, struct buf *out)
{
    if (group_settled(s, g))
        return;
    buf_printf(out, "; group %" PRIu64 ":", g->gid);
    for (unsigned i = 0; i < g->n; i++)
        buf_printf(out, " %" PRIu64 " at %s %s", g->members[i].id, g->members[i].addr,
                   (const char *[]){"", g->members[i].node ? "joins" : "joins, without a node", "leaves"}[g->members[i].state]);
}

void members_tell(const struct sim *s, struct buf *out)
{
    const struct ctrl_view *v = newest(s);
    struct ctrl_group g;
    for (unsigned i = 0; v && group_number(v, i, &g); i++)
        tell_group(s, &g, out);
    for (unsigned i = 0; v && i < v->n_tombstones; i++)
        if (node_alive(s, v->tombstones[i].node))
            buf_printf(out, "; member %" PRIu64 " of group %" PRIu64 " is not deleted", v->tombstones[i].member, v->tombstones[i].gid);
    struct manifest_replica r;
    const struct sim_machine *m = v ? stray(s, v, &r) : NULL;
    if (m)
        buf_printf(out, "; %s holds member %" PRIu64 " of group %" PRIu64 ", which nobody will delete", m->addr, r.member, r.gid);
    if (!v)
        buf_printf(out, "; no controller has the newest view");
}

/* ---- invariants ---- */

static struct sim_config *config_of(struct sim_members *c, uint64_t gid, uint64_t incarnation)
{
    for (unsigned i = 0; i < c->n_configs; i++)
        if (c->configs[i].gid == gid && c->configs[i].incarnation == incarnation)
            return &c->configs[i];
    struct sim_config *found = &c->configs[c->n_configs < SIM_CONFIGS_MAX ? c->n_configs++ : prng_below(&c->prng, SIM_CONFIGS_MAX)];
    *found = (struct sim_config){.gid = gid, .incarnation = incarnation};
    return found;
}

/* A leader changes its group one entry at a time, after an entry of its own term was committed (4.1 and its correction), and
 * what is in its log counts at once. */
static void check_changes(struct sim *s, const struct node_replica_info *i, const struct raft_status *st)
{
    unsigned open = 0, own = 0;
    for (uint64_t at = st->commit + 1; at <= st->last_index; at++) {
        const struct raft_entry *e = raft_entry_at(i->raft, at);
        if (!e || e->kind != RAFT_CONFIG)
            continue;
        open++;
        own += e->term == st->term;
        if (raft_config_index(i->raft) < at)
            sim_fail(s, "group %" PRIu64 ", member %" PRIu64 ": the configuration at %" PRIu64 " is in the log and does not count", i->gid,
                     i->member, at);
    }
    if (own && (open > 1 || raft_term_at(i->raft, st->commit) != st->term))
        sim_fail(s, "group %" PRIu64 ": the leader of term %" PRIu64 " began a change of its members too early", i->gid, st->term);
}

/* What is in force is in the log, or was when the log before it was compacted. */
static void check_in_force(struct sim *s, const struct node_replica_info *i, const struct raft_status *st)
{
    uint64_t at = raft_config_index(i->raft);
    const struct raft_entry *e = raft_entry_at(i->raft, at);
    if (at > st->last_index || (e && e->kind != RAFT_CONFIG))
        sim_fail(s, "group %" PRIu64 ", member %" PRIu64 ": the configuration in force, of index %" PRIu64 ", is not in its log", i->gid, i->member,
                 at);
}

static void note_config(struct sim *s, const struct node_replica_info *i, const struct raft_status *st)
{
    struct sim_config *c = config_of(&s->members, i->gid, i->incarnation);
    uint64_t index = raft_config_index(i->raft);
    if (index > st->commit || index < c->index || (index == c->index && c->config.n))
        return;
    if (index > c->index && c->config.wish > raft_config(i->raft)->wish)
        sim_fail(s, "group %" PRIu64 ": the configuration at %" PRIu64 " follows an older wish than the one before", i->gid, index);
    c->index = index;
    c->config = *raft_config(i->raft);
}

void members_check(struct sim *s, const struct node_replica_info *i, const struct raft_status *st)
{
    if (i->ctrl)
        s->members.version_seen = MAX(s->members.version_seen, ctrl_view(i->ctrl)->version);
    check_in_force(s, i, st);
    note_config(s, i, st);
    if (st->role == RAFT_LEADER)
        check_changes(s, i, st);
}

/* Nobody deletes what its group still counts on. */
void members_check_delete(struct sim *s, uint64_t gid, uint64_t incarnation, uint64_t member)
{
    const struct ctrl_view *v = newest(s);
    const struct ctrl_group *g = v && gid ? ctrl_view_group(v, gid) : NULL;
    if (!v || (gid && (!g || g->incarnation != incarnation)))
        return; /* the whole group is over */
    const struct raft_member *m = raft_config_member(&config_of(&s->members, gid, incarnation)->config, member);
    if (m && m->voter)
        sim_fail(s, "group %" PRIu64 ": member %" PRIu64 " deletes what it holds while its group counts on it", gid, member);
}
