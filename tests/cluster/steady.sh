#!/bin/bash
# No election without cause: writes and reads with as many clients as it takes to keep every node busy, and the leaders of all groups
# are the same afterwards, in the same terms.
#
#     steady.sh [SECONDS]     RGKVFS_FULL=1: 600
. "${top_srcdir:-.}/tests/cluster/fault-lib.sh" || exit 1
seconds=${1:-${full:+600}}
seconds=${seconds:-5}
limit $((seconds * 2 + 100))
bench=$(realpath "$builddir/tests/bench/rgkv-bench")
load() { timeout $((seconds + 60)) "$bench" --controllers "$controllers" --op "$1" --clients 64 --value-bytes 1000 --seconds "$seconds" --warmup 0; }
elections() { cat "$work"/node?.log | grep "leads in term"; }

nodes_start 3
join_nodes 101 1 2 3 || exit 1
join_nodes 102 1 2 3 || exit 1
before=$(elections)
[ -n "$before" ] || die "no log tells who leads"
load get >"$work/get" &
reads=$!
load put || fail "writes failed"
wait "$reads" || fail "reads failed"
cat "$work/get"
changes=$(($(elections | wc -l) - $(wc -l <<<"$before")))
echo "$changes elections in $seconds s of load"
# A machine that runs all tests at once stands still for longer than an election timeout now and then.
check "no election without cause" test "$changes" -le "$([ -n "$full" ] && echo 0 || echo 3)"
grep -h "stood still" "$work"/node?.log
done_testing
