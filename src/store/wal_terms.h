/* Which term each entry of the log has, as runs: a handful of numbers, however long the log. The log needs it to begin
 * a segment (term of the base) without keeping the entries. */
#ifndef RGKV_STORE_WAL_TERMS_H
#define RGKV_STORE_WAL_TERMS_H

#include "base/base.h"

struct wal_term_run {
    uint64_t first_index, term;
};

struct wal_terms {
    struct wal_term_run *runs; /* runs[0] begins at the base: the entry before the first */
    size_t n, cap;
    uint64_t last_index;       /* == the base if there are no entries */
};

void wal_terms_reset(struct wal_terms *t, uint64_t base_index, uint64_t base_term);
void wal_terms_release(struct wal_terms *t);
uint64_t wal_terms_base(const struct wal_terms *t);
bool wal_terms_has(const struct wal_terms *t, uint64_t index);    /* base … last */
uint64_t wal_terms_at(const struct wal_terms *t, uint64_t index); /* index must be there */
/* Replaces the entry at `index` and all after it. base < index <= last + 1. */
void wal_terms_put(struct wal_terms *t, uint64_t index, uint64_t term);
void wal_terms_truncate(struct wal_terms *t, uint64_t last_index);
void wal_terms_forget_before(struct wal_terms *t, uint64_t new_base);

#endif
