#include "fuse/leave.h"

#include <utlist.h>

#include "fuse/commit.h"
#include "fuse/park.h"

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
        commit_end_queued(h, handle_take_failure(h));
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
