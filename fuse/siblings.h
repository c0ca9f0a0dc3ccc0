/* All handles of a node: what is staged on one concerns those who ask about the file otherwise. */
#ifndef RGKV_FUSE_SIBLINGS_H
#define RGKV_FUSE_SIBLINGS_H

#include "fuse/handle.h"

/* handle_await for every handle of a node that has something on its way or has not created its file yet. Failures are the handles' own
 * business and not told. */
void handles_settle(struct inode *n, struct call *c, handle_then *then);
bool handles_unsettled(const struct inode *n);
/* The number of the file, if it is open here: who changes what it has open means that file, and none that took its name elsewhere. Else 0. */
uint64_t handles_ino(const struct inode *n);
/* Values that went ahead in pieces belong to the shard of the name they had: before it goes, they are committed. One of the node's
 * handles is; ask again. */
bool handles_spilled(const struct inode *n);
void handles_unspill(struct inode *n, struct call *c, handle_then *then);

/* Who asks about a file on this mount waits until what was there to see before is committed (handle_await; then ask again):
 *
 *     a closed handle    the kernel does not wait for releases, so `: > f; stat f` would race with the Put of the empty value
 *     a shared one       of another process that may read what it writes, in place: two that work on one file (a database) agree by locks
 *                        or by a shared map, not by close. And pages of a map behind the size that is told would be cut off
 *
 * NULL: none is left. */
struct handle *handle_to_await(const struct inode *n, const struct call *c);
/* For a read through `self`: another handle that shares its file. */
struct handle *handle_shared(const struct handle *self, const struct call *c);
/* For an open, and for a truncation by path: that, or one whose file is not in the store yet, or what the caller itself (the thread) staged. */
struct handle *handle_unpublished(const struct inode *n, const struct call *c);
/* For a listing of that directory: a closed handle of a file there, or one that has made its file and written nothing yet. */
struct handle *handle_unlisted(const struct mount *m, const struct inode *dir, const struct call *c);
/* A value that another process makes and has not closed: nobody sees a part of it, and its Put sets the times. */
bool handle_is_private(const struct handle *h, const struct call *c);
/* It and another one work on the file in place: then the order of their writes counts, and each is committed at once. */
bool handle_contends(const struct handle *h);

#endif
