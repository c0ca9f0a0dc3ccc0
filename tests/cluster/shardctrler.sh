#!/bin/bash
# The controller's scenarios, by number and name, with three real controllers. The groups have addresses where nobody
# listens: admin commands need no group that can be reached. (That moves are the fewest possible is shown for every number
# of groups by tests/unit/test_ctrl_balance.c.)
#
#     tests/cluster/shardctrler.sh [C1 ...]
. "${top_srcdir:-.}/tests/cluster/scenario-lib.sh"

controllers_start() {
    nodes_start 3 3 10
    mount_start a || exit 1
    check_same "before any group" "$(config_num)" 0
}
is_balanced() { check "balanced over the groups: $*" config_is_balanced "$@"; }
members() { config | sed -n "s/^group $1 //p"; }
# fake GID: a line of join with addresses of its own.
fake() { echo "$1 a$1:1 b$1:2 c$1:3"; }
fake_join() {
    local gid lines=()
    for gid; do lines+=("$(fake "$gid")"); done
    admin join "${lines[@]}" || fail "join $*"
}

scenario C1 "Basic leave/join" 20
C1() {
    controllers_start
    is_balanced
    admin join "1 x:1 y:1 z:1" || fail "join 1"
    is_balanced 1
    admin join "2 a:1 b:1 c:1" || fail "join 2"
    is_balanced 1 2
    check_same "the members of 1, as given" "$(members 1)" "x:1 y:1 z:1"
    check_same "the members of 2, as given" "$(members 2)" "a:1 b:1 c:1"
    leave 1
    is_balanced 2
    check_same "the members of 2 stay" "$(members 2)" "a:1 b:1 c:1"
    leave 2
    is_balanced
    check_same "one config for each command" "$(config_num)" 4
}

scenario C2 "Historical queries" 30
C2() {
    local num i
    controllers_start
    fake_join 1
    fake_join 2
    leave 1
    fake_join 3
    leave 2
    mkdir "$work/saved"
    for num in 0 1 2 3 4 5; do config "configs/$num" >"$work/saved/$num"; done
    check_same "they are different" "$(cat "$work"/saved/* | grep -c '^num')$(sort -u "$work"/saved/* | grep -c '^num')" 66
    for i in 1 2 3; do
        node_kill "$i"
        for num in 0 1 2 3 4 5; do
            check_same "config $num without node $i" "$(config "configs/$num")" "$(cat "$work/saved/$num")"
        done
        check_same "the newest without node $i" "$(config)" "$(cat "$work/saved/5")"
        node_again "$i"
    done
    nodes_crash 1 2 3
    nodes_again 1 2 3
    for num in 0 1 2 3 4 5; do
        check_same "config $num after a restart of all" "$(config "configs/$num")" "$(cat "$work/saved/$num")"
    done
}

scenario C3 "Move" 20
C3() {
    local shard gid before num
    controllers_start
    fake_join 503
    fake_join 504
    for shard in 0 1 2 3 4 5 6 7 8 9; do
        gid=$((shard < 5 ? 503 : 504))
        before=$(config)
        num=$(config_num)
        admin move "$shard $gid" || fail "move $shard"
        if ! grep -q "^shard $shard $gid\$" <<<"$before"; then
            check_same "the number rises by one for shard $shard" "$(config_num)" $((num + 1))
        fi
        check "shard $shard is where it was moved" grep -q "^shard $shard $gid\$" <(config)
    done
    check_same "all are where they were moved" "$(config_shards | cut -d' ' -f3 | uniq -c | xargs)" "5 503 5 504"
    # It sticks against the balance, until the next rebalance.
    admin move "0 504" || fail "move 0"
    check_same "unbalanced as wished" "$(config_shards | cut -d' ' -f3 | sort | uniq -c | xargs)" "4 503 6 504"
    fake_join 505
    is_balanced 503 504 505
    leave 505
    is_balanced 503 504
    leave 503
    is_balanced 504
    leave 504
    is_balanced
}

clients_of() { echo "$work/$([ $(($1 % 2)) = 0 ] && echo a || echo b)/.ctrl"; }
# ten_clients COMMAND: in ten processes over two mounts, with a gid of its own and its control tree.
ten_clients() {
    local gid pids=()
    mount_start b || exit 1
    for gid in 100 101 102 103 104 105 106 107 108 109; do
        "$1" "$gid" "$(clients_of "$gid")" &
        pids+=($!)
    done
    for gid in "${pids[@]}"; do wait "$gid" || fail "one of ten clients"; done
}

scenario C4 "Concurrent leave/join" 30
C4_client() { fake $(($1 + 1000)) >"$2/join" && fake "$1" >"$2/join" && echo $(($1 + 1000)) >"$2/leave"; }
C4() {
    controllers_start
    ten_clients C4_client
    is_balanced 100 101 102 103 104 105 106 107 108 109
    check_same "one config for each command" "$(config_num)" 30
    check_same "no number is missing" "$(ls "$work/a/.ctrl/configs" | wc -l)" 31
}

# only_these_moved BEFORE NAMED…: since then shards moved only to or from one of the groups named.
only_these_moved() {
    local before=$1
    shift
    paste -d' ' <(echo "$before") <(config_shards) | awk -v named="$*" '
        BEGIN { n = split(named, list, " "); for (i = 1; i <= n; i++) may[list[i]] = 1 }
        $3 != $6 && !($3 in may) && !($6 in may) { print "shard " $2 " moved from " $3 " to " $6; bad = 1 }
        END { exit bad }'
}
# join_step GID…, leave_step GID…: one after the other; each time balance holds.
all_gids() { config | sed -n 's/^group \([0-9]*\) .*/\1/p'; }
join_step() {
    for gid; do
        before=$(config_shards)
        fake_join "$gid"
        check "only $gid takes" only_these_moved "$before" "$gid"
        is_balanced $(all_gids)
    done
}
leave_step() {
    for gid; do
        before=$(config_shards)
        leave "$gid"
        check "only $gid gives" only_these_moved "$before" "$gid"
        is_balanced $(all_gids)
    done
}
controllers_with_ten() {
    controllers_start
    fake_join 100 101 102 103 104 105 106 107 108 109
}

scenario C5 "Minimal transfers after joins" 60
C5() {
    local gid before
    controllers_with_ten
    join_step 110 111 112 113 114
    check_same "one config for each" "$(config_num)" 6
}

scenario C6 "Minimal transfers after leaves" 60
C6() {
    local gid before
    controllers_with_ten
    leave_step 109 108 107 106 105 104 103 102 101
    is_balanced 100
}

scenario C7 "Multi-group join/leave" 20
C7() {
    controllers_start
    admin join "1 x:1 y:1 z:1" "2 a:1 b:1 c:1" || fail "join 1 2"
    is_balanced 1 2
    check_same "one config for both" "$(config_num)" 1
    admin join "3 j:1 k:1 l:1" || fail "join 3"
    is_balanced 1 2 3
    check_same "members" "$(members 1), $(members 2), $(members 3)" "x:1 y:1 z:1, a:1 b:1 c:1, j:1 k:1 l:1"
    leave 1 3
    is_balanced 2
    check_same "one config for both to leave" "$(config_num)" 3
    check_same "the members of 2 stay" "$(members 2)" "a:1 b:1 c:1"
    leave 2
    is_balanced
}

scenario C8 "Concurrent multi leave/join" 30
C8_client() {
    local lines
    lines=$(fake "$1"; fake $(($1 + 1000)); fake $(($1 + 2000)))
    cat <<<"$lines" >"$2/join" && echo "$(($1 + 1000)) $(($1 + 2000))" >"$2/leave"
}
C8() {
    controllers_start
    ten_clients C8_client
    is_balanced 100 101 102 103 104 105 106 107 108 109
    check_same "one config for each command" "$(config_num)" 20
}

scenario C9 "Minimal transfers after multi-join" 30
C9() {
    local before
    controllers_start
    fake_join 100 101
    before=$(config_shards)
    fake_join 102 103 104
    check "only the new ones take" only_these_moved "$before" 102 103 104
    is_balanced 100 101 102 103 104
    before=$(config_shards)
    fake_join 105 106 107 108 109 110
    check "only the new ones take" only_these_moved "$before" 105 106 107 108 109 110
    is_balanced 100 101 102 103 104 105 106 107 108 109 110
}

scenario C10 "Minimal transfers after multi-leave" 30
C10() {
    local before
    controllers_with_ten
    before=$(config_shards)
    leave 101 103 105 107 109
    check "only those that leave give" only_these_moved "$before" 101 103 105 107 109
    is_balanced 100 102 104 106 108
    before=$(config_shards)
    leave 100 108
    check "only those that leave give" only_these_moved "$before" 100 108
    is_balanced 102 104 106
}

# takes_lead I: node I was told to lead the controllers. One that has just begun may be behind, and is refused.
takes_lead() { sed -n "s/^\([0-9]*\) addr=${node_addr[$1]} .*/\1/p" "$work/a/.ctrl/groups/ctl/members" >"$work/a/.ctrl/groups/ctl/leader"; }

scenario C11 "Same config on servers" 30
C11() {
    local before first second i
    controllers_start
    fake_join 1 2 3
    fake_join 4 5 6 7
    leave 2 5
    before=$(config)
    # A leader is killed, then each of the three leads in turn: all three replicas have answered.
    first=$(leader_of ctl) || fail "nobody leads"
    node_kill "$first"
    check_same "the next leader's config" "$(config)" "$before"
    second=$(leader_of ctl) || fail "nobody leads after node $first"
    check "another one leads" test "$first" != "$second"
    node_again "$first"
    for i in 1 2 3; do
        check "node $i takes the lead" wait_until 20 takes_lead "$i"
        check_same "node $i leads" "$(leader_of ctl)" "$i"
        check_same "the config of node $i" "$(config)" "$before"
    done
    fake_join 8
    is_balanced 1 3 4 6 7 8
}

# moved BEFORE: how many shards are elsewhere now.
moved() { diff <(echo "$1") <(config_shards) | grep -c '^>'; }

scenario C12 "Minimal transfers, truly" 20
C12() {
    local before
    controllers_start
    fake_join 1
    fake_join 2
    before=$(config_shards)
    fake_join 3
    is_balanced 1 2 3
    check_same "nothing moves between old groups" \
        "$(diff <(echo "$before") <(config_shards) | awk '/^>/ && $4 != 3' | wc -l)" 0
    check "at most 4 of 10 move, $(moved "$before") did" test "$(moved "$before")" -le 4
    before=$(config_shards)
    leave 1
    is_balanced 2 3
    check_same "only the shards of 1 move" "$(diff <(echo "$before") <(config_shards) | awk '/^</ && $4 != 1' | wc -l)" 0
    check "at most 4 of 10 move, $(moved "$before") did" test "$(moved "$before")" -le 4
}

scenarios_main "$@"
