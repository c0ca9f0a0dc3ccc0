#include "store/wal_terms.h"

static void push(struct wal_terms *t, uint64_t first_index, uint64_t term)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 8;
        t->runs = mem_realloc(t->runs, t->cap * sizeof(*t->runs));
    }
    t->runs[t->n++] = (struct wal_term_run){first_index, term};
}

void wal_terms_reset(struct wal_terms *t, uint64_t base_index, uint64_t base_term)
{
    t->n = 0;
    push(t, base_index, base_term);
    t->last_index = base_index;
}

void wal_terms_release(struct wal_terms *t)
{
    mem_free(t->runs);
    *t = (struct wal_terms){0};
}

uint64_t wal_terms_base(const struct wal_terms *t) { return t->runs[0].first_index; }

bool wal_terms_has(const struct wal_terms *t, uint64_t index)
{
    return index >= wal_terms_base(t) && index <= t->last_index;
}

/* The run that `index` is in. From the end: what is asked for is nearly always recent. */
static size_t run_of(const struct wal_terms *t, uint64_t index)
{
    size_t i = t->n - 1;
    while (t->runs[i].first_index > index)
        i--;
    return i;
}

uint64_t wal_terms_at(const struct wal_terms *t, uint64_t index)
{
    ASSERT(wal_terms_has(t, index));
    return t->runs[run_of(t, index)].term;
}

void wal_terms_truncate(struct wal_terms *t, uint64_t last_index)
{
    ASSERT(wal_terms_has(t, last_index));
    t->n = run_of(t, last_index) + 1;
    t->last_index = last_index;
}

void wal_terms_put(struct wal_terms *t, uint64_t index, uint64_t term)
{
    ASSERT(index > wal_terms_base(t));
    wal_terms_truncate(t, index - 1);
    if (t->runs[t->n - 1].term != term)
        push(t, index, term);
    t->last_index = index;
}

void wal_terms_forget_before(struct wal_terms *t, uint64_t new_base)
{
    ASSERT(wal_terms_has(t, new_base));
    size_t gone = run_of(t, new_base);
    memmove(t->runs, t->runs + gone, (t->n - gone) * sizeof(*t->runs));
    t->n -= gone;
    t->runs[0].first_index = new_base;
}
