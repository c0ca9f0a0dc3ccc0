/* This node and the controller: a long poll for the newest view, carrying a report of what is here.
 *
 * One poll is under way at a time. Something worth telling ends the wait: a new poll replaces the held one (the
 * controller answers the old one, which we no longer know). A controller that does not answer in time is left for the
 * next in the list (P30). */
#include "node/internal.h"

#include <stdio.h>

#define POLL_HOLD_US 1000000u
#define POLL_TIMEOUT_US 1600000u
#define POLL_RETRY_US 50000u
#define REPORT_GAP_US 20000u   /* changes within this travel in one report */

void poll_changed(struct node *n)
{
    n->report_due = true;
}

uint64_t poll_deadline_us(const struct node *n)
{
    if (n->founder || n->manifest.n_controllers == 0)
        return UINT64_MAX;
    if (!n->poll_id)
        return n->poll_next_us;
    return n->report_due ? MIN(n->poll_deadline_us, n->report_next_us) : n->poll_deadline_us;
}

/* ---- the report ---- */

static unsigned report_shards(const struct replica *r, struct ctrl_report_shard *to)
{
    unsigned count = 0;
    for (uint32_t s = 0; s < kv_nshards(r->kv); s++) {
        struct kv_shard_status status;
        kv_shard_status(r->kv, s, &status);
        /* Values count where their names are, which come last; what has come so far is what people want to see. */
        uint64_t bytes = status.state == KV_IMPORTING ? status.import_bytes : status.bytes;
        if (status.state != KV_NONE)
            to[count++] = (struct ctrl_report_shard){.shard = s, .state = status.state, .epoch = status.epoch, .keys = status.keys,
                                                     .bytes = bytes, .progress = status.import_steps + moves_steps(r, s)};
    }
    return count;
}

static void report_replica(const struct node *n, const struct replica *r, struct arena *a, struct ctrl_report_replica *to)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    *to = (struct ctrl_report_replica){
        .gid = r->desc.gid, .incarnation = r->desc.incarnation, .member = r->desc.member, .leader = replica_leads(n, r),
        .term = s.term, .applied = r->applied, .leader_member = s.leader, .log_bytes = s.log_bytes, .disk_bytes = r->disk_bytes,
    };
    if (to->leader)
        members_report(r, to);
    if (!to->leader || !r->kv)
        return;
    struct ctrl_report_shard *shards = arena_alloc(a, kv_nshards(r->kv) * sizeof(*shards));
    to->n_shards = report_shards(r, shards);
    to->shards = shards;
}

static void make_report(struct node *n, struct arena *a, struct ctrl_report *to)
{
    *to = (struct ctrl_report){.node = n->manifest.node, .boot_us = n->now_us - n->options.now_us,
                               .disk_free = n->disk_free, .disk_total = n->disk_total,
                               .memory_bytes = n->memory_bytes, .stall_us = n->stall_us};
    memcpy(to->addr, n->manifest.addr, sizeof(to->addr));
    memcpy(to->version, n->options.version, sizeof(to->version));
    struct ctrl_report_replica *replicas = arena_alloc(a, (n->n_replicas + 1) * sizeof(*replicas));
    struct replica **told = arena_alloc(a, (n->n_replicas + 1) * sizeof(*told));
    for (unsigned i = 0; i < n->n_replicas; i++) {
        struct replica *r = n->replicas[i];
        told[to->n_replicas] = r;
        if (r->state == REPLICA_RUNNING)
            report_replica(n, r, a, &replicas[to->n_replicas++]);
        else
            replicas[to->n_replicas++] = (struct ctrl_report_replica){
                .gid = r->desc.gid, .incarnation = r->desc.incarnation, .member = r->desc.member, .lost = r->state == REPLICA_REFUSED};
    }
    to->replicas = replicas;
    metrics_report(n, told, to->n_replicas, a, to);
}

/* ---- asking ---- */

/* Those that the cluster named last, then those of the command line: all may have been replaced while this node was away. */
const char *poll_controller(const struct node *n)
{
    unsigned known = n->manifest.n_controllers, at = n->poll_member % (known + n->options.n_controllers);
    if (n->poll_addr[0])
        return n->poll_addr;
    return at < known ? n->manifest.controllers[at] : n->options.controllers[at - known];
}

static void poll_send(struct node *n)
{
    struct msg m = {.kind = MSG_POLL, .id = n->next_request++,
                    .poll = {.version = n->view.version, .hold_us = POLL_HOLD_US, .has_report = !n->view_saving}};
    arena_reset(&n->arena);
    make_report(n, &n->arena, &m.poll.report);
    n->poll_id = m.id;
    n->poll_deadline_us = n->now_us + POLL_TIMEOUT_US;
    n->report_due = false;
    n->report_next_us = n->now_us + REPORT_GAP_US;
    node_send(n, poll_controller(n), &m);
}

static void poll_elsewhere(struct node *n, const char *hint)
{
    n->poll_id = 0;
    n->poll_next_us = n->now_us + (hint[0] ? 1000 : POLL_RETRY_US);
    if (hint[0] && strcmp(hint, poll_controller(n)) != 0) {
        strncpy(n->poll_addr, hint, sizeof(n->poll_addr) - 1);
        return;
    }
    n->poll_addr[0] = 0;
    n->poll_member++;
    n->poll_next_us = n->now_us + POLL_RETRY_US;
}

void poll_tick(struct node *n)
{
    if (n->manifest.n_controllers == 0 || n->founder)
        return;
    if (n->poll_id && n->now_us >= n->poll_deadline_us)
        poll_elsewhere(n, "");
    if (!n->poll_id ? n->now_us >= n->poll_next_us : n->report_due && n->now_us >= n->report_next_us)
        poll_send(n);
}

/* ---- the view ---- */

/* An address that no node has answered from may be a slip of the pen. */
static unsigned controllers_told(const struct ctrl_view *v, char addrs[MEMBERS_MAX][ADDR_BYTES_MAX])
{
    unsigned count = 0;
    for (unsigned i = 0; i < v->n_controllers; i++)
        if (v->controllers[i].node)
            memcpy(addrs[count++], v->controllers[i].addr, ADDR_BYTES_MAX);
    return count;
}

static void learn_controllers(struct node *n)
{
    struct manifest *m = &n->manifest;
    char addrs[MEMBERS_MAX][ADDR_BYTES_MAX];
    unsigned count = controllers_told(&n->view, addrs);
    bool same = m->n_controllers == count;
    for (unsigned i = 0; same && i < count; i++)
        same = strcmp(m->controllers[i], addrs[i]) == 0;
    if (same || count == 0)
        return;
    m->n_controllers = count;
    memcpy(m->controllers, addrs, count * sizeof(addrs[0]));
    node_save_manifest(n);
}

static bool group_makes_sense(const struct ctrl_group *g)
{
    for (unsigned i = 0; i < g->n; i++) {
        if (g->members[i].id == 0)
            return false;
        for (unsigned k = 0; k < i; k++)
            if (g->members[k].id == g->members[i].id)
                return false;
    }
    return true;
}

/* What a view says becomes replicas and lists that outlive it, so nonsense stops here. */
static bool view_makes_sense(const struct node *n, const struct ctrl_view *v)
{
    bool sense = v->nshards && (n->view.version == 0 || v->nshards == n->view.nshards);
    for (unsigned i = 0; sense && i < v->n_controllers; i++)
        sense = v->controllers[i].addr[0] != 0;
    for (unsigned i = 0; sense && i < v->n_groups; i++)
        sense = v->groups[i].gid && group_makes_sense(&v->groups[i]);
    struct ctrl_group ctl;
    ctrl_view_controllers(v, &ctl);
    return sense && group_makes_sense(&ctl);
}

static struct replica *replica_of(struct node *n, uint64_t gid, uint64_t incarnation, uint64_t member)
{
    for (unsigned i = 0; i < n->n_replicas; i++) {
        const struct manifest_replica *d = &n->replicas[i]->desc;
        if (d->gid == gid && d->incarnation == incarnation && d->member == member)
            return n->replicas[i];
    }
    return NULL;
}

static void host(struct node *n, const struct ctrl_group *g, const struct ctrl_member *me)
{
    if (n->n_replicas >= REPLICAS_MAX) { /* one that is deleted is among them until the manifest says so: it is reported */
        if (n->said_no_room)
            return;
        n->said_no_room = true;
        node_event(n, "group %llu: this node holds %u replicas already and takes no more", (unsigned long long)g->gid, REPLICAS_MAX);
        return;
    }
    n->said_no_room = false;
    struct manifest_replica *m = &n->manifest.replicas[n->manifest.n_replicas++];
    *m = (struct manifest_replica){.gid = g->gid, .incarnation = g->incarnation, .member = me->id,
                                   .nshards = n->view.nshards, .blank = true};
    for (unsigned i = 0; me->founding && i < g->n; i++) {
        if (!g->members[i].founding)
            continue;
        struct raft_member *to = &m->founding.members[m->founding.n++];
        *to = (struct raft_member){.id = g->members[i].id, .node = g->members[i].node, .voter = true};
        memcpy(to->addr, g->members[i].addr, ADDR_BYTES_MAX);
    }
    replica_create(n, m);
    node_event(n, "group %llu: this node becomes member %llu", (unsigned long long)g->gid, (unsigned long long)me->id);
    node_save_manifest(n);
}

static void host_in(struct node *n, const struct ctrl_group *g)
{
    for (unsigned i = 0; g->founded && i < g->n; i++) {
        const struct ctrl_member *m = &g->members[i];
        bool ours = m->node == n->manifest.node && m->state != CTRL_MEMBER_LEAVING;
        if (ours && !replica_of(n, g->gid, g->incarnation, m->id))
            host(n, g, m);
    }
}

/* The controller says what this node hosts (P1: only slots bound to our node id). A founding controller has its replica by
 * the founding record, never by a view. */
static void host_what_is_ours(struct node *n)
{
    struct ctrl_group ctl;
    ctrl_view_controllers(&n->view, &ctl);
    for (unsigned i = 0; i < ctl.n; i++)
        if (ctl.members[i].founding)
            ctl.members[i].node = 0;
    host_in(n, &ctl);
    for (unsigned i = 0; i < n->view.n_groups; i++)
        host_in(n, &n->view.groups[i]);
}

/* Nothing of it is on its way to the disk; but what waits for space may wait for ever, and the end of this replica gives some (P29). */
static bool may_be_deleted(const struct replica *r)
{
    switch (r->state) {
    case REPLICA_RUNNING:
        return !r->saving && !r->flushing && !transfer_reads(r) && (replica_idle_on_disk(r) || r->disk_full || r->resetting);
    case REPLICA_OPENING: return r->dirty; /* it is being opened, and not about to be */
    case REPLICA_DELETING: case REPLICA_DELETED: return false;
    case REPLICA_SAVING: case REPLICA_INSTALLING: case REPLICA_REFUSED: return true;
    }
    ASSERT(false);
}

/* This node never had it, and says so; then the controller forgets the tombstone. An older view, from a controller that lags, would make this node
 * host it after all, once it has started again, and nobody would ever delete that: so the older views are out before it is said. */
static void outdate_older_views(struct node *n)
{
    if (n->manifest.view >= n->view.version)
        return;
    n->manifest.view = n->view.version;
    n->view_saving = true;
    node_save_manifest(n);
}

/* A replica is deleted only on a committed tombstone that names it (P4). */
static void bury(struct node *n)
{
    for (unsigned i = 0; i < n->view.n_tombstones; i++) {
        const struct ctrl_tombstone *t = &n->view.tombstones[i];
        if (t->node != n->manifest.node)
            continue;
        struct replica *r = replica_of(n, t->gid, t->incarnation, t->member);
        if (!r)
            outdate_older_views(n);
        if (!r || !may_be_deleted(r))
            continue;
        node_event(n, "group %llu: member %llu is one no more: deleting its files", (unsigned long long)t->gid,
                   (unsigned long long)t->member);
        serve_drop_reads(n, r, true);
        transfer_free(r);
        install_free(r);
        if (r->ctrl)
            admin_close(n, r);
        replica_close_machine(r);
        r->state = REPLICA_DELETING;
        out_effect(&n->out, &(struct node_effect){.kind = NODE_DELETE_REPLICA, .replica = r->id});
    }
}

static bool adopt_cluster(struct node *n, const struct msg *m)
{
    uint64_t cluster = m->view.view.cluster;
    if (n->manifest.cluster == cluster)
        return true;
    if (n->manifest.cluster || cluster == 0 || n->founder)
        return false;
    n->manifest.cluster = cluster;
    node_save_manifest(n);
    node_event(n, "this node is part of cluster %016llx now", (unsigned long long)cluster);
    return true;
}

static void take_view(struct node *n, const struct msg *m)
{
    if (!adopt_cluster(n, m) || m->view.view.version <= n->view.version || m->view.view.version < n->manifest.view)
        return;
    ctrl_view_release(&n->view);
    ctrl_view_copy(&m->view.view, &n->view);
    learn_controllers(n);
    host_what_is_ours(n);
    for (unsigned i = 0; i < n->n_replicas; i++) {
        struct replica *r = n->replicas[i];
        if (r->state != REPLICA_RUNNING || !r->kv)
            continue;
        members_look(r);
        members_tick(n, r);
        moves_tick(n, r);
    }
}

void poll_view(struct node *n, const struct msg *m)
{
    if (m->id != n->poll_id || m->id == 0)
        return;
    if (m->view.err) {
        poll_elsewhere(n, m->view.leader_addr);
        return;
    }
    if (m->view.changed && !view_makes_sense(n, &m->view.view)) {
        n->dropped++;
        poll_elsewhere(n, "");
        return;
    }
    n->poll_id = 0;
    n->poll_next_us = n->now_us;
    if (m->view.changed)
        take_view(n, m);
    host_what_is_ours(n);
    bury(n);
    if (!n->report_due || n->now_us >= n->report_next_us)
        poll_send(n);
}
