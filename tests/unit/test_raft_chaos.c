/* Random histories over many seeds: first anything may happen, then everything heals and the group must live. */
#include "tests/unit/raft_cluster.h"

#include <stdio.h>
#include <stdlib.h>

struct chaos {
    struct cluster *c;
    unsigned nodes;
    unsigned text;
};

static unsigned any_node(struct chaos *x) { return 1 + (unsigned)prng_below(cluster_prng(x->c), x->nodes); }

static void network_disturb(struct chaos *x)
{
    struct prng *p = cluster_prng(x->c);
    unsigned a = any_node(x), b = any_node(x);
    switch (prng_below(p, 6)) {
    case 0:
        cluster_isolate(x->c, a);
        break;
    case 1:
        if (a != b)
            cluster_cut(x->c, a, b, true);
        break;
    default:
        cluster_connect(x->c, a);
        break;
    }
}

static void node_disturb(struct chaos *x)
{
    struct prng *p = cluster_prng(x->c);
    unsigned a = any_node(x);
    switch (prng_below(p, 5)) {
    case 0:
        cluster_crash(x->c, a);
        break;
    case 1:
        cluster_pause(x->c, a, cluster_raft(x->c, a) != NULL);
        break;
    case 2:
        cluster_pause(x->c, a, false);
        break;
    default:
        cluster_restart(x->c, a);
        break;
    }
}

static void config_disturb(struct chaos *x)
{
    struct prng *p = cluster_prng(x->c);
    unsigned leader = cluster_leader(x->c), i;
    if (!leader)
        return;
    struct raft_config config = *raft_config(cluster_raft(x->c, leader)), all = cluster_config(x->nodes, 0);
    i = (unsigned)prng_below(p, x->nodes);
    struct raft_member *known = NULL;
    for (unsigned k = 0; k < config.n; k++)
        if (config.members[k].id == i + 1)
            known = &config.members[k];
    if (!known) {
        config.members[config.n] = all.members[i];
        config.members[config.n++].voter = prng_chance(p, 1, 2);
    } else if (prng_chance(p, 1, 2)) {
        known->voter = !known->voter;
    } else if (raft_config_voters(&config) > 2) {
        *known = config.members[--config.n];
    }
    if (raft_config_voters(&config) >= 2)
        cluster_propose_config(x->c, leader, &config);
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

static void disturb(struct chaos *x, bool members)
{
    struct prng *p = cluster_prng(x->c);
    uint64_t dice = prng_below(p, 100);
    if (dice < 8)
        network_disturb(x);
    else if (dice < 15)
        node_disturb(x);
    else if (dice < 17 && members)
        config_disturb(x);
    else if (dice < 18 && cluster_leader(x->c))
        (void)!cluster_step(x->c, cluster_leader(x->c), (struct raft_input){.kind = RAFT_TRANSFER});
    else if (dice < 60)
        work(x);
    cluster_run(x->c, prng_below(p, 20 * MS));
}

static void live_again(struct chaos *x)
{
    cluster_heal(x->c);
    uint64_t index = cluster_agree(x->c, "healed", 1);
    unsigned leader = cluster_leader(x->c);
    const struct raft_config *config = raft_config(cluster_raft(x->c, leader));
    for (unsigned i = 0; i < config->n; i++)
        for (unsigned wait = 0; cluster_status(x->c, (unsigned)config->members[i].id).applied < index; wait++) {
            assert_true(wait < 1000);
            cluster_run(x->c, 10 * MS);
        }
    assert_true(cluster_read(x->c, cluster_leader(x->c)));
    cluster_run(x->c, 500 * MS);
}

static void chaos_run(uint64_t seed, unsigned steps, bool members, struct cluster_counts *sum)
{
    struct prng p;
    prng_init(&p, seed * 77);
    struct cluster_options o = {
        .nodes = members ? 5 : 3 + 2 * (unsigned)prng_below(&p, 2),
        .voters = members ? 3 : 0,
        .seed = seed,
        .lazy_collect = prng_chance(&p, 1, 2),
        .drop_percent = (unsigned)prng_below(&p, 20),
        .dup_percent = (unsigned)prng_below(&p, 20),
        .delay_us_max = 1 + prng_below(&p, 30 * MS),
        .sync_us_max = 1 + prng_below(&p, 10 * MS),
        .compact_every = prng_chance(&p, 1, 2) ? 5 + (unsigned)prng_below(&p, 40) : 0,
    };
    struct chaos x = {.c = cluster_new(&o), .nodes = o.nodes};
    for (unsigned i = 0; i < steps; i++)
        disturb(&x, members);
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
    seeds_run(200, 300, false);
}

static void membership_changes_in_the_middle_of_it_break_nothing(void **state)
{
    (void)state;
    seeds_run(120, 300, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_history_breaks_an_invariant_and_every_group_lives_again),
        cmocka_unit_test(membership_changes_in_the_middle_of_it_break_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
