/* Seeds of what is stored: a log's segment, the rows of small machines, a raft configuration. */
#include <stdio.h>

#include "ctrl/ctrl.h"
#include "kv/kv.h"
#include "kv/rows.h"
#include "store/table_mem.h"
#include "store/wal_format.h"
#include "tests/fuzz/seeds.h"
#include "wire/snapshot_rows.h"

static void must(enum rgkv_err err) { ASSERT(err == RGKV_OK); }

/* ---- the log ---- */

static void batch_put(struct buf *out, uint64_t seed, uint64_t sequence, const struct raft_entry *entries, unsigned n)
{
    struct raft_hard_state h = {2, 1, 1};
    struct wal_place place = {.seed = seed, .offset = out->len, .sequence = sequence};
    size_t begin = out->len;
    memset(buf_grow(out, WAL_BATCH_HEADER_BYTES), 0, WAL_BATCH_HEADER_BYTES);
    for (unsigned i = 0; i < n; i++)
        wal_record_encode(&entries[i], out);
    wal_batch_seal(out->data + begin, out->len - begin, n, &place, &h);
}

static void wal_seeds(const char *dir)
{
    struct buf file = {0};
    struct wal_segment_header h = {.id = {1, 2, 3, 4}, .number = 1, .oldest_needed = 1, .first_sequence = 1, .hard_state = {1, 1, 0}};
    uint64_t seed = wal_segment_header_encode(&h, &file);
    for (unsigned i = 0; i < 4; i++) {
        struct raft_entry e[2] = {{.index = 1 + 2 * (i - i / 3), .term = 1 + i / 3, .kind = RAFT_NOOP},
                                  {.index = 2 + 2 * (i - i / 3), .term = 1 + i / 3, .kind = RAFT_COMMAND, .payload = blob_new(bytes_str("payload"))}};
        batch_put(&file, seed, 1 + i, e, i == 2 ? 0 : 2);
        blob_unref(e[1].payload);
        seed_write(dir, "wal", i, (uint8_t)(1 + i), buf_bytes(&file));
    }
    memset(buf_grow(&file, 64), 0, 64);
    seed_write(dir, "wal", 9, 0x80, buf_bytes(&file));
    buf_release(&file);
}

/* ---- machines ---- */

static void rows_dump(struct table *t, struct buf *out)
{
    struct table_iter *i = table_iter(t, NULL, BYTES_EMPTY, BYTES_EMPTY);
    while (t->ops->iter_next(i))
        snapshot_row_put(out, t->ops->iter_key(i), t->ops->iter_value(i));
    t->ops->iter_free(i);
}

static void kv_command(struct kv *k, struct kv_command c)
{
    struct kv_result r;
    c.time_us = 4000000;
    must(kv_apply(k, &c, bytes_str("before"), &r));
    must(kv_finish(k, bytes_str("applied")));
}

static void kv_write(struct kv *k, enum kv_op op, const char *key, const char *data, uint64_t seq)
{
    struct kv_command c = {.kind = KV_REQUEST, .request = {.op = op, .key = bytes_str(key), .data = bytes_str(data), .client = 3, .seq = seq,
                           .floor = 1, .born_us = 1, .mode = 0644}};
    c.request.shard = kv_key_shard(c.request.key, 2);
    kv_command(k, c);
}

static void kv_fill(struct kv *k)
{
    for (uint32_t shard = 0; shard < 2; shard++) {
        kv_command(k, (struct kv_command){.kind = KV_IMPORT, .shard = shard, .epoch = 1});
        kv_command(k, (struct kv_command){.kind = KV_ACTIVATE, .shard = shard, .epoch = 1});
    }
    kv_write(k, KV_PUT, "a", "value", 1);
    kv_write(k, KV_APPEND, "a", "more", 2);
    kv_write(k, KV_MKDIR, "b", "", 3);
    kv_write(k, KV_PUT, "b/c", "below", 4);
    kv_write(k, KV_SYMLINK, "d", "a", 5);
    kv_write(k, KV_PUT, "a", "newer", 6);
}

/* One of each kind, of values that nobody has. */
static void queue_fill(struct table *t)
{
    static const char kinds[] = {QUEUE_HISTORY, QUEUE_CHUNK, QUEUE_GENERATION, QUEUE_SESSION, QUEUE_STAGE, QUEUE_VALUE, QUEUE_CUT};
    for (unsigned i = 0; i < sizeof kinds; i++) {
        struct queue_item item = {.due_us = 4000000 + i, .kind = (uint8_t)kinds[i], .generation = 2, .chunk = 3, .revision = 4, .key = bytes_str("a")};
        struct rowkey k = row_queue(0, &item);
        must(table_write(t, &(struct table_change){TABLE_PUT, .key = rowkey_bytes(&k)}, 1));
    }
}

static void kv_seeds(const char *dir)
{
    struct table *t = table_mem_new();
    struct buf rows = {0};
    struct kv *k;
    must(kv_open(t, 1, 2, &k));
    kv_fill(k);
    must(kv_save(k));
    queue_fill(t);
    rows_dump(t, &rows);
    seed_write(dir, "kv", 0, 0, buf_bytes(&rows));
    for (uint32_t shard = 0; shard < 2; shard++) {
        struct kv_pulled p;
        buf_clear(&rows);
        kv_command(k, (struct kv_command){.kind = KV_FREEZE, .shard = shard, .epoch = 2});
        must(kv_pull(k, &(struct kv_pull){.shard = shard, .epoch = 2, .bytes_max = 1500}, &rows, &p));
        seed_write(dir, "pull", shard, 2, buf_bytes(&rows));
    }
    kv_free(k);
    t->ops->free(t);
    buf_release(&rows);
}

static void ctrl_command(struct ctrl *c, struct ctrl_command command)
{
    struct ctrl_result r;
    command.time_us = 5;
    must(ctrl_apply(c, &command, &r));
    must(ctrl_finish(c, bytes_str("applied")));
}

static void ctrl_seeds(const char *dir)
{
    struct table *t = table_mem_new();
    struct buf rows = {0};
    struct ctrl *c;
    struct ctrl_join_group g = {.gid = 5, .n = 1, .addrs = {"h:1"}};
    must(ctrl_open(t, &c));
    ctrl_command(c, (struct ctrl_command){.op = CTRL_INIT, .cluster = 1, .nshards = 2});
    ctrl_command(c, (struct ctrl_command){.op = CTRL_JOIN, .client = 1, .seq = 1, .born_us = 1, .n_groups = 1, .groups = &g});
    rows_dump(t, &rows);
    seed_write(dir, "ctrl", 0, 1, buf_bytes(&rows));
    ctrl_free(c);
    t->ops->free(t);
    buf_release(&rows);
}

static void config_seeds(const char *dir)
{
    struct buf out = {0};
    struct raft_config c = {.n = 3};
    for (unsigned i = 0; i < c.n; i++)
        c.members[i] = (struct raft_member){.id = i + 1};
    raft_config_encode(&c, &out);
    seed_write(dir, "config", 0, 3, buf_bytes(&out));
    buf_release(&out);
}

void store_seeds(const char *wal_dir, const char *rows_dir)
{
    wal_seeds(wal_dir);
    kv_seeds(rows_dir);
    ctrl_seeds(rows_dir);
    config_seeds(rows_dir);
}
