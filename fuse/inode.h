/* What the kernel calls nodes: numbers that stand for names, held as a tree, so that a rename moves one node and
 * all below it follow.
 *
 * A node is one file as seen at one path. When another file (another `ino` of the store) turns up at that path, the old node is
 * detached: it has no path any more, and whoever still has it open is told so. A node lives as long as the kernel
 * counts lookups on it, or a reference (open file, request under way, child) is held. Pure. */
#ifndef RGKV_FUSE_INODE_H
#define RGKV_FUSE_INODE_H

#include <uthash.h>

#include "kv/kv.h"

#define INODE_ROOT 1u

struct handle;
struct orphan;
struct inode_key;

struct inode {
    uint64_t id;               /* the kernel's number */
    struct inode *parent;      /* NULL: the root, or detached */
    struct inode_key *key;     /* (parent id, name): its place in the table; NULL like parent */
    uint64_t ino;              /* of the store; 0: not known yet (a creation that is still staged) */
    uint64_t st_ino;           /* what stat shows, for as long as the node lives */
    enum kv_type type;
    uint64_t lookups;          /* the kernel's */
    uint32_t refs;             /* ours */
    struct kv_attr last;       /* as last seen: what fstat of a detached node shows. type 0: never */
    struct handle *handles;    /* open files (handle.h) */
    uint64_t changes;          /* of its content, by this mount, acknowledged */
    unsigned leaving;          /* removals and renames of its name under way (handles_leave) */
    struct orphan *orphan;     /* content of an unlinked file that is still open here; or NULL (orphan.h) */
    UT_hash_handle by_id, by_key;
};
struct inodes {
    struct inode *by_id, *by_key;
    struct inode *root;
    uint64_t last_id;
    void (*gone)(struct inode *n); /* may be NULL: called before a node is freed */
};

void inodes_init(struct inodes *t);
/* The root stands for this key ("": for the whole cluster). Before anything is looked up. */
void inodes_prefix(struct inodes *t, const char *prefix);
void inodes_release(struct inodes *t); /* every node, whatever its counts */

struct inode *inode_find(struct inodes *t, uint64_t id);                              /* or NULL */
struct inode *inode_child(struct inodes *t, const struct inode *parent, const char *name); /* or NULL */
/* The node of the file `ino` at (parent, name), made if needed, one lookup more. A node of another file
 * there is detached first; one whose ino is 0 takes this one. ino 0: whatever is there. */
struct inode *inode_lookup(struct inodes *t, struct inode *parent, const char *name, uint64_t ino, enum kv_type type);
void inode_forget(struct inodes *t, uint64_t id, uint64_t lookups);                   /* unknown ids are ignored */
struct inode *inode_ref(struct inode *n);
void inode_unref(struct inodes *t, struct inode *n);                                  /* NULL is fine */
void inode_detach(struct inodes *t, struct inode *n);
/* n is now at (parent, name); what was there is detached. */
void inode_move(struct inodes *t, struct inode *n, struct inode *parent, const char *name);
const char *inode_name(const struct inode *n);                                        /* "" for detached; of the root: its prefix */
bool inode_is_top(const struct inode *n);                                             /* the root of the whole cluster: it is in all shards */
bool inode_below(const struct inode *n, const struct inode *top);                     /* n is top, or in it */
bool inode_attached(const struct inode *n);                                           /* it and all above it have a path */

#endif
