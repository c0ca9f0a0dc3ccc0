/* Random runs against a tiny model of the cluster: two groups of three, three controllers, exactly-once sessions as P5 and P12
 * say. Requests and replies are lost and delayed, replies doubled, links break, nodes stop, leaders change with entries that
 * survive or do not, shards move, sessions expire. What the client said must agree with how often each
 * append was applied. A seed replays exactly. */
#include "tests/unit/client_fake.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"

enum { NODES = 9, GROUPS = 3, TOKENS = 200, EVENTS = 1 << 14, SEQS = 1 << 12, CALM_US = 4000000, END_US = 60000000 };

enum event_kind { TO_NODE = 1, TO_CLIENT, COMMIT, LINK, FAULT, ELECT, ARRIVE, WORK };
struct event {
    uint64_t at_us, order;
    enum event_kind kind;
    unsigned node;          /* group * 3 + member */
    uint64_t term, born_us; /* COMMIT; TO_NODE of a poll: when it came */
    unsigned shard, token;
    struct msg m;
};
struct row {
    bool exists;
    uint64_t since, last, floor;
    struct { bool kept; enum rgkv_err err; } results[SEQS];
};
struct token {
    uint64_t id;
    unsigned applied;
    bool done, cancelled, read;
    enum rgkv_err err;
};
struct model {
    struct client *c;
    struct prng p;
    uint64_t now, order;
    unsigned n_events;
    struct event events[EVENTS];
    bool wanted[NODES], up[NODES], stopped[NODES];
    int leader[GROUPS];     /* -1: none */
    uint64_t term[GROUPS];
    bool frozen[FAKE_SHARDS];
    uint64_t jump_us[FAKE_SHARDS];
    struct row rows[FAKE_SHARDS];
    struct ctrl_shard shards[FAKE_SHARDS];
    struct ctrl_group groups[2];
    struct ctrl_view view;
    struct token tokens[TOKENS];
    unsigned submitted, finished;
    bool faults;
    unsigned lost, elections, moves, breaks, expiries, duplicates; /* what really happened */
};

static const char *const addresses[NODES] = {"c1:1", "c2:1", "c3:1", "a1:1", "a2:1", "a3:1", "b1:1", "b2:1", "b3:1"};

static unsigned node_at(const char *addr)
{
    for (unsigned i = 0; i < NODES; i++)
        if (!strcmp(addresses[i], addr))
            return i;
    fail_msg("nobody listens at %s", addr);
    return 0;
}

static struct event *later(struct model *m, enum event_kind kind, uint64_t delay_us)
{
    assert_true(m->n_events < EVENTS);
    struct event *e = &m->events[m->n_events++];
    *e = (struct event){.at_us = m->now + delay_us, .order = m->order++, .kind = kind};
    return e;
}

static bool take_first(struct model *m, struct event *ret_e)
{
    unsigned best = 0;
    for (unsigned i = 1; i < m->n_events; i++) {
        const struct event *a = &m->events[i], *b = &m->events[best];
        if (a->at_us < b->at_us || (a->at_us == b->at_us && a->order < b->order))
            best = i;
    }
    if (!m->n_events)
        return false;
    *ret_e = m->events[best];
    m->events[best] = m->events[--m->n_events];
    return true;
}

static bool happens(struct model *m, unsigned percent) { return m->faults && prng_chance(&m->p, percent, 100); }

static uint64_t travel(struct model *m)
{
    uint64_t us = prng_between(&m->p, 100, 3000);
    return happens(m, 2) ? us + prng_below(&m->p, 3000000) : us;
}

/* ---- the machine ---- */

static uint64_t shard_time(const struct model *m, unsigned s) { return m->now + m->jump_us[s]; }

static enum rgkv_err session_check(struct model *m, struct row *r, const struct kv_request *q, unsigned s)
{
    uint64_t now = shard_time(m, s);
    if (r->exists && r->last + SESSION_TTL_US <= now) {
        memset(r, 0, sizeof(*r));
        m->expiries++;
    }
    bool young = q->born_us + SESSION_TTL_US > now;
    if (!r->exists && !young)
        return RGKV_SESSION_EXPIRED;
    if (!r->exists)
        *r = (struct row){.exists = true, .since = now};
    r->floor = MAX(r->floor, q->floor);
    r->last = now;
    if (q->seq < r->floor)
        return RGKV_SESSION_OLD;
    if (r->results[q->seq].kept || young || r->since <= q->born_us)
        return RGKV_OK;
    return RGKV_SESSION_EXPIRED;
}

static enum rgkv_err apply(struct model *m, unsigned group, unsigned s, unsigned token, const struct kv_request *q)
{
    struct row *r = &m->rows[s];
    if (m->shards[s].holder != 100 + group)
        return RGKV_WRONG_GROUP;
    if (m->frozen[s])
        return RGKV_MOVING;
    assert_true(q->seq > 0 && q->seq < SEQS && q->floor <= q->seq && q->seq < q->floor + SESSION_WINDOW);
    enum rgkv_err err = session_check(m, r, q, s);
    if (err)
        return err;
    if (r->results[q->seq].kept) {
        m->duplicates++;
        return r->results[q->seq].err;
    }
    r->results[q->seq].kept = true;
    r->results[q->seq].err = token % 7 == 3 ? RGKV_IS_DIR : RGKV_OK;
    m->tokens[token].applied += token % 7 != 3;
    return r->results[q->seq].err;
}

/* ---- the nodes ---- */

static void answer(struct model *m, unsigned node, const struct msg *reply)
{
    unsigned copies = happens(m, 8) ? 0 : happens(m, 4) ? 2 : 1;
    m->lost += copies == 0;
    while (copies--) {
        struct event *e = later(m, TO_CLIENT, travel(m));
        e->node = node;
        e->m = *reply;
    }
}

static void hint(struct model *m, unsigned group, char ret_addr[ADDR_BYTES_MAX])
{
    int at = happens(m, 20) ? (int)prng_below(&m->p, 3) : m->leader[group];
    if (at >= 0 && !happens(m, 30))
        snprintf(ret_addr, ADDR_BYTES_MAX, "%s", addresses[group * 3 + (unsigned)at]);
}

static void answer_kv(struct model *m, const struct event *e, enum rgkv_err err)
{
    struct msg r = {.kind = MSG_KV_REPLY, .id = e->m.id, .cluster = 77};
    r.kv_reply.err = err;
    r.kv_reply.shard_time_us = shard_time(m, e->shard);
    if (err == RGKV_NOT_LEADER)
        hint(m, e->node / 3, r.kv_reply.leader_addr);
    answer(m, e->node, &r);
}

static void node_kv(struct model *m, const struct event *e)
{
    unsigned group = e->node / 3;
    const struct kv_request *q = &e->m.kv_request.request;
    if (m->leader[group] != (int)(e->node % 3)) {
        answer_kv(m, e, RGKV_NOT_LEADER);
    } else if (happens(m, 3)) {
        answer_kv(m, e, RGKV_BUSY);
    } else if (m->shards[e->shard].holder != 100 + group || m->frozen[e->shard]) {
        answer_kv(m, e, m->frozen[e->shard] ? RGKV_MOVING : RGKV_WRONG_GROUP);
    } else if (kv_op_reads(q->op)) {
        answer_kv(m, e, RGKV_OK);
    } else {
        struct event *entry = later(m, COMMIT, prng_between(&m->p, 200, 20000));
        uint64_t at = entry->at_us, order = entry->order;
        *entry = *e;
        entry->kind = COMMIT;
        entry->at_us = at;
        entry->order = order;
        entry->term = m->term[group];
    }
}

/* An entry of a leader that is none any more was committed by the next one, or is gone. */
static void node_commit(struct model *m, const struct event *e)
{
    unsigned group = e->node / 3;
    bool leads = m->term[group] == e->term;
    if (!leads && prng_chance(&m->p, 1, 2))
        return;
    enum rgkv_err err = apply(m, group, e->shard, e->token, &e->m.kv_request.request);
    if (leads)
        answer_kv(m, e, err);
    else if (prng_chance(&m->p, 1, 2))
        answer_kv(m, e, RGKV_UNKNOWN);
}

static void node_poll(struct model *m, const struct event *e)
{
    struct msg r = {.kind = MSG_VIEW, .id = e->m.id, .cluster = 77};
    bool newer = e->m.poll.version < m->view.version;
    if (m->leader[0] != (int)e->node) {
        r.view.err = RGKV_NOT_LEADER;
        hint(m, 0, r.view.leader_addr);
    } else if (!newer && m->now < e->born_us + e->m.poll.hold_us) {
        struct event held = *e;
        held.at_us = m->now + 20000;
        held.order = m->order++;
        assert_true(m->n_events < EVENTS);
        m->events[m->n_events++] = held;
        return;
    } else {
        r.view.changed = newer;
        if (newer)
            r.view.view = m->view;
    }
    answer(m, e->node, &r);
}

/* ---- the world between ---- */

static void drain(struct model *m);

static void step(struct model *m, enum client_input_kind kind, unsigned node, const struct msg *message)
{
    client_step(m->c, &(struct client_input){.kind = kind, .now_us = m->now, .addr = addresses[node], .message = message});
    drain(m);
}

static void sent(struct model *m, const struct client_effect *ef)
{
    unsigned node = node_at(ef->addr);
    assert_true(m->up[node]);
    if (happens(m, 8)) {
        m->lost++;
        return;
    }
    struct event *e = later(m, TO_NODE, travel(m));
    e->node = node;
    e->m = *ef->message;
    e->born_us = m->now;
    if (e->m.kind != MSG_KV_REQUEST)
        return;
    const struct kv_request *q = &ef->message->kv_request.request;
    char text[16] = "0";
    if (q->data.len)
        snprintf(text, sizeof(text), "%.*s", (int)q->data.len, (const char *)q->data.data);
    e->token = (unsigned)atoi(text);
    e->shard = q->shard;
    assert_true(e->m.kv_request.gid == 100 + node / 3);
}

static void finished(struct model *m, const struct client_effect *ef)
{
    struct token *t = ef->tag;
    assert_false(t->done);
    assert_true(t->id == ef->id);
    t->done = true;
    t->err = ef->err;
    m->finished++;
}

static void drain(struct model *m)
{
    struct client_effect e;
    while (client_next(m->c, &e)) {
        if (e.kind == CLIENT_CONNECT || e.kind == CLIENT_DISCONNECT) {
            unsigned node = node_at(e.addr);
            m->wanted[node] = e.kind == CLIENT_CONNECT;
            m->up[node] = false;
            if (m->wanted[node])
                later(m, LINK, travel(m))->node = node;
        } else if (e.kind == CLIENT_SEND) {
            sent(m, &e);
        } else {
            finished(m, &e);
        }
    }
}

static void link_event(struct model *m, unsigned node)
{
    if (!m->wanted[node] || m->up[node])
        return;
    m->up[node] = !m->stopped[node] && !happens(m, 20);
    if (!m->up[node])
        later(m, LINK, 100000)->node = node;
    step(m, m->up[node] ? CLIENT_LINK_UP : CLIENT_LINK_DOWN, node, NULL);
}

static void break_link(struct model *m, unsigned node)
{
    if (!m->up[node])
        return;
    m->breaks++;
    m->up[node] = false;
    later(m, LINK, 50000)->node = node;
    step(m, CLIENT_LINK_DOWN, node, NULL);
}

static void depose(struct model *m, unsigned group)
{
    m->elections++;
    m->leader[group] = -1;
    m->term[group]++;
    later(m, ELECT, prng_between(&m->p, 1000, 400000))->node = group * 3;
}

static void elect(struct model *m, unsigned group)
{
    unsigned member = (unsigned)prng_below(&m->p, 3);
    if (m->stopped[group * 3 + member]) {
        later(m, ELECT, 50000)->node = group * 3;
        return;
    }
    m->leader[group] = (int)member;
    m->term[group]++;
}

static void freeze(struct model *m, unsigned s)
{
    if (m->frozen[s])
        return;
    m->moves++;
    m->frozen[s] = true;
    later(m, ARRIVE, prng_below(&m->p, 300000))->shard = s;
}

static void arrive(struct model *m, unsigned s)
{
    m->frozen[s] = false;
    m->shards[s].holder = m->shards[s].holder == 101 ? 102 : 101;
    m->shards[s].epoch++;
    m->view.version++;
}

static void stop_or_start(struct model *m, unsigned node)
{
    m->stopped[node] = !m->stopped[node];
    if (!m->stopped[node])
        return;
    break_link(m, node);
    if (m->leader[node / 3] == (int)(node % 3))
        depose(m, node / 3);
}

static void heal(struct model *m)
{
    m->faults = false;
    memset(m->stopped, 0, sizeof(m->stopped));
    for (unsigned g = 0; g < GROUPS; g++)
        if (m->leader[g] < 0)
            elect(m, g);
}

static void fault(struct model *m)
{
    if (m->now > CALM_US) {
        heal(m);
        return;
    }
    later(m, FAULT, prng_below(&m->p, 60000));
    switch (prng_below(&m->p, 8)) {
    case 0: case 1: depose(m, (unsigned)prng_below(&m->p, GROUPS)); break;
    case 2: case 3: break_link(m, (unsigned)prng_below(&m->p, NODES)); break;
    case 4: case 5: freeze(m, (unsigned)prng_below(&m->p, FAKE_SHARDS)); break;
    case 6: stop_or_start(m, (unsigned)prng_below(&m->p, NODES)); break;
    case 7:
        if (prng_chance(&m->p, 1, 5))
            m->jump_us[prng_below(&m->p, FAKE_SHARDS)] += SESSION_TTL_US;
        break;
    }
}

static void submit(struct model *m)
{
    unsigned token = m->submitted++;
    struct token *t = &m->tokens[token];
    char text[16];
    snprintf(text, sizeof(text), "%u", token);
    t->read = prng_chance(&m->p, 1, 6);
    struct kv_request q = {.op = t->read ? KV_GET : KV_APPEND, .key = bytes_str(fake_key((uint32_t)prng_below(&m->p, FAKE_SHARDS), 0)),
                           .data = t->read ? BYTES_EMPTY : bytes_str(text)};
    uint64_t patience = prng_chance(&m->p, 1, 2) ? 0 : prng_between(&m->p, 1, 1500000);
    struct client_request r = {.kind = CLIENT_KV, .kv = &q, .tag = t, .deadline_us = patience ? m->now + patience : 0};
    t->id = client_submit(m->c, &r, m->now);
}

static void work(struct model *m)
{
    for (unsigned burst = (unsigned)prng_below(&m->p, 4); burst && m->submitted < TOKENS; burst--)
        submit(m);
    if (m->submitted && prng_chance(&m->p, 1, 12)) {
        struct token *t = &m->tokens[prng_below(&m->p, m->submitted)];
        t->cancelled |= !t->done;
        client_cancel(m->c, t->id, m->now);
    }
    drain(m);
    if (m->submitted < TOKENS)
        later(m, WORK, prng_below(&m->p, 40000));
}

static void happen(struct model *m, const struct event *e)
{
    switch (e->kind) {
    case TO_NODE:
        if (m->stopped[e->node])
            break;
        if (e->m.kind == MSG_POLL)
            node_poll(m, e);
        else
            node_kv(m, e);
        break;
    case TO_CLIENT:
        if (m->up[e->node])
            step(m, CLIENT_RECEIVED, e->node, &e->m);
        break;
    case COMMIT: node_commit(m, e); break;
    case LINK: link_event(m, e->node); break;
    case FAULT: fault(m); break;
    case ELECT: elect(m, e->node / 3); break;
    case ARRIVE: arrive(m, e->shard); break;
    case WORK: work(m); break;
    }
}

static struct model *model_new(uint64_t seed)
{
    struct model *m = mem_zalloc(sizeof(*m));
    struct client_options o = {.client = 9, .seed = seed, .now_us = 1, .n_controllers = 3};
    m->now = 1;
    m->faults = true;
    prng_init(&m->p, seed * 2 + 1);
    m->view = (struct ctrl_view){.cluster = 77, .version = 1, .nshards = FAKE_SHARDS, .shards = m->shards, .n_groups = 2,
                                 .groups = m->groups, .n_controllers = 3};
    for (unsigned i = 0; i < NODES; i++) {
        struct ctrl_member *member = i < 3 ? &m->view.controllers[i] : &m->groups[i / 3 - 1].members[i % 3];
        snprintf(member->addr, ADDR_BYTES_MAX, "%s", addresses[i]);
        if (i < 3)
            snprintf(o.controllers[i], ADDR_BYTES_MAX, "%s", addresses[i]);
    }
    for (unsigned g = 0; g < 2; g++) {
        m->groups[g].gid = 101 + g;
        m->groups[g].n = 3;
    }
    for (unsigned s = 0; s < FAKE_SHARDS; s++)
        m->shards[s] = (struct ctrl_shard){.holder = 101 + s % 2, .epoch = 1, .active = true};
    m->c = client_new(&o);
    return m;
}

static void run(struct model *m)
{
    struct event e;
    later(m, WORK, 0);
    later(m, FAULT, 0);
    drain(m);
    while (m->now < END_US && (m->finished < TOKENS || m->now < CALM_US * 2)) {
        uint64_t due = client_deadline_us(m->c);
        if (!take_first(m, &e) || e.at_us > due) {
            if (m->n_events < EVENTS && e.at_us > due)
                m->events[m->n_events++] = e;
            m->now = MAX(m->now, due);
            step(m, CLIENT_TICK, 0, NULL);
            continue;
        }
        m->now = MAX(m->now, e.at_us);
        happen(m, &e);
    }
    while (take_first(m, &e)) { /* old copies that arrive late: they must not do anything any more, or once */
        m->now = MAX(m->now, e.at_us);
        if (e.kind == TO_NODE && e.m.kind == MSG_KV_REQUEST)
            node_kv(m, &e);
        else if (e.kind == COMMIT)
            node_commit(m, &e);
    }
}

static void judge(const struct model *m, uint64_t seed, unsigned outcomes[RGKV_ERR_COUNT])
{
    for (unsigned i = 0; i < TOKENS; i++) {
        const struct token *t = &m->tokens[i];
        if (!t->done)
            fail_msg("seed %lu: request %u was never answered", (unsigned long)seed, i);
        outcomes[t->err]++;
        if (t->read)
            continue;
        bool maybe = t->err == RGKV_UNKNOWN || t->err == RGKV_CANCELLED;
        unsigned least = t->err == RGKV_OK, most = t->err == RGKV_OK || maybe;
        if (t->applied < least || t->applied > most)
            fail_msg("seed %lu: append %u was applied %u times, the client said %s", (unsigned long)seed, i, t->applied,
                     rgkv_err_name(t->err));
        if (t->err == RGKV_CANCELLED)
            assert_true(t->cancelled);
    }
}

static void floors_have_passed_everything(struct model *m)
{
    for (unsigned s = 0; s < FAKE_SHARDS; s++)
        assert_true(m->rows[s].floor <= SEQS);
    struct client_stats st;
    client_stats(m->c, &st);
    assert_int_equal(st.inflight, 0);
    assert_int_equal(st.submitted, TOKENS);
    assert_int_equal(st.done + st.refused + st.unknown, TOKENS);
}

static unsigned seeds(void)
{
    const char *text = getenv("SEEDS");
    return text ? (unsigned)atoi(text) : 200;
}

static void every_append_is_applied_as_often_as_the_client_says(void **state)
{
    unsigned outcomes[RGKV_ERR_COUNT] = {0}, lost = 0, elections = 0, moves = 0, breaks = 0, expiries = 0, duplicates = 0;
    for (unsigned seed = 1; seed <= seeds(); seed++) {
        struct model *m = model_new(seed);
        run(m);
        judge(m, seed, outcomes);
        floors_have_passed_everything(m);
        lost += m->lost, elections += m->elections, moves += m->moves, breaks += m->breaks, expiries += m->expiries;
        duplicates += m->duplicates;
        client_free(m->c);
        mem_free(m);
    }
    print_message("lost %u elections %u moves %u breaks %u expiries %u duplicates %u\n", lost, elections, moves, breaks, expiries,
                  duplicates);
    for (unsigned e = 0; e < RGKV_ERR_COUNT; e++)
        if (outcomes[e])
            print_message("%s %u\n", rgkv_err_name(e), outcomes[e]);
    if (seeds() >= 100) /* an idle run proves nothing */
        assert_true(lost && elections && moves && breaks && expiries && duplicates && outcomes[RGKV_OK] && outcomes[RGKV_UNKNOWN] &&
                    outcomes[RGKV_UNREACHABLE] && outcomes[RGKV_CANCELLED]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_append_is_applied_as_often_as_the_client_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
