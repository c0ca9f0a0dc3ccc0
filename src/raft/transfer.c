/* Handing leadership over (section 3.10): stop taking proposals, wait until the successor has everything, tell it
 * to campaign at once. Given up after one election timeout.
 *
 * Who was restarted just now has the log, or soon will, and then applies it: if it led before that, reads and writes would wait
 * for as long. Therefore followers tell what they have applied. */
#include "base/mutant.h"
#include "raft/internal.h"

/* So much is behind for a few milliseconds only. */
#define NEAR_ENTRIES 4096u
#define NEAR_BYTES (4u << 20)

static bool near(const struct raft *r, uint64_t index)
{
    uint64_t last = raft_log_last(&r->log);
    return index + NEAR_ENTRIES >= last && raft_log_bytes(&r->log, index, last) <= NEAR_BYTES;
}

static bool has_log(const struct raft *r, const struct raft_peer *p) { return p->state == PEER_REPLICATE && near(r, p->match); }
static bool could_lead(const struct raft *r, const struct raft_peer *p) { return has_log(r, p) && near(r, p->applied); }

/* Another voter that was heard of lately. */
static bool stays(const struct raft *r, const struct raft_peer *p)
{
    return p->voter && p->id != r->options.id && raft_peer_recent(r, p);
}

bool raft_may_leave(const struct raft *r)
{
    unsigned n = 0, with_log = 0, leaders = 0;
    for (unsigned i = 0; i < r->n_peers; i++) {
        const struct raft_peer *p = &r->peers[i];
        if (!stays(r, p))
            continue;
        n++;
        with_log += has_log(r, p);
        leaders += could_lead(r, p);
    }
    bool commits = with_log == n || with_log > raft_config_voters(&r->config) / 2;
    return n == 0 || (leaders > 0 && commits);
}

static bool better(const struct raft *r, const struct raft_peer *a, const struct raft_peer *b)
{
    bool a_leads = could_lead(r, a), b_leads = could_lead(r, b);
    return a_leads != b_leads ? a_leads : a->match > b->match;
}

/* Among equals the next one after this member, round and round: who would not lead either (its disk is nearly full, too) passes the lead on, and not
 * back. */
static const struct raft_peer *follower_best(struct raft *r)
{
    const struct raft_peer *best = NULL;
    unsigned me = 0;
    while (me < r->n_peers && r->peers[me].id != r->options.id)
        me++;
    for (unsigned i = 1; i <= r->n_peers; i++) {
        const struct raft_peer *p = &r->peers[(me + i) % r->n_peers];
        if (stays(r, p) && (!best || better(r, p, best)))
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
    if (peer && (!stays(r, p) || !has_log(r, p))) /* proposals are refused meanwhile: not for who cannot take over in time */
        return RGKV_BUSY;
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
