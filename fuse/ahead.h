/* Reading ahead: who reads a version of a file from front to back gets it from blocks that were asked for before. Blocks are of one version,
 * so nothing is ever torn; at most AHEAD_BLOCKS of a handle, AHEAD_BYTES_MAX of a mount. */
#ifndef RGKV_FUSE_AHEAD_H
#define RGKV_FUSE_AHEAD_H

#include "fuse/handle.h"

#define AHEAD_BLOCK_BYTES DATA_BYTES_MAX
#define AHEAD_BLOCKS 6u
#define AHEAD_BYTES_MAX (64u << 20)
#define AHEAD_RUN_MIN 2u           /* reads in a row before it begins */

/* Is this read one of a row, of a file that has more? Notes where it ends, so ask once for every read. */
bool ahead_serves(struct handle *h, uint64_t offset, uint32_t size);
/* Bytes [offset, offset + len) of the pinned version. An error: ask for them directly. data is valid for the call. */
typedef void ahead_then(struct call *c, enum rgkv_err err, struct bytes data);
void ahead_read(struct handle *h, struct call *c, uint64_t offset, uint32_t len, ahead_then *then);
void ahead_release(struct handle *h);

#endif
