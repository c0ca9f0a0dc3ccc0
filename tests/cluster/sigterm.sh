#!/bin/bash
# SIGTERM of leaders while appends run: leadership is handed over first, so no command fails and none waits for an
# election; the process ends by itself with status 0 (rgkvd(8), SIGNALS).
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
limit 120
# A machine that runs all tests at once stands still now and then; the long form has it for itself.
election_ms=$([ -n "${RGKVFS_FULL:-}" ] && echo 1000 || echo 3000)
node_options=(--election-ms "$election_ms") # an election would be seen: the hand-over has to be much shorter
nodes_start 3
mount_start a || exit 1
join_all 101 || exit 1

# A writer that remembers the longest time between two appends that succeeded.
python3 - "$work/a/log" "$work/stop" >"$work/longest" 2>"$work/writer.stderr" <<'PY' &
import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
n, longest, last = 0, 0.0, time.monotonic()
while not os.path.exists(sys.argv[2]):
    n += 1
    os.write(fd, b"%d\n" % n)
    now = time.monotonic()
    longest, last = max(longest, now - last), now
print(n, int(longest * 1000))
PY
writer=$!

longer_than() { [ "$(stat -c %s "$work/a/log" 2>/dev/null || echo 0)" -gt "$1" ]; }
grows() { local size; size=$(stat -c %s "$work/a/log" 2>/dev/null || echo 0); wait_until 20 longer_than $((size + 200)); }

for who in 101 ctl 101 ctl 101; do
    check "appends go on" grows
    i=$(leader_of "$who") || { fail "no leader of $who"; break; }
    node_kill "$i" TERM
    check "appends go on without node $i" grows
    node_again "$i"
done
: >"$work/stop"
wait "$writer" || fail "an append failed: $(cat "$work/writer.stderr")"
read -r n longest <"$work/longest"
check "every line once, in order" lines_are "$work/a/log" "$n"
check "no append waited for an election (the longest took $longest ms)" test "$longest" -lt "$election_ms"

# Its exit status, and that all three at once end too when nobody is left to hand over to.
"$rgkvd" --listen 127.0.0.1:0 --data "$work/lone" --controllers 127.0.0.1:1 >"$work/lone.out" 2>&1 &
lone=$!
lone_ready() { grep -q "ready on" "$work/lone.out"; }
wait_until 10 lone_ready || fail "the lone node is not ready"
kill -TERM "$lone"
wait "$lone"
check_same "exit status after SIGTERM" $? 0
for i in 1 2 3; do kill -TERM "${node_pid[$i]}"; done
for i in 1 2 3; do check "node $i ends though nobody can take over" wait_until 10 node_gone "$i"; done
for i in 1 2 3; do node_again "$i"; done
check "and nothing is lost" lines_are "$work/a/log" "$n"
done_testing
