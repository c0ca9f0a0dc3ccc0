#!/bin/bash
# Power cuts (B8, B14, B15, B18): every node has a file system of its own on a loop device; it is shut down under the running
# process, which drops everything that is not durable, renames and new files too; the process is killed, the file system mounted again
# (its journal replayed) and the node started. One node in turn, and all three at once, under load: everything acknowledged is there.
#
#     power-cut.sh [ROUNDS]     RGKVFS_FULL=1: 24
# In a mount namespace of its own: whoever makes one meanwhile would keep a copy of a file system that is to be shut down and gone.
[ -n "${RGKV_OWN_MOUNTS:-}" ] || [ "$(id -u)" != 0 ] || RGKV_OWN_MOUNTS=1 exec unshare --mount --propagation private bash "$0" "$@"
. "${top_srcdir:-.}/tests/cluster/fault-lib.sh" || exit 1
limit "$([ -n "$full" ] && echo 1200 || echo 150)"
rounds=${1:-${full:+24}}
rounds=${rounds:-3}
node_options=(--snapshot-bytes 200000)

disk_mount() { mount -o loop "$work/disk$1" "$work/node$1"; }
disk_make() {
    truncate -s 600M "$work/disk$1"
    mkfs.ext4 -q -F "$work/disk$1" && mkdir -p "$work/node$1" && disk_mount "$1"
}
unmount_all() { for i in 1 2 3; do umount -l "$work/node$i" 2>/dev/null; done; }

# power_off DIR…: the ioctl FS_IOC_SHUTDOWN without flushing the journal, on each.
power_off() {
    python3 - "$@" <<'PY'
import fcntl, os, struct, sys
fds = [os.open(d, os.O_RDONLY) for d in sys.argv[1:]]
for fd in fds: fcntl.ioctl(fd, 0x8004587d, struct.pack("I", 2))
PY
}

# cut I…: the power of these nodes goes at one moment; then it comes back.
cut() {
    local i dirs=()
    for i in "$@"; do dirs+=("$work/node$i"); done
    power_off "${dirs[@]}" || { fail "no power cut"; return 1; }
    for i in "$@"; do
        kill -KILL "${node_pid[$i]}" 2>/dev/null
        wait_until 20 node_gone "$i" || fail "node $i does not end"
        wait_until 20 umount "$work/node$i" || fail "unmounting the disk of node $i"
        disk_mount "$i" || fail "the disk of node $i cannot be mounted again"
        node_again "$i"
    done
}

mkdir "$work/try" && truncate -s 20M "$work/try.img" && mkfs.ext4 -q -F "$work/try.img" 2>/dev/null &&
    mount -o loop "$work/try.img" "$work/try" 2>/dev/null || skip "no loop devices here"
umount "$work/try"

trap 'status=$?; for pid in "${node_pid[@]}"; do kill -KILL "$pid" 2>/dev/null; done; unmount_all; (exit $status); cleanup' EXIT
for i in 1 2 3; do disk_make "$i" || skip "no loop devices for three disks"; done
nodes_start 3
join_nodes 101 1 2 3 || exit 1
ledger_start load --workers 8 --value-bytes 3000 --timeout 60
for ((round = 1; round <= rounds; round++)); do
    ledger_progress load 150 || break
    case $((round % 3)) in
    0) cut 1 2 3 ;;
    1) cut "$(leader_number 101)" ;;
    2) cut $((round / 3 % 3 + 1)) ;;
    esac
    [ "$failures" = 0 ] || break
done
ledger_progress load 150
ledger_stop load
ledger_check load --value-bytes 3000
for i in 1 2 3; do node_kill "$i"; done
for i in 1 2 3; do node_again "$i"; done
ledger_check load --value-bytes 3000
echo "$rounds power cuts, every third of all three nodes: $(ledger_said load); $(cat "$work/load.check")"
done_testing
