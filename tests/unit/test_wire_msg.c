/* Every kind of message: what comes out is what went in, and nothing but what we could have written is let in. */
#include "tests/unit/unit.h"
#include "tests/unit/wire_frame.h"
#include "tests/unit/wire_random.h"

#include <stdlib.h>

struct fixture {
    struct prng prng;
    struct arena made, got;
    struct buf frame;
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    prng_init(&f->prng, 20240607);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_release(&f->made);
    arena_release(&f->got);
    buf_release(&f->frame);
    mem_free(f);
    return 0;
}

/* A random frame of the kind, no longer than `max` bytes. */
static void frame_make(struct fixture *f, enum msg_kind kind, size_t max)
{
    do {
        struct msg m;
        arena_reset(&f->made);
        buf_clear(&f->frame);
        random_msg(&f->prng, kind, &f->made, &m);
        msg_encode(&m, &f->frame);
        msg_release(&m);
    } while (f->frame.len > max);
}

static enum rgkv_err decode_exact(struct fixture *f, struct bytes frame, struct msg *ret_m)
{
    uint8_t *copy = exact_copy(frame);
    arena_reset(&f->got);
    enum rgkv_err err = msg_decode(bytes_of(copy, frame.len), &f->got, ret_m);
    free(copy);
    return err;
}

static bool refused(struct fixture *f, struct bytes frame)
{
    struct msg m;
    enum rgkv_err err = decode_exact(f, frame, &m);
    if (!err)
        msg_release(&m);
    return err == RGKV_PROTOCOL;
}

/* ---- round trips ---- */

static void every_kind_comes_back_as_it_was_sent(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 4000; i++) {
        struct msg sent, got;
        arena_reset(&f->made);
        arena_reset(&f->got);
        buf_clear(&f->frame);
        random_msg(&f->prng, 1 + i % (MSG_KIND_COUNT - 1), &f->made, &sent);
        msg_encode(&sent, &f->frame);
        assert_int_equal(msg_decode(buf_bytes(&f->frame), &f->got, &got), RGKV_OK);
        assert_true(msg_eq(&sent, &got));
        msg_release(&sent);
        msg_release(&got);
    }
}

static void frames_of_one_buffer_are_found_by_their_sizes(void **state)
{
    struct fixture *f = *state;
    struct buf all = {0};
    for (enum msg_kind kind = 1; kind < MSG_KIND_COUNT; kind++) {
        frame_make(f, kind, 4000);
        buf_put(&all, buf_bytes(&f->frame));
    }
    struct bytes rest = buf_bytes(&all);
    for (enum msg_kind kind = 1; kind < MSG_KIND_COUNT; kind++) {
        struct msg m;
        size_t bytes;
        assert_int_equal(frame_size(rest.data, &bytes), RGKV_OK);
        assert_int_equal(msg_decode(bytes_first(rest, bytes), &f->got, &m), RGKV_OK);
        assert_int_equal(m.kind, kind);
        msg_release(&m);
        rest = bytes_from(rest, bytes);
    }
    assert_int_equal(rest.len, 0);
    buf_release(&all);
}

static void encode_appends_and_leaves_what_was_there(void **state)
{
    struct fixture *f = *state;
    struct msg m = {.kind = MSG_FOUND_ACK, .found_ack = {.node = 7, .accepted = true}}, got;
    buf_put(&f->frame, bytes_str("before"));
    msg_encode(&m, &f->frame);
    assert_memory_equal(f->frame.data, "before", 6);
    assert_int_equal(msg_decode(bytes_from(buf_bytes(&f->frame), 6), &f->got, &got), RGKV_OK);
    assert_true(msg_eq(&m, &got));
}

static void a_refused_frame_leaves_the_message_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct msg m, before;
    frame_make(f, MSG_RAFT, 2000);
    memset(&m, 0x5a, sizeof(m));
    memcpy(&before, &m, sizeof(m));
    f->frame.data[f->frame.len - 1] ^= 1;
    assert_int_equal(msg_decode(buf_bytes(&f->frame), &f->got, &m), RGKV_PROTOCOL);
    assert_memory_equal(&m, &before, sizeof(m));
}

static void every_kind_has_a_name_of_its_own(void **state)
{
    for (enum msg_kind a = 1; a < MSG_KIND_COUNT; a++) {
        assert_string_not_equal(msg_kind_name(a), "?");
        for (enum msg_kind b = 1; b < a; b++)
            assert_string_not_equal(msg_kind_name(a), msg_kind_name(b));
    }
    assert_string_equal(msg_kind_name(0), "?");
    assert_string_equal(msg_kind_name(MSG_KIND_COUNT), "?");
}

/* ---- damage ---- */

static void every_truncation_of_every_kind_is_refused(void **state)
{
    struct fixture *f = *state;
    for (enum msg_kind kind = 1; kind < MSG_KIND_COUNT; kind++) {
        frame_make(f, kind, 1500);
        for (size_t len = 0; len < f->frame.len; len++)
            assert_true(refused(f, bytes_first(buf_bytes(&f->frame), len)));
    }
}

/* A truncation that the sender announces and seals: lengths in the header fit, those in the body do not. */
static void every_announced_truncation_of_every_kind_is_refused(void **state)
{
    struct fixture *f = *state;
    for (enum msg_kind kind = 1; kind < MSG_KIND_COUNT; kind++) {
        frame_make(f, kind, 1500);
        uint32_t body = le32_get(f->frame.data + 24), bulk = le32_get(f->frame.data + 28);
        for (uint32_t cut = 1; cut <= body + bulk; cut++) {
            size_t len = f->frame.len - cut;
            uint8_t *frame = exact_copy(bytes_first(buf_bytes(&f->frame), len));
            le32_set(frame + 24, cut > bulk ? body - (cut - bulk) : body);
            le32_set(frame + 28, cut > bulk ? 0 : bulk - cut);
            frame_reseal(frame, len);
            assert_true(refused(f, bytes_of(frame, len)));
            free(frame);
        }
    }
}

static void every_flipped_bit_of_every_kind_is_refused(void **state)
{
    struct fixture *f = *state;
    for (enum msg_kind kind = 1; kind < MSG_KIND_COUNT; kind++) {
        frame_make(f, kind, 700);
        for (size_t bit = 0; bit < 8 * f->frame.len; bit++) {
            f->frame.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_true(refused(f, buf_bytes(&f->frame)));
            f->frame.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

/* Whoever seals what he forged gets either a refusal or a message that we would have written with the same bytes. */
static void assert_refused_or_canonical(struct fixture *f, struct bytes frame)
{
    struct msg m;
    uint8_t *copy = exact_copy(frame);
    arena_reset(&f->got);
    if (msg_decode(bytes_of(copy, frame.len), &f->got, &m) == RGKV_OK) {
        struct buf again = {0};
        msg_encode(&m, &again);
        assert_true(bytes_eq(buf_bytes(&again), frame));
        buf_release(&again);
        msg_release(&m);
    }
    free(copy);
}

static void a_sealed_flipped_bit_is_refused_or_means_what_it_says(void **state)
{
    struct fixture *f = *state;
    for (enum msg_kind kind = 1; kind < MSG_KIND_COUNT; kind++) {
        frame_make(f, kind, 700);
        for (size_t bit = 0; bit < 8 * f->frame.len; bit++) {
            f->frame.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            frame_reseal(f->frame.data, f->frame.len);
            assert_refused_or_canonical(f, buf_bytes(&f->frame));
            f->frame.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

static void sealed_random_damage_is_refused_or_means_what_it_says(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 20000; i++) {
        frame_make(f, 1 + i % (MSG_KIND_COUNT - 1), 3000);
        for (uint64_t n = prng_between(&f->prng, 1, 3); n > 0; n--) {
            size_t at = prng_between(&f->prng, FRAME_HEADER_BYTES, f->frame.len - 1);
            f->frame.data[at] = (uint8_t)random_number(&f->prng);
        }
        frame_reseal(f->frame.data, f->frame.len);
        assert_refused_or_canonical(f, buf_bytes(&f->frame));
    }
}

static void the_body_of_one_kind_is_no_other_kinds(void **state)
{
    struct fixture *f = *state;
    for (enum msg_kind kind = 1; kind < MSG_KIND_COUNT; kind++) {
        for (enum msg_kind other = 0; other <= MSG_KIND_COUNT; other++) {
            frame_make(f, kind, 2000);
            f->frame.data[5] = (uint8_t)other;
            frame_reseal(f->frame.data, f->frame.len);
            if (other != kind)
                assert_refused_or_canonical(f, buf_bytes(&f->frame));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_kind_comes_back_as_it_was_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(frames_of_one_buffer_are_found_by_their_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(encode_appends_and_leaves_what_was_there, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_frame_leaves_the_message_as_it_was, setup, teardown),
        cmocka_unit_test(every_kind_has_a_name_of_its_own),
        cmocka_unit_test_setup_teardown(every_truncation_of_every_kind_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(every_announced_truncation_of_every_kind_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(every_flipped_bit_of_every_kind_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sealed_flipped_bit_is_refused_or_means_what_it_says, setup, teardown),
        cmocka_unit_test_setup_teardown(sealed_random_damage_is_refused_or_means_what_it_says, setup, teardown),
        cmocka_unit_test_setup_teardown(the_body_of_one_kind_is_no_other_kinds, setup, teardown),
    };
    return cmocka_run_group_tests_name("wire messages", tests, NULL, NULL);
}
