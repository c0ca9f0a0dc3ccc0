#include "fuse/handle.h"

#include <fcntl.h>
#include <utlist.h>

#include "fuse/ahead.h"
#include "fuse/attr.h"
#include "fuse/orphan.h"
#include "fuse/park.h"
#include "fuse/proc.h"
#include "fuse/spill.h"

#define SILENCE_US 1000000u
#define IDLE_LOOK_MS 200u

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

static void commit_start(struct handle *h);

/* ---- the life of a handle ---- */

struct handle *handle_new(struct mount *m, struct inode *n, const struct fuse_file_info *fi, const struct fuse_ctx *who)
{
    struct handle *h = mem_zalloc(sizeof *h);
    h->m = m;
    h->node = inode_ref(n);
    h->flags = fi->flags;
    h->pin.roams = (fi->flags & O_ACCMODE) != O_RDONLY;
    h->uid = who->uid;
    h->gid = who->gid;
    DL_APPEND2(n->handles, h, node_prev, node_next);
    return h;
}

struct handle *handle_of(const struct fuse_file_info *fi) { return (struct handle *)(uintptr_t)fi->fh; }

bool handle_staged(const struct handle *h) { return h->commit || !stage_empty(&h->stage); }

/* Its name may be going: see handles_leave. */
static bool held_back(const struct handle *h) { return handles_leaving(h->node) && !stage_empty(&h->stage); }

static void idle_look(uv_timer_t *timer);

/* Keeps m->staged, and the timer that looks at it, as they should be. */
static void handle_list(struct handle *h)
{
    bool listed = handle_staged(h);
    if (listed && !h->listed)
        DL_APPEND(h->m->staged, h);
    if (!listed && h->listed)
        DL_DELETE(h->m->staged, h);
    h->listed = listed;
    if (!h->m->staged)
        uv_timer_stop(h->m->idle);
    else if (!uv_is_active((uv_handle_t *)h->m->idle))
        uv_timer_start(h->m->idle, idle_look, IDLE_LOOK_MS, IDLE_LOOK_MS);
}

static void handle_collect(struct handle *h)
{
    handle_list(h);
    if (!h->released || h->commit || held_back(h) || h->waiting || h->queued || h->held)
        return;
    struct mount *m = h->m;
    if (h->listed)
        DL_DELETE(m->staged, h);
    DL_DELETE2(h->node->handles, h, node_prev, node_next);
    inode_unref(&m->inodes, h->node);
    spill_abandon(h->spill);
    stage_release(&h->stage);
    stage_release(&h->flying);
    pin_release(&h->pin);
    ahead_release(h);
    buf_release(&h->pinned_as);
    mem_free(h);
}

void handle_pinned(struct handle *h, const struct key *k, uint64_t changes)
{
    buf_clear(&h->pinned_as);
    buf_put(&h->pinned_as, key_bytes_of(k));
    h->pinned_at = changes;
}

static bool may_be_updated(const struct inode *n)
{
    const struct handle *h;
    for (h = n->handles; h && !h->pin.roams; h = h->node_next)
        ;
    return h != NULL;
}

/* A reader keeps its version when somebody puts another one. But a program that changes a file and then begins to read it, and those who
 * have a file open to update it in place, perhaps as a shared map, see what was changed here. Pages that the kernel keeps are
 * everybody's: of the newest version that this mount knows. */
static bool outdated(const struct handle *h)
{
    const struct inode *n = h->node;
    if (h->m->options->cache_s > 0)
        return h->pin.version != n->last.version;
    return h->pinned_at != n->changes && (!h->pin.served || may_be_updated(n));
}

void handle_repin(struct handle *h)
{
    if (h->pin.set && outdated(h))
        pin_drop(&h->pin);
}

struct handle *handle_hold(struct handle *h)
{
    h->held++;
    return h;
}

void handle_let_go(struct handle *h)
{
    ASSERT(h->held > 0);
    h->held--;
    handle_collect(h);
}

void handle_released(struct handle *h)
{
    h->released = true;
    if (h->failed)
        stage_release(&h->stage); /* the caller was told, or the error log: nothing more is sent */
    if (!h->commit && !stage_empty(&h->stage))
        commit_start(h);
    else
        handle_collect(h);
}

/* ---- staging ---- */

uint64_t handle_size(const struct handle *h, uint64_t base)
{
    if (h->commit)
        base = stage_size(&h->flying, h->flying_spill ? spill_size(h->flying_spill) : base);
    return stage_size(&h->stage, h->spill ? spill_size(h->spill) : base);
}

void handle_touch(struct handle *h, const struct fuse_ctx *who)
{
    h->writer = who->pid;
    h->staged_ns = mount_wall_ns();
    h->touched_us = mount_now_us(h->m);
    h->staged_us = h->staged_us ? h->staged_us : h->touched_us;
    h->clear_suid |= who->uid != 0;
    h->failed = RGKV_OK;
    handle_list(h);
}

void handle_mark(struct handle *h)
{
    h->stage_mark = stage_mark(&h->stage);
    h->stage_marked = true;
}

void handle_take_back(struct handle *h)
{
    if (!h->stage_marked)
        return; /* it was sent, and commit_failed has done it */
    stage_undo(&h->stage, &h->stage_mark);
    h->stage_marked = false;
    handle_list(h);
}

void handle_begin_value(struct handle *h)
{
    bool begins = h->empty && !h->commit && stage_empty(&h->stage);
    h->empty = false;
    if (begins)
        stage_create(&h->stage, false);
}

void handle_cleared(struct handle *h)
{
    spill_abandon(h->spill);
    h->spill = NULL;
}

bool handle_only_creates(const struct handle *h)
{
    return !h->commit && h->stage.whole && h->stage.fresh && !h->stage.written;
}

void handle_appended(struct handle *h)
{
    if (handle_only_creates(h))
        stage_release(&h->stage);
    h->created = false;
    h->known = true;
    h->failed = RGKV_OK;
    pin_drop(&h->pin);
    handle_list(h);
}

enum rgkv_err handle_take_failure(struct handle *h)
{
    enum rgkv_err err = h->reported ? RGKV_OK : h->failed;
    h->reported = true;
    return err;
}

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

/* ---- committing ---- */

static void commit_request(struct handle *h, const struct key *k, struct kv_request *ret_q, uint8_t said[KV_STAGED_BYTES])
{
    *ret_q = (struct kv_request){.key = key_bytes_of(k), .mode = h->mode, .uid = h->uid, .gid = h->gid};
    if (h->clear_suid)
        ret_q->flags |= KV_CLEAR_SUID;
    if (h->flying.fresh && h->known)
        ret_q->flags |= KV_MUST_EXIST;
    if (h->flying_spill)
        spill_request(h->flying_spill, ret_q, said);
    else
        stage_request(&h->flying, ret_q);
    if (h->flying.fresh && h->flying_spill)
        ret_q->flags |= KV_IF_EMPTY;
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
    attr_changed(h->node, a);
    pin_drop(&h->pin); /* it reads its own writes */
}

static void commit_failed(struct handle *h, enum rgkv_err err)
{
    h->m->stats.commit_failures++;
    if (h->flying_marked)
        stage_undo(&h->flying, &h->flying_mark);
    handle_take_back(h); /* who waits behind it is told the same error */
    if (h->stage.whole)
        spill_abandon(h->flying_spill); /* the value begins anew */
    else
        h->spill = h->flying_spill;
    h->flying_spill = NULL;
    enum rgkv_err merged = stage_put_under(&h->stage, &h->flying);
    stage_release(&h->flying);
    h->staged_us = h->flying_us;
    h->failed = merged ? merged : err;
    h->reported = h->waiting != NULL || h->queued != NULL;
}

static void commit_over(struct handle *h, enum rgkv_err err, const char *why)
{
    handle_hold(h);
    wait_end_all(h, true, err, why);
    if (err)
        wait_end_all(h, false, err, why);
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

static bool told_nobody(const struct handle *h) { return !h->waiting && !h->queued; }

static void commit_done(struct call *c, const struct client_effect *e)
{
    struct handle *h = ((struct commit_call *)c)->h;
    bool again = commit_again(h, e->err);
    bool gone = e->err == RGKV_NOT_FOUND && ((h->known && h->flying.fresh) || !h->flying.whole); /* a change of a file that was removed elsewhere */
    enum rgkv_err err = gone ? RGKV_STALE : e->err;
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
        if (told_nobody(h))
            call_record(c, rgkv_err_errno(err), why);
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

static void commit_start(struct handle *h)
{
    if (held_back(h))
        return; /* handles_stay starts it */
    if (h->waiting)
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

static void idle_look(uv_timer_t *timer)
{
    struct mount *m = timer->data;
    uint64_t now = mount_now_us(m);
    struct handle *h, *next;
    DL_FOREACH_SAFE(m->staged, h, next)
        if (!h->commit && !h->failed && h->stage.written && !(h->spill && spill_busy(h->spill)) && now - h->touched_us >= SILENCE_US)
            commit_start(h);
}

/* ---- a node's handles ---- */

static bool unsettled(const struct handle *h)
{
    return h->commit || (h->created && !h->failed && !stage_empty(&h->stage));
}

static struct handle *first_unsettled(const struct inode *n)
{
    for (struct handle *h = n->handles; h; h = h->node_next)
        if (unsettled(h))
            return h;
    return NULL;
}

static bool closing(const struct handle *h) { return h->released && (h->commit || held_back(h)); }

static bool in_place(const struct stage *s) { return s->fresh || (!s->whole && !s->spilled); }

static bool shared(const struct handle *h) { return h->pin.roams && !h->failed && (h->commit || (h->stage.written && in_place(&h->stage))); }

/* Something of it is older than the call: what comes later is not waited for, else it might be for ever. */
static bool older(const struct handle *h, const struct call *c)
{
    return (h->commit && h->flying_us <= c->started_us) || (!stage_empty(&h->stage) && h->staged_us <= c->started_us);
}

static bool awaited(const struct handle *h, const struct call *c)
{
    return older(h, c) && (closing(h) || (shared(h) && !task_same_process(fuse_req_ctx(c->req)->pid, h->writer)));
}

struct handle *handle_to_await(const struct inode *n, const struct call *c)
{
    struct handle *h;
    for (h = n->handles; h && !awaited(h, c); h = h->node_next)
        ;
    return h;
}

bool handle_contends(const struct handle *self)
{
    const struct handle *h = NULL;
    if (self->pin.roams)
        for (h = self->node->handles; h && (h == self || h->released || !h->pin.roams); h = h->node_next)
            ;
    return h != NULL;
}

struct handle *handle_unpublished(const struct inode *n, const struct call *c)
{
    struct handle *h;
    for (h = n->handles; h && !(older(h, c) && (unsettled(h) || shared(h))); h = h->node_next)
        ;
    return h;
}

struct handle *handle_shared(const struct handle *self, const struct call *c)
{
    struct handle *h;
    for (h = self->node->handles; h && (h == self || !shared(h) || !older(h, c)); h = h->node_next)
        ;
    return h;
}

/* A file that is being written is listed when it is whole. */
static bool only_made(const struct handle *h) { return h->created && !h->failed && (h->commit || !h->stage.written); }

struct handle *handle_unlisted(const struct mount *m, const struct inode *dir, const struct call *c)
{
    for (struct handle *h = m->staged; h; h = h->next)
        if (h->node->parent == dir && older(h, c) && (closing(h) || only_made(h)))
            return h;
    return NULL;
}

void handles_unspill(struct inode *n, struct call *c, handle_then *then)
{
    struct handle *h;
    for (h = n->handles; h && !(h->spill && !h->failed); h = h->node_next)
        ;
    if (h)
        handle_await(h, c, then);
    else
        then(c, RGKV_OK, "");
}

bool handles_spilled(const struct inode *n)
{
    for (const struct handle *h = n->handles; h; h = h->node_next)
        if (h->spill && !h->failed)
            return true;
    return false;
}

bool handles_unsettled(const struct inode *n) { return first_unsettled(n) != NULL; }

void handles_settle(struct inode *n, struct call *c, handle_then *then)
{
    struct handle *h = first_unsettled(n);
    if (h)
        handle_await(h, c, then);
    else
        then(c, RGKV_OK, "");
}

/* ---- a name that goes ---- */

void handles_leave(struct mount *m, struct inode *n)
{
    m->background += 1;
    n->leaving++;
}

bool handles_leaving(const struct inode *n)
{
    while (n && !n->leaving)
        n = n->parent;
    return n != NULL;
}

/* Neither a commit nor an Append of anything there is on its way. */
static bool flown(const struct mount *m, const struct inode *top)
{
    const struct handle *h;
    const struct call *c;
    DL_FOREACH(m->staged, h)
        if (h->commit && inode_below(h->node, top))
            return false;
    DL_FOREACH(m->calls, c)
        if (c->appends && inode_below(c->node, top))
            return false;
    return true;
}

void handles_flown(struct inode *n, struct call *c, handle_then *then)
{
    ASSERT(n->leaving);
    park(c, n, flown, then);
}

struct handle *handle_created_below(const struct mount *m, const struct inode *dir)
{
    struct handle *h;
    DL_FOREACH(m->staged, h)
        if (h->created && !h->failed && h->node != dir && inode_below(h->node, dir))
            return h;
    return NULL;
}

static void go_on(struct handle *h)
{
    if (h->commit)
        return; /* its end looks at the queue */
    if (!stage_empty(&h->stage) && (h->queued || h->released))
        commit_start(h);
    else if (h->queued) /* the orphan has taken what they wait for, or was too small for it */
        wait_end_all(h, false, handle_take_failure(h), "");
}

/* Those below n that have something held back, each held. */
static unsigned hold_below(struct mount *m, const struct inode *n, struct handle ***ret_held)
{
    struct handle *h;
    unsigned count = 0;
    DL_COUNT(m->staged, h, count);
    struct handle **held = mem_alloc((count + 1) * sizeof *held);
    count = 0;
    DL_FOREACH(m->staged, h)
        if (h->node != n && inode_below(h->node, n))
            held[count++] = handle_hold(h);
    *ret_held = held;
    return count;
}

static void go_on_below(struct mount *m, const struct inode *n)
{
    struct handle **held;
    unsigned count = n->type == KV_DIR ? hold_below(m, n, &held) : 0;
    for (unsigned i = 0; i < count; i++) {
        go_on(held[i]);
        handle_let_go(held[i]);
    }
    if (n->type == KV_DIR)
        mem_free(held);
}

void handles_stay(struct mount *m, struct inode *n)
{
    ASSERT(n->leaving && m->background);
    if (!--n->leaving) {
        for (struct handle *h = n->handles, *next; h; h = next) {
            handle_hold(h);
            go_on(h);
            next = h->node_next; /* only now: the one behind h may be gone, h is held */
            handle_let_go(h);
        }
        go_on_below(m, n);
    }
    m->background -= 1;
    park_look(m);
}
