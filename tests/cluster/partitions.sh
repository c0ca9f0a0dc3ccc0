#!/bin/bash
# B36, B37, B42: one-way and partial partitions between real daemons. Each node has a network namespace of its own, this script's is
# the router between them, and its rules drop what goes from one node to another. Writes go on or come back, terms do not race, leaders do not
# change without need, and nothing acknowledged is lost.
#
#     partitions.sh     RGKVFS_FULL=1: each partition lasts 10 s and not 1, and all of it runs three times
[ -n "${RGKV_OWN_NET:-}" ] || [ "$(id -u)" != 0 ] || RGKV_OWN_NET=1 exec unshare --net --mount --propagation private bash "$0" "$@"
. "${top_srcdir:-.}/tests/cluster/fault-lib.sh" || exit 1
. "${top_srcdir:-.}/tests/cluster/netns-lib.sh" || exit 1
limit "$([ -n "$full" ] && echo 900 || echo 120)"
hold_s=${full:+10}
hold_s=${hold_s:-1}

# ---- what happens ----

leads() { cat "$work"/logs/* "$work"/node?.log 2>/dev/null | grep -c "group 101: member [0-9]* leads in term"; }

cuts=()
cut_off() { cuts+=("$1 $2"); cut_one "$1" "$2"; }
cut_off_both() { cut_off "$1" "$2"; cut_off "$2" "$1"; }

# A machine that runs all tests at once stands still for longer than an election timeout now and then.
slack=$([ -n "$full" ] && echo 0 || echo 3)

# during NAME LEAST MOST: writes go on within 10 s and for the time of the partition, with so many changes of the leader; then it heals, and
# within 10 s all three follow one leader again.
during() {
    local way
    check "$1: writes go on" ledger_progress load 200
    # shellcheck disable=SC2086
    for way in "${cuts[@]}"; do check_fails "$1: ${way/ / reaches }" reaches $way; done
    sleep "$hold_s" # that is what is tried
    check "$1: and after $hold_s s" ledger_progress load 200
    check "$1: the leader changes $2 times at least (it did $(($(leads) - before)))" test $(($(leads) - before)) -ge "$2"
    check "$1: the leader changes $3 times at most (it did $(($(leads) - before)))" test $(($(leads) - before)) -le $(($3 + slack))
    heal
    # shellcheck disable=SC2086
    for way in "${cuts[@]}"; do check "$1: healed, ${way/ / reaches }" wait_until 10 reaches $way; done
    check "$1: healed, writes go on" ledger_progress load 200
    sleep 1 # the time in which there may be no other
    check "$1: healed, no further election but one" test $(($(leads) - before)) -le $(($3 + 1 + slack))
    echo "$1: $(($(leads) - before)) changes of the leader"
}

# roles: who leads ($l) and who does not ($a, $b), with nothing cut.
roles() {
    cuts=()
    l=$(leader_number 101) || die "nobody leads"
    a=$((l % 3 + 1)) b=$(((l + 1) % 3 + 1))
    before=$(leads)
}

netns_start 3
join_nodes 101 1 2 3 || exit 1
ledger_start load --workers 8 --timeout 30
ledger_progress load 200
[ "$(leads)" -gt 0 ] || die "no log tells who leads"
for round in $(seq "${full:+3}" 2>/dev/null || echo 1); do
    roles
    cut_off "$l" "$a"
    during "one follower does not hear the leader" 0 0
    roles
    cut_off "$a" "$l"
    during "the leader does not hear one follower" 0 0
    roles
    cut_off_both "$l" "$a"
    during "leader and one follower do not hear each other" 0 0
    roles
    cut_off "$a" "$l"; cut_off "$b" "$l"
    during "the leader hears nobody, and all hear it" 1 1
    roles
    cut_off "$l" "$a"; cut_off "$l" "$b"
    during "nobody hears the leader" 1 1
    roles
    cut_off_both "$l" "$a"; cut_off_both "$l" "$b"
    during "the leader is alone" 1 1
done
ledger_stop load
ledger_check load
echo "$(ledger_said load)"
done_testing
