#include "base/mutant.h"
#include "store/wal_format.h"

#define SEGMENT_MAGIC "RGKVWAL1"
#define BATCH_MAGIC 0xb7a1c4e85d92f30bull

static void put_le32(uint8_t *to, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

static void put_le64(uint8_t *to, uint64_t v)
{
    put_le32(to, (uint32_t)v);
    put_le32(to + 4, (uint32_t)(v >> 32));
}

static uint32_t get_le32(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static uint64_t get_le64(const uint8_t *from) { return get_le32(from) | (uint64_t)get_le32(from + 4) << 32; }

static bool all_zero(struct bytes b)
{
    return b.len == 0 || (b.data[0] == 0 && memcmp(b.data, b.data + 1, b.len - 1) == 0);
}

static void put_hard_state(uint8_t *to, const struct raft_hard_state *h)
{
    put_le64(to, h->term);
    put_le64(to + 8, h->vote);
    put_le64(to + 16, h->commit);
}

static struct raft_hard_state get_hard_state(const uint8_t *from)
{
    return (struct raft_hard_state){.term = get_le64(from), .vote = get_le64(from + 8), .commit = get_le64(from + 16)};
}

uint64_t wal_segment_header_encode(const struct wal_segment_header *h, struct buf *out)
{
    uint8_t *to = buf_grow(out, WAL_SEGMENT_HEADER_BYTES);
    memset(to, 0, WAL_SEGMENT_HEADER_BYTES);
    memcpy(to, SEGMENT_MAGIC, 8);
    put_le32(to + 8, WAL_FORMAT_VERSION);
    put_le32(to + 12, WAL_SEGMENT_HEADER_BYTES);
    put_le64(to + 16, h->id.cluster);
    put_le64(to + 24, h->id.group);
    put_le64(to + 32, h->id.incarnation);
    put_le64(to + 40, h->id.member);
    put_le64(to + 48, h->number);
    put_le64(to + 56, h->oldest_needed);
    put_le64(to + 64, h->base_index);
    put_le64(to + 72, h->base_term);
    put_le64(to + 80, h->first_sequence);
    put_hard_state(to + 88, &h->hard_state);
    uint64_t seed = hash64(bytes_of(to, 120));
    put_le64(to + 120, seed);
    return seed;
}

enum rgkv_err wal_segment_header_decode(struct bytes file, struct wal_segment_header *ret_h, uint64_t *ret_seed)
{
    const uint8_t *from = file.data;
    if (file.len < WAL_SEGMENT_HEADER_BYTES || memcmp(from, SEGMENT_MAGIC, 8) != 0)
        return RGKV_DAMAGED;
    if (get_le64(from + 120) != hash64(bytes_of(from, 120)))
        return RGKV_DAMAGED;
    if (get_le32(from + 8) != WAL_FORMAT_VERSION || get_le32(from + 12) != WAL_SEGMENT_HEADER_BYTES)
        return RGKV_PROTOCOL;
    *ret_h = (struct wal_segment_header){
        .id = {.cluster = get_le64(from + 16), .group = get_le64(from + 24),
               .incarnation = get_le64(from + 32), .member = get_le64(from + 40)},
        .number = get_le64(from + 48),
        .oldest_needed = get_le64(from + 56),
        .base_index = get_le64(from + 64),
        .base_term = get_le64(from + 72),
        .first_sequence = get_le64(from + 80),
        .hard_state = get_hard_state(from + 88),
    };
    *ret_seed = get_le64(from + 120);
    return RGKV_OK;
}

static size_t padded(size_t len) { return (len + 7) & ~(size_t)7; }

size_t wal_record_bytes(const struct raft_entry *e) { return WAL_RECORD_HEADER_BYTES + padded(blob_bytes(e->payload).len); }

void wal_record_encode(const struct raft_entry *e, struct buf *out)
{
    struct bytes payload = blob_bytes(e->payload);
    size_t len = padded(payload.len);
    uint8_t *to = buf_grow(out, WAL_RECORD_HEADER_BYTES + len);
    put_le32(to, (uint32_t)payload.len);
    put_le32(to + 4, (uint32_t)e->kind);
    put_le64(to + 8, e->term);
    put_le64(to + 16, e->index);
    if (payload.len)
        memcpy(to + WAL_RECORD_HEADER_BYTES, payload.data, payload.len);
    memset(to + WAL_RECORD_HEADER_BYTES + payload.len, 0, len - payload.len);
}

bool wal_record_next(struct bytes *body, struct wal_record *ret_record, bool *ret_ok)
{
    *ret_ok = body->len == 0 || body->len >= WAL_RECORD_HEADER_BYTES;
    if (body->len < WAL_RECORD_HEADER_BYTES)
        return false;
    const uint8_t *from = body->data;
    struct bytes rest = bytes_from(*body, WAL_RECORD_HEADER_BYTES);
    uint32_t len = get_le32(from), kind = get_le32(from + 4);
    *ret_ok = len <= rest.len && padded(len) <= rest.len && kind >= RAFT_NOOP && kind <= RAFT_CONFIG;
    if (!*ret_ok)
        return false;
    *ret_record = (struct wal_record){.index = get_le64(from + 16), .term = get_le64(from + 8),
                                      .kind = (enum raft_entry_kind)kind, .payload = bytes_first(rest, len)};
    *body = bytes_from(rest, padded(len));
    return true;
}

static uint64_t header_hash(const uint8_t *header, const struct wal_place *place)
{
    return hash64_seeded(bytes_of(header, 56), place->seed ^ place->offset);
}

void wal_batch_seal(uint8_t *batch, size_t len, uint32_t n_records, const struct wal_place *place,
                    const struct raft_hard_state *hard_state)
{
    ASSERT(len >= WAL_BATCH_HEADER_BYTES && len % 8 == 0 && len - WAL_BATCH_HEADER_BYTES <= WAL_BODY_BYTES_MAX);
    struct bytes body = bytes_of(batch + WAL_BATCH_HEADER_BYTES, len - WAL_BATCH_HEADER_BYTES);
    put_le64(batch, BATCH_MAGIC);
    put_le64(batch + 8, place->sequence);
    put_le32(batch + 16, (uint32_t)body.len);
    put_le32(batch + 20, n_records);
    put_hard_state(batch + 24, hard_state);
    put_le64(batch + 48, hash64(body));
    put_le64(batch + 56, header_hash(batch, place));
}

static bool header_is_of(const uint8_t *header, const struct wal_place *place)
{
    return get_le64(header) == BATCH_MAGIC && get_le64(header + 56) == header_hash(header, place);
}

bool wal_batch_header(struct bytes header, const struct wal_place *place, uint64_t *ret_bytes)
{
    if (header.len < WAL_BATCH_HEADER_BYTES || !header_is_of(header.data, place) || get_le64(header.data + 8) != place->sequence)
        return false;
    *ret_bytes = WAL_BATCH_HEADER_BYTES + (uint64_t)get_le32(header.data + 16);
    return true;
}

bool wal_batch_body(struct bytes batch, struct bytes *ret_body)
{
    *ret_body = bytes_from(batch, WAL_BATCH_HEADER_BYTES);
    return hash64(*ret_body) == get_le64(batch.data + 48);
}

static bool header_valid(const struct wal_scan *s, uint64_t offset)
{
    if (s->file.len - offset < WAL_BATCH_HEADER_BYTES)
        return false;
    const uint8_t *header = s->file.data + offset;
    struct wal_place place = {.seed = s->next.seed, .offset = offset};
    return header_is_of(header, &place);
}

static bool batch_valid(const struct wal_scan *s, struct wal_found *ret_found)
{
    uint64_t at = s->next.offset;
    if (!header_valid(s, at))
        return false;
    const uint8_t *header = s->file.data + at;
    struct bytes rest = bytes_from(s->file, at + WAL_BATCH_HEADER_BYTES);
    uint32_t len = get_le32(header + 16);
    if (get_le64(header + 8) != s->next.sequence || len > rest.len)
        return false;
    struct bytes body = bytes_first(rest, len);
    if (hash64(body) != get_le64(header + 48) && !MUTANT(wal_torn_taken))
        return false;
    *ret_found = (struct wal_found){.hard_state = get_hard_state(header + 24), .n_records = get_le32(header + 20), .body = body};
    return true;
}

/* Batches begin at multiples of 8, so only those places are looked at. A header there is one that was written to be
 * there (its hash holds the place); only a higher sequence makes it a later one. */
static bool later_batch_exists(const struct wal_scan *s)
{
    for (uint64_t at = s->next.offset + 8; at + WAL_BATCH_HEADER_BYTES <= s->file.len; at += 8) {
        if (header_valid(s, at) && get_le64(s->file.data + at + 8) > s->next.sequence)
            return true;
    }
    return false;
}

void wal_scan_init(struct wal_scan *s, struct bytes file, uint64_t seed, uint64_t first_sequence)
{
    *s = (struct wal_scan){.file = file,
                           .next = {.seed = seed, .offset = WAL_SEGMENT_HEADER_BYTES, .sequence = first_sequence}};
}

enum wal_scanned wal_scan_next(struct wal_scan *s, struct wal_found *ret_found)
{
    if (all_zero(bytes_from(s->file, s->next.offset)))
        return WAL_END;
    if (!batch_valid(s, ret_found))
        return later_batch_exists(s) && !MUTANT(wal_middle_cut) ? WAL_DAMAGED : WAL_TORN;
    s->next.offset += WAL_BATCH_HEADER_BYTES + ret_found->body.len;
    s->next.sequence++;
    return WAL_BATCH;
}
