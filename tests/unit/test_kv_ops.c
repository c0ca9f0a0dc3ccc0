/* What each command does, and what it refuses. */
#include "tests/unit/kv_help.h"

static void a_put_is_read_back_with_its_attributes(void **state)
{
    struct rig *r = rig_new(1);
    assert_int_equal(put(r, "a", "hello"), RGKV_OK);
    assert_int_equal(r->last.reply.attr.size, 5);
    assert_value(r, "a", "hello");
    assert_int_equal(r->reply.attr.type, KV_FILE);
    assert_int_equal(r->reply.attr.mode, 0644);
    assert_int_equal(r->reply.attr.uid, 1);
    assert_int_equal(r->reply.attr.gid, 2);
    assert_true(r->reply.attr.mtime_ns == 1000);
    assert_false(r->reply.more);
    rig_free(r);
}

static void an_overwriting_put_keeps_mode_owner_and_inode_and_raises_the_version(void **state)
{
    struct rig *r = rig_new(1);
    put(r, "a", "one");
    struct kv_attr before = r->last.reply.attr;
    struct kv_request q = ask(KV_PUT, "a");
    q.mode = 0600;
    q.uid = q.gid = 9;
    q.now_ns = 2000;
    q.data = bytes_str("three");
    assert_int_equal(rig_do(r, q), RGKV_OK);
    struct kv_attr after = r->last.reply.attr;
    assert_int_equal(after.mode, 0644);
    assert_int_equal(after.uid, 1);
    assert_true(after.ino == before.ino);
    assert_true(after.version > before.version);
    assert_true(after.atime_ns == 1000 && after.mtime_ns == 2000 && after.ctime_ns == 2000);
    rig_free(r);
}

static void put_may_set_attributes_in_the_same_command(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_request q = ask(KV_PUT, "a");
    q.set = KV_SET_MODE | KV_SET_UID | KV_SET_GID | KV_SET_ATIME | KV_SET_MTIME;
    q.mode = 0711;
    q.uid = 5;
    q.gid = 6;
    q.atime_ns = 77;
    q.mtime_ns = 88;
    put(r, "a", "");
    assert_int_equal(rig_do(r, q), RGKV_OK);
    assert_int_equal(stat_of(r, "a"), RGKV_OK);
    struct kv_attr a = r->reply.attr;
    assert_true(a.mode == 0711 && a.uid == 5 && a.gid == 6 && a.atime_ns == 77 && a.mtime_ns == 88 && a.ctime_ns == 1000);
    rig_free(r);
}

static void put_obeys_its_conditions(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_request q = ask(KV_PUT, "a");
    q.flags = KV_MUST_EXIST;
    assert_int_equal(rig_do(r, q), RGKV_NOT_FOUND);
    q.flags = KV_IF_VERSION;
    q.version = 3;
    assert_int_equal(rig_do(r, q), RGKV_VERSION);
    q.version = 0;
    assert_int_equal(rig_do(r, q), RGKV_OK);
    assert_int_equal(rig_do(r, q), RGKV_VERSION);
    q.version = version_of(r, "a");
    assert_int_equal(rig_do(r, q), RGKV_OK);
    q.flags = KV_CREATE_ONLY;
    assert_int_equal(rig_do(r, q), RGKV_EXISTS);
    rig_free(r);
}

static void a_patch_goes_to_the_file_that_it_means_or_to_none(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_range range = {0, 1};
    struct kv_request q = ask(KV_PATCH, "a");
    q.flags = KV_IF_INO;
    q.n_ranges = 1;
    q.ranges = &range;
    q.data = bytes_str("x");
    put(r, "a", "old");
    put(r, "b", "new");
    assert_int_equal(stat_of(r, "a"), RGKV_OK);
    q.ino = r->reply.attr.ino;
    assert_int_equal(rig_do(r, q), RGKV_OK);
    assert_value(r, "a", "xld");
    assert_int_equal(rename_to(r, KV_RENAME, "b", "a", 0), RGKV_OK);
    assert_int_equal(rig_do(r, q), RGKV_NOT_FOUND);
    assert_value(r, "a", "new");
    assert_int_equal(on(r, KV_DELETE, "a"), RGKV_OK);
    assert_int_equal(rig_do(r, q), RGKV_NOT_FOUND);
    q.set = KV_SET_ATIME;
    assert_int_equal(kv_request_check(&q, 1), RGKV_INVALID);
    q.set = 0;
    q.op = KV_APPEND;
    q.n_ranges = 0;
    assert_int_equal(kv_request_check(&q, 1), RGKV_INVALID);
    rig_free(r);
}

static void attributes_are_those_of_the_file_that_is_meant_or_of_none(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_request set = ask(KV_SETATTR, "a"), name = ask(KV_XATTR_SET, "a");
    put(r, "a", "old");
    put(r, "b", "new");
    assert_int_equal(stat_of(r, "a"), RGKV_OK);
    set.flags = name.flags = KV_IF_INO;
    set.of_ino = name.ino = r->reply.attr.ino;
    set.set = KV_SET_MODE | KV_SET_ATIME;
    set.mode = 0600;
    set.atime_ns = 7;
    name.key2 = bytes_str("user.x");
    name.data = bytes_str("1");
    assert_int_equal(rig_do(r, set), RGKV_OK);
    assert_true(r->last.reply.attr.mode == 0600 && r->last.reply.attr.atime_ns == 7);
    assert_int_equal(rig_do(r, name), RGKV_OK);
    assert_int_equal(rename_to(r, KV_RENAME, "b", "a", 0), RGKV_OK);
    assert_int_equal(rig_do(r, set), RGKV_NOT_FOUND);
    assert_int_equal(rig_do(r, name), RGKV_NOT_FOUND);
    name.op = KV_XATTR_REMOVE;
    assert_int_equal(rig_do(r, name), RGKV_NOT_FOUND);
    assert_int_equal(stat_of(r, "a"), RGKV_OK);
    assert_int_not_equal(r->reply.attr.mode, 0600);
    rig_free(r);
}

static void a_key_needs_a_parent_that_is_a_directory(void **state)
{
    struct rig *r = rig_new(1);
    assert_int_equal(put(r, "d/x", ""), RGKV_NOT_FOUND);
    assert_int_equal(put(r, "d", ""), RGKV_OK);
    assert_int_equal(put(r, "d/x", ""), RGKV_NOT_DIR);
    assert_int_equal(put(r, "d/x/y", ""), RGKV_NOT_DIR);
    assert_int_equal(on(r, KV_DELETE, "d/x/y"), RGKV_NOT_DIR);
    assert_int_equal(stat_of(r, "d/x"), RGKV_NOT_DIR);
    assert_int_equal(on(r, KV_MKDIR, "e"), RGKV_OK);
    assert_int_equal(on(r, KV_MKDIR, "e/f"), RGKV_OK);
    assert_int_equal(put(r, "e/f/g", "x"), RGKV_OK);
    assert_int_equal(put(r, "e/f", "x"), RGKV_IS_DIR);
    assert_int_equal(put(r, "e/none/g", "x"), RGKV_NOT_FOUND);
    rig_free(r);
}

static void append_makes_and_continues_a_file(void **state)
{
    struct rig *r = rig_new(1);
    assert_int_equal(append(r, "a", bytes_str("one ")), RGKV_OK);
    assert_int_equal(append(r, "a", bytes_str("two")), RGKV_OK);
    assert_value(r, "a", "one two");
    assert_true(r->reply.attr.size == 7);
    on(r, KV_MKDIR, "d");
    assert_int_equal(append(r, "d", bytes_str("x")), RGKV_IS_DIR);
    rig_free(r);
}

static void writes_by_others_than_root_clear_setuid(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_request q = ask(KV_PUT, "a");
    q.mode = 06755;
    rig_do(r, q);
    q = ask(KV_APPEND, "a");
    q.flags = KV_CLEAR_SUID;
    rig_do(r, q);
    assert_int_equal(r->last.reply.attr.mode, 0755);
    q = ask(KV_SETATTR, "a");
    q.set = KV_SET_MODE;
    q.mode = 02644;
    rig_do(r, q);
    q = ask(KV_PUT, "a");
    q.flags = KV_CLEAR_SUID;
    rig_do(r, q);
    assert_int_equal(r->last.reply.attr.mode, 02644);
    rig_free(r);
}

static void delete_and_rmdir_refuse_what_is_not_theirs(void **state)
{
    struct rig *r = rig_new(1);
    on(r, KV_MKDIR, "d");
    put(r, "d/f", "1");
    put(r, "f", "2");
    assert_int_equal(on(r, KV_DELETE, "d"), RGKV_IS_DIR);
    assert_int_equal(on(r, KV_RMDIR, "f"), RGKV_NOT_DIR);
    assert_int_equal(on(r, KV_RMDIR, "d"), RGKV_NOT_EMPTY);
    assert_int_equal(on(r, KV_RMDIR, "none"), RGKV_NOT_FOUND);
    assert_int_equal(on(r, KV_DELETE, "none"), RGKV_NOT_FOUND);
    assert_int_equal(on(r, KV_DELETE, "d/f"), RGKV_OK);
    assert_int_equal(on(r, KV_RMDIR, "d"), RGKV_OK);
    assert_int_equal(on(r, KV_DELETE, "f"), RGKV_OK);
    assert_int_equal(get(r, "f"), RGKV_NOT_FOUND);
    struct kv_shard_status s;
    kv_shard_status(r->kv, 0, &s);
    assert_true(s.keys == 0 && s.bytes == 0);
    rig_free(r);
}

static void a_directory_is_not_empty_by_a_child_of_the_same_batch(void **state)
{
    struct rig *r = rig_new(1);
    r->batch = 100;
    on(r, KV_MKDIR, "d");
    put(r, "d/f", "1");
    assert_int_equal(on(r, KV_RMDIR, "d"), RGKV_NOT_EMPTY);
    rig_finish(r);
    on(r, KV_DELETE, "d/f");
    assert_int_equal(on(r, KV_RMDIR, "d"), RGKV_OK);
    rig_free(r);
}

static void mkdir_of_what_is_there_is_refused(void **state)
{
    struct rig *r = rig_new(1);
    assert_int_equal(on(r, KV_MKDIR, "d"), RGKV_OK);
    assert_int_equal(on(r, KV_MKDIR, "d"), RGKV_EXISTS);
    assert_int_equal(get(r, "d"), RGKV_IS_DIR);
    rig_free(r);
}

static void a_link_keeps_its_target_and_is_not_written_through(void **state)
{
    struct rig *r = rig_new(1);
    struct kv_request q = ask(KV_SYMLINK, "l");
    q.data = bytes_str("../to/somewhere");
    assert_int_equal(rig_do(r, q), RGKV_OK);
    assert_value(r, "l", "../to/somewhere");
    assert_int_equal(r->reply.attr.type, KV_LINK);
    assert_int_equal(put(r, "l", "x"), RGKV_NOT_PERMITTED);
    assert_int_equal(rig_do(r, q), RGKV_EXISTS);
    assert_int_equal(on(r, KV_DELETE, "l"), RGKV_OK);
    rig_free(r);
}

static void a_child_that_comes_or_goes_changes_its_directorys_times(void **state)
{
    struct rig *r = rig_new(1);
    on(r, KV_MKDIR, "d");
    struct kv_request q = ask(KV_PUT, "d/f");
    q.now_ns = 5000;
    rig_do(r, q);
    stat_of(r, "d");
    assert_true(r->reply.attr.mtime_ns == 5000 && r->reply.attr.ctime_ns == 5000);
    q.now_ns = 6000;
    rig_do(r, q); /* overwritten: the directory did not change */
    stat_of(r, "d");
    assert_true(r->reply.attr.mtime_ns == 5000);
    q = ask(KV_DELETE, "d/f");
    q.now_ns = 7000;
    rig_do(r, q);
    stat_of(r, "d");
    assert_true(r->reply.attr.mtime_ns == 7000);
    rig_free(r);
}

static void setattr_changes_only_what_it_names(void **state)
{
    struct rig *r = rig_new(1);
    put(r, "a", "x");
    uint64_t version = version_of(r, "a");
    struct kv_request q = ask(KV_SETATTR, "a");
    q.set = KV_SET_MODE;
    q.mode = 0400;
    q.uid = 99;
    q.now_ns = 3000;
    assert_int_equal(rig_do(r, q), RGKV_OK);
    stat_of(r, "a");
    struct kv_attr a = r->reply.attr;
    assert_true(a.mode == 0400 && a.uid == 1 && a.mtime_ns == 1000 && a.ctime_ns == 3000 && a.version > version);
    q.key = bytes_str("none");
    assert_int_equal(rig_do(r, q), RGKV_NOT_FOUND);
    rig_free(r);
}

static void rename_follows_rename_2(void **state)
{
    struct rig *r = rig_new(1);
    put(r, "f", "1");
    put(r, "g", "2");
    on(r, KV_MKDIR, "d");
    on(r, KV_MKDIR, "e");
    on(r, KV_MKDIR, "e/sub");
    assert_int_equal(rename_to(r, KV_RENAME, "none", "x", 0), RGKV_NOT_FOUND);
    assert_int_equal(rename_to(r, KV_RENAME, "f", "none/x", 0), RGKV_NOT_FOUND);
    assert_int_equal(rename_to(r, KV_RENAME, "f", "g/x", 0), RGKV_NOT_DIR);
    assert_int_equal(rename_to(r, KV_RENAME, "f", "d", 0), RGKV_IS_DIR);
    assert_int_equal(rename_to(r, KV_RENAME, "d", "f", 0), RGKV_NOT_DIR);
    assert_int_equal(rename_to(r, KV_RENAME, "d", "e", 0), RGKV_NOT_EMPTY);
    assert_int_equal(rename_to(r, KV_RENAME, "e/sub", "e", 0), RGKV_NOT_EMPTY);
    assert_int_equal(rename_to(r, KV_RENAME, "e", "e/sub/x", 0), RGKV_LOOP);
    assert_int_equal(rename_to(r, KV_RENAME, "f", "g", KV_CREATE_ONLY), RGKV_EXISTS);
    assert_int_equal(rename_to(r, KV_RENAME, "e", "e", 0), RGKV_OK);
    assert_int_equal(rename_to(r, KV_RENAME, "f", "f", KV_CREATE_ONLY), RGKV_EXISTS);
    assert_int_equal(rename_to(r, KV_RENAME, "e", "d", 0), RGKV_OK);
    assert_int_equal(stat_of(r, "e"), RGKV_NOT_FOUND);
    assert_int_equal(stat_of(r, "d/sub"), RGKV_OK);
    assert_int_equal(rename_to(r, KV_RENAME, "f", "g", 0), RGKV_OK);
    assert_value(r, "g", "1");
    assert_int_equal(get(r, "f"), RGKV_NOT_FOUND);
    struct kv_shard_status s;
    kv_shard_status(r->kv, 0, &s);
    assert_true(s.keys == 3 && s.bytes == 1);
    rig_free(r);
}

static void renaming_a_directory_takes_along_all_below_it(void **state)
{
    struct rig *r = rig_new(1);
    r->batch = 3;
    on(r, KV_MKDIR, "a");
    on(r, KV_MKDIR, "a/b");
    on(r, KV_MKDIR, "a/b/c");
    put(r, "a/1", "one");
    put(r, "a/b/2", "two");
    put(r, "a/b/c/3", "three");
    put(r, "a-", "not below");
    on(r, KV_MKDIR, "ab");
    put(r, "ab/x", "not below either");
    assert_int_equal(rename_to(r, KV_RENAME, "a", "z", 0), RGKV_OK);
    assert_value(r, "z/1", "one");
    assert_value(r, "z/b/2", "two");
    assert_value(r, "z/b/c/3", "three");
    assert_value(r, "a-", "not below");
    assert_value(r, "ab/x", "not below either");
    assert_int_equal(stat_of(r, "a/b"), RGKV_NOT_FOUND);
    assert_int_equal(get(r, "a/b/c/3"), RGKV_NOT_FOUND);
    rig_free(r);
}

static void renaming_a_directory_that_holds_too_much_is_left_to_mv(void **state)
{
    struct rig *r = rig_new(1);
    char key[64];
    r->batch = 500;
    on(r, KV_MKDIR, "a");
    for (int i = 0; i < 4096; i++) {
        snprintf(key, sizeof(key), "a/%d", i);
        assert_int_equal(put(r, key, "x"), RGKV_OK);
    }
    assert_int_equal(rename_to(r, KV_RENAME, "a", "b", 0), RGKV_OK);
    put(r, "b/more", "x");
    uint64_t before = checksum(r);
    assert_int_equal(rename_to(r, KV_RENAME, "b", "c", 0), RGKV_CROSS_SHARD);
    assert_int_equal(stat_of(r, "b/more"), RGKV_OK);
    assert_int_equal(stat_of(r, "c"), RGKV_NOT_FOUND);
    assert_true(before != checksum(r)); /* the session knows the refusal */
    rig_free(r);
}

static void a_rename_that_would_make_a_key_too_long_is_refused(void **state)
{
    struct rig *r = rig_new(1);
    char dir[1100] = "d", key[1200];
    on(r, KV_MKDIR, dir);
    for (int i = 0; i < 3; i++) {
        strcat(dir, "/");
        memset(dir + strlen(dir), 'x', 250);
        assert_int_equal(on(r, KV_MKDIR, dir), RGKV_OK);
    }
    snprintf(key, sizeof(key), "%s/%0250d", dir, 1);
    assert_int_equal(put(r, key, "deep"), RGKV_OK);
    assert_int_equal(rename_to(r, KV_RENAME, "d", "a-longer-name-than-before-by-far", 0), RGKV_NAME_TOO_LONG);
    assert_value(r, key, "deep");
    rig_free(r);
}

static void exchange_swaps_files_and_whole_directories(void **state)
{
    struct rig *r = rig_new(1);
    on(r, KV_MKDIR, "d");
    put(r, "d/x", "dx");
    put(r, "f", "file");
    assert_int_equal(rename_to(r, KV_EXCHANGE, "d", "f", 0), RGKV_OK);
    assert_value(r, "d", "file");
    assert_value(r, "f/x", "dx");
    assert_int_equal(get(r, "d/x"), RGKV_NOT_DIR);
    on(r, KV_MKDIR, "e");
    put(r, "e/x", "ex");
    put(r, "e/y", "ey");
    assert_int_equal(rename_to(r, KV_EXCHANGE, "e", "f", 0), RGKV_OK);
    assert_value(r, "f/x", "ex");
    assert_value(r, "f/y", "ey");
    assert_value(r, "e/x", "dx");
    assert_int_equal(get(r, "e/y"), RGKV_NOT_FOUND);
    assert_int_equal(rename_to(r, KV_EXCHANGE, "e", "none", 0), RGKV_NOT_FOUND);
    assert_int_equal(rename_to(r, KV_EXCHANGE, "e", "e/x", 0), RGKV_LOOP);
    rig_free(r);
}

static void names_that_are_no_paths_are_refused(void **state)
{
    char longest[256 + 1];
    memset(longest, 'n', 256);
    longest[256] = 0;
    const char *bad[] = {"", "/a", "a/", "a//b", ".", "..", "a/.", "../a", ".ctrl", ".ctrl/join"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(kv_key_check(bytes_str(bad[i])), RGKV_INVALID);
    assert_int_equal(kv_key_check(bytes_of("a\0b", 3)), RGKV_INVALID);
    assert_int_equal(kv_key_check(bytes_str(longest)), RGKV_NAME_TOO_LONG);
    assert_int_equal(kv_key_check(bytes_str(longest + 1)), RGKV_OK);
    assert_int_equal(kv_key_check(bytes_str("...")), RGKV_OK);
    assert_int_equal(kv_key_check(bytes_str(".ctrl2/\xff\n")), RGKV_OK);
    char deep[KEY_BYTES_MAX + 2] = {0};
    for (size_t i = 0; i < KEY_BYTES_MAX + 1; i++)
        deep[i] = i % 2 ? '/' : 'a';
    assert_int_equal(kv_key_check(bytes_of(deep, KEY_BYTES_MAX + 1)), RGKV_NAME_TOO_LONG);
    assert_int_equal(kv_key_check(bytes_of(deep, KEY_BYTES_MAX - 1)), RGKV_OK);
}

static void a_subtree_lives_in_one_shard(void **state)
{
    assert_int_equal(kv_key_shard(bytes_str("dir"), 256), kv_key_shard(bytes_str("dir/a/b"), 256));
    bool differ = false;
    for (char c = 'a'; c < 'z'; c++)
        differ = differ || kv_key_shard(bytes_of(&c, 1), 256) != kv_key_shard(bytes_str("z"), 256);
    assert_true(differ);
}

static void malformed_requests_are_refused_without_state(void **state)
{
    struct kv_request q = ask(KV_PUT, "a");
    q.seq = q.client = 1;
    assert_int_equal(kv_request_check(&q, 1), RGKV_OK);
    q.flags = KV_FLAGS_ALL + 1;
    assert_int_equal(kv_request_check(&q, 1), RGKV_INVALID);
    q.flags = 0;
    q.seq = 0;
    assert_int_equal(kv_request_check(&q, 1), RGKV_INVALID);
    q.seq = 1;
    q.floor = 2;
    assert_int_equal(kv_request_check(&q, 1), RGKV_INVALID);
    q.floor = 1;
    q.shard = 1;
    assert_int_equal(kv_request_check(&q, 1), RGKV_INVALID);
    q.shard = 0;
    q.mode = 010000;
    assert_int_equal(kv_request_check(&q, 1), RGKV_INVALID);
    q.mode = 0;
    q.op = KV_WRITE_LAST + 1;
    assert_int_equal(kv_request_check(&q, 1), RGKV_INVALID);
    q.op = KV_PUT;
    q.data = (struct bytes){(const uint8_t *)"x", DATA_BYTES_MAX + 1};
    assert_int_equal(kv_request_check(&q, 1), RGKV_TOO_LARGE);
    struct kv_range range = {VALUE_BYTES_MAX - 1, 2};
    q.op = KV_PATCH;
    q.data = bytes_str("xy");
    q.n_ranges = 1;
    q.ranges = &range;
    assert_int_equal(kv_request_check(&q, 1), RGKV_TOO_LARGE);
    range.offset = UINT64_MAX;
    assert_int_equal(kv_request_check(&q, 1), RGKV_TOO_LARGE);
    range = (struct kv_range){0, 3};
    assert_int_equal(kv_request_check(&q, 1), RGKV_INVALID);
}

static void an_exchange_with_another_shard_is_refused_and_a_rename_is_begun(void **state)
{
    char to[2] = "b";
    while (kv_key_shard(bytes_str(to), 16) == kv_key_shard(bytes_str("a"), 16))
        to[0]++;
    struct rig *r = rig_new(16);
    put(r, "a", "1");
    assert_int_equal(rename_to(r, KV_EXCHANGE, "a", to, 0), RGKV_CROSS_SHARD);
    assert_int_equal(rename_to(r, KV_RENAME, "a", to, 0), RGKV_PENDING);
    rig_free(r);
}

static void a_page_of_names_goes_on_where_the_last_one_ended(void **state)
{
    struct rig *r = rig_new(1);
    char key[32];
    on(r, KV_MKDIR, "d");
    put(r, "d.", "sorts before d/");
    put(r, "d0", "sorts after d/");
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof(key), "d/%d", i);
        put(r, key, "v");
        if (i == 4) {
            on(r, KV_MKDIR, "d/sub");
            put(r, "d/sub/below", "not a child");
        }
    }
    struct kv_request q = ask(KV_LIST, "d");
    q.length = 4;
    char after[256] = "";
    unsigned seen = 0;
    do {
        q.key2 = bytes_str(after);
        assert_int_equal(rig_read(r, q), RGKV_OK);
        struct reader in = reader_of(r->reply.data);
        struct kv_dirent d;
        while (kv_dirent_next(&in, &d)) {
            assert_true(d.name.len == 1 || bytes_eq(d.name, bytes_str("sub")));
            assert_true(bytes_cmp(d.name, bytes_str(after)) > 0);
            assert_int_equal(d.attr.type, d.name.len == 1 ? KV_FILE : KV_DIR);
            memcpy(after, d.name.data, d.name.len);
            after[d.name.len] = 0;
            seen++;
        }
        assert_true(in.ok);
    } while (r->reply.more);
    assert_int_equal(seen, 11);
    q = ask(KV_LIST, "d.");
    assert_int_equal(rig_read(r, q), RGKV_NOT_DIR);
    q = ask(KV_LIST, "none");
    assert_int_equal(rig_read(r, q), RGKV_NOT_FOUND);
    q = ask(KV_LIST, "");
    assert_int_equal(rig_read(r, q), RGKV_OK);
    struct reader in = reader_of(r->reply.data);
    struct kv_dirent d;
    for (seen = 0; kv_dirent_next(&in, &d); seen++)
        ;
    assert_int_equal(seen, 3);
    rig_free(r);
}

static void a_page_of_names_is_bounded_and_says_so(void **state)
{
    struct rig *r = rig_new(1);
    char key[300];
    r->batch = 100;
    on(r, KV_MKDIR, "d");
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "d/%0250d", i);
        put(r, key, "");
    }
    assert_int_equal(rig_read(r, ask(KV_LIST, "d")), RGKV_OK);
    assert_true(r->reply.more);
    assert_true(r->reply.data.len <= LIST_BYTES_MAX && r->reply.data.len > LIST_BYTES_MAX / 2);
    rig_free(r);
}

static void an_unknown_command_changes_nothing(void **state)
{
    struct rig *r = rig_new(1);
    uint64_t before = checksum(r);
    assert_int_equal(rig_shard(r, 77, 0, 9, 0), RGKV_INVALID);
    assert_int_equal(rig_shard(r, KV_FREEZE, 1, 9, 0), RGKV_INVALID);
    assert_int_equal(on(r, KV_STAT, "a"), RGKV_INVALID);
    assert_true(before == checksum(r));
    rig_free(r);
}

static void another_number_of_shards_is_a_conflict(void **state)
{
    struct rig *r = rig_new(4);
    rig_save(r);
    kv_free(r->kv);
    r->kv = NULL;
    struct kv *k;
    assert_int_equal(kv_open(r->table, 1, 8, &k), RGKV_CONFLICT);
    rig_open(r);
    assert_int_equal(kv_nshards(r->kv), 4);
    rig_free(r);
}

static void the_applied_row_is_what_the_last_finish_before_the_save_said(void **state)
{
    struct rig *r = rig_new_blank(1);
    struct buf row = {0};
    assert_int_equal(kv_applied_row(r->table, &row), RGKV_NOT_FOUND);
    assert_int_equal(kv_finish(r->kv, bytes_str("index 4")), RGKV_OK);
    assert_int_equal(kv_finish(r->kv, bytes_str("index 5")), RGKV_OK);
    rig_save(r);
    assert_int_equal(kv_applied_row(r->table, &row), RGKV_OK);
    assert_true(bytes_eq(buf_bytes(&row), bytes_str("index 5")));
    buf_release(&row);
    rig_free(r);
}

/* Whoever restarts without it finds the state of the last save, whole, and replays the log from there. */
static void what_was_not_saved_is_read_but_not_in_the_table(void **state)
{
    struct rig *r = rig_new(1);
    r->alone = true;
    put(r, "a", "old");
    rig_save(r);
    uint64_t before = checksum(r);
    put(r, "a", "new");
    on(r, KV_MKDIR, "b");
    assert_value(r, "a", "new");
    kv_free(r->kv);
    rig_open(r);
    assert_true(before == checksum(r));
    assert_value(r, "a", "old");
    assert_int_equal(stat_of(r, "b"), RGKV_NOT_FOUND);
    rig_free(r);
}

static unsigned writes_seen;
static const struct table_ops *ops_below;

static enum rgkv_err count_write(struct table *t, const struct table_change *changes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        writes_seen += changes[i].kind == TABLE_PUT;
    return ops_below->write(t, changes, n);
}

static void a_row_that_changes_often_is_written_once(void **state)
{
    struct rig *r = rig_new(1);
    r->alone = true;
    rig_save(r);
    ops_below = r->table->ops;
    struct table_ops counting = *ops_below;
    counting.write = count_write;
    r->table->ops = &counting;
    writes_seen = 0;
    for (unsigned i = 0; i < 500; i++)
        append(r, "log", bytes_str("x"));
    assert_int_equal(writes_seen, 0);
    rig_save(r);
    assert_int_equal(writes_seen, 5); /* the key, the session and when it ends, the shard, applied */
    for (unsigned i = 0; i < 40000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%u", i);
        put(r, key, "");
    }
    assert_true(writes_seen > 8 * 4096 && writes_seen < 40000); /* bounded, if nobody saves at all */
    r->table->ops = ops_below;
    rig_free(r);
}

static void a_page_does_not_go_on_behind_a_name_that_no_key_of_that_directory_has(void **state)
{
    struct rig *r = rig_new(1);
    char dir[KEY_BYTES_MAX + 1] = "", name[KEY_COMPONENT_BYTES_MAX + 1];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    for (unsigned i = 0; i < 3; i++) {
        memset(dir + strlen(dir), 'd', KEY_COMPONENT_BYTES_MAX);
        assert_int_equal(on(r, KV_MKDIR, dir), RGKV_OK);
        strcat(dir, "/");
    }
    memset(dir + strlen(dir), 'd', KEY_COMPONENT_BYTES_MAX - 2);
    assert_int_equal(on(r, KV_MKDIR, dir), RGKV_OK);
    struct kv_request q = ask(KV_LIST, dir);
    q.key2 = bytes_str(name);
    assert_int_equal(rig_read(r, q), RGKV_NAME_TOO_LONG);
    q.key2 = bytes_str("nn");
    assert_int_equal(rig_read(r, q), RGKV_OK);
    q = ask(KV_LIST, "");
    q.key2 = bytes_str(name);
    assert_int_equal(rig_read(r, q), RGKV_OK);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_put_is_read_back_with_its_attributes),
        cmocka_unit_test(an_overwriting_put_keeps_mode_owner_and_inode_and_raises_the_version),
        cmocka_unit_test(put_may_set_attributes_in_the_same_command),
        cmocka_unit_test(put_obeys_its_conditions),
        cmocka_unit_test(a_patch_goes_to_the_file_that_it_means_or_to_none),
        cmocka_unit_test(attributes_are_those_of_the_file_that_is_meant_or_of_none),
        cmocka_unit_test(a_key_needs_a_parent_that_is_a_directory),
        cmocka_unit_test(append_makes_and_continues_a_file),
        cmocka_unit_test(writes_by_others_than_root_clear_setuid),
        cmocka_unit_test(delete_and_rmdir_refuse_what_is_not_theirs),
        cmocka_unit_test(a_directory_is_not_empty_by_a_child_of_the_same_batch),
        cmocka_unit_test(mkdir_of_what_is_there_is_refused),
        cmocka_unit_test(a_link_keeps_its_target_and_is_not_written_through),
        cmocka_unit_test(a_child_that_comes_or_goes_changes_its_directorys_times),
        cmocka_unit_test(setattr_changes_only_what_it_names),
        cmocka_unit_test(rename_follows_rename_2),
        cmocka_unit_test(renaming_a_directory_takes_along_all_below_it),
        cmocka_unit_test(renaming_a_directory_that_holds_too_much_is_left_to_mv),
        cmocka_unit_test(a_rename_that_would_make_a_key_too_long_is_refused),
        cmocka_unit_test(exchange_swaps_files_and_whole_directories),
        cmocka_unit_test(names_that_are_no_paths_are_refused),
        cmocka_unit_test(a_subtree_lives_in_one_shard),
        cmocka_unit_test(malformed_requests_are_refused_without_state),
        cmocka_unit_test(an_exchange_with_another_shard_is_refused_and_a_rename_is_begun),
        cmocka_unit_test(a_page_of_names_goes_on_where_the_last_one_ended),
        cmocka_unit_test(a_page_of_names_is_bounded_and_says_so),
        cmocka_unit_test(an_unknown_command_changes_nothing),
        cmocka_unit_test(a_page_does_not_go_on_behind_a_name_that_no_key_of_that_directory_has),
        cmocka_unit_test(another_number_of_shards_is_a_conflict),
        cmocka_unit_test(the_applied_row_is_what_the_last_finish_before_the_save_said),
        cmocka_unit_test(what_was_not_saved_is_read_but_not_in_the_table),
        cmocka_unit_test(a_row_that_changes_often_is_written_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
