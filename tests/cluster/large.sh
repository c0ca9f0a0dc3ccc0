#!/bin/bash
# Data larger than memory (issue of snapshots): a group is filled while its members may keep little in memory; then a member that
# was away gets a snapshot of all of it while the others serve; then all start again. Printed: memory, the longest turn of a loop and the most
# that one turn computed, the log's size while a member was away, the time of a restart.
#
#     large.sh [MIB [NODES]]     RGKVFS_FULL=1: 1024, with the bounds of an idle machine; NODES 1: only filled, and started again
#
# In the long form the nodes have large pages, prefault and a nice value, as rgkvd.service has it.
# A virtual machine may lose its processors for longer than a loop may stand still. In the long form that is measured beside it and
# printed, and a loop may stand still for so much longer; or compute, for the kernel counts what the host took as work of the thread.
. "${top_srcdir:-.}/tests/cluster/fault-lib.sh" || exit 1
limit "$([ -n "$full" ] && echo 3600 || echo 180)"
mib=${1:-${full:+1024}}
mib=${mib:-48}
memory=$([ "$mib" -ge 1024 ] && echo 268435456 || echo 67108864)
value=$([ "$mib" -ge 1024 ] && echo 65536 || echo 16384)
keys=$((mib * 1048576 / value))
n=${2:-3}
members=$(seq "$n")
stall_us=$([ -n "$full" ] && echo 20000 || echo 1000000)
work_us=$([ -n "$full" ] && echo 20000 || echo 50000)
node_options=(--memory-bytes "$memory" ${full:+--prefault --nice -10})
bench=$(realpath "$builddir/tests/bench/rgkv-bench")

# fill OP SECONDS…: writes every key once ("get" does), or goes on for a time.
bench() { timeout 1500 "$bench" --controllers "$controllers" --value-bytes "$value" --keys "$keys" --timeout 120 "$@"; }

field() { awk -v n="${node_addr[$1]}" -v f="$2" '$1 == n { for (i = 2; i <= NF; i++) if (split($i, kv, "=") == 2 && kv[1] == f) print kv[2] }' "$work/nodes"; }
# What the loop of node $1 computed in one turn at most, in microseconds: its processor time, whatever else the machine does.
worked() { sed -n "s/^rgkv_node_loop_work_seconds{node=\"${node_addr[$1]}\"} \(.*\)\$/\1/p" "$work/metrics" | tr -d . | sed 's/^0*\(.\)/\1/'; }
look() { ctl nodes >"$work/nodes"; ctl metrics >"$work/metrics"; }
stall() { [ "$(field "$1" age_us)" -gt 3000000 ] || field "$1" stall_us; } # what a node said last stays in the list when it is gone
rss_kib() { awk '/VmRSS/ { print $2 }' "/proc/${node_pid[$1]}/status"; }
log_kib() { du -sk "$work"/node"$1"/replicas/101-*/wal 2>/dev/null | awk '{ print $1 }'; }

# sampler: the largest memory, stall and work of any node, and the largest log, as long as it runs.
sampler() {
    local i
    while [ ! -e "$work/sampled" ]; do
        look 2>/dev/null
        for i in $members; do
            echo "$(date +%s) $i stall_us=$(stall "$i") work_us=$(worked "$i") machine_us=$(cat "$work"/machine.[0-9] 2>/dev/null | sort -n | tail -n 1) rss_kib=$(rss_kib "$i" 2>/dev/null) log_kib=$(log_kib "$i")"
        done >>"$work/samples.$1" 2>/dev/null
        sleep 0.5
    done
}
sampler_start() { rm -f "$work/sampled"; sampler "$1" & sampler_pid=$!; phase=$1; }
all_sampled() { local what; for what in rss_kib stall_us work_us log_kib; do grep -q " $what=[0-9]" "$work/samples.$phase" || return 1; done; }
# Who has just lost its controller's leader is told of stalls again only when there is another one.
sampler_stop() {
    check "$phase: memory, stalls, work and log were sampled" wait_until 10 all_sampled
    : >"$work/sampled"
    wait "$sampler_pid"
}
# most WHAT: 0 if it was never sampled, which sampler_stop tells.
most() { local n; n=$(sed -n "s/.* $1=\([0-9][0-9]*\).*/\1/p" "$work/samples.$phase" | sort -n | tail -n 1); echo "${n:-0}"; }
report() { echo "$1: memory at most $(($(most rss_kib) / 1024)) MiB of $((memory / 1048576)) asked for, longest stall $(most stall_us) us${full:+ (of the machine: $(most machine_us) us)}, longest work $(most work_us) us, log at most $(($(most log_kib) / 1024)) MiB"; }

if [ -n "$full" ]; then
    export GLIBC_TUNABLES=glibc.malloc.hugetlb=1
    python3 "$top_srcdir/tests/cluster/machine_pauses.py" "$work" 2>/dev/null &
    machine_pid=$!
fi
nodes_start "$n"
# shellcheck disable=SC2086
join_nodes 101 $members || exit 1
sampler_start fill
bench --op get --clients 16 --seconds 1 --warmup 0 || fail "filling"
sampler_stop
report "filled with $mib MiB"
sanitized || check "memory is bounded" test "$(($(most rss_kib) * 1024))" -lt $((memory * 5 / 2))

# One is away while everything is written once more: the log does not grow with that.
away() {
    node_kill 3
    sampler_start away
    bench --op put --clients 16 --seconds "$((mib >= 1024 ? 30 : 3))" --warmup 0 || fail "writing while one is away"
    sampler_stop
    report "one away"
    check "the log is bounded" test "$(most log_kib)" -lt $((memory * 3 / 4 / 1024))
}

# It comes back: a snapshot, while there is load.
receiving() { [ -n "$(ls -d "$work"/node3/replicas/101-*/table.2 2>/dev/null)" ]; }
comes_back() {
    local began
    began=$(date +%s%N)
    node_again 3
    sampler_start transfer
    bench --op put --clients 4 --value-bytes 1000 --seconds "$((mib >= 1024 ? 40 : 5))" --warmup 0 --keys 1000 >"$work/bench.out" &
    load=$!
    wait_until 30 receiving || fail "it receives nothing"
    check "it installs the snapshot" wait_until 600 said 3 "group 101: installed a snapshot at"
    echo "installed after $((($(date +%s%N) - began) / 1000000)) ms, snapshots begun: $(grep -c 'group 101: sending member' "$work"/node[12].log | tr '\n' ' ')"
    wait "$load" || fail "load during the snapshot"
    sampler_stop
    report "snapshot while serving"
    cat "$work/bench.out"
    sanitized || check "no turn computed for $work_us us by itself" test "$(most work_us)" -le $((work_us + $(most machine_us)))
    check "no loop stood still for $stall_us us by itself" test "$(most stall_us)" -le $((stall_us + $(most machine_us)))
}
[ "$n" -lt 3 ] || { away; comes_back; }

# All at once again: how long until a write is acknowledged.
for i in $members; do kill -KILL "${node_pid[$i]}"; done
for i in $members; do wait_until 20 node_gone "$i"; done
began=$(date +%s%N)
for i in $members; do node_again "$i"; done
ready=$(date +%s%N)
ledger_start after --ops 1
ledger_wait after
echo "restart of all: ready after $(((ready - began) / 1000000)) ms (one node after the other), first write after $((($(date +%s%N) - began) / 1000000)) ms"
check "ready within 2 s each" test $(((ready - began) / 1000000)) -lt $((2000 * n))
bench --op get --clients 16 --seconds 1 --warmup 0 --keys 100 >/dev/null || fail "reading afterwards"
[ -z "${machine_pid:-}" ] || kill "$machine_pid"
done_testing
