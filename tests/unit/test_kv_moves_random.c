/* One shard, three groups, a controller: any view, freeze, piece may be lost, late, doubled, out of order; any group may crash
 * between any two log entries. The rules are those of the protocol's model, the machines are real (P17). */
#include "tests/unit/kv_move_help.h"

#define GROUPS 3
#define VIEWS_MAX 64
#define IMAGE_PIECES 4

struct view {
    uint64_t holder, epoch, to;
};
struct piece {             /* an answer to a pull, on its way */
    uint64_t epoch, round;
    struct buf after, rows;
    struct kv_pulled pulled;
};
struct world {
    struct prng prng;
    struct rig *groups[GROUPS];
    struct view now, views[VIEWS_MAX];
    bool active;
    unsigned n_views, n_pieces, moves, aborts, appended;
    struct piece pieces[IMAGE_PIECES];
    struct buf expected;   /* of the file "f": what was acknowledged, in order */
    bool exists;
    uint64_t seq, heard_us;
    bool heard;
    struct kv_request last; /* may be sent again, anywhere */
    char last_text[2];
};

static void world_tell(struct world *w)
{
    w->views[w->n_views < VIEWS_MAX ? w->n_views++ : prng_below(&w->prng, VIEWS_MAX)] = w->now;
}

static struct kv_shard_status at(struct world *w, unsigned group) { return status(w->groups[group]); }

static void world_controller(struct world *w)
{
    struct view *v = &w->now;
    if (v->to == 0 && (v->holder == 0 || w->active)) {
        uint64_t to = prng_between(&w->prng, 1, GROUPS);
        if (to == v->holder)
            return;
        *v = (struct view){v->holder, v->epoch + 1, to};
    } else if (v->to && at(w, (unsigned)v->to - 1).state == KV_PREPARED && at(w, (unsigned)v->to - 1).epoch == v->epoch &&
               prng_chance(&w->prng, 4, 5)) {
        *v = (struct view){v->to, v->epoch, 0};
        w->active = false;
        w->moves++;
    } else if (v->to && prng_chance(&w->prng, 1, 12)) {
        *v = (struct view){v->holder, v->epoch + 1, 0};
        w->active = false;
        w->aborts++;
    } else if (v->holder && v->to == 0 && at(w, (unsigned)v->holder - 1).state == KV_SERVING &&
               at(w, (unsigned)v->holder - 1).epoch == v->epoch) {
        w->active = true;
    }
    world_tell(w);
}

/* What a node proposes when it hears a view; the machine decides. */
static void world_hear(struct world *w)
{
    unsigned i = (unsigned)prng_below(&w->prng, GROUPS);
    const struct view *v = prng_chance(&w->prng, 1, 2) ? &w->now : &w->views[prng_below(&w->prng, w->n_views)];
    uint64_t me = i + 1;
    enum kv_command_kind kind;
    if (v->to == me) {
        if (v->holder == me)
            return;
        kind = KV_IMPORT;
    } else if (v->holder == me) {
        if (v->to)
            return;
        kind = at(w, i).state == KV_PREPARED ? KV_ACTIVATE : KV_THAW;
    } else {
        kind = KV_DROP;
    }
    rig_shard(w->groups[i], kind, 0, v->epoch, v->holder);
}

/* An importing group asks its source, which copies and at last freezes; the answer goes on its way. */
static void world_pull(struct world *w)
{
    unsigned i = (unsigned)prng_below(&w->prng, GROUPS);
    struct kv_shard_status s = at(w, i);
    if (s.state != KV_IMPORTING)
        return;
    struct rig *source = w->groups[s.from - 1];
    struct piece *p = &w->pieces[prng_below(&w->prng, IMAGE_PIECES)];
    buf_clear(&p->rows);
    p->epoch = 0;
    p->round = s.import_round;
    cursor_copy(w->groups[i], &p->after);
    if (prng_chance(&w->prng, 1, 40))
        rig_shard(source, KV_FREEZE, 0, s.epoch, 0); /* before its time: the rest is read while frozen */
    else
        advance(source, s.epoch, s.import_round, buf_bytes(&p->after));
    if (pull(source, s.epoch, s.import_round, buf_bytes(&p->after), PIECE, &p->rows, &p->pulled) == RGKV_OK)
        p->epoch = s.epoch;
}

static void world_deliver_piece(struct world *w)
{
    const struct piece *p = &w->pieces[prng_below(&w->prng, IMAGE_PIECES)];
    struct rig *to = w->groups[prng_below(&w->prng, GROUPS)];
    if (!p->epoch)
        return;
    import_piece(to, p->epoch, p->round, buf_bytes(&p->after), buf_bytes(&p->rows), p->pulled.done);
    if (p->pulled.last)
        assert_int_not_equal(import_end_of(to, p->epoch, p->round + 1, &p->pulled), RGKV_DAMAGED);
}

static void world_note(struct world *w, enum rgkv_err err, bool duplicate)
{
    if (duplicate)
        return;
    if (w->last.op == KV_DELETE) {
        assert_int_equal(err, w->exists ? RGKV_OK : RGKV_NOT_FOUND);
        w->exists = false;
        buf_clear(&w->expected);
        return;
    }
    assert_int_equal(err, RGKV_OK);
    w->exists = true;
    buf_put(&w->expected, w->last.data);
    w->appended++;
}

/* The client hears the shard's time before it asks for anything. */
static void world_contact(struct world *w)
{
    for (unsigned i = 0; i < GROUPS; i++)
        if (at(w, i).state == KV_SERVING) {
            w->heard_us = at(w, i).time_us;
            w->heard = true;
        }
}

/* A new request, or the last one again; at any group. It is executed by at most one. */
static void world_write(struct world *w)
{
    struct rig *r = w->groups[prng_below(&w->prng, GROUPS)];
    world_contact(w);
    if (!w->heard)
        return;
    if (w->last.seq == 0 || prng_chance(&w->prng, 1, 3)) {
        w->last = ask(prng_chance(&w->prng, 1, 6) ? KV_DELETE : KV_APPEND, "f");
        w->last.client = 1;
        w->last.seq = w->last.floor = ++w->seq;
        w->last.born_us = w->heard_us;
        w->last_text[0] = (char)('a' + w->seq % 26);
        w->last.data = bytes_str(w->last_text);
    }
    struct kv_command c = {.kind = KV_REQUEST, .request = w->last};
    enum rgkv_err err = rig_apply(r, &c);
    if (err != RGKV_WRONG_GROUP && err != RGKV_MOVING)
        world_note(w, err, r->last.duplicate);
}

static void world_crash(struct world *w)
{
    struct rig *r = w->groups[prng_below(&w->prng, GROUPS)];
    rig_save(r);
    kv_free(r->kv);
    table_mem_flush(r->table);
    rig_open(r);
}

static void world_check(struct world *w)
{
    unsigned serving = 0;
    for (unsigned i = 0; i < GROUPS; i++) {
        if (at(w, i).state != KV_SERVING)
            continue;
        serving++;
        enum rgkv_err err = get(w->groups[i], "f");
        assert_int_equal(err, w->exists ? RGKV_OK : RGKV_NOT_FOUND);
        if (w->exists)
            assert_true(bytes_eq(w->groups[i]->reply.data, buf_bytes(&w->expected)));
    }
    assert_true(serving <= 1);
}

static void world_free(struct world *w)
{
    for (unsigned i = 0; i < GROUPS; i++)
        rig_free(w->groups[i]);
    for (unsigned i = 0; i < IMAGE_PIECES; i++) {
        buf_release(&w->pieces[i].after);
        buf_release(&w->pieces[i].rows);
    }
    buf_release(&w->expected);
}

static void world_step(struct world *w)
{
    uint64_t dice = prng_below(&w->prng, 20);
    if (dice < 4)
        world_controller(w);
    else if (dice < 10)
        world_hear(w);
    else if (dice < 13)
        world_pull(w);
    else if (dice < 16)
        world_deliver_piece(w);
    else if (dice < 19)
        world_write(w);
    else
        world_crash(w);
}

static unsigned world_run(uint64_t seed, unsigned steps)
{
    struct world w = {0};
    prng_init(&w.prng, seed);
    for (unsigned i = 0; i < GROUPS; i++)
        w.groups[i] = rig_new_blank(1);
    world_tell(&w);
    for (unsigned i = 0; i < steps; i++) {
        world_step(&w);
        world_check(&w);
    }
    unsigned moves = w.aborts && w.appended ? w.moves : 0;
    world_free(&w);
    return moves;
}

static void P17_never_two_serve_and_nothing_is_lost_doubled_or_brought_back(void **state)
{
    unsigned moves = 0;
    for (uint64_t seed = 1; seed <= 100; seed++)
        moves += world_run(seed, 3000);
    assert_true(moves > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P17_never_two_serve_and_nothing_is_lost_doubled_or_brought_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
