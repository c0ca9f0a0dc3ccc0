#!/bin/sh
# The simulator as a part of `make check`: fresh seeds, the scenarios, a crash at the steps of a move (RGKVFS_FULL=1: at all of them), the seeds that ever failed, and determinism.
set -eu
sim=${top_builddir:-.}/rgkv-sim
failed_once=${top_srcdir:-.}/tests/sim/seeds
[ -s "$failed_once" ] || { echo "$failed_once is missing, or empty"; exit 1; }
"$sim" --seeds 1..200 --seconds 6
"$sim" --seeds 1..3 --seconds 6 --twice
stride=7 scenarios=1..3
[ -z "${RGKVFS_FULL:-}" ] || stride=1 scenarios=1..200
"$sim" --scenario all --seeds $scenarios
for seed in 1 2 3; do
    "$sim" --seeds $seed --moves $stride
done
grep -v '^#' "$failed_once" | while read -r seed seconds _; do
    "$sim" --seeds "$seed" --seconds "$seconds" >/dev/null || { echo "seed $seed fails again"; exit 1; }
done
