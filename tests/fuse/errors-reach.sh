#!/bin/bash
# Errors reach the user: for each tool and each trouble the command fails within the timeout, with the errno that says what is known, and
# /.ctrl/error has the sentence (B13, B43, B44, B47). Never EINTR without a signal, never ENOSYS.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
limit 150
mkdir "$work/disk"
for i in 1 2 3; do
    mkdir "$work/node$i"
    mount -t tmpfs -o size=100m tmpfs "$work/node$i" || skip "no tmpfs"
    mounted[node$i]=1
done
cluster_start 3
timeout=2
mount_start a timeout=$timeout || exit 1
mount_start b timeout=$timeout || exit 1
join_all 101 || exit 1
a=$work/a c=$work/a/.ctrl
head -c 3000 /dev/urandom >"$work/small"
head -c 20000 /dev/urandom >"$work/blocks"
cat >"$work/writer.py" <<'PY'
import sys
with open(sys.argv[1], sys.argv[2]) as f:
    f.write("from python\n")
PY

# The tools, by name: what each does to a file.
tools="bash bash-append dash dash-append printf tee tee-append cp dd dd-fsync python python-append"
run_tool() {
    local file=$2
    case $1 in
    bash) bash -c "echo text > '$file'" ;;
    bash-append) bash -c "echo text >> '$file'" ;;
    dash) dash -c "echo text > '$file'" ;;
    dash-append) dash -c "echo text >> '$file'" ;;
    printf) dash -c "/usr/bin/printf 'text\n' > '$file'" ;;
    tee) dash -c "echo text | tee '$file'" ;;
    tee-append) dash -c "echo text | tee -a '$file'" ;;
    cp) cp "$work/blocks" "$file" ;;
    dd) dd if="$work/blocks" of="$file" bs=8192 ;;
    dd-fsync) dd if="$work/small" of="$file" conv=fsync ;;
    python) python3 "$work/writer.py" "$file" w ;;
    python-append) python3 "$work/writer.py" "$file" a ;;
    esac
}

# one_tool TROUBLE TOOL: leaves status, milliseconds and what it said.
one_tool() {
    local start status out=$work/$1.$2
    start=$(date +%s%3N)
    run_tool "$2" "$a/$2/$1" >"$out.out" 2>"$out.err"
    status=$?
    echo "$status $(($(date +%s%3N) - start))" >"$out.result"
}

errnos_ask

# trouble NAME MS ERRNO…: every tool, at once: it fails, within so many ms (each of its calls has the timeout, cp and dd make two), saying one of the errnos, and the sentence is there.
trouble() {
    local name=$1 ms=$2 tool status took errno words
    shift 2
    echo >"$c/error"
    for tool in $tools; do one_tool "$name" "$tool" & echo $! >>"$work/$name.pids"; done
    # shellcheck disable=SC2046
    wait $(cat "$work/$name.pids")
    for tool in $tools; do
        read -r status took <"$work/$name.$tool.result"
        check "$name: $tool fails" test "$status" != 0
        check "$name: $tool within $ms ms ($took)" test "$took" -le "$ms"
        words=none
        for errno in "$@"; do
            grep -qF "${errno_says[$errno]}" "$work/$name.$tool.err" && words=$errno
        done
        # dash says "I/O error" whatever the errno of a write is
        case $tool in dash*) grep -q "I/O error" "$work/$name.$tool.err" && words=$(awk -v p="/$tool/$name" '$3 == p { w = $4 } END { print w }' "$c/error") ;; esac
        check "$name: $tool says one of $* ($(head -n 1 "$work/$name.$tool.err"))" test "$words" != none
        check "$name: the sentence of $tool is in error" grep -qE " /$tool(/$name)? $words [A-Za-z]" "$c/error"
        echo "$words" >"$work/$name.$tool.errno"
    done
}

# EHOSTDOWN was only said of what was surely not applied.
surely_not_applied() {
    local name=$1 tool
    for tool in $tools; do
        [ "$(cat "$work/$name.$tool.errno")" = EHOSTDOWN ] || continue
        check "$name: $tool left no file behind" test ! -e "$work/b/$tool/$name"
    done
}

# a directory each: the kernel holds a directory while a name is made in it, so who creates beside a call that waits, waits for that one first
for tool in $tools; do mkdir "$a/$tool"; one_tool well "$tool"; done
check_same "without trouble none fails" "$(cat "$work"/well.*.result | grep -vc '^0 ')" 0

# ---- no quorum: B47 ----
node_kill 2; node_kill 3
trouble quorum $((timeout * 2000 + 1500)) EHOSTDOWN ETIMEDOUT
# each within its timeout of 2 s, with some room for a busy machine
check_errno EHOSTDOWN "B47 a read" timeout 5 cat "$a/bash/well"
check_errno EHOSTDOWN "B47, P25: a listing, never a short one" timeout 5 ls "$a"
check_errno EHOSTDOWN "B47 stat of what is not there" timeout 5 stat "$a/nothing"
check_errno EHOSTDOWN "B47 mkdir" timeout 5 mkdir "$a/dir"
# a caught signal ends a wait with EINTR; signals that do nothing do not
check "EINTR only for a signal that is caught" python3 - "$a/quorum.x" "$c/mount/inflight" <<'PY'
import errno, os, signal, sys, threading, time
main = threading.main_thread().ident
def later(signals):
    def run():
        while "path=/quorum.x" not in open(sys.argv[2]).read(): time.sleep(0.01)
        for s in signals: signal.pthread_kill(main, s); time.sleep(0.05)
    threading.Thread(target=run).start()
def blocked_open():
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.open(sys.argv[1].encode(), os.O_RDONLY)
    return ctypes.get_errno() if fd < 0 else 0
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
later([signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG, signal.SIGUSR2, signal.SIGCONT])
assert blocked_open() == errno.EHOSTDOWN, "a signal that does nothing ended the wait"
time.sleep(0.3)  # another system call: the kernel asks twice within one
signal.signal(signal.SIGUSR1, lambda *a: None)
signal.siginterrupt(signal.SIGUSR1, True)
later([signal.SIGUSR1])
assert blocked_open() == errno.EINTR, "a caught signal did not end the wait"
PY
node_start 2; node_start 3
alive() { timeout 3 touch "$work/b/alive"; }
wait_until 30 alive || fail "the cluster does not come back"
surely_not_applied quorum
check "some say EHOSTDOWN" grep -qx EHOSTDOWN "$work"/quorum.*.errno

# ---- every node hangs: what was sent may have been applied ----
cat >"$work/held.py" <<'PY'
import errno, os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(fd, b"one\n")
open(sys.argv[2], "w").close()
while not os.path.exists(sys.argv[3]): time.sleep(0.01)
try:
    os.write(fd, b"two\n")
    print("no error")
except OSError as e:
    print(errno.errorcode[e.errno])
PY
python3 "$work/held.py" "$a/held" "$work/held.open" "$work/held.go" >"$work/held.out" &
holder=$!
wait_until 10 test -e "$work/held.open" || fail "held.py"
for i in 1 2 3; do node_stop "$i"; done
touch "$work/held.go"
trouble hung $((timeout * 2000 + 1500)) EHOSTDOWN ETIMEDOUT
wait "$holder"
check_same "an append that was sent: its outcome is unknown" "$(cat "$work/held.out")" ETIMEDOUT
for i in 1 2 3; do node_continue "$i"; done
wait_until 30 alive || fail "the cluster does not come back"
surely_not_applied hung
check "an unknown append is there once or not at all" test "$(grep -c two "$work/b/held")" -le 1

# ---- the leader's disk is full: another one leads; all are: nothing is written ----
lead() { echo "$(awk -v a="${node_addr[1]}" '$2 == "addr=" a { print $1 }' "$c/groups/101/members")" >"$c/groups/101/leader" 2>/dev/null; grep -qF " ${node_addr[1]}" "$c/groups/101/leader"; }
wait_until 20 lead || fail "node 1 does not lead"
head -c 60m /dev/zero >"$work/node1/filler"
full() { ! echo x >"$work/b/probe"; }
other_leads() { ! grep -qF " ${node_addr[1]}" "$c/groups/101/leader"; }
check "who has no space hands over" wait_until 20 other_leads
for tool in $tools; do one_tool beside "$tool"; done
check_same "one full disk of three: none fails" "$(cat "$work"/beside.*.result | grep -vc '^0 ')" 0
for i in 2 3; do head -c 60m /dev/zero >"$work/node$i/filler"; done
wait_until 10 full || fail "full disks are not seen"
trouble full $((timeout * 2000 + 1500)) ENOSPC
check_same "reads go on" "$(cat "$a/bash/well")" text
check "removing goes on" rm "$a/cp/well"
rm "$work"/node[123]/filler
not_full() { ! full; }
wait_until 30 not_full || fail "no writes although there is space again"
for tool in $tools; do one_tool again "$tool"; done
check_same "with space again none fails" "$(cat "$work"/again.*.result | grep -vc '^0 ')" 0

# ---- too large ----
big=5368709120
check_errno EFBIG "dd beyond the limit" dd if="$work/small" of="$a/big" bs=1000 seek=$big oflag=seek_bytes conv=notrunc
check_errno EFBIG "truncate beyond the limit" bash -c "echo x > '$a/big' && truncate -s $big '$a/big'"
check_errno EFBIG "python beyond the limit" python3 -c 'import sys; f = open(sys.argv[1], "r+"); f.truncate(int(sys.argv[2]))' "$a/big" $big
check_errno ENAMETOOLONG "a name that is too long" touch "$a/$(printf 'n%.0s' $(seq 256))"
check "its sentence" grep -q " EFBIG [a-z]" "$c/error"

# ---- never ENOSYS ----
check "no operation is unknown" python3 - "$a" <<'PY'
import ctypes, errno, fcntl, mmap, os, select, socket, stat, sys, termios
d = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    ctypes.set_errno(0)
    r = getattr(libc, name)(*args)
    e = ctypes.get_errno() if r < 0 else 0
    assert e != errno.ENOSYS, f"{name}: ENOSYS"
    return e
def tried(f, *args):
    try: f(*args)
    except OSError as e: assert e.errno != errno.ENOSYS, f"{f}: ENOSYS"; return e.errno
    return 0
open(d + "/f", "w").write("content of it\n")
fd = os.open(d + "/f", os.O_RDWR)
other = os.open(d + "/g", os.O_RDWR | os.O_CREAT)
for round in range(2):  # ENOSYS would be remembered by the kernel
    assert call("fallocate", fd, 0, ctypes.c_long(0), ctypes.c_long(100)) == errno.EOPNOTSUPP
    assert call("posix_fallocate", fd, ctypes.c_long(0), ctypes.c_long(10)) == 0
    call("copy_file_range", fd, None, other, None, ctypes.c_size_t(5), 0)
    assert tried(os.lseek, fd, 0, os.SEEK_DATA) == 0 and tried(os.lseek, fd, 0, os.SEEK_HOLE) == 0
    assert tried(os.link, d + "/f", d + "/l") == errno.EPERM
    assert tried(os.mknod, d + "/dev", 0o600 | stat.S_IFCHR, os.makedev(1, 3)) == errno.EPERM
    tried(os.mkfifo, d + "/fifo")
    assert tried(fcntl.ioctl, fd, termios.TCGETS, b"\0" * 64) == errno.ENOTTY
    tried(os.setxattr, d + "/f", "user.x", b"1"); tried(os.getxattr, d + "/f", "user.x")
    tried(os.listxattr, d + "/f"); tried(os.removexattr, d + "/f", "user.none")
    assert tried(os.getxattr, d + "/f", "security.capability") == errno.ENODATA
    fcntl.flock(fd, fcntl.LOCK_EX); fcntl.lockf(fd, fcntl.LOCK_EX); fcntl.flock(fd, fcntl.LOCK_UN)
    p = select.poll(); p.register(fd, select.POLLIN); assert p.poll(1000)
    tried(os.open, d, os.O_RDWR | os.O_TMPFILE, 0o600)
    os.fsync(fd); os.fdatasync(fd); dirfd = os.open(d, os.O_RDONLY); os.fsync(dirfd); call("syncfs", fd); os.close(dirfd)
    tried(os.rename, d + "/f", d + "/f"); call("renameat2", -100, (d + "/f").encode(), -100, (d + "/g").encode(), 2)
    os.access(d + "/f", os.X_OK); os.statvfs(d); os.utime(d + "/f"); os.chmod(d + "/f", 0o644)
    tried(mmap.mmap, fd, 4, mmap.MAP_SHARED)
    tried(os.symlink, "f", d + f"/s{round}"); os.readlink(d + f"/s{round}")
PY

# ---- B43: a write that cannot be one command is split by the kernel, never torn; a signal in a loop of writes tears nothing ----
check "B43 writes under a storm of signals are whole or not there" python3 - "$a/storm" <<'PY'
import ctypes, errno, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)  # os.write would write again after EINTR: an append whose outcome is unknown twice
signal.signal(signal.SIGALRM, lambda *a: None)
signal.siginterrupt(signal.SIGALRM, True)
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
done, unknown = set(), 0
for i in range(5000):
    if i >= 500 and unknown and last_was_interrupted: break  # the close that follows has no signal of its own
    line = b"%06d" % i + b"." * 4000 + b"\n"
    n = libc.write(fd, line, len(line))
    last_was_interrupted = n < 0
    if n == len(line):
        done.add(i)
    else:
        assert n == -1 and ctypes.get_errno() == errno.EINTR, f"{n} {ctypes.get_errno()}"
        unknown += 1
signal.setitimer(signal.ITIMER_REAL, 0, 0)
os.close(fd)  # no EINTR
lines = open(sys.argv[1], "rb").read().split(b"\n")[:-1]
numbers = [int(l[:6]) for l in lines]
assert all(len(l) == 4006 for l in lines), "a torn line"
assert len(numbers) == len(set(numbers)), "a line twice"
back = [(x, y) for x, y in zip(numbers, numbers[1:]) if x > y]
assert not back, f"out of order: {back} {sorted(done)[:3]}"
assert done <= set(numbers), "an acknowledged line is missing"
assert unknown, "no write was interrupted"
print(f"{len(done)} written, {unknown} interrupted, {len(numbers) - len(done)} of those are there")
PY

# ---- B44: the mount is killed with something staged: others see the old value or the whole new one, the next mount begins clean ----
echo old >"$a/staged"
python3 -c '
import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
os.write(fd, b"n" * 8192)
open(sys.argv[2], "w").close()
time.sleep(600)' "$a/staged" "$work/is-staged" 2>/dev/null &
stager=$!
mount_pids+=("$stager")
wait_until 10 test -e "$work/is-staged" || fail "nothing is staged"
kill -KILL "$(mount_pid a)"
old_or_new() { case $(wc -c <"$work/b/staged") in 4) grep -qx old "$work/b/staged" ;; 8192) [ "$(tr -d n <"$work/b/staged" | wc -c)" = 0 ] ;; *) false ;; esac; }
check "B44 others see the old value or the whole new one" old_or_new
kill -KILL "$stager"
wait "$stager" 2>/dev/null
mount_start a || exit 1
check "B44 so does the next mount" old_or_new
echo after >"$work/a/staged"
check_same "B44 which works" "$(cat "$work/b/staged")" after
done_testing
