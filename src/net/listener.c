#include "net/listener.h"

#include <netdb.h>
#include <stdlib.h>

#include "net/addr.h"

#define BACKLOG 1024

static enum rgkv_err resolve(const char *addr, struct sockaddr_storage *ret_sa, struct buf *why)
{
    struct addr_parts parts;
    if (addr_split(addr, &parts)) {
        buf_printf(why, "\"%s\" is not HOST:PORT", addr);
        return RGKV_INVALID;
    }
    if (addr_numeric(&parts, ret_sa) == RGKV_OK)
        return RGKV_OK;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    int rc = getaddrinfo(parts.host, parts.port, &hints, &list);
    if (rc != 0 || !list) {
        buf_printf(why, "the host of %s is not known: %s", addr, rc ? gai_strerror(rc) : "no address");
        return RGKV_INVALID;
    }
    memcpy(ret_sa, list->ai_addr, list->ai_addrlen);
    freeaddrinfo(list);
    return RGKV_OK;
}

static enum rgkv_err cannot_listen(const char *addr, int rc, struct buf *why)
{
    buf_printf(why, "cannot listen on %s: %s", addr, uv_strerror(rc));
    return rc == UV_EADDRINUSE ? RGKV_CONFLICT : RGKV_IO;
}

/* The name of the host stays as it was given: that is how others call it. Only the port may have been left to the system. */
static void print_bound(const uv_tcp_t *tcp, const char *addr, char ret_addr[static ADDR_BYTES_MAX])
{
    struct sockaddr_storage sa;
    char bound[ADDR_BYTES_MAX];
    int len = sizeof(sa);
    memcpy(ret_addr, addr, strlen(addr) + 1);
    char *port = strrchr(ret_addr, ':') + 1;
    if (strtoul(port, NULL, 10) != 0 || uv_tcp_getsockname(tcp, (struct sockaddr *)&sa, &len) != 0)
        return;
    addr_print((const struct sockaddr *)&sa, bound);
    const char *bound_port = strrchr(bound, ':') + 1;
    if ((size_t)(port - ret_addr) + strlen(bound_port) < ADDR_BYTES_MAX)
        memcpy(port, bound_port, strlen(bound_port) + 1);
}

enum rgkv_err listener_bind(uv_loop_t *loop, uv_tcp_t *tcp, const struct listener_options *o,
                            char ret_addr[static ADDR_BYTES_MAX], struct buf *why)
{
    struct sockaddr_storage sa;
    int rc = uv_tcp_init(loop, tcp);
    ASSERT(rc == 0);
    enum rgkv_err err = resolve(o->addr, &sa, why);
    if (err)
        return err;
    if (!o->beyond_loopback && !addr_is_loopback((const struct sockaddr *)&sa)) {
        buf_printf(why, "%s is not a loopback address: messages are not encrypted, so this needs --insecure", o->addr);
        return RGKV_NOT_PERMITTED;
    }
    rc = uv_tcp_bind(tcp, (const struct sockaddr *)&sa, 0);
    if (rc < 0)
        return cannot_listen(o->addr, rc, why);
    print_bound(tcp, o->addr, ret_addr);
    return RGKV_OK;
}

enum rgkv_err listener_start(uv_tcp_t *tcp, const char *addr, uv_connection_cb on_connection, struct buf *why)
{
    int rc = uv_listen((uv_stream_t *)tcp, BACKLOG, on_connection);
    return rc < 0 ? cannot_listen(addr, rc, why) : RGKV_OK;
}
