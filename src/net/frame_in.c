#include "net/frame_in.h"

#define PARTIAL_IDLE_BYTES 512u        /* memory that an idle connection may keep */
#define PARTIAL_GROW_BYTES (64u << 10)

void frame_in_release(struct frame_in *f)
{
    buf_release(&f->partial);
    *f = (struct frame_in){0};
}

static bool fits_scratch(const struct frame_in *f) { return f->need <= FRAME_SCRATCH_BYTES; }

/* Twice what has come so far at most, never beyond the frame: a peer that announces much and sends little gets little. */
static uint8_t *room_of_its_own(struct frame_in *f, size_t *ret_len)
{
    size_t want = MIN(f->need - f->partial.len, MAX(f->partial.len, PARTIAL_GROW_BYTES));
    uint8_t *to = buf_grow(&f->partial, want);
    f->partial.len -= want;
    *ret_len = want;
    return to;
}

uint8_t *frame_in_room(struct frame_in *f, struct frame_scratch *scratch, size_t *ret_len)
{
    if (!fits_scratch(f))
        return room_of_its_own(f, ret_len);
    if (f->partial.len)
        memcpy(scratch->bytes, f->partial.data, f->partial.len);
    *ret_len = FRAME_SCRATCH_BYTES - f->partial.len;
    return scratch->bytes + f->partial.len;
}

void frame_in_filled(struct frame_in *f, struct frame_scratch *scratch, size_t n)
{
    if (fits_scratch(f)) {
        f->view = bytes_of(scratch->bytes, f->partial.len + n);
        return;
    }
    f->partial.len += n;
    f->view = buf_bytes(&f->partial);
}

enum rgkv_err frame_in_next(struct frame_in *f, struct bytes *ret_frame)
{
    size_t size = 0;
    if (f->view.len >= FRAME_HEADER_BYTES) {
        enum rgkv_err err = frame_size(f->view.data, &size);
        if (err)
            return err;
    }
    f->need = size;
    if (size == 0 || f->view.len < size) {
        *ret_frame = BYTES_EMPTY;
        return RGKV_OK;
    }
    *ret_frame = bytes_first(f->view, size);
    f->view = bytes_from(f->view, size);
    f->need = 0;
    return RGKV_OK;
}

void frame_in_keep(struct frame_in *f)
{
    struct bytes rest = f->view;
    f->view = BYTES_EMPTY;
    if (rest.len && rest.data == f->partial.data)
        return; /* a large frame that goes on growing where it is */
    buf_clear(&f->partial);
    if (rest.len)
        buf_put(&f->partial, rest);
    else if (f->partial.cap > PARTIAL_IDLE_BYTES)
        buf_release(&f->partial);
}
