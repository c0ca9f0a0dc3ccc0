/* What a tpl image of ours looks like, exactly, and the check that stands between foreign bytes and tpl.
 *
 * Every structured part (message bodies, heads of log payloads, the manifest) has one of these shapes: so many
 * numbers, then so many tables of rows of so many numbers; all numbers are u64. In tpl's words "U#", "U#A(U#)", … with
 * the counts behind the '#' in the image. Such an image, n numbers and r rows of c columns, is
 *
 *     "tpl"  u8 flags  u32 length of all  format NUL  u32 n  u32 c per table  n × u64  per table: u32 r, r × c × u64
 *
 * in the byte order of the machine, which `flags` tells (an image of the other order is refused). Because there is no
 * string, no blob and no nesting in it, its length follows from the shape and the row counts alone, and the guard can
 * compare every byte that tpl would steer by. tpl itself trusts its flags byte and reads past its image when that
 * one is wrong; tpl_gather and TPL_FD are never used. */
#ifndef RGKV_WIRE_GUARD_H
#define RGKV_WIRE_GUARD_H

#include "base/bytes.h"

#define SHAPE_TABLES_MAX 4u
#define SHAPE_NUMBERS_MAX 32u
#define SHAPE_COLUMNS_MAX 12u

struct shape_table {
    unsigned columns, rows_max;
};
struct shape {
    unsigned numbers; /* at least 1 */
    unsigned n_tables;
    struct shape_table tables[SHAPE_TABLES_MAX];
};

const char *shape_format(const struct shape *s);
size_t shape_bytes(const struct shape *s, const unsigned rows[SHAPE_TABLES_MAX]);
size_t shape_bytes_max(const struct shape *s);

/* Is this image safe to give to tpl under this shape: magic, flags byte, announced length, format and counts are exactly
 * ours, no table has more rows than it may, and its length is what they add up to? Gives the row counts. */
MUST_USE bool guard_image(struct bytes image, const struct shape *s, unsigned ret_rows[SHAPE_TABLES_MAX]);
/* Where in such an image its numbers begin; the first table's row count is behind them. */
size_t shape_numbers_at(const struct shape *s);

#endif
