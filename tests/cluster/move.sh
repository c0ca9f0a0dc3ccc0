#!/bin/bash
# A second group joins, then the first one leaves, under a load of writers and readers on two mounts: half of the shards
# move, then all; no command fails, every append is there exactly once; the nodes of the first group are killed for
# ever and all values are right (B10, B30, B31, B34). Three controllers and two groups of three data nodes.
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
. "${top_srcdir:-.}/tests/cluster/history-lib.sh" || exit 1
limit 180
node_options=(--snapshot-bytes 300000)
nodes_start 9 3
mount_start a || exit 1
mount_start b || exit 1
join_group 101 4 5 6 || exit 1
check_same "the first group has all shards" "$(shards_of 101)" 16
head -c 900000 /dev/urandom >"$work/blob"
for i in $(seq 20); do cp "$work/blob" "$work/a/blob$i" || fail "blob$i"; done
mkdir -p "$work/a/tree/sub" && cp "$work/blob" "$work/a/tree/sub/blob" && ln -s sub/blob "$work/a/tree/link"
blobs_are_right() {
    local i
    for i in $(seq 20); do cmp "$work/blob" "$work/b/blob$i" || return 1; done
    cmp "$work/blob" "$work/b/tree/link" && [ "$(readlink "$work/b/tree/link")" = sub/blob ]
}

loads_start a b
history_start through_b --mount "$work/b" --clients 6 --keys 20 --append 40 --put 10 --pause-ms 5
history_start engine --controllers "$controllers" --clients 20 --first-client 100 --keys 20 --append 60 --put 5 --pause-ms 10
check "the loads run" loads_progress
join_group 102 7 8 9 || exit 1
check_same "half of the shards moved" "$(shards_of 101) $(shards_of 102)" "8 8"
check "the loads go on on two groups" loads_progress
check "blobs after the first moves" blobs_are_right

# A leader of each group dies while shards are pinned to and fro.
for gid in 101 102; do
    i=$(leader_of "$gid") || { fail "no leader of $gid"; continue; }
    shard=$(awk -v g="$gid" '$2 != g { print $1; exit }' "$work/a/.ctrl/shards")
    check "move $shard to $gid" bash -c "echo '$shard $gid' >'$work/a/.ctrl/move'"
    node_kill "$i"
    check "settled though a leader died" settled a
    node_again "$i"
    check "the loads go on" loads_progress
done

check "the first group leaves" bash -c "echo 101 >'$work/a/.ctrl/leave'"
check "settled" settled a
check_same "all shards moved" "$(shards_of 102)" 16
for i in 4 5 6; do node_kill "$i"; done
check "the loads go on without the first group's nodes" loads_progress
check "and go on" loads_progress
loads_stop
history_stop
check_linearizable
check "every append exactly once, every value the last" loads_check b
check "blobs from the second group alone" blobs_are_right
check_same "config" "$(grep '^group' "$work/a/.ctrl/config" | cut -d' ' -f2)" 102

# The first group's nodes come back, with nothing to serve, and disturb nobody.
for i in 4 5 6; do node_again "$i"; done
check "all is still right" loads_check b
check_same "still all shards" "$(shards_of 102)" 16
done_testing
