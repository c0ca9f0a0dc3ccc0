/* Tools for tests and fuzzers that change encoded bytes and still want to get past the outer checks: where things are in a
 * frame and a tpl image (worked out here again from the documented formats, not with the code under test). */
#ifndef RGKV_TESTS_WIRE_FRAME_H
#define RGKV_TESTS_WIRE_FRAME_H

#include "wire/msg.h"

uint8_t *exact_copy(struct bytes b);                 /* malloc'ed at exactly its size: an over-read is seen */
void le32_set(uint8_t *to, uint32_t v);
uint32_t le32_get(const uint8_t *from);
void le64_set(uint8_t *to, uint64_t v);
uint64_t le64_get(const uint8_t *from);

void frame_reseal(uint8_t *frame, size_t frame_bytes);       /* sets the checksum right */
void manifest_reseal(uint8_t *file, size_t file_bytes);
uint8_t *frame_number(uint8_t *frame, unsigned i);           /* the i-th number of its body; little-endian machines only */
uint8_t *frame_row_count(uint8_t *frame, unsigned table);    /* where a table's count is; its first row is behind it */

/* Makes the beginning of `in` an image of the same shape as `model`: its preamble, and row counts that fit into what
 * is there. False if `in` is too short. The rest is for the caller to use as bulk. */
bool image_fix(uint8_t *in, size_t in_bytes, struct bytes model, size_t *ret_image_bytes);

#endif
