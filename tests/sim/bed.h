/* What bed.c (the administrator, machines, lies, runs) and bed_keys.c (what clients write and read) share. */
#ifndef RGKV_TESTS_BED_H
#define RGKV_TESTS_BED_H

#include "tests/sim/scenario.h"

#define BED_WRITERS 5u         /* callers 1 to 5; 0 is the administrator's */
#define BED_FIRST_GROUP 100u
#define BED_WAIT_US 60000000u  /* for one thing */

struct bed_key {
    struct sim_op op;          /* of its writer; first */
    enum rgkv_err err;
    char name[16];
    uint64_t version;          /* newest that was told: it only grows, whoever holds the shard, even if it was given up (P19) */
    struct buf want;           /* what it holds, whatever its writer's running append becomes */
    unsigned elements;
};
struct bed_question {          /* somebody else reads a key, and nobody waits */
    struct sim_op op;          /* first */
    enum rgkv_err err;
    bool asked;
};
struct bed {
    struct bed_admin admins[BED_ADMINS];
    struct sim_op text_op;
    enum rgkv_err text_err;
    struct buf text;
    const struct sim_op *awaited;
    enum bed_lie lies[SIM_MACHINES_MAX + SIM_CALLERS_MAX];
    struct ctrl_shard lied[SIM_NSHARDS_MAX];

    struct bed_key keys[BED_KEYS_MAX];
    struct bed_question questions[BED_KEYS_MAX];
    struct sim_op random[BED_RANDOM_CLIENTS];
    unsigned n_keys;
    bool appending, clients, shared; /* shared: several write to one key */
    uint64_t pause_us;
    unsigned done, done_wanted, elements;
};
void bed_await(struct sim *s, const struct sim_op *o, const char *what);
void bed_keys_done(struct sim *s, struct sim_op *o, const struct client_effect *e);
void bed_keys_free(struct bed *b);

#endif
