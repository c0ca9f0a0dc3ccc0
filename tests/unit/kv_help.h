/* A kv machine over a table in memory, and short words for its commands. */
#ifndef RGKV_TESTS_KV_HELP_H
#define RGKV_TESTS_KV_HELP_H

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"
#include "kv/kv.h"
#include "store/table_mem.h"

#define SECOND 1000000ull

struct rig {
    struct table *table;
    struct kv *kv;
    uint64_t time_us, applied;
    unsigned batch, in_batch;      /* commands per finish */
    uint64_t client, seq;
    uint32_t nshards;
    bool full;                     /* the table has no space */
    bool alone;                    /* nothing is saved but when the test says so; else now and then beside the commands */
    enum { RIG_IDLE, RIG_BEGUN, RIG_WRITTEN } save; /* how far the save is that is under way beside */
    struct kv_saving saving;
    enum rgkv_err saved;
    struct kv_result last;
    struct kv_reply reply;
    struct buf out;
};

static inline struct bytes rig_applied(struct rig *r, uint64_t index)
{
    static char text[32];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)index);
    return bytes_str(text);
}

static inline void rig_save_write(struct rig *r)
{
    if (r->save != RIG_BEGUN)
        return;
    r->saved = kv_saving_write(&r->saving);
    r->save = RIG_WRITTEN;
}

/* The save that is under way beside ends. */
static inline void rig_settle(struct rig *r)
{
    rig_save_write(r);
    if (r->save != RIG_WRITTEN)
        return;
    enum rgkv_err err = kv_save_end(r->kv, r->saved);
    assert_true(err == RGKV_OK || (err == RGKV_NO_SPACE && r->full));
    r->save = RIG_IDLE;
}

/* Between runs, a step in some of them. */
static inline void rig_save_beside(struct rig *r)
{
    switch (r->alone ? 0 : r->applied % 11) {
    case 3:
        if (r->save == RIG_IDLE && kv_save_begin(r->kv, &r->saving))
            r->save = RIG_BEGUN;
        break;
    case 6: rig_save_write(r); break;
    case 9: rig_settle(r); break;
    default: break;
    }
}

static inline void rig_finish(struct rig *r)
{
    enum rgkv_err err = kv_finish(r->kv, rig_applied(r, r->applied));
    assert_true(err == RGKV_OK || (err == RGKV_NO_SPACE && r->full));
    r->in_batch = 0;
    rig_save_beside(r);
}

static inline void rig_full(struct rig *r, bool full)
{
    table_mem_refuse(r->table, full);
    r->full = full;
}

/* All of it is in the table. */
static inline void rig_save(struct rig *r)
{
    if (r->in_batch)
        rig_finish(r);
    rig_settle(r);
    assert_int_equal(kv_save(r->kv), RGKV_OK);
}

static inline enum rgkv_err rig_apply(struct rig *r, struct kv_command *c)
{
    c->time_us = r->time_us;
    if (kv_waits(r->kv, c))
        rig_settle(r);
    assert_int_equal(kv_apply(r->kv, c, rig_applied(r, r->applied), &r->last), RGKV_OK);
    r->applied++;
    if (++r->in_batch >= r->batch)
        rig_finish(r);
    return r->last.err;
}

static inline enum rgkv_err rig_shard(struct rig *r, enum kv_command_kind kind, uint32_t shard, uint64_t epoch, uint64_t from)
{
    struct kv_command c = {.kind = kind, .shard = shard, .epoch = epoch, .from = from};
    return rig_apply(r, &c);
}

static inline void rig_serve(struct rig *r, uint32_t shard)
{
    assert_int_equal(rig_shard(r, KV_IMPORT, shard, 1, 0), RGKV_OK);
    assert_int_equal(rig_shard(r, KV_ACTIVATE, shard, 1, 0), RGKV_OK);
}

static inline void rig_open(struct rig *r)
{
    assert_int_equal(kv_open(r->table, 1, r->nshards, &r->kv), RGKV_OK);
    r->save = RIG_IDLE;
}

/* A machine that serves all of its shards. */
static inline struct rig *rig_new_blank(uint32_t nshards)
{
    struct rig *r = calloc(1, sizeof(*r));
    r->table = table_mem_new();
    r->nshards = nshards;
    r->batch = 1;
    r->client = 7;
    r->time_us = SECOND;
    rig_open(r);
    return r;
}

static inline struct rig *rig_new(uint32_t nshards)
{
    struct rig *r = rig_new_blank(nshards);
    for (uint32_t i = 0; i < nshards; i++)
        rig_serve(r, i);
    return r;
}

static inline void rig_reopen(struct rig *r)
{
    rig_save(r);
    kv_free(r->kv);
    rig_open(r);
}

static inline void rig_free(struct rig *r)
{
    kv_free(r->kv);
    table_free(r->table);
    buf_release(&r->out);
    free(r);
}

/* ---- shard 0 moves: the leaders' part ---- */

/* What the holder's leader does about a question before it answers. */
static inline void rig_copy_advance(struct rig *from, const struct kv_pull *q)
{
    struct kv_command c;
    uint64_t steps;
    if (kv_copy_next(from->kv, q, &c, &steps))
        rig_apply(from, &c);
}

/* One question and what follows from its answer. */
static inline void rig_copy_piece(struct rig *from, struct rig *to, uint64_t epoch, size_t bytes_max)
{
    struct kv_shard_status s;
    struct kv_pulled p = {0};
    struct buf rows = {0}, after = {0};
    kv_shard_status(to->kv, 0, &s);
    buf_put(&after, kv_import_cursor(to->kv, 0));
    struct kv_pull q = {.epoch = epoch, .round = s.import_round, .after = buf_bytes(&after), .bytes_max = bytes_max, .calm = true};
    rig_copy_advance(from, &q);
    enum rgkv_err err = kv_pull(from->kv, &q, &rows, &p);
    struct kv_command piece = {.kind = KV_CHUNK, .epoch = epoch, .round = q.round, .after = q.after, .rows = buf_bytes(&rows), .done = p.done};
    struct kv_command end = {.kind = KV_IMPORT_END, .epoch = epoch, .round = q.round + 1, .count = p.count, .hash = p.hash,
                             .revision = p.revision, .clock_us = p.clock_us};
    assert_true(err == RGKV_OK || err == RGKV_MOVING);
    if (!err)
        assert_int_equal(rig_apply(to, &piece), RGKV_OK);
    if (!err && p.last)
        assert_int_equal(rig_apply(to, &end), RGKV_OK);
    buf_release(&rows);
    buf_release(&after);
}

/* From IMPORT to PREPARED. */
static inline void rig_copy(struct rig *from, struct rig *to, uint64_t epoch, size_t bytes_max)
{
    struct kv_shard_status s;
    for (unsigned i = 0;; i++) {
        kv_shard_status(to->kv, 0, &s);
        if (s.state != KV_IMPORTING)
            return;
        assert_true(i < 10000);
        rig_copy_piece(from, to, epoch, bytes_max);
    }
}

static inline struct kv_request ask(enum kv_op op, const char *key)
{
    struct kv_request q = {.op = op, .key = bytes_str(key), .mode = 0644, .uid = 1, .gid = 2, .now_ns = 1000};
    if (op == KV_MKDIR)
        q.mode = 0755;
    return q;
}

/* Each a new request of the rig's client, in the key's shard. */
static inline enum rgkv_err rig_do(struct rig *r, struct kv_request q)
{
    q.client = r->client;
    q.seq = q.floor = ++r->seq;
    if (q.key.len)
        q.shard = kv_key_shard(q.key, r->nshards);
    struct kv_shard_status s;
    kv_shard_status(r->kv, q.shard, &s);
    q.born_us = s.time_us > r->time_us ? s.time_us : r->time_us; /* it has heard of the shard just now */
    struct kv_command c = {.kind = KV_REQUEST, .request = q};
    return rig_apply(r, &c);
}

static inline enum rgkv_err rig_read(struct rig *r, struct kv_request q)
{
    if (q.key.len)
        q.shard = kv_key_shard(q.key, r->nshards);
    if (r->in_batch)
        rig_finish(r);
    buf_clear(&r->out);
    assert_int_equal(kv_read(r->kv, &q, &r->out, &r->reply), RGKV_OK);
    return r->reply.err;
}

static inline enum rgkv_err put(struct rig *r, const char *key, const char *value)
{
    struct kv_request q = ask(KV_PUT, key);
    q.data = bytes_str(value);
    return rig_do(r, q);
}

static inline enum rgkv_err append(struct rig *r, const char *key, struct bytes data)
{
    struct kv_request q = ask(KV_APPEND, key);
    q.data = data;
    return rig_do(r, q);
}

static inline enum rgkv_err on(struct rig *r, enum kv_op op, const char *key) { return rig_do(r, ask(op, key)); }

static inline enum rgkv_err rename_to(struct rig *r, enum kv_op op, const char *key, const char *key2, uint32_t flags)
{
    struct kv_request q = ask(op, key);
    q.key2 = bytes_str(key2);
    q.flags = flags;
    return rig_do(r, q);
}

static inline enum rgkv_err patch(struct rig *r, const char *key, uint64_t offset, struct bytes data)
{
    struct kv_range range = {offset, (uint32_t)data.len};
    struct kv_request q = ask(KV_PATCH, key);
    q.data = data;
    q.n_ranges = 1;
    q.ranges = &range;
    return rig_do(r, q);
}

static inline enum rgkv_err truncate_to(struct rig *r, const char *key, uint64_t size)
{
    struct kv_request q = ask(KV_PATCH, key);
    q.flags = KV_TRUNCATE;
    q.length = size;
    return rig_do(r, q);
}

static inline enum rgkv_err stat_of(struct rig *r, const char *key) { return rig_read(r, ask(KV_STAT, key)); }

static inline uint64_t version_of(struct rig *r, const char *key)
{
    assert_int_equal(stat_of(r, key), RGKV_OK);
    return r->reply.attr.version;
}

static inline enum rgkv_err get(struct rig *r, const char *key)
{
    struct kv_request q = ask(KV_GET, key);
    q.length = UINT64_MAX;
    return rig_read(r, q);
}

/* Of that version of the file number `ino`, perhaps grown since. */
static inline enum rgkv_err get_of(struct rig *r, const char *key, uint64_t ino, uint64_t version, uint64_t offset, uint64_t length)
{
    struct kv_request q = ask(KV_GET, key);
    q.flags = KV_IF_VERSION | (ino ? KV_IF_INO : 0);
    q.version = version;
    q.ino = ino;
    q.offset = offset;
    q.length = length;
    return rig_read(r, q);
}

static inline enum rgkv_err get_at(struct rig *r, const char *key, uint64_t version, uint64_t offset, uint64_t length)
{
    return get_of(r, key, 0, version, offset, length);
}

static inline void assert_value(struct rig *r, const char *key, const char *value)
{
    assert_int_equal(get(r, key), RGKV_OK);
    assert_int_equal(r->reply.data.len, strlen(value));
    assert_memory_equal(r->reply.data.data ? (const void *)r->reply.data.data : "", value, strlen(value));
}

static inline void clock_to(struct rig *r, uint64_t time_us)
{
    struct kv_command c = {.kind = KV_CLOCK};
    r->time_us = time_us;
    do
        assert_int_equal(rig_apply(r, &c), RGKV_OK);
    while (kv_clock_due(r->kv, time_us));
}

static inline uint64_t checksum(struct rig *r)
{
    struct kv_checksum c;
    if (r->in_batch)
        rig_finish(r);
    assert_int_equal(kv_checksum(r->kv, &c), RGKV_OK);
    return c.rows ^ c.machine;
}

static inline uint64_t rows_of_table(struct rig *r, const char *from, size_t from_len)
{
    uint64_t n = 0;
    rig_save(r);
    struct table_iter *i = table_iter(r->table, NULL, BYTES_EMPTY, BYTES_EMPTY);
    while (r->table->ops->iter_next(i))
        n += bytes_starts(r->table->ops->iter_key(i), bytes_of(from, from_len));
    r->table->ops->iter_free(i);
    return n;
}

#endif
