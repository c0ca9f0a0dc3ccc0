/* The write-ahead log, on a disk in memory: what is written comes back; what is damaged is told from what is torn. */
#include <stdio.h>

#include "tests/unit/wal_world.h"

#define SECOND_SEGMENT DIR "/0000000000000002.wal"

static enum rgkv_err append(struct world *w, uint64_t index, unsigned n, uint64_t term)
{
    struct wal_batch b = {0};
    struct wal_model before = {0};
    wal_model_copy(&before, &w->model);
    struct raft_hard_state h = {.term = term, .vote = 3, .commit = index - 1};
    wal_batch_add(&b, NULL, 0, &h, true);
    wal_model_append(&w->model, &b, index, n, term);
    w->model.hard_state = h;
    enum rgkv_err err = wal_commit(w->wal, &b);
    if (err) {
        wal_model_release(&w->model);
        w->model = before;
    } else {
        wal_model_release(&before);
    }
    wal_batch_release(&b);
    return err;
}

static enum rgkv_err vote(struct world *w, uint64_t term, uint64_t candidate)
{
    struct wal_batch b = {0};
    struct raft_hard_state h = w->model.hard_state;
    h.term = term;
    h.vote = candidate;
    wal_batch_add(&b, NULL, 0, &h, true);
    enum rgkv_err err = wal_commit(w->wal, &b);
    if (!err)
        w->model.hard_state = h;
    wal_batch_release(&b);
    return err;
}

static void must(enum rgkv_err err) { assert_int_equal(err, RGKV_OK); }
static uint64_t next_index(const struct world *w) { return wal_model_last(&w->model) + 1; }

static struct buf content_of(struct vfs *v, const char *path)
{
    struct buf b = {0};
    struct vfs_file *f;
    must(v->ops->open(v, path, false, &f));
    must(v->ops->read(f, 0, v->ops->size(f), &b));
    v->ops->close(f);
    return b;
}

static void replace(struct vfs *v, const char *path, struct bytes content)
{
    struct vfs_file *f;
    must(vfs_create_over(v, path, &f));
    must(v->ops->append(f, content));
    v->ops->close(f);
}

static bool exists(struct vfs *v, const char *path)
{
    struct vfs_file *f;
    if (v->ops->open(v, path, false, &f))
        return false;
    v->ops->close(f);
    return true;
}

static void an_empty_directory_is_an_empty_log(void **state)
{
    struct world *w = *state;
    reopen(w);
    assert_int_equal(w->recovered.n_entries, 0);
    assert_int_equal(w->recovered.compacted_index, 0);
    reopen(w);
    assert_int_equal(w->recovered.n_entries, 0);
}

static void entries_and_hard_state_come_back_after_a_restart(void **state)
{
    struct world *w = *state;
    reopen(w);
    for (unsigned i = 0; i < 20; i++)
        must(append(w, next_index(w), 1 + i % 5, 1 + i / 4));
    must(vote(w, 9, 42));
    reopen(w);
    assert_true(wal_model_matches(&w->model, &w->recovered));
    must(append(w, next_index(w), 3, 9));
    reopen(w);
    assert_true(wal_model_matches(&w->model, &w->recovered));
}

static void a_no_op_has_no_payload(void **state)
{
    struct world *w = *state;
    struct wal_batch b = {0};
    struct raft_entry e = {.index = 1, .term = 1, .kind = RAFT_NOOP};
    reopen(w);
    wal_batch_add(&b, &e, 1, NULL, true);
    must(wal_commit(w->wal, &b));
    wal_batch_release(&b);
    reopen(w);
    assert_int_equal(w->recovered.n_entries, 1);
    assert_null(w->recovered.entries[0].payload);
    assert_int_equal(w->recovered.entries[0].kind, RAFT_NOOP);
}

static void later_entries_replace_all_from_their_index_on(void **state)
{
    struct world *w = *state;
    reopen(w);
    must(append(w, 1, 50, 1));
    must(append(w, 11, 2, 2));
    reopen(w);
    assert_int_equal(w->recovered.n_entries, 12);
    assert_true(wal_model_matches(&w->model, &w->recovered));
}

static void one_batch_may_truncate_what_it_began_with(void **state)
{
    struct world *w = *state;
    struct wal_batch b = {0};
    reopen(w);
    wal_model_append(&w->model, &b, 1, 5, 1);
    wal_model_append(&w->model, &b, 3, 1, 2);
    must(wal_commit(w->wal, &b));
    wal_batch_release(&b);
    reopen(w);
    assert_int_equal(w->recovered.n_entries, 3);
    assert_true(wal_model_is_prefix(&w->model, &w->recovered));
}

static void B21_a_batch_that_replaces_its_own_beginning_may_begin_a_segment(void **state)
{
    struct world *w = *state;
    struct wal_batch b = {0};
    w->options.segment_bytes = 1024;
    reopen(w);
    for (unsigned i = 0; i < 30; i++)
        must(append(w, next_index(w), 4, 1));
    uint64_t next = next_index(w);
    wal_model_append(&w->model, &b, next, 5, 1);
    wal_model_append(&w->model, &b, next - 60, 3, 2); /* before the newest segment */
    must(wal_commit(w->wal, &b));
    wal_batch_release(&b);
    reopen(w);
    assert_true(wal_model_is_prefix(&w->model, &w->recovered));
    assert_int_equal(w->recovered.n_entries, next - 60 + 2);
}

static void B21_a_truncation_across_segments_holds_after_a_restart(void **state)
{
    struct world *w = *state;
    w->options.segment_bytes = 1024;
    reopen(w);
    for (unsigned i = 0; i < 30; i++)
        must(append(w, next_index(w), 4, 1));
    assert_true(exists(w->vfs, SECOND_SEGMENT));
    must(append(w, 7, 3, 2));
    reopen(w);
    assert_int_equal(w->recovered.n_entries, 9);
    assert_true(wal_model_matches(&w->model, &w->recovered));
    must(append(w, 1, 1, 3));
    must(append(w, 2, 40, 3));
    reopen(w);
    assert_true(wal_model_matches(&w->model, &w->recovered));
}

static void compaction_deletes_segments_and_keeps_what_follows(void **state)
{
    struct world *w = *state;
    w->options.segment_bytes = 2048;
    reopen(w);
    for (unsigned i = 0; i < 60; i++)
        must(append(w, next_index(w), 2, 1 + i / 10));
    uint64_t before = wal_bytes(w->wal);
    must(wal_compact(w->wal, 100, NULL));
    assert_true(wal_bytes(w->wal) < before / 2);
    assert_false(exists(w->vfs, FIRST_SEGMENT));
    reopen(w);
    assert_true(w->recovered.compacted_index > 0 && w->recovered.compacted_index <= 100);
    assert_true(wal_model_matches(&w->model, &w->recovered));
    must(append(w, next_index(w), 2, 9));
    reopen(w);
    assert_true(wal_model_matches(&w->model, &w->recovered));
}

/* Commits go on meanwhile, and if nobody comes to unlinking them, the next start does. */
static void files_that_are_not_needed_any_more_may_be_unlinked_later(void **state)
{
    struct world *w = *state;
    struct buf names = {0};
    w->options.segment_bytes = 2048;
    reopen(w);
    for (unsigned i = 0; i < 60; i++)
        must(append(w, next_index(w), 2, 1 + i / 10));
    uint64_t before = wal_bytes(w->wal);
    must(wal_compact(w->wal, 60, &names));
    assert_true(wal_bytes(w->wal) < before);
    assert_true(exists(w->vfs, FIRST_SEGMENT));
    must(append(w, next_index(w), 2, 9));
    wal_unlink(w->vfs, buf_bytes(&names));
    assert_false(exists(w->vfs, FIRST_SEGMENT));
    buf_clear(&names);
    must(wal_compact(w->wal, 100, &names));
    char first[256];
    snprintf(first, sizeof(first), "%s", (const char *)names.data);
    assert_true(exists(w->vfs, first));
    reopen(w);
    assert_false(exists(w->vfs, first));
    assert_true(w->recovered.compacted_index > 60 && w->recovered.compacted_index <= 100);
    assert_true(wal_model_matches(&w->model, &w->recovered));
    buf_release(&names);
}

static void P7_a_log_compacted_to_its_end_still_knows_term_and_vote(void **state)
{
    struct world *w = *state;
    reopen(w);
    must(append(w, 1, 10, 4));
    must(vote(w, 6, 8));
    must(wal_compact(w->wal, 10, NULL));
    assert_true(wal_bytes(w->wal) == WAL_SEGMENT_HEADER_BYTES);
    must(wal_compact(w->wal, 10, NULL));
    reopen(w);
    assert_int_equal(w->recovered.compacted_index, 10);
    assert_int_equal(w->recovered.compacted_term, 4);
    assert_int_equal(w->recovered.hard_state.term, 6);
    assert_int_equal(w->recovered.hard_state.vote, 8);
}

static void a_reset_log_begins_after_the_snapshot_and_keeps_term_and_vote(void **state)
{
    struct world *w = *state;
    reopen(w);
    must(append(w, 1, 10, 4));
    must(wal_reset(w->wal, 500, 7));
    wal_model_reset(&w->model, 500, 7);
    reopen(w);
    assert_int_equal(w->recovered.compacted_index, 500);
    assert_int_equal(w->recovered.compacted_term, 7);
    assert_int_equal(w->recovered.hard_state.commit, 500);
    assert_int_equal(w->recovered.hard_state.vote, 3);
    must(append(w, 501, 3, 7));
    reopen(w);
    assert_true(wal_model_matches(&w->model, &w->recovered));
    must(wal_reset(w->wal, 2, 1));
    wal_model_reset(&w->model, 2, 1);
    reopen(w);
    assert_true(wal_model_matches(&w->model, &w->recovered));
}

static void commit_alone_costs_no_sync_and_travels_with_the_next_batch(void **state)
{
    struct world *w = *state;
    struct wal_batch b = {0};
    reopen(w);
    must(append(w, 1, 10, 1));
    uint64_t syncs = vfs_mem_syncs(w->vfs);
    w->model.hard_state.commit = 9;
    wal_batch_add(&b, NULL, 0, &w->model.hard_state, false);
    must(wal_commit(w->wal, &b));
    assert_int_equal(vfs_mem_syncs(w->vfs), syncs);
    wal_batch_clear(&b);
    wal_model_append(&w->model, &b, 11, 1, 1);
    must(wal_commit(w->wal, &b));
    assert_int_equal(vfs_mem_syncs(w->vfs), syncs + 1);
    wal_batch_release(&b);
    reopen(w);
    assert_int_equal(w->recovered.hard_state.commit, 9);
    assert_true(wal_model_matches(&w->model, &w->recovered));
}

static void P3_the_log_of_another_replica_is_refused_with_a_sentence(void **state)
{
    struct world *w = *state;
    reopen(w);
    must(append(w, 1, 1, 1));
    struct wal_identity others[4] = {identity, identity, identity, identity};
    others[0].cluster++;
    others[1].group++;
    others[2].incarnation++;
    others[3].member++;
    for (unsigned i = 0; i < 4; i++) {
        struct wal *wal = NULL;
        struct wal_recovered r;
        buf_clear(&w->why);
        assert_int_equal(wal_open(w->vfs, DIR, &others[i], NULL, &wal, &r, &w->why), RGKV_CONFLICT);
        assert_null(wal);
        assert_true(w->why.len > 0 && strstr((char *)w->why.data, FIRST_SEGMENT) && strstr((char *)w->why.data, "belongs to cluster"));
    }
}

/* Damage */

static void B16_cut_at_any_byte_the_log_is_a_prefix(void **state)
{
    struct world *w = *state;
    reopen(w);
    for (unsigned i = 0; i < 6; i++)
        must(append(w, i < 4 ? next_index(w) : 5, 1 + i % 3, 1 + i));
    struct buf whole = content_of(w->vfs, FIRST_SEGMENT);
    unsigned entries = 0;
    for (size_t len = WAL_SEGMENT_HEADER_BYTES; len <= whole.len; len++) {
        replace(w->vfs, FIRST_SEGMENT, bytes_first(buf_bytes(&whole), len));
        reopen(w);
        entries = w->recovered.n_entries;
        for (unsigned i = 0; i < w->recovered.n_entries; i++) {
            const struct raft_entry *e = &w->recovered.entries[i];
            struct blob *payload = wal_model_payload(e->index, e->term);
            assert_true(bytes_eq(blob_bytes(payload), blob_bytes(e->payload)));
            blob_unref(payload);
        }
    }
    assert_int_equal(entries, wal_model_last(&w->model));
    assert_true(wal_model_matches(&w->model, &w->recovered));
    for (size_t len = 0; len < WAL_SEGMENT_HEADER_BYTES; len++) {
        replace(w->vfs, FIRST_SEGMENT, bytes_first(buf_bytes(&whole), len));
        assert_int_equal(open_log(w), RGKV_DAMAGED);
    }
    buf_release(&whole);
}

static void B16_zeros_after_any_byte_are_a_torn_tail_and_the_log_goes_on(void **state)
{
    struct world *w = *state;
    reopen(w);
    must(append(w, 1, 3, 1));
    uint64_t start = wal_bytes(w->wal);
    must(append(w, 4, 2, 1));
    struct buf whole = content_of(w->vfs, FIRST_SEGMENT);
    for (size_t at = start; at < whole.len; at += 3) {
        struct buf torn = {0};
        buf_put(&torn, buf_bytes(&whole));
        memset(torn.data + at, 0, torn.len - at);
        memset(buf_grow(&torn, 5000), 0, 5000);
        replace(w->vfs, FIRST_SEGMENT, buf_bytes(&torn));
        reopen(w);
        assert_in_range(w->recovered.n_entries, 3, 5);
        w->model.n = w->recovered.n_entries;
        must(append(w, next_index(w), 1, 8));
        reopen(w);
        assert_true(wal_model_matches(&w->model, &w->recovered));
        assert_int_equal(w->recovered.torn_bytes, 0);
        buf_release(&torn);
        w->model.n = 3;
        wal_model_put(&w->model, 4, 1);
        wal_model_put(&w->model, 5, 1);
    }
    buf_release(&whole);
}

/* Each bit of a log of several batches. The last batch may be taken for torn; everything else must be refused. */
static void B17_a_flipped_bit_is_refused_or_in_the_last_batch(void **state)
{
    struct world *w = *state;
    reopen(w);
    must(append(w, 1, 3, 1));
    must(append(w, 4, 2, 1));
    uint64_t last_batch = wal_bytes(w->wal);
    must(append(w, 6, 2, 2));
    uint64_t end = wal_bytes(w->wal);
    unsigned torn = 0;
    for (uint64_t at = 0; at < end; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            wal_close(w->wal);
            w->wal = NULL;
            struct buf whole = content_of(w->vfs, FIRST_SEGMENT);
            assert_true(vfs_mem_corrupt(w->vfs, FIRST_SEGMENT, at, bit));
            enum rgkv_err err = open_log(w);
            assert_int_equal(err, at < last_batch ? RGKV_DAMAGED : RGKV_OK);
            if (!err) {
                assert_int_equal(w->recovered.n_entries, 5);
                assert_true(w->recovered.torn_bytes > 0);
                assert_true(wal_model_is_prefix(&w->model, &w->recovered));
                torn++;
            } else {
                assert_non_null(strstr((char *)w->why.data, "is damaged at offset"));
                assert_non_null(strstr((char *)w->why.data, "FAILURES in rgkvd"));
            }
            replace(w->vfs, FIRST_SEGMENT, buf_bytes(&whole));
            buf_release(&whole);
        }
    }
    assert_int_equal(torn, (end - last_batch) * 8);
}

static void B17_damage_in_a_segment_that_is_not_the_newest_is_never_a_torn_tail(void **state)
{
    struct world *w = *state;
    w->options.segment_bytes = 700;
    reopen(w);
    while (!exists(w->vfs, SECOND_SEGMENT))
        must(append(w, next_index(w), 2, 1));
    struct buf first = content_of(w->vfs, FIRST_SEGMENT);
    for (uint64_t at = 0; at < first.len; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            assert_true(vfs_mem_corrupt(w->vfs, FIRST_SEGMENT, at, bit));
            assert_int_equal(open_log(w), RGKV_DAMAGED);
            assert_true(vfs_mem_corrupt(w->vfs, FIRST_SEGMENT, at, bit));
        }
        replace(w->vfs, FIRST_SEGMENT, bytes_first(buf_bytes(&first), at));
        assert_int_equal(open_log(w), RGKV_DAMAGED);
        replace(w->vfs, FIRST_SEGMENT, buf_bytes(&first));
    }
    buf_release(&first);
    reopen(w);
    assert_true(wal_model_matches(&w->model, &w->recovered));
}

/* No entry is missing then, but a promise. */
static void B14_a_vote_cut_off_the_end_of_an_older_segment_is_damage(void **state)
{
    struct world *w = *state;
    w->options.segment_bytes = 2000;
    reopen(w);
    must(append(w, 1, 2, 1));
    uint64_t before = wal_bytes(w->wal);
    must(vote(w, 5, 6));
    while (!exists(w->vfs, SECOND_SEGMENT))
        must(vote(w, w->model.hard_state.term + 1, 1));
    struct buf first = content_of(w->vfs, FIRST_SEGMENT);
    for (uint64_t end = before; end < first.len; end += WAL_BATCH_HEADER_BYTES) {
        replace(w->vfs, FIRST_SEGMENT, bytes_first(buf_bytes(&first), end));
        assert_int_equal(open_log(w), RGKV_DAMAGED);
    }
    replace(w->vfs, FIRST_SEGMENT, buf_bytes(&first));
    reopen(w);
    assert_true(wal_model_matches(&w->model, &w->recovered));
    buf_release(&first);
}

static void a_missing_segment_is_damage(void **state)
{
    struct world *w = *state;
    w->options.segment_bytes = 600;
    reopen(w);
    for (unsigned i = 0; i < 20; i++)
        must(append(w, next_index(w), 2, 1));
    struct buf second = content_of(w->vfs, SECOND_SEGMENT);
    must(w->vfs->ops->unlink(w->vfs, SECOND_SEGMENT));
    assert_int_equal(open_log(w), RGKV_DAMAGED);
    assert_non_null(strstr((char *)w->why.data, SECOND_SEGMENT " is missing"));
    replace(w->vfs, SECOND_SEGMENT, buf_bytes(&second));
    reopen(w);
    must(w->vfs->ops->unlink(w->vfs, FIRST_SEGMENT));
    assert_int_equal(open_log(w), RGKV_DAMAGED);
    buf_release(&second);
}

static void segments_that_a_compaction_left_behind_are_not_read(void **state)
{
    struct world *w = *state;
    w->options.segment_bytes = 600;
    reopen(w);
    for (unsigned i = 0; i < 20; i++)
        must(append(w, next_index(w), 2, 1));
    struct buf second = content_of(w->vfs, SECOND_SEGMENT);
    must(wal_compact(w->wal, 30, NULL));
    assert_false(exists(w->vfs, SECOND_SEGMENT));
    replace(w->vfs, SECOND_SEGMENT, buf_bytes(&second));
    reopen(w);
    assert_true(wal_model_matches(&w->model, &w->recovered));
    assert_false(exists(w->vfs, SECOND_SEGMENT));
    buf_release(&second);
}

/* The payload is a copy of a later part of this very log, at the place of a torn batch. */
static void a_copy_of_the_log_inside_a_value_is_no_later_batch(void **state)
{
    struct world *w = *state;
    reopen(w);
    for (unsigned i = 0; i < 4; i++)
        must(append(w, next_index(w), 1, 1));
    struct buf whole = content_of(w->vfs, FIRST_SEGMENT);
    must(w->vfs->ops->remove_tree(w->vfs, DIR));
    w->model.n = 0;
    reopen(w);
    must(append(w, 1, 1, 1));
    uint64_t start = wal_bytes(w->wal);
    struct wal_batch b = {0};
    struct raft_entry e = {.index = 2, .term = 1, .kind = RAFT_COMMAND, .payload = blob_new(buf_bytes(&whole))};
    wal_batch_add(&b, &e, 1, NULL, true);
    must(wal_commit(w->wal, &b));
    wal_batch_release(&b);
    blob_unref(e.payload);
    assert_true(vfs_mem_corrupt(w->vfs, FIRST_SEGMENT, start + 70, 1));
    reopen(w);
    assert_int_equal(w->recovered.n_entries, 1);
    assert_true(w->recovered.torn_bytes > 0);
    buf_release(&whole);
}

static void P22_lost_entries_that_were_recorded_as_committed_are_damage(void **state)
{
    struct world *w = *state;
    struct wal_batch b = {0};
    reopen(w);
    must(append(w, 1, 3, 1));
    /* two logs of the same replica mixed up: a newer segment claims a commit that the entries do not reach */
    struct raft_hard_state h = {.term = 1, .vote = 3, .commit = 90};
    wal_batch_add(&b, NULL, 0, &h, true);
    must(wal_commit(w->wal, &b));
    wal_batch_release(&b);
    reopen(w);
    assert_int_equal(w->recovered.hard_state.commit, 3); /* the log itself never records that */
    struct buf file = content_of(w->vfs, FIRST_SEGMENT);
    struct wal_segment_header header;
    struct buf forged = {0};
    uint64_t seed;
    must(wal_segment_header_decode(buf_bytes(&file), &header, &seed));
    header.hard_state.commit = 4;
    wal_segment_header_encode(&header, &forged);
    replace(w->vfs, FIRST_SEGMENT, buf_bytes(&forged));
    assert_int_equal(open_log(w), RGKV_DAMAGED);
    assert_non_null(strstr((char *)w->why.data, "recorded as committed"));
    buf_release(&file);
    buf_release(&forged);
}

static void a_log_of_a_newer_format_is_refused_with_a_sentence(void **state)
{
    struct world *w = *state;
    reopen(w);
    struct buf file = content_of(w->vfs, FIRST_SEGMENT);
    file.data[8]++;
    uint64_t hash = hash64(bytes_of(file.data, 120));
    for (unsigned i = 0; i < 8; i++)
        file.data[120 + i] = (uint8_t)(hash >> (8 * i));
    replace(w->vfs, FIRST_SEGMENT, buf_bytes(&file));
    assert_int_equal(open_log(w), RGKV_DAMAGED);
    assert_non_null(strstr((char *)w->why.data, "another version"));
    buf_release(&file);
}

/* Failing disks */

static void B19_after_a_failed_sync_the_log_refuses_everything(void **state)
{
    struct world *w = *state;
    reopen(w);
    must(append(w, 1, 3, 1));
    vfs_mem_fail(w->vfs, VFS_MEM_SYNC, 1, RGKV_IO);
    assert_int_equal(append(w, 4, 1, 1), RGKV_IO);
    assert_non_null(strstr(wal_error(w->wal), "cannot sync " FIRST_SEGMENT));
    assert_int_equal(append(w, 4, 1, 1), RGKV_IO);
    assert_int_equal(vote(w, 5, 5), RGKV_IO);
    assert_int_equal(wal_compact(w->wal, 3, NULL), RGKV_IO);
    assert_int_equal(wal_reset(w->wal, 3, 1), RGKV_IO);
}

static void B19_a_batch_that_only_the_page_cache_has_is_made_durable_by_the_next_start(void **state)
{
    struct world *w = *state;
    struct prng p;
    prng_init(&p, 1);
    reopen(w);
    for (unsigned round = 0; round < 30; round++) {
        vfs_mem_fail(w->vfs, VFS_MEM_SYNC, 1, RGKV_IO);
        assert_int_equal(append(w, next_index(w), 1, 1), RGKV_IO);
        vfs_mem_process_ended(w->vfs);
        reopen(w); /* reads the batch from the cache: from now on it counts as durable */
        unsigned n = w->recovered.n_entries;
        assert_int_equal(n, round + 1);
        vfs_mem_crash(w->vfs, &p);
        reopen(w);
        assert_int_equal(w->recovered.n_entries, n);
        wal_model_put(&w->model, n, 1);
    }
}

static void B20_a_full_disk_refuses_entries_takes_votes_and_goes_on_when_there_is_space(void **state)
{
    struct world *w = *state;
    w->options.segment_bytes = 1 << 20;
    for (unsigned grows = 0; grows < 2; grows++) {
        vfs_mem_preallocate_grows(w->vfs, grows);
        must(w->vfs->ops->remove_tree(w->vfs, DIR));
        w->model.n = 0;
        reopen(w);
        uint64_t first = next_index(w);
        vfs_mem_set_capacity(w->vfs, vfs_mem_used(w->vfs) + 4096);
        enum rgkv_err err;
        while (!(err = append(w, next_index(w), 100, 1)))
            ;
        assert_int_equal(err, RGKV_NO_SPACE);
        assert_true(next_index(w) > first);
        assert_non_null(strstr(wal_error(w->wal), "space"));
        for (unsigned i = 0; i < 100; i++)
            must(vote(w, 10 + i, i));
        reopen(w);
        assert_true(wal_model_matches(&w->model, &w->recovered));
        for (unsigned i = 0; i < 50; i++)
            must(vote(w, 200 + i, i));
        assert_int_equal(append(w, next_index(w), 2000, 1), RGKV_NO_SPACE);
        vfs_mem_set_capacity(w->vfs, 0);
        must(append(w, next_index(w), 2, 300));
        reopen(w);
        assert_true(wal_model_matches(&w->model, &w->recovered));
    }
}

static void B20_a_full_disk_can_be_compacted(void **state)
{
    struct world *w = *state;
    w->options.segment_bytes = 64 << 10;
    reopen(w);
    for (unsigned i = 0; i < 40; i++)
        must(append(w, next_index(w), 100, 1));
    vfs_mem_set_capacity(w->vfs, vfs_mem_used(w->vfs));
    while (!append(w, next_index(w), 100, 1))
        ;
    uint64_t middle = wal_model_last(&w->model) / 2;
    must(wal_compact(w->wal, middle, NULL));
    must(append(w, next_index(w), 100, 1));
    reopen(w);
    assert_true(wal_model_matches(&w->model, &w->recovered));
}

static void B20_a_write_that_ran_out_of_space_leaves_nothing_behind(void **state)
{
    struct world *w = *state;
    reopen(w);
    must(append(w, 1, 3, 1));
    for (unsigned i = 0; i < 5; i++) {
        vfs_mem_fail(w->vfs, VFS_MEM_WRITE, 1, RGKV_NO_SPACE);
        assert_int_equal(append(w, next_index(w), 20, 1), RGKV_NO_SPACE);
        must(append(w, next_index(w), 1, 1));
    }
    reopen(w);
    assert_int_equal(w->recovered.torn_bytes, 0);
    assert_true(wal_model_matches(&w->model, &w->recovered));
}

static void a_rotation_that_finds_no_space_changes_nothing(void **state)
{
    struct world *w = *state;
    w->options.segment_bytes = 600;
    reopen(w);
    must(append(w, 1, 6, 1));
    for (unsigned nth = 1; nth <= 3; nth++) {
        vfs_mem_fail(w->vfs, VFS_MEM_WRITE, nth, RGKV_NO_SPACE);
        enum rgkv_err err = append(w, next_index(w), 6, 1);
        assert_true(err == RGKV_OK || err == RGKV_NO_SPACE);
        must(append(w, next_index(w), 6, 1));
        vfs_mem_fail(w->vfs, VFS_MEM_WRITE, 1, RGKV_NO_SPACE);
        err = wal_reset(w->wal, 1000, 1); /* tried twice: the second succeeds */
        must(err);
        wal_model_reset(&w->model, 1000, 1);
        reopen(w);
        assert_true(wal_model_matches(&w->model, &w->recovered));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_directory_is_an_empty_log),
        TEST(entries_and_hard_state_come_back_after_a_restart),
        TEST(a_no_op_has_no_payload),
        TEST(later_entries_replace_all_from_their_index_on),
        TEST(one_batch_may_truncate_what_it_began_with),
        TEST(B21_a_batch_that_replaces_its_own_beginning_may_begin_a_segment),
        TEST(B21_a_truncation_across_segments_holds_after_a_restart),
        TEST(compaction_deletes_segments_and_keeps_what_follows),
        TEST(files_that_are_not_needed_any_more_may_be_unlinked_later),
        TEST(P7_a_log_compacted_to_its_end_still_knows_term_and_vote),
        TEST(a_reset_log_begins_after_the_snapshot_and_keeps_term_and_vote),
        TEST(commit_alone_costs_no_sync_and_travels_with_the_next_batch),
        TEST(P3_the_log_of_another_replica_is_refused_with_a_sentence),
        TEST(B16_cut_at_any_byte_the_log_is_a_prefix),
        TEST(B16_zeros_after_any_byte_are_a_torn_tail_and_the_log_goes_on),
        TEST(B17_a_flipped_bit_is_refused_or_in_the_last_batch),
        TEST(B17_damage_in_a_segment_that_is_not_the_newest_is_never_a_torn_tail),
        TEST(B14_a_vote_cut_off_the_end_of_an_older_segment_is_damage),
        TEST(a_missing_segment_is_damage),
        TEST(segments_that_a_compaction_left_behind_are_not_read),
        TEST(a_copy_of_the_log_inside_a_value_is_no_later_batch),
        TEST(P22_lost_entries_that_were_recorded_as_committed_are_damage),
        TEST(a_log_of_a_newer_format_is_refused_with_a_sentence),
        TEST(B19_after_a_failed_sync_the_log_refuses_everything),
        TEST(B19_a_batch_that_only_the_page_cache_has_is_made_durable_by_the_next_start),
        TEST(B20_a_full_disk_refuses_entries_takes_votes_and_goes_on_when_there_is_space),
        TEST(B20_a_full_disk_can_be_compacted),
        TEST(B20_a_write_that_ran_out_of_space_leaves_nothing_behind),
        TEST(a_rotation_that_finds_no_space_changes_nothing),
    };
    return cmocka_run_group_tests_name("wal", tests, NULL, NULL);
}
