/* The bytes of the write-ahead log: segments, batches, records. Pure: no files here, so that it can be fuzzed.
 *
 * All integers are little-endian; "hash" is XXH3 with 64 bits. A directory holds segments NNNNNNNNNNNNNNNN.wal (their number
 * in 16 hex digits), numbered without gaps. A segment is a header, then batches, then zeros (space reserved in advance):
 *
 *     segment header, 128 bytes              batch header, 64 bytes
 *       0 magic "RGKVWAL1"                     0 magic
 *       8 format version, 4 bytes              8 sequence: + 1 with each batch, over all segments
 *      12 128 (bytes of this header)          16 bytes of the body, 4 bytes: a multiple of 8
 *      16 cluster                             20 number of records, 4 bytes
 *      24 group                               24 term   \
 *      32 incarnation                         32 vote    | the hard state after this batch
 *      40 member                              40 commit /
 *      48 number of this segment              48 hash of the body
 *      56 oldest segment still needed         56 hash of bytes 0 … 55, seeded with
 *      64 base: index before the first             (the header hash of the segment) xor (file offset)
 *      72 term of the base
 *      80 sequence of the first batch         record: one log entry, starts and ends at a multiple of 8
 *      88 term   \                              0 payload length, 4 bytes
 *      96 vote    | hard state at the start     4 kind (enum raft_entry_kind), 4 bytes
 *     104 commit /                              8 term
 *     112 zero                                 16 index
 *     120 hash of bytes 0 … 119                24 payload, zeros up to a multiple of 8
 *
 * Why so: one checksum per batch, since a batch is written and synced as a whole, and is kept or cut as a whole. The
 * seed ties a batch header to its place: the same bytes elsewhere (a copy of this very log inside a value, blocks of a
 * deleted segment) are not a header. The hard state is in every batch, so one sync covers it and the entries.
 *
 * A record whose index is at or below the last one replaces that entry and all after it. A segment never holds an
 * entry at or below its own base: a truncation that reaches that far starts a new segment. So each segment with those
 * after it is a log of its own, and those before it can go. */
#ifndef RGKV_STORE_WAL_FORMAT_H
#define RGKV_STORE_WAL_FORMAT_H

#include "raft/raft.h"
#include "store/wal.h"

#define WAL_FORMAT_VERSION 1u
#define WAL_SEGMENT_HEADER_BYTES 128u
#define WAL_BATCH_HEADER_BYTES 64u
#define WAL_RECORD_HEADER_BYTES 24u
#define WAL_BODY_BYTES_MAX (1u << 30)

struct wal_segment_header {
    struct wal_identity id;
    uint64_t number, oldest_needed;
    uint64_t base_index, base_term;
    uint64_t first_sequence;
    struct raft_hard_state hard_state;
};

/* Appends the header to `out`; returns the seed for the segment's batches. */
uint64_t wal_segment_header_encode(const struct wal_segment_header *h, struct buf *out);
/* `file` may go on after the header. DAMAGED, or PROTOCOL: written by another version of this program. */
MUST_USE enum rgkv_err wal_segment_header_decode(struct bytes file, struct wal_segment_header *ret_h, uint64_t *ret_seed);

size_t wal_record_bytes(const struct raft_entry *e);
/* Appends one record. */
void wal_record_encode(const struct raft_entry *e, struct buf *out);

struct wal_record {
    uint64_t index, term;
    enum raft_entry_kind kind;
    struct bytes payload; /* a view into the body */
};

/* Takes the next record from the front of `body`; false when `body` is empty or, with *ret_ok false, makes no sense. */
bool wal_record_next(struct bytes *body, struct wal_record *ret_record, bool *ret_ok);

struct wal_place {      /* what a batch header is bound to */
    uint64_t seed;      /* the segment's */
    uint64_t offset;    /* in the file */
    uint64_t sequence;
};

/* Fills the header at the start of `batch`, whose body follows. */
void wal_batch_seal(uint8_t *batch, size_t len, uint32_t n_records, const struct wal_place *place,
                    const struct raft_hard_state *hard_state);

/* The header of the batch that must be at this place. false: it is not there. *ret_bytes: of the whole batch. */
bool wal_batch_header(struct bytes header, const struct wal_place *place, uint64_t *ret_bytes);
/* The batch whose header that was, all of its bytes. false: its body is not what was written. */
bool wal_batch_body(struct bytes batch, struct bytes *ret_body);

struct wal_scan {
    struct bytes file;
    struct wal_place next; /* where the next batch must be */
};

struct wal_found {
    struct raft_hard_state hard_state;
    uint32_t n_records;
    struct bytes body;
};

enum wal_scanned {
    WAL_BATCH,    /* one more batch */
    WAL_END,      /* nothing more: the end of the file, or zeros up to it */
    WAL_TORN,     /* the batch at next.offset is no good, and nothing valid comes later in this file */
    WAL_DAMAGED,  /* it is no good, but a later batch was written: that was not the last one (P22) */
};

void wal_scan_init(struct wal_scan *s, struct bytes file, uint64_t seed, uint64_t first_sequence);
/* After anything but WAL_BATCH the scan stays where it is. */
enum wal_scanned wal_scan_next(struct wal_scan *s, struct wal_found *ret_found);

#endif
