/* The leader's side of replication (sections 3.5, 3.6, 10.2). Everything is sent from raft_lead_collect. */
#include "base/mutant.h"
#include "raft/internal.h"

void raft_peer_init(struct raft *r, struct raft_peer *p)
{
    uint64_t id = p->id, last = raft_log_last(&r->log);
    bool voter = p->voter;
    *p = (struct raft_peer){.id = id, .voter = voter, .state = PEER_PROBE, .next = last + 1,
                            .contact_us = r->now_us, .progress_us = r->now_us};
}

void raft_lead_begin(struct raft *r)
{
    r->role = RAFT_LEADER;
    r->leader = r->options.id;
    raft_fetch_forget(r);
    for (unsigned i = 0; i < r->n_peers; i++)
        raft_peer_init(r, &r->peers[i]);
    r->heartbeat_deadline_us = r->now_us + r->options.heartbeat_us;
    r->heartbeat_due = false;
}

void raft_append_own(struct raft *r, enum raft_entry_kind kind, struct blob *payload)
{
    struct raft_entry e = {raft_log_last(&r->log) + 1, r->hard.term, kind, payload};
    raft_members_append(r, &e);
}

static uint64_t peer_contact_us(const struct raft *r, const struct raft_peer *p)
{
    return p->id == r->options.id ? r->now_us : p->contact_us;
}

uint64_t raft_quorum_contact_us(const struct raft *r) { return raft_quorum(r, peer_contact_us); }

bool raft_peer_recent(const struct raft *r, const struct raft_peer *p)
{
    return r->now_us < peer_contact_us(r, p) + r->options.election_us;
}

/* Check-quorum: who cannot reach a quorum leads nobody and says so. */
void raft_lead_tick(struct raft *r)
{
    if (r->now_us >= raft_quorum_contact_us(r) + r->options.election_us && !MUTANT(leads_for_ever)) {
        raft_become_follower(r, r->hard.term, 0);
        return;
    }
    if (r->now_us < r->heartbeat_deadline_us)
        return;
    r->heartbeat_due = true;
    r->heartbeat_deadline_us = r->now_us + r->options.heartbeat_us;
    r->transfer_sent = false; /* it may have been lost: say it again */
}

/* --- commit --- */

static uint64_t peer_match(const struct raft *r, const struct raft_peer *p)
{
    if (MUTANT(own_unsynced) && p->id == r->options.id)
        return raft_log_last(&r->log);
    return p->id == r->options.id ? r->persisted : p->match;
}

/* Only an entry of the own term is committed by counting, and all before it with it (section 3.6.2, figure 3.7). */
void raft_commit_count(struct raft *r)
{
    uint64_t index = raft_quorum(r, peer_match);
    if (index <= r->hard.commit || (raft_term_at(r, index) != r->hard.term && !MUTANT(old_term_counted)))
        return;
    raft_commit_to(r, index);
    if (r->config_index <= r->hard.commit && !raft_is_voter(r, r->options.id)) {
        raft_transfer_away(r);
        raft_become_follower(r, r->hard.term, 0);
    }
}

/* --- what is in flight --- */

uint64_t raft_peer_inflight_bytes(const struct raft *r, const struct raft_peer *p)
{
    return p->inflight_n ? raft_log_bytes(&r->log, p->match, p->sent) : 0;
}

static void inflight_add(struct raft_peer *p, uint64_t last)
{
    ASSERT(p->inflight_n < INFLIGHT_MESSAGES_MAX);
    p->inflight[(p->inflight_head + p->inflight_n++) % INFLIGHT_MESSAGES_MAX] = last;
}

static void inflight_acknowledged(struct raft_peer *p, uint64_t index)
{
    while (p->inflight_n && p->inflight[p->inflight_head] <= index) {
        p->inflight_head = (p->inflight_head + 1) % INFLIGHT_MESSAGES_MAX;
        p->inflight_n--;
    }
}

static void peer_probe_from(struct raft_peer *p, uint64_t next)
{
    p->state = PEER_PROBE;
    p->next = next;
    p->sent = next - 1;
    p->probe_sent = false;
    p->snapshot_named = false;
    p->inflight_n = 0;
}

static void peer_replicate(struct raft *r, struct raft_peer *p)
{
    peer_probe_from(p, p->match + 1);
    p->state = PEER_REPLICATE;
    p->progress_us = r->now_us;
}

/* --- sending --- */

static unsigned entries_fitting(const struct raft *r, uint64_t next, uint64_t bytes_max)
{
    uint64_t n_max = r->options.append_entries_max ? r->options.append_entries_max : APPEND_ENTRIES_MAX;
    uint64_t last = MIN(raft_log_last(&r->log), next - 1 + n_max), i = next;
    while (i <= last && raft_log_bytes(&r->log, next - 1, i) <= bytes_max)
        i++;
    return (unsigned)(i - next);
}

/* Entries live where the log, or what was fetched, keeps them: nothing moves between here and the end of the collect. */
static void append_send(struct raft *r, struct raft_peer *p, uint64_t before_term, const struct raft_entry *entries, unsigned n)
{
    struct raft_message m = raft_message_new(r, RAFT_APPEND, p->id);
    m.log_index = p->next - 1;
    m.log_term = before_term;
    m.commit = r->hard.commit;
    m.n_entries = n;
    m.entries = n ? entries : NULL;
    raft_send(r, &m);
    p->sent = m.log_index + n;
}

static void append_send_of_log(struct raft *r, struct raft_peer *p, unsigned n)
{
    append_send(r, p, raft_term_at(r, p->next - 1), raft_log_at(&r->log, p->next), n);
}

static void probe_sent(struct raft *r, struct raft_peer *p)
{
    p->probe_sent = true;
    p->progress_us = r->now_us;
}

static void probe_send(struct raft *r, struct raft_peer *p)
{
    bool alive = raft_peer_recent(r, p);
    append_send_of_log(r, p, alive ? entries_fitting(r, p->next, PROBE_BYTES_MAX) : 0);
    probe_sent(r, p);
}

static void pipeline_send(struct raft *r, struct raft_peer *p)
{
    while (p->next <= raft_log_last(&r->log) && p->inflight_n < INFLIGHT_MESSAGES_MAX) {
        uint64_t used = raft_peer_inflight_bytes(r, p);
        uint64_t room = INFLIGHT_BYTES_MAX - MIN(INFLIGHT_BYTES_MAX, used);
        unsigned n = entries_fitting(r, p->next, MIN(room, APPEND_BYTES_MAX));
        if (n == 0)
            return;
        if (p->inflight_n == 0)
            p->progress_us = r->now_us;
        append_send_of_log(r, p, n);
        p->next += n;
        inflight_add(p, p->sent);
    }
}

/* What is not in memory any more: one message at a time, and the next entries are fetched while it travels. For a silent peer
 * nothing is read. */
static void fetched_send(struct raft *r, struct raft_peer *p)
{
    const struct raft_fetched *f = raft_fetched_for(r, p);
    if (!raft_peer_recent(r, p))
        return;
    if (f && p->state == PEER_PROBE) {
        append_send(r, p, f->before_term, f->entries, f->n);
        probe_sent(r, p);
    } else if (f && p->inflight_n == 0) {
        append_send(r, p, f->before_term, f->entries, f->n);
        p->progress_us = r->now_us;
        p->next += f->n;
        inflight_add(p, p->sent);
        f = NULL;
    }
    if (!f && p->next <= r->log.base_index)
        raft_fetch(r, p);
}

/* The next entry is compacted away. A silent peer is not named: nobody could send to it. */
static void snapshot_want(struct raft *r, struct raft_peer *p)
{
    if (!raft_peer_recent(r, p))
        return;
    p->state = PEER_SNAPSHOT;
    p->snapshot_named = false;
    p->inflight_n = 0;
}

static void log_send(struct raft *r, struct raft_peer *p)
{
    raft_fetch_done(r, p);
    if (p->state == PEER_PROBE)
        probe_send(r, p);
    else
        pipeline_send(r, p);
}

static void appends_send(struct raft *r, struct raft_peer *p)
{
    bool waits = p->state == PEER_SNAPSHOT || (p->state == PEER_PROBE && p->probe_sent);
    if (waits)
        return;
    if (p->next <= r->kept_index)
        snapshot_want(r, p);
    else if (p->next <= r->log.base_index)
        fetched_send(r, p);
    else
        log_send(r, p);
}

static void heartbeat_send(struct raft *r, const struct raft_peer *p)
{
    struct raft_message m = raft_message_new(r, RAFT_HEARTBEAT, p->id);
    m.commit = MUTANT(heartbeat_unverified) ? r->hard.commit : MIN(p->match, r->hard.commit);
    m.log_index = m.commit;
    m.log_term = raft_term_at(r, m.commit);
    m.round = r->reads.round;
    raft_send(r, &m);
}

void raft_lead_collect(struct raft *r)
{
    bool beat = raft_reads_begin_round(r) || r->heartbeat_due;
    if (beat)
        r->heartbeat_deadline_us = r->now_us + r->options.heartbeat_us;
    r->heartbeat_due = false;
    for (unsigned i = 0; i < r->n_peers; i++) {
        if (r->peers[i].id == r->options.id)
            continue;
        appends_send(r, &r->peers[i]);
        if (beat)
            heartbeat_send(r, &r->peers[i]);
    }
    raft_transfer_collect(r);
}

/* --- answers --- */

static struct raft_peer *peer_heard(struct raft *r, uint64_t id)
{
    struct raft_peer *p = r->role == RAFT_LEADER ? raft_peer(r, id) : NULL;
    if (p) {
        p->contact_us = r->now_us;
        p->heard = true;
    }
    return p;
}

/* Index and term: the name of an entry of this leader's log, or it is no acknowledgement of it. */
static bool acknowledgement_true(const struct raft *r, const struct raft_message *m)
{
    uint64_t term = raft_term_at(r, m->log_index);
    bool same = term == m->log_term || m->log_index < r->log.base_index || MUTANT(ack_by_index);
    return m->log_index <= raft_log_last(&r->log) && same;
}

static void peer_resume(struct raft *r, struct raft_peer *p, uint64_t acknowledged, bool moved)
{
    switch (p->state) {
    case PEER_PROBE:
        if (moved || acknowledged >= p->next - 1)
            peer_replicate(r, p);
        break;
    case PEER_REPLICATE:
        inflight_acknowledged(p, p->match);
        break;
    case PEER_SNAPSHOT:
        if (p->match >= r->kept_index)
            peer_replicate(r, p);
        break;
    }
    p->next = MAX(p->next, p->match + 1);
    p->sent = MAX(p->sent, p->match);
}

static void peer_acknowledged(struct raft *r, struct raft_peer *p, const struct raft_message *m)
{
    if (!acknowledgement_true(r, m)) {
        r->ignored++;
        return;
    }
    bool moved = m->log_index > p->match;
    if (moved) {
        p->match = m->log_index;
        p->progress_us = r->now_us;
    }
    if (moved || m->kind == RAFT_APPEND_REPLY)
        peer_resume(r, p, m->log_index, moved);
    if (moved)
        raft_commit_count(r);
}

/* Where it agrees, as far as can be told. Of the part that is not in memory the terms are not known here: what the peer said it has is
 * tried as it is, and if that was refused, what it has committed. (One entry back at a time might be a million readings.) */
static uint64_t agreed_until(const struct raft *r, const struct raft_message *m)
{
    uint64_t base = r->log.base_index, found = raft_log_find(&r->log, MIN(m->hint_index, m->log_index), m->hint_term);
    if (found >= base)
        return found;
    return MIN(m->hint_index, m->log_index < base ? m->commit : found);
}

/* Old refusals come late and twice: only the answer to the probe that is out, or to something in the
 * pipeline, counts. Nothing ever goes back below match. */
static void peer_refused(struct raft *r, struct raft_peer *p, const struct raft_message *m)
{
    if (m->log_index <= p->match)
        return;
    if (MUTANT(hint_believed))
        p->match = MAX(p->match, MIN(m->hint_index, raft_log_last(&r->log)));
    if (p->state == PEER_REPLICATE && m->log_index < p->next) {
        peer_probe_from(p, p->match + 1);
    } else if (p->state == PEER_PROBE && m->log_index == p->next - 1) {
        uint64_t next = agreed_until(r, m) + 1;
        if (!MUTANT(no_back_up))
            peer_probe_from(p, MAX(p->match + 1, MIN(m->log_index, next)));
    }
}

void raft_receive_append_reply(struct raft *r, const struct raft_message *m)
{
    struct raft_peer *p = peer_heard(r, m->from);
    if (p && m->rejected) {
        peer_refused(r, p, m);
    } else if (p) {
        p->applied = m->commit;
        peer_acknowledged(r, p, m);
    }
}

/* The peer lives; if what was sent does not show, send it again. `seen` is the last entry that it holds, durable
 * or not: a slow disk is no reason to send anything twice, a lost acknowledgement is one in the end. */
static void peer_recover(struct raft *r, struct raft_peer *p, uint64_t seen)
{
    uint64_t silent_us = r->now_us - p->progress_us, beat_us = r->options.heartbeat_us;
    if (p->state == PEER_PROBE && silent_us >= beat_us)
        p->probe_sent = false;
    else if (p->state == PEER_REPLICATE && p->sent > p->match && !MUTANT(lost_not_resent) &&
             silent_us >= beat_us * (seen >= p->sent ? SLOW_HEARTBEATS : LOST_HEARTBEATS))
        peer_probe_from(p, p->match + 1);
}

void raft_receive_heartbeat_reply(struct raft *r, const struct raft_message *m)
{
    struct raft_peer *p = peer_heard(r, m->from);
    if (!p)
        return;
    p->applied = m->commit;
    p->round = MUTANT(read_old_round) ? r->reads.round : MAX(p->round, MIN(m->round, r->reads.round));
    raft_reads_confirm(r);
    peer_recover(r, p, m->hint_index);
    if (m->log_index)
        peer_acknowledged(r, p, m);
}

void raft_snapshot_sent(struct raft *r, uint64_t peer, uint64_t index)
{
    struct raft_peer *p = r->role == RAFT_LEADER ? raft_peer(r, peer) : NULL;
    if (!p || p->state != PEER_SNAPSHOT)
        return;
    p->match = MAX(p->match, MIN(index, raft_log_last(&r->log)));
    peer_probe_from(p, p->match + 1);
}

/* It is named again only after a sign of life at least one heartbeat from now. */
void raft_snapshot_failed(struct raft *r, uint64_t peer)
{
    struct raft_peer *p = r->role == RAFT_LEADER ? raft_peer(r, peer) : NULL;
    if (!p || p->state != PEER_SNAPSHOT)
        return;
    peer_probe_from(p, p->match + 1);
    p->probe_sent = true;
    p->progress_us = r->now_us;
}
