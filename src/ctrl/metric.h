/* What a node counts and measures, as rows that travel with its report and are printed for Prometheus. Numbers of metrics, reasons
 * and kinds of memory are the protocol's: they are only appended to; a row with an unknown one is not printed. */
#ifndef RGKV_CTRL_METRIC_H
#define RGKV_CTRL_METRIC_H

#include "base/bytes.h"

#define METRICS_PER_REPORT_MAX 512u

enum ctrl_metric_label {
    CTRL_LABEL_NONE,
    CTRL_LABEL_OP,                 /* an enum kv_op */
    CTRL_LABEL_REPLY,              /* ctrl_reply_label: the kind of message and the error in it */
    CTRL_LABEL_REASON,             /* an enum ctrl_reason */
    CTRL_LABEL_MEMORY,             /* an enum ctrl_memory */
};

/*    id               type     of a     name, help */
#define CTRL_METRICS(X)                                                                                                            \
    X(REQUESTS,        counter, OP,      "rgkv_node_requests_total", "Requests for keys, by operation.")                            \
    X(REPLIES,         counter, REPLY,   "rgkv_node_replies_total", "Answers given, by kind and result.")                           \
    X(ACCEPTED,        counter, NONE,    "rgkv_node_connections_accepted_total", "Connections accepted.")                           \
    X(CONNECTIONS,     gauge,   NONE,    "rgkv_node_connections", "Connections now, accepted and own.")                             \
    X(REFUSED,         counter, REASON,  "rgkv_node_refused_total", "Connections closed for what came in, by reason.")               \
    X(MEMORY,          gauge,   MEMORY,  "rgkv_node_table_memory_bytes", "Memory of all tables, by use.")                            \
    X(DROPPED,         counter, NONE,    "rgkv_node_messages_dropped_total", "Messages that were meant for somebody else.")          \
    X(TERM,            gauge,   NONE,    "rgkv_raft_term", "Raft term.")                                                            \
    X(COMMIT,          gauge,   NONE,    "rgkv_raft_commit_index", "Newest committed entry.")                                       \
    X(LAST,            gauge,   NONE,    "rgkv_raft_last_index", "Newest entry of the log.")                                        \
    X(SNAPSHOT,        gauge,   NONE,    "rgkv_raft_snapshot_index", "Newest entry that the log does not hold any more.")           \
    X(PERSISTED,       gauge,   NONE,    "rgkv_raft_persisted_index", "Newest entry that is on this node's disk.")                   \
    X(ELECTIONS,       counter, NONE,    "rgkv_raft_elections_won_total", "Times that this member began to lead.")                   \
    X(LOOP_WORK,       gauge,   NONE,    "rgkv_node_loop_work_seconds", "Most that one turn of the loop computed lately.")

enum ctrl_metric {
    CTRL_METRIC_NONE,
#define X(id, type, label, name, help) CTRL_METRIC_##id,
    CTRL_METRICS(X)
#undef X
    CTRL_METRIC_COUNT
};
enum ctrl_reason {
    CTRL_REASON_TOO_MANY, CTRL_REASON_BAD_FRAME, CTRL_REASON_STRANGER, CTRL_REASON_SLOW, CTRL_REASON_UNREAD, CTRL_REASON_GREEDY,
    CTRL_REASON_COUNT
};
enum ctrl_memory { CTRL_MEMORY_BUFFERS, CTRL_MEMORY_CACHE, CTRL_MEMORY_INDEXES, CTRL_MEMORY_COUNT };
enum ctrl_reply { CTRL_REPLY_KV, CTRL_REPLY_ADMIN, CTRL_REPLY_TEXT, CTRL_REPLY_VIEW, CTRL_REPLY_COUNT };
static inline uint64_t ctrl_reply_label(enum ctrl_reply kind, enum rgkv_err err) { return (uint64_t)kind << 32 | (uint64_t)err; }

/* Of CTRL_METRIC_LOOP_WORK the value is in microseconds; the unit of the text format is the second. */
struct ctrl_report_metric {
    uint32_t scope;                /* 0: the node; i + 1: the report's i-th replica */
    uint32_t id;                   /* an enum ctrl_metric, or a newer release's */
    uint64_t label, value;
};

#endif
