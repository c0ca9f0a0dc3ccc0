#include "kv/machine.h"

static bool component_is_dots(struct bytes c)
{
    return bytes_eq(c, bytes_str(".")) || bytes_eq(c, bytes_str(".."));
}

static enum rgkv_err component_check(struct bytes c)
{
    if (c.len > KEY_COMPONENT_BYTES_MAX)
        return RGKV_NAME_TOO_LONG;
    return c.len == 0 || component_is_dots(c) ? RGKV_INVALID : RGKV_OK;
}

static struct bytes component_first(struct bytes key)
{
    const uint8_t *slash = memchr(key.data, '/', key.len);
    return bytes_first(key, slash ? (size_t)(slash - key.data) : key.len);
}

static enum rgkv_err components_check(struct bytes key)
{
    for (;;) {
        struct bytes c = component_first(key);
        enum rgkv_err err = component_check(c);
        if (err || c.len == key.len)
            return err;
        key = bytes_from(key, c.len + 1);
    }
}

enum rgkv_err kv_key_check(struct bytes key)
{
    if (key.len == 0)
        return RGKV_INVALID;
    if (key.len > KEY_BYTES_MAX)
        return RGKV_NAME_TOO_LONG;
    if (memchr(key.data, 0, key.len) || bytes_eq(component_first(key), bytes_str(".ctrl")))
        return RGKV_INVALID;
    return components_check(key);
}

uint32_t kv_key_shard(struct bytes key, uint32_t nshards)
{
    ASSERT(key.len > 0);
    return (uint32_t)(hash64(component_first(key)) % nshards);
}

struct bytes key_parent(struct bytes key)
{
    const uint8_t *slash = memrchr(key.data, '/', key.len);
    return bytes_first(key, slash ? (size_t)(slash - key.data) : 0);
}

bool key_below(struct bytes key, struct bytes dir)
{
    return key.len > dir.len && key.data[dir.len] == '/' && bytes_starts(key, dir);
}
