#!/bin/bash
# Disk space: a shard that moved away is gone from every member's disk, which then takes what lives there and a stated
# constant; and a log takes no more than --snapshot-bytes allows. A dropped shard is not forgotten by a kill -9 either.
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
limit 100
node_options=(--snapshot-bytes 1000000)
constant=8000000              # logs (4 times --snapshot-bytes), tables' own files, what is below the slack of a trim
nodes_start 4 1
mount_start a || exit 1
join_group 101 1 2 3 || exit 1
dir=big
shard=$("$builddir/key_shard" "$shards" "$dir" | cut -d' ' -f1)
mkdir "$work/a/$dir"
head -c 1048576 /dev/urandom >"$work/mb"
for i in $(seq 30); do cp "$work/mb" "$work/a/$dir/f$i" || die "filling"; done
used() { du -sb "$work/node$1/replicas/$2"* | awk '{ n += $1 } END { print n + 0 }'; }
log_used() { du -sb "$work/node$1/replicas/$2"*/wal | awk '{ n += $1 } END { print n + 0 }'; }
takes_at_most() { [ "$(used "$1" "$2")" -le "$3" ]; }
log_at_most() { [ "$(log_used "$1" "$2")" -le "$3" ]; }
for i in 1 2 3; do
    check "the data are at node $i" [ "$(used $i 101)" -gt 30000000 ]
    check "the log of node $i is compacted" wait_until 10 log_at_most $i 101 5000000
done

join_group 102 4 || exit 1
echo "$shard 102" >"$work/a/.ctrl/move" || fail "move"
[ "$(timeout 60 cat "$work/a/.ctrl/settled")" = ok ] || fail "the move does not end"
node_kill 3
node_again 3
for i in 1 2 3; do check "node $i has its space back: $(used $i 101)" wait_until 30 takes_at_most $i 101 "$constant"; done
check "the data are at the other group" [ "$(used 4 102)" -gt 30000000 ]
check "and are right" cmp "$work/mb" "$work/a/$dir/f30"
echo "bytes left: $(used 1 101) $(used 2 101) $(used 3 101), of these log: $(log_used 1 101) $(log_used 2 101) $(log_used 3 101)"

# Back: what the other group's only member had is gone there, too, and what was here before does not disturb.
echo "$shard 101" >"$work/a/.ctrl/move" || fail "move back"
[ "$(timeout 60 cat "$work/a/.ctrl/settled")" = ok ] || fail "the move back does not end"
check "node 4 has its space back" wait_until 30 takes_at_most 4 102 "$constant"
for i in 1 2 3; do check "node $i has the data once" wait_until 30 takes_at_most $i 101 $((31 * 1048576 + constant)); done
check "and they are right" cmp "$work/mb" "$work/a/$dir/f1"
done_testing
