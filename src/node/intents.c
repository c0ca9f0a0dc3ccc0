/* Renames to other shards, carried out by the leader of the source's group (P6; kv/intent.c says what they are).
 *
 *   each open intent   ──KV_LAND, piece by piece──▶ leader of the target's group      (the pieces so far are told by each answer)
 *                      ◀──────── outcome ────────── recorded there
 *                      ──KV_SETTLE──▶ own log
 *
 * Nothing is remembered here that must not be lost: a new leader begins again, the target tells how far it is or how it ended. */
#include "base/mutant.h"
#include "node/internal.h"

#define LAND_BYTES (512u << 10)
#define LAND_TIMEOUT_US 1000000u
#define LAND_RETRY_MIN_US 5000u
#define LAND_RETRY_MAX_US 200000u
#define SETTLE_AGAIN_US 300000u
#define CROSSINGS_MAX 64u      /* of one replica at once to one group: those to a dead group are never over, and keep no others waiting */

static_assert(LAND_BYTES + XATTR_BYTES_MAX <= DATA_BYTES_MAX, "the last piece takes the extended attributes along");

static struct crossing *crossing_of(struct replica *r, const struct kv_intent *i)
{
    for (unsigned k = 0; k < r->n_crossings; k++)
        if (r->crossings[k].shard == i->shard && r->crossings[k].number == i->number)
            return &r->crossings[k];
    return NULL;
}

static uint64_t holder_of(const struct node *n, uint32_t shard)
{
    return n->view.version && shard < n->view.nshards ? n->view.shards[shard].holder : 0;
}

static unsigned crossings_to(const struct node *n, const struct replica *r, uint64_t gid)
{
    unsigned count = 0;
    for (unsigned k = 0; k < r->n_crossings; k++)
        count += holder_of(n, r->crossings[k].target) == gid;
    return count;
}

static struct crossing *crossing_begin(const struct node *n, struct replica *r, const struct kv_intent *i)
{
    if (crossings_to(n, r, holder_of(n, i->target)) >= CROSSINGS_MAX)
        return NULL;
    if (r->n_crossings == r->crossings_cap) {
        r->crossings_cap = MAX(r->crossings_cap * 2, 8u);
        r->crossings = mem_realloc(r->crossings, r->crossings_cap * sizeof(*r->crossings));
    }
    struct crossing *c = &r->crossings[r->n_crossings++];
    *c = (struct crossing){.shard = i->shard, .target = i->target, .number = i->number};
    return c;
}

static bool still_open(const struct replica *r, const struct crossing *c)
{
    const struct kv_intent *i;
    for (unsigned k = 0; (i = kv_intent_at(r->kv, k)); k++)
        if (i->shard == c->shard && i->number == c->number)
            return true;
    return false;
}

static void crossings_prune(struct replica *r)
{
    for (unsigned k = 0; k < r->n_crossings;)
        if (still_open(r, &r->crossings[k]))
            k++;
        else
            r->crossings[k] = r->crossings[--r->n_crossings];
}

/* ---- asking the target ---- */

static void elsewhere(struct node *n, struct crossing *c, const char *hint)
{
    uint64_t delay = MIN(LAND_RETRY_MIN_US << MIN(c->refusals, 10u), LAND_RETRY_MAX_US);
    bool known = hint[0] && strcmp(hint, c->addr) != 0;
    c->waiting = false;
    c->refusals++;
    c->deadline_us = n->now_us + (known && c->refusals < 4 ? 0 : delay);
    if (known) {
        memcpy(c->addr, hint, strlen(hint) + 1);
        return;
    }
    c->addr[0] = 0;
    c->member++;
}

/* The target's holder; NULL: nobody yet. */
static const char *target_addr(const struct node *n, const struct crossing *c, uint64_t *ret_gid)
{
    const struct ctrl_group *g = ctrl_view_group(&n->view, holder_of(n, c->target));
    if (!g || !g->n)
        return NULL;
    *ret_gid = g->gid;
    const char *addr = c->addr[0] ? c->addr : g->members[c->member % g->n].addr;
    return addr[0] ? addr : NULL;
}

static void land_send(struct node *n, struct replica *r, struct crossing *c, const struct kv_intent *i)
{
    struct kv_range range;
    struct msg m = {.kind = MSG_KV_REQUEST, .id = n->next_request++};
    const char *addr = target_addr(n, c, &m.kv_request.gid);
    c->deadline_us = n->now_us + LAND_TIMEOUT_US;
    if (!addr || kv_land_request(r->kv, i, c->offset, LAND_BYTES, &n->scratch, &range, &m.kv_request.request))
        return;
    if (c->give_up) {
        m.kv_request.request.n_ranges = 0;
        m.kv_request.request.data = BYTES_EMPTY;
        m.kv_request.request.version = RGKV_FULL;
    }
    c->request_id = m.id;
    c->waiting = true;
    node_send(n, addr, &m);
}

static void settle(struct node *n, struct replica *r, struct crossing *c, const struct kv_intent *i)
{
    if (n->now_us < c->nudge_us)
        return;
    struct kv_command command = {.kind = KV_REQUEST, .time_us = replica_time_us(n, r),
                                 .request = {.op = KV_SETTLE, .shard = i->shard, .key = i->key, .seq = i->number, .version = c->outcome}};
    enum rgkv_err err = replica_propose(n, r, kv_command_encode(&command), 0, 0);
    c->nudge_us = c->deadline_us = n->now_us + (err ? TICK_US : SETTLE_AGAIN_US);
}

static void work_on(struct node *n, struct replica *r, struct crossing *c, const struct kv_intent *i)
{
    if (MUTANT(source_first) && !c->over) {
        c->over = true;
        c->outcome = RGKV_OK;
    }
    if (c->over) {
        settle(n, r, c, i);
        return;
    }
    if (n->now_us < c->deadline_us)
        return;
    if (c->waiting)
        elsewhere(n, c, "");
    land_send(n, r, c, i);
}

/* ---- answers ---- */

static struct crossing *asked(struct node *n, uint64_t request_id)
{
    for (unsigned i = 0; i < n->n_replicas; i++) {
        struct replica *r = n->replicas[i];
        for (unsigned k = 0; r->state == REPLICA_RUNNING && r->kv && k < r->n_crossings; k++)
            if (r->crossings[k].waiting && r->crossings[k].request_id == request_id)
                return &r->crossings[k];
    }
    return NULL;
}

static void went_on(struct node *n, struct crossing *c, uint64_t have)
{
    c->refusals = have > c->offset ? 0 : c->refusals + 1;
    c->offset = have;
    c->waiting = false;
    c->deadline_us = n->now_us + (c->refusals ? LAND_RETRY_MIN_US : 0);
}

static void answered(struct node *n, struct crossing *c, const struct kv_reply *a)
{
    switch (a->err) {
    case RGKV_NOT_LEADER:
        elsewhere(n, c, a->leader_addr);
        return;
    case RGKV_NO_SPACE:
        if (c->give_up) {
            elsewhere(n, c, "");
            return;
        }
        c->give_up = true; /* a refusal of this copy only: the target must log that it will not be */
        c->waiting = false;
        c->deadline_us = n->now_us;
        return;
    case RGKV_WRONG_GROUP: case RGKV_MOVING: case RGKV_BUSY: case RGKV_UNKNOWN: case RGKV_IO: case RGKV_DAMAGED: case RGKV_NO_MEMORY:
    case RGKV_STALE:
        elsewhere(n, c, "");
        return;
    case RGKV_OK:
        if (a->more) {
            went_on(n, c, a->attr.size);
            return;
        }
        break;
    default:
        break;
    }
    c->over = true;
    c->waiting = false;
    c->outcome = a->err;
    c->nudge_us = 0;
}

void intents_reply(struct node *n, const struct msg *m)
{
    struct crossing *c = asked(n, m->id);
    if (!c)
        return;
    answered(n, c, &m->kv_reply);
    for (unsigned i = 0; i < n->n_replicas; i++)
        if (n->replicas[i]->state == REPLICA_RUNNING && n->replicas[i]->kv)
            intents_tick(n, n->replicas[i]);
}

/* ---- time ---- */

static bool serves(const struct replica *r, uint32_t shard)
{
    struct kv_shard_status st;
    kv_shard_status(r->kv, shard, &st);
    return st.state == KV_SERVING;
}

void intents_tick(struct node *n, struct replica *r)
{
    if (!replica_is_leader(r) || n->stopping) {
        r->n_crossings = 0;
        return;
    }
    crossings_prune(r);
    const struct kv_intent *i;
    for (unsigned k = 0; (i = kv_intent_at(r->kv, k)); k++) {
        struct crossing *c = crossing_of(r, i);
        if (!serves(r, i->shard) || (!c && !(c = crossing_begin(n, r, i))))
            continue;
        work_on(n, r, c, i);
    }
}

uint64_t intents_deadline_us(const struct node *n, const struct replica *r)
{
    uint64_t at = UINT64_MAX;
    for (unsigned k = 0; k < r->n_crossings; k++)
        if (serves(r, r->crossings[k].shard)) /* else a new state of the shard comes first */
            at = MIN(at, MAX(r->crossings[k].deadline_us, n->now_us));
    return at;
}
