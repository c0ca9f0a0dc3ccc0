/* What the scenarios' clients write and read: see scenario.h. */
#include "tests/sim/bed.h"

#include <stdio.h>

void bed_keys_free(struct bed *b)
{
    for (unsigned i = 0; i < BED_KEYS_MAX; i++)
        buf_release(&b->keys[i].want);
}

/* ---- keys ---- */

void keys_choose(struct sim *s, unsigned per_shard)
{
    struct bed *b = s->bed;
    unsigned have[SIM_NSHARDS_MAX] = {0};
    ASSERT(per_shard * s->nshards <= BED_KEYS_MAX);
    for (unsigned i = 0; b->n_keys < per_shard * s->nshards; i++) {
        char name[16];
        snprintf(name, sizeof(name), "k%u", i);
        uint32_t shard = kv_key_shard(bytes_str(name), s->nshards);
        if (have[shard] == per_shard)
            continue;
        memcpy(b->keys[shard * per_shard + have[shard]++].name, name, sizeof(name));
        b->n_keys++;
    }
}

static void submit(struct sim *s, unsigned caller, struct sim_op *o, struct kv_request *q, enum history_kind kind, const char *written)
{
    struct sim_caller *c = &s->callers[caller];
    if (s->failed)
        return;
    ASSERT(!o->busy);
    o->busy = true;
    o->kind = kind;
    o->history = history_begin(&s->history, kind, o->key, written, s->now_us);
    q->key = bytes_str(o->key);
    q->mode = 0644;
    struct client_request r = {.kind = CLIENT_KV, .tag = o, .kv = q};
    o->id = client_submit(c->client, &r, s->now_us);
    caller_drain(s, c);
}

static void key_submit(struct sim *s, unsigned key, struct kv_request *q, enum history_kind kind, const char *written)
{
    struct bed_key *k = &s->bed->keys[key];
    memcpy(k->op.key, k->name, sizeof(k->name));
    submit(s, 1 + key % BED_WRITERS, &k->op, q, kind, written);
}

static void key_begin_append(struct sim *s, unsigned key)
{
    struct bed_key *k = &s->bed->keys[key];
    snprintf(k->op.value, sizeof(k->op.value), "%u.%u,", key, ++k->elements);
    buf_put(&k->want, bytes_str(k->op.value));
    key_submit(s, key, &(struct kv_request){.op = KV_APPEND, .data = bytes_str(k->op.value)}, HISTORY_APPEND, k->op.value);
}

static void get(struct sim *s, unsigned key, unsigned caller, struct sim_op *o)
{
    memcpy(o->key, s->bed->keys[key].name, sizeof(s->bed->keys->name));
    submit(s, caller, o, &(struct kv_request){.op = KV_GET, .length = DATA_BYTES_MAX}, HISTORY_GET, NULL);
}

static void key_end(struct sim *s, unsigned key)
{
    struct bed_key *k = &s->bed->keys[key];
    bed_await(s, &k->op, k->name);
    if (k->err)
        sim_fail(s, "%s: %s", k->name, rgkv_err_name(k->err));
}

void key_put(struct sim *s, unsigned key, unsigned bytes)
{
    struct bed_key *k = &s->bed->keys[key];
    struct buf text = {0};
    buf_clear(&k->want);
    buf_printf(&k->want, "%u:", ++k->elements);
    while (k->want.len < bytes)
        buf_put_u8(&k->want, (uint8_t)('a' + draw(s, 26)));
    buf_put_u8(&k->want, ',');
    buf_put(&text, buf_bytes(&k->want));
    buf_put_u8(&text, 0);
    key_submit(s, key, &(struct kv_request){.op = KV_PUT, .data = buf_bytes(&k->want)}, HISTORY_PUT, (const char *)text.data);
    key_end(s, key);
    buf_release(&text);
}

void key_append(struct sim *s, unsigned key)
{
    key_begin_append(s, key);
    key_end(s, key);
}

void key_check(struct sim *s, unsigned key)
{
    get(s, key, 1 + key % BED_WRITERS, &s->bed->keys[key].op);
    key_end(s, key);
}

/* For the history it is as if somebody had emptied it. */
void key_lost(struct sim *s, unsigned key)
{
    struct bed_key *k = &s->bed->keys[key];
    unsigned row = history_begin(&s->history, HISTORY_PUT, k->name, "", s->now_us);
    history_end(&s->history, row, HISTORY_DONE, NULL, s->now_us + 1);
    buf_clear(&k->want);
}

void keys_put(struct sim *s, unsigned bytes)
{
    for (unsigned i = 0; i < s->bed->n_keys; i++)
        key_put(s, i, bytes);
}
void keys_check(struct sim *s)
{
    for (unsigned i = 0; i < s->bed->n_keys; i++)
        key_check(s, i);
}
void keys_check_append(struct sim *s)
{
    for (unsigned i = 0; i < s->bed->n_keys; i++) {
        key_check(s, i);
        key_append(s, i);
    }
}

/* ---- questions ---- */

void keys_ask(struct sim *s, unsigned caller)
{
    for (unsigned i = 0; i < s->bed->n_keys; i++) {
        s->bed->questions[i].asked = true;
        get(s, i, caller, &s->bed->questions[i].op);
    }
}

static unsigned answers(const struct sim *s, bool fine)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->bed->n_keys; i++) {
        const struct bed_question *q = &s->bed->questions[i];
        n += q->asked && !q->op.busy && !q->err == fine;
    }
    return n;
}
unsigned keys_answered(const struct sim *s) { return answers(s, true); }
unsigned keys_failed(const struct sim *s) { return answers(s, false); }

/* ---- answers ---- */

static enum history_outcome outcome_of(enum rgkv_err err)
{
    switch (err) {
    case RGKV_OK: case RGKV_NOT_FOUND: return HISTORY_DONE;
    case RGKV_UNREACHABLE: case RGKV_NO_GROUP: return HISTORY_NOT_DONE;
    default: return HISTORY_UNKNOWN;
    }
}

static void history_of(struct sim *s, struct sim_op *o, const struct client_effect *e)
{
    struct buf text = {0};
    if (e->reply && !e->err)
        buf_put(&text, e->reply->data);
    buf_put_u8(&text, 0);
    history_end(&s->history, o->history, outcome_of(e->err), (const char *)text.data, s->now_us);
    buf_release(&text);
}

static void compare(struct sim *s, const struct bed_key *k, const struct client_effect *e)
{
    struct bytes data = e->reply ? e->reply->data : BYTES_EMPTY;
    if (!e->err && !s->bed->shared && !bytes_eq(data, buf_bytes(&k->want)))
        sim_fail(s, "%s is \"%.*s\", and must be \"%.*s\"", k->name, (int)MIN(data.len, 150u), (const char *)data.data,
                 (int)MIN(k->want.len, 150u), (const char *)k->want.data);
}

static void version_grows(struct sim *s, struct bed_key *k, const struct client_effect *e)
{
    if (e->err || !e->reply || !e->reply->has_attr)
        return;
    uint64_t version = e->reply->attr.version;
    if (version < k->version || (version == k->version && k->op.kind != HISTORY_GET))
        sim_fail(s, "%s has version %llu, and had %llu", k->name, (unsigned long long)version, (unsigned long long)k->version);
    k->version = version;
}

static void key_done(struct sim *s, struct bed_key *k, const struct client_effect *e)
{
    k->err = e->err;
    version_grows(s, k, e);
    if (k->op.kind == HISTORY_GET)
        compare(s, k, e);
    if (k->op.kind != HISTORY_APPEND || !s->bed->appending)
        return;
    check(s, !e->err, "an appender's append is done");
    s->bed->done++;
    sim_at(s, s->bed->pause_us, (struct sim_event){.kind = SIM_CALLER_OP, .replica = (uint32_t)(k - s->bed->keys)});
}

static void question_done(struct sim *s, struct bed_question *q, const struct client_effect *e)
{
    q->err = e->err;
    compare(s, &s->bed->keys[q - s->bed->questions], e);
}

/* ---- appenders ---- */

void appenders_start(struct sim *s, uint64_t pause_us)
{
    s->bed->appending = true;
    s->bed->pause_us = pause_us;
    for (unsigned i = 0; i < s->bed->n_keys; i++)
        key_begin_append(s, i);
}

static bool progressed(struct sim *s) { return s->bed->done >= s->bed->done_wanted; }
void appenders_progress(struct sim *s, unsigned n)
{
    s->bed->done_wanted = s->bed->done + n;
    within(s, BED_WAIT_US / 1000, progressed, "more appends are done");
}

static bool all_answered(struct sim *s)
{
    for (unsigned i = 0; i < s->bed->n_keys; i++)
        if (s->bed->keys[i].op.busy)
            return false;
    return true;
}
void appenders_stop(struct sim *s)
{
    s->bed->appending = false;
    within(s, BED_WAIT_US / 1000, all_answered, "the last appends are done");
    keys_check(s);
}

/* ---- clients that do this and that ---- */

static void client_op(struct sim *s, unsigned client)
{
    struct bed *b = s->bed;
    struct sim_op *o = &b->random[client];
    unsigned what = draw(s, 100);
    memcpy(o->key, b->keys[draw(s, b->n_keys)].name, sizeof(b->keys->name));
    snprintf(o->value, sizeof(o->value), "%u.%u,", client, ++b->elements);
    struct kv_request q = {.op = what < 50 ? KV_APPEND : what < 55 ? KV_PUT : KV_GET, .data = bytes_str(o->value)};
    enum history_kind kind = what < 50 ? HISTORY_APPEND : what < 55 ? HISTORY_PUT : HISTORY_GET;
    if (kind == HISTORY_GET) {
        q.data = BYTES_EMPTY;
        q.length = DATA_BYTES_MAX;
    }
    submit(s, 1 + client % BED_WRITERS, o, &q, kind, kind == HISTORY_GET ? NULL : o->value);
}

void clients_start(struct sim *s)
{
    s->bed->clients = s->bed->shared = true;
    for (unsigned i = 0; i < BED_RANDOM_CLIENTS; i++)
        client_op(s, i);
}
void clients_progress(struct sim *s, unsigned n) { appenders_progress(s, n); }

static bool clients_quiet(struct sim *s)
{
    for (unsigned i = 0; i < BED_RANDOM_CLIENTS; i++)
        if (s->bed->random[i].busy)
            return false;
    return true;
}
void clients_stop(struct sim *s)
{
    s->bed->clients = false;
    within(s, BED_WAIT_US / 1000, clients_quiet, "the last requests are answered");
}

static void client_done(struct sim *s, struct sim_op *o)
{
    s->bed->done++;
    sim_at(s, draw(s, 20000), (struct sim_event){.kind = SIM_CALLER_OP, .replica = BED_KEYS_MAX + (uint32_t)(o - s->bed->random)});
}

/* ---- hooks ---- */

#define IS_IN(o, array) ((const char *)(o) >= (const char *)(array) && (const char *)(o) < (const char *)(array) + sizeof(array))

void bed_keys_done(struct sim *s, struct sim_op *o, const struct client_effect *e)
{
    struct bed *b = s->bed;
    static_assert(offsetof(struct bed_key, op) == 0 && offsetof(struct bed_question, op) == 0, "an operation is the beginning of what it is of");
    sim_trace(s, "%s: %s", o->key, rgkv_err_name(e->err));
    history_of(s, o, e);
    if (IS_IN(o, b->random))
        client_done(s, o);
    else if (IS_IN(o, b->questions))
        question_done(s, (struct bed_question *)o, e);
    else
        key_done(s, (struct bed_key *)o, e);
}

void bed_event(struct sim *s, const struct sim_event *e)
{
    struct bed *b = s->bed;
    if (e->replica >= BED_KEYS_MAX && b->clients)
        client_op(s, e->replica - BED_KEYS_MAX);
    else if (e->replica < BED_KEYS_MAX && b->appending)
        key_begin_append(s, e->replica);
}
