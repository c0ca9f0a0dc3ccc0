/* An open directory, listed in rounds as it is read. Below the root a round is one page of names; the root is spread over all shards, and
 * a round is a small page of each that has more. The first round asks all of them, many at once, before the first entry is given
 * out; if one cannot be reached the listing fails: never a silently short list.
 *
 * A cookie is an ordinal in the order in which names came. Pages go on behind the last name of the one before, so whatever others create or
 * remove meanwhile, a name that stays is listed once. Memory holds the last two rounds; who seeks back behind them has the directory listed
 * again up to there (as if it were opened anew), and going back to 0 lists afresh. */
#ifndef RGKV_FUSE_DIRHANDLE_H
#define RGKV_FUSE_DIRHANDLE_H

#include "fuse/call.h"

struct dir_entry {
    size_t name_at;                /* in `names`, ends with a NUL */
    uint64_t ino;
    enum kv_type type;
};
struct dir_part;
struct dirhandle {
    struct mount *m;
    struct inode *node;            /* a reference */
    uint64_t base;                 /* ordinal of entries[0] */
    unsigned n, cap, round_at;     /* round_at: where the last round begins; n, if it was undone */
    struct dir_entry *entries;
    struct buf names;
    bool complete;                 /* nothing more to list */
    bool released;
    unsigned generation;           /* answers to a listing that was given up are not for this one */
    uint32_t n_parts, next_part;   /* shards of the root; else one */
    struct dir_part *parts;
    unsigned asked;                /* parts that were asked and have not answered */
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
/* Lists one round more: afterwards there are more entries or it is complete, or an error. `then` is called from the loop, or at once if the
 * directory has no path any more (NOT_FOUND). */
void dirhandle_more(struct dirhandle *d, struct dir_call *c, void (*then)(struct call *c, enum rgkv_err err, const char *why));

#endif
