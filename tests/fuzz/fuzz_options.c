/* Input: words of a command line, one a line: of rgkvd, or (FUZZ_MOUNT) of rgkvfs. */
#include "tests/fuzz/fuzz.h"

#ifdef FUZZ_MOUNT
#include "fuse/options.h"
#else
#include "rgkvd/options.h"
#endif

#include <stdlib.h>

#define WORDS_MAX 64

static int split(char *text, size_t size, char *words[static WORDS_MAX + 1])
{
    int n = 0;
    for (size_t at = 0; at < size && n < WORDS_MAX; at += strlen(text + at) + 1)
        words[n++] = text + at;
    words[n] = NULL;
    return n;
}

static void parse(char *text, size_t size)
{
    static struct options o;
    char *words[WORDS_MAX + 1];
    struct buf why = {0};
    int n = split(text, size, words);
    if (n) {
        enum rgkv_err err = options_parse(n, words, &o, &why);
        ASSERT(!err || why.len);
#ifdef FUZZ_MOUNT
        struct buf out = {0};
        if (!err)
            options_print(&o, &out);
        buf_release(&out);
#endif
    }
    buf_release(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        text[i] = data[i] == '\n' ? 0 : (char)data[i];
    text[size] = 0;
    parse(text, size);
    free(text);
    return 0;
}
