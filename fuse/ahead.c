#include "fuse/ahead.h"

#include <utlist.h>

struct block {
    uint64_t number;               /* of the version: bytes from number * AHEAD_BLOCK_BYTES */
    bool used, ready;
    enum rgkv_err err;
    struct buf data;
};

struct ahead_waiter {
    struct ahead *a;
    struct call *call;
    uint64_t offset;
    uint32_t len;
    ahead_then *then;
    struct ahead_waiter *prev, *next;
};

struct ahead {
    uint64_t ino;                  /* of the file that is read */
    uint64_t version, generation;  /* answers of another generation are not for these blocks */
    struct buf name;               /* the key that the version is of */
    struct block blocks[AHEAD_BLOCKS];
    struct ahead_waiter *waiters;
    struct buf joined;             /* of two blocks */
};

struct block_call {
    struct call call;              /* nobody's */
    struct handle *h;              /* held */
    uint64_t generation, number;
};

bool ahead_serves(struct handle *h, uint64_t offset, uint32_t size)
{
    bool follows = h->ahead_next == offset;
    h->ahead_next = offset + size;
    h->ahead_run = follows ? h->ahead_run + 1 : 0;
    return h->ahead_run >= AHEAD_RUN_MIN && h->pin.size > AHEAD_BLOCK_BYTES && offset + size <= h->pin.size &&
           (h->ahead || h->m->ahead_bytes < AHEAD_BYTES_MAX);
}

/* ---- blocks ---- */

static void block_clear(struct block *b)
{
    struct buf data = b->data;
    buf_clear(&data);
    *b = (struct block){.data = data};
}

static struct block *block_of(struct ahead *a, uint64_t number)
{
    for (unsigned i = 0; i < AHEAD_BLOCKS; i++)
        if (a->blocks[i].used && a->blocks[i].number == number)
            return &a->blocks[i];
    return NULL;
}

static struct ahead *ahead_of(struct handle *h)
{
    if (!h->ahead) {
        h->ahead = mem_zalloc(sizeof *h->ahead);
        h->m->ahead_bytes += AHEAD_BLOCKS * AHEAD_BLOCK_BYTES;
    }
    return h->ahead;
}

/* ---- waiting ---- */

static void waiter_end(struct ahead_waiter *w, enum rgkv_err err, struct bytes data)
{
    struct call *c = w->call;
    ahead_then *then = w->then;
    DL_DELETE(w->a->waiters, w);
    c->cancel = NULL;
    c->waits = NULL;
    mem_free(w);
    then(c, err, data);
}

/* OK: *ret_data is all of it. BUSY: not yet. Others: it will never be. */
static enum rgkv_err look(struct ahead *a, uint64_t offset, uint32_t len, struct bytes *ret_data)
{
    uint64_t first = offset / AHEAD_BLOCK_BYTES, last = (offset + len - 1) / AHEAD_BLOCK_BYTES;
    buf_clear(&a->joined);
    for (uint64_t k = first; k <= last; k++) {
        struct block *b = block_of(a, k);
        if (!b || b->err)
            return b ? b->err : RGKV_STALE;
        if (!b->ready)
            return RGKV_BUSY;
        uint64_t start = k * AHEAD_BLOCK_BYTES, from = MAX(offset, start) - start, to = MIN(offset + len, start + AHEAD_BLOCK_BYTES) - start;
        if (to > b->data.len)
            return RGKV_STALE;
        *ret_data = bytes_of(b->data.data + from, to - from);
        if (first != last)
            buf_put(&a->joined, *ret_data);
    }
    if (first != last)
        *ret_data = buf_bytes(&a->joined);
    return RGKV_OK;
}

static void tell_waiters(struct ahead *a)
{
    struct ahead_waiter *w = a->waiters;
    while (w) {
        struct bytes data = BYTES_EMPTY;
        enum rgkv_err err = look(a, w->offset, w->len, &data);
        if (err == RGKV_BUSY) {
            w = w->next;
        } else {
            waiter_end(w, err, data);
            w = a->waiters;
        }
    }
}

static void wait_cancel(struct call *c) { waiter_end(c->waits, RGKV_CANCELLED, BYTES_EMPTY); }

/* ---- asking ---- */

static void block_done(struct call *call, const struct client_effect *e)
{
    struct block_call *c = (struct block_call *)call;
    struct handle *h = c->h;
    struct ahead *a = h->ahead;
    struct block *b = a->generation == c->generation ? block_of(a, c->number) : NULL;
    if (b) {
        b->ready = true;
        b->err = e->err == RGKV_CANCELLED ? RGKV_STALE : e->err; /* it was given up, not they who wait: they ask for themselves */
        if (!e->err)
            buf_put(&b->data, e->reply->data);
        tell_waiters(a);
    }
    call_end(call);
    handle_let_go(h);
}

static void block_ask(struct handle *h, struct block *b, uint64_t number)
{
    struct ahead *a = h->ahead;
    struct block_call *c = call_begin(h->m, NULL, "readahead", sizeof *c);
    block_clear(b);
    b->used = true;
    b->number = number;
    c->h = handle_hold(h);
    c->generation = a->generation;
    c->number = number;
    call_node(&c->call, h->node);
    call_ask(&c->call,
             &(struct kv_request){.op = KV_GET, .flags = KV_IF_VERSION | KV_IF_INO, .key = buf_bytes(&a->name), .version = a->version,
                                  .ino = a->ino, .offset = number * AHEAD_BLOCK_BYTES, .length = AHEAD_BLOCK_BYTES},
             block_done);
}

/* Free, or behind the reader; one that is still on its way is not taken. */
static struct block *block_free(struct ahead *a, uint64_t first)
{
    for (unsigned i = 0; i < AHEAD_BLOCKS; i++) {
        struct block *b = &a->blocks[i];
        if (!b->used || (b->ready && (b->number < first || b->number >= first + AHEAD_BLOCKS)))
            return b;
    }
    return NULL;
}

static void ask_from(struct handle *h, uint64_t first)
{
    uint64_t end = (h->pin.size + AHEAD_BLOCK_BYTES - 1) / AHEAD_BLOCK_BYTES;
    for (uint64_t k = first; k < MIN(end, first + AHEAD_BLOCKS); k++) {
        struct block *b = block_of(h->ahead, k) ? NULL : block_free(h->ahead, first);
        if (b)
            block_ask(h, b, k);
    }
}

static void turn_to_version(struct handle *h)
{
    struct ahead *a = h->ahead;
    if (a->version == h->pin.version && bytes_eq(buf_bytes(&a->name), buf_bytes(&h->pinned_as)))
        return;
    a->generation++;
    a->version = h->pin.version;
    a->ino = h->pin.ino;
    buf_clear(&a->name);
    buf_put(&a->name, buf_bytes(&h->pinned_as));
    for (unsigned i = 0; i < AHEAD_BLOCKS; i++)
        block_clear(&a->blocks[i]);
    tell_waiters(a); /* those of the old version ask directly */
}

void ahead_read(struct handle *h, struct call *c, uint64_t offset, uint32_t len, ahead_then *then)
{
    struct ahead *a = ahead_of(h);
    struct bytes data = BYTES_EMPTY;
    turn_to_version(h);
    ask_from(h, offset / AHEAD_BLOCK_BYTES);
    enum rgkv_err err = look(a, offset, len, &data);
    if (err != RGKV_BUSY) {
        then(c, err, data);
        return;
    }
    struct ahead_waiter *w = mem_zalloc(sizeof *w);
    *w = (struct ahead_waiter){.a = a, .call = c, .offset = offset, .len = len, .then = then};
    ASSERT(!c->cancel);
    c->cancel = wait_cancel;
    c->waits = w;
    DL_APPEND(a->waiters, w);
}

void ahead_release(struct handle *h)
{
    struct ahead *a = h->ahead;
    if (!a)
        return;
    ASSERT(!a->waiters); /* they hold the handle */
    for (unsigned i = 0; i < AHEAD_BLOCKS; i++)
        buf_release(&a->blocks[i].data);
    buf_release(&a->name);
    buf_release(&a->joined);
    h->m->ahead_bytes -= AHEAD_BLOCKS * AHEAD_BLOCK_BYTES;
    mem_free(a);
    h->ahead = NULL;
}
