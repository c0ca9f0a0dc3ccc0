#!/bin/bash
# What open files keep, see and send when others work on the same names, on the same mount and on another one: each of these was lost, torn,
# acknowledged too early, or hung, once.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
limit 120
cluster_start 1
mount_start a || exit 1
mount_start b || exit 1
mount_start c timeout=2 || exit 1
join_all 101 || exit 1
a=$work/a b=$work/b

# Calls in threads, that a signal may interrupt, while the node hangs.
cat >"$work/held.py" <<'PY'
import ctypes, errno, os, signal, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)  # os.* would ask again after EINTR
libc.pwrite.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int64]
libc.pread.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int64]
mount, node = sys.argv[1], int(sys.argv[2])
signal.signal(signal.SIGUSR1, lambda *a: None)
signal.siginterrupt(signal.SIGUSR1, True)
name = lambda r: r if isinstance(r, int) and r >= 0 else errno.errorcode.get(-r, r)
def hang(): os.kill(node, signal.SIGSTOP)
def go_on(): os.kill(node, signal.SIGCONT)
def inflight(): return open(mount + "/.ctrl/mount/inflight").read()
def ops(what): return sum(("op=%s " % what) in l for l in inflight().splitlines())
def wait_ops(what, n):
    end = time.monotonic() + 5
    while ops(what) != n:
        assert time.monotonic() < end, (what, n, inflight())
        time.sleep(0.002)
class Call(threading.Thread):
    def __init__(self, f, *args):
        super().__init__(daemon=True)
        self.f, self.args, self.result = f, args, None
        self.start()
    def run(self):
        r = getattr(libc, self.f)(*self.args)
        self.result = r if r >= 0 else -ctypes.get_errno()
    def kill(self): signal.pthread_kill(self.ident, signal.SIGUSR1)
    def end(self, s=15):
        self.join(s)
        return "HANGS" if self.is_alive() else name(self.result)

PY
held() { PYTHONPATH=$work PYTHONDONTWRITEBYTECODE=1 timeout -s KILL 40 python3 - "$a" "${node_pid[1]}" "$work/c"; }

check "who writes on after a piece was aborted is told, and not that he was interrupted" held <<'PY'
from held import *
fd = os.open(mount + "/piece", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
os.write(fd, b"x" * (1 << 20))
hang()
for i in range(2): os.write(fd, b"x" * (1 << 20))  # pieces go ahead
open(mount + "/.ctrl/mount/abort", "w").write("all\n")
wait_ops("piece", 0)
go_on()
results = {}
for i in range(50):
    n = libc.pwrite(fd, b"x" * (1 << 20), 1 << 20, (3 + i) << 20)
    r = "ok" if n > 0 else errno.errorcode.get(ctypes.get_errno())
    results[r] = results.get(r, 0) + 1
print("writes after it:", results)
sys.exit("EINTR" in results)
PY

check "ranges that may have been written are not sent again over what another mount wrote since (P28)" held <<'PY'
from held import *
c = sys.argv[3]
open(mount + "/unknown", "wb").write(b"." * 9000)
fd = os.open(c + "/unknown", os.O_WRONLY)
os.pwrite(fd, b"C" * 4096, 0)                      # staged
hang()
r = libc.fsync(fd); e = errno.errorcode.get(ctypes.get_errno()) if r else "ok"
go_on()
print("fsync:", e)
end = time.monotonic() + 5
while open(mount + "/unknown", "rb").read(4) != b"CCCC": assert time.monotonic() < end
o = os.open(mount + "/unknown", os.O_WRONLY); os.pwrite(o, b"B" * 5, 0); os.fsync(o); os.close(o)
print("the other mount wrote, acknowledged:", open(mount + "/unknown", "rb").read(8))
print("write elsewhere:", os.pwrite(fd, b"tail!", 8995), "close:", libc.close(fd))
got = open(mount + "/unknown", "rb").read(8)
print("now:", got)
sys.exit(got[:5] != b"BBBBB")
PY

check "who waited for a commit and is not its writer does not keep its failure from the writer" held <<'PY'
from held import *
import subprocess
c = sys.argv[3]
bad = 0
for who in ("looks", "ends"):
    open(mount + "/told", "wb").write(b"." * 8192)
    # before the file is open, for a child closes what it has of it
    looker = who == "looks" and subprocess.Popen([sys.executable, "-c", "import os, sys; input(); os.path.exists(sys.argv[1])", c + "/told"], stdin=subprocess.PIPE)
    fd = os.open(c + "/told", os.O_WRONLY)
    open(c + "/.ctrl/error", "w").write("\n")
    os.pwrite(fd, b"C" * 4096, 0)                  # staged; after 1 s of silence it is sent
    hang()
    if looker: looker.communicate(b"\n")
    end = time.monotonic() + 10
    while "ETIMEDOUT" not in open(c + "/.ctrl/error").read() and time.monotonic() < end: time.sleep(0.01)
    if not looker and os.fork() == 0: os._exit(0)  # a child that has it open: what its end is told nobody hears
    if not looker: os.wait()
    n = libc.pwrite(fd, b"C" * 4096, 4096, 4096)
    e = errno.errorcode.get(ctypes.get_errno()) if n < 0 else "ok"
    go_on()
    log = open(c + "/.ctrl/error").read()
    print(who, "write:", e, "close:", libc.close(fd), "log:", log)
    bad += e != "ETIMEDOUT" or " commit /told ETIMEDOUT" not in log
sys.exit(bad)
PY

check "who asks for attributes of a file is not told of what its writer's commit came to" held <<'PY'
from held import *
import re
c = sys.argv[3]
open(mount + "/asked", "wb").write(b"." * 8192)
os.setxattr(mount + "/asked", "user.x", b"value")
fd, rd = os.open(c + "/asked", os.O_WRONLY), os.open(c + "/asked", os.O_RDONLY)
open(c + "/.ctrl/error", "w").write("\n")
os.pwrite(fd, b"C" * 4096, 0)                      # staged; after 1 s of silence it is sent
hang()
def logged(words): return words in open(c + "/.ctrl/error").read()
def wait_for(f, *args):
    end = time.monotonic() + 10
    while not f(*args): assert time.monotonic() < end; time.sleep(0.01)
# who asks comes so much later that there is time left when the commit has failed
wait_for(lambda: re.search("op=commit path=/asked age_us=1[2-9].{5} ", open(c + "/.ctrl/mount/inflight").read()))
value, names = ctypes.create_string_buffer(16), ctypes.create_string_buffer(100)
get, listed = Call("fgetxattr", rd, b"user.x", value, 16), Call("flistxattr", rd, names, 100)
wait_for(lambda: "op=listxattr" in open(c + "/.ctrl/mount/inflight").read())
wait_for(logged, " commit /asked ETIMEDOUT")
go_on()
r = get.end(), listed.end()
print("fgetxattr, flistxattr:", r, value.value, names.value, open(c + "/.ctrl/error").read())
sys.exit(r != (5, 7))
PY

check "the failure of a release is in the log, whoever waited for it" held <<'PY'
from held import *
import subprocess
c = sys.argv[3]
open(mount + "/last", "wb").write(b"." * 8192)
writer = subprocess.Popen([sys.executable, "-c", "import os, sys; f = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC); print(flush=True); input(); os.write(f, b'x' * 4096)",
                           c + "/last"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
writer.stdout.readline()
open(c + "/.ctrl/error", "w").write("\n")
hang()
writer.communicate(b"\n")                          # its last close is that of its end: nobody can be told
subprocess.run(["stat", c + "/last"], capture_output=True)
go_on()
log = open(c + "/.ctrl/error").read()
print("the writer's status", writer.returncode, "log:", log)
sys.exit(" release /last ETIMEDOUT" not in log)
PY

check "so is that of a release whose file lost its name elsewhere" python3 - "$a" "$b" <<'PY'
import os, subprocess, sys, time
a, b = sys.argv[1:]
open(a + "/taken", "wb").write(b"." * 8192)
writer = subprocess.Popen([sys.executable, "-c", "import os, sys; f = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC); print(flush=True); input(); os.write(f, b'x' * 4096)",
                           a + "/taken"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
writer.stdout.readline()
open(b + "/taken.new", "w").write("new")
os.rename(b + "/taken.new", b + "/taken")
os.stat(a + "/taken")
open(a + "/.ctrl/error", "w").write("\n")
writer.communicate(b"\n")
os.stat(a + "/taken")
log, end = "", time.monotonic() + 5
while not log and time.monotonic() < end: log = open(a + "/.ctrl/error").read()
print("log:", log, "the file:", open(b + "/taken").read())
sys.exit(" ESTALE " not in log)
PY

head -c 12m /dev/zero | tr '\0' z >"$a/ahead"
check "who reads on after a readahead was aborted reads" held <<'PY'
from held import *
fd = os.open(mount + "/ahead", os.O_RDONLY)
for i in range(8): os.read(fd, 131072)     # blocks 0 … 5 are asked
wait_ops("readahead", 0)
hang()
os.read(fd, 131072)                        # of block 1, which is there; block 6 is asked
wait_ops("readahead", 1)
open(mount + "/.ctrl/mount/abort", "w").write("all\n")
wait_ops("readahead", 0)
go_on()
buf = ctypes.create_string_buffer(1 << 20)
at, tries, errors = 9 * 131072, 0, {}
while at < 12 << 20 and tries < 300:
    n = libc.pread(fd, buf, 131072, at)
    tries += 1
    if n > 0: at += n
    else:
        e = errno.errorcode.get(ctypes.get_errno()); errors[e] = errors.get(e, 0) + 1
print("read up to", at, "of", 12 << 20, "in", tries, "tries; errors", errors)
sys.exit(bool(errors))
PY

head -c 4m /dev/zero >"$a/f"
check "a short write behind a Patch that is full is answered by its own outcome" python3 - "$a" "$b" <<'PY'
import os, sys
a, b = sys.argv[1:]
stale = 0
N = 20
for i in range(N):
    fd = os.open(a + "/f", os.O_WRONLY)
    os.pwrite(fd, b"F" * 524288, 1 << 20)             # staged
    os.pwrite(fd, b"F" * 524288, (1 << 20) + 524288)  # staged: the Patch is full now
    w = b"%05d" % i
    assert os.pwrite(fd, w, 100) == 5          # a short write: "answered by the outcome"
    rd = os.open(b + "/f", os.O_RDONLY)
    got = os.pread(rd, 5, 100)
    os.close(rd)
    stale += got != w
    os.close(fd)
print("acknowledged short writes that another mount does not see:", stale, "of", N)
sys.exit(stale > 0)
PY

if python3 -c 'import os, sys; v = os.uname().release.split("."); sys.exit((int(v[0]), int(v[1])) < (6, 6))'; then
check "a page of a map is there after msync, though a write before it was interrupted" held <<'PY'
from held import *
import mmap
open(mount + "/page", "wb").write(b"." * 32768)
fd = os.open(mount + "/page", os.O_RDWR)
rd = os.open(mount + "/page", os.O_RDONLY)
mm = mmap.mmap(fd, 32768)
mm[16384:16388] = b"MAPS"                                  # dirty, not written back
hang()
w1 = Call("pwrite", fd, b"1", 1, 100); wait_ops("write", 1)
buf = ctypes.create_string_buffer(16)
r2 = Call("pread", rd, buf, 8, 8192); wait_ops("read", 1)  # waits for the same commit
b3 = ctypes.create_string_buffer(16)
r3 = Call("pread", rd, b3, 8, 16384); wait_ops("write", 2) # makes the kernel write the page back
w1.kill(); r1 = w1.end(3)
go_on()
print("W1", r1, "read", r2.end(), "read of the page", r3.end(), b3.raw[:8])
mm.flush(); os.fsync(fd)
got = open(mount + "/page", "rb").read()[16384:16388]
print("after msync and fsync:", got)
sys.exit(got != b"MAPS")
PY
else not_tried "a shared map beside an interrupted write: it wants Linux 6.6"
fi

check "an interrupted write, a reader and a write behind a commit all end" held <<'PY'
from held import *
open(mount + "/spin", "wb").write(b"." * 20000)
fd = os.open(mount + "/spin", os.O_WRONLY)
rd = os.open(mount + "/spin", os.O_RDONLY)
os.pwrite(fd, b"0" * 8192, 0)                   # staged; after 1 s of silence it is sent
hang()
wait_ops("commit", 1)
w2 = Call("pwrite", fd, b"2", 1, 2); wait_ops("write", 1)
w2.kill(); r2 = w2.end(3)                       # taken back; the stage is empty, but staged_us stays
buf = ctypes.create_string_buffer(16)
r = Call("pread", rd, buf, 8, 0); wait_ops("read", 1)
w3 = os.pwrite(fd, b"3" * 4096, 4096)           # staged, answered at once
go_on()
got = r.end(5)
print("the write", r2, "the read", got, "size", os.stat(mount + "/spin").st_size)
sys.exit(got != 8)
PY

for how in small-unlink large-unlink small-rename large-rename; do
    check "a reader goes on in its version ($how)" python3 - "$a" "$b" $how <<'PY'
import errno, os, sys
a, b, how = sys.argv[1:]
n = 8 if how.startswith("small") else 300000
open(a + "/f", "wb").write(b"1" * n)
open(a + "/other", "wb").write(b"3" * n)
fd = os.open(a + "/f", os.O_RDONLY)
got = os.read(fd, n // 2)
open(b + "/f", "wb").write(b"2" * n)     # a whole Put of another mount: must never be seen by fd
if how.endswith("unlink"): os.unlink(a + "/f")
else: os.rename(a + "/other", a + "/f")
try:
    got += os.read(fd, n)
except OSError as e:
    print(how, "error", e)
    sys.exit(e.errno != errno.ESTALE)  # the version is gone
print(how, "read", len(got), "bytes, of versions", bytes(sorted(set(got))))
sys.exit(got != b"1" * n)
PY
done

check "a version that was replaced is read to its end, whoever looks at the name" python3 - "$a" "$b" <<'PY'
import os, sys, time
a, b = sys.argv[1:]
bad = 0
def go_on(what, fd, at=600000):
    global bad
    try: r = os.pread(fd, 1000, at)[:1]
    except OSError as e: r = e; bad += 1
    print(what, "->", r)
    os.close(fd)
def old(n):
    with open(a + "/f", "wb") as f:
        for i in range(n): f.write(b"1" * (1 << 20))
    fd = os.open(a + "/f", os.O_RDONLY)
    os.read(fd, 300000)
    return fd
for look in (False, True):
    fd = old(1)
    open(b + "/g", "wb").write(b"2" * (1 << 20))
    os.rename(b + "/g", b + "/f")
    if look: os.stat(a + "/f")
    go_on("replaced by another mount" + (" and looked at" if look else ""), fd)
fd = old(65); os.unlink(a + "/f"); go_on("65 MiB, unlinked here", fd, 40 << 20)
fd = old(65); open(a + "/g", "wb").write(b"2" * (1 << 20)); os.rename(a + "/g", a + "/f"); go_on("65 MiB, replaced here", fd, 40 << 20)
sys.exit(bad > 0)
PY

check "O_APPEND counts as fcntl has set it last, and not as the file was opened" python3 - "$a" "$b" <<'PY'
import fcntl, os, sys
a, b = sys.argv[1:]
open(a + "/set", "w").close()
one, other = [os.open(m + "/set", os.O_WRONLY) for m in (a, b)]
for fd in (one, other): fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
os.write(one, b"aaaa\n"); os.write(other, b"bbbb\n"); os.write(one, b"cc\n")
for fd in (one, other): os.close(fd)
both = open(b + "/set").read()
fd = os.open(a + "/cleared", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(fd, b"first line\n")
fcntl.fcntl(fd, fcntl.F_SETFL, 0)
os.pwrite(fd, b"FIRST", 0)
os.close(fd)
cleared = open(b + "/cleared").read()
open(a + "/begun", "w").close()
fd = os.open(a + "/begun", os.O_WRONLY | os.O_APPEND)
os.write(fd, b"begun")
fcntl.fcntl(fd, fcntl.F_SETFL, 0)
for i in range(3): os.pwrite(fd, b"%d" % i * (1 << 20), 5 + (i << 20))
os.close(fd)
begun = open(b + "/begun", "rb").read() == b"begun" + b"".join(b"%d" % i * (1 << 20) for i in range(3))
print("set:", repr(both), "cleared:", repr(cleared), "begun:", begun)
sys.exit(not begun or both != "aaaa\nbbbb\ncc\n" or cleared != "FIRST line\n")
PY

check "the size that was set last counts, whoever made the file" python3 - "$a" "$b" <<'PY'
import os, sys
a, b = sys.argv[1:]
bad = 0
for size in (1000, 2):
    f = "/f%d" % size
    fd = os.open(a + f, os.O_WRONLY | os.O_CREAT)
    if size == 2: os.write(fd, b"x" * 4096)
    w = os.open(b + f, os.O_WRONLY | os.O_CREAT | os.O_APPEND); os.write(w, b"hello"); os.close(w)
    os.ftruncate(fd, size)
    os.fsync(fd)
    got = os.stat(b + f).st_size
    print("ftruncate to", size, "acknowledged, size", got, open(b + f).read()[:10])
    bad += got != size
sys.exit(bad)
PY

check "who made a file again that was removed elsewhere writes to it" python3 - "$a" "$b" <<'PY'
import os, sys
a, b = sys.argv[1:]
bad = 0
for keep, how in ((True, "rm"), (True, "mv"), (False, "rm")):
  for flags in (os.O_APPEND, os.O_TRUNC):
    open(a + "/log", "w").write("old\n")
    old = os.open(a + "/log", os.O_RDONLY)
    if not keep: os.close(old)
    if how == "rm": os.unlink(b + "/log")
    else: os.rename(b + "/log", b + "/log.1")
    w = os.open(a + "/log", os.O_WRONLY | os.O_CREAT | flags, 0o644)
    try:
        os.write(w, b"one\n")
        os.stat(a + "/log")
        os.write(w, b"two\n"); os.fsync(w); r = "ok"
    except OSError as e: r = e; bad += 1
    try: os.close(w)
    except OSError as e: r = (r, e)
    print("old one open here" if keep else "old one not open", how, flags, "->", r, repr(open(b + "/log").read()), "fstat of the old", os.fstat(old).st_size if keep else "")
    os.unlink(b + "/log")
    if keep: os.close(old)
sys.exit(bad > 0)
PY

check "what was removed elsewhere stays removed" python3 - "$a" "$b" <<'PY'
import os, sys
a, b = sys.argv[1:]
bad = 0
for flags in (os.O_TRUNC, os.O_APPEND, 0):
    open(a + "/f", "w").write("old")
    fd = os.open(a + "/f", os.O_WRONLY | flags)
    os.unlink(b + "/f")
    r = []
    for f in (lambda: os.write(fd, b"new"), lambda: os.close(fd)):
        try: r.append(f())
        except OSError as e: r.append(e.strerror)
    try: st = oct(os.stat(b + "/f").st_mode); bad += 1; os.unlink(b + "/f")
    except OSError as e: st = e.strerror
    print(flags, "write, close:", r, "the file:", st)
sys.exit(bad)
PY

check "a range that is written never lands in a file that took the name elsewhere" python3 - "$a" "$b" <<'PY'
import os, sys
a, b = sys.argv[1:]
bad = 0
os.mkdir(a + "/swap")
for looks in (False, True):
    for how in ("renamed over", "removed and made again"):
        open(a + "/swap/f", "w").write("old " * 10)
        fd = os.open(a + "/swap/f", os.O_RDWR)
        os.pread(fd, 4, 4)
        if how == "renamed over":
            open(b + "/swap/new", "w").write("NEW " * 10)
            os.rename(b + "/swap/new", b + "/swap/f")
        else:
            os.unlink(b + "/swap/f")
            open(b + "/swap/f", "w").write("NEW " * 10)
        if looks: os.stat(a + "/swap/f")
        try: os.pwrite(fd, b"PATCH", 8); os.fsync(fd); r = "ok"
        except OSError as e: r = e.strerror
        got = open(b + "/swap/f").read()
        print(how, "looked" if looks else "not looked", "write:", r, "the new file:", got)
        bad += got != "NEW " * 10 or r != "Stale file handle"
        try: os.close(fd)
        except OSError: pass
sys.exit(bad > 0)
PY

check "mode, owner, times and extended attributes of an open file never become those of a file that took the name elsewhere" python3 - "$a" "$b" <<'PY'
import os, sys
a, b = sys.argv[1:]
bad = 0
changes = {"fchmod": lambda fd: os.fchmod(fd, 0o666), "fchown": lambda fd: os.fchown(fd, 1, 1), "futimens": lambda fd: os.utime(fd, (1, 2)),
           "fsetxattr": lambda fd: os.setxattr(fd, "user.x", b"old"), "fremovexattr": lambda fd: os.removexattr(fd, "user.x")}
def said(f, *args):
    try: return f(*args) or "ok"
    except OSError as e: return e.strerror
def seen():
    st = os.stat(b + "/attr")
    return oct(st.st_mode), st.st_uid, st.st_mtime == 2, os.getxattr(b + "/attr", "user.x")
for what, change in changes.items():
    open(a + "/attr", "w").write("old")
    fd = os.open(a + "/attr", os.O_RDONLY)
    open(b + "/attr.new", "w").write("new")
    os.chmod(b + "/attr.new", 0o600)
    os.setxattr(b + "/attr.new", "user.x", b"new")
    os.rename(b + "/attr.new", b + "/attr")
    before = seen()
    r = said(change, fd)
    print(what, r, seen())
    bad += seen() != before or r != "Stale file handle"
    os.unlink(b + "/attr")
    bad += said(change, fd) != "Stale file handle"    # removed there
    os.close(fd)
# renamed here, into another shard too, it is the same file
for name in ("/attr.1", "/attr.2", "/attr.3", "/attr.4"):
    open(a + "/attr", "w").write("old")
    fd = os.open(a + "/attr", os.O_RDWR)
    os.rename(a + "/attr", a + name)
    results = [said(change, fd) for change in changes.values()]
    bad += results != ["ok"] * len(results) or os.stat(b + name).st_mode & 0o777 != 0o666
    print("renamed here:", results)
    os.close(fd)
# by the name it is the new file, whoever has the old one open
fd = os.open(a + "/attr.1", os.O_RDONLY)
os.rename(b + "/attr.2", b + "/attr.1")
os.chmod(a + "/attr.1", 0o640)
bad += os.stat(b + "/attr.1").st_mode & 0o777 != 0o640
sys.exit(bad > 0)
PY

check "who follows a log goes on in it when it is renamed, and does not begin in one that takes its name" python3 - "$a" "$b" <<'PY'
import os, sys
a, b = sys.argv[1:]
bad = 0
os.mkdir(a + "/logs")
for log in ("/logs/log", "/log.followed"):
    w = os.open(a + log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(w, b"one\n")
    r = os.open(a + log, os.O_RDONLY)
    first = os.read(r, 100), os.read(r, 100)
    os.rename(a + log, a + log + "-1")
    os.write(w, b"two\n")
    open(b + log, "w").write("one\nother\n")
    got = os.read(r, 100)
    print(log, first, "then", got, "size", os.fstat(r).st_size)
    bad += got != (b"two\n" if log.startswith("/logs/") else got)  # in another shard it may be another version
    bad += b"other" in got
# the name is taken by a file that only grew, too
open(a + "/logs/old", "wb").write(b"o" * 300000)
open(b + "/logs/new", "wb").write(b"n" * 300000)
r = os.open(a + "/logs/old", os.O_RDONLY)
os.pread(r, 4096, 0), os.pread(r, 4096, 4096)
with open(b + "/logs/new", "ab") as f: f.write(b"grown")
os.rename(b + "/logs/new", b + "/logs/old")
got = os.pread(r, 300000, 8192), os.pread(r, 100, 300000)
print(got[0][:1], len(got[0]), got[1])
bad += got != (b"o" * 291808, b"")
sys.exit(bad)
PY

check "a file without a name is truncated through /proc" python3 - "$a" <<'PY'
import os, sys
fd = os.open(sys.argv[1] + "/nameless", os.O_RDWR | os.O_CREAT)
os.write(fd, b"long content"); os.unlink(sys.argv[1] + "/nameless")
g = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_TRUNC)
assert os.fstat(fd).st_size == 0
os.write(g, b"x")
got = os.pread(fd, 100, 0)
print(got)
sys.exit(got != b"x")
PY

chmod 755 "$work"
mkdir -m 777 "$a/anyone"
mount_start o allow_other || exit 1
check "a set-user-ID bit that another user than root gives what he wrote stays" python3 - "$work/o" <<'PY'
import os, sys
os.setgid(65534); os.setuid(65534)
bad = 0
for excl in (0, os.O_EXCL):
    f = sys.argv[1] + "/anyone/f%d" % excl
    fd = os.open(f, os.O_WRONLY | os.O_CREAT | excl, 0o600)
    os.write(fd, b"x" * 8192)
    os.fchmod(fd, 0o4755)
    os.close(fd)
    mode = os.stat(f).st_mode & 0o7777
    print(f, oct(mode))
    bad += mode != 0o4755
sys.exit(bad)
PY

check "who looks at a file that another process still makes publishes no part of it" python3 - "$a" "$b" <<'PY'
import os, subprocess, sys, time
a, b = sys.argv[1:]
sh = subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # forked before anything is open
def run(command):
    sh.stdin.write(f"{{ {command}; }} >/dev/null; echo done\n".encode()); sh.stdin.flush()
    assert sh.stdout.readline() == b"done\n"
def seen(command, new):
    """What the other mount sees after the command; a second of silence would publish anyway, so only quick rounds count."""
    while True:
        if os.path.exists(a + "/f"): os.unlink(a + "/f")
        if not new: open(a + "/f", "wb").write(b"o" * 100)
        fd = os.open(a + "/f", os.O_WRONLY | (os.O_CREAT | os.O_EXCL if new else os.O_TRUNC))
        began = time.monotonic()
        os.write(fd, b"n" * 8192)
        run(command)
        size = os.stat(b + "/f").st_size
        quick = time.monotonic() - began < 0.9
        os.write(fd, b"n" * 8192)
        os.close(fd)
        assert os.stat(b + "/f").st_size == 16384
        if quick: return size
bad = 0
for new in (True, False):
    for command in (f"touch -d 2001-01-01 {a}/f", f"touch {a}/f", f"chmod 600 {a}/f", f"stat {a}/f", f"cat {a}/f", f"ls -l {a}"):
        size = seen(command, new)
        print("a new file" if new else "an old one", command.split()[0], size)
        bad += size != (0 if new else 100)
sys.exit(bad > 0)
PY

check "what a thread wrote that has ended is its process's" python3 - "$a" <<'PY'
import os, sys, threading
bad = 0
for name, flags in ("excl", os.O_CREAT | os.O_EXCL), ("rewrite", os.O_TRUNC), ("create", os.O_CREAT | os.O_TRUNC):
    for what in "size", "end", "times", "read":
        p = f"{sys.argv[1]}/thread-{name}-{what}"
        if name == "rewrite": open(p, "wb").write(b"o" * 100)
        fd = os.open(p, os.O_WRONLY | flags, 0o644)
        t = threading.Thread(target=lambda: os.write(fd, b"n" * 8192)); t.start(); t.join()
        if what == "size": got = os.fstat(fd).st_size
        elif what == "end": got = os.lseek(fd, 0, os.SEEK_END)
        elif what == "read": got = 8192 if name == "rewrite" else len(open(p, "rb").read())  # a rewrite is read when it is whole
        if what == "times": os.utime(fd, (1, 1))
        os.close(fd)
        if what == "times": got = os.stat(p).st_mtime * 8192
        print(name, what, got)
        bad += got != 8192
sys.exit(bad)
PY

check "who writes through one descriptor with a child of his goes on behind what the child wrote" python3 - "$a" <<'PY'
import os, signal, sys
p = sys.argv[1] + "/handed-on"
fd = os.open(p, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
r, w = os.pipe()
child = os.fork()
if not child:
    os.write(fd, b"c" * 8192); os.write(w, b"."); signal.pause()
os.read(r, 1)
sizes = os.fstat(fd).st_size, os.lseek(fd, 0, os.SEEK_END)
os.write(fd, b"p" * 8192)
os.kill(child, signal.SIGKILL); os.waitpid(child, 0); os.close(fd)
got = open(p, "rb").read()
print(sizes, len(got), got[:1])
sys.exit(sizes != (8192, 8192) or got != b"c" * 8192 + b"p" * 8192)
PY

check "a value that another mount has begun meanwhile is told by an errno that means it" python3 - "$a" "$b" <<'PY'
import os, sys, errno
a, b = sys.argv[1:]
fd = os.open(a + "/beaten", os.O_WRONLY | os.O_CREAT)
for i in range(3): os.write(fd, b"x" * (1 << 20))
open(b + "/beaten", "w").write("x")
r = []
for f in (lambda: os.fsync(fd), lambda: os.fsync(fd), lambda: os.write(fd, b"y" * 4096), lambda: os.close(fd)):
    try: r.append(f())
    except OSError as e: r.append(errno.errorcode[e.errno])
print("fsync, fsync, write, close:", r)
sys.exit("EAGAIN" in r or not any(isinstance(e, str) for e in r))
PY
done_testing
