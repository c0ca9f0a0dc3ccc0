/* A bit turns over on a disk: in a log's segment, but for the last batches of the newest (what the last one holds cannot be told from a
 * torn write, P22), or in the manifest. It must be found at the next start, by the checksums, and then
 * nothing of it is served; the bit is put back, as by somebody who brings the disk's copy, and the machine starts again. */
#include <stdio.h>

#include "store/wal_format.h"
#include "tests/sim/sim.h"

/* The nth of the names that vfs's list gave, or NULL. */
static const char *name_at(struct bytes names, unsigned n)
{
    size_t at = 0;
    for (unsigned i = 0; at < names.len; i++, at += strlen((const char *)names.data + at) + 1)
        if (i == n)
            return (const char *)names.data + at;
    return NULL;
}

static unsigned names_count(struct bytes names)
{
    unsigned n = 0;
    while (name_at(names, n))
        n++;
    return n;
}

static uint64_t file_bytes(struct vfs *v, const char *path)
{
    struct vfs_file *f;
    if (v->ops->open(v, path, false, &f))
        return 0;
    uint64_t bytes = v->ops->size(f);
    v->ops->close(f);
    return bytes;
}

/* Where the last whole batch begins: what is before it has a whole batch behind it. (There may be pieces of others behind: of those that a full
 * disk refused.) */
static uint64_t settled_bytes(struct vfs *v, const char *path)
{
    struct wal_segment_header header;
    struct wal_scan scan;
    struct wal_found found;
    struct buf file = {0};
    struct vfs_file *f;
    uint64_t seed, settled = MIN(file_bytes(v, path), WAL_SEGMENT_HEADER_BYTES);
    if (v->ops->open(v, path, false, &f))
        return settled;
    enum rgkv_err err = v->ops->read(f, 0, v->ops->size(f), &file);
    v->ops->close(f);
    if (!err && wal_segment_header_decode(buf_bytes(&file), &header, &seed) == RGKV_OK) {
        wal_scan_init(&scan, buf_bytes(&file), seed, header.first_sequence);
        for (uint64_t at = scan.next.offset; wal_scan_next(&scan, &found) == WAL_BATCH; at = scan.next.offset)
            settled = at;
    }
    buf_release(&file);
    return settled;
}

static void turn_over(struct sim *s, struct sim_machine *m, const char *dir, struct bytes names)
{
    struct sim_rot *r = &m->rot;
    unsigned n = names_count(names), which = n ? (unsigned)prng_below(&s->prng, n) : 0;
    const char *name = name_at(names, which);
    if (!name || !strstr(name, ".wal"))
        return;
    snprintf(r->path, sizeof(r->path), "%s/%s", dir, name);
    bool newest = which + 2 >= n; /* or the one after it was begun only */
    uint64_t bytes = file_bytes(m->disk, r->path), room = newest ? settled_bytes(m->disk, r->path) : bytes;
    if (room == 0)
        return;
    r->offset = prng_below(&s->prng, room);
    r->bit = (unsigned)prng_below(&s->prng, 8);
    r->there = vfs_mem_corrupt(m->disk, r->path, r->offset, r->bit);
    s->counts.rots += r->there;
    sim_trace(s, "%s: bit %u of byte %llu of %s turns over", m->addr, r->bit, (unsigned long long)r->offset, r->path);
}

static void manifest_rots(struct sim *s, const struct sim_machine *m)
{
    struct manifest found;
    struct buf copy = {0};
    buf_put(&copy, buf_bytes(&m->manifest));
    uint64_t at = prng_below(&s->prng, copy.len);
    copy.data[at] ^= (uint8_t)(1u << prng_below(&s->prng, 8));
    if (manifest_decode(buf_bytes(&copy), &found) == RGKV_OK)
        sim_fail(s, "%s: a bit of its manifest turned over at byte %llu, and nobody saw it", m->addr, (unsigned long long)at);
    buf_release(&copy);
}

void rot_begin(struct sim *s, struct sim_machine *m)
{
    struct buf names = {0};
    char dir[96];
    if (m->node || m->rot.there || m->n_stored == 0)
        return;
    if (m->has_manifest)
        manifest_rots(s, m);
    disk_dir(&m->stored[prng_below(&s->prng, m->n_stored)], dir, sizeof(dir));
    if (m->disk->ops->list(m->disk, dir, &names) == RGKV_OK)
        turn_over(s, m, dir, buf_bytes(&names));
    buf_release(&names);
}

/* What is not looked at any more may be left over: then nothing has changed (promises.c compares what came back). */
void rot_opened(struct sim *s, struct sim_machine *m, const char *dir, enum rgkv_err err)
{
    size_t len = strlen(dir);
    if (!m->rot.there || strncmp(m->rot.path, dir, len) != 0 || m->rot.path[len] != '/')
        return;
    s->counts.rots_found += err != RGKV_OK;
    (void)vfs_mem_corrupt(m->disk, m->rot.path, m->rot.offset, m->rot.bit);
    m->rot.there = false;
    if (!err)
        return;
    sim_trace(s, "%s: it was found", m->addr);
    machine_end_soon(s, m, false);
}
