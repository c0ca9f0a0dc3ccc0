/* One request's life: copied in one block with all that it points to, in one list at a time, finished once. */
#include "base/mutant.h"
#include "client/engine.h"

static size_t kv_content_bytes(const struct kv_request *q)
{
    return q->n_ranges * sizeof(q->ranges[0]) + q->key.len + q->key2.len + q->data.len;
}

static size_t admin_content_bytes(const struct ctrl_command *a)
{
    return a->n_groups * sizeof(a->groups[0]) + a->n_gids * sizeof(a->gids[0]);
}

static size_t content_bytes(const struct client_request *q)
{
    return q->kind == CLIENT_KV ? kv_content_bytes(q->kv) : q->kind == CLIENT_ADMIN ? admin_content_bytes(q->admin) : 0;
}

static const void *content_put(uint8_t **at, const void *from, size_t len)
{
    uint8_t *to = *at;
    if (len)
        memcpy(to, from, len);
    *at += len;
    return to;
}

static struct bytes content_bytes_put(uint8_t **at, struct bytes from)
{
    return bytes_of(content_put(at, from.data, from.len), from.len);
}

/* Arrays first: they want alignment, bytes do not. */
static void kv_copy(struct request *r, const struct kv_request *q)
{
    uint8_t *at = r->content;
    r->kv = *q;
    r->kv.ranges = content_put(&at, q->ranges, q->n_ranges * sizeof(q->ranges[0]));
    r->kv.key = content_bytes_put(&at, q->key);
    r->kv.key2 = content_bytes_put(&at, q->key2);
    r->kv.data = content_bytes_put(&at, q->data);
}

static void admin_copy(struct request *r, const struct ctrl_command *a)
{
    uint8_t *at = r->content;
    r->admin = *a;
    r->admin.gids = content_put(&at, a->gids, a->n_gids * sizeof(a->gids[0]));
    r->admin.groups = content_put(&at, a->groups, a->n_groups * sizeof(a->groups[0]));
}

static_assert(offsetof(struct request, content) % _Alignof(uint64_t) == 0, "arrays in `content` are aligned");

struct request *request_new(struct client *c, const struct client_request *q)
{
    struct request *r = mem_zalloc(sizeof(*r) + content_bytes(q));
    r->id = ++c->next_id;
    r->kind = q->kind;
    r->tag = q->tag;
    r->deadline_us = q->deadline_us ? q->deadline_us : UINT64_MAX;
    r->timer.owner = TIMER_REQUEST;
    r->read = q->read;
    r->number = q->number;
    if (q->kind == CLIENT_KV)
        kv_copy(r, q->kv);
    if (q->kind == CLIENT_ADMIN)
        admin_copy(r, q->admin);
    HASH_ADD(hh, c->requests, id, sizeof(r->id), r);
    return r;
}

void request_free(struct request *r)
{
    if (!r)
        return;
    mem_free(r->why);
    mem_free(r->data);
    mem_free(r);
}

void request_wake_at(struct client *c, struct request *r, uint64_t wake_us)
{
    r->wake_us = wake_us;
    timer_set(&c->timers, &r->timer, MIN(wake_us, r->deadline_us));
}

void request_move(struct client *c, struct request *r, enum request_state state, struct request **list)
{
    if (r->list)
        DL_DELETE(*r->list, r);
    r->state = state;
    r->link = NULL;
    r->list = list;
    if (list)
        DL_APPEND(*list, r);
    r->wake_us = UINT64_MAX;
}

void request_ready(struct client *c, struct request *r)
{
    request_move(c, r, REQUEST_READY, &c->ready);
}

/* To the front, as a block: they were taken from there before whatever is there now came in. */
void request_ready_all(struct client *c, struct request **list)
{
    while (*list) {
        struct request *last = (*list)->prev;
        request_move(c, last, REQUEST_READY, NULL);
        last->list = &c->ready;
        DL_PREPEND(c->ready, last);
    }
}

static void request_unlink(struct client *c, struct request *r)
{
    HASH_DELETE(hh, c->requests, r);
    timer_clear(&c->timers, &r->timer);
    group_probe_over(c, r);
    session_leave(c, r);
}

static void count_outcome(struct client *c, enum rgkv_err err, bool answered)
{
    c->stats.inflight--;
    if (answered)
        c->stats.done++;
    else if (err == RGKV_UNKNOWN)
        c->stats.unknown++;
    else
        c->stats.refused++;
}

void request_finish(struct client *c, struct request *r, enum rgkv_err err, char *why)
{
    ASSERT(r->purpose == PURPOSE_CALLER && r->state != REQUEST_DONE);
    r->err = err;
    r->why = why;
    request_unlink(c, r);
    request_move(c, r, REQUEST_DONE, &c->done);
    count_outcome(c, err, r->answered);
}

void request_drop(struct client *c, struct request *r)
{
    ASSERT(r->purpose != PURPOSE_CALLER);
    request_unlink(c, r);
    request_move(c, r, REQUEST_DONE, NULL);
    request_free(r);
}

bool request_mutates(const struct request *r)
{
    return r->kind == CLIENT_ADMIN || (r->kind == CLIENT_KV && !kv_op_reads(r->kv.op));
}

bool request_surely_not_done(const struct request *r) { return !r->open && !r->lost; }

bool request_close_copy(struct request *r, uint64_t message_id)
{
    uint16_t age = (uint16_t)(r->copies - message_id); /* the low 16 bits of both count copies */
    if (age >= 64 || age >= r->copies)
        return false;
    r->open &= MUTANT(refusal_is_final) ? 0 : ~(1ull << (r->copies - age) % 64);
    return age == 0;
}
