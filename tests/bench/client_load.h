/* The same load without a file system: the requests to the cluster that each operation of fs_load costs, one after the other, by as many logical
 * clients of one client engine. What a mount adds is the difference. */
#ifndef RGKV_TESTS_BENCH_CLIENT_LOAD_H
#define RGKV_TESTS_BENCH_CLIENT_LOAD_H

#include "net/net_client.h"
#include "tests/bench/fs_load.h"

#define LOAD_TIMEOUT_US 30000000u
#define LOAD_HEAD_BYTES 4096u

struct client_load;

/* A client of the cluster with these addresses ("A,B,C"); NULL: they are malformed. */
struct net_client *load_client(uv_loop_t *loop, const char *controllers);

/* NULL: the addresses are malformed. */
struct client_load *client_load_new(const char *controllers);
void client_load_free(struct client_load *c);
void client_load_run(struct client_load *c, const struct load *l, struct load_result *r);

#endif
