/* What a write-ahead log ought to hold, in the plainest form, for the tests of the log. */
#ifndef RGKV_TESTS_WAL_MODEL_H
#define RGKV_TESTS_WAL_MODEL_H

#include "base/prng.h"
#include "store/wal.h"

struct wal_model {
    struct raft_hard_state hard_state; /* of the last batch that had to be synced */
    uint64_t base, base_term;
    uint64_t n;                        /* entries base + 1 … base + n */
    uint64_t *terms;                   /* terms[i]: of entry base + 1 + i */
    size_t cap;
};

void wal_model_release(struct wal_model *m);
void wal_model_copy(struct wal_model *to, const struct wal_model *from);
uint64_t wal_model_last(const struct wal_model *m);
uint64_t wal_model_term(const struct wal_model *m, uint64_t index);
void wal_model_put(struct wal_model *m, uint64_t index, uint64_t term);
void wal_model_reset(struct wal_model *m, uint64_t index, uint64_t term);

/* The payload of entry (index, term) is always the same: length and content follow from them. */
struct blob *wal_model_payload(uint64_t index, uint64_t term);
/* Adds n entries from `index` on, all of `term`, to the batch and to the model. */
void wal_model_append(struct wal_model *m, struct wal_batch *b, uint64_t index, unsigned n, uint64_t term);

/* Is the recovered log the model's, at least from the later of the two bases on? Payloads are compared. */
bool wal_model_matches(const struct wal_model *m, const struct wal_recovered *r);
/* Is each recovered entry one of the model's, and is it without gaps from its base on? */
bool wal_model_is_prefix(const struct wal_model *m, const struct wal_recovered *r);

#endif
