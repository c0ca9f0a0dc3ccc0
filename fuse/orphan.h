/* Files that were unlinked (or replaced by a rename) on this mount while they are open here: their content moves into
 * memory, and reads and writes of the open files go there. Bounded: beyond it only what is cached can be read (ESTALE). */
#ifndef RGKV_FUSE_ORPHAN_H
#define RGKV_FUSE_ORPHAN_H

#include "fuse/call.h"

#define ORPHAN_BYTES_MAX (64u << 20)   /* of one file */
#define ORPHANS_BYTES_MAX (128u << 20) /* of all of a mount */

struct orphan;
struct stage;

/* Fetches the node's content if it is an open file, in the caller's call; `then` goes on in any case, perhaps at
 * once, but not if the call is interrupted: then that is its answer. A content that cannot be had, or is too large, is left out. The node is an orphan only after orphan_begin. */
typedef void orphan_then(struct call *c);
struct orphan_fetch {
    struct inode *node;            /* referenced by the call */
    struct orphan *orphan;         /* what was fetched, or NULL */
    uint64_t version, size;
    orphan_then *then;
};
struct orphan_call {
    struct call call;
    struct orphan_fetch fetch;
};
void orphan_fetch(struct orphan_call *c, struct inode *n, orphan_then *then);
/* The name is gone: the node goes on with what was fetched and what was staged on its open files. */
void orphan_begin(struct orphan_call *c);
void orphan_fetch_release(struct orphan_call *c);

/* TOO_LARGE, NO_SPACE (all together): nothing was done. */
MUST_USE enum rgkv_err orphan_apply(struct inode *n, const struct stage *s);
MUST_USE enum rgkv_err orphan_write(struct inode *n, uint64_t offset, struct bytes data, bool append);
MUST_USE enum rgkv_err orphan_resize(struct inode *n, uint64_t length);
struct bytes orphan_read(const struct inode *n, uint64_t offset, size_t size);
uint64_t orphan_size(const struct inode *n);
uint64_t orphan_version(const struct inode *n);    /* that was fetched */
void orphan_free(struct inode *n);

#endif
