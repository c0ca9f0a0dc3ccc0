#include "kv/rows.h"

#include <endian.h>

#define ROWS_OF_GROUP 0xffffu
#define ATTR_HAS_XATTRS 0x80u
#define SESSION_HEAD_BYTES 24u
#define SESSION_RESULT_BYTES 33u

static_assert(NSHARDS_MAX < ROWS_OF_GROUP, "no shard's rows mix with the group's");
static_assert(SESSION_HEAD_BYTES + SESSION_WINDOW * SESSION_RESULT_BYTES < VALUE_CHUNK_BYTES, "a session row is no larger than a chunk");
static_assert(RGKV_ERR_COUNT <= 256, "an error fits into a byte");
static_assert(SYMLINK_BYTES_MAX <= VALUE_INLINE_BYTES, "a link's target lives in its meta row");
static_assert(META_HEAD_BYTES == ATTR_BYTES + 8 + 8 + 4, "generation, base and high follow the attributes");

/* ---- writing and reading at a place whose size was checked ---- */

static uint8_t *put8(uint8_t *to, uint8_t v)
{
    *to = v;
    return to + 1;
}

static uint8_t *put16(uint8_t *to, uint16_t v)
{
    v = htole16(v);
    return (uint8_t *)memcpy(to, &v, 2) + 2;
}

static uint8_t *put32(uint8_t *to, uint32_t v)
{
    v = htole32(v);
    return (uint8_t *)memcpy(to, &v, 4) + 4;
}

static uint8_t *put64(uint8_t *to, uint64_t v)
{
    v = htole64(v);
    return (uint8_t *)memcpy(to, &v, 8) + 8;
}

static uint64_t get64(const uint8_t **from)
{
    uint64_t v;
    memcpy(&v, *from, 8);
    *from += 8;
    return le64toh(v);
}

static uint32_t get32(const uint8_t **from)
{
    uint32_t v;
    memcpy(&v, *from, 4);
    *from += 4;
    return le32toh(v);
}

static uint16_t get16(const uint8_t **from)
{
    uint16_t v;
    memcpy(&v, *from, 2);
    *from += 2;
    return le16toh(v);
}

/* ---- keys ---- */

static void key8(struct rowkey *k, uint8_t v) { k->data[k->len++] = v; }

static void key16(struct rowkey *k, uint32_t v)
{
    key8(k, (uint8_t)(v >> 8));
    key8(k, (uint8_t)v);
}

static void key32(struct rowkey *k, uint32_t v)
{
    v = htobe32(v);
    memcpy(k->data + k->len, &v, 4);
    k->len += 4;
}

static void key64(struct rowkey *k, uint64_t v)
{
    v = htobe64(v);
    memcpy(k->data + k->len, &v, 8);
    k->len += 8;
}

static void key_bytes(struct rowkey *k, struct bytes b)
{
    ASSERT(b.len <= KEY_BYTES_MAX);
    if (b.len)
        memcpy(k->data + k->len, b.data, b.len);
    k->len += b.len;
}

/* Field by field: zeroing a kilobyte for every key would be felt. */
static void key_start(struct rowkey *k, uint32_t shard, uint8_t kind)
{
    k->len = 0;
    key16(k, shard);
    key8(k, kind);
}

static struct rowkey row_number(uint32_t shard, uint8_t kind, uint64_t number)
{
    struct rowkey k;
    key_start(&k, shard, kind);
    key64(&k, number);
    return k;
}

struct rowkey row_children(uint32_t shard, struct bytes dir)
{
    struct rowkey k;
    key_start(&k, shard, ROW_META);
    key_bytes(&k, dir);
    key8(&k, 0);
    return k;
}

struct rowkey row_descendants(uint32_t shard, struct bytes dir)
{
    struct rowkey k = row_children(shard, dir);
    k.data[k.len - 1] = '/';
    return k;
}

struct rowkey row_meta(uint32_t shard, struct bytes key)
{
    const uint8_t *slash = memrchr(key.data, '/', key.len);
    size_t dir = slash ? (size_t)(slash - key.data) : 0;
    struct rowkey k;
    key_start(&k, shard, ROW_META);
    key_bytes(&k, bytes_first(key, dir));
    key8(&k, 0);
    key_bytes(&k, bytes_from(key, slash ? dir + 1 : 0));
    return k;
}

struct rowkey row_generation(uint32_t shard, uint64_t generation)
{
    return row_number(shard, ROW_DATA, generation);
}

/* A chunk beyond 32 bits is the end of the generation: only as the end of a range. */
struct rowkey row_data(uint32_t shard, uint64_t generation, uint64_t chunk, uint64_t revision)
{
    if (chunk > UINT32_MAX)
        return rowkey_end(row_generation(shard, generation));
    struct rowkey k = row_generation(shard, generation);
    key32(&k, (uint32_t)chunk);
    key64(&k, ~revision);
    return k;
}

struct rowkey row_history(uint32_t shard, struct bytes key, uint64_t version)
{
    struct rowkey k;
    key_start(&k, shard, ROW_HISTORY);
    key_bytes(&k, key);
    key8(&k, 0);
    key64(&k, version);
    return k;
}

struct rowkey row_session(uint32_t shard, uint64_t client)
{
    return row_number(shard, ROW_SESSION, client);
}

struct rowkey row_stage(uint32_t shard, uint64_t generation) { return row_number(shard, ROW_STAGE, generation); }
struct rowkey row_xattr(uint32_t shard, uint64_t ino) { return row_number(shard, ROW_XATTR, ino); }

struct rowkey row_intent(uint32_t shard, uint64_t number) { return row_number(shard, ROW_INTENT, number); }

struct rowkey row_intents(uint32_t shard)
{
    struct rowkey k;
    key_start(&k, shard, ROW_INTENT);
    return k;
}

static struct rowkey row_from(uint32_t shard, uint8_t kind, uint32_t source)
{
    struct rowkey k;
    key_start(&k, shard, kind);
    key16(&k, source);
    return k;
}

struct rowkey row_landing(uint32_t shard, uint32_t source, uint64_t number)
{
    struct rowkey k = row_from(shard, ROW_LANDING, source);
    key64(&k, number);
    return k;
}

struct rowkey row_outcome(uint32_t shard, uint32_t source, uint64_t number)
{
    struct rowkey k = row_from(shard, ROW_OUTCOME, source);
    key64(&k, number);
    return k;
}

struct rowkey row_outcome_floor(uint32_t shard, uint32_t source) { return row_from(shard, ROW_OUTCOME, source); }

struct rowkey row_shard_range(uint32_t shard)
{
    struct rowkey k;
    k.len = 0;
    key16(&k, shard);
    return k;
}

struct rowkey row_machine(void)
{
    struct rowkey k;
    key_start(&k, ROWS_OF_GROUP, 'k');
    return k;
}

struct rowkey row_shard(uint32_t shard)
{
    struct rowkey k;
    key_start(&k, ROWS_OF_GROUP, 's');
    key16(&k, shard);
    return k;
}

struct rowkey row_changed(uint32_t shard, uint64_t round, struct bytes rowkey)
{
    struct rowkey k;
    ASSERT(rowkey.len <= ROW_KEY_BYTES_MAX);
    key_start(&k, ROWS_OF_GROUP, 'c');
    key16(&k, shard);
    if (round == 0)
        return k;
    key64(&k, round);
    if (rowkey.len)
        memcpy(k.data + k.len, rowkey.data, rowkey.len);
    k.len += rowkey.len;
    return k;
}

struct rowkey rowkey_end(struct rowkey prefix)
{
    while (prefix.len && prefix.data[prefix.len - 1] == 0xff)
        prefix.len--;
    ASSERT(prefix.len > 0);
    prefix.data[prefix.len - 1]++;
    return prefix;
}

bool row_meta_key(struct bytes rowkey, struct buf *out)
{
    if (rowkey.len < 4 || rowkey.data[2] != ROW_META)
        return false;
    struct bytes path = bytes_from(rowkey, 3);
    const uint8_t *nul = memchr(path.data, 0, path.len);
    if (!nul)
        return false;
    struct bytes dir = bytes_first(path, (size_t)(nul - path.data));
    buf_put(out, dir);
    if (dir.len)
        buf_put_u8(out, '/');
    buf_put(out, bytes_from(path, dir.len + 1));
    return true;
}

struct rowkey row_queue_at(uint32_t shard, uint64_t due_us)
{
    struct rowkey k;
    key_start(&k, shard, ROW_QUEUE);
    key64(&k, due_us);
    return k;
}

#define PUT_CHUNKS_MAX (DATA_BYTES_MAX / VALUE_CHUNK_BYTES)
static_assert(DATA_BYTES_MAX % VALUE_CHUNK_BYTES == 0, "a Put has whole chunks at most");

static bool queue_kind_has_revision(uint8_t kind) { return kind == QUEUE_CHUNK || kind == QUEUE_CUT; }
static bool queue_kind_has_chunk(uint8_t kind) { return queue_kind_has_revision(kind) || kind == QUEUE_GENERATION || kind == QUEUE_VALUE; }

static bool queue_kind_known(uint8_t kind)
{
    return queue_kind_has_chunk(kind) || kind == QUEUE_HISTORY || kind == QUEUE_SESSION || kind == QUEUE_STAGE;
}

struct rowkey row_queue(uint32_t shard, const struct queue_item *i)
{
    struct rowkey k = row_queue_at(shard, i->due_us);
    key8(&k, i->kind);
    key64(&k, i->generation);
    if (queue_kind_has_chunk(i->kind))
        key32(&k, i->chunk);
    if (queue_kind_has_revision(i->kind))
        key64(&k, i->revision);
    if (i->kind == QUEUE_HISTORY)
        key_bytes(&k, i->key);
    return k;
}

bool row_queue_item(struct bytes rowkey, struct queue_item *ret_i)
{
    struct reader r = reader_of(rowkey);
    struct queue_item i = {0};
    read_be16(&r);
    bool kind_fits = read_u8(&r) == ROW_QUEUE;
    i.due_us = read_be64(&r);
    i.kind = read_u8(&r);
    i.generation = read_be64(&r);
    bool older = i.kind == QUEUE_GENERATION && r.rest.len == 0; /* from before `high` was written */
    if (queue_kind_has_chunk(i.kind) && !older)
        i.chunk = read_be32(&r);
    if (queue_kind_has_revision(i.kind))
        i.revision = read_be64(&r);
    if (i.kind == QUEUE_HISTORY)
        i.key = read_bytes(&r, r.rest.len);
    bool bounded = i.key.len <= KEY_BYTES_MAX && (i.kind != QUEUE_VALUE || i.chunk <= PUT_CHUNKS_MAX);
    if (!r.ok || !kind_fits || !queue_kind_known(i.kind) || !bounded || r.rest.len)
        return false;
    *ret_i = i;
    return true;
}

bool row_data_id(struct bytes rowkey, struct data_id *ret_d)
{
    struct reader r = reader_of(rowkey);
    read_be16(&r);
    bool kind_fits = read_u8(&r) == ROW_DATA;
    struct data_id d;
    d.generation = read_be64(&r);
    d.chunk = read_be32(&r);
    d.revision = ~read_be64(&r);
    if (!r.ok || !kind_fits || r.rest.len)
        return false;
    *ret_d = d;
    return true;
}

/* ---- attributes and meta rows ---- */

void attr_encode(const struct kv_attr *a, uint8_t *to)
{
    to = put8(to, (uint8_t)a->type | (a->xattrs ? ATTR_HAS_XATTRS : 0));
    to = put16(to, (uint16_t)a->mode);
    to = put32(to, a->uid);
    to = put32(to, a->gid);
    to = put64(to, a->size);
    to = put64(to, a->version);
    to = put64(to, a->ino);
    to = put64(to, (uint64_t)a->atime_ns);
    to = put64(to, (uint64_t)a->mtime_ns);
    put64(to, (uint64_t)a->ctime_ns);
}

bool attr_decode(struct bytes in, struct kv_attr *ret_a)
{
    if (in.len < ATTR_BYTES)
        return false;
    uint8_t type = in.data[0] & ~ATTR_HAS_XATTRS;
    if (type < KV_FILE || type > KV_LINK)
        return false;
    const uint8_t *from = in.data + 1;
    ret_a->type = type;
    ret_a->xattrs = in.data[0] & ATTR_HAS_XATTRS;
    ret_a->mode = get16(&from);
    ret_a->uid = get32(&from);
    ret_a->gid = get32(&from);
    ret_a->size = get64(&from);
    ret_a->version = get64(&from);
    ret_a->ino = get64(&from);
    ret_a->atime_ns = (int64_t)get64(&from);
    ret_a->mtime_ns = (int64_t)get64(&from);
    ret_a->ctime_ns = (int64_t)get64(&from);
    return true;
}

size_t meta_size(const struct meta *m) { return META_HEAD_BYTES + m->tail_len; }

void meta_encode(const struct meta *m, uint8_t *to)
{
    attr_encode(&m->attr, to);
    to = put64(to + ATTR_BYTES, m->generation);
    to = put64(to, m->attr.base);
    to = put32(to, m->high);
    if (m->tail_len)
        memcpy(to, m->tail, m->tail_len);
}

bool meta_decode(struct bytes in, struct meta *ret_m)
{
    if (in.len < META_HEAD_BYTES || in.len - META_HEAD_BYTES > VALUE_INLINE_BYTES || !attr_decode(in, &ret_m->attr))
        return false;
    const uint8_t *from = in.data + ATTR_BYTES;
    ret_m->generation = get64(&from);
    ret_m->attr.base = get64(&from);
    ret_m->high = get32(&from);
    ret_m->tail_len = (uint32_t)(in.len - META_HEAD_BYTES);
    if (ret_m->tail_len)
        memcpy(ret_m->tail, from, ret_m->tail_len);
    return ret_m->attr.size <= VALUE_BYTES_MAX && ret_m->tail_len <= ret_m->attr.size;
}

/* ---- staged values ---- */

void stage_row_encode(const struct stage_row *s, uint8_t *to)
{
    ASSERT(!s->meta.tail_len);
    to = put64(to, s->client);
    to = put64(to, s->last_us);
    to = put64(to, s->pieces);
    to = put64(to, s->hash);
    meta_encode(&s->meta, to);
}

bool stage_row_decode(struct bytes in, struct stage_row *ret_s)
{
    if (in.len != STAGE_BYTES || !meta_decode(bytes_from(in, 32), &ret_s->meta))
        return false;
    const uint8_t *from = in.data;
    ret_s->client = get64(&from);
    ret_s->last_us = get64(&from);
    ret_s->pieces = get64(&from);
    ret_s->hash = get64(&from);
    return true;
}

/* ---- sessions ---- */

size_t session_row_size(const struct session_row *s)
{
    return SESSION_HEAD_BYTES + (size_t)s->n * SESSION_RESULT_BYTES;
}

void session_row_encode(const struct session_row *s, uint8_t *to)
{
    to = put64(to, s->since_us);
    to = put64(to, s->last_us);
    to = put64(to, s->floor);
    for (uint32_t i = 0; i < s->n; i++) {
        const struct session_result *r = &s->results[i];
        to = put64(to, r->seq);
        to = put8(to, (uint8_t)r->err);
        to = put64(to, r->version);
        to = put64(to, r->size);
        to = put64(to, r->ino);
    }
}

/* The head is there and the results are whole, sorted, at or above the floor, within the window. */
static bool session_row_shaped(struct bytes in)
{
    if (in.len < SESSION_HEAD_BYTES || (in.len - SESSION_HEAD_BYTES) % SESSION_RESULT_BYTES)
        return false;
    size_t n = (in.len - SESSION_HEAD_BYTES) / SESSION_RESULT_BYTES;
    const uint8_t *from = in.data + 16;
    uint64_t floor = get64(&from), least = floor;
    for (size_t i = 0; i < n; i++, from += SESSION_RESULT_BYTES - 9) {
        uint64_t seq = get64(&from);
        if (seq < least || seq - floor >= SESSION_WINDOW || *from++ >= RGKV_ERR_COUNT)
            return false;
        least = seq + 1;
    }
    return true;
}

bool session_row_decode(struct bytes in, struct session_row *ret_s)
{
    if (!session_row_shaped(in))
        return false;
    const uint8_t *from = in.data;
    ret_s->since_us = get64(&from);
    ret_s->last_us = get64(&from);
    ret_s->floor = get64(&from);
    ret_s->n = (uint32_t)((in.len - SESSION_HEAD_BYTES) / SESSION_RESULT_BYTES);
    if (ret_s->n > ret_s->cap) {
        ret_s->cap = ret_s->n;
        ret_s->results = mem_realloc(ret_s->results, ret_s->cap * sizeof(*ret_s->results));
    }
    for (uint32_t i = 0; i < ret_s->n; i++) {
        struct session_result *r = &ret_s->results[i];
        r->seq = get64(&from);
        r->err = (enum rgkv_err)*from++;
        r->version = get64(&from);
        r->size = get64(&from);
        r->ino = get64(&from);
    }
    return true;
}

/* ---- extended attributes ---- */

bool xattr_next(struct reader *r, struct xattr *ret_x)
{
    if (!r->ok || !r->rest.len)
        return false;
    uint8_t name = read_u8(r);
    uint32_t value = read_le32(r);
    ret_x->name = read_bytes(r, name);
    ret_x->value = read_bytes(r, value);
    r->ok = r->ok && name;
    return r->ok;
}

void xattr_append(struct buf *out, const struct xattr *x)
{
    ASSERT(x->name.len && x->name.len <= KEY_COMPONENT_BYTES_MAX && x->value.len <= XATTR_BYTES_MAX);
    buf_put_u8(out, (uint8_t)x->name.len);
    buf_put_le32(out, (uint32_t)x->value.len);
    buf_put(out, x->name);
    buf_put(out, x->value);
}

bool xattr_row_shaped(struct bytes in)
{
    struct reader r = reader_of(in);
    struct xattr x;
    struct bytes last = BYTES_EMPTY;
    while (xattr_next(&r, &x)) {
        if (bytes_cmp(x.name, last) <= 0)
            return false;
        last = x.name;
    }
    return r.ok && in.len > 0 && in.len <= XATTR_ROW_BYTES_MAX;
}

/* ---- rows from elsewhere ---- */

static bool key_of_shard(uint32_t shard, uint32_t nshards, struct bytes key)
{
    return kv_key_check(key) == RGKV_OK && kv_key_shard(key, nshards) == shard;
}

static bool meta_row_valid(uint32_t shard, uint32_t nshards, struct bytes key, struct bytes value, struct meta *scratch)
{
    struct buf path = {0};
    bool valid = row_meta_key(key, &path) && key_of_shard(shard, nshards, buf_bytes(&path)) && meta_decode(value, scratch);
    buf_release(&path);
    return valid;
}

static bool data_row_valid(struct bytes key, struct bytes value)
{
    struct data_id id;
    if (!row_data_id(key, &id) || value.len < DATA_HEAD_BYTES || value.len > DATA_HEAD_BYTES + VALUE_CHUNK_BYTES)
        return false;
    const uint8_t *from = value.data;
    return (get32(&from) & ~DATA_KEEPS_REST) + (value.len - DATA_HEAD_BYTES) <= VALUE_CHUNK_BYTES;
}

static bool history_row_valid(uint32_t shard, uint32_t nshards, struct bytes key, struct bytes value, struct meta *scratch)
{
    if (key.len < 3 + 1 + 9)
        return false;
    struct bytes path = bytes_first(bytes_from(key, 3), key.len - 3 - 9);
    return key.data[3 + path.len] == 0 && key_of_shard(shard, nshards, path) && meta_decode(value, scratch);
}

static bool queue_row_valid(uint32_t shard, uint32_t nshards, struct bytes key, struct bytes value)
{
    struct queue_item i;
    return value.len == 0 && row_queue_item(key, &i) && (i.kind != QUEUE_HISTORY || key_of_shard(shard, nshards, i.key));
}

bool row_valid(uint32_t shard, uint32_t nshards, struct bytes key, struct bytes value, struct meta *scratch)
{
    struct rowkey prefix = row_shard_range(shard);
    if (key.len < 3 || key.len > ROW_KEY_BYTES_MAX || !bytes_starts(key, rowkey_bytes(&prefix)))
        return false;
    switch (key.data[2]) {
    case ROW_META:
        return meta_row_valid(shard, nshards, key, value, scratch);
    case ROW_DATA:
        return data_row_valid(key, value);
    case ROW_HISTORY:
        return history_row_valid(shard, nshards, key, value, scratch);
    case ROW_QUEUE:
        return queue_row_valid(shard, nshards, key, value);
    case ROW_SESSION:
        return key.len == 3 + 8 && session_row_shaped(value);
    case ROW_STAGE:
        return key.len == 3 + 8 && value.len == STAGE_BYTES && meta_decode(bytes_from(value, 32), scratch);
    case ROW_INTENT:
        return key.len == 3 + 8 && intent_row_shaped(shard, nshards, value);
    case ROW_LANDING:
        return key.len == 3 + 10 && meta_decode(value, scratch);
    case ROW_OUTCOME:
        return (key.len == 3 + 10 && value.len == 1 && value.data[0] < RGKV_ERR_COUNT) || (key.len == 3 + 2 && value.len == 8);
    case ROW_XATTR:
        return key.len == 3 + 8 && xattr_row_shaped(value);
    }
    return false;
}
