#include "kv/machine.h"

const char *kv_op_name(uint32_t op)
{
    static const char *const names[] = {
        [KV_PUT] = "put",
        [KV_APPEND] = "append",
        [KV_PATCH] = "patch",
        [KV_DELETE] = "delete",
        [KV_SETATTR] = "setattr",
        [KV_MKDIR] = "mkdir",
        [KV_RMDIR] = "rmdir",
        [KV_SYMLINK] = "symlink",
        [KV_RENAME] = "rename",
        [KV_EXCHANGE] = "exchange",
        [KV_STAGE_OPEN] = "stage_open",
        [KV_STAGE_WRITE] = "stage_write",
        [KV_STAGE_DROP] = "stage_drop",
        [KV_XATTR_SET] = "xattr_set",
        [KV_XATTR_REMOVE] = "xattr_remove",
        [KV_STAT] = "stat",
        [KV_GET] = "get",
        [KV_LIST] = "list",
        [KV_TIME] = "time",
        [KV_XATTR_GET] = "xattr_get",
        [KV_XATTR_LIST] = "xattr_list",
    };
    return op < ARRAY_LEN(names) ? names[op] : NULL;
}

static bool is_xattr(enum kv_op op) { return op == KV_XATTR_SET || op == KV_XATTR_REMOVE || op == KV_XATTR_GET || op == KV_XATTR_LIST; }

static bool may_name_ino(const struct kv_request *q)
{
    if (q->op == KV_PATCH)
        return !(q->set & KV_SET_ATIME); /* ino lies where atime_ns does */
    return q->op == KV_GET || q->op == KV_SETATTR || is_xattr(q->op);
}

static enum rgkv_err shape_check(const struct kv_request *q, uint32_t nshards)
{
    if (!kv_op_known(q->op) || q->flags & ~(uint32_t)KV_FLAGS_ALL || q->set & ~(uint32_t)KV_SET_ALL || q->mode > 07777)
        return RGKV_INVALID;
    if (q->shard >= nshards)
        return RGKV_INVALID;
    if (q->flags & (KV_STAGED | KV_IF_EMPTY) && q->op != KV_PUT)
        return RGKV_INVALID;
    if (q->flags & KV_IF_INO && !may_name_ino(q))
        return RGKV_INVALID;
    if (!kv_op_reads(q->op) && (q->seq == 0 || q->floor > q->seq))
        return RGKV_INVALID;
    return q->data.len > DATA_BYTES_MAX ? RGKV_TOO_LARGE : RGKV_OK;
}

static bool needs_no_key(const struct kv_request *q)
{
    return q->op == KV_TIME || (q->op == KV_LIST && q->key.len == 0);
}

static enum rgkv_err key_check(const struct kv_request *q, uint32_t nshards)
{
    if (needs_no_key(q))
        return RGKV_OK;
    enum rgkv_err err = kv_key_check(q->key);
    if (err)
        return err;
    return kv_key_shard(q->key, nshards) == q->shard ? RGKV_OK : RGKV_INVALID;
}

static enum rgkv_err key2_check(const struct kv_request *q, uint32_t nshards)
{
    enum rgkv_err err = kv_key_check(q->key2);
    if (err || q->op == KV_RENAME)
        return err;
    return kv_key_shard(q->key2, nshards) == q->shard ? RGKV_OK : RGKV_CROSS_SHARD;
}

static enum rgkv_err ranges_check(const struct kv_request *q)
{
    uint64_t sum = 0;
    if (q->n_ranges > PATCH_RANGES_MAX)
        return RGKV_INVALID;
    for (unsigned i = 0; i < q->n_ranges; i++) {
        if (q->ranges[i].offset > VALUE_BYTES_MAX || q->ranges[i].len > VALUE_BYTES_MAX - q->ranges[i].offset)
            return RGKV_TOO_LARGE;
        sum += q->ranges[i].len;
    }
    if (q->flags & KV_TRUNCATE && q->length > VALUE_BYTES_MAX)
        return RGKV_TOO_LARGE;
    return sum == q->data.len ? RGKV_OK : RGKV_INVALID;
}

static enum rgkv_err target_check(struct bytes target)
{
    if (target.len > SYMLINK_BYTES_MAX)
        return RGKV_NAME_TOO_LONG;
    return target.len == 0 || memchr(target.data, 0, target.len) ? RGKV_INVALID : RGKV_OK;
}

static enum rgkv_err put_check(const struct kv_request *q)
{
    struct kv_staged s;
    if (!(q->flags & KV_STAGED))
        return RGKV_OK;
    if (!kv_staged_decode(q->data, &s))
        return RGKV_INVALID;
    return s.length > VALUE_BYTES_MAX ? RGKV_TOO_LARGE : RGKV_OK;
}

/* The name of an extended attribute: as setxattr(2) takes it. */
static enum rgkv_err xattr_check(const struct kv_request *q)
{
    if (q->key2.len == 0 || memchr(q->key2.data, 0, q->key2.len))
        return RGKV_INVALID;
    return q->key2.len > KEY_COMPONENT_BYTES_MAX ? RGKV_RANGE : RGKV_OK;
}

/* Where a page of names goes on: any name, also one that is no key, but none that is too long to be in that directory. */
static enum rgkv_err after_check(struct bytes dir, struct bytes name)
{
    size_t path = dir.len && name.len ? dir.len + 1 + name.len : 0;
    return name.len > KEY_COMPONENT_BYTES_MAX || path > KEY_BYTES_MAX ? RGKV_NAME_TOO_LONG : RGKV_OK;
}

static enum rgkv_err op_check(const struct kv_request *q, uint32_t nshards)
{
    switch (q->op) {
    case KV_RENAME:
    case KV_EXCHANGE:
        return key2_check(q, nshards);
    case KV_PATCH:
    case KV_STAGE_WRITE:
        return ranges_check(q);
    case KV_PUT:
        return put_check(q);
    case KV_LAND:
        return land_check(q, nshards);
    case KV_XATTR_SET:
    case KV_XATTR_REMOVE:
    case KV_XATTR_GET:
        return xattr_check(q);
    case KV_SYMLINK:
        return target_check(q->data);
    case KV_LIST:
        return after_check(q->key, q->key2);
    case KV_APPEND:
    case KV_STAGE_OPEN:
    case KV_STAGE_DROP:
    case KV_SETTLE:
    case KV_XATTR_LIST:
    case KV_DELETE:
    case KV_SETATTR:
    case KV_MKDIR:
    case KV_RMDIR:
    case KV_STAT:
    case KV_GET:
    case KV_TIME:
        break;
    }
    return RGKV_OK;
}

enum rgkv_err kv_request_check(const struct kv_request *q, uint32_t nshards)
{
    enum rgkv_err err = shape_check(q, nshards);
    if (!err)
        err = key_check(q, nshards);
    return err ? err : op_check(q, nshards);
}
