#include "tests/unit/raft_cluster.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(c, condition) \
    ((condition) ? (void)0 : check_failed(c, __LINE__, #condition))

struct entry_seen { /* (index, term) has one content and one predecessor */
    uint64_t term, previous_term, hash;
};

struct slot { /* what is known of one index, over all nodes and all time */
    struct entry_seen *seen;
    unsigned n_seen;
    bool committed;
    uint64_t term, hash, state;
    uint64_t known_term; /* the term of whom first said that it is committed */
    struct blob *payload;
};

struct packet {
    uint64_t at_us, order;
    struct raft_message message;
    struct raft_entry *entries;
    uint64_t state;               /* RAFT_SNAPSHOT: the table */
    struct raft_config config;
};

struct batch { /* one ready's writes, and what may be said after them */
    uint64_t done_us;
    unsigned n_append, n_messages;
    struct raft_entry *append;
    bool hard_state_changed;
    struct raft_hard_state hard_state;
    struct packet *messages;
};

struct table {
    uint64_t index, term, state;
    struct raft_config config;
};

struct disk {
    struct raft_hard_state hard_state;
    struct raft_entry *log; /* log[i] is index i + 1 */
    uint64_t last, cap;
    struct table table;
};

struct node {
    unsigned id;
    struct raft *raft;
    bool paused;
    struct disk disk;
    struct table table;
    struct batch *queue;
    unsigned n_queue, queue_cap;
    struct packet *held;    /* arrived while it was paused */
    unsigned n_held, held_cap;
    uint64_t collect_us;    /* UINT64_MAX: nothing stepped */
    uint64_t handed, term, commit;
    unsigned incarnation;
    uint64_t snapshot_failed_us[NODES + 1]; /* give up on the peer then; 0: none */
};

struct read_open {
    uint64_t id, floor;
    unsigned node, incarnation;
};

struct cluster {
    struct cluster_options options;
    struct prng prng;
    uint64_t now_us, order;
    struct node nodes[NODES + 1];
    bool cut[NODES + 1][NODES + 1];
    struct packet *heap;
    unsigned n_heap, heap_cap;
    struct slot *slots; /* slots[index] */
    uint64_t n_slots;
    uint64_t committed;
    unsigned *leader_of; /* by term */
    uint64_t n_terms;
    struct read_open *reads;
    unsigned n_reads, reads_cap;
    uint64_t read_id;
    struct cluster_counts counts;
};

static void check_failed(struct cluster *c, int line, const char *what)
{
    fail_msg("seed %llu at %llu us, line %d: %s", (unsigned long long)c->options.seed,
             (unsigned long long)c->now_us, line, what);
}

static void *grown(void *items, unsigned n, unsigned *cap, size_t size)
{
    if (n < *cap)
        return items;
    *cap = MAX(16u, *cap * 2);
    return mem_realloc(items, *cap * size);
}

/* --- packets --- */

static struct packet packet_of(struct cluster *c, const struct raft_message *m)
{
    struct packet p = {.message = *m};
    if (m->n_entries) {
        p.entries = mem_alloc(m->n_entries * sizeof(*p.entries));
        memcpy(p.entries, m->entries, m->n_entries * sizeof(*p.entries));
        for (unsigned i = 0; i < m->n_entries; i++)
            blob_ref(p.entries[i].payload);
    }
    p.message.entries = p.entries;
    p.order = c->order++;
    return p;
}

static void packet_release(struct packet *p)
{
    for (unsigned i = 0; p->entries && i < p->message.n_entries; i++)
        blob_unref(p->entries[i].payload);
    mem_free(p->entries);
}

static bool earlier(const struct packet *a, const struct packet *b)
{
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->order < b->order);
}

static void heap_push(struct cluster *c, struct packet p)
{
    c->heap = grown(c->heap, c->n_heap, &c->heap_cap, sizeof(*c->heap));
    unsigned i = c->n_heap++;
    for (; i && earlier(&p, &c->heap[(i - 1) / 2]); i = (i - 1) / 2)
        c->heap[i] = c->heap[(i - 1) / 2];
    c->heap[i] = p;
}

static struct packet heap_pop(struct cluster *c)
{
    struct packet top = c->heap[0], last = c->heap[--c->n_heap];
    unsigned i = 0, child;
    while ((child = 2 * i + 1) < c->n_heap) {
        if (child + 1 < c->n_heap && earlier(&c->heap[child + 1], &c->heap[child]))
            child++;
        if (!earlier(&c->heap[child], &last))
            break;
        c->heap[i] = c->heap[child];
        i = child;
    }
    c->heap[i] = last;
    return top;
}

static uint64_t bytes_of_message(const struct raft_message *m)
{
    uint64_t bytes = 64;
    for (unsigned i = 0; i < m->n_entries; i++)
        bytes += 16 + blob_bytes(m->entries[i].payload).len;
    return bytes;
}

static void packet_send(struct cluster *c, struct packet p)
{
    const struct cluster_options *o = &c->options;
    c->counts.messages++;
    c->counts.message_bytes += bytes_of_message(&p.message);
    bool lost = c->cut[p.message.from][p.message.to] || prng_chance(&c->prng, o->drop_percent, 100);
    if (lost) {
        packet_release(&p);
        return;
    }
    p.at_us = c->now_us + 1 + prng_below(&c->prng, o->delay_us_max + 1);
    heap_push(c, p);
    if (!prng_chance(&c->prng, o->dup_percent, 100))
        return;
    struct packet again = packet_of(c, &p.message);
    again.state = p.state;
    again.config = p.config;
    again.at_us = c->now_us + 1 + prng_below(&c->prng, 4 * o->delay_us_max + 1);
    heap_push(c, again);
}

/* --- oracle --- */

static struct slot *slot_at(struct cluster *c, uint64_t index)
{
    if (index >= c->n_slots) {
        uint64_t n = MAX(index + 1, c->n_slots * 2);
        c->slots = mem_realloc(c->slots, n * sizeof(*c->slots));
        memset(c->slots + c->n_slots, 0, (n - c->n_slots) * sizeof(*c->slots));
        c->n_slots = n;
    }
    return &c->slots[index];
}

static uint64_t entry_hash(const struct raft_entry *e)
{
    return hash64_seeded(blob_bytes(e->payload), (uint64_t)e->kind);
}

static void oracle_appended(struct cluster *c, const struct raft *raft, const struct raft_entry *e)
{
    struct slot *s = slot_at(c, e->index);
    struct entry_seen now = {e->term, raft_term_at(raft, e->index - 1), entry_hash(e)};
    for (unsigned i = 0; i < s->n_seen; i++) {
        if (s->seen[i].term != now.term)
            continue;
        CHECK(c, s->seen[i].hash == now.hash && s->seen[i].previous_term == now.previous_term);
        return;
    }
    s->seen = mem_realloc(s->seen, (s->n_seen + 1) * sizeof(now));
    s->seen[s->n_seen++] = now;
}

static void oracle_committed(struct cluster *c, const struct node *n, const struct raft_entry *e)
{
    uint64_t before = e->index > 1 ? slot_at(c, e->index - 1)->state : 0;
    struct slot *s = slot_at(c, e->index);
    if (s->committed) {
        CHECK(c, s->term == e->term && s->hash == entry_hash(e));
        return;
    }
    CHECK(c, e->index == c->committed + 1);
    s->committed = true;
    s->known_term = n->term;
    s->term = e->term;
    s->hash = entry_hash(e);
    s->state = hash64_seeded(bytes_of(&s->hash, sizeof(s->hash)), before);
    s->payload = blob_ref(e->payload);
    c->committed = e->index;
}

static void oracle_leader(struct cluster *c, const struct node *n, uint64_t term)
{
    if (term >= c->n_terms) {
        uint64_t terms = MAX(term + 1, c->n_terms * 2);
        c->leader_of = mem_realloc(c->leader_of, terms * sizeof(*c->leader_of));
        memset(c->leader_of + c->n_terms, 0, (terms - c->n_terms) * sizeof(*c->leader_of));
        c->n_terms = terms;
    }
    if (c->leader_of[term] == n->id)
        return;
    CHECK(c, c->leader_of[term] == 0); /* one leader in a term */
    c->leader_of[term] = n->id;
    c->counts.elections++;
    struct raft_status s;
    raft_status(n->raft, &s);
    for (uint64_t i = s.first_index; i <= c->committed; i++) /* leader completeness */
        CHECK(c, slot_at(c, i)->known_term >= term || raft_term_at(n->raft, i) == slot_at(c, i)->term);
}

static void oracle_status(struct cluster *c, struct node *n)
{
    struct raft_status s;
    raft_status(n->raft, &s);
    CHECK(c, s.term >= n->term && s.commit >= n->commit && s.commit <= s.last_index);
    n->term = s.term;
    n->commit = s.commit;
    if (s.role == RAFT_LEADER)
        oracle_leader(c, n, s.term);
}

static void oracle_read(struct cluster *c, const struct node *n, const struct raft_read_result *result)
{
    for (unsigned i = 0; i < c->n_reads; i++) {
        struct read_open *read = &c->reads[i];
        if (read->id != result->read_id)
            continue;
        CHECK(c, read->node == n->id && read->incarnation == n->incarnation);
        CHECK(c, result->index == 0 || result->index >= read->floor);
        c->counts.reads += result->index != 0;
        c->counts.reads_failed += result->index == 0;
        c->reads[i] = c->reads[--c->n_reads];
        return;
    }
    CHECK(c, !"a read that nobody asked for");
}

/* --- disk --- */

static void disk_truncate(struct disk *d, uint64_t last)
{
    while (d->last > last)
        blob_unref(d->log[--d->last].payload);
}

static void disk_append(struct disk *d, const struct raft_entry *e)
{
    disk_truncate(d, e->index - 1);
    if (d->last + 1 >= d->cap) {
        d->cap = MAX(64, d->cap * 2);
        d->log = mem_realloc(d->log, d->cap * sizeof(*d->log));
    }
    d->log[d->last++] = *e;
    blob_ref(e->payload);
}

/* A log that starts after (index, term): what is before it is filled up with nothing. */
static void disk_reset(struct disk *d, uint64_t index, uint64_t term)
{
    disk_truncate(d, 0);
    for (uint64_t i = 1; i <= index; i++)
        disk_append(d, &(struct raft_entry){i, i == index ? term : 0, RAFT_NOOP, NULL});
}

static void batch_write(struct disk *d, const struct batch *b)
{
    for (unsigned i = 0; i < b->n_append; i++)
        disk_append(d, &b->append[i]);
    if (b->hard_state_changed)
        d->hard_state = b->hard_state;
}

static void batch_release(struct batch *b)
{
    for (unsigned i = 0; i < b->n_append; i++)
        blob_unref(b->append[i].payload);
    mem_free(b->append);
    mem_free(b->messages);
}

static void batch_put(struct cluster *c, struct node *n, const struct raft_ready *ready)
{
    struct batch b = {.n_append = ready->n_append, .hard_state_changed = ready->hard_state_changed,
                      .hard_state = ready->hard_state, .n_messages = ready->n_messages_after_sync};
    if (!b.n_append && !b.hard_state_changed && !b.n_messages)
        return;
    uint64_t start_us = n->n_queue ? n->queue[n->n_queue - 1].done_us : c->now_us;
    uint64_t sync_us = ready->must_sync ? prng_below(&c->prng, c->options.sync_us_max + 1) : 0;
    b.done_us = MAX(start_us, c->now_us) + sync_us;
    c->counts.syncs += ready->must_sync;
    b.append = mem_alloc(b.n_append * sizeof(*b.append));
    for (unsigned i = 0; i < b.n_append; i++) {
        b.append[i] = ready->append[i];
        blob_ref(b.append[i].payload);
        oracle_appended(c, n->raft, &b.append[i]);
    }
    b.messages = mem_alloc(b.n_messages * sizeof(*b.messages));
    for (unsigned i = 0; i < b.n_messages; i++)
        b.messages[i] = packet_of(c, &ready->messages_after_sync[i]);
    n->queue = grown(n->queue, n->n_queue, &n->queue_cap, sizeof(*n->queue));
    n->queue[n->n_queue++] = b;
}

static void collect_later(struct cluster *c, struct node *n)
{
    uint64_t wait_us = c->options.lazy_collect && prng_chance(&c->prng, 1, 3) ? prng_below(&c->prng, 3 * MS) : 0;
    if (n->collect_us == UINT64_MAX)
        n->collect_us = c->now_us + wait_us;
}

static enum rgkv_err node_step(struct cluster *c, struct node *n, struct raft_input input)
{
    input.now_us = c->now_us;
    enum rgkv_err err = raft_step(n->raft, &input);
    oracle_status(c, n);
    collect_later(c, n);
    return err;
}

static void batch_done(struct cluster *c, struct node *n)
{
    struct batch b = n->queue[0];
    memmove(n->queue, n->queue + 1, --n->n_queue * sizeof(*n->queue));
    batch_write(&n->disk, &b);
    for (unsigned i = 0; i < b.n_messages; i++)
        packet_send(c, b.messages[i]);
    if (b.n_append)
        node_step(c, n, (struct raft_input){.kind = RAFT_PERSISTED, .log_index = b.append[b.n_append - 1].index,
                                            .log_term = b.append[b.n_append - 1].term});
    batch_release(&b);
}

/* --- table --- */

static void entry_apply(struct cluster *c, struct node *n, const struct raft_entry *e)
{
    uint64_t hash = entry_hash(e);
    if (e->index <= n->table.index)
        return; /* a snapshot came first */
    CHECK(c, e->index == n->table.index + 1);
    n->table.state = hash64_seeded(bytes_of(&hash, sizeof(hash)), n->table.index ? n->table.state : 0);
    n->table.index = e->index;
    n->table.term = e->term;
    if (e->kind == RAFT_CONFIG)
        CHECK(c, raft_config_decode(blob_bytes(e->payload), &n->table.config) == RGKV_OK);
    CHECK(c, n->table.state == slot_at(c, e->index)->state);
}

static void maybe_compact(struct cluster *c, struct node *n)
{
    if (!c->options.compact_every || n->table.index < n->disk.table.index + c->options.compact_every)
        return;
    n->disk.table = n->table;
    node_step(c, n, (struct raft_input){.kind = RAFT_COMPACTED, .log_index = n->table.index,
                                        .log_term = n->table.term, .config = &n->table.config});
}

static void snapshot_send(struct cluster *c, struct node *n, uint64_t peer)
{
    struct raft_status s;
    raft_status(n->raft, &s);
    struct raft_message m = {.kind = RAFT_SNAPSHOT, .from = n->id, .to = peer, .term = s.term,
                             .log_index = n->table.index, .log_term = n->table.term};
    struct packet p = packet_of(c, &m);
    p.state = n->table.state;
    p.config = n->table.config;
    packet_send(c, p);
    n->snapshot_failed_us[peer] = c->now_us + 4 * c->options.heartbeat_us;
}

static void snapshots_give_up(struct cluster *c, struct node *n)
{
    for (unsigned peer = 1; peer <= c->options.nodes; peer++)
        if (n->snapshot_failed_us[peer] && n->snapshot_failed_us[peer] <= c->now_us) {
            n->snapshot_failed_us[peer] = 0;
            node_step(c, n, (struct raft_input){.kind = RAFT_SNAPSHOT_FAILED, .peer = peer});
        }
}

/* Writes must be done first: a node with any on their way drops the chunk and is sent another one later. */
static void snapshot_install(struct cluster *c, struct node *n, const struct packet *p)
{
    const struct raft_message *m = &p->message;
    if (n->n_queue || !raft_wants_snapshot(n->raft, m->log_index, m->log_term))
        return;
    CHECK(c, slot_at(c, m->log_index)->committed && slot_at(c, m->log_index)->state == p->state);
    n->table = n->disk.table = (struct table){m->log_index, m->log_term, p->state, p->config};
    n->handed = MAX(n->handed, m->log_index);
    disk_reset(&n->disk, m->log_index, m->log_term);
    c->counts.snapshots++;
    node_step(c, n, (struct raft_input){.kind = RAFT_SNAPSHOT_INSTALLED, .log_index = m->log_index,
                                        .log_term = m->log_term, .config = &p->config});
    struct node *leader = &c->nodes[m->from];
    if (leader->raft && !leader->paused && !c->cut[n->id][m->from])
        node_step(c, leader, (struct raft_input){.kind = RAFT_SNAPSHOT_SENT, .peer = n->id, .log_index = m->log_index});
}

/* --- a ready --- */

static void ready_apply(struct cluster *c, struct node *n, const struct raft_ready *ready)
{
    for (unsigned i = 0; i < ready->n_committed; i++) {
        const struct raft_entry *e = &ready->committed[i];
        CHECK(c, e->index == n->handed + 1);
        n->handed = e->index;
        oracle_committed(c, n, e);
        entry_apply(c, n, e);
    }
}

static void node_collect(struct cluster *c, struct node *n)
{
    struct raft_ready ready;
    raft_collect(n->raft, &ready);
    n->collect_us = UINT64_MAX;
    for (unsigned i = 0; i < ready.n_messages; i++)
        packet_send(c, packet_of(c, &ready.messages[i]));
    batch_put(c, n, &ready);
    ready_apply(c, n, &ready);
    for (unsigned i = 0; i < ready.n_reads; i++)
        oracle_read(c, n, &ready.reads[i]);
    for (unsigned i = 0; i < ready.n_snapshot_peers; i++)
        snapshot_send(c, n, ready.snapshot_peers[i]);
    if (ready.n_committed)
        node_step(c, n, (struct raft_input){.kind = RAFT_APPLIED, .log_index = n->table.index});
    maybe_compact(c, n);
}

static void packet_deliver(struct cluster *c, struct packet *p)
{
    struct node *n = &c->nodes[p->message.to];
    if (!n->raft)
        return;
    node_step(c, n, (struct raft_input){.kind = RAFT_RECEIVED, .message = &p->message});
    if (p->message.kind != RAFT_SNAPSHOT)
        return;
    struct raft_status s;
    raft_status(n->raft, &s);
    if (s.term == p->message.term && s.leader == p->message.from)
        snapshot_install(c, n, p);
}

/* --- time --- */

static uint64_t node_next_us(const struct cluster *c, const struct node *n)
{
    if (!n->raft || n->paused)
        return UINT64_MAX;
    uint64_t next = MIN(n->collect_us, MAX(raft_deadline_us(n->raft), c->now_us));
    if (n->n_queue)
        next = MIN(next, n->queue[0].done_us);
    for (unsigned peer = 1; peer <= c->options.nodes; peer++)
        if (n->snapshot_failed_us[peer])
            next = MIN(next, n->snapshot_failed_us[peer]);
    return next;
}

static void node_run(struct cluster *c, struct node *n)
{
    while (n->n_queue && n->queue[0].done_us <= c->now_us)
        batch_done(c, n);
    snapshots_give_up(c, n);
    if (raft_deadline_us(n->raft) <= c->now_us) {
        node_step(c, n, (struct raft_input){.kind = RAFT_TICK});
        CHECK(c, raft_deadline_us(n->raft) > c->now_us); /* a tick moves the deadline */
    }
    if (n->collect_us <= c->now_us)
        node_collect(c, n);
}

static uint64_t cluster_next_us(const struct cluster *c)
{
    uint64_t next = c->n_heap ? c->heap[0].at_us : UINT64_MAX;
    for (unsigned i = 1; i <= c->options.nodes; i++)
        next = MIN(next, node_next_us(c, &c->nodes[i]));
    return next;
}

static void packet_hold(struct node *n, struct packet p)
{
    n->held = grown(n->held, n->n_held, &n->held_cap, sizeof(*n->held));
    n->held[n->n_held++] = p;
}

static void packets_run(struct cluster *c)
{
    while (c->n_heap && c->heap[0].at_us <= c->now_us) {
        struct packet p = heap_pop(c);
        if (c->nodes[p.message.to].paused) {
            packet_hold(&c->nodes[p.message.to], p);
            continue;
        }
        packet_deliver(c, &p);
        packet_release(&p);
    }
}

void cluster_run(struct cluster *c, uint64_t us)
{
    uint64_t end_us = c->now_us + us, next_us;
    while ((next_us = cluster_next_us(c)) <= end_us) {
        c->now_us = MAX(c->now_us, next_us);
        packets_run(c);
        for (unsigned i = 1; i <= c->options.nodes; i++)
            if (c->nodes[i].raft && !c->nodes[i].paused && node_next_us(c, &c->nodes[i]) <= c->now_us)
                node_run(c, &c->nodes[i]);
    }
    c->now_us = end_us;
}

/* --- life and death --- */

static void node_reads_forget(struct cluster *c, const struct node *n)
{
    for (unsigned i = 0; i < c->n_reads;)
        if (c->reads[i].node == n->id)
            c->reads[i] = c->reads[--c->n_reads];
        else
            i++;
}

void cluster_crash(struct cluster *c, unsigned node)
{
    struct node *n = &c->nodes[node];
    if (!n->raft)
        return;
    uint64_t survive = prng_below(&c->prng, n->n_queue + 1);
    for (unsigned i = 0; i < n->n_queue; i++) {
        if (i < survive)
            batch_write(&n->disk, &n->queue[i]);
        for (unsigned k = 0; k < n->queue[i].n_messages; k++)
            packet_release(&n->queue[i].messages[k]);
        batch_release(&n->queue[i]);
    }
    n->n_queue = 0;
    raft_free(n->raft);
    n->raft = NULL;
    cluster_pause(c, node, false);
    node_reads_forget(c, n);
    c->counts.crashes++;
}

/* P23: a log that ends before the table, or lacks its entry, starts again after it. */
static void disk_recover(struct disk *d)
{
    const struct table *t = &d->table;
    if (t->index && (d->last < t->index || d->log[t->index - 1].term != t->term))
        disk_reset(d, t->index, t->term);
}

void cluster_restart(struct cluster *c, unsigned node)
{
    struct node *n = &c->nodes[node];
    if (n->raft)
        return;
    disk_recover(&n->disk);
    n->table = n->disk.table;
    struct raft_restored restored = {
        .hard_state = n->disk.hard_state,
        .compacted_index = n->table.index,
        .compacted_term = n->table.term,
        .config = n->table.config,
        .applied = n->table.index,
        .n_entries = (unsigned)(n->disk.last - n->table.index),
        .entries = n->disk.log + n->table.index,
    };
    struct raft_options options = {.id = n->id, .seed = prng_next(&c->prng), .election_us = c->options.election_us,
                                   .heartbeat_us = c->options.heartbeat_us, .no_noop = c->options.no_noop, .now_us = c->now_us};
    n->raft = raft_new(&options, &restored);
    n->incarnation++;
    n->handed = n->table.index;
    n->term = n->disk.hard_state.term;
    n->commit = 0;
    memset(n->snapshot_failed_us, 0, sizeof(n->snapshot_failed_us));
    n->collect_us = c->now_us;
    oracle_status(c, n);
}

void cluster_pause(struct cluster *c, unsigned node, bool paused)
{
    struct node *n = &c->nodes[node];
    n->paused = paused && n->raft;
    for (unsigned i = 0; !n->paused && i < n->n_held; i++) {
        n->held[i].at_us = c->now_us;
        heap_push(c, n->held[i]);
    }
    n->n_held = n->paused ? n->n_held : 0;
}

void cluster_cut(struct cluster *c, unsigned from, unsigned to, bool cut) { c->cut[from][to] = cut; }

void cluster_isolate(struct cluster *c, unsigned node)
{
    for (unsigned i = 1; i <= NODES; i++)
        c->cut[node][i] = c->cut[i][node] = true;
}

void cluster_connect(struct cluster *c, unsigned node)
{
    for (unsigned i = 1; i <= NODES; i++)
        c->cut[node][i] = c->cut[i][node] = false;
}

void cluster_heal(struct cluster *c)
{
    c->options.drop_percent = c->options.dup_percent = 0;
    c->options.delay_us_max = MIN(c->options.delay_us_max, 2 * MS);
    c->options.sync_us_max = MIN(c->options.sync_us_max, 2 * MS);
    for (unsigned i = 1; i <= c->options.nodes; i++) {
        cluster_connect(c, i);
        cluster_pause(c, i, false);
        cluster_restart(c, i);
    }
}

struct raft_config cluster_config(unsigned voters, unsigned learners)
{
    struct raft_config config = {.n = voters + learners};
    for (unsigned i = 0; i < config.n; i++) {
        config.members[i].id = i + 1;
        config.members[i].node = 100 + i;
        config.members[i].voter = i < voters;
        snprintf(config.members[i].addr, sizeof(config.members[i].addr), "n%u:1", i + 1);
    }
    return config;
}

struct cluster *cluster_new(const struct cluster_options *options)
{
    struct cluster *c = mem_zalloc(sizeof(*c));
    c->options = *options;
    c->options.voters = options->voters ? options->voters : options->nodes;
    c->options.election_us = options->election_us ? options->election_us : ELECTION_US;
    c->options.heartbeat_us = options->heartbeat_us ? options->heartbeat_us : HEARTBEAT_US;
    c->now_us = MS;
    prng_init(&c->prng, options->seed);
    for (unsigned i = 1; i <= options->nodes; i++) {
        c->nodes[i].id = i;
        if (i <= c->options.voters)
            c->nodes[i].disk.table.config = cluster_config(c->options.voters, 0);
        cluster_restart(c, i);
    }
    return c;
}

static void node_release(struct cluster *c, struct node *n)
{
    cluster_crash(c, n->id);
    disk_truncate(&n->disk, 0);
    mem_free(n->disk.log);
    mem_free(n->queue);
    mem_free(n->held);
}

void cluster_free(struct cluster *c)
{
    for (unsigned i = 1; i <= c->options.nodes; i++)
        node_release(c, &c->nodes[i]);
    for (unsigned i = 0; i < c->n_heap; i++)
        packet_release(&c->heap[i]);
    for (uint64_t i = 0; i < c->n_slots; i++) {
        blob_unref(c->slots[i].payload);
        mem_free(c->slots[i].seen);
    }
    mem_free(c->heap);
    mem_free(c->slots);
    mem_free(c->leader_of);
    mem_free(c->reads);
    mem_free(c);
}

/* --- asking --- */

struct cluster_options *cluster_settings(struct cluster *c) { return &c->options; }
struct prng *cluster_prng(struct cluster *c) { return &c->prng; }
uint64_t cluster_now(const struct cluster *c) { return c->now_us; }
bool cluster_up(const struct cluster *c, unsigned node) { return c->nodes[node].raft && !c->nodes[node].paused; }
unsigned cluster_unsynced(const struct cluster *c, unsigned node) { return c->nodes[node].n_queue; }
struct raft *cluster_raft(struct cluster *c, unsigned node) { return c->nodes[node].raft; }
uint64_t cluster_committed(const struct cluster *c) { return c->committed; }
const struct cluster_counts *cluster_counts(const struct cluster *c) { return &c->counts; }

struct raft_status cluster_status(struct cluster *c, unsigned node)
{
    struct raft_status s = {0};
    if (c->nodes[node].raft)
        raft_status(c->nodes[node].raft, &s);
    return s;
}

enum rgkv_err cluster_step(struct cluster *c, unsigned node, struct raft_input input)
{
    return node_step(c, &c->nodes[node], input);
}

uint64_t cluster_propose(struct cluster *c, unsigned node, const char *text)
{
    if (!cluster_up(c, node))
        return 0;
    uint64_t index = cluster_status(c, node).last_index + 1;
    struct blob *payload = blob_new(bytes_str(text));
    enum rgkv_err err = cluster_step(c, node, (struct raft_input){.kind = RAFT_PROPOSED, .n_payloads = 1,
                                                                  .payloads = &payload});
    blob_unref(payload);
    return err ? 0 : index;
}

bool cluster_propose_config(struct cluster *c, unsigned node, const struct raft_config *config)
{
    return cluster_up(c, node) &&
           cluster_step(c, node, (struct raft_input){.kind = RAFT_CONFIG_PROPOSED, .config = config}) == RGKV_OK;
}

bool cluster_read(struct cluster *c, unsigned node)
{
    struct read_open read = {++c->read_id, c->committed, node, c->nodes[node].incarnation};
    if (!cluster_up(c, node) ||
        cluster_step(c, node, (struct raft_input){.kind = RAFT_READ, .read_id = read.id}) != RGKV_OK)
        return false;
    c->reads = grown(c->reads, c->n_reads, &c->reads_cap, sizeof(*c->reads));
    c->reads[c->n_reads++] = read;
    return true;
}

static bool isolated(const struct cluster *c, unsigned node)
{
    for (unsigned i = 1; i <= c->options.nodes; i++)
        if (i != node && !c->cut[node][i] && !c->cut[i][node])
            return false;
    return c->options.nodes > 1;
}

unsigned cluster_leader(struct cluster *c)
{
    unsigned leader = 0;
    uint64_t term = 0;
    for (unsigned i = 1; i <= c->options.nodes; i++) {
        struct raft_status s = cluster_status(c, i);
        if (cluster_up(c, i) && !isolated(c, i) && s.role == RAFT_LEADER && s.term > term) {
            leader = i;
            term = s.term;
        }
    }
    return leader;
}

unsigned cluster_wait_leader(struct cluster *c)
{
    for (unsigned i = 0; i < 500 && !cluster_leader(c); i++)
        cluster_run(c, 10 * MS);
    CHECK(c, cluster_leader(c));
    return cluster_leader(c);
}

bool cluster_committed_is(const struct cluster *c, uint64_t index, const char *text)
{
    return index < c->n_slots && c->slots[index].committed &&
           bytes_eq(blob_bytes(c->slots[index].payload), bytes_str(text));
}

unsigned cluster_applied_by(const struct cluster *c, uint64_t index)
{
    unsigned n = 0;
    for (unsigned i = 1; i <= c->options.nodes; i++)
        n += cluster_up(c, i) && c->nodes[i].table.index >= index;
    return n;
}

static bool wait_applied(struct cluster *c, uint64_t index, const char *text, unsigned nodes)
{
    for (unsigned i = 0; i < 400; i++) {
        if (cluster_committed_is(c, index, text) && cluster_applied_by(c, index) >= nodes)
            return true;
        cluster_run(c, 5 * MS);
    }
    return false;
}

uint64_t cluster_agree(struct cluster *c, const char *text, unsigned nodes)
{
    uint64_t end_us = c->now_us + 10000 * MS;
    while (c->now_us < end_us) {
        unsigned leader = cluster_leader(c);
        uint64_t index = leader ? cluster_propose(c, leader, text) : 0;
        if (index && wait_applied(c, index, text, nodes))
            return index;
        cluster_run(c, 20 * MS);
    }
    check_failed(c, __LINE__, text);
    return 0;
}

void cluster_check(struct cluster *c, bool condition, const char *what)
{
    if (!condition)
        check_failed(c, __LINE__, what);
}

bool cluster_voter_is(struct cluster *c, unsigned node, unsigned member)
{
    const struct raft_member *m = raft_config_member(raft_config(c->nodes[node].raft), member);
    return m && m->voter;
}
