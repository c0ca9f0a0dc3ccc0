/* The machine into its table: all that was applied, at once, and beside the loop, for it takes some milliseconds. Meanwhile entries are
 * applied, until as much has come together again; then they wait, and when too many do, no more are taken (apply_overflows).
 *
 *     applied ──▶ in memory, over the table ──enough, or somebody needs it there──▶ NODE_SAVE ──▶ NODE_SAVED
 *
 * A controller's machine is small, and saves what it applied at once. */
#include "base/mutant.h"
#include "node/internal.h"

#define TABLE_RETRY_US 500000u

/* What is applied stays in memory until there is space; what can be kept there is bounded. Others lead meanwhile. */
static void table_is_full(struct node *n, struct replica *r)
{
    if (!r->table_full)
        node_event(n, "group %llu: the table's disk is full: writes are refused until there is space", (unsigned long long)r->desc.gid);
    r->table_full = true;
}

void save_failed(struct node *n, struct replica *r, enum rgkv_err err)
{
    if (err == RGKV_NO_SPACE)
        table_is_full(n, r);
    else
        node_fail(n, "group %llu: the table cannot be written: %s", (unsigned long long)r->desc.gid, rgkv_err_sentence(err));
}

static void ended(struct node *n, struct replica *r, enum rgkv_err err)
{
    if (err)
        save_failed(n, r, err);
    else
        r->table_full = r->apply_held = false;
    if (err == RGKV_NO_SPACE)
        pipeline_yield(n, r);
}

/* While a shard is copied every run is saved as it ends; here comes only what found no space then. */
static void save_now(struct node *n, struct replica *r)
{
    ended(n, r, r->kv ? kv_save(r->kv) : ctrl_finish(r->ctrl, buf_bytes(&r->applied_row)));
}

static void begin(struct node *n, struct replica *r)
{
    struct node_effect e = {.kind = NODE_SAVE, .replica = r->id};
    if (r->saving)
        return;
    if (!r->kv || !kv_save_begin(r->kv, &e.saving)) {
        save_now(n, r);
        return;
    }
    r->saving = true;
    if (!e.saving.again)
        r->saving_index = r->applied;
    out_effect(&n->out, &e);
}

/* Up to here the table has what was applied; maybe more. */
uint64_t save_index(const struct replica *r)
{
    if (MUTANT(saved_early) && r->saving)
        return r->saving_index;
    return r->kv && kv_unsaved(r->kv) ? r->saved_index : r->applied;
}

bool save_reaches(struct node *n, struct replica *r, uint64_t *index)
{
    if (!*index)
        *index = r->applied;
    if (save_index(r) < *index)
        begin(n, r);
    if (save_index(r) < *index)
        return false;
    *index = 0;
    return true;
}

/* A table whose disk is behind is not given more by itself: a thread of the pool would wait there, which the logs need. */
void save_due(struct node *n, struct replica *r)
{
    if (!n->failed && r->state == REPLICA_RUNNING && r->kv && !r->saving && kv_full(r->kv) && !table_waits(r->table))
        begin(n, r);
}

void save_ended(struct node *n, struct replica *r, enum rgkv_err err)
{
    r->saving = false;
    r->entry_waits_for_save = false;
    err = kv_save_end(r->kv, err);
    if (!err)
        r->saved_index = r->saving_index;
    ended(n, r, err);
    r->dirty = true; /* who waits for it asks again */
    if (r->incoming && !n->failed)
        install_try(n, r);
}

void save_tick(struct node *n, struct replica *r)
{
    if (n->failed || r->state != REPLICA_RUNNING || !r->table_full || n->now_us < r->table_retry_us)
        return;
    r->table_retry_us = n->now_us + TABLE_RETRY_US;
    begin(n, r);
}
