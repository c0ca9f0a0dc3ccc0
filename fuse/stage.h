/* What is written but not sent: the staging of one open file (FILESYSTEM section "When a write becomes a Put"). Pure.
 *
 * A stage is a log of ranges in the order they were written, on top of one of two bases:
 *
 *     whole     nothing: the value begins anew (O_TRUNC, ftruncate 0, creation). Sent as one Put
 *     !whole    the value that is there. Sent as one Patch: only the ranges travel
 *     spilled   what was sent ahead of the commit, in pieces (spill.h): a value too large for one Put. Its rest is one more piece
 *
 * What begins on an empty or absent value without O_TRUNC is `whole` and `fresh`: sent as Put-if-empty; when that loses the race,
 * stage_lost_race turns it into a Patch of the winner's value (if it is not spilled).
 *
 * The log form makes three things cheap: a write that failed is taken back (stage_undo), a commit that failed is put
 * under what was written since (stage_put_under), and nothing is copied until it is sent. */
#ifndef RGKV_FUSE_STAGE_H
#define RGKV_FUSE_STAGE_H

#include "kv/kv.h"

struct stage {
    bool whole, fresh, spilled;    /* never whole and spilled; fresh only with one of them */
    bool resized;              /* !whole: the value's size is set to `length` before the ranges are written */
    bool written;              /* there is data: a flush must send it */
    uint64_t length;           /* whole: the size of the value */
    uint64_t set_size;         /* whole: what a resize has set it to, before the writes behind that; 0: none */
    unsigned n, cap;
    struct kv_range *ranges;
    struct buf data;           /* of the ranges, concatenated */
    struct buf packed;         /* scratch of stage_request */
    unsigned packs;            /* how often the log was packed: marks from before are void */
};
static inline bool stage_empty(const struct stage *s) { return !s->whole && !s->spilled && !s->resized && !s->n; }
void stage_release(struct stage *s); /* empty again */

/* Does a write of this shape commit at once? Short ones do: shells ignore what close says (the 4,096 rule). */
bool stage_commits(uint64_t offset, size_t len);

void stage_create(struct stage *s, bool truncate); /* a file that is not there: O_CREAT with or without O_TRUNC */
void stage_clear(struct stage *s);                 /* O_TRUNC, ftruncate(0) */
/* TOO_LARGE: over the limit of a value. BUSY: it is full. A Patch is to be committed, anything else to be taken, then it fits. */
MUST_USE enum rgkv_err stage_write(struct stage *s, uint64_t offset, struct bytes data);
MUST_USE enum rgkv_err stage_resize(struct stage *s, uint64_t length); /* ftruncate(n); errors as stage_write's */

struct stage_mark {
    unsigned n, packs;
    uint32_t last_len;
    size_t data_len;
    uint64_t length;
    bool written;
};
struct stage_mark stage_mark(const struct stage *s);
void stage_undo(struct stage *s, const struct stage_mark *m); /* back to the mark: only stage_writes in between */

/* The size of the value once the stage is committed on a value of `base` bytes. */
uint64_t stage_size(const struct stage *s, uint64_t base);
/* What to send: op, flags, data, ranges and length of `q`, borrowed from the stage until it changes. */
void stage_request(struct stage *s, struct kv_request *q);
void stage_lost_race(struct stage *s);
/* Takes out what is staged, as the ranges, data and size of a Patch on what was taken before: now it is spilled. Not for a Patch.
 * q borrows from *ret_ranges and *ret_data, which are the caller's. */
void stage_take(struct stage *s, struct kv_request *q, struct kv_range **ret_ranges, struct buf *ret_data);
/* `earlier` is what could not be sent and comes first; it is released. */
MUST_USE enum rgkv_err stage_put_under(struct stage *s, struct stage *earlier);
/* Applies the stage to a value held in memory. */
void stage_apply(const struct stage *s, struct buf *value);

#endif
