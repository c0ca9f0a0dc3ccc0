/* What each thread was told last: things the kernel asks twice within one system call.
 *
 *   stat(2)     is LOOKUP and then GETATTR, since attributes are never cached: the second is answered from the first
 *   open(2)     is LOOKUP and then OPEN: who only writes needs nothing that the first did not tell
 *   a LOOKUP that failed for want of a cluster is asked once more (the old entry could not be confirmed): the second
 *               failure is told at once, so that a call ends within its one timeout
 *
 * All only if nothing else was asked by the thread in between, and within moments: longer ago, it is another system call. An answer
 * may be old within a moment, so that moment is a short one. */
#ifndef RGKV_FUSE_RECENT_H
#define RGKV_FUSE_RECENT_H

#include "base/bytes.h"

#define RECENT_SLOTS 256u
#define RECENT_US 2000u
#define RECENT_FAILED_US 100000u /* a failure is no news that could be old; the kernel's second question may come late on a busy machine */

struct recent_slot {
    int tid;
    uint64_t found;            /* the node that was looked up; 0: none */
    uint64_t parent, name;     /* of a lookup that failed; parent 0: none */
    enum rgkv_err err;
    uint64_t at_us;
};
struct recent {
    struct recent_slot slots[RECENT_SLOTS]; /* by thread; another thread with the same slot simply wins */
};
void recent_found(struct recent *r, int tid, uint64_t node, uint64_t now_us);
void recent_failed(struct recent *r, int tid, uint64_t parent, const char *name, enum rgkv_err err, uint64_t now_us);
void recent_forget(struct recent *r, int tid);     /* the thread asks something else */
bool recent_take_found(struct recent *r, int tid, uint64_t node, uint64_t now_us); /* once */
enum rgkv_err recent_take_failed(struct recent *r, int tid, uint64_t parent, const char *name, uint64_t now_us); /* OK: none */

#endif
