/* Faults at the system calls that durability is made of, for LD_PRELOAD. Counted are, in the order they are made by whichever
 * thread, calls that change files: open that creates, write, pwrite, truncate, fallocate, fsync, fdatasync, rename, unlink, mkdir,
 * rmdir, remove. Descriptors 0 to 2, sockets and pipes are left alone.
 *
 *     RGKV_FAULT_KILL=N       the process is killed (SIGKILL) instead of its Nth call
 *     RGKV_FAULT_TORN=1       … and if that is a write, its first half is written before
 *     RGKV_FAULT_ERROR=E      instead: calls fail with this errno (a number)
 *     RGKV_FAULT_FROM=N         … from the Nth on (1)
 *     RGKV_FAULT_TIMES=N        … so many of them (1; 0: for ever)
 *     RGKV_FAULT_CALLS=W        … of these: letters of w write, s sync, r rename, c create, t truncate or allocate, u remove (all)
 *     RGKV_FAULT_DELAY_MS=T   instead: each of these calls takes so much longer
 *     RGKV_FAULT_PATH=TEXT    only files whose path has this text are counted
 *     RGKV_FAULT_WHILE=FILE   errors and delays only while this file exists
 *     RGKV_FAULT_COUNT=FILE   the calls so far, 8 bytes, native order */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static struct {
    bool ready, torn;
    uint64_t kill_at, from, times, delay_ms;
    int error;
    const char *calls, *path, *only_while;
    uint64_t *count, own_count;
} faults;

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t *counter_map(const char *path)
{
    int fd = path ? REAL(open)(path, O_RDWR | O_CREAT, 0600) : -1;
    if (fd < 0 || REAL(ftruncate)(fd, sizeof(uint64_t)) != 0)
        return &faults.own_count;
    void *at = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return at == MAP_FAILED ? &faults.own_count : at;
}

__attribute__((constructor)) static void faults_init(void)
{
    faults.kill_at = number("RGKV_FAULT_KILL", 0);
    faults.torn = number("RGKV_FAULT_TORN", 0);
    faults.delay_ms = number("RGKV_FAULT_DELAY_MS", 0);
    faults.error = (int)number("RGKV_FAULT_ERROR", 0);
    faults.from = number("RGKV_FAULT_FROM", 1);
    faults.times = number("RGKV_FAULT_TIMES", 1);
    faults.calls = getenv("RGKV_FAULT_CALLS");
    faults.path = getenv("RGKV_FAULT_PATH");
    faults.only_while = getenv("RGKV_FAULT_WHILE");
    faults.count = counter_map(getenv("RGKV_FAULT_COUNT"));
    faults.ready = true;
}

static bool counted_path(const char *path) { return !faults.path || strstr(path, faults.path); }

static bool counted_fd(int fd)
{
    struct stat st;
    char link[64], path[PATH_MAX];
    if (fd <= 2 || fstat(fd, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
        return false;
    if (!faults.path)
        return true;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof(path) - 1);
    path[len < 0 ? 0 : len] = 0;
    return counted_path(path);
}

static void delay(void)
{
    struct timespec t = {(time_t)(faults.delay_ms / 1000), (long)(faults.delay_ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

enum verdict { GO_ON, FAIL, DIE };

static enum verdict judge(char letter)
{
    if ((faults.error || faults.delay_ms) && faults.calls && !strchr(faults.calls, letter))
        return GO_ON;
    if (faults.only_while && access(faults.only_while, F_OK) != 0)
        return GO_ON;
    if (faults.delay_ms)
        delay();
    uint64_t n = __atomic_add_fetch(faults.count, 1, __ATOMIC_SEQ_CST);
    if (faults.kill_at)
        return n == faults.kill_at ? DIE : GO_ON;
    bool due = faults.error && n >= faults.from && (faults.times == 0 || n < faults.from + faults.times);
    return due ? FAIL : GO_ON;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* True: the call must not be made; errno is set. */
static bool refused(char letter)
{
    switch (faults.ready ? judge(letter) : GO_ON) {
    case GO_ON: return false;
    case DIE: die(); break;
    case FAIL: break;
    }
    errno = faults.error;
    return true;
}

static bool write_refused(int fd, const void *data, size_t len, off_t at)
{
    switch (faults.ready && counted_fd(fd) ? judge('w') : GO_ON) {
    case GO_ON: return false;
    case DIE:
        if (faults.torn) {
            ssize_t n = at < 0 ? REAL(write)(fd, data, len / 2) : REAL(pwrite)(fd, data, len / 2, at);
            (void)n;
        }
        die();
        break;
    case FAIL: break;
    }
    errno = faults.error;
    return true;
}

EXPORT ssize_t write(int fd, const void *data, size_t len)
{
    return write_refused(fd, data, len, -1) ? -1 : REAL(write)(fd, data, len);
}
EXPORT ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return write_refused(fd, data, len, at) ? -1 : REAL(pwrite)(fd, data, len, at);
}
EXPORT ssize_t pwrite64(int fd, const void *data, size_t len, off_t at)
{
    return write_refused(fd, data, len, at) ? -1 : REAL(pwrite)(fd, data, len, at);
}

#define ON_FD(name, letter, arguments, given)                          \
    EXPORT int name arguments                                          \
    {                                                                  \
        bool counted = faults.ready && counted_fd(fd);                 \
        return counted && refused(letter) ? -1 : REAL(name) given;     \
    }
ON_FD(fsync, 's', (int fd), (fd))
ON_FD(fdatasync, 's', (int fd), (fd))
ON_FD(ftruncate, 't', (int fd, off_t len), (fd, len))
ON_FD(ftruncate64, 't', (int fd, off_t len), (fd, len))
ON_FD(fallocate, 't', (int fd, int mode, off_t from, off_t len), (fd, mode, from, len))
ON_FD(fallocate64, 't', (int fd, int mode, off_t from, off_t len), (fd, mode, from, len))

#define ON_PATH(name, letter, arguments, given)                        \
    EXPORT int name arguments                                          \
    {                                                                  \
        bool counted = faults.ready && counted_path(path);             \
        return counted && refused(letter) ? -1 : REAL(name) given;     \
    }
ON_PATH(rename, 'r', (const char *path, const char *to), (path, to))
ON_PATH(unlink, 'u', (const char *path), (path))
ON_PATH(remove, 'u', (const char *path), (path))
ON_PATH(rmdir, 'u', (const char *path), (path))
ON_PATH(mkdir, 'c', (const char *path, mode_t mode), (path, mode))

static mode_t mode_of(int flags, va_list more) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; }

#define ON_OPEN(name)                                                                            \
    EXPORT int name(const char *path, int flags, ...)                                            \
    {                                                                                            \
        va_list more;                                                                            \
        va_start(more, flags);                                                                   \
        mode_t mode = mode_of(flags, more);                                                      \
        va_end(more);                                                                            \
        bool creates = (flags & O_CREAT) && faults.ready && counted_path(path) && access(path, F_OK) != 0; \
        return creates && refused('c') ? -1 : REAL(name)(path, flags, mode);                     \
    }
ON_OPEN(open)
ON_OPEN(open64)
