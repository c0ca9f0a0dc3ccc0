#!/bin/bash
# When a write becomes a Put: what other readers see, and when.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
limit 60
cluster_start 1
mount_start a || exit 1
mount_start b || exit 1
join_all 101 || exit 1
a=$work/a b=$work/b

check "staging" env PYTHONPATH="${top_srcdir:-.}/tests/fuse" PYTHONDONTWRITEBYTECODE=1 python3 - "$a" "$b" <<'PY'
import os, sys, time
from quickly import quickly
a, b = sys.argv[1], sys.argv[2]
def there(name): return open(b + "/" + name, "rb").read()
def until(f, what, seconds=10):
    end = time.time() + seconds
    while not f():
        assert time.time() < end, what
        time.sleep(0.01)

# O_TRUNC is staged: the old value stays for others until there is a new one
def begun_anew(old, new=b""):
    open(a + "/f", "wb").write(old)
    fd = os.open(a + "/f", os.O_WRONLY | os.O_TRUNC)
    os.write(fd, new)
    return fd, there("f")
def flushed():
    fd, opened = begun_anew(b"old\n")
    os.close(os.dup(fd))
    return fd, opened, there("f")
fd, opened, flushed = quickly(flushed)
assert opened == b"old\n", "a truncation was sent at open"
assert flushed == b"old\n", "a truncation was sent by a flush"
assert os.fstat(fd).st_size == 0, "the writer sees its staged size"
os.write(fd, b"new\n")
assert there("f") == b"new\n", "a short write is sent in the write"
os.write(fd, b"more\n")
assert there("f") == b"new\nmore\n"
os.close(fd)

# blocks are staged until the close
fd, seen = quickly(begun_anew, b"new\nmore\n", b"x" * 8192)
assert seen == b"new\nmore\n", "a block was sent at once"
assert os.fstat(fd).st_size == 8192
os.write(fd, b"y" * 4096)
os.close(fd)
assert there("f") == b"x" * 8192 + b"y" * 4096

# … or fsync
fd = os.open(a + "/f", os.O_WRONLY | os.O_TRUNC)
os.write(fd, b"z" * 4096); os.fsync(fd)
assert there("f") == b"z" * 4096
os.close(fd)

# … or a second of silence
fd, seen = quickly(begun_anew, b"z" * 4096, b"q" * 4096)
assert seen == b"z" * 4096
until(lambda: there("f") == b"q" * 4096, "silence does not commit")
os.write(fd, b"r" * 4096); os.close(fd)
assert there("f") == b"q" * 4096 + b"r" * 4096

# ftruncate(0) on the handle is staged (sort -o, vim), ftruncate(n) is sent
def emptied():
    open(a + "/f", "wb").write(b"q" * 8192)
    fd = os.open(a + "/f", os.O_RDWR)
    os.ftruncate(fd, 0)
    return fd, len(there("f"))
fd, seen = quickly(emptied)
assert seen == 8192, "ftruncate(0) was sent"
os.write(fd, b"short")
assert there("f") == b"short"
os.ftruncate(fd, 3); assert there("f") == b"sho"
os.ftruncate(fd, 5); assert there("f") == b"sho\0\0"
os.pwrite(fd, b"XY", 1); assert there("f") == b"sXY\0\0"
assert os.pread(fd, 100, 0) == b"sXY\0\0", "it reads its own writes"
os.close(fd)

# O_TRUNC and nothing written: the empty value at the close
fd = os.open(a + "/f", os.O_WRONLY | os.O_TRUNC); os.close(fd)
until(lambda: there("f") == b"", "the truncation never came")

# a creation without O_EXCL: staged, but this mount sees it
def created():
    if os.path.exists(a + "/c"): os.unlink(a + "/c")
    fd = os.open(a + "/c", os.O_WRONLY | os.O_CREAT, 0o640)
    return fd, os.stat(a + "/c").st_mode & 0o777, os.path.exists(b + "/c")
fd, mode, seen = quickly(created)
assert mode == 0o640 and not seen
os.fchmod(fd, 0o600); assert os.fstat(fd).st_mode & 0o777 == 0o600
os.close(fd)
until(lambda: os.path.exists(b + "/c"), "the creation never came")
assert os.stat(b + "/c").st_mode & 0o777 == 0o600
# … who opens it on this mount makes it real
fd = os.open(a + "/c2", os.O_WRONLY | os.O_CREAT)
assert open(a + "/c2").read() == "" and os.path.exists(b + "/c2")
os.close(fd)
# … and so does who lists the directory; the value that begins then is one Put all the same
def listed(flags):
    if os.path.exists(a + "/listed"): os.unlink(a + "/listed")
    fd = os.open(a + "/listed", os.O_WRONLY | os.O_CREAT | flags)
    assert "listed" in os.listdir(a) and there("listed") == b""
    os.write(fd, b"1" * (1 << 20)); os.listdir(a); os.write(fd, b"2" * (1 << 20))
    return fd, there("listed")
for flags in (0, os.O_TRUNC):
    fd, seen = quickly(listed, flags)
    assert seen == b"", "a part of it is seen"
    os.close(fd)
    assert there("listed") == b"1" * (1 << 20) + b"2" * (1 << 20)
# … a rename too
fd = os.open(a + "/c3", os.O_WRONLY | os.O_CREAT)
os.mkdir(a + "/dir"); 
os.close(fd)
fd = os.open(a + "/dir/x", os.O_WRONLY | os.O_CREAT); os.write(fd, b"m" * 4096)
os.rename(a + "/dir/x", a + "/dir/y"); os.close(fd)
assert there("dir/y") == b"m" * 4096 and not os.path.exists(b + "/dir/x")
# … a lost race leaves the winner's content, unless O_TRUNC was asked for
fd = os.open(a + "/race", os.O_WRONLY | os.O_CREAT)
open(b + "/race", "w").write("winner")
os.close(fd); time.sleep(0)
until(lambda: open(a + "/race").read() == "winner", "lost race")
fd = os.open(a + "/race2", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
open(b + "/race2", "w").write("winner\n")
os.write(fd, b"late\n"); os.close(fd)
assert there("race2") == b"winner\nlate\n", there("race2")

# O_APPEND behind a staged truncation is one Put
fd = os.open(a + "/f", os.O_WRONLY | os.O_TRUNC | os.O_APPEND)
os.write(fd, b"1\n"); assert there("f") == b"1\n"
os.write(fd, b"2\n"); assert there("f") == b"1\n2\n"
os.close(fd)

# times on a staged handle
fd = os.open(a + "/f", os.O_WRONLY | os.O_TRUNC); os.write(fd, b"t" * 4096)
os.utime(fd, ns=(5, 1000000007)); os.close(fd)
s = os.stat(b + "/f"); assert (s.st_mtime_ns, s.st_size) == (1000000007, 4096), s

# a write by another user clears setuid
open(a + "/suid", "w").write("x"); os.chmod(a + "/suid", 0o4755)
os.truncate(a + "/suid", 1)
assert os.stat(a + "/suid").st_mode & 0o7777 == 0o4755

# a value has a limit: beyond it EFBIG, and the old value stays
def too_large():
    fd, _ = begun_anew(b"t" * 4096, b"1" * 4096)
    try: os.pwrite(fd, b"2" * 4096, 4 << 30); raise SystemExit("over the limit")
    except OSError as e: assert e.errno == 27, e
    try: os.close(fd)
    except OSError as e: assert e.errno == 27, e
    return fd, there("f")
assert quickly(too_large)[1] == b"t" * 4096, "a truncated value was published"
# more than one request carries
fd = os.open(a + "/grow", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
for i in range(5): assert os.write(fd, bytes([i]) * (1 << 20)) == 1 << 20
os.close(fd)
assert os.path.getsize(b + "/grow") == 5 << 20
assert there("grow")[3 << 20] == 3
PY

# a process that exits without closing: committed at release
python3 -c 'import os, sys; fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC); os.write(fd, b"e" * 4096); os._exit(0)' "$a/exit"
exit_is_there() { [ "$(stat -c %s "$b/exit" 2>/dev/null)" = 4096 ]; }
check "committed at release" wait_until 10 exit_is_there
check_same "and whole" "$(tr -d e <"$b/exit" | wc -c) $(wc -c <"$b/exit")" "0 4096"

# commit=write sends every write
mount_start c commit=write
check "commit=write" python3 - "$work/c" "$b" <<'PY'
import os, sys
fd = os.open(sys.argv[1] + "/w", os.O_WRONLY | os.O_CREAT)
os.write(fd, b"x" * 8192)
assert os.path.getsize(sys.argv[2] + "/w") == 8192
PY

# unmounting right after a close loses nothing
head -c 100000 /dev/zero >"$a/last"
mount_stop a
check_same "written before umount" "$(stat -c %s "$b/last")" 100000

# SIGTERM with something staged: committed, unmounted
python3 -c '
import os, signal, sys
fd = os.open(sys.argv[1] + "/term", os.O_WRONLY | os.O_CREAT)
os.write(fd, b"s" * 4096)
os.kill(int(sys.argv[2]), signal.SIGTERM)
import time
end = time.time() + 10
while not (os.path.exists(sys.argv[3] + "/term") and os.path.getsize(sys.argv[3] + "/term") == 4096):
    assert time.time() < end
    time.sleep(0.01)
' "$work/c" "$(mount_pid c)" "$b" || fail "B44 SIGTERM leaves staged data behind"
is_unmounted() { ! mountpoint -q "$1"; }
check "SIGTERM unmounts" wait_until 10 is_unmounted "$work/c"
unset "mounted[c]"
done_testing
