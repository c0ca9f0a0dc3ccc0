#include "raft/internal.h"

#define SLOTS_MIN 64u

void raft_log_init(struct raft_log *log, uint64_t base_index, uint64_t base_term)
{
    *log = (struct raft_log){.base_index = base_index, .base_term = base_term};
}

static void payloads_unref(struct raft_log *log, size_t first, size_t n)
{
    for (size_t i = first; i < first + n; i++)
        blob_unref(log->slots[log->head + i].payload);
}

void raft_log_release(struct raft_log *log)
{
    payloads_unref(log, 0, log->n);
    mem_free(log->slots);
    mem_free(log->ends);
    *log = (struct raft_log){0};
}

static void gap_close(struct raft_log *log)
{
    memmove(log->slots, log->slots + log->head, log->n * sizeof(*log->slots));
    memmove(log->ends, log->ends + log->head, log->n * sizeof(*log->ends));
    log->head = 0;
}

static void room_make(struct raft_log *log)
{
    if (log->head + log->n < log->cap)
        return;
    if (log->head > 0 && log->head >= log->n) {
        gap_close(log);
        return;
    }
    log->cap = MAX(SLOTS_MIN, log->cap * 2);
    log->slots = mem_realloc(log->slots, log->cap * sizeof(*log->slots));
    log->ends = mem_realloc(log->ends, log->cap * sizeof(*log->ends));
}

/* Payload bytes ever appended up to and with `index`, which is base_index or an entry kept. */
static uint64_t bytes_until(const struct raft_log *log, uint64_t index)
{
    return index == log->base_index ? log->base_bytes
                                    : log->ends[log->head + (size_t)(index - log->base_index - 1)];
}

void raft_log_append(struct raft_log *log, const struct raft_entry *e)
{
    uint64_t last = raft_log_last(log);
    ASSERT(e->index == last + 1 && e->term >= raft_log_last_term(log));
    uint64_t end = bytes_until(log, last) + blob_bytes(e->payload).len;
    room_make(log);
    size_t at = log->head + log->n++;
    log->slots[at] = *e;
    blob_ref(e->payload);
    log->ends[at] = end;
}

void raft_log_truncate(struct raft_log *log, uint64_t from)
{
    ASSERT(from > log->base_index);
    if (from > raft_log_last(log))
        return;
    size_t kept = (size_t)(from - log->base_index - 1);
    payloads_unref(log, kept, log->n - kept);
    log->n = kept;
}

void raft_log_compact(struct raft_log *log, uint64_t index)
{
    ASSERT(index >= log->base_index && index <= raft_log_last(log));
    size_t dropped = (size_t)(index - log->base_index);
    uint64_t term = raft_log_term(log, index), bytes = bytes_until(log, index);
    payloads_unref(log, 0, dropped);
    log->head += dropped;
    log->n -= dropped;
    log->base_index = index;
    log->base_term = term;
    log->base_bytes = bytes;
}

void raft_log_reset(struct raft_log *log, uint64_t base_index, uint64_t base_term)
{
    payloads_unref(log, 0, log->n);
    log->head = log->n = 0;
    log->base_index = base_index;
    log->base_term = base_term;
}

uint64_t raft_log_last(const struct raft_log *log) { return log->base_index + log->n; }

uint64_t raft_log_last_term(const struct raft_log *log)
{
    return log->n ? log->slots[log->head + log->n - 1].term : log->base_term;
}

const struct raft_entry *raft_log_at(const struct raft_log *log, uint64_t index)
{
    if (index <= log->base_index || index > raft_log_last(log))
        return NULL;
    return &log->slots[log->head + (size_t)(index - log->base_index - 1)];
}

uint64_t raft_log_term(const struct raft_log *log, uint64_t index)
{
    if (index == log->base_index)
        return log->base_term;
    const struct raft_entry *e = raft_log_at(log, index);
    return e ? e->term : 0;
}

uint64_t raft_log_bytes(const struct raft_log *log, uint64_t after, uint64_t last)
{
    after = MAX(after, log->base_index);
    return last > after ? bytes_until(log, last) - bytes_until(log, after) : 0;
}

/* Terms never fall along a log, so this is a binary search (the fast back-up of section 5.3). */
uint64_t raft_log_find(const struct raft_log *log, uint64_t max, uint64_t term)
{
    if (max < log->base_index || log->base_term > term)
        return log->base_index ? log->base_index - 1 : 0;
    uint64_t low = log->base_index, high = MIN(max, raft_log_last(log));
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;
        if (raft_log_term(log, middle) <= term)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}
