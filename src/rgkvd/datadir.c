#include "rgkvd/datadir.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/server.h"

#define PATH_BYTES 4096u

static void path_of(char path[static PATH_BYTES], const char *dir, const char *name)
{
    int len = snprintf(path, PATH_BYTES, "%s/%s", dir, name);
    ASSERT(len > 0 && (unsigned)len < PATH_BYTES);
}

static enum rgkv_err explain(struct vfs *v, enum rgkv_err err, struct buf *why)
{
    if (err && why->len == 0)
        buf_printf(why, "%s", v->ops->error(v));
    return err;
}

/* Somebody else's directory: whatever is written there, its owner could change. */
static enum rgkv_err check_owner(const char *dir, struct buf *why)
{
    struct stat st;
    if (geteuid() == 0 || stat(dir, &st) != 0 || st.st_uid == geteuid())
        return RGKV_OK;
    buf_printf(why, "%s belongs to another user (%u)", dir, (unsigned)st.st_uid);
    return RGKV_CONFLICT;
}

static enum rgkv_err make_and_lock(struct vfs *v, const char *dir, struct buf *why)
{
    char path[PATH_BYTES];
    path_of(path, dir, "lock");
    enum rgkv_err err = v->ops->mkdir(v, dir);
    if (!err)
        err = vfs_sync_parent(v, dir);
    if (!err && (err = check_owner(dir, why)))
        return err;
    if (!err)
        err = v->ops->lock(v, path);
    return explain(v, err, why);
}

/* What a daemon may have left that died before its first manifest. */
static bool harmless(const char *name)
{
    static const char *const names[] = {"lock", "manifest.tmp", "replicas", "lost+found"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static enum rgkv_err check_names(struct vfs *v, const char *dir, bool (*allowed)(const char *name), const char *sentence, struct buf *why)
{
    struct buf names = {0};
    enum rgkv_err err = v->ops->list(v, dir, &names);
    for (size_t at = 0; !err && at < names.len; at += strlen((const char *)names.data + at) + 1) {
        const char *name = (const char *)names.data + at;
        if (allowed(name))
            continue;
        buf_printf(why, "%s has no manifest but %s (%s)", dir, sentence, name);
        err = RGKV_CONFLICT;
    }
    buf_release(&names);
    return err;
}

static bool nothing(const char *name) { return false; }

static enum rgkv_err check_blank(struct vfs *v, const char *dir, struct buf *why)
{
    char path[PATH_BYTES];
    path_of(path, dir, "replicas");
    enum rgkv_err err = check_names(v, dir, harmless, "other files: give a directory of its own", why);
    if (err)
        return explain(v, err, why);
    err = check_names(v, path, nothing, "replicas: restore it from where they were, or remove all", why);
    return err == RGKV_NOT_FOUND ? RGKV_OK : explain(v, err, why);
}

static enum rgkv_err load(struct vfs *v, const char *dir, struct manifest *ret_m, struct buf *why)
{
    enum rgkv_err err = server_manifest_load(v, dir, ret_m, why);
    if (err != RGKV_NOT_FOUND)
        return err;
    buf_clear(why);
    *ret_m = (struct manifest){0};
    return check_blank(v, dir, why);
}

enum rgkv_err datadir_open(struct vfs *v, const char *dir, struct manifest *ret_m, struct buf *why)
{
    enum rgkv_err err = make_and_lock(v, dir, why);
    return err ? err : load(v, dir, ret_m, why);
}
