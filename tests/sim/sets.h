/* Two objects whose histories are decided by rules instead of search (history.h has the kinds):
 *
 *   a set     names are added, each once, and listed as a whole. All lists form a chain, one within the next; a list holds what was
 *             added before it began and nothing that was not begun; what was added later is in no list without what was added before.
 *   slots     one value of fixed places; each place has one writer, who counts upwards. Reads are comparable in all places at once. */
#ifndef RGKV_TESTS_SETS_H
#define RGKV_TESTS_SETS_H

#include "tests/sim/history.h"

bool sets_check(const struct history_op *const *ops, unsigned n, struct buf *why);
/* A value is a row of "%07u," per slot; a patch's value is "slot:number". */
bool slots_check(const struct history_op *const *ops, unsigned n, struct buf *why);

#endif
