/* One machine: a process that drives the node engine as the daemon does, with a clock of its own. */
#include "tests/sim/sim.h"

#include <limits.h>
#include <stdio.h>

void machine_init(struct sim *s, unsigned index, bool controller)
{
    struct sim_machine *m = &s->machines[index];
    *m = (struct sim_machine){.index = index, .controller = controller, .disk = vfs_mem_new()};
    snprintf(m->addr, sizeof(m->addr), "n%u:7000", index);
}

/* ---- its clock: began anywhere, a few percent fast or slow ---- */

uint64_t machine_clock_us(const struct sim *s, const struct sim_machine *m)
{
    uint64_t us = s->now_us - m->boot_us;
    return m->clock_zero_us + us + (uint64_t)((int64_t)us * m->clock_ppm / 1000000);
}

static uint64_t delay_until(const struct sim *s, const struct sim_machine *m, uint64_t clock_at_us)
{
    uint64_t now = machine_clock_us(s, m), us = MAX(clock_at_us, now + 1000) - now;
    return us - (uint64_t)((int64_t)MIN(us, 1000000000000u) * m->clock_ppm / 1000000);
}

/* ---- the process's end ---- */

static void process_ended(struct sim *s, struct sim_machine *m, bool power)
{
    node_free(m->node);
    m->node = NULL;
    disk_process_ended(s, m, power);
    buf_release(&m->manifest_pending);
    m->boot++;
    m->paused_until_us = 0;
    m->ending = false;
    caller_machine_died(s, m->index);
}

void machine_crash(struct sim *s, struct sim_machine *m)
{
    if (!m->node)
        return;
    sim_trace(s, "%s crashes", m->addr);
    s->counts.crashes++;
    process_ended(s, m, true);
}

void machine_kill(struct sim *s, struct sim_machine *m)
{
    if (!m->node)
        return;
    sim_trace(s, "%s is killed", m->addr);
    s->counts.kills++;
    process_ended(s, m, false);
}

void machine_lose_disk(struct sim_machine *m)
{
    ASSERT(!m->node);
    disk_wipe(m);
    vfs_mem_free(m->disk);
    m->disk = vfs_mem_new();
    buf_release(&m->manifest);
    m->has_manifest = false;
}

void machine_release(struct sim *s, struct sim_machine *m)
{
    if (m->node)
        process_ended(s, m, false);
    disk_release(m);
    vfs_mem_free(m->disk);
    buf_release(&m->manifest);
}

/* In the middle of an effect the node must not go away: it does so by an event. */
void machine_end_soon(struct sim *s, struct sim_machine *m, bool power)
{
    if (m->ending)
        return;
    m->ending = true;
    sim_at(s, 0, (struct sim_event){.kind = SIM_END, .who = m->index, .boot = m->boot, .up = power});
}

static void gave_up(struct sim *s, struct sim_machine *m, const char *why)
{
    sim_trace(s, "%s gave up: %s", m->addr, why);
    if (m->hurt)
        machine_end_soon(s, m, false);
    else
        sim_fail(s, "%s gave up: %s", m->addr, why);
}

bool machine_leads(const struct sim_machine *m, uint64_t gid)
{
    struct node_replica_info i;
    struct raft_status st;
    for (unsigned k = 0; m->node && node_replica_info(m->node, k, &i); k++) {
        if (!i.raft || !i.kv || (gid && i.gid != gid))
            continue;
        raft_status(i.raft, &st);
        if (st.role == RAFT_LEADER)
            return true;
    }
    return false;
}

/* ---- standing still ---- */

void machine_pause(struct sim *s, struct sim_machine *m, uint64_t us)
{
    if (!m->node)
        return;
    sim_trace(s, "%s stands still for %.3f s", m->addr, (double)us / 1e6);
    s->counts.pauses++;
    m->paused_until_us = MAX(m->paused_until_us, s->now_us + us); /* what waits for its waking waits until then */
}

void machine_suspend(struct sim *s, struct sim_machine *m, uint64_t us, uint64_t jump_us)
{
    if (!m->node)
        return;
    machine_pause(s, m, us);
    m->clock_zero_us += jump_us;
    s->counts.jumps++;
    sim_trace(s, "%s: its clock jumps by %.3f s", m->addr, (double)jump_us / 1e6);
}

/* A process that wakes up reads its connections in any order, each by itself in the order of sending. */
static uint64_t mail_order_us(const struct sim_machine *m, unsigned from)
{
    uint64_t what[] = {m->paused_until_us, from < SIM_MACHINES_MAX ? from : from - SIM_MACHINES_MAX + SIM_MACHINES_DRAWN};
    return hash64(bytes_of(what, sizeof(what))) % 3000;
}

bool machine_deferred(struct sim *s, const struct sim_event *e)
{
    bool of_machine = e->kind != SIM_RESTART && e->kind != SIM_FAULT && e->kind != SIM_DIRECTED && e->kind != SIM_MEMBERS && e->who < SIM_MACHINES_MAX;
    struct sim_machine *m = of_machine ? &s->machines[e->who] : NULL;
    if (!m || !m->node || s->now_us >= m->paused_until_us)
        return false;
    struct sim_event later = *e;
    later.at_us = m->paused_until_us;
    if (e->kind == SIM_TICK && e->boot == m->boot && e->at_us == m->tick_at_us)
        m->tick_at_us = later.at_us += prng_below(&s->prng, 5000); /* the mail that waits may be read before the clock */
    if (e->kind == SIM_FRAME)
        later.at_us += mail_order_us(m, e->from);
    sim_heap_push(&s->heap, later);
    return true;
}

/* ---- driving the engine ---- */

static void effect(struct sim *s, struct sim_machine *m, const struct node_effect *e);

static void drain(struct sim *s, struct sim_machine *m)
{
    struct node_effect e;
    while (node_next(m->node, &e))
        effect(s, m, &e);
}

static void collect_later(struct sim *s, struct sim_machine *m)
{
    if (m->collect_due)
        return;
    m->collect_due = true;
    sim_at(s, prng_below(&s->prng, 30), (struct sim_event){.kind = SIM_COLLECT, .who = m->index, .boot = m->boot});
}

void machine_step(struct sim *s, struct sim_machine *m, struct node_input *in)
{
    if (!m->node)
        return;
    in->now_us = machine_clock_us(s, m);
    node_step(m->node, in);
    drain(s, m);
    collect_later(s, m);
}

static void tick_at(struct sim *s, struct sim_machine *m)
{
    uint64_t deadline_us = node_deadline_us(m->node);
    if (deadline_us == UINT64_MAX)
        return;
    uint64_t at = s->now_us + delay_until(s, m, deadline_us);
    if (m->tick_at_us > s->now_us && m->tick_at_us <= at)
        return;
    m->tick_at_us = at;
    sim_at(s, at - s->now_us, (struct sim_event){.kind = SIM_TICK, .who = m->index, .boot = m->boot});
}

static void tell_space(struct sim *s, struct sim_machine *m)
{
    struct node_input in = {.kind = NODE_DISK_SPACE};
    if (s->now_us < m->space_told_us + 1000000)
        return;
    m->space_told_us = s->now_us;
    enum rgkv_err err = m->disk->ops->free_space(m->disk, ".", &in.disk_free, &in.disk_total);
    ASSERT(err == RGKV_OK);
    if (m->tables_full && prng_chance(&s->prng, 1, 4))
        disk_tables_refuse(m, false);
    if (m->slow_disk || m->tables_behind)
        disk_tables_hold(m, m->slow_disk && prng_chance(&s->prng, 1, 2));
    machine_step(s, m, &in);
}

static void collect(struct sim *s, struct sim_machine *m)
{
    m->collect_due = false;
    bool more = node_collect(m->node);
    drain(s, m);
    if (more)
        collect_later(s, m);
    tick_at(s, m);
    truth_check_machine(s, m);
    watch_machine(s, m);
    tell_space(s, m);
    if (prng_chance(&s->prng, 1, 64))
        disk_flush_by_itself(s, m);
}

/* ---- effects ---- */

static void save_manifest(struct sim *s, struct sim_machine *m, const struct node_effect *e)
{
    buf_clear(&m->manifest_pending);
    manifest_encode(e->manifest, &m->manifest_pending);
    uint64_t us = m->slow_disk ? prng_between(&s->prng, 5000, 60000) : prng_between(&s->prng, 100, 600);
    sim_at(s, us, (struct sim_event){.kind = SIM_MANIFEST, .who = m->index, .boot = m->boot});
}

static void effect(struct sim *s, struct sim_machine *m, const struct node_effect *e)
{
    unsigned to;
    if (disk_effect(s, m, e))
        return;
    switch (e->kind) {
    case NODE_SEND:
        if ((to = sim_machine_at(s, e->addr)) != UINT_MAX)
            network_send(s, m->index, to, e->frames);
        break;
    case NODE_REPLY: network_send(s, m->index, (unsigned)e->conn - 1, e->frames); break;
    case NODE_SAVE_MANIFEST: save_manifest(s, m, e); break;
    case NODE_EVENT: sim_trace(s, "%s: %s", m->addr, e->why); break;
    case NODE_FAILED: gave_up(s, m, e->why); break;
    case NODE_STOPPED: machine_end_soon(s, m, false); break;
    default: ASSERT(false);
    }
}

void machine_stop(struct sim *s, struct sim_machine *m)
{
    if (!m->node)
        return;
    sim_trace(s, "%s is asked to stop", m->addr);
    s->counts.stops++;
    machine_step(s, m, &(struct node_input){.kind = NODE_STOP});
}

/* ---- events ---- */

/* How much is saved at once: of some machines what it is in the daemon, of most so little that entries have to wait for saves. As there it is more
 * than a piece of a shard or a snapshot, which would else wait for a save each. */
static uint64_t save_bytes(const struct sim *s, const struct sim_machine *m)
{
    const uint64_t of[] = {s->seed, m->index};
    uint64_t h = hash64_seeded(bytes_of(of, sizeof(of)), 2);
    return h % 4 ? MAX(1000u << (h / 4 % 6), 4 * s->chunk_bytes) : 0;
}

void machine_boot(struct sim *s, struct sim_machine *m)
{
    static const struct manifest blank;
    struct manifest manifest = blank;
    struct buf why = {0};
    if (m->node)
        return;
    m->boot_us = s->now_us;
    m->clock_zero_us = prng_below(&s->prng, 1000000000);
    m->clock_ppm = prng_chance(&s->prng, 1, 2) ? (int64_t)prng_below(&s->prng, 100001) - 50000 : 0;
    m->collect_due = m->ending = m->hurt = false;
    m->tick_at_us = 0;
    if (m->has_manifest) {
        enum rgkv_err err = manifest_decode(buf_bytes(&m->manifest), &manifest);
        ASSERT(err == RGKV_OK);
    }
    disk_prepare(m);
    struct node_options o = {.seed = prng_next(&s->prng), .now_us = machine_clock_us(s, m), .boot = prng_next(&s->prng), .version = "sim",
                             .n_controllers = s->n_controllers, .nshards = s->nshards, .snapshot_bytes = s->snapshot_bytes,
                             .chunk_bytes = s->chunk_bytes, .save_bytes = save_bytes(s, m), .append_entries_max = s->append_entries_max, .manifest = &manifest};
    memcpy(o.addr, m->addr, sizeof(o.addr));
    for (unsigned i = 0; i < s->n_controllers; i++)
        memcpy(o.controllers[i], s->machines[i].addr, ADDR_BYTES_MAX);
    if (m->told[0]) {
        o.n_controllers = 1;
        memcpy(o.controllers[0], m->told, ADDR_BYTES_MAX);
    }
    enum rgkv_err err = node_new(&o, &m->node, &why);
    ASSERT(err == RGKV_OK);
    buf_release(&why);
    sim_trace(s, "%s boots", m->addr);
    drain(s, m);
    collect_later(s, m);
}

static bool knows(const struct sim *s, const struct sim_machine *m, const char *addr)
{
    struct manifest manifest = {0};
    bool known = false;
    for (unsigned i = 0; i < s->n_controllers; i++)
        known |= strcmp(s->machines[i].addr, addr) == 0;
    if (m->has_manifest && manifest_decode(buf_bytes(&m->manifest), &manifest) == RGKV_OK)
        for (unsigned i = 0; i < manifest.n_controllers; i++)
            known |= strcmp(manifest.controllers[i], addr) == 0;
    return known;
}

/* While a machine was away, or cut off, all controllers that it knew may have been replaced, and one that could tell of the new ones may have
 * lost its disk. Then somebody has to start it with --controllers (rgkvd(8)). */
void machines_told(struct sim *s)
{
    const struct ctrl_view *v = caller_newest_view(s);
    char now[ADDR_BYTES_MAX] = "";
    for (unsigned k = 0; v && k < v->n_controllers; k++)
        if (v->controllers[k].node && v->controllers[k].state == CTRL_MEMBER_IN)
            memcpy(now, v->controllers[k].addr, sizeof(now));
    for (unsigned i = 0; now[0] && i < s->n_machines; i++) {
        struct sim_machine *m = &s->machines[i];
        bool lost = m->node != NULL;
        for (unsigned k = 0; k < v->n_controllers; k++)
            lost &= !v->controllers[k].node || !knows(s, m, v->controllers[k].addr);
        if (!lost)
            continue;
        memcpy(m->told, now, sizeof(now));
        machine_kill(s, m);
        machine_boot(s, m);
        sim_trace(s, "%s was told where the controllers are", m->addr);
    }
}

void machine_frame(struct sim *s, struct sim_machine *m, unsigned from, const struct msg *msg)
{
    machine_step(s, m, &(struct node_input){.kind = NODE_RECEIVED, .conn = from + 1, .message = msg});
}

static void manifest_saved(struct sim *s, struct sim_machine *m)
{
    buf_release(&m->manifest);
    m->manifest = m->manifest_pending;
    m->manifest_pending = (struct buf){0};
    m->has_manifest = true;
    machine_step(s, m, &(struct node_input){.kind = NODE_MANIFEST_SAVED});
}

static void ended(struct sim *s, struct sim_machine *m, bool power)
{
    if (power)
        machine_crash(s, m);
    else
        machine_kill(s, m);
    sim_at(s, prng_between(&s->prng, 1000, 2500000), (struct sim_event){.kind = SIM_RESTART, .who = m->index});
}

void machine_event(struct sim *s, const struct sim_event *e)
{
    struct sim_machine *m = &s->machines[e->who];
    if (e->kind == SIM_RESTART) {
        machine_boot(s, m);
        return;
    }
    if (!m->node || e->boot != m->boot)
        return;
    switch (e->kind) {
    case SIM_TICK:
        if (s->now_us == m->tick_at_us)
            machine_step(s, m, &(struct node_input){.kind = NODE_TICK});
        break;
    case SIM_COLLECT: collect(s, m); break;
    case SIM_DISK: case SIM_SAVED: case SIM_FLUSHED: case SIM_TRIMMED: case SIM_WARMED: case SIM_CHUNK: disk_event(s, m, e); break;
    case SIM_MANIFEST: manifest_saved(s, m); break;
    case SIM_CLOSED: machine_step(s, m, &(struct node_input){.kind = NODE_CONN_CLOSED, .conn = e->from + 1}); break;
    case SIM_END: ended(s, m, e->up); break;
    default: break;
    }
}
