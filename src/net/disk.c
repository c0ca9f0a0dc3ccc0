#include "net/disk.h"

void disk_lane_init(struct disk_lane *l, struct pool *pool)
{
    *l = (struct disk_lane){.pool = pool};
    l->last = &l->first;
}

bool disk_lane_idle(const struct disk_lane *l) { return !l->first && !l->running && !l->beside; }

static void start_due(struct disk_lane *l);

static struct disk_job *job_of(struct pool_job *p) { return (struct disk_job *)((char *)p - offsetof(struct disk_job, pooled)); }

static void on_work(struct pool_job *p)
{
    struct disk_job *j = job_of(p);
    j->work(j);
}

static void on_done(struct pool_job *p)
{
    struct disk_job *j = job_of(p);
    struct disk_lane *l = j->lane;
    if (j->kind == DISK_BESIDE)
        l->beside--;
    else
        l->running--;
    l->alone = false;
    j->done(j); /* may put the job back in front: therefore before the next one starts */
    start_due(l);
}

static void start(struct disk_lane *l, struct disk_job *j)
{
    if (j->kind == DISK_BESIDE)
        l->beside++;
    else
        l->running++;
    l->alone = j->kind == DISK_ALONE;
    j->pooled = (struct pool_job){.work = on_work, .done = on_done};
    pool_run(l->pool, &j->pooled);
}

static bool may_start(const struct disk_lane *l, const struct disk_job *j)
{
    if (l->alone || (l->held && !j->urgent && j->kind != DISK_BESIDE))
        return false;
    switch (j->kind) {
    case DISK_ORDERED:
        return l->running == 0;
    case DISK_BESIDE:
        return true;
    case DISK_ALONE:
        return l->running == 0 && l->beside == 0;
    }
    return false;
}

static void unlink_job(struct disk_lane *l, struct disk_job **at)
{
    struct disk_job *j = *at;
    *at = j->next;
    if (l->last == &j->next)
        l->last = at;
}

/* Goes on behind an ordered job that must wait (a flush may pass it, and what is urgent), never behind one that wants
 * to be alone. */
static void start_due(struct disk_lane *l)
{
    bool ordered_waits = false;
    struct disk_job **at = &l->first;
    while (*at) {
        struct disk_job *j = *at;
        bool passes = j->kind == DISK_BESIDE || !ordered_waits || (l->held && j->urgent);
        if (passes && may_start(l, j)) {
            unlink_job(l, at);
            start(l, j);
            continue;
        }
        if (j->kind == DISK_ALONE)
            return;
        ordered_waits = true;
        at = &j->next;
    }
}

void disk_run(struct disk_lane *l, struct disk_job *j)
{
    j->lane = l;
    j->next = NULL;
    *l->last = j;
    l->last = &j->next;
    start_due(l);
}

void disk_put_back(struct disk_lane *l, struct disk_job *j)
{
    j->next = l->first;
    if (!l->first)
        l->last = &j->next;
    l->first = j;
    l->held = true;
}

void disk_lane_release(struct disk_lane *l)
{
    l->held = false;
    start_due(l);
}
