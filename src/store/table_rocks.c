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
#include "store/table_rocks_internal.h"

#define FIRST_FILES_TOGETHER 8    /* so many are compacted at once */
#define LEVEL_BYTES (128u << 20)  /* of level 1; each further one is ten times as large … */
#define FILE_BYTES (16u << 20)    /* … and has files of twice the size */
#define WRITE_BUFFER_BLOOM 0.05 /* of the buffer's size */
#define BLOOM_BITS_PER_KEY 10
#define BLOCK_BYTES 8192u
#define CHECKSUM_XXH3 4 /* ChecksumType::kXXH3 of rocksdb/table.h; the C API has no name for it */

/* ---- errors ---- */

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

enum rgkv_err table_rocks_failed(char *text, struct buf *why)
{
    if (!text)
        return RGKV_OK;
    enum rgkv_err err = error_of(text);
    if (why)
        buf_printf(why, "%s", text);
    rocksdb_free(text);
    return err;
}

/* ---- options ---- */

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

/* ---- writing ---- */

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

static enum rgkv_err rocks_write(struct table *table, const struct table_change *changes, size_t n)
{
    struct table_rocks *t = table_rocks_of(table);
    char *text = NULL;
    bool in_trouble = t->in_trouble;
    size_t bytes = 0;
    rocksdb_set_perf_level(rocksdb_disable);
    rocksdb_writebatch_clear(t->batch);
    for (size_t i = 0; i < n; i++) {
        batch_add(t->batch, &changes[i]);
        bytes += changes[i].key.len + changes[i].value.len;
    }
    rocksdb_write(t->db, t->write, t->batch, &text);
    table_rocks_wrote(t, bytes, in_trouble && !text);
    return table_rocks_failed(text, NULL);
}

static struct table_snapshot *rocks_snapshot(struct table *t)
{
    struct table_snapshot *s = mem_alloc(sizeof(*s));
    s->snapshot = rocksdb_create_snapshot(table_rocks_of(t)->db);
    s->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_snapshot(s->read, s->snapshot);
    return s;
}

static void rocks_snapshot_free(struct table *t, struct table_snapshot *s)
{
    if (!s)
        return;
    rocksdb_readoptions_destroy(s->read);
    rocksdb_release_snapshot(table_rocks_of(t)->db, s->snapshot);
    mem_free(s);
}

static uint64_t rocks_range_bytes(struct table *t, struct bytes from, struct bytes to)
{
    uint64_t bytes = 0;
    char *text = NULL;
    rocksdb_approximate_sizes(table_rocks_of(t)->db, 1, (const char *const *)&from.data, &from.len, (const char *const *)&to.data, &to.len, &bytes, &text);
    return table_rocks_failed(text, NULL) ? 0 : bytes;
}

/* ---- opening and closing ---- */

static void rocks_free(struct table *table)
{
    struct table_rocks *t = table_rocks_of(table);
    if (t->db) {
        table_rocks_shared_remove(t);
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
    .get = table_rocks_get,
    .write = rocks_write,
    .waits = table_rocks_waits,
    .snapshot = rocks_snapshot,
    .snapshot_free = rocks_snapshot_free,
    .iter = table_rocks_iter,
    .iter_next = table_rocks_iter_next,
    .iter_seek = table_rocks_iter_seek,
    .iter_key = table_rocks_iter_key,
    .iter_value = table_rocks_iter_value,
    .iter_error = table_rocks_iter_error,
    .iter_free = table_rocks_iter_free,
    .get_now = table_rocks_get_now,
    .iter_now = table_rocks_iter_now,
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
    rocksdb_readoptions_set_read_tier(t->read_now, TABLE_ROCKS_FROM_CACHE);
    t->write = write_options_new();
    t->batch = rocksdb_writebatch_create();
    t->db = rocksdb_open(t->options, dir, &text);
    if (text) {
        t->db = NULL;
        rocks_free(&t->table);
        if (why)
            buf_printf(why, "the table in %s cannot be opened: ", dir);
        return table_rocks_failed(text, why);
    }
    table_rocks_shared_add(t);
    *ret_t = &t->table;
    return RGKV_OK;
}

enum rgkv_err table_rocks_flush(struct table *t)
{
    char *text = NULL;
    rocksdb_flushoptions_t *o = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(o, 1);
    rocksdb_flush(table_rocks_of(t)->db, o, &text);
    rocksdb_flushoptions_destroy(o);
    return table_rocks_failed(text, NULL);
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
    rocksdb_compact_range_opt(table_rocks_of(t)->db, o, (const char *)from.data, from.len, (const char *)to.data, to.len);
    rocksdb_compactoptions_destroy(o);
    return RGKV_OK;
}

