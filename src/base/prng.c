#include "base/prng.h"

static uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

void prng_init(struct prng *p, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        p->s[i] = z ^ (z >> 31);
    }
}

uint64_t prng_next(struct prng *p)
{
    uint64_t *s = p->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *p, uint64_t n)
{
    ASSERT(n > 0);
    return (uint64_t)(((unsigned __int128)prng_next(p) * n) >> 64);
}

uint64_t prng_between(struct prng *p, uint64_t lo, uint64_t hi)
{
    ASSERT(lo <= hi && hi - lo < UINT64_MAX);
    return lo + prng_below(p, hi - lo + 1);
}

bool prng_chance(struct prng *p, unsigned parts, unsigned of) { return prng_below(p, of) < parts; }
