#!/bin/bash
# Exactly once under fire. Five mounts append their lines to one file, each `echo` a command of its own; beside them a client
# with 300 requests in flight appends to and reads 40 keys. Meanwhile leaders are killed with kill -9, groups join and
# leave, and the file's shard is moved to and fro. At last every line is there once, each writer's in order, no command
# failed, and what the client saw is linearizable (B10, B13, B30, B31, B34).
#
# Each writer has 100 lines at least, 1,000 with RGKVFS_FULL=1, and goes on until enough has happened meanwhile.
. "${top_srcdir:-.}/tests/cluster/scenario-lib.sh"
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
. "${top_srcdir:-.}/tests/cluster/history-lib.sh" || exit 1
lines=$([ -n "${RGKVFS_FULL:-}" ] && echo 1000 || echo 100)
limit $((60 + lines))
node_options=(--snapshot-bytes 100000)
nodes_start 9 3 10
mount_start a || exit 1
join 100 101
settled a
log_shard=$("$builddir/key_shard" 10 log | cut -d' ' -f1)
writers="1 2 3 4 5"
: >"$work/failed"

write_lines() {
    local i=0
    while [ "$i" -lt "$lines" ] || [ ! -e "$work/enough" ]; do
        i=$((i + 1))
        echo "$1 $i" >>"$work/m$1/log" || echo "$1 $i" >>"$work/failed"
    done 2>>"$work/failed"
    echo "$i" >"$work/end.$1"
}
writing() { [ "$(ls "$work"/end.* 2>/dev/null | wc -l)" -lt 5 ]; }
written() { cat "$work/a/log" 2>/dev/null | wc -l; }
wrote() { ! writing || [ "$(written)" -ge "$1" ]; }
# goes_on: ten more lines of whichever writer.
goes_on() { wait_until 30 wrote $(($(written) + 10)) || fail "no 10 more lines in 30 s"; }

for m in $writers; do mount_start "m$m" hard || exit 1; done
for m in $writers; do
    write_lines "$m" &
    load_pid[$m]=$!
done
history_start engine --controllers "$controllers" --clients 300 --keys 40 --append 90 --put 0
history_progress 600

# One round: the leader of one group dies, something is moved while it is away, and it comes back.
kills=0
admins=0
admin_quietly() { admin "$@" >"$work/said" && admins=$((admins + 1)); }
round() {
    local victim gid=$((100 + kills % 2))
    case $((kills % 3)) in
    0) victim=$(leader_of 100) ;;
    1) victim=$(leader_of 101) ;;
    *) victim=$(leader_of ctl) ;;
    esac || return
    [ -n "$victim" ] || return
    node_kill "$victim"
    kills=$((kills + 1))
    admin_quietly move "$log_shard $gid" || fail "move $log_shard $gid: $(cat "$work/said")"
    goes_on
    node_again "$victim"
    if [ $((kills % 4)) = 0 ]; then
        admin_quietly leave "$gid" || fail "leave $gid: $(cat "$work/said")"
        goes_on
        within=60 settled a
        join "$gid" && admins=$((admins + 1))
        goes_on
    fi
}
rounds=0
while writing && [ "$failures" = 0 ]; do
    round
    rounds=$((rounds + 1))
    [ "$kills" -lt 4 ] || [ "$admins" -lt 5 ] || : >"$work/enough"
done
: >"$work/enough"
for m in $writers; do wait "${load_pid[$m]}"; done
history_stop
check "leaders died ($kills) and shards moved ($admins commands) meanwhile" test "$kills" -ge 4 -a "$admins" -ge 5

settled a
timeout 30 cat "$work/a/log" >"$work/log"
all=$(cat "$work"/end.* | awk '{ n += $1 } END { print n }')
echo "$all lines of five mounts; meanwhile $kills leaders killed and $admins administrator's commands"
check_same "no command failed" "$(head -n 3 "$work/failed")" ""
check_same "every line is there, once" "$(wc -l <"$work/log") $(sort -u "$work/log" | wc -l)" "$all $all"
for m in $writers; do
    check "the lines of writer $m are in order" cmp <(sed -n "s/^$m //p" "$work/log") <(seq "$(cat "$work/end.$m")")
done
check "hundreds were in flight" test "$(history_done engine)" -ge 3000
check_linearizable
done_testing
