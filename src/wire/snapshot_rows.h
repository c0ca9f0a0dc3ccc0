/* The rows of a snapshot chunk: {u16 key length, u32 value length, key, value}, keys ascending, no key empty. */
#ifndef RGKV_WIRE_SNAPSHOT_ROWS_H
#define RGKV_WIRE_SNAPSHOT_ROWS_H

#include "base/bytes.h"

void snapshot_row_put(struct buf *out, struct bytes key, struct bytes value);
/* Views into the chunk. False: at the end, or (r->ok false) malformed. */
bool snapshot_row_next(struct reader *r, struct bytes *ret_key, struct bytes *ret_value);

#endif
