/* What /proc tells about a caller: the kernel's requests carry its thread id. */
#ifndef RGKV_FUSE_PROC_H
#define RGKV_FUSE_PROC_H

#include "base/base.h"

#define PROC_BYTES_MAX 4096u

/* /proc/TID/FILE as text; false if it cannot be read. */
MUST_USE bool proc_read(int tid, const char *file, char text[PROC_BYTES_MAX]);
/* Pure: would a caller with this /proc/TID/status act upon a pending signal? */
bool proc_acts(const char *status);
/* Pure: is the task of this /proc/TID/stat exiting (PF_EXITING)? */
bool proc_exiting(const char *stat);
/* A thread that cannot be seen is not exiting. */
bool task_exiting(int tid);
/* The process of a thread; 0: it cannot be seen (any more). */
long task_process(int tid);

#endif
