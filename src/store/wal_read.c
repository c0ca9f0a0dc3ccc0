/* Reading entries that are not in memory any more, for a member that is far behind.
 *
 * An index may occur more than once in the files: what was truncated lies before what took its place. An entry that is committed
 * is the one of its index whose term is the log's, and is in the last segment whose base is below it (a later segment with a
 * lower base would mean that it was truncated again). */
#include "base/mutant.h"
#include "store/wal_internal.h"

#include <inttypes.h>

#define WINDOW_BYTES (256u << 10) /* read ahead at once */

struct reader_state {
    struct wal *w;
    const struct raft_fetch *what;
    struct wal_range *range;
    struct vfs_file *file;        /* of the segment w->reading.number; or NULL */
    struct buf window;            /* bytes of it, from window_at on */
    uint64_t window_at;
    uint64_t next, bytes;         /* the entry looked for; payload bytes found so far */
    bool full;
};

void wal_range_release(struct wal_range *range)
{
    for (unsigned i = 0; i < range->n; i++)
        blob_unref(range->entries[i].payload);
    mem_free(range->entries);
    *range = (struct wal_range){0};
}

static const struct wal_segment *segment_with(const struct wal *w, uint64_t index)
{
    size_t i = w->n_segments;
    while (i-- > 0)
        if (w->segments[i].base_index < index)
            return &w->segments[i];
    return NULL;
}

static enum rgkv_err cannot(struct reader_state *s, enum rgkv_err err, const char *what)
{
    struct wal_reading *at = &s->w->reading;
    struct buf path = {0};
    buf_clear(&s->w->why);
    buf_printf(&s->w->why, "%s at offset %" PRIu64 ": %s", wal_segment_path(s->w, at->number, &path), at->place.offset, what);
    buf_release(&path);
    at->number = 0;
    return err;
}

static enum rgkv_err io(struct reader_state *s, enum rgkv_err err)
{
    return err ? cannot(s, RGKV_IO, s->w->vfs->ops->error(s->w->vfs)) : RGKV_OK;
}

/* `len` bytes of the segment from `offset` on; fewer if they are not there. */
static enum rgkv_err view(struct reader_state *s, uint64_t offset, uint64_t len, struct bytes *ret_view)
{
    enum rgkv_err err = RGKV_OK;
    if (offset < s->window_at || offset + len > s->window_at + s->window.len) {
        buf_clear(&s->window);
        s->window_at = offset;
        err = io(s, s->w->vfs->ops->read(s->file, offset, MAX(len, WINDOW_BYTES), &s->window));
    }
    struct bytes there = bytes_from(buf_bytes(&s->window), MIN(offset - s->window_at, s->window.len));
    *ret_view = bytes_first(there, MIN(len, there.len));
    return err;
}

static enum rgkv_err open_file(struct reader_state *s)
{
    struct buf path = {0};
    buf_clear(&s->window);
    enum rgkv_err err = io(s, s->w->vfs->ops->open(s->w->vfs, wal_segment_path(s->w, s->w->reading.number, &path), false, &s->file));
    buf_release(&path);
    return err;
}

static enum rgkv_err begin_segment(struct reader_state *s, const struct wal_segment *segment)
{
    struct wal_reading *at = &s->w->reading;
    struct wal_segment_header h;
    struct bytes header;
    uint64_t seed;
    if (s->file)
        s->w->vfs->ops->close(s->file);
    s->file = NULL;
    at->number = segment->number;
    at->place = (struct wal_place){0};
    enum rgkv_err err = open_file(s);
    if (!err)
        err = view(s, 0, WAL_SEGMENT_HEADER_BYTES, &header);
    if (err)
        return err;
    if (wal_segment_header_decode(header, &h, &seed) || h.number != segment->number)
        return cannot(s, RGKV_DAMAGED, "its header is not valid");
    at->place = (struct wal_place){.seed = seed, .offset = WAL_SEGMENT_HEADER_BYTES, .sequence = h.first_sequence};
    return RGKV_OK;
}

static bool wanted(struct reader_state *s, const struct wal_record *r)
{
    const struct raft_fetch *f = s->what;
    s->full = s->next > f->last; /* what the batch has beyond it may have been truncated: it has no term */
    if (s->full || r->index != s->next || (r->term != wal_terms_at(&s->w->terms, s->next) && !MUTANT(log_read_truncated)))
        return false;
    s->full = s->range->n == f->entries_max || (s->range->n && s->bytes + r->payload.len > f->bytes_max);
    return !s->full;
}

static void take(struct reader_state *s, const struct wal_record *r)
{
    struct wal_range *range = s->range;
    if ((range->n & (range->n - 1)) == 0)
        range->entries = mem_realloc(range->entries, MAX(1u, 2 * range->n) * sizeof(*range->entries));
    range->entries[range->n++] = (struct raft_entry){
        .index = r->index, .term = r->term, .kind = r->kind, .payload = r->kind == RAFT_NOOP ? NULL : blob_new(r->payload)};
    s->bytes += r->payload.len;
    s->next++;
}

/* One batch: then the next one, unless that is enough. */
static enum rgkv_err read_batch(struct reader_state *s)
{
    struct wal_reading *at = &s->w->reading;
    struct bytes header, batch, body;
    struct wal_record record;
    uint64_t len = 0;
    bool ok;
    enum rgkv_err err = view(s, at->place.offset, WAL_BATCH_HEADER_BYTES, &header);
    if (!err && !wal_batch_header(header, &at->place, &len))
        return cannot(s, RGKV_DAMAGED, "there is no batch");
    if (!err)
        err = view(s, at->place.offset, len, &batch);
    if (err)
        return err;
    if (batch.len < len || !wal_batch_body(batch, &body))
        return cannot(s, RGKV_DAMAGED, "a batch is not what was written");
    while (!s->full && wal_record_next(&body, &record, &ok))
        if (wanted(s, &record))
            take(s, &record);
    if (!s->full) {
        at->place.offset += len;
        at->place.sequence++;
    }
    return RGKV_OK;
}

static enum rgkv_err read_range(struct reader_state *s)
{
    struct wal_reading *at = &s->w->reading;
    enum rgkv_err err = RGKV_OK;
    while (!err && !s->full && s->next <= s->what->last) {
        const struct wal_segment *segment = segment_with(s->w, s->next);
        if (segment->number != at->number)
            err = begin_segment(s, segment);
        else if (!s->file)
            err = open_file(s); /* where the last call ended */
        else if (at->place.offset >= segment->bytes)
            err = cannot(s, RGKV_DAMAGED, "it ends before an entry that the log has");
        else
            err = read_batch(s);
    }
    return err;
}

enum rgkv_err wal_read(struct wal *w, const struct raft_fetch *what, struct wal_range *ret_range)
{
    struct reader_state s = {.w = w, .what = what, .range = ret_range, .next = what->first};
    *ret_range = (struct wal_range){0};
    if (what->first <= wal_terms_base(&w->terms)) {
        buf_clear(&w->why);
        buf_printf(&w->why, "the log begins after entry %" PRIu64, wal_terms_base(&w->terms));
        return RGKV_NOT_FOUND;
    }
    ASSERT(what->first <= what->last && what->last <= w->terms.last_index && what->entries_max);
    /* What was read up to now may have passed by the one that is wanted: it is not known to come later. */
    if (what->first != w->reading.next)
        w->reading.number = 0;
    ret_range->before_term = wal_terms_at(&w->terms, what->first - 1);
    enum rgkv_err err = read_range(&s);
    if (s.file)
        w->vfs->ops->close(s.file);
    buf_release(&s.window);
    w->reading.next = s.next;
    if (err && ret_range->n)
        err = RGKV_OK; /* those before it are good; who asks for the rest will hear of it */
    return err;
}
