#!/bin/sh
# Each test that a document names is there.  TAP.
set -u
src=${top_srcdir:-.}
n=0
status=0

# All names of a document in their order: a file, or file::test, where a file
# that is left out is the one before it.
named() {
	grep -o -E '(test_[a-z0-9_]+\.(py|c|sh))?(::test_[a-z0-9_]+)|test_[a-z0-9_]+\.(py|c|sh)' \
	    "$1" | awk -F:: '{ if ($1 != "") file = $1; print file, $2 }' |
	    sort -u
}

missing() {
	named "$1" | while read -r file test; do
		path=$(find "$src/tests" -name "$file")
		if [ -z "$path" ]; then
			echo "$file"
		elif [ -n "$test" ] && ! grep -q "^def $test(" "$path"; then
			echo "$file::$test"
		fi
	done
}

for doc in "$src"/docs/*.md; do
	n=$((n + 1))
	if out=$(missing "$doc") && [ -z "$out" ]; then
		echo "ok $n - ${doc##*/}"
	else
		echo "not ok $n - ${doc##*/}"
		echo "$out" | sed 's/^/# no /'
		status=1
	fi
done
echo "1..$n"
exit $status
