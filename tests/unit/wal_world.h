/* One log on a disk in memory, and beside it the model of what it ought to hold. */
#ifndef RGKV_TESTS_WAL_WORLD_H
#define RGKV_TESTS_WAL_WORLD_H

#include "tests/unit/unit.h"

#include "store/wal_format.h"
#include "tests/sim/vfs_mem.h"
#include "tests/unit/wal_model.h"

static const struct wal_identity identity = {.cluster = 0xc1, .group = 5, .incarnation = 2, .member = 0x77};
#define DIR "log"
#define FIRST_SEGMENT DIR "/0000000000000001.wal"

struct world {
    struct vfs *vfs;
    struct wal *wal;
    struct wal_model model;
    struct wal_options options;
    struct wal_recovered recovered;
    struct buf why;
};

static inline int set_up(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    w->vfs = vfs_mem_new();
    *state = w;
    return 0;
}

static inline int tear_down(void **state)
{
    struct world *w = *state;
    wal_close(w->wal);
    wal_recovered_release(&w->recovered);
    wal_model_release(&w->model);
    buf_release(&w->why);
    vfs_mem_free(w->vfs);
    mem_free(w);
    return 0;
}

/* Closes the log and opens it again; w->why says what was wrong with it. */
static inline enum rgkv_err open_log(struct world *w)
{
    wal_close(w->wal);
    w->wal = NULL;
    wal_recovered_release(&w->recovered);
    buf_clear(&w->why);
    return wal_open(w->vfs, DIR, &identity, &w->options, &w->wal, &w->recovered, &w->why);
}

static inline void reopen(struct world *w)
{
    enum rgkv_err err = open_log(w);
    if (err)
        print_message("%.*s\n", (int)w->why.len, (const char *)w->why.data);
    assert_int_equal(err, RGKV_OK);
}

#endif
