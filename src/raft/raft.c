#include "base/mutant.h"
#include "raft/internal.h"

const char *raft_role_name(enum raft_role role)
{
    static const char *const names[] = {"follower", "pre-candidate", "candidate", "leader"};
    ASSERT((size_t)role < ARRAY_LEN(names));
    return names[role];
}

/* --- life --- */

static void restore(struct raft *r, const struct raft_restored *from)
{
    raft_log_init(&r->log, from->compacted_index, from->compacted_term);
    r->base_config = from->config;
    r->base_config_index = from->compacted_index;
    ASSERT(from->n_kept <= from->compacted_index);
    r->kept_index = from->compacted_index - from->n_kept;
    r->hard = from->hard_state;
    r->hard.vote = MUTANT(vote_forgotten) ? 0 : r->hard.vote;
    raft_members_refresh(r);
    for (unsigned i = 0; i < from->n_entries; i++)
        raft_members_append(r, &from->entries[i]);
    uint64_t last = raft_log_last(&r->log);
    ASSERT(from->applied >= from->compacted_index && from->applied <= last);
    r->hard.commit = MAX(MIN(r->hard.commit, last), from->applied);
    r->applied = r->handed = from->applied;
    r->persisted = last;
    r->append_from = last + 1;
    if (MUTANT(term_forgotten))
        r->hard.term = raft_log_last_term(&r->log);
}

struct raft *raft_new(const struct raft_options *options, const struct raft_restored *restored)
{
    ASSERT(options->id && options->election_us && options->heartbeat_us);
    struct raft *r = mem_zalloc(sizeof(*r));
    r->options = *options;
    r->now_us = options->now_us;
    prng_init(&r->prng, options->seed ^ (options->id * UINT64_C(0x9e3779b97f4a7c15)));
    restore(r, restored);
    r->hard_given = r->hard;
    raft_election_timer_reset(r);
    if (raft_is_only_voter(r))
        raft_campaign(r, false);
    return r;
}

void raft_free(struct raft *r)
{
    if (!r)
        return;
    raft_log_release(&r->log);
    raft_fetch_forget(r);
    raft_reads_release(&r->reads);
    mem_free(r->config_indexes);
    mem_free(r->out.items);
    mem_free(r->out_after_sync.items);
    mem_free(r);
}

/* --- proposals --- */

/* Open is what is not committed, and also what the others have committed while the own disk hangs or the own table is slow:
 * nothing of that can be compacted, so without a bound it would fill the memory (B41). */
static enum rgkv_err may_propose(const struct raft *r, uint64_t more, uint64_t more_bytes)
{
    uint64_t done = MIN(r->applied, r->persisted), last = raft_log_last(&r->log);
    if (r->role != RAFT_LEADER)
        return RGKV_NOT_LEADER;
    if (r->transfer_to || last - done + more > PROPOSALS_MAX)
        return RGKV_BUSY;
    return raft_log_bytes(&r->log, done, last) + more_bytes > PROPOSALS_BYTES_MAX ? RGKV_BUSY : RGKV_OK;
}

static enum rgkv_err propose(struct raft *r, const struct raft_input *input)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < input->n_payloads; i++) {
        size_t len = blob_bytes(input->payloads[i]).len;
        if (len > ENTRY_BYTES_MAX)
            return RGKV_TOO_LARGE;
        bytes += len;
    }
    enum rgkv_err err = may_propose(r, input->n_payloads, bytes);
    for (unsigned i = 0; err == RGKV_OK && i < input->n_payloads; i++)
        raft_append_own(r, RAFT_COMMAND, input->payloads[i]);
    return err;
}

/* One change at a time, each by at most one voter: any two quorums then share a member (section 4.1; the
 * entry of the own term is the correction of 2015). */
static enum rgkv_err may_change_config(const struct raft *r, const struct raft_config *c)
{
    enum rgkv_err err = may_propose(r, 1, 0);
    if (err)
        return err;
    if (r->config_index > r->hard.commit && !MUTANT(config_two_at_once))
        return RGKV_BUSY;
    if (raft_term_at(r, r->hard.commit) != r->hard.term && !MUTANT(config_old_term))
        return RGKV_BUSY;
    if (c->wish < r->config.wish && !MUTANT(config_old_wish))
        return RGKV_STALE;
    return raft_config_valid(c) && raft_config_voters_changed(&r->config, c) <= 1 ? RGKV_OK : RGKV_INVALID;
}

static enum rgkv_err propose_config(struct raft *r, const struct raft_config *c)
{
    enum rgkv_err err = may_change_config(r, c);
    if (err)
        return err;
    struct buf bytes = {0};
    raft_config_encode(c, &bytes);
    struct blob *payload = blob_new(buf_bytes(&bytes));
    raft_append_own(r, RAFT_CONFIG, payload);
    blob_unref(payload);
    buf_release(&bytes);
    raft_commit_count(r); /* a smaller quorum may be there already */
    raft_reads_confirm(r);
    return RGKV_OK;
}

/* --- what the outside has done --- */

static void tick(struct raft *r)
{
    if (r->role == RAFT_LEADER) {
        raft_transfer_tick(r);
        raft_lead_tick(r);
    } else {
        raft_election_tick(r);
    }
}

/* Named by index and term: an entry that was truncated meanwhile, and another one in its place, are not it. Yet an
 * old entry may come back to the same place after a truncation, so only entries of the current term, which
 * cannot, are `sure`. Counting needs no more than that (only entries of the own term are counted). */
static void persisted(struct raft *r, uint64_t index, uint64_t term)
{
    if (!term || raft_term_at(r, index) != term || index >= r->append_from)
        return;
    r->persisted = MAX(r->persisted, index);
    if (term == r->hard.term || MUTANT(persisted_by_index))
        r->sure = MAX(r->sure, index);
    raft_vote_persisted(r, term);
    if (r->role == RAFT_LEADER)
        raft_commit_count(r);
}

static void applied(struct raft *r, uint64_t index)
{
    ASSERT(index <= r->handed);
    r->applied = MAX(r->applied, index);
}

static void evicted(struct raft *r, uint64_t index, uint64_t term)
{
    if (index <= r->log.base_index)
        return;
    ASSERT(index <= r->handed && index < r->append_from && raft_log_term(&r->log, index) == term);
    raft_members_compact(r, index);
    r->persisted = MAX(r->persisted, index);
}

static void compacted(struct raft *r, uint64_t index, uint64_t term)
{
    evicted(r, index, term);
    r->kept_index = MAX(r->kept_index, index);
}

/* What the last collect gave is valid until now. */
static void given_forget(struct raft *r)
{
    if (!r->given)
        return;
    r->given = false;
    raft_outbox_clear(r);
    r->reads.n_results = 0;
    r->n_fetches = 0;
    r->snapshot_accepted = false;
}

enum rgkv_err raft_step(struct raft *r, const struct raft_input *input)
{
    given_forget(r);
    r->now_us = MAX(r->now_us, input->now_us);
    switch (input->kind) {
    case RAFT_TICK:
        tick(r);
        break;
    case RAFT_RECEIVED:
        raft_receive(r, input->message);
        break;
    case RAFT_PROPOSED:
        return propose(r, input);
    case RAFT_CONFIG_PROPOSED:
        return propose_config(r, input->config);
    case RAFT_READ:
        return raft_read(r, input->read_id);
    case RAFT_PERSISTED:
        persisted(r, input->log_index, input->log_term);
        break;
    case RAFT_APPLIED:
        applied(r, input->log_index);
        break;
    case RAFT_EVICTED:
        evicted(r, input->log_index, input->log_term);
        break;
    case RAFT_FETCHED:
        raft_fetch_answered(r, input);
        break;
    case RAFT_COMPACTED:
        compacted(r, input->log_index, input->log_term);
        break;
    case RAFT_SNAPSHOT_SENT:
        raft_snapshot_sent(r, input->peer, input->log_index);
        break;
    case RAFT_SNAPSHOT_FAILED:
        raft_snapshot_failed(r, input->peer);
        break;
    case RAFT_SNAPSHOT_INSTALLED:
        raft_snapshot_installed(r, input);
        break;
    case RAFT_TRANSFER:
        return raft_transfer(r, input->peer);
    }
    return RGKV_OK;
}

/* --- what the outside must do --- */

static void give_messages(struct raft *r, struct raft_ready *ready)
{
    ready->n_messages = r->out.n;
    ready->messages = r->out.items;
    ready->n_messages_after_sync = r->out_after_sync.n;
    ready->messages_after_sync = r->out_after_sync.items;
}

static void give_writes(struct raft *r, struct raft_ready *ready)
{
    uint64_t last = raft_log_last(&r->log);
    bool voted = r->hard.term != r->hard_given.term || r->hard.vote != r->hard_given.vote;
    ready->n_append = (unsigned)(last + 1 - r->append_from);
    ready->append = raft_log_at(&r->log, r->append_from);
    ready->hard_state = r->hard;
    ready->hard_state_changed = voted || r->hard.commit != r->hard_given.commit;
    ready->must_sync = voted || ready->n_append || r->sync_wanted;
    r->append_from = last + 1;
    r->hard_given = r->hard;
}

static void give_committed(struct raft *r, struct raft_ready *ready)
{
    ready->n_committed = (unsigned)(r->hard.commit - r->handed);
    ready->committed = ready->n_committed ? raft_log_at(&r->log, r->handed + 1) : NULL;
    r->handed = r->hard.commit;
}

static void give_news(struct raft *r, struct raft_ready *ready)
{
    ready->n_reads = r->reads.n_results;
    ready->reads = r->reads.results;
    ready->snapshot_accepted = r->snapshot_accepted;
    ready->role_changed = r->role != r->role_given || r->leader != r->leader_given ||
                          r->hard.term != r->hard_given.term;
    r->role_given = r->role;
    r->leader_given = r->leader;
}

static void give_snapshot_peers(struct raft *r, struct raft_ready *ready)
{
    ready->snapshot_peers = r->snapshot_peers;
    for (unsigned i = 0; r->role == RAFT_LEADER && i < r->n_peers; i++) {
        struct raft_peer *p = &r->peers[i];
        if (p->state != PEER_SNAPSHOT || p->snapshot_named)
            continue;
        p->snapshot_named = true;
        r->snapshot_peers[ready->n_snapshot_peers++] = p->id;
    }
}

void raft_collect(struct raft *r, struct raft_ready *ret_ready)
{
    given_forget(r);
    if (r->role == RAFT_LEADER)
        raft_lead_collect(r);
    *ret_ready = (struct raft_ready){0};
    give_messages(r, ret_ready);
    give_news(r, ret_ready);
    give_writes(r, ret_ready);
    give_committed(r, ret_ready);
    give_snapshot_peers(r, ret_ready);
    ret_ready->n_fetches = r->n_fetches;
    ret_ready->fetches = r->fetches;
    r->given = true;
}

/* --- looking at it --- */

void raft_status(const struct raft *r, struct raft_status *ret_s)
{
    uint64_t last = raft_log_last(&r->log);
    *ret_s = (struct raft_status){
        .id = r->options.id,
        .term = r->hard.term,
        .vote = r->hard.vote,
        .leader = r->leader,
        .role = r->role,
        .first_index = r->log.base_index + 1,
        .kept_index = r->kept_index,
        .last_index = last,
        .last_term = raft_log_last_term(&r->log),
        .commit = r->hard.commit,
        .applied = r->applied,
        .persisted = r->persisted,
        .log_bytes = raft_log_bytes(&r->log, r->log.base_index, last),
        .lease_contact_us = r->role == RAFT_LEADER ? raft_quorum_contact_us(r) : 0,
        .transferring = r->transfer_to != 0,
        .ignored = r->ignored,
    };
}

const struct raft_config *raft_config(const struct raft *r) { return &r->config; }
uint64_t raft_config_index(const struct raft *r) { return r->config_index; }
uint64_t raft_term_at(const struct raft *r, uint64_t index) { return raft_log_term(&r->log, index); }
const struct raft_entry *raft_entry_at(const struct raft *r, uint64_t index) { return raft_log_at(&r->log, index); }

bool raft_peer_status(const struct raft *r, uint64_t id, struct raft_peer_status *ret_s)
{
    for (unsigned i = 0; r->role == RAFT_LEADER && i < r->n_peers; i++) {
        const struct raft_peer *p = &r->peers[i];
        if (p->id != id)
            continue;
        *ret_s = (struct raft_peer_status){
            .match = p->id == r->options.id ? r->persisted : p->match,
            .next = p->next,
            .inflight_bytes = raft_peer_inflight_bytes(r, p),
            .recent = raft_peer_recent(r, p),
            .answers = p->id == r->options.id || (p->heard && raft_peer_recent(r, p)),
            .snapshotting = p->state == PEER_SNAPSHOT,
        };
        return true;
    }
    return false;
}

static bool is_alone(const struct raft *r) { return r->n_peers == 1 && r->peers[0].id == r->options.id; }

uint64_t raft_deadline_us(const struct raft *r)
{
    if (r->role != RAFT_LEADER)
        return !raft_may_campaign(r) ? UINT64_MAX
               : raft_asks_for_votes(r) ? MIN(r->election_deadline_us, r->ask_again_us) : r->election_deadline_us;
    if (is_alone(r))
        return UINT64_MAX;
    uint64_t lost_us = raft_quorum_contact_us(r) + r->options.election_us;
    uint64_t deadline_us = MIN(r->heartbeat_deadline_us, lost_us);
    return r->transfer_to ? MIN(deadline_us, r->transfer_deadline_us) : deadline_us;
}
