#!/bin/sh
# Builds the Debian packages from a copy of the source, twice if asked, has
# lintian look at them, blhc at the compiler's flags in the log of the build, and
# hardening-check at each program, and follows the links of the documents.
#
#   tests/packages.sh [--twice] FOLDER      where the packages go
#
# --twice: the second build has another path, time zone, locale and umask, and
# must give the same bytes.  DEB_BUILD_OPTIONS is passed on.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/tests/setup.sh"
# shellcheck disable=SC2086 # lists of packages
install_packages $PACKAGES_BUILD $PACKAGES_DEBIAN libcriterion-dev

twice=
if [ "${1:-}" = --twice ]; then
	twice=yes
	shift
fi
[ $# = 1 ] || {
	echo "usage: $0 [--twice] FOLDER" >&2
	exit 2
}
mkdir -p "$1"
out=$(cd "$1" && pwd)

# build FOLDER: into FOLDER, the source being in FOLDER/holdfast
build() {
	(cd "$1/holdfast" && dpkg-buildpackage -us -uc -b) >"$1/build.log" \
	    2>&1 || {
		tail -n 40 "$1/build.log"
		echo "dpkg-buildpackage failed" >&2
		exit 1
	}
}

# The files that the documents of holdfast-doc refer to are in it.
check_links() {
	doc=$out/holdfast/debian/holdfast-doc/usr/share/doc/holdfast-doc
	find "$doc" -name '*.md' | while read -r page; do
		grep -o '](\([^):#]\)*' "$page" | cut -c 3- |
		while read -r file; do
			[ -e "$(dirname "$page")/$file" ] ||
				echo "no $file for $page"
		done
	done | grep . >&2 && exit 1
	[ -s "$doc/README.md" ]
}

rm -rf "$out/holdfast" "$out"/*.deb "$out"/*.changes
copy_source "$out/holdfast"
if [ -n "$twice" ]; then
	again=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-again.XXXXXX")
	(umask 0027 && copy_source "$again/holdfast")
fi
build "$out"
lintian --allow-root --fail-on error,warning --display-level '>=warning' \
    "$out"/*.changes
blhc --all --debian "$out/build.log"
programs=$(find "$out/holdfast/debian" -path '*/holdfast-*/usr/*bin/*' \
    -type f -o -path '*/holdfast-*/usr/libexec/*' -type f)
[ "$(echo "$programs" | wc -l)" -ge 9 ]
# The C library's start-up code in Debian 12 is not marked for control flow
# protection, so that no program is; ours is compiled with it.
# shellcheck disable=SC2086 # a list of words
hardening-check --quiet --nocfprotection $programs
check_links

if [ -n "$twice" ]; then
	(umask 0027 && export TZ=Asia/Tokyo LC_ALL=C.UTF-8 && build "$again")
	for deb in "$out"/*.deb; do
		cmp "$deb" "$again/$(basename "$deb")"
	done
	rm -rf "$again"
fi
rm -rf "$out/holdfast"
