/* A value's bytes.
 *
 *     0            rows end            size
 *     |  chunk rows  |  tail (meta row)  |
 *
 * A small value is all tail. An append adds to the tail; when it would pass VALUE_INLINE_BYTES, tail and new bytes become one
 * row per chunk they lie in, which leaves the chunk's earlier rows in place ("its content before [0, from), then
 * these bytes"). So appending n bytes writes n bytes and a meta row of at most 4 KiB, and appends give a chunk at most
 * some 17 rows. A patch writes its bytes into a chunk as such a row too, one that keeps the rest; a chunk that has
 * CHUNK_ROWS_MAX rows is written anew as a whole.
 *
 * Reading a chunk goes from its newest row (not newer than the wanted version) to the oldest that matters; what a newer row
 * said is never overwritten by an older one.
 *
 * Bytes of rows behind the value's end may linger after it was cut. They are never seen: whatever makes the value
 * longer writes rows that hide them (append: from its place on; a hole: the cut chunk as a whole and empty rows for every chunk below
 * `high`). */
#include "base/mutant.h"
#include "kv/machine.h"

#include <endian.h>

#define CHUNK VALUE_CHUNK_BYTES
#define CHUNK_ROWS_MAX 32u
#define PIECES_MAX (2 * CHUNK_ROWS_MAX)

static_assert(VALUE_BYTES_MAX / VALUE_CHUNK_BYTES <= UINT32_MAX, "chunks are numbered in 32 bits");
static_assert(VALUE_CHUNK_BYTES < DATA_KEEPS_REST, "a place in a chunk leaves the top bit free");

/* Nothing came after the Put that made it: it has one row a chunk, of the Put's revision. */
bool value_is_one_put(const struct meta *m) { return m->attr.version == m->generation && m->attr.base == m->generation; }

/* ---- reading ---- */

/* A chunk's part of a read: its bytes [from, to) go to `out`, those not told by any row are zeros. */
struct painter {
    uint32_t from, to;         /* wanted */
    uint32_t limit;            /* bytes from here on are painted, or zero for good */
    uint32_t n;                /* pieces painted below limit, disjoint, sorted */
    struct {
        uint32_t from, to;
    } pieces[PIECES_MAX];
    uint8_t *out;
};

static bool painter_done(const struct painter *p) { return p->limit <= p->from; }

static void paint(struct painter *p, uint32_t row_from, struct bytes bytes, uint32_t lo, uint32_t hi)
{
    lo = MAX(MAX(lo, row_from), p->from);
    hi = MIN(MIN(hi, row_from + (uint32_t)bytes.len), p->to);
    if (lo < hi)
        memcpy(p->out + (lo - p->from), bytes.data + (lo - row_from), hi - lo);
}

/* The bytes of a row that no newer row told: the gaps between pieces, below the limit. */
static void paint_gaps(struct painter *p, uint32_t row_from, struct bytes bytes)
{
    uint32_t lo = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        paint(p, row_from, bytes, lo, MIN(p->pieces[i].from, p->limit));
        lo = p->pieces[i].to;
    }
    paint(p, row_from, bytes, lo, p->limit);
}

/* False: more pieces than any writer leaves. */
static bool painter_add_piece(struct painter *p, uint32_t from, uint32_t to)
{
    uint32_t at = 0;
    while (at < p->n && p->pieces[at].to < from)
        at++;
    uint32_t end = at;
    while (end < p->n && p->pieces[end].from <= to) {
        from = MIN(from, p->pieces[end].from);
        to = MAX(to, p->pieces[end].to);
        end++;
    }
    if (end == at && p->n == PIECES_MAX)
        return false;
    memmove(&p->pieces[at + 1], &p->pieces[end], (p->n - end) * sizeof(p->pieces[0]));
    p->n = p->n + 1 - (end - at);
    p->pieces[at].from = from;
    p->pieces[at].to = to;
    return true;
}

static bool painter_row(struct painter *p, uint32_t head, struct bytes bytes)
{
    uint32_t from = head & ~DATA_KEEPS_REST;
    paint_gaps(p, from, bytes);
    if (head & DATA_KEEPS_REST)
        return bytes.len == 0 || painter_add_piece(p, from, from + (uint32_t)bytes.len);
    p->limit = MIN(p->limit, from);
    return true;
}

/* A read of rows: bytes [offset, end) of the value, chunk after chunk. */
struct row_read {
    uint64_t offset, end;
    uint64_t chunk;            /* that painter works on; UINT64_MAX: none yet */
    struct painter painter;
    uint8_t *out;
};

static void row_read_turn_to(struct row_read *r, uint64_t chunk)
{
    uint64_t start = chunk * CHUNK;
    uint64_t from = MAX(r->offset, start), to = MIN(r->end, start + CHUNK);
    r->chunk = chunk;
    r->painter.from = (uint32_t)(from - start);
    r->painter.to = r->painter.limit = (uint32_t)(to - start);
    r->painter.n = 0;
    r->painter.out = r->out + (from - r->offset);
}

static bool row_read_take(struct row_read *r, const struct data_id *id, struct bytes value)
{
    struct reader in = reader_of(value);
    uint32_t head = read_le32(&in);
    if (id->chunk != r->chunk)
        row_read_turn_to(r, id->chunk);
    if (painter_done(&r->painter))
        return true;
    return in.ok && painter_row(&r->painter, head, in.rest);
}

#define IDLE_ROWS_MAX 8u /* passed over one by one; to go on somewhere else costs as much as some rows */

static void scan_to_chunk(struct scan *s, uint32_t shard, uint64_t generation, uint64_t chunk, uint64_t end_chunk)
{
    struct rowkey from = row_data(shard, generation, chunk, UINT64_MAX), to = row_data(shard, generation, end_chunk, UINT64_MAX);
    scan_seek(s, rowkey_bytes(&from), rowkey_bytes(&to));
}

/* One scan over all chunks of the range: rows of a chunk come newest first. What is behind the whole of it waits to be collected, and may be
 * thousands of rows of a chunk that is written often. */
static void rows_read(struct overlay *o, uint32_t shard, uint64_t generation, uint64_t at, uint64_t offset, uint64_t len, uint8_t *out)
{
    struct row_read r = {.offset = offset, .end = offset + len, .chunk = UINT64_MAX, .out = out};
    struct rowkey from = row_data(shard, generation, offset / CHUNK, UINT64_MAX);
    struct rowkey to = row_data(shard, generation, (r.end - 1) / CHUNK + 1, UINT64_MAX);
    uint64_t last_chunk = (r.end - 1) / CHUNK;
    struct scan s;
    struct data_id id = {0};
    bool sound = true, over = false;
    unsigned idle = 0;
    memset(out, 0, len);
    scan_open(&s, o, rowkey_bytes(&from), rowkey_bytes(&to));
    while (sound && !over && scan_next(&s)) {
        sound = row_data_id(s.key, &id);
        bool behind = sound && id.chunk == r.chunk && painter_done(&r.painter);
        idle = behind ? idle + 1 : 0;
        if (sound && id.revision <= at)
            sound = row_read_take(&r, &id, s.value);
        over = id.chunk == r.chunk && painter_done(&r.painter) && id.chunk == last_chunk;
        if (idle == IDLE_ROWS_MAX && !over) {
            scan_to_chunk(&s, shard, generation, (uint64_t)id.chunk + 1, last_chunk + 1);
            idle = 0;
        }
    }
    scan_close(&s);
    if (!sound)
        o->err = RGKV_DAMAGED;
}

/* Its rows are known: each is asked for by its key, which finds the one file that has it. A scan looks into a file of every level. */
static void put_read(struct overlay *o, uint32_t shard, uint64_t generation, uint64_t offset, uint64_t len, uint8_t *out)
{
    struct row_read r = {.offset = offset, .end = offset + len, .chunk = UINT64_MAX, .out = out};
    struct buf row = {0};
    memset(out, 0, len);
    for (uint64_t chunk = offset / CHUNK; chunk * CHUNK < r.end; chunk++) {
        struct rowkey key = row_data(shard, generation, chunk, generation);
        struct data_id id = {generation, generation, (uint32_t)chunk};
        if (overlay_get(o, rowkey_bytes(&key), &row) && !row_read_take(&r, &id, buf_bytes(&row)))
            o->err = RGKV_DAMAGED;
    }
    buf_release(&row);
}

void value_read(struct overlay *o, uint32_t shard, const struct meta *m, uint64_t at, uint64_t offset, uint64_t len, struct buf *out)
{
    offset = MIN(offset, m->attr.size);
    len = MIN(len, m->attr.size - offset);
    uint64_t rows_end = meta_rows_end(m), end = offset + len;
    uint8_t *to = buf_grow(out, len);
    bool as_put = value_is_one_put(m) && at == m->generation; /* else a command may be about to change it */
    if (offset < MIN(end, rows_end) && as_put)
        put_read(o, shard, m->generation, offset, MIN(end, rows_end) - offset, to);
    else if (offset < MIN(end, rows_end))
        rows_read(o, shard, m->generation, at, offset, MIN(end, rows_end) - offset, to);
    if (end > rows_end && len) {
        uint64_t first = MAX(offset, rows_end);
        memcpy(to + (first - offset), m->tail + (first - rows_end), end - first);
    }
}

/* ---- writing ---- */

static void row_put(struct value *v, uint32_t chunk, uint32_t head, struct bytes bytes)
{
    struct rowkey key = row_data(v->shard, v->meta->generation, chunk, v->revision);
    uint8_t *to = overlay_put(&v->k->rows, rowkey_bytes(&key), DATA_HEAD_BYTES + bytes.len);
    uint32_t le = htole32(head);
    memcpy(to, &le, DATA_HEAD_BYTES);
    if (bytes.len)
        memcpy(to + DATA_HEAD_BYTES, bytes.data, bytes.len);
    v->meta->high = MAX(v->meta->high, chunk + 1);
}

/* New bytes at the end of the rows. */
static void rows_append(struct value *v, uint64_t at, struct bytes data)
{
    while (data.len) {
        uint32_t from = (uint32_t)(at % CHUNK);
        size_t n = MIN(data.len, CHUNK - from);
        row_put(v, (uint32_t)(at / CHUNK), from, bytes_first(data, n));
        at += n;
        data = bytes_from(data, n);
    }
}

static void tail_add(struct meta *m, struct bytes data)
{
    if (data.len)
        memcpy(m->tail + m->tail_len, data.data, data.len);
    m->tail_len += (uint32_t)data.len;
}

static void tail_to_rows(struct value *v)
{
    rows_append(v, meta_rows_end(v->meta), meta_tail(v->meta));
    v->meta->tail_len = 0;
}

void value_put(struct value *v, struct bytes data)
{
    struct meta *m = v->meta;
    m->generation = m->attr.base = v->revision;
    m->high = m->tail_len = 0;
    m->attr.size = data.len;
    if (data.len <= VALUE_INLINE_BYTES)
        tail_add(m, data);
    else
        rows_append(v, 0, data);
}

void value_append(struct value *v, struct bytes data)
{
    struct meta *m = v->meta;
    if (m->tail_len + data.len <= VALUE_INLINE_BYTES) {
        tail_add(m, data);
        if (MUTANT(applied_aliases) && data.len)
            memcpy((uint8_t *)data.data, m->tail, data.len);
    } else {
        struct buf *all = &v->k->data;
        buf_clear(all);
        buf_put(all, meta_tail(m));
        buf_put(all, data);
        rows_append(v, meta_rows_end(m), buf_bytes(all));
        m->tail_len = 0;
    }
    m->attr.size += data.len;
}

/* How much of the chunk is in the value; a tail counts. */
static uint32_t chunk_bytes(const struct value *v, uint32_t chunk)
{
    uint64_t start = (uint64_t)chunk * CHUNK;
    return v->meta->attr.size <= start ? 0 : (uint32_t)MIN(v->meta->attr.size - start, CHUNK);
}

/* The whole chunk as one row: what it is, with bytes put over it. */
static void chunk_rewrite(struct value *v, uint32_t chunk, uint32_t from, struct bytes bytes)
{
    struct buf *all = &v->k->chunk;
    uint32_t have = chunk_bytes(v, chunk), end = MAX(have, from + (uint32_t)bytes.len);
    buf_clear(all);
    value_read(&v->k->rows, v->shard, v->meta, v->revision, (uint64_t)chunk * CHUNK, have, all);
    if (end > have)
        memset(buf_grow(all, end - have), 0, end - have);
    if (bytes.len)
        memcpy(all->data + from, bytes.data, bytes.len);
    row_put(v, chunk, 0, buf_bytes(all));
    expiry_chunk(v->k, v->shard, v->meta->generation, chunk, v->revision);
}

/* Has the chunk so many rows that it is time to write it as one? Also if this command wrote one already: there is one row
 * per chunk and revision. */
static bool chunk_crowded(struct value *v, uint32_t chunk)
{
    struct rowkey from = row_data(v->shard, v->meta->generation, chunk, UINT64_MAX);
    struct rowkey to = row_data(v->shard, v->meta->generation, (uint64_t)chunk + 1, UINT64_MAX);
    struct scan s;
    struct data_id id = {0};
    unsigned n = 0;
    bool whole = false, ours = false;
    scan_open(&s, &v->k->rows, rowkey_bytes(&from), rowkey_bytes(&to));
    while (!whole && n < CHUNK_ROWS_MAX && scan_next(&s) && row_data_id(s.key, &id)) {
        struct reader in = reader_of(s.value);
        whole = read_le32(&in) == 0;
        ours = ours || id.revision == v->revision;
        n++;
    }
    scan_close(&s);
    return ours || n >= CHUNK_ROWS_MAX;
}

/* Bytes inside one chunk that begin no later than the value ends. */
static void chunk_patch(struct value *v, uint32_t chunk, uint32_t from, struct bytes bytes)
{
    uint32_t have = chunk_bytes(v, chunk);
    bool to_end = from + bytes.len >= have, has_rows = chunk < v->meta->high;
    if (has_rows && chunk_crowded(v, chunk)) {
        chunk_rewrite(v, chunk, from, bytes);
        return;
    }
    row_put(v, chunk, to_end ? from : from | DATA_KEEPS_REST, bytes);
    if (to_end && from == 0 && has_rows)
        expiry_chunk(v->k, v->shard, v->meta->generation, chunk, v->revision);
}

/* Longer, with zeros: see the head about what must be hidden. */
void value_lengthen(struct value *v, uint64_t size)
{
    struct meta *m = v->meta;
    uint64_t old = m->attr.size;
    uint64_t end = MIN((size + CHUNK - 1) / CHUNK, m->high);
    if (old % CHUNK && old / CHUNK < end)
        chunk_rewrite(v, (uint32_t)(old / CHUNK), 0, BYTES_EMPTY);
    for (uint64_t c = (old + CHUNK - 1) / CHUNK; c < end; c++)
        row_put(v, (uint32_t)c, 0, BYTES_EMPTY);
    m->attr.size = size;
}

static void value_shrink(struct value *v, uint64_t size)
{
    struct meta *m = v->meta;
    uint64_t rows_end = meta_rows_end(m);
    m->tail_len = size > rows_end ? (uint32_t)(size - rows_end) : 0;
    m->attr.size = size;
    if (size >= rows_end)
        return;
    expiry_cut(v->k, v->shard, m->generation, (uint32_t)((size + CHUNK - 1) / CHUNK), v->revision);
    if (size % CHUNK && chunk_crowded(v, (uint32_t)(size / CHUNK))) /* an append and a cut, again and again, leave a row each time */
        chunk_rewrite(v, (uint32_t)(size / CHUNK), 0, BYTES_EMPTY);
}

static void range_write(struct value *v, uint64_t offset, struct bytes data)
{
    if (data.len && offset > v->meta->attr.size)
        value_lengthen(v, offset);
    while (data.len) {
        uint32_t from = (uint32_t)(offset % CHUNK);
        size_t n = MIN(data.len, CHUNK - from);
        chunk_patch(v, (uint32_t)(offset / CHUNK), from, bytes_first(data, n));
        offset += n;
        data = bytes_from(data, n);
        v->meta->attr.size = MAX(v->meta->attr.size, offset);
    }
}

static uint64_t patch_end(const struct kv_request *q)
{
    uint64_t end = 0;
    for (unsigned i = 0; i < q->n_ranges; i++)
        if (q->ranges[i].len)
            end = MAX(end, q->ranges[i].offset + q->ranges[i].len);
    return end;
}

/* The value that is small before and after: as bytes in memory, then a new generation without rows. */
static void patch_small(struct value *v, const struct kv_request *q, uint64_t truncated, uint64_t size)
{
    struct buf *all = &v->k->data;
    struct bytes data = q->data;
    buf_clear(all);
    value_read(&v->k->rows, v->shard, v->meta, v->revision, 0, truncated, all);
    size_t have = all->len;
    if (size > have)
        memset(buf_grow(all, size - have), 0, size - have);
    for (unsigned i = 0; i < q->n_ranges; i++) {
        if (q->ranges[i].len)
            memcpy(all->data + q->ranges[i].offset, data.data, q->ranges[i].len);
        data = bytes_from(data, q->ranges[i].len);
    }
    value_put(v, buf_bytes(all));
}

static void patch_in_place(struct value *v, const struct kv_request *q, uint64_t truncated, uint64_t end)
{
    struct bytes data = q->data;
    struct meta *m = v->meta;
    if (truncated < m->attr.size)
        value_shrink(v, truncated);
    /* Before any other row of this revision: a chunk has one row per revision, and later ones see this. */
    if (end > meta_rows_end(m) || truncated > m->attr.size)
        tail_to_rows(v);
    if (truncated > m->attr.size)
        value_lengthen(v, truncated);
    for (unsigned i = 0; i < q->n_ranges; i++) {
        range_write(v, q->ranges[i].offset, bytes_first(data, q->ranges[i].len));
        data = bytes_from(data, q->ranges[i].len);
    }
    m->attr.base = v->revision;
}

static uint64_t patch_truncated(const struct value *v, const struct kv_request *q)
{
    return q->flags & KV_TRUNCATE ? q->length : v->meta->attr.size;
}

void value_write_ranges(struct value *v, const struct kv_request *q)
{
    patch_in_place(v, q, patch_truncated(v, q), patch_end(q));
}

void value_patch(struct value *v, struct bytes key, const struct kv_request *q)
{
    uint64_t truncated = patch_truncated(v, q);
    uint64_t end = patch_end(q), size = MAX(truncated, end);
    bool small = size <= VALUE_INLINE_BYTES;
    value_keep_old(v, key, small);
    if (small)
        patch_small(v, q, truncated, size);
    else
        patch_in_place(v, q, truncated, end);
}

/* A value that is all tail leaves nothing: whoever is pinned to it got its bytes with the open. (One that is all hole has no
 * rows, but is long.) */
void value_keep_old(struct value *v, struct bytes key, bool gone)
{
    const struct meta *m = v->meta;
    if (gone && m->high)
        expiry_value(v->k, v->shard, m);
    if (meta_rows_end(m) == 0)
        return;
    struct rowkey row = row_history(v->shard, key, m->attr.version);
    meta_encode(m, overlay_put(&v->k->rows, rowkey_bytes(&row), meta_size(m)));
    expiry_history(v->k, v->shard, key, m->attr.version);
}
