/* What is stored and read back: payloads of log entries, and the manifest. */
#include "tests/unit/unit.h"
#include "tests/unit/wire_frame.h"
#include "tests/unit/wire_random.h"

#include <stdlib.h>

struct fixture {
    struct prng prng;
    struct arena made, got;
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    prng_init(&f->prng, 77);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_release(&f->made);
    arena_release(&f->got);
    mem_free(f);
    return 0;
}

/* ---- payloads ---- */

static void commands_of_groups_come_back_as_they_were_logged(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 3000; i++) {
        struct kv_command c, got;
        arena_reset(&f->made);
        arena_reset(&f->got);
        random_kv_command(&f->prng, &f->made, &c);
        struct blob *b = kv_command_encode(&c);
        assert_int_equal(kv_command_decode(blob_bytes(b), &f->got, &got), RGKV_OK);
        assert_true(kv_command_eq(&c, &got));
        blob_unref(b);
    }
}

static void commands_of_the_controller_come_back_as_they_were_logged(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 1000; i++) {
        struct ctrl_command c, got;
        arena_reset(&f->made);
        arena_reset(&f->got);
        random_ctrl_command(&f->prng, &f->made, &c);
        struct blob *b = ctrl_command_encode(&c);
        assert_int_equal(ctrl_command_decode(blob_bytes(b), &f->got, &got), RGKV_OK);
        assert_true(ctrl_command_eq(&c, &got));
        blob_unref(b);
    }
}

static void the_largest_request_fits_into_an_entry(void **state)
{
    struct fixture *f = *state;
    struct kv_range ranges[PATCH_RANGES_MAX] = {{0}};
    uint8_t *data = mem_zalloc(DATA_BYTES_MAX);
    struct kv_command got, c = {.kind = KV_REQUEST,
                                .request = {.op = KV_PATCH, .key = bytes_of(data, KEY_BYTES_MAX), .key2 = bytes_of(data, KEY_BYTES_MAX),
                                            .data = bytes_of(data, DATA_BYTES_MAX), .n_ranges = PATCH_RANGES_MAX, .ranges = ranges}};
    struct blob *b = kv_command_encode(&c);
    assert_true(b->len <= ENTRY_BYTES_MAX);
    assert_int_equal(kv_command_decode(blob_bytes(b), &f->got, &got), RGKV_OK);
    assert_true(kv_command_eq(&c, &got));
    blob_unref(b);
    mem_free(data);
}

static void the_largest_join_fits_into_an_entry(void **state)
{
    struct fixture *f = *state;
    struct ctrl_join_group *groups = mem_zalloc(GROUPS_MAX * sizeof(*groups));
    for (unsigned i = 0; i < GROUPS_MAX; i++) {
        groups[i].n = MEMBERS_MAX;
        for (unsigned j = 0; j < MEMBERS_MAX; j++)
            memset(groups[i].addrs[j], 'x', ADDR_BYTES_MAX - 1);
    }
    struct ctrl_command got, c = {.op = CTRL_JOIN, .n_groups = GROUPS_MAX, .groups = groups};
    struct blob *b = ctrl_command_encode(&c);
    assert_int_equal(ctrl_command_decode(blob_bytes(b), &f->got, &got), RGKV_OK);
    assert_true(ctrl_command_eq(&c, &got));
    blob_unref(b);
    mem_free(groups);
}

/* Rows of a moved shard are bounded by the entry alone: one of the largest size, and one that is a byte too long. */
static void a_payload_over_the_limit_of_entries_is_damaged(void **state)
{
    struct fixture *f = *state;
    uint8_t *rows = mem_zalloc(ENTRY_BYTES_MAX);
    struct kv_command got, c = {.kind = KV_CHUNK};
    struct blob *empty = kv_command_encode(&c);
    c.rows = bytes_of(rows, ENTRY_BYTES_MAX - empty->len);
    struct blob *b = kv_command_encode(&c);
    struct buf longer = {0};
    size_t rows_len_at = 8 + 8 + sizeof("U#") + 4 + 12 * 8;
    assert_int_equal(b->len, ENTRY_BYTES_MAX);
    assert_int_equal(kv_command_decode(blob_bytes(b), &f->got, &got), RGKV_OK);
    assert_int_equal(le64_get(b->data + rows_len_at), c.rows.len);
    buf_put(&longer, blob_bytes(b));
    buf_put_u8(&longer, 0);
    le64_set(longer.data + rows_len_at, c.rows.len + 1);
    assert_int_equal(kv_command_decode(buf_bytes(&longer), &f->got, &got), RGKV_DAMAGED);
    buf_release(&longer);
    blob_unref(b);
    blob_unref(empty);
    mem_free(rows);
}

/* Decodes as both: whatever is let in must be what we would have written. */
static unsigned payload_accepted(struct fixture *f, struct bytes payload)
{
    unsigned accepted = 0;
    struct kv_command kv;
    struct ctrl_command ctrl;
    uint8_t *copy = exact_copy(payload);
    arena_reset(&f->got);
    if (kv_command_decode(bytes_of(copy, payload.len), &f->got, &kv) == RGKV_OK) {
        struct blob *again = kv_command_encode(&kv);
        assert_true(bytes_eq(blob_bytes(again), payload));
        blob_unref(again);
        accepted++;
    }
    if (ctrl_command_decode(bytes_of(copy, payload.len), &f->got, &ctrl) == RGKV_OK) {
        struct blob *again = ctrl_command_encode(&ctrl);
        assert_true(bytes_eq(blob_bytes(again), payload));
        blob_unref(again);
        accepted++;
    }
    free(copy);
    return accepted;
}

static struct blob *random_payload(struct fixture *f, unsigned i)
{
    struct kv_command kv;
    struct ctrl_command ctrl;
    arena_reset(&f->made);
    if (i % 3 == 0) {
        random_ctrl_command(&f->prng, &f->made, &ctrl);
        return ctrl_command_encode(&ctrl);
    }
    random_kv_command(&f->prng, &f->made, &kv);
    return kv_command_encode(&kv);
}

static struct blob *short_payload(struct fixture *f, unsigned i)
{
    for (;;) {
        struct blob *b = random_payload(f, i);
        if (b->len < 1200)
            return b;
        blob_unref(b);
    }
}

static void a_payload_is_of_one_family_only(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 300; i++) {
        struct blob *b = short_payload(f, i);
        assert_int_equal(payload_accepted(f, blob_bytes(b)), 1);
        blob_unref(b);
    }
}

static void truncated_and_lengthened_payloads_are_damaged(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 12; i++) {
        struct blob *b = short_payload(f, i);
        for (size_t len = 0; len < b->len; len++)
            assert_int_equal(payload_accepted(f, bytes_first(blob_bytes(b), len)), 0);
        struct buf longer = {0};
        buf_put(&longer, blob_bytes(b));
        buf_put_u8(&longer, 0);
        assert_int_equal(payload_accepted(f, buf_bytes(&longer)), 0);
        buf_release(&longer);
        blob_unref(b);
    }
}

static void a_flipped_bit_in_a_payload_is_damage_or_another_command(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 12; i++) {
        struct blob *b = short_payload(f, i);
        for (size_t bit = 0; bit < 8 * (size_t)b->len; bit++) {
            b->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            payload_accepted(f, blob_bytes(b));
            b->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        blob_unref(b);
    }
}

/* number 5 of a logged request: its operation is the upper half of it, behind time, client, seq, floor and born_us */
static void a_read_in_the_log_is_damaged(void **state)
{
    struct fixture *f = *state;
    struct kv_command c = {.kind = KV_REQUEST, .request = {.op = KV_PUT, .key = bytes_str("k")}};
    struct blob *b = kv_command_encode(&c);
    size_t op_at = 8 + 8 + sizeof("U#A(U#)") + 2 * 4 + 5 * 8 + 4;
    assert_int_equal(b->data[op_at], KV_PUT);
    assert_int_equal(payload_accepted(f, blob_bytes(b)), 1);
    b->data[op_at] = KV_GET;
    assert_int_equal(payload_accepted(f, blob_bytes(b)), 0);
    blob_unref(b);
}

/* ---- manifest ---- */

static void manifests_come_back_as_they_were_stored(void **state)
{
    struct fixture *f = *state;
    struct manifest *m = mem_alloc(sizeof(*m)), *got = mem_alloc(sizeof(*got));
    for (unsigned i = 0; i < 500; i++) {
        struct buf file = {0};
        random_manifest(&f->prng, m);
        memset(got, 0x5a, sizeof(*got));
        manifest_encode(m, &file);
        assert_int_equal(manifest_decode(buf_bytes(&file), got), RGKV_OK);
        assert_true(manifest_eq(m, got));
        buf_release(&file);
    }
    mem_free(m);
    mem_free(got);
}

static bool manifest_accepted(struct bytes file)
{
    struct manifest *m = mem_alloc(sizeof(*m)), *before = mem_alloc(sizeof(*before));
    memset(m, 0x5a, sizeof(*m));
    memcpy(before, m, sizeof(*m));
    uint8_t *copy = exact_copy(file);
    enum rgkv_err err = manifest_decode(bytes_of(copy, file.len), m);
    free(copy);
    if (err) {
        assert_int_equal(err, RGKV_DAMAGED);
        assert_memory_equal(m, before, sizeof(*m));
    } else {
        struct buf again = {0};
        manifest_encode(m, &again);
        assert_true(bytes_eq(buf_bytes(&again), file));
        buf_release(&again);
    }
    mem_free(m);
    mem_free(before);
    return err == RGKV_OK;
}

static struct buf manifest_small(struct fixture *f)
{
    struct manifest *m = mem_alloc(sizeof(*m));
    struct buf file = {0};
    do {
        random_manifest(&f->prng, m);
        buf_clear(&file);
        manifest_encode(m, &file);
    } while (file.len > 1500 || m->n_replicas == 0);
    mem_free(m);
    return file;
}

static void damaged_manifests_are_refused(void **state)
{
    struct fixture *f = *state;
    struct buf file = manifest_small(f);
    assert_true(manifest_accepted(buf_bytes(&file)));
    for (size_t len = 0; len < file.len; len++)
        assert_false(manifest_accepted(bytes_first(buf_bytes(&file), len)));
    for (size_t bit = 0; bit < 8 * file.len; bit++) {
        file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(manifest_accepted(buf_bytes(&file)));
        file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    buf_put_u8(&file, 0);
    assert_false(manifest_accepted(buf_bytes(&file)));
    manifest_reseal(file.data, file.len);
    assert_false(manifest_accepted(buf_bytes(&file)));
    buf_release(&file);
}

static void a_sealed_flipped_bit_in_a_manifest_is_refused_or_means_what_it_says(void **state)
{
    struct fixture *f = *state;
    struct buf file = manifest_small(f);
    for (size_t bit = 0; bit < 8 * file.len; bit++) {
        file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        manifest_reseal(file.data, file.len);
        manifest_accepted(buf_bytes(&file));
        file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    buf_release(&file);
}

static void an_empty_and_a_foreign_manifest_are_damaged(void **state)
{
    assert_false(manifest_accepted(BYTES_EMPTY));
    assert_false(manifest_accepted(bytes_str("node = 7\ncluster = 9\naddr = localhost:7400\n# written by hand\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commands_of_groups_come_back_as_they_were_logged, setup, teardown),
        cmocka_unit_test_setup_teardown(commands_of_the_controller_come_back_as_they_were_logged, setup, teardown),
        cmocka_unit_test_setup_teardown(the_largest_request_fits_into_an_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(the_largest_join_fits_into_an_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(a_payload_over_the_limit_of_entries_is_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(a_payload_is_of_one_family_only, setup, teardown),
        cmocka_unit_test_setup_teardown(truncated_and_lengthened_payloads_are_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flipped_bit_in_a_payload_is_damage_or_another_command, setup, teardown),
        cmocka_unit_test_setup_teardown(a_read_in_the_log_is_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(manifests_come_back_as_they_were_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_manifests_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sealed_flipped_bit_in_a_manifest_is_refused_or_means_what_it_says, setup, teardown),
        cmocka_unit_test(an_empty_and_a_foreign_manifest_are_damaged),
    };
    return cmocka_run_group_tests_name("stored bytes", tests, NULL, NULL);
}
