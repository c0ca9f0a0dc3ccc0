#!/bin/bash
# Crash points (B8, B14, B15, B18, B26, B32): a node is killed at the Nth of its system calls that change files, for many N, over
# a scripted run: founding, join, puts and appends with compactions, a move of half of the shards, more writes. It is started
# again at once and the run goes on; in the end everything acknowledged is there, once, also after one more kill and restart.
# The node is alone in its groups: nobody else has what it would lose. Then the same for a member that installs snapshots.
#
#     crash-points.sh [FIRST STEP LAST]     every STEP-th call from FIRST on (0: LAST is the run's last call)
. "${top_srcdir:-.}/tests/cluster/fault-lib.sh" || exit 1
limit "$([ -n "$full" ] && echo 14400 || echo 240)"
node_options=(--snapshot-bytes 60000)
n_points=0

# Restarts node 1, without faults, whenever it is dead. In a subshell of its own until it is told to stop.
keeper() {
    while [ ! -e "$work/over" ]; do
        if node_gone 1 && [ ! -e "$work/restarted" ]; then
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
    ledger_check one
    ledger_check two
    node_kill 1
    n_points=$((n_points + 1))
    if [ "$failures" != 0 ]; then
        echo "at: $*"
        tail -n 5 "$work"/logs/* "$work/node1.log"
        done_testing
    fi
}

node_addrs 1
point RGKV_FAULT_KILL=0
total=$(faults_counted 1)
echo "the run makes $total calls"
if [ $# -gt 0 ]; then
    first=$1 step=$2 last=$3
elif [ -n "$full" ]; then
    first=1 step=1 last=0
else
    first=3 step=$((total / 12)) last=0
fi
[ "$last" != 0 ] || last=$total
for ((n = first; n <= last; n += step)); do
    point RGKV_FAULT_KILL="$n" RGKV_FAULT_TORN=$((n % 2))
done
echo "$n_points runs, killed at every $step. call from $first to $last of $total"
done_testing
