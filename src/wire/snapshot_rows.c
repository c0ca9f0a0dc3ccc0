#include "wire/snapshot_rows.h"

void snapshot_row_put(struct buf *out, struct bytes key, struct bytes value)
{
    buf_put_le16(out, (uint16_t)key.len);
    buf_put_le32(out, (uint32_t)value.len);
    buf_put(out, key);
    buf_put(out, value);
}

bool snapshot_row_next(struct reader *r, struct bytes *ret_key, struct bytes *ret_value)
{
    if (!r->ok || r->rest.len == 0)
        return false;
    uint16_t key_len = read_le16(r);
    uint32_t value_len = read_le32(r);
    struct bytes key = read_bytes(r, key_len), value = read_bytes(r, value_len);
    if (key.len == 0)
        r->ok = false;
    if (!r->ok)
        return false;
    *ret_key = key;
    *ret_value = value;
    return true;
}
