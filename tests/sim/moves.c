/* The table of a move's steps and of those who may crash at each of them (P13 to P17, B32): a run without any crash says which
 * steps there are; then one run per step and victim, the same up to that step, at which the victim loses its power, unsynced bytes included.
 * Whatever happens, the move ends where it was ordered to, no client misses or sees twice what was acknowledged, no two groups serve the
 * shard (invariants.c), every replica of the source has thrown its rows away, and the destination's hold what is alive and little more. */
#include <stdio.h>

#include "kv/rows.h"
#include "tests/sim/sim.h"

#define WORK_US 700000u        /* clients write for so long before the move */
#define MOVE_US 60000000u
#define SPACE_OF_NAME 256u
#define SPACE_BYTES 12288u
#define MISSED_PERCENT_MAX 10u

static const char *const victim_names[VICTIMS] = {"source's leader", "source's follower", "destination's leader",
                                                  "destination's follower", "controllers' leader", "everybody"};

static uint64_t rows_of_shard(struct table *t, uint32_t shard, uint64_t *ret_bytes)
{
    struct rowkey from = row_shard_range(shard), to = rowkey_end(from);
    struct table_iter *i = table_iter(t, NULL, rowkey_bytes(&from), rowkey_bytes(&to));
    uint64_t n = 0;
    *ret_bytes = 0;
    for (; t->ops->iter_next(i); n++)
        *ret_bytes += t->ops->iter_key(i).len + t->ops->iter_value(i).len;
    t->ops->iter_free(i);
    return n;
}

/* Of what the source's members hold: shards that are not "none" yet, or, at the end, rows. */
static uint64_t source_holds(struct sim *s, uint64_t (*count)(const struct node_replica_info *i, struct table *t))
{
    struct node_replica_info i;
    uint64_t holds = 0;
    for (unsigned m = 3; m < 6; m++) {
        bool there = false;
        for (unsigned k = 0; s->machines[m].node && node_replica_info(s->machines[m].node, k, &i); k++)
            if (i.kv && i.gid == 101) {
                struct sim_stored *st = disk_stored(&s->machines[m], i.replica);
                disk_save_ends(s, &s->machines[m], st);
                holds += count(&i, st->table);
                there = true;
            }
        holds += !there;
    }
    return holds;
}

static uint64_t shards_held(const struct node_replica_info *i, struct table *t)
{
    struct kv_shard_status now;
    kv_shard_status(i->kv, 0, &now);
    return now.state != KV_NONE;
}

static uint64_t rows_held(const struct node_replica_info *i, struct table *t)
{
    enum rgkv_err err = kv_save(i->kv);
    uint64_t bytes;
    ASSERT(err == RGKV_OK);
    return rows_of_shard(t, 0, &bytes);
}

/* In a member of the destination the shard takes no more than its live values and SPACE_BYTES of it: sessions, intents, old versions that
 * somebody may still read; and SPACE_OF_NAME for each name: its row, and what is told of it. No received table is left lying about. */
static void check_space(struct sim *s, struct sim_machine *m, const struct node_replica_info *i)
{
    struct kv_shard_status now;
    struct sim_stored *st = disk_stored(m, i->replica);
    uint64_t bytes;
    disk_save_ends(s, m, st);
    enum rgkv_err err = kv_save(i->kv);
    ASSERT(err == RGKV_OK);
    kv_shard_status(i->kv, 0, &now);
    rows_of_shard(st->table, 0, &bytes);
    if (bytes > now.bytes + now.keys * SPACE_OF_NAME + SPACE_BYTES)
        sim_fail(s, "%s: the shard takes %llu bytes for %llu live ones under %llu names", m->addr, (unsigned long long)bytes,
                 (unsigned long long)now.bytes, (unsigned long long)now.keys);
    if (st->table_new)
        sim_fail(s, "%s: a received table is left", m->addr);
}

static void check_destination(struct sim *s)
{
    struct node_replica_info i;
    for (unsigned m = 0; m < s->n_machines; m++)
        for (unsigned k = 0; s->machines[m].node && node_replica_info(s->machines[m].node, k, &i); k++)
            if (i.kv && i.gid == 102)
                check_space(s, &s->machines[m], &i);
}

static bool both_joined(struct sim *s)
{
    return s->groups[1].joined && caller_quiet(&s->callers[0]) && caller_settled(s);
}

static bool moved(struct sim *s)
{
    const struct sim_watch *w = &s->watch;
    return w->placement.holder == 102 && !w->placement.target && w->placement.active && caller_quiet(&s->callers[0]) &&
           source_holds(s, shards_held) == 0;
}

/* From the order to the last row that is thrown away. */
static void one_move(struct sim *s)
{
    if (!sim_found(s))
        return;
    caller_admin_join(s, 102);
    if (!sim_until(s, s->now_us + MOVE_US, both_joined))
        sim_fail(s, "the second group did not join");
    sim_until(s, s->now_us + WORK_US, NULL);
    s->watch.on = true;
    caller_admin_move(s, 0, 102);
    if (!sim_until(s, s->now_us + MOVE_US, moved) && !s->failed)
        sim_fail(s, "%u s after the order the shard is held by %llu (target %llu), and %llu members of the source hold it", MOVE_US / 1000000,
                 (unsigned long long)s->watch.placement.holder, (unsigned long long)s->watch.placement.target,
                 (unsigned long long)source_holds(s, shards_held));
    s->watch.on = false;
    if (sim_end(s) && sim_until(s, s->now_us + MOVE_US, moved) && source_holds(s, rows_held))
        sim_fail(s, "the source still has %llu rows of the shard", (unsigned long long)source_holds(s, rows_held));
    if (!s->failed)
        check_destination(s);
}

static bool cell(uint64_t seed, unsigned step, enum sim_victim victim, bool verbose, unsigned *missed)
{
    struct sim *s = sim_new_for_a_move(seed, false);
    s->watch.strike_at = step;
    s->watch.victim = victim;
    one_move(s);
    bool fine = !s->failed;
    *missed += !s->watch.struck;
    if (!fine || verbose)
        printf("%s step %u, %s: %s %s: %s\n", fine ? "ok" : "FAILED", step, s->watch.label, victim_names[victim],
               s->watch.struck ? "crashes" : "is nobody", s->failure);
    sim_free(s);
    return fine;
}

static unsigned steps_of(uint64_t seed, bool verbose)
{
    struct sim *s = sim_new_for_a_move(seed, verbose);
    one_move(s);
    if (s->failed)
        printf("FAILED without any crash: %s\n", s->failure);
    unsigned steps = s->failed ? 0 : s->watch.steps;
    sim_free(s);
    return steps;
}

unsigned moves_table(uint64_t seed, unsigned stride, bool verbose)
{
    unsigned steps = steps_of(seed, verbose), failed = steps == 0, cells = 0, missed = 0;
    for (unsigned at = 1; at <= steps; at += stride)
        for (enum sim_victim v = VICTIM_SOURCE_LEADER; v < VICTIMS; v++, cells++)
            failed += !cell(seed, at, v, verbose, &missed);
    printf("%u steps of a move, %u cells of step and victim, in %u of them nobody to strike, %u failed\n", steps, cells, missed, failed);
    if (missed * 100 > cells * MISSED_PERCENT_MAX) {
        printf("FAILED: too many cells without a crash\n");
        failed++;
    }
    return failed;
}
