#!/bin/sh
# Every C file has the layout of .clang-format.  "make check-format" calls it.
set -u
cd "${top_srcdir:-$(dirname "$0")/..}" || exit 1
tool=$(command -v clang-format-14 || command -v clang-format) || {
	echo "clang-format 14 is not installed" >&2
	exit 1
}
find common server validator client admin bench tests -name '*.[ch]' -print0 |
	xargs -0 -n 16 "$tool" --dry-run -Werror
