/* The first contact with the cluster, before anything is mounted. Runs the loop until it is known how it went. */
#ifndef RGKV_FUSE_CONTACT_H
#define RGKV_FUSE_CONTACT_H

#include "fuse/embedded.h"
#include "net/net_client.h"

/* How many shards the cluster has. The embedded node (child 0: none) also joins as the only group, if none ever did.
 * Anything else than OK comes with a sentence. */
MUST_USE enum rgkv_err contact(uv_loop_t *loop, struct net_client *client, struct embedded *e, uint64_t timeout_us, uint32_t *ret_nshards,
                               struct buf *why);

/* Is there such a directory? NOT_FOUND, NOT_DIR and all that a request can end with; a sentence. */
MUST_USE enum rgkv_err contact_directory(uv_loop_t *loop, struct net_client *client, const char *key, uint64_t timeout_us, struct buf *why);

#endif
