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
    if (pending & bit(SIGKILL))
        return true;
    return (pending & ~blocked & ~ignored & (caught | ~harmless)) != 0;
}

bool proc_exiting(const char *stat)
{
    const char *at = strrchr(stat, ')'); /* the name may hold anything, parentheses too */
    unsigned flags = 0;
    return at && sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 && (flags & PF_EXITING);
}

/* /proc/TID/FILE as text; false if it cannot be read. */
bool proc_read(int tid, const char *file, char text[PROC_BYTES_MAX])
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
    return proc_read(tid, "stat", text) && proc_exiting(text);
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
    char text[PROC_BYTES_MAX];
    const char *at = proc_read(tid, "status", text) ? strstr(text, "\nTgid:") : NULL;
    return at ? strtol(at + 6, NULL, 10) : 0;
}
