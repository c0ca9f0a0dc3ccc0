/* Shard moves, seen from a group: what the controller's view makes its leader log, and the pulling of rows.
 *
 *   view says (holder h, epoch e, target t)     ours: state st at epoch ep          the leader logs
 *   ------------------------------------------  ----------------------------------  ------------------------------
 *   t = us, h ≠ us                              e > ep                              import(e, from h; h = 0: empty)
 *   h = us, t = none                            prepared at ep = e                  activate(e)
 *                                               frozen or serving, e > ep           thaw(e)          (P14)
 *   neither                                     frozen, e ≥ ep                      drop(e)          (P4)
 *                                               importing or prepared, e > ep       drop(e)
 *
 * and when the destination asks (MSG_PULL at the epoch e of the view's move) and we serve at ep < e: copy(e), and once only
 * little is left freeze(e) (P16, kv/copy.c).
 * All of it is level-triggered: the same view gives the same command until the state has changed; apply decides (P11, P17). */
#include "base/mutant.h"
#include "node/internal.h"

#define NUDGE_US 300000u       /* a command that had no effect is proposed again after this */
#define PULL_TIMEOUT_US 1000000u
#define PULL_RETRY_US 3000u
#define REST_FACTOR 2u
#define REST_US_MAX 500000u
#define CALM_US 30000u         /* a round of a copy that took no longer says that nothing is held up */
#define PULLS_PER_NODE_MAX 8u  /* under way at once in all replicas of a node; those whose source is silent do not count … */
#define PULLS_MAX 64u          /* … but there are never more in one replica */
#define SILENCES_MAX 2u
#define TIME_STANDS_US (SESSION_TTL_US / 4) /* a client uses it as long again before it asks anew: that must not be near the TTL (P5) */

static bool view_is_of(const struct node *n, const struct replica *r)
{
    const struct ctrl_group *g = n->view.version ? ctrl_view_group(&n->view, r->desc.gid) : NULL;
    return g && g->incarnation == r->desc.incarnation && n->view.nshards == kv_nshards(r->kv);
}

/* ---- commands ---- */

static uint64_t place_of(uint64_t round, struct bytes cursor) { return hash64_seeded(cursor, round); }

/* Notes it as the shard's last command. False: it is that already, and not for long. */
static bool nudge_note(struct node *n, struct replica *r, const struct kv_command *c)
{
    if (!r->nudges)
        r->nudges = mem_zalloc(kv_nshards(r->kv) * sizeof(*r->nudges));
    struct nudge *g = &r->nudges[c->shard];
    uint64_t place = place_of(c->round, c->after);
    if (g->kind == c->kind && g->epoch == c->epoch && g->place == place && n->now_us < g->until_us)
        return false;
    *g = (struct nudge){.epoch = c->epoch, .until_us = n->now_us + NUDGE_US, .kind = c->kind, .place = place,
                         .round_us = c->kind == KV_COPY ? n->now_us : g->round_us};
    return true;
}

/* What a full disk has no place for (P29); it is asked for again as long as the move lasts. */
static bool grows(const struct kv_command *c) { return c->kind == KV_CHUNK || (c->kind == KV_IMPORT && c->from); }

/* True: it was proposed now. False: it cannot be, or was not long ago. */
static bool log_command(struct node *n, struct replica *r, struct kv_command *c)
{
    if ((grows(c) && serve_disk_full(n, r)) || !nudge_note(n, r, c))
        return false;
    c->time_us = replica_time_us(n, r);
    enum rgkv_err err = replica_propose(n, r, kv_command_encode(c), 0, 0);
    if (err)
        r->nudges[c->shard].until_us = n->now_us;
    return !err;
}

static void log_shard(struct node *n, struct replica *r, enum kv_command_kind kind, uint32_t shard, uint64_t epoch, uint64_t from)
{
    log_command(n, r, &(struct kv_command){.kind = kind, .shard = shard, .epoch = epoch, .from = from});
}

/* ---- the table at the head of this file ---- */

static void react_as_holder(struct node *n, struct replica *r, uint32_t s, const struct ctrl_shard *v, const struct kv_shard_status *st)
{
    if (v->target)
        return; /* the destination asks for what it needs */
    if (st->state == KV_PREPARED && st->epoch == v->epoch)
        log_shard(n, r, KV_ACTIVATE, s, v->epoch, 0);
    else if ((st->state == KV_FROZEN || st->state == KV_SERVING) &&
             (v->epoch > st->epoch || (MUTANT(thaw_stale) && st->state == KV_FROZEN)))
        log_shard(n, r, KV_THAW, s, v->epoch, 0);
}

static void react(struct node *n, struct replica *r, uint32_t s)
{
    const struct ctrl_shard *v = &n->view.shards[s];
    struct kv_shard_status st;
    uint64_t us = r->desc.gid;
    kv_shard_status(r->kv, s, &st);
    if (v->holder == us) {
        react_as_holder(n, r, s, v, &st);
    } else if (v->target == us) {
        if (v->epoch > st.epoch)
            log_shard(n, r, KV_IMPORT, s, v->epoch, v->holder);
    } else if ((st.state == KV_FROZEN && v->epoch >= st.epoch) ||
               ((st.state == KV_FROZEN || st.state == KV_SERVING) && MUTANT(drop_stale)) ||
               ((st.state == KV_IMPORTING || st.state == KV_PREPARED) && v->epoch > st.epoch)) {
        log_shard(n, r, KV_DROP, s, v->epoch, 0);
    }
}

/* ---- pulling ---- */

static struct pulling *pulling_of(struct replica *r, uint32_t shard)
{
    for (unsigned i = 0; i < r->n_pulls; i++)
        if (r->pulls[i].shard == shard)
            return &r->pulls[i];
    return NULL;
}

static void pull_end(struct replica *r, struct pulling *p)
{
    *p = r->pulls[--r->n_pulls];
}

static unsigned pulls_of_node(const struct node *n)
{
    unsigned count = 0;
    for (unsigned i = 0; i < n->n_replicas; i++)
        for (unsigned k = 0; k < n->replicas[i]->n_pulls; k++)
            count += n->replicas[i]->pulls[k].silences < SILENCES_MAX;
    return count;
}

static struct pulling *pull_begin(struct node *n, struct replica *r, uint32_t shard, uint64_t epoch)
{
    if (r->n_pulls == PULLS_MAX || pulls_of_node(n) >= PULLS_PER_NODE_MAX)
        return NULL;
    if (r->n_pulls == r->pulls_cap) {
        r->pulls_cap = PULLS_MAX;
        r->pulls = mem_realloc(r->pulls, r->pulls_cap * sizeof(*r->pulls));
    }
    struct pulling *p = &r->pulls[r->n_pulls++];
    *p = (struct pulling){.shard = shard, .epoch = epoch};
    return p;
}

static void pull_send(struct node *n, struct replica *r, struct pulling *p, uint64_t source)
{
    const struct ctrl_group *g = ctrl_view_group(&n->view, source);
    p->deadline_us = n->now_us + PULL_TIMEOUT_US;
    if (!g || g->n == 0)
        return;
    const char *addr = p->addr[0] ? p->addr : g->members[p->member % g->n].addr;
    if (!addr[0])
        return;
    struct kv_shard_status st;
    kv_shard_status(r->kv, p->shard, &st);
    struct msg m = {.kind = MSG_PULL, .id = n->next_request++,
                    .pull = {.gid = g->gid, .incarnation = g->incarnation, .shard = p->shard, .epoch = p->epoch,
                             .round = st.import_round, .after = kv_import_cursor(r->kv, p->shard)}};
    p->request_id = m.id;
    p->place = place_of(st.import_round, m.pull.after);
    p->sent_us = n->now_us;
    p->waiting = true;
    node_send(n, addr, &m);
}

static void pull_elsewhere(struct node *n, struct pulling *p, const char *hint)
{
    p->waiting = false;
    p->deadline_us = n->now_us + PULL_RETRY_US;
    if (hint[0] && strcmp(hint, p->addr) != 0) {
        memcpy(p->addr, hint, strlen(hint) + 1);
        return;
    }
    p->addr[0] = 0;
    p->member++;
}

static void pull(struct node *n, struct replica *r, uint32_t s, const struct kv_shard_status *st)
{
    struct pulling *p = pulling_of(r, s);
    if (p && p->epoch != st->epoch) {
        pull_end(r, p);
        p = NULL;
    }
    if (!p && !(p = pull_begin(n, r, s, st->epoch)))
        return;
    if (n->now_us < p->deadline_us)
        return;
    if (p->waiting) {
        p->silences++;
        pull_elsewhere(n, p, "");
    }
    pull_send(n, r, p, st->from);
}

/* Those that are not importing any more need nothing. */
static void pulls_prune(struct replica *r)
{
    for (unsigned i = 0; i < r->n_pulls;) {
        struct kv_shard_status st;
        kv_shard_status(r->kv, r->pulls[i].shard, &st);
        if (st.state != KV_IMPORTING || st.epoch != r->pulls[i].epoch)
            pull_end(r, &r->pulls[i]);
        else
            i++;
    }
}

/* Both at once, if it was the last: they are applied one after the other. An end without the rows that it ends says nothing:
 * it comes with them when they are asked for again. */
static void log_pulled(struct node *n, struct replica *r, const struct msg_pull_reply *a)
{
    bool lost = MUTANT(chunk_lost) && a->pulled.last;
    struct kv_command c = {.kind = KV_CHUNK, .shard = a->shard, .epoch = a->epoch, .round = a->round, .after = a->after,
                           .rows = lost ? BYTES_EMPTY : a->rows, .done = a->pulled.done};
    struct kv_command end = {.kind = KV_IMPORT_END, .shard = a->shard, .epoch = a->epoch, .round = a->round + 1,
                             .count = a->pulled.count, .hash = a->pulled.hash, .revision = a->pulled.revision,
                             .clock_us = a->pulled.clock_us};
    if (log_command(n, r, &c) && a->pulled.last)
        log_command(n, r, &end);
}

static void pull_later(struct node *n, struct pulling *p, const struct msg_pull_reply *a)
{
    p->waiting = false;
    p->deadline_us = n->now_us + PULL_RETRY_US;
    p->steps += a->pulled.count != p->source_steps;
    p->source_steps = a->pulled.count;
}

void moves_pull_reply(struct node *n, const struct msg *m)
{
    const struct msg_pull_reply *a = &m->pull_reply;
    for (unsigned i = 0; i < n->n_replicas; i++) {
        struct replica *r = n->replicas[i];
        struct pulling *p = r->state == REPLICA_RUNNING && r->kv ? pulling_of(r, a->shard) : NULL;
        if (!p || !p->waiting || p->request_id != m->id)
            continue;
        p->silences = 0;
        if (a->err == RGKV_MOVING) {
            pull_later(n, p, a);
        } else if (a->err || a->rows.len > DATA_BYTES_MAX) { /* more than an entry may hold: nobody of ours sends that */
            pull_elsewhere(n, p, a->leader_addr);
        } else if (replica_is_leader(r) && p->epoch == a->epoch) {
            p->waiting = false;
            p->logged = true;
            p->deadline_us = n->now_us + PULL_TIMEOUT_US; /* sooner if the chunk is applied: see moves_tick */
            log_pulled(n, r, a);
        }
        return;
    }
}

/* ---- the source's side ---- */

/* Epochs come from the controller only (P14): a copy or freeze at one that it never gave would be for ever. */
static bool move_is_known(const struct node *n, const struct replica *r, const struct msg_pull *q)
{
    return view_is_of(n, r) && n->view.shards[q->shard].epoch == q->epoch && n->view.shards[q->shard].target;
}

static bool calm(const struct node *n, const struct replica *r, uint32_t shard)
{
    const struct nudge *g = r->nudges ? &r->nudges[shard] : NULL;
    return g && n->now_us < g->round_us + CALM_US;
}

static enum rgkv_err answer_pull(struct node *n, struct replica *r, uint64_t conn, const struct msg_pull *q, struct msg_pull_reply *a)
{
    struct kv_command next;
    uint64_t steps = 0;
    if (!r || !r->kv || r->desc.incarnation != q->incarnation || q->shard >= kv_nshards(r->kv))
        return RGKV_WRONG_GROUP;
    if (!replica_is_leader(r))
        return RGKV_NOT_LEADER;
    struct kv_pull pull = {.shard = q->shard, .epoch = q->epoch, .round = q->round, .after = q->after,
                           .bytes_max = n->options.chunk_bytes ? n->options.chunk_bytes : PULL_CHUNK_BYTES, .calm = calm(n, r, q->shard)};
    if (move_is_known(n, r, q) && kv_copy_next(r->kv, &pull, &next, &steps))
        log_command(n, r, &next);
    buf_clear(&n->scratch);
    /* It asks for a hundred thousand bytes with two hundred: when there is no place for them now, it asks again soon. */
    enum rgkv_err err = serve_later(n, conn) ? RGKV_MOVING : kv_pull(r->kv, &pull, &n->scratch, &a->pulled);
    if (err)
        a->pulled = (struct kv_pulled){.count = steps};
    a->rows = buf_bytes(&n->scratch);
    return err;
}

void moves_pull_request(struct node *n, uint64_t conn, const struct msg *m)
{
    struct replica *r = node_group(n, m->pull.gid);
    struct msg reply = {.kind = MSG_PULL_REPLY, .pull_reply = {.shard = m->pull.shard, .epoch = m->pull.epoch,
                                                                   .round = m->pull.round, .after = m->pull.after}};
    reply.pull_reply.err = answer_pull(n, r, conn, &m->pull, &reply.pull_reply);
    if (reply.pull_reply.err)
        reply.pull_reply.rows = BYTES_EMPTY;
    if (reply.pull_reply.err == RGKV_NOT_LEADER)
        strncpy(reply.pull_reply.leader_addr, replica_leader_addr(n, r, NULL), ADDR_BYTES_MAX - 1);
    node_reply(n, conn, m->id, &reply);
}

/* ---- time, applies, new views ---- */

/* While the shard is served nobody waits for its copy, and everybody else for the disks and processors that it uses: after each
 * piece it rests, longer the longer the piece took (they are busy) and the more shards are on their way to this node. */
static uint64_t rest_us(const struct node *n, const struct pulling *p, const struct kv_shard_status *st)
{
    uint64_t took_us = n->now_us - p->sent_us;
    return st->import_round == 0 ? MIN(REST_FACTOR * took_us * pulls_of_node(n), REST_US_MAX) : 0;
}

static void cursor_moved(struct node *n, struct replica *r)
{
    for (unsigned i = 0; i < r->n_pulls; i++) {
        struct pulling *p = &r->pulls[i];
        struct kv_shard_status st;
        kv_shard_status(r->kv, p->shard, &st);
        if (!p->logged || p->place == place_of(st.import_round, kv_import_cursor(r->kv, p->shard)))
            continue;
        p->logged = false;
        p->deadline_us = n->now_us + rest_us(n, p, &st);
    }
}

bool moves_step(const struct kv_command *c)
{
    switch (c->kind) {
    case KV_IMPORT: case KV_IMPORT_END: case KV_FREEZE: case KV_ACTIVATE: case KV_THAW: case KV_DROP:
        return true;
    case KV_REQUEST: case KV_CLOCK: case KV_CHUNK: case KV_COPY: case KV_COPY_SUM:
        break;
    }
    return false;
}

uint64_t moves_steps(const struct replica *r, uint32_t shard)
{
    for (unsigned i = 0; i < r->n_pulls; i++)
        if (r->pulls[i].shard == shard)
            return r->pulls[i].steps;
    return 0;
}

/* One at a time, and not only when nothing else is under way: somebody may write for ever. */
static void log_clock(struct node *n, struct replica *r, bool wanted)
{
    struct kv_command c = {.kind = KV_CLOCK, .time_us = replica_time_us(n, r)};
    struct raft_status s;
    raft_status(r->raft, &s);
    bool under_way = r->clock_term == s.term && r->clock_index > r->applied;
    if (under_way || !(wanted || kv_clock_due(r->kv, c.time_us)) || replica_propose(n, r, kv_command_encode(&c), 0, 0))
        return; /* refused: the next tick says it again */
    r->clock_index = s.last_index + 1;
    r->clock_term = s.term;
}

bool moves_renew_time(struct node *n, struct replica *r)
{
    bool stands = replica_time_us(n, r) > kv_time_us(r->kv) + TIME_STANDS_US;
    if (stands)
        log_clock(n, r, true);
    return stands;
}

void moves_tick(struct node *n, struct replica *r)
{
    if (!replica_is_leader(r) || !view_is_of(n, r) || n->stopping) {
        r->n_pulls = 0;
        return;
    }
    pulls_prune(r);
    cursor_moved(n, r);
    for (uint32_t s = 0; s < n->view.nshards; s++) {
        struct kv_shard_status st;
        react(n, r, s);
        kv_shard_status(r->kv, s, &st);
        if (st.state == KV_IMPORTING && st.from)
            pull(n, r, s, &st);
    }
    log_clock(n, r, false);
}

uint64_t moves_deadline_us(const struct node *n, const struct replica *r)
{
    uint64_t at = UINT64_MAX;
    for (unsigned i = 0; i < r->n_pulls; i++)
        at = MIN(at, r->pulls[i].deadline_us);
    return replica_is_leader(r) ? MIN(at, n->now_us + 200000) : at;
}
