/* The same demands on the table in memory and the table on disk; and both must always agree. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/prng.h"
#include "store/table_mem.h"
#include "store/table_rocks.h"
#include "tests/unit/store_dir.h"

static struct table_rocks_shared *shared;

static int group_setup(void **state)
{
    shared = table_rocks_shared_new(64u << 20, 10);
    return store_dir_make(state);
}

static int group_teardown(void **state)
{
    table_rocks_shared_free(shared);
    return store_dir_remove(state);
}

static struct table *rocks_at(const char *path)
{
    struct table *t = NULL;
    struct buf why = {0};
    enum rgkv_err err = table_rocks_open(path, shared, &t, &why);
    if (err)
        print_message("%.*s\n", (int)why.len, (const char *)why.data);
    buf_release(&why);
    assert_int_equal(err, RGKV_OK);
    return t;
}

static struct table *rocks_new(void)
{
    static unsigned n;
    char name[32];
    snprintf(name, sizeof(name), "t%u", n++);
    return rocks_at(in_store_dir(name));
}

static int mem_setup(void **state) { return (*state = table_mem_new()) ? 0 : -1; }
static int rocks_setup(void **state) { return (*state = rocks_new()) ? 0 : -1; }

static int table_teardown(void **state)
{
    table_free(*state);
    return 0;
}

static void put(struct table *t, const char *key, const char *value)
{
    struct table_change c = {.kind = TABLE_PUT, .key = bytes_str(key), .value = bytes_str(value)};
    assert_int_equal(table_write(t, &c, 1), RGKV_OK);
}

static void delete_range(struct table *t, const char *from, const char *to)
{
    struct table_change c = {.kind = TABLE_DELETE_RANGE, .key = bytes_str(from), .end = bytes_str(to)};
    assert_int_equal(table_write(t, &c, 1), RGKV_OK);
}

static void assert_value(struct table *t, const struct table_snapshot *s, const char *key, const char *value)
{
    struct buf b = {0};
    enum rgkv_err err = table_get(t, s, bytes_str(key), &b);
    assert_int_equal(err, value ? RGKV_OK : RGKV_NOT_FOUND);
    if (value)
        assert_true(bytes_eq(buf_bytes(&b), bytes_str(value)));
    assert_true(value || b.len == 0);
    buf_release(&b);
}

/* "key=value," of the range */
static struct buf dump(struct table *t, const struct table_snapshot *s, struct bytes from, struct bytes to)
{
    struct buf out = {0};
    struct table_iter *i = table_iter(t, s, from, to);
    while (t->ops->iter_next(i)) {
        buf_put(&out, t->ops->iter_key(i));
        buf_put_u8(&out, '=');
        buf_put(&out, t->ops->iter_value(i));
        buf_put_u8(&out, ',');
    }
    assert_int_equal(t->ops->iter_error(i), RGKV_OK);
    t->ops->iter_free(i);
    return out;
}

static void assert_range(struct table *t, const struct table_snapshot *s, const char *from, const char *to, const char *expected)
{
    struct buf b = dump(t, s, bytes_str(from), bytes_str(to));
    assert_true(bytes_eq(buf_bytes(&b), bytes_str(expected)));
    buf_release(&b);
}

static void what_was_put_is_read_until_it_is_deleted(void **state)
{
    struct table *t = *state;
    assert_value(t, NULL, "a", NULL);
    put(t, "a", "1");
    put(t, "a", "22");
    put(t, "empty", "");
    assert_value(t, NULL, "a", "22");
    assert_value(t, NULL, "empty", "");
    struct table_change c = {.kind = TABLE_DELETE, .key = bytes_str("a")};
    assert_int_equal(table_write(t, &c, 1), RGKV_OK);
    assert_int_equal(table_write(t, &c, 1), RGKV_OK);
    assert_value(t, NULL, "a", NULL);
}

static void get_appends_to_what_is_in_the_buffer(void **state)
{
    struct table *t = *state;
    struct buf b = {0};
    put(t, "k", "world");
    buf_printf(&b, "hello ");
    assert_int_equal(table_get(t, NULL, bytes_str("k"), &b), RGKV_OK);
    assert_true(bytes_eq(buf_bytes(&b), bytes_str("hello world")));
    buf_release(&b);
}

static void the_changes_of_a_batch_happen_in_their_order(void **state)
{
    struct table *t = *state;
    put(t, "b", "old");
    struct table_change c[] = {
        {.kind = TABLE_PUT, .key = bytes_str("a"), .value = bytes_str("1")},
        {.kind = TABLE_DELETE_RANGE, .key = bytes_str("a"), .end = bytes_str("c")},
        {.kind = TABLE_PUT, .key = bytes_str("b"), .value = bytes_str("2")},
        {.kind = TABLE_PUT, .key = bytes_str("c"), .value = bytes_str("3")},
        {.kind = TABLE_DELETE, .key = bytes_str("c")},
    };
    assert_int_equal(table_write(t, c, ARRAY_LEN(c)), RGKV_OK);
    assert_range(t, NULL, "", "", "b=2,");
}

static void keys_come_in_the_order_of_their_bytes_within_the_bounds(void **state)
{
    struct table *t = *state;
    put(t, "b", "3");
    put(t, "a\x7f", "2");
    put(t, "a", "1");
    put(t, "b\xff", "5");
    put(t, "b\x01", "4");
    assert_range(t, NULL, "", "", "a=1,a\x7f=2,b=3,b\x01=4,b\xff=5,");
    assert_range(t, NULL, "a", "b", "a=1,a\x7f=2,");
    assert_range(t, NULL, "a!", "b\x01", "a\x7f=2,b=3,");
    assert_range(t, NULL, "c", "", "");
    assert_range(t, NULL, "b", "a", "");
}

static void a_range_is_deleted_up_to_its_end(void **state)
{
    struct table *t = *state;
    put(t, "a", "1");
    put(t, "b", "2");
    put(t, "bb", "3");
    put(t, "c", "4");
    delete_range(t, "c", "a");
    delete_range(t, "b", "b");
    assert_range(t, NULL, "", "", "a=1,b=2,bb=3,c=4,");
    delete_range(t, "b", "c");
    assert_range(t, NULL, "", "", "a=1,c=4,");
    assert_value(t, NULL, "bb", NULL);
    put(t, "bb", "5");
    assert_range(t, NULL, "", "", "a=1,bb=5,c=4,");
}

static void a_snapshot_stays_while_the_table_goes_on(void **state)
{
    struct table *t = *state;
    put(t, "a", "1");
    put(t, "b", "1");
    struct table_snapshot *s = table_snapshot(t);
    put(t, "a", "2");
    delete_range(t, "b", "c");
    struct table_snapshot *later = table_snapshot(t);
    put(t, "c", "3");
    assert_value(t, s, "a", "1");
    assert_range(t, s, "", "", "a=1,b=1,");
    assert_range(t, later, "", "", "a=2,");
    assert_range(t, NULL, "", "", "a=2,c=3,");
    table_snapshot_free(t, s);
    assert_range(t, later, "", "", "a=2,");
    table_snapshot_free(t, later);
    assert_range(t, NULL, "", "", "a=2,c=3,");
}

static void an_iterator_does_not_see_what_is_written_while_it_goes(void **state)
{
    struct table *t = *state;
    put(t, "a", "1");
    put(t, "c", "1");
    struct table_iter *i = table_iter(t, NULL, bytes_str("a"), BYTES_EMPTY);
    assert_true(t->ops->iter_next(i));
    put(t, "b", "1");
    delete_range(t, "c", "d");
    assert_true(t->ops->iter_next(i));
    assert_true(bytes_eq(t->ops->iter_key(i), bytes_str("c")));
    assert_false(t->ops->iter_next(i));
    assert_false(t->ops->iter_next(i));
    t->ops->iter_free(i);
}

/* ---- what can be had now ---- */

static enum rgkv_err get_now(struct table *t, const char *key)
{
    struct buf b = {0};
    enum rgkv_err err = t->ops->get_now(t, bytes_str(key), TABLE_WAIT_SHORT, &b);
    buf_release(&b);
    return err;
}

static unsigned rows_given(struct table *t, enum table_wait wait, const char *from, const char *to, enum rgkv_err *ret_err)
{
    struct table_iter *i = t->ops->iter_now(t, bytes_str(from), bytes_str(to), wait);
    unsigned n = 0;
    while (t->ops->iter_next(i))
        n++;
    *ret_err = t->ops->iter_error(i);
    t->ops->iter_free(i);
    return n;
}

static unsigned rows_now(struct table *t, const char *from, const char *to, enum rgkv_err *ret_err)
{
    return rows_given(t, TABLE_WAIT_SHORT, from, to, ret_err);
}

static void who_has_no_patience_is_given_what_is_in_memory_and_told_of_the_rest(void **state)
{
    struct table_rocks_shared *own = table_rocks_shared_new(8u << 20, 0);
    struct patience *p = table_rocks_patience(own);
    struct table *t = NULL;
    const char *dir = in_store_dir("patience");
    enum rgkv_err err;
    for (unsigned run = 0; run < 2; run++) {
        assert_int_equal(table_rocks_open(dir, own, &t, NULL), RGKV_OK);
        if (run == 0) {
            put(t, "a", "1");
            put(t, "b", "2");
            assert_int_equal(table_rocks_flush(t), RGKV_OK);
            table_free(t);
        }
    }
    put(t, "m", "3");
    *p = (struct patience){.waited_us = UINT64_MAX}; /* for ever */
    assert_int_equal(get_now(t, "m"), RGKV_OK);
    assert_int_equal(get_now(t, "a"), RGKV_PENDING);
    assert_int_equal(rows_now(t, "a", "c", &err), 0);
    assert_int_equal(err, RGKV_PENDING);
    assert_range(t, NULL, "a", "c", "a=1,b=2,"); /* reads it into the cache */
    assert_int_equal(get_now(t, "a"), RGKV_OK);
    assert_int_equal(rows_now(t, "a", "c", &err), 2);
    assert_int_equal(err, RGKV_OK);
    assert_int_equal(get_now(t, "nothing"), RGKV_NOT_FOUND);
    table_free(t);
    table_rocks_shared_free(own);
}

static void key_of(unsigned i, char key[16]) { snprintf(key, 16, "%04u", i); }

/* A table of a hundred files: small ones, so that it takes no gigabytes. */
static void make_many_files(const char *dir, unsigned keys)
{
    char *err = NULL, key[16], value[2000];
    struct prng p;
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_writeoptions_t *w = rocksdb_writeoptions_create();
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_target_file_size_base(o, 2 * sizeof value);
    rocksdb_options_set_compression(o, rocksdb_no_compression);
    rocksdb_t *db = rocksdb_open(o, dir, &err);
    prng_init(&p, 1);
    for (unsigned i = 0; i < keys; i++) {
        key_of(i, key);
        for (size_t k = 0; k < sizeof value; k++)
            value[k] = (char)prng_next(&p);
        rocksdb_put(db, w, key, strlen(key), value, sizeof value, &err);
    }
    rocksdb_compact_range(db, NULL, 0, NULL, 0);
    assert_null(err);
    rocksdb_close(db);
    rocksdb_writeoptions_destroy(w);
    rocksdb_options_destroy(o);
}

/* RocksDB opens some files with the table, others when somebody reads them. */
static void a_file_that_is_not_open_yet_is_not_taken_for_an_empty_value(void **state)
{
    struct table_rocks_shared *own = table_rocks_shared_new(8u << 20, 0);
    const char *dir = in_store_dir("many-files");
    struct table *t = NULL;
    unsigned pending = 0;
    make_many_files(dir, 200);
    assert_int_equal(table_rocks_open(dir, own, &t, NULL), RGKV_OK);
    for (unsigned i = 0; i < 200; i++) {
        char key[16];
        struct buf now = {0}, then = {0};
        key_of(i, key);
        enum rgkv_err err = t->ops->get_now(t, bytes_str(key), TABLE_WAIT_NEVER, &now);
        assert_true(err == RGKV_PENDING || (err == RGKV_OK && now.len == 2000)); /* a neighbour's block may hold it */
        pending += err == RGKV_PENDING;
        assert_int_equal(table_get(t, NULL, bytes_str(key), &then), RGKV_OK);
        assert_int_equal(then.len, 2000);
        buf_release(&now);
        buf_release(&then);
    }
    assert_true(pending >= 50);
    table_free(t);
    table_rocks_shared_free(own);
}

/* RocksDB 7.8 leaves out what lies in the next file, and says that all is well. */
static void a_scan_of_the_cache_does_not_leave_out_a_file_that_is_not_there(void **state)
{
    struct table_rocks_shared *own = table_rocks_shared_new(8u << 20, 0);
    const char *dir = in_store_dir("scanned-files");
    struct table *t = NULL;
    enum rgkv_err err;
    make_many_files(dir, 200);
    assert_int_equal(table_rocks_open(dir, own, &t, NULL), RGKV_OK);
    *table_rocks_patience(own) = (struct patience){.waited_us = UINT64_MAX}; /* for ever */
    for (unsigned n = 1; n < 100; n += 7) { /* some end where a file does */
        char to[16];
        key_of(n, to);
        struct buf some = dump(t, NULL, bytes_str("0000"), bytes_str(to));
        buf_release(&some);
        assert_in_range(rows_now(t, "0000", "9999", &err), n, n + 20);
        assert_int_equal(err, RGKV_PENDING);
        assert_in_range(rows_given(t, TABLE_WAIT_NEVER, "0000", "9999", &err), n, n + 20);
        assert_int_equal(err, RGKV_PENDING);
    }
    struct buf all = dump(t, NULL, bytes_str("0000"), bytes_str("9999")); /* reads it into the cache */
    buf_release(&all);
    assert_int_equal(rows_now(t, "0000", "9999", &err), 200);
    assert_int_equal(err, RGKV_OK);
    delete_range(t, "0050", "0150");
    put(t, "0070", "new");
    assert_int_equal(rows_now(t, "0000", "9999", &err), 101);
    assert_int_equal(err, RGKV_OK);
    table_free(t);
    table_rocks_shared_free(own);
}

static void patience_ends_with_slow_reads_and_comes_back_with_time(void **state)
{
    struct patience p = {0};
    for (unsigned i = 0; i < 1000; i++)
        patience_spend(&p, PATIENCE_FREE_US);
    assert_true(patience_left(&p, 1000000));
    patience_spend(&p, PATIENCE_US);
    assert_false(patience_left(&p, 1000000));
    assert_true(patience_left(&p, 1000000 + PATIENCE_REGAIN));
    for (unsigned i = 0; i < 1000; i++)
        patience_spend(&p, 1000000);
    assert_false(patience_left(&p, 1500000));
    assert_true(patience_left(&p, 2500000)); /* a disk that hung is tried again */
    patience_spend(&p, PATIENCE_US);
    for (uint64_t now_us = 2500000; now_us < 2500000 + 2 * PATIENCE_US * PATIENCE_REGAIN; now_us += PATIENCE_REGAIN / 2)
        patience_left(&p, now_us); /* however often it is asked */
    assert_true(p.waited_us < PATIENCE_US / 2);
}

/* Both tables, the same random changes */

struct pair {
    struct table *mem, *rocks;
    struct prng prng;
};

static struct bytes random_key(struct prng *p, uint8_t *to)
{
    size_t len = prng_between(p, 1, 3);
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)("ab\x00\xff"[prng_below(p, 4)]);
    return bytes_of(to, len);
}

static void random_batch(struct pair *pair)
{
    uint8_t keys[20][4], ends[20][4], values[20][8];
    struct table_change c[20];
    size_t n = prng_between(&pair->prng, 1, 20);
    for (size_t i = 0; i < n; i++) {
        unsigned kind = (unsigned)prng_below(&pair->prng, 10);
        memset(values[i], (int)prng_below(&pair->prng, 256), sizeof(values[i]));
        c[i] = (struct table_change){.kind = kind < 7 ? TABLE_PUT : kind < 9 ? TABLE_DELETE : TABLE_DELETE_RANGE,
                                     .key = random_key(&pair->prng, keys[i]),
                                     .value = bytes_of(values[i], prng_below(&pair->prng, 9)),
                                     .end = random_key(&pair->prng, ends[i])};
    }
    assert_int_equal(table_write(pair->mem, c, n), RGKV_OK);
    assert_int_equal(table_write(pair->rocks, c, n), RGKV_OK);
}

static void assert_same(struct pair *pair, const struct table_snapshot *m, const struct table_snapshot *r)
{
    uint8_t from_bytes[4], to_bytes[4], key_bytes[4];
    struct bytes from = random_key(&pair->prng, from_bytes), to = random_key(&pair->prng, to_bytes);
    bool whole = prng_chance(&pair->prng, 1, 3);
    struct buf a = dump(pair->mem, m, whole ? BYTES_EMPTY : from, whole ? BYTES_EMPTY : to);
    struct buf b = dump(pair->rocks, r, whole ? BYTES_EMPTY : from, whole ? BYTES_EMPTY : to);
    assert_true(bytes_eq(buf_bytes(&a), buf_bytes(&b)));
    buf_clear(&a);
    buf_clear(&b);
    struct bytes key = random_key(&pair->prng, key_bytes);
    assert_int_equal(table_get(pair->mem, m, key, &a), table_get(pair->rocks, r, key, &b));
    assert_true(bytes_eq(buf_bytes(&a), buf_bytes(&b)));
    buf_release(&a);
    buf_release(&b);
}

static uint64_t counted_bytes(struct table *t)
{
    uint64_t n = 0;
    struct table_iter *i = table_iter(t, NULL, BYTES_EMPTY, BYTES_EMPTY);
    while (t->ops->iter_next(i))
        n += t->ops->iter_key(i).len + t->ops->iter_value(i).len;
    t->ops->iter_free(i);
    return n;
}

static void both_tables_agree_after_every_batch_and_in_every_snapshot(void **state)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct pair pair = {.mem = table_mem_new(), .rocks = rocks_new()};
        struct table_snapshot *m = NULL, *r = NULL;
        prng_init(&pair.prng, seed);
        for (unsigned i = 0; i < 300; i++) {
            random_batch(&pair);
            assert_same(&pair, NULL, NULL);
            assert_same(&pair, m, r);
            assert_true(pair.mem->ops->range_bytes(pair.mem, BYTES_EMPTY, BYTES_EMPTY) == counted_bytes(pair.mem));
            if (prng_chance(&pair.prng, 1, 10)) {
                table_snapshot_free(pair.mem, m);
                table_snapshot_free(pair.rocks, r);
                m = table_snapshot(pair.mem);
                r = table_snapshot(pair.rocks);
            }
            if (prng_chance(&pair.prng, 1, 50))
                assert_int_equal(table_rocks_flush(pair.rocks), RGKV_OK);
        }
        table_snapshot_free(pair.mem, m);
        table_snapshot_free(pair.rocks, r);
        table_free(pair.mem);
        table_free(pair.rocks);
    }
}

/* Crashes */

static void a_crash_of_the_table_in_memory_goes_back_to_its_last_flush(void **state)
{
    struct table *t = *state;
    put(t, "a", "1");
    table_mem_crash(t);
    assert_range(t, NULL, "", "", "");
    put(t, "a", "1");
    table_mem_flush(t);
    put(t, "a", "2");
    put(t, "b", "2");
    table_mem_crash(t);
    assert_range(t, NULL, "", "", "a=1,");
    put(t, "c", "3");
    table_mem_crash(t);
    assert_range(t, NULL, "", "", "a=1,");
}

/* Runs in a process of its own (RocksDB's threads do not survive a fork), started by the next test. */
static int write_flush_write_and_die(const char *path)
{
    struct table_rocks_shared *own = table_rocks_shared_new(8u << 20, 0);
    struct table *t = NULL;
    struct buf why = {0};
    struct table_change c = {.kind = TABLE_PUT, .key = bytes_str("k"), .value = bytes_str("flushed")};
    struct table_change late = {.kind = TABLE_PUT, .key = bytes_str("k"), .value = bytes_str("late")};
    bool ok = !table_rocks_open(path, own, &t, &why) && !table_write(t, &c, 1) && !table_rocks_flush(t) && !table_write(t, &late, 1);
    _exit(ok ? 7 : 1);
}

static void what_was_flushed_survives_a_kill_of_the_process(void **state)
{
    const char *path = in_store_dir("killed");
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "test_table", path, (char *)NULL);
        _exit(1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 7);
    struct table *t = rocks_at(path);
    assert_value(t, NULL, "k", "flushed");
    table_free(t);
}

static void a_clean_end_keeps_everything(void **state)
{
    struct table *t = rocks_at(in_store_dir("clean"));
    put(t, "a", "1");
    table_free(t);
    t = rocks_at(in_store_dir("clean"));
    assert_value(t, NULL, "a", "1");
    table_free(t);
}

static void a_table_in_use_is_a_conflict(void **state)
{
    struct table *t = rocks_at(in_store_dir("locked")), *second = NULL;
    struct buf why = {0};
    assert_int_equal(table_rocks_open(in_store_dir("locked"), shared, &second, &why), RGKV_CONFLICT);
    assert_null(second);
    assert_true(why.len > 0);
    buf_release(&why);
    table_free(t);
}

static void damage_of_a_table_is_reported(void **state)
{
    struct table *t = rocks_at(in_store_dir("damaged"));
    struct buf why = {0};
    table_free(t);
    t = NULL;
    FILE *f = fopen(in_store_dir("damaged/CURRENT"), "w");
    fputs("nonsense\n", f);
    fclose(f);
    assert_int_equal(table_rocks_open(in_store_dir("damaged"), shared, &t, &why), RGKV_DAMAGED);
    assert_null(t);
    assert_true(why.len > 0);
    buf_release(&why);
}

#define BOTH(name) {"memory: " #name, name, mem_setup, table_teardown, NULL}, {"rocks: " #name, name, rocks_setup, table_teardown, NULL}

static uint64_t files_bytes(struct table *t) { return t->ops->range_bytes(t, bytes_of("\0", 1), bytes_of("\xff", 1)); }

static void put_many(struct table *t, const char *prefix, unsigned n)
{
    static uint8_t value[60000];
    struct prng p;
    prng_init(&p, n);
    for (unsigned i = 0; i < n; i++) {
        char key[32];
        snprintf(key, sizeof(key), "%s%06u", prefix, i);
        for (size_t k = 0; k < sizeof(value); k++)
            value[k] = (uint8_t)prng_next(&p);
        struct table_change c = {TABLE_PUT, .key = bytes_str(key), .value = bytes_of(value, sizeof(value))};
        assert_int_equal(table_write(t, &c, 1), RGKV_OK);
    }
}

static void a_trimmed_range_gives_its_space_back_and_its_neighbours_stay(void **state)
{
    struct table *t = rocks_new();
    struct table_change gone = {TABLE_DELETE_RANGE, .key = bytes_str("b"), .end = bytes_str("c")};
    struct buf value = {0};
    put_many(t, "a", 50);
    put_many(t, "b", 500);
    assert_int_equal(table_rocks_flush(t), RGKV_OK);
    put_many(t, "c", 50);
    assert_int_equal(table_rocks_flush(t), RGKV_OK);
    uint64_t before = files_bytes(t);
    assert_int_equal(table_write(t, &gone, 1), RGKV_OK);
    assert_true(before > 600 * 55000);
    assert_true(files_bytes(t) > before / 2);
    assert_int_equal(table_rocks_trim(t, bytes_str("b"), bytes_str("c")), RGKV_OK);
    assert_true(files_bytes(t) < 110 * 60000);
    assert_int_equal(table_get(t, NULL, bytes_str("a000049"), &value), RGKV_OK);
    assert_int_equal(table_get(t, NULL, bytes_str("c000000"), &value), RGKV_OK);
    buf_clear(&value);
    assert_int_equal(table_get(t, NULL, bytes_str("b000000"), &value), RGKV_NOT_FOUND);
    buf_release(&value);
    table_free(t);
}

static void *trim_b(void *arg)
{
    assert_int_equal(table_rocks_trim(arg, bytes_str("b"), bytes_str("c")), RGKV_OK);
    return NULL;
}

/* A process that ends does not wait for what only gives space. */
static void no_trim_begins_or_goes_on_when_they_are_to_end(void **state)
{
    struct table_rocks_shared *ending = table_rocks_shared_new(64 << 20, 0);
    struct buf why = {0};
    struct table *t;
    struct table_change gone = {TABLE_DELETE_RANGE, .key = bytes_str("b"), .end = bytes_str("c")};
    pthread_t running;
    assert_int_equal(table_rocks_open(in_store_dir("ending"), ending, &t, &why), RGKV_OK);
    put_many(t, "b", 500);
    assert_int_equal(table_rocks_flush(t), RGKV_OK);
    assert_int_equal(pthread_create(&running, NULL, trim_b, t), 0);
    table_rocks_trims_end(ending);
    pthread_join(running, NULL);
    assert_int_equal(table_write(t, &gone, 1), RGKV_OK);
    uint64_t before = files_bytes(t);
    trim_b(t);
    assert_true(files_bytes(t) >= before);
    table_free(t);
    table_rocks_shared_free(ending);
}

/* The nice value of a thread of this process whose name is `name`; or -100. */
static int nice_of(const char *name)
{
    int nice = -100;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *d; (d = readdir(tasks));) {
        char path[300], line[512] = "";
        snprintf(path, sizeof(path), "/proc/self/task/%s/stat", d->d_name);
        FILE *f = d->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (f && fgets(line, sizeof(line), f) && strstr(line, name))
            sscanf(strrchr(line, ')'), ") %*c %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %d", &nice);
        if (f)
            fclose(f);
    }
    closedir(tasks);
    return nice;
}

/* With the lowest priority they got nothing beside others' work, and writers waited for them for tens of seconds. */
static void compactions_yield_to_the_loop_and_keep_their_share_beside_others_work(void **state)
{
    table_free(rocks_new());
    int ours = getpriority(PRIO_PROCESS, 0);
    assert_int_equal(nice_of("(rocksdb:low)"), MIN(ours + 10, 19));
    assert_int_equal(nice_of("(rocksdb:high)"), ours);
}

int main(int argc, char **argv)
{
    if (argc == 2)
        return write_flush_write_and_die(argv[1]);
    const struct CMUnitTest tests[] = {
        BOTH(what_was_put_is_read_until_it_is_deleted),
        BOTH(get_appends_to_what_is_in_the_buffer),
        BOTH(the_changes_of_a_batch_happen_in_their_order),
        BOTH(keys_come_in_the_order_of_their_bytes_within_the_bounds),
        BOTH(a_range_is_deleted_up_to_its_end),
        BOTH(a_snapshot_stays_while_the_table_goes_on),
        BOTH(an_iterator_does_not_see_what_is_written_while_it_goes),
        cmocka_unit_test(a_trimmed_range_gives_its_space_back_and_its_neighbours_stay),
        cmocka_unit_test(no_trim_begins_or_goes_on_when_they_are_to_end),
        cmocka_unit_test(both_tables_agree_after_every_batch_and_in_every_snapshot),
        cmocka_unit_test_setup_teardown(a_crash_of_the_table_in_memory_goes_back_to_its_last_flush, mem_setup, table_teardown),
        cmocka_unit_test(what_was_flushed_survives_a_kill_of_the_process),
        cmocka_unit_test(a_clean_end_keeps_everything),
        cmocka_unit_test(a_table_in_use_is_a_conflict),
        cmocka_unit_test(who_has_no_patience_is_given_what_is_in_memory_and_told_of_the_rest),
        cmocka_unit_test(a_file_that_is_not_open_yet_is_not_taken_for_an_empty_value),
        cmocka_unit_test(a_scan_of_the_cache_does_not_leave_out_a_file_that_is_not_there),
        cmocka_unit_test(patience_ends_with_slow_reads_and_comes_back_with_time),
        cmocka_unit_test(damage_of_a_table_is_reported),
        cmocka_unit_test(compactions_yield_to_the_loop_and_keep_their_share_beside_others_work),
    };
    return cmocka_run_group_tests_name("table", tests, group_setup, group_teardown);
}
