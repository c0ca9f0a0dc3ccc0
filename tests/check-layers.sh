#!/bin/sh
# No folder includes one above it; each outside library has one home; the consensus core needs nothing but memory.
set -eu
src=${top_srcdir:-.}
bad=0
complain() { echo "$*"; bad=1; }

# Folder, then the folders that it may include.
while read -r folder allowed; do
    for f in "$src/$folder"/*.[ch]; do
        for included in $(sed -n 's/^ *# *include *"\([a-z]*\)\/.*/\1/p' "$f"); do
            case " $allowed " in *" $included "*) ;; *) complain "$f includes $included/: that is above it" ;; esac
        done
    done
done <<TABLE
src/base base
src/raft base raft
src/kv base kv
src/ctrl base kv ctrl
src/wire base raft kv ctrl wire
src/store base raft kv store
src/node base raft kv ctrl wire store node
src/client base raft kv ctrl wire client
src/net base raft kv ctrl wire store node client net
src/rgkvd base raft kv ctrl wire store node net rgkvd
fuse base raft kv ctrl wire client net store fuse
TABLE

only() { # header, folders
    for f in $(grep -lrE "# *include *[<\"]$1[>\"]" "$src/src" "$src/fuse" --include='*.[ch]' || true); do
        case "$f" in $2) ;; *) complain "$f includes $1: that is not its place" ;; esac
    done
}
only 'tpl\.h' "$src/src/wire/*"
only 'rocksdb/c\.h' "$src/src/store/*"

for f in $(grep -lrE '# *include *<uv\.h>' "$src/src" --include='*.[ch]'); do
    case "$f" in "$src"/src/net/*|"$src"/src/rgkvd/*) ;; *) complain "$f includes uv.h: that is not its place" ;; esac
done

# Pure layers: no clock, no randomness, no files, no sockets, no printing.
impure=$(grep -nE '\b(clock_gettime|gettimeofday|time|rand|random|getrandom|open|socket|printf|fprintf|fopen|usleep|nanosleep|pthread_[a-z]+) *\(' \
    "$src"/src/raft/*.c "$src"/src/kv/*.c "$src"/src/ctrl/*.c "$src"/src/node/*.c "$src"/src/client/*.c |
    grep -vE '^[^:]*:[0-9]+: *(/?\*|//)|buf_printf' || true)
[ -z "$impure" ] || complain "a pure layer reaches outside: $impure"

# nm cannot be argued with: libraft.a wants memory, libbase, and nothing else.
raft=${top_builddir:-.}/libraft.a
base=${top_builddir:-.}/libbase.a
defined=$(nm -g --defined-only "$raft" "$base" | awk 'NF == 3 { print $3 }' | sort -u)
for symbol in $(nm -u "$raft" | awk '$1 == "U" { print $2 }' | sort -u); do
    case "$symbol" in mem*|malloc|calloc|realloc|free|__asan*|__ubsan*|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|qsort|__assert_fail|abort) continue ;; esac
    echo "$defined" | grep -qx "$symbol" || complain "libraft.a needs $symbol"
done
exit $bad
