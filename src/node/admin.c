/* The controller's leader: administrators' commands, the nodes' polls, reads of the controller, and the plan.
 *
 * Views are answers to polls: held until there is a newer one (P30), given only by a leader that heard of a quorum lately. */
#include "node/internal.h"

#include <stdio.h>

#include "ctrl/text.h"

#define PLAN_GAP_US 10000u
#define HOLD_US_MAX 5000000u
#define PLAN_COMMANDS_MAX 64u

static struct replica *controller(struct node *n)
{
    struct replica *r = node_group(n, 0);
    return r && r->ctrl ? r : NULL;
}

/* Who is no controller says whom it asks itself: so any node of the cluster leads to those of today. */
static void put_leader(struct node *n, const struct replica *r, char to[ADDR_BYTES_MAX])
{
    const char *addr = r ? replica_leader_addr(n, r, NULL) : n->view.version ? poll_controller(n) : "";
    if (strcmp(addr, n->manifest.addr) != 0)
        strncpy(to, addr, ADDR_BYTES_MAX - 1);
}

/* ---- Join, Leave, Move ---- */

void admin_reply(struct node *n, struct replica *r, uint64_t conn, uint64_t request_id, const struct ctrl_result *result)
{
    struct msg m = {.kind = MSG_ADMIN_REPLY, .admin_reply = {.result = *result}};
    if (result->err == RGKV_NOT_LEADER)
        put_leader(n, r, m.admin_reply.leader_addr);
    node_reply(n, conn, request_id, &m);
}

static enum rgkv_err check(const struct ctrl_command *c, struct ctrl_result *result)
{
    struct buf why = {0};
    enum rgkv_err err = ctrl_op_admin(c->op) ? ctrl_command_check(c, &why) : RGKV_INVALID;
    if (err)
        snprintf(result->why, sizeof(result->why), "%.*s", (int)why.len, why.len ? (const char *)why.data : "");
    buf_release(&why);
    return err;
}

static bool all_is_applied(const struct replica *r)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    return r->applied == s.last_index;
}

/* Who answers is not gone for ever. But a sentence ends the request (P28), and an earlier copy of it may be in the log: then what becomes
 * of that is the answer. So there is none before all of the log is applied and everybody was heard of: it is asked again. */
static enum rgkv_err check_gone(const struct node *n, const struct replica *r, const struct ctrl_command *c, struct ctrl_result *result)
{
    if (c->op != CTRL_ABANDON || ctrl_has_result(r->ctrl, c))
        return RGKV_OK;
    if (!r->plan || !ctrl_plan_settled_in(r->plan, n->now_us) || !all_is_applied(r))
        return RGKV_BUSY;
    if (!ctrl_plan_led(r->plan, r->ctrl, c->gid, n->now_us))
        return RGKV_OK;
    snprintf(result->why, sizeof(result->why), "group %llu answers: let it leave instead", (unsigned long long)c->gid);
    return RGKV_BUSY;
}

void admin_request(struct node *n, uint64_t conn, const struct msg *m)
{
    struct replica *r = controller(n);
    struct ctrl_result result = {.err = RGKV_NOT_LEADER};
    bool leads = r && replica_serves(n, r);
    if (leads && m->admin_request.command.op == CTRL_TRANSFER) {
        handover_request(n, r, conn, m);
        return;
    }
    if (leads) {
        struct ctrl_command c = m->admin_request.command;
        c.time_us = replica_time_us(n, r);
        result.err = check(&c, &result);
        if (!result.err)
            result.err = check_gone(n, r, &c, &result);
        if (!result.err)
            result.err = replica_propose(n, r, ctrl_command_encode(&c), conn, m->id);
    }
    if (result.err)
        admin_reply(n, r, conn, m->id, &result);
}

void admin_applied(struct node *n, struct replica *r, const struct waiter *w, const struct ctrl_result *result)
{
    admin_reply(n, r, w->conn, w->request_id, result);
}

void admin_lost(struct node *n, struct replica *r, const struct waiter *w)
{
    admin_reply(n, r, w->conn, w->request_id, &(struct ctrl_result){.err = RGKV_NOT_LEADER});
}

/* ---- the view ---- */

static void send_view(struct node *n, struct replica *r, uint64_t conn, uint64_t request_id, uint64_t have)
{
    struct msg m = {.kind = MSG_VIEW, .view = {.time_us = ctrl_time_us(r->ctrl)}};
    const struct ctrl_view *v = ctrl_view(r->ctrl);
    m.view.changed = v->version > have;
    if (m.view.changed)
        m.view.view = *v;
    node_reply(n, conn, request_id, &m);
}

static void refuse_poll(struct node *n, struct replica *r, uint64_t conn, uint64_t request_id)
{
    struct msg m = {.kind = MSG_VIEW, .view = {.err = RGKV_NOT_LEADER}};
    put_leader(n, r, m.view.leader_addr);
    node_reply(n, conn, request_id, &m);
}

/* A poll of two hundred bytes asks for a view of a hundred thousand: as with reads, nobody gets more at once than is written at once. A poll
 * that waits for that has no deadline: the next turn, or the connection's room, brings its view. */
static bool owed_later(struct node *n, uint64_t conn)
{
    if (!serve_later(n, conn))
        return false;
    n->polls_left |= !serve_full(n, conn);
    return true;
}

static bool still_held(struct node *n, struct replica *r, struct held_poll *p)
{
    if (ctrl_view(r->ctrl)->version <= p->version)
        return n->now_us < p->deadline_us;
    p->deadline_us = UINT64_MAX;
    return owed_later(n, p->conn);
}

static void release_polls(struct node *n, struct replica *r, bool all)
{
    unsigned kept = 0;
    n->polls_left = false;
    for (unsigned i = 0; i < n->n_polls; i++) {
        struct held_poll p = n->polls[i];
        if (!all && still_held(n, r, &p)) {
            n->polls[kept++] = p;
            continue;
        }
        if (replica_leads(n, r))
            send_view(n, r, p.conn, p.request_id, p.version);
        else
            refuse_poll(n, r, p.conn, p.request_id);
    }
    n->n_polls = kept;
}

void admin_left(struct node *n)
{
    struct replica *r = n->polls_left ? controller(n) : NULL;
    n->polls_left = false;
    if (r)
        release_polls(n, r, !replica_leads(n, r));
}

/* A newer poll replaces the held one of its connection, so that nobody has more than one: all of them are looked at often, and who
 * would be answered at once for want of places would ask again at once. A node has forgotten its old one already; if a view is owed, the newer
 * one gets it. */
static void held_poll_end(struct node *n, struct replica *r, uint64_t conn, bool tell)
{
    for (unsigned i = 0; i < n->n_polls; i++) {
        const struct held_poll p = n->polls[i];
        if (p.conn != conn)
            continue;
        n->polls[i] = n->polls[--n->n_polls];
        if (tell)
            send_view(n, r, conn, p.request_id, UINT64_MAX);
        return;
    }
}

static void hold_poll(struct node *n, struct replica *r, uint64_t conn, const struct msg *m)
{
    held_poll_end(n, r, conn, !m->poll.has_report);
    if (n->n_polls == n->polls_cap) {
        n->polls_cap = MAX(16u, n->polls_cap * 2);
        n->polls = mem_realloc(n->polls, n->polls_cap * sizeof(*n->polls));
    }
    n->polls[n->n_polls++] = (struct held_poll){conn, m->id, m->poll.version, n->now_us + MIN(m->poll.hold_us, HOLD_US_MAX)};
}

void admin_poll(struct node *n, uint64_t conn, const struct msg *m)
{
    struct replica *r = controller(n);
    if (!r || !replica_leads(n, r) || !ctrl_initialised(r->ctrl) || !replica_serves(n, r)) {
        refuse_poll(n, r, conn, m->id);
        return;
    }
    if (m->poll.has_report && r->plan) {
        struct ctrl_report report = m->poll.report;
        report.view = m->poll.version;
        ctrl_plan_report(r->plan, &report, n->now_us);
        n->plan_next_us = n->now_us;
    }
    if (m->poll.hold_us == 0) {
        if (serve_read_begin(n, r, conn, m))
            refuse_poll(n, r, conn, m->id);
    } else if (ctrl_view(r->ctrl)->version > m->poll.version && !n->polls_left && !owed_later(n, conn)) {
        send_view(n, r, conn, m->id, m->poll.version);
    } else {
        hold_poll(n, r, conn, m); /* those that are owed one already come first */
    }
}

/* ---- reads as text ---- */

void admin_read(struct node *n, uint64_t conn, const struct msg *m)
{
    struct replica *r = controller(n);
    enum rgkv_err err = r && replica_serves(n, r) ? serve_read_begin(n, r, conn, m) : RGKV_NOT_LEADER;
    if (!err)
        return;
    struct msg reply = {.kind = MSG_CTRL_TEXT, .ctrl_text = {.err = RGKV_NOT_LEADER}};
    put_leader(n, r, reply.ctrl_text.leader_addr);
    node_reply(n, conn, m->id, &reply);
}

static enum rgkv_err print_config(struct replica *r, uint64_t number, struct buf *out)
{
    struct ctrl_config c;
    enum rgkv_err err = ctrl_query(r->ctrl, number, &c);
    if (err)
        return err;
    ctrl_print_config(&c, out);
    ctrl_config_release(&c);
    return RGKV_OK;
}

static enum rgkv_err print_leader(struct node *n, struct replica *r, uint64_t gid, struct buf *out)
{
    char addr[ADDR_BYTES_MAX];
    if (gid == 0) {
        buf_printf(out, "%llu %s\n", (unsigned long long)r->desc.member, n->manifest.addr);
        return RGKV_OK;
    }
    uint64_t member = ctrl_plan_leader(r->plan, ctrl_view(r->ctrl), gid, n->now_us, addr);
    if (member)
        buf_printf(out, "%llu %s\n", (unsigned long long)member, addr);
    else
        buf_printf(out, "none\n");
    return RGKV_OK;
}

/* Files of one group. */
static enum rgkv_err print_group(struct node *n, struct replica *r, const struct msg_ctrl_read *q, struct buf *out)
{
    const struct ctrl_view *v = ctrl_view(r->ctrl);
    if (q->number && !ctrl_view_group(v, q->number))
        return RGKV_NOT_FOUND;
    switch ((int)q->what) {
    case CTRL_READ_MEMBERS: ctrl_print_members(v, q->number, r->plan, n->now_us, out); break;
    case CTRL_READ_LEADER: return print_leader(n, r, q->number, out);
    case CTRL_READ_GROUP_SHARDS: ctrl_print_group_shards(v, q->number, out); break;
    case CTRL_READ_GROUP_KEYS: ctrl_print_group_keys(v, q->number, r->plan, n->now_us, out); break;
    case CTRL_READ_GROUP_BYTES: ctrl_print_group_bytes(v, q->number, r->plan, n->now_us, out); break;
    }
    return RGKV_OK;
}

static enum rgkv_err print(struct node *n, struct replica *r, const struct msg_ctrl_read *q, struct buf *out)
{
    const struct ctrl_view *v = ctrl_view(r->ctrl);
    switch (q->what) {
    case CTRL_READ_CONFIG: return print_config(r, q->number, out);
    case CTRL_READ_SHARDS: ctrl_print_shards(v, out); break;
    case CTRL_READ_MOVES: ctrl_print_moves(v, r->plan, n->now_us, out); break;
    case CTRL_READ_SETTLED:
        if (!ctrl_settled(v))
            return RGKV_MOVING;
        buf_printf(out, "ok\n");
        break;
    case CTRL_READ_STATUS: ctrl_print_status(v, r->plan, n->now_us, out); break;
    case CTRL_READ_NODES: ctrl_print_nodes(v, r->plan, n->now_us, out); break;
    case CTRL_READ_METRICS: ctrl_print_metrics(v, r->plan, n->now_us, out); break;
    case CTRL_READ_MEMBERS: case CTRL_READ_LEADER: case CTRL_READ_GROUP_SHARDS: case CTRL_READ_GROUP_KEYS: case CTRL_READ_GROUP_BYTES:
        return print_group(n, r, q, out);
    case CTRL_READ_COUNT: return RGKV_INVALID;
    }
    return RGKV_OK;
}

/* What is too long ends with a whole line: half of one could pass for another. */
static struct bytes whole_lines(struct bytes text, size_t max)
{
    if (text.len <= max)
        return text;
    while (max && text.data[max - 1] != '\n')
        max--;
    return bytes_first(text, max);
}

void admin_serve_read(struct node *n, struct replica *r, const struct read_wait *w)
{
    if (w->request->kind == MSG_POLL) {
        send_view(n, r, w->conn, w->request_id, w->request->poll.version);
        return;
    }
    struct msg m = {.kind = MSG_CTRL_TEXT};
    buf_clear(&n->scratch);
    m.ctrl_text.err = r->plan ? print(n, r, &w->request->ctrl_read, &n->scratch) : RGKV_NOT_LEADER;
    m.ctrl_text.text = buf_bytes(&n->scratch);
    m.ctrl_text.text = whole_lines(m.ctrl_text.text, DATA_BYTES_MAX);
    node_reply(n, w->conn, w->request_id, &m);
}

/* ---- leading ---- */

void admin_role_changed(struct node *n, struct replica *r)
{
    bool leads = replica_is_leader(r);
    if (leads && !r->plan)
        r->plan = ctrl_plan_new(n->now_us);
    if (leads)
        return;
    if (r->plan)
        ctrl_plan_free(r->plan);
    r->plan = NULL;
    release_polls(n, r, true);
    handover_drop(n, r);
}

void admin_close(struct node *n, struct replica *r)
{
    r->role = RAFT_FOLLOWER;
    admin_role_changed(n, r);
}

static void propose(struct node *n, struct replica *r, struct ctrl_command *c)
{
    c->time_us = replica_time_us(n, r);
    enum rgkv_err err = replica_propose(n, r, ctrl_command_encode(c), 0, 0);
    (void)err; /* refused: the plan says it again */
}

/* The founding controllers are part of it: from then on the wish is in the table (P20). */
static void initialise(struct node *n, struct replica *r)
{
    struct ctrl_join_group g = {.n = r->desc.founding.n};
    uint64_t nodes[MEMBERS_MAX];
    struct raft_status s;
    raft_status(r->raft, &s);
    if (s.commit < s.last_index)
        return; /* it may be under way */
    for (unsigned i = 0; i < g.n; i++) {
        const struct raft_member *m = &r->desc.founding.members[i];
        ASSERT(m->id == i + 1);
        memcpy(g.addrs[i], m->addr, ADDR_BYTES_MAX);
        nodes[i] = m->node;
    }
    propose(n, r, &(struct ctrl_command){.op = CTRL_INIT, .cluster = n->manifest.cluster, .nshards = r->desc.nshards,
                                         .n_groups = 1, .groups = &g, .n_gids = g.n, .gids = nodes});
}

static void run_plan(struct node *n, struct replica *r)
{
    struct ctrl_command *commands = mem_alloc(PLAN_COMMANDS_MAX * sizeof(*commands));
    unsigned count = ctrl_plan_next(r->plan, r->ctrl, n->now_us, commands, PLAN_COMMANDS_MAX);
    for (unsigned i = 0; i < count; i++)
        propose(n, r, &commands[i]);
    mem_free(commands);
}

void admin_tick(struct node *n, struct replica *r)
{
    release_polls(n, r, !replica_leads(n, r));
    handover_tick(n, r);
    if (!replica_leads(n, r) || !r->plan || n->now_us < n->plan_next_us || n->stopping)
        return;
    n->plan_next_us = n->now_us + 10 * PLAN_GAP_US;
    if (ctrl_initialised(r->ctrl))
        run_plan(n, r);
    else
        initialise(n, r);
}

void admin_view_changed(struct node *n, struct replica *r)
{
    if (n->n_polls)
        release_polls(n, r, false);
    members_look(r);
    n->plan_next_us = MIN(n->plan_next_us, n->now_us + PLAN_GAP_US);
}

uint64_t admin_deadline_us(const struct node *n, const struct replica *r)
{
    uint64_t at = replica_is_leader(r) ? n->plan_next_us : UINT64_MAX;
    for (unsigned i = 0; i < n->n_polls; i++)
        at = MIN(at, n->polls[i].deadline_us);
    if (n->n_handovers)
        at = MIN(at, n->now_us + TICK_US);
    return at;
}
