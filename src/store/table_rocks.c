/* RocksDB as the table. What is set here, and why:
 *
 *   no write-ahead log       the raft log is replayed from the last flush on; a second log would double every write
 *   one column family        a flush is then one point in the order of batches (P23)
 *   small write buffers      a process has many replicas; and a flush, which compaction of the raft log waits for, is short
 *   writers are held up      when memtables fill faster than they are flushed, or files more than they are compacted: but by
 *                            whoever asks `waits`, before RocksDB would do it, which stops the thread. Not for a full disk:
 *                            with an error in the background RocksDB gives up waiting and says so
 *   nothing is deleted here  by whoever closes an iterator, which may be the last to hold a gigabyte of files
 *   many files, small ones   every flush has keys from one end to the other, so the first compaction rewrites level 1: that is to be
 *                            small, and rare. What is below it is sorted by file and offset and mostly moves down as it is: of a
 *                            gigabyte written, a node writes 3.0 and not 3.5 to its disk, the log included
 *   compactions yield        to the loop (`compaction_nice`); flushes do not, for writers would wait for them. But not to everybody, as with the lowest
 *                            priority: beside others' work they got nothing, and at last writers waited for them for ever
 *   bloom filters            in files and in write buffers: most reads are of one key, many of keys that are not there
 *                            (sessions, new files)
 *   XXH3 for blocks          Debian's build computes CRC32C without the processor's help: a tenth of the speed
 *
 * RocksDB reports errors as text: the first words are its status code. */
#include "store/table_rocks.h"

#include <pthread.h>
#include <rocksdb/c.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#define WRITE_BUFFERS_MAX 5       /* RocksDB slows writers down when all but one wait to be flushed … */
#define WRITE_BUFFERS_WAITING 2   /* … and they wait for this many */
#define FIRST_FILES_MAX 40        /* the same for files that are not compacted yet */
#define FIRST_FILES_WAITING 32
#define FIRST_FILES_TOGETHER 8    /* so many are compacted at once */
#define LEVEL_BYTES (128u << 20)  /* of level 1; each further one is ten times as large … */
#define FILE_BYTES (16u << 20)    /* … and has files of twice the size */
#define UNASKED_BYTES_MAX (256u << 10) /* so much may be written before RocksDB is asked again */
#define WRITE_BUFFER_BYTES_MIN (2u << 20)
#define WRITE_BUFFER_BYTES_MAX (32u << 20)
#define BACKGROUND_JOBS 2
#define READ_ONCE_BYTES (1u << 20)
#define WRITE_BUFFER_BLOOM 0.05 /* of the buffer's size */
#define BLOOM_BITS_PER_KEY 10
#define FROM_CACHE 1 /* ReadTier::kBlockCacheTier of rocksdb/options.h; the C API has no name for it */
#define BLOCK_BYTES 8192u
#define CHECKSUM_XXH3 4 /* ChecksumType::kXXH3 of rocksdb/table.h; the C API has no name for it */

struct table_rocks_shared {
    rocksdb_cache_t *cache;
    rocksdb_env_t *env;
    int compaction_nice;
    uint64_t write_buffer_bytes;
    struct patience patience;    /* of the one thread that asks for what it can have now; the disk is the same for all */
    pthread_mutex_t lock;        /* tables are opened and closed on any threads */
    struct table_rocks *tables;  /* open ones */
    bool trims_end;              /* the lock's, as the tables are */
    pthread_t asker;             /* asks RocksDB whether a table is behind: who asks may wait for threads that hold its locks */
    sem_t asked;                 /* by somebody, or to end */
    atomic_bool asker_ends;
};

struct table_rocks {
    struct table table;
    struct table_rocks_shared *shared;
    struct table_rocks *prev, *next;
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_readoptions_t *read, *read_now;
    rocksdb_writeoptions_t *write;
    rocksdb_writebatch_t *batch; /* reused: write is called by one thread at a time */
    atomic_bool waits;           /* as was answered last */
    atomic_bool asked;           /* and not answered yet */
    atomic_size_t unasked_bytes; /* written since it was asked */
    atomic_bool in_trouble;      /* there was an error in the background, and no write has succeeded since */
    atomic_uint_fast64_t errors; /* in the background, before that */
};

struct table_snapshot {
    const rocksdb_snapshot_t *snapshot;
    rocksdb_readoptions_t *read;
};

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

static bool starts(const char *text, const char *words) { return strncmp(text, words, strlen(words)) == 0; }

static enum rgkv_err error_of(const char *text)
{
    if (strstr(text, "No space left") || strstr(text, "NoSpace") || strstr(text, "Disk quota"))
        return RGKV_NO_SPACE;
    if (starts(text, "Result incomplete"))
        return RGKV_PENDING;
    if (starts(text, "Corruption"))
        return RGKV_DAMAGED;
    if (starts(text, "IO error: While lock file") || starts(text, "IO error: lock "))
        return RGKV_CONFLICT;
    return RGKV_IO;
}

/* Takes the text. */
static enum rgkv_err failed(char *text, struct buf *why)
{
    if (!text)
        return RGKV_OK;
    enum rgkv_err err = error_of(text);
    if (why)
        buf_printf(why, "%s", text);
    rocksdb_free(text);
    return err;
}

static struct table_rocks *of(struct table *t) { return (struct table_rocks *)t; }

/* ---- who would have to wait ---- */

static uint64_t property(struct table_rocks *t, const char *name)
{
    uint64_t value = 0;
    rocksdb_property_int(t->db, name, &value);
    return value;
}

static uint64_t first_files(struct table_rocks *t)
{
    char *text = rocksdb_property_value(t->db, "rocksdb.num-files-at-level0");
    uint64_t n = text ? strtoull(text, NULL, 10) : 0;
    rocksdb_free(text);
    return n;
}

static bool in_trouble(struct table_rocks *t)
{
    if (property(t, "rocksdb.background-errors") != t->errors)
        t->in_trouble = true;
    return t->in_trouble;
}

static bool is_behind(struct table_rocks *t)
{
    return !in_trouble(t) &&
           (property(t, "rocksdb.num-immutable-mem-table") >= WRITE_BUFFERS_WAITING || first_files(t) >= FIRST_FILES_WAITING);
}

static void *ask(void *arg)
{
    struct table_rocks_shared *s = arg;
    struct table_rocks *t;
    pthread_setname_np(pthread_self(), "rgkv-ask");
    for (;;) {
        while (sem_wait(&s->asked) != 0)
            ;
        if (s->asker_ends)
            return NULL;
        pthread_mutex_lock(&s->lock);
        DL_FOREACH(s->tables, t)
            if (atomic_exchange(&t->asked, false))
                t->waits = is_behind(t);
        pthread_mutex_unlock(&s->lock);
    }
}

/* What was answered last; the next answer is on its way when it is due. If that takes long, no more than a buffer is written meanwhile. */
static bool rocks_waits(struct table *table)
{
    struct table_rocks *t = of(table);
    bool waits = t->waits;
    if (!waits && t->unasked_bytes < UNASKED_BYTES_MAX)
        return false;
    if (!atomic_exchange(&t->asked, true)) {
        t->unasked_bytes = 0;
        sem_post(&t->shared->asked);
    }
    return waits || t->unasked_bytes >= t->shared->write_buffer_bytes;
}

static void asker_start(struct table_rocks_shared *s)
{
    sem_init(&s->asked, 0, 0);
    int rc = pthread_create(&s->asker, NULL, ask, s);
    ASSERT(rc == 0);
}

static void asker_end(struct table_rocks_shared *s)
{
    s->asker_ends = true;
    sem_post(&s->asked);
    pthread_join(s->asker, NULL);
    sem_destroy(&s->asked);
}

/* ---- what tables share ---- */

/* A thread begins with the priority of the one that starts it, and nobody may raise it again: so that is not the caller. */
static void *start_compaction_threads(void *arg)
{
    struct table_rocks_shared *s = arg;
    id_t thread = (id_t)gettid();
    int err = setpriority(PRIO_PROCESS, thread, getpriority(PRIO_PROCESS, thread) + s->compaction_nice);
    (void)err; /* they only yield less */
    rocksdb_env_set_background_threads(s->env, BACKGROUND_JOBS);
    return NULL;
}

static void start_threads(struct table_rocks_shared *s)
{
    pthread_t starter;
    if (pthread_create(&starter, NULL, start_compaction_threads, s) == 0)
        pthread_join(starter, NULL);
    else
        rocksdb_env_set_background_threads(s->env, BACKGROUND_JOBS);
    rocksdb_env_set_high_priority_background_threads(s->env, 1);
}

/* RocksDB counts every comparison of keys in a variable of the thread unless told not to: a sixth of a busy node's time
 * (a put of 256 bytes on three nodes: 39 us of processor instead of 48). The level is this thread's: the one that will
 * read the tables; whoever writes them says it then. */
struct table_rocks_shared *table_rocks_shared_new(uint64_t budget_bytes, int compaction_nice)
{
    struct table_rocks_shared *s = mem_zalloc(sizeof(*s));
    s->compaction_nice = compaction_nice;
    pthread_mutex_init(&s->lock, NULL);
    rocksdb_set_perf_level(rocksdb_disable);
    s->cache = rocksdb_cache_create_lru(MAX(budget_bytes / 2, 1u << 20));
    s->env = rocksdb_create_default_env();
    start_threads(s);
    asker_start(s);
    s->write_buffer_bytes = MIN(MAX(budget_bytes / 16, WRITE_BUFFER_BYTES_MIN), WRITE_BUFFER_BYTES_MAX);
    return s;
}

void table_rocks_shared_free(struct table_rocks_shared *s)
{
    if (!s)
        return;
    ASSERT(!s->tables);
    asker_end(s);
    pthread_mutex_destroy(&s->lock);
    rocksdb_cache_destroy(s->cache);
    rocksdb_env_destroy(s->env);
    mem_free(s);
}

struct patience *table_rocks_patience(struct table_rocks_shared *s) { return &s->patience; }

/* ---- opening ---- */

static void set_blocks(rocksdb_options_t *o, const struct table_rocks_shared *s)
{
    rocksdb_block_based_table_options_t *b = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(b, s->cache);
    rocksdb_block_based_options_set_block_size(b, BLOCK_BYTES);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(b, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(b, 1);
    rocksdb_block_based_options_set_format_version(b, 5);
    rocksdb_block_based_options_set_checksum(b, CHECKSUM_XXH3);
    rocksdb_block_based_options_set_filter_policy(b, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS_PER_KEY));
    rocksdb_options_set_block_based_table_factory(o, b);
    rocksdb_block_based_options_destroy(b);
}

static rocksdb_options_t *options_new(const struct table_rocks_shared *s)
{
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_env(o, s->env);
    rocksdb_options_set_write_buffer_size(o, s->write_buffer_bytes);
    rocksdb_options_set_max_write_buffer_number(o, WRITE_BUFFERS_MAX);
    rocksdb_options_set_memtable_prefix_bloom_size_ratio(o, WRITE_BUFFER_BLOOM);
    rocksdb_options_set_memtable_whole_key_filtering(o, 1);
    rocksdb_options_set_level0_slowdown_writes_trigger(o, FIRST_FILES_MAX);
    rocksdb_options_set_level0_stop_writes_trigger(o, 2 * FIRST_FILES_MAX);
    rocksdb_options_set_level0_file_num_compaction_trigger(o, FIRST_FILES_TOGETHER);
    rocksdb_options_set_max_bytes_for_level_base(o, LEVEL_BYTES);
    rocksdb_options_set_target_file_size_base(o, FILE_BYTES);
    rocksdb_options_set_target_file_size_multiplier(o, 2);
    rocksdb_options_set_avoid_unnecessary_blocking_io(o, 1);
    rocksdb_options_set_max_background_jobs(o, BACKGROUND_JOBS);
    rocksdb_options_set_compression(o, rocksdb_lz4_compression);
    rocksdb_options_set_bytes_per_sync(o, 1u << 20);
    rocksdb_options_set_info_log_level(o, 3 /* errors */);
    rocksdb_options_set_keep_log_file_num(o, 1);
    rocksdb_options_set_max_log_file_size(o, 1u << 20);
    rocksdb_options_set_stats_dump_period_sec(o, 0);
    rocksdb_options_set_stats_persist_period_sec(o, 0);
    rocksdb_options_set_skip_stats_update_on_db_open(o, 1);
    rocksdb_options_set_max_open_files(o, 512);
    set_blocks(o, s);
    return o;
}

static rocksdb_writeoptions_t *write_options_new(void)
{
    rocksdb_writeoptions_t *w = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(w, 1);
    return w;
}

static enum rgkv_err get(struct table *t, const rocksdb_readoptions_t *read, struct bytes key, struct buf *out)
{
    char *text = NULL;
    rocksdb_pinnableslice_t *slice = rocksdb_get_pinned(of(t)->db, read, (const char *)key.data, key.len, &text);
    if (text)
        return failed(text, NULL);
    if (!slice)
        return RGKV_NOT_FOUND;
    size_t len;
    const char *value = rocksdb_pinnableslice_value(slice, &len);
    buf_put(out, bytes_of(value, len));
    rocksdb_pinnableslice_destroy(slice);
    return RGKV_OK;
}

static enum rgkv_err rocks_get(struct table *t, const struct table_snapshot *s, struct bytes key, struct buf *out)
{
    return get(t, s ? s->read : of(t)->read, key, out);
}

/* A file that is not open yet counts as one that has the key, with an empty value (RocksDB 7.8, TableCache::Get: MarkKeyMayExist; a row that is
 * missing looks like that, too). No row that is read by its key is empty, and if one were, it is read from the disk. */
static enum rgkv_err get_from_cache(struct table *t, struct bytes key, struct buf *out)
{
    size_t before = out->len;
    enum rgkv_err err = get(t, of(t)->read_now, key, out);
    return !err && out->len == before ? RGKV_PENDING : err;
}

static uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static enum rgkv_err rocks_get_now(struct table *t, struct bytes key, enum table_wait wait, struct buf *out)
{
    struct patience *p = &of(t)->shared->patience;
    uint64_t begun_us = now_us();
    if (wait == TABLE_WAIT_NEVER || !patience_left(p, begun_us))
        return get_from_cache(t, key, out);
    enum rgkv_err err = get(t, of(t)->read, key, out);
    patience_spend(p, now_us() - begun_us);
    return err;
}

static void batch_add(rocksdb_writebatch_t *b, const struct table_change *c)
{
    const char *key = (const char *)c->key.data, *value = (const char *)c->value.data, *end = (const char *)c->end.data;
    switch (c->kind) {
    case TABLE_PUT:
        rocksdb_writebatch_put(b, key, c->key.len, value, c->value.len);
        break;
    case TABLE_DELETE:
        rocksdb_writebatch_delete(b, key, c->key.len);
        break;
    case TABLE_DELETE_RANGE:
        if (bytes_cmp(c->key, c->end) < 0)
            rocksdb_writebatch_delete_range(b, key, c->key.len, end, c->end.len);
        break;
    }
}

/* ---- writing ---- */

/* A write that succeeds ends the trouble that was there when it began: what came meanwhile is for the next one. */
static void note_write(struct table_rocks *t, const struct table_change *changes, size_t n, bool trouble_ends)
{
    for (size_t i = 0; i < n; i++)
        t->unasked_bytes += changes[i].key.len + changes[i].value.len;
    if (trouble_ends) {
        t->errors = property(t, "rocksdb.background-errors");
        t->in_trouble = false;
    }
}

static enum rgkv_err rocks_write(struct table *table, const struct table_change *changes, size_t n)
{
    struct table_rocks *t = of(table);
    char *text = NULL;
    bool in_trouble = t->in_trouble;
    rocksdb_set_perf_level(rocksdb_disable);
    rocksdb_writebatch_clear(t->batch);
    for (size_t i = 0; i < n; i++)
        batch_add(t->batch, &changes[i]);
    rocksdb_write(t->db, t->write, t->batch, &text);
    note_write(t, changes, n, in_trouble && !text);
    return failed(text, NULL);
}

static struct table_snapshot *rocks_snapshot(struct table *t)
{
    struct table_snapshot *s = mem_alloc(sizeof(*s));
    s->snapshot = rocksdb_create_snapshot(of(t)->db);
    s->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_snapshot(s->read, s->snapshot);
    return s;
}

static void rocks_snapshot_free(struct table *t, struct table_snapshot *s)
{
    if (!s)
        return;
    rocksdb_readoptions_destroy(s->read);
    rocksdb_release_snapshot(of(t)->db, s->snapshot);
    mem_free(s);
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

static void rows_open(struct table_iter *i, struct rows *rows) { rows->iter = rocksdb_create_iterator(of(i->table)->db, rows->read); }

static void read_cache_only(rocksdb_readoptions_t *read)
{
    rocksdb_readoptions_set_read_tier(read, FROM_CACHE);
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

static struct table_iter *rocks_iter(struct table *t, const struct table_snapshot *s, struct bytes from, struct bytes to)
{
    struct table_iter *i = iter_new(t, from, to);
    if (s)
        rocksdb_readoptions_set_snapshot(i->rows.read, s->snapshot);
    if (!from.len && !to.len)
        read_once(i->rows.read);
    rows_open(i, &i->rows);
    return i;
}

static struct table_iter *rocks_iter_now(struct table *t, struct bytes from, struct bytes to, enum table_wait wait)
{
    struct table_iter *i = iter_new(t, from, to);
    if (wait == TABLE_WAIT_NEVER) {
        read_cache_only(i->rows.read);
        rows_open(i, &i->rows);
        return i;
    }
    i->patience = &of(t)->shared->patience;
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
    return failed(text, NULL);
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
static bool rocks_iter_next(struct table_iter *i)
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

static void rocks_iter_seek(struct table_iter *i, struct bytes from)
{
    buf_clear(&i->from);
    buf_put(&i->from, from);
    i->started = false;
}

static struct bytes rocks_iter_key(const struct table_iter *i) { return key_of(i->rows.iter); }

static struct bytes rocks_iter_value(const struct table_iter *i)
{
    size_t len;
    const char *value = rocksdb_iter_value(i->rows.iter, &len);
    return bytes_of(value, len);
}

static enum rgkv_err rocks_iter_error(const struct table_iter *i) { return i->impatient ? RGKV_PENDING : error_in(&i->rows); }

static void rows_free(struct rows *rows)
{
    if (rows->iter)
        rocksdb_iter_destroy(rows->iter);
    if (rows->read)
        rocksdb_readoptions_destroy(rows->read);
}

static void rocks_iter_free(struct table_iter *i)
{
    if (!i)
        return;
    rows_free(&i->scout);
    rows_free(&i->rows);
    buf_release(&i->from);
    buf_release(&i->to);
    mem_free(i);
}

static uint64_t rocks_range_bytes(struct table *t, struct bytes from, struct bytes to)
{
    uint64_t bytes = 0;
    char *text = NULL;
    rocksdb_approximate_sizes(of(t)->db, 1, (const char *const *)&from.data, &from.len, (const char *const *)&to.data, &to.len, &bytes, &text);
    return failed(text, NULL) ? 0 : bytes;
}

static void shared_add(struct table_rocks *t)
{
    pthread_mutex_lock(&t->shared->lock);
    DL_APPEND(t->shared->tables, t);
    if (t->shared->trims_end)
        rocksdb_disable_manual_compaction(t->db);
    pthread_mutex_unlock(&t->shared->lock);
}

static void shared_remove(struct table_rocks *t)
{
    pthread_mutex_lock(&t->shared->lock);
    DL_DELETE(t->shared->tables, t);
    pthread_mutex_unlock(&t->shared->lock);
}

void table_rocks_trims_end(struct table_rocks_shared *s)
{
    struct table_rocks *t;
    pthread_mutex_lock(&s->lock);
    if (!s->trims_end)
        DL_FOREACH(s->tables, t)
            rocksdb_disable_manual_compaction(t->db);
    s->trims_end = true;
    pthread_mutex_unlock(&s->lock);
}

void table_rocks_memory(struct table_rocks_shared *s, struct table_rocks_memory *ret_m)
{
    struct table_rocks *t;
    *ret_m = (struct table_rocks_memory){.cache = rocksdb_cache_get_usage(s->cache)};
    pthread_mutex_lock(&s->lock);
    DL_FOREACH(s->tables, t) {
        uint64_t buffers = 0, indexes = 0;
        rocksdb_property_int(t->db, "rocksdb.size-all-mem-tables", &buffers);
        rocksdb_property_int(t->db, "rocksdb.estimate-table-readers-mem", &indexes);
        ret_m->buffers += buffers;
        ret_m->indexes += indexes;
    }
    pthread_mutex_unlock(&s->lock);
}

static void rocks_free(struct table *table)
{
    struct table_rocks *t = of(table);
    if (t->db) {
        shared_remove(t);
        rocksdb_close(t->db);
    }
    rocksdb_writebatch_destroy(t->batch);
    rocksdb_writeoptions_destroy(t->write);
    rocksdb_readoptions_destroy(t->read);
    rocksdb_readoptions_destroy(t->read_now);
    rocksdb_options_destroy(t->options);
    mem_free(t);
}

static const struct table_ops rocks_ops = {
    .free = rocks_free,
    .get = rocks_get,
    .write = rocks_write,
    .waits = rocks_waits,
    .snapshot = rocks_snapshot,
    .snapshot_free = rocks_snapshot_free,
    .iter = rocks_iter,
    .iter_next = rocks_iter_next,
    .iter_seek = rocks_iter_seek,
    .iter_key = rocks_iter_key,
    .iter_value = rocks_iter_value,
    .iter_error = rocks_iter_error,
    .iter_free = rocks_iter_free,
    .get_now = rocks_get_now,
    .iter_now = rocks_iter_now,
    .range_bytes = rocks_range_bytes,
};

enum rgkv_err table_rocks_open(const char *dir, struct table_rocks_shared *shared, struct table **ret_t, struct buf *why)
{
    struct table_rocks *t = mem_zalloc(sizeof(*t));
    char *text = NULL;
    t->table.ops = &rocks_ops;
    t->shared = shared;
    t->options = options_new(shared);
    t->read = rocksdb_readoptions_create();
    t->read_now = rocksdb_readoptions_create();
    rocksdb_readoptions_set_read_tier(t->read_now, FROM_CACHE);
    t->write = write_options_new();
    t->batch = rocksdb_writebatch_create();
    t->db = rocksdb_open(t->options, dir, &text);
    if (text) {
        t->db = NULL;
        rocks_free(&t->table);
        if (why)
            buf_printf(why, "the table in %s cannot be opened: ", dir);
        return failed(text, why);
    }
    shared_add(t);
    *ret_t = &t->table;
    return RGKV_OK;
}

enum rgkv_err table_rocks_flush(struct table *t)
{
    char *text = NULL;
    rocksdb_flushoptions_t *o = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(o, 1);
    rocksdb_flush(of(t)->db, o, &text);
    rocksdb_flushoptions_destroy(o);
    return failed(text, NULL);
}

/* Files wholly inside the range are not simply deleted: one of them may hold what hides older rows in a file that stays. */
enum rgkv_err table_rocks_trim(struct table *t, struct bytes from, struct bytes to)
{
    enum rgkv_err err = table_rocks_flush(t);
    if (err)
        return err;
    rocksdb_compactoptions_t *o = rocksdb_compactoptions_create();
    rocksdb_compactoptions_set_exclusive_manual_compaction(o, 0);
    rocksdb_compactoptions_set_bottommost_level_compaction(o, 3 /* what this run has not written itself */);
    rocksdb_compact_range_opt(of(t)->db, o, (const char *)from.data, from.len, (const char *)to.data, to.len);
    rocksdb_compactoptions_destroy(o);
    return RGKV_OK;
}
