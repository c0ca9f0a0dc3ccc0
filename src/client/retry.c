/* What an answer, a refusal, silence or the deadline means for a request.
 *
 * Of every reply the first question is what it says about the copy that it answers (P28):
 *
 *     ANSWER   the state machine's word, recorded: the request is done, whichever copy it was
 *     REFUSED  this copy never was, and never will be, executed; another may be
 *     UNSURE   the node cannot tell (it lost its lead, its disk failed): the copy stays open
 *     UNDER_WAY it is being executed: the copy stays open, and the same is asked again soon
 *     EXPIRED  the session is gone: this copy was not executed, but an earlier one may have been
 *
 * The second, only if it was the newest copy, is when and where to send the next one. */
#include "base/mutant.h"
#include "client/engine.h"

enum verdict { ANSWER, REFUSED, UNSURE, UNDER_WAY, EXPIRED };

/* `reasoned`: it came with a sentence, which is the controller's last word: of its state machine, or of a leader whose log holds no
 * other copy. A full disk is told before or after the log, nobody knows: it is an answer only if no other copy can have been executed. */
static enum verdict verdict_of(const struct request *r, enum rgkv_err err, bool reasoned)
{
    switch (err) {
    case RGKV_OK: case RGKV_NOT_FOUND: case RGKV_EXISTS: case RGKV_NOT_DIR: case RGKV_IS_DIR: case RGKV_NOT_EMPTY:
    case RGKV_NAME_TOO_LONG: case RGKV_INVALID: case RGKV_RANGE: case RGKV_TOO_LARGE: case RGKV_STALE: case RGKV_VERSION:
    case RGKV_CROSS_SHARD: case RGKV_NOT_PERMITTED: case RGKV_LOOP: case RGKV_CONFLICT: case RGKV_NO_DATA: case RGKV_FULL:
        return ANSWER;
    case RGKV_NO_SPACE:
        return request_surely_not_done(r) ? ANSWER : REFUSED;
    case RGKV_BUSY:
        return reasoned ? ANSWER : REFUSED;
    case RGKV_MOVING: case RGKV_NO_GROUP: case RGKV_WRONG_GROUP:
        return r->kind == CLIENT_KV ? REFUSED : ANSWER;
    case RGKV_NOT_LEADER: case RGKV_UNREACHABLE: case RGKV_WRONG_CLUSTER: case RGKV_PROTOCOL: case RGKV_STOPPED:
        return REFUSED;
    case RGKV_SESSION_EXPIRED: case RGKV_SESSION_OLD:
        return request_mutates(r) ? EXPIRED : UNSURE;
    case RGKV_PENDING:
        return UNDER_WAY;
    case RGKV_UNKNOWN: case RGKV_CANCELLED: case RGKV_DAMAGED: case RGKV_IO: case RGKV_NO_MEMORY: case RGKV_ERR_COUNT:
        break;
    }
    return UNSURE;
}

/* ---- when and where the next copy goes ---- */

static void back_off(struct client *c, struct request *r, uint64_t min_us, uint64_t max_us)
{
    uint64_t delay = MIN(min_us << MIN(r->refusals, 10), max_us);
    r->refusals++;
    r->hops = 0;
    view_wait(c, r, c->now_us + prng_between(&c->prng, delay / 2, delay));
}

static void back_off_refused(struct client *c, struct request *r)
{
    back_off(c, r, CLIENT_BACKOFF_MIN_US, CLIENT_BACKOFF_MAX_US);
}

/* An election is over within a second, and writes wait for whoever asks too late. A group that has no majority is asked less often. */
static void back_off_election(struct client *c, struct request *r)
{
    bool soon = r->refusals < CLIENT_ELECTION_TRIES;
    back_off(c, r, CLIENT_BACKOFF_MIN_US, soon ? CLIENT_ELECTION_US : CLIENT_BACKOFF_MAX_US);
}

/* Only the last difference of a shard is moved while it stands still: that is soon over, or else there is trouble. */
static void back_off_moving(struct client *c, struct request *r)
{
    bool soon = r->refusals < CLIENT_MOVING_TRIES;
    back_off(c, r, CLIENT_MOVING_MIN_US, soon ? CLIENT_MOVING_US : CLIENT_MOVING_MAX_US);
}

static void elsewhere(struct client *c, struct request *r, struct link *from)
{
    struct group *g = group_known(c, r->gid);
    if (g)
        group_rotate(c, g, from);
    back_off_refused(c, r);
}

static void not_leader(struct client *c, struct request *r, struct link *from, const char *hint)
{
    struct group *g = group_known(c, r->gid);
    bool worth = g && group_hint(c, g, from, hint);
    if (worth && r->hops++ < CLIENT_HOPS_MAX)
        request_ready(c, r);
    else
        back_off_election(c, r);
}

static void group_led_by(struct client *c, struct request *r, struct link *leader)
{
    struct group *g = group_known(c, r->gid);
    if (g)
        group_reached(c, g, leader);
}

static void refused_newest(struct client *c, struct request *r, struct link *from, enum rgkv_err err, const char *hint)
{
    r->trouble = err == RGKV_NO_GROUP ? RGKV_WRONG_GROUP : err; /* NO_GROUP is what the view says, not a node */
    if (err == RGKV_NOT_LEADER) {
        not_leader(c, r, from, hint);
    } else if (err == RGKV_MOVING) {
        group_led_by(c, r, from);
        back_off_moving(c, r);
    } else if (err == RGKV_BUSY) {
        group_led_by(c, r, from);
        back_off_refused(c, r);
    } else if (err == RGKV_WRONG_GROUP || err == RGKV_NO_GROUP) {
        group_led_by(c, r, from); /* members that do not lead do not say so */
        view_want(c);
        back_off_refused(c, r);
    } else {
        elsewhere(c, r, from);
    }
}

static void refused(struct client *c, struct request *r, struct link *from, uint64_t copy, enum rgkv_err err, const char *hint)
{
    bool newest = request_close_copy(r, copy);
    if (newest && r->state == REQUEST_SENT)
        refused_newest(c, r, from, err, hint);
}

static void unsure(struct client *c, struct request *r, struct link *from, uint64_t copy)
{
    bool newest = (uint16_t)copy == (uint16_t)r->copies;
    if (newest && r->state == REQUEST_SENT)
        elsewhere(c, r, from);
}

static void under_way(struct client *c, struct request *r, struct link *from, uint64_t copy)
{
    bool newest = (uint16_t)copy == (uint16_t)r->copies;
    if (!newest || r->state != REQUEST_SENT)
        return;
    group_led_by(c, r, from);
    back_off(c, r, CLIENT_PENDING_MIN_US, CLIENT_MOVING_MAX_US);
}

/* Not executed, and never will be under this number. If no other copy can have been, it may have a new one. */
static void expired(struct client *c, struct request *r)
{
    bool again = request_surely_not_done(r) && r->kind == CLIENT_KV && r->renewals < CLIENT_RENEWALS_MAX;
    group_probe_over(c, r);
    if (again) {
        r->renewals++;
        session_renew(c, r);
        return;
    }
    r->trouble = RGKV_SESSION_EXPIRED;
    outcome_give_up(c, r);
}

/* True: it was dealt with. */
static bool not_answered(struct client *c, struct request *r, struct link *from, const struct msg *m, enum rgkv_err err,
                         bool reasoned, const char *hint)
{
    uint64_t open = r->open;
    request_close_copy(r, m->id);
    enum verdict v = verdict_of(r, err, reasoned);
    if (v == UNSURE || v == UNDER_WAY || v == ANSWER)
        r->open = open;
    if (v == REFUSED)
        refused(c, r, from, m->id, err, hint);
    else if (v == UNSURE)
        unsure(c, r, from, m->id);
    else if (v == UNDER_WAY)
        under_way(c, r, from, m->id);
    else if (v == EXPIRED)
        expired(c, r);
    return v != ANSWER;
}

/* ---- replies, by kind ---- */

static void reached(struct client *c, const struct request *r, struct link *from)
{
    struct group *g = r->state == REQUEST_SENT && r->link == from ? group_known(c, r->gid) : NULL;
    if (g)
        group_reached(c, g, from);
}

static void contact_replied(struct client *c, struct link *l, struct request *r, const struct msg *m)
{
    if (m->kv_reply.err != RGKV_OK) {
        refused(c, r, l, m->id, RGKV_UNREACHABLE, "");
        return;
    }
    session_heard(c, r->session, m->kv_reply.shard_time_us);
    session_contact_ended(c, r);
}

static void kv_replied(struct client *c, struct link *l, struct request *r, const struct msg *m)
{
    const struct kv_reply *reply = &m->kv_reply;
    if (not_answered(c, r, l, m, reply->err, false, reply->leader_addr))
        return;
    reached(c, r, l);
    if (r->purpose == PURPOSE_CONTACT) {
        contact_replied(c, l, r, m);
        return;
    }
    if (reply->shard_time_us)
        session_heard(c, r->session, reply->shard_time_us);
    outcome_answer_kv(c, r, reply);
}

static void admin_replied(struct client *c, struct link *l, struct request *r, const struct msg *m)
{
    const struct ctrl_result *result = &m->admin_reply.result;
    if (not_answered(c, r, l, m, result->err, result->why[0] != 0, m->admin_reply.leader_addr))
        return;
    reached(c, r, l);
    outcome_answer_admin(c, r, result);
}

static void text_replied(struct client *c, struct link *l, struct request *r, const struct msg *m)
{
    if (not_answered(c, r, l, m, m->ctrl_text.err, false, m->ctrl_text.leader_addr))
        return;
    reached(c, r, l);
    outcome_answer_text(c, r, &m->ctrl_text);
}

static void view_replied(struct client *c, struct link *l, struct request *r, const struct msg *m)
{
    enum rgkv_err err = m->view.err ? m->view.err : view_take(c, m);
    if (err) {
        refused(c, r, l, m->id, err, m->view.leader_addr);
        return;
    }
    reached(c, r, l);
    if (r->purpose == PURPOSE_POLL)
        view_poll_again(c);
    else
        outcome_answer_view(c, r);
}

/* A refusal of the kind that would meet every copy ends the request, unless one may have been executed already. */
static void not_looked_at(struct client *c, struct link *l, struct request *r, const struct msg *m)
{
    const struct msg_refused *no = &m->refused;
    bool newest = request_close_copy(r, m->id);
    bool final = no->err && request_surely_not_done(r) && verdict_of(r, no->err, false) == ANSWER;
    if (final && r->purpose == PURPOSE_CALLER)
        request_finish(c, r, no->err, no->why[0] ? mem_strdup(no->why) : NULL);
    else if (newest)
        refused(c, r, l, m->id, no->err, "");
}

/* A stranger's refusal counts as one; anything else that it says about a change is not believed, but it is asked no more. */
static void stranger_replied(struct client *c, struct link *l, struct request *r, const struct msg *m)
{
    if (m->kind == MSG_REFUSED || !request_mutates(r))
        refused(c, r, l, m->id, RGKV_WRONG_CLUSTER, "");
    else
        unsure(c, r, l, m->id);
}

static bool stranger(const struct client *c, const struct msg *m) { return c->cluster && m->cluster != c->cluster; }

static struct request *request_find(const struct client *c, uint64_t message_id)
{
    struct request *r;
    uint64_t id = message_id >> 16;
    HASH_FIND(hh, c->requests, &id, sizeof(id), r);
    return r && r->copies ? r : NULL;
}

void retry_received(struct client *c, struct link *l, const struct msg *m)
{
    l->heard_us = c->now_us;
    struct request *r = request_find(c, m->id);
    if (!r)
        return; /* answered already */
    if (stranger(c, m))
        stranger_replied(c, l, r, m);
    else if (m->kind == MSG_REFUSED)
        not_looked_at(c, l, r, m);
    else if (m->kind == MSG_KV_REPLY && r->kind == CLIENT_KV)
        kv_replied(c, l, r, m);
    else if (m->kind == MSG_ADMIN_REPLY && r->kind == CLIENT_ADMIN)
        admin_replied(c, l, r, m);
    else if (m->kind == MSG_CTRL_TEXT && r->kind == CLIENT_READ)
        text_replied(c, l, r, m);
    else if (m->kind == MSG_VIEW && r->kind == CLIENT_VIEW)
        view_replied(c, l, r, m);
}

/* ---- starting ---- */

static void start_kv(struct client *c, struct request *r)
{
    if (r->kv.key.len)
        r->kv.shard = kv_key_shard(r->kv.key, c->view.nshards);
    r->kv.client = c->client;
    r->kv.seq = r->kv.floor = request_mutates(r) ? 1 : 0;
    enum rgkv_err err = r->kv.shard < c->view.nshards ? kv_request_check(&r->kv, c->view.nshards) : RGKV_INVALID;
    if (err)
        request_finish(c, r, err, NULL);
    else
        session_enter(c, session_of(c, r->kv.shard), r);
}

static void start_admin(struct client *c, struct request *r)
{
    struct buf why = {0};
    r->admin.client = c->client;
    enum rgkv_err err = ctrl_op_admin(r->admin.op) || r->admin.op == CTRL_TRANSFER ? ctrl_command_check(&r->admin, &why) : RGKV_INVALID;
    if (!err) {
        buf_release(&why);
        session_enter(c, &c->admin, r);
        return;
    }
    buf_put_u8(&why, 0);
    request_finish(c, r, err, (char *)why.data);
}

void retry_start(struct client *c, struct request *r)
{
    if (r->kind == CLIENT_KV && !c->has_view) {
        view_wait(c, r, UINT64_MAX);
        return;
    }
    r->started = true;
    if (r->kind == CLIENT_KV)
        start_kv(c, r);
    else if (r->kind == CLIENT_ADMIN)
        start_admin(c, r);
    else if (r->kind == CLIENT_READ && (r->read < 1 || r->read >= CTRL_READ_COUNT))
        request_finish(c, r, RGKV_INVALID, NULL);
    else
        request_ready(c, r);
}

/* ---- sending ---- */

static void message_fill(struct client *c, const struct request *r)
{
    struct msg *m = &c->message;
    m->id = r->id << 16 | (r->copies & 0xffff);
    m->cluster = c->cluster;
    switch (r->kind) {
    case CLIENT_KV:
        m->kind = MSG_KV_REQUEST;
        m->kv_request = (struct msg_kv_request){.gid = r->gid, .request = r->kv};
        break;
    case CLIENT_ADMIN:
        m->kind = MSG_ADMIN_REQUEST;
        m->admin_request = (struct msg_admin_request){.command = r->admin};
        break;
    case CLIENT_READ:
        m->kind = MSG_CTRL_READ;
        m->ctrl_read = (struct msg_ctrl_read){.what = r->read, .number = r->number};
        break;
    case CLIENT_VIEW:
        m->kind = MSG_POLL;
        m->poll = (struct msg_poll){.version = c->has_view ? c->view.version : 0, .hold_us = r->hold_us};
        break;
    }
}

static uint64_t patience_us(struct client *c, const struct request *r)
{
    uint64_t us = (uint64_t)CLIENT_ANSWER_US << MIN(r->silences, 3);
    us += r->kind == CLIENT_KV ? r->kv.data.len * 4 : 0; /* a megabyte behind others takes its time; another copy would make it worse */
    return r->hold_us + us + prng_below(&c->prng, us / 4);
}

static void copy_count(struct client *c, struct request *r)
{
    r->copies++;
    uint64_t bit = 1ull << r->copies % 64;
    r->lost |= (r->open & bit) != 0;
    r->open |= bit;
    c->stats.sends++;
    c->stats.retries += r->copies > 1 && r->purpose == PURPOSE_CALLER;
    if (r->purpose == PURPOSE_POLL)
        c->polled_us = c->now_us;
}

static void copy_send(struct client *c, struct request *r, struct link *l)
{
    if (MUTANT(retry_renumbered) && r->copies && request_mutates(r) && r->kind == CLIENT_KV)
        r->kv.seq = r->session->next_seq++;
    if (r->session)
        session_stamp(c, r);
    copy_count(c, r);
    request_move(c, r, REQUEST_SENT, &l->sent);
    r->link = l;
    r->sent_us = c->now_us;
    request_wake_at(c, r, c->now_us + patience_us(c, r));
    message_fill(c, r);
}

/* Whom to ask: the controller, or the shard's holder. NULL: nobody yet, it waits for a newer placement. */
static struct group *group_for(struct client *c, struct request *r)
{
    if (r->kind != CLIENT_KV)
        return group_of(c, 0);
    const struct ctrl_shard *s = view_shard(c, r->kv.shard);
    ASSERT(s);
    struct group *g = s->holder ? group_of(c, s->holder) : NULL;
    if (!g)
        r->trouble = RGKV_NO_GROUP;
    else if (r->trouble == RGKV_NO_GROUP)
        r->trouble = RGKV_OK;
    return g;
}

bool retry_send(struct client *c, struct request *r, struct client_effect *ret_e)
{
    struct group *g = group_for(c, r);
    if (!g || g->gid != r->gid)
        group_probe_over(c, r);
    if (!g) {
        view_wait(c, r, UINT64_MAX);
        return false;
    }
    r->gid = g->gid;
    if (!session_may_send(c, r)) {
        group_probe_over(c, r);
        return false;
    }
    struct link *l = group_may_ask(g, r) ? group_link(c, g) : NULL;
    if (!l) {
        group_park(c, g, r);
        return false;
    }
    if (!g->led)
        r->hold_us = 0; /* a probe is answered at once */
    copy_send(c, r, l);
    *ret_e = (struct client_effect){.kind = CLIENT_SEND, .addr = l->addr, .message = &c->message, .why = ""};
    return true;
}

/* ---- time ---- */

/* A slow leader that answers others is asked again; one that answers nobody is passed over. */
static void silent(struct client *c, struct request *r)
{
    struct group *g = group_known(c, r->gid);
    r->silences++;
    if (g && r->link->heard_us <= r->sent_us)
        group_rotate(c, g, r->link);
    request_ready(c, r);
}

void retry_timer(struct client *c, struct request *r)
{
    if (c->now_us >= r->deadline_us) {
        outcome_give_up(c, r);
        return;
    }
    if (c->now_us >= r->wake_us) {
        if (r->state == REQUEST_SENT)
            silent(c, r);
        else
            request_ready(c, r);
    }
    request_wake_at(c, r, r->wake_us);
}
