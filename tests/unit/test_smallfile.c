/* A small file is the old one or the new one, whatever happens. */
#include "tests/unit/unit.h"

#include "store/smallfile.h"
#include "tests/sim/vfs_mem.h"

#define PATH "manifest"

static int set_up(void **state) { return (*state = vfs_mem_new()) ? 0 : -1; }

static int tear_down(void **state)
{
    vfs_mem_free(*state);
    return 0;
}

static enum rgkv_err write_text(struct vfs *v, const char *text)
{
    struct buf why = {0};
    enum rgkv_err err = small_file_write(v, PATH, bytes_str(text), &why);
    assert_true((err != RGKV_OK) == (why.len > 0));
    buf_release(&why);
    return err;
}

static void assert_text(struct vfs *v, const char *expected)
{
    struct buf b = {0}, why = {0};
    assert_int_equal(small_file_read(v, PATH, &b, &why), RGKV_OK);
    assert_true(bytes_eq(buf_bytes(&b), bytes_str(expected)));
    assert_int_equal(why.len, 0);
    buf_release(&b);
}

static enum rgkv_err read_error(struct vfs *v)
{
    struct buf b = {0}, why = {0};
    enum rgkv_err err = small_file_read(v, PATH, &b, &why);
    assert_int_equal(b.len, 0);
    assert_non_null(strstr((char *)why.data, PATH));
    buf_release(&b);
    buf_release(&why);
    return err;
}

static void what_was_written_is_read(void **state)
{
    struct vfs *v = *state;
    assert_int_equal(read_error(v), RGKV_NOT_FOUND);
    assert_int_equal(write_text(v, "one"), RGKV_OK);
    assert_text(v, "one");
    assert_int_equal(write_text(v, ""), RGKV_OK);
    assert_text(v, "");
    assert_int_equal(write_text(v, "a longer one"), RGKV_OK);
    assert_text(v, "a longer one");
}

static void every_flipped_bit_is_found(void **state)
{
    struct vfs *v = *state;
    assert_int_equal(write_text(v, "content"), RGKV_OK);
    unsigned flipped = 0;
    for (uint64_t at = 0; vfs_mem_corrupt(v, PATH, at, 0); at++) {
        vfs_mem_corrupt(v, PATH, at, 0);
        for (unsigned bit = 0; bit < 8; bit++, flipped++) {
            vfs_mem_corrupt(v, PATH, at, bit);
            assert_int_equal(read_error(v), RGKV_DAMAGED);
            vfs_mem_corrupt(v, PATH, at, bit);
        }
    }
    assert_int_equal(flipped, 8 * (24 + strlen("content")));
    assert_text(v, "content");
}

static void cut_at_any_length_or_made_longer_it_is_damaged(void **state)
{
    struct vfs *v = *state;
    struct vfs_file *f;
    assert_int_equal(write_text(v, "content"), RGKV_OK);
    assert_int_equal(v->ops->open(v, PATH, false, &f), RGKV_OK);
    assert_int_equal(v->ops->append(f, bytes_str("x")), RGKV_OK);
    assert_int_equal(read_error(v), RGKV_DAMAGED);
    for (uint64_t len = v->ops->size(f) - 1; len-- > 0;) {
        assert_int_equal(v->ops->truncate(f, len), RGKV_OK);
        assert_int_equal(read_error(v), RGKV_DAMAGED);
    }
    v->ops->close(f);
}

static void B20_without_space_the_old_content_stays(void **state)
{
    struct vfs *v = *state;
    assert_int_equal(write_text(v, "old"), RGKV_OK);
    vfs_mem_set_capacity(v, vfs_mem_used(v) + 26);
    assert_int_equal(write_text(v, "a new one"), RGKV_NO_SPACE);
    assert_text(v, "old");
    vfs_mem_set_capacity(v, 0);
    assert_int_equal(write_text(v, "a new one"), RGKV_OK);
    assert_text(v, "a new one");
}

static void each_failing_call_leaves_the_old_or_the_new_content(void **state)
{
    const enum vfs_mem_call calls[] = {VFS_MEM_CREATE, VFS_MEM_WRITE, VFS_MEM_SYNC, VFS_MEM_RENAME};
    struct vfs *v = *state;
    assert_int_equal(write_text(v, "old"), RGKV_OK);
    for (unsigned i = 0; i < ARRAY_LEN(calls); i++) {
        vfs_mem_fail(v, calls[i], 1, RGKV_IO);
        assert_int_equal(write_text(v, "new"), RGKV_IO);
        assert_text(v, "old");
    }
    vfs_mem_fail(v, VFS_MEM_SYNC_DIR, 1, RGKV_IO);
    assert_int_equal(write_text(v, "new"), RGKV_IO);
    assert_text(v, "new");
}

/* The power goes after each of the calls of a write, with many seeds for what the crash forgets. */
static void B18_after_a_crash_it_is_the_old_or_the_new_one_and_the_new_one_if_acknowledged(void **state)
{
    unsigned old = 0, new = 0;
    for (uint64_t seed = 0; seed < 600; seed++) {
        struct vfs *v = vfs_mem_new();
        struct prng p;
        struct buf b = {0};
        prng_init(&p, seed);
        assert_int_equal(write_text(v, "the old content"), RGKV_OK);
        vfs_mem_halt_after(v, seed % 7);
        enum rgkv_err err = write_text(v, "the new content!");
        vfs_mem_crash(v, &p);
        assert_int_equal(small_file_read(v, PATH, &b, NULL), RGKV_OK);
        bool is_new = bytes_eq(buf_bytes(&b), bytes_str("the new content!"));
        assert_true(is_new || (err && bytes_eq(buf_bytes(&b), bytes_str("the old content"))));
        old += !is_new;
        new += is_new;
        assert_int_equal(write_text(v, "again"), RGKV_OK);
        vfs_mem_free(v);
        buf_release(&b);
    }
    assert_true(old > 100 && new > 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_is_read),
        TEST(every_flipped_bit_is_found),
        TEST(cut_at_any_length_or_made_longer_it_is_damaged),
        TEST(B20_without_space_the_old_content_stays),
        TEST(each_failing_call_leaves_the_old_or_the_new_content),
        TEST(B18_after_a_crash_it_is_the_old_or_the_new_one_and_the_new_one_if_acknowledged),
    };
    return cmocka_run_group_tests_name("smallfile", tests, NULL, NULL);
}
