/* Which groups this mount reaches, kept fresh by asking: a group that holds shards and was not heard of within the last second is asked
 * for its time. So `/.ctrl/health` is right without waiting, on a mount that does nothing and on one that just began. */
#ifndef RGKV_FUSE_HEALTH_H
#define RGKV_FUSE_HEALTH_H

#include "fuse/mount.h"

struct health;

/* Asks every group, and runs the loop until all have answered or a moment has passed. `changed` is called with a line's worth of
 * text, `NAME KEY=VALUE …`, when a group or the controller becomes reachable or stops being so. */
struct health *health_new(struct mount *m, void (*changed)(struct mount *m, const char *line));
void health_look(struct health *h);    /* the placement has changed: do not wait for the next round */
void health_print(const struct health *h, struct buf *out);
uint64_t health_probes(const struct health *h); /* asked so far: requests of the client that are not the user's */
/* No more is asked. The memory is freed from the loop; probes that are under way must end before (net_client_close ends them). */
void health_close(struct health *h);

#endif
