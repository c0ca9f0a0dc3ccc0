/* An open file: what is staged on it, the commit that carries it to the store, and the version that it reads.
 *
 *     writes ──▶ stage ──handle_commit──▶ flying ──answered──▶ gone, or back under the stage and `failed`
 *
 * At most one commit of a handle is under way; what is written meanwhile goes into the stage and the next commit. After a failed commit
 * nothing is sent by flush, release or silence, for the caller was told that it failed; the next write tries again, but for ranges that may
 * have been written (P28: nothing under a new identity). */
#ifndef RGKV_FUSE_HANDLE_H
#define RGKV_FUSE_HANDLE_H

#include "fuse/call.h"
#include "fuse/pin.h"
#include "fuse/stage.h"

struct ahead;
struct handle_wait;
struct spill;

struct handle {
    struct mount *m;
    struct inode *node;            /* a reference */
    int flags;                     /* of open(2) */
    uint32_t mode, uid, gid;       /* of the creation */
    bool created;                  /* a creation that is staged: the store does not have the file yet */
    bool known;                    /* the store had the file: an Append must find it */
    uint64_t ino;                  /* the store's number of that file; 0: not told */
    bool clear_suid;               /* written by somebody but root */
    int opener;                    /* the thread that opened it */
    int writer;                    /* the thread that staged last */
    long writer_process;           /* of that; asked while the thread is there: it may end and its process go on. 0: not known */
    int64_t staged_ns;             /* wall clock of that */
    uint64_t touched_us;           /* monotonic clock of that */
    uint64_t staged_us, flying_us; /* of the first that is in `stage`, in `flying` */
    struct stage stage, flying;
    struct spill *spill, *flying_spill; /* of `stage` and `flying`, if they are spilled */
    bool empty;                    /* the store's file held nothing when it was opened: the first write may begin a whole value */
    struct stage_mark stage_mark, flying_mark;
    const void *marker;            /* the call that set stage_mark */
    bool stage_marked, flying_marked; /* a failed commit takes the last write back to the mark */
    struct call *commit;           /* carries `flying` */
    struct handle_wait *waiting;   /* for `flying` */
    bool telling;                  /* commit_over tells those of the last commit: the next one starts at its end */
    struct handle_wait *queued;    /* for what is staged, behind `flying` */
    enum rgkv_err failed;          /* of the last commit */
    bool reported;                 /* its writer was told */
    bool released;                 /* the kernel has let go: free when nothing is under way */
    unsigned held;                 /* calls and functions that still need it */
    struct pin pin;
    struct ahead *ahead;           /* or NULL (ahead.h) */
    uint64_t ahead_next;           /* where the last read ended */
    unsigned ahead_run;            /* reads in a row */
    struct buf pinned_as;          /* the key that the pin's version was read by: after a rename it is kept under that one */
    uint64_t pinned_at;            /* node->changes when it was asked for */
    bool listed;                   /* in m->staged */
    struct handle *prev, *next;    /* m->staged */
    struct handle *node_prev, *node_next; /* node->handles */
};

typedef void handle_then(struct call *c, enum rgkv_err err, const char *why);

struct handle *handle_new(struct mount *m, struct inode *n, const struct fuse_file_info *fi, const struct fuse_ctx *who);
struct handle *handle_of(const struct fuse_file_info *fi);
/* The kernel's release (or the end of the mount): what is staged is committed, then the handle is freed. */
void handle_released(struct handle *h);
/* A call that works on the handle keeps it, whatever the kernel does meanwhile. */
struct handle *handle_hold(struct handle *h);
void handle_let_go(struct handle *h);

/* The pin moved to what this key held when the node's `changes` were these. */
void handle_pinned(struct handle *h, const struct key *k, uint64_t changes);
/* Before a read: a pin that this mount has outdated itself is dropped, for those who are to see that. `of_map`: a page of a map is read. */
void handle_repin(struct handle *h, uint64_t offset, bool of_map);

/* ---- staging ---- */

bool handle_staged(const struct handle *h);        /* something is staged or on its way */
bool handle_held_back(const struct handle *h);     /* … and stays here, for its name may be going (leave.h) */
uint64_t handle_size(const struct handle *h, uint64_t base);
void handle_list(struct handle *h);                /* keeps m->staged, and the timer that looks at it, as they should be */
/* Notes who staged something, after it was done. */
void handle_touch(struct handle *h, const struct fuse_ctx *who);
/* Did this thread, or one of its process, stage last, or open the file (and hand it on to who writes)? */
bool handle_written_by(const struct handle *h, int tid);
/* Before a write that will be committed at once, of the call `who`: a failure takes it back. */
void handle_mark(struct handle *h, const void *who);
/* It failed or was interrupted, and waited behind another commit: it was never sent. `who`: of that call's write only; NULL: whoever's. */
void handle_take_back(struct handle *h, const void *who);
/* The next write begins a value of its own if the file is still empty: then it is one Put, atomic at any size. */
void handle_begin_value(struct handle *h);
void handle_cleared(struct handle *h);             /* its stage was cleared: what went ahead of it is given up */
/* Nothing is staged but the creation itself: an Append does that along the way. */
bool handle_only_creates(const struct handle *h);
void handle_appended(struct handle *h);            /* such an Append was acknowledged */
/* A failure that nobody was told of yet; OK: none. Telling it once is enough. */
enum rgkv_err handle_take_failure(struct handle *h);

#endif
