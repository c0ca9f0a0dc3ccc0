/* Writing and reading one structured part and the bulk behind it: the codecs' only tool, and the only user of tpl's map. An
 * image that the guard let through is read as it lies: all that tpl would steer by has been compared, and what is left is numbers.
 *
 * Out: the row counts are said first, so the image's place is known and the bulk is copied once, straight behind it.
 * Numbers and rows may be given in any interleaving, each in its own order.
 *
 *     body_out_begin(&o, shape, rows, buf);
 *     put_number(&o, …); put_row(&o, TABLE, (uint64_t[]){…}); put_bulk(&o, …)
 *     size_t image_bytes = body_out_end(&o);
 *
 * In: as struct reader of base/bytes.h: after the first thing that is not as it must be, `ok` is false and everything
 * reads as 0; body_in_end says at last whether all was well and nothing is left over. Views borrow from the bulk.
 *
 * No state outlives a call and nothing is shared: any thread may use its own. */
#ifndef RGKV_WIRE_BODY_H
#define RGKV_WIRE_BODY_H

#include "wire/guard.h"

struct arena;
struct tpl_node;

struct body_out {
    const struct shape *shape;
    struct buf *buf;
    size_t image_at, image_bytes;
    struct tpl_node *map;
    unsigned n;
    unsigned rows_left[SHAPE_TABLES_MAX];
    uint64_t numbers[SHAPE_NUMBERS_MAX];
    uint64_t row[SHAPE_TABLES_MAX][SHAPE_COLUMNS_MAX];
};

void body_out_begin(struct body_out *o, const struct shape *s, const unsigned rows[SHAPE_TABLES_MAX], struct buf *buf);
size_t body_out_end(struct body_out *o); /* every number and row was given (ASSERTed); returns the image's size */

static inline uint64_t pair_of(uint32_t lo, uint32_t hi) { return (uint64_t)hi << 32 | lo; }
static inline void put_number(struct body_out *o, uint64_t v)
{
    ASSERT(o->n < o->shape->numbers);
    o->numbers[o->n++] = v;
}
static inline void put_pair(struct body_out *o, uint32_t lo, uint32_t hi) { put_number(o, pair_of(lo, hi)); }
void put_row(struct body_out *o, unsigned table, const uint64_t *columns);
void put_bulk(struct body_out *o, struct bytes content);  /* its length goes into a row, by the caller */
void put_bytes(struct body_out *o, struct bytes content); /* length as the next number, and the bulk */
void put_text(struct body_out *o, const char *text);      /* the same */
uint32_t put_row_text(struct body_out *o, const char *text); /* only the bulk; returns the length, for a row */

struct body_in {
    const struct shape *shape;
    struct arena *arena;
    struct reader bulk;
    bool ok;
    unsigned n;
    unsigned rows[SHAPE_TABLES_MAX], rows_left[SHAPE_TABLES_MAX];
    const uint8_t *row_at[SHAPE_TABLES_MAX]; /* the next one, in the image; not aligned */
    uint64_t numbers[SHAPE_NUMBERS_MAX];
    uint64_t row[SHAPE_TABLES_MAX][SHAPE_COLUMNS_MAX];
};

/* False: the guard refused the image; body_in_end need not be called then. */
MUST_USE bool body_in_begin(struct body_in *in, const struct shape *s, struct bytes image, struct bytes bulk, struct arena *a);
MUST_USE bool body_in_end(struct body_in *in);

static inline uint64_t take_number(struct body_in *in)
{
    ASSERT(in->n < in->shape->numbers);
    return in->ok ? in->numbers[in->n++] : 0;
}
static inline void take_pair(struct body_in *in, uint32_t *ret_lo, uint32_t *ret_hi)
{
    uint64_t v = take_number(in);
    *ret_lo = (uint32_t)v;
    *ret_hi = (uint32_t)(v >> 32);
}
/* Checks of a value that was taken: each returns it, or 0 (and ok = false) if it cannot be. */
uint64_t in_range(struct body_in *in, uint64_t v, uint64_t lo, uint64_t hi);
static inline bool in_bool(struct body_in *in, uint64_t v) { return in_range(in, v, 0, 1); }
static inline uint32_t in_u32(struct body_in *in, uint64_t v) { return (uint32_t)in_range(in, v, 0, UINT32_MAX); }
void in_refuse(struct body_in *in, bool wrong); /* ok = false if wrong */

const uint64_t *take_row(struct body_in *in, unsigned table); /* its columns, until the next of the table */
struct bytes take_bulk(struct body_in *in, uint64_t len, uint64_t len_max);
struct bytes take_bytes(struct body_in *in, uint64_t len_max);           /* length from the next number */
void take_text(struct body_in *in, char *ret_text, size_t cap);          /* the same; no NUL inside, room for one behind */
void take_row_text(struct body_in *in, uint64_t len, char *ret_text, size_t cap);
void *take_array(struct body_in *in, uint64_t n, size_t element_bytes);  /* zeroed, from the arena; NULL if n is 0 or not ok */

#endif
