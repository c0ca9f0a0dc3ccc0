/* The embedded node: a child rgkvd that is a cluster of one, with its data under the user's own directory. It is started with
 * the mount, ends with it, and ends if the mount is killed. */
#ifndef RGKV_FUSE_EMBEDDED_H
#define RGKV_FUSE_EMBEDDED_H

#include <uv.h>

#include "fuse/options.h"

#define EMBEDDED_GID 1u
#define EMBEDDED_SHARDS 16u

struct embedded {
    pid_t child;                   /* 0: none */
    int lock;                      /* on its directory, for as long as this process lives */
    char addr[ADDR_BYTES_MAX];     /* where it listens */
    char log[OPTION_BYTES_MAX + 80u]; /* what it says */
};
/* Starts the node (its directory is made if needed, its port chosen at the first start and kept). With a sentence: IO; CONFLICT:
 * another mount uses the directory. */
MUST_USE enum rgkv_err embedded_start(const struct options *o, struct embedded *ret_e, struct buf *why);
void embedded_stop(struct embedded *e); /* waits for it to end */
/* The child is not there any more. */
bool embedded_ended(struct embedded *e);
/* Appends the last line that it wrote. */
void embedded_last_words(const struct embedded *e, struct buf *out);

#endif
