/* Disk space of rows that went as a range: one range of one replica at a time is given back (kv/trim.c says which). */
#include "node/internal.h"

#define LONG_JOBS_MAX 2u         /* with flushes; those may be more, for the logs wait for them */
#define TRIM_ROUND_US 3000000u /* between two looks at all shards of a replica */

void trim_tick(struct node *n, struct replica *r)
{
    struct buf from = {0}, to = {0};
    if (!r->kv || r->trimming || r->table_full || n->stopping || n->now_us < r->trim_next_us || node_long_jobs(n) >= LONG_JOBS_MAX)
        return;
    r->trimming = kv_trim_next(r->kv, &from, &to) && apply_write(n, r);
    if (r->trimming)
        out_effect(&n->out, &(struct node_effect){.kind = NODE_TRIM, .replica = r->id, .from = from, .to = to});
    else
        r->trim_next_us = n->now_us + TRIM_ROUND_US;
    if (!r->trimming) {
        buf_release(&from);
        buf_release(&to);
    }
}

/* What could not be done (a full disk, somebody reads an old state) is seen again in the next round. */
void trim_done(struct node *n, struct replica *r, const struct node_input *i)
{
    r->trimming = false;
    if (i->err)
        node_event(n, "group %llu: disk space could not be given back: %s", (unsigned long long)r->desc.gid, i->why ? i->why : rgkv_err_sentence(i->err));
}
