/* A snapshot of a replica on its way: it is taken for what it says only when all of it is that (B28), it takes the table's place when
 * that can be spared (B27), and one that comes to nothing is not held or tried for ever. */
#include "tests/unit/node_outside.h"

#include "kv/rows.h"
#include "wire/snapshot_rows.h"

/* ---- what arrives ---- */

static struct msg chunk(uint64_t id, uint64_t number)
{
    return (struct msg){.kind = MSG_SNAPSHOT_CHUNK, .cluster = CLUSTER, .snapshot_chunk = {
        .envelope = {.gid = 3, .incarnation = 1, .from = 2, .to = 1},
        .header = {.kind = RAFT_SNAPSHOT, .from = 2, .to = 1, .term = 7, .log_index = 50, .log_term = 6},
        .snapshot_id = id, .boot = 1, .number = number, .rows = bytes_of("\1\0\1\0\0\0kv", 8)}};
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

/* One begins to arrive, and the table for it is there: its first chunk is what comes next. */
static struct msg chunk_for(struct outside *w, struct table *t)
{
    struct msg m = chunk(100, 0);
    receive(w, &m);
    step(w, (struct node_input){.kind = NODE_SNAPSHOT_OPENED, .replica = 1, .table = t});
    collect(w);
    return m;
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
    chunk_for(w, t);
    for (uint32_t i = 0; i < 2; i++) {
        struct msg m = chunk(100, i);
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

static void B27_a_snapshot_takes_the_tables_place_only_when_nothing_is_left_to_apply(void **state)
{
    struct outside w = member();
    struct table *t = table_mem_new();
    struct parts p = parts_of(50);
    start(&w);
    save_is_due(&w);
    table_falls_behind(w.tables[0]);
    one_entry_is_committed(&w);
    snapshot_arrives(&w, t, &p);
    assert_int_equal(w.asked[NODE_SNAPSHOT_INSTALL], 0);
    table_mem_hold(w.tables[0], false);
    wait_a_while(&w);
    assert_int_equal(w.n->replicas[0]->applied, 1);
    assert_int_equal(w.asked[NODE_SNAPSHOT_INSTALL], 1);
    table_free(t);
    stop(&w);
}

/* Two tables are on the disk, and there is no space to put the one in the other's place. */
static void P29_a_replica_is_deleted_though_a_snapshot_waits_to_take_its_tables_place(void **state)
{
    struct outside w = member();
    struct parts p = parts_of(50);
    struct table *t = table_mem_new();
    start(&w);
    snapshot_arrives(&w, t, &p);
    assert_int_equal(w.asked[NODE_SNAPSHOT_INSTALL], 1);
    buried(&w);
    step(&w, (struct node_input){.kind = NODE_SNAPSHOT_INSTALLED, .replica = 1, .err = RGKV_NO_SPACE});
    step(&w, (struct node_input){.kind = NODE_REPLICA_DELETED, .replica = 1});
    assert_int_equal(w.n->manifest.n_replicas, 0);
    assert_false(w.failed);
    table_free(t);
    stop(&w);
}

/* Who is INSTALLING hears nobody: it must not wait for a long compaction then. */
static void a_snapshot_takes_the_tables_place_when_the_disk_is_done_with_that(void **state)
{
    struct outside w = member();
    struct table *t = table_mem_new();
    struct parts p = parts_of(50);
    start(&w);
    w.n->replicas[0]->trimming = true;
    snapshot_arrives(&w, t, &p);
    assert_int_equal(w.asked[NODE_SNAPSHOT_INSTALL], 0);
    step(&w, (struct node_input){.kind = NODE_TRIMMED, .replica = 1});
    tick(&w, 50000);
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
    struct msg m = chunk_for(&w, t);
    table_falls_behind(t);
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
    struct msg m = chunk_for(&w, t);
    receive(&w, &m);
    for (unsigned i = 0; i < 3600; i++)
        tick(&w, 1000000);
    assert_int_equal(w.asked[NODE_SNAPSHOT_DISCARD], 1);
    table_free(t);
    stop(&w);
}

/* The sender loses its patience while the disk is at work. */
static void a_chunk_that_is_being_written_is_not_written_twice(void **state)
{
    struct outside w = member();
    struct table *t = table_mem_new();
    start(&w);
    struct msg m = chunk_for(&w, t);
    w.tables_hang = true;
    receive(&w, &m);
    receive(&w, &m);
    assert_int_equal(w.asked[NODE_SNAPSHOT_WRITE], 1);
    unsigned acks = w.snapshot_acks;
    chunk_write_ends(&w);
    collect(&w);
    assert_int_equal(w.snapshot_acks, acks + 1);
    assert_int_equal(rows_in(t), 1);
    table_free(t);
    stop(&w);
}

/* Another leader sends its own: what is still being written then was of the first, and is not taken for a part of the second. */
static void what_was_written_for_a_dropped_snapshot_is_not_taken_for_the_next_ones(void **state)
{
    struct outside w = member();
    struct table *first = table_mem_new(), *second = table_mem_new();
    start(&w);
    struct msg m = chunk_for(&w, first);
    w.tables_hang = true;
    receive(&w, &m);
    m = chunk(200, 0);
    receive(&w, &m);
    chunk_write_ends(&w);
    collect(&w);
    w.tables_hang = false;
    step(&w, (struct node_input){.kind = NODE_SNAPSHOT_OPENED, .replica = 1, .table = second});
    collect(&w);
    receive(&w, &m);
    assert_int_equal(rows_in(second), 1);
    assert_int_equal(w.asked[NODE_SNAPSHOT_DISCARD], 0);
    table_free(first);
    table_free(second);
    stop(&w);
}

/* It was killed in the middle of it, and has started again: it has nothing of what came before. */
static void who_lost_the_beginning_of_a_snapshot_says_so_and_makes_no_table_for_the_rest(void **state)
{
    struct outside w = member();
    start(&w);
    struct msg m = chunk(100, 3);
    receive(&w, &m);
    assert_int_equal(w.asked[NODE_SNAPSHOT_OPEN], 0);
    assert_int_equal(w.snapshot_acks, 1);
    assert_true(w.snapshot_ack.refused && w.snapshot_ack.snapshot_id == 100 && w.snapshot_ack.next == 0);
    stop(&w);
}

static void a_late_chunk_of_a_snapshot_that_is_over_does_not_end_the_next_one(void **state)
{
    struct outside w = member();
    struct table *t = table_mem_new();
    start(&w);
    struct msg m = chunk_for(&w, t), late = chunk(50, 2);
    receive(&w, &late);
    receive(&w, &m);
    assert_int_equal(w.asked[NODE_SNAPSHOT_OPEN], 1);
    assert_int_equal(rows_in(t), 1);
    table_free(t);
    stop(&w);
}

/* ---- what is sent ---- */

static void refuse_snapshot(struct outside *w, uint64_t from)
{
    struct msg no = {.kind = MSG_SNAPSHOT_ACK, .cluster = CLUSTER, .snapshot_ack = {
        .envelope = {.gid = 3, .incarnation = 1, .from = from, .to = 1}, .term = 2, .snapshot_id = w->snapshot,
        .log_index = w->snapshot_index, .refused = true}};
    receive(w, &no);
}

static void two_of_three_commit(struct outside *w, uint64_t *last, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        propose(w, 0);
        other_says(w, (struct raft_message){.kind = RAFT_APPEND_REPLY, .term = 2, .log_index = ++*last, .log_term = 2});
    }
    step(w, (struct node_input){.kind = NODE_FLUSHED, .replica = 1});
    collect(w);
}

static void third_lives(struct outside *w)
{
    tick(w, 50000);
    other_says(w, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .term = 2});
    member_says(w, 3, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .term = 2});
}

/* Of three, the third is far behind, and what it lacks is longer than its table. With a bound of 0 for the logs any entry is a
 * reason for a flush. */
static struct outside leads_and_has_forgotten_its_log(void)
{
    struct outside w = member_of_three();
    uint64_t last = 1;
    w.log_bytes = 1000000;
    start(&w);
    other_says(&w, (struct raft_message){.kind = RAFT_APPEND, .term = 1});
    lead_after(&w, 1);
    two_of_three_commit(&w, &last, 5);
    return w;
}

static void third_has_it(struct outside *w)
{
    struct msg m = {.kind = MSG_SNAPSHOT_ACK, .cluster = CLUSTER, .snapshot_ack = {
        .envelope = {.gid = 3, .incarnation = 1, .from = 3, .to = 1}, .term = 2, .snapshot_id = w->snapshot,
        .log_index = w->snapshot_index, .installed = true}};
    receive(w, &m);
}

/* Else it would need the next table when it has this one, and so on for ever, if others write much meanwhile. */
static void B42_what_is_written_while_a_table_is_sent_comes_from_the_log_then(void **state)
{
    struct outside w = leads_and_has_forgotten_its_log();
    uint64_t last = 6;
    while (!w.snapshot)
        third_lives(&w);
    assert_int_equal(w.snapshot_index, 6);
    w.log_bytes = 0;
    two_of_three_commit(&w, &last, 4); /* the flush that ends in the middle began before all of it */
    unsigned compactions = w.asked[NODE_COMPACT];
    two_of_three_commit(&w, &last, 4);
    assert_int_equal(w.asked[NODE_READ_LOG], 0);
    third_has_it(&w);
    assert_int_equal(w.asked[NODE_COMPACT], compactions);
    assert_int_equal(w.asked[NODE_READ_LOG], 1);
    assert_true(w.fetch.peer == 3 && w.fetch.first == 7 && w.fetch.last == 10);

    struct raft_entry entries[] = {{7, 2, RAFT_NOOP, NULL}, {8, 2, RAFT_NOOP, NULL}, {9, 2, RAFT_NOOP, NULL}, {10, 2, RAFT_NOOP, NULL}};
    step(&w, (struct node_input){.kind = NODE_LOG_READ, .replica = 1, .fetch = &w.fetch,
                                 .range = &(struct wal_range){.before_term = 2, .entries = entries, .n = 4}});
    collect(&w);
    assert_true(w.append.to == 3 && w.append.after == 6 && w.append.n == 4);
    member_says(&w, 3, (struct raft_message){.kind = RAFT_APPEND_REPLY, .term = 2, .log_index = 10, .log_term = 2});
    for (unsigned i = 0; i < 40; i++)
        third_lives(&w);
    assert_int_equal(w.snapshots, 1);
    assert_int_equal(w.asked[NODE_COMPACT], compactions + 1); /* nobody needs them any more */
    stop(&w);
}

/* The log's old files are damaged, say. */
static void who_needs_entries_that_cannot_be_read_gets_a_table(void **state)
{
    struct outside w = leads_and_has_forgotten_its_log();
    uint64_t last = 6;
    while (!w.snapshot)
        third_lives(&w);
    w.log_bytes = 0;
    two_of_three_commit(&w, &last, 4);
    two_of_three_commit(&w, &last, 4);
    third_has_it(&w);
    step(&w, (struct node_input){.kind = NODE_LOG_READ, .replica = 1, .err = RGKV_DAMAGED, .fetch = &w.fetch, .range = &(struct wal_range){0}});
    collect(&w);
    assert_false(w.failed);
    assert_int_equal(w.snapshots, 2);
    struct raft_status s;
    raft_status(w.n->replicas[0]->raft, &s);
    assert_in_range(w.snapshot_index, s.first_index - 1, last); /* what comes after is in memory */
    stop(&w);
}

/* Its disk is full, say: it has no place for a snapshot today. Each try costs the leader a snapshot of its table and a line of
 * its log, and the other one a table that is made and thrown away. */
static void who_has_no_place_for_a_snapshot_is_not_asked_all_the_time(void **state)
{
    struct outside w = leads_and_has_forgotten_its_log();
    for (unsigned i = 0; i < 1000; i++) { /* 10 s */
        tick(&w, 10000);
        if (i % 5 == 0) {
            other_says(&w, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .term = 2});
            member_says(&w, 3, (struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .term = 2});
        }
        if (w.snapshot)
            refuse_snapshot(&w, 3);
    }
    assert_true(replica_is_leader(w.n->replicas[0]));
    print_message("%u snapshots in 10 s\n", w.snapshots);
    assert_in_range(w.snapshots, 2, 20);
    stop(&w);
}

/* The log keeps old entries for the third one; a disk that is full gets their space back. */
static struct outside keeps_old_entries(uint64_t *last)
{
    struct outside w = leads_and_has_forgotten_its_log();
    *last = 6;
    while (!w.snapshot)
        third_lives(&w);
    w.log_bytes = 0;
    two_of_three_commit(&w, last, 4);
    two_of_three_commit(&w, last, 4);
    struct raft_status s;
    raft_status(w.n->replicas[0]->raft, &s);
    assert_true(s.kept_index + 1 < s.first_index);
    return w;
}

static void B41_a_full_table_lets_the_log_go(void **state)
{
    uint64_t last;
    struct outside w = keeps_old_entries(&last);
    unsigned compactions = w.asked[NODE_COMPACT];
    w.n->replicas[0]->table_full = w.n->replicas[0]->apply_held = true; /* as a save leaves it that finds no space */
    w.n->replicas[0]->table_retry_us = UINT64_MAX;
    w.n->replicas[0]->disk_bytes = 1000000;
    step(&w, (struct node_input){.kind = NODE_DISK_SPACE, .disk_free = 0, .disk_total = 1000000});
    collect(&w);
    for (unsigned i = 0; i < 100; i++)
        third_lives(&w);
    assert_true(w.asked[NODE_COMPACT] > compactions);
    stop(&w);
}

static void B41_a_compaction_without_space_is_tried_again(void **state)
{
    uint64_t last;
    struct outside w = keeps_old_entries(&last);
    unsigned compactions = w.asked[NODE_COMPACT];
    w.n->replicas[0]->disk_bytes = 1000000;
    step(&w, (struct node_input){.kind = NODE_DISK_SPACE, .disk_free = 0, .disk_total = 1000000});
    collect(&w);
    for (unsigned i = 0; i < 100; i++) {
        third_lives(&w);
        if (w.asked[NODE_COMPACT] == compactions + 1 && i < 99) {
            step(&w, (struct node_input){.kind = NODE_COMPACTED, .replica = 1, .err = RGKV_NO_SPACE, .disk_bytes = 1000000});
            collect(&w);
        }
    }
    assert_true(w.asked[NODE_COMPACT] > compactions + 1);
    stop(&w);
}

static struct msg asks_for(const struct outside *w, uint64_t next)
{
    return (struct msg){.kind = MSG_SNAPSHOT_ACK, .cluster = CLUSTER, .snapshot_ack = {
        .envelope = {.gid = 3, .incarnation = 1, .from = 3, .to = 1}, .term = 2, .snapshot_id = w->snapshot, .log_index = w->snapshot_index,
        .next = next}};
}

/* The third one answers for the chunk that it was sent. */
static void third_asks_for(struct outside *w, uint64_t next)
{
    struct msg m = asks_for(w, next);
    receive(w, &m);
}

static struct outside reads_for_the_third(void)
{
    struct outside w = leads_and_has_forgotten_its_log();
    w.reads_hang = true;
    while (!w.asked[NODE_SNAPSHOT_READ])
        third_lives(&w);
    return w;
}

static void a_disk_that_hangs_holds_up_a_snapshot_and_nobody_else(void **state)
{
    struct outside w = reads_for_the_third();
    uint64_t last = 6;
    two_of_three_commit(&w, &last, 4);
    for (unsigned i = 0; i < 40; i++)
        third_lives(&w);
    assert_true(replica_is_leader(w.n->replicas[0]));
    assert_int_equal(w.n->replicas[0]->applied, last);
    assert_int_equal(w.snapshots, 0);
    assert_int_equal(w.asked[NODE_SNAPSHOT_READ], 1);
    chunk_read_ends(&w);
    collect(&w);
    assert_int_equal(w.snapshots, 1);
    assert_int_equal(w.snapshot_index, 6); /* as it was when it began */
    stop(&w);
}

/* What a job reads is there until the job has ended, whoever does not want it any more: then it goes, and with it what it kept of the log. */
static void a_snapshot_that_is_given_up_while_it_is_read_goes_when_that_ends(void **state)
{
    struct outside w = reads_for_the_third();
    other_says(&w, (struct raft_message){.kind = RAFT_HEARTBEAT, .term = 9}); /* leads no more */
    ticks_for(&w, 1000000);
    assert_true(transfer_reads(w.n->replicas[0]));
    assert_int_equal(transfer_index(w.n->replicas[0]), UINT64_MAX);
    chunk_read_ends(&w);
    collect(&w);
    assert_null(w.n->replicas[0]->outgoing);
    assert_int_equal(w.snapshots, 0);
    stop(&w);
}

/* It was read for a leader, and that one is told of the next term before it can send it: to speak in that term would keep the next leader from
 * being heard by the member that needs the table most. */
static void who_leads_no_more_sends_no_chunk_in_the_next_leaders_term(void **state)
{
    struct outside w = reads_for_the_third();
    other_says(&w, (struct raft_message){.kind = RAFT_VOTE, .term = 3, .transfer = true, .log_index = 6, .log_term = 2});
    chunk_read_ends(&w);
    collect(&w);
    assert_int_equal(w.chunks, 0);
    stop(&w);
}

/* The next read would wait for the same disk, and hold one more thread. */
static void a_read_that_hangs_is_not_given_up_for_another_one(void **state)
{
    struct outside w = reads_for_the_third();
    for (unsigned i = 0; i < 2400; i++)
        third_lives(&w); /* two minutes */
    assert_true(replica_is_leader(w.n->replicas[0]));
    assert_int_equal(w.asked[NODE_SNAPSHOT_READ], 1);
    chunk_read_ends(&w);
    collect(&w);
    assert_int_equal(w.chunks, 1);
    ticks_for(&w, 1000000);
    assert_int_equal(w.asked[NODE_SNAPSHOT_READ], 1); /* the member has its own time from then on */
    stop(&w);
}

static void what_is_asked_for_twice_is_read_once(void **state)
{
    struct outside w = leads_and_has_forgotten_its_log();
    w.n->options.chunk_bytes = 1; /* a row each */
    while (!w.snapshot)
        third_lives(&w);
    w.reads_hang = true;
    unsigned reads = w.asked[NODE_SNAPSHOT_READ];
    unsigned chunks = w.chunks;
    third_asks_for(&w, 1);
    w.now_us += 100000;
    third_asks_for(&w, 1);
    third_asks_for(&w, 0);
    assert_int_equal(w.asked[NODE_SNAPSHOT_READ], reads + 1);
    assert_int_equal(w.chunks, chunks); /* nor is one sent that is not read yet */
    stop(&w);
}

static void an_acknowledgement_of_another_term_or_snapshot_is_none(void **state)
{
    struct outside w = leads_and_has_forgotten_its_log();
    w.n->options.chunk_bytes = 1;
    while (!w.snapshot)
        third_lives(&w);
    unsigned reads = w.asked[NODE_SNAPSHOT_READ];
    struct msg m = asks_for(&w, 1);
    m.snapshot_ack.term = 1;
    receive(&w, &m);
    m = asks_for(&w, 1);
    m.snapshot_ack.log_index--;
    receive(&w, &m);
    m = asks_for(&w, 1);
    m.snapshot_ack.snapshot_id++;
    receive(&w, &m);
    assert_int_equal(w.asked[NODE_SNAPSHOT_READ], reads);
    third_asks_for(&w, 1);
    assert_int_equal(w.asked[NODE_SNAPSHOT_READ], reads + 1);
    stop(&w);
}

/* The third one was killed in the middle of it: it is not to wait until the leader's patience for a lost chunk is at its end. */
static void who_lost_the_beginning_of_a_snapshot_is_sent_another_one_at_once(void **state)
{
    struct outside w = leads_and_has_forgotten_its_log();
    w.n->options.chunk_bytes = 1;
    while (!w.snapshot)
        third_lives(&w);
    third_asks_for(&w, 1);
    third_asks_for(&w, 0); /* the first one again: that was late */
    for (unsigned i = 0; i < 40; i++)
        third_lives(&w);
    assert_int_equal(w.snapshots, 1);
    refuse_snapshot(&w, 3);
    for (unsigned i = 0; i < 10; i++)
        third_lives(&w); /* half a second */
    assert_int_equal(w.snapshots, 2);
    stop(&w);
}

/* It leads no more, and the new leader sends its own table, which takes the place of the one that is still being read. */
static void a_table_that_is_read_for_somebody_stays_until_that_ends(void **state)
{
    struct outside w = reads_for_the_third();
    struct table *t = table_mem_new();
    struct parts p = parts_of(50);
    other_says(&w, (struct raft_message){.kind = RAFT_HEARTBEAT, .term = 7});
    w.n->replicas[0]->disk_bytes = 0; /* no reason for a flush any more */
    step(&w, (struct node_input){.kind = NODE_FLUSHED, .replica = 1});
    ticks_for(&w, 1000000);
    snapshot_arrives(&w, t, &p);
    step(&w, (struct node_input){.kind = NODE_TRIMMED, .replica = 1});
    tick(&w, 50000);
    assert_false(w.n->replicas[0]->flushing || w.n->replicas[0]->committing || w.n->replicas[0]->trimming);
    assert_int_equal(w.asked[NODE_SNAPSHOT_INSTALL], 0);
    chunk_read_ends(&w);
    collect(&w);
    assert_int_equal(w.asked[NODE_SNAPSHOT_INSTALL], 1);
    table_free(t);
    stop(&w);
}

static void a_replica_whose_table_is_read_is_deleted_when_that_ends(void **state)
{
    struct outside w = reads_for_the_third();
    struct ctrl_tombstone gone = {.gid = 3, .incarnation = 1, .member = 1, .node = NODE};
    struct ctrl_shard shards[4] = {{.epoch = 1}};
    struct ctrl_view v = {.cluster = CLUSTER, .version = 2, .nshards = 4, .shards = shards, .n_tombstones = 1, .tombstones = &gone};
    answer_poll(&w, v);
    assert_int_equal(w.asked[NODE_DELETE_REPLICA], 0);
    chunk_read_ends(&w);
    collect(&w);
    v.version = 3;
    answer_poll(&w, v);
    assert_int_equal(w.asked[NODE_DELETE_REPLICA], 1);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_snapshot_never_writes_into_the_table_of_the_first),
        cmocka_unit_test(B28_a_snapshot_that_is_not_what_was_sent_is_refused),
        cmocka_unit_test(B28_a_snapshot_that_is_no_table_of_ours_is_refused),
        cmocka_unit_test(B27_a_snapshot_takes_the_tables_place_only_when_nothing_is_left_to_apply),
        cmocka_unit_test(P29_a_replica_is_deleted_though_a_snapshot_waits_to_take_its_tables_place),
        cmocka_unit_test(a_snapshot_takes_the_tables_place_when_the_disk_is_done_with_that),
        cmocka_unit_test(the_next_chunk_is_asked_for_when_the_table_can_take_it),
        cmocka_unit_test(half_a_snapshot_that_nobody_sends_any_more_goes_away),
        cmocka_unit_test(a_chunk_that_is_being_written_is_not_written_twice),
        cmocka_unit_test(what_was_written_for_a_dropped_snapshot_is_not_taken_for_the_next_ones),
        cmocka_unit_test(who_lost_the_beginning_of_a_snapshot_says_so_and_makes_no_table_for_the_rest),
        cmocka_unit_test(a_late_chunk_of_a_snapshot_that_is_over_does_not_end_the_next_one),
        cmocka_unit_test(an_acknowledgement_of_another_term_or_snapshot_is_none),
        cmocka_unit_test(who_lost_the_beginning_of_a_snapshot_is_sent_another_one_at_once),
        cmocka_unit_test(a_disk_that_hangs_holds_up_a_snapshot_and_nobody_else),
        cmocka_unit_test(a_snapshot_that_is_given_up_while_it_is_read_goes_when_that_ends),
        cmocka_unit_test(who_leads_no_more_sends_no_chunk_in_the_next_leaders_term),
        cmocka_unit_test(a_read_that_hangs_is_not_given_up_for_another_one),
        cmocka_unit_test(what_is_asked_for_twice_is_read_once),
        cmocka_unit_test(a_table_that_is_read_for_somebody_stays_until_that_ends),
        cmocka_unit_test(a_replica_whose_table_is_read_is_deleted_when_that_ends),
        cmocka_unit_test(B42_what_is_written_while_a_table_is_sent_comes_from_the_log_then),
        cmocka_unit_test(who_needs_entries_that_cannot_be_read_gets_a_table),
        cmocka_unit_test(B41_a_full_table_lets_the_log_go),
        cmocka_unit_test(B41_a_compaction_without_space_is_tried_again),
        cmocka_unit_test(who_has_no_place_for_a_snapshot_is_not_asked_all_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
