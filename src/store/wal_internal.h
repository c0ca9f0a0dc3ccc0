/* What wal.c (writing), wal_open.c (recovery) and wal_read.c share. */
#ifndef RGKV_STORE_WAL_INTERNAL_H
#define RGKV_STORE_WAL_INTERNAL_H

#include "store/wal_format.h"
#include "store/wal_terms.h"

#define WAL_SEGMENT_BYTES_DEFAULT (16u << 20)
#define WAL_RESERVE_BYTES (16u << 10)          /* kept for hard state when the disk is full: some 256 votes */
#define WAL_ENCODED_KEEP_BYTES (256u << 10)    /* more is given back after the batch that needed it: there are many logs */
#define WAL_PREALLOCATE_BYTES (1u << 20)       /* a segment grows in steps: a sync within a step is cheaper */

struct wal_segment {
    uint64_t number, base_index;
    uint64_t bytes;               /* of header and batches */
};

/* Where the last wal_read ended: the batch that has the next entry, or comes before it. */
struct wal_reading {
    uint64_t number;              /* of the segment; 0: nowhere */
    uint64_t next;                /* the entry after the last one read */
    struct wal_place place;       /* of the batch */
};

struct wal {
    struct vfs *vfs;
    char *dir;
    struct wal_identity id;
    uint64_t segment_bytes;
    struct wal_segment *segments; /* oldest first, numbers without gaps; batches go to the last */
    size_t n_segments, cap_segments;
    uint64_t bytes;               /* of all segments; atomic, for wal_bytes */
    struct vfs_file *file;        /* of the last segment */
    uint64_t seed;
    uint64_t reserved;            /* the file has space up to here */
    uint64_t next_sequence;
    struct raft_hard_state hard_state; /* its commit may be ahead of what is written */
    struct wal_terms terms;
    struct buf encoded;           /* the batch that is being written: a header, records */
    struct wal_reading reading;
    bool broken;                  /* a sync or a write failed: for ever */
    struct buf why;
};

static inline struct wal_segment *wal_last_segment(struct wal *w) { return &w->segments[w->n_segments - 1]; }

/* "<dir>/<name>", with its NUL, in *out (cleared first). */
const char *wal_path(const struct wal *w, const char *name, struct buf *out);
const char *wal_segment_path(const struct wal *w, uint64_t number, struct buf *out);
void wal_segments_push(struct wal *w, const struct wal_segment *s);
void wal_bytes_add(struct wal *w, uint64_t bytes);

struct wal_segment_start {
    uint64_t base_index, base_term;
    bool alone;                /* older segments are not needed */
    uint64_t oldest_needed;    /* unless alone */
    struct raft_hard_state hard_state;
    const struct wal_batch *batch; /* to go in with the header, and w->encoded has it; or NULL */
    struct raft_hard_state after_batch;
};

/* Starts the next segment and makes it the last: durable when it returns OK. NO_SPACE and not w->broken: nothing changed;
 * any other error breaks the log. w->why says why. */
MUST_USE enum rgkv_err wal_segment_start(struct wal *w, const struct wal_segment_start *start);
/* Reserves space in the last segment up to at least `to`. */
MUST_USE enum rgkv_err wal_reserve(struct wal *w, uint64_t to);
/* The reserve for hard state; that it cannot be had is found out again by the next batch. */
void wal_reserve_if_possible(struct wal *w);

#endif
