/* The manifest of a data directory, as the content of a small file:
 *
 *     0  u32 magic "RGKM"   4  u8 version (2)   5  u24 0   8  u32 image bytes   12  u32 bulk bytes
 *    16  u64 XXH3 of bytes 0..15, seeding XXH3 of the rest   24  tpl image, then bulk
 *
 * One table has all members: first the controller's founding ones, then each replica's in order. */
#include "wire/fields.h"

#define MANIFEST_VERSION 2
#define HEADER_BYTES 24u
#define CHECKED_HEADER_BYTES 16u

static const uint8_t magic[4] = {'R', 'G', 'K', 'M'};

enum { TABLE_MEMBERS, TABLE_CONTROLLERS, TABLE_REPLICAS };

static const struct shape shape_manifest = {
    .numbers = 4 + FOUNDING_NUMBERS,
    .n_tables = 3,
    .tables = {[TABLE_MEMBERS] = {.columns = RAFT_MEMBER_COLUMNS, .rows_max = MEMBERS_MAX * (REPLICAS_MAX + 1)},
               [TABLE_CONTROLLERS] = {.columns = 1, .rows_max = MEMBERS_MAX},
               [TABLE_REPLICAS] = {.columns = 5, .rows_max = REPLICAS_MAX}},
};

static uint64_t manifest_checksum(struct bytes file)
{
    uint64_t seed = hash64(bytes_first(file, CHECKED_HEADER_BYTES));
    return hash64_seeded(bytes_from(file, HEADER_BYTES), seed);
}

static void le_write(uint8_t *to, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

/* ---- out ---- */

static void manifest_rows(const struct manifest *m, unsigned ret_rows[SHAPE_TABLES_MAX])
{
    ASSERT(m->n_controllers <= MEMBERS_MAX && m->n_replicas <= REPLICAS_MAX);
    ret_rows[TABLE_MEMBERS] = m->founding.n;
    for (unsigned i = 0; i < m->n_replicas; i++)
        ret_rows[TABLE_MEMBERS] += m->replicas[i].founding.n;
    ret_rows[TABLE_CONTROLLERS] = m->n_controllers;
    ret_rows[TABLE_REPLICAS] = m->n_replicas;
}

static void put_replica(struct body_out *o, const struct manifest_replica *r)
{
    ASSERT(r->founding.n <= MEMBERS_MAX);
    put_row(o, TABLE_REPLICAS,
            (uint64_t[]){r->gid, r->incarnation, r->member, pair_of(r->nshards, r->blank), r->founding.n});
    for (unsigned i = 0; i < r->founding.n; i++)
        put_raft_member(o, TABLE_MEMBERS, &r->founding.members[i]);
}

static void put_manifest(struct body_out *o, const struct manifest *m)
{
    put_number(o, m->node);
    put_number(o, m->cluster);
    put_text(o, m->addr);
    put_number(o, m->view);
    put_founding(o, TABLE_MEMBERS, &m->founding);
    for (unsigned i = 0; i < m->n_controllers; i++)
        put_row(o, TABLE_CONTROLLERS, (uint64_t[]){put_row_text(o, m->controllers[i])});
    for (unsigned i = 0; i < m->n_replicas; i++)
        put_replica(o, &m->replicas[i]);
}

void manifest_encode(const struct manifest *m, struct buf *out)
{
    size_t file_at = out->len;
    unsigned rows[SHAPE_TABLES_MAX] = {0};
    struct body_out o;
    manifest_rows(m, rows);
    memset(buf_grow(out, HEADER_BYTES), 0, HEADER_BYTES);
    body_out_begin(&o, &shape_manifest, rows, out);
    put_manifest(&o, m);
    size_t image_bytes = body_out_end(&o);
    uint8_t *header = out->data + file_at;
    size_t file_bytes = out->len - file_at;
    memcpy(header, magic, sizeof(magic));
    header[4] = MANIFEST_VERSION;
    le_write(header + 8, image_bytes, 4);
    le_write(header + 12, file_bytes - HEADER_BYTES - image_bytes, 4);
    le_write(header + CHECKED_HEADER_BYTES, manifest_checksum(bytes_of(header, file_bytes)), 8);
}

/* ---- in ---- */

static void take_replica(struct body_in *in, struct manifest_replica *r)
{
    const uint64_t *row = take_row(in, TABLE_REPLICAS);
    r->gid = row[0];
    r->incarnation = row[1];
    r->member = row[2];
    r->nshards = (uint32_t)row[3];
    r->blank = in_bool(in, row[3] >> 32);
    r->founding.n = (unsigned)in_range(in, row[4], 0, MEMBERS_MAX);
    for (unsigned i = 0; i < r->founding.n && in->ok; i++)
        take_raft_member(in, TABLE_MEMBERS, &r->founding.members[i]);
}

static void take_manifest(struct body_in *in, struct manifest *m)
{
    m->node = take_number(in);
    m->cluster = take_number(in);
    take_text(in, m->addr, sizeof(m->addr));
    m->view = take_number(in);
    take_founding(in, TABLE_MEMBERS, &m->founding);
    m->n_controllers = in->rows[TABLE_CONTROLLERS];
    for (unsigned i = 0; i < m->n_controllers && in->ok; i++)
        take_row_text(in, take_row(in, TABLE_CONTROLLERS)[0], m->controllers[i], sizeof(m->controllers[i]));
    m->n_replicas = in->rows[TABLE_REPLICAS];
    for (unsigned i = 0; i < m->n_replicas && in->ok; i++)
        take_replica(in, &m->replicas[i]);
}

static bool manifest_open(struct bytes file, struct bytes *ret_image, struct bytes *ret_bulk)
{
    struct reader r = reader_of(file);
    bool ours = bytes_eq(read_bytes(&r, sizeof(magic)), bytes_of(magic, sizeof(magic)));
    ours &= read_le32(&r) == MANIFEST_VERSION; /* with its three reserved bytes */
    uint32_t image_bytes = read_le32(&r), bulk_bytes = read_le32(&r);
    uint64_t checksum = read_le64(&r);
    *ret_image = read_bytes(&r, image_bytes);
    *ret_bulk = read_bytes(&r, bulk_bytes);
    return ours && r.ok && r.rest.len == 0 && checksum == manifest_checksum(file);
}

enum rgkv_err manifest_decode(struct bytes file, struct manifest *ret_m)
{
    struct bytes image, bulk;
    struct body_in in;
    if (!manifest_open(file, &image, &bulk) || !body_in_begin(&in, &shape_manifest, image, bulk, NULL))
        return RGKV_DAMAGED;
    struct manifest *m = mem_zalloc(sizeof(*m));
    take_manifest(&in, m);
    bool ok = body_in_end(&in);
    if (ok)
        *ret_m = *m;
    mem_free(m);
    return ok ? RGKV_OK : RGKV_DAMAGED;
}
