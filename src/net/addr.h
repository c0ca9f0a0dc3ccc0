/* "host:port" texts and socket addresses. IPv6 hosts are in brackets: [::1]:7400. */
#ifndef RGKV_NET_ADDR_H
#define RGKV_NET_ADDR_H

#include <sys/socket.h>

#include "base/base.h"

struct addr_parts {
    char host[ADDR_BYTES_MAX]; /* without brackets */
    char port[6];
};
/* INVALID. Port 0 is allowed here: it asks the system for one. */
MUST_USE enum rgkv_err addr_split(const char *text, struct addr_parts *ret_parts);
/* Of a numeric host, without asking anybody. INVALID: it is a name. */
MUST_USE enum rgkv_err addr_numeric(const struct addr_parts *parts, struct sockaddr_storage *ret_sa);
bool addr_is_loopback(const struct sockaddr *sa);
bool addr_is_wildcard(const struct sockaddr *sa);
void addr_print(const struct sockaddr *sa, char text[static ADDR_BYTES_MAX]);

#endif
