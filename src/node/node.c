/* The node: takes inputs, hands each to the part that it concerns, and keeps the manifest. */
#include "node/internal.h"

#include <stdarg.h>
#include <stdio.h>

#define HOUSEKEEPING_US 20000u
#define DELETE_AGAIN_US 1000000u

/* ---- saying things ---- */

static void say(struct node *n, enum node_effect_kind kind, const char *format, va_list args)
{
    char text[512];
    vsnprintf(text, sizeof(text), format, args);
    out_effect(&n->out, &(struct node_effect){.kind = kind, .why = text});
}

void node_event(struct node *n, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(n, NODE_EVENT, format, args);
    va_end(args);
}

void node_fail(struct node *n, const char *format, ...)
{
    if (n->failed)
        return;
    n->failed = true;
    va_list args;
    va_start(args, format);
    say(n, NODE_FAILED, format, args);
    va_end(args);
}

void node_send(struct node *n, const char *addr, struct msg *m)
{
    m->cluster = n->manifest.cluster;
    msg_encode(m, out_to_addr(&n->out, addr));
}

void node_reply(struct node *n, uint64_t conn, uint64_t request_id, struct msg *m)
{
    if (conn == 0)
        return;
    m->id = request_id;
    m->cluster = n->manifest.cluster;
    metrics_replied(n, m);
    struct buf *to = out_to_conn(&n->out, conn);
    size_t before = to->len;
    if (before > CONN_OUT_BYTES_MAX)
        return; /* the outside ends a connection that asks for so much at once */
    msg_encode(m, to);
    n->replied_bytes += to->len - before;
}

void node_refuse(struct node *n, uint64_t conn, uint64_t request_id, enum rgkv_err err, const char *why)
{
    struct msg m = {.kind = MSG_REFUSED, .refused = {.err = err}};
    snprintf(m.refused.why, sizeof(m.refused.why), "%s", why);
    node_reply(n, conn, request_id, &m);
}

/* ---- the manifest: saved one at a time, coalesced ---- */

void node_save_manifest(struct node *n)
{
    n->manifest_dirty = true;
    if (n->manifest_saving)
        return;
    n->manifest_saving = true;
    n->manifest_dirty = false;
    out_effect(&n->out, &(struct node_effect){.kind = NODE_SAVE_MANIFEST, .manifest = &n->manifest});
}

/* A replica is opened only once the manifest that names it is durable, so that no log is ever without its entry (P1). */
static void open_pending(struct node *n)
{
    for (unsigned i = 0; i < n->n_replicas; i++) {
        struct replica *r = n->replicas[i];
        if (r->state != REPLICA_OPENING || r->dirty)
            continue;
        r->dirty = true; /* asked for */
        out_effect(&n->out, &(struct node_effect){.kind = NODE_OPEN_REPLICA, .replica = r->id,
                                                  .descriptor = &r->desc, .cluster = n->manifest.cluster});
    }
}

/* Only now is a replica gone for good: the controller may forget that it has to be (P4). */
static void drop_deleted(struct node *n)
{
    for (unsigned i = n->n_replicas; i-- > 0;) {
        if (n->replicas[i]->state != REPLICA_DELETED)
            continue;
        replica_free(n->replicas[i]);
        n->replicas[i] = n->replicas[--n->n_replicas];
        poll_changed(n);
    }
}

static void manifest_saved(struct node *n, const struct node_input *i)
{
    n->manifest_saving = false;
    if (i->err) {
        node_fail(n, "the data directory cannot be written: %s", i->why ? i->why : rgkv_err_sentence(i->err));
        return;
    }
    if (n->manifest_dirty) {
        node_save_manifest(n);
        return;
    }
    founding_manifest_saved(n);
    drop_deleted(n);
    if (n->view_saving)
        poll_changed(n);
    n->view_saving = false;
    for (unsigned k = 0; k < n->n_replicas; k++)
        replica_saved(n, n->replicas[k]);
    open_pending(n);
}

/* ---- replicas ---- */

struct replica *node_replica(struct node *n, uint32_t id)
{
    for (unsigned i = 0; i < n->n_replicas; i++)
        if (n->replicas[i]->id == id)
            return n->replicas[i];
    return NULL;
}

struct replica *node_group(struct node *n, uint64_t gid)
{
    struct replica *found = NULL;
    for (unsigned i = 0; i < n->n_replicas; i++) {
        struct replica *r = n->replicas[i];
        if (r->desc.gid == gid && r->state == REPLICA_RUNNING &&
            (!found || r->desc.incarnation > found->desc.incarnation))
            found = r;
    }
    return found;
}

unsigned node_long_jobs(const struct node *n)
{
    unsigned jobs = 0;
    for (unsigned i = 0; i < n->n_replicas; i++)
        jobs += n->replicas[i]->flushing + n->replicas[i]->trimming;
    return jobs;
}

static void forget_in_manifest(struct node *n, const struct manifest_replica *desc)
{
    n->manifest.view = n->view.version; /* it has the tombstone */
    for (unsigned i = 0; i < n->manifest.n_replicas; i++) {
        struct manifest_replica *m = &n->manifest.replicas[i];
        if (m->gid == desc->gid && m->incarnation == desc->incarnation && m->member == desc->member) {
            *m = n->manifest.replicas[--n->manifest.n_replicas];
            node_save_manifest(n);
            return;
        }
    }
}

static void replica_deleted(struct node *n, struct replica *r, enum rgkv_err err)
{
    if (err) {
        node_event(n, "group %llu: its deleted replica could not be removed: %s",
                   (unsigned long long)r->desc.gid, rgkv_err_sentence(err));
        r->delete_again_us = n->now_us + DELETE_AGAIN_US;
        return;
    }
    r->state = REPLICA_DELETED;
    forget_in_manifest(n, &r->desc);
}

/* ---- lifecycle ---- */

static bool listed(const struct node *n, const char *addr)
{
    for (unsigned i = 0; i < n->manifest.n_controllers; i++)
        if (strcmp(n->manifest.controllers[i], addr) == 0)
            return true;
    return false;
}

/* The command line is a first contact; who the controllers are, the cluster says. A list without any of them is worth a word:
 * they may all have been replaced, or it is another cluster's. */
static void check_list(struct node *n)
{
    const struct node_options *o = &n->options;
    bool common = n->manifest.cluster == 0 || n->manifest.n_controllers == 0 || o->n_controllers == 0;
    for (unsigned i = 0; !common && i < o->n_controllers; i++)
        common = listed(n, o->controllers[i]);
    if (!common)
        node_event(n, "--controllers names none of the controllers that cluster %016llx had last: those are asked first",
                   (unsigned long long)n->manifest.cluster);
}

static enum rgkv_err adopt_options(struct node *n, struct buf *why)
{
    const struct node_options *o = &n->options;
    struct manifest *m = &n->manifest;
    if (m->node == 0)
        m->node = prng_next(&n->prng) | 1;
    if (m->addr[0] && strcmp(m->addr, o->addr) != 0 && m->founding.cluster) {
        buf_printf(why, "this data directory belongs to the controller at %s, not %s", m->addr, o->addr);
        return RGKV_CONFLICT;
    }
    check_list(n);
    memcpy(m->addr, o->addr, sizeof(m->addr));
    /* The command line's list counts until the cluster has told a newer one (P30). */
    if (m->cluster == 0 || m->n_controllers == 0) {
        m->n_controllers = o->n_controllers;
        memcpy(m->controllers, o->controllers, sizeof(m->controllers));
    }
    if (m->n_controllers == 0) {
        buf_printf(why, "no controllers are known: give --controllers");
        return RGKV_CONFLICT;
    }
    return RGKV_OK;
}

enum rgkv_err node_new(const struct node_options *o, struct node **ret_n, struct buf *why)
{
    struct node *n = mem_zalloc(sizeof(*n));
    n->options = *o;
    n->options.manifest = NULL;
    if (!n->options.election_us)
        n->options.election_us = ELECTION_US_DEFAULT;
    if (!n->options.heartbeat_us)
        n->options.heartbeat_us = HEARTBEAT_US_DEFAULT;
    n->manifest = *o->manifest;
    n->now_us = o->now_us;
    prng_init(&n->prng, o->seed);
    n->next_request = prng_next(&n->prng) >> 8 | 1; /* an answer is believed by its id: not to be guessed */
    n->next_replica = 1;
    enum rgkv_err err = adopt_options(n, why);
    if (err) {
        node_free(n);
        return err;
    }
    for (unsigned i = 0; i < n->manifest.n_replicas; i++)
        replica_create(n, &n->manifest.replicas[i]);
    if (n->manifest.cluster == 0 && listed(n, o->addr))
        founding_start(n);
    node_save_manifest(n);
    *ret_n = n;
    return RGKV_OK;
}

void node_free(struct node *n)
{
    if (!n)
        return;
    for (unsigned i = 0; i < n->n_replicas; i++) {
        transfer_free(n->replicas[i]);
        install_free(n->replicas[i]);
        replica_free(n->replicas[i]);
    }
    mem_free(n->replicas);
    founding_free(n->founder);
    ctrl_view_release(&n->view);
    mem_free(n->polls);
    mem_free(n->handovers);
    mem_free(n->full);
    arena_release(&n->arena);
    buf_release(&n->scratch);
    out_release(&n->out);
    mem_free(n);
}

/* ---- messages ---- */

static bool speaks_for_strangers(enum msg_kind kind)
{
    switch (kind) {
    case MSG_HELLO: case MSG_KV_REQUEST: case MSG_ADMIN_REQUEST: case MSG_CTRL_READ: case MSG_POLL: case MSG_VIEW:
    case MSG_FOUND_ASK: case MSG_FOUND_STATE: case MSG_FOUND: case MSG_FOUND_ACK: case MSG_REFUSED:
        return true;
    case MSG_RAFT: case MSG_SNAPSHOT_CHUNK: case MSG_SNAPSHOT_ACK: case MSG_TRANSFER: case MSG_KV_REPLY: case MSG_ADMIN_REPLY:
    case MSG_CTRL_TEXT: case MSG_PULL: case MSG_PULL_REPLY: case MSG_KIND_COUNT:
        return false;
    }
    return false;
}

/* A message of another cluster is never obeyed, whatever it says (P1, P32). */
static bool of_our_cluster(struct node *n, uint64_t conn, const struct msg *m)
{
    if (m->cluster == n->manifest.cluster && m->cluster)
        return true;
    if (m->cluster == 0 || n->manifest.cluster == 0)
        return speaks_for_strangers(m->kind);
    n->dropped++;
    if (m->kind == MSG_VIEW || m->kind == MSG_FOUND_STATE)
        node_event(n, "an answer of another cluster (%016llx, ours is %016llx) is not obeyed: check --controllers",
                   (unsigned long long)m->cluster, (unsigned long long)n->manifest.cluster);
    if (m->kind == MSG_KV_REQUEST || m->kind == MSG_ADMIN_REQUEST || m->kind == MSG_CTRL_READ ||
        m->kind == MSG_POLL || m->kind == MSG_PULL || m->kind == MSG_FOUND)
        node_refuse(n, conn, m->id, RGKV_WRONG_CLUSTER, rgkv_err_sentence(RGKV_WRONG_CLUSTER));
    return false;
}

static struct replica *addressed(struct node *n, const struct msg_envelope *e)
{
    for (unsigned i = 0; i < n->n_replicas; i++) {
        struct replica *r = n->replicas[i];
        if (r->desc.gid == e->gid && r->desc.incarnation == e->incarnation && r->desc.member == e->to)
            return r->state == REPLICA_RUNNING ? r : NULL;
    }
    n->dropped++;
    return NULL;
}

static void receive_raft(struct node *n, uint64_t conn, const struct msg_raft *m)
{
    struct replica *r = addressed(n, &m->envelope);
    if (!r || m->envelope.from != m->message.from || m->envelope.to != m->message.to)
        return;
    if (!replica_member_addr(n, r, m->envelope.from)) {
        r->stranger.member = m->envelope.from;
        r->stranger.conn = conn;
    }
    if (m->message.n_entries && apply_overflows(r))
        return; /* as if it were lost: memory is bounded. Votes and heartbeats are heard */
    struct raft_input in = {.kind = RAFT_RECEIVED, .message = &m->message};
    enum rgkv_err err = replica_step(n, r, &in);
    ASSERT(err == RGKV_OK);
}

static void receive(struct node *n, const struct node_input *i)
{
    const struct msg *m = i->message;
    struct replica *r;
    if (!of_our_cluster(n, i->conn, m))
        return;
    switch (m->kind) {
    case MSG_RAFT: receive_raft(n, i->conn, &m->raft); break;
    case MSG_SNAPSHOT_CHUNK:
        if ((r = addressed(n, &m->snapshot_chunk.envelope)))
            install_chunk(n, r, &m->snapshot_chunk);
        break;
    case MSG_SNAPSHOT_ACK:
        if ((r = addressed(n, &m->snapshot_ack.envelope)))
            transfer_ack(n, r, m);
        break;
    case MSG_KV_REQUEST: serve_kv(n, i->conn, m); break;
    case MSG_ADMIN_REQUEST: admin_request(n, i->conn, m); break;
    case MSG_CTRL_READ: admin_read(n, i->conn, m); break;
    case MSG_POLL: admin_poll(n, i->conn, m); break;
    case MSG_VIEW: poll_view(n, m); break;
    case MSG_PULL: moves_pull_request(n, i->conn, m); break;
    case MSG_PULL_REPLY: moves_pull_reply(n, m); break;
    case MSG_TRANSFER: handover_receive(n, &m->transfer); break;
    case MSG_FOUND_ASK: case MSG_FOUND_STATE: case MSG_FOUND: case MSG_FOUND_ACK:
        founding_receive(n, i->conn, m);
        break;
    case MSG_KV_REPLY: intents_reply(n, m); break;
    case MSG_HELLO: case MSG_ADMIN_REPLY: case MSG_CTRL_TEXT: case MSG_REFUSED: case MSG_KIND_COUNT:
        break;
    }
}

/* ---- time ---- */

/* As long as its files are there, this machine can hold no new member of the group. */
static void delete_again(struct node *n, struct replica *r)
{
    if (r->state != REPLICA_DELETING || !r->delete_again_us || n->now_us < r->delete_again_us)
        return;
    r->delete_again_us = 0;
    out_effect(&n->out, &(struct node_effect){.kind = NODE_DELETE_REPLICA, .replica = r->id});
}

static void tick_replica(struct node *n, struct replica *r)
{
    delete_again(n, r);
    if (r->state != REPLICA_RUNNING)
        return;
    if (n->now_us >= raft_deadline_us(r->raft)) {
        struct raft_input in = {.kind = RAFT_TICK};
        enum rgkv_err err = replica_step(n, r, &in);
        ASSERT(err == RGKV_OK);
    }
    transfer_tick(n, r);
    install_tick(n, r);
    members_tick(n, r);
    if (r->ctrl)
        admin_tick(n, r);
    if (r->kv) {
        moves_tick(n, r);
        intents_tick(n, r);
    }
    pipeline_tick(n, r);
    save_tick(n, r);
    trim_tick(n, r);
}

#define STOP_WAIT_ELECTIONS 8u /* timeouts: so long others may catch up before leadership is handed over all the same */

/* Leads where somebody else could. */
static bool must_hand_over(const struct replica *r)
{
    return r->state == REPLICA_RUNNING && replica_is_leader(r) && raft_config_voters(raft_config(r->raft)) > 1;
}

/* Refused when no follower was heard of just now: the next tick asks again. */
static void hand_over(struct node *n, struct replica *r)
{
    struct raft_status s;
    struct raft_input in = {.kind = RAFT_TRANSFER};
    raft_status(r->raft, &s);
    if (s.transferring)
        return;
    enum rgkv_err err = replica_step(n, r, &in);
    (void)err;
}

/* It leads, and serves, until its leaving is felt least: one that was restarted just now, as one after the other is, may be needed. */
static void stop_tick(struct node *n)
{
    if (!n->stopping || !n->stop_deadline_us)
        return;
    bool leads = false, patient = n->now_us < n->stop_us + STOP_WAIT_ELECTIONS * n->options.election_us;
    for (unsigned i = 0; i < n->n_replicas; i++) {
        struct replica *r = n->replicas[i];
        if (!must_hand_over(r))
            continue;
        leads = true;
        if (patient && !raft_may_leave(r->raft))
            n->stop_deadline_us = n->now_us + n->options.election_us;
        else
            hand_over(n, r);
    }
    if (leads && n->now_us < n->stop_deadline_us)
        return;
    n->stop_deadline_us = 0;
    out_effect(&n->out, &(struct node_effect){.kind = NODE_STOPPED});
}

static void tick(struct node *n)
{
    for (unsigned i = 0; i < n->n_replicas; i++)
        tick_replica(n, n->replicas[i]);
    founding_tick(n);
    poll_tick(n);
    stop_tick(n);
    n->tick_next_us = n->now_us + HOUSEKEEPING_US;
}

uint64_t node_deadline_us(const struct node *n)
{
    uint64_t at = MIN(poll_deadline_us(n), founding_deadline_us(n));
    if (n->stopping && n->stop_deadline_us)
        at = MIN(at, n->now_us + TICK_US);
    for (unsigned i = 0; i < n->n_replicas; i++) {
        const struct replica *r = n->replicas[i];
        if (r->state != REPLICA_RUNNING)
            continue;
        at = MIN(at, raft_deadline_us(r->raft));
        at = MIN(at, MIN(transfer_deadline_us(r), install_deadline_us(n, r)));
        at = MIN(at, apply_deadline_us(n, r));
        at = MIN(at, members_deadline_us(r));
        at = MIN(at, r->ctrl ? admin_deadline_us(n, r) : MIN(moves_deadline_us(n, r), intents_deadline_us(n, r)));
    }
    return at;
}

static void stop(struct node *n)
{
    n->stopping = true;
    n->stop_us = n->now_us;
    n->stop_deadline_us = n->now_us + n->options.election_us;
    stop_tick(n);
}

/* ---- the three calls ---- */

static void dispatch(struct node *n, const struct node_input *i)
{
    struct replica *r = i->replica ? node_replica(n, i->replica) : NULL;
    ASSERT(!i->replica || r);
    switch (i->kind) {
    case NODE_TICK: tick(n); break;
    case NODE_RECEIVED: receive(n, i); break;
    case NODE_CONN_CLOSED: serve_conn_closed(n, i->conn); break;
    case NODE_CONN_FULL: serve_conn_full(n, i->conn, i->full); break;
    case NODE_MANIFEST_SAVED: manifest_saved(n, i); break;
    case NODE_REPLICA_OPENED: replica_opened(n, r, i); break;
    case NODE_COMMITTED: replica_committed(n, r, i); break;
    case NODE_SAVED: save_ended(n, r, i->err); break;
    case NODE_FLUSHED: replica_flushed(n, r, i->err); break;
    case NODE_TRIMMED: trim_done(n, r, i); break;
    case NODE_WARMED: warm_done(n, r, i->number); break;
    case NODE_COMPACTED:
        if (r->state == REPLICA_DELETING) /* it waited for space */
            break;
        /* A full disk has deleted nothing: the log is longer than it need be until the next time. But a reset must be done. */
        if (i->err && (i->err != RGKV_NO_SPACE || r->resetting))
            node_fail(n, "group %llu: its log cannot be compacted: %s", (unsigned long long)r->desc.gid,
                      i->why ? i->why : rgkv_err_sentence(i->err));
        r->compact_again |= i->err == RGKV_NO_SPACE;
        r->resetting = false;
        r->disk_bytes = i->disk_bytes;
        break;
    case NODE_LOG_READ: compact_log_read(n, r, i); break;
    case NODE_SNAPSHOT_READ_DONE: transfer_read(n, r, i->number); break;
    case NODE_SNAPSHOT_OPENED: install_opened(n, r, i); break;
    case NODE_SNAPSHOT_WRITTEN: install_written(n, r, i); break;
    case NODE_SNAPSHOT_INSTALLED: install_done(n, r, i); break;
    case NODE_REPLICA_DELETED: replica_deleted(n, r, i->err); break;
    case NODE_DISK_SPACE:
        n->disk_free = i->disk_free;
        n->disk_total = i->disk_total;
        break;
    case NODE_VITALS:
        n->memory_bytes = i->memory_bytes;
        n->stall_us = i->stall_us;
        break;
    case NODE_METRICS: metrics_outside(n, i->metrics, i->n_metrics); break;
    case NODE_STOP: stop(n); break;
    }
}

void node_step(struct node *n, const struct node_input *i)
{
    if (n->failed) {
        kv_free(i->kv);
        return;
    }
    out_turn(&n->out);
    n->now_us = MAX(n->now_us, i->now_us);
    dispatch(n, i);
}

static bool collect_dirty(struct node *n)
{
    bool any = false;
    for (unsigned i = 0; i < n->n_replicas && !n->failed; i++) {
        struct replica *r = n->replicas[i];
        if (r->state != REPLICA_RUNNING || !r->dirty)
            continue;
        any = true;
        replica_collect(n, r);
    }
    return any;
}

static void apply_all(struct node *n)
{
    for (unsigned i = 0; i < n->n_replicas && !n->failed; i++) {
        if (apply_ready(n->replicas[i]))
            replica_apply(n, n->replicas[i]);
        save_due(n, n->replicas[i]);
    }
}

static bool something_left(const struct node *n)
{
    for (unsigned i = 0; i < n->n_replicas; i++)
        if (apply_ready(n->replicas[i]) || n->replicas[i]->reads_left)
            return true;
    return n->polls_left;
}

bool node_collect(struct node *n)
{
    out_turn(&n->out);
    admin_left(n); /* before the reads, which would leave no place for them */
    serve_left(n);
    apply_all(n);
    /* Applying may wake others (a controller's view changes what a group must do), so go round until it is quiet. */
    while (collect_dirty(n))
        ;
    warm_start(n);
    n->replied_bytes = 0;
    return !n->failed && something_left(n);
}

bool node_next(struct node *n, struct node_effect *ret_e)
{
    return out_next(&n->out, ret_e);
}

bool node_replica_info(const struct node *n, unsigned i, struct node_replica_info *ret_i)
{
    if (i >= n->n_replicas)
        return false;
    const struct replica *r = n->replicas[i];
    bool running = r->state == REPLICA_RUNNING;
    *ret_i = (struct node_replica_info){
        .replica = r->id, .gid = r->desc.gid, .incarnation = r->desc.incarnation, .member = r->desc.member,
        .raft = running ? r->raft : NULL, .kv = running ? r->kv : NULL, .ctrl = running ? r->ctrl : NULL,
    };
    return true;
}

uint64_t node_cluster(const struct node *n) { return n->manifest.cluster; }
uint64_t node_id(const struct node *n) { return n->manifest.node; }
