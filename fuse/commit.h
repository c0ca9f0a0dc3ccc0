/* How what is staged on a handle gets to the store, and who waits for that. The life of a commit is drawn in handle.h. */
#ifndef RGKV_FUSE_COMMIT_H
#define RGKV_FUSE_COMMIT_H

#include "fuse/handle.h"

/* On behalf of the handle's own call: waits until all that is staged now is committed. `then` is called exactly once, perhaps before
 * this returns (if there is nothing to do). The wait is given up with CANCELLED if its call is interrupted; if it was the only one, so
 * is the commit. */
void handle_commit(struct handle *h, struct call *c, handle_then *then);
/* The same on behalf of somebody else: who gives up does not take back what others wrote, and a failure is still to be told to the writer. */
void handle_await(struct handle *h, struct call *c, handle_then *then);
/* What is staged goes ahead to the store, so that more fits. `then` is called when it may be tried again; OK only then. */
void handle_spill(struct handle *h, struct call *c, handle_then *then);

/* What is staged goes, unless it is held back. No commit of the handle may be under way. */
void commit_start(struct handle *h);
void commit_end_queued(struct handle *h, enum rgkv_err err); /* there is nothing left that those who queue could wait for */
void commit_idle(uv_timer_t *timer);               /* who writes and then is silent for a while has what was staged sent */

#endif
