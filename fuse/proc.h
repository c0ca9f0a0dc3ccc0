/* What /proc tells about a caller: the kernel's requests carry its thread id. */
#ifndef RGKV_FUSE_PROC_H
#define RGKV_FUSE_PROC_H

#include "base/bytes.h"

#define PROC_BYTES_MAX (1u << 20) /* of a status: a process may be in 65,536 groups, and they come before its signals */

/* All of /proc/TID/FILE as text with a NUL; false if it cannot be read. The caller releases it in any case. */
MUST_USE bool proc_read(int tid, const char *file, struct buf *out);
/* Pure: would a caller with this /proc/TID/status act upon a pending signal? If the signals are not told it is believed to. */
bool proc_acts(const char *status);
/* Pure: is the task of this /proc/TID/stat exiting (PF_EXITING)? */
bool proc_exiting(const char *stat);
/* A thread that cannot be seen is not exiting. */
bool task_exiting(int tid);
/* The process of a thread; 0: it cannot be seen (any more). */
long task_process(int tid);

#endif
