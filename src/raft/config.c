/* A configuration as bytes, little-endian:
 *
 *     u8 format (2) | u8 n | u64 wish | n times: u64 id | u64 node | u8 voter | u8 length | address, without a NUL
 */
#include "raft/internal.h"

#define FORMAT 2u

const struct raft_member *raft_config_member(const struct raft_config *c, uint64_t id)
{
    for (unsigned i = 0; i < c->n; i++)
        if (c->members[i].id == id)
            return &c->members[i];
    return NULL;
}

unsigned raft_config_voters(const struct raft_config *c)
{
    unsigned voters = 0;
    for (unsigned i = 0; i < c->n; i++)
        voters += c->members[i].voter;
    return voters;
}

static bool ids_unique(const struct raft_config *c)
{
    for (unsigned i = 0; i < c->n; i++)
        if (c->members[i].id == 0 || raft_config_member(c, c->members[i].id) != &c->members[i])
            return false;
    return true;
}

bool raft_config_valid(const struct raft_config *c)
{
    return c->n <= MEMBERS_MAX && ids_unique(c) && raft_config_voters(c) > 0;
}

static bool votes_in(const struct raft_config *c, uint64_t id)
{
    const struct raft_member *m = raft_config_member(c, id);
    return m && m->voter;
}

static unsigned voters_only_in(const struct raft_config *a, const struct raft_config *b)
{
    unsigned n = 0;
    for (unsigned i = 0; i < a->n; i++)
        n += a->members[i].voter && !votes_in(b, a->members[i].id);
    return n;
}

unsigned raft_config_voters_changed(const struct raft_config *a, const struct raft_config *b)
{
    return voters_only_in(a, b) + voters_only_in(b, a);
}

static void member_encode(const struct raft_member *m, struct buf *out)
{
    const char *end = memchr(m->addr, 0, sizeof(m->addr));
    ASSERT(end);
    size_t len = (size_t)(end - m->addr);
    buf_put_le64(out, m->id);
    buf_put_le64(out, m->node);
    buf_put_u8(out, m->voter);
    buf_put_u8(out, (uint8_t)len);
    buf_put(out, bytes_of(m->addr, len));
}

void raft_config_encode(const struct raft_config *c, struct buf *out)
{
    ASSERT(c->n <= MEMBERS_MAX);
    buf_put_u8(out, FORMAT);
    buf_put_u8(out, (uint8_t)c->n);
    buf_put_le64(out, c->wish);
    for (unsigned i = 0; i < c->n; i++)
        member_encode(&c->members[i], out);
}

static bool member_decode(struct reader *in, struct raft_member *m)
{
    m->id = read_le64(in);
    m->node = read_le64(in);
    uint8_t voter = read_u8(in);
    struct bytes addr = read_bytes(in, read_u8(in));
    if (!in->ok || voter > 1 || addr.len >= sizeof(m->addr))
        return false;
    m->voter = voter;
    if (addr.len)
        memcpy(m->addr, addr.data, addr.len);
    return !memchr(m->addr, 0, addr.len);
}

enum rgkv_err raft_config_decode(struct bytes bytes, struct raft_config *ret_c)
{
    struct raft_config c = {0};
    struct reader in = reader_of(bytes);
    uint8_t format = read_u8(&in);
    c.n = read_u8(&in);
    c.wish = read_le64(&in);
    if (!in.ok || format != FORMAT || c.n > MEMBERS_MAX)
        return RGKV_DAMAGED;
    for (unsigned i = 0; i < c.n; i++)
        if (!member_decode(&in, &c.members[i]))
            return RGKV_DAMAGED;
    if (in.rest.len || !ids_unique(&c))
        return RGKV_DAMAGED;
    *ret_c = c;
    return RGKV_OK;
}
