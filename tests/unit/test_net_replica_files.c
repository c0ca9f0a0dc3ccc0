/* What a replica has on the disk: installed, deleted or lost, all of it is told from half of it at the next open. */
#include "tests/unit/unit.h"

#include "net/replica_files.h"
#include "store/smallfile.h"
#include "tests/unit/store_dir.h"

/* One replica's files on the real disk; a "crash" is a close (what must be durable by then was synced by the calls). */
struct disk {
    struct vfs *vfs;
    struct table_rocks_shared *shared;
    struct replica_files files;
    struct buf why;
};

static void files_init(struct disk *d)
{
    d->files = (struct replica_files){.vfs = d->vfs, .shared = d->shared, .identity = {1, 2, 3, 4}, .blank = true};
    snprintf(d->files.dir, sizeof(d->files.dir), "%s", in_store_dir("replicas/2-3-4"));
}

static int setup(void **state)
{
    struct disk *d = mem_zalloc(sizeof(*d));
    assert_int_equal(store_dir_make(NULL), 0);
    d->vfs = vfs_posix_new();
    d->shared = table_rocks_shared_new(8u << 20, 0);
    assert_int_equal(replica_files_prepare(d->vfs, in_store_dir("replicas"), &d->why), RGKV_OK);
    files_init(d);
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    struct disk *d = *state;
    replica_files_close(&d->files);
    table_rocks_shared_free(d->shared);
    vfs_posix_free(d->vfs);
    buf_release(&d->why);
    mem_free(d);
    return store_dir_remove(NULL);
}

static void open_again(struct disk *d, struct wal_recovered *ret_r)
{
    struct wal_recovered r = {0};
    replica_files_close(&d->files);
    files_init(d);
    enum rgkv_err err = replica_files_open(&d->files, &r, &d->why);
    if (err)
        fail_msg("%.*s", (int)d->why.len, (const char *)d->why.data);
    if (ret_r)
        *ret_r = r;
    else
        wal_recovered_release(&r);
}

static void table_set(struct table *t, const char *value)
{
    struct table_change c = {.kind = TABLE_PUT, .key = bytes_str("k"), .value = bytes_str(value)};
    assert_int_equal(table_write(t, &c, 1), RGKV_OK);
}

static void table_holds(struct table *t, const char *value)
{
    struct buf out = {0};
    assert_int_equal(table_get(t, NULL, bytes_str("k"), &out), value ? RGKV_OK : RGKV_NOT_FOUND);
    assert_true(bytes_eq(buf_bytes(&out), bytes_str(value ? value : "")));
    buf_release(&out);
}

static void log_entries(struct disk *d, uint64_t first, unsigned n)
{
    struct wal_batch b = {0};
    for (unsigned i = 0; i < n; i++) {
        struct raft_entry e = {.index = first + i, .term = 1, .kind = RAFT_NOOP};
        wal_batch_add(&b, &e, 1, NULL, true);
    }
    struct raft_hard_state hard = {.term = 1, .vote = 4, .commit = first};
    wal_batch_add(&b, NULL, 0, &hard, true);
    assert_int_equal(wal_commit(d->files.wal, &b), RGKV_OK);
    wal_batch_release(&b);
}

static bool exists(struct disk *d, const char *name)
{
    struct buf names = {0};
    bool there = d->vfs->ops->list(d->vfs, in_store_dir(name), &names) == RGKV_OK;
    buf_release(&names);
    return there;
}

/* Five entries in the log, a table, and a snapshot that is about to take its place. */
static void with_incoming(struct disk *d)
{
    open_again(d, NULL);
    log_entries(d, 1, 5);
    table_set(d->files.table, "old");
    assert_int_equal(replica_files_incoming(&d->files, &d->why), RGKV_OK);
    table_set(d->files.incoming, "new");
}

static void log_and_flushed_table_come_back_at_the_next_open(void **state)
{
    struct disk *d = *state;
    struct wal_recovered r;
    open_again(d, NULL);
    log_entries(d, 1, 5);
    table_set(d->files.table, "flushed");
    assert_int_equal(table_rocks_flush(d->files.table), RGKV_OK);
    open_again(d, &r);
    table_holds(d->files.table, "flushed");
    assert_int_equal(r.n_entries, 5);
    assert_int_equal(r.hard_state.vote, 4);
    wal_recovered_release(&r);
}

static void an_installed_snapshot_is_the_table_and_the_log_begins_after_it(void **state)
{
    struct disk *d = *state;
    struct wal_recovered r;
    with_incoming(d);
    assert_int_equal(replica_files_install(&d->files, 100, 2, &d->why), RGKV_OK);
    table_holds(d->files.old, "old"); /* whoever used it may go on */
    table_holds(d->files.table, "new");
    assert_int_equal(replica_files_retire(&d->files, &d->why), RGKV_OK);
    assert_false(exists(d, "replicas/2-3-4/table.1"));
    open_again(d, &r);
    table_holds(d->files.table, "new");
    assert_int_equal(r.compacted_index, 100);
    assert_int_equal(r.compacted_term, 2);
    assert_int_equal(r.n_entries, 0);
    assert_int_equal(r.hard_state.vote, 4);
    wal_recovered_release(&r);
}

static const struct vfs_ops *real;

/* A disk on which files can be made, but not filled any more. */
static enum rgkv_err no_append(struct vfs_file *f, struct bytes data) { return RGKV_NO_SPACE; }
static enum rgkv_err no_preallocate(struct vfs_file *f, uint64_t len) { return RGKV_NO_SPACE; }

static void a_full_disk_holds_an_installation_up_and_it_goes_on_where_it_was(void **state)
{
    struct disk *d = *state;
    const struct vfs_ops *ops = d->vfs->ops;
    struct vfs_ops full = *ops;
    struct wal_recovered r;
    with_incoming(d);
    full.append = no_append;
    d->vfs->ops = &full;
    assert_int_equal(replica_files_install(&d->files, 100, 2, &d->why), RGKV_NO_SPACE); /* no pointer */
    assert_null(d->files.old);
    full.append = ops->append;
    full.preallocate = no_preallocate;
    assert_int_equal(replica_files_install(&d->files, 100, 2, &d->why), RGKV_NO_SPACE); /* no log */
    assert_int_equal(replica_files_install(&d->files, 100, 2, &d->why), RGKV_NO_SPACE);
    d->vfs->ops = ops;
    assert_int_equal(replica_files_install(&d->files, 100, 2, &d->why), RGKV_OK);
    table_holds(d->files.table, "new");
    log_entries(d, 101, 1);
    assert_int_equal(replica_files_retire(&d->files, &d->why), RGKV_OK);
    open_again(d, &r);
    table_holds(d->files.table, "new");
    assert_int_equal(r.compacted_index, 100);
    assert_int_equal(r.n_entries, 1);
    wal_recovered_release(&r);
}

static struct disk *full_disk;
static enum rgkv_err no_preallocate_beside_the_old_table(struct vfs_file *f, uint64_t len)
{
    return exists(full_disk, "replicas/2-3-4/table.1") ? RGKV_NO_SPACE : real->preallocate(f, len);
}

/* The table that was replaced is as large as what the disk lacks. */
static void a_full_disk_gets_the_space_of_the_replaced_table_for_the_log(void **state)
{
    struct disk *d = *state;
    struct wal_recovered r;
    struct vfs_ops ops;
    with_incoming(d);
    full_disk = d;
    real = d->vfs->ops;
    ops = *real;
    ops.preallocate = no_preallocate_beside_the_old_table;
    d->vfs->ops = &ops;
    assert_int_equal(replica_files_install(&d->files, 100, 2, &d->why), RGKV_OK);
    d->vfs->ops = real;
    table_holds(d->files.table, "new");
    assert_int_equal(replica_files_retire(&d->files, &d->why), RGKV_OK);
    open_again(d, &r);
    table_holds(d->files.table, "new");
    assert_int_equal(r.compacted_index, 100);
    wal_recovered_release(&r);
}

static void a_snapshot_that_was_not_installed_is_gone_after_a_crash(void **state)
{
    struct disk *d = *state;
    open_again(d, NULL);
    table_set(d->files.table, "old");
    assert_int_equal(table_rocks_flush(d->files.table), RGKV_OK);
    assert_int_equal(replica_files_incoming(&d->files, &d->why), RGKV_OK);
    table_set(d->files.incoming, "half");
    assert_int_equal(table_rocks_flush(d->files.incoming), RGKV_OK);
    open_again(d, NULL);
    table_holds(d->files.table, "old");
    assert_false(exists(d, "replicas/2-3-4/table.2"));
}

/* B26: the pointer is replaced, the log is not reset yet. */
static void a_crash_between_table_and_log_leaves_the_new_table_with_the_old_log(void **state)
{
    struct disk *d = *state;
    struct wal_recovered r;
    struct buf two = {0};
    with_incoming(d);
    assert_int_equal(table_rocks_flush(d->files.incoming), RGKV_OK);
    buf_put_le64(&two, 2);
    assert_int_equal(small_file_write(d->vfs, in_store_dir("replicas/2-3-4/current"), buf_bytes(&two), &d->why), RGKV_OK);
    open_again(d, &r);
    table_holds(d->files.table, "new");
    assert_int_equal(r.n_entries, 5); /* the node compares with the table's row and asks for a reset */
    assert_false(exists(d, "replicas/2-3-4/table.1"));
    wal_recovered_release(&r);
    buf_release(&two);
}

static bool dir_synced;
static enum rgkv_err note_sync(struct vfs *v, const char *dir)
{
    dir_synced |= strcmp(dir, in_store_dir("replicas/2-3-4")) == 0;
    return real->sync_dir(v, dir);
}
static enum rgkv_err remove_later(struct vfs *v, const char *path)
{
    assert_true(dir_synced);
    return real->remove_tree(v, path);
}

/* Who replaced the pointer may have been killed before that was durable: a power cut may still show the old one. */
static void the_table_before_goes_only_when_the_pointer_to_the_new_one_is_durable(void **state)
{
    struct disk *d = *state;
    struct vfs_ops ops;
    struct buf two = {0};
    with_incoming(d);
    assert_int_equal(table_rocks_flush(d->files.incoming), RGKV_OK);
    buf_put_le64(&two, 2);
    assert_int_equal(small_file_write(d->vfs, in_store_dir("replicas/2-3-4/current"), buf_bytes(&two), &d->why), RGKV_OK);
    buf_release(&two);
    real = d->vfs->ops;
    ops = *real;
    ops.sync_dir = note_sync;
    ops.remove_tree = remove_later;
    dir_synced = false;
    d->vfs->ops = &ops;
    open_again(d, NULL);
    d->vfs->ops = real;
    assert_true(dir_synced);
    assert_false(exists(d, "replicas/2-3-4/table.1"));
}

static void a_second_snapshot_replaces_the_first_one_that_was_not_finished(void **state)
{
    struct disk *d = *state;
    open_again(d, NULL);
    assert_int_equal(replica_files_incoming(&d->files, &d->why), RGKV_OK);
    table_set(d->files.incoming, "first");
    assert_int_equal(replica_files_incoming(&d->files, &d->why), RGKV_OK);
    table_holds(d->files.incoming, NULL);
    table_set(d->files.incoming, "second");
    assert_int_equal(replica_files_install(&d->files, 7, 1, &d->why), RGKV_OK);
    assert_int_equal(replica_files_retire(&d->files, &d->why), RGKV_OK);
    open_again(d, NULL);
    table_holds(d->files.table, "second");
}

static void a_deleted_replica_is_gone_and_may_be_deleted_again(void **state)
{
    struct disk *d = *state;
    open_again(d, NULL);
    log_entries(d, 1, 5);
    assert_int_equal(replica_files_delete(&d->files, &d->why), RGKV_OK);
    assert_false(exists(d, "replicas/2-3-4"));
    assert_false(exists(d, "replicas/2-3-4.dead"));
    assert_int_equal(replica_files_delete(&d->files, &d->why), RGKV_OK);
}

static void half_of_a_deleted_replica_is_cleared_away_at_the_next_start(void **state)
{
    struct disk *d = *state;
    open_again(d, NULL);
    replica_files_close(&d->files);
    assert_int_equal(d->vfs->ops->rename(d->vfs, in_store_dir("replicas/2-3-4"), in_store_dir("replicas/2-3-4.dead")), RGKV_OK);
    assert_int_equal(replica_files_prepare(d->vfs, in_store_dir("replicas"), &d->why), RGKV_OK);
    assert_false(exists(d, "replicas/2-3-4.dead"));
}

static void P1_a_log_that_was_lost_is_lost_at_every_start(void **state)
{
    struct disk *d = *state;
    struct wal_recovered r = {0};
    open_again(d, NULL);
    log_entries(d, 1, 3);
    replica_files_close(&d->files);
    assert_int_equal(d->vfs->ops->remove_tree(d->vfs, in_store_dir("replicas/2-3-4/wal")), RGKV_OK);
    for (unsigned start = 0; start < 3; start++) {
        files_init(d);
        d->files.blank = false;
        assert_int_equal(replica_files_open(&d->files, &r, &d->why), RGKV_OK);
        assert_true(r.created && !d->files.wal && !d->files.table);
        replica_files_close(&d->files);
    }
    assert_int_equal(replica_files_delete(&d->files, &d->why), RGKV_OK);
    assert_false(exists(d, "replicas/2-3-4"));
}

static void a_log_of_another_member_is_refused_with_a_sentence(void **state)
{
    struct disk *d = *state;
    struct wal_recovered r = {0};
    open_again(d, NULL);
    log_entries(d, 1, 1);
    replica_files_close(&d->files);
    d->files.identity.member = 5;
    assert_int_equal(replica_files_open(&d->files, &r, &d->why), RGKV_CONFLICT);
    assert_true(d->why.len > 10);
    assert_null(d->files.wal);
}

static void a_damaged_pointer_is_told_and_nothing_is_opened(void **state)
{
    struct disk *d = *state;
    struct wal_recovered r = {0};
    open_again(d, NULL);
    replica_files_close(&d->files);
    assert_int_equal(small_file_write(d->vfs, in_store_dir("replicas/2-3-4/current"), bytes_str("abc"), &d->why), RGKV_OK);
    assert_int_equal(replica_files_open(&d->files, &r, &d->why), RGKV_DAMAGED);
    assert_non_null(memmem(d->why.data, d->why.len, "current", 7));
    assert_true(exists(d, "replicas/2-3-4/table.1"));
}

static void a_lost_pointer_is_told_and_the_table_that_it_named_is_not_removed(void **state)
{
    struct disk *d = *state;
    struct wal_recovered r = {0};
    open_again(d, NULL);
    assert_int_equal(replica_files_incoming(&d->files, &d->why), RGKV_OK);
    table_set(d->files.incoming, "new");
    assert_int_equal(replica_files_install(&d->files, 7, 1, &d->why), RGKV_OK);
    assert_int_equal(replica_files_retire(&d->files, &d->why), RGKV_OK);
    replica_files_close(&d->files);
    assert_int_equal(d->vfs->ops->unlink(d->vfs, in_store_dir("replicas/2-3-4/current")), RGKV_OK);
    assert_int_equal(replica_files_open(&d->files, &r, &d->why), RGKV_DAMAGED);
    assert_non_null(memmem(d->why.data, d->why.len, "current", 7));
    assert_true(exists(d, "replicas/2-3-4/table.2"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(log_and_flushed_table_come_back_at_the_next_open),
        T(an_installed_snapshot_is_the_table_and_the_log_begins_after_it),
        T(a_full_disk_holds_an_installation_up_and_it_goes_on_where_it_was),
        T(a_full_disk_gets_the_space_of_the_replaced_table_for_the_log),
        T(a_snapshot_that_was_not_installed_is_gone_after_a_crash),
        T(a_lost_pointer_is_told_and_the_table_that_it_named_is_not_removed),
        T(a_crash_between_table_and_log_leaves_the_new_table_with_the_old_log),
        T(the_table_before_goes_only_when_the_pointer_to_the_new_one_is_durable),
        T(a_second_snapshot_replaces_the_first_one_that_was_not_finished),
        T(a_deleted_replica_is_gone_and_may_be_deleted_again),
        T(half_of_a_deleted_replica_is_cleared_away_at_the_next_start),
        T(P1_a_log_that_was_lost_is_lost_at_every_start),
        T(a_log_of_another_member_is_refused_with_a_sentence),
        T(a_damaged_pointer_is_told_and_nothing_is_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
