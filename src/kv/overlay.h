/* Rows that commands changed but that are not in the table yet, over the table.
 *
 * Reads see the changes. overlay_write puts all of them into the table, atomically, and leaves the overlay empty. That takes
 * milliseconds, so there is a way to do it beside: overlay_freeze lays what there is beneath a new, empty layer, anybody writes
 * that with overlay_layer_write, and then comes overlay_written; reads see both layers meanwhile.
 *
 * A disk's error does not stop a read here: it counts as "nothing there", is kept in `err` and must be looked at
 * before anything that was read is believed (kv_apply and kv_read do so at their end). So does, while `cold` is set, a row that only a
 * disk has: it is noted there and counts as "nothing there", and `missed` says that what was read means nothing. A write for which the table has no
 * space changes nothing and may be tried again; after one that failed otherwise the overlay must not be used any more. */
#ifndef RGKV_KV_OVERLAY_H
#define RGKV_KV_OVERLAY_H

#include "kv/row_cache.h"
#include "kv/table.h"

struct overlay_row {
    struct bytes key;          /* directly behind the row */
    uint8_t *value;            /* NULL: deleted */
    uint32_t len, room;
};
struct overlay_range {
    struct bytes from, to;
};
struct overlay_block;

struct overlay_layer {
    unsigned n_rows, rows_room;
    struct overlay_row **rows; /* sorted by key; they lie in the blocks */
    unsigned n_ranges, ranges_room;
    struct overlay_range *ranges; /* deleted; rows above came later */
    struct overlay_block *blocks; /* memory of rows and values, newest first */
    uint64_t bytes;
};

struct overlay {
    struct table *table;
    struct row_cache *cache;   /* of the table, kept up to date by the writes */
    enum rgkv_err err;
    struct buf *cold;          /* not NULL: nothing waits for a disk, or not for long. cold.c */
    enum table_wait wait;
    bool missed;
    bool frozen;               /* something is in `under` */
    struct overlay_layer top, under;
    struct overlay_block *spare;  /* empty ones, no more than were in use at once */
    uint64_t changes;          /* how often a row came or went: tells a scan that its place may have moved */
};

void overlay_init(struct overlay *o, struct table *t, struct row_cache *cache);
void overlay_release(struct overlay *o);
unsigned overlay_place(const struct overlay_layer *l, struct bytes key); /* index of the first row that is not before key */
bool overlay_full(const struct overlay *o);            /* time to write it */
bool overlay_swollen(const struct overlay *o);         /* the table has refused for long: no more may come */
/* The row's value takes the place of what is in out. False: none, or see err. */
bool overlay_get(struct overlay *o, struct bytes key, struct buf *out);
/* As the table has it, without what changed since. Not while anything is frozen. */
bool overlay_below(struct overlay *o, struct bytes key, struct buf *out);
/* Room for the row's new value, to be filled in at once. */
uint8_t *overlay_put(struct overlay *o, struct bytes key, size_t len);
void overlay_delete(struct overlay *o, struct bytes key);
void overlay_delete_range(struct overlay *o, struct bytes from, struct bytes to);
MUST_USE enum rgkv_err overlay_write(struct overlay *o); /* what is frozen first, and nobody else is writing it */

void overlay_freeze(struct overlay *o);                  /* nothing is frozen yet */
MUST_USE enum rgkv_err overlay_layer_write(const struct overlay_layer *l, struct table *t); /* on any thread; the layer must not change */
void overlay_written(struct overlay *o, enum rgkv_err err); /* how the write of what is frozen ended; NO_SPACE: it is still frozen */

/* Rows of [from, to) in order, as they are when the scan gets there: rows may be changed meanwhile, but not written or frozen. */
struct scan {
    struct overlay *overlay;
    struct table_iter *iter;
    bool iter_has;             /* it stands on a row that was not given out yet */
    bool started;
    unsigned next, next_under; /* in the rows of each layer */
    uint64_t changes;
    struct buf to, last;       /* end of the range; key of the last row */
    struct bytes key, value;   /* the row: until the next call */
};
void scan_open(struct scan *s, struct overlay *o, struct bytes from, struct bytes to);
/* Another range, within the first one: costs less than another scan. */
void scan_seek(struct scan *s, struct bytes from, struct bytes to);
bool scan_next(struct scan *s);
void scan_close(struct scan *s);

#endif
