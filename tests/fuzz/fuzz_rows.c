/* Input: u8 {which reader}, then rows as a snapshot or a moving shard brings them, or what stands in the row `applied`.
 *
 *   0  a chunk of a snapshot becomes a table; a shard machine is opened on it, is asked and is told commands
 *   1  the same for the controller's machine
 *   2  rows of a moving shard are imported
 *   3  a raft configuration */
#include "ctrl/text.h"
#include "kv/kv.h"
#include "raft/raft.h"
#include "store/table_mem.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/wire_frame.h"
#include "wire/snapshot_rows.h"

#include <stdlib.h>

#define SHARDS 2u

static void must(enum rgkv_err err) { ASSERT(err == RGKV_OK); }

static struct table *table_of(struct bytes rows)
{
    struct table *t = table_mem_new();
    struct reader r = reader_of(rows);
    struct table_change c = {.kind = TABLE_PUT};
    while (snapshot_row_next(&r, &c.key, &c.value))
        must(table_write(t, &c, 1));
    return t;
}

static void kv_ask(struct kv *k, enum kv_op op, const char *key)
{
    struct kv_reply reply;
    struct buf out = {0};
    struct kv_request q = {.op = op, .key = bytes_str(key), .length = 1000};
    q.shard = kv_key_shard(q.key, SHARDS);
    enum rgkv_err err = kv_read(k, &q, &out, &reply);
    (void)err; /* DAMAGED, mostly */
    buf_release(&out);
}

static bool kv_tell(struct kv *k, enum kv_op op, const char *key, uint64_t seq)
{
    struct kv_result r;
    struct kv_command c = {.kind = KV_REQUEST, .time_us = 5000000, .request = {.op = op, .key = bytes_str(key), .client = 7, .seq = seq,
                           .floor = seq, .born_us = 4000000, .data = bytes_str("new"), .mode = 0600}};
    c.request.shard = kv_key_shard(c.request.key, SHARDS);
    return kv_apply(k, &c, bytes_str("before"), &r) == RGKV_OK && kv_finish(k, bytes_str("applied")) == RGKV_OK;
}

/* Everything that is queued is due, whatever its time says. */
static void kv_collect(struct kv *k)
{
    struct buf cold = {0};
    struct kv_result r;
    struct kv_command c = {.kind = KV_CLOCK, .time_us = UINT64_MAX / 4};
    for (unsigned i = 0; i < 4; i++) {
        buf_clear(&cold);
        bool at_hand = kv_at_hand(k, &c, i, &cold);
        ASSERT(at_hand || cold.len > 0);
        if (kv_apply(k, &c, bytes_str("before"), &r) != RGKV_OK || kv_finish(k, bytes_str("applied")) != RGKV_OK)
            break;
    }
    buf_release(&cold);
}

static void kv_use(struct kv *k)
{
    kv_ask(k, KV_GET, "a");
    kv_ask(k, KV_LIST, "b");
    if (kv_tell(k, KV_APPEND, "a", 1) && kv_tell(k, KV_PUT, "b/c", 2) && kv_tell(k, KV_DELETE, "d", 3))
        kv_collect(k);
}

static void kv_snapshot(struct bytes rows)
{
    struct table *t = table_of(rows);
    struct kv *k;
    if (kv_open(t, 1, SHARDS, &k) == RGKV_OK) {
        kv_use(k);
        kv_free(k);
    }
    t->ops->free(t);
}

static void ctrl_snapshot(struct bytes rows)
{
    struct table *t = table_of(rows);
    struct ctrl *c;
    if (ctrl_open(t, &c) == RGKV_OK) {
        struct buf text = {0};
        ctrl_print_shards(ctrl_view(c), &text);
        ctrl_print_status(ctrl_view(c), NULL, 0, &text);
        buf_release(&text);
        ctrl_free(c);
    }
    t->ops->free(t);
}

static void shard_command(struct kv *k, struct kv_command c)
{
    struct kv_result r;
    c.epoch = 5;
    must(kv_apply(k, &c, bytes_str("before"), &r));
    must(kv_finish(k, bytes_str("applied")));
}

static void shard_import(struct bytes rows)
{
    struct table *t = table_mem_new();
    struct kv *k;
    struct kv_shard_status s;
    must(kv_open(t, 1, SHARDS, &k));
    shard_command(k, (struct kv_command){.kind = KV_IMPORT, .from = 9});
    shard_command(k, (struct kv_command){.kind = KV_CHUNK, .rows = rows, .done = true});
    kv_shard_status(k, 0, &s);
    shard_command(k, (struct kv_command){.kind = KV_IMPORT_END, .round = 1, .count = s.import_rows, .hash = s.import_hash, .revision = 1, .clock_us = 1});
    shard_command(k, (struct kv_command){.kind = KV_ACTIVATE});
    kv_use(k);
    kv_free(k);
    t->ops->free(t);
}

static void config(struct bytes in)
{
    struct raft_config c;
    struct buf again = {0};
    if (raft_config_decode(in, &c) == RGKV_OK) {
        raft_config_encode(&c, &again);
        ASSERT(bytes_eq(buf_bytes(&again), in));
    }
    buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(struct bytes) = {kv_snapshot, ctrl_snapshot, shard_import, config};
    if (size == 0)
        return 0;
    struct bytes input = bytes_of(data + 1, size - 1);
    uint8_t *copy = exact_copy(input);
    readers[data[0] % ARRAY_LEN(readers)](bytes_of(copy, input.len));
    free(copy);
    return 0;
}
