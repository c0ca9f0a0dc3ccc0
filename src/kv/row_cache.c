/* It begins small and doubles instead of driving a row out, up to its bound: what a replica with few rows has is a few kilobytes, and
 * opening and closing it costs as little. */
#include "kv/row_cache.h"

#ifndef ROW_CACHE_PLACES          /* the fuzzers open machines by the million */
#define ROW_CACHE_PLACES 16384u   /* a power of two */
#endif
#define SET_PLACES 4u          /* so that a few rows of the same set do not drive each other out */
#define SETS_MAX (ROW_CACHE_PLACES / SET_PLACES)
#define SETS_FIRST MIN(32u, SETS_MAX)
#define ROW_BYTES_MAX 1024u    /* key and value; larger rows are not kept */

struct place {
    uint64_t hash;             /* of the key; 0: empty */
    uint16_t key_len, value_len, room;
    bool absent;
    uint8_t *bytes;            /* key, then value */
};
struct set {
    struct place places[SET_PLACES]; /* the one filled last comes first */
};
struct row_cache {
    struct set *sets;
    unsigned n;                /* a power of two */
};
static_assert((ROW_CACHE_PLACES & (ROW_CACHE_PLACES - 1)) == 0 && SETS_MAX > 0, "sets double");

struct row_cache *row_cache_new(void)
{
    struct row_cache *c = mem_alloc(sizeof(*c));
    *c = (struct row_cache){.sets = mem_zalloc(SETS_FIRST * sizeof(*c->sets)), .n = SETS_FIRST};
    return c;
}

static void set_release(struct set *s)
{
    for (unsigned i = 0; i < SET_PLACES; i++)
        if (s->places[i].bytes) /* most are empty, and machines come and go by the thousand in tests */
            mem_free(s->places[i].bytes);
}

void row_cache_free(struct row_cache *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < c->n; i++)
        set_release(&c->sets[i]);
    mem_free(c->sets);
    mem_free(c);
}

static uint64_t key_hash(struct bytes key) { return hash64(key) | 1; }

static struct set *set_of(const struct row_cache *c, uint64_t hash) { return &c->sets[(hash >> 1) & (c->n - 1)]; }

static bool place_holds(const struct place *p, uint64_t hash, struct bytes key)
{
    return p->hash == hash && bytes_eq(bytes_of(p->bytes, p->key_len), key);
}

/* SET_PLACES: it is in none of them. */
static unsigned place_of(const struct set *s, uint64_t hash, struct bytes key)
{
    unsigned at = 0;
    while (at < SET_PLACES && !place_holds(&s->places[at], hash, key))
        at++;
    return at;
}

/* The key's place, or else the last one, moved to the front. */
static struct place *place_take(struct set *s, uint64_t hash, struct bytes key)
{
    unsigned at = MIN(place_of(s, hash, key), SET_PLACES - 1);
    struct place taken = s->places[at];
    memmove(s->places + 1, s->places, at * sizeof(taken));
    s->places[0] = taken;
    return &s->places[0];
}

enum row_cached row_cache_get(const struct row_cache *c, struct bytes key, struct buf *out)
{
    uint64_t hash = key_hash(key);
    const struct set *s = set_of(c, hash);
    unsigned at = place_of(s, hash, key);
    if (at == SET_PLACES)
        return ROW_NOT_CACHED;
    const struct place *p = &s->places[at];
    if (p->absent)
        return ROW_CACHED_ABSENT;
    buf_put(out, bytes_of(p->bytes + p->key_len, p->value_len));
    return ROW_CACHED;
}

static void place_fill(struct place *p, uint64_t hash, struct bytes key, struct bytes value)
{
    size_t need = key.len + value.len;
    if (p->room < need) {
        p->bytes = mem_realloc(p->bytes, need);
        p->room = (uint16_t)need;
    }
    p->hash = hash;
    p->key_len = (uint16_t)key.len;
    p->value_len = (uint16_t)value.len;
    memcpy(p->bytes, key.data, key.len);
    if (value.len)
        memcpy(p->bytes + key.len, value.data, value.len);
}

static void set_forget(struct set *s, uint64_t hash, struct bytes key)
{
    unsigned at = place_of(s, hash, key);
    if (at < SET_PLACES)
        s->places[at].hash = 0;
}

/* Its rows, in their order, go to the two sets that share its place in a table twice as large. */
static void set_split(struct row_cache *wider, struct set *s)
{
    struct set *first = NULL;
    unsigned n = 0, n_other = 0;
    for (unsigned i = 0; i < SET_PLACES; i++) {
        struct place *p = &s->places[i];
        if (!p->hash) {
            mem_free(p->bytes);
            continue;
        }
        struct set *to = set_of(wider, p->hash);
        first = first ? first : to;
        to->places[to == first ? n++ : n_other++] = *p;
    }
}

static void grow(struct row_cache *c)
{
    struct row_cache wider = {.sets = mem_zalloc(2 * c->n * sizeof(*c->sets)), .n = 2 * c->n};
    for (unsigned i = 0; i < c->n; i++)
        set_split(&wider, &c->sets[i]);
    mem_free(c->sets);
    *c = wider;
}

/* The key's set, with its place in it or room for one more as far as there may be. */
static struct set *set_for(struct row_cache *c, uint64_t hash, struct bytes key)
{
    struct set *s = set_of(c, hash);
    while (c->n < SETS_MAX && s->places[SET_PLACES - 1].hash && place_of(s, hash, key) == SET_PLACES) {
        grow(c);
        s = set_of(c, hash);
    }
    return s;
}

static void row_put(struct row_cache *c, struct bytes key, struct bytes value, bool absent)
{
    uint64_t hash = key_hash(key);
    if (key.len + value.len > ROW_BYTES_MAX) {
        set_forget(set_of(c, hash), hash, key);
        return;
    }
    struct place *p = place_take(set_for(c, hash, key), hash, key);
    place_fill(p, hash, key, value);
    p->absent = absent;
}

void row_cache_put(struct row_cache *c, struct bytes key, struct bytes value) { row_put(c, key, value, false); }
void row_cache_put_absent(struct row_cache *c, struct bytes key) { row_put(c, key, BYTES_EMPTY, true); }

void row_cache_clear(struct row_cache *c)
{
    for (unsigned i = 0; i < c->n; i++)
        for (unsigned j = 0; j < SET_PLACES; j++)
            c->sets[i].places[j].hash = 0;
}
