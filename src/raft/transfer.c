/* Handing leadership over (section 3.10): stop taking proposals, wait until the successor has everything, tell it
 * to campaign at once. Given up after one election timeout. */
#include "base/mutant.h"
#include "raft/internal.h"

static const struct raft_peer *follower_best(struct raft *r)
{
    const struct raft_peer *best = NULL;
    for (unsigned i = 0; i < r->n_peers; i++) {
        const struct raft_peer *p = &r->peers[i];
        bool fit = p->voter && p->id != r->options.id && raft_peer_recent(r, p);
        if (fit && (!best || p->match > best->match))
            best = p;
    }
    return best;
}

enum rgkv_err raft_transfer(struct raft *r, uint64_t peer)
{
    const struct raft_peer *p = peer ? raft_peer(r, peer) : follower_best(r);
    if (r->role != RAFT_LEADER)
        return RGKV_NOT_LEADER;
    if (r->transfer_to || (!peer && !p))
        return RGKV_BUSY;
    if (!p || !p->voter || p->id == r->options.id)
        return RGKV_INVALID;
    r->transfer_to = p->id;
    r->transfer_deadline_us = r->now_us + r->options.election_us;
    r->transfer_sent = false;
    return RGKV_OK;
}

void raft_transfer_tick(struct raft *r)
{
    if (r->transfer_to && r->now_us >= r->transfer_deadline_us)
        r->transfer_to = 0;
}

static void timeout_now_send(struct raft *r, uint64_t to)
{
    struct raft_message m = raft_message_new(r, RAFT_TIMEOUT_NOW, to);
    m.transfer = true;
    raft_send(r, &m);
}

void raft_transfer_collect(struct raft *r)
{
    if (!r->transfer_to || r->transfer_sent)
        return;
    const struct raft_peer *p = raft_peer(r, r->transfer_to);
    if (!p || !p->voter) {
        r->transfer_to = 0;
    } else if (p->match == raft_log_last(&r->log) || MUTANT(transfer_lagging)) {
        timeout_now_send(r, p->id);
        r->transfer_sent = true;
    }
}

/* The best is enough: if it lacks something, the others do not vote for it and time decides. */
void raft_transfer_away(struct raft *r)
{
    const struct raft_peer *p = follower_best(r);
    if (p)
        timeout_now_send(r, p->id);
}

void raft_receive_timeout_now(struct raft *r, const struct raft_message *m)
{
    if (r->role == RAFT_FOLLOWER && r->leader == m->from && m->transfer && raft_is_voter(r, r->options.id))
        raft_campaign(r, true);
}
