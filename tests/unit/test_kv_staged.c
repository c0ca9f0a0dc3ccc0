/* Values in pieces (P27) and extended attributes. */
#include "tests/unit/kv_help.h"

static struct kv_request piece(uint64_t id, uint64_t offset, struct bytes data, struct kv_range *range)
{
    *range = (struct kv_range){offset, (uint32_t)data.len};
    struct kv_request q = ask(KV_STAGE_WRITE, "f");
    q.version = id;
    q.data = data;
    q.n_ranges = 1;
    q.ranges = range;
    return q;
}

static uint64_t stage_begin(struct rig *r)
{
    assert_int_equal(on(r, KV_STAGE_OPEN, "f"), RGKV_OK);
    return r->last.reply.attr.version;
}

static enum rgkv_err stage_add(struct rig *r, struct kv_staged *s, uint64_t offset, struct bytes data)
{
    struct kv_range range;
    struct kv_request q = piece(s->id, offset, data, &range);
    s->pieces++;
    s->hash += kv_piece_hash(&q);
    s->length = MAX(s->length, offset + data.len);
    return rig_do(r, q);
}

static enum rgkv_err commit(struct rig *r, const char *key, const struct kv_staged *s, uint32_t flags)
{
    uint8_t said[KV_STAGED_BYTES];
    struct kv_request q = ask(KV_PUT, key);
    kv_staged_encode(s, said);
    q.flags = KV_STAGED | flags;
    q.data = bytes_of(said, sizeof said);
    return rig_do(r, q);
}

static uint64_t stage_rows(struct rig *r) { return rows_of_table(r, "\0\0t", 3); }

static void fill_noise(uint8_t *to, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(i * 131 + (i >> 8) + (i >> 16) * 7);
}

#define BIG (3u << 20)
static uint8_t noise[BIG];

static void assert_content(struct rig *r, const char *key, const uint8_t *want, uint64_t len)
{
    for (uint64_t at = 0; at < len; at += DATA_BYTES_MAX) {
        struct kv_request q = ask(KV_GET, key);
        q.offset = at;
        q.length = DATA_BYTES_MAX;
        assert_int_equal(rig_read(r, q), RGKV_OK);
        assert_int_equal(r->reply.attr.size, len);
        assert_int_equal(r->reply.data.len, MIN(DATA_BYTES_MAX, len - at));
        assert_memory_equal(r->reply.data.data, want + at, r->reply.data.len);
    }
}

static void stage_noise(struct rig *r, struct kv_staged *s, size_t len)
{
    fill_noise(noise, BIG);
    *s = (struct kv_staged){.id = stage_begin(r)};
    for (size_t at = 0; at < len; at += DATA_BYTES_MAX)
        assert_int_equal(stage_add(r, s, at, bytes_of(noise + at, MIN(DATA_BYTES_MAX, len - at))), RGKV_OK);
}

static void pieces_are_seen_by_nobody_before_their_commit(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_staged s;
    put(r, "f", "old");
    stage_noise(r, &s, BIG);
    assert_value(r, "f", "old");
    assert_int_equal(commit(r, "f", &s, 0), RGKV_OK);
    assert_content(r, "f", noise, BIG);
    assert_int_equal(stage_rows(r), 0);
    rig_free(r);
}

static void pieces_may_come_in_any_order_and_leave_holes(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_staged s = {.id = stage_begin(r)};
    fill_noise(noise, BIG);
    assert_int_equal(stage_add(r, &s, 2u << 20, bytes_of(noise + (2u << 20), 1u << 20)), RGKV_OK);
    assert_int_equal(stage_add(r, &s, 0, bytes_of(noise, 700000)), RGKV_OK);
    memset(noise + 700000, 0, (2u << 20) - 700000);
    assert_int_equal(commit(r, "f", &s, 0), RGKV_OK);
    assert_content(r, "f", noise, BIG);
    rig_free(r);
}

static void a_commit_that_means_other_pieces_changes_nothing(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_staged s, lie;
    put(r, "f", "old");
    stage_noise(r, &s, BIG);
    lie = s;
    lie.pieces++;
    assert_int_equal(commit(r, "f", &lie, 0), RGKV_STALE);
    lie = s;
    lie.hash++;
    assert_int_equal(commit(r, "f", &lie, 0), RGKV_STALE);
    lie = s;
    lie.length--;
    assert_int_equal(commit(r, "f", &lie, 0), RGKV_STALE);
    lie = s;
    lie.id++;
    assert_int_equal(commit(r, "f", &lie, 0), RGKV_STALE);
    r->client++;
    assert_int_equal(commit(r, "f", &s, 0), RGKV_STALE);
    r->client--;
    assert_value(r, "f", "old");
    assert_int_equal(commit(r, "f", &s, 0), RGKV_OK);
    assert_content(r, "f", noise, BIG);
    rig_free(r);
}

static void a_commit_that_is_refused_leaves_the_stage_open(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_staged s;
    put(r, "f", "old");
    stage_noise(r, &s, BIG);
    assert_int_equal(commit(r, "f", &s, KV_IF_EMPTY), RGKV_VERSION);
    assert_int_equal(commit(r, "none/f", &s, 0), RGKV_NOT_FOUND);
    truncate_to(r, "f", 0);
    assert_int_equal(commit(r, "f", &s, KV_IF_EMPTY), RGKV_OK);
    assert_content(r, "f", noise, BIG);
    assert_int_equal(commit(r, "f", &s, 0), RGKV_STALE);
    rig_free(r);
}

static void a_piece_without_its_stage_is_refused(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_staged s = {.id = 99};
    assert_int_equal(stage_add(r, &s, 0, bytes_str("x")), RGKV_STALE);
    s.id = stage_begin(r);
    struct kv_request drop = ask(KV_STAGE_DROP, "f");
    drop.version = s.id;
    assert_int_equal(rig_do(r, drop), RGKV_OK);
    assert_int_equal(stage_add(r, &s, 0, bytes_str("x")), RGKV_STALE);
    assert_int_equal(rig_do(r, drop), RGKV_OK);
    rig_free(r);
}

static void a_retried_piece_counts_once(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_staged s = {.id = stage_begin(r)};
    assert_int_equal(stage_add(r, &s, 0, bytes_str("abc")), RGKV_OK);
    r->seq--;
    struct kv_range range;
    assert_int_equal(rig_do(r, piece(s.id, 0, bytes_str("abc"), &range)), RGKV_OK);
    assert_true(r->last.duplicate);
    assert_int_equal(commit(r, "f", &s, 0), RGKV_OK);
    assert_value(r, "f", "abc");
    rig_free(r);
}

static void an_abandoned_stage_is_collected_with_its_rows_and_a_busy_one_is_not(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_staged s;
    stage_noise(r, &s, BIG);
    assert_true(rows_of_table(r, "\0\0d", 3) >= BIG / VALUE_CHUNK_BYTES);
    clock_to(r, r->time_us + STAGE_TTL_US / 2);
    assert_int_equal(stage_add(r, &s, 0, bytes_str("x")), RGKV_OK);
    clock_to(r, r->time_us + STAGE_TTL_US / 2 + SECOND);
    assert_int_equal(stage_rows(r), 1);
    clock_to(r, r->time_us + STAGE_TTL_US);
    assert_int_equal(stage_rows(r), 0);
    assert_int_equal(rows_of_table(r, "\0\0d", 3), 0);
    assert_int_equal(commit(r, "f", &s, 0), RGKV_STALE);
    rig_free(r);
}

static void a_committed_value_is_not_collected_as_an_abandoned_stage(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_staged s;
    stage_noise(r, &s, BIG);
    assert_int_equal(commit(r, "f", &s, 0), RGKV_OK);
    clock_to(r, r->time_us + 2 * STAGE_TTL_US);
    assert_content(r, "f", noise, BIG);
    assert_int_equal(stage_rows(r), 0);
    on(r, KV_DELETE, "f");
    clock_to(r, r->time_us + 2 * OLD_VERSION_TTL_US);
    assert_int_equal(rows_of_table(r, "\0\0d", 3), 0);
    rig_free(r);
}

static void a_dropped_stage_leaves_no_rows(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_staged s;
    stage_noise(r, &s, BIG);
    struct kv_request drop = ask(KV_STAGE_DROP, "f");
    drop.version = s.id;
    assert_int_equal(rig_do(r, drop), RGKV_OK);
    clock_to(r, r->time_us + STAGE_TTL_US + OLD_VERSION_TTL_US);
    assert_int_equal(rows_of_table(r, "\0\0d", 3), 0);
    assert_int_equal(rows_of_table(r, "\0\0t", 3), 0);
    rig_free(r);
}

static void a_reader_keeps_the_version_that_a_staged_put_replaced(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_staged s;
    fill_noise(noise, BIG);
    append(r, "f", bytes_of(noise, 500000));
    uint64_t version = version_of(r, "f");
    stage_noise(r, &s, BIG);
    assert_int_equal(commit(r, "f", &s, 0), RGKV_OK);
    assert_int_equal(get_at(r, "f", version, 400000, 1000), RGKV_OK);
    assert_memory_equal(r->reply.data.data, noise + 400000, 1000);
    rig_free(r);
}

static void a_staged_value_may_be_cut_and_made_longer(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_staged s;
    stage_noise(r, &s, 200000);
    struct kv_request cut = ask(KV_STAGE_WRITE, "f");
    cut.version = s.id;
    cut.flags = KV_TRUNCATE;
    cut.length = 70000;
    assert_int_equal(rig_do(r, cut), RGKV_OK);
    s.pieces++;
    s.hash += kv_piece_hash(&cut);
    s.length = 150000;
    assert_int_equal(commit(r, "f", &s, 0), RGKV_OK);
    memset(noise + 70000, 0, 80000);
    assert_content(r, "f", noise, 150000);
    assert_int_equal(patch(r, "f", 149999, bytes_str("end")), RGKV_OK);
    memcpy(noise + 149999, "end", 3);
    assert_content(r, "f", noise, 150002);
    rig_free(r);
}

static void a_value_that_is_all_hole_has_its_length(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_staged s = {.id = stage_begin(r), .length = VALUE_BYTES_MAX};
    assert_int_equal(commit(r, "f", &s, 0), RGKV_OK);
    stat_of(r, "f");
    assert_true(r->reply.attr.size == VALUE_BYTES_MAX);
    s = (struct kv_staged){.id = stage_begin(r), .length = VALUE_BYTES_MAX + 1};
    assert_int_equal(commit(r, "f", &s, 0), RGKV_TOO_LARGE);
    rig_free(r);
}

/* ---- extended attributes ---- */

static enum rgkv_err set(struct rig *r, const char *key, const char *name, struct bytes value, uint32_t flags)
{
    struct kv_request q = ask(KV_XATTR_SET, key);
    q.key2 = bytes_str(name);
    q.data = value;
    q.flags = flags;
    return rig_do(r, q);
}

static enum rgkv_err named(struct rig *r, enum kv_op op, const char *key, const char *name)
{
    struct kv_request q = ask(op, key);
    q.key2 = bytes_str(name);
    return kv_op_reads(op) ? rig_read(r, q) : rig_do(r, q);
}

static void assert_data(struct rig *r, const char *data, size_t len)
{
    assert_int_equal(r->reply.data.len, len);
    if (len)
        assert_memory_equal(r->reply.data.data, data, len);
}

static void attributes_are_set_read_listed_and_removed(void **state)
{
    struct rig *r = rig_new(1);
    put(r, "f", "v");
    assert_int_equal(named(r, KV_XATTR_GET, "f", "user.b"), RGKV_NO_DATA);
    assert_int_equal(set(r, "f", "user.b", bytes_str("two"), 0), RGKV_OK);
    assert_int_equal(set(r, "f", "user.a", bytes_str(""), 0), RGKV_OK);
    assert_int_equal(set(r, "f", "user.b", bytes_str("three"), KV_CREATE_ONLY), RGKV_EXISTS);
    assert_int_equal(set(r, "f", "user.c", bytes_str("three"), KV_MUST_EXIST), RGKV_NO_DATA);
    assert_int_equal(set(r, "f", "user.b", bytes_str("three"), KV_MUST_EXIST), RGKV_OK);
    assert_int_equal(named(r, KV_XATTR_GET, "f", "user.b"), RGKV_OK);
    assert_data(r, "three", 5);
    assert_int_equal(named(r, KV_XATTR_LIST, "f", ""), RGKV_OK);
    assert_data(r, "user.a\0user.b", 14);
    assert_int_equal(named(r, KV_XATTR_REMOVE, "f", "user.c"), RGKV_NO_DATA);
    assert_int_equal(named(r, KV_XATTR_REMOVE, "f", "user.a"), RGKV_OK);
    assert_int_equal(named(r, KV_XATTR_REMOVE, "f", "user.b"), RGKV_OK);
    assert_int_equal(rows_of_table(r, "\0\0x", 3), 0);
    assert_value(r, "f", "v");
    rig_free(r);
}

static void attributes_follow_their_file_and_go_with_it(void **state)
{
    struct rig *r = rig_new(1);
    put(r, "f", "v");
    on(r, KV_MKDIR, "d");
    set(r, "f", "user.a", bytes_str("1"), 0);
    put(r, "f", "other value");
    assert_int_equal(rename_to(r, KV_RENAME, "f", "d/g", 0), RGKV_OK);
    put(r, "f", "another file");
    assert_int_equal(named(r, KV_XATTR_GET, "f", "user.a"), RGKV_NO_DATA);
    assert_int_equal(named(r, KV_XATTR_GET, "d/g", "user.a"), RGKV_OK);
    assert_data(r, "1", 1);
    assert_int_equal(rename_to(r, KV_RENAME, "f", "d/g", 0), RGKV_OK); /* replaces it */
    assert_int_equal(rows_of_table(r, "\0\0x", 3), 0);
    set(r, "d", "user.a", bytes_str("1"), 0);
    on(r, KV_DELETE, "d/g");
    assert_int_equal(on(r, KV_RMDIR, "d"), RGKV_OK);
    assert_int_equal(rows_of_table(r, "\0\0x", 3), 0);
    rig_free(r);
}

static void attributes_together_are_bounded(void **state)
{
    struct rig *r = rig_new(1);
    static uint8_t large[XATTR_BYTES_MAX + 1];
    put(r, "f", "v");
    assert_int_equal(set(r, "f", "user.a", bytes_of(large, sizeof large), 0), RGKV_FULL);
    assert_int_equal(set(r, "f", "user.a", bytes_of(large, 40000), 0), RGKV_OK);
    assert_int_equal(set(r, "f", "user.b", bytes_of(large, 40000), 0), RGKV_FULL);
    assert_int_equal(set(r, "f", "user.b", bytes_of(large, 20000), 0), RGKV_OK);
    assert_int_equal(set(r, "f", "", bytes_str("x"), 0), RGKV_INVALID);
    char name[300];
    memset(name, 'n', sizeof name);
    name[256] = 0;
    assert_int_equal(set(r, "f", name, bytes_str("x"), 0), RGKV_RANGE);
    assert_int_equal(set(r, "none", "user.a", bytes_str("x"), 0), RGKV_NOT_FOUND);
    rig_free(r);
}

/* A machine that was restarted, and one that took the shard over, go on where the first was. */
static void stages_and_attributes_survive_a_restart(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_staged s;
    stage_noise(r, &s, BIG);
    put(r, "g", "v");
    set(r, "g", "user.a", bytes_str("1"), 0);
    rig_reopen(r);
    assert_int_equal(commit(r, "f", &s, 0), RGKV_OK);
    assert_content(r, "f", noise, BIG);
    assert_int_equal(named(r, KV_XATTR_GET, "g", "user.a"), RGKV_OK);
    rig_free(r);
}

static void copy_shard(struct rig *from, struct rig *to)
{
    assert_int_equal(rig_shard(to, KV_IMPORT, 0, 2, 1), RGKV_OK);
    rig_copy(from, to, 2, 500000);
    assert_int_equal(rig_shard(to, KV_ACTIVATE, 0, 2, 0), RGKV_OK);
}

static void stages_and_attributes_move_with_their_shard(void **state)
{
    struct rig *from = rig_new(1), *to = rig_new_blank(1);
    struct kv_staged s;
    stage_noise(from, &s, 2u << 20);
    put(from, "g", "v");
    set(from, "g", "user.a", bytes_str("1"), 0);
    copy_shard(from, to);
    to->seq = from->seq;
    assert_int_equal(stage_add(to, &s, 2u << 20, bytes_of(noise + (2u << 20), 1u << 20)), RGKV_OK);
    assert_int_equal(commit(to, "f", &s, 0), RGKV_OK);
    assert_content(to, "f", noise, BIG);
    assert_int_equal(named(to, KV_XATTR_GET, "g", "user.a"), RGKV_OK);
    rig_free(from);
    rig_free(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_seen_by_nobody_before_their_commit),
        cmocka_unit_test(pieces_may_come_in_any_order_and_leave_holes),
        cmocka_unit_test(a_commit_that_means_other_pieces_changes_nothing),
        cmocka_unit_test(a_commit_that_is_refused_leaves_the_stage_open),
        cmocka_unit_test(a_piece_without_its_stage_is_refused),
        cmocka_unit_test(a_retried_piece_counts_once),
        cmocka_unit_test(an_abandoned_stage_is_collected_with_its_rows_and_a_busy_one_is_not),
        cmocka_unit_test(a_committed_value_is_not_collected_as_an_abandoned_stage),
        cmocka_unit_test(a_dropped_stage_leaves_no_rows),
        cmocka_unit_test(a_reader_keeps_the_version_that_a_staged_put_replaced),
        cmocka_unit_test(a_staged_value_may_be_cut_and_made_longer),
        cmocka_unit_test(a_value_that_is_all_hole_has_its_length),
        cmocka_unit_test(attributes_are_set_read_listed_and_removed),
        cmocka_unit_test(attributes_follow_their_file_and_go_with_it),
        cmocka_unit_test(attributes_together_are_bounded),
        cmocka_unit_test(stages_and_attributes_survive_a_restart),
        cmocka_unit_test(stages_and_attributes_move_with_their_shard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
