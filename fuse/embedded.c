#include "fuse/embedded.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SBINDIR
#define SBINDIR "/usr/local/sbin"
#endif

#define STOP_WAIT_MS 10000
#define LOCK_WAIT_MS 5000
#define PATH_BYTES (OPTION_BYTES_MAX + 64u)

/* ---- the data directory ---- */

static void data_dir(const struct options *o, char out[PATH_BYTES])
{
    const char *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (o->data_dir[0])
        snprintf(out, PATH_BYTES, "%s", o->data_dir);
    else if (xdg && xdg[0] == '/')
        snprintf(out, PATH_BYTES, "%s/rgkvfs", xdg);
    else
        snprintf(out, PATH_BYTES, "%s/.local/share/rgkvfs", home && home[0] == '/' ? home : "/root");
}

static int make_dirs(char *path)
{
    for (char *at = path + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        int failed = mkdir(path, 0755) && errno != EEXIST;
        *at = '/';
        if (failed)
            return -1;
    }
    return mkdir(path, 0700) && errno != EEXIST ? -1 : 0;
}

/* `fusermount3 -u` returns before the daemon and its node have ended: they are waited for. */
static bool lock_in_time(int fd)
{
    int failed = flock(fd, LOCK_EX | LOCK_NB);
    for (int waited = 0; failed && errno == EWOULDBLOCK && waited < LOCK_WAIT_MS; waited += 10) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        failed = flock(fd, LOCK_EX | LOCK_NB);
    }
    return !failed;
}

/* One mount to a directory, from before its node starts until after it ended: a second one would live on the first one's node
 * and die with it. */
MUST_USE static enum rgkv_err lock_dir(const char *dir, int *ret_lock, struct buf *why)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && lock_in_time(fd)) {
        *ret_lock = fd;
        return RGKV_OK;
    }
    bool taken = fd >= 0 && errno == EWOULDBLOCK;
    buf_printf(why, "%s %s%s", dir, taken ? "is in use by another mount" : "cannot be locked: ", taken ? "" : strerror(errno));
    if (fd >= 0)
        close(fd);
    return taken ? RGKV_CONFLICT : RGKV_IO;
}

/* ---- the port: chosen once, then kept, for it is the node's address in its cluster ---- */

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int port = fd < 0 || bind(fd, (struct sockaddr *)&a, len) || getsockname(fd, (struct sockaddr *)&a, &len) ? 0 : ntohs(a.sin_port);
    if (fd >= 0)
        close(fd);
    return port;
}

static int kept_port(const char *file)
{
    int port = 0;
    FILE *f = fopen(file, "re");
    if (f && fscanf(f, "%d", &port) != 1)
        port = 0;
    if (f)
        fclose(f);
    return port > 0 && port < 65536 ? port : 0;
}

static int keep_port(const char *file, int port)
{
    FILE *f = fopen(file, "wxe");
    if (!f)
        return -1;
    int failed = fprintf(f, "%d\n", port) < 0 || fflush(f) || fsync(fileno(f));
    return fclose(f) || failed ? -1 : 0;
}

MUST_USE static enum rgkv_err choose_address(const char *dir, char addr[ADDR_BYTES_MAX], struct buf *why)
{
    char file[PATH_BYTES + 16];
    snprintf(file, sizeof file, "%s/port", dir);
    int port = kept_port(file);
    if (!port) {
        port = free_port();
        if (!port || keep_port(file, port)) {
            buf_printf(why, "%s cannot be written: %s", file, strerror(errno));
            return RGKV_IO;
        }
    }
    snprintf(addr, ADDR_BYTES_MAX, "127.0.0.1:%d", port);
    return RGKV_OK;
}

/* ---- the program: beside ours, where it was installed, or anywhere ---- */

static void find_program(char out[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 16);
    char *slash = n > 0 ? memrchr(out, '/', (size_t)n) : NULL;
    if (slash) {
        memcpy(slash + 1, "rgkvd", 6);
        if (!access(out, X_OK))
            return;
    }
    snprintf(out, PATH_MAX, "%s/rgkvd", SBINDIR);
    if (access(out, X_OK))
        snprintf(out, PATH_MAX, "rgkvd");
}

_Noreturn static void run_child(const char *program, const char *addr, const char *node_dir, const char *log, pid_t parent)
{
    char die[48], shards[16];
    snprintf(die, sizeof die, "--die-with-parent=%ld", (long)parent);
    snprintf(shards, sizeof shards, "%u", EMBEDDED_SHARDS);
    int null = open("/dev/null", O_RDONLY), out = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    setsid();
    if (null < 0 || out < 0)
        _exit(127);
    dup2(null, 0);
    dup2(out, 1);
    dup2(out, 2);
    execlp(program, "rgkvd", "--listen", addr, "--data", node_dir, "--controllers", addr, "--shards", shards, die, (char *)NULL);
    _exit(127);
}

MUST_USE static enum rgkv_err start_child(struct embedded *e, const char *dir, struct buf *why)
{
    char node_dir[PATH_BYTES + 8], program[PATH_MAX];
    snprintf(node_dir, sizeof node_dir, "%s/node", dir);
    snprintf(e->log, sizeof e->log, "%s/log", dir);
    find_program(program);
    pid_t parent = getpid(), child = fork();
    if (!child)
        run_child(program, e->addr, node_dir, e->log, parent);
    if (child < 0) {
        buf_printf(why, "the embedded node cannot be started: %s", strerror(errno));
        return RGKV_IO;
    }
    e->child = child;
    return RGKV_OK;
}

enum rgkv_err embedded_start(const struct options *o, struct embedded *ret_e, struct buf *why)
{
    char dir[PATH_BYTES];
    struct embedded e = {0};
    data_dir(o, dir);
    if (make_dirs(dir)) {
        buf_printf(why, "%s cannot be made: %s", dir, strerror(errno));
        return RGKV_IO;
    }
    enum rgkv_err err = lock_dir(dir, &e.lock, why);
    if (err)
        return err;
    err = choose_address(dir, e.addr, why);
    if (!err)
        err = start_child(&e, dir, why);
    if (err)
        close(e.lock);
    else
        *ret_e = e;
    return err;
}

void embedded_last_words(const struct embedded *e, struct buf *out)
{
    char line[256], last[256] = "";
    FILE *f = fopen(e->log, "re");
    while (f && fgets(line, sizeof line, f))
        memcpy(last, line, sizeof last);
    if (f)
        fclose(f);
    buf_printf(out, "%.*s", (int)strcspn(last, "\n"), last);
}

bool embedded_ended(struct embedded *e)
{
    if (e->child && waitpid(e->child, NULL, WNOHANG) == e->child)
        e->child = 0;
    return !e->child;
}

void embedded_stop(struct embedded *e)
{
    if (embedded_ended(e))
        return;
    kill(e->child, SIGTERM);
    for (int waited = 0; waited < STOP_WAIT_MS && !embedded_ended(e); waited += 10)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    if (!embedded_ended(e)) {
        kill(e->child, SIGKILL);
        waitpid(e->child, NULL, 0);
        e->child = 0;
    }
}
