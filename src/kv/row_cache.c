#include "kv/row_cache.h"

#ifndef ROW_CACHE_PLACES          /* the fuzzers open machines by the million */
#define ROW_CACHE_PLACES 16384u   /* a power of two */
#endif
#define ROW_BYTES_MAX 1024u    /* key and value; larger rows are not kept */

struct place {
    uint64_t hash;             /* of the key; 0: empty */
    uint16_t key_len, value_len, room;
    bool absent;
    uint8_t *bytes;            /* key, then value */
};
struct row_cache {
    struct place places[ROW_CACHE_PLACES];
};

struct row_cache *row_cache_new(void) { return mem_zalloc(sizeof(struct row_cache)); }

void row_cache_free(struct row_cache *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < ROW_CACHE_PLACES; i++)
        if (c->places[i].bytes) /* most are empty, and machines come and go by the thousand in tests */
            mem_free(c->places[i].bytes);
    mem_free(c);
}

static uint64_t key_hash(struct bytes key) { return hash64(key) | 1; }

static bool place_holds(const struct place *p, uint64_t hash, struct bytes key)
{
    return p->hash == hash && bytes_eq(bytes_of(p->bytes, p->key_len), key);
}

enum row_cached row_cache_get(const struct row_cache *c, struct bytes key, struct buf *out)
{
    uint64_t hash = key_hash(key);
    const struct place *p = &c->places[(hash >> 1) % ROW_CACHE_PLACES];
    if (!place_holds(p, hash, key))
        return ROW_NOT_CACHED;
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

void row_cache_put(struct row_cache *c, struct bytes key, struct bytes value)
{
    uint64_t hash = key_hash(key);
    struct place *p = &c->places[(hash >> 1) % ROW_CACHE_PLACES];
    if (key.len + value.len > ROW_BYTES_MAX) {
        if (place_holds(p, hash, key))
            p->hash = 0; /* what it says is old now */
        return;
    }
    place_fill(p, hash, key, value);
    p->absent = false;
}

void row_cache_put_absent(struct row_cache *c, struct bytes key)
{
    uint64_t hash = key_hash(key);
    struct place *p = &c->places[(hash >> 1) % ROW_CACHE_PLACES];
    if (key.len > ROW_BYTES_MAX)
        return;
    place_fill(p, hash, key, BYTES_EMPTY);
    p->absent = true;
}

void row_cache_clear(struct row_cache *c)
{
    for (unsigned i = 0; i < ROW_CACHE_PLACES; i++)
        c->places[i].hash = 0;
}
