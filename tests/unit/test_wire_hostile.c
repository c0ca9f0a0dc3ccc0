/* Frames that somebody made in order to hurt: each sealed with a right checksum, so that only the checks behind it are
 * left. Where a number of a body is changed, its place is that of the kind's codec. */
#include "tests/unit/unit.h"
#include "tests/unit/wire_frame.h"
#include "tests/unit/wire_random.h"

#include <stdlib.h>

#define MAGIC_AT 0u
#define VERSION_AT 4u
#define KIND_AT 5u
#define FLAGS_AT 6u
#define BODY_BYTES_AT 24u
#define BULK_BYTES_AT 28u
#define RESERVED_AT 40u

static struct buf encode(const struct msg *m)
{
    struct buf frame = {0};
    msg_encode(m, &frame);
    return frame;
}

static enum rgkv_err sealed_decode(struct buf *frame)
{
    struct arena a = {0};
    struct msg m;
    frame_reseal(frame->data, frame->len);
    uint8_t *copy = exact_copy(buf_bytes(frame));
    enum rgkv_err err = msg_decode(bytes_of(copy, frame->len), &a, &m);
    if (!err)
        msg_release(&m);
    free(copy);
    arena_release(&a);
    return err;
}

/* What becomes of `m` with the i-th number of its body set to v. */
static enum rgkv_err with_number(const struct msg *m, unsigned i, uint64_t v)
{
    struct buf frame = encode(m);
    le64_set(frame_number(frame.data, i), v);
    enum rgkv_err err = sealed_decode(&frame);
    buf_release(&frame);
    return err;
}

/* The same for a row's column. */
static enum rgkv_err with_column(const struct msg *m, unsigned table, unsigned column, uint64_t v)
{
    struct buf frame = encode(m);
    le64_set(frame_row_count(frame.data, table) + 4 + 8 * column, v);
    enum rgkv_err err = sealed_decode(&frame);
    buf_release(&frame);
    return err;
}

/* ---- headers ---- */

static const struct msg hello = {.kind = MSG_HELLO, .hello = {.node = 7, .addr = "a:1", .version = "0"}};

static enum rgkv_err hello_with_byte(size_t at, uint8_t v)
{
    struct buf frame = encode(&hello);
    size_t bytes;
    frame.data[at] = v;
    enum rgkv_err size_err = frame_size(frame.data, &bytes), err = sealed_decode(&frame);
    assert_int_equal(size_err, err);
    buf_release(&frame);
    return err;
}

static void other_protocols_are_refused_by_their_first_bytes(void **state)
{
    static const char *const openings[] = {
        "GET / HTTP/1.1\r\nHost: localhost:7400\r\nUser-Agent: x\r\n\r\n", "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3           \r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client hello is longer than a header", "tpl\0 a bare image of tpl without any frame around it"};
    for (size_t i = 0; i < ARRAY_LEN(openings); i++) {
        uint8_t header[FRAME_HEADER_BYTES];
        size_t bytes = 12345;
        memcpy(header, openings[i], sizeof(header));
        assert_int_equal(frame_size(header, &bytes), RGKV_PROTOCOL);
        assert_int_equal(bytes, 12345);
    }
}

static void unknown_versions_and_kinds_are_refused(void **state)
{
    for (unsigned v = 0; v < 256; v++) {
        assert_int_equal(hello_with_byte(VERSION_AT, (uint8_t)v), v == WIRE_VERSION ? RGKV_OK : RGKV_PROTOCOL);
        if (v == 0 || v >= MSG_KIND_COUNT)
            assert_int_equal(hello_with_byte(KIND_AT, (uint8_t)v), RGKV_PROTOCOL);
    }
}

static void flags_and_reserved_bits_are_refused(void **state)
{
    for (unsigned bit = 0; bit < 8; bit++) {
        for (unsigned at = FLAGS_AT; at < FLAGS_AT + 2; at++)
            assert_int_equal(hello_with_byte(at, (uint8_t)(1 << bit)), RGKV_PROTOCOL);
        for (unsigned at = RESERVED_AT; at < RESERVED_AT + 8; at++)
            assert_int_equal(hello_with_byte(at, (uint8_t)(1 << bit)), RGKV_PROTOCOL);
    }
}

static void lengths_over_what_the_kind_can_hold_are_refused_before_anything_is_allocated(void **state)
{
    static const uint32_t lengths[] = {FRAME_BODY_BYTES_MAX, FRAME_BULK_BYTES_MAX, FRAME_BULK_BYTES_MAX + 1, FRAME_BODY_BYTES_MAX + 1, INT32_MAX,
                                       1u << 31, UINT32_MAX - 47, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        for (size_t at = BODY_BYTES_AT; at <= BULK_BYTES_AT; at += 4) {
            struct buf frame = encode(&hello);
            size_t bytes;
            le32_set(frame.data + at, lengths[i]);
            assert_int_equal(frame_size(frame.data, &bytes), RGKV_PROTOCOL);
            assert_int_equal(sealed_decode(&frame), RGKV_PROTOCOL);
            buf_release(&frame);
        }
    }
}

static void no_header_makes_a_frame_larger_than_the_limits(void **state)
{
    struct prng p;
    prng_init(&p, 5);
    unsigned accepted = 0;
    struct buf frame = encode(&hello);
    for (unsigned i = 0; i < 200000; i++) {
        size_t bytes = 0;
        frame.data[KIND_AT] = (uint8_t)prng_below(&p, MSG_KIND_COUNT + 1);
        le32_set(frame.data + BODY_BYTES_AT, (uint32_t)prng_below(&p, 1 << 20));
        le32_set(frame.data + BULK_BYTES_AT, (uint32_t)prng_below(&p, 8 << 20));
        if (frame_size(frame.data, &bytes))
            continue;
        assert_true(bytes <= FRAME_HEADER_BYTES + FRAME_BODY_BYTES_MAX + FRAME_BULK_BYTES_MAX);
        accepted++;
    }
    assert_in_range(accepted, 1, 199999);
    buf_release(&frame);
}

static void empty_bodies_are_refused(void **state)
{
    for (unsigned kind = 1; kind < MSG_KIND_COUNT; kind++) {
        struct buf frame = encode(&hello);
        frame.len = FRAME_HEADER_BYTES;
        frame.data[KIND_AT] = (uint8_t)kind;
        le32_set(frame.data + BODY_BYTES_AT, 0);
        le32_set(frame.data + BULK_BYTES_AT, 0);
        assert_int_equal(sealed_decode(&frame), RGKV_PROTOCOL);
        buf_release(&frame);
    }
}

/* ---- enums and booleans: number of the body, values just outside ---- */

static void unknown_enum_values_are_refused(void **state)
{
    static const struct {
        struct msg m;
        unsigned number;
        uint64_t first, last;
        unsigned shift; /* the value is the upper half of its number */
    } rows[] = {
        {{.kind = MSG_RAFT, .raft.message.kind = RAFT_VOTE}, 4, RAFT_PRE_VOTE, RAFT_TIMEOUT_NOW, 0},
        {{.kind = MSG_KV_REQUEST, .kv_request.request.op = KV_GET}, 5, KV_STAT, KV_READ_LAST, 32},
        {{.kind = MSG_KV_REPLY}, 0, RGKV_OK, RGKV_ERR_COUNT - 1, 0},
        {{.kind = MSG_ADMIN_REQUEST, .admin_request.command.op = CTRL_MOVE}, 0, CTRL_JOIN, CTRL_MOVE, 0},
        {{.kind = MSG_ADMIN_REPLY}, 0, RGKV_OK, RGKV_ERR_COUNT - 1, 0},
        {{.kind = MSG_CTRL_READ, .ctrl_read.what = CTRL_READ_LEADER}, 0, CTRL_READ_CONFIG, CTRL_READ_COUNT - 1, 0},
        {{.kind = MSG_CTRL_TEXT}, 0, RGKV_OK, RGKV_ERR_COUNT - 1, 0},
        {{.kind = MSG_VIEW}, 0, RGKV_OK, RGKV_ERR_COUNT - 1, 0},
        {{.kind = MSG_PULL_REPLY}, 0, RGKV_OK, RGKV_ERR_COUNT - 1, 0},
        {{.kind = MSG_REFUSED}, 0, RGKV_OK, RGKV_ERR_COUNT - 1, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(with_number(&rows[i].m, rows[i].number, rows[i].first << rows[i].shift), RGKV_OK);
        assert_int_equal(with_number(&rows[i].m, rows[i].number, rows[i].last << rows[i].shift), RGKV_OK);
        assert_int_equal(with_number(&rows[i].m, rows[i].number, (rows[i].last + 1) << rows[i].shift), RGKV_PROTOCOL);
        assert_int_equal(with_number(&rows[i].m, rows[i].number, UINT64_MAX), RGKV_PROTOCOL);
        if (rows[i].first)
            assert_int_equal(with_number(&rows[i].m, rows[i].number, (rows[i].first - 1) << rows[i].shift), RGKV_PROTOCOL);
    }
}

static void operations_between_writes_and_reads_are_refused(void **state)
{
    const struct msg m = {.kind = MSG_KV_REQUEST, .kv_request.request.op = KV_GET};
    for (uint64_t op = 0; op < 100; op++) {
        bool known = (op >= KV_PUT && op <= KV_WRITE_LAST) || (op >= KV_STAT && op <= KV_READ_LAST);
        assert_int_equal(with_number(&m, 5, op << 32), known ? RGKV_OK : RGKV_PROTOCOL);
    }
}

static void nobody_may_ask_for_the_controllers_own_commands(void **state)
{
    const struct msg m = {.kind = MSG_ADMIN_REQUEST, .admin_request.command.op = CTRL_JOIN};
    for (uint64_t op = 0; op <= CTRL_OP_LAST; op++) {
        bool admin = op == CTRL_JOIN || op == CTRL_LEAVE || op == CTRL_MOVE || op == CTRL_ADD_MEMBER || op == CTRL_REMOVE_MEMBER ||
                     op == CTRL_KEEP_MEMBER || op == CTRL_TRANSFER || op == CTRL_ABANDON;
        assert_int_equal(with_number(&m, 0, op), admin ? RGKV_OK : RGKV_PROTOCOL);
    }
}

static void booleans_are_0_or_1(void **state)
{
    static const struct {
        struct msg m;
        unsigned number;
    } rows[] = {
        {{.kind = MSG_SNAPSHOT_CHUNK, .snapshot_chunk.header.kind = RAFT_SNAPSHOT}, 17},
        {{.kind = MSG_SNAPSHOT_ACK}, 7}, {{.kind = MSG_SNAPSHOT_ACK}, 8}, {{.kind = MSG_KV_REPLY}, 11},
        {{.kind = MSG_ADMIN_REPLY}, 3}, {{.kind = MSG_POLL}, 2}, {{.kind = MSG_VIEW}, 3}, {{.kind = MSG_PULL_REPLY}, 5},
        {{.kind = MSG_PULL_REPLY}, 6},
        {{.kind = MSG_FOUND_ACK}, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(with_number(&rows[i].m, rows[i].number, 1), RGKV_OK);
        assert_int_equal(with_number(&rows[i].m, rows[i].number, 2), RGKV_PROTOCOL);
        assert_int_equal(with_number(&rows[i].m, rows[i].number, UINT32_MAX), RGKV_PROTOCOL);
        assert_int_equal(with_number(&rows[i].m, rows[i].number, UINT64_MAX), RGKV_PROTOCOL);
    }
}

/* Numbers that are legal in their type but make no sense are not for the wire to judge: they come through unchanged. */
static void huge_terms_indexes_and_epochs_come_through_unchanged(void **state)
{
    struct arena a = {0};
    struct msg got, m = {.kind = MSG_RAFT,
                         .raft.message = {.kind = RAFT_APPEND, .term = UINT64_MAX, .log_index = UINT64_MAX, .log_term = UINT64_MAX,
                                          .commit = UINT64_MAX, .round = 1ull << 63}};
    struct buf frame = encode(&m);
    assert_int_equal(msg_decode(buf_bytes(&frame), &a, &got), RGKV_OK);
    assert_true(msg_eq(&m, &got));
    buf_release(&frame);
    arena_release(&a);
}

static void numbers_wider_than_their_member_are_refused(void **state)
{
    const struct msg pull = {.kind = MSG_PULL}, reply = {.kind = MSG_PULL_REPLY}, found = {.kind = MSG_FOUND};
    assert_int_equal(with_number(&pull, 2, UINT32_MAX), RGKV_OK);
    assert_int_equal(with_number(&pull, 2, 1ull << 32), RGKV_PROTOCOL);
    assert_int_equal(with_number(&reply, 2, 1ull << 32), RGKV_PROTOCOL);
    assert_int_equal(with_number(&found, 1, 1ull << 32), RGKV_PROTOCOL);
}

/* ---- strings ---- */

static void a_nul_inside_a_string_is_refused(void **state)
{
    for (size_t at = 0; at < 4; at++) { /* a:1 and 0 */
        struct buf frame = encode(&hello);
        frame.data[frame.len - 4 + at] = 0;
        assert_int_equal(sealed_decode(&frame), RGKV_PROTOCOL);
        buf_release(&frame);
    }
}

/* An address whose NUL has no room, and one that has just room, with the bytes really there. */
static void a_string_that_fills_its_member_is_refused(void **state)
{
    for (unsigned len = ADDR_BYTES_MAX - 2; len <= ADDR_BYTES_MAX; len++) {
        struct msg m = {.kind = MSG_FOUND_ASK};
        struct buf frame = encode(&m);
        memset(buf_grow(&frame, len), 'x', len);
        le64_set(frame_number(frame.data, 1), len);
        le32_set(frame.data + BULK_BYTES_AT, len);
        assert_int_equal(sealed_decode(&frame), len < ADDR_BYTES_MAX ? RGKV_OK : RGKV_PROTOCOL);
        buf_release(&frame);
    }
}

static void strings_need_not_be_utf8(void **state)
{
    struct msg m = hello;
    memcpy(m.hello.addr, "\xff\xfe\x80", 4);
    struct buf frame = encode(&m);
    assert_int_equal(sealed_decode(&frame), RGKV_OK);
    buf_release(&frame);
}

static void lengths_that_do_not_add_up_to_the_bulk_are_refused(void **state)
{
    static const uint64_t lengths[] = {0, 2, 4, 5, 63, 64, INT32_MAX, UINT32_MAX, 1ull << 32, (1ull << 32) + 3, 1ull << 63, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
        assert_int_equal(with_number(&hello, 2, lengths[i]), RGKV_PROTOCOL);
    assert_int_equal(with_number(&hello, 2, 3), RGKV_OK);
}

/* Two lengths whose sum is right only modulo 2^64. */
static void lengths_whose_sum_overflows_are_refused(void **state)
{
    struct buf frame = encode(&hello);
    le64_set(frame_number(frame.data, 2), UINT64_MAX - 1);
    le64_set(frame_number(frame.data, 3), 6);
    assert_int_equal(sealed_decode(&frame), RGKV_PROTOCOL);
    buf_release(&frame);
}

/* Key, second key and data with the bytes really there; the numbers are {key, key2} and {data, mode}. */
static enum rgkv_err kv_with_lengths(uint32_t key, uint32_t key2, uint32_t data)
{
    const struct msg m = {.kind = MSG_KV_REQUEST, .kv_request.request.op = KV_PUT};
    struct buf frame = encode(&m);
    memset(buf_grow(&frame, key + key2 + data), 'x', key + key2 + data);
    le64_set(frame_number(frame.data, 7), (uint64_t)key2 << 32 | key);
    le64_set(frame_number(frame.data, 8), data);
    le32_set(frame.data + BULK_BYTES_AT, key + key2 + data);
    enum rgkv_err err = sealed_decode(&frame);
    buf_release(&frame);
    return err;
}

static void keys_and_data_over_their_limits_are_refused(void **state)
{
    assert_int_equal(kv_with_lengths(KEY_BYTES_MAX, KEY_BYTES_MAX, DATA_BYTES_MAX), RGKV_OK);
    assert_int_equal(kv_with_lengths(KEY_BYTES_MAX + 1, 0, 0), RGKV_PROTOCOL);
    assert_int_equal(kv_with_lengths(0, KEY_BYTES_MAX + 1, 0), RGKV_PROTOCOL);
    assert_int_equal(kv_with_lengths(0, 0, DATA_BYTES_MAX + 1), RGKV_PROTOCOL);
}

/* ---- raft's entries ---- */

static struct raft_entry two_entries[2] = {{.index = 6, .term = 1, .kind = RAFT_NOOP}, {.index = 7, .term = 1, .kind = RAFT_NOOP}};
static const struct msg append = {
    .kind = MSG_RAFT, .raft.message = {.kind = RAFT_APPEND, .log_index = 5, .n_entries = 2, .entries = two_entries}};

static void entries_of_any_message_but_append_are_refused(void **state)
{
    for (uint64_t kind = RAFT_PRE_VOTE; kind <= RAFT_TIMEOUT_NOW; kind++)
        assert_int_equal(with_number(&append, 4, kind), kind == RAFT_APPEND ? RGKV_OK : RGKV_PROTOCOL);
}

static void entries_beyond_the_last_index_are_refused(void **state)
{
    assert_int_equal(with_number(&append, 8, UINT64_MAX - 2), RGKV_OK);
    assert_int_equal(with_number(&append, 8, UINT64_MAX - 1), RGKV_PROTOCOL);
    assert_int_equal(with_number(&append, 8, UINT64_MAX), RGKV_PROTOCOL);
}

static void unknown_entries_and_noops_with_a_payload_are_refused(void **state)
{
    assert_int_equal(with_column(&append, 0, 1, RAFT_COMMAND), RGKV_OK);
    assert_int_equal(with_column(&append, 0, 1, RAFT_CONFIG), RGKV_OK);
    assert_int_equal(with_column(&append, 0, 1, 0), RGKV_PROTOCOL);
    assert_int_equal(with_column(&append, 0, 1, RAFT_CONFIG + 1), RGKV_PROTOCOL);
    struct buf frame = encode(&append);
    buf_put_u8(&frame, 'x');
    le32_set(frame.data + BULK_BYTES_AT, 1);
    le64_set(frame_row_count(frame.data, 0) + 4 + 8, 1ull << 32 | RAFT_NOOP);
    assert_int_equal(sealed_decode(&frame), RGKV_PROTOCOL);
    le64_set(frame_row_count(frame.data, 0) + 4 + 8, 1ull << 32 | RAFT_COMMAND);
    assert_int_equal(sealed_decode(&frame), RGKV_OK);
    buf_release(&frame);
}

/* The first has its payload by then: a leak would be seen by the sanitizer. */
static void a_refused_second_entry_gives_the_first_ones_payload_back(void **state)
{
    struct blob *payload = blob_new(bytes_str("payload"));
    struct raft_entry entries[2] = {{.index = 1, .term = 1, .kind = RAFT_COMMAND, .payload = payload},
                                    {.index = 2, .term = 1, .kind = RAFT_COMMAND, .payload = payload}};
    struct msg m = {.kind = MSG_RAFT, .raft.message = {.kind = RAFT_APPEND, .n_entries = 2, .entries = entries}};
    assert_int_equal(with_column(&m, 0, 3, 8ull << 32 | RAFT_COMMAND), RGKV_PROTOCOL);
    assert_int_equal(with_column(&m, 0, 3, 7ull << 32), RGKV_PROTOCOL);
    blob_unref(payload);
}

static void decoded_entries_outlive_the_frame_and_the_message(void **state)
{
    struct arena a = {0};
    struct blob *payload = blob_new(bytes_str("payload"));
    struct raft_entry entry = {.index = 1, .term = 1, .kind = RAFT_COMMAND, .payload = payload};
    struct msg got, m = {.kind = MSG_RAFT, .raft.message = {.kind = RAFT_APPEND, .n_entries = 1, .entries = &entry}};
    struct buf frame = encode(&m);
    assert_int_equal(msg_decode(buf_bytes(&frame), &a, &got), RGKV_OK);
    struct blob *kept = blob_ref(got.raft.message.entries[0].payload);
    msg_release(&got);
    msg_release(&got);
    buf_release(&frame);
    arena_release(&a);
    assert_true(bytes_eq(blob_bytes(kept), bytes_str("payload")));
    assert_int_equal(kept->refs, 1);
    blob_unref(kept);
    blob_unref(payload);
}

/* ---- nested counts ---- */

static void a_group_with_more_members_than_it_can_have_is_refused(void **state)
{
    static const uint64_t counts[] = {1, MEMBERS_MAX + 1, INT32_MAX, UINT32_MAX, UINT64_MAX};
    struct ctrl_join_group group = {.gid = 1, .n = 2, .addrs = {"a:1", "b:2"}};
    struct msg m = {.kind = MSG_ADMIN_REQUEST, .admin_request.command = {.op = CTRL_JOIN, .n_groups = 1, .groups = &group}};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        assert_int_equal(with_column(&m, 0, 1, counts[i]), RGKV_PROTOCOL);
    assert_int_equal(with_column(&m, 0, 1, 2), RGKV_OK);
}

static void a_replica_with_more_shards_than_there_are_rows_is_refused(void **state)
{
    static const uint64_t counts[] = {0, 2, NSHARDS_MAX, INT32_MAX, UINT32_MAX};
    struct ctrl_report_shard shard = {.shard = 3, .state = KV_SERVING};
    struct ctrl_report_replica replica = {.gid = 1, .leader = true, .n_shards = 1, .shards = &shard};
    struct msg m = {.kind = MSG_POLL, .poll = {.has_report = true, .report = {.n_replicas = 1, .replicas = &replica}}};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        assert_int_equal(with_column(&m, 0, 3, counts[i] << 32 | 1), RGKV_PROTOCOL);
    assert_int_equal(with_column(&m, 0, 3, 1ull << 32 | 1), RGKV_OK);
}

static void a_view_whose_groups_are_not_sorted_is_refused(void **state)
{
    struct ctrl_group groups[2] = {{.gid = 5}, {.gid = 9}};
    struct msg m = {.kind = MSG_VIEW, .view = {.changed = true, .view = {.n_groups = 2, .groups = groups}}};
    assert_int_equal(with_column(&m, 1, 3, 6), RGKV_OK);
    assert_int_equal(with_column(&m, 1, 3, 5), RGKV_PROTOCOL);
    assert_int_equal(with_column(&m, 1, 3, 4), RGKV_PROTOCOL);
}

static void what_is_said_to_be_absent_has_no_content(void **state)
{
    const struct msg poll = {.kind = MSG_POLL}, view = {.kind = MSG_VIEW};
    assert_int_equal(with_number(&poll, 3, 7), RGKV_PROTOCOL);
    assert_int_equal(with_number(&view, 3, 7), RGKV_PROTOCOL);
}

/* ---- limits of what we send ourselves ---- */

static void a_replica_whose_shards_do_not_fit_is_told_as_a_follower(void **state)
{
    static struct ctrl_report_shard shards[NSHARDS_MAX];
    struct ctrl_report_replica replicas[4];
    for (unsigned i = 0; i < 4; i++)
        replicas[i] = (struct ctrl_report_replica){.gid = i, .leader = true, .n_shards = NSHARDS_MAX, .shards = shards};
    struct msg got, m = {.kind = MSG_POLL, .poll = {.has_report = true, .report = {.n_replicas = 4, .replicas = replicas}}};
    struct arena a = {0};
    struct buf frame = encode(&m);
    assert_int_equal(msg_decode(buf_bytes(&frame), &a, &got), RGKV_OK);
    for (unsigned i = 0; i < 4; i++) {
        const struct ctrl_report_replica *r = &got.poll.report.replicas[i];
        assert_int_equal(r->gid, i);
        assert_int_equal(r->leader, i < 3);
        assert_int_equal(r->n_shards, i < 3 ? NSHARDS_MAX : 0);
    }
    buf_release(&frame);
    arena_release(&a);
}

static void tombstones_over_the_limit_wait(void **state)
{
    static struct ctrl_tombstone tombstones[VIEW_TOMBSTONES_MAX + 5];
    struct msg got, m = {.kind = MSG_VIEW,
                         .view = {.changed = true, .view = {.n_tombstones = ARRAY_LEN(tombstones), .tombstones = tombstones}}};
    struct arena a = {0};
    tombstones[VIEW_TOMBSTONES_MAX - 1].gid = 77;
    struct buf frame = encode(&m);
    assert_int_equal(msg_decode(buf_bytes(&frame), &a, &got), RGKV_OK);
    assert_int_equal(got.view.view.n_tombstones, VIEW_TOMBSTONES_MAX);
    assert_int_equal(got.view.view.tombstones[VIEW_TOMBSTONES_MAX - 1].gid, 77);
    buf_release(&frame);
    arena_release(&a);
}

/* ---- memory ---- */

/* The largest view there can be; its memory bounds that of every other, since counts are bounded one by one. */
static struct msg view_largest(void)
{
    static struct ctrl_shard shards[NSHARDS_MAX];
    static struct ctrl_group groups[GROUPS_MAX];
    static struct ctrl_tombstone tombstones[VIEW_TOMBSTONES_MAX];
    struct msg m = {.kind = MSG_VIEW,
                    .view = {.changed = true,
                             .view = {.nshards = NSHARDS_MAX, .shards = shards, .n_groups = GROUPS_MAX, .groups = groups,
                                      .n_controllers = MEMBERS_MAX, .n_tombstones = VIEW_TOMBSTONES_MAX, .tombstones = tombstones}}};
    for (unsigned i = 0; i < GROUPS_MAX; i++) {
        groups[i].gid = i + 1;
        groups[i].n = MEMBERS_MAX;
        for (unsigned j = 0; j < MEMBERS_MAX; j++)
            memset(groups[i].members[j].addr, 'x', ADDR_BYTES_MAX - 1);
    }
    return m;
}

static void the_largest_view_goes_through_in_bounded_memory(void **state)
{
    struct msg got, m = view_largest();
    struct arena a = {0};
    struct buf frame = encode(&m);
    assert_int_equal(msg_decode(buf_bytes(&frame), &a, &got), RGKV_OK);
    assert_true(msg_eq(&m, &got));
    arena_reset(&a);
    assert_int_equal(a.extra == NULL, true);
    assert_true(a.cap <= 1u << 20);
    buf_release(&frame);
    arena_release(&a);
}

static void arena_memory_is_zeroed_aligned_and_disjoint(void **state)
{
    struct arena a = {0};
    for (unsigned round = 0; round < 3; round++) {
        uint8_t *before = NULL;
        for (size_t bytes = 0; bytes < 3000; bytes += 7) {
            uint8_t *p = arena_alloc(&a, bytes);
            assert_int_equal((uintptr_t)p % 16, 0);
            for (size_t i = 0; i < bytes; i++)
                assert_int_equal(p[i], 0);
            memset(p, 0xee, bytes);
            assert_true(p != before || bytes <= 7);
            before = p;
        }
        arena_reset(&a);
    }
    arena_release(&a);
}

/* ---- the numbers of enums are the protocol: they may be appended to, never moved ---- */

static void enums_that_travel_keep_their_numbers(void **state)
{
    assert_int_equal(RGKV_STOPPED, 32);
    assert_int_equal(RGKV_MOVING, 19);
    assert_int_equal(RGKV_PROTOCOL, 27);
    assert_int_equal(MSG_REFUSED, 19);
    assert_int_equal(MSG_KV_REQUEST, 5);
    assert_int_equal(RAFT_TIMEOUT_NOW, 10);
    assert_int_equal(RAFT_CONFIG, 3);
    assert_int_equal(KV_EXCHANGE, 10);
    assert_int_equal(KV_TIME, 35);
    assert_int_equal(KV_STAGE_OPEN, 11);
    assert_int_equal(KV_XATTR_REMOVE, 15);
    assert_int_equal(KV_XATTR_LIST, 37);
    assert_int_equal(RGKV_NO_DATA, 33);
    assert_int_equal(RGKV_PENDING, 34);
    assert_int_equal(RGKV_FULL, 35);
    assert_int_equal(KV_SETTLE, 17);
    assert_int_equal(KV_DROP, 9);
    assert_int_equal(KV_FROZEN, 4);
    assert_int_equal(KV_LINK, 3);
    assert_int_equal(CTRL_BURIED, 13);
    assert_int_equal(CTRL_TRANSFER, 18);
    assert_int_equal(MSG_TRANSFER, 20);
    assert_int_equal(CTRL_READ_LEADER, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_protocols_are_refused_by_their_first_bytes),
        cmocka_unit_test(unknown_versions_and_kinds_are_refused),
        cmocka_unit_test(flags_and_reserved_bits_are_refused),
        cmocka_unit_test(lengths_over_what_the_kind_can_hold_are_refused_before_anything_is_allocated),
        cmocka_unit_test(no_header_makes_a_frame_larger_than_the_limits),
        cmocka_unit_test(empty_bodies_are_refused),
        cmocka_unit_test(unknown_enum_values_are_refused),
        cmocka_unit_test(operations_between_writes_and_reads_are_refused),
        cmocka_unit_test(nobody_may_ask_for_the_controllers_own_commands),
        cmocka_unit_test(booleans_are_0_or_1),
        cmocka_unit_test(huge_terms_indexes_and_epochs_come_through_unchanged),
        cmocka_unit_test(numbers_wider_than_their_member_are_refused),
        cmocka_unit_test(a_nul_inside_a_string_is_refused),
        cmocka_unit_test(a_string_that_fills_its_member_is_refused),
        cmocka_unit_test(strings_need_not_be_utf8),
        cmocka_unit_test(lengths_that_do_not_add_up_to_the_bulk_are_refused),
        cmocka_unit_test(lengths_whose_sum_overflows_are_refused),
        cmocka_unit_test(keys_and_data_over_their_limits_are_refused),
        cmocka_unit_test(entries_of_any_message_but_append_are_refused),
        cmocka_unit_test(entries_beyond_the_last_index_are_refused),
        cmocka_unit_test(unknown_entries_and_noops_with_a_payload_are_refused),
        cmocka_unit_test(a_refused_second_entry_gives_the_first_ones_payload_back),
        cmocka_unit_test(decoded_entries_outlive_the_frame_and_the_message),
        cmocka_unit_test(a_group_with_more_members_than_it_can_have_is_refused),
        cmocka_unit_test(a_replica_with_more_shards_than_there_are_rows_is_refused),
        cmocka_unit_test(a_view_whose_groups_are_not_sorted_is_refused),
        cmocka_unit_test(what_is_said_to_be_absent_has_no_content),
        cmocka_unit_test(a_replica_whose_shards_do_not_fit_is_told_as_a_follower),
        cmocka_unit_test(tombstones_over_the_limit_wait),
        cmocka_unit_test(the_largest_view_goes_through_in_bounded_memory),
        cmocka_unit_test(arena_memory_is_zeroed_aligned_and_disjoint),
        cmocka_unit_test(enums_that_travel_keep_their_numbers),
    };
    return cmocka_run_group_tests_name("hostile frames", tests, NULL, NULL);
}
