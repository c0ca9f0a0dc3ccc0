#!/bin/bash
# The scenarios of shards on groups of three real daemons, by number and name, through real mounts. A crash is kill -9 of
# every node of a group. What is written is appended by one process per key that knows what the key must be: a value
# is right if it is exactly what was put and appended, in order, each once (B10, B13, B30, B31, B34, B35).
#
#     tests/cluster/shardkv.sh [S1 ...]
. "${top_srcdir:-.}/tests/cluster/scenario-lib.sh"

scenario S1 StaticShards 60
S1_ended() {
    local n=0 key
    for key in "${keys[@]}"; do ! process_gone "${reader[$key]}" || n=$((n + 1)); done
    [ "$n" -ge "$1" ]
}
S1() {
    local key victim
    declare -A reader
    node_options=(--snapshot-bytes -1)
    shardkv_start
    join 100
    join 101
    settled a
    check_same "half of the shards each" "$(shards_at 100), $(shards_at 101)" "0 1 2 3 4, 5 6 7 8 9"
    keys_choose 1
    keys_put
    keys_check "on two groups"
    group_crash 101
    mount_start b hard || exit 1
    for key in "${keys[@]}"; do
        cat "$work/b/$key" >"$work/got.$key" &
        reader[$key]=$!
    done
    check "the shards of the living group are read" wait_until 20 S1_ended 5
    check_fails "one of the dead group's is read" wait_until 2 S1_ended 6
    for key in $(keys_of 0 1 2 3 4); do check "the value of $key" cmp "$work/want/$key" "$work/got.$key"; done
    check "nor is the control tree held up" timeout 5 grep -q "^ctl ok" "$work/b/.ctrl/health"
    victim=${keys[5]}
    kill -KILL "${reader[$victim]}"
    check "who waits for a dead group can be killed" wait_until 2 process_gone "${reader[$victim]}"
    check_same "no log was cut off" "$(ls -d "$work"/node*/replicas/10*/wal/*01.wal | wc -l)" 6
    group_start 101
    check "the others go on when it is back" wait_until 20 S1_ended 10
    for key in $(keys_of 6 7 8 9); do check "the value of $key" cmp "$work/want/$key" "$work/got.$key"; done
    keys_check "after the restart"
}

scenario S2 JoinLeave 60
S2() {
    shardkv_start
    join 100
    keys_choose 1
    keys_put
    keys_check "on one group"
    join 101
    keys_check_append "after join 101"
    leave 100
    keys_check_append "after leave 100"
    settled a
    group_crash 100
    keys_check "with group 100 dead"
    keys_check_append "with group 100 dead"
    check_same "all is on 101" "$(shards_at 101)" "0 1 2 3 4 5 6 7 8 9"
}

scenario S3 Snapshot 90
S3() {
    node_options=(--snapshot-bytes 1000)
    shardkv_start
    join 100
    keys_choose 3
    keys_put 100000
    keys_check "on one group"
    join 101 && join 102 && leave 100
    keys_check_append "after join 101, 102, leave 100"
    leave 101
    join 100
    keys_check_append "after leave 101, join 100"
    settled a
    keys_check "when settled"
    group_crash 100 101 102
    group_start 100 101 102
    keys_check "after a restart of all"
    keys_check_append "after a restart of all"
}

scenario S4 MissChange 90
S4() {
    node_options=(--snapshot-bytes 1000)
    shardkv_start
    join 100
    keys_choose 1
    keys_put
    keys_check "on one group"
    join 101
    nodes_crash 4 7 10
    join 102
    leave 101
    leave 100
    keys_check_append "one of each group missing"
    join 101
    keys_check_append "and 101 joined again"
    nodes_again 4 7 10
    keys_check_append "they are back"
    settled a
    keys_check "they are back and settled"
    nodes_crash 5 8 11
    join 100
    leave 102
    keys_check_append "another of each group missing"
    nodes_again 5 8 11
    keys_check_append "all are there"
    settled a
    keys_check "in the end"
}

scenario S5 Concurrent1 60
S5() {
    node_options=(--snapshot-bytes 100)
    shardkv_start
    join 100
    keys_choose 1
    keys_put
    appenders_start 10
    join 101
    appenders_progress 200
    join 102
    appenders_progress 200
    leave 100
    group_crash 100
    group_crash 101
    group_crash 102
    check "nobody is served by the dead" wait_until 20 all_wait
    leave 102
    group_start 100 101 102
    appenders_progress 20
    join 100
    leave 101
    appenders_progress 200
    join 101
    appenders_progress 200
    settled a
    appenders_progress 20
    appenders_stop
}

scenario S6 Concurrent2 90
S6() {
    node_options=(--snapshot-bytes -1)
    shardkv_start
    join 101
    join 100
    join 102
    keys_choose 1
    keys_put
    appenders_start 50
    leave 100
    leave 102
    settled a && appenders_progress 100
    join 100
    join 102
    leave 101
    settled a && appenders_progress 100
    join 101
    leave 100
    leave 102
    settled a && appenders_progress 100
    group_crash 101 102
    check "nobody is served by the dead" wait_until 20 all_wait
    group_start 101 102
    appenders_progress 100
    appenders_stop
    check_same "all is on 101" "$(shards_at 101)" "0 1 2 3 4 5 6 7 8 9"
}

scenario S7 Concurrent3 90
S7() {
    local round
    node_options=(--snapshot-bytes 300)
    shardkv_start
    join 100
    keys_choose 1
    keys_put
    appenders_start 0
    RANDOM=7
    for round in $(seq "${RGKVFS_FULL:+6}" 2>/dev/null || seq 4); do
        join 102
        join 101
        appenders_progress $((RANDOM % 300))
        group_crash 100 101 102
        group_start 100 101 102
        appenders_progress $((RANDOM % 300))
        leave 101
        leave 102
        appenders_progress $((RANDOM % 300))
    done
    settled a
    appenders_progress 20
    appenders_stop
    check_same "all is on 100" "$(shards_at 100)" "0 1 2 3 4 5 6 7 8 9"
}

# How many replicas of which group are on disk; a group that left is to be gone from every node.
gids_on_disk() { ls -d "$work"/node*/replicas/10* | sed 's|.*/||; s|-.*||' | sort | uniq -c | xargs; }
gids_on_disk_are() { [ "$(gids_on_disk)" = "$1" ]; }

scenario S11 Challenge1Delete 120
S11() {
    local round
    node_options=(--snapshot-bytes 1)
    shardkv_start
    join 100
    keys_choose 3
    keys_put 75000
    for round in 1 2; do
        join 101 && leave 100 && join 102
        settled a
        keys_check "round $round"
        check "100 is collected on every node" wait_until 20 gids_on_disk_are "3 101 3 102"
        leave 101 && join 100 && leave 102
        settled a
        keys_check "round $round, back"
        check "101 and 102 are collected on every node" wait_until 20 gids_on_disk_are "3 100"
    done
    check_same "all is on 100" "$(shards_at 100)" "0 1 2 3 4 5 6 7 8 9"
    join 101 102
    settled a
    keys_check "in the end"
}

scenario S12 Challenge2Unaffected 60
S12() {
    local key
    shardkv_start
    join 100
    keys_choose 1
    keys_put
    join 101
    settled a
    check_same "half of the shards each" "$(shards_at 100), $(shards_at 101)" "0 1 2 3 4, 5 6 7 8 9"
    for key in $(keys_of 5 6 7 8 9); do key_put "$key" 30; done
    group_crash 100
    leave 100
    check "moves says why" wait_until 10 grep -q "^0 from=100 to=101 .*group 100 does not answer" "$work/a/.ctrl/moves"
    for key in $(keys_of 5 6 7 8 9); do
        key_check "$key" "with 100 dead"
        key_put "$key" 30
        key_check "$key" "put with 100 dead"
    done
    check_same "the dead group's shards wait" "$(grep -c from=100 "$work/a/.ctrl/moves")" 5
    group_start 100
    settled a
    check_same "they arrive when it is back" "$(shards_at 101)" "0 1 2 3 4 5 6 7 8 9"
    keys_check "in the end"
}

scenario S13 Challenge2Partial 60
S13() {
    local key of_102
    shardkv_start
    join 100 101 102
    settled a
    keys_choose 1
    keys_put
    of_102=$(shards_at 102)
    check_same "a third of the shards each" "$(shards_at 100) | $(shards_at 101) | $of_102 |" "0 1 2 3 | 4 5 6 | 7 8 9 |"
    group_crash 100
    leave 100 102
    for key in $(keys_of $of_102); do
        key_check "$key" "on its way past the dead"
        key_put "$key" 30
        key_check "$key" "put past the dead"
    done
    check "served as they arrive" wait_until 20 shards_at_is 101 "4 5 6 7 8 9"
    for key in $(keys_of 4 5 6 $of_102); do
        key_check "$key" "with 100 dead"
        key_put "$key" 30
        key_check "$key" "put with 100 dead"
    done
    check_same "the dead group's shards wait" "$(grep -c from=100 "$work/a/.ctrl/moves")" 4
    group_crash 102
    for key in $(keys_of $of_102); do key_check "$key" "with 102 dead too"; done
    group_start 100 102
    settled a
    check_same "they arrive when it is back" "$(shards_at 101)" "0 1 2 3 4 5 6 7 8 9"
    keys_check "in the end"
}

scenarios_main "$@"
