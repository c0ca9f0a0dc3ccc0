/* Each caller has three keys of its own: a source that it renames onto a target, mostly in another shard, and a value that it puts in pieces.
 * Nobody else touches them, so what may be there is known exactly: after a rename whose outcome is unknown one more change of the
 * source tells it for ever (the change waits for the lock, and its floor refuses what comes late); what was put in pieces is one of two
 * values, whole.
 *
 *     source ─▶ rename ──▶ (unknown: probe) ─▶ look at the target ─▶ target put ─▶ open ─▶ pieces ─▶ commit ─▶ look at the value and
 *     at the target once more ─▶ …
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

#define PIECE_BYTES 8u
#define SLOT_VALUES 1000u

enum step { STEP_SOURCE, STEP_RENAME, STEP_PROBE, STEP_LOOK_TARGET, STEP_TARGET, STEP_OPEN, STEP_PIECES, STEP_COMMIT, STEP_FENCE, STEP_LOOK_VALUE, STEP_LOOK_LAST };

static unsigned entity(const struct sim_caller *c) { return SIM_MACHINES_MAX + c->index; }

static void step_later(struct sim *s, struct sim_caller *c, uint64_t us)
{
    sim_at(s, prng_below(&s->prng, us) + 1, (struct sim_event){.kind = SIM_CALLER_OP, .who = entity(c), .replica = SLOT_VALUES});
}

void values_init(struct sim *s, struct sim_caller *c) { step_later(s, c, 2000000); }
bool values_event(const struct sim_event *e) { return e->replica == SLOT_VALUES; }

bool values_quiet(const struct sim_caller *c) { return !c->values.asked && c->values.step == STEP_SOURCE; }

/* ---- asking ---- */

static struct sim_op *free_op(struct sim_values *v)
{
    for (unsigned i = 0; i < SIM_VALUE_OPS; i++)
        if (!v->ops[i].busy)
            return &v->ops[i];
    return NULL;
}

static void ask(struct sim *s, struct sim_caller *c, struct kv_request *q, char key, uint64_t deadline_us)
{
    struct sim_values *v = &c->values;
    struct sim_op *o = free_op(v);
    o->busy = o->of_values = true;
    o->reads = kv_op_reads(q->op);
    snprintf(o->key, sizeof o->key, "%c%u", key, c->index);
    q->key = bytes_str(o->key);
    q->mode = 0644;
    q->length = o->reads ? DATA_BYTES_MAX : q->length;
    v->asked++;
    struct client_request r = {.kind = CLIENT_KV, .deadline_us = deadline_us, .tag = o, .kv = q};
    o->id = client_submit(c->client, &r, s->now_us);
}

static uint64_t some_deadline(struct sim *s)
{
    return prng_chance(&s->prng, 1, 2) ? s->now_us + prng_between(&s->prng, 20000, 1500000) : 0;
}

static void put_number(struct sim *s, struct sim_caller *c, char key)
{
    struct sim_values *v = &c->values;
    char text[24];
    v->number++;
    snprintf(text, sizeof text, "%u", v->number);
    ask(s, c, &(struct kv_request){.op = KV_PUT, .data = bytes_str(text)}, key, 0);
}

static void ask_rename(struct sim *s, struct sim_caller *c)
{
    char to[24];
    snprintf(to, sizeof to, "t%u", c->index);
    ask(s, c, &(struct kv_request){.op = KV_RENAME, .key2 = bytes_str(to)}, 's', some_deadline(s));
}

/* ---- values in pieces ---- */

static unsigned pieces_of(unsigned number) { return 2 + number % 3; }

static void piece_text(char to[PIECE_BYTES + 1], unsigned number, unsigned i) { snprintf(to, PIECE_BYTES + 1, "%05u.%u|", number % 100000, i); }

static struct kv_request piece(const struct sim_values *v, unsigned i, char text[PIECE_BYTES + 1], struct kv_range *range)
{
    piece_text(text, v->number, i);
    *range = (struct kv_range){i * PIECE_BYTES, PIECE_BYTES};
    return (struct kv_request){.op = KV_STAGE_WRITE, .version = v->stage, .data = bytes_str(text), .n_ranges = 1, .ranges = range};
}

static void ask_pieces(struct sim *s, struct sim_caller *c)
{
    for (unsigned i = 0; i < pieces_of(c->values.number); i++) {
        char text[PIECE_BYTES + 1];
        struct kv_range range;
        struct kv_request q = piece(&c->values, i, text, &range);
        ask(s, c, &q, 'v', 0);
    }
}

static void ask_commit(struct sim *s, struct sim_caller *c)
{
    struct sim_values *v = &c->values;
    struct kv_staged staged = {.id = v->stage, .pieces = pieces_of(v->number)};
    uint8_t said[KV_STAGED_BYTES];
    for (unsigned i = 0; i < staged.pieces; i++) {
        char text[PIECE_BYTES + 1];
        struct kv_range range;
        struct kv_request q = piece(v, i, text, &range);
        staged.hash += kv_piece_hash(&q);
    }
    staged.length = staged.pieces * PIECE_BYTES;
    kv_staged_encode(&staged, said);
    ask(s, c, &(struct kv_request){.op = KV_PUT, .flags = KV_STAGED, .data = bytes_of(said, sizeof said)}, 'v', some_deadline(s));
}

static bool is_whole(struct bytes data, unsigned number)
{
    char text[PIECE_BYTES + 1];
    if (!number)
        return data.len == 0;
    if (data.len != pieces_of(number) * PIECE_BYTES)
        return false;
    for (unsigned i = 0; i < pieces_of(number); i++) {
        piece_text(text, number, i);
        if (memcmp(data.data + i * PIECE_BYTES, text, PIECE_BYTES))
            return false;
    }
    return true;
}

/* ---- what came of it ---- */

static bool settled_error(enum rgkv_err err) { return err == RGKV_OK || err == RGKV_NOT_FOUND; }

/* A later change refuses what comes late only once its floor has passed it: when nothing of this client is open that may have a lower
 * number in the shard. */
static void fence(struct sim_caller *c, enum step step)
{
    c->values.step = step;
    c->values.fence_id = 0;
    for (unsigned i = 0; i < SIM_OPS_MAX; i++)
        if (c->ops[i].busy)
            c->values.fence_id = MAX(c->values.fence_id, c->ops[i].id);
}

static bool fence_passed(const struct sim_caller *c)
{
    for (unsigned i = 0; i < SIM_OPS_MAX; i++)
        if (c->ops[i].busy && c->ops[i].id <= c->values.fence_id)
            return false;
    return true;
}

static void rename_ended(struct sim *s, struct sim_caller *c, enum rgkv_err err)
{
    struct sim_values *v = &c->values;
    if (err == RGKV_NOT_FOUND)
        sim_fail(s, "caller %u: its source %u is not there any more", c->index, v->source);
    if (err == RGKV_OK) {
        v->target = v->source;
        v->step = STEP_LOOK_TARGET;
        s->counts.renames++;
    } else {
        fence(c, STEP_PROBE);
    }
}

static void probe_ended(struct sim *s, struct sim_caller *c, enum rgkv_err err)
{
    struct sim_values *v = &c->values;
    if (!settled_error(err))
        return; /* once more */
    if (err == RGKV_NOT_FOUND) {
        v->target = v->source;
        s->counts.renames++;
    }
    v->step = STEP_LOOK_TARGET;
}

static void target_seen(struct sim *s, struct sim_caller *c, enum rgkv_err err, struct bytes data)
{
    struct sim_values *v = &c->values;
    char text[24] = "";
    if (!settled_error(err))
        return;
    if (data.len && data.len < sizeof text)
        memcpy(text, data.data, data.len);
    unsigned seen = err ? 0 : (unsigned)strtoul(text, NULL, 10);
    if (seen != v->target)
        sim_fail(s, "caller %u: its target holds %u, it must be %u", c->index, seen, v->target);
    v->step = v->step == STEP_LOOK_LAST ? STEP_SOURCE : STEP_TARGET;
}

static void value_seen(struct sim *s, struct sim_caller *c, enum rgkv_err err, struct bytes data)
{
    struct sim_values *v = &c->values;
    if (!settled_error(err))
        return;
    bool old = is_whole(data, v->value), new = v->maybe && is_whole(data, v->maybe);
    if (!old && !new)
        sim_fail(s, "caller %u: its value is neither %u nor %u: %.*s", c->index, v->value, v->maybe, (int)data.len, (const char *)data.data);
    if (new)
        v->value = v->maybe;
    v->maybe = 0;
    v->step = STEP_LOOK_LAST;
}

static void commit_ended(struct sim *s, struct sim_caller *c, enum rgkv_err err)
{
    struct sim_values *v = &c->values;
    if (err == RGKV_OK) {
        v->value = v->number;
        s->counts.staged++;
    } else {
        v->maybe = v->number;
    }
    if (err == RGKV_OK)
        v->step = STEP_LOOK_VALUE;
    else
        fence(c, STEP_FENCE);
}

static void ended(struct sim *s, struct sim_caller *c, enum kv_op op, enum rgkv_err err, const struct kv_reply *r)
{
    struct sim_values *v = &c->values;
    struct bytes data = r && !err ? r->data : BYTES_EMPTY;
    switch ((enum step)v->step) {
    case STEP_SOURCE:
        v->source = v->number;
        v->step = err ? STEP_SOURCE : STEP_RENAME;
        break;
    case STEP_RENAME: rename_ended(s, c, err); break;
    case STEP_PROBE: probe_ended(s, c, err); break;
    case STEP_LOOK_TARGET:
    case STEP_LOOK_LAST: target_seen(s, c, err, data); break;
    case STEP_TARGET:
        if (!err)
            v->target = v->number;
        v->step = err ? STEP_TARGET : STEP_OPEN;
        break;
    case STEP_OPEN:
        if (!err && r)
            v->stage = r->attr.version;
        v->number += !err;
        v->step = err ? STEP_OPEN : STEP_PIECES;
        break;
    case STEP_PIECES:
        if (op == KV_PUT)
            commit_ended(s, c, err); /* it was asked along with its pieces */
        else if (err && v->step == STEP_PIECES)
            v->broken = true;
        break;
    case STEP_COMMIT: commit_ended(s, c, err); break;
    case STEP_FENCE:
        if (settled_error(err))
            v->step = STEP_LOOK_VALUE;
        break;
    case STEP_LOOK_VALUE:
        if (op == KV_GET)
            value_seen(s, c, err, data);
        break;
    }
}

void values_done(struct sim *s, struct sim_caller *c, struct sim_op *o, const struct client_effect *e)
{
    struct sim_values *v = &c->values;
    sim_trace(s, "caller %u: step %u %s %s (number %u)", c->index, v->step, o->key, rgkv_err_name(e->err), v->number);
    bool was_pieces = v->step == STEP_PIECES;
    v->asked--;
    if (was_pieces && o->commits)
        ended(s, c, KV_PUT, e->err, e->reply);
    else if (!was_pieces && o->piece)
        ; /* a piece that was overtaken by its commit */
    else
        ended(s, c, o->reads ? KV_GET : KV_SETATTR, e->err, e->reply);
    o->commits = o->piece = false;
    if (v->asked)
        return;
    if (was_pieces && v->step == STEP_PIECES) {
        v->step = v->broken ? STEP_SOURCE : STEP_COMMIT;
        v->broken = false;
    }
    step_later(s, c, v->step == STEP_SOURCE ? 300000 : 20000);
}

/* ---- what comes next ---- */

static void mark_ops(struct sim_values *v, bool commit)
{
    for (unsigned i = 0; i < SIM_VALUE_OPS; i++)
        v->ops[i].piece = v->ops[i].busy;
    if (!commit)
        return;
    struct sim_op *last = &v->ops[0];
    for (unsigned i = 0; i < SIM_VALUE_OPS; i++)
        if (v->ops[i].busy && v->ops[i].id > last->id)
            last = &v->ops[i];
    last->piece = false;
    last->commits = true;
}

static void pieces_begin(struct sim *s, struct sim_caller *c)
{
    bool along = prng_chance(&s->prng, 1, 3);
    c->values.broken = false;
    ask_pieces(s, c);
    if (along)
        ask_commit(s, c);
    mark_ops(&c->values, along);
}

void values_step(struct sim *s, struct sim_caller *c)
{
    struct sim_values *v = &c->values;
    if (v->asked || (v->step == STEP_SOURCE && c->idle))
        return;
    if ((v->step == STEP_PROBE || v->step == STEP_FENCE) && !fence_passed(c)) {
        step_later(s, c, 20000);
        return;
    }
    switch ((enum step)v->step) {
    case STEP_SOURCE: put_number(s, c, 's'); break;
    case STEP_RENAME: ask_rename(s, c); break;
    case STEP_PROBE: ask(s, c, &(struct kv_request){.op = KV_SETATTR, .set = KV_SET_MODE}, 's', 0); break;
    case STEP_LOOK_TARGET:
    case STEP_LOOK_LAST: ask(s, c, &(struct kv_request){.op = KV_GET}, 't', 0); break;
    case STEP_TARGET: put_number(s, c, 't'); break;
    case STEP_OPEN: ask(s, c, &(struct kv_request){.op = KV_STAGE_OPEN}, 'v', 0); break;
    case STEP_PIECES: pieces_begin(s, c); break;
    case STEP_COMMIT: ask_commit(s, c); break;
    case STEP_FENCE: ask(s, c, &(struct kv_request){.op = KV_SETATTR, .set = KV_SET_MODE}, 'v', 0); break;
    case STEP_LOOK_VALUE: ask(s, c, &(struct kv_request){.op = KV_GET}, 'v', 0); break;
    }
}

/* At the end nothing is open any more; but a frozen copy of a shard that has moved has its intents until it is dropped. */
bool values_over(struct sim *s)
{
    struct node_replica_info info;
    for (unsigned i = 0; i < s->n_machines; i++)
        for (unsigned k = 0; s->machines[i].node && node_replica_info(s->machines[i].node, k, &info); k++)
            if (info.kv && info.raft && kv_intent_at(info.kv, 0))
                return false;
    return true;
}
