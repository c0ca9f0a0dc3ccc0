#include "fuse/attr.h"

#include "fuse/handle.h"
#include "fuse/orphan.h"

#define BLOCK_BYTES (1u << 20) /* what copying programs take as their unit: one Put */

struct timespec timespec_of_ns(int64_t ns)
{
    int64_t part = ns % 1000000000;
    return (struct timespec){.tv_sec = ns / 1000000000 - (part < 0), .tv_nsec = part + (part < 0 ? 1000000000 : 0)};
}

int64_t ns_of_timespec(struct timespec t)
{
    int64_t ns;
    if (__builtin_mul_overflow((int64_t)t.tv_sec, (int64_t)1000000000, &ns) || __builtin_add_overflow(ns, (int64_t)t.tv_nsec, &ns))
        return t.tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

static mode_t type_bits(enum kv_type type)
{
    switch (type) {
    case KV_FILE: return S_IFREG;
    case KV_DIR: return S_IFDIR;
    case KV_LINK: return S_IFLNK;
    }
    return S_IFREG;
}

void attr_stat(const struct kv_attr *a, const struct inode *n, struct stat *ret_st)
{
    *ret_st = (struct stat){
        .st_ino = n ? n->st_ino : a->ino,
        .st_mode = type_bits(a->type) | (a->mode & 07777),
        .st_nlink = 1, /* of directories too: "unknown", so that no program counts subdirectories by it */
        .st_uid = a->uid,
        .st_gid = a->gid,
        .st_size = (off_t)a->size,
        .st_blksize = BLOCK_BYTES,
        .st_blocks = (blkcnt_t)((a->size + 511) / 512),
        .st_atim = timespec_of_ns(a->atime_ns),
        .st_mtim = timespec_of_ns(a->mtime_ns),
        .st_ctim = timespec_of_ns(a->ctime_ns),
    };
}

bool attr_whole(const struct kv_attr *a) { return a->type != 0 && (a->mode || a->ctime_ns); }

void attr_seen(struct inode *n, const struct kv_attr *a)
{
    if (n->ino && a->ino && a->ino != n->ino)
        return; /* of a file that took the name elsewhere */
    if (attr_whole(a)) {
        n->last = *a;
    } else if (a->version) {
        n->last.version = a->version;
        n->last.size = a->size;
    }
    if (!n->ino)
        n->ino = a->ino;
}

void attr_changed(struct inode *n, const struct kv_attr *a)
{
    n->changes++;
    if (a)
        attr_seen(n, a);
}

static const struct handle *creator_of(const struct inode *n)
{
    const struct handle *h;
    for (h = n->handles; h; h = h->node_next)
        if (h->created && !h->failed)
            return h;
    return NULL;
}

static const struct handle *writer_of(const struct inode *n, int tid)
{
    const struct handle *h;
    for (h = n->handles; h; h = h->node_next)
        if (handle_staged(h) && !h->failed && handle_written_by(h, tid))
            return h;
    return NULL;
}

static struct kv_attr created_attr(const struct handle *h)
{
    return (struct kv_attr){
        .type = KV_FILE, .mode = h->mode, .uid = h->uid, .gid = h->gid, .size = handle_size(h, 0),
        .atime_ns = h->staged_ns, .mtime_ns = h->staged_ns, .ctime_ns = h->staged_ns,
    };
}

bool attr_seen_by(struct inode *n, const struct kv_attr *a, int tid, struct stat *ret_st)
{
    const struct handle *h = a ? writer_of(n, tid) : creator_of(n);
    if (!a && !h)
        return false;
    struct kv_attr shown = a ? *a : created_attr(h);
    if (h) {
        shown.size = handle_size(h, shown.size);
        shown.mtime_ns = shown.ctime_ns = MAX(h->staged_ns, shown.mtime_ns);
    }
    attr_stat(&shown, n, ret_st);
    return true;
}

static bool is_mounts_root(const struct inode *n) { return n->id == INODE_ROOT; }

bool attr_hands_down(const struct mount *m, const struct inode *dir)
{
    return (is_mounts_root(dir) ? m->root.st_mode : dir->last.mode) & S_ISGID;
}

uint32_t attr_new_gid(const struct mount *m, const struct inode *dir, const struct fuse_ctx *who)
{
    if (!attr_hands_down(m, dir))
        return who->gid;
    return is_mounts_root(dir) ? m->root.st_gid : dir->last.gid;
}

bool attr_detached(const struct inode *n, struct stat *ret_st)
{
    if (!n->last.type)
        return false;
    struct kv_attr shown = n->last;
    if (n->orphan)
        shown.size = orphan_size(n);
    attr_stat(&shown, n, ret_st);
    ret_st->st_nlink = 0;
    return true;
}
