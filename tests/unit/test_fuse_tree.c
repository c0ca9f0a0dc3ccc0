/* Nodes, paths and keys of the mount. */
#include "tests/unit/unit.h"

#include "fuse/tree.h"

static struct inode *node(struct inodes *t, struct inode *parent, const char *name, uint64_t ino, enum kv_type type)
{
    return inode_lookup(t, parent, name, ino, type);
}

static void assert_key(const struct inode *n, const char *wanted)
{
    struct key k;
    assert_int_equal(tree_key(n, &k), RGKV_OK);
    assert_string_equal(k.text, wanted);
    assert_int_equal(k.len, strlen(wanted));
}

static void a_key_is_the_path_without_the_leading_slash(void **state)
{
    struct inodes t;
    inodes_init(&t);
    struct inode *a = node(&t, t.root, "a", 10, KV_DIR), *b = node(&t, a, "b", 11, KV_FILE);
    struct key k;
    assert_key(t.root, "");
    assert_key(b, "a/b");
    assert_int_equal(tree_child_key(t.root, "x", &k), RGKV_OK);
    assert_string_equal(k.text, "x");
    assert_int_equal(tree_child_key(a, "x", &k), RGKV_OK);
    assert_string_equal(k.text, "a/x");
    inodes_release(&t);
}

static void below_a_prefix_every_key_begins_with_it(void **state)
{
    struct inodes t;
    struct key k;
    char long_prefix[1020];
    inodes_init(&t);
    inodes_prefix(&t, "p/q");
    struct inode *a = node(&t, t.root, "a", 10, KV_DIR);
    assert_false(inode_is_top(t.root));
    assert_key(t.root, "p/q");
    assert_key(a, "p/q/a");
    assert_int_equal(tree_child_key(t.root, "x", &k), RGKV_OK);
    assert_string_equal(k.text, "p/q/x");
    inode_detach(&t, a);
    assert_int_equal(tree_key(a, &k), RGKV_STALE);
    inodes_release(&t);
    inodes_init(&t);
    memset(long_prefix, 'd', sizeof long_prefix);
    long_prefix[255] = long_prefix[511] = long_prefix[767] = '/';
    long_prefix[1019] = '\0';
    inodes_prefix(&t, long_prefix);
    assert_int_equal(tree_child_key(t.root, "abcd", &k), RGKV_OK); /* 1019 + 1 + 4 */
    assert_int_equal(tree_child_key(t.root, "abcde", &k), RGKV_NAME_TOO_LONG);
    inodes_release(&t);
}

static void names_and_keys_over_their_limits_are_refused(void **state)
{
    struct inodes t;
    struct key k;
    char name[258];
    inodes_init(&t);
    memset(name, 'n', sizeof name);
    name[256] = '\0';
    assert_int_equal(tree_child_key(t.root, name, &k), RGKV_NAME_TOO_LONG);
    name[255] = '\0';
    assert_int_equal(tree_child_key(t.root, name, &k), RGKV_OK);
    struct inode *n = t.root;
    for (int i = 0; i < 4; i++)
        n = node(&t, n, name, 20 + (uint64_t)i, KV_DIR);
    assert_int_equal(tree_key(n, &k), RGKV_OK); /* 4 × 255 + 3 = 1023 */
    assert_int_equal(tree_child_key(n, "x", &k), RGKV_NAME_TOO_LONG);
    assert_int_equal(tree_child_key(t.root, ".", &k), RGKV_INVALID);
    assert_int_equal(tree_child_key(t.root, "..", &k), RGKV_INVALID);
    inodes_release(&t);
}

static void all_below_a_renamed_directory_follow_it(void **state)
{
    struct inodes t;
    inodes_init(&t);
    struct inode *a = node(&t, t.root, "a", 10, KV_DIR), *b = node(&t, a, "b", 11, KV_DIR), *f = node(&t, b, "f", 12, KV_FILE);
    inode_move(&t, a, t.root, "z");
    assert_key(f, "z/b/f");
    assert_null(inode_child(&t, t.root, "a"));
    assert_ptr_equal(inode_child(&t, t.root, "z"), a);
    inodes_release(&t);
}

static void a_rename_detaches_what_it_replaces(void **state)
{
    struct inodes t;
    struct key k;
    inodes_init(&t);
    struct inode *a = node(&t, t.root, "a", 10, KV_FILE), *b = node(&t, t.root, "b", 11, KV_FILE);
    inode_move(&t, a, t.root, "b");
    assert_key(a, "b");
    assert_false(inode_attached(b));
    assert_int_equal(tree_key(b, &k), RGKV_STALE);
    assert_ptr_equal(inode_find(&t, b->id), b);
    inodes_release(&t);
}

static void another_file_under_the_same_name_is_another_node(void **state)
{
    struct inodes t;
    inodes_init(&t);
    struct inode *old = node(&t, t.root, "f", 10, KV_FILE);
    struct inode *new = node(&t, t.root, "f", 11, KV_FILE);
    assert_ptr_not_equal(old, new);
    assert_true(old->id != new->id);
    assert_false(inode_attached(old));
    assert_ptr_equal(node(&t, t.root, "f", 11, KV_FILE), new);
    assert_int_equal(new->lookups, 2);
    inodes_release(&t);
}

static void a_staged_creation_becomes_the_file_that_the_store_made(void **state)
{
    struct inodes t;
    inodes_init(&t);
    struct inode *n = node(&t, t.root, "f", 0, KV_FILE);
    uint64_t shown = n->st_ino;
    assert_ptr_equal(node(&t, t.root, "f", 77, KV_FILE), n);
    assert_int_equal(n->ino, 77);
    assert_true(n->st_ino == shown);
    inodes_release(&t);
}

static void a_node_lives_until_the_last_lookup_is_forgotten_and_the_last_reference_dropped(void **state)
{
    struct inodes t;
    inodes_init(&t);
    struct inode *a = node(&t, t.root, "a", 10, KV_DIR), *f = node(&t, a, "f", 11, KV_FILE);
    uint64_t a_id = a->id, f_id = f->id;
    inode_forget(&t, a_id, 1);
    assert_non_null(inode_find(&t, a_id)); /* its child is still known */
    inode_ref(f);
    inode_forget(&t, f_id, 1);
    assert_non_null(inode_find(&t, f_id));
    inode_unref(&t, f);
    assert_null(inode_find(&t, f_id));
    assert_null(inode_find(&t, a_id)); /* went with its last child */
    inodes_release(&t);
}

static void forgetting_too_much_or_the_unknown_does_no_harm(void **state)
{
    struct inodes t;
    inodes_init(&t);
    struct inode *a = node(&t, t.root, "a", 10, KV_FILE);
    uint64_t id = a->id;
    inode_forget(&t, id, UINT64_MAX);
    assert_null(inode_find(&t, id));
    inode_forget(&t, 12345, 1);
    inode_forget(&t, INODE_ROOT, UINT64_MAX);
    assert_non_null(inode_find(&t, INODE_ROOT));
    inodes_release(&t);
}

static void below_a_removed_directory_nothing_has_a_path(void **state)
{
    struct inodes t;
    struct key k;
    inodes_init(&t);
    struct inode *a = node(&t, t.root, "a", 10, KV_DIR), *f = node(&t, a, "f", 11, KV_FILE);
    inode_detach(&t, a);
    assert_int_equal(tree_key(f, &k), RGKV_STALE);
    assert_int_equal(tree_child_key(a, "x", &k), RGKV_STALE);
    inodes_release(&t);
}

static void only_the_roots_ctrl_is_the_control_tree(void **state)
{
    struct inodes t;
    inodes_init(&t);
    struct inode *a = node(&t, t.root, "a", 10, KV_DIR);
    assert_true(tree_is_ctrl(t.root, ".ctrl"));
    assert_false(tree_is_ctrl(t.root, "ctrl"));
    assert_false(tree_is_ctrl(a, ".ctrl"));
    inodes_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_the_path_without_the_leading_slash),
        cmocka_unit_test(below_a_prefix_every_key_begins_with_it),
        cmocka_unit_test(names_and_keys_over_their_limits_are_refused),
        cmocka_unit_test(all_below_a_renamed_directory_follow_it),
        cmocka_unit_test(a_rename_detaches_what_it_replaces),
        cmocka_unit_test(another_file_under_the_same_name_is_another_node),
        cmocka_unit_test(a_staged_creation_becomes_the_file_that_the_store_made),
        cmocka_unit_test(a_node_lives_until_the_last_lookup_is_forgotten_and_the_last_reference_dropped),
        cmocka_unit_test(forgetting_too_much_or_the_unknown_does_no_harm),
        cmocka_unit_test(below_a_removed_directory_nothing_has_a_path),
        cmocka_unit_test(only_the_roots_ctrl_is_the_control_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
