/* One node whose outside is the test: a disk that does what it is told when it is told, and nobody else but what a test makes
 * them say. */
#ifndef RGKV_TESTS_NODE_OUTSIDE_H
#define RGKV_TESTS_NODE_OUTSIDE_H

#include "tests/unit/unit.h"

#include "node/internal.h"
#include "store/table_mem.h"

#define ME "127.0.0.1:7000"
#define OTHER "127.0.0.1:7001"
#define THIRD "127.0.0.1:7002"
#define CLUSTER 77u
#define NODE 5u

/* It counts what is asked for. */
struct outside {
    struct node *n;
    struct manifest manifest;
    struct table *tables[8];
    bool hangs, reads_hang;    /* the disk of the logs; of what is read beside the loop: a chunk is not before chunk_read_ends */
    bool tables_hang;          /* a save is not told, and has not happened, before save_ends; nor a chunk written before chunk_write_ends */
    struct kv_saving saving;
    struct chunk_source *source; /* of the last chunk that was to be read, and the job's number */
    uint64_t chunk_read;
    struct chunk_sink sink;    /* and written */
    uint64_t chunk_written;
    uint64_t warm;             /* number of the last such job */
    unsigned n_tables;
    uint64_t now_us;
    unsigned asked[NODE_STOPPED + 1];
    bool failed;
    enum rgkv_err answers[8];  /* by request id: of replies */
    unsigned n_answers[8];
    bool reasoned;             /* the last one to an administrator had a sentence */
    uint64_t shard_time_us;    /* as the last one to a client told it */
    size_t reply_bytes_most;   /* of one turn, to one connection */
    uint64_t replies_bytes;
    uint64_t turn_bytes, turn_bytes_most; /* … of one turn, to all */
    unsigned snapshot_acks;
    struct msg_snapshot_ack snapshot_ack; /* the last one */
    uint64_t snapshot;         /* the last one that was sent, and how many there were */
    unsigned snapshots, chunks;
    uint64_t snapshot_index;
    uint64_t log_bytes;        /* that its log has on the disk, as it is told */
    struct raft_fetch fetch;   /* what was wanted of it last */
    struct { uint64_t to, after; unsigned n; } append; /* the last one that had entries */
    uint64_t founded;          /* the cluster that the last MSG_FOUND_STATE named */
    uint64_t list_hash;        /* of its list of controllers, as it asks the others */
    unsigned records;          /* how often it told one of them the founding record */
    unsigned reports, reported, lost; /* …, and replicas in the last one */
    unsigned lands[8];         /* pieces of files that a rename moves to another shard, by the group that was asked to take them */
    bool saves_hang, opens_hang; /* the disk of the manifest; of replicas that are to be opened */
    struct wal_recovered *kept;/* what the log of the next replica that is opened holds; its table is tables[0] */
};

/* What it is before it starts; a test may change the manifest. */
struct outside blank_controller(void);  /* a controller that asks for its like */
struct outside lone_controller(void);   /* the only one of its cluster */
struct outside member(void);            /* member 1 of two of group 3, of a node that is no controller */
struct outside member_of_three(void);   /* the third one is node 7 at THIRD */
struct raft_member me(void);            /* as the first member */

void start(struct outside *w);
void stop(struct outside *w);
void step(struct outside *w, struct node_input in);              /* nothing follows from it before it is collected */
void collect(struct outside *w);
void receive(struct outside *w, const struct msg *m);            /* on connection 9 */
void tick(struct outside *w, uint64_t us);                       /* so much later */
void ticks_for(struct outside *w, uint64_t us);                  /* each 50 ms */
void save_is_due(struct outside *w);                             /* of its first replica: what is applied has to be saved before more is */
void save_ends(struct outside *w);                               /* of the first replica, the one that hung */
void chunk_read_ends(struct outside *w);                         /* of the first replica, the one that hung */
void chunk_write_ends(struct outside *w);
void table_falls_behind(struct table *t);                        /* and who asks is told so */
void wait_a_while(struct outside *w);                            /* until a table has been asked again that was behind, and tells late that it is not */
unsigned rows_in(struct table *t);
struct kv_shard_status status_of(struct outside *w, uint32_t shard); /* in its first replica */

/* The controller says: the node's next poll is answered with `view`. */
void answer_poll(struct outside *w, struct ctrl_view view);
void buried(struct outside *w);         /* with one that has a tombstone of member(), which is deleted then */
struct ctrl_group group_here(uint64_t gid, uint64_t incarnation, uint64_t member); /* as in a view: founded, of this node alone */

/* The other members of group 3 say. */
void member_says(struct outside *w, uint64_t from, struct raft_message m);
void other_says(struct outside *w, struct raft_message m);       /* member 2 */
void lead_after(struct outside *w, uint64_t term);               /* which leads in `term`, and hands its lead over */
void one_entry_is_committed(struct outside *w);                  /* at 1, in term 7 */

void propose(struct outside *w, uint64_t request);               /* some entry, for this request of connection 9 */
/* It has started, leads group 3 alone and serves all four shards; the key "k" has a value of a megabyte. */
struct outside with_large_value(void);

/* It is the controller. */
enum rgkv_err admin(struct outside *w, uint64_t id, struct ctrl_command c); /* RGKV_ERR_COUNT: no answer yet */
void group_says(struct outside *w, enum kv_shard_state state);   /* node 6 at OTHER leads group 101 and has all its shards in this state */

#endif
