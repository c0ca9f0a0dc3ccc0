/* What the network may do and hardly ever does by chance: old answers come when they hurt most, and what a leader sends is less than it might be.
 *
 *   acknowledgements   what was said to a machine when it led in an older term comes again when it has just begun to lead anew
 *   answers            who is not heard any more but hears: answers to its old heartbeats trickle in and nothing else does
 *   short              of the entries of an append some first ones arrive, as if the leader had sent no more: it might have */
#include "tests/sim/sim.h"

#define TRICKLE_US 60000u
#define TRICKLES 25u

void ghosts_begin(struct sim *s)
{
    struct sim_ghosts *g = &s->ghosts;
    prng_init(&g->prng, s->seed ^ UINT64_C(0x67686f737473));
    g->on = prng_chance(&g->prng, 1, 2);
    g->short_permille = prng_chance(&g->prng, 1, 4) ? (unsigned)prng_between(&g->prng, 5, 300) : 0;
}

static void ring_forget(struct sim_ghost_ring *r)
{
    for (unsigned i = 0; i < SIM_GHOSTS; i++)
        sim_parcel_unref(r->kept[i].parcel);
    *r = (struct sim_ghost_ring){0};
}

void ghosts_end(struct sim *s)
{
    for (unsigned i = 0; i < SIM_MACHINES_MAX; i++) {
        ring_forget(&s->ghosts.acks[i]);
        ring_forget(&s->ghosts.beats[i]);
    }
    s->ghosts.on = false;
    s->ghosts.short_permille = 0;
}

static void keep(struct sim_ghost_ring *r, unsigned from, struct sim_parcel *p)
{
    struct sim_ghost *at = &r->kept[r->next++ % SIM_GHOSTS];
    sim_parcel_unref(at->parcel);
    *at = (struct sim_ghost){.from = from, .parcel = p};
    p->refs++;
}

static void cut_short(struct sim *s, struct raft_message *m)
{
    if (!s->ghosts.short_permille || !m->n_entries || !prng_chance(&s->ghosts.prng, s->ghosts.short_permille, 1000))
        return;
    unsigned left = (unsigned)prng_below(&s->ghosts.prng, m->n_entries);
    for (unsigned i = left; i < m->n_entries; i++)
        blob_unref(m->entries[i].payload);
    m->n_entries = left;
    s->counts.shortened++;
}

void ghosts_sent(struct sim *s, unsigned from, unsigned to, struct sim_parcel *p)
{
    struct raft_message *m = &p->msg.raft.message;
    if (m->kind == RAFT_APPEND)
        cut_short(s, m);
    if (!s->ghosts.on || to >= SIM_MACHINES_MAX || from == to)
        return;
    if (m->kind == RAFT_APPEND_REPLY && !m->rejected)
        keep(&s->ghosts.acks[to], from, p);
    else if (m->kind == RAFT_HEARTBEAT_REPLY)
        keep(&s->ghosts.beats[to], from, p);
}

static void comes_again(struct sim *s, const struct sim_ghost *g, unsigned to, uint64_t us)
{
    if (!g->parcel)
        return;
    g->parcel->refs++;
    s->counts.ghosts++;
    sim_at(s, us, (struct sim_event){.kind = SIM_FRAME, .who = to, .from = g->from, .parcel = g->parcel});
}

void ghosts_leader(struct sim *s, const struct sim_machine *m)
{
    for (unsigned i = 0; s->ghosts.on && i < SIM_GHOSTS; i++)
        if (prng_chance(&s->ghosts.prng, 1, 2))
            comes_again(s, &s->ghosts.acks[m->index].kept[i], m->index, prng_below(&s->ghosts.prng, 400000));
}

void ghosts_trickle(struct sim *s, unsigned machine)
{
    for (unsigned k = 0; s->ghosts.on && k < TRICKLES; k++)
        for (unsigned i = 0; i < SIM_GHOSTS; i++)
            if (prng_chance(&s->ghosts.prng, 1, 4))
                comes_again(s, &s->ghosts.beats[machine].kept[i], machine, k * TRICKLE_US + prng_below(&s->ghosts.prng, TRICKLE_US));
}
