/* A peer that needs entries which left the memory gets them all the same, as long as the outside can read them. */
#include "tests/unit/raft_one.h"

#define TEST(name) static void name(void **state)

/* Leads three since term 1, with entries 1 to 10; 3 has all of them, 2 said nothing yet; 9 and 10 are in memory. */
static struct one leader_evicted(void)
{
    struct one o = one_new(3, 0);
    one_lead(&o);
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(one_propose(&o, "x"), RGKV_OK);
    one_collect(&o);
    one_persisted(&o, 10, 1);
    one_ack(&o, 3, 10, 1);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_APPLIED, .log_index = 10}), RGKV_OK);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_EVICTED, .log_index = 8, .log_term = 1}), RGKV_OK);
    one_collect(&o);
    return o;
}

static void third_heard(struct one *o)
{
    one_hear(o, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .from = 3, .term = 1});
}

/* The second one is heard of again, and has entries up to `last`: nothing that was sent to it before has come. */
static void second_comes(struct one *o, uint64_t last)
{
    one_tick(o, HEARTBEAT_US);
    third_heard(o);
    one_hear(o, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .from = 2, .term = 1});
    if (last)
        one_ack(o, 2, last, 1);
}

/* The answer of a disk that has entries up to 8: n of them from `first` on. */
static void fetched(struct one *o, uint64_t first, unsigned n)
{
    struct raft_entry entries[8];
    for (unsigned i = 0; i < n; i++)
        entries[i] = (struct raft_entry){first + i, 1, RAFT_COMMAND, blob_new(bytes_str("y"))};
    assert_int_equal(one_step(o, (struct raft_input){.kind = RAFT_FETCHED, .peer = 2, .log_index = first, .log_term = first > 1,
                                                     .n_entries = n, .entries = entries}), RGKV_OK);
    for (unsigned i = 0; i < n; i++)
        blob_unref(entries[i].payload);
    one_collect(o);
}

static bool asks(const struct one *o, uint64_t first)
{
    return o->ready.n_fetches == 1 && o->ready.fetches[0].peer == 2 && o->ready.fetches[0].first == first &&
           o->ready.fetches[0].last == 8 && o->ready.fetches[0].bytes_max && o->ready.fetches[0].entries_max;
}

static bool sends(const struct one *o, uint64_t first, unsigned n)
{
    const struct raft_message *m = one_said(o, RAFT_APPEND, 2);
    return m && m->log_index == first - 1 && m->log_term == (first > 1) && m->n_entries == n && m->entries[0].index == first;
}

TEST(entries_that_left_the_memory_are_asked_for_once_and_sent)
{
    struct one o = leader_evicted();
    assert_true(one_status(&o).first_index == 9 && one_status(&o).kept_index == 0);
    second_comes(&o, 2);
    assert_true(asks(&o, 3));
    assert_int_equal(o.ready.n_snapshot_peers, 0);
    third_heard(&o);
    assert_int_equal(o.ready.n_fetches, 0);
    fetched(&o, 3, 2);
    assert_true(sends(&o, 3, 2));
    raft_free(o.r);
}

TEST(an_empty_peer_gets_the_log_from_its_beginning)
{
    struct one o = leader_evicted();
    second_comes(&o, 0);
    assert_true(asks(&o, 1));
    fetched(&o, 1, 8);
    assert_true(sends(&o, 1, 8));
    raft_free(o.r);
}

TEST(the_next_ones_are_read_while_the_last_ones_travel_and_memory_follows)
{
    struct one o = leader_evicted();
    second_comes(&o, 2);
    assert_true(asks(&o, 3));
    fetched(&o, 3, 1);
    assert_true(sends(&o, 3, 1) && asks(&o, 4));
    one_ack(&o, 2, 3, 1);
    fetched(&o, 4, 2);
    assert_true(sends(&o, 4, 2) && asks(&o, 6));
    fetched(&o, 6, 3);
    assert_null(one_said(&o, RAFT_APPEND, 2)); /* one at a time */
    one_ack(&o, 2, 5, 1);
    assert_true(sends(&o, 6, 3));
    assert_int_equal(o.ready.n_fetches, 0);
    third_heard(&o);
    assert_true(sends(&o, 9, 2)); /* these are in memory: in a pipeline */
    one_ack(&o, 2, 10, 1);
    struct raft_peer_status p;
    assert_true(raft_peer_status(o.r, 2, &p) && p.match == 10);
    raft_free(o.r);
}

TEST(what_was_lost_is_sent_again)
{
    struct one o = leader_evicted();
    second_comes(&o, 2);
    fetched(&o, 3, 1);
    one_ack(&o, 2, 3, 1);
    fetched(&o, 4, 2);
    assert_true(sends(&o, 4, 2));
    fetched(&o, 6, 3);
    bool again = false;
    for (unsigned i = 0; i < 6; i++) {
        one_tick(&o, HEARTBEAT_US);
        third_heard(&o);
        one_hear(&o, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .from = 2, .term = 1, .hint_index = 3});
        if (o.ready.n_fetches) {
            assert_true(asks(&o, 4));
            fetched(&o, 4, 2);
        }
        again |= sends(&o, 4, 2);
    }
    assert_true(again);
    raft_free(o.r);
}

TEST(an_answer_that_nobody_waits_for_is_ignored)
{
    struct one o = leader_evicted();
    fetched(&o, 3, 2);
    assert_null(one_said(&o, RAFT_APPEND, 2));
    second_comes(&o, 2);
    fetched(&o, 5, 2);
    fetched(&o, 1, 2); /* it was asked for, until it turned out that the peer has it */
    assert_null(one_said(&o, RAFT_APPEND, 2));
    one_hear(&o, (struct raft_message){.kind = RAFT_HEARTBEAT, .from = 3, .term = 9});
    fetched(&o, 3, 2); /* not a leader any more */
    assert_int_equal(one_status(&o).role, RAFT_FOLLOWER);
    assert_null(one_said(&o, RAFT_APPEND, 2));
    fetched(&o, 3, 0); /* what cannot be read is another leader's concern */
    assert_int_equal(one_status(&o).kept_index, 0);
    raft_free(o.r);
}

TEST(who_needs_what_cannot_be_read_or_is_compacted_gets_a_snapshot)
{
    struct one o = leader_evicted();
    second_comes(&o, 2);
    fetched(&o, 3, 0);
    assert_int_equal(o.ready.n_snapshot_peers, 1);
    raft_free(o.r);

    o = leader_evicted();
    second_comes(&o, 2);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_COMPACTED, .log_index = 5}), RGKV_OK);
    assert_int_equal(one_status(&o).kept_index, 5);
    fetched(&o, 3, 2);
    assert_null(one_said(&o, RAFT_APPEND, 2));
    assert_int_equal(o.ready.n_snapshot_peers, 1);
    assert_int_equal(one_step(&o, (struct raft_input){.kind = RAFT_SNAPSHOT_SENT, .peer = 2, .log_index = 5}), RGKV_OK);
    one_collect(&o);
    assert_true(asks(&o, 6)); /* and what came after it is read */
    raft_free(o.r);
}

TEST(nothing_is_read_for_a_silent_peer)
{
    struct one o = leader_evicted();
    second_comes(&o, 2);
    for (uint64_t waited = 0; waited < 2 * ELECTION_US; waited += HEARTBEAT_US) {
        one_tick(&o, HEARTBEAT_US);
        third_heard(&o);
    }
    fetched(&o, 3, 2);
    assert_null(one_said(&o, RAFT_APPEND, 2));
    assert_int_equal(o.ready.n_fetches, 0);
    one_hear(&o, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .from = 2, .term = 1});
    assert_true(sends(&o, 3, 2));
    raft_free(o.r);
}

TEST(a_restarted_member_that_leads_again_sends_what_only_its_disk_has)
{
    struct raft_entry e = {.index = 6, .term = 1, .kind = RAFT_NOOP};
    struct raft_restored from = {.hard_state = {.term = 1, .commit = 6}, .compacted_index = 5, .compacted_term = 1, .n_kept = 3,
                                 .config = one_config(3, 0), .applied = 5, .n_entries = 1, .entries = &e};
    struct one o = one_restored(&from, false);
    one_lead(&o);
    assert_int_equal(one_status(&o).kept_index, 2);
    one_hear(&o, (struct raft_message){.kind = RAFT_APPEND_REPLY, .from = 2, .term = 2, .rejected = true, .log_index = 6, .hint_index = 3, .hint_term = 1});
    assert_true(o.ready.n_fetches == 1 && o.ready.fetches[0].first == 4 && o.ready.fetches[0].last == 5);
    one_hear(&o, (struct raft_message){.kind = RAFT_APPEND_REPLY, .from = 3, .term = 2, .rejected = true, .log_index = 6, .hint_index = 1, .hint_term = 1});
    assert_int_equal(o.ready.n_fetches, 0);
    assert_true(o.ready.n_snapshot_peers == 1 && o.ready.snapshot_peers[0] == 3);
    raft_free(o.r);
}

/* ---- with a second member ---- */

#define LED 2000u   /* entries of the leader; all but the last one are on its disk only */
#define TAIL 1000u  /* entries that the other one has of an older leader */
#define COMMON 5u

static struct raft_entry *entries_of(unsigned n, uint64_t term)
{
    struct raft_entry *e = mem_alloc(n * sizeof(*e));
    for (unsigned i = 0; i < n; i++)
        e[i] = (struct raft_entry){i + 1, i < COMMON ? 1 : term, RAFT_NOOP, NULL};
    return e;
}

struct pair {
    struct one leader;
    struct raft *other;
    const struct raft_entry *led;
    unsigned reads, refusals;
};

static void disk_answers(struct pair *p, struct raft_fetch f)
{
    unsigned n = (unsigned)MIN(f.last - f.first + 1, f.entries_max);
    p->reads++;
    assert_int_equal(one_step(&p->leader, (struct raft_input){
        .kind = RAFT_FETCHED, .peer = f.peer, .log_index = f.first, .log_term = f.first > 1 ? p->led[f.first - 2].term : 0,
        .n_entries = n, .entries = p->led + f.first - 1}), RGKV_OK);
}

static void answers_come(struct pair *p, const struct raft_message *m, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        p->refusals += m[i].kind == RAFT_APPEND_REPLY && m[i].rejected;
        if (m[i].to == 1)
            one_receive(&p->leader, m[i]);
    }
}

static void a_turn(struct pair *p)
{
    struct raft_ready ready;
    struct raft_fetch fetch = p->leader.ready.n_fetches ? p->leader.ready.fetches[0] : (struct raft_fetch){0};
    for (unsigned i = 0; i < p->leader.ready.n_messages; i++)
        if (p->leader.ready.messages[i].to == 2)
            assert_int_equal(raft_step(p->other, &(struct raft_input){.kind = RAFT_RECEIVED, .now_us = p->leader.now_us,
                                                                      .message = &p->leader.ready.messages[i]}), RGKV_OK);
    raft_collect(p->other, &ready);
    answers_come(p, ready.messages, ready.n_messages);
    answers_come(p, ready.messages_after_sync, ready.n_messages_after_sync);
    if (ready.n_append)
        assert_int_equal(raft_step(p->other, &(struct raft_input){.kind = RAFT_PERSISTED, .now_us = p->leader.now_us,
                                                                  .log_index = ready.append[ready.n_append - 1].index,
                                                                  .log_term = ready.append[ready.n_append - 1].term}), RGKV_OK);
    if (fetch.peer)
        disk_answers(p, fetch);
    p->leader.now_us += HEARTBEAT_US / 4;
    assert_int_equal(one_step(&p->leader, (struct raft_input){.kind = RAFT_TICK}), RGKV_OK);
    one_hear(&p->leader, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .from = 3, .term = one_status(&p->leader).term});
}

TEST(a_long_tail_of_an_older_leader_is_not_gone_back_over_entry_by_entry)
{
    struct raft_entry *led = entries_of(LED, 3), *had = entries_of(COMMON + TAIL, 2);
    struct raft_restored l = {.hard_state = {.term = 3, .commit = LED}, .compacted_index = LED - 1, .compacted_term = 3, .n_kept = LED - 1,
                              .config = one_config(3, 0), .applied = LED, .n_entries = 1, .entries = led + LED - 1};
    struct raft_restored f = {.hard_state = {.term = 2, .commit = COMMON}, .config = one_config(3, 0), .applied = COMMON,
                              .n_entries = COMMON + TAIL, .entries = had};
    struct pair p = {.leader = one_restored(&l, false), .led = led};
    one_lead(&p.leader);
    p.other = raft_new(&(struct raft_options){.id = 2, .seed = 9, .election_us = ELECTION_US, .heartbeat_us = HEARTBEAT_US,
                                              .now_us = p.leader.now_us}, &f);
    struct raft_status s;
    raft_status(p.other, &s);
    for (unsigned turns = 0; s.last_term < 3 || s.last_index < LED; turns++) {
        assert_true(turns < 1000 && p.refusals < 10);
        a_turn(&p);
        raft_status(p.other, &s);
    }
    print_message("%u refusals, %u readings\n", p.refusals, p.reads);
    assert_in_range(p.reads, 2, 10);
    raft_free(p.other);
    raft_free(p.leader.r);
    mem_free(led);
    mem_free(had);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_that_left_the_memory_are_asked_for_once_and_sent),
        cmocka_unit_test(an_empty_peer_gets_the_log_from_its_beginning),
        cmocka_unit_test(the_next_ones_are_read_while_the_last_ones_travel_and_memory_follows),
        cmocka_unit_test(what_was_lost_is_sent_again),
        cmocka_unit_test(an_answer_that_nobody_waits_for_is_ignored),
        cmocka_unit_test(who_needs_what_cannot_be_read_or_is_compacted_gets_a_snapshot),
        cmocka_unit_test(nothing_is_read_for_a_silent_peer),
        cmocka_unit_test(a_long_tail_of_an_older_leader_is_not_gone_back_over_entry_by_entry),
        cmocka_unit_test(a_restarted_member_that_leads_again_sends_what_only_its_disk_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
