#include "base/mutant.h"
#include "raft/internal.h"

struct raft_message raft_message_new(const struct raft *r, enum raft_message_kind kind, uint64_t to)
{
    return (struct raft_message){.kind = kind, .from = r->options.id, .to = to, .term = r->hard.term};
}

static void outbox_put(struct raft_outbox *box, const struct raft_message *m)
{
    if (box->n == box->cap) {
        box->cap = MAX(16u, box->cap * 2);
        box->items = mem_realloc(box->items, box->cap * sizeof(*box->items));
    }
    box->items[box->n++] = *m;
}

void raft_send(struct raft *r, const struct raft_message *m) { outbox_put(&r->out, m); }

void raft_send_after_sync(struct raft *r, const struct raft_message *m, bool promises)
{
    outbox_put(&r->out_after_sync, m);
    r->sync_wanted |= promises;
}

/* Many appends may be stepped before one collect: one acknowledgement, of the last, answers them all. */
static struct raft_message *last_acknowledgement(struct raft *r, uint64_t to)
{
    struct raft_outbox *box = &r->out_after_sync;
    struct raft_message *m = box->n ? &box->items[box->n - 1] : NULL;
    return m && m->kind == RAFT_APPEND_REPLY && m->to == to && !m->rejected ? m : NULL;
}

void raft_acknowledge(struct raft *r, uint64_t to, uint64_t index)
{
    struct raft_message *earlier = last_acknowledgement(r, to);
    struct raft_message m = raft_message_new(r, RAFT_APPEND_REPLY, to);
    m.log_index = index;
    m.log_term = raft_term_at(r, index);
    m.commit = r->applied;
    if (earlier)
        *earlier = m;
    else
        outbox_put(MUTANT(ack_unsynced) ? &r->out : &r->out_after_sync, &m);
    r->sync_wanted |= index > r->sure;
}

/* Also called when the term changes: what was queued speaks for a term that is over, and an acknowledgement
 * must not outlive the entries that it is about. */
void raft_outbox_clear(struct raft *r)
{
    r->out.n = r->out_after_sync.n = 0;
    r->sync_wanted = false;
}
