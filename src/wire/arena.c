/* One block that is kept and grows to what a message needed, and extra blocks until it has. What it keeps is bounded
 * by ARENA_KEEP_BYTES: one large message does not make every connection large for ever. */
#include "wire/msg.h"

#define ARENA_KEEP_BYTES (1u << 20)
#define ARENA_BLOCK_BYTES 4096u
#define ARENA_ALIGN 16u

struct arena_extra {
    struct arena_extra *next;
    size_t bytes;
    _Alignas(ARENA_ALIGN) uint8_t data[];
};

static void extras_free(struct arena *a)
{
    while (a->extra) {
        struct arena_extra *first = a->extra;
        a->extra = first->next;
        mem_free(first);
    }
}

static size_t extras_bytes(const struct arena *a)
{
    size_t bytes = 0;
    for (const struct arena_extra *e = a->extra; e; e = e->next)
        bytes += e->bytes;
    return bytes;
}

void arena_reset(struct arena *a)
{
    size_t wanted = MIN(a->used + extras_bytes(a), ARENA_KEEP_BYTES);
    extras_free(a);
    a->used = 0;
    if (wanted <= a->cap)
        return;
    mem_free(a->block);
    a->block = mem_alloc(wanted);
    a->cap = wanted;
}

void arena_release(struct arena *a)
{
    extras_free(a);
    mem_free(a->block);
    *a = (struct arena){0};
}

static void *extra_alloc(struct arena *a, size_t bytes)
{
    struct arena_extra *e = mem_zalloc(sizeof(*e) + bytes);
    e->next = a->extra;
    e->bytes = bytes;
    a->extra = e;
    return e->data;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    ASSERT(bytes <= SIZE_MAX / 4);
    bytes = (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (!a->block) {
        a->cap = MAX(bytes, ARENA_BLOCK_BYTES);
        a->block = mem_alloc(a->cap);
    }
    if (bytes > a->cap - a->used)
        return extra_alloc(a, bytes);
    void *start = a->block + a->used;
    a->used += bytes;
    return memset(start, 0, bytes);
}
