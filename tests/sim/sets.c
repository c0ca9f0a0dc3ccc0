#include "tests/sim/sets.h"

#include <stdlib.h>

/* ---- sets ---- */

static bool holds(const struct history_op *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = strstr(list->value, name); at; at = strstr(at + 1, name))
        if ((at == list->value || at[-1] == ',') && at[len] == ',')
            return true;
    return false;
}

static unsigned names_count(const struct history_op *list)
{
    unsigned n = 0;
    for (const char *at = list->value; (at = strchr(at, ',')); at++)
        n++;
    return n;
}

static bool is_list(const struct history_op *o) { return o->kind == HISTORY_LIST && o->outcome == HISTORY_DONE; }
static bool is_add(const struct history_op *o) { return o->kind == HISTORY_ADD; }

static bool list_is_right(const struct history_op *const *ops, unsigned n, const struct history_op *list, struct buf *why)
{
    unsigned known = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct history_op *o = ops[i];
        if (!is_add(o))
            continue;
        bool there = holds(list, o->value);
        known += there;
        if (there ? o->outcome == HISTORY_NOT_DONE || o->begin > list->end : o->outcome == HISTORY_DONE && o->end < list->begin) {
            buf_printf(why, "%s: %s is %s in a list from %llu to %llu", o->key, o->value, there ? "" : "not", (unsigned long long)list->begin,
                       (unsigned long long)list->end);
            return false;
        }
    }
    if (known != names_count(list))
        buf_printf(why, "%s: a list holds what nobody added, or something twice: %.200s", list->key, list->value);
    return known == names_count(list);
}

static bool lists_contradict(const struct history_op *a, const struct history_op *b, struct buf *why)
{
    buf_printf(why, "%s: no order explains two lists: %.200s (from %llu to %llu) and %.200s (from %llu to %llu)", a->key, a->value,
               (unsigned long long)a->begin, (unsigned long long)a->end, b->value, (unsigned long long)b->begin, (unsigned long long)b->end);
    return false;
}

/* `less` has no more names than `more`: all of them must be there. */
static bool lists_are_a_chain(const struct history_op *const *ops, unsigned n, const struct history_op *less, const struct history_op *more,
                              struct buf *why)
{
    for (unsigned i = 0; i < n; i++)
        if (is_add(ops[i]) && holds(less, ops[i]->value) && !holds(more, ops[i]->value))
            return lists_contradict(less, more, why);
    return true;
}

static bool lists_in_time(const struct history_op *less, const struct history_op *more, struct buf *why)
{
    return less->begin <= more->end || strlen(less->value) == strlen(more->value) || lists_contradict(less, more, why);
}

static bool added_in_order(const struct history_op *const *ops, unsigned n, const struct history_op *list, struct buf *why)
{
    uint64_t newest_begin = 0;
    for (unsigned i = 0; i < n; i++)
        if (is_add(ops[i]) && holds(list, ops[i]->value))
            newest_begin = MAX(newest_begin, ops[i]->begin);
    for (unsigned i = 0; i < n; i++)
        if (is_add(ops[i]) && ops[i]->outcome == HISTORY_DONE && ops[i]->end < newest_begin && !holds(list, ops[i]->value)) {
            buf_printf(why, "%s: a list lacks %s, but holds what was added after it", list->key, ops[i]->value);
            return false;
        }
    return true;
}

static int by_count(const void *a, const void *b)
{
    const struct history_op *x = *(const struct history_op *const *)a, *y = *(const struct history_op *const *)b;
    unsigned nx = names_count(x), ny = names_count(y);
    return nx != ny ? (nx < ny ? -1 : 1) : x->begin < y->begin ? -1 : x->begin > y->begin;
}

bool sets_check(const struct history_op *const *ops, unsigned n, struct buf *why)
{
    const struct history_op **lists = mem_alloc((n + 1) * sizeof(*lists));
    unsigned n_lists = 0;
    bool fine = true;
    for (unsigned i = 0; i < n; i++)
        if (is_list(ops[i]))
            lists[n_lists++] = ops[i];
    qsort(lists, n_lists, sizeof(*lists), by_count);
    for (unsigned i = 0; i < n_lists && fine; i++)
        fine = list_is_right(ops, n, lists[i], why) && added_in_order(ops, n, lists[i], why);
    for (unsigned i = 1; i < n_lists && fine; i++)
        fine = lists_are_a_chain(ops, n, lists[i - 1], lists[i], why);
    for (unsigned i = 0; i < n_lists && fine; i++)
        for (unsigned k = i + 1; k < n_lists && fine; k++)
            fine = lists_in_time(lists[i], lists[k], why);
    mem_free(lists);
    return fine;
}

/* ---- slots ---- */

static bool is_read(const struct history_op *o) { return o->kind == HISTORY_GET && o->outcome == HISTORY_DONE; }
static unsigned slots_of(const struct history_op *read) { return (unsigned)(strlen(read->value) / HISTORY_SLOT_BYTES); }
static unsigned long slot(const struct history_op *read, unsigned i) { return strtoul(read->value + i * HISTORY_SLOT_BYTES, NULL, 10); }

static void patch_of(const struct history_op *o, unsigned *ret_slot, unsigned long *ret_number)
{
    char *end;
    *ret_slot = (unsigned)strtoul(o->value, &end, 10);
    *ret_number = strtoul(end + 1, NULL, 10);
}

static bool read_fits(const struct history_op *const *ops, unsigned n, const struct history_op *read, struct buf *why)
{
    unsigned long begun[HISTORY_SLOTS_MAX] = {0};
    for (unsigned i = 0; i < n; i++) {
        unsigned at;
        unsigned long number;
        if (ops[i]->kind != HISTORY_PATCH)
            continue;
        patch_of(ops[i], &at, &number);
        if (at < HISTORY_SLOTS_MAX && ops[i]->begin <= read->end && ops[i]->outcome != HISTORY_NOT_DONE)
            begun[at] = MAX(begun[at], number);
        if (ops[i]->outcome != HISTORY_DONE || ops[i]->end >= read->begin)
            continue;
        if (at >= slots_of(read)) {
            buf_printf(why, "%s: patch %s was acknowledged, but a later read ends before it: %.200s", read->key, ops[i]->value, read->value);
            return false;
        }
        if (slot(read, at) < number) {
            buf_printf(why, "%s: patch %s was acknowledged, but a later read has %lu there", read->key, ops[i]->value, slot(read, at));
            return false;
        }
    }
    for (unsigned i = 0; i < slots_of(read) && i < HISTORY_SLOTS_MAX; i++)
        if (slot(read, i) > begun[i]) {
            buf_printf(why, "%s: a read has %lu in place %u, which nobody wrote", read->key, slot(read, i), i);
            return false;
        }
    return true;
}

/* Places are never taken away: who has fewer of them saw less. */
static bool reads_comparable(const struct history_op *a, const struct history_op *b, struct buf *why)
{
    bool less = slots_of(a) < slots_of(b), more = slots_of(a) > slots_of(b);
    for (unsigned i = 0; i < MIN(slots_of(a), slots_of(b)); i++) {
        less |= slot(a, i) < slot(b, i);
        more |= slot(a, i) > slot(b, i);
    }
    bool fine = !(less && more) && !(more && a->end < b->begin) && !(less && b->end < a->begin);
    if (!fine)
        buf_printf(why, "%s: no order explains two reads: %.200s and %.200s", a->key, a->value, b->value);
    return fine;
}

bool slots_check(const struct history_op *const *ops, unsigned n, struct buf *why)
{
    bool fine = true;
    for (unsigned i = 0; i < n && fine; i++) {
        fine = !is_read(ops[i]) || read_fits(ops, n, ops[i], why);
        for (unsigned k = i + 1; k < n && fine && is_read(ops[i]); k++)
            fine = !is_read(ops[k]) || reads_comparable(ops[i], ops[k], why);
    }
    return fine;
}
