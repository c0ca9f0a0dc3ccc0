#include "fuse/recent.h"

static struct recent_slot *slot_of(struct recent *r, int tid) { return &r->slots[(unsigned)tid % RECENT_SLOTS]; }

void recent_forget(struct recent *r, int tid)
{
    struct recent_slot *s = slot_of(r, tid);
    if (s->tid == tid)
        *s = (struct recent_slot){0};
}

void recent_found(struct recent *r, int tid, uint64_t node, uint64_t now_us)
{
    *slot_of(r, tid) = (struct recent_slot){.tid = tid, .found = node, .at_us = now_us};
}

void recent_failed(struct recent *r, int tid, uint64_t parent, const char *name, enum rgkv_err err, uint64_t now_us)
{
    *slot_of(r, tid) = (struct recent_slot){.tid = tid, .parent = parent, .name = hash64(bytes_str(name)), .err = err, .at_us = now_us};
}

static struct recent_slot take(struct recent *r, int tid, uint64_t now_us, uint64_t within_us)
{
    struct recent_slot s = *slot_of(r, tid);
    recent_forget(r, tid);
    return s.tid == tid && now_us - s.at_us <= within_us ? s : (struct recent_slot){0};
}

bool recent_take_found(struct recent *r, int tid, uint64_t node, uint64_t now_us)
{
    return take(r, tid, now_us, RECENT_US).found == node;
}

enum rgkv_err recent_take_failed(struct recent *r, int tid, uint64_t parent, const char *name, uint64_t now_us)
{
    struct recent_slot s = take(r, tid, now_us, RECENT_FAILED_US);
    return s.parent == parent && s.name == hash64(bytes_str(name)) ? s.err : RGKV_OK;
}
