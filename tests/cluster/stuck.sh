#!/bin/bash
# Disks and logs that get stuck while everything else works (B39, B40). A disk whose syncs take half a second, at the leader, at a
# follower: the heartbeats go on, so nobody is elected; the other two are a majority, so no write waits for the slow one. Standard
# error that nobody reads, or that goes to a full disk: no request waits for it, and the process ends when it is told to.
. "${top_srcdir:-.}/tests/cluster/fault-lib.sh" || exit 1
limit 120
delay_ms=500
hold_s=${full:+20}
hold_s=${hold_s:-2}

leads() { cat "$work"/node?.log | grep -c "leads in term"; }
nodes_up() { local i; for i in 1 2 3; do node_is_ready "$i" || return 1; done; }

# while_slow WHO I: eight writers that wait for node I's disk make sixteen writes in a second at most.
while_slow() {
    local before from counted
    before=$(leads)
    counted=$(faults_counted "$2")
    : >"$work/slow$2"
    from=$(ledger_size load)
    sleep "$hold_s" # that is what is tried
    local writes=$(($(ledger_size load) - from))
    check "$1 has a slow disk: nobody waits for it ($writes writes in $hold_s s)" test "$writes" -gt $((8 * 1000 / delay_ms * hold_s * 3))
    rm "$work/slow$2"
    check "$1 has a slow disk: it was" test "$(faults_counted "$2")" -gt "$counted"
    check "$1 had a slow disk: writes go on" ledger_progress load 200
    # A machine that runs all tests at once stands still for longer than an election timeout now and then.
    check "$1 had a slow disk: no election for it (there were $(($(leads) - before)))" test $(($(leads) - before)) -le "$([ -n "$full" ] && echo 0 || echo 3)"
    echo "$1 has a slow disk: $writes writes in $hold_s s"
}

# ---- B39 ----

node_addrs 3
for i in 1 2 3; do faulty_start "$i" RGKV_FAULT_DELAY_MS=$delay_ms RGKV_FAULT_CALLS=s RGKV_FAULT_WHILE="$work/slow$i"; done
wait_until 20 nodes_up || die "the nodes are not ready"
join_nodes 101 1 2 3 || exit 1
[ "$(leads)" -gt 0 ] || die "no log tells who leads"
ledger_start load --workers 8
ledger_progress load 200
l=$(leader_number 101)
while_slow "the leader" "$l"
while_slow "a follower" $((l % 3 + 1))
ledger_stop load
ledger_check load

# ---- B40 ----

# deaf_start I FD: node I again, with its standard error there. What it says on standard output is in its log.
deaf_start() {
    : >"$work/node$1.log"
    "$rgkvd" --listen "${node_addr[$1]}" --data "$work/node$1" --controllers "$controllers" --shards "$shards" \
        >>"$work/node$1.log" 2>&"$2" </dev/null &
    node_pid[$1]=$!
    disown "${node_pid[$1]}"
    wait_until 20 node_is_ready "$1" || die "node $1 is not ready"
}

mkfifo "$work/unread"
exec 8<>"$work/unread" # a reader that never reads
timeout 5 head -c 65536 /dev/zero >&8 # it is full
exec 9>/dev/full
for i in 1 2 3; do
    node_kill "$i"
    deaf_start "$i" $((i == 3 ? 9 : 8))
done
ledger_start deaf --workers 8 --ops 2000
ledger_wait deaf || fail "writes wait for a log that nobody reads"
ledger_check deaf
node_ended() { node_gone "$1"; }
for i in 1 2 3; do
    kill -TERM "${node_pid[$i]}"
    check "node $i ends though nobody reads its log" wait_until 5 node_ended "$i"
done
done_testing
