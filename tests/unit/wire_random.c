#include "tests/unit/wire_random.h"

/* ---- small things ---- */

uint64_t random_number(struct prng *p)
{
    static const uint64_t edges[] = {0, 1, 0x7f, 0x80, UINT32_MAX, 1ull << 32, INT64_MAX, 1ull << 63, UINT64_MAX};
    switch (prng_below(p, 4)) {
    case 0: return edges[prng_below(p, ARRAY_LEN(edges))];
    case 1: return prng_below(p, 1000);
    default: return prng_next(p);
    }
}

static uint32_t random_u32(struct prng *p) { return (uint32_t)random_number(p); }
static int64_t random_i64(struct prng *p) { return (int64_t)random_number(p); }
static bool random_bool(struct prng *p) { return prng_chance(p, 1, 2); }
static enum rgkv_err random_err(struct prng *p) { return (enum rgkv_err)prng_below(p, RGKV_ERR_COUNT); }

/* 0 … max, mostly few. */
static unsigned random_count(struct prng *p, unsigned max)
{
    return (unsigned)prng_below(p, prng_chance(p, 1, 50) ? max + 1 : MIN(max, 5) + 1);
}

struct bytes random_bytes(struct prng *p, struct arena *a, size_t max)
{
    size_t len = prng_below(p, prng_chance(p, 1, 100) ? max + 1 : MIN(max, 40) + 1);
    uint8_t *data = arena_alloc(a, len);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)prng_next(p);
    return bytes_of(data, len);
}

static void random_text(struct prng *p, char *to, size_t cap)
{
    size_t len = prng_chance(p, 1, 4) ? cap - 1 : prng_below(p, cap);
    for (size_t i = 0; i < len; i++)
        to[i] = (char)prng_between(p, 1, 255);
    to[len] = 0;
}
#define RANDOM_TEXT(p, text) random_text(p, text, sizeof(text))

/* ---- raft ---- */

static struct msg_envelope random_envelope(struct prng *p)
{
    return (struct msg_envelope){random_number(p), random_number(p), random_number(p), random_number(p)};
}

static struct raft_entry random_entry(struct prng *p, struct arena *a, uint64_t index)
{
    struct raft_entry e = {.index = index, .term = random_number(p), .kind = prng_between(p, RAFT_NOOP, RAFT_CONFIG)};
    if (e.kind != RAFT_NOOP)
        e.payload = blob_new(random_bytes(p, a, 1000));
    return e;
}

static struct raft_message random_raft_message(struct prng *p)
{
    return (struct raft_message){
        .kind = prng_between(p, RAFT_PRE_VOTE, RAFT_TIMEOUT_NOW),
        .from = random_number(p), .to = random_number(p), .term = random_number(p),
        .log_index = random_number(p), .log_term = random_number(p),
        .commit = random_number(p), .round = random_number(p),
        .hint_index = random_number(p), .hint_term = random_number(p),
        .rejected = random_bool(p), .transfer = random_bool(p),
    };
}

static void random_raft(struct prng *p, struct arena *a, struct msg_raft *r)
{
    r->envelope = random_envelope(p);
    r->message = random_raft_message(p);
    if (random_bool(p))
        r->message.kind = RAFT_APPEND;
    unsigned n = r->message.kind == RAFT_APPEND ? random_count(p, APPEND_ENTRIES_MAX) : 0;
    if (n == 0)
        return;
    r->message.log_index = MIN(r->message.log_index, UINT64_MAX - n);
    struct raft_entry *entries = arena_alloc(a, n * sizeof(*entries));
    for (unsigned i = 0; i < n; i++)
        entries[i] = random_entry(p, a, r->message.log_index + 1 + i);
    r->message.entries = entries;
    r->message.n_entries = n;
}

static void random_snapshot_chunk(struct prng *p, struct arena *a, struct msg_snapshot_chunk *c)
{
    *c = (struct msg_snapshot_chunk){
        .envelope = random_envelope(p), .header = random_raft_message(p),
        .snapshot_id = random_number(p), .boot = random_number(p), .number = random_number(p),
        .done = random_bool(p), .rows_total = random_number(p), .hash = random_number(p),
        .rows = random_bytes(p, a, SNAPSHOT_CHUNK_BYTES),
    };
    c->header.kind = RAFT_SNAPSHOT;
}

static void random_snapshot_ack(struct prng *p, struct msg_snapshot_ack *k)
{
    *k = (struct msg_snapshot_ack){
        .envelope = random_envelope(p), .term = random_number(p), .snapshot_id = random_number(p),
        .next = random_number(p), .installed = random_bool(p), .refused = random_bool(p), .log_index = random_number(p),
    };
}

/* ---- kv ---- */

static struct kv_range *random_ranges(struct prng *p, struct arena *a, unsigned n)
{
    struct kv_range *ranges = n ? arena_alloc(a, n * sizeof(*ranges)) : NULL;
    for (unsigned i = 0; i < n; i++)
        ranges[i] = (struct kv_range){random_number(p), random_u32(p)};
    return ranges;
}

static enum kv_op random_op(struct prng *p, bool logged)
{
    return logged || random_bool(p) ? prng_between(p, KV_PUT, KV_WRITE_LAST) : prng_between(p, KV_STAT, KV_READ_LAST);
}

static struct kv_request random_kv_request(struct prng *p, struct arena *a, bool logged)
{
    struct kv_request q = {
        .client = random_number(p), .seq = random_number(p), .floor = random_number(p), .born_us = random_number(p),
        .shard = random_u32(p), .op = random_op(p, logged), .flags = random_u32(p), .set = random_u32(p),
        .key = random_bytes(p, a, KEY_BYTES_MAX), .key2 = random_bytes(p, a, KEY_BYTES_MAX),
        .data = random_bytes(p, a, DATA_BYTES_MAX),
        .version = random_number(p), .offset = random_number(p), .length = random_number(p),
        .mode = random_u32(p), .uid = random_u32(p), .gid = random_u32(p),
        .atime_ns = random_i64(p), .mtime_ns = random_i64(p), .now_ns = random_i64(p),
        .n_ranges = random_count(p, PATCH_RANGES_MAX),
    };
    q.ranges = random_ranges(p, a, q.n_ranges);
    return q;
}

static struct kv_attr random_attr(struct prng *p)
{
    return (struct kv_attr){
        .type = prng_below(p, KV_LINK + 1), .mode = random_u32(p), .uid = random_u32(p), .gid = random_u32(p),
        .size = random_number(p), .version = random_number(p), .base = random_number(p), .ino = random_number(p),
        .atime_ns = random_i64(p), .mtime_ns = random_i64(p), .ctime_ns = random_i64(p),
    };
}

static void random_kv_reply(struct prng *p, struct arena *a, struct kv_reply *r)
{
    *r = (struct kv_reply){
        .err = random_err(p), .shard_time_us = random_number(p), .attr = random_attr(p), .has_attr = random_bool(p),
        .more = random_bool(p), .data = random_bytes(p, a, DATA_BYTES_MAX), .leader_member = random_number(p),
    };
    RANDOM_TEXT(p, r->leader_addr);
}

static void random_pull(struct prng *p, struct arena *a, struct msg_pull *u)
{
    *u = (struct msg_pull){.gid = random_number(p), .incarnation = random_number(p), .shard = random_u32(p),
                           .epoch = random_number(p), .round = random_number(p), .after = random_bytes(p, a, KEY_BYTES_MAX)};
}

static void random_pull_reply(struct prng *p, struct arena *a, struct msg_pull_reply *r)
{
    *r = (struct msg_pull_reply){
        .err = random_err(p), .shard = random_u32(p), .epoch = random_number(p),
        .round = random_number(p), .pulled = {.done = random_bool(p), .last = random_bool(p), .count = random_number(p), .hash = random_number(p),
                   .revision = random_number(p), .clock_us = random_number(p)},
        .after = random_bytes(p, a, KEY_BYTES_MAX), .rows = random_bytes(p, a, PULL_CHUNK_BYTES),
    };
    RANDOM_TEXT(p, r->leader_addr);
}

void random_kv_command(struct prng *p, struct arena *a, struct kv_command *ret_c)
{
    struct kv_command c = {.kind = prng_between(p, KV_REQUEST, KV_COPY_SUM), .time_us = random_number(p)};
    if (c.kind == KV_REQUEST) {
        c.request = random_kv_request(p, a, true);
    } else {
        c.shard = random_u32(p);
        c.epoch = random_number(p);
        c.from = random_number(p);
        c.round = random_number(p);
        c.done = random_bool(p);
        c.after = random_bytes(p, a, KEY_BYTES_MAX);
        c.rows = random_bytes(p, a, PULL_CHUNK_BYTES);
        c.count = random_number(p);
        c.hash = random_number(p);
        c.revision = random_number(p);
        c.clock_us = random_number(p);
    }
    *ret_c = c;
}

/* ---- ctrl ---- */

static void random_join_group(struct prng *p, struct ctrl_join_group *g)
{
    g->gid = random_number(p);
    g->n = (unsigned)prng_below(p, MEMBERS_MAX + 1);
    for (unsigned i = 0; i < g->n; i++)
        RANDOM_TEXT(p, g->addrs[i]);
}

static struct ctrl_join_group *random_join_groups(struct prng *p, struct arena *a, unsigned n)
{
    struct ctrl_join_group *groups = n ? arena_alloc(a, n * sizeof(*groups)) : NULL;
    for (unsigned i = 0; i < n; i++)
        random_join_group(p, &groups[i]);
    return groups;
}

static uint64_t *random_gids(struct prng *p, struct arena *a, unsigned n)
{
    uint64_t *gids = n ? arena_alloc(a, n * sizeof(*gids)) : NULL;
    for (unsigned i = 0; i < n; i++)
        gids[i] = random_number(p);
    return gids;
}

void random_ctrl_command(struct prng *p, struct arena *a, struct ctrl_command *ret_c)
{
    struct ctrl_command c = {
        .op = prng_between(p, CTRL_INIT, CTRL_OP_LAST), .time_us = random_number(p), .client = random_number(p),
        .seq = random_number(p), .born_us = random_number(p),
        .n_groups = random_count(p, GROUPS_MAX), .n_gids = random_count(p, GROUPS_MAX),
        .gid = random_number(p), .incarnation = random_number(p), .member = random_number(p), .node = random_number(p),
        .epoch = random_number(p), .cluster = random_number(p), .shard = random_u32(p), .nshards = random_u32(p),
    };
    c.groups = random_join_groups(p, a, c.n_groups);
    c.gids = random_gids(p, a, c.n_gids);
    RANDOM_TEXT(p, c.addr);
    *ret_c = c;
}

static void random_admin_request(struct prng *p, struct arena *a, struct msg_admin_request *q)
{
    random_ctrl_command(p, a, &q->command);
    q->command.op = random_bool(p) ? prng_between(p, CTRL_JOIN, CTRL_MOVE) : prng_between(p, CTRL_TRANSFER, CTRL_ABANDON);
}

static void random_admin_reply(struct prng *p, struct msg_admin_reply *r)
{
    *r = (struct msg_admin_reply){
        .result = {.err = random_err(p), .config_num = random_number(p), .duplicate = random_bool(p)}};
    RANDOM_TEXT(p, r->result.why);
    RANDOM_TEXT(p, r->leader_addr);
}

static void random_ctrl_read(struct prng *p, struct msg_ctrl_read *r)
{
    *r = (struct msg_ctrl_read){prng_between(p, CTRL_READ_CONFIG, CTRL_READ_COUNT - 1), random_number(p)};
}

static void random_ctrl_text(struct prng *p, struct arena *a, struct msg_ctrl_text *t)
{
    *t = (struct msg_ctrl_text){.err = random_err(p), .text = random_bytes(p, a, 100000)};
    RANDOM_TEXT(p, t->leader_addr);
}

/* ---- poll ---- */

static struct ctrl_report_shard *random_report_shards(struct prng *p, struct arena *a, unsigned n)
{
    struct ctrl_report_shard *shards = n ? arena_alloc(a, n * sizeof(*shards)) : NULL;
    for (unsigned i = 0; i < n; i++)
        shards[i] = (struct ctrl_report_shard){random_u32(p), prng_below(p, KV_FROZEN + 1), random_number(p),
                                               random_number(p), random_number(p), random_number(p)};
    return shards;
}

static struct ctrl_report_replica random_report_replica(struct prng *p, struct arena *a)
{
    struct ctrl_report_replica r = {
        .gid = random_number(p), .incarnation = random_number(p), .member = random_number(p), .leader = random_bool(p),
        .term = random_number(p), .applied = random_number(p), .leader_member = random_number(p),
        .log_bytes = random_number(p), .disk_bytes = random_number(p),
        .lost = random_bool(p), .configured = random_bool(p), .n_members = random_count(p, MEMBERS_MAX),
        .n_shards = random_count(p, REPORT_SHARDS_MAX / REPLICAS_MAX),
    };
    for (unsigned i = 0; i < r.n_members; i++)
        r.members[i] = (struct ctrl_report_member){random_number(p), random_bool(p), random_bool(p), random_number(p)};
    r.shards = random_report_shards(p, a, r.n_shards);
    return r;
}

static void random_report(struct prng *p, struct arena *a, struct ctrl_report *r)
{
    unsigned n = random_count(p, REPLICAS_MAX);
    struct ctrl_report_replica *replicas = n ? arena_alloc(a, n * sizeof(*replicas)) : NULL;
    for (unsigned i = 0; i < n; i++)
        replicas[i] = random_report_replica(p, a);
    unsigned n_metrics = random_count(p, METRICS_PER_REPORT_MAX);
    struct ctrl_report_metric *metrics = n_metrics ? arena_alloc(a, n_metrics * sizeof(*metrics)) : NULL;
    for (unsigned i = 0; i < n_metrics; i++)
        metrics[i] = (struct ctrl_report_metric){random_u32(p), random_u32(p), random_number(p), random_number(p)};
    *r = (struct ctrl_report){.node = random_number(p), .boot_us = random_number(p), .disk_free = random_number(p),
                              .disk_total = random_number(p), .memory_bytes = random_number(p), .stall_us = random_number(p),
                              .n_replicas = n, .replicas = replicas, .n_metrics = n_metrics, .metrics = metrics};
    RANDOM_TEXT(p, r->addr);
    RANDOM_TEXT(p, r->version);
}

static void random_poll(struct prng *p, struct arena *a, struct msg_poll *q)
{
    q->version = random_number(p);
    q->hold_us = random_number(p);
    q->has_report = random_bool(p);
    if (q->has_report)
        random_report(p, a, &q->report);
}

/* ---- view ---- */

static void random_member(struct prng *p, struct ctrl_member *m)
{
    *m = (struct ctrl_member){.id = random_number(p), .node = random_number(p), .founding = random_bool(p),
                              .state = prng_below(p, CTRL_MEMBER_LEAVING + 1)};
    RANDOM_TEXT(p, m->addr);
}

static void random_group(struct prng *p, uint64_t gid, struct ctrl_group *g)
{
    *g = (struct ctrl_group){.gid = gid, .incarnation = random_number(p), .in_config = random_bool(p),
                             .founded = random_bool(p), .n = (unsigned)prng_below(p, MEMBERS_MAX + 1)};
    for (unsigned i = 0; i < g->n; i++)
        random_member(p, &g->members[i]);
}

static void random_view(struct prng *p, struct arena *a, struct ctrl_view *v)
{
    *v = (struct ctrl_view){.cluster = random_number(p), .version = random_number(p), .config_num = random_number(p),
                            .nshards = random_count(p, NSHARDS_MAX), .n_groups = random_count(p, GROUPS_MAX),
                            .n_controllers = random_count(p, MEMBERS_MAX),
                            .n_tombstones = random_count(p, VIEW_TOMBSTONES_MAX)};
    v->shards = arena_alloc(a, v->nshards * sizeof(*v->shards));
    v->groups = arena_alloc(a, v->n_groups * sizeof(*v->groups));
    v->tombstones = arena_alloc(a, v->n_tombstones * sizeof(*v->tombstones));
    for (unsigned i = 0; i < v->nshards; i++)
        v->shards[i] = (struct ctrl_shard){random_number(p), random_number(p), random_number(p), random_bool(p), random_number(p)};
    for (unsigned i = 0; i < v->n_controllers; i++)
        random_member(p, &v->controllers[i]);
    for (unsigned i = 0; i < v->n_groups; i++)
        random_group(p, (i ? v->groups[i - 1].gid : 0) + prng_between(p, 1, 1000), &v->groups[i]);
    for (unsigned i = 0; i < v->n_tombstones; i++)
        v->tombstones[i] = (struct ctrl_tombstone){random_number(p), random_number(p), random_number(p), random_number(p)};
}

static void random_msg_view(struct prng *p, struct arena *a, struct msg_view *v)
{
    v->err = random_err(p);
    RANDOM_TEXT(p, v->leader_addr);
    v->time_us = random_number(p);
    v->changed = random_bool(p);
    if (v->changed)
        random_view(p, a, &v->view);
}

/* ---- founding, hello, refused ---- */

static void random_raft_members(struct prng *p, unsigned n, struct raft_member *members)
{
    for (unsigned i = 0; i < n; i++) {
        members[i] = (struct raft_member){.id = random_number(p), .node = random_number(p), .voter = random_bool(p)};
        RANDOM_TEXT(p, members[i].addr);
    }
}

static void random_founding(struct prng *p, struct founding *f)
{
    *f = (struct founding){.cluster = random_number(p), .nshards = random_u32(p), .n = random_count(p, MEMBERS_MAX)};
    random_raft_members(p, f->n, f->members);
}

static void random_found_ask(struct prng *p, struct msg_found_ask *f)
{
    *f = (struct msg_found_ask){.node = random_number(p), .list_hash = random_number(p)};
    RANDOM_TEXT(p, f->addr);
}

static void random_found_state(struct prng *p, struct msg_found_state *f)
{
    *f = (struct msg_found_state){.node = random_number(p), .list_hash = random_number(p)};
    RANDOM_TEXT(p, f->addr);
    random_founding(p, &f->record);
}

static void random_hello(struct prng *p, struct msg_hello *h)
{
    *h = (struct msg_hello){.node = random_number(p), .client = random_number(p)};
    RANDOM_TEXT(p, h->addr);
    RANDOM_TEXT(p, h->version);
}

static void random_refused(struct prng *p, struct msg_refused *r)
{
    r->err = random_err(p);
    RANDOM_TEXT(p, r->why);
}

void random_manifest(struct prng *p, struct manifest *ret_m)
{
    memset(ret_m, 0, sizeof(*ret_m));
    ret_m->node = random_number(p);
    ret_m->cluster = random_number(p);
    RANDOM_TEXT(p, ret_m->addr);
    ret_m->view = random_number(p);
    random_founding(p, &ret_m->founding);
    ret_m->n_controllers = random_count(p, MEMBERS_MAX);
    for (unsigned i = 0; i < ret_m->n_controllers; i++)
        RANDOM_TEXT(p, ret_m->controllers[i]);
    ret_m->n_replicas = random_count(p, REPLICAS_MAX);
    for (unsigned i = 0; i < ret_m->n_replicas; i++) {
        struct manifest_replica *r = &ret_m->replicas[i];
        *r = (struct manifest_replica){.gid = random_number(p), .incarnation = random_number(p),
                                       .member = random_number(p), .nshards = random_u32(p), .blank = random_bool(p)};
        r->founding.n = random_count(p, MEMBERS_MAX);
        random_raft_members(p, r->founding.n, r->founding.members);
    }
}

void random_msg(struct prng *p, enum msg_kind kind, struct arena *a, struct msg *ret_m)
{
    struct msg *m = ret_m;
    memset(m, 0, sizeof(*m));
    m->kind = kind;
    m->id = random_number(p);
    m->cluster = random_number(p);
    switch (kind) {
    case MSG_HELLO: random_hello(p, &m->hello); break;
    case MSG_RAFT: random_raft(p, a, &m->raft); break;
    case MSG_SNAPSHOT_CHUNK: random_snapshot_chunk(p, a, &m->snapshot_chunk); break;
    case MSG_SNAPSHOT_ACK: random_snapshot_ack(p, &m->snapshot_ack); break;
    case MSG_KV_REQUEST:
        m->kv_request.gid = random_number(p);
        m->kv_request.request = random_kv_request(p, a, false);
        break;
    case MSG_KV_REPLY: random_kv_reply(p, a, &m->kv_reply); break;
    case MSG_ADMIN_REQUEST: random_admin_request(p, a, &m->admin_request); break;
    case MSG_ADMIN_REPLY: random_admin_reply(p, &m->admin_reply); break;
    case MSG_CTRL_READ: random_ctrl_read(p, &m->ctrl_read); break;
    case MSG_CTRL_TEXT: random_ctrl_text(p, a, &m->ctrl_text); break;
    case MSG_POLL: random_poll(p, a, &m->poll); break;
    case MSG_VIEW: random_msg_view(p, a, &m->view); break;
    case MSG_PULL: random_pull(p, a, &m->pull); break;
    case MSG_PULL_REPLY: random_pull_reply(p, a, &m->pull_reply); break;
    case MSG_FOUND_ASK: random_found_ask(p, &m->found_ask); break;
    case MSG_FOUND_STATE: random_found_state(p, &m->found_state); break;
    case MSG_FOUND: random_founding(p, &m->found.record); break;
    case MSG_FOUND_ACK: m->found_ack = (struct msg_found_ack){random_number(p), random_bool(p)}; break;
    case MSG_REFUSED: random_refused(p, &m->refused); break;
    case MSG_TRANSFER: m->transfer = (struct msg_transfer){random_number(p), random_number(p), random_number(p)}; break;
    case MSG_KIND_COUNT: ASSERT(false);
    }
}
