/* Renaming a file to another shard (P6): locked until it is over, done once, recorded at both ends. */
#include "tests/unit/kv_help.h"

#define SHARDS 8

static char names[SHARDS][32]; /* a top-level name in each shard */

static struct rig *rig_with_names(void)
{
    for (unsigned i = 0; i < 1000; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%u", i);
        uint32_t shard = kv_key_shard(bytes_str(name), SHARDS);
        if (!names[shard][0])
            strcpy(names[shard], name);
    }
    return rig_new(SHARDS);
}

static const char *A = names[1], *B = names[2], *C = names[3];

/* One request between shards. */
static enum rgkv_err between(struct rig *r, struct kv_request q)
{
    struct kv_command c = {.kind = KV_REQUEST, .request = q};
    return rig_apply(r, &c);
}

static struct kv_request settle_of(const struct kv_intent *i, enum rgkv_err outcome)
{
    return (struct kv_request){.op = KV_SETTLE, .shard = i->shard, .key = i->key, .seq = i->number, .version = outcome};
}

static enum rgkv_err land_piece(struct rig *r, const struct kv_intent *i, uint64_t offset, uint32_t bytes)
{
    struct buf out = {0};
    struct kv_range range;
    struct kv_request q;
    if (r->in_batch)
        rig_finish(r);
    assert_int_equal(kv_land_request(r->kv, i, offset, bytes, &out, &range, &q), RGKV_OK);
    enum rgkv_err err = between(r, q);
    buf_release(&out);
    return err;
}

static enum rgkv_err land_all(struct rig *r, const struct kv_intent *i, uint32_t bytes)
{
    uint64_t offset = 0;
    for (;;) {
        enum rgkv_err err = land_piece(r, i, offset, bytes);
        if (err || !r->last.reply.more)
            return err;
        offset = r->last.reply.attr.size;
    }
}

static const struct kv_intent *open_intent(struct rig *r)
{
    const struct kv_intent *i = kv_intent_at(r->kv, 0);
    assert_non_null(i);
    return i;
}

/* What the leader does. */
static void carry_out(struct rig *r)
{
    while (kv_intent_at(r->kv, 0)) {
        const struct kv_intent *i = open_intent(r);
        enum rgkv_err outcome = land_all(r, i, 1000);
        between(r, settle_of(i, outcome));
    }
}

static enum rgkv_err rename_again(struct rig *r, const char *from, const char *to, uint32_t flags)
{
    r->seq--;
    return rename_to(r, KV_RENAME, from, to, flags);
}

static enum rgkv_err renamed(struct rig *r, const char *from, const char *to, uint32_t flags)
{
    enum rgkv_err err = rename_to(r, KV_RENAME, from, to, flags);
    if (err != RGKV_PENDING)
        return err;
    carry_out(r);
    return rename_again(r, from, to, flags);
}

static uint8_t noise[200000];

static void put_noise(struct rig *r, const char *key)
{
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(i * 31 + i / 256);
    struct kv_request q = ask(KV_PUT, key);
    q.data = bytes_of(noise, sizeof noise);
    q.mode = 0640;
    assert_int_equal(rig_do(r, q), RGKV_OK);
}

static void assert_noise(struct rig *r, const char *key)
{
    assert_int_equal(get(r, key), RGKV_OK);
    assert_int_equal(r->reply.data.len, sizeof noise);
    assert_memory_equal(r->reply.data.data, noise, sizeof noise);
}

static void a_file_goes_to_another_shard_with_all_that_is_its_own(void **state)
{
    struct rig *r = rig_with_names();
    put_noise(r, A);
    put(r, B, "old");
    struct kv_request x = ask(KV_XATTR_SET, A);
    x.key2 = bytes_str("user.a");
    x.data = bytes_str("1");
    assert_int_equal(rig_do(r, x), RGKV_OK);
    stat_of(r, A);
    struct kv_attr before = r->reply.attr;
    assert_int_equal(renamed(r, A, B, 0), RGKV_OK);
    assert_true(r->last.duplicate);
    assert_int_equal(stat_of(r, A), RGKV_NOT_FOUND);
    assert_noise(r, B);
    assert_true(r->reply.attr.ino == before.ino);
    assert_int_equal(r->reply.attr.mode, 0640);
    assert_true(r->reply.attr.mtime_ns == before.mtime_ns);
    x.op = KV_XATTR_GET;
    x.key = bytes_str(B);
    assert_int_equal(rig_read(r, x), RGKV_OK);
    assert_true(bytes_eq(r->reply.data, bytes_str("1")));
    rig_free(r);
}

static void the_source_is_locked_and_read_until_it_is_over(void **state)
{
    struct rig *r = rig_with_names();
    put(r, A, "value");
    assert_int_equal(rename_to(r, KV_RENAME, A, B, 0), RGKV_PENDING);
    assert_int_equal(rename_again(r, A, B, 0), RGKV_PENDING);
    assert_int_equal(put(r, A, "other"), RGKV_MOVING);
    assert_int_equal(on(r, KV_DELETE, A), RGKV_MOVING);
    assert_int_equal(rename_to(r, KV_RENAME, A, C, 0), RGKV_MOVING);
    assert_value(r, A, "value");
    carry_out(r);
    assert_int_equal(put(r, A, "other"), RGKV_OK);
    assert_value(r, A, "other");
    assert_value(r, B, "value");
    rig_free(r);
}

static void the_path_to_a_locked_file_is_locked(void **state)
{
    struct rig *r = rig_with_names();
    char file[64], other[64];
    snprintf(file, sizeof file, "%s/sub/f", A);
    on(r, KV_MKDIR, A);
    snprintf(other, sizeof other, "%s/sub", A);
    on(r, KV_MKDIR, other);
    put(r, file, "value");
    assert_int_equal(rename_to(r, KV_RENAME, file, B, 0), RGKV_PENDING);
    char to[64];
    snprintf(to, sizeof to, "%s/elsewhere", A);
    assert_int_equal(rename_to(r, KV_RENAME, other, to, 0), RGKV_MOVING);
    assert_int_equal(on(r, KV_MKDIR, to), RGKV_OK);
    carry_out(r);
    assert_int_equal(rename_to(r, KV_RENAME, other, to, 0), RGKV_OK);
    assert_value(r, B, "value");
    rig_free(r);
}

static void what_rename_refuses_is_refused_and_the_source_stays(void **state)
{
    struct rig *r = rig_with_names();
    char below[64];
    put(r, A, "value");
    assert_int_equal(renamed(r, C, B, 0), RGKV_NOT_FOUND);
    put(r, B, "there");
    assert_int_equal(renamed(r, A, B, KV_CREATE_ONLY), RGKV_EXISTS);
    assert_value(r, B, "there");
    assert_value(r, A, "value");
    snprintf(below, sizeof below, "%s/x", B);
    assert_int_equal(renamed(r, A, below, 0), RGKV_NOT_DIR);
    on(r, KV_DELETE, B);
    assert_int_equal(renamed(r, A, below, 0), RGKV_NOT_FOUND);
    on(r, KV_MKDIR, B);
    assert_int_equal(renamed(r, A, B, 0), RGKV_IS_DIR);
    assert_int_equal(renamed(r, B, A, 0), RGKV_CROSS_SHARD);
    assert_int_equal(renamed(r, A, below, 0), RGKV_OK);
    assert_value(r, below, "value");
    assert_int_equal(rename_to(r, KV_EXCHANGE, A, C, 0), RGKV_CROSS_SHARD);
    rig_free(r);
}

static void a_target_that_is_renamed_itself_is_a_conflict(void **state)
{
    struct rig *r = rig_with_names();
    put(r, A, "a");
    put(r, B, "b");
    assert_int_equal(rename_to(r, KV_RENAME, A, B, 0), RGKV_PENDING);
    assert_int_equal(rename_to(r, KV_RENAME, B, A, 0), RGKV_PENDING);
    carry_out(r);
    /* the first one carried out meets a lock; the second may succeed */
    assert_int_equal(rename_again(r, B, A, 0), RGKV_OK);
    assert_value(r, A, "b");
    assert_int_equal(stat_of(r, B), RGKV_NOT_FOUND);
    rig_free(r);
}

static void who_comes_late_or_twice_changes_nothing(void **state)
{
    struct rig *r = rig_with_names();
    struct buf late = {0};
    struct kv_range range;
    struct kv_request q;
    put(r, A, "first");
    rename_to(r, KV_RENAME, A, B, 0);
    const struct kv_intent *i = open_intent(r);
    assert_int_equal(kv_land_request(r->kv, i, 0, 1000, &late, &range, &q), RGKV_OK);
    char key[32];
    strcpy(key, B);
    q.key = bytes_str(key);
    assert_int_equal(between(r, q), RGKV_OK);
    put(r, B, "newer");
    assert_int_equal(between(r, q), RGKV_OK); /* told again, not done again */
    assert_value(r, B, "newer");
    struct kv_request over = settle_of(i, RGKV_OK);
    char from[32];
    strcpy(from, A);
    over.key = bytes_str(from);
    between(r, over);
    put(r, A, "second");
    between(r, over);
    assert_value(r, A, "second");
    assert_int_equal(renamed(r, A, B, 0), RGKV_OK);
    put(r, B, "newest");
    assert_int_equal(between(r, q), RGKV_STALE); /* below the floor now */
    assert_value(r, B, "newest");
    buf_release(&late);
    rig_free(r);
}

static void who_carries_it_out_may_begin_again(void **state)
{
    struct rig *r = rig_with_names();
    put_noise(r, A);
    rename_to(r, KV_RENAME, A, B, 0);
    assert_int_equal(land_piece(r, open_intent(r), 0, 70000), RGKV_OK);
    assert_int_equal(land_piece(r, open_intent(r), 70000, 70000), RGKV_OK);
    rig_reopen(r);
    assert_int_equal(land_piece(r, open_intent(r), 0, 5000), RGKV_OK);
    assert_true(r->last.reply.more);
    assert_int_equal(r->last.reply.attr.size, 140000);
    assert_int_equal(stat_of(r, B), RGKV_NOT_FOUND);
    carry_out(r);
    assert_int_equal(rename_again(r, A, B, 0), RGKV_OK);
    assert_noise(r, B);
    assert_int_equal(stat_of(r, A), RGKV_NOT_FOUND);
    rig_free(r);
}

static void a_rename_that_is_given_up_at_the_target_stays_so(void **state)
{
    struct rig *r = rig_with_names();
    put_noise(r, A);
    rename_to(r, KV_RENAME, A, B, 0);
    const struct kv_intent *i = open_intent(r);
    assert_int_equal(land_piece(r, i, 0, 70000), RGKV_OK);
    struct kv_request no = {.op = KV_LAND, .client = (uint64_t)i->shard + 1, .seq = i->number, .shard = i->target, .key = i->key2,
                            .version = RGKV_FULL};
    assert_int_equal(between(r, no), RGKV_FULL);
    carry_out(r);
    assert_int_equal(rename_again(r, A, B, 0), RGKV_FULL);
    assert_noise(r, A);
    assert_int_equal(stat_of(r, B), RGKV_NOT_FOUND);
    clock_to(r, r->time_us + 2 * OLD_VERSION_TTL_US);
    rig_free(r);
}

static void half_a_file_whose_source_was_given_up_goes_with_the_next_rename_from_there(void **state)
{
    struct rig *r = rig_with_names();
    put_noise(r, A);
    rename_to(r, KV_RENAME, A, B, 0);
    uint32_t target = open_intent(r)->target;
    const char data[] = {0, (char)target, 'd'}, landing[] = {0, (char)target, 'l'};
    assert_int_equal(land_piece(r, open_intent(r), 0, 100000), RGKV_OK);
    assert_true(rows_of_table(r, landing, 3) == 1 && rows_of_table(r, data, 3) > 0);

    struct kv_range range = {0, 4};
    struct kv_request next = {.op = KV_LAND, .client = (uint64_t)open_intent(r)->shard + 1, .seq = 1ull << 41, .floor = 1ull << 41, .shard = target,
                              .key = bytes_str(B), .data = bytes_str("next"), .offset = KV_FILE, .length = 4, .n_ranges = 1, .ranges = &range};
    assert_int_equal(between(r, next), RGKV_OK);
    assert_value(r, B, "next");
    clock_to(r, r->time_us + OLD_VERSION_TTL_US + SECOND);
    assert_int_equal(rows_of_table(r, landing, 3), 0);
    assert_int_equal(rows_of_table(r, data, 3), 0);
    rig_free(r);
}

static void a_caller_that_gave_up_is_not_recorded(void **state)
{
    struct rig *r = rig_with_names();
    put(r, A, "value");
    rename_to(r, KV_RENAME, A, B, 0);
    for (unsigned i = 0; i < 3000; i++) /* its window is far away by now */
        on(r, KV_DELETE, A);
    char other[64];
    for (unsigned i = 0;; i++) {
        snprintf(other, sizeof other, "o%u", i);
        if (kv_key_shard(bytes_str(other), SHARDS) == 1 && strcmp(other, A))
            break;
    }
    put(r, other, "x");
    carry_out(r);
    rig_reopen(r);
    assert_value(r, B, "value");
    put(r, other, "y");
    assert_value(r, other, "y");
    rig_free(r);
}

static void an_intent_survives_a_restart_and_the_lock_with_it(void **state)
{
    struct rig *r = rig_with_names();
    put(r, A, "value");
    rename_to(r, KV_RENAME, A, B, 0);
    rig_reopen(r);
    assert_int_equal(put(r, A, "other"), RGKV_MOVING);
    assert_true(bytes_eq(open_intent(r)->key2, bytes_str(B)));
    carry_out(r);
    assert_value(r, B, "value");
    rig_free(r);
}

static void malformed_pieces_are_refused(void **state)
{
    struct kv_range range = {0, 5};
    struct kv_request q = {.op = KV_LAND, .client = 1, .seq = 3, .floor = 3, .shard = 0, .key = bytes_str("a"), .n_ranges = 1, .ranges = &range,
                           .data = bytes_str("hello"), .length = 5, .offset = KV_FILE};
    assert_int_equal(kv_request_check(&q, 1), RGKV_OK);
    q.client = 2;
    assert_int_equal(kv_request_check(&q, 1), RGKV_INVALID);
    q.client = 1;
    q.length = 4;
    assert_int_equal(kv_request_check(&q, 1), RGKV_INVALID);
    q.length = 6;
    range.len = 6;
    assert_int_equal(kv_request_check(&q, 1), RGKV_INVALID);
    range.len = 0;
    assert_int_equal(kv_request_check(&q, 1), RGKV_INVALID); /* it would go on for ever */
    range.len = 5;
    q.offset = KV_DIR;
    assert_int_equal(kv_request_check(&q, 1), RGKV_INVALID);
}

/* A client that means two things by one number. */
static void what_has_the_number_of_an_open_rename_waits_for_it(void **state)
{
    struct rig *r = rig_with_names();
    put(r, A, "value");
    assert_int_equal(rename_to(r, KV_RENAME, A, B, 0), RGKV_PENDING);
    r->seq--;
    struct kv_request drop = ask(KV_STAGE_DROP, A);
    drop.version = 77;
    assert_int_equal(rig_do(r, drop), RGKV_PENDING);
    carry_out(r);
    rig_reopen(r);
    assert_int_equal(rename_again(r, A, B, 0), RGKV_OK);
    assert_int_equal(put(r, A, "other"), RGKV_OK);
    rig_free(r);
}

/* A client whose floor goes back in a rename that outlives its session. */
static void a_session_row_that_a_late_outcome_makes_can_be_read(void **state)
{
    struct rig *r = rig_with_names();
    put(r, A, "value");
    r->seq = 1999;
    put(r, A, "value"); /* sequence and floor 2000 */
    clock_to(r, r->time_us + SESSION_TTL_US - SECOND);
    struct kv_request q = ask(KV_RENAME, A);
    q.key2 = bytes_str(B);
    q.client = r->client;
    q.seq = 2500;
    q.floor = 1;
    q.shard = kv_key_shard(q.key, r->nshards);
    q.born_us = r->time_us;
    assert_int_equal(between(r, q), RGKV_PENDING);
    clock_to(r, r->time_us + 2 * SECOND); /* the session goes meanwhile */
    carry_out(r);
    rig_reopen(r);
    r->seq = 2599;
    assert_int_equal(put(r, A, "value"), RGKV_OK); /* kv_apply itself must not fail: the node would end */
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_goes_to_another_shard_with_all_that_is_its_own),
        cmocka_unit_test(the_source_is_locked_and_read_until_it_is_over),
        cmocka_unit_test(the_path_to_a_locked_file_is_locked),
        cmocka_unit_test(what_rename_refuses_is_refused_and_the_source_stays),
        cmocka_unit_test(a_target_that_is_renamed_itself_is_a_conflict),
        cmocka_unit_test(who_comes_late_or_twice_changes_nothing),
        cmocka_unit_test(who_carries_it_out_may_begin_again),
        cmocka_unit_test(a_rename_that_is_given_up_at_the_target_stays_so),
        cmocka_unit_test(half_a_file_whose_source_was_given_up_goes_with_the_next_rename_from_there),
        cmocka_unit_test(a_caller_that_gave_up_is_not_recorded),
        cmocka_unit_test(an_intent_survives_a_restart_and_the_lock_with_it),
        cmocka_unit_test(malformed_pieces_are_refused),
        cmocka_unit_test(what_has_the_number_of_an_open_rename_waits_for_it),
        cmocka_unit_test(a_session_row_that_a_late_outcome_makes_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
