/* Input: u8 {kind in the low bits, FUZZ_RAW}, then a frame. Repaired are: header, checksum, and the body's preamble and
 * row counts, after the model of a legal message of the kind. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/wire_frame.h"
#include "tests/unit/wire_random.h"

#include <stdlib.h>

static struct bytes model_frame(enum msg_kind kind)
{
    static struct buf models[MSG_KIND_COUNT];
    struct prng p;
    struct arena a = {0};
    struct msg m;
    if (models[kind].len)
        return buf_bytes(&models[kind]);
    prng_init(&p, 1);
    random_msg(&p, kind, &a, &m);
    msg_encode(&m, &models[kind]);
    msg_release(&m);
    arena_release(&a);
    return buf_bytes(&models[kind]);
}

static void frame_fix(uint8_t *frame, size_t size, enum msg_kind kind)
{
    size_t image_bytes = 0, behind = size - FRAME_HEADER_BYTES;
    struct bytes model = model_frame(kind), image = bytes_from(model, FRAME_HEADER_BYTES);
    memcpy(frame, model.data, 8);
    memset(frame + 40, 0, 8);
    if (!image_fix(frame + FRAME_HEADER_BYTES, behind, image, &image_bytes))
        image_bytes = behind;
    le32_set(frame + 24, (uint32_t)image_bytes);
    le32_set(frame + 28, (uint32_t)(behind - image_bytes));
    frame_reseal(frame, size);
}

static void decode_and_compare(struct bytes frame)
{
    struct arena a = {0};
    struct msg m;
    if (msg_decode(frame, &a, &m) == RGKV_OK) {
        struct buf again = {0};
        size_t bytes = 0;
        msg_encode(&m, &again);
        ASSERT(bytes_eq(buf_bytes(&again), frame));
        ASSERT(frame_size(frame.data, &bytes) == RGKV_OK && bytes == frame.len);
        buf_release(&again);
        msg_release(&m);
    }
    arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t choice = data[0];
    struct bytes input = bytes_of(data + 1, size - 1);
    uint8_t *frame = exact_copy(input);
    if (!(choice & FUZZ_RAW) && input.len >= FRAME_HEADER_BYTES)
        frame_fix(frame, input.len, 1 + choice % (MSG_KIND_COUNT - 1));
    decode_and_compare(bytes_of(frame, input.len));
    free(frame);
    return 0;
}
