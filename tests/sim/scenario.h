/* The scenarios of shardctrler (C1 … C12) and shardkv (S1 … S14), and rules of the protocol by number, as scripts over the simulator, each over any number of seeds. A
 * seed draws delays, who boots first, whether a crash is a power cut, and the script's own choices.
 *
 * The test bed: machines 0 to 2 are the controllers, group 100 may have the machines 3 to 5, 101 6 to 8, 102 9 to 11. Caller 0 is the
 * administrator. Each key has one writer: what it must hold is known exactly, and every read is compared with it. Whatever clients saw is
 * checked for linearizability as well, and all invariants of the simulator hold meanwhile.
 *
 * Once something has failed all of these do nothing, so scripts need not ask. */
#ifndef RGKV_TESTS_SCENARIO_H
#define RGKV_TESTS_SCENARIO_H

#include "tests/sim/sim.h"

#define BED_KEYS_MAX 30u
#define BED_ADMINS 10u
#define BED_JOINS_MAX 10u
#define BED_RANDOM_CLIENTS 10u

struct scenario {
    const char *number, *name;
    unsigned machines;
    int64_t snapshot_bytes;
    void (*run)(struct sim *s);
};
extern const struct scenario scenarios_ctrl[], scenarios_shard[], scenarios_rule[]; /* ended by a row without number */

/* ---- the administrator ---- */

struct bed_admin {             /* one of ten, each with a command of its own under way */
    struct sim_op op;
    struct ctrl_join_group groups[BED_JOINS_MAX];
    uint64_t gids[BED_JOINS_MAX];
    unsigned step;
    enum rgkv_err err;
};
#define GIDS(...) (const uint64_t[]){__VA_ARGS__, 0} /* ends with a 0 */

/* One new config each; nobody waits for the shards. The members of a group are its machines, or, of a scenario without such machines, addresses
 * where nobody listens. */
void join(struct sim *s, const uint64_t *gids);
void leave(struct sim *s, const uint64_t *gids);
void move(struct sim *s, uint32_t shard, uint64_t gid);
enum rgkv_err abandon(struct sim *s, uint64_t gid);
/* Without waiting; `admin` 0 … BED_ADMINS - 1. */
void join_begin(struct sim *s, unsigned admin, const uint64_t *gids);
void leave_begin(struct sim *s, unsigned admin, const uint64_t *gids);
bool admin_busy(const struct sim *s, unsigned admin);

/* ---- what the controller says ---- */

struct bed_config {            /* as a client reads it */
    uint64_t num, shards[SIM_NSHARDS_MAX], gids[64];
    unsigned n_gids;
    struct buf text;
};
#define NEWEST UINT64_MAX
void config_read(struct sim *s, uint64_t num, struct bed_config *ret_c); /* released by config_release; blank after a failure */
void config_release(struct bed_config *c);
/* Exactly these groups; with at least one, every shard is on one of them, and max <= min + 1. */
void config_is_balanced(struct sim *s, const uint64_t *gids);
bool text_has(struct sim *s, enum ctrl_read what, const char *words); /* a control file */
void settled(struct sim *s);                                          /* waits until placement equals config */
unsigned shards_at(const struct sim *s, uint64_t gid);                /* that it serves, one bit each */

/* ---- groups of machines ---- */

void group_crash(struct sim *s, const uint64_t *gids);
void group_start(struct sim *s, const uint64_t *gids);
void machine_down(struct sim *s, unsigned machine);
void machine_up(struct sim *s, unsigned machine);
unsigned leader_machine(const struct sim *s, uint64_t gid); /* 0: the controller's; UINT_MAX: nobody leads */
unsigned replicas_of(const struct sim *s, uint64_t gid);    /* on how many machines there is one */
uint64_t table_bytes(struct sim *s);                        /* keys and values of all tables */
void unreliable(struct sim *s);                             /* the network, from here on; until the end */
void reliable(struct sim *s);

/* ---- keys ---- */

void keys_choose(struct sim *s, unsigned per_shard); /* key i is in shard i / per_shard */
void key_put(struct sim *s, unsigned key, unsigned bytes);
void key_append(struct sim *s, unsigned key);
void key_check(struct sim *s, unsigned key);
void key_lost(struct sim *s, unsigned key); /* the administrator gave its shard up just now */
void keys_put(struct sim *s, unsigned bytes);
void keys_check(struct sim *s);
void keys_check_append(struct sim *s);
/* Reads of all keys that nobody waits for, by one caller (once); how many were answered since. */
void keys_ask(struct sim *s, unsigned caller);
unsigned keys_answered(const struct sim *s);
unsigned keys_failed(const struct sim *s);     /* … with an error */

/* One appender for each key, all the time, with a pause after each of its appends. */
void appenders_start(struct sim *s, uint64_t pause_us);
void appenders_progress(struct sim *s, unsigned n); /* waits until n more appends are done, of whichever keys */
void appenders_stop(struct sim *s);                 /* … and every key holds what was appended, in order, once */
/* Ten clients that append, put and read keys at random. */
void clients_start(struct sim *s);
void clients_progress(struct sim *s, unsigned n);
void clients_stop(struct sim *s);

/* ---- time, lies ---- */

void pass(struct sim *s, uint64_t ms);
void within(struct sim *s, uint64_t ms, bool (*over)(struct sim *s), const char *what); /* or it has failed */
void check(struct sim *s, bool fine, const char *what);
unsigned draw(struct sim *s, unsigned below);
/* A controller that lies: whoever is led to it hears that the placement is what it is now, whatever becomes of it; with `higher`, at
 * epochs of its own. Or, of another cluster, that the cluster's id is another. */
enum bed_lie { LIE_NONE, LIE_PLACEMENT, LIE_HIGHER, LIE_CLUSTER };
unsigned caller_new(struct sim *s, enum bed_lie lie); /* a client that has heard nothing else yet; its number */
void lie_to_group(struct sim *s, uint64_t gid, enum bed_lie lie);
void lie_about_now(struct sim *s);

#endif
