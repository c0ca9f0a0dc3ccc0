#include "node/internal.h"

/* One buffer of frames for each destination of a turn: many messages become one write. */

static uint64_t destination_hash(const char *addr, uint64_t conn)
{
    return addr ? hash64(bytes_str(addr)) : hash64(bytes_of(&conn, sizeof(conn)));
}

static bool destination_is(const struct out_buf *b, const char *addr, uint64_t conn)
{
    return addr ? strcmp(b->addr, addr) == 0 : b->addr[0] == 0 && b->conn == conn;
}

static void slots_rebuild(struct out *o)
{
    o->slots_cap = MAX(64u, o->cap * 2);
    o->slots = mem_realloc(o->slots, o->slots_cap * sizeof(*o->slots));
    memset(o->slots, 0, o->slots_cap * sizeof(*o->slots));
    for (unsigned i = 0; i < o->n; i++) {
        const struct out_buf *b = &o->bufs[i];
        uint64_t at = destination_hash(b->addr[0] ? b->addr : NULL, b->conn) % o->slots_cap;
        while (o->slots[at])
            at = (at + 1) % o->slots_cap;
        o->slots[at] = i + 1;
    }
}

static void bufs_grow(struct out *o)
{
    unsigned cap = MAX(16u, o->cap * 2);
    o->bufs = mem_realloc(o->bufs, cap * sizeof(*o->bufs));
    memset(o->bufs + o->cap, 0, (cap - o->cap) * sizeof(*o->bufs));
    o->cap = cap;
    slots_rebuild(o);
}

static struct buf *out_to(struct out *o, const char *addr, uint64_t conn)
{
    if (o->n == o->cap)
        bufs_grow(o);
    uint64_t at = destination_hash(addr, conn) % o->slots_cap;
    for (; o->slots[at]; at = (at + 1) % o->slots_cap) {
        struct out_buf *b = &o->bufs[o->slots[at] - 1];
        if (destination_is(b, addr, conn))
            return &b->frames;
    }
    struct out_buf *b = &o->bufs[o->n++];
    o->slots[at] = o->n;
    buf_clear(&b->frames);
    memset(b->addr, 0, sizeof(b->addr));
    if (addr)
        strncpy(b->addr, addr, sizeof(b->addr) - 1);
    b->conn = conn;
    return &b->frames;
}

struct buf *out_to_addr(struct out *o, const char *addr)
{
    ASSERT(addr[0] != 0);
    return out_to(o, addr, 0);
}

struct buf *out_to_conn(struct out *o, uint64_t conn) { return out_to(o, NULL, conn); }

static const char *out_text(struct out *o, const char *text)
{
    if (o->n_texts == o->texts_cap) {
        o->texts_cap = MAX(8u, o->texts_cap * 2);
        o->texts = mem_realloc(o->texts, o->texts_cap * sizeof(*o->texts));
    }
    return o->texts[o->n_texts++] = mem_strdup(text);
}

void out_effect(struct out *o, const struct node_effect *e)
{
    if (o->n_effects == o->effects_cap) {
        o->effects_cap = MAX(16u, o->effects_cap * 2);
        o->effects = mem_realloc(o->effects, o->effects_cap * sizeof(*o->effects));
    }
    struct node_effect *to = &o->effects[o->n_effects++];
    *to = *e;
    if (e->why)
        to->why = out_text(o, e->why);
}

/* Disk work first: it takes longest. */
bool out_next(struct out *o, struct node_effect *ret_e)
{
    if (o->effects_given < o->n_effects) {
        *ret_e = o->effects[o->effects_given++];
        return true;
    }
    while (o->given < o->n) {
        struct out_buf *b = &o->bufs[o->given++];
        if (b->frames.len == 0)
            continue;
        *ret_e = (struct node_effect){
            .kind = b->addr[0] ? NODE_SEND : NODE_REPLY,
            .addr = b->addr,
            .conn = b->conn,
            .frames = buf_bytes(&b->frames),
        };
        return true;
    }
    return false;
}

#define KEPT_BUFS 16u          /* the first destinations of a turn keep large buffers, for they come every turn */
#define KEPT_BYTES 65536u

static void forget_large(struct buf *b, unsigned place)
{
    if (b->cap > (place < KEPT_BUFS ? FRAME_BULK_BYTES_MAX : KEPT_BYTES))
        buf_release(b);
}

void out_turn(struct out *o)
{
    if (o->given == o->n && o->n) {
        for (unsigned i = 0; i < o->n; i++)
            forget_large(&o->bufs[i].frames, i);
        o->n = o->given = 0;
        memset(o->slots, 0, o->slots_cap * sizeof(*o->slots));
    }
    if (o->effects_given == o->n_effects) {
        o->n_effects = o->effects_given = 0;
        for (unsigned i = 0; i < o->n_texts; i++)
            mem_free(o->texts[i]);
        o->n_texts = 0;
    }
}

/* What would have been the outside's. */
static void effect_release(struct node_effect *e)
{
    if (e->kind == NODE_COMMIT)
        wal_batch_release(&e->batch);
    buf_release(&e->from);
    buf_release(&e->to);
    buf_release(&e->sink.rows);
}

void out_release(struct out *o)
{
    for (; o->effects_given < o->n_effects; o->effects_given++)
        effect_release(&o->effects[o->effects_given]);
    for (unsigned i = 0; i < o->cap; i++)
        buf_release(&o->bufs[i].frames);
    for (unsigned i = 0; i < o->n_texts; i++)
        mem_free(o->texts[i]);
    mem_free(o->texts);
    mem_free(o->bufs);
    mem_free(o->slots);
    mem_free(o->effects);
    *o = (struct out){0};
}
