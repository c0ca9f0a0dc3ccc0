/* The table in memory: a persistent (path-copying, counted) treap, so that a snapshot or a "flush" is O(1). For the
 * simulator and the tests. */
#ifndef RGKV_STORE_TABLE_MEM_H
#define RGKV_STORE_TABLE_MEM_H

#include "kv/table.h"

struct table *table_mem_new(void);
void table_mem_flush(struct table *t);   /* now durable: what a crash goes back to */
void table_mem_crash(struct table *t);   /* back to the last flush; snapshots and iterators must be freed before */
void table_mem_refuse(struct table *t, bool refuse); /* as on a full disk: a write is NO_SPACE */
void table_mem_hold(struct table *t, bool hold);     /* as on a slow disk: a write would wait; told late, when it is asked for the second time */
void table_mem_cold(struct table *t, unsigned every); /* every so many reads that are not to wait would have to; 0: none */

#endif
