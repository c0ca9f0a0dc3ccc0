/* Finding leaders and placements: hints, rotation, refusals, moves, links, strangers, deadlines. */
#include "tests/unit/client_fake.h"

#include <stdio.h>

static const char *gid_102_first(const struct fake *f) { return f->groups[1].members[0].addr; }

static void the_first_effect_is_a_link_to_a_controller_and_then_a_poll(void **state)
{
    struct fake *f = fake_new();
    f->links_come_up = false;
    fake_drain(f);
    assert_int_equal(f->n_connects, 1);
    assert_int_equal(f->n_polls, 0);
    assert_null(client_view(f->c));
    fake_link(f, f->connects[0], true);
    assert_true(f->n_polls >= 1);
    assert_int_equal(client_view(f->c)->version, 1);
    fake_free(f);
}

static void a_held_poll_is_always_out_so_news_arrive_by_themselves(void **state)
{
    struct fake *f = fake_connected();
    fake_to(f, f->now + 100000);
    assert_true(f->poll.m.poll.hold_us > 0 && f->poll.m.poll.hold_us <= 5 * FAKE_SECOND);
    assert_int_equal(f->poll.m.poll.version, 1);
    fake_view_newer(f);
    assert_int_equal(client_view(f->c)->version, 2);
    fake_to(f, f->now + 100000);
    assert_int_equal(f->poll.m.poll.version, 2);
    fake_free(f);
}

static void an_older_view_is_not_taken(void **state)
{
    struct fake *f = fake_connected();
    f->view.version = 5;
    fake_to(f, f->now + 100000);
    fake_view(f);
    assert_int_equal(client_view(f->c)->version, 5);
    fake_to(f, f->now + 100000);
    f->view.version = 4;
    fake_view(f);
    assert_int_equal(client_view(f->c)->version, 5);
    fake_free(f);
}

static void requests_before_the_first_view_wait_and_leave_in_order(void **state)
{
    struct fake *f = fake_new();
    f->answers_polls = false;
    fake_drain(f);
    const char *keys[3];
    for (int i = 0; i < 3; i++) {
        keys[i] = fake_key(0, (unsigned)i);
        struct kv_request q = {.op = KV_STAT, .key = bytes_str(keys[i])};
        fake_kv(f, &q, 0);
    }
    assert_int_equal(f->n_sent, 0);
    fake_view(f);
    fake_reply(f, &f->sent[0], RGKV_OK, NULL);
    assert_int_equal(f->n_sent, 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(f->sent[i].text, keys[i]);
        assert_int_equal(f->sent[i].m.cluster, 77);
    }
    fake_free(f);
}

static void a_hint_is_followed_at_once_and_the_leader_is_remembered(void **state)
{
    struct fake *f = fake_connected();
    fake_get(f, 0, 0);
    const char *leader = strcmp(f->sent[0].addr, "a2:1") ? "a2:1" : "a3:1";
    fake_reply(f, &f->sent[0], RGKV_NOT_LEADER, leader);
    assert_int_equal(f->n_sent, 2);
    assert_string_equal(f->sent[1].addr, leader);
    fake_reply(f, &f->sent[1], RGKV_OK, NULL);
    fake_get(f, 1, 0); /* another shard of the same group */
    assert_string_equal(f->sent[2].addr, leader);
    fake_free(f);
}

static void without_a_hint_the_members_are_tried_in_turn_after_a_pause(void **state)
{
    struct fake *f = fake_connected();
    fake_get(f, 0, 0);
    bool tried[4] = {false};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(f->n_sent, i + 1);
        tried[fake_last(f)->addr[1] - '0'] = true;
        fake_reply(f, fake_last(f), RGKV_NOT_LEADER, NULL);
        assert_int_equal(f->n_sent, i + 1);
        fake_to(f, f->now + 20000);
    }
    assert_true(tried[1] && tried[2] && tried[3]);
    fake_free(f);
}

static void a_silent_member_is_passed_over(void **state)
{
    struct fake *f = fake_connected();
    fake_get(f, 0, 0);
    fake_to(f, f->now + FAKE_SECOND * 7 / 10);
    assert_int_equal(f->n_sent, 2);
    assert_string_not_equal(f->sent[0].addr, f->sent[1].addr);
    fake_free(f);
}

static void a_slow_leader_that_answers_others_is_asked_again(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    fake_get(f, 0, 0);
    fake_get(f, 0, 0);
    fake_to(f, f->now + 100000);
    fake_reply(f, &f->sent[1], RGKV_OK, NULL);
    fake_to(f, f->now + FAKE_SECOND * 6 / 10);
    assert_int_equal(f->n_sent, 3);
    assert_string_equal(f->sent[0].addr, f->sent[2].addr);
    fake_free(f);
}

static void copies_grow_rarer_while_nobody_answers(void **state)
{
    struct fake *f = fake_connected();
    fake_get(f, 0, 0);
    fake_to(f, f->now + 20 * FAKE_SECOND);
    assert_in_range(f->n_sent, 5, 9);
    fake_free(f);
}

static void a_link_that_goes_down_sends_one_request_to_look_for_the_leader_and_then_the_rest_in_order(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    fake_get(f, 0, 0);
    fake_get(f, 1, 0);
    fake_get(f, 2, 0);
    assert_int_equal(f->n_sent, 3);
    fake_link(f, f->sent[0].addr, false);
    assert_int_equal(f->n_sent, 4);
    fake_reply(f, fake_last(f), RGKV_OK, NULL);
    assert_int_equal(f->n_sent, 6);
    for (int i = 0; i < 3; i++) {
        assert_string_not_equal(f->sent[3 + i].addr, f->sent[i].addr);
        assert_int_equal(f->sent[3 + i].m.kv_request.request.shard, i);
    }
    fake_free(f);
}

static void a_link_that_does_not_come_up_is_passed_over_and_waited_for(void **state)
{
    struct fake *f = fake_connected();
    f->links_come_up = false;
    fake_get(f, 0, 0);
    assert_int_equal(f->n_sent, 0);
    fake_to(f, f->now + 2 * FAKE_SECOND);
    assert_int_equal(f->n_connects, 3); /* each member, once */
    fake_link(f, f->connects[1], true);
    assert_int_equal(f->n_sent, 1);
    assert_string_equal(f->sent[0].addr, f->connects[1]);
    fake_free(f);
}

static void no_message_goes_to_an_address_whose_link_is_not_up(void **state)
{
    struct fake *f = fake_connected();
    f->links_come_up = false;
    fake_get(f, 0, 0);
    fake_link(f, f->connects[0], false);
    fake_link(f, f->connects[0], false);
    assert_int_equal(f->n_sent, 0);
    fake_free(f);
}

static void wrong_group_asks_for_the_placement_and_follows_it(void **state)
{
    struct fake *f = fake_connected();
    fake_to(f, f->now + 100000);
    fake_get(f, 0, 0);
    f->answers_polls = false;
    unsigned polls = f->n_polls;
    fake_reply(f, &f->sent[0], RGKV_WRONG_GROUP, NULL);
    assert_int_equal(f->n_polls, polls + 1);
    assert_int_equal(f->poll.m.poll.hold_us, 0);
    assert_int_equal(f->n_sent, 1);
    f->shards[0] = (struct ctrl_shard){.holder = 102, .epoch = 2, .active = true};
    fake_view_newer(f);
    assert_int_equal(f->n_sent, 2);
    assert_int_equal(f->sent[1].addr[0], gid_102_first(f)[0]);
    assert_int_equal(f->sent[1].m.kv_request.gid, 102);
    fake_free(f);
}

static void a_moving_shard_is_asked_again_after_growing_pauses(void **state)
{
    struct fake *f = fake_connected();
    fake_get(f, 0, 0);
    uint64_t begin = f->now;
    while (f->now < begin + FAKE_SECOND) {
        fake_reply(f, fake_last(f), RGKV_MOVING, NULL);
        unsigned before = f->n_sent;
        while (f->n_sent == before)
            fake_to(f, client_deadline_us(f->c));
    }
    assert_in_range(f->n_sent, 20, 40);
    assert_true(f->sent[1].addr[1] == f->sent[0].addr[1]); /* its leader said so: no reason to ask another */
    fake_free(f);
}

static void a_moving_shard_is_asked_at_once_when_the_placement_says_that_it_arrived(void **state)
{
    struct fake *f = fake_connected();
    fake_to(f, f->now + 100000);
    fake_get(f, 0, 0);
    fake_reply(f, &f->sent[0], RGKV_MOVING, NULL);
    f->shards[0] = (struct ctrl_shard){.holder = 102, .epoch = 2, .active = true};
    fake_view_newer(f);
    assert_int_equal(f->n_sent, 2);
    assert_int_equal(f->sent[1].m.kv_request.gid, 102);
    fake_free(f);
}

/* A client may reach one group and not the other. The shard's new holder is no news about the members of its old one. */
static void what_waits_for_a_group_that_cannot_be_reached_follows_its_shard_to_another(void **state)
{
    struct fake *f = fake_connected();
    fake_to(f, f->now + 100000);
    f->links_come_up = false;
    uint64_t change = fake_append(f, 0, "x", 0), read = fake_get(f, 0, 0), stays = fake_get(f, 1, 0);
    fake_to(f, f->now + FAKE_SECOND * 12 / 10);
    assert_int_equal(f->n_connects, 3); /* no link to any member of group 101 came up */
    assert_int_equal(f->n_sent, 0);
    f->links_come_up = true;
    f->shards[0] = (struct ctrl_shard){.holder = 102, .epoch = 2, .active = true};
    fake_view_newer(f);
    assert_int_equal(f->n_sent, 1); /* the one that looks for the leader: the shard's time, for the change was first */
    assert_int_equal(f->sent[0].m.kv_request.gid, 102);
    fake_contact(f, 5000);
    assert_int_equal(f->n_sent, 3);
    for (unsigned i = 1; i < 3; i++)
        fake_reply(f, &f->sent[i], RGKV_OK, NULL);
    assert_int_equal(fake_outcome(f, change)->err, RGKV_OK);
    assert_int_equal(fake_outcome(f, read)->err, RGKV_OK);
    assert_false(fake_is_done(f, stays));
    fake_free(f);
}

static void a_busy_group_is_asked_again_after_a_pause(void **state)
{
    struct fake *f = fake_connected();
    fake_get(f, 0, 0);
    fake_reply(f, &f->sent[0], RGKV_BUSY, NULL);
    assert_int_equal(f->n_sent, 1);
    fake_to(f, f->now + 10000);
    assert_int_equal(f->n_sent, 2);
    assert_string_equal(f->sent[0].addr, f->sent[1].addr);
    fake_free(f);
}

static void a_shard_without_a_holder_waits_and_is_no_group_at_the_deadline(void **state)
{
    struct fake *f = fake_connected();
    uint64_t id = fake_append(f, 7, "x", f->now + FAKE_SECOND);
    fake_to(f, f->now + FAKE_SECOND - 1);
    assert_false(fake_is_done(f, id));
    fake_to(f, f->now + 1);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_NO_GROUP);
    assert_non_null(strstr(fake_outcome(f, id)->why, "nothing was applied"));
    fake_free(f);
}

static void a_shard_without_a_holder_is_served_when_a_group_joins(void **state)
{
    struct fake *f = fake_connected();
    fake_to(f, f->now + 100000);
    fake_get(f, 7, 0);
    f->shards[7] = (struct ctrl_shard){.holder = 102, .epoch = 1, .active = true};
    fake_view_newer(f);
    assert_int_equal(f->n_sent, 1);
    fake_free(f);
}

static void a_dead_group_is_unreachable_and_the_sentence_names_its_addresses(void **state)
{
    struct fake *f = fake_connected();
    f->links_come_up = false;
    uint64_t id = fake_append(f, 6, "x", f->now + FAKE_SECOND);
    fake_to(f, f->now + FAKE_SECOND);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_UNREACHABLE);
    assert_string_equal(fake_outcome(f, id)->why,
                        "group 102 could not be reached at any of b1:1 b2:1 b3:1; nothing was applied");
    fake_free(f);
}

static void every_copy_refused_is_unreachable_and_not_unknown(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    uint64_t end = f->now + FAKE_SECOND;
    uint64_t id = fake_append(f, 0, "x", end);
    for (unsigned i = 0; !fake_is_done(f, id); fake_to(f, MIN(client_deadline_us(f->c), end)))
        while (i < f->n_sent)
            fake_reply(f, &f->sent[i++], RGKV_NOT_LEADER, NULL);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_UNREACHABLE);
    fake_free(f);
}

static void without_any_controller_the_outcome_says_so(void **state)
{
    struct fake *f = fake_new();
    f->links_come_up = false;
    uint64_t id = fake_append(f, 0, "x", f->now + FAKE_SECOND);
    fake_to(f, f->now + FAKE_SECOND);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_UNREACHABLE);
    assert_string_equal(fake_outcome(f, id)->why,
                        "the controller could not be reached at any of c1:1 c2:1 c3:1; nothing was applied");
    fake_free(f);
}

static void a_hard_request_waits_for_ever(void **state)
{
    struct fake *f = fake_connected();
    f->links_come_up = false;
    uint64_t id = fake_append(f, 6, "x", 0);
    fake_to(f, f->now + 7200ull * FAKE_SECOND);
    assert_false(fake_is_done(f, id));
    for (unsigned i = 0; i < f->n_connects; i++)
        if (f->connects[i][0] == 'b')
            fake_link(f, f->connects[i], true);
    assert_true(f->n_sent > 0);
    fake_free(f);
}

static void a_malformed_request_is_answered_with_its_errno_and_never_sent(void **state)
{
    struct fake *f = fake_connected();
    struct kv_request q = {.op = KV_STAT, .key = bytes_str("/x")};
    uint64_t id = fake_kv(f, &q, 0);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_INVALID);
    q = (struct kv_request){.op = KV_LIST, .shard = FAKE_SHARDS};
    id = fake_kv(f, &q, 0);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_INVALID);
    q = (struct kv_request){.op = KV_EXCHANGE, .key = bytes_str(fake_key(0, 0)), .key2 = bytes_str(fake_key(1, 0))};
    id = fake_kv(f, &q, 0);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_CROSS_SHARD);
    struct client_request nonsense = {.kind = CLIENT_READ, .read = CTRL_READ_COUNT};
    id = client_submit(f->c, &nonsense, f->now);
    fake_drain(f);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_INVALID);
    struct ctrl_command bad = {.op = CTRL_PREPARE};
    struct client_request admin = {.kind = CLIENT_ADMIN, .admin = &bad};
    id = client_submit(f->c, &admin, f->now);
    fake_drain(f);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_INVALID);
    assert_int_equal(f->n_sent, 0);
    fake_free(f);
}

static void P25_the_root_is_listed_in_the_shard_that_was_asked_for(void **state)
{
    struct fake *f = fake_connected();
    struct kv_request q = {.op = KV_LIST, .shard = 6, .length = 10};
    fake_kv(f, &q, 0);
    assert_int_equal(f->sent[0].m.kv_request.request.shard, 6);
    assert_int_equal(f->sent[0].m.kv_request.gid, 102);
    fake_free(f);
}

static void a_view_of_another_cluster_is_refused(void **state)
{
    struct fake *f = fake_connected();
    fake_to(f, f->now + 100000);
    f->view.cluster = 78;
    f->view.version = 100;
    struct fake_sent poll = f->poll;
    fake_view(f);
    assert_int_equal(client_view(f->c)->cluster, 77);
    assert_int_equal(client_view(f->c)->version, 1);
    f->answers_polls = false;
    fake_to(f, f->now + 300000);
    assert_string_not_equal(f->poll.addr, poll.addr);
    fake_free(f);
}

static void a_group_of_another_cluster_is_unreachable_and_the_sentence_says_why(void **state)
{
    struct fake *f = fake_connected();
    uint64_t end = f->now + FAKE_SECOND, id = fake_get(f, 0, end);
    f->view.cluster = 78; /* of the replies */
    for (unsigned i = 0; !fake_is_done(f, id); fake_to(f, MIN(client_deadline_us(f->c), end)))
        while (i < f->n_sent)
            fake_reply(f, &f->sent[i++], RGKV_OK, NULL);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_UNREACHABLE);
    assert_non_null(strstr(fake_outcome(f, id)->why, "belongs to another cluster"));
    fake_free(f);
}

static void a_strangers_answer_to_a_change_is_neither_believed_nor_a_refusal(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    uint64_t id = fake_append(f, 0, "x", f->now + FAKE_SECOND);
    f->view.cluster = 78;
    fake_reply(f, &f->sent[0], RGKV_OK, NULL);
    assert_false(fake_is_done(f, id));
    fake_to(f, f->now + FAKE_SECOND);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_UNKNOWN);
    fake_free(f);
}

/* It was wiped and knows no cluster yet: it answers, with none, that it does not lead. */
static void a_change_is_not_sent_to_a_blank_node_for_ever(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    uint64_t id = fake_append(f, 0, "x", 0);
    char old[ADDR_BYTES_MAX], blank[ADDR_BYTES_MAX] = "";
    memcpy(old, f->sent[0].addr, sizeof(old));
    for (unsigned i = 0; !fake_is_done(f, id) && f->now < 30 * FAKE_SECOND; fake_to(f, client_deadline_us(f->c)))
        for (; i < f->n_sent; i++) {
            struct fake_sent *s = &f->sent[i];
            fake_to(f, f->now + 1000); /* on its way */
            if (!blank[0] && strcmp(s->addr, old))
                memcpy(blank, s->addr, sizeof(blank));
            bool is_blank = !strcmp(s->addr, blank), leads = !is_blank && strcmp(s->addr, old);
            f->view.cluster = is_blank ? 0 : 77; /* of the replies */
            fake_reply(f, s, leads ? RGKV_OK : RGKV_NOT_LEADER, NULL);
            f->view.cluster = 77;
        }
    assert_int_equal(fake_outcome(f, id)->err, RGKV_OK);
    fake_free(f);
}

static void a_reply_of_another_kind_is_ignored(void **state)
{
    struct fake *f = fake_connected();
    uint64_t id = fake_get(f, 0, 0);
    struct msg m = {.kind = MSG_ADMIN_REPLY, .id = f->sent[0].m.id, .cluster = 77};
    fake_receive(f, f->sent[0].addr, &m);
    m.kind = MSG_HELLO;
    fake_receive(f, f->sent[0].addr, &m);
    assert_false(fake_is_done(f, id));
    fake_free(f);
}

static void a_refused_message_sends_the_request_elsewhere(void **state)
{
    struct fake *f = fake_connected();
    fake_get(f, 0, 0);
    struct msg m = {.kind = MSG_REFUSED, .id = f->sent[0].m.id, .cluster = 77};
    m.refused.err = RGKV_STOPPED;
    fake_receive(f, f->sent[0].addr, &m);
    fake_to(f, f->now + 10000);
    assert_int_equal(f->n_sent, 2);
    assert_string_not_equal(f->sent[0].addr, f->sent[1].addr);
    fake_free(f);
}

static void a_refused_message_that_would_meet_every_copy_ends_the_request(void **state)
{
    struct fake *f = fake_connected();
    uint64_t id = fake_get(f, 0, 0);
    struct msg m = {.kind = MSG_REFUSED, .id = f->sent[0].m.id, .cluster = 77};
    m.refused = (struct msg_refused){RGKV_TOO_LARGE, "over the limit of this node"};
    fake_receive(f, f->sent[0].addr, &m);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_TOO_LARGE);
    assert_string_equal(fake_outcome(f, id)->why, "over the limit of this node");
    fake_free(f);
}

static void a_node_that_lost_its_lead_says_unknown_and_the_request_goes_on(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    uint64_t id = fake_append(f, 0, "x", 0);
    fake_reply(f, &f->sent[0], RGKV_UNKNOWN, NULL);
    fake_to(f, f->now + 10000);
    assert_int_equal(f->n_sent, 2);
    fake_reply(f, &f->sent[1], RGKV_OK, NULL);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_OK);
    fake_free(f);
}

static void a_text_is_read_from_the_controllers_leader(void **state)
{
    struct fake *f = fake_connected();
    struct client_request q = {.kind = CLIENT_READ, .read = CTRL_READ_CONFIG, .number = 3};
    uint64_t id = client_submit(f->c, &q, f->now);
    fake_drain(f);
    assert_int_equal(f->sent[0].m.kind, MSG_CTRL_READ);
    assert_int_equal(f->sent[0].m.ctrl_read.number, 3);
    struct msg m = {.kind = MSG_CTRL_TEXT, .id = f->sent[0].m.id, .cluster = 77};
    m.ctrl_text.err = RGKV_NOT_LEADER;
    const char *leader = strcmp(f->sent[0].addr, "c1:1") ? "c1:1" : "c2:1";
    snprintf(m.ctrl_text.leader_addr, ADDR_BYTES_MAX, "%s", leader);
    fake_receive(f, f->sent[0].addr, &m);
    assert_string_equal(fake_last(f)->addr, leader);
    m = (struct msg){.kind = MSG_CTRL_TEXT, .id = fake_last(f)->m.id, .cluster = 77};
    m.ctrl_text.text = bytes_str("num 3\n");
    fake_receive(f, leader, &m);
    assert_int_equal(fake_outcome(f, id)->err, RGKV_OK);
    assert_string_equal(fake_outcome(f, id)->text, "num 3\n");
    fake_free(f);
}

static void a_view_that_was_asked_for_is_fetched_after_the_question(void **state)
{
    struct fake *f = fake_connected();
    fake_to(f, f->now + 100000);
    f->answers_polls = false;
    struct client_request q = {.kind = CLIENT_VIEW};
    uint64_t id = client_submit(f->c, &q, f->now);
    fake_drain(f);
    assert_int_equal(f->poll.m.poll.hold_us, 0);
    assert_false(fake_is_done(f, id));
    fake_view_newer(f);
    assert_true(fake_outcome(f, id)->has_view);
    assert_int_equal(fake_outcome(f, id)->version, 2);
    fake_free(f);
}

static void health_is_what_was_heard_within_three_seconds(void **state)
{
    struct fake *f = fake_connected();
    struct client_stats s;
    client_stats(f->c, &s);
    assert_true(s.controller_reached);
    assert_int_equal(client_group_health(f->c, 101), CLIENT_GROUP_UNKNOWN);
    uint64_t id = fake_get(f, 0, 0);
    fake_reply(f, &f->sent[0], RGKV_OK, NULL);
    assert_true(fake_is_done(f, id));
    assert_int_equal(client_group_health(f->c, 101), CLIENT_GROUP_OK);
    fake_get(f, 0, 0);
    fake_to(f, f->now + 4 * FAKE_SECOND);
    assert_int_equal(client_group_health(f->c, 101), CLIENT_GROUP_DOWN);
    client_stats(f->c, &s);
    assert_false(s.controller_reached); /* its held poll was not answered */
    assert_int_equal(s.submitted, 2);
    assert_int_equal(s.done, 1);
    assert_int_equal(s.inflight, 1);
    assert_true(s.retries >= 1);
    fake_free(f);
}

static void links_that_nobody_needs_are_let_go(void **state)
{
    struct fake *f = fake_connected();
    fake_get(f, 0, 0);
    fake_link(f, f->sent[0].addr, false); /* to another member: the first link is needed no more */
    fake_reply(f, fake_last(f), RGKV_OK, NULL);
    fake_to(f, f->now + 200ull * FAKE_SECOND);
    assert_true(f->n_disconnects >= 1);
    unsigned connects = f->n_connects;
    fake_get(f, 0, 0);
    assert_int_equal(f->n_connects, connects); /* the leader's was kept */
    fake_free(f);
}

static void a_member_that_moved_is_asked_at_its_new_address(void **state)
{
    struct fake *f = fake_connected();
    fake_to(f, f->now + 100000);
    f->links_come_up = false;
    fake_get(f, 6, 0);
    for (unsigned i = 0; i < 3; i++)
        snprintf(f->groups[1].members[i].addr, ADDR_BYTES_MAX, "n%u:1", i);
    f->links_come_up = true;
    fake_view_newer(f);
    assert_int_equal(f->n_sent, 1);
    assert_int_equal(f->sent[0].addr[0], 'n');
    fake_free(f);
}

static void a_replys_data_is_the_callers_until_the_next_call(void **state)
{
    struct fake *f = fake_connected();
    uint64_t id = fake_get(f, 0, 0);
    char value[] = "value";
    struct msg m = {.kind = MSG_KV_REPLY, .id = f->sent[0].m.id, .cluster = 77};
    m.kv_reply.data = bytes_str(value);
    struct client_input i = {.kind = CLIENT_RECEIVED, .now_us = f->now, .addr = f->sent[0].addr, .message = &m};
    client_step(f->c, &i);
    memset(value, 'x', 5); /* the frame is gone */
    fake_drain(f);
    assert_string_equal(fake_outcome(f, id)->text, "value");
    assert_ptr_equal(fake_outcome(f, id)->tag, f);
    fake_free(f);
}

/* Answers NOT_LEADER, without a hint, to all that is asked until then. */
static void deny_until(struct fake *f, unsigned *answered, uint64_t end)
{
    while (f->now < end) {
        while (*answered < f->n_sent)
            fake_reply(f, &f->sent[(*answered)++], RGKV_NOT_LEADER, NULL);
        fake_to(f, MIN(client_deadline_us(f->c), end));
    }
}

static void seven_thousand_requests_do_not_storm_a_group_without_a_leader(void **state)
{
    struct fake *f = fake_connected();
    fake_know_shard(f, 0);
    for (unsigned i = 0; i < 7000; i++)
        fake_get(f, 0, 0);
    char leader[ADDR_BYTES_MAX];
    snprintf(leader, sizeof(leader), "%s", f->sent[0].addr);
    fake_forget(f);
    fake_link(f, leader, false);
    unsigned answered = 0;
    deny_until(f, &answered, f->now + FAKE_SECOND);
    assert_in_range(f->n_sent, 20, 70); /* an election is not over long before somebody asks */
    deny_until(f, &answered, f->now + FAKE_SECOND);
    unsigned asked = f->n_sent;
    deny_until(f, &answered, f->now + 5 * FAKE_SECOND);
    assert_in_range(f->n_sent - asked, 20, 60);
    while (answered < f->n_sent)
        fake_reply(f, &f->sent[answered++], RGKV_NOT_LEADER, NULL);
    while (answered == f->n_sent)
        fake_to(f, client_deadline_us(f->c));
    fake_reply(f, fake_last(f), RGKV_OK, NULL);
    assert_true(f->n_sent > 6999);
    fake_free(f);
}

static void the_next_request_looks_for_the_leader_if_the_one_that_did_is_cancelled(void **state)
{
    struct fake *f = fake_connected();
    uint64_t id = fake_get(f, 0, 0);
    fake_get(f, 1, 0);
    assert_int_equal(f->n_sent, 1);
    client_cancel(f->c, id, f->now);
    fake_drain(f);
    assert_int_equal(f->n_sent, 2);
    assert_int_equal(f->sent[1].m.kv_request.request.shard, 1);
    fake_free(f);
}

static void the_next_request_looks_for_the_leader_if_the_shard_of_the_one_that_did_moves_away(void **state)
{
    struct fake *f = fake_connected();
    fake_to(f, f->now + 100000);
    fake_get(f, 0, 0);
    fake_get(f, 1, 0);
    f->shards[0] = (struct ctrl_shard){.holder = 0, .epoch = 2};
    fake_view_newer(f);
    fake_to(f, f->now + FAKE_SECOND);
    assert_int_equal(fake_last(f)->m.kv_request.request.shard, 1);
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_effect_is_a_link_to_a_controller_and_then_a_poll),
        cmocka_unit_test(a_held_poll_is_always_out_so_news_arrive_by_themselves),
        cmocka_unit_test(an_older_view_is_not_taken),
        cmocka_unit_test(requests_before_the_first_view_wait_and_leave_in_order),
        cmocka_unit_test(a_hint_is_followed_at_once_and_the_leader_is_remembered),
        cmocka_unit_test(without_a_hint_the_members_are_tried_in_turn_after_a_pause),
        cmocka_unit_test(a_silent_member_is_passed_over),
        cmocka_unit_test(a_slow_leader_that_answers_others_is_asked_again),
        cmocka_unit_test(copies_grow_rarer_while_nobody_answers),
        cmocka_unit_test(a_link_that_goes_down_sends_one_request_to_look_for_the_leader_and_then_the_rest_in_order),
        cmocka_unit_test(a_link_that_does_not_come_up_is_passed_over_and_waited_for),
        cmocka_unit_test(no_message_goes_to_an_address_whose_link_is_not_up),
        cmocka_unit_test(wrong_group_asks_for_the_placement_and_follows_it),
        cmocka_unit_test(a_moving_shard_is_asked_again_after_growing_pauses),
        cmocka_unit_test(a_moving_shard_is_asked_at_once_when_the_placement_says_that_it_arrived),
        cmocka_unit_test(what_waits_for_a_group_that_cannot_be_reached_follows_its_shard_to_another),
        cmocka_unit_test(a_busy_group_is_asked_again_after_a_pause),
        cmocka_unit_test(a_shard_without_a_holder_waits_and_is_no_group_at_the_deadline),
        cmocka_unit_test(a_shard_without_a_holder_is_served_when_a_group_joins),
        cmocka_unit_test(a_dead_group_is_unreachable_and_the_sentence_names_its_addresses),
        cmocka_unit_test(every_copy_refused_is_unreachable_and_not_unknown),
        cmocka_unit_test(without_any_controller_the_outcome_says_so),
        cmocka_unit_test(a_hard_request_waits_for_ever),
        cmocka_unit_test(a_malformed_request_is_answered_with_its_errno_and_never_sent),
        cmocka_unit_test(P25_the_root_is_listed_in_the_shard_that_was_asked_for),
        cmocka_unit_test(a_view_of_another_cluster_is_refused),
        cmocka_unit_test(a_group_of_another_cluster_is_unreachable_and_the_sentence_says_why),
        cmocka_unit_test(a_strangers_answer_to_a_change_is_neither_believed_nor_a_refusal),
        cmocka_unit_test(a_change_is_not_sent_to_a_blank_node_for_ever),
        cmocka_unit_test(a_reply_of_another_kind_is_ignored),
        cmocka_unit_test(a_refused_message_sends_the_request_elsewhere),
        cmocka_unit_test(a_refused_message_that_would_meet_every_copy_ends_the_request),
        cmocka_unit_test(a_node_that_lost_its_lead_says_unknown_and_the_request_goes_on),
        cmocka_unit_test(a_text_is_read_from_the_controllers_leader),
        cmocka_unit_test(a_view_that_was_asked_for_is_fetched_after_the_question),
        cmocka_unit_test(health_is_what_was_heard_within_three_seconds),
        cmocka_unit_test(links_that_nobody_needs_are_let_go),
        cmocka_unit_test(a_member_that_moved_is_asked_at_its_new_address),
        cmocka_unit_test(seven_thousand_requests_do_not_storm_a_group_without_a_leader),
        cmocka_unit_test(the_next_request_looks_for_the_leader_if_the_one_that_did_is_cancelled),
        cmocka_unit_test(the_next_request_looks_for_the_leader_if_the_shard_of_the_one_that_did_moves_away),
        cmocka_unit_test(a_replys_data_is_the_callers_until_the_next_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
