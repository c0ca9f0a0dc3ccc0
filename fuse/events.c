#include "fuse/events.h"

#include <utlist.h>

#include "ctrl/text.h"
#include "fuse/health.h"

struct events {
    struct mount *m;
    uv_check_t check;
    struct ctrl_view seen;             /* version 0: nothing yet */
    char *lines[EVENTS_KEPT_MAX];      /* number n is at n % EVENTS_KEPT_MAX */
    uint64_t next;                     /* number of the next one; the first is 0 */
    struct event_reader *readers;
};

struct event_reader {
    struct events *events;
    uint64_t next;                     /* the first that was not read */
    struct call *waiting;              /* or NULL */
    size_t size;
    struct fuse_pollhandle *poll;      /* wants to be woken; or NULL */
    struct event_reader *prev, *next_reader;
};

/* ---- reading ---- */

static uint64_t oldest(const struct events *e) { return e->next > EVENTS_KEPT_MAX ? e->next - EVENTS_KEPT_MAX : 0; }

/* Whole lines as far as they fit; the first one at least, cut if it must be. */
static void take(struct event_reader *r, size_t size, struct buf *out)
{
    struct events *e = r->events;
    if (r->next < oldest(e)) {
        buf_printf(out, "- lost n=%lu\n", oldest(e) - r->next);
        r->next = oldest(e);
    }
    for (; r->next < e->next; r->next++) {
        struct bytes line = bytes_str(e->lines[r->next % EVENTS_KEPT_MAX]);
        if (out->len && out->len + line.len > size)
            return;
        buf_put(out, line);
    }
}

static void reply(struct event_reader *r, struct call *c, size_t size)
{
    struct buf text = {0};
    take(r, size, &text);
    call_reply_data(c, bytes_first(buf_bytes(&text), MIN(size, text.len)));
    buf_release(&text);
}

static struct event_reader *waiter_for(const struct events *e, const struct call *c)
{
    struct event_reader *r;
    DL_FOREACH2(e->readers, r, next_reader)
        if (r->waiting == c)
            return r;
    return NULL;
}

static void stop_waiting(struct call *c)
{
    struct event_reader *r = waiter_for(c->m->events, c);
    ASSERT(r);
    r->waiting = NULL;
    call_reply_err(c, RGKV_CANCELLED, NULL);
}

void event_reader_read(struct event_reader *r, struct call *c, size_t size, bool nonblock)
{
    if (r->next < r->events->next) {
        reply(r, c, size);
    } else if (nonblock || r->waiting) { /* two readers of one descriptor: the second one may ask again */
        call_reply_errno(c, EAGAIN);
    } else {
        r->waiting = c;
        r->size = size;
        c->cancel = stop_waiting;
    }
}

bool event_reader_poll(struct event_reader *r, struct fuse_pollhandle *ph)
{
    if (ph && r->poll)
        fuse_pollhandle_destroy(r->poll);
    if (ph)
        r->poll = ph;
    return r->next < r->events->next;
}

struct event_reader *event_reader_new(struct events *e)
{
    struct event_reader *r = mem_zalloc(sizeof *r);
    r->events = e;
    r->next = e->next;
    DL_APPEND2(e->readers, r, prev, next_reader);
    return r;
}

void event_reader_free(struct event_reader *r)
{
    if (!r)
        return;
    ASSERT(!r->waiting);
    if (r->poll)
        fuse_pollhandle_destroy(r->poll);
    DL_DELETE2(r->events->readers, r, prev, next_reader);
    mem_free(r);
}

/* ---- what happens ---- */

static void wake(struct event_reader *r)
{
    struct call *c = r->waiting;
    struct fuse_pollhandle *ph = r->poll;
    r->waiting = NULL;
    r->poll = NULL;
    if (ph) {
        fuse_lowlevel_notify_poll(ph);
        fuse_pollhandle_destroy(ph);
    }
    if (c) {
        c->cancel = NULL;
        reply(r, c, r->size);
    }
}

static void wake_all(struct events *e)
{
    struct event_reader *r, *next;
    DL_FOREACH_SAFE2(e->readers, r, next, next_reader)
        wake(r);
}

static void keep(struct events *e, struct bytes text)
{
    struct buf line = {0};
    errlog_put_time(&line, mount_wall_ns());
    buf_put(&line, text);
    buf_put(&line, bytes_of("\n", 2)); /* with its NUL */
    char **place = &e->lines[e->next++ % EVENTS_KEPT_MAX];
    mem_free(*place);
    *place = (char *)line.data;
}

void events_add(struct events *e, const char *line)
{
    keep(e, bytes_str(line));
    wake_all(e);
}

static void keep_lines(struct events *e, struct bytes text)
{
    while (text.len) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end ? (size_t)(end - text.data) : text.len;
        keep(e, bytes_first(text, len));
        text = bytes_from(text, MIN(len + 1, text.len));
    }
}

static void compare(struct events *e, const struct ctrl_view *v)
{
    struct buf text = {0};
    if (e->seen.version)
        ctrl_print_changes(&e->seen, v, &text);
    ctrl_view_release(&e->seen);
    ctrl_view_copy(v, &e->seen);
    if (text.len) {
        keep_lines(e, buf_bytes(&text));
        wake_all(e);
    }
    buf_release(&text);
}

static void on_check(uv_check_t *check)
{
    struct events *e = check->data;
    const struct ctrl_view *v = client_view(net_client_engine(e->m->client));
    if (!v || v->version == e->seen.version)
        return;
    compare(e, v);
    if (e->m->health)
        health_look(e->m->health);
}

/* ---- beginning and end ---- */

struct events *events_new(struct mount *m)
{
    struct events *e = mem_zalloc(sizeof *e);
    e->m = m;
    e->check.data = e;
    uv_check_init(m->loop, &e->check);
    uv_check_start(&e->check, on_check);
    return e;
}

static void on_closed(uv_handle_t *handle)
{
    struct events *e = handle->data;
    for (unsigned i = 0; i < EVENTS_KEPT_MAX; i++)
        mem_free(e->lines[i]);
    ctrl_view_release(&e->seen);
    mem_free(e);
}

void events_close(struct events *e)
{
    struct event_reader *r, *next;
    DL_FOREACH_SAFE2(e->readers, r, next, next_reader)
        if (r->waiting)
            stop_waiting(r->waiting);
    uv_close((uv_handle_t *)&e->check, on_closed);
}
