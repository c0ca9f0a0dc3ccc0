/* Random commands against a plain model of files and directories: same errors, same bytes, same names; old versions as
 * they were. And: neither the batches nor restarts leave a trace in the state. KV_SEED, KV_OPS choose another run. */
#include "tests/unit/kv_help.h"

#define MODEL_NODES_MAX 256
#define PINS_MAX 24

struct node {
    char key[80];
    enum kv_type type;
    uint64_t version;
    uint32_t mode;
    struct buf content;
};

struct pin {               /* a reader's: what a key was at a version */
    char key[80];
    uint64_t version, ino, time_us;
    struct buf content;
};

struct model {
    struct rig *rig;
    struct prng prng;
    bool looks;            /* reads end a batch: in some runs they are rare */
    unsigned n, n_pins, seen[RGKV_ERR_COUNT], pins_read, pins_stale;
    struct node nodes[MODEL_NODES_MAX];
    struct pin pins[PINS_MAX];
    uint8_t noise[200000];
};

/* ---- the model ---- */

static struct node *node_of(struct model *m, const char *key)
{
    for (unsigned i = 0; i < m->n; i++)
        if (strcmp(m->nodes[i].key, key) == 0)
            return &m->nodes[i];
    return NULL;
}

static bool below(const char *key, const char *dir)
{
    size_t len = strlen(dir);
    return strncmp(key, dir, len) == 0 && key[len] == '/';
}

static bool has_children(struct model *m, const char *key)
{
    for (unsigned i = 0; i < m->n; i++)
        if (below(m->nodes[i].key, key))
            return true;
    return false;
}

/* Why the key can or cannot be made. */
static enum rgkv_err parent_err(struct model *m, const char *key)
{
    char dir[80];
    bool direct = true;
    strcpy(dir, key);
    for (char *slash; (slash = strrchr(dir, '/')); direct = false) {
        *slash = 0;
        struct node *n = node_of(m, dir);
        if (n)
            return n->type != KV_DIR ? RGKV_NOT_DIR : direct ? RGKV_OK : RGKV_NOT_FOUND;
    }
    return direct ? RGKV_OK : RGKV_NOT_FOUND;
}

static enum rgkv_err missing_err(struct model *m, const char *key)
{
    enum rgkv_err err = parent_err(m, key);
    return err == RGKV_NOT_DIR ? err : RGKV_NOT_FOUND;
}

static void node_remove(struct model *m, struct node *n)
{
    buf_release(&n->content);
    *n = m->nodes[--m->n];
    memset(&m->nodes[m->n], 0, sizeof(*n));
}

static struct node *node_add(struct model *m, const char *key, enum kv_type type)
{
    assert_true(m->n < MODEL_NODES_MAX);
    struct node *n = &m->nodes[m->n++];
    memset(n, 0, sizeof(*n));
    strcpy(n->key, key);
    n->type = type;
    n->mode = type == KV_DIR ? 0755 : type == KV_LINK ? 0777 : 0644;
    return n;
}

static void rename_below(struct model *m, const char *from, const char *to)
{
    char key[200];
    for (unsigned i = 0; i < m->n; i++) {
        struct node *n = &m->nodes[i];
        if (strcmp(n->key, from) != 0 && !below(n->key, from))
            continue;
        snprintf(key, sizeof(key), "%s%s", to, n->key + strlen(from));
        assert_true(strlen(key) < sizeof(n->key));
        strcpy(n->key, key);
    }
}

/* ---- random words ---- */

static void random_key(struct model *m, char *key)
{
    static const char *names[] = {"a", "b", "c", "b-", "x.y"};
    unsigned depth = 1 + (unsigned)prng_below(&m->prng, 3);
    key[0] = 0;
    for (unsigned i = 0; i < depth; i++) {
        if (i)
            strcat(key, "/");
        strcat(key, names[prng_below(&m->prng, ARRAY_LEN(names))]);
    }
}

static struct bytes random_data(struct model *m)
{
    static const uint32_t most[] = {10, 100, 4096, 5000, 70000, 150000};
    uint64_t len = prng_below(&m->prng, most[prng_below(&m->prng, ARRAY_LEN(most))] + 1);
    return bytes_of(m->noise + prng_below(&m->prng, sizeof(m->noise) - len), len);
}

static void expect(struct model *m, enum rgkv_err want, enum rgkv_err got)
{
    if (want != got)
        print_error("expected %s, got %s\n", rgkv_err_name(want), rgkv_err_name(got));
    assert_int_equal(want, got);
    m->seen[got]++;
}

/* ---- one random command of each kind ---- */

/* Looking ends the batch. */
static void know_version(struct model *m, struct node *n)
{
    if (n)
        n->version = version_of(m->rig, n->key);
}

static void one_write(struct model *m, enum kv_op op)
{
    char key[80];
    random_key(m, key);
    struct node *n = node_of(m, key);
    enum rgkv_err want = n ? (n->type == KV_DIR ? RGKV_IS_DIR : n->type == KV_LINK ? RGKV_NOT_PERMITTED : RGKV_OK) : parent_err(m, key);
    struct kv_request q = ask(op, key);
    if (prng_chance(&m->prng, 1, 8)) {
        q.flags = KV_CREATE_ONLY;
        want = n ? RGKV_EXISTS : want;
    } else if (m->looks && prng_chance(&m->prng, 1, 8)) {
        q.flags = KV_IF_VERSION;
        know_version(m, n);
        q.version = n && prng_chance(&m->prng, 1, 2) ? n->version : prng_below(&m->prng, 3);
        want = q.version != (n ? n->version : 0) ? RGKV_VERSION : want;
    }
    q.data = random_data(m);
    expect(m, want, rig_do(m->rig, q));
    if (want)
        return;
    if (!n)
        n = node_add(m, key, KV_FILE);
    if (op == KV_PUT)
        buf_clear(&n->content);
    buf_put(&n->content, q.data);
}

static void content_resize(struct buf *b, size_t size)
{
    size_t have = b->len;
    if (size > have)
        memset(buf_grow(b, size - have), 0, size - have);
    b->len = size;
}

static void one_patch(struct model *m)
{
    char key[80];
    struct kv_range ranges[3];
    random_key(m, key);
    struct node *n = node_of(m, key);
    enum rgkv_err want = n ? (n->type == KV_DIR ? RGKV_IS_DIR : n->type == KV_LINK ? RGKV_NOT_PERMITTED : RGKV_OK) : missing_err(m, key);
    size_t size = n ? n->content.len : 0, sum = 0;
    struct kv_request q = ask(KV_PATCH, key);
    q.n_ranges = (unsigned)prng_below(&m->prng, 4);
    q.ranges = ranges;
    q.data = bytes_of(m->noise + prng_below(&m->prng, 1000), 0);
    for (unsigned i = 0; i < q.n_ranges; i++) {
        ranges[i].offset = prng_below(&m->prng, size + 1 + prng_below(&m->prng, 2) * prng_below(&m->prng, 90000));
        ranges[i].len = (uint32_t)random_data(m).len / 4;
        sum += ranges[i].len;
    }
    q.data.len = sum;
    if (prng_chance(&m->prng, 1, 3)) {
        q.flags = KV_TRUNCATE;
        q.length = prng_below(&m->prng, prng_chance(&m->prng, 1, 3) ? size + 200000 : size + 1);
    }
    expect(m, want, rig_do(m->rig, q));
    if (want)
        return;
    if (q.flags & KV_TRUNCATE)
        content_resize(&n->content, q.length);
    struct bytes data = q.data;
    for (unsigned i = 0; i < q.n_ranges; i++) {
        if (ranges[i].len && ranges[i].offset + ranges[i].len > n->content.len)
            content_resize(&n->content, ranges[i].offset + ranges[i].len);
        if (ranges[i].len)
            memcpy(n->content.data + ranges[i].offset, data.data, ranges[i].len);
        data = bytes_from(data, ranges[i].len);
    }
}

static void one_removal(struct model *m, enum kv_op op)
{
    char key[80];
    random_key(m, key);
    struct node *n = node_of(m, key);
    enum rgkv_err want = RGKV_OK;
    if (!n)
        want = missing_err(m, key);
    else if (op == KV_DELETE)
        want = n->type == KV_DIR ? RGKV_IS_DIR : RGKV_OK;
    else
        want = n->type != KV_DIR ? RGKV_NOT_DIR : has_children(m, key) ? RGKV_NOT_EMPTY : RGKV_OK;
    expect(m, want, on(m->rig, op, key));
    if (!want)
        node_remove(m, n);
}

static void one_new_name(struct model *m, enum kv_op op)
{
    char key[80];
    random_key(m, key);
    enum rgkv_err want = node_of(m, key) ? RGKV_EXISTS : parent_err(m, key);
    struct kv_request q = ask(op, key);
    if (op == KV_SYMLINK)
        q.data = bytes_str("some/where");
    expect(m, want, rig_do(m->rig, q));
    if (want)
        return;
    struct node *n = node_add(m, key, op == KV_MKDIR ? KV_DIR : KV_LINK);
    buf_put(&n->content, q.data);
}

static void one_setattr(struct model *m)
{
    char key[80];
    random_key(m, key);
    struct node *n = node_of(m, key);
    struct kv_request q = ask(KV_SETATTR, key);
    q.set = KV_SET_MODE;
    q.mode = (uint32_t)prng_below(&m->prng, 01000);
    expect(m, n ? RGKV_OK : missing_err(m, key), rig_do(m->rig, q));
    if (n)
        n->mode = q.mode;
}

static enum rgkv_err rename_err(struct model *m, struct node *a, struct node *b, const char *from, const char *to, bool noreplace)
{
    if (!a)
        return missing_err(m, from);
    if (strcmp(from, to) == 0)
        return noreplace ? RGKV_EXISTS : RGKV_OK;
    if (below(to, from))
        return a->type == KV_DIR ? RGKV_LOOP : RGKV_NOT_DIR;
    if (!b)
        return parent_err(m, to);
    if (noreplace)
        return RGKV_EXISTS;
    if ((a->type == KV_DIR) != (b->type == KV_DIR))
        return a->type == KV_DIR ? RGKV_NOT_DIR : RGKV_IS_DIR;
    return b->type == KV_DIR && has_children(m, to) ? RGKV_NOT_EMPTY : RGKV_OK;
}

static void one_rename(struct model *m)
{
    char from[80], to[80];
    random_key(m, from);
    random_key(m, to);
    bool noreplace = prng_chance(&m->prng, 1, 5);
    struct node *a = node_of(m, from), *b = node_of(m, to);
    enum rgkv_err want = rename_err(m, a, b, from, to, noreplace);
    expect(m, want, rename_to(m->rig, KV_RENAME, from, to, noreplace ? KV_CREATE_ONLY : 0));
    if (want || a == b)
        return;
    if (b)
        node_remove(m, b);
    rename_below(m, from, to);
}

static void one_exchange(struct model *m)
{
    char a[80], b[80];
    random_key(m, a);
    random_key(m, b);
    enum rgkv_err want = RGKV_OK;
    if (!node_of(m, a))
        want = missing_err(m, a);
    else if (below(a, b) || below(b, a))
        want = RGKV_LOOP;
    else if (!node_of(m, b))
        want = missing_err(m, b);
    expect(m, want, rename_to(m->rig, KV_EXCHANGE, a, b, 0));
    if (want || strcmp(a, b) == 0)
        return;
    rename_below(m, a, "~");
    rename_below(m, b, a);
    rename_below(m, "~", b);
}

/* ---- looking ---- */

static void check_node(struct model *m, struct node *n)
{
    assert_int_equal(stat_of(m->rig, n->key), RGKV_OK);
    struct kv_attr a = m->rig->reply.attr;
    assert_int_equal(a.type, n->type);
    assert_int_equal(a.mode, n->mode);
    assert_true(a.size == n->content.len);
    n->version = a.version;
    if (n->type == KV_DIR)
        return;
    struct kv_request q = ask(KV_GET, n->key);
    q.length = UINT64_MAX;
    while (q.offset < n->content.len || q.offset == 0) {
        assert_int_equal(rig_read(m->rig, q), RGKV_OK);
        struct bytes got = m->rig->reply.data;
        assert_true(got.len <= n->content.len - q.offset);
        if (got.len)
            assert_memory_equal(got.data, n->content.data + q.offset, got.len);
        q.offset += got.len;
        assert_true(m->rig->reply.more == (q.offset < n->content.len));
        if (!got.len)
            break;
    }
}

static void check_part(struct model *m, struct node *n)
{
    struct kv_request q = ask(KV_GET, n->key);
    q.offset = prng_below(&m->prng, n->content.len + 10);
    q.length = prng_below(&m->prng, 100000);
    assert_int_equal(rig_read(m->rig, q), n->type == KV_DIR ? RGKV_IS_DIR : RGKV_OK);
    if (n->type == KV_DIR)
        return;
    uint64_t want = q.offset < n->content.len ? MIN(q.length, n->content.len - q.offset) : 0;
    assert_true(m->rig->reply.data.len == want);
    if (want)
        assert_memory_equal(m->rig->reply.data.data, n->content.data + q.offset, want);
}

static void check_list(struct model *m, const char *dir)
{
    unsigned want = 0, got = 0;
    size_t len = strlen(dir);
    for (unsigned i = 0; i < m->n; i++) {
        const char *key = m->nodes[i].key;
        const char *name = len ? key + len + 1 : key;
        want += (len == 0 || below(key, dir)) && !strchr(name, '/');
    }
    assert_int_equal(rig_read(m->rig, ask(KV_LIST, dir)), RGKV_OK);
    struct reader r = reader_of(m->rig->reply.data);
    struct kv_dirent d;
    for (; kv_dirent_next(&r, &d); got++) {
        char key[400];
        snprintf(key, sizeof(key), "%s%s%.*s", dir, len ? "/" : "", (int)d.name.len, (const char *)d.name.data);
        assert_non_null(node_of(m, key));
    }
    assert_int_equal(got, want);
}

static void check_counts(struct model *m)
{
    struct kv_shard_status s;
    uint64_t bytes = 0;
    kv_shard_status(m->rig->kv, 0, &s);
    for (unsigned i = 0; i < m->n; i++)
        bytes += m->nodes[i].content.len;
    assert_true(s.keys == m->n);
    assert_true(s.bytes == bytes);
}

static void check_all(struct model *m)
{
    check_list(m, "");
    check_counts(m);
    for (unsigned i = 0; i < m->n; i++) {
        check_node(m, &m->nodes[i]);
        if (m->nodes[i].type == KV_DIR)
            check_list(m, m->nodes[i].key);
    }
}

/* ---- pinned readers ---- */

static void pin_take(struct model *m)
{
    if (m->n == 0)
        return;
    struct node *n = &m->nodes[prng_below(&m->prng, m->n)];
    if (n->type != KV_FILE)
        return;
    struct pin *p = &m->pins[m->n_pins < PINS_MAX ? m->n_pins++ : prng_below(&m->prng, PINS_MAX)];
    strcpy(p->key, n->key);
    p->version = version_of(m->rig, n->key);
    p->ino = m->rig->reply.attr.ino;
    p->time_us = m->rig->time_us;
    buf_clear(&p->content);
    buf_put(&p->content, buf_bytes(&n->content));
}

/* A value that was small may be gone at once; a large one stays for its time; no answer is ever of another version. */
static void pin_read(struct model *m)
{
    if (m->n_pins == 0)
        return;
    struct pin *p = &m->pins[prng_below(&m->prng, m->n_pins)];
    uint64_t offset = prng_below(&m->prng, p->content.len + 1), len = MIN(p->content.len - offset, 100000);
    enum rgkv_err err = get_of(m->rig, p->key, p->ino, p->version, offset, len);
    if (err) {
        assert_true(err == RGKV_STALE || err == RGKV_NOT_FOUND || err == RGKV_NOT_DIR);
        assert_true(p->content.len <= VALUE_INLINE_BYTES || m->rig->time_us - p->time_us >= OLD_VERSION_TTL_US);
        m->pins_stale++;
        return;
    }
    assert_true(m->rig->reply.data.len == len);
    if (len)
        assert_memory_equal(m->rig->reply.data.data, p->content.data + offset, len);
    m->pins_read++;
}

static void time_passes(struct model *m)
{
    struct kv_command c = {.kind = KV_CLOCK};
    m->rig->time_us += prng_below(&m->prng, 3 * SECOND);
    if (kv_clock_due(m->rig->kv, m->rig->time_us) && prng_chance(&m->prng, 1, 2))
        assert_int_equal(rig_apply(m->rig, &c), RGKV_OK);
}

static void one_step(struct model *m)
{
    uint64_t dice = prng_below(&m->prng, 100);
    if (dice < 18)
        one_write(m, KV_PUT);
    else if (dice < 36)
        one_write(m, KV_APPEND);
    else if (dice < 50)
        one_patch(m);
    else if (dice < 57)
        one_removal(m, KV_DELETE);
    else if (dice < 60)
        one_removal(m, KV_RMDIR);
    else if (dice < 68)
        one_new_name(m, KV_MKDIR);
    else if (dice < 70)
        one_new_name(m, KV_SYMLINK);
    else if (dice < 73)
        one_setattr(m);
    else if (dice < 80)
        one_rename(m);
    else if (dice < 83)
        one_exchange(m);
    else if (dice < 86)
        time_passes(m);
    else if (!m->looks)
        return;
    else if (dice < 89)
        pin_take(m);
    else if (dice < 95)
        pin_read(m);
    else if (m->n)
        check_part(m, &m->nodes[prng_below(&m->prng, m->n)]);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static struct model *model_new(uint64_t seed, unsigned batch)
{
    struct model *m = calloc(1, sizeof(*m));
    prng_init(&m->prng, seed);
    for (size_t i = 0; i < sizeof(m->noise); i++)
        m->noise[i] = (uint8_t)prng_next(&m->prng);
    m->rig = rig_new(1);
    m->rig->batch = batch;
    m->looks = batch == 1;
    return m;
}

static void model_free(struct model *m)
{
    while (m->n)
        node_remove(m, &m->nodes[0]);
    for (unsigned i = 0; i < m->n_pins; i++)
        buf_release(&m->pins[i].content);
    rig_free(m->rig);
    free(m);
}

static void run(uint64_t seed, unsigned ops, unsigned batch)
{
    struct model *m = model_new(seed, batch);
    for (unsigned i = 0; i < ops; i++) {
        one_step(m);
        if (i % 500 == 499)
            check_all(m);
        if (i % 2000 == 1999)
            rig_reopen(m->rig);
    }
    check_all(m);
    if (ops >= 10000 && m->looks) {
        enum rgkv_err must[] = {RGKV_OK, RGKV_NOT_FOUND, RGKV_EXISTS, RGKV_IS_DIR, RGKV_NOT_DIR, RGKV_NOT_EMPTY, RGKV_LOOP, RGKV_VERSION};
        for (size_t i = 0; i < ARRAY_LEN(must); i++)
            assert_true(m->seen[must[i]] > 10);
        assert_true(m->pins_read > 100 && m->pins_stale > 10);
    }
    model_free(m);
}

static void random_commands_do_what_a_plain_file_tree_does(void **state)
{
    uint64_t seed = from_environment("KV_SEED", 0), ops = from_environment("KV_OPS", 12000);
    if (seed) {
        run(seed, (unsigned)ops, 1);
        return;
    }
    run(1, (unsigned)ops, 1);
    run(2, (unsigned)ops, 1);
    for (seed = 3; seed < 12; seed++)
        run(seed, 1500, 1 + (unsigned)seed * seed);
}

/* What nobody refers to any more is collected: only meta rows, sessions and live data stay. */
static void old_versions_leave_no_row_behind(void **state)
{
    struct model *m = model_new(77, 1);
    for (unsigned i = 0; i < 3000; i++)
        one_step(m);
    while (m->n) {
        struct node *n = &m->nodes[0];
        for (unsigned i = 1; i < m->n; i++)
            if (strlen(m->nodes[i].key) > strlen(n->key))
                n = &m->nodes[i];
        assert_int_equal(on(m->rig, n->type == KV_DIR ? KV_RMDIR : KV_DELETE, n->key), RGKV_OK);
        node_remove(m, n);
    }
    clock_to(m->rig, m->rig->time_us + OLD_VERSION_TTL_US);
    assert_int_equal(rows_of_table(m->rig, "\0\0m", 3), 0);
    assert_int_equal(rows_of_table(m->rig, "\0\0d", 3), 0);
    assert_int_equal(rows_of_table(m->rig, "\0\0h", 3), 0);
    assert_int_equal(rows_of_table(m->rig, "\0\0q", 3), 1); /* the session's */
    check_counts(m);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_commands_do_what_a_plain_file_tree_does),
        cmocka_unit_test(old_versions_leave_no_row_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
