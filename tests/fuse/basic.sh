#!/bin/bash
# Ordinary commands on one mount of a cluster of one.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
limit 90
one_group
cd "$m" || exit 1

# create, overwrite, append, truncate, read
check "echo creates" bash -c 'echo hello > f'
check_same "what was written is read" "$(cat f)" hello
check_same "size" "$(stat -c %s f)" 6
echo bye >f
check_same "overwritten" "$(cat f)" bye
echo more >>f
check_same "appended" "$(cat f)" $'bye\nmore'
: >f
check_same "truncated by the shell" "$(stat -c %s f)" 0
printf 0123456789 >f
truncate -s 4 f
check_same "truncated by truncate" "$(cat f)" 0123
truncate -s 6 f
check_same "extended with zeros" "$(od -An -c f | tr -d ' ')" '0123\0\0'
check_errno ENOENT "a missing file" cat missing
check_errno EISDIR "reading the root" cat .
check_same "umask and mode" "$( (umask 027; echo x >masked); stat -c %a masked)" 640
printf abc | dd of=f conv=notrunc seek=1 bs=1 2>/dev/null
check_same "written in the middle" "$(head -c 4 f)" 0abc
check_same "head, wc, grep" "$(head -c 2 f; wc -c <f; grep -c abc f)" "0a6
1"

# touch, chmod, times
touch t
check_same "touch creates an empty file" "$(stat -c '%s %F' t)" "0 regular empty file"
chmod 4751 t
check_same "chmod" "$(stat -c %a t)" 4751
touch -d '2001-02-03 04:05:06.123456789 UTC' t
check_same "times to the nanosecond" "$(TZ=UTC stat -c %y t)" "2001-02-03 04:05:06.123456789 +0000"
chown 12:34 t
check_same "chown" "$(stat -c '%u:%g' t)" 12:34
before=$(stat -c %Y f)
touch t
check "touch sets now" test "$(stat -c %Y t)" -ge "$before"

# directories
mkdir d && mkdir -p d/e/g
check_same "directory type" "$(stat -c %F d/e/g)" directory
check_errno EEXIST "mkdir of what is there" mkdir d
check_errno ENOTEMPTY "rmdir of a full directory" rmdir d
check_errno ENOTDIR "below a file" cat f/x
check_errno ENOENT "in a missing directory" bash -c 'echo x > nodir/x'
echo 1 >d/one; echo 2 >d/e/two
check_same "find" "$(find d | sort | tr '\n' ' ')" "d d/e d/e/g d/e/two d/one "
check_same "plain ls" "$(ls | tr '\n' ' ')" "d f masked t "
check "hidden control tree" test "$(ls -a | grep -c ctrl)" = 0
check_errno EISDIR "unlink of a directory" python3 -c 'import os; os.unlink("d")'

# rename
mv d/one d/e/uno
check_same "moved in its top-level directory" "$(cat d/e/uno; ls d)" $'1\ne'
echo new >d/e/target; mv -f d/e/uno d/e/target
check_same "a rename replaces" "$(cat d/e/target)" 1
mv d/e d/ee
seq 100000 >d/big; exec 3<d/big; head -c 200000 <&3 >"$work/read"; mv d/big d/bigger; cat <&3 >>"$work/read"; exec 3<&-
check "who is in the middle of reading goes on when the file is renamed" cmp "$work/read" d/bigger
rm d/bigger
check_same "a directory moves with all below" "$(cat d/ee/target d/ee/two)" $'1\n2'
check_errno ENOENT "its old name is gone" cat d/e/two
check_fails "a directory below itself" mv d/ee d/ee/sub
i=0; while [ $i -lt 8 ]; do echo "v$i" >"top$i"; mv "top$i" "moved$i" || fail "mv at the root"; i=$((i + 1)); done
check_same "moved at the root, also across shards" "$(cat moved0 moved7)" $'v0\nv7'
check_fails "source is gone" ls top3

# links
ln -s d/ee/target link
check_same "symlink" "$(readlink link):$(cat link)" "d/ee/target:1"
check_errno EPERM "hard link" ln f hard
check_errno EPERM "fifo" mkfifo fifo

# trees
mkdir -p "$work/tree/a/b"; echo x >"$work/tree/a/x"; : >"$work/tree/a/empty"
head -c 300000 /dev/urandom >"$work/tree/a/b/big"; ln -s ../x "$work/tree/a/b/l"; chmod 600 "$work/tree/a/x"
check "cp -a in" cp -a "$work/tree" copy
check "the copy is equal" diff -r --no-dereference "$work/tree" copy
check_same "modes and times are kept" "$(stat -c '%a %y' copy/a/x)" "$(stat -c '%a %y' "$work/tree/a/x")"
check "cp -a back" cp -a copy "$work/back"
check "and still equal" diff -r --no-dereference "$work/tree" "$work/back"
check "tar" bash -c "tar cf - copy | tar xf - -C '$work/tree' && diff -r --no-dereference copy '$work/tree/copy'"

# removal
rm f; check_errno ENOENT "removed" cat f
rm -r copy d; check_same "a removed tree is gone" "$(ls -d copy d 2>/dev/null)" ""

# many entries
mkdir many; (cd many && seq 1 1500 | xargs touch)
check_same "a long listing is whole" "$(ls many | wc -l)" 1500
check_same "and each name is there once" "$(ls many | sort -u | wc -l)" 1500
rm -r many

# names
long=$(printf %0255d 7)
check "a component of 255 bytes" touch "$long"
check_errno ENAMETOOLONG "of 256" touch "${long}8"
check "strange bytes" bash -c $'echo ok > "a b\tc\nd\xff" && cat "a b\tc\nd\xff" >/dev/null'

# never ENOSYS
check "python's tools" python3 - <<'PY'
import os, errno, fcntl, tempfile, shutil
def e(f, *want):
    try: f()
    except OSError as x: assert x.errno in want, (x, want)
    else: assert 0 in want, "succeeded"
open("py", "w").write("text")
fd = os.open("py", os.O_RDWR)
e(lambda: os.posix_fallocate(fd, 0, 10), errno.EOPNOTSUPP, 0)
e(lambda: os.setxattr("py", "trusted.a", b"b"), errno.EOPNOTSUPP)
e(lambda: os.getxattr("py", "security.capability"), errno.ENODATA)
assert os.listxattr("py") == []
assert int(os.getxattr("py", "user.rgkv.version")) > 0
fcntl.flock(fd, fcntl.LOCK_EX); fcntl.lockf(fd, fcntl.LOCK_UN)
assert os.lseek(fd, 0, os.SEEK_DATA) == 0 and os.lseek(fd, 0, os.SEEK_HOLE) == os.fstat(fd).st_size
assert os.statvfs(".").f_bavail > 0
os.fsync(fd)
d = os.open(".", os.O_RDONLY); os.fsync(d)
with tempfile.NamedTemporaryFile(dir=".") as t: t.write(b"x" * 5000); t.flush(); assert os.path.getsize(t.name) == 5000
shutil.copyfile("py", "py2"); assert open("py2").read() == open("py").read()
PY
cd /
mount_stop a
done_testing
