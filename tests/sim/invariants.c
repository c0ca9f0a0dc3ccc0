/* What must hold at every step, whatever goes wrong (dissertation 3.6 and figure 3.2):
 *
 *   election safety       at most one leader a term
 *   state machine safety  one entry at one index, once it is committed anywhere
 *   leader completeness   a new leader's log holds every entry that was committed, in its term (checked on what it still keeps)
 *   monotony              commit and applied only grow within one run of a process; applied <= commit
 *   no lonely leader      a leader hears of a quorum, or gives up
 *   own term              a leader commits by entries of its own term, and what it commits a majority has on disk
 *   one owner             a shard is served by one group, and its epoch only grows (in what the groups have committed)
 *   equal state           at an equal applied index: of groups of shards and of the controllers
 */
#include <stdio.h>
#include <uthash.h>

#include "tests/sim/sim.h"

#define LEADS_ALONE_US 1000000u
#define AWAKE_US 200000u

struct entry_key {
    uint64_t gid, incarnation, index;
};
struct entry_truth {
    struct entry_key key;
    uint64_t term, hash;
    UT_hash_handle hh;
};
struct term_key {
    uint64_t gid, incarnation, term;
};
struct term_truth {
    struct term_key key;
    uint64_t leader;
    UT_hash_handle hh;
};
struct state_truth {
    struct entry_key key;
    struct kv_checksum sum;
    UT_hash_handle hh;
};
struct group_truth {
    struct term_key key;       /* term unused */
    uint64_t committed;        /* the highest index known to be committed anywhere */
    uint64_t led_term;
    bool given_up;             /* its machines are gone for ever, or so it was said (P19) */
    uint64_t applied;          /* the highest index whose state was seen anywhere, and what was served then: */
    enum kv_shard_state states[SIM_NSHARDS_MAX];
    UT_hash_handle hh;
};
struct sim_truth {
    struct { uint64_t gid, epoch; } owners[SIM_NSHARDS_MAX];
    struct entry_truth *entries;
    struct term_truth *terms;
    struct state_truth *states;
    struct group_truth *groups;
    struct sim_imports *imports;
    unsigned elections;
};

struct sim_truth *truth_new(void)
{
    struct sim_truth *t = mem_zalloc(sizeof(*t));
    t->imports = imports_new();
    return t;
}

unsigned truth_elections(const struct sim_truth *t) { return t->elections; }

#define FREE_ALL(type, head)                        \
    do {                                            \
        struct type *at, *next;                     \
        HASH_ITER(hh, head, at, next) {             \
            HASH_DEL(head, at);                     \
            mem_free(at);                           \
        }                                           \
    } while (0)

void truth_free(struct sim_truth *t)
{
    FREE_ALL(entry_truth, t->entries);
    FREE_ALL(term_truth, t->terms);
    FREE_ALL(state_truth, t->states);
    FREE_ALL(group_truth, t->groups);
    imports_free(t->imports);
    mem_free(t);
}

static struct group_truth *group_of(struct sim_truth *t, const struct node_replica_info *i)
{
    struct term_key key = {i->gid, i->incarnation, 0};
    struct group_truth *g;
    HASH_FIND(hh, t->groups, &key, sizeof(key), g);
    if (!g) {
        g = mem_zalloc(sizeof(*g));
        g->key = key;
        HASH_ADD(hh, t->groups, key, sizeof(key), g);
    }
    return g;
}

/* What a member remembers is never behind what its disk does. */
static void check_vote(struct sim *s, const struct sim_stored *stored, const struct raft_status *st)
{
    const struct sim_durable *d = &stored->durable;
    if (st->term < d->term || (st->term == d->term && d->vote && st->vote != d->vote))
        sim_fail(s, "group %llu, member %llu: its vote in term %llu is for %llu, but the durable one in term %llu for %llu",
                 (unsigned long long)stored->gid, (unsigned long long)st->id, (unsigned long long)st->term, (unsigned long long)st->vote,
                 (unsigned long long)d->term, (unsigned long long)d->vote);
}

static void check_completeness(struct sim *s, const struct group_truth *g, const struct node_replica_info *i, const struct raft_status *st)
{
    if (st->last_index < g->committed)
        sim_fail(s, "group %llu: member %llu leads in term %llu with a log up to %llu, but %llu was committed",
                 (unsigned long long)i->gid, (unsigned long long)st->id, (unsigned long long)st->term,
                 (unsigned long long)st->last_index, (unsigned long long)g->committed);
    for (uint64_t at = st->first_index; at <= g->committed && !s->failed; at++) {
        struct entry_key key = {i->gid, i->incarnation, at};
        struct entry_truth *known;
        HASH_FIND(hh, s->truth->entries, &key, sizeof(key), known);
        if (known && raft_term_at(i->raft, at) != known->term)
            sim_fail(s, "group %llu: member %llu leads in term %llu with an entry of term %llu at index %llu, but one of term %llu was committed",
                     (unsigned long long)i->gid, (unsigned long long)st->id, (unsigned long long)st->term,
                     (unsigned long long)raft_term_at(i->raft, at), (unsigned long long)at, (unsigned long long)known->term);
    }
}

static void check_leader(struct sim *s, struct sim_machine *m, const struct node_replica_info *i, const struct raft_status *st)
{
    struct sim_truth *t = s->truth;
    struct term_key key = {i->gid, i->incarnation, st->term};
    struct term_truth *term;
    if (st->role != RAFT_LEADER)
        return;
    HASH_FIND(hh, t->terms, &key, sizeof(key), term);
    if (!term) {
        term = mem_zalloc(sizeof(*term));
        term->key = key;
        term->leader = st->id;
        HASH_ADD(hh, t->terms, key, sizeof(key), term);
        t->elections++;
        directed_leader(s, m);
        ghosts_leader(s, m);
    }
    if (term->leader != st->id)
        sim_fail(s, "group %llu: members %llu and %llu both lead in term %llu", (unsigned long long)i->gid,
                 (unsigned long long)term->leader, (unsigned long long)st->id, (unsigned long long)st->term);
    struct group_truth *g = group_of(t, i);
    if (st->term > g->led_term)
        check_completeness(s, g, i, st);
    g->led_term = MAX(g->led_term, st->term);
}

static void check_entry(struct sim *s, const struct node_replica_info *i, const struct raft_entry *e)
{
    struct sim_truth *t = s->truth;
    struct entry_key key = {i->gid, i->incarnation, e->index};
    struct entry_truth *known;
    uint64_t hash = hash64_seeded(blob_bytes(e->payload), (uint64_t)e->kind);
    HASH_FIND(hh, t->entries, &key, sizeof(key), known);
    if (!known) {
        known = mem_zalloc(sizeof(*known));
        *known = (struct entry_truth){.key = key, .term = e->term, .hash = hash};
        HASH_ADD(hh, t->entries, key, sizeof(key), known);
        imports_committed(t->imports, i, e);
    }
    if (known->term != e->term || known->hash != hash)
        sim_fail(s, "group %llu: two different entries were committed at index %llu (terms %llu and %llu)",
                 (unsigned long long)i->gid, (unsigned long long)e->index, (unsigned long long)known->term, (unsigned long long)e->term);
}

/* Only an entry of the own term may be committed by counting; what was committed as a follower is another matter. */
static void check_leader_commit(struct sim *s, struct sim_stored *stored, const struct node_replica_info *i, const struct raft_status *st)
{
    if (st->role != RAFT_LEADER)
        return;
    if (st->commit > stored->commit_seen) {
        durable_check_commit(s, i, st->commit);
        if (stored->led_term == st->term && raft_term_at(i->raft, st->commit) != st->term)
            sim_fail(s, "group %llu: the leader of term %llu committed entry %llu of term %llu by counting", (unsigned long long)i->gid,
                     (unsigned long long)st->term, (unsigned long long)st->commit, (unsigned long long)raft_term_at(i->raft, st->commit));
    }
    stored->led_term = st->term;
}

static void check_commit(struct sim *s, struct sim_stored *stored, const struct node_replica_info *i, const struct raft_status *st)
{
    struct group_truth *g = group_of(s->truth, i);
    if (st->commit < stored->commit_seen || st->applied < stored->applied_seen)
        sim_fail(s, "group %llu, member %llu: commit or applied moved back (%llu -> %llu, %llu -> %llu)", (unsigned long long)i->gid,
                 (unsigned long long)st->id, (unsigned long long)stored->commit_seen, (unsigned long long)st->commit,
                 (unsigned long long)stored->applied_seen, (unsigned long long)st->applied);
    if (st->applied > st->commit || st->commit > st->last_index)
        sim_fail(s, "group %llu, member %llu: applied %llu, commit %llu, last %llu", (unsigned long long)i->gid, (unsigned long long)st->id,
                 (unsigned long long)st->applied, (unsigned long long)st->commit, (unsigned long long)st->last_index);
    check_leader_commit(s, stored, i, st);
    for (uint64_t at = MAX(stored->commit_seen + 1, st->first_index); at <= st->commit; at++) {
        const struct raft_entry *e = raft_entry_at(i->raft, at);
        if (e)
            check_entry(s, i, e);
    }
    stored->commit_seen = st->commit;
    stored->applied_seen = st->applied;
    g->committed = MAX(g->committed, st->commit);
}

/* All of a controller's table but where it is: it speaks of what is applied there, which is less than was applied while the disk is full. */
static void ctrl_state(struct table *t, uint64_t *ret_applied, struct kv_checksum *ret_sum)
{
    struct table_iter *i = table_iter(t, NULL, BYTES_EMPTY, bytes_str(TABLE_APPLIED_KEY));
    *ret_sum = (struct kv_checksum){.rows = 1};
    while (t->ops->iter_next(i))
        ret_sum->rows = hash64_seeded(t->ops->iter_value(i), hash64_seeded(t->ops->iter_key(i), ret_sum->rows));
    ASSERT(t->ops->iter_error(i) == RGKV_OK);
    t->ops->iter_free(i);
    *ret_applied = node_applied_in(t);
}

/* Replicas at the same applied index hold the same state, to the last row. */
static void check_state(struct sim *s, const struct sim_stored *stored, const struct node_replica_info *i, const struct raft_status *st)
{
    struct entry_key key = {i->gid, i->incarnation, st->applied};
    struct state_truth *known;
    struct kv_checksum sum;
    enum rgkv_err err = RGKV_OK;
    if (i->kv)
        err = kv_checksum(i->kv, &sum);
    else
        ctrl_state(stored->table, &key.index, &sum);
    ASSERT(err == RGKV_OK);
    HASH_FIND(hh, s->truth->states, &key, sizeof(key), known);
    if (!known) {
        known = mem_zalloc(sizeof(*known));
        *known = (struct state_truth){.key = key, .sum = sum};
        HASH_ADD(hh, s->truth->states, key, sizeof(key), known);
    }
    if (!known->sum.machine)
        known->sum.machine = sum.machine;
    if (known->sum.rows != sum.rows || (sum.machine && known->sum.machine != sum.machine))
        sim_fail(s, "group %llu, member %llu: its state at index %llu differs from another replica's", (unsigned long long)i->gid,
                 (unsigned long long)st->id, (unsigned long long)key.index);
}

static void shard_served(struct sim *s, struct group_truth *g, uint32_t shard, uint64_t epoch)
{
    struct sim_truth *t = s->truth;
    struct group_truth *other, *next;
    uint64_t gid = g->key.gid;
    HASH_ITER(hh, t->groups, other, next)
        if (other != g && other->states[shard] == KV_SERVING)
            sim_fail(s, "shard %u is served by groups %llu and %llu", shard, (unsigned long long)other->key.gid, (unsigned long long)gid);
    if (epoch < t->owners[shard].epoch || (epoch == t->owners[shard].epoch && t->owners[shard].gid != gid))
        sim_fail(s, "shard %u is served by group %llu at epoch %llu, but group %llu served it at %llu", shard, (unsigned long long)gid,
                 (unsigned long long)epoch, (unsigned long long)t->owners[shard].gid, (unsigned long long)t->owners[shard].epoch);
    s->counts.moves += t->owners[shard].gid && t->owners[shard].gid != gid;
    t->owners[shard].gid = gid;
    t->owners[shard].epoch = epoch;
}

/* The state at the highest applied index of a group is committed. Who stops to serve is seen to stop before another one begins. */
static void check_serving(struct sim *s, struct sim_machine *m, const struct node_replica_info *i, const struct raft_status *st)
{
    struct group_truth *g = group_of(s->truth, i);
    if (st->applied <= g->applied || g->given_up)
        return;
    g->applied = st->applied;
    imports_applied(s, s->truth->imports, i, st->applied);
    for (uint32_t shard = 0; shard < s->nshards; shard++) {
        struct kv_shard_status now;
        kv_shard_status(i->kv, shard, &now);
        enum kv_shard_state before = g->states[shard];
        g->states[shard] = now.state;
        if (now.state == KV_SERVING && (before != KV_SERVING || now.epoch != s->truth->owners[shard].epoch))
            shard_served(s, g, shard, now.epoch);
        if (now.state != before)
            directed_shard(s, m, i->gid, shard, now.state);
    }
}

void truth_given_up(struct sim *s, uint64_t gid)
{
    struct group_truth *g, *next;
    HASH_ITER(hh, s->truth->groups, g, next)
        if (g->key.gid == gid) {
            g->given_up = true;
            memset(g->states, 0, sizeof(g->states));
        }
}

/* Nothing that the checks below look at is as it was. */
static bool moved_on(struct sim_seen *seen, const struct node_replica_info *i, const struct raft_status *st)
{
    struct sim_seen now = {st->term, st->vote, st->role, st->first_index, st->last_index, st->commit, st->applied, raft_config_index(i->raft)};
    bool same = memcmp(seen, &now, sizeof(now)) == 0;
    *seen = now;
    return !same;
}

/* A state is looked at when it is new, and now and then once more: nothing but an entry may change it. */
static void check_state_at_times(struct sim *s, struct sim_stored *stored, const struct node_replica_info *i, const struct raft_status *st)
{
    if (st->applied % 64 || !st->applied || !prng_chance(&s->prng, 1, 4))
        return;
    bool known = stored->state_checked == st->applied;
    if (!known || ++stored->states_skipped % 16 == 0)
        check_state(s, stored, i, st);
    stored->state_checked = st->applied;
}

/* Who has heard of no quorum for long leads nobody: clients would wait for it. A process that stood still needs a moment to notice. */
static void check_contact(struct sim *s, const struct sim_machine *m, const struct node_replica_info *i, const struct raft_status *st)
{
    uint64_t now_us = machine_clock_us(s, m);
    bool awake = s->now_us >= m->paused_until_us + AWAKE_US, alone = raft_config_voters(raft_config(i->raft)) == 1;
    if (st->role == RAFT_LEADER && awake && !alone && now_us > st->lease_contact_us + LEADS_ALONE_US)
        sim_fail(s, "group %llu: member %llu leads in term %llu and has heard of no quorum for %llu ms", (unsigned long long)i->gid,
                 (unsigned long long)st->id, (unsigned long long)st->term, (unsigned long long)(now_us - st->lease_contact_us) / 1000);
}

static void check_replica(struct sim *s, struct sim_machine *m, const struct node_replica_info *i)
{
    struct sim_stored *stored = disk_stored(m, i->replica);
    struct raft_status st;
    raft_status(i->raft, &st);
    check_vote(s, stored, &st);
    check_contact(s, m, i, &st);
    if (moved_on(&stored->seen, i, &st)) {
        bool applied = st.applied != stored->applied_seen;
        members_check(s, i, &st);
        check_leader(s, m, i, &st);
        check_commit(s, stored, i, &st);
        if (i->kv)
            check_serving(s, m, i, &st);
        else if (applied) /* small, and it changes seldom */
            check_state(s, stored, i, &st);
    }
    check_state_at_times(s, stored, i, &st);
}

void truth_check_machine(struct sim *s, struct sim_machine *m)
{
    struct node_replica_info i;
    for (unsigned k = 0; node_replica_info(m->node, k, &i); k++)
        if (i.raft)
            check_replica(s, m, &i);
}

static bool replica_caught_up(const struct sim *s, const struct node_replica_info *i)
{
    struct term_key key = {i->gid, i->incarnation, 0};
    struct group_truth *g;
    struct raft_status st;
    HASH_FIND(hh, s->truth->groups, &key, sizeof(key), g);
    raft_status(i->raft, &st);
    return g && st.applied >= g->committed;
}

bool truth_caught_up(struct sim *s)
{
    struct node_replica_info i;
    for (unsigned m = 0; m < s->n_machines; m++)
        for (unsigned k = 0; s->machines[m].node && node_replica_info(s->machines[m].node, k, &i); k++)
            if (i.raft && !replica_caught_up(s, &i))
                return false;
    return true;
}

void truth_check_equal_state(struct sim *s)
{
    struct node_replica_info i;
    struct raft_status st;
    for (unsigned m = 0; m < s->n_machines; m++)
        for (unsigned k = 0; s->machines[m].node && node_replica_info(s->machines[m].node, k, &i); k++) {
            if (!i.raft)
                continue;
            raft_status(i.raft, &st);
            check_state(s, disk_stored(&s->machines[m], i.replica), &i, &st);
        }
}
