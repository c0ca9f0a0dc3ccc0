/* FUSE_INTERRUPT: which waiting calls end with EINTR.
 *
 * The kernel sends one interrupt per request, ever, and does so for any signal that wakes the caller, also for one
 * that it will not act upon. EINTR without a signal makes programs spin. So the caller's /proc/TID/status decides: EINTR if a
 * signal that will be acted upon is pending, else look again every 50 ms until the call is answered. Nothing is ever
 * answered inside libfuse's interrupt callback. */
#ifndef RGKV_FUSE_INTERRUPT_H
#define RGKV_FUSE_INTERRUPT_H

struct mount;
struct interrupts;

struct interrupts *interrupts_new(struct mount *m);
void interrupts_close(struct interrupts *i);   /* frees itself on the loop */
void interrupt_watch(struct interrupts *i);    /* some call was marked `interrupted` */

#endif
