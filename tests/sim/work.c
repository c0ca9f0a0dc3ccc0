/* What clients do, and what their answers are in the history:
 *
 *   l0 … l5   lists: append, read                           r0 … r7   registers: put, put if the version is …, delete, read
 *   d0, d1    directories as sets: create a name, list      m         a directory with one file that is renamed, and listed
 *   p         one file with a place for each caller, which it patches; read as a whole
 *   b0 … b3   ballast, which nobody reads */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

#define LIST_KEYS 6u
#define REGISTER_KEYS 8u
#define FIRST_REGISTER LIST_KEYS
#define FIRST_SET (FIRST_REGISTER + REGISTER_KEYS)
#define SET_KEYS 2u
#define TOKEN (FIRST_SET + SET_KEYS)
#define SLOTS (TOKEN + 1)
#define REGISTER_OPS_MAX 56u
#define SET_OPS_MAX 90u
#define TOKEN_NAMES 4u
static_assert(SLOTS + 1 == SIM_KEYS, "every key has a number");

static void key_name(struct sim_op *o, unsigned number)
{
    o->key_number = number;
    if (number < FIRST_REGISTER)
        snprintf(o->key, sizeof(o->key), "l%u", number);
    else if (number < FIRST_SET)
        snprintf(o->key, sizeof(o->key), "r%u", number - FIRST_REGISTER);
    else if (number < TOKEN)
        snprintf(o->key, sizeof(o->key), "d%u", number - FIRST_SET);
    else
        snprintf(o->key, sizeof(o->key), "%c", number == TOKEN ? 'm' : 'p');
}

static bool reads(const struct sim_op *o) { return o->kind == HISTORY_GET || o->kind == HISTORY_LIST; }

/* ---- answers ---- */

/* A directory's names, each with a comma. */
static char *names_of(const struct client_effect *e)
{
    struct reader r = reader_of(e->reply->data);
    struct kv_dirent d;
    struct buf text = {0};
    while (kv_dirent_next(&r, &d))
        buf_printf(&text, "%.*s,", (int)d.name.len, (const char *)d.name.data);
    buf_put_u8(&text, 0);
    return (char *)text.data;
}

static char *text_of(const struct sim_op *o, const struct client_effect *e)
{
    if (!e->reply || e->err || !e->reply->data.len)
        return mem_strdup("");
    if (o->key_number >= FIRST_SET && o->key_number != SLOTS)
        return names_of(e);
    char *text = mem_alloc(e->reply->data.len + 1);
    memcpy(text, e->reply->data.data, e->reply->data.len);
    text[e->reply->data.len] = 0;
    char *end = strchr(text, ',');
    if (end && end[1] == '.' && strspn(end + 1, ".") + (size_t)(end + 1 - text) == e->reply->data.len)
        end[1] = 0; /* a big value: what follows its name only fills it */
    return text;
}

static enum history_outcome outcome_of(const struct sim_op *o, const struct client_effect *e)
{
    switch (e->err) {
    case RGKV_OK: return o->kind == HISTORY_LIST && e->reply && e->reply->more ? HISTORY_UNKNOWN : HISTORY_DONE;
    case RGKV_NOT_FOUND: return HISTORY_DONE; /* no such key is an answer to a read, and to a rename */
    case RGKV_UNREACHABLE: case RGKV_NO_GROUP: case RGKV_VERSION: case RGKV_NO_SPACE: return HISTORY_NOT_DONE;
    default: return HISTORY_UNKNOWN;
    }
}

/* Versions of a key only grow: a change made after another was acknowledged has a higher one, a read sees at least that. */
static void check_version(struct sim *s, const struct sim_op *o, const struct client_effect *e)
{
    uint64_t *newest = &s->versions[o->key_number];
    if (e->err || !e->reply || !e->reply->has_attr || o->key_number >= FIRST_SET)
        return;
    uint64_t version = e->reply->attr.version;
    if (version < o->version_before || (version == o->version_before && !reads(o)))
        sim_fail(s, "%s: version %llu was acknowledged, and what began later has version %llu", o->key, (unsigned long long)o->version_before,
                 (unsigned long long)version);
    *newest = MAX(*newest, version);
}

/* A shard's time goes on, whoever holds it (P18). */
static void check_time(struct sim *s, const struct sim_op *o, const struct client_effect *e)
{
    uint64_t *newest = &s->shard_times[kv_key_shard(bytes_str(o->key), s->nshards)];
    if (e->err || !e->reply)
        return;
    if (e->reply->shard_time_us < o->time_before)
        sim_fail(s, "%s: its shard's time was %llu, and what began later was told %llu", o->key, (unsigned long long)o->time_before,
                 (unsigned long long)e->reply->shard_time_us);
    *newest = MAX(*newest, e->reply->shard_time_us);
}

/* A name is created once, by one request; renames have a free target; places are there from the beginning. */
static void check_answer(struct sim *s, const struct sim_op *o, enum rgkv_err err)
{
    bool wrong = (o->kind == HISTORY_ADD && (err == RGKV_EXISTS || err == RGKV_NOT_FOUND)) ||
                 (o->kind == HISTORY_MOVE && err == RGKV_EXISTS) || (o->kind == HISTORY_PATCH && err == RGKV_NOT_FOUND);
    if (wrong)
        sim_fail(s, "%s: %s was answered %s", o->key, o->value, rgkv_err_name(err));
}

static void prepared(struct sim *s, const struct client_effect *e);

void work_done(struct sim *s, struct sim_op *o, const struct client_effect *e)
{
    enum history_outcome outcome = outcome_of(o, e);
    s->counts.unknown += outcome == HISTORY_UNKNOWN;
    s->counts.refused += outcome == HISTORY_NOT_DONE;
    if (o->prepares)
        prepared(s, e);
    if (o->prepares || o->ballast)
        return;
    check_answer(s, o, e->err);
    check_version(s, o, e);
    check_time(s, o, e);
    if (o->kind == HISTORY_MOVE && e->err == RGKV_NOT_FOUND)
        history_missed(&s->history, o->history);
    if (o->kind == HISTORY_PATCH)
        s->callers[atoi(o->value)].patching = outcome == HISTORY_UNKNOWN; /* it may be done yet, after whatever came next */
    char *text = text_of(o, e);
    history_end(&s->history, o->history, outcome, text, s->now_us);
    mem_free(text);
}

/* ---- requests ---- */

static uint64_t deadline(struct sim *s)
{
    return prng_chance(&s->prng, 1, 3) ? s->now_us + prng_between(&s->prng, 100000, 3000000) : 0;
}

static void send(struct sim *s, struct sim_caller *c, struct sim_op *o, struct kv_request *q, uint64_t deadline_us)
{
    o->busy = true;
    o->admin = false;
    q->mode = q->op == KV_MKDIR ? 0755 : 0644;
    struct client_request r = {.kind = CLIENT_KV, .deadline_us = deadline_us, .tag = o, .kv = q};
    o->id = client_submit(c->client, &r, s->now_us);
    caller_drain(s, c);
}

/* `o->value` is what the history says is written. */
static void submit(struct sim *s, struct sim_caller *c, struct sim_op *o, struct kv_request *q, enum history_kind kind, uint64_t deadline_us)
{
    o->ballast = o->prepares = false;
    o->kind = kind;
    o->history = history_begin(&s->history, kind, o->key, reads(o) ? NULL : o->value, s->now_us);
    if (kind == HISTORY_MOVE)
        history_expect(&s->history, o->history, o->target);
    o->time_before = s->shard_times[kv_key_shard(bytes_str(o->key), s->nshards)];
    o->version_before = o->key_number < FIRST_SET ? s->versions[o->key_number] : 0;
    send(s, c, o, q, deadline_us);
}

static void read_key(struct sim *s, struct sim_caller *c, struct sim_op *o, unsigned number, uint64_t deadline_us)
{
    bool directory = number >= FIRST_SET && number != SLOTS;
    key_name(o, number);
    struct kv_request q = {.op = directory ? KV_LIST : KV_GET, .key = bytes_str(o->key), .length = directory ? 0 : DATA_BYTES_MAX};
    submit(s, c, o, &q, directory && number != TOKEN ? HISTORY_LIST : HISTORY_GET, deadline_us);
}

void work_read_everything(struct sim *s)
{
    for (unsigned k = 0; k < SIM_KEYS; k++)
        read_key(s, &s->callers[1], &s->last_reads[k], k, 0);
}

/* ---- lists and registers ---- */

/* More than a probe of raft's may carry. */
static struct bytes big_value(const struct sim *s, const char *value, struct buf *out)
{
    buf_put(out, bytes_str(value));
    memset(buf_grow(out, s->big_bytes), '.', s->big_bytes);
    return buf_bytes(out);
}

static unsigned ops_on(const struct sim *s, const char *key)
{
    unsigned count = 0;
    for (unsigned i = 0; i < s->history.n; i++)
        count += strcmp(s->history.ops[i].key, key) == 0;
    return count;
}

static void append(struct sim *s, struct sim_caller *c, struct sim_op *o, unsigned number)
{
    key_name(o, number);
    struct kv_request q = {.op = KV_APPEND, .key = bytes_str(o->key), .data = bytes_str(o->value)};
    submit(s, c, o, &q, HISTORY_APPEND, deadline(s));
}

/* Put, put if it still has the version that was seen, or delete: in the history a delete writes "". */
static void change(struct sim *s, struct sim_caller *c, struct sim_op *o, unsigned number)
{
    struct buf big = {0};
    key_name(o, number);
    struct kv_request q = {.op = KV_PUT, .key = bytes_str(o->key)};
    if (prng_chance(&s->prng, 1, 4)) {
        q.op = KV_DELETE;
        o->value[0] = 0;
    } else if (prng_chance(&s->prng, 1, 3)) {
        q.flags = KV_IF_VERSION;
        q.version = s->versions[o->key_number];
    }
    q.data = q.op == KV_PUT ? bytes_str(o->value) : BYTES_EMPTY;
    if (s->big_bytes && q.op == KV_PUT && prng_chance(&s->prng, 1, 3))
        q.data = big_value(s, o->value, &big);
    submit(s, c, o, &q, HISTORY_PUT, deadline(s));
    buf_release(&big);
}

/* Nobody reads it: it only makes logs and messages big. */
static void ballast(struct sim *s, struct sim_caller *c, struct sim_op *o)
{
    struct buf big = {0};
    snprintf(o->key, sizeof(o->key), "b%u", (unsigned)prng_below(&s->prng, 4));
    o->value[0] = 0;
    o->ballast = true;
    o->prepares = false;
    struct kv_request q = {.op = KV_PUT, .key = bytes_str(o->key), .data = big_value(s, "", &big)};
    send(s, c, o, &q, deadline(s));
    buf_release(&big);
}

/* ---- directories ---- */

static void add(struct sim *s, struct sim_caller *c, struct sim_op *o, unsigned number)
{
    struct buf path = {0};
    key_name(o, number);
    o->value[strcspn(o->value, ",")] = 0;
    buf_printf(&path, "%s/%s", o->key, o->value);
    struct kv_request q = {.op = KV_PUT, .flags = KV_CREATE_ONLY, .key = buf_bytes(&path)};
    submit(s, c, o, &q, HISTORY_ADD, deadline(s));
    buf_release(&path);
}

static void rename_token(struct sim *s, struct sim_caller *c, struct sim_op *o)
{
    struct buf from = {0}, to = {0};
    unsigned at = (unsigned)prng_below(&s->prng, TOKEN_NAMES), next = (at + 1 + (unsigned)prng_below(&s->prng, TOKEN_NAMES - 1)) % TOKEN_NAMES;
    key_name(o, TOKEN);
    snprintf(o->target, sizeof(o->target), "t%u,", at);
    snprintf(o->value, sizeof(o->value), "t%u,", next);
    buf_printf(&from, "m/t%u", at);
    buf_printf(&to, "m/t%u", next);
    struct kv_request q = {.op = KV_RENAME, .flags = KV_CREATE_ONLY, .key = buf_bytes(&from), .key2 = buf_bytes(&to)};
    submit(s, c, o, &q, HISTORY_MOVE, deadline(s));
    buf_release(&from);
    buf_release(&to);
}

/* ---- places ---- */

static void patch(struct sim *s, struct sim_caller *c, struct sim_op *o)
{
    char text[HISTORY_SLOT_BYTES + 1];
    struct kv_range range = {c->index * HISTORY_SLOT_BYTES, HISTORY_SLOT_BYTES};
    c->patching = true;
    key_name(o, SLOTS);
    snprintf(text, sizeof(text), "%07u,", ++c->patches % 10000000);
    snprintf(o->value, sizeof(o->value), "%u:%u", c->index, c->patches);
    struct kv_request q = {.op = KV_PATCH, .key = bytes_str(o->key), .data = bytes_of(text, HISTORY_SLOT_BYTES), .n_ranges = 1, .ranges = &range};
    submit(s, c, o, &q, HISTORY_PATCH, deadline(s));
}

/* ---- what comes next ---- */

static bool read_instead(struct sim *s) { return prng_chance(&s->prng, 1, 2); }

static void other_work(struct sim *s, struct sim_caller *c, struct sim_op *o)
{
    unsigned number = FIRST_SET + (unsigned)prng_below(&s->prng, SIM_KEYS - FIRST_SET);
    key_name(o, number);
    bool full = ops_on(s, o->key) >= SET_OPS_MAX;
    if (full || read_instead(s))
        read_key(s, c, o, full ? 0 : number, deadline(s));
    else if (number < TOKEN)
        add(s, c, o, number);
    else if (number == TOKEN)
        rename_token(s, c, o);
    else if (!c->patching)
        patch(s, c, o);
    else
        read_key(s, c, o, SLOTS, deadline(s));
}

void work_start(struct sim *s, struct sim_caller *c, struct sim_op *o)
{
    unsigned what = (unsigned)prng_below(&s->prng, 100), number = (unsigned)prng_below(&s->prng, LIST_KEYS);
    snprintf(o->value, sizeof(o->value), "%u.%u,", c->index, c->element++);
    if (s->big_bytes && prng_chance(&s->prng, 2, 5)) {
        ballast(s, c, o);
        return;
    }
    if (what < 20 && work_prepared(s)) {
        other_work(s, c, o);
        return;
    }
    if (what < 42) {
        number = FIRST_REGISTER + (unsigned)prng_below(&s->prng, REGISTER_KEYS);
        key_name(o, number);
        if (ops_on(s, o->key) >= REGISTER_OPS_MAX - 4)
            number = (unsigned)prng_below(&s->prng, LIST_KEYS);
    }
    if (read_instead(s))
        read_key(s, c, o, number, deadline(s));
    else if (number < FIRST_REGISTER)
        append(s, c, o, number);
    else
        change(s, c, o, number);
}

/* ---- before it begins ---- */

#define STEPS 5u

bool work_prepared(struct sim *s) { return s->prepared == STEPS; }

void work_prepare(struct sim *s)
{
    static const struct { enum kv_op op; const char *key; } steps[STEPS] = {
        {KV_MKDIR, "d0"}, {KV_MKDIR, "d1"}, {KV_MKDIR, "m"}, {KV_PUT, "m/t0"}, {KV_PUT, "p"}};
    char places[SIM_CALLERS_MAX * HISTORY_SLOT_BYTES + 1] = "";
    struct sim_op *o = &s->last_reads[s->prepared];
    if (work_prepared(s))
        return;
    for (unsigned i = 0; s->prepared == STEPS - 1 && i < SIM_CALLERS_MAX; i++)
        strcat(places, "0000000,");
    o->prepares = true;
    o->value[0] = 0;
    snprintf(o->key, sizeof(o->key), "%s", steps[s->prepared].key);
    struct kv_request q = {.op = steps[s->prepared].op, .key = bytes_str(o->key), .data = bytes_str(places)};
    send(s, &s->callers[1], o, &q, 0);
}

/* What is there from the beginning. */
static void was_written(struct sim *s, enum history_kind kind, const char *key, const char *value)
{
    unsigned row = history_begin(&s->history, kind, key, value, 0);
    history_end(&s->history, row, HISTORY_DONE, NULL, s->now_us);
}

static void prepared(struct sim *s, const struct client_effect *e)
{
    if (e->err != RGKV_OK && e->err != RGKV_EXISTS)
        sim_fail(s, "%s cannot be made: %s", ((struct sim_op *)e->tag)->key, rgkv_err_name(e->err));
    if (++s->prepared == STEPS) {
        was_written(s, HISTORY_PUT, "m", "t0,");
        was_written(s, HISTORY_PATCH, "p", "0:0");
    }
    work_prepare(s);
}
