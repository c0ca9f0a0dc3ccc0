/* Linearizable reads without the log (section 6.4).
 *
 * Reads that wait at a collect get one round: its number goes out with heartbeats that are made after the reads
 * came, and its index is the commit index of that moment. When a quorum has answered that round or a later one,
 * no newer leader can have committed anything before the reads came. A read never joins a round whose heartbeats
 * are already out: those answers may be older than the read (P24). Several rounds may be in flight. */
#include "base/mutant.h"
#include "raft/internal.h"

enum rgkv_err raft_read(struct raft *r, uint64_t id)
{
    struct raft_reads *reads = &r->reads;
    if (r->role != RAFT_LEADER)
        return RGKV_NOT_LEADER;
    if (reads->n == READS_WAITING_MAX)
        return RGKV_BUSY;
    if (reads->head + reads->n == reads->cap) {
        reads->cap = MAX((size_t)64, reads->cap * 2);
        reads->items = mem_realloc(reads->items, reads->cap * sizeof(*reads->items));
    }
    reads->items[reads->head + reads->n++] = (struct raft_waiting_read){.id = id};
    return RGKV_OK;
}

static void result_put(struct raft_reads *reads, uint64_t id, uint64_t index)
{
    if (reads->n_results == reads->results_cap) {
        reads->results_cap = MAX(64u, reads->results_cap * 2);
        reads->results = mem_realloc(reads->results, reads->results_cap * sizeof(*reads->results));
    }
    reads->results[reads->n_results++] = (struct raft_read_result){id, index};
}

/* Until an entry of its own term is committed a leader does not know what is committed. */
static bool knows_commit(const struct raft *r)
{
    return raft_term_at(r, r->hard.commit) == r->hard.term || MUTANT(read_before_noop);
}

bool raft_reads_begin_round(struct raft *r)
{
    struct raft_reads *reads = &r->reads;
    if (reads->assigned == reads->n || !knows_commit(r))
        return false;
    reads->round++;
    for (; reads->assigned < reads->n; reads->assigned++) {
        struct raft_waiting_read *read = &reads->items[reads->head + reads->assigned];
        read->round = reads->round;
        read->index = r->hard.commit;
    }
    raft_reads_confirm(r);
    return true;
}

static uint64_t peer_round(const struct raft *r, const struct raft_peer *p)
{
    return p->id == r->options.id ? r->reads.round : p->round;
}

static void reads_drop_front(struct raft_reads *reads, size_t n)
{
    reads->head += n;
    reads->n -= n;
    reads->assigned -= n;
    if (reads->head >= reads->n) {
        memmove(reads->items, reads->items + reads->head, reads->n * sizeof(*reads->items));
        reads->head = 0;
    }
}

void raft_reads_confirm(struct raft *r)
{
    struct raft_reads *reads = &r->reads;
    if (reads->assigned == 0)
        return;
    uint64_t round = MUTANT(read_at_once) ? r->reads.round : raft_quorum(r, peer_round);
    size_t n = 0;
    for (; n < reads->assigned && reads->items[reads->head + n].round <= round; n++)
        result_put(reads, reads->items[reads->head + n].id, reads->items[reads->head + n].index);
    if (n)
        reads_drop_front(reads, n);
}

void raft_reads_fail(struct raft *r)
{
    struct raft_reads *reads = &r->reads;
    for (size_t i = 0; i < reads->n; i++)
        result_put(reads, reads->items[reads->head + i].id, 0);
    reads->head = reads->n = reads->assigned = 0;
}

void raft_reads_release(struct raft_reads *reads)
{
    mem_free(reads->items);
    mem_free(reads->results);
    *reads = (struct raft_reads){0};
}
