#!/bin/sh
# docs/log.md has every line that the services log at level info or above, and
# no other; nor has docs/operations.md, which shows some.  TAP.
set -u
src=${top_srcdir:-.}
status=0
tmp=$(mktemp -d "${TMPDIR:-/tmp}/test-log.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# result N WHAT FILE: ok if it is empty
result() {
	if [ ! -s "$3" ]; then
		echo "ok $1 - $2"
	else
		echo "not ok $1 - $2"
		sed 's/^/# /' "$3"
		status=1
	fi
}

echo 1..3
for folder in common server validator; do
	find "$src/$folder" -name '*.c' ! -path '*/common/log.c'
done | xargs perl "$src/tests/docs/log_lines.pl" >"$tmp/all" 2>"$tmp/errors"
[ "$(wc -l <"$tmp/all")" -gt 200 ] || echo "too few lines" >>"$tmp/errors"
result 1 "lines in the code" "$tmp/errors"
sort -u "$tmp/all" >"$tmp/code"
# The first column of tables.
lines() {
	sed -n 's/^| \(`[^|]*`\) |.*/\1/p' | grep -o '`[^`]*`' | tr -d '`'
}
lines <"$src/docs/log.md" | sort -u >"$tmp/doc"
comm -23 "$tmp/code" "$tmp/doc" >"$tmp/missing"
result 2 "every line is documented" "$tmp/missing"
sed -n '/^## What the log says/,/^## A /p' "$src/docs/operations.md" |
    lines | sort -u - "$tmp/doc" | comm -13 "$tmp/code" - >"$tmp/unknown"
result 3 "no line is documented that nobody logs" "$tmp/unknown"
exit $status
