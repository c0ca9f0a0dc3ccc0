/* Clients' requests for a group's keys: checked, proposed or read, answered.
 *
 * A refusal here speaks for this copy of the request only (P28): nothing of it was logged. */
#include "base/mutant.h"
#include "node/internal.h"

#define READS_MAX 65536u
#define READS_OF_ONE_MAX 8192u    /* connection */
#define TURN_BYTES_MAX (256u << 10) /* of answers in one turn: they go out, and whoever reads ahead works on them, while the next are made */

static void reply_err(struct node *n, struct replica *r, uint64_t conn, uint64_t request_id, enum rgkv_err err)
{
    struct msg m = {.kind = MSG_KV_REPLY, .kv_reply = {.err = err}};
    if (r && err == RGKV_NOT_LEADER)
        strncpy(m.kv_reply.leader_addr, replica_leader_addr(n, r, &m.kv_reply.leader_member),
                sizeof(m.kv_reply.leader_addr) - 1);
    node_reply(n, conn, request_id, &m);
}

static bool grows(const struct kv_request *q)
{
    enum kv_op op = q->op;
    return op == KV_PUT || op == KV_APPEND || op == KV_PATCH || op == KV_MKDIR || op == KV_SYMLINK || op == KV_STAGE_OPEN ||
           op == KV_STAGE_WRITE || op == KV_XATTR_SET || (op == KV_LAND && q->n_ranges);
}

bool serve_disk_full(const struct node *n, const struct replica *r)
{
    return r->disk_full || r->table_full || (n->disk_total && n->disk_free < DISK_LOW_WATER_BYTES);
}

static enum rgkv_err propose(struct node *n, struct replica *r, uint64_t conn, const struct msg *m)
{
    const struct kv_request *q = &m->kv_request.request;
    enum rgkv_err err = kv_may_propose(r->kv, q);
    if (err)
        return err;
    if (grows(q) && serve_disk_full(n, r))
        return RGKV_NO_SPACE;
    struct kv_command c = {.kind = KV_REQUEST, .time_us = replica_time_us(n, r), .request = *q};
    if (MUTANT(answer_uncommitted))
        serve_kv_applied(n, r, &(struct waiter){.conn = conn, .request_id = m->id}, &(struct kv_result){0});
    return replica_propose(n, r, kv_command_encode(&c), conn, m->id);
}

/* Whoever asks for the time is about to change something, and that would be refused if it was born at one that is long over. Where nothing can be
 * logged he hears of that, instead of waiting for a time that is. */
static enum rgkv_err begin_read(struct node *n, struct replica *r, uint64_t conn, const struct msg *m)
{
    bool renewed = m->kv_request.request.op == KV_TIME && !serve_disk_full(n, r) && moves_renew_time(n, r);
    return renewed ? RGKV_BUSY : serve_read_begin(n, r, conn, m);
}

void serve_kv(struct node *n, uint64_t conn, const struct msg *m)
{
    const struct kv_request *q = &m->kv_request.request;
    struct replica *r = node_group(n, m->kv_request.gid);
    enum rgkv_err err;
    metrics_asked(n, q->op);
    if (!r || !r->kv || !replica_serves(n, r))
        err = RGKV_NOT_LEADER;
    else if (q->op == KV_SETTLE)
        err = RGKV_INVALID; /* only the group itself says that (intents.c) */
    else if (!(err = kv_request_check(q, kv_nshards(r->kv))))
        err = kv_op_reads(q->op) ? begin_read(n, r, conn, m) : propose(n, r, conn, m);
    if (err)
        reply_err(n, r && r->kv ? r : NULL, conn, m->id, err);
}

void serve_kv_applied(struct node *n, struct replica *r, const struct waiter *w, const struct kv_result *result)
{
    struct msg m = {.kind = MSG_KV_REPLY, .kv_reply = result->reply};
    m.kv_reply.err = result->err;
    m.kv_reply.data = BYTES_EMPTY;
    node_reply(n, w->conn, w->request_id, &m);
}

void serve_kv_lost(struct node *n, struct replica *r, const struct waiter *w)
{
    reply_err(n, r, w->conn, w->request_id, RGKV_NOT_LEADER);
}

/* ---- linearizable reads (6.4; P24) ---- */

static struct msg *copy_request(const struct msg *m)
{
    if (m->kind != MSG_KV_REQUEST) {
        struct msg *c = mem_alloc(sizeof(*c));
        *c = *m;
        return c;
    }
    const struct kv_request *q = &m->kv_request.request;
    struct msg *c = mem_alloc(sizeof(*c) + q->key.len + q->key2.len);
    *c = *m;
    struct kv_request *to = &c->kv_request.request;
    uint8_t *bytes = (uint8_t *)(c + 1);
    if (q->key.len)
        memcpy(bytes, q->key.data, q->key.len);
    if (q->key2.len)
        memcpy(bytes + q->key.len, q->key2.data, q->key2.len);
    to->key = bytes_of(bytes, q->key.len);
    to->key2 = bytes_of(bytes + q->key.len, q->key2.len);
    to->data = BYTES_EMPTY;
    to->n_ranges = 0;
    to->ranges = NULL;
    return c;
}

/* One that does not read its answers must not have all the places. */
static bool has_too_many(const struct replica *r, uint64_t conn)
{
    unsigned count = 0;
    for (unsigned i = 0; r->n_reads >= READS_OF_ONE_MAX && i < r->n_reads; i++)
        count += r->reads[i].conn == conn;
    return count >= READS_OF_ONE_MAX;
}

enum rgkv_err serve_read_begin(struct node *n, struct replica *r, uint64_t conn, const struct msg *m)
{
    if (r->n_reads >= READS_MAX || has_too_many(r, conn))
        return RGKV_BUSY;
    uint64_t id = ++r->next_read_id;
    struct raft_input in = {.kind = RAFT_READ, .read_id = id};
    enum rgkv_err err = replica_step(n, r, &in);
    if (err)
        return err;
    if (r->n_reads == r->reads_cap) {
        r->reads_cap = MAX(64u, r->reads_cap * 2);
        r->reads = mem_realloc(r->reads, r->reads_cap * sizeof(*r->reads));
    }
    r->reads[r->n_reads++] = (struct read_wait){.read_id = id, .conn = conn, .request_id = m->id, .request = copy_request(m)};
    return RGKV_OK;
}

static void read_refused(struct node *n, struct replica *r, const struct read_wait *w)
{
    switch (w->request->kind) {
    case MSG_KV_REQUEST:
        reply_err(n, r, w->conn, w->request_id, RGKV_NOT_LEADER);
        break;
    case MSG_POLL: {
        struct msg m = {.kind = MSG_VIEW, .view = {.err = RGKV_NOT_LEADER}};
        strncpy(m.view.leader_addr, replica_leader_addr(n, r, NULL), sizeof(m.view.leader_addr) - 1);
        node_reply(n, w->conn, w->request_id, &m);
        break;
    }
    default: {
        struct msg m = {.kind = MSG_CTRL_TEXT, .ctrl_text = {.err = RGKV_NOT_LEADER}};
        strncpy(m.ctrl_text.leader_addr, replica_leader_addr(n, r, NULL), sizeof(m.ctrl_text.leader_addr) - 1);
        node_reply(n, w->conn, w->request_id, &m);
        break;
    }
    }
}

/* False: not yet. */
static bool serve_one(struct node *n, struct replica *r, struct read_wait *w)
{
    if (r->ctrl) {
        admin_serve_read(n, r, w);
        return true;
    }
    struct msg m = {.kind = MSG_KV_REPLY};
    buf_clear(&n->scratch);
    enum rgkv_err err = warm_read(n, r, w, &m.kv_reply);
    if (err == RGKV_PENDING)
        return false;
    if (err) {
        node_event(n, "group %llu: a read failed: %s", (unsigned long long)r->desc.gid, rgkv_err_sentence(err));
        m.kv_reply = (struct kv_reply){.err = err};
    }
    node_reply(n, w->conn, w->request_id, &m);
    return true;
}

/* Waiting reads stand in the order of their ids. */
static struct read_wait *read_of(struct replica *r, uint64_t read_id)
{
    unsigned lo = 0, hi = r->n_reads;
    while (lo < hi) {
        unsigned middle = lo + (hi - lo) / 2;
        if (r->reads[middle].read_id < read_id)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo < r->n_reads && r->reads[lo].read_id == read_id ? &r->reads[lo] : NULL;
}

void serve_read_result(struct node *n, struct replica *r, const struct raft_read_result *result)
{
    struct read_wait *w = read_of(r, result->read_id);
    if (!w)
        return;
    w->index = result->index;
    if (w->index)
        return;
    read_refused(n, r, w);
    mem_free(w->request);
    r->n_reads--;
    memmove(w, w + 1, (size_t)(&r->reads[r->n_reads] - w) * sizeof(*w));
}

bool serve_full(const struct node *n, uint64_t conn)
{
    for (unsigned i = 0; i < n->n_full; i++)
        if (n->full[i] == conn)
            return true;
    return false;
}

bool serve_later(const struct node *n, uint64_t conn) { return n->replied_bytes >= TURN_BYTES_MAX || serve_full(n, conn); }

/* One request of a hundred bytes may ask for a megabyte: nobody gets more at once than is written at once. */
static bool must_wait(const struct node *n, struct replica *r, const struct read_wait *w)
{
    if (w->index == 0 || w->waits || (w->index > r->applied && !MUTANT(read_unapplied)))
        return true;
    bool later = n->replied_bytes >= TURN_BYTES_MAX;
    r->reads_left |= later;
    return later || serve_full(n, w->conn);
}

void serve_reads(struct node *n, struct replica *r)
{
    unsigned kept = 0;
    r->reads_left = false;
    if (r->n_reads == 0)
        return;
    /* A served read may make nobody read again here, so the array does not grow while we walk. */
    for (unsigned i = 0; i < r->n_reads; i++) {
        struct read_wait *w = &r->reads[i];
        if (must_wait(n, r, w) || (w->conn && !serve_one(n, r, w)))
            r->reads[kept++] = *w;
        else
            mem_free(w->request);
    }
    r->n_reads = kept;
}

void serve_drop_reads(struct node *n, struct replica *r, bool answer)
{
    for (unsigned i = 0; i < r->n_reads; i++) {
        if (answer)
            read_refused(n, r, &r->reads[i]);
        mem_free(r->reads[i].request);
    }
    r->n_reads = 0;
    r->reads_left = false;
}

void serve_left(struct node *n)
{
    for (unsigned i = 0; i < n->n_replicas; i++)
        if (n->replicas[i]->reads_left)
            serve_reads(n, n->replicas[i]);
}

static void full_drop(struct node *n, uint64_t conn)
{
    for (unsigned i = 0; i < n->n_full; i++)
        if (n->full[i] == conn) {
            n->full[i] = n->full[--n->n_full];
            return;
        }
}

void serve_conn_full(struct node *n, uint64_t conn, bool full)
{
    full_drop(n, conn);
    if (!full) {
        n->polls_left |= n->n_polls > 0;
        for (unsigned i = 0; i < n->n_replicas; i++)
            n->replicas[i]->reads_left |= n->replicas[i]->n_reads > 0;
        return;
    }
    if (n->n_full == n->full_cap) {
        n->full_cap = MAX(8u, n->full_cap * 2);
        n->full = mem_realloc(n->full, n->full_cap * sizeof(*n->full));
    }
    n->full[n->n_full++] = conn;
}

/* Nothing is read, and nothing encoded, for a connection that is gone. */
void serve_conn_closed(struct node *n, uint64_t conn)
{
    unsigned kept = 0;
    full_drop(n, conn);
    for (unsigned i = 0; i < n->n_polls; i++)
        if (n->polls[i].conn != conn)
            n->polls[kept++] = n->polls[i];
    n->n_polls = kept;
    for (unsigned i = 0; i < n->n_handovers; i++)
        if (n->handovers[i].conn == conn)
            n->handovers[i].conn = 0;
    for (unsigned k = 0; k < n->n_replicas; k++) {
        struct replica *r = n->replicas[k];
        for (unsigned i = 0; i < r->n_reads; i++)
            if (r->reads[i].conn == conn)
                r->reads[i].conn = 0;
        for (unsigned i = 0; i < r->waiters_n; i++) {
            struct waiter *w = &r->waiters[(r->waiters_head + i) % r->waiters_cap];
            if (w->conn == conn)
                w->conn = 0;
        }
    }
}
