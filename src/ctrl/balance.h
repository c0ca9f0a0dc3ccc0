/* Which group should have which shard: a pure, deterministic function (every replica computes the same).
 *
 * After it, with at least one group: every shard is on a live group, max − min ≤ 1, and no other assignment with that
 * property moves fewer shards. Shards of groups that are gone count as moved; with no group at all every shard is 0. */
#ifndef RGKV_CTRL_BALANCE_H
#define RGKV_CTRL_BALANCE_H

#include "base/base.h"

/* shards[i] = gid, changed in place; gids sorted, each > 0. */
void ctrl_balance(uint64_t *shards, uint32_t nshards, const uint64_t *gids, unsigned n_gids);

#endif
