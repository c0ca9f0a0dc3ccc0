#!/bin/bash
# A member that needs a table catches up although others write all the time: what they write while the table is on its way is far more than
# the log keeps in memory (four times --snapshot-bytes), and must not make it need the next table for ever (B42). Then the log is short
# again, in memory and on the disk.
#
#     catch-up.sh     RGKVFS_FULL=1: a table of 300 MB
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
mb=150 bound=100000
[ -z "${RGKVFS_FULL:-}" ] || mb=300 bound=1000000
limit 240
node_options=(--snapshot-bytes $bound)
nodes_start 3
mount_start a || exit 1
join_all 101 || exit 1
settled a || exit 1
cat >"$work/write.py" <<'P'
import os, sys, time
where, stop, rate = sys.argv[1], sys.argv[2], float(sys.argv[3])
data, done, begin = os.urandom(100000), 0, time.monotonic()
while not os.path.exists(stop):
    with open(f"{where}/w{done % 50}", "wb", buffering=0) as f: f.write(data)
    done += 1
    ahead = done * len(data) / rate - (time.monotonic() - begin)
    if ahead > 0: time.sleep(ahead)
print(f"wrote {done * len(data) / (time.monotonic() - begin) / 1e6:.1f} MB/s")
P
head -c 1000000 /dev/urandom >"$work/blob"
node_kill 3
for i in $(seq $mb); do cp "$work/blob" "$work/a/file$i" || fail "put $i"; done
python3 "$work/write.py" "$work/a" "$work/stop" 6000000 >"$work/write.out" 2>&1 &
writer=$!
node_again 3
installs() { grep -c "group 101: installed a snapshot" "$work/node3.log"; }
behind() { grep "addr=${node_addr[3]} " "$work/a/.ctrl/groups/101/members" | sed -n 's/.*behind=\([0-9]*\).*/\1/p'; }
near() { b=$(behind); [ "$(installs)" -gt 0 ] && [ -n "$b" ] && [ "$b" -lt 30 ]; }
check "it catches up while somebody writes" wait_until 60 near
echo "installed $(installs) snapshots, behind=$(behind) of group 101"
check "one table was enough, or two" test "$(installs)" -le 2
check "somebody writes still" kill -0 "$writer"
: >"$work/stop"
wait "$writer" || fail "a write failed"
cat "$work/write.out"
# The log's files are of 64 KiB at least, and one more is begun whenever some are deleted.
log_bytes() { du -sb "$work"/node*/replicas/101-*/wal | sort -n | tail -n 1 | cut -f 1; }
short() { [ "$(log_bytes)" -lt $((16 * bound + 2000000)) ]; }
check "the log is short again" wait_until 30 short
echo "the longest log has $(log_bytes) bytes"
done_testing
