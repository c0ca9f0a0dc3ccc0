/* What this process asks of the system for itself: descriptors, memory, the loop's priority, an end with its parent. */
#ifndef RGKVD_PROCESS_H
#define RGKVD_PROCESS_H

#include "rgkvd/options.h"

void process_prepare(void);                        /* first: signals, as many descriptors as the system allows */
/* True: whoever started this process is gone already. The signal comes when the parent's starting thread ends. */
bool process_orphaned(const struct options *o);
/* Before anything large is allocated: memory that was used stays, and what --prefault asks for is touched. */
void process_memory(const struct options *o);
/* Of the calling thread alone, and of those that it starts later. NOT_PERMITTED with a sentence; then nothing changed. */
MUST_USE enum rgkv_err process_nice(int nice, struct buf *why);
/* Would that put the calling thread before those that it has started? It is tried, and undone. */
bool process_nice_raises(int nice);

#endif
