/* What is mounted at a path, and taking it down. */
#ifndef RGKV_FUSE_MOUNTPOINT_H
#define RGKV_FUSE_MOUNTPOINT_H

#include "fuse/options.h"

/* The topmost file system at a path, by its device number: of all that are mounted at one time it is the only one with that. */
struct mounted {
    char device[24];               /* "0:57" */
    bool rgkvfs;                   /* one of ours */
};

/* Asks the kernel alone, never the file system that is there: it may be this process, or hang. False: it cannot be told, and
 * *ret_mounted is as it was. */
bool mountpoint_look(const char *path, struct mounted *ret_mounted);
/* Nobody serves what is there (ENOTCONN). */
bool mountpoint_dead(const char *path);
/* Nobody finds the way in any more; who is inside stays. */
void mountpoint_detach(const char *path);
/* May something be mounted there? A dead mount of ours (ENOTCONN) is detached first. INVALID with a sentence. */
MUST_USE enum rgkv_err mountpoint_check(const struct options *o, struct buf *why);

#endif
