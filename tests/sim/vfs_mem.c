/* Two maps from path to inode: `now`, what everybody sees, and `durable`, what a crash goes back to; and between them the
 * changes of directories that were not synced yet, in order. Likewise each inode has its bytes and its durable bytes, and
 * the range in which they differ because nobody has synced.
 *
 * After a crash either some first changes of directories survive (an ordered journal) or any of them (no order at
 * all); each is atomic. A file is taken apart in one of the ways of `enum fate`. */
#include "tests/sim/vfs_mem.h"

#include <stdio.h>
#include <stdlib.h>

#define SECTOR 512u

struct inode {
    unsigned refs;
    bool directory;
    struct buf data, durable;
    uint64_t dirty_from, dirty_to; /* empty if equal */
    bool length_dirty;
    uint64_t reserved;
};

struct entry {
    char *path;
    struct inode *inode;
};

struct map {
    struct entry *entries; /* sorted by path */
    size_t n, cap;
};

struct change {
    enum { CHANGE_SET, CHANGE_REMOVE, CHANGE_RENAME } kind;
    char *path, *to;       /* `to`: rename */
    struct inode *inode;   /* set, rename */
};

struct fault {
    unsigned nth; /* 0: none */
    enum rgkv_err err;
};

struct vfs_mem {
    struct vfs vfs;
    struct map now, durable;
    struct change *changes;
    size_t n_changes, cap_changes;
    struct fault faults[VFS_MEM_CALLS];
    char **locks;
    size_t n_locks;
    uint64_t capacity, epoch, halt_in, syncs;
    bool halting, grows;
    char error[256];
};

struct vfs_file {
    struct vfs_mem *disk;
    struct inode *inode;
    uint64_t epoch;
    char *path;
};

static struct vfs_mem *mem(const struct vfs *v) { return (struct vfs_mem *)v; }

/* Inodes */

static struct inode *inode_new(bool directory)
{
    struct inode *i = mem_zalloc(sizeof(*i));
    i->directory = directory;
    i->refs = 1;
    return i;
}

static struct inode *inode_ref(struct inode *i)
{
    if (i)
        i->refs++;
    return i;
}

static void inode_unref(struct inode *i)
{
    if (!i || --i->refs)
        return;
    buf_release(&i->data);
    buf_release(&i->durable);
    mem_free(i);
}

static void inode_dirty(struct inode *i, uint64_t from, uint64_t to)
{
    if (from >= to)
        return;
    bool clean = i->dirty_from == i->dirty_to;
    i->dirty_from = clean ? from : MIN(i->dirty_from, from);
    i->dirty_to = clean ? to : MAX(i->dirty_to, to);
}

static void set_length(struct buf *b, uint64_t len)
{
    uint64_t before = b->len;
    if (len > before)
        memset(buf_grow(b, len - before), 0, len - before);
    b->len = len;
}

static void inode_resize(struct inode *i, uint64_t len)
{
    inode_dirty(i, MIN(len, i->data.len), MAX(len, i->data.len));
    i->length_dirty |= len != i->data.len;
    i->reserved = len < i->data.len ? 0 : i->reserved;
    set_length(&i->data, len);
}

static void inode_write(struct inode *i, uint64_t offset, struct bytes data)
{
    if (data.len == 0)
        return;
    if (offset + data.len > i->data.len)
        inode_resize(i, offset + data.len);
    memcpy(i->data.data + offset, data.data, data.len);
    inode_dirty(i, offset, offset + data.len);
}

static void inode_forget_dirty(struct inode *i)
{
    i->dirty_from = i->dirty_to = 0;
    i->length_dirty = false;
}

static void inode_sync(struct inode *i)
{
    set_length(&i->durable, i->data.len);
    uint64_t to = MIN(i->dirty_to, i->data.len);
    if (i->dirty_from < to)
        memcpy(i->durable.data + i->dirty_from, i->data.data + i->dirty_from, to - i->dirty_from);
    inode_forget_dirty(i);
}

/* Maps */

static size_t map_place(const struct map *m, const char *path)
{
    size_t lo = 0, hi = m->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (strcmp(m->entries[mid].path, path) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool map_has_at(const struct map *m, size_t at, const char *path)
{
    return at < m->n && strcmp(m->entries[at].path, path) == 0;
}

static struct inode *map_get(const struct map *m, const char *path)
{
    size_t at = map_place(m, path);
    return map_has_at(m, at, path) ? m->entries[at].inode : NULL;
}

static void map_remove_at(struct map *m, size_t at)
{
    mem_free(m->entries[at].path);
    inode_unref(m->entries[at].inode);
    m->n--;
    memmove(m->entries + at, m->entries + at + 1, (m->n - at) * sizeof(*m->entries));
}

static void map_remove(struct map *m, const char *path)
{
    size_t at = map_place(m, path);
    if (map_has_at(m, at, path))
        map_remove_at(m, at);
}

static void map_set(struct map *m, const char *path, struct inode *inode)
{
    inode_ref(inode);
    map_remove(m, path);
    size_t at = map_place(m, path);
    if (m->n == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 16;
        m->entries = mem_realloc(m->entries, m->cap * sizeof(*m->entries));
    }
    memmove(m->entries + at + 1, m->entries + at, (m->n - at) * sizeof(*m->entries));
    m->entries[at] = (struct entry){mem_strdup(path), inode};
    m->n++;
}

static void map_release(struct map *m)
{
    while (m->n)
        map_remove_at(m, m->n - 1);
    mem_free(m->entries);
    *m = (struct map){0};
}

static void map_copy(struct map *to, const struct map *from)
{
    map_release(to);
    for (size_t i = 0; i < from->n; i++)
        map_set(to, from->entries[i].path, from->entries[i].inode);
}

static bool below(const char *path, const char *directory)
{
    size_t len = strlen(directory);
    return strncmp(path, directory, len) == 0 && path[len] == '/';
}

/* The first entry below the directory; `prefix` is its path with a slash. SIZE_MAX: there is none. */
static size_t map_first_below(const struct map *m, const char *prefix)
{
    size_t at = map_place(m, prefix);
    return at < m->n && strncmp(m->entries[at].path, prefix, strlen(prefix)) == 0 ? at : SIZE_MAX;
}

static void map_rename_children(struct map *m, const char *from, const char *to)
{
    struct buf prefix = {0}, path = {0};
    buf_put(&prefix, bytes_str(from));
    buf_put(&prefix, bytes_of("/", 2));
    for (size_t at; (at = map_first_below(m, (const char *)prefix.data)) != SIZE_MAX;) {
        buf_clear(&path);
        buf_printf(&path, "%s%s", to, m->entries[at].path + strlen(from));
        map_set(m, (const char *)path.data, m->entries[at].inode);
        map_remove_at(m, map_first_below(m, (const char *)prefix.data));
    }
    buf_release(&prefix);
    buf_release(&path);
}

static void map_remove_children(struct map *m, const char *path)
{
    struct buf prefix = {0};
    buf_put(&prefix, bytes_str(path));
    buf_put(&prefix, bytes_of("/", 2));
    for (size_t at; (at = map_first_below(m, (const char *)prefix.data)) != SIZE_MAX;)
        map_remove_at(m, at);
    buf_release(&prefix);
}

/* Directories */

static size_t parent_len(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

static bool is_in(const char *path, const char *directory)
{
    size_t len = parent_len(path);
    if (len == 0)
        return strcmp(directory, ".") == 0 || strcmp(directory, "/") == 0 || directory[0] == 0;
    return strlen(directory) == len && strncmp(path, directory, len) == 0;
}

static bool parent_exists(const struct map *m, const char *path)
{
    char parent[4096];
    size_t len = parent_len(path);
    if (len == 0)
        return true;
    ASSERT(len < sizeof(parent));
    memcpy(parent, path, len);
    parent[len] = 0;
    const struct inode *i = map_get(m, parent);
    return i && i->directory;
}

static void change_apply(const struct change *c, struct map *m)
{
    switch (c->kind) {
    case CHANGE_SET:
        map_set(m, c->path, c->inode);
        break;
    case CHANGE_REMOVE:
        map_remove_children(m, c->path); /* a directory that is gone is so with what was in it, though nobody synced that */
        map_remove(m, c->path);
        break;
    case CHANGE_RENAME:
        map_remove(m, c->path);
        map_set(m, c->to, c->inode);
        map_rename_children(m, c->path, c->to);
        break;
    }
}

static void change_release(struct change *c)
{
    mem_free(c->path);
    mem_free(c->to);
    inode_unref(c->inode);
}

static void change_now(struct vfs_mem *d, const struct change *c)
{
    if (d->n_changes == d->cap_changes) {
        d->cap_changes = d->cap_changes ? d->cap_changes * 2 : 16;
        d->changes = mem_realloc(d->changes, d->cap_changes * sizeof(*d->changes));
    }
    struct change *kept = &d->changes[d->n_changes++];
    *kept = (struct change){.kind = c->kind, .path = mem_strdup(c->path), .to = c->to ? mem_strdup(c->to) : NULL,
                            .inode = inode_ref(c->inode)};
    change_apply(kept, &d->now);
}

/* Calls, their faults, their errors */

static enum rgkv_err failed(struct vfs_mem *d, enum rgkv_err err, const char *what, const char *path)
{
    snprintf(d->error, sizeof(d->error), "cannot %s %s: %s", what, path, rgkv_err_sentence(err));
    return err;
}

static const char *mem_error(struct vfs *v) { return mem(v)->error; }

static bool changing(enum vfs_mem_call call) { return call != VFS_MEM_OPEN && call != VFS_MEM_READ; }

/* What this call has to fail with, or OK. */
static enum rgkv_err due(struct vfs_mem *d, enum vfs_mem_call call)
{
    if (d->halting && d->halt_in == 0)
        return RGKV_IO;
    if (d->halting && changing(call))
        d->halt_in--;
    struct fault *f = &d->faults[call];
    return f->nth && --f->nth == 0 ? f->err : RGKV_OK;
}

static enum rgkv_err file_due(struct vfs_file *f, enum vfs_mem_call call)
{
    enum rgkv_err err = f->epoch == f->disk->epoch ? due(f->disk, call) : RGKV_IO;
    static const char *const names[] = {"create", "open", "read", "write to", "truncate", "sync", "reserve space for",
                                        "rename", "remove", "sync"};
    return err ? failed(f->disk, err, names[call], f->path) : RGKV_OK;
}

static uint64_t inode_space(const struct inode *i) { return MAX(i->data.len, i->reserved); }

uint64_t vfs_mem_used(const struct vfs *v)
{
    uint64_t used = 0;
    for (size_t i = 0; i < mem(v)->now.n; i++)
        used += inode_space(mem(v)->now.entries[i].inode);
    return used;
}

static bool has_room(struct vfs_file *f, uint64_t len)
{
    struct vfs_mem *d = f->disk;
    uint64_t space = inode_space(f->inode);
    return d->capacity == 0 || len <= space || vfs_mem_used(&d->vfs) + (len - space) <= d->capacity;
}

/* Files */

static enum rgkv_err mem_open(struct vfs *v, const char *path, bool create, struct vfs_file **ret_f)
{
    struct vfs_mem *d = mem(v);
    enum rgkv_err err = due(d, create ? VFS_MEM_CREATE : VFS_MEM_OPEN);
    struct inode *i = map_get(&d->now, path);
    if (!err && (i ? i->directory : !create || !parent_exists(&d->now, path)))
        err = i ? RGKV_IO : RGKV_NOT_FOUND;
    if (!err && i && create)
        err = RGKV_EXISTS;
    if (err)
        return failed(d, err, create ? "create" : "open", path);
    if (create) {
        i = inode_new(false);
        change_now(d, &(struct change){.kind = CHANGE_SET, .path = (char *)path, .inode = i});
        inode_unref(i);
    }
    *ret_f = mem_alloc(sizeof(**ret_f));
    **ret_f = (struct vfs_file){.disk = d, .inode = inode_ref(i), .epoch = d->epoch, .path = mem_strdup(path)};
    return RGKV_OK;
}

static void mem_close(struct vfs_file *f)
{
    if (!f)
        return;
    inode_unref(f->inode);
    mem_free(f->path);
    mem_free(f);
}

static enum rgkv_err mem_read(struct vfs_file *f, uint64_t offset, size_t len, struct buf *out)
{
    enum rgkv_err err = file_due(f, VFS_MEM_READ);
    if (err)
        return err;
    struct bytes all = buf_bytes(&f->inode->data);
    if (offset < all.len)
        buf_put(out, bytes_of(all.data + offset, MIN(len, all.len - offset)));
    return RGKV_OK;
}

static enum rgkv_err mem_write_at(struct vfs_file *f, uint64_t offset, struct bytes data)
{
    enum rgkv_err err = file_due(f, VFS_MEM_WRITE);
    if (!err && !has_room(f, offset + data.len))
        err = failed(f->disk, RGKV_NO_SPACE, "write to", f->path);
    if (err && f->epoch == f->disk->epoch && !vfs_mem_halted(&f->disk->vfs) && has_room(f, offset + data.len / 2))
        inode_write(f->inode, offset, bytes_first(data, data.len / 2));
    if (err)
        return err;
    inode_write(f->inode, offset, data);
    return RGKV_OK;
}

static enum rgkv_err mem_append(struct vfs_file *f, struct bytes data) { return mem_write_at(f, f->inode->data.len, data); }

static enum rgkv_err mem_truncate(struct vfs_file *f, uint64_t len)
{
    enum rgkv_err err = file_due(f, VFS_MEM_TRUNCATE);
    if (err)
        return err;
    inode_resize(f->inode, len);
    f->inode->reserved = 0;
    return RGKV_OK;
}

static enum rgkv_err mem_sync(struct vfs_file *f)
{
    enum rgkv_err err = file_due(f, VFS_MEM_SYNC);
    if (err && f->epoch == f->disk->epoch && !vfs_mem_halted(&f->disk->vfs))
        inode_forget_dirty(f->inode);
    if (err)
        return err;
    f->disk->syncs++;
    inode_sync(f->inode);
    return RGKV_OK;
}

static enum rgkv_err mem_preallocate(struct vfs_file *f, uint64_t len)
{
    enum rgkv_err err = file_due(f, VFS_MEM_PREALLOCATE);
    if (!err && !has_room(f, len))
        err = failed(f->disk, RGKV_NO_SPACE, "reserve space for", f->path);
    if (err)
        return err;
    if (f->disk->grows && len > f->inode->data.len)
        inode_resize(f->inode, len);
    f->inode->reserved = MAX(f->inode->reserved, len);
    return RGKV_OK;
}

static uint64_t mem_size(struct vfs_file *f) { return f->inode->data.len; }

/* Names */

static enum rgkv_err mem_rename(struct vfs *v, const char *from, const char *to)
{
    struct vfs_mem *d = mem(v);
    enum rgkv_err err = due(d, VFS_MEM_RENAME);
    struct inode *i = map_get(&d->now, from);
    if (!err && (!i || !parent_exists(&d->now, to)))
        err = RGKV_NOT_FOUND;
    if (err)
        return failed(d, err, "rename", from);
    change_now(d, &(struct change){.kind = CHANGE_RENAME, .path = (char *)from, .to = (char *)to, .inode = i});
    return RGKV_OK;
}

static enum rgkv_err mem_unlink(struct vfs *v, const char *path)
{
    struct vfs_mem *d = mem(v);
    enum rgkv_err err = due(d, VFS_MEM_UNLINK);
    if (!err && !map_get(&d->now, path))
        err = RGKV_NOT_FOUND;
    if (err)
        return failed(d, err, "remove", path);
    change_now(d, &(struct change){.kind = CHANGE_REMOVE, .path = (char *)path});
    return RGKV_OK;
}

static enum rgkv_err mem_mkdir(struct vfs *v, const char *path)
{
    struct vfs_mem *d = mem(v);
    enum rgkv_err err = due(d, VFS_MEM_CREATE);
    struct inode *i = map_get(&d->now, path);
    if (!err && i)
        return i->directory ? RGKV_OK : failed(d, RGKV_EXISTS, "make the directory", path);
    if (!err && !parent_exists(&d->now, path))
        err = RGKV_NOT_FOUND;
    if (err)
        return failed(d, err, "make the directory", path);
    i = inode_new(true);
    change_now(d, &(struct change){.kind = CHANGE_SET, .path = (char *)path, .inode = i});
    inode_unref(i);
    return RGKV_OK;
}

static enum rgkv_err mem_remove_tree(struct vfs *v, const char *path)
{
    struct vfs_mem *d = mem(v);
    enum rgkv_err err = due(d, VFS_MEM_UNLINK);
    if (err)
        return failed(d, err, "remove", path);
    for (size_t i = d->now.n; i-- > 0;) {
        const char *found = d->now.entries[i].path;
        if (below(found, path) || strcmp(found, path) == 0)
            change_now(d, &(struct change){.kind = CHANGE_REMOVE, .path = (char *)found});
    }
    return RGKV_OK;
}

static enum rgkv_err mem_sync_dir(struct vfs *v, const char *path)
{
    struct vfs_mem *d = mem(v);
    enum rgkv_err err = due(d, VFS_MEM_SYNC_DIR);
    if (err)
        return failed(d, err, "sync the directory", path);
    size_t kept = 0;
    for (size_t i = 0; i < d->n_changes; i++) {
        struct change *c = &d->changes[i];
        if (is_in(c->path, path) || (c->to && is_in(c->to, path))) {
            change_apply(c, &d->durable);
            change_release(c);
        } else {
            d->changes[kept++] = *c;
        }
    }
    d->n_changes = kept;
    return RGKV_OK;
}

static enum rgkv_err mem_list(struct vfs *v, const char *path, struct buf *out)
{
    struct vfs_mem *d = mem(v);
    if (vfs_mem_halted(v))
        return failed(d, RGKV_IO, "list", path);
    const struct inode *i = map_get(&d->now, path);
    if (parent_len(path) && (!i || !i->directory))
        return failed(d, RGKV_NOT_FOUND, "list", path);
    for (size_t at = 0; at < d->now.n; at++) {
        const char *found = d->now.entries[at].path;
        if (!is_in(found, path))
            continue;
        const char *name = parent_len(found) ? found + parent_len(found) + 1 : found;
        buf_put(out, bytes_of(name, strlen(name) + 1));
    }
    return RGKV_OK;
}

static enum rgkv_err mem_lock(struct vfs *v, const char *path)
{
    struct vfs_mem *d = mem(v);
    for (size_t i = 0; i < d->n_locks; i++) {
        if (strcmp(d->locks[i], path) == 0)
            return failed(d, RGKV_CONFLICT, "lock", path);
    }
    d->locks = mem_realloc(d->locks, (d->n_locks + 1) * sizeof(*d->locks));
    d->locks[d->n_locks++] = mem_strdup(path);
    return RGKV_OK;
}

static enum rgkv_err mem_free_space(struct vfs *v, const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    uint64_t used = vfs_mem_used(v), total = mem(v)->capacity ? mem(v)->capacity : used + (1ull << 40);
    *ret_total = total;
    *ret_free = total - MIN(total, used);
    return RGKV_OK;
}

static const struct vfs_ops mem_ops = {
    .open = mem_open,
    .close = mem_close,
    .read = mem_read,
    .append = mem_append,
    .write_at = mem_write_at,
    .truncate = mem_truncate,
    .sync = mem_sync,
    .preallocate = mem_preallocate,
    .size = mem_size,
    .rename = mem_rename,
    .unlink = mem_unlink,
    .mkdir = mem_mkdir,
    .remove_tree = mem_remove_tree,
    .sync_dir = mem_sync_dir,
    .list = mem_list,
    .lock = mem_lock,
    .free_space = mem_free_space,
    .error = mem_error,
};

/* Crashes */

enum fate { LOST, KEPT, PREFIX, SECTORS, ONLY_LENGTH, FATES };

/* What of the unsynced range comes through. */
struct remains {
    enum fate fate;
    uint64_t cut;      /* PREFIX: up to here */
    uint64_t seed;     /* SECTORS: which ones */
};

static bool came_through(const struct remains *r, uint64_t sector_start, uint64_t at)
{
    switch (r->fate) {
    case LOST:
    case ONLY_LENGTH:
    case FATES:
        return false;
    case KEPT:
        return true;
    case PREFIX:
        return at < r->cut;
    case SECTORS:
        return hash64_seeded(bytes_of(&sector_start, sizeof(sector_start)), r->seed) & 1;
    }
    return false;
}

static uint64_t length_after(const struct inode *i, const struct remains *r)
{
    if (!i->length_dirty || r->fate == LOST)
        return i->durable.len;
    if (r->fate != PREFIX || r->cut >= i->dirty_to)
        return i->data.len;
    return r->seed & 1 ? i->data.len : MAX(MIN(i->durable.len, i->data.len), MIN(r->cut, i->data.len));
}

static void inode_crash(struct inode *i, struct prng *p)
{
    struct remains r = {.fate = (enum fate)prng_below(p, FATES), .cut = prng_between(p, i->dirty_from, i->dirty_to), .seed = prng_next(p)};
    struct buf after = {0};
    uint64_t len = length_after(i, &r);
    buf_put(&after, bytes_first(buf_bytes(&i->durable), MIN(len, i->durable.len)));
    set_length(&after, len);
    uint64_t to = MIN(MIN(i->dirty_to, i->data.len), len);
    for (uint64_t at = i->dirty_from; at < to; at++) {
        if (came_through(&r, at - at % SECTOR, at))
            after.data[at] = i->data.data[at];
    }
    buf_release(&i->data);
    i->data = after;
    inode_dirty(i, 0, MAX(len, i->durable.len));
    inode_sync(i);
    i->reserved = len;
}

static void changes_crash(struct vfs_mem *d, struct prng *p)
{
    bool ordered = prng_chance(p, 1, 2);
    size_t first = prng_between(p, 0, d->n_changes);
    for (size_t i = 0; i < d->n_changes; i++) {
        if (ordered ? i < first : prng_chance(p, 1, 2))
            change_apply(&d->changes[i], &d->durable);
        change_release(&d->changes[i]);
    }
    d->n_changes = 0;
}

static void drop_orphans(struct map *m)
{
    for (size_t i = 0; i < m->n;) { /* parents sort before their children */
        if (parent_exists(m, m->entries[i].path))
            i++;
        else
            map_remove_at(m, i);
    }
}

void vfs_mem_process_ended(struct vfs *v)
{
    struct vfs_mem *d = mem(v);
    while (d->n_locks)
        mem_free(d->locks[--d->n_locks]);
    d->halting = false;
}

void vfs_mem_crash(struct vfs *v, struct prng *p)
{
    struct vfs_mem *d = mem(v);
    vfs_mem_process_ended(v);
    memset(d->faults, 0, sizeof(d->faults));
    d->epoch++;
    changes_crash(d, p);
    drop_orphans(&d->durable);
    for (size_t i = 0; i < d->durable.n; i++) {
        if (!d->durable.entries[i].inode->directory)
            inode_crash(d->durable.entries[i].inode, p);
    }
    map_copy(&d->now, &d->durable);
}

/* The rest of the handle */

struct vfs *vfs_mem_new(void)
{
    struct vfs_mem *d = mem_zalloc(sizeof(*d));
    d->vfs.ops = &mem_ops;
    return &d->vfs;
}

void vfs_mem_free(struct vfs *v)
{
    if (!v)
        return;
    struct vfs_mem *d = mem(v);
    vfs_mem_process_ended(v);
    while (d->n_changes)
        change_release(&d->changes[--d->n_changes]);
    map_release(&d->now);
    map_release(&d->durable);
    mem_free(d->changes);
    mem_free(d->locks);
    mem_free(d);
}

void vfs_mem_fail(struct vfs *v, enum vfs_mem_call call, unsigned nth, enum rgkv_err err)
{
    mem(v)->faults[call] = (struct fault){nth, err};
}

void vfs_mem_halt_after(struct vfs *v, uint64_t n)
{
    mem(v)->halting = true;
    mem(v)->halt_in = n;
}

bool vfs_mem_halted(const struct vfs *v) { return mem(v)->halting && mem(v)->halt_in == 0; }
void vfs_mem_set_capacity(struct vfs *v, uint64_t bytes) { mem(v)->capacity = bytes; }
void vfs_mem_preallocate_grows(struct vfs *v, bool grows) { mem(v)->grows = grows; }
uint64_t vfs_mem_syncs(const struct vfs *v) { return mem(v)->syncs; }

bool vfs_mem_corrupt(struct vfs *v, const char *path, uint64_t offset, unsigned bit)
{
    struct inode *i = map_get(&mem(v)->now, path);
    if (!i || offset >= i->data.len)
        return false;
    i->data.data[offset] ^= (uint8_t)(1u << bit);
    if (offset < i->durable.len)
        i->durable.data[offset] ^= (uint8_t)(1u << bit);
    return true;
}
