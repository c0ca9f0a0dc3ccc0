#!/bin/bash
# The scenarios of shards on a network that delays, loses, swallows and resets (proxy.py), by number and name (B10, B13,
# B31, B34).
#
#     tests/cluster/shardkv-net.sh [S8 ...]
#
# Without numbers S10, S14 and S14F are run; all of them with RGKVFS_FULL=1. $net_seed seeds the network.
. "${top_srcdir:-.}/tests/cluster/scenario-lib.sh"
[ -z "${SCENARIO:-}" ] || . "${top_srcdir:-.}/tests/cluster/proxy-lib.sh" || exit 1
[ -z "${SCENARIO:-}" ] || . "${top_srcdir:-.}/tests/cluster/history-lib.sh" || exit 1

scenario S8 Unreliable1 200
S8() {
    local round
    node_options=(--snapshot-bytes 100)
    shardkv_proxied
    unreliable
    join 100
    keys_choose 1
    keys_put
    history_start others --mount "$work/a" --clients 5 --keys 5 --append 40 --put 10 --prefix other
    join 101 102
    leave 100
    for round in 1 2; do keys_check_append "round $round"; done
    join 100
    leave 101
    for round in 1 2; do keys_check "round $round, back"; done
    settled a
    keys_check "when settled"
    history_stop
    check "the network was bad" net_was_bad
    check_linearizable
}

# The changes of S9 and S10. What the original does by the clock is done here by progress.
changes() {
    "$1" 20
    join 101
    "$1" 30
    join 102
    "$1" 30
    leave 100
    "$1" 30
    leave 101
    "$1" 30
    join 101 100
    "$1" 100
}

scenario S9 Unreliable2 200
S9() {
    node_options=(--snapshot-bytes 100)
    shardkv_proxied
    unreliable
    join 100
    keys_choose 1
    keys_put
    appenders_start 0
    history_start engine --controllers "$controllers" --clients 10 --keys 5 --append 40 --put 10 --prefix other
    changes appenders_progress
    reliable
    settled a
    appenders_progress 50
    appenders_stop
    history_stop
    check "the network was bad" net_was_bad
    check_linearizable
}

scenario S10 Unreliable3 240
S10() {
    local within=60 # ten clients on such a network and a busy machine make few operations in a second
    node_options=(--snapshot-bytes 100)
    shardkv_proxied
    unreliable
    join 100
    mount_start w hard || exit 1
    history_start random --mount "$work/w" --clients 10 --keys 10 --append 50 --put 5 --seed "${net_seed:-7}"
    changes history_progress
    net_quiet cut 8 '*'
    history_progress 30
    net_quiet heal
    reliable
    settled a
    history_progress 100
    history_stop
    check "the network was bad" net_was_bad
    check "node 8 was cut off" test "$(net_stat cut)" -gt 0
    check_linearizable
}

# P32: what a group does not own it does not serve, whoever says that it does. The liar is a controller of this very cluster as it
# was when group 100 had all shards; clients, then all nodes of 100 too, are led to it.
S14_get() { timeout 20 cat "$work/$1/$2" >"$work/got.$2" 2>"$work/why.$2"; }
S14_gets() {
    local key
    served=0
    for key in "${keys[@]}"; do S14_get "$1" "$key" & done
    wait
    for key in "${keys[@]}"; do
        if [ -s "$work/got.$key" ]; then
            check "the value of $key" cmp "$work/want/$key" "$work/got.$key"
            served=$((served + 1))
        else
            check "$key is an error, not an empty value" test -s "$work/why.$key"
        fi
    done
}
S14_mount_at_liar() {
    local to=$controllers
    mkdir -p "$work/$1"
    "$rgkvfs" "$2" "$work/$1" -o timeout=3 || fail "mounting at the liar"
    mounted[$1]=1
    mount_pids+=("$(controllers=$2 mount_pid "$1")")
}

scenario S14 "Rejection: a controller that lies" 120
S14() {
    local real i
    proxied_start 10 1 10      # node 1 is the controller, 2 its double, 4 to 6 and 7 to 9 are groups 100 and 101
    mount_start a || exit 1
    node_kill 2
    join 100
    keys_choose 1
    keys_put
    settled a
    node_kill 1
    rm -r "$work/node2"
    cp -a "$work/node1" "$work/node2"
    node_again 1
    join 101
    settled a
    keys_check_append "on two groups"
    check_same "half of the shards each" "$(shards_at 100), $(shards_at 101)" "0 1 2 3 4, 5 6 7 8 9"

    # The double has the same name and the same cluster; who is led to it sees that 100 has everything.
    node_extra[2]="--listen ${node_real[2]} --advertise ${node_addr[1]}"
    node_again 2
    net_quiet route c 1 "${node_real[2]}"
    S14_mount_at_liar b "${node_addr[1]}"
    check_same "the liar says that 100 has everything" "$(cut -d' ' -f2 "$work/b/.ctrl/shards" | uniq -c | xargs)" "10 100"
    S14_gets b
    check_same "served" "$served" 5
    for i in 4 5 6; do net_quiet route "$i" 1 "${node_real[2]}"; done
    check "the nodes of 100 hear the liar" wait_until 20 S14_heard
    S14_gets b
    check_same "served though its nodes believe the liar" "$served" 5
    umount "$work/b" && unset "mounted[b]"

    # The truth again: nothing was lost, nothing is served twice.
    real=${node_real[1]}
    net_quiet route c 1 "$real"
    for i in 4 5 6; do net_quiet route "$i" 1 "$real"; done
    keys_check_append "with the true controller again"
    settled a
    keys_check "in the end"
}
S14_heard() { [ "$(grep -c 'state=up' "$work/b/.ctrl/nodes")" -ge 3 ]; }

# Another cluster, whose controller (node 2) was told that the first one's nodes are its group 100: they obey nothing that it
# says, serve nobody who comes from there, and keep what they have, even when they are started with its address.
scenario S14F "Rejection: another cluster" 90
S14F_foreign_start() {
    local home=$controllers
    controllers=${node_addr[2]}
    node_again 2
    mount_start f timeout=4 || exit 1
    controllers=$home
}
S14F() {
    local key i line
    nodes_start 6 1 10
    mount_start a || exit 1
    node_kill 2
    rm -r "$work/node2"
    join_group 100 4 5 6 || exit 1
    keys_choose 1
    keys_put
    S14F_foreign_start
    line="100 ${node_addr[4]} ${node_addr[5]} ${node_addr[6]}"
    echo "$line" >"$work/f/.ctrl/join" || fail "the other cluster may want them"
    S14_gets f
    check_same "served to who comes from the other cluster" "$served" 0
    check "why is told: $(tail -n 1 "$work/f/.ctrl/error")" grep -q "another cluster\|nobody serves\|no group" "$work/f/.ctrl/error"
    keys_check_append "meanwhile"

    for i in 4 5 6; do
        node_kill "$i"
        controllers=${node_addr[2]} node_again "$i"
    done
    keys_check_append "though all were started with the other cluster's address"
    S14_gets f
    check_same "served to who comes from the other cluster" "$served" 0
    check_same "the other cluster has none of them" "$(grep -c 'state=up' "$work/f/.ctrl/nodes")" 1
    for i in 4 5 6; do
        node_kill "$i"
        node_again "$i"
    done
    keys_check_append "in the end"
}

[ $# -gt 0 ] || [ -n "${RGKVFS_FULL:-}" ] || set -- S10 S14 S14F
scenarios_main "$@"
