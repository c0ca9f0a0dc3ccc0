/* An administrator wants a certain member to lead its group. The controller's leader tells the group's leader, again and again, until
 * the reports say that it is done, and then answers; nothing is logged, and doing it twice is as good as once. */
#include "node/internal.h"

#include <stdio.h>

#define WAIT_US 2000000u
#define HANDOVERS_MAX 64u

struct aim {                   /* of one handover, as things are now */
    uint64_t incarnation, leader;
    char addr[ADDR_BYTES_MAX]; /* of the leader's node */
};

/* ---- whether it can be ---- */

static const struct ctrl_member *member_of(const struct ctrl_group *g, uint64_t id)
{
    for (unsigned i = 0; i < g->n; i++)
        if (g->members[i].id == id)
            return &g->members[i];
    return NULL;
}

static void refuse(struct ctrl_result *result, enum rgkv_err err, const char *before, uint64_t number, const char *after)
{
    result->err = err;
    snprintf(result->why, sizeof(result->why), "%s%llu%s", before, (unsigned long long)number, after);
}

/* OK: it leads already. BUSY without a sentence: it is to be waited for; a new leader of the controller hears of the others
 * within a second. */
static void look(const struct node *n, const struct replica *r, const struct handover *h, struct aim *ret_aim, struct ctrl_result *result)
{
    const struct ctrl_view *v = ctrl_view(r->ctrl);
    struct ctrl_group ctl;
    struct ctrl_report_member told = {0};
    ctrl_view_controllers(v, &ctl);
    const struct ctrl_group *g = h->gid ? ctrl_view_group(v, h->gid) : &ctl;
    *ret_aim = (struct aim){0};
    if (!g) {
        refuse(result, RGKV_NOT_FOUND, "group ", h->gid, " is not known");
        return;
    }
    ret_aim->incarnation = g->incarnation;
    ret_aim->leader = h->gid ? ctrl_plan_leader(r->plan, v, h->gid, n->now_us, ret_aim->addr) : r->desc.member;
    if (!member_of(g, h->member))
        refuse(result, RGKV_NOT_FOUND, "the group has no member ", h->member, "");
    else if (ret_aim->leader == h->member)
        result->err = RGKV_OK;
    else if (ctrl_plan_member(r->plan, v, h->gid, h->member, n->now_us, &told) && !told.voter)
        refuse(result, RGKV_BUSY, "member ", h->member, " does not vote yet");
    else
        result->err = RGKV_BUSY;
}

/* ---- doing it ---- */

static void transfer(struct node *n, struct replica *r, uint64_t member)
{
    struct raft_input in = {.kind = RAFT_TRANSFER, .peer = member};
    enum rgkv_err err = replica_step(n, r, &in);
    (void)err; /* not leading any more, or one is under way: who asked looks again */
}

void handover_receive(struct node *n, const struct msg_transfer *t)
{
    struct replica *r = node_group(n, t->gid);
    if (r && r->desc.incarnation == t->incarnation && replica_is_leader(r))
        transfer(n, r, t->member);
}

static void tell(struct node *n, struct replica *r, const struct handover *h, const struct aim *aim)
{
    struct msg m = {.kind = MSG_TRANSFER, .transfer = {h->gid, aim->incarnation, h->member}};
    if (h->gid && aim->leader && aim->addr[0]) /* a report may name none */
        node_send(n, aim->addr, &m);
    else if (!h->gid)
        transfer(n, r, h->member);
}

/* True: it was answered. */
static bool advance(struct node *n, struct replica *r, const struct handover *h)
{
    struct ctrl_result result = {0};
    struct aim aim;
    look(n, r, h, &aim, &result);
    bool waits = result.err == RGKV_BUSY && !result.why[0];
    if (waits && n->now_us < h->deadline_us) {
        tell(n, r, h, &aim);
        return false;
    }
    if (waits && !aim.leader)
        refuse(&result, RGKV_BUSY, "group ", h->gid, " has no leader that could hand over");
    else if (waits)
        refuse(&result, RGKV_BUSY, "member ", h->member, " did not take over: it is silent or far behind");
    admin_reply(n, r, h->conn, h->request_id, &result);
    return true;
}

void handover_request(struct node *n, struct replica *r, uint64_t conn, const struct msg *m)
{
    const struct ctrl_command *c = &m->admin_request.command;
    struct handover h = {conn, m->id, c->gid, c->member, n->now_us + WAIT_US};
    if (n->n_handovers == HANDOVERS_MAX || !r->plan) {
        admin_reply(n, r, conn, m->id, &(struct ctrl_result){.err = RGKV_NOT_LEADER});
        return;
    }
    if (advance(n, r, &h))
        return;
    if (!n->handovers)
        n->handovers = mem_alloc(HANDOVERS_MAX * sizeof(h));
    n->handovers[n->n_handovers++] = h;
}

void handover_tick(struct node *n, struct replica *r)
{
    unsigned kept = 0;
    for (unsigned i = 0; r->plan && i < n->n_handovers; i++) {
        const struct handover h = n->handovers[i];
        if (!advance(n, r, &h))
            n->handovers[kept++] = h;
    }
    if (r->plan)
        n->n_handovers = kept;
}

void handover_drop(struct node *n, struct replica *r)
{
    for (unsigned i = 0; i < n->n_handovers; i++)
        admin_reply(n, r, n->handovers[i].conn, n->handovers[i].request_id, &(struct ctrl_result){.err = RGKV_NOT_LEADER});
    n->n_handovers = 0;
}
