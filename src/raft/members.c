#include "base/mutant.h"
#include "raft/internal.h"

/* The configuration in force is the newest in the log, committed or not (P8): an appended one counts at once,
 * a truncated one gives way to the one before. */

static void config_index_push(struct raft *r, uint64_t index)
{
    if (r->n_config_indexes == r->config_indexes_cap) {
        r->config_indexes_cap = MAX((size_t)8, r->config_indexes_cap * 2);
        r->config_indexes = mem_realloc(r->config_indexes, r->config_indexes_cap * sizeof(uint64_t));
    }
    r->config_indexes[r->n_config_indexes++] = index;
}

static void config_load(const struct raft *r, uint64_t index, struct raft_config *ret_c)
{
    const struct raft_entry *e = raft_log_at(&r->log, index);
    ASSERT(e && e->kind == RAFT_CONFIG);
    enum rgkv_err err = raft_config_decode(blob_bytes(e->payload), ret_c);
    ASSERT(err == RGKV_OK); /* checked before it came into the log */
}

/* How many of the configurations in the log count: all. */
static size_t configs_counted(const struct raft *r)
{
    size_t n = r->n_config_indexes;
    while (MUTANT(config_when_committed) && n && r->config_indexes[n - 1] > r->hard.commit)
        n--;
    return n;
}

static void config_in_force_find(struct raft *r)
{
    size_t n = configs_counted(r);
    if (n == 0) {
        r->config = r->base_config;
        r->config_index = r->base_config_index;
        return;
    }
    r->config_index = r->config_indexes[n - 1];
    config_load(r, r->config_index, &r->config);
}

static struct raft_peer peer_of(struct raft *r, const struct raft_member *m)
{
    struct raft_peer p = {.id = m->id};
    const struct raft_peer *known = raft_peer(r, m->id);
    if (known)
        p = *known;
    else
        raft_peer_init(r, &p);
    p.voter = m->voter;
    return p;
}

void raft_members_refresh(struct raft *r)
{
    struct raft_peer peers[MEMBERS_MAX];
    config_in_force_find(r);
    for (unsigned i = 0; i < r->config.n; i++)
        peers[i] = peer_of(r, &r->config.members[i]);
    memcpy(r->peers, peers, r->config.n * sizeof(peers[0]));
    r->n_peers = r->config.n;
}

void raft_members_append(struct raft *r, const struct raft_entry *e)
{
    raft_log_append(&r->log, e);
    if (e->kind != RAFT_CONFIG)
        return;
    config_index_push(r, e->index);
    raft_members_refresh(r);
}

void raft_members_truncate(struct raft *r, uint64_t from)
{
    size_t known = r->n_config_indexes;
    while (r->n_config_indexes && r->config_indexes[r->n_config_indexes - 1] >= from)
        r->n_config_indexes--;
    raft_log_truncate(&r->log, from);
    if (r->n_config_indexes < known && !MUTANT(config_not_undone))
        raft_members_refresh(r);
}

void raft_members_compact(struct raft *r, uint64_t index)
{
    size_t dropped = 0;
    while (dropped < r->n_config_indexes && r->config_indexes[dropped] <= index)
        dropped++;
    if (dropped) {
        r->base_config_index = r->config_indexes[dropped - 1];
        config_load(r, r->base_config_index, &r->base_config);
        r->n_config_indexes -= dropped;
        memmove(r->config_indexes, r->config_indexes + dropped, r->n_config_indexes * sizeof(uint64_t));
    }
    raft_log_compact(&r->log, index);
}

void raft_members_reset(struct raft *r, uint64_t index, uint64_t term, const struct raft_config *c)
{
    r->n_config_indexes = 0;
    r->base_config = *c;
    r->base_config_index = index;
    raft_log_reset(&r->log, index, term);
    r->kept_index = index;
    raft_members_refresh(r);
}

struct raft_peer *raft_peer(struct raft *r, uint64_t id)
{
    for (unsigned i = 0; i < r->n_peers; i++)
        if (r->peers[i].id == id)
            return &r->peers[i];
    return NULL;
}

bool raft_is_voter(const struct raft *r, uint64_t id)
{
    const struct raft_member *m = raft_config_member(&r->config, id);
    return m && m->voter;
}

static bool was_voter_before_newest(const struct raft *r)
{
    size_t n = r->n_config_indexes;
    struct raft_config before = r->base_config;
    if (n >= 2)
        config_load(r, r->config_indexes[n - 2], &before);
    const struct raft_member *m = raft_config_member(&before, r->options.id);
    return m && m->voter;
}

/* Section 4.2.2: a leader that takes itself out leads until that is committed, and if it loses its office before, it must be
 * able to get it back. Perhaps it alone has that entry: then the others cannot go on without it, for it is a voter to them and
 * knows more than they do. Its own vote does not count. */
bool raft_may_campaign(const struct raft *r)
{
    return raft_is_voter(r, r->options.id) || (r->config_index > r->hard.commit && was_voter_before_newest(r));
}

bool raft_is_only_voter(const struct raft *r)
{
    return raft_config_voters(&r->config) == 1 && raft_is_voter(r, r->options.id);
}

static void insert_descending(uint64_t *values, unsigned n, uint64_t v)
{
    for (; n > 0 && values[n - 1] < v; n--)
        values[n] = values[n - 1];
    values[n] = v;
}

uint64_t raft_quorum(const struct raft *r, uint64_t (*value)(const struct raft *, const struct raft_peer *))
{
    uint64_t values[MEMBERS_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < r->n_peers; i++)
        if (r->peers[i].voter || MUTANT(learner_counted))
            insert_descending(values, n++, value(r, &r->peers[i]));
    n = MUTANT(learner_counted) ? raft_config_voters(&r->config) : n;
    return n ? values[n / 2 - (MUTANT(quorum_of_one) && n > 2)] : 0;
}
