#!/bin/bash
# P1: a member whose log is gone never votes again, and the way out that rgkvd(8) names works: the node serves on, another
# group takes the shards over, and what is left of the old group is deleted everywhere. Nor does a controller that lost its
# whole directory vote (P2); it serves as a plain node.
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
limit 180
nodes_start 4 3
mount_start a "timeout=4" || exit 1
m=$work/a
join_group 101 1 2 3 || exit 1
for i in $(seq 20); do echo "value $i" >"$m/k$i" || fail "put"; done

node_kill 3
mkdir "$work/away"
mv "$work"/node3/replicas/101-* "$work/away/" || fail "no replica of 101 on node 3"
node_again 3
check "the node says so" wait_until 20 said 3 "it will not vote again"
check "two members go on" bash -c "echo more > '$m/more'"

node_kill 2
check_fails "with one member left nothing is written, for the third does not vote" bash -c "echo lost > '$m/lost'"
node_again 2
can_write() { bash -c "echo back > '$m/back'"; }
check "and with two it goes on" wait_until 30 can_write

join_group 102 4 || exit 1
echo 101 >"$m/.ctrl/leave" || fail "leave"
settled a
for i in $(seq 20); do check_same "k$i" "$(cat "$m/k$i")" "value $i"; done
check_same "more" "$(cat "$m/more")" more
no_replica() { ! ls -d "$work/node$1"/replicas/101-* 2>/dev/null; }
for i in 1 2 3; do check "node $i has deleted what was left" wait_until 30 no_replica "$i"; done
check "and node 3 starts again" node_kill 3 TERM
node_again 3

# A controller that lost everything: no vote, but a node like any other.
node_kill 2
rm -rf "$work/node2"
node_again 2
check "it says so" wait_until 20 said 2 "this node will not vote"
join_group 103 2 || exit 1
check "and it holds what the controller gives it" test "$(shards_of 103)" = 8
for i in $(seq 20); do check_same "k$i" "$(cat "$m/k$i")" "value $i"; done
done_testing
