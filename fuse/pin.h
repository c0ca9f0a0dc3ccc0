/* The version that an open file reads, and the beginning of its value, which came with the open. Pure.
 *
 *   offset 0            the newest version, and the pin moves to it; the very first time what came with the open
 *   in the value        that version only, so that what is read is never torn between versions
 *   elsewhere           if the handle may write as well and the read does not go on where the last one ended: the newest. Who
 *                       takes a lock and then reads (a database) sees what others wrote before they let it go
 *   at its end          asks again: a value that only grew since goes on, as kv_attr.base tells */
#ifndef RGKV_FUSE_PIN_H
#define RGKV_FUSE_PIN_H

#include "kv/kv.h"

#define PIN_HEAD_BYTES_MAX (128u << 10) /* of the value that travels with the open */
#define PIN_FRESH_US 100000u            /* how long an open's value counts as new for the first read */

struct pin {
    bool set;
    uint64_t version, size;
    uint64_t since_us;             /* when the open's value came; 0: a read took it */
    uint64_t ino;                  /* of that file, in the store */
    bool roams;                    /* set once, by the owner: the handle may write as well */
    uint64_t next;                 /* where the last read ended */
    bool served;                   /* bytes of this version were given out */
    struct buf head;               /* of the value, from 0 */
};
void pin_release(struct pin *p);
void pin_drop(struct pin *p);      /* the next read takes the newest version */

enum pin_ask { PIN_SERVE, PIN_NEWEST, PIN_SAME, PIN_GROWN };
struct pin_plan {
    enum pin_ask ask;
    uint64_t offset, length;       /* what to Get (it may begin before what is read); PIN_SERVE: nothing, pin_cached has it */
};
struct pin_plan pin_read(struct pin *p, uint64_t offset, uint32_t size, uint64_t now_us);
struct bytes pin_cached(const struct pin *p, uint64_t offset, uint32_t size);
/* A Get of the newest version was answered: the pin moves. data begins at offset. */
void pin_take(struct pin *p, const struct kv_attr *a, uint64_t offset, struct bytes data, uint64_t since_us);
/* Bytes at offset were given out. */
void pin_gave(struct pin *p, uint64_t offset, struct bytes data);
/* A PIN_GROWN Get was answered: what the read at `offset`, where its data begins, gets. */
struct bytes pin_grown(struct pin *p, const struct kv_attr *a, uint64_t offset, struct bytes data);

#endif
