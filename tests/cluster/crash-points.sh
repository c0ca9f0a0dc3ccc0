#!/bin/bash
# Crash points (B8, B14, B15, B18, B26, B32): a node is killed at the Nth of its system calls that change files, for many N, over
# a scripted run: founding, join, puts and appends with compactions, a move of half of the shards, more writes. It is started
# again at once and the run goes on; in the end everything acknowledged is there, once, also after one more kill and restart.
# The node is alone in its groups: nobody else has what it would lose. The same for calls that fail, once, with EIO or ENOSPC (B19,
# B20): the node goes on, or ends with a sentence and is started again.
#
#     crash-points.sh [FIRST STEP LAST [kill|eio|enospc]]     every STEP-th call from FIRST on (LAST 0: the run's last call)
. "${top_srcdir:-.}/tests/cluster/fault-lib.sh" || exit 1
limit "$([ -n "$full" ] && echo 14400 || echo 300)"
node_options=(--snapshot-bytes 60000)
n_points=0

# Restarts node 1, without faults, whenever it is dead. In a subshell of its own until it is told to stop.
keeper() {
    while [ ! -e "$work/over" ]; do
        if node_gone 1 && [ ! -e "$work/restarted" ]; then
            cp "$work/node1.log" "$work/last-words"
            node_again 1
            echo "${node_pid[1]}" >"$work/restarted"
        fi
        sleep 0.01
    done
}

scripted() {
    ctl join "101 ${node_addr[1]}" || { fail "join 101"; return 1; }
    "$tools/ledger" run --controllers "$controllers" --journal "$work/one" --workers 4 --ops 200 --value-bytes 3000 >"$work/one.out" &&
        ctl join "102 ${node_addr[1]}" && ctl settled >"$work/settled.out" &&
        "$tools/ledger" run --controllers "$controllers" --journal "$work/two" --workers 4 --ops 200 --value-bytes 3000 >"$work/two.out" ||
        { fail "the run does not go on: $(cat "$work/one.out" "$work/two.out")"; return 1; }
}

# hit N: node 1's shim has counted so many calls since it was started with faults.
hit() { [ "$(faults_counted 1)" -ge "$1" ]; }

# point VARIABLE=VALUE…: the whole run with node 1 under these faults.
point() {
    rm -rf "$work/node1" "$work/over" "$work/restarted" "$work"/logs/* "$work"/one* "$work"/two* "$work/count1"
    faulty_start 1 "$@"
    keeper &
    local keeper=$!
    scripted
    : >"$work/over"
    wait "$keeper"
    [ ! -e "$work/restarted" ] || node_pid[1]=$(cat "$work/restarted")
    node_kill 1
    node_again 1
    ledger_check one --value-bytes 3000
    ledger_check two --value-bytes 3000
    node_kill 1
    check_fails "nothing that cannot be happened" grep -h "bug:" "$work"/logs/* "$work/node1.log"
    n_points=$((n_points + 1))
    [ $((n_points % 50)) != 0 ] || echo "… $n_points runs, the last with $*"
    if [ "$failures" != 0 ]; then
        echo "at: $*"
        tail -n 5 "$work"/logs/* "$work/node1.log"
        done_testing
    fi
}

node_addrs 1
point RGKV_FAULT_KILL=0
total=$(faults_counted 1)
[ "${total:-0}" -gt 100 ] || die "no calls are counted: $total"
point RGKV_FAULT_ERROR=28 RGKV_FAULT_CALLS=wct RGKV_FAULT_FROM=1000000000
total_wct=$(faults_counted 1)
[ "${total_wct:-0}" -gt 50 ] || die "no calls that need space are counted: $total_wct"
echo "the run makes $total calls, $total_wct of them need space"
if [ $# -gt 0 ]; then
    first=$1 step=$2 last=$3
elif [ -n "$full" ]; then
    first=1 step=1 last=0
else
    first=3 step=0 last=0
fi
# Short, of the failing calls only a few are taken.
sparser=$([ $# -gt 0 ] || [ -n "$full" ] && echo 1 || echo 3)
for kind in ${4:-kill eio enospc}; do
    n_points=0 n_ended=0 n_hit=0
    calls=$total
    [ "$kind" != enospc ] || calls=$total_wct
    every=$([ "$step" != 0 ] && echo "$step" || echo $((calls / 9)))
    [ "$kind" = kill ] || every=$((every * sparser))
    to=$([ "$last" != 0 ] && echo "$last" || echo "$calls")
    for ((n = first; n <= to; n += every)); do
        case $kind in
        kill) point RGKV_FAULT_KILL="$n" RGKV_FAULT_TORN=$((n % 2)) ;;
        eio) point RGKV_FAULT_ERROR=5 RGKV_FAULT_FROM="$n" ;;
        enospc) point RGKV_FAULT_ERROR=28 RGKV_FAULT_CALLS=wct RGKV_FAULT_FROM="$n" ;;
        esac
        ! hit "$n" || n_hit=$((n_hit + 1))
        [ ! -e "$work/restarted" ] || n_ended=$((n_ended + 1))
        [ "$kind" = kill ] || [ ! -e "$work/restarted" ] || tail -n 1 "$work/last-words"
        [ "$kind" = kill ] || [ ! -e "$work/restarted" ] || check "it ended with a sentence" grep -qE "rgkvd: .*(Input/output error|No space left on device)" "$work/last-words"
    done
    [ "$kind" != enospc ] || check_same "processes that a full disk ended" "$n_ended" 0
    [ "$kind" = kill ] || n_reached=$n_hit
    [ "$kind" != kill ] || n_reached=$n_ended
    # No two runs make the same number of calls: the last points may be beyond the end of theirs.
    check "$kind: nearly all points were reached ($n_reached of $n_points)" test "$n_reached" -ge 1 -a "$n_reached" -ge $((n_points - 1 - n_points / 10))
    echo "$kind: $n_points runs, at every $every. call from $first to $to of $calls; $n_hit reached it, and the process ended in $n_ended"
done
done_testing
