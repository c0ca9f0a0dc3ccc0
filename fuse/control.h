/* The control tree's side of every operation: what the file system's operations hand over when control_is(node).
 *
 *   control_tree.c   the table of files            control.c        names, attributes, listings
 *   control_file.c   open, read, write, release    control_text.c   texts that this mount knows by itself
 *   control_write.c  what is written, understood    control_metrics.c  this mount's part of metrics */
#ifndef RGKV_FUSE_CONTROL_H
#define RGKV_FUSE_CONTROL_H

#include "fuse/call.h"
#include "fuse/control_tree.h"

/* control.c */
void control_lookup(fuse_req_t req, fuse_ino_t parent, const char *name); /* parent: in the tree, or the root for `.ctrl` itself */
void control_getattr(fuse_req_t req, fuse_ino_t ino);
void control_setattr(fuse_req_t req, fuse_ino_t ino, const struct stat *attr, int to_set);
void control_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void control_readdir(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi);
void control_releasedir(struct fuse_file_info *fi);

/* control_file.c */
void control_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void control_read(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi);
void control_write(fuse_req_t req, fuse_ino_t ino, struct bytes text, struct fuse_file_info *fi);
void control_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph);
void control_release(struct fuse_file_info *fi);
void control_release_all(struct mount *m); /* at the end: the kernel releases no more; calls were ended before */

/* control_text.c */
struct client_request control_question(uint64_t id); /* whose answer is the text of a file that is neither local nor only written */
/* False if the file is not local. */
bool control_local_text(const struct mount *m, enum control_kind kind, struct buf *out);

/* control_metrics.c: this mount's own. `reached`: the cluster's part follows */
void control_print_metrics(const struct mount *m, bool reached, struct buf *out);

/* control_write.c: what a text means. The command's arrays live in `w`. */
struct control_written {
    struct ctrl_command command;   /* join, leave, move, members, leader */
    struct ctrl_join_group *groups; /* owned */
    uint64_t gids[GROUPS_MAX];
    int64_t query;
};
MUST_USE enum rgkv_err control_understand(uint64_t id, struct bytes text, struct control_written *ret_w, struct buf *why);
void control_written_release(struct control_written *w);
/* Writes that this mount obeys by itself: error, mount/abort. */
MUST_USE enum rgkv_err control_obey(struct mount *m, enum control_kind kind, struct bytes text, struct buf *why);

#endif
