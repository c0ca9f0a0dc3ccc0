/* What clients did and saw, and whether one order of all of it explains it (linearizability).
 *
 * A key that is only appended to, with unique elements "e12,", is a *list*: its value names the order of all appends, so the
 * check is exact and cheap. Sets and slots have rules of their own (sets.h). Any other key is decided by search (linear.h). A history that cannot be decided within bounds
 * counts as a failure. */
#ifndef RGKV_TESTS_HISTORY_H
#define RGKV_TESTS_HISTORY_H

#include "base/bytes.h"

enum history_kind {
    HISTORY_APPEND, HISTORY_PUT, HISTORY_GET,
    HISTORY_MOVE,              /* puts `value` if it was `expect`, else nothing happens: a rename */
    HISTORY_MISS,              /* … that found that it was not */
    HISTORY_ADD, HISTORY_LIST, /* sets.h */
    HISTORY_PATCH,             /* sets.h, read by GET */
};
#define HISTORY_SLOT_BYTES 8u
#define HISTORY_SLOTS_MAX 16u
enum history_outcome { HISTORY_RUNNING, HISTORY_DONE, HISTORY_NOT_DONE, HISTORY_UNKNOWN };

struct history_op {
    enum history_kind kind;
    enum history_outcome outcome;
    char key[32];
    char *value;               /* PUT, APPEND: what was written; GET: what was read ("" = no such key) */
    char expect[32];           /* MOVE */
    uint64_t begin, end;       /* times; `end` of what is not DONE is for ever */
};
struct history {
    struct history_op *ops;
    unsigned n, cap;
};
void history_release(struct history *h);
unsigned history_begin(struct history *h, enum history_kind kind, const char *key, const char *value, uint64_t now);
void history_expect(struct history *h, unsigned row, const char *expect);
void history_missed(struct history *h, unsigned row); /* before it is ended: a MOVE that found something else */
void history_end(struct history *h, unsigned row, enum history_outcome outcome, const char *read, uint64_t now);
/* true: linearizable; else a sentence in `why`. */
bool history_check(const struct history *h, struct buf *why);

#endif
