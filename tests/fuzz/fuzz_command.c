/* Input: u8 {family in the low bits, FUZZ_RAW}, then a payload. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/wire_frame.h"
#include "tests/unit/wire_random.h"

#include <stdlib.h>

#define PAYLOAD_HEADER_BYTES 8u

static struct blob *model_payload(unsigned family)
{
    const struct kv_command request = {.kind = KV_REQUEST, .request.op = KV_PUT}, clock = {.kind = KV_CLOCK};
    const struct ctrl_command init = {.op = CTRL_INIT};
    switch (family) {
    case 0: return kv_command_encode(&request);
    case 1: return kv_command_encode(&clock);
    default: return ctrl_command_encode(&init);
    }
}

static void payload_fix(uint8_t *payload, size_t size, unsigned family)
{
    struct blob *model = model_payload(family);
    size_t image_bytes = 0;
    memcpy(payload, model->data, PAYLOAD_HEADER_BYTES);
    if (image_fix(payload + PAYLOAD_HEADER_BYTES, size - PAYLOAD_HEADER_BYTES,
                  bytes_from(blob_bytes(model), PAYLOAD_HEADER_BYTES), &image_bytes))
        le32_set(payload + 4, (uint32_t)image_bytes);
    blob_unref(model);
}

static void same_and_drop(struct blob *again, struct bytes payload)
{
    ASSERT(bytes_eq(blob_bytes(again), payload));
    blob_unref(again);
}

static void decode_and_compare(struct bytes payload)
{
    struct arena a = {0};
    struct kv_command kv;
    struct ctrl_command ctrl;
    if (kv_command_decode(payload, &a, &kv) == RGKV_OK)
        same_and_drop(kv_command_encode(&kv), payload);
    if (ctrl_command_decode(payload, &a, &ctrl) == RGKV_OK)
        same_and_drop(ctrl_command_encode(&ctrl), payload);
    arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t choice = data[0];
    struct bytes input = bytes_of(data + 1, size - 1);
    uint8_t *payload = exact_copy(input);
    if (!(choice & FUZZ_RAW) && input.len >= PAYLOAD_HEADER_BYTES)
        payload_fix(payload, input.len, choice % 3);
    decode_and_compare(bytes_of(payload, input.len));
    free(payload);
    return 0;
}
