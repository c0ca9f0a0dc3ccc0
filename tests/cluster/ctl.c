/* Administration without a mount, for tests that kill nodes by the hundred.
 *
 *     ctl CONTROLLERS join "GID H:P H:P H:P"
 *     ctl CONTROLLERS leave GID
 *     ctl CONTROLLERS leader GID        its address
 *     ctl CONTROLLERS status|nodes|shards|metrics
 *     ctl CONTROLLERS members GID
 *     ctl CONTROLLERS settled           waits until every shard is where it should be
 *
 * Exit status 0; 1 refused or not in time (20 s); 2 usage. */
#include <stdio.h>
#include <stdlib.h>

#include "ctrl/text.h"
#include "net/clock.h"
#include "net/net_client.h"

#define TIMEOUT_US 20000000u
#define AGAIN_MS 20u
#define GROUPS 8u

struct ctl {
    uv_loop_t loop;
    uv_timer_t again;
    struct net_client *client;
    struct client_request request;
    uint64_t until_us;
    int status;
    bool closed;
};

_Noreturn static void usage(void)
{
    fprintf(stderr, "usage: ctl CONTROLLERS join LINE|leave GID|leader GID|members GID|status|nodes|shards|metrics|settled\n");
    exit(2);
}

static void ask(struct ctl *c);
static void on_again(uv_timer_t *timer) { ask(timer->data); }

static void on_answer(void *arg, const struct client_effect *e)
{
    struct ctl *c = arg;
    if (e->err && c->request.kind == CLIENT_READ && clock_now_us() < c->until_us) {
        uv_timer_start(&c->again, on_again, AGAIN_MS, 0);
        return;
    }
    c->status = e->err != RGKV_OK;
    if (e->err)
        fprintf(stderr, "ctl: %s\n", e->result && e->result->why[0] ? e->result->why : e->why);
    else if (c->request.kind == CLIENT_READ)
        printf("%.*s", (int)e->text.len, (const char *)e->text.data);
    uv_stop(&c->loop);
}

static void ask(struct ctl *c) { net_client_submit(c->client, &c->request, TIMEOUT_US, on_answer, c); }

static struct client_request admin_request(const char *word, struct bytes text)
{
    static struct ctrl_join_group groups[GROUPS];
    static uint64_t gids[GROUPS];
    static struct ctrl_command command;
    struct buf why = {0};
    bool join = strcmp(word, "join") == 0;
    command.op = join ? CTRL_JOIN : CTRL_LEAVE;
    command.groups = groups;
    command.gids = gids;
    if (join ? ctrl_parse_join(text, groups, GROUPS, &command.n_groups, &why)
             : ctrl_parse_leave(text, gids, GROUPS, &command.n_gids, &why))
        usage();
    return (struct client_request){.kind = CLIENT_ADMIN, .admin = &command};
}

static struct client_request request_of(const char *word, const char *argument)
{
    static const struct { const char *word; enum ctrl_read read; bool argument; } reads[] = {
        {"leader", CTRL_READ_LEADER, true}, {"members", CTRL_READ_MEMBERS, true}, {"status", CTRL_READ_STATUS, false},
        {"nodes", CTRL_READ_NODES, false}, {"shards", CTRL_READ_SHARDS, false}, {"metrics", CTRL_READ_METRICS, false},
        {"settled", CTRL_READ_SETTLED, false}};
    for (unsigned i = 0; i < ARRAY_LEN(reads); i++)
        if (strcmp(word, reads[i].word) == 0 && reads[i].argument == (argument != NULL))
            return (struct client_request){.kind = CLIENT_READ, .read = reads[i].read,
                                           .number = argument ? strtoull(argument, NULL, 10) : 0};
    if (!argument || (strcmp(word, "join") != 0 && strcmp(word, "leave") != 0))
        usage();
    return admin_request(word, bytes_str(argument));
}

static void on_closed(void *arg) { ((struct ctl *)arg)->closed = true; }

int main(int argc, char **argv)
{
    static struct ctl c;
    struct net_client_options o = {0};
    if (argc < 3 || argc > 4 || ctrl_parse_addrs(bytes_str(argv[1]), o.controllers, MEMBERS_MAX, &o.n_controllers, &(struct buf){0}))
        usage();
    c.request = request_of(argv[2], argc > 3 ? argv[3] : NULL);
    c.until_us = clock_now_us() + TIMEOUT_US;
    uv_loop_init(&c.loop);
    uv_timer_init(&c.loop, &c.again);
    c.again.data = &c;
    if (net_client_new(&c.loop, &o, &c.client))
        usage();
    ask(&c);
    uv_run(&c.loop, UV_RUN_DEFAULT);
    net_client_close(c.client, on_closed, &c);
    uv_close((uv_handle_t *)&c.again, NULL);
    while (!c.closed)
        uv_run(&c.loop, UV_RUN_ONCE);
    return c.status;
}
