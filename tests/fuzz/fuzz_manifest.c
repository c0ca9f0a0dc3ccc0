/* Input: u8 {FUZZ_RAW}, then a manifest file. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/wire_frame.h"
#include "tests/unit/wire_random.h"

#include <stdlib.h>

#define HEADER_BYTES 24u

static void manifest_fix(uint8_t *file, size_t size)
{
    struct manifest *m = mem_zalloc(sizeof(*m));
    struct buf model = {0};
    size_t image_bytes = 0, behind = size - HEADER_BYTES;
    manifest_encode(m, &model);
    memcpy(file, model.data, 8);
    if (!image_fix(file + HEADER_BYTES, behind, bytes_from(buf_bytes(&model), HEADER_BYTES), &image_bytes))
        image_bytes = behind;
    le32_set(file + 8, (uint32_t)image_bytes);
    le32_set(file + 12, (uint32_t)(behind - image_bytes));
    manifest_reseal(file, size);
    buf_release(&model);
    mem_free(m);
}

static void decode_and_compare(struct bytes file)
{
    struct manifest *m = mem_alloc(sizeof(*m));
    if (manifest_decode(file, m) == RGKV_OK) {
        struct buf again = {0};
        manifest_encode(m, &again);
        ASSERT(bytes_eq(buf_bytes(&again), file));
        buf_release(&again);
    }
    mem_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct bytes input = bytes_of(data + 1, size - 1);
    uint8_t *file = exact_copy(input);
    if (!(data[0] & FUZZ_RAW) && input.len >= HEADER_BYTES)
        manifest_fix(file, input.len);
    decode_and_compare(bytes_of(file, input.len));
    free(file);
    return 0;
}
