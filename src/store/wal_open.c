/* Recovery: from a directory to hard state and entries.
 *
 *   1. The newest segment's header says which segments are needed; older ones are leftovers of a deletion, and go once its name is durable.
 *   2. Each needed segment must be there, be ours, and continue the one before: its base is an entry that the log has,
 *      its first batch has the next sequence number.
 *   3. Batches are applied in order. Only the newest segment may end in a torn batch; that is cut off.
 *   4. The recorded commit must not be beyond the last entry.
 *   5. The last batch is written again and synced. It may be in the page cache only: its process was killed before the sync,
 *      or the sync failed and the kernel marked the pages clean, so that a sync alone would do nothing. The same holds
 *      for the names: the directory and its parent are synced again. */
#include "store/wal_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#define WAY_OUT "do not repair it, the other members have the data: see FAILURES in rgkvd(8)"

struct recovery {
    struct wal *w;
    struct buf *why;
    uint64_t *numbers;          /* of the segment files, ascending */
    size_t n_numbers;
    struct buf file;            /* the segment being read */
    const char *path;           /* its path, in path_text */
    struct buf path_text;
    struct raft_entry *entries; /* from the base, or wanted_after, + 1 */
    uint64_t wanted_after;      /* those up to here are only checked */
    size_t n_entries, cap_entries;
    struct wal_place last_batch; /* of the newest segment; offset 0: none in it */
    uint64_t torn_bytes;
    bool created;
};

static enum rgkv_err io_failed(struct recovery *r, enum rgkv_err err)
{
    if (err)
        buf_printf(r->why, "%s", r->w->vfs->ops->error(r->w->vfs));
    return err == RGKV_NOT_FOUND || err == RGKV_EXISTS ? RGKV_IO : err;
}

static enum rgkv_err damaged(struct recovery *r, uint64_t offset, const char *what)
{
    buf_printf(r->why, "%s is damaged at offset %" PRIu64 ": %s; " WAY_OUT, r->path, offset, what);
    return RGKV_DAMAGED;
}

static bool parse_name(const char *name, uint64_t *ret_number)
{
    if (strlen(name) != 20 || strcmp(name + 16, ".wal") != 0 || strspn(name, "0123456789abcdef") != 16)
        return false;
    *ret_number = strtoull(name, NULL, 16);
    return true;
}

/* Names come sorted, and so do their numbers. */
static enum rgkv_err list_segments(struct recovery *r)
{
    struct buf names = {0};
    enum rgkv_err err = io_failed(r, r->w->vfs->ops->list(r->w->vfs, r->w->dir, &names));
    for (size_t at = 0; at < names.len; at += strlen((char *)names.data + at) + 1) {
        uint64_t number;
        if (!parse_name((char *)names.data + at, &number))
            continue;
        r->numbers = mem_realloc(r->numbers, (r->n_numbers + 1) * sizeof(*r->numbers));
        r->numbers[r->n_numbers++] = number;
    }
    buf_release(&names);
    return err;
}

bool wal_exists(struct vfs *v, const char *dir)
{
    struct buf names = {0};
    uint64_t number;
    bool found = false;
    if (v->ops->list(v, dir, &names) == RGKV_OK)
        for (size_t at = 0; !found && at < names.len; at += strlen((char *)names.data + at) + 1)
            found = parse_name((char *)names.data + at, &number);
    buf_release(&names);
    return found;
}

static enum rgkv_err header_of(struct recovery *r, uint64_t number, struct wal_segment_header *ret_h, uint64_t *ret_seed)
{
    enum rgkv_err err = wal_segment_header_decode(buf_bytes(&r->file), ret_h, ret_seed);
    if (err == RGKV_PROTOCOL) {
        buf_printf(r->why, "%s was written by another version of this program", r->path);
        return RGKV_DAMAGED;
    }
    if (err || ret_h->number != number || ret_h->oldest_needed > number)
        return damaged(r, 0, "its header is not valid");
    const struct wal_identity *ours = &r->w->id, *found = &ret_h->id;
    if (memcmp(ours, found, sizeof(*ours)) != 0) {
        buf_printf(r->why, "%s belongs to cluster %016" PRIx64 ", group %" PRIu64 ", incarnation %" PRIu64 ", member %016" PRIx64
                   ", not to cluster %016" PRIx64 ", group %" PRIu64 ", incarnation %" PRIu64 ", member %016" PRIx64,
                   r->path, found->cluster, found->group, found->incarnation, found->member,
                   ours->cluster, ours->group, ours->incarnation, ours->member);
        return RGKV_CONFLICT;
    }
    return RGKV_OK;
}

/* Reads up to len bytes of a segment into r->file; leaves it open in *ret_f. */
static enum rgkv_err read_segment(struct recovery *r, uint64_t number, uint64_t len_max, struct vfs_file **ret_f)
{
    const struct vfs_ops *ops = r->w->vfs->ops;
    r->path = wal_segment_path(r->w, number, &r->path_text);
    buf_clear(&r->file);
    enum rgkv_err err = io_failed(r, ops->open(r->w->vfs, r->path, false, ret_f));
    if (err)
        return err;
    err = io_failed(r, ops->read(*ret_f, 0, MIN(ops->size(*ret_f), len_max), &r->file));
    if (err)
        ops->close(*ret_f);
    return err;
}

/* Who made the newest segment may have ended before its name was durable: a power cut could then take that and leave the deletions. */
static enum rgkv_err delete_before(struct recovery *r, uint64_t number)
{
    size_t gone = 0;
    enum rgkv_err err = r->numbers[0] < number ? io_failed(r, r->w->vfs->ops->sync_dir(r->w->vfs, r->w->dir)) : RGKV_OK;
    while (!err && gone < r->n_numbers && r->numbers[gone] < number) {
        (void)r->w->vfs->ops->unlink(r->w->vfs, wal_segment_path(r->w, r->numbers[gone], &r->path_text));
        gone++;
    }
    r->n_numbers -= gone;
    memmove(r->numbers, r->numbers + gone, r->n_numbers * sizeof(*r->numbers));
    return err;
}

static enum rgkv_err check_none_missing(struct recovery *r, uint64_t oldest)
{
    for (size_t i = 0; i < r->n_numbers; i++) {
        if (r->numbers[i] == oldest + i)
            continue;
        buf_printf(r->why, "%s is missing; " WAY_OUT, wal_segment_path(r->w, oldest + i, &r->path_text));
        return RGKV_DAMAGED;
    }
    return RGKV_OK;
}

static enum rgkv_err choose_segments(struct recovery *r)
{
    struct vfs_file *f;
    struct wal_segment_header h;
    uint64_t seed, newest = r->numbers[r->n_numbers - 1];
    enum rgkv_err err = read_segment(r, newest, WAL_SEGMENT_HEADER_BYTES, &f);
    if (err)
        return err;
    r->w->vfs->ops->close(f);
    err = header_of(r, newest, &h, &seed);
    if (err)
        return err;
    err = delete_before(r, h.oldest_needed);
    return err ? err : check_none_missing(r, h.oldest_needed);
}

static uint64_t given_after(const struct recovery *r)
{
    return MAX(r->wanted_after, wal_terms_base(&r->w->terms));
}

static void truncate_entries(struct recovery *r, uint64_t last_index)
{
    uint64_t after = given_after(r), keep = last_index - MIN(last_index, after);
    while (r->n_entries > keep)
        blob_unref(r->entries[--r->n_entries].payload);
}

static void push_entry(struct recovery *r, const struct wal_record *record)
{
    if (record->index <= given_after(r))
        return;
    if (r->n_entries == r->cap_entries) {
        r->cap_entries = r->cap_entries ? r->cap_entries * 2 : 256;
        r->entries = mem_realloc(r->entries, r->cap_entries * sizeof(*r->entries));
    }
    r->entries[r->n_entries++] = (struct raft_entry){
        .index = record->index, .term = record->term, .kind = record->kind,
        .payload = record->kind == RAFT_NOOP ? NULL : blob_new(record->payload)};
}

static enum rgkv_err apply_batch(struct recovery *r, const struct wal_found *found, uint64_t base, uint64_t offset)
{
    struct wal_terms *terms = &r->w->terms;
    struct bytes body = found->body;
    struct wal_record record;
    bool ok;
    uint32_t n = 0;
    while (wal_record_next(&body, &record, &ok)) {
        if (record.index <= base || record.index > terms->last_index + 1)
            return damaged(r, offset, "an entry's index does not continue the log");
        truncate_entries(r, record.index - 1);
        wal_terms_put(terms, record.index, record.term);
        push_entry(r, &record);
        n++;
    }
    if (!ok || n != found->n_records)
        return damaged(r, offset, "a batch is malformed");
    r->w->hard_state = found->hard_state;
    return RGKV_OK;
}

static enum rgkv_err begin_segment(struct recovery *r, const struct wal_segment_header *h)
{
    struct wal *w = r->w;
    if (w->n_segments == 0) {
        wal_terms_reset(&w->terms, h->base_index, h->base_term);
    } else {
        bool joins = h->first_sequence == w->next_sequence && wal_terms_has(&w->terms, h->base_index) &&
                     wal_terms_at(&w->terms, h->base_index) == h->base_term;
        if (!joins)
            return damaged(r, 0, "it does not continue the segment before it");
        truncate_entries(r, h->base_index);
        wal_terms_truncate(&w->terms, h->base_index);
    }
    w->hard_state = h->hard_state;
    return RGKV_OK;
}

static uint64_t without_zeros(struct bytes b)
{
    while (b.len && b.data[b.len - 1] == 0)
        b.len--;
    return b.len;
}

static enum rgkv_err read_batches(struct recovery *r, const struct wal_segment_header *h, uint64_t seed, bool newest, uint64_t *ret_end)
{
    struct wal_scan scan;
    struct wal_found found;
    enum wal_scanned what;
    wal_scan_init(&scan, buf_bytes(&r->file), seed, h->first_sequence);
    r->last_batch = (struct wal_place){0};
    for (;;) {
        struct wal_place place = scan.next;
        what = wal_scan_next(&scan, &found);
        if (what != WAL_BATCH)
            break;
        enum rgkv_err err = apply_batch(r, &found, h->base_index, place.offset);
        if (err)
            return err;
        r->last_batch = place;
    }
    if (what == WAL_DAMAGED || (what == WAL_TORN && !newest))
        return damaged(r, scan.next.offset, "a batch is not valid, and a later one was written");
    if (what == WAL_TORN)
        r->torn_bytes = without_zeros(bytes_from(buf_bytes(&r->file), scan.next.offset));
    r->w->next_sequence = scan.next.sequence;
    *ret_end = scan.next.offset;
    return RGKV_OK;
}

static enum rgkv_err recover_segment(struct recovery *r, uint64_t number, bool newest)
{
    struct vfs_file *f;
    struct wal_segment_header h;
    uint64_t seed, end = 0;
    enum rgkv_err err = read_segment(r, number, UINT64_MAX, &f);
    if (err)
        return err;
    err = header_of(r, number, &h, &seed);
    if (!err)
        err = begin_segment(r, &h);
    if (!err)
        err = read_batches(r, &h, seed, newest, &end);
    if (err || !newest) {
        r->w->vfs->ops->close(f);
    } else {
        r->w->file = f;
        r->w->seed = seed;
    }
    if (!err)
        wal_segments_push(r->w, &(struct wal_segment){.number = number, .base_index = h.base_index, .bytes = end});
    return err;
}

static enum rgkv_err check_commit(struct recovery *r)
{
    const struct wal *w = r->w;
    if (w->hard_state.commit <= w->terms.last_index)
        return RGKV_OK;
    return damaged(r, w->segments[w->n_segments - 1].bytes, "entries are missing that were recorded as committed");
}

static enum rgkv_err make_durable(struct recovery *r)
{
    struct wal *w = r->w;
    const struct vfs_ops *ops = w->vfs->ops;
    uint64_t end = wal_last_segment(w)->bytes, from = r->last_batch.offset;
    enum rgkv_err err = r->torn_bytes ? ops->truncate(w->file, end) : RGKV_OK;
    if (!err)
        err = ops->write_at(w->file, from, bytes_of(r->file.data + from, end - from));
    if (!err)
        err = ops->sync(w->file);
    if (!err)
        err = ops->sync_dir(w->vfs, w->dir);
    if (!err)
        err = vfs_sync_parent(w->vfs, w->dir);
    if (err)
        return io_failed(r, err);
    w->reserved = ops->size(w->file);
    wal_reserve_if_possible(w);
    return RGKV_OK;
}

static enum rgkv_err recover(struct recovery *r)
{
    enum rgkv_err err = choose_segments(r);
    for (size_t i = 0; !err && i < r->n_numbers; i++)
        err = recover_segment(r, r->numbers[i], i + 1 == r->n_numbers);
    if (!err)
        err = check_commit(r);
    return err ? err : make_durable(r);
}

static enum rgkv_err found_log(struct recovery *r)
{
    struct wal *w = r->w;
    w->next_sequence = 1;
    wal_terms_reset(&w->terms, 0, 0);
    enum rgkv_err err = wal_segment_start(w, &(struct wal_segment_start){.alone = true});
    if (err)
        buf_printf(r->why, "%s", wal_error(w));
    return err ? err : io_failed(r, vfs_sync_parent(w->vfs, w->dir));
}

static struct wal *wal_new(struct vfs *v, const char *dir, const struct wal_identity *id, const struct wal_options *options)
{
    struct wal *w = mem_zalloc(sizeof(*w));
    w->vfs = v;
    w->dir = mem_strdup(dir);
    w->id = *id;
    w->segment_bytes = options && options->segment_bytes ? options->segment_bytes : WAL_SEGMENT_BYTES_DEFAULT;
    return w;
}

static void give(struct recovery *r, struct wal_recovered *ret)
{
    const struct wal *w = r->w;
    uint64_t after = MIN(given_after(r), w->terms.last_index);
    *ret = (struct wal_recovered){.hard_state = w->hard_state, .compacted_index = after,
                                  .compacted_term = wal_terms_at(&w->terms, after),
                                  .n_kept = after - wal_terms_base(&w->terms), .entries = r->entries,
                                  .n_entries = (unsigned)r->n_entries, .torn_bytes = r->torn_bytes,
                                  .created = r->created};
}

static void recovery_release(struct recovery *r)
{
    mem_free(r->numbers);
    buf_release(&r->file);
    buf_release(&r->path_text);
}

enum rgkv_err wal_open(struct vfs *v, const char *dir, const struct wal_identity *id, const struct wal_options *options,
                       struct wal **ret_wal, struct wal_recovered *ret_recovered, struct buf *ret_why)
{
    struct recovery r = {.w = wal_new(v, dir, id, options), .why = ret_why, .wanted_after = options ? options->wanted_after : 0};
    enum rgkv_err err = io_failed(&r, v->ops->mkdir(v, dir));
    if (!err)
        err = list_segments(&r);
    r.created = !err && r.n_numbers == 0;
    if (r.created && options && options->must_exist)
        err = RGKV_NOT_FOUND;
    if (!err)
        err = r.created ? found_log(&r) : recover(&r);
    recovery_release(&r);
    if (!err) {
        give(&r, ret_recovered);
        *ret_wal = r.w;
        return RGKV_OK;
    }
    wal_recovered_release(&(struct wal_recovered){.entries = r.entries, .n_entries = (unsigned)r.n_entries});
    wal_close(r.w);
    return err;
}

void wal_recovered_release(struct wal_recovered *r)
{
    for (unsigned i = 0; i < r->n_entries; i++)
        blob_unref(r->entries[i].payload);
    mem_free(r->entries);
    *r = (struct wal_recovered){0};
}
