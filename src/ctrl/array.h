/* Sorted arrays of plain structs: make or close a gap at an index. The memory is the array's owner's. */
#ifndef RGKV_CTRL_ARRAY_H
#define RGKV_CTRL_ARRAY_H

#include "base/base.h"

/* Returns the array, perhaps elsewhere, with a zeroed element at `at`. */
static inline void *array_insert(void *array, unsigned *n, size_t size, unsigned at)
{
    ASSERT(at <= *n);
    uint8_t *grown = mem_realloc(array, (*n + 1) * size);
    memmove(grown + (at + 1) * size, grown + at * size, (*n - at) * size);
    memset(grown + at * size, 0, size);
    *n += 1;
    return grown;
}

static inline void array_remove(void *array, unsigned *n, size_t size, unsigned at)
{
    ASSERT(at < *n);
    uint8_t *bytes = array;
    *n -= 1;
    memmove(bytes + at * size, bytes + (at + 1) * size, (*n - at) * size);
}

static inline void *array_copy(const void *array, size_t n, size_t size)
{
    void *copy = mem_alloc(n * size);
    if (n)
        memcpy(copy, array, n * size);
    return copy;
}

#endif
