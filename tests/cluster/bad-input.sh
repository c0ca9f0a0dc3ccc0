#!/bin/bash
# Whatever is wrong gets one clear sentence and a non-zero exit or an errno; nothing is lost and no daemon dies of it:
# options, ports, data directories of others or damaged, mount points, dead controllers, control writes, bytes on the
# daemon's port (B10, B12, B16, B17 and "Bytes from outside").
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
limit 180
hostile="$top_srcdir/tests/cluster/hostile.py"
export LC_ALL=C

# refused STATUS WORDS COMMAND…: it ends by itself with the status; the last line it says, of one program, has the words.
refused() {
    local status=$1 words=$2 out is
    shift 2
    checks=$((checks + 1))
    out=$(timeout 20 "$@" 2>&1 </dev/null)
    is=$?
    out=$(grep -v "rgkvd: ready on" <<<"$out")
    [ "$is" = "$status" ] && [ "$(wc -l <<<"$out")" = 1 ] && grep -qiE -- "$words" <<<"$out" && return
    fail "exit $is (wanted $status) of $*: \"$out\" (wanted $words)"
}
node() { refused "$1" "$2" "$rgkvd" "${@:3}"; }

# ---- the command line ----

some=(--listen 127.0.0.1:0 --data "$work/none" --controllers 127.0.0.1:1)
node 2 "listen is missing" --data "$work/none"
node 2 "data is missing" --listen 127.0.0.1:0
node 2 "not an option" "${some[@]}" --nonsense
node 2 "not an option" "${some[@]}" word
node 2 "needs a value" --listen
node 2 "takes no value" --insecure=yes
node 2 "HOST:PORT" --listen 127.0.0.1 --data "$work/none"
node 2 "HOST:PORT" --listen 127.0.0.1:70000 --data "$work/none"
node 2 "controllers.*nonsense" --listen 127.0.0.1:0 --data "$work/none" --controllers nonsense
node 2 "number from 1" "${some[@]}" --shards 0
node 2 "number from 1" "${some[@]}" --shards 1e9
node 2 "number from -1" "${some[@]}" --snapshot-bytes=-2
node 2 "half of --election-ms" "${some[@]}" --election-ms 50
node 1 "no controllers are known" --listen 127.0.0.1:0 --data "$work/blank"
node 1 "needs --insecure" --listen 192.0.2.1:7400 --data "$work/none" --controllers 127.0.0.1:1
check_fails "no data directory is left by a refused command line" test -e "$work/none/manifest"

# ---- the cluster that must not suffer from any of this ----

nodes_start 3
mount_start a || exit 1
join_all 101 || exit 1
appends_start "$work/a/log" 100 before
appends_check "$work/a/log" 100 before

# ---- ports and data directories ----

read -r port other_port < <(free_ports 2)
here=127.0.0.1:$port
there=127.0.0.1:$other_port
node 1 "cannot listen on ${node_addr[1]}.*in use" --listen "${node_addr[1]}" --data "$work/new" --controllers "$controllers"
node 1 "node2/lock is locked: another process" --listen "$here" --data "$work/node2" --controllers "$controllers"
: >"$work/a-file"
node 1 "a-file" --listen "$here" --data "$work/a-file" --controllers "$controllers"
node 1 "missing/dir" --listen "$here" --data "$work/missing/dir" --controllers "$controllers"
node 1 "/proc" --listen "$here" --data /proc/nodir --controllers "$controllers"
mkdir "$work/others" && echo precious >"$work/others/photo"
node 1 "no manifest but other files.*photo" --listen "$here" --data "$work/others" --controllers "$controllers"
check_same "others' files are left alone" "$(cat "$work/others/photo")" precious

# A node of this cluster pointed at controllers that are not its own: it says so and asks its own. And one with the directory of another
# node.
node_kill 3
node3=(--listen "${node_addr[3]}" --data "$work/node3" --controllers "$controllers")
right=$controllers
controllers=$there
node_start 3
controllers=$right
check "a list without any controller of the cluster is worth a word" wait_until 10 said 3 "names none of the controllers"
node_kill 3
node 1 "belongs to the controller at ${node_addr[3]}" --listen "$here" --data "$work/node3" --controllers "$controllers"

# Damage: each in a copy that is put back afterwards.
flip() {
    python3 - "$1" <<'PY'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
at = len(bytes(data).rstrip(b"\0")) // 2
data[at] ^= 0xff
open(sys.argv[1], "wb").write(data)
PY
}
zero_head() { dd if=/dev/zero of="$1" bs=64 count=1 conv=notrunc status=none; }
damaged() {
    local words=$1 file
    cp -a "$work/node3" "$work/intact"
    # shellcheck disable=SC2086
    file=$(ls -d $work/node3/$2 | tail -n 1)
    "${@:3}" "$file"
    refused 1 "$words" "$rgkvd" "${node3[@]}"
    rm -rf "$work/node3"
    mv "$work/intact" "$work/node3"
}
damaged "/node3/manifest is damaged" manifest flip
damaged "/node3/manifest is damaged" manifest truncate -s 30
damaged "has no manifest but replicas" manifest rm
damaged "wal is damaged at offset [0-9]+: .*FAILURES in rgkvd" 'replicas/101-*/wal/*.wal' flip
damaged "wal is damaged at offset 0: its header" 'replicas/101-*/wal/*.wal' zero_head
damaged "table in .*/node3/replicas/101-.* cannot be opened: " 'replicas/101-*/table.*/CURRENT' flip
# The manifest that counts: a node that was killed while it opened its table leaves a newer one.
counts=$(cat "$work"/node3/replicas/101-*/table.*/CURRENT | tail -n 1)
damaged "table in .*/node3/replicas/101-.* cannot be opened: " "replicas/101-*/table.*/$counts" flip
# A log that is gone: the member could have promised anything, so it runs but never votes again (P1).
cp -a "$work/node3" "$work/intact"
rm -r "$work"/node3/replicas/101-*/wal
node_again 3
check "a member whose log is gone says so" wait_until 20 said 3 "the log of member"
echo "without it" >"$work/a/k"
check_same "the others go on" "$(cat "$work/a/k")" "without it"
node_kill 3
rm -rf "$work/node3"
mv "$work/intact" "$work/node3"
node_again 3
check "the intact directory is as good as ever" wait_until 20 all_up 3

# ---- mounts ----

mkdir "$work/m" "$work/full" && touch "$work/full/x"
refused 32 "nowhere.*no such file" "$rgkvfs" "$controllers" "$work/nowhere"
refused 32 "a-file.*not a directory" "$rgkvfs" "$controllers" "$work/a-file"
refused 32 "full.*not empty" "$rgkvfs" "$controllers" "$work/full"
refused 32 "$there.*|reached" "$rgkvfs" "$there" "$work/m" -o timeout=1
refused 1 "nonsense" "$rgkvfs" "$controllers" "$work/m" -o nonsense
refused 1 "host:port" "$rgkvfs" "host:port" "$work/m"
check_fails "nothing is mounted by these" mountpoint -q "$work/m"

# ---- control writes ----

# control ERRNO WORDS FILE TEXT: the write fails with it, and the last sentence in `error` has the words. (By dd: bash's
# printf makes a write of each line, and each would be an operation of its own.)
control() {
    check_errno "$1" "$3 <- ${4:0:60}" bash -c "printf '%b' \"\$1\" | dd of='$work/a/.ctrl/$3' bs=1M iflag=fullblock status=none" sh "$4"
    check "the sentence of $3 <- ${4:0:60} ($(tail -n 1 "$work/a/.ctrl/error"))" \
        bash -c "tail -n 1 '$work/a/.ctrl/error' | grep -qE -- ' $1 .*$2'"
}
control EINVAL "there is no group in it" join "\n"
control EINVAL "group 7 has no addresses" join "7"
control EINVAL "is no group id" join "x 127.0.0.1:1"
control EINVAL "is no group id" join "-1 127.0.0.1:1"
control EINVAL "0 is the controller" join "0 127.0.0.1:1"
control ERANGE "too large" join "99999999999999999999999 127.0.0.1:1"
control EINVAL "is not an address" join "7 nonsense"
control EINVAL "is not an address" join "7 127.0.0.1:99999"
control EINVAL "is not an address" join "7 $(printf '%0300d' 7):1"
control EINVAL "twice" join "7 127.0.0.1:1 127.0.0.1:1"
control EINVAL "more than 9 members" join "7 h:1 h:2 h:3 h:4 h:5 h:6 h:7 h:8 h:9 h:10"
control EEXIST "group 101 is in the cluster" join "7 127.0.0.1:1\n101 127.0.0.1:2"
control EINVAL "plain text" join '\0\01\0377'
control EINVAL "is no group id" leave "x"
control ENOENT "group 7 is not" leave "7"
control ENOENT "group 7 is not" leave "101 7"
control EINVAL "group id is missing" move "1"
control EINVAL "one word too many" move "1 101 3"
control EINVAL "is no shard" move "-1 101"
control ERANGE "shard 16 is not between 0 and 15" move "16 101"
control ENOENT "group 77 is not" move "1 77"
control EINVAL "is no config number" query "x"
control ENOENT "no config with that number" query "99"
check_errno EINVAL "binary of 2 MB" bash -c "head -c 2000000 /dev/urandom >'$work/a/.ctrl/join'"
check_same "none of these changed anything" "$(head -n 1 "$work/a/.ctrl/config"; cat "$work/a/.ctrl/settled")" "num 1
ok"

# ---- bytes on the port ----

rss() { awk '/^VmRSS/ { print $2 }' "/proc/${node_pid[$1]}/status"; }
before=$(rss 1)
appends_start "$work/a/log2" 300 meanwhile
check "garbage is hung up on" python3 "$hostile" garbage "${node_addr[1]}"
check "garbage for a leader" python3 "$hostile" garbage "${node_addr[$(leader_of 101)]}"
check "many connections that say nothing" python3 "$hostile" idle "${node_addr[1]}" 400
appends_check "$work/a/log2" 300 meanwhile
for i in 1 2 3; do check_fails "node $i has died" node_gone "$i"; done
check "it says so, but not for each ($(wc -l <"$work/node1.log") lines)" \
    bash -c "grep -q 'closed the connection of' '$work/node1.log' && [ \$(wc -l <'$work/node1.log') -lt 60 ]"
check "what was announced was not allocated ($before kB, then $(rss 1) kB)" test $(($(rss 1) - before)) -lt 65536
check "all is there" lines_are "$work/a/log" 100

# A whole session of a mount, said again by somebody else: nothing is applied twice (B10).
mount_stop a
for i in 1 2 3; do node_kill "$i"; done
rm -rf "$work/node1" "$work/logs"/node1.*
controllers=$there
"$rgkvd" --listen "$here" --advertise "$there" --data "$work/node1" --controllers "$there" --shards 4 >"$work/node1.log" 2>&1 &
node_pid[1]=$!
node_addr[1]=$there
python3 "$hostile" proxy "$other_port" "$here" "$work/said" 2>/dev/null &
mount_pids+=($!)
disown -a
wait_until 20 node_is_ready 1 || die "the node behind the proxy is not ready"
mount_start a || exit 1
join_group 5 1 || exit 1
appends_start "$work/a/log" 40
appends_check "$work/a/log" 40
echo "value" >"$work/a/k"
rm "$work/a/k"
echo "again" >"$work/a/k"
check "replayed" python3 "$hostile" replay "$here" "$work"/said.*
check "no append is applied twice" lines_are "$work/a/log" 40
check_same "and no put of yesterday" "$(cat "$work/a/k")" again
check_same "nor an admin command" "$(head -n 1 "$work/a/.ctrl/config")" "num 1"
check_fails "the node has died" node_gone 1
done_testing
