/* Whether one order of operations on a key explains what was read: put, appended to and read, in any mix. By search, so a
 * history may turn out undecidable within the bound of steps; lists that are only appended to have an exact check in history.c. */
#ifndef RGKV_TESTS_LINEAR_H
#define RGKV_TESTS_LINEAR_H

#include "tests/sim/history.h"

#define LINEAR_STEPS_MAX 2000000u

enum linear_verdict { LINEAR_FINE, LINEAR_WRONG, LINEAR_UNDECIDED };
/* `ops`: all of one key. WRONG: *ret_stuck is the operation that ended first among those that fit in nowhere. */
enum linear_verdict linear_check(const struct history_op *const *ops, unsigned n, const struct history_op **ret_stuck);

#endif
