#!/bin/bash
# Renames of files to other shards, in other groups: the target is never missing or torn, whoever is killed meanwhile, and the rename
# ends by itself. RGKVFS_FULL=1: longer.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
if [ -n "${RGKVFS_FULL:-}" ]; then rounds=60; limit 900; else rounds=6; limit 150; fi
cluster_start 6
mount_start a || exit 1
mount_start b || exit 1
join_group 101 1 2 3 || exit 1
join_group 102 4 5 6 || exit 1
a=$work/a b=$work/b

check "an open file follows its rename, also if another mount takes the old name before this one hears of the end" python3 - "$a" "$b" <<'PY'
import os, sys, threading
a, b = sys.argv[1], sys.argv[2]
def shard(n):
    open(a + "/" + n, "w").close()
    s = os.getxattr(a + "/" + n, "user.rgkv.shard")
    os.unlink(a + "/" + n)
    return s
old = "taken"
new = next(n for n in ("to%d" % i for i in range(100)) if shard(n) != shard(old))
hits = 0
for i in range(8):
    open(a + "/" + old, "wb").write(b"x" * (4 << 20))
    fd = os.open(a + "/" + old, os.O_RDWR)
    done = threading.Event()
    def beside():
        global hits
        while True:
            try: os.close(os.open(b + "/" + old, os.O_CREAT | os.O_EXCL | os.O_WRONLY)); break
            except FileExistsError: pass
        hits += not done.is_set()
        os.stat(a + "/" + old)
    t = threading.Thread(target=beside)
    t.start()
    os.rename(a + "/" + old, a + "/" + new)
    done.set()
    t.join()
    os.pwrite(fd, b"yes", 0)
    os.fsync(fd)
    os.close(fd)
    assert open(b + "/" + new, "rb").read(3) == b"yes" and os.stat(b + "/" + old).st_size == 0
    os.unlink(a + "/" + old)
print("%d of 8 while the rename was under way" % hits)
PY

check "renames" python3 - "$a" "$b" <<'PY'
import os, sys, errno, ctypes
a, b = sys.argv[1], sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)
def renameat2(x, y, flags):
    if libc.renameat2(-100, x.encode(), -100, y.encode(), flags): raise OSError(ctypes.get_errno(), "renameat2")
def fails(number, f, *args):
    try: f(*args)
    except OSError as e: assert e.errno == number, (e, number); return
    raise SystemExit("no error %d from %s%s" % (number, f.__name__, args))
def shard(p): return int(os.getxattr(p, "user.rgkv.shard"))

# names in different shards: many
names = ["n%d" % i for i in range(40)]
for i, n in enumerate(names): open("%s/%s" % (a, n), "w").write("value %d\n" % i)
shards = {n: shard(a + "/" + n) for n in names}
groups = {os.getxattr(a + "/" + n, "user.rgkv.group") for n in names}
assert len(set(shards.values())) > 4 and len(groups) == 2, (shards, groups)
x = names[0]
y = next(n for n in names if shards[n] != shards[x])
z = next(n for n in names if shards[n] not in (shards[x], shards[y]))

for i in range(20): # there and back
    os.rename(a + "/" + x, a + "/to")
    assert open(b + "/to").read() == "value 0\n" and not os.path.exists(b + "/" + x)
    os.rename(b + "/to", b + "/" + x)
    assert open(a + "/" + x).read() == "value 0\n" and not os.path.exists(a + "/to")

# it replaces, it keeps what is the file's own
os.chmod(a + "/" + x, 0o640); os.utime(a + "/" + x, (5, 6)); os.setxattr(a + "/" + x, "user.k", b"v")
ino = os.stat(a + "/" + x).st_ino
os.rename(a + "/" + x, a + "/" + y)
s = os.stat(b + "/" + y)
assert open(b + "/" + y).read() == "value 0\n"
assert (s.st_mode & 0o777, s.st_mtime) == (0o640, 6), s
assert os.getxattr(b + "/" + y, "user.k") == b"v" and os.stat(a + "/" + y).st_ino == ino
# NOREPLACE, a directory in the way, a directory itself, nothing there
fails(errno.EEXIST, renameat2, a + "/" + y, a + "/" + z, 1)
fails(errno.EINVAL, renameat2, a + "/" + y, a + "/" + z, 2)
os.mkdir(a + "/dir")
for n in names:
    if n != x and n != y and shard(a + "/" + n) != shard(a + "/dir"): break
fails(errno.EISDIR, os.rename, a + "/" + n, a + "/dir")
os.rename(a + "/" + n, a + "/dir/in")
assert os.listdir(b + "/dir") == ["in"]
fails(errno.ENOENT, os.rename, a + "/nothing", a + "/" + y)
os.symlink("target", a + "/link")
os.rename(a + "/link", a + "/link2"); assert os.readlink(b + "/link2") == "target"

# a large one, an open one, and one that is still being written
big = os.urandom(5 << 20)
open(a + "/big", "wb").write(big)
fd = os.open(a + "/big", os.O_RDONLY)
assert os.pread(fd, 100, 1000) == big[1000:1100]
for i in range(8):
    os.rename(a + "/big", a + "/big%d" % i); os.rename(a + "/big%d" % i, a + "/big")
assert os.pread(fd, 100, 2000) == big[2000:2100]; os.close(fd)
assert open(b + "/big", "rb").read() == big
fd = os.open(a + "/w", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
for i in range(3): os.write(fd, big[:1 << 20])
for i in range(8): os.rename(a + "/w", a + "/w%d" % i); os.rename(a + "/w%d" % i, a + "/w")
os.write(fd, b"end\n"); os.close(fd)
assert open(b + "/w", "rb").read() == big[:1 << 20] * 3 + b"end\n"
PY

check "mv of a directory between shards copies" sh -c "mkdir '$a/tree' && echo 1 >'$a/tree/x' && mv '$a/tree' '$a/tree2' && mv '$a/tree2' '$a/tree3' && mv '$a/tree3' '$a/tree4' && test \"\$(cat '$b/tree4/x')\" = 1"

# Two mounts that rename files onto each other's: nobody waits for ever, nothing is lost.
check "renames against each other" python3 - "$a" "$b" <<'PY'
import os, sys
from concurrent.futures import ThreadPoolExecutor
a, b = sys.argv[1], sys.argv[2]
def work(m, me, other):
    for i in range(30):
        open("%s/%s" % (m, me), "w").write("%s %d\n" % (me, i))
        try: os.rename("%s/%s" % (m, me), "%s/%s" % (m, other))
        except FileNotFoundError: pass
with ThreadPoolExecutor(2) as pool: list(pool.map(work, (a, b), ("p1", "q2"), ("q2", "p1")))
assert os.path.exists(a + "/p1") or os.path.exists(a + "/q2")
PY

# The target is replaced again and again while mounts and leaders are killed.
cat >"$work/replace.py" <<'PY'
import os, sys, time
m, tag, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
end = time.time() + seconds
i = done = 0
while time.time() < end:
    value = ("%s %d " % (tag, i)) * 20000
    try:
        with open("%s/src-%s-%d" % (m, tag, i), "w") as f: f.write(value)
        os.rename("%s/src-%s-%d" % (m, tag, i), m + "/target")
        done += 1
    except OSError as e: print("replace:", e)
    i += 1
assert done, "nothing was replaced"
PY
cat >"$work/watch.py" <<'PY'
import os, sys, time
m = sys.argv[1]
n = 0
while not os.path.exists(sys.argv[2]):
    try: v = open(m + "/target").read()
    except FileNotFoundError: raise SystemExit("the target is missing")
    except OSError as e: continue
    words = v.split(" ")
    if v != (words[0] + " " + words[1] + " ") * 20000: raise SystemExit("the target is torn: %d bytes %r" % (len(v), v[:40]))
    n += 1
assert n, "nothing was read"
print("%d reads" % n)
PY
python3 -c 'import sys; open(sys.argv[1], "w").write("first 0 " * 20000)' "$a/target"
python3 "$work/watch.py" "$b" "$work/stop" &
watcher=$!
for ((round = 0; round < rounds; round++)); do
    mount_start "k$round" || exit 1
    python3 "$work/replace.py" "$work/k$round" "r$round" 2 >"$work/replace.log" 2>&1 &
    worker=$!
    sleep "0.$((RANDOM % 9))" # any moment of its work
    if [ $((round % 2)) = 0 ]; then
        kill -KILL "$(mount_pid "k$round")"
        umount -l "$work/k$round"; unset "mounted[k$round]"
    else
        victim=$((RANDOM % 6 + 1))
        node_kill "$victim"
        sleep 0.3 # renames go on without it
        node_start "$victim"
    fi
    wait "$worker"
    status=$?
    [ $((round % 2)) = 0 ] && continue
    # a mount outlives a node: what it had under way there, it asks the others
    check_same "round $round: every replacement succeeds beside a node that is killed" "$status $(sort -u "$work/replace.log" | head -n 3)" "0 "
    mount_stop "k$round"
done
touch "$work/stop"
check "the target was never missing or torn" wait "$watcher"
# every rename that was begun ends by itself: then each locked source is gone or writable again
check "no source stays locked" sh -c "for f in '$a'/src-*; do [ ! -e \"\$f\" ] || timeout 20 rm -f \"\$f\" || exit 1; done"
done_testing
