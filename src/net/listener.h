/* Binding and listening on one address. */
#ifndef RGKV_NET_LISTENER_H
#define RGKV_NET_LISTENER_H

#include <uv.h>

#include "base/bytes.h"

struct listener_options {
    const char *addr;          /* "host:port"; port 0: any */
    bool beyond_loopback;      /* else only 127.0.0.0/8 and ::1 (there is no encryption yet) */
};
/* Binds and prints where. `tcp` is the caller's, initialised even on failure (uv_close it). A name is resolved here,
 * blocking. INVALID (an address that cannot be), NOT_PERMITTED (beyond loopback), CONFLICT (in use), IO; with a sentence. */
MUST_USE enum rgkv_err listener_bind(uv_loop_t *loop, uv_tcp_t *tcp, const struct listener_options *o,
                                     char ret_addr[static ADDR_BYTES_MAX], struct buf *why);
/* `addr` as listener_bind printed it, for the sentence (the system tells of a port in use only here). */
MUST_USE enum rgkv_err listener_start(uv_tcp_t *tcp, const char *addr, uv_connection_cb on_connection, struct buf *why);

#endif
