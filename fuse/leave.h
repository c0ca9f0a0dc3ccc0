/* A name that may go: while a node's name (and with a directory's all names below) is removed or renamed, from handles_leave to
 * handles_stay, no commit and no Append starts there: it could reach the store behind the removal and bring the name back. */
#ifndef RGKV_FUSE_LEAVE_H
#define RGKV_FUSE_LEAVE_H

#include "fuse/handle.h"

void handles_leave(struct mount *m, struct inode *n);
/* Waits for commits and Appends that were under way before. */
void handles_flown(struct inode *n, struct call *c, handle_then *then);
bool handles_leaving(const struct inode *n);       /* its name, or that of a directory above it */
/* What was held back goes wherever the node is now: to its name, its new name, or the orphan. The caller holds a reference. */
void handles_stay(struct mount *m, struct inode *n);
/* A file below the directory whose creation is staged here; NULL: none. */
struct handle *handle_created_below(const struct mount *m, const struct inode *dir);

#endif
