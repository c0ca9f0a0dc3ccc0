/* What was asked for within the last second, and since when something is seen. A command names the state that it
 * compares with (epoch, incarnation, slot), so after a change of that state it is another command and goes out at once. */
#include "ctrl/plan_state.h"

static struct plan_key key_of(const struct ctrl_command *k)
{
    return (struct plan_key){k->op, k->gid, k->incarnation, k->member, k->node, k->shard, k->epoch,
                             hash64(bytes_of(k->addr, strnlen(k->addr, sizeof(k->addr))))};
}

bool plan_ask(struct plan_round *r, const struct ctrl_command *k)
{
    struct plan_key key = key_of(k);
    struct plan_asked *a;
    HASH_FIND(hh, r->p->asked, &key, sizeof(key), a);
    if (a || r->n == r->max || HASH_COUNT(r->p->asked) >= ASKED_MAX)
        return false;
    a = mem_zalloc(sizeof(*a));
    a->key = key;
    a->at_us = r->now_us;
    HASH_ADD(hh, r->p->asked, key, sizeof(a->key), a);
    r->out[r->n++] = *k;
    return true;
}

void plan_forget_asked(struct ctrl_plan *p, uint64_t now_us)
{
    struct plan_asked *a, *next;
    HASH_ITER(hh, p->asked, a, next)
        if (a->at_us + ASK_AGAIN_US <= now_us) {
            HASH_DEL(p->asked, a);
            mem_free(a);
        }
}

void plan_count_asked(struct plan_round *r)
{
    struct plan_asked *a, *next;
    HASH_ITER(hh, r->p->asked, a, next) {
        if (a->key.op != CTRL_PREPARE || a->key.shard >= r->v->nshards)
            continue;
        const struct ctrl_shard *s = &r->v->shards[a->key.shard];
        struct plan_group *g = plan_round_group(r, a->key.gid);
        if (g && !s->target && s->epoch == a->key.epoch)
            g->moves += plan_source_answers(r, s->holder);
    }
}

const struct plan_since *plan_since(struct plan_round *r, const struct ctrl_command *thing)
{
    struct plan_key key = key_of(thing);
    struct plan_since *s;
    HASH_FIND(hh, r->p->since, &key, sizeof(key), s);
    if (!s) {
        s = mem_zalloc(sizeof(*s));
        s->key = key;
        s->us = r->now_us;
        s->version = r->v->version;
        HASH_ADD(hh, r->p->since, key, sizeof(s->key), s);
    }
    s->round = r->p->round;
    return s;
}

void plan_forget_since(struct ctrl_plan *p)
{
    struct plan_since *s, *next;
    HASH_ITER(hh, p->since, s, next)
        if (s->round != p->round) {
            HASH_DEL(p->since, s);
            mem_free(s);
        }
}

void plan_memory_release(struct ctrl_plan *p)
{
    struct plan_asked *a, *next_asked;
    struct plan_since *s, *next_since;
    HASH_ITER(hh, p->asked, a, next_asked) {
        HASH_DEL(p->asked, a);
        mem_free(a);
    }
    HASH_ITER(hh, p->since, s, next_since) {
        HASH_DEL(p->since, s);
        mem_free(s);
    }
}
