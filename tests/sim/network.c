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

static void send_one(struct sim *s, unsigned from, unsigned to, struct bytes frame)
{
    unsigned copies = 1;
    s->counts.frames++;
    if (from != to && prng_chance(&s->prng, s->network.loss_percent, 100))
        return;
    if (from != to && prng_chance(&s->prng, s->network.duplicate_percent, 100))
        copies = 2;
    struct blob *blob = blob_new(frame);
    for (unsigned i = 0; i < copies; i++)
        sim_at(s, from == to ? 5 : delay(s), (struct sim_event){.kind = SIM_FRAME, .who = to, .from = from, .frame = blob_ref(blob)});
    blob_unref(blob);
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
    s->network.loss_percent = s->network.duplicate_percent = s->network.spike_percent = 0;
}
