#!/bin/bash
# Every file of the control tree, row by row as rgkvfs-ctrl(5) lists them: its mode, its format, what it says while things happen.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
limit 120
cluster_start 6 3 8
mount_start a || exit 1
c=$work/a/.ctrl
line="101 ${node_addr[1]} ${node_addr[2]} ${node_addr[3]}"

# ---- events: from the open on, by blocking read and by poll ----
cat >"$work/poll.py" <<'PY'
import os, select, sys
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
poll = select.poll()
poll.register(fd, select.POLLIN)
assert poll.poll(0) == [], "something to read before anything happened"
try:
    os.read(fd, 4096)
    sys.exit("a read that cannot wait returned")
except BlockingIOError:
    pass
open(sys.argv[2], "w").close()
text = b""
while b"settled config=1" not in text:
    assert poll.poll(20000), "nothing came in 20 s"
    while poll.poll(0):
        got = os.read(fd, 200)
        assert got.endswith(b"\n") and len(got) <= 200, got
        text += got
os.write(1, text)
PY
timeout 40 python3 "$work/poll.py" "$c/events" "$work/polling" >"$work/polled" 2>"$work/polled.err" &
poller=$!
( exec 7<"$c/events"; : >"$work/reading"; timeout 40 sed '/settled config=1/q' <&7 >"$work/read.events" ) &
reader=$!
check "the poller is ready" wait_until 10 test -e "$work/polling"
check "the reader is ready" wait_until 10 test -e "$work/reading"
check "join" bash -c "echo '$line' > '$c/join'"
check_same "settled" "$(timeout 30 cat "$c/settled")" ok
wait "$poller"; check_same "who polled saw it" "$? $(cat "$work/polled.err")" "0 "
wait "$reader"; check_same "who read saw it" "$?" 0
check_same "both the same" "$(cat "$work/polled")" "$(cat "$work/read.events")"
check_same "each line is a time, a name and KEY=VALUE" \
    "$(grep -vcE '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z [a-z]+( [a-z]+=[^ ]+)+$' "$work/polled")" 0
for words in 'config num=1' "group id=101 state=joined members=" 'group id=101 state=founded' 'shard id=7 state=serving group=101'; do
    check "an event: $words" grep -q "$words" "$work/polled"
done
exec 8<"$c/events"
timeout 1 cat <&8 >"$work/late"
check_same "a reader gets what happens after its open" "$(cat "$work/late")" ""
exec 8<&-

# ---- texts ----
is() { check_same "$1 is as the manual says" "$(grep -vcE "$2" "$c/$1")" 0; check "$1 is not empty" grep -q . "$c/$1"; }
is config '^(num [0-9]+|shard [0-9]+ [0-9]+|group [0-9]+( [^ ]+:[0-9]+){3})$'
is configs/1 '^(num 1|shard [0-9]+ [0-9]+|group [0-9]+( [^ ]+:[0-9]+){3})$'
is shards '^[0-7] (101|102) (virgin|serving|moving|activating|parked) [0-9]+$'
is nodes '^[0-9.:]+ node=[0-9a-f]{16} state=(up|silent) version=[^ ]+ uptime_us=[0-9]+ groups=[0-9,-]+( [a-z_]+=[0-9]+)+$'
is groups/101/leader '^[0-9]+ [0-9.:]+$'
is groups/ctl/leader '^[0-9]+ [0-9.:]+$'
is groups/101/members '^[0-9]+ addr=[0-9.:]+ node=[0-9a-f]{16} state=(leader|follower)( [a-z_]+=[^ ]+)*$'
is groups/ctl/members '^[0-9]+ addr=[0-9.:]+ node=[0-9a-f]{16} state=(leader|follower)( [a-z_]+=[^ ]+)*$'
is health '^(ok|(ctl|101) ok)$'
is mount/options '^[a-z_]+ .+$'
is mount/stats '^[a-z_]+ [0-9]+$'
is version '^rgkvfs [0-9.]+'
one_leader() { [ "$(grep -c 'state=leader' "$c/groups/ctl/members")" = 1 ] && grep -q '^ctl .*\*' "$c/status"; }
check "status marks the controllers' leader" wait_until 5 one_leader
group_led() { grep -q '^101 .*\*' "$c/status"; }
check "status marks the group's leader" wait_until 10 group_led
check_same "a group's shards" "$(tr '\n' ' ' <"$c/groups/101/shards")" "0 1 2 3 4 5 6 7 "
check_same "the controller's" "$(cat "$c/groups/ctl/shards" "$c/groups/ctl/keys" "$c/groups/ctl/bytes" | tr '\n' ' ')" "0 0 "
for i in 1 2 3 4 5; do head -c 1000 /dev/zero >"$work/a/key$i"; done
five_keys() { [ "$(cat "$c/groups/101/keys")" = 5 ] && [ "$(cat "$c/groups/101/bytes")" -ge 5000 ]; }
check "a group's keys and bytes" wait_until 10 five_keys
for file in mount/options version health config configs/1 query shards moves settled groups/101/members groups/101/leader groups/101/shards; do
    check_same "st_size of $file" "$(stat -c %s "$c/$file")" "$(cat "$c/$file" | wc -c)"
done
check_same "st_size of what is only written, and of events" "$(stat -c %s "$c/join" "$c/events" | tr '\n' ' ')" "0 0 "

# ---- what is read can be written back; what is refused has a sentence, under the file's whole name ----
follower() { awk -v l="$(cut -d' ' -f1 "$c/groups/$1/leader")" '$1 != l { print $1, substr($2, 6); exit }' "$c/groups/$1/members"; }
for group in 101 ctl; do
    wanted=$(follower $group)
    check "leadership of $group goes to who is written" bash -c "echo '$wanted' > '$c/groups/$group/leader'"
    check_same "it leads when the write is answered" "$(cat "$c/groups/$group/leader")" "$wanted"
done
check_errno ENOENT "nobody's number" bash -c "echo 5 > '$c/groups/101/leader'"
check "its sentence" grep -q ' /.ctrl/groups/101/leader ENOENT the group has no member 5$' "$c/error"
check_errno EPERM "shards are not written" bash -c "echo x > '$c/shards'"
check "why" grep -q ' /.ctrl/shards EPERM it is only read$' "$c/error"
check_errno EPERM "join is not read" cat "$c/join"
check "why not" grep -q ' /.ctrl/join EPERM it is only written$' "$c/error"
: >"$c/error"
check_same "truncation clears, too" "$(cat "$c/error")" ""
check "a line of config is taken by move" bash -c "grep '^shard 3 ' '$c/config' > '$c/move'"
check_same "and makes a config" "$(head -n 1 "$c/config")" "num 2"
expected="config configs error events groups health join leave metrics mount move moves nodes query settled shards status version"
for name in $expected; do check "$name is listed" grep -qx "$name" <(ls "$c"); done

# ---- metrics ----
metric() { python3 "$top_srcdir/tests/fuse/prometheus.py" "$@" <"$c/metrics"; }
check "metrics are Prometheus text" bash -c "python3 '$top_srcdir/tests/fuse/prometheus.py' <'$c/metrics' >/dev/null"
if command -v promtool >/dev/null; then check "and promtool agrees" bash -c "promtool check metrics <'$c/metrics' 2>&1"; fi
nodes_are_up() { [ "$(metric 'rgkv_node_up{' | tr '\n' ' ')" = "1 1 1 1 1 1 " ]; }
check "all nodes are up" wait_until 10 nodes_are_up
has_metric() { [ -n "$(metric "$1")" ]; }
for name in rgkv_raft_term rgkv_raft_commit_index rgkv_raft_applied_index rgkv_raft_log_bytes rgkv_raft_snapshot_index \
    rgkv_raft_elections_won_total rgkv_node_requests_total rgkv_node_replies_total rgkv_node_refused_total \
    rgkv_node_loop_lag_seconds rgkv_node_loop_work_seconds rgkv_node_table_memory_bytes rgkv_node_disk_free_bytes rgkv_mount_operation_seconds_count \
    rgkv_mount_operation_failures_total rgkv_shards; do
    check "metrics have $name" wait_until 10 has_metric "$name"
done
put_counted() { [ "$(metric 'rgkv_node_requests_total{' >/dev/null; grep 'op="put"' "$c/metrics" | awk '{ n += $2 } END { print n }')" -ge 5 ]; }
check "five puts were counted" wait_until 10 put_counted
check "the mount counts its own" test "$(metric 'rgkv_mount_operation_seconds_count{op="write"}')" -ge 5
python3 - "${node_addr[6]}" <<'PY'
import socket, sys
host, port = sys.argv[1].split(":")
s = socket.create_connection((host, int(port)))
s.sendall(b"GET / HTTP/1.0\r\n\r\n" + b"x" * 4096)
try:
    while s.recv(4096): pass
except ConnectionResetError: pass
PY
refused() { [ "$(metric "rgkv_node_refused_total{node=\"${node_addr[6]}\",reason=\"bad_frame\"}")" = 1 ]; }
check "a frame that is none is counted by its reason" wait_until 10 refused

# ---- round trips: what an operation may cost (open + read + close is 2, the read at the end that `cat` makes asks whether there is more) ----
python3 - "$work/a" <<'PY' || fail "an operation costs more round trips than it may"
import os, sys
d = sys.argv[1]
stats = os.open(d + "/.ctrl/mount/stats", os.O_RDONLY)
def trips():
    text = os.pread(stats, 1 << 16, 0).decode()
    return int([l for l in text.splitlines() if l.startswith("round_trips ")][0].split()[1])
def cost(what, most, f):
    least = 1 << 30                     # something of another operation may still be on its way the first time
    for _ in range(3):
        before = trips(); f(); least = min(least, trips() - before)
    assert least <= most, f"{what}: {least} round trips, at most {most} are allowed"
def put(flags, text):
    fd = os.open(d + "/cost", flags | os.O_CREAT); os.write(fd, text); os.close(fd)
def read(times=1):
    fd = os.open(d + "/cost", os.O_RDONLY)
    for _ in range(times): os.read(fd, 100)
    os.close(fd)
def nothing_else():
    fd = os.open(d + "/cost", os.O_RDONLY)
    before = trips(); os.read(fd, 100); os.close(fd); assert trips() == before, "read and close ask"
put(os.O_WRONLY, b"value\n")
cost("stat", 1, lambda: os.stat(d + "/cost"))
cost("stat of the root", 0, lambda: os.stat(d))
cost("overwrite", 2, lambda: put(os.O_WRONLY | os.O_TRUNC, b"value\n"))
cost("append", 2, lambda: put(os.O_WRONLY | os.O_APPEND, b"value\n"))
cost("change in the middle", 2, lambda: put(os.O_WRONLY, b"v"))
cost("open, read, close", 2, read)
cost("open, read to the end, close", 3, lambda: read(2))
nothing_else()
os.mkdir(d + "/costs")
cost("exclusive create", 2, lambda: os.close(os.open(f"{d}/costs-{trips()}", os.O_WRONLY | os.O_CREAT | os.O_EXCL)))
PY

# ---- progress of a move that cannot end, in words; settled that waits ----
node_kill 4; node_kill 5; node_kill 6
silent() { [ "$(grep -c state=silent "$c/nodes")" = 3 ]; }
check "silent nodes are called so" wait_until 10 silent
check "a group of dead nodes may join" bash -c "echo '102 ${node_addr[4]} ${node_addr[5]} ${node_addr[6]}' > '$c/join'"
timeout --foreground 60 cat "$c/settled" >"$work/settled.out" &
waiting=$!
says_why() { grep -qE '^[0-7] from=101 to=102 state=waiting bytes=[0-9]+ .*age_us=[0-9]+ why="group 102 waits for its nodes: 0 of 3 are there"$' "$c/moves"; }
check "moves say why" wait_until 10 says_why
check "status says it, too" grep -q 'group 102 waits for a node at' "$c/status"
check_same "settled waits" "$(cat "$work/settled.out")" ""
check_same "health is not ok of the group alone that is served" "$(grep -c '^102 empty' "$c/health")" 1
node_start 4; node_start 5; node_start 6
wait "$waiting"
check_same "and ends" "$(cat "$work/settled.out")" ok
check_same "shared" "$(awk '{n[$2]++} END {print n[101], n[102]}' "$c/shards")" "4 4"

# ---- a fresh mount does not call a dead group well ----
mount_start idle
check_same "well at once" "$(head -n 1 "$work/idle/.ctrl/health")" ok
node_kill 4; node_kill 5
mount_start b
check_same "a fresh mount does not say ok" "$(head -n 1 "$work/b/.ctrl/health")" degraded
check "the other group is well" grep -qx "101 ok" "$work/b/.ctrl/health"
b_says_down() { grep -qx "102 down" "$work/b/.ctrl/health"; }
check "then it knows" wait_until 6 b_says_down
idle_says_down() { [ "$(head -n 1 "$work/idle/.ctrl/health")" = degraded ] && grep -qx "102 down" "$work/idle/.ctrl/health"; }
check "so does one that did nothing" wait_until 6 idle_says_down
node_start 4; node_start 5
b_is_ok() { [ "$(head -n 1 "$work/b/.ctrl/health")" = ok ]; }
check "and sees it come back" wait_until 10 b_is_ok

# ---- with the cluster dead ----
for i in 1 2 3 4 5 6; do node_stop "$i"; done
check "metrics need no cluster, and wait for it a second at most" python3 -c '
import sys, time
start = time.monotonic(); text = open(sys.argv[1]).read(); took = time.monotonic() - start
assert "rgkv_mount_cluster_reached 0\n" in text and took < 1.5, took' "$c/metrics"
check_same "cluster_reached" "$(metric rgkv_mount_cluster_reached)" 0
is_down() { [ "$(head -n 1 "$c/health")" = down ]; }
check "health says down" wait_until 6 is_down
for i in 1 2 3 4 5 6; do node_continue "$i"; done
check_same "and it goes on" "$(timeout 20 head -c 4 "$work/a/key1" | wc -c)" 4
mount_stop a; mount_stop b; mount_stop idle
done_testing
