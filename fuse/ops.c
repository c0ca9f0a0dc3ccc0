#include "fuse/ops.h"

#include <poll.h>

#include "fuse/control.h"

struct inode *ops_node(fuse_req_t req, fuse_ino_t ino)
{
    struct inode *n = inode_find(&mount_of(req)->inodes, ino);
    if (!n)
        fuse_reply_err(req, ESTALE);
    return n;
}

/* A name that cannot be a key is refused here as the store would; a `.ctrl` at the root is never the store's. */
void *ops_begin_name(fuse_req_t req, fuse_ino_t parent, const char *name, const char *op, size_t bytes, struct key *ret_k)
{
    if (control_is(parent)) {
        fuse_reply_err(req, EPERM);
        return NULL;
    }
    struct inode *dir = ops_node(req, parent);
    if (!dir)
        return NULL;
    enum rgkv_err err = tree_is_ctrl(dir, name) ? RGKV_NOT_PERMITTED : tree_child_key(dir, name, ret_k);
    if (err) {
        fuse_reply_err(req, err == RGKV_STALE ? ENOENT : rgkv_err_errno(err));
        return NULL;
    }
    struct call *c = call_begin(mount_of(req), req, op, bytes);
    call_path(c, key_bytes_of(ret_k));
    call_node(c, dir);
    return c;
}

void *ops_begin_node(fuse_req_t req, fuse_ino_t ino, const char *op, size_t bytes, struct key *ret_k)
{
    struct inode *n = ops_node(req, ino);
    if (!n)
        return NULL;
    enum rgkv_err err = tree_key(n, ret_k);
    if (err == RGKV_NAME_TOO_LONG) {
        fuse_reply_err(req, ENAMETOOLONG);
        return NULL;
    }
    struct call *c = call_begin(mount_of(req), req, op, bytes);
    call_node(c, n);
    return c;
}

void ops_done_plain(struct call *c, const struct client_effect *e) { call_reply_err(c, e->err, e->why); }

static void fs_init(void *userdata, struct fuse_conn_info *conn)
{
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_ASYNC_DIO);
    conn->want |= conn->capable & (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS);
    conn->max_write = DATA_BYTES_MAX;
    conn->max_background = 4096;
    conn->congestion_threshold = 4096;
    conn->time_gran = 1;
}

static void fs_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length, struct fuse_file_info *fi)
{
    fuse_reply_err(req, EOPNOTSUPP);
}

static void fs_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t off_in, struct fuse_file_info *fi_in, fuse_ino_t out, off_t off_out,
                               struct fuse_file_info *fi_out, size_t len, int flags)
{
    fuse_reply_err(req, EOPNOTSUPP); /* the kernel copies through read and write */
}

static void fs_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi, unsigned flags, const void *in,
                     size_t in_bytes, size_t out_bytes)
{
    fuse_reply_err(req, ENOTTY);
}

static void fs_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
    if (control_is(ino)) {
        control_poll(req, ino, fi, ph);
        return;
    }
    if (ph)
        fuse_pollhandle_destroy(ph);
    fuse_reply_poll(req, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
}

static void fs_bmap(fuse_req_t req, fuse_ino_t ino, size_t blocksize, uint64_t index) { fuse_reply_err(req, EINVAL); }

const struct fuse_lowlevel_ops ops_table = {
    .init = fs_init,
    .lookup = fs_lookup,
    .forget = fs_forget,
    .forget_multi = fs_forget_multi,
    .getattr = fs_getattr,
    .setattr = fs_setattr,
    .readlink = fs_readlink,
    .mknod = fs_mknod,
    .mkdir = fs_mkdir,
    .unlink = fs_unlink,
    .rmdir = fs_rmdir,
    .symlink = fs_symlink,
    .rename = fs_rename,
    .link = fs_link,
    .open = fs_open,
    .read = fs_read,
    .write = fs_write,
    .flush = fs_flush,
    .release = fs_release,
    .fsync = fs_fsync,
    .opendir = fs_opendir,
    .readdir = fs_readdir, /* readdirplus would be of no use: with timeouts of 0 the kernel asks again for every entry */
    .releasedir = fs_releasedir,
    .fsyncdir = fs_fsyncdir,
    .statfs = fs_statfs,
    .setxattr = fs_setxattr,
    .getxattr = fs_getxattr,
    .listxattr = fs_listxattr,
    .removexattr = fs_removexattr,
    .access = fs_access,
    .create = fs_create,
    .bmap = fs_bmap,
    .ioctl = fs_ioctl,
    .poll = fs_poll,
    .fallocate = fs_fallocate,
    .copy_file_range = fs_copy_file_range,
    .lseek = fs_lseek,
};
