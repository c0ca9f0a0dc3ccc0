#!/bin/sh
# Each known bug of src/base/mutant.h, switched on: the first seed that catches it, and how. One that survives is a hole in the checks.
#     check-mutants.sh [NAME…]      MUTANT_SEEDS=A..B, MUTANT_SECONDS=S
# Who survives gets the scenarios, and then the same seeds for twice as long. Caught is what a seed was said to fail of: a run that ends in any
# other way says nothing about the bug.
set -eu
sim=${top_builddir:-.}/rgkv-sim-mutants
seeds=${MUTANT_SEEDS:-1..2000}
seconds=${MUTANT_SECONDS:-15}
out=$(mktemp)
trap 'rm -f "$out"' EXIT
survived=0
caught=0
broken=0
[ -x "$sim" ] || { echo "there is no $sim"; exit 2; }
names=${*:-$("$sim" --mutants | cut -f 1)}
[ -n "$names" ] || { echo "$sim knows no mutants"; exit 2; }

# An endless loop is caught, too: by its CPU time, for a busy machine is no bug. The simulator says which seed it was.
run() {
    limit=$1
    shift
    (ulimit -S -t "$limit" && exec "$sim" "$@") >"$out" 2>&1
}

# Without any bug nothing is caught.
for what in "--seeds 1..20 --seconds $seconds" "--scenario all --seeds 1..1"; do
    run 600 --mutant none $what || { cat "$out"; echo "without a mutant $what fails"; exit 2; }
done
for name in $names; do
    # One that the code's own ASSERTs find prints its seed by the hook.
    status=0
    run 1500 --mutant "$name" --seeds "$seeds" --seconds "$seconds" --first || status=$?
    # Groups are given up, and administrators not answered, in scenarios only.
    [ $status != 0 ] || run 600 --mutant "$name" --scenario all --seeds 1..10 || status=$?
    # Some wait for what is rare: a disk that is full just when a snapshot is complete.
    [ $status != 0 ] || run 1500 --mutant "$name" --seeds "$seeds" --seconds $((seconds * 2)) --first || status=$?
    how=$(sed -n -e 's/^FAILED: \(.*\), seed \([0-9]*\) at [0-9.]* s: \(.*\)/\2 of \1: \3/p' \
        -e 's/^FAILED: \(.*\), seed \([0-9]*\): \(.*\)/\2 of \1: \3/p' -e 's/^seed \([0-9]*\) fails at [0-9.]* s: \(.*\)/\1 \2/p' "$out" | head -n 1)
    bug=$(grep -m 1 'bug' "$out" || true)
    case $status in
    0) echo "$name SURVIVED seeds $seeds"; survived=$((survived + 1)); continue ;;
    1) ;;
    *) how= ;;
    esac
    case $how$bug in
    [0-9]*' '?*) echo "$name caught by seed $how${bug:+ $bug}" | cut -c 1-220; caught=$((caught + 1)) ;;
    *) tail -n 5 "$out"; echo "$name: no seed fails, and the simulator ended with $status"; broken=$((broken + 1)) ;;
    esac
done
echo "$caught mutants caught, $survived survived, $broken could not be tried"
[ "$survived" = 0 ] && [ "$broken" = 0 ]
