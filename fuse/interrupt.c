#include "fuse/interrupt.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

#include "fuse/call.h"

#define LOOK_AGAIN_MS 50u
#define PF_EXITING 0x4u
#define PROC_BYTES_MAX 4096u

struct interrupts {
    struct mount *m;
    uv_timer_t timer;
    bool watching;
};

static uint64_t mask_of(const char *status, const char *field)
{
    const char *at = strstr(status, field);
    return at ? strtoull(at + strlen(field), NULL, 16) : 0;
}

static uint64_t bit(int signal) { return 1ull << (signal - 1); }

bool interrupt_acts(const char *status)
{
    uint64_t pending = mask_of(status, "\nSigPnd:") | mask_of(status, "\nShdPnd:");
    uint64_t blocked = mask_of(status, "\nSigBlk:"), ignored = mask_of(status, "\nSigIgn:"), caught = mask_of(status, "\nSigCgt:");
    /* Without a handler these do nothing, or stop the process, which goes on waiting afterwards. */
    uint64_t harmless = bit(SIGCHLD) | bit(SIGCONT) | bit(SIGURG) | bit(SIGWINCH) | bit(SIGSTOP) | bit(SIGTSTP) | bit(SIGTTIN) | bit(SIGTTOU);
    if (pending & bit(SIGKILL))
        return true;
    return (pending & ~blocked & ~ignored & (caught | ~harmless)) != 0;
}

bool interrupt_exiting(const char *stat)
{
    const char *at = strrchr(stat, ')'); /* the name may hold anything, parentheses too */
    unsigned flags = 0;
    return at && sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 && (flags & PF_EXITING);
}

/* /proc/TID/FILE as text; false if it cannot be read. */
static bool read_proc(int tid, const char *file, char text[PROC_BYTES_MAX])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", tid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, PROC_BYTES_MAX - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

bool task_exiting(int tid)
{
    char text[PROC_BYTES_MAX];
    return read_proc(tid, "stat", text) && interrupt_exiting(text);
}

static long process_of(int tid)
{
    char text[PROC_BYTES_MAX];
    const char *at = read_proc(tid, "status", text) ? strstr(text, "\nTgid:") : NULL;
    return at ? strtol(at + 6, NULL, 10) : 0;
}

bool task_same_process(int tid, int other)
{
    if (tid == other)
        return true;
    long process = process_of(tid);
    return process && process == process_of(other);
}

/* A caller that cannot be seen (another pid namespace, or gone) is believed: it must not hang. */
static bool should_end(const struct call *c)
{
    char text[PROC_BYTES_MAX];
    int tid = fuse_req_ctx(c->req)->pid;
    return tid <= 0 || !read_proc(tid, "status", text) || interrupt_acts(text);
}

/* Cancelling may end this call and others, so start over after each one. */
static struct call *next_to_end(struct mount *m)
{
    struct call *c;
    DL_FOREACH(m->calls, c)
        if (c->interrupted && c->req && (c->ticket || c->cancel) && should_end(c))
            return c;
    return NULL;
}

static bool any_waiting(struct mount *m)
{
    struct call *c;
    DL_FOREACH(m->calls, c)
        if (c->interrupted)
            return true;
    return false;
}

static void look(uv_timer_t *timer)
{
    struct interrupts *i = timer->data;
    struct call *c;
    while ((c = next_to_end(i->m))) {
        c->interrupted = false; /* once is enough: its answer is on the way */
        i->m->stats.interrupted++;
        call_cancel(c);
    }
    i->watching = any_waiting(i->m);
    if (!i->watching)
        uv_timer_stop(timer);
}

void interrupt_watch(struct interrupts *i)
{
    if (!i->watching)
        uv_timer_start(&i->timer, look, 0, LOOK_AGAIN_MS);
    i->watching = true;
}

struct interrupts *interrupts_new(struct mount *m)
{
    struct interrupts *i = mem_zalloc(sizeof *i);
    i->m = m;
    i->timer.data = i;
    uv_timer_init(m->loop, &i->timer);
    return i;
}

static void closed(uv_handle_t *h) { mem_free(h->data); }
void interrupts_close(struct interrupts *i) { uv_close((uv_handle_t *)&i->timer, closed); }
