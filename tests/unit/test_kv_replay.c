/* The same log gives the same state, however it is cut into batches, wherever it is restarted (B23); and old versions are
 * what they were until they are gone. */
#include "tests/unit/kv_help.h"

static uint8_t noise[300000];

static struct kv_command random_command(struct prng *p, uint64_t *seq, char keys[2][16], struct kv_range *range, uint64_t *time_us)
{
    static const enum kv_op ops[] = {KV_PUT, KV_PUT, KV_APPEND, KV_APPEND, KV_PATCH, KV_DELETE, KV_MKDIR, KV_RMDIR, KV_RENAME, KV_EXCHANGE};
    struct kv_command c = {.kind = KV_REQUEST};
    *time_us += prng_below(p, 2 * SECOND);
    c.time_us = *time_us;
    uint64_t dice = prng_below(p, 40);
    if (dice == 0)
        return (struct kv_command){.kind = KV_CLOCK, .time_us = c.time_us};
    if (dice == 1) {
        enum kv_command_kind kind = prng_chance(p, 1, 2) ? KV_FREEZE : KV_THAW;
        return (struct kv_command){.kind = kind, .time_us = c.time_us, .epoch = c.time_us}; /* an epoch that grows */
    }
    for (int i = 0; i < 2; i++)
        snprintf(keys[i], 16, prng_chance(p, 1, 3) ? "d/%d" : "%d", (int)prng_below(p, 6));
    c.request = ask(ops[prng_below(p, ARRAY_LEN(ops))], keys[0]);
    if (prng_chance(p, 1, 20))
        c.request = ask(KV_MKDIR, "d");
    c.request.key2 = bytes_str(keys[1]);
    c.request.client = 1 + prng_below(p, 3);
    c.request.seq = prng_chance(p, 1, 10) ? *seq : ++*seq;
    c.request.floor = c.request.seq > 5 ? c.request.seq - 5 : 1;
    c.request.born_us = 0;
    c.request.data = bytes_of(noise, prng_below(p, prng_chance(p, 1, 10) ? sizeof(noise) : 600));
    *range = (struct kv_range){prng_below(p, 200000), (uint32_t)c.request.data.len};
    c.request.n_ranges = c.request.op == KV_PATCH;
    c.request.ranges = range;
    return c;
}

/* Outcomes are hashed too: they must not depend on the batches either. */
static uint64_t replay(uint64_t seed, unsigned n, unsigned batch, bool restarts, uint64_t *ret_outcomes)
{
    struct rig *r = rig_new(1);
    struct prng log, cuts;
    char keys[2][16];
    struct kv_range range;
    uint64_t seq = 1, time_us = SECOND, outcomes = 0;
    prng_init(&log, seed);
    prng_init(&cuts, seed + batch);
    r->batch = batch;
    for (unsigned i = 0; i < n; i++) {
        struct kv_command c = random_command(&log, &seq, keys, &range, &time_us);
        r->time_us = c.time_us;
        rig_apply(r, &c);
        uint64_t outcome[] = {r->last.err, r->last.reply.attr.version, r->last.reply.attr.size, r->last.duplicate, r->last.reply.shard_time_us};
        outcomes = hash64_seeded(bytes_of(outcome, sizeof(outcome)), outcomes);
        if (restarts && r->in_batch == 0 && prng_chance(&cuts, 1, 20))
            rig_reopen(r);
        if (prng_chance(&cuts, 1, 50) && r->in_batch)
            rig_finish(r);
    }
    uint64_t hash = checksum(r);
    rig_free(r);
    *ret_outcomes = outcomes;
    return hash;
}

static void B23_the_cuts_between_batches_leave_no_trace(void **state)
{
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)(i * 31 + i / 251);
    for (uint64_t seed = 1; seed <= 6; seed++) {
        uint64_t outcomes, other;
        uint64_t hash = replay(seed, 1200, 1, false, &outcomes);
        assert_true(hash == replay(seed, 1200, 1, true, &other) && outcomes == other);
        assert_true(hash == replay(seed, 1200, 7, true, &other) && outcomes == other);
        assert_true(hash == replay(seed, 1200, 200, false, &other) && outcomes == other);
        assert_true(hash == replay(seed, 1200, 5000, false, &other) && outcomes == other);
        assert_true(hash != replay(seed + 100, 1200, 1, false, &other));
    }
}

/* ---- old versions ---- */

static void P26_a_reader_pinned_to_a_version_is_never_torn(void **state)
{
    struct rig *r = rig_new(1);
    memset(noise, 'a', sizeof(noise));
    append(r, "f", bytes_of(noise, 200000));
    uint64_t v1 = version_of(r, "f");
    patch(r, "f", 70000, bytes_str("BBBB"));
    uint64_t v2 = version_of(r, "f");
    truncate_to(r, "f", 70002);
    uint64_t v3 = version_of(r, "f"), ino = r->reply.attr.ino;
    append(r, "f", bytes_str("CC"));
    put(r, "f", "small");
    on(r, KV_DELETE, "f");
    on(r, KV_MKDIR, "f");
    assert_int_equal(get_at(r, "f", v1, 69998, 8), RGKV_OK);
    assert_true(bytes_eq(r->reply.data, bytes_str("aaaaaaaa")) && r->reply.attr.size == 200000);
    assert_int_equal(get_at(r, "f", v2, 69998, 8), RGKV_OK);
    assert_true(bytes_eq(r->reply.data, bytes_str("aaBBBBaa")));
    assert_int_equal(get_of(r, "f", ino, v3, 69998, 4), RGKV_OK);
    assert_true(bytes_eq(r->reply.data, bytes_str("aaBB")));
    clock_to(r, r->time_us + OLD_VERSION_TTL_US - 1);
    assert_int_equal(get_at(r, "f", v1, 0, 1), RGKV_OK);
    clock_to(r, r->time_us + 1);
    assert_int_equal(get_at(r, "f", v1, 0, 1), RGKV_STALE);
    assert_int_equal(rows_of_table(r, "\0\0d", 3) + rows_of_table(r, "\0\0h", 3), 0);
    rig_free(r);
}

static void P26_a_hole_is_kept_for_its_readers_too(void **state)
{
    struct rig *r = rig_new(1);
    put(r, "f", "");
    truncate_to(r, "f", 100000);
    uint64_t version = version_of(r, "f");
    put(r, "f", "small");
    assert_int_equal(get_at(r, "f", version, 99999, 10), RGKV_OK);
    assert_true(r->reply.data.len == 1 && r->reply.data.data[0] == 0);
    rig_free(r);
}

static void P26_what_only_grew_goes_on_under_an_old_version(void **state)
{
    struct rig *r = rig_new(1);
    append(r, "log", bytes_str("line 1\n"));
    uint64_t version = version_of(r, "log"), ino = r->reply.attr.ino;
    append(r, "log", bytes_str("line 2\n"));
    struct kv_request q = ask(KV_SETATTR, "log");
    q.set = KV_SET_MODE;
    rig_do(r, q);
    assert_int_equal(get_of(r, "log", ino, version, 0, 7), RGKV_OK);
    assert_true(bytes_eq(r->reply.data, bytes_str("line 1\n")));
    put(r, "log", "line 1\nother");
    assert_int_equal(get_of(r, "log", ino, version, 0, 7), RGKV_STALE);
    rig_free(r);
}

static void P26_two_files_of_one_version_are_not_taken_for_each_other(void **state)
{
    static uint8_t big[100000];
    struct rig *r = rig_new(1);
    on(r, KV_MKDIR, "d");
    memset(big, 'x', sizeof(big));
    append(r, "d/x", bytes_of(big, sizeof(big)));
    memset(big, 'y', sizeof(big));
    append(r, "d/y", bytes_of(big, sizeof(big)));
    rename_to(r, KV_RENAME, "d", "e", 0); /* one command: both have its version */
    uint64_t version = version_of(r, "e/x"), ino = r->reply.attr.ino;
    assert_int_equal(version_of(r, "e/y"), version);
    rename_to(r, KV_RENAME, "e/x", "e/y", 0);
    patch(r, "e/y", 0, bytes_str("other"));
    assert_int_equal(get_of(r, "e/y", ino, version, 50000, 1), RGKV_OK);
    assert_int_equal(r->reply.data.data[0], 'x');
    rig_free(r);
}

static void P26_a_name_that_another_file_took_does_not_go_on_in_it(void **state)
{
    static uint8_t big[100000];
    struct rig *r = rig_new(1);
    memset(big, 'b', sizeof(big));
    append(r, "grows", bytes_of(big, sizeof(big)));
    memset(big, 'a', sizeof(big));
    append(r, "f", bytes_of(big, sizeof(big)));
    uint64_t version = version_of(r, "f"), ino = r->reply.attr.ino; /* a version between those of the other file */
    append(r, "grows", bytes_str("more"));
    uint64_t other = version_of(r, "grows"), other_ino = r->reply.attr.ino;
    rename_to(r, KV_RENAME, "grows", "f", 0);
    assert_int_equal(get_of(r, "f", ino, version, 50000, 1), RGKV_OK);
    assert_int_equal(r->reply.data.data[0], 'a');
    append(r, "f", bytes_str("and more"));
    assert_int_equal(get_of(r, "f", other_ino, other, 100004, 8), RGKV_OK); /* who reads that one goes on under its new name */
    assert_true(bytes_eq(r->reply.data, bytes_str("and more")));
    clock_to(r, r->time_us + OLD_VERSION_TTL_US);
    assert_int_equal(get_of(r, "f", ino, version, 50000, 1), RGKV_STALE);
    put(r, "f", "small"); /* the other file is old at that name, too */
    assert_int_equal(get_of(r, "f", ino, version, 50000, 1), RGKV_STALE);
    assert_int_equal(get_of(r, "f", other_ino, other, 50000, 1), RGKV_OK);
    rig_free(r);
}

/* More is due at once than one command collects: whatever is gone half-way, nobody reads half a value. */
static void P26_a_collection_that_is_half_done_tears_nobody(void **state)
{
    struct rig *r = rig_new(1);
    enum { N = 1500 };
    static uint64_t versions[N];
    memset(noise, 0, sizeof(noise));
    append(r, "f", bytes_of(noise, 150000));
    for (unsigned i = 0; i < N; i++) {
        char text[8];
        snprintf(text, sizeof(text), "%06u", i);
        assert_int_equal(patch(r, "f", 1000 * (i % 140), bytes_str(text)), RGKV_OK);
        versions[i] = r->last.reply.attr.version;
    }
    r->time_us += OLD_VERSION_TTL_US;
    unsigned commands = 0, stale = 0;
    do {
        struct kv_command c = {.kind = KV_CLOCK};
        rig_apply(r, &c);
        commands++;
        for (unsigned i = 0; i < N - 1; i += 13) {
            char text[8];
            snprintf(text, sizeof(text), "%06u", i);
            enum rgkv_err err = get_at(r, "f", versions[i], 1000 * (i % 140), 6);
            assert_true(err == RGKV_STALE || (err == RGKV_OK && bytes_eq(r->reply.data, bytes_str(text))));
            stale += err == RGKV_STALE;
        }
    } while (kv_clock_due(r->kv, r->time_us));
    assert_true(commands > 1 && stale > 0);
    assert_int_equal(rows_of_table(r, "\0\0h", 3), 0);
    assert_true(rows_of_table(r, "\0\0d", 3) <= 3 * 33);
    rig_free(r);
}

static void small_appends_to_a_huge_value_write_little(void **state)
{
    struct rig *r = rig_new(1);
    for (int i = 0; i < 40; i++)
        append(r, "f", bytes_of(noise, 300000));
    uint64_t rows = rows_of_table(r, "\0\0d", 3);
    for (int i = 0; i < 1000; i++)
        append(r, "f", bytes_of(noise, 50));
    assert_true(rows_of_table(r, "\0\0d", 3) - rows <= 50000 / VALUE_INLINE_BYTES + 2);
    assert_int_equal(rows_of_table(r, "\0\0q", 3), 1); /* the session: an append leaves nothing to collect */
    rig_free(r);
}

static void a_value_ends_at_the_limit(void **state)
{
    struct rig *r = rig_new(1);
    put(r, "f", "x");
    assert_int_equal(truncate_to(r, "f", VALUE_BYTES_MAX), RGKV_OK); /* a hole takes no room */
    assert_true(rows_of_table(r, "\0\0d", 3) <= 2);
    assert_int_equal(append(r, "f", bytes_str("y")), RGKV_TOO_LARGE);
    assert_int_equal(truncate_to(r, "f", VALUE_BYTES_MAX + 1), RGKV_TOO_LARGE);
    assert_int_equal(patch(r, "f", VALUE_BYTES_MAX - 1, bytes_str("z")), RGKV_OK);
    assert_int_equal(get_at(r, "f", version_of(r, "f"), VALUE_BYTES_MAX - 2, 10), RGKV_OK);
    assert_int_equal(r->reply.data.len, 2);
    assert_memory_equal(r->reply.data.data, "\0z", 2);
    assert_int_equal(truncate_to(r, "f", 100), RGKV_OK);
    assert_int_equal(truncate_to(r, "f", VALUE_BYTES_MAX), RGKV_OK);
    assert_int_equal(get_at(r, "f", version_of(r, "f"), VALUE_BYTES_MAX - 1, 1), RGKV_OK);
    assert_memory_equal(r->reply.data.data, "\0", 1);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(B23_the_cuts_between_batches_leave_no_trace),
        cmocka_unit_test(P26_a_reader_pinned_to_a_version_is_never_torn),
        cmocka_unit_test(P26_a_hole_is_kept_for_its_readers_too),
        cmocka_unit_test(P26_what_only_grew_goes_on_under_an_old_version),
        cmocka_unit_test(P26_a_name_that_another_file_took_does_not_go_on_in_it),
        cmocka_unit_test(P26_two_files_of_one_version_are_not_taken_for_each_other),
        cmocka_unit_test(P26_a_collection_that_is_half_done_tears_nobody),
        cmocka_unit_test(small_appends_to_a_huge_value_write_little),
        cmocka_unit_test(a_value_ends_at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
