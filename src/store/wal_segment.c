/* Segment files: their names, their creation, the space reserved in them.
 *
 * A segment is made under a temporary name with all that it begins with, synced, renamed, and its directory synced. So a file
 * with a segment's name always has a whole header, and what is wrong with one is damage, never an interrupted creation. */
#include "store/wal_internal.h"

#include <inttypes.h>

const char *wal_path(const struct wal *w, const char *name, struct buf *out)
{
    buf_clear(out);
    buf_printf(out, "%s/%s", w->dir, name);
    buf_put_u8(out, 0);
    return (const char *)out->data;
}

const char *wal_segment_path(const struct wal *w, uint64_t number, struct buf *out)
{
    buf_clear(out);
    buf_printf(out, "%s/%016" PRIx64 ".wal", w->dir, number);
    buf_put_u8(out, 0);
    return (const char *)out->data;
}

void wal_segments_push(struct wal *w, const struct wal_segment *s)
{
    if (w->n_segments == w->cap_segments) {
        w->cap_segments = w->cap_segments ? w->cap_segments * 2 : 8;
        w->segments = mem_realloc(w->segments, w->cap_segments * sizeof(*w->segments));
    }
    w->segments[w->n_segments++] = *s;
    wal_bytes_add(w, s->bytes);
}

void wal_bytes_add(struct wal *w, uint64_t bytes) { __atomic_fetch_add(&w->bytes, bytes, __ATOMIC_RELAXED); }

static uint64_t reserve_step(const struct wal *w)
{
    return MAX(MIN(w->segment_bytes, WAL_PREALLOCATE_BYTES), WAL_RESERVE_BYTES);
}

enum rgkv_err wal_reserve(struct wal *w, uint64_t to)
{
    if (to <= w->reserved)
        return RGKV_OK;
    uint64_t step = reserve_step(w), rounded = (to + step - 1) / step * step;
    enum rgkv_err err = w->vfs->ops->preallocate(w->file, rounded);
    if (!err)
        w->reserved = rounded;
    return err;
}

void wal_reserve_if_possible(struct wal *w)
{
    enum rgkv_err err = wal_reserve(w, wal_last_segment(w)->bytes + WAL_RESERVE_BYTES);
    (void)err;
}

struct made {
    struct vfs_file *file;
    uint64_t number, seed, bytes, reserved;
};

static enum rgkv_err write_start(struct wal *w, const struct wal_segment_start *start, struct made *made)
{
    const struct vfs_ops *ops = w->vfs->ops;
    struct wal_segment_header h = {
        .id = w->id, .number = made->number,
        .oldest_needed = start->alone ? made->number : start->oldest_needed,
        .base_index = start->base_index, .base_term = start->base_term,
        .first_sequence = w->next_sequence, .hard_state = start->hard_state};
    struct buf header = {0};
    made->seed = wal_segment_header_encode(&h, &header);
    enum rgkv_err err = ops->write_at(made->file, 0, buf_bytes(&header));
    buf_release(&header);
    const struct wal_batch *b = start->batch;
    if (err || !b)
        return err;
    struct wal_place place = {.seed = made->seed, .offset = made->bytes, .sequence = w->next_sequence};
    wal_batch_seal(w->encoded.data, w->encoded.len, b->n_entries, &place, &start->after_batch);
    made->bytes += w->encoded.len;
    return ops->write_at(made->file, place.offset, buf_bytes(&w->encoded));
}

/* A step if there is space, else as much as hard state may need; a segment that is started so that others can be deleted
 * makes do with its header. */
static enum rgkv_err reserve_new(struct wal *w, const struct wal_segment_start *start, struct made *made)
{
    uint64_t need = WAL_SEGMENT_HEADER_BYTES + (start->batch ? w->encoded.len : 0), with_reserve = need + WAL_RESERVE_BYTES;
    uint64_t wanted[] = {MAX(with_reserve, reserve_step(w)), with_reserve, start->batch ? with_reserve : need};
    enum rgkv_err err = RGKV_NO_SPACE;
    for (unsigned i = 0; i < ARRAY_LEN(wanted) && err == RGKV_NO_SPACE; i++) {
        made->reserved = wanted[i];
        err = w->vfs->ops->preallocate(made->file, wanted[i]);
    }
    return err;
}

static enum rgkv_err fill(struct wal *w, const struct wal_segment_start *start, struct made *made)
{
    enum rgkv_err err = reserve_new(w, start, made);
    if (!err)
        err = write_start(w, start, made);
    if (err)
        return err;
    err = w->vfs->ops->sync(made->file);
    w->broken |= err != RGKV_OK;
    return err;
}

static enum rgkv_err publish(struct wal *w, const char *temporary, const char *path)
{
    enum rgkv_err err = w->vfs->ops->rename(w->vfs, temporary, path);
    return err ? err : w->vfs->ops->sync_dir(w->vfs, w->dir);
}

static enum rgkv_err make(struct wal *w, const struct wal_segment_start *start, const char *temporary, struct made *made)
{
    enum rgkv_err err = vfs_create_over(w->vfs, temporary, &made->file);
    if (err)
        return err;
    err = fill(w, start, made);
    w->vfs->ops->close(made->file);
    if (err)
        return err;
    struct buf path = {0};
    const char *name = wal_segment_path(w, made->number, &path);
    err = publish(w, temporary, name);
    if (!err) /* again, so that errors name the segment and not the temporary file */
        err = w->vfs->ops->open(w->vfs, name, false, &made->file);
    w->broken |= err != RGKV_OK;
    buf_release(&path);
    return err;
}

/* Says why, before the clean-up has an error of its own to tell of. */
static enum rgkv_err make_failed(struct wal *w, enum rgkv_err err, const char *temporary)
{
    w->broken |= err != RGKV_NO_SPACE;
    buf_clear(&w->why);
    buf_printf(&w->why, "%s", w->vfs->ops->error(w->vfs));
    (void)w->vfs->ops->unlink(w->vfs, temporary);
    return err;
}

/* The old last segment gives back what it had reserved. It does not matter if that fails, or is lost in a crash. */
static void leave_last(struct wal *w)
{
    if (!w->file)
        return;
    (void)w->vfs->ops->truncate(w->file, wal_last_segment(w)->bytes);
    w->vfs->ops->close(w->file);
}

enum rgkv_err wal_segment_start(struct wal *w, const struct wal_segment_start *start)
{
    struct made made = {.bytes = WAL_SEGMENT_HEADER_BYTES, .number = w->n_segments ? wal_last_segment(w)->number + 1 : 1};
    struct buf path = {0};
    const char *temporary = wal_path(w, "next.tmp", &path);
    enum rgkv_err err = make(w, start, temporary, &made);
    if (err)
        err = make_failed(w, err, temporary);
    buf_release(&path);
    if (err)
        return err;
    leave_last(w);
    w->file = made.file;
    w->seed = made.seed;
    w->reserved = made.reserved;
    wal_segments_push(w, &(struct wal_segment){.number = made.number, .base_index = start->base_index, .bytes = made.bytes});
    return RGKV_OK;
}
