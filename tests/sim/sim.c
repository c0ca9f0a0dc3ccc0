/* One run: found a cluster, join a group, let faults and clients loose, heal, and see that all is right and goes on. */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>

#define START_US 20000000u     /* founding and the first join must be over by then */
#define CATCH_UP_US 40000000u  /* an abandoned snapshot is given up after 30 s */
#define LIVENESS_US 60000000u  /* … and everything that waits, after healing */

void sim_fail(struct sim *s, const char *format, ...)
{
    va_list args;
    if (s->failed)
        return;
    s->failed = true;
    va_start(args, format);
    vsnprintf(s->failure, sizeof(s->failure), format, args);
    va_end(args);
}

void sim_trace(struct sim *s, const char *format, ...)
{
    char *line = s->ring[s->ring_at++ % SIM_RING];
    va_list args;
    int at = snprintf(line, sizeof(s->ring[0]), "%10.6f ", (double)s->now_us / 1e6);
    va_start(args, format);
    vsnprintf(line + at, sizeof(s->ring[0]) - (size_t)at, format, args);
    va_end(args);
    if (s->verbose)
        fprintf(stderr, "%s\n", line);
}

void sim_at(struct sim *s, uint64_t delay_us, struct sim_event e)
{
    e.at_us = s->now_us + delay_us;
    sim_heap_push(&s->heap, e);
}

static void group_init(struct sim *s, unsigned first, unsigned members)
{
    s->groups[s->n_groups].gid = 101 + s->n_groups;
    s->groups[s->n_groups].first = first;
    s->groups[s->n_groups++].n = members;
}

/* Side by side; what is left over makes a smaller one, and the last may share machines with the first. */
static void groups_init(struct sim *s, unsigned members)
{
    unsigned first = s->n_machines % members == 1 ? 1 : 0;
    if (first)
        group_init(s, 0, 1);
    for (; first + members <= s->n_machines && s->n_groups < 3; first += members)
        group_init(s, first, members);
    if (members == 5)
        group_init(s, s->n_machines - 3, 3);
}

static void setup_draw(struct sim *s)
{
    static const struct { unsigned controllers, machines, members; } sizes[] = {{3, 3, 3}, {3, 6, 3}, {1, 4, 3}, {3, 9, 3}, {3, 6, 3},
                                                                                {5, 8, 3}, {3, 5, 5}, {5, 9, 5}};
    unsigned shape = (unsigned)prng_below(&s->prng, ARRAY_LEN(sizes));
    s->n_controllers = sizes[shape].controllers;
    s->n_machines = sizes[shape].machines;
    s->n_callers = (unsigned)prng_between(&s->prng, 3, 6);
    s->nshards = (uint32_t)prng_between(&s->prng, 1, SIM_NSHARDS_MAX);
    s->snapshot_bytes = prng_chance(&s->prng, 1, 4) ? -1 : (int64_t)prng_between(&s->prng, 1, 6000);
    s->chunk_bytes = prng_chance(&s->prng, 1, 3) ? 0 : (uint32_t)prng_between(&s->prng, 100, 3000);
    s->append_entries_max = prng_chance(&s->prng, 1, 2) ? 0 : (unsigned)prng_between(&s->prng, 1, 6);
    s->network.delay_min_us = prng_between(&s->prng, 20, 300);
    s->network.delay_max_us = s->network.delay_min_us + prng_below(&s->prng, 5000);
    s->big_bytes = prng_chance(&s->prng, 1, 8) ? 66000 : 0;
    if (s->big_bytes && s->chunk_bytes) /* else a shard of them takes minutes, for a copy rests between its pieces */
        s->chunk_bytes = MAX(s->chunk_bytes, 1000);
    groups_init(s, sizes[shape].members);
}

static struct sim *sim_blank(uint64_t seed, bool verbose)
{
    struct sim *s = mem_zalloc(sizeof(*s));
    s->seed = seed;
    s->verbose = verbose;
    s->truth = truth_new();
    prng_init(&s->prng, seed);
    return s;
}

static void machines_and_callers(struct sim *s)
{
    for (unsigned i = 0; i < s->n_machines; i++)
        machine_init(s, i, i < s->n_controllers);
    for (unsigned i = 0; i < s->n_machines; i++)
        sim_at(s, prng_below(&s->prng, 500000), (struct sim_event){.kind = SIM_RESTART, .who = i});
    for (unsigned i = 0; i < s->n_callers; i++)
        caller_init(s, i, i == 0);
}

struct sim *sim_new(uint64_t seed, bool verbose)
{
    struct sim *s = sim_blank(seed, verbose);
    setup_draw(s);
    machines_and_callers(s);
    return s;
}

/* Three controllers, and two groups of three on machines of their own; one shard, copied in small pieces. */
struct sim *sim_new_for_a_move(uint64_t seed, bool verbose)
{
    struct sim *s = sim_blank(seed, verbose);
    s->n_controllers = 3;
    s->n_machines = 9;
    s->n_callers = 4;
    s->nshards = 1;
    s->snapshot_bytes = 4000;
    s->chunk_bytes = 700;
    s->network.delay_min_us = 100;
    s->network.delay_max_us = 600;
    group_init(s, 3, 3);
    group_init(s, 6, 3);
    machines_and_callers(s);
    return s;
}

/* Three controllers, and groups of three beside them; ten shards. All callers are told what to do, request by request. */
struct sim *sim_new_for_a_scenario(uint64_t seed, unsigned machines, int64_t snapshot_bytes, struct bed *b, bool verbose)
{
    struct sim *s = sim_blank(seed, verbose);
    s->bed = b;
    s->n_controllers = 3;
    s->n_machines = machines;
    s->n_callers = 6;
    s->nshards = 10;
    s->snapshot_bytes = snapshot_bytes;
    s->chunk_bytes = prng_chance(&s->prng, 1, 2) ? 0 : (uint32_t)prng_between(&s->prng, 300, 3000);
    s->network.delay_min_us = 50;
    s->network.delay_max_us = prng_between(&s->prng, 200, 3000);
    machines_and_callers(s);
    return s;
}

void sim_free(struct sim *s)
{
    for (unsigned i = 0; i < s->n_machines; i++)
        machine_release(s, &s->machines[i]);
    for (unsigned i = 0; i < s->n_callers; i++)
        caller_release(&s->callers[i]);
    ghosts_end(s);
    sim_heap_release(&s->heap);
    sim_parcels_release(&s->parcels);
    history_release(&s->history);
    truth_free(s->truth);
    bed_free(s->bed);
    mem_free(s);
}

static void frame_event(struct sim *s, const struct sim_event *e)
{
    bool cut = s->network.cut[e->from][e->who] && !s->network.late_mail;
    if (!cut && e->who < SIM_MACHINES_MAX)
        machine_frame(s, &s->machines[e->who], e->from, &e->parcel->msg);
    else if (!cut)
        caller_frame(s, &s->callers[e->who - SIM_MACHINES_MAX], e->from, &e->parcel->msg);
}

static void happen(struct sim *s, const struct sim_event *e)
{
    uint64_t what[] = {e->at_us, e->kind, e->who, e->from, e->parcel ? e->parcel->hash : 0};
    s->hash = hash64_seeded(bytes_of(what, sizeof(what)), s->hash);
    switch (e->kind) {
    case SIM_TICK: case SIM_COLLECT: case SIM_DISK: case SIM_SAVED: case SIM_FLUSHED: case SIM_TRIMMED: case SIM_WARMED: case SIM_CHUNK: case SIM_MANIFEST: case SIM_END: case SIM_CLOSED: case SIM_RESTART:
        machine_event(s, e);
        break;
    case SIM_FRAME: frame_event(s, e); break;
    case SIM_LINK: case SIM_CALLER_TICK: case SIM_CALLER_OP: caller_event(s, e); break;
    case SIM_FAULT: faults_event(s, e); break;
    case SIM_DIRECTED: directed_event(s, e); break;
    case SIM_MEMBERS: members_event(s); break;
    }
}

/* Until the time, or until `over` says so. */
bool sim_until(struct sim *s, uint64_t until_us, bool (*over)(struct sim *s))
{
    struct sim_event e;
    unsigned steps = 0;
    while (!s->failed && s->heap.n && s->heap.events[0].at_us <= until_us) {
        sim_heap_pop(&s->heap, &e);
        s->now_us = e.at_us;
        if (machine_deferred(s, &e))
            continue;
        happen(s, &e);
        sim_parcel_unref(e.parcel);
        if (over && ++steps % 64 == 0 && over(s))
            return true;
    }
    if (!s->failed)
        s->now_us = until_us;
    return !over && !s->failed;
}

static bool admin_free(struct sim *s) { return caller_quiet(&s->callers[0]) && s->callers[0].done > 0; }
static bool joined(struct sim *s) { return admin_free(s) && caller_settled(s); }

static bool all_quiet(struct sim *s)
{
    for (unsigned i = 0; i < s->n_callers; i++)
        if (!caller_quiet(&s->callers[i]))
            return false;
    for (unsigned i = 0; i < SIM_KEYS; i++)
        if (s->last_reads[i].busy)
            return false;
    return caller_settled(s) && members_settled(s);
}

bool sim_found(struct sim *s)
{
    caller_admin_join(s, s->groups[0].gid);
    bool fine = sim_until(s, s->now_us + START_US, joined);
    work_prepare(s);
    if (fine && sim_until(s, s->now_us + START_US, work_prepared))
        return true;
    sim_fail(s, "no cluster was founded, or no group joined, within %u s", START_US / 1000000);
    return false;
}

static bool anybody_holds(const struct sim *s)
{
    for (unsigned i = 0; i < s->n_groups; i++)
        if (s->groups[i].joined)
            return true;
    return false;
}

/* All that waits must end, once nothing goes wrong any more. */
static bool calm_down(struct sim *s)
{
    for (unsigned i = 0; i < s->n_callers; i++)
        s->callers[i].idle = true;
    faults_end(s);
    if (!anybody_holds(s) && caller_quiet(&s->callers[0]))
        caller_admin_join(s, s->groups[0].gid);
    if (sim_until(s, s->now_us + LIVENESS_US / 2, all_quiet))
        return true;
    machines_told(s);
    if (sim_until(s, s->now_us + LIVENESS_US / 2, all_quiet))
        return true;
    if (!s->failed) {
        unsigned waiting = 0;
        char why[160];
        caller_unsettled(s, why, sizeof(why));
        for (unsigned i = 0; i < s->n_callers; i++)
            waiting += !caller_quiet(&s->callers[i]);
        struct buf who = {0};
        members_tell(s, &who);
        sim_fail(s, "%u s after healing %u callers still wait, and the placement is %s%.*s", LIVENESS_US / 1000000, waiting,
                 why, (int)who.len, (const char *)who.data);
        buf_release(&who);
    }
    return false;
}

static bool final_reads(struct sim *s)
{
    work_read_everything(s);
    if (sim_until(s, s->now_us + LIVENESS_US, all_quiet))
        return true;
    sim_fail(s, "the last reads were not answered");
    return false;
}

/* What every run ends with: all that waits is answered, everybody has caught up, and what clients saw has an order. */
bool sim_end(struct sim *s)
{
    struct buf why = {0};
    if (!s->failed && calm_down(s) && final_reads(s)) {
        if (!sim_until(s, s->now_us + CATCH_UP_US, truth_caught_up))
            sim_fail(s, "%u s after the last operation a member has not caught up with its group", CATCH_UP_US / 1000000);
        truth_check_equal_state(s);
        if (!sim_until(s, s->now_us + CATCH_UP_US, values_over))
            sim_fail(s, "%u s after the last operation a rename to another shard has not ended", CATCH_UP_US / 1000000);
    }
    if (!s->failed && !history_check(&s->history, &why))
        sim_fail(s, "not linearizable: %.*s", (int)why.len, (const char *)why.data);
    buf_release(&why);
    s->counts.elections = truth_elections(s->truth);
    s->counts.virtual_us = s->now_us;
    return !s->failed;
}

bool sim_run(struct sim *s, uint64_t fault_us)
{
    if (sim_found(s)) {
        faults_begin(s);
        sim_until(s, s->now_us + fault_us, NULL);
    }
    return sim_end(s);
}
