/* What the writers of first corpora share. */
#ifndef RGKV_TESTS_FUZZ_SEEDS_H
#define RGKV_TESTS_FUZZ_SEEDS_H

#include "base/bytes.h"

/* DIR/NAME-NUMBER: the first byte, then the content. Ends the program if it cannot be written. */
void seed_write(const char *dir, const char *name, unsigned number, uint8_t choice, struct bytes content);
void store_seeds(const char *wal_dir, const char *rows_dir);

#endif
