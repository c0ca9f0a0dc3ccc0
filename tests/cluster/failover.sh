#!/bin/bash
# How long writes wait when a leader goes (P21, B42): killed, told to end, stopped for five seconds. Under load; each time the
# longest interval between two acknowledged writes around the moment is taken, and the distribution is printed.
#
#     failover.sh [ROUNDS [SIGNAL…]]     RGKVFS_FULL=1: 50 rounds, and the bounds that an idle machine keeps
. "${top_srcdir:-.}/tests/cluster/fault-lib.sh" || exit 1
limit "$([ -n "$full" ] && echo 2400 || echo 150)"
rounds=${1:-${full:+50}}
rounds=${rounds:-4}
signals=("${@:2}")
[ ${#signals[@]} -gt 0 ] || signals=(KILL TERM)
# Milliseconds, median and largest. A busy machine that runs all tests has its own delays.
# The outage begins within this many milliseconds of the signal.
declare -A window=([KILL]=100 [TERM]=100)
declare -A median=([KILL]=500 [TERM]=20) largest=([KILL]=1500 [TERM]=150)
slack=$([ -n "$full" ] && echo 1 || echo 8)

# signal_now SIGNAL PID: prints the moment, in microseconds of the monotonic clock.
signal_now() { python3 -c 'import os, signal, sys, time; t = time.monotonic_ns(); os.kill(int(sys.argv[2]), getattr(signal, "SIG" + sys.argv[1])); print(t // 1000)' "$1" "$2"; }

# distribution JOURNAL MOMENTS MS: n median p90 max, in ms, of the longest interval without an acknowledgement that begins within MS
# of a moment; then the same of moments 300 ms earlier, when nothing had happened: the machine's own delays.
distribution() {
    python3 - "$1" "$2" "$3" <<'PY'
import bisect, statistics, sys
acks = sorted(int(l.split()[4]) for l in open(sys.argv[1]) if l[0] in "AP")
window = int(sys.argv[3]) * 1000
def longest(t):
    i, j = bisect.bisect_right(acks, t), bisect.bisect_right(acks, t + window)
    points = [t] + acks[i:j + 1]
    return max(b - a for a, b in zip(points, points[1:])) / 1000 if len(points) > 1 else 99999
def show(moments):
    out = sorted(longest(t) for t in moments)
    print(len(out), round(statistics.median(out)), round(out[len(out) * 9 // 10]), round(out[-1]), end=" ")
    print(*(round(x) for x in out), file=sys.stderr)
moments = [int(l) for l in open(sys.argv[2])]
show(moments)
show([t - 300000 for t in moments])
print()
PY
}

nodes_start 3
join_nodes 101 1 2 3 || exit 1
for signal in "${signals[@]}"; do
    name=load$signal
    : >"$work/moments"
    ledger_start "$name" --workers 16 --value-bytes 200
    for ((round = 0; round < rounds; round++)); do
        ledger_progress "$name" 1000 || break
        i=$(leader_number 101) || { fail "nobody leads"; break; }
        signal_now "$signal" "${node_pid[$i]}" >>"$work/moments"
        wait_until 20 node_gone "$i" || fail "node $i does not end on $signal"
        ledger_progress "$name" 1000 || break
        node_again "$i"
    done
    ledger_stop "$name"
    ledger_check "$name" --value-bytes 200
    read -r n mid p90 worst _ own _ own_worst < <(distribution "$work/$name" "$work/moments" "${window[$signal]}" 2>"$work/all")
    echo "$signal of the leader, $n times: median $mid ms, 9 of 10 within $p90 ms, longest $worst ms; before, median $own and longest $own_worst ms ($(ledger_said "$name"))"
    [ -z "$full" ] || cat "$work/all"
    check "the median is $((median[$signal] * slack)) ms at most" test "$mid" -le $((median[$signal] * slack))
    check "none is over $((largest[$signal] * slack)) ms" test "$worst" -le $((largest[$signal] * slack))
done
done_testing
