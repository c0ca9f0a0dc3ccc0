/* Every bound of the system, in one place, with the relations that hold between them.
 *
 * A length that comes from outside is compared with one of these before it is added, multiplied or
 * allocated. Bytes unless the name says otherwise; times are microseconds. */
#ifndef RGKV_BASE_LIMITS_H
#define RGKV_BASE_LIMITS_H

#include <assert.h>

#define KEY_BYTES_MAX 1024u        /* a whole key: a path below the mount point */
#define KEY_COMPONENT_BYTES_MAX 255u
#define ADDR_BYTES_MAX 64u         /* "host:port" with its NUL */
#define SYMLINK_BYTES_MAX 4095u

#define VALUE_CHUNK_BYTES 65536u   /* a value is stored in rows of this size */
#define VALUE_INLINE_BYTES 4096u   /* up to here a value lives in its meta row */
#define VALUE_BYTES_MAX (4ull << 30) /* a whole value */
#define DATA_BYTES_MAX (1u << 20)  /* bytes one command may carry: a Put, Append, Patch, piece of a staged value, or read */
#define PATCH_RANGES_MAX 256u

#define ENTRY_BYTES_MAX (DATA_BYTES_MAX + 65536u)   /* one raft log entry's payload */
#define APPEND_BYTES_MAX (2u << 20)                 /* entries in one AppendEntries message */
#define APPEND_ENTRIES_MAX 1024u
#define INFLIGHT_BYTES_MAX (4u << 20)               /* unacknowledged entry bytes per peer: one turn may send all of them */
#define INFLIGHT_MESSAGES_MAX 64u
#define PROPOSALS_BYTES_MAX (64u << 20)             /* proposed and not yet durable and applied here, per group: beyond, BUSY */
#define SNAPSHOT_CHUNK_BYTES (256u << 10)           /* what one turn of a loop reads or writes of it */
#define APPLY_QUEUE_BYTES_MAX (32u << 20)           /* committed and not applied: then no row is read ahead any more; twice that, and no entry is taken */
#define TABLE_AGAIN_US 2000u                        /* how often a table is asked whether it still would */
#define APPLY_BYTES_MAX (256u << 10)                /* applied at a time: the loop looks at the clock in between */
#define PULL_CHUNK_BYTES (128u << 10)               /* rows in one answer of a shard's holder */
#define LIST_BYTES_MAX (256u << 10)
#define LIST_ENTRIES_MAX 4096u

#define FRAME_BODY_BYTES_MAX (512u << 10)           /* the structured (tpl) part of a frame */
#define FRAME_BULK_BYTES_MAX (4u << 20)             /* the raw part */
#define CONN_OUT_BYTES_MAX (64u << 20)              /* queued to one peer that does not read */
#define CONNS_MAX 16384u

#define NSHARDS_DEFAULT 256u
#define NSHARDS_MAX 4096u
#define GROUPS_MAX 1024u
#define MEMBERS_MAX 9u             /* of one group */
#define NODES_MAX 1024u
#define REPLICAS_MAX 64u           /* of one node */

#define SESSION_WINDOW 1024u       /* requests of one client in flight in one shard */
#define SESSIONS_PER_SHARD_MAX 65536u
#define SESSION_TTL_US (3600ull * 1000000u)         /* logged time */
#define STAGE_TTL_US (300ull * 1000000u)            /* logged time: a staged value that nobody added to is given up */
#define XATTR_BYTES_MAX 65536u                      /* extended attributes of one file, names and values together */
#define OLD_VERSION_TTL_US (60ull * 1000000u)       /* logged time */

#define SNAPSHOT_BYTES_DEFAULT (64ll << 20)         /* compact a log beyond this */
#define MEMORY_BYTES_DEFAULT (512ull << 20)         /* of a node: half for tables, an eighth for each log */
#define MEMORY_BYTES_MIN (64ull << 20)
#define DISK_LOW_WATER_BYTES (64ull << 20)          /* below this, what grows is refused (P29) */
#define TICK_US 10000u                              /* how often the outer layer ticks an engine */
#define HEARTBEAT_US_DEFAULT 50000u
#define ELECTION_US_DEFAULT 250000u                 /* timeouts are random in [1, 2) times this */

static_assert(DATA_BYTES_MAX + KEY_BYTES_MAX * 2 + PATCH_RANGES_MAX * 16 + 4096 <= ENTRY_BYTES_MAX,
              "the largest command fits into one entry");
static_assert(ENTRY_BYTES_MAX <= APPEND_BYTES_MAX, "the largest entry fits into one message");
static_assert(APPEND_BYTES_MAX <= FRAME_BULK_BYTES_MAX, "entries fit into a frame");
static_assert(SNAPSHOT_CHUNK_BYTES + VALUE_CHUNK_BYTES <= FRAME_BULK_BYTES_MAX, "a chunk fits into a frame");
static_assert(PULL_CHUNK_BYTES + VALUE_CHUNK_BYTES * 2 <= ENTRY_BYTES_MAX, "pulled rows fit into one entry");
static_assert(LIST_BYTES_MAX <= DATA_BYTES_MAX, "a page of names is a read");

#endif
