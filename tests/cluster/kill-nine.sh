#!/bin/bash
# kill -9 of any one node, the leaders included, while appends run: no command fails, every line is there once and in
# order, and what other clients saw meanwhile is linearizable; kill -9 of all three at once, restart: everything
# acknowledged is there (B8, B10, B14, B15). Once with the usual log and once with one that is compacted every few hundred
# entries, where restarts begin from a snapshot.
#
#     kill-nine.sh     RGKVFS_FULL=1: until more than 200 nodes were killed
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
. "${top_srcdir:-.}/tests/cluster/history-lib.sh" || exit 1
full=${RGKVFS_FULL:-}
limit "$([ -n "$full" ] && echo 1500 || echo 180)"
n=$([ -n "$full" ] && echo 20000 || echo 2000)
between=$([ -n "$full" ] && echo 5 || echo 25)

# kills: one after the other, whoever it is at that moment; the appends go on before the next one is killed.
kills() {
    local victim rounds=0 i
    while ! appends_ended; do
        for victim in 101 ctl 1 2 3; do
            progress "$between"
            appends_ended && break
            case $victim in
            101 | ctl) victim=$(leader_of "$victim") || { fail "no leader to kill"; continue; } ;;
            esac
            node_kill "$victim"
            progress "$between"
            node_again "$victim"
            rounds=$((rounds + 1))
        done
    done
    check "each victim was killed while appends ran ($rounds kills)" test "$rounds" -ge "$([ -n "$full" ] && echo 101 || echo 5)"
    echo "$rounds nodes killed, one after the other"
}

all_at_once() {
    local i
    for i in 1 2 3; do kill -KILL "${node_pid[$i]}"; done
    for i in 1 2 3; do wait_until 20 node_gone "$i" || fail "node $i does not end"; done
    for i in 1 2 3; do node_again "$i"; done
}

for bytes in 67108864 20000; do
    node_options=(--snapshot-bytes "$bytes")
    rm -rf "$work"/node[123] "$work"/logs/*
    rm -f "$work/appends.end"
    nodes_start 3
    mount_start a || exit 1
    join_all 101 || exit 1
    appends_start "$work/a/log" "$n"
    history_start "$bytes" --mount "$work/a" --clients 6 --keys 6 --append 40 --put 10 --pause-ms 5
    kills
    appends_check "$work/a/log" "$n"
    history_stop
    check_linearizable
    histories=()
    all_at_once
    check "all killed at once: the same content" lines_are "$work/a/log" "$n"
    echo more >"$work/a/after"
    check_same "and it serves writes" "$(cat "$work/a/after")" more
    mount_stop a
    for i in 1 2 3; do node_kill "$i"; done
done
done_testing
