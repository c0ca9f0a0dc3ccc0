#include <fcntl.h>
#include <unistd.h>

#include "fuse/attr.h"
#include "fuse/commit.h"
#include "fuse/control.h"
#include "fuse/handle.h"
#include "fuse/ops.h"
#include "fuse/orphan.h"
#include "fuse/proc.h"
#include "fuse/siblings.h"

static bool opens_for_read(int flags) { return (flags & O_ACCMODE) != O_WRONLY; }
static bool opens_for_write(int flags) { return (flags & O_ACCMODE) != O_RDONLY; }

static int wanted(int flags) { return (opens_for_read(flags) ? R_OK : 0) | (opens_for_write(flags) ? W_OK : 0); }

/* ---- open ---- */

struct open_call {
    struct call call;              /* node: the file; of create: the directory */
    struct fuse_file_info fi;
    uint64_t changes;              /* open: of the node, when it was asked */
    uint32_t mode;                 /* create */
    char name[KEY_COMPONENT_BYTES_MAX + 1]; /* create */
};

/* The kernel did not take the answer: it will not release the handle, and nothing that was staged by the open alone counts. */
static void forget_handle(struct handle *h)
{
    h->failed = RGKV_CANCELLED;
    handle_released(h);
}

static struct handle *open_handle(struct open_call *c, struct inode *n)
{
    struct handle *h = handle_new(c->call.m, n, &c->fi, fuse_req_ctx(c->call.req));
    c->fi.fh = (uint64_t)(uintptr_t)h;
    c->fi.noflush = !opens_for_write(c->fi.flags); /* nothing can be left to send: the kernel need not ask */
    c->fi.direct_io = c->call.m->options->cache_s == 0; /* else through the kernel's pages, which shared maps need */
    return h;
}

/* What it holds is wanted, and comes with the answer if it is small. */
static bool opens_for_content(int flags) { return opens_for_read(flags) && !(flags & O_TRUNC); }

static void open_reply(struct open_call *c, const struct kv_attr *a, struct bytes head)
{
    struct handle *h = open_handle(c, c->call.node);
    struct key k;
    h->known = true;
    h->ino = a->ino;
    if (opens_for_content(c->fi.flags) && tree_key(c->call.node, &k) == RGKV_OK) {
        pin_take(&h->pin, a, 0, head, mount_now_us(h->m));
        handle_pinned(h, &k, c->changes);
    }
    h->empty = a->size == 0;
    if (opens_for_write(c->fi.flags) && c->fi.flags & O_TRUNC) {
        stage_clear(&h->stage);
        handle_touch(h, fuse_req_ctx(c->call.req));
    }
    if (!call_reply_open(&c->call, &c->fi))
        forget_handle(h);
}

static void open_judge(struct open_call *c, const struct kv_attr *a, struct bytes head)
{
    struct call *call = &c->call;
    const struct fuse_ctx *who = fuse_req_ctx(call->req);
    if (a->type != KV_FILE)
        call_reply_errno(call, a->type == KV_DIR ? EISDIR : ELOOP);
    else if (!call->m->options->allow_other && !attr_permits(a, who, wanted(c->fi.flags)))
        call_reply_errno(call, EACCES);
    else
        open_reply(c, a, head);
}

static void open_done(struct call *call, const struct client_effect *e)
{
    if (e->err == RGKV_NOT_FOUND) {
        call_reply_errno(call, ESTALE); /* removed since the lookup: the kernel looks again, and creates it if that was asked */
        return;
    }
    if (e->err) {
        call_reply_err(call, e->err, e->why);
        return;
    }
    const struct kv_attr *a = &e->reply->attr;
    if (call->node->ino && call->node->ino != a->ino) {
        call_reply_errno(call, ESTALE); /* replaced since the lookup: the kernel looks again by itself */
        return;
    }
    attr_seen(call->node, a);
    open_judge((struct open_call *)call, a, e->reply->data);
}

static void open_send(struct call *call)
{
    struct open_call *c = (struct open_call *)call;
    struct key k;
    enum rgkv_err err = tree_key(call->node, &k);
    if (err) {
        call_reply_err(call, err, rgkv_err_sentence(err));
        return;
    }
    c->changes = call->node->changes;
    struct kv_request get = {.op = KV_GET, .key = key_bytes_of(&k), .length = PIN_HEAD_BYTES_MAX};
    struct kv_request stat = {.op = KV_STAT, .key = key_bytes_of(&k)};
    call_ask(call, opens_for_content(c->fi.flags) ? &get : &stat, open_done);
}

/* What is staged here and is to be seen by others becomes real first: a creation, and what is written in place. */
static void open_begin(struct call *call, enum rgkv_err err, const char *why)
{
    struct handle *h = handle_unpublished(call->node, call);
    bool matters = err == RGKV_CANCELLED || !call->node->ino; /* else it is the writer's own trouble */
    if (err && matters)
        call_reply_err(call, err, why);
    else if (h)
        handle_await(h, call, open_begin);
    else
        open_send(call);
}

/* Through /proc/PID/fd a file without a name can still be opened. */
static void open_orphan(struct open_call *c)
{
    enum rgkv_err err = opens_for_write(c->fi.flags) && c->fi.flags & O_TRUNC ? orphan_resize(c->call.node, 0) : RGKV_OK;
    ASSERT(err == RGKV_OK); /* less always fits */
    struct handle *h = open_handle(c, c->call.node);
    h->known = true;
    if (!call_reply_open(&c->call, &c->fi))
        forget_handle(h);
}

void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct key k;
    if (control_is(ino)) {
        control_open(req, ino, fi);
        return;
    }
    struct mount *m = mount_of(req);
    bool known = recent_take_found(&m->recent, fuse_req_ctx(req)->pid, ino, mount_now_us(m)) && !opens_for_content(fi->flags);
    struct open_call *c = ops_begin_node(req, ino, "open", sizeof *c, &k);
    if (!c)
        return;
    struct inode *n = c->call.node;
    c->fi = *fi;
    if (n->orphan)
        open_orphan(c);
    else if (known && attr_whole(&n->last) && !handle_unpublished(n, &c->call))
        open_judge(c, &n->last, BYTES_EMPTY); /* the lookup of this very call has told all that a writer must know */
    else
        open_begin(&c->call, RGKV_OK, "");
}

/* ---- create ---- */

static void create_reply(struct open_call *c, struct inode *n, struct handle *h)
{
    struct stat st;
    if (!attr_seen_by(n, h->created ? NULL : &n->last, fuse_req_ctx(c->call.req)->pid, &st)) {
        forget_handle(h); /* cannot be: the handle that was just made creates it */
        inode_forget(&c->call.m->inodes, n->id, 1);
        call_reply_errno(&c->call, EIO);
        return;
    }
    if (!call_reply_create(&c->call, n, &st, &c->fi))
        forget_handle(h);
}

static struct handle *create_handle(struct open_call *c, struct inode *n)
{
    struct handle *h = open_handle(c, n);
    h->mode = c->mode & 07777;
    h->gid = attr_new_gid(h->m, c->call.node, fuse_req_ctx(c->call.req));
    return h;
}

static void create_excl_done(struct call *call, const struct client_effect *e)
{
    struct open_call *c = (struct open_call *)call;
    if (e->err) {
        call_reply_err(call, e->err, e->why);
        return;
    }
    const struct fuse_ctx *who = fuse_req_ctx(call->req);
    struct kv_attr a = e->reply->attr;
    if (!attr_whole(&a)) { /* the answer to a retry: the rest is known, we made it */
        a.type = KV_FILE;
        a.mode = c->mode & 07777;
        a.uid = who->uid;
        a.gid = attr_new_gid(call->m, call->node, who);
        a.atime_ns = a.mtime_ns = a.ctime_ns = mount_wall_ns();
    }
    struct inode *n = inode_lookup(&call->m->inodes, call->node, c->name, a.ino, KV_FILE);
    attr_seen(n, &a);
    struct handle *h = create_handle(c, n);
    h->known = h->empty = true;
    h->ino = a.ino;
    create_reply(c, n, h);
}

static void create_staged(struct open_call *c)
{
    struct inode *there = inode_child(&c->call.m->inodes, c->call.node, c->name);
    if (there && there->ino) /* the kernel has just learned that it is gone: removed elsewhere, and open here */
        inode_detach(&c->call.m->inodes, there);
    struct inode *n = inode_lookup(&c->call.m->inodes, c->call.node, c->name, 0, KV_FILE);
    struct handle *h = create_handle(c, n);
    h->created = true;
    stage_create(&h->stage, c->fi.flags & O_TRUNC);
    handle_touch(h, fuse_req_ctx(c->call.req));
    h->clear_suid = false; /* the creator may set it */
    create_reply(c, n, h);
}

void fs_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
    struct key k;
    struct open_call *c = ops_begin_name(req, parent, name, "create", sizeof *c, &k);
    if (!c)
        return;
    const struct fuse_ctx *who = fuse_req_ctx(req);
    c->fi = *fi;
    c->mode = mode;
    memcpy(c->name, name, strlen(name) + 1);
    if (fi->flags & O_EXCL)
        call_ask(&c->call,
                 &(struct kv_request){.op = KV_PUT, .flags = KV_CREATE_ONLY, .key = key_bytes_of(&k), .mode = mode & 07777, .uid = who->uid,
                                      .gid = attr_new_gid(c->call.m, c->call.node, who)},
                 create_excl_done);
    else
        create_staged(c);
}

/* ---- flush, fsync, release ---- */

struct flush_call {
    struct call call;
    struct handle *h;
};

static void flush_release(struct call *call) { handle_let_go(((struct flush_call *)call)->h); }

static void flushed(struct call *c, enum rgkv_err err, const char *why) { call_reply_err(c, err, why); }

static struct flush_call *begin_flush(fuse_req_t req, const char *op, struct handle *h)
{
    struct flush_call *c = call_begin(h->m, req, op, sizeof *c);
    c->h = handle_hold(h);
    c->call.release = flush_release;
    call_node(&c->call, h->node);
    return c;
}

/* Who was interrupted knows it since then; EINTR now would be without a signal. What is staged is lost by the close, though. */
static int flush_errno(const struct handle *h)
{
    if (h->failed != RGKV_CANCELLED)
        return rgkv_err_errno(h->failed);
    return stage_empty(&h->stage) ? 0 : rgkv_err_errno(RGKV_UNKNOWN);
}

/* A truncation alone is not sent by a flush: shells flush between opening and writing, and others would see an
 * empty value. A process that is exiting cannot be interrupted any more: its flush never waits. */
void fs_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct handle *h = control_is(ino) ? NULL : handle_of(fi);
    if (!h)
        fuse_reply_err(req, 0);
    else if (h->failed) {
        h->reported |= !task_exiting(fuse_req_ctx(req)->pid); /* a child that ends hears nothing: its parent has the file open still */
        fuse_reply_err(req, flush_errno(h));
    } else if ((!h->commit && !h->stage.written) || task_exiting(fuse_req_ctx(req)->pid))
        fuse_reply_err(req, 0);
    else
        handle_commit(h, &begin_flush(req, "flush", h)->call, flushed);
}

/* Whose commit was interrupted says fsync once more, as programs do after EINTR. */
static bool asks_again(const struct handle *h) { return h->failed == RGKV_CANCELLED && handle_staged(h); }

void fs_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    struct handle *h = control_is(ino) ? NULL : handle_of(fi);
    if (!h || (!handle_staged(h) && !h->failed))
        fuse_reply_err(req, 0); /* what was acknowledged is durable on a quorum */
    else if (h->failed && !asks_again(h)) {
        h->reported = true;
        fuse_reply_err(req, flush_errno(h));
    } else
        handle_commit(h, &begin_flush(req, "fsync", h)->call, flushed);
}

void fs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    fuse_reply_err(req, 0); /* nobody waits for it */
    if (control_is(ino))
        control_release(fi);
    else
        handle_released(handle_of(fi));
}
