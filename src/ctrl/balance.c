/* Every group gets floor(nshards / groups) shards, and the remainder goes, one each, to the groups that have the most already.
 *
 * Why that is minimal: a group with count c and quota q keeps min(c, q) shards. One of the remainder raises what a group
 * keeps only if c > floor, and then by exactly one; so giving it to the groups with the largest counts keeps the most, and
 * every shard that is not kept has to move in any balanced assignment. Ties are broken by gid and shard number only. */
#include "ctrl/balance.h"

#include <stdlib.h>

struct seat {
    uint64_t gid;
    uint32_t count; /* shards it has now */
    uint32_t quota; /* shards it shall have */
};

static int by_gid(const void *a, const void *b)
{
    uint64_t x = ((const struct seat *)a)->gid, y = ((const struct seat *)b)->gid;
    return x < y ? -1 : x > y;
}

static int by_count_then_gid(const void *a, const void *b)
{
    const struct seat *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return by_gid(a, b);
}

static struct seat *seat_find(struct seat *seats, unsigned n, uint64_t gid)
{
    struct seat wanted = {.gid = gid};
    return gid ? bsearch(&wanted, seats, n, sizeof(*seats), by_gid) : NULL;
}

static struct seat *seats_new(const uint64_t *shards, uint32_t nshards, const uint64_t *gids, unsigned n)
{
    struct seat *seats = mem_zalloc(n * sizeof(*seats));
    for (unsigned i = 0; i < n; i++) {
        ASSERT(gids[i] > (i ? gids[i - 1] : 0));
        seats[i].gid = gids[i];
    }
    for (uint32_t s = 0; s < nshards; s++) {
        struct seat *seat = seat_find(seats, n, shards[s]);
        if (seat)
            seat->count++;
    }
    return seats;
}

static void seats_share_out(struct seat *seats, unsigned n, uint32_t nshards)
{
    qsort(seats, n, sizeof(*seats), by_count_then_gid);
    for (unsigned i = 0; i < n; i++)
        seats[i].quota = nshards / n + (i < nshards % n);
    qsort(seats, n, sizeof(*seats), by_gid);
}

/* The lowest numbers stay; what a group has beyond its quota becomes free. */
static void release_surplus(uint64_t *shards, uint32_t nshards, struct seat *seats, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        seats[i].count = 0;
    for (uint32_t s = 0; s < nshards; s++) {
        struct seat *seat = seat_find(seats, n, shards[s]);
        if (seat && seat->count < seat->quota)
            seat->count++;
        else
            shards[s] = 0;
    }
}

static void fill_up(uint64_t *shards, uint32_t nshards, struct seat *seats, unsigned n)
{
    unsigned next = 0;
    for (uint32_t s = 0; s < nshards; s++) {
        if (shards[s])
            continue;
        while (seats[next].count == seats[next].quota)
            next++;
        ASSERT(next < n);
        shards[s] = seats[next].gid;
        seats[next].count++;
    }
}

void ctrl_balance(uint64_t *shards, uint32_t nshards, const uint64_t *gids, unsigned n_gids)
{
    if (n_gids == 0) {
        memset(shards, 0, nshards * sizeof(*shards));
        return;
    }
    struct seat *seats = seats_new(shards, nshards, gids, n_gids);
    seats_share_out(seats, n_gids, nshards);
    release_surplus(shards, nshards, seats, n_gids);
    fill_up(shards, nshards, seats, n_gids);
    mem_free(seats);
}
