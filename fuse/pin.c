#include "fuse/pin.h"

void pin_release(struct pin *p)
{
    buf_release(&p->head);
    memset(p, 0, sizeof *p);
}

void pin_drop(struct pin *p)
{
    p->set = p->served = false;
    p->since_us = 0;
    buf_clear(&p->head);
}

static bool in_head(const struct pin *p, uint64_t offset, uint32_t size)
{
    return offset + MIN(size, p->size - offset) <= p->head.len;
}

/* A short read of a small value takes all of it: such a value leaves nothing behind in the store when it is replaced, and who
 * reads it in pieces is to get all pieces of one version. */
static struct pin_plan ask_newest(uint64_t offset, uint32_t size)
{
    if (offset < VALUE_INLINE_BYTES && size < VALUE_INLINE_BYTES)
        return (struct pin_plan){PIN_NEWEST, 0, 2 * VALUE_INLINE_BYTES};
    return (struct pin_plan){PIN_NEWEST, offset, size};
}

struct pin_plan pin_read(struct pin *p, uint64_t offset, uint32_t size, uint64_t now_us)
{
    bool fresh = p->set && p->since_us && now_us - p->since_us <= PIN_FRESH_US;
    p->since_us = 0; /* counts for one read only */
    bool moves_on = !offset || (p->roams && offset != p->next);
    if (!p->set || (moves_on && !fresh))
        return ask_newest(offset, size);
    if (offset >= p->size && (offset || !fresh))
        return (struct pin_plan){PIN_GROWN, offset, offset < VALUE_INLINE_BYTES ? MAX(size, 2 * VALUE_INLINE_BYTES) : size};
    if (in_head(p, offset, size))
        return (struct pin_plan){PIN_SERVE, offset, 0};
    return (struct pin_plan){PIN_SAME, offset, MIN(size, p->size - offset)};
}

struct bytes pin_cached(const struct pin *p, uint64_t offset, uint32_t size)
{
    struct bytes rest = bytes_from(buf_bytes(&p->head), offset);
    return bytes_first(rest, MIN(rest.len, size));
}

void pin_take(struct pin *p, const struct kv_attr *a, uint64_t offset, struct bytes data, uint64_t since_us)
{
    pin_drop(p);
    p->set = true;
    p->version = a->version;
    p->ino = a->ino;
    p->size = a->size;
    p->since_us = since_us;
    if (!offset)
        buf_put(&p->head, bytes_first(data, MIN(data.len, PIN_HEAD_BYTES_MAX)));
}

void pin_gave(struct pin *p, uint64_t offset, struct bytes data)
{
    p->next = offset + data.len;
    p->served |= data.len > 0;
}

struct bytes pin_grown(struct pin *p, const struct kv_attr *a, uint64_t offset, struct bytes data)
{
    if (a->version == p->version || a->size <= offset)
        return BYTES_EMPTY;
    if (a->base > p->version || a->ino != p->ino)
        return BYTES_EMPTY; /* another value: its rest would be torn from its beginning */
    bool joins = p->head.len == p->size && offset == p->size && a->size <= PIN_HEAD_BYTES_MAX; /* a small value leaves nothing behind: see ask_newest */
    p->version = a->version;
    p->size = a->size;
    if (joins)
        buf_put(&p->head, data);
    else
        buf_clear(&p->head);
    return data;
}
