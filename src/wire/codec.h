/* One row per message kind. A codec says what the kind's body looks like and moves a struct's members into it and out;
 * everything that all kinds share (header, guard, limits, leftovers) is msg.c's.
 *
 * The order of numbers, tables and columns, and the values of enums, are the protocol: they change only with
 * WIRE_VERSION. Enums that travel may only be appended to. */
#ifndef RGKV_WIRE_CODEC_H
#define RGKV_WIRE_CODEC_H

#include "wire/body.h"
#include "wire/msg.h"

struct codec {
    const char *name;
    size_t struct_bytes;              /* of the kind's member of struct msg */
    struct shape shape;
    size_t bulk_max;
    void (*rows)(const struct msg *m, unsigned ret_rows[SHAPE_TABLES_MAX]); /* NULL: no tables */
    void (*encode)(const struct msg *m, struct body_out *o);
    void (*decode)(struct body_in *in, struct msg *m); /* into zeroed memory; refuses by in->ok */
    void (*release)(struct msg *m);   /* NULL: holds nothing but the arena's memory */
};

extern const struct codec codec_hello, codec_refused, codec_transfer;                                       /* codec_misc.c */
extern const struct codec codec_raft, codec_snapshot_chunk, codec_snapshot_ack;             /* codec_raft.c */
extern const struct codec codec_kv_request, codec_kv_reply, codec_pull, codec_pull_reply;   /* codec_kv.c */
extern const struct codec codec_admin_request, codec_admin_reply, codec_ctrl_read, codec_ctrl_text; /* codec_ctrl.c */
extern const struct codec codec_poll, codec_view;                                           /* codec_view.c */
extern const struct codec codec_found_ask, codec_found_state, codec_found, codec_found_ack; /* codec_found.c */

#endif
