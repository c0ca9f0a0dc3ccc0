/* The write-ahead log under crashes: many seeds, random batches, the power gone after any call. What was acknowledged is
 * there; what was not is there as a whole or not at all. */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "tests/sim/vfs_mem.h"
#include "tests/unit/wal_model.h"

static const struct wal_identity identity = {.cluster = 1, .group = 2, .incarnation = 3, .member = 4};
#define DIR "log"

struct run {
    struct vfs *vfs;
    struct wal *wal;
    struct prng prng;
    struct wal_model acknowledged;
    struct wal_model tried;   /* what the last failed call wanted */
    bool open_question;       /* a call failed: it may have happened */
    uint64_t lost_commit;     /* commit may be remembered only: anything from here on is right */
    struct wal_options options;
    unsigned crashes, recovered_tried, resets, compactions, truncations;
};

static uint64_t last(const struct run *r) { return wal_model_last(&r->tried); }

static enum rgkv_err do_append(struct run *r)
{
    struct wal_batch b = {0};
    struct wal_model *m = &r->tried;
    uint64_t term = MAX(m->hard_state.term, 1) + prng_chance(&r->prng, 1, 8);
    uint64_t commit = m->hard_state.commit, from = last(r) + 1;
    if (prng_chance(&r->prng, 1, 6) && commit < last(r)) {
        from = prng_between(&r->prng, commit + 1, last(r));
        term++;
        r->truncations++;
    }
    wal_model_append(m, &b, from, (unsigned)prng_between(&r->prng, 1, 12), term);
    m->hard_state.term = term;
    m->hard_state.vote = prng_below(&r->prng, 5);
    if (prng_chance(&r->prng, 1, 2))
        m->hard_state.commit = prng_between(&r->prng, commit, from - 1 > commit ? from - 1 : commit);
    wal_batch_add(&b, NULL, 0, &m->hard_state, true);
    enum rgkv_err err = wal_commit(r->wal, &b);
    wal_batch_release(&b);
    return err;
}

static enum rgkv_err do_hard_state(struct run *r)
{
    struct wal_batch b = {0};
    struct raft_hard_state *h = &r->tried.hard_state;
    bool vote = prng_chance(&r->prng, 1, 2);
    if (vote) {
        h->term++;
        h->vote = prng_below(&r->prng, 5);
    } else {
        h->commit = prng_between(&r->prng, h->commit, last(r));
    }
    wal_batch_add(&b, NULL, 0, h, vote);
    enum rgkv_err err = wal_commit(r->wal, &b);
    wal_batch_release(&b);
    return err;
}

static enum rgkv_err do_compact(struct run *r)
{
    uint64_t index = prng_between(&r->prng, r->tried.base, r->tried.hard_state.commit);
    r->compactions++;
    return wal_compact(r->wal, index, NULL);
}

static enum rgkv_err do_reset(struct run *r)
{
    uint64_t index = last(r) + prng_below(&r->prng, 20), term = MAX(r->tried.hard_state.term, 1);
    wal_model_reset(&r->tried, index, term);
    r->resets++;
    return wal_reset(r->wal, index, term);
}

static void step(struct run *r)
{
    wal_model_copy(&r->tried, &r->acknowledged);
    unsigned what = (unsigned)prng_below(&r->prng, 100);
    enum rgkv_err err = what < 70 ? do_append(r) : what < 88 ? do_hard_state(r) : what < 97 ? do_compact(r) : do_reset(r);
    r->open_question = err != RGKV_OK;
    if (!err)
        wal_model_copy(&r->acknowledged, &r->tried);
    assert_true(err == RGKV_OK || err == RGKV_IO);
}

/* Term, vote and entries are exact; of commit the log may know less. */
static bool is(const struct wal_model *m, const struct wal_recovered *found)
{
    struct wal_model relaxed = *m;
    if (found->hard_state.commit <= m->hard_state.commit)
        relaxed.hard_state.commit = found->hard_state.commit;
    return wal_model_matches(&relaxed, found);
}

static void adopt(struct run *r, const struct wal_recovered *found)
{
    bool old = is(&r->acknowledged, found), new = r->open_question && is(&r->tried, found);
    assert_true(old || new);
    if (!old) {
        wal_model_copy(&r->acknowledged, &r->tried);
        r->recovered_tried++;
    }
    r->acknowledged.hard_state.commit = found->hard_state.commit;
    if (found->compacted_index > r->acknowledged.base) { /* the log forgot these; so does the model */
        uint64_t gone = found->compacted_index - r->acknowledged.base;
        r->acknowledged.base = found->compacted_index;
        r->acknowledged.base_term = found->compacted_term;
        r->acknowledged.n -= gone;
        memmove(r->acknowledged.terms, r->acknowledged.terms + gone, r->acknowledged.n * sizeof(uint64_t));
    }
    r->open_question = false;
}

/* false: the power went during recovery itself. */
static bool start(struct run *r)
{
    struct wal_recovered found;
    struct buf why = {0};
    enum rgkv_err err = wal_open(r->vfs, DIR, &identity, &r->options, &r->wal, &found, &why);
    if (err && !vfs_mem_halted(r->vfs))
        print_message("%.*s\n", (int)why.len, (const char *)why.data);
    buf_release(&why);
    if (err) {
        assert_true(err == RGKV_IO && vfs_mem_halted(r->vfs));
        return false;
    }
    adopt(r, &found);
    wal_recovered_release(&found);
    return true;
}

static void power_cut(struct run *r)
{
    wal_close(r->wal);
    r->wal = NULL;
    if (prng_chance(&r->prng, 1, 4))
        vfs_mem_process_ended(r->vfs);
    else
        vfs_mem_crash(r->vfs, &r->prng);
    r->crashes++;
}

static void run_seed(uint64_t seed, struct run *totals)
{
    struct run r = {.vfs = vfs_mem_new(), .options = {.segment_bytes = 2000}};
    prng_init(&r.prng, seed);
    vfs_mem_preallocate_grows(r.vfs, prng_chance(&r.prng, 1, 2));
    while (r.crashes < 12) {
        vfs_mem_halt_after(r.vfs, prng_below(&r.prng, 120));
        if (start(&r)) {
            while (!vfs_mem_halted(r.vfs) && !r.open_question)
                step(&r);
        }
        power_cut(&r);
    }
    assert_true(start(&r));
    wal_close(r.wal);
    wal_model_release(&r.acknowledged);
    wal_model_release(&r.tried);
    vfs_mem_free(r.vfs);
    totals->crashes += r.crashes;
    totals->recovered_tried += r.recovered_tried;
    totals->resets += r.resets;
    totals->compactions += r.compactions;
    totals->truncations += r.truncations;
}

/* SEEDS=A..B in the environment runs others; one that fails is the last one printed with SEEDS. */
static void C_nothing_acknowledged_is_lost_and_nothing_is_invented(void **state)
{
    const char *seeds = getenv("SEEDS"), *dots = seeds ? strstr(seeds, "..") : NULL;
    uint64_t first = seeds ? strtoull(seeds, NULL, 10) : 1, end = dots ? strtoull(dots + 2, NULL, 10) : seeds ? first : 400;
    struct run totals = {0};
    for (uint64_t seed = first; seed <= end; seed++) {
        if (seeds)
            print_message("seed %llu\n", (unsigned long long)seed);
        run_seed(seed, &totals);
    }
    print_message("%u crashes, %u unacknowledged calls that came through, %u resets, %u compactions, %u truncations\n", totals.crashes,
                  totals.recovered_tried, totals.resets, totals.compactions, totals.truncations);
    if (!seeds)
        assert_true(totals.recovered_tried > 50 && totals.resets > 50 && totals.compactions > 200 && totals.truncations > 200);
}

/* ---- the process ends, and then the power ---- */

#define CALLS_MAX 40u /* more than a compaction, a reset or an opening makes */
#define CHOICES 12u   /* of what the power leaves, for each two places */

/* A log of some segments. */
static void begin(struct run *r, uint64_t seed)
{
    *r = (struct run){.vfs = vfs_mem_new(), .options = {.segment_bytes = 400}};
    prng_init(&r->prng, seed);
    assert_true(start(r));
    while (r->acknowledged.n < 60) {
        wal_model_copy(&r->tried, &r->acknowledged);
        assert_int_equal(do_append(r), RGKV_OK);
        wal_model_copy(&r->acknowledged, &r->tried);
    }
    r->tried.hard_state.commit = r->acknowledged.hard_state.commit = last(r);
    struct wal_batch b = {0};
    wal_batch_add(&b, NULL, 0, &r->tried.hard_state, true);
    assert_int_equal(wal_commit(r->wal, &b), RGKV_OK);
    wal_batch_release(&b);
}

/* The process ends after `first` calls of a compaction or a reset, and the power goes after `second` calls of the opening that follows.
 * false: that one came to its end before. */
static bool ends_twice(bool reset, unsigned first, unsigned second, uint64_t seed)
{
    struct run r;
    begin(&r, seed);
    vfs_mem_halt_after(r.vfs, first);
    enum rgkv_err err = reset ? do_reset(&r) : do_compact(&r);
    r.open_question = true; /* it need not be told any more */
    wal_close(r.wal);
    r.wal = NULL;
    assert_true(err == RGKV_OK || err == RGKV_IO);
    vfs_mem_process_ended(r.vfs);
    vfs_mem_halt_after(r.vfs, second);
    bool ended = !start(&r) || vfs_mem_halted(r.vfs);
    wal_close(r.wal);
    r.wal = NULL;
    vfs_mem_crash(r.vfs, &r.prng);
    assert_true(start(&r));
    wal_close(r.wal);
    wal_model_release(&r.acknowledged);
    wal_model_release(&r.tried);
    vfs_mem_free(r.vfs);
    return ended;
}

static void every_two_ends(bool reset)
{
    for (unsigned first = 0; first < CALLS_MAX; first++)
        for (unsigned second = 0; second < CALLS_MAX; second++) {
            bool ended = false;
            for (uint64_t seed = 1; seed <= CHOICES; seed++)
                ended |= ends_twice(reset, first, second, seed);
            if (!ended)
                break;
        }
}

/* What a segment replaces goes only when the segment's name is durable: who gave it that name may have ended before. */
static void P7_a_compaction_loses_nothing_in_a_power_cut_after_the_end_of_its_process(void **state) { every_two_ends(false); }
static void P7_a_reset_loses_nothing_in_a_power_cut_after_the_end_of_its_process(void **state) { every_two_ends(true); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(C_nothing_acknowledged_is_lost_and_nothing_is_invented),
        cmocka_unit_test(P7_a_compaction_loses_nothing_in_a_power_cut_after_the_end_of_its_process),
        cmocka_unit_test(P7_a_reset_loses_nothing_in_a_power_cut_after_the_end_of_its_process),
    };
    return cmocka_run_group_tests_name("wal_crash", tests, NULL, NULL);
}
