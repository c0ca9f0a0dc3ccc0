#!/bin/bash
# The checker of recorded histories refuses those that are wrong, those that it cannot read, and those that show nothing.
set -u
check=${top_builddir:-.}/tests/cluster/history-check
file=$(mktemp) || exit 1
trap 'rm -f "$file"' EXIT
failed=0
# is STATUS WHAT: of the history on stdin.
is() {
    cat >"$file"
    timeout 20 "$check" "$file" >/dev/null
    [ $? = "$1" ] || { echo "FAIL: $2"; failed=1; }
}
is 0 "a fine one is taken" <<'EOT'
append l 1.0, done 10 20
append l 2.0, done 12 22
get l 2.0,1.0, done 23 24
put r 1.1, done 10 20
append r 2.1, unknown 15 16
get r 1.1,2.1, done 30 31
get none - done 1 2
EOT
is 1 "a lost append is seen" <<'EOT'
append l 1.0, done 10 20
get l - done 21 22
EOT
is 1 "an append that is there twice is seen" <<'EOT'
append l 1.0, done 10 20
get l 1.0,1.0, done 21 22
EOT
is 1 "an append that is there twice after a put is seen" <<'EOT'
put r 1.0, done 1 2
append r 1.1, done 10 20
get r 1.0,1.1,1.1, done 21 22
EOT
is 1 "a stale read is seen" <<'EOT'
put r 1.0, done 1 2
put r 1.1, done 3 4
get r 1.0, done 5 6
EOT
is 1 "a change said not to be done is not there" <<'EOT'
put r 1.0, not-done 1 2
put r 1.1, done 1 2
get r 1.1, done 3 4
get r 1.0, done 5 6
get r 1.0, done 7 8
EOT
is 1 "half a line" <<'EOT'
put r 1.0, done 1
EOT
is 1 "an end before its beginning" <<'EOT'
put r 1.0, done 2 1
EOT
is 1 "no history" </dev/null
is 1 "everything failed" <<'EOT'
put r 1.0, unknown 1 2
append r 1.1, unknown 1 2
get r - done 3 4
EOT
is 1 "too much failed" <<'EOT'
put r 1.0, done 1 2
get r 1.0, done 3 4
put r 1.1, not-done 5 6
EOT
is 1 "the last append is not read" <<'EOT'
append l 1.0, done 1 2
get l 1.0, done 3 4
append l 1.1, done 5 6
EOT
exit "$failed"
