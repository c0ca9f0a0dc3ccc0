/* Writing the log. One batch is one write and one sync; the next is written only after that sync has returned (P22).
 *
 * What can go wrong, and what then:
 *   no space to reserve or write     nothing has changed, NO_SPACE; without entries the segment's reserve is used
 *   a write fails otherwise,         the log is broken for good: what the disk now holds is not known, and the kernel
 *   or a sync, rename, sync_dir      may have marked unwritten pages clean. The process must end and recover. */
#include "base/mutant.h"
#include "store/wal_internal.h"

static enum rgkv_err keep_why(struct wal *w, enum rgkv_err err)
{
    if (err) {
        buf_clear(&w->why);
        buf_printf(&w->why, "%s", w->vfs->ops->error(w->vfs));
    }
    return err;
}

static enum rgkv_err broken(struct wal *w, enum rgkv_err err)
{
    w->broken = true;
    return keep_why(w, err);
}

/* Entries from `index` on are replaced by what is added now: a batch never goes back within itself, so that its first entry is its
 * lowest and a segment may begin just before it. */
static void batch_cut(struct wal_batch *b, uint64_t index)
{
    while (b->n_entries && b->entries[b->n_entries - 1].index >= index)
        blob_unref(b->entries[--b->n_entries].payload);
}

static void batch_room(struct wal_batch *b, unsigned n)
{
    if (b->n_entries + n <= b->cap_entries)
        return;
    b->cap_entries = MAX(b->n_entries + n, 2 * b->cap_entries);
    b->entries = mem_realloc(b->entries, b->cap_entries * sizeof(*b->entries));
}

static void batch_put(struct wal_batch *b, const struct raft_entry *e)
{
    ASSERT(!b->n_entries || e->index == b->entries[b->n_entries - 1].index + 1);
    b->entries[b->n_entries] = *e;
    blob_ref(b->entries[b->n_entries++].payload);
}

void wal_batch_add(struct wal_batch *b, const struct raft_entry *entries, unsigned n, const struct raft_hard_state *hard_state, bool must_sync)
{
    if (n) {
        batch_cut(b, entries[0].index);
        batch_room(b, n);
        b->last_index = entries[n - 1].index;
        b->last_term = entries[n - 1].term;
    }
    for (unsigned i = 0; i < n; i++)
        batch_put(b, &entries[i]);
    if (hard_state) {
        b->hard_state = *hard_state;
        b->has_hard_state = true;
    }
    b->must_sync |= must_sync;
}

void wal_batch_clear(struct wal_batch *b)
{
    batch_cut(b, 0);
    *b = (struct wal_batch){.entries = b->entries, .cap_entries = b->cap_entries};
}

void wal_batch_release(struct wal_batch *b)
{
    batch_cut(b, 0);
    mem_free(b->entries);
    *b = (struct wal_batch){0};
}

static void encode(struct wal *w, const struct wal_batch *b)
{
    size_t bytes = WAL_BATCH_HEADER_BYTES;
    for (unsigned i = 0; i < b->n_entries; i++)
        bytes += wal_record_bytes(&b->entries[i]);
    buf_clear(&w->encoded);
    buf_grow(&w->encoded, bytes);
    w->encoded.len = WAL_BATCH_HEADER_BYTES;
    memset(w->encoded.data, 0, WAL_BATCH_HEADER_BYTES);
    for (unsigned i = 0; i < b->n_entries; i++)
        wal_record_encode(&b->entries[i], &w->encoded);
    ASSERT(w->encoded.len == bytes);
}

static void encoded_done(struct wal *w)
{
    if (w->encoded.cap > WAL_ENCODED_KEEP_BYTES)
        buf_release(&w->encoded);
}

/* The lowest index in the batch, 0 without entries. On the way: does it fit to the log? If not, the caller has a bug. */
static uint64_t lowest_index(const struct wal *w, const struct wal_batch *b)
{
    uint64_t lowest = b->n_entries ? b->entries[0].index : 0;
    ASSERT(!lowest || (lowest > wal_terms_base(&w->terms) && lowest <= w->terms.last_index + 1));
    return lowest;
}

static void take_terms(struct wal *w, const struct wal_batch *b)
{
    for (unsigned i = 0; i < b->n_entries; i++)
        wal_terms_put(&w->terms, b->entries[i].index, b->entries[i].term);
}

/* A full disk in the middle of a batch: the file gets its old end back, so that no half batch is left lying around. */
static enum rgkv_err cut_back(struct wal *w, enum rgkv_err err)
{
    if (err != RGKV_NO_SPACE)
        return broken(w, err);
    keep_why(w, err);
    uint64_t end = wal_last_segment(w)->bytes;
    if (w->vfs->ops->truncate(w->file, end))
        return broken(w, RGKV_IO);
    w->reserved = end;
    wal_reserve_if_possible(w);
    return err;
}

static enum rgkv_err make_room(struct wal *w, const struct wal_batch *b)
{
    uint64_t end = wal_last_segment(w)->bytes + w->encoded.len;
    enum rgkv_err err = wal_reserve(w, end + WAL_RESERVE_BYTES);
    if (err == RGKV_NO_SPACE && b->n_entries == 0 && end <= w->reserved)
        return RGKV_OK;
    if (err && err != RGKV_NO_SPACE)
        return broken(w, err);
    return keep_why(w, err);
}

static enum rgkv_err write_here(struct wal *w, const struct wal_batch *b, const struct raft_hard_state *hard_state)
{
    enum rgkv_err err = make_room(w, b);
    if (err)
        return err;
    struct wal_segment *s = wal_last_segment(w);
    struct wal_place place = {.seed = w->seed, .offset = s->bytes, .sequence = w->next_sequence};
    wal_batch_seal(w->encoded.data, w->encoded.len, b->n_entries, &place, hard_state);
    err = w->vfs->ops->write_at(w->file, s->bytes, buf_bytes(&w->encoded));
    if (err)
        return cut_back(w, err);
    err = MUTANT(wal_unsynced) ? RGKV_OK : w->vfs->ops->sync(w->file);
    if (err && !MUTANT(wal_sync_failure))
        return broken(w, err);
    s->bytes += w->encoded.len;
    wal_bytes_add(w, w->encoded.len);
    return RGKV_OK;
}

/* The reserve of the last segment is given up for the new one, which brings its own; taken back if even that is not enough. */
static enum rgkv_err start_squeezing(struct wal *w, const struct wal_segment_start *start)
{
    enum rgkv_err err = wal_segment_start(w, start);
    if (err != RGKV_NO_SPACE || w->broken)
        return err;
    uint64_t end = wal_last_segment(w)->bytes;
    if (w->vfs->ops->truncate(w->file, end))
        return broken(w, RGKV_IO);
    w->reserved = end;
    err = wal_segment_start(w, start);
    if (err == RGKV_NO_SPACE && !w->broken)
        wal_reserve_if_possible(w);
    return err;
}

/* The hard state after the batch. A commit beyond the last entry would look like lost entries at the next start; it is
 * advice only, so the log may record less. */
static struct raft_hard_state hard_state_after(const struct wal *w, const struct wal_batch *b)
{
    struct raft_hard_state h = b->has_hard_state ? b->hard_state : w->hard_state;
    h.commit = MIN(h.commit, b->n_entries ? b->last_index : w->terms.last_index);
    return h;
}

/* Starts a segment with the batch in it, after the entry at `base`. */
static enum rgkv_err write_in_new(struct wal *w, const struct wal_batch *b, uint64_t base, bool must,
                                  const struct raft_hard_state *after)
{
    struct wal_segment_start start = {.base_index = base, .base_term = wal_terms_at(&w->terms, base),
                                      .oldest_needed = w->segments[0].number,
                                      .hard_state = w->hard_state, .batch = b, .after_batch = *after};
    return must ? start_squeezing(w, &start) : wal_segment_start(w, &start);
}

static enum rgkv_err write_batch(struct wal *w, const struct wal_batch *b, uint64_t lowest, const struct raft_hard_state *after)
{
    const struct wal_segment *s = wal_last_segment(w);
    uint64_t base = lowest ? lowest - 1 : w->terms.last_index;
    if (base < s->base_index)
        return write_in_new(w, b, base, true, after);
    if (s->bytes > WAL_SEGMENT_HEADER_BYTES && s->bytes + w->encoded.len > w->segment_bytes) {
        enum rgkv_err err = write_in_new(w, b, base, false, after);
        if (err != RGKV_NO_SPACE || w->broken)
            return err; /* else there may be room in the old one yet */
    }
    return write_here(w, b, after);
}

enum rgkv_err wal_commit(struct wal *w, const struct wal_batch *b)
{
    if (w->broken)
        return RGKV_IO;
    if (wal_batch_is_empty(b))
        return RGKV_OK;
    uint64_t lowest = lowest_index(w, b);
    struct raft_hard_state after = hard_state_after(w, b);
    bool promise = after.term != w->hard_state.term || after.vote != w->hard_state.vote;
    if (lowest || b->must_sync || promise) {
        encode(w, b);
        enum rgkv_err err = write_batch(w, b, lowest, &after);
        encoded_done(w);
        if (err)
            return err;
        take_terms(w, b);
        w->next_sequence++;
    }
    w->hard_state = after;
    return RGKV_OK;
}

/* How many of the oldest segments hold nothing after `index` that counts, if a new one is started now. Looked for from the
 * end: a truncation leaves a lower base behind a higher one, and the log must begin below all of them. */
static size_t segments_before(const struct wal *w, uint64_t index)
{
    size_t n = w->n_segments;
    if (w->terms.last_index <= index && w->segments[n - 1].bytes > WAL_SEGMENT_HEADER_BYTES)
        return n;
    while (--n > 0 && w->segments[n].base_index > index)
        ;
    return n;
}

void wal_unlink(struct vfs *v, struct bytes names)
{
    for (size_t len; names.len; names = bytes_from(names, len)) {
        len = strlen((const char *)names.data) + 1;
        (void)v->ops->unlink(v, (const char *)names.data);
    }
}

/* That a name is still there after a failure or a crash is no harm: the newest header says what is needed. */
static void forget_segments(struct wal *w, size_t n, struct buf *ret_names)
{
    struct buf path = {0};
    for (size_t i = 0; i < n; i++) {
        const char *name = wal_segment_path(w, w->segments[i].number, &path);
        buf_put(ret_names, (struct bytes){(const uint8_t *)name, strlen(name) + 1});
        wal_bytes_add(w, 0 - w->segments[i].bytes);
    }
    buf_release(&path);
    w->n_segments -= n;
    memmove(w->segments, w->segments + n, w->n_segments * sizeof(*w->segments));
}

static void delete_segments(struct wal *w, size_t n)
{
    struct buf names = {0};
    forget_segments(w, n, &names);
    wal_unlink(w->vfs, buf_bytes(&names));
    buf_release(&names);
    wal_reserve_if_possible(w);
}

enum rgkv_err wal_compact(struct wal *w, uint64_t index, struct buf *ret_names)
{
    if (w->broken)
        return RGKV_IO;
    if (index <= wal_terms_base(&w->terms))
        return RGKV_OK;
    ASSERT(index <= w->terms.last_index);
    size_t gone = segments_before(w, index);
    if (gone == 0)
        return RGKV_OK;
    struct wal_segment_start start = {.base_index = w->terms.last_index,
                                      .base_term = wal_terms_at(&w->terms, w->terms.last_index),
                                      .alone = gone == w->n_segments,
                                      .hard_state = w->hard_state};
    start.hard_state.vote = MUTANT(wal_segment_no_vote) ? 0 : start.hard_state.vote;
    if (!start.alone)
        start.oldest_needed = w->segments[gone].number;
    enum rgkv_err err = start_squeezing(w, &start);
    if (err)
        return err;
    if (ret_names)
        forget_segments(w, gone, ret_names);
    else
        delete_segments(w, gone);
    wal_terms_forget_before(&w->terms, w->segments[0].base_index);
    return RGKV_OK;
}

enum rgkv_err wal_reset(struct wal *w, uint64_t index, uint64_t term)
{
    if (w->broken)
        return RGKV_IO;
    struct wal_segment_start start = {.base_index = index, .base_term = term, .alone = true, .hard_state = w->hard_state};
    start.hard_state.commit = index;
    start.hard_state.vote = MUTANT(install_forgets) ? 0 : start.hard_state.vote;
    enum rgkv_err err = start_squeezing(w, &start);
    if (err)
        return err;
    delete_segments(w, w->n_segments - 1);
    wal_terms_reset(&w->terms, index, term);
    w->hard_state = start.hard_state;
    return RGKV_OK;
}

void wal_close(struct wal *w)
{
    if (!w)
        return;
    if (w->file)
        w->vfs->ops->close(w->file);
    wal_terms_release(&w->terms);
    buf_release(&w->why);
    buf_release(&w->encoded);
    mem_free(w->segments);
    mem_free(w->dir);
    mem_free(w);
}

uint64_t wal_bytes(const struct wal *w) { return __atomic_load_n(&w->bytes, __ATOMIC_RELAXED); }

const char *wal_error(const struct wal *w)
{
    return w->why.len ? (const char *)w->why.data : "";
}
