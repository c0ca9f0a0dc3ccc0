#!/bin/bash
# P19: a group whose machines are gone for ever. Its shards wait and all others go on, until the administrator gives it up:
# then they begin empty elsewhere. A machine that comes back after all deletes what it had. Four nodes: the controller, two groups
# of one, and one that takes over.
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
limit 60
nodes_start 4 1
mount_start a || exit 1
join_group 101 2 || exit 1
join_group 102 3 || exit 1
moves_say() { grep -q "$1" "$work/a/.ctrl/moves"; }
key_in() { "$builddir/key_shard" "$shards" k{0..999} | awk -v s="$1" '$1 == s { print $2; exit }'; }
shard_of() { awk -v g="$1" '$2 == g { print $1; exit }' "$work/a/.ctrl/shards"; }
dead=$(key_in "$(shard_of 101)")
alive=$(key_in "$(shard_of 102)")
echo old >"$work/a/$dead" && echo old >"$work/a/$alive" || fail "the first values"

check_fails "a group that answers is not abandoned" bash -c "echo '101 101' >'$work/a/.ctrl/abandon'"
check "and the mount says why" grep -q "group 101 answers" "$work/a/.ctrl/error"
node_kill 2
check_fails "its id once is not enough" bash -c "echo 101 >'$work/a/.ctrl/abandon'"
check "and the mount says so" grep -q "write its id twice" "$work/a/.ctrl/error"
echo "103 ${node_addr[4]}" >"$work/a/.ctrl/join" || fail "join 103"
check "the living group's shards move on" wait_until 20 bash -c "awk '\$2 == 103 && \$3 == \"serving\" { n++ } END { exit n < 2 }' '$work/a/.ctrl/shards'"
check "moves says what the others wait for" wait_until 10 moves_say 'why="group 101 does not answer: its shards wait"'
check_same "a living shard is served" "$(cat "$work/a/$alive")" old
num=$(sed -n 's/^num //p' "$work/a/.ctrl/config")

check "abandoned" wait_until 10 bash -c "echo '101 101' >'$work/a/.ctrl/abandon'"
check_same "one new config" "$(sed -n 's/^num //p' "$work/a/.ctrl/config")" $((num + 1))
check "all are served again" settled a
check_same "nothing is left with it" "$(shards_of 101)" 0
check_fails "its values are lost" cat "$work/a/$dead"
echo new >"$work/a/$dead" || fail "a new value in a shard that was given up"
check_same "the new value" "$(cat "$work/a/$dead")" new
check_same "other values are not" "$(cat "$work/a/$alive")" old
check_fails "there is no such group any more" bash -c "echo '101 101' >'$work/a/.ctrl/abandon'"
check "and the mount says that" grep -q "there is no group 101" "$work/a/.ctrl/error"

node_again 2
no_replica() { [ -z "$(find "$work/node2/replicas" -name '101-*')" ]; }
check "the machine that came back deletes what it had" wait_until 20 no_replica
check_same "and changes nothing" "$(cat "$work/a/$dead")" new
done_testing
