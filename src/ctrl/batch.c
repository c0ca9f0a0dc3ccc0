/* The rows that the commands since the last finish put and deleted, in order. */
#include "ctrl/state.h"

static void batch_add(struct batch *b, bool put, struct bytes key, struct bytes value)
{
    if (b->n == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 16;
        b->rows = mem_realloc(b->rows, b->cap * sizeof(*b->rows));
    }
    struct batch_row *row = &b->rows[b->n++];
    *row = (struct batch_row){put, b->bytes.len, key.len, b->bytes.len + key.len, value.len};
    buf_put(&b->bytes, key);
    buf_put(&b->bytes, value);
}

void ctrl_batch_put(struct batch *b, struct bytes key, struct bytes value) { batch_add(b, true, key, value); }
void ctrl_batch_delete(struct batch *b, struct bytes key) { batch_add(b, false, key, BYTES_EMPTY); }

enum rgkv_err ctrl_batch_write(struct batch *b, struct table *t)
{
    struct table_change *changes = mem_zalloc(b->n * sizeof(*changes));
    for (size_t i = 0; i < b->n; i++) {
        const struct batch_row *row = &b->rows[i];
        changes[i].kind = row->put ? TABLE_PUT : TABLE_DELETE;
        changes[i].key = bytes_of(b->bytes.data + row->key_at, row->key_len);
        changes[i].value = bytes_of(b->bytes.data + row->value_at, row->value_len);
    }
    enum rgkv_err err = table_write(t, changes, b->n);
    mem_free(changes);
    if (err)
        return err;
    b->n = 0;
    buf_clear(&b->bytes);
    return RGKV_OK;
}

void ctrl_batch_release(struct batch *b)
{
    buf_release(&b->bytes);
    mem_free(b->rows);
    *b = (struct batch){0};
}
