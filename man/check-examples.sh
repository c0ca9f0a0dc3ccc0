#!/bin/bash
# Every command in the EXAMPLES of the manual pages is run, as it stands there, on a cluster of its own: in namespaces where the ports, /mnt, /var/lib,
# /etc/fstab and /usr/sbin of the examples are this test's own. A block that fails is printed.
if [ -z "${RGKV_OWN_WORLD:-}" ] && [ "$(id -u)" = 0 ] && unshare -m -n true 2>/dev/null && command -v ip >/dev/null; then
    RGKV_OWN_WORLD=1 exec unshare -m -n --propagation private -- bash "$0" "$@"
fi
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
[ -n "${RGKV_OWN_WORLD:-}" ] || skip "no namespaces"
ip link set lo up || skip "no loopback"
limit 120
src=$(realpath "${top_srcdir:-.}")

mkdir "$work/bin" "$work/layer" "$work/home" "$work/blocks"
mount -t tmpfs tmpfs "$work/layer" && mkdir "$work/layer/sbin" "$work/layer/sbin.work" "$work/layer/etc" "$work/layer/etc.work" &&
    mount -t overlay overlay -o "lowerdir=/usr/sbin,upperdir=$work/layer/sbin,workdir=$work/layer/sbin.work" /usr/sbin &&
    mount -t overlay overlay -o "lowerdir=/etc,upperdir=$work/layer/etc,workdir=$work/layer/etc.work" /etc &&
    mount -t tmpfs tmpfs /mnt && mount -t tmpfs tmpfs /var/lib || skip "no layers over system directories"
: >/etc/fstab
ln -sf "$rgkvfs" /usr/sbin/mount.rgkvfs
ln -s "$rgkvfs" "$work/bin/rgkvfs"
ln -s "$rgkvd" "$work/bin/rgkvd"
export PATH=$work/bin:$PATH HOME=$work/home XDG_DATA_HOME=
unset XDG_DATA_HOME
mkdir -p /mnt/kv /var/lib/rgkv

# blocks PAGE: the commands between .nf and .fi of EXAMPLES, a file for each block.
blocks() {
    python3 - "$src/man/$1" "$work/blocks/$1" <<'PY'
import re, sys
section, block, n = False, None, 0
for line in open(sys.argv[1]):
    line = line.rstrip("\n")
    if line.startswith(".SH"): section = line == ".SH EXAMPLES"
    elif section and line == ".nf": block = []
    elif section and line == ".fi":
        n += 1
        open(f"{sys.argv[2]}.{n}", "w").write("\n".join(block) + "\n")
        block = None
    elif block is not None:
        text = line.replace("\\-", "-").replace("\\(dq", '"').replace("\\&", "").replace("\\e", "\\")
        assert not re.search(r"\\[a-zA-Z(*]", text), f"markup in an example: {line}"
        block.append(text)
assert n, f"{sys.argv[1]}: no EXAMPLES"
PY
}
run_block() {
    [ -s "$1" ] || return 1
    timeout 60 bash -e "$1" >"$1.out" 2>&1 && return
    echo "--- $1:"; cat "$1"; echo "--- said:"; tail -n 5 "$1.out"
    return 1
}
listens() { python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1)' "$1"; }
unmounted() { ! mountpoint -q "$1"; }

for page in rgkvd.8 rgkvfs.8 rgkvfs-ctrl.5 rgkv.7; do check "$page has EXAMPLES" blocks "$page"; done
first() { sed -n 's/^\.SH //p' "$src/man/$1" | grep -vx 'NAME\|SYNOPSIS' | head -n 1; }
for page in rgkvd.8 rgkvfs.8 rgkvfs-ctrl.5 rgkv.7; do check_same "EXAMPLES come first in $page" "$(first "$page")" EXAMPLES; done

# nodes, in this shell, for they stay
for block in "$work"/blocks/rgkvd.8.?; do
    while read -r command; do
        eval "${command%&} >>'$work/nodes.log' 2>&1 </dev/null &"
        node_pid[$((++n_nodes))]=$!
        echo $! >>"$work/pids"
    done <"$block"
done
check_same "rgkvd(8) starts four nodes" "$n_nodes" 4
for port in 7401 7402 7403 7404; do check "a node listens at $port" wait_until 20 listens $port; done

# a block that leaves a mount leaves it at /mnt/kv, which the later pages use
mounts=0
for block in "$work"/blocks/rgkvfs.8.?; do
    check "rgkvfs(8): $(head -n 1 "$block")" run_block "$block"
    mounts=$((mounts + 1))
    mountpoint -q /mnt/kv || check "/mnt/kv is free again" wait_until 10 unmounted /mnt/kv
    [ "$mounts" != 3 ] || check "mounted by fstab" mountpoint -q /mnt/kv
    # the examples below the third write to it: a group is wanted
    if [ "$mounts" = 3 ]; then check "rgkvfs-ctrl(5): join" run_block "$work/blocks/rgkvfs-ctrl.5.1"; fi
done
check "rgkv(7)" run_block "$work/blocks/rgkv.7.1"
check_same "rgkv(7) did what it says" "$(cat /mnt/kv/greeting /mnt/kv/log /mnt/kv/app/old/config | tr '\n' ' ')" "hello line v1 "
for n in 2 3 4; do check "rgkvfs-ctrl(5): block $n" run_block "$work/blocks/rgkvfs-ctrl.5.$n"; done
replaced() { grep -q "127.0.0.1:7404" /mnt/kv/.ctrl/groups/101/members && ! grep -q "127.0.0.1:7403" /mnt/kv/.ctrl/groups/101/members; }
check "the member is replaced" wait_until 30 replaced
check_same "nothing was lost by it" "$(cat /mnt/kv/greeting)" hello
umount /mnt/kv
check "the mount ends" wait_until 10 unmounted /mnt/kv
for pid in "${node_pid[@]}"; do kill -KILL "$pid"; wait "$pid" 2>/dev/null; done
umount /var/lib /mnt /etc /usr/sbin
umount "$work/layer"
done_testing
