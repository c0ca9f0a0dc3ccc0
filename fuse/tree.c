#include "fuse/tree.h"

/* From the leaf up: the length is known only at the top, so fill from the end and move once. */
static bool put_front(struct key *k, size_t *at, const char *name)
{
    size_t len = strlen(name);
    bool last = *at == KEY_BYTES_MAX;
    if (len + (last ? 0 : 1) > *at)
        return false;
    if (!last)
        k->text[--*at] = '/';
    *at -= len;
    memcpy(k->text + *at, name, len);
    return true;
}

static enum rgkv_err fill(const struct inode *n, struct key *k, size_t *at)
{
    for (; n->parent; n = n->parent)
        if (!put_front(k, at, inode_name(n)))
            return RGKV_NAME_TOO_LONG;
    if (n->id != INODE_ROOT)
        return RGKV_STALE;
    return inode_is_top(n) || put_front(k, at, inode_name(n)) ? RGKV_OK : RGKV_NAME_TOO_LONG;
}

static void settle(struct key *k, size_t at)
{
    k->len = KEY_BYTES_MAX - at;
    memmove(k->text, k->text + at, k->len);
    k->text[k->len] = '\0';
}

enum rgkv_err tree_key(const struct inode *n, struct key *ret_k)
{
    size_t at = KEY_BYTES_MAX;
    enum rgkv_err err = fill(n, ret_k, &at);
    if (err)
        at = KEY_BYTES_MAX;
    settle(ret_k, at);
    return err;
}

enum rgkv_err tree_child_key(const struct inode *dir, const char *name, struct key *ret_k)
{
    size_t at = KEY_BYTES_MAX;
    enum rgkv_err err = strlen(name) > KEY_COMPONENT_BYTES_MAX || !put_front(ret_k, &at, name) ? RGKV_NAME_TOO_LONG : RGKV_OK;
    if (!err)
        err = fill(dir, ret_k, &at);
    if (err)
        at = KEY_BYTES_MAX;
    settle(ret_k, at);
    return err ? err : kv_key_check(key_bytes_of(ret_k));
}

bool tree_is_ctrl(const struct inode *dir, const char *name)
{
    return dir->id == INODE_ROOT && !strcmp(name, ".ctrl");
}
