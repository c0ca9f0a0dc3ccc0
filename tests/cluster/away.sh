#!/bin/bash
# A node that was away for longer than the log is kept catches up by snapshot, and is then as good as the others: with
# one of them killed it has to be part of every majority (B8, B10, B24, B26).
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
limit 150
node_options=(--snapshot-bytes 20000)
nodes_start 3
mount_start a || exit 1
join_all 101 || exit 1

# Values of all sizes, several versions, removals, a tree, appends in the middle of it.
mkdir "$work/ref"
both() { for dir in "$work/ref" "$work/a"; do (cd "$dir" && "$@") || fail "$* in $dir"; done; }
write_round() {
    local i
    for i in $(seq 40); do both bash -c "echo 'round $1 value $i' > key$i; seq $i >> sum"; done
    both bash -c "mkdir -p dir/$1/sub && seq $((200 * $1)) > dir/$1/sub/file && ln -s sub/file dir/$1/link && rm -f key$1"
    both cp "$work/blob$1" blob
}
for i in 1 2 3 4; do head -c $((i * 70000)) /dev/urandom >"$work/blob$i"; done
both mkdir dir
equal() { diff -r --no-dereference "$work/ref" "$work/a"; }

write_round 1
away=$(leader_of 101) || exit 1
node_kill "$away"
write_round 2
write_round 3
check "what was written without it" equal

# It comes back and gets a snapshot of the group that holds the keys.
node_again "$away"
check "it installs a snapshot" wait_until 30 said "$away" "group 101: installed a snapshot at"

# One of the others goes: every commit needs the one that was away now.
other=$((away % 3 + 1))
node_kill "$other"
check "all data is right with it in the majority" equal
write_round 4
check "and what is written with it" equal

# Alone with the copy that it got: the third is killed and comes back, then leads or follows it.
third=$((other % 3 + 1))
node_kill "$third"
node_again "$other"
check "only it and the one that missed round 4: nothing is lost" equal
node_again "$third"

# All restart, from logs that begin after a snapshot.
for i in 1 2 3; do node_kill "$i"; done
for i in 1 2 3; do node_again "$i"; done
check "after a restart of all" equal

# Sessions travel with the snapshot: a mount that was there all the time goes on.
appends_start "$work/a/log" 50
appends_check "$work/a/log" 50
done_testing
