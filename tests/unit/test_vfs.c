/* The same demands on the real disk and on the one in memory; then what only the latter can show: what a crash forgets. */
#include "tests/unit/unit.h"

#include <sys/resource.h>
#include <signal.h>

#include "tests/sim/vfs_mem.h"
#include "tests/unit/store_dir.h"

static int posix_setup(void **state) { return (*state = vfs_posix_new()) ? 0 : -1; }

static int posix_teardown(void **state)
{
    vfs_posix_free(*state);
    return 0;
}

static int mem_setup(void **state)
{
    struct vfs *v = vfs_mem_new();
    *state = v;
    return v->ops->mkdir(v, store_dir) ? -1 : 0;
}

static int mem_teardown(void **state)
{
    vfs_mem_free(*state);
    return 0;
}

static void must(enum rgkv_err err) { assert_int_equal(err, RGKV_OK); }

static void write_new(struct vfs *v, const char *path, const char *text)
{
    struct vfs_file *f;
    must(vfs_create_over(v, path, &f));
    must(v->ops->append(f, bytes_str(text)));
    v->ops->close(f);
}

static void write_synced(struct vfs *v, const char *path, const char *text)
{
    struct vfs_file *f;
    must(vfs_create_over(v, path, &f));
    must(v->ops->append(f, bytes_str(text)));
    must(v->ops->sync(f));
    v->ops->close(f);
    must(vfs_sync_parent(v, path));
}

static void assert_content(struct vfs *v, const char *path, struct bytes expected)
{
    struct vfs_file *f;
    struct buf b = {0};
    must(v->ops->open(v, path, false, &f));
    assert_true(v->ops->size(f) == expected.len);
    must(v->ops->read(f, 0, expected.len + 10, &b));
    assert_true(bytes_eq(buf_bytes(&b), expected));
    v->ops->close(f);
    buf_release(&b);
}

static bool exists(struct vfs *v, const char *path)
{
    struct vfs_file *f;
    if (v->ops->open(v, path, false, &f))
        return false;
    v->ops->close(f);
    return true;
}

static void creating_what_exists_and_opening_what_does_not_are_errors(void **state)
{
    struct vfs *v = *state;
    struct vfs_file *f;
    const char *path = in_store_dir("create");
    assert_int_equal(v->ops->open(v, path, false, &f), RGKV_NOT_FOUND);
    assert_non_null(strstr(v->ops->error(v), path));
    write_new(v, path, "x");
    assert_int_equal(v->ops->open(v, path, true, &f), RGKV_EXISTS);
    assert_int_equal(v->ops->open(v, in_store_dir("no/such"), true, &f), RGKV_NOT_FOUND);
}

static void writes_land_where_they_are_sent(void **state)
{
    struct vfs *v = *state;
    struct vfs_file *f;
    struct buf b = {0};
    must(v->ops->open(v, in_store_dir("write"), true, &f));
    must(v->ops->append(f, bytes_str("hello")));
    must(v->ops->append(f, bytes_str(" world")));
    must(v->ops->write_at(f, 0, bytes_str("J")));
    must(v->ops->write_at(f, 13, bytes_str("!")));
    must(v->ops->sync(f));
    must(v->ops->read(f, 6, 3, &b));
    must(v->ops->read(f, 9, 1000, &b));
    must(v->ops->read(f, 500, 10, &b));
    assert_true(bytes_eq(buf_bytes(&b), bytes_of("world\0\0!", 8)));
    v->ops->close(f);
    assert_content(v, in_store_dir("write"), bytes_of("Jello world\0\0!", 14));
    buf_release(&b);
}

static void a_file_cut_and_grown_again_has_zeros_there(void **state)
{
    struct vfs *v = *state;
    struct vfs_file *f;
    must(v->ops->open(v, in_store_dir("cut"), true, &f));
    must(v->ops->append(f, bytes_str("abcdef")));
    must(v->ops->truncate(f, 2));
    assert_true(v->ops->size(f) == 2);
    must(v->ops->write_at(f, 4, bytes_str("x")));
    v->ops->close(f);
    assert_content(v, in_store_dir("cut"), bytes_of("ab\0\0x", 5));
}

static void reserved_space_reads_as_zeros_if_at_all(void **state)
{
    struct vfs *v = *state;
    struct vfs_file *f;
    struct buf b = {0};
    must(v->ops->open(v, in_store_dir("reserve"), true, &f));
    must(v->ops->append(f, bytes_str("abc")));
    must(v->ops->preallocate(f, 10000));
    must(v->ops->preallocate(f, 5));
    must(v->ops->read(f, 0, 10000, &b));
    assert_true(bytes_starts(buf_bytes(&b), bytes_str("abc")));
    for (size_t i = 3; i < b.len; i++)
        assert_int_equal(b.data[i], 0);
    v->ops->close(f);
    buf_release(&b);
}

static void a_rename_replaces_its_target(void **state)
{
    struct vfs *v = *state;
    const char *from = in_store_dir("from"), *to = in_store_dir("to");
    write_new(v, from, "new");
    write_new(v, to, "old");
    must(v->ops->rename(v, from, to));
    assert_content(v, to, bytes_str("new"));
    assert_int_equal(v->ops->rename(v, from, to), RGKV_NOT_FOUND);
    assert_int_equal(v->ops->unlink(v, from), RGKV_NOT_FOUND);
    must(v->ops->unlink(v, to));
    assert_false(exists(v, to));
}

static void a_directory_is_renamed_with_all_in_it(void **state)
{
    struct vfs *v = *state;
    must(v->ops->mkdir(v, in_store_dir("d1")));
    must(v->ops->mkdir(v, in_store_dir("d1/in")));
    write_new(v, in_store_dir("d1/in/file"), "x");
    must(v->ops->rename(v, in_store_dir("d1"), in_store_dir("d2")));
    assert_content(v, in_store_dir("d2/in/file"), bytes_str("x"));
    assert_false(exists(v, in_store_dir("d1/in/file")));
}

static void names_are_listed_in_order_and_trees_removed_whole(void **state)
{
    struct vfs *v = *state;
    struct buf b = {0};
    must(v->ops->mkdir(v, in_store_dir("tree")));
    must(v->ops->mkdir(v, in_store_dir("tree")));
    write_new(v, in_store_dir("tree/b"), "1");
    write_new(v, in_store_dir("tree/B"), "1");
    must(v->ops->mkdir(v, in_store_dir("tree/a")));
    write_new(v, in_store_dir("tree/a/deep"), "1");
    must(v->ops->list(v, in_store_dir("tree"), &b));
    assert_true(bytes_eq(buf_bytes(&b), bytes_of("B\0a\0b\0", 6)));
    must(v->ops->remove_tree(v, in_store_dir("tree")));
    must(v->ops->remove_tree(v, in_store_dir("tree")));
    assert_int_equal(v->ops->list(v, in_store_dir("tree"), &b), RGKV_NOT_FOUND);
    buf_release(&b);
}

static void a_lock_is_held_until_the_process_ends(void **state)
{
    struct vfs *v = *state;
    must(v->ops->lock(v, in_store_dir("lock")));
    assert_int_equal(v->ops->lock(v, in_store_dir("lock")), RGKV_CONFLICT);
    must(v->ops->lock(v, in_store_dir("lock2")));
}

static void a_file_is_not_a_directory(void **state)
{
    struct vfs *v = *state;
    write_new(v, in_store_dir("plain"), "x");
    assert_int_not_equal(v->ops->mkdir(v, in_store_dir("plain")), RGKV_OK);
}

/* The real disk only */

static void a_lock_of_another_process_is_a_conflict(void **state)
{
    struct vfs *v = *state, *other = vfs_posix_new();
    must(v->ops->lock(v, in_store_dir("lock3")));
    assert_int_equal(other->ops->lock(other, in_store_dir("lock3")), RGKV_CONFLICT);
    assert_non_null(strstr(other->ops->error(other), "another process"));
    must(other->ops->lock(other, in_store_dir("lock4")));
    vfs_posix_free(other); /* as its process ends */
    must(v->ops->lock(v, in_store_dir("lock4")));
}

static void free_space_is_not_more_than_all(void **state)
{
    struct vfs *v = *state;
    uint64_t available = 0, total = 0;
    must(v->ops->free_space(v, store_dir, &available, &total));
    assert_true(total > 0 && available <= total);
    assert_int_equal(v->ops->free_space(v, in_store_dir("nowhere"), &available, &total), RGKV_NOT_FOUND);
}

/* A file size limit stands in for a disk that fails in the middle of a write. */
static void a_write_that_fails_half_way_says_so(void **state)
{
    struct vfs *v = *state;
    struct vfs_file *f;
    struct rlimit before, small;
    must(v->ops->open(v, in_store_dir("limited"), true, &f));
    must(v->ops->append(f, bytes_str("1234")));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){6, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum rgkv_err err = v->ops->append(f, bytes_str("5678"));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(err, RGKV_IO);
    assert_non_null(strstr(v->ops->error(v), "cannot write to"));
    must(v->ops->truncate(f, 4));
    v->ops->close(f);
    assert_content(v, in_store_dir("limited"), bytes_str("1234"));
}

static char synced_dir[64];
static enum rgkv_err note_sync_dir(struct vfs *v, const char *dir)
{
    snprintf(synced_dir, sizeof(synced_dir), "%s", dir);
    return RGKV_OK;
}

static void the_parent_of_a_directory_is_the_same_with_slashes_behind_its_name(void **state)
{
    static const struct { const char *path, *parent; } cases[] = {
        {"/a/b", "/a"}, {"/a/b/", "/a"}, {"/a/b//", "/a"}, {"/a", "/"}, {"/a/", "/"}, {"/", "/"}, {"a", "."}, {"a/", "."}, {"a/b/", "a"}};
    const struct vfs_ops ops = {.sync_dir = note_sync_dir};
    struct vfs v = {.ops = &ops};
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        must(vfs_sync_parent(&v, cases[i].path));
        assert_string_equal(synced_dir, cases[i].parent);
    }
}

/* The disk in memory only: each over many seeds, since a crash is random. */

#define SEEDS 300

struct outcome {
    unsigned kept, lost, mixed;
};

static void synced_bytes_of_a_synced_name_survive_every_crash(void **state)
{
    struct vfs *v = *state;
    struct prng p;
    must(vfs_sync_parent(v, store_dir));
    write_synced(v, in_store_dir("safe"), "durable");
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        prng_init(&p, seed);
        vfs_mem_crash(v, &p);
        assert_content(v, in_store_dir("safe"), bytes_str("durable"));
    }
}

static struct outcome crash_an_overwrite(bool sync_fails)
{
    struct outcome seen = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct vfs *v = vfs_mem_new();
        struct vfs_file *f;
        struct prng p;
        struct buf b = {0};
        prng_init(&p, seed);
        write_synced(v, "f", "aaaaaaaaaa");
        must(v->ops->open(v, "f", false, &f));
        must(v->ops->write_at(f, 0, bytes_str("bbbbbbbbbb")));
        if (sync_fails) {
            vfs_mem_fail(v, VFS_MEM_SYNC, 1, RGKV_IO);
            assert_int_equal(v->ops->sync(f), RGKV_IO);
            must(v->ops->sync(f));
            must(v->ops->read(f, 0, 10, &b));
            assert_true(bytes_eq(buf_bytes(&b), bytes_str("bbbbbbbbbb")));
            buf_clear(&b);
        }
        v->ops->close(f);
        vfs_mem_crash(v, &p);
        must(v->ops->open(v, "f", false, &f));
        must(v->ops->read(f, 0, 10, &b));
        size_t kept = 0;
        for (size_t i = 0; i < b.len; i++)
            kept += b.data[i] == 'b';
        seen.kept += kept == 10;
        seen.lost += kept == 0;
        seen.mixed += kept > 0 && kept < 10;
        v->ops->close(f);
        vfs_mem_free(v);
        buf_release(&b);
    }
    return seen;
}

static void unsynced_bytes_are_kept_lost_or_torn(void **state)
{
    struct outcome seen = crash_an_overwrite(false);
    assert_true(seen.kept > SEEDS / 20 && seen.lost > SEEDS / 20 && seen.mixed > SEEDS / 20);
}

static void B19_bytes_whose_sync_failed_are_not_saved_by_another_sync(void **state)
{
    struct outcome seen = crash_an_overwrite(true);
    assert_int_equal(seen.lost, SEEDS);
}

static void B18_a_rename_without_a_sync_of_the_directory_may_be_lost(void **state)
{
    struct outcome seen = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct vfs *v = vfs_mem_new();
        struct prng p;
        prng_init(&p, seed);
        write_synced(v, "old", "1");
        must(v->ops->rename(v, "old", "new"));
        vfs_mem_crash(v, &p);
        assert_true(exists(v, "old") != exists(v, "new"));
        assert_content(v, exists(v, "new") ? "new" : "old", bytes_str("1"));
        seen.kept += exists(v, "new");
        vfs_mem_free(v);
    }
    assert_true(seen.kept > SEEDS / 20 && seen.kept < SEEDS - SEEDS / 20);
}

static void a_file_in_a_directory_that_was_lost_is_lost(void **state)
{
    struct outcome seen = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct vfs *v = vfs_mem_new();
        struct prng p;
        prng_init(&p, seed);
        must(v->ops->mkdir(v, "dir"));
        write_synced(v, "dir/f", "1");
        vfs_mem_crash(v, &p);
        seen.lost += !exists(v, "dir/f");
        if (exists(v, "dir/f"))
            assert_content(v, "dir/f", bytes_str("1"));
        vfs_mem_free(v);
    }
    assert_true(seen.lost > SEEDS / 20 && seen.lost < SEEDS - SEEDS / 20);
}

static void the_same_seed_gives_the_same_disk(void **state)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct buf found[2] = {{0}, {0}};
        for (unsigned i = 0; i < 2; i++) {
            struct vfs *v = vfs_mem_new();
            struct vfs_file *f;
            struct prng p;
            prng_init(&p, seed);
            write_synced(v, "f", "0123456789");
            must(v->ops->open(v, "f", false, &f));
            must(v->ops->append(f, bytes_str("abcdefghijklmnopqrstuvwxyz")));
            v->ops->close(f);
            vfs_mem_crash(v, &p);
            must(v->ops->open(v, "f", false, &f));
            must(v->ops->read(f, 0, 100, &found[i]));
            v->ops->close(f);
            vfs_mem_free(v);
        }
        assert_true(bytes_eq(buf_bytes(&found[0]), buf_bytes(&found[1])));
        buf_release(&found[0]);
        buf_release(&found[1]);
    }
}

static void a_full_disk_refuses_what_does_not_fit_and_takes_what_does(void **state)
{
    struct vfs *v = *state;
    struct vfs_file *f;
    vfs_mem_set_capacity(v, 100);
    must(v->ops->open(v, in_store_dir("full"), true, &f));
    must(v->ops->preallocate(f, 90));
    assert_int_equal(v->ops->preallocate(f, 101), RGKV_NO_SPACE);
    must(v->ops->append(f, bytes_str("0123456789")));
    must(v->ops->write_at(f, 80, bytes_str("0123456789")));
    assert_int_equal(v->ops->append(f, bytes_str("0123456789x")), RGKV_NO_SPACE);
    must(v->ops->truncate(f, 10));
    assert_true(vfs_mem_used(v) == 10);
    v->ops->close(f);
}

#define BOTH(name) {"disk: " #name, name, posix_setup, posix_teardown, NULL}, {"memory: " #name, name, mem_setup, mem_teardown, NULL}
#define DISK(name) cmocka_unit_test_setup_teardown(name, posix_setup, posix_teardown)
#define MEMORY(name) cmocka_unit_test_setup_teardown(name, mem_setup, mem_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parent_of_a_directory_is_the_same_with_slashes_behind_its_name),
        BOTH(creating_what_exists_and_opening_what_does_not_are_errors),
        BOTH(writes_land_where_they_are_sent),
        BOTH(a_file_cut_and_grown_again_has_zeros_there),
        BOTH(reserved_space_reads_as_zeros_if_at_all),
        BOTH(a_rename_replaces_its_target),
        BOTH(a_directory_is_renamed_with_all_in_it),
        BOTH(names_are_listed_in_order_and_trees_removed_whole),
        BOTH(a_lock_is_held_until_the_process_ends),
        BOTH(a_file_is_not_a_directory),
        DISK(a_lock_of_another_process_is_a_conflict),
        DISK(free_space_is_not_more_than_all),
        DISK(a_write_that_fails_half_way_says_so),
        MEMORY(synced_bytes_of_a_synced_name_survive_every_crash),
        MEMORY(unsynced_bytes_are_kept_lost_or_torn),
        MEMORY(B19_bytes_whose_sync_failed_are_not_saved_by_another_sync),
        MEMORY(B18_a_rename_without_a_sync_of_the_directory_may_be_lost),
        MEMORY(a_file_in_a_directory_that_was_lost_is_lost),
        MEMORY(the_same_seed_gives_the_same_disk),
        MEMORY(a_full_disk_refuses_what_does_not_fit_and_takes_what_does),
    };
    return cmocka_run_group_tests_name("vfs", tests, store_dir_make, store_dir_remove);
}
