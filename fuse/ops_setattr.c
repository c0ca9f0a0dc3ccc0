#include <stdlib.h>

#include "fuse/attr.h"
#include "fuse/commit.h"
#include "fuse/control.h"
#include "fuse/handle.h"
#include "fuse/ops.h"
#include "fuse/orphan.h"
#include "fuse/siblings.h"

/* setattr in up to three steps, each only if it is needed: the size, what is staged (so that its Put does not undo new times), and
 * mode, owner and times. */

#define SET_TIMES (KV_SET_ATIME | KV_SET_MTIME)

struct setattr_call {
    struct call call;              /* node: the file */
    struct handle *h;              /* of ftruncate; or NULL */
    bool resize;
    uint64_t size;
    uint32_t set;                  /* KV_SET_* still to do */
    bool now;                      /* the times are "now" */
    uint32_t mode, uid, gid;
    int64_t atime_ns, mtime_ns;
};

static void setattr_release(struct call *call)
{
    struct setattr_call *c = (struct setattr_call *)call;
    if (c->h)
        handle_let_go(c->h);
}

static void set_time(struct setattr_call *c, int to_set, int value_bit, int now_bit, uint32_t set, int64_t *time, struct timespec t)
{
    if (!(to_set & (value_bit | now_bit)))
        return;
    c->set |= set;
    c->now = (to_set & now_bit) != 0;
    *time = c->now ? mount_wall_ns() : ns_of_timespec(t);
}

static void understand(struct setattr_call *c, const struct stat *attr, int to_set)
{
    c->resize = to_set & FUSE_SET_ATTR_SIZE;
    c->size = (uint64_t)attr->st_size;
    c->set = (to_set & FUSE_SET_ATTR_MODE ? KV_SET_MODE : 0) | (to_set & FUSE_SET_ATTR_UID ? KV_SET_UID : 0) |
             (to_set & FUSE_SET_ATTR_GID ? KV_SET_GID : 0);
    c->mode = attr->st_mode & 07777;
    c->uid = attr->st_uid;
    c->gid = attr->st_gid;
    set_time(c, to_set, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW, KV_SET_ATIME, &c->atime_ns, attr->st_atim);
    set_time(c, to_set, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW, KV_SET_MTIME, &c->mtime_ns, attr->st_mtim);
}

/* ---- the last step: mode, owner, times ---- */

static void set_done(struct call *c, const struct client_effect *e)
{
    struct stat st;
    if (e->err)
        call_reply_err(c, e->err == RGKV_NOT_FOUND && handles_ino(c->node) ? RGKV_STALE : e->err, e->why);
    else if (e->reply->has_attr && attr_whole(&e->reply->attr)) {
        attr_seen(c->node, &e->reply->attr);
        attr_seen_by(c->node, &e->reply->attr, fuse_req_ctx(c->req)->pid, &st);
        call_reply_attr(c, &st);
    } else
        ops_reply_getattr(c);
}

static void set_detached(struct setattr_call *c)
{
    struct kv_attr *last = &c->call.node->last;
    if (c->set & KV_SET_MODE)
        last->mode = c->mode;
    if (c->set & KV_SET_MTIME)
        last->mtime_ns = c->mtime_ns;
    ops_reply_getattr(&c->call);
}

/* Whether it came by a descriptor (fchmod) is not told: who came by the name is asked by the kernel to look again after ESTALE. */
static void set_ask(struct setattr_call *c, const struct key *k)
{
    uint64_t ino = handles_ino(c->call.node);
    call_ask(&c->call,
             &(struct kv_request){.op = KV_SETATTR, .flags = ino ? KV_IF_INO : 0, .of_ino = ino, .key = key_bytes_of(k), .set = c->set,
                                  .mode = c->mode, .uid = c->uid, .gid = c->gid, .atime_ns = c->atime_ns, .mtime_ns = c->mtime_ns},
             set_done);
}

static void set_send(struct call *call, enum rgkv_err err, const char *why)
{
    struct setattr_call *c = (struct setattr_call *)call;
    struct key k;
    if (err)
        call_reply_err(call, err, why);
    else if (!c->set)
        ops_reply_getattr(call);
    else if (tree_key(call->node, &k))
        set_detached(c);
    else
        set_ask(c, &k);
}

/* ---- the middle: what is staged ---- */

/* A creation that is staged takes mode and owner along with its Put. */
static void join_creation(struct setattr_call *c, struct handle *h)
{
    if (c->set & KV_SET_MODE)
        h->mode = c->mode;
    if (c->set & KV_SET_UID)
        h->uid = c->uid;
    if (c->set & KV_SET_GID)
        h->gid = c->gid;
    c->set &= SET_TIMES;
}

static struct handle *staged_handle(const struct inode *n)
{
    for (struct handle *h = n->handles; h; h = h->node_next)
        if (handle_staged(h) && !h->failed)
            return h;
    return NULL;
}

/* What is staged would clear the bits that come after it. */
static bool suid_would_go(const struct setattr_call *c, const struct handle *h)
{
    return h->clear_suid && c->set & KV_SET_MODE && c->mode & (S_ISUID | S_ISGID);
}

static bool staged_comes_first(const struct setattr_call *c, const struct handle *h)
{
    return suid_would_go(c, h) || (!handle_is_private(h, &c->call) && (c->set & SET_TIMES || (h->created && c->set)));
}

static void set_begin(struct setattr_call *c)
{
    struct handle *h = staged_handle(c->call.node);
    if (h && h->created && !h->commit)
        join_creation(c, h);
    if (h && c->now)
        c->set &= ~(uint32_t)SET_TIMES; /* its Put sets the time */
    if (h && staged_comes_first(c, h))
        handle_await(h, &c->call, set_send);
    else
        set_send(&c->call, RGKV_OK, "");
}

/* ---- the first step: the size ---- */

static void resized(struct call *call, enum rgkv_err err, const char *why)
{
    if (err)
        call_reply_err(call, err, why);
    else
        set_begin((struct setattr_call *)call);
}

static void resize_done(struct call *call, const struct client_effect *e)
{
    if (!e->err)
        attr_changed(call->node, e->reply->has_attr ? &e->reply->attr : NULL);
    resized(call, e->err, e->why);
}

static void resize_handle(struct call *call, enum rgkv_err err, const char *why);

static void resize_full(struct setattr_call *c)
{
    struct handle *h = c->h;
    if (h->stage.whole || h->stage.spilled)
        handle_spill(h, &c->call, resize_handle);
    else
        handle_commit(h, &c->call, resize_handle);
}

/* ftruncate: to 0 it is staged like O_TRUNC, else it is a Patch at once. */
static void resize_handle(struct call *call, enum rgkv_err err, const char *why)
{
    struct setattr_call *c = (struct setattr_call *)call;
    struct handle *h = c->h;
    if (err) {
        call_reply_err(call, err, why);
        return;
    }
    handle_mark(h, call);
    h->empty = false;
    err = stage_resize(&h->stage, c->size);
    if (err == RGKV_BUSY) {
        resize_full(c);
        return;
    }
    if (err) {
        call_reply_err(&c->call, err, NULL);
        return;
    }
    if (!c->size)
        handle_cleared(h);
    handle_touch(h, fuse_req_ctx(c->call.req));
    h->stage_marked = false;
    if (c->size || c->call.m->options->commit_write || handle_contends(h))
        handle_commit(h, &c->call, resized);
    else
        resized(&c->call, RGKV_OK, "");
}

static void resize_path_send(struct call *call, enum rgkv_err err, const char *why)
{
    struct setattr_call *c = (struct setattr_call *)call;
    struct key k;
    if (!err)
        err = tree_key(call->node, &k);
    if (err) {
        call_reply_err(call, err, why);
        return;
    }
    struct kv_request put = {.op = KV_PUT, .flags = KV_MUST_EXIST, .key = key_bytes_of(&k)};
    struct kv_request cut = {.op = KV_PATCH, .flags = KV_TRUNCATE, .key = key_bytes_of(&k), .length = c->size};
    call_ask(call, c->size ? &cut : &put, resize_done);
}

/* What was written before comes before. */
static void resize_path(struct call *call, enum rgkv_err err, const char *why)
{
    struct handle *h = handle_unpublished(call->node, call);
    if (!err && h)
        handle_await(h, call, resize_path);
    else
        resize_path_send(call, err, why);
}

static void resize(struct setattr_call *c)
{
    struct inode *n = c->call.node;
    if (c->size > VALUE_BYTES_MAX)
        call_reply_err(&c->call, RGKV_TOO_LARGE, NULL);
    else if (n->orphan)
        resized(&c->call, orphan_resize(n, c->size), NULL);
    else if (c->h)
        resize_handle(&c->call, RGKV_OK, "");
    else
        resize_path(&c->call, RGKV_OK, "");
}

/* The root has no key; this mount keeps its attributes while it lasts. */
static void set_root(fuse_req_t req, const struct stat *attr, int to_set)
{
    struct stat *root = &mount_of(req)->root;
    if (to_set & FUSE_SET_ATTR_MODE)
        root->st_mode = S_IFDIR | (attr->st_mode & 07777);
    if (to_set & FUSE_SET_ATTR_UID)
        root->st_uid = attr->st_uid;
    if (to_set & FUSE_SET_ATTR_GID)
        root->st_gid = attr->st_gid;
    if (to_set & FUSE_SET_ATTR_MTIME)
        root->st_mtim = attr->st_mtim;
    if (to_set & FUSE_SET_ATTR_MTIME_NOW)
        root->st_mtim = timespec_of_ns(mount_wall_ns());
    fuse_reply_attr(req, root, 0);
}

/* Without default_permissions the kernel lets the mounting user give files away. */
static bool gives_away(const struct fuse_ctx *who, const struct stat *attr, int to_set)
{
    return who->uid != 0 && (to_set & FUSE_SET_ATTR_UID) && attr->st_uid != who->uid;
}

void fs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
    struct key k;
    if (control_is(ino)) {
        control_setattr(req, ino, attr, to_set);
        return;
    }
    if (gives_away(fuse_req_ctx(req), attr, to_set)) {
        fuse_reply_err(req, EPERM);
        return;
    }
    if (ino == INODE_ROOT) {
        set_root(req, attr, to_set);
        return;
    }
    struct setattr_call *c = ops_begin_node(req, ino, "setattr", sizeof *c, &k);
    if (!c)
        return;
    c->call.release = setattr_release;
    c->h = fi && fi->fh ? handle_hold(handle_of(fi)) : NULL;
    understand(c, attr, to_set);
    if (c->resize)
        resize(c);
    else
        set_begin(c);
}
