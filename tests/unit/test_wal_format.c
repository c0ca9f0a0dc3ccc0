/* The bytes of the log without any file: headers, records, and what a scan makes of a mangled segment. */
#include "tests/unit/unit.h"

#include "base/prng.h"
#include "store/wal_format.h"

#define BATCHES 8u

struct image {
    struct buf file;
    uint64_t seed;
    size_t ends[BATCHES + 1]; /* ends[i]: where batch i begins */
};

static const struct wal_segment_header header = {
    .id = {1, 2, 3, 4}, .number = 5, .oldest_needed = 4, .base_index = 9, .base_term = 2, .first_sequence = 77,
    .hard_state = {.term = 3, .vote = 1, .commit = 8},
};

static void add_batch(struct image *image, unsigned i, struct prng *p)
{
    struct buf batch = {0};
    memset(buf_grow(&batch, WAL_BATCH_HEADER_BYTES), 0, WAL_BATCH_HEADER_BYTES);
    uint32_t n = (uint32_t)prng_below(p, 4);
    for (uint32_t k = 0; k < n; k++) {
        struct blob *payload = blob_alloc(prng_below(p, 40));
        memset(payload->data, (int)(i + 1), payload->len);
        wal_record_encode(&(struct raft_entry){.index = 10 + i, .term = 3, .kind = RAFT_COMMAND, .payload = payload}, &batch);
        blob_unref(payload);
    }
    struct wal_place place = {.seed = image->seed, .offset = image->file.len, .sequence = header.first_sequence + i};
    struct raft_hard_state h = {.term = 3, .vote = 1, .commit = i};
    wal_batch_seal(batch.data, batch.len, n, &place, &h);
    image->ends[i] = image->file.len;
    buf_put(&image->file, buf_bytes(&batch));
    buf_release(&batch);
}

static struct image make_image(uint64_t seed)
{
    struct image image = {0};
    struct prng p;
    prng_init(&p, seed);
    image.seed = wal_segment_header_encode(&header, &image.file);
    for (unsigned i = 0; i < BATCHES; i++)
        add_batch(&image, i, &p);
    image.ends[BATCHES] = image.file.len;
    return image;
}

static enum wal_scanned scan_all(const struct image *image, struct bytes file, unsigned *ret_batches)
{
    struct wal_scan s;
    struct wal_found found;
    enum wal_scanned what;
    wal_scan_init(&s, file, image->seed, header.first_sequence);
    *ret_batches = 0;
    while ((what = wal_scan_next(&s, &found)) == WAL_BATCH) {
        struct bytes expected = bytes_first(bytes_from(buf_bytes(&image->file), image->ends[*ret_batches] + WAL_BATCH_HEADER_BYTES),
                                            image->ends[*ret_batches + 1] - image->ends[*ret_batches] - WAL_BATCH_HEADER_BYTES);
        assert_true(bytes_eq(found.body, expected));
        assert_true(found.hard_state.commit == *ret_batches);
        ++*ret_batches;
    }
    return what;
}

static void a_segment_header_survives_a_round_trip(void **state)
{
    struct buf b = {0};
    struct wal_segment_header h;
    uint64_t seed = wal_segment_header_encode(&header, &b), found_seed;
    assert_int_equal(b.len, WAL_SEGMENT_HEADER_BYTES);
    assert_int_equal(wal_segment_header_decode(buf_bytes(&b), &h, &found_seed), RGKV_OK);
    assert_memory_equal(&h, &header, sizeof(h));
    assert_true(seed == found_seed);
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] ^= 0x10;
        assert_int_not_equal(wal_segment_header_decode(buf_bytes(&b), &h, &found_seed), RGKV_OK);
        b.data[i] ^= 0x10;
        assert_int_equal(wal_segment_header_decode(bytes_first(buf_bytes(&b), i), &h, &found_seed), RGKV_DAMAGED);
    }
    buf_release(&b);
}

static void records_are_read_back_until_the_body_makes_no_sense(void **state)
{
    struct buf b = {0};
    struct wal_record r;
    bool ok;
    struct blob *payload = blob_new(bytes_str("payload"));
    wal_record_encode(&(struct raft_entry){.index = 7, .term = 3, .kind = RAFT_COMMAND, .payload = payload}, &b);
    wal_record_encode(&(struct raft_entry){.index = 8, .term = 3, .kind = RAFT_NOOP}, &b);
    struct bytes body = buf_bytes(&b);
    assert_true(wal_record_next(&body, &r, &ok));
    assert_true(r.index == 7 && r.term == 3 && r.kind == RAFT_COMMAND && bytes_eq(r.payload, bytes_str("payload")));
    assert_true(wal_record_next(&body, &r, &ok));
    assert_true(r.index == 8 && r.kind == RAFT_NOOP && r.payload.len == 0);
    assert_false(wal_record_next(&body, &r, &ok));
    assert_true(ok);
    for (size_t len = 1; len < 32; len++) {
        body = bytes_first(buf_bytes(&b), len);
        assert_false(wal_record_next(&body, &r, &ok));
        assert_false(ok);
    }
    memset(b.data, 0xff, 4); /* a length beyond everything */
    body = buf_bytes(&b);
    assert_false(wal_record_next(&body, &r, &ok));
    assert_false(ok);
    blob_unref(payload);
    buf_release(&b);
}

static void P22_only_the_last_batch_can_be_torn(void **state)
{
    struct image image = make_image(1);
    unsigned n;
    assert_int_equal(scan_all(&image, buf_bytes(&image.file), &n), WAL_END);
    assert_int_equal(n, BATCHES);
    for (unsigned i = 0; i < BATCHES; i++) {
        for (size_t at = image.ends[i]; at < image.ends[i + 1]; at++) {
            image.file.data[at] ^= 1;
            assert_int_equal(scan_all(&image, buf_bytes(&image.file), &n), i + 1 == BATCHES ? WAL_TORN : WAL_DAMAGED);
            assert_int_equal(n, i);
            image.file.data[at] ^= 1;
        }
    }
    buf_release(&image.file);
}

static void P22_a_batch_of_another_place_or_sequence_does_not_count(void **state)
{
    struct image image = make_image(2);
    unsigned n;
    size_t at = image.ends[4], len = image.ends[5] - image.ends[4];
    struct buf moved = {0};
    buf_put(&moved, bytes_first(buf_bytes(&image.file), image.ends[2]));
    buf_put(&moved, bytes_first(bytes_from(buf_bytes(&image.file), at), len));
    assert_int_equal(scan_all(&image, buf_bytes(&moved), &n), WAL_TORN);
    assert_int_equal(n, 2);
    buf_release(&moved);
    buf_release(&image.file);
}

/* Overwrites a stretch with noise, zeros or another stretch, or cuts the end. */
static void mangle(struct buf *b, struct prng *p)
{
    size_t from = prng_below(p, b->len), len = prng_between(p, 1, MIN(90, b->len - from)), other = prng_below(p, b->len - len + 1);
    switch (prng_below(p, 4)) {
    case 0:
        for (size_t i = 0; i < len; i++)
            b->data[from + i] = (uint8_t)prng_next(p);
        break;
    case 1:
        memset(b->data + from, 0, len);
        break;
    case 2:
        memmove(b->data + from, b->data + other, len);
        break;
    case 3:
        b->len = MAX(from, WAL_SEGMENT_HEADER_BYTES);
        break;
    }
}

static void whatever_is_done_to_the_bytes_no_batch_is_invented(void **state)
{
    unsigned ends = 0, torn = 0, damaged = 0;
    for (uint64_t seed = 0; seed < 5000; seed++) {
        struct image image = make_image(seed % 20);
        struct buf copy = {0};
        struct prng p;
        unsigned n;
        prng_init(&p, seed);
        buf_put(&copy, buf_bytes(&image.file));
        for (uint64_t times = prng_between(&p, 1, 3); times > 0; times--)
            mangle(&copy, &p);
        enum wal_scanned what = scan_all(&image, buf_bytes(&copy), &n); /* compares each batch */
        ends += what == WAL_END;
        torn += what == WAL_TORN;
        damaged += what == WAL_DAMAGED;
        buf_release(&copy);
        buf_release(&image.file);
    }
    assert_true(ends > 50 && torn > 50 && damaged > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_header_survives_a_round_trip),
        cmocka_unit_test(records_are_read_back_until_the_body_makes_no_sense),
        cmocka_unit_test(P22_only_the_last_batch_can_be_torn),
        cmocka_unit_test(P22_a_batch_of_another_place_or_sequence_does_not_count),
        cmocka_unit_test(whatever_is_done_to_the_bytes_no_batch_is_invented),
    };
    return cmocka_run_group_tests_name("wal_format", tests, NULL, NULL);
}
