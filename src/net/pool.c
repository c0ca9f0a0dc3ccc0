/* Two lists. What is to be done: first in, first out, under a lock that is held for a few instructions. What is done: a stack that threads push
 * to and the loop takes as a whole, without a lock (so that its head is never taken alone: a head that looks the same is the same); who
 * pushes to an empty one writes to an eventfd, which the loop polls. */
#include "net/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct pool {
    uv_poll_t poll;
    int fd;
    unsigned given;                    /* and not yet done */
    bool closing, closed;

    _Atomic(struct pool_job *) finished; /* the latest first */

    pthread_mutex_t lock;              /* of what follows */
    pthread_cond_t work;
    struct pool_job *first, **last;
    bool ending;

    unsigned n_threads;
    pthread_t threads[];
};

/* ---- on a thread ---- */

static struct pool_job *next_job(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    while (!p->first && !p->ending)
        pthread_cond_wait(&p->work, &p->lock);
    struct pool_job *j = p->first;
    if (j && !(p->first = j->next))
        p->last = &p->first;
    pthread_mutex_unlock(&p->lock);
    return j;
}

/* The job is the loop's from the exchange on. Who finds others there leaves it to the one that came first to wake the loop. */
static void finish(struct pool *p, struct pool_job *j)
{
    struct pool_job *others = atomic_load(&p->finished);
    do
        j->next = others;
    while (!atomic_compare_exchange_weak(&p->finished, &others, j));
    if (others)
        return;
    ssize_t n;
    do
        n = write(p->fd, &(uint64_t){1}, sizeof(uint64_t));
    while (n < 0 && errno == EINTR);
    ASSERT(n == sizeof(uint64_t));
}

static void *thread(void *arg)
{
    struct pool *p = arg;
    struct pool_job *j;
    pthread_setname_np(pthread_self(), "rgkv-disk");
    while ((j = next_job(p))) {
        j->work(j);
        finish(p, j);
    }
    return NULL;
}

/* ---- on the loop ---- */

static void on_closed(uv_handle_t *handle)
{
    struct pool *p = handle->data;
    p->closed = true;
}

static void close_if_idle(struct pool *p)
{
    if (p->closing && p->given == 0 && !uv_is_closing((uv_handle_t *)&p->poll))
        uv_close((uv_handle_t *)&p->poll, on_closed);
}

/* Of what is done, in the order in which it was. */
static struct pool_job *take_finished(struct pool *p)
{
    struct pool_job *stack = atomic_exchange(&p->finished, NULL), *first = NULL;
    while (stack) {
        struct pool_job *j = stack;
        stack = j->next;
        j->next = first;
        first = j;
    }
    return first;
}

static void on_finished(uv_poll_t *handle, int status, int events)
{
    struct pool *p = handle->data;
    uint64_t count;
    ssize_t n = read(p->fd, &count, sizeof(count)); /* before they are taken: who comes later wakes the loop again */
    ASSERT(n == sizeof(count) || (n < 0 && (errno == EAGAIN || errno == EINTR)));
    struct pool_job *j = take_finished(p);
    while (j) {
        struct pool_job *next = j->next;
        j->done(j);
        if (--p->given == 0)
            uv_unref((uv_handle_t *)&p->poll);
        j = next;
    }
    close_if_idle(p);
}

void pool_run(struct pool *p, struct pool_job *j)
{
    ASSERT(!uv_is_closing((uv_handle_t *)&p->poll));
    if (p->given++ == 0)
        uv_ref((uv_handle_t *)&p->poll);
    j->next = NULL;
    pthread_mutex_lock(&p->lock);
    *p->last = j;
    p->last = &j->next;
    pthread_mutex_unlock(&p->lock);
    pthread_cond_signal(&p->work);
}

void pool_close(struct pool *p)
{
    p->closing = true;
    close_if_idle(p);
}

static void end_threads(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    pthread_mutex_unlock(&p->lock);
    pthread_cond_broadcast(&p->work);
    for (unsigned i = 0; i < p->n_threads; i++)
        pthread_join(p->threads[i], NULL);
}

static void release(struct pool *p)
{
    end_threads(p);
    if (p->fd >= 0)
        close(p->fd);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

static void watch(struct pool *p, uv_loop_t *loop)
{
    int rc = uv_poll_init(loop, &p->poll, p->fd);
    ASSERT(rc == 0);
    p->poll.data = p;
    rc = uv_poll_start(&p->poll, UV_READABLE, on_finished);
    ASSERT(rc == 0);
    uv_unref((uv_handle_t *)&p->poll);
}

static int start_threads(struct pool *p, unsigned n)
{
    int rc = 0;
    while (rc == 0 && p->n_threads < n && (rc = pthread_create(&p->threads[p->n_threads], NULL, thread, p)) == 0)
        p->n_threads++;
    return rc;
}

enum rgkv_err pool_new(uv_loop_t *loop, unsigned threads, struct pool **ret_p, struct buf *why)
{
    struct pool *p = mem_zalloc(sizeof(*p) + threads * sizeof(p->threads[0]));
    p->last = &p->first;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    p->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int rc = p->fd < 0 ? errno : start_threads(p, threads);
    if (rc) {
        buf_printf(why, "cannot start %u threads for the disk: %s", threads, uv_strerror(uv_translate_sys_error(rc)));
        release(p);
        return RGKV_IO;
    }
    watch(p, loop);
    *ret_p = p;
    return RGKV_OK;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    ASSERT(p->closed && p->given == 0);
    release(p);
}
