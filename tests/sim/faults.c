/* What goes wrong, when: each seed draws its own mixture (swarm testing), then moments within it. */
#include "tests/sim/sim.h"

#define FAULT_GAP_US 1500000u

static void partition(struct sim *s)
{
    bool (*cut)[SIM_MACHINES_MAX + SIM_CALLERS_MAX] = s->network.cut;
    unsigned all = SIM_MACHINES_MAX + s->n_callers;
    bool side[SIM_MACHINES_MAX + SIM_CALLERS_MAX], one_way = prng_chance(&s->prng, 1, 3);
    s->counts.partitions++;
    for (unsigned i = 0; i < all; i++)
        side[i] = prng_chance(&s->prng, 1, 3);
    for (unsigned a = 0; a < all; a++)
        for (unsigned b = 0; b < all; b++)
            if (a != b && side[a] != side[b] && (!one_way || side[a]))
                cut[a][b] = true;
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

static void crash_one(struct sim *s, unsigned i)
{
    struct sim_machine *m = &s->machines[i];
    if (!m->node)
        return;
    machine_crash(s, m);
    sim_at(s, prng_between(&s->prng, 1000, 2500000), (struct sim_event){.kind = SIM_RESTART, .who = i});
}

static void crash_all(struct sim *s)
{
    for (unsigned i = 0; i < s->n_machines; i++)
        crash_one(s, i);
}

static void heal(struct sim *s)
{
    memset(s->network.cut, 0, sizeof(s->network.cut));
    for (unsigned i = 0; i < s->n_machines; i++)
        s->machines[i].slow_disk = false;
    sim_trace(s, "network heals");
}

static void one_fault(struct sim *s)
{
    switch (prng_below(&s->prng, 12)) {
    case 0: case 1: crash_one(s, (unsigned)prng_below(&s->prng, s->n_machines)); break;
    case 2: crash_one(s, 0); break;
    case 3: if (prng_chance(&s->prng, 1, 3)) crash_all(s); break;
    case 4: partition(s); break;
    case 5: isolate(s); break;
    case 6: s->machines[prng_below(&s->prng, s->n_machines)].slow_disk = true; break;
    case 7: case 8: heal(s); break;
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
    n->spike_us = prng_between(&s->prng, 1000, 2000000);
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
    network_heal(s);
    heal(s);
    for (unsigned i = 0; i < s->n_machines; i++)
        if (!s->machines[i].node)
            machine_boot(s, &s->machines[i]);
}
