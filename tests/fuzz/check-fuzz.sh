#!/bin/sh
# Fuzzes with clang's libFuzzer, address and undefined-behaviour sanitizers, from the corpora in the tree; what is found is left in
# fuzz-new/NAME, what fails in fuzz-new/. `make check-fuzz TIME=60` calls it; by hand, in a build directory:
#
#     srcdir=../.. CPPFLAGS="-I../../src -I../.. -D_GNU_SOURCE" LIBS="-ltpl -luv" sh ../../tests/fuzz/check-fuzz.sh -runs=10000000 wal text
set -eu
flags="-std=gnu17 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined"
src=$srcdir/src
amount=$1
shift

sources_of() {
    wire="$src/wire/*.c $src/base/*.c"
    case $1 in
    frame | command | manifest) echo "$srcdir/tests/unit/wire_random.c $srcdir/tests/unit/wire_frame.c $wire" ;;
    image) echo "$srcdir/tests/unit/wire_frame.c $wire" ;;
    wal) echo "$srcdir/tests/unit/wire_frame.c $srcdir/tests/sim/vfs_mem.c $src/store/wal*.c $src/store/vfs.c $src/raft/*.c $wire" ;;
    rows) echo "-DROW_CACHE_PLACES=64u -DOVERLAY_BLOCK_BYTES=1024u $srcdir/tests/unit/wire_frame.c $src/store/table_mem.c $src/ctrl/*.c $src/kv/*.c $src/raft/*.c $wire" ;;
    text) echo "$srcdir/tests/unit/wire_frame.c $src/ctrl/*.c $src/kv/*.c $wire" ;;
    stream) echo "$src/net/frame_in.c $wire" ;;
    options) echo "$src/rgkvd/options.c $src/net/addr.c $src/ctrl/*.c $src/kv/*.c $src/base/*.c" ;;
    mount_options) echo "-DFUZZ_MOUNT $srcdir/fuse/options.c $src/ctrl/*.c $src/kv/*.c $src/base/*.c" ;;
    esac
}

for name in "$@"; do
    mkdir -p "fuzz-new/$name"
    main=fuzz_$name.c
    [ "$name" != mount_options ] || main=fuzz_options.c
    # shellcheck disable=SC2046,SC2086
    ${CC:-clang} $flags $CPPFLAGS "$srcdir/tests/fuzz/$main" $(sources_of "$name") $LIBS -o "fuzz-new/fuzz_$name"
    "fuzz-new/fuzz_$name" "$amount" -max_len=4096 -use_value_profile=1 -print_final_stats=1 -artifact_prefix=fuzz-new/ \
        "fuzz-new/$name" "$srcdir/tests/fuzz/corpus/$name"
done
