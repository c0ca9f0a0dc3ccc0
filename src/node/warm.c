/* Rows that only a disk has are read beside the loop, and whoever wants them waits for that: the disk holds nobody else up, no
 * heartbeat, no vote and no other group. It decides nothing: what was read is found in the table's cache later, or read again.
 *
 *     the next entry to be applied, and those behind it ─┐                                       ┌─▶ apply goes on
 *                                                        ├─ lists of rows ─▶ NODE_WARM, numbered ─┤
 *     reads that could be answered                      ─┘                                       └─▶ these reads are tried again
 *
 * One row tells of others (a meta row of data rows), so the same one may ask again; more than ASKED_MAX times, and it reads what is
 * missing itself: the cache does not keep it for so long. */
#include "node/internal.h"

#define WARM_JOBS_MAX 4u   /* of a node: with the long ones no more than most of the pool, for the logs need it */
#define WARM_JOBS_KIND_MAX 3u /* so that entries that never stop do not keep all reads waiting, nor the other way round */
#define JOB_BYTES 4096u    /* of a list, some 100 rows: what comes then is the next job's */
#define AHEAD_MAX 64u      /* entries behind the one that waits */
#define ASKED_MAX 3u

static const unsigned jobs_max[WARM_KINDS] = {[WARM_ENTRIES] = 1, [WARM_READS] = 2};

static uint64_t number_of(struct node *n, struct warming *w)
{
    if (!w->number)
        w->number = ++n->next_job;
    return w->number;
}

static bool is_full(const struct warming *w) { return w->rows.len >= JOB_BYTES; }

/* ---- entries ---- */

/* Nothing of them is applied yet, so what they say of one another is not seen: the more is read for nothing, or later. */
static void look_ahead(struct node *n, struct replica *r, const struct raft_entry *entries, unsigned count)
{
    struct warming *w = &r->warm[WARM_ENTRIES];
    for (unsigned i = 0; i < MIN(count, AHEAD_MAX) && !is_full(w); i++) {
        struct kv_command c;
        arena_reset(&n->arena);
        if (entries[i].kind == RAFT_COMMAND && !kv_command_decode(blob_bytes(entries[i].payload), &n->arena, &c))
            kv_at_hand(r->kv, &c, 0, &w->rows);
    }
}

bool warm_entry(struct node *n, struct replica *r, const struct kv_command *c, const struct raft_entry *e, unsigned behind)
{
    struct warming *w = &r->warm[WARM_ENTRIES];
    unsigned asked = e->index == r->asked_index ? r->asked : 0;
    if (asked == ASKED_MAX || kv_at_hand(r->kv, c, asked, &w->rows))
        return false;
    r->asked_index = e->index;
    r->asked = asked + 1;
    r->entry_waits = number_of(n, w);
    look_ahead(n, r, e + 1, behind);
    return true;
}

/* ---- reads ---- */

enum rgkv_err warm_read(struct node *n, struct replica *r, struct read_wait *q, struct kv_reply *ret_reply)
{
    struct warming *w = &r->warm[WARM_READS];
    const struct kv_request *request = &q->request->kv_request.request;
    if (q->asked == ASKED_MAX)
        return kv_read(r->kv, request, &n->scratch, ret_reply);
    if (is_full(w)) {
        q->waits = WARM_ANY;
        return RGKV_PENDING;
    }
    enum rgkv_err err = kv_read_now(r->kv, request, &n->scratch, ret_reply, &w->rows);
    if (err != RGKV_PENDING)
        return err;
    q->asked++;
    q->waits = number_of(n, w);
    return err;
}

static void reads_go_on(struct replica *r, uint64_t number)
{
    for (unsigned i = 0; i < r->n_reads; i++)
        if (r->reads[i].waits == number || r->reads[i].waits == WARM_ANY)
            r->reads[i].waits = 0;
    r->reads_left = r->n_reads > 0;
}

/* ---- jobs ---- */

static unsigned jobs_of(const struct node *n, enum warm_kind kind)
{
    unsigned jobs = 0;
    for (unsigned i = 0; i < n->n_replicas; i++)
        jobs += n->replicas[i]->warm[kind].under_way;
    return jobs;
}

static bool may_start(const struct node *n, const struct replica *r, enum warm_kind kind)
{
    unsigned jobs = 0;
    if (r->state != REPLICA_RUNNING || !r->warm[kind].number || r->warm[kind].under_way >= jobs_max[kind])
        return false; /* most of the time: nobody is counted then */
    for (unsigned k = 0; k < WARM_KINDS; k++)
        jobs += jobs_of(n, k);
    return jobs < WARM_JOBS_MAX && jobs_of(n, kind) < WARM_JOBS_KIND_MAX;
}

static void start(struct node *n, struct replica *r, enum warm_kind kind)
{
    struct warming *w = &r->warm[kind];
    out_effect(&n->out, &(struct node_effect){.kind = NODE_WARM, .replica = r->id, .number = w->number, .from = w->rows});
    w->rows = (struct buf){0};
    w->number = 0;
    w->under_way++;
}

/* Entries first, and not always the same replica first. */
void warm_start(struct node *n)
{
    n->warm_turn++;
    for (unsigned k = 0; k < WARM_KINDS; k++)
        for (unsigned i = 0; i < n->n_replicas; i++) {
            struct replica *r = n->replicas[(n->warm_turn + i) % n->n_replicas];
            if (may_start(n, r, k))
                start(n, r, k);
        }
}

void warm_done(struct node *n, struct replica *r, uint64_t number)
{
    bool entries = r->entry_waits == number;
    r->warm[entries ? WARM_ENTRIES : WARM_READS].under_way--;
    if (entries)
        r->entry_waits = 0;
    reads_go_on(r, number);
}

void warm_release(struct replica *r)
{
    for (unsigned k = 0; k < WARM_KINDS; k++)
        buf_release(&r->warm[k].rows);
}
