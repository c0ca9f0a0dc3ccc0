#include <stdarg.h>
#include <stdio.h>

#include "tests/sim/sim.h"

#define SOURCE 101u
#define TARGET 102u

/* ---- who is struck ---- */

static bool leads_controllers(const struct sim_machine *m)
{
    struct node_replica_info i;
    struct raft_status st;
    for (unsigned k = 0; m->node && node_replica_info(m->node, k, &i); k++) {
        if (!i.raft || !i.ctrl)
            continue;
        raft_status(i.raft, &st);
        if (st.role == RAFT_LEADER)
            return true;
    }
    return false;
}

static bool is_of(const struct sim_machine *m, uint64_t gid) { return m->index / 3 == gid - SOURCE + 1; }

static bool fits(const struct sim_machine *m, enum sim_victim victim)
{
    switch (victim) {
    case VICTIM_SOURCE_LEADER: return is_of(m, SOURCE) && machine_leads(m, SOURCE);
    case VICTIM_SOURCE_FOLLOWER: return is_of(m, SOURCE) && !machine_leads(m, SOURCE);
    case VICTIM_TARGET_LEADER: return is_of(m, TARGET) && machine_leads(m, TARGET);
    case VICTIM_TARGET_FOLLOWER: return is_of(m, TARGET) && !machine_leads(m, TARGET);
    case VICTIM_CONTROLLER_LEADER: return leads_controllers(m);
    case VICTIM_EVERYBODY: return true;
    case VICTIMS: break;
    }
    return false;
}

static void strike(struct sim *s)
{
    for (unsigned i = 0; i < s->n_machines; i++) {
        struct sim_machine *m = &s->machines[i];
        if (!m->node || !fits(m, s->watch.victim))
            continue;
        machine_end_soon(s, m, true);
        s->watch.struck = true;
        if (s->watch.victim != VICTIM_EVERYBODY)
            return;
    }
}

static void step(struct sim *s, const char *format, ...) PRINTF(2, 3);
static void step(struct sim *s, const char *format, ...)
{
    struct sim_watch *w = &s->watch;
    char label[sizeof(w->label)];
    va_list args;
    va_start(args, format);
    vsnprintf(label, sizeof(label), format, args);
    va_end(args);
    w->steps++;
    sim_trace(s, "step %u: %s", w->steps, label);
    if (w->steps != w->strike_at)
        return;
    memcpy(w->label, label, sizeof(label));
    strike(s);
}

/* ---- what is seen ---- */

static void watch_replica(struct sim *s, const struct sim_machine *m, const struct node_replica_info *i)
{
    struct kv_shard_status *seen = &s->watch.seen[m->index], now;
    kv_shard_status(i->kv, 0, &now);
    if (now.state == seen->state && now.epoch == seen->epoch && now.import_rows == seen->import_rows &&
        now.import_round == seen->import_round && now.copy_round == seen->copy_round && now.copy_epoch == seen->copy_epoch)
        return;
    *seen = now;
    step(s, "%s of group %llu: %s at epoch %llu, round %llu, %llu rows; copied at %llu, round %llu", m->addr, (unsigned long long)i->gid,
         kv_shard_state_name(now.state), (unsigned long long)now.epoch, (unsigned long long)now.import_round,
         (unsigned long long)now.import_rows, (unsigned long long)now.copy_epoch, (unsigned long long)now.copy_round);
}

/* Grows with each thing that the controller decides about a shard: prepare, then commit or (one epoch on) abort, then active. */
static uint64_t phase_of(const struct ctrl_shard *now) { return now->epoch * 4 + (now->target ? 0 : now->active ? 2 : 1); }

static void watch_controller(struct sim *s, const struct sim_machine *m, const struct node_replica_info *i)
{
    const struct ctrl_view *v = ctrl_view(i->ctrl);
    if (!v->nshards || !v->shards)
        return;
    const struct ctrl_shard *now = &v->shards[0];
    if (phase_of(now) <= s->watch.phase)
        return;
    s->watch.phase = phase_of(now);
    s->watch.placement.holder = now->holder;
    s->watch.placement.target = now->target;
    s->watch.placement.active = now->active;
    step(s, "%s, controller: held by %llu, target %llu, epoch %llu%s", m->addr, (unsigned long long)now->holder,
         (unsigned long long)now->target, (unsigned long long)now->epoch, now->active ? ", active" : "");
}

void watch_machine(struct sim *s, struct sim_machine *m)
{
    struct node_replica_info i;
    if (!s->watch.on)
        return;
    for (unsigned k = 0; node_replica_info(m->node, k, &i); k++) {
        if (i.raft && i.kv)
            watch_replica(s, m, &i);
        else if (i.raft && i.ctrl)
            watch_controller(s, m, &i);
    }
}

void watch_message(struct sim *s, const struct msg *msg)
{
    if (!s->watch.on)
        return;
    if (msg->kind == MSG_PULL)
        step(s, "a pull goes out");
    else if (msg->kind == MSG_PULL_REPLY)
        step(s, "a pull is answered: %s, %zu bytes%s", rgkv_err_name(msg->pull_reply.err), msg->pull_reply.rows.len,
             msg->pull_reply.pulled.done ? ", done" : "");
    else if (msg->kind == MSG_POLL && msg->poll.has_report)
        step(s, "a report goes out");
}
