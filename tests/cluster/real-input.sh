#!/bin/bash
# Real trees copied into the mount with cp -a while a second group joins are identical, and are so after every process
# was restarted. /usr/share/common-licenses, /etc and /usr/include; of the last the first 1000 names, or all with
# RGKVFS_REAL_FILES=all. Files over 1 MiB are left out, and anything but files, directories and symbolic links. There
# are no hard links on the mount (EPERM), so cp is told not to keep them: --no-preserve=links.
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
limit "${RGKVFS_REAL_LIMIT:-240}"
names_max=${RGKVFS_REAL_FILES:-1000}
nodes_start 6 3
mount_start a || exit 1
join_group 101 1 2 3 || exit 1

# take DIR: what can be copied of it, as it is at this moment, into $work/src.
take() {
    local n=$names_max
    [ "$n" != all ] || n=100000000
    [ -d "$1" ] || return 0
    mkdir -p "$work/src/${1##*/}"
    (cd "$1" && find . \( -type f -size -1025k -o -type d -o -type l \) -print0 | LC_ALL=C sort -z | head -z -n "$n" |
        tar -c --no-recursion --null -T - | tar -x -p -C "$work/src/${1##*/}")
}
for dir in /usr/share/common-licenses /etc /usr/include; do take "$dir"; done
names=$(find "$work/src" -mindepth 1 | wc -l)
bytes=$(find "$work/src" -type f -printf '%s\n' | awk '{ n += $1 } END { print n }')
check "there is something to copy" test "$names" -gt 500

# facts DIR: all that cp -a keeps, of every name.
facts() { (cd "$1" && find . -mindepth 1 -printf '%P %y %m %U:%G %T@ %l\n' | LC_ALL=C sort); }
facts "$work/src" >"$work/facts"
identical() {
    diff -r --no-dereference "$work/src" "$work/a" >"$work/diff" || { head -n 5 "$work/diff"; return 1; }
    facts "$work/a" | diff "$work/facts" - >"$work/diff" || { head -n 5 "$work/diff"; return 1; }
}

start=$(date +%s%N)
(cd "$work/src" && cp -a --no-preserve=links . "$work/a/" >"$work/cp.stderr" 2>&1) &
copier=$!
some_arrived() { [ -d "$work/a/include" ] && [ "$(find "$work/a" -maxdepth 2 | wc -l)" -gt 50 ]; }
wait_until 60 some_arrived || fail "nothing arrives"
check "cp runs when the second group joins" kill -0 "$copier"
join_group 102 4 5 6 || exit 1
check_same "the second group joined" "$(shards_of 102)" 8

# The first group leaves: whatever has not moved yet moves now.
check "the first group leaves" bash -c "echo 101 >'$work/a/.ctrl/leave'"
settled a
check_same "and has nothing left" "$(shards_of 102)" 16
wait "$copier"
check_same "cp fails nowhere" "$(head -n 3 "$work/cp.stderr")" ""
ms=$((($(date +%s%N) - start) / 1000000))
echo "$names names, $bytes bytes copied in $ms ms: $((names * 1000 / (ms + 1))) names/s, $((bytes / (ms + 1))) kB/s"
check "identical" identical

mount_stop a
for i in "${!node_pid[@]}"; do kill -KILL "${node_pid[$i]}"; done
for i in "${!node_pid[@]}"; do wait_until 20 node_gone "$i" || fail "node $i does not end"; node_again "$i"; done
mount_start a || exit 1
check "identical after a restart of every process" identical
rm -r "$work"/a/* || fail "rm -r"
check_same "and all can be removed" "$(ls "$work/a")" ""
done_testing
