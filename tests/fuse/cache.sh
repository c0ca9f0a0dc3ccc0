#!/bin/bash
# -o cache=S: names and attributes for S seconds, contents through the kernel's pages, shared maps.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
limit 60
cluster_start 1
mount_start a cache=2 || exit 1
mount_start b || exit 1
join_all 101 || exit 1
a=$work/a b=$work/b

check "maps and pages" python3 - "$a" "$b" <<'PY'
import mmap, os, sys, time, errno
a, b = sys.argv[1], sys.argv[2]
def until(f, what, seconds=10):
    end = time.time() + seconds
    while not f():
        assert time.time() < end, what
        time.sleep(0.01)

# a shared map: what is written into memory arrives, also through a file opened to append
open(a + "/map", "wb").write(b"-" * 20000)
for flags in (os.O_RDWR, os.O_RDWR | os.O_APPEND):
    fd = os.open(a + "/map", flags)
    m = mmap.mmap(fd, 20000, mmap.MAP_SHARED)
    m[5000:5005] = b"hello"; m[19995:20000] = b"world"
    m.flush(); m.close(); os.close(fd)
    got = open(b + "/map", "rb").read()
    assert len(got) == 20000 and got[5000:5005] == b"hello" and got[19995:] == b"world", (len(got), flags)
    open(a + "/map", "wb").write(b"-" * 20000)
# without a cache the kernel must know how (6.6)
fd = os.open(b + "/map", os.O_RDWR)
try: mmap.mmap(fd, 4096, mmap.MAP_SHARED).close(); knows = True
except OSError as e: assert e.errno == errno.ENODEV, e; knows = False
assert knows == (tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 6))
os.close(fd)

# what others write is seen after the time at the latest, and at once by who opens
open(b + "/x", "w").write("one\n")
assert open(a + "/x").read() == "one\n"
open(b + "/x", "w").write("second\n")
until(lambda: os.stat(a + "/x").st_size == 7, "the size stays old")
assert open(a + "/x").read() == "second\n"

# its own writes are seen at once, of every size
for size in (3, 4096, 5000, 3 << 20):
    data = os.urandom(size)
    open(a + "/own", "wb").write(data)
    assert os.path.getsize(a + "/own") == size and open(a + "/own", "rb").read() == data
    assert open(b + "/own", "rb").read() == data
with open(a + "/log", "ab", buffering=0) as f:
    for i in range(20): f.write(b"%d\n" % i)
assert open(a + "/log", "rb").read() == open(b + "/log", "rb").read() == b"".join(b"%d\n" % i for i in range(20))
# a name that is gone is gone here at once
os.unlink(a + "/own"); assert not os.path.exists(a + "/own")
os.rename(a + "/log", a + "/log2"); assert not os.path.exists(a + "/log")

# a database that maps its index
import sqlite3
db = sqlite3.connect(a + "/db.sqlite")
assert db.execute("pragma journal_mode=wal").fetchone()[0] == "wal"
db.execute("create table t (k integer primary key, v text)")
for i in range(200): db.execute("insert into t values (?, ?)", (i, "v%d" % i))
db.commit()
db.execute("pragma wal_checkpoint(truncate)"); db.close()
db = sqlite3.connect(a + "/db.sqlite")
assert db.execute("select count(*), max(v) from t").fetchone() == (200, "v99")
assert db.execute("pragma integrity_check").fetchone()[0] == "ok"
db.close()
PY
check_same "the options say so" "$(grep '^cache' "$a/.ctrl/mount/options")" "cache 2"
check_fails "a time that is none" "$rgkvfs" "$controllers" "$work/b" -o cache=soon
done_testing
