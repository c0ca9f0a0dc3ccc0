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
from concurrent.futures import ThreadPoolExecutor
a, b, big = sys.argv[1], sys.argv[2], open(sys.argv[3], "rb").read(40 << 20)
MB = 1 << 20

def watched(name, flags, old, size, step):
    """Writes it in pieces, and asks its size on the other mount meanwhile: that of the old value, or of the new one. A second of the writer's
    silence would publish a part: only a round without one counts."""
    for i in range(10):
        if os.path.exists(a + name): os.unlink(a + name)
        if not flags & os.O_EXCL: open(a + name, "wb").write(old)
        fd = os.open(a + name, os.O_WRONLY | flags, 0o640)
        assert os.stat(b + name).st_size == len(old)
        seen, looked, ended = set(), threading.Event(), threading.Event()
        def watch():
            try:
                while not ended.is_set(): seen.add(os.stat(b + name).st_size); looked.set()
            finally: looked.set()
        wrote, silence = time.monotonic(), 0
        with ThreadPoolExecutor(1) as pool:
            watcher = pool.submit(watch)
            try:
                for at in range(0, size, step):
                    piece = big[at:min(at + step, size)]
                    assert os.write(fd, piece) == len(piece)
                    looked.wait()
                    silence, wrote = max(silence, time.monotonic() - wrote), time.monotonic()
                assert os.fstat(fd).st_size == size, os.fstat(fd).st_size
                os.close(fd)
                silence = max(silence, time.monotonic() - wrote)
            finally: ended.set()
            watcher.result()
        assert open(b + name, "rb").read() == big[:size]
        if silence < 0.9:
            assert len(old) in seen and seen <= {len(old), size}, seen
            return
    raise SystemExit("no round is quick enough")

# Nothing of it is seen before the commit; then all of it.
watched("/f", os.O_TRUNC, b"old", 8 * MB, MB)

# O_CREAT|O_EXCL: empty at once, then whole at once.
watched("/x", os.O_CREAT | os.O_EXCL, b"", 6 * MB, 300000)
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
