/* The search of Wing and Gong in the form that Lowe gave it ("Testing for linearizability", 2017): calls and returns in one
 * list in the order of time. An operation whose call stands before the first return may be next; when it is taken, its two
 * entries leave the list; when a return is reached whose operation was not taken, the last one taken is put back. Pairs of
 * (set of operations taken, value) that were tried before are not tried again.
 *
 * A value is its length and a hash that can be appended to: the polynomial over its bytes modulo 2^61 - 1. A set is the xor of
 * a random 128-bit number of each of its members. Neither can make a wrong history look right; that two different
 * sets collide, and a right one is refused, does not happen in practice. */
#include "tests/sim/linear.h"

#include <stdlib.h>

#include "base/prng.h"

#define MEMO_SLOTS_FIRST (1u << 12)
#define PRIME ((1ull << 61) - 1)
#define BASE 1099511628211ull

struct text {                  /* a value */
    uint64_t hash, bytes;
};
struct entry {
    struct entry *before, *after;
    struct entry *end;         /* of a call: its return */
    unsigned op;
};
struct op {
    const struct history_op *from;
    struct text text, expect;
    uint64_t power;            /* BASE^bytes: what appending it multiplies by */
    uint64_t zobrist[2];
};
struct memo {
    uint64_t set[2], hash, bytes;
};
struct taken {
    struct entry *call;
    struct text before;
};
struct search {
    struct op *ops;
    struct entry *entries, head;
    struct taken *stack;
    struct memo *memo;
    uint64_t memo_slots, memo_used; /* a slot without a set is free */
    unsigned n, depth, deepest, missing; /* missing: operations that must be taken and are not */
    uint64_t set[2], steps;
    struct text value;
    unsigned stuck;
};

/* ---- values ---- */

static uint64_t times(uint64_t a, uint64_t b) { return (uint64_t)((unsigned __int128)a * b % PRIME); }

static void text_of(const char *value, struct text *ret_text, uint64_t *ret_power)
{
    *ret_text = (struct text){0};
    *ret_power = 1;
    for (; *value; value++) {
        ret_text->hash = (times(ret_text->hash, BASE) + (uint8_t)*value + 1) % PRIME;
        ret_text->bytes++;
        *ret_power = times(*ret_power, BASE);
    }
}

static bool text_is(const struct text *a, const struct text *b) { return a->hash == b->hash && a->bytes == b->bytes; }

/* false: a read that cannot have been answered so. */
static bool text_step(struct text *value, const struct op *o)
{
    switch (o->from->kind) {
    case HISTORY_GET: return text_is(value, &o->text);
    case HISTORY_MISS: return !text_is(value, &o->expect);
    case HISTORY_MOVE:
        if (!text_is(value, &o->expect))
            return false;
        *value = o->text;
        return true;
    case HISTORY_ADD: case HISTORY_LIST: case HISTORY_PATCH: break; /* not decided by search */
    case HISTORY_PUT: *value = o->text; return true;
    case HISTORY_APPEND:
        value->hash = (times(value->hash, o->power) + o->text.hash) % PRIME;
        value->bytes += o->text.bytes;
        return true;
    }
    return false;
}

/* ---- the list ---- */

static void unlink_one(struct entry *e)
{
    e->before->after = e->after;
    if (e->after)
        e->after->before = e->before;
}

static void link_again(struct entry *e)
{
    e->before->after = e;
    if (e->after)
        e->after->before = e;
}

static bool must_be_taken(const struct history_op *o) { return o->outcome == HISTORY_DONE; }

static void take(struct search *s, struct entry *call, struct text after)
{
    const struct op *o = &s->ops[call->op];
    s->stack[s->depth++] = (struct taken){call, s->value};
    s->value = after;
    s->set[0] ^= o->zobrist[0];
    s->set[1] ^= o->zobrist[1];
    s->missing -= must_be_taken(o->from);
    unlink_one(call);
    unlink_one(call->end);
}

static struct entry *put_back(struct search *s)
{
    struct taken *t = &s->stack[--s->depth];
    const struct op *o = &s->ops[t->call->op];
    s->value = t->before;
    s->set[0] ^= o->zobrist[0];
    s->set[1] ^= o->zobrist[1];
    s->missing += must_be_taken(o->from);
    link_again(t->call->end);
    link_again(t->call);
    return t->call;
}

/* ---- the memory ---- */

static struct memo *memo_place(const struct search *s, const struct memo *want)
{
    uint64_t at = (want->set[0] ^ want->hash * 0x9e3779b97f4a7c15u) & (s->memo_slots - 1);
    for (; s->memo[at].set[0] | s->memo[at].set[1]; at = (at + 1) & (s->memo_slots - 1))
        if (memcmp(&s->memo[at], want, sizeof(*want)) == 0)
            break;
    return &s->memo[at];
}

static void memo_grow(struct search *s)
{
    struct memo *old = s->memo;
    uint64_t slots = s->memo_slots;
    s->memo_slots = slots ? slots * 2 : MEMO_SLOTS_FIRST;
    s->memo = mem_zalloc(s->memo_slots * sizeof(*s->memo));
    for (uint64_t i = 0; i < slots; i++)
        if (old[i].set[0] | old[i].set[1])
            *memo_place(s, &old[i]) = old[i];
    mem_free(old);
}

/* Whether taking `o` next, with that value after it, was tried before; it is remembered now. */
static bool tried(struct search *s, const struct op *o, struct text after)
{
    struct memo want = {{s->set[0] ^ o->zobrist[0], s->set[1] ^ o->zobrist[1]}, after.hash, after.bytes};
    if (s->memo_used * 2 >= s->memo_slots)
        memo_grow(s);
    struct memo *place = memo_place(s, &want);
    if (place->set[0] | place->set[1])
        return true;
    *place = want;
    s->memo_used++;
    return false;
}

/* ---- the search ---- */

static void note_stuck(struct search *s, const struct entry *at)
{
    if (s->depth >= s->deepest) {
        s->deepest = s->depth;
        s->stuck = at->op;
    }
}

static enum linear_verdict search(struct search *s)
{
    struct entry *at = s->head.after;
    while (s->missing > 0) {
        if (at->end) {
            struct text after = s->value;
            const struct op *o = &s->ops[at->op];
            if (++s->steps > LINEAR_STEPS_MAX)
                return LINEAR_UNDECIDED;
            if (text_step(&after, o) && !tried(s, o, after)) {
                take(s, at, after);
                at = s->head.after;
            } else {
                at = at->after;
            }
        } else {
            note_stuck(s, at);
            if (s->depth == 0)
                return LINEAR_WRONG;
            at = put_back(s)->after;
        }
    }
    return LINEAR_FINE;
}

/* ---- building it ---- */

static bool counts(const struct history_op *o)
{
    return o->outcome != HISTORY_NOT_DONE && (o->kind != HISTORY_GET || o->outcome == HISTORY_DONE);
}

static void add_op(struct search *s, const struct history_op *from, struct prng *prng)
{
    struct op *o = &s->ops[s->n];
    *o = (struct op){.from = from, .zobrist = {prng_next(prng), prng_next(prng)}};
    uint64_t unused;
    text_of(from->expect, &o->expect, &unused);
    text_of(from->value, &o->text, &o->power);
    struct entry *call = &s->entries[2 * s->n], *end = &s->entries[2 * s->n + 1];
    *call = (struct entry){.op = s->n, .end = end};
    *end = (struct entry){.op = s->n};
    s->missing += must_be_taken(from);
    s->n++;
}

struct moment {
    uint64_t at;
    struct entry *entry;
};

/* What ends at the moment at which another begins overlaps it: calls stand before returns. */
static int by_time(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    if (!x->entry->end != !y->entry->end)
        return x->entry->end ? -1 : 1;
    return x->entry < y->entry ? -1 : 1;
}

static void link_in_order_of_time(struct search *s)
{
    struct moment *moments = mem_alloc((2 * s->n + 1) * sizeof(*moments));
    for (unsigned i = 0; i < 2 * s->n; i++) {
        const struct history_op *from = s->ops[i / 2].from;
        uint64_t end = must_be_taken(from) ? from->end : UINT64_MAX;
        moments[i] = (struct moment){i % 2 ? end : from->begin, &s->entries[i]};
    }
    qsort(moments, 2 * s->n, sizeof(*moments), by_time);
    struct entry *last = &s->head;
    for (unsigned i = 0; i < 2 * s->n; i++) {
        moments[i].entry->before = last;
        last = last->after = moments[i].entry;
    }
    mem_free(moments);
}

enum linear_verdict linear_check(const struct history_op *const *ops, unsigned n, const struct history_op **ret_stuck)
{
    struct search s = {0};
    struct prng prng;
    prng_init(&prng, 1);
    s.ops = mem_alloc((n + 1) * sizeof(*s.ops));
    s.entries = mem_alloc((2 * n + 1) * sizeof(*s.entries));
    s.stack = mem_alloc((n + 1) * sizeof(*s.stack));
    for (unsigned i = 0; i < n; i++)
        if (counts(ops[i]))
            add_op(&s, ops[i], &prng);
    link_in_order_of_time(&s);
    enum linear_verdict verdict = search(&s);
    *ret_stuck = s.n ? s.ops[s.stuck].from : NULL;
    mem_free(s.memo);
    mem_free(s.stack);
    mem_free(s.entries);
    mem_free(s.ops);
    return verdict;
}
