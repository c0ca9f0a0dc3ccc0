#!/bin/bash
# Extended attributes, and what df shows.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
limit 60
cluster_start 1
mount_start a || exit 1
mount_start b || exit 1
join_all 101 || exit 1

check "extended attributes" python3 - "$work/a" "$work/b" <<'PY'
import os, sys, errno
a, b = sys.argv[1], sys.argv[2]
def fails(number, f, *args, **kw):
    try: f(*args, **kw)
    except OSError as e: assert e.errno == number, (e, number); return
    raise SystemExit("no error %d from %s%s" % (number, f.__name__, args))

open(a + "/f", "w").write("value\n")
fails(errno.ENODATA, os.getxattr, a + "/f", "user.x")
os.setxattr(a + "/f", "user.x", b"one")
os.setxattr(a + "/f", "user.empty", b"")
assert os.getxattr(b + "/f", "user.x") == b"one"
assert os.getxattr(b + "/f", "user.empty") == b""
assert sorted(os.listxattr(b + "/f")) == ["user.empty", "user.x"]
fails(errno.EEXIST, os.setxattr, b + "/f", "user.x", b"two", os.XATTR_CREATE)
fails(errno.ENODATA, os.setxattr, b + "/f", "user.y", b"two", os.XATTR_REPLACE)
os.setxattr(b + "/f", "user.x", b"two" * 1000, os.XATTR_REPLACE)
assert os.getxattr(a + "/f", "user.x") == b"two" * 1000
os.removexattr(a + "/f", "user.empty")
fails(errno.ENODATA, os.removexattr, b + "/f", "user.empty")
assert os.listxattr(b + "/f") == ["user.x"]

# what the cluster knows is read, not listed, not set
assert int(os.getxattr(a + "/f", "user.rgkv.version")) > 0
assert 0 <= int(os.getxattr(a + "/f", "user.rgkv.shard")) < 256
assert os.getxattr(a + "/f", "user.rgkv.group") == b"101"
fails(errno.EPERM, os.setxattr, a + "/f", "user.rgkv.version", b"1")
fails(errno.ENODATA, os.getxattr, a + "/f", "user.rgkv.nothing")
# what is not the user's
fails(errno.EOPNOTSUPP, os.setxattr, a + "/f", "security.x", b"1")
fails(errno.EOPNOTSUPP, os.setxattr, a + "/f", "trusted.x", b"1")
fails(errno.ENODATA, os.getxattr, a + "/f", "security.capability")
# together at most 64 KiB
os.setxattr(a + "/f", "user.big", b"b" * 50000)
fails(errno.ENOSPC, os.setxattr, a + "/f", "user.big2", b"b" * 50000)
os.removexattr(a + "/f", "user.big")

# they follow the file through writing, renaming and replacing, and go with it
os.mkdir(a + "/d")
os.setxattr(a + "/d", "user.dir", b"yes")
assert os.getxattr(b + "/d", "user.dir") == b"yes"
open(a + "/d/g", "w").write("v\n")
os.setxattr(a + "/d/g", "user.x", b"1")
open(b + "/d/g", "w").write("other\n")
os.rename(a + "/d/g", a + "/d/h")
assert os.getxattr(b + "/d/h", "user.x") == b"1"
open(a + "/d/g", "w").write("new\n")
assert os.listxattr(b + "/d/g") == []
os.rename(a + "/d/g", a + "/d/h")
assert os.listxattr(b + "/d/h") == []

# on a file that is only staged
fd = os.open(a + "/staged", os.O_WRONLY | os.O_CREAT)
os.write(fd, b"x" * 4096)
os.setxattr(fd, "user.x", b"1"); os.close(fd)
assert os.getxattr(b + "/staged", "user.x") == b"1" and os.path.getsize(b + "/staged") == 4096
assert os.listxattr(a) == []
PY
check "cp -a takes them along" sh -c "cp -a '$work/a/f' '$work/a/copy' && python3 -c 'import os,sys; assert os.listxattr(sys.argv[1]) == [\"user.x\"]' '$work/b/copy'"

check "df shows the nodes' disk" python3 - "$work/a" "$work" <<'PY'
import os, sys, time
mount, disk = os.statvfs(sys.argv[1]), os.statvfs(sys.argv[2])
end = time.time() + 10
while mount.f_blocks * mount.f_frsize == 1 << 40 and time.time() < end: # no report yet
    time.sleep(0.1); mount = os.statvfs(sys.argv[1])
size = lambda s, n: n * s.f_frsize
assert abs(size(mount, mount.f_blocks) - size(disk, disk.f_blocks)) < size(disk, disk.f_blocks) / 50, (mount, disk)
assert 0 < size(mount, mount.f_bavail) <= size(mount, mount.f_blocks)
PY
kill -STOP "${node_pid[1]}"
check "df answers while the cluster is stopped" timeout 3 df "$work/a"
kill -CONT "${node_pid[1]}"
done_testing
