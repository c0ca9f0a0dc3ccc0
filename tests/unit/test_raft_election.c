#include "tests/unit/raft_one.h"

#define TEST(name) static void name(void **state)

TEST(a_follower_that_hears_nothing_asks_for_pre_votes_and_keeps_its_term)
{
    struct one o = one_new(3, 0);
    one_time_out(&o);
    assert_int_equal(one_status(&o).role, RAFT_PRE_CANDIDATE);
    assert_int_equal(one_status(&o).term, 0);
    assert_false(o.ready.must_sync);
    const struct raft_message *m = one_said(&o, RAFT_PRE_VOTE, 2);
    assert_non_null(m);
    assert_int_equal(m->term, 1);
    assert_non_null(one_said(&o, RAFT_PRE_VOTE, 3));
    raft_free(o.r);
}

TEST(timeouts_lie_between_one_and_two_election_times_and_differ)
{
    struct one o = one_new(3, 0);
    bool differ = false;
    for (uint64_t last = 0, i = 0; i < 50; i++) {
        one_heartbeat(&o, 2, i + 1, 0, 0);
        uint64_t wait = raft_deadline_us(o.r) - o.now_us;
        assert_true(wait >= ELECTION_US && wait < 2 * ELECTION_US);
        differ |= last && wait != last;
        last = wait;
    }
    assert_true(differ);
    raft_free(o.r);
}

TEST(vote_requests_wait_until_the_own_term_and_vote_are_durable)
{
    struct one o = one_new(3, 0);
    one_time_out(&o);
    one_hear(&o, (struct raft_message){.kind = RAFT_PRE_VOTE_REPLY, .from = 2, .term = 1});
    assert_int_equal(one_status(&o).role, RAFT_CANDIDATE);
    assert_true(o.ready.must_sync && o.ready.hard_state_changed);
    assert_int_equal(o.ready.hard_state.term, 1);
    assert_int_equal(o.ready.hard_state.vote, 1);
    assert_null(one_said(&o, RAFT_VOTE, 2));
    assert_non_null(one_said_after_sync(&o, RAFT_VOTE, 2));
    raft_free(o.r);
}

TEST(a_candidate_asks_again_who_has_not_answered_and_nobody_else)
{
    struct one o = one_new(5, 0);
    one_time_out(&o);
    one_hear(&o, (struct raft_message){.kind = RAFT_PRE_VOTE_REPLY, .from = 2, .term = 1});
    one_time_out(&o);
    assert_int_equal(one_status(&o).role, RAFT_PRE_CANDIDATE);
    assert_null(one_said(&o, RAFT_PRE_VOTE, 2));
    assert_non_null(one_said(&o, RAFT_PRE_VOTE, 3));
    one_hear(&o, (struct raft_message){.kind = RAFT_PRE_VOTE_REPLY, .from = 3, .term = 1});
    one_hear(&o, (struct raft_message){.kind = RAFT_VOTE_REPLY, .from = 2, .term = 1});
    uint64_t asked_us = o.now_us;
    one_time_out(&o);
    assert_true(o.now_us - asked_us < ELECTION_US);
    assert_int_equal(one_status(&o).role, RAFT_CANDIDATE);
    assert_int_equal(one_status(&o).term, 1);
    assert_null(one_said_after_sync(&o, RAFT_VOTE, 2));
    assert_non_null(one_said_after_sync(&o, RAFT_VOTE, 3));
    assert_null(one_said(&o, RAFT_VOTE, 3));
    raft_free(o.r);
}

TEST(one_vote_of_three_makes_no_leader_and_a_doubled_one_counts_once)
{
    struct one o = one_new(5, 0);
    one_time_out(&o);
    one_hear(&o, (struct raft_message){.kind = RAFT_PRE_VOTE_REPLY, .from = 2, .term = 1});
    assert_int_equal(one_status(&o).role, RAFT_PRE_CANDIDATE);
    one_hear(&o, (struct raft_message){.kind = RAFT_PRE_VOTE_REPLY, .from = 3, .term = 1});
    for (unsigned i = 0; i < 3; i++)
        one_hear(&o, (struct raft_message){.kind = RAFT_VOTE_REPLY, .from = 2, .term = 1});
    assert_int_equal(one_status(&o).role, RAFT_CANDIDATE);
    raft_free(o.r);
}

TEST(B14_a_vote_is_given_once_a_term_and_answered_after_the_sync)
{
    struct one o = one_new(3, 0);
    one_hear(&o, (struct raft_message){.kind = RAFT_VOTE, .from = 2, .term = 4});
    assert_true(o.ready.must_sync);
    assert_int_equal(o.ready.hard_state.vote, 2);
    assert_null(one_said(&o, RAFT_VOTE_REPLY, 2));
    assert_false(one_said_after_sync(&o, RAFT_VOTE_REPLY, 2)->rejected);
    one_hear(&o, (struct raft_message){.kind = RAFT_VOTE, .from = 3, .term = 4});
    assert_true(one_said_after_sync(&o, RAFT_VOTE_REPLY, 3)->rejected);
    one_hear(&o, (struct raft_message){.kind = RAFT_VOTE, .from = 2, .term = 4});
    assert_false(one_said_after_sync(&o, RAFT_VOTE_REPLY, 2)->rejected);
    raft_free(o.r);
}

TEST(B14_a_vote_remembered_over_a_restart_is_not_given_twice)
{
    struct raft_restored restored = {.hard_state = {.term = 4, .vote = 2}, .config = one_config(3, 0)};
    struct one o = one_restored(&restored, false);
    one_hear(&o, (struct raft_message){.kind = RAFT_VOTE, .from = 3, .term = 4});
    assert_true(one_said_after_sync(&o, RAFT_VOTE_REPLY, 3)->rejected);
    raft_free(o.r);
}

TEST(a_vote_queued_for_a_term_that_is_over_is_never_sent)
{
    struct one o = one_new(3, 0);
    one_receive(&o, (struct raft_message){.kind = RAFT_VOTE, .from = 2, .term = 4});
    one_hear(&o, (struct raft_message){.kind = RAFT_VOTE, .from = 3, .term = 5});
    assert_null(one_said_after_sync(&o, RAFT_VOTE_REPLY, 2));
    assert_non_null(one_said_after_sync(&o, RAFT_VOTE_REPLY, 3));
    raft_free(o.r);
}

TEST(who_has_an_older_log_gets_no_vote)
{
    struct one o = one_new(3, 0);
    one_append(&o, 2, 3, 0, 0, TERMS(1, 3), 0);
    o.now_us += 2 * ELECTION_US;
    struct raft_message m = {.kind = RAFT_VOTE, .from = 3, .term = 9, .log_index = 7, .log_term = 2};
    one_hear(&o, m);
    assert_true(one_said_after_sync(&o, RAFT_VOTE_REPLY, 3)->rejected);
    m.log_index = 1, m.log_term = 3;
    one_hear(&o, m);
    assert_true(one_said_after_sync(&o, RAFT_VOTE_REPLY, 3)->rejected);
    m.log_index = 2;
    one_hear(&o, m);
    assert_false(one_said_after_sync(&o, RAFT_VOTE_REPLY, 3)->rejected);
    raft_free(o.r);
}

TEST(B36_who_hears_a_leader_refuses_others_and_keeps_its_term)
{
    struct one o = one_new(3, 0);
    one_heartbeat(&o, 2, 3, 0, 0);
    o.now_us += ELECTION_US - 1;
    one_hear(&o, (struct raft_message){.kind = RAFT_PRE_VOTE, .from = 3, .term = 9, .log_index = 9, .log_term = 8});
    assert_true(one_said(&o, RAFT_PRE_VOTE_REPLY, 3)->rejected);
    one_hear(&o, (struct raft_message){.kind = RAFT_VOTE, .from = 3, .term = 9, .log_index = 9, .log_term = 8});
    assert_int_equal(one_status(&o).term, 3);
    o.now_us++;
    one_hear(&o, (struct raft_message){.kind = RAFT_PRE_VOTE, .from = 3, .term = 9, .log_index = 9, .log_term = 8});
    assert_false(one_said(&o, RAFT_PRE_VOTE_REPLY, 3)->rejected);
    raft_free(o.r);
}

TEST(a_removed_member_with_a_high_term_does_not_disturb_a_leader)
{
    struct one o = one_new(3, 0);
    one_lead(&o);
    one_hear(&o, (struct raft_message){.kind = RAFT_VOTE, .from = 9, .term = 50, .log_index = 9, .log_term = 8});
    one_hear(&o, (struct raft_message){.kind = RAFT_PRE_VOTE, .from = 9, .term = 50, .log_index = 9, .log_term = 8});
    assert_int_equal(one_status(&o).role, RAFT_LEADER);
    assert_int_equal(one_status(&o).term, 1);
    raft_free(o.r);
}

TEST(P31_a_vote_for_a_transfer_passes_stickiness)
{
    struct one o = one_new(3, 0);
    one_heartbeat(&o, 2, 3, 0, 0);
    one_hear(&o, (struct raft_message){.kind = RAFT_VOTE, .from = 3, .term = 4, .transfer = true});
    assert_false(one_said_after_sync(&o, RAFT_VOTE_REPLY, 3)->rejected);
    raft_free(o.r);
}

TEST(a_leader_that_hears_no_quorum_for_an_election_time_steps_down)
{
    struct one o = one_new(5, 0);
    one_lead(&o);
    uint64_t start_us = o.now_us;
    o.now_us += 50000;
    one_ack(&o, 2, 0, 0);
    one_tick(&o, start_us + ELECTION_US - 1 - o.now_us);
    assert_int_equal(one_status(&o).role, RAFT_LEADER);
    one_tick(&o, 1);
    assert_int_equal(one_status(&o).role, RAFT_FOLLOWER);
    assert_int_equal(one_status(&o).term, 1);
    assert_true(o.ready.role_changed);
    raft_free(o.r);
}

TEST(R2_an_old_leader_that_learns_a_higher_term_follows)
{
    struct one o = one_new(3, 0);
    one_lead(&o);
    one_hear(&o, (struct raft_message){.kind = RAFT_APPEND_REPLY, .from = 2, .term = 5, .rejected = true});
    assert_int_equal(one_status(&o).role, RAFT_FOLLOWER);
    assert_int_equal(one_status(&o).term, 5);
    assert_true(o.ready.must_sync);
    raft_free(o.r);
}

TEST(a_deposed_leader_is_told_the_term_when_it_speaks)
{
    struct one o = one_new(3, 0);
    one_heartbeat(&o, 2, 6, 0, 0);
    one_heartbeat(&o, 3, 5, 0, 0);
    const struct raft_message *m = one_said(&o, RAFT_APPEND_REPLY, 3);
    assert_true(m && m->rejected && m->term == 6);
    assert_int_equal(one_status(&o).leader, 2);
    raft_free(o.r);
}

TEST(a_single_voter_campaigns_at_once_and_leads_only_when_its_vote_is_durable)
{
    struct one o = one_new(1, 1);
    one_collect(&o);
    assert_true(o.ready.must_sync);
    assert_int_equal(o.ready.hard_state.vote, 1);
    assert_int_equal(o.ready.n_append, 1);
    assert_int_equal(o.ready.n_messages, 0);
    assert_int_equal(one_status(&o).role, RAFT_CANDIDATE);
    one_time_out(&o);
    assert_int_equal(one_status(&o).term, 1);
    one_persisted(&o, 1, 1);
    assert_int_equal(one_status(&o).role, RAFT_LEADER);
    assert_int_equal(o.ready.n_committed, 1);
    assert_non_null(one_said(&o, RAFT_APPEND, 2));
    raft_free(o.r);
}

TEST(a_group_of_one_needs_no_ticks)
{
    struct one o = one_new(1, 0);
    one_collect(&o);
    one_persisted(&o, 1, 1);
    assert_true(raft_deadline_us(o.r) == UINT64_MAX);
    raft_free(o.r);
}

TEST(a_learner_and_a_stranger_never_campaign)
{
    struct raft_restored learner = {.config = one_config(3, 0)}, stranger = {0};
    learner.config.members[0].voter = false;
    struct one l = one_restored(&learner, false), s = one_restored(&stranger, false);
    assert_true(raft_deadline_us(l.r) == UINT64_MAX && raft_deadline_us(s.r) == UINT64_MAX);
    one_tick(&l, 100 * ELECTION_US);
    one_tick(&s, 100 * ELECTION_US);
    assert_int_equal(l.ready.n_messages + s.ready.n_messages, 0);
    one_heartbeat(&l, 2, 1, 0, 0);
    one_hear(&l, (struct raft_message){.kind = RAFT_TIMEOUT_NOW, .from = 2, .term = 1, .transfer = true});
    assert_int_equal(one_status(&l).role, RAFT_FOLLOWER);
    raft_free(l.r);
    raft_free(s.r);
}

TEST(a_transfer_waits_for_the_log_refuses_proposals_and_is_given_up_in_time)
{
    struct one o = one_new(3, 0);
    one_lead(&o);
    one_ack(&o, 2, 0, 0);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_TRANSFER, .peer = 2}), RGKV_OK);
    one_collect(&o);
    assert_null(one_said(&o, RAFT_TIMEOUT_NOW, 2));
    assert_int_equal(one_propose(&o, "x"), RGKV_BUSY);
    one_ack(&o, 2, 1, 1);
    const struct raft_message *m = one_said(&o, RAFT_TIMEOUT_NOW, 2);
    assert_true(m && m->transfer);
    o.now_us += ELECTION_US - 1;
    one_ack(&o, 2, 1, 1);
    one_tick(&o, 1);
    assert_false(one_status(&o).transferring);
    assert_int_equal(one_propose(&o, "x"), RGKV_OK);
    raft_free(o.r);
}

TEST(nothing_is_refused_for_a_successor_that_is_silent_or_far_behind)
{
    struct one o = one_new(3, 0);
    one_lead(&o);
    one_ack(&o, 2, 1, 1);
    one_ack(&o, 3, 1, 1);
    for (unsigned i = 0; i < 10; i++) {
        one_tick(&o, ELECTION_US / 2);
        one_ack(&o, 2, 1, 1);
    }
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_TRANSFER, .peer = 3}), RGKV_BUSY);
    assert_int_equal(one_propose(&o, "x"), RGKV_OK);
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(one_propose(&o, "x"), RGKV_OK);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_TRANSFER, .peer = 2}), RGKV_BUSY);
    assert_int_equal(one_propose(&o, "x"), RGKV_OK);
    raft_free(o.r);
}

TEST(a_transfer_goes_to_a_voter_other_than_oneself_only)
{
    struct one o = one_new(3, 1);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_TRANSFER, .peer = 2}), RGKV_NOT_LEADER);
    one_lead(&o);
    const uint64_t wrong[] = {1, 4, 77};
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_TRANSFER, .peer = wrong[i]}), RGKV_INVALID);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_TRANSFER}), RGKV_OK);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_TRANSFER}), RGKV_BUSY);
    raft_free(o.r);
}

/* It leads three, and has so many entries that nobody else has. */
static struct one leader_with_entries(unsigned n)
{
    struct one o = one_new(3, 0);
    one_lead(&o);
    one_persisted(&o, 1, 1);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(one_propose(&o, "x"), RGKV_OK);
    one_collect(&o);
    return o;
}

/* Member `from` has the whole log, and has applied so much of it. */
static void has_applied(struct one *o, uint64_t from, uint64_t applied)
{
    struct raft_status s = one_status(o);
    one_hear(o, (struct raft_message){.kind = RAFT_APPEND_REPLY, .from = from, .term = s.term, .log_index = s.last_index,
                                      .log_term = s.term, .commit = applied});
}

/* Who leads and would not (its disk is nearly full) must not get it back from the first one that would not either. */
TEST(the_lead_goes_round_among_those_who_are_as_good)
{
    struct raft_restored restored = {.config = one_config(3, 0)};
    struct raft_member *m = restored.config.members, first = m[0];
    m[0] = m[1];
    m[1] = first;
    struct one o = one_restored(&restored, false);
    one_lead(&o);
    has_applied(&o, 2, 1);
    has_applied(&o, 3, 1);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_TRANSFER}), RGKV_OK);
    one_collect(&o);
    assert_non_null(one_said(&o, RAFT_TIMEOUT_NOW, 3));
    raft_free(o.r);
}

/* Rolling restarts: who comes back has the log before it has applied it, and would lead without being able to answer. */
TEST(a_leader_may_leave_when_another_one_has_applied_the_log_and_those_who_stay_can_commit)
{
    struct one o = leader_with_entries(10000);
    assert_false(raft_may_leave(o.r)); /* nobody has anything yet */
    has_applied(&o, 2, 1);
    has_applied(&o, 3, 1);
    assert_false(raft_may_leave(o.r)); /* both have the log, and have to apply it */
    has_applied(&o, 3, 10001);
    assert_true(raft_may_leave(o.r));
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_TRANSFER}), RGKV_OK);
    one_collect(&o);
    assert_non_null(one_said(&o, RAFT_TIMEOUT_NOW, 3)); /* as good a log as member 2, and it can answer */
    raft_free(o.r);
}

TEST(a_leader_may_leave_when_there_is_nothing_to_wait_for)
{
    struct one o = leader_with_entries(10000);
    has_applied(&o, 2, 10001);
    assert_false(raft_may_leave(o.r)); /* member 3 is behind, and is needed then */
    o.now_us += ELECTION_US - 1;
    has_applied(&o, 2, 10001);
    one_tick(&o, 1);
    assert_true(raft_may_leave(o.r)); /* member 3 is silent: it may never come back */
    raft_free(o.r);
}

TEST(who_is_told_to_take_over_campaigns_without_a_pre_vote)
{
    struct one o = one_new(3, 0);
    one_heartbeat(&o, 2, 3, 0, 0);
    one_hear(&o, (struct raft_message){.kind = RAFT_TIMEOUT_NOW, .from = 2, .term = 3, .transfer = true});
    assert_int_equal(one_status(&o).role, RAFT_CANDIDATE);
    assert_true(one_said_after_sync(&o, RAFT_VOTE, 2)->transfer);
    raft_free(o.r);
}

TEST(nonsense_changes_nothing_and_is_counted)
{
    struct one o = one_new(3, 0);
    one_heartbeat(&o, 2, 3, 0, 0);
    struct raft_entry hole = {9, 3, RAFT_COMMAND, NULL}, late = {1, 4, RAFT_COMMAND, NULL},
                      kind = {1, 3, (enum raft_entry_kind)77, NULL}, config = {1, 3, RAFT_CONFIG, NULL};
    const struct raft_message nonsense[] = {
        {.kind = (enum raft_message_kind)0, .from = 2, .term = 3},
        {.kind = (enum raft_message_kind)99, .from = 2, .term = 3},
        {.kind = RAFT_HEARTBEAT, .from = 0, .term = 3},
        {.kind = RAFT_HEARTBEAT, .from = 1, .term = 3},
        {.kind = RAFT_HEARTBEAT, .from = 2, .term = 3, .to = 5},
        {.kind = RAFT_HEARTBEAT, .from = 2, .term = 0},
        {.kind = RAFT_HEARTBEAT, .from = 2, .term = UINT64_MAX},
        {.kind = RAFT_HEARTBEAT, .from = 3, .term = 3}, /* a second leader in a term */
        {.kind = RAFT_APPEND, .from = 2, .term = 3, .log_index = UINT64_MAX, .log_term = 1},
        {.kind = RAFT_APPEND, .from = 2, .term = 3, .log_index = 5},
        {.kind = RAFT_APPEND, .from = 2, .term = 3, .n_entries = 1, .entries = &hole},
        {.kind = RAFT_APPEND, .from = 2, .term = 3, .n_entries = 1, .entries = &late},
        {.kind = RAFT_APPEND, .from = 2, .term = 3, .n_entries = 1, .entries = &kind},
        {.kind = RAFT_APPEND, .from = 2, .term = 3, .n_entries = 1, .entries = &config},
        {.kind = RAFT_APPEND, .from = 2, .term = 3, .n_entries = UINT32_MAX, .entries = &hole},
        {.kind = RAFT_SNAPSHOT, .from = 2, .term = 3, .log_index = 5},
        {.kind = RAFT_VOTE, .from = 2, .term = 3, .n_entries = 1, .entries = &hole},
    };
    for (unsigned i = 0; i < ARRAY_LEN(nonsense); i++) {
        one_hear(&o, nonsense[i]);
        assert_int_equal(one_status(&o).ignored, i + 1);
        assert_int_equal(o.ready.n_messages + o.ready.n_messages_after_sync, 0);
        assert_false(o.ready.hard_state_changed || o.ready.role_changed || o.ready.n_append);
    }
    raft_free(o.r);
}

/* Whoever may connect can learn the ids of a cluster and its members. A term beyond which there is no other one would be for ever:
 * nobody could be elected any more, whatever is restarted. */
TEST(a_term_that_leaves_no_room_for_another_election_is_nonsense)
{
    struct one o = one_new(3, 0);
    one_heartbeat(&o, 2, 3, 0, 0);
    one_hear(&o, (struct raft_message){.kind = RAFT_HEARTBEAT, .from = 2, .term = UINT64_C(1) << 62});
    for (unsigned i = 0; i < 4 && !one_said(&o, RAFT_PRE_VOTE, 2); i++)
        one_tick(&o, ELECTION_US);
    struct raft_message ask = *one_said(&o, RAFT_PRE_VOTE, 2);
    struct raft_options options = {.id = 2, .seed = 7, .election_us = ELECTION_US, .heartbeat_us = HEARTBEAT_US, .now_us = 1};
    struct raft_restored restored = {.config = one_config(3, 0)};
    struct one other = {.r = raft_new(&options, &restored), .now_us = 1};
    one_hear(&other, ask);
    assert_int_equal(one_status(&other).ignored, 0);
    assert_int_equal(other.ready.n_messages, 1);
    assert_false(other.ready.messages[0].rejected);
    raft_free(other.r);
    raft_free(o.r);
}

/* An honest leader has the entry that was compacted here, too; who sends another one has a log that cannot be. */
TEST(entries_that_contradict_what_is_compacted_are_nonsense)
{
    struct raft_restored restored = {.config = one_config(3, 0), .hard_state = {5, 0, 10}, .compacted_index = 10, .compacted_term = 5,
                                     .applied = 10};
    struct one o = one_restored(&restored, false);
    struct raft_entry entries[7];
    for (unsigned i = 0; i < 7; i++)
        entries[i] = (struct raft_entry){6 + i, 1, RAFT_NOOP, NULL};
    one_hear(&o, (struct raft_message){.kind = RAFT_APPEND, .from = 2, .term = 6, .log_index = 5, .log_term = 1, .n_entries = 7, .entries = entries});
    assert_int_equal(one_status(&o).ignored, 1);
    assert_int_equal(one_status(&o).last_index, 10);
    raft_free(o.r);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_follower_that_hears_nothing_asks_for_pre_votes_and_keeps_its_term),
        T(timeouts_lie_between_one_and_two_election_times_and_differ),
        T(vote_requests_wait_until_the_own_term_and_vote_are_durable),
        T(a_candidate_asks_again_who_has_not_answered_and_nobody_else),
        T(one_vote_of_three_makes_no_leader_and_a_doubled_one_counts_once),
        T(B14_a_vote_is_given_once_a_term_and_answered_after_the_sync),
        T(B14_a_vote_remembered_over_a_restart_is_not_given_twice),
        T(a_vote_queued_for_a_term_that_is_over_is_never_sent),
        T(who_has_an_older_log_gets_no_vote),
        T(B36_who_hears_a_leader_refuses_others_and_keeps_its_term),
        T(a_removed_member_with_a_high_term_does_not_disturb_a_leader),
        T(P31_a_vote_for_a_transfer_passes_stickiness),
        T(a_leader_that_hears_no_quorum_for_an_election_time_steps_down),
        T(R2_an_old_leader_that_learns_a_higher_term_follows),
        T(a_deposed_leader_is_told_the_term_when_it_speaks),
        T(a_single_voter_campaigns_at_once_and_leads_only_when_its_vote_is_durable),
        T(a_group_of_one_needs_no_ticks),
        T(a_learner_and_a_stranger_never_campaign),
        T(a_transfer_waits_for_the_log_refuses_proposals_and_is_given_up_in_time),
        T(nothing_is_refused_for_a_successor_that_is_silent_or_far_behind),
        T(a_transfer_goes_to_a_voter_other_than_oneself_only),
        T(the_lead_goes_round_among_those_who_are_as_good),
        T(a_leader_may_leave_when_another_one_has_applied_the_log_and_those_who_stay_can_commit),
        T(a_leader_may_leave_when_there_is_nothing_to_wait_for),
        T(who_is_told_to_take_over_campaigns_without_a_pre_vote),
        T(nonsense_changes_nothing_and_is_counted),
        T(entries_that_contradict_what_is_compacted_are_nonsense),
        T(a_term_that_leaves_no_room_for_another_election_is_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
