#!/bin/bash
# What a caught signal ends while the cluster hangs is as if it had not been called, or can be called again: nothing spins, nothing that was
# asked for is done behind the caller's back, and nothing of others is lost.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
limit 150

one_group
head -c 40m /dev/zero | tr '\0' z >"$m/large"
echo old >"$m/synced"
cat >"$work/lib.py" <<'PY'
import ctypes, errno, os, signal, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)  # os.* would ask again after EINTR
mount, node = sys.argv[1], int(sys.argv[2])
signal.signal(signal.SIGUSR1, lambda *a: None)
signal.siginterrupt(signal.SIGUSR1, True)
main = threading.main_thread().ident
def call(name, *args):
    r = getattr(libc, name)(*args)
    return 0 if r >= 0 else ctypes.get_errno()
def under_way(what):
    return any(what in line for line in open(mount + "/.ctrl/mount/inflight"))
def until_under_way(what):
    end = time.monotonic() + 10
    while not under_way(what):
        assert time.monotonic() < end, "not seen under way: " + what
        time.sleep(0.001)
def hang(): os.kill(node, signal.SIGSTOP)
def go_on(): os.kill(node, signal.SIGCONT)
def failed(*error): go_on(); sys.__excepthook__(*error)
sys.excepthook = failed  # the tests behind it want a node that goes on
def interrupt_when(what, also=lambda: None):
    def run():
        until_under_way(what)
        also()
        time.sleep(0.2) # it has begun, and now it waits
        signal.pthread_kill(main, signal.SIGUSR1)
    t = threading.Thread(target=run)
    t.start()
    return t
PY

check "an fsync that was interrupted can be called again" python3 - "$m" "${node_pid[1]}" <<PY
exec(open("$work/lib.py").read())
fd = os.open(mount + "/synced", os.O_WRONLY | os.O_TRUNC)
os.write(fd, b"x" * 8192)  # staged
hang()
t = interrupt_when("op=fsync")
assert call("fsync", fd) == errno.EINTR
t.join()
go_on()
tries = 1
while (e := call("fsync", fd)) == errno.EINTR and tries < 50: tries += 1
assert e == 0 and tries == 1, f"{errno.errorcode.get(e)} after {tries} tries"
assert os.stat(mount + "/synced").st_size == 8192
assert call("close", fd) == 0
PY

check "an unlink that was interrupted while the open file's content was saved has not been done" python3 - "$m" "${node_pid[1]}" <<PY
exec(open("$work/lib.py").read())
fd = os.open(mount + "/large", os.O_RDWR)
t = interrupt_when("op=unlink", hang)
began = time.monotonic()
e = call("unlink", (mount + "/large").encode())
took = time.monotonic() - began
t.join()
go_on()
assert e == errno.EINTR, errno.errorcode.get(e)
assert took < 4, f"it took {took} s"
assert os.stat(mount + "/large").st_size == 40 << 20
os.pwrite(fd, b"y", 0)
os.fsync(fd)
assert open(mount + "/large", "rb").read(2) == b"yz"
PY

check "a write that was interrupted before it was sent is not sent later" python3 - "$m" "${node_pid[1]}" <<PY
exec(open("$work/lib.py").read())
fd = os.open(mount + "/behind", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
os.write(fd, b"x" * 8192)
hang()
flusher = threading.Thread(target=call, args=("close", os.dup(fd)))
flusher.start()
until_under_way("op=flush")
t = interrupt_when("op=write")
assert call("write", fd, b"tail\\n", 5) == errno.EINTR
t.join()
go_on()
flusher.join()
assert call("close", fd) == 0
assert os.stat(mount + "/behind").st_size == 8192
PY

# The kernel tells of a process's groups before its signals.
mount_start hard hard || exit 1
node_stop 1
python3 -c 'import os, sys
os.setgroups(range(4000000000, 4000002000))
os.open(sys.argv[1], os.O_RDONLY)' "$work/hard/synced" 2>/dev/null &
reader=$!
check "a process in 2,000 groups waits" wait_until 10 grep -q path=/synced "$work/hard/.ctrl/mount/inflight"
kill -KILL "$reader"
check "KILL ends it like others" wait_until 3 process_gone "$reader"
node_continue 1
mount_stop hard

# One of them asks the cluster again when it is told: the sentence that the other is told must still be there (AddressSanitizer sees it).
mount_start s timeout=3 || exit 1
check "two that wait for a close that fails are told why" python3 - "$work/s" "${node_pid[1]}" <<PY
exec(open("$work/lib.py").read())
path = mount + "/synced"
fd, closed = os.open(path, os.O_RDONLY), os.open(path, os.O_WRONLY | os.O_TRUNC)
hang()
os.close(closed)
def waits(op, *args):
    t = threading.Thread(target=call, args=args)
    t.start()
    until_under_way(op)
    return t
looks = waits("op=lookup", "access", path.encode(), 0)
sets = waits("op=setattr", "futimens", fd, (ctypes.c_long * 4)(5, 0, 5, 0))
sets.join()
go_on()
looks.join()
told = open(mount + "/.ctrl/error").read()
assert " setattr /synced ETIMEDOUT group 101 did not answer in time" in told, told
PY

done_testing
