/* Threads for work that blocks, and their way back to the loop.
 *
 * Jobs begin in the order given, each on the first thread that is free; `work` runs there, `done` on the loop.
 *
 * Why not uv_queue_work: in libuv 1.44 the loop that a pool thread wakes waits, with sched_yield(), until that thread has left uv_async_send
 * (uv__async_spin). The kernel likes to run the one who wakes up before the one who woke it, so on a busy processor the loop gives
 * way to everybody until that thread has its turn again: 10 to 26 ms were seen. Here the loop takes what is
 * done without waiting for anybody; to give a job it takes a lock, for a few instructions. */
#ifndef RGKV_NET_POOL_H
#define RGKV_NET_POOL_H

#include <uv.h>

#include "base/bytes.h"

struct pool;

struct pool_job {
    void (*work)(struct pool_job *j);
    void (*done)(struct pool_job *j);  /* the job is the owner's again, who may give it once more */
    struct pool_job *next;             /* pool.c's */
};

/* IO when the system gives no more threads or descriptors, with a sentence; nothing is left on the loop then. */
MUST_USE enum rgkv_err pool_new(uv_loop_t *loop, unsigned threads, struct pool **ret_p, struct buf *why);
/* On the loop. uv_run does not return before it is done. */
void pool_run(struct pool *p, struct pool_job *j);
/* What was given is still done, and what is given from a `done`; uv_run returns then. */
void pool_close(struct pool *p);
void pool_free(struct pool *p);        /* when uv_run has returned after pool_close; NULL is fine */

#endif
