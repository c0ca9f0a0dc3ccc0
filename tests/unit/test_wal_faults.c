/* The write-ahead log on a disk that fails once, at every call of every kind in turn, with IO and with NO_SPACE; over one script
 * of appends, votes, truncations, new segments, compactions and a reset, and over recovery. DESIGN: a full disk is waited for, a
 * failed sync or write is final, and nothing that was acknowledged is missing at the next start, also after a power cut. */
#include "tests/unit/unit.h"

#include "tests/sim/vfs_mem.h"
#include "tests/unit/wal_model.h"

static const struct wal_identity identity = {.cluster = 1, .group = 2, .incarnation = 3, .member = 4};
static const struct wal_options options = {.segment_bytes = 900};
#define DIR "log"
#define NTH_MAX 40u

struct run {
    struct vfs *vfs;
    struct wal *wal;
    struct wal_model acknowledged, tried;
    bool question;               /* the last call failed for good: it may have happened */
};

struct totals {
    unsigned runs, final, full, refused_starts;
};

/* ---- the script ---- */

static enum rgkv_err commit(struct run *r, struct wal_batch *b)
{
    wal_batch_add(b, NULL, 0, &r->tried.hard_state, true);
    enum rgkv_err err = wal_commit(r->wal, b);
    wal_batch_release(b);
    return err;
}

static enum rgkv_err append_at(struct run *r, uint64_t index, unsigned n)
{
    struct wal_batch b = {0};
    struct raft_hard_state *h = &r->tried.hard_state;
    h->term += index <= wal_model_last(&r->tried); /* only a new leader replaces */
    h->commit = MIN(h->commit, index - 1);
    wal_model_append(&r->tried, &b, index, n, h->term);
    return commit(r, &b);
}

static enum rgkv_err append(struct run *r) { return append_at(r, wal_model_last(&r->tried) + 1, 3); }
static enum rgkv_err append_many(struct run *r) { return append_at(r, wal_model_last(&r->tried) + 1, 12); }
static enum rgkv_err replace_some(struct run *r) { return append_at(r, wal_model_last(&r->tried) - 1, 4); }
static enum rgkv_err replace_many(struct run *r) { return append_at(r, wal_model_last(&r->tried) - 13, 2); }

static enum rgkv_err vote(struct run *r)
{
    struct wal_batch b = {0};
    r->tried.hard_state.term++;
    r->tried.hard_state.vote = r->tried.hard_state.term % 3 + 1;
    return commit(r, &b);
}

static enum rgkv_err compact(struct run *r)
{
    uint64_t index = wal_model_last(&r->tried) - 2;
    return wal_compact(r->wal, index, NULL);
}

static enum rgkv_err reset(struct run *r)
{
    uint64_t index = wal_model_last(&r->tried) + 10;
    wal_model_reset(&r->tried, index, r->tried.hard_state.term);
    return wal_reset(r->wal, index, r->tried.hard_state.term);
}

static enum rgkv_err (*const script[])(struct run *r) = {
    vote, append, vote, append, append_many, replace_some, append_many, replace_many, compact, append, vote,
    append_many, append, compact, reset, append, append_many, vote, compact, append,
};

/* ---- one run ---- */

static bool start(struct run *r, struct wal_recovered *ret_found)
{
    struct buf why = {0};
    enum rgkv_err err = wal_open(r->vfs, DIR, &identity, &options, &r->wal, ret_found, &why);
    assert_true(err == RGKV_OK || err == RGKV_IO || err == RGKV_NO_SPACE);
    assert_true(err == RGKV_OK || why.len > 0);
    buf_release(&why);
    return err == RGKV_OK;
}

/* Full: the same again, once there is space. False: final. */
static bool step(struct run *r, enum rgkv_err (*call)(struct run *), struct totals *t)
{
    wal_model_copy(&r->tried, &r->acknowledged);
    enum rgkv_err err = call(r);
    if (err == RGKV_NO_SPACE) {
        t->full++;
        wal_model_copy(&r->tried, &r->acknowledged);
        err = call(r);
    }
    assert_true(err == RGKV_OK || err == RGKV_IO);
    if (err) {
        r->question = true;
        t->final++;
        assert_int_equal(vote(&(struct run){.wal = r->wal, .tried = {.hard_state = {.term = 999}}}), RGKV_IO);
        assert_true(wal_error(r->wal)[0]);
        return false;
    }
    wal_model_copy(&r->acknowledged, &r->tried);
    return true;
}

static void play(struct run *r, struct totals *t)
{
    for (unsigned i = 0; i < ARRAY_LEN(script); i++)
        if (!step(r, script[i], t))
            return;
}

/* Of commit the log may know less; and a compaction or a reset that failed may have happened. */
static bool is(const struct wal_model *m, const struct wal_recovered *found)
{
    struct wal_model relaxed = *m;
    relaxed.hard_state.commit = found->hard_state.commit;
    return found->hard_state.commit <= MAX(m->hard_state.commit, m->base) && wal_model_matches(&relaxed, found);
}

static void end_process(struct run *r, struct prng *power)
{
    wal_close(r->wal);
    r->wal = NULL;
    power ? vfs_mem_crash(r->vfs, power) : vfs_mem_process_ended(r->vfs);
}

static void check_next_start(struct run *r, struct prng *power)
{
    struct wal_recovered found;
    end_process(r, power);
    for (enum vfs_mem_call call = 0; call < VFS_MEM_CALLS; call++)
        vfs_mem_fail(r->vfs, call, 0, RGKV_OK); /* the one that was not reached */
    assert_true(start(r, &found));
    assert_true(is(&r->acknowledged, &found) || (r->question && is(&r->tried, &found)));
    wal_recovered_release(&found);
}

static void run_release(struct run *r)
{
    wal_close(r->wal);
    wal_model_release(&r->acknowledged);
    wal_model_release(&r->tried);
    vfs_mem_free(r->vfs);
}

/* fail_start: the fault is armed for the second start instead of the script. */
static void run_once(enum vfs_mem_call call, unsigned nth, enum rgkv_err err, bool fail_start, struct prng *power, struct totals *t)
{
    struct run r = {.vfs = vfs_mem_new()};
    struct wal_recovered found;
    vfs_mem_preallocate_grows(r.vfs, nth % 2);
    assert_true(start(&r, &found));
    if (!fail_start)
        vfs_mem_fail(r.vfs, call, nth, err);
    play(&r, t);
    if (fail_start) {
        end_process(&r, NULL);
        vfs_mem_fail(r.vfs, call, nth, err);
        if (start(&r, &found))
            wal_recovered_release(&found);
        else
            t->refused_starts++;
    }
    check_next_start(&r, power);
    run_release(&r);
    t->runs++;
}

static void run_all(bool fail_start, struct totals *t)
{
    struct prng power;
    prng_init(&power, 1);
    for (enum vfs_mem_call call = 0; call < VFS_MEM_CALLS; call++)
        for (unsigned nth = 1; nth <= NTH_MAX; nth++)
            for (unsigned i = 0; i < 4; i++)
                run_once(call, nth, i & 1 ? RGKV_NO_SPACE : RGKV_IO, fail_start, i & 2 ? &power : NULL, t);
    print_message("%u runs: %u final failures, %u full disks, %u starts refused\n", t->runs, t->final, t->full, t->refused_starts);
}

static void B19_B20_a_disk_that_fails_at_any_call_loses_nothing_that_was_acknowledged(void **state)
{
    struct totals t = {0};
    run_all(false, &t);
    assert_true(t.final > 100 && t.full > 50);
}

static void B19_a_disk_that_fails_at_any_call_of_a_start_is_told_and_the_next_start_finds_all(void **state)
{
    struct totals t = {0};
    run_all(true, &t);
    assert_true(t.refused_starts > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(B19_B20_a_disk_that_fails_at_any_call_loses_nothing_that_was_acknowledged),
        cmocka_unit_test(B19_a_disk_that_fails_at_any_call_of_a_start_is_told_and_the_next_start_finds_all),
    };
    return cmocka_run_group_tests_name("wal_faults", tests, NULL, NULL);
}
