/* Extended attributes: user.* are the store's (kv/xattr.c); user.rgkv.* are what the cluster knows of a file, only to be read and never
 * listed, so that copying programs do not try to set them. security.* and system.* are asked before every write and by every ls:
 * answered here, without the cluster. */
#include <stdlib.h>
#include <sys/xattr.h>

#include "fuse/control.h"
#include "fuse/handle.h"
#include "fuse/ops.h"
#include "fuse/siblings.h"

#define OWN "user.rgkv."

struct xattr_call {
    struct call call;
    enum kv_op op;
    char name[KEY_COMPONENT_BYTES_MAX + 1];
    size_t size;                   /* get, list: the caller's buffer; 0: it wants to know the size */
    struct buf value;              /* set */
    uint32_t flags;
};

static bool starts(const char *name, const char *with) { return !strncmp(name, with, strlen(with)); }

static void xattr_release(struct call *c) { buf_release(&((struct xattr_call *)c)->value); }

static void reply_value(struct xattr_call *c, struct bytes value)
{
    if (!c->size)
        fuse_reply_xattr(c->call.req, value.len);
    else if (c->size < value.len)
        fuse_reply_err(c->call.req, ERANGE);
    else
        fuse_reply_buf(c->call.req, (const char *)value.data, value.len);
    call_end(&c->call);
}

static void reply_number(struct xattr_call *c, uint64_t number)
{
    struct buf text = {0};
    buf_printf(&text, "%llu", (unsigned long long)number);
    reply_value(c, buf_bytes(&text));
    buf_release(&text);
}

/* ---- what the cluster knows ---- */

static uint64_t group_of_shard(const struct mount *m, uint32_t shard)
{
    const struct ctrl_view *v = client_view(net_client_engine(m->client));
    return v && shard < v->nshards ? v->shards[shard].holder : 0;
}

static void own_done(struct call *call, const struct client_effect *e)
{
    if (e->err)
        call_reply_err(call, e->err, e->why);
    else
        reply_number((struct xattr_call *)call, e->reply->attr.version);
}

static void get_own(struct xattr_call *c, const struct key *k)
{
    const char *what = c->name + strlen(OWN);
    uint32_t shard = kv_key_shard(key_bytes_of(k), c->call.m->nshards);
    if (!strcmp(what, "shard"))
        reply_number(c, shard);
    else if (!strcmp(what, "group"))
        reply_number(c, group_of_shard(c->call.m, shard));
    else if (!strcmp(what, "version"))
        call_ask(&c->call, &(struct kv_request){.op = KV_STAT, .key = key_bytes_of(k)}, own_done);
    else
        call_reply_errno(&c->call, ENODATA);
}

/* ---- what users set ---- */

static void asked(struct call *call, const struct client_effect *e)
{
    struct xattr_call *c = (struct xattr_call *)call;
    if (e->err || !kv_op_reads(c->op))
        call_reply_err(call, e->err == RGKV_NOT_FOUND && handles_ino(call->node) ? RGKV_STALE : e->err, e->why);
    else
        reply_value(c, e->reply->data);
}

static void ask(struct xattr_call *c, const struct key *k)
{
    uint64_t ino = handles_ino(c->call.node);
    call_ask(&c->call,
             &(struct kv_request){.op = c->op, .flags = c->flags | (ino ? KV_IF_INO : 0), .ino = ino, .key = key_bytes_of(k),
                                  .key2 = bytes_str(c->name), .data = buf_bytes(&c->value)},
             asked);
}

/* A file that is still staged here becomes real first. */
static void settled(struct call *call, enum rgkv_err err, const char *why)
{
    struct xattr_call *c = (struct xattr_call *)call;
    struct key k;
    bool matters = err == RGKV_CANCELLED || !call->node->ino; /* else it is the writer's own trouble */
    if (err && matters)
        call_reply_err(call, err, why);
    else if (tree_key(call->node, &k))
        call_reply_errno(call, kv_op_reads(c->op) ? ENODATA : ESTALE);
    else if (starts(c->name, OWN))
        get_own(c, &k);
    else
        ask(c, &k);
}

/* NULL: it was answered. */
static struct xattr_call *begin(fuse_req_t req, fuse_ino_t ino, const char *op, enum kv_op kv, const char *name)
{
    struct key k;
    if (strlen(name) > KEY_COMPONENT_BYTES_MAX) {
        fuse_reply_err(req, ERANGE);
        return NULL;
    }
    struct xattr_call *c = ops_begin_node(req, ino, op, sizeof *c, &k);
    if (!c)
        return NULL;
    c->call.release = xattr_release;
    c->op = kv;
    memcpy(c->name, name, strlen(name) + 1);
    return c;
}

static bool no_store(fuse_ino_t ino) { return ino == INODE_ROOT || control_is(ino); }

void fs_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    if (no_store(ino) || !starts(name, "user.")) {
        fuse_reply_err(req, ENODATA);
        return;
    }
    struct xattr_call *c = begin(req, ino, "getxattr", KV_XATTR_GET, name);
    if (!c)
        return;
    c->size = size;
    handles_settle(c->call.node, &c->call, settled);
}

void fs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    if (no_store(ino)) {
        if (size)
            fuse_reply_buf(req, NULL, 0);
        else
            fuse_reply_xattr(req, 0);
        return;
    }
    struct xattr_call *c = begin(req, ino, "listxattr", KV_XATTR_LIST, "");
    if (!c)
        return;
    c->size = size;
    handles_settle(c->call.node, &c->call, settled);
}

/* 0: a user may change it. */
static int may_change(fuse_ino_t ino, const char *name)
{
    if (no_store(ino) || !starts(name, "user."))
        return EOPNOTSUPP;
    return starts(name, OWN) ? EPERM : 0;
}

void fs_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
    int no = may_change(ino, name);
    if (no) {
        fuse_reply_err(req, no);
        return;
    }
    struct xattr_call *c = begin(req, ino, "setxattr", KV_XATTR_SET, name);
    if (!c)
        return;
    buf_put(&c->value, bytes_of(value, size));
    c->flags = (flags & XATTR_CREATE ? KV_CREATE_ONLY : 0) | (flags & XATTR_REPLACE ? KV_MUST_EXIST : 0);
    handles_settle(c->call.node, &c->call, settled);
}

void fs_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    int no = may_change(ino, name);
    if (no) {
        fuse_reply_err(req, no == EOPNOTSUPP ? ENODATA : no);
        return;
    }
    struct xattr_call *c = begin(req, ino, "removexattr", KV_XATTR_REMOVE, name);
    if (c)
        handles_settle(c->call.node, &c->call, settled);
}
