#include "net/server.h"

#include <stdio.h>

#include "net/clock.h"
#include "net/disk.h"
#include "net/lag.h"
#include "net/line_limit.h"
#include "net/link.h"
#include "net/listener.h"
#include "net/pool.h"
#include "net/replica_store.h"
#include "store/smallfile.h"

#define SWEEP_MS 1000u
#define DISK_THREADS 16u      /* long jobs (compact.c, warm.c) and installations take some of them, logs need the others */
#define ROUND_US 2000u     /* then what came in meanwhile is read */
#define STALL_TOLD_US 200000u /* a heartbeat or four that did not go out */
#define SEGMENT_BYTES_MIN (16u << 10)
#define SEGMENT_BYTES_MAX (16u << 20)
#define PATH_BYTES 4096u

struct server {
    uv_loop_t *loop;
    struct vfs *vfs;
    struct server_events events;
    void *arg;
    char *data_dir;
    char addr[ADDR_BYTES_MAX], advertise[ADDR_BYTES_MAX];
    char version[32];
    struct node *node;
    bool dirty;                   /* inputs since the last collect */
    bool closing, failed;

    uv_tcp_t listener;
    struct conns *conns;
    struct links *links;
    struct replica_stores *stores;
    struct pool *pool;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t again;              /* active: there is work left, the poll must not wait */
    uv_timer_t sweep;
    struct ticker ticker;
    struct lag lag;
    struct line_limit stalls;

    /* the data directory's own jobs: the manifest (one at a time, the node sees to that) and what is left of the disk, used of memory */
    struct disk_lane lane;
    struct disk_job save, look;
    struct buf manifest, save_why;
    enum rgkv_err save_err, space_err;
    bool looking, save_waits, save_runs;
    uint64_t space_free, space_total;
    struct table_rocks_memory memory, memory_seen; /* told; the job's */
};

/* ---- inputs ---- */

static void step(struct server *s, struct node_input *in)
{
    if (s->closing)
        return;
    in->now_us = clock_now_us();
    s->dirty = true;
    node_step(s->node, in);
}

static void on_stored(void *arg, struct node_input *in) { step(arg, in); }
static void on_store_line(void *arg, const char *text)
{
    struct server *s = arg;
    s->events.line(s->arg, text);
}
static void on_tick(void *arg) { step(arg, &(struct node_input){.kind = NODE_TICK}); }

static void fail(struct server *s, const char *why)
{
    if (!s->failed)
        s->events.failed(s->arg, why);
    s->failed = true;
}

static void received(struct server *s, struct conn *c, const struct msg *m)
{
    step(s, &(struct node_input){.kind = NODE_RECEIVED, .conn = conn_id(c), .message = m});
}

static void gone(struct server *s, uint64_t conn)
{
    step(s, &(struct node_input){.kind = NODE_CONN_CLOSED, .conn = conn});
}

/* ---- connections ---- */

static void fill_hello(void *arg, struct msg *m)
{
    const struct server *s = arg;
    m->kind = MSG_HELLO;
    m->cluster = node_cluster(s->node);
    m->hello.node = node_id(s->node);
    memcpy(m->hello.addr, s->advertise, sizeof(m->hello.addr));
    memcpy(m->hello.version, s->version, sizeof(m->hello.version));
}

static void on_conn_message(void *owner, struct conn *c, const struct msg *m) { received(owner, c, m); }
static void on_conn_closed(void *owner, struct conn *c) { gone(owner, conn_id(c)); }
static void on_conn_full(void *owner, struct conn *c, bool full)
{
    step(owner, &(struct node_input){.kind = NODE_CONN_FULL, .conn = conn_id(c), .full = full});
}
static const struct conn_events conn_events = {on_conn_message, on_conn_message, on_conn_closed, on_conn_full};

static void on_link_message(void *arg, const char *addr, struct conn *c, const struct msg *m) { received(arg, c, m); }
static void on_link_conn_closed(void *arg, uint64_t conn) { gone(arg, conn); }
static const struct links_events links_events = {
    .hello = fill_hello, .message = on_link_message, .conn_closed = on_link_conn_closed};

/* Without a descriptor libuv turns connections away with one that it keeps for that; only when another thread has taken it, this is told, again
 * and again, and the loop would do nothing else. And a log that needs its next file would end the process just as well. */
static void no_descriptor(struct server *s)
{
    fail(s, "no file descriptors are left: the limit (RLIMIT_NOFILE) is too low for this many replicas and connections");
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct server *s = listener->data;
    if (status == UV_EMFILE || status == UV_ENFILE) {
        no_descriptor(s);
        return;
    }
    struct conn *c = status < 0 ? NULL : conns_accept(s->conns, listener, &conn_events, s);
    if (!c)
        return;
    struct msg m = {.kind = MSG_HELLO};
    fill_hello(s, &m);
    conn_send_msg(c, &m);
}

/* ---- the data directory ---- */

static void path_of(char path[static PATH_BYTES], const char *dir, const char *name)
{
    int len = snprintf(path, PATH_BYTES, "%s/%s", dir, name);
    ASSERT(len > 0 && (unsigned)len < PATH_BYTES);
}

enum rgkv_err server_manifest_load(struct vfs *v, const char *data_dir, struct manifest *ret_m, struct buf *why)
{
    char path[PATH_BYTES];
    struct buf content = {0};
    path_of(path, data_dir, "manifest");
    enum rgkv_err err = small_file_read(v, path, &content, why);
    if (!err && (err = manifest_decode(buf_bytes(&content), ret_m)))
        buf_printf(why, "%s is damaged or of another release", path);
    buf_release(&content);
    return err;
}

static void save_work(struct disk_job *j)
{
    struct server *s = (struct server *)((char *)j - offsetof(struct server, save));
    char path[PATH_BYTES];
    path_of(path, s->data_dir, "manifest");
    buf_clear(&s->save_why);
    s->save_err = small_file_write(s->vfs, path, buf_bytes(&s->manifest), &s->save_why);
    buf_put_u8(&s->save_why, 0);
}

static void save_done(struct disk_job *j)
{
    struct server *s = (struct server *)((char *)j - offsetof(struct server, save));
    s->save_runs = false;
    if (s->save_err == RGKV_NO_SPACE && !s->closing) {
        if (!s->save_waits)
            s->events.line(s->arg, "the manifest waits for space on the disk");
        s->save_waits = true;
        return; /* the next sweep tries again; the node waits for its answer meanwhile */
    }
    s->save_waits = false;
    step(s, &(struct node_input){.kind = NODE_MANIFEST_SAVED, .err = s->save_err, .why = (const char *)s->save_why.data});
}

static void save_run(struct server *s)
{
    s->save_runs = true;
    disk_run(&s->lane, &s->save);
}

static void save_manifest(struct server *s, const struct manifest *m)
{
    buf_clear(&s->manifest);
    manifest_encode(m, &s->manifest);
    save_run(s);
}

/* Tables tell their memory under locks that their own threads hold meanwhile: not for the loop to wait for. */
static void look_work(struct disk_job *j)
{
    struct server *s = (struct server *)((char *)j - offsetof(struct server, look));
    replica_stores_memory(s->stores, &s->memory_seen);
    s->space_err = s->vfs->ops->free_space(s->vfs, s->data_dir, &s->space_free, &s->space_total);
}

static void look_done(struct disk_job *j)
{
    struct server *s = (struct server *)((char *)j - offsetof(struct server, look));
    s->looking = false;
    s->memory = s->memory_seen;
    if (!s->space_err)
        step(s, &(struct node_input){.kind = NODE_DISK_SPACE, .disk_free = s->space_free, .disk_total = s->space_total});
}

static void look(struct server *s)
{
    if (s->looking)
        return; /* the disk hangs: one question is enough */
    s->looking = true;
    disk_run(&s->lane, &s->look);
}

/* ---- effects ---- */

static void reply(struct server *s, const struct node_effect *e)
{
    struct conn *c = conns_find(s->conns, e->conn);
    if (c)
        conn_send(c, e->frames);
}

static void carry_out(struct server *s, struct node_effect *e)
{
    switch (e->kind) {
    case NODE_SEND: links_send(s->links, e->addr, e->frames); break;
    case NODE_REPLY: reply(s, e); break;
    case NODE_SAVE_MANIFEST: save_manifest(s, e->manifest); break;
    case NODE_EVENT: s->events.line(s->arg, e->why); break;
    case NODE_FAILED: fail(s, e->why); break;
    case NODE_STOPPED: s->events.stopped(s->arg); break;
    case NODE_OPEN_REPLICA: case NODE_COMMIT: case NODE_SAVE: case NODE_FLUSH: case NODE_TRIM: case NODE_WARM: case NODE_COMPACT: case NODE_READ_LOG: case NODE_RESET_LOG:
    case NODE_SNAPSHOT_READ: case NODE_SNAPSHOT_OPEN: case NODE_SNAPSHOT_WRITE: case NODE_SNAPSHOT_INSTALL: case NODE_SNAPSHOT_DISCARD: case NODE_DELETE_REPLICA: {
        bool ours = replica_stores_effect(s->stores, e);
        ASSERT(ours);
        break;
    }
    }
}

static void collect(struct server *s)
{
    struct node_effect e;
    s->dirty = false;
    bool more = node_collect(s->node);
    while (node_next(s->node, &e))
        carry_out(s, &e);
    s->dirty |= more;
}

static void on_again(uv_idle_t *handle) {}

static void again_set(struct server *s, bool again)
{
    if (again)
        uv_idle_start(&s->again, on_again);
    else
        uv_idle_stop(&s->again);
}

/* What a leader sends goes out while its own disk is written: no sync is waited for on the loop, whose heartbeats would wait, too. */
static void round_end(struct server *s)
{
    bool worked = s->dirty;
    uint64_t until_us = clock_now_us() + ROUND_US;
    bool late = false;
    while (s->dirty && !s->closing && !late) {
        collect(s);
        conns_flush(s->conns);
        late = clock_now_us() >= until_us;
    }
    conns_flush(s->conns);
    again_set(s, s->dirty && !s->closing);
    if (worked && !s->closing)
        ticker_set(&s->ticker, node_deadline_us(s->node));
}

/* A loop that stands still sends no heartbeats: whoever asks why there was an election finds it here. */
static void tell_stall(struct server *s, const struct lag_time *turn)
{
    line_limit_printf(&s->stalls, clock_now_us(), "the loop stood still for %llu ms, and computed for %llu of them",
                      (unsigned long long)turn->stood_us / 1000, (unsigned long long)turn->worked_us / 1000);
}

/* After the poll, for what came from it; before it, for what timers and closings did: nothing waits through a sleep. */
static void on_check(uv_check_t *handle) { round_end(handle->data); }
static void on_prepare(uv_prepare_t *handle)
{
    struct server *s = handle->data;
    round_end(s);
    struct lag_time turn = lag_turn(&s->lag);
    if (turn.stood_us >= STALL_TOLD_US)
        tell_stall(s, &turn);
}

static void tell_vitals(struct server *s)
{
    size_t resident = 0;
    int rc = uv_resident_set_memory(&resident);
    (void)rc; /* then 0 is told */
    step(s, &(struct node_input){.kind = NODE_VITALS, .memory_bytes = resident, .stall_us = lag_longest(&s->lag).stood_us});
}

/* ---- what is counted out here ---- */

static void tell_metrics(struct server *s)
{
    const struct conn_counters *c = conns_counters(s->conns);
    const struct ctrl_report_metric rows[] = {
        {0, CTRL_METRIC_ACCEPTED, 0, c->accepted},
        {0, CTRL_METRIC_CONNECTIONS, 0, conns_count(s->conns)},
        {0, CTRL_METRIC_REFUSED, CTRL_REASON_TOO_MANY, c->refused_full},
        {0, CTRL_METRIC_REFUSED, CTRL_REASON_BAD_FRAME, c->bad_frames},
        {0, CTRL_METRIC_REFUSED, CTRL_REASON_STRANGER, c->strangers},
        {0, CTRL_METRIC_REFUSED, CTRL_REASON_SLOW, c->slow},
        {0, CTRL_METRIC_REFUSED, CTRL_REASON_UNREAD, c->unread},
        {0, CTRL_METRIC_REFUSED, CTRL_REASON_GREEDY, c->greedy},
        {0, CTRL_METRIC_MEMORY, CTRL_MEMORY_BUFFERS, s->memory.buffers},
        {0, CTRL_METRIC_MEMORY, CTRL_MEMORY_CACHE, s->memory.cache},
        {0, CTRL_METRIC_MEMORY, CTRL_MEMORY_INDEXES, s->memory.indexes},
        {0, CTRL_METRIC_LOOP_WORK, 0, lag_longest(&s->lag).worked_us},
    };
    static_assert(ARRAY_LEN(rows) <= NODE_METRICS_MAX, "they fit");
    step(s, &(struct node_input){.kind = NODE_METRICS, .metrics = rows, .n_metrics = ARRAY_LEN(rows)});
}

static void on_sweep(uv_timer_t *timer)
{
    struct server *s = timer->data;
    uint64_t now = clock_now_us();
    tell_metrics(s);
    conns_sweep(s->conns, now);
    links_sweep(s->links, now);
    replica_stores_sweep(s->stores, now);
    look(s);
    if (s->save_waits && !s->save_runs)
        save_run(s);
    tell_vitals(s);
}

/* ---- beginning and end ---- */

static enum rgkv_err start_node(struct server *s, const struct server_options *o, struct buf *why)
{
    struct node_options n = o->node;
    memcpy(n.addr, s->advertise, sizeof(n.addr));
    memcpy(s->version, n.version, sizeof(s->version));
    n.seed = clock_random();
    n.boot = clock_random();
    n.now_us = clock_now_us();
    return node_new(&n, &s->node, why);
}

/* Only whole segments can be forgotten: a log that is to stay small has small ones. */
static uint64_t segment_bytes(int64_t snapshot_bytes)
{
    return snapshot_bytes < 0 ? SEGMENT_BYTES_MAX : MIN(MAX((uint64_t)snapshot_bytes / 4, SEGMENT_BYTES_MIN), SEGMENT_BYTES_MAX);
}

static enum rgkv_err start_stores(struct server *s, const struct server_options *o, struct buf *why)
{
    char dir[PATH_BYTES];
    path_of(dir, s->data_dir, "replicas");
    return replica_stores_new(&(struct replica_stores_options){.pool = s->pool, .vfs = s->vfs, .dir = dir,
        .table_budget_bytes = o->table_budget_bytes, .compaction_nice = o->compaction_nice,
        .segment_bytes = segment_bytes(o->node.snapshot_bytes), .step = on_stored,
        .line = on_store_line, .arg = s}, &s->stores, why);
}

static enum rgkv_err start_listener(struct server *s, const struct server_options *o, struct buf *why)
{
    struct listener_options l = {.addr = o->listen, .beyond_loopback = o->beyond_loopback};
    enum rgkv_err err = listener_bind(s->loop, &s->listener, &l, s->addr, why);
    s->listener.data = s;
    if (err)
        return err;
    const char *name = o->advertise ? o->advertise : s->addr;
    memcpy(s->advertise, name, strlen(name) + 1);
    return listener_start(&s->listener, s->addr, on_connection, why);
}

static void start_loop(struct server *s, const struct server_options *o)
{
    uv_prepare_init(s->loop, &s->prepare);
    uv_check_init(s->loop, &s->check);
    uv_idle_init(s->loop, &s->again);
    uv_timer_init(s->loop, &s->sweep);
    s->prepare.data = s->check.data = s->sweep.data = s;
    uv_prepare_start(&s->prepare, on_prepare);
    uv_check_start(&s->check, on_check);
    uv_timer_start(&s->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    lag_init(&s->lag, s->loop);
    s->stalls = (struct line_limit){.line = s->events.line, .arg = s->arg};
    ticker_init(&s->ticker, s->loop, on_tick, s);
    disk_lane_init(&s->lane, s->pool);
    s->save = (struct disk_job){.kind = DISK_ORDERED, .work = save_work, .done = save_done};
    s->look = (struct disk_job){.kind = DISK_BESIDE, .work = look_work, .done = look_done};
    s->conns = conns_new(s->loop);
    s->links = links_new(s->loop, s->conns, &links_events, s);
    conns_log(s->conns, s->events.line, s->arg);
    conns_limit(s->conns, o->conns_max ? o->conns_max : CONNS_MAX, o->conns_bytes ? o->conns_bytes : CONNS_BYTES_MAX);
}

/* Nothing is left on the loop when it fails. */
static enum rgkv_err server_prepare(const struct server_options *o, struct server *s, struct buf *why)
{
    s->loop = o->loop;
    s->vfs = o->vfs;
    s->events = o->events;
    s->arg = o->arg;
    return pool_new(s->loop, DISK_THREADS, &s->pool, why);
}

/* After the loop's handles, so that a failure of any step is undone in one way. */
static enum rgkv_err start(struct server *s, const struct server_options *o, struct buf *why)
{
    enum rgkv_err err = start_listener(s, o, why);
    if (!err)
        err = start_stores(s, o, why);
    return err ? err : start_node(s, o, why);
}

enum rgkv_err server_new(const struct server_options *o, struct server **ret_s, struct buf *why)
{
    struct server *s = mem_zalloc(sizeof(*s));
    enum rgkv_err err = server_prepare(o, s, why);
    if (err) {
        mem_free(s);
        return err;
    }
    s->data_dir = mem_strdup(o->data_dir);
    start_loop(s, o);
    if ((err = start(s, o, why))) {
        server_close(s);
        uv_run(s->loop, UV_RUN_DEFAULT);
        server_free(s);
        return err;
    }
    s->dirty = true; /* a new node has effects already */
    look(s);
    *ret_s = s;
    return RGKV_OK;
}

const char *server_addr(const struct server *s) { return s->addr; }
const struct conn_counters *server_counters(const struct server *s) { return conns_counters(s->conns); }
void server_stop(struct server *s) { step(s, &(struct node_input){.kind = NODE_STOP}); }

static void close_handle(void *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void server_close(struct server *s)
{
    if (s->closing)
        return;
    s->closing = true;
    conns_flush(s->conns); /* the last words: votes for a successor */
    close_handle(&s->listener);
    close_handle(&s->prepare);
    close_handle(&s->check);
    close_handle(&s->again);
    close_handle(&s->sweep);
    ticker_close(&s->ticker, NULL);
    links_close(s->links);
    conns_close_all(s->conns);
    if (s->stores)
        replica_stores_close(s->stores);
    pool_close(s->pool);
}

void server_free(struct server *s)
{
    if (!s)
        return;
    ASSERT(s->closing && disk_lane_idle(&s->lane));
    node_free(s->node);
    replica_stores_free(s->stores);
    pool_free(s->pool);
    links_free(s->links);
    conns_free(s->conns);
    buf_release(&s->manifest);
    buf_release(&s->save_why);
    mem_free(s->data_dir);
    mem_free(s);
}
