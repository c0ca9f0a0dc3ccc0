#!/bin/sh
# Installs what building and testing needs (Debian 12, as root); does nothing if all of it is there.
set -eu
packages="gcc make autoconf automake pkg-config libc6-dev libfuse3-dev fuse3 libuv1-dev libtpl-dev librocksdb-dev
 uthash-dev libxxhash-dev libcmocka-dev"
test_packages="python3 procps man-db xz-utils iproute2 git rsync vim sqlite3 patch perl nftables systemd"
want=$packages
[ "${1:-}" != --build-only ] && want="$packages $test_packages"
missing=
for p in $want; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ]; then
    echo "these packages are missing, and only root can install them:$missing" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q >/dev/null
# shellcheck disable=SC2086
apt-get install -q -y --no-install-recommends $missing >/dev/null
