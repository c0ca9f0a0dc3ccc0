/* /.ctrl/events: what happened to the cluster as this mount saw it, one line per event, for those who wait: by a blocking read or by poll.
 *
 * A reader gets what happens after its open. Lines are kept in a ring; a reader that lags behind it is told how many it missed. The
 * placement is watched once a round of the loop: of changes that came in one view only their sum is seen. */
#ifndef RGKV_FUSE_EVENTS_H
#define RGKV_FUSE_EVENTS_H

#include "fuse/call.h"

#define EVENTS_KEPT_MAX 1024u

struct events;
struct event_reader;

struct events *events_new(struct mount *m);
void events_add(struct events *e, const char *line); /* the time is put before it */
void events_close(struct events *e);                 /* no reader waits any more. Freed from the loop */

struct event_reader *event_reader_new(struct events *e);
/* No call of it is under way. */
void event_reader_free(struct event_reader *r);
/* Replies to the call, which it ends, now or when there is something. `nonblock`: EAGAIN if there is nothing. */
void event_reader_read(struct event_reader *r, struct call *c, size_t size, bool nonblock);
/* Takes the handle (NULL: nobody wants to be woken). True: there is something to read. */
bool event_reader_poll(struct event_reader *r, struct fuse_pollhandle *ph);

#endif
