# Scenarios: tests by number and name, several in one script, each in a process, a cluster and a time limit of its own.
#
#     . "${top_srcdir:-.}/tests/cluster/scenario-lib.sh"
#     scenario S1 StaticShards 30               # number, name, seconds; its body is the function S1
#     S1() { …; }
#     scenarios_main "$@"                       # runs those whose numbers are given, else all
#
# The test bed of the bodies: nodes 1 to 3 are the controllers, group 100 may have the nodes 4 to 6, 101 7 to 9, 102 10 to
# 12; mount `a` is the administrator's. What a key must be is kept in $work/want/KEY.

scenario_numbers=()
declare -A scenario_name scenario_limit

scenario() {
    scenario_numbers+=("$1")
    scenario_name[$1]=$2
    scenario_limit[$1]=$3
}

# In the process of one scenario everything of a cluster test is there.
[ -z "${SCENARIO:-}" ] || . "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1

scenarios_main() {
    local number status failed=0 started
    if [ -n "${SCENARIO:-}" ]; then
        limit "${scenario_limit[$SCENARIO]}"
        "$SCENARIO"
        done_testing
    fi
    trap 'kill -TERM "$child" 2>/dev/null; wait "$child"; exit 1' INT TERM
    [ $# -gt 0 ] || set -- "${scenario_numbers[@]}"
    for number; do
        started=$SECONDS
        SCENARIO=$number bash "$0" &
        child=$!
        wait "$child"
        status=$?
        [ "$status" != 77 ] || exit $((failed ? 1 : 77))
        [ "$status" = 0 ] && verdict=ok || { verdict=FAILED; failed=$((failed + 1)); }
        echo "$verdict: $number ${scenario_name[$number]} ($((SECONDS - started)) s)"
    done
    [ "$failed" = 0 ]
}

# ---- the administrator ----

# admin FILE LINES…: one write, hence one operation (echo and printf of bash would make one of each line).
admin() {
    local file=$1 text
    shift
    text=$(printf '%s\n' "$@")
    cat <<<"$text" >"$work/a/.ctrl/$file" && return
    tail -n 1 "$work/a/.ctrl/error"
    return 1
}

group_nodes() { echo $((3 * ($1 - 100) + 4)) $((3 * ($1 - 100) + 5)) $((3 * ($1 - 100) + 6)); }

# join GID…, leave GID…: one new config each; nobody waits for the shards.
join() {
    local gid i line lines=()
    for gid; do
        line=$gid
        for i in $(group_nodes "$gid"); do line="$line ${node_addr[$i]}"; done
        lines+=("$line")
    done
    admin join "${lines[@]}" || fail "join $*"
}
leave() { admin leave "$*" || fail "leave $*"; }

config() { cat "$work/a/.ctrl/${1:-config}"; }
config_num() { config | sed -n 's/^num //p'; }
config_shards() { config | grep '^shard'; }

# config_is_balanced GID…: exactly these groups; with at least one, every shard is on one of them, and max <= min + 1.
config_is_balanced() {
    config | awk -v gids="$*" -v nshards="$shards" '
        BEGIN { n = split(gids, list, " "); for (i = 1; i <= n; i++) wanted[list[i]] = 1 }
        $1 == "group" { groups++; if (!($2 in wanted)) bad = bad " group " $2 " is there" }
        $1 == "shard" { shards++; has[$3]++; if (n ? !($3 in wanted) : $3 != 0) bad = bad " shard " $2 " is on " $3 }
        END {
            if (groups != n) bad = bad " " groups + 0 " groups, wanted " n
            if (shards != nshards) bad = bad " " shards + 0 " shards"
            for (g in wanted) {
                if (max == "" || has[g] > max) max = has[g] + 0
                if (min == "" || has[g] < min) min = has[g] + 0
            }
            if (max > min + 1) bad = bad " max " max " min " min
            if (bad) print bad
            exit bad != ""
        }'
}

# ---- groups of nodes ----

# shardkv_start: the test bed with 10 shards, nothing joined.
shardkv_start() {
    nodes_start 12 3 10
    mount_start a || exit 1
}

# group_crash GID…: kill -9 of all their nodes; group_start: all of them again.
nodes_crash() {
    local i
    for i; do kill -KILL "${node_pid[$i]}"; done
    for i; do wait_until 20 node_gone "$i" || fail "node $i does not die"; done
}
nodes_again() { local i; for i; do node_again "$i"; done; }
groups_nodes() { local gid; for gid; do group_nodes "$gid"; done; }
group_crash() { nodes_crash $(groups_nodes "$@"); }
group_start() { nodes_again $(groups_nodes "$@"); }

# shards_at GID: those that it serves, by number.
shards_at() { awk -v g="$1" '$2 == g && $3 == "serving" { printf "%s%s", n++ ? " " : "", $1 }' "$work/a/.ctrl/shards"; }
shards_at_is() { [ "$(shards_at "$1")" = "$2" ]; }

# ---- keys ----

# keys_choose N: `keys`, N names for each shard in order: keys[i] is in shard i / N.
keys_choose() {
    mapfile -t keys < <("$builddir/key_shard" "$shards" k{0..999} | sort -s -n -k 1,1 |
        awk -v n="$1" '{ if (have[$1]++ < n) print $2 }')
    [ "${#keys[@]}" = $((shards * $1)) ] || die "no names for all shards"
    mkdir -p "$work/want"
}
# keys_of SHARD…: when there is one key for each shard.
keys_of() { local s; for s; do echo "${keys[$s]}"; done; }

# key_put KEY BYTES, key_append KEY, key_check KEY: through mount `a`.
key_put() { head -c "$2" /dev/urandom | base64 -w 0 >"$work/want/$1"; cat "$work/want/$1" >"$work/a/$1" || fail "put $1"; }
key_append() { echo "$1 $RANDOM" | tee -a "$work/want/$1" >>"$work/a/$1" || fail "append to $1"; }
key_check() {
    checks=$((checks + 1))
    cmp "$work/want/$1" "$work/a/$1" || fail "the value of $1${2:+ $2}"
}
keys_put() { local key; for key in "${keys[@]}"; do key_put "$key" "${1:-30}"; done; }
keys_append() { local key; for key in "${keys[@]}"; do key_append "$key"; done; }
keys_check() { local key; for key in "${keys[@]}"; do key_check "$key" "${1:-}"; done; }
keys_check_append() { local key; for key in "${keys[@]}"; do key_check "$key" "${1:-}"; key_append "$key"; done; }

# ---- appenders: one for each key, all the time (appenders.py) ----

# appenders_start PAUSE_MS: through a mount of their own that waits as long as it takes.
appenders_start() {
    mount_start w hard || exit 1
    : >"$work/appended"
    python3 "$top_srcdir/tests/cluster/appenders.py" "$work/w" "$work/want" "$work/appenders.stop" "$work/appended" "$1" "${keys[@]}" \
        >"$work/appenders" 2>&1 &
    load_pid[appenders]=$!
}
appended() { stat -c %s "$work/appended"; }
has_appended() { ! kill -0 "${load_pid[appenders]}" 2>/dev/null || [ "$(appended)" -ge "$1" ]; }
# appenders_progress N: waits until N more appends are done, of whichever keys.
appenders_progress() { wait_until 20 has_appended $(($(appended) + $1)) || fail "no $1 more appends in 20 s"; }
# all_wait: every appender waits for an answer.
all_wait() { [ "$(grep -c 'op=' "$work/w/.ctrl/mount/inflight")" -ge "${#keys[@]}" ]; }
# appenders_stop: none has failed, and every key is the concatenation of what was appended, in order, once.
appenders_stop() {
    : >"$work/appenders.stop"
    wait "${load_pid[appenders]}" || fail "appenders: $(cat "$work/appenders")"
    cat "$work/appenders"
    keys_check "of its appender"
}
