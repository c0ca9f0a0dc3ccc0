/* The client engine on the libuv loop: links to addresses, time, completions. What the mount and the benches use.
 *
 * All on one thread: the loop's. A completion is called from the loop, never from inside net_client_submit. */
#ifndef RGKV_NET_NET_CLIENT_H
#define RGKV_NET_NET_CLIENT_H

#include <uv.h>

#include "client/client.h"

struct net_client;

struct net_client_options {
    unsigned n_controllers;
    char controllers[MEMBERS_MAX][ADDR_BYTES_MAX];
};
/* The client id is drawn from the system's randomness. */
MUST_USE enum rgkv_err net_client_new(uv_loop_t *loop, const struct net_client_options *o, struct net_client **ret_c);
/* Closes its links; what is in flight is completed CANCELLED, here, before this returns; `closed` is called later, from the
 * loop, and the memory is gone then. Nothing is submitted any more. */
void net_client_close(struct net_client *c, void (*closed)(void *arg), void *arg);

/* `e` is a CLIENT_DONE effect, borrowed for the call, and no longer than until the next submit or cancel in it: read the answer
 * first, then ask the next question. */
typedef void net_client_done(void *arg, const struct client_effect *e);

/* timeout_us 0: wait for ever. q->tag and q->deadline_us are ignored. Copies what it keeps. Returns an id for cancel. */
uint64_t net_client_submit(struct net_client *c, const struct client_request *q, uint64_t timeout_us, net_client_done *done, void *arg);
void net_client_cancel(struct net_client *c, uint64_t id);
const struct client *net_client_engine(const struct net_client *c);

#endif
