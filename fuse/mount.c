#include "fuse/mount.h"

#include <time.h>

uint64_t mount_now_us(const struct mount *m)
{
    (void)m;
    return uv_hrtime() / 1000;
}

int64_t mount_wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
