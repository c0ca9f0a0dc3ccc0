/* A call that goes on after a while. */
#ifndef RGKV_FUSE_LATER_H
#define RGKV_FUSE_LATER_H

#include "fuse/call.h"

struct later;

/* `then` is called from the loop, once; unless it is forgotten before. The call must last until then. */
struct later *later(struct call *c, unsigned ms, void (*then)(struct call *c));
void later_forget(struct later *l);

#endif
