/* What all parts of one mount share. Made and torn down by main.c; everything runs on the one thread of the loop. */
#ifndef RGKV_FUSE_MOUNT_H
#define RGKV_FUSE_MOUNT_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <uv.h>

#include "fuse/errlog.h"
#include "fuse/inode.h"
#include "fuse/opstats.h"
#include "fuse/options.h"
#include "fuse/recent.h"
#include "fuse/space.h"
#include "net/net_client.h"

struct call;
struct control_file;
struct events;
struct handle;
struct health;
struct interrupts;
struct parked;
struct session;

struct mount_stats {
    uint64_t requests, replies, errors, interrupted;
    uint64_t round_trips;          /* questions to the cluster on behalf of operations */
    uint64_t reads, read_bytes, writes, write_bytes, commits, commit_failures;
};

struct mount {
    uv_loop_t *loop;
    const struct options *options;
    struct net_client *client;
    struct session *session;
    struct inodes inodes;
    struct errlog errors;
    struct mount_stats stats;
    struct opstats opstats;
    struct events *events;
    struct health *health;
    struct recent recent;
    struct space space;
    uint32_t nshards;              /* of the cluster, known before anything is mounted */
    uint64_t started_us;
    uid_t uid;                     /* who mounted it: administers the cluster, whoever owns the root */
    gid_t gid;
    struct stat root;              /* the root's attributes are this mount's own */
    struct call *calls;            /* under way; a list by call.h */
    struct control_file *control_files; /* open ones; a list by control_file.c */
    uint64_t last_call;
    struct interrupts *interrupts;
    struct parked *parked;         /* calls that wait for what others do (park.h) */
    struct handle *staged;         /* open files with something staged or being sent; a list by handle.h */
    uv_timer_t *idle;              /* runs while `staged` is not empty */
    uint64_t ahead_bytes;          /* that reading ahead may hold (ahead.h) */
    uint64_t orphan_bytes;         /* in unlinked files that are open (orphan.h) */
    uint64_t spilled_bytes;        /* in pieces of values that are being sent (spill.h) */
    unsigned background;           /* what an unmount waits for: commits, and what holds them back */
    bool stopping;
};

uint64_t mount_now_us(const struct mount *m);  /* monotonic */
int64_t mount_wall_ns(void);

#endif
