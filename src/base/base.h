/* Bugs, errors and memory: what every file of the project includes.
 *
 * A bug ends the process (ASSERT, always compiled in). Whatever the world can do (disk, peers, users) is
 * an enum rgkv_err: 0 is success, the table below gives each its name, its errno and its sentence.
 * Memory for bounded, small things that cannot be had ends the process with a sentence too: a replica that
 * is short of memory is worth less than one that restarts. */
#ifndef RGKV_BASE_BASE_H
#define RGKV_BASE_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/param.h> /* MIN, MAX */

#include "base/limits.h"

#define ASSERT(condition) \
    ((condition) ? (void)0 : base_fail(__FILE__, __LINE__, __func__, #condition))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(format_at, args_at) __attribute__((format(printf, format_at, args_at)))

_Noreturn void base_fail(const char *file, int line, const char *function, const char *condition);

/* Called by base_fail before the process ends (dumps a trace ring); may be NULL. */
extern void (*base_fail_hook)(void);

/*      name              errno         sentence                                                        */
#define RGKV_ERRORS(X)                                                                                   \
    X(OK,                 0,            "done")                                                          \
    X(NOT_FOUND,          ENOENT,       "no such key")                                                   \
    X(EXISTS,             EEXIST,       "it exists already")                                             \
    X(NOT_DIR,            ENOTDIR,      "a component of the path is not a directory")                    \
    X(IS_DIR,             EISDIR,       "it is a directory")                                             \
    X(NOT_EMPTY,          ENOTEMPTY,    "the directory is not empty")                                    \
    X(NAME_TOO_LONG,      ENAMETOOLONG, "a component is over 255 bytes or the key over 1024")            \
    X(INVALID,            EINVAL,       "the request is malformed")                                      \
    X(RANGE,              ERANGE,       "a number is out of range")                                      \
    X(TOO_LARGE,          EFBIG,        "the value is larger than the limit")                            \
    X(NO_SPACE,           ENOSPC,       "a disk of the group is full")                                   \
    X(STALE,              ESTALE,       "that version of the value is gone")                             \
    X(VERSION,            EAGAIN,       "the key has another version than the one asked for")            \
    X(CROSS_SHARD,        EXDEV,        "source and target are in different shards")                     \
    X(NOT_PERMITTED,      EPERM,        "that is not supported on this file system")                     \
    X(LOOP,               EINVAL,       "a directory cannot be moved below itself")                      \
    X(BUSY,               EBUSY,        "too much is in flight, or the object is in use")                \
    X(NOT_LEADER,         EHOSTDOWN,    "this member does not lead its group")                           \
    X(WRONG_GROUP,        EHOSTDOWN,    "this group does not hold the shard")                            \
    X(MOVING,             EHOSTDOWN,    "the shard is moving to another group")                          \
    X(NO_GROUP,           EHOSTDOWN,    "no group has joined yet: the cluster holds no shards")          \
    X(UNREACHABLE,        EHOSTDOWN,    "no leader of the group could be reached; nothing was applied")  \
    X(UNKNOWN,            ETIMEDOUT,    "no answer within the timeout; it may or may not be applied")    \
    X(CANCELLED,          EINTR,        "interrupted by a signal")                                       \
    X(SESSION_EXPIRED,    ETIMEDOUT,    "the session expired; whether it was applied is unknown")        \
    X(SESSION_OLD,        ETIMEDOUT,    "the request was given up earlier by its client")                \
    X(WRONG_CLUSTER,      EHOSTDOWN,    "that node belongs to another cluster")                          \
    X(PROTOCOL,           EPROTO,       "the peer does not speak this protocol")                         \
    X(DAMAGED,            EIO,          "stored data is damaged")                                        \
    X(IO,                 EIO,          "the disk failed")                                               \
    X(NO_MEMORY,          ENOMEM,       "out of memory")                                                 \
    X(CONFLICT,           EBUSY,        "it is used by another process or in another role")              \
    X(STOPPED,            ESHUTDOWN,    "the service is stopping")                                       \
    X(NO_DATA,            ENODATA,      "there is no such extended attribute")                           \
    X(PENDING,            ETIMEDOUT,    "it is under way; how it ends is not known yet")                 \
    X(FULL,               ENOSPC,       "its extended attributes are full, or a disk where it would go to")

enum rgkv_err {
#define X(name, number, sentence) RGKV_##name,
    RGKV_ERRORS(X)
#undef X
    RGKV_ERR_COUNT
};

const char *rgkv_err_name(enum rgkv_err err);     /* "NOT_FOUND" */
int rgkv_err_errno(enum rgkv_err err);            /* ENOENT */
const char *rgkv_err_sentence(enum rgkv_err err); /* "no such key" */

/* Memory that is always there, or the process ends with a sentence. mem_free(NULL) is fine. */
void *mem_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t bytes) __attribute__((returns_nonnull));
char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull));
void mem_free(void *p);

#endif
