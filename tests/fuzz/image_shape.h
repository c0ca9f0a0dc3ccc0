/* The shape that an input of fuzz_image chooses by its first byte. */
#ifndef RGKV_TESTS_FUZZ_IMAGE_SHAPE_H
#define RGKV_TESTS_FUZZ_IMAGE_SHAPE_H

#include "wire/body.h"

static inline struct shape fuzz_image_shape(uint8_t choice)
{
    struct shape s = {.numbers = 1 + (choice >> 3) % 4, .n_tables = choice % (SHAPE_TABLES_MAX + 1)};
    for (unsigned t = 0; t < s.n_tables; t++)
        s.tables[t] = (struct shape_table){.columns = 1 + (choice >> 5) + t, .rows_max = 3 + 5 * t};
    return s;
}

#endif
