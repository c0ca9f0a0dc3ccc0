#include <stdlib.h>

#include "fuse/attr.h"
#include "fuse/commit.h"
#include "fuse/control.h"
#include "fuse/handle.h"
#include "fuse/ops.h"
#include "fuse/siblings.h"

/* A name in a directory; the call's node is the directory. */
struct name_call {
    struct call call;
    char name[KEY_COMPONENT_BYTES_MAX + 1];
};

static void *begin(fuse_req_t req, fuse_ino_t parent, const char *name, const char *op, struct key *ret_k)
{
    struct name_call *c = ops_begin_name(req, parent, name, op, sizeof *c, ret_k);
    if (c)
        memcpy(c->name, name, strlen(name) + 1); /* the key was checked: it fits */
    return c;
}

static int tid_of(const struct call *c) { return fuse_req_ctx(c->req)->pid; }

/* The one answer of everything that makes or finds a name. */
static void reply_entry(struct name_call *c, const struct kv_attr *a)
{
    struct inode *n = inode_lookup(&c->call.m->inodes, c->call.node, c->name, a->ino, a->type);
    struct stat st;
    attr_seen(n, a);
    attr_seen_by(n, a, tid_of(&c->call), &st);
    recent_found(&c->call.m->recent, tid_of(&c->call), n->id, mount_now_us(c->call.m));
    call_reply_entry(&c->call, n, &st);
}

/* The store does not have it, but a creation may be staged here. */
static void reply_staged_entry(struct name_call *c)
{
    struct inode *n = inode_child(&c->call.m->inodes, c->call.node, c->name);
    struct stat st;
    if (!n || !attr_seen_by(n, NULL, tid_of(&c->call), &st)) {
        call_reply_errno(&c->call, ENOENT);
        return;
    }
    n->lookups++;
    call_reply_entry(&c->call, n, &st);
}

/* The kernel asks a second time, unless the errno is EINTR. */
static bool asked_again(const struct call *c, enum rgkv_err err)
{
    int number = rgkv_err_errno(err);
    return number == EHOSTDOWN || number == ETIMEDOUT || (err == RGKV_CANCELLED && c->aborted);
}

static void lookup_done(struct call *call, const struct client_effect *e)
{
    struct name_call *c = (struct name_call *)call;
    if (e->err == RGKV_NOT_FOUND)
        reply_staged_entry(c);
    else if (e->err) {
        if (asked_again(call, e->err))
            recent_failed(&call->m->recent, tid_of(call), call->node->id, c->name, e->err, mount_now_us(call->m));
        call_reply_err(call, e->err, e->why);
    } else
        reply_entry(c, &e->reply->attr);
}

/* What the commit of a closed handle came to is its own business; a signal is ours. */
static void lookup_closed(struct call *call, enum rgkv_err err, const char *why)
{
    struct name_call *c = (struct name_call *)call;
    struct key k;
    struct inode *n = inode_child(&call->m->inodes, call->node, c->name);
    struct handle *h = n ? handle_to_await(n, call) : NULL;
    if (err == RGKV_CANCELLED)
        call_reply_err(call, err, why);
    else if (h)
        handle_await(h, call, lookup_closed);
    else if (tree_child_key(call->node, c->name, &k))
        call_reply_errno(call, ENOENT);
    else
        call_ask(call, &(struct kv_request){.op = KV_STAT, .key = key_bytes_of(&k)}, lookup_done);
}

void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mount *m = mount_of(req);
    if (control_is(parent) || (parent == INODE_ROOT && tree_is_ctrl(m->inodes.root, name))) {
        control_lookup(req, parent, name);
        return;
    }
    enum rgkv_err again = recent_take_failed(&m->recent, fuse_req_ctx(req)->pid, parent, name, mount_now_us(m));
    if (again) {
        fuse_reply_err(req, again == RGKV_CANCELLED ? ECANCELED : rgkv_err_errno(again));
        return;
    }
    struct key k;
    struct name_call *c = begin(req, parent, name, "lookup", &k);
    if (!c)
        return;
    lookup_closed(&c->call, RGKV_OK, "");
}

void fs_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
    inode_forget(&mount_of(req)->inodes, ino, nlookup);
    fuse_reply_none(req);
}

void fs_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        inode_forget(&mount_of(req)->inodes, forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

/* After a creation: its answer has the attributes, unless it is that of a retried command; then they are asked for. */
static void made_done(struct call *call, const struct client_effect *e)
{
    struct name_call *c = (struct name_call *)call;
    struct key k;
    if (e->err)
        call_reply_err(call, e->err, e->why);
    else if (e->reply->has_attr && attr_whole(&e->reply->attr))
        reply_entry(c, &e->reply->attr);
    else if (tree_child_key(call->node, c->name, &k))
        call_reply_errno(call, ENOENT);
    else
        call_ask(call, &(struct kv_request){.op = KV_STAT, .key = key_bytes_of(&k)}, lookup_done);
}

static void ask_made(struct name_call *c, const struct key *k, struct kv_request *q, mode_t mode)
{
    const struct fuse_ctx *who = fuse_req_ctx(c->call.req);
    q->key = key_bytes_of(k);
    q->mode = (mode & 07777) | (q->op == KV_MKDIR && attr_hands_down(c->call.m, c->call.node) ? S_ISGID : 0);
    q->uid = who->uid;
    q->gid = attr_new_gid(c->call.m, c->call.node, who);
    call_ask(&c->call, q, made_done);
}

void fs_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    struct key k;
    if (!S_ISREG(mode)) {
        fuse_reply_err(req, EPERM);
        return;
    }
    struct name_call *c = begin(req, parent, name, "mknod", &k);
    if (c)
        ask_made(c, &k, &(struct kv_request){.op = KV_PUT, .flags = KV_CREATE_ONLY}, mode);
}

void fs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct key k;
    struct name_call *c = begin(req, parent, name, "mkdir", &k);
    if (c)
        ask_made(c, &k, &(struct kv_request){.op = KV_MKDIR}, mode);
}

void fs_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct key k;
    if (strlen(target) > SYMLINK_BYTES_MAX) {
        fuse_reply_err(req, ENAMETOOLONG);
        return;
    }
    struct name_call *c = begin(req, parent, name, "symlink", &k);
    if (c)
        ask_made(c, &k, &(struct kv_request){.op = KV_SYMLINK, .data = bytes_str(target)}, 0777);
}

void fs_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name) { fuse_reply_err(req, EPERM); }

static void readlink_done(struct call *c, const struct client_effect *e)
{
    if (e->err || e->reply->attr.type != KV_LINK) {
        call_reply_err(c, e->err ? e->err : RGKV_INVALID, e->why);
        return;
    }
    char target[SYMLINK_BYTES_MAX + 1];
    size_t len = MIN(e->reply->data.len, SYMLINK_BYTES_MAX);
    memcpy(target, len ? (const char *)e->reply->data.data : "", len);
    target[len] = '\0';
    fuse_reply_readlink(c->req, target);
    call_end(c);
}

void fs_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct key k;
    struct call *c = ops_begin_node(req, ino, "readlink", sizeof *c, &k);
    if (!c)
        return;
    if (!inode_attached(c->node))
        call_reply_errno(c, ESTALE);
    else
        call_ask(c, &(struct kv_request){.op = KV_GET, .key = key_bytes_of(&k), .length = SYMLINK_BYTES_MAX}, readlink_done);
}
