#include "fuse/dirhandle.h"

#include <stdio.h>
#include <stdlib.h>

#define PARTS_ASKED_MAX 64u /* at once */
#define ROOT_ROUND_ENTRIES 65536u /* about what one round over all shards may hold */
#define ROOT_PAGE_MIN 16u

enum part_state { PART_FRESH, PART_MORE, PART_DONE };
struct dir_part {
    enum part_state state;
    char *after;                   /* the last name that it told, in rounds that are over; owned */
    enum part_state told_state;    /* in the round under way; FRESH: nothing yet */
    char *told;
};

struct part_call {
    struct call call;              /* nobody's: a part of the waiter's work */
    struct dirhandle *d;
    uint32_t part;
    unsigned generation;
};

static bool is_root(const struct dirhandle *d) { return inode_is_top(d->node); }

struct dirhandle *dirhandle_new(struct mount *m, struct inode *n)
{
    struct dirhandle *d = mem_zalloc(sizeof *d);
    d->m = m;
    d->node = inode_ref(n);
    d->n_parts = is_root(d) ? m->nshards : 1;
    d->parts = mem_zalloc(d->n_parts * sizeof *d->parts);
    return d;
}

struct dirhandle *dirhandle_of(const struct fuse_file_info *fi) { return (struct dirhandle *)(uintptr_t)fi->fh; }

static void parts_reset(struct dirhandle *d)
{
    for (uint32_t i = 0; i < d->n_parts; i++) {
        mem_free(d->parts[i].after);
        mem_free(d->parts[i].told);
        d->parts[i] = (struct dir_part){0};
    }
}

static void part_keep(struct dir_part *p)
{
    if (p->told) {
        mem_free(p->after);
        p->after = p->told;
    }
    p->state = p->told_state ? p->told_state : p->state;
    p->told = NULL;
    p->told_state = PART_FRESH;
}

static void part_undo(struct dir_part *p)
{
    mem_free(p->told);
    p->told = NULL;
    p->told_state = PART_FRESH;
}

static void round_keep(struct dirhandle *d)
{
    for (uint32_t i = 0; i < d->n_parts; i++)
        part_keep(&d->parts[i]);
}

/* As if it had not been begun: whoever asks again goes on where it began, for he was given all names before and none of it. Listing anew up
 * to there would not do, for the parts of the root come in any order. */
static void round_undo(struct dirhandle *d)
{
    d->generation++;
    for (uint32_t i = 0; i < d->n_parts; i++)
        part_undo(&d->parts[i]);
    if (d->round_at < d->n)
        d->names.len = d->entries[d->round_at].name_at;
    d->n = d->round_at;
}

static void collect(struct dirhandle *d)
{
    if (!d->released || d->asked || d->waiter)
        return;
    inode_unref(&d->m->inodes, d->node);
    parts_reset(d);
    mem_free(d->parts);
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
    d->base = 0;
    d->n = d->round_at = 0;
    buf_clear(&d->names);
    parts_reset(d);
    d->complete = false;
    d->failed = RGKV_OK;
}

const char *dirhandle_name(const struct dirhandle *d, unsigned i) { return (const char *)d->names.data + d->entries[i].name_at; }

/* Rounds before the last one go: a reader who comes back to them has them listed again. (Not for the sake of a round that was undone.) */
static void forget_old_rounds(struct dirhandle *d)
{
    if (d->round_at == d->n)
        return;
    unsigned gone = d->round_at;
    size_t bytes = gone < d->n ? d->entries[gone].name_at : d->names.len;
    if (gone) {
        memmove(d->entries, d->entries + gone, (d->n - gone) * sizeof *d->entries);
        memmove(d->names.data, d->names.data + bytes, d->names.len - bytes);
        d->names.len -= bytes;
        d->n -= gone;
        d->base += gone;
        for (unsigned i = 0; i < d->n; i++)
            d->entries[i].name_at -= bytes;
    }
    d->round_at = d->n;
}

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
MUST_USE static enum rgkv_err add_page(struct dirhandle *d, struct dir_part *p, const struct kv_reply *r)
{
    struct reader page = reader_of(r->data);
    struct kv_dirent e;
    unsigned before = d->n;
    while (kv_dirent_next(&page, &e))
        add(d, &e);
    if (!page.ok || (r->more && d->n == before))
        return RGKV_PROTOCOL;
    if (d->n > before)
        p->told = mem_strdup(dirhandle_name(d, d->n - 1));
    p->told_state = r->more ? PART_MORE : PART_DONE;
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

static void ask_parts(struct dirhandle *d);

static void part_failed(struct dirhandle *d, enum rgkv_err err, const char *why)
{
    if (d->failed)
        return;
    d->failed = err;
    snprintf(d->why, sizeof d->why, "%s", why);
}

static void page_done(struct call *call, const struct client_effect *e)
{
    struct part_call *c = (struct part_call *)call;
    struct dirhandle *d = c->d;
    d->asked--;
    if (c->generation == d->generation) {
        enum rgkv_err err = e->err ? e->err : add_page(d, &d->parts[c->part], e->reply);
        if (err)
            part_failed(d, err, e->err ? e->why : "a page of names makes no sense");
    }
    call_end(call);
    ask_parts(d);
}

static unsigned page_entries(const struct dirhandle *d)
{
    return is_root(d) ? MAX(ROOT_ROUND_ENTRIES / d->n_parts, ROOT_PAGE_MIN) : LIST_ENTRIES_MAX;
}

static void ask_part(struct dirhandle *d, uint32_t part)
{
    struct part_call *c = call_begin(d->m, NULL, "readdir", sizeof *c);
    struct key k;
    c->d = d;
    c->part = part;
    c->generation = d->generation;
    call_node(&c->call, d->node);
    struct kv_request q = {.op = KV_LIST, .shard = part, .length = page_entries(d)};
    enum rgkv_err err = tree_key(d->node, &k);
    ASSERT(!err); /* dirhandle_more: without a path the key would be the root's */
    q.key = key_bytes_of(&k);
    q.key2 = bytes_str(d->parts[part].after ? d->parts[part].after : "");
    d->asked++;
    call_ask(&c->call, &q, page_done);
}

static bool all_done(const struct dirhandle *d)
{
    for (uint32_t i = 0; i < d->n_parts; i++)
        if (d->parts[i].state != PART_DONE)
            return false;
    return true;
}

static void round_end(struct dirhandle *d)
{
    if (d->failed) {
        round_undo(d);
        return;
    }
    round_keep(d);
    d->complete = all_done(d);
}

/* Keeps many parts asked until the round is over, then tells; after a failure it only waits for the rest. */
static void ask_parts(struct dirhandle *d)
{
    for (; d->waiter && !d->failed && d->next_part < d->n_parts && d->asked < PARTS_ASKED_MAX; d->next_part++)
        if (d->parts[d->next_part].state != PART_DONE)
            ask_part(d, d->next_part);
    if (d->asked)
        return;
    if (!d->waiter) {
        collect(d);
        return;
    }
    round_end(d);
    tell(d, d->failed, d->why);
}

/* The caller was interrupted: what is asked still comes in, for nobody. */
static void more_cancelled(struct call *c)
{
    struct dirhandle *d = ((struct dir_call *)c)->d;
    round_undo(d);
    tell(d, RGKV_CANCELLED, rgkv_err_sentence(RGKV_CANCELLED));
}

void dirhandle_more(struct dirhandle *d, struct dir_call *c, void (*then)(struct call *c, enum rgkv_err err, const char *why))
{
    struct key k;
    enum rgkv_err gone = tree_key(d->node, &k);
    if (gone) {
        then(&c->call, RGKV_NOT_FOUND, "the directory was removed or replaced elsewhere");
        return;
    }
    forget_old_rounds(d);
    d->failed = RGKV_OK;
    d->next_part = 0;
    d->waiter = &c->call;
    d->then = then;
    c->call.cancel = more_cancelled;
    ask_parts(d);
}
