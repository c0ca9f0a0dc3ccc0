/* Rows that only a disk has, as somebody wanted them: named where nothing may wait (overlay.h, `cold`), read where that does no
 * harm (kv_warm), so that they are in the table's cache when they are wanted again.
 *
 * Format of a list: per range le16 length and its first key, le16 length and the key where it ends; no end: that one row. */
#ifndef RGKV_KV_COLD_H
#define RGKV_KV_COLD_H

#include "base/bytes.h"

#define COLD_LIST_BYTES_MAX 32768u /* what does not fit is named when it is wanted again */

void cold_add(struct buf *list, struct bytes from, struct bytes to);
bool cold_next(struct reader *r, struct bytes *ret_from, struct bytes *ret_to); /* false: at the end */

#endif
