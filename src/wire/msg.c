#include "wire/codec.h"
#include "wire/frame.h"

static const struct codec *const codecs[MSG_KIND_COUNT] = {
    [MSG_HELLO] = &codec_hello,
    [MSG_RAFT] = &codec_raft,
    [MSG_SNAPSHOT_CHUNK] = &codec_snapshot_chunk,
    [MSG_SNAPSHOT_ACK] = &codec_snapshot_ack,
    [MSG_KV_REQUEST] = &codec_kv_request,
    [MSG_KV_REPLY] = &codec_kv_reply,
    [MSG_ADMIN_REQUEST] = &codec_admin_request,
    [MSG_ADMIN_REPLY] = &codec_admin_reply,
    [MSG_CTRL_READ] = &codec_ctrl_read,
    [MSG_CTRL_TEXT] = &codec_ctrl_text,
    [MSG_POLL] = &codec_poll,
    [MSG_VIEW] = &codec_view,
    [MSG_PULL] = &codec_pull,
    [MSG_PULL_REPLY] = &codec_pull_reply,
    [MSG_FOUND_ASK] = &codec_found_ask,
    [MSG_FOUND_STATE] = &codec_found_state,
    [MSG_FOUND] = &codec_found,
    [MSG_FOUND_ACK] = &codec_found_ack,
    [MSG_REFUSED] = &codec_refused,
    [MSG_TRANSFER] = &codec_transfer,
};

static const struct codec *codec_of(unsigned kind) { return kind < MSG_KIND_COUNT ? codecs[kind] : NULL; }

const char *msg_kind_name(enum msg_kind kind)
{
    const struct codec *c = codec_of(kind);
    return c ? c->name : "?";
}

/* A header that is ours, of a kind that we know and no larger than that kind can be: strangers cannot make us
 * allocate for a short message what only a long one may have. */
static enum rgkv_err header_read(const uint8_t bytes[FRAME_HEADER_BYTES], struct frame_header *ret_h)
{
    struct frame_header h;
    enum rgkv_err err = frame_header_read(bytes, &h);
    if (err)
        return err;
    const struct codec *c = codec_of(h.kind);
    if (!c || h.body_bytes > shape_bytes_max(&c->shape) || h.bulk_bytes > c->bulk_max)
        return RGKV_PROTOCOL;
    *ret_h = h;
    return RGKV_OK;
}

enum rgkv_err frame_size(const uint8_t header[FRAME_HEADER_BYTES], size_t *ret_bytes)
{
    struct frame_header h;
    enum rgkv_err err = header_read(header, &h);
    if (!err)
        *ret_bytes = (size_t)FRAME_HEADER_BYTES + h.body_bytes + h.bulk_bytes;
    return err;
}

void msg_encode(const struct msg *m, struct buf *out)
{
    const struct codec *c = codec_of(m->kind);
    ASSERT(c);
    size_t frame_at = out->len;
    buf_grow(out, FRAME_HEADER_BYTES);
    unsigned rows[SHAPE_TABLES_MAX] = {0};
    if (c->rows)
        c->rows(m, rows);
    struct body_out o;
    body_out_begin(&o, &c->shape, rows, out);
    c->encode(m, &o);
    size_t body_bytes = body_out_end(&o);
    size_t bulk_bytes = out->len - frame_at - FRAME_HEADER_BYTES - body_bytes;
    ASSERT(bulk_bytes <= c->bulk_max);
    struct frame_header h = {
        .kind = (uint8_t)m->kind,
        .id = m->id,
        .cluster = m->cluster,
        .body_bytes = (uint32_t)body_bytes,
        .bulk_bytes = (uint32_t)bulk_bytes,
    };
    frame_seal(&h, out->data + frame_at, out->len - frame_at);
}

/* Into *m, which the caller throws away on failure. */
static bool body_decode(const struct codec *c, struct bytes body, struct bytes bulk, struct arena *a, struct msg *m)
{
    struct body_in in;
    if (!body_in_begin(&in, &c->shape, body, bulk, a))
        return false;
    c->decode(&in, m);
    return body_in_end(&in);
}

enum rgkv_err msg_decode(struct bytes frame, struct arena *a, struct msg *ret_m)
{
    struct frame_header h;
    if (frame.len < FRAME_HEADER_BYTES || header_read(frame.data, &h))
        return RGKV_PROTOCOL;
    struct bytes behind = bytes_from(frame, FRAME_HEADER_BYTES);
    if (behind.len != (size_t)h.body_bytes + h.bulk_bytes || !frame_sealed(frame))
        return RGKV_PROTOCOL;
    const struct codec *c = codec_of(h.kind);
    size_t msg_bytes = offsetof(struct msg, hello) + c->struct_bytes; /* no more of the union than this kind has */
    struct msg m;
    memset(&m, 0, msg_bytes);
    m.kind = h.kind;
    m.id = h.id;
    m.cluster = h.cluster;
    if (!body_decode(c, bytes_first(behind, h.body_bytes), bytes_from(behind, h.body_bytes), a, &m)) {
        msg_release(&m);
        return RGKV_PROTOCOL;
    }
    memcpy(ret_m, &m, msg_bytes);
    return RGKV_OK;
}

void msg_release(struct msg *m)
{
    const struct codec *c = codec_of(m->kind);
    if (c && c->release)
        c->release(m);
}
