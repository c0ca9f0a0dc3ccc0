#!/bin/bash
# Values larger than one request: one Put, atomic at any size; bounded memory; nothing of an abandoned one is seen.
# RGKVFS_FULL=1: a gigabyte.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
if [ -n "${RGKVFS_FULL:-}" ]; then limit 900; else limit 120; fi
cluster_start 3
mount_start a || exit 1
mount_start b || exit 1
join_all 101 || exit 1
a=$work/a b=$work/b
mb=${RGKVFS_FULL:+1024}
mb=${mb:-40}

head -c $((mb << 20)) /dev/urandom > "$work/big"

check "cp of a large file" cp "$work/big" "$a/copy"
check "it is the same on another mount" cmp "$work/big" "$b/copy"
check "cp over it" cp "$work/big" "$a/copy"
check "cp -p" cp -p "$work/big" "$a/copy2"
check "its time" test "$(stat -c %Y "$work/big")" = "$(stat -c %Y "$b/copy2")"
check "dd from the mount to the mount" dd if="$b/copy" of="$a/dd" bs=1M conv=fsync status=none
check "the same" cmp "$work/big" "$b/dd"

check "large values" python3 - "$a" "$b" "$work/big" <<'PY'
import os, sys, time, threading
a, b, big = sys.argv[1], sys.argv[2], open(sys.argv[3], "rb").read(40 << 20)
MB = 1 << 20

# Nothing of it is seen before the commit; then all of it.
open(a + "/f", "wb").write(b"old")
fd = os.open(a + "/f", os.O_WRONLY | os.O_TRUNC)
seen = set()
stop = False
def watch():
    while not stop:
        seen.add(os.stat(b + "/f").st_size)
t = threading.Thread(target=watch); t.start()
for i in range(0, 8 * MB, MB):
    assert os.write(fd, big[i:i + MB]) == MB
assert os.fstat(fd).st_size == 8 * MB, os.fstat(fd).st_size
os.close(fd)
stop = True; t.join()
assert seen <= {3, 8 * MB}, seen
assert open(b + "/f", "rb").read() == big[:8 * MB]

# O_CREAT|O_EXCL: empty at once, then whole at once.
seen.clear(); stop = False
fd = os.open(a + "/x", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
def watch2():
    while not stop:
        seen.add(os.stat(b + "/x").st_size)
t = threading.Thread(target=watch2); t.start()
for i in range(0, 6 * MB, 300000):
    os.write(fd, big[i:min(i + 300000, 6 * MB)])
os.close(fd)
stop = True; t.join()
assert seen <= {0, 6 * MB}, seen
assert open(b + "/x", "rb").read() == big[:6 * MB]
assert os.stat(b + "/x").st_mode & 0o777 == 0o640

# pieces in any order, over each other, and holes
import random
r = random.Random(7)
want = bytearray(12 * MB)
size = 0
fd = os.open(a + "/r", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
for i in range(60):
    n = r.choice([4096, 65536, 200000, MB]); at = r.randrange(0, 11 * MB) & ~4095
    os.pwrite(fd, big[at // 2:at // 2 + n], at)
    want[at:at + n] = big[at // 2:at // 2 + n]
    size = max(size, at + n)
    if i % 20 == 19:
        cut = r.randrange(5 * MB, 10 * MB)
        os.ftruncate(fd, cut)
        want[cut:] = bytes(len(want) - cut); size = cut
assert os.fstat(fd).st_size == size
assert os.pread(fd, 100, size - 100) == bytes(want[size - 100:size])
os.close(fd)
got = open(b + "/r", "rb").read()
assert len(got) == size and got == bytes(want[:size])

# truncate to a large size, and a write far out
os.truncate(a + "/f", 3 << 30)
assert os.stat(b + "/f").st_size == 3 << 30
fd = os.open(b + "/f", os.O_RDONLY)
assert os.pread(fd, MB, 8 * MB - 10)[:20] == big[8 * MB - 10:8 * MB] + bytes(10)
os.close(fd)
fd = os.open(a + "/far", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
os.pwrite(fd, b"x" * 4096, 1 << 30)
os.ftruncate(fd, (1 << 30) + 100)
os.close(fd)
assert os.stat(b + "/far").st_size == (1 << 30) + 100
fd = os.open(a + "/new", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
os.ftruncate(fd, 5 * MB); os.close(fd)
assert os.stat(b + "/new").st_size == 5 * MB

# beyond the limit: EFBIG, and nothing changes
import errno
fd = os.open(a + "/f", os.O_WRONLY)
for f in (lambda: os.pwrite(fd, b"x", 4 << 30), lambda: os.ftruncate(fd, (4 << 30) + 1)):
    try: f(); assert False
    except OSError as e: assert e.errno == errno.EFBIG, e
os.close(fd)
open(a + "/.ctrl/error", "w").write("clear\n")
assert os.stat(b + "/f").st_size == 3 << 30

# an append to a large value, and a patch of a range of it
os.truncate(a + "/f", 8 * MB)
with open(a + "/f", "ab", buffering=0) as f: f.write(b"tail")
fd = os.open(a + "/f", os.O_WRONLY); os.pwrite(fd, b"patch", 4 * MB); os.close(fd)
want = big[:4 * MB] + b"patch" + big[4 * MB + 5:8 * MB] + b"tail"
assert open(b + "/f", "rb").read() == want

# begun anew in the middle: what went ahead is given up
fd = os.open(a + "/f", os.O_WRONLY | os.O_TRUNC)
for i in range(4): os.write(fd, big[:MB])
os.ftruncate(fd, 0); os.lseek(fd, 0, 0)
for i in range(3): os.write(fd, big[MB:2 * MB])
os.close(fd)
assert open(b + "/f", "rb").read() == big[MB:2 * MB] * 3

# unlinked while it is written: the content stays with who has it open
fd = os.open(a + "/u", os.O_RDWR | os.O_CREAT | os.O_EXCL)
for i in range(4): os.write(fd, big[i * MB:(i + 1) * MB])
os.unlink(a + "/u")
assert not os.path.exists(b + "/u")
os.pwrite(fd, b"after", 10)
assert os.pread(fd, 20, 0) == big[:10] + b"after" + big[15:20]
assert os.fstat(fd).st_size == 4 * MB
os.close(fd)
assert not os.path.exists(b + "/u")
PY
check "nothing was reported" test ! -s "$a/.ctrl/error"

rss() { awk '/VmHWM/ { print $2 }' "/proc/$1/status"; }
for pid in "${mount_pids[@]}"; do
    check "memory of a mount is bounded ($(rss "$pid") kB)" test "$(rss "$pid")" -lt 400000
done
done_testing
