#include "fuse/dirhandle.h"

#include <stdio.h>
#include <stdlib.h>

#define SHARDS_ASKED_MAX 64u /* at once */

struct shard_call {
    struct call call;              /* nobody's: a part of the waiter's work */
    struct dirhandle *d;
    uint32_t shard;
    unsigned generation;
    char *after;                   /* the last name of the page before; owned */
};

struct dirhandle *dirhandle_new(struct mount *m, struct inode *n)
{
    struct dirhandle *d = mem_zalloc(sizeof *d);
    d->m = m;
    d->node = inode_ref(n);
    return d;
}

struct dirhandle *dirhandle_of(const struct fuse_file_info *fi) { return (struct dirhandle *)(uintptr_t)fi->fh; }

static void collect(struct dirhandle *d)
{
    if (!d->released || d->asked || d->waiter)
        return;
    inode_unref(&d->m->inodes, d->node);
    buf_release(&d->names);
    mem_free(d->entries);
    mem_free(d);
}

void dirhandle_released(struct dirhandle *d)
{
    d->released = true;
    collect(d);
}

void dirhandle_rewind(struct dirhandle *d)
{
    d->generation++;
    d->n = 0;
    buf_clear(&d->names);
    d->complete = false;
    d->next_shard = 0;
    d->failed = RGKV_OK;
}

const char *dirhandle_name(const struct dirhandle *d, unsigned i) { return (const char *)d->names.data + d->entries[i].name_at; }

static void add(struct dirhandle *d, const struct kv_dirent *e)
{
    if (d->n == d->cap) {
        d->cap = d->cap ? d->cap * 2 : 64;
        d->entries = mem_realloc(d->entries, d->cap * sizeof *d->entries);
    }
    d->entries[d->n++] = (struct dir_entry){.name_at = d->names.len, .ino = e->attr.ino, .type = e->attr.type};
    buf_put(&d->names, e->name);
    buf_put_u8(&d->names, 0);
}

/* A page's entries; the last name is where the next page begins. PROTOCOL: it makes no sense. */
MUST_USE static enum rgkv_err add_page(struct shard_call *c, const struct kv_reply *r)
{
    struct dirhandle *d = c->d;
    struct reader page = reader_of(r->data);
    struct kv_dirent e;
    unsigned before = d->n;
    while (kv_dirent_next(&page, &e))
        add(d, &e);
    if (!page.ok || (r->more && d->n == before))
        return RGKV_PROTOCOL;
    if (d->n > before) {
        mem_free(c->after);
        c->after = mem_strdup(dirhandle_name(d, d->n - 1));
    }
    return RGKV_OK;
}

static void tell(struct dirhandle *d, enum rgkv_err err, const char *why)
{
    struct call *c = d->waiter;
    d->waiter = NULL;
    c->cancel = NULL;
    d->then(c, err, why);
    collect(d);
}

static void ask_page(struct shard_call *c);

/* A part of the listing is over: its shard, or the only one. */
static void part_over(struct shard_call *c, enum rgkv_err err, const char *why)
{
    struct dirhandle *d = c->d;
    d->asked--;
    if (err && !d->failed) {
        d->failed = err;
        snprintf(d->why, sizeof d->why, "%s", why);
    }
    call_end(&c->call);
}

static void ask_parts(struct dirhandle *d);

static void page_done(struct call *call, const struct client_effect *e)
{
    struct shard_call *c = (struct shard_call *)call;
    struct dirhandle *d = c->d;
    if (c->generation != d->generation) {
        part_over(c, RGKV_OK, "");
        ask_parts(d);
        return;
    }
    enum rgkv_err err = e->err ? e->err : add_page(c, e->reply);
    bool root = d->node->id == INODE_ROOT;
    if (!err && e->reply->more && root && d->waiter && !d->failed) {
        ask_page(c); /* the names of other shards may come in between: `after` is taken from this page */
        return;
    }
    if (!root)
        d->complete = !err && !e->reply->more;
    part_over(c, err, err && !e->err ? "a page of names makes no sense" : e->why);
    ask_parts(d);
}

static void ask_page(struct shard_call *c)
{
    struct dirhandle *d = c->d;
    struct key k;
    struct kv_request q = {.op = KV_LIST, .shard = c->shard, .length = LIST_ENTRIES_MAX};
    if (tree_key(d->node, &k))
        k.len = 0;
    q.key = key_bytes_of(&k);
    q.key2 = bytes_str(c->after ? c->after : "");
    call_ask(&c->call, &q, page_done);
}

static void part_release(struct call *call) { mem_free(((struct shard_call *)call)->after); }

static void ask_part(struct dirhandle *d, uint32_t shard, const char *after)
{
    struct shard_call *c = call_begin(d->m, NULL, "readdir", sizeof *c);
    c->d = d;
    c->shard = shard;
    c->generation = d->generation;
    c->after = after ? mem_strdup(after) : NULL;
    c->call.release = part_release;
    call_node(&c->call, d->node);
    d->asked++;
    ask_page(c);
}

/* The root: keeps many shards asked until all were, then tells; after a failure it only waits for the rest. */
static void ask_parts(struct dirhandle *d)
{
    bool root = d->node->id == INODE_ROOT;
    while (root && d->waiter && !d->failed && d->next_shard < d->m->nshards && d->asked < SHARDS_ASKED_MAX)
        ask_part(d, d->next_shard++, NULL);
    if (d->asked)
        return;
    if (root && !d->failed)
        d->complete = true;
    if (d->waiter)
        tell(d, d->failed, d->why);
    else
        collect(d);
}

/* The caller was interrupted: what is asked still comes in, into a list that nobody will read on. */
static void more_cancelled(struct call *c)
{
    struct dirhandle *d = ((struct dir_call *)c)->d;
    d->failed = RGKV_CANCELLED;
    tell(d, RGKV_CANCELLED, rgkv_err_sentence(RGKV_CANCELLED));
}

void dirhandle_more(struct dirhandle *d, struct dir_call *c, void (*then)(struct call *c, enum rgkv_err err, const char *why))
{
    if (d->failed)
        dirhandle_rewind(d);
    d->waiter = &c->call;
    d->then = then;
    c->call.cancel = more_cancelled;
    if (d->node->id == INODE_ROOT)
        ask_parts(d);
    else
        ask_part(d, 0, d->n ? dirhandle_name(d, d->n - 1) : NULL);
}
