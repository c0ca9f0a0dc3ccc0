/* The test bed of the scenarios: see scenario.h. Every helper drives the simulation until what it wants has happened. */
#include "tests/sim/bed.h"

#include <limits.h>
#include <stdio.h>

#define LIMIT_US 120000000u    /* of a whole scenario */
#define CATCH_UP_US 40000000u
#define OTHER_CLUSTER 0x5555u

void bed_free(struct bed *b)
{
    if (!b)
        return;
    bed_keys_free(b);
    buf_release(&b->text);
    mem_free(b);
}

/* ---- time ---- */

void check(struct sim *s, bool fine, const char *what)
{
    if (!fine)
        sim_fail(s, "%s", what);
}

unsigned draw(struct sim *s, unsigned below) { return (unsigned)prng_below(&s->prng, below); }
void pass(struct sim *s, uint64_t ms) { sim_until(s, s->now_us + ms * 1000, NULL); }

void within(struct sim *s, uint64_t ms, bool (*over)(struct sim *s), const char *what)
{
    if (!s->failed && !over(s) && !sim_until(s, s->now_us + ms * 1000, over))
        sim_fail(s, "%s: not within %llu ms", what, (unsigned long long)ms);
}

static bool awaited_done(struct sim *s) { return !s->bed->awaited->busy; }
void bed_await(struct sim *s, const struct sim_op *o, const char *what)
{
    s->bed->awaited = o;
    within(s, BED_WAIT_US / 1000, awaited_done, what);
}

/* ---- the administrator ---- */

static void addresses(const struct sim *s, uint64_t gid, struct ctrl_join_group *g)
{
    *g = (struct ctrl_join_group){.gid = gid, .n = 3};
    for (unsigned i = 0; i < 3; i++) {
        uint64_t machine = 3 + 3 * (gid - BED_FIRST_GROUP) + i;
        if (s->n_machines > 3)
            memcpy(g->addrs[i], s->machines[machine].addr, ADDR_BYTES_MAX);
        else
            snprintf(g->addrs[i], ADDR_BYTES_MAX, "%c%llu:1", "xyz"[i], (unsigned long long)gid);
    }
}

static void admin_begin(struct sim *s, unsigned admin, const struct ctrl_command *k)
{
    struct bed_admin *a = &s->bed->admins[admin];
    if (s->failed)
        return;
    ASSERT(!a->op.busy);
    a->op.busy = a->op.admin = true;
    a->op.command = *k;
    struct sim_caller *c = &s->callers[admin % (BED_WRITERS + 1)];
    struct client_request r = {.kind = CLIENT_ADMIN, .tag = &a->op, .admin = &a->op.command};
    a->op.id = client_submit(c->client, &r, s->now_us);
    caller_drain(s, c);
}

bool admin_busy(const struct sim *s, unsigned admin) { return s->bed->admins[admin].op.busy; }

void join_begin(struct sim *s, unsigned admin, const uint64_t *gids)
{
    struct bed_admin *a = &s->bed->admins[admin];
    unsigned n = 0;
    for (; gids[n]; n++)
        addresses(s, gids[n], &a->groups[n]);
    admin_begin(s, admin, &(struct ctrl_command){.op = CTRL_JOIN, .n_groups = n, .groups = a->groups});
}

void leave_begin(struct sim *s, unsigned admin, const uint64_t *gids)
{
    struct bed_admin *a = &s->bed->admins[admin];
    unsigned n = 0;
    for (; gids[n]; n++)
        a->gids[n] = gids[n];
    admin_begin(s, admin, &(struct ctrl_command){.op = CTRL_LEAVE, .n_gids = n, .gids = a->gids});
}

static void admin_end(struct sim *s, const char *what)
{
    bed_await(s, &s->bed->admins[0].op, what);
    if (s->bed->admins[0].err)
        sim_fail(s, "%s: %s", what, rgkv_err_name(s->bed->admins[0].err));
}
void join(struct sim *s, const uint64_t *gids) { join_begin(s, 0, gids); admin_end(s, "join"); }
void leave(struct sim *s, const uint64_t *gids) { leave_begin(s, 0, gids); admin_end(s, "leave"); }
void move(struct sim *s, uint32_t shard, uint64_t gid)
{
    admin_begin(s, 0, &(struct ctrl_command){.op = CTRL_MOVE, .shard = shard, .gid = gid});
    admin_end(s, "move");
}

enum rgkv_err abandon(struct sim *s, uint64_t gid)
{
    if (!replicas_of(s, gid))
        truth_given_up(s, gid);
    admin_begin(s, 0, &(struct ctrl_command){.op = CTRL_ABANDON, .gid = gid});
    bed_await(s, &s->bed->admins[0].op, "abandon");
    return s->bed->admins[0].err;
}

static void admin_done(struct sim *s, struct sim_op *o, const struct client_effect *e)
{
    struct bed_admin *a = (struct bed_admin *)o;
    static_assert(offsetof(struct bed_admin, op) == 0, "an operation of an administrator begins with it");
    a->err = e->err;
    a->step++;
    sim_trace(s, "admin: %s %s", rgkv_err_name(e->err), e->why);
}

/* ---- what the controller says ---- */

static struct bytes text_read(struct sim *s, enum ctrl_read what, uint64_t number)
{
    struct bed *b = s->bed;
    struct client_request r = {.kind = CLIENT_READ, .tag = &b->text_op, .read = what, .number = number};
    if (s->failed)
        return BYTES_EMPTY;
    b->text_op.busy = true;
    client_submit(s->callers[0].client, &r, s->now_us);
    caller_drain(s, &s->callers[0]);
    bed_await(s, &b->text_op, "a control file");
    if (b->text_err)
        sim_fail(s, "a control file: %s", rgkv_err_name(b->text_err));
    return s->failed ? BYTES_EMPTY : buf_bytes(&b->text);
}

static void text_done(struct sim *s, const struct client_effect *e)
{
    s->bed->text_err = e->err;
    buf_clear(&s->bed->text);
    buf_put(&s->bed->text, e->text);
}

bool text_has(struct sim *s, enum ctrl_read what, const char *words)
{
    struct bytes text = text_read(s, what, 0);
    return text.len && memmem(text.data, text.len, words, strlen(words));
}

static void config_line(struct bed_config *c, const char *line)
{
    unsigned long long a, b;
    if (sscanf(line, "num %llu", &a) == 1)
        c->num = a;
    else if (sscanf(line, "shard %llu %llu", &a, &b) == 2 && a < SIM_NSHARDS_MAX)
        c->shards[a] = b;
    else if (sscanf(line, "group %llu", &a) == 1 && c->n_gids < ARRAY_LEN(c->gids))
        c->gids[c->n_gids++] = a;
}

void config_read(struct sim *s, uint64_t num, struct bed_config *ret_c)
{
    *ret_c = (struct bed_config){0};
    buf_put(&ret_c->text, text_read(s, CTRL_READ_CONFIG, num));
    buf_put_u8(&ret_c->text, 0);
    for (const char *line = (const char *)ret_c->text.data; line && *line; line = strchr(line, '\n'), line += line ? 1 : 0)
        config_line(ret_c, line);
}

void config_release(struct bed_config *c) { buf_release(&c->text); }

static unsigned shards_of(const struct sim *s, const struct bed_config *c, uint64_t gid)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < s->nshards; i++)
        n += c->shards[i] == gid;
    return n;
}

void config_is_balanced(struct sim *s, const uint64_t *gids)
{
    struct bed_config c;
    unsigned n = 0, all = 0, most = 0, least = UINT_MAX;
    config_read(s, NEWEST, &c);
    for (; gids[n]; n++) {
        unsigned has = shards_of(s, &c, gids[n]);
        all += has;
        most = MAX(most, has);
        least = MIN(least, has);
        check(s, n < c.n_gids && c.gids[n] == gids[n], "the config has exactly the groups that joined");
    }
    check(s, c.n_gids == n, "the config has the groups that joined and no others");
    check(s, all == (n ? s->nshards : 0), "every shard is on one of the groups");
    check(s, !n || most <= least + 1, "the config is balanced");
    config_release(&c);
}

void settled(struct sim *s)
{
    char why[160];
    if (s->failed || caller_settled(s) || sim_until(s, s->now_us + BED_WAIT_US, caller_settled) || s->failed)
        return;
    caller_unsettled(s, why, sizeof(why));
    sim_fail(s, "after %u s %s", BED_WAIT_US / 1000000, why);
}

unsigned shards_at(const struct sim *s, uint64_t gid)
{
    const struct ctrl_view *v = caller_newest_view(s);
    unsigned at = 0;
    for (uint32_t i = 0; v && i < v->nshards; i++)
        at |= (v->shards[i].holder == gid && v->shards[i].active && !v->shards[i].target) << i;
    return at;
}

/* ---- machines ---- */

void machine_down(struct sim *s, unsigned machine)
{
    if (s->failed)
        return;
    if (prng_chance(&s->prng, 1, 2))
        machine_crash(s, &s->machines[machine]);
    else
        machine_kill(s, &s->machines[machine]);
}
void machine_up(struct sim *s, unsigned machine)
{
    if (!s->failed)
        machine_boot(s, &s->machines[machine]);
}

void group_crash(struct sim *s, const uint64_t *gids)
{
    for (; *gids; gids++)
        for (unsigned i = 0; i < 3; i++)
            machine_down(s, (unsigned)(3 + 3 * (*gids - BED_FIRST_GROUP) + i));
}
void group_start(struct sim *s, const uint64_t *gids)
{
    for (; *gids; gids++)
        for (unsigned i = 0; i < 3; i++)
            machine_up(s, (unsigned)(3 + 3 * (*gids - BED_FIRST_GROUP) + i));
}

unsigned leader_machine(const struct sim *s, uint64_t gid)
{
    struct node_replica_info i;
    struct raft_status st;
    for (unsigned m = 0; m < s->n_machines; m++)
        for (unsigned k = 0; s->machines[m].node && node_replica_info(s->machines[m].node, k, &i); k++) {
            if (!i.raft || i.gid != gid)
                continue;
            raft_status(i.raft, &st);
            if (st.role == RAFT_LEADER)
                return m;
        }
    return UINT_MAX;
}

unsigned replicas_of(const struct sim *s, uint64_t gid)
{
    struct node_replica_info i;
    unsigned n = 0;
    for (unsigned m = 0; m < s->n_machines; m++)
        for (unsigned k = 0; s->machines[m].node && node_replica_info(s->machines[m].node, k, &i); k++)
            n += i.gid == gid;
    return n;
}

static uint64_t bytes_of_table(struct table *t)
{
    struct table_iter *i = table_iter(t, NULL, BYTES_EMPTY, BYTES_EMPTY);
    uint64_t n = 0;
    while (t->ops->iter_next(i))
        n += t->ops->iter_key(i).len + t->ops->iter_value(i).len;
    t->ops->iter_free(i);
    return n;
}

uint64_t table_bytes(struct sim *s)
{
    struct node_replica_info i;
    uint64_t n = 0;
    for (unsigned m = 0; m < s->n_machines; m++)
        for (unsigned k = 0; s->machines[m].node && node_replica_info(s->machines[m].node, k, &i); k++) {
            if (!i.kv || !i.raft)
                continue;
            disk_save_ends(s, &s->machines[m], disk_stored(&s->machines[m], i.replica));
            enum rgkv_err err = kv_save(i.kv);
            ASSERT(err == RGKV_OK);
            n += bytes_of_table(disk_stored(&s->machines[m], i.replica)->table);
        }
    return n;
}

/* The original's: up to 26 ms, one of ten requests and one of ten answers lost; and now and then something much later. */
void unreliable(struct sim *s)
{
    struct sim_network *n = &s->network;
    n->delay_max_us = 26000;
    n->loss_percent = 10;
    n->duplicate_percent = draw(s, 10);
    n->spike_percent = draw(s, 4);
    n->spike_us = 2000000;
}
void reliable(struct sim *s)
{
    network_heal(s);
    s->network.delay_max_us = 1000;
}

/* ---- hooks ---- */

void bed_done(struct sim *s, struct sim_op *o, const struct client_effect *e)
{
    if (o == &s->bed->text_op)
        text_done(s, e);
    else if (o->admin)
        admin_done(s, o, e);
    else
        bed_keys_done(s, o, e);
}

/* ---- lies ---- */

void lie_about_now(struct sim *s)
{
    const struct ctrl_view *v = caller_newest_view(s);
    for (uint32_t i = 0; v && i < v->nshards; i++)
        s->bed->lied[i] = v->shards[i];
}

unsigned caller_new(struct sim *s, enum bed_lie lie)
{
    unsigned caller = s->n_callers++;
    ASSERT(caller < SIM_CALLERS_MAX);
    caller_init(s, caller, true);
    s->bed->lies[SIM_MACHINES_MAX + caller] = lie;
    return caller;
}

void lie_to_group(struct sim *s, uint64_t gid, enum bed_lie lie)
{
    for (unsigned i = 0; i < 3; i++)
        s->bed->lies[3 + 3 * (gid - BED_FIRST_GROUP) + i] = lie;
}

void bed_lie(struct sim *s, unsigned from, unsigned to, struct msg *msg)
{
    enum bed_lie lie = s->bed->lies[to];
    if (lie == LIE_NONE || from >= s->n_controllers)
        return;
    if (lie == LIE_CLUSTER) {
        msg->cluster ^= OTHER_CLUSTER;
        if (msg->kind == MSG_VIEW)
            msg->view.view.cluster ^= OTHER_CLUSTER;
    }
    if (lie == LIE_CLUSTER || msg->kind != MSG_VIEW || !msg->view.changed)
        return;
    struct ctrl_view *v = &msg->view.view;
    for (uint32_t i = 0; i < v->nshards; i++) {
        bool other = v->shards[i].holder != s->bed->lied[i].holder;
        uint64_t epoch = v->shards[i].epoch + 10;
        v->shards[i] = s->bed->lied[i];
        if (lie == LIE_HIGHER && other)
            v->shards[i].epoch = epoch;
    }
}

/* ---- a run ---- */

static bool founded(struct sim *s)
{
    const struct ctrl_view *v = caller_newest_view(s);
    return v && v->version > 0;
}

/* Everybody is up, what is wanted is so, all members of a group are equal, and what clients saw has an order. */
static void over(struct sim *s, const struct scenario *what)
{
    struct buf why = {0};
    if (s->now_us > LIMIT_US)
        sim_fail(s, "it took %llu s", (unsigned long long)(s->now_us / 1000000));
    if (s->failed)
        return;
    faults_end(s);
    if (what->machines > s->n_controllers) {
        settled(s);
        keys_check(s);
    }
    if (!s->failed && !sim_until(s, s->now_us + CATCH_UP_US, truth_caught_up))
        sim_fail(s, "a member has not caught up with its group");
    truth_check_equal_state(s);
    if (!s->failed && !history_check(&s->history, &why))
        sim_fail(s, "not linearizable: %.*s", (int)why.len, (const char *)why.data);
    buf_release(&why);
}

static struct { const char *number; uint64_t seed; } running;
void scenarios_bug_found(void)
{
    if (running.number)
        printf("FAILED: %s, seed %llu: the process was about to end\nreplay: rgkv-sim --scenario %s --seeds %llu --verbose\n",
               running.number, (unsigned long long)running.seed, running.number, (unsigned long long)running.seed);
    running.number = NULL;
}

static bool run(const struct scenario *what, uint64_t seed, bool verbose, uint64_t *us)
{
    struct sim *s = sim_new_for_a_scenario(seed, what->machines, what->snapshot_bytes, mem_zalloc(sizeof(struct bed)), verbose);
    running.number = what->number;
    running.seed = seed;
    within(s, 20000, founded, "a controller is founded");
    what->run(s);
    over(s, what);
    running.number = NULL;
    if (s->failed)
        printf("FAILED: %s %s, seed %llu at %.6f s: %s\nreplay: rgkv-sim --scenario %s --seeds %llu --verbose\n", what->number, what->name,
               (unsigned long long)seed, (double)s->now_us / 1e6, s->failure, what->number, (unsigned long long)seed);
    bool fine = !s->failed;
    *us += s->now_us;
    sim_free(s);
    return fine;
}

static unsigned run_seeds(const struct scenario *what, uint64_t first, uint64_t last, bool verbose)
{
    unsigned failed = 0;
    uint64_t us = 0;
    for (uint64_t seed = first; seed <= last; seed++)
        failed += !run(what, seed, verbose, &us);
    printf("%s: %s %s (%llu seeds, %.0f simulated seconds)\n", failed ? "FAILED" : "ok", what->number, what->name,
           (unsigned long long)(last - first + 1), (double)us / 1e6);
    fflush(stdout);
    return failed;
}

unsigned scenarios_run(const char *which, uint64_t first, uint64_t last, bool verbose)
{
    const struct scenario *tables[] = {scenarios_ctrl, scenarios_shard, scenarios_rule};
    unsigned failed = 0, found = 0;
    for (unsigned t = 0; t < ARRAY_LEN(tables); t++)
        for (const struct scenario *one = tables[t]; one->number; one++)
            if (strcmp(which, "all") == 0 || strcmp(which, one->number) == 0) {
                found++;
                failed += run_seeds(one, first, last, verbose);
            }
    if (!found)
        printf("no scenario %s\n", which);
    return failed + !found;
}
