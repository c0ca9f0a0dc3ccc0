/* A node's data directory:
 *
 *     lock        held as long as a daemon runs
 *     manifest    who this node is and which replicas it has (a small file)
 *     replicas/   one directory each (net/replica_files.h)
 *
 * It is made if missing (mode 0700), never adopted: a directory that holds something else, or replicas without their manifest, is refused. */
#ifndef RGKV_RGKVD_DATADIR_H
#define RGKV_RGKVD_DATADIR_H

#include "store/vfs.h"
#include "wire/msg.h"

/* Locks it until the process ends. A blank one gives a manifest of zeros. CONFLICT (locked, or not ours), DAMAGED, NOT_FOUND
 * (no parent), IO, NO_SPACE; always with a sentence. */
MUST_USE enum rgkv_err datadir_open(struct vfs *v, const char *dir, struct manifest *ret_m, struct buf *why);

#endif
