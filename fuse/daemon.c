#include "fuse/daemon.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the child says: one byte, the exit code; nothing at all means that it died. */
_Noreturn static void wait_for_child(int pipe)
{
    unsigned char code = EXIT_MOUNT;
    ssize_t n;
    do
        n = read(pipe, &code, 1);
    while (n < 0 && errno == EINTR);
    if (n != 1)
        fprintf(stderr, "rgkvfs: the daemon ended before the mount was ready\n");
    _exit(code);
}

static void leave_terminal(void)
{
    setsid();
    if (chdir("/"))
        return;
    int null = open("/dev/null", O_RDWR);
    if (null >= 0)
        dup2(null, 0);
    if (null > 2)
        close(null);
}

void daemon_begin(struct daemon *d, bool foreground)
{
    int fds[2];
    d->pipe = -1;
    if (foreground)
        return;
    pid_t child = pipe2(fds, O_CLOEXEC) ? -1 : fork();
    if (child < 0) {
        fprintf(stderr, "rgkvfs: cannot go to the background: %s\n", strerror(errno));
        exit(EXIT_MOUNT);
    }
    close(fds[child ? 1 : 0]);
    if (child)
        wait_for_child(fds[0]);
    d->pipe = fds[1];
}

static void tell(struct daemon *d, unsigned char code)
{
    if (d->pipe < 0)
        return;
    if (write(d->pipe, &code, 1) != 1)
        code = 0; /* the parent is gone: nobody to tell */
    close(d->pipe);
    d->pipe = -1;
}

/* systemd's Type=notify: a datagram to where the environment says. */
static void tell_systemd(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path ? strlen(path) : 0;
    if (len < 2 || len >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@')
        to.sun_path[0] = '\0'; /* an abstract name */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)!sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}

void daemon_ready(struct daemon *d)
{
    tell_systemd();
    if (d->pipe < 0)
        return;
    leave_terminal();
    int null = open("/dev/null", O_RDWR);
    if (null >= 0) {
        dup2(null, 1);
        dup2(null, 2);
        if (null > 2)
            close(null);
    }
    tell(d, 0);
}

void daemon_fail(struct daemon *d, int code, const char *sentence)
{
    fprintf(stderr, "rgkvfs: %s\n", sentence);
    tell(d, (unsigned char)code);
    exit(code);
}
