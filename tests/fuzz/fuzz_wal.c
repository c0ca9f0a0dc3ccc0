/* Input: u8 {how many batches to repair, FUZZ_RAW}, then a segment of the write-ahead log. Repaired are the segment's header
 * (magic, whose it is, its number, checksum) and of each batch the length, sequence and checksums. What recovery lets in is a log: contiguous, no commit
 * beyond its end, the same at the next start, and it can be appended to. */
#include "store/wal_format.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/vfs_mem.h"
#include "tests/unit/wire_frame.h"

#include <stdlib.h>

#define FILE_NAME "log/0000000000000001.wal"

static const struct wal_identity identity = {.cluster = 1, .group = 2, .incarnation = 3, .member = 4};

static uint64_t header_fix(uint8_t *file)
{
    struct buf header = {0};
    struct wal_segment_header h = {.id = identity, .number = 1, .oldest_needed = 1, .first_sequence = 1,
                                   .base_index = le64_get(file + 64) & 0xff, .base_term = le64_get(file + 72) & 0xff,
                                   .hard_state = {le64_get(file + 88), le64_get(file + 96), le64_get(file + 104) & 0xff}};
    uint64_t seed = wal_segment_header_encode(&h, &header);
    memcpy(file, header.data, WAL_SEGMENT_HEADER_BYTES);
    buf_release(&header);
    return seed;
}

static void batches_fix(uint8_t *file, size_t size, uint64_t seed, unsigned n)
{
    size_t at = WAL_SEGMENT_HEADER_BYTES;
    for (unsigned i = 0; i < n && size - at >= WAL_BATCH_HEADER_BYTES; i++) {
        size_t room = (size - at - WAL_BATCH_HEADER_BYTES) & ~(size_t)7;
        size_t body = MIN(le32_get(file + at + 16) & ~7u, room);
        uint8_t *batch = file + at;
        struct raft_hard_state h = {le64_get(batch + 24), le64_get(batch + 32), le64_get(batch + 40)};
        struct wal_place place = {.seed = seed, .offset = at, .sequence = 1 + i};
        wal_batch_seal(batch, WAL_BATCH_HEADER_BYTES + body, le32_get(batch + 20), &place, &h);
        at += WAL_BATCH_HEADER_BYTES + body;
    }
}

static void must(enum rgkv_err err) { ASSERT(err == RGKV_OK); }

static void file_write(struct vfs *v, struct bytes content)
{
    struct vfs_file *f;
    must(v->ops->mkdir(v, "log"));
    must(v->ops->open(v, FILE_NAME, true, &f));
    must(v->ops->append(f, content));
    must(v->ops->sync(f));
    v->ops->close(f);
}

static struct wal *recover(struct vfs *v, struct wal_recovered *ret_r)
{
    struct wal *w = NULL;
    struct buf why = {0};
    enum rgkv_err err = wal_open(v, "log", &identity, NULL, &w, ret_r, &why);
    ASSERT(err == RGKV_OK || (why.len && (err == RGKV_DAMAGED || err == RGKV_CONFLICT)));
    buf_release(&why);
    return err ? NULL : w;
}

static void check_log(const struct wal_recovered *r)
{
    ASSERT(r->hard_state.commit <= r->compacted_index + r->n_entries);
    for (unsigned i = 0; i < r->n_entries; i++)
        ASSERT(r->entries[i].index == r->compacted_index + 1 + i);
}

static void append_one(struct wal *w, const struct wal_recovered *r)
{
    struct wal_batch b = {0};
    struct raft_entry e = {.index = r->compacted_index + r->n_entries + 1, .term = 9, .kind = RAFT_NOOP};
    wal_batch_add(&b, &e, 1, NULL, true);
    must(wal_commit(w, &b));
    wal_batch_release(&b);
}

/* What is read for a member that is behind is what was recovered. (Not the payloads: a file from here may have two entries of the same
 * index and term, which no leader ever writes.) */
static void read_back(struct wal *w, const struct wal_recovered *r)
{
    struct raft_fetch what = {.first = r->compacted_index + 1, .last = r->compacted_index + r->n_entries, .bytes_max = 100, .entries_max = 3};
    for (unsigned at = 0; at < r->n_entries;) {
        struct wal_range range;
        what.first = r->compacted_index + 1 + at;
        must(wal_read(w, &what, &range));
        ASSERT(range.n >= 1 && range.n <= 3);
        for (unsigned i = 0; i < range.n; i++, at++)
            ASSERT(range.entries[i].index == r->entries[at].index && range.entries[i].term == r->entries[at].term);
        wal_range_release(&range);
    }
}

static void go_on(struct vfs *v, struct wal *w, struct wal_recovered *r)
{
    struct wal_recovered again;
    check_log(r);
    read_back(w, r);
    append_one(w, r);
    wal_close(w);
    w = recover(v, &again);
    ASSERT(w && again.n_entries == r->n_entries + 1 && again.torn_bytes == 0);
    check_log(&again);
    read_back(w, &again);
    for (unsigned i = 0; i < r->n_entries; i++)
        ASSERT(r->entries[i].term == again.entries[i].term && bytes_eq(blob_bytes(r->entries[i].payload), blob_bytes(again.entries[i].payload)));
    wal_recovered_release(&again);
    wal_close(w);
}

static void open_file(struct bytes content)
{
    struct vfs *v = vfs_mem_new();
    struct wal_recovered r;
    file_write(v, content);
    struct wal *w = recover(v, &r);
    if (w) {
        go_on(v, w, &r);
        wal_recovered_release(&r);
    }
    vfs_mem_free(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct bytes input = bytes_of(data + 1, size - 1);
    uint8_t *file = exact_copy(input);
    if (!(data[0] & FUZZ_RAW) && input.len >= WAL_SEGMENT_HEADER_BYTES)
        batches_fix(file, input.len, header_fix(file), data[0] & 0x7f);
    open_file(bytes_of(file, input.len));
    free(file);
    return 0;
}
