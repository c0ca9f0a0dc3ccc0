#include "fuse/commit.h"

#include <utlist.h>

#include "fuse/attr.h"
#include "fuse/orphan.h"
#include "fuse/park.h"
#include "fuse/spill.h"

#define SILENCE_US 1000000u

struct handle_wait {
    struct handle *h;
    struct call *call;
    handle_then *then;
    bool flying;                   /* in h->waiting, else in h->queued */
    bool owns;                     /* its call writes through h: the commit is its own */
    void (*cancel_before)(struct call *c);
    struct handle_wait *prev, *next;
};

/* Nobody's request: the call that carries a commit. */
struct commit_call {
    struct call call;
    struct handle *h;
};

/* ---- waiting ---- */

static struct handle_wait **list_of(struct handle_wait *w) { return w->flying ? &w->h->waiting : &w->h->queued; }

static void wait_end(struct handle_wait *w, enum rgkv_err err, const char *why)
{
    struct call *c = w->call;
    handle_then *then = w->then;
    DL_DELETE(*list_of(w), w);
    c->cancel = w->cancel_before;
    c->waits = NULL;
    mem_free(w);
    then(c, err, why);
}

static void wait_cancel(struct call *c)
{
    struct handle_wait *w = c->waits;
    struct handle *h = w->h;
    if (w->owns && w->flying && h->waiting == w && !w->next && h->commit && (h->commit->ticket || h->commit->cancel))
        call_cancel(h->commit); /* nobody else wants it: its end tells our call */
    else
        wait_end(w, RGKV_CANCELLED, rgkv_err_sentence(RGKV_CANCELLED));
}

static void wait_add(struct handle *h, struct call *c, handle_then *then, bool flying, bool owns)
{
    struct handle_wait *w = mem_zalloc(sizeof *w);
    *w = (struct handle_wait){.h = h, .call = c, .then = then, .flying = flying, .owns = owns, .cancel_before = c->cancel};
    if (!c->node)
        call_node(c, h->node);
    c->cancel = wait_cancel;
    c->waits = w;
    DL_APPEND(*list_of(w), w);
}

static void wait_end_all(struct handle *h, bool flying, enum rgkv_err err, const char *why)
{
    struct handle_wait **list = flying ? &h->waiting : &h->queued;
    while (*list)
        wait_end(*list, err, why);
}

void commit_end_queued(struct handle *h, enum rgkv_err err) { wait_end_all(h, false, err, ""); }

/* ---- committing ---- */

static void commit_request(struct handle *h, const struct key *k, struct kv_request *ret_q, uint8_t said[KV_STAGED_BYTES])
{
    *ret_q = (struct kv_request){.key = key_bytes_of(k), .mode = h->mode, .uid = h->uid, .gid = h->gid};
    if (h->clear_suid)
        ret_q->flags |= KV_CLEAR_SUID;
    if (h->known)
        ret_q->flags |= KV_MUST_EXIST;
    if (h->flying_spill)
        spill_request(h->flying_spill, ret_q, said);
    else
        stage_request(&h->flying, ret_q);
    if (h->flying.fresh && h->flying_spill)
        ret_q->flags |= KV_IF_EMPTY;
    if (ret_q->op == KV_PATCH && h->ino) { /* ranges belong to the file that was opened, not to one that took its name elsewhere */
        ret_q->flags |= KV_IF_INO;
        ret_q->ino = h->ino;
    }
}

static void commit_succeeded(struct handle *h, const struct kv_attr *a)
{
    stage_release(&h->flying);
    if (h->flying_spill)
        spill_free(h->flying_spill);
    h->flying_spill = NULL;
    h->empty = a && !a->size; /* made by the way: its value is still to begin */
    h->created = false;
    h->known = true;
    if (a)
        h->ino = a->ino;
    attr_changed(h->node, a);
    pin_drop(&h->pin); /* it reads its own writes */
}

static bool owned(const struct handle_wait *list)
{
    while (list && !list->owns)
        list = list->next;
    return list != NULL;
}

/* Who waits on behalf of somebody else drops the failure, and the writer is still to be told. */
static bool told_nobody(const struct handle *h) { return !owned(h->waiting) && !owned(h->queued); }

/* Ranges that may have been written are not sent again: somebody may have changed them since. (A value as a whole is: it is what the file is
 * to hold, whatever was there.) */
static bool may_be_done(const struct handle *h, enum rgkv_err err)
{
    return err == RGKV_UNKNOWN && !h->flying.whole && !h->flying_spill;
}

static void commit_failed(struct handle *h, enum rgkv_err err)
{
    h->m->stats.commit_failures++;
    if (h->flying_marked)
        stage_undo(&h->flying, &h->flying_mark);
    handle_take_back(h, NULL); /* who waits behind it is told the same error */
    if (h->stage.whole)
        spill_abandon(h->flying_spill); /* the value begins anew */
    else
        h->spill = h->flying_spill;
    h->flying_spill = NULL;
    enum rgkv_err merged = may_be_done(h, err) ? RGKV_OK : stage_put_under(&h->stage, &h->flying);
    stage_release(&h->flying);
    h->staged_us = stage_empty(&h->stage) ? 0 : h->flying_us;
    h->failed = merged ? merged : err;
    h->reported = !told_nobody(h);
}

static void commit_over(struct handle *h, enum rgkv_err err, const char *why)
{
    handle_hold(h);
    h->telling = true;
    wait_end_all(h, true, err, why);
    if (err)
        wait_end_all(h, false, err, why);
    h->telling = false;
    if (err && h->released)
        stage_release(&h->stage);
    if (!err && !h->commit && !stage_empty(&h->stage) && (h->queued || h->released)) {
        commit_start(h);
    } else if (!h->commit) /* what the queue waited for is gone: the file was unlinked here */
        wait_end_all(h, false, err, why);
    struct mount *m = h->m;
    handle_let_go(h);
    park_look(m);
}

static void commit_send(struct handle *h);

/* The file came into being elsewhere while its creation was staged here: without O_TRUNC its content stays. */
static bool commit_again(struct handle *h, enum rgkv_err err)
{
    if ((err != RGKV_VERSION && err != RGKV_EXISTS) || !h->flying.whole || !h->flying.fresh)
        return false;
    stage_lost_race(&h->flying);
    return true;
}

static void commit_ended(struct handle *h, enum rgkv_err err, const char *why, const struct kv_attr *a)
{
    if (!err)
        commit_succeeded(h, a);
    else
        commit_failed(h, err);
    commit_over(h, err, why);
}

static void commit_done(struct call *c, const struct client_effect *e)
{
    struct handle *h = ((struct commit_call *)c)->h;
    bool again = commit_again(h, e->err);
    bool gone = e->err == RGKV_NOT_FOUND && (h->known || !h->flying.whole); /* a change of a file that was removed elsewhere */
    bool beaten = e->err == RGKV_VERSION; /* the value that it was to begin has been begun by another mount */
    enum rgkv_err err = gone || beaten ? RGKV_STALE : e->err;
    if (err && !again && told_nobody(h))
        call_record(c, rgkv_err_errno(err), e->why);
    h->commit = NULL;
    if (again && !stage_empty(&h->flying)) {
        call_end(c);
        commit_send(h);
        return;
    }
    h->m->background -= 1;
    char *why = mem_strdup(e->why); /* the first who is told may ask something, and then the effect is gone */
    commit_ended(h, again ? RGKV_OK : err, why, e->reply && e->reply->has_attr && !again ? &e->reply->attr : NULL);
    mem_free(why);
    call_end(c);
}

static struct call *commit_call(struct handle *h)
{
    struct commit_call *c = call_begin(h->m, NULL, h->released ? "release" : "commit", sizeof *c);
    c->h = h;
    call_node(&c->call, h->node);
    return &c->call;
}

static void commit_not_sent(struct handle *h, enum rgkv_err err, const char *why)
{
    struct call *c = h->commit;
    if (told_nobody(h))
        call_record(c, rgkv_err_errno(err), why);
    h->commit = NULL;
    h->m->background -= 1;
    commit_ended(h, err, why, NULL);
    call_end(c);
}

/* Everything else is there: now the value may change. */
static void commit_ask(struct call *c, enum rgkv_err err, const char *why)
{
    struct handle *h = ((struct commit_call *)c)->h;
    struct key k;
    struct kv_request q;
    uint8_t said[KV_STAGED_BYTES];
    if (err) {
        commit_not_sent(h, err, why);
        return;
    }
    err = tree_key(h->node, &k);
    if (err) { /* replaced or removed elsewhere: there is nothing to write to */
        commit_not_sent(h, err, rgkv_err_sentence(err));
        return;
    }
    commit_request(h, &k, &q, said);
    c->since_us = mount_now_us(h->m); /* what was sent ahead had a timeout of its own */
    call_ask(c, &q, commit_done);
}

static void commit_send(struct handle *h)
{
    h->commit = commit_call(h);
    handle_list(h);
    if (!h->flying_spill) {
        commit_ask(h->commit, RGKV_OK, "");
        return;
    }
    spill_add(h->flying_spill, &h->flying);
    spill_wait(h->flying_spill, true, h->commit, commit_ask);
}

void commit_start(struct handle *h)
{
    if (handle_held_back(h))
        return; /* handles_stay starts it */
    if (h->telling)
        return; /* commit_over is still telling who waited for the last one, and starts this at its end */
    ASSERT(!h->commit && !stage_empty(&h->stage));
    h->m->stats.commits++;
    h->failed = RGKV_OK; /* it is tried again */
    h->flying = h->stage;
    h->flying_us = h->staged_us;
    h->staged_us = 0;
    h->flying_spill = h->spill;
    h->spill = NULL;
    h->flying_mark = h->stage_mark;
    h->flying_marked = h->stage_marked;
    h->stage_marked = false;
    memset(&h->stage, 0, sizeof h->stage);
    h->waiting = h->queued;
    h->queued = NULL;
    struct handle_wait *w;
    DL_FOREACH(h->waiting, w)
        w->flying = true;
    h->m->background += 1;
    if (h->node->orphan) { /* unlinked here: the value is ours alone */
        h->m->background -= 1;
        enum rgkv_err err = h->flying_spill ? RGKV_TOO_LARGE : orphan_apply(h->node, &h->flying);
        commit_ended(h, err, rgkv_err_sentence(err), NULL);
    } else
        commit_send(h);
}

static void commit_for(struct handle *h, struct call *c, handle_then *then, bool owns)
{
    if (!handle_staged(h)) {
        then(c, RGKV_OK, "");
        return;
    }
    wait_add(h, c, then, h->commit && stage_empty(&h->stage), owns);
    if (!h->commit)
        commit_start(h);
}

void handle_commit(struct handle *h, struct call *c, handle_then *then) { commit_for(h, c, then, true); }
void handle_await(struct handle *h, struct call *c, handle_then *then) { commit_for(h, c, then, false); }

/* ---- values that are too large for one request ---- */

static void spill_now(struct handle *h, struct call *c, handle_then *then)
{
    struct key k;
    enum rgkv_err err = h->spill ? spill_failed(h->spill) : tree_key(h->node, &k);
    if (err) {
        then(c, err, rgkv_err_sentence(err));
        return;
    }
    if (!h->spill)
        h->spill = spill_new(h->m, h->node, &k);
    spill_add(h->spill, &h->stage);
    handle_list(h);
    then(c, RGKV_OK, "");
}

void handle_spill(struct handle *h, struct call *c, handle_then *then)
{
    ASSERT(h->stage.whole || h->stage.spilled);
    if (h->commit)
        wait_add(h, c, then, true, true); /* one value at a time is on its way */
    else if (h->spill && !spill_failed(h->spill) && !spill_has_room(h->spill))
        spill_wait(h->spill, false, c, then);
    else
        spill_now(h, c, then);
}

void commit_idle(uv_timer_t *timer)
{
    struct mount *m = timer->data;
    uint64_t now = mount_now_us(m);
    struct handle *h, *next;
    DL_FOREACH_SAFE(m->staged, h, next)
        if (!h->commit && !h->failed && h->stage.written && !(h->spill && spill_busy(h->spill)) && now - h->touched_us >= SILENCE_US)
            commit_start(h);
}
