#!/bin/bash
# The program itself: what it refuses, and with which exit code and sentence.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
limit 60
one_group
mount_stop a
mkdir "$work/m" "$work/full" && touch "$work/full/x" "$work/file"

# refused CODE WORDS COMMAND…: exits with the code, says one sentence with the words, mounts nothing.
refused() {
    local code=$1 words=$2 out status
    shift 2
    out=$(timeout 20 "$@" 2>&1)
    status=$?
    [ "$status" = "$code" ] && [[ $out == *"$words"* ]] && [ "$(wc -l <<<"$out")" = 1 ] && ! mountpoint -q "$work/m" && return
    echo "  exit $status: $out"
    return 1
}
check "no words" refused 1 "mount point" "$rgkvfs"
check "unknown option" refused 1 "nonsense" "$rgkvfs" "$controllers" "$work/m" -o nonsense
check "bad controllers" refused 1 "'host:port' is not an address" "$rgkvfs" "host:port" "$work/m"
check "a forgotten port" refused 1 "'10.0.0.1' names no controllers" "$rgkvfs" 10.0.0.1 "$work/m"
check "controllers that are empty, as of a misspelt variable" refused 1 "'' names no controllers" "$rgkvfs" "" "$work/m"
check "missing mount point" refused 32 "No such file" "$rgkvfs" "$controllers" "$work/none"
check "not a directory" refused 32 "not a directory" "$rgkvfs" "$controllers" "$work/file"
check "not empty" refused 32 "not empty" "$rgkvfs" "$controllers" "$work/full"
read -r dead < <(free_ports 1)
check "nobody listens there" refused 32 "reached" "$rgkvfs" "127.0.0.1:$dead" "$work/m" -o timeout=1
check "version" "$rgkvfs" --version
check "help" bash -c "'$rgkvfs' --help | grep -q usage"

# one mount to a mount point, though an empty root shows nothing
mount_start m
second=$("$rgkvfs" "$controllers" "$work/m" 2>&1)
check_same "a second mount over the first one is refused" "$? $second" "32 rgkvfs: mount point $work/m is an rgkvfs mount already (-o nonempty mounts over it)"
check_same "one is there" "$(findmnt -n "$work/m" | wc -l)" 1
mkdir "$work/m/below"
check "in a directory of a mount there may be another one" "$rgkvfs" "$controllers" "$work/m/below"
umount "$work/m/below"
rmdir "$work/m/below"
mount_stop m

# mounted over a directory that is not empty, read only, as fstab would
check "-o nonempty" "$rgkvfs" "$controllers" "$work/full" -o nonempty,ro,_netdev,nofail,x-systemd.automount
mounted[full]=1
check_errno EROFS "read only" touch "$work/full/y"
check_errno EROFS "the control files, too" bash -c "echo all > '$work/full/.ctrl/mount/abort'"
check_same "its name in the table of mounts" "$(findmnt -n -o FSTYPE "$work/full")" fuse.rgkvfs
umount "$work/full"; unset "mounted[full]"
check_same "what was below is there again" "$(ls "$work/full")" x

# a mount whose daemon was killed is detached by the next one
mount_start m
kill -KILL "$(mount_pid m)"
is_dead() { ! stat "$work/m" 2>/dev/null; }
check "a killed daemon leaves a dead mount" wait_until 5 is_dead
mount_start m
check "mounted again over the dead mount" mountpoint -q "$work/m"
echo x >"$work/m/f"; check_same "and it works" "$(cat "$work/m/f")" x

# aborted by the kernel: the daemon detaches it and ends
pid=$(mount_pid m)
umount -f "$work/m" 2>/dev/null
echo 1 >"/sys/fs/fuse/connections/$(stat -c %d "$work/m" 2>/dev/null)/abort" 2>/dev/null
check "the daemon ends" wait_until 10 process_gone "$pid"
check "and nothing is left mounted" wait_until 5 bash -c "! mountpoint -q '$work/m' && ls '$work/m'"
unset "mounted[m]"

# in the foreground
mkdir -p "$work/fg"
"$rgkvfs" "$controllers" "$work/fg" -f &
pid=$!
mount_pids+=("$pid")
mounted[fg]=1
check "-f mounts" wait_until 10 mountpoint -q "$work/fg"
kill -TERM "$pid"
wait "$pid"
check_same "ends with 0 on TERM" "$?" 0
check_fails "unmounted" mountpoint -q "$work/fg"

# two users
mkdir -p "$work/other"
chmod 755 "$work"
"$rgkvfs" "$controllers" "$work/other" -o allow_other || fail "allow_other"
mounted[other]=1
mount_pids+=("$(pgrep -f -x -- "$rgkvfs $controllers $work/other .*" | head -n 1)")
echo secret >"$work/other/s"; chmod 600 "$work/other/s"
if has setpriv "modes and owners, as another user"; then
    as="setpriv --reuid 65534 --regid 65534 --clear-groups"
    check_errno EACCES "modes count" $as cat "$work/other/s"
    chmod 777 "$work/other"; 
    check "a directory for all" $as bash -c "echo mine > '$work/other/n' && cat '$work/other/n'"
    check_same "owner" "$(stat -c %u "$work/other/n")" 65534
    chmod 4777 "$work/other/n"
    $as bash -c "echo again >> '$work/other/n'"
    check_same "a write by another user clears setuid" "$(stat -c %a "$work/other/n")" 777
    check_errno EACCES "administration is not for all" $as bash -c "echo 101 > '$work/other/.ctrl/leave'"
    chown 65534:65534 "$work/other"
    check_same "the root has a new owner" "$(stat -c '%u %g' "$work/other")" "65534 65534"
    check_same "but the control files are still of who mounted it" "$(stat -c '%u %g' "$work/other/.ctrl/leave")" "0 0"
    for file in leave abandon move join groups/101/members mount/abort; do
        check_errno EACCES "whoever owns the root: $file is not for all" $as bash -c "echo 7 > '$work/other/.ctrl/$file'"
    done
fi
done_testing
