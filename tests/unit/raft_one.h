/* One member, fed by hand: what it answers to exactly this message at exactly this time. */
#ifndef RGKV_TESTS_RAFT_ONE_H
#define RGKV_TESTS_RAFT_ONE_H

#include "tests/unit/unit.h"

#include <stdio.h>

#include "raft/raft.h"

#define ELECTION_US 100000ull
#define HEARTBEAT_US 20000ull

struct one {
    struct raft *r;
    uint64_t now_us;
    struct raft_ready ready; /* of the last collect */
};

static inline struct raft_config one_config(unsigned voters, unsigned learners)
{
    struct raft_config c = {.n = voters + learners};
    for (unsigned i = 0; i < c.n; i++) {
        c.members[i] = (struct raft_member){.id = i + 1, .node = 100 + i, .voter = i < voters};
        snprintf(c.members[i].addr, sizeof(c.members[i].addr), "h%u:7400", i + 1);
    }
    return c;
}

static inline struct one one_restored(const struct raft_restored *restored, bool no_noop)
{
    struct raft_options options = {.id = 1, .seed = 7, .election_us = ELECTION_US, .heartbeat_us = HEARTBEAT_US,
                                   .no_noop = no_noop, .now_us = 1};
    return (struct one){.r = raft_new(&options, restored), .now_us = 1};
}

static inline struct one one_new(unsigned voters, unsigned learners)
{
    struct raft_restored restored = {.config = one_config(voters, learners)};
    return one_restored(&restored, false);
}

static inline enum rgkv_err one_step(struct one *o, struct raft_input input)
{
    input.now_us = o->now_us;
    return raft_step(o->r, &input);
}

static inline void one_collect(struct one *o) { raft_collect(o->r, &o->ready); }

static inline void one_receive(struct one *o, struct raft_message m)
{
    m.to = m.to ? m.to : 1;
    assert_int_equal(one_step(o, (struct raft_input){.kind = RAFT_RECEIVED, .message = &m}), RGKV_OK);
}

/* A message, then what follows from it. */
static inline void one_hear(struct one *o, struct raft_message m)
{
    one_receive(o, m);
    one_collect(o);
}

static inline void one_tick(struct one *o, uint64_t us)
{
    o->now_us += us;
    assert_int_equal(one_step(o, (struct raft_input){.kind = RAFT_TICK}), RGKV_OK);
    one_collect(o);
}

static inline void one_persisted(struct one *o, uint64_t index, uint64_t term)
{
    assert_int_equal(one_step(o, (struct raft_input){.kind = RAFT_PERSISTED, .log_index = index, .log_term = term}), RGKV_OK);
    one_collect(o);
}

static inline enum rgkv_err one_propose(struct one *o, const char *text)
{
    struct blob *payload = blob_new(bytes_str(text));
    enum rgkv_err err = one_step(o, (struct raft_input){.kind = RAFT_PROPOSED, .n_payloads = 1, .payloads = &payload});
    blob_unref(payload);
    return err;
}

static inline struct raft_status one_status(const struct one *o)
{
    struct raft_status s;
    raft_status(o->r, &s);
    return s;
}

/* The first message of that kind to that member in the last ready; NULL: none. */
static inline const struct raft_message *one_said(const struct one *o, enum raft_message_kind kind, uint64_t to)
{
    for (unsigned i = 0; i < o->ready.n_messages; i++)
        if (o->ready.messages[i].kind == kind && o->ready.messages[i].to == to)
            return &o->ready.messages[i];
    return NULL;
}

static inline const struct raft_message *one_said_after_sync(const struct one *o, enum raft_message_kind kind, uint64_t to)
{
    for (unsigned i = 0; i < o->ready.n_messages_after_sync; i++)
        if (o->ready.messages_after_sync[i].kind == kind && o->ready.messages_after_sync[i].to == to)
            return &o->ready.messages_after_sync[i];
    return NULL;
}

static inline void one_time_out(struct one *o)
{
    uint64_t deadline_us = raft_deadline_us(o->r);
    one_tick(o, deadline_us > o->now_us ? deadline_us - o->now_us : 0);
}

/* Member 1 becomes leader, with the votes of 2 and, as for more voters than three, 3. */
static inline void one_lead(struct one *o)
{
    one_time_out(o);
    uint64_t term = one_status(o).term + 1;
    for (uint64_t from = 2; from <= 3; from++)
        one_receive(o, (struct raft_message){.kind = RAFT_PRE_VOTE_REPLY, .from = from, .term = term});
    one_collect(o);
    for (uint64_t from = 2; from <= 3; from++)
        one_receive(o, (struct raft_message){.kind = RAFT_VOTE_REPLY, .from = from, .term = term});
    one_collect(o);
    assert_int_equal(one_status(o).role, RAFT_LEADER);
}

static inline void one_ack(struct one *o, uint64_t from, uint64_t index, uint64_t term)
{
    one_hear(o, (struct raft_message){.kind = RAFT_APPEND_REPLY, .from = from, .term = one_status(o).term,
                                      .log_index = index, .log_term = term});
}

/* Entries previous + 1 … with these terms, without payload, from `from` in `term`. */
static inline void one_append(struct one *o, uint64_t from, uint64_t term, uint64_t previous, uint64_t previous_term,
                              const uint64_t *terms, unsigned n, uint64_t commit)
{
    struct raft_entry entries[16];
    assert_true(n <= ARRAY_LEN(entries));
    for (unsigned i = 0; i < n; i++)
        entries[i] = (struct raft_entry){previous + 1 + i, terms[i], RAFT_COMMAND, NULL};
    one_hear(o, (struct raft_message){.kind = RAFT_APPEND, .from = from, .term = term, .log_index = previous,
                                      .log_term = previous_term, .commit = commit, .n_entries = n, .entries = entries});
}

#define TERMS(...) (const uint64_t[]){__VA_ARGS__}, ARRAY_LEN(((const uint64_t[]){__VA_ARGS__}))
#define NO_ENTRIES NULL, 0

static inline void one_heartbeat(struct one *o, uint64_t from, uint64_t term, uint64_t commit, uint64_t commit_term)
{
    one_hear(o, (struct raft_message){.kind = RAFT_HEARTBEAT, .from = from, .term = term, .commit = commit,
                                      .log_index = commit, .log_term = commit_term});
}

#endif
