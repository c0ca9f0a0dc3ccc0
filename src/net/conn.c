#include "net/conn.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "net/addr.h"
#include "net/clock.h"
#include "net/frame_in.h"

#define uthash_malloc(bytes) mem_alloc(bytes)
#define uthash_free(p, bytes) mem_free(p)
#include <uthash.h>

#define OUT_KEEP_BYTES (1u << 20)      /* memory that an empty queue may keep while its connection is busy */
#define SMALL_BYTES (32u << 10)        /* a queue of CONN_FAIR_BYTES is not the reason for a full house, nor one this short for one twice as full */
#define NODES_SHARE 16u                /* of the places */
#define OUT_UNCONNECTED_BYTES (1u << 20)
#define DIRECT_BYTES_MIN (64u << 10)   /* frames of so many together are offered to the socket before they are copied */

struct conns {
    uv_loop_t *loop;
    struct conn *by_id;                /* uthash */
    struct conn *dirty;                /* with something queued since the last flush */
    unsigned max;
    size_t bytes_max, full_bytes;
    uint64_t last_id;
    size_t out_bytes, in_bytes;        /* out: of those that were accepted and are not closing */
    struct conn_counters counters;
    struct line_limit log;
    struct arena arena;                /* of the message being handled */
    struct frame_scratch scratch;
};

struct conn {
    uv_tcp_t tcp;
    struct conns *set;
    uint64_t id;
    UT_hash_handle hh;
    const struct conn_events *events;  /* NULL: abandoned */
    void *owner;
    bool connected, greeted, closing, dirty, writing_now, full;
    bool own, node;                    /* we connected it; the peer says that it is one */
    struct conn *next_dirty;
    struct buf out;                    /* queued */
    struct buf writing;                /* given to libuv, untouched until it is done */
    uv_write_t write;
    uv_connect_t connect;
    uint64_t born_us, frame_since_us;
    uint64_t stuck_since_us;           /* what libuv has to write has been `stuck_bytes` since then */
    size_t stuck_bytes;
    size_t in_held;                    /* its share of in_bytes */
    struct frame_in in;
    char peer[ADDR_BYTES_MAX];
};

/* ---- the set ---- */

struct conns *conns_new(uv_loop_t *loop)
{
    struct conns *s = mem_zalloc(sizeof(*s));
    s->loop = loop;
    conns_limit(s, CONNS_MAX, CONNS_BYTES_MAX);
    return s;
}

void conns_free(struct conns *s)
{
    if (!s)
        return;
    ASSERT(s->by_id == NULL && s->dirty == NULL);
    arena_release(&s->arena);
    mem_free(s);
}

void conns_log(struct conns *s, void (*line)(void *arg, const char *text), void *arg)
{
    s->log = (struct line_limit){.line = line, .arg = arg};
}

void conns_limit(struct conns *s, unsigned max, size_t bytes)
{
    s->max = max;
    s->bytes_max = bytes;
    s->full_bytes = MIN(MAX(bytes / 16, CONN_FAIR_BYTES), CONN_FULL_BYTES);
}

const struct conn_counters *conns_counters(const struct conns *s) { return &s->counters; }
unsigned conns_count(const struct conns *s) { return HASH_COUNT(s->by_id); }

struct conn *conns_find(const struct conns *s, uint64_t id)
{
    struct conn *c;
    HASH_FIND(hh, s->by_id, &id, sizeof(id), c);
    return c && !c->closing ? c : NULL;
}

uint64_t conn_id(const struct conn *c) { return c->id; }
size_t conn_queued(const struct conn *c) { return c->out.len + c->writing.len; }
size_t conn_memory(const struct conn *c) { return c->out.cap + c->writing.cap; }

static bool hoards(size_t mine, size_t fair, size_t all, size_t all_max)
{
    return all > all_max && mine > (all > 2 * all_max ? SMALL_BYTES : fair);
}

/* Links have bounds of their own (links_send), and who closes them for others' sake stops groups. */
static void out_count(struct conn *c, size_t more, size_t less)
{
    if (!c->own && !c->closing)
        c->set->out_bytes += more - less;
}

/* ---- the end of a connection ---- */

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    if (c->events)
        c->events->closed(c->owner, c);
    HASH_DEL(c->set->by_id, c);
    c->set->in_bytes -= c->in_held;
    frame_in_release(&c->in);
    buf_release(&c->out);
    buf_release(&c->writing);
    mem_free(c);
}

static void undirty(struct conn *c)
{
    struct conn **at = &c->set->dirty;
    while (c->dirty && *at != c)
        at = &(*at)->next_dirty;
    if (c->dirty)
        *at = c->next_dirty;
    c->dirty = false;
}

void conn_close(struct conn *c, const char *why)
{
    if (c->closing)
        return;
    if (why)
        line_limit_printf(&c->set->log, clock_now_us(), "closed the connection of %s: %s", c->peer, why);
    out_count(c, 0, conn_queued(c)); /* at once: who is sent to before it is gone need not be closed, too */
    c->closing = true;
    undirty(c);
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

void conn_abandon(struct conn *c)
{
    c->events = NULL;
    conn_close(c, NULL);
}

void conns_close_all(struct conns *s)
{
    for (struct conn *c = s->by_id; c; c = c->hh.next)
        conn_close(c, NULL);
}

/* ---- out ---- */

static void flush(struct conn *c);

/* Who is full has something to be written, and hears of less when it was. */
static void tell_full(struct conn *c)
{
    const struct conns *s = c->set;
    size_t limit = s->out_bytes > s->bytes_max / 2 ? CONN_FAIR_BYTES : s->full_bytes;
    bool full = conn_queued(c) > (c->full ? limit / 4 : limit);
    if (full == c->full || c->closing)
        return;
    c->full = full;
    if (c->events && c->events->full)
        c->events->full(c->owner, c, full);
}

/* An empty queue gives large memory back: a peer that was slow once would hold it for ever. */
static void queue_clear(struct buf *b)
{
    buf_clear(b);
    if (b->cap > OUT_KEEP_BYTES)
        buf_release(b);
}

static void on_written(uv_write_t *request, int status)
{
    struct conn *c = request->data;
    out_count(c, 0, c->writing.len);
    queue_clear(&c->writing);
    c->writing_now = false;
    if (status == UV_ECANCELED || c->closing)
        return;
    if (status < 0) {
        conn_close(c, NULL);
        return;
    }
    flush(c);
    tell_full(c);
}

/* What the socket would not take at once waits in libuv, from `from` on; the next frames are queued behind it. */
static void write_later(struct conn *c, size_t from)
{
    struct buf empty = c->writing;
    c->writing = c->out;
    c->out = empty;
    c->writing_now = true;
    c->write.data = c;
    uv_buf_t rest = uv_buf_init((char *)c->writing.data + from, (unsigned)(c->writing.len - from));
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &rest, 1, on_written) < 0) {
        c->writing_now = false;
        conn_close(c, NULL);
    }
}

static void out_emptied(struct conn *c)
{
    out_count(c, 0, c->out.len);
    queue_clear(&c->out);
}

static void flush(struct conn *c)
{
    if (c->closing || c->writing_now || !c->connected || c->out.len == 0)
        return;
    uv_buf_t all = uv_buf_init((char *)c->out.data, (unsigned)c->out.len);
    int n = uv_try_write((uv_stream_t *)&c->tcp, &all, 1);
    if (n < 0 && n != UV_EAGAIN)
        conn_close(c, NULL);
    else if (n == (int)c->out.len)
        out_emptied(c);
    else
        write_later(c, n > 0 ? (size_t)n : 0);
}

void conns_flush(struct conns *s)
{
    while (s->dirty) {
        struct conn *c = s->dirty;
        s->dirty = c->next_dirty;
        c->dirty = false;
        flush(c);
        tell_full(c);
    }
}

/* NULL: it may keep what is queued. */
static const char *too_much(const struct conn *c)
{
    const struct conns *s = c->set;
    if (conn_queued(c) > CONN_OUT_BYTES_MAX)
        return "it does not read its answers";
    if (!c->own && hoards(conn_queued(c), c->node ? SIZE_MAX : CONN_FAIR_BYTES, s->out_bytes, s->bytes_max))
        return "all together read their answers too slowly, and many of its own wait";
    return NULL;
}

static void queued(struct conn *c, size_t len)
{
    struct conns *s = c->set;
    out_count(c, len, 0);
    const char *why = too_much(c);
    if (why) {
        s->counters.unread++;
        conn_close(c, why);
        return;
    }
    if (c->dirty)
        return;
    c->dirty = true;
    c->next_dirty = s->dirty;
    s->dirty = c;
}

/* Frames to a peer that is not there yet are worth little; they are dropped when there are many. */
static bool takes(const struct conn *c) { return !c->closing && (c->connected || c->out.len <= OUT_UNCONNECTED_BYTES); }

/* How much went out at once. An error is met again by the flush of what is queued then, which is all. */
static size_t write_direct(struct conn *c, struct bytes frames)
{
    if (frames.len < DIRECT_BYTES_MIN || !c->connected || c->writing_now || c->out.len)
        return 0;
    uv_buf_t all = uv_buf_init((char *)(uintptr_t)frames.data, (unsigned)frames.len);
    int n = uv_try_write((uv_stream_t *)&c->tcp, &all, 1);
    return n > 0 ? (size_t)n : 0;
}

void conn_send(struct conn *c, struct bytes frames)
{
    if (!takes(c) || frames.len == 0)
        return;
    frames = bytes_from(frames, write_direct(c, frames));
    if (frames.len == 0)
        return;
    buf_put(&c->out, frames);
    queued(c, frames.len);
}

void conn_send_msg(struct conn *c, const struct msg *m)
{
    if (!takes(c))
        return;
    size_t before = c->out.len;
    msg_encode(m, &c->out);
    queued(c, c->out.len - before);
}

/* ---- in ---- */

static void refuse(struct conn *c, uint64_t *counter, const char *why)
{
    ++*counter;
    conn_close(c, why);
}

/* A node that starts again must find a place, or its groups are without it as long as others have them all. */
static bool takes_a_nodes_place(const struct conn *c)
{
    return !c->own && !c->node && conns_count(c->set) > c->set->max - c->set->max / NODES_SHARE;
}

static void take_hello(struct conn *c, const struct msg *m)
{
    c->greeted = true;
    c->node = m->hello.node != 0;
    if (takes_a_nodes_place(c))
        refuse(c, &c->set->counters.refused_full, "there are too many connections, and the last places are for nodes");
    else
        c->events->hello(c->owner, c, m);
}

static void take_message(struct conn *c, const struct msg *m)
{
    if (!c->greeted && m->kind != MSG_HELLO)
        refuse(c, &c->set->counters.bad_frames, "it did not say hello first");
    else if (m->kind != MSG_HELLO)
        c->events->message(c->owner, c, m);
    else if (!c->greeted)
        take_hello(c, m);
}

static void take_frame(struct conn *c, struct bytes frame)
{
    struct msg m;
    arena_reset(&c->set->arena);
    if (msg_decode(frame, &c->set->arena, &m)) {
        refuse(c, &c->set->counters.bad_frames, "it sent a frame that is damaged or of no known kind");
        return;
    }
    take_message(c, &m);
    msg_release(&m);
}

static void take_frames(struct conn *c)
{
    struct bytes frame;
    while (!c->closing) {
        if (frame_in_next(&c->in, &frame)) {
            refuse(c, &c->set->counters.bad_frames, "what it sent is not this protocol");
            return;
        }
        if (frame.len == 0)
            return;
        take_frame(c, frame);
    }
}

static void note_held(struct conn *c)
{
    struct conns *s = c->set;
    size_t held = frame_in_held(&c->in);
    s->in_bytes = s->in_bytes - c->in_held + held;
    c->in_held = held;
    if (hoards(held, c->node ? SIZE_MAX : FRAME_SCRATCH_BYTES, s->in_bytes, s->bytes_max))
        refuse(c, &s->counters.greedy, "too many large frames are under way");
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    struct conn *c = handle->data;
    size_t len;
    uint8_t *to = frame_in_room(&c->in, &c->set->scratch, &len);
    *ret_buf = uv_buf_init((char *)to, (unsigned)len);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = stream->data;
    if (n < 0)
        conn_close(c, NULL);
    if (n <= 0 || c->closing)
        return;
    bool in_frame = frame_in_started(&c->in);
    frame_in_filled(&c->in, &c->set->scratch, (size_t)n);
    size_t before = c->in.view.len;
    take_frames(c);
    bool took = c->in.view.len < before;
    frame_in_keep(&c->in);
    if (!in_frame || took)
        c->frame_since_us = 0; /* conns_sweep starts the clock of the next one */
    if (!c->closing)
        note_held(c);
}

/* ---- the beginning of a connection ---- */

static struct conn *conn_new(struct conns *s, const struct conn_events *events, void *owner)
{
    struct conn *c = mem_zalloc(sizeof(*c));
    c->set = s;
    c->id = ++s->last_id;
    c->events = events;
    c->owner = owner;
    c->born_us = clock_now_us();
    int rc = uv_tcp_init(s->loop, &c->tcp);
    ASSERT(rc == 0);
    c->tcp.data = c;
    HASH_ADD(hh, s->by_id, id, sizeof(c->id), c);
    return c;
}

/* Small frames leave at once; a peer that vanished without a word is noticed within 2 s, busy or idle. */
static void tune(struct conn *c)
{
    int fd, one = 1;
    unsigned dead_ms = CONN_DEAD_MS;
    uv_tcp_nodelay(&c->tcp, 1);
    uv_tcp_keepalive(&c->tcp, 1, 1);
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &one, sizeof(one));
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof(dead_ms));
    }
}

static void note_peer(struct conn *c)
{
    struct sockaddr_storage sa;
    int len = sizeof(sa);
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&sa, &len) == 0)
        addr_print((const struct sockaddr *)&sa, c->peer);
}

static void start(struct conn *c)
{
    c->connected = true;
    note_peer(c);
    tune(c);
    if (uv_read_start((uv_stream_t *)&c->tcp, on_room, on_read) < 0)
        conn_close(c, NULL);
}

struct conn *conns_accept(struct conns *s, uv_stream_t *listener, const struct conn_events *events, void *owner)
{
    struct conn *c = conn_new(s, events, owner);
    bool full = conns_count(s) > s->max;
    bool taken = uv_accept(listener, (uv_stream_t *)&c->tcp) == 0;
    if (!taken || full) {
        s->counters.refused_full += full;
        conn_abandon(c);
        return NULL;
    }
    s->counters.accepted++;
    start(c);
    return c->closing ? NULL : c;
}

static void on_connected(uv_connect_t *request, int status)
{
    struct conn *c = request->data;
    if (status == UV_ECANCELED || c->closing)
        return;
    if (status < 0) {
        conn_close(c, NULL);
        return;
    }
    start(c);
    flush(c);
}

struct conn *conns_connect(struct conns *s, const struct sockaddr *to, const struct conn_events *events, void *owner)
{
    struct conn *c = conn_new(s, events, owner);
    addr_print(to, c->peer);
    c->own = true;
    c->connect.data = c;
    if (uv_tcp_connect(&c->connect, &c->tcp, to, on_connected) < 0) {
        conn_abandon(c);
        return NULL;
    }
    return c;
}

/* ---- the impatient ---- */

static void idle_release(struct conn *c)
{
    if (c->out.len || c->writing_now)
        return;
    buf_release(&c->out);
    buf_release(&c->writing);
}

/* It answers the kernel's probes, so TCP believes in it for ever. */
static bool never_reads(struct conn *c, uint64_t now_us)
{
    size_t left = c->writing_now ? uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp) : 0;
    if (left == 0 || left != c->stuck_bytes) {
        c->stuck_bytes = left;
        c->stuck_since_us = now_us;
    }
    return now_us - c->stuck_since_us > CONN_FRAME_US;
}

static void sweep_one(struct conn *c, uint64_t now_us)
{
    idle_release(c);
    if (never_reads(c, now_us)) {
        refuse(c, &c->set->counters.unread, "it does not read its answers");
        return;
    }
    if (!c->greeted && now_us - c->born_us > CONN_HELLO_US) {
        refuse(c, &c->set->counters.strangers, "it did not say who it is");
        return;
    }
    if (!frame_in_started(&c->in)) {
        c->frame_since_us = 0;
        return;
    }
    if (c->frame_since_us == 0)
        c->frame_since_us = now_us;
    if (now_us - c->frame_since_us > CONN_FRAME_US)
        refuse(c, &c->set->counters.slow, "it takes for ever to send one frame");
}

void conns_sweep(struct conns *s, uint64_t now_us)
{
    for (struct conn *c = s->by_id; c; c = c->hh.next)
        if (!c->closing)
            sweep_one(c, now_us);
}
