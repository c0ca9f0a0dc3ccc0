/* One client engine with a few logical clients: appends and reads of lists, puts and reads of registers; one of the callers is the
 * administrator. What they saw goes into the history. */
#include "tests/sim/sim.h"

#include <limits.h>
#include <stdio.h>

#define LIST_KEYS 6u
#define REGISTER_KEYS 8u
#define REGISTER_OPS_MAX 56u

static unsigned entity(const struct sim_caller *c) { return SIM_MACHINES_MAX + c->index; }

void caller_init(struct sim *s, unsigned index, bool admin)
{
    struct sim_caller *c = &s->callers[index];
    struct client_options o = {.client = prng_next(&s->prng) | 1, .seed = prng_next(&s->prng), .now_us = s->now_us,
                               .n_controllers = s->n_controllers};
    for (unsigned i = 0; i < s->n_controllers; i++)
        memcpy(o.controllers[i], s->machines[i].addr, ADDR_BYTES_MAX);
    *c = (struct sim_caller){.index = index, .admin = admin, .parallel = admin ? 1 : (unsigned)prng_between(&s->prng, 1, SIM_OPS_MAX)};
    c->client = client_new(&o);
    for (unsigned i = 0; i < SIM_OPS_MAX; i++)
        c->ops[i].slot = i;
    if (!admin)
        values_init(s, c);
    for (unsigned i = 0; i < c->parallel && !admin; i++)
        sim_at(s, prng_below(&s->prng, 2000000), (struct sim_event){.kind = SIM_CALLER_OP, .who = entity(c), .replica = i});
}

void caller_release(struct sim_caller *c) { client_free(c->client); }

bool caller_quiet(const struct sim_caller *c)
{
    for (unsigned i = 0; i < SIM_OPS_MAX; i++)
        if (c->ops[i].busy)
            return false;
    return c->admin || values_quiet(c);
}

/* ---- links: a connection comes up if the machine is there and can be reached ---- */

static void link_later(struct sim *s, struct sim_caller *c, unsigned machine, uint64_t delay_us)
{
    sim_at(s, delay_us, (struct sim_event){.kind = SIM_LINK, .who = entity(c), .from = machine});
}

static void drain(struct sim *s, struct sim_caller *c);

static void link_event(struct sim *s, struct sim_caller *c, unsigned machine)
{
    const struct sim_machine *m = &s->machines[machine];
    bool up = m->node && !s->network.cut[entity(c)][machine] && !s->network.cut[machine][entity(c)];
    if (!c->wanted[machine] || c->links[machine])
        return;
    c->links[machine] = up;
    struct client_input in = {.kind = up ? CLIENT_LINK_UP : CLIENT_LINK_DOWN, .now_us = s->now_us, .addr = m->addr};
    client_step(c->client, &in);
    if (!up)
        link_later(s, c, machine, prng_between(&s->prng, 10000, 300000));
    drain(s, c);
}

void caller_link_lost(struct sim *s, struct sim_caller *c, unsigned machine)
{
    if (!c->links[machine])
        return;
    c->links[machine] = false;
    client_step(c->client, &(struct client_input){.kind = CLIENT_LINK_DOWN, .now_us = s->now_us, .addr = s->machines[machine].addr});
    link_later(s, c, machine, prng_between(&s->prng, 10000, 300000));
    drain(s, c);
}

void caller_machine_died(struct sim *s, unsigned machine)
{
    for (unsigned i = 0; i < s->n_callers; i++)
        caller_link_lost(s, &s->callers[i], machine);
}

/* ---- outcomes ---- */


static char *text_of(const struct client_effect *e)
{
    if (!e->reply || e->err || !e->reply->data.len)
        return mem_strdup("");
    char *text = mem_alloc(e->reply->data.len + 1);
    memcpy(text, e->reply->data.data, e->reply->data.len);
    text[e->reply->data.len] = 0;
    char *end = strchr(text, ',');
    if (end && end[1] == '.' && strspn(end + 1, ".") + (size_t)(end + 1 - text) == e->reply->data.len)
        end[1] = 0; /* a big value: what follows its name only fills it */
    return text;
}

static enum history_outcome outcome_of(enum rgkv_err err)
{
    switch (err) {
    case RGKV_OK: case RGKV_NOT_FOUND: return HISTORY_DONE; /* no such key is an answer to a read */
    case RGKV_UNREACHABLE: case RGKV_NO_GROUP: case RGKV_VERSION: case RGKV_NO_SPACE: return HISTORY_NOT_DONE;
    default: return HISTORY_UNKNOWN;
    }
}

/* Versions of a key only grow: a change made after another was acknowledged has a higher one, a read sees at least that. */
static void check_version(struct sim *s, const struct sim_op *o, const struct client_effect *e)
{
    uint64_t *newest = &s->versions[o->key_number];
    if (e->err || !e->reply || !e->reply->has_attr)
        return;
    uint64_t version = e->reply->attr.version;
    if (version < o->version_before || (version == o->version_before && !o->reads))
        sim_fail(s, "%s: version %llu was acknowledged, and what began later has version %llu", o->key, (unsigned long long)o->version_before,
                 (unsigned long long)version);
    *newest = MAX(*newest, version);
}

static void op_done(struct sim *s, struct sim_caller *c, struct sim_op *o, const struct client_effect *e)
{
    o->busy = false;
    c->done++;
    s->counts.ops++;
    if (o->of_values) {
        values_done(s, c, o, e);
        return;
    }
    if (o->admin) {
        sim_trace(s, "admin: %s %s", rgkv_err_name(e->err), e->why);
        for (unsigned i = 0; i < s->n_groups; i++)
            if (s->groups[i].gid == o->gid && (e->err == RGKV_OK || e->err == RGKV_EXISTS || e->err == RGKV_NOT_FOUND))
                s->groups[i].joined = o->command.op == CTRL_JOIN;
        return;
    }
    enum history_outcome outcome = outcome_of(e->err);
    s->counts.unknown += outcome == HISTORY_UNKNOWN;
    s->counts.refused += outcome == HISTORY_NOT_DONE;
    char *text = text_of(e);
    if (!o->ballast) {
        check_version(s, o, e);
        history_end(&s->history, o->history, outcome, text, s->now_us);
    }
    sim_trace(s, "caller %u: %s %s %s", c->index, o->key, rgkv_err_name(e->err), o->value);
    mem_free(text);
    if (!c->idle)
        sim_at(s, prng_below(&s->prng, 300000), (struct sim_event){.kind = SIM_CALLER_OP, .who = entity(c), .replica = o->slot});
}

/* ---- effects ---- */

static void send(struct sim *s, struct sim_caller *c, const struct client_effect *e)
{
    struct buf frame = {0};
    unsigned to = sim_machine_at(s, e->addr);
    if (to != UINT_MAX && c->links[to]) {
        msg_encode(e->message, &frame);
        network_send(s, entity(c), to, buf_bytes(&frame));
    }
    buf_release(&frame);
}

static void effect(struct sim *s, struct sim_caller *c, const struct client_effect *e)
{
    unsigned machine;
    switch (e->kind) {
    case CLIENT_CONNECT:
        machine = sim_machine_at(s, e->addr);
        if (machine != UINT_MAX && !c->wanted[machine]) {
            c->wanted[machine] = true;
            link_later(s, c, machine, prng_between(&s->prng, 50, 1000));
        }
        break;
    case CLIENT_DISCONNECT:
        machine = sim_machine_at(s, e->addr);
        if (machine != UINT_MAX)
            c->wanted[machine] = c->links[machine] = false;
        break;
    case CLIENT_SEND: send(s, c, e); break;
    case CLIENT_DONE: op_done(s, c, e->tag, e); break;
    }
}

static void tick_at(struct sim *s, struct sim_caller *c)
{
    uint64_t at = client_deadline_us(c->client);
    if (at == UINT64_MAX)
        return;
    at = MAX(at, s->now_us + 500);
    if (c->tick_at_us > s->now_us && c->tick_at_us <= at)
        return;
    c->tick_at_us = at;
    sim_at(s, at - s->now_us, (struct sim_event){.kind = SIM_CALLER_TICK, .who = entity(c)});
}

static void drain(struct sim *s, struct sim_caller *c)
{
    struct client_effect e;
    while (client_next(c->client, &e))
        effect(s, c, &e);
    tick_at(s, c);
}

/* ---- work ---- */

static uint64_t deadline(struct sim *s)
{
    return prng_chance(&s->prng, 1, 3) ? s->now_us + prng_between(&s->prng, 100000, 3000000) : 0;
}

/* More than a probe of raft's may carry. */
static struct bytes big_value(const struct sim *s, const char *value, struct buf *out)
{
    buf_put(out, bytes_str(value));
    memset(buf_grow(out, s->big_bytes), '.', s->big_bytes);
    return buf_bytes(out);
}

static void submit(struct sim *s, struct sim_caller *c, struct sim_op *o, struct kv_request *q, enum history_kind kind, uint64_t deadline_us)
{
    struct buf big = {0};
    o->busy = true;
    o->admin = o->ballast = false;
    o->history = history_begin(&s->history, kind, o->key, kind == HISTORY_GET ? NULL : o->value, s->now_us);
    q->key = bytes_str(o->key);
    q->data = kind == HISTORY_GET ? BYTES_EMPTY : bytes_str(o->value);
    if (s->big_bytes && q->op == KV_PUT && prng_chance(&s->prng, 1, 3))
        q->data = big_value(s, o->value, &big);
    o->reads = kind == HISTORY_GET;
    o->version_before = s->versions[o->key_number];
    q->mode = 0644;
    if (kind == HISTORY_GET)
        q->length = DATA_BYTES_MAX;
    struct client_request r = {.kind = CLIENT_KV, .deadline_us = deadline_us, .tag = o, .kv = q};
    o->id = client_submit(c->client, &r, s->now_us);
    buf_release(&big);
    drain(s, c);
}

/* A register is used by two callers only and not often: then its history can be decided. */
static unsigned register_ops(const struct sim *s, const char *key)
{
    unsigned count = 0;
    for (unsigned i = 0; i < s->history.n; i++)
        count += strcmp(s->history.ops[i].key, key) == 0;
    return count;
}

static void key_name(struct sim_op *o, unsigned number)
{
    o->key_number = number;
    snprintf(o->key, sizeof(o->key), "%c%u", number < LIST_KEYS ? 'l' : 'r', number < LIST_KEYS ? number : number - LIST_KEYS);
}

/* Put, put if it still has the version that was seen, or delete: in the history a delete writes "". */
static void register_change(struct sim *s, struct sim_op *o, struct kv_request *q)
{
    q->op = KV_PUT;
    if (prng_chance(&s->prng, 1, 4)) {
        q->op = KV_DELETE;
        o->value[0] = 0;
    } else if (prng_chance(&s->prng, 1, 3)) {
        q->flags = KV_IF_VERSION;
        q->version = s->versions[o->key_number];
    }
}

/* Nobody reads it: it only makes logs and messages big. */
static void start_ballast(struct sim *s, struct sim_caller *c, struct sim_op *o)
{
    struct buf big = {0};
    snprintf(o->key, sizeof(o->key), "b%u", (unsigned)prng_below(&s->prng, 4));
    o->value[0] = 0;
    o->busy = o->ballast = true;
    o->admin = o->reads = false;
    struct kv_request q = {.op = KV_PUT, .key = bytes_str(o->key), .data = big_value(s, "", &big), .mode = 0644};
    struct client_request r = {.kind = CLIENT_KV, .deadline_us = deadline(s), .tag = o, .kv = &q};
    o->id = client_submit(c->client, &r, s->now_us);
    buf_release(&big);
    drain(s, c);
}

static void start_op(struct sim *s, struct sim_caller *c, struct sim_op *o)
{
    struct kv_request q = {0};
    bool write = prng_chance(&s->prng, 1, 2);
    if (s->big_bytes && prng_chance(&s->prng, 2, 5)) {
        start_ballast(s, c, o);
        return;
    }
    snprintf(o->value, sizeof(o->value), "%u.%u,", c->index, c->element++);
    if (prng_chance(&s->prng, 1, 4)) {
        key_name(o, LIST_KEYS + (unsigned)prng_below(&s->prng, REGISTER_KEYS));
        if (register_ops(s, o->key) < REGISTER_OPS_MAX - 4) {
            q.op = KV_GET;
            if (write)
                register_change(s, o, &q);
            submit(s, c, o, &q, write ? HISTORY_PUT : HISTORY_GET, deadline(s));
            return;
        }
    }
    key_name(o, (unsigned)prng_below(&s->prng, LIST_KEYS));
    q.op = write ? KV_APPEND : KV_GET;
    submit(s, c, o, &q, write ? HISTORY_APPEND : HISTORY_GET, deadline(s));
}

void caller_read_everything(struct sim *s)
{
    struct sim_caller *c = &s->callers[1];
    for (unsigned k = 0; k < LIST_KEYS + REGISTER_KEYS; k++) {
        struct sim_op *o = &s->last_reads[k];
        struct kv_request q = {.op = KV_GET};
        key_name(o, k);
        submit(s, c, o, &q, HISTORY_GET, 0);
    }
}

/* ---- the administrator ---- */

static void admin_submit(struct sim *s, struct sim_op *o)
{
    struct sim_caller *c = &s->callers[0];
    o->busy = o->admin = true;
    struct client_request r = {.kind = CLIENT_ADMIN, .tag = o, .admin = &o->command};
    o->id = client_submit(c->client, &r, s->now_us);
    drain(s, c);
}

static struct sim_op *admin_op(struct sim *s, uint64_t gid)
{
    struct sim_op *o = &s->callers[0].ops[0];
    if (o->busy)
        return NULL;
    o->gid = gid;
    o->command = (struct ctrl_command){0};
    return o;
}

void caller_admin_join(struct sim *s, uint64_t gid)
{
    struct sim_op *o = admin_op(s, gid);
    for (unsigned i = 0; o && i < s->n_groups; i++) {
        if (s->groups[i].gid != gid)
            continue;
        o->group = (struct ctrl_join_group){.gid = gid, .n = s->groups[i].n};
        for (unsigned k = 0; k < s->groups[i].n; k++)
            memcpy(o->group.addrs[k], s->machines[s->groups[i].first + k].addr, ADDR_BYTES_MAX);
        o->command = (struct ctrl_command){.op = CTRL_JOIN, .n_groups = 1, .groups = &o->group};
        admin_submit(s, o);
    }
}

bool caller_admin_command(struct sim *s, const struct ctrl_command *k)
{
    struct sim_op *o = admin_op(s, UINT64_MAX);
    if (!o)
        return false;
    o->command = *k;
    admin_submit(s, o);
    return true;
}

static void admin_leave(struct sim *s, uint64_t gid)
{
    struct sim_op *o = admin_op(s, gid);
    if (!o)
        return;
    o->command = (struct ctrl_command){.op = CTRL_LEAVE, .n_gids = 1, .gids = &o->gid};
    admin_submit(s, o);
}

void caller_admin_move(struct sim *s, uint32_t shard, uint64_t gid)
{
    struct sim_op *o = admin_op(s, gid);
    if (!o)
        return;
    o->command = (struct ctrl_command){.op = CTRL_MOVE, .shard = shard, .gid = gid};
    admin_submit(s, o);
}

static void admin_something(struct sim *s)
{
    unsigned i = (unsigned)prng_below(&s->prng, s->n_groups), joined = 0;
    for (unsigned k = 0; k < s->n_groups; k++)
        joined += s->groups[k].joined;
    if (!s->groups[i].joined)
        caller_admin_join(s, s->groups[i].gid);
    else if (prng_chance(&s->prng, 1, 2))
        caller_admin_move(s, (uint32_t)prng_below(&s->prng, s->nshards), s->groups[i].gid);
    else if (joined > 1 || prng_chance(&s->prng, 1, 4))
        admin_leave(s, s->groups[i].gid);
}

static const struct ctrl_view *newest_view(const struct sim *s)
{
    const struct ctrl_view *v = client_view(s->callers[0].client);
    for (unsigned i = 0; i < s->n_machines; i++) {
        struct node_replica_info info;
        for (unsigned k = 0; s->machines[i].node && node_replica_info(s->machines[i].node, k, &info); k++) {
            struct raft_status status;
            if (!info.ctrl)
                continue;
            raft_status(info.raft, &status);
            if (status.role == RAFT_LEADER)
                v = ctrl_view(info.ctrl);
        }
    }
    return v;
}

static bool shard_settled(const struct ctrl_shard *p)
{
    return !p->target && (!p->wanted || p->wanted == p->holder) && (!p->holder || p->active);
}

bool caller_settled(struct sim *s)
{
    const struct ctrl_view *v = newest_view(s);
    for (uint32_t i = 0; v && i < v->nshards; i++)
        if (!shard_settled(&v->shards[i]))
            return false;
    return v && v->version > 0;
}

void caller_unsettled(struct sim *s, char *to, size_t bytes)
{
    const struct ctrl_view *v = newest_view(s);
    snprintf(to, bytes, "settled");
    for (uint32_t i = 0; v && i < v->nshards; i++) {
        const struct ctrl_shard *p = &v->shards[i];
        if (!shard_settled(p))
            snprintf(to, bytes, "not settled: shard %u, epoch %llu, held by %llu%s, target %llu, wanted by %llu", i,
                     (unsigned long long)p->epoch, (unsigned long long)p->holder, p->active ? "" : " (not active)",
                     (unsigned long long)p->target, (unsigned long long)p->wanted);
    }
}

/* ---- events ---- */

void caller_frame(struct sim *s, struct sim_caller *c, unsigned from, const struct msg *msg)
{
    client_step(c->client, &(struct client_input){.kind = CLIENT_RECEIVED, .now_us = s->now_us, .addr = s->machines[from].addr, .message = msg});
    drain(s, c);
}

void caller_event(struct sim *s, const struct sim_event *e)
{
    struct sim_caller *c = &s->callers[e->who - SIM_MACHINES_MAX];
    switch (e->kind) {
    case SIM_LINK: link_event(s, c, e->from); break;
    case SIM_CALLER_TICK:
        if (s->now_us == c->tick_at_us) {
            client_step(c->client, &(struct client_input){.kind = CLIENT_TICK, .now_us = s->now_us});
            drain(s, c);
        }
        break;
    case SIM_CALLER_OP:
        if (c->admin)
            admin_something(s);
        else if (values_event(e)) {
            values_step(s, c);
            drain(s, c);
        }
        else if (!c->idle && !c->ops[e->replica].busy)
            start_op(s, c, &c->ops[e->replica]);
        break;
    default: break;
    }
}
