/* The simulator: whole clusters (controller, groups, nodes, clients) in virtual time, driven by one seed.
 *
 * The engines are the daemons' own (node.h, client.h) and so are the log and its recovery (store/wal.h, on a disk in memory
 * that forgets like a real one); only time, network, disks and the machine's end are simulated. Everything that happens is an event in one
 * heap, ordered by (time, number); every choice comes from the seed. So a seed replays exactly.
 *
 *   events.c      the heap                      machine.c   one machine: process, node engine, its clock; disk.c its disk work
 *   network.c     frames between them, faults   caller.c    one client engine and its workload
 *   work.c        what clients do
 *   promises.c    nothing before it is durable  rot.c       bits that turn over
 *   imports.c     a shard's copy is whole
 *   invariants.c  raft's, at every step         history.c   what clients saw: linearizability
 *   members.c     members come and go, machines lose their disks
 *   faults.c      what goes wrong, when         directed.c  what goes wrong at the worst moment
 *   ghosts.c      old answers, short appends
 *   watch.c       the steps of a shard's move     moves.c       … and a crash at each of them
 *   scenarios_*.c scenarios by number and name    bed.c         … what their scripts are made of
 *   sim.c         one run: set up, faults, heal, final checks
 *   main.c        seeds, --twice, the summary
 */
#ifndef RGKV_TESTS_SIM_H
#define RGKV_TESTS_SIM_H

#include "base/prng.h"
#include "client/client.h"
#include "node/node.h"
#include "tests/sim/history.h"
#include "tests/sim/vfs_mem.h"

#define SIM_MACHINES_MAX 12u
#define SIM_MACHINES_DRAWN 9u  /* so many get a share of what a seed draws, there or not: old seeds are to replay */
#define SIM_CALLERS_MAX 8u
#define SIM_STORED_MAX 16u
#define SIM_RING 64u
#define SIM_NSHARDS_MAX 12u
#define SIM_KEYS 18u           /* see work.c */

struct sim;

/* ---- events.c ---- */

enum sim_event_kind {
    SIM_TICK, SIM_COLLECT, SIM_DISK, SIM_SAVED, SIM_FLUSHED, SIM_TRIMMED, SIM_WARMED, SIM_CHUNK, SIM_MANIFEST, SIM_END, SIM_FRAME, SIM_LINK, SIM_CALLER_TICK, SIM_CALLER_OP, SIM_FAULT,
    SIM_DIRECTED, SIM_MEMBERS, SIM_CLOSED, SIM_RESTART
};
struct sim_parcel {            /* a frame on its way, as its receivers will see it */
    unsigned refs;
    uint64_t hash;
    struct blob *bytes;
    struct arena arena;
    struct sim_parcels *home;  /* where it goes when nobody refers to it any more */
    struct sim_parcel *next;   /* … and waits for the next frame */
    struct msg msg;            /* the member of its kind; the rest of the union is what was there before */
};
struct sim_parcels {
    struct sim_parcel *spare;
    unsigned n;                /* of those */
};
struct sim_event {
    uint64_t at_us, number;
    enum sim_event_kind kind;
    unsigned who, from;        /* machines 0 …; callers SIM_MACHINES_MAX …. SIM_WARMED, SIM_CHUNK: from is its number */
    unsigned boot;             /* an event of an earlier boot of the machine is void */
    uint32_t replica;
    bool up;
    struct sim_parcel *parcel;
};
struct sim_heap {
    struct sim_event *events;
    size_t n, cap;
    uint64_t next_number;
};
void sim_heap_push(struct sim_heap *h, struct sim_event e);
bool sim_heap_pop(struct sim_heap *h, struct sim_event *ret_e);
void sim_heap_release(struct sim_heap *h);
void sim_parcel_unref(struct sim_parcel *p); /* NULL is fine */
void sim_parcels_release(struct sim_parcels *home); /* all have come home */

/* ---- machine.c ---- */

struct sim_durable {           /* what a replica's log has synced: the entries base + 1 … */
    uint64_t term, vote, base;
    struct sim_durable_entry { uint64_t term, hash; } *entries;
    size_t n, cap;
};
struct sim_job {
    struct node_effect effect; /* COMMIT, COMPACT, RESET_LOG, SNAPSHOT_*, OPEN, DELETE */
    bool told;                 /* that there is no space */
    struct sim_job *next;
};
struct sim_read {              /* a chunk of a snapshot */
    uint64_t number;
    struct chunk_source *source; /* NULL: it is read, which is not told yet */
    uint64_t held_until_us;    /* at most; 0: not at all */
    struct sim_read *next;
};
struct sim_seen {              /* what the invariants of a replica are about */
    uint64_t term, vote, role, first, last, commit, applied, config_index;
};
struct sim_stored {            /* the files of one replica on one machine: outlive the process */
    uint64_t gid, incarnation, member;
    bool blank;                /* a missing log is a new one */
    struct table *table, *table_new;
    struct sim_durable durable;
    uint64_t in_flight;        /* lowest index of the batch that was being written when the process ended */
    /* of the running process: */
    uint32_t replica;
    struct wal *wal;
    struct sim_job *jobs;
    bool working;
    bool ended;                /* it is being deleted, and something could not be done: nothing is done on top of that (replica_store.c) */
    struct { bool under_way, done; enum rgkv_err err; struct kv_saving what; } save; /* done: err is how it ended, which is not told yet */
    uint64_t commit_seen, applied_seen, led_term; /* invariants: never back within one boot */
    struct sim_seen seen;
    uint64_t state_checked, states_skipped;
};
struct sim_rot {               /* a bit that has turned over */
    bool there;
    char path[128];
    uint64_t offset;
    unsigned bit;
};
struct sim_machine {
    unsigned index, boot;
    char addr[ADDR_BYTES_MAX];
    char told[ADDR_BYTES_MAX]; /* its --controllers, if they are not the founding ones any more */
    struct vfs *disk;
    struct buf manifest;       /* durable */
    struct buf manifest_pending;
    bool has_manifest, controller;
    unsigned n_stored;
    struct sim_stored stored[SIM_STORED_MAX];
    struct node *node;         /* NULL: down */
    struct sim_read *reads;    /* under way */
    uint64_t tick_at_us;
    bool collect_due, slow_disk, ending;
    bool tables_behind;        /* a write to a table would wait */
    bool tables_full;          /* as RocksDB after it met a full disk, until it finds out that there is space */
    bool hurt;                 /* its disk fails: its process may end with a sentence */
    struct sim_rot rot;
    uint64_t paused_until_us;  /* SIGSTOP */
    uint64_t space_told_us;
    uint64_t clock_zero_us, boot_us; /* its monotonic clock began elsewhere … */
    int64_t clock_ppm;               /* … and runs faster or slower */
};
void machine_init(struct sim *s, unsigned index, bool controller);
void machine_release(struct sim *s, struct sim_machine *m);
void machine_boot(struct sim *s, struct sim_machine *m);
void machines_told(struct sim *s);                          /* where the controllers are, for who cannot know it: they start again */
void machine_crash(struct sim *s, struct sim_machine *m);  /* the power goes */
void machine_kill(struct sim *s, struct sim_machine *m);   /* the process ends, the disk's cache stays */
void machine_stop(struct sim *s, struct sim_machine *m);   /* … when it has handed over what it leads */
void machine_end_soon(struct sim *s, struct sim_machine *m, bool power); /* … by an event, when its step is over; it comes back */
uint64_t machine_clock_us(const struct sim *s, const struct sim_machine *m);
bool machine_leads(const struct sim_machine *m, uint64_t gid); /* 0: any group of shards */
void machine_lose_disk(struct sim_machine *m);              /* … and all that was on it; while it is down */
void machine_pause(struct sim *s, struct sim_machine *m, uint64_t us);
void machine_suspend(struct sim *s, struct sim_machine *m, uint64_t us, uint64_t jump_us); /* … and its clock says that it was longer */
bool machine_deferred(struct sim *s, const struct sim_event *e); /* it stands still: the event comes later */
void machine_step(struct sim *s, struct sim_machine *m, struct node_input *in);
void machine_event(struct sim *s, const struct sim_event *e);
void machine_frame(struct sim *s, struct sim_machine *m, unsigned from, const struct msg *msg);

/* ---- disk.c ---- */

bool disk_effect(struct sim *s, struct sim_machine *m, const struct node_effect *e); /* false: none of its kinds */
void disk_event(struct sim *s, struct sim_machine *m, const struct sim_event *e);
void disk_process_ended(struct sim *s, struct sim_machine *m, bool power);
void disk_release(struct sim_machine *m);
void disk_prepare(struct sim_machine *m);  /* when its process starts */
void disk_wipe(struct sim_machine *m);
void disk_flush_by_itself(struct sim *s, struct sim_machine *m); /* a database writes its rows whenever it likes */
void disk_tables_refuse(struct sim_machine *m, bool refuse); /* writes: no space */
void disk_tables_hold(struct sim_machine *m, bool hold);
struct sim_stored *disk_stored(struct sim_machine *m, uint32_t replica);
void disk_save_ends(struct sim *s, struct sim_machine *m, struct sim_stored *st); /* the one under way, now */
void disk_dir(const struct sim_stored *st, char *to, size_t bytes); /* of its log */

/* ---- rot.c ---- */

void rot_begin(struct sim *s, struct sim_machine *m);   /* it is down */
void rot_opened(struct sim *s, struct sim_machine *m, const char *dir, enum rgkv_err err);

/* ---- promises.c ---- */

void durable_release(struct sim_durable *d);
void durable_batch(struct sim_durable *d, const struct wal_batch *b);
uint64_t durable_lowest(const struct wal_batch *b); /* index; UINT64_MAX: no entries */
void durable_reset(struct sim_durable *d, uint64_t index);
void durable_check_recovered(struct sim *s, const struct sim_machine *m, struct sim_stored *st, const struct wal_recovered *w);
void durable_check_leads(struct sim *s, const struct sim_machine *m, const struct msg_envelope *e, const struct raft_message *r);
void durable_check_promise(struct sim *s, const struct sim_machine *m, const struct msg *msg);
void durable_check_handover(struct sim *s, const struct sim_machine *m, const struct msg *msg);
void durable_check_commit(struct sim *s, const struct node_replica_info *i, uint64_t commit);

/* ---- network.c ---- */

struct sim_network {
    unsigned loss_percent, duplicate_percent, spike_percent;
    uint64_t delay_min_us, delay_max_us, spike_us;
    unsigned late_permille;    /* of raft's messages come once more, seconds later */
    bool late_mail;            /* what was sent before a cut still arrives */
    bool cut[SIM_MACHINES_MAX + SIM_CALLERS_MAX][SIM_MACHINES_MAX + SIM_CALLERS_MAX]; /* [from][to] */
    uint64_t slow_us[SIM_MACHINES_MAX + SIM_CALLERS_MAX][SIM_MACHINES_MAX + SIM_CALLERS_MAX]; /* each of its frames takes that much longer */
    uint64_t stalled_until_us[SIM_MACHINES_MAX + SIM_CALLERS_MAX][SIM_MACHINES_MAX + SIM_CALLERS_MAX]; /* then all at once */
};
void network_send(struct sim *s, unsigned from, unsigned to, struct bytes frames); /* several frames, each on its own */
void network_heal(struct sim *s);
unsigned sim_machine_at(const struct sim *s, const char *addr); /* UINT_MAX: nobody */

/* ---- caller.c ---- */

struct sim_op {
    bool busy;
    unsigned slot;
    unsigned history;          /* row in the history */
    bool admin, ballast, prepares;
    bool of_values, piece, commits; /* of values.c */
    enum history_kind kind;
    char target[32];           /* of a rename */
    uint64_t id;
    unsigned key_number;
    uint64_t version_before;   /* of the key, as known when this began */
    uint64_t time_before;      /* of its shard, likewise */
    bool reads;
    char key[32], value[32];
    struct ctrl_command command;
    struct ctrl_join_group group;
    uint64_t gid;
};
#define SIM_OPS_MAX 4u
#define SIM_VALUE_OPS 8u
struct sim_values {            /* a caller's own keys: values.c */
    unsigned step, asked, number;
    unsigned source, target, value; /* numbers that are there; 0: nothing */
    unsigned maybe;            /* may be the value instead */
    uint64_t stage;
    bool broken;
    struct sim_op ops[SIM_VALUE_OPS];
    uint64_t fence_id;         /* requests of the caller up to this one must have ended first */
};
struct sim_caller {
    unsigned index;            /* among callers */
    struct client *client;
    struct sim_op ops[SIM_OPS_MAX];
    unsigned parallel;
    uint64_t tick_at_us;
    bool links[SIM_MACHINES_MAX], wanted[SIM_MACHINES_MAX];
    struct sim_values values;
    bool admin, idle;          /* admin: the administrator; idle: starts nothing new */
    unsigned done, element, patches;
    bool patching;             /* its place in the slots is being written, or may still be */
};
void caller_init(struct sim *s, unsigned index, bool admin);
void caller_release(struct sim_caller *c);
void caller_event(struct sim *s, const struct sim_event *e);
void caller_frame(struct sim *s, struct sim_caller *c, unsigned from, const struct msg *msg);
void caller_machine_died(struct sim *s, unsigned machine);
void caller_link_lost(struct sim *s, struct sim_caller *c, unsigned machine); /* a reset */
bool caller_quiet(const struct sim_caller *c);
void caller_admin_join(struct sim *s, uint64_t gid);
bool caller_admin_move(struct sim *s, uint32_t shard, uint64_t gid); /* false: the administrator is busy */
bool caller_admin_command(struct sim *s, const struct ctrl_command *k); /* of members; false as above */
void caller_drain(struct sim *s, struct sim_caller *c);
bool caller_settled(struct sim *s);
void caller_unsettled(struct sim *s, char *to, size_t bytes); /* a shard whose placement is not as it is wanted, in words */
const struct ctrl_view *caller_newest_view(const struct sim *s); /* the controllers' leader's; else what the administrator knows, or NULL */

/* ---- values.c ---- */

void values_init(struct sim *s, struct sim_caller *c);
bool values_event(const struct sim_event *e); /* of its own */
void values_step(struct sim *s, struct sim_caller *c);
void values_done(struct sim *s, struct sim_caller *c, struct sim_op *o, const struct client_effect *e);
bool values_quiet(const struct sim_caller *c);
bool values_over(struct sim *s);               /* at the end of a run: is no rename to another shard open any more? */

/* ---- work.c: what clients do ---- */

void work_prepare(struct sim *s);             /* directories and files that must be there before the work begins */
bool work_prepared(struct sim *s);
void work_start(struct sim *s, struct sim_caller *c, struct sim_op *o);
void work_done(struct sim *s, struct sim_op *o, const struct client_effect *e);
void work_read_everything(struct sim *s);     /* the last reads of a run */

/* ---- invariants.c ---- */

struct sim_truth;              /* what was ever committed, and who led when */
struct sim_truth *truth_new(void);
void truth_free(struct sim_truth *t);
void truth_check_machine(struct sim *s, struct sim_machine *m);  /* after each step of its node */
void truth_check_equal_state(struct sim *s);                     /* at the end */
void truth_given_up(struct sim *s, uint64_t gid);                /* an administrator said that the group's machines are gone for ever */
bool truth_caught_up(struct sim *s);                             /* every replica has applied what its group committed */
unsigned truth_elections(const struct sim_truth *t);

/* ---- imports.c ---- */

struct sim_imports;
struct sim_imports *imports_new(void);
void imports_free(struct sim_imports *im);
void imports_committed(struct sim_imports *im, const struct node_replica_info *i, const struct raft_entry *e); /* for the first time */
void imports_applied(struct sim *s, struct sim_imports *im, const struct node_replica_info *i, uint64_t applied);

/* ---- watch.c, moves.c ---- */

/* One move of shard 0, from group 101 to group 102, step by step. A step is what can be seen from outside: a replica's state of the shard has
 * changed, the controller's state of it has, or a message about it goes out. */
enum sim_victim { VICTIM_SOURCE_LEADER, VICTIM_SOURCE_FOLLOWER, VICTIM_TARGET_LEADER, VICTIM_TARGET_FOLLOWER, VICTIM_CONTROLLER_LEADER,
                  VICTIM_EVERYBODY, VICTIMS };
struct sim_watch {
    bool on;
    unsigned steps, strike_at; /* strike_at 0: never */
    enum sim_victim victim;
    bool struck;               /* somebody was: there may have been no leader */
    char label[96];            /* of the step that was struck */
    struct kv_shard_status seen[SIM_MACHINES_MAX];
    struct { uint64_t holder, target; bool active; } placement;
    uint64_t phase;            /* … newest that was seen */
};
void watch_machine(struct sim *s, struct sim_machine *m);  /* after each step of its node */
void watch_message(struct sim *s, const struct msg *msg);
/* Every stride-th step, each with every victim; prints what failed and a summary. The number of cells that failed, and one if too many had no
 * victim. */
unsigned moves_table(uint64_t seed, unsigned stride, bool verbose);

/* ---- bed.c, scenarios_ctrl.c, scenarios_shard.c ---- */

/* The scenarios of shardctrler and shardkv by number and name, each from nothing to its end: scenario.h. */
struct bed;
void bed_free(struct bed *b);
void bed_done(struct sim *s, struct sim_op *o, const struct client_effect *e);
void bed_event(struct sim *s, const struct sim_event *e);
void bed_lie(struct sim *s, unsigned from, unsigned to, struct msg *msg); /* what this one is told instead */
/* All whose number or name begins with `which`, each with every seed; prints a line for each. How many runs failed. */
void scenarios_bug_found(void); /* says which run it was */
unsigned scenarios_run(const char *which, uint64_t first, uint64_t last, bool verbose);

/* ---- faults.c ---- */

void faults_begin(struct sim *s);
void faults_event(struct sim *s, const struct sim_event *e);
void faults_end(struct sim *s); /* all is well from here on */

/* ---- directed.c ---- */

/* Which scripts a seed plays (swarm). */
struct sim_directed {
    bool overthrow, outlive, blind, at_steps, hasty;
    unsigned blind_machine;
    struct { uint64_t gid, until_us; uint32_t shard; bool decided; } next_move; /* of hasty; until_us 0: none */
};
void directed_begin(struct sim *s);
void directed_event(struct sim *s, const struct sim_event *e);
void directed_healed(struct sim *s);                           /* the network has just been made whole */
void directed_outlive(struct sim *s);                          /* a fault of its own */
void directed_leader(struct sim *s, struct sim_machine *m);    /* began to lead a group */
/* A shard changed its state in what the machine has applied, the first of its group to do so. */
void directed_shard(struct sim *s, struct sim_machine *m, uint64_t gid, uint32_t shard, enum kv_shard_state now);

/* ---- ghosts.c ---- */

#define SIM_GHOSTS 24u
struct sim_ghost {
    unsigned from;
    struct sim_parcel *parcel;
};
struct sim_ghost_ring {        /* what came to a machine last */
    unsigned next;
    struct sim_ghost kept[SIM_GHOSTS];
};
struct sim_ghosts {
    struct prng prng;          /* its own: what others draw stays as it is */
    bool on;
    unsigned short_permille;
    struct sim_ghost_ring acks[SIM_MACHINES_MAX], beats[SIM_MACHINES_MAX];
};
void ghosts_begin(struct sim *s);
void ghosts_end(struct sim *s);
void ghosts_sent(struct sim *s, unsigned from, unsigned to, struct sim_parcel *p); /* a message of raft's */
void ghosts_leader(struct sim *s, const struct sim_machine *m);
void ghosts_trickle(struct sim *s, unsigned machine);

/* ---- members.c ---- */

#define SIM_CONFIGS_MAX 64u
#define SIM_WIPES_MAX 32u
struct sim_config {            /* the newest configuration that a group is known to have committed */
    uint64_t gid, incarnation, index;
    struct raft_config config;
};
struct sim_members {
    struct prng prng;          /* its own: what others draw stays as it is */
    bool on, wipes;
    unsigned n_wiped;          /* machines that lost their disks, and these node ids with them */
    uint64_t wiped[SIM_WIPES_MAX];
    uint64_t wiped_us;         /* when the last one did */
    uint64_t version_seen;     /* the newest placement version that anybody applied */
    unsigned n_configs;
    struct sim_config configs[SIM_CONFIGS_MAX];
};
void members_begin(struct sim *s);
void members_event(struct sim *s);
bool members_settled(const struct sim *s);                     /* nobody comes or goes any more */
void members_tell(const struct sim *s, struct buf *out);        /* … who still does */
bool members_wiped(const struct sim *s, uint64_t node);
bool members_told_apart(const struct sim *s); /* the controller cannot take a machine for the one that it was before it lost its disk */
void members_check(struct sim *s, const struct node_replica_info *i, const struct raft_status *st);
void members_check_delete(struct sim *s, uint64_t gid, uint64_t incarnation, uint64_t member);

/* ---- sim.c ---- */

struct sim_counts {
    uint64_t elections, crashes, kills, stops, pauses, partitions, stalls, directed, ghosts, shortened, disk_faults, rots, rots_found, jumps, resets, saves, flushes, warmed, chunks, installs, log_reads, moves, frames, ops, unknown, refused, renames, staged, member_changes, wipes;
    uint64_t virtual_us;
};
struct sim {
    uint64_t seed, now_us;
    struct prng prng;
    struct sim_heap heap;
    struct sim_parcels parcels;
    struct sim_network network;
    unsigned n_machines, n_callers, n_controllers, n_groups;
    struct sim_machine machines[SIM_MACHINES_MAX];
    struct sim_caller callers[SIM_CALLERS_MAX];
    struct { uint64_t gid; unsigned first, n; bool joined; } groups[4];
    struct history history;
    unsigned prepared;         /* steps of work_prepare that are done */
    uint64_t versions[SIM_KEYS]; /* newest acknowledged */
    uint64_t shard_times[SIM_NSHARDS_MAX]; /* newest told */
    struct sim_op last_reads[SIM_KEYS];
    struct sim_truth *truth;
    struct sim_directed directed;
    struct sim_ghosts ghosts;
    struct sim_watch watch;
    struct sim_members members;
    struct bed *bed;           /* NULL: no scenario */
    struct sim_counts counts;
    uint32_t nshards, chunk_bytes, big_bytes; /* big: of some values of registers; 0: none */
    unsigned append_entries_max;
    int64_t snapshot_bytes;
    bool faults_on, disk_faults, jumps, verbose;
    uint64_t hash;             /* of everything that happened */
    char ring[SIM_RING][192];  /* the last lines of the trace */
    unsigned ring_at;
    bool failed;
    char failure[512];
};
void sim_fail(struct sim *s, const char *format, ...) PRINTF(2, 3);
void sim_trace(struct sim *s, const char *format, ...) PRINTF(2, 3);
void sim_at(struct sim *s, uint64_t delay_us, struct sim_event e);
struct sim *sim_new(uint64_t seed, bool verbose);
void sim_free(struct sim *s);
struct sim *sim_new_for_a_move(uint64_t seed, bool verbose); /* a set-up of its own: see moves.c */
struct sim *sim_new_for_a_scenario(uint64_t seed, unsigned machines, int64_t snapshot_bytes, struct bed *b, bool verbose); /* takes b */
/* One whole run. false: s->failure says what. It is: the founding and the first join, whatever the run is about, the end. */
bool sim_run(struct sim *s, uint64_t fault_us);
bool sim_found(struct sim *s);
bool sim_until(struct sim *s, uint64_t until_us, bool (*over)(struct sim *s)); /* until then, or until `over` says so */
bool sim_end(struct sim *s);

#endif
