#include "tests/unit/unit.h"

#include <stdlib.h>

#include "net/frame_in.h"

static struct frame_scratch scratch;

static void put_hello(struct buf *out, uint64_t id)
{
    struct msg m = {.kind = MSG_HELLO, .id = id, .hello = {.client = 7}};
    msg_encode(&m, out);
}

static void put_large(struct buf *out, size_t bytes)
{
    uint8_t *data = calloc(1, bytes);
    struct msg m = {.kind = MSG_KV_REQUEST, .id = 9};
    m.kv_request.request = (struct kv_request){.op = KV_PUT, .key = bytes_str("k"), .data = bytes_of(data, bytes)};
    msg_encode(&m, out);
    free(data);
}

/* Feeds at most `step` bytes at a time and counts the whole frames that come out; -1 for a refusal. */
static int feed(struct frame_in *f, struct bytes stream, size_t step, struct buf *out)
{
    int frames = 0;
    while (stream.len) {
        size_t room;
        uint8_t *to = frame_in_room(f, &scratch, &room);
        assert_true(room > 0);
        size_t n = MIN(MIN(room, step), stream.len);
        memcpy(to, stream.data, n);
        stream = bytes_from(stream, n);
        frame_in_filled(f, &scratch, n);
        for (;;) {
            struct bytes frame;
            if (frame_in_next(f, &frame))
                return -1;
            if (frame.len == 0)
                break;
            frames++;
            buf_put(out, frame);
        }
        frame_in_keep(f);
    }
    return frames;
}

static void expect_stream(struct bytes stream, size_t step, int frames)
{
    struct frame_in f = {0};
    struct buf out = {0};
    assert_int_equal(feed(&f, stream, step, &out), frames);
    assert_true(bytes_eq(buf_bytes(&out), stream));
    assert_false(frame_in_started(&f));
    frame_in_release(&f);
    buf_release(&out);
}

static void frames_come_out_as_they_went_in_however_they_were_cut(void **state)
{
    struct buf stream = {0};
    put_hello(&stream, 1);
    put_hello(&stream, 2);
    put_large(&stream, 600u << 10);
    put_hello(&stream, 3);
    put_large(&stream, FRAME_SCRATCH_BYTES - 100);
    put_large(&stream, 1000);
    const size_t steps[] = {1, 2, 47, 48, 49, 4096, 65536, 1u << 20, SIZE_MAX};
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++)
        expect_stream(buf_bytes(&stream), steps[i], 6);
    buf_release(&stream);
}

static void a_frame_missing_its_last_byte_is_not_given_out(void **state)
{
    struct frame_in f = {0};
    struct buf stream = {0}, out = {0};
    put_hello(&stream, 1);
    struct bytes cut = bytes_first(buf_bytes(&stream), stream.len - 1);
    assert_int_equal(feed(&f, cut, SIZE_MAX, &out), 0);
    assert_true(frame_in_started(&f));
    assert_int_equal(feed(&f, bytes_from(buf_bytes(&stream), cut.len), 1, &out), 1);
    frame_in_release(&f);
    buf_release(&stream);
    buf_release(&out);
}

static void set_le32(struct buf *b, size_t at, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        b->data[at + i] = (uint8_t)(v >> (8 * i));
}

static void a_hostile_length_is_refused_before_anything_is_stored_for_it(void **state)
{
    const uint32_t lengths[] = {FRAME_BULK_BYTES_MAX + 1, 0x7fffffff, 0x80000000, 0xffffffff};
    for (unsigned i = 0; i < 2 * ARRAY_LEN(lengths); i++) {
        struct frame_in f = {0};
        struct buf stream = {0}, out = {0};
        put_hello(&stream, 1);
        set_le32(&stream, i % 2 ? 24 : 28, lengths[i / 2]);
        assert_int_equal(feed(&f, buf_bytes(&stream), SIZE_MAX, &out), -1);
        assert_true(frame_in_held(&f) <= 4096);
        frame_in_release(&f);
        buf_release(&stream);
        buf_release(&out);
    }
}

static void text_of_another_protocol_is_refused(void **state)
{
    struct frame_in f = {0};
    struct buf out = {0};
    struct bytes http = bytes_str("GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: curl/8.0\r\n\r\n");
    assert_int_equal(feed(&f, http, SIZE_MAX, &out), -1);
    frame_in_release(&f);
    buf_release(&out);
}

static void who_announces_much_and_sends_little_gets_little_memory(void **state)
{
    struct frame_in f = {0};
    struct buf stream = {0}, out = {0};
    put_large(&stream, DATA_BYTES_MAX);
    assert_int_equal(feed(&f, bytes_first(buf_bytes(&stream), 1000), 100, &out), 0);
    assert_true(frame_in_held(&f) < 256u << 10);
    frame_in_release(&f);
    buf_release(&stream);
    buf_release(&out);
}

static void between_frames_no_memory_is_held(void **state)
{
    struct frame_in f = {0};
    struct buf stream = {0}, out = {0};
    put_large(&stream, DATA_BYTES_MAX);
    assert_int_equal(feed(&f, buf_bytes(&stream), 70000, &out), 1);
    assert_int_equal(frame_in_held(&f), 0);
    frame_in_release(&f);
    buf_release(&stream);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_out_as_they_went_in_however_they_were_cut),
        cmocka_unit_test(a_frame_missing_its_last_byte_is_not_given_out),
        cmocka_unit_test(a_hostile_length_is_refused_before_anything_is_stored_for_it),
        cmocka_unit_test(text_of_another_protocol_is_refused),
        cmocka_unit_test(who_announces_much_and_sends_little_gets_little_memory),
        cmocka_unit_test(between_frames_no_memory_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
