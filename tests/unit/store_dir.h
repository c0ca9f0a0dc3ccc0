/* A directory on the real disk for one test program: below the working directory (the build's), removed at the end. */
#ifndef RGKV_TESTS_STORE_DIR_H
#define RGKV_TESTS_STORE_DIR_H

#include <stdio.h>
#include <stdlib.h>

#include "store/vfs.h"

static char store_dir[64];

static inline int store_dir_make(void **state)
{
    snprintf(store_dir, sizeof(store_dir), "store-test-XXXXXX");
    return mkdtemp(store_dir) ? 0 : -1;
}

static inline int store_dir_remove(void **state)
{
    struct vfs *v = vfs_posix_new();
    enum rgkv_err err = v->ops->remove_tree(v, store_dir);
    vfs_posix_free(v);
    return err ? -1 : 0;
}

/* "<dir>/<name>" in one of a few rotating buffers. */
static inline const char *in_store_dir(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", store_dir, name);
    return path;
}

#endif
