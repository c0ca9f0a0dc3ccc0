# Real daemons, each in a network namespace of its own; the test is the router between them, and its rules drop what goes from one node to
# another. Bash, in a network and mount namespace of its own (the first line), as partitions.sh and raft.sh are:
#
#     [ -n "${RGKV_OWN_NET:-}" ] || [ "$(id -u)" != 0 ] || RGKV_OWN_NET=1 exec unshare --net --mount --propagation private bash "$0" "$@"
#     . "${top_srcdir:-.}/tests/cluster/fault-lib.sh"; . "${top_srcdir:-.}/tests/cluster/netns-lib.sh"
#     netns_start 5 3                  # nodes 1 … 5, the first three of them controllers (which need not be said)
#     cut_one 1 2; isolate 3; connect 3; heal
#
# Clients are not cut off: they are where the router is.

netns_make() {
    local i
    mkdir -p /run/netns && mount -t tmpfs none /run/netns && ip netns add try 2>/dev/null && ip netns del try || skip "no network namespaces here"
    ip link set lo up
    echo 1 >/proc/sys/net/ipv4/ip_forward || skip "this network namespace cannot forward"
    for ((i = 1; i <= $1; i++)); do
        { ip netns add "n$i" && ip link add "v$i" type veth peer name eth0 netns "n$i"; } || skip "no veth here"
        ip addr add "10.77.$i.1/24" dev "v$i"
        ip link set "v$i" up
        ip -n "n$i" addr add "10.77.$i.2/24" dev eth0
        ip -n "n$i" link set eth0 up
        ip -n "n$i" link set lo up
        ip -n "n$i" route add default via "10.77.$i.1"
        node_addr[$i]=10.77.$i.2:7400
    done
    ip rule add from 10.77.1.2 to 10.77.99.2 blackhole pref 1 2>/dev/null && ip rule del pref 1 || skip "no routing rules here"
}

# The daemon, in the namespace that its address says.
netns_daemon() {
    printf '#!/bin/sh\nns=${2#10.77.}\nexec ip netns exec "n${ns%%%%.*}" "%s" "$@"\n' "$rgkvd" >"$work/rgkvd-in-ns"
    chmod +x "$work/rgkvd-in-ns"
    rgkvd=$work/rgkvd-in-ns
}

netns_start() {
    local i
    n_nodes=$1
    shards=${shards:-16}
    netns_make "$1"
    netns_daemon
    controllers=${node_addr[1]}
    for ((i = 2; i <= ${2:-3}; i++)); do controllers=$controllers,${node_addr[$i]}; done
    node_options+=(--insecure)
    for ((i = 1; i <= n_nodes; i++)); do node_again "$i"; done
}

# cut_one A B: nothing from A arrives at B. It may be so already.
is_cut() { ip rule | grep -q "^$((100 + 10 * $1 + $2)):"; }
cut_one() { is_cut "$1" "$2" || ip rule add from "10.77.$1.2" to "10.77.$2.2" blackhole pref "$((100 + 10 * $1 + $2))" || fail "$1 is not cut off from $2"; }
mend_one() { ip rule del pref "$((100 + 10 * $1 + $2))" 2>/dev/null; }
cut_both() { cut_one "$1" "$2"; cut_one "$2" "$1"; }
heal() { local p; for p in $(ip rule | sed -n 's/^\(1[0-9][0-9]\):.*/\1/p'); do ip rule del pref "$p"; done; }

# reaches A B: A gets a connection to B, for which both ways are needed.
reaches() { ip netns exec "n$1" timeout 1 bash -c ": >/dev/tcp/${node_addr[$2]/://}" 2>/dev/null; }

# isolate I: from every other node; connect I: to all of them that are not isolated themselves.
declare -A isolated
isolate() {
    local i
    isolated[$1]=1
    for ((i = 1; i <= n_nodes; i++)); do [ "$i" = "$1" ] || cut_both "$1" "$i"; done
}
connect() {
    local i
    unset "isolated[$1]"
    for ((i = 1; i <= n_nodes; i++)); do
        [ "$i" = "$1" ] || [ -n "${isolated[$i]:-}" ] || { mend_one "$1" "$i"; mend_one "$i" "$1"; }
    done
}
connect_all() { isolated=(); heal; }

# net_total packets|bytes: what the nodes were sent so far; of the bytes, what is in them (TCP with time stamps, IPv4 and Ethernet have 66 a packet).
net_total() {
    awk -v what="$1" '/^ *v[0-9]+:/ { sub(/.*:/, ""); bytes += $9 - 66 * $10; packets += $10 }
        END { print what == "bytes" ? bytes : packets }' /proc/net/dev
}
