#include "fuse/stage.h"

#define SHORT_WRITE_BYTES 4096u
#define LOG_BYTES_MAX (2u * DATA_BYTES_MAX) /* of a whole value that is written over and over: then it is packed */
#define WHOLE_RANGES_MAX 4096u

void stage_release(struct stage *s)
{
    mem_free(s->ranges);
    buf_release(&s->data);
    buf_release(&s->packed);
    memset(s, 0, sizeof *s);
}

bool stage_commits(uint64_t offset, size_t len)
{
    return len < SHORT_WRITE_BYTES && (offset + len) % SHORT_WRITE_BYTES != 0;
}

void stage_create(struct stage *s, bool truncate)
{
    stage_clear(s);
    s->fresh = !truncate;
}

void stage_clear(struct stage *s)
{
    s->n = 0;
    buf_clear(&s->data);
    s->whole = true;
    s->spilled = s->fresh = s->resized = s->written = false;
    s->length = s->set_size = 0;
}

static void add_range(struct stage *s, uint64_t offset, uint32_t len)
{
    struct kv_range *last = s->n ? &s->ranges[s->n - 1] : NULL;
    if (last && last->offset + last->len == offset) {
        last->len += len;
        return;
    }
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 4;
        s->ranges = mem_realloc(s->ranges, s->cap * sizeof *s->ranges);
    }
    s->ranges[s->n++] = (struct kv_range){offset, len};
}

static void write_range(uint8_t *at, const struct kv_range *r, const uint8_t *data)
{
    memcpy(at + r->offset, data, r->len);
}

static bool dense(const struct stage *s)
{
    return s->n == (s->length ? 1 : 0) && (!s->n || (!s->ranges[0].offset && s->ranges[0].len == s->length));
}

/* Of a whole value: its bytes from 0 to its size, holes filled with zeros. */
static void flatten(const struct stage *s, struct buf *out)
{
    buf_clear(out);
    if (s->length)
        memset(buf_grow(out, s->length), 0, s->length);
    const uint8_t *data = s->data.data;
    for (unsigned i = 0; i < s->n; i++) {
        write_range(out->data, &s->ranges[i], data);
        data += s->ranges[i].len;
    }
}

static void pack(struct stage *s)
{
    struct buf packed = {0};
    flatten(s, &packed);
    buf_release(&s->data);
    s->data = packed;
    s->packs++;
    s->n = 0;
    if (s->length)
        add_range(s, 0, (uint32_t)s->length);
}

static enum rgkv_err room_whole(struct stage *s, uint64_t end, size_t len)
{
    if (end > VALUE_BYTES_MAX)
        return RGKV_TOO_LARGE;
    if (end > DATA_BYTES_MAX)
        return RGKV_BUSY;
    if (s->data.len + len > LOG_BYTES_MAX || s->n >= WHOLE_RANGES_MAX)
        pack(s);
    return RGKV_OK;
}

static enum rgkv_err room_patch(const struct stage *s, uint64_t end, size_t len)
{
    if (end > VALUE_BYTES_MAX || len > DATA_BYTES_MAX)
        return RGKV_TOO_LARGE;
    return s->data.len + len > DATA_BYTES_MAX || s->n >= PATCH_RANGES_MAX ? RGKV_BUSY : RGKV_OK;
}

enum rgkv_err stage_write(struct stage *s, uint64_t offset, struct bytes data)
{
    if (offset > VALUE_BYTES_MAX)
        return RGKV_TOO_LARGE;
    uint64_t end = offset + data.len;
    enum rgkv_err err = s->whole ? room_whole(s, end, data.len) : room_patch(s, end, data.len);
    if (err || !data.len)
        return err;
    add_range(s, offset, (uint32_t)data.len);
    buf_put(&s->data, data);
    s->written = true;
    if (s->whole)
        s->length = MAX(s->length, end);
    return RGKV_OK;
}

/* Ranges beyond `length` go; their bytes with them. */
static void cut(struct stage *s, uint64_t length)
{
    struct buf kept = {0};
    const uint8_t *data = s->data.data;
    unsigned n = 0;
    for (unsigned i = 0; i < s->n; i++) {
        struct kv_range r = s->ranges[i];
        uint32_t len = r.offset >= length ? 0 : (uint32_t)MIN(r.len, length - r.offset);
        if (len) {
            buf_put(&kept, bytes_of(data, len));
            s->ranges[n++] = (struct kv_range){r.offset, len};
        }
        data += r.len;
    }
    buf_release(&s->data);
    s->data = kept;
    s->n = n;
}

static uint64_t log_end(const struct stage *s)
{
    uint64_t end = 0;
    for (unsigned i = 0; i < s->n; i++)
        end = MAX(end, s->ranges[i].offset + s->ranges[i].len);
    return end;
}

/* A second resize of a Patch cannot be said in one command if it grows what the first one cut; a written zero at the new end says the same. */
static enum rgkv_err resize_again(struct stage *s, uint64_t length)
{
    if (length <= s->length) {
        s->length = length;
        return RGKV_OK;
    }
    return log_end(s) >= length ? RGKV_OK : stage_write(s, length - 1, bytes_of("", 1));
}

enum rgkv_err stage_resize(struct stage *s, uint64_t length)
{
    if (!length) {
        stage_clear(s);
        return RGKV_OK;
    }
    if (length > VALUE_BYTES_MAX)
        return RGKV_TOO_LARGE;
    if (s->whole && length > DATA_BYTES_MAX)
        return RGKV_BUSY;
    cut(s, length);
    if (s->resized)
        return resize_again(s, length);
    s->resized = !s->whole;
    s->written |= s->whole;
    s->set_size = s->whole ? length : 0;
    s->length = length;
    return RGKV_OK;
}

struct stage_mark stage_mark(const struct stage *s)
{
    return (struct stage_mark){
        .n = s->n, .packs = s->packs, .last_len = s->n ? s->ranges[s->n - 1].len : 0, .data_len = s->data.len, .length = s->length, .written = s->written};
}

void stage_undo(struct stage *s, const struct stage_mark *m)
{
    if (s->packs != m->packs)
        return; /* the bytes cannot be told apart any more */
    s->n = m->n;
    if (s->n)
        s->ranges[s->n - 1].len = m->last_len;
    s->data.len = m->data_len;
    if (s->whole)
        s->length = m->length;
    s->written = m->written;
}

uint64_t stage_size(const struct stage *s, uint64_t base)
{
    if (s->whole && !(s->fresh && base)) /* else it loses the race */
        return s->length;
    if (s->resized || s->set_size)
        base = s->resized ? s->length : s->set_size;
    return MAX(base, log_end(s));
}

static void request_put(struct stage *s, struct kv_request *q)
{
    if (!dense(s))
        flatten(s, &s->packed);
    q->op = KV_PUT;
    q->data = buf_bytes(dense(s) ? &s->data : &s->packed);
    if (s->fresh)
        q->flags |= KV_IF_EMPTY;
}

static void request_patch(struct stage *s, struct kv_request *q)
{
    q->op = KV_PATCH;
    q->data = buf_bytes(&s->data);
    q->n_ranges = s->n;
    q->ranges = s->ranges;
    if (s->resized) {
        q->flags |= KV_TRUNCATE;
        q->length = s->length;
    }
}

void stage_request(struct stage *s, struct kv_request *q)
{
    if (s->whole)
        request_put(s, q);
    else
        request_patch(s, q);
}

void stage_lost_race(struct stage *s)
{
    ASSERT(s->whole && s->fresh);
    s->whole = s->fresh = false;
    s->resized = s->set_size > 0;
    s->length = s->set_size;
}

void stage_take(struct stage *s, struct kv_request *q, struct kv_range **ret_ranges, struct buf *ret_data)
{
    if (s->whole && !dense(s))
        pack(s);
    if (s->resized) {
        q->flags |= KV_TRUNCATE;
        q->length = s->length;
    }
    *ret_ranges = s->ranges;
    *ret_data = s->data;
    q->ranges = s->ranges;
    q->n_ranges = s->n;
    q->data = buf_bytes(&s->data);
    s->ranges = NULL;
    s->data = (struct buf){0};
    s->n = s->cap = 0;
    s->length = 0;
    s->packs++;
    s->whole = s->resized = false;
    s->spilled = s->written = true;
}

static enum rgkv_err write_all(struct stage *to, const struct stage *from)
{
    const uint8_t *data = from->data.data;
    enum rgkv_err err = RGKV_OK;
    for (unsigned i = 0; i < from->n && !err; i++) {
        err = stage_write(to, from->ranges[i].offset, bytes_of(data, from->ranges[i].len));
        data += from->ranges[i].len;
    }
    return err;
}

enum rgkv_err stage_put_under(struct stage *s, struct stage *earlier)
{
    if (s->whole) {
        stage_release(earlier);
        return RGKV_OK;
    }
    struct stage later = *s;
    *s = *earlier;
    memset(earlier, 0, sizeof *earlier);
    enum rgkv_err err = later.resized ? stage_resize(s, later.length) : RGKV_OK;
    if (!err)
        err = write_all(s, &later);
    stage_release(&later);
    return err;
}

static void resize_value(struct buf *value, uint64_t length)
{
    if (length > value->len)
        memset(buf_grow(value, length - value->len), 0, length - value->len);
    value->len = length;
}

void stage_apply(const struct stage *s, struct buf *value)
{
    if (s->whole || s->resized)
        resize_value(value, s->whole ? 0 : s->length);
    uint64_t size = stage_size(s, value->len);
    if (size > value->len)
        resize_value(value, size);
    const uint8_t *data = s->data.data;
    for (unsigned i = 0; i < s->n; i++) {
        write_range(value->data, &s->ranges[i], data);
        data += s->ranges[i].len;
    }
}
