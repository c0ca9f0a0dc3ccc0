/* Nothing is promised before it is durable: what each replica has on its disk for certain, as its log's calls returned, and
 * against it every vote, every acknowledgement and every commit of a leader. A disk that loses what was synced shows here too. */
#include <inttypes.h>

#include "store/wal_format.h"
#include "tests/sim/sim.h"

void durable_release(struct sim_durable *d)
{
    mem_free(d->entries);
    *d = (struct sim_durable){0};
}

static void put(struct sim_durable *d, uint64_t index, uint64_t term, struct bytes payload)
{
    ASSERT(index > d->base && index <= d->base + d->n + 1);
    if (index - d->base > d->cap) {
        d->cap = MAX((size_t)256, d->cap * 2);
        d->entries = mem_realloc(d->entries, d->cap * sizeof(*d->entries));
    }
    d->entries[index - d->base - 1] = (struct sim_durable_entry){term, hash64(payload)};
    d->n = index - d->base; /* a batch that goes back has cut off what followed */
}

uint64_t durable_lowest(const struct wal_batch *b) { return b->n_entries ? b->entries[0].index : UINT64_MAX; }

void durable_batch(struct sim_durable *d, const struct wal_batch *b)
{
    for (unsigned i = 0; i < b->n_entries; i++)
        put(d, b->entries[i].index, b->entries[i].term, blob_bytes(b->entries[i].payload));
    if (b->has_hard_state) {
        d->term = b->hard_state.term;
        d->vote = b->hard_state.vote;
    }
}

void durable_reset(struct sim_durable *d, uint64_t index)
{
    d->base = index;
    d->n = 0;
}

static bool holds(const struct sim_durable *d, uint64_t index, uint64_t term)
{
    return index <= d->base || (index <= d->base + d->n && d->entries[index - d->base - 1].term == term);
}

/* ---- after a crash ---- */

static bool recovered(const struct wal_recovered *w, uint64_t index, const struct sim_durable_entry *e)
{
    uint64_t at = index - w->compacted_index - 1;
    return at < w->n_entries && w->entries[at].term == e->term && hash64(blob_bytes(w->entries[at].payload)) == e->hash;
}

static void check(struct sim *s, const struct sim_machine *m, struct sim_stored *st, const struct wal_recovered *w)
{
    struct sim_durable *d = &st->durable;
    const struct raft_hard_state *h = &w->hard_state;
    if (h->term < d->term || (h->term == d->term && d->vote && h->vote != d->vote))
        sim_fail(s, "%s, group %" PRIu64 ": term %" PRIu64 " and vote %" PRIu64 " were durable, but its log has %" PRIu64 " and %" PRIu64,
                 m->addr, st->gid, d->term, d->vote, h->term, h->vote);
    for (uint64_t i = MAX(d->base, w->compacted_index) + 1; i <= d->base + d->n && i < st->in_flight; i++)
        if (!recovered(w, i, &d->entries[i - d->base - 1]))
            sim_fail(s, "%s, group %" PRIu64 ": entry %" PRIu64 " of term %" PRIu64 " was durable, but is not in its log", m->addr, st->gid, i,
                     d->entries[i - d->base - 1].term);
    durable_reset(d, w->compacted_index);
    for (unsigned i = 0; i < w->n_entries; i++)
        put(d, w->entries[i].index, w->entries[i].term, blob_bytes(w->entries[i].payload));
    d->term = h->term;
    d->vote = h->vote;
    st->in_flight = UINT64_MAX;
}

/* What the table has, too, is not given at a start: it is read as for a member that is far behind, in small pieces. */
static bool read_kept(const struct sim_stored *st, struct wal_recovered *whole)
{
    uint64_t last = whole->compacted_index, base = last - whole->n_kept;
    while (whole->n_entries < whole->n_kept) {
        struct raft_fetch what = {.first = base + whole->n_entries + 1, .last = last, .bytes_max = 2000, .entries_max = 7};
        struct wal_range range;
        enum rgkv_err err = wal_read(st->wal, &what, &range);
        for (unsigned i = 0; i < range.n; i++) {
            whole->entries[whole->n_entries++] = range.entries[i];
            blob_ref(range.entries[i].payload);
        }
        bool some = range.n > 0;
        wal_range_release(&range);
        if (err || !some)
            return false;
    }
    return true;
}

void durable_check_recovered(struct sim *s, const struct sim_machine *m, struct sim_stored *st, const struct wal_recovered *w)
{
    struct wal_recovered whole = *w;
    if (!w->n_kept) {
        check(s, m, st, w);
        return;
    }
    whole.entries = mem_alloc((w->n_kept + w->n_entries) * sizeof(*whole.entries));
    whole.n_entries = 0;
    if (!read_kept(st, &whole)) {
        sim_fail(s, "%s, group %" PRIu64 ": entry %" PRIu64 " cannot be read from its log: %s", m->addr, st->gid,
                 w->compacted_index - w->n_kept + whole.n_entries + 1, wal_error(st->wal));
    } else {
        whole.compacted_index -= w->n_kept;
        for (unsigned i = 0; i < w->n_entries; i++) {
            whole.entries[whole.n_entries++] = w->entries[i];
            blob_ref(w->entries[i].payload);
        }
        check(s, m, st, &whole);
    }
    wal_recovered_release(&whole);
}

/* ---- promises ---- */

static const struct sim_stored *promising(const struct sim_machine *m, const struct msg_envelope *e)
{
    for (unsigned i = 0; i < m->n_stored; i++) {
        const struct sim_stored *st = &m->stored[i];
        if (st->gid == e->gid && st->incarnation == e->incarnation && st->member == e->from)
            return st;
    }
    return NULL;
}

/* What was true of an older term stays true of it, whatever was written since. */
static bool voted(const struct sim_durable *d, uint64_t term, uint64_t vote)
{
    return d->term > term || (d->term == term && d->vote == vote);
}

/* Only who was elected speaks as the leader of a term, and it had voted for itself. */
void durable_check_leads(struct sim *s, const struct sim_machine *m, const struct msg_envelope *e, const struct raft_message *r)
{
    const struct sim_stored *st = promising(m, e);
    if (st && !voted(&st->durable, r->term, r->from))
        sim_fail(s, "group %" PRIu64 ", member %" PRIu64 " speaks as the leader of term %" PRIu64 " (message %d), and had term %" PRIu64 ", vote %" PRIu64,
                 st->gid, st->member, r->term, (int)r->kind, st->durable.term, st->durable.vote);
}

void durable_check_promise(struct sim *s, const struct sim_machine *m, const struct msg *msg)
{
    const struct raft_message *r = &msg->raft.message;
    const struct sim_stored *st = promising(m, &msg->raft.envelope);
    bool fine = true;
    if (!st)
        return;
    const struct sim_durable *d = &st->durable;
    switch (r->kind) {
    case RAFT_VOTE: fine = voted(d, r->term, r->from); break;
    case RAFT_VOTE_REPLY: fine = r->rejected || voted(d, r->term, r->to); break;
    case RAFT_APPEND_REPLY: fine = r->rejected || d->term > r->term || holds(d, r->log_index, r->log_term); break;
    case RAFT_HEARTBEAT_REPLY: fine = !r->log_index || d->term > r->term || holds(d, r->log_index, r->log_term); break;
    case RAFT_APPEND: case RAFT_HEARTBEAT: durable_check_leads(s, m, &msg->raft.envelope, r); break;
    case RAFT_PRE_VOTE: case RAFT_PRE_VOTE_REPLY: case RAFT_SNAPSHOT: case RAFT_TIMEOUT_NOW: break;
    }
    if (!fine)
        sim_fail(s, "group %" PRIu64 ", member %" PRIu64 " promised (message %d, term %" PRIu64 ", entry %" PRIu64
                 ") what is not durable: it has term %" PRIu64 ", vote %" PRIu64 ", entries up to %" PRIu64,
                 st->gid, st->member, (int)r->kind, r->term, r->log_index, d->term, d->vote, d->base + d->n);
}

static bool replica_of(const struct sim_machine *m, const struct sim_stored *st, struct node_replica_info *ret_i)
{
    for (unsigned k = 0; node_replica_info(m->node, k, ret_i); k++)
        if (ret_i->replica == st->replica && ret_i->raft)
            return true;
    return false;
}

static const struct sim_stored *stored_by(const struct sim *s, const struct node_replica_info *i, uint64_t member)
{
    const struct sim_stored *st = NULL;
    for (unsigned k = 0; !st && k < s->n_machines; k++)
        st = promising(&s->machines[k], &(struct msg_envelope){i->gid, i->incarnation, member, 0});
    return st;
}

/* Who is told to campaign at once has all that the leader has: else nobody leads for a while, and that was no election's work. A
 * leader that takes itself out tells the best there is. */
void durable_check_handover(struct sim *s, const struct sim_machine *m, const struct msg *msg)
{
    const struct sim_stored *st = promising(m, &msg->raft.envelope), *to;
    struct node_replica_info i;
    struct raft_status status;
    if (!st || !replica_of(m, st, &i) || !(to = stored_by(s, &i, msg->raft.message.to)))
        return;
    raft_status(i.raft, &status);
    if (status.role == RAFT_LEADER && status.term == msg->raft.message.term && !holds(&to->durable, status.last_index, status.last_term))
        sim_fail(s, "group %" PRIu64 ": leadership goes from member %" PRIu64 " to %" PRIu64 ", which lacks entry %" PRIu64, i.gid, i.member,
                 msg->raft.message.to, status.last_index);
}

void durable_check_commit(struct sim *s, const struct node_replica_info *i, uint64_t commit)
{
    const struct raft_config *c = raft_config(i->raft);
    uint64_t term = raft_term_at(i->raft, commit);
    unsigned have = 0;
    for (unsigned k = 0; k < c->n; k++) {
        const struct sim_stored *st = stored_by(s, i, c->members[k].id);
        bool lost = members_wiped(s, c->members[k].node); /* it had it, for all that is known */
        if (!c->members[k].voter || lost) {
            have += lost && c->members[k].voter;
            continue;
        }
        if (!st)
            return; /* the group is over: its files are being deleted (or it just begins) */
        have += holds(&st->durable, commit, term);
    }
    /* A change that was appended since counts already; what was committed before it needed one voter less, perhaps. */
    unsigned voters = raft_config_voters(c) - (raft_config_index(i->raft) > commit);
    if (have * 2 <= voters)
        sim_fail(s, "group %" PRIu64 ", member %" PRIu64 " committed entry %" PRIu64 " of term %" PRIu64 ", but only %u of %u have it durably",
                 i->gid, i->member, commit, term, have, voters);
}
