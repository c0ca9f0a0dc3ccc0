/* HELLO, REFUSED and TRANSFER. */
#include "wire/codec.h"
#include "wire/fields.h"

static void hello_encode(const struct msg *m, struct body_out *o)
{
    put_number(o, m->hello.node);
    put_number(o, m->hello.client);
    put_text(o, m->hello.addr);
    put_text(o, m->hello.version);
}

static void hello_decode(struct body_in *in, struct msg *m)
{
    m->hello.node = take_number(in);
    m->hello.client = take_number(in);
    take_text(in, m->hello.addr, sizeof(m->hello.addr));
    take_text(in, m->hello.version, sizeof(m->hello.version));
}

const struct codec codec_hello = {
    .name = "HELLO",
    .struct_bytes = sizeof(struct msg_hello),
    .shape = {.numbers = 4},
    .bulk_max = ADDR_BYTES_MAX + 32,
    .encode = hello_encode,
    .decode = hello_decode,
};

static void refused_encode(const struct msg *m, struct body_out *o)
{
    put_number(o, m->refused.err);
    put_text(o, m->refused.why);
}

static void refused_decode(struct body_in *in, struct msg *m)
{
    m->refused.err = take_err(in);
    take_text(in, m->refused.why, sizeof(m->refused.why));
}

const struct codec codec_refused = {
    .name = "REFUSED",
    .struct_bytes = sizeof(struct msg_refused),
    .shape = {.numbers = 2},
    .bulk_max = sizeof(((struct msg_refused *)0)->why),
    .encode = refused_encode,
    .decode = refused_decode,
};

static void transfer_encode(const struct msg *m, struct body_out *o)
{
    put_number(o, m->transfer.gid);
    put_number(o, m->transfer.incarnation);
    put_number(o, m->transfer.member);
}

static void transfer_decode(struct body_in *in, struct msg *m)
{
    m->transfer.gid = take_number(in);
    m->transfer.incarnation = take_number(in);
    m->transfer.member = take_number(in);
}

const struct codec codec_transfer = {
    .name = "TRANSFER",
    .struct_bytes = sizeof(struct msg_transfer),
    .shape = {.numbers = 3},
    .encode = transfer_encode,
    .decode = transfer_decode,
};
