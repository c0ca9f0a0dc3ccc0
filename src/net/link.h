/* Links: one outgoing connection per address, kept by itself.
 *
 * A link connects when it is first wanted and again after each loss, with a back-off of 10 to 150 ms and jitter. It is up
 * when the peer has said HELLO (a process that is stopped accepts connections, but says nothing), and told so.
 *
 *     down ──wanted──▶ resolving ──▶ connecting ──peer's HELLO──▶ up
 *      ▲                  │               │                       │
 *      └───── back-off ───┴───────────────┴───────────────────────┘  each arrival here is told as down
 *
 * links_send is for whom a lost frame is no loss (raft): it wants the link for a while, and drops what cannot go. links_want is for whom
 * keeps account (the client): the link is tried until links_drop. */
#ifndef RGKV_NET_LINK_H
#define RGKV_NET_LINK_H

#include "net/conn.h"

#define LINK_BACKOFF_MIN_US 10000u
#define LINK_BACKOFF_MAX_US 150000u         /* a peer that is back, and may lead at once, is not left waiting for longer */
#define LINK_OUT_BYTES_MAX (CONN_OUT_BYTES_MAX / 2) /* of links_send's: many groups may send to one peer at once, which is no reason to close it */
#define LINK_CONNECT_US (2u * 1000000u)    /* from the attempt to the peer's HELLO */
#define LINK_WANTED_US (10u * 1000000u)    /* after a links_send */
#define LINK_IDLE_US (60u * 1000000u)      /* an up link of links_send's that nobody used is closed */

struct links;

struct links_events {
    void (*hello)(void *arg, struct msg *ret_m);        /* what we say of ourselves; zeroed before */
    void (*up)(void *arg, const char *addr);            /* may be NULL, as `down` */
    void (*down)(void *arg, const char *addr);
    void (*message)(void *arg, const char *addr, struct conn *c, const struct msg *m); /* HELLOs too */
    void (*conn_closed)(void *arg, uint64_t conn);      /* may be NULL: one that had spoken is gone */
};

/* Uses the set's loop and flush. */
struct links *links_new(uv_loop_t *loop, struct conns *conns, const struct links_events *events, void *arg);
void links_close(struct links *l); /* nothing is called any more */
void links_free(struct links *l);  /* after links_close, when uv_run returned or all handles had their turn */
bool links_closed(const struct links *l); /* every handle had its turn */

void links_send(struct links *l, const char *addr, struct bytes frames);
void links_want(struct links *l, const char *addr);
void links_drop(struct links *l, const char *addr);
/* NULL unless up. */
struct conn *links_conn(struct links *l, const char *addr);
void links_sweep(struct links *l, uint64_t now_us); /* about once a second */

#endif
