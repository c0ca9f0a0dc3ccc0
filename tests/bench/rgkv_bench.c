/* rgkv-bench: a closed loop of N logical clients over one client engine.
 *
 *     rgkv-bench --controllers A,B,C [--join "GID H:P H:P H:P"] [--op put|get|append] [--clients N] [--value-bytes N]
 *                [--seconds S] [--warmup S] [--keys N] [--timeout S]
 *
 * Each logical client sends its next request when its last one was answered. Keys are bench-0 … at the top level,
 * drawn at random, so they spread over all shards. Before `get`, every key is written once. With --join and --seconds 0 it only joins.
 * Prints one line; exit status 1 if any request failed. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"
#include "ctrl/text.h"
#include "net/clock.h"
#include "net/net_client.h"
#include "tests/bench/hist.h"

#define JOIN_GROUPS_MAX 64u
#define JOIN_TIMEOUT_US (60u * 1000000u)

struct options {
    struct net_client_options client;
    const char *join, *op_name;
    enum kv_op op;
    unsigned clients, keys;
    size_t value_bytes;
    double seconds, warmup;
    uint64_t timeout_us;
};

struct bench {
    struct options o;
    uv_loop_t loop;
    struct net_client *client;
    struct prng prng;
    uint8_t *value;
    struct worker *workers;
    unsigned filled, filling;      /* before `get`: keys whose write was begun; workers that still write them */
    unsigned running;              /* workers that are not done yet */
    uint64_t measure_us, end_us, last_us;
    uint64_t errors;
    enum rgkv_err last_error;
    char last_why[200];
    struct hist hist;
    bool failed;
    bool done;
};

struct worker {
    struct bench *bench;
    uint64_t sent_us;
    bool filling;
};

/* ---- requests ---- */

static void next(struct worker *w);

static void note_error(struct bench *b, const struct client_effect *e)
{
    b->errors++;
    b->last_error = e->err;
    snprintf(b->last_why, sizeof(b->last_why), "%s", e->why);
}

static void on_answer(void *arg, const struct client_effect *e)
{
    struct worker *w = arg;
    struct bench *b = w->bench;
    uint64_t now = clock_now_us();
    if (e->err)
        note_error(b, e);
    else if (!w->filling && now >= b->measure_us) {
        hist_add(&b->hist, now - w->sent_us);
        b->last_us = now;
    }
    next(w);
}

static void submit(struct worker *w, enum kv_op op, unsigned key)
{
    struct bench *b = w->bench;
    char name[32];
    snprintf(name, sizeof(name), "bench-%u", key);
    struct kv_request q = {.op = op, .key = bytes_str(name), .mode = 0644};
    if (op == KV_GET)
        q.length = DATA_BYTES_MAX;
    else
        q.data = bytes_of(b->value, b->o.value_bytes);
    w->sent_us = clock_now_us();
    net_client_submit(b->client, &(struct client_request){.kind = CLIENT_KV, .kv = &q}, b->o.timeout_us, on_answer, w);
}

static void on_closed(void *arg)
{
    struct bench *b = arg;
    b->done = true;
}

static void worker_done(struct bench *b)
{
    if (--b->running == 0)
        uv_stop(&b->loop);
}

static void start_clock(struct bench *b)
{
    uint64_t now = clock_now_us();
    b->measure_us = now + (uint64_t)(b->o.warmup * 1e6);
    b->end_us = b->measure_us + (uint64_t)(b->o.seconds * 1e6);
}

static void fill_next(struct worker *w)
{
    struct bench *b = w->bench;
    if (b->filled < b->o.keys) {
        submit(w, KV_PUT, b->filled++);
        return;
    }
    if (--b->filling > 0)
        return; /* the others' writes are under way: nobody reads before the last one is there */
    start_clock(b);
    for (unsigned i = 0; i < b->o.clients; i++) {
        b->workers[i].filling = false;
        next(&b->workers[i]);
    }
}

static void next(struct worker *w)
{
    struct bench *b = w->bench;
    if (w->filling)
        fill_next(w);
    else if (clock_now_us() >= b->end_us)
        worker_done(b);
    else
        submit(w, b->o.op, (unsigned)prng_below(&b->prng, b->o.keys));
}

static void start(struct bench *b)
{
    bool fill = b->o.op == KV_GET;
    b->running = b->o.clients;
    b->filling = fill ? b->o.clients : 0;
    if (!fill)
        start_clock(b);
    for (unsigned i = 0; i < b->o.clients; i++)
        b->workers[i] = (struct worker){.bench = b, .filling = fill};
    for (unsigned i = 0; i < b->o.clients; i++)
        next(&b->workers[i]);
}

/* ---- joining ---- */

static void on_joined(void *arg, const struct client_effect *e)
{
    struct bench *b = arg;
    if (e->err) {
        const char *why = e->result && e->result->why[0] ? e->result->why : e->why;
        fprintf(stderr, "rgkv-bench: join: %s\n", why);
        b->failed = true;
    }
    if (e->err || b->o.seconds <= 0)
        uv_stop(&b->loop);
    else
        start(b);
}

static void join(struct bench *b)
{
    static struct ctrl_join_group groups[JOIN_GROUPS_MAX];
    struct buf why = {0};
    unsigned n;
    if (ctrl_parse_join(bytes_str(b->o.join), groups, JOIN_GROUPS_MAX, &n, &why)) {
        fprintf(stderr, "rgkv-bench: --join: %.*s\n", (int)why.len, (const char *)why.data);
        exit(2);
    }
    struct ctrl_command c = {.op = CTRL_JOIN, .n_groups = n, .groups = groups};
    net_client_submit(b->client, &(struct client_request){.kind = CLIENT_ADMIN, .admin = &c}, JOIN_TIMEOUT_US, on_joined, b);
}

/* ---- the program ---- */

_Noreturn static void usage(const char *what)
{
    fprintf(stderr, "rgkv-bench: %s\nrgkv-bench --controllers A,B,C [--join \"GID H:P ...\"] [--op put|get|append] [--clients N]"
                    " [--value-bytes N] [--seconds S] [--warmup S] [--keys N] [--timeout S]\n", what);
    exit(2);
}

static double positive(const char *text)
{
    char *end;
    double n = strtod(text, &end);
    if (end == text || *end || !(n >= 0) || n > 1e9)
        usage("a number is malformed");
    return n;
}

static enum kv_op op_of(const char *name)
{
    if (strcmp(name, "put") == 0)
        return KV_PUT;
    if (strcmp(name, "get") == 0)
        return KV_GET;
    if (strcmp(name, "append") != 0)
        usage("--op is put, get or append");
    return KV_APPEND;
}

static void take_controllers(struct options *o)
{
    struct buf why = {0};
    if (ctrl_parse_addrs(bytes_str(optarg), o->client.controllers, MEMBERS_MAX, &o->client.n_controllers, &why))
        usage("--controllers is malformed");
    buf_release(&why);
}

static void take(struct options *o, int letter)
{
    switch (letter) {
    case 'c':
        take_controllers(o);
        break;
    case 'j': o->join = optarg; break;
    case 'o': o->op = op_of(o->op_name = optarg); break;
    case 'n': o->clients = (unsigned)positive(optarg); break;
    case 'v': o->value_bytes = (size_t)positive(optarg); break;
    case 's': o->seconds = positive(optarg); break;
    case 'w': o->warmup = positive(optarg); break;
    case 'k': o->keys = (unsigned)positive(optarg); break;
    case 't': o->timeout_us = (uint64_t)(positive(optarg) * 1e6); break;
    default: usage("unknown option");
    }
}

static void parse(int argc, char **argv, struct options *o)
{
    static const struct option words[] = {
        {"controllers", 1, NULL, 'c'}, {"join", 1, NULL, 'j'}, {"op", 1, NULL, 'o'}, {"clients", 1, NULL, 'n'},
        {"value-bytes", 1, NULL, 'v'}, {"seconds", 1, NULL, 's'}, {"warmup", 1, NULL, 'w'}, {"keys", 1, NULL, 'k'},
        {"timeout", 1, NULL, 't'}, {0}};
    *o = (struct options){.op = KV_PUT, .op_name = "put", .clients = 64, .keys = 10000, .value_bytes = 256,
                          .seconds = 5, .warmup = 1, .timeout_us = 30000000};
    for (int letter; (letter = getopt_long(argc, argv, "", words, NULL)) != -1;)
        take(o, letter);
    if (o->client.n_controllers == 0 || optind < argc)
        usage("--controllers is missing, or there are words too many");
    if (o->clients == 0 || o->keys == 0 || o->value_bytes > DATA_BYTES_MAX)
        usage("--clients and --keys are at least 1, --value-bytes at most 1048576");
}

static void print(const struct bench *b)
{
    const struct hist *h = &b->hist;
    double seconds = b->last_us > b->measure_us ? (double)(b->last_us - b->measure_us) / 1e6 : 0;
    printf("op=%s clients=%u value=%zu ops_per_s=%.0f p50_us=%llu p99_us=%llu p999_us=%llu max_us=%llu errors=%llu\n",
           b->o.op_name, b->o.clients, b->o.value_bytes, seconds > 0 ? (double)h->n / seconds : 0,
           (unsigned long long)hist_quantile(h, 0.5), (unsigned long long)hist_quantile(h, 0.99),
           (unsigned long long)hist_quantile(h, 0.999), (unsigned long long)h->max, (unsigned long long)b->errors);
    if (b->errors)
        fprintf(stderr, "rgkv-bench: the last error: %s (%s)\n", rgkv_err_name(b->last_error), b->last_why);
}

static void bench_init(struct bench *b)
{
    uv_loop_init(&b->loop);
    prng_init(&b->prng, 1);
    b->value = mem_alloc(b->o.value_bytes);
    for (size_t i = 0; i < b->o.value_bytes; i++)
        b->value[i] = (uint8_t)prng_next(&b->prng); /* what cannot be compressed */
    b->workers = mem_zalloc(b->o.clients * sizeof(*b->workers));
    if (net_client_new(&b->loop, &b->o.client, &b->client))
        usage("the controllers are malformed");
}

static void bench_release(struct bench *b)
{
    net_client_close(b->client, on_closed, b);
    while (!b->done)
        uv_run(&b->loop, UV_RUN_ONCE);
    uv_loop_close(&b->loop);
    mem_free(b->value);
    mem_free(b->workers);
}

int main(int argc, char **argv)
{
    static struct bench b;
    parse(argc, argv, &b.o);
    bench_init(&b);
    if (b.o.join)
        join(&b);
    else
        start(&b);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    if (!b.failed && b.o.seconds > 0)
        print(&b);
    bench_release(&b);
    return b.failed || b.errors;
}
