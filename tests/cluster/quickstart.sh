#!/bin/bash
# What the README's first screen promises: quickstart.sh ends with a file written and read back, running it again is
# harmless, fusermount3 -u ends mount and node, mounting again finds the data; and the same for the embedded node by
# itself, which ends with its mount however that ends.
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
limit 150
unset MAKEFLAGS MFLAGS MAKELEVEL
export XDG_DATA_HOME=$work/home HOME=$work/home
mkdir "$work/home"
quickstart() {
    RGKVFS_BUILD=$(realpath "$builddir") timeout 80 sh "$top_srcdir/fuse/quickstart.sh" "$work/$1" >"$work/quickstart.out" 2>&1 && return
    cat "$work/quickstart.out"
    return 1
}

# here NAME DIR: the mount's process and its node's, from then on ended by the trap.
here() {
    mounted[$1]=1
    fs=$(pgrep -f -x -- "$rgkvfs $work/$1.*" | head -n 1)
    node=$(pgrep -f -- "rgkvd.*--data $2/node" | head -n 1)
    mount_pids+=("$fs" "$node")
    [ -n "$fs" ] && [ -n "$node" ]
}
ended() {
    wait_until 10 process_gone "$fs" && wait_until 10 process_gone "$node" && ! mountpoint -q "$work/$1"
}

# ---- the script ----

if [ -w "$top_srcdir" ] && [ -x "$top_srcdir/configure" ]; then
    data=$work/home/rgkvfs
    check "quickstart" quickstart kv
    check "its mount and its node run" here kv "$data"
    check "it shows what it wrote" grep -q "read back: hello from" "$work/quickstart.out"
    check "it says what to type next" grep -q "fusermount3 -u $work/kv" "$work/quickstart.out"
    echo kept >"$work/kv/mine"
    check "again" quickstart kv
    check "is mounted already" grep -q "is mounted already" "$work/quickstart.out"
    check_same "and harmless" "$(cat "$work/kv/mine")" kept
    check_same "still one mount" "$(pgrep -c -f -x -- "$rgkvfs $work/kv.*")" 1
    check "unmount" fusermount3 -u "$work/kv"
    check "ends mount and node" ended kv
    check "again after the end" quickstart kv
    check "both run" here kv "$data"
    check_same "mounting again finds the data" "$(cat "$work/kv/mine")" kept
    fusermount3 -u "$work/kv"
    check "and they end" ended kv
    unset "mounted[kv]"
else
    echo "the source tree cannot be written: quickstart.sh itself is not tried"
fi

# ---- the embedded node by itself ----

mkdir "$work/e"
embedded() { "$rgkvfs" "$work/e" -o "data=$work/data,timeout=3" && here e "$work/data"; }
check "mounts" embedded
for i in $(seq 100); do echo "$i" >>"$work/e/log" || fail "append $i"; done
head -c 700000 /dev/urandom >"$work/blob"
cp "$work/blob" "$work/e/blob"
check_same "it is healthy" "$(head -n 1 "$work/e/.ctrl/health")" ok
umount "$work/e"
check "umount ends mount and node" ended e
check "its files are all below data=" test -d "$work/data/node"

check "mounts again" embedded
check "log" lines_are "$work/e/log" 100
check "blob" cmp "$work/blob" "$work/e/blob"

# kill -9 of the mount in the middle of appends: the node ends too, what was acknowledged is there, nothing twice.
appends_start "$work/e/log2" 2000
progress 100
kill -KILL "$fs"
check "kill -9 of the mount ends its node" wait_until 10 process_gone "$node"
wait "${load_pid[appends]}"
acknowledged=$(($(wc -l <"$work/appends.done") - $(wc -l <"$work/appends.failed")))
check "mounts over the dead mount" embedded
there=$(wc -l <"$work/e/log2")
check "acknowledged $acknowledged, there $there" test "$there" -ge "$acknowledged" -a "$there" -le $((acknowledged + 1))
check "each once, in order" lines_are "$work/e/log2" "$there"

# kill -9 of the node below a mount: calls end with an errno, they do not hang; then the mount can be ended.
kill -KILL "$node"
timeout 45 cat "$work/e/log" >/dev/null 2>"$work/cat.stderr"
status=$?
check_same "without its node nothing is read, and cat ends by itself ($(cat "$work/cat.stderr"))" "$status" 1
umount -l "$work/e" 2>/dev/null
check "the mount ends" wait_until 10 process_gone "$fs"
check "mounts once more" embedded
check "nothing is lost" lines_are "$work/e/log" 100

# One directory belongs to one mount.
mkdir "$work/e2"
out=$(timeout 30 "$rgkvfs" "$work/e2" -o "data=$work/data" 2>&1)
check_same "a second mount of the same data is refused" "$? $(wc -l <<<"$out")" "32 1"
check "with a sentence ($out)" grep -q "$work/data is in use by another mount" <<<"$out"
check "and the first one goes on" lines_are "$work/e/log" 100
umount "$work/e"
check "ended" ended e

# Its port is its name in its cluster: somebody else took it, and the sentence says so.
python3 -c '
import socket, sys, time
s = socket.create_server(("127.0.0.1", int(open(sys.argv[1]).read())))
print("listening", flush=True)
time.sleep(60)' "$work/data/port" >"$work/taken" &
mount_pids+=($!)
disown
check "the port is taken" wait_until 10 grep -q listening "$work/taken"
out=$(timeout 30 "$rgkvfs" "$work/e" -o "data=$work/data,timeout=3" 2>&1)
check_same "it is refused" "$? $(wc -l <<<"$out")" "32 1"
check "with the node's own sentence ($out)" grep -q "cannot listen on 127.0.0.1:$(cat "$work/data/port").*in use" <<<"$out"
check_fails "nothing is mounted" mountpoint -q "$work/e"
unset "mounted[e]"
done_testing
