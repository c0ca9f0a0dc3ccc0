#!/bin/bash
# B2: the leader is stopped (SIGSTOP) for five seconds and goes on, believing that it leads. A reader that was stopped with it still
# has its connection and asks it first. No read may find less than what was acknowledged before it began; writes went on meanwhile;
# the old leader follows again.
#
#     stop-leader.sh [ROUNDS]
. "${top_srcdir:-.}/tests/cluster/fault-lib.sh" || exit 1
limit "$([ -n "$full" ] && echo 900 || echo 120)"
rounds=${1:-${full:+20}}
rounds=${rounds:-2}
for_s=$([ -n "$full" ] && echo 5 || echo 2)

# stale WRITTEN READ: how many reads there were and how many were stale.
stale() {
    python3 - "$1" "$2" <<'PY'
import bisect, sys
written = [tuple(map(int, l.split())) for l in open(sys.argv[1]) if l.endswith("\n")]
times = [t for t, n in written]
reads = stale = 0
for line in open(sys.argv[2]):
    f = list(map(int, line.split()))
    if len(f) < 3: continue
    reads += 1
    i = bisect.bisect_left(times, f[0])
    if i and f[2] < written[i - 1][1]:
        stale += 1
        print("stale:", line.strip(), "after", written[i - 1], file=sys.stderr)
print(reads, stale)
PY
}
lines_over() { [ "$(wc -l <"$1")" -gt "$2" ]; }
grows() { wait_until 20 lines_over "$1" $(($(wc -l <"$1") + 50)); }

nodes_start 3
join_nodes 101 1 2 3 || exit 1
for who in write read; do
    "$tools/watch" "$who" --controllers "$controllers" key "$work/$who" &
    declare "$who=$!"
done
wait_until 20 lines_over "$work/write" 20
for ((round = 0; round < rounds; round++)); do
    i=$(leader_number 101) || { fail "nobody leads"; break; }
    kill -STOP "$read"
    node_stop "$i"
    sleep "$for_s" # that is what is tried
    check "writes go on while the leader is stopped" grows "$work/write"
    kill -CONT "$read"
    node_continue "$i"
    check "reads go on afterwards" grows "$work/read"
done
kill -TERM "$read" "$write"
wait "$read" "$write"
read -r n bad < <(stale "$work/write" "$work/read")
echo "$rounds stops of $for_s s, $n reads, $bad of them stale"
check_same "stale reads" "$bad" 0
check "there were reads" test "$n" -gt 100
done_testing
