#include "tests/unit/client_fake.h"

#include <stdio.h>

static const char *const fake_controllers[] = {"c1:1", "c2:1", "c3:1"};
static const char *const fake_members[2][3] = {{"a1:1", "a2:1", "a3:1"}, {"b1:1", "b2:1", "b3:1"}};

static void fake_member(struct ctrl_member *m, uint64_t id, const char *addr)
{
    m->id = m->node = id;
    snprintf(m->addr, sizeof(m->addr), "%s", addr);
}

static void fake_placement(struct fake *f)
{
    f->view = (struct ctrl_view){.cluster = 77, .version = 1, .config_num = 1, .nshards = FAKE_SHARDS, .shards = f->shards,
                                 .n_groups = 2, .groups = f->groups, .n_controllers = 3};
    for (unsigned i = 0; i < 3; i++)
        fake_member(&f->view.controllers[i], i + 1, fake_controllers[i]);
    for (unsigned g = 0; g < 2; g++) {
        f->groups[g] = (struct ctrl_group){.gid = 101 + g, .incarnation = 1, .in_config = true, .founded = true, .n = 3};
        for (unsigned i = 0; i < 3; i++)
            fake_member(&f->groups[g].members[i], 10 + g * 3 + i, fake_members[g][i]);
    }
    for (unsigned s = 0; s < FAKE_SHARDS; s++)
        f->shards[s] = (struct ctrl_shard){.holder = s < 6 ? 101 : s == 6 ? 102 : 0, .epoch = 1, .active = true};
}

struct fake *fake_new(void)
{
    struct fake *f = mem_zalloc(sizeof(*f));
    struct client_options o = {.client = 9, .seed = 1, .now_us = FAKE_SECOND, .n_controllers = 3};
    for (unsigned i = 0; i < 3; i++)
        snprintf(o.controllers[i], ADDR_BYTES_MAX, "%s", fake_controllers[i]);
    f->now = FAKE_SECOND;
    f->links_come_up = f->answers_polls = true;
    fake_placement(f);
    f->c = client_new(&o);
    return f;
}

struct fake *fake_connected(void)
{
    struct fake *f = fake_new();
    fake_drain(f);
    assert_non_null(client_view(f->c));
    fake_forget(f);
    return f;
}

void fake_free(struct fake *f)
{
    client_free(f->c);
    mem_free(f);
}

void fake_link(struct fake *f, const char *addr, bool up)
{
    struct client_input i = {.kind = up ? CLIENT_LINK_UP : CLIENT_LINK_DOWN, .now_us = f->now, .addr = addr};
    client_step(f->c, &i);
    fake_drain(f);
}

void fake_receive(struct fake *f, const char *addr, const struct msg *m)
{
    struct client_input i = {.kind = CLIENT_RECEIVED, .now_us = f->now, .addr = addr, .message = m};
    client_step(f->c, &i);
    fake_drain(f);
}

void fake_view(struct fake *f)
{
    struct msg m = {.kind = MSG_VIEW, .id = f->poll.m.id, .cluster = f->view.cluster};
    m.view.changed = true;
    m.view.view = f->view;
    fake_receive(f, f->poll.addr, &m);
}

void fake_view_newer(struct fake *f)
{
    f->view.version++;
    fake_view(f);
}

static void note_sent(struct fake *f, const struct client_effect *e)
{
    bool poll = e->message->kind == MSG_POLL;
    assert_true(poll || f->n_sent < FAKE_EFFECTS);
    struct fake_sent *s = poll ? &f->poll : &f->sent[f->n_sent++];
    f->n_polls += poll;
    snprintf(s->addr, sizeof(s->addr), "%s", e->addr);
    s->m = *e->message;
    if (s->m.kind == MSG_KV_REQUEST) {
        struct bytes k = s->m.kv_request.request.key;
        snprintf(s->text, sizeof(s->text), "%.*s", (int)k.len, k.len ? (const char *)k.data : "");
    }
}

static void note_done(struct fake *f, const struct client_effect *e)
{
    assert_true(f->n_done < FAKE_EFFECTS);
    struct fake_done *d = &f->done[f->n_done++];
    *d = (struct fake_done){.id = e->id, .tag = e->tag, .err = e->err};
    assert_non_null(e->why);
    snprintf(d->why, sizeof(d->why), "%s", e->why);
    d->has_reply = e->reply != NULL;
    d->has_result = e->result != NULL;
    d->has_view = e->view != NULL;
    if (e->reply)
        d->reply = *e->reply;
    if (e->result)
        d->result = *e->result;
    if (e->view)
        d->version = e->view->version;
    struct bytes t = e->reply ? e->reply->data : e->text;
    snprintf(d->text, sizeof(d->text), "%.*s", (int)t.len, t.len ? (const char *)t.data : "");
}

static void note(struct fake *f, const struct client_effect *e)
{
    char addr[ADDR_BYTES_MAX] = "";
    switch (e->kind) {
    case CLIENT_CONNECT:
        snprintf(addr, sizeof(addr), "%s", e->addr);
        snprintf(f->connects[f->n_connects++ % FAKE_EFFECTS], ADDR_BYTES_MAX, "%s", addr);
        if (f->links_come_up)
            client_step(f->c, &(struct client_input){.kind = CLIENT_LINK_UP, .now_us = f->now, .addr = addr});
        break;
    case CLIENT_DISCONNECT:
        f->n_disconnects++;
        break;
    case CLIENT_SEND:
        note_sent(f, e);
        break;
    case CLIENT_DONE:
        note_done(f, e);
        break;
    }
}

void fake_drain(struct fake *f)
{
    struct client_effect e;
    while (client_next(f->c, &e)) {
        unsigned polls = f->n_polls;
        note(f, &e);
        if (f->n_polls > polls && f->answers_polls && f->poll.m.poll.version < f->view.version)
            fake_view(f);
    }
}

void fake_to(struct fake *f, uint64_t now_us)
{
    while (f->now < now_us) {
        uint64_t due = client_deadline_us(f->c);
        assert_true(due > f->now);
        f->now = MIN(due, now_us);
        client_step(f->c, &(struct client_input){.kind = CLIENT_TICK, .now_us = f->now});
        fake_drain(f);
    }
}

void fake_forget(struct fake *f) { f->n_sent = f->n_done = f->n_connects = f->n_disconnects = f->n_polls = 0; }

const char *fake_key(uint32_t shard, unsigned n)
{
    static char keys[16][32];
    static unsigned at;
    char *key = keys[at++ % 16];
    for (unsigned i = 0;; i++) {
        snprintf(key, 32, "k%u", i);
        if (kv_key_shard(bytes_str(key), FAKE_SHARDS) == shard && n-- == 0)
            return key;
    }
}

uint64_t fake_kv(struct fake *f, const struct kv_request *q, uint64_t deadline_us)
{
    struct client_request r = {.kind = CLIENT_KV, .kv = q, .deadline_us = deadline_us, .tag = f};
    uint64_t id = client_submit(f->c, &r, f->now);
    fake_drain(f);
    return id;
}

uint64_t fake_append(struct fake *f, uint32_t shard, const char *data, uint64_t deadline_us)
{
    struct kv_request q = {.op = KV_APPEND, .key = bytes_str(fake_key(shard, 0)), .data = bytes_str(data), .mode = 0644};
    return fake_kv(f, &q, deadline_us);
}

uint64_t fake_get(struct fake *f, uint32_t shard, uint64_t deadline_us)
{
    struct kv_request q = {.op = KV_GET, .key = bytes_str(fake_key(shard, 0)), .length = 100};
    return fake_kv(f, &q, deadline_us);
}

struct fake_sent *fake_last(struct fake *f)
{
    assert_true(f->n_sent > 0);
    return &f->sent[f->n_sent - 1];
}

unsigned fake_count(const struct fake *f, enum kv_op op)
{
    unsigned n = 0;
    for (unsigned i = 0; i < f->n_sent; i++)
        n += f->sent[i].m.kind == MSG_KV_REQUEST && f->sent[i].m.kv_request.request.op == op;
    return n;
}

void fake_reply(struct fake *f, const struct fake_sent *to, enum rgkv_err err, const char *hint)
{
    struct fake_sent s = *to;
    struct msg m = {.kind = MSG_KV_REPLY, .id = s.m.id, .cluster = f->view.cluster};
    m.kv_reply.err = err;
    if (hint)
        snprintf(m.kv_reply.leader_addr, ADDR_BYTES_MAX, "%s", hint);
    fake_receive(f, s.addr, &m);
}

void fake_contact(struct fake *f, uint64_t time_us)
{
    struct fake_sent s = *fake_last(f);
    assert_int_equal(s.m.kind, MSG_KV_REQUEST);
    assert_int_equal(s.m.kv_request.request.op, KV_TIME);
    struct msg m = {.kind = MSG_KV_REPLY, .id = s.m.id, .cluster = f->view.cluster};
    m.kv_reply.shard_time_us = time_us;
    fake_receive(f, s.addr, &m);
}

void fake_know_shard(struct fake *f, uint32_t shard)
{
    uint64_t id = fake_append(f, shard, "first", 0);
    fake_contact(f, 5000);
    fake_reply(f, fake_last(f), RGKV_OK, NULL);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_OK);
    fake_forget(f);
}

bool fake_is_done(const struct fake *f, uint64_t id)
{
    for (unsigned i = 0; i < f->n_done; i++)
        if (f->done[i].id == id)
            return true;
    return false;
}

struct fake_done *fake_outcome(struct fake *f, uint64_t id)
{
    for (unsigned i = 0; i < f->n_done; i++)
        if (f->done[i].id == id)
            return &f->done[i];
    fail_msg("request %lu has no outcome", (unsigned long)id);
    return NULL;
}
