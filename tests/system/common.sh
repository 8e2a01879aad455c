# Shell functions that the scripts of this folder share; sourced, with $top set
# to the source folder.  Makes $work, a folder that goes away at the end.
. "$top/tests/setup.sh"
n=0
failed=0
on_exit=:
on_failure=: # prints more

skip_all() {
	echo "1..0 # SKIP $*"
	exit 0
}

# need_root_and PACKAGE...
need_root_and() {
	is_root || skip_all "only root can do this"
	missing=$(missing_packages "$@")
	[ -z "$missing" ] || skip_all "apt-get install$missing"
	work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-system.XXXXXX")
	chmod 0755 "$work"
	trap '$on_exit; rm -rf --one-file-system "$work"' EXIT
	trap 'exit 130' INT TERM HUP
}

ok() {
	n=$((n + 1))
	echo "ok $n - $1"
}

not_ok() {
	n=$((n + 1))
	failed=$((failed + 1))
	echo "not ok $n - $1"
	sed 's/^/# /' "$work/out"
	$on_failure 2>/dev/null | sed 's/^/# /'
}

# check WHAT COMMAND...: in this shell, its output shown if it fails
check() {
	what=$1
	shift
	if "$@" >"$work/out" 2>&1; then
		ok "$what"
	else
		not_ok "$what"
	fi
}

finish() {
	echo "1..$n"
	exit $((failed > 0))
}

# The folder with packages: those given, or built now.
packages_folder() {
	[ $# = 0 ] || {
		packages=$(cd "$1" && pwd)
		return
	}
	packages=$work/packages
	DEB_BUILD_OPTIONS="nocheck noautodbgsym parallel=$(nproc)" \
	    "$top/tests/packages.sh" "$packages"
}

packages_are_whole() {
	for p in $(sed -n 's/^Package: //p' "$top/debian/control"); do
		ls "$1/$p"_*.deb
	done
}

# with_version SUFFIX FROM TO: the packages of a folder under another version
with_version() {
	mkdir -p "$3"
	for deb in "$2"/holdfast-*.deb; do
		version=$(dpkg-deb -f "$deb" Version)
		dpkg-deb -R "$deb" "$work/unpacked"
		sed -i "s/$version/$version$1/g" "$work/unpacked/DEBIAN/control"
		dpkg-deb --root-owner-group -b "$work/unpacked" "$3"
		rm -rf "$work/unpacked"
	done
}
