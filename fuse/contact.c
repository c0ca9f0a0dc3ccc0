#include "fuse/contact.h"

#include <stdio.h>

#define LOOK_MS 50u

struct contact {
    uv_loop_t *loop;
    struct net_client *client;
    struct embedded *embedded;
    uint64_t until_us;
    bool answered;
    enum rgkv_err err;
    uint32_t nshards;
    uint64_t config_num;
    enum kv_type type;             /* of what was asked about */
    struct buf *why;
};

static uint64_t now_us(void) { return uv_hrtime() / 1000; }

static void answered(void *arg, const struct client_effect *e)
{
    struct contact *c = arg;
    c->answered = true;
    c->err = e->err ? e->err : e->result ? e->result->err : RGKV_OK;
    if (c->err) {
        buf_clear(c->why);
        buf_printf(c->why, "%s", e->why && *e->why ? e->why : rgkv_err_sentence(c->err));
    }
    if (e->reply && e->reply->has_attr)
        c->type = e->reply->attr.type;
    if (e->view) {
        c->nshards = e->view->nshards;
        c->config_num = e->view->config_num;
    }
}

static void tick(uv_timer_t *timer) { (void)timer; }

/* A child that cannot start must not cost the whole timeout: the loop wakes now and then to look. */
static void run_until_answered(struct contact *c)
{
    uv_timer_t timer;
    uv_timer_init(c->loop, &timer);
    uv_timer_start(&timer, tick, LOOK_MS, LOOK_MS);
    while (!c->answered && (!c->embedded->addr[0] || !embedded_ended(c->embedded)))
        uv_run(c->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(c->loop, UV_RUN_NOWAIT);
}

MUST_USE static enum rgkv_err ask(struct contact *c, const struct client_request *q)
{
    uint64_t now = now_us();
    c->answered = false;
    uint64_t id = net_client_submit(c->client, q, c->until_us > now ? c->until_us - now : 1, answered, c);
    run_until_answered(c);
    if (c->answered)
        return c->err;
    net_client_cancel(c->client, id);
    while (!c->answered)
        uv_run(c->loop, UV_RUN_ONCE);
    buf_clear(c->why);
    buf_printf(c->why, "the embedded node ended at once, and said last: ");
    embedded_last_words(c->embedded, c->why);
    return RGKV_UNREACHABLE;
}

MUST_USE static enum rgkv_err join_alone(struct contact *c)
{
    struct ctrl_join_group group = {.gid = EMBEDDED_GID, .n = 1};
    snprintf(group.addrs[0], sizeof group.addrs[0], "%s", c->embedded->addr);
    struct ctrl_command join = {.op = CTRL_JOIN, .n_groups = 1, .groups = &group};
    return ask(c, &(struct client_request){.kind = CLIENT_ADMIN, .admin = &join});
}

static void pause_look(struct contact *c)
{
    uv_timer_t timer;
    uv_timer_init(c->loop, &timer);
    uv_timer_start(&timer, tick, LOOK_MS, 0);
    while (uv_is_active((uv_handle_t *)&timer))
        uv_run(c->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(c->loop, UV_RUN_NOWAIT);
}

/* Until the shards are where they belong: the first command on a new mount should not have to wait for it. */
MUST_USE static enum rgkv_err wait_settled(struct contact *c)
{
    enum rgkv_err err;
    while ((err = ask(c, &(struct client_request){.kind = CLIENT_READ, .read = CTRL_READ_SETTLED})) == RGKV_MOVING && now_us() < c->until_us)
        pause_look(c);
    return err;
}

enum rgkv_err contact(uv_loop_t *loop, struct net_client *client, struct embedded *e, uint64_t timeout_us, uint32_t *ret_nshards,
                      struct buf *why)
{
    struct contact c = {.loop = loop, .client = client, .embedded = e, .until_us = now_us() + timeout_us, .why = why};
    enum rgkv_err err = ask(&c, &(struct client_request){.kind = CLIENT_VIEW});
    if (!err && e->child && !c.config_num)
        err = join_alone(&c);
    if (!err && e->child)
        err = wait_settled(&c);
    if (!err)
        *ret_nshards = c.nshards;
    return err;
}

enum rgkv_err contact_directory(uv_loop_t *loop, struct net_client *client, const char *key, uint64_t timeout_us, struct buf *why)
{
    struct embedded none = {0};
    struct contact c = {.loop = loop, .client = client, .embedded = &none, .until_us = now_us() + timeout_us, .why = why};
    struct kv_request q = {.op = KV_STAT, .key = bytes_str(key)};
    enum rgkv_err err = ask(&c, &(struct client_request){.kind = CLIENT_KV, .kv = &q});
    if (err || c.type == KV_DIR)
        return err;
    buf_clear(why);
    buf_printf(why, "it is not a directory");
    return RGKV_NOT_DIR;
}
