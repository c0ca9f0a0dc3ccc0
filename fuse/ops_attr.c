#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fuse/attr.h"
#include "fuse/commit.h"
#include "fuse/control.h"
#include "fuse/handle.h"
#include "fuse/ops.h"
#include "fuse/siblings.h"

static int tid_of(const struct call *c) { return fuse_req_ctx(c->req)->pid; }

/* ---- getattr ---- */

/* The node's own file is gone from its path; who has it open still gets an answer. */
static void reply_detached(struct call *c)
{
    struct stat st;
    if (attr_detached(c->node, &st))
        call_reply_attr(c, &st);
    else
        call_reply_errno(c, ESTALE);
}

static void reply_absent(struct call *c)
{
    struct stat st;
    if (attr_seen_by(c->node, NULL, tid_of(c), &st))
        call_reply_attr(c, &st);
    else if (c->node->handles)
        reply_detached(c);
    else
        call_reply_errno(c, ENOENT);
}

static void getattr_done(struct call *c, const struct client_effect *e)
{
    struct inode *n = c->node;
    struct stat st;
    if (e->err == RGKV_NOT_FOUND || e->err == RGKV_NOT_DIR)
        reply_absent(c);
    else if (e->err)
        call_reply_err(c, e->err, e->why);
    else if (n->ino && n->ino != e->reply->attr.ino)
        reply_detached(c);
    else {
        attr_seen(n, &e->reply->attr);
        attr_seen_by(n, &e->reply->attr, tid_of(c), &st);
        call_reply_attr(c, &st);
    }
}

void ops_reply_getattr(struct call *c)
{
    struct key k;
    if (tree_key(c->node, &k))
        reply_detached(c);
    else
        call_ask(c, &(struct kv_request){.op = KV_STAT, .key = key_bytes_of(&k)}, getattr_done);
}

static void getattr_closed(struct call *c, enum rgkv_err err, const char *why)
{
    struct handle *h = handle_to_await(c->node, c);
    if (err == RGKV_CANCELLED)
        call_reply_err(c, err, why);
    else if (h)
        handle_await(h, c, getattr_closed);
    else
        ops_reply_getattr(c);
}

void fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    if (control_is(ino)) {
        control_getattr(req, ino);
        return;
    }
    if (ino == INODE_ROOT) { /* never waits for the cluster: else no control file is reachable when it is dead */
        fuse_reply_attr(req, &mount_of(req)->root, 0);
        return;
    }
    struct mount *m = mount_of(req);
    bool known = recent_take_found(&m->recent, fuse_req_ctx(req)->pid, ino, mount_now_us(m));
    struct key k;
    struct call *c = ops_begin_node(req, ino, "getattr", sizeof *c, &k);
    struct stat st;
    if (!c)
        return;
    struct handle *h = fi ? handle_of(fi) : NULL; /* lseek to the end, also of somebody whose parent or child writes through the same one */
    if (h && handle_staged(h) && !h->failed && !handle_written_by(h, tid_of(c)))
        handle_await(h, c, getattr_closed);
    else if (known && attr_whole(&c->node->last) && attr_seen_by(c->node, &c->node->last, tid_of(c), &st))
        call_reply_attr(c, &st);
    else
        getattr_closed(c, RGKV_OK, "");
}

/* ---- access ---- */

bool attr_permits(const struct kv_attr *a, const struct fuse_ctx *who, int mask)
{
    if (who->uid == 0)
        return !(mask & X_OK) || a->type == KV_DIR || (a->mode & 0111);
    unsigned shift = who->uid == a->uid ? 6 : who->gid == a->gid ? 3 : 0;
    return ((a->mode >> shift) & (unsigned)mask) == (unsigned)mask;
}

struct access_call {
    struct call call;
    int mask;
};

static void access_done(struct call *call, const struct client_effect *e)
{
    struct access_call *c = (struct access_call *)call;
    const struct fuse_ctx *who = fuse_req_ctx(call->req);
    if (e->err == RGKV_NOT_FOUND && handles_unsettled(call->node))
        call_reply_errno(call, 0);
    else if (e->err)
        call_reply_err(call, e->err, e->why);
    else
        call_reply_errno(call, attr_permits(&e->reply->attr, who, c->mask) ? 0 : EACCES);
}

void fs_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
    if (ino == INODE_ROOT || control_is(ino) || !mask) {
        fuse_reply_err(req, 0);
        return;
    }
    struct key k;
    struct access_call *c = ops_begin_node(req, ino, "access", sizeof *c, &k);
    if (!c)
        return;
    c->mask = mask;
    if (!inode_attached(c->call.node))
        call_reply_errno(&c->call, 0);
    else
        call_ask(&c->call, &(struct kv_request){.op = KV_STAT, .key = key_bytes_of(&k)}, access_done);
}

/* ---- statfs ---- */

#define STATFS_PATIENCE_US 1000000u /* then the last number that was heard is as good */

/* Never zeros: installers take them for a full disk. */
static void reply_space(struct call *c)
{
    const struct space *known = &c->m->space;
    const uint64_t unknown = (uint64_t)1 << 40;
    fsblkcnt_t total = (known->total ? known->total : unknown) / 4096, free_blocks = (known->total ? known->free : unknown) / 4096;
    struct statvfs st = {
        .f_bsize = 4096, .f_frsize = 4096, .f_blocks = MAX(total, 1), .f_bfree = free_blocks, .f_bavail = free_blocks,
        .f_files = 1u << 30, .f_ffree = 1u << 30, .f_favail = 1u << 30, .f_namemax = KEY_COMPONENT_BYTES_MAX,
    };
    fuse_reply_statfs(c->req, &st);
    call_end(c);
}

static unsigned copies_of(const struct mount *m)
{
    const struct ctrl_view *v = client_view(net_client_engine(m->client));
    unsigned members = 0, groups = 0;
    for (unsigned i = 0; v && i < v->n_groups; i++) {
        members += v->groups[i].in_config ? v->groups[i].n : 0;
        groups += v->groups[i].in_config;
    }
    return groups ? MAX(members / groups, 1) : 1;
}

static void space_done(struct call *c, const struct client_effect *e)
{
    if (!e->err && space_parse(e->text, copies_of(c->m), &c->m->space))
        c->m->space.heard_us = mount_now_us(c->m);
    reply_space(c);
}

void fs_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct mount *m = mount_of(req);
    struct call *c = call_begin(m, req, "statfs", sizeof *c);
    if (m->space.total && mount_now_us(m) - m->space.heard_us < SPACE_FRESH_US) {
        reply_space(c);
        return;
    }
    c->patience_us = STATFS_PATIENCE_US;
    call_ask_any(c, &(struct client_request){.kind = CLIENT_READ, .read = CTRL_READ_NODES}, space_done);
}

/* ---- lseek: only SEEK_DATA and SEEK_HOLE come here; a value has no holes ---- */

struct lseek_call {
    struct call call;
    off_t off;
    int whence;
};

static void lseek_reply(struct lseek_call *c, off_t size)
{
    if (c->off < 0 || c->off >= size) {
        call_reply_errno(&c->call, ENXIO);
        return;
    }
    fuse_reply_lseek(c->call.req, c->whence == SEEK_DATA ? c->off : size);
    call_end(&c->call);
}

static void lseek_done(struct call *call, const struct client_effect *e)
{
    if (e->err)
        call_reply_err(call, e->err, e->why);
    else
        lseek_reply((struct lseek_call *)call, (off_t)e->reply->attr.size);
}

static void lseek_settled(struct call *call, enum rgkv_err err, const char *why)
{
    struct key k;
    struct stat st;
    if (err)
        call_reply_err(call, err, why);
    else if (!tree_key(call->node, &k))
        call_ask(call, &(struct kv_request){.op = KV_STAT, .key = key_bytes_of(&k)}, lseek_done);
    else if (attr_detached(call->node, &st))
        lseek_reply((struct lseek_call *)call, st.st_size);
    else
        call_reply_errno(call, ESTALE);
}

void fs_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
    if (control_is(ino) || (whence != SEEK_DATA && whence != SEEK_HOLE)) {
        fuse_reply_err(req, EINVAL);
        return;
    }
    struct key k;
    struct lseek_call *c = ops_begin_node(req, ino, "lseek", sizeof *c, &k);
    if (!c)
        return;
    c->off = off;
    c->whence = whence;
    handle_commit(handle_of(fi), &c->call, lseek_settled);
}
