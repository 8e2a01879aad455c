#!/bin/sh
# piuparts: in a fresh Debian 12 the packages are installed, upgraded from a
# version before, removed and purged, and nothing of them is left.  TAP.
#
#   sudo tests/system/piuparts.sh [PACKAGES]
#
# PACKAGES: a folder with the .deb files (default: they are built).  Needs the
# packages piuparts, mmdebstrap and dpkg-dev, a Debian mirror and some minutes;
# not part of ./check.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/tests/system/common.sh"
need_root_and piuparts mmdebstrap dpkg-dev

# With systemd, whose own leftovers are not ours.
make_base() {
	mmdebstrap --quiet --variant=minbase --include=systemd bookworm \
	    "$work/base.tar.gz"
}

# A repository with the version before: what is upgraded from.
make_repository() {
	with_version '~before' "$packages" "$work/repository"
	(cd "$work/repository" && dpkg-scanpackages . >Packages)
}

run_piuparts() {
	piuparts --distribution=bookworm --basetgz="$work/base.tar.gz" \
	    --no-eatmydata --scriptsdir=/etc/piuparts/scripts "$@" \
	    "$packages"/holdfast-*.deb
}

packages_folder "$@"
check "a fresh Debian 12" make_base
check "a version before" make_repository
check "install, remove, purge" run_piuparts --no-upgrade-test
check "install the version before, upgrade, remove, purge" \
    run_piuparts --no-install-purge-test --bindmount="$work/repository" \
    --extra-repo="deb [trusted=yes] file:$work/repository ./"
finish
