/* Elections (sections 3.4, 4.2.3, 9.6).
 *
 *              timeout              a quorum would               a quorum did
 *    FOLLOWER ---------> PRE_CANDIDATE ----------> CANDIDATE ------------------> LEADER
 *        ^                    | timeout: again         | timeout: PRE_CANDIDATE     |
 *        +--------------------+------------------------+----------------------------+
 *           a leader of this term; a higher term; (leader) no quorum heard of, removed
 *
 * A pre-vote changes no term, and whoever hears a leader refuses it: a member that cannot win, or that only
 * cannot hear, disturbs nobody. The term and the candidate's own vote are durable before any request for votes
 * leaves (they travel after the sync), so an answer proves that the own vote counts. A single voter gets no
 * answers: it appends its no-op in the same batch as its vote and leads when that entry is durable. */
#include "base/mutant.h"
#include "raft/internal.h"

void raft_election_timer_reset(struct raft *r)
{
    uint64_t us = r->options.election_us;
    r->election_deadline_us = r->now_us + us + prng_below(&r->prng, us);
}

static void term_set(struct raft *r, uint64_t term, uint64_t vote)
{
    ASSERT(term > r->hard.term);
    r->hard.term = term;
    r->hard.vote = vote;
    r->leader = 0;
    r->verified = r->sure = 0;
    raft_outbox_clear(r);
}

void raft_become_follower(struct raft *r, uint64_t term, uint64_t leader)
{
    bool waited = r->role == RAFT_FOLLOWER;
    if (r->role == RAFT_LEADER) {
        raft_reads_fail(r);
        raft_fetch_forget(r);
        r->transfer_to = 0;
    }
    if (term > r->hard.term)
        term_set(r, term, 0);
    r->role = RAFT_FOLLOWER;
    r->leader = leader;
    if (!waited)
        raft_election_timer_reset(r);
}

void raft_follow(struct raft *r, uint64_t leader)
{
    if (r->role != RAFT_FOLLOWER || r->leader != leader)
        raft_become_follower(r, r->hard.term, leader);
    r->leader_contact_us = r->now_us;
    raft_election_timer_reset(r);
}

bool raft_is_sticky(const struct raft *r)
{
    if (r->role == RAFT_LEADER)
        return true;
    return r->leader && r->now_us < r->leader_contact_us + r->options.election_us;
}

/* Whoever has not granted it yet. A question or its answer may have been lost, say to a peer that came back a moment ago: they
 * are asked again with each heartbeat interval (section 5.1 of the paper: RPCs are retried). */
static void votes_ask(struct raft *r, struct raft_message m)
{
    m.log_index = raft_log_last(&r->log);
    m.log_term = raft_log_last_term(&r->log);
    r->ask_again_us = r->now_us + r->options.heartbeat_us;
    for (unsigned i = 0; i < r->n_peers; i++) {
        m.to = r->peers[i].id;
        if (!r->peers[i].voter || r->peers[i].granted || m.to == r->options.id)
            continue;
        if (m.kind == RAFT_VOTE)
            raft_send_after_sync(r, &m, true);
        else
            raft_send(r, &m);
    }
}

static void votes_forget(struct raft *r)
{
    for (unsigned i = 0; i < r->n_peers; i++)
        r->peers[i].granted = r->peers[i].id == r->options.id;
}

static void pre_votes_ask(struct raft *r)
{
    struct raft_message m = raft_message_new(r, RAFT_PRE_VOTE, 0);
    m.term = r->hard.term + 1;
    votes_ask(r, m);
}

static void real_votes_ask(struct raft *r)
{
    struct raft_message m = raft_message_new(r, RAFT_VOTE, 0);
    m.transfer = r->campaign_transfer;
    votes_ask(r, m);
}

static void pre_campaign(struct raft *r)
{
    r->role = RAFT_PRE_CANDIDATE;
    r->leader = 0;
    votes_forget(r);
    raft_election_timer_reset(r);
    pre_votes_ask(r);
}

void raft_campaign(struct raft *r, bool transfer)
{
    r->role = RAFT_CANDIDATE;
    term_set(r, r->hard.term + 1, r->options.id);
    if (!MUTANT(pre_vote_counts))
        votes_forget(r);
    raft_election_timer_reset(r);
    if (raft_is_only_voter(r)) {
        raft_append_own(r, RAFT_NOOP, NULL);
        return;
    }
    r->campaign_transfer = transfer;
    real_votes_ask(r);
}

bool raft_asks_for_votes(const struct raft *r)
{
    return (r->role == RAFT_PRE_CANDIDATE || r->role == RAFT_CANDIDATE) && !raft_is_only_voter(r);
}

static void ask_again(struct raft *r)
{
    if (!raft_asks_for_votes(r) || r->now_us < r->ask_again_us)
        return;
    if (r->role == RAFT_CANDIDATE)
        real_votes_ask(r);
    else
        pre_votes_ask(r);
}

void raft_vote_persisted(struct raft *r, uint64_t term)
{
    if (r->role == RAFT_CANDIDATE && term == r->hard.term && raft_is_only_voter(r))
        raft_lead_begin(r);
}

void raft_election_tick(struct raft *r)
{
    if (r->now_us < r->election_deadline_us || !raft_may_campaign(r)) {
        ask_again(r);
        return;
    }
    if (!raft_is_only_voter(r))
        pre_campaign(r);
    else if (r->role == RAFT_CANDIDATE) /* its own disk is slow: a higher term would not help */
        raft_election_timer_reset(r);
    else
        raft_campaign(r, false);
}

/* Section 3.6.1: who votes must not know more than who asks. */
static bool log_is_behind(const struct raft *r, const struct raft_message *m)
{
    uint64_t term = MUTANT(vote_for_ignorant) ? 0 : raft_log_last_term(&r->log);
    return m->log_term < term || (m->log_term == term && m->log_index < raft_log_last(&r->log));
}

void raft_receive_pre_vote(struct raft *r, const struct raft_message *m)
{
    struct raft_message reply = raft_message_new(r, RAFT_PRE_VOTE_REPLY, m->from);
    reply.rejected = m->term <= r->hard.term || raft_is_sticky(r) || log_is_behind(r, m);
    if (!reply.rejected)
        reply.term = m->term;
    raft_send(r, &reply);
}

/* A learner votes when it is asked: only voters are, and its own log may not yet say that it is one. */
void raft_receive_vote(struct raft *r, const struct raft_message *m)
{
    bool free = r->hard.vote == m->from || (r->hard.vote == 0 && r->leader == 0) || MUTANT(vote_twice);
    struct raft_message reply = raft_message_new(r, RAFT_VOTE_REPLY, m->from);
    reply.rejected = !free || log_is_behind(r, m);
    if (!reply.rejected) {
        r->hard.vote = m->from;
        raft_election_timer_reset(r);
    }
    if (MUTANT(vote_unsynced))
        raft_send(r, &reply);
    else
        raft_send_after_sync(r, &reply, !reply.rejected);
}

static uint64_t peer_granted(const struct raft *r, const struct raft_peer *p) { return p->granted; }

static bool campaign_won(struct raft *r, uint64_t voter)
{
    struct raft_peer *p = raft_peer(r, voter);
    if (p)
        p->granted = true;
    return raft_quorum(r, peer_granted) == 1;
}

void raft_receive_pre_vote_reply(struct raft *r, const struct raft_message *m)
{
    bool mine = r->role == RAFT_PRE_CANDIDATE && m->term == r->hard.term + 1 && !m->rejected;
    if (mine && campaign_won(r, m->from))
        raft_campaign(r, false);
}

void raft_receive_vote_reply(struct raft *r, const struct raft_message *m)
{
    if (r->role != RAFT_CANDIDATE || m->rejected || !campaign_won(r, m->from))
        return;
    raft_lead_begin(r);
    if (!r->options.no_noop && !MUTANT(no_noop))
        raft_append_own(r, RAFT_NOOP, NULL);
}
