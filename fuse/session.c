#include "fuse/session.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse/call.h"
#include "fuse/handle.h"
#include "fuse/mountpoint.h"
#include "fuse/ops.h"

#define REQUESTS_AT_ONCE 64u /* then the network has its turn */
#define DRAIN_LOOK_MS 10u

enum session_state { SESSION_OPENING, SESSION_OPEN, SESSION_DRAINING, SESSION_ENDED };

struct session {
    struct mount *m;
    struct fuse_session *fuse;
    struct mounted mounted;        /* what this is in the kernel's eyes */
    struct fuse_buf request;       /* one block, used again for every request */
    uv_poll_t poll;
    uv_timer_t drain;
    unsigned handles;              /* of the loop, still open */
    enum session_state state;
    uint64_t drain_until_us;
    bool hurry;
    void (*ready)(struct mount *);
    void (*ended)(struct mount *);
};

/* ---- the mount point ---- */

/* Has the kernel not closed the session? Then its device number is this mount's. */
static bool connected(const struct session *s)
{
    struct pollfd p = {.fd = fuse_session_fd(s->fuse)};
    return poll(&p, 1, 0) >= 0 && !(p.revents & POLLERR);
}

/* Another one may be mounted over this one by now, or where this one was. */
static void detach_own(const struct session *s)
{
    const char *mountpoint = s->m->options->mountpoint;
    struct mounted there;
    bool ours = mountpoint_look(mountpoint, &there) && !strcmp(there.device, s->mounted.device);
    if (ours && (connected(s) || mountpoint_dead(mountpoint)))
        mountpoint_detach(mountpoint);
}

/* A grandchild asks, for this process answers. Until it has ended it would keep an umount away: that the mount is ready is told then. */
static void look_up_names(const char *mountpoint)
{
    static const char *const names[] = {"error", "events", "health", "metrics", "version", "mount/options", "mount/stats", "mount/inflight", "mount/abort"};
    char path[OPTION_BYTES_MAX + 64];
    struct stat st;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/.ctrl/%s", mountpoint, names[i]);
        if (stat(path, &st))
            break;
    }
}

struct learning {
    uv_poll_t poll;
    struct mount *m;
    void (*done)(struct mount *m);
    int fd;
};

static void learning_closed(uv_handle_t *h)
{
    struct learning *l = h->data;
    close(l->fd);
    mem_free(l);
}

/* The other end was closed, by the end of who asked. */
static void learned(uv_poll_t *poll, int status, int events)
{
    struct learning *l = poll->data;
    uv_close((uv_handle_t *)poll, learning_closed);
    l->done(l->m);
}

/* With the daemon's descriptor it would keep the session open after a daemon that died, and wait for it as everybody else. */
static void ask_in_child(const char *mountpoint, int fuse)
{
    close(fuse);
    if (!fork()) {
        look_up_names(mountpoint);
        _exit(0);
    }
    _exit(0);
}

void kernel_learn_names(struct mount *m, void (*done)(struct mount *m))
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC)) {
        done(m);
        return;
    }
    pid_t pid = fork();
    if (!pid)
        ask_in_child(m->options->mountpoint, fuse_session_fd(m->session->fuse));
    if (pid > 0)
        waitpid(pid, NULL, 0);
    close(fds[1]);
    struct learning *l = mem_zalloc(sizeof *l);
    *l = (struct learning){.m = m, .done = done, .fd = fds[0]};
    l->poll.data = l;
    uv_poll_init(m->loop, &l->poll, l->fd);
    uv_poll_start(&l->poll, UV_READABLE | UV_DISCONNECT, learned);
}

/* ---- the end ---- */

static void handle_closed(uv_handle_t *h)
{
    struct session *s = h->data;
    if (--s->handles)
        return;
    s->state = SESSION_ENDED;
    s->ended(s->m);
}

static void finish(struct session *s)
{
    uv_close((uv_handle_t *)&s->poll, handle_closed);
    uv_close((uv_handle_t *)&s->drain, handle_closed);
}

static bool drained(const struct session *s)
{
    const struct mount *m = s->m;
    return s->hurry || !m->background || mount_now_us(m) >= s->drain_until_us;
}

static void drain_look(uv_timer_t *timer)
{
    struct session *s = timer->data;
    if (drained(s))
        finish(s);
}

/* Nothing staged is left behind: every handle commits as if it were closed now. */
static void commit_everything(struct mount *m)
{
    struct handle *h, *next;
    for (h = m->staged; h; h = next) {
        next = h->next;
        if (!h->released)
            handle_released(h);
    }
}

static void drain(struct session *s)
{
    struct mount *m = s->m;
    uint64_t patience = m->options->timeout_us ? m->options->timeout_us : TIMEOUT_S_DEFAULT * 1000000u;
    if (s->state == SESSION_DRAINING)
        return;
    s->state = SESSION_DRAINING;
    m->stopping = true;
    uv_poll_stop(&s->poll);
    commit_everything(m);
    s->drain_until_us = mount_now_us(m) + patience;
    uv_timer_start(&s->drain, drain_look, 0, DRAIN_LOOK_MS);
}

void kernel_stop(struct session *s)
{
    if (s->state == SESSION_DRAINING) {
        s->hurry = true;
        return;
    }
    detach_own(s); /* nobody finds the way in any more; who is inside gets ENOTCONN when we are gone */
    drain(s);
}

/* ---- requests ---- */

static void readable(uv_poll_t *poll, int status, int events)
{
    struct session *s = poll->data;
    for (unsigned i = 0; i < REQUESTS_AT_ONCE && s->state < SESSION_DRAINING; i++) {
        int bytes = fuse_session_receive_buf(s->fuse, &s->request);
        if (bytes == -EAGAIN)
            break;
        if (bytes == -EINTR)
            continue;
        if (bytes <= 0 || fuse_session_exited(s->fuse)) { /* unmounted or aborted */
            drain(s);
            break;
        }
        fuse_session_process_buf(s->fuse, &s->request);
        if (s->state == SESSION_OPENING) {
            s->state = SESSION_OPEN;
            s->ready(s->m);
        }
    }
}

/* ---- what libfuse does not tell the kernel ----
 *
 * libfuse before 3.17 takes FUSE_CAP_PARALLEL_DIROPS but leaves the flag out of its answer to INIT. Then the kernel lets one
 * LOOKUP into a directory at a time: one name in a dead group would hold up every other name beside it, `.ctrl` too, and
 * those who queue behind it cannot even be killed. So the flag is put in here, on the way out.
 *
 * No libfuse of that age knows FUSE_DIRECT_IO_ALLOW_MMAP either, by which a kernel since 6.6 maps a file shared although its reads and writes are
 * direct: the pages are thrown away at each mmap, and written back before who asks for their bytes is answered. Kernels take what they know. */

#define INIT_EXT (1u << 30)                       /* there are flags2 */
#define INIT2_DIRECT_IO_ALLOW_MMAP (1u << (36 - 32)) /* in flags2; kernel headers before 6.6 lack its name */

static bool is_init_reply(const struct mount *m, const struct iovec *iov, int count)
{
    bool opening = m->session && m->session->state == SESSION_OPENING;
    return opening && count == 2 && iov[1].iov_len >= offsetof(struct fuse_init_out, max_background); /* a refusal has one part */
}

static void init_says_more(struct fuse_init_out *o, size_t bytes)
{
    o->flags |= FUSE_PARALLEL_DIROPS; /* kernels since 4.7 offer it: always */
    if (bytes < offsetof(struct fuse_init_out, unused))
        return;
    o->flags |= INIT_EXT;
    o->flags2 |= INIT2_DIRECT_IO_ALLOW_MMAP;
}

static ssize_t kernel_writev(int fd, struct iovec *iov, int count, void *userdata)
{
    if (is_init_reply(userdata, iov, count))
        init_says_more(iov[1].iov_base, iov[1].iov_len);
    return writev(fd, iov, count);
}

static ssize_t kernel_read(int fd, void *out, size_t bytes, void *userdata) { return read(fd, out, bytes); }

MUST_USE static bool watch_replies(struct fuse_session *fuse)
{
    static const struct fuse_custom_io io = {.writev = kernel_writev, .read = kernel_read};
    return !fuse_session_custom_io(fuse, &io, fuse_session_fd(fuse));
}

/* ---- mounting ---- */

static struct fuse_session *fuse_new(struct mount *m)
{
    const struct options *o = m->options;
    struct buf list = {0};
    buf_printf(&list, "subtype=rgkvfs,fsname=");
    for (const char *at = o->fsname; *at; at++) {
        if (*at == ',' || *at == '\\') /* else it would begin another option */
            buf_put_u8(&list, '\\');
        buf_put_u8(&list, (uint8_t)*at);
    }
    buf_printf(&list, "%s%s%s%s", o->read_only ? ",ro" : "",
               o->allow_other ? ",allow_other,default_permissions" : "", o->debug ? ",debug" : "", o->kernel);
    buf_put_u8(&list, 0);
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    struct fuse_session *fuse = NULL;
    if (!fuse_opt_add_arg(&args, "rgkvfs") && !fuse_opt_add_arg(&args, "-o") && !fuse_opt_add_arg(&args, (char *)list.data))
        fuse = fuse_session_new(&args, &ops_table, sizeof ops_table, m);
    fuse_opt_free_args(&args);
    buf_release(&list);
    return fuse;
}

static void root_attributes(struct mount *m)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    m->uid = getuid();
    m->gid = getgid();
    m->root = (struct stat){
        .st_ino = INODE_ROOT, .st_mode = S_IFDIR | 0755, .st_nlink = 1, .st_uid = m->uid, .st_gid = m->gid, .st_blksize = 4096,
        .st_atim = now, .st_mtim = now, .st_ctim = now,
    };
}

static void watch(struct session *s)
{
    struct mount *m = s->m;
    int fd = fuse_session_fd(s->fuse);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    uv_poll_init(m->loop, &s->poll, fd);
    uv_timer_init(m->loop, &s->drain);
    s->poll.data = s->drain.data = s;
    s->handles = 2;
    uv_poll_start(&s->poll, UV_READABLE | UV_DISCONNECT, readable);
}

enum rgkv_err kernel_mount(struct mount *m, void (*ready)(struct mount *), void (*ended)(struct mount *), struct session **ret_s,
                            struct buf *why)
{
    struct fuse_session *fuse = fuse_new(m);
    if (!fuse || fuse_session_mount(fuse, m->options->mountpoint) || !watch_replies(fuse)) {
        buf_printf(why, "%s could not be mounted: %s", m->options->mountpoint, fuse ? strerror(errno) : "libfuse refuses the options");
        if (fuse) {
            fuse_session_unmount(fuse);
            fuse_session_destroy(fuse);
        }
        return RGKV_IO;
    }
    struct session *s = mem_zalloc(sizeof *s);
    s->m = m;
    s->fuse = fuse;
    s->ready = ready;
    s->ended = ended;
    (void)mountpoint_look(m->options->mountpoint, &s->mounted); /* without /proc it is nobody: better a dead mount left than another one gone */
    root_attributes(m);
    watch(s);
    *ret_s = s;
    return RGKV_OK;
}

/* After an abort the dead mount is still there; a mount point that answers ENOTCONN for ever helps nobody. libfuse would unmount whatever is
 * at the path unless its session is closed: while files are open in a detached mount it is not, and the path's copy is left to the exit. */
void kernel_free(struct session *s)
{
    detach_own(s);
    if (!connected(s))
        fuse_session_unmount(s->fuse);
    fuse_session_destroy(s->fuse);
    free(s->request.mem); /* libfuse's own */
    mem_free(s);
}
