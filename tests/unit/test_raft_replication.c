#include "tests/unit/raft_one.h"

#define TEST(name) static void name(void **state)

TEST(commit_is_bounded_by_the_last_verified_entry_not_by_the_leaders_index)
{
    struct one o = one_new(3, 0);
    one_append(&o, 2, 1, 0, 0, TERMS(1, 1, 1), 0);
    one_append(&o, 3, 2, 1, 1, NO_ENTRIES, 3); /* a new leader has shown entry 1 only */
    assert_int_equal(one_status(&o).commit, 1);
    assert_int_equal(one_said_after_sync(&o, RAFT_APPEND_REPLY, 3)->log_index, 1);
    raft_free(o.r);
}

TEST(follower_keeps_its_commit_when_a_late_heartbeat_arrives)
{
    struct one o = one_new(3, 0);
    one_append(&o, 2, 1, 0, 0, TERMS(1, 1, 1), 3);
    one_heartbeat(&o, 2, 1, 1, 1);
    assert_int_equal(one_status(&o).commit, 3);
    one_append(&o, 2, 1, 0, 0, TERMS(1), 1);
    assert_int_equal(one_status(&o).commit, 3);
    assert_int_equal(o.ready.n_committed, 0);
    raft_free(o.r);
}

TEST(a_heartbeat_commits_only_the_entry_that_it_names)
{
    struct one o = one_new(3, 0);
    one_append(&o, 2, 1, 0, 0, TERMS(1, 1), 0);
    one_heartbeat(&o, 3, 4, 2, 3);
    one_heartbeat(&o, 3, 4, 9, 1);
    assert_int_equal(one_status(&o).commit, 0);
    one_heartbeat(&o, 3, 4, 2, 1);
    assert_int_equal(one_status(&o).commit, 2);
    assert_true(o.ready.hard_state_changed && !o.ready.must_sync);
    raft_free(o.r);
}

TEST(B15_entries_are_acknowledged_only_after_the_sync_by_index_and_term)
{
    struct one o = one_new(3, 0);
    one_append(&o, 2, 5, 0, 0, TERMS(3, 5), 0);
    assert_true(o.ready.must_sync);
    assert_int_equal(o.ready.n_append, 2);
    assert_null(one_said(&o, RAFT_APPEND_REPLY, 2));
    const struct raft_message *m = one_said_after_sync(&o, RAFT_APPEND_REPLY, 2);
    assert_true(m && !m->rejected && m->log_index == 2 && m->log_term == 5);
    raft_free(o.r);
}

TEST(B15_a_doubled_append_is_not_acknowledged_before_the_first_ones_sync)
{
    struct one o = one_new(3, 0);
    one_append(&o, 2, 1, 0, 0, TERMS(1), 0);
    one_append(&o, 2, 1, 0, 0, TERMS(1), 0);
    assert_int_equal(o.ready.n_append, 0);
    assert_true(o.ready.must_sync);
    one_persisted(&o, 1, 1);
    one_append(&o, 2, 1, 0, 0, TERMS(1), 0);
    assert_false(o.ready.must_sync);
    raft_free(o.r);
}

TEST(many_appends_before_one_collect_are_acknowledged_once)
{
    struct one o = one_new(3, 0);
    for (uint64_t i = 0; i < 5; i++) {
        struct raft_entry e = {i + 1, 1, RAFT_COMMAND, NULL};
        one_receive(&o, (struct raft_message){.kind = RAFT_APPEND, .from = 2, .term = 1, .log_index = i,
                                              .log_term = i ? 1 : 0, .n_entries = 1, .entries = &e});
    }
    one_collect(&o);
    assert_int_equal(o.ready.n_append, 5);
    assert_int_equal(o.ready.n_messages_after_sync, 1);
    assert_int_equal(o.ready.messages_after_sync[0].log_index, 5);
    raft_free(o.r);
}

TEST(B21_a_conflict_truncates_and_the_write_says_from_where)
{
    struct one o = one_new(3, 0);
    one_append(&o, 2, 1, 0, 0, TERMS(1, 1, 1, 1), 1);
    one_append(&o, 3, 2, 1, 1, TERMS(1, 2), 0);
    assert_int_equal(o.ready.n_append, 1);
    assert_int_equal(o.ready.append[0].index, 3);
    assert_int_equal(o.ready.append[0].term, 2);
    assert_int_equal(one_status(&o).last_index, 3);
    raft_free(o.r);
}

TEST(B21_a_truncation_before_the_collect_is_never_written_nor_acknowledged)
{
    struct one o = one_new(3, 0);
    struct raft_entry old[] = {{1, 1, RAFT_COMMAND, NULL}, {2, 1, RAFT_COMMAND, NULL}}, new = {1, 2, RAFT_COMMAND, NULL};
    one_receive(&o, (struct raft_message){.kind = RAFT_APPEND, .from = 2, .term = 1, .n_entries = 2, .entries = old});
    one_hear(&o, (struct raft_message){.kind = RAFT_APPEND, .from = 3, .term = 2, .n_entries = 1, .entries = &new});
    assert_int_equal(o.ready.n_append, 1);
    assert_int_equal(o.ready.append[0].term, 2);
    assert_int_equal(o.ready.n_messages_after_sync, 1);
    assert_int_equal(o.ready.messages_after_sync[0].to, 3);
    raft_free(o.r);
}

TEST(a_shorter_late_append_does_not_truncate)
{
    struct one o = one_new(3, 0);
    one_append(&o, 2, 1, 0, 0, TERMS(1, 1, 1), 0);
    one_append(&o, 2, 1, 0, 0, TERMS(1), 0);
    assert_int_equal(one_status(&o).last_index, 3);
    assert_int_equal(o.ready.n_append, 0);
    raft_free(o.r);
}

TEST(an_append_that_contradicts_a_committed_entry_is_nonsense)
{
    struct one o = one_new(3, 0);
    one_append(&o, 2, 1, 0, 0, TERMS(1, 1), 2);
    one_append(&o, 3, 2, 0, 0, TERMS(2), 0);
    assert_int_equal(one_status(&o).ignored, 1);
    assert_int_equal(raft_term_at(o.r, 1), 1);
    assert_int_equal(o.ready.n_messages_after_sync, 0);
    raft_free(o.r);
}

TEST(a_refusal_names_the_place_to_back_up_to)
{
    struct one o = one_new(3, 0);
    one_append(&o, 2, 6, 0, 0, TERMS(1, 4, 4, 4), 0);
    one_append(&o, 3, 9, 8, 7, NO_ENTRIES, 0); /* the log is too short */
    const struct raft_message *m = one_said(&o, RAFT_APPEND_REPLY, 3);
    assert_true(m && m->rejected && m->log_index == 8 && m->hint_index == 4 && m->hint_term == 4);
    one_append(&o, 3, 9, 4, 3, NO_ENTRIES, 0); /* a whole term is skipped */
    m = one_said(&o, RAFT_APPEND_REPLY, 3);
    assert_true(m && m->rejected && m->hint_index == 1 && m->hint_term == 1);
    raft_free(o.r);
}

TEST(a_persisted_entry_that_was_truncated_is_not_durable)
{
    struct one o = one_new(3, 0);
    one_append(&o, 2, 1, 0, 0, TERMS(1, 1), 0);
    one_append(&o, 3, 2, 0, 0, TERMS(2, 2), 0);
    one_persisted(&o, 2, 1);
    assert_int_equal(one_status(&o).persisted, 0);
    one_persisted(&o, 2, 2);
    assert_int_equal(one_status(&o).persisted, 2);
    raft_free(o.r);
}

TEST(the_same_entry_written_again_is_not_confirmed_by_its_first_write)
{
    struct one o = one_new(5, 0);
    one_append(&o, 2, 1, 0, 0, TERMS(1), 0); /* first write of (1, 1) */
    one_append(&o, 3, 2, 0, 0, TERMS(2), 0); /* overwritten */
    one_append(&o, 2, 3, 0, 0, TERMS(1), 0); /* and back; both writes are on their way */
    one_persisted(&o, 1, 1);                 /* of the first */
    one_heartbeat(&o, 2, 3, 0, 0);
    assert_int_equal(one_said(&o, RAFT_HEARTBEAT_REPLY, 2)->log_index, 0);
    one_append(&o, 2, 3, 0, 0, TERMS(1), 0);
    assert_true(o.ready.must_sync);
    raft_free(o.r);
}

/* --- leader --- */

static struct one leader(unsigned voters)
{
    struct one o = one_new(voters, 0);
    one_lead(&o);
    return o;
}

TEST(a_leader_counts_itself_only_when_its_own_write_is_durable)
{
    struct one o = leader(3);
    one_ack(&o, 2, 1, 1);
    assert_int_equal(one_status(&o).commit, 0);
    one_persisted(&o, 1, 1);
    assert_int_equal(one_status(&o).commit, 1);
    assert_int_equal(o.ready.n_committed, 1);
    raft_free(o.r);
}

TEST(two_followers_commit_what_a_slow_leader_has_not_written_yet)
{
    struct one o = leader(3);
    one_ack(&o, 2, 1, 1);
    one_ack(&o, 3, 1, 1);
    assert_int_equal(one_status(&o).commit, 1);
    raft_free(o.r);
}

TEST(B22_R17_entries_of_an_old_term_are_never_committed_by_counting)
{
    struct raft_entry old[] = {{1, 1, RAFT_COMMAND, NULL}, {2, 2, RAFT_COMMAND, NULL}};
    struct raft_restored restored = {.hard_state = {.term = 3}, .config = one_config(5, 0), .n_entries = 2, .entries = old};
    struct one o = one_restored(&restored, false);
    one_lead(&o); /* term 4; figure 3.7 of the dissertation */
    for (uint64_t from = 2; from <= 5; from++)
        one_ack(&o, from, 2, 2);
    assert_int_equal(one_status(&o).commit, 0);
    one_ack(&o, 2, 3, 4);
    one_ack(&o, 3, 3, 4);
    assert_int_equal(one_status(&o).commit, 0);
    one_ack(&o, 4, 3, 4);
    assert_int_equal(one_status(&o).commit, 3);
    assert_int_equal(o.ready.n_committed, 3);
    raft_free(o.r);
}

TEST(an_acknowledgement_of_another_entry_at_that_index_counts_for_nothing)
{
    struct raft_entry old[] = {{1, 1, RAFT_COMMAND, NULL}};
    struct raft_restored restored = {.hard_state = {.term = 2}, .config = one_config(3, 0), .n_entries = 1, .entries = old};
    struct one o = one_restored(&restored, false);
    one_lead(&o);
    one_persisted(&o, 2, 3);
    one_ack(&o, 2, 2, 2); /* (2, 2), ours is (2, 3) */
    one_ack(&o, 2, 7, 3); /* beyond our log */
    assert_int_equal(one_status(&o).commit, 0);
    assert_int_equal(one_status(&o).ignored, 2);
    raft_free(o.r);
}

TEST(late_and_doubled_acknowledgements_move_nothing_back)
{
    struct one o = leader(3);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(one_propose(&o, "x"), RGKV_OK);
    one_ack(&o, 2, 1, 1);
    one_ack(&o, 2, 6, 1);
    one_ack(&o, 2, 2, 1);
    one_hear(&o, (struct raft_message){.kind = RAFT_APPEND_REPLY, .from = 2, .term = 1, .rejected = true,
                                       .log_index = 3, .hint_index = 1, .hint_term = 1});
    struct raft_peer_status s;
    assert_true(raft_peer_status(o.r, 2, &s));
    assert_true(s.match == 6 && s.next == 7);
    assert_null(one_said(&o, RAFT_APPEND, 2));
    raft_free(o.r);
}

TEST(proposals_stepped_together_travel_together)
{
    struct one o = leader(3);
    one_ack(&o, 2, 1, 1);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(one_propose(&o, "x"), RGKV_OK);
    one_collect(&o);
    assert_int_equal(o.ready.n_append, 100);
    assert_int_equal(o.ready.n_messages, 1);
    assert_int_equal(one_said(&o, RAFT_APPEND, 2)->n_entries, 100);
    raft_free(o.r);
}

TEST(a_pipeline_does_not_wait_for_acknowledgements_and_is_bounded)
{
    struct one o = leader(3);
    one_ack(&o, 2, 1, 1);
    unsigned sent = 0;
    for (unsigned i = 0; i < 2 * INFLIGHT_MESSAGES_MAX; i++) {
        assert_int_equal(one_propose(&o, "x"), RGKV_OK);
        one_collect(&o);
        sent += one_said(&o, RAFT_APPEND, 2) != NULL;
    }
    assert_int_equal(sent, INFLIGHT_MESSAGES_MAX);
    one_ack(&o, 2, 3, 1);
    assert_int_equal(one_said(&o, RAFT_APPEND, 2)->n_entries, INFLIGHT_MESSAGES_MAX);
    raft_free(o.r);
}

TEST(bytes_in_flight_and_bytes_in_a_message_are_bounded)
{
    struct one o = leader(3);
    one_ack(&o, 2, 1, 1);
    struct blob *big = blob_alloc(DATA_BYTES_MAX);
    memset(big->data, 0, big->len);
    struct blob *const payloads[] = {big};
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_PROPOSED, .n_payloads = 1, .payloads = payloads}), RGKV_OK);
    one_collect(&o);
    for (unsigned i = 0; i < o.ready.n_messages; i++)
        assert_true(o.ready.messages[i].n_entries <= 2);
    struct raft_peer_status s;
    assert_true(raft_peer_status(o.r, 2, &s));
    assert_true(s.inflight_bytes <= INFLIGHT_BYTES_MAX && s.inflight_bytes > INFLIGHT_BYTES_MAX - APPEND_BYTES_MAX);
    blob_unref(big);
    raft_free(o.r);
}

TEST(B41_too_many_uncommitted_bytes_are_refused_and_nothing_changes)
{
    struct one o = leader(3);
    struct blob *big = blob_alloc(DATA_BYTES_MAX), *huge = blob_alloc(ENTRY_BYTES_MAX + 1);
    struct raft_input in = {.kind = RAFT_PROPOSED, .n_payloads = 1, .payloads = &big};
    for (unsigned i = 0; i < PROPOSALS_BYTES_MAX / DATA_BYTES_MAX; i++)
        assert_int_equal(one_step(&o, in), RGKV_OK);
    uint64_t last = one_status(&o).last_index;
    assert_int_equal(one_step(&o, in), RGKV_BUSY);
    in.payloads = &huge;
    assert_int_equal(one_step(&o, in), RGKV_TOO_LARGE);
    assert_int_equal(one_status(&o).last_index, last);
    blob_unref(big);
    blob_unref(huge);
    raft_free(o.r);
}

/* Proposes large ones, which member 2 and 3 acknowledge at once, until it is told that it is too much. */
static uint64_t committed_by_others_until_busy(struct one *o, bool persists)
{
    struct blob *big = blob_alloc(DATA_BYTES_MAX);
    struct raft_input in = {.kind = RAFT_PROPOSED, .n_payloads = 1, .payloads = &big};
    uint64_t first = one_status(o).last_index, limit = first + 2 * PROPOSALS_BYTES_MAX / DATA_BYTES_MAX;
    while (one_status(o).last_index < limit && one_step(o, in) == RGKV_OK) {
        struct raft_status s = one_status(o);
        one_collect(o);
        if (persists)
            one_persisted(o, s.last_index, s.term);
        one_ack(o, 2, s.last_index, s.term);
        one_ack(o, 3, s.last_index, s.term);
        assert_int_equal(one_status(o).commit, s.last_index);
    }
    blob_unref(big);
    return one_status(o).last_index - first;
}

TEST(B39_B41_a_leader_whose_own_disk_hangs_does_not_take_proposals_without_end)
{
    struct one o = leader(3);
    assert_int_equal(committed_by_others_until_busy(&o, false), PROPOSALS_BYTES_MAX / DATA_BYTES_MAX);
    struct raft_status s = one_status(&o);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_APPLIED, .log_index = s.commit}), RGKV_OK);
    assert_int_equal(one_propose(&o, "x"), RGKV_BUSY);
    one_persisted(&o, s.last_index, s.term);
    assert_int_equal(one_propose(&o, "x"), RGKV_OK);
    raft_free(o.r);
}

TEST(B41_a_leader_whose_table_is_slow_does_not_take_proposals_without_end)
{
    struct one o = leader(3);
    assert_int_equal(committed_by_others_until_busy(&o, true), PROPOSALS_BYTES_MAX / DATA_BYTES_MAX);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_APPLIED, .log_index = one_status(&o).commit}), RGKV_OK);
    assert_int_equal(one_propose(&o, "x"), RGKV_OK);
    raft_free(o.r);
}

TEST(a_leader_that_contradicts_what_it_said_itself_is_ignored)
{
    struct one o = one_new(3, 0);
    one_append(&o, 2, 3, 0, 0, TERMS(1, 1, 1, 1), 0);
    one_append(&o, 2, 3, 1, 1, TERMS(2), 4);
    assert_int_equal(one_status(&o).last_index, 4);
    assert_int_equal(one_status(&o).commit, 0);
    assert_int_equal(one_status(&o).ignored, 1);
    raft_free(o.r);
}

TEST(a_lost_append_in_the_pipeline_is_sent_again_from_the_match)
{
    struct one o = leader(3);
    one_ack(&o, 2, 1, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(one_propose(&o, "x"), RGKV_OK);
        one_collect(&o);
    }
    one_hear(&o, (struct raft_message){.kind = RAFT_APPEND_REPLY, .from = 2, .term = 1, .rejected = true,
                                       .log_index = 3, .hint_index = 1, .hint_term = 1});
    const struct raft_message *m = one_said(&o, RAFT_APPEND, 2);
    assert_true(m && m->log_index == 1 && m->n_entries == 3);
    one_hear(&o, (struct raft_message){.kind = RAFT_APPEND_REPLY, .from = 2, .term = 1, .rejected = true,
                                       .log_index = 2, .hint_index = 1, .hint_term = 1}); /* the next one's refusal */
    assert_null(one_said(&o, RAFT_APPEND, 2));
    raft_free(o.r);
}

static void heartbeat_answered(struct one *o, uint64_t seen)
{
    one_hear(o, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .from = 2, .term = 1, .hint_index = seen});
}

TEST(a_lost_tail_is_sent_again_but_a_slow_disk_is_left_alone)
{
    struct one o = leader(3);
    one_ack(&o, 2, 1, 1);
    assert_int_equal(one_propose(&o, "x"), RGKV_OK);
    one_collect(&o);
    one_tick(&o, 2 * HEARTBEAT_US - 1);
    heartbeat_answered(&o, 1);
    assert_null(one_said(&o, RAFT_APPEND, 2));
    one_tick(&o, 1);
    heartbeat_answered(&o, 2); /* it has it, its disk is slow */
    assert_null(one_said(&o, RAFT_APPEND, 2));
    heartbeat_answered(&o, 1); /* it does not have it */
    assert_int_equal(one_said(&o, RAFT_APPEND, 2)->log_index, 1);
    raft_free(o.r);
}

TEST(a_lost_acknowledgement_is_made_up_for_by_the_next_heartbeat)
{
    struct one f = one_new(3, 0), o = leader(3);
    one_append(&f, 2, 1, 0, 0, TERMS(1), 0);
    one_persisted(&f, 1, 1);
    one_heartbeat(&f, 2, 1, 0, 0);
    struct raft_message reply = *one_said(&f, RAFT_HEARTBEAT_REPLY, 2);
    assert_true(reply.log_index == 1 && reply.log_term == 1);
    one_persisted(&o, 1, 1);
    reply.from = 2, reply.to = 1;
    one_hear(&o, reply);
    assert_int_equal(one_status(&o).commit, 1);
    raft_free(f.r);
    raft_free(o.r);
}

TEST(R12_backing_up_skips_whole_terms)
{
    struct raft_entry old[200];
    for (uint64_t i = 0; i < 200; i++)
        old[i] = (struct raft_entry){i + 1, i < 100 ? 1 : 5, RAFT_COMMAND, NULL};
    struct raft_restored restored = {.hard_state = {.term = 5}, .config = one_config(3, 0), .n_entries = 200, .entries = old};
    struct one o = one_restored(&restored, false);
    one_lead(&o);
    one_hear(&o, (struct raft_message){.kind = RAFT_APPEND_REPLY, .from = 2, .term = 6, .rejected = true,
                                       .log_index = 200, .hint_index = 180, .hint_term = 4});
    assert_int_equal(one_said(&o, RAFT_APPEND, 2)->log_index, 100);
    raft_free(o.r);
}

TEST(a_leader_without_a_noop_appends_nothing_of_its_own)
{
    struct raft_restored restored = {.config = one_config(3, 0)};
    struct one o = one_restored(&restored, true);
    one_lead(&o);
    assert_int_equal(one_status(&o).last_index, 0);
    assert_non_null(one_said(&o, RAFT_APPEND, 2));
    raft_free(o.r);
}

/* --- snapshots and compaction --- */

static struct one leader_compacted(void)
{
    struct one o = leader(3);
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(one_propose(&o, "x"), RGKV_OK);
    one_persisted(&o, 1, 1);
    one_ack(&o, 3, 1, 1);
    one_persisted(&o, 10, 1);
    one_ack(&o, 3, 10, 1);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_APPLIED, .log_index = 10}), RGKV_OK);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_COMPACTED, .log_index = 8, .log_term = 1}), RGKV_OK);
    one_collect(&o);
    return o;
}

static void refuse_all(struct one *o)
{
    one_hear(o, (struct raft_message){.kind = RAFT_APPEND_REPLY, .from = 2, .term = 1, .rejected = true, .log_index = 1});
}

TEST(a_peer_behind_the_log_is_named_once_and_still_gets_heartbeats)
{
    struct one o = leader_compacted();
    assert_int_equal(one_status(&o).first_index, 9);
    one_tick(&o, HEARTBEAT_US);
    heartbeat_answered(&o, 0);
    assert_int_equal(o.ready.n_snapshot_peers, 1);
    assert_int_equal(o.ready.snapshot_peers[0], 2);
    refuse_all(&o);
    one_tick(&o, HEARTBEAT_US);
    assert_int_equal(o.ready.n_snapshot_peers, 0);
    assert_non_null(one_said(&o, RAFT_HEARTBEAT, 2));
    assert_null(one_said(&o, RAFT_APPEND, 2));
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_SNAPSHOT_SENT, .peer = 2, .log_index = 10}), RGKV_OK);
    one_collect(&o);
    assert_int_equal(one_said(&o, RAFT_APPEND, 2)->log_index, 10);
    raft_free(o.r);
}

TEST(a_failed_snapshot_is_asked_for_again_after_a_sign_of_life)
{
    struct one o = leader_compacted();
    one_tick(&o, HEARTBEAT_US);
    heartbeat_answered(&o, 0);
    assert_int_equal(o.ready.n_snapshot_peers, 1);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_SNAPSHOT_FAILED, .peer = 2}), RGKV_OK);
    one_collect(&o);
    assert_int_equal(o.ready.n_snapshot_peers, 0);
    one_tick(&o, HEARTBEAT_US);
    heartbeat_answered(&o, 0);
    assert_int_equal(o.ready.n_snapshot_peers, 1);
    raft_free(o.r);
}

static struct raft_message snapshot(uint64_t index, uint64_t term)
{
    return (struct raft_message){.kind = RAFT_SNAPSHOT, .from = 2, .term = 4, .log_index = index, .log_term = term};
}

TEST(a_snapshot_is_accepted_when_it_is_news_and_answered_when_it_is_not)
{
    struct one o = one_new(3, 0);
    one_append(&o, 2, 4, 0, 0, TERMS(1, 1, 3), 1);
    one_hear(&o, snapshot(9, 4));
    assert_true(o.ready.snapshot_accepted);
    one_hear(&o, snapshot(1, 1));
    assert_false(o.ready.snapshot_accepted);
    assert_int_equal(one_said_after_sync(&o, RAFT_APPEND_REPLY, 2)->log_index, 1);
    one_hear(&o, snapshot(3, 3)); /* held, if not known as committed: now it is */
    assert_false(o.ready.snapshot_accepted);
    assert_int_equal(one_status(&o).commit, 3);
    assert_int_equal(one_said_after_sync(&o, RAFT_APPEND_REPLY, 2)->log_index, 3);
    struct raft_message late = snapshot(20, 3);
    late.term = 3;
    one_hear(&o, late);
    assert_false(o.ready.snapshot_accepted);
    raft_free(o.r);
}

static void install(struct one *o, uint64_t index, uint64_t term)
{
    struct raft_config c = one_config(5, 0);
    assert_int_equal(one_step(o, (struct raft_input){.kind = RAFT_SNAPSHOT_INSTALLED, .log_index = index,
                                                     .log_term = term, .config = &c}), RGKV_OK);
    one_collect(o);
}

TEST(an_installed_snapshot_replaces_log_and_configuration_and_is_acknowledged)
{
    struct one o = one_new(3, 0);
    one_append(&o, 2, 4, 0, 0, TERMS(1, 1, 3), 1);
    install(&o, 9, 4);
    struct raft_status s = one_status(&o);
    assert_true(s.first_index == 10 && s.last_index == 9 && s.commit == 9 && s.applied == 9 && s.last_term == 4);
    assert_int_equal(raft_config(o.r)->n, 5);
    assert_int_equal(one_said_after_sync(&o, RAFT_APPEND_REPLY, 2)->log_index, 9);
    assert_int_equal(o.ready.n_committed, 0);
    one_append(&o, 2, 4, 9, 4, TERMS(4), 10);
    assert_int_equal(o.ready.n_committed, 1);
    assert_int_equal(o.ready.committed[0].index, 10);
    raft_free(o.r);
}

TEST(B25_an_older_snapshot_after_a_newer_changes_nothing)
{
    struct one o = one_new(3, 0);
    one_hear(&o, snapshot(9, 4));
    install(&o, 9, 4);
    install(&o, 5, 3);
    assert_int_equal(one_status(&o).last_index, 9);
    raft_free(o.r);
}

TEST(entries_acknowledged_while_a_snapshot_was_installed_are_not_lost)
{
    struct one o = one_new(3, 0);
    one_append(&o, 2, 4, 0, 0, TERMS(1, 1, 3, 4, 4), 1);
    one_persisted(&o, 5, 4);
    install(&o, 3, 3);
    struct raft_status s = one_status(&o);
    assert_true(s.first_index == 4 && s.last_index == 5 && s.commit == 3);
    assert_int_equal(o.ready.n_append, 2); /* once more, should the outside have begun a new log */
    assert_int_equal(o.ready.append[0].index, 4);
    raft_free(o.r);
}

TEST(compaction_keeps_the_term_of_the_last_entry_dropped_and_frees_the_rest)
{
    struct one o = leader_compacted();
    assert_int_equal(raft_term_at(o.r, 8), 1);
    assert_int_equal(raft_term_at(o.r, 7), 0);
    assert_null(raft_entry_at(o.r, 8));
    assert_int_equal(raft_entry_at(o.r, 9)->index, 9);
    assert_int_equal(one_status(&o).log_bytes, 2);
    raft_free(o.r);
}

TEST(an_append_that_begins_in_the_compacted_part_is_taken_from_there_on)
{
    struct raft_restored restored = {.hard_state = {.term = 1}, .compacted_index = 5, .compacted_term = 1,
                                     .applied = 5, .config = one_config(3, 0)};
    struct one o = one_restored(&restored, false);
    one_append(&o, 2, 1, 3, 1, TERMS(1, 1, 1), 6);
    assert_int_equal(o.ready.n_append, 1);
    assert_int_equal(o.ready.append[0].index, 6);
    one_append(&o, 2, 1, 0, 0, TERMS(1), 1);
    assert_int_equal(one_said_after_sync(&o, RAFT_APPEND_REPLY, 2)->log_index, 6);
    raft_free(o.r);
}

TEST(B3_committed_entries_are_handed_out_once_and_from_the_table_on_after_a_restart)
{
    struct raft_entry log[] = {{4, 1, RAFT_COMMAND, NULL}, {5, 1, RAFT_COMMAND, NULL}, {6, 1, RAFT_COMMAND, NULL}};
    struct raft_restored restored = {.hard_state = {.term = 1, .commit = 5}, .compacted_index = 3, .compacted_term = 1,
                                     .applied = 4, .config = one_config(3, 0), .n_entries = 3, .entries = log};
    struct one o = one_restored(&restored, false);
    one_collect(&o);
    assert_int_equal(o.ready.n_committed, 1);
    assert_int_equal(o.ready.committed[0].index, 5);
    assert_int_equal(o.ready.n_append, 0);
    one_collect(&o);
    assert_int_equal(o.ready.n_committed, 0);
    raft_free(o.r);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(commit_is_bounded_by_the_last_verified_entry_not_by_the_leaders_index),
        T(follower_keeps_its_commit_when_a_late_heartbeat_arrives),
        T(a_heartbeat_commits_only_the_entry_that_it_names),
        T(B15_entries_are_acknowledged_only_after_the_sync_by_index_and_term),
        T(B15_a_doubled_append_is_not_acknowledged_before_the_first_ones_sync),
        T(many_appends_before_one_collect_are_acknowledged_once),
        T(B21_a_conflict_truncates_and_the_write_says_from_where),
        T(B21_a_truncation_before_the_collect_is_never_written_nor_acknowledged),
        T(a_shorter_late_append_does_not_truncate),
        T(an_append_that_contradicts_a_committed_entry_is_nonsense),
        T(a_refusal_names_the_place_to_back_up_to),
        T(a_persisted_entry_that_was_truncated_is_not_durable),
        T(the_same_entry_written_again_is_not_confirmed_by_its_first_write),
        T(a_leader_counts_itself_only_when_its_own_write_is_durable),
        T(two_followers_commit_what_a_slow_leader_has_not_written_yet),
        T(B22_R17_entries_of_an_old_term_are_never_committed_by_counting),
        T(an_acknowledgement_of_another_entry_at_that_index_counts_for_nothing),
        T(late_and_doubled_acknowledgements_move_nothing_back),
        T(proposals_stepped_together_travel_together),
        T(a_pipeline_does_not_wait_for_acknowledgements_and_is_bounded),
        T(bytes_in_flight_and_bytes_in_a_message_are_bounded),
        T(B41_too_many_uncommitted_bytes_are_refused_and_nothing_changes),
        T(B39_B41_a_leader_whose_own_disk_hangs_does_not_take_proposals_without_end),
        T(B41_a_leader_whose_table_is_slow_does_not_take_proposals_without_end),
        T(a_leader_that_contradicts_what_it_said_itself_is_ignored),
        T(a_lost_append_in_the_pipeline_is_sent_again_from_the_match),
        T(a_lost_tail_is_sent_again_but_a_slow_disk_is_left_alone),
        T(a_lost_acknowledgement_is_made_up_for_by_the_next_heartbeat),
        T(R12_backing_up_skips_whole_terms),
        T(a_leader_without_a_noop_appends_nothing_of_its_own),
        T(a_peer_behind_the_log_is_named_once_and_still_gets_heartbeats),
        T(a_failed_snapshot_is_asked_for_again_after_a_sign_of_life),
        T(a_snapshot_is_accepted_when_it_is_news_and_answered_when_it_is_not),
        T(an_installed_snapshot_replaces_log_and_configuration_and_is_acknowledged),
        T(B25_an_older_snapshot_after_a_newer_changes_nothing),
        T(entries_acknowledged_while_a_snapshot_was_installed_are_not_lost),
        T(compaction_keeps_the_term_of_the_last_entry_dropped_and_frees_the_rest),
        T(an_append_that_begins_in_the_compacted_part_is_taken_from_there_on),
        T(B3_committed_entries_are_handed_out_once_and_from_the_table_on_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
