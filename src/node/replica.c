/* One replica: its life from opening to its end, and the turn of its core (what goes on between them is drawn in
 * internal.h; the log's batches are in pipeline.c, committed entries in apply.c). */
#include "base/mutant.h"
#include "node/internal.h"

/* ---- lifecycle ---- */

struct replica *replica_create(struct node *n, const struct manifest_replica *desc)
{
    struct replica *r = mem_zalloc(sizeof(*r));
    r->id = n->next_replica++;
    r->desc = *desc;
    n->replicas = mem_realloc(n->replicas, (n->n_replicas + 1) * sizeof(*n->replicas));
    n->replicas[n->n_replicas++] = r;
    return r;
}

void replica_close_machine(struct replica *r)
{
    kv_free(r->kv);
    ctrl_free(r->ctrl);
    r->kv = NULL;
    r->ctrl = NULL;
}

void replica_free(struct replica *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < r->n_reads; i++)
        mem_free(r->reads[i].request);
    replica_close_machine(r);
    if (r->plan)
        ctrl_plan_free(r->plan);
    if (r->raft)
        raft_free(r->raft);
    pipeline_release(r);
    apply_release(r);
    mem_free(r->reads);
    mem_free(r->nudges);
    mem_free(r->crossings);
    mem_free(r->pulls);
    mem_free(r);
}

static void refuse_replica(struct node *n, struct replica *r, const char *why)
{
    r->state = REPLICA_REFUSED;
    node_fail(n, "group %llu, member %llu: %s", (unsigned long long)r->desc.gid, (unsigned long long)r->desc.member, why);
}

/* A log that is gone took promises with it: such a member never votes again. It stays, silent, until the controller
 * has it deleted (P1). A blank one has promised nothing yet. */
static bool log_was_lost(struct node *n, struct replica *r, const struct wal_recovered *w)
{
    if (!w->created || r->desc.blank)
        return false;
    r->state = REPLICA_REFUSED;
    node_event(n, "group %llu: the log of member %llu is missing: it will not vote again, another member must take its place",
               (unsigned long long)r->desc.gid, (unsigned long long)r->desc.member);
    return true;
}

static bool log_fits_table(const struct replica *r, const struct wal_recovered *w)
{
    uint64_t last = w->compacted_index + w->n_entries;
    if (r->applied > last)
        return false;
    uint64_t term = r->applied == w->compacted_index ? w->compacted_term
                                                     : w->entries[r->applied - w->compacted_index - 1].term;
    return term == r->applied_term;
}

static void start_raft(struct node *n, struct replica *r, const struct wal_recovered *w)
{
    struct raft_restored restored = {
        .hard_state = w->hard_state, .compacted_index = w->compacted_index, .compacted_term = w->compacted_term, .n_kept = w->n_kept,
        .config = r->applied_config, .applied = MUTANT(replayed_from_log) ? MIN(r->applied, w->compacted_index) : r->applied, .n_entries = w->n_entries, .entries = w->entries,
    };
    /* A table may be ahead of its own log: others had made the entries durable. Then the table is the truth (P23). */
    if (!log_fits_table(r, w)) {
        r->resetting = true;
        restored.compacted_index = r->applied;
        restored.compacted_term = r->applied_term;
        restored.n_entries = 0;
        restored.n_kept = 0;
        out_effect(&n->out, &(struct node_effect){.kind = NODE_RESET_LOG, .replica = r->id,
                                                  .index = r->applied, .term = r->applied_term});
    }
    restored.hard_state.commit = MAX(restored.hard_state.commit, r->applied);
    restored.hard_state.term = MAX(restored.hard_state.term, r->applied_term);
    struct raft_options options = {
        .id = r->desc.member, .seed = prng_next(&n->prng), .election_us = n->options.election_us,
        .heartbeat_us = n->options.heartbeat_us, .now_us = n->now_us,
        .append_entries_max = n->options.append_entries_max,
    };
    r->raft = raft_new(&options, &restored);
    r->state = REPLICA_RUNNING;
    r->dirty = true;
}

/* From here on a missing log means a lost disk, never a new member (P1). */
static void not_blank(struct node *n, struct replica *r)
{
    r->desc.blank = false;
    for (unsigned k = 0; k < n->manifest.n_replicas; k++)
        if (n->manifest.replicas[k].member == r->desc.member && n->manifest.replicas[k].gid == r->desc.gid)
            n->manifest.replicas[k].blank = false;
    node_save_manifest(n);
}

static bool log_is_empty(const struct wal_recovered *w)
{
    return w->n_entries == 0 && w->compacted_index == 0 && w->hard_state.term == 0;
}

void replica_opened(struct node *n, struct replica *r, const struct node_input *i)
{
    if (r->state == REPLICA_DELETING) { /* it waited for space */
        kv_free(i->kv);
        return;
    }
    if (i->err) {
        refuse_replica(n, r, i->why && i->why[0] ? i->why : rgkv_err_sentence(i->err));
        return;
    }
    const struct wal_recovered *w = i->recovered;
    r->table = i->table;
    r->disk_bytes = i->disk_bytes;
    if (log_was_lost(n, r, w)) {
        kv_free(i->kv);
        return;
    }
    enum rgkv_err err = replica_open_machine(n, r, i->kv);
    if (err) {
        refuse_replica(n, r, "its table cannot be read, it is damaged: see FAILURES in rgkvd(8)");
        return;
    }
    if (w->compacted_index > r->applied) {
        refuse_replica(n, r, "its table is older than its log begins, files are missing: see FAILURES in rgkvd(8)");
        return;
    }
    if (w->torn_bytes)
        node_event(n, "group %llu: cut %llu bytes of an unfinished write off the log", (unsigned long long)r->desc.gid,
                   (unsigned long long)w->torn_bytes);
    if (r->desc.blank)
        not_blank(n, r);
    /* A new member says nothing before that is durable: whoever voted is never taken for new again. */
    if (n->manifest_saving && log_is_empty(w)) {
        r->state = REPLICA_SAVING;
        return;
    }
    start_raft(n, r, w);
    poll_changed(n);
}

void replica_saved(struct node *n, struct replica *r)
{
    static const struct wal_recovered empty;
    if (r->state != REPLICA_SAVING)
        return;
    start_raft(n, r, &empty);
    poll_changed(n);
}

/* ---- who and where ---- */

static const char *addr_in(const struct ctrl_member *members, unsigned count, uint64_t member)
{
    for (unsigned i = 0; i < count; i++)
        if (members[i].id == member && members[i].addr[0])
            return members[i].addr;
    return NULL;
}

/* The view knows where a node listens now; the configuration, where it did when it was written. */
const char *replica_member_addr(const struct node *n, const struct replica *r, uint64_t member)
{
    const struct ctrl_group *g = r->desc.gid ? ctrl_view_group(&n->view, r->desc.gid) : NULL;
    const char *addr = NULL;
    if (g && g->incarnation == r->desc.incarnation)
        addr = addr_in(g->members, g->n, member);
    else if (r->desc.gid == 0)
        addr = addr_in(n->view.controllers, n->view.n_controllers, member);
    if (addr)
        return addr;
    const struct raft_member *m = raft_config_member(raft_config(r->raft), member);
    return m && m->addr[0] ? m->addr : NULL;
}

/* A member that lags knows those not who came since: it answers them where they spoke, or they could not win its vote and nobody could
 * lead the group (section 4.1: a server answers whoever asks, whatever its own configuration says). */
struct buf *replica_out_to(struct node *n, const struct replica *r, uint64_t member)
{
    const char *addr = replica_member_addr(n, r, member);
    if (addr)
        return out_to_addr(&n->out, addr);
    return member == r->stranger.member && r->stranger.conn ? out_to_conn(&n->out, r->stranger.conn) : NULL;
}

const char *replica_leader_addr(const struct node *n, const struct replica *r, uint64_t *ret_member)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    if (ret_member)
        *ret_member = s.leader;
    const char *addr = s.leader ? replica_member_addr(n, r, s.leader) : NULL;
    return addr ? addr : "";
}

bool replica_is_leader(const struct replica *r) { return r->role == RAFT_LEADER; }

bool replica_serves(const struct node *n, const struct replica *r)
{
    struct raft_status s;
    if (!replica_is_leader(r) || !n->stopping)
        return replica_is_leader(r);
    raft_status(r->raft, &s);
    return !s.transferring;
}

bool replica_leads(const struct node *n, const struct replica *r)
{
    struct raft_status s;
    if (!replica_is_leader(r))
        return false;
    raft_status(r->raft, &s);
    return raft_config_voters(raft_config(r->raft)) == 1 || s.lease_contact_us + n->options.election_us >= n->now_us;
}

uint64_t replica_time_us(const struct node *n, const struct replica *r)
{
    return r->time_base_us + (n->now_us - r->mono_base_us);
}

/* ---- into the core ---- */

enum rgkv_err replica_step(struct node *n, struct replica *r, struct raft_input *in)
{
    in->now_us = n->now_us;
    r->dirty = true;
    return raft_step(r->raft, in);
}

enum rgkv_err replica_propose(struct node *n, struct replica *r, struct blob *payload, uint64_t conn, uint64_t request_id)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    struct raft_input in = {.kind = RAFT_PROPOSED, .n_payloads = 1, .payloads = &payload};
    enum rgkv_err err = replica_step(n, r, &in);
    if (!err && conn)
        apply_wait(r, (struct waiter){s.last_index + 1, s.term, conn, request_id});
    blob_unref(payload);
    return err;
}

/* ---- the ready ---- */

static void role_changed(struct node *n, struct replica *r)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    bool led = r->role == RAFT_LEADER, leads = s.role == RAFT_LEADER;
    bool again = led && leads && r->role_term != s.term;
    r->elections += leads && (!led || again);
    r->role = s.role;
    r->role_term = s.term;
    if (leads && (!led || again)) {
        r->time_base_us = r->kv ? kv_time_us(r->kv) : ctrl_time_us(r->ctrl);
        r->mono_base_us = n->now_us;
        node_event(n, "group %llu: member %llu leads in term %llu", (unsigned long long)r->desc.gid,
                   (unsigned long long)r->desc.member, (unsigned long long)s.term);
    }
    if (led && !leads)
        serve_drop_reads(n, r, true);
    if (r->ctrl)
        admin_role_changed(n, r);
    members_look(r);
    poll_changed(n);
}

void replica_collect(struct node *n, struct replica *r)
{
    struct raft_ready ready;
    r->dirty = false;
    raft_collect(r->raft, &ready);
    r->snapshot_accepted = ready.snapshot_accepted;
    pipeline_send(n, r, ready.messages, ready.n_messages);
    pipeline_take(n, r, &ready);
    apply_queue(r, &ready);
    for (unsigned i = ready.n_reads; i-- > 0;) /* who is refused goes from the end of those who wait */
        serve_read_result(n, r, &ready.reads[i]);
    uint64_t peers[MEMBERS_MAX];
    unsigned n_peers = ready.n_snapshot_peers;
    ASSERT(n_peers <= MEMBERS_MAX);
    memcpy(peers, ready.snapshot_peers, n_peers * sizeof(*peers));
    for (unsigned i = 0; i < ready.n_fetches; i++)
        out_effect(&n->out, &(struct node_effect){.kind = NODE_READ_LOG, .replica = r->id, .fetch = ready.fetches[i]});
    /* Nothing of the ready is used from here on: the steps below end it. */
    if (ready.role_changed)
        role_changed(n, r);
    pipeline_commit(n, r);
    serve_reads(n, r);
    for (unsigned i = 0; i < n_peers; i++)
        transfer_start(n, r, peers[i]);
    compact_tick(n, r);
}
