#!/bin/bash
# Two mounts of one cluster, with a follower, then leaders dying in between: what one side writes, the other reads with
# its next command (B7); appends from both sides interleave exactly as they were acknowledged; of two exclusive creates
# of a name exactly one wins, also when the answer gets lost in a failover (B10). What many threads read on both sides while others
# overwrite and append to the same files is one linearizable history: nobody reads the beginning of one value and the rest of another.
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
. "${top_srcdir:-.}/tests/cluster/history-lib.sh" || exit 1
limit 150
nodes_start 3
mount_start a || exit 1
mount_start b || exit 1
join_all 101 || exit 1

# Alternately, one line each, and the other side looks at once: at the content, the size, the names.
for i in $(seq 150); do
    writer=$work/a reader=$work/b
    [ $((i % 2)) = 0 ] || { writer=$work/b reader=$work/a; }
    echo "$i" >>"$writer/log" || fail "append $i"
    [ "$(tail -n 1 "$reader/log")" = "$i" ] || fail "line $i is not seen by the other mount"
    echo "$i" >"$writer/value" || fail "put $i"
    [ "$(cat "$reader/value")" = "$i" ] || fail "value $i is not seen by the other mount"
    mv "$writer/value" "$writer/value.$i" 2>/dev/null || fail "rename $i"
    [ ! -e "$reader/value" ] && [ -e "$reader/value.$i" ] || fail "rename $i is not seen by the other mount"
    rm "$reader/value.$i" || fail "remove $i"
    [ ! -e "$writer/value.$i" ] || fail "removal $i is not seen by the other mount"
done
check "the log is 1 to 150" lines_are "$work/a/log" 150
check_same "no other names" "$(ls "$work/a")" "$(printf 'log')"

mkdir "$work/a/many" || fail "mkdir many"
mixed=(--clients 6 --keys 16 --append 30 --put 12 --operations 600)
history_start many_a --mount "$work/a/many" "${mixed[@]}"
history_start many_b --mount "$work/b/many" --first-client 50 "${mixed[@]}"
history_end
check_linearizable
rm -r "$work/a/many"

# Exclusive creates of 50 names from both sides, each side in its own order of attempts, while leaders are killed.
race() {
    local side=$1 name
    set -o noclobber
    for name in $(seq 50); do
        (echo "$side" >"$work/$side/lock$name") 2>>"$work/race.$side.errors" && echo "$name" >>"$work/won.$side"
    done
    : >"$work/race.$side.end"
}
touch "$work/won.a" "$work/won.b"
race a & race_a=$!
race b & race_b=$!
raced() { [ $(($(wc -l <"$work/won.a") + $(wc -l <"$work/won.b"))) -ge "$1" ]; }
for n in 5 20; do
    wait_until 30 raced "$n" || fail "the race stands still"
    leader=$(leader_of 101) && node_kill "$leader" && node_again "$leader"
done
wait "$race_a" "$race_b"
check_same "every name has a winner, and only one" "$(sort -n "$work/won.a" "$work/won.b" | tr '\n' ' ')" "$(seq -s ' ' 50) "
for name in $(seq 50); do
    side=$(cat "$work/a/lock$name")
    grep -qx "$name" "$work/won.$side" || fail "lock$name is $side's, who was told that it lost"
done
check_same "who lost was told why" "$(grep -cv 'File exists\|cannot overwrite existing file' "$work/race.a.errors" "$work/race.b.errors" | cut -d: -f2 | tr '\n' ' ')" "0 0 "

# A leader that was stopped and wakes up does not answer from the past (B2): its mount neither.
for round in 1 2 3; do
    leader=$(leader_of 101) || { fail "nobody leads"; break; }
    echo "before $round" >"$work/a/k"
    node_stop "$leader"
    echo "meanwhile $round" >"$work/b/k" || fail "put while the leader is stopped"
    node_continue "$leader"
    check_same "B2 round $round, one mount" "$(cat "$work/a/k")" "meanwhile $round"
    check_same "B2 round $round, the other" "$(cat "$work/b/k")" "meanwhile $round"
done
done_testing
