/* A persistent treap: nodes are counted and, once shared, never changed; a change copies the path from the root down to
 * it. A snapshot, a flush and an iterator are one more reference to a root. While nobody else holds a reference to a
 * node it is changed in place, so without snapshots a change copies nothing.
 *
 * The heap order comes from a hash of the key: the shape depends only on what is in it, so two tables with equal rows are
 * equal trees, and a run with the same seed is the same run. */
#include "store/table_mem.h"

struct row { /* key, then value; shared by all copies of a node */
    uint32_t refs;
    uint32_t key_len;
    size_t value_len;
    uint8_t data[];
};

struct node {
    uint32_t refs;
    uint64_t priority;
    struct row *row;
    struct node *left, *right;
};

struct table_snapshot {
    struct node *root;
};

struct table_mem {
    struct table table;
    struct node *root, *flushed;
    uint64_t bytes, flushed_bytes;
    bool refuse, hold;
    bool waits;               /* as the question before found */
    unsigned cold, asked_now; /* every so many of these has to wait; 0: none */
};

struct table_iter {
    struct node *root;
    const struct node **path; /* whose left parts are done and which are still to come, the next one last */
    size_t n, cap;
    const struct node *at;
    struct buf to;
    struct table_mem *now;    /* it may not wait … */
    bool cold;                /* … and would have to */
};

static struct row *row_new(struct bytes key, struct bytes value)
{
    struct row *r = mem_alloc(sizeof(*r) + key.len + value.len);
    *r = (struct row){.refs = 1, .key_len = (uint32_t)key.len, .value_len = value.len};
    if (key.len)
        memcpy(r->data, key.data, key.len);
    if (value.len)
        memcpy(r->data + key.len, value.data, value.len);
    return r;
}

static void row_unref(struct row *r)
{
    if (--r->refs == 0)
        mem_free(r);
}

static struct bytes row_key(const struct row *r) { return bytes_of(r->data, r->key_len); }
static struct bytes row_value(const struct row *r) { return bytes_of(r->data + r->key_len, r->value_len); }
static uint64_t row_bytes(const struct row *r) { return r->key_len + r->value_len; }

static struct node *node_ref(struct node *n)
{
    if (n)
        n->refs++;
    return n;
}

static void node_unref(struct node *n)
{
    if (!n || --n->refs)
        return;
    node_unref(n->left);
    node_unref(n->right);
    row_unref(n->row);
    mem_free(n);
}

/* Takes the caller's reference to n, gives one to a node that nobody else sees. */
static struct node *node_own(struct node *n)
{
    if (n->refs == 1)
        return n;
    struct node *copy = mem_alloc(sizeof(*copy));
    *copy = (struct node){.refs = 1, .priority = n->priority, .row = n->row,
                          .left = node_ref(n->left), .right = node_ref(n->right)};
    copy->row->refs++;
    n->refs--;
    return copy;
}

/* All functions below take the references that they are given and give those that they return. */

/* Keys below `key` to the left, the others to the right. */
static void split(struct node *n, struct bytes key, struct node **ret_left, struct node **ret_right)
{
    if (!n) {
        *ret_left = *ret_right = NULL;
        return;
    }
    n = node_own(n);
    if (bytes_cmp(row_key(n->row), key) < 0) {
        split(n->right, key, &n->right, ret_right);
        *ret_left = n;
    } else {
        split(n->left, key, ret_left, &n->left);
        *ret_right = n;
    }
}

static struct node *merge(struct node *left, struct node *right)
{
    if (!left || !right)
        return left ? left : right;
    if (left->priority >= right->priority) {
        left = node_own(left);
        left->right = merge(left->right, right);
        return left;
    }
    right = node_own(right);
    right->left = merge(left, right->left);
    return right;
}

static struct node *node_new(struct row *row, uint64_t priority, struct node *left, struct node *right)
{
    struct node *n = mem_alloc(sizeof(*n));
    *n = (struct node){.refs = 1, .priority = priority, .row = row, .left = left, .right = right};
    return n;
}

static void set_row(struct node *n, struct row *row, uint64_t *bytes)
{
    *bytes -= row_bytes(n->row);
    row_unref(n->row);
    n->row = row;
}

/* Goes down once: a node of lower priority on the way makes room below a new one; equal keys have equal priority. */
static void put(struct node **place, struct row *row, uint64_t *bytes)
{
    struct bytes key = row_key(row);
    uint64_t priority = hash64(key);
    while (*place && (*place)->priority >= priority) {
        struct node *n = *place = node_own(*place);
        int order = bytes_cmp(key, row_key(n->row));
        if (order == 0) {
            set_row(n, row, bytes);
            return;
        }
        place = order < 0 ? &n->left : &n->right;
    }
    struct node *left, *right;
    split(*place, key, &left, &right);
    *place = node_new(row, priority, left, right);
}

static const struct node *find(const struct node *n, struct bytes key)
{
    while (n) {
        int order = bytes_cmp(key, row_key(n->row));
        if (order == 0)
            return n;
        n = order < 0 ? n->left : n->right;
    }
    return NULL;
}

/* The key is there. */
static void cut(struct node **place, struct bytes key, uint64_t *bytes)
{
    for (;;) {
        struct node *n = *place = node_own(*place);
        int order = bytes_cmp(key, row_key(n->row));
        if (order == 0)
            break;
        place = order < 0 ? &n->left : &n->right;
    }
    struct node *gone = *place;
    *bytes -= row_bytes(gone->row);
    *place = merge(gone->left, gone->right);
    gone->left = gone->right = NULL;
    node_unref(gone);
}

static uint64_t bytes_below(const struct node *n)
{
    return n ? row_bytes(n->row) + bytes_below(n->left) + bytes_below(n->right) : 0;
}

static void cut_range(struct table_mem *t, struct bytes from, struct bytes to)
{
    struct node *left, *middle, *right;
    if (bytes_cmp(from, to) >= 0)
        return;
    split(t->root, from, &left, &right);
    split(right, to, &middle, &right);
    t->bytes -= bytes_below(middle);
    node_unref(middle);
    t->root = merge(left, right);
}

static void change(struct table_mem *t, const struct table_change *c)
{
    switch (c->kind) {
    case TABLE_PUT:
        t->bytes += c->key.len + c->value.len;
        put(&t->root, row_new(c->key, c->value), &t->bytes);
        break;
    case TABLE_DELETE:
        if (find(t->root, c->key))
            cut(&t->root, c->key, &t->bytes);
        break;
    case TABLE_DELETE_RANGE:
        cut_range(t, c->key, c->end);
        break;
    }
}

static struct table_mem *of(struct table *t) { return (struct table_mem *)t; }

static void mem_table_free(struct table *t)
{
    node_unref(of(t)->root);
    node_unref(of(t)->flushed);
    mem_free(t);
}

static enum rgkv_err mem_get(struct table *t, const struct table_snapshot *s, struct bytes key, struct buf *out)
{
    const struct node *n = find(s ? s->root : of(t)->root, key);
    if (!n)
        return RGKV_NOT_FOUND;
    buf_put(out, row_value(n->row));
    return RGKV_OK;
}

static enum rgkv_err mem_write(struct table *t, const struct table_change *changes, size_t n)
{
    if (of(t)->refuse)
        return RGKV_NO_SPACE;
    for (size_t i = 0; i < n; i++)
        change(of(t), &changes[i]);
    return RGKV_OK;
}

/* Told late, as by a table on a disk, which asks beside the loop. */
static bool mem_waits(struct table *t)
{
    bool waits = of(t)->waits;
    of(t)->waits = of(t)->hold && !of(t)->refuse;
    return waits;
}

static struct table_snapshot *mem_snapshot(struct table *t)
{
    struct table_snapshot *s = mem_alloc(sizeof(*s));
    s->root = node_ref(of(t)->root);
    return s;
}

static void mem_snapshot_free(struct table *t, struct table_snapshot *s)
{
    if (!s)
        return;
    node_unref(s->root);
    mem_free(s);
}

static void iter_push(struct table_iter *i, const struct node *n)
{
    if (i->n == i->cap) {
        i->cap = i->cap ? i->cap * 2 : 32;
        i->path = mem_realloc(i->path, i->cap * sizeof(*i->path));
    }
    i->path[i->n++] = n;
}

static void iter_push_left(struct table_iter *i, const struct node *n)
{
    for (; n; n = n->left)
        iter_push(i, n);
}

static void mem_iter_seek(struct table_iter *i, struct bytes from)
{
    i->n = 0;
    i->at = NULL;
    for (const struct node *n = i->root; n;) {
        if (bytes_cmp(row_key(n->row), from) < 0) {
            n = n->right;
        } else {
            iter_push(i, n);
            n = n->left;
        }
    }
}

static struct table_iter *mem_iter(struct table *t, const struct table_snapshot *s, struct bytes from, struct bytes to)
{
    struct table_iter *i = mem_zalloc(sizeof(*i));
    i->root = node_ref(s ? s->root : of(t)->root);
    buf_put(&i->to, to);
    mem_iter_seek(i, from);
    return i;
}

static bool is_cold(struct table_mem *t) { return t->cold && ++t->asked_now % t->cold == 0; }

static bool mem_iter_next(struct table_iter *i)
{
    if (i->at)
        iter_push_left(i, i->at->right);
    i->at = i->n ? i->path[--i->n] : NULL;
    i->cold = i->cold || (i->now && is_cold(i->now));
    if (i->cold || (i->at && i->to.len && bytes_cmp(row_key(i->at->row), buf_bytes(&i->to)) >= 0)) {
        i->at = NULL;
        i->n = 0;
    }
    return i->at != NULL;
}

static struct bytes mem_iter_key(const struct table_iter *i) { return row_key(i->at->row); }
static struct bytes mem_iter_value(const struct table_iter *i) { return row_value(i->at->row); }
static enum rgkv_err mem_iter_error(const struct table_iter *i) { return i->cold ? RGKV_PENDING : RGKV_OK; }

static void mem_iter_free(struct table_iter *i)
{
    if (!i)
        return;
    node_unref(i->root);
    buf_release(&i->to);
    mem_free(i->path);
    mem_free(i);
}

static enum rgkv_err mem_get_now(struct table *t, struct bytes key, enum table_wait wait, struct buf *out)
{
    return is_cold(of(t)) ? RGKV_PENDING : mem_get(t, NULL, key, out);
}

static struct table_iter *mem_iter_now(struct table *t, struct bytes from, struct bytes to, enum table_wait wait)
{
    struct table_iter *i = mem_iter(t, NULL, from, to);
    i->now = of(t);
    return i;
}

/* A bound is enough; so the simulator sees trims that help nothing, too. */
static uint64_t mem_range_bytes(struct table *t, struct bytes from, struct bytes to) { return of(t)->bytes; }

static const struct table_ops mem_ops = {
    .free = mem_table_free,
    .get = mem_get,
    .write = mem_write,
    .waits = mem_waits,
    .snapshot = mem_snapshot,
    .snapshot_free = mem_snapshot_free,
    .iter = mem_iter,
    .iter_next = mem_iter_next,
    .iter_seek = mem_iter_seek,
    .iter_key = mem_iter_key,
    .iter_value = mem_iter_value,
    .iter_error = mem_iter_error,
    .iter_free = mem_iter_free,
    .get_now = mem_get_now,
    .iter_now = mem_iter_now,
    .range_bytes = mem_range_bytes,
};

struct table *table_mem_new(void)
{
    struct table_mem *t = mem_zalloc(sizeof(*t));
    t->table.ops = &mem_ops;
    return &t->table;
}

void table_mem_flush(struct table *t)
{
    struct table_mem *m = of(t);
    node_unref(m->flushed);
    m->flushed = node_ref(m->root);
    m->flushed_bytes = m->bytes;
}

void table_mem_crash(struct table *t)
{
    struct table_mem *m = of(t);
    node_unref(m->root);
    m->root = node_ref(m->flushed);
    m->bytes = m->flushed_bytes;
}

void table_mem_refuse(struct table *t, bool refuse) { of(t)->refuse = refuse; }
void table_mem_hold(struct table *t, bool hold) { of(t)->hold = hold; }
void table_mem_cold(struct table *t, unsigned every) { of(t)->cold = every; }
