/* Payloads of log entries:
 *
 *     0  u8 version (1)   1  u8 family   2  u16 0   4  u32 image bytes   8  tpl image, then bulk to the end
 *
 * A family is a shape: clients' requests, the other commands of a group, the commands of the controller. Members that a
 * command's kind does not use are not carried. There is no checksum here: the log and the frame have theirs. */
#include "wire/fields.h"

#define PAYLOAD_VERSION 1
#define PAYLOAD_HEADER_BYTES 8u

enum family { FAMILY_KV_REQUEST = 1, FAMILY_KV_SHARD, FAMILY_CTRL };
enum { TABLE_RANGES };

static const struct shape shape_kv_request = {
    .numbers = 1 + KV_REQUEST_NUMBERS, .n_tables = 1, .tables = {[TABLE_RANGES] = KV_RANGES_TABLE}};
static const struct shape shape_kv_shard = {.numbers = 13};
static const struct shape shape_ctrl = {.numbers = CTRL_COMMAND_NUMBERS, .n_tables = 3, .tables = {CTRL_COMMAND_TABLES}};

/* ---- the frame of a payload ---- */

/* A payload is written where it stays: the blob is made at its final size, and `buf` is lent its memory, which therefore
 * must never grow (ASSERTed at the end). */
struct payload_out {
    struct blob *blob;
    struct buf buf;
    struct body_out body;
};

static void payload_begin(struct payload_out *p, enum family family, const struct shape *s, const unsigned rows[], size_t bulk_bytes)
{
    size_t image_bytes = shape_bytes(s, rows), bytes = PAYLOAD_HEADER_BYTES + image_bytes + bulk_bytes;
    ASSERT(bytes <= ENTRY_BYTES_MAX);
    p->blob = blob_alloc(bytes);
    p->buf = (struct buf){.data = p->blob->data, .cap = bytes};
    buf_put_u8(&p->buf, PAYLOAD_VERSION);
    buf_put_u8(&p->buf, (uint8_t)family);
    buf_put_le16(&p->buf, 0);
    buf_put_le32(&p->buf, (uint32_t)image_bytes);
    body_out_begin(&p->body, s, rows, &p->buf);
}

static struct blob *payload_end(struct payload_out *p)
{
    body_out_end(&p->body);
    ASSERT(p->buf.data == p->blob->data && p->buf.len == p->blob->len);
    return p->blob;
}

static bool payload_open(struct bytes payload, enum family *ret_family, struct bytes *ret_image, struct bytes *ret_bulk)
{
    struct reader r = reader_of(payload);
    uint8_t version = read_u8(&r), family = read_u8(&r);
    uint16_t reserved = read_le16(&r);
    *ret_image = read_bytes(&r, read_le32(&r));
    *ret_bulk = r.rest;
    *ret_family = family;
    return r.ok && version == PAYLOAD_VERSION && reserved == 0 && payload.len <= ENTRY_BYTES_MAX;
}

/* ---- commands of a group ---- */

static void put_kv_shard(struct body_out *o, const struct kv_command *c)
{
    put_number(o, c->kind);
    put_number(o, c->time_us);
    put_number(o, c->shard);
    put_number(o, c->epoch);
    put_number(o, c->from);
    put_number(o, c->round);
    put_number(o, c->done);
    put_number(o, c->count);
    put_number(o, c->hash);
    put_number(o, c->revision);
    put_number(o, c->clock_us);
    put_bytes(o, c->after);
    put_bytes(o, c->rows);
}

static void take_kv_shard(struct body_in *in, struct kv_command *c)
{
    c->kind = in_range(in, take_number(in), KV_CLOCK, KV_COPY_SUM);
    c->time_us = take_number(in);
    c->shard = in_u32(in, take_number(in));
    c->epoch = take_number(in);
    c->from = take_number(in);
    c->round = take_number(in);
    c->done = in_bool(in, take_number(in));
    c->count = take_number(in);
    c->hash = take_number(in);
    c->revision = take_number(in);
    c->clock_us = take_number(in);
    c->after = take_bytes(in, CURSOR_BYTES_MAX);
    c->rows = take_bytes(in, ENTRY_BYTES_MAX);
}

static void take_kv_logged_request(struct body_in *in, struct kv_command *c)
{
    c->kind = KV_REQUEST;
    c->time_us = take_number(in);
    take_kv_request(in, &c->request, TABLE_RANGES);
    in_refuse(in, kv_op_reads(c->request.op)); /* reads are never logged */
}

static void kv_request_payload(struct payload_out *p, const struct kv_command *c)
{
    const struct kv_request *q = &c->request;
    const unsigned rows[SHAPE_TABLES_MAX] = {[TABLE_RANGES] = q->n_ranges};
    ASSERT(!kv_op_reads(q->op));
    payload_begin(p, FAMILY_KV_REQUEST, &shape_kv_request, rows, q->key.len + q->key2.len + q->data.len);
    put_number(&p->body, c->time_us);
    put_kv_request(&p->body, q, TABLE_RANGES);
}

static void kv_shard_payload(struct payload_out *p, const struct kv_command *c)
{
    const unsigned rows[SHAPE_TABLES_MAX] = {0};
    payload_begin(p, FAMILY_KV_SHARD, &shape_kv_shard, rows, c->after.len + c->rows.len);
    put_kv_shard(&p->body, c);
}

struct blob *kv_command_encode(const struct kv_command *c)
{
    struct payload_out p;
    if (c->kind == KV_REQUEST)
        kv_request_payload(&p, c);
    else
        kv_shard_payload(&p, c);
    return payload_end(&p);
}

static bool kv_family_decode(enum family family, struct bytes image, struct bytes bulk, struct arena *a, struct kv_command *c)
{
    struct body_in in;
    bool request = family == FAMILY_KV_REQUEST;
    if (!request && family != FAMILY_KV_SHARD)
        return false;
    if (!body_in_begin(&in, request ? &shape_kv_request : &shape_kv_shard, image, bulk, a))
        return false;
    if (request)
        take_kv_logged_request(&in, c);
    else
        take_kv_shard(&in, c);
    return body_in_end(&in);
}

enum rgkv_err kv_command_decode(struct bytes payload, struct arena *a, struct kv_command *ret_c)
{
    enum family family;
    struct bytes image, bulk;
    struct kv_command c = {0};
    if (!payload_open(payload, &family, &image, &bulk) || !kv_family_decode(family, image, bulk, a, &c))
        return RGKV_DAMAGED;
    *ret_c = c;
    return RGKV_OK;
}

/* ---- commands of the controller ---- */

static size_t addrs_bytes(const struct ctrl_command *c)
{
    size_t bytes = strlen(c->addr);
    for (unsigned i = 0; i < c->n_groups; i++)
        for (unsigned j = 0; j < c->groups[i].n; j++)
            bytes += strlen(c->groups[i].addrs[j]);
    return bytes;
}

struct blob *ctrl_command_encode(const struct ctrl_command *c)
{
    struct payload_out p;
    unsigned rows[SHAPE_TABLES_MAX] = {0};
    ctrl_command_rows(c, rows);
    payload_begin(&p, FAMILY_CTRL, &shape_ctrl, rows, addrs_bytes(c));
    put_ctrl_command(&p.body, c);
    return payload_end(&p);
}

enum rgkv_err ctrl_command_decode(struct bytes payload, struct arena *a, struct ctrl_command *ret_c)
{
    enum family family;
    struct bytes image, bulk;
    struct ctrl_command c = {0};
    struct body_in in;
    if (!payload_open(payload, &family, &image, &bulk) || family != FAMILY_CTRL)
        return RGKV_DAMAGED;
    if (!body_in_begin(&in, &shape_ctrl, image, bulk, a))
        return RGKV_DAMAGED;
    take_ctrl_command(&in, &c);
    if (!body_in_end(&in))
        return RGKV_DAMAGED;
    *ret_c = c;
    return RGKV_OK;
}
