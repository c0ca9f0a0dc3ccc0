#!/bin/bash
# The control tree: texts, errnos and sentences.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
limit 90
cluster_start 3
mount_start a timeout=4 || exit 1
c=$work/a/.ctrl

check_same "before any group the newest config is 0" "$(head -n 1 "$c/config")" "num 0"
check_errno EHOSTDOWN "no group, no keys" bash -c "echo x > '$work/a/f'"
check "its sentence is in error" grep -q "EHOSTDOWN no group" "$c/error"
check "anything clears it" bash -c "echo > '$c/error'"
check_same "cleared" "$(cat "$c/error")" ""
for clearing in ': >"$1"' 'truncate -s 0 "$1"' 'python3 -c "import os, sys; os.ftruncate(os.open(sys.argv[1], os.O_RDWR), 0)" "$1"'; do
    cat "$c/join" 2>/dev/null
    check "something failed" grep -q EPERM "$c/error"
    check "truncation: $clearing" bash -c "$clearing" _ "$c/error"
    check_same "clears it" "$(cat "$c/error")" ""
done

check_errno EINVAL "join without members" bash -c "echo 7 > '$c/join'"
check "join's sentence" grep -q " EINVAL ." "$c/error"
check_errno EINVAL "join of nonsense" bash -c "echo 'x y z' > '$c/join'"
check_errno ENOENT "leave of an unknown group" bash -c "echo 999 > '$c/leave'"
check_errno EINVAL "move without a group" bash -c "echo 1 > '$c/move'"

join_all 101 || exit 1
check_errno EEXIST "join again" bash -c "echo '101 ${node_addr[1]}' > '$c/join'"
check_same "config" "$(sed -n '1p;2p;$p' "$c/config")" "num 1
shard 0 101
group 101 ${node_addr[1]} ${node_addr[2]} ${node_addr[3]}"
check_same "configs/N" "$(ls "$c/configs" | tr '\n' ' '; head -n 1 "$c/configs/0")" "0 1 num 0"
check_errno ENOENT "a config that never was" cat "$c/configs/99"
check_same "query by one handle" "$(exec 5<>"$c/query"; echo 0 >&5; head -n 1 <&5)" "num 0"
check_same "query of the newest" "$(exec 5<>"$c/query"; echo -1 >&5; head -n 1 <&5)" "num 1"
check_same "query read line by line" "$(exec 5<>"$c/query"; echo 00000 >&5; read -r line <&5; echo "$line"; read -r word rest <&5; echo "$word")" "num 0
shard"
check_same "query read byte by byte" "$(exec 5<>"$c/query"; echo 0 >&5; dd bs=1 status=none <&5)" "$(cat "$c/configs/0")"
check_same "two queries by one handle" "$(exec 5<>"$c/query"; echo 0 >&5; read -r line <&5; echo 1 >&5; cat <&5)" "$(cat "$c/configs/1")"
check_same "read again from the beginning it is the newest" \
    "$(python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_RDWR); os.write(fd, b"0\n"); os.read(fd, 99); os.lseek(fd, 0, 0); print(os.read(fd, 5).decode())' "$c/query")" "num 1"
check_errno EINVAL "query of nonsense" bash -c "echo two > '$c/query'"
check_same "shards" "$(wc -l <"$c/shards")" 16
check_same "settled" "$(cat "$c/settled")" ok
check_same "no moves" "$(cat "$c/moves")" ""
check "status is for people" grep -q 101 "$c/status"
check_same "nodes" "$(wc -l <"$c/nodes")" 3
check_same "groups" "$(ls "$c/groups" | tr '\n' ' ')" "101 ctl "
check_same "members" "$(grep -c . "$c/groups/101/members")" 3
check "leader" grep -q . "$c/groups/101/leader"
check_same "what is read after a write begins at its beginning" \
    "$(exec 5<>"$c/groups/101/leader"; read -r id rest <"$c/groups/101/leader"; echo "$id" >&5; read -r line <&5; echo "$line")" \
    "$(cat "$c/groups/101/leader")"
check "leader of the controllers" grep -q . "$c/groups/ctl/leader"
check_errno ENOENT "no such group" ls "$c/groups/55"

# a second group, a move, leaving
echo x >"$work/a/before"
join_group 102 1 2 3 || exit 1
check_same "two groups share the shards" "$(awk '{n[$2]++} END {print n[101], n[102]}' "$c/shards")" "8 8"
check_same "keys moved along" "$(cat "$work/a/before")" x
shard=$(awk '$2 == 101 {print $1; exit}' "$c/shards")
check "move" bash -c "echo '$shard 102' > '$c/move'"
check_same "moved" "$(cat "$c/settled"; awk -v s="$shard" '$1 == s {print $2}' "$c/shards")" "ok
102"
check_errno ENOENT "move to an unknown group" bash -c "echo '$shard 77' > '$c/move'"
check_errno ERANGE "move of an unknown shard" bash -c "echo '16 102' > '$c/move'"
check "leave" bash -c "echo 102 > '$c/leave'"
check_same "left" "$(cat "$c/settled"; awk '{n[$2]++} END {print n[101]}' "$c/shards")" "ok
16"
check_same "and the keys are there" "$(cat "$work/a/before")" x

# several groups in one config, as rgkvfs-ctrl(5) shows
number() { sed -n 's/^num //p' "$c/config"; }
before=$(number)
cat >"$c/join" <<END
103 ${node_addr[1]}
104 ${node_addr[2]}
END
check_same "lines that cat writes join in one config" "$(number) $(grep -c '^group' "$c/config")" "$((before + 1)) 3"
check "they leave" bash -c "echo 103 104 > '$c/leave'"
check_same "settled without them" "$(cat "$c/settled")" ok
seq -f "%g ${node_addr[1]}" 201 265 >"$work/many"
check_errno EINVAL "65 groups in one write" cp "$work/many" "$c/join"
check "its sentence tells the bound" grep -q "more than 64 groups" "$c/error"

# what is not allowed
check_errno EPERM "remove" rm "$c/join"
check_errno EPERM "create" touch "$c/new"
check_errno EPERM "mkdir" mkdir "$c/newdir"
check_errno EPERM "chmod" chmod 777 "$c/join"
check_errno EPERM "read of what is only written" cat "$c/join"
check_errno EPERM "write of what is only read" bash -c "echo x > '$c/status'"
check_errno EPERM "the name is reserved" mkdir "$work/a/.ctrl"/../.ctrl/x
check_errno ENOENT "no such file" cat "$c/nothing"

# local files
check_same "version" "$(cat "$c/version")" "$("$rgkvfs" --version)"
check_same "true size" "$(stat -c %s "$c/version")" "$(wc -c <"$c/version")"
check "options" grep -qx "timeout 4" "$c/mount/options"
check "stats" grep -q "^requests [1-9]" "$c/mount/stats"
check "inflight" test -r "$c/mount/inflight"
check_errno ENOENT "abort of nothing" bash -c "echo 999999 > '$c/mount/abort'"
check_same "health" "$(head -n 1 "$c/health")" ok
check_same "hidden" "$(ls -A "$work/a" | grep -c ctrl)" 0

# an interrupted wait, and the local files with the cluster dead
python3 -c '
import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
open(sys.argv[2], "w").close()
while not os.path.exists(sys.argv[3]): time.sleep(0.01)
os.write(fd, b"s" * 4096)
open(sys.argv[4], "w").close()
time.sleep(600)' "$work/a/staged" "$work/opened" "$work/dead" "$work/written" &
stager=$!
check "a file is open" wait_until 10 test -e "$work/opened"
node_kill 1; node_kill 2
touch "$work/dead"
check "blocks are staged without the cluster" wait_until 5 test -e "$work/written"
timeout --foreground 5 cat "$work/a/before" >/dev/null 2>&1 &
reader=$!
is_waiting() { grep -q "op=lookup path=/before " "$c/mount/inflight"; } # the staged blocks may wait there, too
check "a read waits for the group" wait_until 5 is_waiting
timeout --foreground 5 cat "$work/a/two"$'\n'"lines" >/dev/null 2>&1 &
two_lines=$!
is_one_line() { grep -q "op=lookup path=/two?lines age_us=" "$c/mount/inflight"; }
check "whatever a name has in it, a call is one line" wait_until 5 is_one_line
kill -INT "$two_lines"; wait "$two_lines" 2>/dev/null
start=$(date +%s%N)
kill -INT "$reader"; wait "$reader" 2>/dev/null
check "INT ends the wait at once" test $((($(date +%s%N) - start) / 1000000)) -lt 2000
check_errno EHOSTDOWN "then its sentence" timeout 30 cat "$work/a/before"
is_down() { [ "$(head -n 1 "$c/health")" = down ]; }
check "health says so" wait_until 10 is_down
check "the listing of the control tree needs nobody" timeout 5 ls "$c"
cat "$work/a/before" >/dev/null 2>"$work/aborted" &
reader=$!
check "a waiting call is listed" wait_until 5 is_waiting
check "abort all" bash -c "echo all > '$c/mount/abort'"
wait "$reader"
check "it ended with ECANCELED" grep -q "canceled" "$work/aborted"
cat "$work/a/before" >/dev/null 2>&1 &
reader=$!
check "one more waits" wait_until 5 is_waiting
kill -KILL "$reader"
check "KILL ends it at once" wait_until 2 process_gone "$reader"
go=$SECONDS
kill -KILL "$stager"
wait "$stager" 2>/dev/null
check "a process that exits with staged data is not held up" test $((SECONDS - go)) -lt 3
node_start 1; node_start 2
check_same "alive again" "$(timeout 30 cat "$work/a/before")" x
done_testing
