/* Calls that wait until something about a node holds, looked at again whenever commits, appends or removals end. */
#ifndef RGKV_FUSE_PARK_H
#define RGKV_FUSE_PARK_H

#include "fuse/handle.h"

typedef bool park_over(const struct mount *m, const struct inode *n);

/* `then` is called when it is over, perhaps before this returns; CANCELLED if the call is interrupted first. */
void park(struct call *c, struct inode *n, park_over *over, handle_then *then);
void park_look(struct mount *m);

#endif
