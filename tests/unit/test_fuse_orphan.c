/* Unlinked files that are open: bounded, one by one and all together, and what they held is given back. */
#include "tests/unit/unit.h"

#include "fuse/handle.h"
#include "fuse/orphan.h"

void call_ask(struct call *c, const struct kv_request *q, call_done *done) { fail_msg("the store is asked"); }
void call_reply_err(struct call *c, enum rgkv_err err, const char *why) { fail_msg("the call is answered"); }
void handle_cleared(struct handle *h) {}

#define FILES 4

struct rig {
    struct mount m;
    struct inode *nodes[FILES];
    struct handle handles[FILES];  /* one of each node */
};

static void goes_on(struct call *c) {}

/* Files that never reached the store: all there is is staged. */
static struct rig *rig_new(void)
{
    static const char *const names[FILES] = {"a", "b", "c", "d"};
    struct rig *r = mem_zalloc(sizeof *r);
    inodes_init(&r->m.inodes);
    r->m.inodes.gone = orphan_free;
    for (unsigned i = 0; i < FILES; i++) {
        struct inode *n = r->nodes[i] = inode_lookup(&r->m.inodes, r->m.inodes.root, names[i], 0, KV_FILE);
        struct orphan_call c = {.call.m = &r->m};
        n->handles = &r->handles[i];
        orphan_fetch(&c, n, goes_on);
        orphan_begin(&c);
        assert_non_null(n->orphan);
    }
    return r;
}

static void rig_free(struct rig *r)
{
    inodes_release(&r->m.inodes);
    assert_int_equal(r->m.orphan_bytes, 0);
    mem_free(r);
}

static void one_file_is_bounded(void **state)
{
    struct rig *r = rig_new();
    struct inode *n = r->nodes[0];
    assert_int_equal(orphan_write(n, ORPHAN_BYTES_MAX - 3, bytes_str("end"), false), RGKV_OK);
    assert_int_equal(orphan_write(n, 0, bytes_str("x"), true), RGKV_TOO_LARGE);
    assert_int_equal(orphan_write(n, UINT64_MAX, bytes_str("x"), false), RGKV_TOO_LARGE);
    assert_int_equal(orphan_resize(n, ORPHAN_BYTES_MAX + 1), RGKV_TOO_LARGE);
    assert_true(orphan_size(n) == ORPHAN_BYTES_MAX && bytes_eq(orphan_read(n, ORPHAN_BYTES_MAX - 3, 10), bytes_str("end")));
    rig_free(r);
}

static void all_together_are_bounded_and_what_one_gives_back_another_may_take(void **state)
{
    struct rig *r = rig_new();
    assert_int_equal(orphan_resize(r->nodes[0], ORPHAN_BYTES_MAX), RGKV_OK);
    assert_int_equal(orphan_resize(r->nodes[1], ORPHAN_BYTES_MAX), RGKV_OK);
    assert_int_equal(r->m.orphan_bytes, ORPHANS_BYTES_MAX);
    assert_int_equal(orphan_write(r->nodes[2], 0, bytes_str("x"), false), RGKV_NO_SPACE);
    assert_int_equal(orphan_write(r->nodes[0], 0, bytes_str("x"), false), RGKV_OK); /* takes no more */
    assert_int_equal(orphan_resize(r->nodes[0], 5), RGKV_OK);
    assert_int_equal(orphan_write(r->nodes[2], 0, bytes_str("x"), false), RGKV_OK);
    assert_int_equal(r->m.orphan_bytes, ORPHAN_BYTES_MAX + 6);
    r->nodes[1]->handles = NULL;
    inode_forget(&r->m.inodes, r->nodes[1]->id, 1);
    assert_int_equal(r->m.orphan_bytes, 6);
    rig_free(r);
}

static void what_was_staged_counts(void **state)
{
    struct rig *r = rig_new();
    struct stage s = {0};
    assert_int_equal(stage_write(&s, 10, bytes_str("abc")), RGKV_OK);
    assert_int_equal(orphan_apply(r->nodes[0], &s), RGKV_OK);
    assert_int_equal(r->m.orphan_bytes, 13);
    assert_int_equal(stage_write(&s, ORPHAN_BYTES_MAX, bytes_str("abc")), RGKV_OK);
    assert_int_equal(orphan_apply(r->nodes[0], &s), RGKV_TOO_LARGE);
    assert_int_equal(orphan_size(r->nodes[0]), 13);
    stage_release(&s);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_file_is_bounded),
        cmocka_unit_test(all_together_are_bounded_and_what_one_gives_back_another_may_take),
        cmocka_unit_test(what_was_staged_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
