#include "net/replica_files.h"

#include <stdio.h>

#include "node/node.h"
#include "store/smallfile.h"

static void path_of(const struct replica_files *f, char path[static REPLICA_PATH_BYTES], const char *name)
{
    int len = snprintf(path, REPLICA_PATH_BYTES, "%s/%s", f->dir, name);
    ASSERT(len > 0 && (unsigned)len < REPLICA_PATH_BYTES);
}

static void table_path(const struct replica_files *f, char path[static REPLICA_PATH_BYTES], uint64_t number)
{
    char name[32];
    snprintf(name, sizeof(name), "table.%llu", (unsigned long long)number);
    path_of(f, path, name);
}

/* Of an error of the vfs: the modules above it have written their own sentence. */
static enum rgkv_err explain(struct vfs *v, enum rgkv_err err, struct buf *why)
{
    if (err && why->len == 0)
        buf_printf(why, "%s", v->ops->error(v));
    return err;
}

/* ---- which table is the table ---- */

static enum rgkv_err number_of(struct bytes content, const char *path, uint64_t *ret_number, struct buf *why)
{
    struct reader r = reader_of(content);
    uint64_t number = read_le64(&r);
    if (!r.ok || r.rest.len || number == 0) {
        buf_printf(why, "%s is damaged (it holds no table number)", path);
        return RGKV_DAMAGED;
    }
    *ret_number = number;
    return RGKV_OK;
}

static bool is_table(const char *name) { return strncmp(name, "table.", 6) == 0; }

/* Without the pointer the table is the first one, unless that was replaced: then the pointer is lost, and what is here must not be
 * taken for the remains of a crash and removed. */
static enum rgkv_err check_never_replaced(struct replica_files *f, const char *path, struct buf *why)
{
    struct buf names = {0};
    bool first = false, other = false;
    enum rgkv_err err = explain(f->vfs, f->vfs->ops->list(f->vfs, f->dir, &names), why);
    for (size_t at = 0; !err && at < names.len; at += strlen((const char *)names.data + at) + 1) {
        const char *name = (const char *)names.data + at;
        first |= strcmp(name, "table.1") == 0;
        other |= is_table(name);
    }
    buf_release(&names);
    if (err || first || !other)
        return err;
    buf_printf(why, "%s is missing: it names the table; restore it, or have another member take this one's place: see FAILURES in rgkvd(8)", path);
    return RGKV_DAMAGED;
}

static enum rgkv_err read_number(struct replica_files *f, struct buf *why)
{
    struct buf content = {0};
    char path[REPLICA_PATH_BYTES];
    path_of(f, path, "current");
    enum rgkv_err err = small_file_read(f->vfs, path, &content, why);
    if (err == RGKV_NOT_FOUND) {
        buf_clear(why);
        f->number = 1;
        err = check_never_replaced(f, path, why);
    } else if (!err) {
        err = number_of(buf_bytes(&content), path, &f->number, why);
    }
    buf_release(&content);
    return err;
}

static enum rgkv_err write_number(struct replica_files *f, uint64_t number, struct buf *why)
{
    struct buf content = {0};
    char path[REPLICA_PATH_BYTES];
    path_of(f, path, "current");
    buf_put_le64(&content, number);
    enum rgkv_err err = small_file_write(f->vfs, path, buf_bytes(&content), why);
    buf_release(&content);
    return err;
}

/* ---- directories ---- */

static enum rgkv_err remove_durably(struct vfs *v, const char *path)
{
    enum rgkv_err err = v->ops->remove_tree(v, path);
    return err ? err : vfs_sync_parent(v, path);
}

/* Removes each entry of `dir` that `stray` says is one. */
static enum rgkv_err remove_strays(struct vfs *v, const char *dir, bool (*stray)(const char *name, const void *arg), const void *arg)
{
    struct buf names = {0};
    char path[REPLICA_PATH_BYTES];
    enum rgkv_err err = v->ops->list(v, dir, &names);
    for (size_t at = 0; !err && at < names.len;) {
        const char *name = (const char *)names.data + at;
        at += strlen(name) + 1;
        if (!stray(name, arg))
            continue;
        int len = snprintf(path, sizeof(path), "%s/%s", dir, name);
        ASSERT(len > 0 && (unsigned)len < sizeof(path));
        err = remove_durably(v, path);
    }
    buf_release(&names);
    return err;
}

/* Tables that a crash left: half received, or replaced and not removed yet. */
static bool other_table(const char *name, const void *arg)
{
    return is_table(name) && strcmp(name, arg) != 0;
}

static bool is_dead(const char *name, const void *arg)
{
    size_t len = strlen(name), end = strlen(REPLICA_DEAD);
    return len > end && strcmp(name + len - end, REPLICA_DEAD) == 0;
}

static enum rgkv_err make_dir(struct vfs *v, const char *dir)
{
    enum rgkv_err err = v->ops->mkdir(v, dir);
    return err ? err : vfs_sync_parent(v, dir);
}

enum rgkv_err replica_files_prepare(struct vfs *v, const char *dir, struct buf *why)
{
    enum rgkv_err err = make_dir(v, dir);
    return explain(v, err ? err : remove_strays(v, dir, is_dead, NULL), why);
}

/* ---- open, close ---- */

static enum rgkv_err open_table(struct replica_files *f, uint64_t number, struct table **ret_t, struct buf *why)
{
    char path[REPLICA_PATH_BYTES];
    table_path(f, path, number);
    enum rgkv_err err = table_rocks_open(path, f->shared, ret_t, why);
    return err ? err : explain(f->vfs, vfs_sync_parent(f->vfs, path), why);
}

static enum rgkv_err open_dir(struct replica_files *f, struct buf *why)
{
    char keep[32];
    enum rgkv_err err = explain(f->vfs, make_dir(f->vfs, f->dir), why);
    if (!err)
        err = read_number(f, why);
    if (err)
        return err;
    snprintf(keep, sizeof(keep), "table.%llu", (unsigned long long)f->number);
    err = f->vfs->ops->sync_dir(f->vfs, f->dir); /* who wrote the pointer may have ended before it was durable: the table before goes only then */
    return explain(f->vfs, err ? err : remove_strays(f->vfs, f->dir, other_table, keep), why);
}

enum rgkv_err replica_files_open(struct replica_files *f, struct wal_recovered *ret_recovered, struct buf *why)
{
    char path[REPLICA_PATH_BYTES];
    enum rgkv_err err = open_dir(f, why);
    if (err)
        return err;
    path_of(f, path, "wal");
    struct wal_recovered recovered = {0};
    /* The table first: of a long log only what it lacks is wanted in memory. Beside a log that is missing nothing is made. */
    if (wal_exists(f->vfs, path))
        err = open_table(f, f->number, &f->table, why);
    struct wal_options options = {.segment_bytes = f->segment_bytes, .must_exist = !f->blank,
                                  .wanted_after = f->table ? node_applied_in(f->table) : 0};
    if (!err)
        err = wal_open(f->vfs, path, &f->identity, &options, &f->wal, &recovered, why);
    if (err == RGKV_NOT_FOUND && !f->table) {
        *ret_recovered = (struct wal_recovered){.created = true};
        return RGKV_OK;
    }
    if (!err && !f->table)
        err = open_table(f, f->number, &f->table, why);
    if (err) {
        wal_recovered_release(&recovered);
        replica_files_close(f);
        return err;
    }
    *ret_recovered = recovered;
    return RGKV_OK;
}

void replica_files_close(struct replica_files *f)
{
    if (f->wal)
        wal_close(f->wal);
    table_free(f->table);
    table_free(f->incoming);
    table_free(f->old);
    f->wal = NULL;
    f->table = f->incoming = f->old = NULL;
}

static enum rgkv_err bury(struct replica_files *f, const char *dead)
{
    struct vfs *v = f->vfs;
    enum rgkv_err err = remove_durably(v, dead); /* of an earlier try */
    if (!err)
        err = v->ops->rename(v, f->dir, dead);
    if (!err)
        err = vfs_sync_parent(v, dead);
    return err ? err : remove_durably(v, dead);
}

enum rgkv_err replica_files_delete(struct replica_files *f, struct buf *why)
{
    struct buf dead = {0};
    replica_files_close(f);
    buf_printf(&dead, "%s" REPLICA_DEAD, f->dir);
    buf_put_u8(&dead, 0);
    enum rgkv_err err = bury(f, (const char *)dead.data);
    buf_release(&dead);
    return explain(f->vfs, err == RGKV_NOT_FOUND ? RGKV_OK : err, why);
}

/* ---- a snapshot comes in ---- */

enum rgkv_err replica_files_discard(struct replica_files *f, struct buf *why)
{
    char path[REPLICA_PATH_BYTES];
    table_free(f->incoming);
    f->incoming = NULL;
    table_path(f, path, f->number + 1);
    return explain(f->vfs, f->vfs->ops->remove_tree(f->vfs, path), why);
}

enum rgkv_err replica_files_incoming(struct replica_files *f, struct buf *why)
{
    enum rgkv_err err = replica_files_discard(f, why);
    return err ? err : open_table(f, f->number + 1, &f->incoming, why);
}

static enum rgkv_err switch_tables(struct replica_files *f, struct buf *why)
{
    enum rgkv_err err = table_rocks_flush(f->incoming);
    if (err)
        buf_printf(why, "the received table %s/table.%llu could not be made durable", f->dir, (unsigned long long)f->number + 1);
    else
        err = write_number(f, f->number + 1, why);
    if (err)
        return err;
    f->old = f->table;
    f->table = f->incoming;
    f->incoming = NULL;
    f->number++;
    f->switched = true;
    return RGKV_OK;
}

/* What the log waits for on a full disk may be no more than what the old table holds, and that is of no use any more. */
static enum rgkv_err begin_log(struct replica_files *f, uint64_t index, uint64_t term, struct buf *why)
{
    enum rgkv_err err = wal_reset(f->wal, index, term);
    if (err == RGKV_NO_SPACE && f->old && !replica_files_retire(f, why))
        err = wal_reset(f->wal, index, term);
    f->switched = err != RGKV_OK;
    if (err) {
        buf_clear(why);
        buf_printf(why, "%s", wal_error(f->wal));
    }
    return err;
}

enum rgkv_err replica_files_install(struct replica_files *f, uint64_t index, uint64_t term, struct buf *why)
{
    ASSERT(f->incoming || f->switched);
    enum rgkv_err err = f->incoming ? switch_tables(f, why) : RGKV_OK;
    return err ? err : begin_log(f, index, term, why);
}

enum rgkv_err replica_files_retire(struct replica_files *f, struct buf *why)
{
    char path[REPLICA_PATH_BYTES];
    if (!f->old)
        return RGKV_OK;
    table_free(f->old);
    f->old = NULL;
    table_path(f, path, f->number - 1);
    return explain(f->vfs, f->vfs->ops->remove_tree(f->vfs, path), why);
}
