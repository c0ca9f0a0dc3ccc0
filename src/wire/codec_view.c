/* The long poll: a node's report goes up, the newest view comes down.
 *
 * Both nest (replicas have shards, groups have members), so both are flattened: the outer rows carry how many of the
 * inner table's rows are theirs, in order. */
#include "wire/codec.h"
#include "wire/fields.h"

/* ---- POLL ---- */

enum { TABLE_REPLICAS, TABLE_REPORT_SHARDS, TABLE_REPORT_MEMBERS, TABLE_METRICS };
static const struct ctrl_report no_report;

static const struct ctrl_report *report_of(const struct msg *m) { return m->poll.has_report ? &m->poll.report : &no_report; }

/* A replica's shards travel all or not at all: a shard that is left out would be believed gone. One whose shards do
 * not fit any more is told as a follower, whose shards nobody asks about. */
static bool shards_fit(const struct ctrl_report_replica *r, unsigned *left)
{
    if (r->n_shards > *left)
        return false;
    *left -= r->n_shards;
    return true;
}

static void poll_rows(const struct msg *m, unsigned ret_rows[SHAPE_TABLES_MAX])
{
    const struct ctrl_report *r = report_of(m);
    unsigned left = REPORT_SHARDS_MAX;
    for (unsigned i = 0; i < r->n_replicas; i++)
        shards_fit(&r->replicas[i], &left);
    ret_rows[TABLE_REPLICAS] = r->n_replicas;
    ret_rows[TABLE_REPORT_SHARDS] = REPORT_SHARDS_MAX - left;
    ret_rows[TABLE_METRICS] = r->n_metrics;
    for (unsigned i = 0; i < r->n_replicas; i++)
        ret_rows[TABLE_REPORT_MEMBERS] += r->replicas[i].n_members;
}

static void put_report_member(struct body_out *o, const struct ctrl_report_member *m)
{
    put_row(o, TABLE_REPORT_MEMBERS, (uint64_t[]){m->id, m->behind, pair_of(m->voter, m->recent)});
}

static void put_report_shard(struct body_out *o, const struct ctrl_report_shard *s)
{
    put_row(o, TABLE_REPORT_SHARDS, (uint64_t[]){pair_of(s->shard, s->state), s->epoch, s->keys, s->bytes, s->progress});
}

static void put_report_replica(struct body_out *o, const struct ctrl_report_replica *r, bool fits)
{
    unsigned n_shards = fits ? r->n_shards : 0;
    put_row(o, TABLE_REPLICAS,
            (uint64_t[]){r->gid, r->incarnation, r->member, pair_of(fits && r->leader, n_shards), r->term, r->applied,
                         r->leader_member, r->log_bytes, r->disk_bytes, pair_of(r->configured | (uint32_t)r->lost << 1, r->n_members)});
    for (unsigned i = 0; i < r->n_members; i++)
        put_report_member(o, &r->members[i]);
    for (unsigned i = 0; i < n_shards; i++)
        put_report_shard(o, &r->shards[i]);
}

static void poll_encode(const struct msg *m, struct body_out *o)
{
    const struct ctrl_report *r = report_of(m);
    put_number(o, m->poll.version);
    put_number(o, m->poll.hold_us);
    put_number(o, m->poll.has_report);
    put_number(o, r->node);
    put_text(o, r->addr);
    put_text(o, r->version);
    put_number(o, r->boot_us);
    put_number(o, r->disk_free);
    put_number(o, r->disk_total);
    put_number(o, r->memory_bytes);
    put_number(o, r->stall_us);
    unsigned left = REPORT_SHARDS_MAX;
    for (unsigned i = 0; i < r->n_replicas; i++)
        put_report_replica(o, &r->replicas[i], shards_fit(&r->replicas[i], &left));
    for (unsigned i = 0; i < r->n_metrics; i++) {
        const struct ctrl_report_metric *x = &r->metrics[i];
        put_row(o, TABLE_METRICS, (uint64_t[]){pair_of(x->scope, x->id), x->label, x->value});
    }
}

static void take_report_shard(struct body_in *in, struct ctrl_report_shard *s)
{
    const uint64_t *row = take_row(in, TABLE_REPORT_SHARDS);
    s->shard = (uint32_t)row[0];
    s->state = in_range(in, row[0] >> 32, KV_NONE, KV_FROZEN);
    s->epoch = row[1];
    s->keys = row[2];
    s->bytes = row[3];
    s->progress = row[4];
}

static void take_report_member(struct body_in *in, struct ctrl_report_member *m)
{
    const uint64_t *row = take_row(in, TABLE_REPORT_MEMBERS);
    m->id = row[0];
    m->behind = row[1];
    m->voter = in_bool(in, (uint32_t)row[2]);
    m->recent = in_bool(in, row[2] >> 32);
}

/* The rows of shards that no replica took yet bound its number before any memory is taken. */
static void take_report_replica(struct body_in *in, struct ctrl_report_replica *r)
{
    const uint64_t *row = take_row(in, TABLE_REPLICAS);
    r->gid = row[0];
    r->incarnation = row[1];
    r->member = row[2];
    r->leader = in_bool(in, (uint32_t)row[3]);
    unsigned n = (unsigned)in_range(in, row[3] >> 32, 0, in->rows_left[TABLE_REPORT_SHARDS]);
    r->term = row[4];
    r->applied = row[5];
    r->leader_member = row[6];
    r->log_bytes = row[7];
    r->disk_bytes = row[8];
    uint64_t flags = in_range(in, (uint32_t)row[9], 0, 3);
    r->configured = flags & 1;
    r->lost = flags & 2;
    r->n_members = (unsigned)in_range(in, row[9] >> 32, 0, MEMBERS_MAX);
    for (unsigned i = 0; i < r->n_members && in->ok; i++)
        take_report_member(in, &r->members[i]);
    struct ctrl_report_shard *shards = take_array(in, n, sizeof(*shards));
    for (unsigned i = 0; shards && i < n; i++)
        take_report_shard(in, &shards[i]);
    r->shards = shards;
    r->n_shards = shards ? n : 0;
}

static void take_report_metrics(struct body_in *in, struct ctrl_report *r)
{
    unsigned n = in->rows[TABLE_METRICS];
    struct ctrl_report_metric *metrics = take_array(in, n, sizeof(*metrics));
    for (unsigned i = 0; metrics && i < n; i++) {
        const uint64_t *row = take_row(in, TABLE_METRICS);
        metrics[i] = (struct ctrl_report_metric){(uint32_t)row[0], (uint32_t)(row[0] >> 32), row[1], row[2]};
    }
    r->metrics = metrics;
    r->n_metrics = metrics ? n : 0;
}

static void take_report(struct body_in *in, struct ctrl_report *r)
{
    unsigned n = in->rows[TABLE_REPLICAS];
    r->node = take_number(in);
    take_text(in, r->addr, sizeof(r->addr));
    take_text(in, r->version, sizeof(r->version));
    r->boot_us = take_number(in);
    r->disk_free = take_number(in);
    r->disk_total = take_number(in);
    r->memory_bytes = take_number(in);
    r->stall_us = take_number(in);
    struct ctrl_report_replica *replicas = take_array(in, n, sizeof(*replicas));
    for (unsigned i = 0; replicas && i < n && in->ok; i++)
        take_report_replica(in, &replicas[i]);
    r->replicas = replicas;
    r->n_replicas = replicas ? n : 0;
    take_report_metrics(in, r);
}

static bool report_empty(const struct ctrl_report *r)
{
    return !r->node && !r->addr[0] && !r->version[0] && !r->boot_us && !r->disk_free && !r->disk_total && !r->memory_bytes &&
           !r->stall_us && !r->n_replicas && !r->n_metrics;
}

static void poll_decode(struct body_in *in, struct msg *m)
{
    m->poll.version = take_number(in);
    m->poll.hold_us = take_number(in);
    m->poll.has_report = in_bool(in, take_number(in));
    take_report(in, &m->poll.report);
    in_refuse(in, !m->poll.has_report && !report_empty(&m->poll.report));
}

const struct codec codec_poll = {
    .name = "POLL",
    .struct_bytes = sizeof(struct msg_poll),
    .shape = {.numbers = 11,
              .n_tables = 4,
              .tables = {[TABLE_REPLICAS] = {.columns = 10, .rows_max = REPLICAS_MAX},
                         [TABLE_REPORT_SHARDS] = {.columns = 5, .rows_max = REPORT_SHARDS_MAX},
                         [TABLE_REPORT_MEMBERS] = {.columns = 3, .rows_max = REPLICAS_MAX * MEMBERS_MAX},
                         [TABLE_METRICS] = {.columns = 3, .rows_max = METRICS_PER_REPORT_MAX}}},
    .bulk_max = ADDR_BYTES_MAX + 32,
    .rows = poll_rows,
    .encode = poll_encode,
    .decode = poll_decode,
};
static_assert(REPORT_SHARDS_MAX * 5 * 8 + REPLICAS_MAX * (10 + MEMBERS_MAX * 3) * 8 + METRICS_PER_REPORT_MAX * 3 * 8 + 256 <= FRAME_BODY_BYTES_MAX, "a report fits into a body");

/* ---- VIEW ---- */

enum { TABLE_SHARDS, TABLE_GROUPS, TABLE_MEMBERS, TABLE_TOMBSTONES };
#define VIEW_MEMBERS_MAX ((GROUPS_MAX + 1) * MEMBERS_MAX) /* of the groups, and before them the controllers */
enum { GROUP_IN_CONFIG = 1, GROUP_FOUNDED = 2, GROUP_FLAGS_ALL = 3 };
static const struct ctrl_view no_view;

static const struct ctrl_view *view_of(const struct msg *m) { return m->view.changed ? &m->view.view : &no_view; }

/* Tombstones over the limit wait until earlier ones were buried: nothing relies on seeing all. */
static unsigned tombstones_sent(const struct ctrl_view *v) { return MIN(v->n_tombstones, VIEW_TOMBSTONES_MAX); }

static void view_rows(const struct msg *m, unsigned ret_rows[SHAPE_TABLES_MAX])
{
    const struct ctrl_view *v = view_of(m);
    ret_rows[TABLE_SHARDS] = v->nshards;
    ret_rows[TABLE_GROUPS] = v->n_groups;
    ret_rows[TABLE_MEMBERS] = v->n_controllers;
    for (unsigned i = 0; i < v->n_groups; i++)
        ret_rows[TABLE_MEMBERS] += v->groups[i].n;
    ret_rows[TABLE_TOMBSTONES] = tombstones_sent(v);
}

static void put_member(struct body_out *o, const struct ctrl_member *m)
{
    uint32_t addr_len = put_row_text(o, m->addr), flags = (uint32_t)m->state * 2 + m->founding;
    put_row(o, TABLE_MEMBERS, (uint64_t[]){m->id, m->node, pair_of(flags, addr_len)});
}

static void put_group(struct body_out *o, const struct ctrl_group *g)
{
    uint32_t flags = (g->in_config ? GROUP_IN_CONFIG : 0) | (g->founded ? GROUP_FOUNDED : 0);
    put_row(o, TABLE_GROUPS, (uint64_t[]){g->gid, g->incarnation, pair_of(g->n, flags)});
    for (unsigned i = 0; i < g->n; i++)
        put_member(o, &g->members[i]);
}

static void put_shard(struct body_out *o, const struct ctrl_shard *s)
{
    put_row(o, TABLE_SHARDS, (uint64_t[]){s->holder, s->epoch, s->target, s->active, s->wanted});
}

static void put_tombstone(struct body_out *o, const struct ctrl_tombstone *t)
{
    put_row(o, TABLE_TOMBSTONES, (uint64_t[]){t->gid, t->incarnation, t->member, t->node});
}

static void put_view(struct body_out *o, const struct ctrl_view *v)
{
    put_number(o, v->cluster);
    put_number(o, v->version);
    put_number(o, v->config_num);
    put_number(o, v->n_controllers);
    for (unsigned i = 0; i < v->nshards; i++)
        put_shard(o, &v->shards[i]);
    for (unsigned i = 0; i < v->n_controllers; i++)
        put_member(o, &v->controllers[i]);
    for (unsigned i = 0; i < v->n_groups; i++)
        put_group(o, &v->groups[i]);
    for (unsigned i = 0; i < tombstones_sent(v); i++)
        put_tombstone(o, &v->tombstones[i]);
}

static void view_encode(const struct msg *m, struct body_out *o)
{
    put_number(o, m->view.err);
    put_text(o, m->view.leader_addr);
    put_number(o, m->view.time_us);
    put_number(o, m->view.changed);
    put_view(o, view_of(m));
}

static void take_member(struct body_in *in, struct ctrl_member *m)
{
    const uint64_t *row = take_row(in, TABLE_MEMBERS);
    m->id = row[0];
    m->node = row[1];
    uint32_t flags = (uint32_t)in_range(in, (uint32_t)row[2], 0, CTRL_MEMBER_LEAVING * 2 + 1);
    m->founding = flags & 1;
    m->state = (enum ctrl_member_state)(flags / 2);
    take_row_text(in, row[2] >> 32, m->addr, sizeof(m->addr));
}

static void take_group(struct body_in *in, struct ctrl_group *g)
{
    const uint64_t *row = take_row(in, TABLE_GROUPS);
    g->gid = row[0];
    g->incarnation = row[1];
    g->n = (unsigned)in_range(in, (uint32_t)row[2], 0, MEMBERS_MAX);
    uint32_t flags = (uint32_t)in_range(in, row[2] >> 32, 0, GROUP_FLAGS_ALL);
    g->in_config = flags & GROUP_IN_CONFIG;
    g->founded = flags & GROUP_FOUNDED;
    for (unsigned i = 0; i < g->n && in->ok; i++)
        take_member(in, &g->members[i]);
}

static void take_shard(struct body_in *in, struct ctrl_shard *s)
{
    const uint64_t *row = take_row(in, TABLE_SHARDS);
    s->holder = row[0];
    s->epoch = row[1];
    s->target = row[2];
    s->active = in_bool(in, row[3]);
    s->wanted = row[4];
}

static void take_tombstone(struct body_in *in, struct ctrl_tombstone *t)
{
    const uint64_t *row = take_row(in, TABLE_TOMBSTONES);
    *t = (struct ctrl_tombstone){.gid = row[0], .incarnation = row[1], .member = row[2], .node = row[3]};
}

static void take_shards(struct body_in *in, struct ctrl_view *v)
{
    unsigned n = in->rows[TABLE_SHARDS];
    v->shards = take_array(in, n, sizeof(*v->shards));
    v->nshards = v->shards ? n : 0;
    for (unsigned i = 0; i < v->nshards; i++)
        take_shard(in, &v->shards[i]);
}

/* Readers search groups by gid: sorted is part of the format. */
static void take_groups(struct body_in *in, struct ctrl_view *v)
{
    unsigned n = in->rows[TABLE_GROUPS];
    v->groups = take_array(in, n, sizeof(*v->groups));
    v->n_groups = v->groups ? n : 0;
    for (unsigned i = 0; i < v->n_groups && in->ok; i++) {
        take_group(in, &v->groups[i]);
        in_refuse(in, i > 0 && v->groups[i].gid <= v->groups[i - 1].gid);
    }
}

static void take_tombstones(struct body_in *in, struct ctrl_view *v)
{
    unsigned n = in->rows[TABLE_TOMBSTONES];
    v->tombstones = take_array(in, n, sizeof(*v->tombstones));
    v->n_tombstones = v->tombstones ? n : 0;
    for (unsigned i = 0; i < v->n_tombstones; i++)
        take_tombstone(in, &v->tombstones[i]);
}

static void take_view(struct body_in *in, struct ctrl_view *v)
{
    v->cluster = take_number(in);
    v->version = take_number(in);
    v->config_num = take_number(in);
    v->n_controllers = (unsigned)in_range(in, take_number(in), 0, MEMBERS_MAX);
    take_shards(in, v);
    for (unsigned i = 0; i < v->n_controllers && in->ok; i++)
        take_member(in, &v->controllers[i]);
    take_groups(in, v);
    take_tombstones(in, v);
}

static bool view_empty(const struct ctrl_view *v)
{
    return !v->cluster && !v->version && !v->config_num && !v->nshards && !v->n_groups && !v->n_controllers && !v->n_tombstones;
}

static void view_decode(struct body_in *in, struct msg *m)
{
    m->view.err = take_err(in);
    take_text(in, m->view.leader_addr, sizeof(m->view.leader_addr));
    m->view.time_us = take_number(in);
    m->view.changed = in_bool(in, take_number(in));
    take_view(in, &m->view.view);
    in_refuse(in, !m->view.changed && !view_empty(&m->view.view));
}

const struct codec codec_view = {
    .name = "VIEW",
    .struct_bytes = sizeof(struct msg_view),
    .shape = {.numbers = 8,
              .n_tables = 4,
              .tables = {[TABLE_SHARDS] = {.columns = 5, .rows_max = NSHARDS_MAX},
                         [TABLE_GROUPS] = {.columns = 3, .rows_max = GROUPS_MAX},
                         [TABLE_MEMBERS] = {.columns = 3, .rows_max = VIEW_MEMBERS_MAX},
                         [TABLE_TOMBSTONES] = {.columns = 4, .rows_max = VIEW_TOMBSTONES_MAX}}},
    .bulk_max = (VIEW_MEMBERS_MAX + 1) * ADDR_BYTES_MAX,
    .rows = view_rows,
    .encode = view_encode,
    .decode = view_decode,
};
static_assert((NSHARDS_MAX * 5 + GROUPS_MAX * 3 + VIEW_MEMBERS_MAX * 3 + VIEW_TOMBSTONES_MAX * 4) * 8 + 256 <= FRAME_BODY_BYTES_MAX,
              "a view fits into a body");
static_assert((VIEW_MEMBERS_MAX + 1) * ADDR_BYTES_MAX <= FRAME_BULK_BYTES_MAX, "and its addresses into a bulk");
