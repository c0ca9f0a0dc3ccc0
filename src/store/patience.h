/* How long a loop may wait for reads. Most of what a table's cache has not the page cache of the system has, and that takes some
 * microseconds more: to have somebody else read it costs several times as much. But who can tell only after the read? So a
 * loop reads by itself, and what takes longer than that is counted against what it may wait; when that is used up, only
 * memory is read until some time has passed. */
#ifndef RGKV_STORE_PATIENCE_H
#define RGKV_STORE_PATIENCE_H

#include "base/base.h"

#define PATIENCE_FREE_US 200u      /* of a read */
#define PATIENCE_US 2000u          /* so much may be waited at once, … */
#define PATIENCE_REGAIN 16u        /* … and a sixteenth of the time in the long run */
#define PATIENCE_OWED_US_MAX 64000u /* a second after the slowest read it is tried again */

struct patience {
    uint64_t waited_us, at_us;
};

static inline bool patience_left(struct patience *p, uint64_t now_us)
{
    uint64_t regained_us = (now_us - p->at_us) / PATIENCE_REGAIN;
    p->waited_us -= MIN(p->waited_us, regained_us);
    p->at_us += regained_us * PATIENCE_REGAIN; /* the rest counts next time: who asks often shall not wait for ever */
    return p->waited_us < PATIENCE_US;
}

static inline void patience_spend(struct patience *p, uint64_t took_us)
{
    if (took_us > PATIENCE_FREE_US)
        p->waited_us = MIN(p->waited_us + took_us, PATIENCE_OWED_US_MAX);
}

#endif
