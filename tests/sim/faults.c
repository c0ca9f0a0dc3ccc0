/* What goes wrong, when: each seed draws its own mixture (swarm testing), then moments within it. */
#include "tests/sim/sim.h"

#define FAULT_GAP_US 1500000u

static unsigned entities(const struct sim *s) { return SIM_MACHINES_DRAWN + s->n_callers; }
static unsigned entity(unsigned i) { return i < SIM_MACHINES_DRAWN ? i : i - SIM_MACHINES_DRAWN + SIM_MACHINES_MAX; }

static void partition(struct sim *s)
{
    bool (*cut)[SIM_MACHINES_MAX + SIM_CALLERS_MAX] = s->network.cut;
    unsigned all = entities(s);
    bool side[SIM_MACHINES_MAX + SIM_CALLERS_MAX], one_way = prng_chance(&s->prng, 1, 3);
    s->counts.partitions++;
    for (unsigned i = 0; i < all; i++)
        side[i] = prng_chance(&s->prng, 1, 3);
    for (unsigned a = 0; a < all; a++)
        for (unsigned b = 0; b < all; b++)
            if (a != b && side[a] != side[b] && (!one_way || side[a]))
                cut[entity(a)][entity(b)] = true;
    sim_trace(s, "partition%s", one_way ? ", one way" : "");
}

static void isolate(struct sim *s)
{
    unsigned one = (unsigned)prng_below(&s->prng, s->n_machines);
    s->counts.partitions++;
    for (unsigned b = 0; b < SIM_MACHINES_MAX + s->n_callers; b++)
        if (b != one)
            s->network.cut[one][b] = s->network.cut[b][one] = true;
    sim_trace(s, "n%u is cut off", one);
}

static struct sim_machine *any_machine(struct sim *s) { return &s->machines[prng_below(&s->prng, s->n_machines)]; }

/* A machine that its clients still reach, but no other machine (or, one way, none that it would hear from). */
static void deafen(struct sim *s)
{
    unsigned one = (unsigned)prng_below(&s->prng, s->n_machines);
    bool sends = prng_chance(&s->prng, 1, 3), hears = !sends && prng_chance(&s->prng, 1, 2);
    s->counts.partitions++;
    for (unsigned b = 0; b < s->n_machines; b++)
        if (b != one) {
            s->network.cut[one][b] = !sends;
            s->network.cut[b][one] = !hears;
        }
    sim_trace(s, "n%u reaches clients only%s%s", one, sends ? ", and is heard" : "", hears ? ", and hears" : "");
}

static void crash_one(struct sim *s, unsigned i)
{
    struct sim_machine *m = &s->machines[i];
    if (!m->node)
        return;
    if (prng_chance(&s->prng, 2, 3))
        machine_crash(s, m);
    else
        machine_kill(s, m);
    sim_at(s, prng_between(&s->prng, 1000, 2500000), (struct sim_event){.kind = SIM_RESTART, .who = i});
}

static void crash_all(struct sim *s)
{
    for (unsigned i = 0; i < s->n_machines; i++)
        crash_one(s, i);
}

/* One of the next calls of a kind fails: the process must end and what it promised must be there. */
static void disk_fails(struct sim *s)
{
    static const enum vfs_mem_call calls[] = {VFS_MEM_SYNC, VFS_MEM_SYNC, VFS_MEM_WRITE, VFS_MEM_SYNC_DIR, VFS_MEM_RENAME, VFS_MEM_CREATE};
    struct sim_machine *m = any_machine(s);
    enum vfs_mem_call call = calls[prng_below(&s->prng, ARRAY_LEN(calls))];
    if (!m->node)
        return;
    s->counts.disk_faults++;
    m->hurt = true;
    vfs_mem_fail(m->disk, call, (unsigned)prng_between(&s->prng, 1, 10), RGKV_IO);
    sim_trace(s, "%s: its disk is about to fail (call %d)", m->addr, (int)call);
}

static void disk_fills(struct sim *s)
{
    struct sim_machine *m = any_machine(s);
    s->counts.disk_faults++;
    vfs_mem_set_capacity(m->disk, vfs_mem_used(m->disk) + prng_below(&s->prng, 20000) + 1);
    bool tables = prng_chance(&s->prng, 1, 2);
    if (tables)
        disk_tables_refuse(m, true);
    sim_trace(s, "%s: its disk is almost full%s", m->addr, tables ? ", its tables take nothing" : "");
}

static void disk_slows(struct sim *s)
{
    struct sim_machine *m = &s->machines[prng_below(&s->prng, s->n_machines)];
    m->slow_disk = true;
    disk_tables_hold(m, true);
}

/* What is sent over one link waits and arrives at once, behind everything newer. */
static void stall(struct sim *s)
{
    unsigned all = entities(s), from = (unsigned)prng_below(&s->prng, s->n_machines);
    uint64_t until_us = s->now_us + prng_between(&s->prng, 100000, 3000000);
    s->counts.stalls++;
    for (unsigned to = 0; to < all; to++)
        if (prng_chance(&s->prng, 1, 2))
            s->network.stalled_until_us[from][entity(to)] = until_us;
    sim_trace(s, "n%u: what it sends is held up", from);
}

/* Connections end; each side hears of it in its own time. */
static void resets(struct sim *s)
{
    unsigned one = (unsigned)prng_below(&s->prng, s->n_machines), all = SIM_MACHINES_MAX + s->n_callers;
    s->counts.resets++;
    for (unsigned from = 0; from < all; from++) {
        bool there = from < s->n_machines || from >= SIM_MACHINES_MAX;
        if (!there || from == one || prng_chance(&s->prng, 1, 2))
            continue;
        sim_at(s, prng_below(&s->prng, 200000),
               (struct sim_event){.kind = SIM_CLOSED, .who = one, .boot = s->machines[one].boot, .from = from});
        if (from >= SIM_MACHINES_MAX)
            caller_link_lost(s, &s->callers[from - SIM_MACHINES_MAX], one);
    }
}

/* No two sides: each pair by itself, one way or both. */
static void ragged(struct sim *s)
{
    s->counts.partitions++;
    for (unsigned a = 0; a < s->n_machines; a++)
        for (unsigned b = 0; b < s->n_machines; b++)
            if (a != b && prng_chance(&s->prng, 1, 3))
                s->network.cut[a][b] = true;
    sim_trace(s, "a ragged partition");
}

/* A machine that slept: its clock went on meanwhile, or jumped. By hours at times: then sessions expire. */
static void suspend(struct sim *s)
{
    uint64_t jump_us = prng_between(&s->prng, 1000, 5000000);
    if (prng_chance(&s->prng, 1, 3))
        jump_us = prng_between(&s->prng, SESSION_TTL_US / 2, SESSION_TTL_US * 2);
    machine_suspend(s, any_machine(s), prng_between(&s->prng, 20000, 300000), jump_us);
}

static void rots(struct sim *s)
{
    struct sim_machine *m = any_machine(s);
    crash_one(s, m->index);
    rot_begin(s, m);
}

static void pause_one(struct sim *s)
{
    machine_pause(s, any_machine(s), prng_between(&s->prng, 50000, prng_chance(&s->prng, 1, 2) ? 800000 : 6000000));
}

/* A leader stands still just long enough to be replaced, and wakes up to its clients' mail and nobody else's: what it says then
 * must not be old. */
static void depose(struct sim *s)
{
    unsigned one = (unsigned)prng_below(&s->prng, s->n_machines);
    for (unsigned tries = 0; tries < s->n_machines && !machine_leads(&s->machines[one], 0); tries++)
        one = (one + 1) % s->n_machines;
    s->counts.partitions++;
    for (unsigned b = 0; b < s->n_machines; b++)
        if (b != one)
            s->network.cut[one][b] = s->network.cut[b][one] = true;
    machine_pause(s, &s->machines[one], prng_between(&s->prng, 350000, 900000));
}

static void heal(struct sim *s)
{
    memset(s->network.cut, 0, sizeof(s->network.cut));
    directed_healed(s);
    for (unsigned i = 0; i < s->n_machines; i++) {
        s->machines[i].slow_disk = false;
        disk_tables_hold(&s->machines[i], false);
        vfs_mem_set_capacity(s->machines[i].disk, 0);
        disk_tables_refuse(&s->machines[i], false);
    }
    sim_trace(s, "network heals");
}

static void one_fault(struct sim *s)
{
    switch (prng_below(&s->prng, 28)) {
    case 0: case 1: crash_one(s, (unsigned)prng_below(&s->prng, s->n_machines)); break;
    case 2: crash_one(s, 0); break;
    case 3: if (prng_chance(&s->prng, 1, 3)) crash_all(s); break;
    case 4: partition(s); break;
    case 5: isolate(s); break;
    case 6: disk_slows(s); break;
    case 7: case 8: heal(s); break;
    case 9: case 10: pause_one(s); break;
    case 11: machine_stop(s, any_machine(s)); break;
    case 12: stall(s); break;
    case 15: case 16: deafen(s); break;
    case 17: case 18: depose(s); break;
    case 20: ragged(s); break;
    case 21: resets(s); break;
    case 22: if (s->jumps) suspend(s); break;
    case 23: if (s->disk_faults) rots(s); break;
    case 19: if (s->directed.outlive) directed_outlive(s); break;
    case 13: if (s->disk_faults) disk_fails(s); break;
    case 14: if (s->disk_faults) disk_fills(s); break;
    default:
        sim_at(s, 0, (struct sim_event){.kind = SIM_CALLER_OP, .who = SIM_MACHINES_MAX}); /* the administrator */
        break;
    }
}

void faults_begin(struct sim *s)
{
    struct sim_network *n = &s->network;
    s->faults_on = true;
    n->loss_percent = prng_chance(&s->prng, 1, 2) ? (unsigned)prng_below(&s->prng, 20) : 0;
    n->duplicate_percent = prng_chance(&s->prng, 1, 2) ? (unsigned)prng_below(&s->prng, 10) : 0;
    n->spike_percent = prng_chance(&s->prng, 1, 2) ? (unsigned)prng_below(&s->prng, 10) : 0;
    n->late_mail = prng_chance(&s->prng, 1, 2);
    n->late_permille = prng_chance(&s->prng, 1, 3) ? (unsigned)prng_between(&s->prng, 1, 200) : 0;
    s->jumps = prng_chance(&s->prng, 1, 3);
    s->disk_faults = prng_chance(&s->prng, 1, 2);
    n->spike_us = prng_between(&s->prng, 1000, 2000000);
    directed_begin(s);
    ghosts_begin(s);
    members_begin(s);
    sim_at(s, prng_below(&s->prng, FAULT_GAP_US), (struct sim_event){.kind = SIM_FAULT});
}

void faults_event(struct sim *s, const struct sim_event *e)
{
    if (!s->faults_on)
        return;
    one_fault(s);
    sim_at(s, prng_below(&s->prng, FAULT_GAP_US), (struct sim_event){.kind = SIM_FAULT});
}

void faults_end(struct sim *s)
{
    s->faults_on = false;
    s->directed = (struct sim_directed){0};
    ghosts_end(s);
    network_heal(s);
    heal(s);
    for (unsigned i = 0; i < s->n_machines; i++) {
        for (unsigned call = 0; call < VFS_MEM_CALLS; call++)
            vfs_mem_fail(s->machines[i].disk, (enum vfs_mem_call)call, 0, RGKV_OK);
        if (!s->machines[i].node)
            machine_boot(s, &s->machines[i]);
    }
}
