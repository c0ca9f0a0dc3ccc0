/* A message from outside: whether it makes sense, and what its term means (section 3.3). Nothing in it is
 * believed before it is checked; nonsense changes nothing and is counted. */
#include "base/mutant.h"
#include "raft/internal.h"

static bool numbers_sane(const struct raft *r, const struct raft_message *m)
{
    const uint64_t numbers[] = {m->term, m->log_index, m->log_term, m->commit,
                                m->round, m->hint_index, m->hint_term};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (numbers[i] > NUMBER_MAX)
            return false;
    return m->term > 0 && m->term <= r->hard.term + TERMS_AHEAD_MAX && m->log_term <= m->term;
}

static bool config_sane(struct bytes payload)
{
    struct raft_config c;
    return raft_config_decode(payload, &c) == RGKV_OK && raft_config_valid(&c);
}

static bool entry_sane(const struct raft_entry *e)
{
    struct bytes payload = blob_bytes(e->payload);
    if (payload.len > ENTRY_BYTES_MAX)
        return false;
    switch (e->kind) {
    case RAFT_NOOP:
        return payload.len == 0;
    case RAFT_COMMAND:
        return true;
    case RAFT_CONFIG:
        return config_sane(payload);
    }
    return false;
}

static bool entries_sane(const struct raft_message *m)
{
    uint64_t term = MAX(m->log_term, 1);
    if (m->n_entries > APPEND_ENTRIES_MAX || (m->log_index == 0) != (m->log_term == 0))
        return false;
    for (unsigned i = 0; i < m->n_entries; i++) {
        const struct raft_entry *e = &m->entries[i];
        if (e->index != m->log_index + 1 + i || e->term < term || e->term > m->term || !entry_sane(e))
            return false;
        term = e->term;
    }
    return true;
}

static bool message_sane(const struct raft *r, const struct raft_message *m)
{
    if (m->kind < RAFT_PRE_VOTE || m->kind > RAFT_TIMEOUT_NOW || !numbers_sane(r, m))
        return false;
    if (m->to != r->options.id || m->from == 0 || m->from == r->options.id)
        return false;
    if (m->kind == RAFT_SNAPSHOT && (m->log_index == 0 || m->log_term == 0))
        return false;
    return m->kind == RAFT_APPEND ? entries_sane(m) : m->n_entries == 0;
}

static bool is_of_leader(const struct raft_message *m)
{
    return m->kind == RAFT_APPEND || m->kind == RAFT_HEARTBEAT || m->kind == RAFT_SNAPSHOT ||
           m->kind == RAFT_TIMEOUT_NOW;
}

/* Who is behind learns our term: a deposed leader steps down, a candidate gives up. */
static void receive_older(struct raft *r, const struct raft_message *m)
{
    struct raft_message reply = raft_message_new(r, RAFT_APPEND_REPLY, m->from);
    reply.rejected = true;
    reply.log_index = m->log_index;
    if (m->kind == RAFT_PRE_VOTE)
        reply.kind = RAFT_PRE_VOTE_REPLY;
    else if (m->kind == RAFT_VOTE)
        reply.kind = RAFT_VOTE_REPLY;
    else if (!is_of_leader(m))
        return;
    raft_send(r, &reply);
}

/* False: the message stops here. */
static bool newer_term_adopt(struct raft *r, const struct raft_message *m)
{
    if (m->kind == RAFT_PRE_VOTE || (m->kind == RAFT_PRE_VOTE_REPLY && !m->rejected))
        return true; /* that term is only a thought */
    if (m->kind == RAFT_VOTE && !m->transfer && raft_is_sticky(r))
        return false;
    raft_become_follower(r, m->term, 0);
    return true;
}

/* There is one leader in a term, for ever: another one is a lie. */
static bool leader_plausible(const struct raft *r, const struct raft_message *m)
{
    return r->role != RAFT_LEADER && (r->leader == 0 || r->leader == m->from || MUTANT(old_leader_obeyed));
}

static void receive_current(struct raft *r, const struct raft_message *m)
{
    switch (m->kind) {
    case RAFT_PRE_VOTE:
        raft_receive_pre_vote(r, m);
        break;
    case RAFT_PRE_VOTE_REPLY:
        raft_receive_pre_vote_reply(r, m);
        break;
    case RAFT_VOTE:
        raft_receive_vote(r, m);
        break;
    case RAFT_VOTE_REPLY:
        raft_receive_vote_reply(r, m);
        break;
    case RAFT_APPEND:
        raft_receive_append(r, m);
        break;
    case RAFT_APPEND_REPLY:
        raft_receive_append_reply(r, m);
        break;
    case RAFT_HEARTBEAT:
        raft_receive_heartbeat(r, m);
        break;
    case RAFT_HEARTBEAT_REPLY:
        raft_receive_heartbeat_reply(r, m);
        break;
    case RAFT_SNAPSHOT:
        raft_receive_snapshot(r, m);
        break;
    case RAFT_TIMEOUT_NOW:
        raft_receive_timeout_now(r, m);
        break;
    }
}

void raft_receive(struct raft *r, const struct raft_message *m)
{
    if (!message_sane(r, m)) {
        r->ignored++;
        return;
    }
    if (m->term < r->hard.term && !(MUTANT(ack_by_index) && m->kind == RAFT_APPEND_REPLY) &&
        !(MUTANT(old_leader_obeyed) && m->kind == RAFT_APPEND && r->role != RAFT_LEADER)) {
        receive_older(r, m);
        return;
    }
    if (m->term > r->hard.term && !newer_term_adopt(r, m))
        return;
    if (is_of_leader(m) && !leader_plausible(r, m))
        r->ignored++;
    else
        receive_current(r, m);
}
