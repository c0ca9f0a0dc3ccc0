/* What the caller is told: done with an answer, surely not done, or unknown (P28); and the sentence for a person. */
#include "base/mutant.h"
#include "client/engine.h"

static void keep_data(struct request *r, struct bytes data)
{
    if (!data.len)
        return;
    r->data = memcpy(mem_alloc(data.len), data.data, data.len);
    r->data_len = data.len;
}

void outcome_answer_kv(struct client *c, struct request *r, const struct kv_reply *reply)
{
    keep_data(r, reply->data);
    r->reply = *reply;
    r->reply.data = bytes_of(r->data, r->data_len);
    r->answered = true;
    request_finish(c, r, reply->err, NULL);
}

void outcome_answer_admin(struct client *c, struct request *r, const struct ctrl_result *result)
{
    r->result = *result;
    r->answered = true;
    request_finish(c, r, result->err, result->why[0] ? mem_strdup(result->why) : NULL);
}

void outcome_answer_text(struct client *c, struct request *r, const struct msg_ctrl_text *text)
{
    keep_data(r, text->text);
    r->answered = true;
    request_finish(c, r, text->err, NULL);
}

void outcome_answer_view(struct client *c, struct request *r)
{
    r->answered = true;
    request_finish(c, r, RGKV_OK, NULL);
}

/* ---- sentences ---- */

static uint64_t meant_gid(const struct client *c, const struct request *r)
{
    const struct ctrl_shard *s = r->kind == CLIENT_KV && r->started ? view_shard(c, r->kv.shard) : NULL;
    return r->gid ? r->gid : s ? s->holder : 0;
}

static void say_group(struct buf *b, uint64_t gid)
{
    if (gid)
        buf_printf(b, "group %llu", (unsigned long long)gid);
    else
        buf_printf(b, "the controller");
}

static void say_addresses(const struct client *c, struct buf *b, uint64_t gid)
{
    const struct group *g = group_known(c, gid);
    for (unsigned i = 0; g && i < g->n; i++)
        buf_printf(b, "%s%s", i ? " " : " at any of ", g->addrs[i]);
}

static void say_unreachable(const struct client *c, const struct request *r, struct buf *b)
{
    uint64_t gid = meant_gid(c, r);
    say_group(b, gid);
    if (r->trouble == RGKV_BUSY) {
        buf_printf(b, " had too much in flight");
    } else {
        buf_printf(b, " could not be reached");
        say_addresses(c, b, gid);
    }
    if (r->trouble == RGKV_WRONG_CLUSTER)
        buf_printf(b, ": what answers there belongs to another cluster");
}

static void say_not_done(const struct client *c, const struct request *r, struct buf *b)
{
    if (r->trouble == RGKV_NO_GROUP)
        buf_printf(b, "no group holds shard %u: none has joined yet", r->kv.shard);
    else if (r->trouble == RGKV_MOVING)
        buf_printf(b, "shard %u was still moving to another group", r->kv.shard);
    else if (r->trouble == RGKV_SESSION_EXPIRED)
        buf_printf(b, "the session of this client expired");
    else
        say_unreachable(c, r, b);
    if (request_mutates(r))
        buf_printf(b, "; nothing was applied");
}

static void say_unknown(const struct client *c, const struct request *r, struct buf *b)
{
    say_group(b, meant_gid(c, r));
    buf_printf(b, " did not answer in time");
    say_addresses(c, b, meant_gid(c, r));
    if (request_mutates(r))
        buf_printf(b, "; the change may or may not be applied");
}

static char *taken_text(struct buf *b)
{
    buf_put_u8(b, 0);
    return (char *)b->data;
}

/* ---- without an answer ---- */

void outcome_give_up(struct client *c, struct request *r)
{
    struct buf b = {0};
    bool not_done = request_surely_not_done(r) || MUTANT(silence_is_not_done);
    if (not_done)
        say_not_done(c, r, &b);
    else
        say_unknown(c, r, &b);
    enum rgkv_err err = !not_done ? RGKV_UNKNOWN : r->trouble == RGKV_NO_GROUP ? RGKV_NO_GROUP : RGKV_UNREACHABLE;
    request_finish(c, r, err, taken_text(&b));
}

void outcome_cancel(struct client *c, struct request *r)
{
    struct buf b = {0};
    buf_printf(&b, "interrupted");
    if (request_mutates(r))
        buf_printf(&b, request_surely_not_done(r) ? "; nothing was applied" : "; the change may or may not be applied");
    request_finish(c, r, RGKV_CANCELLED, taken_text(&b));
}
