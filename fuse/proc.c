#include "fuse/proc.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PF_EXITING 0x4u

static uint64_t mask_of(const char *status, const char *field)
{
    const char *at = strstr(status, field);
    return at ? strtoull(at + strlen(field), NULL, 16) : 0;
}

static uint64_t bit(int signal) { return 1ull << (signal - 1); }

bool proc_acts(const char *status)
{
    uint64_t pending = mask_of(status, "\nSigPnd:") | mask_of(status, "\nShdPnd:");
    uint64_t blocked = mask_of(status, "\nSigBlk:"), ignored = mask_of(status, "\nSigIgn:"), caught = mask_of(status, "\nSigCgt:");
    /* Without a handler these do nothing, or stop the process, which goes on waiting afterwards. */
    uint64_t harmless = bit(SIGCHLD) | bit(SIGCONT) | bit(SIGURG) | bit(SIGWINCH) | bit(SIGSTOP) | bit(SIGTSTP) | bit(SIGTTIN) | bit(SIGTTOU);
    if (pending & bit(SIGKILL) || !strstr(status, "\nSigCgt:"))
        return true;
    return (pending & ~blocked & ~ignored & (caught | ~harmless)) != 0;
}

bool proc_exiting(const char *stat)
{
    const char *at = strrchr(stat, ')'); /* the name may hold anything, parentheses too */
    unsigned flags = 0;
    return at && sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 && (flags & PF_EXITING);
}

MUST_USE static bool read_all(int fd, struct buf *out)
{
    char piece[4096];
    ssize_t n = 1;
    while (n > 0 && out->len < PROC_BYTES_MAX) {
        n = read(fd, piece, sizeof piece);
        if (n > 0)
            buf_put(out, bytes_of(piece, (size_t)n));
    }
    return n >= 0 && out->len;
}

bool proc_read(int tid, const char *file, struct buf *out)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", tid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool all = read_all(fd, out);
    close(fd);
    buf_put_u8(out, 0);
    return all;
}

bool task_exiting(int tid)
{
    struct buf text = {0};
    bool exiting = proc_read(tid, "stat", &text) && proc_exiting((const char *)text.data);
    buf_release(&text);
    return exiting;
}

/* Nearly everybody is a process's first thread, and only such a one has a pidfd: that costs a tenth of reading /proc. */
static bool is_process(int tid)
{
    int fd = (int)syscall(SYS_pidfd_open, tid, 0);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

long task_process(int tid)
{
    if (is_process(tid))
        return tid;
    struct buf text = {0};
    const char *at = proc_read(tid, "status", &text) ? strstr((const char *)text.data, "\nTgid:") : NULL;
    long process = at ? strtol(at + 6, NULL, 10) : 0;
    buf_release(&text);
    return process;
}
