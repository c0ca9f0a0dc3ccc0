/* A session's whole life against the machine's own code, explored exhaustively (P5, P12, P28): one client that appends a letter per
 * request, a network that keeps copies as long as it likes and may lose answers, time that passes, machines that restart, are replaced by
 * a snapshot, and hand the shard over. Every order of these steps up to a depth; what leads to a state that was seen before is cut.
 *
 * After each step: no letter is there twice; what was answered OK is there; what surely was not done, is not; and a new request that
 * knows the time is never refused. */
#include "tests/unit/kv_help.h"

#define REQUESTS 2u
#define COPIES 2u
#define DEPTH 7u
#define DEPTH_FULL 9u

enum step {
    ISSUE,          /* the client's next request: one copy goes out */
    RESEND_0, RESEND_1,
    GIVE_UP_0, GIVE_UP_1,     /* the caller is interrupted: the floor may pass it */
    ARRIVE_0, ARRIVE_1,       /* a copy is applied and answered; another of its kind may come later */
    UNHEARD_0, UNHEARD_1,     /* … but the answer is lost, and it comes once more */
    LEARN,          /* the client asks for the time */
    HALF_A_LIFE,    /* more than half of a session's life goes by, and what is due expires */
    RESTART, SNAPSHOT, MOVE,
    STEPS
};

struct asked {
    bool there, open, ok, sure;    /* open: not answered yet; sure: no copy of it can have been applied */
    uint64_t seq, born_us;
};
struct copy {
    bool there;
    unsigned of;
    uint64_t floor;
};
struct world {
    struct rig *at, *away;         /* away: NULL until the first move */
    bool fresh;                    /* the machine holds nothing in memory that is not from its rows */
    uint64_t epoch;
    struct asked asked[REQUESTS];
    struct copy copies[COPIES];
    unsigned issued;
    uint64_t known_us;             /* the newest shard time that the client was told */
};

/* ---- the world ---- */

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof(*w));
    w->at = rig_new(1);
    w->epoch = 1;
    put(w->at, "a", "");
    w->known_us = w->at->time_us;
    return w;
}

static void world_free(struct world *w)
{
    rig_free(w->at);
    if (w->away)
        rig_free(w->away);
    free(w);
}

static uint64_t shard_time(const struct world *w)
{
    struct kv_shard_status s;
    kv_shard_status(w->at->kv, 0, &s);
    return s.time_us;
}

/* The order of copies says nothing; of moves only whether there was one. */
static uint64_t world_hash(struct world *w)
{
    uint64_t sum, hash = checksum(w->at);
    for (unsigned i = 0; i < REQUESTS; i++) {
        const struct asked *a = &w->asked[i];
        uint64_t what[] = {a->there, a->open, a->ok, a->sure, a->seq, a->born_us};
        hash = hash64_seeded(bytes_of(what, sizeof(what)), hash);
    }
    sum = hash;
    for (unsigned i = 0; i < COPIES; i++) {
        uint64_t what[] = {w->copies[i].there, w->copies[i].of, w->copies[i].floor};
        sum += hash64_seeded(bytes_of(what, sizeof(what)), hash);
    }
    uint64_t rest[] = {w->issued, w->known_us, w->at->time_us, w->epoch > 1, w->fresh};
    return hash64_seeded(bytes_of(rest, sizeof(rest)), sum);
}

/* ---- the client ---- */

static uint64_t client_floor(const struct world *w)
{
    uint64_t floor = w->issued + 1;
    for (unsigned i = 0; i < REQUESTS; i++)
        if (w->asked[i].there && w->asked[i].open)
            floor = MIN(floor, w->asked[i].seq);
    return floor;
}

static bool send_copy(struct world *w, unsigned of)
{
    for (unsigned i = 0; i < COPIES; i++)
        if (!w->copies[i].there) {
            w->copies[i] = (struct copy){true, of, client_floor(w)};
            return true;
        }
    return false;
}

static bool issue(struct world *w)
{
    if (w->issued == REQUESTS)
        return false;
    struct asked *a = &w->asked[w->issued];
    *a = (struct asked){.there = true, .open = true, .sure = true, .seq = w->issued + 1, .born_us = w->known_us};
    return send_copy(w, w->issued++);
}

static bool resend(struct world *w, unsigned i) { return w->asked[i].there && w->asked[i].open && send_copy(w, i); }

static bool give_up(struct world *w, unsigned i)
{
    bool open = w->asked[i].there && w->asked[i].open;
    w->asked[i].open = false;
    return open;
}

/* ---- a copy arrives ---- */

static enum rgkv_err apply_copy(struct world *w, const struct copy *copy)
{
    const struct asked *a = &w->asked[copy->of];
    const char letter[] = {(char)('A' + copy->of), 0};
    struct kv_request q = ask(KV_APPEND, "a");
    q.client = 77;
    q.seq = a->seq;
    q.floor = copy->floor;
    q.born_us = a->born_us;
    q.data = bytes_str(letter);
    struct kv_command c = {.kind = KV_REQUEST, .request = q};
    w->fresh = false;
    return rig_apply(w->at, &c);
}

static void check_refusal(const struct world *w, const struct asked *a, enum rgkv_err err, bool fresh)
{
    assert_true(err == RGKV_OK || err == RGKV_SESSION_EXPIRED || err == RGKV_SESSION_OLD);
    if (fresh)
        assert_int_equal(err, RGKV_OK);
}

/* Below the floor of a session it is given up; but then nobody waits. */
static bool arrive(struct world *w, unsigned i, bool heard)
{
    if (!w->copies[i].there)
        return false;
    const struct copy copy = w->copies[i];
    struct asked *a = &w->asked[copy.of];
    bool now = w->at->time_us == kv_time_us(w->at->kv) && a->born_us == shard_time(w);
    bool fresh = a->open && a->sure && now && copy.floor == client_floor(w);
    enum rgkv_err err = apply_copy(w, &copy);
    check_refusal(w, a, err, fresh);
    a->sure &= err != RGKV_OK;
    if (!heard)
        return true;
    w->known_us = MAX(w->known_us, shard_time(w));
    a->ok |= a->open && err == RGKV_OK;
    a->open = false;
    w->copies[i].there = false; /* its sender has closed it; the unheard ones stay on their way */
    return true;
}

/* ---- time and machines ---- */

static bool learn(struct world *w)
{
    bool news = shard_time(w) > w->known_us;
    w->known_us = shard_time(w);
    return news;
}

static bool time_passes(struct world *w)
{
    struct kv_command c = {.kind = KV_CLOCK};
    w->at->time_us += SESSION_TTL_US / 2 + SECOND;
    if (kv_clock_due(w->at->kv, w->at->time_us))
        assert_int_equal(rig_apply(w->at, &c), RGKV_OK);
    return true;
}

static bool restart(struct world *w)
{
    rig_reopen(w->at);
    w->fresh = true;
    return true;
}

/* Every row into a blank table, which another machine then runs on. */
static bool snapshot(struct world *w)
{
    struct table *copy = table_mem_new();
    rig_save(w->at);
    struct table_iter *i = table_iter(w->at->table, NULL, BYTES_EMPTY, BYTES_EMPTY);
    while (w->at->table->ops->iter_next(i)) {
        struct table_change c = {.kind = TABLE_PUT, .key = w->at->table->ops->iter_key(i), .value = w->at->table->ops->iter_value(i)};
        assert_int_equal(table_write(copy, &c, 1), RGKV_OK);
    }
    w->at->table->ops->iter_free(i);
    kv_free(w->at->kv);
    table_free(w->at->table);
    w->at->table = copy;
    rig_open(w->at);
    w->fresh = true;
    return true;
}

static bool move(struct world *w)
{
    struct rig *from = w->at, *to = w->away ? w->away : rig_new_blank(1);
    uint64_t epoch = ++w->epoch;
    to->time_us = MAX(to->time_us, from->time_us);
    w->fresh = true;
    assert_int_equal(rig_shard(to, KV_IMPORT, 0, epoch, 1), RGKV_OK);
    rig_copy(from, to, epoch, 300);
    assert_int_equal(rig_shard(to, KV_ACTIVATE, 0, epoch, 0), RGKV_OK);
    assert_int_equal(rig_shard(from, KV_DROP, 0, epoch, 0), RGKV_OK);
    w->at = to;
    w->away = from;
    return true;
}

/* false: the step is not possible here. */
static bool world_step(struct world *w, enum step s)
{
    switch (s) {
    case ISSUE: return issue(w);
    case RESEND_0: case RESEND_1: return resend(w, s - RESEND_0);
    case GIVE_UP_0: case GIVE_UP_1: return give_up(w, s - GIVE_UP_0);
    case ARRIVE_0: case ARRIVE_1: return arrive(w, s - ARRIVE_0, true);
    case UNHEARD_0: case UNHEARD_1: return arrive(w, s - UNHEARD_0, false);
    case LEARN: return learn(w);
    case HALF_A_LIFE: return time_passes(w);
    case RESTART: return restart(w);
    case SNAPSHOT: return snapshot(w);
    case MOVE: return move(w);
    case STEPS: break;
    }
    return false;
}

static void world_check(struct world *w)
{
    struct kv_request q = ask(KV_GET, "a");
    struct buf out = {0};
    struct kv_reply reply;
    q.length = 100;
    assert_int_equal(kv_read(w->at->kv, &q, &out, &reply), RGKV_OK);
    for (unsigned i = 0; i < REQUESTS; i++) {
        unsigned times = 0;
        for (size_t k = 0; k < out.len; k++)
            times += out.data[k] == 'A' + i;
        if (times > 1 || (w->asked[i].ok && times == 0) || (w->asked[i].sure && times > 0))
            fail_msg("request %u is there %u times", i, times);
    }
    buf_release(&out);
}

/* ---- all orders ---- */

#define SEEN_SLOTS (1u << 21)

struct seen {
    uint64_t hash;                 /* 0: free */
    unsigned left;                 /* it was explored so much deeper */
};
struct explorer {
    struct seen *seen;
    uint64_t states, runs;
    unsigned depth, n;
    enum step path[16];
};

static bool seen_before(struct explorer *e, uint64_t hash, unsigned left)
{
    uint64_t at = hash % SEEN_SLOTS;
    while (e->seen[at].hash && e->seen[at].hash != hash)
        at = (at + 1) % SEEN_SLOTS;
    bool known = e->seen[at].hash && e->seen[at].left >= left;
    e->states += !e->seen[at].hash;
    if (!known)
        e->seen[at] = (struct seen){hash, left};
    assert_true(e->states < SEEN_SLOTS / 2);
    return known;
}

static void tell_path(const struct explorer *e)
{
    static const char *const names[STEPS] = {"issue", "resend 0", "resend 1", "give up 0", "give up 1", "arrive 0", "arrive 1", "unheard 0",
                                             "unheard 1", "learn", "half a life", "restart", "snapshot", "move"};
    for (unsigned i = 0; i < e->n; i++)
        print_message("  %s\n", names[e->path[i]]);
}

static int begin(void **state)
{
    struct explorer *e = calloc(1, sizeof(*e));
    e->seen = calloc(SEEN_SLOTS, sizeof(*e->seen));
    e->depth = getenv("RGKVFS_FULL") ? DEPTH_FULL : DEPTH; /* what each rule is for shows at 8 at the latest */
    *state = e;
    return 0;
}

/* What a failed assertion was reached by, if one did. */
static int end(void **state)
{
    struct explorer *e = *state;
    tell_path(e);
    free(e->seen);
    free(e);
    return 0;
}

/* The state after the path, made anew: a machine cannot be copied. NULL: its last step is not possible. */
static struct world *replay(struct explorer *e)
{
    struct world *w = world_new();
    bool possible = true;
    e->runs++;
    for (unsigned i = 0; i < e->n && possible; i++)
        possible = world_step(w, e->path[i]);
    if (possible)
        return w;
    world_free(w);
    return NULL;
}

static void explore(struct explorer *e)
{
    struct world *w = replay(e);
    if (!w)
        return;
    world_check(w);
    bool known = seen_before(e, world_hash(w) | 1, e->depth - e->n);
    world_free(w);
    for (enum step s = ISSUE; s < STEPS && !known && e->n < e->depth; s++) {
        e->path[e->n++] = s;
        explore(e);
        e->n--;
    }
}

static void P5_P12_no_order_of_steps_in_a_sessions_life_doubles_or_loses_a_request(void **state)
{
    struct explorer *e = *state;
    explore(e);
    print_message("%llu states, %llu runs of up to %u steps\n", (unsigned long long)e->states, (unsigned long long)e->runs, e->depth);
    assert_true(e->states > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(P5_P12_no_order_of_steps_in_a_sessions_life_doubles_or_loses_a_request, begin, end),
    };
    return cmocka_run_group_tests_name("session life", tests, NULL, NULL);
}
