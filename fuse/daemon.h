/* Going to the background only when there is something to show: the parent waits for one word of its child.
 *
 *     daemon_begin ──fork──▶ parent: waits, prints the sentence if there is one, exits with the code
 *                      └───▶ child: returns; daemon_ready or daemon_fail once it knows */
#ifndef RGKV_FUSE_DAEMON_H
#define RGKV_FUSE_DAEMON_H

#include "base/base.h"

enum { EXIT_USAGE = 1, EXIT_MOUNT = 32 }; /* of mount(8) */

struct daemon {
    int pipe;                      /* to the parent; -1: in the foreground, or told already */
};
void daemon_begin(struct daemon *d, bool foreground);
void daemon_ready(struct daemon *d);
_Noreturn void daemon_fail(struct daemon *d, int code, const char *sentence);

#endif
