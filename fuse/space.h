/* How much room the cluster has, for statfs: from the nodes' reports (the lines of /.ctrl/nodes). Pure. */
#ifndef RGKV_FUSE_SPACE_H
#define RGKV_FUSE_SPACE_H

#include "base/bytes.h"

#define SPACE_FRESH_US 1000000u    /* an older number is asked for again */

struct space {
    uint64_t total, free;          /* bytes of values that fit; 0: never heard of */
    uint64_t heard_us;
};
/* Of the nodes that hold data, divided by the number of copies (members of a group, at least 1). False: no node told, nothing is changed. */
bool space_parse(struct bytes nodes, unsigned copies, struct space *ret_s);

#endif
