#include "tests/unit/wire_frame.h"

#include <stdlib.h>

#define IMAGE_FORMAT_AT 8u

uint8_t *exact_copy(struct bytes b)
{
    uint8_t *copy = malloc(b.len ? b.len : 1);
    ASSERT(copy);
    if (b.len)
        memcpy(copy, b.data, b.len);
    return copy;
}

void le32_set(uint8_t *to, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

uint32_t le32_get(const uint8_t *from)
{
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

void le64_set(uint8_t *to, uint64_t v)
{
    le32_set(to, (uint32_t)v);
    le32_set(to + 4, (uint32_t)(v >> 32));
}

uint64_t le64_get(const uint8_t *from) { return le32_get(from) | (uint64_t)le32_get(from + 4) << 32; }

void frame_reseal(uint8_t *frame, size_t frame_bytes)
{
    uint8_t around[40];
    memcpy(around, frame, 32);
    memcpy(around + 32, frame + 40, 8);
    uint64_t seed = hash64(bytes_of(around, sizeof(around)));
    le64_set(frame + 32, hash64_seeded(bytes_of(frame + 48, frame_bytes - 48), seed));
}

void manifest_reseal(uint8_t *file, size_t file_bytes)
{
    uint64_t seed = hash64(bytes_of(file, 16));
    le64_set(file + 16, hash64_seeded(bytes_of(file + 24, file_bytes - 24), seed));
}

/* ---- images ---- */

static unsigned format_tables(const char *format)
{
    unsigned n = 0;
    for (; *format; format++)
        n += *format == 'A';
    return n;
}

static size_t counts_at(const uint8_t *image) { return IMAGE_FORMAT_AT + strlen((const char *)image + IMAGE_FORMAT_AT) + 1; }
static unsigned image_tables(const uint8_t *image) { return format_tables((const char *)image + IMAGE_FORMAT_AT); }
static size_t numbers_at(const uint8_t *image) { return counts_at(image) + 4 * (1 + image_tables(image)); }
static uint32_t image_numbers(const uint8_t *image) { return le32_get(image + counts_at(image)); }
static uint32_t image_columns(const uint8_t *image, unsigned table) { return le32_get(image + counts_at(image) + 4 * (1 + table)); }

uint8_t *frame_number(uint8_t *frame, unsigned i)
{
    uint8_t *image = frame + FRAME_HEADER_BYTES;
    ASSERT(i < image_numbers(image));
    return image + numbers_at(image) + (size_t)8 * i;
}

uint8_t *frame_row_count(uint8_t *frame, unsigned table)
{
    uint8_t *image = frame + FRAME_HEADER_BYTES;
    uint8_t *at = image + numbers_at(image) + (size_t)8 * image_numbers(image);
    for (unsigned t = 0; t < table; t++)
        at += 4 + (size_t)8 * le32_get(at) * image_columns(image, t);
    return at;
}

bool image_fix(uint8_t *in, size_t in_bytes, struct bytes model, size_t *ret_image_bytes)
{
    size_t preamble = numbers_at(model.data), at = preamble + (size_t)8 * image_numbers(model.data);
    unsigned tables = image_tables(model.data);
    if (at + 4 * tables > in_bytes)
        return false;
    memcpy(in, model.data, preamble);
    for (unsigned t = 0; t < tables; t++) {
        size_t row_bytes = (size_t)8 * image_columns(in, t), later = 4 * (tables - t);
        uint32_t rows = le32_get(in + at) % (uint32_t)((in_bytes - at - later) / row_bytes + 1);
        le32_set(in + at, rows);
        at += 4 + rows * row_bytes;
    }
    le32_set(in + 4, (uint32_t)at);
    *ret_image_bytes = at;
    return true;
}
