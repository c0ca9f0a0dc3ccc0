/* fs-bench DIR [SECONDS [BYTES]]: what a mounted file system does per second, and how long one operation takes.
 *
 * For 1 and 16 threads, each in turn for SECONDS (2): create, overwrite, read, append of small files of BYTES (100), and stat. Every thread has
 * its own files, spread over the top level of DIR. An operation is what a program does: open, read or write, close. One line each:
 *
 *     op=create threads=1 ops_per_s=1234 p50_us=700 p99_us=1500 p999_us=9000 errors=0
 *
 * fs-bench --large DIR LOCAL [MIB]: one file of MIB (1024) mebibytes, written to LOCAL (a directory of the machine's own disk) and to DIR, each with an
 * fsync at the end, then read from DIR. What three members on one disk allow is a sixth of what the disk does:
 *
 *     op=write dir=LOCAL mb_per_s=640.0
 *     op=write dir=DIR mb_per_s=120.0 of_sixth=1.13
 *     op=read dir=DIR mb_per_s=450.0
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 16u
#define FILES_PER_THREAD 64u
#define SAMPLES_MAX (1u << 20) /* per thread: beyond it only counted */
#define BYTES_MAX (1u << 20)

enum op { OP_CREATE, OP_OVERWRITE, OP_READ, OP_STAT, OP_APPEND, OP_COUNT };
static const char *const op_names[] = {"create", "overwrite", "read", "stat", "append"};

struct bench {
    const char *dir;
    unsigned threads;
    double seconds;
    size_t bytes;
    enum op op;
    uint64_t run;              /* makes names of creations new */
};
struct worker {
    const struct bench *b;
    unsigned number;
    pthread_t thread;
    uint64_t done, errors;
    uint32_t *samples_us;
    char *data;
};

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void name_of(const struct worker *w, uint64_t i, char path[512])
{
    if (w->b->op == OP_CREATE)
        snprintf(path, 512, "%s/bench-%u-%llu-%llu", w->b->dir, w->number, (unsigned long long)w->b->run, (unsigned long long)i);
    else
        snprintf(path, 512, "%s/bench-%u-%llu", w->b->dir, w->number, (unsigned long long)(i % FILES_PER_THREAD));
}

static bool write_file(const struct worker *w, const char *path, int flags)
{
    int fd = open(path, O_WRONLY | O_CREAT | flags, 0644);
    if (fd < 0)
        return false;
    bool ok = write(fd, w->data, w->b->bytes) == (ssize_t)w->b->bytes;
    return !close(fd) && ok;
}

static bool read_file(const struct worker *w, const char *path)
{
    int fd = open(path, O_RDONLY);
    bool ok = fd >= 0 && read(fd, w->data, w->b->bytes) >= 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool run_once(const struct worker *w, uint64_t i)
{
    char path[512];
    struct stat st;
    name_of(w, i, path);
    switch (w->b->op) {
    case OP_CREATE: return write_file(w, path, O_EXCL);
    case OP_OVERWRITE: return write_file(w, path, O_TRUNC);
    case OP_READ: return read_file(w, path);
    case OP_STAT: return !stat(path, &st);
    case OP_APPEND: return write_file(w, path, O_APPEND);
    case OP_COUNT: break;
    }
    return false;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    uint64_t start = now_us(), end = start + (uint64_t)(w->b->seconds * 1e6);
    for (uint64_t before = start; before < end;) {
        bool ok = run_once(w, w->done);
        uint64_t after = now_us();
        if (w->done < SAMPLES_MAX)
            w->samples_us[w->done] = (uint32_t)(after - before);
        w->done++;
        w->errors += !ok;
        before = after;
    }
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t percentile(const uint32_t *sorted, size_t n, double p)
{
    return n ? sorted[(size_t)((double)(n - 1) * p)] : 0;
}

static void report(const struct bench *b, struct worker *workers, double seconds)
{
    uint64_t done = 0, errors = 0;
    uint32_t *all = NULL;
    size_t n = 0;
    for (unsigned i = 0; i < b->threads; i++) {
        size_t samples = workers[i].done < SAMPLES_MAX ? workers[i].done : SAMPLES_MAX;
        uint32_t *more = realloc(all, (n + samples + 1) * sizeof *all);
        if (!more)
            abort();
        all = more;
        memcpy(all + n, workers[i].samples_us, samples * sizeof *all);
        n += samples;
        done += workers[i].done;
        errors += workers[i].errors;
    }
    qsort(all, n, sizeof *all, by_value);
    printf("op=%s threads=%u ops_per_s=%.0f p50_us=%u p99_us=%u p999_us=%u errors=%llu\n", op_names[b->op], b->threads,
           (double)(done - errors) / seconds, percentile(all, n, 0.5), percentile(all, n, 0.99), percentile(all, n, 0.999),
           (unsigned long long)errors);
    fflush(stdout);
    free(all);
}

static void *checked(void *p)
{
    if (!p) {
        fprintf(stderr, "fs-bench: out of memory\n");
        exit(1);
    }
    return p;
}

static void start(struct worker *w, const struct bench *b, unsigned number)
{
    *w = (struct worker){.b = b, .number = number};
    w->samples_us = checked(malloc(SAMPLES_MAX * sizeof *w->samples_us));
    w->data = checked(malloc(b->bytes + 1));
    memset(w->data, 'b', b->bytes);
    if (pthread_create(&w->thread, NULL, work, w)) {
        fprintf(stderr, "fs-bench: no thread: %s\n", strerror(errno));
        exit(1);
    }
}

static uint64_t measure(const struct bench *b)
{
    struct worker workers[THREADS_MAX];
    uint64_t before = now_us(), errors = 0;
    for (unsigned i = 0; i < b->threads; i++)
        start(&workers[i], b, i);
    for (unsigned i = 0; i < b->threads; i++)
        pthread_join(workers[i].thread, NULL);
    report(b, workers, (double)(now_us() - before) / 1e6);
    for (unsigned i = 0; i < b->threads; i++) {
        errors += workers[i].errors;
        free(workers[i].samples_us);
        free(workers[i].data);
    }
    return errors;
}

/* The files that are overwritten, read and appended to. */
static bool prepare(const char *dir, unsigned threads, size_t bytes)
{
    struct bench b = {.dir = dir, .bytes = bytes, .op = OP_OVERWRITE};
    struct worker w = {.b = &b, .data = checked(malloc(bytes + 1))};
    bool ok = true;
    memset(w.data, 'b', bytes);
    for (w.number = 0; w.number < threads; w.number++)
        for (uint64_t i = 0; i < FILES_PER_THREAD; i++)
            ok = run_once(&w, i) && ok;
    free(w.data);
    return ok;
}

/* ---- one large file ---- */

#define LARGE_BLOCK (1u << 20)

/* A pass over the file, block after block; seconds, or -1. */
static double pass(const char *path, int flags, unsigned mib)
{
    static uint8_t block[LARGE_BLOCK];
    int fd = open(path, flags, 0644);
    bool writes = (flags & O_ACCMODE) == O_WRONLY, good = fd >= 0;
    uint64_t begin = now_us(), noise = begin;
    for (unsigned i = 0; good && i < mib; i++) {
        for (size_t k = 0; writes && k + 8 <= sizeof block; k += 8) { /* nothing that compresses */
            noise = noise * 6364136223846793005u + 1442695040888963407u;
            memcpy(block + k, &noise, 8);
        }
        good = (writes ? write(fd, block, sizeof block) : read(fd, block, sizeof block)) == (ssize_t)sizeof block;
    }
    if (good && writes)
        good = fsync(fd) == 0;
    if (fd >= 0)
        good = close(fd) == 0 && good;
    if (!good)
        fprintf(stderr, "fs-bench: %s: %s\n", path, strerror(errno));
    return good ? (double)(now_us() - begin) / 1e6 : -1;
}

static int large(const char *dir, const char *local, unsigned mib)
{
    char here[4096], there[4096];
    double mb = mib * (LARGE_BLOCK / 1e6);
    snprintf(here, sizeof here, "%s/fs-bench-large", local);
    snprintf(there, sizeof there, "%s/fs-bench-large", dir);
    double raw = pass(here, O_WRONLY | O_CREAT | O_TRUNC, mib);
    unlink(here);
    double written = pass(there, O_WRONLY | O_CREAT | O_TRUNC, mib), back = pass(there, O_RDONLY, mib);
    unlink(there);
    if (raw <= 0 || written <= 0 || back <= 0)
        return 1;
    printf("op=write dir=%s mb_per_s=%.1f\n", local, mb / raw);
    printf("op=write dir=%s mb_per_s=%.1f of_sixth=%.2f\n", dir, mb / written, raw * 6 / written);
    printf("op=read dir=%s mb_per_s=%.1f\n", dir, mb / back);
    return 0;
}

int main(int argc, char **argv)
{
    if ((argc == 4 || argc == 5) && !strcmp(argv[1], "--large"))
        return large(argv[2], argv[3], argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 1024);
    const unsigned counts[] = {1, THREADS_MAX};
    double seconds = argc > 2 ? atof(argv[2]) : 2;
    size_t bytes = argc > 3 ? strtoul(argv[3], NULL, 10) : 100;
    uint64_t errors = 0;
    if (argc < 2 || argc > 4 || seconds <= 0 || !bytes || bytes > BYTES_MAX) {
        fprintf(stderr, "usage: fs-bench DIR [SECONDS [BYTES]] | fs-bench --large DIR LOCAL [MIB]\n");
        return 1;
    }
    if (!prepare(argv[1], THREADS_MAX, bytes)) {
        fprintf(stderr, "fs-bench: %s cannot be written: %s\n", argv[1], strerror(errno));
        return 1;
    }
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (int op = 0; op < OP_COUNT; op++)
            errors += measure(&(struct bench){.dir = argv[1], .threads = counts[c], .seconds = seconds, .bytes = bytes, .op = op, .run = now_us()});
    return errors != 0;
}
