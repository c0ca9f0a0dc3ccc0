#include "fuse/park.h"

#include <utlist.h>

struct parked {
    struct call *call;
    struct inode *node;            /* a reference */
    park_over *over;
    handle_then *then;
    struct parked *prev, *next;
};

static void end(struct parked *p, enum rgkv_err err)
{
    struct call *c = p->call;
    struct mount *m = c->m;
    handle_then *then = p->then;
    struct inode *n = p->node;
    DL_DELETE(m->parked, p);
    c->cancel = NULL;
    c->waits = NULL;
    mem_free(p);
    then(c, err, rgkv_err_sentence(err));
    inode_unref(&m->inodes, n);
}

static void cancelled(struct call *c) { end(c->waits, RGKV_CANCELLED); }

void park(struct call *c, struct inode *n, park_over *over, handle_then *then)
{
    if (over(c->m, n)) {
        then(c, RGKV_OK, "");
        return;
    }
    struct parked *p = mem_zalloc(sizeof *p);
    *p = (struct parked){.call = c, .node = inode_ref(n), .over = over, .then = then};
    ASSERT(!c->cancel);
    c->cancel = cancelled;
    c->waits = p;
    DL_APPEND(c->m->parked, p);
}

/* Whoever goes on may change everything: from the beginning again. */
void park_look(struct mount *m)
{
    struct parked *p = m->parked;
    while (p)
        if (p->over(m, p->node)) {
            end(p, RGKV_OK);
            p = m->parked;
        } else
            p = p->next;
}
