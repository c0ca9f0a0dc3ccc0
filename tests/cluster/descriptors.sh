#!/bin/bash
# A daemon with few descriptors and many connections: connections are refused, files are not. It goes on writing, flushing and
# beginning new segments of its logs while strangers hold all the places (fd exhaustion).
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
limit 120

# Says to each connection what the daemon said first, its hello, and holds as many as it gets until it is killed.
cat >"$work/hold.py" <<'P'
import signal, socket, sys
host, port = sys.argv[1].rsplit(":", 1)
held = []
for _ in range(int(sys.argv[2])):
    try:
        s = socket.create_connection((host, int(port)), timeout=1)
        hello = s.recv(4096)
        s.sendall(hello)
        held.append(s) if hello else s.close()
    except OSError:
        pass
print(len(held), flush=True)
signal.pause()
P

node_options=(--snapshot-bytes 20000)
ulimit -n 160 || skip "the limit of open files cannot be lowered"
nodes_start 1
mount_start a || exit 1
join_all 101 || exit 1
echo one >"$work/a/log"
python3 "$work/hold.py" "${node_addr[1]}" 140 >"$work/held" &
holder=$!
wait_until 40 test -s "$work/held"
held=$(cat "$work/held")
for i in $(seq 100); do
    head -c 3000 /dev/zero >"$work/a/file$((i % 10))" || fail "put $i was refused"
done
echo two >>"$work/a/log"
check "strangers hold many connections" test "$held" -ge 40
check "and not all descriptors" test "$held" -lt 100
check "the daemon lives" kill -0 "${node_pid[1]}"
kill "$holder"
check "what was written is there" test "$(cat "$work/a/log")" = "one
two"
done_testing
