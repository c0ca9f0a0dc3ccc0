#!/bin/bash
# Many names in one directory: all are listed, none twice, while others come and go; memory does not grow with them.
# RGKVFS_FULL=1: a million.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
if [ -n "${RGKVFS_FULL:-}" ]; then names=1000000; limit 3600; else names=20000; limit 180; fi
cluster_start 1
mount_start a || exit 1
mount_start b || exit 1
for i in 1 2 3 4 5 6; do mount_start "m$i" || exit 1; done # the kernel makes one name at a time in a directory of one mount
join_all 101 || exit 1

cat >"$work/names.py" <<'PY'
import os, sys, threading, ctypes
a, b, n, where = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
a, b = os.path.join(a, where), os.path.join(b, where)
if where: os.mkdir(a)
makers = []
for k in range(6):
    makers.append(os.fork())
    if not makers[-1]:
        m = os.path.join(os.path.dirname(sys.argv[1]), "m%d" % (k + 1), where)
        for i in range(k, n, 6): os.mknod("%s/name-%07d" % (m, i))
        os._exit(0)
for pid in makers: assert os.waitpid(pid, 0)[1] == 0

stop = False
def come_and_go():
    i = 0
    while not stop:
        name = "%s/extra-%04d" % (b, i % 1000)
        try: os.mknod(name)
        except FileExistsError: os.unlink(name)
        i += 7
t = threading.Thread(target=come_and_go); t.start()
for round in range(3):
    with os.scandir(a) as entries: listed = [e.name for e in entries]
    assert len(listed) == len(set(listed)), "listed twice: %s" % sorted(x for x in set(listed) if listed.count(x) > 1)[:5]
    stay = [x for x in listed if x.startswith("name-")]
    assert len(stay) == n, "%d of %d names are listed" % (len(stay), n)
stop = True; t.join()

# cookies: going back to a place goes on from there
libc = ctypes.CDLL(None)
libc.opendir.restype = ctypes.c_void_p
for f in (libc.readdir, libc.telldir, libc.seekdir, libc.closedir, libc.rewinddir): f.argtypes = [ctypes.c_void_p]
libc.readdir.restype = ctypes.c_void_p; libc.telldir.restype = ctypes.c_long; libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
def name(p): return ctypes.string_at(p + 19).decode()
d = libc.opendir(b.encode())
order, places = [], []
while True:
    place = libc.telldir(d); e = libc.readdir(d)
    if not e: break
    order.append(name(e)); places.append(place)
for i in (len(order) - 1, len(order) // 2, 10, 2):
    libc.seekdir(d, places[i])
    assert name(libc.readdir(d)) == order[i], "a cookie does not hold"
libc.rewinddir(d); assert name(libc.readdir(d)) == order[0]
libc.closedir(d)
PY
check "a directory of $names names" python3 "$work/names.py" "$work/a" "$work/b" "$names" dir
check "the root with $names names" python3 "$work/names.py" "$work/a" "$work/b" "$((names / 4))" ""
check_same "ls counts them" "$(ls -f "$work/b/dir" | grep -c '^name-')" "$names"
for name in a b; do
    kb=$(awk '/VmHWM/ { print $2 }' "/proc/$(mount_pid $name)/status")
    check "memory of mount $name is bounded ($kb kB)" test "$kb" -lt 150000
done
done_testing
