#include "tests/unit/unit.h"

#include "kv/rows.h"
#include "node/internal.h"
#include "store/table_mem.h"
#include "wire/snapshot_rows.h"

/* One node whose outside is this test: a disk that does what it is told when it is told, and nobody else but what a test
 * makes them say. It counts what is asked for. */
struct outside {
    struct node *n;
    struct manifest manifest;
    struct table *tables[8];
    bool hangs;                /* the disk of the logs */
    unsigned n_tables;
    uint64_t now_us;
    unsigned asked[NODE_STOPPED + 1];
    bool failed;
    enum rgkv_err answers[8];  /* by request id: of replies */
    unsigned n_answers[8];
    size_t reply_bytes_most;   /* of one turn, to one connection */
    uint64_t replies_bytes;
    unsigned snapshot_acks;
    uint64_t snapshot;         /* the last one that was sent, and how many there were */
    unsigned snapshots;
    uint64_t founded;          /* the cluster that the last MSG_FOUND_STATE named */
    unsigned reported, lost;   /* replicas in the last report */
    bool saves_hang;           /* the disk of the manifest */
    struct wal_recovered *kept;/* what the log of the next replica that is opened holds; its table is tables[0] */
};

#define ME "127.0.0.1:7000"
#define OTHER "127.0.0.1:7001"
#define CLUSTER 77u
#define NODE 5u

static void step(struct outside *w, struct node_input in);

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
        if (m.kind == MSG_SNAPSHOT_CHUNK && m.snapshot_chunk.snapshot_id != w->snapshot) {
            w->snapshot = m.snapshot_chunk.snapshot_id;
            w->snapshots++;
        }
        if (m.kind == MSG_FOUND_STATE)
            w->founded = m.found_state.record.cluster;
        if (m.kind == MSG_POLL) {
            w->reported = m.poll.report.n_replicas;
            w->lost = 0;
            for (unsigned i = 0; i < w->reported; i++)
                w->lost += m.poll.report.replicas[i].lost;
        }
        if (m.kind == MSG_ADMIN_REPLY && m.id < ARRAY_LEN(w->answers))
            w->answers[m.id] = m.admin_reply.result.err;
        if (m.kind == MSG_KV_REPLY && m.id < ARRAY_LEN(w->answers)) {
            w->answers[m.id] = m.kv_reply.err;
            w->n_answers[m.id]++;
        }
        msg_release(&m);
    }
    arena_release(&arena);
}

static void carry_out(struct outside *w, struct node_effect *e)
{
    w->asked[e->kind]++;
    switch (e->kind) {
    case NODE_COMMIT:
        wal_batch_release(&e->batch);
        if (!w->hangs)
            step(w, (struct node_input){.kind = NODE_COMMITTED, .replica = e->replica});
        break;
    case NODE_SAVE_MANIFEST:
        if (!w->saves_hang)
            step(w, (struct node_input){.kind = NODE_MANIFEST_SAVED});
        break;
    case NODE_OPEN_REPLICA:
        if (w->n_tables < ARRAY_LEN(w->tables)) /* more never come to an end of it */
            open_replica(w, e->replica);
        break;
    case NODE_REPLY:
        w->reply_bytes_most = MAX(w->reply_bytes_most, e->frames.len);
        w->replies_bytes += e->frames.len;
        heard(w, e->frames);
        break;
    case NODE_SEND: heard(w, e->frames); break;
    case NODE_FAILED: w->failed = true; break;
    default: break;
    }
}

static void collect(struct outside *w)
{
    struct node_effect effects[64];
    bool more = true;
    for (unsigned n = 1; more || n;) {
        more = node_collect(w->n);
        for (n = 0; n < ARRAY_LEN(effects) && node_next(w->n, &effects[n]);)
            n++;
        for (unsigned i = 0; i < n; i++)
            carry_out(w, &effects[i]);
    }
}

static void step(struct outside *w, struct node_input in)
{
    in.now_us = w->now_us;
    node_step(w->n, &in);
}

static void receive(struct outside *w, const struct msg *m)
{
    step(w, (struct node_input){.kind = NODE_RECEIVED, .conn = 9, .message = m});
    collect(w);
}

static void start(struct outside *w)
{
    struct buf why = {0};
    struct node_options o = {.seed = 1, .boot = 1, .now_us = w->now_us, .addr = ME, .n_controllers = 2,
                             .controllers = {ME, OTHER}, .nshards = 4, .manifest = &w->manifest};
    assert_int_equal(node_new(&o, &w->n, &why), RGKV_OK);
    collect(w);
}

/* A controller that asks for its like. */
static struct outside blank_controller(void)
{
    struct outside w = {.now_us = 1000000, .manifest = {.node = NODE}};
    return w;
}

/* Member 1 of two of group 3, of a node that is no controller. */
static struct outside member(void)
{
    struct outside w = {.now_us = 1000000, .manifest = {.node = NODE, .cluster = CLUSTER, .addr = ME, .n_controllers = 1,
                        .controllers = {OTHER}, .n_replicas = 1, .replicas = {{.gid = 3, .incarnation = 1, .member = 1, .nshards = 4, .blank = true,
                        .founding = {.n = 2, .members = {{.id = 1, .node = NODE, .voter = true, .addr = ME}, {.id = 2, .node = 6, .voter = true, .addr = OTHER}}}}}}};
    return w;
}

static void stop(struct outside *w)
{
    node_free(w->n);
    for (unsigned i = 0; i < w->n_tables; i++)
        table_free(w->tables[i]);
}

/* ---- founding ---- */

static struct msg founding_of(struct raft_member me, uint32_t nshards)
{
    struct msg m = {.kind = MSG_FOUND, .id = 1, .found = {.record = {.cluster = CLUSTER, .nshards = nshards, .n = 2}}};
    m.found.record.members[0] = me;
    m.found.record.members[1] = (struct raft_member){.id = 2, .node = 6, .voter = true, .addr = OTHER};
    return m;
}

static struct raft_member me(void) { return (struct raft_member){.id = 1, .node = NODE, .voter = true, .addr = ME}; }

static bool founds_with(const struct msg *m)
{
    struct outside w = blank_controller();
    start(&w);
    receive(&w, m);
    bool founded = node_cluster(w.n) != 0;
    stop(&w);
    return founded;
}

static void a_founding_record_that_makes_no_sense_is_not_adopted(void **state)
{
    struct raft_member bad = me();
    struct msg m = founding_of(me(), 4);
    assert_true(founds_with(&m));
    m = founding_of(me(), 0);
    assert_false(founds_with(&m));
    m = founding_of(me(), NSHARDS_MAX + 1);
    assert_false(founds_with(&m));
    bad.id = 0;
    m = founding_of(bad, 4);
    assert_false(founds_with(&m));
    bad = me();
    bad.id = 2;
    m = founding_of(bad, 4);
    assert_false(founds_with(&m));
    bad = me();
    bad.id = 7; /* ids are 1 … n: the first leader would fail an assertion, at each start */
    m = founding_of(bad, 4);
    assert_false(founds_with(&m));
    bad = me();
    bad.addr[0] = 0;
    m = founding_of(bad, 4);
    assert_false(founds_with(&m));
    bad = me();
    bad.node = 6;
    m = founding_of(bad, 4);
    assert_false(founds_with(&m));
    bad = me();
    bad.voter = false;
    m = founding_of(bad, 4);
    assert_false(founds_with(&m));
    m = founding_of(me(), 4);
    m.found.record.cluster = 0;
    assert_false(founds_with(&m));
}

/* ---- views ---- */

/* The node's next poll is answered with `view`. */
static void answer_poll(struct outside *w, struct ctrl_view view)
{
    w->now_us += 100000;
    step(w, (struct node_input){.kind = NODE_TICK});
    collect(w);
    struct msg m = {.kind = MSG_VIEW, .id = w->n->poll_id, .cluster = CLUSTER, .view = {.changed = true, .view = view}};
    assert_int_not_equal(m.id, 0);
    receive(w, &m);
}

static void a_view_that_makes_no_sense_is_not_obeyed(void **state)
{
    struct outside w = member();
    struct ctrl_shard shards[4] = {{0}};
    struct ctrl_group group = {.gid = 4, .incarnation = 2, .founded = true, .n = 1,
                               .members = {{.id = 9, .node = NODE, .founding = true, .addr = ME}}};
    const struct ctrl_view good = {.cluster = CLUSTER, .version = 2, .nshards = 4, .shards = shards, .n_groups = 1, .groups = &group};
    start(&w);
    struct ctrl_view bad = good;
    bad.n_controllers = 1; /* at "" */
    answer_poll(&w, bad);
    assert_string_equal(w.n->manifest.controllers[0], OTHER);
    bad = good;
    bad.nshards = 0;
    answer_poll(&w, bad);
    bad = good;
    group.members[0].id = 0;
    answer_poll(&w, bad);
    group.members[0].id = 9;
    group.gid = 0;
    answer_poll(&w, bad);
    group.gid = 4;
    group.n = 2;
    group.members[1] = group.members[0];
    answer_poll(&w, bad);
    group.n = 1;
    assert_int_equal(w.n->manifest.n_replicas, 1);
    answer_poll(&w, good);
    assert_int_equal(w.n->manifest.n_replicas, 2);
    assert_false(w.failed);
    stop(&w);
}

/* Pins what a client then hears: the answer of a node that knows no cluster carries none. */
static void a_blank_node_answers_a_change_with_no_leader(void **state)
{
    struct outside w = blank_controller();
    start(&w);
    const struct bytes key = bytes_str("k");
    struct msg put = {.kind = MSG_KV_REQUEST, .id = 1, .cluster = CLUSTER, .kv_request = {.gid = 3, .request = {
        .op = KV_PUT, .client = 1, .seq = 1, .floor = 1, .shard = kv_key_shard(key, 4), .key = key, .mode = 0644}}};
    receive(&w, &put);
    assert_int_equal(w.n_answers[1], 1);
    assert_int_equal(w.answers[1], RGKV_NOT_LEADER);
    assert_int_equal(node_cluster(w.n), 0);
    stop(&w);
}

/* ---- members ---- */

static void P2_who_would_found_hears_of_the_cluster_from_any_node_that_knows_one(void **state)
{
    struct outside w = member();
    start(&w);
    const struct msg ask = {.kind = MSG_FOUND_ASK, .id = 1, .found_ask = {.node = 99, .addr = "127.0.0.1:7009", .list_hash = 1}};
    receive(&w, &ask);
    assert_int_equal(w.founded, CLUSTER); /* though it has no founding record */
    stop(&w);
}

static void P4_a_view_from_before_a_burial_gives_nobody_a_replica(void **state)
{
    struct outside w = member();
    struct ctrl_shard shards[4] = {{0}};
    struct ctrl_group group = {.gid = 4, .incarnation = 2, .founded = true, .n = 1,
                               .members = {{.id = 9, .node = NODE, .founding = true, .addr = ME}}};
    struct ctrl_view view = {.cluster = CLUSTER, .version = 9, .nshards = 4, .shards = shards, .n_groups = 1, .groups = &group};
    w.manifest.view = 10;
    start(&w);
    answer_poll(&w, view);
    assert_int_equal(w.n->manifest.n_replicas, 1);
    view.version = 10;
    answer_poll(&w, view);
    assert_int_equal(w.n->manifest.n_replicas, 2);
    stop(&w);
}

static void buried(struct outside *w)
{
    struct ctrl_shard shards[4] = {{0}};
    struct ctrl_tombstone tombstone = {.node = NODE, .gid = 3, .incarnation = 1, .member = 1};
    answer_poll(w, (struct ctrl_view){.cluster = CLUSTER, .version = 9, .nshards = 4, .shards = shards, .n_tombstones = 1, .tombstones = &tombstone});
    assert_int_equal(w->asked[NODE_DELETE_REPLICA], 1);
}

static unsigned reported(struct outside *w)
{
    struct msg m = {.kind = MSG_VIEW, .id = w->n->poll_id, .cluster = CLUSTER};
    receive(w, &m);
    w->now_us += 100000;
    step(w, (struct node_input){.kind = NODE_TICK});
    collect(w);
    return w->reported;
}

static void P4_a_replica_is_reported_until_no_crash_can_bring_it_back(void **state)
{
    struct outside w = member();
    start(&w);
    buried(&w);
    assert_int_equal(reported(&w), 1);
    w.saves_hang = true;
    step(&w, (struct node_input){.kind = NODE_REPLICA_DELETED, .replica = 1});
    assert_int_equal(reported(&w), 1);
    assert_int_equal(w.lost, 0);
    step(&w, (struct node_input){.kind = NODE_MANIFEST_SAVED});
    assert_int_equal(reported(&w), 0);
    assert_int_equal(w.n->manifest.n_replicas, 0);
    stop(&w);
}

/* A node that holds as many replicas as it may, and is asked to hold one more. */
static void a_place_is_taken_again_only_when_it_is_free_for_good(void **state)
{
    struct outside w = member();
    struct ctrl_shard shards[4] = {{0}};
    struct ctrl_group group = {.gid = 4, .incarnation = 2, .founded = true, .n = 1,
                               .members = {{.id = 9, .node = NODE, .founding = true, .addr = ME}}};
    struct ctrl_tombstone tombstone = {.node = NODE, .gid = 3, .incarnation = 1, .member = 1};
    for (w.manifest.n_replicas = 1; w.manifest.n_replicas < REPLICAS_MAX; w.manifest.n_replicas++)
        w.manifest.replicas[w.manifest.n_replicas] = (struct manifest_replica){.gid = 100 + w.manifest.n_replicas, .incarnation = 1,
                                                                               .member = 100 + w.manifest.n_replicas, .nshards = 4};
    start(&w);
    answer_poll(&w, (struct ctrl_view){.cluster = CLUSTER, .version = 9, .nshards = 4, .shards = shards, .n_groups = 1, .groups = &group,
                                       .n_tombstones = 1, .tombstones = &tombstone});
    assert_int_equal(w.asked[NODE_DELETE_REPLICA], 1);
    assert_int_equal(reported(&w), REPLICAS_MAX);
    w.saves_hang = true;
    step(&w, (struct node_input){.kind = NODE_REPLICA_DELETED, .replica = 1});
    collect(&w);
    assert_int_equal(reported(&w), REPLICAS_MAX); /* it is still among them, so nobody may be told of one more */
    w.saves_hang = false;
    step(&w, (struct node_input){.kind = NODE_MANIFEST_SAVED});
    collect(&w);
    assert_int_equal(reported(&w), REPLICAS_MAX);
    assert_int_equal(w.n->manifest.n_replicas, REPLICAS_MAX);
    stop(&w);
}

static void P4_one_whose_log_was_lost_is_reported_until_it_is_deleted(void **state)
{
    struct outside w = member();
    w.manifest.replicas[0].blank = false;
    start(&w);
    assert_int_equal(reported(&w), 1);
    assert_int_equal(w.lost, 1);
    buried(&w);
    step(&w, (struct node_input){.kind = NODE_REPLICA_DELETED, .replica = 1});
    assert_int_equal(reported(&w), 0);
    stop(&w);
}

static unsigned replicas_with_controller(struct ctrl_member m)
{
    struct outside w = member();
    struct ctrl_shard shards[4] = {{0}};
    struct ctrl_view view = {.cluster = CLUSTER, .version = 9, .nshards = 4, .shards = shards, .n_controllers = 2,
                             .controllers = {{.id = 1, .node = 6, .founding = true, .addr = OTHER}, m}};
    start(&w);
    answer_poll(&w, view);
    unsigned n = w.n->manifest.n_replicas;
    if (n == 2)
        assert_int_equal(w.n->manifest.replicas[1].founding.n, 0); /* it learns who else there is */
    stop(&w);
    return n;
}

static void P20_a_controller_that_was_added_begins_blank_and_a_founder_never_by_a_view(void **state)
{
    struct ctrl_member m = {.id = 1004, .node = NODE, .state = CTRL_MEMBER_JOINING, .addr = ME};
    assert_int_equal(replicas_with_controller(m), 2);
    m.state = CTRL_MEMBER_LEAVING;
    assert_int_equal(replicas_with_controller(m), 1);
    m.state = CTRL_MEMBER_IN;
    m.founding = true;
    assert_int_equal(replicas_with_controller(m), 1);
    m.founding = false;
    m.node = NODE + 1;
    assert_int_equal(replicas_with_controller(m), 1);
}

/* ---- snapshots ---- */

static struct msg chunk(uint64_t id, uint64_t number)
{
    return (struct msg){.kind = MSG_SNAPSHOT_CHUNK, .cluster = CLUSTER, .snapshot_chunk = {
        .envelope = {.gid = 3, .incarnation = 1, .from = 2, .to = 1},
        .header = {.kind = RAFT_SNAPSHOT, .from = 2, .to = 1, .term = 7, .log_index = 50, .log_term = 6, .commit = 50},
        .snapshot_id = id, .boot = 1, .number = number, .rows = bytes_of("\1\0\1\0\0\0kv", 8)}};
}

static unsigned rows_in(struct table *t)
{
    unsigned n = 0;
    struct table_iter *i = table_iter(t, NULL, BYTES_EMPTY, BYTES_EMPTY);
    while (t->ops->iter_next(i))
        n++;
    t->ops->iter_free(i);
    return n;
}

static void a_second_snapshot_never_writes_into_the_table_of_the_first(void **state)
{
    struct outside w = member();
    struct table *first = table_mem_new(), *second = table_mem_new();
    start(&w);
    struct msg m = chunk(100, 0);
    receive(&w, &m);
    m = chunk(200, 0); /* another transfer, before the table for the first one was there */
    receive(&w, &m);
    assert_int_equal(w.asked[NODE_SNAPSHOT_OPEN], 2);
    step(&w, (struct node_input){.kind = NODE_SNAPSHOT_OPENED, .replica = 1, .table = first});
    receive(&w, &m); /* the second opening discards `first` about now */
    step(&w, (struct node_input){.kind = NODE_SNAPSHOT_OPENED, .replica = 1, .table = second});
    receive(&w, &m);
    assert_int_equal(rows_in(first), 0);
    assert_int_equal(rows_in(second), 1);
    table_free(first);
    table_free(second);
    stop(&w);
}

/* A snapshot of two chunks: some row, and the row `applied`. */
struct parts {
    struct buf rows[2];
    uint64_t rows_total, hash;
};

static struct parts parts_of(uint64_t applied_index)
{
    struct parts p = {.rows_total = 2};
    struct raft_config config = {.n = 1, .members = {{.id = 2, .node = 6, .voter = true, .addr = OTHER}}};
    struct buf applied = {0};
    applied_row_encode(&applied, applied_index, 6, &config);
    snapshot_row_put(&p.rows[0], bytes_str("k"), bytes_str("v"));
    snapshot_row_put(&p.rows[1], bytes_str(TABLE_APPLIED_KEY), buf_bytes(&applied));
    for (unsigned i = 0; i < 2; i++)
        p.hash = hash64_seeded(buf_bytes(&p.rows[i]), p.hash);
    buf_release(&applied);
    return p;
}

static void snapshot_arrives(struct outside *w, struct table *t, struct parts *p)
{
    struct msg m = chunk(100, 0);
    receive(w, &m);
    step(w, (struct node_input){.kind = NODE_SNAPSHOT_OPENED, .replica = 1, .table = t});
    for (uint32_t i = 0; i < 2; i++) {
        m = chunk(100, i);
        m.snapshot_chunk.rows = buf_bytes(&p->rows[i]);
        m.snapshot_chunk.done = i == 1;
        m.snapshot_chunk.rows_total = i == 1 ? p->rows_total : 0;
        m.snapshot_chunk.hash = i == 1 ? p->hash : 0;
        receive(w, &m);
        buf_release(&p->rows[i]);
    }
}

/* What becomes of it: is it installed, and if not, is it thrown away without harm to the node? */
static bool is_installed(struct parts p)
{
    struct outside w = member();
    struct table *t = table_mem_new();
    start(&w);
    snapshot_arrives(&w, t, &p);
    bool installed = w.asked[NODE_SNAPSHOT_INSTALL] == 1;
    assert_int_equal(w.asked[NODE_SNAPSHOT_DISCARD], !installed);
    assert_false(w.failed);
    table_free(t);
    stop(&w);
    return installed;
}

static void cut(struct buf *b) { b->len--; }

static void B28_a_snapshot_that_is_not_what_was_sent_is_refused(void **state)
{
    struct parts whole = parts_of(50), short_one = parts_of(50), flipped = parts_of(50), fewer = parts_of(50), other = parts_of(49);
    assert_true(is_installed(whole));
    cut(&short_one.rows[0]);
    assert_false(is_installed(short_one));
    flipped.rows[0].data[flipped.rows[0].len - 1] ^= 1;
    assert_false(is_installed(flipped));
    fewer.rows_total = 3;
    assert_false(is_installed(fewer));
    assert_false(is_installed(other)); /* all of it arrived, and it is not of the index that it says */
}

/* All of it arrived, and it is a table that this release cannot open: of a newer one, say. One group's trouble is not the end of all
 * that this node has, now and at each start. */
static void B28_a_snapshot_that_is_no_table_of_ours_is_refused(void **state)
{
    struct outside w = member();
    struct parts p = parts_of(50);
    struct rowkey key = row_machine();
    struct table *t = table_mem_new();
    struct buf row = {0};
    buf_put_le32(&row, 5); /* shards; the cluster has 4 */
    buf_put_le64(&row, 1);
    buf_clear(&p.rows[0]);
    snapshot_row_put(&p.rows[0], rowkey_bytes(&key), buf_bytes(&row));
    p.hash = hash64_seeded(buf_bytes(&p.rows[1]), hash64_seeded(buf_bytes(&p.rows[0]), 0));
    start(&w);
    snapshot_arrives(&w, t, &p);
    if (w.asked[NODE_SNAPSHOT_INSTALL]) {
        step(&w, (struct node_input){.kind = NODE_SNAPSHOT_INSTALLED, .replica = 1, .table = t});
        collect(&w);
    }
    assert_false(w.failed);
    assert_int_equal(w.asked[NODE_SNAPSHOT_INSTALL], 0);
    assert_int_equal(w.asked[NODE_SNAPSHOT_DISCARD], 1);
    buf_release(&row);
    table_free(t);
    stop(&w);
}

static void one_entry_is_committed(struct outside *w)
{
    struct raft_entry e = {.index = 1, .term = 7, .kind = RAFT_NOOP};
    struct msg m = {.kind = MSG_RAFT, .cluster = CLUSTER, .raft = {
        .envelope = {.gid = 3, .incarnation = 1, .from = 2, .to = 1},
        .message = {.kind = RAFT_APPEND, .from = 2, .to = 1, .term = 7, .commit = 1, .n_entries = 1, .entries = &e}}};
    receive(w, &m);
}

static void wait_a_while(struct outside *w)
{
    w->now_us += TABLE_AGAIN_US;
    step(w, (struct node_input){.kind = NODE_TICK});
    collect(w);
}

static uint64_t applied_in(const struct outside *w) { return w->n->replicas[0]->applied; }

/* What is committed is applied when the table can take it; the node is asked again soon, and is not held up meanwhile. */
static void a_table_that_is_behind_is_waited_for_without_standing_still(void **state)
{
    struct outside w = member();
    start(&w);
    table_mem_hold(w.tables[0], true);
    one_entry_is_committed(&w);
    assert_int_equal(applied_in(&w), 0);
    assert_true(node_deadline_us(w.n) <= w.now_us + TABLE_AGAIN_US);
    wait_a_while(&w);
    assert_int_equal(applied_in(&w), 0);
    table_mem_hold(w.tables[0], false);
    wait_a_while(&w);
    assert_int_equal(applied_in(&w), 1);
    stop(&w);
}

static void B27_a_snapshot_takes_the_tables_place_only_when_nothing_is_left_to_apply(void **state)
{
    struct outside w = member();
    struct table *t = table_mem_new();
    struct parts p = parts_of(50);
    start(&w);
    table_mem_hold(w.tables[0], true);
    one_entry_is_committed(&w);
    snapshot_arrives(&w, t, &p);
    assert_int_equal(w.asked[NODE_SNAPSHOT_INSTALL], 0);
    table_mem_hold(w.tables[0], false);
    wait_a_while(&w);
    assert_int_equal(applied_in(&w), 1);
    assert_int_equal(w.asked[NODE_SNAPSHOT_INSTALL], 1);
    table_free(t);
    stop(&w);
}

/* One chunk is under way at a time: who does not ask for the next one holds the sender up, and nobody else. */
static void the_next_chunk_is_asked_for_when_the_table_can_take_it(void **state)
{
    struct outside w = member();
    struct table *t = table_mem_new();
    start(&w);
    struct msg m = chunk(100, 0);
    receive(&w, &m);
    step(&w, (struct node_input){.kind = NODE_SNAPSHOT_OPENED, .replica = 1, .table = t});
    collect(&w);
    table_mem_hold(t, true);
    unsigned acks = w.snapshot_acks;
    receive(&w, &m);
    assert_int_equal(rows_in(t), 1);
    receive(&w, &m); /* the sender has lost its patience */
    wait_a_while(&w);
    assert_int_equal(w.snapshot_acks, acks);
    table_mem_hold(t, false);
    wait_a_while(&w);
    assert_int_equal(w.snapshot_acks, acks + 1);
    table_free(t);
    stop(&w);
}

/* Its sender died; another leader had the entries. */
static void half_a_snapshot_that_nobody_sends_any_more_goes_away(void **state)
{
    struct outside w = member();
    struct table *t = table_mem_new();
    start(&w);
    struct msg m = chunk(100, 0);
    receive(&w, &m);
    step(&w, (struct node_input){.kind = NODE_SNAPSHOT_OPENED, .replica = 1, .table = t});
    collect(&w);
    receive(&w, &m);
    for (unsigned i = 0; i < 3600; i++) {
        w.now_us += 1000000;
        step(&w, (struct node_input){.kind = NODE_TICK});
        collect(&w);
    }
    assert_int_equal(w.asked[NODE_SNAPSHOT_DISCARD], 1);
    table_free(t);
    stop(&w);
}

/* ---- moves ---- */

static struct kv_shard_status status_of(struct outside *w, uint32_t shard)
{
    struct node_replica_info info;
    struct kv_shard_status st;
    assert_true(node_replica_info(w->n, 0, &info) && info.kv);
    kv_shard_status(info.kv, shard, &st);
    return st;
}

static void pull_at(struct outside *w, uint64_t epoch, uint64_t round)
{
    struct msg m = {.kind = MSG_PULL, .id = 1, .cluster = CLUSTER,
                    .pull = {.gid = 3, .incarnation = 1, .shard = 0, .epoch = epoch, .round = round}};
    receive(w, &m);
}

static void a_shard_is_copied_and_frozen_only_for_a_move_that_the_controller_ordered(void **state)
{
    struct outside w = member();
    struct ctrl_shard shards[4] = {{.target = 3, .epoch = 1}};
    struct ctrl_group group = {.gid = 3, .incarnation = 1, .founded = true, .n = 1, .members = {{.id = 1, .node = NODE, .founding = true, .addr = ME}}};
    struct ctrl_view v = {.cluster = CLUSTER, .version = 2, .nshards = 4, .shards = shards, .n_groups = 1, .groups = &group};
    w.manifest.replicas[0].founding.n = 1; /* alone, hence the leader */
    start(&w);
    answer_poll(&w, v);
    shards[0] = (struct ctrl_shard){.holder = 3, .epoch = 1};
    v.version = 3;
    answer_poll(&w, v);
    assert_int_equal(status_of(&w, 0).state, KV_SERVING);
    pull_at(&w, 99, 0);
    pull_at(&w, UINT64_MAX, 0);
    assert_true(status_of(&w, 0).state == KV_SERVING && status_of(&w, 0).copy_epoch == 0);
    shards[0] = (struct ctrl_shard){.holder = 3, .epoch = 2, .target = 4};
    v.version = 4;
    answer_poll(&w, v);
    pull_at(&w, 3, 0);
    assert_int_equal(status_of(&w, 0).copy_epoch, 0);
    pull_at(&w, 2, 0);
    assert_true(status_of(&w, 0).state == KV_SERVING && status_of(&w, 0).copy_epoch == 2);
    pull_at(&w, 2, 0); /* the rows, and the sum */
    pull_at(&w, 3, 1);
    assert_int_equal(status_of(&w, 0).state, KV_SERVING);
    pull_at(&w, 2, 1);
    assert_int_equal(status_of(&w, 0).state, KV_FROZEN);
    stop(&w);
}

static void disk_has(struct outside *w, uint64_t free)
{
    step(w, (struct node_input){.kind = NODE_DISK_SPACE, .disk_free = free, .disk_total = 64ull << 30});
    collect(w);
}

static uint64_t last_index(struct outside *w)
{
    struct raft_status st;
    raft_status(w->n->replicas[0]->raft, &st);
    return st.last_index;
}

/* The import of shard 0, which is blank, asks; the source has nothing more. */
static void answer_pull(struct outside *w, uint64_t round, bool last)
{
    struct msg m = {.kind = MSG_PULL_REPLY, .cluster = CLUSTER, .pull_reply = {.epoch = 2, .round = round, .pulled = {.done = true, .last = last}}};
    w->now_us += 2000000; /* also after an answer of which nothing came */
    step(w, (struct node_input){.kind = NODE_TICK});
    collect(w);
    assert_int_equal(w->n->replicas[0]->n_pulls, 1);
    m.id = w->n->replicas[0]->pulls[0].request_id;
    receive(w, &m);
}

static void the_end_of_an_import_is_logged_only_behind_its_last_rows(void **state)
{
    struct outside w = member();
    struct ctrl_shard shards[4] = {{.holder = 4, .epoch = 2, .target = 3}};
    struct ctrl_group groups[2] = {{.gid = 3, .incarnation = 1, .founded = true, .n = 1, .members = {{.id = 1, .node = NODE, .founding = true, .addr = ME}}},
                                   {.gid = 4, .incarnation = 2, .founded = true, .n = 1, .members = {{.id = 9, .node = 6, .founding = true, .addr = OTHER}}}};
    struct ctrl_view v = {.cluster = CLUSTER, .version = 2, .nshards = 4, .shards = shards, .n_groups = 2, .groups = groups};
    w.manifest.replicas[0].founding.n = 1; /* alone, hence the leader */
    start(&w);
    answer_poll(&w, v);
    answer_pull(&w, 0, false);
    assert_true(status_of(&w, 0).state == KV_IMPORTING && status_of(&w, 0).import_round == 1);
    disk_has(&w, 1);
    uint64_t before = last_index(&w);
    answer_pull(&w, 1, true);
    assert_int_equal(last_index(&w), before);
    disk_has(&w, 32ull << 30);
    answer_pull(&w, 1, true);
    assert_int_equal(last_index(&w), before + 2);
    assert_int_equal(status_of(&w, 0).state, KV_PREPARED);
    stop(&w);
}

/* ---- reads ---- */

/* It leads group 3 alone and serves all four shards; the key "k" has a value of a megabyte. */
static struct outside with_large_value(void)
{
    struct outside w = member();
    static uint8_t data[DATA_BYTES_MAX];
    struct ctrl_shard shards[4] = {{.target = 3, .epoch = 1}, {.target = 3, .epoch = 1}, {.target = 3, .epoch = 1}, {.target = 3, .epoch = 1}};
    struct ctrl_group group = {.gid = 3, .incarnation = 1, .founded = true, .n = 1, .members = {{.id = 1, .node = NODE, .founding = true, .addr = ME}}};
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

/* Before the node is collected once. */
static void read_large(struct outside *w, uint64_t conn, unsigned times)
{
    const struct bytes key = bytes_str("k");
    struct msg get = {.kind = MSG_KV_REQUEST, .id = 99, .cluster = CLUSTER, .kv_request = {.gid = 3, .request = {
        .op = KV_GET, .shard = kv_key_shard(key, 4), .key = key, .length = DATA_BYTES_MAX}}};
    for (unsigned i = 0; i < times; i++)
        step(w, (struct node_input){.kind = NODE_RECEIVED, .conn = conn, .message = &get});
}

static void a_pipeline_of_large_reads_is_answered_piece_by_piece(void **state)
{
    struct outside w = with_large_value();
    read_large(&w, 9, 100);
    collect(&w);
    assert_true(w.replies_bytes >= 100ull * DATA_BYTES_MAX);
    assert_true(w.reply_bytes_most < 8u << 20);
    stop(&w);
}

static void a_full_connection_gets_no_large_answers_and_the_others_do(void **state)
{
    struct outside w = with_large_value();
    step(&w, (struct node_input){.kind = NODE_CONN_FULL, .conn = 9, .full = true});
    read_large(&w, 9, 10);
    collect(&w);
    assert_int_equal(w.replies_bytes, 0);
    read_large(&w, 8, 1);
    collect(&w);
    assert_in_range(w.replies_bytes, DATA_BYTES_MAX, DATA_BYTES_MAX + 1000);
    step(&w, (struct node_input){.kind = NODE_CONN_FULL, .conn = 9, .full = false});
    collect(&w);
    assert_true(w.replies_bytes >= 11ull * DATA_BYTES_MAX);
    stop(&w);
}

static void what_a_closed_connection_asked_for_is_not_read(void **state)
{
    struct outside w = with_large_value();
    read_large(&w, 9, 10);
    step(&w, (struct node_input){.kind = NODE_CONN_CLOSED, .conn = 9});
    collect(&w);
    assert_int_equal(w.replies_bytes, 0);
    assert_int_equal(w.n->replicas[0]->n_reads, 0);
    stop(&w);
}

static void one_connection_does_not_take_the_places_of_all_reads(void **state)
{
    struct outside w = with_large_value();
    step(&w, (struct node_input){.kind = NODE_CONN_FULL, .conn = 9, .full = true});
    read_large(&w, 9, 70000);
    collect(&w);
    w.replies_bytes = 0;
    read_large(&w, 8, 1);
    collect(&w);
    assert_true(w.replies_bytes >= DATA_BYTES_MAX);
    stop(&w);
}

/* ---- time ---- */

static void put_again(struct outside *w, uint64_t seq)
{
    static uint8_t data[5000];
    const struct bytes key = bytes_str("k");
    struct msg put = {.kind = MSG_KV_REQUEST, .id = 2, .cluster = CLUSTER, .kv_request = {.gid = 3, .request = {
        .op = KV_PUT, .client = 1, .seq = seq, .floor = seq, .born_us = w->now_us, .shard = kv_key_shard(key, 4), .key = key, .mode = 0644,
        .data = bytes_of(data, sizeof(data))}}};
    receive(w, &put);
}

/* Ten minutes in which there is always one entry under way: what was replaced goes after one. */
static void P26_what_is_due_is_collected_though_somebody_writes_all_the_time(void **state)
{
    struct outside w = with_large_value();
    unsigned committed = w.asked[NODE_COMMIT];
    w.hangs = true;
    put_again(&w, 2);
    for (uint64_t seq = 3; seq < 6003; seq++) {
        w.now_us += 100000;
        put_again(&w, seq);
        step(&w, (struct node_input){.kind = NODE_TICK});
        assert_true(w.asked[NODE_COMMIT] > committed);
        committed++;
        step(&w, (struct node_input){.kind = NODE_COMMITTED, .replica = 1});
        collect(&w);
    }
    assert_int_equal(w.answers[2], RGKV_OK);
    assert_int_equal(w.n_answers[2], 6000);
    assert_int_equal(kv_save(w.n->replicas[0]->kv), RGKV_OK);
    assert_in_range(rows_in(w.tables[0]), 2000, 5000); /* four for each of the last minute's 600; in all there were 24000 */
    stop(&w);
}

/* ---- waiters ---- */

static void other_says(struct outside *w, struct raft_message m)
{
    m.from = 2;
    m.to = 1;
    struct msg wire = {.kind = MSG_RAFT, .cluster = CLUSTER, .raft = {.envelope = {.gid = 3, .incarnation = 1, .from = 2, .to = 1}, .message = m}};
    receive(w, &wire);
}

/* The other member, which leads in `term`, hands its lead over. */
static void lead_after(struct outside *w, uint64_t term)
{
    other_says(w, (struct raft_message){.kind = RAFT_TIMEOUT_NOW, .term = term, .transfer = true});
    other_says(w, (struct raft_message){.kind = RAFT_VOTE_REPLY, .term = term + 1});
    assert_true(replica_is_leader(w->n->replicas[0]));
}

static void propose(struct outside *w, uint64_t request)
{
    struct blob *payload = kv_command_encode(&(struct kv_command){.kind = KV_CLOCK, .time_us = 1});
    assert_int_equal(replica_propose(w->n, w->n->replicas[0], payload, 9, request), RGKV_OK);
    collect(w);
}

static void who_waits_is_answered_also_behind_waiters_of_an_earlier_lead(void **state)
{
    struct outside w = member();
    struct raft_entry other = {.index = 2, .term = 3, .kind = RAFT_NOOP};
    start(&w);
    other_says(&w, (struct raft_message){.kind = RAFT_APPEND, .term = 1});
    lead_after(&w, 1); /* index 1 is its own */
    for (uint64_t request = 1; request <= 4; request++)
        propose(&w, request); /* at 2 … 5 */
    other_says(&w, (struct raft_message){.kind = RAFT_APPEND, .term = 3, .log_index = 1, .log_term = 2, .n_entries = 1, .entries = &other});
    lead_after(&w, 3); /* index 3 */
    propose(&w, 5);    /* 4 */
    propose(&w, 6);    /* 5 */
    other_says(&w, (struct raft_message){.kind = RAFT_APPEND_REPLY, .term = 4, .log_index = 5, .log_term = 4});
    for (uint64_t request = 1; request <= 6; request++) {
        assert_int_equal(w.n_answers[request], 1);
        assert_int_equal(w.answers[request], request <= 4 ? RGKV_NOT_LEADER : RGKV_OK);
    }
    stop(&w);
}

/* ---- a disk that is slower than the others' ---- */

static void append_of(struct outside *w, uint64_t index)
{
    struct blob *payload = kv_command_encode(&(struct kv_command){.kind = KV_CLOCK, .time_us = index});
    const struct raft_entry e = {.index = index, .term = 1, .kind = RAFT_COMMAND, .payload = payload};
    other_says(w, (struct raft_message){.kind = RAFT_APPEND, .term = 1, .log_index = index - 1, .log_term = index > 1, .commit = index - 1,
                                        .n_entries = 1, .entries = &e});
    blob_unref(payload);
}

/* The two others commit five entries while a batch is written here. */
static void a_log_is_compacted_though_what_is_applied_is_never_all_on_the_disk(void **state)
{
    struct outside w = member();
    w.manifest.replicas[0].founding.n = 3;
    w.manifest.replicas[0].founding.members[2] = (struct raft_member){.id = 3, .node = 7, .voter = true, .addr = "127.0.0.1:7002"};
    start(&w); /* with a bound of 0 for the logs: any entry is a reason for a flush */
    w.hangs = true;
    unsigned committed = w.asked[NODE_COMMIT];
    uint64_t index = 0;
    for (unsigned batch = 0; batch < 1000; batch++) {
        for (unsigned i = 0; i < 5; i++)
            append_of(&w, ++index);
        assert_true(w.asked[NODE_COMMIT] > committed);
        committed++;
        step(&w, (struct node_input){.kind = NODE_COMMITTED, .replica = 1});
        collect(&w);
    }
    assert_int_equal(w.n->replicas[0]->applied, index - 1);
    assert_int_not_equal(w.asked[NODE_FLUSH], 0);
    stop(&w);
}

static void member_says(struct outside *w, uint64_t from, struct raft_message m)
{
    m.from = from;
    m.to = 1;
    struct msg wire = {.kind = MSG_RAFT, .cluster = CLUSTER, .raft = {.envelope = {.gid = 3, .incarnation = 1, .from = from, .to = 1}, .message = m}};
    receive(w, &wire);
}

static void refuse_snapshot(struct outside *w, uint64_t from)
{
    struct msg no = {.kind = MSG_SNAPSHOT_ACK, .cluster = CLUSTER, .snapshot_ack = {
        .envelope = {.gid = 3, .incarnation = 1, .from = from, .to = 1}, .term = 2, .snapshot_id = w->snapshot, .refused = true}};
    receive(w, &no);
}

/* Its disk is full, say: it has no place for a snapshot today. Each try costs the leader a snapshot of its table and a line of
 * its log, and the other one a table that is made and thrown away. */
static void who_has_no_place_for_a_snapshot_is_not_asked_all_the_time(void **state)
{
    struct outside w = member();
    w.manifest.replicas[0].founding.n = 3;
    w.manifest.replicas[0].founding.members[2] = (struct raft_member){.id = 3, .node = 7, .voter = true, .addr = "127.0.0.1:7002"};
    start(&w); /* with a bound of 0 for the logs: any entry is a reason for a flush */
    other_says(&w, (struct raft_message){.kind = RAFT_APPEND, .term = 1});
    lead_after(&w, 1);
    for (uint64_t i = 1; i <= 5; i++) {
        propose(&w, 0);
        other_says(&w, (struct raft_message){.kind = RAFT_APPEND_REPLY, .term = 2, .log_index = 1 + i, .log_term = 2});
    }
    step(&w, (struct node_input){.kind = NODE_FLUSHED, .replica = 1});
    collect(&w);
    for (unsigned i = 0; i < 1000; i++) { /* 10 s */
        w.now_us += 10000;
        step(&w, (struct node_input){.kind = NODE_TICK});
        collect(&w);
        if (i % 5 == 0)
            other_says(&w, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .term = 2});
        if (i % 5 == 0)
            member_says(&w, 3, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .term = 2});
        if (w.snapshot)
            refuse_snapshot(&w, 3);
    }
    assert_true(replica_is_leader(w.n->replicas[0]));
    print_message("%u snapshots in 10 s\n", w.snapshots);
    assert_in_range(w.snapshots, 2, 20);
    stop(&w);
}

/* ---- a group that is given up ---- */

static struct outside lone_controller(void)
{
    return (struct outside){.now_us = 1000000, .manifest = {.node = NODE, .cluster = CLUSTER, .addr = ME, .n_controllers = 1,
                            .controllers = {ME}, .founding = {.cluster = CLUSTER, .nshards = 4, .n = 1, .members = {me()}}, .n_replicas = 1, .replicas = {{.member = 1, .nshards = 4,
                            .blank = true, .founding = {.n = 1, .members = {me()}}}}}};
}

static void ticks_for(struct outside *w, uint64_t us)
{
    for (uint64_t passed = 0; passed < us; passed += 50000) {
        w->now_us += 50000;
        step(w, (struct node_input){.kind = NODE_TICK});
        collect(w);
    }
}

static enum rgkv_err admin(struct outside *w, uint64_t id, struct ctrl_command c)
{
    struct msg m = {.kind = MSG_ADMIN_REQUEST, .id = id, .cluster = CLUSTER, .admin_request = {.command = c}};
    m.admin_request.command.client = 1;
    m.admin_request.command.seq = id;
    w->answers[id] = RGKV_ERR_COUNT;
    receive(w, &m);
    return w->answers[id];
}

/* Node 6 at OTHER leads group 101 and has all its shards in this state. */
static void group_says(struct outside *w, enum kv_shard_state state)
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

static void P19_no_group_that_answers_is_given_up_by_a_controller_that_leads_since_a_moment_ago(void **state)
{
    struct outside w = lone_controller();
    struct ctrl_join_group g = {.gid = 101, .n = 1, .addrs = {OTHER}};
    start(&w);
    ticks_for(&w, 1000000);
    assert_int_equal(admin(&w, 1, (struct ctrl_command){.op = CTRL_JOIN, .n_groups = 1, .groups = &g}), RGKV_OK);
    group_says(&w, KV_NONE); /* the slot is bound */
    group_says(&w, KV_NONE); /* and led: its shards are prepared */
    group_says(&w, KV_PREPARED);
    group_says(&w, KV_SERVING);
    const struct ctrl_view *v = ctrl_view(w.n->replicas[0]->ctrl);
    assert_true(v->shards[0].holder == 101 && v->shards[0].active);
    assert_int_equal(admin(&w, 2, (struct ctrl_command){.op = CTRL_ABANDON, .gid = 101}), RGKV_BUSY);

    /* The controller starts anew (or another one begins to lead), and the group's nodes have not reported to it yet. */
    struct raft_status s;
    raft_status(w.n->replicas[0]->raft, &s);
    struct wal_recovered kept = {.hard_state = {s.term, s.vote, s.commit}, .compacted_index = s.applied, .compacted_term = s.last_term};
    assert_int_equal(s.applied, s.last_index);
    w.manifest = w.n->manifest;
    w.kept = &kept;
    node_free(w.n);
    start(&w);
    ticks_for(&w, 100000);
    assert_true(replica_is_leader(w.n->replicas[0]));
    assert_int_equal(admin(&w, 3, (struct ctrl_command){.op = CTRL_ABANDON, .gid = 101}), RGKV_BUSY);
    v = ctrl_view(w.n->replicas[0]->ctrl);
    assert_int_equal(v->shards[0].holder, 101); /* what it holds is not lost */
    ticks_for(&w, 4000000); /* now it is known to be silent */
    assert_int_equal(admin(&w, 4, (struct ctrl_command){.op = CTRL_ABANDON, .gid = 101}), RGKV_OK);
    stop(&w);
}

/* Whoever can connect may send a report in the name of a node. */
static void a_leader_that_names_no_address_is_not_told_to_hand_over(void **state)
{
    struct outside w = lone_controller();
    struct ctrl_join_group g = {.gid = 101, .n = 2, .addrs = {OTHER, "127.0.0.1:7002"}};
    start(&w);
    ticks_for(&w, 1000000);
    assert_int_equal(admin(&w, 1, (struct ctrl_command){.op = CTRL_JOIN, .n_groups = 1, .groups = &g}), RGKV_OK);
    group_says(&w, KV_NONE); /* the slot is bound */
    const struct ctrl_view *v = ctrl_view(w.n->replicas[0]->ctrl);
    const struct ctrl_group *known = ctrl_view_group(v, 101);
    assert_int_equal(known->members[0].node, 6);
    struct ctrl_report_replica r = {.gid = 101, .incarnation = known->incarnation, .member = known->members[0].id, .leader = true, .term = 1};
    struct msg m = {.kind = MSG_POLL, .id = 7, .cluster = CLUSTER, .poll = {.version = v->version, .hold_us = 1000000, .has_report = true,
                    .report = {.node = 6, .n_replicas = 1, .replicas = &r}}};
    receive(&w, &m);
    admin(&w, 2, (struct ctrl_command){.op = CTRL_TRANSFER, .gid = 101, .member = known->members[1].id});
    ticks_for(&w, 3000000);
    assert_int_equal(w.answers[2], RGKV_BUSY);
    stop(&w);
}

/* Its log cannot be written (a full or hung disk) and nobody leads: votes that wait for the disk are of the newest term only. */
static void what_waits_for_a_hung_disk_does_not_grow_for_ever(void **state)
{
    struct outside w = member();
    w.manifest.replicas[0].founding.n = 3;
    w.manifest.replicas[0].founding.members[2] = (struct raft_member){.id = 3, .node = 7, .voter = true, .addr = "127.0.0.1:7002"};
    start(&w);
    w.hangs = true;
    append_of(&w, 1);
    struct replica *r = w.n->replicas[0];
    for (unsigned i = 0; i < 3600u * 20; i++) { /* an hour */
        struct raft_status s;
        w.now_us += 50000;
        step(&w, (struct node_input){.kind = NODE_TICK});
        collect(&w);
        raft_status(r->raft, &s);
        if (s.role == RAFT_PRE_CANDIDATE) /* the other one would vote for it */
            other_says(&w, (struct raft_message){.kind = RAFT_PRE_VOTE_REPLY, .term = s.term + 1});
    }
    print_message("%zu bytes in %u messages wait\n", r->batches[r->filling].frames.len, r->batches[r->filling].n_held);
    assert_true(r->batches[r->filling].frames.len < 1u << 20);
    stop(&w);
}

/* ---- polls ---- */

static void one_connection_does_not_hold_the_polls_of_all(void **state)
{
    struct outside w = {.now_us = 1000000, .manifest = {.node = NODE, .cluster = CLUSTER, .addr = ME, .n_controllers = 1,
                        .controllers = {ME}, .founding = {.cluster = CLUSTER, .nshards = 4, .n = 1, .members = {me()}}, .n_replicas = 1, .replicas = {{.member = 1, .nshards = 4,
                        .blank = true, .founding = {.n = 1, .members = {me()}}}}}};
    struct msg poll = {.kind = MSG_POLL, .cluster = CLUSTER, .poll = {.hold_us = 5000000}};
    start(&w);
    for (unsigned i = 0; i < 10; i++) {
        w.now_us += 100000;
        step(&w, (struct node_input){.kind = NODE_TICK});
        collect(&w);
    }
    assert_true(ctrl_initialised(w.n->replicas[0]->ctrl));
    poll.poll.version = ctrl_view(w.n->replicas[0]->ctrl)->version;
    for (poll.id = 1; poll.id <= 10000; poll.id++)
        receive(&w, &poll);
    assert_int_equal(w.n->n_polls, 1);
    w.replies_bytes = 0;
    step(&w, (struct node_input){.kind = NODE_RECEIVED, .conn = 8, .message = &poll});
    collect(&w);
    assert_int_equal(w.replies_bytes, 0); /* held: who is answered at once asks again at once */
    assert_int_equal(w.n->n_polls, 2);
    stop(&w);
}

/* ---- disks ---- */

static void long_jobs_leave_threads_to_the_logs(void **state)
{
    struct outside w = member();
    w.manifest.n_replicas = 6;
    for (unsigned i = 0; i < 6; i++) {
        w.manifest.replicas[i] = w.manifest.replicas[0];
        w.manifest.replicas[i].gid = 3 + i;
        w.manifest.replicas[i].founding.n = 1;
    }
    start(&w); /* with a bound of 0 for the logs: any entry is a reason for a flush */
    for (unsigned i = 0; i < 6; i++) {
        struct blob *payload = kv_command_encode(&(struct kv_command){.kind = KV_CLOCK, .time_us = 1});
        assert_int_equal(replica_propose(w.n, w.n->replicas[i], payload, 0, 0), RGKV_OK);
    }
    collect(&w);
    assert_int_equal(w.asked[NODE_FLUSH], 4);
    step(&w, (struct node_input){.kind = NODE_FLUSHED, .replica = 1});
    step(&w, (struct node_input){.kind = NODE_TICK});
    for (unsigned i = 0; i < 6; i++)
        w.n->replicas[i]->dirty = true;
    collect(&w);
    assert_int_equal(w.asked[NODE_FLUSH], 5);
    stop(&w);
}

static bool hands_over(struct outside *w)
{
    struct raft_status s;
    raft_status(w->n->replicas[0]->raft, &s);
    return s.transferring;
}

static void hear_for(struct outside *w, uint64_t us)
{
    for (uint64_t end_us = w->now_us + us; w->now_us < end_us && !hands_over(w);) {
        w->now_us += 50000;
        other_says(w, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .term = 2});
        step(w, (struct node_input){.kind = NODE_TICK});
        collect(w);
    }
}

static void B39_a_leader_whose_disk_hangs_hands_over_and_not_all_the_time(void **state)
{
    struct outside w = member();
    start(&w);
    other_says(&w, (struct raft_message){.kind = RAFT_APPEND, .term = 1});
    lead_after(&w, 1);
    hear_for(&w, 4000000);
    assert_false(hands_over(&w)); /* nothing is wrong */
    w.hangs = true;
    propose(&w, 1);
    hear_for(&w, 1500000);
    assert_false(hands_over(&w));
    hear_for(&w, 1000000);
    assert_true(hands_over(&w));
    w.now_us += 300000; /* the other one does not take it */
    other_says(&w, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .term = 2});
    step(&w, (struct node_input){.kind = NODE_TICK});
    assert_false(hands_over(&w));
    hear_for(&w, 3000000);
    assert_false(hands_over(&w));
    hear_for(&w, 3000000);
    assert_true(hands_over(&w));
    stop(&w);
}

static void P20_a_learner_that_never_answers_keeps_no_other_one_out(void **state)
{
    struct outside w = member();
    struct ctrl_shard shards[4] = {{0}};
    struct ctrl_group group = {.gid = 3, .incarnation = 1, .founded = true, .n = 3, .members = {
        {.id = 1, .node = NODE, .founding = true, .addr = ME}, {.id = 2, .node = 6, .state = CTRL_MEMBER_JOINING, .addr = OTHER},
        {.id = 4, .node = 7, .state = CTRL_MEMBER_JOINING, .addr = "127.0.0.1:7002"}}};
    struct ctrl_view v = {.cluster = CLUSTER, .version = 2, .nshards = 4, .shards = shards, .n_groups = 1, .groups = &group};
    w.manifest.replicas[0].founding.n = 1;
    start(&w);
    answer_poll(&w, v);
    for (unsigned i = 0; i < 30; i++) {
        w.now_us += 100000;
        step(&w, (struct node_input){.kind = NODE_TICK});
        collect(&w);
    }
    assert_non_null(raft_config_member(raft_config(w.n->replicas[0]->raft), 4));
    assert_int_equal(raft_config_voters(raft_config(w.n->replicas[0]->raft)), 1);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_founding_record_that_makes_no_sense_is_not_adopted),
        cmocka_unit_test(a_view_that_makes_no_sense_is_not_obeyed),
        cmocka_unit_test(P2_who_would_found_hears_of_the_cluster_from_any_node_that_knows_one),
        cmocka_unit_test(P4_a_replica_is_reported_until_no_crash_can_bring_it_back),
        cmocka_unit_test(P4_one_whose_log_was_lost_is_reported_until_it_is_deleted),
        cmocka_unit_test(a_place_is_taken_again_only_when_it_is_free_for_good),
        cmocka_unit_test(P4_a_view_from_before_a_burial_gives_nobody_a_replica),
        cmocka_unit_test(P20_a_controller_that_was_added_begins_blank_and_a_founder_never_by_a_view),
        cmocka_unit_test(a_second_snapshot_never_writes_into_the_table_of_the_first),
        cmocka_unit_test(a_table_that_is_behind_is_waited_for_without_standing_still),
        cmocka_unit_test(B27_a_snapshot_takes_the_tables_place_only_when_nothing_is_left_to_apply),
        cmocka_unit_test(the_next_chunk_is_asked_for_when_the_table_can_take_it),
        cmocka_unit_test(B28_a_snapshot_that_is_not_what_was_sent_is_refused),
        cmocka_unit_test(B28_a_snapshot_that_is_no_table_of_ours_is_refused),
        cmocka_unit_test(a_shard_is_copied_and_frozen_only_for_a_move_that_the_controller_ordered),
        cmocka_unit_test(the_end_of_an_import_is_logged_only_behind_its_last_rows),
        cmocka_unit_test(a_pipeline_of_large_reads_is_answered_piece_by_piece),
        cmocka_unit_test(a_full_connection_gets_no_large_answers_and_the_others_do),
        cmocka_unit_test(what_a_closed_connection_asked_for_is_not_read),
        cmocka_unit_test(one_connection_does_not_take_the_places_of_all_reads),
        cmocka_unit_test(one_connection_does_not_hold_the_polls_of_all),
        cmocka_unit_test(what_waits_for_a_hung_disk_does_not_grow_for_ever),
        cmocka_unit_test(long_jobs_leave_threads_to_the_logs),
        cmocka_unit_test(a_leader_that_names_no_address_is_not_told_to_hand_over),
        cmocka_unit_test(P19_no_group_that_answers_is_given_up_by_a_controller_that_leads_since_a_moment_ago),
        cmocka_unit_test(B39_a_leader_whose_disk_hangs_hands_over_and_not_all_the_time),
        cmocka_unit_test(P20_a_learner_that_never_answers_keeps_no_other_one_out),
        cmocka_unit_test(P26_what_is_due_is_collected_though_somebody_writes_all_the_time),
        cmocka_unit_test(a_log_is_compacted_though_what_is_applied_is_never_all_on_the_disk),
        cmocka_unit_test(half_a_snapshot_that_nobody_sends_any_more_goes_away),
        cmocka_unit_test(who_has_no_place_for_a_snapshot_is_not_asked_all_the_time),
        cmocka_unit_test(a_blank_node_answers_a_change_with_no_leader),
        cmocka_unit_test(who_waits_is_answered_also_behind_waiters_of_an_earlier_lead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
