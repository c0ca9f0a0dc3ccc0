#include "fuse/call.h"

#include <utlist.h>

#include "fuse/interrupt.h"

static void interrupted_callback(fuse_req_t req, void *arg)
{
    struct call *c = arg;
    c->interrupted = true;
    interrupt_watch(c->m->interrupts); /* only noted: an answer from here would deadlock in libfuse */
}

void *call_begin(struct mount *m, fuse_req_t req, const char *op, size_t bytes)
{
    ASSERT(bytes >= sizeof(struct call));
    struct call *c = mem_zalloc(bytes);
    c->m = m;
    c->req = req;
    c->op = op;
    c->id = ++m->last_call;
    c->started_us = c->since_us = mount_now_us(m);
    DL_APPEND(m->calls, c);
    m->stats.requests++;
    if (req)
        recent_forget(&m->recent, fuse_req_ctx(req)->pid);
    if (req)
        fuse_req_interrupt_func(req, interrupted_callback, c);
    return c;
}

void call_path(struct call *c, struct bytes key)
{
    mem_free(c->path);
    c->path = mem_alloc(key.len + 2);
    c->path[0] = '/';
    memcpy(c->path + 1, key.data ? (const char *)key.data : "", key.len);
    c->path[key.len + 1] = '\0';
}

void call_node(struct call *c, struct inode *n)
{
    ASSERT(!c->node);
    c->node = inode_ref(n);
    struct key k;
    if (!c->path && !tree_key(n, &k))
        call_path(c, key_bytes_of(&k));
}

void call_node2(struct call *c, struct inode *n)
{
    ASSERT(!c->node2);
    c->node2 = inode_ref(n);
}

static void answered(void *arg, const struct client_effect *e)
{
    struct call *c = arg;
    c->ticket = 0;
    c->done(c, e);
}

static uint64_t time_left_us(const struct call *c)
{
    uint64_t timeout = c->patience_us ? c->patience_us : c->m->options->timeout_us, gone = mount_now_us(c->m) - c->since_us;
    if (!timeout)
        return 0; /* for ever */
    return gone < timeout ? timeout - gone : 1;
}

bool call_has_time(const struct call *c) { return time_left_us(c) != 1; }

void call_ask_any(struct call *c, const struct client_request *q, call_done *done)
{
    ASSERT(!c->ticket);
    c->done = done;
    c->m->stats.round_trips++;
    c->ticket = net_client_submit(c->m->client, q, time_left_us(c), answered, c);
}

void call_ask_within(struct call *c, const struct client_request *q, uint64_t within_us, call_done *done)
{
    uint64_t left = time_left_us(c);
    ASSERT(!c->ticket);
    c->done = done;
    c->ticket = net_client_submit(c->m->client, q, left ? MIN(left, within_us) : within_us, answered, c);
}

void call_ask(struct call *c, const struct kv_request *q, call_done *done)
{
    struct kv_request copy = *q;
    copy.now_ns = mount_wall_ns();
    if (!c->path)
        call_path(c, q->key);
    call_ask_any(c, &(struct client_request){.kind = CLIENT_KV, .kv = &copy}, done);
}

void call_cancel(struct call *c)
{
    if (c->ticket)
        net_client_cancel(c->m->client, c->ticket); /* completes CANCELLED */
    else if (c->cancel)
        c->cancel(c);
}

struct call *call_find(const struct mount *m, uint64_t id)
{
    struct call *c;
    DL_SEARCH_SCALAR(m->calls, c, id, id);
    return c;
}

void call_abort(struct call *c)
{
    c->aborted = true;
    call_cancel(c);
}

/* Ending a call may end others with it, so first the numbers are noted and then each is looked up. */
void call_abort_all(struct mount *m)
{
    struct buf ids = {0};
    for (struct call *c = m->calls; c; c = c->next)
        buf_put(&ids, bytes_of(&c->id, sizeof c->id));
    for (size_t at = 0; at < ids.len; at += sizeof(uint64_t)) {
        uint64_t id;
        memcpy(&id, ids.data + at, sizeof id);
        struct call *c = call_find(m, id);
        if (c)
            call_abort(c);
    }
    buf_release(&ids);
}

void call_end(struct call *c)
{
    struct mount *m = c->m;
    ASSERT(!c->ticket);
    DL_DELETE(m->calls, c);
    m->stats.replies++;
    if (c->req)
        opstats_answered(&m->opstats, c->op, mount_now_us(m) - c->started_us, c->number != 0);
    if (c->release)
        c->release(c);
    inode_unref(&m->inodes, c->node);
    inode_unref(&m->inodes, c->node2);
    mem_free(c->path);
    mem_free(c);
}

void call_record(struct call *c, int number, const char *sentence)
{
    errlog_record(&c->m->errors, &(struct errlog_entry){.time_ns = mount_wall_ns(),
                                                         .op = c->op,
                                                         .path = c->path ? c->path : "-",
                                                         .number = number,
                                                         .sentence = sentence});
}

void call_reply_errno(struct call *c, int number)
{
    if (number == EINTR && c->aborted)
        number = ECANCELED;
    c->number = number;
    if (number)
        c->m->stats.errors++;
    if (c->req)
        fuse_reply_err(c->req, number);
    call_end(c);
}

/* What the world did, in contrast to what the caller asked for: only this goes into the error log. */
static bool cluster_failure(enum rgkv_err err)
{
    switch (rgkv_err_errno(err)) {
    case EHOSTDOWN: case ETIMEDOUT: case EIO: case ENOSPC: case EPROTO: case ENOMEM: case ESHUTDOWN: case EBUSY: case EFBIG: case ESTALE:
        return true;
    }
    return false;
}

void call_reply_err(struct call *c, enum rgkv_err err, const char *why)
{
    int number = rgkv_err_errno(err == RGKV_VERSION ? RGKV_STALE : err); /* never EAGAIN for data */
    if (cluster_failure(err))
        call_record(c, number, why && *why ? why : rgkv_err_sentence(err));
    call_reply_errno(c, number);
}

void call_reply_attr(struct call *c, const struct stat *st)
{
    fuse_reply_attr(c->req, st, c->m->options->cache_s);
    call_end(c);
}

void call_reply_write(struct call *c, size_t len)
{
    fuse_reply_write(c->req, len);
    call_end(c);
}

void call_reply_data(struct call *c, struct bytes data)
{
    fuse_reply_buf(c->req, (const char *)data.data, data.len);
    call_end(c);
}

/* Timeouts are 0 unless the mount may cache: never from a cache. What the store does not have yet is asked for again in any case. */
static struct fuse_entry_param entry_of(const struct call *c, const struct inode *n, const struct stat *st)
{
    double keep_s = n->ino ? c->m->options->cache_s : 0;
    return (struct fuse_entry_param){.ino = n->id, .generation = 1, .attr = *st, .attr_timeout = keep_s, .entry_timeout = keep_s};
}

/* ENOENT: the caller is gone and the kernel threw the answer away, and the lookup that it counted with it. */
static bool taken(struct call *c, struct inode *n, int reply)
{
    if (reply == -ENOENT && n)
        inode_forget(&c->m->inodes, n->id, 1);
    bool ok = reply == 0;
    call_end(c);
    return ok;
}

void call_reply_entry(struct call *c, struct inode *n, const struct stat *st)
{
    struct fuse_entry_param entry = entry_of(c, n, st);
    (void)taken(c, n, fuse_reply_entry(c->req, &entry));
}

bool call_reply_open(struct call *c, const struct fuse_file_info *fi)
{
    return taken(c, NULL, fuse_reply_open(c->req, fi));
}

bool call_reply_create(struct call *c, struct inode *n, const struct stat *st, const struct fuse_file_info *fi)
{
    struct fuse_entry_param entry = entry_of(c, n, st);
    return taken(c, n, fuse_reply_create(c->req, &entry, fi));
}

void call_print(const struct mount *m, struct buf *out)
{
    const struct call *c;
    uint64_t now = mount_now_us(m);
    DL_FOREACH(m->calls, c) {
        buf_printf(out, "%llu op=%s path=", (unsigned long long)c->id, c->op);
        errlog_put_text(out, c->path ? c->path : "");
        buf_printf(out, " age_us=%llu interrupted=%d\n", (unsigned long long)(now - c->started_us), c->interrupted);
    }
}
