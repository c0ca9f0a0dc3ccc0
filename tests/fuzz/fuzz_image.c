/* Input: u8 {how many tables, how large their rows}, then a tpl image as it stands: nothing is repaired and there is no frame around it, so
 * that everything tpl steers by is the fuzzer's. What the guard lets in is read as it lies; packed again, by tpl, it is the same image. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image_shape.h"
#include "tests/unit/wire_frame.h"

#include <stdlib.h>

static void pack_again(struct body_in *in, struct buf *again)
{
    struct body_out o;
    body_out_begin(&o, in->shape, in->rows, again);
    for (unsigned i = 0; i < in->shape->numbers; i++)
        put_number(&o, take_number(in));
    for (unsigned t = 0; t < in->shape->n_tables; t++)
        while (in->rows_left[t])
            put_row(&o, t, take_row(in, t));
    body_out_end(&o);
}

static void load(struct bytes image, const struct shape *s)
{
    struct body_in in;
    struct arena a = {0};
    struct buf again = {0};
    if (body_in_begin(&in, s, image, BYTES_EMPTY, &a)) {
        pack_again(&in, &again);
        ASSERT(body_in_end(&in) && bytes_eq(buf_bytes(&again), image));
    }
    buf_release(&again);
    arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct shape s = fuzz_image_shape(data[0]);
    struct bytes input = bytes_of(data + 1, size - 1);
    uint8_t *image = exact_copy(input);
    load(bytes_of(image, input.len), &s);
    free(image);
    return 0;
}
