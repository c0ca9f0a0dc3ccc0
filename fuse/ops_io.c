#include <fcntl.h>

#include "fuse/ahead.h"
#include "fuse/attr.h"
#include "fuse/commit.h"
#include "fuse/control.h"
#include "fuse/handle.h"
#include "fuse/leave.h"
#include "fuse/ops.h"
#include "fuse/orphan.h"
#include "fuse/park.h"
#include "fuse/siblings.h"

struct io_call {
    struct call call;              /* node: the file */
    struct handle *h;
    uint64_t offset;
    uint32_t size;                 /* read */
    struct pin_plan plan;          /* read */
    struct key key;                /* read: which was asked */
    uint64_t changes;              /* read: of the node, when it was asked */
    bool by_name;                  /* read: the version is asked for under the name that the file has by now */
    struct buf data;               /* write: kept if it has to wait */
    bool of_map;                   /* the kernel's pages of a map, whatever the file was opened with */
    bool at_end;                   /* write: O_APPEND as it is by now, for fcntl(2) sets and clears it */
};

static void io_release(struct call *call)
{
    struct io_call *c = (struct io_call *)call;
    buf_release(&c->data);
    handle_let_go(c->h);
}

static struct io_call *io_begin(fuse_req_t req, const char *op, struct fuse_file_info *fi, off_t off)
{
    struct handle *h = handle_of(fi);
    struct io_call *c = call_begin(h->m, req, op, sizeof *c);
    c->h = handle_hold(h);
    c->call.release = io_release;
    c->offset = (uint64_t)off;
    call_node(&c->call, h->node);
    return c;
}

/* ---- read ---- */

static void read_ask(struct io_call *c);

static void read_reply(struct io_call *c, struct bytes data)
{
    pin_gave(&c->h->pin, c->offset, data);
    c->call.m->stats.read_bytes += data.len;
    call_reply_data(&c->call, data);
}

/* Is it the file of another name by now? */
static bool was_renamed(const struct io_call *c)
{
    struct key k;
    return tree_key(c->h->node, &k) == RGKV_OK && !bytes_eq(key_bytes_of(&k), buf_bytes(&c->h->pinned_as));
}

static void read_direct(struct io_call *c);

/* The version that is read is gone, after 60 s or with the file. If nothing of it was given out, a newer one is as good. */
static void read_lost(struct io_call *c, const struct client_effect *e)
{
    bool gone = e->err == RGKV_STALE || e->err == RGKV_VERSION || e->err == RGKV_NOT_FOUND;
    if (c->plan.ask == PIN_GROWN && e->err == RGKV_NOT_FOUND)
        read_reply(c, BYTES_EMPTY);
    else if (c->plan.ask == PIN_SAME && gone && !c->by_name && was_renamed(c)) {
        c->by_name = true;
        read_direct(c);
    } else if (c->plan.ask == PIN_SAME && !c->h->pin.served && gone && e->err != RGKV_NOT_FOUND) {
        pin_drop(&c->h->pin);
        read_ask(c);
    } else
        call_reply_err(&c->call, e->err == RGKV_NOT_FOUND ? RGKV_STALE : e->err, e->why);
}

static struct bytes first_of(struct bytes data, uint32_t size) { return bytes_first(data, MIN(data.len, size)); }

static void read_grown(struct io_call *c, const struct kv_reply *r)
{
    struct pin *p = &c->h->pin;
    struct bytes more = pin_grown(p, &r->attr, c->offset, r->data);
    if (p->version == r->attr.version)
        handle_pinned(c->h, &c->key, c->changes);
    read_reply(c, first_of(more, c->size));
}

static void read_done(struct call *call, const struct client_effect *e)
{
    struct io_call *c = (struct io_call *)call;
    struct pin *p = &c->h->pin;
    if (e->err) {
        read_lost(c, e);
        return;
    }
    const struct kv_reply *r = e->reply;
    switch (c->plan.ask) {
    case PIN_NEWEST:
        pin_take(p, &r->attr, c->plan.offset, r->data, 0);
        handle_pinned(c->h, &c->key, c->changes);
        if (r->attr.ino == c->h->node->ino)
            attr_seen(c->h->node, &r->attr);
        read_reply(c, first_of(bytes_from(r->data, MIN(r->data.len, c->offset - c->plan.offset)), c->size));
        return;
    case PIN_GROWN:
        read_grown(c, r);
        return;
    case PIN_SAME:
        if (c->by_name)
            handle_pinned(c->h, &c->key, c->h->pinned_at);
        break;
    case PIN_SERVE:
        break;
    }
    read_reply(c, first_of(r->data, c->size));
}

static void ahead_came(struct call *call, enum rgkv_err err, struct bytes data)
{
    struct io_call *c = (struct io_call *)call;
    if (err == RGKV_CANCELLED)
        call_reply_err(call, err, rgkv_err_sentence(err));
    else if (err)
        read_direct(c);
    else
        read_reply(c, data);
}

static void read_ask(struct io_call *c)
{
    struct pin *p = &c->h->pin;
    handle_repin(c->h, c->offset, c->of_map);
    bool row = ahead_serves(c->h, c->offset, c->size);
    c->plan = pin_read(p, c->offset, c->size, mount_now_us(c->call.m));
    if (c->plan.ask == PIN_SERVE) {
        read_reply(c, pin_cached(p, c->offset, c->size));
        return;
    }
    if (c->plan.ask == PIN_SAME && row)
        ahead_read(c->h, &c->call, c->plan.offset, (uint32_t)c->plan.length, ahead_came);
    else
        read_direct(c);
}

static void read_direct(struct io_call *c)
{
    struct pin *p = &c->h->pin;
    bool detached = tree_key(c->h->node, &c->key) != RGKV_OK; /* its name is another's: it reads its version to the end */
    if (detached && !p->set) {
        call_reply_err(&c->call, RGKV_STALE, NULL);
        return;
    }
    if (detached && c->offset >= p->size) {
        read_reply(c, BYTES_EMPTY);
        return;
    }
    if (detached)
        c->plan = (struct pin_plan){PIN_SAME, c->offset, MIN(c->size, p->size - c->offset)};
    c->changes = c->h->node->changes;
    struct kv_request q = {.op = KV_GET, .key = key_bytes_of(&c->key), .offset = c->plan.offset, .length = c->plan.length};
    if (c->plan.ask == PIN_SAME) {
        if (!c->by_name)
            q.key = buf_bytes(&c->h->pinned_as);
        q.flags = KV_IF_VERSION | KV_IF_INO;
        q.version = p->version;
        q.ino = p->ino;
    }
    call_ask(&c->call, &q, read_done);
}

/* The file lost its name when it held something newer than what is read here. */
static bool in_older_version(const struct io_call *c)
{
    const struct pin *p = &c->h->pin;
    return c->offset && p->set && p->served && !p->roams && p->version != orphan_version(c->h->node);
}

static void read_orphan(struct io_call *c)
{
    handle_repin(c->h, c->offset, c->of_map);
    if (in_older_version(c)) {
        read_ask(c);
        return;
    }
    pin_drop(&c->h->pin);
    read_reply(c, orphan_read(c->h->node, c->offset, c->size));
}

/* A handle reads its own writes: they become real first. */
static void read_settled(struct call *call, enum rgkv_err err, const char *why)
{
    struct io_call *c = (struct io_call *)call;
    if (err)
        call_reply_err(call, err, why);
    else if (c->h->node->orphan)
        read_orphan(c);
    else
        read_ask(c);
}

/* What others share with it becomes real first, then what is its own. */
static void read_begin(struct call *call, enum rgkv_err err, const char *why)
{
    struct io_call *c = (struct io_call *)call;
    struct handle *other = handle_shared(c->h, call);
    if (err == RGKV_CANCELLED)
        call_reply_err(call, err, why);
    else if (other)
        handle_await(other, call, read_begin);
    else
        handle_commit(c->h, call, read_settled);
}

void fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    if (control_is(ino)) {
        control_read(req, size, off, fi);
        return;
    }
    struct io_call *c = io_begin(req, "read", fi, off);
    c->size = (uint32_t)MIN(size, DATA_BYTES_MAX);
    c->of_map = !fi->lock_owner; /* the kernel names an owner for each read(2), and none for a page */
    c->call.m->stats.reads++;
    read_begin(&c->call, RGKV_OK, "");
}

/* ---- write ---- */

static bool appends(const struct io_call *c) { return c->at_end && !c->of_map; }

static struct bytes data_of(const struct io_call *c) { return buf_bytes(&c->data); }

static void write_reply(struct io_call *c)
{
    c->call.m->stats.write_bytes += c->data.len;
    call_reply_write(&c->call, c->data.len);
}

static void write_committed(struct call *call, enum rgkv_err err, const char *why)
{
    if (err) {
        handle_take_back(((struct io_call *)call)->h, call);
        call_reply_err(call, err, why);
    } else
        write_reply((struct io_call *)call);
}

static void append_answer(struct io_call *c, const struct client_effect *e)
{
    struct call *call = &c->call;
    if (e->err) {
        bool removed = e->err == RGKV_NOT_FOUND && c->h->known;
        c->h->failed = e->err; /* a staged creation must not be sent by the close then */
        c->h->reported = true;
        call_reply_err(call, removed ? RGKV_STALE : e->err, removed ? "the file was removed elsewhere" : e->why);
        return;
    }
    handle_appended(c->h);
    if (e->reply->has_attr)
        c->h->ino = e->reply->attr.ino;
    attr_changed(c->h->node, e->reply->has_attr ? &e->reply->attr : NULL);
    write_reply(c);
}

static void write_append_done(struct call *call, const struct client_effect *e)
{
    struct io_call *c = (struct io_call *)call;
    struct mount *m = call->m;
    call->appends = false;
    append_answer(c, e);
    park_look(m); /* a removal may wait for it */
}

static void write_orphan(struct io_call *c);

static bool stays(const struct mount *m, const struct inode *n) { return !handles_leaving(n); }

/* One write, one Append: exactly once, never staged, the offset is the store's. Beside a removal or a rename it waits, and goes to the
 * orphan or to the new name. */
static void write_append(struct call *call, enum rgkv_err err, const char *why)
{
    struct io_call *c = (struct io_call *)call;
    struct key k;
    if (!err && handles_leaving(c->h->node)) {
        park(call, c->h->node, stays, write_append);
        return;
    }
    if (!err && c->h->node->orphan) {
        write_orphan(c);
        return;
    }
    if (!err)
        err = tree_key(c->h->node, &k);
    if (err) {
        call_reply_err(call, err, why);
        return;
    }
    struct kv_request q = {.op = KV_APPEND, .key = key_bytes_of(&k), .data = data_of(c), .mode = c->h->mode, .uid = c->h->uid, .gid = c->h->gid};
    q.flags = (c->h->known ? KV_MUST_EXIST : 0) | (fuse_req_ctx(call->req)->uid ? KV_CLEAR_SUID : 0);
    call->appends = true;
    call_ask(call, &q, write_append_done);
}

static void write_stage(struct call *call, enum rgkv_err err, const char *why);

/* Pages of a map come through whichever file the kernel likes: who syncs the map, or reads the file, may have another one. */
static bool commits_at_once(const struct io_call *c, uint64_t offset)
{
    return c->call.m->options->commit_write || appends(c) || c->of_map || handle_contends(c->h) || stage_commits(offset, c->data.len);
}

static void write_staged(struct io_call *c, uint64_t offset)
{
    struct handle *h = c->h;
    bool commits = commits_at_once(c, offset);
    h->stage_marked = commits; /* only a write that is answered by the outcome can be taken back */
    handle_touch(h, fuse_req_ctx(c->call.req));
    if (commits)
        handle_commit(h, &c->call, write_committed);
    else
        write_reply(c);
}

/* O_APPEND behind a truncation that is staged: both are one Put. */
static uint64_t stage_offset(const struct io_call *c)
{
    return appends(c) ? handle_size(c->h, 0) : c->offset;
}

static void write_stage(struct call *call, enum rgkv_err err, const char *why)
{
    struct io_call *c = (struct io_call *)call;
    struct handle *h = c->h;
    if (err) {
        call_reply_err(call, err, why);
        return;
    }
    handle_begin_value(h);
    uint64_t offset = stage_offset(c);
    handle_mark(h, call);
    err = stage_write(&h->stage, offset, data_of(c));
    if (err == RGKV_BUSY && (h->stage.whole || h->stage.spilled))
        handle_spill(h, call, write_stage);
    else if (err == RGKV_BUSY)
        handle_commit(h, call, write_stage); /* the Patch is full: it goes first */
    else if (err) {
        h->failed = stage_empty(&h->stage) ? RGKV_OK : err; /* a value that is not whole must not be published by the close */
        h->reported = true;
        call_reply_err(call, err, "a value holds at most 4 GiB");
    } else
        write_staged(c, offset);
}

static void write_orphan(struct io_call *c)
{
    enum rgkv_err err = orphan_write(c->h->node, c->offset, data_of(c), appends(c));
    if (err)
        call_reply_err(&c->call, err, "an unlinked file is kept in memory and is bounded");
    else
        write_reply(c);
}

static void write_begin(struct io_call *c)
{
    struct handle *h = c->h;
    enum rgkv_err err = handle_take_failure(h);
    if (err)
        call_reply_errno(&c->call, rgkv_err_errno(err)); /* of a commit that ran when nobody waited: recorded then */
    else if (h->node->orphan)
        write_orphan(c);
    else if (!appends(c) || ((h->stage.whole || h->stage.spilled) && !h->stage.fresh))
        write_stage(&c->call, RGKV_OK, "");
    else if (handle_staged(h) && !handle_only_creates(h))
        handle_commit(h, &c->call, write_append);
    else
        write_append(&c->call, RGKV_OK, "");
}

void fs_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
    if (control_is(ino)) {
        control_write(req, ino, bytes_of(buf, size), fi);
        return;
    }
    struct io_call *c = io_begin(req, "write", fi, off);
    buf_put(&c->data, bytes_of(buf, size));
    c->of_map = fi->writepage;
    c->at_end = fi->flags & O_APPEND;
    c->call.m->stats.writes++;
    write_begin(c);
}
