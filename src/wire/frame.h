/* The header of a frame (layout: msg.h) and its checksum. Knows sizes, not kinds: what a kind may hold is its codec's. */
#ifndef RGKV_WIRE_FRAME_H
#define RGKV_WIRE_FRAME_H

#include "wire/msg.h"

struct frame_header {
    uint8_t kind;
    uint64_t id, cluster;
    uint32_t body_bytes, bulk_bytes;
};

/* PROTOCOL: magic, version, reserved bits, or a length over its limit. The kind and the checksum are not looked at. */
MUST_USE enum rgkv_err frame_header_read(const uint8_t bytes[FRAME_HEADER_BYTES], struct frame_header *ret_h);
/* The header, and the checksum over it and everything behind it: `frame` is whole but for its first 48 bytes. */
void frame_seal(const struct frame_header *h, uint8_t *frame, size_t frame_bytes);
bool frame_sealed(struct bytes frame); /* the checksum fits */

#endif
