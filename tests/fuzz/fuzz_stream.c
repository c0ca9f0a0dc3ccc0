/* Input: a stream of frames as it comes in; its first byte says how large the pieces are. Whatever the pieces, the frames are
 * the same, in order, and no byte is kept that was not announced by a header that makes sense. */
#include "net/frame_in.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static struct frame_scratch scratch;

/* Bytes of whole frames taken, and their hash; *ret_err: how it ended. */
static size_t stream(struct bytes in, size_t piece, uint64_t *ret_hash, enum rgkv_err *ret_err)
{
    struct frame_in f = {0};
    struct bytes frame = BYTES_EMPTY;
    size_t taken = 0;
    *ret_hash = 0;
    *ret_err = RGKV_OK;
    while (in.len && !*ret_err) {
        size_t room;
        uint8_t *to = frame_in_room(&f, &scratch, &room);
        struct bytes now = bytes_first(in, MIN(MIN(piece, room), in.len));
        memcpy(to, now.data, now.len);
        in = bytes_from(in, now.len);
        frame_in_filled(&f, &scratch, now.len);
        while (!(*ret_err = frame_in_next(&f, &frame)) && frame.len) {
            size_t announced;
            ASSERT(frame_size(frame.data, &announced) == RGKV_OK && announced == frame.len);
            *ret_hash = hash64_seeded(frame, *ret_hash);
            taken += frame.len;
        }
        if (!*ret_err)
            frame_in_keep(&f);
        ASSERT(frame_in_held(&f) <= 2 * ((size_t)FRAME_BODY_BYTES_MAX + FRAME_BULK_BYTES_MAX + FRAME_HEADER_BYTES));
    }
    frame_in_release(&f);
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct bytes input = bytes_of(data + 1, size - 1);
    uint64_t pieces_hash, whole_hash;
    enum rgkv_err pieces_err, whole_err;
    size_t pieces = stream(input, 1 + data[0] % 64, &pieces_hash, &pieces_err);
    size_t whole = stream(input, SIZE_MAX, &whole_hash, &whole_err);
    ASSERT(pieces == whole && pieces_hash == whole_hash && pieces_err == whole_err);
    return 0;
}
