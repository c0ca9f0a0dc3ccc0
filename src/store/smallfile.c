#include "store/smallfile.h"

#define MAGIC "RGKVSML1"
#define HEADER_BYTES 24u

static enum rgkv_err explain(struct vfs *v, enum rgkv_err err, struct buf *why)
{
    if (err && why)
        buf_printf(why, "%s", v->ops->error(v));
    return err;
}

static enum rgkv_err too_large(const char *path, struct buf *why)
{
    if (why)
        buf_printf(why, "%s would be larger than %u bytes", path, SMALL_FILE_BYTES_MAX);
    return RGKV_TOO_LARGE;
}

static void encode(struct bytes content, struct buf *out)
{
    buf_put(out, bytes_str(MAGIC));
    buf_put_le64(out, content.len);
    buf_put_le64(out, hash64_seeded(content, content.len));
    buf_put(out, content);
}

static enum rgkv_err write_synced(struct vfs *v, const char *path, struct bytes image)
{
    struct vfs_file *f;
    enum rgkv_err err = vfs_create_over(v, path, &f);
    if (err)
        return err;
    err = v->ops->append(f, image);
    if (!err)
        err = v->ops->sync(f);
    v->ops->close(f);
    return err;
}

static enum rgkv_err replace(struct vfs *v, const char *temporary, const char *path, struct bytes image, struct buf *why)
{
    enum rgkv_err err = write_synced(v, temporary, image);
    if (!err)
        err = v->ops->rename(v, temporary, path);
    if (err) {
        explain(v, err, why);
        (void)v->ops->unlink(v, temporary);
        return err;
    }
    return explain(v, vfs_sync_parent(v, path), why);
}

enum rgkv_err small_file_write(struct vfs *v, const char *path, struct bytes content, struct buf *why)
{
    if (content.len > SMALL_FILE_BYTES_MAX)
        return too_large(path, why);
    struct buf image = {0}, temporary = {0};
    encode(content, &image);
    buf_printf(&temporary, "%s.tmp", path);
    buf_put_u8(&temporary, 0);
    enum rgkv_err err = replace(v, (const char *)temporary.data, path, buf_bytes(&image), why);
    buf_release(&image);
    buf_release(&temporary);
    return err;
}

static enum rgkv_err decode(struct bytes image, struct bytes *ret_content)
{
    struct reader r = reader_of(image);
    struct bytes magic = read_bytes(&r, strlen(MAGIC));
    uint64_t len = read_le64(&r), hash = read_le64(&r);
    if (!r.ok || !bytes_eq(magic, bytes_str(MAGIC)) || len != r.rest.len || hash != hash64_seeded(r.rest, len))
        return RGKV_DAMAGED;
    *ret_content = r.rest;
    return RGKV_OK;
}

static enum rgkv_err damaged(const char *path, struct buf *why)
{
    if (why)
        buf_printf(why, "%s is damaged (its checksum does not match)", path);
    return RGKV_DAMAGED;
}

static enum rgkv_err read_image(struct vfs *v, const char *path, struct buf *image, struct buf *why)
{
    struct vfs_file *f;
    enum rgkv_err err = v->ops->open(v, path, false, &f);
    if (err)
        return explain(v, err, why);
    uint64_t size = v->ops->size(f);
    if (size > SMALL_FILE_BYTES_MAX + HEADER_BYTES)
        err = damaged(path, why);
    else
        err = explain(v, v->ops->read(f, 0, size, image), why);
    v->ops->close(f);
    return err;
}

enum rgkv_err small_file_read(struct vfs *v, const char *path, struct buf *out, struct buf *why)
{
    struct buf image = {0};
    struct bytes content;
    enum rgkv_err err = read_image(v, path, &image, why);
    if (!err && decode(buf_bytes(&image), &content))
        err = damaged(path, why);
    if (!err)
        buf_put(out, content);
    buf_release(&image);
    return err;
}
