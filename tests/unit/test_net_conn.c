#include "tests/unit/unit.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/addr.h"
#include "net/conn.h"
#include "net/link.h"
#include "net/listener.h"

/* A listening set of connections, and strangers with plain sockets around it. */
struct world {
    uv_loop_t loop;
    uv_tcp_t listener;
    struct conns *conns;
    char addr[ADDR_BYTES_MAX];
    struct sockaddr_storage sa;
    unsigned accepted, hellos, messages, closed, lines, fulls, drains;
    uint64_t last_id;
    size_t full_bytes;           /* so much waits where it is told that much does */
    struct conn *newest;
    bool answers;                /* every message with a large one */
    struct blob *kept;           /* the first entry's payload of the last append */
};

static void on_hello(void *owner, struct conn *c, const struct msg *m) { ((struct world *)owner)->hellos++; }

static void answer(struct conn *c, uint64_t id)
{
    static uint8_t data[DATA_BYTES_MAX];
    struct msg m = {.kind = MSG_KV_REPLY, .id = id, .kv_reply = {.data = bytes_of(data, sizeof(data))}};
    conn_send_msg(c, &m);
}

static void on_message(void *owner, struct conn *c, const struct msg *m)
{
    struct world *w = owner;
    w->messages++;
    w->last_id = m->id;
    if (m->kind == MSG_RAFT && m->raft.message.n_entries)
        w->kept = blob_ref(m->raft.message.entries[0].payload);
    if (w->answers)
        answer(c, m->id);
}

static void on_closed(void *owner, struct conn *c) { ((struct world *)owner)->closed++; }

static void on_full(void *owner, struct conn *c, bool full)
{
    struct world *w = owner;
    assert_true(full ? conn_queued(c) > w->full_bytes : conn_queued(c) < w->full_bytes);
    w->fulls += full;
    w->drains += !full;
}

static const struct conn_events events = {on_hello, on_message, on_closed, on_full};

static void on_connection(uv_stream_t *listener, int status)
{
    struct world *w = listener->data;
    struct conn *c = conns_accept(w->conns, listener, &events, w);
    w->accepted += c != NULL;
    w->newest = c ? c : w->newest;
}

static void on_line(void *arg, const char *text) { ((struct world *)arg)->lines++; }

static int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    struct buf why = {0};
    struct addr_parts parts;
    w->full_bytes = CONN_FULL_BYTES;
    uv_loop_init(&w->loop);
    w->conns = conns_new(&w->loop);
    conns_log(w->conns, on_line, w);
    assert_int_equal(listener_bind(&w->loop, &w->listener, &(struct listener_options){.addr = "127.0.0.1:0"}, w->addr, &why), RGKV_OK);
    w->listener.data = w;
    assert_int_equal(listener_start(&w->listener, w->addr, on_connection, &why), RGKV_OK);
    assert_int_equal(addr_split(w->addr, &parts), RGKV_OK);
    assert_int_equal(addr_numeric(&parts, &w->sa), RGKV_OK);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    conns_close_all(w->conns);
    uv_close((uv_handle_t *)&w->listener, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    conns_free(w->conns);
    int rc = uv_loop_close(&w->loop);
    mem_free(w);
    return rc;
}

static void round_of(struct world *w, uv_run_mode mode)
{
    conns_flush(w->conns);
    uv_run(&w->loop, mode);
    conns_flush(w->conns);
}

#define UNTIL(w, condition) \
    while (!(condition)) \
    round_of(w, UV_RUN_ONCE)

static int stranger(struct world *w)
{
    unsigned before = w->accepted;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&w->sa, sizeof(struct sockaddr_in)), 0);
    UNTIL(w, w->accepted > before);
    return fd;
}

static void say(int fd, struct bytes what) { assert_int_equal(send(fd, what.data, what.len, MSG_NOSIGNAL), what.len); }

static void say_msg(int fd, const struct msg *m)
{
    struct buf frame = {0};
    msg_encode(m, &frame);
    say(fd, buf_bytes(&frame));
    buf_release(&frame);
}

static void say_hello(int fd) { say_msg(fd, &(struct msg){.kind = MSG_HELLO, .hello = {.client = 1}}); }
static void say_something(int fd, uint64_t id) { say_msg(fd, &(struct msg){.kind = MSG_CTRL_READ, .id = id, .ctrl_read = {.what = CTRL_READ_STATUS}}); }

static void what_is_said_after_hello_arrives_in_order(void **state)
{
    struct world *w = *state;
    int fd = stranger(w);
    say_hello(fd);
    for (uint64_t id = 1; id <= 100; id++)
        say_something(fd, id);
    UNTIL(w, w->messages == 100);
    assert_int_equal(w->hellos, 1);
    assert_int_equal(w->last_id, 100);
    assert_int_equal(w->closed, 0);
    close(fd);
    UNTIL(w, w->closed == 1);
    assert_int_equal(w->lines, 0);
}

/* A follower hears every entry once: were they kept, its memory would grow with the data. */
static void the_entries_of_a_message_are_given_back_when_it_was_heard(void **state)
{
    struct world *w = *state;
    int fd = stranger(w);
    struct blob *payload = blob_new(bytes_str("payload"));
    struct raft_entry entry = {.index = 1, .term = 1, .kind = RAFT_COMMAND, .payload = payload};
    say_hello(fd);
    say_msg(fd, &(struct msg){.kind = MSG_RAFT, .raft.message = {.kind = RAFT_APPEND, .term = 1, .n_entries = 1, .entries = &entry}});
    UNTIL(w, w->messages == 1);
    assert_int_equal(w->kept->refs, 1);
    blob_unref(w->kept);
    blob_unref(payload);
    close(fd);
    UNTIL(w, w->closed == 1);
}

static void a_message_before_hello_closes_the_connection(void **state)
{
    struct world *w = *state;
    int fd = stranger(w);
    say_something(fd, 1);
    UNTIL(w, w->closed == 1);
    assert_int_equal(w->messages, 0);
    assert_int_equal(conns_counters(w->conns)->bad_frames, 1);
    close(fd);
}

static void garbage_closes_its_own_connection_and_no_other(void **state)
{
    struct world *w = *state;
    int good = stranger(w), bad = stranger(w);
    say_hello(good);
    say(bad, bytes_str("SSH-2.0-OpenSSH_9.2p1 Debian-2 and forty more bytes of it"));
    UNTIL(w, w->closed == 1);
    say_something(good, 5);
    UNTIL(w, w->messages == 1);
    assert_int_equal(conns_count(w->conns), 1);
    assert_int_equal(w->lines, 1);
    close(good);
    close(bad);
}

static void a_damaged_frame_in_a_good_stream_closes_it_and_is_not_obeyed(void **state)
{
    struct world *w = *state;
    struct buf frame = {0};
    int fd = stranger(w);
    say_hello(fd);
    msg_encode(&(struct msg){.kind = MSG_CTRL_READ, .id = 3, .ctrl_read = {.what = CTRL_READ_STATUS}}, &frame);
    frame.data[frame.len - 1] ^= 1;
    say(fd, buf_bytes(&frame));
    UNTIL(w, w->closed == 1);
    assert_int_equal(w->messages, 0);
    buf_release(&frame);
    close(fd);
}

static void many_bad_connections_make_one_line(void **state)
{
    struct world *w = *state;
    for (unsigned i = 1; i <= 50; i++) {
        int fd = stranger(w);
        say(fd, bytes_str("GET / HTTP/1.1\r\nHost: a.example\r\nAccept: everything\r\n\r\n"));
        UNTIL(w, w->closed == i);
        close(fd);
    }
    assert_int_equal(conns_counters(w->conns)->bad_frames, 50);
    assert_true(w->lines >= 1 && w->lines <= 2);
}

static void a_stranger_that_says_nothing_is_closed_after_its_time(void **state)
{
    struct world *w = *state;
    int silent = stranger(w), polite = stranger(w);
    uint64_t now = uv_hrtime() / 1000;
    say_hello(polite);
    UNTIL(w, w->hellos == 1);
    conns_sweep(w->conns, now);
    assert_int_equal(conns_counters(w->conns)->strangers, 0);
    conns_sweep(w->conns, now + CONN_HELLO_US + 1000000);
    UNTIL(w, w->closed == 1);
    assert_int_equal(conns_counters(w->conns)->strangers, 1);
    assert_int_equal(conns_count(w->conns), 1);
    close(silent);
    close(polite);
}

static void one_byte_now_and_then_is_too_slow_for_a_frame(void **state)
{
    struct world *w = *state;
    struct buf frame = {0};
    int fd = stranger(w);
    uint64_t now = uv_hrtime() / 1000;
    say_hello(fd);
    UNTIL(w, w->hellos == 1);
    msg_encode(&(struct msg){.kind = MSG_CTRL_READ, .id = 3, .ctrl_read = {.what = CTRL_READ_STATUS}}, &frame);
    for (unsigned i = 0; i < 10; i++) {
        say(fd, bytes_of(frame.data + i, 1));
        round_of(w, UV_RUN_ONCE);
        conns_sweep(w->conns, now + (i + 1) * CONN_FRAME_US / 20);
        assert_int_equal(w->closed, 0);
    }
    conns_sweep(w->conns, now + 2 * CONN_FRAME_US);
    UNTIL(w, w->closed == 1);
    assert_int_equal(conns_counters(w->conns)->slow, 1);
    buf_release(&frame);
    close(fd);
}

static void frames_that_follow_each_other_for_long_are_not_slow(void **state)
{
    struct world *w = *state;
    int fd = stranger(w);
    uint64_t now = uv_hrtime() / 1000;
    say_hello(fd);
    struct buf frame = {0};
    msg_encode(&(struct msg){.kind = MSG_CTRL_READ, .id = 3, .ctrl_read = {.what = CTRL_READ_STATUS}}, &frame);
    for (unsigned i = 0; i < 10; i++) { /* never at a frame's edge when swept */
        say(fd, bytes_of(frame.data + (i ? 10 : 0), frame.len - (i ? 10 : 0)));
        say(fd, bytes_of(frame.data, 10));
        UNTIL(w, w->messages == i + 1);
        round_of(w, UV_RUN_NOWAIT);
        conns_sweep(w->conns, now + i * CONN_FRAME_US / 2);
        assert_int_equal(w->closed, 0);
    }
    buf_release(&frame);
    close(fd);
}

static void a_peer_that_never_reads_is_closed_and_its_queue_was_bounded(void **state)
{
    struct world *w = *state;
    int fd = stranger(w);
    size_t most = 0;
    say_hello(fd);
    w->answers = true;
    for (uint64_t id = 1; w->closed == 0; id++) {
        if (w->messages == id - 1)
            say_something(fd, id);
        round_of(w, UV_RUN_ONCE);
        if (w->closed == 0)
            most = MAX(most, conn_queued(w->newest));
        assert_true(id < 1000);
    }
    assert_true(most <= CONN_OUT_BYTES_MAX);
    assert_true(most > CONN_OUT_BYTES_MAX / 2);
    assert_int_equal(conns_counters(w->conns)->unread, 1);
    close(fd);
}

static void answers_larger_than_the_sockets_buffers_arrive_whole(void **state)
{
    struct world *w = *state;
    int fd = stranger(w);
    size_t got = 0, want = 0;
    static uint8_t sink[1u << 20];
    struct buf frame = {0};
    say_hello(fd);
    w->answers = true;
    for (uint64_t id = 1; id <= 20; id++)
        say_something(fd, id);
    UNTIL(w, w->messages == 20);
    msg_encode(&(struct msg){.kind = MSG_KV_REPLY, .kv_reply = {.data = bytes_of(sink, DATA_BYTES_MAX)}}, &frame);
    want = frame.len * 20;
    while (got < want) {
        ssize_t n = recv(fd, sink, sizeof(sink), MSG_DONTWAIT);
        if (n > 0)
            got += (size_t)n;
        else
            round_of(w, UV_RUN_NOWAIT);
    }
    assert_int_equal(got, want);
    assert_int_equal(conn_queued(w->newest), 0);
    assert_true(conn_memory(w->newest) <= 4u << 20); /* a thousand peers that were slow once would fill the memory */
    conns_sweep(w->conns, uv_hrtime() / 1000);
    assert_int_equal(conn_memory(w->newest), 0);
    assert_true(w->fulls == 1 && w->drains == 1);
    buf_release(&frame);
    close(fd);
}

static void a_peer_that_reads_nothing_for_a_minute_is_closed_however_little_waits(void **state)
{
    struct world *w = *state;
    int fd = stranger(w);
    uint64_t now = uv_hrtime() / 1000;
    say_hello(fd);
    w->answers = true;
    for (uint64_t id = 1; id <= 12; id++)
        say_something(fd, id);
    UNTIL(w, w->messages == 12);
    round_of(w, UV_RUN_NOWAIT);
    assert_true(conn_queued(w->newest) > 0);
    conns_sweep(w->conns, now);
    conns_sweep(w->conns, now + CONN_FRAME_US);
    assert_int_equal(conns_counters(w->conns)->unread, 0);
    conns_sweep(w->conns, now + CONN_FRAME_US + 1000000);
    UNTIL(w, w->closed == 1);
    assert_int_equal(conns_counters(w->conns)->unread, 1);
    close(fd);
}

/* ---- at the ends of a link ---- */

struct end {
    unsigned ups, downs, messages;
};
static void link_hello(void *arg, struct msg *m) { m->hello.client = 99; }
static void link_up(void *arg, const char *addr) { ((struct end *)arg)->ups++; }
static void link_down(void *arg, const char *addr) { ((struct end *)arg)->downs++; }
static void link_message(void *arg, const char *addr, struct conn *c, const struct msg *m) { ((struct end *)arg)->messages++; }
static const struct links_events link_events = {link_hello, link_up, link_down, link_message, NULL};

static void answer_hello(struct world *w)
{
    struct msg m = {.kind = MSG_HELLO, .hello = {.node = 5}};
    conn_send_msg(w->newest, &m);
}

static void close_links(struct world *w, struct links *l)
{
    links_close(l);
    UNTIL(w, links_closed(l));
    links_free(l);
}

/* ---- all together ---- */

#define ALL_BYTES (8u << 20)

/* Nothing of it is written before the next flush. */
static void queue(struct conn *c, size_t bytes)
{
    static uint8_t piece[32u << 10];
    for (size_t put = 0; put < bytes; put += sizeof(piece))
        conn_send(c, bytes_of(piece, sizeof(piece)));
}

static uint64_t greeted(struct world *w, uint64_t node, int *fd)
{
    unsigned before = w->hellos;
    *fd = stranger(w);
    say_msg(*fd, &(struct msg){.kind = MSG_HELLO, .hello = {.node = node}});
    UNTIL(w, w->hellos > before);
    return conn_id(w->newest);
}

static void who_reads_slowly_waits_sooner_when_all_together_have_much_queued(void **state)
{
    struct world *w = *state;
    struct conn *c[10];
    int fds[10], least = 4096;
    conns_limit(w->conns, CONNS_MAX, CONNS_BYTES_MAX / 4);
    w->full_bytes = CONN_FAIR_BYTES;
    for (unsigned i = 0; i < 10; i++) {
        c[i] = conns_find(w->conns, greeted(w, 0, &fds[i]));
        setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &least, sizeof(least));
    }
    for (unsigned i = 0; i < 10; i++)
        queue(c[i], 6u << 20);
    conns_flush(w->conns);
    assert_int_equal(w->fulls, 0);
    for (unsigned i = 0; i < 10; i++)
        queue(c[i], 1u << 20);
    conns_flush(w->conns);
    assert_int_equal(w->fulls, 10);
    assert_int_equal(conns_counters(w->conns)->unread, 0);
    for (unsigned i = 0; i < 10; i++)
        close(fds[i]);
}

static void who_may_have_little_in_all_is_full_with_less(void **state)
{
    struct world *w = *state;
    int fd;
    conns_limit(w->conns, CONNS_MAX, 32u << 20);
    w->full_bytes = 2u << 20;
    struct conn *c = conns_find(w->conns, greeted(w, 0, &fd));
    queue(c, 7u << 20);
    conns_flush(w->conns);
    assert_int_equal(w->fulls, 1);
    close(fd);
}

/* Two and a half megabytes of a frame of three. */
static void begin_large_frame(struct world *w, int fd)
{
    static uint8_t sent[5u << 19];
    struct buf frame = {0};
    struct blob *payload = blob_new(bytes_of(sent, DATA_BYTES_MAX));
    struct raft_entry entries[3];
    for (unsigned i = 0; i < 3; i++)
        entries[i] = (struct raft_entry){.index = i + 1, .term = 1, .kind = RAFT_COMMAND, .payload = payload};
    msg_encode(&(struct msg){.kind = MSG_RAFT, .raft.message = {.kind = RAFT_APPEND, .term = 1, .n_entries = 3, .entries = entries}}, &frame);
    for (size_t put = 0; put < sizeof(sent);) {
        ssize_t n = send(fd, frame.data + put, sizeof(sent) - put, MSG_NOSIGNAL | MSG_DONTWAIT);
        put += n > 0 ? (size_t)n : 0;
        round_of(w, UV_RUN_NOWAIT);
    }
    buf_release(&frame);
    blob_unref(payload);
}

static void large_frames_of_all_that_are_under_way_close_no_node(void **state)
{
    struct world *w = *state;
    int fds[4];
    conns_limit(w->conns, CONNS_MAX, 10u << 20); /* two, for they grow to a power of two */
    for (unsigned i = 0; i < 4; i++)
        greeted(w, i == 2 ? 5 : 0, &fds[i]);
    for (unsigned i = 0; i < 3; i++)
        begin_large_frame(w, fds[i]);
    for (unsigned i = 0; i < 100; i++)
        round_of(w, UV_RUN_NOWAIT);
    assert_int_equal(w->closed, 0);
    begin_large_frame(w, fds[3]);
    UNTIL(w, w->closed == 1);
    assert_int_equal(conns_counters(w->conns)->greedy, 1);
    for (unsigned i = 0; i < 4; i++)
        close(fds[i]);
}

static void a_full_house_closes_as_many_as_it_must_and_no_node(void **state)
{
    struct world *w = *state;
    uint64_t ids[4];
    int fds[4];
    struct end end = {0};
    conns_limit(w->conns, CONNS_MAX, ALL_BYTES);
    w->full_bytes = CONN_FAIR_BYTES;
    for (unsigned i = 0; i < 4; i++)
        ids[i] = greeted(w, i == 0 ? 5 : 0, &fds[i]);
    struct links *l = links_new(&w->loop, w->conns, &link_events, &end);
    links_want(l, w->addr);
    UNTIL(w, w->hellos == 5);
    answer_hello(w);
    UNTIL(w, end.ups == 1);
    queue(links_conn(l, w->addr), ALL_BYTES); /* a window of entries, say */
    for (unsigned i = 0; i < 4; i++)
        queue(conns_find(w->conns, ids[i]), (i == 0 ? 3u : 2u) << 20);
    assert_null(conns_find(w->conns, ids[3]));
    for (unsigned i = 0; i < 3; i++) {
        assert_non_null(conns_find(w->conns, ids[i]));
        queue(conns_find(w->conns, ids[i]), 1);
        assert_non_null(conns_find(w->conns, ids[i]));
    }
    queue(conns_find(w->conns, ids[0]), 2u << 20);
    assert_non_null(conns_find(w->conns, ids[0]));
    queue(conns_find(w->conns, ids[1]), 1);
    assert_null(conns_find(w->conns, ids[1]));
    queue(links_conn(l, w->addr), 1);
    assert_non_null(links_conn(l, w->addr));
    assert_int_equal(conns_counters(w->conns)->unread, 2);
    for (unsigned i = 0; i < 4; i++)
        close(fds[i]);
    close_links(w, l);
}

static void who_claims_to_be_a_node_is_not_given_all_memory(void **state)
{
    struct world *w = *state;
    int fd;
    conns_limit(w->conns, CONNS_MAX, ALL_BYTES);
    struct conn *c = conns_find(w->conns, greeted(w, 5, &fd));
    queue(c, 2 * ALL_BYTES);
    assert_int_equal(conns_counters(w->conns)->unread, 0);
    queue(c, 1);
    assert_int_equal(conns_counters(w->conns)->unread, 1);
    close(fd);
}

static void beyond_the_limit_connections_are_refused_until_one_leaves(void **state)
{
    struct world *w = *state;
    conns_limit(w->conns, 3, CONNS_BYTES_MAX);
    int fds[3];
    for (unsigned i = 0; i < 3; i++)
        fds[i] = stranger(w);
    int extra = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(extra, (struct sockaddr *)&w->sa, sizeof(struct sockaddr_in)), 0);
    UNTIL(w, conns_counters(w->conns)->refused_full == 1);
    close(extra);
    close(fds[0]);
    UNTIL(w, w->closed == 1);
    fds[0] = stranger(w);
    assert_int_equal(w->accepted, 4);
    for (unsigned i = 0; i < 3; i++)
        close(fds[i]);
}

static void the_last_places_are_for_nodes(void **state)
{
    struct world *w = *state;
    int fds[33], n = 0;
    conns_limit(w->conns, 32, CONNS_BYTES_MAX);
    while (n < 30)
        greeted(w, 0, &fds[n++]);
    fds[n] = stranger(w);
    say_hello(fds[n++]);
    UNTIL(w, w->closed == 1 || w->hellos > 30);
    assert_int_equal(w->hellos, 30);
    assert_int_equal(conns_counters(w->conns)->refused_full, 1);
    assert_int_equal(w->lines, 1);
    greeted(w, 5, &fds[n++]);
    greeted(w, 6, &fds[n++]);
    assert_int_equal(w->hellos, 32);
    assert_int_equal(conns_count(w->conns), 32);
    close(fds[0]);
    close(fds[1]);
    close(fds[2]);
    UNTIL(w, w->closed == 4);
    greeted(w, 0, &fds[0]);
    assert_int_equal(conns_counters(w->conns)->refused_full, 1);
    close(fds[0]);
    while (n > 3)
        close(fds[--n]);
}

static void a_storm_of_connects_and_resets_leaves_nothing_behind(void **state)
{
    struct world *w = *state;
    struct linger reset = {.l_onoff = 1};
    for (unsigned i = 0; i < 300; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&w->sa, sizeof(struct sockaddr_in)), 0);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(fd);
        round_of(w, UV_RUN_NOWAIT);
    }
    while (w->accepted < 1 || conns_count(w->conns) > 0)
        round_of(w, UV_RUN_NOWAIT);
    int fd = stranger(w);
    say_hello(fd);
    UNTIL(w, w->hellos == 1);
    close(fd);
}

/* ---- addresses ---- */

static void a_listener_does_not_leave_loopback_unasked(void **state)
{
    uv_loop_t loop;
    uv_tcp_t tcp;
    struct buf why = {0};
    char addr[ADDR_BYTES_MAX];
    uv_loop_init(&loop);
    assert_int_equal(listener_bind(&loop, &tcp, &(struct listener_options){.addr = "0.0.0.0:0"}, addr, &why), RGKV_NOT_PERMITTED);
    assert_non_null(memmem(why.data, why.len, "--insecure", 10));
    uv_close((uv_handle_t *)&tcp, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(listener_bind(&loop, &tcp, &(struct listener_options){.addr = "0.0.0.0:0", .beyond_loopback = true}, addr, &why), RGKV_OK);
    uv_close((uv_handle_t *)&tcp, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    buf_release(&why);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void a_port_in_use_is_told_in_a_sentence(void **state)
{
    struct world *w = *state;
    static uv_tcp_t tcp; /* closed in teardown */
    struct buf why = {0};
    char addr[ADDR_BYTES_MAX];
    enum rgkv_err err = listener_bind(&w->loop, &tcp, &(struct listener_options){.addr = w->addr}, addr, &why);
    if (!err)
        err = listener_start(&tcp, addr, on_connection, &why);
    assert_int_equal(err, RGKV_CONFLICT);
    assert_non_null(memmem(why.data, why.len, w->addr, strlen(w->addr)));
    uv_close((uv_handle_t *)&tcp, NULL);
    buf_release(&why);
}

/* ---- links ---- */

static void a_link_is_up_only_when_the_peer_has_said_hello(void **state)
{
    struct world *w = *state;
    struct end end = {0};
    struct links *l = links_new(&w->loop, w->conns, &link_events, &end);
    links_want(l, w->addr);
    UNTIL(w, w->hellos == 1);
    assert_int_equal(end.ups, 0);
    assert_null(links_conn(l, w->addr));
    answer_hello(w);
    UNTIL(w, end.ups == 1);
    assert_non_null(links_conn(l, w->addr));
    close_links(w, l);
}

static void a_lost_link_is_told_and_comes_back_by_itself(void **state)
{
    struct world *w = *state;
    struct end end = {0};
    struct links *l = links_new(&w->loop, w->conns, &link_events, &end);
    links_want(l, w->addr);
    for (unsigned i = 1; i <= 3; i++) {
        UNTIL(w, w->hellos == i);
        answer_hello(w);
        UNTIL(w, end.ups == i);
        conn_close(w->newest, NULL);
        UNTIL(w, end.downs == i);
    }
    close_links(w, l);
}

static void frames_of_a_sender_that_does_not_wait_follow_the_hello(void **state)
{
    struct world *w = *state;
    struct end end = {0};
    struct buf frame = {0};
    struct links *l = links_new(&w->loop, w->conns, &link_events, &end);
    msg_encode(&(struct msg){.kind = MSG_CTRL_READ, .id = 3, .ctrl_read = {.what = CTRL_READ_STATUS}}, &frame);
    links_send(l, w->addr, buf_bytes(&frame));
    links_send(l, w->addr, buf_bytes(&frame));
    UNTIL(w, w->messages == 2);
    assert_int_equal(w->hellos, 1);
    assert_int_equal(conns_counters(w->conns)->bad_frames, 0);
    buf_release(&frame);
    close_links(w, l);
}

/* All groups that a peer was away for, say. It does not read; the link stays. */
static void what_is_too_much_at_once_for_a_link_is_dropped_and_the_link_stays(void **state)
{
    struct world *w = *state;
    struct end end = {0};
    struct links *l = links_new(&w->loop, w->conns, &link_events, &end);
    struct buf frames = {0};
    memset(buf_grow(&frames, 16u << 20), 0, 16u << 20);
    links_want(l, w->addr);
    UNTIL(w, w->hellos == 1);
    answer_hello(w);
    UNTIL(w, end.ups == 1);
    for (unsigned i = 0; i < 8; i++)
        links_send(l, w->addr, buf_bytes(&frames));
    assert_non_null(links_conn(l, w->addr));
    assert_in_range(conn_queued(links_conn(l, w->addr)), 16u << 20, LINK_OUT_BYTES_MAX);
    assert_int_equal(end.downs, 0);
    buf_release(&frames);
    close_links(w, l);
}

static void nobody_there_is_told_again_and_again_and_more_rarely(void **state)
{
    struct world *w = *state;
    struct end end = {0};
    uv_close((uv_handle_t *)&w->listener, NULL);
    round_of(w, UV_RUN_NOWAIT);
    struct links *l = links_new(&w->loop, w->conns, &link_events, &end);
    uint64_t began = uv_hrtime();
    links_want(l, w->addr);
    UNTIL(w, end.downs == 5); /* 10, 20, 40, 80 ms, each at least half of it */
    assert_true(uv_hrtime() - began >= 70000000u);
    assert_int_equal(end.ups, 0);
    close_links(w, l);
    uv_tcp_init(&w->loop, &w->listener); /* for teardown */
}

static void a_dropped_link_says_nothing_more(void **state)
{
    struct world *w = *state;
    struct end end = {0};
    struct links *l = links_new(&w->loop, w->conns, &link_events, &end);
    links_want(l, w->addr);
    UNTIL(w, w->hellos == 1);
    answer_hello(w);
    UNTIL(w, end.ups == 1);
    links_drop(l, w->addr);
    UNTIL(w, w->closed == 1);
    assert_int_equal(end.downs, 0);
    links_want(l, w->addr);
    UNTIL(w, w->hellos == 2);
    close_links(w, l);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the programs do */
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_is_said_after_hello_arrives_in_order),
        T(the_entries_of_a_message_are_given_back_when_it_was_heard),
        T(a_message_before_hello_closes_the_connection),
        T(garbage_closes_its_own_connection_and_no_other),
        T(a_damaged_frame_in_a_good_stream_closes_it_and_is_not_obeyed),
        T(many_bad_connections_make_one_line),
        T(a_stranger_that_says_nothing_is_closed_after_its_time),
        T(one_byte_now_and_then_is_too_slow_for_a_frame),
        T(frames_that_follow_each_other_for_long_are_not_slow),
        T(a_peer_that_never_reads_is_closed_and_its_queue_was_bounded),
        T(a_peer_that_reads_nothing_for_a_minute_is_closed_however_little_waits),
        T(answers_larger_than_the_sockets_buffers_arrive_whole),
        T(who_reads_slowly_waits_sooner_when_all_together_have_much_queued),
        T(who_may_have_little_in_all_is_full_with_less),
        T(large_frames_of_all_that_are_under_way_close_no_node),
        T(a_full_house_closes_as_many_as_it_must_and_no_node),
        T(who_claims_to_be_a_node_is_not_given_all_memory),
        T(beyond_the_limit_connections_are_refused_until_one_leaves),
        T(the_last_places_are_for_nodes),
        T(a_storm_of_connects_and_resets_leaves_nothing_behind),
        cmocka_unit_test(a_listener_does_not_leave_loopback_unasked),
        T(a_port_in_use_is_told_in_a_sentence),
        T(a_link_is_up_only_when_the_peer_has_said_hello),
        T(a_lost_link_is_told_and_comes_back_by_itself),
        T(frames_of_a_sender_that_does_not_wait_follow_the_hello),
        T(what_is_too_much_at_once_for_a_link_is_dropped_and_the_link_stays),
        T(nobody_there_is_told_again_and_again_and_more_rarely),
        T(a_dropped_link_says_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
