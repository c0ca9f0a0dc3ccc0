#!/bin/bash
# --nice is for the loop alone, and a node that may not have it goes on without.
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
limit 60

# The nice values of node $1's threads: its loop's, which is the first, or all others'.
nice_of_loop() { sed 's/.*) //' "/proc/${node_pid[$1]}/task/${node_pid[$1]}/stat" | cut -d ' ' -f 17; }
nice_of_disk() { grep -lx rgkv-disk "/proc/${node_pid[$1]}"/task/*/comm | sed 's/comm$/stat/' | xargs cat | sed 's/.*) //' | cut -d ' ' -f 17 | sort -u; }

node_options=(--nice 5)
nodes_start 1
mount_start a || exit 1
join_all 101 || exit 1
check "a file is written" sh -c 'echo one >"$1"' sh "$work/a/file"
here=$(nice)
check_same "the loop has the value" "$(nice_of_loop 1)" 5
check_same "threads for the disk have that of the process" "$(nice_of_disk 1)" "$here"

# A process that may not: root without the capability, or anybody.
node_kill 1
[ "$(id -u)" != 0 ] || {
    printf '#!/bin/sh\nexec setpriv --bounding-set=-sys_nice -- "%s" "$@"\n' "$rgkvd" >"$work/without"
    chmod +x "$work/without"
    rgkvd=$work/without
}
node_options=(--nice -10)
node_again 1
check "it says that it may not" wait_until 10 said 1 "--nice -10: Permission denied: the loop keeps the priority that it has"
check_same "and keeps what it had" "$(nice_of_loop 1)" "$here"
check_same "and serves" "$(cat "$work/a/file")" one
done_testing
