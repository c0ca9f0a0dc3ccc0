/* Entries that are read from the log's files again: the ones that count, whatever was truncated before, and nothing that is damaged. */
#include "tests/unit/wal_world.h"

static void append(struct world *w, uint64_t index, unsigned n, uint64_t term)
{
    struct wal_batch b = {0};
    struct raft_hard_state h = {.term = term, .vote = 3, .commit = index - 1};
    wal_batch_add(&b, NULL, 0, &h, true);
    wal_model_append(&w->model, &b, index, n, term);
    w->model.hard_state = h;
    assert_int_equal(wal_commit(w->wal, &b), RGKV_OK);
    wal_batch_release(&b);
}

static uint64_t last(const struct world *w) { return wal_model_last(&w->model); }

/* Reads, compares with the model, and says how many there were. */
static unsigned read_right(struct world *w, uint64_t first, uint64_t until, uint64_t bytes_max, unsigned entries_max)
{
    struct raft_fetch what = {.first = first, .last = until, .bytes_max = bytes_max, .entries_max = entries_max};
    struct wal_range range;
    uint64_t bytes = 0;
    assert_int_equal(wal_read(w->wal, &what, &range), RGKV_OK);
    assert_int_equal(range.before_term, wal_model_term(&w->model, first - 1));
    assert_in_range(range.n, 1, MIN(entries_max, until - first + 1));
    for (unsigned i = 0; i < range.n; i++) {
        const struct raft_entry *e = &range.entries[i];
        struct blob *payload = wal_model_payload(e->index, e->term);
        assert_int_equal(e->index, first + i);
        assert_int_equal(e->term, wal_model_term(&w->model, e->index));
        assert_true(bytes_eq(blob_bytes(e->payload), blob_bytes(payload)));
        bytes += blob_bytes(payload).len;
        blob_unref(payload);
    }
    assert_true(range.n == 1 || bytes <= bytes_max);
    unsigned n = range.n;
    wal_range_release(&range);
    return n;
}

static void what_was_written_can_be_read_piece_by_piece(void **state)
{
    struct world *w = *state;
    w->options.segment_bytes = 4096;
    reopen(w);
    for (unsigned i = 0; i < 200; i++)
        append(w, last(w) + 1, 1 + i % 5, 1 + i / 20);
    unsigned pieces = 0;
    for (uint64_t at = 1; at <= last(w); pieces++)
        at += read_right(w, at, last(w), 500, 1000);
    assert_in_range(pieces, 10, last(w) / 2);
    assert_int_equal(read_right(w, 10, 12, 1000000, 1000), 3);
    assert_int_equal(read_right(w, 10, last(w), 1000000, 7), 7);
    assert_int_equal(read_right(w, 10, last(w), 0, 7), 1); /* one at least */
}

static void random_change(struct world *w, struct prng *p, uint64_t *term, uint64_t *committed)
{
    uint64_t kind = prng_below(p, 10), open = last(w) - *committed;
    if (kind == 0) {
        *term += 1;
        append(w, *committed + 1 + prng_below(p, open + 1), (unsigned)prng_between(p, 1, 6), *term); /* goes back: a new leader's */
    } else if (kind == 1) {
        *committed += prng_below(p, open + 1);
    } else if (kind == 2) {
        assert_int_equal(wal_compact(w->wal, *committed - prng_below(p, MIN(*committed, 200) + 1), NULL), RGKV_OK);
        reopen(w);
    } else {
        append(w, last(w) + 1, (unsigned)prng_between(p, 1, 20), *term);
    }
}

/* The log may begin anywhere up to where it was compacted. */
static uint64_t first_readable(const struct world *w) { return w->recovered.compacted_index - w->recovered.n_kept + 1; }

static void B21_what_took_the_place_of_truncated_entries_is_read(void **state)
{
    unsigned reads = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct prng p;
        uint64_t term = 1, committed = 0, next = 0;
        prng_init(&p, seed);
        tear_down(state);
        set_up(state);
        struct world *w = *state;
        w->options.segment_bytes = prng_between(&p, 600, 8000);
        w->options.wanted_after = UINT64_MAX;
        reopen(w);
        for (unsigned i = 0; i < 400; i++) {
            random_change(w, &p, &term, &committed);
            uint64_t from = first_readable(w);
            if (committed < from || prng_chance(&p, 1, 2))
                continue;
            /* Half of the time where the last one ended, as a reader does. */
            uint64_t first = next >= from && next <= committed && prng_chance(&p, 1, 2) ? next : prng_between(&p, from, committed);
            next = first + read_right(w, first, committed, prng_below(&p, 4000), (unsigned)prng_between(&p, 1, 50));
            reads++;
        }
    }
    print_message("%u reads\n", reads);
    assert_in_range(reads, 4000, 16000);
}

static void what_the_log_does_not_begin_with_any_more_is_not_found(void **state)
{
    struct world *w = *state;
    struct wal_range range;
    w->options.segment_bytes = 2048;
    reopen(w);
    for (unsigned i = 0; i < 60; i++)
        append(w, last(w) + 1, 2, 1);
    assert_int_equal(wal_compact(w->wal, 100, NULL), RGKV_OK);
    assert_int_equal(wal_read(w->wal, &(struct raft_fetch){.first = 1, .last = 50, .bytes_max = 100, .entries_max = 10}, &range), RGKV_NOT_FOUND);
    assert_int_equal(range.n, 0);
    read_right(w, 101, last(w), 1000, 10);
}

static void only_what_is_wanted_is_given_at_a_start_and_the_rest_can_be_read(void **state)
{
    struct world *w = *state;
    reopen(w);
    append(w, 1, 100, 1);
    append(w, 101, 100, 2);
    w->options.wanted_after = 150;
    reopen(w);
    assert_int_equal(w->recovered.n_entries, 50);
    assert_int_equal(w->recovered.entries[0].index, 151);
    assert_int_equal(w->recovered.compacted_index, 150);
    assert_int_equal(w->recovered.compacted_term, 2);
    assert_int_equal(w->recovered.n_kept, 150);
    assert_true(wal_model_matches(&w->model, &w->recovered));
    read_right(w, 1, 150, 1000000, 1000);
    w->options.wanted_after = 900; /* the table is ahead of its log */
    reopen(w);
    assert_int_equal(w->recovered.n_entries, 0);
    assert_int_equal(w->recovered.compacted_index, 200);
    append(w, 201, 1, 3);
    read_right(w, 190, 201, 1000000, 1000);
}

/* It is old, and the disk has lost it: who needs it hears so, with the place. What is written goes on being written. */
/* No leader writes such a log; a file may hold it. */
static void what_a_batch_has_beyond_the_end_of_the_log_is_passed_by(void **state)
{
    struct world *w = *state;
    reopen(w);
    append(w, 1, 2, 1);
    append(w, 1, 1, 1);
    assert_int_equal(read_right(w, 1, 1, UINT64_MAX, 10), 1);
}

static void damage_is_told_and_harms_nobody_else(void **state)
{
    struct world *w = *state;
    struct raft_fetch what = {.first = 1, .last = 30, .bytes_max = 1000000, .entries_max = 1000};
    struct vfs_file *f;
    struct wal_range range;
    reopen(w);
    append(w, 1, 10, 1);
    append(w, 11, 10, 1);
    uint64_t third = wal_bytes(w->wal);
    append(w, 21, 10, 1);
    assert_int_equal(w->vfs->ops->open(w->vfs, FIRST_SEGMENT, false, &f), RGKV_OK);
    assert_int_equal(w->vfs->ops->write_at(f, third + WAL_BATCH_HEADER_BYTES + 30, bytes_str("?")), RGKV_OK);
    w->vfs->ops->close(f);
    assert_int_equal(wal_read(w->wal, &what, &range), RGKV_OK); /* those before it */
    assert_int_equal(range.n, 20);
    wal_range_release(&range);
    what.first = 21;
    assert_int_equal(wal_read(w->wal, &what, &range), RGKV_DAMAGED);
    assert_int_equal(range.n, 0);
    assert_non_null(strstr(wal_error(w->wal), FIRST_SEGMENT));
    append(w, 31, 5, 1);
    assert_int_equal(read_right(w, 5, 20, 1000000, 1000), 16);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_can_be_read_piece_by_piece),
        TEST(B21_what_took_the_place_of_truncated_entries_is_read),
        TEST(what_the_log_does_not_begin_with_any_more_is_not_found),
        TEST(only_what_is_wanted_is_given_at_a_start_and_the_rest_can_be_read),
        TEST(what_a_batch_has_beyond_the_end_of_the_log_is_passed_by),
        TEST(damage_is_told_and_harms_nobody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
