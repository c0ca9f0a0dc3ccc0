/* struct kv_request, as it travels and as it is logged. Its small numbers go two to a word: it is the message that
 * there is most of. */
#include "wire/fields.h"

static void put_ranges(struct body_out *o, const struct kv_request *q, unsigned table)
{
    for (unsigned i = 0; i < q->n_ranges; i++)
        put_row(o, table, (uint64_t[]){q->ranges[i].offset, q->ranges[i].len});
}

void put_kv_request(struct body_out *o, const struct kv_request *q, unsigned table)
{
    ASSERT(q->key.len <= KEY_BYTES_MAX && q->key2.len <= KEY_BYTES_MAX && q->data.len <= DATA_BYTES_MAX);
    put_number(o, q->client);
    put_number(o, q->seq);
    put_number(o, q->floor);
    put_number(o, q->born_us);
    put_pair(o, q->shard, q->op);
    put_pair(o, q->flags, q->set);
    put_pair(o, (uint32_t)q->key.len, (uint32_t)q->key2.len);
    put_pair(o, (uint32_t)q->data.len, q->mode);
    put_pair(o, q->uid, q->gid);
    put_number(o, q->version);
    put_number(o, q->offset);
    put_number(o, q->length);
    put_number(o, (uint64_t)q->atime_ns);
    put_number(o, (uint64_t)q->mtime_ns);
    put_number(o, (uint64_t)q->now_ns);
    put_bulk(o, q->key);
    put_bulk(o, q->key2);
    put_bulk(o, q->data);
    put_ranges(o, q, table);
}

static enum kv_op in_op(struct body_in *in, uint32_t op)
{
    in_refuse(in, !kv_op_known(op));
    return in->ok ? (enum kv_op)op : 0;
}

static void take_ranges(struct body_in *in, struct kv_request *q, unsigned table)
{
    struct kv_range *ranges = take_array(in, in->rows[table], sizeof(*ranges));
    if (!ranges)
        return;
    for (unsigned i = 0; i < in->rows[table]; i++) {
        const uint64_t *row = take_row(in, table);
        ranges[i] = (struct kv_range){.offset = row[0], .len = in_u32(in, row[1])};
    }
    q->ranges = ranges;
    q->n_ranges = in->rows[table];
}

void take_kv_request(struct body_in *in, struct kv_request *q, unsigned table)
{
    uint32_t op, key_len, key2_len, data_len;
    q->client = take_number(in);
    q->seq = take_number(in);
    q->floor = take_number(in);
    q->born_us = take_number(in);
    take_pair(in, &q->shard, &op);
    q->op = in_op(in, op);
    take_pair(in, &q->flags, &q->set);
    take_pair(in, &key_len, &key2_len);
    take_pair(in, &data_len, &q->mode);
    take_pair(in, &q->uid, &q->gid);
    q->version = take_number(in);
    q->offset = take_number(in);
    q->length = take_number(in);
    q->atime_ns = (int64_t)take_number(in);
    q->mtime_ns = (int64_t)take_number(in);
    q->now_ns = (int64_t)take_number(in);
    q->key = take_bulk(in, key_len, KEY_BYTES_MAX);
    q->key2 = take_bulk(in, key2_len, KEY_BYTES_MAX);
    q->data = take_bulk(in, data_len, DATA_BYTES_MAX);
    take_ranges(in, q, table);
}
