#include "node/chunk.h"

#include "base/mutant.h"
#include "ctrl/ctrl.h"
#include "kv/kv.h"
#include "wire/snapshot_rows.h"

#define CHANGES 256u           /* of a batch */

static uint64_t rows_hash(uint64_t hash, struct bytes rows) { return hash64_seeded(rows, hash); }

/* ---- read ---- */

void chunk_source_open(struct chunk_source *s, struct table *t, uint64_t group, size_t bytes_max)
{
    *s = (struct chunk_source){.table = t, .snapshot = table_snapshot(t), .group = group, .bytes_max = bytes_max};
    s->iter = table_iter(t, s->snapshot, BYTES_EMPTY, BYTES_EMPTY);
}

void chunk_source_close(struct chunk_source *s)
{
    s->table->ops->iter_free(s->iter);
    table_snapshot_free(s->table, s->snapshot);
    buf_release(&s->applied);
    buf_release(&s->rows);
}

static bool is_session(const struct chunk_source *s, struct bytes key)
{
    return s->group && key.len > 2 && key.data[0] != 0xff && key.data[2] == 's';
}

void chunk_read(struct chunk_source *s)
{
    const struct table_ops *ops = s->table->ops;
    buf_clear(&s->rows);
    if (!s->applied.len)
        s->err = table_get(s->table, s->snapshot, bytes_str(TABLE_APPLIED_KEY), &s->applied);
    while (!s->err && !s->done && s->rows.len < s->bytes_max) {
        if (!ops->iter_next(s->iter)) {
            s->err = ops->iter_error(s->iter);
            s->done = !s->err;
            continue;
        }
        if (MUTANT(snapshot_no_sessions) && is_session(s, ops->iter_key(s->iter)))
            continue;
        snapshot_row_put(&s->rows, ops->iter_key(s->iter), ops->iter_value(s->iter));
        s->n_rows++;
    }
    s->hash = rows_hash(s->hash, buf_bytes(&s->rows));
}

/* ---- write ---- */

static enum rgkv_err write_rows(struct chunk_sink *s)
{
    struct table_change changes[CHANGES];
    struct reader reader = reader_of(buf_bytes(&s->rows));
    struct bytes key, value;
    unsigned count = 0;
    enum rgkv_err err = RGKV_OK;
    while (!err && snapshot_row_next(&reader, &key, &value)) {
        changes[count++] = (struct table_change){.kind = TABLE_PUT, .key = key, .value = value};
        s->n_rows++;
        if (count == CHANGES || reader.rest.len == 0) {
            err = table_write(s->table, changes, count);
            count = 0;
        }
    }
    return err ? err : reader.ok ? RGKV_OK : RGKV_DAMAGED;
}

/* Once it is in place there is no way back. */
static enum rgkv_err check_opens(const struct chunk_sink *s)
{
    struct ctrl *ctrl = NULL;
    struct kv *kv = NULL;
    enum rgkv_err err = s->group == 0 ? ctrl_open(s->table, &ctrl) : kv_open(s->table, s->group, s->nshards, &kv);
    ctrl_free(ctrl);
    kv_free(kv);
    return err;
}

enum rgkv_err chunk_write(struct chunk_sink *s)
{
    enum rgkv_err err = write_rows(s);
    s->hash = rows_hash(s->hash, buf_bytes(&s->rows));
    buf_release(&s->rows);
    return err || !s->last ? err : check_opens(s);
}
