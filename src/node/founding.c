/* Founding the controller (P2).
 *
 * A blank controller asks every address of its list who it is. Only if all answer "blank, same list" does the lowest
 * address make the record {cluster id, address and node id of all}; each member syncs it in its manifest before it may
 * vote. Whoever has the record gives it to those that it names and that are still blank, so a crash anywhere in between
 * is made good later. A blank node at an address whose record names another node id has lost its disk: it never votes. */
#include "node/internal.h"

#include <stdio.h>

#define ASK_US 100000u
#define ANSWER_FRESH_US 1000000u
#define TELL_US 1000000u /* who has not acknowledged the record by then may never do so: it asks for it as long as it is blank */

struct answer {
    uint64_t node, at_us, list_hash;
};
struct founder {
    uint64_t list_hash;
    uint64_t next_us;
    uint64_t tell_until_us;               /* who made the record */
    unsigned n, me;                       /* of the sorted list */
    char addrs[MEMBERS_MAX][ADDR_BYTES_MAX];
    struct answer answers[MEMBERS_MAX];
    bool acked[MEMBERS_MAX];
    bool recorded;                        /* the record is being saved or is saved */
    bool told;                            /* one event for each trouble */
    uint64_t answer_conn, answer_request; /* a MSG_FOUND to be acknowledged after the save */
};

static void sort_addrs(struct founder *f)
{
    for (unsigned i = 1; i < f->n; i++)
        for (unsigned k = i; k > 0 && strcmp(f->addrs[k - 1], f->addrs[k]) > 0; k--) {
            char other[ADDR_BYTES_MAX];
            memcpy(other, f->addrs[k], sizeof(other));
            memcpy(f->addrs[k], f->addrs[k - 1], sizeof(other));
            memcpy(f->addrs[k - 1], other, sizeof(other));
        }
}

static struct founder *founder_new(struct node *n)
{
    struct founder *f = mem_zalloc(sizeof(*f));
    f->n = n->manifest.n_controllers;
    memcpy(f->addrs, n->manifest.controllers, sizeof(f->addrs));
    sort_addrs(f);
    f->list_hash = hash64_seeded(bytes_of(f->addrs, f->n * sizeof(f->addrs[0])), n->options.nshards);
    for (unsigned i = 0; i < f->n; i++)
        if (strcmp(f->addrs[i], n->manifest.addr) == 0)
            f->me = i;
    f->answers[f->me].node = n->manifest.node;
    f->acked[f->me] = true;
    return f;
}

void founding_start(struct node *n) { n->founder = founder_new(n); }
void founding_free(struct founder *f) { mem_free(f); }

uint64_t founding_deadline_us(const struct node *n) { return n->founder ? n->founder->next_us : UINT64_MAX; }

/* ---- the record ---- */

static void adopt(struct node *n, const struct founding *record)
{
    struct founder *f = n->founder;
    f->recorded = true;
    n->manifest.founding = *record;
    n->manifest.cluster = record->cluster;
    struct manifest_replica *m = &n->manifest.replicas[n->manifest.n_replicas];
    ASSERT(n->manifest.n_replicas < REPLICAS_MAX);
    *m = (struct manifest_replica){.gid = 0, .nshards = record->nshards, .blank = true, .founding = {.n = record->n}};
    memcpy(m->founding.members, record->members, sizeof(record->members));
    for (unsigned i = 0; i < record->n; i++)
        if (record->members[i].node == n->manifest.node)
            m->member = record->members[i].id;
    ASSERT(m->member != 0);
    n->manifest.n_replicas++;
    replica_create(n, m);
    node_save_manifest(n);
}

static void make_record(struct node *n)
{
    struct founder *f = n->founder;
    struct founding record = {.cluster = prng_next(&n->prng) | 1, .nshards = n->options.nshards, .n = f->n};
    for (unsigned i = 0; i < f->n; i++) {
        record.members[i] = (struct raft_member){.id = i + 1, .node = f->answers[i].node, .voter = true};
        memcpy(record.members[i].addr, f->addrs[i], ADDR_BYTES_MAX);
    }
    f->tell_until_us = n->now_us + TELL_US;
    node_event(n, "founding cluster %016llx with %u controllers", (unsigned long long)record.cluster, f->n);
    adopt(n, &record);
}

static bool all_blank(const struct node *n)
{
    const struct founder *f = n->founder;
    for (unsigned i = 0; i < f->n; i++) {
        const struct answer *a = &f->answers[i];
        if (i == f->me)
            continue;
        if (a->node == 0 || a->list_hash != f->list_hash || a->at_us + ANSWER_FRESH_US < n->now_us)
            return false;
    }
    return true;
}

static bool member_makes_sense(const struct founding *record, unsigned i)
{
    const struct raft_member *m = &record->members[i];
    for (unsigned k = 0; k < i; k++)
        if (record->members[k].node == m->node)
            return false;
    return m->id == i + 1 && m->node && m->voter && m->addr[0];
}

/* Whoever may connect to a blank node may send it a record, and it is kept for ever. */
static bool makes_sense(const struct founding *record)
{
    bool sense = record->cluster && record->nshards && record->nshards <= NSHARDS_MAX;
    for (unsigned i = 0; sense && i < record->n; i++)
        sense = member_makes_sense(record, i);
    return sense;
}

static bool names_us(const struct node *n, const struct founding *record)
{
    for (unsigned i = 0; i < record->n; i++)
        if (record->members[i].node == n->manifest.node)
            return makes_sense(record);
    return false;
}

/* ---- asking, telling ---- */

static void ask(struct node *n)
{
    struct founder *f = n->founder;
    for (unsigned i = 0; i < f->n; i++) {
        if (i == f->me)
            continue;
        struct msg m = {.kind = MSG_FOUND_ASK, .id = n->next_request++,
                        .found_ask = {.node = n->manifest.node, .list_hash = f->list_hash}};
        memcpy(m.found_ask.addr, n->manifest.addr, ADDR_BYTES_MAX);
        node_send(n, f->addrs[i], &m);
    }
}

static void tell_record(struct node *n)
{
    struct founder *f = n->founder;
    for (unsigned i = 0; i < f->n; i++) {
        struct msg m = {.kind = MSG_FOUND, .id = n->next_request++, .found = {.record = n->manifest.founding}};
        if (!f->acked[i])
            node_send(n, f->addrs[i], &m);
    }
}

static bool all_acked(const struct founder *f)
{
    for (unsigned i = 0; i < f->n; i++)
        if (!f->acked[i])
            return false;
    return true;
}

void founding_tick(struct node *n)
{
    struct founder *f = n->founder;
    if (!f || n->now_us < f->next_us)
        return;
    if (n->manifest_saving) { /* nobody may hear of a node id that a crash could take back */
        f->next_us = n->now_us + TICK_US;
        return;
    }
    f->next_us = n->now_us + ASK_US;
    if (!f->recorded && f->me == 0 && all_blank(n))
        make_record(n);
    if (!f->recorded) {
        ask(n);
    } else if (!n->manifest_saving && f->me == 0) {
        tell_record(n);
        if (all_acked(f) || n->now_us >= f->tell_until_us) {
            founding_free(f);
            n->founder = NULL;
        }
    }
}

static void send_ack(struct node *n)
{
    struct founder *f = n->founder;
    struct msg m = {.kind = MSG_FOUND_ACK, .found_ack = {.node = n->manifest.node, .accepted = true}};
    node_reply(n, f->answer_conn, f->answer_request, &m);
}

void founding_manifest_saved(struct node *n)
{
    struct founder *f = n->founder;
    if (!f || !f->recorded)
        return;
    if (f->answer_conn)
        send_ack(n);
    if (f->me != 0) {
        founding_free(f);
        n->founder = NULL;
    }
}

/* ---- messages ---- */

static void answer_ask(struct node *n, uint64_t conn, const struct msg *m)
{
    if (n->manifest_saving)
        return; /* what it would say is not durable yet; it is asked again */
    /* Our list's hash is made here and not kept: a founded node answers for ever. */
    struct founder *f = n->founder ? n->founder : founder_new(n);
    struct msg reply = {.kind = MSG_FOUND_STATE, .found_state = {.node = n->manifest.node, .list_hash = f->list_hash,
                                                                 .record = n->manifest.founding}};
    if (!reply.found_state.record.cluster)
        reply.found_state.record.cluster = n->manifest.cluster; /* no founder, yet no blank node either: who asks stays out */
    memcpy(reply.found_state.addr, n->manifest.addr, ADDR_BYTES_MAX);
    if (f != n->founder)
        founding_free(f);
    node_reply(n, conn, m->id, &reply);
}

static void once(struct node *n, const char *what, const char *addr)
{
    if (n->founder->told)
        return;
    n->founder->told = true;
    node_event(n, "%s: %s", addr, what);
}

/* Our directory is not the one that founded this cluster, so no vote is ours; what else there is to do here, the
 * controller says. */
static void stay_out(struct node *n, const struct msg_found_state *s)
{
    once(n, "that controller belongs to a cluster which does not know this data directory: this node will not vote; "
            "use its old data directory, or have it added as a new member", s->addr);
    founding_free(n->founder);
    n->founder = NULL;
}

static void take_state(struct node *n, const struct msg_found_state *s)
{
    struct founder *f = n->founder;
    if (!f || f->recorded)
        return;
    if (s->record.cluster) {
        if (names_us(n, &s->record))
            adopt(n, &s->record);
        else
            stay_out(n, s);
        return;
    }
    if (s->list_hash != f->list_hash)
        once(n, "that controller was started with another --controllers or --shards: waiting until they agree", s->addr);
    for (unsigned i = 0; i < f->n; i++)
        if (i != f->me && strcmp(f->addrs[i], s->addr) == 0)
            f->answers[i] = (struct answer){.node = s->node, .at_us = n->now_us, .list_hash = s->list_hash};
}

static void take_record(struct node *n, uint64_t conn, const struct msg *m)
{
    const struct founding *record = &m->found.record;
    bool same = n->manifest.founding.cluster == record->cluster && n->manifest.cluster == record->cluster;
    if (same && !(n->founder && n->manifest_saving)) {
        struct msg reply = {.kind = MSG_FOUND_ACK, .found_ack = {.node = n->manifest.node, .accepted = true}};
        node_reply(n, conn, m->id, &reply);
        return;
    }
    if (!n->founder || n->founder->recorded || !names_us(n, record))
        return;
    n->founder->answer_conn = conn;
    n->founder->answer_request = m->id;
    adopt(n, record);
}

static void take_ack(struct node *n, const struct msg_found_ack *a)
{
    struct founder *f = n->founder;
    for (unsigned i = 0; f && i < n->manifest.founding.n; i++)
        if (n->manifest.founding.members[i].node == a->node && a->accepted)
            f->acked[i] = true;
}

void founding_receive(struct node *n, uint64_t conn, const struct msg *m)
{
    switch (m->kind) {
    case MSG_FOUND_ASK: answer_ask(n, conn, m); break;
    case MSG_FOUND_STATE: take_state(n, &m->found_state); break;
    case MSG_FOUND: take_record(n, conn, m); break;
    case MSG_FOUND_ACK: take_ack(n, &m->found_ack); break;
    default: break;
    }
}
