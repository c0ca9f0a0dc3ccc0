/* What a follower does with its leader's messages (sections 3.5, 5.3, 7).
 *
 * `verified` is the last entry that a message of this term has shown to equal the leader's: commit never goes
 * beyond it, acknowledgements name it and travel after the sync. A heartbeat verifies by itself: it carries index
 * and term of the entry up to which it commits. Committed entries equal every leader's, so hints for a leader that
 * has to back up never point below commit. */
#include "base/mutant.h"
#include "raft/internal.h"

void raft_commit_to(struct raft *r, uint64_t index)
{
    ASSERT(index <= raft_log_last(&r->log));
    r->hard.commit = MUTANT(commit_back) ? index : MAX(r->hard.commit, index);
    if (MUTANT(config_when_committed))
        raft_members_refresh(r);
}

static void append_refuse(struct raft *r, const struct raft_message *m)
{
    struct raft_message reply = raft_message_new(r, RAFT_APPEND_REPLY, m->from);
    uint64_t hint = raft_log_find(&r->log, MIN(m->log_index, raft_log_last(&r->log)), m->log_term);
    reply.rejected = true;
    reply.log_index = m->log_index;
    reply.commit = r->hard.commit;
    reply.hint_index = MAX(hint, r->hard.commit);
    reply.hint_term = raft_term_at(r, reply.hint_index);
    raft_send(r, &reply);
}

/* What lies in the compacted part is committed, hence held. */
static unsigned entries_held(const struct raft *r, const struct raft_message *m)
{
    unsigned i = 0;
    for (; i < m->n_entries; i++)
        if (m->entries[i].index > r->log.base_index &&
            (raft_log_term(&r->log, m->entries[i].index) != m->entries[i].term ||
             (MUTANT(truncate_always) && m->entries[i].index > r->hard.commit)))
            break;
    return i;
}

static void log_truncate(struct raft *r, uint64_t from)
{
    raft_members_truncate(r, from);
    if (!MUTANT(truncated_unwritten))
        r->append_from = MIN(r->append_from, from);
    r->persisted = MIN(r->persisted, from - 1);
}

/* False: the message contradicts what is committed here, or what this very leader has said before. */
static bool entries_take(struct raft *r, const struct raft_message *m)
{
    unsigned held = entries_held(r, m);
    if (held == m->n_entries)
        return true;
    uint64_t first = m->entries[held].index;
    if (first <= MAX(r->hard.commit, r->verified))
        return false;
    if (first <= raft_log_last(&r->log))
        log_truncate(r, first);
    for (unsigned i = held; i < m->n_entries; i++)
        raft_members_append(r, &m->entries[i]);
    return true;
}

static bool previous_matches(const struct raft *r, const struct raft_message *m)
{
    if (m->log_index < r->log.base_index)
        return true;
    return m->log_index <= raft_log_last(&r->log) && raft_log_term(&r->log, m->log_index) == m->log_term;
}

/* False: it has another entry where the log was compacted. That one was committed: no leader has another one there, and what
 * follows the lie could have terms from before it. */
static bool base_matches(const struct raft *r, const struct raft_message *m)
{
    uint64_t base = r->log.base_index;
    if (m->log_index >= base || m->log_index + m->n_entries < base)
        return true;
    return m->entries[base - m->log_index - 1].term == r->log.base_term;
}

void raft_receive_append(struct raft *r, const struct raft_message *m)
{
    raft_follow(r, m->from);
    if (!base_matches(r, m)) {
        r->ignored++;
        return;
    }
    if (!previous_matches(r, m)) {
        append_refuse(r, m);
        return;
    }
    if (!entries_take(r, m)) {
        r->ignored++;
        return;
    }
    r->verified = MAX(r->verified, MAX(m->log_index + m->n_entries, r->log.base_index));
    raft_commit_to(r, MIN(m->commit, MUTANT(commit_unverified) ? raft_log_last(&r->log) : r->verified));
    raft_acknowledge(r, m->from, r->verified);
}

void raft_receive_heartbeat(struct raft *r, const struct raft_message *m)
{
    raft_follow(r, m->from);
    if (m->log_term && m->commit == m->log_index && raft_term_at(r, m->log_index) == m->log_term)
        raft_commit_to(r, m->commit);
    else if (MUTANT(heartbeat_unverified))
        raft_commit_to(r, MIN(m->commit, raft_log_last(&r->log)));
    struct raft_message reply = raft_message_new(r, RAFT_HEARTBEAT_REPLY, m->from);
    reply.round = m->round;
    reply.log_index = r->sure;
    reply.log_term = r->sure ? r->hard.term : 0;
    reply.hint_index = r->verified;
    reply.commit = r->applied;
    raft_send(r, &reply);
}

void raft_receive_snapshot(struct raft *r, const struct raft_message *m)
{
    raft_follow(r, m->from);
    r->snapshot_accepted = raft_wants_snapshot(r, m->log_index, m->log_term);
    if (r->snapshot_accepted)
        return;
    if (raft_term_at(r, m->log_index) == m->log_term)
        raft_commit_to(r, m->log_index); /* snapshots are of committed entries only */
    r->verified = MAX(r->verified, r->hard.commit);
    raft_acknowledge(r, m->from, r->hard.commit);
}

bool raft_wants_snapshot(const struct raft *r, uint64_t index, uint64_t term)
{
    return (index > r->hard.commit && raft_term_at(r, index) != term) || MUTANT(install_stale);
}

/* The snapshot's entry is in the log: what follows it may have been acknowledged and must not be lost. It is
 * handed out to be written once more, in case that the outside began a new log with the snapshot. */
static void installed_behind(struct raft *r, uint64_t index)
{
    raft_members_compact(r, index);
    r->append_from = index + 1;
    r->persisted = index;
    r->sure = 0;
}

static void installed_over(struct raft *r, const struct raft_input *input)
{
    if (r->role != RAFT_FOLLOWER)
        raft_become_follower(r, r->hard.term, 0);
    raft_members_reset(r, input->log_index, input->log_term, input->config);
    r->append_from = input->log_index + 1;
    r->persisted = input->log_index;
    r->verified = r->sure = 0;
}

void raft_snapshot_installed(struct raft *r, const struct raft_input *input)
{
    uint64_t index = input->log_index;
    if (index <= r->log.base_index)
        return;
    if (raft_log_term(&r->log, index) == input->log_term)
        installed_behind(r, index);
    else if (index > r->hard.commit)
        installed_over(r, input);
    else
        return;
    raft_commit_to(r, index);
    r->handed = MAX(r->handed, index);
    r->applied = MAX(r->applied, index);
    if (r->role == RAFT_FOLLOWER && r->leader)
        raft_acknowledge(r, r->leader, index);
}
