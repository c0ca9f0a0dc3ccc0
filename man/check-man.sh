#!/bin/sh
# Every page renders without a warning, and every option that a program knows is in its page.
set -eu
command -v man >/dev/null || { echo "skipped: man is not installed"; exit 77; }
src=${top_srcdir:-.}
bad=0
for page in "$src"/man/*.[578]; do
    warnings=$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)
    [ -z "$warnings" ] || { echo "$page: $warnings"; bad=1; }
done
for option in $(sed -n 's/^ *{ *"\(--\)\{0,1\}\([a-z][a-z-]*\)".*/\2/p' "$src/src/rgkvd/options.c" | sort -u); do
    grep -q -- "$(echo "--$option" | sed 's/-/\\\\-/g')" "$src/man/rgkvd.8" || { echo "rgkvd.8 does not name --$option"; bad=1; }
done
for option in $(sed -n '/options_usage/,/;$/p' "$src/fuse/options.c" | grep -oE -- '-o [a-z_]+' | cut -c 4- | grep -vx options | sort -u); do
    grep -q -- "\\\\-o $option" "$src/man/rgkvfs.8" || { echo "rgkvfs.8 does not name -o $option"; bad=1; }
done
exit $bad
