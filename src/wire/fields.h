/* Groups of members that more than one codec carries: what they take of a shape, and how they go in and out. */
#ifndef RGKV_WIRE_FIELDS_H
#define RGKV_WIRE_FIELDS_H

#include "wire/body.h"
#include "wire/msg.h"

#define CURSOR_BYTES_MAX (2 * KEY_BYTES_MAX) /* a row's key: an object's key and its prefix */

static inline enum rgkv_err take_err(struct body_in *in)
{
    return (enum rgkv_err)in_range(in, take_number(in), RGKV_OK, RGKV_ERR_COUNT - 1);
}

/* ---- struct kv_request ---- */
#define KV_REQUEST_NUMBERS 15
#define KV_REQUEST_BULK_MAX (2 * KEY_BYTES_MAX + DATA_BYTES_MAX)
#define KV_RANGES_TABLE {.columns = 2, .rows_max = PATCH_RANGES_MAX}
void put_kv_request(struct body_out *o, const struct kv_request *q, unsigned table);
void take_kv_request(struct body_in *in, struct kv_request *q, unsigned table);

/* ---- struct ctrl_command: tables 0 to 2 ---- */
#define CTRL_COMMAND_NUMBERS 13
#define CTRL_COMMAND_TABLES                                                                                \
    {.columns = 2, .rows_max = GROUPS_MAX}, {.columns = 1, .rows_max = GROUPS_MAX * MEMBERS_MAX},          \
        {.columns = 1, .rows_max = GROUPS_MAX}
#define CTRL_COMMAND_BULK_MAX ((GROUPS_MAX * MEMBERS_MAX + 1) * ADDR_BYTES_MAX)
void ctrl_command_rows(const struct ctrl_command *c, unsigned ret_rows[SHAPE_TABLES_MAX]);
void put_ctrl_command(struct body_out *o, const struct ctrl_command *c);
void take_ctrl_command(struct body_in *in, struct ctrl_command *c);

/* ---- struct raft_member, struct founding (its members are rows of a table that may hold others too) ---- */
#define RAFT_MEMBER_COLUMNS 3
void put_raft_member(struct body_out *o, unsigned table, const struct raft_member *m);
void take_raft_member(struct body_in *in, unsigned table, struct raft_member *m);
#define FOUNDING_NUMBERS 3
void put_founding(struct body_out *o, unsigned table, const struct founding *f);
void take_founding(struct body_in *in, unsigned table, struct founding *f);

#endif
