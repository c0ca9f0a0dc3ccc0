# Loads whose history is recorded and checked for linearizability. Bash; after lib.sh.
#
#     history_start NAME --mount "$work/a" --clients 10 …    # history_load.c says which options
#     history_progress 50 [NAME]       # waits until 50 more operations are done
#     history_stop                     # all of them, and what they say of themselves
#     history_end                      # the same, when they have done their --operations
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

history_end() {
    local name
    for name in "${histories[@]}"; do
        wait "${load_pid[$name]}" || fail "the load $name"
        echo "$name: $(cat "$work/$name.load")"
    done
}
history_stop() {
    : >"$work/histories.stop"
    history_end
    rm "$work/histories.stop"
}

check_linearizable() {
    local name files=()
    for name in "${histories[@]}"; do files+=("$work/$name.history"); done
    timeout 60 "$builddir/tests/cluster/history-check" "${files[@]}" >"$work/verdict" || show_history "${files[@]}"
    check "linearizable" grep " linearizable$" "$work/verdict"
}

# "key7: no order … , from 1234 to 5678": the operations on that key in the second around it, in the order in which they began.
show_history() {
    local key from
    key=$(sed -n '1s/:.*//p' "$work/verdict")
    from=$(sed -n '1s/.* from \([0-9]*\) to [0-9]*$/\1/p' "$work/verdict")
    echo "what clients recorded of $key (operation, key, value, outcome, began, ended in us):"
    cat "$@" | awk -v k="$key" -v at="${from:-0}" '$2 == k && $6 > at - 900000 && $5 < at + 20000' | sort -n -k5,5 | cut -c-200 | tail -n 40
    cat "$work/verdict"
}
