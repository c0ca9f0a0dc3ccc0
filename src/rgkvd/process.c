#include "rgkvd/process.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

void process_prepare(void)
{
    struct rlimit files;
    signal(SIGPIPE, SIG_IGN);
    setenv("UV_THREADPOOL_SIZE", "16", 0); /* for names of hosts: libuv lets half of them wait for a resolver that is silent */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

bool process_orphaned(const struct options *o)
{
    if (!o->die_with_parent)
        return false;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    pid_t parent = getppid();
    return o->parent ? (uint64_t)parent != o->parent : parent == 1;
}

/* ---- memory ---- */

#define KEPT_BYTES (64 << 20)
#define PREFAULT_BLOCK_BYTES (8u << 20)
#define PREFAULT_BYTES_MAX (128u << 20) /* 0.8 s on a slow virtual machine, and the node is not ready before */
#define PAGE_BYTES_MIN 4096u

/* What was used once is used again: to give memory back, and touch it anew, costs the loop milliseconds (a virtual machine may take 12 us for
 * each page). How much that can be, the budget bounds. */
static void keep_memory(size_t prefaulted)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, (int)(KEPT_BYTES + prefaulted));
    mallopt(M_TOP_PAD, 1 << 20);
}

/* The first touch is the dear one. This thread's own heap is what the loop allocates from; what is free at its end stays there. */
static void prefault(size_t bytes)
{
    struct block { struct block *next; } *blocks = NULL, *b;
    for (; bytes >= PREFAULT_BLOCK_BYTES; bytes -= PREFAULT_BLOCK_BYTES) {
        b = mem_alloc(PREFAULT_BLOCK_BYTES);
        for (size_t at = 0; at < PREFAULT_BLOCK_BYTES; at += PAGE_BYTES_MIN)
            ((volatile uint8_t *)b)[at] = 1;
        b->next = blocks;
        blocks = b;
    }
    while ((b = blocks)) {
        blocks = b->next;
        mem_free(b);
    }
}

void process_memory(const struct options *o)
{
    size_t bytes = o->prefault ? MIN(o->memory_bytes / 4, PREFAULT_BYTES_MAX) : 0;
    keep_memory(bytes);
    prefault(bytes);
}

/* ---- priority ---- */

/* Linux sets it for a thread where POSIX says process: setpriority(2), BUGS. */
enum rgkv_err process_nice(int nice, struct buf *why)
{
    if (setpriority(PRIO_PROCESS, 0, nice) == 0)
        return RGKV_OK;
    buf_printf(why, "--nice %d: %s: the loop keeps the priority that it has (RLIMIT_NICE; LimitNICE= of systemd)", nice, strerror(errno));
    return RGKV_NOT_PERMITTED;
}

bool process_nice_raises(int nice)
{
    int now = getpriority(PRIO_PROCESS, 0);
    if (nice >= now || setpriority(PRIO_PROCESS, 0, nice) != 0)
        return false;
    (void)setpriority(PRIO_PROCESS, 0, now); /* that way nobody needs a permission */
    return true;
}
