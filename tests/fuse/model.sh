#!/bin/bash
# The mount against a model of it (model.py): the same random operations on names, contents, attributes and open files, through
# two mounts; results and errnos are equal.
#
#     tests/fuse/model.sh [SEED [OPERATIONS]]     default: seed 1, 3,000; with RGKVFS_FULL=1 five seeds of 30,000
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
seeds=${1:-1}
operations=${2:-3000}
if [ $# = 0 ] && [ -n "${RGKVFS_FULL:-}" ]; then
    seeds="1 2 3 4 5"
    operations=30000
fi
limit $((120 + ${operations} / 5))
cluster_start 3
mount_start a hard || exit 1
mount_start b hard || exit 1
join_all 101 || exit 1
key_shard=$(realpath "$builddir/key_shard")
empty() { (cd "$work/a" && find . -mindepth 1 -delete); }
for seed in $seeds; do
    begin=$SECONDS
    check "seed $seed: the mounts and the model agree" \
        python3 "$top_srcdir/tests/fuse/model.py" "$work/a" "$work/b" "$key_shard" "$shards" "$seed" "$operations"
    echo "seed $seed: $operations operations in $((SECONDS - begin)) s"
    [ "$failures" = 0 ] || break
    check "empty again" empty
done
done_testing
