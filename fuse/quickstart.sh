#!/bin/sh
# From a clone to a mounted file system: installs the packages (Debian 12, as root), builds, mounts the embedded
# single node, writes a file and reads it back. Running it again is harmless.
#
#   sh fuse/quickstart.sh MOUNTPOINT           (RGKVFS_BUILD=DIR: a build directory that is there already)
set -eu
mountpoint=${1:-}
if [ -z "$mountpoint" ] || [ $# -gt 1 ]; then
    echo "usage: sh fuse/quickstart.sh MOUNTPOINT" >&2
    exit 2
fi
source=$(cd "$(dirname "$0")/.." && pwd)
build=${RGKVFS_BUILD:-$source/.build/quickstart}
say() { echo "quickstart: $*"; }

say "packages"
sh "$source/tests/packages.sh" --build-only
say "build (in $build)"
[ -x "$source/configure" ] || (cd "$source" && autoreconf -fi >/dev/null 2>&1)
mkdir -p "$build"
(
    cd "$build"
    [ -f Makefile ] || "$source/configure" -q
    make -s -j"$(nproc)" rgkvd rgkvfs
)

if [ "$(stat -f -c %T "$mountpoint" 2>/dev/null)" = fuseblk ] || grep -qs " $mountpoint fuse" /proc/mounts; then
    say "$mountpoint is mounted already"
else
    mkdir -p "$mountpoint"
    say "mount"
    "$build/rgkvfs" "$mountpoint"
fi

echo "hello from $(hostname 2>/dev/null || echo here)" > "$mountpoint/greeting"
say "wrote $mountpoint/greeting; read back: $(cat "$mountpoint/greeting")"
cat <<TEXT

What to type next:
  echo line >> $mountpoint/log            one atomic, replicated, durable Append
  cp -a /usr/share/common-licenses $mountpoint/ && ls $mountpoint
  cat $mountpoint/.ctrl/status            the cluster, for people
  cat $mountpoint/.ctrl/error             why the last thing failed
  fusermount3 -u $mountpoint              end mount and node; the data stays, mounting again finds it
  $build/rgkvfs $mountpoint
TEXT
