# Loads whose history is recorded and checked for linearizability. Bash; after lib.sh.
#
#     history_start NAME --mount "$work/a" --clients 10 …    # history_load.c says which options
#     history_progress 50 [NAME]       # waits until 50 more operations are done
#     history_stop                     # all of them, and what they say of themselves
#     check_linearizable               # all histories together are one

histories=()

history_start() {
    local name=$1
    shift
    histories+=("$name")
    : >"$work/$name.count"
    "$builddir/tests/cluster/history-load" --out "$work/$name.history" --stop "$work/histories.stop" --count "$work/$name.count" "$@" \
        >"$work/$name.load" 2>&1 &
    load_pid[$name]=$!
}

history_done() { stat -c %s "$work/$1.count"; }
history_reached() { ! kill -0 "${load_pid[$1]}" 2>/dev/null || [ "$(history_done "$1")" -ge "$2" ]; }
history_progress() {
    local name=${2:-${histories[0]}}
    wait_until "${within:-30}" history_reached "$name" $(($(history_done "$name") + $1)) || fail "no $1 more operations of $name"
}

history_stop() {
    local name
    : >"$work/histories.stop"
    for name in "${histories[@]}"; do
        wait "${load_pid[$name]}" || fail "the load $name"
        echo "$name: $(cat "$work/$name.load")"
    done
    rm "$work/histories.stop"
}

check_linearizable() {
    local name files=()
    for name in "${histories[@]}"; do files+=("$work/$name.history"); done
    check "linearizable" timeout 60 "$builddir/tests/cluster/history-check" "${files[@]}"
}
