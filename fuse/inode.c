#include "fuse/inode.h"

#include <stdlib.h>

/* uthash must not call exit() behind our back: mem_alloc never returns NULL. */
#undef uthash_malloc
#undef uthash_free
#define uthash_malloc(bytes) mem_alloc(bytes)
#define uthash_free(p, bytes) mem_free(p)

/* The bytes that are hashed: the parent's id, then the name with its NUL. */
struct inode_key {
    uint64_t parent;
    char name[];
};

static size_t key_bytes(const char *name) { return sizeof(struct inode_key) + strlen(name) + 1; }

static struct inode_key *key_new(uint64_t parent, const char *name)
{
    struct inode_key *k = mem_alloc(key_bytes(name));
    k->parent = parent;
    memcpy(k->name, name, strlen(name) + 1);
    return k;
}

static struct inode *node_new(struct inodes *t)
{
    struct inode *n = mem_zalloc(sizeof *n);
    n->id = ++t->last_id;
    HASH_ADD(by_id, t->by_id, id, sizeof n->id, n);
    return n;
}

static void node_attach(struct inodes *t, struct inode *n, struct inode *parent, const char *name)
{
    n->parent = inode_ref(parent);
    n->key = key_new(parent->id, name);
    HASH_ADD_KEYPTR(by_key, t->by_key, n->key, key_bytes(name), n);
}

void inode_detach(struct inodes *t, struct inode *n)
{
    if (!n->parent)
        return;
    struct inode *parent = n->parent;
    HASH_DELETE(by_key, t->by_key, n);
    mem_free(n->key);
    n->key = NULL;
    n->parent = NULL;
    inode_unref(t, parent);
}

/* Up the tree in a loop, not by recursion: paths may be hundreds deep. */
static void node_collect(struct inodes *t, struct inode *n)
{
    while (n && n != t->root && !n->lookups && !n->refs) {
        struct inode *parent = n->parent;
        if (parent) {
            HASH_DELETE(by_key, t->by_key, n);
            mem_free(n->key);
            parent->refs--;
        }
        HASH_DELETE(by_id, t->by_id, n);
        if (t->gone)
            t->gone(n);
        mem_free(n);
        n = parent;
    }
}

void inodes_init(struct inodes *t)
{
    memset(t, 0, sizeof *t);
    t->root = node_new(t);
    t->root->type = KV_DIR;
    t->root->ino = t->root->st_ino = INODE_ROOT;
    ASSERT(t->root->id == INODE_ROOT);
}

void inodes_prefix(struct inodes *t, const char *prefix)
{
    if (*prefix)
        t->root->key = key_new(0, prefix);
}

bool inode_is_top(const struct inode *n) { return n->id == INODE_ROOT && !n->key; }

void inodes_release(struct inodes *t)
{
    struct inode *n, *next;
    HASH_CLEAR(by_key, t->by_key);
    HASH_ITER(by_id, t->by_id, n, next) {
        HASH_DELETE(by_id, t->by_id, n);
        if (t->gone)
            t->gone(n);
        mem_free(n->key);
        mem_free(n);
    }
    memset(t, 0, sizeof *t);
}

struct inode *inode_find(struct inodes *t, uint64_t id)
{
    struct inode *n;
    HASH_FIND(by_id, t->by_id, &id, sizeof id, n);
    return n;
}

struct inode *inode_child(struct inodes *t, const struct inode *parent, const char *name)
{
    struct inode *n;
    struct inode_key *k = key_new(parent->id, name);
    HASH_FIND(by_key, t->by_key, k, key_bytes(name), n);
    mem_free(k);
    return n;
}

/* A creation that is still staged has no number of the store yet; its own stays shown, so that fstat does not change under a program. */
static uint64_t shown_ino(const struct inode *n)
{
    return n->ino ? n->ino : (1ull << 63 | n->id);
}

struct inode *inode_lookup(struct inodes *t, struct inode *parent, const char *name, uint64_t ino, enum kv_type type)
{
    struct inode *n = inode_child(t, parent, name);
    if (n && ((ino && n->ino && n->ino != ino) || n->type != type)) {
        inode_detach(t, n);
        n = NULL;
    }
    if (!n) {
        n = node_new(t);
        n->type = type;
        n->ino = ino;
        n->st_ino = shown_ino(n);
        node_attach(t, n, parent, name);
    }
    if (!n->ino)
        n->ino = ino;
    n->lookups++;
    return n;
}

void inode_forget(struct inodes *t, uint64_t id, uint64_t lookups)
{
    struct inode *n = inode_find(t, id);
    if (!n)
        return;
    n->lookups -= MIN(lookups, n->lookups);
    node_collect(t, n);
}

struct inode *inode_ref(struct inode *n)
{
    n->refs++;
    return n;
}

void inode_unref(struct inodes *t, struct inode *n)
{
    if (!n)
        return;
    ASSERT(n->refs > 0);
    n->refs--;
    node_collect(t, n);
}

void inode_move(struct inodes *t, struct inode *n, struct inode *parent, const char *name)
{
    struct inode *there = inode_child(t, parent, name);
    if (there == n)
        return;
    if (there)
        inode_detach(t, there);
    inode_ref(n);
    inode_detach(t, n);
    node_attach(t, n, parent, name);
    inode_unref(t, n);
}

const char *inode_name(const struct inode *n) { return n->key ? n->key->name : ""; }

bool inode_below(const struct inode *n, const struct inode *top)
{
    while (n && n != top)
        n = n->parent;
    return n != NULL;
}

bool inode_attached(const struct inode *n)
{
    while (n->parent)
        n = n->parent;
    return n->id == INODE_ROOT;
}
