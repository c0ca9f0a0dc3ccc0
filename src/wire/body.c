#include "wire/body.h"

#include "wire/msg.h"

#include <tpl.h>

/* tpl_map takes one address and one count per '#'; those that the format does not name are not looked at. */
static tpl_node *map_new(const struct shape *s, uint64_t *numbers, uint64_t row[][SHAPE_COLUMNS_MAX])
{
    const struct shape_table *t = s->tables;
    static_assert(SHAPE_TABLES_MAX == 4, "one line for each table");
    tpl_node *map = tpl_map((char *)(uintptr_t)shape_format(s), numbers, (int)s->numbers,
                            row[0], (int)t[0].columns,
                            row[1], (int)t[1].columns,
                            row[2], (int)t[2].columns,
                            row[3], (int)t[3].columns);
    ASSERT(map);
    return map;
}

/* ---- out ---- */

void body_out_begin(struct body_out *o, const struct shape *s, const unsigned rows[SHAPE_TABLES_MAX], struct buf *buf)
{
    o->shape = s;
    o->buf = buf;
    o->n = 0;
    for (unsigned t = 0; t < s->n_tables; t++) {
        ASSERT(rows[t] <= s->tables[t].rows_max);
        o->rows_left[t] = rows[t];
    }
    o->image_at = buf->len;
    o->image_bytes = shape_bytes(s, rows);
    buf_grow(buf, o->image_bytes);
    o->map = map_new(s, o->numbers, o->row);
}

size_t body_out_end(struct body_out *o)
{
    ASSERT(o->n == o->shape->numbers);
    for (unsigned t = 0; t < o->shape->n_tables; t++)
        ASSERT(o->rows_left[t] == 0);
    int err = tpl_pack(o->map, 0);
    ASSERT(!err);
    err = tpl_dump(o->map, TPL_MEM | TPL_PREALLOCD, o->buf->data + o->image_at, o->image_bytes);
    ASSERT(!err);
    tpl_free(o->map);
    o->map = NULL;
    return o->image_bytes;
}

void put_row(struct body_out *o, unsigned table, const uint64_t *columns)
{
    ASSERT(table < o->shape->n_tables && o->rows_left[table] > 0);
    o->rows_left[table]--;
    memcpy(o->row[table], columns, o->shape->tables[table].columns * sizeof(columns[0]));
    int err = tpl_pack(o->map, (int)table + 1);
    ASSERT(!err);
}

void put_bulk(struct body_out *o, struct bytes content) { buf_put(o->buf, content); }

void put_bytes(struct body_out *o, struct bytes content)
{
    put_number(o, content.len);
    put_bulk(o, content);
}

void put_text(struct body_out *o, const char *text) { put_bytes(o, bytes_str(text)); }

uint32_t put_row_text(struct body_out *o, const char *text)
{
    struct bytes b = bytes_str(text);
    put_bulk(o, b);
    return (uint32_t)b.len;
}

/* ---- in ---- */

/* The image is as guard.h draws it. */
static void image_open(struct body_in *in, const uint8_t *image)
{
    const uint8_t *at = image + shape_numbers_at(in->shape);
    memcpy(in->numbers, at, in->shape->numbers * sizeof(in->numbers[0]));
    at += in->shape->numbers * sizeof(in->numbers[0]);
    for (unsigned t = 0; t < in->shape->n_tables; t++) {
        in->row_at[t] = at + sizeof(uint32_t);
        at = in->row_at[t] + (size_t)in->rows[t] * in->shape->tables[t].columns * sizeof(in->row[t][0]);
    }
}

bool body_in_begin(struct body_in *in, const struct shape *s, struct bytes image, struct bytes bulk, struct arena *a)
{
    memset(in->rows, 0, sizeof(in->rows));
    if (!guard_image(image, s, in->rows))
        return false;
    in->shape = s;
    in->arena = a;
    in->bulk = reader_of(bulk);
    in->ok = true;
    in->n = 0;
    memcpy(in->rows_left, in->rows, sizeof(in->rows_left));
    image_open(in, image.data);
    return true;
}

bool body_in_end(struct body_in *in)
{
    for (unsigned t = 0; t < in->shape->n_tables; t++)
        in_refuse(in, in->rows_left[t] != 0);
    in_refuse(in, in->n != in->shape->numbers);
    in_refuse(in, !in->bulk.ok || in->bulk.rest.len != 0);
    return in->ok;
}

void in_refuse(struct body_in *in, bool wrong)
{
    if (wrong)
        in->ok = false;
}

uint64_t in_range(struct body_in *in, uint64_t v, uint64_t lo, uint64_t hi)
{
    bool fits = v >= lo && v <= hi;
    in_refuse(in, !fits);
    return fits ? v : 0;
}

const uint64_t *take_row(struct body_in *in, unsigned table)
{
    static const uint64_t zeros[SHAPE_COLUMNS_MAX];
    ASSERT(table < in->shape->n_tables);
    if (!in->ok || in->rows_left[table] == 0) {
        in->ok = false;
        return zeros;
    }
    in->rows_left[table]--;
    size_t bytes = in->shape->tables[table].columns * sizeof(in->row[table][0]);
    memcpy(in->row[table], in->row_at[table], bytes);
    in->row_at[table] += bytes;
    return in->row[table];
}

struct bytes take_bulk(struct body_in *in, uint64_t len, uint64_t len_max)
{
    struct bytes taken = in->ok && len <= len_max ? read_bytes(&in->bulk, len) : BYTES_EMPTY;
    in_refuse(in, len > len_max || !in->bulk.ok);
    return taken;
}

struct bytes take_bytes(struct body_in *in, uint64_t len_max) { return take_bulk(in, take_number(in), len_max); }

void take_row_text(struct body_in *in, uint64_t len, char *ret_text, size_t cap)
{
    struct bytes b = take_bulk(in, len, cap - 1);
    if (b.len) {
        in_refuse(in, memchr(b.data, 0, b.len) != NULL);
        memcpy(ret_text, b.data, b.len);
    }
    ret_text[b.len] = 0;
}

void take_text(struct body_in *in, char *ret_text, size_t cap) { take_row_text(in, take_number(in), ret_text, cap); }

void *take_array(struct body_in *in, uint64_t n, size_t element_bytes)
{
    return in->ok && n ? arena_alloc(in->arena, n * element_bytes) : NULL;
}
