/* Exactly once for admin commands: (client, seq) -> what was answered, the last RESULTS_MAX in log order.
 *
 * A copy of a command whose result is gone must not run again. `born` is a time of this log that the client knew when it first
 * sent the command, so the first copy ran at born or later; if no result that ran at born or later was ever evicted, the
 * ring would still have it. Equal times are possible, hence "not newer than" (P5, P28). */
#include "base/mutant.h"
#include "ctrl/state.h"

static void result_of(const struct outcome *o, struct ctrl_result *r)
{
    *r = (struct ctrl_result){.err = o->err, .config_num = o->config_num, .duplicate = true};
    memcpy(r->why, o->why, sizeof(r->why));
}

bool ctrl_results_find(const struct results *all, const struct ctrl_command *k, struct ctrl_result *r)
{
    for (uint64_t i = all->next; i > all->first; i--) {
        const struct outcome *o = &all->ring[(i - 1) % RESULTS_MAX];
        if (o->client == k->client && o->seq == k->seq && !MUTANT(admin_twice)) {
            result_of(o, r);
            return true;
        }
    }
    return false;
}

bool ctrl_has_result(const struct ctrl *c, const struct ctrl_command *command)
{
    struct ctrl_result r;
    return ctrl_results_find(&c->results, command, &r);
}

bool ctrl_results_expired(const struct results *all, const struct ctrl_command *k)
{
    return all->first > 0 && k->born_us <= all->evicted_us;
}

static struct outcome *results_slot(struct results *all, uint64_t ordinal)
{
    if (!all->ring)
        all->ring = mem_zalloc(RESULTS_MAX * sizeof(*all->ring));
    return &all->ring[ordinal % RESULTS_MAX];
}

static void results_evict(struct ctrl *c)
{
    struct results *all = &c->results;
    all->evicted_us = results_slot(all, all->first)->time_us;
    ctrl_rows_delete_result(c, all->first);
    all->first++;
}

void ctrl_results_record(struct ctrl *c, const struct ctrl_command *k, const struct ctrl_result *r)
{
    struct results *all = &c->results;
    if (all->next - all->first == RESULTS_MAX)
        results_evict(c);
    struct outcome *o = results_slot(all, all->next);
    *o = (struct outcome){k->client, k->seq, c->time_us, r->config_num, r->err, ""};
    memcpy(o->why, r->why, sizeof(o->why));
    ctrl_rows_put_result(c, all->next, o);
    all->next++;
}

void ctrl_results_restore(struct results *all, uint64_t ordinal, const struct outcome *o)
{
    *results_slot(all, ordinal) = *o;
}
