/* Pointers to a layer's rows lie in a sorted array: there are at most some thousands, searching them takes a few comparisons, moving
 * them a few kilobytes, and a scan merges them with the table's iterator as they lie. Rows, keys and values live in blocks that
 * are given back together after a write; a row has its key beside it, so that a comparison touches one place in memory.
 *
 * When it is full: more rows make a write rarer and what it costs a row smaller (a row that changed twice is written
 * once, and neighbours in order are found in the table's memory sooner), and the time that one write takes longer. */
#include "base/mutant.h"
#include "kv/cold.h"
#include "kv/overlay.h"

#ifndef OVERLAY_BLOCK_BYTES
#define OVERLAY_BLOCK_BYTES (256u << 10)
#endif
#define ROWS_FULL 4096u
#define BLOCK_ALIGN _Alignof(struct overlay_row)
#define RANGES_FULL 16u
#define BYTES_FULL (1u << 20)
#define SWOLLEN 8u             /* times full */
#define BYTES_SWOLLEN (32u << 20)

struct overlay_block {
    struct overlay_block *older;
    size_t used, room;
    _Alignas(struct overlay_row) uint8_t data[];
};

void overlay_init(struct overlay *o, struct table *t, struct row_cache *cache)
{
    *o = (struct overlay){.table = t, .cache = cache};
}

static void blocks_free_from(struct overlay_block *b)
{
    while (b) {
        struct overlay_block *older = b->older;
        mem_free(b);
        b = older;
    }
}

static void layer_release(struct overlay_layer *l)
{
    blocks_free_from(l->blocks);
    mem_free(l->rows);
    mem_free(l->ranges);
    *l = (struct overlay_layer){0};
}

void overlay_release(struct overlay *o)
{
    layer_release(&o->top);
    layer_release(&o->under);
    blocks_free_from(o->spare);
    *o = (struct overlay){0};
}

/* One of the usual size may be left from before the last write: fresh memory costs more than what is put into it. */
static struct overlay_block *block_new(struct overlay *o, size_t len)
{
    struct overlay_block *b = o->spare;
    if (b && len <= b->room) {
        o->spare = b->older;
        return b;
    }
    size_t room = MAX(len, OVERLAY_BLOCK_BYTES);
    b = mem_alloc(sizeof(*b) + room);
    b->used = 0;
    b->room = room;
    return b;
}

static uint8_t *block_take(struct overlay *o, size_t len)
{
    struct overlay_layer *l = &o->top;
    struct overlay_block *b = l->blocks;
    len = (len + BLOCK_ALIGN - 1) / BLOCK_ALIGN * BLOCK_ALIGN;
    if (!b || b->room - b->used < len) {
        b = block_new(o, len);
        b->older = l->blocks;
        l->blocks = b;
    }
    uint8_t *taken = b->data + b->used;
    b->used += len;
    l->bytes += len;
    return taken;
}

static struct bytes block_copy(struct overlay *o, struct bytes b)
{
    uint8_t *copy = block_take(o, b.len);
    if (b.len)
        memcpy(copy, b.data, b.len);
    return bytes_of(copy, b.len);
}

static bool layer_reaches(const struct overlay_layer *l, unsigned times, uint64_t bytes)
{
    return l->n_rows >= times * ROWS_FULL || l->n_ranges >= times * RANGES_FULL || l->bytes >= bytes;
}

bool overlay_full(const struct overlay *o) { return layer_reaches(&o->top, 1, BYTES_FULL); }
bool overlay_swollen(const struct overlay *o) { return layer_reaches(&o->top, SWOLLEN, BYTES_SWOLLEN); }

unsigned overlay_place(const struct overlay_layer *l, struct bytes key)
{
    unsigned lo = 0, hi = l->n_rows;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (bytes_cmp(l->rows[mid]->key, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct overlay_row *row_found(const struct overlay_layer *l, struct bytes key)
{
    unsigned at = overlay_place(l, key);
    return at < l->n_rows && bytes_eq(l->rows[at]->key, key) ? l->rows[at] : NULL;
}

static struct overlay_row *row_new(struct overlay *o, struct bytes key)
{
    struct overlay_row *r = (struct overlay_row *)block_take(o, sizeof(*r) + key.len);
    *r = (struct overlay_row){.key = bytes_of(r + 1, key.len)};
    memcpy(r + 1, key.data, key.len);
    return r;
}

static struct overlay_row *row_insert(struct overlay *o, unsigned at, struct bytes key)
{
    struct overlay_layer *l = &o->top;
    if (l->n_rows == l->rows_room) {
        l->rows_room = MAX(l->rows_room * 2, 256);
        l->rows = mem_realloc(l->rows, l->rows_room * sizeof(*l->rows));
    }
    memmove(l->rows + at + 1, l->rows + at, (l->n_rows - at) * sizeof(*l->rows));
    l->rows[at] = row_new(o, key);
    l->n_rows++;
    o->changes++;
    return l->rows[at];
}

static struct overlay_row *row_of(struct overlay *o, struct bytes key)
{
    const struct overlay_layer *l = &o->top;
    unsigned at = overlay_place(l, key);
    if (at < l->n_rows && bytes_eq(l->rows[at]->key, key))
        return l->rows[at];
    return row_insert(o, at, key);
}

static bool range_deleted(const struct overlay_layer *l, struct bytes key)
{
    for (unsigned i = 0; i < l->n_ranges; i++)
        if (bytes_cmp(key, l->ranges[i].from) >= 0 && bytes_cmp(key, l->ranges[i].to) < 0)
            return true;
    return false;
}

/* Reading needs no space: whatever a disk means by that, the row cannot be read. */
static void note_error(struct overlay *o, enum rgkv_err err)
{
    if (err && err != RGKV_NOT_FOUND && !o->err)
        o->err = err == RGKV_NO_SPACE ? RGKV_IO : err;
}

static bool is_cold(struct overlay *o, enum rgkv_err err, struct bytes from, struct bytes to)
{
    if (!o->cold || err != RGKV_PENDING)
        return false;
    o->missed = true;
    cold_add(o->cold, from, to);
    return true;
}

static bool table_row(struct overlay *o, struct bytes key, struct buf *out)
{
    enum row_cached cached = row_cache_get(o->cache, key, out);
    if (cached != ROW_NOT_CACHED)
        return cached == ROW_CACHED;
    enum rgkv_err err = o->cold ? o->table->ops->get_now(o->table, key, o->wait, out) : table_get(o->table, NULL, key, out);
    if (is_cold(o, err, key, BYTES_EMPTY))
        return false;
    note_error(o, err);
    if (!err)
        row_cache_put(o->cache, key, buf_bytes(out));
    else if (err == RGKV_NOT_FOUND)
        row_cache_put_absent(o->cache, key);
    return !err;
}

/* What the layer says of the row, which may be that it is gone: true, and then *ret_there and out. False: what is below counts. */
static bool layer_row(const struct overlay_layer *l, struct bytes key, struct buf *out, bool *ret_there)
{
    const struct overlay_row *r = row_found(l, key);
    *ret_there = r && r->value;
    if (*ret_there)
        buf_put(out, bytes_of(r->value, r->len));
    return r || range_deleted(l, key);
}

bool overlay_get(struct overlay *o, struct bytes key, struct buf *out)
{
    bool there;
    buf_clear(out);
    if (!MUTANT(apply_reads_table) && layer_row(&o->top, key, out, &there))
        return there;
    if (o->frozen && !MUTANT(saving_unread) && layer_row(&o->under, key, out, &there))
        return there;
    return table_row(o, key, out);
}

bool overlay_below(struct overlay *o, struct bytes key, struct buf *out)
{
    ASSERT(!o->frozen);
    buf_clear(out);
    return table_row(o, key, out);
}

uint8_t *overlay_put(struct overlay *o, struct bytes key, size_t len)
{
    ASSERT(len <= UINT32_MAX);
    struct overlay_row *r = row_of(o, key);
    if (!r->value || r->room < len) {
        r->room = (uint32_t)(r->value ? len + len / 2 : MAX(len, 1)); /* a row that grew will grow again */
        r->value = block_take(o, r->room);
    }
    r->len = (uint32_t)len;
    return r->value;
}

void overlay_delete(struct overlay *o, struct bytes key)
{
    struct overlay_row *r = row_of(o, key);
    r->value = NULL;
    r->len = r->room = 0;
}

void overlay_delete_range(struct overlay *o, struct bytes from, struct bytes to)
{
    struct overlay_layer *l = &o->top;
    unsigned first = overlay_place(l, from), end = overlay_place(l, to);
    ASSERT(first <= end);
    if (end > first) {
        memmove(l->rows + first, l->rows + end, (l->n_rows - end) * sizeof(*l->rows));
        l->n_rows -= end - first;
    }
    o->changes++;
    if (l->n_ranges == l->ranges_room) {
        l->ranges_room = MAX(l->ranges_room * 2, 16);
        l->ranges = mem_realloc(l->ranges, l->ranges_room * sizeof(*l->ranges));
    }
    l->ranges[l->n_ranges++] = (struct overlay_range){block_copy(o, from), block_copy(o, to)};
}

/* ---- into the table ---- */

static void block_put_back(struct overlay *o, struct overlay_block *b)
{
    if (b->room != OVERLAY_BLOCK_BYTES) {
        mem_free(b);
        return;
    }
    b->used = 0;
    b->older = o->spare;
    o->spare = b;
}

/* Empty again. */
static void layer_clear(struct overlay *o, struct overlay_layer *l)
{
    for (struct overlay_block *b = l->blocks, *older; b; b = older) {
        older = b->older;
        block_put_back(o, b);
    }
    l->blocks = NULL;
    l->n_rows = l->n_ranges = 0;
    l->bytes = 0;
    o->changes++;
}

/* Ranges first: the rows came after them. */
static void changes_fill(const struct overlay_layer *l, struct table_change *c)
{
    for (unsigned i = 0; i < l->n_ranges; i++)
        *c++ = (struct table_change){TABLE_DELETE_RANGE, .key = l->ranges[i].from, .end = l->ranges[i].to};
    for (unsigned i = 0; i < l->n_rows; i++) {
        const struct overlay_row *r = l->rows[i];
        *c++ = r->value ? (struct table_change){TABLE_PUT, .key = r->key, .value = bytes_of(r->value, r->len)}
                        : (struct table_change){TABLE_DELETE, .key = r->key};
    }
}

static void cache_update(struct overlay *o, const struct overlay_layer *l)
{
    if (l->n_ranges)
        row_cache_clear(o->cache);
    for (unsigned i = 0; i < l->n_rows; i++) {
        const struct overlay_row *r = l->rows[i];
        if (r->value)
            row_cache_put(o->cache, r->key, bytes_of(r->value, r->len));
        else
            row_cache_put_absent(o->cache, r->key);
    }
}

enum rgkv_err overlay_layer_write(const struct overlay_layer *l, struct table *t)
{
    size_t n = (size_t)l->n_ranges + l->n_rows;
    struct table_change *changes = mem_alloc(n * sizeof(*changes));
    changes_fill(l, changes);
    enum rgkv_err err = table_write(t, changes, n);
    mem_free(changes);
    return err;
}

static void layer_written(struct overlay *o, struct overlay_layer *l, enum rgkv_err err)
{
    if (err != RGKV_NO_SPACE)
        note_error(o, err);
    if (err)
        return;
    cache_update(o, l);
    layer_clear(o, l);
}

void overlay_freeze(struct overlay *o)
{
    ASSERT(!o->frozen);
    struct overlay_layer empty = o->under; /* with its arrays */
    o->under = o->top;
    o->top = empty;
    o->frozen = true;
    o->changes++;
}

void overlay_written(struct overlay *o, enum rgkv_err err)
{
    layer_written(o, &o->under, err);
    o->frozen = err != RGKV_OK;
}

enum rgkv_err overlay_write(struct overlay *o)
{
    if (o->err)
        return o->err;
    if (o->frozen)
        overlay_written(o, overlay_layer_write(&o->under, o->table));
    if (o->frozen)
        return o->err ? o->err : RGKV_NO_SPACE;
    enum rgkv_err err = overlay_layer_write(&o->top, o->table);
    layer_written(o, &o->top, err);
    return err;
}

/* ---- scan ---- */

static void scan_place(struct scan *s, struct bytes from)
{
    s->next = overlay_place(&s->overlay->top, from);
    s->next_under = s->overlay->frozen ? overlay_place(&s->overlay->under, from) : 0;
}

void scan_open(struct scan *s, struct overlay *o, struct bytes from, struct bytes to)
{
    *s = (struct scan){.overlay = o, .changes = o->changes};
    scan_place(s, from);
    buf_put(&s->to, to);
    buf_put(&s->last, from);
    s->iter = o->cold ? o->table->ops->iter_now(o->table, from, buf_bytes(&s->to), o->wait) : table_iter(o->table, NULL, from, buf_bytes(&s->to));
    s->iter_has = o->table->ops->iter_next(s->iter);
}

static void scan_note_error(struct scan *s)
{
    enum rgkv_err err = s->overlay->table->ops->iter_error(s->iter);
    if (!is_cold(s->overlay, err, buf_bytes(&s->last), buf_bytes(&s->to)))
        note_error(s->overlay, err);
}

/* An iterator forgets its error when it is moved. */
void scan_seek(struct scan *s, struct bytes from, struct bytes to)
{
    const struct table_ops *ops = s->overlay->table->ops;
    scan_note_error(s);
    buf_clear(&s->to);
    buf_put(&s->to, to);
    buf_clear(&s->last);
    buf_put(&s->last, from);
    s->changes = s->overlay->changes;
    scan_place(s, from);
    s->started = false;
    ops->iter_seek(s->iter, from);
    s->iter_has = ops->iter_next(s->iter);
}

/* Rows came or went: behind the last row given out is somewhere else now. */
static void scan_find_place(struct scan *s)
{
    const struct overlay_layer *l = &s->overlay->top;
    if (s->changes == s->overlay->changes)
        return;
    s->changes = s->overlay->changes;
    struct bytes last = buf_bytes(&s->last);
    s->next = overlay_place(l, last);
    if (s->started && s->next < l->n_rows && bytes_eq(l->rows[s->next]->key, last))
        s->next++;
}

static const struct overlay_row *scan_layer_row(const struct scan *s, const struct overlay_layer *l, unsigned next)
{
    if (next >= l->n_rows || bytes_cmp(l->rows[next]->key, buf_bytes(&s->to)) >= 0)
        return NULL;
    return l->rows[next];
}

static bool was_given(const struct scan *s, struct bytes key) { return s->started && bytes_cmp(key, buf_bytes(&s->last)) <= 0; }

/* The frozen layer's next row that no later change hides. */
static const struct overlay_row *scan_under_row(struct scan *s)
{
    const struct overlay *o = s->overlay;
    const struct overlay_row *r;
    if (!o->frozen || MUTANT(saving_unread))
        return NULL;
    while ((r = scan_layer_row(s, &o->under, s->next_under)) && (was_given(s, r->key) || range_deleted(&o->top, r->key)))
        s->next_under++;
    return r;
}

/* The next row of the layers, and the one above where both have it. */
static const struct overlay_row *scan_overlay_row(struct scan *s)
{
    const struct overlay_row *top = scan_layer_row(s, &s->overlay->top, s->next), *under = scan_under_row(s);
    if (!top || !under)
        return top ? top : under;
    return bytes_cmp(top->key, under->key) <= 0 ? top : under;
}

/* The table's next row that no later change hides, or an empty key. Behind what was given out. */
static struct bytes scan_table_key(struct scan *s)
{
    const struct overlay *o = s->overlay;
    const struct table_ops *ops = o->table->ops;
    while (s->iter_has) {
        struct bytes key = ops->iter_key(s->iter);
        if (bytes_cmp(key, buf_bytes(&s->to)) >= 0)
            return BYTES_EMPTY; /* the iterator has the bounds of the first range */
        bool hidden = range_deleted(&o->top, key) || (o->frozen && range_deleted(&o->under, key));
        if (!was_given(s, key) && !hidden)
            return key;
        s->iter_has = ops->iter_next(s->iter);
    }
    return BYTES_EMPTY;
}

static void scan_stand_on(struct scan *s, struct bytes key, struct bytes value)
{
    s->started = true;
    s->key = key;
    s->value = value;
    buf_clear(&s->last);
    buf_put(&s->last, key);
}

bool scan_next(struct scan *s)
{
    scan_find_place(s);
    for (;;) {
        const struct overlay_row *r = scan_overlay_row(s);
        struct bytes key = scan_table_key(s);
        if (!r && !key.len)
            return false;
        if (!r || (key.len && bytes_cmp(key, r->key) < 0)) {
            scan_stand_on(s, key, s->overlay->table->ops->iter_value(s->iter));
            return true;
        }
        s->next += s->next < s->overlay->top.n_rows && s->overlay->top.rows[s->next] == r;
        scan_stand_on(s, r->key, bytes_of(r->value, r->len));
        if (r->value)
            return true;
    }
}

void scan_close(struct scan *s)
{
    scan_note_error(s);
    s->overlay->table->ops->iter_free(s->iter);
    buf_release(&s->to);
    buf_release(&s->last);
}
