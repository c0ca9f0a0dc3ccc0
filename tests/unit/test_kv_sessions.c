/* Exactly once: retries, floors, windows, expiry and late copies (P5, P12, P28). */
#include "tests/unit/kv_help.h"

/* One request, all of it said. */
static enum rgkv_err send(struct rig *r, uint64_t client, uint64_t seq, uint64_t floor, uint64_t born_us, const char *text)
{
    struct kv_request q = ask(KV_APPEND, "a");
    q.client = client;
    q.seq = seq;
    q.floor = floor;
    q.born_us = born_us;
    q.data = bytes_str(text);
    q.shard = kv_key_shard(q.key, r->nshards);
    struct kv_command c = {.kind = KV_REQUEST, .request = q};
    return rig_apply(r, &c);
}

static uint64_t now(struct rig *r)
{
    struct kv_shard_status s;
    kv_shard_status(r->kv, kv_key_shard(bytes_str("a"), r->nshards), &s);
    return s.time_us;
}

static void P28_a_retry_gets_the_recorded_outcome_and_is_not_executed(void **state)
{
    struct rig *r = rig_new(1);
    assert_int_equal(send(r, 1, 1, 1, 0, "x"), RGKV_OK);
    struct kv_attr first = r->last.reply.attr;
    assert_false(r->last.duplicate);
    put(r, "a", "changed by another since");
    assert_int_equal(send(r, 1, 1, 1, 0, "x"), RGKV_OK);
    assert_true(r->last.duplicate);
    struct kv_attr again = r->last.reply.attr;
    assert_true(again.version == first.version && again.size == first.size && again.ino == first.ino);
    assert_value(r, "a", "changed by another since");
    rig_free(r);
}

static void P28_an_error_is_recorded_too(void **state)
{
    struct rig *r = rig_new(1);
    on(r, KV_MKDIR, "a");
    assert_int_equal(send(r, 1, 1, 1, 0, "x"), RGKV_IS_DIR);
    on(r, KV_RMDIR, "a");
    assert_int_equal(send(r, 1, 1, 1, 0, "x"), RGKV_IS_DIR);
    assert_true(r->last.duplicate);
    assert_int_equal(stat_of(r, "a"), RGKV_NOT_FOUND);
    rig_free(r);
}

static void B10_a_retry_after_a_restart_is_not_executed(void **state)
{
    struct rig *r = rig_new(1);
    send(r, 1, 1, 1, 0, "x");
    rig_reopen(r);
    assert_int_equal(send(r, 1, 1, 1, 0, "x"), RGKV_OK);
    assert_true(r->last.duplicate);
    assert_value(r, "a", "x");
    rig_free(r);
}

static void a_retry_in_the_same_batch_is_not_executed(void **state)
{
    struct rig *r = rig_new(1);
    r->batch = 100;
    send(r, 1, 1, 1, 0, "x");
    send(r, 1, 1, 1, 0, "x");
    assert_true(r->last.duplicate);
    assert_value(r, "a", "x");
    rig_free(r);
}

static void P12_below_the_floor_is_refused_and_above_it_any_order_goes(void **state)
{
    struct rig *r = rig_new(1);
    assert_int_equal(send(r, 1, 5, 3, 0, "5"), RGKV_OK);
    assert_int_equal(send(r, 1, 2, 2, 0, "2"), RGKV_SESSION_OLD);
    assert_int_equal(send(r, 1, 3, 3, 0, "3"), RGKV_OK);
    assert_int_equal(send(r, 1, 4, 3, 0, "4"), RGKV_OK);
    assert_int_equal(send(r, 1, 3, 3, 0, "3"), RGKV_OK);
    assert_true(r->last.duplicate);
    assert_value(r, "a", "534");
    rig_free(r);
}

static void P12_results_at_or_above_the_floor_are_kept_and_the_window_ends_busy(void **state)
{
    struct rig *r = rig_new(1);
    r->batch = 50;
    for (uint64_t seq = 1; seq <= SESSION_WINDOW; seq++)
        assert_int_equal(send(r, 1, seq, 1, 0, "x"), RGKV_OK);
    uint64_t before = checksum(r);
    assert_int_equal(send(r, 1, SESSION_WINDOW + 1, 1, 0, "x"), RGKV_BUSY);
    assert_true(before == checksum(r)); /* BUSY leaves nothing behind */
    struct kv_request q = {.seq = SESSION_WINDOW + 1, .floor = 1, .client = 1};
    assert_int_equal(kv_may_propose(r->kv, &q), RGKV_BUSY);
    q.floor = 2;
    assert_int_equal(kv_may_propose(r->kv, &q), RGKV_OK);
    rig_reopen(r);
    for (uint64_t seq = 1; seq <= SESSION_WINDOW; seq++) {
        assert_int_equal(send(r, 1, seq, 1, 0, "x"), RGKV_OK);
        assert_true(r->last.duplicate);
    }
    assert_int_equal(send(r, 1, SESSION_WINDOW + 1, 2, 0, "x"), RGKV_OK);
    assert_false(r->last.duplicate);
    rig_free(r);
}

static void P12_floors_and_sequences_are_of_one_client_in_one_shard(void **state)
{
    struct rig *r = rig_new(1);
    send(r, 1, 100, 100, 0, "1");
    assert_int_equal(send(r, 2, 1, 1, 0, "2"), RGKV_OK);
    assert_value(r, "a", "12");
    rig_free(r);
}

static void P5_a_late_copy_after_its_session_expired_is_not_executed(void **state)
{
    struct rig *r = rig_new(1);
    uint64_t born = now(r);
    send(r, 1, 1, 1, born, "x");
    clock_to(r, r->time_us + SESSION_TTL_US);
    assert_int_equal(rows_of_table(r, "\0\0s", 3), 0);
    assert_int_equal(send(r, 1, 1, 1, born, "x"), RGKV_SESSION_EXPIRED);
    assert_value(r, "a", "x");
    assert_int_equal(send(r, 1, 2, 2, now(r), "y"), RGKV_OK);
    rig_free(r);
}

/* "Row absent" alone would double it: the row is there again, but younger than the request. */
static void P5_a_late_copy_is_not_executed_in_a_younger_session(void **state)
{
    struct rig *r = rig_new(1);
    uint64_t born = now(r);
    send(r, 1, 1, 1, born, "x");
    clock_to(r, r->time_us + SESSION_TTL_US);
    assert_int_equal(send(r, 1, 2, 1, now(r), "y"), RGKV_OK);
    assert_int_equal(send(r, 1, 1, 1, born, "x"), RGKV_SESSION_EXPIRED);
    assert_value(r, "a", "xy");
    rig_free(r);
}

static void P5_an_old_request_in_an_older_session_is_executed(void **state)
{
    struct rig *r = rig_new(1);
    send(r, 1, 1, 1, now(r), "x");
    uint64_t born = now(r);
    for (int i = 2; i < 6; i++) {
        r->time_us += SESSION_TTL_US / 2;
        assert_int_equal(send(r, 1, (uint64_t)i + 1, 2, now(r), "."), RGKV_OK);
    }
    assert_int_equal(send(r, 1, 2, 2, born, "late"), RGKV_OK); /* never seen, and the session would know */
    assert_value(r, "a", "x....late");
    rig_free(r);
}

static void P5_a_session_that_is_used_does_not_expire(void **state)
{
    struct rig *r = rig_new(1);
    for (uint64_t i = 1; i <= 10; i++) {
        send(r, 1, i, i, now(r), "x");
        clock_to(r, r->time_us + SESSION_TTL_US - 1);
        assert_int_equal(rows_of_table(r, "\0\0s", 3), 1);
    }
    clock_to(r, r->time_us + 1);
    assert_int_equal(rows_of_table(r, "\0\0s", 3), 0);
    assert_false(kv_clock_due(r->kv, UINT64_MAX / 2));
    rig_free(r);
}

static void P5_a_retry_keeps_its_session_alive(void **state)
{
    struct rig *r = rig_new(1);
    send(r, 1, 1, 1, now(r), "x");
    r->time_us += SESSION_TTL_US - 1;
    send(r, 1, 1, 1, 0, "x");
    assert_true(r->last.duplicate);
    clock_to(r, r->time_us + 1);
    assert_int_equal(rows_of_table(r, "\0\0s", 3), 1);
    rig_free(r);
}

static void P11_refusals_for_the_shards_sake_are_not_recorded(void **state)
{
    struct rig *r = rig_new(1);
    rig_shard(r, KV_FREEZE, 0, 2, 0);
    uint64_t before = checksum(r);
    assert_int_equal(send(r, 1, 1, 1, 0, "x"), RGKV_MOVING);
    assert_true(before == checksum(r));
    rig_shard(r, KV_THAW, 0, 3, 0);
    assert_int_equal(send(r, 1, 1, 1, 0, "x"), RGKV_OK);
    assert_false(r->last.duplicate);
    rig_free(r);
}

static void P11_conditions_see_the_unfinished_batch(void **state)
{
    struct rig *r = rig_new(1);
    r->batch = 100;
    struct kv_request q = ask(KV_PUT, "a");
    q.flags = KV_CREATE_ONLY;
    assert_int_equal(rig_do(r, q), RGKV_OK);
    assert_int_equal(rig_do(r, q), RGKV_EXISTS);
    rig_shard(r, KV_FREEZE, 0, 2, 0);
    assert_int_equal(rig_do(r, q), RGKV_MOVING);
    rig_free(r);
}

static void a_client_that_never_came_before_may_be_too_many(void **state)
{
    struct rig *r = rig_new(1);
    r->batch = 1000;
    for (uint64_t i = 0; i < SESSIONS_PER_SHARD_MAX; i++)
        assert_int_equal(send(r, 1000 + i, 1, 1, now(r), ""), RGKV_OK);
    assert_int_equal(send(r, 1, 1, 1, now(r), ""), RGKV_BUSY);
    assert_int_equal(send(r, 1000, 2, 2, now(r), ""), RGKV_OK);
    assert_int_equal(send(r, 1000, 2, 2, now(r), ""), RGKV_OK);
    assert_true(r->last.duplicate);
    clock_to(r, r->time_us + SESSION_TTL_US);
    assert_int_equal(send(r, 1, 1, 1, now(r), ""), RGKV_OK);
    assert_int_equal(rows_of_table(r, "\0\0s", 3), 1);
    rig_free(r);
}

/* ---- one client, N requests, all that a network and a clock may do: no request is executed twice, none that was
 * answered OK is lost ---- */

#define WALK_REQUESTS 4
#define WALK_COPIES 40

struct copy {
    uint64_t seq, floor, born_us;
};
struct walk {
    struct rig *r;
    struct prng prng;
    unsigned next, n_copies, given_up;
    uint64_t known_us, born_us[WALK_REQUESTS + 1];
    bool done[WALK_REQUESTS + 2], ok[WALK_REQUESTS + 1];
    struct copy copies[WALK_COPIES];
};

static void walk_send(struct walk *w, uint64_t seq)
{
    uint64_t floor = 1;
    while (floor <= WALK_REQUESTS && w->done[floor])
        floor++;
    if (w->n_copies < WALK_COPIES)
        w->copies[w->n_copies++] = (struct copy){seq, MIN(floor, seq), w->born_us[seq]};
}

static void walk_first(struct walk *w)
{
    if (w->next > WALK_REQUESTS)
        return;
    w->born_us[w->next] = w->known_us;
    walk_send(w, w->next++);
}

static void walk_again_or_give_up(struct walk *w)
{
    if (w->next == 1)
        return;
    uint64_t seq = prng_between(&w->prng, 1, w->next - 1);
    if (w->done[seq])
        return;
    if (prng_chance(&w->prng, 2, 3))
        walk_send(w, seq);
    else
        w->done[seq] = true;
}

static void walk_deliver(struct walk *w)
{
    if (w->n_copies == 0)
        return;
    const struct copy *c = &w->copies[prng_below(&w->prng, w->n_copies)];
    char text[2] = {(char)('0' + c->seq), 0};
    enum rgkv_err err = send(w->r, 1, c->seq, c->floor, c->born_us, text);
    assert_true(err == RGKV_OK || err == RGKV_SESSION_OLD || err == RGKV_SESSION_EXPIRED);
    if (err || prng_chance(&w->prng, 1, 2))
        return; /* the answer is lost */
    w->ok[c->seq] = w->done[c->seq] = true;
    w->known_us = MAX(w->known_us, now(w->r));
}

static void walk_time(struct walk *w)
{
    struct kv_command c = {.kind = KV_CLOCK};
    w->r->time_us += SESSION_TTL_US / 2;
    if (prng_chance(&w->prng, 1, 2))
        rig_apply(w->r, &c);
}

static unsigned walk_count(struct walk *w, char letter)
{
    unsigned n = 0;
    for (size_t i = 0; i < w->r->reply.data.len; i++)
        n += w->r->reply.data.data[i] == (uint8_t)letter;
    return n;
}

static void walk_check(struct walk *w)
{
    bool found = get(w->r, "a") == RGKV_OK;
    for (unsigned seq = 1; seq <= WALK_REQUESTS; seq++) {
        unsigned n = found ? walk_count(w, (char)('0' + seq)) : 0;
        assert_true(n <= 1);
        if (w->ok[seq])
            assert_int_equal(n, 1);
    }
}

static void walk(uint64_t seed)
{
    struct walk w = {.r = rig_new(1), .next = 1};
    prng_init(&w.prng, seed);
    w.r->batch = 1 + (unsigned)prng_below(&w.prng, 4);
    for (unsigned i = 0; i < 40; i++) {
        uint64_t dice = prng_below(&w.prng, 10);
        if (dice < 2)
            walk_first(&w);
        else if (dice < 4)
            walk_again_or_give_up(&w);
        else if (dice < 8)
            walk_deliver(&w);
        else if (dice < 9)
            walk_time(&w);
        else if (prng_chance(&w.prng, 1, 5) && !w.r->in_batch)
            rig_reopen(w.r);
    }
    walk_check(&w);
    rig_free(w.r);
}

static void P5_no_walk_of_late_lost_and_doubled_copies_doubles_a_request(void **state)
{
    for (uint64_t seed = 1; seed <= 6000; seed++)
        walk(seed);
}

/* More sessions than are kept in memory: what is forgotten there is a row, also when its client asks something while the row is written. */
static void P5_who_asks_while_sessions_are_saved_and_forgotten_is_answered_once(void **state)
{
    struct rig *r = rig_new(1);
    r->alone = true;
    for (r->client = 1; r->client <= 9000; r->client++) {
        r->seq = 0;
        append(r, "log", bytes_str("x"));
    }
    if (!kv_save_begin(r->kv, &r->saving))
        fail();
    r->save = RIG_BEGUN;
    r->client = 1;
    r->seq = 1;
    struct kv_request q = ask(KV_APPEND, "log");
    q.data = bytes_str("y");
    assert_int_equal(rig_do(r, q), RGKV_OK);
    rig_settle(r);
    r->seq = 1; /* the same once more */
    assert_int_equal(rig_do(r, q), RGKV_OK);
    assert_true(r->last.duplicate);
    rig_reopen(r);
    r->seq = 1;
    assert_int_equal(rig_do(r, q), RGKV_OK);
    assert_true(r->last.duplicate);
    assert_int_equal(stat_of(r, "log"), RGKV_OK);
    assert_int_equal(r->reply.attr.size, 9001);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P28_a_retry_gets_the_recorded_outcome_and_is_not_executed),
        cmocka_unit_test(P28_an_error_is_recorded_too),
        cmocka_unit_test(B10_a_retry_after_a_restart_is_not_executed),
        cmocka_unit_test(a_retry_in_the_same_batch_is_not_executed),
        cmocka_unit_test(P12_below_the_floor_is_refused_and_above_it_any_order_goes),
        cmocka_unit_test(P12_results_at_or_above_the_floor_are_kept_and_the_window_ends_busy),
        cmocka_unit_test(P12_floors_and_sequences_are_of_one_client_in_one_shard),
        cmocka_unit_test(P5_a_late_copy_after_its_session_expired_is_not_executed),
        cmocka_unit_test(P5_a_late_copy_is_not_executed_in_a_younger_session),
        cmocka_unit_test(P5_an_old_request_in_an_older_session_is_executed),
        cmocka_unit_test(P5_a_session_that_is_used_does_not_expire),
        cmocka_unit_test(P5_a_retry_keeps_its_session_alive),
        cmocka_unit_test(P11_refusals_for_the_shards_sake_are_not_recorded),
        cmocka_unit_test(P11_conditions_see_the_unfinished_batch),
        cmocka_unit_test(a_client_that_never_came_before_may_be_too_many),
        cmocka_unit_test(P5_no_walk_of_late_lost_and_doubled_copies_doubles_a_request),
        cmocka_unit_test(P5_who_asks_while_sessions_are_saved_and_forgotten_is_answered_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
