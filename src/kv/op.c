/* One request is executed. Whatever can refuse it is asked before anything is changed: an error leaves all as it was. */
#include "kv/machine.h"

#define MODE_SUID 04000u
#define MODE_SGID 02000u
#define MODE_GROUP_EXEC 00010u
#define LINK_MODE 0777u

struct value op_value(struct op *o, struct meta *m)
{
    return (struct value){o->k, o->q->shard, o->revision, m};
}

bool op_find(struct op *o, struct bytes key, struct meta *ret_m)
{
    struct rowkey row = row_meta(o->q->shard, key);
    if (!overlay_get(o->rows, rowkey_bytes(&row), &o->k->row))
        return false;
    if (meta_decode(buf_bytes(&o->k->row), ret_m))
        return true;
    o->rows->err = RGKV_DAMAGED;
    return false;
}

void op_store(struct op *o, struct bytes key, const struct meta *m)
{
    struct rowkey row = row_meta(o->q->shard, key);
    meta_encode(m, overlay_put(o->rows, rowkey_bytes(&row), meta_size(m)));
}

void op_remove(struct op *o, struct bytes key)
{
    struct rowkey row = row_meta(o->q->shard, key);
    overlay_delete(o->rows, rowkey_bytes(&row));
}

/* ---- parents ---- */

static bool op_type(struct op *o, struct bytes key, enum kv_type *ret_type)
{
    struct meta m;
    if (!op_find(o, key, &m))
        return false;
    *ret_type = m.attr.type;
    return true;
}

/* Its nearest ancestor that exists tells why. */
enum rgkv_err op_missing(struct op *o, struct bytes key)
{
    enum kv_type type;
    for (key = key_parent(key); key.len; key = key_parent(key))
        if (op_type(o, key, &type))
            return type == KV_DIR ? RGKV_NOT_FOUND : RGKV_NOT_DIR;
    return RGKV_NOT_FOUND;
}

enum rgkv_err op_parent_is_dir(struct op *o, struct bytes key)
{
    enum kv_type type;
    struct bytes parent = key_parent(key);
    if (parent.len == 0)
        return RGKV_OK;
    if (!op_type(o, parent, &type))
        return op_missing(o, parent);
    return type == KV_DIR ? RGKV_OK : RGKV_NOT_DIR;
}

void op_touch_parent(struct op *o, struct bytes key)
{
    struct meta m;
    struct bytes parent = key_parent(key);
    if (parent.len == 0 || !op_find(o, parent, &m))
        return;
    m.attr.mtime_ns = m.attr.ctime_ns = o->q->now_ns;
    m.attr.version = o->revision;
    op_store(o, parent, &m);
}

/* ---- what several have in common ---- */

bool op_means_another(const struct kv_request *q, const struct meta *m)
{
    return q->flags & KV_IF_INO && m->attr.ino != (q->op == KV_SETATTR ? q->of_ino : q->ino);
}

enum rgkv_err op_conditions(const struct op *o, bool found, const struct meta *m)
{
    const struct kv_request *q = o->q;
    if (found && q->flags & KV_CREATE_ONLY && q->op != KV_RENAME)
        return RGKV_EXISTS;
    if (q->flags & KV_IF_EMPTY && found && m->attr.size)
        return RGKV_VERSION;
    if (found && op_means_another(q, m))
        return RGKV_NOT_FOUND;
    if (q->flags & KV_IF_VERSION && (found ? m->attr.version : 0) != q->version)
        return RGKV_VERSION;
    return RGKV_OK;
}

static void set_attrs(const struct kv_request *q, struct kv_attr *a)
{
    if (q->set & KV_SET_MODE)
        a->mode = q->mode;
    if (q->set & KV_SET_UID)
        a->uid = q->uid;
    if (q->set & KV_SET_GID)
        a->gid = q->gid;
    if (q->set & KV_SET_ATIME)
        a->atime_ns = q->atime_ns;
    if (q->set & KV_SET_MTIME)
        a->mtime_ns = q->mtime_ns;
}

/* As the kernel does it: setgid without the group's execute bit means locking and stays. */
static uint32_t mode_without_suid(uint32_t mode)
{
    uint32_t gone = MODE_SUID | (mode & MODE_GROUP_EXEC ? MODE_SGID : 0);
    return mode & ~gone;
}

static void written(struct op *o, struct kv_attr *a)
{
    a->mtime_ns = a->ctime_ns = o->q->now_ns;
    a->version = o->revision;
    if (o->q->flags & KV_CLEAR_SUID)
        a->mode = mode_without_suid(a->mode);
    set_attrs(o->q, a);
}

static void attr_new(struct op *o, enum kv_type type, struct kv_attr *ret_a)
{
    const struct kv_request *q = o->q;
    *ret_a = (struct kv_attr){
        .type = type, .mode = q->mode, .uid = q->uid, .gid = q->gid, .version = o->revision, .base = o->revision,
        .ino = ((uint64_t)q->shard + 1) << 51 ^ o->revision,
        .atime_ns = q->now_ns, .mtime_ns = q->now_ns, .ctime_ns = q->now_ns,
    };
}

static void meta_new(struct op *o, enum kv_type type, struct meta *ret_m)
{
    ret_m->generation = o->revision;
    ret_m->high = ret_m->tail_len = 0;
    attr_new(o, type, &ret_m->attr);
    set_attrs(o->q, &ret_m->attr);
}

static void count(struct op *o, uint64_t size_before, uint64_t size_after)
{
    o->shard->bytes += size_after - size_before;
}

static void op_created(struct op *o, const struct meta *m)
{
    op_store(o, o->q->key, m);
    op_touch_parent(o, o->q->key);
    o->shard->keys++;
    count(o, 0, m->attr.size);
    o->attr = m->attr;
}

void op_drop(struct op *o, struct bytes key, struct meta *m)
{
    struct value v = op_value(o, m);
    value_keep_old(&v, key, true);
    xattrs_drop(o, m);
    op_remove(o, key);
    o->shard->keys--;
    count(o, m->attr.size, 0);
}

bool op_dir_empty(struct op *o, struct bytes key)
{
    struct rowkey from = row_children(o->q->shard, key), to = rowkey_end(from);
    struct scan s;
    scan_open(&s, o->rows, rowkey_bytes(&from), rowkey_bytes(&to));
    bool some = scan_next(&s);
    scan_close(&s);
    return !some;
}

/* ---- files ---- */

static enum rgkv_err file_only(const struct meta *m)
{
    switch (m->attr.type) {
    case KV_FILE:
        return RGKV_OK;
    case KV_DIR:
        return RGKV_IS_DIR;
    case KV_LINK:
        break;
    }
    return RGKV_NOT_PERMITTED;
}

/* The file that is to be written: OK with *ret_found and either ret_m as it is or as a new, empty file. */
static enum rgkv_err file_for_write(struct op *o, struct meta *ret_m, bool *ret_found)
{
    bool found = op_find(o, o->q->key, ret_m);
    enum rgkv_err err = op_conditions(o, found, ret_m);
    *ret_found = found;
    if (err)
        return err;
    if (found)
        return file_only(ret_m);
    if (o->q->flags & KV_MUST_EXIST || o->q->op == KV_PATCH)
        return op_missing(o, o->q->key);
    err = op_parent_is_dir(o, o->q->key);
    if (!err)
        meta_new(o, KV_FILE, ret_m);
    return err;
}

static void file_written(struct op *o, struct meta *m, uint64_t size_before)
{
    written(o, &m->attr);
    op_store(o, o->q->key, m);
    count(o, size_before, m->attr.size);
    o->attr = m->attr;
}

/* A patch's limits were checked with the request: every range and the new size end within the largest value. */
static void value_change(struct op *o, struct meta *m, bool found, const struct stage_row *staged)
{
    struct value v = op_value(o, m);
    switch (o->q->op) {
    case KV_APPEND:
        value_append(&v, o->q->data);
        break;
    case KV_PATCH:
        value_patch(&v, o->q->key, o->q);
        break;
    default:
        if (found)
            value_keep_old(&v, o->q->key, true);
        if (staged)
            staged_become(o, staged, m);
        else
            value_put(&v, o->q->data);
        break;
    }
}

static enum rgkv_err op_write(struct op *o)
{
    struct meta m;
    bool found;
    enum rgkv_err err = file_for_write(o, &m, &found);
    if (err)
        return err;
    if (o->q->op == KV_APPEND && m.attr.size + o->q->data.len > VALUE_BYTES_MAX)
        return RGKV_TOO_LARGE;
    struct stage_row staged;
    bool in_pieces = o->q->flags & KV_STAGED;
    err = in_pieces ? staged_find(o, &staged) : RGKV_OK;
    if (err)
        return err;
    uint64_t size_before = m.attr.size;
    value_change(o, &m, found, in_pieces ? &staged : NULL);
    if (found)
        file_written(o, &m, size_before);
    else
        op_created(o, &m);
    return RGKV_OK;
}

static enum rgkv_err op_setattr(struct op *o)
{
    struct meta m;
    bool found = op_find(o, o->q->key, &m);
    enum rgkv_err err = op_conditions(o, found, &m);
    if (err)
        return err;
    if (!found)
        return op_missing(o, o->q->key);
    set_attrs(o->q, &m.attr);
    m.attr.ctime_ns = o->q->now_ns;
    m.attr.version = o->revision;
    op_store(o, o->q->key, &m);
    o->attr = m.attr;
    return RGKV_OK;
}

/* ---- names come and go ---- */

static enum rgkv_err name_is_free(struct op *o)
{
    struct meta m;
    bool found = op_find(o, o->q->key, &m);
    enum rgkv_err err = op_conditions(o, found, &m);
    if (err)
        return err;
    return found ? RGKV_EXISTS : op_parent_is_dir(o, o->q->key);
}

static enum rgkv_err op_mkdir(struct op *o)
{
    enum rgkv_err err = name_is_free(o);
    if (err)
        return err;
    struct meta m;
    meta_new(o, KV_DIR, &m);
    op_created(o, &m);
    return RGKV_OK;
}

static enum rgkv_err op_symlink(struct op *o)
{
    enum rgkv_err err = name_is_free(o);
    if (err)
        return err;
    struct meta m;
    meta_new(o, KV_LINK, &m);
    m.attr.mode = LINK_MODE;
    struct value v = op_value(o, &m);
    value_put(&v, o->q->data);
    op_created(o, &m);
    return RGKV_OK;
}

static enum rgkv_err name_is_there(struct op *o, struct meta *ret_m)
{
    bool found = op_find(o, o->q->key, ret_m);
    enum rgkv_err err = op_conditions(o, found, ret_m);
    return !err && !found ? op_missing(o, o->q->key) : err;
}

static enum rgkv_err op_delete(struct op *o)
{
    struct meta m;
    enum rgkv_err err = name_is_there(o, &m);
    if (err)
        return err;
    if (m.attr.type == KV_DIR)
        return RGKV_IS_DIR;
    op_drop(o, o->q->key, &m);
    op_touch_parent(o, o->q->key);
    return RGKV_OK;
}

static enum rgkv_err op_rmdir(struct op *o)
{
    struct meta m;
    enum rgkv_err err = name_is_there(o, &m);
    if (err)
        return err;
    if (m.attr.type != KV_DIR)
        return RGKV_NOT_DIR;
    if (!op_dir_empty(o, o->q->key))
        return RGKV_NOT_EMPTY;
    op_drop(o, o->q->key, &m);
    op_touch_parent(o, o->q->key);
    return RGKV_OK;
}

enum rgkv_err op_execute(struct op *o)
{
    switch (o->q->op) {
    case KV_PUT:
    case KV_APPEND:
    case KV_PATCH:
        return op_write(o);
    case KV_DELETE:
        return op_delete(o);
    case KV_SETATTR:
        return op_setattr(o);
    case KV_MKDIR:
        return op_mkdir(o);
    case KV_RMDIR:
        return op_rmdir(o);
    case KV_SYMLINK:
        return op_symlink(o);
    case KV_RENAME:
        return op_rename(o);
    case KV_EXCHANGE:
        return op_exchange(o);
    case KV_STAGE_OPEN:
    case KV_STAGE_WRITE:
    case KV_STAGE_DROP:
        return op_stage(o);
    case KV_XATTR_SET:
    case KV_XATTR_REMOVE:
        return op_xattr(o);
    case KV_LAND:
    case KV_SETTLE:
    case KV_STAT:
    case KV_GET:
    case KV_LIST:
    case KV_TIME:
    case KV_XATTR_GET:
    case KV_XATTR_LIST:
        break;
    }
    return RGKV_INVALID;
}
