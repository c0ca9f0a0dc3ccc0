/* Disk space of rows that went as a range: one range of one replica at a time is given back (kv/trim.c says which). */
#include "node/internal.h"

#define LONG_JOBS_WITH_A_TRIM_MAX 2u /* of these and flushes; those may be more, for the logs wait for them */
#define TRIM_ROUND_US 3000000u       /* between two looks at all shards of a replica */

static bool may_begin(const struct node *n, const struct replica *r)
{
    return r->state == REPLICA_RUNNING && r->kv && !r->trimming && !r->incoming && !r->table_full && !n->stopping && n->now_us >= r->trim_next_us &&
           node_long_jobs(n) < LONG_JOBS_WITH_A_TRIM_MAX;
}

static void next_round(const struct node *n, struct replica *r)
{
    r->trim_round = false;
    r->trim_next_us = n->now_us + TRIM_ROUND_US;
}

/* What went has to be gone from the table, too, or all of it would be rewritten for nothing. */
static bool round_begins(struct node *n, struct replica *r)
{
    if (!r->trim_wants && !kv_trim_begin(r->kv)) {
        next_round(n, r);
        return false;
    }
    return save_reaches(n, r, &r->trim_wants);
}

void trim_tick(struct node *n, struct replica *r)
{
    struct kv_trim t;
    if (!may_begin(n, r))
        return;
    r->trim_round = r->trim_round || round_begins(n, r);
    if (!r->trim_round)
        return;
    r->trimming = kv_trim_next(r->kv, &t);
    if (!r->trimming) {
        next_round(n, r);
        return;
    }
    r->trim_shard = t.shard;
    out_effect(&n->out, &(struct node_effect){.kind = NODE_TRIM, .replica = r->id, .from = t.from, .to = t.to, .number = t.more_than});
}

/* What could not be done (a full disk, somebody reads an old state) is seen again in the next round. */
void trim_done(struct node *n, struct replica *r, const struct node_input *i)
{
    r->trimming = false;
    if (i->err)
        node_event(n, "group %llu: disk space could not be given back: %s", (unsigned long long)r->desc.gid, i->why ? i->why : rgkv_err_sentence(i->err));
    if (r->kv)
        kv_trimmed(r->kv, r->trim_shard, i->took_more, !i->err);
    trim_tick(n, r);
}
