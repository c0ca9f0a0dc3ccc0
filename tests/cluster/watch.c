/* One key, written by one process and read by another, with the time of every operation: stale reads are found afterwards by
 * comparing the two journals.
 *
 *     watch write --controllers A,B,C KEY JOURNAL     puts 1, 2, 3 …; a line `T N` when N is acknowledged
 *     watch read --controllers A,B,C KEY JOURNAL      reads, four at a time; a line `FROM TO N` for each
 *
 * Times are microseconds of the monotonic clock. A read that began after N was acknowledged and finds less is stale. Both end at
 * SIGTERM. (An earlier put of unknown outcome cannot come after a later one that was acknowledged: sessions see to that.) */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctrl/text.h"
#include "net/clock.h"
#include "net/net_client.h"

#define READS 4u
#define TIMEOUT_US 5000000u

struct watch {
    uv_loop_t loop;
    uv_signal_t term;
    struct net_client *client;
    FILE *journal;
    const char *key;
    bool reads, stopping, closed;
    uint64_t n;
    unsigned running;
};
struct lane {
    struct watch *watch;
    uint64_t from_us;
};

static void go(struct lane *l);

static void on_outcome(void *arg, const struct client_effect *e)
{
    struct lane *l = arg;
    struct watch *w = l->watch;
    unsigned long long now = clock_now_us();
    if (!e->err && w->reads)
        fprintf(w->journal, "%llu %llu %.*s\n", (unsigned long long)l->from_us, now, (int)e->reply->data.len, (const char *)e->reply->data.data);
    else if (!e->err)
        fprintf(w->journal, "%llu %llu\n", now, (unsigned long long)w->n);
    go(l);
}

static void go(struct lane *l)
{
    struct watch *w = l->watch;
    char number[24];
    struct kv_request q = {.op = w->reads ? KV_GET : KV_PUT, .key = bytes_str(w->key), .length = sizeof(number), .mode = 0644};
    if (w->stopping) {
        if (--w->running == 0)
            uv_stop(&w->loop);
        return;
    }
    if (!w->reads) {
        snprintf(number, sizeof(number), "%llu", (unsigned long long)++w->n);
        q.data = bytes_str(number);
    }
    l->from_us = clock_now_us();
    net_client_submit(w->client, &(struct client_request){.kind = CLIENT_KV, .kv = &q}, TIMEOUT_US, on_outcome, l);
}

static void on_term(uv_signal_t *handle, int number) { ((struct watch *)handle->data)->stopping = true; }
static void on_closed(void *arg) { ((struct watch *)arg)->closed = true; }

static void run(struct watch *w)
{
    struct lane lanes[READS];
    w->running = w->reads ? READS : 1;
    for (unsigned i = 0; i < w->running; i++) {
        lanes[i].watch = w;
        go(&lanes[i]);
    }
    uv_run(&w->loop, UV_RUN_DEFAULT);
    net_client_close(w->client, on_closed, w);
    uv_close((uv_handle_t *)&w->term, NULL);
    while (!w->closed)
        uv_run(&w->loop, UV_RUN_ONCE);
}

int main(int argc, char **argv)
{
    static struct watch w;
    struct net_client_options o = {0};
    if (argc != 6 || strcmp(argv[2], "--controllers") != 0 ||
        ctrl_parse_addrs(bytes_str(argv[3]), o.controllers, MEMBERS_MAX, &o.n_controllers, &(struct buf){0})) {
        fprintf(stderr, "usage: watch write|read --controllers A,B,C KEY JOURNAL\n");
        return 2;
    }
    w.reads = strcmp(argv[1], "read") == 0;
    w.key = argv[4];
    w.journal = fopen(argv[5], "w");
    if (w.journal)
        setvbuf(w.journal, NULL, _IOLBF, 0); /* others look at how far it is */
    uv_loop_init(&w.loop);
    uv_signal_init(&w.loop, &w.term);
    w.term.data = &w;
    uv_signal_start(&w.term, on_term, SIGTERM);
    if (!w.journal || net_client_new(&w.loop, &o, &w.client))
        return 2;
    run(&w);
    return fclose(w.journal) ? 1 : 0;
}
