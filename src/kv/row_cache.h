/* The rows that were read or written lately, so that changing a key again does not search the table for it.
 *
 * A table of small rows in sets: a key has one set, and of those that share it the one written longest ago goes first. It
 * also remembers that a row is not there. It must be told of every write of the table; when in doubt it forgets everything. Memory is bounded
 * by the number of places and the size of a row that is kept. */
#ifndef RGKV_KV_ROW_CACHE_H
#define RGKV_KV_ROW_CACHE_H

#include "base/bytes.h"

struct row_cache;

struct row_cache *row_cache_new(void);
void row_cache_free(struct row_cache *c);
enum row_cached { ROW_NOT_CACHED, ROW_CACHED, ROW_CACHED_ABSENT };
/* ROW_CACHED: the value is appended to out. */
enum row_cached row_cache_get(const struct row_cache *c, struct bytes key, struct buf *out);
void row_cache_put(struct row_cache *c, struct bytes key, struct bytes value);
void row_cache_put_absent(struct row_cache *c, struct bytes key);
void row_cache_clear(struct row_cache *c);

#endif
