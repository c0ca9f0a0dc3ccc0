#!/bin/bash
# What administrators expect: make install puts things where they belong, mount(8), fstab and umount work, units verify, a directory of the
# cluster can be mounted by itself, ownership is stored. In a mount namespace of the test's own, where /usr/sbin has a layer for the helper.
if [ -z "${RGKV_OWN_MOUNTS:-}" ] && [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
    RGKV_OWN_MOUNTS=1 exec unshare -m --propagation private -- bash "$0" "$@"
fi
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
limit 100

# ---- make install ----
dest=$work/dest
check "make install" make -s --no-print-directory -C "$builddir" install DESTDIR="$dest" >"$work/install.log" 2>&1
variable() { make -s --no-print-directory -C "$builddir" -f Makefile -f - print <<<"print: ; @echo \$($1)" 2>/dev/null; }
sbindir=$(variable sbindir) helperdir=$(variable mounthelperdir) units=$(variable systemdsystemunitdir) comp=$(variable bashcompdir) mandir=$(variable mandir)
for file in "$sbindir/rgkvd" "$sbindir/rgkvfs" "$helperdir/mount.rgkvfs" "$helperdir/mount.fuse.rgkvfs" "$units/rgkvd.service" \
    "$units/rgkvfs@.service" "$comp/rgkvd" "$comp/rgkvfs" "$mandir/man8/rgkvfs.8" "$mandir/man8/rgkvd.8" "$mandir/man5/rgkvfs-ctrl.5" \
    "$mandir/man7/rgkv.7"; do
    check "$file is installed" test -e "$dest$file" -o -L "$dest$file"
done
check_same "the helper is the program" "$(readlink "$dest$helperdir/mount.rgkvfs")" "$sbindir/rgkvfs"

# ---- units ----
mkdir "$work/units"
for unit in rgkvd.service rgkvfs@.service; do sed "s|=$sbindir/|=$dest$sbindir/|" "$dest$units/$unit" >"$work/units/$unit"; done
if has systemd-analyze "the units"; then
    for unit in rgkvd.service rgkvfs@mnt-kv.service; do
        check_same "systemd-analyze verify $unit" \
            "$(SYSTEMD_UNIT_PATH="$work/units:" systemd-analyze --man=no verify "$work/units/$unit" 2>&1 | grep -F "$work/units")" ""
    done
    echo 'Nonsense=1' >>"$work/units/rgkvd.service"
    check "and it would find a mistake" bash -c "systemd-analyze --man=no verify '$work/units/rgkvd.service' 2>&1 | grep -q Nonsense"
fi

# ---- completion ----
complete_words() { # FILE FUNCTION WORD…: what is offered for the last word
    local file=$1 function=$2
    shift 2
    bash -c '. "$1"; f=$2; shift 2; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); $f; printf "%s\n" "${COMPREPLY[@]}"' _ "$file" "$function" "$@" 2>/dev/null
}
check_same "rgkvfs -o" "$(complete_words "$dest$comp/rgkvfs" _rgkvfs "$rgkvfs" h:1 /mnt -o ti)" timeout=
check_same "rgkvfs -o a,b" "$(complete_words "$dest$comp/rgkvfs" _rgkvfs "$rgkvfs" h:1 /mnt -o hard,allow_)" hard,allow_other
check_same "rgkvd --" "$(complete_words "$dest$comp/rgkvd" _rgkvd "$rgkvd" --list)" --listen
for option in $("$rgkvd" --help | grep -oE -- '--[a-z-]+' | sort -u); do
    check "rgkvd $option is offered" grep -qx -- "$option" <(complete_words "$dest$comp/rgkvd" _rgkvd "$rgkvd" --)
done

# ---- mount(8), fstab, umount ----
cluster_start 1
mount_start a || exit 1
join_all 101 || exit 1
mkdir "$work/m" "$work/layer" "$work/unwritable"
known() { mounted[$1]=1; }
pid_of() { pgrep -f -x -- "mount.rgkvfs $controllers $1 .*|/.*/mount.rgkvfs $controllers $1 .*"; }
ends() { wait_until 15 process_gone "$1"; }
layered=
if mount -t tmpfs tmpfs "$work/layer" && mkdir "$work/layer/up" "$work/layer/work" &&
    mount -t overlay overlay -o "lowerdir=/usr/sbin,upperdir=$work/layer/up,workdir=$work/layer/work" /usr/sbin 2>"$work/overlay.err"; then
    layered=1
fi
if [ -n "$layered" ] && [ "$(readlink -f /sbin)" = /usr/sbin ]; then
    ln -s "$rgkvfs" /usr/sbin/mount.rgkvfs
    check "mount -t rgkvfs" mount -t rgkvfs "$controllers" "$work/m" -o timeout=7,nosuid
    known m
    check "is mounted when it returns" mountpoint -q "$work/m"
    check "nosuid is set" grep -q nosuid <(findmnt -n -o OPTIONS "$work/m")
    check "its options arrived" grep -qx "timeout 7" "$work/m/.ctrl/mount/options"
    echo "by mount" >"$work/m/f"
    check_same "another mount sees it" "$(cat "$work/a/f")" "by mount"
    pid=$(pid_of "$work/m")
    check "umount" umount "$work/m"
    check "its process ends" ends "$pid"
    echo "$controllers $work/m rgkvfs ro,_netdev,nofail,x-systemd.requires=rgkvd.service 0 0" >"$work/fstab"
    check "mount by fstab" mount -T "$work/fstab" "$work/m"
    check_same "reads" "$(cat "$work/m/f")" "by mount"
    check_errno EROFS "read only" touch "$work/m/g"
    check_errno EROFS "read only, removal" rm "$work/m/f"
    check_same "the table of mounts" "$(findmnt -n -o SOURCE,FSTYPE "$work/m" | tr -s ' ')" "$controllers fuse.rgkvfs"
    pid=$(pid_of "$work/m")
    check "umount" umount "$work/m"
    check "its process ends, too" ends "$pid"
    check "mount -f" mount -f -t rgkvfs "$controllers" "$work/m"
    check_fails "mounts nothing" mountpoint -q "$work/m"
    mount -t rgkvfs "$controllers" "$work/m" -o nonsense >"$work/out" 2>&1
    check_same "a bad option is a usage error" "$?" 1
    mount -t rgkvfs "$controllers" "$work/none" >/dev/null 2>&1
    check_same "no mount point" "$?" 32
    unset "mounted[m]"
else
    not_tried "mount(8): /usr/sbin cannot have a layer here ($(cat "$work/overlay.err"))"
fi

# ---- a directory of the cluster by itself ----
mkdir -p "$work/a/projects/alpha/deep" "$work/p"
echo one >"$work/a/projects/alpha/one"
check "-o prefix" "$rgkvfs" "$controllers" "$work/p" -o prefix=/projects/alpha/,timeout=10
known p
check_same "its listing" "$(ls "$work/p" | tr '\n' ' ')" "deep one "
check_same "reads" "$(cat "$work/p/one")" one
echo two >"$work/p/two"; mkdir "$work/p/deep/er"; mv "$work/p/two" "$work/p/deep/er/three"; ln -s one "$work/p/link"
check_same "writes are below it" "$(cat "$work/a/projects/alpha/deep/er/three" "$work/a/projects/alpha/link")" "two
one"
check_same "nothing of it is elsewhere" "$(ls "$work/a" | tr '\n' ' ')" "$([ -n "$layered" ] && echo 'f ')projects "
check_same "find" "$(cd "$work/p" && find . | sort | tr '\n' ' ')" ". ./deep ./deep/er ./deep/er/three ./link ./one "
check_same "the control tree is there" "$(head -n 1 "$work/p/.ctrl/health")" ok
check "and says what is mounted" grep -qx "prefix /projects/alpha" "$work/p/.ctrl/mount/options"
check "stat of its root" stat "$work/p" >/dev/null
check_errno ENOTEMPTY "rmdir of what is mounted elsewhere" rmdir "$work/a/projects/alpha"
umount "$work/p"
unset "mounted[p]"
refused=$("$rgkvfs" "$controllers" "$work/p" -o prefix=projects/beta,timeout=3 2>&1)
check_same "a directory that is not there" "$? $refused" "32 rgkvfs: prefix=projects/beta: no such key"
refused=$("$rgkvfs" "$controllers" "$work/p" -o prefix=projects/alpha/one,timeout=3 2>&1)
check_same "a file" "$? $refused" "32 rgkvfs: prefix=projects/alpha/one: it is not a directory"

# ---- notify, background, SIGTERM, ownership ----
python3 - "$work/notify" "$rgkvfs" "$controllers" "$work/p" <<'PY' || fail "readiness is told when the mount can be used"
import os, signal, socket, subprocess, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1]); s.settimeout(20)
p = subprocess.Popen([sys.argv[2], sys.argv[3], sys.argv[4], "-f"], env=dict(os.environ, NOTIFY_SOCKET=sys.argv[1]))
assert s.recv(100) == b"READY=1"
assert os.path.ismount(sys.argv[4]) and os.listdir(sys.argv[4])
fd = os.open(sys.argv[4] + "/at-the-end", os.O_WRONLY | os.O_CREAT)
os.write(fd, b"x" * 4096)                   # staged: a block
p.send_signal(signal.SIGTERM)
assert p.wait(20) == 0, p.returncode
assert not os.path.ismount(sys.argv[4])
PY
check_same "SIGTERM leaves nothing staged behind" "$(wc -c <"$work/a/at-the-end")" 4096
touch "$work/a/owned"; chown 1234:2345 "$work/a/owned"; chmod 640 "$work/a/owned"
mount_start b
check_same "uid, gid and mode are stored" "$(stat -c '%u %g %a' "$work/b/owned")" "1234 2345 640"
mount_stop b
mount_stop a
[ -z "$layered" ] || umount /usr/sbin
umount "$work/layer" 2>/dev/null
done_testing
