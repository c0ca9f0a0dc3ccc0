/* Random histories over many seeds: first anything may happen, then everything heals and the group must live. */
#include "tests/unit/raft_cluster.h"

#include <stdio.h>
#include <stdlib.h>

enum act {
    ACT_ISOLATE_LEADER, ACT_ISOLATE, ACT_CUT, ACT_CONNECT, ACT_CONNECT_ALL,
    ACT_CRASH_LEADER, ACT_CRASH_BUSY, ACT_CRASH, ACT_RESTART, ACT_RESTART_ALL,
    ACT_PAUSE_LEADER, ACT_RESUME, ACT_CONFIG, ACT_TRANSFER, ACT_WORK, ACT_WAIT, ACTS
};

struct chaos {
    struct cluster *c;
    unsigned nodes;
    unsigned text;
    unsigned weights[ACTS]; /* every seed has its own taste */
};

static unsigned any_node(struct chaos *x) { return 1 + (unsigned)prng_below(cluster_prng(x->c), x->nodes); }

static unsigned leader_or_any(struct chaos *x)
{
    unsigned leader = cluster_leader(x->c);
    return leader ? leader : any_node(x);
}

static void work(struct chaos *x)
{
    char text[32];
    for (unsigned i = 1; i <= x->nodes; i++) {
        snprintf(text, sizeof(text), "x%u", x->text++);
        cluster_propose(x->c, i, text);
        cluster_read(x->c, i);
    }
}

static void member_change(struct chaos *x, struct raft_config *config)
{
    struct prng *p = cluster_prng(x->c);
    unsigned id = any_node(x), at = 0;
    while (at < config->n && config->members[at].id != id)
        at++;
    if (at == config->n) {
        config->members[config->n] = cluster_config(x->nodes, 0).members[id - 1];
        config->members[config->n++].voter = prng_chance(p, 1, 2);
    } else if (prng_chance(p, 1, 2)) {
        config->members[at].voter = !config->members[at].voter;
    } else {
        config->members[at] = config->members[--config->n];
    }
}

static void config_change(struct chaos *x)
{
    for (unsigned i = 1; i <= x->nodes; i++) {
        if (cluster_status(x->c, i).role != RAFT_LEADER)
            continue;
        struct raft_config config = *raft_config(cluster_raft(x->c, i));
        member_change(x, &config);
        if (raft_config_voters(&config) >= 2)
            cluster_propose_config(x->c, i, &config);
    }
}

static void crash_busy(struct chaos *x)
{
    for (unsigned i = 1; i <= x->nodes; i++)
        if (cluster_unsynced(x->c, i) && prng_chance(cluster_prng(x->c), 1, 2))
            cluster_crash(x->c, i);
}

static void everybody(struct chaos *x, void (*act)(struct cluster *c, unsigned node))
{
    for (unsigned i = 1; i <= x->nodes; i++)
        act(x->c, i);
}

static void cut_one_way(struct chaos *x)
{
    unsigned a = any_node(x), b = any_node(x);
    if (a != b)
        cluster_cut(x->c, a, b, true);
}

/* A leader that slept is asked before it knows that it slept. */
static void resume_and_work(struct chaos *x)
{
    for (unsigned i = 1; i <= x->nodes; i++)
        cluster_pause(x->c, i, false);
    work(x);
}

static void transfer(struct chaos *x)
{
    struct raft_input input = {.kind = RAFT_TRANSFER};
    if (cluster_leader(x->c))
        (void)!cluster_step(x->c, cluster_leader(x->c), input);
}

static void act_do(struct chaos *x, enum act act)
{
    switch (act) {
    case ACT_ISOLATE_LEADER: cluster_isolate(x->c, leader_or_any(x)); break;
    case ACT_ISOLATE: cluster_isolate(x->c, any_node(x)); break;
    case ACT_CUT: cut_one_way(x); break;
    case ACT_CONNECT: cluster_connect(x->c, any_node(x)); break;
    case ACT_CONNECT_ALL: everybody(x, cluster_connect); break;
    case ACT_CRASH_LEADER: cluster_crash(x->c, leader_or_any(x)); break;
    case ACT_CRASH_BUSY: crash_busy(x); break;
    case ACT_CRASH: cluster_crash(x->c, any_node(x)); break;
    case ACT_RESTART: cluster_restart(x->c, any_node(x)); break;
    case ACT_RESTART_ALL: everybody(x, cluster_restart); break;
    case ACT_PAUSE_LEADER: cluster_pause(x->c, leader_or_any(x), true); break;
    case ACT_RESUME: resume_and_work(x); break;
    case ACT_CONFIG: config_change(x); break;
    case ACT_TRANSFER: transfer(x); break;
    case ACT_WORK: work(x); break;
    case ACT_WAIT: cluster_run(x->c, prng_below(cluster_prng(x->c), 200 * MS)); break;
    case ACTS: break;
    }
}

static void weights_choose(struct chaos *x, bool members)
{
    for (unsigned i = 0; i < ACTS; i++)
        x->weights[i] = (unsigned)prng_below(cluster_prng(x->c), 8);
    x->weights[ACT_WORK] += 6;
    x->weights[ACT_WAIT] += 2;
    x->weights[ACT_CONNECT_ALL] += 2;
    x->weights[ACT_RESTART_ALL] += 2;
    x->weights[ACT_RESUME] += 1;
    if (!members)
        x->weights[ACT_CONFIG] = 0;
}

static void disturb(struct chaos *x)
{
    struct prng *p = cluster_prng(x->c);
    unsigned sum = 0, act = 0;
    for (unsigned i = 0; i < ACTS; i++)
        sum += x->weights[i];
    for (uint64_t dice = prng_below(p, sum); dice >= x->weights[act]; act++)
        dice -= x->weights[act];
    act_do(x, act);
    if (prng_chance(p, 2, 3))
        cluster_run(x->c, prng_below(p, 12 * MS));
}

/* In a healed group every member of the configuration catches up, and reads are answered. */
static void live_again(struct chaos *x)
{
    cluster_heal(x->c);
    uint64_t index = cluster_agree(x->c, "healed", 1);
    struct raft_config config = *raft_config(cluster_raft(x->c, cluster_wait_leader(x->c)));
    for (unsigned i = 0; i < config.n; i++)
        for (unsigned wait = 0; cluster_status(x->c, (unsigned)config.members[i].id).applied < index; wait++) {
            cluster_check(x->c, wait < 1000, "a member never catches up");
            cluster_run(x->c, 10 * MS);
        }
    uint64_t reads = cluster_counts(x->c)->reads;
    for (unsigned wait = 0; cluster_counts(x->c)->reads == reads; wait++) {
        cluster_check(x->c, wait < 100, "no read is answered");
        cluster_read(x->c, cluster_wait_leader(x->c));
        cluster_run(x->c, 20 * MS);
    }
}

static void chaos_run(uint64_t seed, unsigned steps, bool members, struct cluster_counts *sum)
{
    struct prng p;
    prng_init(&p, seed * 77);
    struct cluster_options o = {
        .nodes = members ? 5 : 3 + 2 * (unsigned)prng_below(&p, 2),
        .voters = members ? 3 : 0,
        .seed = seed,
        .election_us = 40 * MS,
        .heartbeat_us = 10 * MS,
        .lazy_collect = prng_chance(&p, 1, 2),
        .drop_percent = (unsigned)prng_below(&p, 20),
        .dup_percent = (unsigned)prng_below(&p, 20),
        .delay_us_max = 1 + prng_below(&p, 15 * MS),
        .sync_us_max = 1 + prng_below(&p, 10 * MS),
        .compact_every = prng_chance(&p, 1, 2) ? 5 + (unsigned)prng_below(&p, 40) : 0,
    };
    struct chaos x = {.c = cluster_new(&o), .nodes = o.nodes};
    weights_choose(&x, members);
    for (unsigned i = 0; i < steps; i++)
        disturb(&x);
    live_again(&x);
    const struct cluster_counts *n = cluster_counts(x.c);
    sum->messages += n->messages;
    sum->elections += n->elections;
    sum->crashes += n->crashes;
    sum->snapshots += n->snapshots;
    sum->reads += n->reads;
    sum->reads_failed += n->reads_failed;
    cluster_free(x.c);
}

static void seeds_run(unsigned n, unsigned steps, bool members)
{
    const char *one = getenv("RAFT_SEED"), *more = getenv("RAFT_SEEDS");
    struct cluster_counts sum = {0};
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    uint64_t count = one ? 1 : more ? strtoull(more, NULL, 10) : n;
    for (uint64_t seed = first; seed < first + count; seed++)
        chaos_run(seed, steps, members, &sum);
    print_message("%llu seeds: %llu messages, %llu elections, %llu crashes, %llu snapshots, %llu reads, %llu failed\n",
                  (unsigned long long)count, (unsigned long long)sum.messages, (unsigned long long)sum.elections,
                  (unsigned long long)sum.crashes, (unsigned long long)sum.snapshots,
                  (unsigned long long)sum.reads, (unsigned long long)sum.reads_failed);
    assert_true(one || (sum.elections > count && sum.crashes > count && sum.reads > count && sum.snapshots > 0));
}

static void no_history_breaks_an_invariant_and_every_group_lives_again(void **state)
{
    (void)state;
    seeds_run(1200, 300, false);
}

static void membership_changes_in_the_middle_of_it_break_nothing(void **state)
{
    (void)state;
    seeds_run(1200, 300, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_history_breaks_an_invariant_and_every_group_lives_again),
        cmocka_unit_test(membership_changes_in_the_middle_of_it_break_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
