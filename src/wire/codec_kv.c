/* What clients ask of groups, and what leaders of groups pull from each other. */
#include "wire/codec.h"
#include "wire/fields.h"

enum { TABLE_RANGES };

/* ---- KV_REQUEST ---- */

static void kv_request_rows(const struct msg *m, unsigned ret_rows[SHAPE_TABLES_MAX])
{
    ret_rows[TABLE_RANGES] = m->kv_request.request.n_ranges;
}

static void kv_request_encode(const struct msg *m, struct body_out *o)
{
    put_number(o, m->kv_request.gid);
    put_kv_request(o, &m->kv_request.request, TABLE_RANGES);
}

static void kv_request_decode(struct body_in *in, struct msg *m)
{
    m->kv_request.gid = take_number(in);
    take_kv_request(in, &m->kv_request.request, TABLE_RANGES);
}

const struct codec codec_kv_request = {
    .name = "KV_REQUEST",
    .struct_bytes = sizeof(struct msg_kv_request),
    .shape = {.numbers = 1 + KV_REQUEST_NUMBERS, .n_tables = 1, .tables = {[TABLE_RANGES] = KV_RANGES_TABLE}},
    .bulk_max = KV_REQUEST_BULK_MAX,
    .rows = kv_request_rows,
    .encode = kv_request_encode,
    .decode = kv_request_decode,
};

/* ---- KV_REPLY ---- */

static void put_attr(struct body_out *o, const struct kv_attr *a)
{
    put_pair(o, a->type, a->mode);
    put_pair(o, a->uid, a->gid);
    put_number(o, a->size);
    put_number(o, a->version);
    put_number(o, a->base);
    put_number(o, a->ino);
    put_number(o, (uint64_t)a->atime_ns);
    put_number(o, (uint64_t)a->mtime_ns);
    put_number(o, (uint64_t)a->ctime_ns);
}

static void take_attr(struct body_in *in, struct kv_attr *a)
{
    uint32_t type;
    take_pair(in, &type, &a->mode);
    a->type = in_range(in, type, 0, KV_LINK); /* 0: none */
    take_pair(in, &a->uid, &a->gid);
    a->size = take_number(in);
    a->version = take_number(in);
    a->base = take_number(in);
    a->ino = take_number(in);
    a->atime_ns = (int64_t)take_number(in);
    a->mtime_ns = (int64_t)take_number(in);
    a->ctime_ns = (int64_t)take_number(in);
}

static void kv_reply_encode(const struct msg *m, struct body_out *o)
{
    const struct kv_reply *r = &m->kv_reply;
    put_number(o, r->err);
    put_number(o, r->shard_time_us);
    put_attr(o, &r->attr);
    put_pair(o, r->has_attr, r->more);
    put_number(o, r->leader_member);
    put_bytes(o, r->data);
    put_text(o, r->leader_addr);
}

static void kv_reply_decode(struct body_in *in, struct msg *m)
{
    struct kv_reply *r = &m->kv_reply;
    uint32_t has_attr, more;
    r->err = take_err(in);
    r->shard_time_us = take_number(in);
    take_attr(in, &r->attr);
    take_pair(in, &has_attr, &more);
    r->has_attr = in_bool(in, has_attr);
    r->more = in_bool(in, more);
    r->leader_member = take_number(in);
    r->data = take_bytes(in, DATA_BYTES_MAX);
    take_text(in, r->leader_addr, sizeof(r->leader_addr));
}

const struct codec codec_kv_reply = {
    .name = "KV_REPLY",
    .struct_bytes = sizeof(struct kv_reply),
    .shape = {.numbers = 15},
    .bulk_max = DATA_BYTES_MAX + ADDR_BYTES_MAX,
    .encode = kv_reply_encode,
    .decode = kv_reply_decode,
};

/* ---- PULL ---- */

static void pull_encode(const struct msg *m, struct body_out *o)
{
    put_number(o, m->pull.gid);
    put_number(o, m->pull.incarnation);
    put_number(o, m->pull.shard);
    put_number(o, m->pull.epoch);
    put_number(o, m->pull.round);
    put_bytes(o, m->pull.after);
}

static void pull_decode(struct body_in *in, struct msg *m)
{
    m->pull.gid = take_number(in);
    m->pull.incarnation = take_number(in);
    m->pull.shard = in_u32(in, take_number(in));
    m->pull.epoch = take_number(in);
    m->pull.round = take_number(in);
    m->pull.after = take_bytes(in, CURSOR_BYTES_MAX);
}

const struct codec codec_pull = {
    .name = "PULL",
    .struct_bytes = sizeof(struct msg_pull),
    .shape = {.numbers = 6},
    .bulk_max = CURSOR_BYTES_MAX,
    .encode = pull_encode,
    .decode = pull_decode,
};

/* ---- PULL_REPLY ---- */

static void pull_reply_encode(const struct msg *m, struct body_out *o)
{
    const struct msg_pull_reply *r = &m->pull_reply;
    put_number(o, r->err);
    put_text(o, r->leader_addr);
    put_number(o, r->shard);
    put_number(o, r->epoch);
    put_number(o, r->round);
    put_number(o, r->pulled.done);
    put_number(o, r->pulled.last);
    put_number(o, r->pulled.count);
    put_number(o, r->pulled.hash);
    put_number(o, r->pulled.revision);
    put_number(o, r->pulled.clock_us);
    put_bytes(o, r->after);
    put_bytes(o, r->rows);
}

static void pull_reply_decode(struct body_in *in, struct msg *m)
{
    struct msg_pull_reply *r = &m->pull_reply;
    r->err = take_err(in);
    take_text(in, r->leader_addr, sizeof(r->leader_addr));
    r->shard = in_u32(in, take_number(in));
    r->epoch = take_number(in);
    r->round = take_number(in);
    r->pulled.done = in_bool(in, take_number(in));
    r->pulled.last = in_bool(in, take_number(in));
    r->pulled.count = take_number(in);
    r->pulled.hash = take_number(in);
    r->pulled.revision = take_number(in);
    r->pulled.clock_us = take_number(in);
    r->after = take_bytes(in, CURSOR_BYTES_MAX);
    r->rows = take_bytes(in, ENTRY_BYTES_MAX);
}

const struct codec codec_pull_reply = {
    .name = "PULL_REPLY",
    .struct_bytes = sizeof(struct msg_pull_reply),
    .shape = {.numbers = 13},
    .bulk_max = ADDR_BYTES_MAX + CURSOR_BYTES_MAX + ENTRY_BYTES_MAX,
    .encode = pull_reply_encode,
    .decode = pull_reply_decode,
};
