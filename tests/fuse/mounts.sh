#!/bin/bash
# Two mounts of one cluster: what one writes, the other sees at once (B7, B43, B45, B46).
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
limit 90
cluster_start 3
mount_start a || exit 1
mount_start b || exit 1
join_all 101 || exit 1
a=$work/a b=$work/b

for i in $(seq 1 50); do
    echo "value $i" >"$a/k"
    [ "$(cat "$b/k")" = "value $i" ] || fail "B7 round $i: the other mount reads $(cat "$b/k")"
    [ "$(stat -c %s "$b/k")" = "$(printf 'value %d\n' "$i" | wc -c)" ] || fail "round $i: size"
done
mkdir "$a/d"; echo x >"$a/d/f"
check_same "names are seen" "$(ls "$b/d")" f
mv "$a/d/f" "$a/d/g"
check_same "renames are seen" "$(ls "$b/d"; cat "$b/d/g")" $'g\nx'
rm "$b/d/g"; rmdir "$b/d"
check_fails "removals are seen" stat "$a/d"
chmod 600 "$a/k"; check_same "modes are seen" "$(stat -c %a "$b/k")" 600

# O_EXCL: one winner over both mounts
for i in $(seq 1 20); do
    ( set -C; echo a >"$a/lock$i" ) 2>/dev/null & pa=$!
    ( set -C; echo b >"$b/lock$i" ) 2>/dev/null & pb=$!
    won=0
    wait "$pa" && won=$((won + 1))
    wait "$pb" && won=$((won + 1))
    [ "$won" = 1 ] || fail "$won winners of lock$i"
done

# appends of many writers: every line whole and once
for w in 1 2 3 4; do
    ( dir=$a; [ $((w % 2)) = 0 ] && dir=$b
      for i in $(seq 1 50); do echo "writer $w line $i" >>"$dir/log" || exit 1; done ) &
    writers[w]=$!
done
for w in 1 2 3 4; do wait "${writers[$w]}" || fail "writer $w"; done
check_same "B43 every append is there once" "$(sort "$a/log" | uniq | wc -l) $(wc -l <"$b/log")" "200 200"
check_same "B43 none is torn" "$(grep -cvE '^writer [1-4] line [0-9]+$' "$b/log")" 0

# a large append is one Append: two writers never mix
check "B43 appends of 1 MiB - 4 KiB are atomic" python3 - "$a" "$b" <<'PY'
import os, sys, threading
n = 1044480
def run(d, c):
    fd = os.open(d + "/big", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for _ in range(3): assert os.write(fd, c * n) == n
    os.close(fd)
t = [threading.Thread(target=run, args=(d, c)) for d, c in ((sys.argv[1], b"a"), (sys.argv[2], b"b"))]
[x.start() for x in t]; [x.join() for x in t]
v = open(sys.argv[1] + "/big", "rb").read()
assert len(v) == 6 * n, len(v)
for i in range(6): assert v[i*n:(i+1)*n] in (b"a"*n, b"b"*n), "mixed"
PY

# B45: a reader never sees a half of an overwrite by a copy
check "B45 overwrites are whole" python3 - "$a" "$b" <<'PY'
import sys, threading
a, b = sys.argv[1] + "/whole", sys.argv[2] + "/whole"
def value(i): return bytes([97 + i % 26]) * (200000 + 1000 * (i % 7))
open(a, "wb").write(value(0))
written = 0
def write():
    global written
    for i in range(60):
        with open(a, "wb", buffering=1 << 20) as f: f.write(value(i))
        written += 1
w = threading.Thread(target=write); w.start()
n = 0
while w.is_alive() or not n:
    v = open(b, "rb").read(); n += 1
    assert len(v) >= 200000 and v == v[:1] * len(v), ("torn", len(v))
w.join()
assert written == 60, written
PY

# B46: unlinked while open
check "B46 an unlinked file goes on for who has it open" python3 - "$a" "$b" <<'PY'
import errno, os, sys
a, b = sys.argv[1], sys.argv[2]
data = os.urandom(400000)
open(a + "/gone", "wb").write(data)
f = open(a + "/gone", "rb+", buffering=0)
assert f.read(10) == data[:10]
os.unlink(a + "/gone")
assert not os.path.exists(b + "/gone")
assert f.read() == data[10:]
f.seek(0); assert f.write(b"new") == 3
f.seek(0); assert f.read(6) == b"new" + data[3:6]
assert os.fstat(f.fileno()).st_nlink == 0 and os.fstat(f.fileno()).st_size == len(data)
f.close()
assert not os.path.exists(a + "/gone"), "a write brought the name back"
# created, unlinked, then used: temporary files
t = os.open(a + "/tmp", os.O_RDWR | os.O_CREAT | os.O_EXCL); os.unlink(a + "/tmp")
os.write(t, b"scratch"); assert os.pread(t, 100, 0) == b"scratch"; os.close(t)
t = os.open(a + "/tmp2", os.O_RDWR | os.O_CREAT); os.unlink(a + "/tmp2")
os.write(t, b"scratch"); assert os.pread(t, 100, 0) == b"scratch"; os.close(t)
assert not os.path.exists(a + "/tmp2") and not os.path.exists(b + "/tmp2")
# staged far behind the end: the bound of what is kept in memory holds for it, too
open(a + "/far", "w").write("near\n")
t = os.open(a + "/far", os.O_RDWR); os.pwrite(t, b"x" * 4096, 1 << 30); os.unlink(a + "/far")
assert os.pread(t, 100, 0) == b"near\n"
for end in (lambda: os.pwrite(t, b"n", 0), lambda: os.close(t)):
    try: end(); assert False, "nobody was told that a write was lost"
    except OSError as e: assert e.errno == errno.EFBIG, e
# replaced by a rename
open(a + "/old", "w").write("old" * 5000); open(a + "/new", "w").write("new")
f = open(a + "/old", "rb", buffering=0)
assert f.read(3) == b"old"
os.rename(a + "/new", a + "/old")
assert f.read() == b"old" * 4999 and os.fstat(f.fileno()).st_nlink == 0
f.close()
assert open(b + "/old").read() == "new"
PY

# a close while the name goes: its Put must not come behind the removal
check "B46 a close beside an unlink or a rename leaves no name behind" python3 - "$a" "$b" <<'PY'
import os, random, sys, threading, time
a, b = sys.argv[1], sys.argv[2]
rounds = 60
os.mkdir(a + "/race")
def there(name): return open(b + "/" + name, "rb").read()
def beside_a_close(name, removal):
    open(a + "/" + name, "w").write("old")
    fd = os.open(a + "/" + name, os.O_WRONLY | os.O_TRUNC); os.write(fd, b"x" * 8192)
    t = threading.Thread(target=removal); t.start()
    time.sleep(random.random() * 0.002)
    os.close(fd); t.join()
wrong = {"unlink": 0, "target": 0, "source": 0}
for i in range(rounds):
    f, g = "race/%d" % i, "race/%d.new" % i   # one directory, one shard
    beside_a_close(f, lambda: os.unlink(a + "/" + f))
    wrong["unlink"] += os.path.exists(a + "/" + f) or os.path.exists(b + "/" + f)
    open(a + "/" + g, "w").write("new")
    beside_a_close(f, lambda: os.rename(a + "/" + g, a + "/" + f))
    wrong["target"] += os.path.exists(a + "/" + g) or there(f) != b"new"
    beside_a_close(f, lambda: os.rename(a + "/" + f, a + "/" + g))
    wrong["source"] += os.path.exists(a + "/" + f) or open(a + "/" + g, "rb").read() != b"x" * 8192
    os.unlink(a + "/" + g)
assert not any(wrong.values()), "of %d rounds each: %s" % (rounds, wrong)
PY

# following a file that grows elsewhere
echo first >"$a/follow"
exec 5<"$b/follow"
read -r line <&5; check_same "first line" "$line" first
echo second >>"$a/follow"
read -r line <&5; check_same "a value that grew goes on" "$line" second
exec 5<&-

# pinned: a reader in the middle of a version gets that version to its end
head -c 3000000 /dev/zero | tr '\0' A >>"$a/pin"
check "a read is not torn between versions" python3 - "$a" "$b" <<'PY'
import os, sys
fd = os.open(sys.argv[2] + "/pin", os.O_RDONLY)
first = os.read(fd, 1 << 20)
with open(sys.argv[1] + "/pin", "wb") as f: f.write(b"B" * 500000)
rest = b""
while True:
    got = os.read(fd, 1 << 20)
    if not got: break
    rest += got
assert set(first + rest) == {65} and len(first + rest) == 3000000, (len(first), len(rest))
os.lseek(fd, 0, 0)
assert os.read(fd, 1 << 20) == b"B" * 500000, "offset 0 takes the newest version"
PY
done_testing
