/* The fuzzers share one entry point, libFuzzer's; replay_main.c calls the same on files, without clang.
 *
 *     fuzz_frame      frames as a peer would send them
 *     fuzz_command    payloads of log entries
 *     fuzz_image      tpl images by themselves
 *     fuzz_manifest   the manifest file
 *     fuzz_wal        a segment of the write-ahead log
 *     fuzz_rows       rows of snapshots and moving shards, and the machines that are opened on them
 *     fuzz_text       what is written to control files
 *     fuzz_stream     frames in pieces
 *     fuzz_options    command lines, of rgkvd and (FUZZ_MOUNT) rgkvfs
 *
 * Each repairs what would stop nearly every input at the door (checksums, lengths, tpl's preamble), unless the first
 * byte says not to, and holds the decoders to one promise beyond not crashing: what they let in is, byte for byte, what
 * the encoder would have written. Inputs are copied to blocks of their own size, so that over-reads are seen. */
#ifndef RGKV_TESTS_FUZZ_H
#define RGKV_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_RAW 0x80u /* of an input's first byte: repair nothing */

#endif
