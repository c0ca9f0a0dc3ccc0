/* rgkvd: one node of a cluster.
 *
 *     main.c      puts the parts together and ends the process (this file decides nothing)
 *     options.c   the command line
 *     process.c   what it asks of the system
 *     datadir.c   the data directory: lock, manifest, whose it is
 *     log.c       lines to standard error that never block
 *     ../net      the loop: sockets, disks, time      ../node  what the node does
 *
 * Exit status: 0 stopped by a signal; 1 it could not start, or must not go on; 2 the command line is wrong. */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/server.h"
#include "rgkvd/datadir.h"
#include "rgkvd/log.h"
#include "rgkvd/options.h"
#include "rgkvd/process.h"

#define STOP_MS_MAX 5000u
#define LOG_WAIT_MS 500u
#define COMPACTION_NICE 10 /* a tenth of the loop's weight, seven times the lowest */

struct daemon {
    struct options options;
    struct manifest manifest;
    struct vfs *vfs;
    struct log *log;
    uv_loop_t loop;
    struct server *server;
    uv_signal_t on_term, on_int;
    uv_timer_t patience;         /* with a node that does not stop */
    bool stopping;
};

/* ---- ends ---- */

_Noreturn static void quit(struct daemon *d, int status)
{
    log_flush(d->log, LOG_WAIT_MS);
    _exit(status);
}

static void sentence(struct buf *why)
{
    buf_put_u8(why, 0);
    fprintf(stderr, "rgkvd: %s\n", (const char *)why->data);
    buf_release(why);
}

static void close_everything(struct daemon *d)
{
    server_close(d->server);
    uv_close((uv_handle_t *)&d->on_term, NULL);
    uv_close((uv_handle_t *)&d->on_int, NULL);
    uv_close((uv_handle_t *)&d->patience, NULL);
}

/* ---- what the server and the system tell ---- */

static void on_line(void *arg, const char *text)
{
    struct daemon *d = arg;
    log_line(d->log, text);
}

static void on_stopped(void *arg)
{
    struct daemon *d = arg;
    if (!uv_is_closing((uv_handle_t *)&d->patience))
        close_everything(d);
}

static void on_failed(void *arg, const char *why)
{
    struct daemon *d = arg;
    log_line(d->log, why);
    quit(d, 1);
}

static void on_patience(uv_timer_t *timer) { on_stopped(timer->data); }

static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;
    if (d->stopping)
        quit(d, 1);
    d->stopping = true;
    uv_timer_start(&d->patience, on_patience, STOP_MS_MAX, 0);
    server_stop(d->server);
}

/* ---- the process ---- */

static void watch_signal(struct daemon *d, uv_signal_t *handle, int number)
{
    uv_signal_init(&d->loop, handle);
    handle->data = d;
    uv_signal_start(handle, on_signal, number);
}

static void watch_signals(struct daemon *d)
{
    watch_signal(d, &d->on_term, SIGTERM);
    watch_signal(d, &d->on_int, SIGINT);
    uv_timer_init(&d->loop, &d->patience);
    d->patience.data = d;
}

/* A log's entries are kept in memory until they are compacted; a leader with a slow follower keeps four times the bound. */
static int64_t snapshot_bytes(const struct options *o)
{
    return o->snapshot_bytes < 0 ? o->snapshot_bytes : MIN(o->snapshot_bytes, (int64_t)(o->memory_bytes / 8));
}

/* Half of the descriptors are for files: a log or table that cannot open its next one ends the process. */
static unsigned conns_max(void)
{
    struct rlimit files;
    return getrlimit(RLIMIT_NOFILE, &files) == 0 ? (unsigned)MIN(files.rlim_cur / 2, CONNS_MAX) : CONNS_MAX;
}

/* Compactions are behind the loop, but no further: it may wait for one that has RocksDB's lock. */
static int compaction_nice(const struct options *o) { return o->nice && process_nice_raises(o->nice) ? 0 : COMPACTION_NICE; }

static struct server_options server_options(struct daemon *d)
{
    const struct options *o = &d->options;
    struct server_options s = {
        .loop = &d->loop, .vfs = d->vfs, .data_dir = o->data, .listen = o->listen, .advertise = o->advertise,
        .beyond_loopback = o->insecure, .table_budget_bytes = o->memory_bytes / 2, .compaction_nice = compaction_nice(o), .conns_max = conns_max(),
        .conns_bytes = o->memory_bytes / 4, /* of each direction; both are full at once only when somebody means it */
        .events = {on_line, on_stopped, on_failed}, .arg = d,
        .node = {.n_controllers = o->n_controllers, .nshards = o->nshards, .snapshot_bytes = snapshot_bytes(o),
                 .election_us = o->election_us, .heartbeat_us = o->heartbeat_us, .manifest = &d->manifest},
    };
    memcpy(s.node.controllers, o->controllers, sizeof(o->controllers));
    snprintf(s.node.version, sizeof(s.node.version), "%s", PACKAGE_VERSION);
    return s;
}

static enum rgkv_err daemon_start(struct daemon *d, struct buf *why)
{
    enum rgkv_err err = datadir_open(d->vfs, d->options.data, &d->manifest, why);
    if (err)
        return err;
    struct server_options s = server_options(d);
    return server_new(&s, &d->server, why);
}

/* Of the loop: the other threads have begun, but for libuv's, which resolve names: they have it too, and should (pool.h says why). A node
 * without it does all that it must. */
static void set_priority(struct daemon *d)
{
    struct buf why = {0};
    if (d->options.nice && process_nice(d->options.nice, &why)) {
        buf_put_u8(&why, 0);
        log_line(d->log, (const char *)why.data);
    }
    buf_release(&why);
}

static int daemon_run(struct daemon *d)
{
    struct buf why = {0};
    process_memory(&d->options);
    d->vfs = vfs_posix_new();
    d->log = log_new(STDERR_FILENO);
    int rc = uv_loop_init(&d->loop);
    ASSERT(rc == 0);
    if (daemon_start(d, &why)) {
        sentence(&why);
        quit(d, 1);
    }
    buf_release(&why);
    watch_signals(d);
    set_priority(d);
    printf("rgkvd: ready on %s\n", server_addr(d->server));
    fflush(stdout);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    server_free(d->server);
    uv_loop_close(&d->loop);
    vfs_posix_free(d->vfs);
    log_flush(d->log, LOG_WAIT_MS);
    return 0;
}

int main(int argc, char **argv)
{
    static struct daemon d;
    struct buf why = {0};
    if (options_parse(argc, argv, &d.options, &why)) {
        sentence(&why);
        return 2;
    }
    switch (d.options.action) {
    case OPTIONS_VERSION:
        puts("rgkvd (rgkvfs) " PACKAGE_VERSION);
        return 0;
    case OPTIONS_HELP:
        fputs(options_usage, stdout);
        return 0;
    case OPTIONS_RUN:
        break;
    }
    process_prepare();
    if (process_orphaned(&d.options)) {
        fputs("rgkvd: whoever started this node is gone already\n", stderr);
        return 1;
    }
    return daemon_run(&d);
}
