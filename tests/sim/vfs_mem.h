/* A disk in memory that forgets like a real one.
 *
 * What is not synced may be lost in a crash, all of it, some of it, or torn at any byte; what was synced stays.
 * Creating, renaming and removing are changes of a directory and stay only after sync_dir (or by luck). Everything
 * is decided by the generator that is handed in: the same calls give the same disk. Single-threaded.
 *
 * A failed sync behaves as on Linux: the written bytes can still be read, but count as clean, so that a second sync
 * makes nothing durable. */
#ifndef RGKV_TESTS_SIM_VFS_MEM_H
#define RGKV_TESTS_SIM_VFS_MEM_H

#include "base/prng.h"
#include "store/vfs.h"

struct vfs *vfs_mem_new(void);
void vfs_mem_free(struct vfs *v); /* all files closed */

/* The power goes: files go back to what is durable plus, by chance, parts of what is not. Locks are gone; a file that
 * is still open can only be closed. Faults and the halt are cleared, capacity stays. */
void vfs_mem_crash(struct vfs *v, struct prng *p);
/* The process ends and the machine goes on: locks and halt are gone, nothing else. */
void vfs_mem_process_ended(struct vfs *v);

enum vfs_mem_call {
    VFS_MEM_CREATE, VFS_MEM_OPEN, VFS_MEM_READ, VFS_MEM_WRITE, VFS_MEM_TRUNCATE, VFS_MEM_SYNC, VFS_MEM_PREALLOCATE,
    VFS_MEM_RENAME, VFS_MEM_UNLINK, VFS_MEM_SYNC_DIR,
    VFS_MEM_CALLS
};
/* The nth call of this kind from now on (1 = the next) fails with `err`, once. A failing write writes its first half. */
void vfs_mem_fail(struct vfs *v, enum vfs_mem_call call, unsigned nth, enum rgkv_err err);
/* After n more changing calls (anything but open, read, list) every call fails with IO, until a crash or the process's end. */
void vfs_mem_halt_after(struct vfs *v, uint64_t n);
bool vfs_mem_halted(const struct vfs *v);
/* Bytes of all files together, what is reserved included; 0: no bound. */
void vfs_mem_set_capacity(struct vfs *v, uint64_t bytes);
uint64_t vfs_mem_used(const struct vfs *v);
/* preallocate makes files longer, with zeros (as fallocate does), rather than only counting the space. Off at first. */
void vfs_mem_preallocate_grows(struct vfs *v, bool grows);
/* Flips one bit on the disk. false: no such file or byte. */
bool vfs_mem_corrupt(struct vfs *v, const char *path, uint64_t offset, unsigned bit);
uint64_t vfs_mem_syncs(const struct vfs *v); /* of files, so far */

#endif
