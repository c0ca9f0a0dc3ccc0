#include <linux/fs.h>
#include <stdlib.h>

#include "fuse/attr.h"
#include "fuse/commit.h"
#include "fuse/handle.h"
#include "fuse/leave.h"
#include "fuse/ops.h"
#include "fuse/later.h"
#include "fuse/orphan.h"
#include "fuse/siblings.h"

#define AGAIN_MIN_MS 5u /* after a conflict of two renames, doubled at most */

/* Names that go: unlink, rmdir, rename. What is open under a name that goes lives on in memory (orphan.h), and whatever is on its way
 * to that name arrives first, and nothing is sent there until the outcome is known: a late Put would bring the name back. */

struct remove_call {
    struct orphan_call orphan;     /* its call's node is the directory, node2 the file */
    struct inode *file;            /* a reference, or NULL: the kernel does not know it. Also node2, once it leaves */
    enum kv_op op;
    struct key key;
};

static void leave(struct call *c, struct inode *n)
{
    if (n)
        handles_leave(c->m, n);
}

static void stay(struct call *c, struct inode *n)
{
    if (n)
        handles_stay(c->m, n);
}

static void flown(struct inode *n, struct call *c, handle_then *then)
{
    if (n)
        handles_flown(n, c, then);
    else
        then(c, RGKV_OK, "");
}

/* ---- unlink, rmdir ---- */

static void remove_release(struct call *c)
{
    orphan_fetch_release((struct orphan_call *)c);
    stay(c, c->node2);
    inode_unref(&c->m->inodes, ((struct remove_call *)c)->file);
}

static struct mount *m_of(struct remove_call *c) { return c->orphan.call.m; }

/* A creation that never reached the store is removed here only. */
static bool never_sent(const struct inode *n)
{
    for (const struct handle *h = n ? n->handles : NULL; h; h = h->node_next)
        if (h->created)
            return true;
    return false;
}

static void removed(struct remove_call *c)
{
    struct inode *n = c->orphan.call.node2;
    if (n) {
        orphan_begin(&c->orphan);
        inode_detach(&m_of(c)->inodes, n);
    }
    call_reply_errno(&c->orphan.call, 0);
}

static void remove_done(struct call *call, const struct client_effect *e)
{
    struct remove_call *c = (struct remove_call *)call;
    if (!e->err || (e->err == RGKV_NOT_FOUND && never_sent(call->node2)))
        removed(c);
    else
        call_reply_err(call, e->err, e->why);
}

static void remove_send(struct call *call)
{
    struct remove_call *c = (struct remove_call *)call;
    call_ask(call, &(struct kv_request){.op = c->op, .key = key_bytes_of(&c->key)}, remove_done);
}

static void remove_flown(struct call *call, enum rgkv_err err, const char *why)
{
    struct remove_call *c = (struct remove_call *)call;
    if (err == RGKV_CANCELLED)
        call_reply_err(call, err, why);
    else
        orphan_fetch(&c->orphan, call->node2, remove_send);
}

/* What went ahead in pieces is committed first: the orphan is made of what the store has. */
static void remove_begin(struct call *call, enum rgkv_err err, const char *why)
{
    struct remove_call *c = (struct remove_call *)call;
    struct inode *n = c->file;
    if (err == RGKV_CANCELLED)
        call_reply_err(call, err, why);
    else if (n && handles_spilled(n))
        handles_unspill(n, call, remove_begin);
    else if (n && c->op == KV_RMDIR && handle_created_below(call->m, n))
        handle_await(handle_created_below(call->m, n), call, remove_begin); /* then the directory is not empty */
    else {
        if (n)
            call_node2(call, n);
        leave(call, n);
        flown(n, call, remove_flown);
    }
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, const char *op, enum kv_op kv)
{
    struct key k;
    struct remove_call *c = ops_begin_name(req, parent, name, op, sizeof *c, &k);
    if (!c)
        return;
    struct call *call = &c->orphan.call;
    call->release = remove_release;
    c->op = kv;
    c->key = k;
    struct inode *n = inode_child(&call->m->inodes, call->node, name);
    c->file = n ? inode_ref(n) : NULL;
    remove_begin(call, RGKV_OK, "");
}

void fs_unlink(fuse_req_t req, fuse_ino_t parent, const char *name) { remove_name(req, parent, name, "unlink", KV_DELETE); }
void fs_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name) { remove_name(req, parent, name, "rmdir", KV_RMDIR); }

/* ---- rename ---- */

struct rename_call {
    struct orphan_call orphan;     /* its call's node is the source, if the kernel knows it */
    bool crosses;                  /* source and target are in different shards */
    struct inode *dir, *newdir;    /* references */
    struct inode *source, *target; /* references, or NULL: the kernel does not know it */
    bool left;                     /* source and target were told that they leave */
    char name[KEY_COMPONENT_BYTES_MAX + 1], newname[KEY_COMPONENT_BYTES_MAX + 1];
    unsigned flags;
};

static void rename_release(struct call *call)
{
    struct rename_call *c = (struct rename_call *)call;
    struct inodes *t = &call->m->inodes;
    orphan_fetch_release(&c->orphan);
    if (c->left) {
        stay(call, c->source);
        stay(call, c->target);
    }
    inode_unref(t, c->dir);
    inode_unref(t, c->newdir);
    inode_unref(t, c->source);
    inode_unref(t, c->target);
}

static void swap_names(struct rename_call *c, struct inodes *t, struct inode *source)
{
    struct inode *target = c->target;
    inode_detach(t, target);
    inode_move(t, source, c->newdir, c->newname);
    inode_move(t, target, c->dir, c->name);
}

/* The node of what was renamed: the source, also if a lookup beside the rename has found another file under the old name by now; unless the
 * answer says that it was that one. */
static struct inode *renamed(const struct rename_call *c, struct inode *there, const struct kv_attr *a)
{
    bool other = there && a && a->ino && there->ino == a->ino;
    return other || !c->source ? there : c->source;
}

static void moved(struct rename_call *c, const struct kv_attr *a)
{
    struct inodes *t = &c->orphan.call.m->inodes;
    struct inode *there = inode_child(t, c->dir, c->name), *source;
    if (c->flags & RENAME_EXCHANGE) {
        if (there && c->target && c->target->parent)
            swap_names(c, t, there);
        return;
    }
    source = renamed(c, there, a);
    if (c->target) {
        orphan_begin(&c->orphan);
        inode_detach(t, c->target);
    }
    if (source)
        inode_move(t, source, c->newdir, c->newname);
}

static void rename_send(struct call *call);

/* Under another shard's name the versions are others: who reads the file goes on with the newest. */
static void forget_pins(struct inode *n)
{
    for (struct handle *h = n ? n->handles : NULL; h; h = h->node_next)
        pin_drop(&h->pin);
}

static void again(struct call *c)
{
    c->cancel = NULL;
    rename_send(c);
}

static void again_cancelled(struct call *c)
{
    later_forget(c->waits);
    call_reply_err(c, RGKV_CANCELLED, "interrupted; nothing was applied");
}

static void rename_done(struct call *call, const struct client_effect *e)
{
    struct rename_call *c = (struct rename_call *)call;
    if (e->err == RGKV_CONFLICT && c->crosses && call_has_time(call)) {
        call->cancel = again_cancelled; /* its target is being renamed itself: one of the two must wait */
        call->waits = later(call, AGAIN_MIN_MS + (unsigned)random() % AGAIN_MIN_MS, again);
        return;
    }
    if (!e->err && c->crosses)
        forget_pins(c->source);
    if (!e->err)
        moved(c, e->reply && e->reply->has_attr ? &e->reply->attr : NULL);
    call_reply_err(call, e->err, e->why);
}

static void rename_send(struct call *call)
{
    struct rename_call *c = (struct rename_call *)call;
    struct key from, to;
    if (tree_child_key(c->dir, c->name, &from) || tree_child_key(c->newdir, c->newname, &to)) {
        call_reply_errno(call, ENOENT);
        return;
    }
    struct kv_request q = {.op = c->flags & RENAME_EXCHANGE ? KV_EXCHANGE : KV_RENAME, .key = key_bytes_of(&from), .key2 = key_bytes_of(&to)};
    if (c->flags & RENAME_NOREPLACE)
        q.flags |= KV_CREATE_ONLY;
    call_ask(call, &q, rename_done);
}

static void rename_flown(struct call *call, enum rgkv_err err, const char *why)
{
    struct rename_call *c = (struct rename_call *)call;
    bool replaces = c->target && !(c->flags & (RENAME_EXCHANGE | RENAME_NOREPLACE));
    if (err == RGKV_CANCELLED)
        call_reply_err(call, err, why);
    else
        orphan_fetch(&c->orphan, replaces ? c->target : NULL, rename_send);
}

static void source_flown(struct call *call, enum rgkv_err err, const char *why)
{
    if (err == RGKV_CANCELLED)
        call_reply_err(call, err, why);
    else
        flown(((struct rename_call *)call)->target, call, rename_flown);
}

static void source_settled(struct call *call, enum rgkv_err err, const char *why)
{
    struct rename_call *c = (struct rename_call *)call;
    if (err) {
        call_reply_err(call, err, why); /* the source could not be brought to the store */
        return;
    }
    if (c->crosses && c->source && handles_spilled(c->source)) {
        handles_unspill(c->source, call, source_settled);
        return;
    }
    if (c->target && handles_spilled(c->target)) {
        handles_unspill(c->target, call, source_settled);
        return;
    }
    leave(call, c->source);
    leave(call, c->target);
    c->left = true;
    flown(c->source, call, source_flown);
}

static bool crosses(const struct mount *m, const struct key *from, const struct key *to)
{
    return kv_key_shard(key_bytes_of(from), m->nshards) != kv_key_shard(key_bytes_of(to), m->nshards);
}

static enum rgkv_err rename_check(const struct mount *m, const struct key *from, const struct key *to, unsigned flags)
{
    if (flags & ~(unsigned)(RENAME_EXCHANGE | RENAME_NOREPLACE))
        return RGKV_INVALID;
    return flags & RENAME_EXCHANGE && crosses(m, from, to) ? RGKV_INVALID : RGKV_OK;
}

static void rename_begin(fuse_req_t req, struct inode *dir, const char *name, struct inode *newdir, const char *newname, unsigned flags, bool across)
{
    struct inodes *t = &mount_of(req)->inodes;
    struct rename_call *c = call_begin(mount_of(req), req, "rename", sizeof *c);
    struct call *call = &c->orphan.call;
    call->release = rename_release;
    c->dir = inode_ref(dir);
    c->newdir = inode_ref(newdir);
    c->flags = flags;
    c->crosses = across;
    memcpy(c->name, name, strlen(name) + 1);
    memcpy(c->newname, newname, strlen(newname) + 1);
    struct inode *source = inode_child(t, dir, name), *target = inode_child(t, newdir, newname);
    if (target && target != source)
        c->target = inode_ref(target);
    if (source) {
        c->source = inode_ref(source);
        call_node(call, source);
        handles_settle(source, call, source_settled);
    } else
        source_settled(call, RGKV_OK, "");
}

void fs_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent, const char *newname, unsigned flags)
{
    struct key from, to;
    struct inode *dir = inode_find(&mount_of(req)->inodes, parent), *newdir = inode_find(&mount_of(req)->inodes, newparent);
    if (!dir || !newdir || tree_is_ctrl(dir, name) || tree_is_ctrl(newdir, newname)) {
        fuse_reply_err(req, EPERM); /* the control tree is not the store's */
        return;
    }
    enum rgkv_err err = tree_child_key(dir, name, &from);
    if (!err)
        err = tree_child_key(newdir, newname, &to);
    if (!err)
        err = rename_check(mount_of(req), &from, &to, flags);
    if (err)
        fuse_reply_err(req, rgkv_err_errno(err));
    else
        rename_begin(req, dir, name, newdir, newname, flags, crosses(mount_of(req), &from, &to));
}
