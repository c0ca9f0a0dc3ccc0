#include "tests/bench/fs_noop.h"

#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uthash.h>

#include "tests/bench/client_load.h"

struct file {
    fuse_ino_t ino;
    char name[LOAD_NAME_BYTES];
    UT_hash_handle hh;
};

/* A request that waits for the cluster, and its answer. */
struct waiting {
    fuse_req_t req;
    void (*reply)(fuse_req_t req, const struct file *f, struct fuse_file_info *fi, size_t size);
    struct file *file;
    struct fuse_file_info fi;
    size_t size;
};

static size_t file_bytes;
static char *zeros;
static struct net_client *client; /* NULL: the no-op */
static struct file *files;     /* by number; none is ever forgotten */
static struct fuse_session *session;

static struct stat attributes(fuse_ino_t ino)
{
    return (struct stat){.st_ino = ino, .st_nlink = 1, .st_size = ino == FUSE_ROOT_ID ? 0 : (off_t)file_bytes,
                         .st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644};
}

static struct file *file_named(const char *name)
{
    fuse_ino_t ino = hash64(bytes_str(name)) >> 2 | 2;
    struct file *f;
    HASH_FIND(hh, files, &ino, sizeof ino, f);
    if (f)
        return f;
    f = mem_zalloc(sizeof *f);
    f->ino = ino;
    strncpy(f->name, name, sizeof f->name - 1);
    HASH_ADD(hh, files, ino, sizeof ino, f);
    return f;
}

static struct file *file_of(fuse_ino_t ino)
{
    struct file *f;
    HASH_FIND(hh, files, &ino, sizeof ino, f);
    ASSERT(f);
    return f;
}

static void answered(void *arg, const struct client_effect *e)
{
    struct waiting *w = arg;
    if (e->err && e->err != RGKV_NOT_FOUND)
        fuse_reply_err(w->req, EIO);
    else
        w->reply(w->req, w->file, &w->fi, w->size);
    mem_free(w);
}

/* Answers at once, or when the cluster has answered q. */
static void answer(const struct waiting *w, struct kv_request *q)
{
    if (!client) {
        struct fuse_file_info fi = w->fi;
        w->reply(w->req, w->file, &fi, w->size);
        return;
    }
    struct waiting *kept = mem_alloc(sizeof *kept);
    *kept = *w;
    q->key = bytes_str(w->file->name);
    q->mode = 0644;
    net_client_submit(client, &(struct client_request){.kind = CLIENT_KV, .kv = q}, LOAD_TIMEOUT_US, answered, kept);
}

static struct fuse_file_info direct(const struct fuse_file_info *fi)
{
    struct fuse_file_info copy = *fi;
    copy.direct_io = 1;
    return copy;
}

/* "bench-THREAD-RUN-I" is a name that is made: not there yet. */
static bool is_new(const char *name)
{
    unsigned dashes = 0;
    for (; *name; name++)
        dashes += *name == '-';
    return dashes == 3;
}

static void reply_entry(fuse_req_t req, const struct file *f, struct fuse_file_info *fi, size_t size)
{
    struct fuse_entry_param e = {.ino = f->ino, .generation = 1, .attr = attributes(f->ino)};
    if (is_new(f->name))
        fuse_reply_err(req, ENOENT);
    else
        fuse_reply_entry(req, &e);
}

static void reply_create(fuse_req_t req, const struct file *f, struct fuse_file_info *fi, size_t size)
{
    struct fuse_entry_param e = {.ino = f->ino, .generation = 1, .attr = attributes(f->ino)};
    fuse_reply_create(req, &e, fi);
}

static void reply_open(fuse_req_t req, const struct file *f, struct fuse_file_info *fi, size_t size) { fuse_reply_open(req, fi); }
static void reply_write(fuse_req_t req, const struct file *f, struct fuse_file_info *fi, size_t size) { fuse_reply_write(req, size); }

static void noop_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    answer(&(struct waiting){.req = req, .reply = reply_entry, .file = file_named(name)}, &(struct kv_request){.op = KV_STAT});
}

static void noop_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct stat st = attributes(ino);
    fuse_reply_attr(req, &st, 0);
}

/* Who only writes has asked by the lookup already. */
static void noop_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct waiting w = {.req = req, .reply = reply_open, .file = file_of(ino), .fi = direct(fi)};
    if ((fi->flags & O_ACCMODE) == O_RDONLY)
        answer(&w, &(struct kv_request){.op = KV_GET, .length = LOAD_HEAD_BYTES});
    else
        fuse_reply_open(req, &w.fi);
}

static void noop_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
    answer(&(struct waiting){.req = req, .reply = reply_create, .file = file_named(name), .fi = direct(fi)},
           &(struct kv_request){.op = KV_PUT, .flags = KV_CREATE_ONLY});
}

static void noop_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    fuse_reply_buf(req, zeros, MIN(size, file_bytes));
}

static void noop_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off, struct fuse_file_info *fi)
{
    answer(&(struct waiting){.req = req, .reply = reply_write, .file = file_of(ino), .size = size},
           &(struct kv_request){.op = fi->flags & O_APPEND ? KV_APPEND : KV_PUT, .data = bytes_of(data, size)});
}

static void noop_done(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) { fuse_reply_err(req, 0); }

static void noop_init(void *userdata, struct fuse_conn_info *conn)
{
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
    conn->want |= conn->capable & (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS);
}

static const struct fuse_lowlevel_ops noop_ops = {
    .init = noop_init, .lookup = noop_lookup, .getattr = noop_getattr, .open = noop_open, .create = noop_create, .read = noop_read,
    .write = noop_write, .flush = noop_done, .release = noop_done,
};

/* ---- the bare mount: two sides on one loop ---- */

static void readable(uv_poll_t *poll, int status, int events)
{
    struct fuse_buf *b = poll->data;
    while (fuse_session_receive_buf(session, b) > 0)
        fuse_session_process_buf(session, b);
}

static void stop(uv_signal_t *s, int number) { uv_stop(s->loop); }

static int serve_with_client(uv_loop_t *loop)
{
    static struct fuse_buf buf;
    uv_poll_t poll = {.data = &buf};
    uv_signal_t term;
    int fd = fuse_session_fd(session);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    uv_poll_init(loop, &poll, fd);
    uv_poll_start(&poll, UV_READABLE, readable);
    uv_signal_init(loop, &term);
    uv_signal_start(&term, stop, SIGTERM);
    uv_run(loop, UV_RUN_DEFAULT);
    return 0;
}

/* The child. Tells through the pipe when it is mounted. */
_Noreturn static void serve(const char *dir, const char *controllers, int ready)
{
    char *argv[] = {(char *)"fs-noop", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);
    uv_loop_t loop;
    session = fuse_session_new(&args, &noop_ops, sizeof noop_ops, NULL);
    zeros = mem_zalloc(file_bytes);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    uv_loop_init(&loop);
    client = controllers ? load_client(&loop, controllers) : NULL;
    if (!session || (controllers && !client) || fuse_set_signal_handlers(session) || fuse_session_mount(session, dir))
        exit(1);
    ssize_t told = write(ready, "1", 1);
    int result = told != 1 ? 1 : client ? serve_with_client(&loop) : fuse_session_loop(session);
    fuse_session_unmount(session);
    exit(result < 0);
}

pid_t fs_noop_start(const char *dir, const char *controllers, size_t bytes)
{
    int ends[2];
    char byte;
    file_bytes = bytes;
    if (pipe(ends))
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        serve(dir, controllers, ends[1]);
    }
    close(ends[1]);
    bool mounted = pid > 0 && read(ends[0], &byte, 1) == 1;
    close(ends[0]);
    if (pid > 0 && !mounted)
        waitpid(pid, NULL, 0);
    return mounted ? pid : -1;
}

void fs_noop_stop(pid_t pid)
{
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
}
