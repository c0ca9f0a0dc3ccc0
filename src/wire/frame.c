/* The checksum's input is not contiguous (it leaves itself out) and bulks are large, so it is two steps: XXH3 of the
 * 40 header bytes around it seeds XXH3 of everything behind the header. */
#include "wire/frame.h"

#define CHECKSUM_AT 32u
#define RESERVED_AT 40u

static const uint8_t magic[4] = {'R', 'G', 'K', 'V'};

static uint64_t le_read(const uint8_t *from, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)from[i] << (8 * i);
    return v;
}

static void le_write(uint8_t *to, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

enum rgkv_err frame_header_read(const uint8_t bytes[FRAME_HEADER_BYTES], struct frame_header *ret_h)
{
    struct frame_header h = {
        .kind = bytes[5],
        .id = le_read(bytes + 8, 8),
        .cluster = le_read(bytes + 16, 8),
        .body_bytes = (uint32_t)le_read(bytes + 24, 4),
        .bulk_bytes = (uint32_t)le_read(bytes + 28, 4),
    };
    bool ours = memcmp(bytes, magic, sizeof(magic)) == 0 && bytes[4] == WIRE_VERSION;
    bool reserved = le_read(bytes + 6, 2) == 0 && le_read(bytes + RESERVED_AT, 8) == 0;
    if (!ours || !reserved || h.body_bytes > FRAME_BODY_BYTES_MAX || h.bulk_bytes > FRAME_BULK_BYTES_MAX)
        return RGKV_PROTOCOL;
    *ret_h = h;
    return RGKV_OK;
}

static uint64_t frame_checksum(const uint8_t *frame, size_t frame_bytes)
{
    uint8_t around[CHECKSUM_AT + 8];
    memcpy(around, frame, CHECKSUM_AT);
    memcpy(around + CHECKSUM_AT, frame + RESERVED_AT, 8);
    uint64_t seed = hash64(bytes_of(around, sizeof(around)));
    return hash64_seeded(bytes_of(frame + FRAME_HEADER_BYTES, frame_bytes - FRAME_HEADER_BYTES), seed);
}

void frame_seal(const struct frame_header *h, uint8_t *frame, size_t frame_bytes)
{
    ASSERT(h->body_bytes <= FRAME_BODY_BYTES_MAX && h->bulk_bytes <= FRAME_BULK_BYTES_MAX);
    ASSERT(frame_bytes == (size_t)FRAME_HEADER_BYTES + h->body_bytes + h->bulk_bytes);
    memcpy(frame, magic, sizeof(magic));
    frame[4] = WIRE_VERSION;
    frame[5] = h->kind;
    le_write(frame + 6, 0, 2);
    le_write(frame + 8, h->id, 8);
    le_write(frame + 16, h->cluster, 8);
    le_write(frame + 24, h->body_bytes, 4);
    le_write(frame + 28, h->bulk_bytes, 4);
    le_write(frame + RESERVED_AT, 0, 8);
    le_write(frame + CHECKSUM_AT, frame_checksum(frame, frame_bytes), 8);
}

bool frame_sealed(struct bytes frame)
{
    return frame.len >= FRAME_HEADER_BYTES &&
           le_read(frame.data + CHECKSUM_AT, 8) == frame_checksum(frame.data, frame.len);
}
