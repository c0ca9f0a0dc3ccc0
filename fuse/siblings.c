#include "fuse/siblings.h"

#include <fcntl.h>

#include "fuse/commit.h"

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

static bool closing(const struct handle *h) { return h->released && (h->commit || handle_held_back(h)); }

static bool same_process(const struct handle *h, const struct call *c) { return handle_written_by(h, fuse_req_ctx(c->req)->pid); }

/* A new value that somebody makes who cannot even read it, a copy, is no other process's before it is whole. */
static bool in_place(const struct handle *h, const struct call *c)
{
    const struct stage *s = &h->stage;
    return (!s->whole && !s->spilled) || (s->fresh && ((h->flags & O_ACCMODE) == O_RDWR || same_process(h, c)));
}

static bool shared(const struct handle *h, const struct call *c)
{
    return h->pin.roams && !h->failed && (h->commit || (h->stage.written && in_place(h, c)));
}

/* Something of it is older than the call: what comes later is not waited for, else it might be for ever. */
static bool older(const struct handle *h, const struct call *c)
{
    return (h->commit && h->flying_us <= c->started_us) || (!stage_empty(&h->stage) && h->staged_us <= c->started_us);
}

static bool awaited(const struct handle *h, const struct call *c)
{
    return older(h, c) && (closing(h) || (shared(h, c) && !same_process(h, c)));
}

struct handle *handle_to_await(const struct inode *n, const struct call *c)
{
    struct handle *h;
    for (h = n->handles; h && !awaited(h, c); h = h->node_next)
        ;
    return h;
}

bool handle_is_private(const struct handle *h, const struct call *c)
{
    return !h->released && !h->commit && !h->created && !in_place(h, c) && !same_process(h, c);
}

bool handle_contends(const struct handle *self)
{
    const struct handle *h = NULL;
    if (self->pin.roams)
        for (h = self->node->handles; h && (h == self || h->released || !h->pin.roams); h = h->node_next)
            ;
    return h != NULL;
}

/* A thread finds all that it did itself, a value that it begins anew (O_TRUNC, ftruncate to 0), too. To the others of its process that
 * is one Put like anybody's: the old value, or the new one. */
static bool own(const struct handle *h, const struct call *c)
{
    return !h->failed && !stage_empty(&h->stage) && h->writer == fuse_req_ctx(c->req)->pid;
}

struct handle *handle_unpublished(const struct inode *n, const struct call *c)
{
    struct handle *h;
    for (h = n->handles; h && !(older(h, c) && (unsettled(h) || shared(h, c) || own(h, c))); h = h->node_next)
        ;
    return h;
}

struct handle *handle_shared(const struct handle *self, const struct call *c)
{
    struct handle *h;
    for (h = self->node->handles; h && (h == self || !shared(h, c) || !older(h, c)); h = h->node_next)
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

uint64_t handles_ino(const struct inode *n) { return n->handles ? n->ino : 0; }

bool handles_unsettled(const struct inode *n) { return first_unsettled(n) != NULL; }

void handles_settle(struct inode *n, struct call *c, handle_then *then)
{
    struct handle *h = first_unsettled(n);
    if (h)
        handle_await(h, c, then);
    else
        then(c, RGKV_OK, "");
}
