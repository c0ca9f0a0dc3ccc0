#include <stdlib.h>

#include "fuse/commit.h"
#include "fuse/control.h"
#include "fuse/dirhandle.h"
#include "fuse/handle.h"
#include "fuse/ops.h"
#include "fuse/siblings.h"

#define DOTS 2u /* "." and ".." come before the entries */

struct readdir_call {
    struct dir_call dir;
    size_t size;
    uint64_t off;                  /* ordinal of the first entry that is wanted */
};

void fs_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    if (control_is(ino)) {
        control_opendir(req, ino, fi);
        return;
    }
    struct inode *n = ops_node(req, ino);
    if (!n)
        return;
    struct dirhandle *d = dirhandle_new(mount_of(req), n);
    fi->fh = (uint64_t)(uintptr_t)d;
    if (fuse_reply_open(req, fi) == -ENOENT)
        dirhandle_released(d);
}

static mode_t type_bits(enum kv_type type)
{
    return type == KV_DIR ? S_IFDIR : type == KV_LINK ? S_IFLNK : S_IFREG;
}

/* One entry by its ordinal; its size in the buffer, or 0 at the end. */
static size_t put_entry(struct readdir_call *c, uint64_t i, char *at, size_t room)
{
    struct dirhandle *d = c->dir.d;
    struct stat st = {.st_mode = S_IFDIR, .st_ino = d->node->st_ino};
    const char *name = i == 0 ? "." : "..";
    if (i >= DOTS) {
        unsigned place = (unsigned)(i - DOTS - d->base);
        const struct dir_entry *e = &d->entries[place];
        name = dirhandle_name(d, place);
        struct inode *n = inode_child(&d->m->inodes, d->node, name);
        st.st_mode = type_bits(e->type);
        st.st_ino = n && n->ino == e->ino ? n->st_ino : e->ino;
    }
    return fuse_add_direntry(c->dir.call.req, at, room, name, &st, (off_t)(i + 1));
}

static void reply_entries(struct readdir_call *c)
{
    struct dirhandle *d = c->dir.d;
    char *page = mem_alloc(c->size);
    size_t used = 0;
    for (uint64_t i = c->off; i < d->base + d->n + DOTS; i++) {
        size_t bytes = put_entry(c, i, page + used, c->size - used);
        if (bytes > c->size - used)
            break;
        used += bytes;
    }
    call_reply_data(&c->dir.call, bytes_of(page, used));
    mem_free(page);
}

static bool covered(const struct readdir_call *c)
{
    const struct dirhandle *d = c->dir.d;
    return d->complete || ((d->n || d->base) && c->off < d->base + d->n + DOTS);
}

static void serve(struct call *call, enum rgkv_err err, const char *why)
{
    struct readdir_call *c = (struct readdir_call *)call;
    if (err)
        call_reply_err(call, err, why);
    else if (covered(c))
        reply_entries(c);
    else
        dirhandle_more(c->dir.d, &c->dir, serve);
}

static void list(struct call *call, enum rgkv_err err, const char *why)
{
    struct readdir_call *c = (struct readdir_call *)call;
    struct handle *unlisted = handle_unlisted(call->m, call->node, call);
    if (err == RGKV_CANCELLED)
        call_reply_err(call, err, why);
    else if (unlisted)
        handle_await(unlisted, call, list); /* a file that was just made here is in the listing */
    else
        dirhandle_more(c->dir.d, &c->dir, serve);
}

void fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    if (control_is(ino)) {
        control_readdir(req, size, off, fi);
        return;
    }
    struct readdir_call *c = call_begin(mount_of(req), req, "readdir", sizeof *c);
    struct dirhandle *d = c->dir.d = dirhandle_of(fi);
    call_node(&c->dir.call, d->node);
    c->size = size;
    c->off = (uint64_t)off;
    bool again = !off && (d->n || d->complete), forgotten = d->base && c->off < d->base + DOTS;
    if (again || forgotten)
        dirhandle_rewind(d);
    if (covered(c))
        serve(&c->dir.call, RGKV_OK, "");
    else
        list(&c->dir.call, RGKV_OK, "");
}

void fs_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    fuse_reply_err(req, 0);
    if (control_is(ino))
        control_releasedir(fi);
    else
        dirhandle_released(dirhandle_of(fi));
}

void fs_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi) { fuse_reply_err(req, 0); }
