/* A small deterministic random generator (xoshiro256**, seeded by splitmix64; Blackman and Vigna). The pure
 * layers are given one: the same seed gives the same run. Not for secrets. */
#ifndef RGKV_BASE_PRNG_H
#define RGKV_BASE_PRNG_H

#include "base/base.h"

struct prng {
    uint64_t s[4];
};

void prng_init(struct prng *p, uint64_t seed);
uint64_t prng_next(struct prng *p);
uint64_t prng_below(struct prng *p, uint64_t n);               /* 0 … n - 1, n > 0 */
uint64_t prng_between(struct prng *p, uint64_t lo, uint64_t hi); /* lo … hi, both included */
bool prng_chance(struct prng *p, unsigned parts, unsigned of); /* true in parts of `of` cases */

#endif
