#!/bin/sh
# Each known bug of src/base/mutant.h, switched on: the first seed that catches it, and how. One that survives is a hole in the checks.
#     check-mutants.sh [NAME…]      MUTANT_SEEDS=A..B, MUTANT_SECONDS=S
# Who survives gets the scenarios, and then the same seeds for twice as long.
set -eu
sim=${top_builddir:-.}/rgkv-sim-mutants
seeds=${MUTANT_SEEDS:-1..2000}
seconds=${MUTANT_SECONDS:-15}
out=$(mktemp)
trap 'rm -f "$out"' EXIT
survived=0
caught=0
for name in ${*:-$("$sim" --mutants | cut -f 1)}; do
    # An endless loop is caught, too: by its CPU time, for a busy machine is no bug. One that the code's own ASSERTs find prints its seed by the hook.
    status=0
    (ulimit -t 1500 && exec "$sim" --mutant "$name" --seeds "$seeds" --seconds "$seconds" --first) >"$out" 2>&1 || status=$?
    # Groups are given up, and administrators not answered, in scenarios only.
    [ $status != 0 ] || (ulimit -t 600 && exec "$sim" --mutant "$name" --scenario all --seeds 1..10) >"$out" 2>&1 || status=$?
    # Some wait for what is rare: a disk that is full just when a snapshot is complete.
    [ $status != 0 ] || (ulimit -t 1500 && exec "$sim" --mutant "$name" --seeds "$seeds" --seconds $((seconds * 2)) --first) >"$out" 2>&1 || status=$?
    how=$(sed -n -e 's/^FAILED: \(.*\), seed \([0-9]*\) at [0-9.]* s: \(.*\)/\2 of \1: \3/p' -e 's/^seed \([0-9]*\) fails at [0-9.]* s: \(.*\)/\1 \2/p' "$out" | head -n 1)
    bug=$(grep -m 1 'bug' "$out" || true)
    case $status in
    0) echo "$name SURVIVED seeds $seeds"; survived=$((survived + 1)) ;;
    137|152) echo "$name never ends: ${how:-no seed}"; caught=$((caught + 1)) ;;
    2) cat "$out"; exit 2 ;;
    *) echo "$name caught by seed ${how:-?}${bug:+ $bug}" | cut -c 1-220; caught=$((caught + 1)) ;;
    esac
done
echo "$caught mutants caught, $survived survived"
[ "$survived" = 0 ]
