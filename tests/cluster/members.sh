#!/bin/bash
# Members come and go (P20, B29) while lines are appended: a dead machine of a group and one of the controller's are replaced by
# control files, the machines that were there at the beginning are all replaced at last, and nothing is lost. A machine that
# lost its disk is refused until it is put in as a new member.
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
seconds=240 rounds=0
[ -z "${RGKVFS_FULL:-}" ] || seconds=1200 rounds=12
limit "$seconds"
node_options=(--snapshot-bytes 20000) # who comes later copies the table, not only a log
nodes_start 5 3
mount_start a "timeout=20" || exit 1
m=$work/a
members=$m/.ctrl/groups
join_group 101 1 2 3 || exit 1
appends_start "$m/log" 1000000 # until all is over

# member_at GROUP NODE: the id of the member of that group there.
member_at() { sed -n "s/^\([0-9]*\) addr=${node_addr[$2]} .*/\1/p" "$members/$1/members" | tail -n 1; }
# Nothing is under way in GROUP, and it has N members that vote.
is_whole() { ! grep -q 'change=\|role=learner' "$members/$1/members" && [ "$(grep -c 'role=voter' "$members/$1/members")" = "$2" ]; }
why() { tail -n 1 "$m/.ctrl/error"; }
# refused GROUP TEXT SENTENCE
refused() {
    check_fails "$2 is refused" bash -c "echo '$2' > '$members/$1/members'"
    check "… with a sentence: $3" grep -qF -- "$3" <<<"$(why)"
}
no_replica() { ! ls -d "$work/node$1"/replicas/"$2"-* 2>/dev/null; }

progress 20
refused 101 "add ${node_addr[1]}" "is member $(member_at 101 1) of group 101 already"
refused 101 "remove 77" "group 101 has no member 77"
refused 101 "remove $(member_at 101 1) 2" "one word too many"
refused 101 "drop 1" 'write `add HOST:PORT`'
refused ctl "add nowhere" "is not an address"
refused ctl "remove 9" "the controller has no member 9"

# Leadership goes where it is wanted.
for i in 1 2 3; do
    check "node $i leads 101 when it is told to" bash -c "echo 'transfer $(member_at 101 $i)' > '$members/101/leader'"
    check_same "… and the file says so" "$(leader_of 101)" "$i"
    check "node $i leads the controller when it is told to" bash -c "echo $(member_at ctl $i) > '$members/ctl/leader'"
    check_same "… and the file says so" "$(leader_of ctl)" "$i"
done
check_fails "who is no member leads nothing" bash -c "echo 77 > '$members/101/leader'"

# A machine that never comes, and how to give it up.
echo "add 127.0.0.1:1" >"$members/101/members" || fail "add: $(why)"
check "it says what it waits for" grep -q 'change=joining why="waits for a node at 127.0.0.1:1"' "$members/101/members"
check "and status does" grep -q 'joining: it waits for a node at 127.0.0.1:1' "$m/.ctrl/status"
refused 101 "add ${node_addr[4]}" "is still joining"
echo "remove $(sed -n 's/^\([0-9]*\) addr=127.0.0.1:1 .*/\1/p' "$members/101/members")" >"$members/101/members" || fail "give up: $(why)"
check "given up" wait_until 10 is_whole 101 3

# A dead machine: it is a member of 101 and a controller. Node 4 takes both places.
node_kill 3
progress 20
echo "replace $(member_at 101 3) ${node_addr[4]}" >"$members/101/members" || fail "replace: $(why)"
echo "replace $(member_at ctl 3) ${node_addr[4]}" >"$members/ctl/members" || fail "replace a controller: $(why)"
check "101 is whole again" wait_until 40 is_whole 101 3
check "the controller is whole again" wait_until 40 is_whole ctl 3
check_same "the dead one is no member" "$(member_at 101 3)" ""
progress 20

# The dead machine comes back: it is no member any more and deletes what it held.
node_again 3
check "it deletes its replica of 101" wait_until 30 no_replica 3 101
check "it deletes its replica of the controller" wait_until 30 no_replica 3 0

# A machine that loses its disk is another one, whatever its address.
node_kill 2
rm -rf "$work/node2"
node_again 2
check "node 2 says that it does not vote" wait_until 20 said 2 "will not vote"
progress 20
check "its old member stays silent" wait_until 10 grep -q "addr=${node_addr[2]} .*state=\(silent\|unheard\)" "$members/101/members"
check "it holds nothing" no_replica 2 101
echo "replace $(member_at 101 2) ${node_addr[2]}" >"$members/101/members" || fail "replace at the same address: $(why)"
echo "replace $(member_at ctl 2) ${node_addr[2]}" >"$members/ctl/members" || fail "replace a controller at the same address: $(why)"
check "101 is whole" wait_until 40 is_whole 101 3
check "the controller is whole" wait_until 40 is_whole ctl 3

# The last of the founders goes: nobody of the beginning is left but by address.
echo "add ${node_addr[5]}" >"$members/ctl/members" || fail "add a controller: $(why)"
check "four controllers" wait_until 40 is_whole ctl 4
echo "remove $(member_at ctl 1)" >"$members/ctl/members" || fail "remove a controller: $(why)"
check "three controllers" wait_until 40 is_whole ctl 3
echo "add ${node_addr[5]}" >"$members/101/members" || fail "add: $(why)"
check "four members" wait_until 40 is_whole 101 4
echo "remove $(member_at 101 1)" >"$members/101/members" || fail "remove: $(why)"
check "three members" wait_until 40 is_whole 101 3
check "node 1 deletes its replicas" wait_until 30 no_replica 1 101
check "and the controller's" wait_until 30 no_replica 1 0

# Everybody starts again with the old list of controllers.
node_kill 1 TERM
node_again 1
for i in 2 4 5; do node_kill "$i" && node_again "$i"; progress 5; done
# Any node of the cluster leads to the controllers of today, even two that are none.
right=$controllers
controllers=${node_addr[1]},${node_addr[3]}
mount_start b || exit 1
controllers=$right
check "a mount that knows only nodes that are no controllers" grep -q "${node_addr[5]}" "$work/b/.ctrl/groups/ctl/members"

# The long form: machines lose their disks one after the other, again and again.
for ((round = 0; round < rounds; round++)); do
    i=$((round % 3 == 0 ? 2 : round % 3 == 1 ? 4 : 5))
    node_kill "$i"
    rm -rf "$work/node$i"
    node_again "$i"
    for group in 101 ctl; do
        echo "replace $(member_at $group $i) ${node_addr[$i]}" >"$members/$group/members" || fail "round $round, node $i, $group: $(why)"
    done
    for group in 101 ctl; do check "round $round: $group is whole" wait_until 60 is_whole $group 3; done
    progress 5
done

check "the config names the members of today" grep -q "group 101 .*${node_addr[5]}" "$m/.ctrl/config"
check_fails "lines were appended to the end" appends_ended
appends_stop
appends_check "$m/log" "$(appends_done)"
done_testing
