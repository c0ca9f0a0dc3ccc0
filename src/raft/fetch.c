/* Entries that are not in memory any more. The core does not read: it asks, by a raft_fetch, and gets them with a later input;
 * until then that peer waits. One fetch at a time for a peer. */
#include "raft/internal.h"

#define FETCH_BYTES_MAX (1u << 20) /* the reading is done between two writes of the log: none of them should wait for long */

static struct raft_fetched *place_of(struct raft *r, uint64_t peer)
{
    for (unsigned i = 0; i < MEMBERS_MAX; i++)
        if (r->fetched[i].peer == peer)
            return &r->fetched[i];
    return NULL;
}

static void entries_drop(struct raft_fetched *f)
{
    for (unsigned i = 0; i < f->n; i++)
        blob_unref(f->entries[i].payload);
    mem_free(f->entries);
    f->entries = NULL;
    f->n = 0;
}

void raft_fetch_forget(struct raft *r)
{
    for (unsigned i = 0; i < MEMBERS_MAX; i++) {
        entries_drop(&r->fetched[i]);
        r->fetched[i] = (struct raft_fetched){0};
    }
}

/* There are as many places as members: if none is free, one is a former member's. */
static struct raft_fetched *place_for(struct raft *r, uint64_t peer)
{
    struct raft_fetched *f = place_of(r, peer);
    if (!f)
        f = place_of(r, 0);
    for (unsigned i = 0; !f && i < MEMBERS_MAX; i++)
        if (!raft_peer(r, r->fetched[i].peer))
            f = &r->fetched[i];
    ASSERT(f);
    if (f->peer != peer) {
        entries_drop(f);
        *f = (struct raft_fetched){.peer = peer};
    }
    return f;
}

const struct raft_fetched *raft_fetched_for(const struct raft *r, const struct raft_peer *p)
{
    for (unsigned i = 0; i < MEMBERS_MAX; i++) {
        const struct raft_fetched *f = &r->fetched[i];
        if (f->peer == p->id)
            return f->n && f->entries[0].index == p->next ? f : NULL;
    }
    return NULL;
}

void raft_fetch(struct raft *r, struct raft_peer *p)
{
    p->fetches = true;
    struct raft_fetched *f = place_for(r, p->id);
    if (f->asked == p->next)
        return;
    ASSERT(p->next > r->kept_index && p->next <= r->log.base_index && r->n_fetches < MEMBERS_MAX);
    f->asked = p->next;
    r->fetches[r->n_fetches++] = (struct raft_fetch){
        .peer = p->id, .first = p->next, .last = r->log.base_index,
        .bytes_max = p->state == PEER_PROBE ? PROBE_BYTES_MAX : FETCH_BYTES_MAX,
        .entries_max = r->options.append_entries_max ? r->options.append_entries_max : APPEND_ENTRIES_MAX,
    };
}

void raft_fetch_done(struct raft *r, struct raft_peer *p)
{
    struct raft_fetched *f = p->fetches ? place_of(r, p->id) : NULL;
    p->fetches = false;
    if (!f)
        return;
    entries_drop(f);
    f->asked = 0;
}

void raft_fetch_answered(struct raft *r, const struct raft_input *input)
{
    struct raft_fetched *f = place_of(r, input->peer);
    if (r->role != RAFT_LEADER || !f || f->asked != input->log_index)
        return;
    f->asked = 0;
    entries_drop(f);
    const struct raft_peer *p = raft_peer(r, input->peer);
    if (input->n_entries == 0) {
        if (p && p->next == input->log_index && p->next > r->kept_index)
            r->kept_index = r->log.base_index;
        return;
    }
    ASSERT(input->entries[0].index == input->log_index && input->n_entries <= APPEND_ENTRIES_MAX);
    f->before_term = input->log_term;
    f->n = input->n_entries;
    f->entries = mem_alloc(f->n * sizeof(*f->entries));
    memcpy(f->entries, input->entries, f->n * sizeof(*f->entries));
    for (unsigned i = 0; i < f->n; i++)
        blob_ref(f->entries[i].payload);
}
