# A cluster whose every connection passes through proxy.py, which can be told to misbehave. Bash; after scenario-lib.sh.
#
#     proxied_start 12 3 10            # as nodes_start: nodes, controllers, shards
#     net faults delay_ms=26 …         # proxy.py says which commands there are

declare -A node_real
net() { python3 "$top_srcdir/tests/cluster/proxy.py" say "$work/net" "$@"; }
net_quiet() { net "$@" >"$work/net.said" || fail "net $*: $(cat "$work/net.said")"; }

# The faults of the original's unreliable network, and resets, which it does not know.
unreliable() { net_quiet faults delay_ms=26 request_lost=10 reply_lost=10 reset=0.2; }
reliable() { net_quiet faults; }

net_stat() { net stats | tr ' ' '\n' | sed -n "s/^$1=//p"; }
# net_was_bad: frames were delayed, lost and swallowed, and connections reset: the test was one.
net_was_bad() {
    local what
    net stats
    for what in delayed requests_lost replies_lost resets; do
        [ "$(net_stat "$what")" -gt 0 ] || { echo "nothing $what"; return 1; }
    done
}

proxied_start() {
    local i ports pairs=()
    n_nodes=$1
    shards=${3:-10}
    controllers=
    read -r -a ports <<<"$(free_ports $((2 * n_nodes)))"
    for ((i = 1; i <= n_nodes; i++)); do
        node_addr[$i]=127.0.0.1:${ports[$i - 1]}
        node_real[$i]=127.0.0.1:${ports[$n_nodes + $i - 1]}
        node_extra[$i]="--listen ${node_real[$i]} --advertise ${node_addr[$i]}"
        pairs+=("${node_addr[$i]}=${node_real[$i]}")
        [ "$i" -gt "${2:-3}" ] || controllers=$controllers${controllers:+,}${node_addr[$i]}
    done
    python3 "$top_srcdir/tests/cluster/proxy.py" run "$work/net" "${net_seed:-7}" "${pairs[@]}" >"$work/net.log" 2>&1 </dev/null &
    mount_pids+=($!)
    disown $!
    wait_until 20 test -S "$work/net" || die "no proxy: $(cat "$work/net.log")"
    for ((i = 1; i <= n_nodes; i++)); do node_again "$i"; done
}

# shardkv_proxied: the test bed of scenario-lib.sh behind the proxy.
shardkv_proxied() {
    proxied_start 12 3 10
    mount_start a hard || exit 1
}
