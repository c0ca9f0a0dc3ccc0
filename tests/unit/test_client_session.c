/* Exactly once, as the client sees it: first contact, births, sequences, floors, windows, and B10-B13. */
#include "tests/unit/client_fake.h"

static struct kv_request *request(struct fake *f, unsigned i) { return &f->sent[i].m.kv_request.request; }

static void the_first_change_of_a_shard_waits_for_its_time_and_is_born_with_it(void **state)
{
    struct fake *f = fake_connected();
    uint64_t id = fake_append(f, 0, "x", 0);
    assert_int_equal(f->n_sent, 1);
    assert_int_equal(request(f, 0)->op, KV_TIME);
    assert_int_equal(request(f, 0)->seq, 0);
    fake_contact(f, 1234);
    assert_int_equal(f->n_sent, 2);
    assert_int_equal(request(f, 1)->op, KV_APPEND);
    assert_int_equal(request(f, 1)->born_us, 1234);
    assert_int_equal(request(f, 1)->seq, 1);
    assert_int_equal(request(f, 1)->floor, 1);
    assert_int_equal(request(f, 1)->client, 9);
    fake_reply(f, fake_last(f), RGKV_OK, NULL);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_OK);
    assert_true(fake_outcome(f, id)->has_reply);
    fake_free(f);
}

static void a_read_needs_no_contact_and_has_no_sequence(void **state)
{
    struct fake *f = fake_connected();
    fake_get(f, 0, 0);
    assert_int_equal(f->n_sent, 1);
    assert_int_equal(request(f, 0)->op, KV_GET);
    assert_int_equal(request(f, 0)->seq, 0);
    fake_free(f);
}

static void each_shard_has_its_own_sequence(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    fake_know_shard(f, 1);
    fake_append(f, 0, "x", 0);
    fake_append(f, 1, "x", 0);
    fake_append(f, 1, "y", 0);
    assert_int_equal(request(f, 0)->seq, 2);
    assert_int_equal(request(f, 1)->seq, 2);
    assert_int_equal(request(f, 2)->seq, 3);
    fake_free(f);
}

static void the_floor_is_the_oldest_unanswered_and_moves_when_that_is_answered(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    for (int i = 0; i < 3; i++)
        fake_append(f, 0, "x", 0); /* 2, 3, 4 */
    assert_int_equal(request(f, 2)->floor, 2);
    fake_reply(f, &f->sent[1], RGKV_OK, NULL);
    fake_append(f, 0, "x", 0);
    assert_int_equal(request(f, 3)->floor, 2);
    fake_reply(f, &f->sent[0], RGKV_OK, NULL);
    fake_append(f, 0, "x", 0);
    assert_int_equal(request(f, 4)->seq, 6);
    assert_int_equal(request(f, 4)->floor, 4);
    fake_free(f);
}

static void B10_a_retry_keeps_sequence_and_birth_though_the_shards_time_has_moved_on(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    fake_append(f, 0, "x", 0);
    struct fake_sent first = f->sent[0];
    fake_get(f, 0, 0);
    struct msg m = {.kind = MSG_KV_REPLY, .id = f->sent[1].m.id, .cluster = 77};
    m.kv_reply.shard_time_us = 999999;
    fake_receive(f, f->sent[1].addr, &m);
    fake_link(f, first.addr, false);
    struct fake_sent *again = fake_last(f);
    assert_string_not_equal(again->addr, first.addr);
    assert_int_equal(again->m.kv_request.request.seq, first.m.kv_request.request.seq);
    assert_int_equal(again->m.kv_request.request.born_us, 5000);
    assert_true(again->m.id != first.m.id);
    fake_free(f);
}

static void B10_the_reply_to_an_older_copy_answers_the_request_and_the_next_one_is_dropped(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    uint64_t id = fake_append(f, 0, "x", 0);
    struct fake_sent first = f->sent[0];
    fake_to(f, f->now + FAKE_SECOND);
    assert_true(f->n_sent >= 2);
    struct fake_sent second = *fake_last(f);
    fake_reply(f, &first, RGKV_EXISTS, NULL);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_EXISTS);
    fake_reply(f, &second, RGKV_OK, NULL);
    assert_int_equal(f->n_done, 1);
    fake_free(f);
}

static void B11_an_expired_session_is_unknown_if_another_copy_was_ever_sent(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    uint64_t id = fake_append(f, 0, "x", 0);
    fake_link(f, f->sent[0].addr, false);
    fake_reply(f, fake_last(f), RGKV_SESSION_EXPIRED, NULL);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_UNKNOWN);
    assert_false(fake_outcome(f, id)->has_reply);
    fake_free(f);
}

static void B11_an_expired_session_that_met_the_only_copy_starts_anew_with_a_new_time_and_number(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    uint64_t id = fake_append(f, 0, "x", 0);
    fake_reply(f, &f->sent[0], RGKV_SESSION_EXPIRED, NULL);
    assert_false(fake_is_done(f, id));
    fake_contact(f, 77777);
    struct kv_request *q = &fake_last(f)->m.kv_request.request;
    assert_int_equal(q->seq, 3);
    assert_int_equal(q->floor, 3);
    assert_int_equal(q->born_us, 77777);
    fake_free(f);
}

static void B11_an_expired_session_after_refused_copies_only_starts_anew(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    uint64_t id = fake_append(f, 0, "x", 0);
    fake_reply(f, &f->sent[0], RGKV_NOT_LEADER, "a3:1");
    fake_reply(f, fake_last(f), RGKV_SESSION_EXPIRED, NULL);
    assert_false(fake_is_done(f, id));
    assert_int_equal(fake_last(f)->m.kv_request.request.op, KV_TIME);
    fake_free(f);
}

static void B12_refusals_without_end_cost_a_bounded_number_of_copies(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    uint64_t end = f->now + 10 * FAKE_SECOND;
    fake_append(f, 0, "x", end);
    unsigned answered = 0;
    while (f->now < end) {
        while (answered < f->n_sent) { /* each member names the next as the leader */
            struct fake_sent s = f->sent[answered++];
            char hint[ADDR_BYTES_MAX] = "a1:1";
            hint[1] = s.addr[1] == '1' ? '2' : s.addr[1] == '2' ? '3' : '1';
            fake_reply(f, &s, RGKV_NOT_LEADER, hint);
        }
        fake_to(f, MIN(client_deadline_us(f->c), end));
    }
    assert_true(f->n_sent < 800);
    assert_int_equal(f->done[0].err, RGKV_UNREACHABLE);
    fake_free(f);
}

static void B13_silence_until_the_deadline_is_unknown_and_not_failed(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    uint64_t id = fake_append(f, 0, "x", f->now + FAKE_SECOND);
    fake_to(f, f->now + FAKE_SECOND);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_UNKNOWN);
    assert_non_null(strstr(fake_outcome(f, id)->why, "may or may not be applied"));
    fake_free(f);
}

static void B13_one_silent_copy_among_refused_ones_is_still_unknown(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    uint64_t end = f->now + 2 * FAKE_SECOND;
    uint64_t id = fake_append(f, 0, "x", end);
    unsigned refused = 1; /* never the first copy */
    while (!fake_is_done(f, id)) {
        while (refused < f->n_sent)
            fake_reply(f, &f->sent[refused++], RGKV_NOT_LEADER, NULL);
        fake_to(f, MIN(client_deadline_us(f->c), end));
    }
    assert_true(refused > 2);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_UNKNOWN);
    fake_free(f);
}

static void a_refusal_told_twice_closes_one_copy_only(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    uint64_t end = f->now + FAKE_SECOND * 3 / 4;
    uint64_t id = fake_append(f, 0, "x", end);
    fake_link(f, f->sent[0].addr, false);
    struct fake_sent second = *fake_last(f);
    f->links_come_up = false;
    fake_reply(f, &second, RGKV_BUSY, NULL);
    fake_reply(f, &second, RGKV_BUSY, NULL);
    for (int i = 1; i <= 3; i++)
        fake_link(f, (char[]){'a', (char)('0' + i), ':', '1', 0}, false);
    fake_to(f, end);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_UNKNOWN);
    fake_free(f);
}

static void a_full_disk_is_an_answer_unless_an_earlier_copy_may_have_been_applied(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    uint64_t sure = fake_append(f, 0, "x", 0);
    fake_reply(f, fake_last(f), RGKV_NO_SPACE, NULL);
    assert_int_equal(fake_outcome(f, sure)->err, RGKV_NO_SPACE);
    uint64_t unsure = fake_append(f, 0, "y", f->now + FAKE_SECOND);
    fake_link(f, fake_last(f)->addr, false);
    fake_reply(f, fake_last(f), RGKV_NO_SPACE, NULL);
    assert_false(fake_is_done(f, unsure));
    fake_to(f, f->now + FAKE_SECOND);
    assert_int_equal(fake_outcome(f, unsure)->err, RGKV_UNKNOWN);
    fake_free(f);
}

static void a_full_window_waits_in_order_and_moves_up_as_the_floor_does(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    for (unsigned i = 0; i < SESSION_WINDOW + 3; i++)
        fake_append(f, 0, "x", 0);
    assert_int_equal(f->n_sent, SESSION_WINDOW);
    fake_reply(f, &f->sent[5], RGKV_OK, NULL); /* not the floor: nothing moves */
    assert_int_equal(f->n_sent, SESSION_WINDOW);
    fake_reply(f, &f->sent[0], RGKV_OK, NULL);
    assert_int_equal(f->n_sent, SESSION_WINDOW + 1);
    assert_int_equal(request(f, SESSION_WINDOW)->seq, SESSION_WINDOW + 2);
    assert_true(request(f, SESSION_WINDOW)->seq < request(f, SESSION_WINDOW)->floor + SESSION_WINDOW);
    fake_free(f);
}

static void a_read_does_not_overtake_the_queue_of_its_shard(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    for (unsigned i = 0; i < SESSION_WINDOW + 1; i++)
        fake_append(f, 0, "x", 0);
    fake_get(f, 0, 0);
    assert_int_equal(f->n_sent, SESSION_WINDOW);
    fake_reply(f, &f->sent[0], RGKV_OK, NULL);
    assert_int_equal(request(f, SESSION_WINDOW)->op, KV_APPEND);
    assert_int_equal(request(f, SESSION_WINDOW + 1)->op, KV_GET);
    fake_free(f);
}

static void a_cancelled_request_lets_the_floor_pass_and_is_answered_at_once(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    uint64_t id = fake_append(f, 0, "x", 0);
    client_cancel(f->c, id, f->now);
    fake_drain(f);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_CANCELLED);
    assert_non_null(strstr(fake_outcome(f, id)->why, "may or may not"));
    fake_reply(f, &f->sent[0], RGKV_OK, NULL); /* too late */
    client_cancel(f->c, id, f->now);
    client_cancel(f->c, 4711, f->now);
    fake_drain(f);
    assert_int_equal(f->n_done, 1);
    fake_append(f, 0, "y", 0);
    assert_int_equal(fake_last(f)->m.kv_request.request.floor, 3);
    fake_free(f);
}

static void a_request_cancelled_before_it_was_sent_is_never_sent(void **state)
{
    struct fake *f = fake_connected();
    uint64_t id = fake_append(f, 0, "x", 0);
    client_cancel(f->c, id, f->now);
    fake_drain(f);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_CANCELLED);
    assert_non_null(strstr(fake_outcome(f, id)->why, "nothing was applied"));
    fake_to(f, f->now + 3 * FAKE_SECOND); /* and the time of its shard is not asked for any more */
    assert_int_equal(f->n_sent, 1);
    fake_free(f);
}

static void a_time_that_is_old_is_fetched_anew_before_the_next_birth(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    f->now += SESSION_TTL_US;
    fake_append(f, 0, "x", 0);
    assert_int_equal(f->n_sent, 1);
    fake_contact(f, 5000 + SESSION_TTL_US);
    assert_int_equal(request(f, 1)->born_us, 5000 + SESSION_TTL_US);
    fake_free(f);
}

static void admin_commands_go_one_by_one_and_keep_their_number(void **state)
{
    struct fake *f = fake_connected();
    uint64_t gid = 101;
    struct ctrl_command leave = {.op = CTRL_LEAVE, .n_gids = 1, .gids = &gid};
    struct client_request q = {.kind = CLIENT_ADMIN, .admin = &leave};
    uint64_t one = client_submit(f->c, &q, f->now), two = client_submit(f->c, &q, f->now);
    gid = 0; /* the engine has a copy */
    fake_drain(f);
    assert_int_equal(f->n_sent, 1);
    assert_int_equal(f->sent[0].m.kind, MSG_ADMIN_REQUEST);
    assert_int_equal(f->sent[0].m.admin_request.command.gids[0], 101);
    fake_link(f, f->sent[0].addr, false);
    assert_int_equal(f->n_sent, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(f->sent[i].m.admin_request.command.seq, 1);
        assert_int_equal(f->sent[i].m.admin_request.command.client, 9);
    }
    struct msg m = {.kind = MSG_ADMIN_REPLY, .id = f->sent[1].m.id, .cluster = 77};
    m.admin_reply.result = (struct ctrl_result){.err = RGKV_BUSY, .why = "group 101 still holds shard 3"};
    fake_receive(f, f->sent[1].addr, &m);
    assert_int_equal(fake_outcome(f, one)->err, RGKV_BUSY);
    assert_string_equal(fake_outcome(f, one)->why, "group 101 still holds shard 3");
    assert_int_equal(f->sent[2].m.admin_request.command.seq, 2);
    m = (struct msg){.kind = MSG_ADMIN_REPLY, .id = f->sent[2].m.id, .cluster = 77};
    m.admin_reply.result = (struct ctrl_result){.config_num = 6};
    fake_receive(f, f->sent[2].addr, &m);
    assert_int_equal(fake_outcome(f, two)->result.config_num, 6);
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_change_of_a_shard_waits_for_its_time_and_is_born_with_it),
        cmocka_unit_test(a_read_needs_no_contact_and_has_no_sequence),
        cmocka_unit_test(each_shard_has_its_own_sequence),
        cmocka_unit_test(the_floor_is_the_oldest_unanswered_and_moves_when_that_is_answered),
        cmocka_unit_test(B10_a_retry_keeps_sequence_and_birth_though_the_shards_time_has_moved_on),
        cmocka_unit_test(B10_the_reply_to_an_older_copy_answers_the_request_and_the_next_one_is_dropped),
        cmocka_unit_test(B11_an_expired_session_is_unknown_if_another_copy_was_ever_sent),
        cmocka_unit_test(B11_an_expired_session_that_met_the_only_copy_starts_anew_with_a_new_time_and_number),
        cmocka_unit_test(B11_an_expired_session_after_refused_copies_only_starts_anew),
        cmocka_unit_test(B12_refusals_without_end_cost_a_bounded_number_of_copies),
        cmocka_unit_test(B13_silence_until_the_deadline_is_unknown_and_not_failed),
        cmocka_unit_test(B13_one_silent_copy_among_refused_ones_is_still_unknown),
        cmocka_unit_test(a_refusal_told_twice_closes_one_copy_only),
        cmocka_unit_test(a_full_disk_is_an_answer_unless_an_earlier_copy_may_have_been_applied),
        cmocka_unit_test(a_full_window_waits_in_order_and_moves_up_as_the_floor_does),
        cmocka_unit_test(a_read_does_not_overtake_the_queue_of_its_shard),
        cmocka_unit_test(a_cancelled_request_lets_the_floor_pass_and_is_answered_at_once),
        cmocka_unit_test(a_request_cancelled_before_it_was_sent_is_never_sent),
        cmocka_unit_test(a_time_that_is_old_is_fetched_anew_before_the_next_birth),
        cmocka_unit_test(admin_commands_go_one_by_one_and_keep_their_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
