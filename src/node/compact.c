/* Compaction: a flush makes the applied rows durable, then the log forgets the entries behind them. */
#include "base/mutant.h"
#include "node/internal.h"

#define FLUSH_RETRY_US 1000000u
#define LONG_JOBS_MAX 4u /* at once in a node: each takes a thread of the outside's, and the logs' syncs need some */

static bool flush_due(const struct node *n, const struct replica *r, const struct raft_status *s)
{
    uint64_t bytes = (uint64_t)n->options.snapshot_bytes;
    return s->log_bytes > (s->role == RAFT_LEADER ? MAX(bytes, r->flush_at_bytes) : bytes) && n->now_us >= r->flush_not_before_us;
}

/* Rows are durable only after a flush; the index noted before it is what the log may forget (P23). */
void compact_tick(struct node *n, struct replica *r)
{
    struct raft_status s;
    if (r->flushing || r->table_full || n->options.snapshot_bytes < 0 || r->state != REPLICA_RUNNING || node_long_jobs(n) >= LONG_JOBS_MAX)
        return;
    raft_status(r->raft, &s);
    /* Others may always be ahead of this disk: what they committed is applied before it is in the log here. */
    uint64_t index = MIN(r->applied, s.persisted);
    if (!flush_due(n, r, &s) || index < s.first_index)
        return;
    if (!apply_write(n, r))
        return;
    r->flushing = true;
    r->flush_index = index;
    r->flush_term = raft_term_at(r->raft, index);
    out_effect(&n->out, &(struct node_effect){.kind = NODE_FLUSH, .replica = r->id});
}

/* Entries that a live follower still lacks are kept, within four times the bound: sending entries is cheaper than a table. */
static uint64_t compaction_index(const struct node *n, const struct replica *r, const struct raft_status *s)
{
    uint64_t index = MUTANT(flush_noted_after) ? MIN(r->applied, s->persisted) : r->flush_index;
    if (s->role != RAFT_LEADER || s->log_bytes > 4 * (uint64_t)n->options.snapshot_bytes)
        return index;
    const struct raft_config *c = raft_config(r->raft);
    for (unsigned i = 0; i < c->n; i++) {
        struct raft_peer_status peer;
        if (c->members[i].id != s->id && raft_peer_status(r->raft, c->members[i].id, &peer) && peer.recent)
            index = MIN(index, peer.match);
    }
    return index;
}

/* A follower that lacks entries keeps them here: not a flush after each other until it has them. */
static void flush_later(const struct node *n, struct replica *r)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    r->flush_at_bytes = s.log_bytes + (uint64_t)n->options.snapshot_bytes / 4;
}

static void compact(struct node *n, struct replica *r)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    uint64_t index = compaction_index(n, r, &s), term = raft_term_at(r->raft, index);
    if (index < s.first_index || term == 0)
        return;
    struct raft_input in = {.kind = RAFT_COMPACTED, .log_index = index, .log_term = term};
    if (replica_step(n, r, &in) == RGKV_OK)
        out_effect(&n->out, &(struct node_effect){.kind = NODE_COMPACT, .replica = r->id, .index = index, .term = term});
}

void replica_flushed(struct node *n, struct replica *r, enum rgkv_err err)
{
    r->flushing = false;
    if (err) {
        r->flush_not_before_us = n->now_us + FLUSH_RETRY_US;
        node_event(n, "group %llu: the table cannot be flushed: %s", (unsigned long long)r->desc.gid, rgkv_err_sentence(err));
        return;
    }
    if (r->state != REPLICA_RUNNING)
        return;
    compact(n, r);
    flush_later(n, r);
}
