#!/bin/bash
# Half of 256 empty shards change their group within 20 s: each step of a move is reported when it is done, not when the
# next report happens to be due (then it takes 32 s).
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
limit 90
nodes_start 2 1 256
mount_start a || exit 1
join_group 101 1 || exit 1
begin=$SECONDS
join_group 102 2 || exit 1
took=$((SECONDS - begin))
check "settled within 20 s (it took $took s)" test "$took" -lt 20
check_same "half of the shards moved" "$(shards_of 102)" 128
done_testing
