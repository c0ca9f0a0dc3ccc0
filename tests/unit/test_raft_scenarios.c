/* The raft scenarios of the floor (MIT 6.824's suite, restated), by number, each over several seeds. Indexes are
 * counted, so leaders append no entry of their own unless snapshots are the point. */
#include "tests/unit/raft_cluster.h"

#include <stdio.h>
#include <stdlib.h>

#define E (ELECTION_US * 2) /* within this a quorum that can talk has a leader, nearly always */
#define SEEDS (getenv("RGKVFS_FULL") ? 1000u : 25u)

static struct cluster *group(unsigned nodes, uint64_t seed)
{
    struct cluster_options o = {.nodes = nodes, .seed = seed, .no_noop = true, .delay_us_max = 2 * MS, .sync_us_max = MS};
    return cluster_new(&o);
}

static struct cluster *group_unreliable(unsigned nodes, uint64_t seed)
{
    struct cluster *c = group(nodes, seed);
    struct cluster_options *o = cluster_settings(c);
    o->drop_percent = 19; /* a lost request or a lost reply */
    o->dup_percent = 5;
    o->delay_us_max = 26 * MS;
    return c;
}

#define SCENARIO(name) \
    static void name##_seed(uint64_t seed); \
    static void name(void **state) \
    { \
        (void)state; \
        for (uint64_t seed = 1; seed <= SEEDS; seed++) \
            name##_seed(seed); \
    } \
    static void name##_seed(uint64_t seed)

static const char *text(char *to, const char *what, unsigned number)
{
    snprintf(to, 32, "%s%u", what, number);
    return to;
}

static unsigned other(struct cluster *c, unsigned node)
{
    return node % cluster_settings(c)->nodes + 1;
}

static unsigned nodes_of(struct cluster *c) { return cluster_settings(c)->nodes; }

static void agree_many(struct cluster *c, const char *what, unsigned n, unsigned nodes)
{
    char t[32];
    for (unsigned i = 0; i < n; i++)
        cluster_agree(c, text(t, what, i), nodes);
}

static void all_crash_and_restart(struct cluster *c)
{
    for (unsigned i = 1; i <= nodes_of(c); i++)
        cluster_crash(c, i);
    for (unsigned i = 1; i <= nodes_of(c); i++)
        cluster_restart(c, i);
}

SCENARIO(R1_an_idle_group_has_one_leader_and_keeps_it)
{
    struct cluster *c = group(3, seed);
    unsigned leader = cluster_wait_leader(c);
    uint64_t term = cluster_status(c, leader).term;
    cluster_run(c, 2000 * MS);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(cluster_status(c, i).term, term);
        assert_int_equal(cluster_status(c, i).leader, leader);
    }
    cluster_free(c);
}

SCENARIO(R2_a_lost_leader_is_replaced_steps_down_and_comes_back_harmless)
{
    struct cluster *c = group(3, seed);
    unsigned first = cluster_wait_leader(c);
    cluster_isolate(c, first);
    unsigned second = cluster_wait_leader(c);
    cluster_run(c, E);
    assert_int_not_equal(cluster_status(c, first).role, RAFT_LEADER);
    cluster_connect(c, first);
    cluster_run(c, 2 * E);
    assert_int_equal(cluster_leader(c), second);
    cluster_isolate(c, second);
    cluster_isolate(c, other(c, second));
    cluster_run(c, 2 * E);
    for (unsigned i = 1; i <= 3; i++)
        assert_int_not_equal(cluster_status(c, i).role, RAFT_LEADER);
    cluster_heal(c);
    cluster_wait_leader(c);
    cluster_free(c);
}

SCENARIO(R3_any_four_of_seven_elect_a_leader)
{
    struct cluster *c = group(7, seed);
    for (unsigned round = 0; round < 9; round++) {
        for (unsigned i = 0; i < 3; i++)
            cluster_isolate(c, 1 + (unsigned)prng_below(cluster_prng(c), 7));
        cluster_run(c, E);
        cluster_wait_leader(c);
        for (unsigned i = 1; i <= 7; i++)
            cluster_connect(c, i);
    }
    cluster_free(c);
}

SCENARIO(R4_indexes_are_1_2_3)
{
    struct cluster *c = group(3, seed);
    cluster_wait_leader(c);
    assert_int_equal(cluster_committed(c), 0);
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal(cluster_agree(c, "x", 3), i);
    cluster_free(c);
}

SCENARIO(R5_an_entry_travels_to_each_peer_once)
{
    struct cluster *c = group(3, seed);
    char big[5001];
    memset(big, 'x', 5000);
    big[5000] = 0;
    cluster_agree(c, "1", 3);
    uint64_t before = cluster_counts(c)->message_bytes;
    for (unsigned i = 2; i <= 11; i++)
        assert_int_equal(cluster_agree(c, big, 3), i);
    assert_true(cluster_counts(c)->message_bytes - before <= 2 * 50000 + 50000);
    cluster_free(c);
}

/* A proposal to whoever leads, which must not be committed in two election times. */
static void refused(struct cluster *c, unsigned leader)
{
    uint64_t index = cluster_propose(c, leader, "alone");
    cluster_run(c, 2 * E);
    assert_false(index && cluster_committed_is(c, index, "alone"));
}

SCENARIO(R6_one_of_three_commits_nothing_when_followers_fail)
{
    struct cluster *c = group(3, seed);
    cluster_agree(c, "101", 3);
    unsigned leader = cluster_leader(c);
    cluster_isolate(c, other(c, leader));
    cluster_agree(c, "102", 2);
    cluster_run(c, E);
    cluster_agree(c, "103", 2);
    leader = cluster_leader(c);
    for (unsigned i = 1; i <= 3; i++)
        if (i != leader)
            cluster_isolate(c, i);
    refused(c, leader);
    cluster_free(c);
}

SCENARIO(R7_one_of_three_commits_nothing_when_leaders_fail)
{
    struct cluster *c = group(3, seed);
    cluster_agree(c, "101", 3);
    cluster_isolate(c, cluster_leader(c));
    cluster_agree(c, "102", 2);
    cluster_run(c, E);
    cluster_agree(c, "103", 2);
    cluster_isolate(c, cluster_leader(c));
    for (unsigned i = 1; i <= 3; i++)
        refused(c, i);
    cluster_free(c);
}

SCENARIO(R8_a_follower_that_was_away_catches_up)
{
    struct cluster *c = group(3, seed);
    cluster_agree(c, "101", 3);
    unsigned away = other(c, cluster_leader(c));
    cluster_isolate(c, away);
    agree_many(c, "a", 2, 2);
    cluster_run(c, E);
    agree_many(c, "b", 2, 2);
    cluster_connect(c, away);
    cluster_agree(c, "106", 3);
    cluster_run(c, E);
    cluster_agree(c, "107", 3);
    cluster_free(c);
}

SCENARIO(R9_a_minority_commits_nothing_and_its_tail_may_go)
{
    struct cluster *c = group(5, seed);
    cluster_agree(c, "10", 5);
    unsigned leader = cluster_leader(c);
    for (unsigned i = 0; i < 3; i++)
        cluster_isolate(c, (leader + i) % 5 + 1);
    assert_int_equal(cluster_propose(c, leader, "20"), 2);
    cluster_run(c, 2 * E);
    assert_int_equal(cluster_committed(c), 1);
    cluster_heal(c);
    uint64_t index = cluster_agree(c, "30", 5);
    assert_true(index == 2 || index == 3);
    cluster_agree(c, "1000", 5);
    cluster_free(c);
}

SCENARIO(R10_proposals_at_one_time_are_all_committed)
{
    struct cluster *c = group(3, seed);
    unsigned leader = cluster_wait_leader(c);
    char t[32];
    for (unsigned i = 1; i <= 5; i++)
        assert_int_equal(cluster_propose(c, leader, text(t, "c", i)), i);
    cluster_run(c, E);
    for (unsigned i = 1; i <= 5; i++)
        assert_true(cluster_committed_is(c, i, text(t, "c", i)));
    assert_int_equal(cluster_applied_by(c, 5), 3);
    cluster_free(c);
}

SCENARIO(R11_a_divergent_tail_gives_way_when_a_leader_rejoins)
{
    struct cluster *c = group(3, seed);
    cluster_agree(c, "101", 3);
    unsigned first = cluster_leader(c);
    cluster_isolate(c, first);
    for (unsigned i = 0; i < 3; i++)
        cluster_propose(c, first, "lost");
    cluster_agree(c, "103", 2);
    unsigned second = cluster_leader(c);
    cluster_isolate(c, second);
    cluster_connect(c, first);
    cluster_agree(c, "104", 2);
    cluster_connect(c, second);
    cluster_agree(c, "105", 3);
    cluster_free(c);
}

static void isolate_but(struct cluster *c, unsigned a, unsigned b, unsigned d)
{
    for (unsigned i = 1; i <= nodes_of(c); i++)
        if (i == a || i == b || i == d)
            cluster_connect(c, i);
    for (unsigned i = 1; i <= nodes_of(c); i++)
        if (i != a && i != b && i != d)
            cluster_isolate(c, i);
}

SCENARIO(R12_logs_that_diverge_over_hundreds_of_entries_back_up_fast)
{
    struct cluster *c = group(5, seed);
    char t[32];
    cluster_agree(c, "first", 5);
    unsigned one = cluster_leader(c), n[4];
    for (unsigned i = 0; i < 4; i++)
        n[i] = (one + i) % 5 + 1;
    isolate_but(c, one, n[0], 0);
    for (unsigned i = 0; i < 50; i++)
        cluster_propose(c, one, text(t, "u", i));
    cluster_run(c, E);
    isolate_but(c, n[1], n[2], n[3]);
    agree_many(c, "a", 50, 3);
    unsigned two = cluster_leader(c), out = two == n[1] ? n[2] : n[1], rest = n[1] + n[2] + n[3] - two - out;
    isolate_but(c, two, rest, 0);
    for (unsigned i = 0; i < 50; i++)
        cluster_propose(c, two, text(t, "v", i));
    cluster_run(c, E);
    isolate_but(c, one, n[0], out);
    agree_many(c, "b", 50, 3);
    uint64_t before = cluster_counts(c)->messages, from_us = cluster_now(c);
    cluster_heal(c);
    cluster_agree(c, "last", 5);
    uint64_t heartbeats = (cluster_now(c) - from_us) / HEARTBEAT_US * 8;
    assert_true(cluster_counts(c)->messages - before < heartbeats + 120);
    cluster_free(c);
}

SCENARIO(R13_elections_agreements_and_idleness_cost_few_messages)
{
    struct cluster *c = group(3, seed);
    unsigned leader = cluster_wait_leader(c);
    assert_true(cluster_counts(c)->messages <= 30);
    cluster_agree(c, "first", 3);
    leader = cluster_leader(c);
    uint64_t before = cluster_counts(c)->messages, start_us = cluster_now(c);
    char t[32];
    for (unsigned i = 0; i < 12; i++)
        cluster_propose(c, leader, text(t, "x", i));
    cluster_run(c, 50 * MS);
    uint64_t beats = ((cluster_now(c) - start_us) / HEARTBEAT_US + 1) * 4;
    assert_int_equal(cluster_committed(c), 13);
    assert_true(cluster_counts(c)->messages - before <= 42 + beats);
    before = cluster_counts(c)->messages;
    cluster_run(c, 1000 * MS);
    assert_true(cluster_counts(c)->messages - before <= (1000 * MS / HEARTBEAT_US + 1) * 4);
    cluster_free(c);
}

SCENARIO(R14_term_vote_and_log_survive_restarts)
{
    struct cluster *c = group(3, seed);
    cluster_agree(c, "11", 3);
    all_crash_and_restart(c);
    cluster_agree(c, "12", 3);
    unsigned leader = cluster_leader(c);
    cluster_crash(c, leader);
    cluster_restart(c, leader);
    cluster_agree(c, "13", 3);
    leader = cluster_leader(c);
    cluster_crash(c, leader);
    cluster_agree(c, "14", 2);
    cluster_restart(c, leader);
    cluster_run(c, E);
    unsigned follower = other(c, cluster_wait_leader(c));
    cluster_crash(c, follower);
    cluster_agree(c, "15", 2);
    cluster_restart(c, follower);
    cluster_agree(c, "16", 3);
    cluster_free(c);
}

SCENARIO(R15_a_majority_that_was_stale_loses_nothing)
{
    struct cluster *c = group(5, seed);
    for (unsigned round = 0; round < 5; round++) {
        cluster_agree(c, "a", 5);
        unsigned l = cluster_leader(c), n[4];
        for (unsigned i = 0; i < 4; i++)
            n[i] = (l + i) % 5 + 1;
        cluster_crash(c, n[0]);
        cluster_crash(c, n[1]);
        cluster_agree(c, "b", 3);
        cluster_crash(c, l);
        cluster_crash(c, n[2]);
        cluster_crash(c, n[3]);
        cluster_restart(c, n[0]);
        cluster_restart(c, n[1]);
        cluster_run(c, E);
        cluster_restart(c, n[2]);
        cluster_agree(c, "c", 3);
        cluster_restart(c, n[3]);
        cluster_restart(c, l);
    }
    cluster_agree(c, "1000", 5);
    cluster_free(c);
}

SCENARIO(R16_a_restarted_leader_and_a_stale_follower_agree)
{
    struct cluster *c = group(3, seed);
    cluster_agree(c, "101", 3);
    unsigned leader = cluster_leader(c), stale = other(c, leader), third = other(c, stale);
    cluster_isolate(c, stale);
    cluster_agree(c, "102", 2);
    cluster_crash(c, leader);
    cluster_crash(c, third);
    cluster_connect(c, stale);
    cluster_restart(c, leader);
    cluster_agree(c, "103", 2);
    cluster_restart(c, third);
    cluster_agree(c, "104", 3);
    cluster_free(c);
}

static unsigned nodes_up(struct cluster *c)
{
    unsigned up = 0;
    for (unsigned i = 1; i <= nodes_of(c); i++)
        up += cluster_up(c, i);
    return up;
}

static void figure_8(struct cluster *c, unsigned rounds)
{
    struct prng *p = cluster_prng(c);
    char t[32];
    for (unsigned round = 0; round < rounds; round++) {
        unsigned leader = 0;
        for (unsigned i = 1; i <= 5; i++)
            if (cluster_propose(c, i, text(t, "f", round)))
                leader = i;
        cluster_run(c, prng_chance(p, 1, 10) ? prng_below(p, E) : prng_below(p, 13 * MS));
        if (leader)
            cluster_crash(c, leader);
        while (nodes_up(c) < 3)
            cluster_restart(c, 1 + (unsigned)prng_below(p, 5));
    }
}

SCENARIO(R17_figure_8_with_crashes)
{
    struct cluster *c = group(5, seed);
    figure_8(c, 300);
    cluster_heal(c);
    cluster_agree(c, "last", 5);
    cluster_free(c);
}

SCENARIO(R18_an_unreliable_network_only_delays)
{
    struct cluster *c = group_unreliable(5, seed);
    char t[32];
    for (unsigned i = 1; i < 50; i++) {
        for (unsigned k = 0; k < 4; k++)
            if (cluster_leader(c))
                cluster_propose(c, cluster_leader(c), text(t, "c", 100 * i + k));
        cluster_agree(c, text(t, "x", i), 1);
    }
    cluster_heal(c);
    cluster_agree(c, "last", 5);
    cluster_free(c);
}

SCENARIO(R19_figure_8_unreliable_and_reordering_still_agrees)
{
    struct cluster *c = group_unreliable(5, seed);
    struct prng *p = cluster_prng(c);
    char t[32];
    for (unsigned round = 0; round < 300; round++) {
        unsigned leader = 0;
        if (round == 60)
            cluster_settings(c)->dup_percent = 60; /* copies come up to four delays late */
        for (unsigned i = 1; i <= 5; i++)
            if (cluster_propose(c, i, text(t, "f", round)))
                leader = i;
        cluster_run(c, prng_chance(p, 1, 10) ? prng_below(p, E) : prng_below(p, 13 * MS));
        if (leader && prng_chance(p, 1, 2))
            cluster_isolate(c, leader);
        if (prng_chance(p, 1, 2))
            cluster_connect(c, 1 + (unsigned)prng_below(p, 5));
    }
    for (unsigned i = 1; i <= 5; i++)
        cluster_connect(c, i);
    cluster_agree(c, "last", 5);
    cluster_free(c);
}

/* What was committed is remembered by the oracle, which every node's log is held against to the end. */
static void churn(struct cluster *c)
{
    struct prng *p = cluster_prng(c);
    char t[32];
    for (unsigned round = 0; round < 200; round++) {
        unsigned node = 1 + (unsigned)prng_below(p, 5);
        if (prng_chance(p, 2, 10))
            cluster_isolate(c, node);
        if (prng_chance(p, 5, 10)) {
            cluster_restart(c, node);
            cluster_connect(c, node);
        }
        if (prng_chance(p, 1, 10))
            cluster_crash(c, node);
        for (unsigned i = 1; i <= 5; i++)
            cluster_propose(c, i, text(t, "p", 10 * round + i));
        cluster_run(c, prng_below(p, 70 * MS));
    }
    uint64_t before = cluster_committed(c);
    assert_true(before > 0);
    cluster_heal(c);
    assert_true(cluster_agree(c, "last", 5) > before);
}

SCENARIO(R20_churn)
{
    struct cluster *c = group(5, seed);
    churn(c);
    cluster_free(c);
}

SCENARIO(R21_churn_on_an_unreliable_network)
{
    struct cluster *c = group_unreliable(5, seed);
    churn(c);
    cluster_free(c);
}

static void logs_bounded(struct cluster *c)
{
    for (unsigned i = 1; i <= nodes_of(c); i++) {
        struct raft_status s = cluster_status(c, i);
        if (cluster_up(c, i))
            assert_true(s.applied + 1 - s.first_index <= 20);
    }
}

static void snapshots(uint64_t seed, bool away, bool crash, bool unreliable)
{
    struct cluster *c = unreliable ? group_unreliable(3, seed) : group(3, seed);
    cluster_settings(c)->compact_every = 10;
    cluster_agree(c, "first", 3);
    for (unsigned round = 0; round < 12; round++) {
        unsigned leader = cluster_wait_leader(c), victim = round % 3 == 1 ? leader : other(c, leader);
        if (away && crash)
            cluster_crash(c, victim);
        else if (away)
            cluster_isolate(c, victim);
        agree_many(c, "s", 12 + (unsigned)prng_below(cluster_prng(c), 10), 2);
        logs_bounded(c);
        cluster_restart(c, victim);
        cluster_connect(c, victim);
        cluster_agree(c, "round", 3);
    }
    assert_true(!away || cluster_counts(c)->snapshots > 0);
    cluster_free(c);
}

SCENARIO(R22_snapshots_bound_the_log) { snapshots(seed, false, false, false); }
SCENARIO(R23_a_lagging_peer_is_sent_a_snapshot) { snapshots(seed, true, false, false); }
SCENARIO(R24_snapshots_on_an_unreliable_network) { snapshots(seed, true, false, true); }
SCENARIO(R25_snapshots_after_crashes) { snapshots(seed, true, true, false); }
SCENARIO(R26_snapshots_after_crashes_on_an_unreliable_network) { snapshots(seed, true, true, true); }

SCENARIO(R27_a_power_cut_of_all_loses_nothing)
{
    struct cluster *c = group(3, seed);
    cluster_settings(c)->compact_every = 10;
    uint64_t index = cluster_agree(c, "first", 3);
    for (unsigned round = 0; round < 5; round++) {
        agree_many(c, "s", 5 + (unsigned)prng_below(cluster_prng(c), 10), 3);
        all_crash_and_restart(c);
        uint64_t next = cluster_agree(c, "round", 3);
        assert_true(next > index);
        index = next;
    }
    cluster_free(c);
}

SCENARIO(R28_the_first_write_after_a_restart_keeps_the_snapshot)
{
    struct cluster *c = group(3, seed);
    cluster_settings(c)->compact_every = 10;
    agree_many(c, "s", 12, 3);
    all_crash_and_restart(c);
    cluster_agree(c, "one", 3);
    all_crash_and_restart(c);
    cluster_agree(c, "two", 3);
    cluster_free(c);
}

SCENARIO(B36_who_can_send_but_not_receive_raises_no_terms)
{
    struct cluster *c = group(3, seed);
    unsigned leader = cluster_wait_leader(c), deaf = other(c, leader);
    uint64_t term = cluster_status(c, leader).term;
    for (unsigned i = 1; i <= 3; i++)
        cluster_cut(c, i, deaf, i != deaf);
    cluster_run(c, 5000 * MS);
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal(cluster_status(c, i).term, term);
    cluster_heal(c);
    cluster_agree(c, "x", 3);
    assert_int_equal(cluster_leader(c), leader);
    cluster_free(c);
}

SCENARIO(B37_a_partial_partition_leaves_a_stable_leader)
{
    struct cluster *c = group(3, seed);
    cluster_wait_leader(c);
    cluster_cut(c, 1, 2, true);
    cluster_cut(c, 2, 1, true);
    cluster_run(c, 5 * E);
    uint64_t elections = cluster_counts(c)->elections;
    cluster_agree(c, "x", 2);
    cluster_run(c, 5000 * MS);
    assert_true(cluster_counts(c)->elections - elections <= 1);
    cluster_free(c);
}

SCENARIO(B37_a_ring_of_five_where_each_hears_two_neighbours_never_splits)
{
    struct cluster *c = group(5, seed);
    for (unsigned i = 1; i <= 5; i++)
        for (unsigned k = 1; k <= 5; k++)
            if ((i + 5 - k) % 5 == 2 || (k + 5 - i) % 5 == 2)
                cluster_cut(c, i, k, true);
    cluster_agree(c, "x", 3);
    cluster_run(c, 2000 * MS);
    cluster_heal(c);
    cluster_agree(c, "y", 5);
    cluster_free(c);
}

SCENARIO(B38_equal_timeouts_do_not_elect_for_ever)
{
    struct cluster *c = group(5, seed);
    cluster_settings(c)->delay_us_max = 40 * MS;
    for (unsigned round = 0; round < 20; round++) {
        unsigned leader = cluster_wait_leader(c);
        cluster_crash(c, leader);
        cluster_run(c, 10 * MS);
        cluster_wait_leader(c);
        cluster_restart(c, leader);
    }
    cluster_free(c);
}

SCENARIO(a_transfer_takes_less_than_an_election_timeout)
{
    struct cluster *c = group(3, seed);
    cluster_agree(c, "x", 3);
    unsigned leader = cluster_leader(c), target = other(c, leader);
    assert_int_equal(cluster_step(c, leader, (struct raft_input){.kind = RAFT_TRANSFER, .peer = target}), RGKV_OK);
    cluster_run(c, ELECTION_US / 2);
    assert_int_equal(cluster_leader(c), target);
    cluster_agree(c, "y", 3);
    cluster_free(c);
}

SCENARIO(a_machine_is_replaced_one_step_at_a_time)
{
    struct cluster_options o = {.nodes = 4, .voters = 3, .seed = seed, .delay_us_max = 2 * MS, .sync_us_max = MS,
                                .compact_every = 5};
    struct cluster *c = cluster_new(&o);
    agree_many(c, "x", 20, 3);
    struct raft_config learner = cluster_config(3, 1), four = cluster_config(4, 0), without = cluster_config(4, 0);
    without.members[0] = without.members[--without.n];
    const struct raft_config *steps[] = {&learner, &four, &without};
    for (unsigned i = 0; i < 3; i++) {
        while (!cluster_propose_config(c, cluster_wait_leader(c), steps[i]))
            cluster_run(c, 20 * MS);
        cluster_run(c, E);
        cluster_agree(c, "then", i ? 4 - (i == 2) : 4);
    }
    cluster_crash(c, 1);
    cluster_agree(c, "last", 3);
    assert_true(cluster_voter_is(c, 4, 4) && !cluster_voter_is(c, 4, 1));
    cluster_free(c);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(R1_an_idle_group_has_one_leader_and_keeps_it),
        T(R2_a_lost_leader_is_replaced_steps_down_and_comes_back_harmless),
        T(R3_any_four_of_seven_elect_a_leader),
        T(R4_indexes_are_1_2_3),
        T(R5_an_entry_travels_to_each_peer_once),
        T(R6_one_of_three_commits_nothing_when_followers_fail),
        T(R7_one_of_three_commits_nothing_when_leaders_fail),
        T(R8_a_follower_that_was_away_catches_up),
        T(R9_a_minority_commits_nothing_and_its_tail_may_go),
        T(R10_proposals_at_one_time_are_all_committed),
        T(R11_a_divergent_tail_gives_way_when_a_leader_rejoins),
        T(R12_logs_that_diverge_over_hundreds_of_entries_back_up_fast),
        T(R13_elections_agreements_and_idleness_cost_few_messages),
        T(R14_term_vote_and_log_survive_restarts),
        T(R15_a_majority_that_was_stale_loses_nothing),
        T(R16_a_restarted_leader_and_a_stale_follower_agree),
        T(R17_figure_8_with_crashes),
        T(R18_an_unreliable_network_only_delays),
        T(R19_figure_8_unreliable_and_reordering_still_agrees),
        T(R20_churn),
        T(R21_churn_on_an_unreliable_network),
        T(R22_snapshots_bound_the_log),
        T(R23_a_lagging_peer_is_sent_a_snapshot),
        T(R24_snapshots_on_an_unreliable_network),
        T(R25_snapshots_after_crashes),
        T(R26_snapshots_after_crashes_on_an_unreliable_network),
        T(R27_a_power_cut_of_all_loses_nothing),
        T(R28_the_first_write_after_a_restart_keeps_the_snapshot),
        T(B36_who_can_send_but_not_receive_raises_no_terms),
        T(B37_a_partial_partition_leaves_a_stable_leader),
        T(B37_a_ring_of_five_where_each_hears_two_neighbours_never_splits),
        T(B38_equal_timeouts_do_not_elect_for_ever),
        T(a_transfer_takes_less_than_an_election_timeout),
        T(a_machine_is_replaced_one_step_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
