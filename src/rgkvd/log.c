#include "rgkvd/log.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LOG_BYTES (256u << 10)

struct log {
    int fd;
    pthread_mutex_t mutex;
    pthread_cond_t filled, emptied;
    char waiting[LOG_BYTES], writing[LOG_BYTES];
    size_t len;                  /* of `waiting` */
    bool busy;                   /* `writing` is being written */
    uint64_t dropped;
};

static void write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nobody to tell */
        text += n;
        len -= (size_t)n;
    }
}

static void *run(void *arg)
{
    struct log *l = arg;
    pthread_mutex_lock(&l->mutex);
    for (;;) {
        while (l->len == 0)
            pthread_cond_wait(&l->filled, &l->mutex);
        size_t len = l->len;
        memcpy(l->writing, l->waiting, len);
        l->len = 0;
        l->busy = true;
        pthread_mutex_unlock(&l->mutex);
        write_all(l->fd, l->writing, len);
        pthread_mutex_lock(&l->mutex);
        l->busy = false;
        pthread_cond_broadcast(&l->emptied);
    }
    return NULL;
}

struct log *log_new(int fd)
{
    struct log *l = mem_zalloc(sizeof(*l));
    pthread_t thread;
    l->fd = fd;
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->filled, NULL);
    pthread_cond_init(&l->emptied, NULL);
    int rc = pthread_create(&thread, NULL, run, l);
    ASSERT(rc == 0);
    pthread_detach(thread);
    return l;
}

/* All of the text or nothing. */
static bool put(struct log *l, const char *text)
{
    int room = (int)(LOG_BYTES - l->len);
    int len = l->dropped ? snprintf(l->waiting + l->len, (size_t)room, "rgkvd: %s (%llu lines were lost)\n", text,
                                    (unsigned long long)l->dropped)
                         : snprintf(l->waiting + l->len, (size_t)room, "rgkvd: %s\n", text);
    if (len < 0 || len >= room)
        return false;
    l->len += (size_t)len;
    return true;
}

void log_line(struct log *l, const char *text)
{
    pthread_mutex_lock(&l->mutex);
    if (put(l, text))
        l->dropped = 0;
    else
        l->dropped++;
    pthread_cond_signal(&l->filled);
    pthread_mutex_unlock(&l->mutex);
}

void log_flush(struct log *l, unsigned wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + (uint64_t)wait_ms * 1000000u;
    until.tv_sec += (time_t)(ns / 1000000000u);
    until.tv_nsec = (long)(ns % 1000000000u);
    pthread_mutex_lock(&l->mutex);
    while (l->len > 0 || l->busy)
        if (pthread_cond_timedwait(&l->emptied, &l->mutex, &until) != 0)
            break;
    pthread_mutex_unlock(&l->mutex);
}
