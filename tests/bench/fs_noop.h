/* FUSE file systems that do nothing by themselves: what a mount costs that has no work to do. One loop in a child process, and nothing is cached, as on
 * the mount that is compared with them.
 *
 *   no-op   answers every request at once and keeps nothing
 *   bare    puts the questions of client_load to the cluster, and answers what the no-op does when they are answered: a process that waits on two
 *           sides, which no mount of this cluster can do without */
#ifndef RGKV_TESTS_BENCH_FS_NOOP_H
#define RGKV_TESTS_BENCH_FS_NOOP_H

#include <sys/types.h>

#include "base/base.h"

/* Its process; returns when it is mounted. controllers NULL: the no-op, else "A,B,C". -1: it could not be. */
pid_t fs_noop_start(const char *dir, const char *controllers, size_t bytes);
void fs_noop_stop(pid_t pid);

#endif
