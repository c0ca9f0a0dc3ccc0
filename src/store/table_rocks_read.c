/* Reading a table of RocksDB. Who may not wait for the disk reads for a while all the same (patience.h), and then what the cache has. */
#include "store/table_rocks_internal.h"

#include <time.h>

#define READ_ONCE_BYTES (1u << 20)

struct rows {              /* in order, of an iterator */
    rocksdb_iterator_t *iter;
    rocksdb_readoptions_t *read;
};

/* An iterator of RocksDB 7.8 that reads the cache only is not to be believed: where a level goes on in a file that has to be read, it leaves out
 * the rest of that level and says that all is well (mended in 8.5.2). One that does not heed range deletions does say so. It is enough for who may
 * never wait and only wants to know what there is to read. Otherwise it goes ahead as a scout, and the rows are read by an ordinary one, which
 * finds in the cache what the scout found there. */
struct table_iter {
    struct rows rows, scout;   /* scout.iter NULL: none is needed; rows.iter NULL: the scout has found nothing yet */
    struct table *table;
    struct buf from, to;       /* RocksDB keeps pointers to the bounds */
    bool started;
    struct patience *patience; /* NULL: it may wait */
    bool impatient;            /* it has ended because it may not wait */
};

static enum rgkv_err get(struct table *t, const rocksdb_readoptions_t *read, struct bytes key, struct buf *out)
{
    char *text = NULL;
    rocksdb_pinnableslice_t *slice = rocksdb_get_pinned(table_rocks_of(t)->db, read, (const char *)key.data, key.len, &text);
    if (text)
        return table_rocks_failed(text, NULL);
    if (!slice)
        return RGKV_NOT_FOUND;
    size_t len;
    const char *value = rocksdb_pinnableslice_value(slice, &len);
    buf_put(out, bytes_of(value, len));
    rocksdb_pinnableslice_destroy(slice);
    return RGKV_OK;
}

enum rgkv_err table_rocks_get(struct table *t, const struct table_snapshot *s, struct bytes key, struct buf *out)
{
    return get(t, s ? s->read : table_rocks_of(t)->read, key, out);
}

/* A file that is not open yet counts as one that has the key, with an empty value (RocksDB 7.8, TableCache::Get: MarkKeyMayExist; a row that is
 * missing looks like that, too). No row that is read by its key is empty, and if one were, it is read from the disk. */
static enum rgkv_err get_from_cache(struct table *t, struct bytes key, struct buf *out)
{
    size_t before = out->len;
    enum rgkv_err err = get(t, table_rocks_of(t)->read_now, key, out);
    return !err && out->len == before ? RGKV_PENDING : err;
}

static uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

enum rgkv_err table_rocks_get_now(struct table *t, struct bytes key, enum table_wait wait, struct buf *out)
{
    struct patience *p = &table_rocks_of(t)->shared->patience;
    uint64_t begun_us = now_us();
    if (wait == TABLE_WAIT_NEVER || !patience_left(p, begun_us))
        return get_from_cache(t, key, out);
    enum rgkv_err err = get(t, table_rocks_of(t)->read, key, out);
    patience_spend(p, now_us() - begun_us);
    return err;
}

/* A whole table is read to be sent: a few large reads wait less for a busy disk, and the cache keeps what others read. */
static void read_once(rocksdb_readoptions_t *read)
{
    rocksdb_readoptions_set_fill_cache(read, 0);
    rocksdb_readoptions_set_readahead_size(read, READ_ONCE_BYTES);
}

/* The bounds are i's own. */
static rocksdb_readoptions_t *read_until(const struct table_iter *i)
{
    rocksdb_readoptions_t *read = rocksdb_readoptions_create();
    if (i->to.len)
        rocksdb_readoptions_set_iterate_upper_bound(read, (const char *)i->to.data, i->to.len);
    return read;
}

static void rows_open(struct table_iter *i, struct rows *rows) { rows->iter = rocksdb_create_iterator(table_rocks_of(i->table)->db, rows->read); }

static void read_cache_only(rocksdb_readoptions_t *read)
{
    rocksdb_readoptions_set_read_tier(read, TABLE_ROCKS_FROM_CACHE);
    rocksdb_readoptions_set_ignore_range_deletions(read, 1);
}

static struct table_iter *iter_new(struct table *t, struct bytes from, struct bytes to)
{
    struct table_iter *i = mem_zalloc(sizeof(*i));
    i->table = t;
    buf_put(&i->from, from);
    buf_put(&i->to, to);
    i->rows.read = read_until(i);
    return i;
}

struct table_iter *table_rocks_iter(struct table *t, const struct table_snapshot *s, struct bytes from, struct bytes to)
{
    struct table_iter *i = iter_new(t, from, to);
    if (s)
        rocksdb_readoptions_set_snapshot(i->rows.read, s->snapshot);
    if (!from.len && !to.len)
        read_once(i->rows.read);
    rows_open(i, &i->rows);
    return i;
}

struct table_iter *table_rocks_iter_now(struct table *t, struct bytes from, struct bytes to, enum table_wait wait)
{
    struct table_iter *i = iter_new(t, from, to);
    if (wait == TABLE_WAIT_NEVER) {
        read_cache_only(i->rows.read);
        rows_open(i, &i->rows);
        return i;
    }
    i->patience = &table_rocks_of(t)->shared->patience;
    if (patience_left(i->patience, now_us())) {
        rows_open(i, &i->rows);
        return i;
    }
    i->scout.read = read_until(i);
    read_cache_only(i->scout.read);
    rows_open(i, &i->scout);
    return i;
}

static struct bytes key_of(const rocksdb_iterator_t *i)
{
    size_t len;
    const char *key = rocksdb_iter_key(i, &len);
    return bytes_of(key, len);
}

static void seek_to(rocksdb_iterator_t *i, struct bytes key) { rocksdb_iter_seek(i, (const char *)key.data, key.len); }

/* Seeking is left to the first step, so that making an iterator reads nothing. */
static bool iter_step(struct table_iter *i)
{
    if (!i->started)
        seek_to(i->rows.iter, buf_bytes(&i->from));
    else if (rocksdb_iter_valid(i->rows.iter))
        rocksdb_iter_next(i->rows.iter);
    i->started = true;
    return rocksdb_iter_valid(i->rows.iter);
}

static enum rgkv_err error_in(const struct rows *rows)
{
    char *text = NULL;
    if (rows->iter)
        rocksdb_iter_get_error(rows->iter, &text);
    return table_rocks_failed(text, NULL);
}

/* To the first row behind the one that was given out, or the first of all. Rows that a range deletion took make it fall back. */
static void scout_step(struct table_iter *i)
{
    rocksdb_iterator_t *scout = i->scout.iter;
    if (!i->started) {
        seek_to(scout, buf_bytes(&i->from));
        return;
    }
    if (!rocksdb_iter_valid(scout) || !rocksdb_iter_valid(i->rows.iter))
        return;
    struct bytes given = key_of(i->rows.iter);
    if (bytes_cmp(key_of(scout), given) < 0)
        seek_to(scout, given);
    if (rocksdb_iter_valid(scout) && bytes_eq(key_of(scout), given))
        rocksdb_iter_next(scout);
}

static bool scout_is_stopped(struct table_iter *i)
{
    scout_step(i);
    return !rocksdb_iter_valid(i->scout.iter) && error_in(&i->scout) == RGKV_PENDING;
}

/* One that may not wait ends where the patience does, or at the first row that is not in the cache. */
bool table_rocks_iter_next(struct table_iter *i)
{
    if (!i->patience)
        return iter_step(i);
    uint64_t begun_us = now_us();
    if (!i->impatient)
        i->impatient = i->scout.iter ? scout_is_stopped(i) : !patience_left(i->patience, begun_us);
    if (!i->impatient && !i->rows.iter)
        rows_open(i, &i->rows);
    bool there = !i->impatient && iter_step(i);
    patience_spend(i->patience, now_us() - begun_us);
    return there;
}

void table_rocks_iter_seek(struct table_iter *i, struct bytes from)
{
    buf_clear(&i->from);
    buf_put(&i->from, from);
    i->started = false;
}

struct bytes table_rocks_iter_key(const struct table_iter *i) { return key_of(i->rows.iter); }

struct bytes table_rocks_iter_value(const struct table_iter *i)
{
    size_t len;
    const char *value = rocksdb_iter_value(i->rows.iter, &len);
    return bytes_of(value, len);
}

enum rgkv_err table_rocks_iter_error(const struct table_iter *i) { return i->impatient ? RGKV_PENDING : error_in(&i->rows); }

static void rows_free(struct rows *rows)
{
    if (rows->iter)
        rocksdb_iter_destroy(rows->iter);
    if (rows->read)
        rocksdb_readoptions_destroy(rows->read);
}

void table_rocks_iter_free(struct table_iter *i)
{
    if (!i)
        return;
    rows_free(&i->scout);
    rows_free(&i->rows);
    buf_release(&i->from);
    buf_release(&i->to);
    mem_free(i);
}
