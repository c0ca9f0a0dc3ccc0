/* Faults that wait for their moment: each script here makes one class of bug likely that moments drawn at random would hardly ever
 * meet. A seed plays some of them (swarm).
 *
 *   overthrow   who begins to lead loses its group at once, but not its clients: tails that nobody else has, of many terms
 *   outlive     a leader whose followers' answers come late is replaced, and goes on hearing what they said before
 *   blind       a machine that hears nothing of the controllers any more, for the whole run
 *   at_steps    when a shard's move takes a step, one of those who take part stands still, crashes or is cut off
 *   hasty       in the moment in which a move is decided, its destination stands still, and the shard is to move on. What comes of it is drawn
 *               from the seed alone: other seeds go on as they did */
#include "tests/sim/sim.h"

#define NEXT_MOVE_US 3000000u  /* for the move to be decided */
#define NEXT_MOVE_LOOK_US 1000u
#define NEXT_MOVE_PAUSE_US 1000000u
#define SLOWER_US 100000u /* per step: less than an election timeout, or the leader would step down */

enum script { SCRIPT_SLOWER, SCRIPT_REPLACED, SCRIPT_ALONE, SCRIPT_OVER, SCRIPT_NEXT_MOVE };

static void script_later(struct sim *s, uint64_t us, enum script script, unsigned machine, unsigned left)
{
    sim_at(s, us, (struct sim_event){.kind = SIM_DIRECTED, .who = machine, .from = left, .replica = script});
}

static void hears_nobody(struct sim *s, unsigned machine, bool cut_off, bool deaf)
{
    for (unsigned b = 0; b < s->n_machines; b++)
        if (b != machine) {
            s->network.cut[machine][b] = cut_off;
            s->network.cut[b][machine] = cut_off && deaf;
        }
}

/* ---- blind ---- */

void directed_healed(struct sim *s)
{
    unsigned one = s->directed.blind_machine;
    for (unsigned c = 0; s->directed.blind && c < s->n_controllers; c++)
        s->network.cut[one][c] = s->network.cut[c][one] = true;
}

/* ---- outlive ---- */

static struct sim_machine *leader_of_shards(struct sim *s)
{
    unsigned first = (unsigned)prng_below(&s->prng, s->n_machines);
    for (unsigned i = 0; i < s->n_machines; i++) {
        struct sim_machine *m = &s->machines[(first + i) % s->n_machines];
        if (machine_leads(m, 0))
            return m;
    }
    return NULL;
}

void directed_outlive(struct sim *s)
{
    struct sim_machine *m = leader_of_shards(s);
    if (!m)
        return;
    sim_trace(s, "%s hears late", m->addr);
    s->counts.directed++;
    script_later(s, 0, SCRIPT_SLOWER, m->index, (unsigned)prng_between(&s->prng, 3, 9));
}

static void slower(struct sim *s, unsigned machine, unsigned left)
{
    for (unsigned b = 0; b < s->n_machines; b++)
        if (b != machine)
            s->network.slow_us[b][machine] += SLOWER_US;
    if (left)
        script_later(s, 2 * SLOWER_US, SCRIPT_SLOWER, machine, left - 1);
    else
        script_later(s, prng_below(&s->prng, 300000), SCRIPT_REPLACED, machine, 0);
}

static void replaced(struct sim *s, unsigned machine)
{
    sim_trace(s, "n%u is not heard any more, but hears", machine);
    hears_nobody(s, machine, true, false);
    ghosts_trickle(s, machine);
    script_later(s, prng_between(&s->prng, 800000, 2000000), SCRIPT_OVER, machine, 0);
}

static void over(struct sim *s, unsigned machine)
{
    sim_trace(s, "n%u is whole again", machine);
    for (unsigned b = 0; b < s->n_machines; b++)
        s->network.slow_us[b][machine] = 0;
    hears_nobody(s, machine, false, false);
    directed_healed(s);
}

/* ---- overthrow ---- */

/* By all, or by all but one: then that one takes what the others do not, and stays away longer. */
static void left_alone(struct sim *s, unsigned machine)
{
    unsigned with = (unsigned)prng_below(&s->prng, s->n_machines);
    bool follower = with != machine && prng_chance(&s->prng, 1, 2);
    sim_trace(s, "n%u leads, and is left alone%s", machine, follower ? " with another" : "");
    memset(s->network.cut, 0, sizeof(s->network.cut));
    directed_healed(s);
    hears_nobody(s, machine, true, true);
    script_later(s, prng_between(&s->prng, 200000, 1500000), SCRIPT_OVER, machine, 0);
    if (!follower)
        return;
    hears_nobody(s, with, true, true);
    s->network.cut[machine][with] = s->network.cut[with][machine] = false;
    script_later(s, prng_between(&s->prng, 500000, 5000000), SCRIPT_OVER, with, 0);
}

void directed_leader(struct sim *s, struct sim_machine *m)
{
    if (!s->directed.overthrow || !prng_chance(&s->prng, 1, 3))
        return;
    s->counts.directed++;
    if (prng_chance(&s->prng, 1, 2))
        left_alone(s, m->index);
    else
        script_later(s, prng_below(&s->prng, 600000), SCRIPT_ALONE, m->index, 0);
}

/* ---- at steps ---- */

static struct sim_machine *victim(struct sim *s, struct sim_machine *seen_at, uint64_t gid)
{
    struct sim_machine *leader = NULL;
    for (unsigned i = 0; i < s->n_machines; i++)
        if (machine_leads(&s->machines[i], gid))
            leader = &s->machines[i];
    return leader && prng_chance(&s->prng, 3, 4) ? leader : seen_at;
}

static void hurt(struct sim *s, struct sim_machine *m)
{
    switch (prng_below(&s->prng, 4)) {
    case 0: machine_end_soon(s, m, true); break;
    case 1:
        hears_nobody(s, m->index, true, true);
        script_later(s, prng_between(&s->prng, 300000, 2500000), SCRIPT_OVER, m->index, 0);
        break;
    default: machine_pause(s, m, prng_between(&s->prng, 300000, 2500000)); break;
    }
}

/* ---- hasty ---- */

static uint64_t drawn_from_seed(const struct sim *s, uint64_t what)
{
    const uint64_t of[] = {s->seed, what};
    return hash64_seeded(bytes_of(of, sizeof(of)), 3);
}

static void next_move_waits(struct sim *s, uint64_t gid, uint32_t shard)
{
    struct sim_directed *d = &s->directed;
    if (!d->hasty || d->next_move.until_us || drawn_from_seed(s, s->now_us) % 2)
        return;
    d->next_move = (typeof(d->next_move)){.gid = gid, .shard = shard, .until_us = s->now_us + NEXT_MOVE_US};
    script_later(s, 0, SCRIPT_NEXT_MOVE, 0, 0);
}

static bool is_decided(struct sim *s)
{
    const struct ctrl_view *v = caller_newest_view(s);
    const struct ctrl_shard *p = v && s->directed.next_move.shard < v->nshards ? &v->shards[s->directed.next_move.shard] : NULL;
    return p && p->holder == s->directed.next_move.gid && !p->target;
}

/* The index of group gid; or the number of groups. */
static unsigned group_index(const struct sim *s, uint64_t gid)
{
    unsigned i = 0;
    while (i < s->n_groups && s->groups[i].gid != gid)
        i++;
    return i;
}

static void group_stands_still(struct sim *s, uint64_t gid)
{
    unsigned g = group_index(s, gid);
    for (unsigned i = 0; g < s->n_groups && i < s->groups[g].n; i++)
        machine_pause(s, &s->machines[s->groups[g].first + i], NEXT_MOVE_PAUSE_US);
}

/* To the next group that has joined. True: there is none, or it is ordered. */
static bool moved_on(struct sim *s)
{
    unsigned g = group_index(s, s->directed.next_move.gid);
    for (unsigned k = 1; k < s->n_groups; k++)
        if (s->groups[(g + k) % s->n_groups].joined)
            return caller_admin_move(s, s->directed.next_move.shard, s->groups[(g + k) % s->n_groups].gid);
    return true;
}

static void next_move(struct sim *s)
{
    struct sim_directed *d = &s->directed;
    if (!d->next_move.decided && is_decided(s)) {
        sim_trace(s, "shard %u is group %llu's, which stands still, and is to move on", d->next_move.shard,
                  (unsigned long long)d->next_move.gid);
        s->counts.directed++;
        d->next_move.decided = true;
        d->next_move.until_us = s->now_us + NEXT_MOVE_PAUSE_US;
        group_stands_still(s, d->next_move.gid);
    }
    if (s->now_us >= d->next_move.until_us || (d->next_move.decided && moved_on(s)))
        d->next_move.until_us = 0;
    else
        script_later(s, NEXT_MOVE_LOOK_US, SCRIPT_NEXT_MOVE, 0, 0);
}

/* A frozen shard's source may get another leader while its destination stands still. */
void directed_shard(struct sim *s, struct sim_machine *m, uint64_t gid, uint32_t shard, enum kv_shard_state now)
{
    if (now == KV_PREPARED)
        next_move_waits(s, gid, shard);
    if (!s->directed.at_steps || !prng_chance(&s->prng, 1, 6))
        return;
    s->counts.directed++;
    sim_trace(s, "group %llu: shard %u is %s: something happens", (unsigned long long)gid, shard, kv_shard_state_name(now));
    hurt(s, victim(s, m, gid));
    for (unsigned i = 0; i < s->n_groups && prng_chance(&s->prng, 1, 2); i++)
        if (s->groups[i].gid != gid)
            hurt(s, victim(s, m, s->groups[i].gid));
}

/* ---- all of them ---- */

void directed_begin(struct sim *s)
{
    struct sim_directed *d = &s->directed;
    d->overthrow = prng_chance(&s->prng, 1, 4);
    d->outlive = prng_chance(&s->prng, 1, 2);
    d->at_steps = prng_chance(&s->prng, 1, 3);
    d->blind = s->n_machines > s->n_controllers && prng_chance(&s->prng, 1, 4);
    if (d->blind)
        d->blind_machine = (unsigned)prng_between(&s->prng, s->n_controllers, s->n_machines - 1);
    d->hasty = drawn_from_seed(s, 0) % 4 == 0;
    directed_healed(s);
}

void directed_event(struct sim *s, const struct sim_event *e)
{
    if (!s->faults_on)
        return;
    switch ((enum script)e->replica) {
    case SCRIPT_SLOWER: slower(s, e->who, e->from); break;
    case SCRIPT_REPLACED: replaced(s, e->who); break;
    case SCRIPT_ALONE: left_alone(s, e->who); break;
    case SCRIPT_OVER: over(s, e->who); break;
    case SCRIPT_NEXT_MOVE: next_move(s); break;
    }
}
