/* An open directory: the entries that were listed so far, in the order in which they came. A cookie is an ordinal in that
 * list, so it stays good for as long as the directory is open; going back to 0 lists afresh.
 *
 * Below the root a directory is listed page by page as it is read. The root is spread over all shards: all are asked, many at once,
 * before the first entry is given out, and if one cannot be reached the listing fails: never a silently short list. */
#ifndef RGKV_FUSE_DIRHANDLE_H
#define RGKV_FUSE_DIRHANDLE_H

#include "fuse/call.h"

struct dir_entry {
    size_t name_at;                /* in `names`, ends with a NUL */
    uint64_t ino;
    enum kv_type type;
};
struct dirhandle {
    struct mount *m;
    struct inode *node;            /* a reference */
    unsigned n, cap;
    struct dir_entry *entries;
    struct buf names;
    bool complete;                 /* nothing more to list */
    bool released;
    unsigned generation;           /* answers to a listing that was given up are not for this one */
    /* listing the root */
    uint32_t next_shard;
    unsigned asked;                /* shards that were asked and have not answered to the end */
    enum rgkv_err failed;
    char why[160];
    struct call *waiter;           /* the call that waits for more */
    void (*then)(struct call *c, enum rgkv_err err, const char *why);
};

struct dir_call {                  /* the head of calls that wait for a listing */
    struct call call;
    struct dirhandle *d;
};

struct dirhandle *dirhandle_new(struct mount *m, struct inode *n);
struct dirhandle *dirhandle_of(const struct fuse_file_info *fi);
void dirhandle_released(struct dirhandle *d);
void dirhandle_rewind(struct dirhandle *d);
const char *dirhandle_name(const struct dirhandle *d, unsigned i);
/* Lists more: afterwards there are more entries or it is complete, or an error. `then` is called from the loop. */
void dirhandle_more(struct dirhandle *d, struct dir_call *c, void (*then)(struct call *c, enum rgkv_err err, const char *why));

#endif
