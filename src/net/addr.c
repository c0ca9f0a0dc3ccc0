#include "net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

static bool port_ok(const char *port)
{
    size_t digits = strspn(port, "0123456789");
    return digits >= 1 && digits <= 5 && port[digits] == 0 && atol(port) <= 65535;
}

/* The host's length with its brackets, or 0. */
static size_t host_len(const char *text, const char *colon)
{
    size_t len = (size_t)(colon - text);
    bool bracketed = text[0] == '[';
    if (bracketed != (len > 2 && text[len - 1] == ']'))
        return 0;
    return !bracketed && memchr(text, ':', len) ? 0 : len;
}

enum rgkv_err addr_split(const char *text, struct addr_parts *ret_parts)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? host_len(text, colon) : 0;
    if (len == 0 || strlen(text) >= ADDR_BYTES_MAX || !port_ok(colon + 1))
        return RGKV_INVALID;
    size_t bracket = text[0] == '[';
    snprintf(ret_parts->host, sizeof(ret_parts->host), "%.*s", (int)(len - 2 * bracket), text + bracket);
    snprintf(ret_parts->port, sizeof(ret_parts->port), "%s", colon + 1);
    return RGKV_OK;
}

enum rgkv_err addr_numeric(const struct addr_parts *parts, struct sockaddr_storage *ret_sa)
{
    struct sockaddr_storage sa = {0};
    struct sockaddr_in *four = (struct sockaddr_in *)&sa;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&sa;
    uint16_t port = htons((uint16_t)atoi(parts->port));
    if (inet_pton(AF_INET, parts->host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = port;
    } else if (inet_pton(AF_INET6, parts->host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = port;
    } else {
        return RGKV_INVALID;
    }
    *ret_sa = sa;
    return RGKV_OK;
}

bool addr_is_loopback(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr) >> 24 == 127;
    return sa->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)sa)->sin6_addr);
}

bool addr_is_wildcard(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return ((const struct sockaddr_in *)sa)->sin_addr.s_addr == 0;
    return sa->sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)sa)->sin6_addr);
}

void addr_print(const struct sockaddr *sa, char text[static ADDR_BYTES_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    bool six = sa->sa_family == AF_INET6;
    const struct sockaddr_in *four = (const struct sockaddr_in *)sa;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;
    inet_ntop(sa->sa_family, six ? (const void *)&v6->sin6_addr : (const void *)&four->sin_addr, host, sizeof(host));
    snprintf(text, ADDR_BYTES_MAX, six ? "[%s]:%u" : "%s:%u", host, ntohs(six ? v6->sin6_port : four->sin_port));
}
