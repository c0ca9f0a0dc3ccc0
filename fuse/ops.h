/* The operations of the file system, one adapter each: translate, ask, map the error, reply once.
 *
 *   ops_name.c   what happens to names: lookup, mkdir, unlink, rename, symlink …
 *   ops_attr.c   what is asked about nodes: getattr, access, statfs
 *   ops_xattr.c  extended attributes
 *   ops_file.c   open, create, flush, fsync, release
 *   ops_io.c     read, write
 *   ops_dir.c    directories (dirhandle.h)
 *
 * Every operation of the kernel is defined: libfuse would answer ENOSYS for a missing one, which the kernel remembers for ever. (Locks
 * are left to the kernel, which then never asks.) */
#ifndef RGKV_FUSE_OPS_H
#define RGKV_FUSE_OPS_H

#include "fuse/call.h"

extern const struct fuse_lowlevel_ops ops_table;

static inline struct mount *mount_of(fuse_req_t req) { return fuse_req_userdata(req); }
/* The node, or an ESTALE reply and NULL. */
struct inode *ops_node(fuse_req_t req, fuse_ino_t ino);
/* Begins a call on a name in a directory; NULL: it was answered (no such directory, a forbidden name). The node of the call is the directory. */
void *ops_begin_name(fuse_req_t req, fuse_ino_t parent, const char *name, const char *op, size_t bytes, struct key *ret_k);
/* Begins a call on a node; NULL: it was answered. The key is "" for a node without a path: see inode_attached. */
void *ops_begin_node(fuse_req_t req, fuse_ino_t ino, const char *op, size_t bytes, struct key *ret_k);
/* How a finished call without data is answered. */
void ops_done_plain(struct call *c, const struct client_effect *e);

/* Answers with the attributes of the call's node, asked for afresh. */
void ops_reply_getattr(struct call *c);

/* ops_name.c */
void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void fs_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void fs_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void fs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void fs_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void fs_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void fs_readlink(fuse_req_t req, fuse_ino_t ino);
/* ops_remove.c */
void fs_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent, const char *newname, unsigned flags);
/* ops_attr.c */
void fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_access(fuse_req_t req, fuse_ino_t ino, int mask);
void fs_statfs(fuse_req_t req, fuse_ino_t ino);
/* ops_xattr.c */
void fs_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
void fs_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void fs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void fs_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
/* ops_attr.c */
void fs_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);
/* May `who` do this (R_OK | W_OK | X_OK) to a file of these attributes? What default_permissions would say. */
bool attr_permits(const struct kv_attr *a, const struct fuse_ctx *who, int mask);
/* ops_setattr.c */
void fs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi);
/* ops_file.c */
void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void fs_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void fs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* ops_io.c */
void fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void fs_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi);
/* ops_dir.c */
void fs_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void fs_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

#endif
