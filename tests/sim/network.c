/* Frames between machines and callers: each frame is delayed, lost, doubled and so reordered on its own. */
#include "tests/sim/sim.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

unsigned sim_machine_at(const struct sim *s, const char *addr)
{
    for (unsigned i = 0; i < s->n_machines; i++)
        if (strcmp(s->machines[i].addr, addr) == 0)
            return i;
    return UINT_MAX;
}

static uint64_t delay(struct sim *s)
{
    const struct sim_network *n = &s->network;
    uint64_t us = prng_between(&s->prng, n->delay_min_us, n->delay_max_us);
    if (prng_chance(&s->prng, n->spike_percent, 100))
        us += prng_below(&s->prng, n->spike_us + 1);
    return us;
}

/* ---- parcels ---- */

/* A parcel and its arena's block are larger than what malloc keeps at hand, and every frame needs both: those that have arrived serve
 * again. Not under the address sanitizer, which is to see who looks at a message after its step. */
#ifdef __SANITIZE_ADDRESS__
#define SPARE_MAX 0u
#else
#define SPARE_MAX 256u
#endif
#define SPARE_ARENA_BYTES 4096u

static struct sim_parcel *parcel_blank(struct sim_parcels *home)
{
    struct sim_parcel *p = home->spare;
    if (!p) {
        p = mem_alloc(sizeof(*p));
        p->arena = (struct arena){0};
        p->home = home;
        return p;
    }
    home->spare = p->next;
    home->n--;
    return p;
}

static struct sim_parcel *parcel_new(struct sim_parcels *home, struct bytes frame)
{
    struct sim_parcel *p = parcel_blank(home);
    p->refs = 1;
    p->hash = hash64(bytes_first(frame, FRAME_HEADER_BYTES)); /* it holds the checksum of the rest */
    p->bytes = blob_new(frame);
    enum rgkv_err err = msg_decode(blob_bytes(p->bytes), &p->arena, &p->msg);
    ASSERT(err == RGKV_OK);
    return p;
}

void sim_parcel_unref(struct sim_parcel *p)
{
    if (!p || --p->refs)
        return;
    msg_release(&p->msg);
    blob_unref(p->bytes);
    if (p->home->n < SPARE_MAX && p->arena.cap <= SPARE_ARENA_BYTES && !p->arena.extra) {
        arena_reset(&p->arena);
        p->next = p->home->spare;
        p->home->spare = p;
        p->home->n++;
        return;
    }
    arena_release(&p->arena);
    mem_free(p);
}

void sim_parcels_release(struct sim_parcels *home)
{
    while (home->spare) {
        struct sim_parcel *p = home->spare;
        home->spare = p->next;
        arena_release(&p->arena);
        mem_free(p);
    }
    *home = (struct sim_parcels){0};
}

/* ---- sending ---- */

/* What a client sends is not doubled: over TCP a copy arrives once or never, and its accounts of copies rely on that. */
static unsigned copies_of(struct sim *s, unsigned from, unsigned to)
{
    if (from == to)
        return 1;
    if (s->network.cut[from][to] || prng_chance(&s->prng, s->network.loss_percent, 100))
        return 0;
    return from < SIM_MACHINES_MAX && prng_chance(&s->prng, s->network.duplicate_percent, 100) ? 2 : 1;
}

/* A copy that comes when much has happened since. */
static void once_more(struct sim *s, unsigned from, unsigned to, struct sim_parcel *p)
{
    p->refs++;
    sim_at(s, prng_between(&s->prng, 100000, 6000000), (struct sim_event){.kind = SIM_FRAME, .who = to, .from = from, .parcel = p});
}

static void raft_message_sent(struct sim *s, const struct sim_machine *m, const struct msg *msg)
{
    if (msg->raft.message.kind == RAFT_TIMEOUT_NOW)
        durable_check_handover(s, m, msg);
    else
        durable_check_promise(s, m, msg);
}

static void send_one(struct sim *s, unsigned from, unsigned to, struct bytes frame)
{
    unsigned copies = copies_of(s, from, to);
    struct sim_parcel *p = parcel_new(&s->parcels, frame);
    s->counts.frames++;
    if (s->bed)
        bed_lie(s, from, to, &p->msg);
    watch_message(s, &p->msg);
    if (p->msg.kind == MSG_SNAPSHOT_CHUNK && from < SIM_MACHINES_MAX)
        durable_check_leads(s, &s->machines[from], &p->msg.snapshot_chunk.envelope, &p->msg.snapshot_chunk.header);
    if (p->msg.kind == MSG_RAFT && from < SIM_MACHINES_MAX)
        raft_message_sent(s, &s->machines[from], &p->msg);
    if (p->msg.kind == MSG_RAFT)
        ghosts_sent(s, from, to, p);
    if (copies && from != to && p->msg.kind == MSG_RAFT && prng_chance(&s->prng, s->network.late_permille, 1000))
        once_more(s, from, to, p);
    for (unsigned i = 0; i < copies; i++) {
        uint64_t us = from == to ? 5 : delay(s) + s->network.slow_us[from][to], stalled_us = s->network.stalled_until_us[from][to];
        if (s->now_us + us < stalled_us)
            us = stalled_us - s->now_us + prng_below(&s->prng, 50);
        p->refs++;
        sim_at(s, us, (struct sim_event){.kind = SIM_FRAME, .who = to, .from = from, .parcel = p});
    }
    sim_parcel_unref(p);
}

void network_send(struct sim *s, unsigned from, unsigned to, struct bytes frames)
{
    while (frames.len) {
        size_t bytes;
        enum rgkv_err err = frame_size(frames.data, &bytes);
        ASSERT(!err && bytes <= frames.len);
        send_one(s, from, to, bytes_first(frames, bytes));
        frames = bytes_from(frames, bytes);
    }
}

void network_heal(struct sim *s)
{
    memset(s->network.cut, 0, sizeof(s->network.cut));
    memset(s->network.stalled_until_us, 0, sizeof(s->network.stalled_until_us));
    memset(s->network.slow_us, 0, sizeof(s->network.slow_us));
    s->network.late_permille = s->network.loss_percent = s->network.duplicate_percent = s->network.spike_percent = 0;
}
