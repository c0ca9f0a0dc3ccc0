#!/bin/bash
# The raft scenarios of the floor on real daemons, by number and name (the simulated ones are tests/unit/test_raft_scenarios.c). One group of
# three, five or seven nodes, each in a network namespace; a crash is kill -9; a write is a command on a file of a mount, which reaches every node.
#
#     raft.sh [R1 …]     without names a few; RGKVFS_FULL=1: all of them, and the long forms
[ -z "${SCENARIO:-}" ] || [ -n "${RGKV_OWN_NET:-}" ] || [ "$(id -u)" != 0 ] ||
    RGKV_OWN_NET=1 exec unshare --net --mount --propagation private bash "$0" "$@"
. "${top_srcdir:-.}/tests/cluster/scenario-lib.sh"
if [ -n "${SCENARIO:-}" ]; then
    . "${top_srcdir:-.}/tests/cluster/fault-lib.sh" || exit 1
    . "${top_srcdir:-.}/tests/cluster/netns-lib.sh" || exit 1
fi
full=${RGKVFS_FULL:-}

# ---- the test bed ----

# group N [CONTROLLERS]: N nodes, all of them group 101, and the mount `a`.
group() {
    local all
    all=$(seq "$1")
    netns_start "$@"
    # shellcheck disable=SC2086
    join_nodes 101 $all || exit 1
    mount_start a || exit 1
    mkdir -p "$work/want"
    put first first || fail "the first write"
}

others_of() { seq "$n_nodes" | grep -vx "$1"; }
follower() { others_of "$(leader_number 101)" | head -n 1; }
crash_all() { nodes_crash $(seq "$n_nodes"); nodes_again $(seq "$n_nodes"); }

# put KEY VALUE [SECONDS]: one write, which must be acknowledged within that time.
put() {
    timeout "${3:-20}" sh -c 'printf %s "$1" >"$0"' "$work/a/$1" "$2" 2>"$work/put.stderr" && printf %s "$2" >"$work/want/$1"
}
puts() { local i; for i in $(seq "$2"); do put "$1$i" "$1-$i" || fail "write $1$i"; done; }
# refused WHAT: two election timeouts are not enough for a write, since no majority is there.
refused() { refused_value=$RANDOM; check_fails "$1" put alone "$refused_value" 1.2; }
values_are() { local k; for k in "$work"/want/*; do cmp -s "$k" "$work/a/${k##*/}" || { echo "${k##*/} differs"; return 1; }; done; }

# applied I: the newest entry of group 101 that node I says to have applied.
applied() { sed -n "s/^rgkv_raft_applied_index{.*\"${node_addr[$1]}\".*group=\"101\".*} //p" "$work/a/.ctrl/metrics"; }
same_applied() {
    local i at first=
    for i in "${@:2}"; do
        at=$(applied "$i")
        [ "${at:-0}" -gt "$1" ] && [ "${first:=$at}" = "$at" ] || return 1
    done
}
newest() { local i; for i; do applied "$i"; done | sort -n | tail -n 1; }
# agree WHAT NODE…: one more write, and all of these have applied it and whatever was before.
agree() {
    local before
    before=$(newest "${@:2}")
    put agreed "$RANDOM" || fail "$1: a write"
    check "$1: agreement on nodes ${*:2}" wait_until 20 same_applied "${before:-0}" "${@:2}"
}
agree_all() { agree "$1" $(seq "$n_nodes"); }

elections() { cat "$work"/logs/* "$work"/node?.log 2>/dev/null | grep -c "group 101: member [0-9]* leads in term"; }
cpu_ticks() { local i; for i in $(seq "$n_nodes"); do awk '{ print $14 + $15 }' "/proc/${node_pid[$i]}/stat"; done | awk '{ n += $1 } END { print n }'; }
another_leads() { [ "$(within=1 leader_number 101 2>/dev/null || echo "$1")" != "$1" ]; }
new_leader() { check "another than node $1 leads" wait_until 10 another_leads "$1"; }

# ---- elections ----

scenario R1 InitialElection 60
R1() {
    local before ticks
    group 3
    before=$(elections) ticks=$(cpu_ticks)
    check "the logs tell who leads" test "$before" -gt 0
    sleep 2 # that nothing happens is what is tried
    check_same "no election in 2 s" "$(elections)" "$before"
    ticks=$(($(cpu_ticks) - ticks))
    check "three idle nodes use hardly any CPU: $((10 * ticks)) ms in 2 s" test "$ticks" -lt 60
}

scenario R2 ReElection 90
R2() {
    local first second
    group 3
    first=$(leader_number 101)
    isolate "$first"
    new_leader "$first"
    check "writes go on" put a a
    connect "$first"
    agree_all "the old leader is back"
    second=$(leader_number 101)
    isolate "$second"
    isolate "$(others_of "$second" | head -n 1)"
    refused "one of three acknowledges a write"
    connect_all
    agree_all "all are back"
    check "all values" values_are
}

scenario R3 ManyElections 180
R3() {
    local round i
    group 7
    for round in $(seq 9); do
        for i in 1 2 3; do isolate $((RANDOM % 7 + 1)); done
        check "round $round: a majority goes on without nodes ${!isolated[*]}" put "r$round" "$round"
        connect_all
    done
    agree_all "all are back"
    check "all values" values_are
}

# ---- agreement ----

scenario R5 RPCBytes 60
R5() {
    local before idle ms i
    group 3
    head -c 5000 /dev/zero | tr '\0' x >"$work/big"
    agree_all "before"
    before=$(net_total bytes); sleep 1; idle=$(($(net_total bytes) - before))
    before=$(net_total bytes)
    ms=$(date +%s%3N)
    for i in $(seq 10); do cat "$work/big" >"$work/a/big$i" || fail "write $i"; done
    ms=$(($(date +%s%3N) - ms))
    before=$(($(net_total bytes) - before - idle * ms / 1000))
    check "10 x 5000 bytes: $before bytes to three nodes in $ms ms (idle: $idle a second), each at least once" test "$before" -ge 150000
    check "10 x 5000 bytes: and not twice" test "$before" -le 200000
    echo "10 x 5000 bytes: $before bytes in $ms ms, idle $idle bytes a second"
}

scenario R6 FollowerFailure 90
R6() {
    local l
    group 3
    isolate "$(follower)"
    check "two of three go on" put b b
    sleep 0.5 # an election timeout
    check "and later" put c c
    l=$(leader_number 101)
    for i in $(others_of "$l"); do isolate "$i"; done
    refused "one of three acknowledges a write"
    connect_all
    agree_all "all are back"
    check "all values" values_are
}

scenario R7 LeaderFailure 90
R7() {
    local l
    group 3
    l=$(leader_number 101)
    isolate "$l"
    check "two of three go on" put b b
    sleep 0.5 # an election timeout
    check "and later" put c c
    new_leader "$l"
    isolate "$(leader_number 101)"
    refused "one of three acknowledges a write"
    connect_all
    agree_all "all are back"
    check "all values" values_are
}

scenario R8 FailAgree 90
R8() {
    local f
    group 3
    f=$(follower)
    node_kill "$f"
    puts a 2
    sleep 0.5 # an election timeout
    puts b 2
    node_again "$f"
    agree_all "the follower is back"
    agree_all "again"
    check "all values" values_are
}

scenario R9 FailNoAgree 90
R9() {
    local l i value
    group 5
    put alone old
    l=$(leader_number 101)
    for i in $(others_of "$l" | head -n 3); do isolate "$i"; done
    refused "two of five acknowledge a write"
    connect_all
    agree_all "all are back"
    value=$(cat "$work/a/alone")
    check "the file is as it was, or as the write that was given up wanted it ($refused_value): $value" grep -qxE "old|$refused_value" <<<"$value"
    check_same "and stays so" "$(cat "$work/a/alone")" "$value"
    rm "$work/want/alone"
    check "all others" values_are
}

scenario R10 ConcurrentStarts 60
R10() {
    group 3
    seq 5 | xargs -P 5 -I{} sh -c 'echo {} >>"$0"' "$work/a/list" || fail "an append"
    check_same "all five, each once" "$(sort "$work/a/list" | tr '\n' ' ')" "1 2 3 4 5 "
    agree_all "after them"
}

scenario R11 Rejoin 90
R11() {
    local first second i
    group 3
    first=$(leader_number 101)
    for i in $(others_of "$first"); do isolate "$i"; done
    for i in 1 2 3; do check_fails "one of three acknowledges write $i" put "lost$i" "$i" 0.2; done
    connect_all
    isolate "$first"
    new_leader "$first"
    check "the others go on" put c c
    second=$(leader_number 101)
    isolate "$second"
    connect "$first"
    check "with the first instead of the second" put d d
    connect "$second"
    agree_all "all are back"
    rm -f "$work"/want/lost*
    check "all values" values_are
}

scenario R13 Count 60
R13() {
    local before packets
    group 3
    agree_all "before"
    before=$(net_total packets)
    sleep 2 # that little happens is what is tried
    packets=$((($(net_total packets) - before) / 2))
    check "two idle groups of three: $packets packets a second" test "$packets" -gt 0 -a "$packets" -le 480
    echo "two idle groups of three: $packets packets a second"
}

# ---- restarts ----

scenario R14 Persist1 120
R14() {
    local l f
    group 3
    crash_all
    agree_all "all were killed"
    l=$(leader_number 101)
    node_kill "$l"; node_again "$l"
    agree_all "the leader was killed"
    l=$(leader_number 101)
    node_kill "$l"
    put a a || fail "without the leader"
    node_again "$l"
    agree_all "the leader is back"
    f=$(follower)
    node_kill "$f"
    put b b || fail "without a follower"
    node_again "$f"
    agree_all "the follower is back"
    check "all values" values_are
}

scenario R15 Persist2 240
R15() {
    local round l n
    group 5
    for round in $(seq "${full:+5}" 2>/dev/null || seq 2); do
        l=$(leader_number 101)
        read -r -d '' -a n < <(others_of "$l")
        nodes_crash "${n[0]}" "${n[1]}"
        put "a$round" "a$round" || fail "three of five"
        nodes_crash "$l" "${n[2]}" "${n[3]}"
        nodes_again "${n[0]}" "${n[1]}"
        sleep 0.5 # an election timeout
        node_again "${n[2]}"
        check "round $round: a majority of which two were away" put "b$round" "b$round"
        nodes_again "${n[3]}" "$l"
        agree_all "round $round"
    done
    check "all values" values_are
}

scenario R16 Persist3 120
R16() {
    local l stale third
    group 3
    l=$(leader_number 101)
    stale=$(others_of "$l" | head -n 1) third=$(others_of "$l" | tail -n 1)
    isolate "$stale"
    put a a || fail "two of three"
    nodes_crash "$l" "$third"
    connect "$stale"
    node_again "$l"
    check "the leader of before and the stale one go on" put b b
    node_again "$third"
    agree_all "all are back"
    check "all values" values_are
}

scenario R17 Figure8 400
R17() {
    local round l i
    group 5 5 # three of five are always there to say who leads, whichever were killed
    ledger_start load --workers 8 --timeout 30
    for round in $(seq "${full:+50}" 2>/dev/null || seq 10); do
        sleep "0.0$((RANDOM % 10))" # any moment
        l=$(leader_number 101) && nodes_crash "$l"
        for i in $(seq 5 | shuf); do
            [ "$(for i in 1 2 3 4 5; do node_gone "$i" || echo "$i"; done | wc -l)" -ge $((3 + RANDOM % 2)) ] && break
            ! node_gone "$i" || node_again "$i"
        done
    done
    for i in 1 2 3 4 5; do ! node_gone "$i" || node_again "$i"; done
    ledger_progress load 50
    ledger_stop load
    ledger_check load
    agree_all "all are back"
    echo "$(elections) elections; $(ledger_said load)"
}

# ---- a bad network, churn ----

scenario R18 UnreliableAgree 240
R18() {
    . "$top_srcdir/tests/cluster/proxy-lib.sh"
    local i rounds
    rounds=${full:+49}
    ip link set lo up
    proxied_start 5 3
    mount_start a hard || exit 1
    # shellcheck disable=SC2046
    join_nodes 101 $(seq 5) || exit 1
    unreliable
    for i in $(seq "${rounds:-10}"); do
        seq 4 | xargs -P 4 -I{} sh -c 'echo "$1.{}" >>"$0"' "$work/a/list" "$i" || fail "append of round $i"
    done
    check_same "each append once" "$(sort "$work/a/list" | uniq | wc -l) $(wc -l <"$work/a/list")" "$((4 * ${rounds:-10})) $((4 * ${rounds:-10}))"
    check "the network was bad" net_was_bad
    reliable
}

scenario R20 Churn 240
R20() {
    local round i
    group 5
    ledger_start load --workers 3 --timeout 60
    for round in $(seq 20); do
        i=$((RANDOM % 5 + 1))
        [ $((RANDOM % 5)) != 0 ] || isolate "$i"
        if [ $((RANDOM % 2)) = 0 ]; then
            ! node_gone "$i" || node_again "$i"
            connect "$i"
        fi
        i=$((RANDOM % 5 + 1))
        [ $((RANDOM % 5)) != 0 ] || node_gone "$i" || nodes_crash "$i"
        sleep 0.7 # the rate of the faults
    done
    connect_all
    for i in 1 2 3 4 5; do ! node_gone "$i" || node_again "$i"; done
    ledger_progress load 50
    ledger_stop load
    ledger_check load
    agree_all "all are back"
    echo "$(elections) elections; $(ledger_said load)"
}

# ---- snapshots ----

log_bytes_max() { du -sb "$work"/node*/replicas/101-*/wal | sort -n | tail -n 1 | cut -f 1; }
# written N: N appends of some bytes by four writers.
written() { seq "$1" | xargs -P 4 -I{} sh -c 'echo "{} $1" >>"$0"' "$work/a/many" "$(head -c 600 /dev/zero | tr '\0' z)" || fail "an append"; }
installed() { cat "$work"/logs/node"$1".* "$work/node$1.log" 2>/dev/null | grep -q "group 101: installed a snapshot"; }

scenario R22 SnapshotBasic 120
R22() {
    local round
    node_options=(--snapshot-bytes 20000)
    group 3
    for round in $(seq 5); do written 60; done
    check "180 KB were written, and no log is longer than eight times what a snapshot is taken for: $(log_bytes_max) bytes" test "$(log_bytes_max)" -lt 170000
    check_same "every append once" "$(cut -d ' ' -f 1 "$work/a/many" | sort -n | uniq -c | awk '$1 != 5' | wc -l)" 0
}

away() {
    local round victim
    node_options=(--snapshot-bytes 20000)
    group 3
    for round in 1 2 3; do
        victim=$([ "$round" = 2 ] && leader_number 101 || follower)
        if [ "$1" = crash ]; then node_kill "$victim"; else isolate "$victim"; fi
        put "r$round" "$round" || fail "round $round"
        written 150
        if [ "$1" = crash ]; then node_again "$victim"; else connect "$victim"; fi
        agree_all "round $round: node $victim is back"
        check "round $round: with a snapshot" installed "$victim"
    done
    check "all values" values_are
}
scenario R23 SnapshotInstall 180
R23() { away cut; }
scenario R25 SnapshotInstallCrash 180
R25() { away crash; }

scenario R27 SnapshotAllCrash 180
R27() {
    local round before
    node_options=(--snapshot-bytes 20000)
    group 3
    for round in $(seq "${full:+5}" 2>/dev/null || seq 2); do
        puts "s$round." $((RANDOM % 10 + 5))
        agree_all "round $round"
        before=$(newest 1 2 3)
        crash_all
        agree_all "round $round: all were killed"
        check "round $round: nothing went back" test "$(newest 1 2 3)" -gt "$before"
    done
    check "all values" values_are
}

scenario R28 SnapshotInit 120
R28() {
    node_options=(--snapshot-bytes 20000)
    group 3
    puts s 12
    written 60
    crash_all
    put one one || fail "the first write"
    crash_all
    put two two || fail "the second write"
    agree_all "after two restarts of all"
    check "all values" values_are
}

[ -n "$full" ] || [ $# -gt 0 ] || set -- R2 R14 R23
scenarios_main "$@"
