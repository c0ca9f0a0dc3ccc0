#include "net/link.h"

#include "base/prng.h"
#include "net/addr.h"
#include "net/clock.h"

#define uthash_malloc(bytes) mem_alloc(bytes)
#define uthash_free(p, bytes) mem_free(p)
#include <uthash.h>

#define LINKS_MAX (2u * NODES_MAX) /* addresses come from views: a bound on what a wrong one can cost */

enum link_state { LINK_DOWN, LINK_RESOLVING, LINK_CONNECTING, LINK_UP };

struct links {
    uv_loop_t *loop;
    struct conns *conns;
    const struct links_events *events;
    void *arg;
    struct prng prng;
    struct link *by_addr;        /* uthash */
    unsigned n_handles;          /* links whose timer or resolver had not its last turn yet */
    bool closing;
};

struct link {
    char addr[ADDR_BYTES_MAX];
    UT_hash_handle hh;
    struct links *set;           /* NULL: removed, waits for its handles only */
    enum link_state state;
    bool kept;                   /* links_want: no end of wanting */
    uint64_t wanted_until_us, used_us;
    uint64_t backoff_us;
    unsigned attempts;           /* which of a name's addresses is next */
    struct conn *conn;           /* CONNECTING, UP */
    uv_timer_t timer;            /* DOWN: next attempt; CONNECTING: too slow */
    uv_getaddrinfo_t resolver;
    bool resolving;
    struct links *home;          /* where n_handles is */
};

static void attempt(struct link *l);

/* ---- down ---- */

static bool wanted(const struct link *l, uint64_t now_us) { return l->kept || now_us < l->wanted_until_us; }

static void on_retry(uv_timer_t *timer)
{
    struct link *l = timer->data;
    if (l->state == LINK_DOWN && wanted(l, clock_now_us()))
        attempt(l);
}

static uint64_t jittered(struct links *s, uint64_t us) { return us / 2 + prng_below(&s->prng, us); }

/* The state is final before anybody is told: who is told may send, want or drop at once. */
static void go_down(struct link *l)
{
    struct links *s = l->set;
    l->state = LINK_DOWN;
    l->conn = NULL;
    clock_arm(&l->timer, on_retry, clock_now_us() + jittered(s, l->backoff_us));
    l->backoff_us = MIN(l->backoff_us * 2, LINK_BACKOFF_MAX_US);
    if (s->events->down)
        s->events->down(s->arg, l->addr);
}

/* ---- the connection's events ---- */

static void on_hello(void *owner, struct conn *c, const struct msg *m)
{
    struct link *l = owner;
    struct links *s = l->set;
    l->state = LINK_UP;
    l->backoff_us = LINK_BACKOFF_MIN_US;
    l->used_us = clock_now_us();
    uv_timer_stop(&l->timer);
    s->events->message(s->arg, l->addr, c, m);
    if (l->set && s->events->up) /* the message may have been the reason to drop it */
        s->events->up(s->arg, l->addr);
}

static void on_message(void *owner, struct conn *c, const struct msg *m)
{
    struct link *l = owner;
    l->set->events->message(l->set->arg, l->addr, c, m);
}

static void on_conn_closed(void *owner, struct conn *c)
{
    struct link *l = owner;
    struct links *s = l->set;
    bool had_spoken = l->state == LINK_UP;
    go_down(l);
    if (had_spoken && s->events->conn_closed)
        s->events->conn_closed(s->arg, conn_id(c));
}

static const struct conn_events conn_events = {.hello = on_hello, .message = on_message, .closed = on_conn_closed};

/* ---- an attempt ---- */

static void on_too_slow(uv_timer_t *timer)
{
    struct link *l = timer->data;
    if (l->state == LINK_CONNECTING)
        conn_close(l->conn, NULL);
}

static void say_hello(struct link *l)
{
    struct msg m = {.kind = MSG_HELLO};
    l->set->events->hello(l->set->arg, &m);
    conn_send_msg(l->conn, &m);
}

static void connect_to(struct link *l, const struct sockaddr *to)
{
    l->conn = conns_connect(l->set->conns, to, &conn_events, l);
    if (!l->conn) {
        go_down(l);
        return;
    }
    l->state = LINK_CONNECTING;
    clock_arm(&l->timer, on_too_slow, clock_now_us() + LINK_CONNECT_US);
    say_hello(l);
}

static const struct sockaddr *pick(const struct addrinfo *list, unsigned nth)
{
    unsigned n = 0;
    for (const struct addrinfo *a = list; a; a = a->ai_next)
        n++;
    const struct addrinfo *a = list;
    for (unsigned i = nth % n; i > 0; i--)
        a = a->ai_next;
    return a->ai_addr;
}

static void handle_done(struct link *l)
{
    if (l->set || l->resolving || l->timer.data)
        return;
    l->home->n_handles--;
    mem_free(l);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct link *l = request->data;
    l->resolving = false;
    if (!l->set)
        handle_done(l);
    else if (status < 0 || !list)
        go_down(l);
    else
        connect_to(l, pick(list, l->attempts++));
    uv_freeaddrinfo(list);
}

static void resolve(struct link *l, const struct addr_parts *parts)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    l->state = LINK_RESOLVING;
    l->resolver.data = l;
    l->resolving = uv_getaddrinfo(l->set->loop, &l->resolver, on_resolved, parts->host, parts->port, &hints) == 0;
    if (!l->resolving)
        go_down(l);
}

static void attempt(struct link *l)
{
    struct addr_parts parts;
    struct sockaddr_storage sa;
    if (addr_split(l->addr, &parts))
        go_down(l);
    else if (addr_numeric(&parts, &sa) == RGKV_OK)
        connect_to(l, (const struct sockaddr *)&sa);
    else
        resolve(l, &parts);
}

/* ---- the set ---- */

struct links *links_new(uv_loop_t *loop, struct conns *conns, const struct links_events *events, void *arg)
{
    struct links *s = mem_zalloc(sizeof(*s));
    *s = (struct links){.loop = loop, .conns = conns, .events = events, .arg = arg};
    prng_init(&s->prng, clock_random());
    return s;
}

static struct link *find(struct links *s, const char *addr)
{
    struct link *l;
    HASH_FIND_STR(s->by_addr, addr, l);
    return l;
}

static struct link *link_new(struct links *s, const char *addr)
{
    struct link *l = mem_zalloc(sizeof(*l));
    ASSERT(strlen(addr) < sizeof(l->addr));
    memcpy(l->addr, addr, strlen(addr) + 1);
    l->set = l->home = s;
    l->backoff_us = LINK_BACKOFF_MIN_US;
    l->used_us = clock_now_us();
    int rc = uv_timer_init(s->loop, &l->timer);
    ASSERT(rc == 0);
    l->timer.data = l;
    s->n_handles++;
    HASH_ADD_STR(s->by_addr, addr, l);
    return l;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct link *l = handle->data;
    handle->data = NULL;
    handle_done(l);
}

static void remove_link(struct links *s, struct link *l)
{
    HASH_DEL(s->by_addr, l);
    if (l->conn)
        conn_abandon(l->conn);
    if (l->resolving)
        uv_cancel((uv_req_t *)&l->resolver);
    l->set = NULL;
    uv_close((uv_handle_t *)&l->timer, on_timer_closed);
}

void links_close(struct links *s)
{
    struct link *l, *next;
    s->closing = true;
    HASH_ITER(hh, s->by_addr, l, next)
        remove_link(s, l);
}

bool links_closed(const struct links *s) { return s->closing && s->n_handles == 0; }

void links_free(struct links *s)
{
    if (!s)
        return;
    ASSERT(links_closed(s));
    mem_free(s);
}

/* NULL: too many, or closing. A link that is new, or fell asleep, tries at once. */
static struct link *wake(struct links *s, const char *addr)
{
    struct link *l = find(s, addr);
    if (!l && (s->closing || HASH_COUNT(s->by_addr) >= LINKS_MAX))
        return NULL;
    return l ? l : link_new(s, addr);
}

static void try_now(struct link *l)
{
    if (l->state == LINK_DOWN && !uv_is_active((uv_handle_t *)&l->timer))
        attempt(l);
}

void links_send(struct links *s, const char *addr, struct bytes frames)
{
    struct link *l = wake(s, addr);
    if (!l)
        return;
    l->used_us = clock_now_us();
    l->wanted_until_us = l->used_us + LINK_WANTED_US;
    try_now(l);
    if (l->conn && conn_queued(l->conn) + frames.len <= LINK_OUT_BYTES_MAX)
        conn_send(l->conn, frames);
}

/* The first attempt is the timer's too: what is told of it is told from the loop, not from inside this call. */
void links_want(struct links *s, const char *addr)
{
    struct link *l = wake(s, addr);
    if (!l)
        return;
    l->kept = true;
    if (l->state == LINK_DOWN && !uv_is_active((uv_handle_t *)&l->timer))
        clock_arm(&l->timer, on_retry, 0);
}

void links_drop(struct links *s, const char *addr)
{
    struct link *l = find(s, addr);
    if (l)
        remove_link(s, l);
}

struct conn *links_conn(struct links *s, const char *addr)
{
    struct link *l = find(s, addr);
    return l && l->state == LINK_UP ? l->conn : NULL;
}

static bool forgotten(const struct link *l, uint64_t now_us)
{
    return !l->kept && !wanted(l, now_us) && now_us - l->used_us > LINK_IDLE_US;
}

void links_sweep(struct links *s, uint64_t now_us)
{
    struct link *l, *next;
    HASH_ITER(hh, s->by_addr, l, next)
        if (forgotten(l, now_us))
            remove_link(s, l);
}
