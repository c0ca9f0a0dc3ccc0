#include "fuse/handle.h"

#include <fcntl.h>
#include <utlist.h>

#include "fuse/ahead.h"
#include "fuse/commit.h"
#include "fuse/leave.h"
#include "fuse/proc.h"
#include "fuse/spill.h"

#define IDLE_LOOK_MS 200u

/* ---- the life of a handle ---- */

struct handle *handle_new(struct mount *m, struct inode *n, const struct fuse_file_info *fi, const struct fuse_ctx *who)
{
    struct handle *h = mem_zalloc(sizeof *h);
    h->m = m;
    h->node = inode_ref(n);
    h->flags = fi->flags;
    h->pin.roams = (fi->flags & O_ACCMODE) != O_RDONLY;
    h->opener = who->pid;
    h->uid = who->uid;
    h->gid = who->gid;
    DL_APPEND2(n->handles, h, node_prev, node_next);
    return h;
}

struct handle *handle_of(const struct fuse_file_info *fi) { return (struct handle *)(uintptr_t)fi->fh; }

bool handle_staged(const struct handle *h) { return h->commit || !stage_empty(&h->stage); }

bool handle_held_back(const struct handle *h) { return handles_leaving(h->node) && !stage_empty(&h->stage); }

void handle_list(struct handle *h)
{
    bool listed = handle_staged(h);
    if (listed && !h->listed)
        DL_APPEND(h->m->staged, h);
    if (!listed && h->listed)
        DL_DELETE(h->m->staged, h);
    h->listed = listed;
    if (!h->m->staged)
        uv_timer_stop(h->m->idle);
    else if (!uv_is_active((uv_handle_t *)h->m->idle))
        uv_timer_start(h->m->idle, commit_idle, IDLE_LOOK_MS, IDLE_LOOK_MS);
}

static void handle_collect(struct handle *h)
{
    handle_list(h);
    if (!h->released || h->commit || handle_held_back(h) || h->waiting || h->queued || h->held)
        return;
    struct mount *m = h->m;
    if (h->listed)
        DL_DELETE(m->staged, h);
    DL_DELETE2(h->node->handles, h, node_prev, node_next);
    inode_unref(&m->inodes, h->node);
    spill_abandon(h->spill);
    stage_release(&h->stage);
    stage_release(&h->flying);
    pin_release(&h->pin);
    ahead_release(h);
    buf_release(&h->pinned_as);
    mem_free(h);
}

void handle_pinned(struct handle *h, const struct key *k, uint64_t changes)
{
    buf_clear(&h->pinned_as);
    buf_put(&h->pinned_as, key_bytes_of(k));
    h->pinned_at = changes;
}

static bool updates(const struct handle *h) { return (h->flags & O_ACCMODE) == O_RDWR; }

static bool is_updated(const struct inode *n)
{
    const struct handle *h;
    for (h = n->handles; h && !updates(h); h = h->node_next)
        ;
    return h != NULL;
}

/* Who may write as well, or begins to read a file, sees what was changed here. Others keep the version that they are reading, whoever
 * puts another one, as long as they go on from where they are; elsewhere they see the work of those who have the file open to update it
 * in place. Pages that the kernel keeps are everybody's: of the newest version that this mount knows. */
static bool outdated(const struct handle *h, uint64_t offset, bool of_map)
{
    const struct inode *n = h->node;
    if (h->m->options->cache_s > 0)
        return h->pin.version != n->last.version;
    if (h->pinned_at == n->changes)
        return false;
    return !h->pin.served || updates(h) || of_map || (offset != h->pin.next && is_updated(n));
}

void handle_repin(struct handle *h, uint64_t offset, bool of_map)
{
    if (h->pin.set && outdated(h, offset, of_map))
        pin_drop(&h->pin);
}

struct handle *handle_hold(struct handle *h)
{
    h->held++;
    return h;
}

void handle_let_go(struct handle *h)
{
    ASSERT(h->held > 0);
    h->held--;
    handle_collect(h);
}

void handle_released(struct handle *h)
{
    h->released = true;
    if (h->failed)
        stage_release(&h->stage); /* the caller was told, or the error log: nothing more is sent */
    if (!h->commit && !stage_empty(&h->stage))
        commit_start(h);
    else
        handle_collect(h);
}

/* ---- staging ---- */

uint64_t handle_size(const struct handle *h, uint64_t base)
{
    if (h->commit)
        base = stage_size(&h->flying, h->flying_spill ? spill_size(h->flying_spill) : base);
    return stage_size(&h->stage, h->spill ? spill_size(h->spill) : base);
}

void handle_touch(struct handle *h, const struct fuse_ctx *who)
{
    if (h->writer != who->pid || !h->writer_process)
        h->writer_process = task_process(who->pid);
    h->writer = who->pid;
    h->staged_ns = mount_wall_ns();
    h->touched_us = mount_now_us(h->m);
    h->staged_us = h->staged_us ? h->staged_us : h->touched_us;
    h->clear_suid |= who->uid != 0;
    h->failed = RGKV_OK;
    handle_list(h);
}

bool handle_written_by(const struct handle *h, int tid)
{
    if (tid == h->writer || tid == h->opener)
        return true;
    long process = task_process(tid);
    return process && (process == h->writer_process || process == task_process(h->opener));
}

void handle_mark(struct handle *h, const void *who)
{
    h->marker = who;
    h->stage_mark = stage_mark(&h->stage);
    h->stage_marked = true;
}

void handle_take_back(struct handle *h, const void *who)
{
    if (!h->stage_marked || (who && who != h->marker))
        return; /* it was sent, and commit_failed has done it */
    stage_undo(&h->stage, &h->stage_mark);
    h->stage_marked = false;
    if (stage_empty(&h->stage))
        h->staged_us = 0;
    handle_list(h);
}

void handle_begin_value(struct handle *h)
{
    bool begins = h->empty && !h->commit && stage_empty(&h->stage);
    h->empty = false;
    if (begins)
        stage_create(&h->stage, false);
}

void handle_cleared(struct handle *h)
{
    spill_abandon(h->spill);
    h->spill = NULL;
}

bool handle_only_creates(const struct handle *h)
{
    return !h->commit && h->stage.whole && h->stage.fresh && !h->stage.written;
}

void handle_appended(struct handle *h)
{
    if (handle_only_creates(h))
        stage_release(&h->stage);
    h->empty = h->created = false;
    h->known = true;
    h->failed = RGKV_OK;
    pin_drop(&h->pin);
    handle_list(h);
}

enum rgkv_err handle_take_failure(struct handle *h)
{
    enum rgkv_err err = h->reported ? RGKV_OK : h->failed;
    h->reported = true;
    return err;
}
