#include "fuse/orphan.h"

#include "fuse/handle.h"

struct orphan {
    struct mount *m;
    struct buf content;
    uint64_t version;
};

static enum rgkv_err fits(const struct orphan *o, uint64_t bytes)
{
    if (bytes > ORPHAN_BYTES_MAX)
        return RGKV_TOO_LARGE;
    return o->m->orphan_bytes - o->content.len + bytes > ORPHANS_BYTES_MAX ? RGKV_NO_SPACE : RGKV_OK;
}

static void set_size(struct orphan *o, uint64_t bytes)
{
    size_t before = o->content.len;
    if (bytes > before)
        memset(buf_grow(&o->content, bytes - before), 0, bytes - before);
    o->content.len = bytes;
    o->m->orphan_bytes += bytes - before;
}

static void release(struct orphan *o)
{
    o->m->orphan_bytes -= o->content.len;
    buf_release(&o->content);
    mem_free(o);
}

static void next_piece(struct orphan_call *c);

static void give_up(struct orphan_call *c)
{
    orphan_fetch_release(c);
    c->fetch.then(&c->call);
}

static void piece_done(struct call *call, const struct client_effect *e)
{
    struct orphan_call *c = (struct orphan_call *)call;
    struct orphan *o = c->fetch.orphan;
    if (e->err == RGKV_CANCELLED) {
        call_reply_err(call, e->err, e->why); /* the name does not go */
        return;
    }
    if (e->err || !e->reply || !e->reply->has_attr || fits(o, e->reply->attr.size)) {
        give_up(c);
        return;
    }
    c->fetch.version = e->reply->attr.version;
    c->fetch.size = e->reply->attr.size;
    buf_put(&o->content, e->reply->data);
    o->m->orphan_bytes += e->reply->data.len;
    if (o->content.len < c->fetch.size && e->reply->data.len)
        next_piece(c);
    else
        c->fetch.then(call);
}

static void next_piece(struct orphan_call *c)
{
    struct key k;
    if (tree_key(c->fetch.node, &k)) {
        give_up(c);
        return;
    }
    struct kv_request q = {.op = KV_GET, .key = key_bytes_of(&k), .offset = c->fetch.orphan->content.len, .length = DATA_BYTES_MAX};
    if (q.offset) {
        q.flags = KV_IF_VERSION | KV_IF_INO;
        q.version = c->fetch.version;
        q.ino = c->fetch.node->ino;
    }
    call_ask(&c->call, &q, piece_done);
}

void orphan_fetch(struct orphan_call *c, struct inode *n, orphan_then *then)
{
    c->fetch.then = then;
    c->fetch.node = n;
    if (!n || !n->handles || n->type != KV_FILE) {
        then(&c->call);
        return;
    }
    c->fetch.orphan = mem_zalloc(sizeof *c->fetch.orphan);
    c->fetch.orphan->m = c->call.m;
    if (n->ino)
        next_piece(c);
    else
        then(&c->call); /* it never reached the store: all there is is staged */
}

void orphan_begin(struct orphan_call *c)
{
    struct inode *n = c->fetch.node;
    if (!c->fetch.orphan || n->orphan || !n->handles) /* the last one may have been closed meanwhile */
        return;
    n->orphan = c->fetch.orphan;
    n->orphan->version = c->fetch.version;
    c->fetch.orphan = NULL;
    for (struct handle *h = n->handles; h; h = h->node_next)
        if (!h->commit && !stage_empty(&h->stage)) {
            h->failed = h->spill ? RGKV_TOO_LARGE : orphan_apply(n, &h->stage);
            handle_cleared(h);
            h->reported = false;
            stage_release(&h->stage);
            h->created = false;
        }
    if (!n->last.type)
        n->last = (struct kv_attr){.type = KV_FILE, .mode = n->handles->mode, .uid = n->handles->uid, .gid = n->handles->gid};
}

void orphan_fetch_release(struct orphan_call *c)
{
    if (c->fetch.orphan)
        release(c->fetch.orphan);
    c->fetch.orphan = NULL;
}

enum rgkv_err orphan_apply(struct inode *n, const struct stage *s)
{
    struct orphan *o = n->orphan;
    size_t before = o->content.len;
    enum rgkv_err err = fits(o, stage_size(s, before));
    if (err)
        return err;
    stage_apply(s, &o->content);
    o->m->orphan_bytes += o->content.len - before;
    return RGKV_OK;
}

enum rgkv_err orphan_resize(struct inode *n, uint64_t length)
{
    enum rgkv_err err = fits(n->orphan, length);
    if (!err)
        set_size(n->orphan, length);
    return err;
}

enum rgkv_err orphan_write(struct inode *n, uint64_t offset, struct bytes data, bool append)
{
    struct orphan *o = n->orphan;
    if (append)
        offset = o->content.len;
    if (offset > ORPHAN_BYTES_MAX)
        return RGKV_TOO_LARGE;
    enum rgkv_err err = orphan_resize(n, MAX(o->content.len, offset + data.len));
    if (!err && data.len)
        memcpy(o->content.data + offset, data.data, data.len);
    return err;
}

struct bytes orphan_read(const struct inode *n, uint64_t offset, size_t size)
{
    struct bytes content = buf_bytes(&n->orphan->content);
    if (offset >= content.len)
        return BYTES_EMPTY;
    return bytes_first(bytes_from(content, offset), MIN(size, content.len - offset));
}

uint64_t orphan_version(const struct inode *n) { return n->orphan->version; }
uint64_t orphan_size(const struct inode *n) { return n->orphan->content.len; }

void orphan_free(struct inode *n)
{
    if (!n->orphan)
        return;
    release(n->orphan);
    n->orphan = NULL;
}
