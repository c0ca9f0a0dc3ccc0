#include "tests/unit/unit.h"

#include "tests/unit/ctrl_world.h"

#include <stdlib.h>

/* ---- the table ---- */

struct row {
    struct buf key, value;
};
struct array_table {
    struct table table;
    struct row *rows;
    unsigned n, failures;
};
struct table_iter {
    struct array_table *t;
    struct buf to;
    unsigned next;
};

static struct array_table *of(const struct table *t) { return (struct array_table *)t; }

static unsigned row_at(const struct array_table *t, struct bytes key)
{
    unsigned low = 0, high = t->n;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (bytes_cmp(buf_bytes(&t->rows[middle].key), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool row_is(const struct array_table *t, unsigned at, struct bytes key)
{
    return at < t->n && bytes_eq(buf_bytes(&t->rows[at].key), key);
}

static void row_delete(struct array_table *t, unsigned at)
{
    buf_release(&t->rows[at].key);
    buf_release(&t->rows[at].value);
    t->n--;
    memmove(&t->rows[at], &t->rows[at + 1], (t->n - at) * sizeof(*t->rows));
}

void array_table_put(struct table *table, struct bytes key, struct bytes value)
{
    struct array_table *t = of(table);
    unsigned at = row_at(t, key);
    if (!row_is(t, at, key)) {
        t->rows = mem_realloc(t->rows, (t->n + 1) * sizeof(*t->rows));
        memmove(&t->rows[at + 1], &t->rows[at], (t->n - at) * sizeof(*t->rows));
        memset(&t->rows[at], 0, sizeof(*t->rows));
        buf_put(&t->rows[at].key, key);
        t->n++;
    }
    buf_clear(&t->rows[at].value);
    buf_put(&t->rows[at].value, value);
}

static void table_clear(struct table *table)
{
    struct array_table *t = of(table);
    while (t->n)
        row_delete(t, t->n - 1);
    free(t->rows);
    free(t);
}

static enum rgkv_err get(struct table *table, const struct table_snapshot *s, struct bytes key, struct buf *out)
{
    struct array_table *t = of(table);
    unsigned at = row_at(t, key);
    if (!row_is(t, at, key))
        return RGKV_NOT_FOUND;
    buf_put(out, buf_bytes(&t->rows[at].value));
    return RGKV_OK;
}

static enum rgkv_err write_all(struct table *table, const struct table_change *changes, size_t n)
{
    struct array_table *t = of(table);
    if (t->failures) {
        t->failures--;
        return RGKV_IO;
    }
    for (size_t i = 0; i < n; i++) {
        assert_int_not_equal(changes[i].kind, TABLE_DELETE_RANGE);
        unsigned at = row_at(t, changes[i].key);
        if (changes[i].kind == TABLE_PUT)
            array_table_put(table, changes[i].key, changes[i].value);
        else if (row_is(t, at, changes[i].key))
            row_delete(t, at);
    }
    return RGKV_OK;
}

static struct table_iter *iter(struct table *table, const struct table_snapshot *s, struct bytes from, struct bytes to)
{
    struct table_iter *i = mem_zalloc(sizeof(*i));
    i->t = of(table);
    i->next = row_at(i->t, from);
    buf_put(&i->to, to);
    return i;
}

static bool iter_next(struct table_iter *i)
{
    if (i->next == i->t->n)
        return false;
    if (i->to.len && bytes_cmp(buf_bytes(&i->t->rows[i->next].key), buf_bytes(&i->to)) >= 0)
        return false;
    i->next++;
    return true;
}

static struct bytes iter_key(const struct table_iter *i) { return buf_bytes(&i->t->rows[i->next - 1].key); }
static struct bytes iter_value(const struct table_iter *i) { return buf_bytes(&i->t->rows[i->next - 1].value); }
static enum rgkv_err iter_error(const struct table_iter *i) { return RGKV_OK; }

static void iter_free(struct table_iter *i)
{
    buf_release(&i->to);
    free(i);
}

static bool waits(struct table *t) { return false; }

static const struct table_ops array_ops = {
    .free = table_clear, .get = get, .write = write_all, .waits = waits, .iter = iter, .iter_next = iter_next, .iter_key = iter_key,
    .iter_value = iter_value, .iter_error = iter_error, .iter_free = iter_free,
};

struct table *array_table_new(void)
{
    struct array_table *t = mem_zalloc(sizeof(*t));
    t->table.ops = &array_ops;
    return &t->table;
}

struct table *array_table_copy(const struct table *from)
{
    struct table *to = array_table_new();
    struct bytes key, value;
    for (unsigned i = 0; array_table_row(from, i, &key, &value); i++)
        array_table_put(to, key, value);
    return to;
}

bool array_table_row(const struct table *table, unsigned i, struct bytes *ret_key, struct bytes *ret_value)
{
    const struct array_table *t = of(table);
    if (i >= t->n)
        return false;
    *ret_key = buf_bytes(&t->rows[i].key);
    *ret_value = buf_bytes(&t->rows[i].value);
    return true;
}

bool array_table_eq(const struct table *a, const struct table *b)
{
    struct bytes ka, va, kb, vb;
    if (of(a)->n != of(b)->n)
        return false;
    for (unsigned i = 0; array_table_row(a, i, &ka, &va) && array_table_row(b, i, &kb, &vb); i++)
        if (!bytes_eq(ka, kb) || !bytes_eq(va, vb))
            return false;
    return true;
}

void array_table_fail_writes(struct table *t, unsigned n) { of(t)->failures = n; }

unsigned array_table_rows(const struct table *table, char first)
{
    unsigned count = 0;
    struct bytes key, value;
    for (unsigned i = 0; array_table_row(table, i, &key, &value); i++)
        count += key.data[0] == (uint8_t)first;
    return count;
}

/* ---- the machine ---- */

void world_init(struct world *w, uint32_t nshards)
{
    *w = (struct world){.table = array_table_new()};
    assert_int_equal(ctrl_open(w->table, &w->c), RGKV_OK);
    struct ctrl_command k = {.op = CTRL_INIT, .cluster = 0xc1, .nshards = nshards};
    assert_int_equal(world_do(w, k).err, RGKV_OK);
}

void world_release(struct world *w)
{
    ctrl_free(w->c);
    table_free(w->table);
}

void world_restart(struct world *w)
{
    ctrl_free(w->c);
    assert_int_equal(ctrl_open(w->table, &w->c), RGKV_OK);
}

struct ctrl_result world_apply(struct world *w, struct ctrl_command k)
{
    struct ctrl_result r;
    k.time_us = ++w->index * 1000;
    assert_int_equal(ctrl_apply(w->c, &k, &r), RGKV_OK);
    assert_true(r.err == RGKV_OK ? r.why[0] == 0 : r.why[0] != 0);
    return r;
}

void world_finish(struct world *w)
{
    assert_int_equal(ctrl_finish(w->c, bytes_of(&w->index, sizeof(w->index))), RGKV_OK);
}

struct ctrl_result world_do(struct world *w, struct ctrl_command k)
{
    if (ctrl_op_admin(k.op) && k.client == 0) {
        k.client = 77;
        k.seq = ++w->seq;
        k.born_us = w->index * 1000;
    }
    struct ctrl_result r = world_apply(w, k);
    world_finish(w);
    return r;
}

void join_group(struct ctrl_join_group *g, uint64_t gid, const char *addrs)
{
    *g = (struct ctrl_join_group){.gid = gid};
    char *copy = mem_strdup(addrs), *rest = copy, *addr;
    while ((addr = strsep(&rest, " ")))
        strncpy(g->addrs[g->n++], addr, ADDR_BYTES_MAX - 1);
    free(copy);
}

struct ctrl_result world_join(struct world *w, uint64_t gid, const char *addrs)
{
    struct ctrl_join_group g;
    join_group(&g, gid, addrs);
    return world_do(w, (struct ctrl_command){.op = CTRL_JOIN, .n_groups = 1, .groups = &g});
}

struct ctrl_result world_leave(struct world *w, uint64_t gid)
{
    return world_do(w, (struct ctrl_command){.op = CTRL_LEAVE, .n_gids = 1, .gids = &gid});
}

struct ctrl_result world_move(struct world *w, uint32_t shard, uint64_t gid)
{
    return world_do(w, (struct ctrl_command){.op = CTRL_MOVE, .shard = shard, .gid = gid});
}

void world_bind(struct world *w, uint64_t gid, uint64_t first)
{
    unsigned n = ctrl_view_group(ctrl_view(w->c), gid)->n;
    for (unsigned i = 0; i < n; i++) {
        const struct ctrl_group *g = ctrl_view_group(ctrl_view(w->c), gid);
        struct ctrl_command k = {.op = CTRL_BIND, .gid = gid, .incarnation = g->incarnation, .node = first + i};
        k.member = g->members[i].id;
        memcpy(k.addr, g->members[i].addr, sizeof(k.addr));
        assert_int_equal(world_do(w, k).err, RGKV_OK);
    }
}

struct ctrl_result world_shard(struct world *w, enum ctrl_op op, uint32_t shard, uint64_t epoch, uint64_t gid)
{
    return world_do(w, (struct ctrl_command){.op = op, .shard = shard, .epoch = epoch, .gid = gid});
}

const struct ctrl_shard *world_at(const struct world *w, uint32_t shard) { return &ctrl_view(w->c)->shards[shard]; }

void world_give(struct world *w, uint32_t shard, uint64_t gid)
{
    uint64_t epoch = world_at(w, shard)->epoch;
    assert_int_equal(world_shard(w, CTRL_PREPARE, shard, epoch, gid).err, RGKV_OK);
    assert_int_equal(world_shard(w, CTRL_COMMIT, shard, epoch + 1, 0).err, RGKV_OK);
    assert_int_equal(world_shard(w, CTRL_ACTIVE, shard, epoch + 1, 0).err, RGKV_OK);
}

void world_give_wanted(struct world *w)
{
    for (uint32_t s = 0; s < ctrl_view(w->c)->nshards; s++)
        if (world_at(w, s)->wanted && world_at(w, s)->wanted != world_at(w, s)->holder)
            world_give(w, s, world_at(w, s)->wanted);
}

/* ---- everything as text, to compare ---- */

static void group_dump(const struct ctrl_group *g, struct buf *out)
{
    buf_printf(out, "group %lu of %lu config %d founded %d:", g->gid, g->incarnation, g->in_config, g->founded);
    for (unsigned i = 0; i < g->n; i++)
        buf_printf(out, " %lu=%lx/%d/%s", g->members[i].id, g->members[i].node, g->members[i].founding,
                   g->members[i].addr);
    buf_printf(out, "\n");
}

void view_dump(const struct ctrl_view *v, struct buf *out)
{
    buf_printf(out, "cluster %lx version %lu config %lu\n", v->cluster, v->version, v->config_num);
    for (uint32_t s = 0; s < v->nshards; s++)
        buf_printf(out, "shard %u %lu@%lu>%lu %d wanted %lu\n", s, v->shards[s].holder, v->shards[s].epoch,
                   v->shards[s].target, v->shards[s].active, v->shards[s].wanted);
    for (unsigned i = 0; i < v->n_groups; i++)
        group_dump(&v->groups[i], out);
    for (unsigned i = 0; i < v->n_tombstones; i++)
        buf_printf(out, "tombstone %lu %lu %lu %lx\n", v->tombstones[i].gid, v->tombstones[i].incarnation,
                   v->tombstones[i].member, v->tombstones[i].node);
}

void world_dump(const struct world *w, struct buf *out)
{
    unsigned n;
    const struct ctrl_drop *drops = ctrl_drops(w->c, &n);
    view_dump(ctrl_view(w->c), out);
    buf_printf(out, "time %lu\n", ctrl_time_us(w->c));
    for (unsigned i = 0; i < n; i++)
        buf_printf(out, "drop %lu %u %lu\n", drops[i].gid, drops[i].shard, drops[i].epoch);
}
