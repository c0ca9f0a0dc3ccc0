/* Paths and keys: a key is the path below the mount point without the leading slash, behind the prefix of the mount. Pure. */
#ifndef RGKV_FUSE_TREE_H
#define RGKV_FUSE_TREE_H

#include "fuse/inode.h"

struct key {
    size_t len;
    char text[KEY_BYTES_MAX + 1]; /* ends with a NUL that is not counted */
};
static inline struct bytes key_bytes_of(const struct key *k) { return bytes_of(k->text, k->len); }

/* The key of a node. STALE: it, or a directory above it, has no path any more. NAME_TOO_LONG. The root's is the prefix. */
MUST_USE enum rgkv_err tree_key(const struct inode *n, struct key *ret_k);
/* The key of a name in a directory. INVALID, NAME_TOO_LONG by the rules of names; STALE as above (the directory was removed). */
MUST_USE enum rgkv_err tree_child_key(const struct inode *dir, const char *name, struct key *ret_k);
/* `.ctrl` at the root belongs to the control tree. */
bool tree_is_ctrl(const struct inode *dir, const char *name);

#endif
