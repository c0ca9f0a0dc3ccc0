/* The command line of rgkvfs: words in, decisions out. Pure.
 *
 *     rgkvfs [CONTROLLER,CONTROLLER,…] MOUNTPOINT [-o options] [-f] [-d]
 *
 * mount(8) calls the same program as `mount.rgkvfs SOURCE MOUNTPOINT [-sfnvw] [-t type] [-N namespace] -o options`; there -f means: do
 * everything but the mount. The source `none` or `rgkvfs` means the embedded node. */
#ifndef RGKV_FUSE_OPTIONS_H
#define RGKV_FUSE_OPTIONS_H

#include "base/bytes.h"

#define OPTION_BYTES_MAX 4096u
#define TIMEOUT_S_DEFAULT 30u
#define TIMEOUT_S_MAX 86400u

struct options {
    bool help, version;            /* nothing else counts then */
    bool foreground, debug;
    bool fake;                     /* mount -f: nothing is to be mounted */
    unsigned n_controllers;        /* 0: embedded */
    char controllers[MEMBERS_MAX][ADDR_BYTES_MAX];
    char mountpoint[OPTION_BYTES_MAX];
    char fsname[OPTION_BYTES_MAX]; /* what df and /proc/mounts show as the source */
    char data_dir[OPTION_BYTES_MAX]; /* -o data=, "" if not given: of the embedded node */
    char prefix[KEY_BYTES_MAX + 1]; /* the directory of the cluster that is mounted: a key, "": all of it */
    char kernel[OPTION_BYTES_MAX]; /* the options that the kernel and libfuse understand, comma before each */
    uint64_t timeout_us;           /* 0: hard */
    double cache_s;                /* how long the kernel may keep names and attributes, and contents while open; 0: never */
    bool read_only, allow_other, commit_write, nonempty;
};

/* INVALID with a sentence in `why`; *ret_o is then undefined. */
MUST_USE enum rgkv_err options_parse(int argc, char *const *argv, struct options *ret_o, struct buf *why);
/* As `/.ctrl/mount/options` shows them: one `KEY VALUE` per line. */
void options_print(const struct options *o, struct buf *out);
extern const char options_usage[];

#endif
