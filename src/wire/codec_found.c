/* Founding the controller (P2). */
#include "wire/codec.h"
#include "wire/fields.h"

enum { TABLE_MEMBERS };
#define MEMBERS_TABLE {.columns = RAFT_MEMBER_COLUMNS, .rows_max = MEMBERS_MAX}
#define MEMBERS_BULK_MAX (MEMBERS_MAX * ADDR_BYTES_MAX)

/* ---- FOUND_ASK ---- */

static void found_ask_encode(const struct msg *m, struct body_out *o)
{
    put_number(o, m->found_ask.node);
    put_text(o, m->found_ask.addr);
    put_number(o, m->found_ask.list_hash);
}

static void found_ask_decode(struct body_in *in, struct msg *m)
{
    m->found_ask.node = take_number(in);
    take_text(in, m->found_ask.addr, sizeof(m->found_ask.addr));
    m->found_ask.list_hash = take_number(in);
}

const struct codec codec_found_ask = {
    .name = "FOUND_ASK",
    .struct_bytes = sizeof(struct msg_found_ask),
    .shape = {.numbers = 3},
    .bulk_max = ADDR_BYTES_MAX,
    .encode = found_ask_encode,
    .decode = found_ask_decode,
};

/* ---- FOUND_STATE ---- */

static void found_state_rows(const struct msg *m, unsigned ret_rows[SHAPE_TABLES_MAX])
{
    ret_rows[TABLE_MEMBERS] = m->found_state.record.n;
}

static void found_state_encode(const struct msg *m, struct body_out *o)
{
    put_number(o, m->found_state.node);
    put_text(o, m->found_state.addr);
    put_number(o, m->found_state.list_hash);
    put_founding(o, TABLE_MEMBERS, &m->found_state.record);
}

static void found_state_decode(struct body_in *in, struct msg *m)
{
    m->found_state.node = take_number(in);
    take_text(in, m->found_state.addr, sizeof(m->found_state.addr));
    m->found_state.list_hash = take_number(in);
    take_founding(in, TABLE_MEMBERS, &m->found_state.record);
}

const struct codec codec_found_state = {
    .name = "FOUND_STATE",
    .struct_bytes = sizeof(struct msg_found_state),
    .shape = {.numbers = 3 + FOUNDING_NUMBERS, .n_tables = 1, .tables = {[TABLE_MEMBERS] = MEMBERS_TABLE}},
    .bulk_max = ADDR_BYTES_MAX + MEMBERS_BULK_MAX,
    .rows = found_state_rows,
    .encode = found_state_encode,
    .decode = found_state_decode,
};

/* ---- FOUND ---- */

static void found_rows(const struct msg *m, unsigned ret_rows[SHAPE_TABLES_MAX])
{
    ret_rows[TABLE_MEMBERS] = m->found.record.n;
}

static void found_encode(const struct msg *m, struct body_out *o) { put_founding(o, TABLE_MEMBERS, &m->found.record); }
static void found_decode(struct body_in *in, struct msg *m) { take_founding(in, TABLE_MEMBERS, &m->found.record); }

const struct codec codec_found = {
    .name = "FOUND",
    .struct_bytes = sizeof(struct msg_found),
    .shape = {.numbers = FOUNDING_NUMBERS, .n_tables = 1, .tables = {[TABLE_MEMBERS] = MEMBERS_TABLE}},
    .bulk_max = MEMBERS_BULK_MAX,
    .rows = found_rows,
    .encode = found_encode,
    .decode = found_decode,
};

/* ---- FOUND_ACK ---- */

static void found_ack_encode(const struct msg *m, struct body_out *o)
{
    put_number(o, m->found_ack.node);
    put_number(o, m->found_ack.accepted);
}

static void found_ack_decode(struct body_in *in, struct msg *m)
{
    m->found_ack.node = take_number(in);
    m->found_ack.accepted = in_bool(in, take_number(in));
}

const struct codec codec_found_ack = {
    .name = "FOUND_ACK",
    .struct_bytes = sizeof(struct msg_found_ack),
    .shape = {.numbers = 2},
    .encode = found_ack_encode,
    .decode = found_ack_decode,
};
