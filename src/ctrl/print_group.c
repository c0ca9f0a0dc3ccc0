/* groups/G/shards, keys and bytes: a file each, for scripts. */
#include "ctrl/plan_state.h"
#include "ctrl/text.h"

void ctrl_print_group_shards(const struct ctrl_view *v, uint64_t gid, struct buf *out)
{
    for (uint32_t s = 0; s < v->nshards; s++)
        if (gid && v->shards[s].holder == gid)
            buf_printf(out, "%u\n", s);
}

struct held {
    bool known;                    /* its leader told all of them */
    uint64_t keys, bytes;
};

static struct held held_by(const struct ctrl_view *v, uint64_t gid, const struct ctrl_plan *p, uint64_t now_us)
{
    const struct ctrl_group *g = gid ? ctrl_view_group(v, gid) : NULL;
    struct plan_leader l = g && p ? plan_leader(p, g, now_us) : (struct plan_leader){0};
    struct held h = {.known = !gid || l.replica};
    for (uint32_t s = 0; s < v->nshards; s++) {
        if (!gid || v->shards[s].holder != gid)
            continue;
        const struct ctrl_report_shard *told = plan_shard(&l, s);
        h.known &= told != NULL;
        h.keys += told ? told->keys : 0;
        h.bytes += told ? told->bytes : 0;
    }
    return h;
}

static void print_known(const struct held *h, uint64_t value, struct buf *out)
{
    if (h->known)
        buf_printf(out, "%lu\n", value);
    else
        buf_printf(out, "unknown\n");
}

void ctrl_print_group_keys(const struct ctrl_view *v, uint64_t gid, const struct ctrl_plan *p, uint64_t now_us, struct buf *out)
{
    struct held h = held_by(v, gid, p, now_us);
    print_known(&h, h.keys, out);
}

void ctrl_print_group_bytes(const struct ctrl_view *v, uint64_t gid, const struct ctrl_plan *p, uint64_t now_us, struct buf *out)
{
    struct held h = held_by(v, gid, p, now_us);
    print_known(&h, h.bytes, out);
}
