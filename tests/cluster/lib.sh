# What the tests of whole clusters have on top of the mount tests' helper: nodes that come back with the options they
# had, the leader of a group by number, loads that run while something happens to the cluster. Bash.
#
#     . "${top_srcdir:-.}/tests/cluster/lib.sh"
#     node_options=(--snapshot-bytes 20000)     # of every node from here on
#     cluster_start 3; mount_start a; join_all 101
#     appends_start "$work/a/log" 2000          # in the background
#     node_kill "$(leader_of 101)"              # its number
#     progress 50                               # waits until 50 more appends succeeded
#     appends_check "$work/a/log" 2000          # waits for the end: no command failed, every line once, in order

. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1

node_options=()
declare -A node_extra # of one node, on top; proxy-lib.sh
mkdir "$work/logs"

# Each start has a log of its own: what a node said before it was killed is kept in logs/.
node_again() {
    local starts
    starts=$(find "$work/logs" -name "node$1.*" | wc -l)
    [ ! -f "$work/node$1.log" ] || mv "$work/node$1.log" "$work/logs/node$1.$starts"
    # shellcheck disable=SC2086
    node_start "$1" "${node_options[@]}" ${node_extra[$1]:-}
}

# nodes_start N [CONTROLLERS [SHARDS]]: cluster_start with node_options.
nodes_start() {
    local port i=0
    n_nodes=$1
    local n_controllers=${2:-$(($1 < 3 ? $1 : 3))}
    shards=${3:-16}
    controllers=
    for port in $(free_ports "$n_nodes"); do
        i=$((i + 1))
        node_addr[$i]=127.0.0.1:$port
        [ "$i" -gt "$n_controllers" ] || controllers=$controllers${controllers:+,}127.0.0.1:$port
    done
    for ((i = 1; i <= n_nodes; i++)); do node_again "$i"; done
}

node_of_addr() {
    local i
    for i in "${!node_addr[@]}"; do
        [ "${node_addr[$i]}" = "$1" ] && { echo "$i"; return; }
    done
    return 1
}

# leader_of GROUP: the number of the node that leads it ("ctl": the controller), asked through any mount until somebody does.
leader_now() { leader=$(node_of_addr "$(sed 's/.* //' "$work/${1:-a}/.ctrl/groups/$2/leader")") && ! node_gone "$leader"; }
leader_of() {
    local leader
    wait_until "${within:-20}" leader_now a "$1" || { echo "nobody leads $1" >&2; return 1; }
    leader_now a "$1" && echo "$leader"
}

# said I TEXT: node I has written a line with these words since it was started last.
said() { grep -qF -- "$2" "$work/node$1.log"; }

# every I… is up: applied as far as the others, as the group's members file says.
all_up() { [ "$(grep -c 'state=up' "$work/a/.ctrl/nodes")" = "$1" ]; }

# ---- a load: appends of one number after another, each its own command ----

# appends_start FILE N [NAME]: echo 1 … N >> FILE in the background, or until appends_stop. What succeeded is counted in $work/NAME.done.
appends_start() {
    local file=$1 n=$2 name=${3:-appends}
    : >"$work/$name.done"
    : >"$work/$name.failed"
    rm -f "$work/$name.stop"
    (
        for ((i = 1; i <= n; i++)); do
            [ ! -e "$work/$name.stop" ] || break
            echo "$i" >>"$file" || echo "$i" >>"$work/$name.failed"
            echo "$i" >>"$work/$name.done"
        done 2>"$work/$name.stderr"
        : >"$work/$name.end"
    ) &
    load_pid[$name]=$!
}
declare -A load_pid

appends_done() { wc -l <"$work/${1:-appends}.done"; }
appends_ended() { [ -e "$work/${1:-appends}.end" ]; }
appends_stop() {
    : >"$work/${1:-appends}.stop"
    wait_until 30 appends_ended "${1:-appends}" || fail "the ${1:-appends} do not end"
}
has_progressed() { appends_ended "$1" || [ "$(appends_done "$1")" -ge "$2" ]; }

# progress N [NAME]: waits until N more of them are done (or all are).
progress() {
    local name=${2:-appends}
    wait_until 30 has_progressed "$name" $(($(appends_done "$name") + $1)) || fail "no $1 more $name in 30 s"
}

# lines_are FILE N: the file is exactly 1 … N, each once, in order.
lines_are() {
    seq "$2" >"$work/wanted"
    timeout 60 cat "$1" >"$work/read" || return 1
    cmp "$work/wanted" "$work/read" && return
    diff "$work/wanted" "$work/read" | head -n 5
    return 1
}

appends_check() {
    local name=${3:-appends}
    wait "${load_pid[$name]}"
    check_same "no append failed" "$(head -n 3 "$work/$name.failed" "$work/$name.stderr" | grep -v '^==>' | tr -d '\n')" ""
    check "exactly 1 to $2, each once, in order" lines_are "$1" "$2"
}

# ---- a load of many keys: load.py, writing through one mount and reading through another ----

load_keys=40

# loads_start WRITE_MOUNT READ_MOUNT; ended by loads_stop, which checks both and sets $rounds.
loads_start() {
    rm -f "$work/loads.stop"
    python3 "$top_srcdir/tests/cluster/load.py" write "$work/$1" "$work/loads.stop" "$load_keys" >"$work/loads.write" 2>&1 &
    load_pid[write]=$!
    python3 "$top_srcdir/tests/cluster/load.py" read "$work/$2" "$work/loads.stop" "$load_keys" >"$work/loads.read" 2>&1 &
    load_pid[read]=$!
}

loads_stop() {
    local name
    : >"$work/loads.stop"
    for name in write read; do
        wait "${load_pid[$name]}" || fail "the $name load: $(cat "$work/loads.$name")"
    done
    rounds=$(sed -n 's/^rounds=\([0-9]*\) .*/\1/p' "$work/loads.write")
    echo "write $(cat "$work/loads.write"); read $(cat "$work/loads.read")"
}

# loads_check MOUNT: everything that was written is there, exactly once.
loads_check() { python3 "$top_srcdir/tests/cluster/load.py" check "$work/$1" "$rounds" "$load_keys" >/dev/null; }

# loads_progress: both have gone through all keys at least once more: whoever waits for this saw it served meanwhile.
loads_alive() { kill -0 "${load_pid[write]}" && kill -0 "${load_pid[read]}"; }
last_key_grew() { [ "$(stat -c %s "$work/a/seq$((load_keys - 1))" 2>/dev/null || echo 0)" -gt "$1" ]; }
loads_progress() {
    loads_alive 2>/dev/null || return 1
    wait_until 60 last_key_grew "$(stat -c %s "$work/a/seq$((load_keys - 1))" 2>/dev/null || echo 0)"
}

# shards_of GROUP: how many the placement gives it.
shards_of() { awk -v g="$1" '$2 == g && $3 == "serving" { n++ } END { print n + 0 }' "$work/a/.ctrl/shards"; }
