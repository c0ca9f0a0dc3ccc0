/* When a shard's move begins, ends and is given up (P13 to P17). */
#include "base/mutant.h"
#include "ctrl/plan_state.h"

/* ---- tracks ---- */

static void track_begin(struct plan_track *t, const struct ctrl_shard *s, uint64_t now_us)
{
    if (t->holder != s->holder)
        t->aborts = 0;
    t->holder = s->holder;
    t->epoch = s->epoch;
    t->target = s->target;
    t->since_us = t->heard_us = t->progress_us = now_us;
    t->keys = t->bytes = t->progress = 0;
    t->state = KV_NONE;
}

static void track_listen(struct plan_track *t, const struct plan_leader *l, uint32_t shard, uint64_t now_us)
{
    if (!l->replica)
        return;
    t->heard_us = MAX(t->heard_us, l->node->received_us);
    const struct ctrl_report_shard *told = plan_shard(l, shard);
    if (!told || told->epoch != t->epoch)
        return;
    if (told->state != t->state || told->progress != t->progress || told->keys != t->keys || told->bytes != t->bytes)
        t->progress_us = now_us;
    t->state = told->state;
    t->keys = told->keys;
    t->bytes = told->bytes;
    t->progress = told->progress;
}

static void track_follow(struct plan_round *r, uint32_t shard)
{
    struct plan_track *t = &r->p->tracks[shard];
    const struct ctrl_shard *s = &r->v->shards[shard];
    if (t->holder != s->holder || t->epoch != s->epoch || t->target != s->target || t->since_us == 0)
        track_begin(t, s, r->now_us);
    if (!s->target)
        return;
    struct plan_group *to = plan_round_group(r, s->target);
    track_listen(t, &to->leader, shard, r->now_us);
    to->progress_us = MAX(to->progress_us, t->progress_us);
}

void plan_tracks_follow(struct plan_round *r)
{
    struct ctrl_plan *p = r->p;
    if (p->n_tracks != r->v->nshards) {
        mem_free(p->tracks);
        p->n_tracks = r->v->nshards;
        p->tracks = mem_zalloc(p->n_tracks * sizeof(*p->tracks));
    }
    for (uint32_t s = 0; s < p->n_tracks; s++)
        track_follow(r, s);
}

/* ---- the end ---- */

static void ask_shard(struct plan_round *r, enum ctrl_op op, uint32_t shard)
{
    plan_ask(r, &(struct ctrl_command){.op = op, .shard = shard, .epoch = r->v->shards[shard].epoch});
}

/* Copies to one destination may wait for each other, so what counts is the progress of any of them; unless
 * the holder is silent: then this one makes none whatever the others do. */
static bool move_stalled(const struct plan_round *r, uint32_t shard)
{
    const struct plan_track *t = &r->p->tracks[shard];
    const struct plan_group *to = plan_round_group(r, t->target), *from = plan_round_group(r, t->holder);
    bool from_silent = from && !from->leader.replica;
    uint64_t progress_us = from_silent ? t->progress_us : MAX(t->progress_us, to->progress_us);
    return r->now_us - progress_us > MOVE_STALLED_US;
}

static bool move_abandoned(const struct plan_round *r, uint32_t shard)
{
    return r->now_us - r->p->tracks[shard].heard_us > REPORT_FRESH_US || move_stalled(r, shard);
}

static void back_off(struct plan_track *t, uint64_t now_us)
{
    if (t->aborted_epoch == t->epoch)
        return;
    t->aborted_epoch = t->epoch;
    t->aborts++;
    uint64_t wait_us = t->aborts > 5 ? BACKOFF_US_MAX : (uint64_t)1000000 << t->aborts;
    t->retry_us = now_us + MIN(wait_us, BACKOFF_US_MAX);
}

static void moving_end(struct plan_round *r, uint32_t shard)
{
    const struct ctrl_shard *s = &r->v->shards[shard];
    const struct ctrl_report_shard *told = plan_shard(&plan_round_group(r, s->target)->leader, shard);
    if (s->wanted != s->target) {
        ask_shard(r, CTRL_ABORT, shard);
    } else if (told && told->state == KV_PREPARED && (told->epoch == s->epoch || MUTANT(commit_unprepared))) {
        ask_shard(r, CTRL_COMMIT, shard);
    } else if (move_abandoned(r, shard)) {
        back_off(&r->p->tracks[shard], r->now_us);
        ask_shard(r, CTRL_ABORT, shard);
    }
}

static void resting_end(struct plan_round *r, uint32_t shard)
{
    const struct ctrl_shard *s = &r->v->shards[shard];
    if (!s->holder || s->active)
        return;
    const struct ctrl_report_shard *told = plan_shard(&plan_round_group(r, s->holder)->leader, shard);
    if (told && told->state == KV_SERVING && told->epoch == s->epoch)
        ask_shard(r, CTRL_ACTIVE, shard);
}

void plan_moves_end(struct plan_round *r)
{
    for (uint32_t s = 0; s < r->v->nshards; s++)
        if (r->v->shards[s].target)
            moving_end(r, s);
        else
            resting_end(r, s);
}

/* ---- the beginning ---- */

static bool may_begin(const struct plan_round *r, uint32_t shard)
{
    const struct ctrl_shard *s = &r->v->shards[shard];
    if (s->target || !s->wanted || s->wanted == s->holder || (s->holder && !s->active))
        return false;
    const struct ctrl_group *g = ctrl_view_group(r->v, s->wanted);
    const struct plan_group *to = plan_round_group(r, s->wanted);
    if (!g || !g->in_config || !g->founded || !to->leader.replica)
        return false;
    if (s->holder && (to->moves >= MOVES_PER_GROUP_MAX || plan_disk_full(&to->leader)))
        return false;
    return (!s->holder || plan_source_answers(r, s->holder)) && r->p->tracks[shard].retry_us <= r->now_us;
}

void plan_moves_begin(struct plan_round *r)
{
    for (uint32_t s = 0; s < r->v->nshards; s++) {
        if (!may_begin(r, s))
            continue;
        const struct ctrl_shard *shard = &r->v->shards[s];
        struct ctrl_command k = {.op = CTRL_PREPARE, .shard = s, .epoch = shard->epoch, .gid = shard->wanted};
        if (plan_ask(r, &k))
            plan_round_group(r, shard->wanted)->moves += shard->holder != 0;
    }
}
