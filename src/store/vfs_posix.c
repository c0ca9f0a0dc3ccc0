/* The real disk. Signals interrupt nothing (EINTR is retried), short writes go on, and a failed fsync is reported as
 * it is: whoever asked must not ask again (the kernel may have marked the pages clean). */
#include "store/vfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define WRITE_BYTES_MAX (1u << 30) /* of one system call; Linux itself stops at 2 GiB */

struct vfs_posix {
    struct vfs vfs;
    int *locks; /* descriptors that hold a lock until the process ends */
    size_t n_locks;
};

struct vfs_file {
    int fd;
    uint64_t size;
    char *path;
};

/* Per thread, for several pool threads fail at once and each wants its own sentence. */
static _Thread_local char last_error[512];

static enum rgkv_err failed(const char *what, const char *path)
{
    int number = errno;
    snprintf(last_error, sizeof(last_error), "cannot %s %s: %s", what, path, strerror(number));
    switch (number) {
    case ENOENT:
        return RGKV_NOT_FOUND;
    case EEXIST:
        return RGKV_EXISTS;
    case ENOSPC:
    case EDQUOT:
        return RGKV_NO_SPACE;
    default:
        return RGKV_IO;
    }
}

static const char *posix_error(struct vfs *v) { return last_error; }

static int open_again(const char *path, int flags)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, 0600);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static enum rgkv_err posix_open(struct vfs *v, const char *path, bool create, struct vfs_file **ret_f)
{
    int fd = open_again(path, O_RDWR | (create ? O_CREAT | O_EXCL : 0));
    if (fd < 0)
        return failed(create ? "create" : "open", path);
    struct stat st;
    if (fstat(fd, &st) != 0) {
        enum rgkv_err err = failed("stat", path);
        close(fd);
        return err;
    }
    struct vfs_file *f = mem_alloc(sizeof(*f));
    *f = (struct vfs_file){.fd = fd, .size = (uint64_t)st.st_size, .path = mem_strdup(path)};
    *ret_f = f;
    return RGKV_OK;
}

static void posix_close(struct vfs_file *f)
{
    if (!f)
        return;
    close(f->fd);
    mem_free(f->path);
    mem_free(f);
}

static enum rgkv_err posix_read(struct vfs_file *f, uint64_t offset, size_t len, struct buf *out)
{
    size_t before = out->len, got = 0;
    uint8_t *to = buf_grow(out, len);
    while (got < len) {
        ssize_t n = pread(f->fd, to + got, MIN(len - got, WRITE_BYTES_MAX), (off_t)(offset + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            out->len = before;
            return failed("read", f->path);
        }
        if (n == 0)
            break;
        got += (size_t)n;
    }
    out->len = before + got;
    return RGKV_OK;
}

static enum rgkv_err posix_write_at(struct vfs_file *f, uint64_t offset, struct bytes data)
{
    size_t done = 0;
    while (done < data.len) {
        ssize_t n = pwrite(f->fd, data.data + done, MIN(data.len - done, WRITE_BYTES_MAX), (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed("write to", f->path);
        done += (size_t)n;
        f->size = MAX(f->size, offset + done);
    }
    return RGKV_OK;
}

static enum rgkv_err posix_append(struct vfs_file *f, struct bytes data) { return posix_write_at(f, f->size, data); }

static enum rgkv_err posix_truncate(struct vfs_file *f, uint64_t len)
{
    int rc;
    do
        rc = ftruncate(f->fd, (off_t)len);
    while (rc != 0 && errno == EINTR);
    if (rc != 0)
        return failed("truncate", f->path);
    f->size = len;
    return RGKV_OK;
}

/* No retry on EINTR either: fdatasync has no such error on Linux, and after any other the pages may be clean. */
static enum rgkv_err posix_sync(struct vfs_file *f)
{
    return fdatasync(f->fd) == 0 ? RGKV_OK : failed("sync", f->path);
}

static enum rgkv_err posix_preallocate(struct vfs_file *f, uint64_t len)
{
    if (len <= f->size)
        return RGKV_OK;
    int rc;
    do
        rc = fallocate(f->fd, 0, 0, (off_t)len);
    while (rc != 0 && errno == EINTR);
    if (rc != 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
        return posix_truncate(f, len);
    if (rc != 0) {
        enum rgkv_err err = failed("reserve space for", f->path);
        /* what was allocated until the disk was full is given back */
        return ftruncate(f->fd, (off_t)f->size) == 0 ? err : failed("truncate", f->path);
    }
    f->size = len;
    return RGKV_OK;
}

static uint64_t posix_size(struct vfs_file *f) { return f->size; }

static enum rgkv_err posix_rename(struct vfs *v, const char *from, const char *to)
{
    return rename(from, to) == 0 ? RGKV_OK : failed("rename", from);
}

static enum rgkv_err posix_unlink(struct vfs *v, const char *path)
{
    return unlink(path) == 0 ? RGKV_OK : failed("remove", path);
}

static enum rgkv_err posix_mkdir(struct vfs *v, const char *path)
{
    if (mkdir(path, 0700) == 0)
        return RGKV_OK;
    struct stat st;
    if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return RGKV_OK;
    return failed("make the directory", path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

static enum rgkv_err posix_remove_tree(struct vfs *v, const char *path)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT)
        return RGKV_OK;
    return failed("remove", path);
}

static enum rgkv_err posix_sync_dir(struct vfs *v, const char *path)
{
    int fd = open_again(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return failed("open the directory", path);
    enum rgkv_err err = fsync(fd) == 0 ? RGKV_OK : failed("sync the directory", path);
    close(fd);
    return err;
}

static int real_name(const struct dirent *e)
{
    return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

/* Not alphasort: that follows the locale. */
static int by_bytes(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static enum rgkv_err posix_list(struct vfs *v, const char *path, struct buf *out)
{
    struct dirent **names;
    int n = scandir(path, &names, real_name, by_bytes);
    if (n < 0)
        return failed("list", path);
    for (int i = 0; i < n; i++) {
        buf_put(out, bytes_of(names[i]->d_name, strlen(names[i]->d_name) + 1));
        free(names[i]);
    }
    free(names);
    return RGKV_OK;
}

static bool lock_whole(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static enum rgkv_err posix_lock(struct vfs *v, const char *path)
{
    struct vfs_posix *p = (struct vfs_posix *)v;
    int fd = open_again(path, O_RDWR | O_CREAT);
    if (fd < 0)
        return failed("open", path);
    if (!lock_whole(fd)) {
        bool held = errno == EAGAIN || errno == EACCES;
        enum rgkv_err err = failed("lock", path);
        if (held)
            snprintf(last_error, sizeof(last_error), "%s is locked: another process uses this directory", path);
        close(fd);
        return held ? RGKV_CONFLICT : err;
    }
    p->locks = mem_realloc(p->locks, (p->n_locks + 1) * sizeof(*p->locks));
    p->locks[p->n_locks++] = fd;
    return RGKV_OK;
}

static enum rgkv_err posix_free_space(struct vfs *v, const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    struct statvfs st;
    if (statvfs(path, &st) != 0)
        return failed("ask for the free space of", path);
    *ret_free = (uint64_t)st.f_bavail * st.f_frsize;
    *ret_total = (uint64_t)st.f_blocks * st.f_frsize;
    return RGKV_OK;
}

static const struct vfs_ops posix_ops = {
    .open = posix_open,
    .close = posix_close,
    .read = posix_read,
    .append = posix_append,
    .write_at = posix_write_at,
    .truncate = posix_truncate,
    .sync = posix_sync,
    .preallocate = posix_preallocate,
    .size = posix_size,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .mkdir = posix_mkdir,
    .remove_tree = posix_remove_tree,
    .sync_dir = posix_sync_dir,
    .list = posix_list,
    .lock = posix_lock,
    .free_space = posix_free_space,
    .error = posix_error,
};

struct vfs *vfs_posix_new(void)
{
    struct vfs_posix *p = mem_zalloc(sizeof(*p));
    p->vfs.ops = &posix_ops;
    return &p->vfs;
}

void vfs_posix_free(struct vfs *v)
{
    struct vfs_posix *p = (struct vfs_posix *)v;
    if (!p)
        return;
    for (size_t i = 0; i < p->n_locks; i++)
        close(p->locks[i]);
    mem_free(p->locks);
    mem_free(p);
}
