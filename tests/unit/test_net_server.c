#include "tests/unit/unit.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/net_client.h"
#include "net/server.h"
#include "tests/unit/store_dir.h"

/* One real node and one client in one loop, over loopback and the real disk. */
struct world {
    uv_loop_t loop;
    struct vfs *vfs;
    struct server *server;
    struct manifest manifest;
    struct net_client *client;
    char addr[ADDR_BYTES_MAX];
    bool stopped, closed;
    bool lacks, failed;        /* descriptors; and said so */
    struct rlimit files;
    unsigned answers;
    enum rgkv_err err;
    struct buf text;
};

static void on_line(void *arg, const char *text) {}
static void on_stopped(void *arg) { ((struct world *)arg)->stopped = true; }
static void on_failed(void *arg, const char *why)
{
    struct world *w = arg;
    if (!w->lacks || !strstr(why, "no file descriptors are left"))
        fail_msg("the node failed: %s", why);
    w->failed = true;
    setrlimit(RLIMIT_NOFILE, &w->files); /* the daemon ends here */
}
static void on_closed(void *arg) { ((struct world *)arg)->closed = true; }

static void choose_addr(struct world *w)
{
    uv_tcp_t tcp;
    struct sockaddr_in sa;
    int len = sizeof(sa);
    uv_tcp_init(&w->loop, &tcp);
    uv_ip4_addr("127.0.0.1", 0, &sa);
    uv_tcp_bind(&tcp, (struct sockaddr *)&sa, 0);
    uv_tcp_getsockname(&tcp, (struct sockaddr *)&sa, &len);
    uv_close((uv_handle_t *)&tcp, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    snprintf(w->addr, sizeof(w->addr), "127.0.0.1:%u", (unsigned)(sa.sin_port >> 8 | (sa.sin_port & 255) << 8));
}

static void start_server(struct world *w)
{
    struct buf why = {0};
    enum rgkv_err err = server_manifest_load(w->vfs, store_dir, &w->manifest, &why);
    if (err == RGKV_NOT_FOUND)
        w->manifest = (struct manifest){0};
    struct server_options o = {.loop = &w->loop, .vfs = w->vfs, .data_dir = store_dir, .listen = w->addr,
        .table_budget_bytes = 8u << 20, .events = {on_line, on_stopped, on_failed}, .arg = w,
        .node = {.n_controllers = 1, .nshards = 4, .snapshot_bytes = -1, .election_us = 20000, .heartbeat_us = 5000,
                 .manifest = &w->manifest, .version = "test"}};
    memcpy(o.node.controllers[0], w->addr, sizeof(w->addr));
    buf_clear(&why);
    if (server_new(&o, &w->server, &why))
        fail_msg("%.*s", (int)why.len, (const char *)why.data);
    buf_release(&why);
}

static void start_client(struct world *w)
{
    struct net_client_options o = {.n_controllers = 1};
    memcpy(o.controllers[0], w->addr, sizeof(w->addr));
    assert_int_equal(net_client_new(&w->loop, &o, &w->client), RGKV_OK);
}

#define UNTIL(w, condition) \
    while (!(condition)) \
    uv_run(&(w)->loop, UV_RUN_ONCE)

static void stop_server(struct world *w)
{
    w->stopped = false;
    server_stop(w->server);
    UNTIL(w, w->stopped);
    server_close(w->server);
}

static void stop_client(struct world *w)
{
    w->closed = false;
    net_client_close(w->client, on_closed, w);
    UNTIL(w, w->closed);
}

static int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    assert_int_equal(store_dir_make(NULL), 0);
    uv_loop_init(&w->loop);
    w->vfs = vfs_posix_new();
    choose_addr(w);
    start_server(w);
    start_client(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    if (w->client)
        stop_client(w);
    stop_server(w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    server_free(w->server);
    vfs_posix_free(w->vfs);
    buf_release(&w->text);
    int rc = uv_loop_close(&w->loop);
    mem_free(w);
    return rc ? rc : store_dir_remove(NULL);
}

static void on_answer(void *arg, const struct client_effect *e)
{
    struct world *w = arg;
    w->answers++;
    w->err = e->err;
    buf_clear(&w->text);
    if (e->reply)
        buf_put(&w->text, e->reply->data);
}

static void ask(struct world *w, const struct client_request *q)
{
    unsigned before = w->answers;
    net_client_submit(w->client, q, 0, on_answer, w);
    assert_int_equal(w->answers, before); /* never from inside */
    UNTIL(w, w->answers > before);
}

static void join(struct world *w)
{
    struct ctrl_join_group g = {.gid = 1, .n = 1};
    memcpy(g.addrs[0], w->addr, sizeof(w->addr));
    struct ctrl_command c = {.op = CTRL_JOIN, .n_groups = 1, .groups = &g};
    ask(w, &(struct client_request){.kind = CLIENT_ADMIN, .admin = &c});
    assert_int_equal(w->err, RGKV_OK);
}

static void append(struct world *w, const char *key, const char *data)
{
    struct kv_request q = {.op = KV_APPEND, .key = bytes_str(key), .data = bytes_str(data), .mode = 0644};
    ask(w, &(struct client_request){.kind = CLIENT_KV, .kv = &q});
    assert_int_equal(w->err, RGKV_OK);
}

static void expect(struct world *w, const char *key, const char *value)
{
    struct kv_request q = {.op = KV_GET, .key = bytes_str(key), .length = 4096};
    ask(w, &(struct client_request){.kind = CLIENT_KV, .kv = &q});
    assert_int_equal(w->err, RGKV_OK);
    assert_true(bytes_eq(buf_bytes(&w->text), bytes_str(value)));
}

static void what_was_acknowledged_is_there_after_a_restart_once(void **state)
{
    struct world *w = *state;
    join(w);
    append(w, "a", "one ");
    append(w, "b", "1");
    append(w, "a", "two");
    stop_server(w);
    stop_client(w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    server_free(w->server);
    start_server(w);
    start_client(w);
    expect(w, "a", "one two");
    expect(w, "b", "1");
}

static void a_client_that_is_closed_answers_what_was_in_flight(void **state)
{
    struct world *w = *state;
    struct kv_request q = {.op = KV_GET, .key = bytes_str("k"), .length = 1};
    for (unsigned i = 0; i < 10; i++) /* no group has joined: they wait */
        net_client_submit(w->client, &(struct client_request){.kind = CLIENT_KV, .kv = &q}, 0, on_answer, w);
    stop_client(w);
    w->client = NULL;
    assert_int_equal(w->answers, 10);
    assert_int_equal(w->err, RGKV_CANCELLED);
}

static void a_cancelled_request_is_answered_from_the_loop_and_once(void **state)
{
    struct world *w = *state;
    struct kv_request q = {.op = KV_GET, .key = bytes_str("k"), .length = 1};
    uint64_t id = net_client_submit(w->client, &(struct client_request){.kind = CLIENT_KV, .kv = &q}, 0, on_answer, w);
    net_client_cancel(w->client, id);
    assert_int_equal(w->answers, 0);
    UNTIL(w, w->answers == 1);
    assert_int_equal(w->err, RGKV_CANCELLED);
    net_client_cancel(w->client, id);
    join(w);
    assert_int_equal(w->answers, 2);
}

/* libuv's spare descriptor is gone: in the moment in which it was let go to turn a connection away, another thread opened a file. */
static void a_node_without_descriptors_fails_instead_of_accepting_for_ever(void **state)
{
    struct world *w = *state;
    struct sockaddr_in sa;
    join(w);
    append(w, "k", "v");
    uv_ip4_addr("127.0.0.1", atoi(strchr(w->addr, ':') + 1), &sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    close(w->loop.emfile_fd);
    w->loop.emfile_fd = -1;
    int next = dup(0); /* the lowest that is free */
    close(next);
    getrlimit(RLIMIT_NOFILE, &w->files);
    struct rlimit few = {(rlim_t)next, w->files.rlim_max};
    w->lacks = true;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    connect(fd, (struct sockaddr *)&sa, sizeof(sa));
    UNTIL(w, w->failed);
    close(fd);
}

static void many_requests_at_once_are_all_answered(void **state)
{
    struct world *w = *state;
    char key[16];
    join(w);
    w->answers = 0;
    for (unsigned i = 0; i < 500; i++) {
        snprintf(key, sizeof(key), "k%u", i % 50);
        struct kv_request q = {.op = KV_APPEND, .key = bytes_str(key), .data = bytes_str("x"), .mode = 0644};
        net_client_submit(w->client, &(struct client_request){.kind = CLIENT_KV, .kv = &q}, 0, on_answer, w);
    }
    UNTIL(w, w->answers == 500);
    assert_int_equal(w->err, RGKV_OK);
    expect(w, "k7", "xxxxxxxxxx");
}

/* A hundred of them are more than a connection may have queued: they must wait for each other, not end it. */
static void many_large_reads_at_once_are_all_answered_over_one_connection(void **state)
{
    struct world *w = *state;
    static uint8_t data[DATA_BYTES_MAX];
    struct kv_request put = {.op = KV_PUT, .key = bytes_str("large"), .data = bytes_of(data, sizeof(data)), .mode = 0644};
    struct kv_request get = {.op = KV_GET, .key = bytes_str("large"), .length = DATA_BYTES_MAX};
    join(w);
    ask(w, &(struct client_request){.kind = CLIENT_KV, .kv = &put});
    assert_int_equal(w->err, RGKV_OK);
    uint64_t accepted = server_counters(w->server)->accepted;
    w->answers = 0;
    for (unsigned i = 0; i < 200; i++)
        net_client_submit(w->client, &(struct client_request){.kind = CLIENT_KV, .kv = &get}, 0, on_answer, w);
    while (w->answers < 200) {
        uv_run(&w->loop, UV_RUN_ONCE);
        assert_int_equal(w->err, RGKV_OK);
        assert_int_equal(server_counters(w->server)->unread, 0);
    }
    assert_int_equal(w->text.len, DATA_BYTES_MAX);
    assert_int_equal(server_counters(w->server)->accepted, accepted);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the programs do */
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_was_acknowledged_is_there_after_a_restart_once),
        T(a_client_that_is_closed_answers_what_was_in_flight),
        T(a_cancelled_request_is_answered_from_the_loop_and_once),
        T(a_node_without_descriptors_fails_instead_of_accepting_for_ever),
        T(many_requests_at_once_are_all_answered),
        T(many_large_reads_at_once_are_all_answered_over_one_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
