#include "net/replica_store.h"

#include <stdio.h>

#include "kv/kv.h"
#include "net/clock.h"
#include "net/disk.h"
#include "net/replica_files.h"

#define uthash_malloc(bytes) mem_alloc(bytes)
#define uthash_free(p, bytes) mem_free(p)
#include <uthash.h>

#define DISK_BUSY_US 5000u

struct replica_stores {
    struct replica_stores_options options;
    char *dir;
    struct table_rocks_shared *shared;
    struct store *by_replica;     /* uthash */
    unsigned n_jobs;
    bool closing;
    struct disk_lane lane;        /* of what concerns all of them */
    struct disk_job trims_end;
};

struct store {
    uint32_t replica, nshards;
    UT_hash_handle hh;
    struct replica_stores *set;
    struct disk_lane lane;
    struct replica_files files;   /* the lane's jobs', never the loop's while one runs */
    bool dying, deleted;
    bool ended;                   /* dying, and something could not be done: what was to come after that is not done either */
    uint64_t retry_us;            /* the lane is held until then; 0: it is not */
};

/* One effect on its way through the pool. */
struct job {
    struct disk_job disk;
    struct store *store;
    const struct row *row;
    struct wal_batch batch;
    uint64_t index, term, number;
    struct raft_fetch fetch;
    struct wal_range range;
    struct buf from, to;
    struct kv_saving saving;
    struct chunk_source *source;
    struct chunk_sink sink;
    bool took_more;
    struct buf names;             /* of files that are not needed any more */
    bool told_full;
    uint64_t took_us;
    enum rgkv_err err;
    struct buf why;
    struct wal_recovered recovered;
    struct table *table;          /* what the node is told of */
    struct kv *kv;                /* its machine, the node's when it is told */
    uint64_t disk_bytes;
};

/* ---- the work, on a pool thread ---- */

/* It reads a row or two of each of maybe thousands of shards: not on the loop. An error is the node's to find, and to tell. A replica
 * whose log is gone has no table open. */
static void open_machine(struct job *j)
{
    const struct store *s = j->store;
    j->table = s->files.table;
    if (!j->table || s->files.identity.group == 0)
        return;
    enum rgkv_err err = kv_open(j->table, s->files.identity.group, s->nshards, &j->kv);
    (void)err;
}

static enum rgkv_err open_work(struct job *j)
{
    enum rgkv_err err = replica_files_open(&j->store->files, &j->recovered, &j->why);
    if (!err)
        open_machine(j);
    return err;
}

static enum rgkv_err logged(struct job *j, enum rgkv_err err)
{
    struct wal *w = j->store->files.wal;
    if (err)
        buf_printf(&j->why, "%s", wal_error(w));
    j->disk_bytes = wal_bytes(w);
    return err;
}

static enum rgkv_err commit_work(struct job *j)
{
    return logged(j, wal_commit(j->store->files.wal, &j->batch));
}
static enum rgkv_err compact_work(struct job *j)
{
    return logged(j, wal_compact(j->store->files.wal, j->index, &j->names));
}
static enum rgkv_err read_work(struct job *j) { return logged(j, wal_read(j->store->files.wal, &j->fetch, &j->range)); }
static enum rgkv_err reset_work(struct job *j) { return logged(j, wal_reset(j->store->files.wal, j->index, j->term)); }

static enum rgkv_err flush_work(struct job *j) { return table_rocks_flush(j->store->files.table); }
static enum rgkv_err save_work(struct job *j) { return kv_saving_write(&j->saving); }

static enum rgkv_err trim_work(struct job *j)
{
    struct table *t = j->store->files.table;
    struct bytes from = buf_bytes(&j->from), to = buf_bytes(&j->to);
    j->took_more = !j->number || t->ops->range_bytes(t, from, to) > j->number;
    return j->took_more ? table_rocks_trim(t, from, to) : RGKV_OK;
}

static enum rgkv_err warm_work(struct job *j)
{
    kv_warm(j->store->files.table, buf_bytes(&j->from));
    return RGKV_OK;
}

static enum rgkv_err chunk_read_work(struct job *j)
{
    chunk_read(j->source);
    return RGKV_OK;
}
static enum rgkv_err chunk_write_work(struct job *j) { return chunk_write(&j->sink); }

static enum rgkv_err unlink_work(struct job *j)
{
    wal_unlink(j->store->files.vfs, buf_bytes(&j->names));
    return RGKV_OK;
}

static enum rgkv_err discard_work(struct job *j) { return replica_files_discard(&j->store->files, &j->why); }

static enum rgkv_err incoming_work(struct job *j)
{
    enum rgkv_err err = replica_files_incoming(&j->store->files, &j->why);
    j->table = j->store->files.incoming;
    return err;
}

static enum rgkv_err install_work(struct job *j)
{
    struct replica_files *f = &j->store->files;
    enum rgkv_err err = replica_files_install(f, j->index, j->term, &j->why);
    j->table = f->table;
    if (!err)
        open_machine(j);
    return err;
}

static enum rgkv_err retire_work(struct job *j) { return replica_files_retire(&j->store->files, &j->why); }

static enum rgkv_err delete_work(struct job *j) { return replica_files_delete(&j->store->files, &j->why); }

/* ---- effects to jobs, jobs to inputs ---- */

static const struct row {
    enum node_effect_kind effect;  /* 0: our own */
    enum disk_kind lane;
    enum node_input_kind outcome;  /* 0: nobody is told */
    enum rgkv_err (*work)(struct job *j);
} rows[] = {
    {NODE_OPEN_REPLICA, DISK_ORDERED, NODE_REPLICA_OPENED, open_work},
    {NODE_COMMIT, DISK_ORDERED, NODE_COMMITTED, commit_work},
    {NODE_SAVE, DISK_BESIDE, NODE_SAVED, save_work},
    {NODE_FLUSH, DISK_BESIDE, NODE_FLUSHED, flush_work},
    {NODE_TRIM, DISK_BESIDE, NODE_TRIMMED, trim_work},
    {NODE_WARM, DISK_BESIDE, NODE_WARMED, warm_work},
    {NODE_COMPACT, DISK_ORDERED, NODE_COMPACTED, compact_work},
    {NODE_READ_LOG, DISK_ORDERED, NODE_LOG_READ, read_work},
    {NODE_RESET_LOG, DISK_ORDERED, NODE_COMPACTED, reset_work},
    {NODE_SNAPSHOT_READ, DISK_BESIDE, NODE_SNAPSHOT_READ_DONE, chunk_read_work},
    {NODE_SNAPSHOT_OPEN, DISK_ORDERED, NODE_SNAPSHOT_OPENED, incoming_work},
    {NODE_SNAPSHOT_WRITE, DISK_ORDERED, NODE_SNAPSHOT_WRITTEN, chunk_write_work},
    {NODE_SNAPSHOT_INSTALL, DISK_ALONE, NODE_SNAPSHOT_INSTALLED, install_work},
    {NODE_SNAPSHOT_DISCARD, DISK_ORDERED, 0, discard_work},
    {NODE_DELETE_REPLICA, DISK_ALONE, NODE_REPLICA_DELETED, delete_work},
};
static const struct row retire_row = {0, DISK_ALONE, 0, retire_work};
static const struct row unlink_row = {0, DISK_BESIDE, 0, unlink_work};

static const struct row *row_of(enum node_effect_kind kind)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].effect == kind)
            return &rows[i];
    return NULL;
}

static void on_work(struct disk_job *d)
{
    struct job *j = (struct job *)d;
    uint64_t begun_us = clock_now_us();
    j->err = j->row->lane == DISK_ORDERED && j->store->ended ? RGKV_NO_SPACE : j->row->work(j);
    j->took_us = clock_now_us() - begun_us;
}

/* A commit that takes long says that the disk is busy, and so does a list of rows: then the loop had better not read by itself. */
static void note_disk(const struct job *j)
{
    bool short_one = j->row->effect == NODE_COMMIT || j->row->effect == NODE_WARM;
    if (short_one && j->took_us >= DISK_BUSY_US)
        patience_spend(table_rocks_patience(j->store->set->shared), j->took_us);
}

static void tell(struct job *j)
{
    struct replica_stores *s = j->store->set;
    if (j->row->outcome == 0 || s->closing)
        return;
    buf_put_u8(&j->why, 0);
    struct node_input in = {.kind = j->row->outcome, .replica = j->store->replica, .err = j->err,
                            .why = j->why.len > 1 ? (const char *)j->why.data : rgkv_err_sentence(j->err),
                            .recovered = &j->recovered, .table = j->table, .kv = j->kv, .fetch = &j->fetch, .range = &j->range, .sink = &j->sink, .number = j->number, .took_more = j->took_more, .disk_bytes = j->disk_bytes};
    j->kv = NULL;
    s->options.step(s->options.arg, &in);
}

static void job_free(struct job *j)
{
    j->store->set->n_jobs--;
    kv_free(j->kv);
    wal_batch_release(&j->batch);
    wal_recovered_release(&j->recovered);
    wal_range_release(&j->range);
    buf_release(&j->why);
    buf_release(&j->names);
    buf_release(&j->from);
    buf_release(&j->to);
    buf_release(&j->sink.rows);
    mem_free(j);
}

static void on_done(struct disk_job *d);

/* What waits gets one more try, and then its end. */
static void wait_no_more(struct store *s)
{
    if (!s->retry_us)
        return;
    s->retry_us = 0;
    disk_lane_release(&s->lane);
}

static struct job *job_new(struct store *s, struct job with)
{
    struct job *j = mem_alloc(sizeof(*j));
    *j = with;
    j->store = s;
    j->disk = (struct disk_job){.kind = with.row->lane, .urgent = with.row->effect == NODE_COMPACT, .work = on_work, .done = on_done};
    s->set->n_jobs++;
    return j;
}

static void job_start(struct store *s, struct job with) { disk_run(&s->lane, &job_new(s, with)->disk); }

/* What waits for space on a full disk, in words. */
static const char *waits(const struct job *j)
{
    switch (j->row->effect) {
    case NODE_COMMIT: return "a commit";
    case NODE_OPEN_REPLICA: return "opening it";
    case NODE_RESET_LOG: return "its log, to begin after its table,";
    case NODE_SNAPSHOT_INSTALL: return "putting a snapshot in place";
    default: return NULL;
    }
}

/* The node refuses writes while a commit waits; with the others the replica only keeps silent, and somebody may wonder why. */
static void tell_full(struct job *j)
{
    char text[256];
    if (j->row->effect == NODE_COMMIT) {
        tell(j);
        return;
    }
    snprintf(text, sizeof(text), "%s: %s waits for space on the disk", strrchr(j->store->files.dir, '/') + 1, waits(j));
    j->store->set->options.line(j->store->set->options.arg, text);
}

/* Not done: the same again as long as it takes (the node knows, and tells who asks). */
static bool wait_for_space(struct job *j)
{
    struct store *s = j->store;
    if (!waits(j) || j->err != RGKV_NO_SPACE || s->set->closing || s->dying)
        return false;
    if (!j->told_full)
        tell_full(j);
    j->told_full = true;
    buf_clear(&j->why);
    s->retry_us = clock_now_us() + REPLICA_STORE_RETRY_US;
    disk_put_back(&s->lane, &j->disk);
    return true;
}

static void on_done(struct disk_job *d)
{
    struct job *j = (struct job *)d;
    struct store *s = j->store;
    note_disk(j);
    if (wait_for_space(j))
        return;
    if (j->row->lane == DISK_ORDERED) /* none of these runs now, to look at it */
        s->ended |= s->dying && j->err;
    if (j->row->effect == NODE_COMPACT && j->names.len) {
        job_start(s, (struct job){.row = &unlink_row, .names = j->names});
        j->names = (struct buf){0};
    }
    tell(j);
    if (j->row->effect == NODE_SNAPSHOT_INSTALL && s->files.old)
        job_start(s, (struct job){.row = &retire_row});
    if (j->row->effect == NODE_DELETE_REPLICA && !j->err)
        s->deleted = true;
    job_free(j);
}

/* ---- the set ---- */

enum rgkv_err replica_stores_new(const struct replica_stores_options *o, struct replica_stores **ret_s, struct buf *why)
{
    enum rgkv_err err = replica_files_prepare(o->vfs, o->dir, why);
    if (err)
        return err;
    struct replica_stores *s = mem_zalloc(sizeof(*s));
    s->options = *o;
    s->options.dir = s->dir = mem_strdup(o->dir);
    s->shared = table_rocks_shared_new(o->table_budget_bytes, o->compaction_nice);
    disk_lane_init(&s->lane, o->pool);
    *ret_s = s;
    return RGKV_OK;
}

static struct store *find(struct replica_stores *s, uint32_t replica)
{
    struct store *t;
    HASH_FIND(hh, s->by_replica, &replica, sizeof(replica), t);
    return t;
}

static struct store *store_new(struct replica_stores *s, const struct node_effect *e)
{
    const struct manifest_replica *d = e->descriptor;
    struct store *t = mem_zalloc(sizeof(*t));
    t->replica = e->replica;
    t->nshards = d->nshards;
    t->set = s;
    t->files.vfs = s->options.vfs;
    t->files.shared = s->shared;
    t->files.segment_bytes = s->options.segment_bytes;
    t->files.blank = d->blank;
    t->files.identity = (struct wal_identity){e->cluster, d->gid, d->incarnation, d->member};
    int len = snprintf(t->files.dir, sizeof(t->files.dir), "%s/%llu-%llu-%llu", s->dir, (unsigned long long)d->gid,
                       (unsigned long long)d->incarnation, (unsigned long long)d->member);
    ASSERT(len > 0 && (unsigned)len < sizeof(t->files.dir) - sizeof(REPLICA_DEAD) - 40);
    disk_lane_init(&t->lane, s->options.pool);
    HASH_ADD(hh, s->by_replica, replica, sizeof(t->replica), t);
    return t;
}

bool replica_stores_effect(struct replica_stores *s, struct node_effect *e)
{
    const struct row *row = row_of(e->kind);
    if (!row)
        return false;
    struct store *t = e->kind == NODE_OPEN_REPLICA ? store_new(s, e) : find(s, e->replica);
    ASSERT(t && !t->deleted);
    struct job job = {.row = row, .index = e->index, .term = e->term, .number = e->number, .fetch = e->fetch, .from = e->from, .to = e->to,
                      .saving = e->saving, .source = e->source, .sink = e->sink};
    if (e->kind == NODE_COMMIT)
        job.batch = e->batch;
    t->dying |= e->kind == NODE_DELETE_REPLICA;
    job_start(t, job);
    if (t->dying)
        wait_no_more(t);
    return true;
}

static void store_free(struct store *t)
{
    HASH_DEL(t->set->by_replica, t);
    replica_files_close(&t->files);
    mem_free(t);
}

void replica_stores_sweep(struct replica_stores *s, uint64_t now_us)
{
    struct store *t, *next;
    HASH_ITER(hh, s->by_replica, t, next) {
        if (now_us >= t->retry_us)
            wait_no_more(t);
        if (t->deleted && disk_lane_idle(&t->lane))
            store_free(t);
    }
}

void replica_stores_memory(const struct replica_stores *s, struct table_rocks_memory *ret_m) { table_rocks_memory(s->shared, ret_m); }
bool replica_stores_idle(const struct replica_stores *s) { return s->n_jobs == 0; }

static void trims_end_work(struct disk_job *d)
{
    struct replica_stores *s = (struct replica_stores *)((char *)d - offsetof(struct replica_stores, trims_end));
    table_rocks_trims_end(s->shared);
}

static void trims_end_done(struct disk_job *d)
{
    struct replica_stores *s = (struct replica_stores *)((char *)d - offsetof(struct replica_stores, trims_end));
    s->n_jobs--;
}

/* A trim may take minutes, and is only for space: so it ends. What waits for space gets one more try, and then its end. */
void replica_stores_close(struct replica_stores *s)
{
    s->closing = true;
    s->n_jobs++;
    s->trims_end = (struct disk_job){.kind = DISK_BESIDE, .work = trims_end_work, .done = trims_end_done};
    disk_run(&s->lane, &s->trims_end);
    replica_stores_sweep(s, UINT64_MAX);
}

void replica_stores_free(struct replica_stores *s)
{
    if (!s)
        return;
    ASSERT(replica_stores_idle(s));
    struct store *t, *next;
    HASH_ITER(hh, s->by_replica, t, next)
        store_free(t);
    table_rocks_shared_free(s->shared);
    mem_free(s->dir);
    mem_free(s);
}
