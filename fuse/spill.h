/* A value on its way to the store that is too large for one request: its pieces are sent ahead, into a stage that nobody sees (kv/staged.c),
 * several at once; the commit that makes them the file's value comes last. Memory is bounded: who adds pieces waits for room.
 *
 *     spill_new ─▶ spill_add … (spill_wait for room) ─▶ spill_wait for all ─▶ spill_request: the commit ─▶ spill_free
 *                                                                             or given up:              ─▶ spill_abandon
 *
 * After an error nothing more is sent and every wait ends with it: the value is not whole, and will never be. */
#ifndef RGKV_FUSE_SPILL_H
#define RGKV_FUSE_SPILL_H

#include "fuse/call.h"
#include "fuse/stage.h"

#define SPILL_PIECES_MAX 4u                /* of one value, not acknowledged yet */
#define SPILL_BYTES_MAX (64u << 20)        /* of all of a mount; beyond, one piece at a time each */

struct spill;

/* For a value that will be committed at a key of the same shard. Opens the stage. */
struct spill *spill_new(struct mount *m, struct inode *n, const struct key *k);
/* What is staged in memory becomes the next piece (none if there is nothing). */
void spill_add(struct spill *s, struct stage *pending);
bool spill_has_room(const struct spill *s);
bool spill_busy(const struct spill *s);            /* something is not acknowledged yet */
uint64_t spill_size(const struct spill *s);        /* of the value, as far as it was added */
enum rgkv_err spill_failed(const struct spill *s);
/* Ends when there is room, or when all that was added is acknowledged; at once if that is so. CANCELLED by the caller's signal. */
typedef void spill_then(struct call *c, enum rgkv_err err, const char *why);
void spill_wait(struct spill *s, bool all, struct call *c, spill_then *then);
/* Op, flags and data of the commit; `said` is what data points to. */
void spill_request(const struct spill *s, struct kv_request *q, uint8_t said[KV_STAGED_BYTES]);
void spill_free(struct spill *s);                  /* it was committed */
void spill_abandon(struct spill *s);               /* NULL is fine. The store is told, nobody waits for that */

#endif
