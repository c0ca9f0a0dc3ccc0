/* One request of the kernel on its way: begun by an operation, perhaps asked of the cluster (several times), answered
 * exactly once, gone with the answer.
 *
 *     struct call *c = call_begin(m, req, "unlink", sizeof *c);
 *     call_ask(c, &request, unlink_done);          // later: unlink_done(c, effect)
 *     call_reply_err(c, effect->err, effect->why); // the answer; c is freed
 *
 * An operation that needs more state embeds struct call as the first member of its own and gives the larger size. Memory that it
 * owns is released by `release`, called when the call ends. A call without a req (work that nobody waits for) is ended
 * the same way; its answers go nowhere but into the error log. */
#ifndef RGKV_FUSE_CALL_H
#define RGKV_FUSE_CALL_H

#include "fuse/mount.h"
#include "fuse/tree.h"

struct call;
typedef void call_done(struct call *c, const struct client_effect *e);

struct call {
    struct mount *m;
    fuse_req_t req;                /* NULL: nobody waits */
    const char *op;
    char *path;                    /* for people; owned */
    uint64_t id, started_us;
    uint64_t since_us;             /* the timeout counts from here: one for all that the call asks */
    uint64_t patience_us;          /* 0: the mount's timeout */
    struct inode *node, *node2;    /* references, dropped when the call ends */
    call_done *done;
    uint64_t ticket;               /* of net_client; 0: nothing is asked */
    void (*cancel)(struct call *c); /* ends a wait that is not a ticket, by answering EINTR; or NULL */
    void (*release)(struct call *c); /* or NULL */
    bool appends;                  /* an Append of it is under way */
    void *waits;                   /* what it waits for: of whoever set `cancel` */
    int number;                    /* errno of the answer */
    bool aborted;                  /* by mount/abort: ECANCELED, for EINTR without a signal makes programs ask again */
    bool interrupted;              /* the kernel asked; interrupt.c watches it */
    struct call *prev, *next;      /* of all */
};

/* Zeroed, `bytes` large. op is a literal. req may be NULL. */
void *call_begin(struct mount *m, fuse_req_t req, const char *op, size_t bytes);
void call_node(struct call *c, struct inode *n);   /* takes a reference and notes the path */
void call_node2(struct call *c, struct inode *n);
void call_path(struct call *c, struct bytes key);

/* Asks the cluster. `done` is called from the loop, never from inside. Client, time and timeout are filled in. */
void call_ask(struct call *c, const struct kv_request *q, call_done *done);
/* The same, but given up after so long, if that is before the timeout of the mount. */
void call_ask_within(struct call *c, const struct client_request *q, uint64_t within_us, call_done *done);
void call_ask_any(struct call *c, const struct client_request *q, call_done *done); /* admin, texts, views */
bool call_has_time(const struct call *c);          /* its timeout has not passed */
/* Ends the wait: EINTR. */
void call_cancel(struct call *c);
/* The same by an administrator: ECANCELED. */
void call_abort(struct call *c);
void call_abort_all(struct mount *m);

/* The one answer; each ends the call. */
void call_reply_err(struct call *c, enum rgkv_err err, const char *why); /* OK: success without data. Cluster failures are recorded */
void call_reply_errno(struct call *c, int number);
void call_reply_attr(struct call *c, const struct stat *st);
void call_reply_write(struct call *c, size_t len);
void call_reply_data(struct call *c, struct bytes data);
void call_reply_entry(struct call *c, struct inode *n, const struct stat *st); /* n: one lookup was counted for it */
/* false: the kernel did not take it, undo what the answer promised. */
MUST_USE bool call_reply_open(struct call *c, const struct fuse_file_info *fi);
MUST_USE bool call_reply_create(struct call *c, struct inode *n, const struct stat *st, const struct fuse_file_info *fi);
void call_end(struct call *c);                     /* it was answered by other means (or nobody waits) */

/* Into /.ctrl/error. */
void call_record(struct call *c, int number, const char *sentence);
void call_print(const struct mount *m, struct buf *out); /* /.ctrl/mount/inflight */
struct call *call_find(const struct mount *m, uint64_t id);

#endif
