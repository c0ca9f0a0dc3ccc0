/* One machine: a disk that may forget, and a process that drives the node engine as the daemon does. */
#include "tests/sim/sim.h"

#include <limits.h>
#include <stdio.h>

#include "store/table_mem.h"

static uint64_t clock_us(const struct sim *s, const struct sim_machine *m) { return s->now_us + (uint64_t)m->clock_skew_us; }

void machine_init(struct sim *s, unsigned index, bool controller)
{
    struct sim_machine *m = &s->machines[index];
    *m = (struct sim_machine){.index = index, .controller = controller, .disk = vfs_mem_new()};
    snprintf(m->addr, sizeof(m->addr), "n%u:7000", index);
}

/* ---- the process's end ---- */

static void effect_release(struct node_effect *e)
{
    if (e->kind == NODE_COMMIT)
        wal_batch_release(&e->batch);
}

static void stored_closed(struct sim_stored *st)
{
    while (st->jobs) {
        struct sim_job *j = st->jobs;
        st->jobs = j->next;
        effect_release(&j->effect);
        mem_free(j);
    }
    if (st->wal)
        wal_close(st->wal);
    st->wal = NULL;
    st->working = false;
    st->replica = 0;
    st->commit_seen = st->applied_seen = 0;
}

/* The job that is being done when the power goes may be done in part. */
static void half_done(struct sim *s, struct sim_machine *m, struct sim_stored *st)
{
    struct sim_job *j = st->jobs;
    if (!j || !st->wal || !prng_chance(&s->prng, 1, 2))
        return;
    vfs_mem_halt_after(m->disk, prng_below(&s->prng, 4));
    if (j->effect.kind == NODE_COMMIT) {
        enum rgkv_err err = wal_commit(st->wal, &j->effect.batch);
        (void)err;
    } else if (j->effect.kind == NODE_SNAPSHOT_INSTALL && st->table_new && prng_chance(&s->prng, 1, 2)) {
        table_mem_flush(st->table_new);
        table_free(st->table);
        st->table = st->table_new;
        st->table_new = NULL;
    } else if (j->effect.kind == NODE_FLUSH) {
        table_mem_flush(st->table);
    }
}

static void table_after_crash(struct sim_stored *st)
{
    if (st->table)
        table_mem_crash(st->table);
    table_free(st->table_new);
    st->table_new = NULL;
}

void machine_crash(struct sim *s, struct sim_machine *m)
{
    if (!m->node)
        return;
    sim_trace(s, "%s crashes", m->addr);
    s->counts.crashes++;
    node_free(m->node);
    m->node = NULL;
    for (unsigned i = 0; i < m->n_stored; i++)
        half_done(s, m, &m->stored[i]);
    for (unsigned i = 0; i < m->n_stored; i++) {
        stored_closed(&m->stored[i]);
        table_after_crash(&m->stored[i]);
    }
    vfs_mem_crash(m->disk, &s->prng);
    buf_release(&m->manifest_pending);
    m->boot++;
    caller_machine_died(s, m->index);
}

void machine_release(struct sim *s, struct sim_machine *m)
{
    node_free(m->node);
    m->node = NULL;
    for (unsigned i = 0; i < m->n_stored; i++) {
        stored_closed(&m->stored[i]);
        table_free(m->stored[i].table);
        table_free(m->stored[i].table_new);
    }
    vfs_mem_free(m->disk);
    buf_release(&m->manifest);
    buf_release(&m->manifest_pending);
}

/* ---- driving the engine ---- */

static void drain(struct sim *s, struct sim_machine *m);

static void collect_later(struct sim *s, struct sim_machine *m)
{
    if (m->collect_due)
        return;
    m->collect_due = true;
    sim_at(s, prng_below(&s->prng, 30), (struct sim_event){.kind = SIM_COLLECT, .who = m->index, .boot = m->boot});
}

static void step(struct sim *s, struct sim_machine *m, struct node_input *in)
{
    if (!m->node)
        return;
    in->now_us = clock_us(s, m);
    node_step(m->node, in);
    drain(s, m);
    collect_later(s, m);
}

static void tick_at(struct sim *s, struct sim_machine *m)
{
    uint64_t at = node_deadline_us(m->node);
    if (at == UINT64_MAX)
        return;
    uint64_t now = clock_us(s, m);
    at = MAX(at, now + 1000) - (uint64_t)m->clock_skew_us;
    if (m->tick_at_us > s->now_us && m->tick_at_us <= at)
        return;
    m->tick_at_us = at;
    sim_at(s, at - s->now_us, (struct sim_event){.kind = SIM_TICK, .who = m->index, .boot = m->boot});
}

static void collect(struct sim *s, struct sim_machine *m)
{
    m->collect_due = false;
    bool more = node_collect(m->node);
    drain(s, m);
    if (more)
        collect_later(s, m);
    if (m->node) {
        tick_at(s, m);
        truth_check_machine(s, m);
    }
}

/* ---- effects ---- */

static struct sim_stored *stored_of(struct sim_machine *m, uint32_t replica)
{
    for (unsigned i = 0; i < m->n_stored; i++)
        if (m->stored[i].replica == replica)
            return &m->stored[i];
    return NULL;
}

static struct sim_stored *stored_open(struct sim_machine *m, const struct node_effect *e)
{
    const struct manifest_replica *d = e->descriptor;
    struct sim_stored *st = NULL;
    for (unsigned i = 0; i < m->n_stored; i++)
        if (m->stored[i].gid == d->gid && m->stored[i].incarnation == d->incarnation && m->stored[i].member == d->member)
            st = &m->stored[i];
    if (!st) {
        ASSERT(m->n_stored < SIM_STORED_MAX);
        st = &m->stored[m->n_stored++];
        *st = (struct sim_stored){.gid = d->gid, .incarnation = d->incarnation, .member = d->member, .table = table_mem_new()};
    }
    if (!st->table)
        st->table = table_mem_new();
    st->replica = e->replica;
    return st;
}

static uint64_t disk_time(struct sim *s, const struct sim_machine *m)
{
    return m->slow_disk ? prng_between(&s->prng, 5000, 60000) : prng_between(&s->prng, 100, 600);
}

static void work(struct sim *s, struct sim_machine *m, struct sim_stored *st)
{
    if (st->working || !st->jobs)
        return;
    st->working = true;
    sim_at(s, disk_time(s, m), (struct sim_event){.kind = SIM_DISK, .who = m->index, .boot = m->boot, .replica = st->replica});
}

static void job_add(struct sim *s, struct sim_machine *m, struct sim_stored *st, const struct node_effect *e)
{
    struct sim_job *j = mem_zalloc(sizeof(*j));
    j->effect = *e;
    struct sim_job **at = &st->jobs;
    while (*at)
        at = &(*at)->next;
    *at = j;
    work(s, m, st);
}

static void save_manifest(struct sim *s, struct sim_machine *m, const struct node_effect *e)
{
    buf_clear(&m->manifest_pending);
    manifest_encode(e->manifest, &m->manifest_pending);
    sim_at(s, disk_time(s, m), (struct sim_event){.kind = SIM_MANIFEST, .who = m->index, .boot = m->boot});
}

static void effect(struct sim *s, struct sim_machine *m, const struct node_effect *e)
{
    unsigned to;
    switch (e->kind) {
    case NODE_SEND:
        if ((to = sim_machine_at(s, e->addr)) != UINT_MAX)
            network_send(s, m->index, to, e->frames);
        break;
    case NODE_REPLY: network_send(s, m->index, (unsigned)e->conn - 1, e->frames); break;
    case NODE_SAVE_MANIFEST: save_manifest(s, m, e); break;
    case NODE_OPEN_REPLICA: job_add(s, m, stored_open(m, e), e); break;
    case NODE_SNAPSHOT_INSTALL: s->counts.installs++; /* fall through */
    case NODE_COMMIT: case NODE_FLUSH: case NODE_COMPACT: case NODE_RESET_LOG: case NODE_SNAPSHOT_OPEN:
    case NODE_SNAPSHOT_DISCARD: case NODE_DELETE_REPLICA:
        job_add(s, m, stored_of(m, e->replica), e);
        break;
    case NODE_EVENT: sim_trace(s, "%s: %s", m->addr, e->why); break;
    case NODE_FAILED: sim_fail(s, "%s gave up: %s", m->addr, e->why); break;
    case NODE_STOPPED: break;
    }
}

static void drain(struct sim *s, struct sim_machine *m)
{
    struct node_effect e;
    while (m->node && node_next(m->node, &e))
        effect(s, m, &e);
}

/* ---- disk work ---- */

static void stored_dir(const struct sim_stored *st, char *to, size_t bytes)
{
    snprintf(to, bytes, "r%llu-%llu-%llu", (unsigned long long)st->gid, (unsigned long long)st->incarnation,
             (unsigned long long)st->member);
}

static void open_replica(struct sim *s, struct sim_machine *m, struct sim_stored *st)
{
    struct wal_recovered recovered;
    struct buf why = {0};
    char dir[96];
    stored_dir(st, dir, sizeof(dir));
    struct wal_identity id = {node_cluster(m->node), st->gid, st->incarnation, st->member};
    struct wal_options options = {.segment_bytes = 32768};
    enum rgkv_err err = wal_open(m->disk, dir, &id, &options, &st->wal, &recovered, &why);
    struct node_input in = {.kind = NODE_REPLICA_OPENED, .replica = st->replica, .err = err, .recovered = &recovered, .table = st->table};
    buf_put_u8(&why, 0);
    in.why = (const char *)why.data;
    step(s, m, &in);
    if (!err)
        wal_recovered_release(&recovered);
    buf_release(&why);
}

static enum rgkv_err install(struct sim_stored *st, const struct node_effect *e)
{
    table_mem_flush(st->table_new);
    table_free(st->table);
    st->table = st->table_new;
    st->table_new = NULL;
    return wal_reset(st->wal, e->index, e->term);
}

static void deleted(struct sim_machine *m, struct sim_stored *st)
{
    char dir[96];
    stored_dir(st, dir, sizeof(dir));
    if (st->wal)
        wal_close(st->wal);
    enum rgkv_err err = m->disk->ops->remove_tree(m->disk, dir);
    ASSERT(err == RGKV_OK);
    table_free(st->table);
    table_free(st->table_new);
    st->wal = NULL;
    st->table = st->table_new = NULL;
    st->gid = UINT64_MAX; /* never asked for again: a replica that comes back has another member id */
}

static void job_do(struct sim *s, struct sim_machine *m, struct sim_stored *st, struct node_effect *e)
{
    struct node_input in = {.replica = st->replica};
    switch (e->kind) {
    case NODE_OPEN_REPLICA: open_replica(s, m, st); return;
    case NODE_COMMIT:
        in.kind = NODE_COMMITTED;
        in.err = wal_commit(st->wal, &e->batch);
        break;
    case NODE_FLUSH:
        in.kind = NODE_FLUSHED;
        table_mem_flush(st->table);
        s->counts.snapshots++;
        break;
    case NODE_COMPACT:
        in.kind = NODE_COMPACTED;
        in.err = wal_compact(st->wal, e->index, e->term);
        break;
    case NODE_RESET_LOG:
        in.kind = NODE_COMPACTED;
        in.err = wal_reset(st->wal, e->index, e->term);
        break;
    case NODE_SNAPSHOT_OPEN:
        in.kind = NODE_SNAPSHOT_OPENED;
        table_free(st->table_new);
        in.table = st->table_new = table_mem_new();
        break;
    case NODE_SNAPSHOT_DISCARD:
        table_free(st->table_new);
        st->table_new = NULL;
        return;
    case NODE_SNAPSHOT_INSTALL:
        in.kind = NODE_SNAPSHOT_INSTALLED;
        in.err = install(st, e);
        in.table = st->table;
        st->commit_seen = st->applied_seen = 0;
        break;
    case NODE_DELETE_REPLICA:
        in.kind = NODE_REPLICA_DELETED;
        deleted(m, st);
        break;
    default: ASSERT(false);
    }
    if (in.err)
        sim_trace(s, "%s: disk: %s", m->addr, rgkv_err_name(in.err));
    step(s, m, &in);
}

static void disk_event(struct sim *s, struct sim_machine *m, const struct sim_event *e)
{
    struct sim_stored *st = stored_of(m, e->replica);
    ASSERT(st && st->jobs && st->working);
    struct sim_job *j = st->jobs;
    st->jobs = j->next;
    st->working = false;
    job_do(s, m, st, &j->effect);
    effect_release(&j->effect);
    mem_free(j);
    work(s, m, st);
}

/* ---- events ---- */

void machine_boot(struct sim *s, struct sim_machine *m)
{
    static const struct manifest blank;
    struct manifest manifest = blank;
    struct buf why = {0};
    if (m->node)
        return;
    m->clock_skew_us = (int64_t)prng_below(&s->prng, 1000000000);
    m->collect_due = false;
    m->tick_at_us = 0;
    if (m->has_manifest) {
        enum rgkv_err err = manifest_decode(buf_bytes(&m->manifest), &manifest);
        ASSERT(err == RGKV_OK);
    }
    struct node_options o = {.seed = prng_next(&s->prng), .now_us = clock_us(s, m), .boot = prng_next(&s->prng), .version = "sim",
                             .n_controllers = s->n_controllers, .nshards = s->nshards, .snapshot_bytes = s->snapshot_bytes,
                             .manifest = &manifest};
    memcpy(o.addr, m->addr, sizeof(o.addr));
    for (unsigned i = 0; i < s->n_controllers; i++)
        memcpy(o.controllers[i], s->machines[i].addr, ADDR_BYTES_MAX);
    enum rgkv_err err = node_new(&o, &m->node, &why);
    ASSERT(err == RGKV_OK);
    buf_release(&why);
    sim_trace(s, "%s boots", m->addr);
    s->counts.restarts++;
    drain(s, m);
    collect_later(s, m);
}

void machine_frame(struct sim *s, struct sim_machine *m, unsigned from, struct bytes frame)
{
    struct arena arena = {0};
    struct msg msg;
    if (!m->node)
        return;
    enum rgkv_err err = msg_decode(frame, &arena, &msg);
    ASSERT(err == RGKV_OK);
    step(s, m, &(struct node_input){.kind = NODE_RECEIVED, .conn = from + 1, .message = &msg});
    msg_release(&msg);
    arena_release(&arena);
}

void machine_event(struct sim *s, const struct sim_event *e)
{
    struct sim_machine *m = &s->machines[e->who];
    if (e->kind == SIM_RESTART) {
        machine_boot(s, m);
        return;
    }
    if (!m->node || e->boot != m->boot)
        return;
    switch (e->kind) {
    case SIM_TICK:
        if (s->now_us == m->tick_at_us)
            step(s, m, &(struct node_input){.kind = NODE_TICK});
        break;
    case SIM_COLLECT: collect(s, m); break;
    case SIM_DISK: disk_event(s, m, e); break;
    case SIM_MANIFEST:
        buf_release(&m->manifest);
        m->manifest = m->manifest_pending;
        m->manifest_pending = (struct buf){0};
        m->has_manifest = true;
        step(s, m, &(struct node_input){.kind = NODE_MANIFEST_SAVED});
        break;
    default: break;
    }
}
