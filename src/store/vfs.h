/* The few file operations that durability needs, as a table: store/vfs_posix.c is the real disk, the simulator has
 * one in memory whose crashes forget what was not synced and tear the last write.
 *
 * All calls block. Paths are absolute or relative to the process; a `struct vfs_file` is open for reading and
 * writing at its end. Errors: NOT_FOUND, EXISTS, NO_SPACE, IO (with `vfs_error` text for a person), CONFLICT (lock held). */
#ifndef RGKV_STORE_VFS_H
#define RGKV_STORE_VFS_H

#include "base/bytes.h"

struct vfs;
struct vfs_file;

struct vfs_ops {
    enum rgkv_err (*open)(struct vfs *v, const char *path, bool create, struct vfs_file **ret_f); /* create: EXISTS if there */
    void (*close)(struct vfs_file *f);
    enum rgkv_err (*read)(struct vfs_file *f, uint64_t offset, size_t len, struct buf *out); /* appends what is there: may be short at the end */
    enum rgkv_err (*append)(struct vfs_file *f, struct bytes data);   /* all or an error; after an error the tail is undefined */
    enum rgkv_err (*write_at)(struct vfs_file *f, uint64_t offset, struct bytes data);
    enum rgkv_err (*truncate)(struct vfs_file *f, uint64_t len);
    enum rgkv_err (*sync)(struct vfs_file *f);                         /* fdatasync */
    enum rgkv_err (*preallocate)(struct vfs_file *f, uint64_t len);     /* reserves space, size may grow with zeros */
    uint64_t (*size)(struct vfs_file *f);
    enum rgkv_err (*rename)(struct vfs *v, const char *from, const char *to);
    enum rgkv_err (*unlink)(struct vfs *v, const char *path);
    enum rgkv_err (*mkdir)(struct vfs *v, const char *path);            /* EXISTS is fine: OK */
    enum rgkv_err (*remove_tree)(struct vfs *v, const char *path);      /* a directory and all below; missing is OK */
    enum rgkv_err (*sync_dir)(struct vfs *v, const char *path);
    enum rgkv_err (*list)(struct vfs *v, const char *path, struct buf *out); /* names, each with its NUL, sorted */
    enum rgkv_err (*lock)(struct vfs *v, const char *path);             /* exclusive, until the process ends; CONFLICT */
    enum rgkv_err (*free_space)(struct vfs *v, const char *path, uint64_t *ret_free, uint64_t *ret_total);
    const char *(*error)(struct vfs *v);                                /* a sentence about the last failure */
};

struct vfs {
    const struct vfs_ops *ops;
};

/* Makes the directory entry of `path` durable: sync_dir of the directory that it is in. */
MUST_USE enum rgkv_err vfs_sync_parent(struct vfs *v, const char *path);
/* Creates a file for sure: one that an earlier crash left under that name is removed first. */
MUST_USE enum rgkv_err vfs_create_over(struct vfs *v, const char *path, struct vfs_file **ret_f);

struct vfs *vfs_posix_new(void);
void vfs_posix_free(struct vfs *v);

#endif
