/* The driver of a node engine: its sockets, disks and time.
 *
 * One round of the loop is one batch: everything that came in (messages, finished disk work, ticks) is stepped, then the
 * node is collected once, its effects are carried out, and what was queued on connections is written at once.
 *
 *     server_new      binds, opens, starts the node; nothing has been sent yet
 *     uv_run          serves
 *     server_stop     hands leaderships over; events.stopped follows
 *     server_close    closes all; uv_run returns when the last disk work is done
 *     server_free     then */
#ifndef RGKV_NET_SERVER_H
#define RGKV_NET_SERVER_H

#include <uv.h>

#include "net/conn.h"
#include "node/node.h"
#include "store/vfs.h"

struct server;

struct server_events {
    void (*line)(void *arg, const char *text);    /* for the program's log */
    void (*stopped)(void *arg);
    void (*failed)(void *arg, const char *why);   /* the process must end with this sentence */
};

struct server_options {
    uv_loop_t *loop;
    struct vfs *vfs;
    const char *data_dir;         /* locked and made by the caller */
    const char *listen;           /* "host:port" */
    const char *advertise;        /* how others name it; NULL: as it listens */
    bool beyond_loopback;
    uint64_t table_budget_bytes;
    int compaction_nice;          /* store/table_rocks.h */
    unsigned conns_max;           /* 0: CONNS_MAX */
    size_t conns_bytes;           /* 0: CONNS_BYTES_MAX */
    struct node_options node;     /* addr, seed, boot, now_us are filled in here */
    struct server_events events;
    void *arg;
};
/* Errors of pool_new, listener_bind, node_new, replica_stores_new; each with a sentence. What was opened is closed again. */
MUST_USE enum rgkv_err server_new(const struct server_options *o, struct server **ret_s, struct buf *why);
const char *server_addr(const struct server *s);
void server_stop(struct server *s);
void server_close(struct server *s);
void server_free(struct server *s);
const struct conn_counters *server_counters(const struct server *s);

/* The manifest of a data directory: a small file `manifest`. NOT_FOUND: a blank directory. */
MUST_USE enum rgkv_err server_manifest_load(struct vfs *v, const char *data_dir, struct manifest *ret_m, struct buf *why);

#endif
