#include "tests/cluster/history_file.h"

#include <stdlib.h>

static const char *const kinds[] = {[HISTORY_APPEND] = "append", [HISTORY_PUT] = "put", [HISTORY_GET] = "get"};
static const char *const outcomes[] = {[HISTORY_DONE] = "done", [HISTORY_NOT_DONE] = "not-done", [HISTORY_UNKNOWN] = "unknown"};

void history_file_put(FILE *f, const struct history_op *o)
{
    fprintf(f, "%s %s %s %s %llu %llu\n", kinds[o->kind], o->key, o->value && o->value[0] ? o->value : "-", outcomes[o->outcome],
            (unsigned long long)o->begin, (unsigned long long)o->end);
}

static bool word_in(const char *word, const char *const *words, unsigned n, unsigned *ret_at)
{
    for (unsigned i = 0; word && i < n; i++)
        if (words[i] && strcmp(word, words[i]) == 0) {
            *ret_at = i;
            return true;
        }
    return false;
}

static bool time_of(const char *word, uint64_t *ret_us)
{
    char *end;
    if (!word || !*word)
        return false;
    *ret_us = strtoull(word, &end, 10);
    return !*end;
}

static bool take_line(char *line, struct history *h)
{
    char *at = NULL, *words[6];
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        words[i] = strtok_r(i ? NULL : line, " \n", &at);
    unsigned kind, outcome;
    uint64_t begin, end;
    if (strtok_r(NULL, " \n", &at) || !word_in(words[0], kinds, ARRAY_LEN(kinds), &kind) ||
        !word_in(words[3], outcomes, ARRAY_LEN(outcomes), &outcome) || !time_of(words[4], &begin) || !time_of(words[5], &end) ||
        strlen(words[1]) >= sizeof(h->ops->key) || end < begin)
        return false;
    const char *value = strcmp(words[2], "-") == 0 ? "" : words[2];
    unsigned row = history_begin(h, (enum history_kind)kind, words[1], kind == HISTORY_GET ? NULL : value, begin);
    history_end(h, row, (enum history_outcome)outcome, value, end);
    return true;
}

bool history_file_load(FILE *f, struct history *h, struct buf *why)
{
    char *line = NULL;
    size_t cap = 0;
    unsigned number = 0;
    bool fine = true;
    while (fine && getline(&line, &cap, f) > 0) {
        number++;
        fine = take_line(line, h);
    }
    if (!fine)
        buf_printf(why, "line %u is no operation", number);
    else if (ferror(f))
        buf_printf(why, "it cannot be read");
    free(line);
    return fine && !ferror(f);
}
