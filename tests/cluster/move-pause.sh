#!/bin/bash
# P16: how long a moving shard stands still, under writes to it, by its size; and that writers to other shards do not feel it.
# Six nodes: group 101 (also the controllers) and 102.
#
#     move-pause.sh [MB…]      default: 1 30; RGKVFS_FULL=1: 1 100 1024. $RGKVFS_MOVES of each size
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
full=${RGKVFS_FULL:-}
[ -n "$full" ] && limit 1800 || limit 150
sizes_mb=(1 30)
[ -z "$full" ] || sizes_mb=(1 100 1024)
[ $# = 0 ] || sizes_mb=("$@")
# A machine that runs all tests at once is slow now and then; the long form has it for itself.
bound_ms=$([ -n "$full" ] && echo 100 || echo 250)
pause() { python3 "$top_srcdir/tests/cluster/pause.py" "$@"; }

nodes_start 6 3
mount_start a || exit 1
join_group 101 1 2 3 || exit 1
join_group 102 4 5 6 || exit 1
dir=big
shard=$("$builddir/key_shard" "$shards" "$dir" | cut -d' ' -f1)
# Names in other shards, two that stay with each group.
declare -a others
for gid in 101 102; do
    for s in $(awk -v g="$gid" -v s="$shard" '$2 == g && $1 != s { print $1 }' "$work/a/.ctrl/shards" | head -n 2); do
        others+=("$work/a/$("$builddir/key_shard" "$shards" k{0..999} | awk -v s="$s" '$1 == s { print $2; exit }')")
    done
done
mkdir "$work/a/$dir"
head -c 1048576 /dev/urandom >"$work/mb"

holder() { awk -v s="$shard" '$1 == s { print $2 }' "$work/a/.ctrl/shards"; }
now_us() { echo "${EPOCHREALTIME/[.,]/}"; }
# move_once SIZE: to the other group; the time when it was served there again.
move_once() {
    local to settled
    [ "$(holder)" = 101 ] && to=102 || to=101
    echo "$shard $to" >"$work/a/.ctrl/move" || fail "move $shard to $to"
    read -r settled <"$work/a/.ctrl/settled" || true
    now_us >>"$work/ends.$1"
    check_same "the move ends" "$settled" ok
    check_same "the holder" "$(holder)" "$to"
}

# all_write: each writer has its log, and begins now.
all_write() { [ "$(find "$work" -maxdepth 1 -name "still.$mb.*" -o -name "moving.$mb.*" | wc -l)" = $((2 + ${#others[@]})) ]; }

# What others feel is mostly the machine's own noise where it is small and busy: the long form is for looking at.
p99_of() { sed 's/^p99_us=\([0-9]*\) .*/\1/' <<<"$1"; }

have=0
for mb in "${sizes_mb[@]}"; do
    for ((; have < mb; have++)); do cp "$work/mb" "$work/a/$dir/f$have" || die "filling"; done
    rm -f "$work/stop"
    pause write "$work/stop" "$work/moving.$mb" "$work/a/$dir/w0" "$work/a/$dir/w1" &
    writers=$!
    pause write "$work/stop" "$work/still.$mb" "${others[@]}" &
    bystanders=$!
    wait_until 20 all_write || fail "the writers do not begin"
    quiet=$(now_us)
    sleep 4 # this much of quiet is compared with
    busy=$(now_us)
    for ((i = 0; i < ${RGKVFS_MOVES:-(mb > 500 ? 2 : mb > 10 ? 3 : 5)}; i++)); do move_once "$mb"; done
    end=$(now_us)
    : >"$work/stop"
    wait "$writers" || fail "a writer to the moving shard"
    wait "$bystanders" || fail "a writer to another shard"
    before=$(pause p99 "$quiet" "$busy" "$work/still.$mb".*)
    meanwhile=$(pause p99 "$busy" "$end" "$work/still.$mb".*)
    echo "$mb MB: a move takes $(((end - busy) / i / 1000)) ms; pauses: $(pause pauses "$work/ends.$mb" "$work/moving.$mb".*)"
    echo "$mb MB: others: quiet $before; meanwhile $meanwhile"
    check "half of the pauses are at most $bound_ms ms" pause below "$bound_ms" "$work/ends.$mb" "$work/moving.$mb".*
    if [ -n "$before" ] && [ -n "$meanwhile" ]; then
        check "others are not held up" test "$(p99_of "$meanwhile")" -le $(($(p99_of "$before") * 3 + 50000))
    else
        fail "others wrote nothing"
    fi
done
done_testing
