/* Blocking disk work, off the loop: one lane of jobs per replica.
 *
 *   DISK_ORDERED  one at a time, in the order given
 *   DISK_BESIDE   may run beside the ordered ones (a table's flush), after the DISK_ALONE before it
 *   DISK_ALONE    in order, and with nothing beside it (what closes or replaces a table)
 *
 * A job that could not be done now (a full disk) is put back in front of its lane, which is then held: nothing ordered
 * passes but what is `urgent` (may free space), until disk_lane_release.
 *
 * `work` runs on a pool thread and touches only what no one else touches meanwhile; `done` runs on the loop. */
#ifndef RGKV_NET_DISK_H
#define RGKV_NET_DISK_H

#include "net/pool.h"

enum disk_kind { DISK_ORDERED, DISK_BESIDE, DISK_ALONE };

struct disk_lane;

struct disk_job {
    enum disk_kind kind;
    bool urgent;
    void (*work)(struct disk_job *j);
    void (*done)(struct disk_job *j);  /* the job is the owner's again; the lane must live on */
    /* disk.c's: */
    struct pool_job pooled;
    struct disk_lane *lane;
    struct disk_job *next;
};

struct disk_lane {
    struct pool *pool;
    struct disk_job *first, **last;    /* waiting, in order */
    unsigned running, beside;          /* ordered or alone: 0 or 1; beside: any number */
    bool alone;                        /* the one that runs wants nothing beside it */
    bool held;
};

void disk_lane_init(struct disk_lane *l, struct pool *pool);
/* The job stays where it is until `done`. */
void disk_run(struct disk_lane *l, struct disk_job *j);
/* From `done`: the same job again, before all others, after disk_lane_release. */
void disk_put_back(struct disk_lane *l, struct disk_job *j);
void disk_lane_release(struct disk_lane *l);
bool disk_lane_idle(const struct disk_lane *l);

#endif
