#!/bin/bash
# Several that work on one file of one mount, in place: each sees what the others wrote before, by read(2), by a shared map, or by a
# database's locks; what one of them had not sent yet never comes after what another one did later.
# RGKVFS_FULL=1: more of each.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
if [ -n "${RGKVFS_FULL:-}" ]; then rounds=10 steps=2000 rows=150; limit 900; else rounds=1 steps=250 rows=12; limit 240; fi
cluster_start 1
mount_start a || exit 1
mount_start b || exit 1
mount_start c cache=2 || exit 1
join_all 101 || exit 1
a=$work/a b=$work/b c=$work/c

check "the order of what two do" env PYTHONPATH="${top_srcdir:-.}/tests/fuse" PYTHONDONTWRITEBYTECODE=1 python3 - "$a" "$b" <<'PY'
import os, sys
from quickly import quickly
a, b = sys.argv[1], sys.argv[2]
def there(name): return open(b + "/" + name, "rb").read()

# opened, then changed by the same mount, then read for the first time: by whatever handle
for flags in (os.O_RDONLY, os.O_RDWR):
    for change in (lambda: open(a + "/f", "w").write("new"), lambda: os.truncate(a + "/f", 3), lambda: open(a + "/f", "a").write("more\n")):
        open(a + "/f", "w").write("value")
        fd = os.open(a + "/f", flags)
        change()
        assert os.pread(fd, 100, 1) == there("f")[1:], (flags, os.pread(fd, 100, 1), there("f"))
        os.close(fd)

# in the middle of reading: who may write as well sees it, who only reads keeps its version
open(a + "/f", "wb").write(b"1" * 9000)
reader, updater, writer = [os.open(a + "/f", flags) for flags in (os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND)]
assert os.pread(updater, 4096, 0) == b"1" * 4096
assert os.pread(reader, 4096, 0) == b"1" * 4096
open(a + "/f", "wb").write(b"2" * 9000)
assert os.pread(updater, 2048, 4096) == b"2" * 2048
assert os.pread(reader, 2048, 4096) == b"1" * 2048
os.close(updater)
os.write(writer, b"3")
assert os.pread(reader, 1000, 8000) == b"1" * 1000
assert os.pread(reader, 1000, 9000) == b""
assert os.pread(reader, 1000, 0) == b"2" * 1000
os.write(writer, b"3")
assert os.pread(reader, 10000, 1000) == b"2" * 8000 + b"3"
assert os.pread(reader, 1000, 9001) == b"3"
os.close(reader)
os.close(writer)

# who opens the file once more finds all that it did itself, a value that it begins anew, too; what it does then comes later
for begin in (lambda fd: os.ftruncate(fd, 0), lambda fd: os.close(os.open(a + "/f", os.O_WRONLY | os.O_TRUNC))):
    open(a + "/f", "wb").write(b"1" * 24576)
    fd = os.open(a + "/f", os.O_RDWR)
    begin(fd)
    assert open(a + "/f", "rb").read() == b""
    os.close(fd)
    assert there("f") == b""
def begun_anew():
    open(a + "/f", "wb").write(b"1" * 24576)
    fd = os.open(a + "/f", os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"2" * 4096)
    return fd, there("f")
for later in (lambda: os.truncate(a + "/f", 3), lambda: open(a + "/f", "r+b").truncate(3)):
    fd, seen = quickly(begun_anew)
    assert seen == b"1" * 24576 # others see the old value, or the new one
    assert open(a + "/f", "rb").read() == b"2" * 4096
    os.write(fd, b"3" * 4096)
    later()
    os.close(fd)
    assert there("f") == b"222", there("f")[:10]

# another thread of the process sees the old value or the new one, as everybody does
import threading
def in_a_thread():
    seen = []
    t = threading.Thread(target=lambda: seen.append(open(a + "/f", "rb").read()))
    t.start()
    t.join()
    return seen[0]
def half_written():
    open(a + "/f", "wb").write(b"1" * 8192)
    fd = os.open(a + "/f", os.O_WRONLY | os.O_TRUNC)
    opened = in_a_thread()
    os.write(fd, b"2" * 4096)
    return fd, opened, in_a_thread()
fd, *seen = quickly(half_written)
os.write(fd, b"2" * 4096)
os.close(fd)
seen.append(in_a_thread())
assert seen == [b"1" * 8192, b"1" * 8192, b"2" * 8192], [s[:9] for s in seen]

# small values, too, that are replaced by others which begin like them: what came with the open goes on to its own end
for how in (os.O_TRUNC, os.O_APPEND):
    open(a + "/f", "w").write("one,")
    reader = os.open(a + "/f", os.O_RDONLY)
    assert os.read(reader, 4096) == b"one,"
    open(a + "/f", "w").write("two,")
    writer = os.open(a + "/f", os.O_WRONLY | how)
    os.write(writer, b"two,three,")
    assert os.read(reader, 4096) == b"", how
    os.close(writer)
    os.close(reader)

# blocks of one are there for another's read, though they are not sent by themselves
open(a + "/g", "wb").write(b"-" * 8192)
one = os.open(a + "/g", os.O_RDWR)
os.pwrite(one, b"1" * 4096, 4096)
reader = os.open(a + "/g", os.O_RDONLY)
assert os.pread(reader, 4096, 4096) == b"1" * 4096
os.pwrite(one, b"2" * 4096, 4096)
assert os.pread(reader, 4096, 4096) == b"2" * 4096
os.close(reader)

# with two updaters the later write wins, and a truncation does not come after what was written behind it
two = os.open(a + "/g", os.O_RDWR)
os.pwrite(one, b"1" * 4096, 0)
os.pwrite(two, b"2" * 4096, 0)
assert there("g")[:4096] == b"2" * 4096
os.ftruncate(one, 0)
assert there("g") == b""
os.pwrite(two, b"two" * 4096, 0)
os.close(one)
assert there("g") == b"two" * 4096
os.truncate(a + "/g", 0)
assert os.pread(two, 10, 0) == b""
os.close(two)

# what was written before a truncation by path is not there after it
one = os.open(a + "/g", os.O_RDWR)
os.pwrite(one, b"1" * 4096, 4096)
os.truncate(a + "/g", 10)
os.close(one)
assert there("g") == bytes(10)

# the size that another process is told counts what is shared
one = os.open(a + "/g", os.O_RDWR)
os.pwrite(one, b"1" * 4096, 4096)
pid = os.fork()
if not pid: os._exit(os.stat(a + "/g").st_size != 8192)
assert os.waitpid(pid, 0)[1] == 0
os.close(one)
PY

maps=0
python3 -c 'import os, sys; v = os.uname().release.split("."); sys.exit((int(v[0]), int(v[1])) < (6, 6))' && maps=1
for seed in $(seq "$rounds"); do
    check "random operations, seed $seed" python3 "$top_srcdir/tests/fuse/fsx.py" "$a/fsx" "$seed" "$steps"
    check "with a cache and maps, seed $seed" python3 "$top_srcdir/tests/fuse/fsx.py" "$c/fsx.c" "$seed" "$steps" map
    [ "$maps" = 0 ] || check "with maps, seed $seed" python3 "$top_srcdir/tests/fuse/fsx.py" "$a/fsx.m" "$seed" "$steps" map
done

cat >"$work/maps.py" <<'PY'
import mmap, os, sys
d, b = sys.argv[1], sys.argv[2]
def forked(todo):
    pid = os.fork()
    if not pid:
        todo()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
open(d + "/m", "wb").write(b"-" * 16384)
one, two = os.open(d + "/m", os.O_RDWR), os.open(d + "/m", os.O_RDWR)
m1, m2 = mmap.mmap(one, 16384), mmap.mmap(two, 16384)
m1[0:3] = b"one"
assert m2[0:3] == b"one"
m2[5000:5003] = b"two"
m2.flush()                                     # by whichever file the kernel sends the pages, they are there afterwards
value = open(b + "/m", "rb").read()
assert value[:3] == b"one" and value[5000:5003] == b"two", value[:3] + value[5000:5003]
os.pwrite(one, b"written", 9000)
assert m2[9000:9007] == b"written" == os.pread(two, 7, 9000)
m1[9000:9007] = b"mapped!"
assert os.pread(two, 7, 9000) == b"mapped!"
def child():
    fd = os.open(d + "/m", os.O_RDWR)
    m = mmap.mmap(fd, 16384)
    assert m[0:3] == b"one" and m[9000:9007] == b"mapped!"
    m[12000:12005] = b"child"
forked(child)
assert m1[12000:12005] == b"child"
# grown by one, mapped, and looked at by another before it is touched
os.pwrite(one, b"x" * 4096, 16384)
m3 = mmap.mmap(one, 20480)
forked(lambda: os.stat(d + "/m"))
assert m3[20479] == ord("x")
PY
cat >"$work/wal.py" <<'PY'
import os, sqlite3, sys
path, workers, rows = sys.argv[1], 4, int(sys.argv[2])
def work(w):
    for i in range(rows):
        if i % 10 == 0: db = sqlite3.connect(path, timeout=60)
        with db: db.execute("insert into t values (?, ?, ?)", (w, i, "x" * (i * 50)))
        assert db.execute("select count(*) from t where who = ?", (w,)).fetchone() == (i + 1,)
        if i % 7 == 0: db.execute("pragma wal_checkpoint(truncate)").fetchall()
    assert db.execute("pragma integrity_check").fetchone() == ("ok",)
db = sqlite3.connect(path)
assert db.execute("pragma journal_mode=wal").fetchone() == ("wal",)
db.execute("create table t (who int, i int, v text)")
db.commit(); db.close()
pids = []
for w in range(workers):
    pids.append(os.fork())
    if not pids[-1]:
        work(w)
        os._exit(0)
assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * workers
db = sqlite3.connect(path)
assert db.execute("select count(*) from t").fetchone() == (workers * rows,) and db.execute("pragma integrity_check").fetchone() == ("ok",)
PY
for mount in c $([ "$maps" = 0 ] || echo a); do
    check "maps of several ($mount)" python3 "$work/maps.py" "$work/$mount" "$b"
    check "a database with a mapped index, by several ($mount)" python3 "$work/wal.py" "$work/$mount/$mount.db" "$rows"
done
for mode in delete truncate; do
    check "a database that does not sync ($mode)" python3 - "$a/$mode.db" "$mode" "$rows" <<'PY'
import os, sqlite3, sys
path, mode, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
def connect():
    db = sqlite3.connect(path, timeout=60)
    db.execute("pragma synchronous=off")
    assert db.execute("pragma journal_mode=" + mode).fetchone() == (mode,)
    return db
db = connect(); db.execute("create table t (who int, v text)"); db.commit(); db.close()
pids = []
for w in range(3):
    pids.append(os.fork())
    if not pids[-1]:
        db = connect()
        for i in range(rows):
            with db: db.execute("insert into t values (?, ?)", (w, "x" * 3000))
            assert db.execute("select count(*) from t where who = ?", (w,)).fetchone() == (i + 1,)
        os._exit(0)
assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 3
db = connect()
assert db.execute("select count(*) from t").fetchone() == (3 * rows,) and db.execute("pragma integrity_check").fetchone() == ("ok",)
PY
done
check "nothing was reported" test ! -s "$a/.ctrl/error"
done_testing
