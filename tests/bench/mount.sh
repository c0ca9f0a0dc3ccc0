#!/bin/bash
# What the mount costs, on a three-node cluster: fs-bench's three tables. The short form only sees that all of it is printed and nothing fails;
# RGKVFS_FULL=1 wants bounds to be kept, and a quiet machine. One part alone: mount.sh small | added | large.
#
# The aim for `added` is 1.3, and no mount of this cluster reaches it for writes on two cores: a process that waits on two sides is woken twice as
# often. So what is bounded is how much more it costs than the barest one. Writing is to reach half of what three members on one disk allow.
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
full=${RGKVFS_FULL:-}
limit $((full ? 400 : 150))
bench=$builddir/fs-bench
parts=${*:-small added large}
cluster_start 3
mount_start a || exit 1
join_all 101 || exit 1

table() { # NAME LINES COMMAND…: prints it, and keeps it for the checks
    local name=$1 lines=$2
    shift 2
    echo "# $name"
    "$@" >"$work/$name" || fail "fs-bench $name"
    cat "$work/$name"
    check_same "$name is whole" "$(grep -c '^op=' "$work/$name")" "$lines"
}
# at_most NAME BOUND, at_least NAME BOUND PATTERN: of every line that has NAME=
at_most() { check "$1 is at most $2" awk -v n="$1=" -v b="$2" '{ for (i = 1; i <= NF; i++) if (index($i, n) == 1 && substr($i, length(n) + 1) > b + 0) bad = 1 } END { exit bad }' "$3"; }
at_least() { check "$1 is at least $2" awk -v n="$1=" -v b="$2" '{ for (i = 1; i <= NF; i++) if (index($i, n) == 1 && substr($i, length(n) + 1) < b + 0) bad = 1 } END { exit bad }' "$3"; }

for part in $parts; do
    case $part in
    small) table small 10 "$bench" "$work/a" "$([ -n "$full" ] && echo 2 || echo 0.1)" ;;
    added)
        mkdir -p "$work/scratch"
        table added 10 "$bench" --added "$work/a" "$work/scratch" "$controllers" "$([ -n "$full" ] && echo 3 || echo 0.1)"
        [ -z "$full" ] || at_most of_bare 1.6 "$work/added"
        ;;
    large)
        table large 3 "$bench" --large "$work/a" "$work" "$([ -n "$full" ] && echo 1024 || echo 16)"
        [ -z "$full" ] && continue
        at_least of_sixth 0.5 "$work/large"
        grep '^op=read' "$work/large" >"$work/back"
        at_least mb_per_s 400 "$work/back"
        ;;
    *) die "no such part: $part" ;;
    esac
done
mount_stop a
done_testing
