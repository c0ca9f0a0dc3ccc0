#include "tests/unit/wal_model.h"

void wal_model_release(struct wal_model *m)
{
    mem_free(m->terms);
    *m = (struct wal_model){0};
}

void wal_model_copy(struct wal_model *to, const struct wal_model *from)
{
    uint64_t *terms = mem_realloc(to->terms, from->cap * sizeof(*terms));
    if (from->n)
        memcpy(terms, from->terms, from->n * sizeof(*terms));
    *to = *from;
    to->terms = terms;
}

uint64_t wal_model_last(const struct wal_model *m) { return m->base + m->n; }

uint64_t wal_model_term(const struct wal_model *m, uint64_t index)
{
    ASSERT(index >= m->base && index <= wal_model_last(m));
    return index == m->base ? m->base_term : m->terms[index - m->base - 1];
}

void wal_model_put(struct wal_model *m, uint64_t index, uint64_t term)
{
    ASSERT(index > m->base && index <= wal_model_last(m) + 1);
    m->n = index - m->base;
    if (m->n > m->cap) {
        m->cap = m->n * 2;
        m->terms = mem_realloc(m->terms, m->cap * sizeof(*m->terms));
    }
    m->terms[m->n - 1] = term;
}

void wal_model_reset(struct wal_model *m, uint64_t index, uint64_t term)
{
    m->base = index;
    m->base_term = term;
    m->n = 0;
    m->hard_state.commit = index;
}

struct blob *wal_model_payload(uint64_t index, uint64_t term)
{
    struct prng p;
    prng_init(&p, index * 1000003 + term);
    struct blob *b = blob_alloc(prng_chance(&p, 1, 10) ? prng_below(&p, 3000) : prng_below(&p, 60));
    for (size_t i = 0; i < b->len; i++)
        b->data[i] = (uint8_t)prng_next(&p);
    return b;
}

static enum raft_entry_kind kind_of(uint64_t index) { return index % 7 == 0 ? RAFT_CONFIG : RAFT_COMMAND; }

void wal_model_append(struct wal_model *m, struct wal_batch *b, uint64_t index, unsigned n, uint64_t term)
{
    for (unsigned i = 0; i < n; i++) {
        struct raft_entry e = {.index = index + i, .term = term, .kind = kind_of(index + i), .payload = wal_model_payload(index + i, term)};
        wal_batch_add(b, &e, 1, NULL, true);
        wal_model_put(m, e.index, e.term);
        blob_unref(e.payload);
    }
}

static bool entry_matches(const struct wal_model *m, const struct raft_entry *e)
{
    if (e->index <= m->base)
        return true; /* forgotten by the model: nothing to compare with */
    if (e->index > wal_model_last(m) || e->term != wal_model_term(m, e->index) || e->kind != kind_of(e->index))
        return false;
    struct blob *payload = wal_model_payload(e->index, e->term);
    bool same = bytes_eq(blob_bytes(payload), blob_bytes(e->payload));
    blob_unref(payload);
    return same;
}

bool wal_model_is_prefix(const struct wal_model *m, const struct wal_recovered *r)
{
    for (unsigned i = 0; i < r->n_entries; i++) {
        if (r->entries[i].index != r->compacted_index + 1 + i || !entry_matches(m, &r->entries[i]))
            return false;
    }
    return r->compacted_index < m->base || r->compacted_index > wal_model_last(m) ||
           r->compacted_term == wal_model_term(m, r->compacted_index);
}

bool wal_model_matches(const struct wal_model *m, const struct wal_recovered *r)
{
    return r->compacted_index + r->n_entries == wal_model_last(m) && r->compacted_index <= MAX(m->base, wal_model_last(m)) &&
           r->hard_state.term == m->hard_state.term && r->hard_state.vote == m->hard_state.vote &&
           r->hard_state.commit == m->hard_state.commit && wal_model_is_prefix(m, r);
}
