#!/bin/sh
# The packages under a real systemd: a Debian 12 of its own in a container
# (systemd-nspawn) installs them, backs up, restarts the validator and upgrades
# everything in the middle of backups, removes and purges.  TAP.
#
# What operations.md shows of HAProxy is tried there, too, and Debian's Prometheus
# scrapes the metrics.
#
#   sudo tests/system/systemd.sh [PACKAGES]
#
# PACKAGES: a folder with the .deb files (default: they are built).  Needs the
# packages mmdebstrap and systemd-container, a Debian mirror and some minutes;
# not part of ./check.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/tests/system/common.sh"
. "$top/tests/system/container.sh"
fingerprint=
PASSWORD=correct-horse
SERVICES="holdfast-server holdfast-auth holdfast-validator"

journal() {
	inside journalctl --no-pager -n 30
}
on_failure=journal

# Runs a command in the container, with what a client needs.
client() {
	inside env PBS_REPOSITORY=admin@pbs@127.0.0.1:store1 \
	    PBS_PASSWORD=$PASSWORD PBS_FINGERPRINT="$fingerprint" "$@"
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
	client holdfast backup disk.img:/test/disk.img --no-progress \
	    --backup-id "$1"
}

comes_back() {
	inside rm -f /test/restored
	client holdfast restore "host/$1" disk.img /test/restored \
	    --no-progress && inside cmp /test/disk.img /test/restored
}

# A backup that stands still in its middle, until it is told to go on.
has_session() {
	inside holdfast-admin session list | grep -q "host/$1/.* [1-9]"
}

begin_backup() {
	client sh -c "{ holdfast backup disk.img:/test/disk.img --no-progress \
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

journal_has_fields() {
	for field in PEER SESSION SNAPSHOT STORE TENANT UPID; do
		inside journalctl --no-pager -F HOLDFAST_$field | grep . || {
			echo "no HOLDFAST_$field"
			return 1
		}
	done
	inside journalctl --no-pager -o cat HOLDFAST_STORE=store1 \
	    HOLDFAST_TENANT=admin@pbs | grep '^session: finished .*store1'
}

task_is_ok() {
	inside holdfast-admin task list | grep ":$1:" | grep -q ' OK'
}

jobs() {
	check "verification" inside holdfast-admin verify store1
	check "garbage collection" inside holdfast-admin gc start store1
	check "verification ends well" soon task_is_ok verify
	check "garbage collection ends well" soon task_is_ok garbage_collection
	check "the journal knows sessions, tenants, stores and tasks" \
	    journal_has_fields
}

# answers URL PATTERN
answers() {
	inside curl -sk "$1" >"$work/answer" || return 1
	cat "$work/answer"
	grep -q "$2" "$work/answer"
}

# start_in_container COMMAND...: until the container ends
start_in_container() {
	inside systemd-run -q --no-block "$@"
}

# The example of the manual, in front of the server.
haproxy_example() {
	{
		echo 'defaults'
		echo '    timeout connect 5s'
		echo '    timeout client 1h'
		echo '    timeout server 1h'
		sed -n '/^    listen backup$/,/^$/s/^    //p' \
		    "$top/docs/operations.md" |
			sed -e 's/bind :8007/bind 127.0.0.1:9007/' \
			    -e 's/192\.0\.2\.1:8007/127.0.0.1:8007/' \
			    -e 's/inter 5s/inter 1s/'
	} >"$root/test/haproxy.cfg"
	cat "$root/test/haproxy.cfg"
	start_in_container haproxy -f /test/haproxy.cfg
	soon answers https://127.0.0.1:9007/health '^ok'
}

behind_haproxy_nobody_answers() {
	! answers https://127.0.0.1:9007/health .
}

prometheus_scrapes() {
	printf '%s\n' 'scrape_configs:' '- job_name: holdfast' \
	    '  scrape_interval: 1s' '  static_configs:' \
	    "  - targets: ['127.0.0.1:9517']" >"$root/test/prometheus.yml"
	start_in_container prometheus --config.file=/test/prometheus.yml \
	    --storage.tsdb.path=/test/prometheus \
	    --web.listen-address=127.0.0.1:9090
	soon answers \
	    'http://127.0.0.1:9090/api/v1/query?query=holdfast_store_up' \
	    '"store":"store1".*"value":\[[0-9.]*,"1"\]'
}

monitoring() {
	check "the socket of metrics" \
	    inside systemctl enable --now holdfast-metrics.socket
	check "it is healthy" answers http://127.0.0.1:9517/health '^ok'
	check "metrics know the datastore" \
	    answers http://127.0.0.1:9517/metrics \
	    '^holdfast_store_up{store="store1"} 1'
	check "Prometheus scrapes them" prometheus_scrapes
	check "healthy on the port of clients" \
	    answers https://127.0.0.1:8007/health '^ok'
	check "HAProxy finds it healthy" haproxy_example
	inside systemctl stop holdfast-validator.socket \
	    holdfast-validator-admin.socket holdfast-validator.service
	check "HAProxy leaves out a server without its validator" \
	    soon behind_haproxy_nobody_answers
	inside systemctl start holdfast-validator.socket \
	    holdfast-validator-admin.socket holdfast-validator.service
	check "HAProxy finds it healthy again" \
	    soon answers https://127.0.0.1:9007/health '^ok'
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

# Root starts them beside the services, with a configuration of their own. They
# log to syslog, which the journal is here.
without_systemd() {
	mkdir "$root/test/plain"
	for p in validator server; do
		cat >"$root/test/plain/$p.conf" <<-EOF
			run-dir = "/run/plain"
			state-dir = "/var/lib/plain"
		EOF
	done
	echo 'log-dir = "/var/log/plain"' >>"$root/test/plain/validator.conf"
	echo 'listen = "127.0.0.1:9008"' >>"$root/test/plain/server.conf"
	for p in validator server; do
		inside sh -c "setsid holdfast-$p -d -c /test/plain/$p.conf \
		    </dev/null >/test/plain/$p.out 2>&1 &
		    echo \$! >/test/plain/$p.pid"
	done
	check "without systemd: the first administrator" soon inside sh -c \
	    "echo $PASSWORD | holdfast-admin setup --run-dir /run/plain"
	plain=$(inside holdfast-admin cert info --run-dir /run/plain |
	    sed -n 's/^fingerprint *//p')
	for word in "$PASSWORD" wrong; do
		inside env PBS_REPOSITORY=admin@pbs@127.0.0.1:9008:none \
		    PBS_PASSWORD=$word PBS_FINGERPRINT="$plain" holdfast \
		    list >"$root/test/plain/$word" 2>&1 || true
	done
	check "it knows the password" grep none "$root/test/plain/$PASSWORD"
	check "and no other" grep 'cannot log in' \
	    "$root/test/plain/wrong"
	for p in validator server auth worker; do
		check "$p logs to syslog" soon syslog_has $p
	done
	check "they log nowhere else" \
	    test ! -s "$root/test/plain/server.out" \
	    -a ! -s "$root/test/plain/validator.out"
	inside sh -c 'kill $(cat /test/plain/*.pid)'
}

syslog_has() {
	inside journalctl --no-pager _TRANSPORT=syslog \
	    SYSLOG_IDENTIFIER="holdfast-$1" | grep "holdfast-$1\["
}

upgrade() {
	check "the packages' own test: an upgrade in the middle of a backup" \
	    inside /test/upgrade /packages
	check "everything runs" soon all_active
	check "the fingerprint is the same" \
	    test "$(read_fingerprint)" = "$fingerprint"
	check "the first backup comes back" comes_back first
}

nothing_runs() {
	! inside pgrep -l '^holdfast-'
}

purge() {
	inside env DEBIAN_FRONTEND=noninteractive \
	    dpkg -P holdfast-server holdfast-validator holdfast-admin
}

nothing_is_left() {
	! inside find /etc/holdfast /run/holdfast /var/lib/holdfast \
	    /var/log/holdfast 2>/dev/null | grep .
}

removal() {
	check "a backup begins" begin_backup remove
	check "remove" inside sh -c \
	    'dpkg -r holdfast-server holdfast-validator holdfast-admin'
	check "nothing of it runs" nothing_runs
	inside pkill -CONT -x holdfast || true
	check "its client ends" soon has_ended remove
	check "purge, nobody is there to be asked" purge
	check "the datastore is still there" \
	    test -d "$root/srv/store1/host/first"
	check "accounts are still there" test -d "$root/var/lib/holdfast/auth"
	check "configuration files are gone" \
	    test ! -e "$root/etc/holdfast/server.conf"
	check "install again" inside sh -c 'dpkg -i /packages/*.deb'
	check "everything runs" soon all_active
	check "the fingerprint is the same" \
	    test "$(read_fingerprint)" = "$fingerprint"
	check "the first backup comes back" comes_back first

	for p in server validator; do
		echo "holdfast-$p holdfast-$p/purge-state boolean true"
	done >"$root/test/answers"
	inside debconf-set-selections /test/answers
	check "purge, the answer is to remove the state" purge
	check "the datastore is still there" \
	    test -d "$root/srv/store1/host/first"
	check "all the rest is gone" nothing_is_left
}

packages_folder "$@"
make_root haproxy,prometheus,curl
# They start when they are tested.
for s in haproxy prometheus prometheus-node-exporter; do
	ln -sf /dev/null "$root/etc/systemd/system/$s.service"
done
cp "$top"/debian/tests/* "$root/test"
check "the container boots" boot
installation
first_steps
jobs
monitoring
restarts
without_systemd
upgrade
removal
finish
