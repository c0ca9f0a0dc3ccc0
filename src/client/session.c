/* Exactly once (P5, P12): the sequence, floor and window of this client in each shard, and the shard's time, without
 * which no mutation may leave. A request keeps its sequence and birth over all its copies. */
#include "client/engine.h"

static struct session *session_new(uint32_t shard)
{
    struct session *s = mem_zalloc(sizeof(*s));
    s->shard = shard;
    s->window = SESSION_WINDOW;
    s->next_seq = 1;
    return s;
}

void session_free(struct session *s) { mem_free(s); }

struct session *session_of(struct client *c, uint32_t shard)
{
    ASSERT(c->has_view && shard < c->view.nshards);
    if (!c->sessions[shard])
        c->sessions[shard] = session_new(shard);
    return c->sessions[shard];
}

static uint64_t session_floor(const struct session *s)
{
    const struct request *oldest = s->active;
    if (!oldest)
        return s->next_seq;
    return oldest->kind == CLIENT_KV ? oldest->kv.seq : oldest->admin.seq;
}

static bool session_has_room(const struct session *s) { return s->next_seq - session_floor(s) < s->window; }

static void session_number(struct client *c, struct session *s, struct request *r)
{
    uint64_t seq = s->next_seq++;
    if (r->kind == CLIENT_KV)
        r->kv.seq = seq;
    else
        r->admin.seq = seq;
    r->numbered = true;
    DL_APPEND2(s->active, r, older, newer);
}

static bool session_admit(struct client *c, struct session *s, struct request *r)
{
    if (request_mutates(r)) {
        if (!session_has_room(s))
            return false;
        session_number(c, s, r);
    }
    request_ready(c, r);
    return true;
}

void session_enter(struct client *c, struct session *s, struct request *r)
{
    r->session = s;
    if (s->queue || !session_admit(c, s, r)) {
        request_move(c, r, REQUEST_QUEUED, &s->queue);
        request_wake_at(c, r, UINT64_MAX);
    }
}

static void session_drain(struct client *c, struct session *s)
{
    while (s->queue && session_admit(c, s, s->queue))
        ;
}

static void session_unnumber(struct session *s, struct request *r)
{
    if (!r->numbered)
        return;
    DL_DELETE2(s->active, r, older, newer);
    r->numbered = false;
}

/* Nobody waits for the time any more: nobody asks for it. */
static void session_contact_unneeded(struct client *c, struct session *s, const struct request *leaving)
{
    bool last = s->contact_wait == leaving && leaving->next == NULL;
    if (!s->contact || !last || leaving->list != &s->contact_wait)
        return;
    struct request *contact = s->contact;
    s->contact = NULL;
    request_drop(c, contact);
}

void session_leave(struct client *c, struct request *r)
{
    struct session *s = r->session;
    if (!s || r->purpose != PURPOSE_CALLER)
        return;
    session_contact_unneeded(c, s, r);
    session_unnumber(s, r);
    if (r->list) { /* out of the queue, before it is drained */
        DL_DELETE(*r->list, r);
        r->list = NULL;
    }
    r->session = NULL;
    session_drain(c, s);
}

static bool session_is_fresh(const struct client *c, const struct session *s)
{
    return s->heard_us && c->now_us - s->heard_us < CLIENT_CONTACT_US;
}

static void session_ask_time(struct client *c, struct session *s)
{
    if (s->contact)
        return;
    struct kv_request q = {.op = KV_TIME, .shard = s->shard, .client = c->client};
    struct client_request wrapped = {.kind = CLIENT_KV, .kv = &q};
    s->contact = request_new(c, &wrapped);
    s->contact->purpose = PURPOSE_CONTACT;
    s->contact->session = s;
    s->contact->started = true;
    request_ready(c, s->contact);
}

bool session_may_send(struct client *c, struct request *r)
{
    struct session *s = r->session;
    if (r->kind != CLIENT_KV || !request_mutates(r) || r->born || session_is_fresh(c, s))
        return true;
    session_ask_time(c, s);
    request_move(c, r, REQUEST_CONTACT, &s->contact_wait);
    request_wake_at(c, r, UINT64_MAX);
    return false;
}

void session_stamp(struct client *c, struct request *r)
{
    if (r->kind == CLIENT_ADMIN && !r->born) {
        r->admin.born_us = c->controller_time_us;
        r->born = true;
    }
    if (r->kind != CLIENT_KV)
        return;
    r->kv.client = c->client;
    if (!request_mutates(r))
        return;
    r->kv.floor = session_floor(r->session);
    if (!r->born)
        r->kv.born_us = r->session->time_us;
    r->born = true;
}

void session_heard(struct client *c, struct session *s, uint64_t time_us)
{
    s->time_us = MAX(s->time_us, time_us);
    s->heard_us = MAX(c->now_us, 1);
    request_ready_all(c, &s->contact_wait);
}

void session_contact_ended(struct client *c, struct request *contact)
{
    contact->session->contact = NULL;
    request_drop(c, contact);
}

void session_renew(struct client *c, struct request *r)
{
    ASSERT(request_surely_not_done(r));
    struct session *s = r->session;
    session_leave(c, r);
    r->born = false;
    s->heard_us = 0;
    session_enter(c, s, r);
}
