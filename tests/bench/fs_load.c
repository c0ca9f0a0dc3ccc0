#include "tests/bench/fs_load.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"

struct worker {
    const struct load *load;
    const char *dir;
    unsigned number;
    pthread_t thread;
    uint64_t errors;
    char *data;
    struct hist ns;
};

static const char *const names[LOAD_OPS] = {"create", "overwrite", "read", "stat", "append"};
const char *load_op_name(enum load_op op) { return names[op]; }

uint64_t load_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void load_name(const struct load *l, unsigned thread, uint64_t i, char name[LOAD_NAME_BYTES])
{
    if (l->op == LOAD_CREATE)
        snprintf(name, LOAD_NAME_BYTES, "bench-%u-%lu-%lu", thread, l->run, i);
    else
        snprintf(name, LOAD_NAME_BYTES, "bench-%u-%lu", thread, i % LOAD_FILES);
}

static bool write_file(const struct worker *w, const char *path, int flags)
{
    int fd = open(path, O_WRONLY | O_CREAT | flags, 0644);
    if (fd < 0)
        return false;
    bool ok = write(fd, w->data, w->load->bytes) == (ssize_t)w->load->bytes;
    return !close(fd) && ok;
}

static bool read_file(const struct worker *w, const char *path)
{
    int fd = open(path, O_RDONLY);
    bool ok = fd >= 0 && read(fd, w->data, w->load->bytes) >= 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool run_once(const struct worker *w, uint64_t i)
{
    char name[LOAD_NAME_BYTES], path[512];
    struct stat st;
    load_name(w->load, w->number, i, name);
    snprintf(path, sizeof path, "%s/%s", w->dir, name);
    switch (w->load->op) {
    case LOAD_CREATE: return write_file(w, path, O_EXCL);
    case LOAD_OVERWRITE: return write_file(w, path, O_TRUNC);
    case LOAD_READ: return read_file(w, path);
    case LOAD_STAT: return !stat(path, &st);
    case LOAD_APPEND: return write_file(w, path, O_APPEND);
    case LOAD_OPS: break;
    }
    return false;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    uint64_t start = load_now_ns(), end = start + (uint64_t)(w->load->seconds * 1e9);
    for (uint64_t i = 0, before = start, after; before < end; i++, before = after) {
        bool ok = run_once(w, i);
        after = load_now_ns();
        if (ok)
            hist_add(&w->ns, after - before);
        else
            w->errors++;
    }
    return NULL;
}

static char *filling(size_t bytes)
{
    char *data = mem_alloc(bytes + 1);
    memset(data, 'b', bytes);
    return data;
}

void fs_load_run(const char *dir, const struct load *l, struct load_result *r)
{
    struct worker *workers = mem_zalloc(l->threads * sizeof *workers);
    uint64_t before = load_now_ns();
    for (unsigned i = 0; i < l->threads; i++) {
        struct worker *w = &workers[i];
        w->load = l;
        w->dir = dir;
        w->number = i;
        w->data = filling(l->bytes);
        int failed = pthread_create(&w->thread, NULL, work, w);
        ASSERT(!failed);
    }
    for (unsigned i = 0; i < l->threads; i++) {
        pthread_join(workers[i].thread, NULL);
        hist_merge(&r->ns, &workers[i].ns);
        r->errors += workers[i].errors;
        mem_free(workers[i].data);
    }
    r->seconds += (double)(load_now_ns() - before) / 1e9;
    mem_free(workers);
}

bool fs_load_prepare(const char *dir, unsigned threads, size_t bytes)
{
    const struct load l = {.op = LOAD_OVERWRITE, .bytes = bytes};
    struct worker w = {.load = &l, .dir = dir, .data = filling(bytes)};
    bool ok = true;
    for (w.number = 0; w.number < threads && ok; w.number++)
        for (uint64_t i = 0; i < LOAD_FILES && ok; i++)
            ok = run_once(&w, i);
    mem_free(w.data);
    return ok;
}
