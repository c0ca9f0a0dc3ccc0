/* Histories as files: one operation per line, in any order,
 *
 *     KIND KEY VALUE OUTCOME BEGIN END
 *
 * KIND put, append or get; VALUE without spaces, "-" for the empty one; OUTCOME done, not-done or unknown; times in us of the
 * machine's monotonic clock, so that the files of several loads on it make one history. */
#ifndef RGKV_TESTS_HISTORY_FILE_H
#define RGKV_TESTS_HISTORY_FILE_H

#include <stdio.h>

#include "tests/sim/history.h"

void history_file_put(FILE *f, const struct history_op *o);
/* Adds all lines. false: a sentence with the line's number in `why`. */
bool history_file_load(FILE *f, struct history *h, struct buf *why);

#endif
