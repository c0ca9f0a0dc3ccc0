#include "tests/sim/history.h"

#include <stdlib.h>

#include "tests/sim/linear.h"
#include "tests/sim/sets.h"

void history_release(struct history *h)
{
    for (unsigned i = 0; i < h->n; i++)
        mem_free(h->ops[i].value);
    mem_free(h->ops);
    *h = (struct history){0};
}

unsigned history_begin(struct history *h, enum history_kind kind, const char *key, const char *value, uint64_t now)
{
    if (h->n == h->cap) {
        h->cap = MAX(256u, h->cap * 2);
        h->ops = mem_realloc(h->ops, h->cap * sizeof(*h->ops));
    }
    struct history_op *o = &h->ops[h->n];
    *o = (struct history_op){.kind = kind, .begin = now, .end = UINT64_MAX, .value = value ? mem_strdup(value) : NULL};
    strncpy(o->key, key, sizeof(o->key) - 1);
    return h->n++;
}

void history_expect(struct history *h, unsigned row, const char *expect)
{
    strncpy(h->ops[row].expect, expect, sizeof(h->ops[row].expect) - 1);
}

void history_missed(struct history *h, unsigned row) { h->ops[row].kind = HISTORY_MISS; }

void history_end(struct history *h, unsigned row, enum history_outcome outcome, const char *read, uint64_t now)
{
    struct history_op *o = &h->ops[row];
    ASSERT(row < h->n && o->outcome == HISTORY_RUNNING);
    o->outcome = outcome;
    if (outcome == HISTORY_DONE)
        o->end = now;
    if (o->kind == HISTORY_GET || o->kind == HISTORY_LIST)
        o->value = mem_strdup(read ? read : "");
}

/* ---- lists ---- */

struct ops {
    const struct history_op **at;
    unsigned n;
};

static const struct history_op *longest_read(const struct ops *ops)
{
    const struct history_op *longest = NULL;
    for (unsigned i = 0; i < ops->n; i++) {
        const struct history_op *o = ops->at[i];
        if (o->kind == HISTORY_GET && o->outcome == HISTORY_DONE && (!longest || strlen(o->value) > strlen(longest->value)))
            longest = o;
    }
    return longest;
}

/* Where an element stands in the value: 0 = nowhere, else its end offset; SIZE_MAX: twice. */
static size_t element_end(const char *value, const char *element)
{
    size_t len = strlen(element);
    const char *first = strstr(value, element);
    while (first && first != value && first[-1] != ',')
        first = strstr(first + 1, element);
    if (!first)
        return 0;
    for (const char *next = strstr(first + len, element); next; next = strstr(next + 1, element))
        if (next[-1] == ',')
            return SIZE_MAX;
    return (size_t)(first - value) + len;
}

static bool list_elements_once(const struct ops *ops, const char *all, size_t *ends, struct buf *why)
{
    size_t total = 0;
    for (unsigned i = 0; i < ops->n; i++) {
        const struct history_op *o = ops->at[i];
        ends[i] = 0;
        if (o->kind != HISTORY_APPEND)
            continue;
        ends[i] = element_end(all, o->value);
        if (ends[i] == SIZE_MAX) {
            buf_printf(why, "%s: the append of %s is there twice", o->key, o->value);
            return false;
        }
        if (ends[i] && o->outcome == HISTORY_NOT_DONE) {
            buf_printf(why, "%s: %s is there though its append was said not to be done", o->key, o->value);
            return false;
        }
        total += ends[i] ? strlen(o->value) : 0;
    }
    if (total != strlen(all)) {
        buf_printf(why, "%s: its value holds something that nobody appended, or half of something: %.200s", ops->at[0]->key, all);
        return false;
    }
    return true;
}

/* Order in real time must be order in the list: of what ended before something began, nothing may stand behind it. */
static bool list_pair(const struct history_op *a, size_t at_a, const struct history_op *b, size_t at_b, struct buf *why)
{
    if (a->end >= b->begin)
        return true;
    bool append_a = a->kind == HISTORY_APPEND, append_b = b->kind == HISTORY_APPEND;
    if (append_b && at_b == 0)
        return true; /* never seen */
    if (append_a && at_a == 0) {
        if (!append_b)
            buf_printf(why, "%s: the acknowledged append of %s is lost", a->key, a->value);
        return append_b;
    }
    bool fine = append_b ? at_a < at_b : at_a <= at_b;
    if (!fine)
        buf_printf(why, "%s: %s %s ended at %llu before %s %s began at %llu, but the value says the other order", a->key,
                   append_a ? "append" : "read up to", append_a ? a->value : "its length", (unsigned long long)a->end,
                   append_b ? "append" : "read up to", append_b ? b->value : "its length", (unsigned long long)b->begin);
    return fine;
}

static bool check_list(const struct ops *ops, struct buf *why)
{
    const struct history_op *longest = longest_read(ops);
    const char *all = longest ? longest->value : "";
    size_t *ends = mem_zalloc(ops->n * sizeof(*ends));
    bool fine = !longest || list_elements_once(ops, all, ends, why);
    for (unsigned i = 0; i < ops->n && fine; i++) {
        const struct history_op *o = ops->at[i];
        if (o->kind == HISTORY_GET && o->outcome == HISTORY_DONE) {
            ends[i] = strlen(o->value);
            fine = strncmp(all, o->value, ends[i]) == 0;
            if (!fine)
                buf_printf(why, "%s: two reads saw different orders: %.200s | %.200s", o->key, o->value, all);
        }
    }
    for (unsigned i = 0; i < ops->n && fine; i++)
        for (unsigned k = 0; k < ops->n && fine; k++)
            if (i != k && ops->at[i]->outcome == HISTORY_DONE &&
                (ops->at[k]->kind == HISTORY_APPEND || ops->at[k]->outcome == HISTORY_DONE))
                fine = list_pair(ops->at[i], ends[i], ops->at[k], ends[k], why);
    mem_free(ends);
    return fine;
}

/* ---- anything else ---- */

static const char *kind_name(enum history_kind kind)
{
    switch (kind) {
    case HISTORY_APPEND: return "append";
    case HISTORY_PUT: return "put";
    case HISTORY_GET: return "get";
    case HISTORY_MOVE: return "move";
    case HISTORY_MISS: return "missed move";
    case HISTORY_ADD: return "add";
    case HISTORY_LIST: return "list";
    case HISTORY_PATCH: return "patch";
    }
    return "?";
}

static bool check_by_search(const struct ops *ops, struct buf *why)
{
    const struct history_op *stuck;
    switch (linear_check(ops->at, ops->n, &stuck)) {
    case LINEAR_FINE: return true;
    case LINEAR_UNDECIDED:
        buf_printf(why, "%s: could not be decided (%u operations)", ops->at[0]->key, ops->n);
        break;
    case LINEAR_WRONG:
        buf_printf(why, "%s: no order of its %u operations explains %s \"%.200s\", from %llu to %llu", ops->at[0]->key, ops->n,
                   kind_name(stuck->kind), stuck->value, (unsigned long long)stuck->begin, (unsigned long long)stuck->end);
        break;
    }
    return false;
}

/* ---- all ---- */

static int by_key(const void *a, const void *b)
{
    const struct history_op *x = *(const struct history_op *const *)a, *y = *(const struct history_op *const *)b;
    int order = strcmp(x->key, y->key);
    return order ? order : x->begin < y->begin ? -1 : x->begin > y->begin;
}

static bool check_key(const struct ops *ops, struct buf *why)
{
    for (unsigned i = 0; i < ops->n; i++)
        switch (ops->at[i]->kind) {
        case HISTORY_PUT: case HISTORY_MOVE: case HISTORY_MISS: return check_by_search(ops, why);
        case HISTORY_ADD: case HISTORY_LIST: return sets_check(ops->at, ops->n, why);
        case HISTORY_PATCH: return slots_check(ops->at, ops->n, why);
        case HISTORY_APPEND: case HISTORY_GET: break;
        }
    return check_list(ops, why);
}

bool history_check(const struct history *h, struct buf *why)
{
    if (h->n == 0)
        return true;
    const struct history_op **sorted = mem_alloc(h->n * sizeof(*sorted));
    for (unsigned i = 0; i < h->n; i++)
        sorted[i] = &h->ops[i];
    qsort(sorted, h->n, sizeof(*sorted), by_key);
    bool fine = true;
    for (unsigned from = 0, to; from < h->n && fine; from = to) {
        for (to = from + 1; to < h->n && strcmp(sorted[from]->key, sorted[to]->key) == 0; to++)
            ;
        struct ops ops = {sorted + from, to - from};
        fine = check_key(&ops, why);
    }
    mem_free(sorted);
    return fine;
}
