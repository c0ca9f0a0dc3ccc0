/* The disk work of a machine: each replica's jobs one after the other, as the daemon's pool does them; saves, flushes and the like run
 * beside them. What a job has done is told by an event; who crashes in between may have done a part of it. */
#include <stdio.h>

#include "store/table_mem.h"
#include "tests/sim/sim.h"

#define FULL_RETRY_US 20000u
#define READS_OF_ONE_HELD 40u
#define READ_HELD_US 3000000u
#define READ_LOOK_US 1000u

static uint64_t disk_time(struct sim *s, const struct sim_machine *m)
{
    return m->slow_disk ? prng_between(&s->prng, 5000, 60000) : prng_between(&s->prng, 100, 600);
}

/* Of what runs beside the rest: now and then, while there are faults, others get the disk first. */
static uint64_t beside_time(struct sim *s, const struct sim_machine *m)
{
    return s->faults_on && prng_chance(&s->prng, 1, 20) ? prng_below(&s->prng, 200000) : disk_time(s, m);
}

/* ---- what is stored ---- */

struct sim_stored *disk_stored(struct sim_machine *m, uint32_t replica)
{
    for (unsigned i = 0; i < m->n_stored; i++)
        if (m->stored[i].replica == replica)
            return &m->stored[i];
    return NULL;
}

/* What could not be deleted yet will be deleted again. */
static struct sim_stored *stored_free_place(struct sim_machine *m)
{
    for (unsigned i = 0; i < m->n_stored; i++)
        if (m->stored[i].gid == UINT64_MAX && !m->stored[i].replica)
            return &m->stored[i];
    ASSERT(m->n_stored < SIM_STORED_MAX);
    return &m->stored[m->n_stored++];
}

/* How many reads of a table that may not wait would have to: of some machines none, of some all, of some a few. It comes from the seed, but not
 * from what the seed draws. */
static unsigned coldness(const struct sim *s, const struct sim_machine *m)
{
    const uint64_t of[] = {s->seed, m->index};
    uint64_t h = hash64_seeded(bytes_of(of, sizeof(of)), 1);
    return h % 2 ? 0 : 1 + (unsigned)(h / 2 % 20);
}

static struct table *table_new(const struct sim *s, const struct sim_machine *m)
{
    struct table *t = table_mem_new();
    table_mem_hold(t, m->tables_behind);
    table_mem_cold(t, coldness(s, m));
    return t;
}

static struct sim_stored *stored_open(const struct sim *s, struct sim_machine *m, const struct node_effect *e)
{
    const struct manifest_replica *d = e->descriptor;
    struct sim_stored *st = NULL;
    for (unsigned i = 0; i < m->n_stored; i++)
        if (m->stored[i].gid == d->gid && m->stored[i].incarnation == d->incarnation && m->stored[i].member == d->member)
            st = &m->stored[i];
    if (!st) {
        st = stored_free_place(m);
        *st = (struct sim_stored){.gid = d->gid, .incarnation = d->incarnation, .member = d->member, .in_flight = UINT64_MAX};
    }
    if (!st->table)
        st->table = table_new(s, m);
    table_mem_hold(st->table, m->tables_behind);
    st->replica = e->replica;
    st->blank = d->blank;
    st->ended = false;
    return st;
}

static void stored_deleted(struct sim_stored *st)
{
    wal_close(st->wal);
    table_free(st->table);
    table_free(st->table_new);
    durable_release(&st->durable);
    st->wal = NULL;
    st->table = st->table_new = NULL;
    st->gid = UINT64_MAX; /* what is made in its place, if its process ends before the manifest says that it is gone, is blank */
}

/* As replica_files_delete: it is all there under its own name or, durably, not at all. Who fails before that finds all of it at the next start, or
 * none of it. */
static enum rgkv_err bury(struct sim_machine *m, struct sim_stored *st)
{
    char dir[96], dead[112];
    disk_dir(st, dir, sizeof(dir));
    snprintf(dead, sizeof(dead), "%s.dead", dir);
    wal_close(st->wal);
    st->wal = NULL;
    durable_release(&st->durable);
    enum rgkv_err err = m->disk->ops->rename(m->disk, dir, dead);
    if (err == RGKV_NOT_FOUND)
        err = RGKV_OK; /* it had failed after that */
    err = err ? err : vfs_sync_parent(m->disk, dir);
    err = err ? err : m->disk->ops->remove_tree(m->disk, dead);
    return err == RGKV_NOT_FOUND ? RGKV_OK : err;
}

static enum rgkv_err stored_delete(struct sim_machine *m, struct sim_stored *st)
{
    if (st->gid != UINT64_MAX) { /* else only the last sync had failed */
        enum rgkv_err err = bury(m, st);
        if (err)
            return err;
        stored_deleted(st);
    }
    return vfs_sync_parent(m->disk, "deleted");
}

/* As replica_files_prepare: what was deleted, and could not be made durable before the process ended, is durably gone before anything is made in
 * its place. The daemon ends when that fails, and is started again. */
void disk_prepare(struct sim_machine *m)
{
    bool deleted = false;
    for (unsigned i = 0; i < m->n_stored; i++)
        deleted |= m->stored[i].gid == UINT64_MAX;
    enum rgkv_err err = deleted ? RGKV_IO : RGKV_OK;
    for (unsigned starts = 0; err && starts < VFS_MEM_CALLS; starts++) /* a fault of each kind, once, at most */
        err = vfs_sync_parent(m->disk, "deleted");
    ASSERT(!err);
}

void disk_wipe(struct sim_machine *m)
{
    for (unsigned i = 0; i < m->n_stored; i++)
        stored_deleted(&m->stored[i]);
    m->n_stored = 0;
}

void disk_release(struct sim_machine *m)
{
    for (unsigned i = 0; i < m->n_stored; i++) {
        table_free(m->stored[i].table);
        table_free(m->stored[i].table_new);
        durable_release(&m->stored[i].durable);
    }
}

void disk_flush_by_itself(struct sim *s, struct sim_machine *m)
{
    struct sim_stored *st = m->n_stored ? &m->stored[prng_below(&s->prng, m->n_stored)] : NULL;
    if (st && st->table && st->wal)
        table_mem_flush(st->table);
}

/* ---- jobs ---- */

static void effect_release(struct node_effect *e)
{
    if (e->kind == NODE_COMMIT)
        wal_batch_release(&e->batch);
    buf_release(&e->sink.rows);
}

static void work_in(struct sim *s, struct sim_machine *m, struct sim_stored *st, uint64_t us)
{
    st->working = true;
    sim_at(s, us, (struct sim_event){.kind = SIM_DISK, .who = m->index, .boot = m->boot, .replica = st->replica});
}

static void work(struct sim *s, struct sim_machine *m, struct sim_stored *st)
{
    if (!st->working && st->jobs)
        work_in(s, m, st, disk_time(s, m));
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

static void save_write(struct sim_stored *st)
{
    if (st->save.done)
        return;
    st->save.err = kv_saving_write(&st->save.what);
    st->save.done = true;
}

/* Who looks into the table may see it early or late. */
static void save_begin(struct sim *s, struct sim_machine *m, struct sim_stored *st, const struct node_effect *e)
{
    ASSERT(!st->save.under_way);
    st->save.what = e->saving;
    st->save.under_way = true;
    st->save.done = false;
    if (prng_chance(&s->prng, 1, 2))
        save_write(st);
    s->counts.saves++;
    sim_at(s, beside_time(s, m), (struct sim_event){.kind = SIM_SAVED, .who = m->index, .boot = m->boot, .replica = st->replica});
}

void disk_save_ends(struct sim *s, struct sim_machine *m, struct sim_stored *st)
{
    if (!st || !st->save.under_way) /* it was not waited for */
        return;
    save_write(st);
    st->save.under_way = false;
    machine_step(s, m, &(struct node_input){.kind = NODE_SAVED, .replica = st->replica, .err = st->save.err});
}

/* Durable is what the table held when the flush began, or any time until it has ended. */
static void flush_begin(struct sim *s, struct sim_machine *m, struct sim_stored *st)
{
    bool before = !m->tables_full && prng_chance(&s->prng, 2, 3);
    if (before)
        table_mem_flush(st->table);
    s->counts.flushes++;
    uint64_t us = prng_chance(&s->prng, 1, 4) ? prng_below(&s->prng, 100000) : disk_time(s, m);
    sim_at(s, us, (struct sim_event){.kind = SIM_FLUSHED, .who = m->index, .boot = m->boot, .replica = st->replica, .up = before});
}

void disk_tables_refuse(struct sim_machine *m, bool refuse)
{
    m->tables_full = refuse;
    for (unsigned i = 0; i < m->n_stored; i++)
        if (m->stored[i].table)
            table_mem_refuse(m->stored[i].table, refuse);
}

void disk_tables_hold(struct sim_machine *m, bool hold)
{
    m->tables_behind = hold;
    for (unsigned i = 0; i < m->n_stored; i++) {
        if (m->stored[i].table)
            table_mem_hold(m->stored[i].table, hold);
        if (m->stored[i].table_new)
            table_mem_hold(m->stored[i].table_new, hold);
    }
}

/* Nothing to do in memory, but it takes its time. */
static void trim(struct sim *s, struct sim_machine *m, const struct node_effect *e)
{
    struct buf from = e->from, to = e->to;
    struct table *t = disk_stored(m, e->replica)->table;
    bool took_more = !e->number || t->ops->range_bytes(t, buf_bytes(&from), buf_bytes(&to)) > e->number;
    buf_release(&from);
    buf_release(&to);
    sim_at(s, disk_time(s, m), (struct sim_event){.kind = SIM_TRIMMED, .who = m->index, .boot = m->boot, .replica = e->replica, .up = took_more});
}

/* The table is in memory: what takes time is to say so. */
static void warm(struct sim *s, struct sim_machine *m, const struct node_effect *e)
{
    struct buf list = e->from;
    kv_warm(disk_stored(m, e->replica)->table, buf_bytes(&list));
    buf_release(&list);
    s->counts.warmed++;
    sim_at(s, beside_time(s, m), (struct sim_event){.kind = SIM_WARMED, .who = m->index, .boot = m->boot, .replica = e->replica,
                                                  .from = (unsigned)e->number});
}

/* Now and then a read lasts until its reader leads no more: the moment at which what was read must not be sent. It comes from the seed, but not from
 * what the seed draws. */
static uint64_t held_until_us(const struct sim *s, const struct sim_machine *m, uint64_t number)
{
    const uint64_t of[] = {s->seed, m->index, m->boot, number};
    return s->faults_on && hash64_seeded(bytes_of(of, sizeof(of)), 2) % READS_OF_ONE_HELD == 0 ? s->now_us + READ_HELD_US : 0;
}

/* What is read is the table as it was when the node opened it: whenever that is. */
static void read_begin(struct sim *s, struct sim_machine *m, const struct node_effect *e)
{
    struct sim_read *r = mem_zalloc(sizeof(*r));
    bool at_once = prng_chance(&s->prng, 1, 2);
    *r = (struct sim_read){.number = e->number, .source = at_once ? NULL : e->source,
                           .held_until_us = held_until_us(s, m, e->number), .next = m->reads};
    m->reads = r;
    if (at_once)
        chunk_read(e->source);
    s->counts.chunks++;
    sim_at(s, beside_time(s, m), (struct sim_event){.kind = SIM_CHUNK, .who = m->index, .boot = m->boot, .replica = e->replica,
                                                  .from = (unsigned)e->number});
}

static void read_ends(struct sim *s, struct sim_machine *m, const struct sim_event *e)
{
    struct sim_read **at = &m->reads, *r;
    while ((*at)->number != e->from)
        at = &(*at)->next;
    r = *at;
    if (s->faults_on && s->now_us < r->held_until_us && machine_leads(m, disk_stored(m, e->replica)->gid)) {
        sim_at(s, READ_LOOK_US, *e);
        return;
    }
    *at = r->next;
    if (r->source)
        chunk_read(r->source);
    machine_step(s, m, &(struct node_input){.kind = NODE_SNAPSHOT_READ_DONE, .replica = e->replica, .number = e->from});
    mem_free(r);
}

static void reads_forget(struct sim_machine *m)
{
    while (m->reads) {
        struct sim_read *r = m->reads;
        m->reads = r->next;
        mem_free(r);
    }
}

bool disk_effect(struct sim *s, struct sim_machine *m, const struct node_effect *e)
{
    switch (e->kind) {
    case NODE_OPEN_REPLICA: job_add(s, m, stored_open(s, m, e), e); return true;
    case NODE_SAVE: save_begin(s, m, disk_stored(m, e->replica), e); return true;
    case NODE_FLUSH: flush_begin(s, m, disk_stored(m, e->replica)); return true;
    case NODE_TRIM: trim(s, m, e); return true;
    case NODE_WARM: warm(s, m, e); return true;
    case NODE_SNAPSHOT_READ: read_begin(s, m, e); return true;
    case NODE_RESET_LOG: /* the table went ahead of its log: what it holds is durable without the log */
        durable_reset(&disk_stored(m, e->replica)->durable, e->index);
        job_add(s, m, disk_stored(m, e->replica), e);
        return true;
    case NODE_SNAPSHOT_INSTALL: s->counts.installs++; /* fall through */
    case NODE_COMMIT: case NODE_COMPACT: case NODE_READ_LOG: case NODE_SNAPSHOT_OPEN: case NODE_SNAPSHOT_WRITE: case NODE_SNAPSHOT_DISCARD: case NODE_DELETE_REPLICA:
        if (e->kind == NODE_DELETE_REPLICA)
            members_check_delete(s, disk_stored(m, e->replica)->gid, disk_stored(m, e->replica)->incarnation,
                                 disk_stored(m, e->replica)->member);
        job_add(s, m, disk_stored(m, e->replica), e);
        return true;
    default: return false;
    }
}

void disk_dir(const struct sim_stored *st, char *to, size_t bytes)
{
    snprintf(to, bytes, "r%llu-%llu-%llu", (unsigned long long)st->gid, (unsigned long long)st->incarnation,
             (unsigned long long)st->member);
}

/* As replica_store.c: what is in the way of a deletion does not wait. */
static bool is_dying(const struct sim_stored *st)
{
    const struct sim_job *j;
    for (j = st->jobs; j && j->effect.kind != NODE_DELETE_REPLICA; j = j->next)
        ;
    return j != NULL;
}

static enum rgkv_err open_replica(struct sim *s, struct sim_machine *m, struct sim_stored *st)
{
    struct wal_recovered recovered;
    struct buf why = {0};
    char dir[96];
    disk_dir(st, dir, sizeof(dir));
    struct wal_identity id = {node_cluster(m->node), st->gid, st->incarnation, st->member};
    struct wal_options options = {.segment_bytes = 32768, .must_exist = !st->blank, .wanted_after = node_applied_in(st->table)};
    enum rgkv_err err = wal_open(m->disk, dir, &id, &options, &st->wal, &recovered, &why);
    if (err == RGKV_NOT_FOUND) { /* as replica_files_open */
        recovered = (struct wal_recovered){.created = true};
        err = RGKV_OK;
    }
    if (!err)
        durable_check_recovered(s, m, st, &recovered);
    if (err == RGKV_NO_SPACE) {
        buf_release(&why);
        if (is_dying(st))
            machine_step(s, m, &(struct node_input){.kind = NODE_REPLICA_OPENED, .replica = st->replica, .err = err, .recovered = &recovered});
        return err;
    }
    m->hurt |= m->rot.there;
    struct node_input in = {.kind = NODE_REPLICA_OPENED, .replica = st->replica, .err = err, .recovered = &recovered, .table = st->table};
    buf_put_u8(&why, 0);
    in.why = (const char *)why.data;
    machine_step(s, m, &in);
    rot_opened(s, m, dir, err);
    if (!err)
        wal_recovered_release(&recovered);
    buf_release(&why);
    return err;
}

static void table_replace(struct sim_stored *st)
{
    table_mem_flush(st->table_new);
    table_free(st->table);
    st->table = st->table_new;
    st->table_new = NULL;
    st->commit_seen = st->applied_seen = st->state_checked = 0;
    st->seen = (struct sim_seen){0};
}

static enum rgkv_err reset_log(struct sim_stored *st, const struct node_effect *e)
{
    enum rgkv_err err = wal_reset(st->wal, e->index, e->term);
    if (!err)
        durable_reset(&st->durable, e->index);
    return err;
}

static enum rgkv_err commit(struct sim_stored *st, struct node_effect *e)
{
    enum rgkv_err err = wal_commit(st->wal, &e->batch);
    if (!err)
        durable_batch(&st->durable, &e->batch);
    else if (err != RGKV_NO_SPACE)
        st->in_flight = durable_lowest(&e->batch); /* what of it is on the disk the next start will tell */
    return err;
}

/* false: nothing is to be told. in->err: NO_SPACE may be told, or be for waits_for_space only. */
static bool job_do(struct sim *s, struct sim_machine *m, struct sim_stored *st, struct node_effect *e, struct node_input *in, struct wal_range *range)
{
    switch (e->kind) {
    case NODE_OPEN_REPLICA:
        in->err = open_replica(s, m, st);
        return false;
    case NODE_SNAPSHOT_DISCARD:
        table_free(st->table_new);
        st->table_new = NULL;
        return false;
    case NODE_COMMIT:
        in->kind = NODE_COMMITTED;
        in->err = commit(st, e);
        break;
    case NODE_COMPACT:
        in->kind = NODE_COMPACTED;
        in->err = wal_compact(st->wal, e->index, NULL);
        break;
    case NODE_READ_LOG:
        in->kind = NODE_LOG_READ;
        in->fetch = &e->fetch;
        in->range = range;
        in->err = wal_read(st->wal, &e->fetch, range);
        s->counts.log_reads++;
        break;
    case NODE_RESET_LOG:
        in->kind = NODE_COMPACTED;
        in->err = reset_log(st, e);
        break;
    case NODE_SNAPSHOT_OPEN:
        in->kind = NODE_SNAPSHOT_OPENED;
        table_free(st->table_new);
        in->table = st->table_new = table_new(s, m);
        break;
    case NODE_SNAPSHOT_WRITE:
        in->kind = NODE_SNAPSHOT_WRITTEN;
        in->number = e->number;
        in->sink = &e->sink;
        in->err = chunk_write(&e->sink);
        break;
    case NODE_SNAPSHOT_INSTALL:
        in->kind = NODE_SNAPSHOT_INSTALLED;
        in->err = m->tables_full ? RGKV_NO_SPACE : RGKV_OK;
        if (!in->err && st->table_new)
            table_replace(st);
        if (!in->err)
            in->err = reset_log(st, e);
        in->table = st->table;
        break;
    case NODE_DELETE_REPLICA:
        in->kind = NODE_REPLICA_DELETED;
        in->err = stored_delete(m, st);
        if (!in->err)
            st->replica = 0;
        break;
    default: ASSERT(false);
    }
    return true;
}

/* As replica_store.c: the same again as long as it takes. Of a commit the node hears at once that it waits. */
static bool waits_for_space(const struct node_effect *e, enum rgkv_err err)
{
    return err == RGKV_NO_SPACE && (e->kind == NODE_COMMIT || e->kind == NODE_OPEN_REPLICA || e->kind == NODE_RESET_LOG ||
                                    e->kind == NODE_SNAPSHOT_INSTALL);
}

static void flushed_event(struct sim *s, struct sim_machine *m, const struct sim_event *e)
{
    struct sim_stored *st = disk_stored(m, e->replica);
    if (!st || !st->table)
        return;
    bool full = !e->up && m->tables_full;
    if (!e->up && !full)
        table_mem_flush(st->table);
    machine_step(s, m, &(struct node_input){.kind = NODE_FLUSHED, .replica = e->replica, .err = full ? RGKV_NO_SPACE : RGKV_OK});
}

static void job_drop(struct sim *s, struct sim_machine *m, struct sim_stored *st)
{
    struct sim_job *j = st->jobs;
    st->jobs = j->next;
    st->working = false;
    effect_release(&j->effect);
    mem_free(j);
    work(s, m, st);
}

void disk_event(struct sim *s, struct sim_machine *m, const struct sim_event *e)
{
    if (e->kind == SIM_SAVED) {
        disk_save_ends(s, m, disk_stored(m, e->replica));
        return;
    }
    if (e->kind == SIM_FLUSHED) {
        flushed_event(s, m, e);
        return;
    }
    if (e->kind == SIM_TRIMMED) {
        struct sim_stored *trimmed = disk_stored(m, e->replica);
        if (trimmed && trimmed->table) /* else it was deleted, which the daemon does after the trim */
            machine_step(s, m, &(struct node_input){.kind = NODE_TRIMMED, .replica = e->replica, .took_more = e->up});
        return;
    }
    if (e->kind == SIM_WARMED) {
        if (disk_stored(m, e->replica)) /* as above */
            machine_step(s, m, &(struct node_input){.kind = NODE_WARMED, .replica = e->replica, .number = e->from});
        return;
    }
    if (e->kind == SIM_CHUNK) {
        read_ends(s, m, e);
        return;
    }
    struct sim_stored *st = disk_stored(m, e->replica);
    ASSERT(st && st->jobs && st->working);
    struct sim_job *j = st->jobs;
    if (st->ended && j->effect.kind != NODE_DELETE_REPLICA) { /* nor is it told: nobody listens */
        job_drop(s, m, st);
        return;
    }
    struct node_input in = {.replica = st->replica};
    struct wal_range range = {0};
    bool tell = job_do(s, m, st, &j->effect, &in, &range), again = waits_for_space(&j->effect, in.err) && !is_dying(st);
    if (in.err)
        sim_trace(s, "%s: disk: %s", m->addr, rgkv_err_name(in.err));
    st->ended |= in.err && is_dying(st);
    if (!again) {
        st->jobs = j->next;
        st->working = false;
    }
    in.disk_bytes = st->wal ? wal_bytes(st->wal) : 0;
    if (tell && !(again && (j->told || j->effect.kind != NODE_COMMIT)))
        machine_step(s, m, &in);
    wal_range_release(&range);
    if (again) {
        j->told = true;
        work_in(s, m, st, FULL_RETRY_US);
        return;
    }
    effect_release(&j->effect);
    mem_free(j);
    work(s, m, st);
}

/* ---- the process's end ---- */

/* The job that is being done when the process ends may be done in part. */
static void half_done(struct sim *s, struct sim_machine *m, struct sim_stored *st)
{
    struct sim_job *j = st->jobs;
    if (!j || !st->wal || (st->ended && j->effect.kind != NODE_DELETE_REPLICA))
        return;
    if (j->effect.kind == NODE_COMMIT)
        st->in_flight = MIN(st->in_flight, durable_lowest(&j->effect.batch));
    if (!prng_chance(&s->prng, 1, 2))
        return;
    enum rgkv_err err = RGKV_OK;
    if (j->effect.kind != NODE_DELETE_REPLICA)
        vfs_mem_halt_after(m->disk, prng_below(&s->prng, 4));
    if (j->effect.kind == NODE_DELETE_REPLICA) {
        err = stored_delete(m, st);
    } else if (j->effect.kind == NODE_COMMIT) {
        err = wal_commit(st->wal, &j->effect.batch);
    } else if (j->effect.kind == NODE_COMPACT) {
        err = wal_compact(st->wal, j->effect.index, NULL);
    } else if (j->effect.kind == NODE_SNAPSHOT_INSTALL && st->table_new && prng_chance(&s->prng, 1, 2)) {
        table_replace(st);
        if (prng_chance(&s->prng, 1, 2))
            err = wal_reset(st->wal, j->effect.index, j->effect.term);
    }
    (void)err;
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
    if (st->table)
        table_mem_crash(st->table);
    table_free(st->table_new);
    st->wal = NULL;
    st->table_new = NULL;
    st->working = st->ended = false;
    st->save.under_way = false;
    st->replica = 0;
    st->commit_seen = st->applied_seen = st->led_term = 0;
    st->seen = (struct sim_seen){0};
    st->state_checked = 0;
}

void disk_process_ended(struct sim *s, struct sim_machine *m, bool power)
{
    disk_tables_refuse(m, false);
    disk_tables_hold(m, false);
    reads_forget(m);
    for (unsigned i = 0; i < m->n_stored; i++)
        half_done(s, m, &m->stored[i]);
    for (unsigned i = 0; i < m->n_stored; i++)
        stored_closed(&m->stored[i]);
    if (power)
        vfs_mem_crash(m->disk, &s->prng);
    else
        vfs_mem_process_ended(m->disk);
    for (unsigned call = 0; call < VFS_MEM_CALLS; call++)
        vfs_mem_fail(m->disk, (enum vfs_mem_call)call, 0, RGKV_OK);
}
