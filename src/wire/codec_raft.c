/* Replica to replica: raft's messages with their entries, and the chunks of snapshots.
 *
 * An entry is a row {term, kind and payload length}: its index follows from its place (log_index + 1 + row), so entries
 * are consecutive by construction. Payloads are the bulk, in order. */
#include "wire/codec.h"
#include "wire/fields.h"

#define ENVELOPE_NUMBERS 4
#define RAFT_MESSAGE_NUMBERS 10
enum { TABLE_ENTRIES };
enum { FLAG_REJECTED = 1, FLAG_TRANSFER = 2, FLAGS_ALL = 3 };

static void put_envelope(struct body_out *o, const struct msg_envelope *e)
{
    put_number(o, e->gid);
    put_number(o, e->incarnation);
    put_number(o, e->from);
    put_number(o, e->to);
}

static void take_envelope(struct body_in *in, struct msg_envelope *e)
{
    e->gid = take_number(in);
    e->incarnation = take_number(in);
    e->from = take_number(in);
    e->to = take_number(in);
}

static void put_raft_message(struct body_out *o, const struct raft_message *m)
{
    put_pair(o, m->kind, (m->rejected ? FLAG_REJECTED : 0) | (m->transfer ? FLAG_TRANSFER : 0));
    put_number(o, m->from);
    put_number(o, m->to);
    put_number(o, m->term);
    put_number(o, m->log_index);
    put_number(o, m->log_term);
    put_number(o, m->commit);
    put_number(o, m->round);
    put_number(o, m->hint_index);
    put_number(o, m->hint_term);
}

static void take_raft_message(struct body_in *in, struct raft_message *m)
{
    uint32_t kind, flags;
    take_pair(in, &kind, &flags);
    m->kind = in_range(in, kind, RAFT_PRE_VOTE, RAFT_TIMEOUT_NOW);
    in_range(in, flags, 0, FLAGS_ALL);
    m->rejected = flags & FLAG_REJECTED;
    m->transfer = flags & FLAG_TRANSFER;
    m->from = take_number(in);
    m->to = take_number(in);
    m->term = take_number(in);
    m->log_index = take_number(in);
    m->log_term = take_number(in);
    m->commit = take_number(in);
    m->round = take_number(in);
    m->hint_index = take_number(in);
    m->hint_term = take_number(in);
}

/* ---- RAFT ---- */

static void raft_rows(const struct msg *m, unsigned ret_rows[SHAPE_TABLES_MAX])
{
    ret_rows[TABLE_ENTRIES] = m->raft.message.n_entries;
}

static void put_entry(struct body_out *o, const struct raft_entry *e)
{
    struct bytes payload = blob_bytes(e->payload);
    put_row(o, TABLE_ENTRIES, (uint64_t[]){e->term, pair_of(e->kind, (uint32_t)payload.len)});
    put_bulk(o, payload);
}

static void raft_encode(const struct msg *m, struct body_out *o)
{
    const struct raft_message *r = &m->raft.message;
    ASSERT(r->n_entries == 0 || r->kind == RAFT_APPEND);
    put_envelope(o, &m->raft.envelope);
    put_raft_message(o, r);
    for (unsigned i = 0; i < r->n_entries; i++) {
        ASSERT(r->entries[i].index == r->log_index + 1 + i);
        put_entry(o, &r->entries[i]);
    }
}

static void take_entry(struct body_in *in, uint64_t index, struct raft_entry *e)
{
    const uint64_t *row = take_row(in, TABLE_ENTRIES);
    uint32_t kind = (uint32_t)row[1], len = (uint32_t)(row[1] >> 32);
    e->index = index;
    e->term = row[0];
    e->kind = in_range(in, kind, RAFT_NOOP, RAFT_CONFIG);
    in_refuse(in, kind == RAFT_NOOP && len != 0);
    struct bytes payload = take_bulk(in, len, ENTRY_BYTES_MAX);
    if (in->ok && kind != RAFT_NOOP)
        e->payload = blob_new(payload);
}

/* The entries are the message's from the first, so that a refusal in the middle gives their payloads back. */
static void raft_decode(struct body_in *in, struct msg *m)
{
    struct raft_message *r = &m->raft.message;
    take_envelope(in, &m->raft.envelope);
    take_raft_message(in, r);
    unsigned n = in->rows[TABLE_ENTRIES];
    in_refuse(in, n != 0 && r->kind != RAFT_APPEND);
    in_refuse(in, r->log_index > UINT64_MAX - n);
    struct raft_entry *entries = take_array(in, n, sizeof(*entries));
    if (!entries)
        return;
    r->entries = entries;
    r->n_entries = n;
    for (unsigned i = 0; i < n && in->ok; i++)
        take_entry(in, r->log_index + 1 + i, &entries[i]);
}

static void raft_release(struct msg *m)
{
    for (unsigned i = 0; i < m->raft.message.n_entries; i++)
        blob_unref(m->raft.message.entries[i].payload);
    m->raft.message.n_entries = 0;
    m->raft.message.entries = NULL;
}

const struct codec codec_raft = {
    .name = "RAFT",
    .struct_bytes = sizeof(struct msg_raft),
    .shape = {.numbers = ENVELOPE_NUMBERS + RAFT_MESSAGE_NUMBERS,
              .n_tables = 1,
              .tables = {[TABLE_ENTRIES] = {.columns = 2, .rows_max = APPEND_ENTRIES_MAX}}},
    .bulk_max = FRAME_BULK_BYTES_MAX,
    .rows = raft_rows,
    .encode = raft_encode,
    .decode = raft_decode,
    .release = raft_release,
};

/* ---- SNAPSHOT_CHUNK ---- */

static void snapshot_chunk_encode(const struct msg *m, struct body_out *o)
{
    const struct msg_snapshot_chunk *c = &m->snapshot_chunk;
    ASSERT(c->header.kind == RAFT_SNAPSHOT && c->header.n_entries == 0);
    put_envelope(o, &c->envelope);
    put_raft_message(o, &c->header);
    put_number(o, c->snapshot_id);
    put_number(o, c->boot);
    put_number(o, c->number);
    put_number(o, c->done);
    put_number(o, c->rows_total);
    put_number(o, c->hash);
    put_bytes(o, c->rows);
}

static void snapshot_chunk_decode(struct body_in *in, struct msg *m)
{
    struct msg_snapshot_chunk *c = &m->snapshot_chunk;
    take_envelope(in, &c->envelope);
    take_raft_message(in, &c->header);
    in_refuse(in, c->header.kind != RAFT_SNAPSHOT);
    c->snapshot_id = take_number(in);
    c->boot = take_number(in);
    c->number = take_number(in);
    c->done = in_bool(in, take_number(in));
    c->rows_total = take_number(in);
    c->hash = take_number(in);
    c->rows = take_bytes(in, FRAME_BULK_BYTES_MAX);
}

const struct codec codec_snapshot_chunk = {
    .name = "SNAPSHOT_CHUNK",
    .struct_bytes = sizeof(struct msg_snapshot_chunk),
    .shape = {.numbers = ENVELOPE_NUMBERS + RAFT_MESSAGE_NUMBERS + 7},
    .bulk_max = FRAME_BULK_BYTES_MAX,
    .encode = snapshot_chunk_encode,
    .decode = snapshot_chunk_decode,
};

/* ---- SNAPSHOT_ACK ---- */

static void snapshot_ack_encode(const struct msg *m, struct body_out *o)
{
    const struct msg_snapshot_ack *k = &m->snapshot_ack;
    put_envelope(o, &k->envelope);
    put_number(o, k->term);
    put_number(o, k->snapshot_id);
    put_number(o, k->next);
    put_number(o, k->installed);
    put_number(o, k->refused);
    put_number(o, k->log_index);
}

static void snapshot_ack_decode(struct body_in *in, struct msg *m)
{
    struct msg_snapshot_ack *k = &m->snapshot_ack;
    take_envelope(in, &k->envelope);
    k->term = take_number(in);
    k->snapshot_id = take_number(in);
    k->next = take_number(in);
    k->installed = in_bool(in, take_number(in));
    k->refused = in_bool(in, take_number(in));
    k->log_index = take_number(in);
}

const struct codec codec_snapshot_ack = {
    .name = "SNAPSHOT_ACK",
    .struct_bytes = sizeof(struct msg_snapshot_ack),
    .shape = {.numbers = ENVELOPE_NUMBERS + 6},
    .encode = snapshot_ack_encode,
    .decode = snapshot_ack_decode,
};
