# Shell functions that ./check, ./quickstart and the scripts of tests/ share:
# Debian packages, system users, the source, the build.  Sourced, with $top set
# to the source folder.

PACKAGES_BUILD="gcc make autoconf automake pkg-config libc6-dev
libevent-dev libssl-dev libhttp-parser-dev libnghttp2-dev libjson-c-dev
liblmdb-dev libzstd-dev libisal-dev libseccomp-dev libcrypt-dev
libconfuse-dev libsystemd-dev"
PACKAGES_RUN="python3-minimal openssl e2fsprogs"
PACKAGES_TEST="libcriterion-dev clang-format-14 python3-pytest
python3-pytest-xdist python3-h2 python3-zstandard python3-cryptography
python3-lmdb zsh"
PACKAGES_DEBIAN="debhelper dpkg-dev fakeroot lintian blhc devscripts"

# /usr/sbin holds mke2fs and is not in every user's PATH.
PATH=$PATH:/usr/sbin:/sbin
export PATH

say() {
	printf '%s\n' "$*"
}

die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

is_root() {
	[ "$(id -u)" = 0 ]
}

as_root() {
	if is_root; then
		"$@"
	elif command -v sudo >/dev/null 2>&1; then
		sudo "$@"
	else
		die "need root for: $*"
	fi
}

# Names those of its arguments that are not installed.
missing_packages() {
	for p in "$@"; do
		case $(dpkg-query -W -f='${Status}' "$p" 2>/dev/null) in
		*' installed') ;;
		*) printf ' %s' "$p" ;;
		esac
	done
}

install_packages() {
	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	is_root || command -v sudo >/dev/null 2>&1 ||
		die "please have these Debian packages installed:$missing"
	say "installing Debian packages:$missing"
	out=$(as_root apt-get update -qq 2>&1) || say "$out"
	# shellcheck disable=SC2086 # a list of words
	out=$(as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	    --no-install-recommends $missing 2>&1) || {
		say "$out"
		die "apt-get install failed"
	}
}

# Users and groups of etc/holdfast.sysusers that do not exist.  Only root can,
# and only root needs them: everybody else runs all processes as one user.
make_users() {
	is_root || return 0
	grep -v '^#' "$top/etc/holdfast.sysusers" |
	while read -r kind name arg _; do
		case $kind in
		g)
			getent group "$name" >/dev/null ||
			    groupadd --system "$name"
			;;
		u)
			getent group "$name" >/dev/null ||
			    groupadd --system "$name"
			getent passwd "$name" >/dev/null ||
			    useradd --system --gid "$name" --no-create-home \
				--home-dir / --shell /usr/sbin/nologin "$name"
			;;
		m)
			id -nG "$name" | grep -qw "$arg" ||
			    usermod -a -G "$arg" "$name"
			;;
		esac
	done
}

# copy_source FOLDER: without what is not the source
copy_source() {
	mkdir -p "$1"
	(cd "$top" && tar -cf - --exclude=./.git --exclude='./build*' \
	    --exclude=./autom4te.cache --exclude=__pycache__ \
	    --exclude=.pytest_cache .) | (cd "$1" && tar -xf -)
}

# Sets $build, the folder to build in, and $source, the tree to build from:
# those given, or else a copy in a temporary folder if they cannot be written.
choose_build() {
	source=$top
	build=${HOLDFAST_BUILD:-$top/build}
	if [ -f "$build/Makefile" ]; then
		[ -w "$build/Makefile" ] && return 0
	elif [ ! -e "$build" ] && [ -w "$(dirname "$build")" ]; then
		[ -w "$top" ] && return 0
	elif [ -w "$build" ] && [ -w "$top" ]; then
		return 0
	fi
	scratch=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-build.XXXXXX")
	source=$scratch/source
	build=$scratch/build
	copy_source "$source"
	[ -d "$top/build-aux" ] && mkdir -p "$source/build-aux" &&
		cp "$top"/build-aux/* "$source/build-aux/"
	return 0
}

remove_scratch() {
	[ -z "${scratch:-}" ] || rm -rf "$scratch"
}

# configure_build OPTION...: makes configure and the Makefile if need be.
configure_build() {
	[ -f "$source/configure" ] &&
	    [ "$source/configure" -nt "$source/configure.ac" ] ||
		"$source/autogen.sh"
	mkdir -p "$build"
	[ -f "$build/Makefile" ] ||
		(cd "$build" && "$source/configure" --quiet "$@")
}

jobs() {
	getconf _NPROCESSORS_ONLN
}
