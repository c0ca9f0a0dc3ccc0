/* Attributes: the store's and those that are only staged, as struct stat. */
#ifndef RGKV_FUSE_ATTR_H
#define RGKV_FUSE_ATTR_H

#include "fuse/mount.h"

/* n may be NULL (an entry of a listing that has no node). */
void attr_stat(const struct kv_attr *a, const struct inode *n, struct stat *ret_st);
/* Notes what was seen of the node; an answer to a retried command knows only version, size and ino. */
void attr_seen(struct inode *n, const struct kv_attr *a);
/* This mount has changed the content; `a` may be NULL (not told). */
void attr_changed(struct inode *n, const struct kv_attr *a);
bool attr_whole(const struct kv_attr *a);          /* not such a short answer */
/* What thread `tid` sees of the node: the store's attributes `a` (NULL: the store has no such key), with what is staged here on top:
 * a staged creation for everybody on this mount, a staged size for the process that writes. false: there is no such file. */
bool attr_seen_by(struct inode *n, const struct kv_attr *a, int tid, struct stat *ret_st);
/* Of a node without a path that is still open: as last seen, with no links. false: nothing is known of it. */
bool attr_detached(const struct inode *n, struct stat *ret_st);
/* What is made in a directory with the set-group-ID bit has the directory's group, and a directory there the bit. */
bool attr_hands_down(const struct mount *m, const struct inode *dir);
uint32_t attr_new_gid(const struct mount *m, const struct inode *dir, const struct fuse_ctx *who);
struct timespec timespec_of_ns(int64_t ns);
int64_t ns_of_timespec(struct timespec t);

#endif
