/* rgkvfs: the mount. Reading order of this folder:
 *
 *   options.c    the command line                    daemon.c     going to the background
 *   embedded.c   the node of a mount without one     contact.c    the first contact
 *   session.c    the kernel's descriptor on the loop, mounting, unmounting
 *   mountpoint.c what is mounted at a path
 *   ops*.c       one adapter per operation           call.c       a request on its way to its one answer
 *   inode.c tree.c attr.c   nodes, paths, attributes interrupt.c  which waits end with EINTR
 *   handle.c stage.c        open files: what is written and when it is sent
 *   pin.c orphan.c          which version is read, and what became of unlinked files
 *   dirhandle.c  listings    control*.c  the tree /.ctrl     errlog.c  its file `error`
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuse/contact.h"
#include "fuse/control.h"
#include "fuse/daemon.h"
#include "fuse/events.h"
#include "fuse/health.h"
#include "fuse/interrupt.h"
#include "fuse/mount.h"
#include "fuse/mountpoint.h"
#include "fuse/orphan.h"
#include "fuse/session.h"

struct program {
    struct options options;
    struct daemon daemon;
    struct embedded embedded;
    uv_loop_t loop;
    struct mount mount;
    uv_timer_t idle;
    uv_signal_t signals[3];
};

_Noreturn static void fail(struct program *p, int code, struct buf *why)
{
    buf_put_u8(why, 0);
    embedded_stop(&p->embedded);
    daemon_fail(&p->daemon, code, (const char *)why->data);
}

static void parse(struct program *p, int argc, char **argv)
{
    struct buf why = {0};
    p->daemon.pipe = -1;
    if (options_parse(argc, argv, &p->options, &why)) {
        buf_printf(&why, "; see rgkvfs --help");
        fail(p, EXIT_USAGE, &why);
    }
    if (p->options.help)
        printf("%s", options_usage);
    else if (p->options.version)
        printf("rgkvfs %s\n", PACKAGE_VERSION);
    else
        return;
    exit(0);
}

/* The daemon changes to the root directory, so the name must not depend on where we are. A dead mount has no real path. */
static void check_mountpoint(struct program *p)
{
    struct buf why = {0};
    if (mountpoint_check(&p->options, &why))
        fail(p, EXIT_MOUNT, &why);
    char *path = realpath(p->options.mountpoint, NULL);
    if (path && strlen(path) < sizeof p->options.mountpoint)
        memcpy(p->options.mountpoint, path, strlen(path) + 1);
    free(path);
}

static void start_embedded(struct program *p)
{
    struct buf why = {0};
    if (p->options.n_controllers)
        return;
    if (embedded_start(&p->options, &p->embedded, &why))
        fail(p, EXIT_MOUNT, &why);
    memcpy(p->options.controllers[0], p->embedded.addr, ADDR_BYTES_MAX);
    p->options.n_controllers = 1;
}

static void connect_cluster(struct program *p)
{
    struct buf why = {0};
    struct net_client_options o = {.n_controllers = p->options.n_controllers};
    memcpy(o.controllers, p->options.controllers, sizeof o.controllers);
    uint64_t timeout_us = p->options.timeout_us ? p->options.timeout_us : TIMEOUT_S_DEFAULT * 1000000u;
    enum rgkv_err err = net_client_new(&p->loop, &o, &p->mount.client);
    if (!err)
        err = contact(&p->loop, p->mount.client, &p->embedded, timeout_us, &p->mount.nshards, &why);
    if (!err && p->mount.nshards)
        return;
    struct buf sentence = {0};
    buf_printf(&sentence, "the cluster's controllers cannot be reached: %.*s", (int)why.len, why.len ? (const char *)why.data : "");
    if (!why.len)
        buf_printf(&sentence, "%s", rgkv_err_sentence(err));
    fail(p, EXIT_MOUNT, &sentence);
}

/* A mount of something that is not there would show an empty directory and take writes to nowhere. */
static void check_prefix(struct program *p)
{
    struct buf why = {0}, sentence = {0};
    const char *prefix = p->options.prefix;
    uint64_t timeout_us = p->options.timeout_us ? p->options.timeout_us : TIMEOUT_S_DEFAULT * 1000000u;
    inodes_prefix(&p->mount.inodes, prefix);
    if (!*prefix || !contact_directory(&p->loop, p->mount.client, prefix, timeout_us, &why))
        return;
    buf_printf(&sentence, "prefix=%s: %.*s", prefix, (int)why.len, (const char *)why.data);
    fail(p, EXIT_MOUNT, &sentence);
}

static struct program *program_of(struct mount *m) { return m->loop->data; }
static void tell_ready(struct mount *m) { daemon_ready(&program_of(m)->daemon); }
static void ready(struct mount *m) { kernel_learn_names(m, tell_ready); }

static void tell_event(struct mount *m, const char *line) { events_add(m->events, line); }

static void begin_watching(struct program *p)
{
    p->mount.events = events_new(&p->mount);
    p->mount.health = health_new(&p->mount, tell_event);
}

/* ---- the end: in the order of who needs whom, until the loop has nothing left ---- */

/* What may be left on the loop then (timers of files that were open) is closed by release. */
static void client_gone(void *loop) { uv_stop(loop); }

/* The kernel's side is over: what still waits is answered to nobody. */
static void ended(struct mount *m)
{
    struct program *p = program_of(m);
    call_abort_all(m);
    health_close(m->health);
    net_client_close(m->client, client_gone, m->loop);
    control_release_all(m);
    events_close(m->events);
    interrupts_close(m->interrupts);
    uv_close((uv_handle_t *)m->idle, NULL);
    for (size_t i = 0; i < ARRAY_LEN(p->signals); i++)
        uv_close((uv_handle_t *)&p->signals[i], NULL);
}

static void close_left(uv_handle_t *h, void *arg)
{
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

static void release(struct program *p)
{
    uv_walk(&p->loop, close_left, NULL); /* of files that were open when the mount was torn away */
    uv_run(&p->loop, UV_RUN_DEFAULT);
    kernel_free(p->mount.session);
    errlog_clear(&p->mount.errors);
    inodes_release(&p->mount.inodes);
    int busy = uv_loop_close(&p->loop);
    ASSERT(!busy);
}

static void on_signal(uv_signal_t *s, int number)
{
    (void)number;
    kernel_stop(((struct program *)s->data)->mount.session);
}

static void watch_signals(struct program *p)
{
    const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    static_assert(ARRAY_LEN(numbers) == ARRAY_LEN(p->signals), "one watcher each");
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        uv_signal_init(&p->loop, &p->signals[i]);
        p->signals[i].data = p;
        uv_signal_start(&p->signals[i], on_signal, numbers[i]);
    }
}

static void init_mount(struct program *p)
{
    struct mount *m = &p->mount;
    m->loop = &p->loop;
    m->options = &p->options;
    m->started_us = mount_now_us(m);
    inodes_init(&m->inodes);
    m->inodes.gone = orphan_free;
    uv_timer_init(&p->loop, &p->idle);
    p->idle.data = m;
    m->idle = &p->idle;
    m->interrupts = interrupts_new(m);
}

static void mount_session(struct program *p)
{
    struct buf why = {0};
    if (kernel_mount(&p->mount, ready, ended, &p->mount.session, &why))
        fail(p, EXIT_MOUNT, &why);
    watch_signals(p);
}

int main(int argc, char **argv)
{
    struct program *p = mem_zalloc(sizeof *p);
    parse(p, argc, argv);
    check_mountpoint(p);
    if (p->options.fake) {
        mem_free(p);
        return 0;
    }
    daemon_begin(&p->daemon, p->options.foreground);
    signal(SIGPIPE, SIG_IGN);
    start_embedded(p);
    uv_loop_init(&p->loop);
    p->loop.data = p;
    init_mount(p);
    connect_cluster(p);
    check_prefix(p);
    begin_watching(p);
    mount_session(p);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    release(p);
    embedded_stop(&p->embedded);
    mem_free(p);
    return 0;
}
