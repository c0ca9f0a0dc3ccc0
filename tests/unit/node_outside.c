#include "tests/unit/node_outside.h"

#include "kv/machine.h"

static void open_replica(struct outside *w, uint32_t replica)
{
    struct wal_recovered blank = {.created = true};
    struct table *t = w->kept ? w->tables[0] : (w->tables[w->n_tables++] = table_mem_new());
    step(w, (struct node_input){.kind = NODE_REPLICA_OPENED, .replica = replica, .recovered = w->kept ? w->kept : &blank, .table = t});
}

static void heard(struct outside *w, struct bytes frames)
{
    struct arena arena = {0};
    struct msg m;
    size_t size;
    for (; frames.len; frames = bytes_from(frames, size)) {
        assert_int_equal(frame_size(frames.data, &size), RGKV_OK);
        assert_int_equal(msg_decode(bytes_first(frames, size), &arena, &m), RGKV_OK);
        w->snapshot_acks += m.kind == MSG_SNAPSHOT_ACK;
        if (m.kind == MSG_SNAPSHOT_ACK)
            w->snapshot_ack = m.snapshot_ack;
        w->chunks += m.kind == MSG_SNAPSHOT_CHUNK;
        if (m.kind == MSG_SNAPSHOT_CHUNK && m.snapshot_chunk.snapshot_id != w->snapshot) {
            w->snapshot = m.snapshot_chunk.snapshot_id;
            w->snapshots++;
            w->snapshot_index = m.snapshot_chunk.header.log_index;
        }
        if (m.kind == MSG_RAFT && m.raft.message.kind == RAFT_APPEND && m.raft.message.n_entries) {
            w->append.to = m.raft.envelope.to;
            w->append.after = m.raft.message.log_index;
            w->append.n = m.raft.message.n_entries;
        }
        if (m.kind == MSG_KV_REQUEST && m.kv_request.request.op == KV_LAND && m.kv_request.gid < ARRAY_LEN(w->lands))
            w->lands[m.kv_request.gid]++;
        if (m.kind == MSG_FOUND_STATE)
            w->founded = m.found_state.record.cluster;
        if (m.kind == MSG_FOUND_ASK)
            w->list_hash = m.found_ask.list_hash;
        w->records += m.kind == MSG_FOUND;
        if (m.kind == MSG_POLL && m.poll.has_report) {
            w->reports++;
            w->reported = m.poll.report.n_replicas;
            w->lost = 0;
            for (unsigned i = 0; i < w->reported; i++)
                w->lost += m.poll.report.replicas[i].lost;
        }
        if (m.kind == MSG_ADMIN_REPLY && m.id < ARRAY_LEN(w->answers)) {
            w->answers[m.id] = m.admin_reply.result.err;
            w->reasoned = m.admin_reply.result.why[0] != 0;
        }
        if (m.kind == MSG_KV_REPLY && m.id < ARRAY_LEN(w->answers)) {
            w->answers[m.id] = m.kv_reply.err;
            w->n_answers[m.id]++;
            w->shard_time_us = m.kv_reply.shard_time_us;
        }
        msg_release(&m);
    }
    arena_release(&arena);
}

static void saved(struct outside *w, uint32_t replica)
{
    enum rgkv_err err = kv_saving_write(&w->saving);
    step(w, (struct node_input){.kind = NODE_SAVED, .replica = replica, .err = err});
}

void save_is_due(struct outside *w)
{
    struct replica *r = w->n->replicas[0];
    overlay_delete(&r->kv->rows, bytes_str("a row"));
    assert_int_equal(kv_finish(r->kv, buf_bytes(&r->applied_row)), RGKV_OK);
    kv_full_at(r->kv, 1);
}

void save_ends(struct outside *w) { saved(w, 1); }

void chunk_read_ends(struct outside *w)
{
    chunk_read(w->source);
    step(w, (struct node_input){.kind = NODE_SNAPSHOT_READ_DONE, .replica = 1, .number = w->chunk_read});
}

void chunk_write_ends(struct outside *w)
{
    enum rgkv_err err = chunk_write(&w->sink);
    step(w, (struct node_input){.kind = NODE_SNAPSHOT_WRITTEN, .replica = 1, .err = err, .number = w->chunk_written, .sink = &w->sink});
}

static void carry_out(struct outside *w, struct node_effect *e)
{
    w->asked[e->kind]++;
    switch (e->kind) {
    case NODE_COMMIT:
        wal_batch_release(&e->batch);
        if (!w->hangs)
            step(w, (struct node_input){.kind = NODE_COMMITTED, .replica = e->replica, .disk_bytes = w->log_bytes});
        break;
    case NODE_SAVE_MANIFEST:
        if (!w->saves_hang)
            step(w, (struct node_input){.kind = NODE_MANIFEST_SAVED});
        break;
    case NODE_OPEN_REPLICA:
        if (!w->opens_hang && w->n_tables < ARRAY_LEN(w->tables)) /* more never come to an end of it */
            open_replica(w, e->replica);
        break;
    case NODE_REPLY:
        w->reply_bytes_most = MAX(w->reply_bytes_most, e->frames.len);
        w->replies_bytes += e->frames.len;
        w->turn_bytes += e->frames.len;
        w->turn_bytes_most = MAX(w->turn_bytes_most, w->turn_bytes);
        heard(w, e->frames);
        break;
    case NODE_SEND: heard(w, e->frames); break;
    case NODE_READ_LOG: w->fetch = e->fetch; break;
    case NODE_SAVE:
        w->saving = e->saving;
        if (!w->tables_hang)
            saved(w, e->replica);
        break;
    case NODE_SNAPSHOT_READ:
        w->source = e->source;
        w->chunk_read = e->number;
        if (!w->reads_hang)
            chunk_read_ends(w);
        break;
    case NODE_SNAPSHOT_WRITE:
        w->sink = e->sink;
        w->chunk_written = e->number;
        if (!w->tables_hang)
            chunk_write_ends(w);
        break;
    case NODE_TRIM: /* never comes to an end */
        buf_release(&e->from);
        buf_release(&e->to);
        break;
    case NODE_WARM:
        kv_warm(w->tables[e->replica - 1], buf_bytes(&e->from));
        buf_release(&e->from);
        w->warm = e->number;
        if (!w->reads_hang)
            step(w, (struct node_input){.kind = NODE_WARMED, .replica = e->replica, .number = e->number});
        break;
    case NODE_FAILED: w->failed = true; break;
    default: break;
    }
}

void collect(struct outside *w)
{
    struct node_effect effects[64];
    bool more = true;
    for (unsigned n = 1; more || n;) {
        more = node_collect(w->n);
        w->turn_bytes = 0;
        for (n = 0; n < ARRAY_LEN(effects) && node_next(w->n, &effects[n]);)
            n++;
        for (unsigned i = 0; i < n; i++)
            carry_out(w, &effects[i]);
    }
}

void step(struct outside *w, struct node_input in)
{
    in.now_us = w->now_us;
    node_step(w->n, &in);
}

void receive(struct outside *w, const struct msg *m)
{
    step(w, (struct node_input){.kind = NODE_RECEIVED, .conn = 9, .message = m});
    collect(w);
}

void start(struct outside *w)
{
    struct buf why = {0};
    struct node_options o = {.seed = 1, .boot = 1, .now_us = w->now_us, .addr = ME, .n_controllers = 2,
                             .controllers = {ME, OTHER}, .nshards = 4, .manifest = &w->manifest};
    assert_int_equal(node_new(&o, &w->n, &why), RGKV_OK);
    collect(w);
}

struct outside blank_controller(void)
{
    struct outside w = {.now_us = 1000000, .manifest = {.node = NODE}};
    return w;
}

struct raft_member me(void) { return (struct raft_member){.id = 1, .node = NODE, .voter = true, .addr = ME}; }

struct outside lone_controller(void)
{
    return (struct outside){.now_us = 1000000, .manifest = {.node = NODE, .cluster = CLUSTER, .addr = ME, .n_controllers = 1, .controllers = {ME},
                            .founding = {.cluster = CLUSTER, .nshards = 4, .n = 1, .members = {me()}}, .n_replicas = 1, .replicas = {{
                            .member = 1, .nshards = 4, .blank = true, .founding = {.n = 1, .members = {me()}}}}}};
}

struct outside member(void)
{
    struct outside w = {.now_us = 1000000, .manifest = {.node = NODE, .cluster = CLUSTER, .addr = ME, .n_controllers = 1,
                        .controllers = {OTHER}, .n_replicas = 1, .replicas = {{.gid = 3, .incarnation = 1, .member = 1, .nshards = 4, .blank = true,
                        .founding = {.n = 2, .members = {me(), {.id = 2, .node = 6, .voter = true, .addr = OTHER}}}}}}};
    return w;
}

struct outside member_of_three(void)
{
    struct outside w = member();
    w.manifest.replicas[0].founding.n = 3;
    w.manifest.replicas[0].founding.members[2] = (struct raft_member){.id = 3, .node = 7, .voter = true, .addr = THIRD};
    return w;
}

void stop(struct outside *w)
{
    node_free(w->n);
    for (unsigned i = 0; i < w->n_tables; i++)
        table_free(w->tables[i]);
}

void tick(struct outside *w, uint64_t us)
{
    w->now_us += us;
    step(w, (struct node_input){.kind = NODE_TICK});
    collect(w);
}

void ticks_for(struct outside *w, uint64_t us)
{
    for (uint64_t passed = 0; passed < us; passed += 50000)
        tick(w, 50000);
}

void table_falls_behind(struct table *t)
{
    table_mem_hold(t, true);
    assert_false(table_waits(t));
}

void wait_a_while(struct outside *w)
{
    tick(w, TABLE_AGAIN_US);
    tick(w, TABLE_AGAIN_US);
}

void answer_poll(struct outside *w, struct ctrl_view view)
{
    tick(w, 100000);
    struct msg m = {.kind = MSG_VIEW, .id = w->n->poll_id, .cluster = CLUSTER, .view = {.changed = true, .view = view}};
    assert_int_not_equal(m.id, 0);
    receive(w, &m);
}

void buried(struct outside *w)
{
    struct ctrl_shard shards[4] = {{0}};
    struct ctrl_tombstone tombstone = {.node = NODE, .gid = 3, .incarnation = 1, .member = 1};
    answer_poll(w, (struct ctrl_view){.cluster = CLUSTER, .version = 9, .nshards = 4, .shards = shards, .n_tombstones = 1, .tombstones = &tombstone});
    assert_int_equal(w->asked[NODE_DELETE_REPLICA], 1);
}

struct ctrl_group group_here(uint64_t gid, uint64_t incarnation, uint64_t member)
{
    return (struct ctrl_group){.gid = gid, .incarnation = incarnation, .founded = true, .n = 1,
                               .members = {{.id = member, .node = NODE, .founding = true, .addr = ME}}};
}

unsigned rows_in(struct table *t)
{
    unsigned n = 0;
    struct table_iter *i = table_iter(t, NULL, BYTES_EMPTY, BYTES_EMPTY);
    while (t->ops->iter_next(i))
        n++;
    t->ops->iter_free(i);
    return n;
}

struct kv_shard_status status_of(struct outside *w, uint32_t shard)
{
    struct node_replica_info info;
    struct kv_shard_status st;
    assert_true(node_replica_info(w->n, 0, &info) && info.kv);
    kv_shard_status(info.kv, shard, &st);
    return st;
}

struct outside with_large_value(void)
{
    struct outside w = member();
    static uint8_t data[DATA_BYTES_MAX];
    struct ctrl_shard shards[4] = {{.target = 3, .epoch = 1}, {.target = 3, .epoch = 1}, {.target = 3, .epoch = 1}, {.target = 3, .epoch = 1}};
    struct ctrl_group group = group_here(3, 1, 1);
    struct ctrl_view v = {.cluster = CLUSTER, .version = 2, .nshards = 4, .shards = shards, .n_groups = 1, .groups = &group};
    w.manifest.replicas[0].founding.n = 1;
    start(&w);
    answer_poll(&w, v);
    for (unsigned s = 0; s < 4; s++)
        shards[s] = (struct ctrl_shard){.holder = 3, .epoch = 1};
    v.version = 3;
    answer_poll(&w, v);
    const struct bytes key = bytes_str("k");
    struct msg put = {.kind = MSG_KV_REQUEST, .id = 1, .cluster = CLUSTER, .kv_request = {.gid = 3, .request = {
        .op = KV_PUT, .client = 1, .seq = 1, .floor = 1, .shard = kv_key_shard(key, 4), .key = key, .mode = 0644, .data = bytes_of(data, sizeof(data))}}};
    receive(&w, &put);
    assert_true(w.n_answers[1] == 1 && w.answers[1] == RGKV_OK);
    w.reply_bytes_most = w.replies_bytes = 0;
    return w;
}

void member_says(struct outside *w, uint64_t from, struct raft_message m)
{
    m.from = from;
    m.to = 1;
    struct msg wire = {.kind = MSG_RAFT, .cluster = CLUSTER, .raft = {.envelope = {.gid = 3, .incarnation = 1, .from = from, .to = 1}, .message = m}};
    receive(w, &wire);
}

void other_says(struct outside *w, struct raft_message m) { member_says(w, 2, m); }

void lead_after(struct outside *w, uint64_t term)
{
    other_says(w, (struct raft_message){.kind = RAFT_TIMEOUT_NOW, .term = term, .transfer = true});
    other_says(w, (struct raft_message){.kind = RAFT_VOTE_REPLY, .term = term + 1});
    assert_true(replica_is_leader(w->n->replicas[0]));
}

void one_entry_is_committed(struct outside *w)
{
    struct raft_entry e = {.index = 1, .term = 7, .kind = RAFT_NOOP};
    other_says(w, (struct raft_message){.kind = RAFT_APPEND, .term = 7, .commit = 1, .n_entries = 1, .entries = &e});
}

void propose(struct outside *w, uint64_t request)
{
    struct blob *payload = kv_command_encode(&(struct kv_command){.kind = KV_CLOCK, .time_us = 1});
    assert_int_equal(replica_propose(w->n, w->n->replicas[0], payload, 9, request), RGKV_OK);
    collect(w);
}

enum rgkv_err admin(struct outside *w, uint64_t id, struct ctrl_command c)
{
    struct msg m = {.kind = MSG_ADMIN_REQUEST, .id = id, .cluster = CLUSTER, .admin_request = {.command = c}};
    m.admin_request.command.client = 1;
    m.admin_request.command.seq = id;
    w->answers[id] = RGKV_ERR_COUNT;
    receive(w, &m);
    return w->answers[id];
}

void group_says(struct outside *w, enum kv_shard_state state)
{
    const struct ctrl_view *v = ctrl_view(w->n->replicas[0]->ctrl);
    const struct ctrl_group *g = ctrl_view_group(v, 101);
    struct ctrl_report_shard shards[4];
    for (uint32_t i = 0; i < 4; i++)
        shards[i] = (struct ctrl_report_shard){.shard = i, .state = state, .epoch = 1};
    struct ctrl_report_replica r = {.gid = 101, .incarnation = g->incarnation, .member = g->members[0].id, .leader = true, .term = 1,
                                    .n_shards = state == KV_NONE ? 0 : 4, .shards = shards};
    struct msg m = {.kind = MSG_POLL, .id = 7, .cluster = CLUSTER, .poll = {.version = v->version, .hold_us = 1000000, .has_report = true,
                    .report = {.node = 6, .addr = OTHER, .n_replicas = g->founded, .replicas = &r}}};
    receive(w, &m);
    ticks_for(w, 200000);
}
