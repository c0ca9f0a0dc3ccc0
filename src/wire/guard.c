#include "wire/guard.h"

#include <stdlib.h>
#include <tpl.h>

#define PREAMBLE_BYTES 8u /* magic, flags, length */

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define FLAGS_HERE 1u
#else
#define FLAGS_HERE 0u
#endif

extern tpl_hook_t tpl_hook;

static int oops_quiet(const char *format, ...) { return 0; }

/* tpl goes on after this as if nothing had happened, so it must not return. The guard leaves no way to get here. */
static void fatal_bug(const char *format, ...) { ASSERT(!"tpl: fatal"); }

/* Before main, so that no thread ever sees them change: they are tpl's only global state. */
__attribute__((constructor)) static void hooks_set(void)
{
    tpl_hook.oops = oops_quiet;
    tpl_hook.fatal = fatal_bug;
    tpl_hook.malloc = mem_alloc;
    tpl_hook.realloc = mem_realloc;
    tpl_hook.free = mem_free;
    tpl_hook.gather_max = 1;
}

const char *shape_format(const struct shape *s)
{
    static const char *const formats[] = {"U#", "U#A(U#)", "U#A(U#)A(U#)", "U#A(U#)A(U#)A(U#)", "U#A(U#)A(U#)A(U#)A(U#)"};
    static_assert(ARRAY_LEN(formats) == SHAPE_TABLES_MAX + 1, "a format for each number of tables");
    ASSERT(s->n_tables < ARRAY_LEN(formats));
    return formats[s->n_tables];
}

size_t shape_numbers_at(const struct shape *s) { return PREAMBLE_BYTES + strlen(shape_format(s)) + 1 + 4 * (1 + s->n_tables); }

size_t shape_bytes(const struct shape *s, const unsigned rows[SHAPE_TABLES_MAX])
{
    size_t bytes = shape_numbers_at(s) + 8 * s->numbers;
    for (unsigned t = 0; t < s->n_tables; t++)
        bytes += 4 + (size_t)8 * rows[t] * s->tables[t].columns;
    return bytes;
}

size_t shape_bytes_max(const struct shape *s)
{
    unsigned rows[SHAPE_TABLES_MAX] = {0};
    for (unsigned t = 0; t < s->n_tables; t++)
        rows[t] = s->tables[t].rows_max;
    return shape_bytes(s, rows);
}

static uint32_t take_native32(struct reader *r)
{
    uint32_t v = 0;
    struct bytes b = read_bytes(r, sizeof(v));
    if (r->ok)
        memcpy(&v, b.data, sizeof(v));
    return v;
}

static bool take_exactly(struct reader *r, const void *wanted, size_t len)
{
    return bytes_eq(read_bytes(r, len), bytes_of(wanted, len)) && r->ok;
}

static bool preamble_ok(struct reader *r, size_t image_bytes, const struct shape *s)
{
    const char *format = shape_format(s);
    const uint8_t magic_flags[] = {'t', 'p', 'l', FLAGS_HERE};
    return take_exactly(r, magic_flags, sizeof(magic_flags)) && take_native32(r) == image_bytes &&
           take_exactly(r, format, strlen(format) + 1);
}

static bool counts_ok(struct reader *r, const struct shape *s)
{
    bool ok = take_native32(r) == s->numbers;
    for (unsigned t = 0; t < s->n_tables; t++)
        ok &= take_native32(r) == s->tables[t].columns;
    return ok && r->ok;
}

static bool table_ok(struct reader *r, const struct shape_table *t, unsigned *ret_rows)
{
    uint32_t rows = take_native32(r);
    if (!r->ok || rows > t->rows_max)
        return false;
    read_bytes(r, (size_t)8 * rows * t->columns);
    *ret_rows = rows;
    return r->ok;
}

bool guard_image(struct bytes image, const struct shape *s, unsigned ret_rows[SHAPE_TABLES_MAX])
{
    struct reader r = reader_of(image);
    if (!preamble_ok(&r, image.len, s) || !counts_ok(&r, s))
        return false;
    read_bytes(&r, (size_t)8 * s->numbers);
    for (unsigned t = 0; t < s->n_tables; t++)
        if (!table_ok(&r, &s->tables[t], &ret_rows[t]))
            return false;
    return r.ok && r.rest.len == 0;
}
