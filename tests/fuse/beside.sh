#!/bin/bash
# Writes beside removals and renames of their names, and of directories above them: nothing that was acknowledged is lost, and no name comes back.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
limit 90
cluster_start 1
mount_start a || exit 1
mount_start b || exit 1
join_all 101 || exit 1

check "appends beside an unlink" python3 - "$work/a" "$work/b" <<'PY'
import os, sys, threading
a, b = sys.argv[1], sys.argv[2]
for round in range(25):
    fd = os.open(a + "/log", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    def append():
        for i in range(30): os.write(fd, b"%d\n" % i)
    t = threading.Thread(target=append); t.start()
    while os.fstat(fd).st_size < 5 + round: pass
    os.unlink(a + "/log")
    t.join()
    got = os.pread(fd, 10000, 0)
    assert got == b"".join(b"%d\n" % i for i in range(30)), (round, got)
    os.close(fd)
    assert not os.path.exists(b + "/log"), "the name came back"
PY

check "closes below a directory that is renamed" python3 - "$work/a" "$work/b" <<'PY'
import os, sys, threading
a, b = sys.argv[1], sys.argv[2]
os.mkdir(a + "/top"); os.mkdir(a + "/top/x0")
for round in range(25):
    old, new = a + "/top/x%d" % round, a + "/top/x%d" % (round + 1)
    fds = []
    for i in range(6):
        fd = os.open("%s/f%d" % (old, i), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(fd, b"%04d" % round * 1024); fds.append(fd)
    def close():
        for fd in fds: os.close(fd)
    t = threading.Thread(target=close); t.start()
    os.rename(old, new)
    t.join()
    assert not os.path.exists(b + "/top/x%d" % round), "the old directory came back"
    for i in range(6):
        got = open("%s/top/x%d/f%d" % (b, round + 1, i), "rb").read()
        assert got == b"%04d" % round * 1024, (round, i, len(got))
PY

check "a directory with a file that is only staged is not empty" python3 - "$work/a" "$work/b" <<'PY'
import os, sys, errno
a, b = sys.argv[1], sys.argv[2]
os.mkdir(a + "/dir")
fd = os.open(a + "/dir/f", os.O_WRONLY | os.O_CREAT)
os.write(fd, b"x" * 4096)
try: os.rmdir(a + "/dir"); raise SystemExit("removed")
except OSError as e: assert e.errno == errno.ENOTEMPTY, e
os.close(fd)
assert os.path.getsize(b + "/dir/f") == 4096
PY

check "only one of two mounts creates a file with O_EXCL" python3 - "$work/a" "$work/b" <<'PY'
import os, sys, threading
won = []
def create(m, i):
    try: os.close(os.open("%s/excl%d" % (m, i), os.O_WRONLY | os.O_CREAT | os.O_EXCL)); won.append(i)
    except FileExistsError: pass
for i in range(40):
    t = [threading.Thread(target=create, args=(m, i)) for m in sys.argv[1:]]
    [x.start() for x in t]; [x.join() for x in t]
assert sorted(won) == list(range(40)), won
PY
check "nothing was reported" test ! -s "$work/a/.ctrl/error"
done_testing
