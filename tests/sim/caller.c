/* One client engine with a few logical clients, whose work is work.c's; one of the callers is the administrator. */
#include "tests/sim/sim.h"

#include <limits.h>
#include <stdio.h>

static unsigned entity(const struct sim_caller *c) { return SIM_MACHINES_MAX + c->index; }

void caller_init(struct sim *s, unsigned index, bool admin)
{
    struct sim_caller *c = &s->callers[index];
    struct client_options o = {.client = prng_next(&s->prng) | 1, .seed = prng_next(&s->prng), .now_us = s->now_us,
                               .n_controllers = s->n_controllers};
    for (unsigned i = 0; i < s->n_controllers; i++)
        memcpy(o.controllers[i], s->machines[i].addr, ADDR_BYTES_MAX);
    admin = admin || s->bed;
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
    caller_drain(s, c);
}

void caller_link_lost(struct sim *s, struct sim_caller *c, unsigned machine)
{
    if (!c->links[machine])
        return;
    c->links[machine] = false;
    client_step(c->client, &(struct client_input){.kind = CLIENT_LINK_DOWN, .now_us = s->now_us, .addr = s->machines[machine].addr});
    link_later(s, c, machine, prng_between(&s->prng, 10000, 300000));
    caller_drain(s, c);
}

void caller_machine_died(struct sim *s, unsigned machine)
{
    for (unsigned i = 0; i < s->n_callers; i++)
        caller_link_lost(s, &s->callers[i], machine);
}

/* ---- outcomes ---- */


static void op_done(struct sim *s, struct sim_caller *c, struct sim_op *o, const struct client_effect *e)
{
    o->busy = false;
    c->done++;
    s->counts.ops++;
    if (s->bed) {
        bed_done(s, o, e);
        return;
    }
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
    work_done(s, o, e);
    sim_trace(s, "caller %u: %s %s %s", c->index, o->key, rgkv_err_name(e->err), o->value);
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

void caller_drain(struct sim *s, struct sim_caller *c)
{
    struct client_effect e;
    while (client_next(c->client, &e))
        effect(s, c, &e);
    tick_at(s, c);
}

/* ---- the administrator ---- */

static void admin_submit(struct sim *s, struct sim_op *o)
{
    struct sim_caller *c = &s->callers[0];
    o->busy = o->admin = true;
    struct client_request r = {.kind = CLIENT_ADMIN, .tag = o, .admin = &o->command};
    o->id = client_submit(c->client, &r, s->now_us);
    caller_drain(s, c);
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

bool caller_admin_move(struct sim *s, uint32_t shard, uint64_t gid)
{
    struct sim_op *o = admin_op(s, gid);
    if (!o)
        return false;
    o->command = (struct ctrl_command){.op = CTRL_MOVE, .shard = shard, .gid = gid};
    admin_submit(s, o);
    return true;
}

static void admin_something(struct sim *s)
{
    unsigned i = (unsigned)prng_below(&s->prng, s->n_groups), joined = 0;
    for (unsigned k = 0; k < s->n_groups; k++)
        joined += s->groups[k].joined;
    if (!s->groups[i].joined && members_told_apart(s)) /* a group of two that is given a member of the past never begins */
        caller_admin_join(s, s->groups[i].gid);
    else if (!s->groups[i].joined)
        return;
    else if (prng_chance(&s->prng, 1, 2))
        caller_admin_move(s, (uint32_t)prng_below(&s->prng, s->nshards), s->groups[i].gid);
    else if (joined > 1 || prng_chance(&s->prng, 1, 4))
        admin_leave(s, s->groups[i].gid);
}

const struct ctrl_view *caller_newest_view(const struct sim *s)
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
    const struct ctrl_view *v = caller_newest_view(s);
    for (uint32_t i = 0; v && i < v->nshards; i++)
        if (!shard_settled(&v->shards[i]))
            return false;
    return v && v->version > 0;
}

void caller_unsettled(struct sim *s, char *to, size_t bytes)
{
    const struct ctrl_view *v = caller_newest_view(s);
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
    caller_drain(s, c);
}

void caller_event(struct sim *s, const struct sim_event *e)
{
    if (e->kind == SIM_CALLER_OP && s->bed) { /* `who` is one of its own */
        bed_event(s, e);
        return;
    }
    struct sim_caller *c = &s->callers[e->who - SIM_MACHINES_MAX];
    switch (e->kind) {
    case SIM_LINK: link_event(s, c, e->from); break;
    case SIM_CALLER_TICK:
        if (s->now_us == c->tick_at_us) {
            client_step(c->client, &(struct client_input){.kind = CLIENT_TICK, .now_us = s->now_us});
            caller_drain(s, c);
        }
        break;
    case SIM_CALLER_OP:
        if (c->admin)
            admin_something(s);
        else if (values_event(e)) {
            values_step(s, c);
            caller_drain(s, c);
        }
        else if (!c->idle && !c->ops[e->replica].busy)
            work_start(s, c, &c->ops[e->replica]);
        break;
    default: break;
    }
}
