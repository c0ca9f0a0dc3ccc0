/* The controller's state as rows of its table.
 *
 *   key                                value (integers little-endian)
 *   "c" num                            config: num, shards: n, gid…; groups: n, {gid, incarnation, addresses}…
 *   "d" gid shard                      pending drop: epoch
 *   "g" gid                            group (0: the controller): incarnation, founded, members {id, node, flags, the
 *                                      member that it replaces if flagged so, address}…
 *   "m"                                format, cluster, nshards, time, next member id, placement version, newest config's
 *                                      number, results first, next, evicted time
 *   "r" ordinal                        admin result: client, seq, time, config number, error, sentence
 *   "s" shard                          placement: holder, epoch, target, active
 *   "t" gid incarnation member         tombstone: node
 *   TABLE_APPLIED_KEY                  the log position
 *
 * Numbers in keys are big-endian, so rows sort as the arrays in memory do. Addresses and sentences are a length byte and
 * bytes. A row that does not decode exactly, or speaks of what is not there, is DAMAGED. */
#include "ctrl/state.h"

#define ROWS_FORMAT 1u

/* ---- keys ---- */

struct row_key {
    uint8_t data[32];
    size_t len;
};

static struct row_key key_of(char kind) { return (struct row_key){{(uint8_t)kind}, 1}; }

static void key_number(struct row_key *k, uint64_t v, unsigned bytes)
{
    ASSERT(k->len + bytes <= sizeof(k->data));
    for (unsigned i = 0; i < bytes; i++)
        k->data[k->len++] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
}

static struct row_key key_one(char kind, uint64_t v)
{
    struct row_key k = key_of(kind);
    key_number(&k, v, 8);
    return k;
}

static struct row_key key_shard(uint32_t shard)
{
    struct row_key k = key_of('s');
    key_number(&k, shard, 4);
    return k;
}

static struct row_key key_drop(uint64_t gid, uint32_t shard)
{
    struct row_key k = key_one('d', gid);
    key_number(&k, shard, 4);
    return k;
}

static struct row_key key_tombstone(const struct ctrl_tombstone *t)
{
    struct row_key k = key_one('t', t->gid);
    key_number(&k, t->incarnation, 8);
    key_number(&k, t->member, 8);
    return k;
}

static void row_put(struct ctrl *c, struct row_key k, struct buf *value)
{
    ctrl_batch_put(&c->batch, bytes_of(k.data, k.len), buf_bytes(value));
    buf_release(value);
}

static void row_delete(struct ctrl *c, struct row_key k) { ctrl_batch_delete(&c->batch, bytes_of(k.data, k.len)); }

static void put_text(struct buf *b, const char *text)
{
    size_t len = strlen(text);
    ASSERT(len <= UINT8_MAX);
    buf_put_u8(b, (uint8_t)len);
    buf_put(b, bytes_of(text, len));
}

static void read_text(struct reader *r, char *to, size_t size)
{
    struct bytes text = read_bytes(r, read_u8(r));
    if (text.len >= size) {
        r->ok = false;
        return;
    }
    memset(to, 0, size);
    if (text.len)
        memcpy(to, text.data, text.len);
}

static bool reader_done(const struct reader *r) { return r->ok && r->rest.len == 0; }

/* ---- configs ---- */

static void encode_config_group(struct buf *b, const struct ctrl_config_group *g)
{
    buf_put_le64(b, g->gid);
    buf_put_le64(b, g->incarnation);
    buf_put_u8(b, (uint8_t)g->n);
    for (unsigned i = 0; i < g->n; i++)
        put_text(b, g->addrs[i]);
}

void ctrl_rows_put_config(struct ctrl *c)
{
    const struct ctrl_config *config = &c->config;
    struct buf b = {0};
    buf_put_le64(&b, config->num);
    buf_put_le32(&b, config->nshards);
    for (uint32_t s = 0; s < config->nshards; s++)
        buf_put_le64(&b, config->shards[s]);
    buf_put_le32(&b, config->n_groups);
    for (unsigned i = 0; i < config->n_groups; i++)
        encode_config_group(&b, &config->groups[i]);
    row_put(c, key_one('c', config->num), &b);
}

static void decode_config_group(struct reader *r, struct ctrl_config_group *g)
{
    g->gid = read_le64(r);
    g->incarnation = read_le64(r);
    g->n = read_u8(r);
    if (g->n == 0 || g->n > MEMBERS_MAX)
        r->ok = false;
    for (unsigned i = 0; r->ok && i < g->n; i++)
        read_text(r, g->addrs[i], ADDR_BYTES_MAX);
}

static void decode_config_groups(struct reader *r, struct ctrl_config *config)
{
    uint32_t n = read_le32(r);
    if (!r->ok || n > GROUPS_MAX) {
        r->ok = false;
        return;
    }
    config->groups = mem_zalloc(n * sizeof(*config->groups));
    for (uint32_t i = 0; r->ok && i < n; i++) {
        decode_config_group(r, &config->groups[i]);
        if (config->groups[i].gid <= (i ? config->groups[i - 1].gid : 0))
            r->ok = false;
        config->n_groups++;
    }
}

static void decode_config_shards(struct reader *r, struct ctrl_config *config)
{
    uint32_t n = read_le32(r);
    if (!r->ok || n > NSHARDS_MAX) {
        r->ok = false;
        return;
    }
    config->nshards = n;
    config->shards = mem_zalloc(n * sizeof(*config->shards));
    for (uint32_t s = 0; s < n; s++)
        config->shards[s] = read_le64(r);
}

static enum rgkv_err config_decode(struct bytes row, uint64_t num, struct ctrl_config *ret_config)
{
    struct reader r = reader_of(row);
    struct ctrl_config config = {.num = read_le64(&r)};
    decode_config_shards(&r, &config);
    decode_config_groups(&r, &config);
    if (!reader_done(&r) || config.num != num) {
        ctrl_config_release(&config);
        return RGKV_DAMAGED;
    }
    *ret_config = config;
    return RGKV_OK;
}

enum rgkv_err ctrl_rows_load_config(struct ctrl *c, uint64_t num, struct ctrl_config *ret_config)
{
    struct row_key k = key_one('c', num);
    struct buf row = {0};
    enum rgkv_err err = table_get(c->table, NULL, bytes_of(k.data, k.len), &row);
    if (!err)
        err = config_decode(buf_bytes(&row), num, ret_config);
    buf_release(&row);
    return err;
}

/* ---- placement ---- */

void ctrl_rows_put_shard(struct ctrl *c, uint32_t shard)
{
    const struct ctrl_shard *s = &c->view.shards[shard];
    struct buf b = {0};
    buf_put_le64(&b, s->holder);
    buf_put_le64(&b, s->epoch);
    buf_put_le64(&b, s->target);
    buf_put_u8(&b, s->active);
    row_put(c, key_shard(shard), &b);
}

static void load_shard(struct ctrl *c, struct reader *key, struct reader *value)
{
    uint32_t shard = read_be32(key);
    if (shard >= c->view.nshards) {
        key->ok = false;
        return;
    }
    struct ctrl_shard *s = &c->view.shards[shard];
    s->holder = read_le64(value);
    s->epoch = read_le64(value);
    s->target = read_le64(value);
    s->active = read_u8(value) != 0;
    if ((s->holder && !ctrl_view_group(&c->view, s->holder)) || (s->target && !ctrl_view_group(&c->view, s->target)))
        value->ok = false;
}

/* ---- groups ---- */

enum { FLAG_FOUNDING = 1, FLAG_JOINING = 2, FLAG_LEAVING = 4, FLAG_REPLACES = 8, FLAGS_ALL = 15 };

static uint8_t member_flags(const struct ctrl_member *m)
{
    return (uint8_t)((m->founding ? FLAG_FOUNDING : 0) | (m->state == CTRL_MEMBER_JOINING ? FLAG_JOINING : 0) |
                     (m->state == CTRL_MEMBER_LEAVING ? FLAG_LEAVING : 0) | (m->replaces ? FLAG_REPLACES : 0));
}

static void encode_member(struct buf *b, const struct ctrl_member *m)
{
    buf_put_le64(b, m->id);
    buf_put_le64(b, m->node);
    buf_put_u8(b, member_flags(m));
    if (m->replaces)
        buf_put_le64(b, m->replaces);
    put_text(b, m->addr);
}

void ctrl_rows_put_group(struct ctrl *c, const struct ctrl_group *g)
{
    struct buf b = {0};
    buf_put_le64(&b, g->incarnation);
    buf_put_u8(&b, g->founded);
    buf_put_u8(&b, (uint8_t)g->n);
    for (unsigned i = 0; i < g->n; i++)
        encode_member(&b, &g->members[i]);
    row_put(c, key_one('g', g->gid), &b);
}

void ctrl_rows_put_controllers(struct ctrl *c)
{
    struct ctrl_group g = {.founded = true, .n = c->view.n_controllers};
    memcpy(g.members, c->view.controllers, sizeof(g.members));
    ctrl_rows_put_group(c, &g);
}

void ctrl_rows_delete_group(struct ctrl *c, uint64_t gid) { row_delete(c, key_one('g', gid)); }

static void decode_member(struct reader *r, struct ctrl_member *m)
{
    m->id = read_le64(r);
    m->node = read_le64(r);
    uint8_t flags = read_u8(r);
    if (flags > FLAGS_ALL)
        r->ok = false;
    m->founding = flags & FLAG_FOUNDING;
    m->state = flags & FLAG_JOINING ? CTRL_MEMBER_JOINING : flags & FLAG_LEAVING ? CTRL_MEMBER_LEAVING : CTRL_MEMBER_IN;
    m->replaces = flags & FLAG_REPLACES ? read_le64(r) : 0;
    read_text(r, m->addr, sizeof(m->addr));
}

static void decode_group(struct reader *r, struct ctrl_group *g)
{
    g->incarnation = read_le64(r);
    g->founded = read_u8(r) != 0;
    g->n = read_u8(r);
    if (g->n > MEMBERS_MAX) {
        g->n = 0;
        r->ok = false;
    }
    for (unsigned i = 0; i < g->n; i++)
        decode_member(r, &g->members[i]);
}

static void load_controllers(struct ctrl *c, struct reader *value)
{
    struct ctrl_group g = {0};
    decode_group(value, &g);
    c->view.n_controllers = g.n;
    memcpy(c->view.controllers, g.members, sizeof(g.members));
}

static void load_group(struct ctrl *c, struct reader *key, struct reader *value)
{
    uint64_t gid = read_be64(key);
    if (gid == 0)
        load_controllers(c, value);
    else if (c->view.n_groups == GROUPS_MAX)
        key->ok = false;
    else
        decode_group(value, ctrl_view_group_add(&c->view, gid));
}

/* ---- tombstones, drops ---- */

void ctrl_rows_put_tombstone(struct ctrl *c, const struct ctrl_tombstone *t)
{
    struct buf b = {0};
    buf_put_le64(&b, t->node);
    row_put(c, key_tombstone(t), &b);
}

void ctrl_rows_delete_tombstone(struct ctrl *c, const struct ctrl_tombstone *t) { row_delete(c, key_tombstone(t)); }

static void load_tombstone(struct ctrl *c, struct reader *key, struct reader *value)
{
    struct ctrl_tombstone t = {.gid = read_be64(key), .incarnation = read_be64(key)};
    t.member = read_be64(key);
    t.node = read_le64(value);
    ctrl_view_tombstone_add(&c->view, &t);
}

void ctrl_rows_put_drop(struct ctrl *c, const struct ctrl_drop *d)
{
    struct buf b = {0};
    buf_put_le64(&b, d->epoch);
    row_put(c, key_drop(d->gid, d->shard), &b);
}

void ctrl_rows_delete_drop(struct ctrl *c, uint64_t gid, uint32_t shard) { row_delete(c, key_drop(gid, shard)); }

static void load_drop(struct ctrl *c, struct reader *key, struct reader *value)
{
    struct ctrl_drop d = {.gid = read_be64(key)};
    d.shard = read_be32(key);
    d.epoch = read_le64(value);
    if (d.shard >= c->view.nshards)
        key->ok = false;
    ctrl_drops_restore(c, &d);
}

/* ---- results ---- */

void ctrl_rows_put_result(struct ctrl *c, uint64_t ordinal, const struct outcome *o)
{
    struct buf b = {0};
    buf_put_le64(&b, o->client);
    buf_put_le64(&b, o->seq);
    buf_put_le64(&b, o->time_us);
    buf_put_le64(&b, o->config_num);
    buf_put_u8(&b, (uint8_t)o->err);
    put_text(&b, o->why);
    row_put(c, key_one('r', ordinal), &b);
}

void ctrl_rows_delete_result(struct ctrl *c, uint64_t ordinal) { row_delete(c, key_one('r', ordinal)); }

static void load_result(struct ctrl *c, struct reader *key, struct reader *value)
{
    uint64_t ordinal = read_be64(key);
    struct outcome o = {.client = read_le64(value)};
    o.seq = read_le64(value);
    o.time_us = read_le64(value);
    o.config_num = read_le64(value);
    uint8_t err = read_u8(value);
    read_text(value, o.why, sizeof(o.why));
    if (ordinal < c->results.first || ordinal >= c->results.next || err >= RGKV_ERR_COUNT) {
        key->ok = false;
        return;
    }
    o.err = (enum rgkv_err)err;
    ctrl_results_restore(&c->results, ordinal, &o);
}

/* ---- meta ---- */

void ctrl_rows_put_meta(struct ctrl *c)
{
    struct buf b = {0};
    buf_put_u8(&b, ROWS_FORMAT);
    buf_put_le64(&b, c->view.cluster);
    buf_put_le32(&b, c->view.nshards);
    buf_put_le64(&b, c->time_us);
    buf_put_le64(&b, c->member_next);
    buf_put_le64(&b, c->view.version);
    buf_put_le64(&b, c->config.num);
    buf_put_le64(&b, c->results.first);
    buf_put_le64(&b, c->results.next);
    buf_put_le64(&b, c->results.evicted_us);
    row_put(c, key_of('m'), &b);
}

static bool meta_sane(const struct ctrl *c, const struct reader *r, uint8_t format)
{
    const struct results *all = &c->results;
    return reader_done(r) && format == ROWS_FORMAT && c->view.nshards <= NSHARDS_MAX && all->first <= all->next &&
           all->next - all->first <= RESULTS_MAX;
}

static enum rgkv_err meta_decode(struct ctrl *c, struct bytes row)
{
    struct reader r = reader_of(row);
    uint8_t format = read_u8(&r);
    c->view.cluster = read_le64(&r);
    c->view.nshards = read_le32(&r);
    c->time_us = read_le64(&r);
    c->member_next = read_le64(&r);
    c->view.version = read_le64(&r);
    c->view.config_num = read_le64(&r);
    c->results.first = read_le64(&r);
    c->results.next = read_le64(&r);
    c->results.evicted_us = read_le64(&r);
    if (!meta_sane(c, &r, format)) {
        c->view.nshards = 0;
        return RGKV_DAMAGED;
    }
    if (c->view.nshards) /* else a no-op was written before the cluster's first command */
        c->view.shards = mem_zalloc(c->view.nshards * sizeof(*c->view.shards));
    return RGKV_OK;
}

static enum rgkv_err load_meta(struct ctrl *c)
{
    struct row_key k = key_of('m');
    struct buf row = {0};
    enum rgkv_err err = table_get(c->table, NULL, bytes_of(k.data, k.len), &row);
    if (!err)
        err = meta_decode(c, buf_bytes(&row));
    buf_release(&row);
    return err;
}

/* ---- all of it ---- */

/* A key has the length of its kind before anything of it is believed: with a byte more it would be the same group twice. */
static enum rgkv_err load_kind(struct ctrl *c, char kind, size_t key_bytes, void (*load)(struct ctrl *, struct reader *, struct reader *))
{
    uint8_t from = (uint8_t)kind, to = (uint8_t)(kind + 1);
    struct table_iter *i = table_iter(c->table, NULL, bytes_of(&from, 1), bytes_of(&to, 1));
    enum rgkv_err err = RGKV_OK;
    while (!err && c->table->ops->iter_next(i)) {
        struct reader key = reader_of(bytes_from(c->table->ops->iter_key(i), 1));
        struct reader value = reader_of(c->table->ops->iter_value(i));
        if (key.rest.len == key_bytes)
            load(c, &key, &value);
        if (!reader_done(&key) || !reader_done(&value))
            err = RGKV_DAMAGED;
    }
    if (!err)
        err = c->table->ops->iter_error(i);
    c->table->ops->iter_free(i);
    return err;
}

static enum rgkv_err load_newest_config(struct ctrl *c)
{
    enum rgkv_err err = ctrl_rows_load_config(c, c->view.config_num, &c->config);
    if (err == RGKV_NOT_FOUND || (!err && c->config.nshards != c->view.nshards))
        return RGKV_DAMAGED;
    return err;
}

static bool config_groups_known(const struct ctrl *c)
{
    for (unsigned i = 0; i < c->config.n_groups; i++)
        if (!ctrl_view_group(&c->view, c->config.groups[i].gid))
            return false;
    return true;
}

enum rgkv_err ctrl_rows_load(struct ctrl *c)
{
    enum rgkv_err err = load_meta(c);
    if (err == RGKV_NOT_FOUND || (!err && c->view.nshards == 0))
        return RGKV_OK;
    if (!err)
        err = load_newest_config(c);
    if (!err)
        err = load_kind(c, 'g', 8, load_group); /* before the shards, which name them */
    if (!err)
        err = load_kind(c, 's', 4, load_shard);
    if (!err)
        err = load_kind(c, 'd', 8 + 4, load_drop);
    if (!err)
        err = load_kind(c, 't', 8 + 8 + 8, load_tombstone);
    if (!err)
        err = load_kind(c, 'r', 8, load_result);
    if (err)
        return err;
    if (!config_groups_known(c))
        return RGKV_DAMAGED;
    ctrl_view_follow_config(c);
    return RGKV_OK;
}
