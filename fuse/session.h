/* The kernel's side: the mount point, /dev/fuse on the loop, and the end of it all.
 *
 *     kernel_mount ──▶ requests … ──▶ unmounted, aborted, or kernel_stop (a signal)
 *                                       ──▶ what is staged is committed, calls are answered ──▶ `ended` */
#ifndef RGKV_FUSE_SESSION_H
#define RGKV_FUSE_SESSION_H

#include "fuse/mount.h"

struct session;

/* `ready` is called when the kernel has opened the session, `ended` when nothing is left to do. IO with a sentence: not mounted. */
MUST_USE enum rgkv_err kernel_mount(struct mount *m, void (*ready)(struct mount *), void (*ended)(struct mount *), struct session **ret_s,
                                     struct buf *why);
/* Lets the kernel learn the names of the local control files, so that they are reached later whatever hangs. `done` follows. */
void kernel_learn_names(struct mount *m, void (*done)(struct mount *m));
void kernel_stop(struct session *s);  /* a signal; a second one does not wait for the cluster */
void kernel_free(struct session *s);  /* after `ended` */

#endif
