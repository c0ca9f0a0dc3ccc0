/* The chunks of a table on its way: read by who sends a snapshot, written by who receives one. Either takes milliseconds, and on a busy disk
 * many: the outside does it beside the loop (NODE_SNAPSHOT_READ, NODE_SNAPSHOT_WRITE), on any thread. */
#ifndef RGKV_NODE_CHUNK_H
#define RGKV_NODE_CHUNK_H

#include "kv/table.h"

/* A table as it is now, chunk after chunk. Whoever opened it reads, changes and closes it only while nobody is in chunk_read. */
struct chunk_source {
    struct table *table;
    struct table_snapshot *snapshot;
    struct table_iter *iter;
    uint64_t group;
    size_t bytes_max;          /* of a chunk: that, and a part of the row that ends it */
    struct buf applied;        /* the row `applied`, once the first chunk is read */
    struct buf rows;           /* of the last chunk */
    uint64_t n_rows, hash;     /* of all up to its end */
    bool done;                 /* it is the last one */
    enum rgkv_err err;         /* the table cannot be read: there is no chunk, and none will come */
};

void chunk_source_open(struct chunk_source *s, struct table *t, uint64_t group, size_t bytes_max);
void chunk_source_close(struct chunk_source *s);
void chunk_read(struct chunk_source *s);

/* One chunk that arrived, for the table that becomes what was sent. */
struct chunk_sink {
    struct table *table;
    struct buf rows;
    uint64_t n_rows, hash;     /* of all before it; then with it */
    bool last;                 /* then the table must be a machine's, of … */
    uint64_t group;
    uint32_t nshards;
};

/* Frees the rows. DAMAGED: they are none, or the table is not of ours. */
MUST_USE enum rgkv_err chunk_write(struct chunk_sink *s);

#endif
