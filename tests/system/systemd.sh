#!/bin/sh
# The packages under a real systemd: a Debian 12 of its own in a container
# (systemd-nspawn) installs them, backs up, restarts the validator and upgrades
# everything in the middle of backups, removes and purges.  TAP.
#
#   sudo tests/system/systemd.sh [PACKAGES]
#
# PACKAGES: a folder with the .deb files (default: they are built).  Needs the
# packages mmdebstrap and systemd-container, a Debian mirror and some minutes;
# not part of ./check.  HOLDFAST_SYSTEM_ROOT=FILE.tar keeps the container's
# root for the next time.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
[ "$(id -u)" = 0 ] || {
	echo "1..0 # SKIP only root can start a container"
	exit 0
}
for tool in mmdebstrap systemd-nspawn nsenter; do
	command -v $tool >/dev/null || {
		echo "1..0 # SKIP no $tool: apt-get install mmdebstrap systemd-container"
		exit 0
	}
done

work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-system.XXXXXX")
root=$work/root
nspawn=
n=0
failed=0
PASSWORD=correct-horse
SERVICES="holdfast-server holdfast-auth holdfast-validator"

clean_up() {
	if [ -n "$nspawn" ] && kill -0 "$nspawn" 2>/dev/null; then
		kill -TERM "$nspawn"
		wait "$nspawn" 2>/dev/null || true
	fi
	rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# --- reporting ---

ok() {
	n=$((n + 1))
	echo "ok $n - $1"
}

not_ok() {
	n=$((n + 1))
	failed=$((failed + 1))
	echo "not ok $n - $1"
	sed 's/^/# /' "$work/out"
	inside journalctl --no-pager -n 30 2>/dev/null | sed 's/^/# /'
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

# Polls COMMAND... for a minute.
soon() {
	tries=0
	until "$@" >"$work/try" 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 120 ] || {
			cat "$work/try"
			return 1
		}
		sleep 0.5
	done
}

# --- the container ---

dependencies() {
	for deb in "$@"; do
		dpkg-deb -f "$deb" Depends
	done | tr ',' '\n' | sed -e 's/^ *//' -e 's/[ |(].*//' |
		grep -v -e '^holdfast' -e '^$' | sort -u | paste -sd, -
}

make_root() {
	tar=${HOLDFAST_SYSTEM_ROOT:-$work/root.tar}
	[ -s "$tar" ] || mmdebstrap --quiet --variant=minbase \
	    --include="systemd,systemd-sysv,dbus,procps,$(dependencies "$@")" \
	    bookworm "$tar"
	mkdir -p "$root"
	tar -xf "$tar" -C "$root" --exclude='./dev/*'
	echo holdfast-test >"$root/etc/hostname"
	mkdir -p "$root/packages" "$root/next" "$root/test"
	cp "$@" "$root/packages"
	cp "$top/debian/tests/main-job" "$root/test"
}

# The same packages as the next version.
make_next() {
	for deb in "$root"/packages/*.deb; do
		version=$(dpkg-deb -f "$deb" Version)
		dpkg-deb -R "$deb" "$work/unpacked"
		sed -i "s/$version/$version+next/g" \
		    "$work/unpacked/DEBIAN/control"
		dpkg-deb --root-owner-group -b "$work/unpacked" "$root/next" \
		    >/dev/null
		rm -rf "$work/unpacked"
	done
}

# Runs a command in the container.
inside() {
	leader=$(ps -o pid= --ppid "$nspawn" | head -n 1 | tr -d ' ')
	nsenter -t "$leader" -m -u -i -n -p -C -- env -i TERM=dumb HOME=/root \
	    PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	    PBS_REPOSITORY=admin@pbs@127.0.0.1:store1 \
	    PBS_PASSWORD=$PASSWORD PBS_FINGERPRINT="$fingerprint" "$@"
}

booted() {
	case $(inside systemctl is-system-running 2>/dev/null) in
	running | degraded) return 0 ;;
	*) return 1 ;;
	esac
}

boot() {
	systemd-nspawn -q -D "$root" --register=no --keep-unit \
	    --private-network --rlimit=RLIMIT_NOFILE=65536 \
	    --rlimit=RLIMIT_MEMLOCK=8388608 -b >"$work/console" 2>&1 \
	    </dev/null &
	nspawn=$!
	soon booted
}

# --- what is looked at ---

main_pid() {
	inside systemctl show -P MainPID "$1.service"
}

all_active() {
	for s in $SERVICES; do
		inside systemctl -q is-active "$s.service" || {
			echo "$s is not active"
			return 1
		}
	done
	for s in holdfast-server holdfast-auth holdfast-auth-admin \
	    holdfast-validator holdfast-validator-admin; do
		inside systemctl -q is-active "$s.socket" || {
			echo "$s.socket is not active"
			return 1
		}
	done
}

exposure() {
	inside systemd-analyze security --no-pager --threshold=10 "$1.service"
}

process_is_bare() {
	pid=$(main_pid "$1")
	status=$(inside cat "/proc/$pid/status")
	echo "$status"
	echo "$status" | grep -q '^CapEff:[[:space:]]*0*$' &&
		echo "$status" | grep -q '^NoNewPrivs:[[:space:]]*1' &&
		echo "$status" | grep -q '^Seccomp:[[:space:]]*2' &&
		! echo "$status" | grep -q '^Uid:[[:space:]]*0' &&
		[ "$(inside readlink "/proc/$pid/ns/net")" != \
		    "$(inside readlink /proc/1/ns/net)" ]
}

read_fingerprint() {
	inside holdfast-admin cert info | sed -n 's/^fingerprint *//p'
}

back_up() {
	inside holdfast backup disk.img:/test/disk.img --no-progress \
	    --backup-id "$1"
}

comes_back() {
	inside rm -f /test/restored
	inside holdfast restore "host/$1" disk.img /test/restored \
	    --no-progress && inside cmp /test/disk.img /test/restored
}

# A backup that stands still in its middle, until it is told to go on.
has_session() {
	inside holdfast-admin session list | grep -q "host/$1/.* [1-9]"
}

begin_backup() {
	inside sh -c "{ holdfast backup disk.img:/test/disk.img --no-progress \
	    --backup-id $1; echo status \$?; } >/test/$1.log 2>&1 </dev/null &"
	tries=0
	until has_session "$1"; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || return 1
		sleep 0.1
	done
	inside pkill -STOP -x holdfast
	has_session "$1"
}

has_ended() {
	grep -q '^status' "$root/test/$1.log"
}

go_on() {
	inside pkill -CONT -x holdfast
	soon has_ended "$1"
	cat "$root/test/$1.log"
	grep -q '^status 0' "$root/test/$1.log" && comes_back "$1"
}

workers() {
	inside pgrep -x holdfast-worker | sort
}

# --- the tests ---

installation() {
	inside sh -c 'dpkg -i /packages/*.deb' >"$work/out" 2>&1 || {
		not_ok "install"
		return
	}
	ok "install"
	cp "$work/out" "$work/install"
	check "the installation starts everything" soon all_active
	fingerprint=$(read_fingerprint)
	check "it prints the fingerprint" grep -q "$fingerprint" \
	    "$work/install"
	check "the journal has the fingerprint" inside sh -c \
	    "journalctl --no-pager -u holdfast-auth | grep -q $fingerprint"
	for s in $SERVICES; do
		check "$s: exposure at most 1.0" exposure $s
		check "$s: no privileges, no network" process_is_bare $s
	done
}

first_steps() {
	check "the first administrator" inside sh -c \
	    "echo $PASSWORD | holdfast-admin setup"
	check "a datastore" inside holdfast-admin datastore create store1 \
	    /srv/store1
	inside sh -c 'head -c 400M /dev/urandom >/test/disk.img'
	check "a backup" back_up first
	check "it comes back" comes_back first
	check "a backup that reuses all" back_up first
	check "the packages' own test" inside /test/main-job
}

restarts() {
	check "a backup begins" begin_backup restart
	check "restart of the validator meanwhile" \
	    inside systemctl restart holdfast-validator
	check "restart of auth meanwhile" \
	    inside systemctl restart holdfast-auth
	check "the backup ends well" go_on restart

	check "a backup begins" begin_backup killed
	inside kill -KILL "$(main_pid holdfast-server)"
	inside kill -KILL "$(main_pid holdfast-validator)"
	check "killed services come back" soon all_active
	check "the backup ends well" go_on killed

	check "reload" inside systemctl reload holdfast-server
	check "auth takes part in it" soon inside sh -c \
	    'journalctl --no-pager -u holdfast-auth | grep -q reloaded'
	check "a stuck validator is replaced" watchdog
}

# get PATH: from holdfast-metrics.socket
get() {
	inside bash -c 'exec 3<>/dev/tcp/127.0.0.1/9517
		printf "GET %s HTTP/1.1\r\n\r\n" "$0" >&3
		cat <&3' "$1"
}

task_is_ok() {
	inside holdfast-admin task list | grep ":$1:" | grep -q ' OK'
}

jobs() {
	check "verification" inside holdfast-admin verify store1
	check "garbage collection" inside holdfast-admin gc start store1
	check "verification ends well" soon task_is_ok verify
	check "garbage collection ends well" soon task_is_ok garbage_collection
}

# answers PATH PATTERN
answers() {
	get "$1" >"$work/answer"
	cat "$work/answer"
	grep -q "$2" "$work/answer"
}

monitoring() {
	check "the socket of metrics" \
	    inside systemctl enable --now holdfast-metrics.socket
	check "it is healthy" answers /health '^ok'
	check "metrics know the datastore" answers /metrics \
	    '^holdfast_store_up{store="store1"} 1'
}

watchdog() {
	dir=/run/systemd/system/holdfast-validator.service.d
	inside sh -c "mkdir -p $dir && printf '[Service]\nWatchdogSec=2\n' \
	    >$dir/test.conf && systemctl daemon-reload &&
	    systemctl restart holdfast-validator"
	stuck=$(main_pid holdfast-validator)
	inside kill -STOP "$stuck"
	replaced() {
		pid=$(main_pid holdfast-validator)
		[ "$pid" != 0 ] && [ "$pid" != "$stuck" ]
	}
	soon replaced && inside rm -r $dir && inside systemctl daemon-reload &&
		soon all_active
}

upgrade() {
	check "a backup begins" begin_backup upgrade
	old_workers=$(workers)
	old_server=$(main_pid holdfast-server)
	old_validator=$(main_pid holdfast-validator)
	check "upgrade meanwhile" inside sh -c 'dpkg -i /next/*.deb'
	check "everything runs" soon all_active
	check "the server is a new one" \
	    test "$(main_pid holdfast-server)" != "$old_server"
	check "the validator is a new one" \
	    test "$(main_pid holdfast-validator)" != "$old_validator"
	workers >"$work/now"
	check "the worker of the backup is the old one" sh -c \
	    "echo '$old_workers' | grep -qxFf '$work/now'"
	check "new clients are served" inside holdfast status
	check "the session is still there" has_session upgrade
	check "the backup ends well" go_on upgrade
	check "the fingerprint is the same" \
	    test "$(read_fingerprint)" = "$fingerprint"
	none_of_old() {
		workers >"$work/now"
		! echo "$old_workers" | grep -qxFf "$work/now"
	}
	check "the old worker is gone" soon none_of_old
}

nothing_runs() {
	! inside pgrep -l '^holdfast-'
}

removal() {
	check "a backup begins" begin_backup remove
	check "remove" inside sh -c \
	    'dpkg -r holdfast-server holdfast-validator holdfast-admin'
	check "nothing of it runs" nothing_runs
	inside pkill -CONT -x holdfast || true
	check "its client ends" soon has_ended remove
	check "purge" inside sh -c \
	    'dpkg -P holdfast-server holdfast-validator holdfast-admin'
	check "the datastore is still there" \
	    test -d "$root/srv/store1/host/first"
	check "accounts are still there" test -d "$root/var/lib/holdfast/auth"
	check "configuration files are gone" \
	    test ! -e "$root/etc/holdfast/server.conf"
	check "install again" inside sh -c 'dpkg -i /next/*.deb'
	check "everything runs" soon all_active
	check "the fingerprint is the same" \
	    test "$(read_fingerprint)" = "$fingerprint"
	check "the first backup comes back" comes_back first
}

packages=${1:-}
if [ -z "$packages" ]; then
	packages=$work/packages
	DEB_BUILD_OPTIONS="nocheck noautodbgsym parallel=$(nproc)" \
	    "$top/tests/packages.sh" "$packages"
fi
fingerprint=
make_root "$packages"/holdfast-server_*.deb \
    "$packages"/holdfast-validator_*.deb "$packages"/holdfast-admin_*.deb \
    "$packages"/holdfast-client_*.deb
make_next
check "the container boots" boot
installation
first_steps
jobs
monitoring
restarts
upgrade
removal
echo "1..$n"
exit $((failed > 0))
