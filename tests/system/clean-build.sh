#!/bin/sh
# Builds the packages in a fresh Debian 12 that has nothing but essential
# packages, build-essential and their Build-Depends, without a network, as an
# ordinary user, and runs the unit tests there.  TAP.
#
#   sudo tests/system/clean-build.sh [FOLDER]
#
# FOLDER: where the packages go, if anywhere.  Needs the package debootstrap, a
# Debian mirror and some minutes; not part of ./check.  DEB_BUILD_OPTIONS is
# passed on.  HOLDFAST_SYSTEM_ROOT=FOLDER keeps the unpacked Debian as a file
# there for the next time.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/tests/system/common.sh"
need_root_and debootstrap lintian

root=$work/root

# in_root [OPTION OF unshare...] -- COMMAND...
in_root() {
	options=
	while [ "$1" != -- ]; do
		options="$options $1"
		shift
	done
	shift
	# Mounts and processes vanish with the command.
	# shellcheck disable=SC2086,SC2016 # words; the inner shell's variables
	unshare --mount --pid --fork --kill-child $options sh -c '
		root=$1; shift
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs tmpfs "$root/dev/shm"
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		    LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		    HOME=/build DEB_BUILD_OPTIONS="$DEB_BUILD_OPTIONS" "$@"' \
	    sh "$root" "$@"
}

make_root() {
	tar=${HOLDFAST_SYSTEM_ROOT:-$work}/root-buildd.tar
	if [ -s "$tar" ]; then
		mkdir "$root"
		tar -xf "$tar" -C "$root"
	else
		debootstrap --variant=buildd bookworm "$root"
		tar -cf "$tar" -C "$root" .
	fi
}

build_dependencies() {
	copy_source "$root/build/holdfast"
	in_root -- sh -ec 'apt-get update -q
		cd /build/holdfast
		apt-get build-dep -qy --no-install-recommends ./
		useradd --home-dir /build builder
		chown -R builder: /build'
}

# The source package and those made of it.
build() {
	in_root --net -- su builder -c '
		cd /build/holdfast
		upstream=$(dpkg-parsechangelog -S Version | sed "s/-[^-]*$//")
		tar -cJf "../holdfast_$upstream.orig.tar.xz" --exclude=./debian \
		    --transform "s,^\.,holdfast-$upstream," .
		dpkg-buildpackage -us -uc'
}

DEB_BUILD_OPTIONS=${DEB_BUILD_OPTIONS:-noautodbgsym parallel=$(nproc)}
export DEB_BUILD_OPTIONS
check "a fresh Debian 12" make_root
check "its Build-Depends can be installed" build_dependencies
check "the packages can be built" build
check "all of them are there" packages_are_whole "$root/build"
check "the source package too" ls "$root"/build/holdfast_*.dsc
check "lintian has nothing to say of it" lintian --allow-root \
    --fail-on error,warning --display-level '>=warning' "$root"/build/*.dsc
[ $# = 0 ] || cp "$root"/build/*.deb "$1"
finish
