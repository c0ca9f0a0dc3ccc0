/* Compaction: a flush makes the applied rows durable, then the log forgets the entries behind them: the memory at once, the
 * disk when no member needs them any more. A member that gets a table would else need the next one when it has it, and never
 * end, if others write much meanwhile (B42); what they write during the copy is read from the log's files and sent. */
#include "base/mutant.h"
#include "node/internal.h"

#define FLUSH_RETRY_US 1000000u
#define LET_GO_GAP_US 1000000u
#define LONG_JOBS_WITH_A_FLUSH_MAX 4u /* at once in a node: each takes a thread of the outside's, and the logs' syncs need some */

static bool flush_due(const struct node *n, const struct replica *r, const struct raft_status *s)
{
    uint64_t bytes = (uint64_t)n->options.snapshot_bytes;
    return s->log_bytes > (s->role == RAFT_LEADER ? MAX(bytes, r->flush_at_bytes) : bytes) && n->now_us >= r->flush_not_before_us;
}

/* The last entry, up to `index`, that every live follower has. Who gets a table needs what comes after that, and who lacks what is
 * gone already will get one. */
static uint64_t needed_after(const struct replica *r, const struct raft_status *s, uint64_t index)
{
    const struct raft_config *c = raft_config(r->raft);
    for (unsigned i = 0; i < c->n; i++) {
        struct raft_peer_status peer;
        if (c->members[i].id == s->id || !raft_peer_status(r->raft, c->members[i].id, &peer) || !peer.recent || peer.snapshotting)
            continue;
        if (peer.match == 0 || peer.match >= s->kept_index) /* 0: it has not said yet */
            index = MIN(index, peer.match);
    }
    return index;
}

/* Entries that a live follower still lacks stay in memory, within four times the bound. */
static uint64_t eviction_index(const struct node *n, const struct replica *r, const struct raft_status *s)
{
    uint64_t index = MUTANT(flush_noted_after) ? MIN(r->applied, s->persisted) : r->flush_index;
    if (s->role != RAFT_LEADER || s->log_bytes > 4 * (uint64_t)n->options.snapshot_bytes)
        return index;
    return needed_after(r, s, index);
}

static uint64_t table_bytes(const struct replica *r)
{
    struct kv_shard_status st;
    uint64_t bytes = 0;
    for (uint32_t i = 0; r->kv && i < r->desc.nshards; i++) {
        kv_shard_status(r->kv, i, &st);
        bytes += st.bytes;
    }
    return bytes;
}

/* Sending entries is cheaper than sending the table as long as they are fewer bytes; and the disk is for the data. */
static bool log_is_too_long(const struct node *n, const struct replica *r)
{
    uint64_t bytes = r->disk_bytes;
    if (r->disk_full || (n->disk_total && n->disk_free < bytes))
        return true;
    return bytes > 16 * (uint64_t)n->options.snapshot_bytes && bytes > table_bytes(r);
}

/* Up to where the disk may forget: at most `evicted`. */
static uint64_t compaction_index(const struct node *n, const struct replica *r, const struct raft_status *s, uint64_t evicted)
{
    if (s->role != RAFT_LEADER || log_is_too_long(n, r))
        return evicted;
    return MIN(needed_after(r, s, evicted), transfer_index(r));
}

/* A follower that lacks entries keeps them here: not a flush after each other until it has them. */
static void flush_later(const struct node *n, struct replica *r)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    r->flush_at_bytes = s.log_bytes + (uint64_t)n->options.snapshot_bytes / 4;
}

static void evict(struct node *n, struct replica *r)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    uint64_t index = eviction_index(n, r, &s), term = raft_term_at(r->raft, index);
    if (index < s.first_index || term == 0)
        return;
    struct raft_input in = {.kind = RAFT_EVICTED, .log_index = index, .log_term = term};
    enum rgkv_err err = replica_step(n, r, &in);
    ASSERT(err == RGKV_OK);
}

static void let_go(struct node *n, struct replica *r)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    uint64_t index = compaction_index(n, r, &s, s.first_index - 1);
    r->let_go_next_us = n->now_us + LET_GO_GAP_US;
    if (index <= s.kept_index && !r->compact_again)
        return;
    index = MAX(index, s.kept_index);
    r->compact_again = false;
    struct raft_input in = {.kind = RAFT_COMPACTED, .log_index = index};
    enum rgkv_err err = replica_step(n, r, &in);
    ASSERT(err == RGKV_OK);
    out_effect(&n->out, &(struct node_effect){.kind = NODE_COMPACT, .replica = r->id, .index = index});
}

/* Rows are durable only after a save and a flush; what was saved before it is what the log may forget (P23). */
void compact_tick(struct node *n, struct replica *r)
{
    struct raft_status s;
    if (n->options.snapshot_bytes < 0 || r->state != REPLICA_RUNNING)
        return;
    raft_status(r->raft, &s);
    if ((r->compact_again || s.kept_index + 1 < s.first_index) && n->now_us >= r->let_go_next_us)
        let_go(n, r); /* on a full disk, too: it makes room */
    if (r->flushing || r->table_full || node_long_jobs(n) >= LONG_JOBS_WITH_A_FLUSH_MAX)
        return;
    /* Others may always be ahead of this disk: what they committed is applied before it is in the log here. */
    uint64_t index = MIN(r->applied, s.persisted);
    if (!flush_due(n, r, &s) || index < s.first_index || !save_reaches(n, r, &r->flush_wants))
        return;
    r->flushing = true;
    r->flush_index = MIN(save_index(r), s.persisted);
    out_effect(&n->out, &(struct node_effect){.kind = NODE_FLUSH, .replica = r->id});
}

void compact_log_read(struct node *n, struct replica *r, const struct node_input *i)
{
    if (r->state != REPLICA_RUNNING)
        return;
    if (i->err)
        node_event(n, "group %llu: older entries of the log cannot be read, member %llu gets a snapshot: %s", (unsigned long long)r->desc.gid,
                   (unsigned long long)i->fetch->peer, i->why ? i->why : rgkv_err_sentence(i->err));
    struct raft_input in = {.kind = RAFT_FETCHED, .peer = i->fetch->peer, .log_index = i->fetch->first, .log_term = i->range->before_term,
                            .n_entries = i->err ? 0 : i->range->n, .entries = i->range->entries};
    enum rgkv_err err = replica_step(n, r, &in);
    ASSERT(err == RGKV_OK);
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
    evict(n, r);
    let_go(n, r);
    flush_later(n, r);
}
