/* Lines for the program's log, at most one a second per limiter: what a stranger can cause must not fill a disk. */
#ifndef RGKV_NET_LINE_LIMIT_H
#define RGKV_NET_LINE_LIMIT_H

#include "base/base.h"

struct line_limit {
    void (*line)(void *arg, const char *text); /* NULL: nobody listens */
    void *arg;
    uint64_t quiet_until_us;
    uint64_t suppressed;
};

void line_limit_printf(struct line_limit *l, uint64_t now_us, const char *format, ...) PRINTF(3, 4);

#endif
