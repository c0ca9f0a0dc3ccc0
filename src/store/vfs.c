#include "store/vfs.h"

/* As dirname(3): slashes at the end name nothing. */
static void parent_of(const char *path, struct buf *ret_parent)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    const char *slash = memrchr(path, '/', len);
    if (!slash)
        buf_printf(ret_parent, ".");
    else if (slash == path)
        buf_printf(ret_parent, "/");
    else
        buf_printf(ret_parent, "%.*s", (int)(slash - path), path);
    buf_put_u8(ret_parent, 0);
}

enum rgkv_err vfs_sync_parent(struct vfs *v, const char *path)
{
    struct buf parent = {0};
    parent_of(path, &parent);
    enum rgkv_err err = v->ops->sync_dir(v, (const char *)parent.data);
    buf_release(&parent);
    return err;
}

enum rgkv_err vfs_create_over(struct vfs *v, const char *path, struct vfs_file **ret_f)
{
    enum rgkv_err err = v->ops->open(v, path, true, ret_f);
    if (err != RGKV_EXISTS)
        return err;
    err = v->ops->unlink(v, path);
    return err ? err : v->ops->open(v, path, true, ret_f);
}
