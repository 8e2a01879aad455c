#!/bin/sh
# The services for systemd: each may do next to nothing (an exposure of at most
# 1.0), none is started as root, and each has the sockets that it names.  TAP.
set -u
build=${top_builddir:-.}
src=${top_srcdir:-.}
n=0
status=0

result() {
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		status=1
	fi
}

exposure() {
	command -v systemd-analyze >/dev/null || {
		n=$((n + 1))
		echo "ok $n - $1: exposure # SKIP no systemd-analyze"
		return
	}
	out=$(systemd-analyze security --no-pager --offline=true \
	    --threshold=10 "$2" 2>&1)
	rc=$?
	result $rc "$1: exposure"
	[ $rc = 0 ] || echo "$out" | sed 's/^/# /'
}

for unit in "$build"/etc/systemd/*.service; do
	name=$(basename "$unit")
	exposure "$name" "$unit"
	grep -qE '^(User=holdfast|DynamicUser=yes)' "$unit"
	result $? "$name: not root"
	# Nothing that the build should have filled in.
	! grep -q '@[a-z]*@' "$unit"
	result $? "$name: complete"
	for socket in $(sed -n 's/^Sockets=//p' "$unit"); do
		[ -f "$src/etc/systemd/$socket" ]
		result $? "$name: $socket"
	done
done
echo "1..$n"
exit $status
