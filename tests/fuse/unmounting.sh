#!/bin/bash
# A daemon takes down its own mount and no other: not what is mounted below it, over it, or in its place.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
limit 90
one_group
echo text >"$m/f"
mount_stop a
mkdir "$work/m"
d=$work/m

# daemon_start PATH [OPTIONS]: `wanted` mounts are at the path then, and `pid` serves the topmost one.
daemon_start() {
    "$rgkvfs" "$controllers" "$1" -f -o "timeout=10${2:+,$2}" >>"$work/daemons.log" 2>&1 &
    pid=$!
    mount_pids+=("$pid")
    echo "$pid" >>"$work/pids"
    wait_until 20 is_up "$1" || die "no mount at $1: $(cat "$work/daemons.log")"
}
is_up() { [ "$(mounts_at "$1")" = "$wanted" ] && test -e "$1/.ctrl/version"; }
mounts_at() { awk -v d="$1" '$5 == d' /proc/self/mountinfo | wc -l; }
ends() { check "it ends" wait_until 20 process_gone "$1"; }

# ---- below it ----
mount -t tmpfs tmpfs "$d" || skip "no tmpfs"
mounted[m]=1
touch "$d/below"
wanted=2 daemon_start "$d" nonempty
check_same "the mount is on top" "$(cat "$d/f")" text
exec 9<"$d/f"
kill -TERM "$pid"
ends "$pid"
exec 9<&-
check "what is mounted below it stays, though a file was open" test -e "$d/below"

wanted=2 daemon_start "$d" nonempty; lower=$pid
wanted=3 daemon_start "$d" nonempty; upper=$pid
exec 9<"$d/f"
kill -TERM "$upper"
ends "$upper"
exec 9<&-
check_same "of two mounts of ours the lower one stays" "$(mounts_at "$d") $(cat "$d/f")" "2 text"

# ---- over it ----
mount -t tmpfs tmpfs "$d"
touch "$d/above"
kill -TERM "$lower"
ends "$lower"
check "what is mounted over it stays" test -e "$d/above"
umount "$d"
umount -l "$d" 2>/dev/null # the dead one: nobody could reach it
mounts_at "$d" | grep -qx 1 || fail "mounts at $d: $(mounts_at "$d")"
check "and below" test -e "$d/below"
umount "$d"

# ---- in its place ----
wanted=1 daemon_start "$d"; old=$pid
exec 9<"$d/f"
umount -l "$d"
wanted=1 daemon_start "$d"; new=$pid
kill -TERM "$old"
ends "$old"
exec 9<&-
check_same "a mount made where the old one was stays" "$(mounts_at "$d") $(cat "$d/f")" "1 text"

# ---- itself ----
exec 9<"$d/f"
kill -TERM "$new"
ends "$new"
exec 9<&-
check_same "its own it takes down, with a file open as well" "$(mounts_at "$d")" 0
unset "mounted[m]"

# ---- killed while it begins: a process of its own asks it for the names of the control files then ----
cat >"$work/stuck.py" <<'PY'
import fcntl, os, subprocess, sys, time
r, w = os.pipe()
os.write(w, b" " * (fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 4096) - 1200))
daemon = subprocess.Popen(sys.argv[1:] + ["-d"], stdout=w, stderr=w) # it tells of each request, until the pipe is full
while "pipe_write" not in open(f"/proc/{daemon.pid}/wchan").read():
    assert daemon.poll() is None, daemon.returncode
    time.sleep(0.01)
told = os.read(r, 4096)
assert b"opcode: LOOKUP" in told, told
daemon.kill()
daemon.wait()
PY
mounted[m]=1
check "a daemon that does not go on is killed" python3 "$work/stuck.py" "$rgkvfs" "$controllers" "$d"
check_errno ENOTCONN "nobody waits for it" timeout 10 stat "$d/.ctrl/version"
alone() { ! pgrep -f -x -- "$rgkvfs $controllers $d -d"; }
check "nothing of it is left" wait_until 10 alone
umount -l "$d"
unset "mounted[m]"
done_testing
