/* What clients ask of the controller: changes and reads. */
#include "wire/codec.h"
#include "wire/fields.h"

/* ---- ADMIN_REQUEST ---- */

/* The other commands are the leader's own: nobody may ask for them. */
static bool op_admin(enum ctrl_op op)
{
    return op == CTRL_JOIN || op == CTRL_LEAVE || op == CTRL_MOVE || op == CTRL_ADD_MEMBER || op == CTRL_REMOVE_MEMBER ||
           op == CTRL_KEEP_MEMBER || op == CTRL_TRANSFER || op == CTRL_ABANDON;
}

static void admin_request_rows(const struct msg *m, unsigned ret_rows[SHAPE_TABLES_MAX])
{
    ctrl_command_rows(&m->admin_request.command, ret_rows);
}

static void admin_request_encode(const struct msg *m, struct body_out *o)
{
    ASSERT(op_admin(m->admin_request.command.op));
    put_ctrl_command(o, &m->admin_request.command);
}

static void admin_request_decode(struct body_in *in, struct msg *m)
{
    take_ctrl_command(in, &m->admin_request.command);
    in_refuse(in, !op_admin(m->admin_request.command.op));
}

const struct codec codec_admin_request = {
    .name = "ADMIN_REQUEST",
    .struct_bytes = sizeof(struct msg_admin_request),
    .shape = {.numbers = CTRL_COMMAND_NUMBERS, .n_tables = 3, .tables = {CTRL_COMMAND_TABLES}},
    .bulk_max = CTRL_COMMAND_BULK_MAX,
    .rows = admin_request_rows,
    .encode = admin_request_encode,
    .decode = admin_request_decode,
};

/* ---- ADMIN_REPLY ---- */

static void admin_reply_encode(const struct msg *m, struct body_out *o)
{
    const struct ctrl_result *r = &m->admin_reply.result;
    put_number(o, r->err);
    put_number(o, r->config_num);
    put_text(o, r->why);
    put_number(o, r->duplicate);
    put_text(o, m->admin_reply.leader_addr);
}

static void admin_reply_decode(struct body_in *in, struct msg *m)
{
    struct ctrl_result *r = &m->admin_reply.result;
    r->err = take_err(in);
    r->config_num = take_number(in);
    take_text(in, r->why, sizeof(r->why));
    r->duplicate = in_bool(in, take_number(in));
    take_text(in, m->admin_reply.leader_addr, sizeof(m->admin_reply.leader_addr));
}

const struct codec codec_admin_reply = {
    .name = "ADMIN_REPLY",
    .struct_bytes = sizeof(struct msg_admin_reply),
    .shape = {.numbers = 5},
    .bulk_max = sizeof(((struct ctrl_result *)0)->why) + ADDR_BYTES_MAX,
    .encode = admin_reply_encode,
    .decode = admin_reply_decode,
};

/* ---- CTRL_READ ---- */

static void ctrl_read_encode(const struct msg *m, struct body_out *o)
{
    put_number(o, m->ctrl_read.what);
    put_number(o, m->ctrl_read.number);
}

static void ctrl_read_decode(struct body_in *in, struct msg *m)
{
    m->ctrl_read.what = in_range(in, take_number(in), CTRL_READ_CONFIG, CTRL_READ_COUNT - 1);
    m->ctrl_read.number = take_number(in);
}

const struct codec codec_ctrl_read = {
    .name = "CTRL_READ",
    .struct_bytes = sizeof(struct msg_ctrl_read),
    .shape = {.numbers = 2},
    .encode = ctrl_read_encode,
    .decode = ctrl_read_decode,
};

/* ---- CTRL_TEXT ---- */

static void ctrl_text_encode(const struct msg *m, struct body_out *o)
{
    put_number(o, m->ctrl_text.err);
    put_text(o, m->ctrl_text.leader_addr);
    put_bytes(o, m->ctrl_text.text);
}

static void ctrl_text_decode(struct body_in *in, struct msg *m)
{
    m->ctrl_text.err = take_err(in);
    take_text(in, m->ctrl_text.leader_addr, sizeof(m->ctrl_text.leader_addr));
    m->ctrl_text.text = take_bytes(in, FRAME_BULK_BYTES_MAX);
}

const struct codec codec_ctrl_text = {
    .name = "CTRL_TEXT",
    .struct_bytes = sizeof(struct msg_ctrl_text),
    .shape = {.numbers = 3},
    .bulk_max = FRAME_BULK_BYTES_MAX,
    .encode = ctrl_text_encode,
    .decode = ctrl_text_decode,
};
