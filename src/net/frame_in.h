/* Bytes of a stream in, whole frames out.
 *
 *     to = frame_in_room(f, scratch, &len)    where the next read goes
 *     frame_in_filled(f, scratch, n)          n bytes were read there
 *     frame_in_next(f, &frame) …              whole frames, borrowed; an empty one: no more
 *     frame_in_keep(f)                        always last: remembers the beginning of the next frame
 *
 * Small frames are taken from the scratch block that all connections of a loop share, so that an idle connection costs no
 * memory; a frame larger than the scratch grows in memory of its own, only as its bytes really arrive. A frame's
 * announced size is checked (frame_size) before a byte is stored for it. */
#ifndef RGKV_NET_FRAME_IN_H
#define RGKV_NET_FRAME_IN_H

#include "wire/msg.h"

#define FRAME_SCRATCH_BYTES (256u << 10)

struct frame_scratch {
    uint8_t bytes[FRAME_SCRATCH_BYTES];
};

struct frame_in {
    struct buf partial;  /* a frame that is not whole yet */
    size_t need;         /* its size, 0 while its header is not whole */
    struct bytes view;   /* between filled and keep: what was not taken yet */
};

void frame_in_release(struct frame_in *f);
uint8_t *frame_in_room(struct frame_in *f, struct frame_scratch *scratch, size_t *ret_len);
void frame_in_filled(struct frame_in *f, struct frame_scratch *scratch, size_t n);
/* PROTOCOL: what begins here is no frame of ours; the connection is lost. */
MUST_USE enum rgkv_err frame_in_next(struct frame_in *f, struct bytes *ret_frame);
void frame_in_keep(struct frame_in *f);
/* Bytes of memory held. */
static inline size_t frame_in_held(const struct frame_in *f) { return f->partial.cap; }
static inline bool frame_in_started(const struct frame_in *f) { return f->partial.len > 0; }

#endif
