#!/bin/bash
# A mount without a cluster: the embedded node.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
limit 60
controllers=
mkdir "$work/m" "$work/home"
export XDG_DATA_HOME=$work/home
start() { "$rgkvfs" "$work/m" "$@" || return; mounted[m]=1; pid=$(pgrep -f -x -- "$rgkvfs $work/m.*" | head -n 1); mount_pids+=("$pid"); }
node() { pgrep -f -- "rgkvd.*--data $1/node"; }

check "mounts by itself" start
check "its node runs" node "$work/home/rgkvfs"
echo kept >"$work/m/f"
check_same "works" "$(cat "$work/m/f")" kept
umount "$work/m"; unset "mounted[m]"
check "the mount ends" wait_until 20 process_gone "$pid"
check_fails "and its node with it" node "$work/home/rgkvfs"

check "again" start
check_same "what was written is there" "$(cat "$work/m/f")" kept
node_pid[1]=$(node "$work/home/rgkvfs")
kill -KILL "$pid"
check "a killed mount takes its node along" wait_until 10 node_gone 1
umount -l "$work/m"

# `fusermount3 -u; rgkvfs`: the one that ends still has the directory
( flock 9; : >"$work/taken"; sleep 1 ) 9<"$work/home/rgkvfs" &
check "somebody has the directory" wait_until 5 test -e "$work/taken"
check "who ends is waited for" start
umount "$work/m"; unset "mounted[m]"
check "it ends" wait_until 20 process_gone "$pid"

check "another directory" start -o "data=$work/data"
check_fails "is another store" cat "$work/m/f"
check "its data is there" test -d "$work/data/node"
done_testing
