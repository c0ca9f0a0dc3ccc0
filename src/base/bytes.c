#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

int bytes_cmp(struct bytes a, struct bytes b)
{
    size_t shared = MIN(a.len, b.len);
    int order = shared ? memcmp(a.data, b.data, shared) : 0;
    if (order)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool bytes_eq(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool bytes_starts(struct bytes b, struct bytes prefix)
{
    return b.len >= prefix.len && (prefix.len == 0 || memcmp(b.data, prefix.data, prefix.len) == 0);
}

struct blob *blob_alloc(size_t len)
{
    ASSERT(len <= UINT32_MAX);
    struct blob *b = mem_alloc(sizeof(*b) + len);
    b->refs = 1;
    b->len = (uint32_t)len;
    return b;
}

struct blob *blob_new(struct bytes content)
{
    struct blob *b = blob_alloc(content.len);
    if (content.len)
        memcpy(b->data, content.data, content.len);
    return b;
}

struct blob *blob_ref(struct blob *b)
{
    if (b)
        b->refs++;
    return b;
}

void blob_unref(struct blob *b)
{
    if (!b)
        return;
    ASSERT(b->refs > 0);
    if (--b->refs == 0)
        mem_free(b);
}

void buf_release(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b) { b->len = 0; }

void *buf_grow(struct buf *b, size_t len)
{
    ASSERT(len <= SIZE_MAX / 4 && b->len <= SIZE_MAX / 4);
    size_t need = b->len + len;
    if (need > b->cap) {
        b->cap = MAX(MAX(need, b->cap * 2), 64);
        b->data = mem_realloc(b->data, b->cap);
    }
    void *start = b->len ? b->data + b->len : b->data; /* NULL + 0 is undefined */
    b->len = need;
    return start;
}

void buf_put(struct buf *b, struct bytes content)
{
    void *to = buf_grow(b, content.len);
    if (content.len)
        memcpy(to, content.data, content.len);
}

static void put_number(struct buf *b, uint64_t v, unsigned bytes, bool big)
{
    uint8_t *to = buf_grow(b, bytes);
    for (unsigned i = 0; i < bytes; i++)
        to[big ? bytes - 1 - i : i] = (uint8_t)(v >> (8 * i));
}

void buf_put_u8(struct buf *b, uint8_t v) { put_number(b, v, 1, false); }
void buf_put_le16(struct buf *b, uint16_t v) { put_number(b, v, 2, false); }
void buf_put_le32(struct buf *b, uint32_t v) { put_number(b, v, 4, false); }
void buf_put_le64(struct buf *b, uint64_t v) { put_number(b, v, 8, false); }
void buf_put_be16(struct buf *b, uint16_t v) { put_number(b, v, 2, true); }
void buf_put_be32(struct buf *b, uint32_t v) { put_number(b, v, 4, true); }
void buf_put_be64(struct buf *b, uint64_t v) { put_number(b, v, 8, true); }

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(len >= 0);
    char *to = buf_grow(b, (size_t)len + 1);
    va_start(args, format);
    vsnprintf(to, (size_t)len + 1, format, args);
    va_end(args);
    b->len--;
}

struct bytes read_bytes(struct reader *r, size_t len)
{
    if (!r->ok || len > r->rest.len) {
        r->ok = false;
        return BYTES_EMPTY;
    }
    struct bytes taken = bytes_first(r->rest, len);
    r->rest = bytes_from(r->rest, len);
    return taken;
}

static uint64_t read_number(struct reader *r, unsigned bytes, bool big)
{
    struct bytes b = read_bytes(r, bytes);
    uint64_t v = 0;
    for (unsigned i = 0; i < b.len; i++)
        v |= (uint64_t)b.data[big ? bytes - 1 - i : i] << (8 * i);
    return v;
}

uint8_t read_u8(struct reader *r) { return (uint8_t)read_number(r, 1, false); }
uint16_t read_le16(struct reader *r) { return (uint16_t)read_number(r, 2, false); }
uint32_t read_le32(struct reader *r) { return (uint32_t)read_number(r, 4, false); }
uint64_t read_le64(struct reader *r) { return read_number(r, 8, false); }
uint16_t read_be16(struct reader *r) { return (uint16_t)read_number(r, 2, true); }
uint32_t read_be32(struct reader *r) { return (uint32_t)read_number(r, 4, true); }
uint64_t read_be64(struct reader *r) { return read_number(r, 8, true); }

uint64_t hash64(struct bytes b) { return XXH3_64bits(b.len ? b.data : (const uint8_t *)"", b.len); }

uint64_t hash64_seeded(struct bytes b, uint64_t seed)
{
    return XXH3_64bits_withSeed(b.len ? b.data : (const uint8_t *)"", b.len, seed);
}
