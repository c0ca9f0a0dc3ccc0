/* How many submit-to-done cycles a second the client engine makes, against a server that answers at once.
 *
 *     bench_client [IN-FLIGHT [CYCLES]]
 *
 * Appends of 100 bytes over all shards; replies come in batches of 64, as a loop's turn would bring them. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "client/client.h"

enum { SHARDS = 256, BATCH = 64 };

struct bench {
    struct client *c;
    uint64_t now, done, submitted;
    unsigned n_replies, next_reply;
    struct { uint64_t id; } replies[1 << 16];
    struct ctrl_shard shards[SHARDS];
    struct ctrl_group group;
    struct ctrl_view view;
};

static void received(struct bench *b, const char *addr, const struct msg *m)
{
    client_step(b->c, &(struct client_input){.kind = CLIENT_RECEIVED, .now_us = b->now, .addr = addr, .message = m});
}

static void poll_answer(struct bench *b, const char *addr, const struct msg *poll)
{
    if (poll->poll.version == 1)
        return;
    struct msg m = {.kind = MSG_VIEW, .id = poll->id, .cluster = 1};
    m.view.changed = true;
    m.view.view = b->view;
    received(b, addr, &m);
}

static void effect(struct bench *b, const struct client_effect *e)
{
    if (e->kind == CLIENT_CONNECT)
        client_step(b->c, &(struct client_input){.kind = CLIENT_LINK_UP, .now_us = b->now, .addr = e->addr});
    else if (e->kind == CLIENT_DONE)
        b->done++;
    else if (e->kind == CLIENT_SEND && e->message->kind == MSG_POLL)
        poll_answer(b, e->addr, e->message);
    else if (e->kind == CLIENT_SEND)
        b->replies[b->n_replies++ % (1 << 16)].id = e->message->id;
}

static void drain(struct bench *b)
{
    struct client_effect e;
    while (client_next(b->c, &e))
        effect(b, &e);
}

static void submit(struct bench *b)
{
    char key[16];
    static const uint8_t data[100];
    snprintf(key, sizeof(key), "k%u", (unsigned)(b->submitted++ % 10000));
    struct kv_request q = {.op = KV_APPEND, .key = bytes_str(key), .data = bytes_of(data, sizeof(data))};
    struct client_request r = {.kind = CLIENT_KV, .kv = &q, .deadline_us = b->now + 30000000};
    client_submit(b->c, &r, b->now);
}

static void turn(struct bench *b)
{
    struct msg m = {.kind = MSG_KV_REPLY, .cluster = 1};
    m.kv_reply.shard_time_us = b->now;
    b->now += 50;
    for (unsigned i = 0; i < BATCH && b->next_reply != b->n_replies; i++) {
        m.id = b->replies[b->next_reply++ % (1 << 16)].id;
        received(b, "n:1", &m);
    }
    drain(b);
}

static void bench_init(struct bench *b)
{
    struct client_options o = {.client = 1, .seed = 1, .now_us = 1, .n_controllers = 1, .controllers = {"c:1"}};
    b->now = 1;
    for (unsigned i = 0; i < SHARDS; i++)
        b->shards[i] = (struct ctrl_shard){.holder = 1, .epoch = 1, .active = true};
    b->group = (struct ctrl_group){.gid = 1, .n = 1, .members = {{.id = 1, .addr = "n:1"}}};
    b->view = (struct ctrl_view){.cluster = 1, .version = 1, .nshards = SHARDS, .shards = b->shards, .n_groups = 1, .groups = &b->group};
    b->c = client_new(&o);
    drain(b);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    uint64_t inflight = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000, cycles = argc > 2 ? strtoull(argv[2], NULL, 10) : 2000000;
    struct bench *b = mem_zalloc(sizeof(*b));
    bench_init(b);
    double begin = seconds();
    while (b->done < cycles) {
        while (b->submitted < b->done + inflight)
            submit(b);
        turn(b);
    }
    double took = seconds() - begin;
    printf("%lu in flight: %lu cycles in %.2f s = %.0f/s\n", (unsigned long)inflight, (unsigned long)b->done, took, (double)b->done / took);
    client_free(b->c);
    mem_free(b);
    return 0;
}
