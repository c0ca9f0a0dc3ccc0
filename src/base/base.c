#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

void (*base_fail_hook)(void);

_Noreturn void base_fail(const char *file, int line, const char *function, const char *condition)
{
    fprintf(stderr, "rgkv: bug: %s:%d: %s: %s does not hold\n", file, line, function, condition);
    if (base_fail_hook)
        base_fail_hook();
    abort();
}

static const struct {
    const char *name;
    int number;
    const char *sentence;
} errors[] = {
#define X(name, number, sentence) {#name, number, sentence},
    RGKV_ERRORS(X)
#undef X
};

static size_t error_row(enum rgkv_err err)
{
    ASSERT((size_t)err < ARRAY_LEN(errors));
    return (size_t)err;
}

const char *rgkv_err_name(enum rgkv_err err) { return errors[error_row(err)].name; }
int rgkv_err_errno(enum rgkv_err err) { return errors[error_row(err)].number; }
const char *rgkv_err_sentence(enum rgkv_err err) { return errors[error_row(err)].sentence; }

static void *checked(void *p, size_t bytes)
{
    if (p)
        return p;
    fprintf(stderr, "rgkv: out of memory (%zu bytes)\n", bytes);
    abort();
}

void *mem_alloc(size_t bytes) { return checked(malloc(bytes ? bytes : 1), bytes); }

/* Small blocks not by calloc: glibc's takes none of those that the thread keeps at hand for malloc. Large ones by it, for they may
 * come from the kernel and be zero. */
#define CLEARED_HERE_BYTES_MAX 1024u
void *mem_zalloc(size_t bytes)
{
    return bytes <= CLEARED_HERE_BYTES_MAX ? memset(mem_alloc(bytes), 0, bytes) : checked(calloc(1, bytes), bytes);
}

void *mem_realloc(void *p, size_t bytes) { return checked(realloc(p, bytes ? bytes : 1), bytes); }
void mem_free(void *p) { free(p); }

char *mem_strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    return memcpy(mem_alloc(bytes), text, bytes);
}
