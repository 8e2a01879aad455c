#!/bin/sh
# autopkgtest with the packages' own tests (debian/tests), in a Debian 12 under
# systemd, which is a container (systemd-nspawn) made for it.  autopkgtest has
# no server for such containers, so it runs inside, with its "null" server.  TAP.
#
#   sudo tests/system/autopkgtest.sh [PACKAGES]
#
# PACKAGES: a folder with the .deb files (default: they are built).  Needs the
# packages mmdebstrap and systemd-container, a Debian mirror and some minutes;
# not part of ./check.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/tests/system/common.sh"
. "$top/tests/system/container.sh"

packages_folder "$@"
make_root autopkgtest,dpkg-dev
copy_source "$root/test/holdfast"
check "the container boots" boot
for test in $(sed -n 's/^Tests: //p' "$top/debian/tests/control" | tr -d ,); do
	check "autopkgtest: $test" inside sh -c "autopkgtest -B \
	    --test-name=$test /packages/*.deb /test/holdfast -- null"
done
finish
