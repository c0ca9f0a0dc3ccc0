/* Membership, linearizable reads, the log and the bytes of a configuration. */
#include "tests/unit/raft_one.h"

#include "raft/internal.h"

#define TEST(name) static void name(void **state)

static enum rgkv_err change(struct one *o, const struct raft_config *c)
{
    return one_step(o, (struct raft_input){.kind = RAFT_CONFIG_PROPOSED, .config = c});
}

static struct one leader_with_commit(unsigned voters)
{
    struct one o = one_new(voters, 0);
    one_lead(&o);
    one_persisted(&o, 1, 1);
    for (uint64_t from = 2; from <= voters; from++)
        one_ack(&o, from, 1, 1);
    assert_int_equal(one_status(&o).commit, 1);
    return o;
}

TEST(P8_no_configuration_is_proposed_before_an_entry_of_the_own_term_is_committed)
{
    struct one o = one_new(3, 0);
    struct raft_config four = one_config(4, 0);
    assert_int_equal(change(&o, &four), RGKV_NOT_LEADER);
    one_lead(&o);
    assert_int_equal(change(&o, &four), RGKV_BUSY);
    one_persisted(&o, 1, 1);
    one_ack(&o, 2, 1, 1);
    assert_int_equal(change(&o, &four), RGKV_OK);
    raft_free(o.r);
}

TEST(one_change_at_a_time_and_by_one_voter_at_most)
{
    struct one o = leader_with_commit(3);
    struct raft_config five = one_config(5, 0), none = one_config(0, 3), four = one_config(4, 2), swapped = one_config(4, 0);
    swapped.members[0] = swapped.members[--swapped.n];
    struct raft_config twice = one_config(4, 0);
    twice.members[3].id = 2;
    assert_int_equal(change(&o, &five), RGKV_INVALID);
    assert_int_equal(change(&o, &none), RGKV_INVALID);
    assert_int_equal(change(&o, &swapped), RGKV_INVALID);
    assert_int_equal(change(&o, &twice), RGKV_INVALID);
    assert_int_equal(one_status(&o).last_index, 1);
    assert_int_equal(change(&o, &four), RGKV_OK); /* learners come as many as they like */
    assert_int_equal(change(&o, &five), RGKV_BUSY);
    raft_free(o.r);
}

TEST(a_configuration_counts_from_the_moment_it_is_in_the_log)
{
    struct one o = leader_with_commit(3);
    struct raft_config four = one_config(4, 0);
    assert_int_equal(change(&o, &four), RGKV_OK);
    one_collect(&o);
    assert_non_null(one_said(&o, RAFT_APPEND, 4));
    assert_int_equal(raft_config_index(o.r), 2);
    one_persisted(&o, 2, 1);
    one_ack(&o, 2, 2, 1);
    assert_int_equal(one_status(&o).commit, 1); /* two of four */
    one_ack(&o, 4, 2, 1);
    assert_int_equal(one_status(&o).commit, 2);
    raft_free(o.r);
}

TEST(a_truncated_configuration_gives_way_to_the_one_before)
{
    struct one o = one_new(3, 0);
    struct buf bytes = {0};
    struct raft_config four = one_config(4, 0);
    raft_config_encode(&four, &bytes);
    struct raft_entry e = {1, 1, RAFT_CONFIG, blob_new(buf_bytes(&bytes))};
    one_hear(&o, (struct raft_message){.kind = RAFT_APPEND, .from = 2, .term = 1, .n_entries = 1, .entries = &e});
    assert_int_equal(raft_config(o.r)->n, 4);
    one_append(&o, 3, 2, 0, 0, TERMS(2), 0);
    assert_int_equal(raft_config(o.r)->n, 3);
    assert_int_equal(raft_config_index(o.r), 0);
    blob_unref(e.payload);
    buf_release(&bytes);
    raft_free(o.r);
}

TEST(a_configuration_survives_the_compaction_of_its_entry)
{
    struct one o = leader_with_commit(3);
    struct raft_config learner = one_config(3, 1);
    assert_int_equal(change(&o, &learner), RGKV_OK);
    assert_int_equal(one_propose(&o, "x"), RGKV_OK);
    one_collect(&o);
    one_persisted(&o, 3, 1);
    one_ack(&o, 2, 3, 1);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_COMPACTED, .log_index = 3, .log_term = 1}), RGKV_OK);
    assert_int_equal(raft_config(o.r)->n, 4);
    assert_int_equal(raft_config_index(o.r), 2);
    one_hear(&o, (struct raft_message){.kind = RAFT_HEARTBEAT, .from = 2, .term = 2});
    one_append(&o, 2, 2, 3, 1, TERMS(2), 0);
    one_append(&o, 3, 3, 3, 1, TERMS(3), 0);
    assert_int_equal(raft_config(o.r)->n, 4);
    raft_free(o.r);
}

TEST(P20_a_configuration_never_follows_an_older_wish_than_the_one_in_force)
{
    struct one o = leader_with_commit(3);
    struct raft_config c = one_config(3, 1);
    c.wish = 7;
    assert_int_equal(change(&o, &c), RGKV_OK);
    one_collect(&o);
    one_persisted(&o, 2, 1);
    one_ack(&o, 2, 2, 1);
    c = one_config(4, 0);
    c.wish = 6;
    assert_int_equal(change(&o, &c), RGKV_STALE);
    c.wish = 7;
    assert_int_equal(change(&o, &c), RGKV_OK);
    raft_free(o.r);
}

TEST(a_learner_that_is_not_in_the_configuration_any_more_is_sent_nothing)
{
    struct one o = leader_with_commit(3);
    struct raft_config c = one_config(3, 1);
    assert_int_equal(change(&o, &c), RGKV_OK);
    one_collect(&o);
    assert_non_null(one_said(&o, RAFT_APPEND, 4));
    one_persisted(&o, 2, 1);
    one_ack(&o, 2, 2, 1);
    c = one_config(3, 0);
    assert_int_equal(change(&o, &c), RGKV_OK);
    one_collect(&o);
    one_tick(&o, HEARTBEAT_US);
    assert_null(one_said(&o, RAFT_APPEND, 4));
    assert_null(one_said(&o, RAFT_HEARTBEAT, 4));
    raft_free(o.r);
}

TEST(who_has_just_begun_to_lead_does_not_know_who_is_there)
{
    struct one o = one_new(3, 0);
    struct raft_peer_status p;
    one_lead(&o);
    assert_true(raft_peer_status(o.r, 2, &p));
    assert_true(p.recent && !p.answers);
    one_persisted(&o, 1, 1);
    one_ack(&o, 2, 1, 1);
    assert_true(raft_peer_status(o.r, 2, &p));
    assert_true(p.answers);
    assert_true(raft_peer_status(o.r, 1, &p));
    assert_true(p.answers);
    raft_free(o.r);
}

TEST(a_removed_leader_names_a_successor_and_steps_down_when_that_is_committed)
{
    struct one o = leader_with_commit(3);
    struct raft_config c = one_config(3, 0);
    c.members[0] = c.members[--c.n]; /* 3, 2 */
    assert_int_equal(change(&o, &c), RGKV_OK);
    one_collect(&o);
    one_persisted(&o, 2, 1);
    one_ack(&o, 2, 2, 1);
    assert_int_equal(one_status(&o).role, RAFT_LEADER); /* its own copy does not count any more */
    one_ack(&o, 3, 2, 1);
    assert_int_equal(one_status(&o).role, RAFT_FOLLOWER);
    assert_int_equal(one_status(&o).commit, 2);
    assert_true(one_said(&o, RAFT_TIMEOUT_NOW, 2) || one_said(&o, RAFT_TIMEOUT_NOW, 3));
    assert_true(raft_deadline_us(o.r) == UINT64_MAX);
    raft_free(o.r);
}

/* Of two, the first led and took itself out; the second has not heard of it. */
static struct one out_but_not_committed(void)
{
    struct raft_config two = one_config(2, 0), second = one_config(2, 0);
    struct buf bytes = {0};
    second.members[0] = second.members[--second.n];
    raft_config_encode(&second, &bytes);
    struct raft_entry entries[] = {{1, 1, RAFT_NOOP, NULL}, {2, 1, RAFT_CONFIG, blob_new(buf_bytes(&bytes))}};
    struct raft_restored from = {.config = two, .hard_state = {.term = 1, .vote = 1, .commit = 1}, .n_entries = 2, .entries = entries};
    struct one o = one_restored(&from, false);
    blob_unref(entries[1].payload);
    buf_release(&bytes);
    return o;
}

TEST(a_leader_that_took_itself_out_leads_again_if_only_it_knows_that_and_then_goes)
{
    struct one o = out_but_not_committed();
    assert_false(raft_is_voter(o.r, 1));
    one_time_out(&o);
    assert_non_null(one_said(&o, RAFT_PRE_VOTE, 2));
    assert_int_equal(one_status(&o).role, RAFT_PRE_CANDIDATE); /* its own vote does not count */
    one_hear(&o, (struct raft_message){.kind = RAFT_PRE_VOTE_REPLY, .from = 2, .term = 2});
    assert_non_null(one_said_after_sync(&o, RAFT_VOTE, 2));
    one_hear(&o, (struct raft_message){.kind = RAFT_VOTE_REPLY, .from = 2, .term = 2});
    assert_int_equal(one_status(&o).role, RAFT_LEADER);
    one_persisted(&o, 3, 2);
    assert_int_equal(one_status(&o).commit, 1);
    one_ack(&o, 2, 3, 2);
    assert_int_equal(one_status(&o).commit, 3);
    assert_int_equal(one_status(&o).role, RAFT_FOLLOWER);
    assert_true(raft_deadline_us(o.r) == UINT64_MAX);
    raft_free(o.r);
}

TEST(who_was_never_a_voter_does_not_campaign_because_a_change_is_under_way)
{
    struct raft_config learner = one_config(3, 0), more = one_config(4, 0);
    struct buf bytes = {0};
    learner.members[0].voter = more.members[0].voter = false;
    raft_config_encode(&more, &bytes);
    struct raft_entry entries[] = {{1, 1, RAFT_NOOP, NULL}, {2, 1, RAFT_CONFIG, blob_new(buf_bytes(&bytes))}};
    struct raft_restored from = {.config = learner, .hard_state = {.term = 1, .commit = 1}, .n_entries = 2, .entries = entries};
    struct one o = one_restored(&from, false);
    assert_true(raft_config_index(o.r) > one_status(&o).commit);
    assert_true(raft_deadline_us(o.r) == UINT64_MAX);
    one_tick(&o, 10 * ELECTION_US);
    assert_int_equal(one_status(&o).role, RAFT_FOLLOWER);
    blob_unref(entries[1].payload);
    buf_release(&bytes);
    raft_free(o.r);
}

TEST(learners_replicate_and_count_for_nothing)
{
    struct one o = one_new(3, 1);
    one_lead(&o);
    assert_non_null(one_said(&o, RAFT_APPEND, 4));
    one_persisted(&o, 1, 1);
    one_ack(&o, 4, 1, 1);
    assert_int_equal(one_status(&o).commit, 0);
    raft_free(o.r);
}

/* --- reads --- */

static void ask(struct one *o, uint64_t id)
{
    assert_int_equal(one_step(o, (struct raft_input){.kind = RAFT_READ, .read_id = id}), RGKV_OK);
}

static void round_answered(struct one *o, uint64_t from, uint64_t round)
{
    one_hear(o, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .from = from, .term = 1, .round = round});
}

TEST(reads_share_one_round_that_goes_out_at_once)
{
    struct one o = leader_with_commit(3);
    ask(&o, 11);
    ask(&o, 12);
    one_collect(&o);
    assert_int_equal(one_said(&o, RAFT_HEARTBEAT, 2)->round, 1);
    assert_int_equal(o.ready.n_reads, 0);
    round_answered(&o, 3, 1);
    assert_int_equal(o.ready.n_reads, 2);
    assert_true(o.ready.reads[0].read_id == 11 && o.ready.reads[0].index == 1);
    assert_int_equal(o.ready.reads[1].read_id, 12);
    raft_free(o.r);
}

TEST(P24_a_read_never_joins_a_round_that_is_already_out)
{
    struct one o = leader_with_commit(3);
    ask(&o, 11);
    one_collect(&o);
    ask(&o, 12);
    round_answered(&o, 2, 1);
    assert_int_equal(o.ready.n_reads, 1);
    assert_int_equal(one_said(&o, RAFT_HEARTBEAT, 2)->round, 2);
    round_answered(&o, 2, 1);
    assert_int_equal(o.ready.n_reads, 0);
    round_answered(&o, 2, 2);
    assert_int_equal(o.ready.reads[0].read_id, 12);
    raft_free(o.r);
}

TEST(B2_an_answer_from_before_the_sleep_confirms_no_read_from_after_it)
{
    struct one o = leader_with_commit(3);
    ask(&o, 11);
    one_collect(&o);
    o.now_us += 100 * ELECTION_US; /* stopped, and woken up: the first thing it sees is a read */
    ask(&o, 12);
    one_collect(&o);
    round_answered(&o, 2, 1);
    assert_int_equal(o.ready.n_reads, 1);
    one_tick(&o, 2 * ELECTION_US);
    assert_int_equal(o.ready.n_reads, 1);
    assert_true(o.ready.reads[0].read_id == 12 && o.ready.reads[0].index == 0);
    raft_free(o.r);
}

TEST(a_round_that_was_never_sent_confirms_nothing)
{
    struct one o = leader_with_commit(3);
    round_answered(&o, 2, 99);
    ask(&o, 11);
    one_collect(&o);
    assert_int_equal(o.ready.n_reads, 0);
    raft_free(o.r);
}

TEST(B4_a_new_leader_answers_no_read_before_an_entry_of_its_own_is_committed)
{
    struct one o = one_new(3, 0);
    one_lead(&o);
    ask(&o, 11);
    one_collect(&o);
    assert_null(one_said(&o, RAFT_HEARTBEAT, 2));
    one_persisted(&o, 1, 1);
    one_ack(&o, 2, 1, 1);
    assert_int_equal(one_said(&o, RAFT_HEARTBEAT, 2)->round, 1);
    round_answered(&o, 2, 1);
    assert_int_equal(o.ready.reads[0].index, 1);
    raft_free(o.r);
}

TEST(B1_reads_of_a_deposed_leader_fail)
{
    struct one o = leader_with_commit(3);
    ask(&o, 11);
    one_collect(&o);
    one_heartbeat(&o, 2, 2, 0, 0);
    assert_int_equal(o.ready.n_reads, 1);
    assert_int_equal(o.ready.reads[0].index, 0);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_READ, .read_id = 12}), RGKV_NOT_LEADER);
    raft_free(o.r);
}

TEST(reads_do_not_wait_for_who_is_no_member_any_more)
{
    struct one o = leader_with_commit(2);
    struct raft_config alone = one_config(1, 0);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_READ, .read_id = 5}), RGKV_OK);
    one_collect(&o);
    assert_int_equal(o.ready.n_reads, 0);
    assert_int_equal(change(&o, &alone), RGKV_OK);
    one_collect(&o);
    assert_int_equal(o.ready.n_reads, 1); /* nobody is left who could answer the round */
    raft_free(o.r);
}

TEST(a_single_voter_confirms_reads_at_once)
{
    struct one o = one_new(1, 1);
    one_collect(&o);
    one_persisted(&o, 1, 1);
    ask(&o, 11);
    one_collect(&o);
    assert_int_equal(o.ready.n_reads, 1);
    assert_int_equal(o.ready.reads[0].index, 1);
    raft_free(o.r);
}

/* --- bytes and log --- */

TEST(a_configuration_comes_back_from_its_bytes_and_nothing_else_does)
{
    struct raft_config c = one_config(3, 2), back;
    c.wish = 0x1122334455667788;
    struct buf bytes = {0};
    raft_config_encode(&c, &bytes);
    assert_int_equal(raft_config_decode(buf_bytes(&bytes), &back), RGKV_OK);
    assert_memory_equal(&c, &back, sizeof(c));
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(raft_config_decode(bytes_first(buf_bytes(&bytes), len), &back), RGKV_DAMAGED);
    buf_put_u8(&bytes, 0);
    assert_int_equal(raft_config_decode(buf_bytes(&bytes), &back), RGKV_DAMAGED);
    bytes.len--;
    bytes.data[1] = MEMBERS_MAX + 1;
    assert_int_equal(raft_config_decode(buf_bytes(&bytes), &back), RGKV_DAMAGED);
    assert_memory_equal(&c, &back, sizeof(c));
    buf_release(&bytes);
}

/* Against a plain array that does the same in the plainest way. */
TEST(the_log_agrees_with_a_plain_array_after_any_history)
{
    struct { uint64_t term; size_t len; } model[4096];
    struct raft_log log;
    struct prng p;
    prng_init(&p, 5);
    raft_log_init(&log, 0, 0);
    uint64_t base = 0, last = 0, term = 1;
    model[0].term = 0;
    for (unsigned step = 0; step < 20000; step++) {
        uint64_t dice = prng_below(&p, 100);
        if (dice < 80 && last + 1 < ARRAY_LEN(model)) {
            term += prng_chance(&p, 1, 10);
            struct blob *b = blob_alloc(prng_below(&p, 9));
            model[++last].term = term;
            model[last].len = b->len;
            raft_log_append(&log, &(struct raft_entry){last, term, RAFT_COMMAND, b});
            blob_unref(b);
        } else if (dice < 90 && last > base) {
            uint64_t from = prng_between(&p, base + 1, last);
            raft_log_truncate(&log, from);
            last = from - 1;
        } else if (dice < 95) {
            base = prng_between(&p, base, last);
            raft_log_compact(&log, base);
        }
        assert_true(raft_log_last(&log) == last && raft_log_last_term(&log) == model[last].term);
        uint64_t at = prng_between(&p, base, last), bytes = 0;
        assert_int_equal(raft_log_term(&log, at), model[at].term);
        for (uint64_t i = at + 1; i <= last; i++)
            bytes += model[i].len;
        assert_int_equal(raft_log_bytes(&log, at, last), bytes);
        uint64_t t = prng_below(&p, term + 1), found = at;
        while (found > base && model[found].term > t)
            found--;
        if (model[found].term > t)
            found = base ? base - 1 : 0;
        assert_int_equal(raft_log_find(&log, at, t), found);
    }
    raft_log_release(&log);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(P8_no_configuration_is_proposed_before_an_entry_of_the_own_term_is_committed),
        T(one_change_at_a_time_and_by_one_voter_at_most),
        T(a_configuration_counts_from_the_moment_it_is_in_the_log),
        T(a_truncated_configuration_gives_way_to_the_one_before),
        T(a_configuration_survives_the_compaction_of_its_entry),
        T(P20_a_configuration_never_follows_an_older_wish_than_the_one_in_force),
        T(a_learner_that_is_not_in_the_configuration_any_more_is_sent_nothing),
        T(who_has_just_begun_to_lead_does_not_know_who_is_there),
        T(a_removed_leader_names_a_successor_and_steps_down_when_that_is_committed),
        T(a_leader_that_took_itself_out_leads_again_if_only_it_knows_that_and_then_goes),
        T(who_was_never_a_voter_does_not_campaign_because_a_change_is_under_way),
        T(learners_replicate_and_count_for_nothing),
        T(reads_share_one_round_that_goes_out_at_once),
        T(P24_a_read_never_joins_a_round_that_is_already_out),
        T(B2_an_answer_from_before_the_sleep_confirms_no_read_from_after_it),
        T(a_round_that_was_never_sent_confirms_nothing),
        T(B4_a_new_leader_answers_no_read_before_an_entry_of_its_own_is_committed),
        T(B1_reads_of_a_deposed_leader_fail),
        T(reads_do_not_wait_for_who_is_no_member_any_more),
        T(a_single_voter_confirms_reads_at_once),
        T(a_configuration_comes_back_from_its_bytes_and_nothing_else_does),
        T(the_log_agrees_with_a_plain_array_after_any_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
