/* Framed TCP connections, accepted and own, of one loop.
 *
 * Frames that are sent during one round of the loop leave together at conns_flush. Each connection's queue is bounded:
 * a peer that does not read is closed. All queues together are, too: those of our own connections have no part in that, and a peer that says
 * that it is a node is closed for it last, for groups wait for nodes. Closed is also who sends what is no frame, does not say HELLO within 5 s, takes a minute for
 * one frame, or reads nothing of what waits for it for as long; each is counted, and one line a second at most tells of them.
 *
 * The first frame each way is a HELLO; `hello` and `message` are called for what comes in, `closed` once, from the
 * loop, after which the connection is gone. Nothing is called for a connection after conn_close but `closed`. */
#ifndef RGKV_NET_CONN_H
#define RGKV_NET_CONN_H

#include <uv.h>

#include "net/line_limit.h"
#include "wire/msg.h"

#define CONN_HELLO_US (5u * 1000000u)
#define CONN_FRAME_US (60u * 1000000u)
#define CONN_DEAD_MS 2000u                  /* TCP_USER_TIMEOUT: unacknowledged for so long is dead */
#define CONN_FULL_BYTES (8u << 20)          /* queued on one connection, or a sixteenth of what all may have if that is less: nothing large should
                                             * be added; told again at a quarter of it */
#define CONN_FAIR_BYTES (1u << 20)          /* so it is for so little once all together hold half of what they may: who reads slowly waits */
#define CONNS_BYTES_MAX (512u << 20)        /* queued on all that were accepted, and as much held of unfinished large frames on all:
                                             * beyond, the ones that hold much are closed */

struct conns;
struct conn;

struct conn_events {
    void (*hello)(void *owner, struct conn *c, const struct msg *m);
    void (*message)(void *owner, struct conn *c, const struct msg *m); /* borrowed for the call */
    void (*closed)(void *owner, struct conn *c);
    void (*full)(void *owner, struct conn *c, bool full); /* may be NULL: much is queued on it, or little again */
};

struct conn_counters {
    uint64_t accepted, refused_full, bad_frames, strangers, slow, unread, greedy;
};

struct conns *conns_new(uv_loop_t *loop);
/* When all are closed and uv_run has returned. */
void conns_free(struct conns *s);
void conns_log(struct conns *s, void (*line)(void *arg, const char *text), void *arg);
/* How many there may be, and the bytes of both directions, each; defaults CONNS_MAX, CONNS_BYTES_MAX. A sixteenth of the places is for peers
 * whose hello names a node, and for those that have not said theirs yet. */
void conns_limit(struct conns *s, unsigned max, size_t bytes);
const struct conn_counters *conns_counters(const struct conns *s);
unsigned conns_count(const struct conns *s);
void conns_close_all(struct conns *s);
/* Writes what was queued since the last flush. At the end of every round. */
void conns_flush(struct conns *s);
/* Closes strangers and the slow; about once a second. */
void conns_sweep(struct conns *s, uint64_t now_us);

/* Takes the next connection of a listening stream; NULL: refused (too many) or gone already. */
struct conn *conns_accept(struct conns *s, uv_stream_t *listener, const struct conn_events *events, void *owner);
/* NULL: the system refuses even to try. What is sent before TCP is connected waits, within bounds. */
struct conn *conns_connect(struct conns *s, const struct sockaddr *to, const struct conn_events *events, void *owner);
struct conn *conns_find(const struct conns *s, uint64_t id); /* NULL: gone */

uint64_t conn_id(const struct conn *c);            /* never used twice; not 0 */
void conn_send(struct conn *c, struct bytes frames);
void conn_send_msg(struct conn *c, const struct msg *m);
/* `why` NULL: nobody's fault, no line about it. */
void conn_close(struct conn *c, const char *why);
/* Its owner goes away: closes, and calls nothing of it any more. */
void conn_abandon(struct conn *c);
size_t conn_queued(const struct conn *c);
size_t conn_memory(const struct conn *c);          /* of its queues, used or not */

#endif
