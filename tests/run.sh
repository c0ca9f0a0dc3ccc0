#!/bin/sh
# Installs the packages, builds out of tree, runs every test (`make check`: unit, simulator, daemons, mount).
# The last line is "N passed, N failed, N skipped". With CI=true or --strict a skipped test has failed,
# and so has one that leaves a part out for want of a program.
#
#   tests/run.sh [--strict] [BUILD_DIRECTORY]      default: a temporary one, removed afterwards
set -eu
strict=${CI:-false}
[ "${1:-}" = --strict ] && { strict=true; shift; }
[ "$strict" != true ] || export CI=true # a test says by it that a part of it is skipped
source=$(cd "$(dirname "$0")/.." && pwd)
sh "$source/tests/packages.sh"
build=${1:-}
if [ -z "$build" ]; then
    build=$(mktemp -d)
    trap 'rm -rf "$build"' EXIT
    trap 'exit 130' INT TERM
fi
mkdir -p "$build"
[ -x "$source/configure" ] || (cd "$source" && autoreconf -fi >/dev/null 2>&1)
cd "$build"
[ -f Makefile ] || "$source/configure" -q
make -s -j"$(nproc)"
make -s -j"$(nproc)" check TESTS= >/dev/null # builds them; they run one after the other
status=0
make -s -k check || status=$?
count() { grep -lrsE "^:global-test-result: ($1)\$" --include='*.trs' . | wc -l; }
passed=$(count 'PASS|XFAIL')
failed=$(count 'FAIL|XPASS|ERROR')
skipped=$(count SKIP)
[ "$status" = 0 ] || [ "$failed" != 0 ] || failed=1
if [ "$failed" != 0 ] || { [ "$strict" = true ] && [ "$skipped" != 0 ]; }; then
    for trs in $(grep -lrsE '^:global-test-result: (FAIL|XPASS|ERROR|SKIP)$' --include='*.trs' .); do
        echo "==== ${trs%.trs}"
        grep -aE -B 2 '^FAIL|FAILED|ERROR' "${trs%.trs}.log" | head -n 40 || true # why, however much came after it
        echo "----"
        tail -n 60 "${trs%.trs}.log"
    done
fi
if [ "$strict" = true ]; then
    failed=$((failed + skipped))
    skipped=0
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
