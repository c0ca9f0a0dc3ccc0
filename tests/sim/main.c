/* rgkv-sim [--seeds A..B] [--seconds S] [--twice] [--verbose] [--first]: runs seeds, prints a summary; a failure prints how to replay
 * it (--first: and ends the run). Many seeds in which something that is counted never happened have failed, too. --moves N: instead, a crash at every Nth step of a shard's move, of everybody who takes part. --scenario WHICH: instead, the scenarios of that number (S5, P19), or "all", with
 * each seed (scenario.h). rgkv-sim-mutants also takes --mutant NAME (one known bug, see base/mutant.h) and --mutants (their list). */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mutant.h"
#include "tests/sim/sim.h"

/* So many seeds, with so much time for faults, try everything that there is a counter of. */
#define IDLE_SEEDS 100u
#define IDLE_FAULT_US 5000000u

struct options {
    uint64_t first, last, fault_us;
    unsigned moves_stride;     /* 0: seeds are run */
    const char *scenario;      /* NULL: none */
    bool twice, verbose, only_first;
};

/* ---- mutants ---- */

#ifdef RGKV_MUTANTS
enum mutant mutant_now;
static const struct { const char *name, *what; } mutants[] = {
    {"none", "no known bug"},
#define X(name, what) {#name, what},
    RGKV_MUTANTS_ALL(X)
#undef X
};

static bool mutant_choose(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(mutants); i++)
        if (strcmp(mutants[i].name, name) == 0) {
            mutant_now = (enum mutant)i;
            return true;
        }
    return false;
}

static void mutants_print(void)
{
    for (unsigned i = 1; i < ARRAY_LEN(mutants); i++)
        printf("%s\t%s\n", mutants[i].name, mutants[i].what);
    exit(0);
}
#else
static bool mutant_choose(const char *name) { return false; }
static void mutants_print(void) {}
#endif

/* ---- options ---- */

static bool parse(int argc, char **argv, struct options *o)
{
    *o = (struct options){.first = 1, .last = 200, .fault_us = 15000000};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--twice") == 0) {
            o->twice = true;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            o->verbose = true;
        } else if (strcmp(argv[i], "--first") == 0) {
            o->only_first = true;
        } else if (strcmp(argv[i], "--mutants") == 0) {
            mutants_print();
        } else if (strcmp(argv[i], "--mutant") == 0 && i + 1 < argc) {
            if (!mutant_choose(argv[++i]))
                return false;
        } else if (strcmp(argv[i], "--moves") == 0 && i + 1 < argc) {
            o->moves_stride = (unsigned)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--scenario") == 0 && i + 1 < argc) {
            o->scenario = argv[++i];
        } else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
            o->fault_us = strtoull(argv[++i], NULL, 10) * 1000000;
        } else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) {
            char *end;
            o->first = o->last = strtoull(argv[++i], &end, 10);
            if (strncmp(end, "..", 2) == 0)
                o->last = strtoull(end + 2, NULL, 10);
        } else {
            return false;
        }
    }
    return o->first <= o->last;
}

static void add(struct sim_counts *total, const struct sim_counts *c)
{
    const uint64_t *from = (const uint64_t *)c;
    uint64_t *to = (uint64_t *)total;
    for (size_t i = 0; i < sizeof(*c) / sizeof(*from); i++)
        to[i] += from[i];
}

/* So that an idle run is seen: returns what never happened, or NULL. */
static const char *print_summary(const struct sim_counts *c, uint64_t seeds, uint64_t failed)
{
    const char *never = NULL;
    const struct { const char *name; uint64_t count; } fields[] = {
        {"elections", c->elections}, {"crashes", c->crashes}, {"kills", c->kills}, {"stops", c->stops}, {"pauses", c->pauses},
        {"partitions", c->partitions}, {"stalls", c->stalls}, {"directed", c->directed}, {"ghosts", c->ghosts}, {"shortened", c->shortened}, {"disk_faults", c->disk_faults}, {"rots", c->rots}, {"rots_found", c->rots_found},
        {"jumps", c->jumps}, {"resets", c->resets}, {"saves", c->saves}, {"flushes", c->flushes}, {"warmed", c->warmed}, {"chunks", c->chunks},
        {"installs", c->installs}, {"log_reads", c->log_reads}, {"moves", c->moves}, {"member_changes", c->member_changes}, {"disks_lost", c->wipes},
        {"operations", c->ops}, {"renames", c->renames}, {"staged", c->staged}, {"refused", c->refused}, {"unknown", c->unknown},
        {"frames", c->frames},
    };
    printf("%llu seeds, %llu failed: %.0f simulated seconds", (unsigned long long)seeds, (unsigned long long)failed, (double)c->virtual_us / 1e6);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        printf(" %s=%llu", fields[i].name, (unsigned long long)fields[i].count);
        never = fields[i].count ? never : fields[i].name;
    }
    printf("\n");
    return never;
}

/* A fault that is never there tries nothing, and nothing fails. */
static bool idle(const struct options *o, uint64_t seeds, const char *never)
{
    if (!never || seeds < IDLE_SEEDS || o->fault_us < IDLE_FAULT_US)
        return false;
    printf("idle: in %llu seeds there were no %s\n", (unsigned long long)seeds, never);
    return true;
}

static void print_failure(const struct sim *s, const struct options *o)
{
    unsigned lines = MIN(s->ring_at, SIM_RING);
    printf("seed %llu fails at %.6f s: %s\n", (unsigned long long)s->seed, (double)s->now_us / 1e6, s->failure);
    for (unsigned i = 0; i < lines; i++)
        printf("    %s\n", s->ring[(s->ring_at - lines + i) % SIM_RING]);
    printf("replay: rgkv-sim --seeds %llu --seconds %llu --verbose\n", (unsigned long long)s->seed,
           (unsigned long long)(o->fault_us / 1000000));
}

/* A bug that an ASSERT found: say which seed it was, before the process ends. */
static struct { const struct sim *sim; const struct options *options; } running;
static void bug_found(void)
{
    if (running.sim)
        print_failure(running.sim, running.options);
    running.sim = NULL;
    scenarios_bug_found();
    fflush(stdout);
}

/* SIGXCPU: it never ends. An ASSERT has said what is wrong before SIGABRT. */
static void crashed(int number)
{
    if (number != SIGABRT)
        fprintf(stderr, "rgkv: bug: %s\n", strsignal(number));
    bug_found();
    _exit(1);
}

static bool run_seed(uint64_t seed, const struct options *o, struct sim_counts *total, uint64_t *ret_hash)
{
    struct sim *s = sim_new(seed, o->verbose);
    running.sim = s;
    running.options = o;
    bool fine = sim_run(s, o->fault_us);
    running.sim = NULL;
    if (!fine)
        print_failure(s, o);
    add(total, &s->counts);
    *ret_hash = s->hash;
    sim_free(s);
    return fine;
}

int main(int argc, char **argv)
{
    struct options o;
    struct sim_counts total = {0};
    uint64_t failed = 0, hash, again;
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: rgkv-sim [--seeds A..B] [--seconds S] [--twice] [--verbose] [--first] [--moves N] [--scenario WHICH]\n");
        return 2;
    }
    mallopt(M_MMAP_THRESHOLD, 1 << 30); /* memory goes from one seed to the next, and not back to the kernel */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 16 << 20);
    base_fail_hook = bug_found;
    signal(SIGSEGV, crashed);
    signal(SIGABRT, crashed);
    signal(SIGXCPU, crashed);
    if (o.scenario)
        return scenarios_run(o.scenario, o.first, o.last, o.verbose) ? 1 : 0;
    if (o.moves_stride)
        return moves_table(o.first, o.moves_stride, o.verbose) ? 1 : 0;
    for (uint64_t seed = o.first; seed <= o.last && !(failed && o.only_first); seed++) {
        bool fine = run_seed(seed, &o, &total, &hash);
        if (o.twice && fine && (!run_seed(seed, &o, &total, &again) || again != hash)) {
            printf("seed %llu: two runs differ\n", (unsigned long long)seed);
            fine = false;
        }
        failed += !fine;
    }
    uint64_t seeds = o.last - o.first + 1;
    const char *never = print_summary(&total, seeds, failed);
    return failed || idle(&o, seeds, never) ? 1 : 0;
}
