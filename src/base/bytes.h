/* Three shapes of bytes, by who owns them.
 *
 *   struct bytes   a view: borrowed, never freed, valid as long as its owner says
 *   struct blob    immutable and counted: shared by the log, the disk queue and the wire without copies.
 *                  Counts are not atomic: only the loop's thread takes and drops references
 *   struct buf     a growing buffer that one owner fills; {0} is empty and ready for use
 *
 * and the fixed-width integers of every format of the project: little-endian in messages and files,
 * big-endian where bytes must sort like numbers (table keys). */
#ifndef RGKV_BASE_BYTES_H
#define RGKV_BASE_BYTES_H

#include "base/base.h"

struct bytes {
    const uint8_t *data;
    size_t len;
};

#define BYTES_EMPTY ((struct bytes){NULL, 0})

static inline struct bytes bytes_of(const void *data, size_t len)
{
    return (struct bytes){data, len};
}

static inline struct bytes bytes_str(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static inline struct bytes bytes_from(struct bytes b, size_t skip)
{
    ASSERT(skip <= b.len);
    return (struct bytes){skip ? b.data + skip : b.data, b.len - skip};
}

static inline struct bytes bytes_first(struct bytes b, size_t len)
{
    ASSERT(len <= b.len);
    return (struct bytes){b.data, len};
}

int bytes_cmp(struct bytes a, struct bytes b); /* memcmp order, a prefix sorts first */
bool bytes_eq(struct bytes a, struct bytes b);
bool bytes_starts(struct bytes b, struct bytes prefix);

struct blob {
    uint32_t refs;
    uint32_t len;
    uint8_t data[];
};

struct blob *blob_new(struct bytes content);   /* one reference, the caller's */
struct blob *blob_alloc(size_t len);           /* content to be filled in before it is shared */
struct blob *blob_ref(struct blob *b);         /* NULL stays NULL */
void blob_unref(struct blob *b);               /* NULL is fine */
static inline struct bytes blob_bytes(const struct blob *b)
{
    return b ? (struct bytes){b->data, b->len} : BYTES_EMPTY;
}

struct buf {
    uint8_t *data;
    size_t len, cap;
};

void buf_release(struct buf *b);
void buf_clear(struct buf *b);                 /* keeps the memory */
void *buf_grow(struct buf *b, size_t len);     /* len more bytes, uninitialised; returns their start */
void buf_put(struct buf *b, struct bytes content);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_le16(struct buf *b, uint16_t v);
void buf_put_le32(struct buf *b, uint32_t v);
void buf_put_le64(struct buf *b, uint64_t v);
void buf_put_be16(struct buf *b, uint16_t v);
void buf_put_be32(struct buf *b, uint32_t v);
void buf_put_be64(struct buf *b, uint64_t v);
void buf_printf(struct buf *b, const char *format, ...) PRINTF(2, 3); /* text, no NUL counted */
static inline struct bytes buf_bytes(const struct buf *b)
{
    return (struct bytes){b->data, b->len};
}

/* Readers take from the front of a view. Once too little is left, `*ok` becomes false, stays so, and
 * every read gives 0 or the empty view: check once at the end. */
struct reader {
    struct bytes rest;
    bool ok;
};

static inline struct reader reader_of(struct bytes b) { return (struct reader){b, true}; }
uint8_t read_u8(struct reader *r);
uint16_t read_le16(struct reader *r);
uint32_t read_le32(struct reader *r);
uint64_t read_le64(struct reader *r);
uint16_t read_be16(struct reader *r);
uint32_t read_be32(struct reader *r);
uint64_t read_be64(struct reader *r);
struct bytes read_bytes(struct reader *r, size_t len);

uint64_t hash64(struct bytes b);               /* XXH3 */
uint64_t hash64_seeded(struct bytes b, uint64_t seed);

#endif
