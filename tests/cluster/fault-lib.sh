# What the tests of failing disks and dying processes have on top of lib.sh: loads that need no mount and are audited
# (ledger.c), an administrator's words (ctl.c), nodes whose system calls fail (faults.c). Bash.
#
#     . "${top_srcdir:-.}/tests/cluster/fault-lib.sh"
#     nodes_start 3; join_nodes 101 1 2 3
#     ledger_start first --workers 16            # in the background; journal in $work/first
#     node_kill "$(leader_number 101)"
#     ledger_progress first 100                  # waits for 100 more acknowledged writes
#     ledger_stop first && ledger_check first
#     faulty_start 1 RGKV_FAULT_KILL=17          # node 1 again, not waiting for anything

. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1

tools=$(realpath "$builddir/tests/cluster")
faults=$tools/faults.so
full=${RGKVFS_FULL:-}
declare -A ledger_pid

ctl() { timeout 30 "$tools/ctl" "$controllers" "$@"; }

join_nodes() {
    local line=$1 i
    shift
    for i in "$@"; do line="$line ${node_addr[$i]}"; done
    ctl join "$line" && ctl settled >/dev/null || { fail "join $line"; return 1; }
}

# leader_number GROUP: which node leads it; asked until somebody does.
leader_once() { number=$(node_of_addr "$(ctl leader "$1" | sed 's/.* //')") && ! node_gone "$number"; }
leader_number() {
    local number
    wait_until "${within:-20}" leader_once "$1" || { echo "nobody leads $1" >&2; return 1; }
    leader_once "$1" && echo "$number"
}

# ---- an audited load ----

ledger_start() {
    local name=$1
    shift
    : >"$work/$name"
    "$tools/ledger" run --controllers "$controllers" --journal "$work/$name" "$@" >"$work/$name.out" 2>&1 &
    ledger_pid[$name]=$!
    mount_pids+=($!) # killed at the end, whatever happens
}

ledger_size() { grep -c "^[AP]" "$work/$1"; }
ledger_grew() { [ "$(ledger_size "$1")" -ge "$2" ]; }

# ledger_progress NAME N: waits until N more writes are acknowledged.
ledger_progress() {
    wait_until 30 ledger_grew "$1" $(($(ledger_size "$1") + $2)) || { fail "no $2 more writes of $1 in 30 s"; return 1; }
}

# ledger_wait NAME: waits for its end; a stale read or a failure is told.
ledger_wait() {
    wait "${ledger_pid[$1]}" || { fail "the load $1: $(cat "$work/$1.out")"; return 1; }
}
ledger_stop() { kill -TERM "${ledger_pid[$1]}" 2>/dev/null; ledger_wait "$1"; }
ledger_said() { cat "$work/$1.out"; }

# ledger_check NAME [OPTIONS]: every acknowledged write is there, once, in order; --value-bytes as the load had it.
ledger_check() {
    local name=$1
    shift
    checks=$((checks + 1))
    timeout 60 "$tools/ledger" check --controllers "$controllers" --journal "$work/$name" "$@" >"$work/$name.check" 2>&1 ||
        { fail "audit of $name: $(cat "$work/$name.check")"; return 1; }
}

# ---- nodes whose system calls fail ----

# faulty_start I VARIABLE=VALUE…: node I with faults (faults.c says which); only its own files are counted. It does not wait.
faulty_start() {
    local i=$1
    shift
    : >"$work/node$i.log"
    env LD_PRELOAD="$faults" ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0" RGKV_FAULT_PATH="$work/node$i/" \
        RGKV_FAULT_COUNT="$work/count$i" "$@" \
        "$rgkvd" --listen "${node_addr[$i]}" --data "$work/node$i" --controllers "$controllers" --shards "$shards" \
        "${node_options[@]}" >>"$work/node$i.log" 2>&1 </dev/null &
    node_pid[$i]=$!
    disown "${node_pid[$i]}"
}

# faults_counted I: how many calls node I's shim has counted.
faults_counted() { od -An -t u8 -N 8 "$work/count$1" | tr -d ' '; }

# node_addrs N [CONTROLLERS]: free addresses for N nodes, nothing started.
node_addrs() {
    local port i=0
    n_nodes=$1
    shards=${shards:-16}
    controllers=
    for port in $(free_ports "$n_nodes"); do
        i=$((i + 1))
        node_addr[$i]=127.0.0.1:$port
        [ "$i" -gt "${2:-3}" ] || controllers=$controllers${controllers:+,}127.0.0.1:$port
    done
}
