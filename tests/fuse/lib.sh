# What every test of the mount begins with: daemons on free loopback ports, mounts, and a clean end. Bash.
#
#     . "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
#     limit 60                      # seconds for the whole test
#     cluster_start 3               # nodes 1 … 3, all of them controllers; waits for `ready`
#     mount_start a                 # "$work/a"; -o options as a second word
#     join_all 101                  # all nodes as group 101; waits until settled
#     check "what must hold" command…
#     done_testing
#
# Nothing waits for time to pass: wait_until asks again until a condition holds. All is undone by a trap: mounts are
# detached, daemons are killed by the ids that were started here. Exit 77: skipped, with a reason.

set -u
builddir=${top_builddir:-.}
rgkvd=${RGKVD:-$builddir/rgkvd}
rgkvfs=${RGKVFS:-$builddir/rgkvfs}
failures=0
checks=0
n_nodes=0
declare -A node_pid node_addr mounted
mount_pids=()

skip() { echo "SKIP: $*"; exit 77; }
fail() { failures=$((failures + 1)); echo "FAIL: $*"; }
die() { echo "FATAL: $*"; exit 1; }

[ -e /dev/fuse ] || skip "there is no /dev/fuse"
[ "$(id -u)" = 0 ] || skip "mounting in tests wants root"
[ -x "$rgkvd" ] && [ -x "$rgkvfs" ] || die "rgkvd and rgkvfs are not built in $builddir"
rgkvd=$(realpath "$rgkvd")
rgkvfs=$(realpath "$rgkvfs")
work=$(mktemp -d "${TMPDIR:-/tmp}/rgkvfs-test.XXXXXX") || die "no temporary directory"

cleanup() {
    local status=$? name pid
    trap - EXIT INT TERM
    [ -n "${watchdog:-}" ] && kill "$watchdog" 2>/dev/null
    for name in "${!mounted[@]}"; do umount -l "$work/$name" 2>/dev/null; done
    for pid in "${mount_pids[@]}"; do kill -KILL "$pid" 2>/dev/null; done
    for pid in "${node_pid[@]}"; do kill -CONT "$pid" 2>/dev/null; kill -KILL "$pid" 2>/dev/null; done
    if [ "$status" != 0 ] && [ "$status" != 77 ]; then
        tail -n 20 "$work"/node*.log 2>/dev/null
    fi
    [ -n "${KEEP:-}" ] || rm -rf --one-file-system "$work"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# A process that waits inside a mount whose daemon hangs cannot even be killed, and a shell that waits for it runs no trap:
# only the kernel can end the wait, by aborting the connection.
abort_mounts() {
    local minor
    for minor in $(awk -v w="$work/" 'index($5, w) == 1 && / fuse/ { sub(/.*:/, "", $3); print $3 }' /proc/self/mountinfo); do
        echo 1 >"/sys/fs/fuse/connections/$minor/abort"
    done 2>/dev/null
}

children_of() { ps -o pid= --ppid "$1"; }

# over_limit TEST SECONDS: what the test would do at its end, for a shell that may be stuck; then the shell itself.
over_limit() {
    echo "FATAL: over the time limit of $2 s"
    abort_mounts
    kill -TERM "$1" 2>/dev/null
    sleep 3
    kill -0 "$1" 2>/dev/null || return
    local path pid
    for path in $(awk -v w="$work/" 'index($5, w) == 1 { print $5 }' /proc/self/mountinfo); do umount -l "$path"; done
    for pid in $(children_of "$1") $(cat "$work/pids" 2>/dev/null) "$1"; do
        [ "$pid" = "$BASHPID" ] || kill -KILL "$pid"
    done 2>/dev/null
    rm -rf --one-file-system "$work"
}

# limit SECONDS: the test ends as failed when it takes longer, whatever its commands are doing.
limit() {
    local test=$$
    ( sleep "$1" & nap=$!; trap 'kill $nap 2>/dev/null; exit' TERM; wait "$nap"; trap - TERM; over_limit "$test" "$1" ) &
    watchdog=$!
    disown "$watchdog"
}

# not_tried WHAT, WHY: a part of a test that this machine cannot have, as of a kernel without a feature.
not_tried() { echo "not tried: $*"; }

# has PROGRAM WHAT: is it installed? If not, what wants it is not tried. With CI=true that has failed: tests/packages.sh installs it.
has() {
    command -v "$1" >/dev/null && return
    not_tried "$2: no $1"
    [ "${CI:-}" != true ] || fail "$2: $1 is not installed"
    return 1
}

# wait_until SECONDS COMMAND…: asks again until it succeeds. Fails when the time is over.
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.02
    done
}

# ---- nodes ----

free_ports() {
    python3 - "$1" <<'PY' || die "no free ports"
import socket, sys
s = [socket.socket() for _ in range(int(sys.argv[1]))]
for x in s: x.bind(("127.0.0.1", 0))
print(*[x.getsockname()[1] for x in s])
PY
}

# Was it built with AddressSanitizer, which has a memory of its own?
sanitized() { grep -qa __asan_init "$rgkvd"; }

node_is_ready() { grep -q "ready on" "$work/node$1.log"; }

# node_start I [options…]: starts (or starts again) node I, whose address is known; waits for `ready`.
node_start() {
    local i=$1
    shift
    : >"$work/node$i.log"
    "$rgkvd" --listen "${node_addr[$i]}" --data "$work/node$i" --controllers "$controllers" --shards "$shards" "$@" \
        >>"$work/node$i.log" 2>&1 </dev/null &
    node_pid[$i]=$!
    echo $! >>"$work/pids"
    disown "${node_pid[$i]}"
    wait_until 20 node_is_ready "$i" || die "node $i is not ready: $(cat "$work/node$i.log")"
}

node_gone() { ! kill -0 "${node_pid[$1]}" 2>/dev/null; }

# node_kill I [SIGNAL]: KILL unless another is given; waits until it is gone.
node_kill() {
    kill -"${2:-KILL}" "${node_pid[$1]}" || return 1
    wait_until 20 node_gone "$1" || fail "node $1 does not end on ${2:-KILL}"
}
node_stop() { kill -STOP "${node_pid[$1]}"; }
node_continue() { kill -CONT "${node_pid[$1]}"; }

# cluster_start N [CONTROLLERS [SHARDS]]: N nodes, of which the first CONTROLLERS (default: all, at most 3) are the controllers.
cluster_start() {
    local i port
    n_nodes=$1
    local n_controllers=${2:-$(($1 < 3 ? $1 : 3))}
    shards=${3:-16}
    controllers=
    i=0
    for port in $(free_ports "$n_nodes"); do
        i=$((i + 1))
        node_addr[$i]=127.0.0.1:$port
        [ "$i" -le "$n_controllers" ] && controllers=$controllers${controllers:+,}127.0.0.1:$port
    done
    for ((i = 1; i <= n_nodes; i++)); do node_start "$i"; done
}

# ---- mounts ----

# mount_start NAME [OPTIONS]: mounts the cluster at $work/NAME; returns when it can be used.
mount_start() {
    mkdir -p "$work/$1" 2>/dev/null # it may be the mount point of a mount that is dead
    "$rgkvfs" "$controllers" "$work/$1" -o "timeout=10${2:+,$2}" || { fail "mounting $1"; return 1; }
    mounted[$1]=1
    mount_pids+=("$(mount_pid "$1")")
    echo "${mount_pids[-1]}" >>"$work/pids"
}

# mount_pid NAME: the process that serves it.
mount_pid() { pgrep -f -x -- "$rgkvfs $controllers $work/$1 .*" | head -n 1; }
process_gone() { ! kill -0 "$1" 2>/dev/null; }

# mount_stop NAME: unmounts and waits for the daemon to end.
mount_stop() {
    local pid
    pid=$(mount_pid "$1")
    umount "$work/$1" || fail "umount $1"
    unset "mounted[$1]"
    [ -z "$pid" ] || wait_until 20 process_gone "$pid" || fail "the daemon of $1 outlives its mount"
}

# join_group GID NODE…: the nodes (by number) as one group; waits until the placement is settled.
join_group() {
    local gid=$1 line i name
    shift
    line=$gid
    for i in "$@"; do line="$line ${node_addr[$i]}"; done
    for name in "${!mounted[@]}"; do break; done
    echo "$line" >"$work/$name/.ctrl/join" || { cat "$work/$name/.ctrl/error"; fail "join $line"; return 1; }
    settled "$name"
}
join_all() { join_group "$1" $(seq 1 "$n_nodes"); }
settled() { [ "$(timeout 60 cat "$work/$1/.ctrl/settled")" = ok ] || { fail "not settled"; cat "$work/$1/.ctrl/moves"; return 1; }; }

# one_group: the usual start of a test: one node, one group, mounted as `a`.
one_group() {
    cluster_start 1
    mount_start a || exit 1
    join_all 101 || exit 1
    m=$work/a
}

# ---- checking ----

check() {
    local what=$1
    shift
    checks=$((checks + 1))
    "$@" || fail "$what ($*)"
}

same() { [ "$1" = "$2" ] || { echo "  is:     $1"; echo "  wanted: $2"; return 1; }; }
check_same() { checks=$((checks + 1)); same "$2" "$3" || fail "$1"; }
check_fails() { local what=$1; shift; checks=$((checks + 1)); if "$@" >/dev/null 2>&1; then fail "$what: succeeded ($*)"; fi; }

# errno_says[NAME]: what strerror says of it. Asked once, for a process takes its time to start.
declare -A errno_says=()
errnos_ask() {
    local name says
    while read -r name says; do errno_says[$name]=$says; done < \
        <(python3 -c 'import errno, os; [print(name, os.strerror(getattr(errno, name))) for name in errno.errorcode.values()]')
}

# check_errno NAME WHAT COMMAND…: the command fails and says what strerror says of the errno.
check_errno() {
    local name=$1 what=$2 text wanted
    shift 2
    checks=$((checks + 1))
    text=$(LC_ALL=C "$@" 2>&1) && { fail "$what: succeeded, $name was wanted"; return; }
    [ "${#errno_says[@]}" != 0 ] || errnos_ask
    wanted=${errno_says[$name]:-no errno of this name}
    case $text in
    *"$wanted"*) ;;
    *) fail "$what: \"$text\", wanted \"$wanted\"" ;;
    esac
}

done_testing() {
    if [ "$failures" = 0 ]; then
        echo "$checks checks hold"
        exit 0
    fi
    echo "$failures of $checks failed"
    for name in "${!mounted[@]}"; do timeout 2 cat "$work/$name/.ctrl/error" 2>/dev/null; done
    exit 1
}
