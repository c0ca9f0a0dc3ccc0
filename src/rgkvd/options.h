/* The daemon's command line, as a struct. Pure: no file, no environment, nothing printed. */
#ifndef RGKV_RGKVD_OPTIONS_H
#define RGKV_RGKVD_OPTIONS_H

#include "base/bytes.h"

enum options_action { OPTIONS_RUN, OPTIONS_VERSION, OPTIONS_HELP };

struct options {
    enum options_action action;
    const char *listen;         /* these three point into argv */
    const char *advertise;      /* NULL: as it listens */
    const char *data;
    unsigned n_controllers;
    char controllers[MEMBERS_MAX][ADDR_BYTES_MAX];
    uint32_t nshards;
    int64_t snapshot_bytes;     /* -1: never */
    uint64_t memory_bytes;
    bool prefault;              /* memory is touched at the start, and not when it is needed */
    int nice;                   /* of the loop's thread; 0: as the process */
    uint64_t election_us, heartbeat_us;
    bool insecure;
    bool die_with_parent;
    uint64_t parent;            /* the process id that must be the parent; 0: any but init */
};

/* INVALID with one sentence in `why`. */
MUST_USE enum rgkv_err options_parse(int argc, char *const argv[], struct options *ret_o, struct buf *why);
extern const char options_usage[];

#endif
