/* A shard that goes from one machine to another: what the groups on both sides do, step by step or in one go. */
#ifndef RGKV_TESTS_KV_MOVE_HELP_H
#define RGKV_TESTS_KV_MOVE_HELP_H

#include "tests/unit/kv_help.h"

#define PIECE 300u         /* bytes per pull: many pieces even for little */

static inline struct kv_shard_status status(struct rig *r)
{
    struct kv_shard_status s;
    kv_shard_status(r->kv, 0, &s);
    return s;
}

/* A round of a copy as the destination asks for it, and as it takes it. */
static inline enum rgkv_err pull(struct rig *from, uint64_t epoch, uint64_t round, struct bytes after, size_t bytes_max, struct buf *out,
                          struct kv_pulled *ret_p)
{
    struct kv_pull q = {.epoch = epoch, .round = round, .after = after, .bytes_max = bytes_max};
    return kv_pull(from->kv, &q, out, ret_p);
}

static inline enum rgkv_err import_piece(struct rig *r, uint64_t epoch, uint64_t round, struct bytes after, struct bytes rows, bool done)
{
    struct kv_command c = {.kind = KV_CHUNK, .epoch = epoch, .round = round, .after = after, .rows = rows, .done = done};
    return rig_apply(r, &c);
}

static inline enum rgkv_err import_rows(struct rig *r, uint64_t epoch, struct bytes after, struct bytes rows)
{
    return import_piece(r, epoch, 0, after, rows, false);
}

static inline enum rgkv_err import_end_of(struct rig *r, uint64_t epoch, uint64_t round, const struct kv_pulled *p)
{
    struct kv_command c = {.kind = KV_IMPORT_END, .epoch = epoch, .round = round, .count = p->count, .hash = p->hash,
                           .revision = p->revision, .clock_us = p->clock_us};
    return rig_apply(r, &c);
}

/* Of a shard that was frozen before anything was read: its rows are round 0, and round 1 is empty. */
static inline enum rgkv_err import_end(struct rig *r, uint64_t epoch, const struct kv_pulled *p)
{
    struct kv_shard_status s = status(r);
    struct buf after = {0};
    buf_put(&after, kv_import_cursor(r->kv, 0));
    if (s.state == KV_IMPORTING && s.epoch == epoch && s.import_round == 0)
        import_piece(r, epoch, 0, buf_bytes(&after), BYTES_EMPTY, true);
    buf_release(&after);
    return import_end_of(r, epoch, 1, p);
}

static inline struct bytes cursor_copy(struct rig *r, struct buf *b)
{
    buf_clear(b);
    buf_put(b, kv_import_cursor(r->kv, 0));
    return buf_bytes(b);
}

static inline void advance(struct rig *from, uint64_t epoch, uint64_t round, struct bytes after)
{
    rig_copy_advance(from, &(struct kv_pull){.epoch = epoch, .round = round, .after = after, .bytes_max = PIECE, .calm = true});
}

static inline void copy_piece(struct rig *from, struct rig *to, uint64_t epoch) { rig_copy_piece(from, to, epoch, PIECE); }
static inline void copy_rows(struct rig *from, struct rig *to, uint64_t epoch) { rig_copy(from, to, epoch, PIECE); }

/* All rows of a frozen shard in one piece, and its totals. */
static inline void pull_all(struct rig *from, uint64_t epoch, struct buf *rows, struct kv_pulled *ret_p)
{
    struct buf none = {0};
    assert_int_equal(pull(from, epoch, 0, BYTES_EMPTY, 100 << 20, rows, ret_p), RGKV_OK);
    assert_true(ret_p->done && !ret_p->last);
    while (pull(from, epoch, 1, BYTES_EMPTY, 100 << 20, &none, ret_p) == RGKV_MOVING)
        advance(from, epoch, 1, BYTES_EMPTY);
    assert_true(ret_p->last);
    buf_release(&none);
}

static inline void move(struct rig *from, struct rig *to, uint64_t epoch)
{
    assert_int_equal(rig_shard(to, KV_IMPORT, 0, epoch, 1), RGKV_OK);
    copy_rows(from, to, epoch);
    assert_int_equal(rig_shard(to, KV_ACTIVATE, 0, epoch, 0), RGKV_OK);
    assert_int_equal(rig_shard(from, KV_DROP, 0, epoch, 0), RGKV_OK);
}

static inline void fill(struct rig *r)
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

static inline uint64_t rows_hash(struct rig *r)
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

#endif
