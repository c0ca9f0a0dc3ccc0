#!/bin/bash
# --nice is for the loop alone, and a node that may not have it goes on without.
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
limit 60

# The nice values of node $1's threads of the name $2.
nice_of() { grep -lx "$2" "/proc/${node_pid[$1]}"/task/*/comm | sed 's/comm$/stat/' | xargs cat | sed 's/.*) //' | cut -d ' ' -f 17 | sort -u; }
nice_of_loop() { sed 's/.*) //' "/proc/${node_pid[$1]}/task/${node_pid[$1]}/stat" | cut -d ' ' -f 17; }
at_most_19() { echo $(($1 < 19 ? $1 : 19)); }

here=$(nice)
lower=$(at_most_19 $((here + 5)))
node_options=(--nice "$lower")
nodes_start 1
mount_start a || exit 1
join_all 101 || exit 1
check "a file is written" sh -c 'echo one >"$1"' sh "$work/a/file"
check_same "the loop has the value" "$(nice_of_loop 1)" "$lower"
check_same "threads for the disk have that of the process" "$(nice_of 1 rgkv-disk)" "$here"

# Who may not: root without the capability, or anybody.
node_kill 1
program=$rgkvd
cat >"$work/without" <<P
#!/bin/bash
ulimit -e 0
[ "\$(id -u)" != 0 ] || exec setpriv --bounding-set=-sys_nice -- "$program" "\$@"
exec "$program" "\$@"
P
chmod +x "$work/without"
rgkvd=$work/without
node_options=(--nice -10)
node_again 1
check "it says that it may not" wait_until 10 said 1 "--nice -10: Permission denied: the loop keeps the priority that it has"
check_same "and keeps what it had" "$(nice_of_loop 1)" "$here"
check_same "compactions are behind it" "$(nice_of 1 rocksdb:low)" "$(at_most_19 $((here + 10)))"
check_same "and it serves" "$(cat "$work/a/file")" one

# Who may: root.
[ "$(id -u)" = 0 ] && renice -n -10 -p "$BASHPID" >/dev/null 2>&1 && renice -n "$here" -p "$BASHPID" >/dev/null || done_testing
node_kill 1
rgkvd=$program
node_again 1
check_same "the loop is before all others" "$(nice_of_loop 1)" -10
check_same "before those of the disk" "$(nice_of 1 rgkv-disk)" "$here"
check_same "and compactions are not further behind" "$(nice_of 1 rocksdb:low)" "$here"
done_testing
