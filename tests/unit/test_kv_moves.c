/* Shards come and go: the epoch is the only fence, a shard's rows travel whole and once, nothing comes back (P4, P9, P10,
 * P14, P17, P18, B10, B34). */
#include "tests/unit/kv_help.h"

#define PIECE 300u         /* bytes per pull: many pieces even for little */

static struct kv_shard_status status(struct rig *r)
{
    struct kv_shard_status s;
    kv_shard_status(r->kv, 0, &s);
    return s;
}

/* A round of a copy as the destination asks for it, and as it takes it. */
static enum rgkv_err pull(struct rig *from, uint64_t epoch, uint64_t round, struct bytes after, size_t bytes_max, struct buf *out,
                          struct kv_pulled *ret_p)
{
    struct kv_pull q = {.epoch = epoch, .round = round, .after = after, .bytes_max = bytes_max};
    return kv_pull(from->kv, &q, out, ret_p);
}

static enum rgkv_err import_piece(struct rig *r, uint64_t epoch, uint64_t round, struct bytes after, struct bytes rows, bool done)
{
    struct kv_command c = {.kind = KV_CHUNK, .epoch = epoch, .round = round, .after = after, .rows = rows, .done = done};
    return rig_apply(r, &c);
}

static enum rgkv_err import_rows(struct rig *r, uint64_t epoch, struct bytes after, struct bytes rows)
{
    return import_piece(r, epoch, 0, after, rows, false);
}

static enum rgkv_err import_end_of(struct rig *r, uint64_t epoch, uint64_t round, const struct kv_pulled *p)
{
    struct kv_command c = {.kind = KV_IMPORT_END, .epoch = epoch, .round = round, .count = p->count, .hash = p->hash,
                           .revision = p->revision, .clock_us = p->clock_us};
    return rig_apply(r, &c);
}

/* Of a shard that was frozen before anything was read: its rows are round 0, and round 1 is empty. */
static enum rgkv_err import_end(struct rig *r, uint64_t epoch, const struct kv_pulled *p)
{
    struct kv_shard_status s = status(r);
    struct buf after = {0};
    buf_put(&after, kv_import_cursor(r->kv, 0));
    if (s.state == KV_IMPORTING && s.epoch == epoch && s.import_round == 0)
        import_piece(r, epoch, 0, buf_bytes(&after), BYTES_EMPTY, true);
    buf_release(&after);
    return import_end_of(r, epoch, 1, p);
}

static struct bytes cursor_copy(struct rig *r, struct buf *b)
{
    buf_clear(b);
    buf_put(b, kv_import_cursor(r->kv, 0));
    return buf_bytes(b);
}

static void advance(struct rig *from, uint64_t epoch, uint64_t round, struct bytes after)
{
    rig_copy_advance(from, &(struct kv_pull){.epoch = epoch, .round = round, .after = after, .bytes_max = PIECE, .calm = true});
}

static void copy_piece(struct rig *from, struct rig *to, uint64_t epoch) { rig_copy_piece(from, to, epoch, PIECE); }
static void copy_rows(struct rig *from, struct rig *to, uint64_t epoch) { rig_copy(from, to, epoch, PIECE); }

/* All rows of a frozen shard in one piece, and its totals. */
static void pull_all(struct rig *from, uint64_t epoch, struct buf *rows, struct kv_pulled *ret_p)
{
    struct buf none = {0};
    assert_int_equal(pull(from, epoch, 0, BYTES_EMPTY, 100 << 20, rows, ret_p), RGKV_OK);
    assert_true(ret_p->done && !ret_p->last);
    while (pull(from, epoch, 1, BYTES_EMPTY, 100 << 20, &none, ret_p) == RGKV_MOVING)
        advance(from, epoch, 1, BYTES_EMPTY);
    assert_true(ret_p->last);
    buf_release(&none);
}

static void move(struct rig *from, struct rig *to, uint64_t epoch)
{
    assert_int_equal(rig_shard(to, KV_IMPORT, 0, epoch, 1), RGKV_OK);
    copy_rows(from, to, epoch);
    assert_int_equal(rig_shard(to, KV_ACTIVATE, 0, epoch, 0), RGKV_OK);
    assert_int_equal(rig_shard(from, KV_DROP, 0, epoch, 0), RGKV_OK);
}

static void fill(struct rig *r)
{
    static uint8_t big[200000];
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (uint8_t)(i * 7 + i / 256);
    on(r, KV_MKDIR, "d");
    put(r, "d/f", "small");
    append(r, "big", bytes_of(big, sizeof(big)));
    append(r, "big", bytes_str("tail"));
    put(r, "gone", "x");
    on(r, KV_DELETE, "gone");
    patch(r, "big", 100000, bytes_str("patched"));
    assert_int_equal(rename_to(r, KV_RENAME, "d", "e", 0), RGKV_OK);
}

static uint64_t rows_hash(struct rig *r)
{
    rig_save(r);
    struct table_iter *i = table_iter(r->table, NULL, bytes_of("\0\0", 2), bytes_of("\0\1", 2));
    uint64_t hash = 0;
    while (r->table->ops->iter_next(i)) {
        hash = hash64_seeded(r->table->ops->iter_key(i), hash);
        hash = hash64_seeded(r->table->ops->iter_value(i), hash);
    }
    r->table->ops->iter_free(i);
    return hash;
}

static void a_moved_shard_holds_the_same_rows_revision_and_counts(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    fill(a);
    uint64_t hash = rows_hash(a);
    struct kv_shard_status before = status(a);
    move(a, b, 2);
    struct kv_shard_status after = status(b);
    assert_true(rows_hash(b) == hash);
    assert_true(after.revision == before.revision && after.keys == before.keys && after.bytes == before.bytes);
    assert_int_equal(after.state, KV_SERVING);
    assert_true(after.epoch == 2);
    assert_value(b, "e/f", "small");
    assert_int_equal(status(a).state, KV_NONE);
    assert_int_equal(rows_of_table(a, "\0\0", 2), 0);
    assert_int_equal(get(a, "e/f"), RGKV_WRONG_GROUP);
    rig_free(a);
    rig_free(b);
}

static void B10_sessions_move_with_their_shard(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    append(a, "f", bytes_str("once"));
    move(a, b, 2);
    b->seq = a->seq - 1; /* the same client asks again, at the new group */
    assert_int_equal(append(b, "f", bytes_str("once")), RGKV_OK);
    assert_true(b->last.duplicate);
    assert_value(b, "f", "once");
    rig_free(a);
    rig_free(b);
}

/* The first group remembers the client from before: what it remembers is not the shard's session any more. */
static void B10_sessions_come_back_as_they_left_the_other_group(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    append(a, "f", bytes_str("one "));
    move(a, b, 2);
    b->seq = a->seq;
    append(b, "f", bytes_str("two"));
    assert_false(b->last.duplicate);
    move(b, a, 3);
    assert_int_equal(append(a, "f", bytes_str("two")), RGKV_OK);
    assert_true(a->last.duplicate);
    assert_value(a, "f", "one two");
    rig_free(a);
    rig_free(b);
}

static void B34_a_deleted_key_does_not_come_back_with_the_shard(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    put(a, "f", "1");
    assert_int_equal(rig_shard(b, KV_IMPORT, 0, 2, 1), RGKV_OK);
    assert_int_equal(rig_shard(a, KV_FREEZE, 0, 2, 0), RGKV_OK);
    copy_rows(a, b, 2); /* prepared at b, but given up */
    assert_int_equal(rig_shard(a, KV_THAW, 0, 3, 0), RGKV_OK);
    assert_int_equal(on(a, KV_DELETE, "f"), RGKV_OK);
    move(a, b, 4);
    assert_int_equal(get(b, "f"), RGKV_NOT_FOUND);
    rig_free(a);
    rig_free(b);
}

static void P18_a_shards_time_goes_on_where_it_froze(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    a->time_us = 5000 * SECOND;
    put(a, "f", "1");
    uint64_t frozen = status(a).time_us;
    assert_true(frozen > 1000 * SECOND);
    rig_shard(a, KV_FREEZE, 0, 2, 0);
    assert_true(status(a).time_us == frozen);
    a->time_us += 100 * SECOND;
    rig_shard(a, KV_CLOCK, 0, 0, 0);
    assert_true(status(a).time_us == frozen);
    b->time_us = 3 * SECOND;
    assert_int_equal(rig_shard(b, KV_IMPORT, 0, 2, 1), RGKV_OK);
    copy_rows(a, b, 2);
    b->time_us = 9 * SECOND;
    assert_int_equal(rig_shard(b, KV_ACTIVATE, 0, 2, 0), RGKV_OK);
    assert_true(status(b).time_us == frozen);
    b->time_us = 10 * SECOND;
    put(b, "f", "2");
    assert_true(status(b).time_us == frozen + SECOND);
    assert_true(b->last.reply.shard_time_us == frozen + SECOND);
    rig_shard(a, KV_THAW, 0, 3, 0);
    assert_true(status(a).time_us == frozen);
    rig_free(a);
    rig_free(b);
}

static void P9_a_frozen_shard_takes_nothing_and_collects_nothing(void **state)
{
    struct rig *a = rig_new(1);
    fill(a);
    rig_shard(a, KV_FREEZE, 0, 2, 0);
    uint64_t hash = rows_hash(a);
    a->time_us += 10 * SESSION_TTL_US;
    assert_false(kv_clock_due(a->kv, a->time_us));
    rig_shard(a, KV_CLOCK, 0, 0, 0);
    assert_int_equal(put(a, "x", "y"), RGKV_MOVING);
    assert_int_equal(get(a, "e/f"), RGKV_MOVING);
    assert_true(rows_hash(a) == hash);
    rig_free(a);
}

static void P9_rows_are_given_only_when_frozen_at_that_epoch(void **state)
{
    struct rig *a = rig_new(1);
    struct buf out = {0};
    struct kv_pulled p;
    fill(a);
    assert_int_equal(pull(a, 2, 0, BYTES_EMPTY, PIECE, &out, &p), RGKV_MOVING);
    rig_shard(a, KV_FREEZE, 0, 3, 0);
    assert_int_equal(pull(a, 2, 0, BYTES_EMPTY, PIECE, &out, &p), RGKV_WRONG_GROUP);
    assert_int_equal(pull(a, 4, 0, BYTES_EMPTY, PIECE, &out, &p), RGKV_MOVING);
    assert_int_equal(kv_pull(a->kv, &(struct kv_pull){.shard = 1, .epoch = 3, .bytes_max = PIECE}, &out, &p), RGKV_INVALID);
    assert_int_equal(pull(a, 3, 0, bytes_str("not a row"), PIECE, &out, &p), RGKV_INVALID);
    assert_int_equal(out.len, 0);
    assert_int_equal(pull(a, 3, 0, BYTES_EMPTY, PIECE, &out, &p), RGKV_OK);
    assert_true(out.len > 0 && !p.done);
    buf_release(&out);
    rig_free(a);
}

static void P9_totals_are_right_whoever_counted_the_beginning(void **state)
{
    struct rig *a = rig_new(1);
    struct buf rows = {0};
    struct kv_pulled whole, p = {0};
    fill(a);
    rig_shard(a, KV_FREEZE, 0, 2, 0);
    pull_all(a, 2, &rows, &whole);
    rig_shard(a, KV_THAW, 0, 3, 0);
    struct kv_shard_status before = status(a);
    advance(a, 4, 0, BYTES_EMPTY);
    assert_true(status(a).copy_epoch == 4);
    put(a, "more", "rows");
    advance(a, 4, 0, BYTES_EMPTY); /* counts, and the sum is not logged: its leader is gone */
    rig_reopen(a);
    on(a, KV_DELETE, "more");
    put(a, "e/f", "other");
    rig_shard(a, KV_FREEZE, 0, 4, 0);
    buf_clear(&rows);
    pull_all(a, 4, &rows, &p);
    assert_true(before.revision < p.revision);
    struct rig *b = rig_new_blank(1);
    assert_int_equal(rig_shard(b, KV_IMPORT, 0, 4, 1), RGKV_OK);
    assert_int_equal(import_rows(b, 4, BYTES_EMPTY, buf_bytes(&rows)), RGKV_OK);
    assert_true(status(b).import_rows == p.count && status(b).import_hash == p.hash);
    assert_true(p.hash != whole.hash);
    buf_release(&rows);
    rig_free(a);
    rig_free(b);
}

static void P9_a_piece_applies_only_at_its_place_and_epoch(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    struct buf rows = {0}, more = {0}, after = {0};
    struct kv_pulled p;
    fill(a);
    rig_shard(a, KV_FREEZE, 0, 2, 0);
    rig_shard(b, KV_IMPORT, 0, 2, 1);
    assert_int_equal(pull(a, 2, 0, BYTES_EMPTY, PIECE, &rows, &p), RGKV_OK);
    assert_int_equal(import_rows(b, 3, BYTES_EMPTY, buf_bytes(&rows)), RGKV_STALE);
    assert_int_equal(import_rows(b, 1, BYTES_EMPTY, buf_bytes(&rows)), RGKV_STALE);
    assert_int_equal(import_rows(b, 2, bytes_str("elsewhere"), buf_bytes(&rows)), RGKV_STALE);
    assert_int_equal(import_rows(b, 2, BYTES_EMPTY, buf_bytes(&rows)), RGKV_OK);
    uint64_t count = status(b).import_rows;
    assert_int_equal(import_rows(b, 2, BYTES_EMPTY, buf_bytes(&rows)), RGKV_STALE); /* the same again */
    assert_true(status(b).import_rows == count);
    rig_reopen(b); /* the cursor is in the table */
    assert_true(status(b).import_rows == count);
    assert_int_equal(pull(a, 2, 0, cursor_copy(b, &after), PIECE, &more, &p), RGKV_OK);
    assert_int_equal(import_rows(b, 2, buf_bytes(&after), buf_bytes(&more)), RGKV_OK);
    copy_rows(a, b, 2);
    buf_release(&rows);
    buf_release(&more);
    buf_release(&after);
    rig_free(a);
    rig_free(b);
}

static void P9_an_end_whose_count_or_hash_differs_is_damage(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    struct buf rows = {0};
    struct kv_pulled p;
    fill(a);
    rig_shard(a, KV_FREEZE, 0, 2, 0);
    rig_shard(b, KV_IMPORT, 0, 2, 1);
    pull_all(a, 2, &rows, &p);
    assert_int_equal(import_end_of(b, 2, 0, &p), RGKV_DAMAGED); /* rows are missing */
    assert_int_equal(import_rows(b, 2, BYTES_EMPTY, buf_bytes(&rows)), RGKV_OK);
    struct kv_pulled other = p;
    other.hash++;
    assert_int_equal(import_end(b, 2, &other), RGKV_DAMAGED);
    other = p;
    other.count++;
    assert_int_equal(import_end(b, 2, &other), RGKV_DAMAGED);
    assert_int_equal(import_end(b, 3, &p), RGKV_STALE);
    assert_int_equal(status(b).state, KV_IMPORTING);
    assert_int_equal(import_end(b, 2, &p), RGKV_OK);
    assert_int_equal(status(b).state, KV_PREPARED);
    assert_int_equal(import_end(b, 2, &p), RGKV_STALE);
    buf_release(&rows);
    rig_free(a);
    rig_free(b);
}

static void rows_that_are_malformed_or_another_shards_change_nothing(void **state)
{
    struct rig *a = rig_new(2), *b = rig_new_blank(2);
    struct buf rows = {0};
    struct kv_pulled p;
    char name[2] = "a";
    while (kv_key_shard(bytes_str(name), 2) != 0)
        name[0]++;
    put(a, name, "value");
    rig_shard(a, KV_FREEZE, 0, 2, 0);
    rig_shard(a, KV_FREEZE, 1, 2, 0);
    rig_shard(b, KV_IMPORT, 0, 2, 1);
    rig_shard(b, KV_IMPORT, 1, 2, 1);
    pull_all(a, 2, &rows, &p);
    uint64_t before = checksum(b);
    struct kv_command foreign = {.kind = KV_CHUNK, .shard = 1, .epoch = 2, .rows = buf_bytes(&rows)};
    assert_int_equal(rig_apply(b, &foreign), RGKV_INVALID);
    assert_true(before == checksum(b));
    unsigned taken = 0;
    for (size_t len = 1; len < rows.len; len++) {
        assert_int_equal(rig_shard(b, KV_IMPORT, 0, 2 + len, 1), RGKV_OK);
        before = checksum(b);
        enum rgkv_err err = import_rows(b, 2 + len, BYTES_EMPTY, bytes_first(buf_bytes(&rows), len));
        assert_true(err == RGKV_OK || (err == RGKV_INVALID && before == checksum(b)));
        taken += err == RGKV_OK;
    }
    assert_int_equal(taken, p.count - 1); /* the cuts between two rows */
    rig_free(a);
    rig_free(b);
    buf_release(&rows);
}

static void a_byte_changed_on_the_way_is_refused_or_found_at_the_end(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    struct buf rows = {0};
    struct kv_pulled p;
    put(a, "f", "value");
    rig_shard(a, KV_FREEZE, 0, 2, 0);
    pull_all(a, 2, &rows, &p);
    for (size_t i = 0; i < rows.len; i++) {
        assert_int_equal(rig_shard(b, KV_IMPORT, 0, 2 + i, 1), RGKV_OK);
        rows.data[i] ^= 0x41;
        enum rgkv_err err = import_rows(b, 2 + i, BYTES_EMPTY, buf_bytes(&rows));
        assert_true(err == RGKV_INVALID || (err == RGKV_OK && import_end(b, 2 + i, &p) == RGKV_DAMAGED));
        rows.data[i] ^= 0x41;
    }
    buf_release(&rows);
    rig_free(a);
    rig_free(b);
}

/* ---- P16: copy first, freeze last ---- */

static void P16_a_shard_is_served_while_it_is_copied_and_frozen_only_for_a_piece(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    unsigned served = 0, frozen = 0;
    uint64_t came = 0;
    fill(a);
    rig_shard(b, KV_IMPORT, 0, 2, 1);
    for (unsigned i = 0; status(b).state == KV_IMPORTING; i++) {
        bool serving = status(a).state == KV_SERVING;
        served += serving;
        frozen += !serving;
        char name[16];
        snprintf(name, sizeof(name), "n%u", i);
        if (i % 3 == 0)
            assert_int_equal(put(a, name, "1"), serving ? RGKV_OK : RGKV_MOVING);
        copy_piece(a, b, 2);
        assert_true(status(b).import_bytes >= came && status(b).import_bytes > 0);
        came = status(b).import_bytes;
    }
    assert_true(served > 5 && frozen <= 2);
    assert_true(rows_hash(a) == rows_hash(b));
    rig_free(a);
    rig_free(b);
}

static void P16_what_changes_and_what_goes_during_the_copy_arrives(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    fill(a);
    rig_shard(b, KV_IMPORT, 0, 2, 1);
    while (status(b).import_round == 0)
        copy_piece(a, b, 2);
    put(a, "e/f", "changed");
    put(a, "late", "new");
    on(a, KV_DELETE, "big");
    copy_rows(a, b, 2);
    rig_shard(b, KV_ACTIVATE, 0, 2, 0);
    assert_value(b, "e/f", "changed");
    assert_value(b, "late", "new");
    assert_int_equal(get(b, "big"), RGKV_NOT_FOUND);
    assert_true(status(b).keys == status(a).keys && status(b).bytes == status(a).bytes);
    rig_free(a);
    rig_free(b);
}

static void P16_a_copy_goes_on_where_it_was_when_either_side_restarts(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    unsigned pieces = 0, quiet;
    fill(a);
    rig_shard(b, KV_IMPORT, 0, 2, 1);
    copy_rows(a, b, 2);
    quiet = (unsigned)status(b).import_steps;
    rig_shard(a, KV_THAW, 0, 3, 0);
    rig_shard(b, KV_IMPORT, 0, 4, 1);
    while (status(b).state == KV_IMPORTING) {
        copy_piece(a, b, 4);
        pieces += status(b).import_steps > 0;
        rig_reopen(a);
        rig_reopen(b);
    }
    assert_true(rows_hash(a) == rows_hash(b));
    assert_true(pieces <= quiet + 2); /* nothing was copied twice */
    rig_free(a);
    rig_free(b);
}

/* A change that nobody recorded (here: made behind the machine's back) is seen in the totals. */
static void P16_a_destination_that_differs_is_never_prepared(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    struct buf after = {0}, rows = {0};
    struct kv_pulled p = {0};
    fill(a);
    rig_shard(b, KV_IMPORT, 0, 2, 1);
    while (status(b).import_round == 0)
        copy_piece(a, b, 2);
    put(a, "e/f", "changed");
    while (status(a).state != KV_FROZEN)
        advance(a, 2, status(b).import_round, cursor_copy(b, &after));
    uint64_t round = status(b).import_round;
    assert_int_equal(pull(a, 2, round, BYTES_EMPTY, 100 << 20, &rows, &p), RGKV_OK);
    assert_true(p.last && rows.len > 0);
    assert_int_equal(import_piece(b, 2, round, BYTES_EMPTY, BYTES_EMPTY, true), RGKV_OK); /* its rows are lost */
    assert_int_equal(import_end_of(b, 2, round + 1, &p), RGKV_DAMAGED);
    assert_int_equal(status(b).state, KV_IMPORTING);
    buf_release(&after);
    buf_release(&rows);
    rig_free(a);
    rig_free(b);
}

static void P16_a_record_that_began_again_is_not_taken_for_the_first(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    struct buf rows = {0};
    struct kv_pulled p;
    fill(a);
    rig_shard(b, KV_IMPORT, 0, 4, 1);
    copy_piece(a, b, 4);
    copy_piece(a, b, 4);
    rig_shard(a, KV_THAW, 0, 3, 0); /* late: of an abort before this move */
    assert_true(status(a).copy_epoch == 4);
    rig_shard(a, KV_THAW, 0, 5, 0);
    assert_true(status(a).copy_epoch == 0);
    assert_int_equal(rows_of_table(a, "\xff\xff" "c", 3), 0);
    advance(a, 6, 1, BYTES_EMPTY); /* asked by one who has something of another record */
    assert_true(status(a).copy_epoch == 0);
    assert_int_equal(pull(a, 6, 1, BYTES_EMPTY, PIECE, &rows, &p), RGKV_MOVING);
    buf_release(&rows);
    rig_free(a);
    rig_free(b);
}

static void P16_what_is_recorded_does_not_depend_on_where_batches_end(void **state)
{
    struct rig *one = rig_new(1), *many = rig_new(1);
    many->batch = 7;
    for (unsigned i = 0; i < 2; i++) {
        struct rig *r = i ? many : one;
        struct kv_command c = {.kind = KV_COPY, .epoch = 2, .round = 1};
        fill(r);
        rig_apply(r, &c);
        put(r, "x", "1");
        on(r, KV_DELETE, "e/f");
        c.round = 2;
        rig_apply(r, &c);
        on(r, KV_DELETE, "x");
        append(r, "y", bytes_str("2"));
        rig_shard(r, KV_FREEZE, 0, 2, 0);
    }
    assert_true(checksum(one) == checksum(many));
    rig_free(one);
    rig_free(many);
}

static void P16_nothing_is_collected_while_a_shard_is_copied(void **state)
{
    static uint8_t big[200000];
    struct rig *a = rig_new(1);
    append(a, "f", bytes_of(big, sizeof(big)));
    put(a, "f", "new");
    uint64_t rows = rows_of_table(a, "\0\0d", 3);
    struct kv_command c = {.kind = KV_COPY, .epoch = 2, .round = 1};
    rig_apply(a, &c);
    a->time_us += 2 * OLD_VERSION_TTL_US;
    assert_false(kv_clock_due(a->kv, a->time_us));
    clock_to(a, a->time_us);
    assert_int_equal(rows_of_table(a, "\0\0d", 3), rows);
    rig_shard(a, KV_THAW, 0, 3, 0);
    clock_to(a, a->time_us);
    assert_int_equal(rows_of_table(a, "\0\0d", 3), 0);
    rig_free(a);
}

static void P4_activate_takes_exactly_the_imports_epoch(void **state)
{
    struct rig *b = rig_new_blank(1);
    assert_int_equal(rig_shard(b, KV_ACTIVATE, 0, 1, 0), RGKV_STALE);
    assert_int_equal(rig_shard(b, KV_IMPORT, 0, 5, 0), RGKV_OK);
    assert_int_equal(rig_shard(b, KV_ACTIVATE, 0, 4, 0), RGKV_STALE);
    assert_int_equal(rig_shard(b, KV_ACTIVATE, 0, 6, 0), RGKV_STALE);
    assert_int_equal(rig_shard(b, KV_ACTIVATE, 0, 5, 0), RGKV_OK);
    rig_free(b);
}

static void P4_an_import_is_dropped_only_on_a_higher_epoch_and_a_frozen_shard_at_its_own(void **state)
{
    struct rig *b = rig_new_blank(1);
    rig_shard(b, KV_IMPORT, 0, 5, 0);
    assert_int_equal(rig_shard(b, KV_DROP, 0, 5, 0), RGKV_STALE);
    assert_int_equal(rig_shard(b, KV_DROP, 0, 6, 0), RGKV_OK);
    assert_true(status(b).state == KV_NONE && status(b).epoch == 6);
    assert_int_equal(rig_shard(b, KV_IMPORT, 0, 6, 0), RGKV_STALE);
    assert_int_equal(rig_shard(b, KV_IMPORT, 0, 7, 0), RGKV_OK);
    assert_int_equal(rig_shard(b, KV_ACTIVATE, 0, 7, 0), RGKV_OK);
    assert_int_equal(rig_shard(b, KV_DROP, 0, 9, 0), RGKV_STALE); /* serving: never */
    assert_int_equal(rig_shard(b, KV_FREEZE, 0, 8, 0), RGKV_OK);
    assert_int_equal(rig_shard(b, KV_DROP, 0, 7, 0), RGKV_STALE);
    assert_int_equal(rig_shard(b, KV_DROP, 0, 8, 0), RGKV_OK);
    rig_free(b);
}

static void P14_thaw_raises_the_epoch_even_of_a_serving_shard(void **state)
{
    struct rig *a = rig_new(1);
    assert_int_equal(rig_shard(a, KV_THAW, 0, 3, 0), RGKV_OK);
    assert_int_equal(rig_shard(a, KV_FREEZE, 0, 2, 0), RGKV_STALE); /* the late freeze of an aborted move */
    assert_int_equal(rig_shard(a, KV_FREEZE, 0, 3, 0), RGKV_STALE);
    assert_int_equal(status(a).state, KV_SERVING);
    assert_int_equal(rig_shard(a, KV_FREEZE, 0, 4, 0), RGKV_OK);
    assert_int_equal(rig_shard(a, KV_THAW, 0, 4, 0), RGKV_STALE);
    assert_int_equal(rig_shard(a, KV_FREEZE, 0, 6, 0), RGKV_OK); /* frozen again, for another move */
    assert_int_equal(rig_shard(a, KV_THAW, 0, 7, 0), RGKV_OK);
    assert_int_equal(put(a, "f", "1"), RGKV_OK);
    rig_free(a);
}

static void P10_an_import_clears_what_a_pending_drop_left(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    put(a, "old", "1");
    rig_shard(b, KV_IMPORT, 0, 2, 1);
    rig_shard(a, KV_FREEZE, 0, 2, 0);
    copy_rows(a, b, 2);
    rig_shard(b, KV_ACTIVATE, 0, 2, 0); /* a was not told to drop yet */
    b->client = 8;
    assert_int_equal(on(b, KV_DELETE, "old"), RGKV_OK);
    rig_shard(a, KV_IMPORT, 0, 3, 2);
    assert_int_equal(rows_of_table(a, "\0\0", 2), 0);
    assert_int_equal(rig_shard(a, KV_DROP, 0, 2, 0), RGKV_STALE); /* and now it is late */
    assert_int_equal(status(a).state, KV_IMPORTING);
    rig_shard(b, KV_FREEZE, 0, 3, 0);
    copy_rows(b, a, 3);
    rig_shard(a, KV_ACTIVATE, 0, 3, 0);
    assert_int_equal(get(a, "old"), RGKV_NOT_FOUND);
    rig_free(a);
    rig_free(b);
}

static void P10_clearing_and_filling_in_one_batch_keeps_only_the_new(void **state)
{
    struct rig *b = rig_new(1);
    put(b, "old", "1");
    on(b, KV_MKDIR, "d");
    put(b, "d/old", "1");
    rig_shard(b, KV_FREEZE, 0, 2, 0);
    b->batch = 100;
    rig_shard(b, KV_IMPORT, 0, 3, 0);
    rig_shard(b, KV_ACTIVATE, 0, 3, 0);
    assert_int_equal(on(b, KV_DELETE, "old"), RGKV_NOT_FOUND);
    on(b, KV_MKDIR, "d");
    assert_int_equal(on(b, KV_RMDIR, "d"), RGKV_OK);
    on(b, KV_MKDIR, "e");
    assert_int_equal(rows_of_table(b, "\0\0m", 3), 1);
    assert_int_equal(get(b, "old"), RGKV_NOT_FOUND);
    rig_free(b);
}

static void P13_a_shard_that_was_given_up_begins_above_its_old_revisions(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    put(a, "f", "1");
    assert_true(status(a).revision == 1);
    rig_shard(b, KV_IMPORT, 0, 5, 0);
    rig_shard(b, KV_ACTIVATE, 0, 5, 0);
    put(b, "f", "1");
    assert_true(status(b).revision > 1000000);
    rig_free(a);
    rig_free(b);
}

static void P19_a_retry_from_before_a_shard_was_given_up_is_not_executed_again(void **state)
{
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    clock_to(a, a->time_us + 10 * SESSION_TTL_US); /* an old group, and one that is new */
    assert_int_equal(append(a, "log", bytes_str("line")), RGKV_OK);
    rig_shard(b, KV_IMPORT, 0, 5, 0);
    rig_shard(b, KV_ACTIVATE, 0, 5, 0);
    struct kv_command retry = {.kind = KV_REQUEST, .request = ask(KV_APPEND, "log")};
    retry.request.client = a->client;
    retry.request.seq = retry.request.floor = a->seq;
    retry.request.born_us = a->time_us;
    retry.request.data = bytes_str("line");
    assert_int_equal(rig_apply(b, &retry), RGKV_SESSION_EXPIRED);
    assert_int_equal(get(b, "log"), RGKV_NOT_FOUND);
    rig_free(a);
    rig_free(b);
}

static void pinned_readers_go_on_at_the_new_group(void **state)
{
    static uint8_t big[100000];
    struct rig *a = rig_new(1), *b = rig_new_blank(1);
    memset(big, 'x', sizeof(big));
    append(a, "f", bytes_of(big, sizeof(big)));
    uint64_t version = version_of(a, "f");
    put(a, "f", "new");
    move(a, b, 2);
    assert_int_equal(get_at(b, "f", version, 50000, 10), RGKV_OK);
    assert_true(bytes_eq(b->reply.data, bytes_str("xxxxxxxxxx")));
    clock_to(b, b->time_us + OLD_VERSION_TTL_US);
    assert_int_equal(get_at(b, "f", version, 50000, 10), RGKV_STALE);
    assert_int_equal(rows_of_table(b, "\0\0d", 3), 0);
    rig_free(a);
    rig_free(b);
}

/* ---- one shard, three groups, a controller: any view, freeze, piece may be lost, late, doubled, out of order; any group may crash
 * between any two log entries. The rules are those of the protocol's model, the machines are real. ---- */

#define GROUPS 3
#define VIEWS_MAX 64
#define IMAGE_PIECES 4

struct view {
    uint64_t holder, epoch, to;
};
struct piece {             /* an answer to a pull, on its way */
    uint64_t epoch, round;
    struct buf after, rows;
    struct kv_pulled pulled;
};
struct world {
    struct prng prng;
    struct rig *groups[GROUPS];
    struct view now, views[VIEWS_MAX];
    bool active;
    unsigned n_views, n_pieces, moves, aborts, appended;
    struct piece pieces[IMAGE_PIECES];
    struct buf expected;   /* of the file "f": what was acknowledged, in order */
    bool exists;
    uint64_t seq, heard_us;
    bool heard;
    struct kv_request last; /* may be sent again, anywhere */
    char last_text[2];
};

static void world_tell(struct world *w)
{
    w->views[w->n_views < VIEWS_MAX ? w->n_views++ : prng_below(&w->prng, VIEWS_MAX)] = w->now;
}

static struct kv_shard_status at(struct world *w, unsigned group) { return status(w->groups[group]); }

static void world_controller(struct world *w)
{
    struct view *v = &w->now;
    if (v->to == 0 && (v->holder == 0 || w->active)) {
        uint64_t to = prng_between(&w->prng, 1, GROUPS);
        if (to == v->holder)
            return;
        *v = (struct view){v->holder, v->epoch + 1, to};
    } else if (v->to && at(w, (unsigned)v->to - 1).state == KV_PREPARED && at(w, (unsigned)v->to - 1).epoch == v->epoch &&
               prng_chance(&w->prng, 4, 5)) {
        *v = (struct view){v->to, v->epoch, 0};
        w->active = false;
        w->moves++;
    } else if (v->to && prng_chance(&w->prng, 1, 12)) {
        *v = (struct view){v->holder, v->epoch + 1, 0};
        w->active = false;
        w->aborts++;
    } else if (v->holder && v->to == 0 && at(w, (unsigned)v->holder - 1).state == KV_SERVING &&
               at(w, (unsigned)v->holder - 1).epoch == v->epoch) {
        w->active = true;
    }
    world_tell(w);
}

/* What a node proposes when it hears a view; the machine decides. */
static void world_hear(struct world *w)
{
    unsigned i = (unsigned)prng_below(&w->prng, GROUPS);
    const struct view *v = prng_chance(&w->prng, 1, 2) ? &w->now : &w->views[prng_below(&w->prng, w->n_views)];
    uint64_t me = i + 1;
    enum kv_command_kind kind;
    if (v->to == me) {
        if (v->holder == me)
            return;
        kind = KV_IMPORT;
    } else if (v->holder == me) {
        if (v->to)
            return;
        kind = at(w, i).state == KV_PREPARED ? KV_ACTIVATE : KV_THAW;
    } else {
        kind = KV_DROP;
    }
    rig_shard(w->groups[i], kind, 0, v->epoch, v->holder);
}

/* An importing group asks its source, which copies and at last freezes; the answer goes on its way. */
static void world_pull(struct world *w)
{
    unsigned i = (unsigned)prng_below(&w->prng, GROUPS);
    struct kv_shard_status s = at(w, i);
    if (s.state != KV_IMPORTING)
        return;
    struct rig *source = w->groups[s.from - 1];
    struct piece *p = &w->pieces[prng_below(&w->prng, IMAGE_PIECES)];
    buf_clear(&p->rows);
    p->epoch = 0;
    p->round = s.import_round;
    cursor_copy(w->groups[i], &p->after);
    if (prng_chance(&w->prng, 1, 40))
        rig_shard(source, KV_FREEZE, 0, s.epoch, 0); /* before its time: the rest is read while frozen */
    else
        advance(source, s.epoch, s.import_round, buf_bytes(&p->after));
    if (pull(source, s.epoch, s.import_round, buf_bytes(&p->after), PIECE, &p->rows, &p->pulled) == RGKV_OK)
        p->epoch = s.epoch;
}

static void world_deliver_piece(struct world *w)
{
    const struct piece *p = &w->pieces[prng_below(&w->prng, IMAGE_PIECES)];
    struct rig *to = w->groups[prng_below(&w->prng, GROUPS)];
    if (!p->epoch)
        return;
    import_piece(to, p->epoch, p->round, buf_bytes(&p->after), buf_bytes(&p->rows), p->pulled.done);
    if (p->pulled.last)
        assert_int_not_equal(import_end_of(to, p->epoch, p->round + 1, &p->pulled), RGKV_DAMAGED);
}

static void world_note(struct world *w, enum rgkv_err err, bool duplicate)
{
    if (duplicate)
        return;
    if (w->last.op == KV_DELETE) {
        assert_int_equal(err, w->exists ? RGKV_OK : RGKV_NOT_FOUND);
        w->exists = false;
        buf_clear(&w->expected);
        return;
    }
    assert_int_equal(err, RGKV_OK);
    w->exists = true;
    buf_put(&w->expected, w->last.data);
    w->appended++;
}

/* The client hears the shard's time before it asks for anything. */
static void world_contact(struct world *w)
{
    for (unsigned i = 0; i < GROUPS; i++)
        if (at(w, i).state == KV_SERVING) {
            w->heard_us = at(w, i).time_us;
            w->heard = true;
        }
}

/* A new request, or the last one again; at any group. It is executed by at most one. */
static void world_write(struct world *w)
{
    struct rig *r = w->groups[prng_below(&w->prng, GROUPS)];
    world_contact(w);
    if (!w->heard)
        return;
    if (w->last.seq == 0 || prng_chance(&w->prng, 1, 3)) {
        w->last = ask(prng_chance(&w->prng, 1, 6) ? KV_DELETE : KV_APPEND, "f");
        w->last.client = 1;
        w->last.seq = w->last.floor = ++w->seq;
        w->last.born_us = w->heard_us;
        w->last_text[0] = (char)('a' + w->seq % 26);
        w->last.data = bytes_str(w->last_text);
    }
    struct kv_command c = {.kind = KV_REQUEST, .request = w->last};
    enum rgkv_err err = rig_apply(r, &c);
    if (err != RGKV_WRONG_GROUP && err != RGKV_MOVING)
        world_note(w, err, r->last.duplicate);
}

static void world_crash(struct world *w)
{
    struct rig *r = w->groups[prng_below(&w->prng, GROUPS)];
    rig_save(r);
    kv_free(r->kv);
    table_mem_flush(r->table);
    rig_open(r);
}

static void world_check(struct world *w)
{
    unsigned serving = 0;
    for (unsigned i = 0; i < GROUPS; i++) {
        if (at(w, i).state != KV_SERVING)
            continue;
        serving++;
        enum rgkv_err err = get(w->groups[i], "f");
        assert_int_equal(err, w->exists ? RGKV_OK : RGKV_NOT_FOUND);
        if (w->exists)
            assert_true(bytes_eq(w->groups[i]->reply.data, buf_bytes(&w->expected)));
    }
    assert_true(serving <= 1);
}

static void world_free(struct world *w)
{
    for (unsigned i = 0; i < GROUPS; i++)
        rig_free(w->groups[i]);
    for (unsigned i = 0; i < IMAGE_PIECES; i++) {
        buf_release(&w->pieces[i].after);
        buf_release(&w->pieces[i].rows);
    }
    buf_release(&w->expected);
}

static void world_step(struct world *w)
{
    uint64_t dice = prng_below(&w->prng, 20);
    if (dice < 4)
        world_controller(w);
    else if (dice < 10)
        world_hear(w);
    else if (dice < 13)
        world_pull(w);
    else if (dice < 16)
        world_deliver_piece(w);
    else if (dice < 19)
        world_write(w);
    else
        world_crash(w);
}

static unsigned world_run(uint64_t seed, unsigned steps)
{
    struct world w = {0};
    prng_init(&w.prng, seed);
    for (unsigned i = 0; i < GROUPS; i++)
        w.groups[i] = rig_new_blank(1);
    world_tell(&w);
    for (unsigned i = 0; i < steps; i++) {
        world_step(&w);
        world_check(&w);
    }
    unsigned moves = w.aborts && w.appended ? w.moves : 0;
    world_free(&w);
    return moves;
}

static void P17_never_two_serve_and_nothing_is_lost_doubled_or_brought_back(void **state)
{
    unsigned moves = 0;
    for (uint64_t seed = 1; seed <= 100; seed++)
        moves += world_run(seed, 3000);
    assert_true(moves > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_moved_shard_holds_the_same_rows_revision_and_counts),
        cmocka_unit_test(B10_sessions_move_with_their_shard),
        cmocka_unit_test(B10_sessions_come_back_as_they_left_the_other_group),
        cmocka_unit_test(B34_a_deleted_key_does_not_come_back_with_the_shard),
        cmocka_unit_test(P18_a_shards_time_goes_on_where_it_froze),
        cmocka_unit_test(P16_a_shard_is_served_while_it_is_copied_and_frozen_only_for_a_piece),
        cmocka_unit_test(P16_what_changes_and_what_goes_during_the_copy_arrives),
        cmocka_unit_test(P16_a_copy_goes_on_where_it_was_when_either_side_restarts),
        cmocka_unit_test(P16_a_destination_that_differs_is_never_prepared),
        cmocka_unit_test(P16_a_record_that_began_again_is_not_taken_for_the_first),
        cmocka_unit_test(P16_what_is_recorded_does_not_depend_on_where_batches_end),
        cmocka_unit_test(P16_nothing_is_collected_while_a_shard_is_copied),
        cmocka_unit_test(P9_a_frozen_shard_takes_nothing_and_collects_nothing),
        cmocka_unit_test(P9_rows_are_given_only_when_frozen_at_that_epoch),
        cmocka_unit_test(P9_totals_are_right_whoever_counted_the_beginning),
        cmocka_unit_test(P9_a_piece_applies_only_at_its_place_and_epoch),
        cmocka_unit_test(P9_an_end_whose_count_or_hash_differs_is_damage),
        cmocka_unit_test(rows_that_are_malformed_or_another_shards_change_nothing),
        cmocka_unit_test(a_byte_changed_on_the_way_is_refused_or_found_at_the_end),
        cmocka_unit_test(P4_activate_takes_exactly_the_imports_epoch),
        cmocka_unit_test(P4_an_import_is_dropped_only_on_a_higher_epoch_and_a_frozen_shard_at_its_own),
        cmocka_unit_test(P14_thaw_raises_the_epoch_even_of_a_serving_shard),
        cmocka_unit_test(P10_an_import_clears_what_a_pending_drop_left),
        cmocka_unit_test(P10_clearing_and_filling_in_one_batch_keeps_only_the_new),
        cmocka_unit_test(P13_a_shard_that_was_given_up_begins_above_its_old_revisions),
        cmocka_unit_test(P19_a_retry_from_before_a_shard_was_given_up_is_not_executed_again),
        cmocka_unit_test(pinned_readers_go_on_at_the_new_group),
        cmocka_unit_test(P17_never_two_serve_and_nothing_is_lost_doubled_or_brought_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
